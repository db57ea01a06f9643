//! Cross-entropy and soft Dice together, as one operation with its gradient.
//!
//! `L = a · CE + b · (1 − mean over items and foreground classes of (2 Σ p·t + s) / (Σ p + Σ t + s))` with the softmax `p`
//! and the truth `t` of 0 and 1 (Milletari et al., arXiv:1606.04797; the sum with cross-entropy as in nnU-Net).

use std::sync::Arc;

use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor, bail};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::nn::floats;

/// Voxels summed at once; fixed, so that sums do not depend on the threads.
const BLOCK: usize = 1 << 12;

/// Weights of the parts.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LossConfig {
    /// Of the cross-entropy.
    pub cross_entropy: f32,
    /// Of the Dice loss.
    pub dice: f32,
    /// Added to both sides of the fraction, so that absent classes are no gap.
    pub smooth: f32,
}

impl Default for LossConfig {
    fn default() -> Self {
        Self { cross_entropy: 1.0, dice: 1.0, smooth: 1.0 }
    }
}

/// The loss of logits `[N, K, D, H, W]` for `labels` `[N, D, H, W]`; class 0 is background.
///
/// # Errors
/// If there are fewer than two classes, or labels do not fit.
pub fn dice_cross_entropy(logits: &Tensor, labels: Arc<[u8]>, config: LossConfig) -> Result<Tensor> {
    let (n, classes, d, h, w) = logits.dims5()?;
    if labels.len() != n * d * h * w || classes < 2 || labels.iter().any(|&label| usize::from(label) >= classes) {
        bail!("{} labels do not fit logits {:?}", labels.len(), logits.shape());
    }
    logits.contiguous()?.apply_op1(Loss { labels, config })
}

struct Loss {
    labels: Arc<[u8]>,
    config: LossConfig,
}

/// Sums over voxels: cross-entropy, and for each class Σ p·t, Σ p, Σ t.
#[derive(Clone)]
struct Sums {
    cross_entropy: f64,
    classes: Vec<[f64; 3]>,
}

impl Loss {
    /// Softmax `[N, K, V]`, and the sums of each item.
    fn softmax(&self, logits: &[f32], items: usize, classes: usize) -> (Vec<f32>, Vec<Sums>) {
        let voxels = logits.len() / (items * classes);
        let mut all = vec![0.0; logits.len()];
        let mut sums = Vec::with_capacity(items);
        for item in 0..items {
            let logits = &logits[item * classes * voxels..][..classes * voxels];
            let labels = &self.labels[item * voxels..][..voxels];
            let blocks: Vec<(usize, Vec<f32>, Sums)> = labels
                .par_chunks(BLOCK)
                .enumerate()
                .map(|(block, labels)| {
                    let (values, sums) = block_softmax(logits, labels, block * BLOCK, voxels, classes);
                    (block * BLOCK, values, sums)
                })
                .collect();
            let mut sum = Sums { cross_entropy: 0.0, classes: vec![[0.0; 3]; classes] };
            let item_values = &mut all[item * classes * voxels..][..classes * voxels];
            for (first, values, part) in blocks {
                let count = values.len() / classes;
                for class in 0..classes {
                    item_values[class * voxels + first..][..count]
                        .copy_from_slice(&values[class * count..(class + 1) * count]);
                    for (sum, part) in sum.classes[class].iter_mut().zip(part.classes[class]) {
                        *sum += part;
                    }
                }
                sum.cross_entropy += part.cross_entropy;
            }
            sums.push(sum);
        }
        (all, sums)
    }

    fn value(&self, sums: &[Sums], voxels: usize) -> f64 {
        let smooth = f64::from(self.config.smooth);
        let items = sums.len() as f64;
        let cross_entropy = sums.iter().map(|s| s.cross_entropy).sum::<f64>() / (items * voxels as f64);
        let of = |s: &Sums| {
            let dice = s.classes[1..].iter().map(|[both, p, t]| (2.0 * both + smooth) / (p + t + smooth));
            dice.sum::<f64>() / (s.classes.len() - 1) as f64
        };
        let dice = sums.iter().map(of).sum::<f64>() / items;
        f64::from(self.config.cross_entropy) * cross_entropy + f64::from(self.config.dice) * (1.0 - dice)
    }
}

