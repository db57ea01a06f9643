//! A label map as a binary DICOM SEG over a series.

use std::ops::Range;
use std::path::Path;

use dicom_core::{PrimitiveValue, VR};
use dicom_dictionary_std::{tags, uids};
use dicom_object::InMemDicomObject;
use rayon::prelude::*;
use space::Point;
use volume::{BACKGROUND, Label, LabelMap, Segment};

use crate::error::DicomError;
use crate::segmentation::color::cielab_from_srgb;
use crate::writer::{
    Builder, SeriesReference, code_item, common_modules, decimal_strings, derived_uid, shortened, write_file,
};

/// Marks the codes of structures that have none in SNOMED CT (PS3.3 8.2: private schemes start with 99).
pub(crate) const PRIVATE_SCHEME: &str = "99VESTIBULE";

/// Grey, as other viewers show a segment without a colour.
pub(crate) const DEFAULT_COLOR: [u8; 3] = [128, 174, 128];

/// Well above those of scans; that of CT is one more, those of others more by their own.
const SERIES_NUMBER: usize = 300;

/// Writes a label map as Segmentation Storage, type BINARY, with a frame for each slice in which a segment has voxels.
///
/// A segment with parts is written as their union. Segments are numbered 1, 2, … in the order of their labels, as the
/// standard wants it; labels that belong to no segment become `label_N`. `TrackingID` keeps the machine name.
///
/// # Errors
/// [`DicomError::GridMismatch`] if the label map does not lie on the series' grid, [`DicomError::TooLarge`] beyond
/// 4 GiB of frames, [`DicomError::EmptySegmentation`] without a voxel, [`DicomError::Write`].
pub fn write_segmentation(file: &Path, labels: &LabelMap, series: &SeriesReference) -> Result<(), DicomError> {
    let geometry = labels.geometry();
    if !geometry.is_same_grid(&series.geometry, 1e-3) {
        let (expected, found) = (series.geometry.size(), geometry.size());
        return Err(DicomError::GridMismatch { expected, found, path: file.to_owned() });
    }
    let segments = segments_to_write(labels);
    let frames = non_empty_frames(labels, &segments);
    if frames.is_empty() {
        return Err(DicomError::EmptySegmentation { path: file.to_owned() });
    }
    let too_large = DicomError::TooLarge { what: "segmentation", size: geometry.size(), path: file.to_owned() };
    let [columns, rows, _] = geometry.size();
    let bits = frames.len() as u64 * (rows * columns) as u64;
    let (Ok(columns), Ok(rows)) = (u16::try_from(columns), u16::try_from(rows)) else { return Err(too_large) };
    if segments.len() > usize::from(u16::MAX) || bits / 8 >= u64::from(u32::MAX) - 2 {
        return Err(too_large);
    }
    let mut pixels = packed_frames(labels, &segments, &frames);
    pixels.resize(pixels.len().next_multiple_of(2), 0);

    let position = |k| series.geometry.lps_from_index() * Point::new(0.0, 0.0, k as f64);
    let positions: Vec<String> =
        (0..geometry.size()[2]).map(|k| decimal_strings(&position(k).get().to_array())).collect();
    let organization = derived_uid(series.content_seed, "dimension organization", series.segmentation);
    let data_set = common_modules(series)
        .text(tags::SOP_CLASS_UID, VR::UI, uids::SEGMENTATION_STORAGE)
        .text(tags::SOP_INSTANCE_UID, VR::UI, derived_uid(series.content_seed, "segmentation", series.segmentation))
        .text(tags::MODALITY, VR::CS, "SEG")
        .text(
            tags::SERIES_INSTANCE_UID,
            VR::UI,
            derived_uid(series.content_seed, "segmentation series", series.segmentation),
        )
        .text(tags::SERIES_NUMBER, VR::IS, (SERIES_NUMBER + series.segmentation.max(1)).to_string())
        .text(tags::SERIES_DESCRIPTION, VR::LO, "Segmentation")
        .text(tags::INSTANCE_NUMBER, VR::IS, "1")
        .text(tags::IMAGE_TYPE, VR::CS, "DERIVED\\PRIMARY")
        .text(tags::CONTENT_LABEL, VR::CS, "SEGMENTATION")
        .text(tags::CONTENT_DESCRIPTION, VR::LO, "Structures of the series it refers to")
        .empty(&[(tags::CONTENT_CREATOR_NAME, VR::PN)])
        .text(tags::NUMBER_OF_FRAMES, VR::IS, frames.len().to_string())
        .value(tags::ROWS, VR::US, rows)
        .value(tags::COLUMNS, VR::US, columns)
        .value(tags::BITS_ALLOCATED, VR::US, 1u16)
        .value(tags::BITS_STORED, VR::US, 1u16)
        .value(tags::HIGH_BIT, VR::US, 0u16)
        .value(tags::PIXEL_REPRESENTATION, VR::US, 0u16)
        .text(tags::LOSSY_IMAGE_COMPRESSION, VR::CS, "00")
        .text(tags::SEGMENTATION_TYPE, VR::CS, "BINARY")
        .text(tags::SEGMENTS_OVERLAP, VR::CS, if segments.iter().any(|s| s.labels.len() > 1) { "YES" } else { "NO" })
        .items(tags::SEGMENT_SEQUENCE, (1..).zip(&segments).map(|(n, s)| segment_item(series.seed, n, s).0).collect())
        .item(tags::REFERENCED_SERIES_SEQUENCE, referenced_series(series))
        .item(
            tags::DIMENSION_ORGANIZATION_SEQUENCE,
            Builder::new().text(tags::DIMENSION_ORGANIZATION_UID, VR::UI, organization.as_str()),
        )
        .items(tags::DIMENSION_INDEX_SEQUENCE, dimension_indices(&organization))
        .item(tags::SHARED_FUNCTIONAL_GROUPS_SEQUENCE, shared_groups(series))
        .items(
            tags::PER_FRAME_FUNCTIONAL_GROUPS_SEQUENCE,
            frames.par_iter().map(|frame| frame_groups(series, frame, &positions[frame.slice]).0).collect(),
        )
        .value(tags::PIXEL_DATA, VR::OB, pixels);
    write_file(file, data_set)
}

