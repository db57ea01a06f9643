//! The sliding window, whose answers are summed with Gaussian weights.
//!
//! Answers are linear in the features before the last layer, so features are summed where they are fewer than the answers, and
//! the last layer is applied once to each finished plane. Windows go plane by plane along the first axis; a plane that no later
//! window reaches is handed on and freed. So neither features nor answers of a whole scan are ever held.

mod sums;

use std::collections::BTreeMap;

use candle_core::{Device, Tensor};
use rayon::prelude::*;

use self::sums::{Part, Plane, with_values};
use super::Sums;
use super::network::{Network, mean_head};
use crate::NeuralError;

/// What a window is worth at its edge, as the deviation of the Gaussian over the window's size.
const SIGMA: f64 = 1.0 / 8.0;
/// The weight at a window's centre.
const CENTRE: f64 = 10.0;

/// First voxels of the windows along one axis.
pub(crate) fn steps(size: usize, window: usize, step: f64) -> Vec<usize> {
    let span = size.saturating_sub(window);
    let count = (span as f64 / (window as f64 * step)).ceil() as usize + 1;
    let actual = if count > 1 { span as f64 / (count - 1) as f64 } else { 0.0 };
    (0..count).map(|n| (actual * n as f64).round_ties_even() as usize).collect()
}

/// Weights of a window's voxels. Rounded to half precision as in nnU-Net, whose least weight is not zero by that.
pub(crate) fn gaussian(window: [usize; 3]) -> Vec<f32> {
    let axes = window.map(|n| {
        let sigma = n as f64 * SIGMA;
        let reach = (4.0 * sigma + 0.5) as usize;
        let weight = |at: usize| {
            let from = at.abs_diff(n / 2);
            if from > reach { 0.0 } else { (-0.5 * (from as f64 / sigma).powi(2)).exp() }
        };
        (0..n).map(weight).collect::<Vec<f64>>()
    });
    let mut weights = Vec::with_capacity(window.iter().product());
    for a in &axes[0] {
        for b in &axes[1] {
            weights.extend(axes[2].iter().map(|c| half::f16::from_f64(a * b * c * CENTRE).to_f32()));
        }
    }
    let least = weights.iter().copied().filter(|&w| w > 0.0).fold(f32::INFINITY, f32::min);
    weights.iter_mut().filter(|w| **w == 0.0).for_each(|w| *w = least);
    weights
}

/// How windows go over an image.
pub(super) struct Windows<'a> {
    /// Their answers are averaged.
    pub(super) networks: &'a [Network],
    pub(super) heads: usize,
    pub(super) size: [usize; 3],
    /// From one window to the next, as a part of the window.
    pub(super) step: f64,
    /// Sets of axes that the image is mirrored along; one of them empty.
    pub(super) mirrors: &'a [Vec<usize>],
    pub(super) sums: Sums,
}

/// An image `[channels, size]`.
#[derive(Clone, Copy)]
pub(super) struct Image<'a> {
    pub(super) values: &'a [f32],
    pub(super) size: [usize; 3],
}

