//! The same convolutions from Candle's own operations, for devices other than the processor.
//!
//! One 2D convolution for each plane of the kernel, summed; slower, but it runs wherever Candle does.

use candle_core::{Result, Tensor, bail};

use super::Conv3dOptions;

/// As [`conv3d`](super::conv3d), without activation.
///
/// # Errors
/// If shapes do not fit, or strides, paddings or dilations of height and width differ, which Candle cannot do.
pub fn conv3d(x: &Tensor, weight: &Tensor, bias: Option<&Tensor>, options: &Conv3dOptions) -> Result<Tensor> {
    let (n, c, d, h, w) = x.dims5()?;
    let (outputs, _, kd, _, _) = weight.dims5()?;
    let Conv3dOptions { stride, padding, dilation, groups } = *options;
    let Some(out_d) = super::conv::out_size(d, kd, stride[0], padding[0], dilation[0]) else {
        bail!("the kernel's depth {kd} does not fit {d} slices");
    };
    // Heights and widths that differ are made equal by padding and by picking.
    let x = x.pad_with_zeros(2, padding[0], padding[0])?;
    let x = x.pad_with_zeros(3, padding[1], padding[1])?.pad_with_zeros(4, padding[2], padding[2])?;
    if dilation[1] != dilation[2] {
        bail!("Candle's 2D convolution has one dilation, not {} and {}", dilation[1], dilation[2]);
    }
    let (h, w) = (h + 2 * padding[1], w + 2 * padding[2]);
    let step = if stride[1] == stride[2] { stride[1] } else { 1 };
    let mut sum: Option<Tensor> = None;
    for k in 0..kd {
        // Every slice that this plane of the kernel meets.
        let first = k * dilation[0];
        let picked = (0..out_d).map(|o| (first + o * stride[0]) as u32).collect::<Vec<_>>();
        let slices = x.index_select(&Tensor::new(picked, x.device())?, 2)?; // [N, C, OD, H, W]
        let slices = slices.transpose(1, 2)?.reshape((n * out_d, c, h, w))?;
        let plane = weight.narrow(2, k, 1)?.squeeze(2)?.contiguous()?;
        let y = slices.conv2d(&plane, 0, step, dilation[1], groups)?;
        sum = Some(match sum {
            Some(sum) => (sum + y)?,
            None => y,
        });
    }
    let Some(mut y) = sum else { bail!("an empty kernel") };
    if step == 1 && stride[1] != stride[2] {
        y = every(&every(&y, 2, stride[1])?, 3, stride[2])?;
    }
    let (_, _, oh, ow) = y.dims4()?;
    let y = y.reshape((n, out_d, outputs, oh, ow))?.transpose(1, 2)?.contiguous()?;
    add_bias(&y, bias)
}

/// As [`conv_transpose3d`](super::conv_transpose3d), with `extra` voxels at the far end (PyTorch's `output_padding`).
///
/// # Errors
/// If shapes do not fit.
pub fn conv_transpose3d(
    x: &Tensor,
    weight: &Tensor,
    bias: Option<&Tensor>,
    options: &Conv3dOptions,
    extra: [usize; 3],
) -> Result<Tensor> {
    let (inputs, group_outputs, kd, kh, kw) = weight.dims5()?;
    let Conv3dOptions { stride, padding, dilation, groups } = *options;
    // Zeros between the voxels, then a convolution with the kernel turned over.
    let mut x = x.clone();
    for axis in 0..3 {
        x = spread(&x, axis + 2, stride[axis])?;
        let reach = dilation[axis] * ([kd, kh, kw][axis] - 1);
        x = x.pad_with_zeros(axis + 2, reach, reach + extra[axis])?;
        let size = x.dim(axis + 2)?;
        x = x.narrow(axis + 2, padding[axis], size - 2 * padding[axis])?.contiguous()?;
    }
    let turned = weight.flip(&[2, 3, 4])?;
    let turned = turned.reshape((groups, inputs / groups, group_outputs, kd, kh, kw))?.transpose(1, 2)?;
    let turned = turned.reshape((groups * group_outputs, inputs / groups, kd, kh, kw))?.contiguous()?;
    let dense = Conv3dOptions { stride: [1; 3], padding: [0; 3], dilation, groups };
    conv3d(&x, &turned, bias, &dense)
}

fn add_bias(y: &Tensor, bias: Option<&Tensor>) -> Result<Tensor> {
    match bias {
        Some(bias) => y.broadcast_add(&bias.reshape((1, (), 1, 1, 1))?),
        None => Ok(y.clone()),
    }
}

/// Every `step`-th element along an axis.
fn every(x: &Tensor, axis: usize, step: usize) -> Result<Tensor> {
    let picked = (0..x.dim(axis)?).step_by(step).map(|i| i as u32).collect::<Vec<_>>();
    x.index_select(&Tensor::new(picked, x.device())?, axis)
}

/// `step` − 1 zeros between the elements along an axis.
fn spread(x: &Tensor, axis: usize, step: usize) -> Result<Tensor> {
    if step == 1 {
        return Ok(x.clone());
    }
    let mut dims = x.dims().to_vec();
    let size = dims[axis];
    let wide = x.unsqueeze(axis + 1)?.pad_with_zeros(axis + 1, 0, step - 1)?;
    dims[axis] = size * step;
    wide.reshape(dims)?.narrow(axis, 0, (size - 1) * step + 1)
}
