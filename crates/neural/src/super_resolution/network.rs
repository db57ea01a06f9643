//! The network that sharpens planes along one axis, and the critic that can be trained against it.

use candle_core::{Module, Result, Tensor};
use candle_nn::{Init, VarBuilder};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::nn::{Activation, Conv3d, Conv3dOptions};

/// Values a voxel: the interpolated plane, and what [`SliceLayout::hints`](super::SliceLayout) tells.
pub(super) const INPUTS: usize = 5;

/// Blocks begin as a small change, so that depth does not swell the signal.
const RESIDUAL_GAIN: f64 = 0.4;

/// The kernel of every layer.
const KERNEL: [usize; 3] = [1, 3, 3];

/// The shape of a [`ThroughPlane`] network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ThroughPlaneConfig {
    /// Of every inner layer.
    pub channels: usize,
    /// Residual blocks of two layers each.
    pub blocks: usize,
    /// Neighbouring voxels along the slice axis that lie in as many channels.
    pub fold: usize,
}

impl Default for ThroughPlaneConfig {
    /// Sees 40 voxels to either side along the slice axis and 10 across: five slices at eight voxels a slice.
    fn default() -> Self {
        Self { channels: 40, blocks: 4, fold: 4 }
    }
}

impl ThroughPlaneConfig {
    /// Names and shapes of all weights.
    pub fn tensors(&self) -> Vec<(String, Vec<usize>)> {
        let mut all = Vec::new();
        let mut layer = |name: String, inputs: usize, outputs: usize| {
            all.push((format!("{name}.weight"), vec![outputs, inputs, 1, 3, 3]));
            all.push((format!("{name}.bias"), vec![outputs]));
        };
        layer("head".to_owned(), INPUTS * self.fold, self.channels);
        for block in 0..self.blocks {
            layer(format!("blocks.{block}.0"), self.channels, self.channels);
            layer(format!("blocks.{block}.1"), self.channels, self.channels);
        }
        layer("tail".to_owned(), self.channels, self.fold);
        all
    }

    /// True of networks that may exist.
    pub(crate) fn is_possible(&self) -> bool {
        (1..=256).contains(&self.channels) && self.blocks <= 64 && (1..=16).contains(&self.fold)
    }

    /// Floating-point operations for one voxel of one plane.
    pub fn flops_per_voxel(&self) -> f64 {
        let weights = self.tensors().iter().map(|(_, shape)| shape.iter().product::<usize>()).sum::<usize>();
        2.0 * weights as f64 / self.fold as f64
    }
}

/// A residual network for planes that hold the slice axis: after SMORE (Zhao et al., IEEE TMI 2021), which learns from a
/// scan's own sharp planes, with the real-valued factors of ECLARE (Remedios et al., 2025). As values along the slice axis
/// say little more than the slices did, `fold` rows go into channels (Shi et al., CVPR 2016).
///
/// Takes `[1, 5 · fold, planes, Z / fold, X]`: the interpolated plane; distance and thickness of slices over 8 voxels; cosine
/// and sine of the place within a slice, 0 at its centre. Gives what is to be added to the first, `[1, fold, planes,
/// Z / fold, X]`. Planes do not see each other.
#[derive(Clone, Debug)]
pub struct ThroughPlane {
    fold: usize,
    head: Conv3d,
    blocks: Vec<[Conv3d; 2]>,
    tail: Conv3d,
}

