//! Frames of segments, put onto a grid of voxels.

use std::collections::{BTreeMap, BTreeSet};

use glam::{DMat3, DVec2, DVec3};
use space::Point;
use volume::resample::nearest;
use volume::{BACKGROUND, ImageGeometry, Label, LabelMap, Segment, Volume};

use crate::planes::{Frame, usual_distance};
use crate::segmentation::overlap::{Overlaps, TooManyOverlaps};
use crate::segmentation::segments::undescribed;

/// What all frames have in common.
pub(super) struct SourceGrid {
    pub(super) frame: Frame,
    pub(super) between_mm: Option<f64>,
    pub(super) thickness_mm: Option<f64>,
}

/// A frame's segment and the centre of its first voxel.
pub(super) struct PlacedFrame {
    pub(super) segment: Label,
    pub(super) position: DVec3,
}

/// A grid, and the slice of it on which each frame lies.
pub(super) struct Target {
    grid: ImageGeometry,
    slice_of_frame: Vec<Option<usize>>,
    /// Where the label map is wanted, if not on this grid.
    then_onto: Option<ImageGeometry>,
}

/// In voxels; positions are written with six digits or more.
const SAME_VOXEL: f64 = 0.05;

/// Empty slices that an own grid may have between slices with voxels.
const MAX_EMPTY_SLICES: usize = 4096;

/// And the voxels in them: those of a scan from head to foot.
const MAX_EMPTY_VOXELS: usize = 512 * 512 * 2048;

impl Target {
    /// The grid of the frames themselves, from the first to the last; frames of a tilted gantry go onto a right-angled one after.
    pub(super) fn own(source: &SourceGrid, frames: &[PlacedFrame]) -> Result<Self, String> {
        let first = frames
            .iter()
            .map(|f| f.position)
            .min_by(|a, b| source.frame.along(*a).total_cmp(&source.frame.along(*b)))
            .ok_or("there are no frames")?;
        let mut along: Vec<f64> = frames.iter().map(|f| source.frame.along(f.position - first)).collect();
        along.sort_by(f64::total_cmp);
        let extent = along.last().copied().unwrap_or(0.0);
        let spacing = slice_spacing(source, &along);
        let count = 1 + (extent / spacing).round().max(0.0) as usize;
        let Frame { row, column, columns, rows, pixel_spacing } = source.frame;
        let empty = count.saturating_sub(frames.len());
        if empty > MAX_EMPTY_SLICES || empty * columns * rows > MAX_EMPTY_VOXELS {
            return Err(format!(
                "frames lie over {extent:.0} mm at {spacing:.3} mm: too many slices; give the scan's grid"
            ));
        }
        let spacing_mm = [pixel_spacing.x, pixel_spacing.y, spacing];
        let drift = drift(&source.frame, frames, first);
        let axis = source.frame.normal() + row * drift.x + column * drift.y;
        let grid = ImageGeometry::new(
            [columns, rows, count],
            [pixel_spacing.x, pixel_spacing.y, spacing * axis.length()],
            Point::from(first),
            DMat3::from_cols(row, column, axis.normalize()),
        )
        .map_err(|e| e.to_string())?;
        let then_onto = if drift == DVec2::ZERO {
            None
        } else {
            let shift = drift * (count - 1) as f64 * spacing;
            let low = shift.min(DVec2::ZERO);
            let extra = (shift.abs() / pixel_spacing - 1e-6).ceil();
            let size = [columns + extra.x as usize, rows + extra.y as usize, count];
            let origin = Point::from(first + row * low.x + column * low.y);
            let upright = DMat3::from_cols(row, column, source.frame.normal());
            Some(ImageGeometry::new(size, spacing_mm, origin, upright).map_err(|e| e.to_string())?)
        };
        let slice = |f: &PlacedFrame| Some((source.frame.along(f.position - first) / spacing).round() as usize);
        Ok(Self { grid, slice_of_frame: frames.iter().map(slice).collect(), then_onto })
    }

    /// The wanted grid itself if frames are slices of it, else their own grid and then the wanted one.
    pub(super) fn onto(source: &SourceGrid, frames: &[PlacedFrame], wanted: &ImageGeometry) -> Result<Self, String> {
        let index_from_lps = wanted.index_from_lps();
        let [columns, rows, slices] = wanted.size();
        let frame = &source.frame;
        let across = frame.row * frame.pixel_spacing.x * (frame.columns - 1) as f64;
        let down = frame.column * frame.pixel_spacing.y * (frame.rows - 1) as f64;
        let at = |p: DVec3| (index_from_lps * Point::from(p)).get();
        let slice_of = |f: &PlacedFrame| {
            let corner = at(f.position);
            let k = corner.z.round();
            let near = |found: DVec3, expected: DVec3| (found - expected).abs().max_element() <= SAME_VOXEL;
            let same = near(corner, DVec3::new(0.0, 0.0, k))
                && near(at(f.position + across), DVec3::new((columns - 1) as f64, 0.0, k))
                && near(at(f.position + down), DVec3::new(0.0, (rows - 1) as f64, k));
            same.then_some(k)
        };
        if (frame.columns, frame.rows) == (columns, rows) {
            let slices_of_frames: Option<Vec<f64>> = frames.iter().map(slice_of).collect();
            if let Some(found) = slices_of_frames {
                let within = |k: &f64| (0.0..slices as f64).contains(k).then_some(*k as usize);
                let slice_of_frame = found.iter().map(within).collect();
                return Ok(Self { grid: *wanted, slice_of_frame, then_onto: None });
            }
        }
        Ok(Self { then_onto: Some(*wanted), ..Self::own(source, frames)? })
    }
}

