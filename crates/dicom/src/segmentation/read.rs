//! A DICOM SEG as a label map.

use dicom_dictionary_std::tags;
use glam::DVec3;
use volume::{BACKGROUND, ImageGeometry, Label, LabelMap};

use crate::dataset::{DataSet, DataSetError, PixelLocation};
use crate::enhanced::FunctionalGroups;
use crate::error::DicomError;
use crate::identity::{Salt, guard};
use crate::instance::{orientation, pixel_spacing, position};
use crate::inventory::Inventory;
use crate::part10::{Codec, Header, HeaderError, read_deflated, read_header};
use crate::pixels::{FrameReader, PixelFormat, stored_values};
use crate::planes::Frame;
use crate::report::Obstacle;
use crate::segmentation::place::{PlacedFrame, SourceGrid, Target, place};
use crate::segmentation::segments::{SegmentSummary, SegmentationSummary, segments};
use crate::source::{Source, inflate};

/// A DICOM SEG found by an inventory.
#[derive(Clone, Debug)]
pub(crate) struct SegmentationFile {
    pub(crate) source: Source,
    pub(crate) summary: SegmentationSummary,
    pub(crate) referenced_series: Vec<String>,
    pub(crate) frame_of_reference: String,
}

/// What a frame's values mean.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    /// One bit a voxel.
    Binary,
    /// From this value on, a voxel counts as inside: half of the maximum.
    Fractional { threshold: i64 },
    /// Values are segment numbers.
    LabelMap,
}

/// Reads what an inventory tells about a SEG.
pub(crate) fn segmentation_file(
    source: Source,
    header: &Header<'_>,
    total: u64,
    salt: Salt,
) -> Result<SegmentationFile, String> {
    let data_set = &header.data_set;
    let charset = data_set.charset();
    let identity = guard(data_set, &charset, salt);
    let described = segments(data_set, &charset, &identity);
    let size = size(data_set)?;
    let frames = frame_count(data_set)?;
    check_bits(header, kind(data_set)?, size, frames, total)?;
    let uid = |item: &DataSet<'_>| item.ascii(tags::SERIES_INSTANCE_UID).map(|uid| uid.into_owned());
    let frame_of_reference = data_set.ascii(tags::FRAME_OF_REFERENCE_UID).unwrap_or_default().into_owned();
    Ok(SegmentationFile {
        source,
        summary: SegmentationSummary {
            segments: described
                .into_values()
                .map(|s| SegmentSummary { number: s.label, name: s.name, display: s.display })
                .collect(),
            frames,
            size,
        },
        referenced_series: data_set.items(tags::REFERENCED_SERIES_SEQUENCE).iter().filter_map(uid).collect(),
        frame_of_reference,
    })
}

/// Reads a segmentation of an inventory, onto `target` if one is given (nearest voxel), else onto its own grid.
///
/// Labels are the segment numbers. Where segments overlap, disjoint labels are made whose unions restore them: see
/// [`volume::Segment::parts`]. Fractional segments count from half of their maximum on.
///
/// # Errors
/// [`DicomError::Segmentation`] if there is no such segmentation, or it is damaged or of an unknown form.
pub fn read_segmentation(
    inventory: &Inventory,
    index: usize,
    target: Option<&ImageGeometry>,
) -> Result<LabelMap, DicomError> {
    let Some(file) = inventory.segmentation_files.get(index) else {
        let reason = format!("there is no segmentation number {index}");
        return Err(DicomError::Segmentation { reason, path: inventory.root.clone() });
    };
    read(file, target).map_err(|reason| DicomError::Segmentation { reason, path: file.source.path.clone() })
}

