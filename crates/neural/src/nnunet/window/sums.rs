//! Sums of what windows say, plane by plane.

use candle_core::{CpuStorage, Device, Module, Storage, Tensor};
use half::f16;
use half::slice::HalfFloatSliceExt;
use rayon::prelude::*;

use crate::NeuralError;
use crate::nn::Conv3d;

/// Sums of one plane of the image, `[channels, size[1], size[2]]`, in one of the precisions.
pub(super) struct Plane {
    single: Vec<f32>,
    half: Vec<f16>,
    weights: Vec<f32>,
}

/// One answer, to be added.
#[derive(Clone, Copy)]
pub(super) struct Part<'a> {
    pub(super) window: [usize; 3],
    /// First voxel inside the image and the one after the last, in the window.
    pub(super) inside: [(usize, usize); 3],
    pub(super) at: [isize; 3],
    pub(super) weights: &'a [f32],
    pub(super) share: f32,
    pub(super) mirrored: [bool; 3],
    /// The first channel that it is added to.
    pub(super) first: usize,
    /// Voxels of a row of the image.
    pub(super) row: usize,
    /// Whether the weights are to be counted, which is once a window.
    pub(super) counts: bool,
    /// Whether sums are rounded to half precision.
    pub(super) half: bool,
}

impl Part<'_> {
    fn rounded(&self, x: f32) -> f32 {
        if self.half { rounded(x) } else { x }
    }

    pub(super) fn add(&self, a: usize, plane: &mut Plane, area: usize, width: usize, values: &[f32]) {
        let [d, h, w] = self.window;
        let a = (a as isize - self.at[0]) as usize;
        let [_, (b_low, b_high), (low, high)] = self.inside;
        let mut wide = vec![0.0f32; high - low];
        let from_a = if self.mirrored[0] { d - 1 - a } else { a };
        for b in b_low..b_high {
            let weights = &self.weights[(a * h + b) * w..][low..high];
            let to = (self.at[1] + b as isize) as usize * self.row + (self.at[2] + low as isize) as usize;
            if self.counts {
                let counted = &mut plane.weights[to..][..high - low];
                counted.iter_mut().zip(weights).for_each(|(sum, weight)| *sum = self.rounded(*sum + weight));
            }
            let from_b = if self.mirrored[1] { h - 1 - b } else { b };
            for c in 0..width {
                let row = &values[((c * d + from_a) * h + from_b) * w..][..w];
                let to = (self.first + c) * area + to;
                if self.half {
                    let sums = &mut plane.half[to..][..high - low];
                    sums.convert_to_f32_slice(&mut wide);
                    let pairs = wide.iter_mut().zip(weights);
                    pairs.zip(&row[low..high]).for_each(|((sum, weight), value)| *sum += weight * value);
                    sums.convert_from_f32_slice(&wide);
                    continue;
                }
                let sums = &mut plane.single[to..][..high - low];
                let pairs = sums.iter_mut().zip(weights);
                if self.mirrored[2] {
                    let row = row[w - high..w - low].iter().rev();
                    pairs.zip(row).for_each(|((sum, weight), value)| *sum += weight * self.share * value);
                } else {
                    let row = &row[low..high];
                    pairs.zip(row).for_each(|((sum, weight), value)| *sum += weight * self.share * value);
                }
            }
        }
    }
}

/// To half precision.
fn rounded(x: f32) -> f32 {
    f16::from_f32(x).to_f32()
}

impl Plane {
    /// Nothing yet, of `count` sums.
    pub(super) fn new(count: usize, area: usize, half: bool) -> Self {
        Self {
            single: vec![0.0; if half { 0 } else { count }],
            half: vec![f16::ZERO; if half { count } else { 0 }],
            weights: vec![0.0; area],
        }
    }

    /// Voxel by voxel, `[size, heads]`, every step rounded to half precision.
    pub(super) fn halves(self, size: [usize; 2], heads: usize) -> Vec<f32> {
        let area = size[0] * size[1];
        let networks = self.half.len() / (area * heads);
        let mut mean = vec![0.0f32; heads * area];
        mean.par_chunks_exact_mut(area).enumerate().for_each(|(head, mean)| {
            for network in 0..networks {
                let sums = &self.half[(network * heads + head) * area..][..area];
                for (mean, (sum, weight)) in mean.iter_mut().zip(sums.iter().zip(&self.weights)) {
                    *mean = rounded(*mean + rounded(sum.to_f32() / weight));
                }
            }
            if networks > 1 {
                mean.iter_mut().for_each(|x| *x = rounded(*x / networks as f32));
            }
        });
        by_voxel(&mean, area)
    }

    /// Voxel by voxel: `[size, heads]`.
    pub(super) fn answers(
        mut self,
        head: Option<&Conv3d>,
        size: [usize; 2],
        channels: usize,
    ) -> Result<Vec<f32>, NeuralError> {
        let area = size[0] * size[1];
        let weights = &self.weights;
        self.single.par_chunks_exact_mut(area).for_each(|sums| sums.iter_mut().zip(weights).for_each(|(s, w)| *s /= w));
        let Some(head) = head else { return Ok(by_voxel(&self.single, area)) };
        let x = Tensor::from_vec(self.single, (1, channels, 1, size[0], size[1]), &Device::Cpu)?;
        let mut out = Vec::new();
        with_values(&head.forward(&x)?, |values| out = by_voxel(values, area))?;
        Ok(out)
    }
}

/// `[channels, area]` as `[area, channels]`.
fn by_voxel(values: &[f32], area: usize) -> Vec<f32> {
    const BLOCK: usize = 64;
    let channels = values.len() / area;
    let mut out = vec![0.0f32; values.len()];
    out.par_chunks_mut(BLOCK * channels).enumerate().for_each(|(block, out)| {
        for (c, channel) in values.chunks_exact(area).enumerate() {
            let row = &channel[block * BLOCK..][..out.len() / channels];
            out[c..].iter_mut().step_by(channels).zip(row).for_each(|(out, value)| *out = *value);
        }
    });
    out
}

/// What is made of a tensor's values, where they lie.
pub(super) fn with_values(tensor: &Tensor, with: impl FnOnce(&[f32])) -> Result<(), NeuralError> {
    let tensor = tensor.contiguous()?;
    let (storage, layout) = tensor.storage_and_layout();
    if let (Storage::Cpu(CpuStorage::F32(values)), Some((from, to))) = (&*storage, layout.contiguous_offsets()) {
        with(&values[from..to]);
        return Ok(());
    }
    Err(candle_core::Error::Msg("a network's answer does not lie in the processor's memory".into()).into())
}