/// Softmax of some voxels of an item, `[K, voxels of the block]`.
fn block_softmax(logits: &[f32], labels: &[u8], first: usize, voxels: usize, classes: usize) -> (Vec<f32>, Sums) {
    let count = labels.len();
    let mut values = vec![0.0; classes * count];
    let mut sums = Sums { cross_entropy: 0.0, classes: vec![[0.0; 3]; classes] };
    let mut most = vec![f32::NEG_INFINITY; count];
    for class in 0..classes {
        let row = &logits[class * voxels + first..][..count];
        most.iter_mut().zip(row).for_each(|(most, &x)| *most = most.max(x));
    }
    let mut total = vec![0.0_f32; count];
    for class in 0..classes {
        let row = &logits[class * voxels + first..][..count];
        let out = &mut values[class * count..(class + 1) * count];
        for (((out, &x), &most), total) in out.iter_mut().zip(row).zip(&most).zip(&mut total) {
            *out = (x - most).exp();
            *total += *out;
        }
    }
    for (i, &label) in labels.iter().enumerate() {
        let logit = logits[usize::from(label) * voxels + first + i];
        sums.cross_entropy += f64::from(total[i].ln() - (logit - most[i]));
    }
    for class in 0..classes {
        let out = &mut values[class * count..(class + 1) * count];
        let [both, p, t] = &mut sums.classes[class];
        for ((out, &total), &label) in out.iter_mut().zip(&total).zip(labels) {
            *out /= total;
            *p += f64::from(*out);
            if usize::from(label) == class {
                *both += f64::from(*out);
                *t += 1.0;
            }
        }
    }
    (values, sums)
}

impl CustomOp1 for Loss {
    fn name(&self) -> &'static str {
        "dice-cross-entropy"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let (items, classes, d, h, w) = layout.shape().dims5()?;
        let (_, sums) = self.softmax(floats(storage, layout)?, items, classes);
        Ok((CpuStorage::F32(vec![self.value(&sums, d * h * w) as f32]), Shape::from(())))
    }

    fn bwd(&self, logits: &Tensor, _res: &Tensor, grad_res: &Tensor) -> Result<Option<Tensor>> {
        let factor = grad_res.to_scalar::<f32>()?;
        logits.contiguous()?.apply_op1_no_bwd(&Backward { loss: self, factor }).map(Some)
    }
}

/// Logits to their gradient.
struct Backward<'a> {
    loss: &'a Loss,
    factor: f32,
}

impl CustomOp1 for Backward<'_> {
    fn name(&self) -> &'static str {
        "dice-cross-entropy-backward"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let (items, classes, d, h, w) = layout.shape().dims5()?;
        let voxels = d * h * w;
        let (mut values, sums) = self.loss.softmax(floats(storage, layout)?, items, classes);
        let LossConfig { cross_entropy, dice, smooth } = self.loss.config;
        let entropy = self.factor * cross_entropy / (items * voxels) as f32;
        let share = -f64::from(self.factor * dice) / (items * (classes - 1)) as f64;
        for (item, values) in values.chunks_mut(classes * voxels).enumerate() {
            // The derivative of a class's Dice by p, where the truth is 0 and where it is 1.
            let slopes: Vec<[f32; 2]> = sums[item]
                .classes
                .iter()
                .enumerate()
                .map(|(class, [both, p, t])| {
                    if class == 0 {
                        return [0.0; 2];
                    }
                    let (over, under) = (2.0 * both + f64::from(smooth), p + t + f64::from(smooth));
                    let outside = -over / (under * under);
                    [(share * outside) as f32, (share * (outside + 2.0 / under)) as f32]
                })
                .collect();
            let labels = &self.loss.labels[item * voxels..][..voxels];
            gradient_of_item(values, labels, &slopes, entropy);
        }
        Ok((CpuStorage::F32(values), layout.shape().clone()))
    }
}

/// From softmax to gradient, in place.
fn gradient_of_item(values: &mut [f32], labels: &[u8], slopes: &[[f32; 2]], entropy: f32) {
    let voxels = labels.len();
    let slope = |class: usize, i: usize| slopes[class][usize::from(usize::from(labels[i]) == class)];
    // Σ over classes of slope · p.
    let mut mean = vec![0.0_f32; voxels];
    for (class, row) in values.chunks(voxels).enumerate() {
        mean.iter_mut().zip(row).enumerate().for_each(|(i, (mean, p))| *mean += slope(class, i) * p);
    }
    values.par_chunks_mut(voxels).enumerate().for_each(|(class, row)| {
        for (i, p) in row.iter_mut().enumerate() {
            let truth = if usize::from(labels[i]) == class { 1.0 } else { 0.0 };
            *p = *p * (slope(class, i) - mean[i]) + entropy * (*p - truth);
        }
    });
}
