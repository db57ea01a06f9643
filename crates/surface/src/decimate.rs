//! Decimation of one tile by meshopt, with its result checked.

use std::cell::RefCell;

use meshopt::{SimplifyOptions, VertexDataAdapter};

use crate::axes::each;
use crate::mend::Mending;

/// How near a vertex must be to lead an edge round by it, in parts of the error that decimation may make.
pub(crate) const SPARE_RADIUS: f32 = 12.0;

/// Part of a tile's triangles below which decimation stops: the next level goes on from there, at less cost and with a better choice of
/// what goes first.
const LEAST_SHARE: f32 = 0.3;

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

/// A tile after decimation.
pub(crate) struct Decimated {
    /// What is left.
    pub(crate) triangles: Vec<[u32; 3]>,
    /// Edges between two shared vertices, each once, with the lower vertex in the upper half; true if decimation made the edge.
    ///
    /// Another tile may have made the same one; the two together would crowd it.
    pub(crate) shared_edges: Vec<(u64, bool)>,
}

/// Reduces a tile as far as the error allows.
///
/// The result has the same border, no edge with more than two triangles, and at least the six outermost vertices of every closed
/// piece.
pub(crate) fn decimate_tile(
    triangles: &[[u32; 3]],
    max_error: f32,
    position: impl Fn(u32) -> [f32; 3],
    lock: impl Fn(u32) -> Locks,
) -> Decimated {
    let (local, vertices) = to_local(triangles);
    let positions: Vec<[f32; 3]> = vertices.iter().map(|&v| position(v)).collect();
    let kinds: Vec<Locks> = vertices.iter().map(|&v| lock(v)).collect();
    let mut locks: Vec<bool> = kinds.iter().map(|k| *k != Locks::Free).collect();
    lock_extremes(&local, &positions, &mut locks);
    let shared: Vec<bool> = kinds.iter().map(|k| *k == Locks::Shared).collect();
    let least = (local.len() as f32 * LEAST_SHARE) as usize;
    let mut reduced = simplify(&local, &positions, &locks, least, max_error);
    remove_fins(&mut reduced);
    let crowded = crowded_edges(&reduced);
    if crowded.is_empty() {
        return Decimated::of(&reduced, &local, &vertices, &shared);
    }
    let mut used = vec![false; positions.len()];
    for v in reduced.iter().flatten() {
        used[*v as usize] = true;
    }
    let mut mending = Mending::new(&positions, &reduced);
    mending.offer((0..positions.len() as u32).filter(|v| !used[*v as usize]), SPARE_RADIUS * max_error);
    if mending.divert(&crowded) {
        Decimated::of(&mending.finish(), &local, &vertices, &shared)
    } else {
        Decimated::of(&local, &local, &vertices, &shared)
    }
}

/// A tile left as it came.
pub(crate) fn keep_tile(triangles: &[[u32; 3]], is_shared: impl Fn(u32) -> bool) -> Decimated {
    let (local, vertices) = to_local(triangles);
    let shared: Vec<bool> = vertices.iter().map(|&v| is_shared(v)).collect();
    Decimated::of(&local, &local, &vertices, &shared)
}

impl Decimated {
    /// Triangles are of local vertices; `vertices` holds their numbers, `shared` tells which are.
    fn of(reduced: &[[u32; 3]], before: &[[u32; 3]], vertices: &[u32], shared: &[bool]) -> Self {
        let edges = |triangles: &[[u32; 3]]| {
            let mut edges = Vec::new();
            for t in triangles {
                let held = each(*t, |v| shared[v as usize]);
                for n in 0..3 {
                    let m = (n + 1) % 3;
                    if held[n] && held[m] {
                        let (a, b) = (vertices[t[n] as usize], vertices[t[m] as usize]);
                        edges.push(u64::from(a.min(b)) << 32 | u64::from(a.max(b)));
                    }
                }
            }
            edges.sort_unstable();
            edges.dedup();
            edges
        };
        let old = edges(before);
        let new = edges(reduced).into_iter().filter(|e| old.binary_search(e).is_err()).map(|e| (e, true));
        let shared_edges = new.chain(old.iter().map(|e| (*e, false))).collect();
        Self { triangles: reduced.iter().map(|t| each(*t, |v| vertices[v as usize])).collect(), shared_edges }
    }
}

