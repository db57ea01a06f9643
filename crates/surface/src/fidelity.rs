//! How far a level of detail lies from the label boundary, measured on samples in both directions, patch by patch.

use rayon::prelude::*;

use crate::decimate::to_local;
use crate::distance::{Faces, Squared, TriangleGrid};
use crate::nets::Net;
use crate::patches::Tile;

/// Distances and what part of the area has them.
#[derive(Clone, Debug)]
pub(crate) struct Spread {
    pub(crate) max: Squared,
    /// Area by distance, in bins of `bin_mm`.
    bins: Vec<f32>,
    bin_mm: f32,
}

/// Bins of a spread.
const BINS: usize = 512;

impl Spread {
    /// Nothing yet; the last bin ends at `top_mm`.
    pub(crate) fn new(top_mm: f32) -> Self {
        Self { max: Squared { voxels: 0.0, mm: 0.0 }, bins: vec![0.0; BINS], bin_mm: top_mm / BINS as f32 }
    }

    fn add(&mut self, distance: Squared, area: f32) {
        self.max.voxels = self.max.voxels.max(distance.voxels);
        self.max.mm = self.max.mm.max(distance.mm);
        let bin = (distance.mm.sqrt() / self.bin_mm) as usize;
        self.bins[bin.min(BINS - 1)] += area;
    }

    /// Takes another's samples in.
    pub(crate) fn merge(&mut self, other: &Self) {
        self.max.voxels = self.max.voxels.max(other.max.voxels);
        self.max.mm = self.max.mm.max(other.max.mm);
        for (bin, more) in self.bins.iter_mut().zip(&other.bins) {
            *bin += more;
        }
    }

    /// The distance that a share of the area does not exceed, in mm, to a bin's width.
    pub(crate) fn quantile_mm(&self, share: f32) -> f32 {
        let goal = share * self.bins.iter().sum::<f32>();
        let mut sum = 0.0;
        for (n, &area) in self.bins.iter().enumerate() {
            if sum + area >= goal && area > 0.0 {
                let edge = (n as f32 + ((goal - sum) / area).clamp(0.0, 1.0)) * self.bin_mm;
                return edge.min(self.max.mm.sqrt());
            }
            sum += area;
        }
        self.max.mm.sqrt()
    }
}

/// How densely a level is sampled, in voxels.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Density {
    /// Longest edge of the pieces of a triangle whose middles are measured; all vertices are measured too.
    pub(crate) surface: f32,
    /// Of the voxel corners on the boundary, those whose indices' sum is a multiple of this are measured.
    pub(crate) every: u16,
}

impl Density {
    /// Distance between samples in voxels, the larger of both directions.
    pub(crate) fn spacing(self) -> f32 {
        // Corners with i + j a multiple of n lie on diagonals n/√2 apart, √2 apart along each.
        let boundary = if self.every == 1 {
            1.0
        } else {
            std::f32::consts::SQRT_2.max(f32::from(self.every) / std::f32::consts::SQRT_2)
        };
        boundary.max(self.surface)
    }
}

/// A sample that lies too far off.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fault {
    /// The patch it belongs to.
    pub(crate) patch: u32,
    /// The tile of the nearest triangle, if any is near.
    pub(crate) tile: Option<usize>,
    /// Where, in continuous voxel index.
    pub(crate) at: [f32; 3],
}

