//! What the networks are made of.

use candle_core::{CpuStorage, InplaceOp2, Layout, Module, Tensor, bail};
use candle_nn::VarBuilder;
use rayon::prelude::*;

use crate::NeuralError;
use crate::nn::{Activation, Conv3d, Conv3dOptions, ConvTranspose3d, InstanceNorm, Outside, Pool3dOptions, avg_pool3d};
use crate::nnunet::plans::{Architecture, InstanceNormConfig};
use crate::weights::{Tensors, var_builder};

/// Weights that are checked before a layer takes them.
pub(super) struct Source<'a> {
    tensors: &'a Tensors,
    vb: VarBuilder<'static>,
}

impl<'a> Source<'a> {
    pub(super) fn new(tensors: &'a Tensors) -> Self {
        Self { tensors, vb: var_builder(tensors.clone()) }
    }

    fn checked(&self, name: &str, expected: &[usize]) -> Result<&'a Tensor, NeuralError> {
        let tensor = self.tensors.get(name).ok_or_else(|| NeuralError::MissingTensor { name: name.to_owned() })?;
        if tensor.dims() != expected {
            let (expected, found) = (expected.to_vec(), tensor.dims().to_vec());
            return Err(NeuralError::TensorShape { name: name.to_owned(), expected, found });
        }
        if !tensor.flatten_all()?.to_vec1::<f32>()?.iter().all(|x| x.is_finite()) {
            return Err(NeuralError::NotFinite { name: name.to_owned() });
        }
        Ok(tensor)
    }

    pub(super) fn conv(
        &self,
        name: &str,
        channels: [usize; 2],
        kernel: [usize; 3],
        options: Conv3dOptions,
        bias: bool,
    ) -> Result<Conv3d, NeuralError> {
        let [inputs, outputs] = channels;
        self.checked(&format!("{name}.weight"), &[outputs, inputs, kernel[0], kernel[1], kernel[2]])?;
        if bias {
            self.checked(&format!("{name}.bias"), &[outputs])?;
        }
        Ok(Conv3d::load(&self.vb.pp(name), channels, kernel, options, bias)?)
    }

    /// With a kernel as large as its stride.
    pub(super) fn conv_transpose(
        &self,
        name: &str,
        channels: [usize; 2],
        stride: [usize; 3],
        bias: bool,
    ) -> Result<ConvTranspose3d, NeuralError> {
        let [inputs, outputs] = channels;
        self.checked(&format!("{name}.weight"), &[inputs, outputs, stride[0], stride[1], stride[2]])?;
        if bias {
            self.checked(&format!("{name}.bias"), &[outputs])?;
        }
        let options = Conv3dOptions { stride, ..Conv3dOptions::default() };
        Ok(ConvTranspose3d::load(&self.vb.pp(name), channels, stride, options, bias)?)
    }

    fn norm(&self, name: &str, channels: usize, config: InstanceNormConfig) -> Result<InstanceNorm, NeuralError> {
        if !config.affine {
            return Ok(InstanceNorm::plain(channels, config.eps)?);
        }
        self.checked(&format!("{name}.weight"), &[channels])?;
        self.checked(&format!("{name}.bias"), &[channels])?;
        Ok(InstanceNorm::load(&self.vb.pp(name), channels, config.eps)?)
    }
}

/// What convolutions of a network have in common.
#[derive(Clone, Copy)]
pub(super) struct ConvSpec {
    kernel: [usize; 3],
    stride: [usize; 3],
    bias: bool,
    norm: Option<InstanceNormConfig>,
    activation: Activation,
    activation_first: bool,
}

impl ConvSpec {
    pub(super) fn of(architecture: &Architecture, kernel: [usize; 3]) -> Self {
        let activation = match architecture.negative_slope {
            None => Activation::Identity,
            Some(0.0) => Activation::Relu,
            Some(slope) => Activation::LeakyRelu(slope),
        };
        Self {
            kernel,
            stride: [1; 3],
            bias: architecture.conv_bias,
            norm: architecture.norm,
            activation,
            activation_first: architecture.nonlin_first,
        }
    }

    pub(super) fn with_stride(self, stride: [usize; 3]) -> Self {
        Self { stride, ..self }
    }

    fn options(&self) -> Conv3dOptions {
        Conv3dOptions { stride: self.stride, ..Conv3dOptions::same(self.kernel, 1) }
    }
}

/// What follows a convolution.
#[derive(Debug)]
struct After {
    norm: Option<InstanceNorm>,
    /// Before the norm, or without one.
    activation: Activation,
}

impl After {
    fn load(source: &Source<'_>, name: &str, channels: usize, spec: ConvSpec) -> Result<Self, NeuralError> {
        let Some(config) = spec.norm else { return Ok(Self { norm: None, activation: spec.activation }) };
        let norm = source.norm(&format!("{name}.norm"), channels, config)?;
        Ok(if spec.activation_first {
            Self { norm: Some(norm), activation: spec.activation }
        } else {
            Self { norm: Some(norm.with_activation(spec.activation)), activation: Activation::Identity }
        })
    }

    /// In the memory of `x`.
    fn forward(&self, x: Tensor) -> Result<Tensor, NeuralError> {
        Ok(match &self.norm {
            Some(norm) => norm.forward_in_place(x)?,
            None => x,
        })
    }
}

/// Convolution, norm, activation: `ConvDropoutNormReLU` without its dropout.
#[derive(Debug)]
pub(super) struct ConvBlock {
    conv: Conv3d,
    after: After,
}

