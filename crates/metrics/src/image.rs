//! How alike two images of the same thing are, voxel by voxel.

use rayon::prelude::*;
use thiserror::Error;

/// Voxels of SSIM's Gaussian window along each axis (Wang et al. 2004, section III-C).
const WINDOW: usize = 11;

/// Deviation of SSIM's Gaussian window, in voxels (same place).
const SIGMA: f64 = 1.5;

/// Stabilise SSIM's ratios, times the peak (same place).
const K: [f64; 2] = [0.01, 0.03];

/// Slices of windows that are worked on at a time.
const SLAB: usize = 8;

/// Two images that cannot be compared.
#[derive(Clone, Debug, Error, PartialEq)]
#[non_exhaustive]
pub enum ImageError {
    /// Values do not fill the grid, or the images differ in size.
    #[error("a grid of {size:?} holds {expected} voxels; the images have {truth} and {other}")]
    Sizes {
        /// The grid.
        size: [usize; 3],
        /// Its voxels.
        expected: usize,
        /// Values of the truth.
        truth: usize,
        /// Values of the other.
        other: usize,
    },
    /// A peak that spans nothing.
    #[error("the peak must be a positive number, the span of the truth's values; found {peak}")]
    Peak {
        /// What was given.
        peak: f64,
    },
    /// An image smaller than the window.
    #[error("SSIM needs at least {WINDOW} voxels along each axis; found {size:?}")]
    TooSmall {
        /// Columns, rows, slices.
        size: [usize; 3],
    },
}

/// Mean squared error; the first axis of `size` is the fastest.
///
/// # Errors
/// [`ImageError::Sizes`].
pub fn mean_squared_error(truth: &[f32], other: &[f32], size: [usize; 3]) -> Result<f64, ImageError> {
    check(truth, other, size)?;
    let row = size[0].max(1);
    let squares = |(a, b): (&[f32], &[f32])| a.iter().zip(b).map(|(a, b)| f64::from(a - b).powi(2)).sum::<f64>();
    // Rows are summed one by one, so that the result does not depend on the number of threads.
    let rows: Vec<f64> = truth.par_chunks(row).zip(other.par_chunks(row)).map(squares).collect();
    Ok(rows.iter().sum::<f64>() / truth.len() as f64)
}

/// Peak signal-to-noise ratio in dB, `10 · log₁₀(peak² / mean squared error)`; infinite for equal images.
///
/// `peak` is the span of values that count, such as that of the truth; figures with different peaks do not compare.
///
/// # Errors
/// [`ImageError::Sizes`], [`ImageError::Peak`].
pub fn psnr_db(truth: &[f32], other: &[f32], size: [usize; 3], peak: f64) -> Result<f64, ImageError> {
    check_peak(peak)?;
    Ok(10.0 * (peak * peak / mean_squared_error(truth, other, size)?).log10())
}

/// Mean structural similarity (Wang, Bovik, Sheikh & Simoncelli, IEEE TIP 13(4), 2004) with a window in three dimensions:
/// 1 for equal images.
///
/// Gaussian of 11 voxels along each axis, deviation 1.5 voxels; `C₁ = (0.01 · peak)²`, `C₂ = (0.03 · peak)²`; weighted means,
/// variances and covariance without Bessel's correction; the mean is over windows that lie inside the image, as in the
/// authors' own program. The window is in voxels whatever their spacing.
///
/// # Errors
/// [`ImageError::Sizes`], [`ImageError::Peak`], [`ImageError::TooSmall`].
pub fn ssim(truth: &[f32], other: &[f32], size: [usize; 3], peak: f64) -> Result<f64, ImageError> {
    check(truth, other, size)?;
    check_peak(peak)?;
    if size.iter().any(|&n| n < WINDOW) {
        return Err(ImageError::TooSmall { size });
    }
    let inner = size.map(|n| n - (WINDOW - 1));
    let slabs: Vec<usize> = (0..inner[2]).step_by(SLAB).collect();
    let sums: Vec<f64> =
        slabs.par_iter().map(|&k| slab(truth, other, size, k..(k + SLAB).min(inner[2]), peak)).collect();
    Ok(sums.iter().sum::<f64>() / inner.iter().product::<usize>() as f64)
}

/// The sum of SSIM over windows whose first slices lie in a range.
fn slab(truth: &[f32], other: &[f32], size: [usize; 3], first: std::ops::Range<usize>, peak: f64) -> f64 {
    let [ni, nj, _] = size;
    let [mi, mj] = [ni, nj].map(|n| n - (WINDOW - 1));
    let gauss = gaussian();
    // Weighted means of a, b, a², b², ab over the windows of one slice, for the slices the windows reach.
    let planes: Vec<[Vec<f64>; 5]> = (first.start..first.end + WINDOW - 1)
        .map(|k| {
            let [a, b] = [truth, other].map(|v| &v[k * ni * nj..(k + 1) * ni * nj]);
            let product = |x: &[f32], y: &[f32]| -> Vec<f64> {
                x.iter().zip(y).map(|(&x, &y)| f64::from(x) * f64::from(y)).collect()
            };
            let plain = |x: &[f32]| -> Vec<f64> { x.iter().map(|&x| f64::from(x)).collect() };
            [plain(a), plain(b), product(a, a), product(b, b), product(a, b)].map(|v| blur(&v, [ni, nj], &gauss))
        })
        .collect();
    let [c1, c2] = K.map(|k| (k * peak).powi(2));
    let mut sum = 0.0;
    let mut means = [const { Vec::new() }; 5];
    for k in 0..first.len() {
        for (n, mean) in means.iter_mut().enumerate() {
            *mean = vec![0.0; mi * mj];
            for (plane, w) in planes[k..].iter().zip(&gauss) {
                mean.iter_mut().zip(&plane[n]).for_each(|(m, v)| *m += w * v);
            }
        }
        let [a, b, aa, bb, ab] = &means;
        for n in 0..mi * mj {
            let (va, vb, cov) = (aa[n] - a[n] * a[n], bb[n] - b[n] * b[n], ab[n] - a[n] * b[n]);
            let alike = (2.0 * a[n] * b[n] + c1) * (2.0 * cov + c2);
            sum += alike / ((a[n] * a[n] + b[n] * b[n] + c1) * (va + vb + c2));
        }
    }
    sum
}

