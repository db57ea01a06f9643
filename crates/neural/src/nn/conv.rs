//! 3D convolutions and transposed convolutions, forward and backward.
//!
//! On the processor by a kernel of our own ([`kernel`]): direct, planar, without an `im2col` of the volume. Beside the
//! tensors it needs a scratch tile of half a megabyte a thread. On other devices by Candle's operations
//! ([`composed`](super::composed)).

mod engine;
mod gradient;
mod kernel;
mod lattice;
mod packed;

use std::sync::{Arc, OnceLock};

use candle_core::{CpuStorage, CustomOp2, CustomOp3, Layout, Module, Result, Shape, Tensor, bail};
use candle_nn::VarBuilder;

use self::engine::Input;
use self::kernel::Isa;
use self::lattice::Lattice;
pub(super) use self::lattice::out_size;
use self::packed::{Order, PackedWeights};
use super::channel_sum::channel_sum;
use super::{Activation, composed, floats, pages};

/// How a kernel moves over a volume; depth, height, width.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Conv3dOptions {
    /// Voxels from one position of the kernel to the next.
    pub stride: [usize; 3],
    /// Zeros on each side.
    pub padding: [usize; 3],
    /// Voxels from one element of the kernel to the next.
    pub dilation: [usize; 3],
    /// Parts of the channels that do not see each other.
    pub groups: usize,
}

impl Default for Conv3dOptions {
    fn default() -> Self {
        Self { stride: [1; 3], padding: [0; 3], dilation: [1; 3], groups: 1 }
    }
}

impl Conv3dOptions {
    /// Stride 1 and the padding that keeps the size, for an odd kernel.
    pub fn same(kernel: [usize; 3], dilation: usize) -> Self {
        Self { padding: kernel.map(|k| dilation * (k - 1) / 2), dilation: [dilation; 3], ..Self::default() }
    }
}

/// Convolves `x` `[N, C, D, H, W]` with `weight` `[O, C / groups, KD, KH, KW]`, adds `bias` `[O]`, applies `activation`.
///
/// # Errors
/// If shapes do not fit each other.
pub fn conv3d(
    x: &Tensor,
    weight: &Tensor,
    bias: Option<&Tensor>,
    options: &Conv3dOptions,
    activation: Activation,
) -> Result<Tensor> {
    apply(x, weight, bias, Job::Direct, options, activation, &Packs::default())
}

/// The transposed convolution of `x` `[N, C, D, H, W]` with `weight` `[C, O / groups, KD, KH, KW]`.
///
/// # Errors
/// If shapes do not fit each other.
pub fn conv_transpose3d(x: &Tensor, weight: &Tensor, bias: Option<&Tensor>, options: &Conv3dOptions) -> Result<Tensor> {
    apply(x, weight, bias, Job::Transposed { extra: [0; 3] }, options, Activation::Identity, &Packs::default())
}

/// A convolution with its weights.
#[derive(Clone, Debug)]
pub struct Conv3d {
    weight: Tensor,
    bias: Option<Tensor>,
    options: Conv3dOptions,
    activation: Activation,
    packs: Packs,
}

impl Conv3d {
    /// `weight` `[O, C / groups, KD, KH, KW]` and `bias` `[O]`.
    pub fn new(weight: Tensor, bias: Option<Tensor>, options: Conv3dOptions) -> Self {
        Self { weight, bias, options, activation: Activation::Identity, packs: Packs::default() }
    }

    /// `weight` `[O, C / groups, KD, KH, KW]` and `bias` `[O]` of the builder's path; with an initialisation as PyTorch's if the
    /// builder makes variables.
    ///
    /// # Errors
    /// If a tensor is missing or has another shape.
    pub fn load(
        vb: &VarBuilder<'_>,
        channels: [usize; 2],
        kernel: [usize; 3],
        options: Conv3dOptions,
        bias: bool,
    ) -> Result<Self> {
        let [inputs, outputs] = channels;
        let inputs = inputs / options.groups;
        let (weight, bias) = load_weights(vb, [outputs, inputs], outputs, inputs, kernel, bias)?;
        Ok(Self::new(weight, bias, options))
    }

    /// With an activation fused into it.
    pub fn with_activation(self, activation: Activation) -> Self {
        Self { activation, ..self }
    }

