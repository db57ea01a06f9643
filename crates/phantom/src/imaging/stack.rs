//! Slices put together from thin ones: slice thickness and breathing.

use rayon::prelude::*;
use space::Point;
use volume::{ImageGeometry, Label};

use crate::error::PhantomError;
use crate::tissue::smooth_step;

/// Thin slices in the thickness of one, at least.
const THIN: f64 = 3.0;
/// Slices put together at a time; it bounds memory.
const CHUNK: usize = 24;

/// The patient breathes while the table moves.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Breathing {
    /// How far the diaphragm goes down, in mm.
    pub(crate) amplitude_mm: f32,
    /// Stature over that of the reference man.
    pub(crate) stature: f32,
}

/// Seconds of a breath.
const BREATH_S: f32 = 4.0;
/// Seconds in which one slice is measured.
const ROTATION_S: f32 = 0.5;
/// Speed of the table in mm/s.
const TABLE_MM_S: f32 = 40.0;

impl Breathing {
    /// How far what is seen at a place of the body's frame lies above it at rest, in mm; `when` is −1 at the start of the slice's
    /// measurement, 1 at its end.
    ///
    /// Belly and lower chest move along, the neck, the pelvis and what lies behind the vertebral bodies' backs do not.
    fn lift_mm(self, y: f32, z: f32, when: f32) -> f32 {
        let (y, height) = (y / self.stature, z / self.stature);
        let along = smooth_step((height - 20.0) / 120.0) * smooth_step((430.0 - height) / 150.0);
        let front = smooth_step((50.0 - y) / 70.0);
        let time = z / TABLE_MM_S + when * ROTATION_S / 2.0;
        let breath = 0.5 - 0.5 * (std::f32::consts::TAU * time / BREATH_S).cos();
        self.amplitude_mm * breath * along * front
    }
}

/// How slices are made of thin ones.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stack {
    /// Thickness in mm, along the table; `None` for slices as the raster paints them.
    pub(crate) thickness_mm: Option<f64>,
    pub(crate) breathing: Option<Breathing>,
}

/// A painter of labels and values on a grid.
type Painted<V> = (Vec<Label>, Vec<V>);

impl Stack {
    /// Whether there is anything to do.
    pub(crate) fn is_plain(&self) -> bool {
        self.thickness_mm.is_none() && self.breathing.is_none()
    }

    /// Labels in the middle of each slice's time and thickness, values averaged over both.
    ///
    /// # Errors
    /// [`PhantomError::Grid`] if thin slices make no grid.
    pub(crate) fn paint(
        &self,
        geometry: &ImageGeometry,
        thin: impl Fn(&ImageGeometry) -> Painted<i16>,
        progress: &(dyn Fn(f32) + Sync),
    ) -> Result<Painted<i16>, PhantomError> {
        let [width, height, depth] = geometry.size();
        let [dx, dy, spacing] = geometry.spacing();
        let per_slice = self.thickness_mm.map_or(1, |t| (THIN * spacing / t).ceil().clamp(1.0, 24.0) as usize);
        let step = spacing / per_slice as f64;
        // A width of one thin slice is linear interpolation between two.
        let span = self.thickness_mm.map_or(1.0, |t| (t / step).max(1.0));
        let reach = self.breathing.map_or(0.0, |b| f64::from(b.amplitude_mm) / step);
        let (below, above) = ((span / 2.0).ceil() as i64 + 1, (span / 2.0 + reach).ceil() as i64 + 1);
        let plane = width * height;
        let (mut labels, mut values) = (Vec::with_capacity(plane * depth), Vec::with_capacity(plane * depth));
        for first in (0..depth).step_by(CHUNK) {
            let count = CHUNK.min(depth - first);
            let start = (first * per_slice) as i64 - below;
            let end = ((first + count - 1) * per_slice) as i64 + above;
            let origin = geometry.lps_from_index() * Point::new(0.0, 0.0, start as f64 / per_slice as f64);
            let size = [width, height, (end - start + 1) as usize];
            let fine = ImageGeometry::new(size, [dx, dy, step], origin, geometry.direction())?;
            let (thin_labels, thin_values) = thin(&fine);
            let row_of = |r: usize| (first + r / height, r % height);
            let rows: Vec<(Vec<Label>, Vec<i16>)> = (0..count * height)
                .into_par_iter()
                .map(|r| {
                    let (k, j) = row_of(r);
                    let at = geometry.lps_from_index() * Point::new(0.0, j as f64, k as f64);
                    let place = |when: f32| {
                        let lift = self.breathing.map_or(0.0, |b| b.lift_mm(at.y as f32, at.z as f32, when));
                        (k * per_slice) as f64 - start as f64 + f64::from(lift) / step
                    };
                    let middle = (place(0.0).round() as usize).min(size[2] - 1);
                    let row = |f: usize| (f * height + j) * width;
                    let labels = thin_labels[row(middle)..row(middle) + width].to_vec();
                    let times: &[f32] = if self.breathing.is_some() { &[-1.0, 0.0, 1.0] } else { &[0.0] };
                    let mut sum = vec![0f32; width];
                    for &when in times {
                        for (f, weight) in shares(place(when), span) {
                            let f = f.min(size[2] - 1);
                            let weight = weight / times.len() as f32;
                            let source = &thin_values[row(f)..row(f) + width];
                            sum.iter_mut().zip(source).for_each(|(s, &v)| *s += f32::from(v) * weight);
                        }
                    }
                    (labels, sum.into_iter().map(|v| v.round() as i16).collect())
                })
                .collect();
            for (row_labels, row_values) in rows {
                labels.extend(row_labels);
                values.extend(row_values);
            }
            progress((first + count) as f32 / depth as f32);
        }
        Ok((labels, values))
    }
}

/// Thin slices under a box of some width round a place, in units of thin slices, with the share of the box each has.
fn shares(place: f64, width: f64) -> impl Iterator<Item = (usize, f32)> {
    let (low, high) = (place - width / 2.0, place + width / 2.0);
    let (first, last) = ((low + 0.5).floor().max(0.0) as usize, (high + 0.5).floor().max(0.0) as usize);
    (first..=last).filter_map(move |n| {
        let overlap = (high.min(n as f64 + 0.5) - low.max(n as f64 - 0.5)) / width;
        (overlap > 1e-9).then_some((n, overlap as f32))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_sum_to_one_and_lie_round_their_place() {
        for (place, width) in [(5.0, 1.0), (5.3, 1.0), (7.5, 3.0), (9.2, 4.5)] {
            let found: Vec<_> = shares(place, width).collect();
            let sum: f32 = found.iter().map(|(_, w)| w).sum();
            let mean: f64 = found.iter().map(|&(n, w)| n as f64 * f64::from(w)).sum();
            assert!((sum - 1.0).abs() < 1e-5 && (mean - place).abs() < 0.26, "{place} ± {width}: {found:?}");
        }
    }

    #[test]
    fn the_belly_moves_and_the_spine_does_not() {
        let breathing = Breathing { amplitude_mm: 12.0, stature: 1.0 };
        let most = |y: f32, range: std::ops::Range<i32>| {
            range.map(|z| breathing.lift_mm(y, z as f32, 0.0)).fold(0.0, f32::max)
        };
        assert!(most(-60.0, 150..290) > 11.0);
        assert_eq!(most(60.0, 150..290), 0.0);
        assert_eq!(most(-60.0, -200..20), 0.0);
    }
}
