//! What happens to the values of a channel.

use super::Augmentation;
use crate::training::random::Rng;

pub(super) fn vary(values: &mut [f32], size: [usize; 3], augmentation: &Augmentation, rng: &mut Rng) {
    // Noise draws as many numbers as there are voxels, so it has a generator of its own.
    let mut noise = Rng::of(&[rng.bits()]);
    if let Some(deviation) = augmentation.noise.draw(rng) {
        values.iter_mut().for_each(|x| *x += (deviation * noise.normal()) as f32);
    }
    if let Some(sigma) = augmentation.blur.draw(rng) {
        blur(values, size, sigma);
    }
    if let Some(factor) = augmentation.brightness.draw(rng) {
        values.iter_mut().for_each(|x| *x *= factor as f32);
    }
    if let Some(factor) = augmentation.contrast.draw(rng) {
        let mean = mean(values);
        let (low, high) = extremes(values);
        values.iter_mut().for_each(|x| *x = ((*x - mean) * factor as f32 + mean).clamp(low, high));
    }
    if let Some(factor) = augmentation.resolution.draw(rng) {
        coarsen(values, size, factor);
    }
    if let Some(exponent) = augmentation.gamma_inverted.draw(rng) {
        values.iter_mut().for_each(|x| *x = -*x);
        gamma(values, exponent);
        values.iter_mut().for_each(|x| *x = -*x);
    }
    if let Some(exponent) = augmentation.gamma.draw(rng) {
        gamma(values, exponent);
    }
}

fn mean(values: &[f32]) -> f32 {
    (values.iter().map(|&x| f64::from(x)).sum::<f64>() / values.len().max(1) as f64) as f32
}

fn deviation(values: &[f32], mean: f32) -> f32 {
    let squares: f64 = values.iter().map(|&x| f64::from(x - mean).powi(2)).sum();
    (squares / values.len().max(1) as f64).sqrt() as f32
}

fn extremes(values: &[f32]) -> (f32, f32) {
    values.iter().fold((f32::INFINITY, f32::NEG_INFINITY), |(low, high), &x| (low.min(x), high.max(x)))
}

/// A power of the values between the least and the greatest; mean and deviation stay.
fn gamma(values: &mut [f32], exponent: f64) {
    let (low, high) = extremes(values);
    let range = high - low;
    if range.is_nan() || range <= 0.0 {
        return;
    }
    let old_mean = mean(values);
    let old_deviation = deviation(values, old_mean);
    let exponent = exponent as f32;
    values.iter_mut().for_each(|x| *x = ((*x - low) / range).powf(exponent) * range + low);
    let new_mean = mean(values);
    let factor = old_deviation / deviation(values, new_mean).max(1e-8);
    values.iter_mut().for_each(|x| *x = (*x - new_mean) * factor + old_mean);
}

/// Calls `f` with every line along each axis, and writes back what it makes of it.
fn along_axes(values: &mut [f32], size: [usize; 3], mut f: impl FnMut(usize, &[f32], &mut [f32])) {
    for axis in 0..3 {
        let stride: usize = size[axis + 1..].iter().product();
        let (mut line, mut result) = (vec![0.0; size[axis]], vec![0.0; size[axis]]);
        for outer in 0..size[..axis].iter().product() {
            for inner in 0..stride {
                let first = outer * size[axis] * stride + inner;
                for (i, x) in line.iter_mut().enumerate() {
                    *x = values[first + i * stride];
                }
                f(axis, &line, &mut result);
                for (i, &x) in result.iter().enumerate() {
                    values[first + i * stride] = x;
                }
            }
        }
    }
}

/// A Gaussian with `sigma` voxels; the ends go on as they are.
fn blur(values: &mut [f32], size: [usize; 3], sigma: f64) {
    let radius = (3.0 * sigma).ceil() as isize;
    let weights: Vec<f64> = (-radius..=radius).map(|i| (-0.5 * (i as f64 / sigma).powi(2)).exp()).collect();
    let total: f64 = weights.iter().sum();
    let weights: Vec<f32> = weights.iter().map(|w| (w / total) as f32).collect();
    along_axes(values, size, |_, line, result| {
        let last = line.len() as isize - 1;
        for (i, out) in result.iter_mut().enumerate() {
            let taps = (-radius..=radius).zip(&weights);
            *out = taps.map(|(offset, w)| w * line[(i as isize + offset).clamp(0, last) as usize]).sum();
        }
    });
}

/// Fewer voxels, each the nearest of the old, and back by linear interpolation.
fn coarsen(values: &mut [f32], size: [usize; 3], factor: f64) {
    let coarse = size.map(|n| ((n as f64 * factor).round() as usize).clamp(1, n));
    along_axes(values, size, |axis, line, result| {
        let (fine, few) = (line.len(), coarse[axis]);
        let step = fine as f64 / few as f64;
        let sample = |i: usize| line[(((i as f64 + 0.5) * step) as usize).min(fine - 1)];
        for (i, out) in result.iter_mut().enumerate() {
            let at = ((i as f64 + 0.5) / step - 0.5).clamp(0.0, few as f64 - 1.0);
            let lower = at as usize;
            let part = (at - lower as f64) as f32;
            *out = sample(lower) * (1.0 - part) + sample((lower + 1).min(few - 1)) * part;
        }
    });
}
