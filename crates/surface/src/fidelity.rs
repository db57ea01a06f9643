//! How far a level of detail lies from the label boundary, measured on samples in both directions, patch by patch.

use std::cell::RefCell;

use crate::axes::{dot, each, minus, per_axis};
use crate::decimate::to_local;
use crate::distance::{Enough, Faces, Squared, TriangleGrid, to_triangle_in_both};
use crate::nets::Net;
use crate::patches::Tile;

/// Distances and what part of the area has them.
#[derive(Clone, Debug)]
pub(crate) struct Spread {
    /// The square of the largest distance, in mm².
    pub(crate) max_mm: f32,
    /// Area by distance, in bins of `bin_mm`; from the samples that are measured exactly.
    bins: Vec<f32>,
    bin_mm: f32,
}

/// Bins of a spread.
const BINS: usize = 512;

/// Of all samples, about one in this many goes into the bins. The others only tell whether they lie farther off than any before,
/// which is far cheaper to find out than how far they lie.
const EXACT_EVERY: usize = 16;

/// Where there are fewer samples than this times [`EXACT_EVERY`], more of them go into the bins.
const EXACT_AT_LEAST: usize = 16;

/// Of so many samples, how many stand for each one that goes into the bins.
fn stride(samples: usize) -> usize {
    (samples / EXACT_AT_LEAST).clamp(1, EXACT_EVERY)
}

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

/// Collects the samples of one tile in one direction: those for the bins first, since they soon tell how far is far.
struct Tally {
    spread: Spread,
    bound: f32,
}

impl Tally {
    fn new(gauge: Gauge) -> Self {
        Self { spread: Spread::new(gauge.top_mm), bound: gauge.bound * gauge.bound }
    }

    /// Measures a sample that stands for an area; true if it lies too far off.
    fn weigh(&mut self, area: f32, distance: impl FnOnce(Enough) -> Squared) -> bool {
        // The place in the bins is in mm; voxels only have to keep the bound.
        let found = distance(Enough { voxels: self.bound, mm: -1.0 });
        self.spread.add(found.mm, area);
        self.heed(found)
    }

    /// Looks whether a sample lies too far off, or farther than all before. It lies no farther off than `known`.
    fn look(&mut self, known: Squared, distance: impl FnOnce(Enough) -> Squared) -> bool {
        let enough = Enough { voxels: self.bound, mm: self.spread.max_mm };
        !known.suffices(enough) && self.heed(distance(enough))
    }

    fn heed(&mut self, found: Squared) -> bool {
        self.spread.max_mm = self.spread.max_mm.max(found.mm);
        found.voxels > self.bound
    }
}

/// A level of detail as triangles of the net's vertices.
#[derive(Clone, Copy)]
pub(crate) struct Places<'a> {
    pub(crate) net: &'a Net,
    pub(crate) positions: &'a [[f32; 3]],
    pub(crate) spacing: [f32; 3],
}

impl Places<'_> {
    /// How far a vertex lies from the voxel corner it stands for.
    fn off(&self, vertex: u32) -> [f32; 3] {
        let (p, c) = (self.positions[vertex as usize], self.net.corner(vertex));
        minus(p, c)
    }

    fn squared(&self, off: [f32; 3]) -> Squared {
        let mm = per_axis(|a| off[a] * self.spacing[a]);
        Squared { voxels: dot(off, off), mm: dot(mm, mm) }
    }

    /// How far the middle of a triangle lies from the voxel face it was made for; infinite if decimation made the triangle.
    fn middle_off(&self, t: [u32; 3]) -> Squared {
        let c = each(t, |v| self.net.cells[v as usize]);
        // Three corners of one face: along one axis all the same, along the others never more than one apart, no two alike.
        let differ = |m: usize, n: usize| per_axis(|a| c[m][a].abs_diff(c[n][a]));
        let [ab, bc, ca] = [differ(0, 1), differ(1, 2), differ(2, 0)];
        let sums = [ab, bc, ca].map(|d| d.iter().map(|d| u32::from(*d)).sum::<u32>());
        let is_face = [ab, bc, ca].iter().flatten().all(|&d| d <= 1) && {
            let mut sorted = sums;
            sorted.sort_unstable();
            sorted == [1, 1, 2]
        };
        if !is_face {
            return Squared::FAR;
        }
        let [a, b, c] = each(t, |v| self.off(v));
        self.squared(per_axis(|x| (a[x] + b[x] + c[x]) / 3.0))
    }
}

