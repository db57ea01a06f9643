//! The gradient of a convolution's weights: the input correlated with the gradient of the output.

#![expect(unsafe_code, reason = "calls the SIMD kernels")]

use candle_core::{CpuStorage, CustomOp2, Layout, Result, Shape, bail};
use rayon::prelude::*;

use super::engine::{Slots, Stretch, copy_row, reach, stretches};
use super::kernel::{Correlation, Isa, MAX_SHIFTS};
use super::lattice::{Axis, Lattice};
use super::packed::even;
use super::{Conv3dOptions, floats};

/// Input channels of a task: gradients are read once for all of them.
const INPUTS: usize = 4;

/// Gradients of a channel that are summed at once, so that those of a block stay in the first level of the cache.
const SUMMED: usize = 768;

/// Planes after which sums of `f32` are put away into `f64`.
const PLANES: usize = 16;

/// Planes that share copies of the input where a plane alone fills a run.
const FEW_PLANES: usize = 4;

/// Tasks below which output channels are split as well.
const FEW_TASKS: usize = 8;

/// `[x, gradient]` to the gradient of the weights of the convolution that leads from `x` there.
pub(super) struct WeightGradient {
    pub(super) options: Conv3dOptions,
    /// Of the weights.
    pub(super) shape: Shape,
}

impl CustomOp2 for WeightGradient {
    fn name(&self) -> &'static str {
        "conv3d-weight-gradient"
    }

    fn cpu_fwd(&self, s1: &CpuStorage, l1: &Layout, s2: &CpuStorage, l2: &Layout) -> Result<(CpuStorage, Shape)> {
        let (n, inputs, d, h, w) = l1.shape().dims5()?;
        let (_, outputs, ..) = l2.shape().dims5()?;
        let (.., kd, kh, kw) = self.shape.dims5()?;
        let kernel = [kd, kh, kw];
        let Some(lattice) = Lattice::direct([d, h, w], kernel, &self.options) else {
            bail!("the kernel {kernel:?} does not fit");
        };
        let job = Job {
            x: floats(s1, l1)?,
            gradient: floats(s2, l2)?,
            batch: n,
            channels: [inputs, outputs],
            groups: self.options.groups,
            kernel,
            lattice: &lattice,
            isa: Isa::detect(),
        };
        Ok((CpuStorage::F32(job.run()), self.shape.clone()))
    }
}

struct Job<'a> {
    x: &'a [f32],
    gradient: &'a [f32],
    batch: usize,
    /// Of the whole tensors.
    channels: [usize; 2],
    groups: usize,
    kernel: [usize; 3],
    lattice: &'a Lattice,
    isa: Isa,
}

/// Input and output channels of one group, first and count.
#[derive(Clone, Copy)]
struct Task {
    group: usize,
    inputs: (usize, usize),
    outputs: (usize, usize),
}

