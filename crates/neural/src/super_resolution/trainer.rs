//! Teaches a network to sharpen, from planes that are sharp already.

use std::collections::BTreeMap;

use candle_core::{Module, Tensor};
use volume::ScanVolume;

use super::network::{FUSION, FusionConfig, PatchCritic, Residual, ThroughPlane, ThroughPlaneConfig, unfolded};
use super::pairs::{Draw, PairOptions, SharpScan};
use super::slices::{FACTOR_SCALE, SliceLayout};
use super::upsample::MOST_APART;
use super::weights::ThroughPlaneWeights;
use crate::error::NeuralError;
use crate::safetensors::{Content, Precision};
use crate::training::{Optimizer, OptimizerConfig, Parameters, Rng, Schedule};

/// Gradients are scaled down to this norm.
const CLIP_NORM: f64 = 1.0;

/// Where the loss turns from squares to absolute differences, in parts of the intensity span. Chosen so that bright edges,
/// which decide the mean square, count fully; not tried against other values.
const KNEE: f64 = 0.3;

/// Scale of a new head's kernels over the plane, whose differences are small.
const EDGE_GAIN: f64 = 3.0;

/// Scale of a new head's kernels over the hints, which are large.
const HINT_GAIN: f64 = 0.5;

/// Of the crops that [`SharpenTrainer::gain_db`] looks at.
const GAIN_SEED: u64 = 0x6a1b;

/// How a network is taught.
#[derive(Clone, Debug, PartialEq)]
pub struct SharpenTraining {
    /// Of the optimiser.
    pub steps: usize,
    /// At its height; a twentieth of the steps lead up to it, half a cosine down.
    pub learning_rate: f64,
    /// How pairs are drawn.
    pub pairs: PairOptions,
    /// Of everything random.
    pub seed: u64,
    /// Weight of a critic's judgement (least squares, Mao et al., ICCV 2017) beside the mean absolute difference; around
    /// 0.01 if wanted. It makes texture plausible, not true, so the default is none.
    pub adversarial: Option<f64>,
}

impl Default for SharpenTraining {
    fn default() -> Self {
        Self { steps: 1500, learning_rate: 2e-3, pairs: PairOptions::default(), seed: 1, adversarial: None }
    }
}

/// Learning rate of [`fine_tune`]. On the head of the tests twice as much gains 0.1 dB less in 700 steps, half as much the same; a
/// quarter 0.03 dB less in 2500.
const FINE_TUNE_RATE: f64 = 1.5e-3;

/// Steps of [`fine_tune`] after which the rate begins anew (Loshchilov & Hutter, "SGDR", ICLR 2017). On the head of the tests 5000 in
/// one cycle come less near to the truth than 2500, and 2500 and 1800 nearer.
const CYCLE: usize = 2500;

/// Around the scan's own factor; the network knows which it is.
const FACTOR_SPREAD: f64 = 1.03;

/// Slices farther apart than this are not sharpened around a gap.
const MOST_APART_VOXELS: f64 = MOST_APART as f64 * FACTOR_SCALE;

/// Teaches weights on a scan's own sharp planes, blurred as its slices are: for making them as thin as `layout` says, and for
/// filling those that are `missing`.
///
/// # Errors
/// [`NeuralError::Input`] if its planes are too small to learn from; [`NeuralError::Diverged`]; Candle's.
pub fn fine_tune(
    weights: &ThroughPlaneWeights,
    scan: &ScanVolume,
    layout: &SliceLayout,
    missing: &[usize],
    steps: usize,
    tell: &(dyn Fn(f32) + Sync),
) -> Result<ThroughPlaneWeights, NeuralError> {
    let SliceLayout { factor, thickness, .. } = *layout;
    // Around a missing slice the others lie twice as far apart, and are half as thick beside that. Wider gaps are not for networks.
    let has_gaps = !missing.is_empty() && 2.0 * factor <= MOST_APART_VOXELS;
    let (most, thickness) = if has_gaps { (2.0 * factor, None) } else { (factor, Some(thickness)) };
    let factor = [factor / FACTOR_SPREAD, most * FACTOR_SPREAD].map(|f| f.max(1.0));
    let pairs = PairOptions { other_contrasts: false, factor, thickness, ..PairOptions::default() };
    let planes = [SharpScan::new(scan)?];
    let mut weights = weights.clone();
    for before in (0..steps).step_by(CYCLE) {
        let (steps_now, pairs) = (CYCLE.min(steps - before), pairs.clone());
        let training =
            SharpenTraining { steps: steps_now, learning_rate: FINE_TUNE_RATE, pairs, ..SharpenTraining::default() };
        let mut trainer = SharpenTrainer::from_weights(&weights, training)?;
        while trainer.step_count() < steps_now {
            trainer.step(planes.as_slice())?;
            tell((before + trainer.step_count()) as f32 / steps as f32);
        }
        weights = trainer.weights()?;
    }
    Ok(weights)
}

