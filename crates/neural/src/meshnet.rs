//! MeshNet: dilated 3D convolutions at full resolution, without pooling.
//!
//! Fedorov et al., "End-to-end learning of brain tissue segmentation from imperfect labeling", arXiv:1612.00940. The weights of
//! brainchop (<https://github.com/neuroneural/brainchop>, MIT) are read as `layers.{i}.weight` and `layers.{i}.bias`;
//! dilations and activation stand in the file's metadata. There is no norm and no skip: each layer is a 3×3×3 convolution
//! with zero padding, bias and activation, the last a 1×1×1 convolution to the logits.

mod conform;
mod onto;

use candle_core::{DType, Device, Module, Tensor};
use candle_nn::VarBuilder;
use serde::{Deserialize, Serialize};
use volume::{Label, ScanVolume, Volume, resample};

use crate::confidence::percent_of_largest;
use crate::error::NeuralError;
use crate::nn::{Activation, Conv3d, Conv3dOptions};
use crate::safetensors::Safetensors;

use self::conform::Conformed;

/// More layers, channels or classes than any network of this kind has.
const MOST: usize = 4096;

/// Slices whose logits are in memory at a time.
const SLAB: usize = 4;

/// The shape of a network.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MeshNetConfig {
    /// Of every layer but the last.
    pub channels: usize,
    /// Channels of the last layer; class 0 is background.
    pub classes: usize,
    /// Of the 3×3×3 layers, in order.
    pub dilations: Vec<usize>,
    /// After every layer but the last.
    pub activation: Activation,
}

impl MeshNetConfig {
    /// From the metadata of a file of weights: `channels`, `classes`, `activation`, and `dilations` with that of the last
    /// layer, 1, at the end.
    ///
    /// # Errors
    /// [`NeuralError::Description`].
    pub fn of(weights: &Safetensors) -> Result<Self, NeuralError> {
        let text = |field: &str| {
            let reason = "is not in the metadata of the weights".to_owned();
            weights.metadata().get(field).ok_or(NeuralError::Description { field: field.to_owned(), reason })
        };
        let number = |field: &str, text: &str| {
            let reason = || format!("is `{text}`, not numbers from 1 to {MOST}");
            let number = text.trim().parse().ok().filter(|n| (1..=MOST).contains(n));
            number.ok_or_else(|| NeuralError::Description { field: field.to_owned(), reason: reason() })
        };
        let dilations = text("dilations")?;
        let mut dilations =
            dilations.split(',').map(|d| number("dilations", d)).collect::<Result<Vec<usize>, NeuralError>>()?;
        dilations.pop();
        let activation = match text("activation")?.to_ascii_lowercase().as_str() {
            "elu" => Activation::Elu(1.0),
            "relu" => Activation::Relu,
            "gelu" => Activation::Gelu,
            other => {
                let reason = format!("is `{other}`; elu, relu and gelu are known");
                return Err(NeuralError::Description { field: "activation".to_owned(), reason });
            }
        };
        let config = Self {
            channels: number("channels", text("channels")?)?,
            classes: number("classes", text("classes")?)?,
            dilations,
            activation,
        };
        config.check()?;
        Ok(config)
    }

    /// # Errors
    /// [`NeuralError::Description`] for a network that cannot be.
    pub(crate) fn check(&self) -> Result<(), NeuralError> {
        let wrong = |field: &str, reason: String| Err(NeuralError::Description { field: field.to_owned(), reason });
        if self.dilations.is_empty()
            || self.dilations.len() > MOST
            || self.dilations.iter().any(|d| !(1..=64).contains(d))
        {
            return wrong("dilations", format!("are {:?}; one a layer, from 1 to 64, is asked for", self.dilations));
        }
        if !(1..=MOST).contains(&self.channels) {
            return wrong("channels", format!("are {}", self.channels));
        }
        if !(2..=MOST).contains(&self.classes) {
            return wrong("classes", format!("are {}; background and one more are the least", self.classes));
        }
        Ok(())
    }

