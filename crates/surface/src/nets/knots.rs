//! Cells that need more than one vertex, and edges that would be doubled.
//!
//! The sheets of a cell are found by joining its crossing edges across faces. A face with two or three crossing edges joins
//! them all. With four, if voxels on one diagonal share a label, that label is taken as connected across the face (the
//! lower one if both diagonals do), and the edges are joined in pairs round the two other voxels. Each label then meets a
//! sheet in closed rings only, and both cells of a face decide alike, as the rule looks at nothing but the face.
//!
//! Two such pairs may still belong to one sheet in both cells of the face. The net's edge through the face would then carry
//! four quads, so one pair gets a vertex of its own in the middle of that edge.

use glam::Vec3A;
use rayon::prelude::*;

use super::cell::{FACE_EDGES, FACE_NORMALS, edge_corners, edge_middle, face_middle, mean};
use super::masks::Masks;
use super::sweep::{ADDED, SEAM, Sweep};
use super::{Insert, LabelVoxel, Quad};
use crate::axes::per_axis;
use crate::error::SurfaceError;

/// How far an inserted vertex is moved off the doubled edge, in voxels along each of two axes.
///
/// Small against the half voxel a vertex may move, large against rounding.
const NUDGE: f32 = 0.05;

/// How the boundary passes a face.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Passage {
    None,
    Sheet,
    /// Three or more labels meet.
    Seam,
    /// Two pairs of edges, round these corners.
    Pairs([u8; 2]),
}

/// A cell that is not plain.
pub(super) struct Knot {
    /// The vertex of the first sheet.
    pub(super) vertex: u32,
    cell: [u16; 3],
    /// The edges that each sheet crosses, one bit each.
    edges: [u16; MAX_SHEETS],
    sheets: u8,
    faces: [Passage; 6],
    /// The vertex of the second sheet; the others follow.
    extra: u32,
}

/// What smoothing needs to know of the vertex of a sheet.
struct Sheet {
    vertex: u32,
    links: [u32; 6],
    kind: u8,
}

/// A vertex whose link through a face goes to another sheet than the first.
struct Follower {
    vertex: u32,
    face: usize,
    from: u32,
    to: u32,
}

/// A quad whose corner belongs to another sheet than the first.
struct Corner {
    quad: u32,
    from: u32,
    to: u32,
}

/// An edge of the net that four quads would share, and two of them.
struct Doubled {
    cell: [u16; 3],
    ends: [u32; 2],
    nudge: [f32; 3],
    quads: Vec<u32>,
}

/// Knots that one task handles; results do not depend on it.
const TASK: usize = 512;

/// All cells that are not plain, by vertex.
pub(super) struct Knots {
    knots: Vec<Knot>,
    /// Which vertices are theirs, one bit each, and how many stand before each word.
    marks: Vec<(u64, u32)>,
}

const NO_SHEET: u8 = u8::MAX;

/// A sheet crosses three of the twelve edges or more.
const MAX_SHEETS: usize = 4;

/// The edges of each face, one bit each.
const FACE_MASKS: [u16; 6] = {
    let mut masks = [0; 6];
    let mut n = 0;
    while n < 24 {
        masks[n / 4] |= 1 << FACE_EDGES[n / 4][n % 4];
        n += 1;
    }
    masks
};

/// The edges at each corner, one bit each.
const CORNER_MASKS: [u16; 8] = {
    let mut masks = [0; 8];
    let mut edge = 0;
    while edge < 12 {
        let [low, high] = edge_corners(edge);
        masks[low] |= 1 << edge;
        masks[high] |= 1 << edge;
        edge += 1;
    }
    masks
};

impl Knots {
    /// Numbers the vertices of further sheets.
    pub(super) fn of(masks: &Masks, mut knots: Vec<Knot>) -> Self {
        let mut extra = masks.vertex_count() as u32;
        let mut marks = vec![(0, 0); masks.vertex_count().div_ceil(64)];
        for knot in &mut knots {
            knot.extra = extra;
            extra += u32::from(knot.sheets) - 1;
            marks[knot.vertex as usize / 64].0 |= 1u64 << (knot.vertex % 64);
        }
        let mut sum = 0;
        for (bits, before) in &mut marks {
            *before = sum;
            sum += bits.count_ones();
        }
        Self { knots, marks }
    }

    fn of_vertex(&self, vertex: u32) -> Option<&Knot> {
        let ((bits, before), bit) = (self.marks[vertex as usize / 64], 1u64 << (vertex % 64));
        (bits & bit != 0).then(|| &self.knots[(before + (bits & (bit - 1)).count_ones()) as usize])
    }

