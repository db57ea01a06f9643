//! A volume as a series of CT images (PS3.3 A.3).

use std::path::Path;

use dicom_core::VR;
use dicom_dictionary_std::{tags, uids};
use rayon::prelude::*;
use volume::Volume;

use crate::error::DicomError;
use crate::writer::element::{Builder, shortened};
use crate::writer::patient::InventedPatient;
use crate::writer::series::{ImageKind, SeriesOptions, SeriesReference, image_modules, with_pixels, write_slices};

const CT: ImageKind = ImageKind { modality: "CT", sop_class_uid: uids::CT_IMAGE_STORAGE, role: "image" };

/// What a scanner would know beside the voxels.
#[derive(Clone, Debug, PartialEq)]
pub struct CtOptions {
    /// All UIDs derive from it.
    pub seed: u64,
    /// Tells series apart that share seed and number but not their voxels; 0 for the usual one.
    pub variant: u64,
    /// As [`SeriesOptions::day`].
    pub day: u32,
    /// Study description.
    pub study: String,
    /// Series description.
    pub series: String,
    /// Series number.
    pub series_number: u32,
    /// Body part examined, a defined term of PS3.16 Annex L such as `CHEST`.
    pub body_part: String,
    /// Contrast agent, if any was given.
    pub contrast_agent: Option<String>,
    /// Window center and width in HU.
    pub window: (f32, f32),
    /// Nominal slice thickness in mm; the distance of slices if absent.
    pub slice_thickness_mm: Option<f64>,
    /// Name of the reconstruction kernel.
    pub kernel: Option<String>,
    /// Tube current times exposure time, in mAs.
    pub exposure_mas: Option<f64>,
    /// Tilt of the gantry in degrees; negative when its top leans away from where the table enters (PS3.3 C.8.2.1).
    pub gantry_tilt_deg: Option<f64>,
}

impl Default for CtOptions {
    fn default() -> Self {
        Self {
            seed: 0,
            variant: 0,
            day: 0,
            study: "Phantom".to_owned(),
            series: "Phantom".to_owned(),
            series_number: 2,
            body_part: "CHEST".to_owned(),
            contrast_agent: None,
            window: (40.0, 400.0),
            slice_thickness_mm: None,
            kernel: None,
            exposure_mas: None,
            gantry_tilt_deg: None,
        }
    }
}

impl CtOptions {
    fn common(&self) -> SeriesOptions {
        SeriesOptions {
            seed: self.seed,
            variant: self.variant,
            day: self.day,
            study: self.study.clone(),
            series: self.series.clone(),
            series_number: self.series_number,
            body_part: self.body_part.clone(),
            window: self.window,
            slice_thickness_mm: self.slice_thickness_mm,
        }
    }
}

/// Writes a volume in HU as CT Image Storage, one file `IM0001.dcm` … a slice, into a folder made if absent.
///
/// A grid whose slices are shifted against each other, as by a tilted gantry, is written as it is: each slice has its own position.
/// Values from −1024 to 3071 HU are stored as scanners do, unsigned 12 bits with intercept −1024; wider ranges signed.
///
/// # Errors
/// [`DicomError::Write`] if the folder or a file cannot be written; [`DicomError::TooLarge`] for a slice beyond 65535
/// rows or columns.
pub fn write_ct_series(
    dir: &Path,
    volume: &Volume<i16>,
    patient: &InventedPatient,
    options: &CtOptions,
) -> Result<SeriesReference, DicomError> {
    let common = options.common();
    let reference = SeriesReference::new(CT, *volume.geometry(), patient, &common);
    let fits_12_bits = volume.data().par_iter().all(|v| (-1024..=3071).contains(v));
    write_slices(dir, volume.geometry(), |k| {
        hounsfield_pixels(ct_modules(&reference, options, &common, k), volume.slice(k), fits_12_bits)
    })?;
    Ok(reference)
}

fn ct_modules(reference: &SeriesReference, options: &CtOptions, common: &SeriesOptions, k: usize) -> Builder {
    let mut data_set = image_modules(CT, reference, common, k)
        .text(tags::IMAGE_TYPE, VR::CS, "ORIGINAL\\PRIMARY\\AXIAL")
        .text(tags::KVP, VR::DS, "120")
        .text(tags::RESCALE_SLOPE, VR::DS, "1")
        .text(tags::RESCALE_TYPE, VR::LO, "HU");
    if let Some(kernel) = &options.kernel {
        data_set = data_set.text(tags::CONVOLUTION_KERNEL, VR::SH, shortened(kernel, 16));
    }
    if let Some(exposure) = options.exposure_mas {
        data_set = data_set.text(tags::EXPOSURE, VR::IS, format!("{exposure:.0}"));
    }
    if let Some(tilt) = options.gantry_tilt_deg {
        data_set = data_set.decimals(tags::GANTRY_DETECTOR_TILT, &[tilt]);
    }
    match &options.contrast_agent {
        Some(agent) => data_set.text(tags::CONTRAST_BOLUS_AGENT, VR::LO, shortened(agent, 64)),
        None => data_set,
    }
}

fn hounsfield_pixels(data_set: Builder, slice: &[i16], fits_12_bits: bool) -> Builder {
    let (intercept, bits) = if fits_12_bits { (-1024i16, 12) } else { (0, 16) };
    let stored = slice.iter().map(|&hu| (i32::from(hu) - i32::from(intercept)) as u16);
    let data_set = data_set.text(tags::RESCALE_INTERCEPT, VR::DS, intercept.to_string());
    with_pixels(data_set, stored, bits, !fits_12_bits)
}
