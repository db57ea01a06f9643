//! The anatomy from three sides, drawn by a depth buffer on the processor.
//!
//! What wraps the rest (skin, fat, the muscles as one) is shown as a translucent shell, if anything lies within.

use rayon::prelude::*;
use space::AnatomicalDirection;
use surface::{Mesh, SegmentSurface};
use volume::terminology::Group;

use super::canvas::{Canvas, scale_bar_for};
use super::picture::Picture;
use crate::color::{linear_from_srgb, srgb_from_linear};
use crate::error::CaseError;
use crate::manifest::{Manifest, SegmentEntry};

mod raster;

use raster::{Layer, Projection, Sample, draw_layer};

/// The longer side of the largest view, margins included.
const MAX_PIXELS: f32 = 560.0;
/// Around the anatomy, for the letters.
const MARGIN: f32 = 34.0;
/// Samples along each side of a pixel.
const FINE: usize = 2;

/// The finest level of detail that keeps all surfaces together below this is drawn.
const MAX_TRIANGLES: usize = 450_000;

/// Light from above the viewer's left shoulder, some from the right, both in view axes: right, up, towards the viewer.
const KEY: ([f32; 3], f32) = ([-0.42, 0.56, 0.714], 0.72);
const FILL: ([f32; 3], f32) = ([0.70, 0.05, 0.712], 0.22);
/// From everywhere, from below and from above.
const AMBIENT: [f32; 2] = [0.10, 0.26];
const GLOSS: f32 = 0.10;

/// Samples of a pixel that lie deeper apart are shaded each for itself.
const ALIKE_MM: f32 = 2.0;

/// How far a hollow is looked into, in mm.
const OCCLUSION_MM: f32 = 18.0;

/// Opacity of a shell seen face on, and what is added at its rim.
const SHELL_OPACITY: [f32; 2] = [0.06, 0.55];

/// Rows of the background, top and bottom, linear.
const BACKGROUND: [[f32; 3]; 2] = [[0.016, 0.020, 0.028], [0.005, 0.007, 0.010]];

struct Side {
    title: &'static str,
    /// What lies to the right of the picture, and towards the viewer; up is always the head.
    right: AnatomicalDirection,
    viewer: AnatomicalDirection,
}

const SIDES: [Side; 3] = [
    Side { title: "From the front", right: AnatomicalDirection::Left, viewer: AnatomicalDirection::Anterior },
    Side { title: "From the left", right: AnatomicalDirection::Posterior, viewer: AnatomicalDirection::Left },
    Side { title: "From behind", right: AnatomicalDirection::Right, viewer: AnatomicalDirection::Posterior },
];

/// A mesh and how it looks.
struct Actor<'a> {
    mesh: &'a Mesh,
    /// Linear.
    color: [f32; 3],
    shell: bool,
    closed: bool,
}

/// The three views; none if there is no surface.
pub(crate) fn draw_views(manifest: &Manifest, surfaces: &[SegmentSurface]) -> Result<Vec<Picture>, CaseError> {
    let actors = cast(manifest, surfaces);
    let Some(bounds) = bounds(&actors) else { return Ok(Vec::new()) };
    let largest = (0..3).map(|axis| bounds[1][axis] - bounds[0][axis]).fold(0.0f32, f32::max).max(1.0);
    let px_per_mm = (MAX_PIXELS - 2.0 * MARGIN) / largest;
    SIDES.par_iter().map(|side| draw_view(side, &actors, bounds, px_per_mm)).collect()
}

fn cast<'a>(manifest: &Manifest, surfaces: &'a [SegmentSurface]) -> Vec<Actor<'a>> {
    let pairs: Vec<(&SegmentEntry, &SegmentSurface)> =
        manifest.segments.iter().filter_map(|s| Some((s, surfaces.iter().find(|f| f.label == s.label)?))).collect();
    let at =
        |surface: &'a SegmentSurface, level: usize| surface.lods.get(level).or(surface.lods.last()).map(|l| &l.mesh);
    let triangles = |level| pairs.iter().filter_map(|(_, s)| at(s, level)).map(|m| m.triangles.len()).sum::<usize>();
    let levels = pairs.iter().map(|(_, s)| s.lods.len()).max().unwrap_or(0);
    // LOD 0 shows nothing more at a millimetre a pixel.
    let level = (1..levels).find(|&level| triangles(level) <= MAX_TRIANGLES).unwrap_or(levels.saturating_sub(1));
    let inner = pairs.iter().any(|(segment, _)| !wraps(segment));
    pairs
        .iter()
        .filter_map(|(segment, surface)| {
            let mesh = at(surface, level).filter(|m| !m.triangles.is_empty())?;
            let shell = inner && wraps(segment);
            // Only one shell is seen through: the outermost.
            if shell && segment.group != outermost(&pairs) {
                return None;
            }
            let color = segment.color.map(linear_from_srgb);
            Some(Actor { mesh, color, shell, closed: surface.closed })
        })
        .collect()
}

