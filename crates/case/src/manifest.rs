//! `case.json` as types.

use std::collections::{BTreeMap, BTreeSet};

use glam::DMat3;
use serde::{Deserialize, Serialize};
use space::Point;
use volume::terminology::Group;
use volume::{Code, GeometryError, ImageGeometry, Label};

use crate::window::WindowPreset;

/// The version of the case folder this crate writes and reads.
pub const SCHEMA: &str = "vestibule.case/1";

/// What every case says about itself.
pub const NOT_A_MEDICAL_DEVICE: &str = "Not a medical device: what is seen here informs, it does not diagnose.";

/// What a case folder holds and how it came to be: `case.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// [`SCHEMA`].
    pub schema: String,
    /// What its users call the case; never the patient's name or number.
    pub alias: Option<String>,
    /// DICOM's letters: `CT`, `MR`, …
    pub modality: String,
    /// The grid of the scan and of its labels.
    pub geometry: GeometryEntry,
    /// What turned the scan into segments.
    pub recipe: RecipeRef,
    /// Grey-value windows to look at the scan with, the usual one first.
    pub windows: Vec<WindowPreset>,
    /// The structures, by label.
    pub segments: Vec<SegmentEntry>,
    /// Where it all came from.
    pub provenance: Provenance,
    /// To notice a changed byte.
    pub checksums: Checksums,
}

/// A grid as ITK describes it, LPS millimetres.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GeometryEntry {
    /// Columns, rows, slices.
    pub size: [usize; 3],
    /// Between voxel centres along columns, rows, slices.
    pub spacing_mm: [f64; 3],
    /// Centre of voxel (0, 0, 0).
    pub origin_mm: [f64; 3],
    /// The direction matrix row by row, as ITK prints it: its columns, entries 0 3 6, 1 4 7 and 2 5 8, are the unit
    /// vectors of increasing column, row and slice index.
    pub direction: [f64; 9],
}

/// A recipe and the versions of what it used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecipeRef {
    /// `ct-basic`, `mr-head`, `labels`, …
    pub name: String,
    /// Of the recipe.
    pub version: String,
    /// Versions of its steps, by their names.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub steps: BTreeMap<String, String>,
}

/// A structure of the case.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SegmentEntry {
    /// In `labels.nii.gz`.
    pub label: Label,
    /// Other labels that belong to it; its surface and volume are those of the union.
    #[serde(default)]
    pub parts: Vec<Label>,
    /// Stable machine name, unique in the case; the name of its node in `anatomy.glb`.
    pub name: String,
    /// Name for people.
    pub display: String,
    /// SNOMED CT concept, where known.
    pub code: Option<Code>,
    /// sRGB.
    pub color: [u8; 3],
    /// Which layer of the body it belongs to: `bone`, `artery`, …
    pub group: Group,
    /// Of its voxels.
    pub volume_ml: f64,
    /// How true the surface is to the voxels.
    pub surface: SurfaceEntry,
    /// Mean confidence of the model that drew it, 0–1; none where no model did.
    pub confidence: Option<f64>,
    /// Share of its voxels that rest on grey values a model made up, in percent.
    #[serde(default)]
    pub inferred_percent: f64,
}

/// The surface of a segment. The figures are those of LOD 0; one that is absent was not measured.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SurfaceEntry {
    /// True if every edge has two triangles.
    pub closed: bool,
    /// Largest distance between surface and label boundary, both ways.
    pub hausdorff_mm: Option<f64>,
    /// 95 % of surface points are nearer to the label boundary than this.
    pub p95_mm: Option<f64>,
    /// Of the enclosed volume against the voxels, signed.
    pub volume_error_percent: Option<f64>,
    /// LOD 0 first; empty if there is no surface.
    pub lods: Vec<LodEntry>,
}

/// One level of detail.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LodEntry {
    /// Number of triangles.
    pub triangles: usize,
    /// See [`SurfaceEntry::hausdorff_mm`].
    pub hausdorff_mm: Option<f64>,
    /// See [`SurfaceEntry::p95_mm`].
    pub p95_mm: Option<f64>,
    /// See [`SurfaceEntry::volume_error_percent`].
    pub volume_error_percent: Option<f64>,
    /// Distance between the points where the error was measured.
    pub sample_spacing_mm: Option<f64>,
}

/// Where a case came from. Holds no identity and no path: [`write_case`](crate::write_case) blanks what looks like one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Provenance {
    /// What wrote the case.
    pub program: ProgramRef,
    /// The kind of source: `DICOM series`, `NIfTI`, …
    pub source: String,
    /// What was read, dropped and repaired on the way in.
    pub findings: Vec<FindingEntry>,
    /// Which voxels were measured by the scanner.
    pub measured: String,
    /// Which were interpolated, and why.
    pub interpolated: String,
    /// Which were inferred by a model.
    pub inferred: String,
    /// Models that took part.
    pub models: Vec<ModelRef>,
    /// [`NOT_A_MEDICAL_DEVICE`].
    pub statement: String,
}