impl ConvBlock {
    pub(super) fn load(
        source: &Source<'_>,
        name: &str,
        channels: [usize; 2],
        spec: ConvSpec,
    ) -> Result<Self, NeuralError> {
        let after = After::load(source, name, channels[1], spec)?;
        let conv = source.conv(&format!("{name}.conv"), channels, spec.kernel, spec.options(), spec.bias)?;
        Ok(Self { conv: conv.with_activation(after.activation), after })
    }

    pub(super) fn forward(&self, x: Tensor) -> Result<Tensor, NeuralError> {
        let y = self.conv.forward(&x)?;
        drop(x);
        self.after.forward(y)
    }
}

/// The block that joins what comes from below with what comes from beside.
///
/// A convolution of joined channels is the sum of two convolutions, so that nothing is copied together.
#[derive(Debug)]
pub(super) struct JoinedBlock {
    below: Conv3d,
    beside: Conv3d,
    after: After,
}

impl JoinedBlock {
    /// From `channels` of both.
    pub(super) fn load(source: &Source<'_>, name: &str, channels: usize, spec: ConvSpec) -> Result<Self, NeuralError> {
        let after = After::load(source, name, channels, spec)?;
        let [kd, kh, kw] = spec.kernel;
        let weight = source.checked(&format!("{name}.conv.weight"), &[channels, 2 * channels, kd, kh, kw])?;
        let mut half = Tensors::new();
        if spec.bias {
            half.insert("bias".to_owned(), source.checked(&format!("{name}.conv.bias"), &[channels])?.clone());
        }
        let mut conv = |start, bias| -> Result<Conv3d, NeuralError> {
            half.insert("weight".to_owned(), weight.narrow(1, start, channels)?.contiguous()?);
            Ok(Conv3d::load(&var_builder(half.clone()), [channels; 2], spec.kernel, spec.options(), bias)?)
        };
        Ok(Self { below: conv(0, spec.bias)?, beside: conv(channels, false)?, after })
    }

    pub(super) fn forward(&self, below: Tensor, beside: Tensor) -> Result<Tensor, NeuralError> {
        let y = self.below.forward(&below)?;
        drop(below);
        let other = self.beside.forward(&beside)?;
        drop(beside);
        y.inplace_op2(&other, &Add(self.after.activation))?;
        drop(other);
        self.after.forward(y)
    }
}

/// `BasicBlockD`: two convolutions beside a shortcut, after He et al., arXiv:1812.01187.
#[derive(Debug)]
pub(super) struct ResidualBlock {
    first: ConvBlock,
    second: ConvBlock,
    pool: Option<Pool3dOptions>,
    projection: Option<ConvBlock>,
    activation: Activation,
}

impl ResidualBlock {
    pub(super) fn load(
        source: &Source<'_>,
        name: &str,
        channels: [usize; 2],
        spec: ConvSpec,
    ) -> Result<Self, NeuralError> {
        let [inputs, outputs] = channels;
        // The reference gives residual blocks no choice of order.
        let spec = ConvSpec { activation_first: false, ..spec };
        let plain = ConvSpec { activation: Activation::Identity, ..spec.with_stride([1; 3]) };
        let pool = (spec.stride != [1; 3]).then(|| Pool3dOptions::tiles(spec.stride));
        let projection = if inputs == outputs {
            None
        } else {
            let name = format!("{name}.skip.{}", usize::from(pool.is_some()));
            Some(ConvBlock::load(source, &name, channels, ConvSpec { kernel: [1; 3], bias: false, ..plain })?)
        };
        Ok(Self {
            first: ConvBlock::load(source, &format!("{name}.conv1"), channels, spec)?,
            second: ConvBlock::load(source, &format!("{name}.conv2"), [outputs; 2], plain)?,
            pool,
            projection,
            activation: spec.activation,
        })
    }

    pub(super) fn forward(&self, x: Tensor) -> Result<Tensor, NeuralError> {
        let y = self.second.forward(self.first.forward(x.clone())?)?;
        let mut shortcut = x;
        if let Some(pool) = &self.pool {
            shortcut = avg_pool3d(&shortcut, pool, Outside::Counts)?;
        }
        if let Some(projection) = &self.projection {
            shortcut = projection.forward(shortcut)?;
        }
        y.inplace_op2(&shortcut, &Add(self.activation))?;
        Ok(y)
    }
}

/// Adds a tensor to another in its memory and applies an activation.
struct Add(Activation);

impl InplaceOp2 for Add {
    fn name(&self) -> &'static str {
        "add-in-place"
    }

    fn cpu_fwd(&self, s1: &mut CpuStorage, l1: &Layout, s2: &CpuStorage, l2: &Layout) -> candle_core::Result<()> {
        let (Some((from, to)), Some((other_from, other_to))) = (l1.contiguous_offsets(), l2.contiguous_offsets())
        else {
            bail!("tensors that are added in place must lie in one piece");
        };
        if l1.shape() != l2.shape() {
            bail!("{:?} cannot be added to {:?}", l2.shape(), l1.shape());
        }
        let CpuStorage::F32(sum) = s1 else { bail!("only `f32` is added in place") };
        let other = &s2.as_slice::<f32>()?[other_from..other_to];
        sum[from..to].par_chunks_mut(1 << 14).zip(other.par_chunks(1 << 14)).for_each(|(sum, other)| {
            sum.iter_mut().zip(other).for_each(|(sum, x)| *sum += x);
            self.0.apply(sum);
        });
        Ok(())
    }
}
