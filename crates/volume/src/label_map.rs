//! Which structure each voxel belongs to.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::geometry::ImageGeometry;
use crate::grid::Volume;

/// The number of a structure in a label map.
pub type Label = u16;

/// The label of what belongs to no structure.
pub const BACKGROUND: Label = 0;

/// A coded concept, as DICOM writes it (PS3.3 8.8).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Code {
    /// Coding scheme designator; `SCT` for SNOMED CT.
    pub scheme: String,
    /// Code value.
    pub value: String,
    /// Code meaning, in English.
    pub meaning: String,
}

/// A structure: its label and what people and machines call it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Segment {
    /// Its own voxels in the label map.
    pub label: Label,
    /// Other labels that belong to it too: a liver's lesion and vessels. Empty for most.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parts: Vec<Label>,
    /// Stable machine name, such as `kidney_left`.
    pub name: String,
    /// Name for people, such as `Left kidney`.
    pub display: String,
    /// SNOMED CT concept, where the table knows one.
    pub code: Option<Code>,
    /// sRGB.
    pub color: [u8; 3],
}

/// Labels on a grid, and the segments they stand for.
#[derive(Clone, Debug, PartialEq)]
pub struct LabelMap {
    /// The label of each voxel.
    pub voxels: Volume<Label>,
    /// Segments by label; a label without one is shown as `label_N`.
    pub segments: BTreeMap<Label, Segment>,
}

impl LabelMap {
    /// Where the voxels lie.
    pub const fn geometry(&self) -> &ImageGeometry {
        self.voxels.geometry()
    }

    /// Number of voxels of each label that occurs, background left out.
    pub fn counts(&self) -> BTreeMap<Label, usize> {
        let mut counts = vec![0usize; usize::from(Label::MAX) + 1];
        for &label in self.voxels.data() {
            counts[usize::from(label)] += 1;
        }
        (1..=Label::MAX).zip(counts.into_iter().skip(1)).filter(|&(_, n)| n > 0).collect()
    }
}
