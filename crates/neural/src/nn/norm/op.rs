//! The operation with its gradient.

use candle_core::{CpuStorage, CustomOp3, InplaceOp1, Layout, Result, Shape, Tensor, bail};
use rayon::prelude::*;

use super::moments::{self, BLOCK, Moments, sizes, with_floats};
use super::{Affine, Sharing};
use crate::nn::{Activation, floats, pages};

/// `x` in one piece, normalised by `moments`, which are constants if `fixed`.
pub(super) fn apply(
    x: &Tensor,
    affine: &Affine,
    sharing: Sharing,
    moments: &[Moments],
    eps: f64,
    activation: Activation,
    fixed: bool,
) -> Result<Tensor> {
    let [items, channels, _] = sizes(x)?;
    if affine.weight.elem_count() != channels {
        bail!("a normalisation of {} channels does not fit {:?}", affine.weight.elem_count(), x.shape());
    }
    let groups = match sharing {
        Sharing::Channels(group) => items * channels / group,
        Sharing::Items => channels,
    };
    if moments.len() != groups {
        bail!("{} statistics for {groups}", moments.len());
    }
    let scales = moments.iter().map(|m| [m.mean as f32, (1.0 / (m.variance + eps).sqrt()) as f32]).collect();
    let fused = if activation.invertible() { activation } else { Activation::Identity };
    let op = Normalize { sharing, scales, activation: fused, fixed };
    let y = x.apply_op3(&affine.weight.contiguous()?, &affine.bias.contiguous()?, op)?;
    if fused == activation { Ok(y) } else { activation.forward(&y) }
}

struct Normalize {
    sharing: Sharing,
    /// Mean and inverse deviation of every set of values that share them.
    scales: Vec<[f32; 2]>,
    activation: Activation,
    /// Whether the statistics are constants for the gradient.
    fixed: bool,
}

impl Normalize {
    /// Which of `scales` a channel of an item has.
    fn group(&self, piece: usize, channels: usize) -> usize {
        match self.sharing {
            Sharing::Channels(group) => piece / group,
            Sharing::Items => piece % channels,
        }
    }
}

impl CustomOp3 for Normalize {
    fn name(&self) -> &'static str {
        "normalize"
    }

    fn cpu_fwd(
        &self,
        s1: &CpuStorage,
        l1: &Layout,
        s2: &CpuStorage,
        l2: &Layout,
        s3: &CpuStorage,
        l3: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (x, weight, bias) = (floats(s1, l1)?, floats(s2, l2)?, floats(s3, l3)?);
        let channels = weight.len();
        let size = l1.shape().dims()[2..].iter().product();
        let mut out = pages::zeros(x.len());
        out.par_chunks_mut(size).zip(x.par_chunks(size)).enumerate().for_each(|(piece, (out, x))| {
            let [mean, inverse] = self.scales[self.group(piece, channels)];
            let (scale, shift) = (inverse * weight[piece % channels], bias[piece % channels]);
            out.par_chunks_mut(BLOCK).zip(x.par_chunks(BLOCK)).with_min_len(8).for_each(|(out, x)| {
                for (out, x) in out.iter_mut().zip(x) {
                    *out = (x - mean) * scale + shift;
                }
                self.activation.apply(out);
            });
        });
        Ok((CpuStorage::F32(out), l1.shape().clone()))
    }

    fn bwd(
        &self,
        x: &Tensor,
        weight: &Tensor,
        _bias: &Tensor,
        res: &Tensor,
        grad_res: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let [_, channels, size] = sizes(x)?;
        let weights = weight.to_vec1::<f32>()?;
        let grad_res = grad_res.contiguous()?;
        let (gx, gw, gb) = with_floats(x, |x| {
            with_floats(res, |y| with_floats(&grad_res, |g| Ok(self.backward(x, y, g, &weights, size))))
        })?;
        Ok((
            Some(Tensor::from_vec(gx, x.shape(), x.device())?),
            Some(Tensor::from_vec(gw, channels, x.device())?),
            Some(Tensor::from_vec(gb, channels, x.device())?),
        ))
    }
}

