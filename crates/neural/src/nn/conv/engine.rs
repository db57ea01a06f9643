//! Runs a lattice over a whole tensor: tiles of rows, copied once into a padded scratch tile, on all threads.

#![expect(unsafe_code, reason = "tasks write disjoint rows of one tensor through raw pointers")]

use rayon::prelude::*;

use super::kernel::{Run, Start, Tap};
use super::lattice::{Axis, Lattice};
use super::packed::{Block, PackedWeights, even};

/// Floats of a scratch tile: about half of a core's second-level cache of today. Our own trial.
const TILE: usize = 128 << 10;

/// Voxels of a row that are taken at once.
const ROW: usize = 192;

/// Tiles below which the output channels are split among tasks as well; fixed, so results do not depend on the threads.
const FEW_TASKS: usize = 16;

/// A tensor `[N, C, D, H, W]` that lies in one piece.
#[derive(Clone, Copy)]
pub(super) struct Input<'a> {
    pub(super) data: &'a [f32],
    pub(super) batch: usize,
    pub(super) channels: usize,
}

/// Outputs that one thread makes at a time.
#[derive(Clone, Debug)]
struct Task {
    item: usize,
    group: usize,
    /// Range of blocks.
    blocks: (usize, usize),
    /// Outputs `first + i·step`, `i < count`, of depth and height; of width with step 1.
    rows: [Stretch; 3],
}

/// Some outputs of one axis of a lattice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stretch {
    pub(super) first: usize,
    pub(super) count: usize,
    pub(super) step: usize,
}

/// How an axis of a tile lies in the scratch tile.
#[derive(Clone, Copy, Debug)]
pub(super) struct Slots {
    /// Input voxel of slot 0; may lie outside.
    pub(super) base: isize,
    /// Input voxels from slot to slot.
    step: usize,
    pub(super) count: usize,
    /// Slots from one output to the next.
    pub(super) per_output: usize,
}

impl Slots {
    pub(super) fn of(axis: &Axis, stretch: Stretch) -> Self {
        let lowest = axis.offsets.first().copied().unwrap_or(0);
        let highest = axis.offsets.last().copied().unwrap_or(0);
        // With a stride the stretch's step is 1.
        let step = stretch.step;
        let reach = (highest - lowest) as usize / step;
        Self {
            base: (stretch.first * axis.in_step) as isize + lowest,
            step,
            count: (stretch.count.max(1) - 1) * axis.in_step + reach + 1,
            per_output: axis.in_step,
        }
    }

    /// Slot of tap `t` for the first output.
    pub(super) fn tap(&self, axis: &Axis, t: usize) -> usize {
        (axis.offsets[t] - axis.offsets[0]) as usize / self.step
    }

    /// Input voxel of a slot, if there is one.
    pub(super) fn voxel(&self, slot: usize, size: usize) -> Option<usize> {
        let at = self.base + (slot * self.step) as isize;
        (at >= 0 && (at as usize) < size).then_some(at as usize)
    }
}

#[derive(Clone, Copy)]
struct Shared(*mut f32);
// SAFETY: tasks write disjoint outputs; see `tasks`.
unsafe impl Send for Shared {}
// SAFETY: as above.
unsafe impl Sync for Shared {}

impl Shared {
    fn at(self, offset: usize) -> *mut f32 {
        self.0.wrapping_add(offset)
    }
}

/// Adds nothing to what is in `out`: every output of the lattice is overwritten, others are left alone.
///
/// `finish` is called on every finished piece of a row.
pub(super) fn run(
    input: Input<'_>,
    lattice: &Lattice,
    weights: &PackedWeights,
    bias: Option<&[f32]>,
    finish: &(dyn Fn(&mut [f32]) + Sync),
    out: &mut [f32],
) {
    let zeros;
    let bias = match bias {
        Some(bias) => bias,
        None => {
            zeros = vec![0.0; weights.groups * weights.channels[1]];
            &zeros
        }
    };
    let layout = Layout::choose(lattice, weights);
    let tasks = tasks(&input, lattice, weights, &layout);
    let shared = Shared(out.as_mut_ptr());
    tasks.par_iter().with_max_len(1).for_each_init(Scratch::default, |scratch, task| {
        let tile = Tile { input, lattice, weights, bias, finish, flat: layout.flat, task };
        tile.run(scratch, shared);
    });
}

