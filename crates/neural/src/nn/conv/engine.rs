//! Runs a lattice over a whole tensor: tiles of rows, copied once into a padded scratch tile, on all threads.

#![expect(unsafe_code, reason = "tasks write disjoint rows of one tensor through raw pointers")]

use rayon::prelude::*;

use super::super::Activation;
use super::kernel::{Run, Start, Tap};
use super::lattice::{Axis, Lattice};
use super::packed::{Block, PackedWeights, even};

/// Floats of a scratch tile: about half of a core's second-level cache of today. Our own trial.
const TILE: usize = 128 << 10;

/// Voxels of a row that are taken at once.
const ROW: usize = 192;

/// Tiles below which the output channels are spread over the threads as well.
const FEW_TILES: usize = 16;

/// Floats that copies of few tiles may take together.
const MAX_SHARED: usize = 12 << 20;

/// A tensor `[N, C, D, H, W]` that lies in one piece.
#[derive(Clone, Copy)]
pub(super) struct Input<'a> {
    pub(super) data: &'a [f32],
    pub(super) batch: usize,
    pub(super) channels: usize,
}

/// Outputs that are made from one scratch tile.
#[derive(Clone, Copy, Debug)]
struct Rows {
    item: usize,
    group: usize,
    /// Depth, height, width.
    axes: [Stretch; 3],
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
/// Every finished piece of a row goes through the activation while it is in the cache.
pub(super) fn run(
    input: Input<'_>,
    lattice: &Lattice,
    weights: &PackedWeights,
    bias: Option<&[f32]>,
    activation: Activation,
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
    let tiles = tiles(&input, lattice, weights, &layout);
    let shared = Shared(out.as_mut_ptr());
    let work = |rows: &Rows| Tile::new(input, lattice, weights, bias, activation, layout.flat, *rows);
    let blocks = weights.blocks.len();
    let packed = tiles.iter().map(|rows| work(rows).floats()).sum::<usize>() * weights.chunks.len();
    if tiles.len() >= FEW_TILES || blocks == 1 || packed > MAX_SHARED {
        tiles.par_iter().with_max_len(1).for_each_init(Scratch::default, |scratch, rows| {
            let tile = work(rows);
            for (at, &chunk) in weights.chunks.iter().enumerate() {
                tile.copy(chunk, &mut scratch.tile);
                tile.blocks(at, (0, blocks), &scratch.tile, &mut scratch.rest, shared);
            }
        });
        return;
    }
    // Few tiles and many channels: every tile is copied once, and its blocks are spread over the threads.
    let chunks = weights.chunks.len();
    let copies: Vec<Vec<f32>> = (0..tiles.len() * chunks)
        .into_par_iter()
        .with_max_len(1)
        .map(|at| {
            let mut copy = Vec::new();
            work(&tiles[at / chunks]).copy(weights.chunks[at % chunks], &mut copy);
            copy
        })
        .collect();
    let parts = even(blocks, blocks.div_ceil(FEW_TILES.div_ceil(tiles.len().max(1))));
    let tasks: Vec<_> = (0..tiles.len()).flat_map(|t| parts.iter().map(move |&part| (t, part))).collect();
    tasks.par_iter().with_max_len(1).for_each_init(Rest::default, |rest, &(at, part)| {
        let tile = work(&tiles[at]);
        for chunk in 0..chunks {
            tile.blocks(chunk, part, &copies[at * chunks + chunk], rest, shared);
        }
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
        let vectors = w.count.div_ceil(lanes);
        // Rows of one vector, or with many idle lanes.
        let flat = (vectors == 1 || w.count * 4 < vectors * lanes * 3) && w.out_step == 1 && h.out_step == 1;
        let (row, height) = if flat {
            (w.count * w.offsets.len(), Axis { offsets: (0..=reach(h) as isize).collect(), ..h.clone() })
        } else {
            (even(w.count, ROW).first().map_or(1, |p| p.1) * w.in_step + reach(w) + lanes, h.clone())
        };
        let [td, th] = grow([d.clone(), height], TILE / (channels * row).max(1));
        Self { tile: [td, th, if flat { w.count } else { ROW }], flat }
    }
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
fn tiles(input: &Input<'_>, lattice: &Lattice, weights: &PackedWeights, layout: &Layout) -> Vec<Rows> {
    let [d, h, w] = &lattice.axes;
    let depth = stretches(d, layout.tile[0], d.interleave());
    let height = stretches(h, layout.tile[1], if layout.flat { 1 } else { h.interleave() });
    let width = stretches(w, layout.tile[2], 1);
    let mut tiles = Vec::with_capacity(input.batch * weights.groups * depth.len() * height.len() * width.len());
    for item in 0..input.batch {
        for group in 0..weights.groups {
            for &d in &depth {
                for &h in &height {
                    tiles.extend(width.iter().map(|&w| Rows { item, group, axes: [d, h, w] }));
                }
            }
        }
    }
    tiles
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
    rest: Rest,
}

#[derive(Default)]
struct Rest {
    taps: Vec<Tap>,
    places: Vec<Place>,
    /// Outputs that do not lie side by side in the tensor.
    apart: Vec<f32>,
}

struct Tile<'a> {
    input: Input<'a>,
    lattice: &'a Lattice,
    weights: &'a PackedWeights,
    bias: &'a [f32],
    activation: Activation,
    flat: bool,
    rows: Rows,
    /// Floats of one channel of the scratch tile.
    channel: usize,
}

/// A run of outputs: where it begins in its output channel; in the scratch tile its taps say so.
#[derive(Clone, Copy)]
struct Place {
    out: usize,
    length: usize,
    /// Range in the taps of the tile.
    taps: (usize, usize),
}

impl<'a> Tile<'a> {
    fn new(
        input: Input<'a>,
        lattice: &'a Lattice,
        weights: &'a PackedWeights,
        bias: &'a [f32],
        activation: Activation,
        flat: bool,
        rows: Rows,
    ) -> Self {
        let mut tile = Self { input, lattice, weights, bias, activation, flat, rows, channel: 0 };
        tile.channel = tile.channel_floats();
        tile
    }

    /// Copies what the tile needs of one chunk of input channels.
    fn copy(&self, chunk: (usize, usize), tile: &mut Vec<f32>) {
        // What is left from another tile is overwritten or never read.
        tile.resize(chunk.1 * self.channel + self.slack(), 0.0);
        if self.flat {
            self.copy_flat(chunk, tile);
        } else {
            self.copy_rows(chunk, tile);
        }
    }

    /// Adds one chunk to the outputs of a range of blocks.
    fn blocks(&self, chunk: usize, blocks: (usize, usize), tile: &[f32], rest: &mut Rest, out: Shared) {
        rest.taps.clear();
        rest.places.clear();
        if self.flat {
            self.place_flat(&mut rest.taps, &mut rest.places);
        } else {
            self.place_rows(&mut rest.taps, &mut rest.places);
        }
        let last = chunk + 1 == self.weights.chunks.len();
        for &block in &self.weights.blocks[blocks.0..blocks.0 + blocks.1] {
            let step = Step { block, chunk: self.weights.chunks[chunk], first: chunk == 0, last };
            for at in 0..rest.places.len() {
                self.outputs(step, rest.places[at], tile, rest, out);
            }
        }
    }

    /// One run of outputs of one block.
    fn outputs(&self, step: Step, place: Place, tile: &[f32], scratch: &mut Rest, out: Shared) {
        let Step { block, chunk, first, last } = step;
        let [d, h, w] = &self.lattice.axes;
        let plane = d.output * h.output * w.output;
        let outputs = self.weights.channels[1];
        let lanes = self.weights.isa.lanes();
        let most = self.weights.isa.max_vectors(block.channels);
        let channel_at = self.rows.group * outputs + block.first;
        let base = (self.rows.item * self.weights.groups * outputs + channel_at) * plane + place.out;
        let weights = self.weights.of(self.rows.group, block, chunk);
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
                x: tile[from..].as_ptr(),
                x_channel: self.channel,
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
                        self.activation.apply(row);
                    }
                    for (i, &value) in row.iter().enumerate() {
                        // SAFETY: an output of this task.
                        unsafe { *out.at(base + m * plane + (from + i) * w.out_step) = value };
                    }
                }
            } else if last && self.activation != Activation::Identity {
                for m in 0..block.channels {
                    // SAFETY: outputs of this task, written just now.
                    self.activation
                        .apply(unsafe { std::slice::from_raw_parts_mut(target.wrapping_add(m * plane), length) });
                }
            }
        }
    }

    fn input_channel(&self, channel: usize) -> &[f32] {
        let [d, h, w] = &self.lattice.axes;
        let volume = d.input * h.input * w.input;
        let at = self.rows.item * self.input.channels + self.rows.group * self.weights.channels[0] + channel;
        &self.input.data[at * volume..(at + 1) * volume]
    }

    /// The rows of a tile, `[channel][depth][height][phase][width]`, zeros where the input ends at the sides.
    fn copy_rows(&self, chunk: (usize, usize), tile: &mut [f32]) {
        let [d, h, w] = &self.lattice.axes;
        let [sd, sh] = self.row_slots();
        let row = self.row();
        let base = self.first_column();
        for channel in 0..chunk.1 {
            let input = self.input_channel(chunk.0 + channel);
            for slot_d in 0..sd.count {
                let Some(at_d) = sd.voxel(slot_d, d.input) else { continue };
                for slot_h in 0..sh.count {
                    let Some(at_h) = sh.voxel(slot_h, h.input) else { continue };
                    let source = &input[(at_d * h.input + at_h) * w.input..][..w.input];
                    let to = channel * self.channel + (slot_d * sh.count + slot_h) * row.phases * row.width;
                    for phase in 0..row.phases {
                        let target = &mut tile[to + phase * row.width..][..row.width];
                        copy_row(source, base + phase as isize, row.phases, target);
                    }
                }
            }
        }
    }

    /// Runs of single rows.
    fn place_rows(&self, taps: &mut Vec<Tap>, places: &mut Vec<Place>) {
        let [d, h, w] = &self.lattice.axes;
        let [rd, rh, rw] = self.rows.axes;
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
                places.push(Place { out, length: rw.count, taps: (first, taps.len()) });
            }
        }
    }

    /// The rows of a tile once for every tap of width, `[channel][depth][tap][phase][height × width]`, so that a run goes on
    /// from row to row.
    fn copy_flat(&self, chunk: (usize, usize), tile: &mut [f32]) {
        let [d, h, w] = &self.lattice.axes;
        let [sd, _] = self.row_slots();
        let [_, rh, rw] = self.rows.axes;
        let [phases, rows] = self.flat_rows();
        let base_h = (rh.first * h.in_step) as isize + h.offsets.first().copied().unwrap_or(0);
        for channel in 0..chunk.1 {
            let input = self.input_channel(chunk.0 + channel);
            for slot_d in 0..sd.count {
                let Some(at_d) = sd.voxel(slot_d, d.input) else { continue };
                let mut to = channel * self.channel + slot_d * w.offsets.len() * phases * rows * rw.count;
                for &offset_w in &w.offsets {
                    let from = (rw.first * w.in_step) as isize + offset_w;
                    for phase in 0..phases {
                        for row in 0..rows {
                            let target = &mut tile[to..to + rw.count];
                            let at_h = base_h + (row * phases + phase) as isize;
                            if at_h < 0 || at_h as usize >= h.input {
                                target.fill(0.0);
                            } else {
                                let source = &input[(at_d * h.input + at_h as usize) * w.input..][..w.input];
                                copy_row(source, from, w.in_step, target);
                            }
                            to += rw.count;
                        }
                    }
                }
            }
        }
    }

    /// Runs over all rows of a plane.
    fn place_flat(&self, taps: &mut Vec<Tap>, places: &mut Vec<Place>) {
        let [d, h, w] = &self.lattice.axes;
        let [rd, rh, rw] = self.rows.axes;
        let [sd, _] = self.row_slots();
        let [phases, rows] = self.flat_rows();
        for i in 0..rd.count {
            let first = taps.len();
            let mut weight = 0;
            for t in 0..d.offsets.len() {
                let slot = i * sd.per_output + sd.tap(d, t);
                let inside = sd.voxel(slot, d.input).is_some();
                for u in 0..h.offsets.len() {
                    let shift = (h.offsets[u] - h.offsets[0]) as usize;
                    for v in 0..w.offsets.len() {
                        let row = ((slot * w.offsets.len() + v) * phases + shift % phases) * rows + shift / phases;
                        if inside {
                            taps.push(Tap { x: (row * rw.count) as u32, weight });
                        }
                        weight += 1;
                    }
                }
            }
            let out = self.output_at([rd.first + i * rd.step, rh.first, rw.first]);
            places.push(Place { out, length: rh.count * rw.count, taps: (first, taps.len()) });
        }
    }

    /// Phases of the height's stride, and rows of each.
    fn flat_rows(&self) -> [usize; 2] {
        let h = &self.lattice.axes[1];
        [h.in_step, self.rows.axes[1].count + reach(h) / h.in_step]
    }

    fn output_at(&self, at: [usize; 3]) -> usize {
        let [d, h, w] = [0, 1, 2].map(|a| self.lattice.axes[a].first + at[a] * self.lattice.axes[a].out_step);
        (d * self.lattice.axes[1].output + h) * self.lattice.axes[2].output + w
    }

    fn row_slots(&self) -> [Slots; 2] {
        [0, 1].map(|a| Slots::of(&self.lattice.axes[a], self.rows.axes[a]))
    }

    /// Column of the input at which rows of the tile begin; may lie outside.
    fn first_column(&self) -> isize {
        let w = &self.lattice.axes[2];
        (self.rows.axes[2].first * w.in_step) as isize + w.offsets.first().copied().unwrap_or(0)
    }

    fn row(&self) -> Row {
        let w = &self.lattice.axes[2];
        Row { phases: w.in_step, width: self.rows.axes[2].count + reach(w) / w.in_step }
    }

    /// Floats of the whole scratch tile, for the largest chunk.
    fn floats(&self) -> usize {
        let channels = self.weights.chunks.iter().map(|c| c.1).max().unwrap_or(0);
        channels * self.channel + self.slack()
    }

    /// Floats of one channel of the scratch tile.
    fn channel_floats(&self) -> usize {
        let [sd, sh] = self.row_slots();
        let floats = if self.flat {
            let [phases, rows] = self.flat_rows();
            sd.count * self.lattice.axes[2].offsets.len() * phases * rows * self.rows.axes[2].count
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
}

/// How a row of input lies in the scratch tile: apart by the phases of the stride, so that outputs are neighbours.
#[derive(Clone, Copy)]
struct Row {
    phases: usize,
    width: usize,
}

/// Voxels from the first tap of an axis to the last.
pub(super) fn reach(axis: &Axis) -> usize {
    match (axis.offsets.first(), axis.offsets.last()) {
        (Some(first), Some(last)) => (last - first) as usize,
        _ => 0,
    }
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
