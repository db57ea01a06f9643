//! How far two meshes lie apart, by dense sampling.

use std::sync::atomic::{AtomicU32, Ordering};

use glam::Vec3;
use rayon::prelude::*;

use crate::error::SurfaceError;
use crate::mesh::Mesh;

/// Hausdorff distance of two meshes in mm: the farthest that any sample of one lies from the other, taken both ways.
///
/// Samples are all vertices and a lattice over each triangle no wider than `sample_spacing_mm`; each sample's distance to the
/// other mesh is exact. Infinite if just one of the meshes is empty.
///
/// # Errors
/// [`SurfaceError`] for a spacing that is not positive, a position that is not finite or a triangle without its vertices.
pub fn hausdorff_mm(a: &Mesh, b: &Mesh, sample_spacing_mm: f64) -> Result<f64, SurfaceError> {
    if !(sample_spacing_mm > 0.0 && sample_spacing_mm.is_finite()) {
        let (name, expected) = ("sample_spacing_mm", "positive and finite");
        return Err(SurfaceError::Option { name, expected, found: sample_spacing_mm });
    }
    check(a)?;
    check(b)?;
    Ok(match (a.triangles.is_empty(), b.triangles.is_empty()) {
        (true, true) => 0.0,
        (false, false) => {
            let (to_a, to_b) = rayon::join(|| Tree::of(a), || Tree::of(b));
            to_b.farthest(a, sample_spacing_mm).max(to_a.farthest(b, sample_spacing_mm))
        }
        _ => f64::INFINITY,
    })
}

/// Refuses meshes that cannot be worked on.
pub(crate) fn check(mesh: &Mesh) -> Result<(), SurfaceError> {
    let vertices = mesh.positions.len();
    if let Some(index) = mesh.triangles.par_iter().flatten().map(|v| *v as usize).max().filter(|v| *v >= vertices) {
        return Err(SurfaceError::Index { vertices, index });
    }
    match mesh.positions.par_iter().position_first(|p| !p.iter().all(|x| x.is_finite())) {
        Some(vertex) => Err(SurfaceError::Position { vertex }),
        None => Ok(()),
    }
}

/// Triangles in a leaf.
const LEAF: usize = 4;
/// Triangles or vertices that one task measures; results do not depend on it.
const TASK: usize = 4096;

/// Triangles in a binary tree of boxes.
pub(crate) struct Tree {
    /// Along a space-filling curve.
    triangles: Vec<[Vec3; 3]>,
    /// The box of node `n`, whose children are `2 n` and `2 n + 1`; the second half are the leaves.
    boxes: Vec<[Vec3; 2]>,
}

impl Tree {
    pub(crate) fn of(mesh: &Mesh) -> Self {
        let at = |v: u32| Vec3::from_array(mesh.positions[v as usize]);
        let nothing = [Vec3::INFINITY, Vec3::NEG_INFINITY];
        let join = |a: [Vec3; 2], b: [Vec3; 2]| [a[0].min(b[0]), a[1].max(b[1])];
        let around = |t: &[Vec3; 3]| [t[0].min(t[1]).min(t[2]), t[0].max(t[1]).max(t[2])];
        let triangles: Vec<[Vec3; 3]> =
            along_curve(mesh).par_iter().map(|n| mesh.triangles[*n as usize].map(at)).collect();
        let leaves = triangles.len().div_ceil(LEAF).next_power_of_two();
        let mut boxes = vec![nothing; 2 * leaves];
        for (leaf, group) in boxes[leaves..].iter_mut().zip(triangles.chunks(LEAF)) {
            *leaf = group.iter().map(around).fold(nothing, join);
        }
        for n in (1..leaves).rev() {
            boxes[n] = join(boxes[2 * n], boxes[2 * n + 1]);
        }
        Self { triangles, boxes }
    }