/// How outputs are cut into tiles.
struct Layout {
    /// Depth, height, width of a tile, in outputs.
    tile: [usize; 3],
    /// Runs go over all rows of a tile, since a row is much shorter than a vector.
    flat: bool,
}

impl Layout {
    fn choose(lattice: &Lattice, weights: &PackedWeights) -> Self {
        let [d, h, w] = &lattice.axes;
        let lanes = weights.isa.lanes();
        let channels = weights.chunks.iter().map(|c| c.1).max().unwrap_or(1);
        let flat = w.count * 4 < w.count.div_ceil(lanes) * lanes * 3 && w.out_step == 1 && h.out_step == 1;
        let width = even(w.count, ROW).iter().map(|p| p.1).max().unwrap_or(1);
        if flat {
            let copies = h.offsets.len() * w.offsets.len();
            let rows = (TILE / (channels * copies * w.count).max(1)).max(1);
            let [td, th] = grow([d.clone(), one_tap(h)], rows);
            return Self { tile: [td, th, w.count], flat };
        }
        let reach = (w.offsets.last().unwrap_or(&0) - w.offsets.first().unwrap_or(&0)) as usize;
        let rows = TILE / (channels * (width * w.in_step + reach + lanes)).max(1);
        let [td, th] = grow([d.clone(), h.clone()], rows);
        Self { tile: [td, th, width], flat }
    }
}

fn one_tap(axis: &Axis) -> Axis {
    Axis { offsets: vec![0], kernel: vec![0], in_step: 1, ..axis.clone() }
}

/// The largest tile of rows that needs at most `most` input rows, grown where that saves most copies.
fn grow(axes: [Axis; 2], most: usize) -> [usize; 2] {
    let mut tile = [1, 1];
    let slots =
        |a: usize, n: usize| Slots::of(&axes[a], Stretch { first: 0, count: n, step: axes[a].interleave() }).count;
    let longest = [0, 1].map(|a| axes[a].count.div_ceil(axes[a].interleave()));
    loop {
        let grown = [[tile[0] + 1, tile[1]], [tile[0], tile[1] + 1]];
        let cost = |t: &[usize; 2]| (slots(0, t[0]) * slots(1, t[1])) as f64 / (t[0] * t[1]) as f64;
        let fits = |t: &&[usize; 2]| {
            t[0] <= longest[0] && t[1] <= longest[1] && slots(0, t[0]) * slots(1, t[1]) <= most.max(1)
        };
        match grown.iter().filter(fits).min_by(|a, b| cost(a).total_cmp(&cost(b))) {
            Some(t) => tile = *t,
            None => return tile,
        }
    }
}

/// All tiles; together they hold every output of the lattice once.
fn tasks(input: &Input<'_>, lattice: &Lattice, weights: &PackedWeights, layout: &Layout) -> Vec<Task> {
    let [d, h, w] = &lattice.axes;
    let depth = stretches(d, layout.tile[0], d.interleave());
    let height = stretches(h, layout.tile[1], if layout.flat { 1 } else { h.interleave() });
    let width: Vec<Stretch> = if layout.flat {
        vec![Stretch { first: 0, count: w.count, step: 1 }]
    } else {
        even(w.count, layout.tile[2]).into_iter().map(|(first, count)| Stretch { first, count, step: 1 }).collect()
    };
    let tiles = input.batch * weights.groups * depth.len() * height.len() * width.len();
    let parts = if tiles < FEW_TASKS { FEW_TASKS.div_ceil(tiles.max(1)) } else { 1 };
    let blocks = even(weights.blocks.len(), weights.blocks.len().div_ceil(parts));
    let mut tasks = Vec::with_capacity(tiles * blocks.len());
    for item in 0..input.batch {
        for group in 0..weights.groups {
            for &rd in &depth {
                for &rh in &height {
                    for &rw in &width {
                        let rows = [rd, rh, rw];
                        tasks.extend(blocks.iter().map(|&blocks| Task { item, group, blocks, rows }));
                    }
                }
            }
        }
    }
    tasks
}

pub(super) fn stretches(axis: &Axis, tile: usize, step: usize) -> Vec<Stretch> {
    let mut all = Vec::new();
    for phase in 0..step.min(axis.count) {
        let members = (axis.count - phase).div_ceil(step);
        let parts = even(members, tile);
        all.extend(parts.into_iter().map(|(at, count)| Stretch { first: phase + at * step, count, step }));
    }
    all
}

