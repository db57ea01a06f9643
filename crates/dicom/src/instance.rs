//! What one file says about its image or frames.

use std::sync::Arc;

use dicom_dictionary_std::{tags, uids};
use glam::DVec3;

use crate::dataset::DataSet;
use crate::enhanced;
use crate::identity::{IdentityGuard, Salt, guard};
use crate::part10::{Codec, Header, Syntax};
use crate::pixels::PixelFormat;
use crate::report::{Modality, Obstacle, SplitBy};
use crate::source::Source;

/// A file with an image, or several frames of one.
#[derive(Clone, Debug)]
pub(crate) struct Instance {
    pub(crate) source: Source,
    pub(crate) sop_instance: String,
    pub(crate) series_uid: String,
    pub(crate) frame_of_reference: String,
    pub(crate) modality: Modality,
    pub(crate) description: Option<String>,
    pub(crate) body_part: Option<String>,
    pub(crate) contrast: bool,
    pub(crate) series_number: Option<i64>,
    pub(crate) localizer: bool,
    pub(crate) lossy: bool,
    pub(crate) real_world_values: bool,
    pub(crate) syntax: Syntax,
    /// `None` if the file has no pixels of a form that is known here; `obstacle` says why.
    pub(crate) pixels: Option<PixelFormat>,
    pub(crate) planes: Vec<Plane>,
    pub(crate) obstacle: Option<Obstacle>,
    pub(crate) identity: IdentityGuard,
}

/// One slice: an image, or a frame of one.
#[derive(Clone, Debug)]
pub(crate) struct Plane {
    /// Frame number, from 0.
    pub(crate) frame: usize,
    pub(crate) image_position_patient: Option<DVec3>,
    /// Direction of rows (increasing column), then of columns (increasing row).
    pub(crate) image_orientation_patient: Option<[DVec3; 2]>,
    /// Row spacing, column spacing, in mm.
    pub(crate) pixel_spacing: Option<[f64; 2]>,
    pub(crate) slice_thickness_mm: Option<f64>,
    pub(crate) rescale: Rescale,
    /// Center and width.
    pub(crate) window: Option<(f32, f32)>,
    pub(crate) instance_number: i64,
    pub(crate) keys: Keys,
}

/// Stored value → measured value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Rescale {
    pub(crate) slope: f64,
    pub(crate) intercept: f64,
}

impl Rescale {
    pub(crate) const IDENTITY: Self = Self { slope: 1.0, intercept: 0.0 };

    pub(crate) fn apply(self, stored: f64) -> f64 {
        stored * self.slope + self.intercept
    }
}

/// What may tell planes at the same place apart, as comparable text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Keys(Vec<(SplitBy, Arc<str>)>);

impl Keys {
    pub(crate) fn set(&mut self, by: SplitBy, value: Option<String>) {
        if let Some(value) = value {
            self.0.retain(|(key, _)| *key != by);
            self.0.push((by, value.into()));
        }
    }

    pub(crate) fn get(&self, by: SplitBy) -> Option<&Arc<str>> {
        self.0.iter().find(|(key, _)| *key == by).map(|(_, value)| value)
    }
}

