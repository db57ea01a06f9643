//! Everything learned: Candle layers for volumes, networks, weights, inference and training.

mod error;
pub mod nn;

pub use error::NeuralError;