fn wraps(segment: &SegmentEntry) -> bool {
    matches!(segment.group, Group::Skin | Group::Fat)
        || matches!(segment.name.as_str(), "skeletal_muscle" | "soft_tissue")
}

fn outermost(pairs: &[(&SegmentEntry, &SegmentSurface)]) -> Group {
    let wrapping = pairs.iter().map(|(s, _)| *s).filter(|s| wraps(s)).map(|s| s.group);
    wrapping.min_by_key(|g| g.peel_rank()).unwrap_or(Group::Skin)
}

/// Least and greatest LPS coordinates in mm.
fn bounds(actors: &[Actor<'_>]) -> Option<[[f32; 3]; 2]> {
    let positions = actors.iter().flat_map(|a| &a.mesh.positions);
    let mut bounds = [[f32::INFINITY; 3], [f32::NEG_INFINITY; 3]];
    for p in positions {
        for axis in 0..3 {
            bounds[0][axis] = bounds[0][axis].min(p[axis]);
            bounds[1][axis] = bounds[1][axis].max(p[axis]);
        }
    }
    (0..3).all(|axis| bounds[0][axis].is_finite() && bounds[0][axis] <= bounds[1][axis]).then_some(bounds)
}

fn draw_view(side: &Side, actors: &[Actor<'_>], bounds: [[f32; 3]; 2], px_per_mm: f32) -> Result<Picture, CaseError> {
    let axis = |direction: AnatomicalDirection| direction.lps().get().as_vec3().to_array();
    let axes = [axis(side.right), axis(AnatomicalDirection::Superior), axis(side.viewer)];
    let extent = |axis: [f32; 3]| (0..3).map(|i| axis[i].abs() * (bounds[1][i] - bounds[0][i])).sum::<f32>();
    let pixels = |mm: f32| (mm * px_per_mm + 2.0 * MARGIN).round() as usize;
    let (width, height) = (pixels(extent(axes[0])), pixels(extent(axes[1])));
    let center = [0, 1, 2].map(|i| (bounds[0][i] + bounds[1][i]) / 2.0);
    let projection =
        Projection { axes, center, px_per_mm: px_per_mm * FINE as f32, size: [width * FINE, height * FINE] };
    let opaque = draw_layer(&projection, actors.iter().filter(|a| !a.shell));
    let shell = draw_layer(&projection, actors.iter().filter(|a| a.shell));
    let scene = Shading { projection: &projection, opaque, shell };
    let pixels = (0..height).into_par_iter().flat_map_iter(|y| scene.row(width, y, height)).collect();
    let mut canvas = Canvas::new(width, height, pixels);
    let (w, h) = (width as f32, height as f32);
    let letter = |d: AnatomicalDirection| d.display_letter().to_string();
    canvas.text(&letter(side.right.opposite()), [16.0, h / 2.0], 17.0);
    canvas.text(&letter(side.right), [w - 16.0, h / 2.0], 17.0);
    canvas.text(&letter(AnatomicalDirection::Superior), [w / 2.0, 16.0], 17.0);
    canvas.text(&letter(AnatomicalDirection::Inferior), [w / 2.0, h - 16.0], 17.0);
    if let Some((length, label)) = scale_bar_for(px_per_mm, width) {
        canvas.scale_bar(length, label);
    }
    Picture::of(&canvas, side.title, String::new(), Vec::new())
}

/// Everything needed to colour a view.
struct Shading<'a> {
    projection: &'a Projection,
    opaque: Layer<'a>,
    shell: Layer<'a>,
}

impl Shading<'_> {
    fn row(&self, width: usize, y: usize, height: usize) -> Vec<[u8; 3]> {
        let t = y as f32 / height.max(2) as f32;
        let background = [0, 1, 2].map(|c| BACKGROUND[0][c] + (BACKGROUND[1][c] - BACKGROUND[0][c]) * t);
        let empty = background.map(srgb_from_linear);
        (0..width)
            .map(|x| {
                let places = [0, 1, 2, 3].map(|n| (x * FINE + n % FINE, y * FINE + n / FINE));
                let under = places.map(|(x, y)| self.opaque.at(x, y));
                let over = places.map(|(x, y)| self.shell.at(x, y));
                if under.iter().chain(&over).all(Option::is_none) {
                    return empty;
                }
                let open = 1.0 - self.occlusion(x * FINE, y * FINE);
                let mut color = [0.0; 3];
                if alike(&under) && over.iter().all(Option::is_none) {
                    color = self.sample(places[0], under[0], None, open, background).map(|c| c.min(1.0));
                } else {
                    for (n, place) in places.into_iter().enumerate() {
                        let sample = self.sample(place, under[n], over[n], open, background);
                        color = [0, 1, 2].map(|c| color[c] + sample[c].min(1.0) / (FINE * FINE) as f32);
                    }
                }
                color.map(srgb_from_linear)
            })
            .collect()
    }

    fn sample(
        &self,
        place: (usize, usize),
        under: Option<Sample>,
        over: Option<Sample>,
        open: f32,
        background: [f32; 3],
    ) -> [f32; 3] {
        let below = match under {
            Some(sample) => light(self.opaque.actor(sample).color, self.facing(&self.opaque, sample, place), open),
            None => background,
        };
        let Some(shell) = over.filter(|shell| under.is_none_or(|under| shell.depth <= under.depth)) else {
            return below;
        };
        let normal = self.facing(&self.shell, shell, place);
        let rim = (1.0 - normal[2]).powi(2);
        let opacity = SHELL_OPACITY[0] + SHELL_OPACITY[1] * rim;
        let lit = light(self.shell.actor(shell).color, normal, 1.0);
        [0, 1, 2].map(|c| below[c] + (lit[c] - below[c]) * opacity)
    }

    /// A normal in view axes, of unit length, turned to the viewer.
    fn facing(&self, layer: &Layer<'_>, sample: Sample, (x, y): (usize, usize)) -> [f32; 3] {
        let normal = layer.normal(sample, x, y);
        let n = self.projection.axes.map(|axis| dot(axis, normal));
        let length = dot(n, n).sqrt().max(f32::MIN_POSITIVE) * if n[2] < 0.0 { -1.0 } else { 1.0 };
        n.map(|c| c / length)
    }

    /// How much of the light around is kept out by what stands before a pixel, 0–1.
    fn occlusion(&self, x: usize, y: usize) -> f32 {
        let Some(here) = self.opaque.at(x, y) else { return 0.0 };
        let radius = OCCLUSION_MM * self.projection.px_per_mm;
        let mut sum = 0.0;
        for [dx, dy, aside] in SPIRAL {
            let (sx, sy) = (x as f32 + dx * radius, y as f32 + dy * radius);
            if sx < 0.0 || sy < 0.0 {
                continue;
            }
            let Some(other) = self.opaque.at(sx as usize, sy as usize) else { continue };
            let before = here.depth - other.depth;
            if before > 0.0 {
                let rise = before / (before + aside * OCCLUSION_MM);
                let far = before * (1.0 / (3.0 * OCCLUSION_MM));
                // What stands far before a surface does not shade it.
                sum += rise / (1.0 + far * far);
            }
        }
        (sum / SPIRAL.len() as f32 * 1.25).min(0.85)
    }
}

