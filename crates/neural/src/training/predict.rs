//! A trained network at work on samples.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use candle_core::{DType, Device, Module, Tensor};
use candle_nn::VarBuilder;

use super::parameters::Parameters;
use super::sample::Sample;
use super::trainer::Network;
use crate::NeuralError;
use crate::safetensors::{Content, Precision};

/// Networks of one shape with weights that stay as they are; of several, the mean of their probabilities counts (Lakshminarayanan
/// et al., NeurIPS 2017).
pub struct Predictor {
    networks: Vec<Arc<dyn Module + Send + Sync>>,
    divisor: usize,
}

impl std::fmt::Debug for Predictor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Predictor").field("networks", &self.networks.len()).finish_non_exhaustive()
    }
}

impl Predictor {
    /// From weights that [`Trainer::weights`](super::Trainer::weights) gave, or [`Predictor::join`] of several networks.
    ///
    /// # Errors
    /// [`NeuralError`] if the bytes are no weights, or those of other networks.
    pub fn load(kind: &dyn Network, bytes: &[u8], members: usize) -> Result<Self, NeuralError> {
        let content = Content::read(bytes)?;
        check(kind, &content, members)?;
        let mut tensors = HashMap::new();
        for (name, (shape, values)) in content.tensors {
            tensors.insert(name, Tensor::from_vec(values, shape, &Device::Cpu)?);
        }
        let all = VarBuilder::from_tensors(tensors, DType::F32, &Device::Cpu);
        let networks = match members {
            1 => vec![kind.load(&all)?.into()],
            n => (0..n).map(|member| Ok(kind.load(&all.pp(member))?.into())).collect::<Result<_, NeuralError>>()?,
        };
        Ok(Self { networks, divisor: kind.divisor() })
    }

    /// The weights of networks of one shape in one file: those of one as they are, those of several under `0.`, `1.`, ….
    /// Metadata is that of the first.
    ///
    /// # Errors
    /// [`NeuralError`] if bytes are no weights.
    pub fn join(members: &[Vec<u8>], precision: Precision) -> Result<Vec<u8>, NeuralError> {
        let mut joined = Content { metadata: BTreeMap::new(), tensors: BTreeMap::new() };
        for (member, bytes) in members.iter().enumerate() {
            let Content { metadata, tensors } = Content::read(bytes)?;
            let prefix = if members.len() == 1 { String::new() } else { format!("{member}.") };
            joined.tensors.extend(tensors.into_iter().map(|(name, tensor)| (format!("{prefix}{name}"), tensor)));
            if member == 0 {
                joined.metadata = metadata;
            }
        }
        joined.write(precision)
    }

    /// Some of the networks, counted from 0.
    ///
    /// # Panics
    /// If there is no network of a number.
    pub fn only(&self, members: &[usize]) -> Self {
        let networks = members.iter().map(|&member| Arc::clone(&self.networks[member])).collect();
        Self { networks, divisor: self.divisor }
    }

    /// Probabilities `[class, depth, height, width]`; the mean over all flips of the axes (depth, height, width) named.
    ///
    /// # Errors
    /// [`NeuralError::Candle`].
    pub fn probabilities(&self, sample: &Sample, flips: [bool; 3]) -> Result<Vec<f32>, NeuralError> {
        Ok(self.softmax(sample, flips)?.flatten_all()?.to_vec1()?)
    }

    /// The class of each voxel, the lower of equals.
    ///
    /// # Errors
    /// [`NeuralError::Candle`].
    pub fn classes(&self, sample: &Sample, flips: [bool; 3]) -> Result<Vec<u8>, NeuralError> {
        Ok(classes(&self.softmax(sample, flips)?)?)
    }

    fn softmax(&self, sample: &Sample, flips: [bool; 3]) -> candle_core::Result<Tensor> {
        let x = tensor(&padded(sample, self.divisor))?;
        let axes: Vec<usize> = (0..3).filter(|&a| flips[a]).collect();
        let mut sum: Option<Tensor> = None;
        for chosen in 0..1_usize << axes.len() {
            let turned: Vec<usize> =
                axes.iter().enumerate().filter(|(i, _)| chosen >> i & 1 == 1).map(|(_, a)| a + 2).collect();
            let input = if turned.is_empty() { x.clone() } else { x.flip(&turned)? };
            for network in &self.networks {
                let logits = network.forward(&input)?;
                let logits = if turned.is_empty() { logits } else { logits.flip(&turned)? };
                let one = candle_nn::ops::softmax(&logits, 1)?;
                sum = Some(match sum {
                    Some(sum) => (sum + one)?,
                    None => one,
                });
            }
        }
        let count = (self.networks.len() << axes.len()) as f64;
        let Some(sum) = sum else { candle_core::bail!("nothing was run") };
        let [d, h, w] = sample.size;
        (sum / count)?.narrow(2, 0, d)?.narrow(3, 0, h)?.narrow(4, 0, w)?.contiguous()
    }
}

