//! Local repairs of a decimated tile: bringing single vertices back instead of decimating again.

use std::collections::{BTreeMap, BTreeSet};

use crate::axes::{dot, each, minus, per_axis};
use crate::decimate::to_local;
use crate::distance::to_triangle;

/// A tile being repaired.
pub(crate) struct Mending<'a> {
    positions: &'a [[f32; 3]],
    /// Of local vertices.
    triangles: Vec<[u32; 3]>,
    /// The vertex that each local one is.
    vertices: Vec<u32>,
    /// The last of the half-edges that leave each local vertex; half-edge `3 t + n` leaves corner `n` of triangle `t`.
    heads: Vec<u32>,
    /// The half-edge that leaves the same vertex and was there before.
    before: Vec<u32>,
    /// Vertices that decimation took away, by their first coordinate; none where one was taken.
    spares: Vec<Option<u32>>,
    /// Farthest a spare may be from the middle of the edge that it leads round.
    radius: f32,
}

/// The end of a list of half-edges.
const NONE: u32 = u32::MAX;

impl<'a> Mending<'a> {
    /// Takes triangles whose vertices have `positions`.
    pub(crate) fn new(positions: &'a [[f32; 3]], triangles: &[[u32; 3]]) -> Self {
        let (triangles, vertices) = to_local(triangles);
        let (heads, before) = (vec![NONE; vertices.len()], Vec::with_capacity(3 * triangles.len() + 64));
        let mut mending = Self { positions, triangles, vertices, heads, before, spares: Vec::new(), radius: 0.0 };
        for triangle in 0..mending.triangles.len() as u32 {
            mending.remember(triangle);
        }
        mending
    }

    /// Offers vertices that are in no triangle; edges take those within `radius` of their middle.
    pub(crate) fn offer(&mut self, spares: impl Iterator<Item = u32>, radius: f32) {
        let mut spares: Vec<u32> = spares.collect();
        spares.sort_unstable_by(|&a, &b| self.x(a).total_cmp(&self.x(b)).then(a.cmp(&b)));
        self.spares = spares.into_iter().map(Some).collect();
        self.radius = radius;
    }

    /// The repaired triangles.
    pub(crate) fn finish(self) -> Vec<[u32; 3]> {
        self.triangles.into_iter().map(|t| each(t, |v| self.vertices[v as usize])).collect()
    }

    fn x(&self, vertex: u32) -> f32 {
        self.positions[vertex as usize][0]
    }

    fn place(&self, local: u32) -> [f32; 3] {
        self.positions[self.vertices[local as usize] as usize]
    }

    fn corners(&self, triangle: u32) -> [[f32; 3]; 3] {
        each(self.triangles[triangle as usize], |v| self.place(v))
    }

    /// Makes a vertex that no triangle has a local one.
    fn add(&mut self, vertex: u32) -> u32 {
        self.vertices.push(vertex);
        self.heads.push(NONE);
        self.vertices.len() as u32 - 1
    }

    /// Leads one of the sheets through each edge round by the spare vertex nearest to its middle; false if an edge has none near.
    pub(crate) fn divert(&mut self, edges: &[(u32, u32)]) -> bool {
        let ends: BTreeSet<u32> = edges.iter().flat_map(|&(a, b)| [a, b]).collect();
        let locals: BTreeMap<u32, u32> =
            self.vertices.iter().zip(0..).filter(|(v, _)| ends.contains(v)).map(|(v, local)| (*v, local)).collect();
        edges.iter().all(|(a, b)| match (locals.get(a), locals.get(b)) {
            (Some(a), Some(b)) => self.divert_one(*a, *b),
            _ => false,
        })
    }

