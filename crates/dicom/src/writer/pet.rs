//! A volume as a series of PET images (PS3.3 A.21).

use std::path::Path;

use dicom_core::VR;
use dicom_dictionary_std::{tags, uids};
use volume::Volume;

use crate::error::DicomError;
use crate::writer::element::{Builder, code_item, decimal_string};
use crate::writer::patient::InventedPatient;
use crate::writer::series::{ImageKind, SeriesOptions, SeriesReference, image_modules, with_pixels, write_slices};

const PET: ImageKind =
    ImageKind { modality: "PT", sop_class_uid: uids::POSITRON_EMISSION_TOMOGRAPHY_IMAGE_STORAGE, role: "pet image" };

/// Half-life of fluorine-18 in seconds: 109.77 min.
pub const RADIONUCLIDE_HALF_LIFE_S: f64 = 6586.2;

/// Share of the decays of fluorine-18 that give a positron.
const POSITRON_FRACTION: f64 = 0.967;

/// When the dose was injected: an hour before the scan.
const INJECTION_TIME: &str = "091500";

/// Duration of the measurement at one place, in ms.
const FRAME_MS: &str = "180000";

/// An examination with fluorodeoxyglucose, injected an hour before.
#[derive(Clone, Debug, PartialEq)]
pub struct PetOptions {
    /// Names and numbers; the window is in Bq/ml.
    pub common: SeriesOptions,
    /// Activity when it was injected, in Bq.
    pub dose_bq: f64,
    /// The patient's weight.
    pub weight_kg: f64,
    /// The patient's height.
    pub height_m: f64,
}

impl PetOptions {
    /// Seconds from injection to scan.
    pub const UPTAKE_S: f64 = 3600.0;

    /// Activity in Bq/ml for a standardised uptake value by body weight of 1: what is left of the dose at the start of the scan, over the
    /// weight, for tissue of 1 g/ml.
    pub fn bq_ml_of_suv(&self) -> f64 {
        let left = 0.5f64.powf(Self::UPTAKE_S / RADIONUCLIDE_HALF_LIFE_S);
        self.dose_bq * left / (self.weight_kg * 1000.0)
    }
}

/// Writes activities in Bq/ml, decayed to the start of the scan, as PET Image Storage, one file `IM0001.dcm` … a slice, into a folder
/// made if absent. Each slice has its own rescale slope; negative values are cut.
///
/// # Errors
/// [`DicomError::Write`] if the folder or a file cannot be written; [`DicomError::TooLarge`] for a slice beyond 65535
/// rows or columns.
pub fn write_pet_series(
    dir: &Path,
    volume: &Volume<f32>,
    patient: &InventedPatient,
    options: &PetOptions,
) -> Result<SeriesReference, DicomError> {
    let reference = SeriesReference::new(PET, *volume.geometry(), patient, &options.common);
    write_slices(dir, volume.geometry(), |k| {
        let slice = volume.slice(k);
        let most = slice.iter().copied().fold(0.0, f32::max);
        // As it will be read.
        let text = decimal_string(f64::from(most.max(1.0)) / f64::from(i16::MAX));
        let slope: f64 = text.parse().unwrap_or(1.0);
        let stored = slice.iter().map(|v| (f64::from(v.max(0.0)) / slope).round().min(f64::from(i16::MAX)) as u16);
        let data_set = pet_modules(&reference, options, k).text(tags::RESCALE_SLOPE, VR::DS, text.as_str());
        with_pixels(data_set, stored, 16, true)
    })?;
    Ok(reference)
}

