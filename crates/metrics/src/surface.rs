//! Distances between the surfaces of a segment in two label maps.

use rayon::prelude::*;
use volume::{ImageGeometry, Label, LabelMap, Volume, distance};

use crate::{Labels, MetricsError, same_grid};

/// Distances in mm from every surface voxel of each map to the surface in the other, sorted.
#[derive(Clone, Debug, PartialEq)]
pub struct SurfaceDistances {
    /// From the truth to the prediction.
    pub from_truth: Vec<f32>,
    /// From the prediction to the truth.
    pub from_prediction: Vec<f32>,
}

impl SurfaceDistances {
    /// The distance below which `percentile` per cent of the surface lie, the worse of both directions, in mm.
    ///
    /// 100 is the Hausdorff distance, 95 is HD95. Between two voxels it is interpolated, as NumPy does. `None` if both
    /// maps lack the segment, infinite if one does.
    ///
    /// # Errors
    /// [`MetricsError::Percentile`].
    pub fn hausdorff_mm(&self, percentile: f64) -> Result<Option<f64>, MetricsError> {
        if !(0.0..=100.0).contains(&percentile) {
            return Err(MetricsError::Percentile { percentile });
        }
        let one_way = [&self.from_truth, &self.from_prediction].map(|d| quantile(d, percentile / 100.0));
        Ok(match one_way {
            [None, None] => None,
            [Some(a), Some(b)] => Some(a.max(b)),
            _ => Some(f64::INFINITY),
        })
    }

    /// The part of both surfaces that lies within the tolerance of the other; `None` if both maps lack the segment.
    ///
    /// Each surface voxel counts once, whatever its area.
    ///
    /// # Errors
    /// [`MetricsError::Tolerance`].
    pub fn surface_dice(&self, tolerance_mm: f64) -> Result<Option<f64>, MetricsError> {
        if !(tolerance_mm >= 0.0 && tolerance_mm.is_finite()) {
            return Err(MetricsError::Tolerance { tolerance_mm });
        }
        // Voxels at exactly the tolerance count, whatever single precision makes of them.
        let limit = (tolerance_mm * (1.0 + 1e-6)) as f32;
        let all = self.from_truth.len() + self.from_prediction.len();
        let near = |distances: &[f32]| distances.partition_point(|d| *d <= limit);
        let within = near(&self.from_truth) + near(&self.from_prediction);
        Ok((all > 0).then(|| within as f64 / all as f64))
    }

    /// The mean distance over both surfaces, in mm; `None` if both maps lack the segment.
    pub fn mean_mm(&self) -> Option<f64> {
        let all = self.from_truth.len() + self.from_prediction.len();
        let sum: f64 = self.from_truth.iter().chain(&self.from_prediction).map(|d| f64::from(*d)).sum();
        (all > 0).then(|| sum / all as f64)
    }
}

/// Measures both surfaces of a segment, its parts included.
///
/// Infinite distances stand for a segment that the other map lacks.
///
/// # Errors
/// [`MetricsError::Grids`].
pub fn surface_distances(
    truth: &LabelMap,
    prediction: &LabelMap,
    label: Label,
) -> Result<SurfaceDistances, MetricsError> {
    let geometry = same_grid(truth, prediction)?;
    let (in_truth, in_prediction) = (Labels::of(truth, label), Labels::of(prediction, label));
    let anywhere =
        |at: usize| in_truth.hold(truth.voxels.data()[at]) || in_prediction.hold(prediction.voxels.data()[at]);
    let Some(part) = bounding_box(&geometry, anywhere) else {
        return Ok(SurfaceDistances { from_truth: Vec::new(), from_prediction: Vec::new() });
    };
    let a = surface(&part.cut(truth, &in_truth));
    let b = surface(&part.cut(prediction, &in_prediction));
    Ok(SurfaceDistances { from_truth: distances(&a, &b), from_prediction: distances(&b, &a) })
}