    fn divert_one(&mut self, a: u32, b: u32) -> bool {
        let (p, q) = (self.place(a), self.place(b));
        let middle = per_axis(|x| 0.5 * (p[x] + q[x]));
        let square = |v: u32| {
            let off = minus(self.positions[v as usize], middle);
            dot(off, off)
        };
        let first = self.spares.partition_point(|v| v.is_some_and(|v| self.x(v) < middle[0] - self.radius));
        let near = self.spares[first..].iter().zip(first..).filter_map(|(v, n)| v.map(|v| (v, n)));
        let near = near.take_while(|(v, _)| self.x(*v) <= middle[0] + self.radius).map(|(v, n)| (square(v), n));
        let nearest = near.min_by(|a, b| a.0.total_cmp(&b.0));
        let Some((_, n)) = nearest.filter(|(square, _)| *square <= self.radius * self.radius) else { return false };
        let Some(spare) = self.spares[n].take() else { return false };
        let spare = self.add(spare);
        self.split_edge(a, b, spare)
    }

    /// The triangle that was last to run along an edge in this direction.
    fn along(&self, a: u32, b: u32) -> Option<u32> {
        let mut edge = self.heads[a as usize];
        while edge != NONE {
            let t = self.triangles[edge as usize / 3];
            if t[(edge as usize + 1) % 3] == b {
                return Some(edge / 3);
            }
            edge = self.before[edge as usize];
        }
        None
    }

    /// Puts a vertex on an edge, in one triangle on either side; false if it has none.
    fn split_edge(&mut self, a: u32, b: u32, vertex: u32) -> bool {
        let (Some(left), Some(right)) = (self.along(a, b), self.along(b, a)) else { return false };
        self.split_side(left, a, b, vertex);
        self.split_side(right, b, a, vertex);
        true
    }

    fn split_side(&mut self, triangle: u32, a: u32, b: u32, vertex: u32) {
        let t = self.triangles[triangle as usize];
        let Some(c) = t.into_iter().find(|v| *v != a && *v != b) else { return };
        self.replace(triangle, [a, vertex, c]);
        self.append([vertex, b, c]);
    }

    fn replace(&mut self, triangle: u32, by: [u32; 3]) {
        self.forget(triangle);
        self.triangles[triangle as usize] = by;
        self.remember(triangle);
    }

    fn append(&mut self, triangle: [u32; 3]) {
        self.triangles.push(triangle);
        self.remember(self.triangles.len() as u32 - 1);
    }

    fn forget(&mut self, triangle: u32) {
        for (n, v) in self.triangles[triangle as usize].into_iter().enumerate() {
            let (gone, mut edge) = (3 * triangle + n as u32, self.heads[v as usize]);
            let rest = self.before[gone as usize];
            if edge == gone {
                self.heads[v as usize] = rest;
                continue;
            }
            while edge != NONE {
                let before = self.before[edge as usize];
                if before == gone {
                    self.before[edge as usize] = rest;
                    break;
                }
                edge = before;
            }
        }
    }

    fn remember(&mut self, triangle: u32) {
        self.before.resize(self.before.len().max(3 * triangle as usize + 3), NONE);
        for (n, v) in self.triangles[triangle as usize].into_iter().enumerate() {
            let edge = 3 * triangle + n as u32;
            self.before[edge as usize] = std::mem::replace(&mut self.heads[v as usize], edge);
        }
    }

    /// Draws a triangle through lost vertices, so that the surface comes within `bound` of the places they stand for.
    ///
    /// `lost` holds each vertex with its place, farthest first.
    pub(crate) fn pull(&mut self, triangle: u32, lost: &[(u32, [f32; 3])], bound: f32) {
        let mut pieces = vec![triangle];
        for &(vertex, place) in lost {
            let square = |t: u32| to_triangle(place, &self.corners(t));
            let Some(nearest) = pieces.iter().copied().min_by(|a, b| square(*a).total_cmp(&square(*b))) else { return };
            let t = self.triangles[nearest as usize];
            if square(nearest) <= bound * bound || t.iter().any(|&v| self.vertices[v as usize] == vertex) {
                continue;
            }
            let edge = beside(self.positions[vertex as usize], self.corners(nearest)).map(|n| (t[n], t[(n + 1) % 3]));
            let (first, new) = (self.triangles.len() as u32, self.add(vertex));
            if !edge.is_some_and(|(a, b)| self.split_edge(a, b, new)) {
                let [a, b, c] = t;
                self.replace(nearest, [a, b, new]);
                self.append([b, c, new]);
                self.append([c, a, new]);
            }
            pieces.extend(first..self.triangles.len() as u32);
        }
    }
}

