//! Second sweep: vertices, their links, and quads, slab by slab.

use bytemuck::Zeroable;
use glam::{Vec3A, Vec4};
use rayon::prelude::*;

use super::cell::CASES;
use super::knots::{Between, Knot};
use super::masks::Masks;
use super::twins::Twins;
use super::{LabelVoxel, Quad};
use crate::error::SurfaceError;

/// A place for each vertex, and once more, in memory that can become triangles.
pub(super) type Places = Twins<u32, Vec4>;

/// What a sweep yields; cells that are not plain are put right by [`super::knots`].
pub(super) struct Sweep {
    /// Where the boundary lies on average in each vertex' cell, from the middle of the grid, and as much memory to spare; empty if
    /// nothing is to be smoothed.
    pub(super) places: Places,
    pub(super) cells: Vec<[u16; 3]>,
    /// The neighbours across −y, +y, −z and +z, or the vertex itself where there is none to follow; those along x are the vertices
    /// before and after. Of an [`ADDED`] vertex the first number says where in `far_links` all its neighbours stand.
    pub(super) links: Vec<[u32; 4]>,
    /// The neighbour across each face, or the vertex itself.
    pub(super) far_links: Vec<[u32; 6]>,
    /// Whose they are.
    pub(super) far: Vec<u32>,
    /// Faces with a neighbour, one bit each; [`SEAM`]; [`ADDED`].
    pub(super) kinds: Vec<u8>,
    pub(super) quads: Vec<Quad>,
    /// The lower and the higher label each quad separates.
    pub(super) sides: Vec<[u16; 2]>,
    /// Cells that are not plain, in order.
    pub(super) knots: Vec<Knot>,
    /// Vertices that stand on an edge of the net.
    pub(super) between: Vec<Between>,
}

impl Sweep {
    /// Adds a vertex without neighbours in a cell.
    pub(super) fn push_lone(&mut self, cell: [u16; 3], place: Vec3A, smooth: bool) {
        let vertex = self.cells.len() as u32;
        self.cells.push(cell);
        if smooth {
            self.places.push(place.extend(0.0));
            self.links.push([vertex; 4]);
            self.kinds.push(0);
            self.link(vertex, [vertex; 6], ADDED);
        }
    }

    /// The neighbour of a vertex across each face, or the vertex itself.
    pub(super) fn links_of(&self, vertex: u32) -> [u32; 6] {
        let (links, kind) = (self.links[vertex as usize], self.kinds[vertex as usize]);
        if kind & ADDED != 0 {
            return self.far_links[links[0] as usize];
        }
        let [low, high] = [kind & 1, kind >> 1 & 1].map(u32::from);
        [vertex - low, vertex + high, links[0], links[1], links[2], links[3]]
    }

    /// Gives a vertex its neighbours.
    pub(super) fn link(&mut self, vertex: u32, links: [u32; 6], kind: u8) {
        let v = vertex as usize;
        let [_, _, across @ ..] = links;
        match (self.kinds[v] & ADDED != 0, kind & ADDED != 0) {
            (true, _) => self.far_links[self.links[v][0] as usize] = links,
            (false, false) => self.links[v] = across,
            (false, true) => {
                self.links[v][0] = self.far_links.len() as u32;
                self.far_links.push(links);
                self.far.push(vertex);
            }
        }
        self.kinds[v] = self.kinds[v] & ADDED | kind;
    }
}

/// The bits of a kind that tell faces with a neighbour.
pub(super) const FACES: u8 = 0b11_1111;

/// Marks a vertex where three or more labels meet; its links follow the junction.
pub(super) const SEAM: u8 = 1 << 6;

/// Marks a vertex that knots added, or a neighbour of one, whose links are kept apart.
pub(super) const ADDED: u8 = 1 << 7;

/// Layers of cells that one task handles; results do not depend on it.
pub(super) const SLAB: usize = 12;

/// One slab's share of the output.
struct Slab<'a> {
    layers: std::ops::Range<usize>,
    first_quad: usize,
    places: &'a mut [Vec4],
    cells: &'a mut [[u16; 3]],
    links: &'a mut [[u32; 4]],
    kinds: &'a mut [u8],
    quads: &'a mut [Quad],
    sides: &'a mut [[u16; 2]],
}

/// So many, and what knots may add; in threes, so that it can become room for triples.
pub(super) fn with_added(count: usize) -> usize {
    (count + count / 8 + 64).next_multiple_of(3)
}

/// So many zeros that no one has to write, and room for what knots add.
fn roomy<T: Zeroable>(count: usize) -> Vec<T> {
    let mut made = bytemuck::zeroed_vec(with_added(count));
    made.truncate(count);
    made
}

