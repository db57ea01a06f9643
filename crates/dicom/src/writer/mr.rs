//! A volume as a series of MR images (PS3.3 A.4).

use std::path::Path;

use dicom_core::VR;
use dicom_dictionary_std::{tags, uids};
use volume::Volume;

use crate::error::DicomError;
use crate::writer::element::{Builder, shortened};
use crate::writer::patient::InventedPatient;
use crate::writer::series::{ImageKind, SeriesOptions, SeriesReference, image_modules, with_pixels, write_slices};

const MR: ImageKind = ImageKind { modality: "MR", sop_class_uid: uids::MR_IMAGE_STORAGE, role: "mr image" };

/// Precession of hydrogen in MHz/T.
const GYROMAGNETIC_RATIO: f64 = 42.577;

/// A spin echo sequence.
#[derive(Clone, Debug, PartialEq)]
pub struct MrOptions {
    /// Names and numbers.
    pub common: SeriesOptions,
    /// Name of the sequence, such as `se2d1`.
    pub sequence: String,
    /// Repetition time in ms.
    pub repetition_ms: f64,
    /// Echo time in ms.
    pub echo_ms: f64,
    /// Echoes for each excitation; more than one is a fast spin echo.
    pub echo_train: u32,
    /// Field in tesla.
    pub field_t: f64,
}

/// Writes magnitudes from 0 to 4095 as MR Image Storage, one file `IM0001.dcm` … a slice, into a folder made if absent.
///
/// Values beyond are cut.
///
/// # Errors
/// [`DicomError::Write`] if the folder or a file cannot be written; [`DicomError::TooLarge`] for a slice beyond 65535
/// rows or columns.
pub fn write_mr_series(
    dir: &Path,
    volume: &Volume<i16>,
    patient: &InventedPatient,
    options: &MrOptions,
) -> Result<SeriesReference, DicomError> {
    let reference = SeriesReference::new(MR, *volume.geometry(), patient, &options.common);
    write_slices(dir, volume.geometry(), |k| {
        let stored = volume.slice(k).iter().map(|v| (*v).clamp(0, 4095) as u16);
        with_pixels(mr_modules(&reference, options, k), stored, 12, false)
    })?;
    Ok(reference)
}

fn mr_modules(reference: &SeriesReference, options: &MrOptions, k: usize) -> Builder {
    let [_, _, spacing] = reference.geometry.spacing();
    let variant = if options.echo_train > 1 { "SK" } else { "NONE" };
    image_modules(MR, reference, &options.common, k)
        .text(tags::IMAGE_TYPE, VR::CS, "ORIGINAL\\PRIMARY\\OTHER")
        .text(tags::SCANNING_SEQUENCE, VR::CS, "SE")
        .text(tags::SEQUENCE_VARIANT, VR::CS, variant)
        .empty(&[(tags::SCAN_OPTIONS, VR::CS)])
        .text(tags::MR_ACQUISITION_TYPE, VR::CS, "2D")
        .text(tags::SEQUENCE_NAME, VR::SH, shortened(&options.sequence, 16))
        .decimals(tags::REPETITION_TIME, &[options.repetition_ms])
        .decimals(tags::ECHO_TIME, &[options.echo_ms])
        .text(tags::ECHO_TRAIN_LENGTH, VR::IS, options.echo_train.to_string())
        .text(tags::ECHO_NUMBERS, VR::IS, "1")
        .text(tags::NUMBER_OF_AVERAGES, VR::DS, "1")
        .text(tags::FLIP_ANGLE, VR::DS, "90")
        .text(tags::IMAGED_NUCLEUS, VR::SH, "1H")
        .decimals(tags::MAGNETIC_FIELD_STRENGTH, &[options.field_t])
        .decimals(tags::IMAGING_FREQUENCY, &[(options.field_t * GYROMAGNETIC_RATIO * 1e3).round() / 1e3])
        .decimals(tags::SPACING_BETWEEN_SLICES, &[spacing])
}
