//! Triangles to depth, normal and actor of each pixel, in parallel bands whose result does not depend on their number.

use rayon::prelude::*;

use super::{Actor, dot};

/// A parallel projection from LPS mm to pixels.
pub(crate) struct Projection {
    /// Unit vectors to the right, up, and towards the viewer.
    pub(crate) axes: [[f32; 3]; 3],
    /// Lands in the middle.
    pub(crate) center: [f32; 3],
    pub(crate) px_per_mm: f32,
    pub(crate) size: [usize; 2],
}

impl Projection {
    /// Column, row, and distance from the viewer in mm, nearer is less.
    fn project(&self, p: [f32; 3]) -> [f32; 3] {
        let p = [0, 1, 2].map(|i| p[i] - self.center[i]);
        let [right, up, viewer] = self.axes.map(|axis| dot(axis, p));
        let [w, h] = self.size.map(|n| n as f32 / 2.0);
        [w + right * self.px_per_mm, h - up * self.px_per_mm, -viewer]
    }
}

/// What is nearest to the viewer at each pixel.
pub(crate) struct Layer<'a> {
    size: [usize; 2],
    samples: Vec<Sample>,
    meshes: Vec<Projected<'a>>,
}

/// A surface at a pixel.
#[derive(Clone, Copy)]
pub(crate) struct Sample {
    /// Distance from the viewer in mm, nearer is less.
    pub(crate) depth: f32,
    triangle: u32,
    /// Number of the mesh in its layer.
    pub(crate) mesh: u32,
}

const NO_MESH: u32 = u32::MAX;
const NOTHING: Sample = Sample { depth: f32::INFINITY, triangle: 0, mesh: NO_MESH };

/// Bands of rows drawn at the same time.
const BANDS: usize = 8;

impl<'a> Layer<'a> {
    /// What is to be seen at a pixel.
    pub(crate) fn at(&self, x: usize, y: usize) -> Option<Sample> {
        if x >= self.size[0] {
            return None;
        }
        self.samples.get(y * self.size[0] + x).copied().filter(|s| s.mesh != NO_MESH)
    }

    /// Whose surface a sample is on.
    pub(crate) fn actor(&self, sample: Sample) -> &'a Actor<'a> {
        self.meshes[sample.mesh as usize].source
    }

    /// The normal at a sample of pixel (x, y), in LPS, not of unit length.
    pub(crate) fn normal(&self, sample: Sample, x: usize, y: usize) -> [f32; 3] {
        let mesh = &self.meshes[sample.mesh as usize];
        let triangle = mesh.source.mesh.triangles[sample.triangle as usize];
        let Some(points) = corners(&mesh.points, triangle) else { return [0.0, 0.0, 1.0] };
        let weights = Weights::new(points).at(x as f32 + 0.5, y as f32 + 0.5);
        let normals = triangle.map(|i| mesh.source.mesh.normals.get(i as usize).copied().unwrap_or([0.0, 0.0, 1.0]));
        [0, 1, 2].map(|i| dot(weights, normals.map(|n| n[i])))
    }
}

/// Where a point lies in a triangle: the weights of its corners.
struct Weights {
    points: [[f32; 3]; 3],
    per_area: f32,
}

impl Weights {
    fn new(points: [[f32; 3]; 3]) -> Self {
        let [a, b, c] = points;
        Self { points, per_area: 1.0 / doubled_area(a, b, c) }
    }

    fn at(&self, px: f32, py: f32) -> [f32; 3] {
        let [a, b, c] = self.points;
        let wa = ((b[0] - px) * (c[1] - py) - (c[0] - px) * (b[1] - py)) * self.per_area;
        let wb = ((c[0] - px) * (a[1] - py) - (a[0] - px) * (c[1] - py)) * self.per_area;
        [wa, wb, 1.0 - wa - wb]
    }

    /// Change of the weights from one pixel to the next in a row.
    fn step(&self) -> [f32; 3] {
        let [a, b, c] = self.points;
        [b[1] - c[1], c[1] - a[1], a[1] - b[1]].map(|d| d * self.per_area)
    }
}

/// A mesh in pixels.
struct Projected<'a> {
    source: &'a Actor<'a>,
    points: Vec<[f32; 3]>,
    /// Triangles that face the viewer, by the bands they touch.
    bins: Vec<Vec<u32>>,
}

