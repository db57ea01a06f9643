//! Everything learned: Candle layers for volumes, networks, weights, inference and training.

pub mod nn;
