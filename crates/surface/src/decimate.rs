//! Decimation of one tile by meshopt, with its result checked.

use std::cell::RefCell;

use meshopt::{SimplifyOptions, VertexDataAdapter};

/// Tries before a tile is left as it came.
const TRIES: usize = 5;

/// Whether a vertex may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Locks {
    /// It may.
    Free,
    /// It stays for the sake of this tile.
    Own,
    /// It stays, since other tiles use it too.
    Shared,
}

/// Reduces a tile as far as the error allows.
///
/// The result has the same border, no edge with more than two triangles, no new edge between two shared vertices (which a
/// neighbouring tile might make too), and at least the six outermost vertices of every closed piece.
pub(crate) fn decimate_tile(
    triangles: &[[u32; 3]],
    max_error: f32,
    position: impl Fn(u32) -> [f32; 3],
    lock: impl Fn(u32) -> Locks,
) -> Vec<[u32; 3]> {
    let (local, vertices) = to_local(triangles);
    let positions: Vec<[f32; 3]> = vertices.iter().map(|&v| position(v)).collect();
    let kinds: Vec<Locks> = vertices.iter().map(|&v| lock(v)).collect();
    let mut locks: Vec<bool> = kinds.iter().map(|k| *k != Locks::Free).collect();
    lock_extremes(&local, &positions, &mut locks);
    let rim = Rim::of(&local, kinds.iter().map(|k| *k == Locks::Shared).collect());
    for _ in 0..TRIES {
        let reduced = simplify(&local, &positions, &locks, max_error);
        let faults = rim.faults(&reduced);
        if faults.is_empty() {
            return reduced.into_iter().map(|t| t.map(|v| vertices[v as usize])).collect();
        }
        lock_around(&local, &faults, &mut locks);
    }
    triangles.to_vec()
}

/// One call of meshopt; the error is in the unit of the positions.
pub(crate) fn simplify(
    triangles: &[[u32; 3]],
    positions: &[[f32; 3]],
    locks: &[bool],
    max_error: f32,
) -> Vec<[u32; 3]> {
    let Ok(vertices) = VertexDataAdapter::new(bytemuck::cast_slice(positions), 12, 0) else {
        return triangles.to_vec();
    };
    let options = SimplifyOptions::ErrorAbsolute;
    let indices = bytemuck::cast_slice(triangles);
    let reduced = meshopt::simplify_with_locks(indices, &vertices, locks, 0, max_error, options, None);
    reduced.as_chunks::<3>().0.to_vec()
}

thread_local! {
    /// Local number + 1 of each vertex; all zero between uses.
    static NUMBERS: RefCell<Vec<u32>> = const { RefCell::new(Vec::new()) };
}

/// Renumbers vertices from 0 in order of first use; also returns the old numbers.
pub(crate) fn to_local(triangles: &[[u32; 3]]) -> (Vec<[u32; 3]>, Vec<u32>) {
    NUMBERS.with_borrow_mut(|numbers| {
        let top = triangles.iter().flatten().copied().max().map_or(0, |v| v as usize + 1);
        if numbers.len() < top {
            numbers.resize(top, 0);
        }
        let mut vertices = Vec::with_capacity(triangles.len() / 2 + 8);
        let local = triangles
            .iter()
            .map(|t| {
                t.map(|v| {
                    let number = &mut numbers[v as usize];
                    if *number == 0 {
                        vertices.push(v);
                        *number = vertices.len() as u32;
                    }
                    *number - 1
                })
            })
            .collect();
        for &v in &vertices {
            numbers[v as usize] = 0;
        }
        (local, vertices)
    })
}

