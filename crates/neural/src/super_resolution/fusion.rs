//! Joins what planes of both directions say, in the volume.
//!
//! Planes do not see each other, so what is made up in one need not fit the next, and where the directions disagree their mean
//! is neither. A small network that sees both, and neighbours along all axes, is shown volumes that planes have sharpened.

use candle_core::{Device, Tensor};
use rayon::prelude::*;
use volume::ScanVolume;

use super::network::{Buffers, FUSION_INPUTS, Folding, Residual, ThroughPlane};
use super::pairs::{Draw, MOST_NOISE, PairOptions, Pairs, TRIES};
use super::scan::{Scale, axis_last, floats, permuted};
use super::slices::{BASE_ROUNDS, SliceLayout};
use super::upsample::{Look, MIRRORED, SINE, bring_back};
use crate::error::NeuralError;
use crate::training::Rng;

/// Voxels that go through the network at a time: about 150 MB for each of three buffers with 24 channels and a fold of 4.
pub(super) const CHUNK_VOXELS: usize = 6 << 20;

/// Differences are small beside the values.
const DIFFERENCE_GAIN: f32 = 3.0;

/// A block with less than this between the lowest and the highest value through its middle is air, and another is drawn.
const FLAT: f32 = 0.2;

/// Rounds of back-projection before both directions are joined.
const ROUNDS: usize = 3;

/// A scan by planes of both directions.
pub(super) struct Directions {
    /// Of both.
    pub(super) mean: Vec<f32>,
    /// Half of what planes of columns say more than planes of rows.
    difference: Vec<f32>,
    /// As it was interpolated.
    base: Vec<f32>,
}

impl Directions {
    /// From the interpolated scan and half of what each direction adds to it; slices that are not wanted stay as they are.
    pub(super) fn new(base: Vec<f32>, mut rows: Vec<f32>, mut columns: Vec<f32>, look: &Look) -> Self {
        let plane = look.size[0] * look.size[1];
        let slices = rows.par_chunks_mut(plane).zip(columns.par_chunks_mut(plane)).zip(base.par_chunks(plane));
        slices.zip(&look.wanted).for_each(|(((rows, columns), base), wanted)| {
            for ((row, column), base) in rows.iter_mut().zip(columns).zip(base) {
                let [a, b] = if *wanted { [*row, *column] } else { [0.0; 2] };
                (*row, *column) = (base + a + b, a - b);
            }
        });
        Self { mean: rows, difference: columns, base }
    }

    /// What is to be added to the mean.
    pub(super) fn fused(
        &self,
        network: &Residual,
        fold: usize,
        look: &Look,
        chunk_voxels: usize,
        tell: &dyn Fn(f32),
    ) -> Result<Vec<f32>, NeuralError> {
        let ([nx, ny], nz) = (look.size, look.hints.len());
        let depth = nz.div_ceil(fold);
        let reach = network.reach();
        let step = (chunk_voxels / (depth * fold * nx)).saturating_sub(2 * reach).max(2 * reach);
        let mirrored = if look.flips { &MIRRORED[..] } else { &MIRRORED[..1] };
        let weight = 1.0 / mirrored.len() as f32;
        let mut sum = vec![0.0; self.mean.len()];
        let (mut input, mut buffers) = (Vec::new(), Buffers::default());
        let count = (ny.div_ceil(step) * mirrored.len()) as f32;
        let chunks = (0..ny).step_by(step).flat_map(|first| mirrored.iter().map(move |mirror| (first, mirror)));
        for (at, (first, &mirror)) in chunks.enumerate() {
            let end = (first + step).min(ny);
            let rows = first.saturating_sub(reach)..(end + reach).min(ny);
            let folding = Folding { fold, planes: rows.len(), depth, width: nx };
            self.gather(&folding, rows.start, look, mirror, &mut input);
            network.run(&input, folding.shape(FUSION_INPUTS), &mut buffers)?;
            sum.par_chunks_mut(nx * ny).enumerate().for_each(|(z, slice)| {
                let z = if mirror[0] { nz - 1 - z } else { z };
                for j in first..end {
                    let made = &buffers.out[folding.row(0, j - rows.start, z)..][..nx];
                    let to = &mut slice[j * nx..(j + 1) * nx];
                    if mirror[1] {
                        to.iter_mut().zip(made.iter().rev()).for_each(|(to, v)| *to += weight * v);
                    } else {
                        to.iter_mut().zip(made).for_each(|(to, v)| *to += weight * v);
                    }
                }
            });
            tell((at + 1) as f32 / count);
        }
        Ok(sum)
    }

