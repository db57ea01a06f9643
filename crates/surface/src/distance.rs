//! Distances between surfaces and the voxel faces they stand for, in voxels and in mm at once.

use crate::axes::{dot, each, minus, per_axis};

/// A distance, squared, in both units.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Squared {
    /// In voxels: lengths along each axis divided by its spacing.
    pub(crate) voxels: f32,
    /// In mm.
    pub(crate) mm: f32,
}

impl Squared {
    pub(crate) const FAR: Self = Self { voxels: f32::INFINITY, mm: f32::INFINITY };

    pub(crate) fn min(self, other: Self) -> Self {
        Self { voxels: self.voxels.min(other.voxels), mm: self.mm.min(other.mm) }
    }

    pub(crate) fn suffices(self, enough: Enough) -> bool {
        self.voxels <= enough.voxels && self.mm <= enough.mm
    }
}

/// Squares of distances below which it does not matter how much nearer something is; below zero where it always does.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Enough {
    /// In voxels.
    pub(crate) voxels: f32,
    /// In mm.
    pub(crate) mm: f32,
}

impl Enough {
    /// Always matters.
    #[cfg(test)]
    pub(crate) const EXACT: Self = Self { voxels: -1.0, mm: -1.0 };
}

/// The label boundary as voxel faces, found in the labels themselves.
pub(crate) struct Faces<'a> {
    pub(crate) labels: &'a [u16],
    pub(crate) size: [usize; 3],
    pub(crate) spacing: [f32; 3],
}

/// Farthest that is looked for a face, in voxels along each axis.
const REACH: f32 = 9.0;