    /// Without gradients, from and into buffers of the caller's, which he keeps from call to call: the memory of a large tensor
    /// costs as much time as a tenth of the layer. Returns the shape of what is in `out` now.
    ///
    /// # Errors
    /// If `x` is not of `shape` `[N, C, D, H, W]`, or that does not fit the layer.
    pub fn forward_into(&self, x: &[f32], shape: [usize; 5], out: &mut Vec<f32>) -> Result<[usize; 5]> {
        let op = ConvOp::new(Job::Direct, &self.options, self.activation, &self.weight, &self.packs);
        let values = |t: &Tensor| t.flatten_all()?.to_vec1::<f32>();
        let bias = self.bias.as_ref().map(values).transpose()?;
        // Packed already, the weights themselves are not needed.
        let weight = if op.packs.get().is_some() { Vec::new() } else { values(&self.weight)? };
        let shape = Shape::from(shape.to_vec());
        if x.len() != shape.elem_count() {
            bail!("{} values for a tensor {shape:?}", x.len());
        }
        let made = op.forward_into((x, &shape), (&weight, self.weight.shape()), bias.as_deref(), out)?;
        if op.activation != self.activation {
            self.activation.apply_all(out);
        }
        Ok(made)
    }

    /// The weights `[O, C / groups, KD, KH, KW]`.
    pub fn weight(&self) -> &Tensor {
        &self.weight
    }

    /// How the kernel moves.
    pub fn options(&self) -> Conv3dOptions {
        self.options
    }

    /// The bias `[O]`.
    pub fn bias(&self) -> Option<&Tensor> {
        self.bias.as_ref()
    }
}

impl Module for Conv3d {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        apply(x, &self.weight, self.bias.as_ref(), Job::Direct, &self.options, self.activation, &self.packs)
    }
}

/// A transposed convolution with its weights.
#[derive(Clone, Debug)]
pub struct ConvTranspose3d {
    weight: Tensor,
    bias: Option<Tensor>,
    options: Conv3dOptions,
    packs: Packs,
}

impl ConvTranspose3d {
    /// `weight` `[C, O / groups, KD, KH, KW]` and `bias` `[O]` of the builder's path.
    ///
    /// # Errors
    /// If a tensor is missing or has another shape.
    pub fn load(
        vb: &VarBuilder<'_>,
        channels: [usize; 2],
        kernel: [usize; 3],
        options: Conv3dOptions,
        bias: bool,
    ) -> Result<Self> {
        let [inputs, outputs] = channels;
        let group = outputs / options.groups;
        let (weight, bias) = load_weights(vb, [inputs, group], outputs, group, kernel, bias)?;
        Ok(Self { weight, bias, options, packs: Packs::default() })
    }
}

impl Module for ConvTranspose3d {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let job = Job::Transposed { extra: [0; 3] };
        apply(x, &self.weight, self.bias.as_ref(), job, &self.options, Activation::Identity, &self.packs)
    }
}

fn load_weights(
    vb: &VarBuilder<'_>,
    channels: [usize; 2],
    outputs: usize,
    inputs: usize,
    kernel: [usize; 3],
    bias: bool,
) -> Result<(Tensor, Option<Tensor>)> {
    let [kd, kh, kw] = kernel;
    // PyTorch's `reset_parameters`: uniform within ±1/√fan-in, for the weights (He et al. with a = √5) and the bias.
    let bound = 1.0 / ((inputs * kd * kh * kw) as f64).sqrt();
    let init = candle_nn::Init::Uniform { lo: -bound, up: bound };
    let weight = vb.get_with_hints((channels[0], channels[1], kd, kh, kw), "weight", init)?;
    let bias = if bias { Some(vb.get_with_hints(outputs, "bias", init)?) } else { None };
    Ok((weight, bias))
}

/// What is done with the weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Job {
    Direct,
    /// `extra` voxels at the far end, as PyTorch's `output_padding`.
    Transposed {
        extra: [usize; 3],
    },
}

/// Packed weights, kept from call to call while the weights are constants.
type Packs = Arc<OnceLock<Vec<PackedWeights>>>;

fn apply(
    x: &Tensor,
    weight: &Tensor,
    bias: Option<&Tensor>,
    job: Job,
    options: &Conv3dOptions,
    activation: Activation,
    packs: &Packs,
) -> Result<Tensor> {
    if !x.device().is_cpu() {
        let y = match job {
            Job::Direct => composed::conv3d(x, weight, bias, options)?,
            Job::Transposed { extra } => composed::conv_transpose3d(x, weight, bias, options, extra)?,
        };
        return activation.forward(&y);
    }
    let op = ConvOp::new(job, options, activation, weight, packs);
    let fused = op.activation;
    let (x, weight) = (x.contiguous()?, weight.contiguous()?);
    let y = match bias {
        Some(bias) => x.apply_op3(&weight, &bias.contiguous()?, op)?,
        None => x.apply_op2(&weight, op)?,
    };
    if fused == activation { Ok(y) } else { activation.forward(&y) }
}

