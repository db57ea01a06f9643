//! The networks that sharpen, along planes and then in the volume, and the critic that can be trained against them.

use candle_core::{Module, Result, Tensor};
use candle_nn::{Init, VarBuilder};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::nn::{Activation, Conv3d, Conv3dOptions};

/// Values a voxel that planes are shown with: the interpolated plane, and what [`SliceLayout::hints`](super::SliceLayout) tells.
pub(super) const INPUTS: usize = 5;

/// Values a voxel for the fusion: the mean of both directions of planes, how they differ, how the interpolated scan differs from
/// the mean, and the hints.
pub(super) const FUSION_INPUTS: usize = 7;

/// Blocks begin as a small change, so that depth does not swell the signal.
const RESIDUAL_GAIN: f64 = 0.4;

/// Of the fusion: with none, all of its first layer fell silent within a hundred steps.
const FUSION_SLOPE: f32 = 0.1;

/// Before the tensors of the fusion.
pub(super) const FUSION: &str = "fusion";

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
    /// What joins both directions of planes; their mean counts if there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fusion: Option<FusionConfig>,
}

/// The shape of a network that joins both directions of planes. It folds as they do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FusionConfig {
    /// Of every inner layer.
    pub channels: usize,
    /// Residual blocks of two layers each.
    pub blocks: usize,
}

impl Default for ThroughPlaneConfig {
    /// Sees 40 voxels to either side along the slice axis and 10 across: five slices at eight voxels a slice.
    fn default() -> Self {
        Self { channels: 40, blocks: 4, fold: 4, fusion: None }
    }
}

impl ThroughPlaneConfig {
    /// Names and shapes of all weights.
    pub fn tensors(&self) -> Vec<(String, Vec<usize>)> {
        let mut all = self.planes().tensors("");
        if let Some(fusion) = self.in_volume() {
            all.extend(fusion.tensors(&format!("{FUSION}.")));
        }
        all
    }

    /// True of networks that may exist.
    pub(crate) fn is_possible(&self) -> bool {
        let possible = |channels: usize, blocks: usize| (1..=256).contains(&channels) && blocks <= 64;
        let fusion = self.fusion.is_none_or(|f| possible(f.channels, f.blocks));
        possible(self.channels, self.blocks) && (1..=16).contains(&self.fold) && fusion
    }

    /// Floating-point operations for one voxel of a scan: in planes of both directions and in the volume.
    pub fn flops_per_voxel(&self) -> f64 {
        2.0 * self.flops(&self.planes()) + self.fusion_flops_per_voxel()
    }

    /// With the blocks' overlap.
    fn fusion_flops_per_voxel(&self) -> f64 {
        const OVERLAP: f64 = 1.4;
        self.in_volume().map_or(0.0, |fusion| OVERLAP * self.flops(&fusion))
    }

    fn flops(&self, shape: &Shape) -> f64 {
        let weights = shape.tensors("").iter().map(|(_, shape)| shape.iter().product::<usize>()).sum::<usize>();
        2.0 * weights as f64 / self.fold as f64
    }

    fn planes(&self) -> Shape {
        Shape {
            inputs: INPUTS * self.fold,
            channels: self.channels,
            blocks: self.blocks,
            outputs: self.fold,
            depth: 1,
            activation: Activation::Relu,
        }
    }

    fn in_volume(&self) -> Option<Shape> {
        self.fusion.map(|fusion| Shape {
            inputs: FUSION_INPUTS * self.fold,
            channels: fusion.channels,
            blocks: fusion.blocks,
            outputs: self.fold,
            depth: 3,
            activation: Activation::LeakyRelu(FUSION_SLOPE),
        })
    }
}

/// A network for planes that hold the slice axis: after SMORE (Zhao et al., IEEE TMI 2021), which learns from a scan's own sharp
/// planes, with the real-valued factors of ECLARE (Remedios et al., 2025). As values along the slice axis say little more than
/// the slices did, `fold` rows go into channels (Shi et al., CVPR 2016). A second one, if there is one, sees the planes of both
/// directions together, which do not see each other.
#[derive(Clone, Debug)]
pub struct ThroughPlane {
    fold: usize,
    planes: Residual,
    fusion: Option<Residual>,
    /// Of the time.
    fusion_share: f32,
}

impl ThroughPlane {
    /// From the weights of [`ThroughPlaneConfig::tensors`].
    ///
    /// # Errors
    /// If a weight is missing or has another shape.
    pub fn load(config: &ThroughPlaneConfig, vb: &VarBuilder<'_>) -> Result<Self> {
        let (planes, fusion) = (Self::of_planes(config, vb)?, Self::of_volume(config, vb)?);
        let fusion_share = (config.fusion_flops_per_voxel() / config.flops_per_voxel()) as f32;
        Ok(Self { fold: config.fold, planes, fusion, fusion_share })
    }