/// Refuses weights that lack a tensor of the networks, have one of another shape, or one that none of them has.
fn check(kind: &dyn Network, content: &Content, members: usize) -> Result<(), NeuralError> {
    if members == 0 {
        return Err(NeuralError::Description { field: "members".to_owned(), reason: "are none".to_owned() });
    }
    let parameters = Parameters::new(0);
    kind.load(&parameters.builder())?;
    let own = parameters.all();
    let mut expected = BTreeMap::new();
    for member in 0..members {
        let prefix = if members == 1 { String::new() } else { format!("{member}.") };
        expected.extend(own.iter().map(|(name, var)| (format!("{prefix}{name}"), var.dims().to_vec())));
    }
    for (name, shape) in &expected {
        match content.tensors.get(name) {
            None => return Err(NeuralError::MissingTensor { name: name.clone() }),
            Some((found, _)) if found != shape => {
                let (name, found, expected) = (name.clone(), found.clone(), shape.clone());
                return Err(NeuralError::TensorShape { name, found, expected });
            }
            Some(_) => {}
        }
    }
    match content.tensors.keys().find(|name| !expected.contains_key(*name)) {
        Some(name) => Err(NeuralError::OtherTensor { name: name.clone() }),
        None => Ok(()),
    }
}

pub(super) fn tensor(sample: &Sample) -> candle_core::Result<Tensor> {
    let [d, h, w] = sample.size;
    Tensor::from_slice(&sample.image, (1, sample.channels(), d, h, w), &Device::Cpu)
}

/// With zeros and background at the far ends, up to multiples of `divisor`.
pub(super) fn padded(sample: &Sample, divisor: usize) -> Sample {
    let size = sample.size.map(|n| n.next_multiple_of(divisor.max(1)));
    let voxels: usize = size.iter().product();
    let channels = sample.channels();
    let mut image = vec![0.0; channels * voxels];
    let mut labels = vec![0; voxels];
    let [d, h, w] = sample.size;
    for row in 0..d * h {
        let to = (row / h * size[1] + row % h) * size[2];
        labels[to..to + w].copy_from_slice(&sample.labels[row * w..][..w]);
        for channel in 0..channels {
            let from = channel * sample.voxels() + row * w;
            image[channel * voxels + to..][..w].copy_from_slice(&sample.image[from..from + w]);
        }
    }
    Sample { size, spacing_mm: sample.spacing_mm, image, labels }
}

/// The class of each voxel of the first item, the lower of equals.
pub(super) fn classes(logits: &Tensor) -> candle_core::Result<Vec<u8>> {
    let classes = logits.dim(1)?;
    let rows = logits.get(0)?.reshape((classes, ()))?.to_vec2::<f32>()?;
    let voxels = logits.dims()[2..].iter().product();
    let mut best = vec![0_u8; voxels];
    let mut values = rows.first().cloned().unwrap_or_default();
    for (class, row) in rows.iter().enumerate().skip(1) {
        for ((best, value), &x) in best.iter_mut().zip(&mut values).zip(row) {
            if x > *value {
                (*best, *value) = (class as u8, x);
            }
        }
    }
    Ok(best)
}

/// Dice of each foreground class.
pub(super) fn dice_of(truth: &[u8], found: &[u8], classes: usize) -> Vec<Option<f64>> {
    let dice = |class: usize| {
        let is = |label: u8| usize::from(label) == class;
        let (mut both, mut all) = (0_usize, 0_usize);
        for (&t, &f) in truth.iter().zip(found) {
            both += usize::from(is(t) && is(f));
            all += usize::from(is(t)) + usize::from(is(f));
        }
        (all > 0).then(|| 2.0 * both as f64 / all as f64)
    };
    (1..classes).map(dice).collect()
}
