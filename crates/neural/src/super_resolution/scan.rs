//! Scans as the network sees them: single precision, slices outermost, intensities between two quantiles.

use rayon::prelude::*;
use volume::{ImageGeometry, ScanVolume};

use crate::error::NeuralError;

/// Between them intensities run from 0 to 1.
const QUANTILES: [f64; 2] = [0.005, 0.995];

/// Larger values are no intensities, and sums over them would overflow.
const GREATEST: f32 = 1e30;

/// Values that are looked at for quantiles.
const SAMPLES: usize = 400_000;

/// A linear map of intensities.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Scale {
    pub(super) zero: f32,
    pub(super) unit: f32,
}

impl Scale {
    /// From the values of a scan.
    ///
    /// # Errors
    /// [`NeuralError::Input`] if there is a NaN or a value whose sums and differences would overflow.
    pub(super) fn of(values: &[f32]) -> Result<Self, NeuralError> {
        if !values.par_iter().all(|v| v.abs() <= GREATEST) {
            return Err(NeuralError::Input {
                reason: format!("it holds values that are no numbers, or beyond {GREATEST:e}"),
                remedy: "replace them by what the scanner writes for air".to_owned(),
            });
        }
        // A prime number of voxels apart, so that no column is taken again and again.
        let step = (values.len() / SAMPLES).max(1);
        let step = if step > 1 { step | 1 } else { 1 };
        let mut sample: Vec<f32> = values.iter().step_by(step).copied().collect();
        sample.sort_by(f32::total_cmp);
        let at = |q: f64| sample[(q * (sample.len() - 1) as f64).round() as usize];
        let [low, high] = QUANTILES.map(at);
        let (first, last) = (sample[0], sample[sample.len() - 1]);
        let unit = if high > low { high - low } else { last - first };
        Ok(Self { zero: if high > low { low } else { first }, unit: if unit > 0.0 { unit } else { 1.0 } })
    }

    pub(super) fn to_unit(self, values: &mut [f32]) {
        values.par_iter_mut().with_min_len(1 << 14).for_each(|v| *v = (*v - self.zero) / self.unit);
    }

    pub(super) fn restore(self, values: &mut [f32]) {
        values.par_iter_mut().with_min_len(1 << 14).for_each(|v| *v = *v * self.unit + self.zero);
    }
}

/// The values of a scan in single precision.
pub(super) fn floats(scan: &ScanVolume) -> Vec<f32> {
    match scan {
        ScanVolume::I16(v) => v.data().par_iter().with_min_len(1 << 14).map(|&v| f32::from(v)).collect(),
        ScanVolume::F32(v) => v.data().to_vec(),
    }
}

/// The axes of a grid with `axis` last, the others in their order.
pub(super) const fn axis_last(axis: usize) -> [usize; 3] {
    match axis {
        0 => [1, 2, 0],
        1 => [0, 2, 1],
        _ => [0, 1, 2],
    }
}

/// Values in the order of other axes: axis `n` of the result is axis `order[n]` of the source, the first one fastest.
pub(super) fn permuted<T: Copy + Send + Sync + Default>(values: &[T], size: [usize; 3], order: [usize; 3]) -> Vec<T> {
    let strides = [1, size[0], size[0] * size[1]];
    let [a, b, c] = order.map(|axis| strides[axis]);
    let [na, nb, _] = order.map(|axis| size[axis]);
    let mut out = vec![T::default(); values.len()];
    out.par_chunks_mut(na).enumerate().for_each(|(row, out)| {
        let from = row % nb * b + row / nb * c;
        out.iter_mut().enumerate().for_each(|(n, out)| *out = values[from + n * a]);
    });
    out
}

/// The inverse of an order of axes.
pub(super) fn inverse(order: [usize; 3]) -> [usize; 3] {
    let mut back = [0; 3];
    order.into_iter().enumerate().for_each(|(n, axis)| back[axis] = n);
    back
}

/// The axis along which voxels are farthest apart: the slices' unless all are alike, and then the last.
pub fn slice_axis(geometry: &ImageGeometry) -> usize {
    let spacing = geometry.spacing();
    // One in a thousand is rounding.
    [1, 0].into_iter().fold(2, |best, axis| if spacing[axis] > spacing[best] * 1.001 { axis } else { best })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_move_there_and_back() {
        let size = [2, 3, 4];
        let values: Vec<u32> = (0..24).collect();
        for axis in 0..3 {
            let order = axis_last(axis);
            let moved = permuted(&values, size, order);
            assert_eq!(permuted(&moved, order.map(|a| size[a]), inverse(order)), values, "axis {axis}");
        }
        // Voxel (1, 2, 3) with axis 0 last is (2, 3, 1).
        assert_eq!(permuted(&values, size, [1, 2, 0])[2 + 3 * 3 + 12], 23);
    }

    #[test]
    fn values_that_would_overflow_are_refused() {
        for wrong in [f32::NAN, f32::INFINITY, -3e38] {
            let refused = Scale::of(&[0.0, 1.0, wrong]).unwrap_err().to_string();
            assert!(refused.contains("beyond 1e30"), "{refused}");
        }
        assert!(Scale::of(&[0.0, 1.0, -1e30]).is_ok());
    }

    #[test]
    fn quantiles_span_a_unit_and_flat_scans_survive() {
        let mut values: Vec<f32> = (0..=1000).map(|v| v as f32).collect();
        let scale = Scale::of(&values).unwrap();
        assert_eq!((scale.zero, scale.unit), (5.0, 990.0));
        let before = values.clone();
        scale.to_unit(&mut values);
        assert!((values[500] - 0.5).abs() < 1e-6, "{}", values[500]);
        scale.restore(&mut values);
        assert!(values.iter().zip(&before).all(|(a, b)| (a - b).abs() < 1e-3));
        assert_eq!(Scale::of(&[7.0; 9]).unwrap(), Scale { zero: 7.0, unit: 1.0 });
        assert!(Scale::of(&[0.0, f32::NAN]).is_err());
    }
}
