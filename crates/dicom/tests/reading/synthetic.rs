//! Images put together in memory, one field after the other.

use std::path::PathBuf;

use dicom::{Inventory, Scan, inspect_memory, read_series};
use dicom_core::value::DataSetSequence;
use dicom_core::{DataElement, PrimitiveValue, Tag, VR};
use dicom_dictionary_std::{tags, uids};
use dicom_object::{FileMetaTableBuilder, InMemDicomObject};
use volume::ScanVolume;

/// A file's name and its bytes.
pub(crate) type MemoryFile = (PathBuf, Vec<u8>);

/// One image; [`Image::default`] is an axial CT slice of 12 × 10 zeros.
#[derive(Clone)]
pub(crate) struct Image {
    pub(crate) sop_class: &'static str,
    pub(crate) modality: &'static str,
    pub(crate) series: String,
    pub(crate) instance: String,
    pub(crate) number: usize,
    pub(crate) position: [f64; 3],
    pub(crate) orientation: [f64; 6],
    pub(crate) spacing: [f64; 2],
    pub(crate) columns: u16,
    pub(crate) rows: u16,
    pub(crate) bits: (u16, u16, u16),
    pub(crate) signed: bool,
    pub(crate) rescale: (f64, f64),
    pub(crate) pixels: Vec<i32>,
    pub(crate) syntax: &'static str,
    pub(crate) extra: Vec<(Tag, VR, String)>,
    pub(crate) without: Vec<Tag>,
}

impl Default for Image {
    fn default() -> Self {
        Self {
            sop_class: uids::CT_IMAGE_STORAGE,
            modality: "CT",
            series: "2.25.3".to_owned(),
            instance: "2.25.100".to_owned(),
            number: 1,
            position: [0.0; 3],
            orientation: [1.0, 0.0, 0.0, 0.0, 1.0, 0.0],
            spacing: [1.0, 1.0],
            columns: 12,
            rows: 10,
            bits: (16, 16, 15),
            signed: true,
            rescale: (1.0, 0.0),
            pixels: vec![0; 120],
            syntax: uids::EXPLICIT_VR_LITTLE_ENDIAN,
            extra: Vec::new(),
            without: Vec::new(),
        }
    }
}

impl Image {
    /// Pixels from the place of each in the patient.
    pub(crate) fn filled(mut self, value: impl Fn([f64; 3]) -> f64) -> Self {
        let (columns, rows) = (usize::from(self.columns), usize::from(self.rows));
        let at = |i: usize, j: usize| {
            let (u, v) = (i as f64 * self.spacing[1], j as f64 * self.spacing[0]);
            [0, 1, 2].map(|a| self.position[a] + u * self.orientation[a] + v * self.orientation[3 + a])
        };
        self.pixels = (0..rows)
            .flat_map(|j| (0..columns).map(move |i| (i, j)))
            .map(|(i, j)| value(at(i, j)).round() as i32)
            .collect();
        self
    }

