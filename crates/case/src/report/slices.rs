//! Slices of the scan with the segments' outlines, as radiologists look at them.
//!
//! Axial slices are seen from the feet and coronal ones from the front, so the patient's right is on the left; sagittal
//! ones are seen from the patient's left. Letters say so on each picture. Slices follow the scan's own grid.

use std::collections::BTreeMap;

use rayon::prelude::*;
use space::{AnatomicalDirection, AxisCode, Lps, Point, Vector};
use volume::terminology::Group;
use volume::{ImageGeometry, Label, LabelMap, ScanVolume, Voxel};

use super::canvas::{Canvas, scale_bar_for};
use super::picture::Picture;
use crate::error::CaseError;
use crate::manifest::{Manifest, SegmentEntry};
use crate::window::WindowPreset;
use crate::write::CaseContents;

/// The longer side of a picture.
const MAX_PIXELS: f64 = 600.0;

/// Outlines are found this much finer than the picture and averaged.
const FINE: usize = 2;

/// Half the width of an outline, in fine pixels, on either side of a border.
const OUTLINE: usize = 3;

const OUTLINE_OPACITY: f32 = 0.95;
/// What lies everywhere is outlined faintly.
const WRAPPING_OPACITY: f32 = 0.4;
/// A tint inside the outline, so that left and right of a border can be told apart.
const TINT: f32 = 0.12;
/// Where there is no scan to see through to.
const TINT_WITHOUT_SCAN: f32 = 0.55;
const EMPTY_GRAY: f32 = 26.0;

/// A second letter is shown for an axis turned further than this.
const OBLIQUE_COSINE: f64 = 0.17;

/// How often the grid is looked at to choose slices.
const CHOICE_SAMPLES: usize = 2_000_000;

/// The three ways to cut a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Plane {
    Axial,
    Coronal,
    Sagittal,
}

impl Plane {
    const fn title(self) -> &'static str {
        match self {
            Self::Axial => "Axial",
            Self::Coronal => "Coronal",
            Self::Sagittal => "Sagittal",
        }
    }

    /// What lies to the right, down the picture, and along the normal.
    const fn directions(self) -> [AnatomicalDirection; 3] {
        use AnatomicalDirection::{Inferior, Left, Posterior, Superior};
        match self {
            Self::Axial => [Left, Posterior, Superior],
            Self::Coronal => [Left, Inferior, Posterior],
            Self::Sagittal => [Posterior, Inferior, Left],
        }
    }

    /// How many slices of it a report shows.
    const fn count(self) -> usize {
        match self {
            Self::Axial => 3,
            Self::Coronal | Self::Sagittal => 1,
        }
    }
}

/// A grid axis, and whether the picture runs against it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct GridAxis {
    axis: usize,
    reversed: bool,
}

/// The grid axes to the right of, down, and through a picture.
fn grid_axes(geometry: &ImageGeometry, plane: Plane) -> [GridAxis; 3] {
    let AxisCode(code) = geometry.axis_code();
    plane.directions().map(|direction| {
        let found = code.iter().position(|&d| d == direction || d == direction.opposite());
        let axis = found.unwrap_or(0);
        GridAxis { axis, reversed: code[axis] != direction }
    })
}

/// One slice to be drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cut {
    pub(crate) plane: Plane,
    /// Index along the grid axis of the plane's normal.
    pub(crate) position: usize,
}

/// The slices that show most: each adds the structures that the ones before cut worst.
pub(crate) fn choose(manifest: &Manifest, labels: &LabelMap) -> Vec<Cut> {
    let geometry = labels.geometry();
    let size = geometry.size();
    let weights = weights(manifest);
    let step = ((geometry.voxel_count() / CHOICE_SAMPLES) as f64).cbrt().ceil().max(1.0) as usize;
    let areas = areas(labels, &weights, step);
    let mut cuts = Vec::new();
    for plane in [Plane::Axial, Plane::Coronal, Plane::Sagittal] {
        let normal = grid_axes(geometry, plane)[2];
        let mut positions = best_positions(&areas[normal.axis], &weights, plane.count());
        if positions.is_empty() {
            positions.push(size[normal.axis] / 2);
        }
        positions.sort_unstable();
        // From the head down, from the front back, from the patient's right to the left.
        if normal.reversed == (plane != Plane::Axial) {
            positions.reverse();
        }
        cuts.extend(positions.into_iter().map(|position| Cut { plane, position }));
    }
    cuts
}

