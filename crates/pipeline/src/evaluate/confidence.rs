//! Whether a model was right as often as it said.

use std::collections::BTreeSet;
use std::fmt;
use std::path::Path;

use metrics::{Calibration, CalibrationScope, RELIABILITY_BINS, ReliabilityBin, calibration};
use rayon::prelude::*;
use serde::Serialize;
use volume::{BACKGROUND, Label, LabelMap, Volume};

use crate::error::PipelineError;
use crate::recipe::present_labels;

/// A model's confidence held against the truth.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct EvaluatedConfidence {
    /// All voxels that the model spoke of; background is most of them, and easy.
    pub all: CalibratedVoxels,
    /// Those of them that it gave to a structure.
    pub foreground: CalibratedVoxels,
}

/// Voxels by confidence.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CalibratedVoxels {
    /// How many.
    pub voxels: u64,
    /// Expected calibration error (Guo et al., ICML 2017): how far confidence and the share that is right lie apart, 0 to 1.
    pub expected_calibration_error: Option<f64>,
    /// Share that is right.
    pub accuracy: Option<f64>,
    /// Mean confidence.
    pub confidence: Option<f64>,
    /// By confidence.
    pub reliability: Vec<ReliabilityBin>,
}

/// Reads confidence and compares. Structures that the prediction has nothing of are background to it.
pub(super) fn evaluate(
    mut truth: LabelMap,
    prediction: &LabelMap,
    path: &Path,
    notes: &mut Vec<String>,
) -> Result<EvaluatedConfidence, PipelineError> {
    let percent = volume::formats::read_scan(path)?;
    let most = f32::from(case::NO_MODEL);
    let values = (0..percent.geometry().voxel_count()).map(|n| percent.value(n));
    let wrong = |value: &f32| value.fract() != 0.0 || !((0.0..=100.0).contains(value) || *value == most);
    if let Some(found) = values.clone().find(wrong) {
        return Err(PipelineError::NoConfidence { found, path: path.to_owned() });
    }
    let confidence = Volume::new(*percent.geometry(), values.map(|p| p as u8).collect())?;
    if confidence.data().iter().all(|&p| p == case::NO_MODEL) {
        notes.push("confidence: no model spoke of any voxel".to_owned());
    }
    let unknown = unknown(&truth, prediction);
    if !unknown.is_empty() {
        let name = |l: &Label| truth.segments.get(l).map_or_else(|| format!("label {l}"), |s| s.name.clone());
        let names: Vec<String> = unknown.iter().map(name).collect();
        notes.push(format!(
            "confidence is judged as if the truth had none of what the prediction has nothing of: {}",
            names.join(", ")
        ));
        truth.voxels.data_mut().par_iter_mut().filter(|l| unknown.contains(l)).for_each(|l| *l = BACKGROUND);
    }
    let of = |scope| calibration(&truth, prediction, &confidence, scope).map(CalibratedVoxels::from);
    Ok(EvaluatedConfidence { all: of(CalibrationScope::All)?, foreground: of(CalibrationScope::Foreground)? })
}

/// Labels in the truth that are neither a structure of the prediction, nor part of one, nor one of which it has parts.
fn unknown(truth: &LabelMap, prediction: &LabelMap) -> BTreeSet<Label> {
    let spoken: BTreeSet<Label> = present_labels(prediction).into_iter().collect();
    let parts_spoken = |map: &LabelMap, of: Label| {
        map.segments.get(&of).is_some_and(|s| s.parts.iter().any(|part| spoken.contains(part)))
    };
    let part_of_spoken =
        |label: Label| truth.segments.iter().any(|(whole, s)| spoken.contains(whole) && s.parts.contains(&label));
    let known = |label: Label| spoken.contains(&label) || parts_spoken(prediction, label) || part_of_spoken(label);
    present_labels(truth).into_iter().filter(|&label| !known(label)).collect()
}

impl From<Calibration> for CalibratedVoxels {
    fn from(counts: Calibration) -> Self {
        Self {
            voxels: counts.voxels(),
            expected_calibration_error: counts.expected_error(),
            accuracy: counts.accuracy(),
            confidence: counts.confidence(),
            reliability: counts.reliability(),
        }
    }
}

