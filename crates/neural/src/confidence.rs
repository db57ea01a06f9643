//! How sure a network is of what it says.
//!
//! Networks are surer than they are right; a temperature, fitted on data held back ([`TemperatureFit`]), sets that straight
//! (Guo et al., "On calibration of modern neural networks", ICML 2017, arXiv:1706.04599). It changes no class.

mod temperature;

use rayon::prelude::*;

pub use self::temperature::TemperatureFit;

/// Voxels that one thread looks at at a time.
const CHUNK: usize = 4096;

/// Logits less than the largest by more than this add nothing to a percentage.
const NOTHING: f32 = -20.0;

/// A share in whole percent.
pub(crate) fn percent(share: f32) -> u8 {
    (100.0 * share).round() as u8
}

/// Probability of the largest of one voxel's logits by softmax.
pub(crate) fn of_largest(logits: &[f32], temperature: f32) -> f32 {
    let largest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let lower = logits.iter().map(|x| (x - largest) / temperature).filter(|x| *x > NOTHING);
    lower.map(f32::exp).sum::<f32>().recip()
}

/// Probability of the largest of the logits `[classes, voxels]` at each voxel, by softmax, in percent.
pub(crate) fn percent_of_largest(logits: &[f32], voxels: usize, temperature: f32) -> Vec<u8> {
    let mut percent = vec![0; voxels];
    percent.par_chunks_mut(CHUNK).enumerate().for_each(|(chunk, percent)| {
        let start = chunk * CHUNK;
        let planes = || logits.chunks_exact(voxels).map(|plane| &plane[start..start + percent.len()]);
        let mut largest = vec![f32::NEG_INFINITY; percent.len()];
        for plane in planes() {
            largest.iter_mut().zip(plane).for_each(|(most, &x)| *most = most.max(x));
        }
        let mut sums = vec![0.0_f32; percent.len()];
        for plane in planes() {
            let pairs = plane.iter().zip(&largest);
            sums.iter_mut().zip(pairs).for_each(|(sum, (x, most))| *sum += ((x - most) / temperature).exp());
        }
        // The largest itself adds exp(0).
        percent.iter_mut().zip(sums).for_each(|(percent, sum)| *percent = (100.0 / sum).round() as u8);
    });
    percent
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_voxel_is_as_many() {
        let logits = [2.0, -1.0, 0.5, -50.0];
        for temperature in [0.5, 1.0, 3.0] {
            let one = percent(of_largest(&logits, temperature));
            assert_eq!(percent_of_largest(&logits, 1, temperature), [one]);
        }
    }

    #[test]
    fn probabilities_are_those_of_softmax() {
        // Two voxels, three classes.
        let logits = [2.0, 0.0, 0.0, 0.0, -1.0, 0.0];
        let first = 100.0 * 2f32.exp() / (2f32.exp() + 1.0 + (-1f32).exp());
        assert_eq!(percent_of_largest(&logits, 2, 1.0), [first.round() as u8, 33]);
        let cool = percent_of_largest(&logits, 2, 4.0);
        assert!(cool[0] < first as u8 && cool[0] > 33, "{cool:?}");
        assert_eq!(percent_of_largest(&[1e4, -1e4], 1, 1.0), [100], "no overflow");
    }
}
