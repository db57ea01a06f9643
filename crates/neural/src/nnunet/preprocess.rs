//! From a scan to what the network sees: transposed, cropped, normalised, resampled.

use volume::ScanVolume;

use super::plans::{Configuration, Intensities, NormMask, Normalization, Plans};
use super::resample::{self, separate_axis};
use super::view::{View, filled_mask, nonzero_box, read_row};
use crate::NeuralError;

/// A scan on the network's grid.
pub(super) struct Prepared {
    /// `[channels, size]`.
    pub(super) values: Vec<f32>,
    pub(super) size: [usize; 3],
    /// The part of the scan that this is, along the network's axes.
    pub(super) view: View,
    /// Of the scan, along the network's axes.
    pub(super) spacing_mm: [f64; 3],
}

/// `scans` are the channels, on one grid; `view` and `spacing_mm` are the scan as nnU-Net's reader gives it.
pub(super) fn prepare(
    scans: &[&ScanVolume],
    (view, spacing_mm): (View, [f64; 3]),
    plans: &Plans,
    configuration: &Configuration,
) -> Result<Prepared, NeuralError> {
    let order = plans.transpose_forward;
    let whole = view.permuted(order);
    let spacing_mm = order.map(|a| spacing_mm[a]);
    let (start, end) = nonzero_box(scans, &whole);
    let view = whole.cropped(start, end);
    let masked = |&(scheme, mask): &_| scheme == Normalization::ZScore && mask == NormMask::NonZero;
    let mask = configuration.normalization.iter().any(masked).then(|| {
        let filled = filled_mask(scans, &whole);
        let row = |a: usize, b: usize| &filled[(a * whole.size[1] + b) * whole.size[2] + start[2]..][..view.size[2]];
        (start[0]..end[0]).flat_map(|a| (start[1]..end[1]).flat_map(move |b| row(a, b))).copied().collect::<Vec<bool>>()
    });
    let size = resample::new_size(view.size, spacing_mm, configuration.spacing);
    let voxels = size.iter().fold(1, |all: usize, &n| all.saturating_mul(n));
    if voxels > MOST_VOXELS {
        return Err(NeuralError::Input {
            reason: format!(
                "at the network's spacing of {:?} mm it has {size:?} voxels, too many",
                configuration.spacing
            ),
            remedy: "crop it to what the network was made for, or look whether its plans are what they were".to_owned(),
        });
    }
    let mut values = Vec::with_capacity(scans.len() * voxels);
    for (channel, (scan, scheme)) in scans.iter().zip(&configuration.normalization).enumerate() {
        let mask = mask.as_deref().filter(|_| masked(scheme));
        let intensities = plans.intensities.get(&channel);
        let normal = Normal::of(scan, &view, scheme.0, intensities, mask)?;
        let source = Source { scan, view: &view, normal, mask };
        values.append(&mut source.resampled(size, spacing_mm, configuration));
    }
    Ok(Prepared { values, size, view, spacing_mm })
}

/// `(clamp(x) − shift) / scale`.
#[derive(Clone, Copy, Debug)]
struct Normal {
    limits: [f32; 2],
    shift: f32,
    scale: f32,
}

/// Voxels of the largest scan that is run: 2 GiB in single precision.
const MOST_VOXELS: usize = 1 << 29;

/// Least deviation that is divided by, as in nnU-Net.
const EPS: f32 = 1e-8;

impl Normal {
    fn of(
        scan: &ScanVolume,
        view: &View,
        scheme: Normalization,
        intensities: Option<&Intensities>,
        mask: Option<&[bool]>,
    ) -> Result<Self, NeuralError> {
        let all = [f32::NEG_INFINITY, f32::INFINITY];
        Ok(match scheme {
            Normalization::None => Self { limits: all, shift: 0.0, scale: 1.0 },
            Normalization::Ct => {
                let i = intensities.ok_or_else(|| NeuralError::Description {
                    field: "foreground_intensity_properties_per_channel".into(),
                    reason: "is missing, though the normalisation is CTNormalization".into(),
                })?;
                let limits = [i.percentile_00_5 as f32, i.percentile_99_5 as f32];
                if !(limits[0] <= limits[1] && i.mean.is_finite() && i.std.is_finite()) {
                    return Err(NeuralError::Description {
                        field: "foreground_intensity_properties_per_channel".into(),
                        reason: format!("has no order: {i:?}"),
                    });
                }
                Self { limits, shift: i.mean as f32, scale: (i.std as f32).max(EPS) }
            }
            Normalization::ZScore => {
                let (mean, deviation) = moments(scan, view, mask);
                Self { limits: all, shift: mean, scale: deviation.max(EPS) }
            }
            Normalization::RescaleTo01 => {
                let [low, high] = limits(scan, view);
                Self { limits: all, shift: low, scale: (high - low).max(EPS) }
            }
            Normalization::RgbTo01 => {
                let [low, high] = limits(scan, view);
                if !(low >= 0.0 && high <= 255.0) {
                    return Err(NeuralError::Input {
                        reason: format!("it takes values from 0 to 255, and the scan's run from {low} to {high}"),
                        remedy: "choose a network for this kind of scan".into(),
                    });
                }
                Self { limits: all, shift: 0.0, scale: 255.0 }
            }
        })
    }