    /// The farthest that a sample of a mesh lies from the triangles, in mm.
    pub(crate) fn farthest(&self, mesh: &Mesh, sample_spacing_mm: f64) -> f64 {
        // Squares of positive floats are in the order of their bits. Distances below the farthest so far need not be exact, so what other
        // threads have found changes how long this takes, not what comes out.
        let farthest = AtomicU32::new(0);
        let measure = |p: Vec3, last: &mut usize| {
            let enough = f32::from_bits(farthest.load(Ordering::Relaxed));
            let (square, nearest) = self.nearest(p, *last, enough);
            *last = nearest;
            if square > enough {
                farthest.fetch_max(square.to_bits(), Ordering::Relaxed);
            }
        };
        let mut is_used = vec![false; mesh.positions.len()];
        for v in mesh.triangles.iter().flatten() {
            is_used[*v as usize] = true;
        }
        mesh.positions.par_chunks(TASK).zip(is_used.par_chunks(TASK)).for_each(|(positions, is_used)| {
            let mut last = 0;
            for (p, _) in positions.iter().zip(is_used).filter(|(_, is_used)| **is_used) {
                measure(Vec3::from_array(*p), &mut last);
            }
        });
        let per_step = (1.0 / sample_spacing_mm) as f32;
        mesh.triangles.par_chunks(TASK).for_each(|chunk| {
            let mut last = 0;
            for t in chunk {
                let [a, b, c] = t.map(|v| Vec3::from_array(mesh.positions[v as usize]));
                let (u, v) = (b - a, c - a);
                let longest = u.length_squared().max(v.length_squared()).max((c - b).length_squared()).sqrt();
                let n = (longest * per_step).ceil().max(1.0) as usize;
                let step = 1.0 / n as f32;
                for i in 0..=n {
                    for j in 0..=n - i {
                        // Corners have had their turn.
                        if (i > 0 || j > 0) && i < n && j < n {
                            measure(a + u * (i as f32 * step) + v * (j as f32 * step), &mut last);
                        }
                    }
                }
            }
        });
        f64::from(f32::from_bits(farthest.into_inner())).sqrt()
    }

    /// The square of the distance to the nearest triangle, or to one that is near `enough`; and which. `guess` is looked at first.
    fn nearest(&self, p: Vec3, guess: usize, enough: f32) -> (f32, usize) {
        let mut best = (to_triangle(p, &self.triangles[guess]), guess);
        let leaves = self.boxes.len() / 2;
        let off = |n: usize| {
            let [low, high] = self.boxes[n];
            (low - p).max(p - high).max(Vec3::ZERO).length_squared()
        };
        // One node waits a level, and there are at most 32 levels.
        let mut waiting = [(0.0f32, 0usize); 40];
        waiting[0] = (off(1), 1);
        let mut depth = 1;
        while depth > 0 && best.0 > enough {
            depth -= 1;
            let (mut distance, mut node) = waiting[depth];
            while distance < best.0 && node < leaves {
                let (mut near, mut far) = ((off(2 * node), 2 * node), (off(2 * node + 1), 2 * node + 1));
                if far.0 < near.0 {
                    (near, far) = (far, near);
                }
                if far.0 < best.0 {
                    waiting[depth] = far;
                    depth += 1;
                }
                (distance, node) = near;
            }
            if distance < best.0 {
                let first = (node - leaves) * LEAF;
                for n in first..(first + LEAF).min(self.triangles.len()) {
                    let square = to_triangle(p, &self.triangles[n]);
                    if square < best.0 {
                        best = (square, n);
                    }
                }
            }
        }
        best
    }
}

/// The triangles of a mesh by the middles' places along a space-filling curve, after Morton (1966).
pub(crate) fn along_curve(mesh: &Mesh) -> Vec<u32> {
    let middle = |t: &[u32; 3]| t.iter().map(|v| Vec3::from_array(mesh.positions[*v as usize])).sum::<Vec3>() / 3.0;
    let middles: Vec<Vec3> = mesh.triangles.par_iter().map(middle).collect();
    let nothing = [Vec3::INFINITY, Vec3::NEG_INFINITY];
    let join = |a: [Vec3; 2], b: [Vec3; 2]| [a[0].min(b[0]), a[1].max(b[1])];
    let [low, high] = middles.par_iter().map(|m| [*m, *m]).reduce(|| nothing, join);
    let scale = (f32::from(u16::MAX) / (high - low).max_element()).min(f32::MAX);
    let code = |(n, middle): (usize, &Vec3)| {
        let [x, y, z] = ((middle - low) * scale).to_array().map(|x| spread(x as u64));
        (x | y << 1 | z << 2, n as u32)
    };
    let mut order: Vec<(u64, u32)> = middles.par_iter().enumerate().map(code).collect();
    order.par_sort_unstable();
    order.into_par_iter().map(|(_, n)| n).collect()
}

/// Spreads the lower 16 bits to every third.
fn spread(x: u64) -> u64 {
    let x = x & 0xffff;
    let x = (x | x << 16) & 0x00ff_0000_ff00_00ff;
    let x = (x | x << 8) & 0xf00f_00f0_0f00_f00f;
    let x = (x | x << 4) & 0x30c3_0c30_c30c_30c3;
    (x | x << 2) & 0x9249_2492_4924_9249
}