/// One slice, averaged along columns and rows where the window fits.
fn blur(values: &[f64], [ni, nj]: [usize; 2], gauss: &[f64]) -> Vec<f64> {
    let [mi, mj] = [ni, nj].map(|n| n - (WINDOW - 1));
    let mut along = vec![0.0; mi * nj];
    for (out, row) in along.chunks_mut(mi).zip(values.chunks(ni)) {
        for (t, w) in gauss.iter().enumerate() {
            out.iter_mut().zip(&row[t..]).for_each(|(o, v)| *o += w * v);
        }
    }
    let mut out = vec![0.0; mi * mj];
    for (j, out) in out.chunks_mut(mi).enumerate() {
        for (t, w) in gauss.iter().enumerate() {
            out.iter_mut().zip(&along[(j + t) * mi..]).for_each(|(o, v)| *o += w * v);
        }
    }
    out
}

fn gaussian() -> Vec<f64> {
    let half = (WINDOW / 2) as f64;
    let raw: Vec<f64> = (0..WINDOW).map(|n| (-(n as f64 - half).powi(2) / (2.0 * SIGMA * SIGMA)).exp()).collect();
    let sum: f64 = raw.iter().sum();
    raw.into_iter().map(|w| w / sum).collect()
}

fn check(truth: &[f32], other: &[f32], size: [usize; 3]) -> Result<(), ImageError> {
    let expected = size.iter().product();
    if truth.len() == expected && other.len() == expected && expected > 0 {
        Ok(())
    } else {
        Err(ImageError::Sizes { size, expected, truth: truth.len(), other: other.len() })
    }
}

fn check_peak(peak: f64) -> Result<(), ImageError> {
    if peak.is_finite() && peak > 0.0 { Ok(()) } else { Err(ImageError::Peak { peak }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The images of `tests/oracle/ssim.py`.
    fn pair() -> (Vec<f32>, Vec<f32>, [usize; 3]) {
        let size = [17, 14, 13];
        let mut state = 1u32;
        let mut noise = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as f32 / (1 << 24) as f32
        };
        let truth: Vec<f32> =
            (0..17 * 14 * 13).map(|n| ((n % 17) * (n / 17 % 14) + n / 238) as f32 + noise()).collect();
        let other = truth.iter().map(|v| 0.9 * v + 20.0 * noise()).collect();
        (truth, other, size)
    }

    #[test]
    fn as_scikit_image() {
        let (truth, other, size) = pair();
        let peak = 220.0;
        let found = (psnr_db(&truth, &other, size, peak).unwrap(), ssim(&truth, &other, size, peak).unwrap());
        // tests/oracle/ssim.py, scikit-image 0.26.0.
        let expected = (28.100_946_907_111_13, 0.922_010_075_958_072_2);
        assert!((found.0 - expected.0).abs() < 1e-5 && (found.1 - expected.1).abs() < 1e-6, "{found:?} {expected:?}");
    }

    #[test]
    fn equal_images_are_alike_and_worse_ones_less() {
        let (truth, other, size) = pair();
        assert_eq!(psnr_db(&truth, &truth, size, 1.0).unwrap(), f64::INFINITY);
        assert!((ssim(&truth, &truth, size, 220.0).unwrap() - 1.0).abs() < 1e-9);
        let half: Vec<f32> = truth.iter().zip(&other).map(|(a, b)| (a + b) / 2.0).collect();
        let gain = psnr_db(&truth, &half, size, 220.0).unwrap() - psnr_db(&truth, &other, size, 220.0).unwrap();
        assert!((gain - 20.0 * 2f64.log10()).abs() < 1e-3, "half the error is 6.02 dB, found {gain}");
        assert!(ssim(&truth, &half, size, 220.0).unwrap() > ssim(&truth, &other, size, 220.0).unwrap());
    }

    #[test]
    fn what_cannot_be_compared_is_refused() {
        let zeros = vec![0.0; 1000];
        assert!(matches!(psnr_db(&zeros, &zeros[1..], [10; 3], 1.0), Err(ImageError::Sizes { .. })));
        assert!(matches!(psnr_db(&zeros, &zeros, [10; 3], 0.0), Err(ImageError::Peak { .. })));
        assert!(matches!(ssim(&zeros, &zeros, [10; 3], 1.0), Err(ImageError::TooSmall { .. })));
    }
}
