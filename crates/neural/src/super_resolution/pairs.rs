//! Training pairs: a sharp plane, and the same averaged down along one of its axes and interpolated back.

use candle_core::{Device, Tensor};
use volume::ScanVolume;

use super::network::{Folding, INPUTS};
use super::scan::{Scale, axis_last, floats, permuted, slice_axis};
use super::slices::{BASE_ROUNDS, SliceLayout};
use crate::error::NeuralError;
use crate::training::Rng;

/// Slices beyond a crop that its interpolation may see.
const MARGIN_SLICES: f64 = 3.0;

/// Deviation in a crop, of the scan's intensity span, below which another is drawn.
const FLAT: f32 = 0.02;

/// Deviation of noise added to averaged slices, in parts of the intensity span. The head of the tests has 0.014 at 5 mm.
pub(super) const MOST_NOISE: f64 = 0.02;

/// Voxels at most so many times longer than wide are sharp along all axes.
const ISOTROPIC: f64 = 1.25;

/// Draws before a flat crop is taken after all.
pub(super) const TRIES: usize = 8;

/// A scan to learn from: its planes across the slice axis.
#[derive(Clone, Debug)]
pub struct SharpScan {
    /// Intensities by quantiles, slices outermost.
    values: Vec<f32>,
    /// Columns, rows, slices.
    size: [usize; 3],
}

impl SharpScan {
    /// Takes the planes of a scan's two finest axes, about whose spacing nothing is assumed but that they are alike.
    ///
    /// # Errors
    /// [`NeuralError::Input`] if values are not finite or planes are too small to learn from.
    pub fn new(scan: &ScanVolume) -> Result<Self, NeuralError> {
        Self::across(scan, slice_axis(scan.geometry()))
    }

    /// The planes across each axis of a scan whose voxels are about as long as wide, else those of [`new`](Self::new).
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn every_way(scan: &ScanVolume) -> Result<Vec<Self>, NeuralError> {
        let spacing = scan.geometry().spacing();
        let least = spacing.into_iter().fold(f64::MAX, f64::min);
        if scan.geometry().max_spacing_mm() > least * ISOTROPIC {
            return Ok(vec![Self::new(scan)?]);
        }
        (0..3).map(|axis| Self::across(scan, axis)).collect()
    }

    fn across(scan: &ScanVolume, axis: usize) -> Result<Self, NeuralError> {
        let size = scan.geometry().size();
        let order = axis_last(axis);
        let mut values = permuted(&floats(scan), size, order);
        Scale::of(&values)?.to_unit(&mut values);
        let size = order.map(|axis| size[axis]);
        if size[0].min(size[1]) < 32 {
            let reason =
                format!("its sharp planes have {} × {} voxels; 32 × 32 are the least to learn from", size[0], size[1]);
            return Err(NeuralError::Input {
                reason,
                remedy: "use weights that were trained on other scans".to_owned(),
            });
        }
        Ok(Self { values, size })
    }
}

/// How pairs are drawn.
#[derive(Clone, Debug, PartialEq)]
pub struct PairOptions {
    /// Planes a step.
    pub planes: usize,
    /// Voxels of a crop along the pretended slice axis and across it.
    pub crop: [usize; 2],
    /// Least and largest number of voxels from slice to slice.
    pub factor: [f64; 2],
    /// Change contrast at random, so that what is learnt holds for other kinds of scans.
    pub other_contrasts: bool,
    /// Thickness of slices over their distance if it is known, else it is drawn.
    pub thickness: Option<f64>,
}

impl Default for PairOptions {
    fn default() -> Self {
        Self { planes: 16, crop: [64, 48], factor: [2.0, 8.0], other_contrasts: true, thickness: None }
    }
}

/// What the network is shown, and what it should make of it.
#[derive(Clone, Debug)]
pub struct Pairs {
    /// `[1, 5 · fold, planes, Z / fold, X]` of planes, `[N, 7 · fold, Y, Z / fold, X]` of blocks.
    pub input: Tensor,
    /// Sharp, `[1, fold, planes, Z / fold, X]` or `[N, fold, Y, Z / fold, X]`.
    pub sharp: Tensor,
}

/// What a network can learn from.
pub trait Draw {
    /// Pairs for a network that folds; all follows from `rng`.
    ///
    /// # Errors
    /// [`NeuralError::Input`] without scans or if crops do not fold; Candle's.
    fn draw(&self, options: &PairOptions, fold: usize, rng: &mut Rng) -> Result<Pairs, NeuralError>;
}