/// Part of a triangle's area below which a point counts as lying on its edge.
const ON_EDGE: f32 = 0.1;

/// The edge, by its first corner, that the foot of a point lies on or beyond.
fn beside(p: [f32; 3], [a, b, c]: [[f32; 3]; 3]) -> Option<usize> {
    let n = area_vector([a, b, c]);
    let shares = [(a, b), (b, c), (c, a)].map(|(q, r)| dot(area_vector([q, r, p]), n));
    let least = (0..3).min_by(|&m, &n| shares[m].total_cmp(&shares[n]))?;
    (shares[least] < ON_EDGE * dot(n, n)).then_some(least)
}

/// Twice a triangle's area, along its normal.
fn area_vector([a, b, c]: [[f32; 3]; 3]) -> [f32; 3] {
    let (u, v) = (minus(b, a), minus(c, a));
    [u[1] * v[2] - u[2] * v[1], u[2] * v[0] - u[0] * v[2], u[0] * v[1] - u[1] * v[0]]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mesh::topology;

    const PLACES: [[f32; 3]; 9] = [
        [0.0, 0.0, 0.0],
        [4.0, 0.0, 0.0],
        [2.0, 3.0, 0.0],
        [2.0, -3.0, 0.0],
        [2.0, 0.0, 3.0],
        [2.0, 0.0, -3.0],
        [2.0, 0.2, 1.0],
        [2.0, 0.9, 0.5],
        [2.0, 0.0, 0.1],
    ];

    #[test]
    fn two_sheets_on_one_edge_come_apart() {
        // Two tetrahedra that share the edge between 0 and 1.
        let mut triangles = vec![[0, 1, 2], [1, 0, 4], [0, 2, 4], [1, 4, 2]];
        triangles.extend([[0, 1, 3], [1, 0, 5], [0, 3, 5], [1, 5, 3]]);
        assert_eq!(topology(&triangles).crowded_edges, 1);
        let mut mending = Mending::new(&PLACES, &triangles);
        assert!(!mending.divert(&[(0, 1)]), "no vertex is offered");
        mending.offer([8].into_iter(), 2.0);
        assert!(mending.divert(&[(0, 1)]));
        let mended = topology(&mending.finish());
        assert_eq!((mended.crowded_edges, mended.open_edges), (0, 0));
    }

    #[test]
    fn a_triangle_is_drawn_through_what_was_lost() {
        // A tetrahedron, closed; 6 lies over the face 0 1 2, 7 over its edge between 0 and 1 no more.
        let triangles = vec![[0, 1, 2], [1, 0, 5], [0, 2, 5], [1, 5, 2]];
        let mut mending = Mending::new(&PLACES, &triangles);
        mending.pull(0, &[(6, PLACES[6]), (7, PLACES[7])], 0.2);
        let mended = mending.finish();
        let topology = topology(&mended);
        assert_eq!((topology.crowded_edges, topology.open_edges, topology.euler), (0, 0, 2));
        for lost in [6, 7] {
            let corners = |t: &[u32; 3]| t.map(|v| PLACES[v as usize]);
            let least = mended.iter().map(|t| to_triangle(PLACES[lost], &corners(t))).fold(f32::INFINITY, f32::min);
            assert!(least <= 0.2 * 0.2, "{lost}: {least}");
        }
    }
}
