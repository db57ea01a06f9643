//! The network's part of a configuration.

use serde_json::Value;

use super::{axes, description, field};
use crate::NeuralError;

/// The shape of a U-Net of dynamic-network-architectures.
#[derive(Clone, Debug, PartialEq)]
pub struct Architecture {
    /// What its encoder is made of.
    pub kind: NetworkKind,
    /// Channels of the image.
    pub inputs: usize,
    /// Channels of the answer.
    pub heads: usize,
    /// The stages of the encoder, from fine to coarse.
    pub stages: Vec<Stage>,
    /// Convolutions of each stage of the decoder, from coarse to fine.
    pub decoder_convs: Vec<usize>,
    /// Whether convolutions of the encoder and the decoder have biases.
    pub conv_bias: bool,
    /// Instance normalisation.
    pub norm: Option<InstanceNormConfig>,
    /// Slope of the leaky rectifier for negative values; 0 for a plain one, none for no rectifier.
    pub negative_slope: Option<f32>,
    /// Whether the rectifier comes before the norm.
    pub nonlin_first: bool,
}

/// What an encoder is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NetworkKind {
    /// Stacked convolutions: `PlainConvUNet`.
    Plain,
    /// Residual blocks: `ResidualEncoderUNet`, with the channels of its stem.
    Residual {
        /// Outputs of the first convolution.
        stem: usize,
    },
}

/// One stage of an encoder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stage {
    /// Channels.
    pub features: usize,
    /// Convolutions, or residual blocks.
    pub blocks: usize,
    /// Voxels of the kernels.
    pub kernel: [usize; 3],
    /// Stride of the first convolution.
    pub stride: [usize; 3],
}

/// PyTorch's `InstanceNorm3d`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct InstanceNormConfig {
    /// Added to the variance.
    pub eps: f64,
    /// Whether it has weights.
    pub affine: bool,
}

/// Bounds that no network of today comes near, against sizes that no memory holds.
const MAX_FEATURES: usize = 8192;
const MAX_STAGES: usize = 16;
const MAX_BLOCKS: usize = 64;

impl Architecture {
    pub(super) fn read(merged: &Value, inputs: usize, heads: usize) -> Result<Self, NeuralError> {
        let Some(architecture) = merged.get("architecture") else { return Self::read_old(merged, inputs, heads) };
        let class = field(architecture, "network_class_name")?.as_str().unwrap_or("").rsplit('.').next().unwrap_or("");
        let kwargs = field(architecture, "arch_kwargs")?;
        let at = |key: &str| field(kwargs, key);
        let blocks = match class {
            "PlainConvUNet" => at("n_conv_per_stage")?,
            "ResidualEncoderUNet" => at("n_blocks_per_stage")?,
            _ => return Err(unknown_class(class)),
        };
        let stages = number(at("n_stages")?, "n_stages", MAX_STAGES)?;
        let features = at("features_per_stage")?;
        let stages = Self::stages(stages, features, blocks, at("kernel_sizes")?, at("strides")?)?;
        if !at("conv_op")?.as_str().unwrap_or("").ends_with("Conv3d") {
            return Err(description("conv_op", "is not Conv3d; only 3D networks run here"));
        }
        let kind = match class {
            "PlainConvUNet" => NetworkKind::Plain,
            _ => {
                let bottleneck = kwargs.get("bottleneck_channels").is_some_and(|b| !b.is_null());
                let block = kwargs.get("block").and_then(Value::as_str).unwrap_or("BasicBlockD");
                if bottleneck || !block.ends_with("BasicBlockD") {
                    return Err(description("block", "is not BasicBlockD, the only residual block known here"));
                }
                let stem = match kwargs.get("stem_channels") {
                    None | Some(Value::Null) => stages[0].features,
                    Some(stem) => number(stem, "stem_channels", MAX_FEATURES)?,
                };
                NetworkKind::Residual { stem }
            }
        };
        let slope = kwargs.get("nonlin_kwargs").and_then(|k| k.get("negative_slope")).and_then(Value::as_f64);
        let negative_slope = match kwargs.get("nonlin").and_then(Value::as_str).map(last_name) {
            None => None,
            Some("LeakyReLU") => Some(slope.unwrap_or(0.01) as f32),
            Some("ReLU") => Some(0.0),
            Some(other) => return Err(description("nonlin", format!("is {other}; LeakyReLU and ReLU are known"))),
        };
        let norm_kwargs = kwargs.get("norm_op_kwargs");
        let norm = match kwargs.get("norm_op").and_then(Value::as_str).map(last_name) {
            None => None,
            Some("InstanceNorm3d") => Some(InstanceNormConfig {
                eps: norm_kwargs.and_then(|k| k.get("eps")).and_then(Value::as_f64).unwrap_or(1e-5),
                affine: norm_kwargs.and_then(|k| k.get("affine")).and_then(Value::as_bool).unwrap_or(false),
            }),
            Some(other) => return Err(description("norm_op", format!("is {other}; InstanceNorm3d is known"))),
        };
        Ok(Self {
            kind,
            inputs,
            heads,
            decoder_convs: repeated(
                at("n_conv_per_stage_decoder")?,
                "n_conv_per_stage_decoder",
                stages.len() - 1,
                MAX_BLOCKS,
            )?,
            stages,
            conv_bias: kwargs.get("conv_bias").and_then(Value::as_bool).unwrap_or(false),
            norm,
            negative_slope,
            nonlin_first: kwargs.get("nonlin_first").and_then(Value::as_bool).unwrap_or(false),
        })
    }