    /// What sharpens planes. Takes `[1, 5 · fold, planes, Z / fold, X]`: the interpolated plane; distance and thickness of slices
    /// over 8 voxels; cosine and sine of the place within a slice, 0 at its centre. Gives what is to be added to the first,
    /// `[1, fold, planes, Z / fold, X]`.
    pub(super) fn of_planes(config: &ThroughPlaneConfig, vb: &VarBuilder<'_>) -> Result<Residual> {
        Residual::load(&config.planes(), vb)
    }

    /// What joins both directions, if there is anything. Takes `[1, 7 · fold, Y, Z / fold, X]`: the mean of both; three times
    /// half of what planes of columns have more than those of rows; three times what the interpolated scan has more than the
    /// mean; the hints as for planes. Gives what is to be added to the mean.
    pub(super) fn of_volume(config: &ThroughPlaneConfig, vb: &VarBuilder<'_>) -> Result<Option<Residual>> {
        config.in_volume().map(|shape| Residual::load(&shape, &vb.pp(FUSION))).transpose()
    }

    /// Rows that lie in as many channels.
    pub(super) fn fold(&self) -> usize {
        self.fold
    }

    pub(super) fn planes(&self) -> &Residual {
        &self.planes
    }

    pub(super) fn fusion(&self) -> Option<&Residual> {
        self.fusion.as_ref()
    }

    /// Of the time that it takes, about.
    pub(super) fn fusion_share(&self) -> f32 {
        self.fusion_share
    }
}

/// A residual network: how large.
struct Shape {
    inputs: usize,
    channels: usize,
    blocks: usize,
    outputs: usize,
    /// Of every kernel; along the other axes it is 3.
    depth: usize,
    activation: Activation,
}

impl Shape {
    fn tensors(&self, place: &str) -> Vec<(String, Vec<usize>)> {
        let mut all = Vec::new();
        let mut layer = |name: String, inputs: usize, outputs: usize| {
            all.push((format!("{place}{name}.weight"), vec![outputs, inputs, self.depth, 3, 3]));
            all.push((format!("{place}{name}.bias"), vec![outputs]));
        };
        layer("head".to_owned(), self.inputs, self.channels);
        for block in 0..self.blocks {
            layer(format!("blocks.{block}.0"), self.channels, self.channels);
            layer(format!("blocks.{block}.1"), self.channels, self.channels);
        }
        layer("tail".to_owned(), self.channels, self.outputs);
        all
    }
}

/// A convolution, blocks of two each added to what they take, and another convolution. New weights are such that it gives
/// zeros at first.
#[derive(Clone, Debug)]
pub(super) struct Residual {
    head: Conv3d,
    blocks: Vec<[Conv3d; 2]>,
    tail: Conv3d,
}

impl Residual {
    fn load(shape: &Shape, vb: &VarBuilder<'_>) -> Result<Self> {
        let (c, activation) = (shape.channels, shape.activation);
        let layer = |vb: VarBuilder<'_>, inputs: usize, outputs: usize, gain: f64| {
            let [kd, kh, kw] = [shape.depth, 3, 3];
            // Uniform with He's variance (ICCV 2015) times the gain's square.
            let bound = gain * (6.0 / (inputs * kd * kh * kw) as f64).sqrt();
            let init = Init::Uniform { lo: -bound, up: bound };
            let weight = vb.get_with_hints((outputs, inputs, kd, kh, kw), "weight", init)?;
            let bias = vb.get_with_hints(outputs, "bias", Init::Const(0.0))?;
            let options = Conv3dOptions { padding: [kd / 2, 1, 1], ..Conv3dOptions::default() };
            Ok::<_, candle_core::Error>(Conv3d::new(weight, Some(bias), options))
        };
        let blocks = (0..shape.blocks).map(|block| {
            let vb = vb.pp("blocks").pp(block);
            let first = layer(vb.pp("0"), c, c, 1.0)?.with_activation(activation);
            Ok([first, layer(vb.pp("1"), c, c, RESIDUAL_GAIN)?])
        });
        let blocks = blocks.collect::<Result<Vec<_>>>()?;
        Ok(Self {
            head: layer(vb.pp("head"), shape.inputs, c, 1.0)?.with_activation(activation),
            blocks,
            tail: layer(vb.pp("tail"), c, shape.outputs, 0.0)?,
        })
    }

    /// Voxels to either side that an answer depends on.
    pub(super) fn reach(&self) -> usize {
        2 * self.blocks.len() + 2
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

impl Module for Residual {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let mut x = self.head.forward(x)?;
        for [first, second] in &self.blocks {
            x = (second.forward(&first.forward(&x)?)? + x)?;
        }
        self.tail.forward(&x)
    }
}

/// Memory for [`Residual::run`].
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
