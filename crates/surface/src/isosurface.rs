//! Isosurfaces of scalar fields, with sub-voxel position.
//!
//! Marching cubes in several sweeps with running vertex numbers, after the idea of flying edges (Schroeder, Maynard and Geveci, "Flying
//! edges: a high-performance scalable isocontouring algorithm", LDAV 2015): first one bit a voxel, inside or outside; then what
//! each row of cells will yield; then vertices and triangles straight to their places. Bits are looked at 64 at a time, so cells
//! that the surface does not cross cost next to nothing.

mod cases;

use glam::{DVec3, Mat3, Vec3};
use rayon::prelude::*;
use space::Point;
use volume::{ImageGeometry, Volume, Voxel};

use crate::error::SurfaceError;
use crate::mesh::Mesh;
use cases::{CASES, Case};

/// How an isosurface is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IsosurfaceOptions {
    /// Takes what lies outside the grid as below the iso value, so that the surface is closed where the scan ends: on the outer
    /// faces of the outermost voxels. Otherwise the surface ends at their centres, with a rim.
    pub closed_at_border: bool,
}

impl Default for IsosurfaceOptions {
    fn default() -> Self {
        Self { closed_at_border: true }
    }
}

/// Nearest that a vertex may come to the centre of a voxel, in parts of the way to the next; vertices never coincide, even where many
/// voxels have exactly the iso value.
const NEAREST: f32 = 1.0 / 1024.0;

/// Extracts where a field crosses a value, as a manifold mesh that faces the lower values.
///
/// Voxels with at least `iso_value` lie inside. Vertices lie where the straight line between the values of two neighbours
/// crosses; normals follow the gradient, by central differences. Inside voxels that only meet across the diagonal of a
/// face are taken apart. The result does not depend on the number of threads.
///
/// ```
/// use glam::DMat3;
/// use space::Point;
/// use surface::{IsosurfaceOptions, isosurface};
/// use volume::{ImageGeometry, Volume};
/// let geometry = ImageGeometry::new([24; 3], [1.0; 3], Point::ZERO, DMat3::IDENTITY)?;
/// let ball = Volume::from_fn(geometry, |v| 100.0 - v.map(|x| (x as f32 - 11.5).powi(2)).iter().sum::<f32>());
/// let mesh = isosurface(&ball, 0.0, &IsosurfaceOptions::default())?;
/// assert_eq!(mesh.topology().euler, 2);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// [`SurfaceError`] for an iso value or a voxel that is not finite, or a surface with too many vertices to number.
pub fn isosurface<T: Voxel>(
    volume: &Volume<T>,
    iso_value: f32,
    options: &IsosurfaceOptions,
) -> Result<Mesh, SurfaceError> {
    if !iso_value.is_finite() {
        let found = f64::from(iso_value);
        return Err(SurfaceError::Option { name: "iso_value", expected: "a finite number", found });
    }
    let nodes = Nodes::classify(volume, iso_value, usize::from(options.closed_at_border))?;
    if nodes.size.contains(&1) {
        return Ok(Mesh::default());
    }
    let starts = nodes.count();
    let end = starts.last().copied().unwrap_or_default();
    if end.vertex > u32::MAX as usize {
        return Err(SurfaceError::TooManyVertices { limit: u32::MAX as usize, vertices: end.vertex });
    }
    let mut mesh = Mesh {
        positions: vec![[0.0; 3]; end.vertex],
        normals: vec![[0.0; 3]; end.vertex],
        triangles: vec![[0; 3]; end.triangle],
    };
    let field = Field::new(volume, iso_value, nodes.pad);
    let is_mirrored = volume.geometry().direction().determinant() < 0.0;
    let mut layers = Vec::with_capacity(nodes.size[2]);
    let (mut positions, mut normals) = (&mut mesh.positions[..], &mut mesh.normals[..]);
    let mut triangles = &mut mesh.triangles[..];
    for k in 0..nodes.size[2] {
        let (first, last) = (starts[k * nodes.size[1]], starts[(k + 1) * nodes.size[1]]);
        let (vertices, faces) = (last.vertex - first.vertex, last.triangle - first.triangle);
        layers.push((
            k,
            positions.split_off_mut(..vertices).unwrap_or_default(),
            normals.split_off_mut(..vertices).unwrap_or_default(),
            triangles.split_off_mut(..faces).unwrap_or_default(),
        ));
    }
    layers.into_par_iter().for_each(|(k, positions, normals, triangles)| {
        let first = starts[k * nodes.size[1]];
        let mut triangles = triangles.iter_mut();
        for j in 0..nodes.size[1] {
            let r = j + nodes.size[1] * k;
            nodes.vertices(&field, [j, k], starts[r].after(first), positions, normals);
            nodes.triangles(&starts, [j, k], |t| {
                if let Some(out) = triangles.next() {
                    *out = if is_mirrored { [t[0], t[2], t[1]] } else { t };
                }
            });
        }
    });
    Ok(mesh)
}

