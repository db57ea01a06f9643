//! A scan laid out along the patient's axes, however it was stored.

use std::borrow::Cow;
use std::ops::Range;

use rayon::prelude::*;
use space::AnatomicalDirection;
use volume::{ImageGeometry, Label, ScanVolume, Volume, VolumeError};

/// Values with columns towards the patient's left, rows towards the back, slices towards the head.
///
/// Oblique scans are laid along the nearest axes. Nothing is resampled, so labels go back voxel for voxel.
pub(crate) struct Upright<'a> {
    /// Column fastest.
    pub(crate) values: Cow<'a, [i16]>,
    /// Columns, rows, slices.
    pub(crate) size: [usize; 3],
    /// Millimetres between voxels, in the same order.
    pub(crate) spacing: [f64; 3],
    axes: Axes,
}

/// For each axis of one grid: the axis of the other that runs along it, and whether it runs the other way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Axes {
    axis: [usize; 3],
    flipped: [bool; 3],
}

impl Axes {
    const IDENTITY: Self = Self { axis: [0, 1, 2], flipped: [false; 3] };

    fn of(geometry: &ImageGeometry) -> Self {
        let code = geometry.axis_code();
        let mut axes = Self { axis: [0; 3], flipped: [false; 3] };
        for (n, direction) in code.0.into_iter().enumerate() {
            let (body, flipped) = match direction {
                AnatomicalDirection::Left => (0, false),
                AnatomicalDirection::Right => (0, true),
                AnatomicalDirection::Posterior => (1, false),
                AnatomicalDirection::Anterior => (1, true),
                AnatomicalDirection::Superior => (2, false),
                AnatomicalDirection::Inferior => (2, true),
            };
            axes.axis[body] = n;
            axes.flipped[body] = flipped;
        }
        axes
    }

    const fn is_identity(self) -> bool {
        matches!(self, Self::IDENTITY)
    }

    fn inverse(self) -> Self {
        let mut inverse = self;
        for (body, &source) in self.axis.iter().enumerate() {
            inverse.axis[source] = body;
            inverse.flipped[source] = self.flipped[body];
        }
        inverse
    }

    /// Gathers `source` (of `size`) into the order of these axes.
    fn gather<T: Copy + Default + Send + Sync>(self, source: &[T], size: [usize; 3]) -> Vec<T> {
        let strides = [1, size[0], size[0] * size[1]];
        let out_size = self.axis.map(|a| size[a]);
        let step = self.axis.map(|a| strides[a]);
        let at = |axis: usize, n: usize| {
            let n = if self.flipped[axis] { out_size[axis] - 1 - n } else { n };
            n * step[axis]
        };
        let mut out = vec![T::default(); source.len()];
        out.par_chunks_exact_mut(out_size[0] * out_size[1]).enumerate().for_each(|(k, slice)| {
            for (j, row) in slice.chunks_exact_mut(out_size[0]).enumerate() {
                let base = at(1, j) + at(2, k);
                match (step[0], self.flipped[0]) {
                    (1, false) => row.copy_from_slice(&source[base..base + row.len()]),
                    (1, true) => {
                        let line = &source[base..base + row.len()];
                        row.iter_mut().zip(line.iter().rev()).for_each(|(t, s)| *t = *s);
                    }
                    _ => row.iter_mut().enumerate().for_each(|(i, t)| *t = source[base + at(0, i)]),
                }
            }
        });
        out
    }
}

impl<'a> Upright<'a> {
    /// A CT in whole Hounsfield units; fractions are rounded, values beyond 16 bits clamped.
    pub(crate) fn hounsfield(scan: &'a ScanVolume) -> Self {
        Self::scaled(scan, 1.0)
    }