    /// Tensors of the weights with their shapes.
    pub fn tensors(&self) -> Vec<(String, Vec<usize>)> {
        let mut tensors = Vec::new();
        for (layer, _) in self.dilations.iter().enumerate() {
            let inputs = if layer == 0 { 1 } else { self.channels };
            tensors.push((format!("layers.{layer}.weight"), vec![self.channels, inputs, 3, 3, 3]));
            tensors.push((format!("layers.{layer}.bias"), vec![self.channels]));
        }
        let last = self.dilations.len();
        tensors.push((format!("layers.{last}.weight"), vec![self.classes, self.channels, 1, 1, 1]));
        tensors.push((format!("layers.{last}.bias"), vec![self.classes]));
        tensors
    }

    /// Multiplications and additions for one voxel.
    pub fn flops_per_voxel(&self) -> f64 {
        let inner = self.dilations.len().saturating_sub(1) * self.channels * self.channels * 27;
        2.0 * (27 * self.channels + inner + self.channels * self.classes) as f64
    }
}

/// The network with its weights.
#[derive(Clone, Debug)]
pub struct MeshNet {
    layers: Vec<Conv3d>,
    last: Conv3d,
}

/// What a network found in a scan.
#[derive(Clone, Debug, PartialEq)]
pub struct MeshNetLabels {
    /// Class of each voxel of the scan's own grid.
    pub labels: Volume<Label>,
    /// Class of each voxel of the network's grid: 1 mm, cropped to the head; islands of noise taken out.
    pub conformed: Volume<Label>,
    /// How probable the class of each voxel of the scan's own grid is by the network, in percent.
    pub confidence: Volume<u8>,
}

impl MeshNet {
    /// Takes weights that must be those of `config`.
    ///
    /// # Errors
    /// [`NeuralError`] if a tensor is missing, of another shape, not finite, or one too many.
    pub fn load(weights: &Safetensors, config: &MeshNetConfig) -> Result<Self, NeuralError> {
        config.check()?;
        let vb = VarBuilder::from_tensors(weights.weights(&config.tensors())?, DType::F32, &Device::Cpu);
        let layer = |(at, &dilation): (usize, &usize)| {
            let inputs = if at == 0 { 1 } else { config.channels };
            let options = Conv3dOptions::same([3; 3], dilation);
            let conv = Conv3d::load(&vb.pp(format!("layers.{at}")), [inputs, config.channels], [3; 3], options, true)?;
            Ok(conv.with_activation(config.activation))
        };
        let layers = config.dilations.iter().enumerate().map(layer).collect::<Result<Vec<_>, NeuralError>>()?;
        let last = vb.pp(format!("layers.{}", layers.len()));
        let last = Conv3d::load(&last, [config.channels, config.classes], [1; 3], Conv3dOptions::default(), true)?;
        Ok(Self { layers, last })
    }

    /// Logits `[N, classes, D, H, W]` of `x` `[N, 1, D, H, W]`.
    ///
    /// # Errors
    /// [`NeuralError::Candle`].
    pub fn forward(&self, x: &Tensor) -> Result<Tensor, NeuralError> {
        let mut x = x.clone();
        for layer in &self.layers {
            x = layer.forward(&x)?;
        }
        Ok(self.last.forward(&x)?)
    }

    /// What the last layer sees, of one channel of `size`: depth, height, width. Two buffers of its size are in memory.
    fn features(&self, x: Vec<f32>, size: [usize; 3], tell: &(dyn Fn(f32) + Sync)) -> Result<Vec<f32>, NeuralError> {
        let [depth, height, width] = size;
        let mut shape = [1, 1, depth, height, width];
        let (mut from, mut to) = (x, Vec::new());
        for (done, layer) in self.layers.iter().enumerate() {
            shape = layer.forward_into(&from, shape, &mut to)?;
            std::mem::swap(&mut from, &mut to);
            tell((done + 1) as f32 / self.layers.len() as f32);
        }
        Ok(from)
    }