impl Job<'_> {
    fn run(&self) -> Vec<f32> {
        let [inputs, outputs] = self.channels.map(|c| c / self.groups);
        let blocks = even(inputs, INPUTS);
        let parts = FEW_TASKS.div_ceil((blocks.len() * self.groups).max(1));
        // Whole blocks of the kernel, if they can be.
        let most = outputs.div_ceil(parts).next_multiple_of(self.isa.max_correlated());
        let mut tasks = Vec::new();
        for group in 0..self.groups {
            for &inputs in &blocks {
                tasks.extend(even(outputs, most).into_iter().map(|outputs| Task { group, inputs, outputs }));
            }
        }
        let done: Vec<Vec<f32>> = tasks.par_iter().with_max_len(1).map(|task| self.task(*task)).collect();
        let positions: usize = self.kernel.iter().product();
        let mut weights = vec![0.0; self.channels[1] * inputs * positions];
        for (task, sums) in tasks.iter().zip(&done) {
            for o in 0..task.outputs.1 {
                let output = task.group * outputs + task.outputs.0 + o;
                let to = (output * inputs + task.inputs.0) * positions;
                let from = o * task.inputs.1 * positions;
                let length = task.inputs.1 * positions;
                weights[to..to + length].copy_from_slice(&sums[from..from + length]);
            }
        }
        weights
    }

    /// `[output][input][position]`.
    fn task(&self, task: Task) -> Vec<f32> {
        let [d, h, w] = &self.lattice.axes;
        let [kd, kh, kw] = self.kernel;
        let positions = kd * kh * kw;
        let lanes = self.isa.lanes();
        let blocks = even(task.outputs.1, self.isa.max_correlated());
        let shifts_at_once = even(kw, MAX_SHIFTS);
        let mut lane_sums = vec![0.0; task.outputs.1 * task.inputs.1 * positions * lanes];
        let mut total = vec![0.0_f64; task.outputs.1 * task.inputs.1 * positions];
        let flat = w.count < 2 * lanes;
        let rows = (SUMMED / w.count).max(1);
        let sheets: Vec<Sheet> = stretches(h, rows, if flat { 1 } else { h.interleave() })
            .into_iter()
            .map(|stretch| if flat { Sheet::flat(h, w, stretch) } else { Sheet::rows(h, w, stretch) })
            .collect();
        let planes = self.planes_at_once(&sheets, flat);
        let mut tile = Vec::new();
        let mut unsaved = 0;
        for item in 0..self.batch {
            for depth in stretches(d, planes, 1) {
                let slots = Slots::of(d, depth);
                for sheet in &sheets {
                    self.copy(task, item, &slots, sheet, &mut tile);
                    let piece = Piece { task, item, depth, slots, sheet, tile: &tile };
                    // Small planes follow each other as rows do.
                    for planes in even(depth.count, if sheet.flat { depth.count } else { 1 }) {
                        for &block in &blocks {
                            self.add(&piece, planes, block, &shifts_at_once, &mut lane_sums);
                        }
                    }
                }
                unsaved += depth.count;
                if unsaved >= PLANES || depth.first + depth.count == d.count {
                    unsaved = 0;
                    for (total, lanes) in total.iter_mut().zip(lane_sums.chunks_exact_mut(lanes)) {
                        *total += lanes.iter().map(|&x| f64::from(x)).sum::<f64>();
                        lanes.fill(0.0);
                    }
                }
            }
        }
        let mut sums = vec![0.0; total.len()];
        for &(first, channels) in &blocks {
            for input in 0..task.inputs.1 {
                for line in 0..kd * kh {
                    for &(shift, count) in &shifts_at_once {
                        let from = self.place(task, (first, channels), input, line, shift);
                        for (m, k) in (0..channels).flat_map(|m| (0..count).map(move |k| (m, k))) {
                            let to = ((first + m) * task.inputs.1 + input) * positions + line * kw + shift + k;
                            sums[to] = total[from + m * count + k] as f32;
                        }
                    }
                }
            }
        }
        sums
    }

    /// Adds some planes of a piece to the sums of a block of output channels.
    fn add(
        &self,
        piece: &Piece<'_>,
        (plane, count): (usize, usize),
        (first, channels): (usize, usize),
        shifts_at_once: &[(usize, usize)],
        lane_sums: &mut [f32],
    ) {
        let Piece { task, item, depth, slots, sheet, tile } = piece;
        let [d, h, w] = &self.lattice.axes;
        let [kd, kh, _] = self.kernel;
        let area = h.output * w.output;
        let output = task.group * self.channels[1] / self.groups + task.outputs.0 + first;
        for (input, k) in (0..task.inputs.1).flat_map(|input| (0..kd).map(move |k| (input, k))) {
            let slot = |plane: usize| plane * slots.per_output + slots.tap(d, k);
            let inside = |plane: &usize| slots.voxel(slot(*plane), d.input).is_some();
            let Some(from) = (plane..plane + count).find(inside) else { continue };
            let rows = (from..plane + count).take_while(inside).count();
            let channel = (item * self.channels[1] + output) * d.output + depth.first + from;
            let gradient = &self.gradient[channel * area + sheet.stretch.first * w.output..];
            let x = &tile[(input * slots.count + slot(from)) * sheet.floats..];
            let [gradient_row, x_row, rows] = if sheet.flat {
                [area, slots.per_output * sheet.floats, rows]
            } else {
                [sheet.stretch.step * w.output, sheet.x_row, sheet.runs[0]]
            };
            for (j, &(shift, count)) in (0..kh).flat_map(|j| shifts_at_once.iter().map(move |s| (j, s))) {
                let sums = self.place(*task, (first, channels), input, k * kh + j, shift) * self.isa.lanes();
                let correlation = Correlation {
                    gradient: gradient.as_ptr(),
                    gradient_channel: d.output * area,
                    gradient_row,
                    x: x[sheet.lines[j]..].as_ptr(),
                    x_row,
                    shifts: &sheet.shifts[shift..shift + count],
                    rows,
                    length: sheet.runs[1],
                    sums: lane_sums[sums..].as_mut_ptr(),
                };
                // SAFETY: rows of the gradient's tensor and of the tile, which ends in a spare vector.
                unsafe { self.isa.correlate(channels, &correlation) };
            }
        }
    }

    /// Where sums lie: `[block][input][kd][kh][shifts][output of block][shift]`, so that a kernel's lie together.
    fn place(&self, task: Task, block: (usize, usize), input: usize, line: usize, shift: usize) -> usize {
        let [kd, kh, kw] = self.kernel;
        block.0 * task.inputs.1 * kd * kh * kw + ((input * kd * kh + line) * kw + shift) * block.1
    }

    /// Planes that are taken from one tile: as rows of one run where they are small, else a few, which share copies.
    fn planes_at_once(&self, sheets: &[Sheet], flat: bool) -> usize {
        let [d, h, w] = &self.lattice.axes;
        let most = match sheets {
            [_] if flat => (SUMMED / (h.count * w.count).max(1)).clamp(1, PLANES),
            _ => FEW_PLANES,
        };
        // Where the kernel is dilated, planes share too little.
        let copied = Slots::of(d, Stretch { first: 0, count: most, step: 1 }).count;
        if copied <= most * d.offsets.len() { most } else { 1 }
    }

    /// What the kernel's slices meet of the task's input channels.
    fn copy(&self, task: Task, item: usize, slots: &Slots, sheet: &Sheet, tile: &mut Vec<f32>) {
        let [d, h, w] = &self.lattice.axes;
        let area = h.input * w.input;
        tile.resize(task.inputs.1 * slots.count * sheet.floats + self.isa.lanes(), 0.0);
        for input in 0..task.inputs.1 {
            let channel = item * self.channels[0] + task.group * self.channels[0] / self.groups + task.inputs.0 + input;
            for slot in 0..slots.count {
                if let Some(at) = slots.voxel(slot, d.input) {
                    let slice = &self.x[(channel * d.input + at) * area..][..area];
                    sheet.copy(slice, h, w, &mut tile[(input * slots.count + slot) * sheet.floats..][..sheet.floats]);
                }
            }
        }
    }
}