impl Faces<'_> {
    /// The labels of two voxels next to each other along each axis from `base`.
    fn eight(&self, base: [i64; 3]) -> [u16; 8] {
        let [ni, nj, _] = self.size;
        if (0..3).all(|a| base[a] >= 0 && base[a] + 1 < self.size[a] as i64) {
            let [i, j, k] = each(base, |b| b as usize);
            let at = i + ni * (j + nj * k);
            let rows = [at, at + ni, at + ni * nj, at + ni * nj + ni];
            let [a, b, c, d] = rows.map(|r| [self.labels[r], self.labels[r + 1]]);
            [a[0], a[1], b[0], b[1], c[0], c[1], d[0], d[1]]
        } else {
            std::array::from_fn(|n| {
                self.label([base[0] + (n & 1) as i64, base[1] + (n >> 1 & 1) as i64, base[2] + (n >> 2) as i64])
            })
        }
    }

    fn label(&self, v: [i64; 3]) -> u16 {
        let [ni, nj, nk] = each(self.size, |s| s as i64);
        let [i, j, k] = v;
        if i < 0 || j < 0 || k < 0 || i >= ni || j >= nj || k >= nk {
            0
        } else {
            self.labels[(i + ni * (j + nj * k)) as usize]
        }
    }

    /// Distance from a point to the nearest face between two labels; a greater one if that is enough.
    ///
    /// Exact up to [`REACH`] voxels; beyond, infinite.
    pub(crate) fn nearest(&self, p: [f32; 3], sides: [u16; 2], enough: Enough) -> Squared {
        let mut best = self.nearest_of_twelve(p, sides);
        let least = self.spacing[0].min(self.spacing[1]).min(self.spacing[2]);
        // Faces within half a voxel all meet the nearest corner.
        let is_settled = |best: &Squared| {
            (best.voxels <= enough.voxels.max(0.25)) && (best.mm <= enough.mm.max(0.25 * least * least))
        };
        if is_settled(&best) {
            return best;
        }
        let mut reach = 1.5;
        while best.voxels.is_infinite() && reach <= REACH {
            self.nearest_within(p, sides, [reach; 3], &mut best);
            reach *= 2.0;
        }
        if best.voxels.is_finite() && !is_settled(&best) {
            // Where one of the two is near enough already, only the other is worth a search.
            let voxels = if best.voxels > enough.voxels { best.voxels.sqrt() } else { 0.0 };
            let mm = if best.mm > enough.mm { best.mm.sqrt() } else { 0.0 };
            let radii = each(self.spacing, |s| voxels.max(mm / s).min(REACH));
            self.nearest_within(p, sides, radii, &mut best);
        }
        best
    }

    /// Looks at the twelve faces that meet in the voxel corner nearest to the point.
    fn nearest_of_twelve(&self, p: [f32; 3], sides: [u16; 2]) -> Squared {
        let base = [floor(p[0]), floor(p[1]), floor(p[2])];
        let labels = self.eight([i64::from(base[0]), i64::from(base[1]), i64::from(base[2])]);
        let [low, high] = sides;
        let (mut lows, mut highs) = (0u32, 0u32);
        for (n, &label) in labels.iter().enumerate() {
            lows |= u32::from(label == low) << n;
            highs |= u32::from(label == high) << n;
        }
        // Squares of the distance along each axis: to the plane between the two voxels, to the lower voxel, to the upper one.
        let mut planes = [0.0f32; 3];
        let mut slabs = [[0.0f32; 2]; 3];
        for a in 0..3 {
            let off = p[a] - base[a] as f32 - 0.5;
            planes[a] = off * off;
            slabs[a][usize::from(off < 0.0)] = off * off;
        }
        let squares = each(self.spacing, |s| s * s);
        let mut best = Squared::FAR;
        // Corners whose neighbour along the axis is across the boundary.
        for (axis, from) in [0b0101_0101u32, 0b0011_0011, 0b0000_1111].into_iter().enumerate() {
            let step = 1 << axis;
            let mut across = ((lows & (highs >> step)) | (highs & (lows >> step))) & from;
            let (u, v) = ((axis + 1) % 3, (axis + 2) % 3);
            while across != 0 {
                let corner = across.trailing_zeros();
                across &= across - 1;
                let (du, dv) = (slabs[u][(corner >> u & 1) as usize], slabs[v][(corner >> v & 1) as usize]);
                best = best.min(Squared {
                    voxels: planes[axis] + du + dv,
                    mm: planes[axis] * squares[axis] + du * squares[u] + dv * squares[v],
                });
            }
        }
        best
    }

    /// Looks at all faces that come within `radii` of the point along every axis and may be nearer than the best so far.
    fn nearest_within(&self, p: [f32; 3], sides: [u16; 2], radii: [f32; 3], best: &mut Squared) {
        let (mut from, mut to) = ([0i64; 3], [0i64; 3]);
        for a in 0..3 {
            from[a] = i64::from(floor(p[a] - radii[a])).max(-1);
            to[a] = (i64::from(floor(p[a] + radii[a])) + 1).min(self.size[a] as i64);
        }
        let squares = each(self.spacing, |s| s * s);
        // Squares of the distance along one axis to a voxel, and to the plane between it and the next.
        let slab = |a: usize, voxel: i64| {
            let off = p[a] - voxel as f32;
            let beside = (off.abs() - 0.5).max(0.0);
            (beside * beside, (off - 0.5) * (off - 0.5))
        };
        let nearer = |best: &Squared, voxels: f32, mm: f32| voxels < best.voxels || mm < best.mm;
        let [low, high] = sides;
        for k in from[2]..=to[2] {
            let (dz, pz) = slab(2, k);
            if !nearer(best, dz, dz * squares[2]) {
                continue;
            }
            for j in from[1]..=to[1] {
                let (dy, py) = slab(1, j);
                if !nearer(best, dy + dz, dy * squares[1] + dz * squares[2]) {
                    continue;
                }
                let rows = [self.row(j, k), self.row(j + 1, k), self.row(j, k + 1)];
                for i in from[0]..=to[0] {
                    let here = at(rows[0], i);
                    if here != low && here != high {
                        continue;
                    }
                    let other = if here == low { high } else { low };
                    let (dx, px) = slab(0, i);
                    let mut look = |x: f32, y: f32, z: f32| {
                        let mm = x * squares[0] + y * squares[1] + z * squares[2];
                        *best = best.min(Squared { voxels: x + y + z, mm });
                    };
                    if i < to[0] && at(rows[0], i + 1) == other {
                        look(px, dy, dz);
                    }
                    if j < to[1] && at(rows[1], i) == other {
                        look(dx, py, dz);
                    }
                    if k < to[2] && at(rows[2], i) == other {
                        look(dx, dy, pz);
                    }
                }
            }
        }
    }

    /// The labels along the first axis; none outside the grid, which is background.
    fn row(&self, j: i64, k: i64) -> &[u16] {
        let [ni, nj, nk] = self.size;
        if j < 0 || k < 0 || j >= nj as i64 || k >= nk as i64 {
            return &[];
        }
        let start = ni * (j as usize + nj * k as usize);
        &self.labels[start..start + ni]
    }
}

/// The label at a place of a row, background beyond its ends.
fn at(row: &[u16], i: i64) -> u16 {
    usize::try_from(i).ok().and_then(|i| row.get(i)).copied().unwrap_or(0)
}

