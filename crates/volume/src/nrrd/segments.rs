//! What 3D Slicer says of segments: `Segment0_Name:=…` and its like (vtkMRMLSegmentationStorageNode).

use std::collections::BTreeMap;
use std::fmt::Write;

use crate::label_map::{BACKGROUND, Code, Label, Segment};
use crate::terminology::{self, Side};

/// A segment of a file, and where its voxels are.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Entry {
    pub(super) layer: usize,
    pub(super) value: Label,
    pub(super) name: String,
    pub(super) color: Option<[u8; 3]>,
    pub(super) code: Option<(Code, Option<Side>)>,
}

impl Entry {
    /// With a label of our own; the code finds what the name does not.
    pub(super) fn segment(&self, label: Label) -> Segment {
        let known = terminology::find(&self.name);
        let mut segment = match (known, &self.code) {
            (None, Some((code, side))) if code.scheme == terminology::SNOMED_CT => {
                match terminology::by_code(&code.value, *side) {
                    Some(structure) => terminology::segment(label, structure.name),
                    None => terminology::segment(label, &self.name),
                }
            }
            _ => terminology::segment(label, &self.name),
        };
        if known.is_none() && !self.name.is_empty() {
            segment.display.clone_from(&self.name);
        }
        if let Some((code, _)) = &self.code {
            segment.code = Some(code.clone());
        }
        if let Some(color) = self.color {
            segment.color = color;
        }
        segment
    }
}

/// All segments of the header, by their number.
pub(super) fn parse(pairs: &BTreeMap<String, String>) -> Vec<Entry> {
    let mut by_number = BTreeMap::<u32, BTreeMap<&str, &str>>::new();
    for (key, value) in pairs {
        let Some((number, name)) = key.strip_prefix("Segment").and_then(|k| k.split_once('_')) else { continue };
        if let Ok(number) = number.parse() {
            by_number.entry(number).or_default().insert(name, value.trim());
        }
    }
    by_number.into_iter().map(|(number, entry)| read(number, &entry)).collect()
}

fn read(number: u32, entry: &BTreeMap<&str, &str>) -> Entry {
    let get = |key| entry.get(key).copied();
    // Before Slicer 4.11 there was no label value: segment 0 had value 1, and so on.
    let by_order = Label::try_from(number.saturating_add(1)).unwrap_or(BACKGROUND);
    Entry {
        layer: get("Layer").and_then(|l| l.parse().ok()).unwrap_or(0),
        value: get("LabelValue").and_then(|v| v.parse().ok()).unwrap_or(by_order),
        name: get("Name").or_else(|| get("ID")).unwrap_or_default().to_owned(),
        color: get("Color").and_then(color),
        code: get("Tags").and_then(code),
    }
}

fn color(text: &str) -> Option<[u8; 3]> {
    let mut channels = text.split_whitespace().map(|c| c.parse::<f32>().ok().filter(|c| c.is_finite()));
    let mut next = || Some((channels.next()?? * 255.0).round() as u8);
    Some([next()?, next()?, next()?])
}

/// `…TerminologyEntry:CONTEXT~CATEGORY~TYPE~MODIFIER~…|`, each part `SCHEME^VALUE^MEANING`.
fn code(tags: &str) -> Option<(Code, Option<Side>)> {
    let entry = tags.split("TerminologyEntry:").nth(1)?.split('|').next()?;
    let mut parts = entry.split('~').skip(2);
    let mut words = parts.next()?.split('^').map(str::trim);
    let code = Code { scheme: words.next()?.into(), value: words.next()?.into(), meaning: words.next()?.into() };
    let side = parts.next().and_then(|m| m.split('^').nth(1)).and_then(Side::from_code);
    (!code.value.is_empty()).then_some((code, side))
}