/// Distances from the triangles of a tile to the boundary; samples beyond the bound go to the faults.
pub(crate) fn surface_to_boundary(
    faces: &Faces,
    places: Places,
    tile: &Tile,
    sides: [u16; 2],
    gauge: Gauge,
) -> (Spread, Vec<[f32; 3]>) {
    let positions = places.positions;
    let mut tally = Tally::new(gauge);
    let mut faults = Vec::new();
    let stride = weigh_triangles(&mut tally, &mut faults, faces, places, tile, sides, gauge);
    for (_, t) in tile.triangles.iter().enumerate().filter(|(n, _)| !n.is_multiple_of(stride)) {
        let known = places.middle_off(*t);
        pieces(each(*t, |v| positions[v as usize]), gauge.density, |p, share| {
            let known = if share == 1.0 { known } else { Squared::FAR };
            if tally.look(known, |enough| faces.nearest(p, sides, enough)) {
                faults.push(p);
            }
        });
    }
    look_at_vertices(&mut tally, &mut faults, faces, places, &to_local(&tile.triangles).1, sides);
    (tally.spread, faults)
}

/// Measures those triangles exactly that go into the bins; each stands for as many as returned.
fn weigh_triangles(
    tally: &mut Tally,
    faults: &mut Vec<[f32; 3]>,
    faces: &Faces,
    places: Places,
    tile: &Tile,
    sides: [u16; 2],
    gauge: Gauge,
) -> usize {
    let stride = stride(tile.triangles.len());
    for t in tile.triangles.iter().step_by(stride) {
        let corners = each(*t, |v| places.positions[v as usize]);
        let area = stride as f32 * area_mm2(corners, faces.spacing);
        pieces(corners, gauge.density, |p, share| {
            if tally.weigh(area * share, |enough| faces.nearest(p, sides, enough)) {
                faults.push(p);
            }
        });
    }
    stride
}

fn look_at_vertices(
    tally: &mut Tally,
    faults: &mut Vec<[f32; 3]>,
    faces: &Faces,
    places: Places,
    vertices: &[u32],
    sides: [u16; 2],
) {
    for &v in vertices {
        let p = places.positions[v as usize];
        if tally.look(places.squared(places.off(v)), |enough| faces.nearest(p, sides, enough)) {
            faults.push(p);
        }
    }
}

fn area_mm2([a, b, c]: [[f32; 3]; 3], spacing: [f32; 3]) -> f32 {
    let [u, v] = [b, c].map(|p| per_axis(|x| (p[x] - a[x]) * spacing[x]));
    let cross = [u[1] * v[2] - u[2] * v[1], u[2] * v[0] - u[0] * v[2], u[0] * v[1] - u[1] * v[0]];
    0.5 * dot(cross, cross).sqrt()
}