/// In pixels: what frames may lie off a line through their corners, and what that line may lean without being a tilt.
const LEAN: f64 = 0.25;

/// How far frames move within their plane for each millimetre along the normal; zero unless a tilted gantry shifts them in proportion.
fn drift(frame: &Frame, frames: &[PlacedFrame], first: DVec3) -> DVec2 {
    let offsets = || {
        frames.iter().map(|f| {
            let offset = f.position - first;
            (frame.along(offset), DVec2::new(offset.dot(frame.row), offset.dot(frame.column)))
        })
    };
    let tolerance = LEAN * frame.pixel_spacing.min_element();
    let weight: f64 = offsets().map(|(t, _)| t * t).sum();
    if weight == 0.0 || offsets().all(|(_, o)| o.length() <= tolerance) {
        return DVec2::ZERO;
    }
    let slope = offsets().map(|(t, o)| o * t).sum::<DVec2>() / weight;
    let even = offsets().all(|(t, o)| (o - slope * t).length() <= tolerance);
    if even { slope } else { DVec2::ZERO }
}

/// The distance of neighbouring slices: as declared if frames lie at multiples of it, else the smallest between frames.
fn slice_spacing(source: &SourceGrid, along: &[f64]) -> f64 {
    let fits = |spacing: &f64| along.iter().all(|t| (t / spacing - (t / spacing).round()).abs() < 0.1);
    let smallest = along.windows(2).map(|w| w[1] - w[0]).filter(|d| *d > 1e-3).fold(f64::INFINITY, f64::min);
    let declared = source.between_mm.filter(fits).or(source.thickness_mm.filter(fits));
    let usual = usual_distance(along).filter(fits);
    let found = declared.or(usual).unwrap_or(smallest);
    if found.is_finite() { found } else { source.thickness_mm.unwrap_or(1.0) }
}

/// Puts frames onto the target; `voxels` visits those of frame `n` that belong to a segment, each with the segment.
pub(super) fn place(
    target: Target,
    source: &SourceGrid,
    frames: &[PlacedFrame],
    mut segments: BTreeMap<Label, Segment>,
    mut voxels: impl FnMut(usize, &mut dyn FnMut(usize, Label) -> Result<(), String>) -> Result<(), String>,
) -> Result<LabelMap, String> {
    let too_many = |TooManyOverlaps| "segments overlap in more ways than labels can tell apart".to_owned();
    let area = source.frame.columns * source.frame.rows;
    let mut sets = vec![0u16; target.grid.voxel_count()];
    let mut overlaps = Overlaps::new();
    for (n, slice) in target.slice_of_frame.iter().enumerate().take(frames.len()) {
        let Some(slice) = slice else { continue };
        let plane = &mut sets[slice * area..(slice + 1) * area];
        let mut last: Option<(u16, Label, u16)> = None;
        voxels(n, &mut |at, segment| {
            let set = plane[at];
            // Neighbours mostly make the same step.
            let grown = match last {
                Some((from, added, to)) if (from, added) == (set, segment) => to,
                _ => overlaps.with(set, segment).map_err(too_many)?,
            };
            last = Some((set, segment, grown));
            plane[at] = grown;
            Ok(())
        })?;
    }
    let mut counts = vec![0usize; 1 << 16];
    sets.iter().for_each(|set| counts[usize::from(*set)] += 1);
    let numbers: BTreeSet<Label> = segments.keys().copied().chain(frames.iter().map(|f| f.segment)).collect();
    let disjoint = overlaps.disjoint(&counts, &numbers).map_err(too_many)?;
    sets.iter_mut().for_each(|set| *set = disjoint.label_of_set[usize::from(*set)]);

    let segments_with_voxels = (1..overlaps.len()).filter(|&set| counts[set] > 0).flat_map(|set| overlaps.members(set));
    for label in segments_with_voxels {
        segments.entry(label).or_insert_with(|| undescribed(label));
    }
    for (label, parts) in disjoint.parts {
        segments.entry(label).or_insert_with(|| undescribed(label)).parts = parts;
    }
    let voxels = Volume::new(target.grid, sets).map_err(|e| e.to_string())?;
    let voxels = match target.then_onto {
        Some(wanted) => nearest(&voxels, &wanted, BACKGROUND),
        None => voxels,
    };
    Ok(LabelMap { voxels, segments })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own_grid_of_two_frames(size: usize, distance_mm: f64) -> Result<Target, String> {
        let frame = Frame::new([DVec3::X, DVec3::Y], [1.0; 2], [size; 2]);
        let source = SourceGrid { frame, between_mm: Some(1.0), thickness_mm: None };
        let frames = [0.0, distance_mm].map(|z| PlacedFrame { segment: 1, position: DVec3::new(0.0, 0.0, z) });
        Target::own(&source, &frames)
    }

    #[test]
    fn empty_slices_between_frames_are_limited() {
        assert_eq!(own_grid_of_two_frames(512, 1999.0).unwrap().grid.size(), [512, 512, 2000]);
        assert!(own_grid_of_two_frames(16, 4000.0).is_ok());
        for (size, distance_mm) in [(16, 5000.0), (512, 4000.0), (4096, 1000.0), (65535, 100.0)] {
            assert!(own_grid_of_two_frames(size, distance_mm).is_err(), "{size}² over {distance_mm} mm");
        }
    }
}
