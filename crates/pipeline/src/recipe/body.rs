//! The patient without the couch.

use super::upright::Upright;
use crate::mask::{Ball, BitMask, Components, Fill, Neighbours};

/// Half-way between air and skin; foam and blankets stay below.
pub(crate) const BODY_MIN_HU: i16 = -300;

/// What is thinner than twice this is a shell of the couch, a blanket or a cable. Chosen on couches of two vendors.
const THIN_MM: f64 = 4.0;

/// A second part (an arm beside the trunk, a second leg) counts from this share of the largest one on.
const PART_OF_LARGEST: f64 = 0.015;

/// Mean values between these are a patient's; carbon, plastic and metal lie outside.
const PATIENT_MEAN_HU: std::ops::RangeInclusive<f64> = -150.0..=400.0;

/// The body from what is denser than [`BODY_MIN_HU`]: its large parts after thin things are taken off, holes filled slice
/// by slice.
pub(crate) fn body(ct: &Upright<'_>, dense: &BitMask) -> BitMask {
    let eroded = dense.erode(&Ball::in_plane(THIN_MM, ct.spacing));
    let parts = Components::of(&eroded, Neighbours::Faces);
    let Some(largest) = parts.largest() else { return BitMask::empty(ct.size) };
    let enough = (parts.sizes[largest] as f64 * PART_OF_LARGEST) as usize;
    let mut sums = vec![0i64; parts.len()];
    parts.for_runs(|c, row, run| {
        if parts.sizes[c] >= enough {
            sums[c] += ct.run(row, run.start as usize, run.end as usize).iter().map(|&v| i64::from(v)).sum::<i64>();
        }
    });
    let kept = parts.mask_of(|c| {
        let mean = sums[c] as f64 / parts.sizes[c] as f64;
        c == largest || parts.sizes[c] >= enough && PATIENT_MEAN_HU.contains(&mean)
    });
    // A little more than was taken off, so that corners come back.
    let reach = THIN_MM + ct.spacing[0].max(ct.spacing[1]);
    kept.dilate(&Ball::in_plane(reach, ct.spacing)).and(dense).filled(Fill::Slices)
}
