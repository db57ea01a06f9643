//! Slices put together from thin ones: slice thickness, and breathing while the table moves.

use rayon::prelude::*;
use space::Point;
use volume::{ImageGeometry, Label};

use crate::error::PhantomError;

/// Thin slices in the thickness of one, at least.
const THIN: f64 = 3.0;

/// Seconds of a breath.
const BREATH_S: f64 = 4.0;
/// Seconds in which one slice is measured.
const ROTATION_S: f64 = 0.5;
/// Speed of the table in mm/s.
const TABLE_MM_S: f64 = 40.0;
/// When a breathing patient is caught within a rotation, in rotations.
const TIMES: [f64; 3] = [0.0, -0.4, 0.4];

/// How slices are made.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stack {
    /// Thickness in mm, along the table; `None` for slices as the raster paints them.
    pub(crate) thickness_mm: Option<f64>,
    /// Whether the patient breathes during the scan.
    pub(crate) breathes: bool,
}

/// Labels and values of a grid.
type Painted = (Vec<Label>, Vec<i16>);

impl Stack {
    /// Whether there is anything to do.
    pub(crate) fn is_plain(&self) -> bool {
        self.thickness_mm.is_none() && !self.breathes
    }

    /// Labels in the middle of each slice's thickness and time, values averaged over both.
    ///
    /// `thin` paints a grid at a place between breath out, 0, and in, 1.
    ///
    /// # Errors
    /// [`PhantomError::Grid`] if thin slices make no grid.
    pub(crate) fn paint(
        &self,
        geometry: &ImageGeometry,
        thin: impl Fn(&ImageGeometry, f32) -> Painted + Sync,
        progress: &(dyn Fn(f32) + Sync),
    ) -> Result<Painted, PhantomError> {
        let [width, height, depth] = geometry.size();
        let [dx, dy, spacing] = geometry.spacing();
        let plane = width * height;
        // An odd number, so that one lies in the middle.
        let layers = self.thickness_mm.map_or(1, |t| ((THIN * t / spacing).ceil() as usize).clamp(3, 31) | 1);
        let step = self.thickness_mm.map_or(spacing, |t| t / layers as f64);
        let times = if self.breathes { &TIMES[..] } else { &TIMES[..1] };
        let (mut labels, mut values) = (vec![volume::BACKGROUND; plane * depth], vec![0i16; plane * depth]);
        let done = std::sync::atomic::AtomicUsize::new(0);
        let slices = labels.par_chunks_mut(plane).zip(values.par_chunks_mut(plane)).enumerate();
        slices.try_for_each(|(k, (labels, values))| {
            let below = (layers - 1) as f64 / 2.0 * step / spacing;
            let origin = geometry.lps_from_index() * Point::new(0.0, 0.0, k as f64 - below);
            let fine = ImageGeometry::new([width, height, layers], [dx, dy, step], origin, geometry.direction())?;
            let mut sum = vec![0f32; plane];
            for (n, time) in times.iter().enumerate() {
                let seconds = k as f64 * spacing / TABLE_MM_S + time * ROTATION_S;
                let breath = 0.5 - 0.5 * (std::f64::consts::TAU * seconds / BREATH_S).cos();
                let inhaled = if self.breathes { breath as f32 } else { 0.0 };
                let (thin_labels, thin_values) = thin(&fine, inhaled);
                if n == 0 {
                    labels.copy_from_slice(&thin_labels[layers / 2 * plane..(layers / 2 + 1) * plane]);
                }
                for layer in thin_values.chunks_exact(plane) {
                    sum.iter_mut().zip(layer).for_each(|(s, &v)| *s += f32::from(v));
                }
            }
            let share = 1.0 / (layers * times.len()) as f32;
            values.iter_mut().zip(sum).for_each(|(v, s)| *v = (s * share).round() as i16);
            let count = done.fetch_add(1, std::sync::atomic::Ordering::Relaxed) + 1;
            progress(count as f32 / depth as f32);
            Ok::<(), PhantomError>(())
        })?;
        Ok((labels, values))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use glam::DMat3;

    /// A stack over a body whose value is ten times the height in mm.
    fn painted(stack: Stack) -> Painted {
        let geometry = ImageGeometry::new([2, 1, 6], [1.0, 1.0, 4.0], Point::ZERO, DMat3::IDENTITY).unwrap();
        let thin = |fine: &ImageGeometry, breath: f32| {
            let [_, _, depth] = fine.size();
            let z = |k: usize| (fine.lps_from_index() * Point::new(0.0, 0.0, k as f64)).z;
            let each = |k: usize| [z(k), z(k)].map(|z| (10.0 * z).abs().round() as i16 + (1000.0 * breath) as i16);
            let values: Vec<i16> = (0..depth).flat_map(each).collect();
            (values.iter().map(|v| *v as Label).collect(), values)
        };
        stack.paint(&geometry, thin, &|_| ()).unwrap()
    }

    #[test]
    fn a_ramp_stays_a_ramp_and_its_kink_is_blunted() {
        let thin = painted(Stack { thickness_mm: Some(0.5), breathes: false }).1;
        let thick = painted(Stack { thickness_mm: Some(8.0), breathes: false }).1;
        assert_eq!(thin[2..], [40, 40, 80, 80, 120, 120, 160, 160, 200, 200]);
        assert_eq!(thick[2..], thin[2..]);
        assert!((18..=22).contains(&thick[0]) && thin[0] <= 2, "|z| over 8 mm is 2 mm: {thick:?}, {thin:?}");
    }

    #[test]
    fn breath_comes_and_goes_with_the_table() {
        let (labels, values) = painted(Stack { thickness_mm: None, breathes: true });
        assert_eq!(labels[0], 0);
        assert!(values[0] > 10, "half a second of breath blurs: {values:?}");
        assert!(values[10] > values[4], "{values:?}");
    }
}