    /// Finds the structures of a T1-weighted scan of a head.
    ///
    /// The scan is brought to 256³ voxels of 1 mm, cropped to the head, run as a whole, and the classes are brought back to
    /// the scan's grid: the largest of the logits, interpolated linearly to each voxel. `temperature` divides the logits
    /// before they become probabilities.
    ///
    /// With `mirrored`, which says what each class is on the other side, the logits are the mean over the head and its mirror
    /// image: twice the work, and half as much memory again.
    ///
    /// # Errors
    /// [`NeuralError::Input`] if there is nothing in the scan, [`NeuralError::Candle`].
    pub fn segment(
        &self,
        scan: &ScanVolume,
        temperature: f32,
        mirrored: Option<&[Label]>,
        tell: &(dyn Fn(f32) + Sync),
    ) -> Result<MeshNetLabels, NeuralError> {
        let Conformed { values, geometry } = conform::conform(scan)?;
        tell(0.04);
        let [width, height, depth] = geometry.size();
        let size = [depth, height, width];
        let tell_features = |share: f32| tell(0.04 + 0.84 * share);
        let (features, last) = match mirrored {
            // [C, L, I, A]
            None => (self.features(values, size, &tell_features)?, self.last.clone()),
            Some(mirrored) => (self.features_of_both(values, size, &tell_features)?, self.last_of_both(mirrored)?),
        };
        let (classes, sure) = classes(&last, &features, size, temperature)?;
        tell(0.91);
        let mut conformed = Volume::new(geometry, classes)?;
        onto::clean(&mut conformed);
        tell(0.93);
        let weights = last.weight().flatten_all()?.to_vec1::<f32>()?;
        let bias = match last.bias() {
            Some(bias) => bias.to_vec1::<f32>()?,
            None => Vec::new(),
        };
        let classifier = onto::Classifier::new(&weights, &bias);
        let labels = onto::onto(&conformed, &features, &classifier, scan.geometry());
        // Outside of what the network saw there is nothing, surely.
        let confidence = resample::nearest(&Volume::new(geometry, sure)?, scan.geometry(), 100);
        tell(1.0);
        Ok(MeshNetLabels { labels, conformed, confidence })
    }

    /// As [`MeshNet::features`], then those of the mirror image, laid back.
    fn features_of_both(
        &self,
        x: Vec<f32>,
        size: [usize; 3],
        tell: &(dyn Fn(f32) + Sync),
    ) -> Result<Vec<f32>, NeuralError> {
        let slice = size[1] * size[2];
        let turned: Vec<f32> = x.rchunks_exact(slice).flatten().copied().collect();
        let mut both = self.features(x, size, &|share| tell(0.5 * share))?;
        let other = self.features(turned, size, &|share| tell(0.5 + 0.5 * share))?;
        both.reserve_exact(other.len());
        for channel in other.chunks_exact(size[0] * slice) {
            channel.rchunks_exact(slice).for_each(|plane| both.extend_from_slice(plane));
        }
        Ok(both)
    }

    /// The last layer for [`MeshNet::features_of_both`]: the mean of what it says of either side. `mirrored` has as many classes.
    fn last_of_both(&self, mirrored: &[Label]) -> Result<Conv3d, NeuralError> {
        let classes: Vec<u32> = mirrored.iter().map(|&class| class.into()).collect();
        let classes = Tensor::from_vec(classes, mirrored.len(), &Device::Cpu)?;
        let mean = |own: &Tensor| -> Result<[Tensor; 2], NeuralError> {
            Ok([(own / 2.0)?, (own.index_select(&classes, 0)? / 2.0)?])
        };
        let weight = Tensor::cat(&mean(self.last.weight())?, 1)?;
        let bias = match self.last.bias() {
            Some(bias) => {
                let [own, other] = mean(bias)?;
                Some((own + other)?)
            }
            None => None,
        };
        Ok(Conv3d::new(weight, bias, self.last.options()))
    }
}

/// The class with the largest logit at each voxel of `features` `[C, D, H, W]` and how probable it is in percent, a few slices
/// at a time.
fn classes(
    last: &Conv3d,
    features: &[f32],
    [depth, height, width]: [usize; 3],
    temperature: f32,
) -> Result<(Vec<Label>, Vec<u8>), NeuralError> {
    let slice = height * width;
    let mut classes = Vec::with_capacity(depth * slice);
    let mut sure = Vec::with_capacity(depth * slice);
    let (mut slab, mut logits) = (Vec::new(), Vec::new());
    for start in (0..depth).step_by(SLAB) {
        let count = SLAB.min(depth - start);
        slab.clear();
        for plane in features.chunks_exact(depth * slice) {
            slab.extend_from_slice(&plane[start * slice..][..count * slice]);
        }
        let channels = slab.len() / (count * slice);
        last.forward_into(&slab, [1, channels, count, height, width], &mut logits)?;
        classes.extend(onto::largest(&logits, count * slice));
        sure.extend(percent_of_largest(&logits, count * slice, temperature));
    }
    Ok((classes, sure))
}

#[cfg(test)]
mod tests;
