//! Layers for volumes, `[N, C, D, H, W]`, on Candle tensors of `f32`.

mod activation;
mod channel_sum;
pub mod composed;
mod conv;
mod norm;
mod pages;
mod pool;
mod resize;

pub use activation::Activation;
pub use conv::{Conv3d, Conv3dOptions, ConvTranspose3d, conv_transpose3d, conv3d};
pub use norm::{BatchNorm, GroupNorm, InstanceNorm};
pub use pool::{Outside, Pool3dOptions, avg_pool3d, max_pool3d};
pub use resize::{Interpolation, resize, resize_by};

pub use candle_core::Module;
use candle_core::{CpuStorage, Layout, Result, bail};

/// The values of a tensor that lies in one piece.
pub(crate) fn floats<'a>(storage: &'a CpuStorage, layout: &Layout) -> Result<&'a [f32]> {
    let Some((from, to)) = layout.contiguous_offsets() else { bail!("the tensor does not lie in one piece") };
    Ok(&storage.as_slice::<f32>()?[from..to])
}