/// A network being taught: what sharpens planes, or what joins them.
#[derive(Debug)]
pub struct SharpenTrainer {
    config: ThroughPlaneConfig,
    options: SharpenTraining,
    /// Weights that stay as they are.
    kept: BTreeMap<String, Tensor>,
    parameters: Parameters,
    network: Residual,
    optimizer: Optimizer,
    critic: Option<Critic>,
    step: usize,
}

#[derive(Debug)]
struct Critic {
    network: PatchCritic,
    /// The same weights without gradients, as the network to be judged sees them.
    parameters: Parameters,
    optimizer: Optimizer,
    weight: f64,
}

impl SharpenTrainer {
    /// With new weights for planes, by the seed; both directions are not joined.
    ///
    /// # Errors
    /// Candle's.
    pub fn new(config: &ThroughPlaneConfig, options: SharpenTraining) -> Result<Self, NeuralError> {
        let config = ThroughPlaneConfig { fusion: None, ..config.clone() };
        let parameters = Parameters::new(options.seed);
        let network = ThroughPlane::of_planes(&config, &parameters.builder())?;
        if let Some(head) = parameters.all().get("head.weight") {
            head.set(&see_edges(head.as_tensor(), config.fold)?)?;
        }
        Self::of(config, options, BTreeMap::new(), parameters, network)
    }

    /// From weights that were taught before, with a new optimiser. Planes learn; what joins them stays as it is.
    ///
    /// # Errors
    /// [`NeuralError::MissingTensor`]; Candle's.
    pub fn from_weights(weights: &ThroughPlaneWeights, options: SharpenTraining) -> Result<Self, NeuralError> {
        let mut trainer = Self::new(&weights.config, options)?;
        trainer.set(&weights.tensors)?;
        trainer.config = weights.config.clone();
        let learning = trainer.parameters.all();
        trainer.kept = weights.tensors.clone().into_iter().filter(|(name, _)| !learning.contains_key(name)).collect();
        Ok(trainer)
    }

    /// Planes stay as they are, and what joins them learns, from new weights unless `weights` have some of that shape.
    ///
    /// # Errors
    /// [`NeuralError::Description`] with a critic, which judges planes; [`NeuralError::MissingTensor`]; Candle's.
    pub fn fusing(
        weights: &ThroughPlaneWeights,
        fusion: FusionConfig,
        options: SharpenTraining,
    ) -> Result<Self, NeuralError> {
        if options.adversarial.is_some() {
            let reason = "is for planes; what joins them is taught without a critic".to_owned();
            return Err(NeuralError::Description { field: "adversarial".to_owned(), reason });
        }
        let config = ThroughPlaneConfig { fusion: Some(fusion), ..weights.config.clone() };
        let parameters = Parameters::new(options.seed);
        let Some(network) = ThroughPlane::of_volume(&config, &parameters.builder())? else {
            return Err(NeuralError::MissingTensor { name: FUSION.to_owned() });
        };
        let learning = parameters.all();
        let kept = weights.tensors.clone().into_iter().filter(|(name, _)| !name.starts_with(FUSION)).collect();
        if let Some(head) = learning.get(format!("{FUSION}.head.weight").as_str()) {
            head.set(&see_edges(head.as_tensor(), config.fold)?)?;
        }
        let trainer = Self::of(config, options, kept, parameters, network)?;
        if weights.config.fusion == Some(fusion) {
            trainer.set(&weights.tensors)?;
        }
        Ok(trainer)
    }