/// What a thread keeps from task to task.
#[derive(Default)]
struct Scratch {
    tile: Vec<f32>,
    taps: Vec<Tap>,
    /// Outputs that do not lie side by side in the tensor.
    apart: Vec<f32>,
}

struct Tile<'a> {
    input: Input<'a>,
    lattice: &'a Lattice,
    weights: &'a PackedWeights,
    bias: &'a [f32],
    finish: &'a (dyn Fn(&mut [f32]) + Sync),
    flat: bool,
    task: &'a Task,
}

/// A run of outputs: its first voxel in the scratch tile, and in its output channel.
#[derive(Clone, Copy)]
struct Place {
    x: usize,
    out: usize,
    length: usize,
    /// Range in the taps of the tile.
    taps: (usize, usize),
}

impl Tile<'_> {
    fn run(&self, scratch: &mut Scratch, out: Shared) {
        let chunks = &self.weights.chunks;
        let mut places = Vec::new();
        for (at, &chunk) in chunks.iter().enumerate() {
            scratch.taps.clear();
            places.clear();
            let channel = if self.flat {
                self.copy_flat(chunk, &mut scratch.tile);
                self.place_flat(chunk, &mut scratch.taps, &mut places)
            } else {
                self.copy_rows(chunk, &mut scratch.tile);
                self.place_rows(chunk, &mut scratch.taps, &mut places)
            };
            let blocks = &self.weights.blocks[self.task.blocks.0..self.task.blocks.0 + self.task.blocks.1];
            for &block in blocks {
                let step = Step { block, chunk, first: at == 0, last: at + 1 == chunks.len(), channel };
                for place in &places {
                    self.outputs(step, *place, scratch, out);
                }
            }
        }
    }

    /// One run of outputs of one block.
    fn outputs(&self, step: Step, place: Place, scratch: &mut Scratch, out: Shared) {
        let Step { block, chunk, first, last, channel } = step;
        let [d, h, w] = &self.lattice.axes;
        let plane = d.output * h.output * w.output;
        let outputs = self.weights.channels[1];
        let lanes = self.weights.isa.lanes();
        let most = self.weights.isa.max_vectors(block.channels);
        let channel_at = self.task.group * outputs + block.first;
        let base = (self.task.item * self.weights.groups * outputs + channel_at) * plane + place.out;
        let weights = self.weights.of(self.task.group, block, chunk);
        let taps = &scratch.taps[place.taps.0..place.taps.1];
        let apart = w.out_step != 1;
        for (from, vectors) in even(place.length.div_ceil(lanes), most) {
            let from = from * lanes;
            let length = (place.length - from).min(vectors * lanes);
            let (target, out_channel) = if apart {
                scratch.apart.resize(block.channels * vectors * lanes, 0.0);
                (scratch.apart.as_mut_ptr(), vectors * lanes)
            } else {
                (out.at(base + from), plane)
            };
            if apart && !first {
                for m in 0..block.channels {
                    for i in 0..length {
                        // SAFETY: an output of this task.
                        scratch.apart[m * out_channel + i] =
                            unsafe { *out.at(base + m * plane + (from + i) * w.out_step) };
                    }
                }
            }
            let run = Run {
                x: scratch.tile[place.x + from..].as_ptr(),
                x_channel: channel,
                channels: chunk.1,
                taps,
                weights: weights.as_ptr(),
                out: target,
                out_channel,
                length,
                start: if first { Start::Bias(self.bias[channel_at..].as_ptr()) } else { Start::Continue },
            };
            // SAFETY: the tile holds every tap's voxels with lanes to spare, the weights are those of this block and
            // chunk, and no other task writes these outputs.
            unsafe { self.weights.isa.run(block.channels, vectors, &run) };
            if apart {
                for m in 0..block.channels {
                    let row = &mut scratch.apart[m * out_channel..m * out_channel + length];
                    if last {
                        (self.finish)(row);
                    }
                    for (i, &value) in row.iter().enumerate() {
                        // SAFETY: an output of this task.
                        unsafe { *out.at(base + m * plane + (from + i) * w.out_step) = value };
                    }
                }
            } else if last {
                for m in 0..block.channels {
                    // SAFETY: outputs of this task, written just now.
                    (self.finish)(unsafe { std::slice::from_raw_parts_mut(target.wrapping_add(m * plane), length) });
                }
            }
        }
    }

    fn input_channel(&self, channel: usize) -> &[f32] {
        let [d, h, w] = &self.lattice.axes;
        let volume = d.input * h.input * w.input;
        let at = self.task.item * self.input.channels + self.task.group * self.weights.channels[0] + channel;
        &self.input.data[at * volume..(at + 1) * volume]
    }

    /// The rows of a tile, `[channel][depth][height][phase][width]`, zeros where the input ends at the sides.
    fn copy_rows(&self, chunk: (usize, usize), tile: &mut Vec<f32>) {
        let [d, h, w] = &self.lattice.axes;
        let [sd, sh] = self.row_slots();
        let row = self.row();
        let floats = chunk.1 * self.channel_floats();
        // What is left from the task before is overwritten or never read.
        tile.resize(floats + self.slack(), 0.0);
        let base = self.width_slots().base;
        for channel in 0..chunk.1 {
            let input = self.input_channel(chunk.0 + channel);
            for slot_d in 0..sd.count {
                let Some(at_d) = sd.voxel(slot_d, d.input) else { continue };
                for slot_h in 0..sh.count {
                    let Some(at_h) = sh.voxel(slot_h, h.input) else { continue };
                    let source = &input[(at_d * h.input + at_h) * w.input..][..w.input];
                    let to = channel * self.channel_floats() + (slot_d * sh.count + slot_h) * row.phases * row.width;
                    for phase in 0..row.phases {
                        let target = &mut tile[to + phase * row.width..][..row.width];
                        copy_row(source, base + phase as isize, row.phases, target);
                    }
                }
            }
        }
    }

    /// Runs of single rows; returns floats from channel to channel.
    fn place_rows(&self, _chunk: (usize, usize), taps: &mut Vec<Tap>, places: &mut Vec<Place>) -> usize {
        let [d, h, w] = &self.lattice.axes;
        let [rd, rh, rw] = self.task.rows;
        let [sd, sh] = self.row_slots();
        let row = self.row();
        let slot_floats = row.phases * row.width;
        for i in 0..rd.count {
            for j in 0..rh.count {
                let first = taps.len();
                let mut weight = 0;
                for t in 0..d.offsets.len() {
                    let slot_d = i * sd.per_output + sd.tap(d, t);
                    for u in 0..h.offsets.len() {
                        let slot_h = j * sh.per_output + sh.tap(h, u);
                        if sd.voxel(slot_d, d.input).is_some() && sh.voxel(slot_h, h.input).is_some() {
                            for v in 0..w.offsets.len() {
                                let shift = (w.offsets[v] - w.offsets[0]) as usize;
                                let x = (slot_d * sh.count + slot_h) * slot_floats
                                    + shift % row.phases * row.width
                                    + shift / row.phases;
                                taps.push(Tap { x: x as u32, weight: weight + v as u32 });
                            }
                        }
                        weight += w.offsets.len() as u32;
                    }
                }
                let out = self.output_at([rd.first + i * rd.step, rh.first + j * rh.step, rw.first]);
                places.push(Place { x: 0, out, length: rw.count, taps: (first, taps.len()) });
            }
        }
        self.channel_floats()
    }

    /// The rows of a tile once for every tap of height and width, `[channel][depth][tap][height × width]`, so that a run goes
    /// on from row to row.
    fn copy_flat(&self, chunk: (usize, usize), tile: &mut Vec<f32>) {
        let [d, h, w] = &self.lattice.axes;
        let [sd, _] = self.row_slots();
        let [_, rh, rw] = self.task.rows;
        tile.resize(chunk.1 * self.channel_floats() + self.slack(), 0.0);
        let mut to = 0;
        for channel in 0..chunk.1 {
            let input = self.input_channel(chunk.0 + channel);
            to = to.max(channel * self.channel_floats());
            for slot_d in 0..sd.count {
                let Some(at_d) = sd.voxel(slot_d, d.input) else {
                    to += h.offsets.len() * w.offsets.len() * rh.count * rw.count;
                    continue;
                };
                for &offset_h in &h.offsets {
                    for &offset_w in &w.offsets {
                        for i in 0..rh.count {
                            let target = &mut tile[to..to + rw.count];
                            let at_h = ((rh.first + i) * h.in_step) as isize + offset_h;
                            if at_h < 0 || at_h as usize >= h.input {
                                target.fill(0.0);
                            } else {
                                let source = &input[(at_d * h.input + at_h as usize) * w.input..][..w.input];
                                copy_row(source, (rw.first * w.in_step) as isize + offset_w, w.in_step, target);
                            }
                            to += rw.count;
                        }
                    }
                }
            }
        }
    }

    fn place_flat(&self, _chunk: (usize, usize), taps: &mut Vec<Tap>, places: &mut Vec<Place>) -> usize {
        let [d, h, w] = &self.lattice.axes;
        let [rd, rh, rw] = self.task.rows;
        let [sd, _] = self.row_slots();
        let run = rh.count * rw.count;
        let in_plane = h.offsets.len() * w.offsets.len();
        for i in 0..rd.count {
            let first = taps.len();
            for t in 0..d.offsets.len() {
                let slot = i * sd.per_output + sd.tap(d, t);
                if sd.voxel(slot, d.input).is_some() {
                    taps.extend((0..in_plane).map(|tap| Tap {
                        x: ((slot * in_plane + tap) * run) as u32,
                        weight: (t * in_plane + tap) as u32,
                    }));
                }
            }
            let out = self.output_at([rd.first + i * rd.step, rh.first, rw.first]);
            places.push(Place { x: 0, out, length: run, taps: (first, taps.len()) });
        }
        self.channel_floats()
    }

    fn output_at(&self, at: [usize; 3]) -> usize {
        let [d, h, w] = [0, 1, 2].map(|a| self.lattice.axes[a].first + at[a] * self.lattice.axes[a].out_step);
        (d * self.lattice.axes[1].output + h) * self.lattice.axes[2].output + w
    }

    fn row_slots(&self) -> [Slots; 2] {
        [0, 1].map(|a| Slots::of(&self.lattice.axes[a], self.task.rows[a]))
    }

    fn width_slots(&self) -> Slots {
        let w = &self.lattice.axes[2];
        Slots {
            base: (self.task.rows[2].first * w.in_step) as isize + w.offsets.first().copied().unwrap_or(0),
            step: 1,
            count: 0,
            per_output: 1,
        }
    }

    fn row(&self) -> Row {
        let w = &self.lattice.axes[2];
        let reach = (w.offsets.last().unwrap_or(&0) - w.offsets.first().unwrap_or(&0)) as usize;
        Row { phases: w.in_step, width: self.task.rows[2].count + reach / w.in_step }
    }

    /// Floats of one channel of the scratch tile.
    fn channel_floats(&self) -> usize {
        let [sd, sh] = self.row_slots();
        let floats = if self.flat {
            let [_, rh, rw] = self.task.rows;
            let [_, h, w] = &self.lattice.axes;
            sd.count * h.offsets.len() * w.offsets.len() * rh.count * rw.count
        } else {
            let row = self.row();
            sd.count * sh.count * row.phases * row.width
        };
        // Channels a power of two apart would fall into the same lines of the cache.
        if floats % 128 < 16 || floats % 128 > 112 { floats + 24 } else { floats }
    }

    /// A vector may begin at the last float of a run.
    fn slack(&self) -> usize {
        4 * self.weights.isa.lanes()
    }
}