    /// Gives each sheet its vertex, and returns the vertices to insert in quads.
    pub(super) fn apply(&self, masks: &Masks, sweep: &mut Sweep, smooth: bool) -> Result<Vec<Insert>, SurfaceError> {
        for knot in &self.knots {
            for sheet in 1..knot.sheets {
                debug_assert_eq!(knot.vertex_of(sheet) as usize, sweep.cells.len());
                sweep.push_lone(knot.cell, knot.place(masks, sheet), smooth);
            }
        }
        let mut quads = std::mem::take(&mut sweep.quads);
        rayon::join(
            || self.turn(masks, &mut quads),
            || {
                if smooth {
                    self.link(masks, sweep);
                }
            },
        );
        sweep.quads = quads;
        self.insert(masks, sweep, smooth)
    }

    /// Turns the corners of quads to the sheets they belong to.
    fn turn(&self, masks: &Masks, quads: &mut [Quad]) {
        let moves: Vec<Vec<Corner>> = self.knots.par_chunks(TASK).map(|knots| beyond_first(masks, knots)).collect();
        for Corner { quad, from, to } in moves.into_iter().flatten() {
            for corner in quads[quad as usize].iter_mut().filter(|c| **c == from) {
                *corner = to;
            }
        }
    }

    /// Gives each sheet its neighbours.
    fn link(&self, masks: &Masks, sweep: &mut Sweep) {
        let swept = &*sweep;
        let sheets: Vec<(Vec<Sheet>, Vec<Follower>)> = self
            .knots
            .par_chunks(TASK)
            .map(|knots| {
                let mut followers = Vec::new();
                let sheets = knots.iter().flat_map(|k| (0..k.sheets).map(move |sheet| (k, sheet)));
                (sheets.map(|(knot, sheet)| self.sheet(masks, swept, knot, sheet, &mut followers)).collect(), followers)
            })
            .collect();
        for (sheets, followers) in sheets {
            for Follower { vertex, face, from, to } in followers {
                let mut links = sweep.links_of(vertex);
                if links[face] == from {
                    links[face] = to;
                    sweep.link(vertex, links, sweep.kinds[vertex as usize] | ADDED);
                }
            }
            for Sheet { vertex, links, kind } in sheets {
                sweep.link(vertex, links, kind);
            }
        }
    }

    /// The links of one sheet, and the plain neighbours that follow it.
    fn sheet(&self, masks: &Masks, sweep: &Sweep, knot: &Knot, sheet: u8, followers: &mut Vec<Follower>) -> Sheet {
        let (linked, linked_faces) = (sweep.links_of(knot.vertex), sweep.kinds[knot.vertex as usize]);
        let vertex = knot.vertex_of(sheet);
        let seam = (0..6).any(|f| knot.passes(f, sheet) && knot.faces[f] == Passage::Seam);
        let (mut links, mut kind) = ([vertex; 6], if seam { SEAM } else { 0 });
        for face in 0..6 {
            if !knot.passes(face, sheet) {
                continue;
            }
            let primary = if linked_faces >> face & 1 == 1 { linked[face] } else { masks.vertex(knot.neighbor(face)) };
            let other = self.of_vertex(primary);
            if other.is_none() && sheet > 0 {
                // A plain neighbour has one sheet here; it follows this one if it follows any.
                followers.push(Follower { vertex: primary, face: face ^ 1, from: knot.vertex, to: vertex });
            }
            if seam && knot.faces[face] != Passage::Seam {
                continue;
            }
            let edge = (knot.edges[usize::from(sheet)] & FACE_MASKS[face]).trailing_zeros() as usize;
            let across = other.map(|o| o.vertex_of(o.sheet(mirrored(face, edge))));
            links[face] = across.unwrap_or(primary);
            kind |= 1 << face;
        }
        if links.iter().any(|&link| link as usize >= masks.vertex_count()) {
            kind |= ADDED;
        }
        Sheet { vertex, links, kind }
    }

    fn insert(&self, masks: &Masks, sweep: &mut Sweep, smooth: bool) -> Result<Vec<Insert>, SurfaceError> {
        let doubled: Vec<Vec<Doubled>> = self.knots.par_chunks(TASK).map(|knots| self.doubled(masks, knots)).collect();
        let mut inserts = Vec::new();
        for Doubled { cell, ends: [u, v], nudge, quads } in doubled.into_iter().flatten() {
            let vertex = sweep.cells.len() as u32;
            // Without links the filter leaves it alone; it is placed afterwards.
            sweep.push_lone(cell, masks.middle(cell), smooth);
            let nudge = if smooth { nudge } else { [0.0; 3] };
            sweep.between.push(Between { vertex, ends: [u, v], nudge });
            for quad in quads {
                let q = sweep.quads[quad as usize];
                let after = (0..4).find(|&n| [q[n], q[(n + 1) % 4]] == [u, v] || [q[n], q[(n + 1) % 4]] == [v, u]);
                inserts.extend(after.map(|n| Insert { quad, after: n as u8, vertex }));
            }
        }
        let limit = u32::MAX as usize / 2;
        if sweep.cells.len() > limit {
            return Err(SurfaceError::TooManyVertices { limit, vertices: sweep.cells.len() });
        }
        inserts.sort_unstable();
        Ok(inserts)
    }

