//! What all series of images have in common.

use std::path::Path;

use dicom_core::VR;
use dicom_core::value::PrimitiveValue;
use dicom_dictionary_std::tags;
use rayon::prelude::*;
use space::Point;
use volume::ImageGeometry;

use crate::error::DicomError;
use crate::writer::element::{Builder, decimal_string, shortened, write_file};
use crate::writer::patient::InventedPatient;
use crate::writer::uid::derived_uid;
use crate::writer::{DEVICE_SERIAL_NUMBER, MANUFACTURER};

/// The day on which everything invented was scanned first, counted from 1970-01-01.
const FIRST_DAY: u32 = 18_321;
pub(super) const SCAN_TIME: &str = "101500";

/// What a series of any modality is called.
#[derive(Clone, Debug, PartialEq)]
pub struct SeriesOptions {
    /// All UIDs derive from it; series of one seed share study and frame of reference.
    pub seed: u64,
    /// Tells series apart that share seed and number but not their voxels; 0 for the usual one.
    pub variant: u64,
    /// Days since the first examination, each with a study and a frame of reference of its own; at most a hundred years.
    pub day: u32,
    /// Study description.
    pub study: String,
    /// Series description.
    pub series: String,
    /// Series number, distinct within a study.
    pub series_number: u32,
    /// Body part examined, a defined term of PS3.16 Annex L such as `CHEST`.
    pub body_part: String,
    /// Window center and width.
    pub window: (f32, f32),
    /// Nominal slice thickness in mm; the distance of slices if absent.
    pub slice_thickness_mm: Option<f64>,
}

impl Default for SeriesOptions {
    fn default() -> Self {
        Self {
            seed: 0,
            variant: 0,
            day: 0,
            study: "Phantom".to_owned(),
            series: "Phantom".to_owned(),
            series_number: 2,
            body_part: "CHEST".to_owned(),
            window: (40.0, 400.0),
            slice_thickness_mm: None,
        }
    }
}

/// A written series, for segmentations that refer to it.
#[derive(Clone, Debug)]
pub struct SeriesReference {
    pub(crate) seed: u64,
    /// From which the UIDs of what is in the series derive.
    pub(crate) content_seed: u64,
    pub(crate) patient: InventedPatient,
    /// As Date.
    date: String,
    pub(crate) study: String,
    pub(crate) study_uid: String,
    pub(crate) series_uid: String,
    pub(crate) frame_of_reference_uid: String,
    pub(crate) sop_class_uid: &'static str,
    /// SOP Instance UID of each slice `k`.
    pub(crate) instance_uids: Vec<String>,
    pub(crate) geometry: ImageGeometry,
    /// Tells the segmentations of a study's series apart; 0 for CT.
    pub(crate) segmentation: usize,
}

/// A kind of image.
#[derive(Clone, Copy, Debug)]
pub(super) struct ImageKind {
    /// Defined term of Modality.
    pub(super) modality: &'static str,
    pub(super) sop_class_uid: &'static str,
    /// Role of its images' UIDs.
    pub(super) role: &'static str,
}

impl SeriesReference {
    pub(super) fn new(
        kind: ImageKind,
        geometry: ImageGeometry,
        patient: &InventedPatient,
        options: &SeriesOptions,
    ) -> Self {
        let (seed, content_seed) = (options.seed, options.seed ^ options.variant);
        let [_, _, slices] = geometry.size();
        let number = options.series_number as usize;
        let is_ct = kind.modality == "CT";
        let role = if is_ct { kind.role.to_owned() } else { format!("{} {number}", kind.role) };
        Self {
            seed,
            content_seed,
            patient: patient.clone(),
            date: date_of(FIRST_DAY + options.day.min(36_525)),
            study: options.study.clone(),
            study_uid: derived_uid(seed, "study", options.day as usize),
            series_uid: derived_uid(content_seed, "series", number),
            frame_of_reference_uid: derived_uid(seed, "frame of reference", options.day as usize),
            sop_class_uid: kind.sop_class_uid,
            instance_uids: (0..slices).map(|k| derived_uid(content_seed, &role, k)).collect(),
            geometry,
            segmentation: if is_ct { 0 } else { number },
        }
    }
}