/// The part of a tile's run that belongs together.
#[derive(Clone, Copy)]
struct Step {
    block: Block,
    chunk: (usize, usize),
    first: bool,
    last: bool,
    channel: usize,
}

/// How a row of input lies in the scratch tile: apart by the phases of the stride, so that outputs are neighbours.
#[derive(Clone, Copy)]
struct Row {
    phases: usize,
    width: usize,
}

/// Copies `source[from + i·step]`, zeros outside.
pub(super) fn copy_row(source: &[f32], from: isize, step: usize, target: &mut [f32]) {
    let size = source.len() as isize;
    let step_by = step as isize;
    let inside = |at: isize| at.clamp(0, target.len() as isize) as usize;
    // The first index at or after 0, and the first at or after the end.
    let start = inside((-from).max(0).div_euclid(step_by) + isize::from((-from).max(0) % step_by != 0));
    let end = inside((size - from).max(0).div_euclid(step_by) + isize::from((size - from).max(0) % step_by != 0));
    let end = end.max(start);
    target[..start].fill(0.0);
    target[end..].fill(0.0);
    if start < end {
        let first = (from + start as isize * step_by) as usize;
        if step == 1 {
            target[start..end].copy_from_slice(&source[first..first + end - start]);
        } else {
            for (value, x) in target[start..end].iter_mut().zip(source[first..].iter().step_by(step)) {
                *value = *x;
            }
        }
    }
}