/// Percentile of the surface distance, the worse of both directions, in mm: 100 for Hausdorff, 95 for HD95.
///
/// # Errors
/// [`MetricsError`] for different grids or a percentile outside 0 to 100.
pub fn hausdorff_mm(
    truth: &LabelMap,
    prediction: &LabelMap,
    label: Label,
    percentile: f64,
) -> Result<Option<f64>, MetricsError> {
    surface_distances(truth, prediction, label)?.hausdorff_mm(percentile)
}

/// The part of both surfaces within `tolerance_mm` of each other.
///
/// # Errors
/// [`MetricsError`] for different grids or a tolerance that is no distance.
pub fn surface_dice(
    truth: &LabelMap,
    prediction: &LabelMap,
    label: Label,
    tolerance_mm: f64,
) -> Result<Option<f64>, MetricsError> {
    surface_distances(truth, prediction, label)?.surface_dice(tolerance_mm)
}

/// A box of voxels.
struct Part {
    start: [usize; 3],
    geometry: ImageGeometry,
}

impl Part {
    /// The segment as a mask over the box.
    fn cut(&self, map: &LabelMap, labels: &Labels) -> Volume<bool> {
        let (data, whole) = (map.voxels.data(), map.geometry());
        let at = |[i, j, k]: [usize; 3]| whole.offset(i + self.start[0], j + self.start[1], k + self.start[2]);
        Volume::from_fn(self.geometry, |voxel| labels.hold(data[at(voxel)]))
    }
}

/// The smallest box that holds all accepted voxels.
fn bounding_box(geometry: &ImageGeometry, inside: impl Fn(usize) -> bool + Sync) -> Option<Part> {
    let [ni, nj, nk] = geometry.size();
    let none = ([usize::MAX; 3], [0; 3]);
    let rows = (0..nj * nk).into_par_iter().filter_map(|row| {
        let first = (0..ni).find(|i| inside(i + ni * row))?;
        let last = (0..ni).rev().find(|i| inside(i + ni * row))?;
        Some(([first, row % nj, row / nj], [last, row % nj, row / nj]))
    });
    let merge = |a: ([usize; 3], [usize; 3]), b: ([usize; 3], [usize; 3])| {
        ([0, 1, 2].map(|n| a.0[n].min(b.0[n])), [0, 1, 2].map(|n| a.1[n].max(b.1[n])))
    };
    let (start, end) = rows.reduce(|| none, merge);
    if start == none.0 {
        return None;
    }
    let size = [0, 1, 2].map(|n| end[n] - start[n] + 1);
    let geometry = geometry.cropped(start.map(usize::cast_signed), size).ok()?;
    Some(Part { start, geometry })
}

/// Voxels of the mask with a face to one that is not, or to the outside of the box.
fn surface(mask: &Volume<bool>) -> Volume<bool> {
    Volume::from_fn(*mask.geometry(), |[i, j, k]| {
        let at = |i: usize, j: usize, k: usize| mask.get(i, j, k).copied().unwrap_or(false);
        // Below zero wraps to far outside.
        let [before_i, before_j, before_k] = [i, j, k].map(|n| n.wrapping_sub(1));
        let enclosed = at(before_i, j, k)
            && at(i + 1, j, k)
            && at(i, before_j, k)
            && at(i, j + 1, k)
            && at(i, j, before_k)
            && at(i, j, k + 1);
        at(i, j, k) && !enclosed
    })
}

fn distances(from: &Volume<bool>, to: &Volume<bool>) -> Vec<f32> {
    let squared = distance::squared_distance_mm2(to);
    let on_surface = from.data().iter().zip(squared.data()).filter(|(on, _)| **on);
    let mut distances: Vec<f32> = on_surface.map(|(_, d)| d.sqrt()).collect();
    distances.par_sort_unstable_by(f32::total_cmp);
    distances
}

/// Linear between the two nearest of the sorted values.
fn quantile(sorted: &[f32], part: f64) -> Option<f64> {
    let position = part * sorted.len().checked_sub(1)? as f64;
    let (low, weight) = (position.floor(), position.fract());
    let at = |n: f64| sorted.get(n as usize).copied().map(f64::from);
    let (below, above) = (at(low)?, at(low + weight.ceil())?);
    // Not by weights when both are infinite.
    Some(if below == above { below } else { below + (above - below) * weight })
}
