//! A 3D U-Net: convolution, instance normalisation, LeakyReLU, skips from each level to its twin.
//!
//! After Çiçek et al., "3D U-Net" (arXiv:1606.06650), with the blocks of nnU-Net (Isensee et al., Nature Methods 2021,
//! doi 10.1038/s41592-020-01008-z): instance normalisation in place of batch normalisation, strides in place of pooling.
//! Weights are trained here; names are as PyTorch would give them: `encoder.{level}.{i}.conv.weight`,
//! `encoder.{level}.{i}.norm.weight`, `up.{level}.weight`, `decoder.{level}.{i}.…`, `head.weight`.

use candle_core::{Module, Result, Tensor, bail};
use candle_nn::VarBuilder;
use serde::{Deserialize, Serialize};

use crate::NeuralError;
use crate::nn::{
    Activation, Conv3d, Conv3dOptions, ConvTranspose3d, InstanceNorm, Interpolation, Pool3dOptions, max_pool3d, resize,
};

/// PyTorch's default.
const EPS: f64 = 1e-5;

/// Levels of the deepest network: each halves the grid, which is filled up to a multiple of all halvings.
const MOST_LEVELS: usize = 8;

/// Convolutions of a level, at most.
const MOST_CONVOLUTIONS: usize = 8;

/// Classes have numbers of one byte.
const MOST_CLASSES: usize = 256;

/// Numbers in the weights of the largest network: learning takes four times as many, so 2 GiB.
const MOST_WEIGHTS: usize = 1 << 27;

/// How a level is made from the finer one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Down {
    /// The first convolution of the level moves in steps of 2.
    #[default]
    Strided,
    /// The largest of each 2×2×2 voxels.
    MaxPool,
}

/// How a level is made from the coarser one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Up {
    /// A transposed convolution with kernel and stride 2.
    #[default]
    Transposed,
    /// A 1×1×1 convolution, then trilinear.
    Trilinear,
}

/// The shape of a [`UNet`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UNetConfig {
    /// Channels of the image.
    pub inputs: usize,
    /// Classes, background included.
    pub classes: usize,
    /// Channels of each level, the finest first; each level has half the voxels along every axis.
    pub channels: Vec<usize>,
    /// Convolutions of a level, on either side.
    pub convolutions: usize,
    /// From level to level.
    #[serde(default)]
    pub down: Down,
    /// And back.
    #[serde(default)]
    pub up: Up,
    /// Of the LeakyReLU.
    pub slope: f32,
}

impl UNetConfig {
    /// Voxels along each axis must be a multiple of this.
    pub fn divisor(&self) -> usize {
        1 << self.channels.len().saturating_sub(1).min(16)
    }

    /// Whether there can be such a network.
    ///
    /// # Errors
    /// [`NeuralError::Description`], with the field.
    pub fn check(&self) -> std::result::Result<(), NeuralError> {
        let wrong = |field: &str, reason: String| Err(NeuralError::Description { field: field.to_owned(), reason });
        let levels = self.channels.len();
        if !(1..=MOST_LEVELS).contains(&levels) {
            return wrong("channels", format!("are of {levels} levels; 1 to {MOST_LEVELS} can be"));
        }
        if self.inputs == 0 || self.channels.contains(&0) {
            return wrong("inputs, channels", "must not be 0".to_owned());
        }
        if !(2..=MOST_CLASSES).contains(&self.classes) {
            return wrong("classes", format!("are {}; 2 to {MOST_CLASSES} can be", self.classes));
        }
        if !(1..=MOST_CONVOLUTIONS).contains(&self.convolutions) {
            return wrong("convolutions", format!("are {}; 1 to {MOST_CONVOLUTIONS} can be", self.convolutions));
        }
        if !self.slope.is_finite() {
            return wrong("slope", "is no number".to_owned());
        }
        let weights = self.weight_count();
        if weights > MOST_WEIGHTS {
            return wrong("channels", format!("make {weights} weights; {MOST_WEIGHTS} can be"));
        }
        Ok(())
    }

    /// Numbers in the kernels of its convolutions, about; the greatest number where there are more.
    fn weight_count(&self) -> usize {
        let product = |factors: &[usize]| factors.iter().fold(1, |a: usize, &b| a.saturating_mul(b));
        let level = |(level, &width): (usize, &usize)| {
            let above = if level == 0 { self.inputs } else { self.channels[level - 1] };
            // On either side the first convolution and the others; beside what went down lies as much that comes up.
            let own = product(&[2 * self.convolutions, 27, width, width]);
            own.saturating_add(product(&[27, above, width])).saturating_add(product(&[27, width, width]))
        };
        self.channels.iter().enumerate().map(level).fold(0, usize::saturating_add)
    }

    /// Floating-point operations of its convolutions for one voxel of the finest level.
    pub fn flops_per_voxel(&self) -> f64 {
        let of = |taps: usize, inputs: usize, outputs: usize| 2.0 * (taps * inputs * outputs) as f64;
        let more = self.convolutions.saturating_sub(1) as f64;
        let level = |(level, &width): (usize, &usize)| {
            let above = if level == 0 { self.inputs } else { self.channels[level - 1] };
            let encoder = of(27, above, width) + more * of(27, width, width);
            // What comes up has one tap for each voxel, then lies beside what went down.
            let decoder = self
                .channels
                .get(level + 1)
                .map_or(0.0, |&below| of(1, below, width) + of(27, 2 * width, width) + more * of(27, width, width));
            (encoder + decoder) / 8f64.powi(level as i32)
        };
        let head = self.channels.first().map_or(0.0, |&width| of(1, width, self.classes));
        self.channels.iter().enumerate().map(level).sum::<f64>() + head
    }
}

