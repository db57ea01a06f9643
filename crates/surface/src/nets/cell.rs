//! The cell between eight voxels: its edges, faces, and what follows from the edges that cross a boundary.
//!
//! Edges 0–3 run along x at (dy, dz) = (0,0) (1,0) (0,1) (1,1), edges 4–7 along y at (dx, dz), edges 8–11 along z at
//! (dx, dy). Faces are −x +x −y +y −z +z. Corner `n` is the voxel at (n & 1, n >> 1 & 1, n >> 2).

use std::sync::LazyLock;

use super::sweep::SEAM;
use crate::axes::per_axis;

/// The four edges of each face, opposite ones next to each other.
pub(super) const FACE_EDGES: [[usize; 4]; 6] =
    [[4, 6, 8, 10], [5, 7, 9, 11], [0, 2, 8, 9], [1, 3, 10, 11], [0, 1, 4, 5], [2, 3, 6, 7]];

/// The unit vector of each face.
pub(super) const FACE_NORMALS: [[f32; 3]; 6] =
    [[-1.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.0, -1.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, -1.0], [0.0, 0.0, 1.0]];

/// The two corners of an edge, the lower first.
pub(super) const fn edge_corners(edge: usize) -> [usize; 2] {
    let (p, q) = (edge & 1, edge >> 1 & 1);
    match edge / 4 {
        0 => [2 * p + 4 * q, 2 * p + 4 * q + 1],
        1 => [p + 4 * q, p + 4 * q + 2],
        _ => [p + 2 * q, p + 2 * q + 4],
    }
}

/// What the twelve edges of a cell tell without its labels.
#[derive(Clone, Copy, Default)]
pub(super) struct CellCase {
    /// Faces to link across, one bit each: where three labels meet if there are any such, then with [`SEAM`]; else all that the
    /// boundary passes.
    pub(super) links: u8,
    /// One sheet, or one junction, and no face with four crossing edges.
    pub(super) plain: bool,
    /// Where the boundary lies on average: of crossing edges, or of seam faces if there are any; from the cell's middle.
    pub(super) middle: [f32; 3],
}

/// All 4096 cases, by edge bits.
pub(super) static CASES: LazyLock<Vec<CellCase>> = LazyLock::new(|| (0..4096).map(case).collect());

fn case(edges: u16) -> CellCase {
    let crosses = |e: usize| edges >> e & 1 == 1;
    let mut case = CellCase::default();
    let mut set = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11];
    let (mut faces, mut seams, mut four) = (0, 0, false);
    for (f, face) in FACE_EDGES.iter().enumerate() {
        let crossing: Vec<usize> = face.iter().copied().filter(|&e| crosses(e)).collect();
        faces |= u8::from(!crossing.is_empty()) << f;
        seams |= u8::from(crossing.len() == 3) << f;
        four |= crossing.len() == 4;
        for pair in crossing.windows(2) {
            unite(&mut set, pair[0], pair[1]);
        }
    }
    let sheets = (0..12).filter(|&e| crosses(e) && set[e] == e).count();
    case.plain = sheets == 1 && !four;
    case.links = if seams == 0 { faces } else { seams | SEAM };
    case.middle = if seams == 0 {
        mean((0..12).filter(|&e| crosses(e)).map(edge_middle))
    } else {
        mean((0..6).filter(|f| seams >> f & 1 == 1).map(face_middle))
    };
    case
}

/// Joins the sets of `a` and `b`; each set is named by its least member, flat.
fn unite(set: &mut [usize; 12], a: usize, b: usize) {
    let (low, high) = (set[a].min(set[b]), set[a].max(set[b]));
    for s in set {
        if *s == high {
            *s = low;
        }
    }
}

/// Middle of an edge, from the cell's middle.
pub(super) fn edge_middle(edge: usize) -> [f32; 3] {
    let (p, q) = ((edge & 1) as f32 - 0.5, (edge >> 1 & 1) as f32 - 0.5);
    [[0.0, p, q], [p, 0.0, q], [p, q, 0.0]][edge / 4]
}

/// Middle of a face, from the cell's middle.
pub(super) fn face_middle(face: usize) -> [f32; 3] {
    FACE_NORMALS[face].map(|x| x / 2.0)
}

/// Mean of some points, zero if there are none.
pub(super) fn mean(points: impl Iterator<Item = [f32; 3]>) -> [f32; 3] {
    let (mut sum, mut n) = ([0.0; 3], 0.0);
    for p in points {
        sum = per_axis(|a| sum[a] + p[a]);
        n += 1.0;
    }
    sum.map(|s| s / f32::max(n, 1.0))
}