/// Locks the outermost vertices along each axis of every piece with fewer than four locked ones, so that it cannot vanish.
fn lock_extremes(triangles: &[[u32; 3]], positions: &[[f32; 3]], locks: &mut [bool]) {
    let mut parent: Vec<u32> = (0..positions.len() as u32).collect();
    for t in triangles {
        let roots = t.map(|v| root(&mut parent, v));
        let least = roots[0].min(roots[1]).min(roots[2]);
        for r in roots {
            parent[r as usize] = least;
        }
    }
    let roots: Vec<u32> = (0..positions.len() as u32).map(|v| root(&mut parent, v)).collect();
    let mut locked = vec![0u32; positions.len()];
    for (root, lock) in roots.iter().zip(&*locks) {
        locked[*root as usize] += u32::from(*lock);
    }
    if roots.iter().enumerate().all(|(v, &r)| r as usize != v || locked[v] >= 4) {
        return;
    }
    let mut extremes = vec![[u32::MAX; 6]; positions.len()];
    for (v, &r) in roots.iter().enumerate().filter(|(_, r)| locked[**r as usize] < 4) {
        for (n, extreme) in extremes[r as usize].iter_mut().enumerate() {
            let sign = if n % 2 == 0 { 1.0 } else { -1.0 };
            let beats = |old: u32| sign * positions[v][n / 2] < sign * positions[old as usize][n / 2];
            if *extreme == u32::MAX || beats(*extreme) {
                *extreme = v as u32;
            }
        }
    }
    for v in extremes.into_iter().flatten().filter(|v| *v != u32::MAX) {
        locks[v as usize] = true;
    }
}

fn root(parent: &mut [u32], mut v: u32) -> u32 {
    while parent[v as usize] != v {
        let up = parent[parent[v as usize] as usize];
        parent[v as usize] = up;
        v = up;
    }
    v
}

/// What the tile's neighbours rely on: its edges between shared vertices.
struct Rim {
    /// Directed edges between shared vertices, sorted.
    edges: Vec<u64>,
    shared: Vec<bool>,
}

impl Rim {
    fn of(triangles: &[[u32; 3]], shared: Vec<bool>) -> Self {
        let mut edges = directed_edges(triangles);
        edges.retain(|&e| both(e, &shared));
        edges.sort_unstable();
        Self { edges, shared }
    }

    fn has(&self, edge: u64) -> bool {
        self.edges.binary_search(&edge).is_ok()
    }

    /// Vertices of edges that must not be.
    fn faults(&self, triangles: &[[u32; 3]]) -> Vec<u32> {
        let mut edges = directed_edges(triangles);
        edges.sort_unstable();
        let mut faults = Vec::new();
        let mut rim_found = 0;
        for (n, &edge) in edges.iter().enumerate() {
            let twice = n > 0 && edges[n - 1] == edge;
            let held = both(edge, &self.shared);
            let known = held && self.has(edge);
            rim_found += usize::from(known);
            let open = edges.binary_search(&reversed(edge)).is_err() && (!known || self.has(reversed(edge)));
            let new = held && !known;
            if twice || open || new {
                faults.extend([(edge >> 32) as u32, edge as u32]);
            }
        }
        if faults.is_empty() && rim_found < self.edges.len() {
            // An edge of the border is gone; its ends tell where.
            for &edge in self.edges.iter().filter(|e| !self.has(reversed(**e)) && edges.binary_search(e).is_err()) {
                faults.extend([(edge >> 32) as u32, edge as u32]);
            }
        }
        faults.sort_unstable();
        faults.dedup();
        faults
    }
}

fn both(edge: u64, locks: &[bool]) -> bool {
    locks[(edge >> 32) as usize] && locks[edge as u32 as usize]
}

fn reversed(edge: u64) -> u64 {
    edge.rotate_left(32)
}

fn directed_edges(triangles: &[[u32; 3]]) -> Vec<u64> {
    let edge = |a: u32, b: u32| u64::from(a) << 32 | u64::from(b);
    triangles.iter().flat_map(|&[a, b, c]| [edge(a, b), edge(b, c), edge(c, a)]).collect()
}

/// Locks the given vertices and their neighbours.
fn lock_around(triangles: &[[u32; 3]], vertices: &[u32], locks: &mut [bool]) {
    for t in triangles.iter().filter(|t| t.iter().any(|v| vertices.binary_search(v).is_ok())) {
        for &v in t {
            locks[v as usize] = true;
        }
    }
}
