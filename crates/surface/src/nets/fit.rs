//! From the filtered net to positions within a bound, and its normals.

use std::ops::Range;

use glam::{Vec3A, Vec4, Vec4Swizzles};
use rayon::prelude::*;

use super::masks::Masks;
use super::sweep::{Places, SEAM, SLAB, Sweep};
use super::twins::Twins;

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
    pub(crate) fn fit(self, d: Vec3A, normal: Vec3A) -> Vec3A {
        if self.holds(d) { d } else { self.cut(d, normal) }
    }

    #[inline]
    fn holds(self, d: Vec3A) -> bool {
        match self {
            Self::Box(half) => d.abs().max_element() <= half,
            Self::Ball(radius) => d.length_squared() <= radius * radius,
        }
    }

    fn cut(self, d: Vec3A, normal: Vec3A) -> Vec3A {
        let along = along(d, normal);
        let across = d - along;
        let along = along * self.share(Vec3A::ZERO, along);
        along + across * self.share(along, across)
    }

    /// How much of `step`, at most all, can be added to `start` within the bound; for a ball the two are at right angles.
    fn share(self, start: Vec3A, step: Vec3A) -> f32 {
        match self {
            Self::Box(half) => {
                let (room, length) = (Vec3A::splat(half) - start * step.signum(), step.abs());
                Vec3A::select(length.cmpgt(room), room.max(Vec3A::ZERO) / length, Vec3A::ONE).min_element()
            }
            Self::Ball(radius) => {
                let (room, length) = ((radius * radius - start.length_squared()).max(0.0), step.length_squared());
                if length > room { (room / length).sqrt() } else { 1.0 }
            }
        }
    }
}

/// The part of a move along a normal of any length; none without one.
#[inline(always)]
fn along(d: Vec3A, normal: Vec3A) -> Vec3A {
    let square = normal.length_squared();
    if square > 0.0 { normal * (d.dot(normal) / square) } else { Vec3A::ZERO }
}

/// How far each vertex moves along its normal, and once more, in memory that can become sides.
pub(super) type Moves = Twins<u16, f32>;

/// One slab's share of the normals.
struct Slab<'a> {
    first: usize,
    /// The first vertex of the second layer.
    second: usize,
    /// The first vertex of the next slab, and of that one's second layer.
    end: usize,
    beyond: usize,
    quads: Range<usize>,
    sums: &'a mut [Vec4],
    moved: &'a mut [f32],
}