impl fmt::Display for EvaluatedConfidence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let figure = |value: Option<f64>| value.map_or("–".to_owned(), |v| format!("{v:.4}"));
        let kinds = [("all voxels", &self.all), ("voxels given to a structure", &self.foreground)];
        writeln!(f, "expected calibration error, {RELIABILITY_BINS} bins:")?;
        for (name, voxels) in kinds {
            let error = figure(voxels.expected_calibration_error);
            writeln!(f, "  {error} over {} {name}: {}", voxels.voxels, voxels.in_words())?;
        }
        write!(f, "{:>13}  {:>24}  {:>24}", "confidence", kinds[0].0, kinds[1].0)?;
        let cell = |bin: &ReliabilityBin| match (bin.confidence, bin.accuracy) {
            (Some(c), Some(a)) => format!("{:>10} {c:.3} → {a:.3}", bin.voxels),
            _ => "–".to_owned(),
        };
        let rows = self.all.reliability.iter().zip(&self.foreground.reliability);
        for (all, foreground) in rows.filter(|(all, _)| all.voxels > 0) {
            let range = format!("{:.3}–{:.3}", all.above, all.up_to);
            write!(f, "\n{range:>13}  {:>24}  {:>24}", cell(all), cell(foreground))?;
        }
        write!(f, "\n(voxels, mean confidence → share that is right)")
    }
}

impl CalibratedVoxels {
    fn in_words(&self) -> String {
        match (self.confidence, self.accuracy) {
            (Some(confidence), Some(accuracy)) => {
                let side = if confidence > accuracy { "surer than right" } else { "no surer than right" };
                format!("confidence {:.1} %, right {:.1} %, {side}", 100.0 * confidence, 100.0 * accuracy)
            }
            _ => "none".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{EvaluateRequest, evaluate};
    use glam::DMat3;
    use space::Point;
    use std::collections::BTreeMap;
    use volume::{ImageGeometry, Volume, formats};

    fn run(confidence: [Label; 8]) -> Result<crate::Evaluation, PipelineError> {
        let dir = tempfile::tempdir().unwrap();
        let grid = ImageGeometry::new([8, 1, 1], [1.0; 3], Point::ZERO, DMat3::IDENTITY).unwrap();
        let write = |name: &str, labels: [Label; 8]| {
            let path = dir.path().join(name);
            let map = LabelMap { voxels: Volume::new(grid, labels.to_vec()).unwrap(), segments: BTreeMap::new() };
            formats::write_labels(&map, &path).unwrap();
            path
        };
        let truth = write("truth.nii.gz", [0, 0, 1, 1, 2, 2, 3, 3]);
        let prediction = write("found.nii.gz", [0, 1, 1, 0, 2, 2, 0, 0]);
        let confidence = Some(write("confidence.nii.gz", confidence));
        evaluate(&EvaluateRequest { truth, prediction, tolerance_mm: 1.0, confidence })
    }

    #[test]
    fn confidence_is_held_against_the_truth() {
        let found = run([100, 90, 90, 50, 80, 80, 100, 255]).unwrap();
        let confidence = found.confidence.as_ref().unwrap();
        // Nobody looks for 3: background there is right. Bins: 1.0 twice, right; 0.9, right once of two; 0.8 twice, right; 0.5, wrong.
        let all = &confidence.all;
        assert_eq!(all.voxels, 7);
        assert!((all.expected_calibration_error.unwrap() - (2.0 * 0.4 + 2.0 * 0.2 + 0.5) / 7.0).abs() < 1e-9);
        assert!((all.accuracy.unwrap() - 5.0 / 7.0).abs() < 1e-9);
        let foreground = &confidence.foreground;
        assert_eq!((foreground.voxels, foreground.reliability.len()), (4, 15));
        assert!((foreground.expected_calibration_error.unwrap() - (2.0 * 0.4 + 2.0 * 0.2) / 4.0).abs() < 1e-9);
        assert!(found.notes.iter().any(|n| n.contains("label 3")), "{:?}", found.notes);
        let text = found.to_string();
        assert!(text.contains("0.2429 over 7 all voxels") && text.contains("0.900 → 0.500"), "{text}");
        let json = serde_json::to_value(&found).unwrap();
        assert_eq!(json["confidence"]["all"]["reliability"][14]["voxels"], 2);
    }

    #[test]
    fn what_is_no_confidence_is_refused() {
        let error = run([100, 90, 90, 50, 101, 80, 100, 255]).unwrap_err().to_string();
        assert!(error.contains("found 101"), "{error}");
        let silent = run([255; 8]).unwrap();
        assert_eq!(silent.confidence.unwrap().all.expected_calibration_error, None);
        assert!(silent.notes.iter().any(|n| n.contains("no model spoke")), "{:?}", silent.notes);
    }
}
