//! Windows that go over a sample, as large as the patches a network learned from.
//!
//! Instance normalisation takes its mean and deviation from what it sees, so a network does best on as much as it saw in training.
//! Answers are averaged with the weights of a Gaussian, as in nnU-Net (doi 10.1038/s41592-020-01008-z).

use crate::NeuralError;
use crate::nnunet::{gaussian, steps};
use crate::training::{Predictor, Sample};

/// From one window to the next, as a part of the window.
const STEP: f64 = 0.5;

/// Probabilities `[class, depth, height, width]`. A sample smaller than the window is widened by zeros.
pub(super) fn in_windows(
    predictor: &Predictor,
    sample: &Sample,
    window: [usize; 3],
    flips: [bool; 3],
    tell: &dyn Fn(f32),
) -> Result<Vec<f32>, NeuralError> {
    let [starts_d, starts_h, starts_w] = [0, 1, 2].map(|a| steps(sample.size[a], window[a], STEP));
    let weights = gaussian(window);
    let voxels = sample.voxels();
    let (mut sums, mut worth) = (Vec::new(), vec![0.0_f32; voxels]);
    let total = starts_d.len() * starts_h.len() * starts_w.len();
    for n in 0..total {
        let (d, h, w) =
            (n / (starts_h.len() * starts_w.len()), n / starts_w.len() % starts_h.len(), n % starts_w.len());
        let start = [starts_d[d], starts_h[h], starts_w[w]];
        let answers = predictor.probabilities(&cut(sample, start, window), flips)?; // [class, window]
        sums.resize(answers.len() / weights.len() * voxels, 0.0);
        for_each_row(sample.size, start, window, |own, inside, length| {
            let weights = &weights[inside..inside + length];
            worth[own..own + length].iter_mut().zip(weights).for_each(|(sum, weight)| *sum += weight);
            for (class, sums) in sums.chunks_exact_mut(voxels).enumerate() {
                let answers = &answers[class * window.iter().product::<usize>() + inside..][..length];
                let row = sums[own..own + length].iter_mut().zip(answers).zip(weights);
                row.for_each(|((sum, answer), weight)| *sum += answer * weight);
            }
        });
        tell((n + 1) as f32 / total as f32);
    }
    for sums in sums.chunks_exact_mut(voxels) {
        sums.iter_mut().zip(&worth).for_each(|(sum, worth)| *sum /= worth);
    }
    Ok(sums)
}

/// The part of a sample in a window, zeros beyond its end.
fn cut(sample: &Sample, start: [usize; 3], window: [usize; 3]) -> Sample {
    let (inner, voxels) = (window.iter().product::<usize>(), sample.voxels());
    let mut image = vec![0.0; sample.channels() * inner];
    for_each_row(sample.size, start, window, |own, inside, length| {
        for channel in 0..sample.channels() {
            let from = &sample.image[channel * voxels + own..][..length];
            image[channel * inner + inside..][..length].copy_from_slice(from);
        }
    });
    Sample { size: window, spacing_mm: sample.spacing_mm, image, labels: vec![0; inner] }
}

/// Calls `f` with the first voxel of each row in the whole and in the window, and with its length.
fn for_each_row(size: [usize; 3], start: [usize; 3], window: [usize; 3], mut f: impl FnMut(usize, usize, usize)) {
    let [depth, height, width] = [0, 1, 2].map(|a| window[a].min(size[a] - start[a]));
    for d in 0..depth {
        for h in 0..height {
            let own = ((start[0] + d) * size[1] + start[1] + h) * size[2] + start[2];
            f(own, (d * window[1] + h) * window[2], width);
        }
    }
}
