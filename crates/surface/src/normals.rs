//! Normals of the undecimated surface, kept for the vertices that decimation leaves.

use rayon::prelude::*;

use crate::assemble::Facing;
use crate::decimate::to_local;
use crate::nets::Net;
use crate::patches::{Shared, Tile};

/// Area vectors at vertices, in index space, pointing to the side of the lower label.
pub(crate) struct Normals {
    /// For vertices that only one tile of the finest level uses.
    own: Vec<[f32; 3]>,
    patch: Vec<u32>,
    /// For the others: vertex, patch, area vector; in order.
    shared: Vec<(u32, u32, [f32; 3])>,
}

impl Normals {
    /// Sums the area vectors of the triangles round each vertex, patch by patch.
    pub(crate) fn of_tiles(net: &Net, tiles: &[Tile], is_shared: &Shared) -> Self {
        let sums: Vec<Vec<(u32, [f32; 3])>> = tiles.par_iter().map(|tile| area_vectors(net, tile)).collect();
        let mut own = vec![[0.0; 3]; net.moves.len()];
        let mut patch = vec![u32::MAX; net.moves.len()];
        let mut shared = Vec::new();
        for (tile, sums) in tiles.iter().zip(sums) {
            for (vertex, sum) in sums {
                if is_shared.contains(vertex) {
                    shared.push((vertex, tile.patch, sum));
                } else {
                    own[vertex as usize] = sum;
                    patch[vertex as usize] = tile.patch;
                }
            }
        }
        shared.par_sort_by_key(|&(vertex, patch, _)| (vertex, patch));
        Self { own, patch, shared }
    }

    /// The outward area vector of a vertex for a segment that uses patches so.
    pub(crate) fn of(&self, vertex: u32, facings: &[Option<Facing>]) -> [f32; 3] {
        let turn = |n: [f32; 3], patch: u32| match facings[patch as usize] {
            Some(Facing::Outward) => n,
            Some(Facing::Inward) => n.map(|x| -x),
            None => [0.0; 3],
        };
        let patch = self.patch[vertex as usize];
        if patch != u32::MAX {
            return turn(self.own[vertex as usize], patch);
        }
        let first = self.shared.partition_point(|s| s.0 < vertex);
        self.shared[first..].iter().take_while(|s| s.0 == vertex).fold([0.0; 3], |sum, &(_, patch, n)| {
            let n = turn(n, patch);
            [0, 1, 2].map(|a| sum[a] + n[a])
        })
    }
}

fn area_vectors(net: &Net, tile: &Tile) -> Vec<(u32, [f32; 3])> {
    let (local, vertices) = to_local(&tile.triangles);
    let positions: Vec<[f32; 3]> = vertices.iter().map(|&v| net.position(v)).collect();
    let mut sums = vec![[0.0f32; 3]; vertices.len()];
    for t in &local {
        let [a, b, c] = t.map(|v| positions[v as usize]);
        let (u, v) = ([0, 1, 2].map(|x| b[x] - a[x]), [0, 1, 2].map(|x| c[x] - a[x]));
        let n = [u[1] * v[2] - u[2] * v[1], u[2] * v[0] - u[0] * v[2], u[0] * v[1] - u[1] * v[0]];
        for v in t {
            let sum = &mut sums[*v as usize];
            *sum = [0, 1, 2].map(|x| sum[x] + n[x]);
        }
    }
    vertices.into_iter().zip(sums).collect()
}
