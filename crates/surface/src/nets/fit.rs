//! From the filtered net to positions within a bound, and its normals.

use rayon::prelude::*;

use super::masks::Masks;
use super::sweep::{SEAM, SLAB, Sweep};
use crate::axes::{each, per_axis};

/// Where a vertex may go from the middle of its cell, in voxels.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Bound {
    /// Up to this far along each axis.
    Box(f32),
    /// Up to this far.
    Ball(f32),
}

impl Bound {
    /// The filtered place of a vertex brought within the bound.
    ///
    /// What matters is where the surface lies, so the part of the move along the normal comes first; the part along the surface
    /// gets what is left.
    #[inline]
    pub(crate) fn fit(self, d: [f32; 4], normal: [f32; 4]) -> [f32; 3] {
        let d = [d[0], d[1], d[2]];
        if self.holds(d) { d } else { self.cut(d, normal) }
    }

    #[inline]
    fn holds(self, d: [f32; 3]) -> bool {
        match self {
            Self::Box(half) => d[0].abs() <= half && d[1].abs() <= half && d[2].abs() <= half,
            Self::Ball(radius) => dot(d, d) <= radius * radius,
        }
    }

    fn cut(self, d: [f32; 3], normal: [f32; 4]) -> [f32; 3] {
        let n = [normal[0], normal[1], normal[2]];
        let square = dot(n, n);
        let along = if square > 0.0 { each(n, |x| x * (dot(d, n) / square)) } else { [0.0; 3] };
        let across = per_axis(|a| d[a] - along[a]);
        let along = {
            let share = self.share([0.0; 3], along);
            each(along, |x| x * share)
        };
        let share = self.share(along, across);
        per_axis(|a| along[a] + across[a] * share)
    }

    /// How much of `step`, at most all, can be added to `start` within the bound; for a ball the two are at right angles.
    fn share(self, start: [f32; 3], step: [f32; 3]) -> f32 {
        match self {
            Self::Box(half) => (0..3).fold(1.0f32, |share, a| {
                let room = half - start[a] * step[a].signum();
                if step[a].abs() > room { share.min(room.max(0.0) / step[a].abs()) } else { share }
            }),
            Self::Ball(radius) => {
                let (room, length) = ((radius * radius - dot(start, start)).max(0.0), dot(step, step));
                if length > room { (room / length).sqrt() } else { 1.0 }
            }
        }
    }
}

fn dot(a: [f32; 3], b: [f32; 3]) -> f32 {
    a[0] * b[0] + a[1] * b[1] + a[2] * b[2]
}

/// Sums at each vertex the area vectors of the quads around it, all to the side of the lower label; zero on seams, where sides
/// differ.
pub(super) fn area_vectors(masks: &Masks, sweep: &Sweep, moves: &[[f32; 4]]) -> Vec<[f32; 4]> {
    let [_, nj, nk] = masks.size;
    let plain = masks.vertex_count();
    let mut sums = vec![[0.0f32; 4]; moves.len()];
    let mut slabs = Vec::new();
    {
        let mut rest = &mut sums[..plain];
        for start in (0..=nk).step_by(SLAB) {
            let end = (start + SLAB).min(nk + 1);
            let [first, last] = [start, end].map(|z| masks.first_vertex[z * (nj + 1)]);
            let own = rest.split_off_mut(..last - first).unwrap_or_default();
            let beyond = masks.first_vertex[(end + 1).min(nk + 1) * (nj + 1)];
            let quads = masks.first_quad[start * (nj + 1)]..masks.first_quad[end * (nj + 1)];
            slabs.push((own, first, last, beyond, quads));
        }
    }
    // A slab's quads reach into the first layer of the next slab, and to vertices that knots added at the end.
    let spills: Vec<(usize, Vec<[f32; 4]>, Vec<(u32, [f32; 4])>)> = slabs
        .into_par_iter()
        .map(|(own, first, last, beyond, quads)| {
            let mut next = vec![[0.0f32; 4]; beyond - last];
            let mut extra = Vec::new();
            for quad in &sweep.quads[quads] {
                let place = |n: usize| {
                    let (m, c) = (moves[quad[n] as usize], sweep.cells[quad[n] as usize]);
                    per_axis(|a| f32::from(c[a]) + m[a])
                };
                let p = [place(0), place(1), place(2), place(3)];
                let (u, v) = (per_axis(|a| p[2][a] - p[0][a]), per_axis(|a| p[3][a] - p[1][a]));
                let n = [u[1] * v[2] - u[2] * v[1], u[2] * v[0] - u[0] * v[2], u[0] * v[1] - u[1] * v[0], 0.0];
                for &vertex in quad {
                    let at = vertex as usize;
                    let sum = if at < first || at >= plain {
                        extra.push((vertex, n));
                        continue;
                    } else if at < last {
                        &mut own[at - first]
                    } else {
                        &mut next[at - last]
                    };
                    *sum = add(*sum, n);
                }
            }
            (last, next, extra)
        })
        .collect();
    for (last, next, extra) in spills {
        for (sum, n) in sums[last..].iter_mut().zip(next) {
            *sum = add(*sum, n);
        }
        for (vertex, n) in extra {
            sums[vertex as usize] = add(sums[vertex as usize], n);
        }
    }
    sums.par_iter_mut().zip(&sweep.kinds).with_min_len(8192).for_each(|(sum, kind)| {
        if kind & SEAM != 0 {
            *sum = [0.0; 4];
        }
    });
    sums
}

fn add(a: [f32; 4], b: [f32; 4]) -> [f32; 4] {
    [a[0] + b[0], a[1] + b[1], a[2] + b[2], a[3] + b[3]]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_normal_part_comes_first() {
        let n = [0.0, 0.0, 2.0, 0.0];
        assert_eq!(Bound::Box(0.5).fit([0.1, 0.2, 0.3, 0.0], n), [0.1, 0.2, 0.3], "inside");
        let fitted = Bound::Ball(0.5).fit([0.4, 0.0, 0.4, 0.0], n);
        assert!((fitted[2] - 0.4).abs() < 1e-6 && (fitted[0] - 0.3).abs() < 1e-6, "{fitted:?}");
        let fitted = Bound::Box(0.5).fit([1.0, 0.5, 0.9, 0.0], n);
        assert!((fitted[2] - 0.5).abs() < 1e-6 && (fitted[0] - 0.5).abs() < 1e-6, "{fitted:?}");
        let fitted = Bound::Ball(0.5).fit([3.0, 0.0, 4.0, 0.0], [0.0; 4]);
        assert!((fitted[0] - 0.3).abs() < 1e-6 && (fitted[2] - 0.4).abs() < 1e-6, "without a normal: {fitted:?}");
    }
}
