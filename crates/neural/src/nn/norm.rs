//! Instance, group and batch normalisation, forward and backward, with an activation fused into them.
//!
//! `y = a((x − mean) / √(variance + ε) · weight + bias)`, the mean and the biased variance taken over a channel of an
//! item (instance), some channels of an item (group), or a channel of all items (batch). Sums run over blocks of fixed
//! size that are put together in a fixed order, so results do not depend on the number of threads. On other devices
//! Candle's own operations do it.

mod composed;
mod moments;
mod op;

use candle_core::{DType, Device, Module, ModuleT, Result, Tensor, Var, bail};
use candle_nn::{Init, VarBuilder};

use self::moments::Moments;
use super::Activation;

/// The values that share a mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sharing {
    /// This many channels of an item.
    Channels(usize),
    /// A channel of all items.
    Items,
}

/// A weight and a bias for each channel.
#[derive(Clone, Debug)]
struct Affine {
    weight: Tensor,
    bias: Tensor,
}

impl Affine {
    fn load(vb: &VarBuilder<'_>, channels: usize) -> Result<Self> {
        Ok(Self {
            weight: vb.get_with_hints(channels, "weight", Init::Const(1.0))?,
            bias: vb.get_with_hints(channels, "bias", Init::Const(0.0))?,
        })
    }

    fn none(channels: usize) -> Result<Self> {
        Ok(Self {
            weight: Tensor::ones(channels, DType::F32, &Device::Cpu)?,
            bias: Tensor::zeros(channels, DType::F32, &Device::Cpu)?,
        })
    }
}

/// Every channel of every item by itself (Ulyanov et al., arXiv:1607.08022).
#[derive(Clone, Debug)]
pub struct InstanceNorm {
    affine: Affine,
    eps: f64,
    activation: Activation,
}

impl InstanceNorm {
    /// `weight` and `bias` `[channels]` of the builder's path.
    ///
    /// # Errors
    /// If a tensor is missing or has another shape.
    pub fn load(vb: &VarBuilder<'_>, channels: usize, eps: f64) -> Result<Self> {
        Ok(Self { affine: Affine::load(vb, channels)?, eps, activation: Activation::Identity })
    }

    /// Without weights.
    ///
    /// # Errors
    /// Candle's.
    pub fn plain(channels: usize, eps: f64) -> Result<Self> {
        Ok(Self { affine: Affine::none(channels)?, eps, activation: Activation::Identity })
    }

    /// With an activation fused into it.
    pub fn with_activation(self, activation: Activation) -> Self {
        Self { activation, ..self }
    }

    /// The same into the memory of `x` `[N, C, D, H, W]`, without a gradient; for inference.
    ///
    /// Every tensor that shares its memory with `x` changes too.
    ///
    /// # Errors
    /// If `x` is part of a graph for gradients, does not lie in one piece, or has another number of channels.
    pub fn forward_in_place(&self, x: Tensor) -> Result<Tensor> {
        if x.track_op() {
            bail!("normalisation in place would break the gradient of this tensor");
        }
        if !x.device().is_cpu() {
            return self.forward(&x);
        }
        let weights = self.affine.weight.to_vec1()?;
        let bias = self.affine.bias.to_vec1()?;
        x.inplace_op1(&op::InPlace { eps: self.eps, activation: self.activation, weights, bias })?;
        Ok(x)
    }
}

impl Module for InstanceNorm {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        normalize(x, &self.affine, Sharing::Channels(1), self.eps, self.activation)
    }
}

/// The channels of an item in `groups` parts (Wu & He, arXiv:1803.08494).
#[derive(Clone, Debug)]
pub struct GroupNorm {
    affine: Affine,
    channels_per_group: usize,
    eps: f64,
    activation: Activation,
}

impl GroupNorm {
    /// `weight` and `bias` `[channels]` of the builder's path.
    ///
    /// # Errors
    /// If the groups do not divide the channels, or a tensor is missing or has another shape.
    pub fn load(vb: &VarBuilder<'_>, groups: usize, channels: usize, eps: f64) -> Result<Self> {
        if groups == 0 || !channels.is_multiple_of(groups) {
            bail!("{channels} channels do not fall into {groups} equal groups");
        }
        let affine = Affine::load(vb, channels)?;
        Ok(Self { affine, channels_per_group: channels / groups, eps, activation: Activation::Identity })
    }