impl ThroughPlane {
    /// From the weights of [`ThroughPlaneConfig::tensors`]. New ones are such that the network adds nothing at first.
    ///
    /// # Errors
    /// If a weight is missing or has another shape.
    pub fn load(config: &ThroughPlaneConfig, vb: &VarBuilder<'_>) -> Result<Self> {
        let c = config.channels;
        let layer = |vb: VarBuilder<'_>, inputs: usize, outputs: usize, gain: f64| {
            let [kd, kh, kw] = KERNEL;
            // Uniform with He's variance (ICCV 2015) times the gain's square.
            let bound = gain * (6.0 / (inputs * kd * kh * kw) as f64).sqrt();
            let init = Init::Uniform { lo: -bound, up: bound };
            let weight = vb.get_with_hints((outputs, inputs, kd, kh, kw), "weight", init)?;
            let bias = vb.get_with_hints(outputs, "bias", Init::Const(0.0))?;
            let options = Conv3dOptions { padding: [0, 1, 1], ..Conv3dOptions::default() };
            Ok::<_, candle_core::Error>(Conv3d::new(weight, Some(bias), options))
        };
        let blocks = (0..config.blocks).map(|block| {
            let vb = vb.pp("blocks").pp(block);
            let first = layer(vb.pp("0"), c, c, 1.0)?.with_activation(Activation::Relu);
            Ok([first, layer(vb.pp("1"), c, c, RESIDUAL_GAIN)?])
        });
        let blocks = blocks.collect::<Result<Vec<_>>>()?;
        Ok(Self {
            fold: config.fold,
            head: layer(vb.pp("head"), INPUTS * config.fold, c, 1.0)?.with_activation(Activation::Relu),
            blocks,
            tail: layer(vb.pp("tail"), c, config.fold, 0.0)?,
        })
    }

    /// Rows that lie in as many channels.
    pub(super) fn fold(&self) -> usize {
        self.fold
    }

    /// As [`Module::forward`], without gradients and in buffers that are kept from call to call; the result is `buffers.out`.
    pub(super) fn run(&self, input: &[f32], shape: [usize; 5], buffers: &mut Buffers) -> Result<()> {
        let Buffers { features, inner, out } = buffers;
        let mut shape = self.head.forward_into(input, shape, features)?;
        for [first, second] in &self.blocks {
            shape = first.forward_into(features, shape, inner)?;
            shape = second.forward_into(inner, shape, out)?;
            let parts = features.par_chunks_mut(1 << 15).zip(out.par_chunks(1 << 15));
            parts.for_each(|(x, add)| x.iter_mut().zip(add).for_each(|(x, a)| *x += a));
        }
        self.tail.forward_into(features, shape, out)?;
        Ok(())
    }
}

/// Memory for [`ThroughPlane::run`].
#[derive(Debug, Default)]
pub(super) struct Buffers {
    features: Vec<f32>,
    inner: Vec<f32>,
    pub(super) out: Vec<f32>,
}

/// How planes lie in a folded tensor `[1, channels · fold, planes, depth, width]`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Folding {
    pub(super) fold: usize,
    pub(super) planes: usize,
    /// Rows of a plane over `fold`, rounded up.
    pub(super) depth: usize,
    pub(super) width: usize,
}

impl Folding {
    pub(super) fn shape(&self, channels: usize) -> [usize; 5] {
        [1, channels * self.fold, self.planes, self.depth, self.width]
    }

    /// Where row `z` of a plane's channel begins.
    pub(super) fn row(&self, channel: usize, plane: usize, z: usize) -> usize {
        let channel = channel * self.fold + z % self.fold;
        ((channel * self.planes + plane) * self.depth + z / self.fold) * self.width
    }
}

/// `[1, fold, planes, Z / fold, X]` -> `[1, 1, planes, Z, X]`.
pub(super) fn unfolded(x: &Tensor) -> Result<Tensor> {
    let (_, fold, planes, depth, width) = x.dims5()?;
    let x = x.squeeze(0)?.permute((1, 2, 0, 3))?; // [fold, planes, depth, X] -> [planes, depth, fold, X]
    x.contiguous()?.reshape((1, 1, planes, depth * fold, width))
}

impl Module for ThroughPlane {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let mut x = self.head.forward(x)?;
        for [first, second] in &self.blocks {
            x = (second.forward(&first.forward(&x)?)? + x)?;
        }
        self.tail.forward(&x)
    }
}

/// Judges patches of planes as sharp or made up (Isola et al., CVPR 2017); only for training against.
///
/// Takes `[1, 1, planes, Z, X]` and gives a map of scores at an eighth of the size.
#[derive(Clone, Debug)]
pub struct PatchCritic {
    layers: Vec<Conv3d>,
}

impl PatchCritic {
    /// With weights of the builder.
    ///
    /// # Errors
    /// If a weight is missing or has another shape.
    pub fn load(vb: &VarBuilder<'_>) -> Result<Self> {
        const CHANNELS: [usize; 5] = [1, 16, 32, 32, 1];
        let layers = CHANNELS.windows(2).enumerate().map(|(n, c)| {
            let last = n + 2 == CHANNELS.len();
            let stride = if last { [1; 3] } else { [1, 2, 2] };
            let options = Conv3dOptions { padding: [0, 1, 1], stride, ..Conv3dOptions::default() };
            let layer = Conv3d::load(&vb.pp(n), [c[0], c[1]], [1, 3, 3], options, true)?;
            Ok(if last { layer } else { layer.with_activation(Activation::LeakyRelu(0.2)) })
        });
        Ok(Self { layers: layers.collect::<Result<_>>()? })
    }
}

impl Module for PatchCritic {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let mut x = x.clone();
        for layer in &self.layers {
            x = layer.forward(&x)?;
        }
        Ok(x)
    }
}