/// Which nodes lie inside: the voxels, with a layer outside around them if the surface is to be closed.
struct Nodes {
    /// Nodes on each axis.
    size: [usize; 3],
    /// Layers around the voxels, 0 or 1.
    pad: usize,
    /// Words of 64 bits in a row.
    words: usize,
    /// Rows of voxels, without those of the layer around.
    bits: Vec<u64>,
    /// A row of that layer.
    outside: Vec<u64>,
}

/// Numbers of what a row of nodes and the cells above it begin with.
#[derive(Clone, Copy, Debug, Default)]
struct Start {
    /// The first vertex, on an edge along x.
    vertex: usize,
    /// Vertices on edges along x.
    x: u32,
    /// Vertices on edges along y.
    y: u32,
    /// The first triangle.
    triangle: usize,
}

impl Start {
    /// The numbers of the first vertices on edges along x, y and z.
    fn edges(&self) -> [u32; 3] {
        let x = self.vertex as u32;
        [x, x.wrapping_add(self.x), x.wrapping_add(self.x).wrapping_add(self.y)]
    }

    /// The same, counted from the first vertex of a layer.
    fn after(&self, first: Self) -> [usize; 3] {
        let x = self.vertex - first.vertex;
        [x, x + self.x as usize, x + self.x as usize + self.y as usize]
    }
}

/// Where 64 cells in a row and the nodes they begin with differ from the next.
struct Crossings {
    /// The nodes at (dy, dz) = (0,0) (1,0) (0,1) (1,1).
    here: [u64; 4],
    /// Those one further along x.
    next: [u64; 4],
    /// Edges along x from the same four.
    x: [u64; 4],
    /// Edges along y at dz = 0, 1.
    y: [u64; 2],
    /// Edges along z at dy = 0, 1.
    z: [u64; 2],
    /// Cells that are crossed at all.
    cells: u64,
}

impl Nodes {
    fn classify<T: Voxel>(volume: &Volume<T>, iso_value: f32, pad: usize) -> Result<Self, SurfaceError> {
        let voxels = volume.geometry().size();
        let [ni, nj, _] = voxels;
        let size = voxels.map(|s| s + 2 * pad);
        let words = size[0].div_ceil(64);
        let mut bits = vec![0; words * voxels[1] * voxels[2]];
        // Integers hold no NaN, which this conversion turns to 0.
        let may_be_nan = T::from_f32(f32::NAN).to_f32().is_nan();
        let threshold = least_at_or_above::<T>(iso_value);
        let faults: Vec<Option<usize>> = bits
            .par_chunks_mut(words * nj)
            .enumerate()
            .map(|(k, bits)| {
                let slice = volume.slice(k);
                if may_be_nan && !slice.iter().fold(true, |ok, v| ok & v.to_f32().is_finite()) {
                    let at = slice.iter().position(|v| !v.to_f32().is_finite());
                    return at.map(|n| n + k * ni * nj);
                }
                if let Some(threshold) = threshold {
                    for (row, bits) in slice.chunks_exact(ni).zip(bits.chunks_exact_mut(words)) {
                        at_least(row, threshold, bits);
                        if pad == 1 {
                            let mut carry = 0;
                            for word in bits {
                                (*word, carry) = (*word << 1 | carry, *word >> 63);
                            }
                        }
                    }
                }
                None
            })
            .collect();
        match faults.into_iter().flatten().next() {
            Some(offset) => Err(SurfaceError::NotFinite { offset }),
            None => Ok(Self { size, pad, words, bits, outside: vec![0; words] }),
        }
    }