impl SeriesReference {
    /// The day of the examination as a value of VR DA.
    pub(super) fn date(&self) -> &str {
        &self.date
    }
}

/// A day counted from 1970-01-01 as a value of VR DA.
fn date_of(day: u32) -> String {
    let is_leap = |year: u32| year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let (mut year, mut rest) = (1970, day);
    while rest >= 365 + u32::from(is_leap(year)) {
        rest -= 365 + u32::from(is_leap(year));
        year += 1;
    }
    let months = [31, 28 + u32::from(is_leap(year)), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let mut month = 0;
    while rest >= months[month] {
        rest -= months[month];
        month += 1;
    }
    format!("{year:04}{:02}{:02}", month + 1, rest + 1)
}

/// Writes a file `IM0001.dcm` … for each slice into a folder made if absent; `modules` gives what is more than Rows and Columns.
pub(super) fn write_slices(
    dir: &Path,
    geometry: &ImageGeometry,
    modules: impl Fn(usize) -> Builder + Sync,
) -> Result<(), DicomError> {
    std::fs::create_dir_all(dir).map_err(|source| DicomError::Write { path: dir.to_owned(), source })?;
    let [columns, rows, slices] = geometry.size();
    let (Ok(columns), Ok(rows)) = (u16::try_from(columns), u16::try_from(rows)) else {
        return Err(DicomError::TooLarge { what: "slice to be written", size: geometry.size(), path: dir.to_owned() });
    };
    (0..slices).into_par_iter().try_for_each(|k| {
        let data_set = modules(k).value(tags::ROWS, VR::US, rows).value(tags::COLUMNS, VR::US, columns);
        write_file(&dir.join(format!("IM{:04}.dcm", k + 1)), data_set)
    })
}

/// Patient, General Study and the parts of General Equipment and SOP Common that are alike in all that is written.
pub(crate) fn common_modules(reference: &SeriesReference) -> Builder {
    let patient = &reference.patient;
    Builder::new()
        .text(tags::SPECIFIC_CHARACTER_SET, VR::CS, "ISO_IR 192")
        .text(tags::PATIENT_NAME, VR::PN, patient.name.as_str())
        .text(tags::PATIENT_ID, VR::LO, patient.id.as_str())
        .text(tags::PATIENT_BIRTH_DATE, VR::DA, patient.birth_date.as_str())
        .text(tags::PATIENT_SEX, VR::CS, patient.sex.as_str())
        .text(tags::STUDY_INSTANCE_UID, VR::UI, reference.study_uid.as_str())
        .text(tags::STUDY_DATE, VR::DA, reference.date())
        .text(tags::STUDY_TIME, VR::TM, SCAN_TIME)
        .text(tags::STUDY_ID, VR::SH, "1")
        .text(tags::STUDY_DESCRIPTION, VR::LO, shortened(&reference.study, 64))
        .text(tags::ACCESSION_NUMBER, VR::SH, patient.accession.as_str())
        .empty(&[(tags::REFERRING_PHYSICIAN_NAME, VR::PN), (tags::POSITION_REFERENCE_INDICATOR, VR::LO)])
        .text(tags::SERIES_DATE, VR::DA, reference.date())
        .text(tags::SERIES_TIME, VR::TM, SCAN_TIME)
        .text(tags::CONTENT_DATE, VR::DA, reference.date())
        .text(tags::CONTENT_TIME, VR::TM, SCAN_TIME)
        .text(tags::FRAME_OF_REFERENCE_UID, VR::UI, reference.frame_of_reference_uid.as_str())
        .text(tags::MANUFACTURER, VR::LO, MANUFACTURER)
        .text(tags::MANUFACTURER_MODEL_NAME, VR::LO, "Phantom")
        .text(tags::DEVICE_SERIAL_NUMBER, VR::LO, DEVICE_SERIAL_NUMBER)
        .text(tags::SOFTWARE_VERSIONS, VR::LO, env!("CARGO_PKG_VERSION"))
        .value(tags::SAMPLES_PER_PIXEL, VR::US, 1u16)
        .text(tags::PHOTOMETRIC_INTERPRETATION, VR::CS, "MONOCHROME2")
}

/// [`common_modules`] with General Series, General Image and Image Plane of slice `k`.
pub(super) fn image_modules(
    kind: ImageKind,
    reference: &SeriesReference,
    options: &SeriesOptions,
    k: usize,
) -> Builder {
    let geometry = &reference.geometry;
    let position = geometry.lps_from_index() * Point::new(0.0, 0.0, k as f64);
    let [column_spacing, row_spacing, slice_spacing] = geometry.spacing();
    let direction = geometry.direction();
    let orientation = [direction.x_axis.to_array(), direction.y_axis.to_array()].concat();
    let (center, width) = options.window;
    common_modules(reference)
        .text(tags::SOP_CLASS_UID, VR::UI, kind.sop_class_uid)
        .text(tags::SOP_INSTANCE_UID, VR::UI, reference.instance_uids[k].as_str())
        .text(tags::MODALITY, VR::CS, kind.modality)
        .text(tags::SERIES_INSTANCE_UID, VR::UI, reference.series_uid.as_str())
        .text(tags::SERIES_NUMBER, VR::IS, options.series_number.to_string())
        .text(tags::SERIES_DESCRIPTION, VR::LO, shortened(&options.series, 64))
        .text(tags::BODY_PART_EXAMINED, VR::CS, options.body_part.as_str())
        .text(tags::PATIENT_POSITION, VR::CS, "HFS")
        .text(tags::ACQUISITION_DATE, VR::DA, reference.date())
        .text(tags::ACQUISITION_TIME, VR::TM, SCAN_TIME)
        .text(tags::ACQUISITION_NUMBER, VR::IS, "1")
        .text(tags::INSTANCE_NUMBER, VR::IS, (k + 1).to_string())
        .decimals(tags::PIXEL_SPACING, &[row_spacing, column_spacing])
        .decimals(tags::IMAGE_ORIENTATION_PATIENT, &orientation)
        .decimals(tags::IMAGE_POSITION_PATIENT, &position.get().to_array())
        .decimals(tags::SLICE_THICKNESS, &[options.slice_thickness_mm.unwrap_or(slice_spacing)])
        .decimals(tags::SLICE_LOCATION, &[direction.z_axis.dot(position.get())])
        .text(tags::WINDOW_CENTER, VR::DS, decimal_string(f64::from(center)))
        .text(tags::WINDOW_WIDTH, VR::DS, decimal_string(f64::from(width)))
}

/// 16-bit pixels of which `bits` are used.
pub(super) fn with_pixels(data_set: Builder, stored: impl Iterator<Item = u16>, bits: u16, signed: bool) -> Builder {
    data_set
        .value(tags::BITS_ALLOCATED, VR::US, 16u16)
        .value(tags::BITS_STORED, VR::US, bits)
        .value(tags::HIGH_BIT, VR::US, bits - 1)
        .value(tags::PIXEL_REPRESENTATION, VR::US, u16::from(signed))
        .value(tags::PIXEL_DATA, VR::OW, PrimitiveValue::U16(stored.collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_become_dates() {
        let dates =
            [(0, "19700101"), (FIRST_DAY, "20200229"), (FIRST_DAY + 1, "20200301"), (FIRST_DAY + 366, "20210301")];
        for (day, date) in dates {
            assert_eq!(date_of(day), date);
        }
        assert_eq!(date_of(FIRST_DAY + 307), "20210101");
        assert_eq!(date_of(FIRST_DAY + 306), "20201231");
    }
}