/// The middles of the pieces that a triangle is sampled in, and each one's share of the area.
fn pieces([a, b, c]: [[f32; 3]; 3], density: Density, mut measure: impl FnMut([f32; 3], f32)) {
    let (u, v, w) = (minus(b, a), minus(c, a), minus(c, b));
    let longest = dot(u, u).max(dot(v, v)).max(dot(w, w)) / (density.surface * density.surface);
    let n = if longest <= 1.0 { 1 } else { longest.sqrt().ceil() as usize };
    let (step, share) = (1.0 / n as f32, 1.0 / (n * n) as f32);
    let at = |s: f32, t: f32| [a[0] + u[0] * s + v[0] * t, a[1] + u[1] * s + v[1] * t, a[2] + u[2] * s + v[2] * t];
    for i in 0..n {
        for j in 0..n - i {
            measure(at((i as f32 + 1.0 / 3.0) * step, (j as f32 + 1.0 / 3.0) * step), share);
            if i + j + 1 < n {
                measure(at((i as f32 + 2.0 / 3.0) * step, (j as f32 + 2.0 / 3.0) * step), share);
            }
        }
    }
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

    /// Distances from the undecimated tile that the corners come from to the boundary.
    ///
    /// Its vertices are as close as the voxels, so of the triangles only those are measured that go into the bins.
    pub(crate) fn own_to_boundary(
        &self,
        faces: &Faces,
        places: Places,
        tile: &Tile,
        sides: [u16; 2],
        gauge: Gauge,
    ) -> Spread {
        let mut tally = Tally::new(gauge);
        let mut faults = Vec::new();
        weigh_triangles(&mut tally, &mut faults, faces, places, tile, sides, gauge);
        look_at_vertices(&mut tally, &mut faults, faces, places, &self.corners, sides);
        tally.spread
    }

    /// Distances from the corners to the undecimated tile they come from.
    ///
    /// What is measured is the way to the triangles around each corner's own vertex: smoothing keeps it within half a voxel, so
    /// hardly ever anything else is nearer, and never is the true distance larger.
    pub(crate) fn to_own(&self, places: Places, tile: &Tile, gauge: Gauge) -> Spread {
        let (local, _) = to_local(&tile.triangles);
        let mut starts = vec![0u32; self.corners.len() + 1];
        for v in local.iter().flatten() {
            starts[*v as usize + 1] += 1;
        }
        for n in 1..starts.len() {
            starts[n] += starts[n - 1];
        }
        let (mut next, mut around) = (starts.clone(), vec![0u32; 3 * local.len()]);
        for (n, v) in local.iter().enumerate().flat_map(|(n, t)| t.iter().map(move |v| (n, *v as usize))) {
            around[next[v] as usize] = n as u32;
            next[v] += 1;
        }
        let mut tally = Tally::new(gauge);
        let stride = stride(self.corners.len());
        let exact = (0..self.corners.len()).step_by(stride).map(|n| (n, true));
        let others = (0..self.corners.len()).filter(|n| !n.is_multiple_of(stride)).map(|n| (n, false));
        for (n, exact) in exact.chain(others) {
            let p = places.net.corner(self.corners[n]);
            let distance = |enough| {
                let mut best = Squared::FAR;
                for t in &around[starts[n] as usize..starts[n + 1] as usize] {
                    let corners = each(tile.triangles[*t as usize], |v| places.positions[v as usize]);
                    best = best.min(to_triangle_in_both(p, &corners, places.spacing));
                    if best.suffices(enough) {
                        break;
                    }
                }
                best
            };
            if exact {
                tally.weigh(stride as f32, distance);
            } else {
                tally.look(places.squared(places.off(self.corners[n])), distance);
            }
        }
        tally.spread
    }

    /// Distances from the corners to the nearest of `triangles`; those too far off go to the faults.
    ///
    /// `names` holds the tile of each triangle, and its number there.
    pub(crate) fn to_surface(
        &self,
        places: Places,
        triangles: &[[u32; 3]],
        names: &[(u32, u32)],
        gauge: Gauge,
    ) -> (Spread, Vec<Fault>) {
        let Places { net, positions, spacing } = places;
        let is_sample =
            |v: u32| net.cells[v as usize].iter().fold(0u16, |sum, c| sum.wrapping_add(*c)) % gauge.density.every == 0;
        let samples: Vec<u32> = self.corners.iter().copied().filter(|v| is_sample(*v)).collect();
        let corners = triangles.iter().map(|t| each(*t, |v| positions[v as usize])).collect();
        let grid = TriangleGrid::new(corners, spacing, 1.5 + gauge.bound, reach(spacing, gauge.bound));
        let mut tally = Tally::new(gauge);
        let mut faults = Vec::new();
        let mut last = None;
        with_triangle_of_each(triangles, |triangle_of| {
            let stride = stride(samples.len());
            let firsts = samples.iter().step_by(stride).map(|v| (*v, true));
            let others =
                samples.iter().enumerate().filter(|(n, _)| !n.is_multiple_of(stride)).map(|(_, v)| (*v, false));
            for (corner, exact) in firsts.chain(others) {
                let p = net.corner(corner);
                // If the corner's own vertex is still there, the corner is no farther off than that.
                let own = triangle_of(corner);
                let mut square = 0.0;
                let distance = |enough| {
                    let (distance, triangle) = grid.nearest(p, [own, last], enough);
                    (last, square) = (triangle, distance.voxels);
                    distance
                };
                let far = if exact {
                    tally.weigh(stride as f32, distance)
                } else {
                    let known = if own.is_some() { places.squared(places.off(corner)) } else { Squared::FAR };
                    tally.look(known, distance)
                };
                if far {
                    faults.push(Fault { nearest: last.map(|t| names[t]), vertex: corner, square, at: p });
                }
            }
        });
        (tally.spread, faults)
    }
}

thread_local! {
    /// Number + 1 of a triangle at each vertex; all zero between uses.
    static TRIANGLES: RefCell<Vec<u32>> = const { RefCell::new(Vec::new()) };
}

/// Calls `f` with a look-up from vertex to one of the triangles that have it.
fn with_triangle_of_each(triangles: &[[u32; 3]], f: impl FnOnce(&dyn Fn(u32) -> Option<usize>)) {
    TRIANGLES.with_borrow_mut(|numbers| {
        let top = triangles.iter().flatten().copied().max().map_or(0, |v| v as usize + 1);
        if numbers.len() < top {
            numbers.resize(top, 0);
        }
        for (n, t) in triangles.iter().enumerate() {
            for &v in t {
                numbers[v as usize] = n as u32 + 1;
            }
        }
        f(&|v| numbers.get(v as usize).and_then(|n| n.checked_sub(1)).map(|n| n as usize));
        for &v in triangles.iter().flatten() {
            numbers[v as usize] = 0;
        }
    });
}

/// How far along each axis triangles are looked for: the bound, and as many mm along finer axes, up to three times the bound.
pub(crate) fn reach(spacing: [f32; 3], bound: f32) -> [f32; 3] {
    let widest = spacing.into_iter().fold(0.0, f32::max);
    each(spacing, |s| bound * (widest / s).min(3.0) + 0.01)
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
        points
            .fold(start, |b, p| Self { low: per_axis(|a| b.low[a].min(p[a])), high: per_axis(|a| b.high[a].max(p[a])) })
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
