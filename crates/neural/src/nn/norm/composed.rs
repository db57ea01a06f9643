//! The same from Candle's own operations, for devices other than the processor.

use candle_core::{Result, Tensor};

use super::moments::{Moments, sizes};
use super::{Affine, Sharing};

/// `x` `[N, C, ...]` as rows of values that share a mean.
fn rows(x: &Tensor, sharing: Sharing) -> Result<Tensor> {
    let [items, channels, size] = sizes(x)?;
    match sharing {
        Sharing::Channels(group) => x.reshape((items * channels / group, group * size)),
        Sharing::Items => x.transpose(0, 1)?.contiguous()?.reshape((channels, items * size)),
    }
}

/// Mean and biased variance of each row, `[rows, 1]`.
fn statistics(rows: &Tensor) -> Result<[Tensor; 2]> {
    let mean = rows.mean_keepdim(1)?;
    let variance = rows.broadcast_sub(&mean)?.sqr()?.mean_keepdim(1)?;
    Ok([mean, variance])
}

/// The statistics as numbers.
pub(super) fn moments(x: &Tensor, sharing: Sharing) -> Result<Vec<Moments>> {
    let [means, variances] = statistics(&rows(x, sharing)?)?.map(|t| t.squeeze(1)?.to_vec1::<f32>());
    let pairs = means?.into_iter().zip(variances?);
    Ok(pairs.map(|(m, v)| Moments { mean: f64::from(m), variance: f64::from(v) }).collect())
}

/// Normalised by its own statistics, or by those given for each channel.
pub(super) fn normalize(
    x: &Tensor,
    affine: &Affine,
    sharing: Sharing,
    running: Option<[&Tensor; 2]>,
    eps: f64,
) -> Result<Tensor> {
    let dims = x.dims();
    let mut channel = vec![1; dims.len()];
    channel[1] = dims[1];
    let by_channel = |t: &Tensor| t.to_device(x.device())?.reshape(channel.as_slice());
    let y = match running {
        Some([mean, variance]) => {
            let deviation = (by_channel(variance)? + eps)?.sqrt()?;
            x.broadcast_sub(&by_channel(mean)?)?.broadcast_div(&deviation)?
        }
        None => {
            let rows = rows(x, sharing)?;
            let [mean, variance] = statistics(&rows)?;
            let rows = rows.broadcast_sub(&mean)?.broadcast_div(&(variance + eps)?.sqrt()?)?;
            match sharing {
                Sharing::Channels(_) => rows.reshape(dims)?,
                Sharing::Items => {
                    let mut turned = dims.to_vec();
                    turned.swap(0, 1);
                    rows.reshape(turned)?.transpose(0, 1)?.contiguous()?
                }
            }
        }
    };
    y.broadcast_mul(&by_channel(&affine.weight)?)?.broadcast_add(&by_channel(&affine.bias)?)
}