/// More structures than this do not take part in the choice.
const CHOICE_SEGMENTS: usize = 500;

/// What a structure's being seen is worth; findings are what people come for.
fn weights(manifest: &Manifest) -> BTreeMap<Label, f32> {
    let weight = |group| match group {
        Group::Lesion | Group::Device => 4.0,
        Group::Skin | Group::Fat => 0.25,
        _ => 1.0,
    };
    manifest.segments.iter().take(CHOICE_SEGMENTS).map(|s| (s.label, weight(s.group))).collect()
}

/// For each grid axis and position on it, how many voxels of each structure the slice cuts.
type Areas = [Vec<Vec<u32>>; 3];

fn areas(labels: &LabelMap, weights: &BTreeMap<Label, f32>, step: usize) -> Areas {
    let mut slot_of = vec![0u16; usize::from(Label::MAX) + 1];
    for (slot, &label) in weights.keys().enumerate() {
        slot_of[usize::from(label)] = slot as u16 + 1;
    }
    let size = labels.geometry().size();
    let empty = || size.map(|n| vec![vec![0u32; weights.len() + 1]; n]);
    let slices: Vec<usize> = (0..size[2]).step_by(step).collect();
    // Sums of whole numbers: the same in any order.
    slices
        .par_iter()
        .fold(empty, |mut areas, &k| {
            let slice = labels.voxels.slice(k);
            for j in (0..size[1]).step_by(step) {
                let row = &slice[j * size[0]..(j + 1) * size[0]];
                for i in (0..size[0]).step_by(step) {
                    let slot = usize::from(slot_of[usize::from(row[i])]);
                    if slot > 0 {
                        areas[0][i][slot] += 1;
                        areas[1][j][slot] += 1;
                        areas[2][k][slot] += 1;
                    }
                }
            }
            areas
        })
        .reduce(empty, |mut a, b| {
            for (x, y) in a.iter_mut().flatten().flatten().zip(b.iter().flatten().flatten()) {
                *x += y;
            }
            a
        })
}

/// Greedy choice: a structure counts with the share of its largest cut that a slice shows beyond the slices before.
fn best_positions(areas: &[Vec<u32>], weights: &BTreeMap<Label, f32>, count: usize) -> Vec<usize> {
    let weights: Vec<f32> = std::iter::once(0.0).chain(weights.values().copied()).collect();
    let largest: Vec<f32> =
        (0..weights.len()).map(|s| areas.iter().map(|a| a[s]).max().unwrap_or(0).max(1) as f32).collect();
    let mut shown = vec![0.0f32; weights.len()];
    let mut chosen = Vec::new();
    // The first and last slices show structures cut off by the end of the scan.
    let edge = if areas.len() >= 20 { areas.len() / 16 } else { 0 };
    for _ in 0..count {
        let gain = |area: &[u32]| -> f32 {
            let share = |s: usize| (area[s] as f32 / largest[s] - shown[s]).max(0.0);
            (0..weights.len()).map(|s| weights[s] * share(s)).sum()
        };
        let inner = areas.iter().enumerate().skip(edge).take(areas.len() - 2 * edge);
        let best =
            inner.map(|(position, area)| (position, gain(area))).max_by(|a, b| a.1.total_cmp(&b.1).then(b.0.cmp(&a.0)));
        let Some((position, _)) = best.filter(|(_, gain)| *gain > 0.0) else { break };
        for (s, shown) in shown.iter_mut().enumerate() {
            *shown = shown.max(areas[position][s] as f32 / largest[s]);
        }
        chosen.push(position);
    }
    chosen
}

/// Draws slices of one case.
pub(crate) struct Painter<'a> {
    scan: &'a ScanVolume,
    labels: &'a LabelMap,
    window: WindowPreset,
    /// False for a scan of one value, which stands in where there are only labels.
    has_scan: bool,
    /// By slot; slot 0 is what belongs to no segment.
    paints: Vec<Paint>,
    /// Slot of each label.
    slot_of: Vec<u16>,
}

#[derive(Default)]
struct Paint {
    label: Label,
    outline: [u8; 3],
    opacity: f32,
    color: [u8; 3],
    tint: f32,
    /// Slots of its parts.
    parts: Vec<u16>,
}