/// Header lines for segments in their layers.
pub(super) fn write<'a>(segments: impl Iterator<Item = (&'a Segment, usize)>) -> String {
    let mut text = String::from(
        "Segmentation_MasterRepresentation:=Binary labelmap\nSegmentation_ContainedRepresentationNames:=Binary labelmap|\n",
    );
    for (number, (segment, layer)) in segments.enumerate() {
        let [r, g, b] = segment.color.map(|c| f32::from(c) / 255.0);
        let one_line = |s: &str| s.replace(['\n', '\r'], " ");
        let mut line = |key: &str, value: &str| {
            // Writing to a string cannot fail.
            let _infallible = writeln!(text, "Segment{number}_{key}:={}", one_line(value));
        };
        line("ID", &segment.name);
        line("Name", &segment.display);
        line("Color", &format!("{r} {g} {b}"));
        line("LabelValue", &segment.label.to_string());
        line("Layer", &layer.to_string());
        if let Some(code) = &segment.code {
            let clean = |s: &str| s.replace(['^', '~', '|'], " ");
            let side = terminology::find(&segment.name).and_then(|s| s.side).map(Side::code);
            let side = side.map_or("^^".to_owned(), |s| format!("{}^{}^{}", s.scheme, s.value, s.meaning));
            let code = [&code.scheme, &code.value, &code.meaning].map(|s| clean(s)).join("^");
            line(
                "Tags",
                &format!(
                    "TerminologyEntry:Segmentation category and type - DICOM master list\
                     ~SCT^123037004^Anatomical Structure~{code}~{side}~Anatomic codes - DICOM master list~^^~^^|"
                ),
            );
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(lines: &str) -> BTreeMap<String, String> {
        lines.lines().filter_map(|l| l.split_once(":=")).map(|(k, v)| (k.trim().into(), v.into())).collect()
    }

    #[test]
    fn slicers_own_lines_are_read() {
        let entries = parse(&pairs(
            "Segment1_Name:=Tumour\nSegment1_LabelValue:=7\nSegment1_Layer:=1\nSegment0_ID:=Segment_1
             Segment0_Color:=0.501961 0.682353 0.501961\nSegment0_Name:=Left kidney
             Segment0_Tags:=Segmentation.Status:inprogress|TerminologyEntry:Segmentation category and type - 3D Slicer General Anatomy list~SCT^123037004^Anatomical Structure~SCT^64033007^Kidney~SCT^7771000^Left~Anatomic codes - DICOM master list~^^~^^|",
        ));
        assert_eq!(entries.len(), 2);
        assert_eq!((entries[0].layer, entries[0].value, entries[0].color), (0, 1, Some([128, 174, 128])));
        assert_eq!((entries[1].layer, entries[1].value, entries[1].name.as_str()), (1, 7, "Tumour"));
        let kidney = entries[0].segment(3);
        assert_eq!((kidney.label, kidney.name.as_str(), kidney.color), (3, "kidney_left", [128, 174, 128]));
        assert_eq!(kidney.code.map(|c| c.value), Some("64033007".to_owned()));
    }

    #[test]
    fn code_names_what_the_name_does_not() {
        let tags = "Segment0_Name:=Niere li.\nSegment0_Tags:=TerminologyEntry:x~a^b^c~SCT^64033007^Kidney~SCT^7771000^Left~x~^^~^^|";
        let segment = parse(&pairs(tags))[0].segment(1);
        assert_eq!((segment.name.as_str(), segment.display.as_str()), ("kidney_left", "Niere li."));
    }

    #[test]
    fn written_lines_come_back() {
        let segments = [terminology::segment(4, "rib_left_3"), terminology::segment(9, "my thing")];
        let text = write(segments.iter().zip([0, 2]));
        let entries = parse(&pairs(&text));
        assert_eq!(entries.iter().map(|e| (e.layer, e.value)).collect::<Vec<_>>(), [(0, 4), (2, 9)]);
        for (entry, segment) in entries.iter().zip(&segments) {
            assert_eq!(&entry.segment(segment.label), segment);
        }
    }

    #[test]
    fn nonsense_is_survived() {
        for text in
            ["Segment_:=", "Segment99999999999_Name:=x", "Segment0_Tags:=TerminologyEntry:~~", "Segment0_Color:=a"]
        {
            assert!(parse(&pairs(text)).len() <= 1, "{text}");
        }
    }
}