/// Triangles of one patch in a grid, each in every cell that its box meets.
pub(crate) struct TriangleGrid {
    origin: [f32; 3],
    size: [usize; 3],
    per_cell: f32,
    /// How far along each axis is looked, in voxels.
    reach: [f32; 3],
    starts: Vec<u32>,
    items: Vec<u32>,
    /// mm along each axis a voxel.
    spacing: [f32; 3],
    /// In mm along the grid's axes.
    triangles: Vec<[[f32; 3]; 3]>,
    /// Around the triangles, in mm.
    boxes: Vec<[[f32; 2]; 3]>,
}

impl TriangleGrid {
    /// Sorts triangles, given in voxels, into cells of edge `cell`, to be found from within `reach` of their boxes.
    pub(crate) fn new(mut triangles: Vec<[[f32; 3]; 3]>, spacing: [f32; 3], cell: f32, reach: [f32; 3]) -> Self {
        let mut boxes: Vec<[[f32; 2]; 3]> = triangles
            .iter()
            .map(|t| per_axis(|a| [t[0][a].min(t[1][a]).min(t[2][a]), t[0][a].max(t[1][a]).max(t[2][a])]))
            .collect();
        let (mut low, mut high) = ([f32::INFINITY; 3], [f32::NEG_INFINITY; 3]);
        for b in &boxes {
            for a in 0..3 {
                low[a] = low[a].min(b[a][0]);
                high[a] = high[a].max(b[a][1]);
            }
        }
        let size = per_axis(|a| if boxes.is_empty() { 1 } else { ((high[a] - low[a]) * (1.0 / cell)) as usize + 1 });
        let mut grid = Self {
            origin: low,
            size,
            per_cell: 1.0 / cell,
            reach,
            starts: Vec::new(),
            items: Vec::new(),
            spacing,
            triangles: Vec::new(),
            boxes: Vec::new(),
        };
        let mut starts = vec![0u32; size.iter().product::<usize>() + 1];
        grid.for_each_cell(&boxes, |cell, _| starts[cell + 1] += 1);
        for n in 1..starts.len() {
            starts[n] += starts[n - 1];
        }
        let mut next = starts.clone();
        let mut items = vec![0u32; starts.last().copied().unwrap_or(0) as usize];
        grid.for_each_cell(&boxes, |cell, triangle| {
            items[next[cell] as usize] = triangle;
            next[cell] += 1;
        });
        (grid.starts, grid.items) = (starts, items);
        for (t, b) in triangles.iter_mut().zip(&mut boxes) {
            for a in 0..3 {
                t.iter_mut().for_each(|p| p[a] *= spacing[a]);
                b[a].iter_mut().for_each(|x| *x *= spacing[a]);
            }
        }
        (grid.triangles, grid.boxes) = (triangles, boxes);
        grid
    }

    fn for_each_cell(&self, boxes: &[[[f32; 2]; 3]], mut f: impl FnMut(usize, u32)) {
        for (n, b) in boxes.iter().enumerate() {
            let [from, to] = [0, 1].map(|end| per_axis(|a| self.cell_along(a, b[a][end])));
            for z in from[2]..=to[2] {
                for y in from[1]..=to[1] {
                    for x in from[0]..=to[0] {
                        f(x + self.size[0] * (y + self.size[1] * z), n as u32);
                    }
                }
            }
        }
    }

    /// The cell along one axis, the nearest one for places outside.
    fn cell_along(&self, axis: usize, x: f32) -> usize {
        // Casts take what is below zero to zero.
        (((x - self.origin[axis]) * self.per_cell) as usize).min(self.size[axis] - 1)
    }

    /// Distance to the nearest triangle, and which one that is in voxels; exact up to the grid's reach, never too small.
    ///
    /// Ends at the first triangle that is near enough; `firsts` are looked at before all others. `p` is in voxels.
    pub(crate) fn nearest(&self, p: [f32; 3], firsts: [Option<usize>; 2], enough: Enough) -> (Squared, Option<usize>) {
        let mut search = Search::new(self, p, enough);
        if !self.triangles.is_empty() && !firsts.into_iter().flatten().any(|item| search.look(item)) {
            let own = per_axis(|a| self.cell_along(a, p[a]));
            if !search.look_into(own) {
                search.look_round(own);
            }
        }
        (search.best, search.found)
    }
}

/// The search for the triangle nearest to one point.
struct Search<'a> {
    grid: &'a TriangleGrid,
    /// In voxels.
    p: [f32; 3],
    /// In mm.
    q: [f32; 3],
    isotropic: bool,
    enough: Enough,
    best: Squared,
    /// The triangle nearest in voxels.
    found: Option<usize>,
}