    fn of(
        config: ThroughPlaneConfig,
        options: SharpenTraining,
        kept: BTreeMap<String, Tensor>,
        parameters: Parameters,
        network: Residual,
    ) -> Result<Self, NeuralError> {
        let decay = |betas| OptimizerConfig::AdamW { betas, eps: 1e-8, weight_decay: 1e-4 };
        let critic = match options.adversarial {
            Some(weight) => {
                let parameters = Parameters::new(options.seed ^ 1);
                let network = PatchCritic::load(&parameters.builder())?;
                let optimizer = Optimizer::new(&parameters, decay([0.5, 0.999]));
                Some(Critic { network, parameters, optimizer, weight })
            }
            None => None,
        };
        let optimizer = Optimizer::new(&parameters, decay([0.9, 0.999]));
        Ok(Self { config, options, kept, parameters, network, optimizer, critic, step: 0 })
    }

    /// Takes the weights that learn from these.
    fn set(&self, tensors: &BTreeMap<String, Tensor>) -> Result<(), NeuralError> {
        for (name, var) in self.parameters.all() {
            let Some(value) = tensors.get(&name) else { return Err(NeuralError::MissingTensor { name }) };
            var.set(value)?;
        }
        Ok(())
    }

    /// Everything that [`resume`](Self::resume) needs, as safetensors.
    ///
    /// # Errors
    /// Candle's.
    pub fn checkpoint(&self) -> Result<Vec<u8>, NeuralError> {
        let mut tensors = BTreeMap::new();
        for (place, parameters, optimizer) in self.learning() {
            for (name, var) in parameters.all() {
                let values = var.flatten_all()?.to_vec1::<f32>()?;
                tensors.insert(format!("{place}.{name}"), (var.dims().to_vec(), values));
            }
            let moments = optimizer.state().into_iter();
            tensors.extend(moments.map(|(name, v)| (format!("{place}.{name}"), (vec![v.len()], v.to_vec()))));
        }
        let metadata = [("step".to_owned(), self.step.to_string()), ("how".to_owned(), self.how())].into();
        Content { metadata, tensors }.write(Precision::Single)
    }

    /// Goes on where the [`checkpoint`](Self::checkpoint) of a trainer that was begun alike left off: to the same bits as without
    /// a stop.
    ///
    /// # Errors
    /// [`NeuralError`] if the bytes are no checkpoint, or that of another network or other options.
    pub fn resume(self, bytes: &[u8]) -> Result<Self, NeuralError> {
        let mut trainer = self;
        let content = Content::read(bytes)?;
        let said = |key: &str| content.metadata.get(key).map(String::as_str);
        let Some(step) =
            said("step").and_then(|s| s.parse().ok()).filter(|_| said("how") == Some(trainer.how().as_str()))
        else {
            let reason = "it was made with other options; begin anew, or use the old ones".to_owned();
            return Err(NeuralError::Description { field: "training".to_owned(), reason });
        };
        for (place, parameters, _) in trainer.learning() {
            for (name, var) in parameters.all() {
                let name = format!("{place}.{name}");
                match content.tensors.get(&name) {
                    Some((shape, values)) if var.dims() == shape => {
                        var.set(&Tensor::from_slice(values, shape.as_slice(), var.device())?)?;
                    }
                    _ => return Err(NeuralError::MissingTensor { name }),
                }
            }
        }
        let critic = trainer.critic.as_mut().map(|critic| ("critic", &mut critic.optimizer));
        for (place, optimizer) in [("network", &mut trainer.optimizer)].into_iter().chain(critic) {
            let moments = |name: &str| content.tensors.get(&format!("{place}.{name}")).map(|(_, v)| v.clone());
            optimizer.restore(step, &moments).map_err(|name| NeuralError::MissingTensor { name })?;
        }
        trainer.step = step;
        Ok(trainer)
    }

    /// What learns, by where it lies in a checkpoint.
    fn learning(&self) -> impl Iterator<Item = (&'static str, &Parameters, &Optimizer)> {
        let critic = self.critic.iter().map(|critic| ("critic", &critic.parameters, &critic.optimizer));
        [("network", &self.parameters, &self.optimizer)].into_iter().chain(critic)
    }

    /// All that decides what is learnt, but for the scans.
    fn how(&self) -> String {
        format!("{:?} {:?}", self.config, self.options)
    }

    /// Steps in all.
    pub fn steps(&self) -> usize {
        self.options.steps
    }

    /// Steps done.
    pub fn step_count(&self) -> usize {
        self.step
    }