impl Normalize {
    /// Gradients of input, weights, bias.
    fn backward(
        &self,
        x: &[f32],
        y: &[f32],
        gradient: &[f32],
        weights: &[f32],
        size: usize,
    ) -> (Vec<f32>, Vec<f32>, Vec<f32>) {
        let channels = weights.len();
        // Σ g and Σ g·x̂ of every channel of every item.
        let pieces: Vec<[f64; 2]> = (x.par_chunks(size), y.par_chunks(size), gradient.par_chunks(size))
            .into_par_iter()
            .enumerate()
            .map(|(piece, (x, y, g))| self.sums(self.scales[self.group(piece, channels)], x, y, g))
            .collect();
        let (mut gw, mut gb) = (vec![0.0_f64; channels], vec![0.0_f64; channels]);
        // Means of g·weight and g·weight·x̂ over the values that share statistics.
        let mut means = vec![[0.0_f64; 2]; self.scales.len()];
        for (piece, [plain, weighted]) in pieces.iter().enumerate() {
            let channel = piece % channels;
            gb[channel] += plain;
            gw[channel] += weighted;
            let mean = &mut means[self.group(piece, channels)];
            mean[0] += plain * f64::from(weights[channel]);
            mean[1] += weighted * f64::from(weights[channel]);
        }
        let count = (pieces.len() / means.len() * size) as f64;
        let means: Vec<[f32; 2]> =
            means.iter().map(|m| if self.fixed { [0.0; 2] } else { m.map(|s| (s / count) as f32) }).collect();
        let mut gx = pages::zeros(x.len());
        (gx.par_chunks_mut(size), x.par_chunks(size), y.par_chunks(size), gradient.par_chunks(size))
            .into_par_iter()
            .enumerate()
            .for_each(|(piece, (gx, x, y, g))| {
                let group = self.group(piece, channels);
                let [mean, inverse] = self.scales[group];
                let [plain, weighted] = means[group];
                let weight = weights[piece % channels];
                // gx = inverse · (g·weight − plain − x̂·weighted) = a·g + b·(x − mean) + c
                let (a, b, c) = (inverse * weight, -inverse * inverse * weighted, -inverse * plain);
                (gx.par_chunks_mut(BLOCK), x.par_chunks(BLOCK), y.par_chunks(BLOCK), g.par_chunks(BLOCK))
                    .into_par_iter()
                    .with_min_len(8)
                    .for_each(|(gx, x, y, g)| {
                        gx.copy_from_slice(g);
                        self.activation.backward(y, gx);
                        for (gx, x) in gx.iter_mut().zip(x) {
                            *gx = a * *gx + (b * (x - mean) + c);
                        }
                    });
            });
        (gx, gw.iter().map(|&s| s as f32).collect(), gb.iter().map(|&s| s as f32).collect())
    }

    fn sums(&self, [mean, inverse]: [f32; 2], x: &[f32], y: &[f32], g: &[f32]) -> [f64; 2] {
        let blocks: Vec<[f64; 2]> = (x.par_chunks(BLOCK), y.par_chunks(BLOCK), g.par_chunks(BLOCK))
            .into_par_iter()
            .with_min_len(8)
            .map(|(x, y, g)| {
                let mut values = [0.0; BLOCK];
                let values = &mut values[..g.len()];
                values.copy_from_slice(g);
                self.activation.backward(y, values);
                let [plain, weighted] = lane_sums(values, x, mean);
                [plain, weighted * f64::from(inverse)]
            })
            .collect();
        blocks.iter().fold([0.0; 2], |[a, b], [c, d]| [a + c, b + d])
    }
}

/// Σ g and Σ g·(x − mean) of a block.
fn lane_sums(g: &[f32], x: &[f32], mean: f32) -> [f64; 2] {
    const LANES: usize = 16;
    let mut plain = [0.0_f32; LANES];
    let mut weighted = [0.0_f32; LANES];
    let (gs, xs) = (g.chunks_exact(LANES), x.chunks_exact(LANES));
    let rest = gs.remainder().iter().zip(xs.remainder());
    let [mut p, mut w] = [0.0_f64; 2];
    for (&g, &x) in rest {
        p += f64::from(g);
        w += f64::from(g * (x - mean));
    }
    for (g, x) in gs.zip(xs) {
        for lane in 0..LANES {
            plain[lane] += g[lane];
            weighted[lane] += g[lane] * (x[lane] - mean);
        }
    }
    let sum = |lanes: &[f32]| lanes.iter().map(|&x| f64::from(x)).sum::<f64>();
    [sum(&plain) + p, sum(&weighted) + w]
}

/// Instance normalisation where the values lie.
pub(super) struct InPlace {
    pub(super) eps: f64,
    pub(super) activation: Activation,
    pub(super) weights: Vec<f32>,
    pub(super) bias: Vec<f32>,
}

impl InplaceOp1 for InPlace {
    fn name(&self) -> &'static str {
        "instance-norm"
    }

    fn cpu_fwd(&self, storage: &mut CpuStorage, layout: &Layout) -> Result<()> {
        let &[_, channels, ref size @ ..] = layout.dims() else { bail!("no channels in {:?}", layout.shape()) };
        let size = size.iter().product::<usize>();
        if channels != self.weights.len() || size == 0 {
            bail!("a normalisation of {} channels does not fit {:?}", self.weights.len(), layout.shape());
        }
        let (CpuStorage::F32(values), Some((from, to))) = (storage, layout.contiguous_offsets()) else {
            bail!("normalisation in place takes `f32` in one piece");
        };
        values[from..to].par_chunks_mut(size).enumerate().for_each(|(piece, values)| {
            let Moments { mean, variance } = moments::of_channel(values);
            let channel = piece % channels;
            let scale = (1.0 / (variance + self.eps).sqrt()) as f32 * self.weights[channel];
            let (mean, shift) = (mean as f32, self.bias[channel]);
            values.par_chunks_mut(BLOCK).with_min_len(8).for_each(|values| {
                for x in values.iter_mut() {
                    *x = (*x - mean) * scale + shift;
                }
                self.activation.apply(values);
            });
        });
        Ok(())
    }
}
