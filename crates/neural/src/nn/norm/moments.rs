//! Means and variances.

use candle_core::{CpuStorage, Result, Storage, Tensor, bail};
use rayon::prelude::*;

use super::Sharing;
use crate::nn::floats;

/// Values summed at once; fixed, so that sums do not depend on the threads.
pub(super) const BLOCK: usize = 1 << 12;

/// Mean and biased variance.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Moments {
    pub(super) mean: f64,
    pub(super) variance: f64,
}

/// What a function makes of the values of a tensor.
pub(super) fn with_floats<R>(x: &Tensor, read: impl FnOnce(&[f32]) -> Result<R>) -> Result<R> {
    let (storage, layout) = x.storage_and_layout();
    match &*storage {
        Storage::Cpu(storage @ CpuStorage::F32(_)) => read(floats(storage, layout)?),
        _ => bail!("normalisation takes `f32` in the processor's memory"),
    }
}

/// Moments of every set of values of `x` `[N, C, ...]` that share a mean.
pub(super) fn of_tensor(x: &Tensor, sharing: Sharing) -> Result<Vec<Moments>> {
    let [items, channels, size] = sizes(x)?;
    with_floats(x, |values| {
        let parts = of_channels(values, size);
        Ok(match sharing {
            Sharing::Channels(1) => parts,
            Sharing::Channels(group) => parts.chunks(group).map(merge).collect(),
            Sharing::Items => {
                (0..channels).map(|c| merge(&(0..items).map(|n| parts[n * channels + c]).collect::<Vec<_>>())).collect()
            }
        })
    })
}

/// Items, channels, and values of a channel.
pub(super) fn sizes(x: &Tensor) -> Result<[usize; 3]> {
    let &[items, channels, ref size @ ..] = x.dims() else {
        bail!("normalisation takes [N, C, ...], not {:?}", x.shape());
    };
    let size = size.iter().product();
    if items * channels * size == 0 {
        bail!("nothing to normalise in {:?}", x.shape());
    }
    Ok([items, channels, size])
}

/// Moments of each piece of `size` values.
pub(super) fn of_channels(values: &[f32], size: usize) -> Vec<Moments> {
    values.par_chunks(size).map(of_channel).collect()
}

/// Moments of one piece.
pub(super) fn of_channel(values: &[f32]) -> Moments {
    // Long channels may be few, so they are shared among threads as well.
    let blocks: Vec<(f64, f64, usize)> = values.par_chunks(BLOCK).with_min_len(8).map(block).collect();
    // Chan, Golub & LeVeque, "Updating formulae and a pairwise algorithm for computing sample variances" (1979).
    let (mut mean, mut squares, mut count) = (0.0, 0.0, 0);
    for (block_mean, block_squares, block_count) in blocks {
        let total = count + block_count;
        let delta = block_mean - mean;
        mean += delta * block_count as f64 / total as f64;
        squares += block_squares + delta * delta * (count as f64 * block_count as f64 / total as f64);
        count = total;
    }
    Moments { mean, variance: squares / count.max(1) as f64 }
}

/// Mean, sum of squared deviations, and count.
fn block(values: &[f32]) -> (f64, f64, usize) {
    let mean = lane_sum(values, |x| x) / values.len() as f64;
    let near = mean as f32;
    // Deviations from the rounded mean, corrected for the rounding.
    let squares = lane_sum(values, |x| (x - near) * (x - near));
    let off = mean - f64::from(near);
    (mean, squares - off * off * values.len() as f64, values.len())
}

/// Sum of a block in lanes, a form that compiles to vectors.
#[inline]
fn lane_sum(values: &[f32], f: impl Fn(f32) -> f32) -> f64 {
    let mut lanes = [0.0_f32; 32];
    let chunks = values.chunks_exact(32);
    let rest: f64 = chunks.remainder().iter().map(|&x| f64::from(f(x))).sum();
    for chunk in chunks {
        for (lane, &x) in lanes.iter_mut().zip(chunk) {
            *lane += f(x);
        }
    }
    lanes.iter().map(|&x| f64::from(x)).sum::<f64>() + rest
}

/// Moments of pieces of the same size together.
fn merge(parts: &[Moments]) -> Moments {
    let count = parts.len() as f64;
    let mean = parts.iter().map(|m| m.mean).sum::<f64>() / count;
    let variance = parts.iter().map(|m| m.variance + (m.mean - mean).powi(2)).sum::<f64>() / count;
    Moments { mean, variance }
}
