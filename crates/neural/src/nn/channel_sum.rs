//! Sums over everything but the channels: the gradient of a bias.

use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor, bail};
use rayon::prelude::*;

use super::floats;

/// Values summed at once; fixed, so that sums do not depend on the threads.
const BLOCK: usize = 1 << 12;

/// `[N, C, ...]` to `[C]`; in Candle's own reduction every value would find its way by itself.
pub(super) fn channel_sum(x: &Tensor) -> Result<Tensor> {
    x.contiguous()?.apply_op1_no_bwd(&ChannelSum)
}

struct ChannelSum;

impl CustomOp1 for ChannelSum {
    fn name(&self) -> &'static str {
        "channel-sum"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let x = floats(storage, layout)?;
        let &[items, channels, ref size @ ..] = layout.dims() else { bail!("no channels in {:?}", layout.shape()) };
        let size: usize = size.iter().product();
        let sum = |channel: usize| {
            let pieces = (0..items).map(|item| &x[(item * channels + channel) * size..][..size]);
            pieces.flat_map(|piece| piece.chunks(BLOCK)).map(block).sum::<f64>() as f32
        };
        let sums = (0..channels).into_par_iter().map(sum).collect();
        Ok((CpuStorage::F32(sums), Shape::from(channels)))
    }
}

/// In lanes, a form that compiles to vectors.
fn block(values: &[f32]) -> f64 {
    let mut lanes = [0.0_f32; 32];
    let chunks = values.chunks_exact(32);
    let rest: f64 = chunks.remainder().iter().map(|&x| f64::from(x)).sum();
    for chunk in chunks {
        lanes.iter_mut().zip(chunk).for_each(|(lane, &x)| *lane += x);
    }
    lanes.iter().map(|&x| f64::from(x)).sum::<f64>() + rest
}