/// Reads what is needed from a header.
pub(crate) fn instance(source: Source, header: &Header<'_>, total: u64, salt: Salt) -> Instance {
    let data_set = &header.data_set;
    let charset = data_set.charset();
    let ascii = |tag| data_set.ascii(tag).map_or_else(String::new, |text| text.into_owned());
    // Anonymisers empty the data set's copy and forget the meta header's.
    let sop_class = Some(ascii(tags::SOP_CLASS_UID))
        .filter(|uid| !uid.is_empty())
        .unwrap_or_else(|| header.meta.ascii(tags::MEDIA_STORAGE_SOP_CLASS_UID).unwrap_or_default().into_owned());
    let sop_instance = Some(ascii(tags::SOP_INSTANCE_UID))
        .filter(|uid| !uid.is_empty())
        .unwrap_or_else(|| header.meta.ascii(tags::MEDIA_STORAGE_SOP_INSTANCE_UID).unwrap_or_default().into_owned());
    let modality = modality(&ascii(tags::MODALITY), &sop_class);
    let identity = guard(data_set, &charset, salt).joined(&guard(&header.meta, &charset, salt));
    let image_type = ascii(tags::IMAGE_TYPE).to_uppercase();
    let scrubbed = |tag| data_set.text(tag, &charset).filter(|text| !identity.matches(text));
    let contrast = data_set.ascii(tags::CONTRAST_BOLUS_AGENT).is_some_and(|agent| is_contrast(&agent))
        || !data_set.items(tags::CONTRAST_BOLUS_AGENT_SEQUENCE).is_empty();
    let mut instance = Instance {
        source,
        sop_instance,
        series_uid: ascii(tags::SERIES_INSTANCE_UID),
        frame_of_reference: ascii(tags::FRAME_OF_REFERENCE_UID),
        modality,
        description: scrubbed(tags::SERIES_DESCRIPTION),
        body_part: scrubbed(tags::BODY_PART_EXAMINED),
        contrast,
        series_number: data_set.number(tags::SERIES_NUMBER).map(|n| n as i64),
        localizer: image_type.split('\\').any(|part| matches!(part.trim(), "LOCALIZER" | "SCOUT" | "TOPOGRAM")),
        lossy: data_set.ascii(tags::LOSSY_IMAGE_COMPRESSION).is_some_and(|flag| flag == "01"),
        real_world_values: !data_set.items(tags::REAL_WORLD_VALUE_MAPPING_SEQUENCE).is_empty(),
        syntax: header.syntax,
        pixels: None,
        planes: Vec::new(),
        obstacle: None,
        identity,
    };
    if modality == Modality::Projection {
        instance.obstacle = Some(Obstacle::Projection);
        return instance;
    }
    match PixelFormat::of(header, total) {
        Ok(format) => instance.pixels = Some(format),
        Err(obstacle) => {
            instance.obstacle = Some(obstacle);
            return instance;
        }
    }
    let frames = instance.pixels.as_ref().map_or(0, |format| format.frames);
    instance.planes = if data_set.items(tags::PER_FRAME_FUNCTIONAL_GROUPS_SEQUENCE).is_empty() {
        let plane = classic_plane(data_set, &image_type);
        if frames > 1 {
            // Only functional groups say where frames of a multi-frame image lie.
            let attribute = "the position of each frame".to_owned();
            instance.obstacle = Some(Obstacle::NoGeometry { attribute });
        }
        vec![plane]
    } else {
        instance.real_world_values |= enhanced::has_real_world_values(data_set);
        enhanced::planes(data_set, frames, &classic_plane(data_set, &image_type))
    };
    if instance.obstacle.is_none() {
        instance.obstacle = obstacle(data_set, header.syntax.codec, &instance.planes);
    }
    instance
}

/// Why this image cannot be part of a volume.
fn obstacle(data_set: &DataSet<'_>, codec: Codec, planes: &[Plane]) -> Option<Obstacle> {
    if let Codec::Unsupported(name) = codec {
        return Some(Obstacle::Unsupported { what: format!("{name} compression") });
    }
    if !data_set.items(tags::MODALITY_LUT_SEQUENCE).is_empty() {
        // PS3.3 C.11.1: a table in place of slope and intercept; no CT or MR scanner writes one.
        return Some(Obstacle::Unsupported { what: "a modality lookup table".to_owned() });
    }
    let missing = |attribute: &str| Some(Obstacle::NoGeometry { attribute: attribute.to_owned() });
    for plane in planes {
        if plane.image_position_patient.is_none() {
            return missing("Image Position (Patient)");
        }
        if plane.image_orientation_patient.is_none() {
            return missing("Image Orientation (Patient)");
        }
        if plane.pixel_spacing.is_none() {
            return missing("Pixel Spacing");
        }
    }
    None
}

/// The plane that the top level of a data set describes.
fn classic_plane(data_set: &DataSet<'_>, image_type: &str) -> Plane {
    let mut keys = Keys::default();
    let ascii = |tag| data_set.ascii(tag).map(|text| text.into_owned());
    // The first two values say original or derived, primary or secondary; what follows is about the content.
    let content: Vec<&str> = image_type.split('\\').skip(2).map(str::trim).collect();
    keys.set(SplitBy::ImageType, Some(content.join("\\")));
    keys.set(SplitBy::TemporalPosition, ascii(tags::TEMPORAL_POSITION_IDENTIFIER));
    keys.set(SplitBy::Echo, ascii(tags::ECHO_NUMBERS).or_else(|| ascii(tags::ECHO_TIME)));
    keys.set(SplitBy::DiffusionBValue, data_set.number(tags::DIFFUSION_B_VALUE).map(|b| b.to_string()));
    keys.set(SplitBy::InversionTime, ascii(tags::INVERSION_TIME));
    let phase = data_set.number(tags::NOMINAL_PERCENTAGE_OF_CARDIAC_PHASE).or(data_set.number(tags::TRIGGER_TIME));
    keys.set(SplitBy::CardiacPhase, phase.map(|phase| phase.to_string()));
    keys.set(SplitBy::TubeVoltage, ascii(tags::KVP));
    keys.set(SplitBy::Kernel, ascii(tags::CONVOLUTION_KERNEL));
    keys.set(SplitBy::Acquisition, ascii(tags::ACQUISITION_NUMBER));
    keys.set(SplitBy::AcquisitionTime, ascii(tags::ACQUISITION_TIME));
    Plane {
        frame: 0,
        image_position_patient: position(data_set),
        image_orientation_patient: orientation(data_set),
        pixel_spacing: pixel_spacing(data_set),
        slice_thickness_mm: data_set.number(tags::SLICE_THICKNESS).filter(|t| *t > 0.0),
        rescale: rescale(data_set).unwrap_or(Rescale::IDENTITY),
        window: window(data_set),
        instance_number: data_set.number(tags::INSTANCE_NUMBER).map_or(i64::MAX, |n| n as i64),
        keys,
    }
}