/// Sixteen places and their distances, in parts of a radius: golden angle steps, distance growing with the square root.
const SPIRAL: [[f32; 3]; 16] = [
    [0.177, 0.0, 0.177],
    [-0.226, 0.207, 0.306],
    [0.035, -0.394, 0.395],
    [0.284, 0.371, 0.468],
    [-0.522, -0.092, 0.530],
    [0.495, -0.315, 0.586],
    [-0.165, 0.615, 0.637],
    [-0.316, -0.607, 0.685],
    [0.684, 0.250, 0.729],
    [-0.712, 0.294, 0.771],
    [0.343, -0.734, 0.810],
    [0.253, 0.809, 0.848],
    [-0.766, -0.443, 0.884],
    [0.897, -0.197, 0.919],
    [-0.548, 0.779, 0.952],
    [-0.126, -0.976, 0.984],
];

/// True if one sample may stand for all: the same structure, and no step between them.
fn alike(samples: &[Option<Sample>; 4]) -> bool {
    let Some(first) = samples[0] else { return false };
    samples.iter().all(|s| s.is_some_and(|s| s.mesh == first.mesh && (s.depth - first.depth).abs() < ALIKE_MM))
}

/// Light from a surface towards the viewer; normal in view axes.
fn light(color: [f32; 3], normal: [f32; 3], open: f32) -> [f32; 3] {
    let around = AMBIENT[0] + (AMBIENT[1] - AMBIENT[0]) * (normal[1] * 0.5 + 0.5);
    let direct = |(from, strength): ([f32; 3], f32)| dot(normal, from).max(0.0) * strength;
    // Hollows are darker in direct light too: its shadows are not traced.
    let diffuse = around * open + (direct(KEY) + direct(FILL)) * (0.35 + 0.65 * open);
    let half = [KEY.0[0], KEY.0[1], KEY.0[2] + 1.0];
    let half_length = dot(half, half).sqrt();
    let toward = (dot(normal, half) / half_length).max(0.0);
    let gloss = if toward > 0.8 { toward.powi(28) * GLOSS * open } else { 0.0 };
    color.map(|c| c * diffuse * 1.15 + gloss)
}

fn dot(a: [f32; 3], b: [f32; 3]) -> f32 {
    a[0] * b[0] + a[1] * b[1] + a[2] * b[2]
}

#[cfg(test)]
mod tests;
