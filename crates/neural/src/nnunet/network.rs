//! The U-Nets of dynamic-network-architectures 0.4, for inference.
//!
//! Isensee et al., "nnU-Net: a self-configuring method for deep learning-based biomedical image segmentation", Nature
//! Methods 18 (2021); the residual encoder is that of Isensee et al., arXiv:2404.09556. Names of parameters as in PyTorch.
//!
//! Memory is what limits windows, so norms and activations work in place, skip connections are freed when they have been
//! used, and the two halves that a decoder joins are convolved one by one instead of being copied together.

mod blocks;

use candle_core::{Module, Tensor};

use self::blocks::{ConvBlock, ConvSpec, JoinedBlock, ResidualBlock, Source};
use super::plans::{Architecture, NetworkKind};
use crate::NeuralError;
use crate::nn::{Conv3d, Conv3dOptions, ConvTranspose3d};
use crate::weights::Tensors;

/// A U-Net with its weights.
#[derive(Debug)]
pub struct Network {
    stem: Vec<ConvBlock>,
    encoder: Vec<EncoderStage>,
    decoder: Vec<DecoderStage>,
    head: Conv3d,
    reduction: [usize; 3],
    inputs: usize,
}

#[derive(Debug)]
enum EncoderStage {
    Plain(Vec<ConvBlock>),
    Residual(Vec<ResidualBlock>),
}

#[derive(Debug)]
struct DecoderStage {
    up: ConvTranspose3d,
    join: JoinedBlock,
    rest: Vec<ConvBlock>,
}

impl Network {
    /// A network of this architecture from a checkpoint's `network_weights`.
    ///
    /// # Errors
    /// [`NeuralError::MissingTensor`], [`NeuralError::TensorShape`] or [`NeuralError::NotFinite`] if the weights are not those
    /// of this architecture.
    pub fn load(architecture: &Architecture, tensors: &Tensors) -> Result<Self, NeuralError> {
        let source = Source::new(tensors);
        let spec = |kernel| ConvSpec::of(architecture, kernel);
        let mut channels = architecture.inputs;
        let mut stem = Vec::new();
        if let NetworkKind::Residual { stem: outputs } = architecture.kind {
            let spec = spec(architecture.stages[0].kernel);
            stem.push(ConvBlock::load(&source, "encoder.stem.convs.0", [channels, outputs], spec)?);
            channels = outputs;
        }
        let mut encoder = Vec::new();
        for (s, stage) in architecture.stages.iter().enumerate() {
            let mut plain = Vec::new();
            let mut residual = Vec::new();
            for b in 0..stage.blocks {
                let spec = spec(stage.kernel).with_stride(if b == 0 { stage.stride } else { [1; 3] });
                let pair = [channels, stage.features];
                match architecture.kind {
                    NetworkKind::Plain => {
                        let name = format!("encoder.stages.{s}.0.convs.{b}");
                        plain.push(ConvBlock::load(&source, &name, pair, spec)?);
                    }
                    NetworkKind::Residual { .. } => {
                        let name = format!("encoder.stages.{s}.blocks.{b}");
                        residual.push(ResidualBlock::load(&source, &name, pair, spec)?);
                    }
                }
                channels = stage.features;
            }
            encoder.push(match architecture.kind {
                NetworkKind::Plain => EncoderStage::Plain(plain),
                NetworkKind::Residual { .. } => EncoderStage::Residual(residual),
            });
        }
        let mut decoder = Vec::new();
        for (s, &convs) in architecture.decoder_convs.iter().enumerate() {
            let below = &architecture.stages[architecture.stages.len() - 1 - s];
            let beside = &architecture.stages[architecture.stages.len() - 2 - s];
            let name = format!("decoder.transpconvs.{s}");
            let up = source.conv_transpose(
                &name,
                [below.features, beside.features],
                below.stride,
                architecture.conv_bias,
            )?;
            let spec = spec(beside.kernel);
            let name = |conv: usize| format!("decoder.stages.{s}.convs.{conv}");
            let join = JoinedBlock::load(&source, &name(0), beside.features, spec)?;
            let rest = (1..convs).map(|c| ConvBlock::load(&source, &name(c), [beside.features; 2], spec));
            decoder.push(DecoderStage { up, join, rest: rest.collect::<Result<_, _>>()? });
        }
        let name = format!("decoder.seg_layers.{}", architecture.decoder_convs.len().saturating_sub(1));
        let pair = [architecture.stages[0].features, architecture.heads];
        let head = source.conv(&name, pair, [1; 3], Conv3dOptions::default(), true)?;
        Ok(Self { stem, encoder, decoder, head, reduction: architecture.reduction(), inputs: architecture.inputs })
    }

    /// The features before the last layer, `[N, C, D, H, W]` at the size of `x` `[N, channels, D, H, W]`.
    ///
    /// # Errors
    /// [`NeuralError::Input`] if a size is no multiple of what the network divides it by.
    pub fn features(&self, x: Tensor) -> Result<Tensor, NeuralError> {
        let (_, channels, d, h, w) = x.dims5()?;
        let size = [d, h, w];
        if channels != self.inputs || (0..3).any(|a| !size[a].is_multiple_of(self.reduction[a])) {
            return Err(NeuralError::Input {
                reason: format!(
                    "its window of {channels} channels and {size:?} voxels is not as the network divides it"
                ),
                remedy: format!("give {} channels and multiples of {:?}", self.inputs, self.reduction),
            });
        }
        let mut x = x;
        for block in &self.stem {
            x = block.forward(x)?;
        }
        let mut skips = Vec::with_capacity(self.encoder.len());
        for stage in &self.encoder {
            x = match stage {
                EncoderStage::Plain(blocks) => blocks.iter().try_fold(x, |x, block| block.forward(x))?,
                EncoderStage::Residual(blocks) => blocks.iter().try_fold(x, |x, block| block.forward(x))?,
            };
            skips.push(x.clone());
        }
        skips.pop();
        for stage in &self.decoder {
            x = stage.up.forward(&x)?;
            let Some(skip) = skips.pop() else { break };
            x = stage.join.forward(x, skip)?;
            x = stage.rest.iter().try_fold(x, |x, block| block.forward(x))?;
        }
        Ok(x)
    }

    /// The last layer, a convolution of 1×1×1.
    pub fn head(&self) -> &Conv3d {
        &self.head
    }

    /// The answer to `x`, `[N, heads, D, H, W]`, before any softmax.
    ///
    /// # Errors
    /// As [`Network::features`].
    pub fn logits(&self, x: Tensor) -> Result<Tensor, NeuralError> {
        Ok(self.head.forward(&self.features(x)?)?)
    }
}

/// A layer of 1×1×1 that gives the mean of several networks' answers from their features one after the other.
pub(super) fn mean_head(networks: &[Network]) -> Result<Conv3d, NeuralError> {
    let share = 1.0 / networks.len() as f64;
    let weights = networks.iter().map(|n| n.head.weight() * share).collect::<Result<Vec<_>, _>>()?;
    let weight = Tensor::cat(&weights, 1)?;
    let biases = networks.iter().filter_map(|n| n.head.bias()).map(|b| b * share).collect::<Result<Vec<_>, _>>()?;
    let bias = Tensor::stack(&biases, 0)?.sum(0)?;
    let (outputs, inputs) = (weight.dim(0)?, weight.dim(1)?);
    let tensors = Tensors::from([("weight".to_owned(), weight), ("bias".to_owned(), bias)]);
    Ok(Conv3d::load(&crate::weights::var_builder(tensors), [inputs, outputs], [1; 3], Conv3dOptions::default(), true)?)
}
