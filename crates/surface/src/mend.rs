//! Local repairs of a decimated tile: bringing single vertices back instead of decimating again.

use std::collections::BTreeMap;

use crate::distance::to_triangle;

/// A tile being repaired.
pub(crate) struct Mending<'a> {
    positions: &'a [[f32; 3]],
    triangles: Vec<[u32; 3]>,
    /// Triangles by the directed edges that matter.
    edges: BTreeMap<(u32, u32), Vec<u32>>,
    /// Vertices that decimation took away, by place.
    spares: BTreeMap<[i32; 3], Vec<u32>>,
    cell: f32,
}

impl<'a> Mending<'a> {
    /// `edges` tells the directed edges that may be split.
    pub(crate) fn new(positions: &'a [[f32; 3]], triangles: Vec<[u32; 3]>, matters: impl Fn(u32, u32) -> bool) -> Self {
        let mut edges: BTreeMap<(u32, u32), Vec<u32>> = BTreeMap::new();
        for (n, t) in triangles.iter().enumerate() {
            for (a, b) in directed(*t) {
                if matters(a, b) {
                    edges.entry((a, b)).or_default().push(n as u32);
                }
            }
        }
        Self { positions, triangles, edges, spares: BTreeMap::new(), cell: 1.0 }
    }

    /// Offers vertices that are in no triangle; edges take those within about `radius` of their middle.
    pub(crate) fn offer(&mut self, spares: impl Iterator<Item = u32>, radius: f32) {
        self.cell = radius;
        for v in spares {
            self.spares.entry(self.cell_of(self.positions[v as usize])).or_default().push(v);
        }
    }

    /// The repaired triangles.
    pub(crate) fn finish(self) -> Vec<[u32; 3]> {
        self.triangles
    }

    fn cell_of(&self, p: [f32; 3]) -> [i32; 3] {
        p.map(|x| (x / self.cell).floor() as i32)
    }

    /// Leads one of the sheets through an edge round by the spare vertex nearest to its middle; false if there is none near.
    pub(crate) fn divert(&mut self, a: u32, b: u32) -> bool {
        let (p, q) = (self.positions[a as usize], self.positions[b as usize]);
        let middle = [0, 1, 2].map(|x| 0.5 * (p[x] + q[x]));
        let [x, y, z] = self.cell_of(middle);
        let near = (0..27).map(|n| [x + n % 3 - 1, y + n / 3 % 3 - 1, z + n / 9 - 1]);
        let square = |v: u32| {
            let off = minus(self.positions[v as usize], middle);
            dot(off, off)
        };
        let spares = near.flat_map(|cell| self.spares.get(&cell).into_iter().flatten().map(move |&v| (cell, v)));
        let Some((cell, spare)) = spares.min_by(|a, b| square(a.1).total_cmp(&square(b.1))) else { return false };
        if let Some(list) = self.spares.get_mut(&cell) {
            list.retain(|v| *v != spare);
        }
        self.split_edge(a, b, spare)
    }

    /// Puts a vertex on an edge, in one triangle on either side; false if it has none.
    fn split_edge(&mut self, a: u32, b: u32, vertex: u32) -> bool {
        let last = |a, b| self.edges.get(&(a, b)).and_then(|list| list.last()).copied();
        let (Some(left), Some(right)) = (last(a, b), last(b, a)) else { return false };
        self.split_side(left, a, b, vertex);
        self.split_side(right, b, a, vertex);
        true
    }

    fn split_side(&mut self, triangle: u32, a: u32, b: u32, vertex: u32) {
        let t = self.triangles[triangle as usize];
        let Some(c) = t.into_iter().find(|v| *v != a && *v != b) else { return };
        self.forget(triangle);
        self.triangles[triangle as usize] = [a, vertex, c];
        self.remember(triangle);
        self.triangles.push([vertex, b, c]);
        self.remember(self.triangles.len() as u32 - 1);
    }

    fn forget(&mut self, triangle: u32) {
        for edge in directed(self.triangles[triangle as usize]) {
            if let Some(list) = self.edges.get_mut(&edge) {
                list.retain(|t| *t != triangle);
            }
        }
    }

    fn remember(&mut self, triangle: u32) {
        for edge in directed(self.triangles[triangle as usize]) {
            self.edges.entry(edge).or_default().push(triangle);
        }
    }

    /// Draws a triangle through lost vertices, so that the surface comes within `bound` of the places they stand for.
    ///
    /// `lost` holds each vertex with its place, farthest first. All edges must matter.
    pub(crate) fn pull(&mut self, triangle: u32, lost: &[(u32, [f32; 3])], bound: f32) {
        let mut pieces = vec![triangle];
        for &(vertex, place) in lost {
            let corners = |t: u32| self.triangles[t as usize].map(|v| self.positions[v as usize]);
            let square = |t: u32| to_triangle(place, &corners(t));
            let Some(nearest) = pieces.iter().copied().min_by(|a, b| square(*a).total_cmp(&square(*b))) else { return };
            if square(nearest) <= bound * bound || self.triangles[nearest as usize].contains(&vertex) {
                continue;
            }
            let t = self.triangles[nearest as usize];
            let first = self.triangles.len() as u32;
            let edge = beside(self.positions[vertex as usize], corners(nearest)).map(|n| (t[n], t[(n + 1) % 3]));
            if !edge.is_some_and(|(a, b)| self.split_edge(a, b, vertex)) {
                let [a, b, c] = t;
                self.forget(nearest);
                self.triangles[nearest as usize] = [a, b, vertex];
                self.triangles.extend([[b, c, vertex], [c, a, vertex]]);
                for t in [nearest, first, first + 1] {
                    self.remember(t);
                }
            }
            pieces.extend(first..self.triangles.len() as u32);
        }
    }
}

fn directed([a, b, c]: [u32; 3]) -> [(u32, u32); 3] {
    [(a, b), (b, c), (c, a)]
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

fn minus(p: [f32; 3], q: [f32; 3]) -> [f32; 3] {
    [0, 1, 2].map(|x| p[x] - q[x])
}

fn dot(u: [f32; 3], v: [f32; 3]) -> f32 {
    u[0] * v[0] + u[1] * v[1] + u[2] * v[2]
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
        let mut mending = Mending::new(&PLACES, triangles, |a, b| a.min(b) == 0 && a.max(b) == 1);
        assert!(!mending.divert(0, 1), "no vertex is offered");
        mending.offer([8].into_iter(), 2.0);
        assert!(mending.divert(0, 1));
        let mended = topology(&mending.finish());
        assert_eq!((mended.crowded_edges, mended.open_edges), (0, 0));
    }

    #[test]
    fn a_triangle_is_drawn_through_what_was_lost() {
        // A tetrahedron, closed; 6 lies over the face 0 1 2, 7 over its edge between 0 and 1 no more.
        let triangles = vec![[0, 1, 2], [1, 0, 5], [0, 2, 5], [1, 5, 2]];
        let mut mending = Mending::new(&PLACES, triangles, |_, _| true);
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