/// A segment and all labels whose voxels are its own.
struct WrittenSegment {
    segment: Segment,
    labels: Vec<Label>,
}

impl WrittenSegment {
    /// Whether each label belongs to it, up to the last that does.
    fn members(&self) -> Vec<bool> {
        (BACKGROUND..=self.labels.last().copied().unwrap_or(BACKGROUND)).map(|l| self.labels.contains(&l)).collect()
    }
}

/// No rows; any other range joined with it stays as it is.
const NONE: Range<usize> = Range { start: usize::MAX, end: 0 };

/// A segment's index in the list, a slice in which it has voxels, and the rows that hold them.
struct Frame {
    segment: usize,
    slice: usize,
    rows: Range<usize>,
}

fn segments_to_write(labels: &LabelMap) -> Vec<WrittenSegment> {
    let counts = labels.counts();
    let owned = |label: &Label| {
        labels.segments.contains_key(label) || labels.segments.values().any(|s| s.parts.contains(label))
    };
    let nameless = counts.keys().filter(|label| !owned(label)).map(|&label| Segment {
        label,
        parts: Vec::new(),
        name: format!("label_{label}"),
        display: format!("Label {label}"),
        code: None,
        color: DEFAULT_COLOR,
    });
    let mut all: Vec<WrittenSegment> = labels
        .segments
        .values()
        .cloned()
        .chain(nameless)
        .map(|segment| {
            let mut labels: Vec<Label> = std::iter::once(segment.label).chain(segment.parts.iter().copied()).collect();
            labels.retain(|label| *label != BACKGROUND && counts.contains_key(label));
            labels.sort_unstable();
            labels.dedup();
            WrittenSegment { segment, labels }
        })
        .filter(|written| !written.labels.is_empty())
        .collect();
    all.sort_by_key(|written| written.segment.label);
    all
}

