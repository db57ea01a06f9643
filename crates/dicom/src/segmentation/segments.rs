//! The segments a SEG describes: names, codes and colours.

use std::collections::{BTreeMap, BTreeSet};

use dicom_dictionary_std::tags;
use dicom_encoding::text::SpecificCharacterSet;
use serde::Serialize;
use volume::{BACKGROUND, Code, Label, Segment};

use crate::dataset::DataSet;
use crate::identity::IdentityGuard;
use crate::segmentation::color::srgb_from_cielab;
use crate::segmentation::write::{DEFAULT_COLOR, PRIVATE_SCHEME};

/// A DICOM SEG file.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SegmentationSummary {
    /// Its segments by number.
    pub segments: Vec<SegmentSummary>,
    /// Frames: slices with voxels, of all segments.
    pub frames: usize,
    /// Columns and rows.
    pub size: [usize; 2],
}

/// A segment of a DICOM SEG.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SegmentSummary {
    /// Segment number, which becomes its label.
    pub number: Label,
    /// Machine name.
    pub name: String,
    /// Name for people.
    pub display: String,
}

/// Names are cut here; LO holds 64 characters.
const MAX_NAME: usize = 64;

/// Reads the segment sequence; names that name the patient give way to what the code means.
pub(super) fn segments(
    data_set: &DataSet<'_>,
    charset: &SpecificCharacterSet,
    identity: &IdentityGuard,
) -> BTreeMap<Label, Segment> {
    let mut segments = BTreeMap::new();
    let mut names = BTreeSet::new();
    for item in data_set.items(tags::SEGMENT_SEQUENCE) {
        let number = item.whole(tags::SEGMENT_NUMBER).and_then(|n| Label::try_from(n).ok());
        let Some(label) = number.filter(|n| *n != BACKGROUND && !segments.contains_key(n)) else { continue };
        let text = |tag| {
            let text = item.text(tag, charset)?;
            (!identity.matches(&text)).then(|| text.chars().take(MAX_NAME).collect::<String>())
        };
        let coded = item.item(tags::SEGMENTED_PROPERTY_TYPE_CODE_SEQUENCE).and_then(|code| code_of(code, charset));
        let meaning = coded.as_ref().map(|code| code.meaning.clone()).filter(|m| !m.is_empty() && !identity.matches(m));
        let display = text(tags::SEGMENT_LABEL).or(meaning).unwrap_or_else(|| format!("Segment {label}"));
        let tracked = text(tags::TRACKING_ID).filter(|id| is_machine_name(id));
        let name = tracked.unwrap_or_else(|| machine_name(&display, label));
        let code = coded.filter(|code| code.scheme != PRIVATE_SCHEME && !identity.matches(&code.meaning));
        let name = if names.insert(name.clone()) { name } else { format!("{name}_{label}") };
        names.insert(name.clone());
        let lab = item.vector::<3>(tags::RECOMMENDED_DISPLAY_CIE_LAB_VALUE);
        let color = lab.map_or(DEFAULT_COLOR, |lab| srgb_from_cielab(lab.map(|c| c as u16)));
        segments.insert(label, Segment { label, parts: Vec::new(), name, display, code, color });
    }
    segments
}

/// A segment for a number that no item describes.
pub(super) fn undescribed(label: Label) -> Segment {
    let (name, display) = (format!("label_{label}"), format!("Label {label}"));
    Segment { label, parts: Vec::new(), name, display, code: None, color: DEFAULT_COLOR }
}

fn code_of(item: &DataSet<'_>, charset: &SpecificCharacterSet) -> Option<Code> {
    let value = item.ascii(tags::CODE_VALUE).or_else(|| item.ascii(tags::LONG_CODE_VALUE))?;
    Some(Code {
        scheme: item.ascii(tags::CODING_SCHEME_DESIGNATOR)?.into_owned(),
        value: value.into_owned(),
        meaning: item.text(tags::CODE_MEANING, charset).unwrap_or_default(),
    })
}

fn is_machine_name(text: &str) -> bool {
    text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') && text.starts_with(|c: char| c.is_ascii_alphabetic())
}

/// `Left kidney` → `left_kidney`.
fn machine_name(display: &str, label: Label) -> String {
    let words: Vec<String> = display
        .split(|c: char| !c.is_ascii_alphanumeric())
        .filter(|word| !word.is_empty())
        .map(str::to_ascii_lowercase)
        .collect();
    let name = words.join("_");
    if is_machine_name(&name) { name } else { format!("segment_{label}") }
}