impl<'a> Painter<'a> {
    pub(crate) fn new(manifest: &Manifest, contents: &CaseContents<'a>) -> Self {
        let has_scan = match contents.scan {
            ScanVolume::I16(v) => v.data().first().is_some_and(|&first| v.data().iter().any(|&x| x != first)),
            ScanVolume::F32(v) => v.data().first().is_some_and(|&first| v.data().iter().any(|&x| x != first)),
        };
        let window = manifest.windows.first().cloned().unwrap_or_else(|| WindowPreset::new("Scan", 0.0, 1.0));
        let mut slot_of = vec![0; usize::from(Label::MAX) + 1];
        for (slot, segment) in (1..).zip(&manifest.segments) {
            slot_of[usize::from(segment.label)] = slot;
        }
        let paint = |s: &SegmentEntry| Paint {
            label: s.label,
            outline: bright(s.color),
            opacity: match s.group {
                Group::Skin | Group::Fat | Group::Muscle => WRAPPING_OPACITY,
                _ => OUTLINE_OPACITY,
            },
            color: s.color,
            tint: match s.group {
                _ if !has_scan => TINT_WITHOUT_SCAN,
                Group::Skin | Group::Fat | Group::Muscle => 0.0,
                _ => TINT,
            },
            parts: s.parts.iter().map(|&part| slot_of[usize::from(part)]).collect(),
        };
        let paints = std::iter::once(Paint::default()).chain(manifest.segments.iter().map(paint)).collect();
        Self { scan: contents.scan, labels: contents.labels, window, has_scan, paints, slot_of }
    }

    /// One slice with outlines, letters and a scale bar.
    pub(crate) fn draw(&self, cut: &Cut) -> Result<Picture, CaseError> {
        let geometry = *self.labels.geometry();
        let [right, down, normal] = grid_axes(&geometry, cut.plane);
        let extent = |axis: GridAxis| geometry.size()[axis.axis] as f64 * geometry.spacing()[axis.axis];
        let px_per_mm = MAX_PIXELS / extent(right).max(extent(down));
        let pixels = |axis| ((extent(axis) * px_per_mm).round() as usize).max(1);
        let (width, height) = (pixels(right), pixels(down));
        let view = View {
            columns: samples(&geometry, right, width),
            rows: samples(&geometry, down, height),
            strides: [1, geometry.size()[0], geometry.size()[0] * geometry.size()[1]],
            axes: [right.axis, down.axis],
            base: 0,
        };
        let view = View { base: cut.position * view.strides[normal.axis], ..view };
        let fine = self.fine_labels(&geometry, &view, [right, down], [width, height]);
        let pixels: Vec<[u8; 3]> = match self.scan {
            _ if !self.has_scan => self.paint_over(&fine, [width, height], |_| vec![EMPTY_GRAY; width]),
            ScanVolume::I16(v) => self.paint_over(&fine, [width, height], |y| self.grays(&view, v.data(), y)),
            ScanVolume::F32(v) => self.paint_over(&fine, [width, height], |y| self.grays(&view, v.data(), y)),
        };
        let mut canvas = Canvas::new(width, height, pixels);
        self.annotate(&mut canvas, &geometry, [right, down], px_per_mm as f32);
        Picture::of(&canvas, cut.plane.title(), self.detail(&geometry, cut, normal), self.seen(&fine))
    }

    /// Labels at [`FINE`] times the picture's resolution, nearest voxel.
    fn fine_labels(&self, geometry: &ImageGeometry, view: &View, axes: [GridAxis; 2], size: [usize; 2]) -> Fine {
        let [columns, rows] = [0, 1].map(|n| {
            let stride = view.strides[axes[n].axis];
            let fine = samples(geometry, axes[n], size[n] * FINE);
            fine.into_iter().map(|s| s.nearest * stride).collect::<Vec<_>>()
        });
        let data = self.labels.voxels.data();
        let mut slots = vec![0; columns.len() * rows.len()];
        slots.par_chunks_exact_mut(columns.len()).zip(&rows).for_each(|(out, row)| {
            for (slot, column) in out.iter_mut().zip(&columns) {
                *slot = self.slot_of[usize::from(data[view.base + row + column])];
            }
        });
        Fine { width: columns.len(), height: rows.len(), slots }
    }