/// The square of the distance from a point to a triangle, by the region its foot lies in.
fn to_triangle(p: Vec3, [a, b, c]: &[Vec3; 3]) -> f32 {
    let (u, v, w) = (*b - *a, *c - *a, p - *a);
    let (uu, uv, vv, uw, vw) = (u.dot(u), u.dot(v), v.dot(v), u.dot(w), v.dot(w));
    let area = uu * vv - uv * uv;
    let (s, t) = (vv * uw - uv * vw, uu * vw - uv * uw);
    if area > 0.0 && s >= 0.0 && t >= 0.0 && s + t <= area {
        return (w - u * (s / area) - v * (t / area)).length_squared();
    }
    let to_edge = |foot: Vec3, along: Vec3| {
        let q = p - foot;
        let square = along.length_squared();
        let t = if square > 0.0 { (q.dot(along) / square).clamp(0.0, 1.0) } else { 0.0 };
        (q - along * t).length_squared()
    };
    to_edge(*a, u).min(to_edge(*a, v)).min(to_edge(*b, *c - *b))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tetrahedron(scale: f32, shift: f32) -> Mesh {
        let corners = [[0.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]];
        let positions: Vec<[f32; 3]> = corners.iter().map(|p: &[f32; 3]| p.map(|x| x * scale + shift)).collect();
        let triangles = vec![[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]];
        Mesh { normals: vec![[0.0, 0.0, 1.0]; 4], positions, triangles }
    }

    #[test]
    fn distances_to_a_triangle_by_region() {
        let t = [Vec3::ZERO, Vec3::X * 4.0, Vec3::Y * 4.0];
        for (p, expected) in [
            ([1.0, 1.0, 2.0], 4.0),
            ([2.0, -3.0, 0.0], 9.0),
            ([-1.0, 2.0, 0.0], 1.0),
            ([-3.0, -4.0, 0.0], 25.0),
            ([7.0, 0.0, 4.0], 25.0),
            ([4.0, 4.0, 1.0], 9.0),
        ] {
            let found = to_triangle(Vec3::from_array(p), &t);
            assert!((found - expected).abs() < 1e-5, "{p:?}: {found}");
        }
        assert_eq!(to_triangle(Vec3::Z, &[Vec3::ZERO; 3]), 1.0, "a triangle without area");
    }

    #[test]
    fn the_tree_finds_what_trying_all_finds() {
        let mut state = 1u32;
        let mut number = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as f32 / 2f32.powi(24)
        };
        let positions: Vec<[f32; 3]> = (0..600).map(|_| [number() * 9.0, number() * 5.0, number()]).collect();
        let triangles = (0..200).map(|n| [3 * n, 3 * n + 1, 3 * n + 2]).collect();
        let tree = Tree::of(&Mesh { positions, normals: Vec::new(), triangles });
        for n in 0..500 {
            let p = Vec3::new(number() * 12.0 - 1.0, number() * 8.0 - 1.0, number() * 4.0 - 1.0);
            let all = tree.triangles.iter().map(|t| to_triangle(p, t)).fold(f32::INFINITY, f32::min);
            assert_eq!(tree.nearest(p, n % 200, -1.0).0, all, "{p}");
        }
    }

    #[test]
    fn the_larger_of_both_ways_counts() {
        let (small, large) = (tetrahedron(1.0, 0.0), tetrahedron(3.0, 0.0));
        // From (3, 0, 0) to (1, 0, 0); the other way it is at most 1 / √3.
        assert!((hausdorff_mm(&small, &large, 0.1).unwrap() - 2.0).abs() < 1e-6);
        assert!((hausdorff_mm(&large, &small, 0.1).unwrap() - 2.0).abs() < 1e-6);
        assert!(hausdorff_mm(&small, &small, 0.1).unwrap() < 1e-6);
        assert_eq!(hausdorff_mm(&small, &Mesh::default(), 0.1).unwrap(), f64::INFINITY);
        let far = hausdorff_mm(&tetrahedron(1.0, 900.0), &tetrahedron(1.0, 900.5), 0.1).unwrap();
        assert!((far - 0.75f64.sqrt()).abs() < 1e-3, "{far}");
    }

    #[test]
    fn what_cannot_be_measured_is_refused() {
        let good = tetrahedron(1.0, 0.0);
        let mut bad = good.clone();
        bad.triangles[1][2] = 9;
        assert_eq!(hausdorff_mm(&good, &bad, 1.0), Err(SurfaceError::Index { vertices: 4, index: 9 }));
        let mut bad = good.clone();
        bad.positions[2][0] = f32::NAN;
        assert_eq!(hausdorff_mm(&bad, &good, 1.0), Err(SurfaceError::Position { vertex: 2 }));
        assert!(matches!(hausdorff_mm(&good, &good, 0.0), Err(SurfaceError::Option { .. })));
    }
}