struct ConvOp {
    job: Job,
    options: Conv3dOptions,
    activation: Activation,
    packs: Packs,
}

impl ConvOp {
    /// Fuses the activation if its gradient allows that, and keeps packed weights if they are constants.
    fn new(job: Job, options: &Conv3dOptions, activation: Activation, weight: &Tensor, packs: &Packs) -> Self {
        let activation = if activation.invertible() { activation } else { Activation::Identity };
        let packs = if weight.track_op() { Packs::default() } else { packs.clone() };
        Self { job, options: *options, activation, packs }
    }

    fn forward(&self, x: (&[f32], &Shape), w: (&[f32], &Shape), bias: Option<&[f32]>) -> Result<(CpuStorage, Shape)> {
        let mut out = Vec::new();
        let shape = self.forward_into(x, w, bias, &mut out)?;
        Ok((CpuStorage::F32(out), Shape::from(shape.to_vec())))
    }

    fn forward_into(
        &self,
        x: (&[f32], &Shape),
        w: (&[f32], &Shape),
        bias: Option<&[f32]>,
        out: &mut Vec<f32>,
    ) -> Result<[usize; 5]> {
        let sizes = Sizes::of(x.1, w.1, self.job, &self.options)?;
        if bias.is_some_and(|b| b.len() != sizes.outputs) {
            bail!("{} biases for {} output channels", bias.map_or(0, <[f32]>::len), sizes.outputs);
        }
        let input = Input { data: x.0, batch: sizes.batch, channels: sizes.inputs };
        let lattices = sizes.lattices(self.job, &self.options);
        let packs = self.packs.get_or_init(|| {
            lattices.iter().map(|lattice| sizes.pack(w.0, self.job, self.options.groups, lattice)).collect()
        });
        let activation = self.activation;
        let shape = sizes.out_shape();
        let length = shape.iter().product();
        if out.capacity() < length {
            *out = pages::zeros(length);
        }
        out.resize(length, 0.0);
        for (lattice, pack) in lattices.iter().zip(packs) {
            engine::run(input, lattice, pack, bias, activation, out);
        }
        Ok(shape)
    }

    /// Gradients of input, if it is asked for, and weights; and that of the result before the activation.
    fn backward(
        &self,
        x: &Tensor,
        weight: &Tensor,
        result: &Tensor,
        gradient: &Tensor,
    ) -> Result<(Option<Tensor>, Tensor, Tensor)> {
        let gradient = self.activation.gradient(result, gradient)?.contiguous()?;
        let gx = match self.job {
            _ if !x.track_op() => None,
            Job::Direct => {
                let sizes = Sizes::of(x.shape(), weight.shape(), self.job, &self.options)?;
                let extra = sizes.extra(&self.options);
                let job = Job::Transposed { extra };
                Some(apply(&gradient, weight, None, job, &self.options, Activation::Identity, &Packs::default())?)
            }
            Job::Transposed { .. } => Some(apply(
                &gradient,
                weight,
                None,
                Job::Direct,
                &self.options,
                Activation::Identity,
                &Packs::default(),
            )?),
        };
        // The gradient of a transposed convolution's weights is that of the convolution that leads back.
        let (input, output) = match self.job {
            Job::Direct => (x, &gradient),
            Job::Transposed { .. } => (&gradient, x),
        };
        let op = gradient::WeightGradient { options: self.options, shape: weight.shape().clone() };
        let gw = input.contiguous()?.apply_op2_no_bwd(&output.contiguous()?, &op)?;
        Ok((gx, gw, gradient))
    }
}

impl CustomOp3 for ConvOp {
    fn name(&self) -> &'static str {
        "conv3d"
    }

    fn cpu_fwd(
        &self,
        s1: &CpuStorage,
        l1: &Layout,
        s2: &CpuStorage,
        l2: &Layout,
        s3: &CpuStorage,
        l3: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        self.forward((floats(s1, l1)?, l1.shape()), (floats(s2, l2)?, l2.shape()), Some(floats(s3, l3)?))
    }

    fn bwd(
        &self,
        x: &Tensor,
        weight: &Tensor,
        _bias: &Tensor,
        res: &Tensor,
        grad_res: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let (gx, gw, gradient) = self.backward(x, weight, res, grad_res)?;
        Ok((gx, Some(gw), Some(channel_sum(&gradient)?)))
    }
}

