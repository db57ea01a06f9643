//! What a build made, for people and machines.

use std::fmt;
use std::path::PathBuf;

use case::SegmentEntry;
use serde::Serialize;
use volume::Label;

use crate::models::UsedModel;
use crate::progress::StageTime;
use crate::recipe::CT_FINE;

/// What a build made.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct BuildSummary {
    /// Where the case lies.
    pub case: PathBuf,
    /// Of the case as a whole.
    pub checksum: String,
    /// What found the structures.
    pub recipe: &'static str,
    /// Its version.
    pub recipe_version: &'static str,
    /// `CT`, `MR`, …
    pub modality: String,
    /// What the case is called.
    pub alias: Option<String>,
    /// Columns, rows, slices of scan and labels.
    pub size: [usize; 3],
    /// By label.
    pub segments: Vec<BuiltSegment>,
    /// Models that found them.
    pub models: Vec<UsedModel>,
    /// True if the labels came from the cache.
    pub cached: bool,
    /// Wall times, in order.
    pub stages: Vec<StageTime>,
    /// Wall time of all.
    pub total_s: f64,
    /// What the user should know: choices made for them, what was left out.
    pub notes: Vec<String>,
}

/// A structure of the case.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct BuiltSegment {
    /// In `labels.nii.gz`.
    pub label: Label,
    /// Machine name.
    pub name: String,
    /// Name for people.
    pub display: String,
    /// Of its voxels, parts included.
    pub volume_ml: f64,
    /// Of the finest level.
    pub triangles: usize,
    /// Largest distance of surface and label boundary at the finest level.
    pub hausdorff_mm: Option<f64>,
}

impl From<&SegmentEntry> for BuiltSegment {
    fn from(entry: &SegmentEntry) -> Self {
        Self {
            label: entry.label,
            name: entry.name.clone(),
            display: entry.display.clone(),
            volume_ml: entry.volume_ml,
            triangles: entry.surface.lods.first().map_or(0, |l| l.triangles),
            hausdorff_mm: entry.surface.hausdorff_mm,
        }
    }
}

impl fmt::Display for BuildSummary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        /// A longer list says nothing that the report does not say better.
        const SHOWN: usize = 40;
        for note in &self.notes {
            writeln!(f, "note: {note}")?;
        }
        let plural = if self.segments.len() == 1 { "" } else { "s" };
        writeln!(f, "{} structure{plural} by {} {}", self.segments.len(), self.recipe, self.recipe_version)?;
        for model in &self.models {
            let did = if self.recipe == CT_FINE.name { "slices made thinner" } else { "drawn" };
            writeln!(f, "  {did} by model {} {}, SHA-256 {}", model.name, model.version, model.sha256)?;
        }
        for segment in self.segments.iter().take(SHOWN) {
            write!(f, "  {:28} {:>10.1} ml {:>9} triangles", segment.display, segment.volume_ml, segment.triangles)?;
            match segment.hausdorff_mm {
                Some(mm) => writeln!(f, "   within {mm:.2} mm")?,
                None => writeln!(f)?,
            }
        }
        if self.segments.len() > SHOWN {
            writeln!(f, "  … and {} more; report.html has all", self.segments.len() - SHOWN)?;
        }
        let stages: Vec<String> = self.stages.iter().map(|s| format!("{} {:.2} s", s.stage, s.seconds)).collect();
        let cached = if self.cached { " (labels from the cache)" } else { "" };
        writeln!(f, "{:.2} s: {}{cached}", self.total_s, stages.join(", "))?;
        write!(f, "case: {}", self.case.display())
    }
}