    /// One step; gives the mean absolute difference to what is sharp, in parts of the scans' intensity span.
    ///
    /// # Errors
    /// [`NeuralError::Diverged`]; [`NeuralError::Input`] without scans; Candle's.
    pub fn step(&mut self, scans: &(impl Draw + ?Sized)) -> Result<f64, NeuralError> {
        let mut rng = Rng::of(&[self.options.seed, self.step as u64]);
        let fold = self.config.fold;
        let pairs = scans.draw(&self.options.pairs, fold, &mut rng)?;
        let schedule = Schedule::Cosine { warmup: 0.05 };
        let rate = self.options.learning_rate * schedule.factor(self.step, self.options.steps);
        let blurred = pairs.input.narrow(1, 0, fold)?;
        let made = (self.network.forward(&pairs.input)? + blurred)?;
        let off = (&made - &pairs.sharp)?;
        let difference = off.abs()?.mean_all()?.detach();
        // Charbonnier's: differences below the knee count by their squares, as noise would else decide alone.
        let mut loss = ((off.sqr()? + KNEE * KNEE)?.sqrt()? - KNEE)?.mean_all()?;
        if let Some(critic) = &mut self.critic {
            let made = unfolded(&made)?;
            critic.learn(&unfolded(&pairs.sharp)?, &made.detach(), rate)?;
            let seen = PatchCritic::load(&critic.parameters.constants())?.forward(&made)?;
            loss = (loss + ((seen - 1.0)?.sqr()?.mean_all()? * critic.weight)?)?;
        }
        let norm = self.optimizer.step(&loss.backward()?, rate, Some(CLIP_NORM))?;
        let value = f64::from(difference.to_scalar::<f32>()?);
        if !norm.is_finite() || !value.is_finite() {
            return Err(NeuralError::Diverged { step: self.step });
        }
        self.step += 1;
        Ok(value)
    }

    /// How much nearer the network comes to what is sharp than what it is shown, in dB, over fixed crops: `planes` of them, or blocks.
    ///
    /// # Errors
    /// [`NeuralError::Input`] without scans; Candle's.
    pub fn gain_db(&self, scans: &(impl Draw + ?Sized), planes: usize) -> Result<f64, NeuralError> {
        let options = PairOptions { planes, other_contrasts: false, ..self.options.pairs.clone() };
        let pairs = scans.draw(&options, self.config.fold, &mut Rng::of(&[GAIN_SEED]))?;
        let off = (pairs.input.narrow(1, 0, self.config.fold)? - &pairs.sharp)?;
        let left = (self.network.forward(&pairs.input)?.detach() + &off)?;
        let squares = |t: &Tensor| Ok::<_, NeuralError>(f64::from(t.sqr()?.mean_all()?.to_scalar::<f32>()?));
        Ok(10.0 * (squares(&off)? / squares(&left)?).log10())
    }

    /// The weights as they are now.
    ///
    /// # Errors
    /// Candle's.
    pub fn weights(&self) -> Result<ThroughPlaneWeights, NeuralError> {
        // A detached tensor would share what later steps change.
        let copies = self.parameters.all().into_iter().map(|(name, var)| Ok((name, var.copy()?)));
        let mut tensors = copies.collect::<Result<BTreeMap<_, Tensor>, NeuralError>>()?;
        tensors.extend(self.kept.clone());
        Ok(ThroughPlaneWeights { config: self.config.clone(), tensors })
    }
}

/// A head `[O, channels · fold, depth, 3, 3]` whose kernels see differences of the plane only: brightness says nothing of what is to be
/// added, but would outweigh all else while the network is young.
fn see_edges(head: &Tensor, fold: usize) -> Result<Tensor, NeuralError> {
    let plane = head.narrow(1, 0, fold)?;
    let plane = (plane.broadcast_sub(&plane.mean_keepdim((1, 2, 3, 4))?)? * EDGE_GAIN)?;
    let hints = (head.narrow(1, fold, head.dim(1)? - fold)? * HINT_GAIN)?;
    Ok(Tensor::cat(&[plane, hints], 1)?)
}

impl Critic {
    fn learn(&mut self, sharp: &Tensor, made: &Tensor, rate: f64) -> Result<(), NeuralError> {
        let right = (self.network.forward(sharp)? - 1.0)?.sqr()?.mean_all()?;
        let wrong = self.network.forward(made)?.sqr()?.mean_all()?;
        self.optimizer.step(&((right + wrong)? * 0.5)?.backward()?, rate, Some(CLIP_NORM))?;
        Ok(())
    }
}

#[cfg(test)]
mod tests;