    /// Any scan, its values times `scale` and rounded.
    pub(crate) fn scaled(scan: &'a ScanVolume, scale: f32) -> Self {
        let geometry = scan.geometry();
        let axes = Axes::of(geometry);
        let stored: Cow<'a, [i16]> = match scan {
            ScanVolume::I16(v) if scale == 1.0 => Cow::Borrowed(v.data()),
            ScanVolume::I16(v) => v.data().par_iter().map(|&x| (f32::from(x) * scale).round() as i16).collect(),
            ScanVolume::F32(v) => v.data().par_iter().map(|&x| (x * scale).round() as i16).collect(),
        };
        let values = if axes.is_identity() { stored } else { axes.gather(&stored, geometry.size()).into() };
        let along = |all: [f64; 3]| axes.axis.map(|a| all[a]);
        Self { values, size: axes.axis.map(|a| geometry.size()[a]), spacing: along(geometry.spacing()), axes }
    }

    /// Values that lie upright already.
    #[cfg(test)]
    pub(crate) fn plain(values: Cow<'a, [i16]>, size: [usize; 3], spacing: [f64; 3]) -> Self {
        Self { values, size, spacing, axes: Axes::IDENTITY }
    }

    /// Labels of this layout, back in the order in which the scan was stored.
    ///
    /// # Errors
    /// [`VolumeError`] if there are not as many labels as voxels.
    pub(crate) fn restore(&self, labels: Vec<Label>, geometry: ImageGeometry) -> Result<Volume<Label>, VolumeError> {
        let labels = if self.axes.is_identity() { labels } else { self.axes.inverse().gather(&labels, self.size) };
        Volume::new(geometry, labels)
    }

    /// A part of the scan, to measure in; it cannot be restored.
    pub(crate) fn cropped(&self, bounds: &[Range<usize>; 3]) -> Upright<'static> {
        let [columns, rows, slices] = bounds;
        let mut values = Vec::with_capacity(bounds.iter().map(ExactSizeIterator::len).product());
        for k in slices.clone() {
            for j in rows.clone() {
                values.extend_from_slice(self.run(k * self.size[1] + j, columns.start, columns.end));
            }
        }
        let size = [columns.len(), rows.len(), slices.len()];
        Upright { values: values.into(), size, spacing: self.spacing, axes: Axes::IDENTITY }
    }

    /// Volume of a voxel in millilitres.
    pub(crate) fn voxel_ml(&self) -> f64 {
        self.spacing.iter().product::<f64>() / 1000.0
    }

    /// Number of voxels that fill `ml` millilitres, at least one.
    pub(crate) fn voxels(&self, ml: f64) -> usize {
        ((ml / self.voxel_ml()).round() as usize).max(1)
    }

    /// The values of columns `start..end` of a row, counted over all slices.
    pub(crate) fn run(&self, row: usize, start: usize, end: usize) -> &[i16] {
        &self.values[row * self.size[0] + start..row * self.size[0] + end]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use glam::DMat3;
    use space::{AxisCode, Index, Point};

    #[test]
    fn every_orientation_is_laid_upright_and_restored() {
        for first in AnatomicalDirection::ALL {
            for second in AnatomicalDirection::ALL {
                for third in AnatomicalDirection::ALL {
                    let direction = AxisCode([first, second, third]).direction();
                    if direction.determinant() != 0.0 {
                        check(direction);
                    }
                }
            }
        }
    }

    #[track_caller]
    fn check(direction: DMat3) {
        let geometry = ImageGeometry::new([3, 4, 5], [1.0, 2.0, 3.0], Point::new(7.0, 8.0, 9.0), direction).unwrap();
        // Each voxel holds a number that orders it by left, then posterior, then superior.
        let rank = |p: [usize; 3]| {
            let at = geometry.lps_from_index() * Point::<Index>::new(p[0] as f64, p[1] as f64, p[2] as f64);
            (at.x.round() + 30.0 * at.y.round() + 900.0 * at.z.round()) as i16
        };
        let scan = ScanVolume::I16(Volume::from_fn(geometry, rank));
        let upright = Upright::hounsfield(&scan);
        assert!(upright.values.is_sorted(), "{:?}", geometry.axis_code());
        let labels: Vec<Label> = upright.values.iter().map(|&v| (i32::from(v) + 10_000) as Label).collect();
        let back = upright.restore(labels, geometry).unwrap();
        let ScanVolume::I16(stored) = &scan else { unreachable!() };
        assert!(back.data().iter().zip(stored.data()).all(|(&l, &v)| i32::from(l) == i32::from(v) + 10_000));
    }
}