fn pet_modules(reference: &SeriesReference, options: &PetOptions, k: usize) -> Builder {
    let [_, _, slices] = reference.geometry.size();
    let index = (k + 1).min(usize::from(u16::MAX)) as u16;
    image_modules(PET, reference, &options.common, k)
        .text(tags::IMAGE_TYPE, VR::CS, "ORIGINAL\\PRIMARY\\AXIAL")
        .decimals(tags::PATIENT_WEIGHT, &[options.weight_kg])
        .decimals(tags::PATIENT_SIZE, &[options.height_m])
        .text(tags::UNITS, VR::CS, "BQML")
        .text(tags::COUNTS_SOURCE, VR::CS, "EMISSION")
        .text(tags::SERIES_TYPE, VR::CS, "WHOLE BODY\\IMAGE")
        .value(tags::NUMBER_OF_SLICES, VR::US, slices.min(usize::from(u16::MAX)) as u16)
        .text(tags::CORRECTED_IMAGE, VR::CS, "NORM\\DTIM\\ATTN\\SCAT\\DECY")
        .text(tags::DECAY_CORRECTION, VR::CS, "START")
        .text(tags::RANDOMS_CORRECTION_METHOD, VR::CS, "NONE")
        .text(tags::ATTENUATION_CORRECTION_METHOD, VR::LO, "SIMULATED")
        .text(tags::SCATTER_CORRECTION_METHOD, VR::LO, "SIMULATED")
        .text(tags::RECONSTRUCTION_METHOD, VR::LO, "SIMULATED")
        .text(tags::COLLIMATOR_TYPE, VR::CS, "NONE")
        .text(tags::RESCALE_INTERCEPT, VR::DS, "0")
        .decimals(tags::FRAME_REFERENCE_TIME, &[0.0])
        .text(tags::ACTUAL_FRAME_DURATION, VR::IS, FRAME_MS)
        .text(tags::DECAY_FACTOR, VR::DS, "1")
        .value(tags::IMAGE_INDEX, VR::US, index)
        .item(tags::RADIOPHARMACEUTICAL_INFORMATION_SEQUENCE, radiopharmaceutical(options, reference.date()))
        // PS3.3 C.7.3.1.1.2: in place of Patient Position.
        .without(tags::PATIENT_POSITION)
        .items(tags::PATIENT_ORIENTATION_CODE_SEQUENCE, vec![orientation().0])
        .items(tags::PATIENT_GANTRY_RELATIONSHIP_CODE_SEQUENCE, vec![code_item("SCT", "102540001", "headfirst").0])
}

/// PS3.16 CID 4020 and 4021.
fn radiopharmaceutical(options: &PetOptions, date: &str) -> Builder {
    Builder::new()
        .text(tags::RADIOPHARMACEUTICAL, VR::LO, "Fluorodeoxyglucose F^18^")
        .text(tags::RADIOPHARMACEUTICAL_START_TIME, VR::TM, INJECTION_TIME)
        .text(tags::RADIOPHARMACEUTICAL_START_DATE_TIME, VR::DT, format!("{date}{INJECTION_TIME}"))
        .decimals(tags::RADIONUCLIDE_TOTAL_DOSE, &[options.dose_bq])
        .decimals(tags::RADIONUCLIDE_HALF_LIFE, &[RADIONUCLIDE_HALF_LIFE_S])
        .decimals(tags::RADIONUCLIDE_POSITRON_FRACTION, &[POSITRON_FRACTION])
        .item(tags::RADIONUCLIDE_CODE_SEQUENCE, code_item("SCT", "77004003", "^18^Fluorine"))
        .item(tags::RADIOPHARMACEUTICAL_CODE_SEQUENCE, code_item("SCT", "35321007", "Fluorodeoxyglucose F^18^"))
}

/// PS3.16 CID 19 and 20: lying on the back.
fn orientation() -> Builder {
    code_item("SCT", "102538003", "recumbent")
        .item(tags::PATIENT_ORIENTATION_MODIFIER_CODE_SEQUENCE, code_item("SCT", "40199007", "supine"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::writer::series::SCAN_TIME;

    #[test]
    fn injection_and_scan_lie_apart_as_stated() {
        let hours = |time: &str| time[..2].parse::<f64>().unwrap() + time[2..4].parse::<f64>().unwrap() / 60.0;
        assert_eq!((hours(SCAN_TIME) - hours(INJECTION_TIME)) * 3600.0, PetOptions::UPTAKE_S);
        let options = PetOptions { common: SeriesOptions::default(), dose_bq: 3e8, weight_kg: 75.0, height_m: 1.8 };
        assert!((options.bq_ml_of_suv() - 4000.0 * 0.6846).abs() < 2.0, "{}", options.bq_ml_of_suv());
    }
}
