//! The gradient of a convolution's weights: the input correlated with the gradient of the output.

#![expect(unsafe_code, reason = "calls the SIMD kernels")]

use candle_core::{CpuStorage, CustomOp2, Layout, Result, Shape, bail};
use rayon::prelude::*;

use super::engine::{Slots, Stretch, copy_row, stretches};
use super::kernel::{Correlation, Isa, MAX_SHIFTS};
use super::lattice::Lattice;
use super::packed::even;
use super::{Conv3dOptions, floats};

/// Input channels of a task: gradients are read once for all of them.
const INPUTS: usize = 4;

/// Rows of gradients that are summed at once, so that they stay in the first level of the cache.
const ROWS: usize = 8;

/// Planes after which sums of `f32` are put away into `f64`.
const PLANES: usize = 16;

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
        let [group_inputs, group_outputs] = self.channels.map(|c| c / self.groups);
        let reach = (w.offsets[kw - 1] - w.offsets[0]) as usize;
        let row = w.count + reach / w.in_step;
        let shifts: Vec<usize> = (0..kw)
            .map(|k| {
                let shift = (w.offsets[k] - w.offsets[0]) as usize;
                shift % w.in_step * row + shift / w.in_step
            })
            .collect();
        let blocks = even(task.outputs.1, self.isa.max_correlated());
        let groups_of_shifts = even(kw, MAX_SHIFTS);
        let mut lane_sums = vec![0.0; task.outputs.1 * task.inputs.1 * positions * lanes];
        let mut total = vec![0.0_f64; task.outputs.1 * task.inputs.1 * positions];
        let mut tile = Vec::new();
        for item in 0..self.batch {
            for plane in 0..d.count {
                let depth = Slots::of(d, Stretch { first: plane, count: 1, step: 1 });
                for stretch in stretches(h, ROWS, h.interleave()) {
                    let slots = Slots::of(h, stretch);
                    let slot_floats = row * w.in_step;
                    tile.resize(task.inputs.1 * kd * slots.count * slot_floats + lanes, 0.0);
                    for input in 0..task.inputs.1 {
                        let channel = item * self.channels[0] + task.group * group_inputs + task.inputs.0 + input;
                        let volume = d.input * h.input * w.input;
                        let source = &self.x[channel * volume..][..volume];
                        for k in 0..kd {
                            let Some(at_d) = depth.voxel(depth.tap(d, k), d.input) else { continue };
                            for slot in 0..slots.count {
                                let to = ((input * kd + k) * slots.count + slot) * slot_floats;
                                match slots.voxel(slot, h.input) {
                                    None => tile[to..to + slot_floats].fill(0.0),
                                    Some(at_h) => {
                                        let line = &source[(at_d * h.input + at_h) * w.input..][..w.input];
                                        for phase in 0..w.in_step {
                                            let target = &mut tile[to + phase * row..][..row];
                                            copy_row(line, w.offsets[0] + phase as isize, w.in_step, target);
                                        }
                                    }
                                }
                            }
                        }
                    }
                    for &(first, count) in &blocks {
                        let output = task.group * group_outputs + task.outputs.0 + first;
                        let area = h.output * w.output;
                        let at =
                            ((item * self.channels[1] + output) * d.output + plane) * area + stretch.first * w.output;
                        for input in 0..task.inputs.1 {
                            for k in 0..kd {
                                if depth.voxel(depth.tap(d, k), d.input).is_none() {
                                    continue;
                                }
                                for j in 0..kh {
                                    let x = ((input * kd + k) * slots.count + slots.tap(h, j)) * slot_floats;
                                    for &(s, n) in &groups_of_shifts {
                                        // `[block][input][kd][kh][shifts][output of block][shift]`
                                        let sums = first * task.inputs.1 * positions
                                            + ((input * kd + k) * kh + j) * kw * count
                                            + s * count;
                                        let correlation = Correlation {
                                            gradient: self.gradient[at..].as_ptr(),
                                            gradient_channel: d.output * area,
                                            gradient_row: stretch.step * w.output,
                                            x: tile[x..].as_ptr(),
                                            x_row: slots.per_output * slot_floats,
                                            shifts: &shifts[s..s + n],
                                            rows: stretch.count,
                                            length: w.count,
                                            sums: lane_sums[sums * lanes..].as_mut_ptr(),
                                        };
                                        // SAFETY: rows of the gradient's tensor and of the tile, which ends in a spare vector.
                                        unsafe { self.isa.correlate(count, &correlation) };
                                    }
                                }
                            }
                        }
                    }
                }
                if plane % PLANES == PLANES - 1 || plane + 1 == d.count {
                    for (total, lanes) in total.iter_mut().zip(lane_sums.chunks_exact_mut(lanes)) {
                        *total += lanes.iter().map(|&x| f64::from(x)).sum::<f64>();
                        lanes.fill(0.0);
                    }
                }
            }
        }
        let mut sums = vec![0.0; total.len()];
        for &(first, count) in &blocks {
            for input in 0..task.inputs.1 {
                for line in 0..kd * kh {
                    for &(s, n) in &groups_of_shifts {
                        let base =
                            first * task.inputs.1 * positions + (input * kd * kh + line) * kw * count + s * count;
                        for m in 0..count {
                            for k in 0..n {
                                let to = ((first + m) * task.inputs.1 + input) * positions + line * kw + s + k;
                                sums[to] = total[base + m * n + k] as f32;
                            }
                        }
                    }
                }
            }
        }
        sums
    }
}
