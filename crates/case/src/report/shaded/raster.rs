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
pub(crate) struct Layer {
    size: [usize; 2],
    samples: Vec<Sample>,
}

#[derive(Clone, Copy)]
struct Sample {
    depth: f32,
    normal: [f32; 3],
    actor: u32,
}

const NOTHING: Sample = Sample { depth: f32::INFINITY, normal: [0.0; 3], actor: u32::MAX };

/// Rows of a band.
const BAND: usize = 96;

impl Layer {
    /// Actor, normal as interpolated, and depth at a pixel.
    pub(crate) fn at(&self, x: usize, y: usize) -> Option<(usize, [f32; 3], f32)> {
        if x >= self.size[0] {
            return None;
        }
        let sample = self.samples.get(y * self.size[0] + x)?;
        (sample.actor != u32::MAX).then_some((sample.actor as usize, sample.normal, sample.depth))
    }
}

/// A mesh in pixels.
struct Projected<'a> {
    actor: usize,
    source: &'a Actor<'a>,
    points: Vec<[f32; 3]>,
}

/// Draws numbered actors.
pub(crate) fn draw_layer<'a>(projection: &Projection, actors: impl Iterator<Item = (usize, &'a Actor<'a>)>) -> Layer {
    let [width, height] = projection.size;
    let actors: Vec<(usize, &Actor<'_>)> = actors.collect();
    if actors.is_empty() {
        return Layer { size: [width, height], samples: Vec::new() };
    }
    let projected: Vec<Projected<'_>> = actors
        .into_par_iter()
        .map(|(actor, source)| {
            let points = source.mesh.positions.iter().map(|&p| projection.project(p)).collect();
            Projected { actor, source, points }
        })
        .collect();
    let mut samples = vec![NOTHING; width * height];
    samples.par_chunks_mut(width * BAND).enumerate().for_each(|(band, samples)| {
        let mut band = Band { top: band * BAND, width, samples };
        projected.iter().for_each(|mesh| band.draw(mesh));
    });
    Layer { size: [width, height], samples }
}

struct Band<'a> {
    top: usize,
    width: usize,
    samples: &'a mut [Sample],
}

impl Band<'_> {
    fn draw(&mut self, mesh: &Projected<'_>) {
        let (top, bottom) = (self.top as f32, (self.top + self.samples.len() / self.width) as f32);
        for triangle in &mesh.source.mesh.triangles {
            let corner = |n: usize| mesh.points.get(triangle[n] as usize).copied();
            let (Some(a), Some(b), Some(c)) = (corner(0), corner(1), corner(2)) else { continue };
            if (a[1] < top && b[1] < top && c[1] < top) || (a[1] > bottom && b[1] > bottom && c[1] > bottom) {
                continue;
            }
            // Rows grow downwards, so a triangle wound counter-clockwise for the viewer has negative area.
            let area = (b[0] - a[0]) * (c[1] - a[1]) - (c[0] - a[0]) * (b[1] - a[1]);
            if area == 0.0 || (mesh.source.closed && area > 0.0) {
                continue;
            }
            self.fill(mesh, *triangle, [a, b, c], area);
        }
    }

    fn fill(&mut self, mesh: &Projected<'_>, triangle: [u32; 3], [a, b, c]: [[f32; 3]; 3], area: f32) {
        let span = |axis: usize, low: usize, high: usize| {
            let least = a[axis].min(b[axis]).min(c[axis]);
            let greatest = a[axis].max(b[axis]).max(c[axis]);
            // Pixel centres lie at one half.
            (
                (least - 0.5).ceil().max(low as f32) as usize,
                ((greatest - 0.5).floor() + 1.0).clamp(0.0, high as f32) as usize,
            )
        };
        let (x0, x1) = span(0, 0, self.width);
        let (y0, y1) = span(1, self.top, self.top + self.samples.len() / self.width);
        let normals = triangle.map(|i| mesh.source.mesh.normals.get(i as usize).copied().unwrap_or([0.0, 0.0, 1.0]));
        for y in y0..y1 {
            let py = y as f32 + 0.5;
            for x in x0..x1 {
                let px = x as f32 + 0.5;
                let wa = ((b[0] - px) * (c[1] - py) - (c[0] - px) * (b[1] - py)) / area;
                let wb = ((c[0] - px) * (a[1] - py) - (a[0] - px) * (c[1] - py)) / area;
                let wc = 1.0 - wa - wb;
                if wa < 0.0 || wb < 0.0 || wc < 0.0 {
                    continue;
                }
                let depth = wa * a[2] + wb * b[2] + wc * c[2];
                let sample = &mut self.samples[(y - self.top) * self.width + x];
                if depth < sample.depth {
                    let normal = [0, 1, 2].map(|i| wa * normals[0][i] + wb * normals[1][i] + wc * normals[2][i]);
                    *sample = Sample { depth, normal, actor: mesh.actor as u32 };
                }
            }
        }
    }
}