    fn row(&self, j: usize, k: usize) -> &[u64] {
        let [_, nj, nk] = self.size;
        let is_voxel = |n: usize, end: usize| (self.pad..end - self.pad).contains(&n);
        if is_voxel(j, nj) && is_voxel(k, nk) {
            let row = j - self.pad + (nj - 2 * self.pad) * (k - self.pad);
            &self.bits[row * self.words..][..self.words]
        } else {
            &self.outside
        }
    }

    /// True if there are cells above the row.
    fn has_cells(&self, j: usize, k: usize) -> bool {
        j + 1 < self.size[1] && k + 1 < self.size[2]
    }

    /// Calls for each word in which something is crossed, with its number.
    fn for_each_crossed(&self, j: usize, k: usize, mut work: impl FnMut(usize, &Crossings)) {
        // Beyond the last row the row itself stands in, from which it does not differ.
        let (j1, k1) = ((j + 1).min(self.size[1] - 1), (k + 1).min(self.size[2] - 1));
        let rows = [self.row(j, k), self.row(j1, k), self.row(j, k1), self.row(j1, k1)];
        let last = self.size[0] - 1;
        for w in 0..self.words {
            let here = rows.map(|r| r[w]);
            let next = rows.map(|r| r[w] >> 1 | r.get(w + 1).map_or(0, |n| n << 63));
            // The last node has no edge along x.
            let is_edge = if last >= 64 * (w + 1) { u64::MAX } else { (1 << (last % 64)) - 1 };
            let x = [0, 1, 2, 3].map(|n| (here[n] ^ next[n]) & is_edge);
            let y = [here[0] ^ here[1], here[2] ^ here[3]];
            let z = [here[0] ^ here[2], here[1] ^ here[3]];
            let all = x[0] | x[1] | x[2] | x[3] | y[0] | y[1] | z[0] | z[1];
            if all != 0 {
                work(w, &Crossings { here, next, x, y, z, cells: all & is_edge });
            }
        }
    }

    fn count(&self) -> Vec<Start> {
        let cases = &*CASES;
        let [_, nj, nk] = self.size;
        let counts: Vec<[u32; 4]> = (0..nj * nk)
            .into_par_iter()
            .with_min_len(64)
            .map(|r| {
                let (j, k) = (r % nj, r / nj);
                let has_cells = self.has_cells(j, k);
                let mut count = [0; 4];
                self.for_each_crossed(j, k, |_, c| {
                    for (n, edges) in [c.x[0], c.y[0], c.z[0]].into_iter().enumerate() {
                        count[n] += edges.count_ones();
                    }
                    if has_cells {
                        for_each_bit(c.cells, |i| count[3] += u32::from(cases[c.case(i)].count));
                    }
                });
                count
            })
            .collect();
        let mut starts = Vec::with_capacity(counts.len() + 1);
        let mut at = Start::default();
        for [x, y, z, triangles] in counts {
            starts.push(Start { x, y, ..at });
            at.vertex += x as usize + y as usize + z as usize;
            at.triangle += triangles as usize;
        }
        starts.push(at);
        starts
    }

    /// Places the vertices on the edges that begin in a row; `to` are the numbers of the first ones.
    fn vertices<T: Voxel>(
        &self,
        field: &Field<T>,
        [j, k]: [usize; 2],
        mut to: [usize; 3],
        positions: &mut [[f32; 3]],
        normals: &mut [[f32; 3]],
    ) {
        let row = field.row(j, k);
        self.for_each_crossed(j, k, |w, c| {
            let mut place = |axis: usize, bits: u64| {
                for_each_bit(bits, |i| {
                    let n = to[axis];
                    (positions[n], normals[n]) = field.vertex(&row, [64 * w + i, j, k], axis);
                    to[axis] += 1;
                });
            };
            place(0, c.x[0]);
            place(1, c.y[0]);
            place(2, c.z[0]);
        });
    }

