//! Activations, also fused into convolutions.

use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor};
use rayon::prelude::*;

/// What is done to every value after a layer.
#[derive(Clone, Copy, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Activation {
    /// Nothing.
    #[default]
    Identity,
    /// `max(x, 0)`.
    Relu,
    /// `x` if positive, else `slope · x`.
    LeakyRelu(f32),
    /// `x` if positive, else `alpha · (eˣ − 1)` (Clevert et al., arXiv:1511.07289).
    Elu(f32),
    /// `x · Φ(x)`, with the error function (Hendrycks & Gimpel, arXiv:1606.08415).
    Gelu,
}

impl Activation {
    /// Applied to a tensor, with its gradient.
    ///
    /// # Errors
    /// Candle's, if the tensor does not hold `f32`.
    pub fn forward(self, x: &Tensor) -> Result<Tensor> {
        match self {
            Self::Identity => Ok(x.clone()),
            Self::Relu => x.relu(),
            Self::Gelu => x.gelu_erf(),
            Self::LeakyRelu(_) | Self::Elu(_) => x.contiguous()?.apply_op1(Apply(self)),
        }
    }

    /// Applied in place, by all threads.
    pub(crate) fn apply_all(self, values: &mut [f32]) {
        values.par_chunks_mut(1 << 14).for_each(|part| self.apply(part));
    }

    /// Applied in place.
    pub(crate) fn apply(self, values: &mut [f32]) {
        match self {
            Self::Identity => {}
            Self::Relu => values.iter_mut().for_each(|x| *x = x.max(0.0)),
            Self::LeakyRelu(slope) => values.iter_mut().for_each(|x| *x = if *x > 0.0 { *x } else { slope * *x }),
            Self::Elu(alpha) => values.iter_mut().for_each(|x| {
                let negative = alpha * exp_minus_one(x.min(0.0));
                *x = if *x > 0.0 { *x } else { negative };
            }),
            Self::Gelu => values.iter_mut().for_each(|x| *x = gelu(*x)),
        }
    }

    /// Whether the gradient follows from the result alone, so that the input need not be kept.
    pub(crate) fn invertible(self) -> bool {
        !matches!(self, Self::Gelu)
    }

    /// `gradient` times the slope, from the result `y` of [`Activation::apply`].
    pub(crate) fn backward(self, y: &[f32], gradient: &mut [f32]) {
        let pairs = gradient.iter_mut().zip(y);
        match self {
            Self::Identity | Self::Gelu => {}
            Self::Relu => pairs.for_each(|(g, &y)| *g = if y > 0.0 { *g } else { 0.0 }),
            Self::LeakyRelu(slope) => pairs.for_each(|(g, &y)| *g *= if y > 0.0 { 1.0 } else { slope }),
            Self::Elu(alpha) => pairs.for_each(|(g, &y)| *g *= if y > 0.0 { 1.0 } else { y + alpha }),
        }
    }
}

/// `eˣ − 1` for `x ≤ 0`, to about 1e-7, in a form that compiles to vectors.
///
/// The exponential is Cody and Waite's reduction with a polynomial of degree 5 (as in the Cephes library); near zero the
/// power series is taken, since there the difference would cancel.
#[inline]
fn exp_minus_one(x: f32) -> f32 {
    let x = x.max(-87.0);
    let n = (x * std::f32::consts::LOG2_E).round();
    let r = x - n * 0.693_359_4 + n * 2.121_944_4e-4;
    let series = ((((1.987_569_1e-4 * r + 1.398_199_9e-3) * r + 8.333_452e-3) * r + 4.166_579_6e-2) * r + 0.166_666_65)
        * r
        + 0.5;
    let small = series * r * r + r;
    let power = f32::from_bits(((n as i32 + 127) << 23) as u32);
    small * power + (power - 1.0)
}

fn gelu(x: f32) -> f32 {
    (0.5 * f64::from(x) * (1.0 + candle_core::cpu::erf::erf_f64(f64::from(x) * std::f64::consts::FRAC_1_SQRT_2))) as f32
}

struct Apply(Activation);

impl CustomOp1 for Apply {
    fn name(&self) -> &'static str {
        "activation"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let mut values = super::floats(storage, layout)?.to_vec();
        self.0.apply_all(&mut values);
        Ok((CpuStorage::F32(values), layout.shape().clone()))
    }

    fn bwd(&self, _arg: &Tensor, res: &Tensor, grad_res: &Tensor) -> Result<Option<Tensor>> {
        Ok(Some(self.0.gradient(res, grad_res)?))
    }
}

impl Activation {
    /// The gradient before the activation, from its result and the gradient after it.
    pub(crate) fn gradient(self, result: &Tensor, gradient: &Tensor) -> Result<Tensor> {
        if self == Self::Identity {
            return Ok(gradient.clone());
        }
        gradient.contiguous()?.apply_op2_no_bwd(&result.contiguous()?, &Backward(self))
    }
}

struct Backward(Activation);

impl candle_core::CustomOp2 for Backward {
    fn name(&self) -> &'static str {
        "activation-backward"
    }

    fn cpu_fwd(&self, s1: &CpuStorage, l1: &Layout, s2: &CpuStorage, l2: &Layout) -> Result<(CpuStorage, Shape)> {
        let mut gradient = super::floats(s1, l1)?.to_vec();
        let result = super::floats(s2, l2)?;
        let parts = gradient.par_chunks_mut(1 << 14).zip(result.par_chunks(1 << 14));
        parts.for_each(|(gradient, result)| self.0.backward(result, gradient));
        Ok((CpuStorage::F32(gradient), l1.shape().clone()))
    }
}
