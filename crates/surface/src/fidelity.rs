//! How far a level of detail lies from the label boundary, measured on samples in both directions, patch by patch.

use crate::decimate::to_local;
use crate::distance::{Enough, Faces, Squared, TriangleGrid};
use crate::nets::Net;
use crate::patches::Tile;

/// Distances and what part of the area has them.
#[derive(Clone, Debug)]
pub(crate) struct Spread {
    /// The square of the largest distance, in mm².
    pub(crate) max_mm: f32,
    /// Area by distance, in bins of `bin_mm`; from one in [`EXACT_EVERY`] samples.
    bins: Vec<f32>,
    bin_mm: f32,
}

/// Bins of a spread.
const BINS: usize = 512;

/// Of all samples, one in this many goes into the bins. The others only tell whether they lie farther off than any before, which
/// is far cheaper to find out than how far they lie.
const EXACT_EVERY: usize = 16;

impl Spread {
    /// Nothing yet; the last bin ends at `top_mm`.
    pub(crate) fn new(top_mm: f32) -> Self {
        Self { max_mm: 0.0, bins: vec![0.0; BINS], bin_mm: top_mm / BINS as f32 }
    }

    fn add(&mut self, mm: f32, area: f32) {
        let bin = (mm.sqrt() / self.bin_mm) as usize;
        self.bins[bin.min(BINS - 1)] += area;
    }

    /// Takes another's samples in.
    pub(crate) fn merge(&mut self, other: &Self) {
        self.max_mm = self.max_mm.max(other.max_mm);
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
                return edge.min(self.max_mm.sqrt());
            }
            sum += area;
        }
        self.max_mm.sqrt()
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

/// What distances are measured by.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Gauge {
    pub(crate) density: Density,
    /// Samples farther off are faults, in voxels.
    pub(crate) bound: f32,
    /// Where the bins of a spread end.
    pub(crate) top_mm: f32,
}

/// Collects the samples of one tile in one direction.
struct Tally {
    spread: Spread,
    bound: f32,
    samples: usize,
}

impl Tally {
    fn new(gauge: Gauge) -> Self {
        Self { spread: Spread::new(gauge.top_mm), bound: gauge.bound * gauge.bound, samples: 0 }
    }

    /// Measures one sample; true if it lies too far off.
    fn take(&mut self, area: f32, distance: impl FnOnce(Enough) -> Squared) -> bool {
        let exact = self.samples.is_multiple_of(EXACT_EVERY);
        self.samples += 1;
        let found = if exact {
            let found = distance(Enough::EXACT);
            self.spread.add(found.mm, area);
            found
        } else {
            distance(Enough { voxels: self.bound, mm: self.spread.max_mm })
        };
        self.spread.max_mm = self.spread.max_mm.max(found.mm);
        found.voxels > self.bound
    }
}

/// Distances from the triangles of a tile to the boundary; samples beyond the bound go to the faults.
pub(crate) fn surface_to_boundary(
    faces: &Faces,
    positions: &[[f32; 3]],
    tile: &Tile,
    sides: [u16; 2],
    gauge: Gauge,
) -> (Spread, Vec<[f32; 3]>) {
    let mut tally = Tally::new(gauge);
    let mut faults = Vec::new();
    let mut measure = |p: [f32; 3], area: f32| {
        if tally.take(area, |enough| faces.nearest(p, sides, enough)) {
            faults.push(p);
        }
    };
    for v in to_local(&tile.triangles).1 {
        measure(positions[v as usize], 0.0);
    }
    let [sx, sy, sz] = faces.spacing;
    let per_step = 1.0 / (gauge.density.surface * gauge.density.surface);
    for t in &tile.triangles {
        let [a, b, c] = t.map(|v| positions[v as usize]);
        let (u, v, w) = (minus(b, a), minus(c, a), minus(c, b));
        let longest = dot(u, u).max(dot(v, v)).max(dot(w, w)) * per_step;
        let n = if longest <= 1.0 { 1 } else { longest.sqrt().ceil() as usize };
        let mm = |v: [f32; 3]| [v[0] * sx, v[1] * sy, v[2] * sz];
        let (um, vm) = (mm(u), mm(v));
        let cross = [um[1] * vm[2] - um[2] * vm[1], um[2] * vm[0] - um[0] * vm[2], um[0] * vm[1] - um[1] * vm[0]];
        let area = 0.5 * dot(cross, cross).sqrt() / (n * n) as f32;
        let step = 1.0 / n as f32;
        let at = |s: f32, t: f32| [a[0] + u[0] * s + v[0] * t, a[1] + u[1] * s + v[1] * t, a[2] + u[2] * s + v[2] * t];
        for i in 0..n {
            for j in 0..n - i {
                measure(at((i as f32 + 1.0 / 3.0) * step, (j as f32 + 1.0 / 3.0) * step), area);
                if i + j + 1 < n {
                    measure(at((i as f32 + 2.0 / 3.0) * step, (j as f32 + 2.0 / 3.0) * step), area);
                }
            }
        }
    }
    (tally.spread, faults)
}