fn read(file: &SegmentationFile, target: Option<&ImageGeometry>) -> Result<LabelMap, String> {
    let bytes = file.source.whole().map_err(|e| e.to_string())?;
    let total = bytes.len() as u64;
    let inflated: Vec<u8>;
    let (header, content, total) = match read_header(&bytes, total) {
        Ok(header) => (header, bytes.as_slice(), total),
        Err(HeaderError::Deflated { start }) => {
            inflated = inflate(&bytes[start..], u64::MAX).map_err(|e| format!("cannot inflate: {e}"))?.0;
            let total = inflated.len() as u64;
            (read_deflated(&bytes, &inflated, total).map_err(|e| e.to_string())?, inflated.as_slice(), total)
        }
        Err(HeaderError::Damaged(DataSetError::NeedMore { .. })) => return Err("the header is cut short".to_owned()),
        Err(e) => return Err(e.to_string()),
    };
    let data_set = &header.data_set;
    let charset = data_set.charset();
    let described = segments(data_set, &charset, &guard(data_set, &charset, Salt::default()));
    let (kind, size, count) = (kind(data_set)?, size(data_set)?, frame_count(data_set)?);
    check_bits(&header, kind, size, count, total)?;
    let (grid, frames) = placed_frames(data_set, kind, size, count)?;
    let target = match target {
        Some(target) => Target::onto(&grid, &frames, target)?,
        None => Target::own(&grid, &frames)?,
    };
    let voxels = size[0] * size[1];
    if kind == Kind::Binary {
        let pixels = header.pixels.ok_or("there is no pixel data")?;
        let bits = content.get(pixels.offset as usize..).ok_or("there is no pixel data")?;
        return place(target, &grid, &frames, described, |n, visit| {
            visit_bits(bits, n * voxels, voxels, |at| visit(at, frames[n].segment))
        });
    }
    let format = PixelFormat::of(&header, total).map_err(|obstacle| obstacle.to_string())?;
    let reader = FrameReader::of_parts(&file.source, &format, header.syntax);
    let mut frame = vec![0; format.frame_bytes()];
    place(target, &grid, &frames, described, |n, visit| {
        reader.read(n, &mut frame).map_err(|e| e.to_string())?;
        for (at, value) in stored_values(&frame, &format).enumerate() {
            match kind {
                Kind::Fractional { threshold } if value >= threshold => visit(at, frames[n].segment)?,
                Kind::LabelMap if value > 0 => {
                    let Ok(label) = Label::try_from(value) else { return Err(format!("{value} is no segment number")) };
                    visit(at, label)?;
                }
                _ => {}
            }
        }
        Ok(())
    })
}

fn size(data_set: &DataSet<'_>) -> Result<[usize; 2], String> {
    let size = [tags::COLUMNS, tags::ROWS].map(|tag| data_set.whole(tag).filter(|n| (1..=0xFFFF).contains(n)));
    let [Some(columns), Some(rows)] = size else { return Err("Rows or Columns is missing or zero".to_owned()) };
    Ok([columns as usize, rows as usize])
}

fn frame_count(data_set: &DataSet<'_>) -> Result<usize, String> {
    let declared = data_set.whole(tags::NUMBER_OF_FRAMES).unwrap_or(1) as usize;
    let described = data_set.items(tags::PER_FRAME_FUNCTIONAL_GROUPS_SEQUENCE).len();
    if declared == 0 || described < declared {
        return Err(format!("{declared} frames are declared, {described} described"));
    }
    Ok(declared)
}

fn kind(data_set: &DataSet<'_>) -> Result<Kind, String> {
    match data_set.ascii(tags::SEGMENTATION_TYPE).as_deref() {
        Some("BINARY") => Ok(Kind::Binary),
        Some("FRACTIONAL") => {
            let maximum = data_set.whole(tags::MAXIMUM_FRACTIONAL_VALUE).unwrap_or(255).max(1);
            Ok(Kind::Fractional { threshold: i64::from(maximum).div_euclid(2) + i64::from(maximum % 2) })
        }
        Some("LABELMAP") => Ok(Kind::LabelMap),
        other => Err(format!("segmentation type `{}` is unknown", other.unwrap_or("(none)"))),
    }
}

