//! `mr-head`: the surface of a head from MR intensities.

use volume::{Label, ScanVolume, Volume, VolumeError};

use super::histogram::Histogram;
use super::upright::Upright;
use crate::mask::{Ball, BitMask, Components, Fill, Neighbours};

/// Intensities are scaled so that nearly all lie below this.
const SCALED_MAX: f32 = 2000.0;

/// Air is measured where the border of the scan is darkest: tissue is brighter than this many times what nearly all of
/// that air stays below. Single voxels of noise that pass are removed by majority.
const ABOVE_AIR: f64 = 1.5;

/// Share of the border's voxels that stay below the measure of air.
const AIR_SHARE: f64 = 0.99;

/// Coils see less at the neck: tissue may be as dim as this share of the median tissue.
const DIM_SHARE: f64 = 0.08;

/// How deep the border is that may hold air, in voxels.
const BORDER: usize = 4;

/// Thin bridges of noise, coil covers and pads.
const THIN_MM: f64 = 2.0;

/// Closes ear canals, nostrils and the dark skull where the scalp is thin.
const CLOSE_MM: f64 = 6.0;

/// The structures, in the order of their labels.
pub(crate) const STRUCTURES: [&str; 1] = ["head"];

/// Label 1 for all of the head, its holes filled; 0 outside.
///
/// # Errors
/// [`VolumeError`] never, as the grid is the scan's own.
pub(crate) fn segment(scan: &ScanVolume, progress: &(dyn Fn(f32) + Sync)) -> Result<Volume<Label>, VolumeError> {
    let mr = Upright::scaled(scan, SCALED_MAX / high_value(scan));
    progress(0.2);
    let threshold = tissue_threshold(&mr);
    let [bright] = BitMask::in_ranges(&mr.values, mr.size, [(threshold, i16::MAX)]);
    progress(0.4);
    let solid = bright.majority_in_plane().erode(&Ball::new(THIN_MM, mr.spacing));
    let parts = Components::of(&solid, Neighbours::Faces);
    let largest = parts.largest();
    let head = parts.mask_of(|c| Some(c) == largest).dilate(&Ball::new(THIN_MM + 1.0, mr.spacing)).and(&bright);
    progress(0.6);
    let head = head.close(&Ball::new(CLOSE_MM, mr.spacing)).filled(Fill::Slices).filled(Fill::Volume);
    let head = head.open(&Ball::new(THIN_MM, mr.spacing)).majority_in_plane();
    let parts = Components::of(&head, Neighbours::Faces);
    let largest = parts.largest();
    let head = parts.mask_of(|c| Some(c) == largest);
    progress(0.9);
    mr.restore(super::paint(mr.size, &[(1, &head)]), *scan.geometry())
}

/// A value that nearly no voxel exceeds.
fn high_value(scan: &ScanVolume) -> f32 {
    let count = scan.geometry().voxel_count();
    let mut sample: Vec<f32> = (0..count).step_by((count / 100_000).max(1)).map(|n| scan.value(n)).collect();
    sample.retain(|v| v.is_finite());
    sample.sort_by(f32::total_cmp);
    sample.get(sample.len().saturating_sub(1 + sample.len() / 500)).copied().unwrap_or(1.0).max(1e-6)
}

/// The least intensity of tissue, from the noise of air and the brightness of tissue.
fn tissue_threshold(mr: &Upright<'_>) -> i16 {
    let mut all = Histogram::new();
    // Exact zeros are padding or a removed face and tell nothing of tissue.
    mr.values.iter().step_by(7).filter(|&&v| v > 0).for_each(|&v| all.add(v.into()));
    let split = otsu(&all);
    let mut tissue = Histogram::new();
    mr.values.iter().step_by(7).filter(|&&v| i32::from(v) >= split).for_each(|&v| tissue.add(v.into()));
    let dim = DIM_SHARE * f64::from(tissue.quantile(0.5));
    (ABOVE_AIR * air(mr)).max(dim).min(f64::from(split)).max(1.0) as i16
}

/// What nearly all voxels of air stay below: the least of the six faces, some of which the head or the neck may cross.
fn air(mr: &Upright<'_>) -> f64 {
    let [ni, nj, nk] = mr.size;
    let mut faces: Vec<Histogram> = (0..6).map(|_| Histogram::new()).collect();
    for k in 0..nk {
        for j in 0..nj {
            let row = &mr.values[(k * nj + j) * ni..][..ni];
            let inner = (j < BORDER, j + BORDER >= nj, k < BORDER, k + BORDER >= nk);
            for (n, within) in [inner.0, inner.1, inner.2, inner.3].into_iter().enumerate() {
                if within {
                    row.iter().step_by(3).for_each(|&v| faces[n].add(v.into()));
                }
            }
            row.iter().take(BORDER).for_each(|&v| faces[4].add(v.into()));
            row.iter().rev().take(BORDER).for_each(|&v| faces[5].add(v.into()));
        }
    }
    faces.iter().map(|f| f64::from(f.quantile(AIR_SHARE))).fold(f64::MAX, f64::min)
}

/// The value that splits a histogram into two classes with the greatest variance between them (Otsu 1979).
fn otsu(histogram: &Histogram) -> i32 {
    let total = histogram.total() as f64;
    let all: f64 = histogram.counts().map(|(v, n)| f64::from(v) * f64::from(n)).sum();
    let (mut below, mut sum, mut best, mut at) = (0.0, 0.0, -1.0, 0);
    for (value, count) in histogram.counts() {
        below += f64::from(count);
        sum += f64::from(value) * f64::from(count);
        if below == 0.0 || below == total {
            continue;
        }
        let apart = sum / below - (all - sum) / (total - below);
        let variance = below * (total - below) * apart * apart;
        if variance > best {
            (best, at) = (variance, value + 1);
        }
    }
    at
}