impl<'a> Search<'a> {
    #[inline]
    fn new(grid: &'a TriangleGrid, p: [f32; 3], enough: Enough) -> Self {
        let s = grid.spacing;
        let (q, isotropic) = (per_axis(|a| p[a] * s[a]), s[0] == s[1] && s[1] == s[2]);
        Self { grid, p, q, isotropic, enough, best: Squared::FAR, found: None }
    }

    /// Looks at one triangle; true if nothing nearer matters.
    #[inline]
    fn look(&mut self, item: usize) -> bool {
        let Self { grid, p, q, enough, .. } = *self;
        let (s, bounds) = (grid.spacing, &grid.boxes[item]);
        let off = per_axis(|a| (bounds[a][0] - q[a]).max(q[a] - bounds[a][1]).max(0.0));
        let wants_mm = self.best.mm > enough.mm && dot(off, off) < self.best.mm;
        let wants_voxels = self.best.voxels > enough.voxels && {
            let off = per_axis(|a| off[a] / s[a]);
            dot(off, off) < self.best.voxels
        };
        if !wants_mm && !wants_voxels {
            return false;
        }
        let triangle = &grid.triangles[item];
        if self.isotropic {
            let mm = to_triangle(q, triangle);
            if mm < self.best.mm {
                (self.best, self.found) = (Squared { voxels: mm / (s[0] * s[0]), mm }, Some(item));
            }
        } else {
            if wants_mm {
                self.best.mm = self.best.mm.min(to_triangle(q, triangle));
            }
            if wants_voxels {
                let voxels = to_triangle(p, &each(*triangle, |c| per_axis(|a| c[a] / s[a])));
                if voxels < self.best.voxels {
                    (self.best.voxels, self.found) = (voxels, Some(item));
                }
            }
        }
        self.best.suffices(enough)
    }

    fn look_into(&mut self, [x, y, z]: [usize; 3]) -> bool {
        let grid = self.grid;
        let cell = x + grid.size[0] * (y + grid.size[1] * z);
        grid.items[grid.starts[cell] as usize..grid.starts[cell + 1] as usize]
            .iter()
            .any(|&item| self.look(item as usize))
    }

    /// Looks into all cells but `own` that may hold something nearer than the best so far.
    fn look_round(&mut self, own: [usize; 3]) {
        let (grid, p, best) = (self.grid, self.p, self.best);
        // Where one of the two is near enough already, only the other is worth a search.
        let voxels = if best.voxels > self.enough.voxels { best.voxels.sqrt() } else { 0.0 };
        let mm = if best.mm > self.enough.mm { best.mm.sqrt() } else { 0.0 };
        let radii = per_axis(|a| grid.reach[a].min(voxels.max(mm / grid.spacing[a])));
        let from = per_axis(|a| grid.cell_along(a, p[a] - radii[a]));
        let to = per_axis(|a| grid.cell_along(a, p[a] + radii[a]));
        for z in from[2]..=to[2] {
            for y in from[1]..=to[1] {
                for x in from[0]..=to[0] {
                    if [x, y, z] != own && self.look_into([x, y, z]) {
                        return;
                    }
                }
            }
        }
    }
}

/// Distance from a point to a triangle, in continuous voxel index.
pub(crate) fn to_triangle_in_both(p: [f32; 3], triangle: &[[f32; 3]; 3], spacing: [f32; 3]) -> Squared {
    let voxels = to_triangle(p, triangle);
    if spacing[0] == spacing[1] && spacing[1] == spacing[2] {
        return Squared { voxels, mm: voxels * spacing[0] * spacing[0] };
    }
    let scaled = |q: [f32; 3]| per_axis(|a| q[a] * spacing[a]);
    Squared { voxels, mm: to_triangle(scaled(p), &each(*triangle, scaled)) }
}