impl Windows<'_> {
    /// Features before the last layer, of all networks.
    fn features(&self) -> Result<usize, NeuralError> {
        Ok(self.networks.iter().map(|n| n.head().weight().dim(1)).sum::<Result<usize, _>>()?)
    }

    /// Whether answers are summed in half precision: each network's by itself, as in the reference.
    pub(super) fn half(&self) -> Result<bool, NeuralError> {
        Ok(self.sums == Sums::AsReference && self.heads * self.networks.len() <= 2 * self.features()?)
    }

    /// Calls `done` with the answers of each plane in turn, voxel by voxel: `[size[1], size[2], heads]`.
    pub(super) fn run(
        &self,
        image: Image<'_>,
        progress: &(dyn Fn(f32) + Sync),
        mut done: impl FnMut(usize, Vec<f32>) -> Result<(), NeuralError>,
    ) -> Result<(), NeuralError> {
        let (features, half) = (self.features()?, self.half()?);
        // Whatever is fewer.
        let head = if !half && features < self.heads { Some(mean_head(self.networks)?) } else { None };
        let channels = match (&head, half) {
            (Some(_), _) => features,
            (None, false) => self.heads,
            // The reference sums every network by itself.
            (None, true) => self.heads * self.networks.len(),
        };
        let padded = [0, 1, 2].map(|a| image.size[a].max(self.size[a]));
        let before = [0, 1, 2].map(|a| ((padded[a] - image.size[a]) / 2) as isize);
        let starts = [0, 1, 2].map(|a| steps(padded[a], self.size[a], self.step));
        let total = starts.iter().map(Vec::len).product::<usize>();
        let weights = gaussian(self.size);
        let mut planes = BTreeMap::<usize, Plane>::new();
        let mut count = 0;
        for (n, &a) in starts[0].iter().enumerate() {
            for &b in &starts[1] {
                for &c in &starts[2] {
                    let start = [a, b, c].map(|s| s as isize);
                    let at = [0, 1, 2].map(|a| start[a] - before[a]);
                    self.one(image, at, &weights, head.is_some(), channels, &mut planes)?;
                    count += 1;
                    progress(count as f32 / total as f32);
                }
            }
            // Planes before the next window's first are finished.
            let finished = starts[0].get(n + 1).map_or(isize::MAX, |&next| next as isize - before[0]);
            while let Some(entry) = planes.first_entry().filter(|plane| (*plane.key() as isize) < finished) {
                let (a, plane) = entry.remove_entry();
                let size = [image.size[1], image.size[2]];
                done(
                    a,
                    if half { plane.halves(size, self.heads) } else { plane.answers(head.as_ref(), size, channels)? },
                )?;
            }
        }
        Ok(())
    }

    /// One window, whose first voxel may lie outside the image.
    fn one(
        &self,
        image: Image<'_>,
        at: [isize; 3],
        weights: &[f32],
        sum_features: bool,
        channels: usize,
        planes: &mut BTreeMap<usize, Plane>,
    ) -> Result<(), NeuralError> {
        let x = image.window(at, self.size)?;
        let inside = [0, 1, 2].map(|a| {
            let end = (image.size[a] as isize - at[a]).min(self.size[a] as isize);
            ((-at[a]).max(0) as usize, end.max(0) as usize)
        });
        let area = image.size[1] * image.size[2];
        let plain = Part {
            window: self.size,
            inside,
            at,
            weights,
            share: 1.0,
            mirrored: [false; 3],
            first: 0,
            row: image.size[2],
            counts: true,
            half: self.half()?,
        };
        for a in inside[0].0..inside[0].1 {
            let new = || Plane::new(channels * area, area, plain.half);
            planes.entry((at[0] + a as isize) as usize).or_insert_with(new);
        }
        let mut add = |y: &Tensor, part: &Part<'_>| {
            let width = y.dim(1)?;
            with_values(y, |values| {
                let range = (at[0] + inside[0].0 as isize) as usize..(at[0] + inside[0].1 as isize) as usize;
                let mut touched: Vec<_> = planes.range_mut(range).collect();
                touched.par_iter_mut().for_each(|(a, plane)| part.add(**a, plane, area, width, values));
            })
        };
        let mut first = 0;
        for (n, network) in self.networks.iter().enumerate() {
            let counts = n == 0;
            if plain.half {
                add(&self.mean_logits(network, &x)?, &Part { first, counts, ..plain })?;
                first += self.heads;
                continue;
            }
            let mut width = 0;
            for (m, axes) in self.mirrors.iter().enumerate() {
                let dims: Vec<usize> = axes.iter().map(|a| a + 2).collect();
                let x = if axes.is_empty() { x.clone() } else { x.flip(&dims)?.contiguous()? };
                let y = if sum_features { network.features(x)? } else { network.logits(x)? };
                width = y.dim(1)?;
                // Answers are averaged over networks here, features by the layer that joins them.
                let others = if sum_features { 1 } else { self.networks.len() };
                let share = 1.0 / (self.mirrors.len() * others) as f32;
                let mirrored = [0, 1, 2].map(|a| axes.contains(&a));
                add(&y, &Part { share, mirrored, first, counts: counts && m == 0, ..plain })?;
            }
            first += if sum_features { width } else { 0 };
        }
        Ok(())
    }

    /// A network's answer, averaged over mirrored windows.
    fn mean_logits(&self, network: &Network, x: &Tensor) -> Result<Tensor, NeuralError> {
        let mut sum: Option<Tensor> = None;
        for axes in self.mirrors {
            let dims: Vec<usize> = axes.iter().map(|a| a + 2).collect();
            let flipped = |x: &Tensor| if dims.is_empty() { Ok(x.clone()) } else { x.flip(&dims)?.contiguous() };
            let y = flipped(&network.logits(flipped(x)?)?)?;
            sum = Some(match sum {
                Some(sum) => (sum + y)?,
                None => y,
            });
        }
        let sum = sum.ok_or_else(|| candle_core::Error::Msg("no windows to average".into()))?;
        Ok((sum / self.mirrors.len() as f64)?)
    }
}

impl Image<'_> {
    /// `[1, channels, size]`, zero outside the image.
    fn window(&self, at: [isize; 3], size: [usize; 3]) -> Result<Tensor, NeuralError> {
        let voxels = self.size.iter().product::<usize>();
        let channels = self.values.len() / voxels;
        let [d, h, w] = size;
        let mut out = vec![0.0f32; channels * d * h * w];
        let low = (-at[2]).max(0) as usize;
        let high = ((self.size[2] as isize - at[2]).min(w as isize)).max(0) as usize;
        out.par_chunks_exact_mut(w).enumerate().for_each(|(row, out)| {
            let (c, a, b) = (row / (d * h), (row / h % d) as isize + at[0], (row % h) as isize + at[1]);
            let outside = |n: isize, axis: usize| n < 0 || n >= self.size[axis] as isize;
            if outside(a, 0) || outside(b, 1) || low >= high {
                return;
            }
            let from = c * voxels + (a as usize * self.size[1] + b as usize) * self.size[2];
            let first = (at[2] + low as isize) as usize;
            out[low..high].copy_from_slice(&self.values[from + first..][..high - low]);
        });
        Ok(Tensor::from_vec(out, (1, channels, d, h, w), &Device::Cpu)?)
    }
}

#[cfg(test)]
mod tests;