    /// The format of nnU-Net before 2.4.
    fn read_old(merged: &Value, inputs: usize, heads: usize) -> Result<Self, NeuralError> {
        let at = |key: &str| field(merged, key);
        let class = at("UNet_class_name")?.as_str().unwrap_or("");
        let blocks = at("n_conv_per_stage_encoder")?;
        let count = blocks.as_array().map_or(0, Vec::len);
        if count == 0 || count > MAX_STAGES {
            return Err(description("n_conv_per_stage_encoder", format!("has {count} stages")));
        }
        let base = number(at("UNet_base_num_features")?, "UNet_base_num_features", MAX_FEATURES)?;
        let most = number(at("unet_max_num_features")?, "unet_max_num_features", MAX_FEATURES)?;
        let features = (0..count).map(|stage| (base << stage).min(most)).collect::<Value>();
        let (kernels, strides) = (at("conv_kernel_sizes")?, at("pool_op_kernel_sizes")?);
        let stages = Self::stages(count, &features, blocks, kernels, strides)?;
        let kind = match class {
            "PlainConvUNet" => NetworkKind::Plain,
            "ResidualEncoderUNet" => NetworkKind::Residual { stem: stages[0].features },
            _ => return Err(unknown_class(class)),
        };
        Ok(Self {
            kind,
            inputs,
            heads,
            decoder_convs: repeated(
                at("n_conv_per_stage_decoder")?,
                "n_conv_per_stage_decoder",
                count - 1,
                MAX_BLOCKS,
            )?,
            stages,
            conv_bias: true,
            norm: Some(InstanceNormConfig { eps: 1e-5, affine: true }),
            negative_slope: Some(0.01),
            nonlin_first: false,
        })
    }

    fn stages(
        count: usize,
        features: &Value,
        blocks: &Value,
        kernels: &Value,
        strides: &Value,
    ) -> Result<Vec<Stage>, NeuralError> {
        let features = repeated(features, "features_per_stage", count, MAX_FEATURES)?;
        let blocks = repeated(blocks, "n_conv_per_stage", count, MAX_BLOCKS)?;
        let (kernels, strides) = (sizes(kernels, "kernel_sizes", count)?, sizes(strides, "strides", count)?);
        if let Some(even) = kernels.iter().find(|kernel| kernel.iter().any(|k| k % 2 == 0)) {
            return Err(description("kernel_sizes", format!("has {even:?}; kernels must be odd")));
        }
        Ok((0..count)
            .map(|s| Stage { features: features[s], blocks: blocks[s], kernel: kernels[s], stride: strides[s] })
            .collect())
    }

    /// By how much each axis shrinks from the image to the coarsest stage.
    pub fn reduction(&self) -> [usize; 3] {
        [0, 1, 2].map(|a| self.stages.iter().map(|stage| stage.stride[a]).product())
    }
}

fn unknown_class(class: &str) -> NeuralError {
    description("network_class_name", format!("is `{class}`; PlainConvUNet and ResidualEncoderUNet are known"))
}

fn last_name(path: &str) -> &str {
    path.rsplit('.').next().unwrap_or(path)
}

/// A whole number from 1 to `most`.
fn number(value: &Value, key: &str, most: usize) -> Result<usize, NeuralError> {
    let number = value.as_u64().and_then(|n| usize::try_from(n).ok()).filter(|n| (1..=most).contains(n));
    number.ok_or_else(|| description(key, format!("has {value}, which is not from 1 to {most}")))
}

/// One number for each stage, or one for all.
fn repeated(value: &Value, key: &str, count: usize, most: usize) -> Result<Vec<usize>, NeuralError> {
    let Some(list) = value.as_array() else { return Ok(vec![number(value, key, most)?; count]) };
    if list.len() != count {
        return Err(description(key, format!("has {} entries for {count} stages", list.len())));
    }
    list.iter().map(|value| number(value, key, most)).collect()
}

/// Three numbers for each stage; one may stand for all three, or for all stages.
fn sizes(value: &Value, key: &str, count: usize) -> Result<Vec<[usize; 3]>, NeuralError> {
    let Some(list) = value.as_array() else { return Ok(vec![[number(value, key, 32)?; 3]; count]) };
    if list.len() != count {
        return Err(description(key, format!("has {} entries for {count} stages", list.len())));
    }
    let one = |value: &Value| match value {
        Value::Array(_) => axes(value).filter(|size| size.iter().all(|s| (1..=32).contains(s))).ok_or_else(|| {
            description(key, format!("has {value}, which is not three numbers from 1 to 32; only 3D networks run here"))
        }),
        _ => Ok([number(value, key, 32)?; 3]),
    };
    list.iter().map(one).collect()
}