impl Draw for [SharpScan] {
    fn draw(&self, options: &PairOptions, fold: usize, rng: &mut Rng) -> Result<Pairs, NeuralError> {
        let [z, width] = options.crop;
        if self.is_empty() || z == 0 || z % fold != 0 {
            return Err(NeuralError::Input {
                reason: format!("there are {} scans to learn from, in crops {z} voxels long", self.len()),
                remedy: format!("name at least one, and take crops that {fold} divides"),
            });
        }
        let folding = Folding { fold, planes: options.planes, depth: z / fold, width };
        let [inputs, outputs] = [INPUTS, 1].map(|channels| folding.shape(channels));
        let [mut input, mut sharp] = [inputs, outputs].map(|shape| vec![0.0; shape.iter().product()]);
        for plane in 0..options.planes {
            let scan = &self[rng.below(self.len())];
            let mut pair = Pair::draw(scan, options, rng);
            for _ in 1..TRIES {
                if pair.deviation() >= FLAT {
                    break;
                }
                pair = Pair::draw(scan, options, rng);
            }
            for row in 0..z {
                let values = row * width..(row + 1) * width;
                let at = folding.row(0, plane, row);
                sharp[at..at + width].copy_from_slice(&pair.sharp[values.clone()]);
                input[at..at + width].copy_from_slice(&pair.blurred[values]);
                for (channel, hint) in (1..).zip(pair.hints[row]) {
                    input[folding.row(channel, plane, row)..][..width].fill(hint);
                }
            }
        }
        Ok(Pairs {
            input: Tensor::from_vec(input, inputs.to_vec(), &Device::Cpu)?,
            sharp: Tensor::from_vec(sharp, outputs.to_vec(), &Device::Cpu)?,
        })
    }
}

/// One plane; rows lie along the pretended slice axis.
struct Pair {
    sharp: Vec<f32>,
    blurred: Vec<f32>,
    /// Of each row.
    hints: Vec<[f32; 4]>,
}

impl Pair {
    fn draw(scan: &SharpScan, options: &PairOptions, rng: &mut Rng) -> Self {
        let [nx, ny, nk] = scan.size;
        let [z, x] = options.crop;
        let factor = rng.between(options.factor[0], options.factor[1]);
        let thickness = options.thickness.unwrap_or_else(|| {
            // Most slices touch; some leave gaps, as around a missing one, a few overlap.
            if rng.chance(0.7) { rng.between(0.9, 1.1) } else { rng.between(0.3, 1.2) }
        });
        let along_rows = rng.chance(0.5);
        let (length, width) = if along_rows { (nx, ny) } else { (ny, nx) };
        let (strides, flips) = (if along_rows { [1, nx] } else { [nx, 1] }, [rng.chance(0.5), rng.chance(0.5)]);
        let plane = &scan.values[rng.below(nk) * nx * ny..][..nx * ny];
        let margin = ((factor * MARGIN_SLICES).ceil() as usize).min(length.saturating_sub(z) / 2);
        let long = (z + 2 * margin).min(length);
        let (z0, x0) = (rng.below(length - long + 1), rng.below(width.saturating_sub(x) + 1));
        // Crops larger than the plane are mirrored beyond its edge.
        let at = |n: usize, from: usize, count: usize, flip: bool, end: usize| {
            let n = from + if flip { count - 1 - n } else { n };
            if n < end { n } else { (2 * end - 1).saturating_sub(n).min(end - 1) }
        };
        let mut extended = Vec::with_capacity(long * x);
        for r in 0..long.max(z) {
            let row = at(r, z0, long.max(z), flips[0], length) * strides[0];
            extended.extend((0..x).map(|c| plane[row + at(c, x0, x, flips[1], width) * strides[1]]));
        }
        let long = long.max(z);
        if options.other_contrasts {
            change_contrast(&mut extended, rng);
        }
        let phase = rng.between(0.0, factor.min(margin.max(1) as f64));
        let slices = (((long as f64 - phase) / factor) as usize).max(1);
        let layout = SliceLayout { slices, voxels: long, factor, thickness, start: phase };
        let mut averaged = layout.average().apply(&extended, x);
        // Thin planes are noisier than those of thick slices, from which pairs are drawn.
        let noise = rng.between(0.0, MOST_NOISE);
        averaged.iter_mut().for_each(|v| *v += (noise * rng.normal()) as f32);
        let interpolated = layout.interpolate(BASE_ROUNDS).apply(&averaged, x);
        let skip = (long - z) / 2;
        let middle = |values: Vec<f32>| values[skip * x..(skip + z) * x].to_vec();
        let hints = layout.hints(&[])[skip..skip + z].to_vec();
        Self { sharp: middle(extended), blurred: middle(interpolated), hints }
    }

    fn deviation(&self) -> f32 {
        let n = self.sharp.len() as f32;
        let mean = self.sharp.iter().sum::<f32>() / n;
        (self.sharp.iter().map(|v| (v - mean).powi(2)).sum::<f32>() / n).sqrt()
    }
}

/// A window of the intensities, a bend, a reversal: contrasts the scan could have had.
fn change_contrast(values: &mut [f32], rng: &mut Rng) {
    if rng.chance(0.5) {
        let low = rng.between(-0.1, 0.6) as f32;
        let width = rng.between(0.2, 1.0) as f32;
        values.iter_mut().for_each(|v| *v = ((*v - low) / width).clamp(0.0, 1.0));
    }
    if rng.chance(0.3) {
        let power = rng.between(0.6, 1.6) as f32;
        values.iter_mut().for_each(|v| *v = v.abs().powf(power).copysign(*v));
    }
    if rng.chance(0.2) {
        values.iter_mut().for_each(|v| *v = 1.0 - *v);
    }
    let (gain, shift) = (rng.between(0.7, 1.3) as f32, rng.between(-0.05, 0.05) as f32);
    values.iter_mut().for_each(|v| *v = gain * *v + shift);
}
