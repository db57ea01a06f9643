//! Classes from logits, and back onto the scan's own grid.
//!
//! At a voxel of the scan the logits around it are interpolated linearly and the largest wins. Where all eight neighbours
//! have one class, that class has won already, as a mean of logits in which it leads; elsewhere the last layer, being linear,
//! is applied to the interpolated features. So no logits are kept.

use rayon::prelude::*;
use space::Point;
use volume::{BACKGROUND, ImageGeometry, Label, Volume, components};

/// Voxels that one thread compares at a time.
const CHUNK: usize = 4096;

/// The largest of `[classes, voxels]` at each voxel, the first of equals.
pub(super) fn largest(values: &[f32], voxels: usize) -> Vec<Label> {
    let mut classes = vec![BACKGROUND; voxels];
    classes.par_chunks_mut(CHUNK).enumerate().for_each(|(chunk, classes)| {
        let start = chunk * CHUNK;
        let mut best = values[start..start + classes.len()].to_vec();
        for (class, plane) in values.chunks_exact(voxels).enumerate().skip(1) {
            for ((best, found), &value) in best.iter_mut().zip(classes.iter_mut()).zip(&plane[start..]) {
                if value > *best {
                    (*best, *found) = (value, class as Label);
                }
            }
        }
    });
    classes
}

/// A brain is one piece: what is apart from the largest is none.
pub(super) fn clean(classes: &mut Volume<Label>) {
    let brain = components::largest(&classes.par_map(|&l| l != BACKGROUND));
    classes.data_mut().par_iter_mut().zip(brain.data()).for_each(|(label, inside)| {
        if !inside {
            *label = BACKGROUND;
        }
    });
}

/// The last layer.
pub(super) struct Classifier {
    classes: usize,
    /// Channel by channel, so that classes lie side by side.
    weights: Vec<f32>,
    bias: Vec<f32>,
}

impl Classifier {
    /// From `weights` `[classes, channels]` and `bias` `[classes]`.
    pub(super) fn new(weights: &[f32], bias: &[f32]) -> Self {
        let classes = bias.len();
        let channels = weights.len() / classes.max(1);
        let transposed =
            (0..channels).flat_map(|ch| (0..classes).map(move |class| weights[class * channels + ch])).collect();
        Self { classes, weights: transposed, bias: bias.to_vec() }
    }

    fn channels(&self) -> usize {
        self.weights.len() / self.classes.max(1)
    }

    /// The class with the largest logit.
    fn class(&self, features: &[f32], logits: &mut Vec<f32>) -> Label {
        logits.clone_from(&self.bias);
        for (feature, weights) in features.iter().zip(self.weights.chunks_exact(self.classes)) {
            logits.iter_mut().zip(weights).for_each(|(logit, w)| *logit += feature * w);
        }
        let mut best = 0;
        for (class, logit) in logits.iter().enumerate() {
            if *logit > logits[best] {
                best = class;
            }
        }
        best as Label
    }
}

/// The class of each voxel of `target`, from classes and features `[C, …]` of one grid.
pub(super) fn onto(
    classes: &Volume<Label>,
    features: &[f32],
    classifier: &Classifier,
    target: &ImageGeometry,
) -> Volume<Label> {
    let source = classes.geometry();
    let source_from_target = source.index_from_lps() * target.lps_from_index();
    let step = source_from_target.linear.x_axis;
    let [ni, nj, _] = target.size();
    let [si, sj, sk] = source.size();
    let count = source.voxel_count();
    let mut out = Volume::filled(*target, BACKGROUND);
    out.data_mut().par_chunks_mut(ni).enumerate().for_each_init(
        || (vec![0f32; classifier.channels()], Vec::new()),
        |(mixed, logits), (row, out)| {
            let start = source_from_target * Point::new(0.0, (row % nj) as f64, (row / nj) as f64);
            for (i, out) in out.iter_mut().enumerate() {
                let p = start.get() + step * i as f64;
                let (Some(x), Some(y), Some(z)) = (cell(p.x, si), cell(p.y, sj), cell(p.z, sk)) else { continue };
                let corners: [usize; 8] =
                    std::array::from_fn(|n| source.offset(x.at(n & 1), y.at(n >> 1 & 1), z.at(n >> 2)));
                let labels = corners.map(|at| classes.data()[at]);
                *out = labels[0];
                if labels.iter().all(|l| *l == labels[0]) {
                    continue;
                }
                let weights: [f32; 8] =
                    std::array::from_fn(|n| x.weight(n & 1) * y.weight(n >> 1 & 1) * z.weight(n >> 2));
                for (mixed, plane) in mixed.iter_mut().zip(features.chunks_exact(count)) {
                    *mixed = corners.iter().zip(weights).map(|(&at, w)| plane[at] * w).sum();
                }
                *out = classifier.class(mixed, logits);
            }
        },
    );
    out
}