fn non_empty_frames(labels: &LabelMap, segments: &[WrittenSegment]) -> Vec<Frame> {
    let [columns, _, slices] = labels.geometry().size();
    let last = segments.iter().flat_map(|s| &s.labels).max().map_or(0, |label| usize::from(*label));
    let rows: Vec<Vec<Range<usize>>> = (0..slices)
        .into_par_iter()
        .map(|k| {
            let mut rows = vec![NONE; last + 1];
            for (y, row) in labels.voxels.slice(k).chunks(columns).enumerate() {
                for label in row {
                    if let Some(rows) = rows.get_mut(usize::from(*label)) {
                        *rows = rows.start.min(y)..y + 1;
                    }
                }
            }
            let joined = |a: Range<usize>, b: Range<usize>| a.start.min(b.start)..a.end.max(b.end);
            let of = |label: &Label| rows[usize::from(*label)].clone();
            segments.iter().map(|s| s.labels.iter().map(of).fold(NONE, joined)).collect()
        })
        .collect();
    let frame_of = |segment: usize, slice: usize| {
        let rows = rows[slice][segment].clone();
        (!rows.is_empty()).then_some(Frame { segment, slice, rows })
    };
    (0..segments.len()).flat_map(|s| (0..slices).filter_map(move |k| frame_of(s, k))).collect()
}

/// One bit a voxel, least significant first, frames without padding between them (PS3.5 8.1.1).
fn packed_frames(labels: &LabelMap, segments: &[WrittenSegment], frames: &[Frame]) -> Vec<u8> {
    let [columns, rows, _] = labels.geometry().size();
    let frame_bits = columns * rows;
    let mut bytes = vec![0u8; (frames.len() * frame_bits).div_ceil(8)];
    let members: Vec<Vec<bool>> = segments.iter().map(WrittenSegment::members).collect();
    // Eight frames fill whole bytes whatever their size.
    bytes.par_chunks_mut(frame_bits).zip(frames.par_chunks(8)).for_each(|(bytes, frames)| {
        for (n, frame) in frames.iter().enumerate() {
            let members = &members[frame.segment];
            let voxels = frame.rows.start * columns..frame.rows.end * columns;
            for (bit, label) in (n * frame_bits + voxels.start..).zip(&labels.voxels.slice(frame.slice)[voxels]) {
                let belongs = members.get(usize::from(*label)).is_some_and(|belongs| *belongs);
                bytes[bit / 8] |= u8::from(belongs) << (bit % 8);
            }
        }
    });
    bytes
}

fn segment_item(seed: u64, number: u16, written: &WrittenSegment) -> Builder {
    let segment = &written.segment;
    let concept = segment.code.as_ref().map_or(&segment.display, |code| &code.meaning);
    let (category, meaning) = if is_abnormality(concept) {
        ("49755003", "Morphologically Abnormal Structure")
    } else {
        ("123037004", "Anatomical Structure")
    };
    let property = match &segment.code {
        Some(code) => code_item(&code.scheme, &code.value, &code.meaning),
        None => code_item(PRIVATE_SCHEME, &format!("L{}", segment.label), &segment.display),
    };
    let name: String = shortened(&segment.name, 64);
    Builder::new()
        .value(tags::SEGMENT_NUMBER, VR::US, number)
        .text(tags::SEGMENT_LABEL, VR::LO, shortened(&segment.display, 64))
        .text(tags::SEGMENT_ALGORITHM_TYPE, VR::CS, "AUTOMATIC")
        .text(tags::SEGMENT_ALGORITHM_NAME, VR::LO, "Vestibule")
        .text(tags::TRACKING_ID, VR::UT, name.as_str())
        .text(tags::TRACKING_UID, VR::UI, derived_uid(seed, &name, usize::from(segment.label)))
        .value(
            tags::RECOMMENDED_DISPLAY_CIE_LAB_VALUE,
            VR::US,
            PrimitiveValue::U16(cielab_from_srgb(segment.color).into_iter().collect()),
        )
        .item(tags::SEGMENTED_PROPERTY_CATEGORY_CODE_SEQUENCE, code_item("SCT", category, meaning))
        .item(tags::SEGMENTED_PROPERTY_TYPE_CODE_SEQUENCE, property)
}

/// What PS3.16 CID 7159 counts as a lesion and not as anatomy.
fn is_abnormality(concept: &str) -> bool {
    ["lesion", "tumor", "tumour", "neoplasm", "mass", "cyst", "nodule"]
        .iter()
        .any(|word| concept.to_lowercase().split(|c: char| !c.is_alphabetic()).any(|w| w == *word))
}

