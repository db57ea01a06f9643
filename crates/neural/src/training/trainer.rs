//! One network in training, epoch by epoch.

use std::borrow::Borrow;
use std::collections::BTreeMap;
use std::sync::Arc;

use candle_core::{Device, Module, Tensor};
use candle_nn::VarBuilder;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::augment::{Augmentation, augment};
use super::loss::{LossConfig, dice_cross_entropy};
use super::optimizer::{Optimizer, OptimizerConfig, Schedule};
use super::parameters::Parameters;
use super::predict::{classes, dice_of, padded, tensor};
use super::random::Rng;
use super::sample::Sample;
use crate::NeuralError;
use crate::safetensors::{Content, Precision};

/// Places of the random numbers, beside the seed.
const WEIGHTS: u64 = 1;
const ORDER: u64 = 2;
const SAMPLE: u64 = 3;

/// A kind of network that can be trained.
pub trait Network: Send + Sync {
    /// The network with the weights of a builder.
    ///
    /// # Errors
    /// Candle's.
    fn load(&self, vb: &VarBuilder<'_>) -> candle_core::Result<Box<dyn Module + Send + Sync>>;
    /// Channels of its images.
    fn inputs(&self) -> usize;
    /// Classes, background included.
    fn classes(&self) -> usize;
    /// Voxels along each axis must be a multiple of this.
    fn divisor(&self) -> usize;
}

impl Network for crate::networks::unet::UNetConfig {
    fn load(&self, vb: &VarBuilder<'_>) -> candle_core::Result<Box<dyn Module + Send + Sync>> {
        Ok(Box::new(crate::networks::unet::UNet::load(vb, self)?))
    }

    fn inputs(&self) -> usize {
        self.inputs
    }

    fn classes(&self) -> usize {
        self.classes
    }

    fn divisor(&self) -> usize {
        Self::divisor(self)
    }
}

/// How a network is trained.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainingConfig {
    /// Of everything random.
    pub seed: u64,
    /// Voxels of a patch in depth, height, width.
    pub patch: [usize; 3],
    /// Patches of a step.
    pub batch: usize,
    /// Epochs at most; the schedule ends there.
    pub epochs: usize,
    /// Patches drawn from each sample in an epoch.
    #[serde(default = "one")]
    pub patches_per_sample: usize,
    /// Epochs without a better score after which training ends; 0 for never.
    #[serde(default)]
    pub patience: usize,
    /// At the schedule's top.
    pub learning_rate: f64,
    /// Over all steps.
    pub schedule: Schedule,
    /// What makes steps of gradients.
    #[serde(default)]
    pub optimizer: OptimizerConfig,
    /// Joint norm of the gradients at most.
    #[serde(default)]
    pub clip_norm: Option<f64>,
    /// What is made small.
    #[serde(default)]
    pub loss: LossConfig,
    /// What happens to samples first.
    #[serde(default)]
    pub augmentation: Augmentation,
}

fn one() -> usize {
    1
}

/// Voxels of the patches of a step, at most.
const MOST_VOXELS: usize = 1 << 24;

impl TrainingConfig {
    /// Whether one can train like this.
    ///
    /// # Errors
    /// [`NeuralError::Description`], with the field.
    pub fn check(&self) -> Result<(), NeuralError> {
        let wrong = |field: &str, reason: &str| {
            Err(NeuralError::Description { field: field.to_owned(), reason: reason.to_owned() })
        };
        let positive = |value: f64| value.is_finite() && value > 0.0;
        if self.batch == 0 || self.epochs == 0 || self.patches_per_sample == 0 {
            return wrong("batch, epochs, patches_per_sample", "must not be 0");
        }
        let voxels = self.patch.into_iter().fold(self.batch, usize::saturating_mul);
        if voxels == 0 || voxels > MOST_VOXELS {
            return wrong("batch, patch", &format!("make {voxels} voxels a step; 1 to {MOST_VOXELS} can be"));
        }
        if !positive(self.learning_rate) {
            return wrong("learning_rate", "is no number above 0");
        }
        if self.clip_norm.is_some_and(|norm| !positive(norm)) {
            return wrong("clip_norm", "is no number above 0");
        }
        let LossConfig { cross_entropy, dice, smooth } = self.loss;
        let part = |value: f32| value.is_finite() && value >= 0.0;
        if !(part(cross_entropy) && part(dice) && cross_entropy + dice > 0.0 && part(smooth)) {
            return wrong("loss", "has a part below 0, or none above 0");
        }
        self.schedule.check()?;
        self.optimizer.check()?;
        self.augmentation.check()
    }
}