/// Millimetres beyond which a coordinate is an error of the writer; a table is 2 m long.
const MAX_COORDINATE_MM: f64 = 1e6;

pub(crate) fn position(data_set: &DataSet<'_>) -> Option<DVec3> {
    let position = DVec3::from_array(data_set.vector(tags::IMAGE_POSITION_PATIENT)?);
    (position.abs().max_element() < MAX_COORDINATE_MM).then_some(position)
}

/// Both directions, made unit vectors; `None` if they are far from it or from a right angle.
pub(crate) fn orientation(data_set: &DataSet<'_>) -> Option<[DVec3; 2]> {
    let cosines: [f64; 6] = data_set.vector(tags::IMAGE_ORIENTATION_PATIENT)?;
    let row = DVec3::new(cosines[0], cosines[1], cosines[2]);
    let column = DVec3::new(cosines[3], cosines[4], cosines[5]);
    let unit = |v: DVec3| (v.length() - 1.0).abs() < 0.02;
    if !unit(row) || !unit(column) || row.dot(column).abs() > 0.02 {
        return None;
    }
    Some([row.normalize(), column.normalize()])
}

pub(crate) fn pixel_spacing(data_set: &DataSet<'_>) -> Option<[f64; 2]> {
    let spacing: [f64; 2] = data_set.vector(tags::PIXEL_SPACING)?;
    spacing.iter().all(|s| (1e-4..1e3).contains(s)).then_some(spacing)
}

pub(crate) fn rescale(data_set: &DataSet<'_>) -> Option<Rescale> {
    let slope = data_set.number(tags::RESCALE_SLOPE);
    let intercept = data_set.number(tags::RESCALE_INTERCEPT);
    if slope.is_none() && intercept.is_none() {
        return None;
    }
    // A slope of zero would flatten the image; writers that put it there mean none.
    Some(Rescale { slope: slope.filter(|s| *s != 0.0).unwrap_or(1.0), intercept: intercept.unwrap_or(0.0) })
}

pub(crate) fn window(data_set: &DataSet<'_>) -> Option<(f32, f32)> {
    let center = data_set.number(tags::WINDOW_CENTER)?;
    let width = data_set.number(tags::WINDOW_WIDTH).filter(|width| *width >= 1.0)?;
    Some((center as f32, width as f32))
}

fn modality(term: &str, sop_class: &str) -> Modality {
    match sop_class {
        uids::CT_IMAGE_STORAGE | uids::ENHANCED_CT_IMAGE_STORAGE | uids::LEGACY_CONVERTED_ENHANCED_CT_IMAGE_STORAGE => {
            Modality::Ct
        }
        uids::MR_IMAGE_STORAGE | uids::ENHANCED_MR_IMAGE_STORAGE | uids::LEGACY_CONVERTED_ENHANCED_MR_IMAGE_STORAGE => {
            Modality::Mr
        }
        // X-ray 3D angiography, craniofacial and breast tomosynthesis: volumes, though their modality says projection.
        _ if sop_class.starts_with("1.2.840.10008.5.1.4.1.1.13.1.") => Modality::Other,
        _ => Modality::from_term(term),
    }
}

/// Scanners also fill this field to say that there was none.
fn is_contrast(agent: &str) -> bool {
    let agent = agent.trim().to_lowercase();
    !["", "no", "none", "n", "0", "without", "native", "nil", "n/a", "not applied", "no contrast", "unenhanced"]
        .contains(&agent.as_str())
}