    /// The triangles of the cells above a row.
    fn triangles(&self, starts: &[Start], [j, k]: [usize; 2], mut emit: impl FnMut([u32; 3])) {
        if !self.has_cells(j, k) {
            return;
        }
        let cases = &*CASES;
        let nj = self.size[1];
        let r = j + nj * k;
        let [s00, s10, s01, s11] = [r, r + 1, r + nj, r + nj + 1].map(|r| starts[r].edges());
        let mut x = [s00[0], s10[0], s01[0], s11[0]];
        let mut y = [s00[1], s01[1]];
        let mut z = [s00[2], s10[2]];
        self.for_each_crossed(j, k, |_, c| {
            for_each_bit(c.cells, |i| {
                let bit = |word: u64| (word >> i & 1) as u32;
                let (y0, y1, z0, z1) = (y[0] + bit(c.y[0]), y[1] + bit(c.y[1]), z[0] + bit(c.z[0]), z[1] + bit(c.z[1]));
                let edges = [x[0], x[1], x[2], x[3], y[0], y0, y[1], y1, z[0], z0, z[1], z1, 0, 0, 0, 0];
                let Case { count, triangles } = &cases[c.case(i)];
                for t in &triangles[..usize::from(*count)] {
                    emit(t.map(|e| edges[usize::from(e & 15)]));
                }
                (y, z) = ([y0, y1], [z0, z1]);
                for (x, word) in x.iter_mut().zip(c.x) {
                    *x += bit(word);
                }
            });
        });
    }
}

impl Crossings {
    /// The corners inside of cell `i` of the word.
    fn case(&self, i: usize) -> usize {
        (0..4).fold(0, |case, n| {
            let pair = (self.here[n] >> i & 1) | (self.next[n] >> i & 1) << 1;
            case | (pair as usize) << (2 * n)
        })
    }
}

/// The field in the patient.
struct Field<'a, T> {
    data: &'a [T],
    size: [usize; 3],
    strides: [usize; 3],
    pad: usize,
    iso_value: f32,
    geometry: &'a ImageGeometry,
    /// Steps of one voxel along each axis, LPS mm.
    steps: [Vec3; 3],
    /// From a gradient in index space to an outward vector.
    outward: Mat3,
}

/// What the vertices of a row of nodes have in common.
struct Row {
    /// Of the node with column 0, LPS mm.
    origin: DVec3,
    step: DVec3,
}

impl<'a, T: Voxel> Field<'a, T> {
    fn new(volume: &'a Volume<T>, iso_value: f32, pad: usize) -> Self {
        let geometry = volume.geometry();
        let size = geometry.size();
        let linear = geometry.lps_from_index().linear;
        Self {
            data: volume.data(),
            size,
            strides: [1, size[0], size[0] * size[1]],
            pad,
            iso_value,
            geometry,
            steps: [linear.x_axis, linear.y_axis, linear.z_axis].map(DVec3::as_vec3),
            outward: -linear.inverse().transpose().as_mat3(),
        }
    }

    fn row(&self, j: usize, k: usize) -> Row {
        let pad = self.pad as f64;
        let voxel = Point::new(-pad, j as f64 - pad, k as f64 - pad);
        let lps_from_index = self.geometry.lps_from_index();
        Row { origin: (lps_from_index * voxel).get(), step: lps_from_index.linear.x_axis }
    }

    /// Position and normal of the vertex on the edge from a node along an axis.
    fn vertex(&self, row: &Row, node: [usize; 3], axis: usize) -> ([f32; 3], [f32; 3]) {
        let foot = row.origin + row.step * node[0] as f64;
        let (t, mut gradient) = match self.crossing(node, axis) {
            Some(found) => found,
            None => (0.5, Vec3::ZERO),
        };
        // Scaled, so that squares neither overflow nor vanish.
        gradient /= gradient.abs().max_element();
        if !gradient.is_finite() {
            // At the end of the scan, and where differences vanish or overflow: along the edge, to the node outside.
            gradient = Vec3::ZERO;
            gradient[axis] = if self.is_inside(node) { -1.0 } else { 1.0 };
        }
        let position = foot.as_vec3() + self.steps[axis] * t;
        (position.to_array(), (self.outward * gradient).normalize_or_zero().to_array())
    }