/// Two neighbours on one axis, and how far a position is from the first to the second.
#[derive(Clone, Copy)]
struct Cell {
    low: usize,
    high: usize,
    share: f32,
}

impl Cell {
    fn at(self, end: usize) -> usize {
        if end == 0 { self.low } else { self.high }
    }

    fn weight(self, end: usize) -> f32 {
        if end == 0 { 1.0 - self.share } else { self.share }
    }
}

/// `None` more than half a voxel outside; there the outermost values are continued.
fn cell(position: f64, size: usize) -> Option<Cell> {
    let last = (size - 1) as f64;
    if !(-0.5..=last + 0.5).contains(&position) {
        return None;
    }
    let position = position.clamp(0.0, last);
    let low = position.floor();
    let high = (low as usize + 1).min(size - 1);
    Some(Cell { low: low as usize, high, share: (position - low) as f32 })
}

#[cfg(test)]
mod tests {
    use super::*;
    use glam::DMat3;

    fn grid(size: [usize; 3], spacing: f64, origin: [f64; 3]) -> ImageGeometry {
        ImageGeometry::new(size, [spacing; 3], Point::from_array(origin), DMat3::IDENTITY).unwrap()
    }

    #[test]
    fn the_largest_logit_wins_and_the_first_of_equals() {
        let logits = [1.0, 0.0, 2.0, 3.0, -1.0, 2.0, 2.0, -2.0, 1.0];
        assert_eq!(largest(&logits, 3), [1, 0, 0]);
    }

    #[test]
    fn islands_outside_the_brain_go() {
        let cube = |p: [usize; 3], low, high| p.iter().all(|v| (low..high).contains(v));
        let mut classes = Volume::from_fn(grid([20; 3], 1.0, [0.0; 3]), |p| match p {
            p if cube(p, 8, 12) => 2,
            p if cube(p, 5, 15) => 1,
            p if cube(p, 17, 19) => 2,
            _ => 0,
        });
        clean(&mut classes);
        assert_eq!(classes.get(18, 18, 18), Some(&0));
        assert_eq!((classes.get(10, 10, 10), classes.get(6, 6, 6)), (Some(&2), Some(&1)));
    }

    /// Every voxel of a finer, shifted grid against logits that were interpolated one by one.
    #[test]
    fn shortcuts_change_nothing() {
        let source = grid([7, 6, 5], 1.0, [0.0; 3]);
        let count = source.voxel_count();
        let wave = |n: usize, f: f64| (n as f64 * f).sin() as f32;
        let features: Vec<f32> = (0..2 * count).map(|n| wave(n, 0.7) + wave(n / 7, 1.3)).collect();
        let (weights, bias) = ([1.0, -0.5, 0.3, 0.9, -1.1, 0.2], [0.1, 0.0, -0.2]);
        let logits_at = |at: usize| {
            [0, 1, 2].map(|c| bias[c] + weights[2 * c] * features[at] + weights[2 * c + 1] * features[count + at])
        };
        let best = |l: [f32; 3]| (0..3).rev().max_by(|&a, &b| l[a].total_cmp(&l[b])).unwrap() as Label;
        let classes = Volume::new(source, (0..count).map(|at| best(logits_at(at))).collect()).unwrap();
        let target = grid([16, 13, 11], 0.45, [-0.3, 0.1, 0.2]);
        let found = onto(&classes, &features, &Classifier::new(&weights, &bias), &target);
        let mut differ = 0;
        for k in 0..11 {
            for j in 0..13 {
                for i in 0..16 {
                    let p = [i, j, k].map(|v| v as f64 * 0.45);
                    let p = [p[0] - 0.3, p[1] + 0.1, p[2] + 0.2];
                    let cells = [cell(p[0], 7), cell(p[1], 6), cell(p[2], 5)];
                    let [Some(x), Some(y), Some(z)] = cells else {
                        assert_eq!(found.get(i, j, k), Some(&0));
                        continue;
                    };
                    let mut logits = [0.0; 3];
                    for n in 0..8 {
                        let at = source.offset(x.at(n & 1), y.at(n >> 1 & 1), z.at(n >> 2));
                        let w = x.weight(n & 1) * y.weight(n >> 1 & 1) * z.weight(n >> 2);
                        (0..3).for_each(|c| logits[c] += w * logits_at(at)[c]);
                    }
                    differ += usize::from(found.get(i, j, k) != Some(&best(logits)));
                }
            }
        }
        assert_eq!(differ, 0);
    }
}
