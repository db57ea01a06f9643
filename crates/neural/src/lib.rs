//! Everything learned: Candle layers for volumes, networks, weights, inference and training.

mod error;
pub mod networks;
pub mod nn;
pub mod training;

pub use error::NeuralError;