    /// The edges of the net on the upper faces of these cells that four quads would share.
    fn doubled(&self, masks: &Masks, knots: &[Knot]) -> Vec<Doubled> {
        let mut doubled = Vec::new();
        for (knot, face) in knots.iter().flat_map(|k| [1, 3, 5].map(|face| (k, face))) {
            let Passage::Pairs(corners) = knot.faces[face] else { continue };
            let corners = corners.map(usize::from);
            let Some(other) = self.of_vertex(masks.vertex(knot.neighbor(face))) else { continue };
            let around = |corner| FACE_EDGES[face].into_iter().filter(move |&e| edge_corners(e).contains(&corner));
            let here = |corner| around(corner).map(|e| knot.sheet(e)).next().unwrap_or(NO_SHEET);
            let there = |corner| around(corner).map(|e| other.sheet(mirrored(face, e))).next().unwrap_or(NO_SHEET);
            let (sheet, beyond) = (here(corners[1]), there(corners[1]));
            if here(corners[0]) != sheet || there(corners[0]) != beyond {
                continue;
            }
            let toward = [corners[1] & 1, corners[1] >> 1 & 1, corners[1] >> 2].map(|d| d as f32 * 2.0 - 1.0);
            let normal = FACE_NORMALS[face];
            doubled.push(Doubled {
                cell: knot.cell,
                ends: [knot.vertex_of(sheet), other.vertex_of(beyond)],
                nudge: per_axis(|a| if normal[a] == 0.0 { toward[a] * NUDGE } else { 0.0 }),
                quads: around(corners[1]).map(|e| knot.quad(masks, e)).collect(),
            });
        }
        doubled
    }
}

/// The corners of quads that belong to another sheet than the first of these cells.
fn beyond_first(masks: &Masks, knots: &[Knot]) -> Vec<Corner> {
    let mut corners = Vec::new();
    for knot in knots.iter().filter(|k| k.sheets > 1) {
        for (edge, sheet) in (0..12).map(|e| (e, knot.sheet(e))).filter(|(_, s)| *s != 0 && *s != NO_SHEET) {
            corners.push(Corner { quad: knot.quad(masks, edge), from: knot.vertex, to: knot.vertex_of(sheet) });
        }
    }
    corners
}

/// A vertex on an edge of the net.
#[derive(Clone, Copy)]
pub(super) struct Between {
    vertex: u32,
    ends: [u32; 2],
    nudge: [f32; 3],
}

impl Between {
    /// Puts the vertex beside the middle of its edge.
    pub(super) fn place(&self, positions: &mut [[f32; 3]]) {
        let [u, v] = self.ends.map(|e| positions[e as usize]);
        positions[self.vertex as usize] = per_axis(|a| (u[a] + v[a]) / 2.0 + self.nudge[a]);
    }
}

/// The number of an edge of `face` in the cell on the face's other side.
fn mirrored(face: usize, edge: usize) -> usize {
    match (face / 2, edge / 4) {
        (0, _) | (1, 0) => edge ^ 1,
        _ => edge ^ 2,
    }
}

impl Knot {
    /// The sheets of a cell which these edges cross.
    pub(super) fn find<T: LabelVoxel>(
        data: &[T],
        [ni, nj, nk]: [usize; 3],
        edges: usize,
        vertex: u32,
        cell: [usize; 3],
    ) -> Self {
        let labels: [u16; 8] = std::array::from_fn(|n| {
            let [i, j, k] = [cell[0] + (n & 1), cell[1] + (n >> 1 & 1), cell[2] + (n >> 2)];
            // Shifted by one: cell `c` lies between voxels `c − 1` and `c`.
            let inside = (1..=ni).contains(&i) && (1..=nj).contains(&j) && (1..=nk).contains(&k);
            if inside { data[i - 1 + ni * (j - 1 + nj * (k - 1))].into() } else { 0 }
        });
        let (edges, mut parts, mut faces) = (edges as u16, Parts::default(), [Passage::None; 6]);
        for (f, face) in FACE_MASKS.iter().enumerate() {
            let crossing = edges & face;
            let pairs = if crossing == *face { pairs_of(f, &labels) } else { None };
            faces[f] = match (crossing.count_ones(), pairs) {
                (0, _) => Passage::None,
                (2, _) => Passage::Sheet,
                (_, Some(corners)) => Passage::Pairs(corners),
                _ => Passage::Seam,
            };
            match faces[f] {
                Passage::None => {}
                Passage::Sheet | Passage::Seam => parts.join(crossing),
                Passage::Pairs(corners) => {
                    corners.iter().for_each(|corner| parts.join(crossing & CORNER_MASKS[usize::from(*corner)]));
                }
            }
        }
        let (edges, sheets) = parts.sheets();
        Self { vertex, cell: cell.map(|c| c as u16), edges, sheets, faces, extra: 0 }
    }

