//! Normals of the undecimated surface, kept for the vertices that decimation leaves.

use rayon::prelude::*;

use crate::assemble::Facing;
use crate::axes::{each, per_axis};
use crate::decimate::to_local;
use crate::nets::{Bound, Net};
use crate::patches::Tile;

/// Normals at vertices of the filtered net, in index space, of any length, pointing to the side of the lower label.
pub(crate) struct Normals<'a> {
    net: &'a Net,
    /// Where three or more labels meet: vertex, patch, area vector; in order.
    seams: Vec<(u32, u32, [f32; 3])>,
}

impl<'a> Normals<'a> {
    /// Takes over the net's own and adds those along seams, patch by patch.
    pub(crate) fn of_tiles(net: &'a Net, tiles: &[Tile]) -> Self {
        let filtered = net.positions(Bound::Box(f32::INFINITY));
        let mut seams: Vec<(u32, u32, [f32; 3])> = tiles
            .par_iter()
            .flat_map_iter(|tile| {
                let at_seam = |t: &&[u32; 3]| t.iter().any(|&v| net.on_seam(v));
                let triangles: Vec<[u32; 3]> = tile.triangles.iter().filter(at_seam).copied().collect();
                area_vectors(&filtered, &triangles).into_iter().map(|(vertex, n)| (vertex, tile.patch, n))
            })
            .filter(|&(vertex, _, _)| net.on_seam(vertex))
            .collect();
        seams.par_sort_by_key(|&(vertex, patch, _)| (vertex, patch));
        Self { net, seams }
    }

    /// The outward normal of a vertex for a segment that uses patches so; `facing` is that of a patch at the vertex.
    pub(crate) fn of(&self, vertex: u32, facing: Facing, facings: &[Option<Facing>]) -> [f32; 3] {
        let turn = |n: [f32; 3], facing| match facing {
            Some(Facing::Outward) => n,
            Some(Facing::Inward) => each(n, |x| -x),
            None => [0.0; 3],
        };
        if !self.net.on_seam(vertex) {
            let [x, y, z] = self.net.normal(vertex).unwrap_or_default().to_array();
            return turn([x, y, z], Some(facing));
        }
        let first = self.seams.partition_point(|s| s.0 < vertex);
        self.seams[first..].iter().take_while(|s| s.0 == vertex).fold([0.0; 3], |sum, &(_, patch, n)| {
            let n = turn(n, facings[patch as usize]);
            per_axis(|a| sum[a] + n[a])
        })
    }
}

fn area_vectors(positions: &[[f32; 3]], triangles: &[[u32; 3]]) -> Vec<(u32, [f32; 3])> {
    let (local, vertices) = to_local(triangles);
    let mut sums = vec![[0.0f32; 3]; vertices.len()];
    for t in &local {
        let [a, b, c] = each(*t, |v| positions[vertices[v as usize] as usize]);
        let (u, v) = (per_axis(|x| b[x] - a[x]), per_axis(|x| c[x] - a[x]));
        let n = [u[1] * v[2] - u[2] * v[1], u[2] * v[0] - u[0] * v[2], u[0] * v[1] - u[1] * v[0]];
        for v in t {
            let sum = &mut sums[*v as usize];
            *sum = per_axis(|x| sum[x] + n[x]);
        }
    }
    vertices.into_iter().zip(sums).collect()
}
