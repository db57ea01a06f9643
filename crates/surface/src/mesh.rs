//! Triangle meshes in the patient's frame.

use std::collections::BTreeMap;

use rayon::prelude::*;

use crate::axes::{each, per_axis};

/// A triangle mesh in LPS millimetres; seen from outside, triangles run counterclockwise.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Mesh {
    /// Vertex positions, LPS mm.
    pub positions: Vec<[f32; 3]>,
    /// Unit normals that point outward, one a vertex.
    pub normals: Vec<[f32; 3]>,
    /// Three vertices each.
    pub triangles: Vec<[u32; 3]>,
}

/// How the triangles of a mesh hang together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Topology {
    /// Distinct edges.
    pub edges: usize,
    /// Edges that are not run along equally often in both directions: holes and flipped triangles.
    pub open_edges: usize,
    /// Edges with more than two triangles.
    pub crowded_edges: usize,
    /// V − E + F over the vertices in use: 2 for a sphere.
    pub euler: i64,
}

impl Mesh {
    /// Enclosed volume in mm³, positive if triangles face outward; meaningful for closed meshes.
    pub fn volume_mm3(&self) -> f64 {
        signed_volume(&self.positions, &self.triangles)
    }

    /// Counts edges by their triangles; vertices are told apart by index.
    pub fn topology(&self) -> Topology {
        topology(&self.triangles)
    }
}

/// Volume by the divergence theorem, about the first vertex so that far origins cost no precision.
pub(crate) fn signed_volume(positions: &[[f32; 3]], triangles: &[[u32; 3]]) -> f64 {
    let Some(origin) = positions.first().map(|p| each(*p, f64::from)) else { return 0.0 };
    let at = |v: u32| {
        let p = positions[v as usize];
        per_axis(|a| f64::from(p[a]) - origin[a])
    };
    let sixfold = |t: &[u32; 3]| {
        let [a, b, c] = each(*t, at);
        a[0] * (b[1] * c[2] - b[2] * c[1]) + a[1] * (b[2] * c[0] - b[0] * c[2]) + a[2] * (b[0] * c[1] - b[1] * c[0])
    };
    // Sums of fixed chunks, so that threads do not change the rounding.
    let sums: Vec<f64> = triangles.par_chunks(1 << 15).map(|chunk| chunk.iter().map(sixfold).sum()).collect();
    sums.into_iter().sum::<f64>() / 6.0
}

pub(crate) fn topology(triangles: &[[u32; 3]]) -> Topology {
    let mut edges: BTreeMap<(u32, u32), (u32, u32)> = BTreeMap::new();
    let mut used: Vec<u32> = triangles.iter().flatten().copied().collect();
    used.sort_unstable();
    used.dedup();
    for t in triangles {
        for n in 0..3 {
            let (a, b) = (t[n], t[(n + 1) % 3]);
            let count = edges.entry((a.min(b), a.max(b))).or_default();
            if a < b { count.0 += 1 } else { count.1 += 1 }
        }
    }
    Topology {
        edges: edges.len(),
        open_edges: edges.values().filter(|c| c.0 != c.1).count(),
        crowded_edges: edges.values().filter(|c| c.0 + c.1 > 2).count(),
        euler: used.len() as i64 - edges.len() as i64 + triangles.len() as i64,
    }
}