/// Frames must be in the file.
fn check_bits(header: &Header<'_>, kind: Kind, size: [usize; 2], frames: usize, total: u64) -> Result<(), String> {
    let Some(PixelLocation { offset, length, .. }) = header.pixels else {
        return Err("there is no pixel data".to_owned());
    };
    if kind != Kind::Binary {
        let damaged = |obstacle: Obstacle| obstacle.to_string();
        return PixelFormat::of(header, total).map(|_| ()).map_err(damaged);
    }
    if header.data_set.whole(tags::BITS_ALLOCATED) != Some(1) || header.syntax.codec != Codec::Native {
        return Err("a binary segmentation that is not one bit a voxel, uncompressed, is not supported".to_owned());
    }
    let needed = (frames as u64).saturating_mul((size[0] * size[1]) as u64).div_ceil(8);
    let available = length.unwrap_or(0).min(total.saturating_sub(offset));
    if available < needed {
        return Err(format!(
            "{} rows × {} columns × {frames} frames need {needed} bytes, but there are {available}; the file is cut short",
            size[1], size[0]
        ));
    }
    Ok(())
}

/// Where each frame lies and whose it is; all must share one orientation and spacing.
fn placed_frames(
    data_set: &DataSet<'_>,
    kind: Kind,
    size: [usize; 2],
    count: usize,
) -> Result<(SourceGrid, Vec<PlacedFrame>), String> {
    let mut grid: Option<(Frame, [DVec3; 2], [f64; 2])> = None;
    let (mut frames, mut between, mut thickness) = (Vec::with_capacity(count), None, None);
    for (n, groups) in FunctionalGroups::of(data_set).take(count).enumerate() {
        let missing = |what: &str| format!("frame {}: {what} is missing or not usable", n + 1);
        let position = groups.group(tags::PLANE_POSITION_SEQUENCE).and_then(position);
        let position = position.ok_or_else(|| missing("Image Position (Patient)"))?;
        let directions = groups.group(tags::PLANE_ORIENTATION_SEQUENCE).and_then(orientation);
        let directions = directions.ok_or_else(|| missing("Image Orientation (Patient)"))?;
        let measures = groups.group(tags::PIXEL_MEASURES_SEQUENCE).ok_or_else(|| missing("Pixel Spacing"))?;
        let spacing = pixel_spacing(measures).ok_or_else(|| missing("Pixel Spacing"))?;
        let (_, first_directions, first_spacing) =
            grid.get_or_insert_with(|| (Frame::new(directions, spacing, size), directions, spacing));
        let turned = directions.iter().zip(first_directions).any(|(a, b)| (*a - *b).length() > 2e-3);
        let scaled = spacing.iter().zip(first_spacing).any(|(a, b)| (a - *b).abs() > 1e-3 * *b);
        if turned || scaled {
            return Err(format!("frame {} has another orientation or spacing than the first", n + 1));
        }
        let positive = |tag| measures.number(tag).filter(|d| (1e-4..1e4).contains(d));
        between = between.or(positive(tags::SPACING_BETWEEN_SLICES));
        thickness = thickness.or(positive(tags::SLICE_THICKNESS));
        let segment = match kind {
            Kind::LabelMap => BACKGROUND,
            _ => groups
                .group(tags::SEGMENT_IDENTIFICATION_SEQUENCE)
                .and_then(|item| item.whole(tags::REFERENCED_SEGMENT_NUMBER))
                .and_then(|number| Label::try_from(number).ok())
                .filter(|number| *number != BACKGROUND)
                .ok_or_else(|| missing("Referenced Segment Number"))?,
        };
        frames.push(PlacedFrame { segment, position });
    }
    let Some((frame, ..)) = grid else { return Err("there are no frames".to_owned()) };
    Ok((SourceGrid { frame, between_mm: between, thickness_mm: thickness }, frames))
}

/// Visits the set bits of one frame; frames follow each other without padding (PS3.5 8.1.1).
fn visit_bits(
    bytes: &[u8],
    first: usize,
    count: usize,
    mut visit: impl FnMut(usize) -> Result<(), String>,
) -> Result<(), String> {
    for (n, byte) in bytes.iter().enumerate().take((first + count).div_ceil(8)).skip(first / 8) {
        let mut rest = *byte;
        while rest != 0 {
            let bit = 8 * n + rest.trailing_zeros() as usize;
            rest &= rest - 1;
            if (first..first + count).contains(&bit) {
                visit(bit - first)?;
            }
        }
    }
    Ok(())
}
