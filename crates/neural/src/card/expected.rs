//! What a model was trained to see, and what speaks against a scan.

use serde::{Deserialize, Serialize};
use volume::ImageGeometry;

use super::body::Regions;
use crate::error::NeuralError;

/// How many times the largest field of view of its training a model is still let run on. Our choice.
const TOO_LARGE: f64 = 2.0;

/// In [`ExpectedInput::modality`] and [`ExpectedInput::body_part`]: nothing tells, or all will do.
pub const ANY: &str = "any";

/// The scans that a model was trained on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExpectedInput {
    /// DICOM's letters: `CT`, `MR`, …; [`ANY`] for networks that make slices thinner, if nothing tells.
    pub modality: String,
    /// Of an MR `T1`, `T2`, `FLAIR`, …; of a CT `enhanced` or `native`, with or without a contrast agent. None if any will do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contrast: Option<String>,
    /// `head`, `abdomen`, `hippocampus`, …
    pub body_part: String,
    /// Least and largest extent along each axis.
    pub field_of_view_mm: [f64; 2],
    /// Least and largest distance of voxels along each axis.
    pub spacing_mm: [f64; 2],
}

/// What is known of a scan.
#[derive(Clone, Debug)]
pub struct ScanFacts<'a> {
    /// DICOM's letters: `CT`, `MR`, …
    pub modality: &'a str,
    /// True if the modality is a guess from the values.
    pub modality_is_guess: bool,
    /// As in [`ExpectedInput::contrast`]; none if nothing says.
    pub contrast: Option<&'a str>,
    /// What was scanned, as DICOM's Body Part Examined; none if nothing says.
    pub body_part: Option<&'a str>,
    /// Where its voxels lie.
    pub geometry: &'a ImageGeometry,
}

/// Something that speaks against a model for a scan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Objection {
    /// True if the model must not run; else its user must be told.
    pub refuses: bool,
    /// What does not fit.
    pub reason: String,
    /// What to do.
    pub remedy: String,
}

impl ExpectedInput {
    /// Of networks trained on heads as FreeSurfer conforms them: 256 mm, more of which they do not see.
    pub fn t1_head() -> Self {
        Self {
            modality: "MR".to_owned(),
            contrast: Some("T1".to_owned()),
            body_part: "head".to_owned(),
            field_of_view_mm: [130.0, 260.0],
            spacing_mm: [0.3, 2.0],
        }
    }

    /// Of networks that look at small parts of a scan, whatever it shows.
    pub fn any_scan(modality: &str) -> Self {
        Self {
            modality: modality.to_owned(),
            contrast: None,
            body_part: ANY.to_owned(),
            field_of_view_mm: [1.0, 10_000.0],
            spacing_mm: [0.01, 100.0],
        }
    }

    pub(super) fn check(&self) -> Result<(), NeuralError> {
        let range = |[low, high]: [f64; 2]| low.is_finite() && low >= 0.0 && low <= high;
        if range(self.field_of_view_mm) && range(self.spacing_mm) {
            Ok(())
        } else {
            Err(NeuralError::Card { reason: "a range of its input does not go from less to more".to_owned() })
        }
    }

    /// True if it is made for heads, rather than for a body of which a head is a part.
    pub fn is_of_head(&self) -> bool {
        Regions::of(&self.body_part).is_some_and(Regions::is_head)
    }

    /// All that speaks against a scan, refusals first.
    pub fn objections(&self, scan: &ScanFacts<'_>) -> Vec<Objection> {
        let mut found = Vec::new();
        let mut object = |refuses: bool, reason: String, remedy: &str| {
            found.push(Objection { refuses, reason, remedy: remedy.to_owned() });
        };
        if scan.modality != self.modality {
            let kind = if scan.modality_is_guess { "looks like" } else { "is" };
            let reason = format!("it was trained on {} and this scan {kind} {}", self.modality, scan.modality);
            object(!scan.modality_is_guess, reason, "choose a series of that modality");
        }
        let weighted = if self.modality == "MR" { "-weighted" } else { "" };
        match (self.contrast.as_deref(), scan.contrast) {
            (Some(own), Some(found)) if own != found => {
                let reason = format!("it was trained on {own}{weighted} scans and this one says {found}");
                object(true, reason, "choose a series of that contrast");
            }
            (Some(own), None) if scan.modality == self.modality => {
                let reason = format!("it was trained on {own}{weighted} scans and this one does not say what it is");
                object(false, reason, "look whether it is one");
            }
            _ => {}
        }
        if let (Some(found), Some(own)) = (scan.body_part, Regions::of(&self.body_part)) {
            let name = &self.body_part;
            match Regions::of(found) {
                Some(there) if own.overlap(there) => {}
                Some(there) => {
                    let reason = format!("it was trained on scans of {name} and this one says {found}");
                    // What was examined is what the operator chose; a scan often reaches beyond.
                    if own.touch(there) {
                        object(false, reason, "look whether it reaches that far");
                    } else {
                        object(true, reason, "choose a series of that part of the body");
                    }
                }
                None => {
                    let reason =
                        format!("it was trained on scans of {name} and this one says `{found}`, an unknown part");
                    object(false, reason, "look whether it is that");
                }
            }
        }
        let g = scan.geometry;
        let extents = [0, 1, 2].map(|a| g.size()[a] as f64 * g.spacing()[a]);
        let (least, most) = (extents.into_iter().fold(f64::MAX, f64::min), extents.into_iter().fold(0.0, f64::max));
        let [low, high] = self.field_of_view_mm;
        if least < low {
            let reason =
                format!("{least:.0} mm of field of view are less than the {low:.0} mm of a {}", self.body_part);
            object(true, reason, "choose a series that holds all of it");
        }
        if most > high {
            let reason =
                format!("it was trained on {high:.0} mm of {} at most and this scan has {most:.0} mm", self.body_part);
            // A network that saw crops around one organ finds it anywhere in a whole body.
            if most > TOO_LARGE * high {
                object(true, reason, "crop the scan to that");
            } else {
                object(false, reason, "crop it, or look closely at what was found");
            }
        }
        let [fine, coarse] = self.spacing_mm;
        let (least, most) = (g.spacing().into_iter().fold(f64::MAX, f64::min), g.max_spacing_mm());
        if most > coarse {
            let reason = format!("voxels {most:.1} mm apart are coarser than the {coarse:.1} mm it can use");
            object(true, reason, "choose a series with thinner slices");
        }
        if least < fine {
            let reason = format!("voxels {least:.2} mm apart are finer than the {fine:.2} mm it was tried on");
            object(false, reason, "look closely at what was found");
        }
        found.sort_by_key(|o| !o.refuses);
        found
    }
}