/// What came out of an epoch.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EpochRecord {
    /// From 1.
    pub epoch: usize,
    /// At its end.
    pub learning_rate: f64,
    /// Mean over its steps.
    pub training_loss: f64,
    /// On samples held back.
    pub validation_loss: f64,
    /// Mean Dice of each foreground class there.
    pub dice: Vec<f64>,
}

impl EpochRecord {
    /// Mean of the classes.
    pub fn score(&self) -> f64 {
        rounded(self.dice.iter().sum::<f64>() / self.dice.len().max(1) as f64, 1e6)
    }
}

/// How far a training is; with the weights and moments all there is to know.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TrainingState {
    /// Every epoch so far.
    pub epochs: Vec<EpochRecord>,
    /// Steps of the optimiser.
    pub step: usize,
    /// The epoch with the best score, and the score.
    pub best: Option<(usize, f64)>,
}

/// How well a network does on some samples.
#[derive(Clone, Debug, PartialEq)]
pub struct Score {
    /// Mean of the loss.
    pub loss: f64,
    /// Dice of each sample, each foreground class; none where the class is in neither map.
    pub dice: Vec<Vec<Option<f64>>>,
}

impl Score {
    /// Mean Dice of each foreground class over the samples that have it.
    pub fn means(&self) -> Vec<f64> {
        let classes = self.dice.first().map_or(0, Vec::len);
        let mean = |class: usize| {
            let known: Vec<f64> = self.dice.iter().filter_map(|d| d[class]).collect();
            known.iter().sum::<f64>() / known.len().max(1) as f64
        };
        (0..classes).map(mean).collect()
    }
}

/// A network, its optimiser and its state.
pub struct Trainer<'a> {
    config: TrainingConfig,
    kind: &'a dyn Network,
    parameters: Parameters,
    network: Box<dyn Module + Send + Sync>,
    optimizer: Optimizer,
    state: TrainingState,
}

impl<'a> Trainer<'a> {
    /// At the very beginning.
    ///
    /// # Errors
    /// [`NeuralError::Description`] if the configuration cannot be, [`NeuralError::Candle`] if the network cannot.
    pub fn new(kind: &'a dyn Network, config: TrainingConfig) -> Result<Self, NeuralError> {
        let wrong = |field: &str, reason: String| Err(NeuralError::Description { field: field.to_owned(), reason });
        if config.patch.iter().any(|n| *n == 0 || n % kind.divisor() != 0) {
            let reason = format!("{:?} is not a multiple of {} along every axis", config.patch, kind.divisor());
            return wrong("patch", reason);
        }
        config.check()?;
        if kind.classes() < 2 || kind.classes() > 256 {
            return wrong("classes", format!("{} are not from 2 to 256", kind.classes()));
        }
        let parameters = Parameters::new(Rng::of(&[config.seed, WEIGHTS]).bits());
        let network = kind.load(&parameters.builder())?;
        let optimizer = Optimizer::new(&parameters, config.optimizer);
        Ok(Self { config, kind, parameters, network, optimizer, state: TrainingState::default() })
    }

    /// How it is trained.
    pub fn config(&self) -> &TrainingConfig {
        &self.config
    }

    /// How far it is.
    pub fn state(&self) -> &TrainingState {
        &self.state
    }

    /// Numbers in its weights.
    pub fn parameter_count(&self) -> usize {
        self.parameters.count()
    }

    /// True if all epochs are done, or the score has not been better for too long.
    pub fn is_done(&self) -> bool {
        let done = self.state.epochs.len();
        let best = self.state.best.map_or(0, |(epoch, _)| epoch);
        done >= self.config.epochs || (self.config.patience > 0 && done - best >= self.config.patience)
    }

    /// Steps of an epoch over this many samples.
    pub fn steps(&self, samples: usize) -> usize {
        (samples * self.config.patches_per_sample).div_ceil(self.config.batch)
    }

