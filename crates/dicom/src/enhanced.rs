//! Multi-frame images with functional groups (PS3.3 C.7.6.16): enhanced CT, MR and PET.

use dicom_core::Tag;
use dicom_dictionary_std::tags;

use crate::dataset::DataSet;
use crate::instance::{Plane, orientation, pixel_spacing, position, rescale, window};
use crate::report::SplitBy;

/// A frame's own functional groups, before those that all frames share.
#[derive(Clone, Copy)]
pub(crate) struct FunctionalGroups<'s, 'a> {
    frame: &'s DataSet<'a>,
    shared: Option<&'s DataSet<'a>>,
}

impl<'s, 'a> FunctionalGroups<'s, 'a> {
    /// The groups of each frame.
    pub(crate) fn of(data_set: &'s DataSet<'a>) -> impl Iterator<Item = Self> {
        let shared = data_set.item(tags::SHARED_FUNCTIONAL_GROUPS_SEQUENCE);
        data_set.items(tags::PER_FRAME_FUNCTIONAL_GROUPS_SEQUENCE).iter().map(move |frame| Self { frame, shared })
    }

    /// The item of a functional group.
    pub(crate) fn group(&self, tag: Tag) -> Option<&'s DataSet<'a>> {
        self.frame.item(tag).or_else(|| self.shared?.item(tag))
    }
}

/// True if a frame comes with a map to real-world values.
pub(crate) fn has_real_world_values(data_set: &DataSet<'_>) -> bool {
    FunctionalGroups::of(data_set).any(|groups| groups.group(tags::REAL_WORLD_VALUE_MAPPING_SEQUENCE).is_some())
}

/// The planes of the first `frames` frames; what no group says is taken from `default`.
pub(crate) fn planes(data_set: &DataSet<'_>, frames: usize, default: &Plane) -> Vec<Plane> {
    FunctionalGroups::of(data_set)
        .take(frames)
        .enumerate()
        .map(|(frame, groups)| plane(frame, groups, default))
        .collect()
}

fn plane(frame: usize, groups: FunctionalGroups<'_, '_>, default: &Plane) -> Plane {
    let mut plane = Plane { frame, ..default.clone() };
    let position = groups.group(tags::PLANE_POSITION_SEQUENCE).and_then(position);
    plane.image_position_patient = position.or(default.image_position_patient);
    let orientation = groups.group(tags::PLANE_ORIENTATION_SEQUENCE).and_then(orientation);
    plane.image_orientation_patient = orientation.or(default.image_orientation_patient);
    if let Some(measures) = groups.group(tags::PIXEL_MEASURES_SEQUENCE) {
        plane.pixel_spacing = pixel_spacing(measures).or(default.pixel_spacing);
        let thickness = measures.number(tags::SLICE_THICKNESS).filter(|t| *t > 0.0);
        plane.slice_thickness_mm = thickness.or(default.slice_thickness_mm);
    }
    if let Some(transform) = groups.group(tags::PIXEL_VALUE_TRANSFORMATION_SEQUENCE).and_then(rescale) {
        plane.rescale = transform;
    }
    plane.window = groups.group(tags::FRAME_VOILUT_SEQUENCE).and_then(window).or(default.window);
    plane.instance_number = frame as i64;

    let keys = &mut plane.keys;
    if let Some(content) = groups.group(tags::FRAME_CONTENT_SEQUENCE) {
        let ascii = |tag| content.ascii(tag).map(|text| text.into_owned());
        let number = |tag| content.number(tag).map(|n| n.to_string());
        keys.set(SplitBy::Stack, ascii(tags::STACK_ID));
        keys.set(SplitBy::TemporalPosition, number(tags::TEMPORAL_POSITION_INDEX));
        keys.set(SplitBy::Acquisition, number(tags::FRAME_ACQUISITION_NUMBER));
        keys.set(SplitBy::AcquisitionTime, ascii(tags::FRAME_ACQUISITION_DATE_TIME));
    }
    let number = |group, tag| groups.group(group).and_then(|item| item.number(tag)).map(|n| n.to_string());
    keys.set(SplitBy::Echo, number(tags::MR_ECHO_SEQUENCE, tags::EFFECTIVE_ECHO_TIME));
    keys.set(SplitBy::DiffusionBValue, number(tags::MR_DIFFUSION_SEQUENCE, tags::DIFFUSION_B_VALUE));
    keys.set(
        SplitBy::CardiacPhase,
        number(tags::CARDIAC_SYNCHRONIZATION_SEQUENCE, tags::NOMINAL_PERCENTAGE_OF_CARDIAC_PHASE),
    );
    let frame_type = [tags::MR_IMAGE_FRAME_TYPE_SEQUENCE, tags::CT_IMAGE_FRAME_TYPE_SEQUENCE]
        .into_iter()
        .find_map(|group| groups.group(group))
        .and_then(|item| item.ascii(tags::FRAME_TYPE).map(|text| text.to_uppercase()));
    keys.set(SplitBy::ImageType, frame_type.map(|t| t.split('\\').skip(2).collect::<Vec<_>>().join("\\")));
    plane
}
