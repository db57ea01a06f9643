//! AdamW and SGD with Nesterov's momentum, with a schedule and clipping; all state can be put away and taken up.

use std::collections::BTreeMap;

use candle_core::backprop::GradStore;
use candle_core::{Device, Result, Tensor, Var};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::parameters::Parameters;
use crate::NeuralError;

/// How weights follow their gradients.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum OptimizerConfig {
    /// Loshchilov & Hutter, arXiv:1711.05101.
    AdamW {
        /// Decay of the mean and of the mean square of gradients.
        betas: [f64; 2],
        /// Added to the root.
        eps: f64,
        /// Part of a weight taken away in each step, times the learning rate.
        weight_decay: f64,
    },
    /// Sutskever et al., "On the importance of initialization and momentum in deep learning" (2013), as PyTorch does it.
    Nesterov {
        /// 0.99 in nnU-Net.
        momentum: f64,
        /// Added to the gradient, times the weight.
        weight_decay: f64,
    },
}

impl Default for OptimizerConfig {
    fn default() -> Self {
        Self::AdamW { betas: [0.9, 0.999], eps: 1e-8, weight_decay: 0.01 }
    }
}

/// The learning rate over the steps.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Schedule {
    /// Always the same.
    Constant,
    /// `(1 − part done)^power`, as in nnU-Net with 0.9.
    Poly {
        /// The exponent.
        power: f64,
    },
    /// From 0 up over the first `warmup` part, then half a cosine down to 0 (Loshchilov & Hutter, arXiv:1608.03983).
    Cosine {
        /// 0 to 1.
        warmup: f64,
    },
}

impl OptimizerConfig {
    /// # Errors
    /// [`NeuralError::Description`] for numbers that cannot be.
    pub(super) fn check(&self) -> std::result::Result<(), NeuralError> {
        let decay = |value: f64| (0.0..1.0).contains(&value);
        let possible = match *self {
            Self::AdamW { betas, eps, weight_decay } => {
                betas.into_iter().all(decay)
                    && eps.is_finite()
                    && eps > 0.0
                    && weight_decay.is_finite()
                    && weight_decay >= 0.0
            }
            Self::Nesterov { momentum, weight_decay } => {
                decay(momentum) && weight_decay.is_finite() && weight_decay >= 0.0
            }
        };
        let (field, reason) = ("optimizer".to_owned(), format!("{self:?} cannot be"));
        if possible { Ok(()) } else { Err(NeuralError::Description { field, reason }) }
    }
}

impl Schedule {
    /// # Errors
    /// [`NeuralError::Description`] for numbers that cannot be.
    pub(super) fn check(&self) -> std::result::Result<(), NeuralError> {
        let possible = match *self {
            Self::Constant => true,
            Self::Poly { power } => power.is_finite() && power >= 0.0,
            Self::Cosine { warmup } => (0.0..=1.0).contains(&warmup),
        };
        let (field, reason) = ("schedule".to_owned(), format!("{self:?} cannot be"));
        if possible { Ok(()) } else { Err(NeuralError::Description { field, reason }) }
    }

    /// Factor of the learning rate at `step` of `steps`.
    pub fn factor(self, step: usize, steps: usize) -> f64 {
        let done = (step as f64 / steps.max(1) as f64).min(1.0);
        match self {
            Self::Constant => 1.0,
            Self::Poly { power } => (1.0 - done).powf(power),
            Self::Cosine { warmup } if done < warmup => (step + 1) as f64 / (warmup * steps as f64 + 1.0),
            Self::Cosine { warmup } => {
                let done = (done - warmup) / (1.0 - warmup).max(1e-9);
                0.5 * (1.0 + (std::f64::consts::PI * done).cos())
            }
        }
    }
}

/// Moments of every weight.
#[derive(Clone, Debug)]
pub struct Optimizer {
    config: OptimizerConfig,
    vars: Vec<(String, Var)>,
    /// First and, with AdamW, second.
    moments: Vec<[Vec<f32>; 2]>,
    step: usize,
}