/// A convolution, a normalisation, an activation.
#[derive(Clone, Debug)]
struct Block {
    conv: Conv3d,
    norm: InstanceNorm,
}

impl Block {
    fn load(vb: &VarBuilder<'_>, channels: [usize; 2], stride: usize, slope: f32) -> Result<Self> {
        let options = Conv3dOptions { stride: [stride; 3], ..Conv3dOptions::same([3; 3], 1) };
        // The normalisation would take a bias away again.
        let conv = Conv3d::load(&vb.pp("conv"), channels, [3; 3], options, false)?;
        let norm = InstanceNorm::load(&vb.pp("norm"), channels[1], EPS)?;
        Ok(Self { conv, norm: norm.with_activation(Activation::LeakyRelu(slope)) })
    }
}

impl Module for Block {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let y = self.conv.forward(x)?;
        if y.track_op() { self.norm.forward(&y) } else { self.norm.forward_in_place(y) }
    }
}

#[derive(Clone, Debug)]
enum Raise {
    Transposed(ConvTranspose3d),
    Trilinear(Conv3d),
}

impl Module for Raise {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        match self {
            Self::Transposed(conv) => conv.forward(x),
            Self::Trilinear(conv) => {
                let (_, _, d, h, w) = x.dims5()?;
                resize(&conv.forward(x)?, [2 * d, 2 * h, 2 * w], Interpolation::Trilinear)
            }
        }
    }
}

/// See the [module](self).
#[derive(Clone, Debug)]
pub struct UNet {
    encoder: Vec<Vec<Block>>,
    /// From level + 1 to level.
    up: Vec<Raise>,
    decoder: Vec<Vec<Block>>,
    head: Conv3d,
    config: UNetConfig,
}

impl UNet {
    /// With the weights of the builder's path.
    ///
    /// # Errors
    /// If the configuration cannot be, or a tensor is missing or has another shape.
    pub fn load(vb: &VarBuilder<'_>, config: &UNetConfig) -> Result<Self> {
        let UNetConfig { inputs, classes, ref channels, convolutions, down, up, slope } = *config;
        config.check().map_err(candle_core::Error::wrap)?;
        let blocks = |vb: VarBuilder<'_>, first: usize, width: usize, stride: usize| -> Result<Vec<Block>> {
            let block = |i: usize| {
                let (from, stride) = if i == 0 { (first, stride) } else { (width, 1) };
                Block::load(&vb.pp(i), [from, width], stride, slope)
            };
            (0..convolutions).map(block).collect()
        };
        let mut encoder = Vec::new();
        for (level, &width) in channels.iter().enumerate() {
            let first = if level == 0 { inputs } else { channels[level - 1] };
            let stride = if level > 0 && down == Down::Strided { 2 } else { 1 };
            encoder.push(blocks(vb.pp("encoder").pp(level), first, width, stride)?);
        }
        let (mut raises, mut decoder) = (Vec::new(), Vec::new());
        for level in 0..channels.len() - 1 {
            let ends = [channels[level + 1], channels[level]];
            let vb_up = vb.pp("up").pp(level);
            raises.push(match up {
                Up::Transposed => {
                    let options = Conv3dOptions { stride: [2; 3], ..Conv3dOptions::default() };
                    Raise::Transposed(ConvTranspose3d::load(&vb_up, ends, [2; 3], options, true)?)
                }
                Up::Trilinear => Raise::Trilinear(Conv3d::load(&vb_up, ends, [1; 3], Conv3dOptions::default(), true)?),
            });
            decoder.push(blocks(vb.pp("decoder").pp(level), 2 * channels[level], channels[level], 1)?);
        }
        let head = Conv3d::load(&vb.pp("head"), [channels[0], classes], [1; 3], Conv3dOptions::default(), true)?;
        Ok(Self { encoder, up: raises, decoder, head, config: config.clone() })
    }

    /// What it was made from.
    pub fn config(&self) -> &UNetConfig {
        &self.config
    }
}

impl Module for UNet {
    /// `[N, inputs, D, H, W]` to logits `[N, classes, D, H, W]`.
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let (_, _, d, h, w) = x.dims5()?;
        let divisor = self.config.divisor();
        if [d, h, w].iter().any(|n| !n.is_multiple_of(divisor)) {
            bail!("{:?} is not a multiple of {divisor} along every axis", x.shape());
        }
        let run = |blocks: &[Block], x: Tensor| blocks.iter().try_fold(x, |x, block| block.forward(&x));
        let mut skips: Vec<Tensor> = Vec::new();
        for (level, blocks) in self.encoder.iter().enumerate() {
            let finer = skips.last().unwrap_or(x);
            let input = if level > 0 && self.config.down == Down::MaxPool {
                max_pool3d(finer, &Pool3dOptions::tiles([2; 3]))?
            } else {
                finer.clone()
            };
            skips.push(run(blocks, input)?);
        }
        let Some(mut x) = skips.pop() else { bail!("a network without levels") };
        while let Some(skip) = skips.pop() {
            let level = skips.len();
            let raised = self.up[level].forward(&x)?;
            x = run(&self.decoder[level], Tensor::cat(&[raised, skip], 1)?)?;
        }
        self.head.forward(&x)
    }
}