/// Numbers and links all vertices and lays the quads; without `smooth` vertices stay in the middle of their cells, without links.
pub(super) fn sweep<T: LabelVoxel>(data: &[T], masks: &Masks, smooth: bool) -> Result<Sweep, SurfaceError> {
    let [_, nj, nk] = masks.size;
    let (nv, nq) = (masks.vertex_count(), masks.quad_count());
    let limit = u32::MAX as usize / 2;
    if nv.max(nq) > limit {
        return Err(SurfaceError::TooManyVertices { limit, vertices: nv.max(nq) });
    }
    let linked = if smooth { nv } else { 0 };
    let mut out = Sweep {
        places: if smooth { Twins::zeroed(nv, with_added(nv)) } else { Twins::default() },
        cells: roomy(nv),
        links: roomy(linked),
        far_links: Vec::new(),
        far: Vec::new(),
        kinds: roomy(linked),
        quads: roomy(nq),
        sides: roomy(nq),
        knots: Vec::new(),
        between: Vec::new(),
    };
    let mut slabs = Vec::new();
    {
        let ([mut places, _], mut cells) = (out.places.both_mut(), &mut out.cells[..]);
        let (mut links, mut kinds) = (&mut out.links[..], &mut out.kinds[..]);
        let (mut quads, mut sides) = (&mut out.quads[..], &mut out.sides[..]);
        for start in (0..=nk).step_by(SLAB) {
            let layers = start..(start + SLAB).min(nk + 1);
            let rows = layers.start * (nj + 1)..layers.end * (nj + 1);
            let v = masks.first_vertex[rows.end] - masks.first_vertex[rows.start];
            let q = masks.first_quad[rows.end] - masks.first_quad[rows.start];
            let l = if smooth { v } else { 0 };
            slabs.push(Slab {
                layers,
                first_quad: masks.first_quad[rows.start],
                places: places.split_off_mut(..l).unwrap_or_default(),
                cells: cells.split_off_mut(..v).unwrap_or_default(),
                links: links.split_off_mut(..l).unwrap_or_default(),
                kinds: kinds.split_off_mut(..l).unwrap_or_default(),
                quads: quads.split_off_mut(..q).unwrap_or_default(),
                sides: sides.split_off_mut(..q).unwrap_or_default(),
            });
        }
    }
    let knots: Vec<Vec<Knot>> = slabs.into_par_iter().map(|slab| sweep_slab(data, masks, smooth, slab)).collect();
    out.knots = knots.into_iter().flatten().collect();
    Ok(out)
}

/// Vertex numbers of one layer of cells, with a row more on either side, so that each cell has neighbours; of any value where there is
/// no vertex.
type Numbers = Vec<u32>;

/// The numbers of a row of cells; row 0 stands before the first.
fn row(numbers: &Numbers, width: usize, row: usize) -> &[u32] {
    &numbers[row * width..][..width]
}

fn sweep_slab<T: LabelVoxel>(data: &[T], masks: &Masks, smooth: bool, mut slab: Slab) -> Vec<Knot> {
    let [ni, nj, nk] = masks.size;
    let width = ni + 1;
    // Of the layers before, at and after the current one.
    let mut numbers: [Numbers; 3] = [const { Vec::new() }; 3];
    numbers.fill(vec![0; width * (nj + 3)]);
    let fill = |numbers: &mut Numbers, layer: usize| {
        for cy in 0..=nj {
            let mut number = masks.first_vertex[cy + (nj + 1) * layer] as u32;
            let row = &mut numbers[(cy + 1) * width..][..width];
            for_each_bit(masks.cells(cy, layer), |cx| {
                row[cx] = number;
                number += 1;
            });
        }
    };
    if slab.layers.start > 0 && smooth {
        fill(&mut numbers[0], slab.layers.start - 1);
    }
    fill(&mut numbers[1], slab.layers.start);
    let base = masks.first_vertex[slab.layers.start * (nj + 1)];
    let outside = vec![T::default(); ni];
    let mut knots = Vec::new();
    for cz in slab.layers.clone() {
        if cz < nk {
            fill(&mut numbers[2], cz + 1);
        }
        for cy in 0..=nj {
            vertices_of_row(data, masks, smooth, &mut slab, base, &numbers, [cy, cz], &mut knots);
            quads_of_row(data, &outside, masks, &mut slab, &numbers, [cy, cz]);
        }
        numbers.rotate_left(1);
    }
    knots
}

/// All bits or none for each of the faces −y, +y, −z and +z, by their bits.
const LINKED: [[u32; 4]; 16] = {
    let mut masks = [[0; 4]; 16];
    let mut n = 0;
    while n < 64 {
        masks[n / 4][n % 4] = if (n / 4) >> (n % 4) & 1 == 1 { u32::MAX } else { 0 };
        n += 1;
    }
    masks
};

