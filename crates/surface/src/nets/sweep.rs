//! Second sweep: vertices, their links, and quads, slab by slab.

use bytemuck::Zeroable;
use glam::Vec3A;
use rayon::prelude::*;

use super::LabelVoxel;
use super::cell::CASES;
use super::knots::Between;
use super::masks::Masks;
use crate::error::SurfaceError;

/// What a sweep yields; cells that are not plain are put right by [`super::knots`].
#[derive(Default)]
pub(super) struct Sweep {
    /// Where the boundary lies on average in each vertex' cell, from the middle of the grid; empty if nothing is to be smoothed.
    pub(super) places: Vec<Vec3A>,
    pub(super) cells: Vec<[u16; 3]>,
    /// The neighbour across each face, or the vertex itself where there is none to follow.
    pub(super) links: Vec<[u32; 6]>,
    /// Faces with a neighbour, one bit each; and [`SEAM`].
    pub(super) kinds: Vec<u8>,
    pub(super) quads: Vec<[u32; 4]>,
    pub(super) sides: Vec<[u16; 2]>,
    /// Vertices of cells that are not plain, in order.
    pub(super) knotted: Vec<u32>,
    /// Vertices that stand on an edge of the net.
    pub(super) between: Vec<Between>,
}

impl Sweep {
    /// Adds a vertex without neighbours in the middle of a cell.
    pub(super) fn push_lone(&mut self, masks: &Masks, cell: [usize; 3], smooth: bool) {
        let (vertex, cell) = (self.cells.len() as u32, cell.map(|c| c as u16));
        self.cells.push(cell);
        if smooth {
            self.places.push(masks.middle(cell));
            self.links.push([vertex; 6]);
            self.kinds.push(0);
        }
    }
}

/// Marks a vertex where three or more labels meet; its links follow the junction.
pub(super) const SEAM: u8 = 1 << 6;

/// Layers of cells that one task handles; results do not depend on it.
pub(super) const SLAB: usize = 12;

/// One slab's share of the output.
struct Slab<'a> {
    layers: std::ops::Range<usize>,
    first_quad: usize,
    places: &'a mut [Vec3A],
    cells: &'a mut [[u16; 3]],
    links: &'a mut [[u32; 6]],
    kinds: &'a mut [u8],
    quads: &'a mut [[u32; 4]],
    sides: &'a mut [[u16; 2]],
}

/// So many zeros that no one has to write, and room for the vertices that knots add.
fn roomy<T: Zeroable>(count: usize) -> Vec<T> {
    let mut made = bytemuck::zeroed_vec(count + count / 8 + 64);
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
        places: roomy(linked),
        cells: roomy(nv),
        links: roomy(linked),
        kinds: roomy(linked),
        quads: vec![[0; 4]; nq],
        sides: vec![[0; 2]; nq],
        knotted: Vec::new(),
        between: Vec::new(),
    };
    let mut slabs = Vec::new();
    {
        let (mut places, mut cells) = (&mut out.places[..], &mut out.cells[..]);
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
    let knotted: Vec<Vec<u32>> = slabs.into_par_iter().map(|slab| sweep_slab(data, masks, smooth, slab)).collect();
    out.knotted = knotted.concat();
    Ok(out)
}