    /// Rows from `first` on as the network takes them; what folding adds at the end repeats the last slice.
    fn gather(&self, folding: &Folding, first: usize, look: &Look, mirror: [bool; 2], input: &mut Vec<f32>) {
        let Folding { fold, planes, depth, width } = *folding;
        let (last, ny) = (look.hints.len() - 1, look.size[1]);
        input.resize(folding.shape(FUSION_INPUTS).iter().product(), 0.0);
        input.par_chunks_mut(width).enumerate().for_each(|(row, out)| {
            let (channel, within) = (row / (planes * depth), row % (planes * depth));
            let z = (within % depth * fold + channel % fold).min(last);
            let z = if mirror[0] { last - z } else { z };
            let from = (z * ny + first + within / depth) * width;
            let value = |n: usize| self.shown(channel / fold, from + n, look.hints[z], mirror[0]);
            out.iter_mut().enumerate().for_each(|(n, out)| *out = value(if mirror[1] { width - 1 - n } else { n }));
        });
    }

    /// A value of the network's input.
    fn shown(&self, channel: usize, voxel: usize, hints: [f32; 4], upside_down: bool) -> f32 {
        match channel {
            0 => self.mean[voxel],
            1 => DIFFERENCE_GAIN * self.difference[voxel],
            2 => DIFFERENCE_GAIN * (self.base[voxel] - self.mean[voxel]),
            hint if hint - 3 == SINE && upside_down => -hints[SINE],
            hint => hints[hint - 3],
        }
    }
}

/// A scan that is sharp along all axes, and what planes made of it from averages along one of them: to learn joining from.
pub struct FusionScan {
    /// Slices outermost.
    sharp: Vec<f32>,
    directions: Directions,
    look: Look,
}

impl FusionScan {
    /// Averages `scan` down along `axis` to touching slices of `factor` voxels and lets the planes of a network sharpen them.
    ///
    /// # Errors
    /// [`NeuralError::Input`] if values are not finite or the scan is too small; Candle's.
    pub fn new(scan: &ScanVolume, axis: usize, factor: f64, network: &ThroughPlane) -> Result<Self, NeuralError> {
        let order = axis_last(axis);
        let mut sharp = permuted(&floats(scan), scan.geometry().size(), order);
        Scale::of(&sharp)?.to_unit(&mut sharp);
        let [nx, ny, nz] = order.map(|a| scan.geometry().size()[a]);
        let layout = SliceLayout::touching(nz, factor);
        if layout.slices < 2 || nx.min(ny) < 32 {
            return Err(NeuralError::Input {
                reason: format!("{nx} × {ny} × {nz} voxels, the last {factor} to a slice, are too few to learn from"),
                remedy: "take larger scans".to_owned(),
            });
        }
        let plane = nx * ny;
        sharp.truncate(layout.voxels * plane);
        let mut averaged = layout.average().apply(&sharp, plane);
        // Thin planes are noisier than those of thick slices.
        let mut rng = Rng::of(&[averaged.len() as u64, axis as u64]);
        let noise = MOST_NOISE / 4.0;
        averaged.iter_mut().for_each(|v| *v += (noise * rng.normal()) as f32);
        let base = layout.interpolate(BASE_ROUNDS).apply(&averaged, plane);
        let look = Look { size: [nx, ny], hints: layout.hints(&[]), wanted: vec![true; layout.voxels], flips: false };
        let mut directions = look.directions(network, base, &|_| ())?;
        bring_back(&layout, ROUNDS, &averaged, &[], plane, &mut directions.mean);
        Ok(Self { sharp, directions, look })
    }
}