    /// Trains on every sample once, then validates; `tell` hears the steps done and of how many, and stops it with `false`.
    ///
    /// Returns true if the score is the best so far.
    ///
    /// # Errors
    /// [`NeuralError::Stopped`], after which the state is that of no epoch and must be taken up from a checkpoint;
    /// [`NeuralError::Diverged`]; [`NeuralError::Input`] if a sample does not fit the network.
    pub fn epoch<T: Borrow<Sample> + Sync, V: Borrow<Sample>>(
        &mut self,
        training: &[T],
        validation: &[V],
        tell: &mut dyn FnMut(usize, usize) -> bool,
    ) -> Result<bool, NeuralError> {
        for sample in training.iter().map(T::borrow).chain(validation.iter().map(V::borrow)) {
            sample.check(self.kind.inputs(), self.kind.classes())?;
        }
        if training.is_empty() || validation.is_empty() {
            let reason = format!("{} samples to train on and {} to validate", training.len(), validation.len());
            return Err(NeuralError::Input { reason, remedy: "give at least one of each".to_owned() });
        }
        let epoch = self.state.epochs.len();
        let place = [self.config.seed, ORDER, epoch as u64];
        let mut order: Vec<usize> = (0..training.len() * self.config.patches_per_sample).collect();
        Rng::of(&place).shuffle(&mut order);
        let steps = self.steps(training.len());
        let (mut sum, mut rate) = (0.0, 0.0);
        for step in 0..steps {
            // The last batch is filled up with the first patches, drawn anew.
            let patches: Vec<usize> =
                (0..self.config.batch).map(|i| (step * self.config.batch + i) % order.len()).collect();
            let batch: Vec<Sample> = patches
                .par_iter()
                .enumerate()
                .map(|(i, &at)| {
                    let drawn = (step * self.config.batch + i) as u64;
                    let mut rng = Rng::of(&[self.config.seed, SAMPLE, epoch as u64, drawn]);
                    let sample = training[order[at] % training.len()].borrow();
                    augment(sample, self.config.patch, &self.config.augmentation, &mut rng)
                })
                .collect();
            let (loss, used) = self.step(&batch, steps)?;
            (sum, rate) = (sum + loss, used);
            if !tell(step + 1, steps) {
                return Err(NeuralError::Stopped);
            }
        }
        let score = self.score(validation)?;
        let record = EpochRecord {
            epoch: epoch + 1,
            learning_rate: rounded(rate, 1e9),
            training_loss: rounded(sum / steps as f64, 1e6),
            validation_loss: rounded(score.loss, 1e6),
            dice: score.means().into_iter().map(|d| rounded(d, 1e6)).collect(),
        };
        let better = self.state.best.is_none_or(|(_, best)| record.score() > best);
        if better {
            self.state.best = Some((epoch + 1, record.score()));
        }
        self.state.epochs.push(record);
        Ok(better)
    }

    /// One step of the optimiser; returns the loss before it, and the learning rate.
    fn step(&mut self, batch: &[Sample], steps: usize) -> Result<(f64, f64), NeuralError> {
        let factor = self.config.schedule.factor(self.state.step, steps * self.config.epochs);
        let rate = self.config.learning_rate * factor;
        let [d, h, w] = self.config.patch;
        let images: Vec<f32> = batch.iter().flat_map(|s| s.image.iter().copied()).collect();
        let labels: Arc<[u8]> = batch.iter().flat_map(|s| s.labels.iter().copied()).collect();
        let x = Tensor::from_vec(images, (batch.len(), self.kind.inputs(), d, h, w), &Device::Cpu)?;
        let loss = dice_cross_entropy(&self.network.forward(&x)?, labels, self.config.loss)?;
        let value = f64::from(loss.to_scalar::<f32>()?);
        let norm = self.optimizer.step(&loss.backward()?, rate, self.config.clip_norm)?;
        self.state.step += 1;
        if !value.is_finite() || !norm.is_finite() {
            return Err(NeuralError::Diverged { step: self.state.step });
        }
        Ok((value, rate))
    }

    /// Loss and Dice on whole samples.
    ///
    /// # Errors
    /// [`NeuralError::Candle`].
    pub fn score<S: Borrow<Sample>>(&self, samples: &[S]) -> Result<Score, NeuralError> {
        let network = self.kind.load(&self.parameters.constants())?;
        let (mut loss, mut dice) = (0.0, Vec::new());
        for sample in samples.iter().map(S::borrow) {
            let padded = padded(sample, self.kind.divisor());
            let logits = network.forward(&tensor(&padded)?)?;
            let one = dice_cross_entropy(&logits, padded.labels.as_slice().into(), self.config.loss)?;
            loss += f64::from(one.to_scalar::<f32>()?);
            dice.push(dice_of(&padded.labels, &classes(&logits)?, self.kind.classes()));
        }
        Ok(Score { loss: loss / samples.len().max(1) as f64, dice })
    }