fn sweep_slab<T: LabelVoxel>(data: &[T], masks: &Masks, smooth: bool, mut slab: Slab) -> Vec<u32> {
    let [ni, nj, nk] = masks.size;
    let area = (ni + 1) * (nj + 1);
    // Vertex numbers of the layers before, at and after the current one.
    let mut numbers = [vec![0u32; area], vec![0u32; area], vec![0u32; area]];
    let fill = |numbers: &mut Vec<u32>, layer: usize| {
        for cy in 0..=nj {
            let mut number = masks.first_vertex[cy + (nj + 1) * layer] as u32;
            let row = &mut numbers[cy * (ni + 1)..][..ni + 1];
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
    let mut knotted = Vec::new();
    for cz in slab.layers.clone() {
        if cz < nk {
            fill(&mut numbers[2], cz + 1);
        }
        for cy in 0..=nj {
            vertices_of_row(masks, smooth, &mut slab, base, &numbers, [cy, cz], &mut knotted);
            quads_of_row(data, masks, &mut slab, &numbers, [cy, cz]);
        }
        numbers.rotate_left(1);
    }
    knotted
}

fn vertices_of_row(
    masks: &Masks,
    smooth: bool,
    slab: &mut Slab,
    base: usize,
    numbers: &[Vec<u32>; 3],
    [cy, cz]: [usize; 2],
    knotted: &mut Vec<u32>,
) {
    let width = masks.size[0] + 1;
    let mut vertex = masks.first_vertex[cy + (masks.size[1] + 1) * cz];
    let cases = &CASES[..];
    for (w, &cells) in masks.cells(cy, cz).iter().enumerate() {
        if cells == 0 {
            continue;
        }
        let words = masks.edges(cy, cz, w);
        let mut rest = cells;
        while rest != 0 {
            let bit = rest.trailing_zeros();
            rest &= rest - 1;
            let mut edges = 0;
            for (e, word) in words.iter().enumerate() {
                edges |= (word >> bit & 1) << e;
            }
            let case = &cases[edges as usize];
            let (n, number) = (vertex - base, vertex as u32);
            let cx = w * 64 + bit as usize;
            slab.cells[n] = [cx as u16, cy as u16, cz as u16];
            if smooth {
                let faces = if case.seams == 0 { case.faces } else { case.seams };
                let at = cy * width + cx;
                let mut links = [number; 6];
                for (face, link) in links.iter_mut().enumerate() {
                    if faces >> face & 1 == 1 {
                        *link = match face {
                            0 => number - 1,
                            1 => number + 1,
                            2 => numbers[1][at - width],
                            3 => numbers[1][at + width],
                            4 => numbers[0][at],
                            _ => numbers[2][at],
                        };
                    }
                }
                slab.links[n] = links;
                slab.kinds[n] = faces | if case.seams == 0 { 0 } else { SEAM };
                slab.places[n] = masks.middle(slab.cells[n]) + Vec3A::from_array(case.middle);
            }
            if !case.plain {
                knotted.push(number);
            }
            vertex += 1;
        }
    }
}

fn quads_of_row<T: LabelVoxel>(
    data: &[T],
    masks: &Masks,
    slab: &mut Slab,
    numbers: &[Vec<u32>; 3],
    [j, k]: [usize; 2],
) {
    let [ni, nj, nk] = masks.size;
    let width = ni + 1;
    let label = |i: usize, j: usize, k: usize| {
        if i < ni && j < nj && k < nk { data[i + ni * (j + nj * k)].into() } else { 0 }
    };
    let mut q = masks.first_quad[j + (nj + 1) * k] - slab.first_quad;
    let mut lay = |low: u16, high: u16, corners: [u32; 4]| {
        let [a, b, c, d] = corners;
        // Corners run counterclockwise seen from the higher voxel; the lower label must see them so.
        (slab.quads[q], slab.sides[q]) =
            if high < low { ([a, b, c, d], [high, low]) } else { ([a, d, c, b], [low, high]) };
        q += 1;
    };
    let (here, above) = (&numbers[1], &numbers[2]);
    for_each_bit(masks.x(j, k), |c| {
        let at = j * width + c;
        lay(label(c.wrapping_sub(1), j, k), label(c, j, k), [here[at], here[at + width], above[at + width], above[at]]);
    });
    for_each_bit(masks.y(j, k), |i| {
        let at = j * width + i;
        lay(label(i, j.wrapping_sub(1), k), label(i, j, k), [here[at], above[at], above[at + 1], here[at + 1]]);
    });
    for_each_bit(masks.z(j, k), |i| {
        let at = j * width + i;
        let corners = [here[at], here[at + 1], here[at + width + 1], here[at + width]];
        lay(label(i, j, k.wrapping_sub(1)), label(i, j, k), corners);
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
