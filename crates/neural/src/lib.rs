//! Everything learned: Candle layers for volumes, networks, weights, inference and training.

pub mod card;
pub mod confidence;
mod error;
pub mod grid;
pub mod meshnet;
pub mod model;
pub mod networks;
pub mod nn;
pub mod nnunet;
pub mod safetensors;
pub mod super_resolution;
pub mod trained;
pub mod training;
pub mod weights;

/// What layers take and give; nobody else needs to know where they come from.
pub use candle_core::{Device, Tensor, Var};
pub use error::NeuralError;
