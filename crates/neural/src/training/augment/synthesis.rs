//! Images made from labels: any contrast there may be, so that a network learns shapes instead of the greys of one scanner.
//!
//! After SynthSeg (Billot et al., doi 10.1016/j.media.2023.102789): every structure gets a mean and a deviation of its own,
//! drawn anew each time, and a smooth field of gains lies over all. Tissue that no label tells apart, such as scalp and skull
//! around a brain, is parted by the values that the sample's own image has there.

use serde::{Deserialize, Serialize};

use super::spatial::{Lattice, smooth_field};
use crate::training::random::Rng;

/// How images are made from labels.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Synthesis {
    /// Of a patch to be made from its labels; else it keeps its own values. 0 to 1.
    pub probability: f64,
    /// True if values are added to the image's own instead of put in their place, as where a scale is absolute.
    #[serde(default)]
    pub onto_image: bool,
    /// Mean value of a structure, from and to.
    pub mean: [f64; 2],
    /// Standard deviation within a structure, from and to.
    pub deviation: [f64; 2],
    /// Parts that background and each structure fall into by the values of the sample's own image, alike in size; at least 1.
    pub parts: [usize; 2],
    /// Standard deviation of the logarithm of the gain, from and to; the gain is left out of values added to an image.
    pub bias: [f64; 2],
    /// Between the knots of the cubic B-spline that the logarithm of the gain is, in mm.
    pub bias_knots_mm: f64,
}

impl Synthesis {
    /// Whether images can be made like this.
    pub(super) fn is_possible(&self) -> bool {
        let ascends = |[from, to]: [f64; 2]| from.is_finite() && from <= to && to.is_finite();
        (0.0..=1.0).contains(&self.probability)
            && [self.mean, self.deviation, self.bias].into_iter().all(ascends)
            && self.deviation[0] >= 0.0
            && !self.parts.contains(&0)
            && self.bias_knots_mm.is_finite()
            && self.bias_knots_mm > 0.0
    }
}

/// Replaces the values of a channel; without `onto_image` they have mean 0 and deviation 1 afterwards.
pub(super) fn synthesize(values: &mut [f32], labels: &[u8], lattice: Lattice, synthesis: &Synthesis, rng: &mut Rng) {
    // As many draws whether it happens or not.
    let (hit, mut rng) = (rng.chance(synthesis.probability), Rng::of(&[rng.bits()]));
    if !hit {
        return;
    }
    let bounds = bounds(values, labels, synthesis.parts);
    let mut look = |[low, high]: [f64; 2]| rng.between(low, high) as f32;
    let looks: Vec<Vec<[f32; 2]>> = bounds
        .iter()
        .map(|bounds| (0..=bounds.len()).map(|_| [look(synthesis.mean), look(synthesis.deviation)]).collect())
        .collect();
    let bias = rng.between(synthesis.bias[0], synthesis.bias[1]);
    let gains = smooth_field::<1>(lattice, synthesis.bias_knots_mm, [bias; 1], &mut rng);
    for ((value, &label), [gain]) in values.iter_mut().zip(labels).zip(gains) {
        let label = usize::from(label);
        let part = bounds[label].partition_point(|bound| bound <= value);
        let [mean, deviation] = looks[label][part];
        let drawn = mean + deviation * rng.normal() as f32;
        *value = if synthesis.onto_image { *value + drawn } else { drawn * gain.exp() };
    }
    if !synthesis.onto_image {
        standardise(values);
    }
}

/// For each label, the values that part its voxels into equal shares.
fn bounds(values: &[f32], labels: &[u8], parts: [usize; 2]) -> Vec<Vec<f32>> {
    let mut own: Vec<Vec<f32>> = vec![Vec::new(); 256];
    for (&label, &value) in labels.iter().zip(values) {
        let label = usize::from(label);
        if parts[usize::from(label != 0)] > 1 {
            own[label].push(value);
        }
    }
    let bounds = |(label, mut own): (usize, Vec<f32>)| {
        let count = parts[usize::from(label != 0)];
        own.sort_unstable_by(f32::total_cmp);
        (1..count).filter_map(|part| own.get(part * own.len() / count).copied()).collect()
    };
    own.into_iter().enumerate().map(bounds).collect()
}

fn standardise(values: &mut [f32]) {
    let count = values.len().max(1) as f64;
    let mean = values.iter().map(|&x| f64::from(x)).sum::<f64>() / count;
    let variance = values.iter().map(|&x| (f64::from(x) - mean).powi(2)).sum::<f64>() / count;
    let scale = 1.0 / variance.sqrt().max(1e-6);
    values.iter_mut().for_each(|x| *x = ((f64::from(*x) - mean) * scale) as f32);
}