    /// One row of the scan as shades 0–255, interpolated between voxels of the plane.
    fn grays<T: Voxel>(&self, view: &View, data: &[T], y: usize) -> Vec<f32> {
        let row = &view.rows[y];
        let [dx, dy] = view.axes.map(|axis| view.strides[axis]);
        let at = |i: usize, j: usize| data[view.base + i * dx + j * dy].to_f32();
        let count = view.columns.iter().map(|c| c.high + 1).max().unwrap_or(0);
        let line: Vec<f32> = (0..count)
            .map(|i| {
                let (a, b) = (at(i, row.low), at(i, row.high));
                a + (b - a) * row.fraction
            })
            .collect();
        let shade = |c: &Sample| self.window.apply(line[c.low] + (line[c.high] - line[c.low]) * c.fraction) * 255.0;
        view.columns.iter().map(shade).collect()
    }

    /// Outlines and tints over rows of grey.
    fn paint_over(
        &self,
        fine: &Fine,
        [width, height]: [usize; 2],
        grays: impl Fn(usize) -> Vec<f32> + Sync,
    ) -> Vec<[u8; 3]> {
        let mut pixels = vec![[0; 3]; width * height];
        pixels.par_chunks_exact_mut(width).enumerate().for_each(|(y, out)| {
            let grays = grays(y);
            for ((x, out), gray) in out.iter_mut().enumerate().zip(grays) {
                *out = self.pixel(fine, x * FINE, y * FINE, gray);
            }
        });
        pixels
    }

    /// The mean of the fine pixels of a pixel.
    fn pixel(&self, fine: &Fine, x: usize, y: usize, gray: f32) -> [u8; 3] {
        if fine.is_uniform(x, y) {
            let paint = &self.paints[usize::from(fine.at(x, y))];
            return paint.color.map(|c| (gray + (f32::from(c) - gray) * paint.tint + 0.5) as u8);
        }
        let mut sum = [0.0f32; 3];
        for fy in y..y + FINE {
            for fx in x..x + FINE {
                let (ink, opacity) = self.ink(fine, fx, fy, gray);
                for (sum, ink) in sum.iter_mut().zip(ink) {
                    *sum += gray + (ink - gray) * opacity;
                }
            }
        }
        sum.map(|s| (s / (FINE * FINE) as f32 + 0.5) as u8)
    }

    /// Colour and opacity of a fine pixel: outline, tint or nothing.
    fn ink(&self, fine: &Fine, x: usize, y: usize, gray: f32) -> ([f32; 3], f32) {
        let own = fine.at(x, y);
        let paint = &self.paints[usize::from(own)];
        let foreign = |x: usize, y: usize| {
            let other = fine.at(x, y);
            other != own && !paint.parts.contains(&other)
        };
        let border = own != 0
            && (1..=OUTLINE).any(|d| {
                foreign(x.saturating_sub(d), y)
                    || foreign((x + d).min(fine.width - 1), y)
                    || foreign(x, y.saturating_sub(d))
                    || foreign(x, (y + d).min(fine.height - 1))
            });
        if !border {
            return (paint.color.map(f32::from), paint.tint);
        }
        // Pale bones on white need a darker line.
        let pale = paint.outline.iter().all(|&c| c > 150) && gray > 140.0;
        (paint.outline.map(|c| f32::from(c) * if pale { 0.55 } else { 1.0 }), paint.opacity)
    }

    fn annotate(&self, canvas: &mut Canvas, geometry: &ImageGeometry, [right, down]: [GridAxis; 2], px_per_mm: f32) {
        let (w, h) = (canvas.width() as f32, canvas.height() as f32);
        let [to_right, to_left] = [false, true].map(|back| letters(geometry, right, back));
        let [to_bottom, to_top] = [false, true].map(|back| letters(geometry, down, back));
        canvas.text(&to_left, [18.0, h / 2.0], 17.0);
        canvas.text(&to_right, [w - 18.0, h / 2.0], 17.0);
        canvas.text(&to_top, [w / 2.0, 16.0], 17.0);
        canvas.text(&to_bottom, [w / 2.0, h - 16.0], 17.0);
        if let Some((length, label)) = scale_bar_for(px_per_mm, canvas.width()) {
            canvas.scale_bar(length, label);
        }
    }

