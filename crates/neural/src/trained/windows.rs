//! Windows that go over a sample, as large as the patches a network learned from.
//!
//! Instance normalisation takes its mean and deviation from what it sees, so a network does best on as much as it saw in training.
//! Answers are averaged with the weights of a Gaussian, as in nnU-Net (doi 10.1038/s41592-020-01008-z).

use glam::DMat3;
use rayon::prelude::*;
use space::Point;
use volume::{ImageGeometry, Volume, components};

use crate::NeuralError;
use crate::nnunet::{gaussian, steps};
use crate::training::{Predictor, Sample};

/// From one window to the next, as a part of the window.
const STEP: f64 = 0.5;

/// Windows along an axis.
pub(super) fn count(size: usize, window: usize) -> usize {
    steps(size, window, STEP).len()
}

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

/// As [`in_windows`], over no more than a first look at the whole finds: there each window holds some of it, as in training.
///
/// Instance normalisation stretches what little contrast a window without any of it has, until a neck looks like a brain.
pub(super) fn in_focus(
    predictor: &Predictor,
    sample: &Sample,
    window: [usize; 3],
    flips: [bool; 3],
    tell: &dyn Fn(f32),
) -> Result<Vec<f32>, NeuralError> {
    /// Share of the time that the first look takes, about.
    const LOOK: f32 = 0.3;
    let mut answers = predictor.probabilities(sample, [false; 3])?;
    tell(LOOK);
    let Some([start, end]) = largest_box(&answers, sample)? else { return Ok(answers) };
    let size = [0, 1, 2].map(|a| end[a] - start[a]);
    let part = in_windows(predictor, &cut(sample, start, size), window, flips, &|done| {
        tell(LOOK + (1.0 - LOOK) * done);
    })?;
    let (voxels, inner) = (sample.voxels(), size.iter().product::<usize>());
    for (class, plane) in answers.chunks_exact_mut(voxels).enumerate() {
        plane.fill(if class == 0 { 1.0 } else { 0.0 });
        for_each_row(sample.size, start, size, |own, inside, length| {
            plane[own..own + length].copy_from_slice(&part[class * inner + inside..][..length]);
        });
    }
    Ok(answers)
}

/// First and one past the last voxel, along depth, height and width, of the largest piece of all classes but background, with some room.
fn largest_box(answers: &[f32], sample: &Sample) -> Result<Option<[[usize; 3]; 2]>, NeuralError> {
    /// Around what was found.
    const ROOM_MM: f32 = 12.0;
    let [d, h, w] = sample.size;
    let spacing = [sample.spacing_mm[2], sample.spacing_mm[1], sample.spacing_mm[0]].map(f64::from);
    let grid = ImageGeometry::new([w, h, d], spacing, Point::new(0.0, 0.0, 0.0), DMat3::IDENTITY)?;
    let largest = components::largest(&Volume::new(grid, foreground(answers, sample.voxels()))?);
    let (mut start, mut end) = ([usize::MAX; 3], [0; 3]);
    for at in (0..sample.voxels()).filter(|&at| largest.data()[at]) {
        for (axis, n) in [at / (h * w), at / w % h, at % w].into_iter().enumerate() {
            (start[axis], end[axis]) = (start[axis].min(n), end[axis].max(n + 1));
        }
    }
    let room = sample.spacing_mm.map(|mm| (ROOM_MM / mm).ceil() as usize);
    let found = [
        [0, 1, 2].map(|a| start[a].saturating_sub(room[a])),
        [0, 1, 2].map(|a| (end[a] + room[a]).min(sample.size[a])),
    ];
    Ok((end[0] > 0).then_some(found))
}

/// Whether any class is more probable than background, the first.
pub(super) fn foreground(answers: &[f32], voxels: usize) -> Vec<bool> {
    let (background, others) = answers.split_at(voxels);
    let any = |at: usize| others.chunks_exact(voxels).any(|plane| plane[at] > background[at]);
    (0..voxels).into_par_iter().map(any).collect()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_go_where_the_largest_piece_is() {
        let size = [20, 24, 30];
        let at = |d: usize, h: usize, w: usize| (d * size[1] + h) * size[2] + w;
        let voxels = size.iter().product::<usize>();
        let sample = Sample { size, spacing_mm: [6.0, 3.0, 4.0], image: vec![0.0; voxels], labels: vec![0; voxels] };
        let mut answers = vec![0.0; 3 * voxels];
        answers[..voxels].fill(0.5);
        assert_eq!(largest_box(&answers, &sample).unwrap(), None);
        // Two classes that touch, and an island.
        answers[voxels + at(9, 10, 12)] = 0.6;
        answers[2 * voxels + at(10, 10, 12)] = 0.7;
        answers[voxels + at(19, 23, 29)] = 0.9;
        assert_eq!(largest_box(&answers, &sample).unwrap(), Some([[7, 6, 9], [13, 15, 16]]));
    }
}
