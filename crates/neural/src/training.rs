//! Training: samples, augmentation, loss, optimiser, and a trainer that can stop at any epoch and go on to the same bits.
//!
//! Nothing here opens a file or looks at a clock. Everything random is drawn from the seed and a place in the training
//! (epoch, step, sample), so the state is the weights, the optimiser's moments and two counters.

mod augment;
mod loss;
mod optimizer;
mod parameters;
mod predict;
mod random;
mod sample;
mod trainer;

pub use crate::safetensors::Precision;
pub use augment::{Augmentation, Chance, Elastic, Synthesis, augment};
pub use loss::{LossConfig, dice_cross_entropy};
pub use optimizer::{Optimizer, OptimizerConfig, Schedule};
pub use parameters::Parameters;
pub use predict::Predictor;
pub use random::Rng;
pub use sample::Sample;
pub use trainer::{EpochRecord, Network, Score, Trainer, TrainingConfig, TrainingState};