    /// With an activation fused into it.
    pub fn with_activation(self, activation: Activation) -> Self {
        Self { activation, ..self }
    }
}

impl Module for GroupNorm {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        normalize(x, &self.affine, Sharing::Channels(self.channels_per_group), self.eps, self.activation)
    }
}

/// A channel of all items; by running statistics outside training (Ioffe & Szegedy, arXiv:1502.03167).
#[derive(Clone, Debug)]
pub struct BatchNorm {
    affine: Affine,
    running_mean: Var,
    running_var: Var,
    eps: f64,
    momentum: f64,
    activation: Activation,
}

impl BatchNorm {
    /// `weight`, `bias`, `running_mean` and `running_var` `[channels]` of the builder's path.
    ///
    /// `momentum` is the share of a batch in the running statistics, 0.1 in PyTorch.
    ///
    /// # Errors
    /// If a tensor is missing or has another shape.
    pub fn load(vb: &VarBuilder<'_>, channels: usize, eps: f64, momentum: f64) -> Result<Self> {
        Ok(Self {
            affine: Affine::load(vb, channels)?,
            running_mean: Var::from_tensor(&vb.get_with_hints(channels, "running_mean", Init::Const(0.0))?)?,
            running_var: Var::from_tensor(&vb.get_with_hints(channels, "running_var", Init::Const(1.0))?)?,
            eps,
            momentum,
            activation: Activation::Identity,
        })
    }

    /// With an activation fused into it.
    pub fn with_activation(self, activation: Activation) -> Self {
        Self { activation, ..self }
    }

    /// Mean and unbiased variance so far, `[channels]` each.
    pub fn running(&self) -> [&Tensor; 2] {
        [self.running_mean.as_tensor(), self.running_var.as_tensor()]
    }

    fn remember(&self, moments: &[Moments], count: usize) -> Result<()> {
        let unbiased = count as f64 / (count.max(2) - 1) as f64;
        let means: Vec<f32> = moments.iter().map(|m| m.mean as f32).collect();
        let variances: Vec<f32> = moments.iter().map(|m| (m.variance * unbiased) as f32).collect();
        for (var, new) in [(&self.running_mean, means), (&self.running_var, variances)] {
            let new = Tensor::new(new, var.device())?;
            var.set(&((var.as_detached_tensor() * (1.0 - self.momentum))? + (new * self.momentum)?)?)?;
        }
        Ok(())
    }
}

impl ModuleT for BatchNorm {
    fn forward_t(&self, x: &Tensor, train: bool) -> Result<Tensor> {
        let x = x.contiguous()?;
        let on_cpu = x.device().is_cpu();
        if train {
            let moments =
                if on_cpu { moments::of_tensor(&x, Sharing::Items)? } else { composed::moments(&x, Sharing::Items)? };
            self.remember(&moments, x.elem_count() / moments.len().max(1))?;
            if on_cpu {
                return op::apply(&x, &self.affine, Sharing::Items, &moments, self.eps, self.activation, false);
            }
        }
        if !on_cpu {
            let running = (!train).then(|| self.running());
            let y = composed::normalize(&x, &self.affine, Sharing::Items, running, self.eps)?;
            return self.activation.forward(&y);
        }
        let [means, variances] = self.running().map(|t| t.to_vec1::<f32>());
        let pairs = means?.into_iter().zip(variances?);
        let moments: Vec<_> = pairs.map(|(m, v)| Moments { mean: f64::from(m), variance: f64::from(v) }).collect();
        op::apply(&x, &self.affine, Sharing::Items, &moments, self.eps, self.activation, true)
    }
}

fn normalize(x: &Tensor, affine: &Affine, sharing: Sharing, eps: f64, activation: Activation) -> Result<Tensor> {
    let x = x.contiguous()?;
    if !x.device().is_cpu() {
        return activation.forward(&composed::normalize(&x, affine, sharing, None, eps)?);
    }
    let moments = moments::of_tensor(&x, sharing)?;
    op::apply(&x, affine, sharing, &moments, eps, activation, false)
}

#[cfg(test)]
mod tests;