    /// How far along the edge the crossing lies, and the gradient there in index space; `None` for an edge that leaves the grid.
    fn crossing(&self, node: [usize; 3], axis: usize) -> Option<(f32, Vec3)> {
        let v = node.map(|n| n.wrapping_sub(self.pad));
        let is_voxel = v[0] < self.size[0] && v[1] < self.size[1] && v[2] < self.size[2];
        if !is_voxel || v[axis] + 1 >= self.size[axis] {
            return None;
        }
        let at = v[0] + v[1] * self.strides[1] + v[2] * self.strides[2];
        let (a, b) = (self.value(at), self.value(at + self.strides[axis]));
        #[expect(
            clippy::manual_clamp,
            reason = "an overflow makes this NaN, for which max takes the other and clamp would not"
        )]
        let t = ((a - self.iso_value) / (a - b)).max(NEAREST).min(1.0 - NEAREST);
        let mut w = v;
        w[axis] += 1;
        let (g, h) = (self.gradient(v, at), self.gradient(w, at + self.strides[axis]));
        let mut gradient = g + (h - g) * t;
        if gradient[axis] * (b - a) <= 0.0 {
            gradient[axis] = b - a;
        }
        Some((t, gradient))
    }

    fn is_inside(&self, node: [usize; 3]) -> bool {
        let v = node.map(|n| n.wrapping_sub(self.pad));
        (0..3).all(|a| v[a] < self.size[a])
            && self.value(v[0] + v[1] * self.strides[1] + v[2] * self.strides[2]) >= self.iso_value
    }

    fn value(&self, at: usize) -> f32 {
        self.data[at].to_f32()
    }

    /// Central differences, one-sided at the ends of the grid.
    fn gradient(&self, v: [usize; 3], at: usize) -> Vec3 {
        let inner = (0..3).all(|a| v[a].wrapping_sub(1) < self.size[a].wrapping_sub(2));
        let [_, sy, sz] = self.strides;
        if inner {
            let difference = |stride: usize| 0.5 * (self.value(at + stride) - self.value(at - stride));
            return Vec3::new(difference(1), difference(sy), difference(sz));
        }
        Vec3::from_array([0, 1, 2].map(|a| {
            let before = usize::from(v[a] > 0);
            let after = usize::from(v[a] + 1 < self.size[a]);
            let rise = self.value(at + after * self.strides[a]) - self.value(at - before * self.strides[a]);
            rise / (before + after).max(1) as f32
        }))
    }
}

/// The least value of a type that is not below `iso_value`; `None` if there is none.
fn least_at_or_above<T: Voxel>(iso_value: f32) -> Option<T> {
    let exact = T::from_f32(iso_value);
    let least = if exact.to_f32() >= iso_value { exact } else { T::from_f32(iso_value.ceil()) };
    (least.to_f32() >= iso_value).then_some(least)
}

/// Bit `i`: `row[i] >= threshold`.
fn at_least<T: Voxel>(row: &[T], threshold: T, out: &mut [u64]) {
    let (whole, rest) = row.as_chunks::<64>();
    for (voxels, out) in whole.iter().zip(&mut *out) {
        let mut bytes = [0u8; 64];
        for (byte, v) in bytes.iter_mut().zip(voxels) {
            *byte = u8::from(*v >= threshold);
        }
        let (eights, _) = bytes.as_chunks::<8>();
        // Multiplying moves bit 8i to bit 56 + i without carries, so the top byte gathers eight flags.
        *out = eights.iter().enumerate().fold(0, |word, (n, eight)| {
            word | (u64::from_le_bytes(*eight).wrapping_mul(0x0102_0408_1020_4080) >> 56) << (8 * n)
        });
    }
    if let Some(out) = out.get_mut(whole.len()) {
        *out = rest.iter().enumerate().fold(0, |word, (i, v)| word | u64::from(*v >= threshold) << i);
    }
}

fn for_each_bit(mut word: u64, mut work: impl FnMut(usize)) {
    while word != 0 {
        work(word.trailing_zeros() as usize);
        word &= word - 1;
    }
}