/// Draws meshes.
pub(crate) fn draw_layer<'a>(projection: &Projection, actors: impl Iterator<Item = &'a Actor<'a>>) -> Layer<'a> {
    let [width, height] = projection.size;
    let actors: Vec<&Actor<'_>> = actors.collect();
    if actors.is_empty() {
        return Layer { size: [width, height], samples: Vec::new(), meshes: Vec::new() };
    }
    let band_rows = height.div_ceil(BANDS).max(1);
    let meshes: Vec<Projected<'_>> =
        actors.into_par_iter().map(|source| project(projection, source, band_rows)).collect();
    let mut samples = vec![NOTHING; width * height];
    samples.par_chunks_mut(width * band_rows).enumerate().for_each(|(number, samples)| {
        let mut band = Band { top: number * band_rows, width, samples };
        for (mesh, source) in (0..).zip(&meshes) {
            for &triangle in &source.bins[number] {
                band.fill(source, mesh, triangle);
            }
        }
    });
    Layer { size: [width, height], samples, meshes }
}

fn project<'a>(projection: &Projection, source: &'a Actor<'a>, band_rows: usize) -> Projected<'a> {
    let points: Vec<[f32; 3]> = source.mesh.positions.iter().map(|&p| projection.project(p)).collect();
    let mut bins = vec![Vec::new(); BANDS];
    for (number, triangle) in (0..).zip(&source.mesh.triangles) {
        let Some([a, b, c]) = corners(&points, *triangle) else { continue };
        let area = doubled_area(a, b, c);
        if area == 0.0 || (source.closed && area > 0.0) {
            continue;
        }
        let [top, bottom] = rows([a[1], b[1], c[1]], projection.size[1]);
        if top < bottom {
            for bin in &mut bins[top / band_rows..=(bottom - 1) / band_rows] {
                bin.push(number);
            }
        }
    }
    Projected { source, points, bins }
}

fn corners(points: &[[f32; 3]], triangle: [u32; 3]) -> Option<[[f32; 3]; 3]> {
    let at = |n: u32| points.get(n as usize).copied();
    Some([at(triangle[0])?, at(triangle[1])?, at(triangle[2])?])
}

/// Rows grow downwards, so a triangle wound counter-clockwise for the viewer has a negative area.
fn doubled_area(a: [f32; 3], b: [f32; 3], c: [f32; 3]) -> f32 {
    (b[0] - a[0]) * (c[1] - a[1]) - (c[0] - a[0]) * (b[1] - a[1])
}

/// First pixel, and one after the last, whose centres lie between the least and the greatest coordinate.
fn rows(coordinates: [f32; 3], size: usize) -> [usize; 2] {
    let least = coordinates[0].min(coordinates[1]).min(coordinates[2]);
    let greatest = coordinates[0].max(coordinates[1]).max(coordinates[2]);
    // Casts saturate: what lies before the first pixel becomes 0. Centres lie at one half.
    [((least + 0.5) as usize).min(size), ((greatest + 0.5) as usize).min(size)]
}

struct Band<'a> {
    top: usize,
    width: usize,
    samples: &'a mut [Sample],
}

impl Band<'_> {
    fn fill(&mut self, source: &Projected<'_>, mesh: u32, triangle: u32) {
        let Some(&indices) = source.source.mesh.triangles.get(triangle as usize) else { return };
        let Some(points @ [a, b, c]) = corners(&source.points, indices) else { return };
        let bottom = self.top + self.samples.len() / self.width;
        let [x0, x1] = rows([a[0], b[0], c[0]], self.width);
        let [y0, y1] = rows([a[1], b[1], c[1]], bottom);
        let weights = Weights::new(points);
        let step = weights.step();
        let depths = points.map(|p| p[2]);
        let depth_step = dot(step, depths);
        for y in y0.max(self.top)..y1 {
            let first = weights.at(x0 as f32 + 0.5, y as f32 + 0.5);
            let first_depth = dot(first, depths);
            let row = &mut self.samples[(y - self.top) * self.width..][..self.width];
            for (n, sample) in row[x0..x1].iter_mut().enumerate() {
                let n = n as f32;
                let w = [0, 1, 2].map(|i| first[i] + step[i] * n);
                let depth = first_depth + depth_step * n;
                // A little outside counts, so that rounding leaves no gap between neighbours.
                if w[0].min(w[1]).min(w[2]) >= -1e-4 && depth < sample.depth {
                    *sample = Sample { depth, triangle, mesh };
                }
            }
        }
    }
}