/// A program.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProgramRef {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
}

/// Something that reading a scan brought to light.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FindingEntry {
    /// What was done about it.
    pub kind: FindingKind,
    /// For people, one sentence.
    pub text: String,
}

/// What was done about a finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FindingKind {
    /// Taken as it was.
    Read,
    /// Left out.
    Dropped,
    /// Corrected.
    Repaired,
    /// Nothing could be done; the reader must know.
    Warning,
}

/// A model that took part in a case.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelRef {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Of its weights.
    pub sha256: String,
}

/// Checksums of a case.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checksums {
    /// SHA-256 of every file but `case.json`, in hexadecimal.
    pub files: BTreeMap<String, String>,
    /// Of the case as a whole: SHA-256 of `case.json`, list of files included, with 64 zeros in this place.
    pub case: String,
}

impl Provenance {
    /// A source, and nothing else to say about it yet.
    pub fn new(source: impl Into<String>) -> Self {
        Self {
            program: ProgramRef { name: "vestibule".to_owned(), version: env!("CARGO_PKG_VERSION").to_owned() },
            source: source.into(),
            findings: Vec::new(),
            measured: String::new(),
            interpolated: String::new(),
            inferred: String::new(),
            models: Vec::new(),
            statement: NOT_A_MEDICAL_DEVICE.to_owned(),
        }
    }
}

impl RecipeRef {
    /// A recipe without versioned steps.
    pub fn new(name: impl Into<String>, version: impl Into<String>) -> Self {
        Self { name: name.into(), version: version.into(), steps: BTreeMap::new() }
    }
}

impl From<&ImageGeometry> for GeometryEntry {
    fn from(geometry: &ImageGeometry) -> Self {
        let mut direction = [0.0; 9];
        // glam stores columns.
        for (row, out) in direction.chunks_exact_mut(3).enumerate() {
            out.copy_from_slice(&geometry.direction().row(row).to_array());
        }
        Self {
            size: geometry.size(),
            spacing_mm: geometry.spacing(),
            origin_mm: geometry.origin().get().to_array(),
            direction,
        }
    }
}

impl TryFrom<&GeometryEntry> for ImageGeometry {
    type Error = GeometryError;
    fn try_from(entry: &GeometryEntry) -> Result<Self, GeometryError> {
        let direction = DMat3::from_cols_array(&entry.direction).transpose();
        Self::new(entry.size, entry.spacing_mm, Point::from_array(entry.origin_mm), direction)
    }
}

impl Manifest {
    /// The segment of a label.
    pub fn segment(&self, label: Label) -> Option<&SegmentEntry> {
        self.segments.iter().find(|s| s.label == label)
    }

    /// What is wrong with a manifest that was read, in words.
    pub(crate) fn defect(&self) -> Option<String> {
        if let Err(error) = ImageGeometry::try_from(&self.geometry) {
            return Some(format!("geometry: {error}"));
        }
        let (mut labels, mut names) = (BTreeSet::new(), BTreeSet::new());
        for segment in &self.segments {
            if segment.label == volume::BACKGROUND || !labels.insert(segment.label) {
                return Some(format!("label {} is background or used twice", segment.label));
            }
            if segment.name.is_empty() || !names.insert(segment.name.as_str()) {
                return Some(format!("segment name `{}` is empty or used twice", segment.name));
            }
        }
        // A name with a separator would reach outside the folder.
        let outside = self.checksums.files.keys().find(|f| f.is_empty() || f.contains(['/', '\\', '\0']) || *f == "..");
        outside.map(|file| format!("checksum of `{file}`, which is not a file of the case"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn direction_is_written_row_by_row() {
        let turned = DMat3::from_rotation_z(0.5);
        let geometry = ImageGeometry::new([2, 3, 4], [0.5, 1.0, 2.0], Point::new(1.0, 2.0, 3.0), turned).unwrap();
        let entry = GeometryEntry::from(&geometry);
        let (sin, cos) = 0.5f64.sin_cos();
        // Printed by ITK for this rotation: cos −sin 0, sin cos 0, 0 0 1.
        assert_eq!(entry.direction, [cos, -sin, 0.0, sin, cos, 0.0, 0.0, 0.0, 1.0]);
        assert_eq!(ImageGeometry::try_from(&entry).unwrap(), geometry);
    }
}