    fn apply(&self, x: f32) -> f32 {
        (x.clamp(self.limits[0], self.limits[1]) - self.shift) / self.scale
    }
}

fn for_each_row(scan: &ScanVolume, view: &View, mut with: impl FnMut(usize, &[f32])) {
    let mut row = vec![0.0; view.size[2]];
    for n in 0..view.size[0] * view.size[1] {
        read_row(scan, view, [n / view.size[1], n % view.size[1]], &mut row);
        with(n, &row);
    }
}

/// Mean and standard deviation.
fn moments(scan: &ScanVolume, view: &View, mask: Option<&[bool]>) -> (f32, f32) {
    let sum_of = |of: &dyn Fn(f64) -> f64| {
        let (mut sum, mut count) = (0.0, 0u64);
        for_each_row(scan, view, |n, row| {
            let (mut part, width) = (0.0, row.len());
            for (i, &v) in row.iter().enumerate() {
                if mask.is_none_or(|mask| mask[n * width + i]) {
                    part += of(f64::from(v));
                    count += 1;
                }
            }
            sum += part;
        });
        sum / count.max(1) as f64
    };
    let mean = sum_of(&|v| v);
    (mean as f32, sum_of(&|v| (v - mean) * (v - mean)).sqrt() as f32)
}

fn limits(scan: &ScanVolume, view: &View) -> [f32; 2] {
    let mut limits = [f32::INFINITY, f32::NEG_INFINITY];
    for_each_row(scan, view, |_, row| {
        let [low, high] = resample::range(row);
        limits = [limits[0].min(low), limits[1].max(high)];
    });
    limits
}

/// One normalised channel.
struct Source<'a> {
    scan: &'a ScanVolume,
    view: &'a View,
    normal: Normal,
    /// The voxels that are normalised, along the axes of `view`; without it all.
    mask: Option<&'a [bool]>,
}

impl Source<'_> {
    fn value(&self, at: [usize; 3], x: f32) -> f32 {
        let [_, b, c] = self.view.size;
        let inside = self.mask.is_none_or(|mask| mask[(at[0] * b + at[1]) * c + at[2]]);
        if inside { self.normal.apply(x) } else { x }
    }

    /// Normalised, plane `a` along the axes `order` of the view.
    fn plane(&self, order: [usize; 3], a: usize) -> Vec<f32> {
        let view = self.view.permuted(order);
        let width = view.size[2];
        let mut plane = vec![0.0; view.size[1] * width];
        for (b, row) in plane.chunks_exact_mut(width).enumerate() {
            read_row(self.scan, &view, [a, b], row);
            for (c, x) in row.iter_mut().enumerate() {
                let mut at = [0; 3];
                for (axis, n) in order.into_iter().zip([a, b, c]) {
                    at[axis] = n;
                }
                *x = self.value(at, *x);
            }
        }
        plane
    }

    fn resampled(&self, size: [usize; 3], spacing_mm: [f64; 3], configuration: &Configuration) -> Vec<f32> {
        let resampling = &configuration.resampling_data;
        let old = self.view.size;
        if size == old {
            return (0..old[0]).flat_map(|a| self.plane([0, 1, 2], a)).collect();
        }
        let axis = separate_axis(resampling, spacing_mm, configuration.spacing);
        // The axis that is set apart comes first, and back to its place in the end.
        let order = match axis {
            None | Some(0) => [0, 1, 2],
            Some(1) => [1, 0, 2],
            Some(_) => [2, 0, 1],
        };
        let orders = [if axis.is_some() { resampling.order_z } else { resampling.order }, resampling.order];
        let limits = axis.is_none().then(|| {
            (0..old[0])
                .map(|a| resample::range(&self.plane([0, 1, 2], a)))
                .fold([f32::INFINITY, f32::NEG_INFINITY], |[low, high], [l, h]| [low.min(l), high.max(h)])
        });
        let (from, to) = (order.map(|a| old[a]), order.map(|a| size[a]));
        let values = resample::volume(from, to, orders, limits, &|a| self.plane(order, a));
        if order == [0, 1, 2] { values } else { back(&values, order, size) }
    }
}

/// Values along the axes `order` of a grid of `size`, along its own axes.
fn back(values: &[f32], order: [usize; 3], size: [usize; 3]) -> Vec<f32> {
    let to = order.map(|a| size[a]);
    let mut step = [0; 3];
    for (axis, n) in order.into_iter().zip([to[1] * to[2], to[2], 1]) {
        step[axis] = n;
    }
    let mut out = Vec::with_capacity(values.len());
    for a in 0..size[0] {
        for b in 0..size[1] {
            out.extend((0..size[2]).map(|c| values[a * step[0] + b * step[1] + c * step[2]]));
        }
    }
    out
}