impl Optimizer {
    /// For all weights there are now.
    pub fn new(parameters: &Parameters, config: OptimizerConfig) -> Self {
        let vars: Vec<(String, Var)> = parameters.all().into_iter().collect();
        let moments = vars
            .iter()
            .map(|(_, var)| {
                let second = if matches!(config, OptimizerConfig::AdamW { .. }) { var.elem_count() } else { 0 };
                [vec![0.0; var.elem_count()], vec![0.0; second]]
            })
            .collect();
        Self { config, vars, moments, step: 0 }
    }

    /// Steps so far.
    pub fn step_count(&self) -> usize {
        self.step
    }

    /// Moves all weights; gradients are scaled down to a joint norm of `clip_norm` first. Returns their norm before.
    ///
    /// Weights without a gradient stay.
    ///
    /// # Errors
    /// Candle's.
    pub fn step(&mut self, gradients: &GradStore, learning_rate: f64, clip_norm: Option<f64>) -> Result<f64> {
        let mut all = Vec::with_capacity(self.vars.len());
        for (_, var) in &self.vars {
            all.push(match gradients.get(var) {
                Some(gradient) => Some(gradient.flatten_all()?.to_vec1::<f32>()?),
                None => None,
            });
        }
        let squares = all.iter().flatten().map(|g| g.iter().map(|&x| f64::from(x) * f64::from(x)).sum::<f64>());
        let norm = squares.sum::<f64>().sqrt();
        if !norm.is_finite() {
            return Ok(norm);
        }
        let scale = clip_norm.filter(|&most| norm > most).map_or(1.0, |most| most / norm) as f32;
        self.step += 1;
        let (config, step) = (self.config, self.step);
        let jobs = self.vars.par_iter().zip(&mut self.moments).zip(&all);
        jobs.try_for_each(|(((_, var), moments), gradient)| {
            let Some(gradient) = gradient else { return Ok(()) };
            let mut weights = var.flatten_all()?.to_vec1::<f32>()?;
            let [first, second] = moments;
            match config {
                OptimizerConfig::AdamW { betas, eps, weight_decay } => {
                    let [b1, b2] = betas.map(|b| b as f32);
                    let keep = (1.0 - learning_rate * weight_decay) as f32;
                    let rate = (learning_rate / (1.0 - betas[0].powi(step as i32))) as f32;
                    let correction = (1.0 / (1.0 - betas[1].powi(step as i32))).sqrt() as f32;
                    let eps = eps as f32;
                    for (((w, &g), m), v) in weights.iter_mut().zip(gradient).zip(first).zip(second) {
                        let g = g * scale;
                        *m = b1 * *m + (1.0 - b1) * g;
                        *v = b2 * *v + (1.0 - b2) * g * g;
                        *w = *w * keep - rate * *m / (v.sqrt() * correction + eps);
                    }
                }
                OptimizerConfig::Nesterov { momentum, weight_decay } => {
                    let (mu, decay, rate) = (momentum as f32, weight_decay as f32, learning_rate as f32);
                    for ((w, &g), m) in weights.iter_mut().zip(gradient).zip(first) {
                        let g = g * scale + decay * *w;
                        *m = mu * *m + g;
                        *w -= rate * (g + mu * *m);
                    }
                }
            }
            var.set(&Tensor::from_vec(weights, var.shape(), &Device::Cpu)?)
        })?;
        Ok(norm)
    }

    /// Names of the moments with their values.
    pub(crate) fn state(&self) -> BTreeMap<String, &[f32]> {
        let named = self.vars.iter().zip(&self.moments).flat_map(|((name, _), moments)| {
            let both = ["first", "second"].into_iter().zip(moments);
            both.map(move |(which, values)| (format!("{which}.{name}"), values.as_slice()))
        });
        named.filter(|(_, values)| !values.is_empty()).collect()
    }

    /// Takes up what [`state`](Self::state) gave; returns the name of what is missing or has another length.
    pub(crate) fn restore(
        &mut self,
        step: usize,
        values: &dyn Fn(&str) -> Option<Vec<f32>>,
    ) -> std::result::Result<(), String> {
        for ((name, _), moments) in self.vars.iter().zip(&mut self.moments) {
            for (which, moments) in ["first", "second"].into_iter().zip(moments) {
                if moments.is_empty() {
                    continue;
                }
                let key = format!("{which}.{name}");
                match values(&key) {
                    Some(values) if values.len() == moments.len() => *moments = values,
                    _ => return Err(key),
                }
            }
        }
        self.step = step;
        Ok(())
    }
}