fn instance_item(series: &SeriesReference, slice: usize) -> Builder {
    Builder::new().text(tags::REFERENCED_SOP_CLASS_UID, VR::UI, series.sop_class_uid).text(
        tags::REFERENCED_SOP_INSTANCE_UID,
        VR::UI,
        series.instance_uids[slice].as_str(),
    )
}

fn referenced_series(series: &SeriesReference) -> Builder {
    let instances = (0..series.instance_uids.len()).map(|k| instance_item(series, k).0).collect();
    Builder::new()
        .text(tags::SERIES_INSTANCE_UID, VR::UI, series.series_uid.as_str())
        .items(tags::REFERENCED_INSTANCE_SEQUENCE, instances)
}

/// Frames are ordered by segment, then by position.
fn dimension_indices(organization: &str) -> Vec<InMemDicomObject> {
    let index = |pointer, group, label: &str| {
        Builder::new()
            .text(tags::DIMENSION_ORGANIZATION_UID, VR::UI, organization)
            .value(tags::DIMENSION_INDEX_POINTER, VR::AT, pointer)
            .value(tags::FUNCTIONAL_GROUP_POINTER, VR::AT, group)
            .text(tags::DIMENSION_DESCRIPTION_LABEL, VR::LO, label)
            .0
    };
    vec![
        index(tags::REFERENCED_SEGMENT_NUMBER, tags::SEGMENT_IDENTIFICATION_SEQUENCE, "ReferencedSegmentNumber"),
        index(tags::IMAGE_POSITION_PATIENT, tags::PLANE_POSITION_SEQUENCE, "ImagePositionPatient"),
    ]
}

fn shared_groups(series: &SeriesReference) -> Builder {
    let [column_spacing, row_spacing, slice_spacing] = series.geometry.spacing();
    let direction = series.geometry.direction();
    let orientation = [direction.x_axis.to_array(), direction.y_axis.to_array()].concat();
    // PS3.3 C.7.6.16.2.1: along the normal, which a tilted gantry's table does not follow.
    let upright = direction.z_axis.dot(direction.x_axis.cross(direction.y_axis));
    let slice_spacing = if upright < 1.0 - 1e-9 { slice_spacing * upright } else { slice_spacing };
    Builder::new()
        .item(tags::PLANE_ORIENTATION_SEQUENCE, Builder::new().decimals(tags::IMAGE_ORIENTATION_PATIENT, &orientation))
        .item(
            tags::PIXEL_MEASURES_SEQUENCE,
            Builder::new()
                .decimals(tags::SLICE_THICKNESS, &[slice_spacing])
                .decimals(tags::SPACING_BETWEEN_SLICES, &[slice_spacing])
                .decimals(tags::PIXEL_SPACING, &[row_spacing, column_spacing]),
        )
}

fn frame_groups(series: &SeriesReference, frame: &Frame, position: &str) -> Builder {
    let segment = (frame.segment + 1) as u32;
    let source = instance_item(series, frame.slice).item(
        tags::PURPOSE_OF_REFERENCE_CODE_SEQUENCE,
        code_item("DCM", "121322", "Source image for image processing operation"),
    );
    let derivation = Builder::new()
        .item(tags::SOURCE_IMAGE_SEQUENCE, source)
        .item(tags::DERIVATION_CODE_SEQUENCE, code_item("DCM", "113076", "Segmentation"));
    let content = Builder::new().value(
        tags::DIMENSION_INDEX_VALUES,
        VR::UL,
        PrimitiveValue::U32([segment, frame.slice as u32 + 1].into_iter().collect()),
    );
    Builder::new()
        .item(tags::DERIVATION_IMAGE_SEQUENCE, derivation)
        .item(tags::FRAME_CONTENT_SEQUENCE, content)
        .item(tags::PLANE_POSITION_SEQUENCE, Builder::new().text(tags::IMAGE_POSITION_PATIENT, VR::DS, position))
        .item(
            tags::SEGMENT_IDENTIFICATION_SEQUENCE,
            Builder::new().value(tags::REFERENCED_SEGMENT_NUMBER, VR::US, segment as u16),
        )
}
