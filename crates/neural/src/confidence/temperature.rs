//! The temperature that fits data held back.

use rayon::prelude::*;

/// Voxels whose sums one thread makes; sums of chunks are added in their order, so threads do not matter.
const CHUNK: usize = 1 << 14;

/// No network is trusted to be this much too sure, or not sure enough. Our choice.
const TEMPERATURES: [f64; 2] = [0.05, 20.0];

/// Steps of the search; Newton's takes fewer than ten.
const STEPS: usize = 60;

/// Voxels of held-back data with what a network says of them.
///
/// The temperature `T` is the one that makes the truth most probable: that minimises the mean of
/// `log Σ exp(z / T) − z_truth / T` over the voxels, with logits `z`. That is convex in `1 / T`.
#[derive(Clone, Debug)]
pub struct TemperatureFit {
    classes: usize,
    /// Voxel by voxel.
    logits: Vec<f32>,
    truth: Vec<u8>,
}

/// Of the negative log-likelihood, with its slopes over `1 / T`.
#[derive(Clone, Copy, Debug, Default)]
struct Likelihood {
    value: f64,
    first: f64,
    second: f64,
}

impl TemperatureFit {
    /// Without voxels yet.
    pub fn new(classes: usize) -> Self {
        Self { classes, logits: Vec::new(), truth: Vec::new() }
    }

    /// Adds one in `every` voxels of a sample: those whose place, well mixed, is a multiple of it. `probabilities` are
    /// `[classes, voxels]`, `truth` is the class of each voxel; one that the network does not know is left out.
    pub fn add(&mut self, probabilities: &[f32], truth: &[u8], every: usize) {
        let voxels = truth.len();
        for (voxel, &class) in truth.iter().enumerate() {
            if usize::from(class) < self.classes && mixed(voxel as u64).is_multiple_of(every.max(1) as u64) {
                let planes = probabilities.chunks_exact(voxels).take(self.classes);
                self.logits.extend(planes.map(|plane| plane[voxel].max(f32::MIN_POSITIVE).ln()));
                self.truth.push(class);
            }
        }
    }

    /// How many voxels were taken.
    pub fn voxels(&self) -> usize {
        self.truth.len()
    }

    /// Mean negative logarithm of the truth's probability at a temperature; none without voxels.
    pub fn negative_log_likelihood(&self, temperature: f64) -> Option<f64> {
        (!self.truth.is_empty()).then(|| self.at(temperature.recip()).value / self.truth.len() as f64)
    }

    /// The temperature that fits best, between 0.05 and 20; none without voxels.
    pub fn temperature(&self) -> Option<f64> {
        if self.truth.is_empty() {
            return None;
        }
        let [mut low, mut high] = [TEMPERATURES[1].recip(), TEMPERATURES[0].recip()];
        let mut inverse = 1.0_f64;
        for _ in 0..STEPS {
            let here = self.at(inverse);
            if here.first > 0.0 {
                high = inverse;
            } else {
                low = inverse;
            }
            let newton = inverse - here.first / here.second;
            // A step out of what is left is none; halving always is one.
            let next = if newton > low && newton < high { newton } else { f64::midpoint(low, high) };
            let moved = (next - inverse).abs();
            inverse = next;
            if moved <= 1e-9 * inverse {
                break;
            }
        }
        Some(inverse.recip())
    }

    fn at(&self, inverse: f64) -> Likelihood {
        let chunk = |(logits, truth): (&[f32], &[u8])| {
            let mut sum = Likelihood::default();
            for (logits, &class) in logits.chunks_exact(self.classes).zip(truth) {
                let largest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
                let (mut weights, mut mean, mut square) = (0.0, 0.0, 0.0);
                for logit in logits {
                    let below = f64::from(logit - largest);
                    let weight = (below * inverse).exp();
                    weights += weight;
                    mean += weight * below;
                    square += weight * below * below;
                }
                let truth = f64::from(logits[usize::from(class)] - largest);
                (mean, square) = (mean / weights, square / weights);
                sum.value += f64::ln(weights) - truth * inverse;
                sum.first += mean - truth;
                sum.second += square - mean * mean;
            }
            sum
        };
        let pairs = self.logits.par_chunks(CHUNK * self.classes).zip(self.truth.par_chunks(CHUNK));
        let sums: Vec<Likelihood> = pairs.map(chunk).collect();
        sums.iter().fold(Likelihood::default(), |a, b| Likelihood {
            value: a.value + b.value,
            first: a.first + b.first,
            second: a.second + b.second,
        })
    }
}