/// One call of meshopt, down to `least` triangles; the error is in the unit of the positions.
pub(crate) fn simplify(
    triangles: &[[u32; 3]],
    positions: &[[f32; 3]],
    locks: &[bool],
    least: usize,
    max_error: f32,
) -> Vec<[u32; 3]> {
    let Ok(vertices) = VertexDataAdapter::new(bytemuck::cast_slice(positions), 12, 0) else {
        return triangles.to_vec();
    };
    let options = SimplifyOptions::ErrorAbsolute;
    let indices = bytemuck::cast_slice(triangles);
    let reduced = meshopt::simplify_with_locks(indices, &vertices, locks, 3 * least, max_error, options, None);
    reduced.as_chunks::<3>().0.to_vec()
}

/// Orders the triangles of a tile for the vertex cache, whichever way round they are seen.
pub(crate) fn in_cache_order(triangles: &[[u32; 3]]) -> Vec<[u32; 3]> {
    if triangles.is_empty() {
        return Vec::new();
    }
    let (local, vertices) = to_local(triangles);
    let ordered = meshopt::optimize_vertex_cache(bytemuck::cast_slice(&local), vertices.len());
    ordered.as_chunks::<3>().0.iter().map(|t| each(*t, |v| vertices[v as usize])).collect()
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
                each(*t, |v| {
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
pub(crate) fn lock_extremes(triangles: &[[u32; 3]], positions: &[[f32; 3]], locks: &mut [bool]) {
    let mut parent: Vec<u32> = (0..positions.len() as u32).collect();
    for t in triangles {
        let roots = each(*t, |v| root(&mut parent, v));
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

/// Removes pairs of triangles that lie back to back, which meshopt leaves where a thin piece collapses.
pub(crate) fn remove_fins(triangles: &mut Vec<[u32; 3]>) {
    let mut keys: Vec<([u32; 3], bool, u32)> = Vec::with_capacity(triangles.len());
    for (n, t) in triangles.iter().enumerate() {
        let mut key = *t;
        key.sort_unstable();
        let is_turned = key != *t && key != [t[1], t[2], t[0]] && key != [t[2], t[0], t[1]];
        keys.push((key, is_turned, n as u32));
    }
    keys.sort_unstable();
    let mut gone = Vec::new();
    for run in keys.chunk_by(|a, b| a.0 == b.0).filter(|run| run.len() > 1) {
        let straight = run.partition_point(|k| !k.1);
        let pairs = straight.min(run.len() - straight);
        gone.extend(run[..pairs].iter().chain(&run[run.len() - pairs..]).map(|k| k.2));
    }
    if gone.is_empty() {
        return;
    }
    gone.sort_unstable();
    let mut n = 0;
    triangles.retain(|_| {
        n += 1;
        gone.binary_search(&(n - 1)).is_err()
    });
}

/// Edges that two triangles run along in the same direction, the lower vertex first; one entry for each sheet too many, in order.
fn crowded_edges(triangles: &[[u32; 3]]) -> Vec<(u32, u32)> {
    let key = |a: u32, b: u32| u64::from(a.min(b)) << 33 | u64::from(a.max(b)) << 1 | u64::from(a < b);
    let mut edges: Vec<u64> = triangles.iter().flat_map(|&[a, b, c]| [key(a, b), key(b, c), key(c, a)]).collect();
    edges.sort_unstable();
    let mut crowded = Vec::new();
    for run in edges.chunk_by(|a, b| a >> 1 == b >> 1).filter(|run| run.len() > 2) {
        let up = run.iter().filter(|e| **e & 1 == 1).count();
        let sheets = up.max(run.len() - up);
        crowded.extend((1..sheets).map(|_| ((run[0] >> 33) as u32, (run[0] >> 1) as u32)));
    }
    crowded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fins_go_and_what_they_stood_on_stays() {
        // A fin on the edge between 0 and 1, and a pair that lies alike.
        let mut triangles = vec![[0, 1, 2], [1, 0, 3], [0, 1, 4], [1, 0, 4], [5, 6, 7], [6, 7, 5]];
        remove_fins(&mut triangles);
        assert_eq!(triangles, [[0, 1, 2], [1, 0, 3], [5, 6, 7], [6, 7, 5]]);
    }

    #[test]
    fn crowded_edges_are_found_inside_and_on_the_rim() {
        let two_sheets = [[0, 1, 2], [1, 0, 3], [0, 1, 4], [1, 0, 5]];
        assert_eq!(crowded_edges(&two_sheets), [(0, 1)]);
        assert_eq!(crowded_edges(&[[1, 0, 2], [0, 1, 3], [1, 0, 4]]), [(0, 1)], "a rim and a sheet");
        assert!(crowded_edges(&two_sheets[..2]).is_empty());
    }
}