/// A sample of the boundary that lies too far off.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fault {
    /// The tile of the nearest triangle and its number there, if any is near.
    pub(crate) nearest: Option<(u32, u32)>,
    /// The vertex that stands for the place.
    pub(crate) vertex: u32,
    /// The square of the distance, in voxels.
    pub(crate) square: f32,
    /// Where, in continuous voxel index.
    pub(crate) at: [f32; 3],
}

/// The voxel corners on a piece of a patch, as vertices of the undecimated net.
pub(crate) struct Reference {
    /// Which patch.
    pub(crate) patch: u32,
    corners: Vec<u32>,
    /// The block of the finest level it lies in.
    pub(crate) block: u64,
    /// The box around the corners.
    pub(crate) bounds: Bounds,
}

impl Reference {
    /// The voxel corners that the vertices of an undecimated tile stand for.
    pub(crate) fn of(net: &Net, tile: &Tile) -> Self {
        let (_, corners) = to_local(&tile.triangles);
        let bounds = Bounds::of(corners.iter().map(|&v| net.corner(v)));
        Self { patch: tile.patch, block: tile.block, corners, bounds }
    }

    /// Distances from the corners to the nearest of `triangles`; those too far off go to the faults.
    ///
    /// `names` holds the tile of each triangle, and its number there. `known` are the places of all vertices if the surface still has
    /// them, which tells how far off a corner is at most.
    pub(crate) fn to_surface(
        &self,
        net: &Net,
        triangles: Vec<[[f32; 3]; 3]>,
        names: &[(u32, u32)],
        spacing: [f32; 3],
        known: Option<&[[f32; 3]]>,
        gauge: Gauge,
    ) -> (Spread, Vec<Fault>) {
        let grid = TriangleGrid::new(triangles, 2.0 + 2.0 * gauge.bound, reach(spacing, gauge.bound));
        let mut tally = Tally::new(gauge);
        let mut faults = Vec::new();
        let mut last = None;
        for &corner in &self.corners {
            if net.cells[corner as usize].iter().fold(0u16, |sum, c| sum.wrapping_add(*c)) % gauge.density.every != 0 {
                continue;
            }
            let p = net.corner(corner);
            let mut square = 0.0;
            let own = known.map(|positions| {
                let q = positions[corner as usize];
                let d = [0, 1, 2].map(|a| (p[a] - q[a]) * (p[a] - q[a]));
                Squared { voxels: d[0] + d[1] + d[2], mm: (0..3).map(|a| d[a] * spacing[a] * spacing[a]).sum() }
            });
            let far = tally.take(1.0, |enough| {
                if let Some(own) = own.filter(|own| own.suffices(enough)) {
                    return own;
                }
                let (distance, triangle) = grid.nearest(p, spacing, last, enough);
                (last, square) = (triangle, distance.voxels);
                distance
            });
            if far {
                faults.push(Fault { nearest: last.map(|t| names[t]), vertex: corner, square, at: p });
            }
        }
        (tally.spread, faults)
    }
}

/// How far along each axis triangles are looked for: the bound, and as many mm along finer axes, up to three times the bound.
pub(crate) fn reach(spacing: [f32; 3], bound: f32) -> [f32; 3] {
    let widest = spacing.into_iter().fold(0.0, f32::max);
    spacing.map(|s| bound * (widest / s).min(3.0) + 0.01)
}

/// A box along the axes, in continuous voxel index.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    /// Least coordinates.
    pub(crate) low: [f32; 3],
    /// Greatest coordinates.
    pub(crate) high: [f32; 3],
}

impl Bounds {
    /// The box around points; turned inside out if there are none.
    pub(crate) fn of(points: impl Iterator<Item = [f32; 3]>) -> Self {
        let start = Self { low: [f32::INFINITY; 3], high: [f32::NEG_INFINITY; 3] };
        points.fold(start, |b, p| Self {
            low: [0, 1, 2].map(|a| b.low[a].min(p[a])),
            high: [0, 1, 2].map(|a| b.high[a].max(p[a])),
        })
    }

    /// True if the two boxes come within `reach` of each other along every axis.
    pub(crate) fn near(&self, other: &Self, reach: [f32; 3]) -> bool {
        (0..3).all(|a| self.low[a] - reach[a] <= other.high[a] && other.low[a] <= self.high[a] + reach[a])
    }

    /// The square of the distance from a point to the box.
    pub(crate) fn off(&self, p: [f32; 3]) -> f32 {
        (0..3).map(|a| (self.low[a] - p[a]).max(p[a] - self.high[a]).max(0.0).powi(2)).sum()
    }
}

fn minus(a: [f32; 3], b: [f32; 3]) -> [f32; 3] {
    [a[0] - b[0], a[1] - b[1], a[2] - b[2]]
}

fn dot(a: [f32; 3], b: [f32; 3]) -> f32 {
    a[0] * b[0] + a[1] * b[1] + a[2] * b[2]
}