fn vertices_of_row<T: LabelVoxel>(
    data: &[T],
    masks: &Masks,
    smooth: bool,
    slab: &mut Slab,
    base: usize,
    [below, here, above]: &[Numbers; 3],
    [cy, cz]: [usize; 2],
    knots: &mut Vec<Knot>,
) {
    let width = masks.size[0] + 1;
    let vertices =
        masks.first_vertex[cy + (masks.size[1] + 1) * cz]..masks.first_vertex[cy + (masks.size[1] + 1) * cz + 1];
    let (mut number, own) = (vertices.start as u32, vertices.start - base..vertices.end - base);
    let linked = if smooth { own.clone() } else { 0..0 };
    let mut cells = slab.cells[own].iter_mut();
    let mut links = slab.links[linked.clone()].iter_mut();
    let mut rest = slab.kinds[linked.clone()].iter_mut().zip(&mut slab.places[linked]);
    let (before, after) = (row(here, width, cy), row(here, width, cy + 2));
    let (below, above) = (row(below, width, cy + 1), row(above, width, cy + 1));
    let (cases, around) = (&CASES[..], masks.around(cy, cz));
    let first_knot = knots.len();
    let start = masks.middle([0, cy as u16, cz as u16]).extend(0.0);
    for (w, &word) in masks.cells(cy, cz).iter().enumerate() {
        if word == 0 {
            continue;
        }
        let edges = around.edges(w);
        let mut bits = word;
        while bits != 0 {
            let bit = bits.trailing_zeros() as usize;
            bits &= bits - 1;
            let edges = edges.of_cell(bit);
            let case = &cases[edges & 4095];
            let cx = w * 64 + bit;
            if !case.plain {
                knots.push(Knot::find(data, masks.size, edges, number, [cx, cy, cz]));
            }
            if let Some(cell) = cells.next() {
                *cell = [cx as u16, cy as u16, cz as u16];
            }
            if let (Some(link), Some((kind, place))) = (links.next(), rest.next()) {
                let around = [before[cx], after[cx], below[cx], above[cx]];
                let mask = &LINKED[usize::from(case.links >> 2 & 15)];
                *link = [0, 1, 2, 3].map(|n| number ^ ((around[n] ^ number) & mask[n]));
                *kind = case.links;
                let [x, y, z] = case.middle;
                *place = start + Vec4::new(cx as f32, 0.0, 0.0, 0.0) + Vec4::new(x, y, z, 0.0);
            }
            number += 1;
        }
    }
    for knot in &knots[first_knot..] {
        if let Some(place) = slab.places.get_mut(knot.vertex as usize - base) {
            *place = knot.place(masks, 0).extend(0.0);
        }
    }
}

fn quads_of_row<T: LabelVoxel>(
    data: &[T],
    outside: &[T],
    masks: &Masks,
    slab: &mut Slab,
    [_, here, above]: &[Numbers; 3],
    [j, k]: [usize; 2],
) {
    let [ni, nj, nk] = masks.size;
    let width = ni + 1;
    // Index −1 wraps to a row outside the grid.
    let labels = |j: usize, k: usize| if j < nj && k < nk { &data[ni * (j + nj * k)..][..ni] } else { outside };
    let quads =
        masks.first_quad[j + (nj + 1) * k] - slab.first_quad..masks.first_quad[j + (nj + 1) * k + 1] - slab.first_quad;
    let mut out = slab.quads[quads.clone()].iter_mut().zip(&mut slab.sides[quads]);
    let mut lay = |low: T, high: T, [a, b, c, d]: [u32; 4]| {
        let Some((quad, sides)) = out.next() else { return };
        // Corners run counterclockwise seen from the higher voxel; the lower label must see them so.
        let turn = if high < low { 0 } else { b ^ d };
        *quad = [a, b ^ turn, c, d ^ turn];
        *sides = [low.min(high).into(), low.max(high).into()];
    };
    let own = labels(j, k);
    let (here, here_next) = (row(here, width, j + 1), row(here, width, j + 2));
    let (above, above_next) = (row(above, width, j + 1), row(above, width, j + 2));
    for_each_bit(masks.x(j, k), |c| {
        let label = |i: usize| own.get(i).copied().unwrap_or_default();
        lay(label(c.wrapping_sub(1)), label(c), [here[c], here_next[c], above_next[c], above[c]]);
    });
    let before = labels(j.wrapping_sub(1), k);
    for_each_bit(masks.y(j, k), |i| {
        lay(before[i], own[i], [here[i], above[i], above[i + 1], here[i + 1]]);
    });
    let below = labels(j, k.wrapping_sub(1));
    for_each_bit(masks.z(j, k), |i| {
        lay(below[i], own[i], [here[i], here[i + 1], here_next[i + 1], here_next[i]]);
    });
}

fn for_each_bit(row: &[u64], mut f: impl FnMut(usize)) {
    for (w, &word) in row.iter().enumerate() {
        let mut rest = word;
        while rest != 0 {
            f(w * 64 + rest.trailing_zeros() as usize);
            rest &= rest - 1;
        }
    }
}