    /// The weights as safetensors, with `metadata`.
    ///
    /// # Errors
    /// [`NeuralError::Candle`].
    pub fn weights(&self, precision: Precision, metadata: BTreeMap<String, String>) -> Result<Vec<u8>, NeuralError> {
        Content { metadata, tensors: self.values()? }.write(precision)
    }

    fn values(&self) -> Result<BTreeMap<String, (Vec<usize>, Vec<f32>)>, NeuralError> {
        let all = self.parameters.all();
        let values = all
            .iter()
            .map(|(name, var)| Ok((name.clone(), (var.dims().to_vec(), var.flatten_all()?.to_vec1::<f32>()?))));
        values.collect()
    }

    /// Everything that [`resume`](Self::resume) needs, as safetensors.
    ///
    /// # Errors
    /// [`NeuralError::Candle`].
    pub fn checkpoint(&self) -> Result<Vec<u8>, NeuralError> {
        let mut tensors = self.values()?;
        for (name, values) in self.optimizer.state() {
            tensors.insert(name, (vec![values.len()], values.to_vec()));
        }
        let json = |value: serde_json::Result<String>| {
            value.map_err(|e| NeuralError::NotWeights { format: "checkpoint", reason: e.to_string() })
        };
        let metadata = BTreeMap::from([
            ("state".to_owned(), json(serde_json::to_string(&self.state))?),
            ("config".to_owned(), json(serde_json::to_string(&self.config))?),
        ]);
        Content { metadata, tensors }.write(Precision::Single)
    }

    /// Goes on where [`checkpoint`](Self::checkpoint) left off: to the same bits as without a stop.
    ///
    /// # Errors
    /// [`NeuralError`] if the bytes are no checkpoint, or that of another network or another configuration.
    pub fn resume(kind: &'a dyn Network, config: TrainingConfig, bytes: &[u8]) -> Result<Self, NeuralError> {
        let content = Content::read(bytes)?;
        let wrong = |reason: String| NeuralError::NotWeights { format: "checkpoint", reason };
        let text = |key: &str| content.metadata.get(key).ok_or_else(|| wrong(format!("it has no {key}")));
        let state: TrainingState =
            serde_json::from_str(text("state")?).map_err(|e| wrong(format!("its state: {e}")))?;
        let before: TrainingConfig =
            serde_json::from_str(text("config")?).map_err(|e| wrong(format!("its configuration: {e}")))?;
        if before != config {
            let reason = "it was made with another configuration; begin anew, or use the old one".to_owned();
            return Err(NeuralError::Description { field: "training".to_owned(), reason });
        }
        let mut trainer = Self::new(kind, config)?;
        trainer.set(&content)?;
        let moments = |name: &str| content.tensors.get(name).map(|(_, values)| values.clone());
        trainer.optimizer.restore(state.step, &moments).map_err(|name| NeuralError::MissingTensor { name })?;
        trainer.state = state;
        Ok(trainer)
    }

    /// Begins with weights learned before, at any precision, in place of random ones.
    ///
    /// # Errors
    /// [`NeuralError`] if the bytes are no weights, or those of another network.
    pub fn from_weights(kind: &'a dyn Network, config: TrainingConfig, bytes: &[u8]) -> Result<Self, NeuralError> {
        let trainer = Self::new(kind, config)?;
        trainer.set(&Content::read(bytes)?)?;
        Ok(trainer)
    }

    /// Sets the weights.
    fn set(&self, content: &Content) -> Result<(), NeuralError> {
        for (name, var) in self.parameters.all() {
            let Some((shape, values)) = content.tensors.get(&name) else {
                return Err(NeuralError::MissingTensor { name });
            };
            if var.dims() != shape {
                return Err(NeuralError::TensorShape { name, expected: var.dims().to_vec(), found: shape.clone() });
            }
            var.set(&Tensor::from_slice(values, shape.as_slice(), &Device::Cpu)?)?;
        }
        Ok(())
    }
}

/// To few enough digits that JSON gives back the very same number.
fn rounded(value: f64, parts: f64) -> f64 {
    (value * parts).round() / parts
}

#[cfg(test)]
mod tests;