    fn detail(&self, geometry: &ImageGeometry, cut: &Cut, normal: GridAxis) -> String {
        let size = geometry.size();
        let mut center = size.map(|n| (n - 1) as f64 / 2.0);
        center[normal.axis] = cut.position as f64;
        let lps = geometry.lps_from_index() * Point::from_array(center);
        let toward = cut.plane.directions()[2];
        let along = match cut.plane {
            Plane::Axial => lps.z,
            Plane::Coronal => lps.y,
            Plane::Sagittal => lps.x,
        };
        let toward = if along < 0.0 { toward.opposite() } else { toward }.display_letter();
        let WindowPreset { name, center, width } = &self.window;
        let digits = if *width < 20.0 { 2 } else { 0 };
        let window = if self.has_scan {
            format!("{} window, center {center:.digits$}, width {width:.digits$}", name.to_lowercase())
        } else {
            "labels only".to_owned()
        };
        format!("slice {} of {}, {:.1} mm {toward} · {window}", cut.position + 1, size[normal.axis], along.abs())
    }

    /// Labels in the slice, the largest area first.
    fn seen(&self, fine: &Fine) -> Vec<Label> {
        let mut areas = vec![0usize; self.paints.len()];
        // Every FINE-th row and column is the picture's own resolution.
        for row in fine.slots.chunks_exact(fine.width).step_by(FINE) {
            for &slot in row.iter().step_by(FINE) {
                areas[usize::from(slot)] += 1;
            }
        }
        let mut seen: Vec<_> = self.paints.iter().zip(areas).skip(1).filter(|(_, area)| *area > 0).collect();
        seen.sort_by_key(|&(paint, area)| (std::cmp::Reverse(area), paint.label));
        seen.into_iter().map(|(paint, _)| paint.label).collect()
    }
}

/// The same hue as bright as it gets, to be seen in a thin line.
fn bright(color: [u8; 3]) -> [u8; 3] {
    let greatest = f32::from(color.into_iter().max().unwrap_or(0).max(1));
    color.map(|c| (f32::from(c) * 255.0 / greatest) as u8)
}

/// Segment slots of a slice, finer than its picture.
struct Fine {
    width: usize,
    height: usize,
    slots: Vec<u16>,
}

impl Fine {
    fn at(&self, x: usize, y: usize) -> u16 {
        self.slots[y * self.width + x]
    }

    /// True if no fine pixel of a pixel has a border within reach of an outline.
    fn is_uniform(&self, x: usize, y: usize) -> bool {
        let own = self.at(x, y);
        let (left, right) = (x.saturating_sub(OUTLINE), (x + FINE + OUTLINE).min(self.width));
        let (top, bottom) = (y.saturating_sub(OUTLINE), (y + FINE + OUTLINE).min(self.height));
        let same = |y: usize, from: usize, to: usize| {
            self.slots[y * self.width + from..y * self.width + to].iter().all(|&slot| slot == own)
        };
        (y..y + FINE).all(|y| same(y, left, right)) && (top..bottom).all(|y| same(y, x, x + FINE))
    }
}

/// Where a picture's columns and rows lie on a grid axis.
struct View {
    columns: Vec<Sample>,
    rows: Vec<Sample>,
    strides: [usize; 3],
    axes: [usize; 2],
    base: usize,
}

/// A place between two voxels of an axis.
struct Sample {
    low: usize,
    high: usize,
    fraction: f32,
    nearest: usize,
}

/// `count` places spread evenly over an axis, from its first voxel's outer face to its last one's.
fn samples(geometry: &ImageGeometry, axis: GridAxis, count: usize) -> Vec<Sample> {
    let last = geometry.size()[axis.axis] - 1;
    let voxels = geometry.size()[axis.axis] as f64;
    (0..count)
        .map(|n| {
            let along = (n as f64 + 0.5) / count as f64 * voxels - 0.5;
            let index = if axis.reversed { last as f64 - along } else { along }.clamp(0.0, last as f64);
            let low = index.floor() as usize;
            Sample {
                low,
                high: (low + 1).min(last),
                fraction: (index - index.floor()) as f32,
                nearest: index.round() as usize,
            }
        })
        .collect()
}

/// The letters at the end of an axis: DICOM's, a second one if it is oblique.
fn letters(geometry: &ImageGeometry, axis: GridAxis, back: bool) -> String {
    let sign = if axis.reversed == back { 1.0 } else { -1.0 };
    let mut rest: Vector<Lps> = Vector::from(geometry.direction().col(axis.axis) * sign);
    let mut text = String::new();
    for _ in 0..2 {
        let main = AnatomicalDirection::nearest(rest);
        let along = rest.get().dot(main.lps().get());
        if along < OBLIQUE_COSINE {
            break;
        }
        text.push(main.display_letter());
        rest = Vector::from(rest.get() - main.lps().get() * along);
    }
    text
}

#[cfg(test)]
mod tests;