/// Distances from the triangles of a tile to the boundary; samples beyond `bound` voxels go to `faults`.
pub(crate) fn surface_to_boundary(
    faces: &Faces,
    positions: &[[f32; 3]],
    tile: &Tile,
    sides: [u16; 2],
    density: Density,
    bound: f32,
    top_mm: f32,
) -> (Spread, Vec<[f32; 3]>) {
    let mut spread = Spread::new(top_mm);
    let mut faults = Vec::new();
    let square = bound * bound;
    let mut measure = |p: [f32; 3], area: f32| {
        let distance = faces.nearest(p, sides);
        spread.add(distance, area);
        if distance.voxels > square {
            faults.push(p);
        }
    };
    for v in to_local(&tile.triangles).1 {
        measure(positions[v as usize], 0.0);
    }
    for t in &tile.triangles {
        let [a, b, c] = t.map(|v| positions[v as usize]);
        let (u, v, w) = (minus(b, a), minus(c, a), minus(c, b));
        let longest = dot(u, u).max(dot(v, v)).max(dot(w, w)).sqrt();
        let n = ((longest / density.surface).ceil() as usize).max(1);
        let [sx, sy, sz] = faces.spacing;
        let mm = |v: [f32; 3]| [v[0] * sx, v[1] * sy, v[2] * sz];
        let (um, vm) = (mm(u), mm(v));
        let cross = [um[1] * vm[2] - um[2] * vm[1], um[2] * vm[0] - um[0] * vm[2], um[0] * vm[1] - um[1] * vm[0]];
        let area = 0.5 * dot(cross, cross).sqrt() / (n * n) as f32;
        let step = 1.0 / n as f32;
        for i in 0..n {
            for j in 0..n - i {
                let at = |s: f32, t: f32| {
                    [a[0] + u[0] * s + v[0] * t, a[1] + u[1] * s + v[1] * t, a[2] + u[2] * s + v[2] * t]
                };
                measure(at((i as f32 + 1.0 / 3.0) * step, (j as f32 + 1.0 / 3.0) * step), area);
                if i + j + 1 < n {
                    measure(at((i as f32 + 2.0 / 3.0) * step, (j as f32 + 2.0 / 3.0) * step), area);
                }
            }
        }
    }
    (spread, faults)
}

/// The triangles of each patch in a grid, with the tile of each.
pub(crate) struct PatchGrids {
    grids: Vec<Option<(TriangleGrid, Vec<u32>)>>,
}

impl PatchGrids {
    /// Sorts the triangles of the wanted patches; tiles are ordered by patch.
    pub(crate) fn new(tiles: &[Tile], positions: &[[f32; 3]], cell: f32, reach: [f32; 3], wanted: &[bool]) -> Self {
        let patches = wanted.len();
        let mut first = vec![0usize; patches + 1];
        for tile in tiles {
            first[tile.patch as usize + 1] += 1;
        }
        for n in 1..first.len() {
            first[n] += first[n - 1];
        }
        let grids = (0..patches)
            .into_par_iter()
            .map(|patch| {
                if !wanted[patch] {
                    return None;
                }
                let range = first[patch]..first[patch + 1];
                let count = tiles[range.clone()].iter().map(|t| t.triangles.len()).sum();
                let (mut triangles, mut owners) = (Vec::with_capacity(count), Vec::with_capacity(count));
                for n in range {
                    triangles.extend(tiles[n].triangles.iter().map(|t| t.map(|v| positions[v as usize])));
                    owners.resize(triangles.len(), n as u32);
                }
                Some((TriangleGrid::new(triangles, cell, reach), owners))
            })
            .collect();
        Self { grids }
    }

    /// Distances from voxel corners on the boundary of a patch to its triangles; too far ones go to the faults.
    pub(crate) fn boundary_to_surface(
        &self,
        net: &Net,
        corners: &[u32],
        patch: u32,
        spacing: [f32; 3],
        density: Density,
        bound: f32,
        top_mm: f32,
    ) -> (Spread, Vec<Fault>) {
        let mut spread = Spread::new(top_mm);
        let mut faults = Vec::new();
        let Some((grid, owners)) = &self.grids[patch as usize] else { return (spread, faults) };
        for &corner in corners {
            if net.cells[corner as usize].iter().fold(0u16, |sum, c| sum.wrapping_add(*c)) % density.every != 0 {
                continue;
            }
            let p = net.corner(corner);
            let (distance, triangle) = grid.nearest(p, spacing);
            spread.add(distance, 1.0);
            if distance.voxels > bound * bound {
                let tile = triangle.map(|t| owners[t] as usize);
                faults.push(Fault { patch, tile, at: p });
            }
        }
        (spread, faults)
    }
}

fn minus(a: [f32; 3], b: [f32; 3]) -> [f32; 3] {
    [a[0] - b[0], a[1] - b[1], a[2] - b[2]]
}

fn dot(a: [f32; 3], b: [f32; 3]) -> f32 {
    a[0] * b[0] + a[1] * b[1] + a[2] * b[2]
}
