//! Slices of the scan with the segments' outlines, as radiologists look at them.
//!
//! Axial slices are seen from the feet and coronal ones from the front, so the patient's right is on the left; sagittal
//! ones are seen from the patient's left. Letters say so on each picture. Slices follow the scan's own grid.

use std::collections::BTreeMap;

use rayon::prelude::*;
use space::{AnatomicalDirection, AxisCode, Lps, Point, Vector};
use volume::terminology::Group;
use volume::{BACKGROUND, ImageGeometry, Label, LabelMap, ScanVolume};

use super::canvas::{Canvas, scale_bar_for};
use super::picture::Picture;
use crate::error::CaseError;
use crate::manifest::Manifest;
use crate::window::WindowPreset;
use crate::write::CaseContents;

/// The longer side of a picture.
const MAX_PIXELS: f64 = 600.0;

/// Outlines are found this much finer than the picture and averaged.
const FINE: usize = 2;

/// Half the width of an outline, in fine pixels, on either side of a border.
const OUTLINE: usize = 2;

const OUTLINE_OPACITY: f32 = 0.9;
/// A tint inside the outline, so that left and right of a border can be told apart.
const TINT: f32 = 0.12;
/// Where there is no scan to see through to.
const TINT_WITHOUT_SCAN: f32 = 0.55;

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
    for _ in 0..count {
        let gain = |area: &Vec<u32>| -> f32 {
            let share = |s: usize| (area[s] as f32 / largest[s] - shown[s]).max(0.0);
            (0..weights.len()).map(|s| weights[s] * share(s)).sum()
        };
        let best = areas.iter().map(gain).enumerate().max_by(|a, b| a.1.total_cmp(&b.1).then(b.0.cmp(&a.0)));
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
    colors: BTreeMap<Label, Paint>,
}

struct Paint {
    color: [u8; 3],
    tint: f32,
    parts: Vec<Label>,
}

impl<'a> Painter<'a> {
    pub(crate) fn new(manifest: &Manifest, contents: &CaseContents<'a>) -> Self {
        let has_scan = match contents.scan {
            ScanVolume::I16(v) => v.data().first().is_some_and(|&first| v.data().iter().any(|&x| x != first)),
            ScanVolume::F32(v) => v.data().first().is_some_and(|&first| v.data().iter().any(|&x| x != first)),
        };
        let window = manifest.windows.first().cloned().unwrap_or_else(|| WindowPreset::new("Scan", 0.0, 1.0));
        let paint = |s: &crate::manifest::SegmentEntry| {
            let tint = match s.group {
                _ if !has_scan => TINT_WITHOUT_SCAN,
                Group::Skin | Group::Fat | Group::Muscle => 0.0,
                _ => TINT,
            };
            (s.label, Paint { color: s.color, tint, parts: s.parts.clone() })
        };
        let colors = manifest.segments.iter().map(paint).collect();
        Self { scan: contents.scan, labels: contents.labels, window, has_scan, colors }
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
        let pixels: Vec<[u8; 3]> =
            (0..height).into_par_iter().flat_map_iter(|y| self.row(&view, &fine, width, y)).collect();
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
        let labels = rows
            .par_iter()
            .flat_map_iter(|row| columns.iter().map(move |column| data[view.base + row + column]))
            .collect();
        Fine { width: columns.len(), height: rows.len(), labels }
    }

    fn row(&self, view: &View, fine: &Fine, width: usize, y: usize) -> Vec<[u8; 3]> {
        (0..width)
            .map(|x| {
                let gray = if self.has_scan { self.window.apply(view.value(self.scan, x, y)) * 255.0 } else { 26.0 };
                let mut sum = [0.0f32; 3];
                for fy in y * FINE..(y + 1) * FINE {
                    for fx in x * FINE..(x + 1) * FINE {
                        let (ink, opacity) = self.ink(fine, fx, fy);
                        for (sum, ink) in sum.iter_mut().zip(ink) {
                            *sum += gray + (f32::from(ink) - gray) * opacity;
                        }
                    }
                }
                sum.map(|s| (s / (FINE * FINE) as f32).round() as u8)
            })
            .collect()
    }

    /// Colour and opacity of a fine pixel: outline, tint or nothing.
    fn ink(&self, fine: &Fine, x: usize, y: usize) -> ([u8; 3], f32) {
        let own = fine.at(x, y);
        let Some(paint) = (own != BACKGROUND).then(|| self.colors.get(&own)).flatten() else { return ([0; 3], 0.0) };
        let foreign = |x: usize, y: usize| {
            let other = fine.at(x, y);
            other != own && !paint.parts.contains(&other)
        };
        let border = (1..=OUTLINE).any(|d| {
            foreign(x.saturating_sub(d), y)
                || foreign((x + d).min(fine.width - 1), y)
                || foreign(x, y.saturating_sub(d))
                || foreign(x, (y + d).min(fine.height - 1))
        });
        (paint.color, if border { OUTLINE_OPACITY } else { paint.tint })
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
        let mut areas: BTreeMap<Label, usize> = BTreeMap::new();
        // A quarter of the fine pixels is the picture's own resolution.
        for row in fine.labels.chunks_exact(fine.width).step_by(FINE) {
            for &label in row.iter().step_by(FINE).filter(|l| self.colors.contains_key(l)) {
                *areas.entry(label).or_default() += 1;
            }
        }
        let mut labels: Vec<_> = areas.into_iter().collect();
        labels.sort_by_key(|&(label, area)| (std::cmp::Reverse(area), label));
        labels.into_iter().map(|(label, _)| label).collect()
    }
}

/// Labels of a slice, finer than its picture.
struct Fine {
    width: usize,
    height: usize,
    labels: Vec<Label>,
}

impl Fine {
    fn at(&self, x: usize, y: usize) -> Label {
        self.labels[y * self.width + x]
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

impl View {
    /// The scan between its voxels in the plane.
    fn value(&self, scan: &ScanVolume, x: usize, y: usize) -> f32 {
        let (column, row) = (&self.columns[x], &self.rows[y]);
        let [dx, dy] = self.axes.map(|axis| self.strides[axis]);
        let at = |i: usize, j: usize| scan.value(self.base + i * dx + j * dy);
        let line = |j: usize| {
            let (a, b) = (at(column.low, j), at(column.high, j));
            a + (b - a) * column.fraction
        };
        let (a, b) = (line(row.low), line(row.high));
        a + (b - a) * row.fraction
    }
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