impl CustomOp2 for ConvOp {
    fn name(&self) -> &'static str {
        "conv3d"
    }

    fn cpu_fwd(&self, s1: &CpuStorage, l1: &Layout, s2: &CpuStorage, l2: &Layout) -> Result<(CpuStorage, Shape)> {
        self.forward((floats(s1, l1)?, l1.shape()), (floats(s2, l2)?, l2.shape()), None)
    }

    fn bwd(
        &self,
        x: &Tensor,
        weight: &Tensor,
        res: &Tensor,
        grad_res: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let (gx, gw, _) = self.backward(x, weight, res, grad_res)?;
        Ok((gx, Some(gw)))
    }
}

/// The sizes of a job, checked against each other.
struct Sizes {
    batch: usize,
    /// Channels of the whole tensors.
    inputs: usize,
    outputs: usize,
    input: [usize; 3],
    kernel: [usize; 3],
    out: [usize; 3],
}

impl Sizes {
    fn of(x: &Shape, weight: &Shape, job: Job, options: &Conv3dOptions) -> Result<Self> {
        let (batch, inputs, d, h, w) = x.dims5()?;
        let (first, second, kd, kh, kw) = weight.dims5()?;
        let (input, kernel) = ([d, h, w], [kd, kh, kw]);
        let Conv3dOptions { stride, padding, dilation, groups } = options;
        let outputs = match job {
            Job::Direct => first,
            Job::Transposed { .. } => second * groups,
        };
        let expected = match job {
            Job::Direct => second * groups,
            Job::Transposed { .. } => first,
        };
        if *groups == 0 || expected != inputs || outputs % groups != 0 || inputs % groups != 0 {
            bail!("weights {weight:?} in {groups} groups do not fit an input {x:?}");
        }
        if stride.contains(&0) || dilation.contains(&0) || kernel.contains(&0) {
            bail!("stride, dilation and kernel must not be 0: {options:?}, {kernel:?}");
        }
        let size = |a: usize| match job {
            Job::Direct => out_size(input[a], kernel[a], stride[a], padding[a], dilation[a]),
            Job::Transposed { extra } => {
                let full = input[a].checked_sub(1)? * stride[a] + dilation[a] * (kernel[a] - 1) + extra[a] + 1;
                full.checked_sub(2 * padding[a]).filter(|&n| n > 0)
            }
        };
        let (Some(d), Some(h), Some(w)) = (size(0), size(1), size(2)) else {
            bail!("a kernel {kernel:?} with {options:?} does not fit into an input {x:?}");
        };
        Ok(Self { batch, inputs, outputs, input, kernel, out: [d, h, w] })
    }

    /// Voxels at the far end that no position of the kernel reached.
    fn extra(&self, options: &Conv3dOptions) -> [usize; 3] {
        [0, 1, 2].map(|a| {
            let reach = options.dilation[a] * (self.kernel[a] - 1) + 1;
            self.input[a] + 2 * options.padding[a] - ((self.out[a] - 1) * options.stride[a] + reach)
        })
    }

    fn lattices(&self, job: Job, options: &Conv3dOptions) -> Vec<Lattice> {
        match job {
            Job::Direct => Lattice::direct(self.input, self.kernel, options).into_iter().collect(),
            Job::Transposed { .. } => Lattice::transposed(self.input, self.out, self.kernel, options),
        }
    }

    fn pack(&self, weights: &[f32], job: Job, groups: usize, lattice: &Lattice) -> PackedWeights {
        let order = match job {
            Job::Direct => Order::OutputFirst,
            Job::Transposed { .. } => Order::InputFirst,
        };
        let channels = [self.inputs / groups, self.outputs / groups];
        let taps = lattice.taps(self.kernel);
        PackedWeights::new(Isa::detect(), weights, order, groups, channels, self.kernel.iter().product(), &taps)
    }

    fn out_shape(&self) -> [usize; 5] {
        [self.batch, self.outputs, self.out[0], self.out[1], self.out[2]]
    }
}

#[cfg(test)]
mod tests;