    /// The sheet that crosses an edge.
    fn sheet(&self, edge: usize) -> u8 {
        self.edges.iter().position(|edges| edges >> edge & 1 == 1).map_or(NO_SHEET, |sheet| sheet as u8)
    }

    fn vertex_of(&self, sheet: u8) -> u32 {
        if sheet == 0 { self.vertex } else { self.extra + u32::from(sheet) - 1 }
    }

    fn passes(&self, face: usize, sheet: u8) -> bool {
        self.edges[usize::from(sheet)] & FACE_MASKS[face] != 0
    }

    fn neighbor(&self, face: usize) -> [usize; 3] {
        let mut cell = self.cell.map(usize::from);
        // A crossing face always has a cell beyond it, since the outermost voxels are background.
        cell[face / 2] = if face % 2 == 1 { cell[face / 2] + 1 } else { cell[face / 2].saturating_sub(1) };
        cell
    }

    /// Where a sheet lies on average, from the middle of the grid.
    pub(super) fn place(&self, masks: &Masks, sheet: u8) -> Vec3A {
        let seams = || (0..6).filter(|&f| self.faces[f] == Passage::Seam && self.passes(f, sheet));
        let from_middle = if seams().next().is_some() {
            mean(seams().map(face_middle))
        } else {
            mean((0..12).filter(|e| self.edges[usize::from(sheet)] >> e & 1 == 1).map(edge_middle))
        };
        masks.middle(self.cell) + Vec3A::from_array(from_middle)
    }

    fn quad(&self, masks: &Masks, edge: usize) -> u32 {
        let (axis, p, q) = (edge / 4, edge & 1, edge >> 1 & 1);
        let [cx, cy, cz] = self.cell.map(usize::from);
        let voxel = match axis {
            0 => [cx, cy + p - 1, cz + q - 1],
            1 => [cx + p - 1, cy, cz + q - 1],
            _ => [cx + p - 1, cy + q - 1, cz],
        };
        masks.quad(axis, voxel)
    }
}

/// Sets of edges that have none in common.
#[derive(Default)]
struct Parts {
    sets: [u16; 12],
    count: usize,
}

impl Parts {
    /// Makes one set of these edges and of all sets that have one of them.
    fn join(&mut self, edges: u16) {
        let (mut joined, mut kept) = (edges, 0);
        for n in 0..self.count {
            let set = self.sets[n];
            if set & edges == 0 {
                self.sets[kept] = set;
                kept += 1;
            } else {
                joined |= set;
            }
        }
        self.sets[kept] = joined;
        self.count = kept + 1;
    }

    /// The sets by their first edges, and how many there are.
    fn sheets(mut self) -> ([u16; MAX_SHEETS], u8) {
        self.sets[..self.count].sort_unstable_by_key(|set| set.trailing_zeros());
        let mut sheets = [0; MAX_SHEETS];
        sheets.iter_mut().zip(self.sets).for_each(|(sheet, set)| *sheet = set);
        (sheets, self.count.min(MAX_SHEETS) as u8)
    }
}

/// The corners round which a face's four crossing edges pair up, if they do.
fn pairs_of(face: usize, labels: &[u16; 8]) -> Option<[u8; 2]> {
    let (axis, side) = (face / 2, face % 2);
    let (b, c) = ((axis + 1) % 3, (axis + 2) % 3);
    let corner = |p: usize, q: usize| side << axis | p << b | q << c;
    let [p0, p1, p2, p3] = [corner(0, 0), corner(1, 0), corner(1, 1), corner(0, 1)];
    let same = |a: usize, b: usize| labels[a] == labels[b];
    if same(p0, p2) && (!same(p1, p3) || labels[p0] < labels[p1]) {
        Some([p1 as u8, p3 as u8])
    } else if same(p1, p3) {
        Some([p0 as u8, p2 as u8])
    } else {
        None
    }
}