    /// All elements.
    pub(crate) fn object(&self) -> InMemDicomObject {
        let text = |tag, vr, value: String| DataElement::new(tag, vr, PrimitiveValue::Str(value));
        let decimals = |tag, values: &[f64]| {
            text(
                tag,
                VR::DS,
                values
                    .iter()
                    .map(|v| format!("{v:.9}"))
                    .map(|s| s[..s.len().min(16)].to_owned())
                    .collect::<Vec<_>>()
                    .join("\\"),
            )
        };
        let us = |tag, value: u16| DataElement::new(tag, VR::US, PrimitiveValue::from(value));
        let mut object = InMemDicomObject::from_element_iter([
            text(tags::SOP_CLASS_UID, VR::UI, self.sop_class.to_owned()),
            text(tags::SOP_INSTANCE_UID, VR::UI, self.instance.clone()),
            text(tags::SERIES_INSTANCE_UID, VR::UI, self.series.clone()),
            text(tags::STUDY_INSTANCE_UID, VR::UI, "2.25.2".to_owned()),
            text(tags::FRAME_OF_REFERENCE_UID, VR::UI, "2.25.4".to_owned()),
            text(tags::MODALITY, VR::CS, self.modality.to_owned()),
            text(tags::INSTANCE_NUMBER, VR::IS, self.number.to_string()),
            text(tags::PHOTOMETRIC_INTERPRETATION, VR::CS, "MONOCHROME2".to_owned()),
            decimals(tags::IMAGE_POSITION_PATIENT, &self.position),
            decimals(tags::IMAGE_ORIENTATION_PATIENT, &self.orientation),
            decimals(tags::PIXEL_SPACING, &self.spacing),
            decimals(tags::RESCALE_SLOPE, &[self.rescale.0]),
            decimals(tags::RESCALE_INTERCEPT, &[self.rescale.1]),
            us(tags::SAMPLES_PER_PIXEL, 1),
            us(tags::ROWS, self.rows),
            us(tags::COLUMNS, self.columns),
            us(tags::BITS_ALLOCATED, self.bits.0),
            us(tags::BITS_STORED, self.bits.1),
            us(tags::HIGH_BIT, self.bits.2),
            us(tags::PIXEL_REPRESENTATION, u16::from(self.signed)),
        ]);
        object.put(match self.bits.0 {
            8 => DataElement::new(
                tags::PIXEL_DATA,
                VR::OW,
                PrimitiveValue::U8(self.pixels.iter().map(|p| *p as u8).collect()),
            ),
            16 => DataElement::new(
                tags::PIXEL_DATA,
                VR::OW,
                PrimitiveValue::U16(self.pixels.iter().map(|p| *p as u16).collect()),
            ),
            _ => DataElement::new(
                tags::PIXEL_DATA,
                VR::OW,
                PrimitiveValue::U32(self.pixels.iter().map(|p| *p as u32).collect()),
            ),
        });
        for (tag, vr, value) in &self.extra {
            object.put(text(*tag, *vr, value.clone()));
        }
        for tag in &self.without {
            object.remove_element(*tag);
        }
        object
    }

    /// The file's bytes.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        file_bytes(self.object(), self.syntax)
    }

    /// The file, named by its number.
    pub(crate) fn file(&self) -> MemoryFile {
        (PathBuf::from(format!("{}/{:04}.dcm", self.series, self.number)), self.bytes())
    }
}

/// A data set as the bytes of a file.
pub(crate) fn file_bytes(object: InMemDicomObject, syntax: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let file = object.with_meta(FileMetaTableBuilder::new().transfer_syntax(syntax)).unwrap();
    file.write_all(&mut bytes).unwrap();
    bytes
}

/// A data set of some elements.
pub(crate) fn item<const N: usize>(elements: [dicom_object::mem::InMemElement; N]) -> InMemDicomObject {
    InMemDicomObject::from_element_iter(elements)
}

/// A sequence element.
pub(crate) fn sequence(tag: Tag, items: Vec<InMemDicomObject>) -> dicom_object::mem::InMemElement {
    DataElement::new(tag, VR::SQ, DataSetSequence::from(items))
}

/// Axial slices at the given places along z, filled by place.
pub(crate) fn axial(places: &[f64], value: impl Fn([f64; 3]) -> f64 + Copy) -> Vec<Image> {
    let image = |(k, z): (usize, &f64)| Image {
        position: [5.0, -7.0, *z],
        number: k + 1,
        instance: format!("2.25.{}", 1000 + k),
        ..Image::default()
    };
    places.iter().enumerate().map(image).map(|image| image.filled(value)).collect()
}

/// The files of images.
pub(crate) fn files(images: &[Image]) -> Vec<MemoryFile> {
    images.iter().map(Image::file).collect()
}

/// An inventory of files in memory.
#[track_caller]
pub(crate) fn inspect(files: Vec<MemoryFile>) -> Inventory {
    inspect_memory(files).unwrap()
}

/// The one series of an inventory.
#[track_caller]
pub(crate) fn read_only_series(files: Vec<MemoryFile>) -> Scan {
    let inventory = inspect(files);
    assert_eq!(inventory.series.len(), 1, "{:?}", inventory.series);
    read_series(&inventory, 0).unwrap()
}

/// The voxels of a scan of whole numbers.
#[track_caller]
pub(crate) fn whole(scan: &Scan) -> &[i16] {
    match &scan.volume {
        ScanVolume::I16(volume) => volume.data(),
        ScanVolume::F32(_) => panic!("expected whole numbers"),
    }
}

/// All values in single precision.
pub(crate) fn values(scan: &Scan) -> Vec<f32> {
    match &scan.volume {
        ScanVolume::I16(volume) => volume.data().iter().map(|v| f32::from(*v)).collect(),
        ScanVolume::F32(volume) => volume.data().to_vec(),
    }
}