/// Squared distance from a point to a triangle: by the region of the plane its foot falls in (Ericson 2005, 5.1.5).
pub(crate) fn to_triangle(p: [f32; 3], [a, b, c]: &[[f32; 3]; 3]) -> f32 {
    let (ab, ac, ap) = (minus(*b, *a), minus(*c, *a), minus(p, *a));
    let (d1, d2) = (dot(ab, ap), dot(ac, ap));
    if d1 <= 0.0 && d2 <= 0.0 {
        return dot(ap, ap);
    }
    let bp = minus(p, *b);
    let (d3, d4) = (dot(ab, bp), dot(ac, bp));
    if d3 >= 0.0 && d4 <= d3 {
        return dot(bp, bp);
    }
    let square = |p: [f32; 3], q: [f32; 3], t: f32| {
        let d = [p[0] - q[0] * t, p[1] - q[1] * t, p[2] - q[2] * t];
        dot(d, d)
    };
    let vc = d1 * d4 - d3 * d2;
    if vc <= 0.0 && d1 >= 0.0 && d3 <= 0.0 {
        return if d1 > d3 { square(ap, ab, d1 / (d1 - d3)) } else { dot(ap, ap) };
    }
    let cp = minus(p, *c);
    let (d5, d6) = (dot(ab, cp), dot(ac, cp));
    if d6 >= 0.0 && d5 <= d6 {
        return dot(cp, cp);
    }
    let vb = d5 * d2 - d1 * d6;
    if vb <= 0.0 && d2 >= 0.0 && d6 <= 0.0 {
        return if d2 > d6 { square(ap, ac, d2 / (d2 - d6)) } else { dot(ap, ap) };
    }
    let va = d3 * d6 - d5 * d4;
    if va <= 0.0 && d4 >= d3 && d5 >= d6 {
        let sum = (d4 - d3) + (d5 - d6);
        return if sum > 0.0 { square(bp, minus(*c, *b), (d4 - d3) / sum) } else { dot(bp, bp) };
    }
    let scale = 1.0 / (va + vb + vc);
    let (v, w) = (vb * scale, vc * scale);
    let d = [ap[0] - ab[0] * v - ac[0] * w, ap[1] - ab[1] * v - ac[1] * w, ap[2] - ab[2] * v - ac[2] * w];
    dot(d, d)
}

/// Rounds down; positions are never far below zero.
fn floor(x: f32) -> i32 {
    const ABOVE: i32 = 1 << 12;
    (x + ABOVE as f32) as i32 - ABOVE
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn point() -> impl Strategy<Value = [f32; 3]> {
        [-3.0f32..3.0, -3.0f32..3.0, -3.0f32..3.0]
    }

    proptest! {
        #[test]
        fn triangle_distance_matches_dense_sampling(p in point(), a in point(), b in point(), c in point()) {
            let mut least = f32::INFINITY;
            for i in 0..=60 {
                for j in 0..=60 - i {
                    let (u, v) = (i as f32 / 60.0, j as f32 / 60.0);
                    let q = [0, 1, 2].map(|x| a[x] + u * (b[x] - a[x]) + v * (c[x] - a[x]));
                    least = least.min(dot(minus(p, q), minus(p, q)));
                }
            }
            let d = to_triangle(p, &[a, b, c]).sqrt();
            prop_assert!(d <= least.sqrt() + 1e-3 && least.sqrt() <= d + 0.15, "{} against {}", d, least.sqrt());
        }

        #[test]
        fn face_distance_matches_looking_at_all_faces(
            p in [-2.0f32..6.0, -2.0f32..6.0, -2.0f32..6.0],
            labels in proptest::collection::vec(0u16..3, 64),
        ) {
            let faces = Faces { labels: &labels, size: [4; 3], spacing: [0.7, 1.0, 2.5] };
            let mut all = Squared::FAR;
            faces.nearest_within(p, [0, 1], [8.0; 3], &mut all);
            let found = faces.nearest(p, [0, 1], Enough::EXACT);
            if all.voxels.is_finite() {
                prop_assert!((found.voxels - all.voxels).abs() < 1e-4, "{:?} {:?}", found, all);
                prop_assert!((found.mm - all.mm).abs() < 1e-3, "{:?} {:?}", found, all);
            }
        }

        #[test]
        fn grid_finds_the_nearest_triangle(p in point(), seed in proptest::collection::vec(point(), 30)) {
            let triangles: Vec<[[f32; 3]; 3]> = seed.as_chunks::<3>().0.to_vec();
            let least = triangles.iter().map(|t| to_triangle(p, t)).fold(f32::INFINITY, f32::min);
            for spacing in [[2.0; 3], [0.7, 0.9, 2.5]] {
                let scaled = |q: [f32; 3]| per_axis(|a| q[a] * spacing[a]);
                let least_mm = triangles.iter().map(|t| to_triangle(scaled(p), &each(*t, scaled))).fold(f32::INFINITY, f32::min);
                // As far along each axis as 1 mm is.
                let reach = each(spacing, |s| f32::max(1.0, 1.0 / s));
                let grid = TriangleGrid::new(triangles.clone(), spacing, 0.8, reach);
                let (found, which) = grid.nearest(p, [None; 2], Enough::EXACT);
                prop_assert!(found.voxels >= least - 1e-5 && found.mm >= least_mm - 1e-4);
                if least < 1.0 {
                    prop_assert!((found.voxels - least).abs() < 1e-4 && which.is_some());
                }
                if least_mm < 1.0 {
                    prop_assert!((found.mm - least_mm).abs() < 1e-4);
                }
            }
        }
    }
}