/// Some planes of gradients, with the input that their kernels meet.
struct Piece<'a> {
    task: Task,
    item: usize,
    depth: Stretch,
    /// The input's planes.
    slots: Slots,
    sheet: &'a Sheet,
    tile: &'a [f32],
}

/// How the rows of one slice lie in the scratch tile, and how the kernel runs over them.
struct Sheet {
    stretch: Stretch,
    slots: Slots,
    /// The rows run into each other, once for each position along a row; else each is padded by itself.
    flat: bool,
    floats: usize,
    /// Where the rows of each line of the kernel begin.
    lines: Vec<usize>,
    /// Where each position along a row begins.
    shifts: Vec<usize>,
    /// Number and length of runs.
    runs: [usize; 2],
    x_row: usize,
}

impl Sheet {
    fn rows(h: &Axis, w: &Axis, stretch: Stretch) -> Self {
        let slots = Slots::of(h, stretch);
        let width = w.count + reach(w) / w.in_step;
        let floats = width * w.in_step;
        let shift = |offset: &isize| {
            let shift = (offset - w.offsets[0]) as usize;
            shift % w.in_step * width + shift / w.in_step
        };
        Self {
            stretch,
            slots,
            flat: false,
            floats: slots.count * floats,
            lines: (0..h.offsets.len()).map(|j| slots.tap(h, j) * floats).collect(),
            shifts: w.offsets.iter().map(shift).collect(),
            runs: [stretch.count, w.count],
            x_row: slots.per_output * floats,
        }
    }

    fn flat(h: &Axis, w: &Axis, stretch: Stretch) -> Self {
        let rows = stretch.count + reach(h) / h.in_step;
        let floats = h.in_step * rows * w.count;
        let line = |offset: &isize| {
            let shift = (offset - h.offsets[0]) as usize;
            (shift % h.in_step * rows + shift / h.in_step) * w.count
        };
        Self {
            stretch,
            slots: Slots::of(h, stretch),
            flat: true,
            floats: w.offsets.len() * floats,
            lines: h.offsets.iter().map(line).collect(),
            shifts: (0..w.offsets.len()).map(|k| k * floats).collect(),
            runs: [1, stretch.count * w.count],
            x_row: 0,
        }
    }

    fn copy(&self, slice: &[f32], h: &Axis, w: &Axis, tile: &mut [f32]) {
        if self.flat {
            let rows = self.stretch.count + reach(h) / h.in_step;
            let first = (self.stretch.first * h.in_step) as isize + h.offsets[0];
            let targets = tile.chunks_exact_mut(w.count);
            let taps = w.offsets.iter().flat_map(|&tap| (0..h.in_step).map(move |phase| (tap, phase)));
            let sources = taps.flat_map(|(tap, phase)| (0..rows).map(move |row| (tap, row * h.in_step + phase)));
            for (target, (tap, row)) in targets.zip(sources) {
                copy_line(slice, first + row as isize, h, w, tap, w.in_step, target);
            }
        } else {
            let width = w.count + reach(w) / w.in_step;
            let targets = tile.chunks_exact_mut(width);
            let sources = (0..self.slots.count).flat_map(|slot| (0..w.in_step).map(move |phase| (slot, phase)));
            for (target, (slot, phase)) in targets.zip(sources) {
                let row = self.slots.voxel(slot, h.input).map_or(-1, |row| row as isize);
                copy_line(slice, row, h, w, w.offsets[0] + phase as isize, w.in_step, target);
            }
        }
    }
}

/// Part of a row of a slice, zeros if there is no such row.
fn copy_line(slice: &[f32], row: isize, h: &Axis, w: &Axis, from: isize, step: usize, target: &mut [f32]) {
    if row < 0 || row as usize >= h.input {
        target.fill(0.0);
    } else {
        copy_row(&slice[row as usize * w.input..][..w.input], from, step, target);
    }
}