/// The normal of each vertex, of the sum of the area vectors of the quads around it, to the side of the lower label; zero on seams,
/// where sides differ. They come to stand in the second of `places`. Returns how far each vertex was moved along it.
pub(super) fn normals(masks: &Masks, sweep: &Sweep, places: &mut Places) -> Moves {
    let [_, nj, nk] = masks.size;
    let plain = masks.vertex_count();
    let [places, sums] = places.both_mut();
    let places = &*places;
    let mut moves = Moves::zeroed(places.len(), places.len().max(sweep.quads.len()));
    let [moved, _] = moves.both_mut();
    let ((mut sums, added), (mut moved, moved_added)) = (sums.split_at_mut(plain), moved.split_at_mut(plain));
    let slab = |start: usize| {
        let layers = [start, start + 1, start + SLAB, start + SLAB + 1].map(|z| z.min(nk + 1) * (nj + 1));
        let [first, second, end, beyond] = layers.map(|row| masks.first_vertex[row]);
        let quads = masks.first_quad[layers[0]]..masks.first_quad[layers[2]];
        let sums = sums.split_off_mut(..end - first).unwrap_or_default();
        let moved = moved.split_off_mut(..end - first).unwrap_or_default();
        Slab { first, second, end, beyond, quads, sums, moved }
    };
    let mut slabs: Vec<Slab> = (0..=nk).step_by(SLAB).map(slab).collect();
    // A slab's quads reach into the first layer of the next slab, and to vertices that knots added at the end.
    let spills: Vec<(Vec<Vec4>, Vec<(usize, Vec4)>)> = slabs
        .par_iter_mut()
        .enumerate()
        .map(|(n, slab)| {
            slab.sums.fill(Vec4::ZERO);
            let mut next = vec![Vec4::ZERO; slab.beyond - slab.end];
            let mut extra = Vec::new();
            for quad in &sweep.quads[slab.quads.clone()] {
                let area = area(quad.map(|vertex| places[vertex as usize]));
                for vertex in quad.map(|vertex| vertex as usize) {
                    if let Some(sum) = slab.sums.get_mut(vertex.wrapping_sub(slab.first)) {
                        *sum += area;
                    } else if let Some(sum) = next.get_mut(vertex.wrapping_sub(slab.end)) {
                        *sum += area;
                    } else {
                        extra.push((vertex - plain, area));
                    }
                }
            }
            // Nothing is spilt into the first layer of all.
            let own = if n == 0 { 0 } else { slab.second - slab.first };
            finish(masks, sweep, places, slab.first + own, &mut slab.sums[own..], &mut slab.moved[own..]);
            (next, extra)
        })
        .collect();
    let (nexts, extras): (Vec<_>, Vec<_>) = spills.into_iter().unzip();
    slabs[1..].par_iter_mut().zip(&nexts).for_each(|(slab, spilt)| {
        let own = slab.second - slab.first;
        slab.sums.iter_mut().zip(spilt).for_each(|(sum, n)| *sum += *n);
        finish(masks, sweep, places, slab.first, &mut slab.sums[..own], &mut slab.moved[..own]);
    });
    added.fill(Vec4::ZERO);
    extras.into_iter().flatten().for_each(|(vertex, n)| added[vertex] += n);
    finish(masks, sweep, places, plain, added, moved_added);
    moves
}

/// From sums of area vectors to normals, of the vertices from `first` on.
fn finish(masks: &Masks, sweep: &Sweep, places: &[Vec4], first: usize, sums: &mut [Vec4], moved: &mut [f32]) {
    let rows = sums.iter_mut().zip(moved).zip(&sweep.kinds[first..]).zip(&sweep.cells[first..]).zip(&places[first..]);
    for ((((sum, moved), kind), cell), place) in rows {
        let normal = if kind & SEAM == 0 { Vec3A::from_vec4(*sum).normalize_or_zero() } else { Vec3A::ZERO };
        *sum = normal.extend(0.0);
        *moved = (Vec3A::from_vec4(*place) - masks.middle(*cell)).dot(normal);
    }
}

/// Twice the area vector of a quad: the product of its diagonals.
#[inline(always)]
fn area([a, b, c, d]: [Vec4; 4]) -> Vec4 {
    let (p, q) = (c - a, d - b);
    (p * q.yzxw() - p.yzxw() * q).yzxw()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_normal_part_comes_first() {
        let n = Vec3A::new(0.0, 0.0, 2.0);
        let fit = |bound: Bound, [x, y, z]: [f32; 3], n| bound.fit(Vec3A::new(x, y, z), n).to_array();
        assert_eq!(fit(Bound::Box(0.5), [0.1, 0.2, 0.3], n), [0.1, 0.2, 0.3], "inside");
        let fitted = fit(Bound::Ball(0.5), [0.4, 0.0, 0.4], n);
        assert!((fitted[2] - 0.4).abs() < 1e-6 && (fitted[0] - 0.3).abs() < 1e-6, "{fitted:?}");
        let fitted = fit(Bound::Box(0.5), [1.0, 0.5, 0.9], n);
        assert!((fitted[2] - 0.5).abs() < 1e-6 && (fitted[0] - 0.5).abs() < 1e-6, "{fitted:?}");
        let fitted = fit(Bound::Ball(0.5), [3.0, 0.0, 4.0], Vec3A::ZERO);
        assert!((fitted[0] - 0.3).abs() < 1e-6 && (fitted[2] - 0.4).abs() < 1e-6, "without a normal: {fitted:?}");
    }
}