/// SplitMix64's last step (Steele, Lea, Flood, OOPSLA 2014).
fn mixed(place: u64) -> u64 {
    let x = place.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    x ^ (x >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A network of two classes that says 0.9 and is right seven times of ten: the logit, ln 9, must become ln (7/3).
    #[test]
    fn a_network_too_sure_is_made_as_sure_as_it_is_right() {
        let voxels = 1000;
        let probabilities: Vec<f32> = [0.9, 0.1].iter().flat_map(|p| vec![*p; voxels]).collect();
        let truth: Vec<u8> = (0..voxels).map(|v| u8::from(v % 10 >= 7)).collect();
        let mut fit = TemperatureFit::new(2);
        fit.add(&probabilities, &truth, 1);
        assert_eq!(fit.voxels(), voxels);
        let expected = 9f64.ln() / (7.0_f64 / 3.0).ln();
        let found = fit.temperature().unwrap();
        assert!((found - expected).abs() < 1e-6, "{found} instead of {expected}");
        let entropy = -(0.7 * 0.7f64.ln() + 0.3 * 0.3f64.ln());
        assert!((fit.negative_log_likelihood(found).unwrap() - entropy).abs() < 1e-9);
        assert!(fit.negative_log_likelihood(1.0).unwrap() > entropy + 0.05);
    }

    /// Truths drawn by the softmax of logits that were then multiplied by 3 are fitted by 3.
    #[test]
    fn a_known_temperature_is_found_again() {
        let voxels = 60_000_usize;
        let uniform = |n: u64| (mixed(n) >> 11) as f64 / (1_u64 << 53) as f64;
        let mut probabilities = vec![0f32; 3 * voxels];
        let mut truth = vec![0u8; voxels];
        for voxel in 0..voxels {
            let logits = [0, 1, 2].map(|c| 4.0 * uniform((4 * voxel + c) as u64) - 2.0);
            let softmax = |scale: f64| {
                let e = logits.map(|l| (scale * l).exp());
                e.map(|x| x / e.iter().sum::<f64>())
            };
            let (own, said) = (softmax(1.0), softmax(3.0));
            let draw = uniform((4 * voxel + 3) as u64);
            truth[voxel] = u8::from(draw >= own[0]) + u8::from(draw >= own[0] + own[1]);
            (0..3).for_each(|c| probabilities[c * voxels + voxel] = said[c] as f32);
        }
        let mut fit = TemperatureFit::new(3);
        fit.add(&probabilities, &truth, 1);
        let found = fit.temperature().unwrap();
        assert!((found - 3.0).abs() < 0.06, "{found}");
        let nearby = [0.99, 1.01].map(|f| fit.negative_log_likelihood(f * found).unwrap());
        assert!(nearby.iter().all(|n| *n > fit.negative_log_likelihood(found).unwrap()), "{nearby:?}");
        // Every tenth voxel says much the same.
        let mut few = TemperatureFit::new(3);
        few.add(&probabilities, &truth, 10);
        assert!((5_000..7_000).contains(&few.voxels()), "{}", few.voxels());
        assert!((few.temperature().unwrap() - 3.0).abs() < 0.2, "{:?}", few.temperature());
    }

    #[test]
    fn extremes_stay_within_bounds() {
        assert!(TemperatureFit::new(2).temperature().is_none());
        let fit = |truth: u8, probability: f32| {
            let mut fit = TemperatureFit::new(2);
            fit.add(&[probability, 1.0 - probability], &[truth], 1);
            fit.temperature().unwrap()
        };
        assert!((fit(0, 0.9) - 0.05).abs() < 1e-6, "always right");
        assert!((fit(1, 0.9) - 20.0).abs() < 1e-3, "always wrong");
        assert!(fit(1, 1.0).is_finite() && fit(0, 0.5).is_finite());
    }

    #[test]
    fn classes_the_network_lacks_are_left_out() {
        let mut fit = TemperatureFit::new(2);
        fit.add(&[0.5, 0.5, 0.5, 0.5], &[7, 1], 1);
        assert_eq!(fit.voxels(), 1);
    }
}