impl Draw for [FusionScan] {
    /// Blocks as wide in one direction as in the other; `planes` is their number.
    fn draw(&self, options: &PairOptions, fold: usize, rng: &mut Rng) -> Result<Pairs, NeuralError> {
        let [z, width] = options.crop;
        let fits = |scan: &FusionScan| scan.look.hints.len() >= z && scan.look.size.into_iter().all(|n| n >= width);
        if self.is_empty() || z == 0 || z % fold != 0 || !self.iter().all(fits) {
            return Err(NeuralError::Input {
                reason: format!("there are {} scans to learn from, in blocks of {z} × {width} × {width}", self.len()),
                remedy: format!("name at least one, all as large, and take blocks that {fold} divides"),
            });
        }
        let folding = Folding { fold, planes: width, depth: z / fold, width };
        let [inputs, outputs] = [FUSION_INPUTS, 1].map(|channels| folding.shape(channels).iter().product::<usize>());
        let (mut input, mut sharp) = (vec![0.0; inputs * options.planes], vec![0.0; outputs * options.planes]);
        for (input, sharp) in input.chunks_mut(inputs).zip(sharp.chunks_mut(outputs)) {
            let mut block = Block::draw(self, options, rng);
            for _ in 1..TRIES {
                if block.range() >= FLAT {
                    break;
                }
                block = Block::draw(self, options, rng);
            }
            block.fill(&folding, input, sharp);
        }
        let shape = |channels| {
            let [_, c, d, h, w] = folding.shape(channels);
            [options.planes, c, d, h, w].to_vec()
        };
        Ok(Pairs {
            input: Tensor::from_vec(input, shape(FUSION_INPUTS), &Device::Cpu)?,
            sharp: Tensor::from_vec(sharp, shape(1), &Device::Cpu)?,
        })
    }
}

/// A block of a scan, turned some way.
struct Block<'a> {
    scan: &'a FusionScan,
    /// First column, row, slice.
    from: [usize; 3],
    /// Rows and columns, slices.
    width: usize,
    depth: usize,
    /// Columns, rows, slices.
    flips: [bool; 3],
    /// Columns for rows.
    turned: bool,
    gain: f32,
}

impl<'a> Block<'a> {
    fn draw(scans: &'a [FusionScan], options: &PairOptions, rng: &mut Rng) -> Self {
        let [depth, width] = options.crop;
        let scan = &scans[rng.below(scans.len())];
        let [nx, ny] = scan.look.size;
        let from = [(nx, width), (ny, width), (scan.look.hints.len(), depth)].map(|(n, size)| rng.below(n - size + 1));
        let flips = [rng.chance(0.5), rng.chance(0.5), rng.chance(0.5)];
        Self { scan, from, width, depth, flips, turned: rng.chance(0.5), gain: rng.between(0.8, 1.25) as f32 }
    }

    /// Where a voxel of the block lies in the scan.
    fn at(&self, column: usize, row: usize, slice: usize) -> usize {
        let [nx, ny] = self.scan.look.size;
        let (column, row) = if self.turned { (row, column) } else { (column, row) };
        let place =
            |n: usize, axis: usize, size: usize| self.from[axis] + if self.flips[axis] { size - 1 - n } else { n };
        let (i, j) = (place(column, 0, self.width), place(row, 1, self.width));
        (place(slice, 2, self.depth) * ny + j) * nx + i
    }

    /// Between the lowest and the highest value along the lines through its middle.
    fn range(&self) -> f32 {
        let (w, d) = (self.width / 2, self.depth / 2);
        let lines = (0..self.width).flat_map(|n| [self.at(n, w, d), self.at(w, n, d)]);
        let values = lines.chain((0..self.depth).map(|n| self.at(w, w, n))).map(|at| self.scan.sharp[at]);
        let (low, high) = values.fold((f32::MAX, f32::MIN), |(l, h), v| (l.min(v), h.max(v)));
        high - low
    }

    fn fill(&self, folding: &Folding, input: &mut [f32], sharp: &mut [f32]) {
        let (scan, upside_down) = (self.scan, self.flips[2]);
        for slice in 0..self.depth {
            let hints = scan.look.hints[self.at(0, 0, slice) / (scan.look.size[0] * scan.look.size[1])];
            for row in 0..self.width {
                let voxels = (0..self.width).map(|column| self.at(column, row, slice));
                let to = folding.row(0, row, slice);
                voxels.clone().zip(&mut sharp[to..]).for_each(|(at, to)| *to = self.gain * scan.sharp[at]);
                for channel in 0..FUSION_INPUTS {
                    // Turned, planes of columns are planes of rows.
                    let gain = match channel {
                        0 | 2 => self.gain,
                        1 if self.turned => -self.gain,
                        1 => self.gain,
                        _ => 1.0,
                    };
                    let to = folding.row(channel, row, slice);
                    let shown = |at| gain * scan.directions.shown(channel, at, hints, upside_down);
                    voxels.clone().zip(&mut input[to..]).for_each(|(at, to)| *to = shown(at));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
