//! How well a segmentation agrees with a truth, structure by structure.

mod confidence;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Path, PathBuf};

use rayon::prelude::*;
use serde::Serialize;
use volume::{BACKGROUND, Label, LabelMap, terminology};

use crate::error::PipelineError;
use crate::recipe::{labels, present_labels};
use crate::source::Source;

pub use self::confidence::{CalibratedVoxels, EvaluatedConfidence};

/// What to compare.
#[derive(Clone, Debug, PartialEq)]
pub struct EvaluateRequest {
    /// A label map: NIfTI, NRRD or DICOM SEG.
    pub truth: PathBuf,
    /// Another on the same grid.
    pub prediction: PathBuf,
    /// Surfaces nearer than this agree, for surface Dice.
    pub tolerance_mm: f64,
    /// How sure the model was of each voxel of the prediction, as a case's `confidence.nii.gz`.
    pub confidence: Option<PathBuf>,
}

/// How well two label maps agree.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Evaluation {
    /// `names` or `numbers`: what says which structure is which.
    pub matched_by: &'static str,
    /// For surface Dice.
    pub tolerance_mm: f64,
    /// All that occur in either, by the truth's label.
    pub structures: Vec<EvaluatedStructure>,
    /// Over all structures that the truth holds; those not found count as 0.
    pub mean_dice: Option<f64>,
    /// Over those that both hold.
    pub mean_hd95_mm: Option<f64>,
    /// Over all structures that the truth holds; those not found count as 0.
    pub mean_surface_dice: Option<f64>,
    /// Whether the model was right as often as it said, if its confidence was given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub confidence: Option<EvaluatedConfidence>,
    /// What the user should know.
    pub notes: Vec<String>,
}

/// How well one structure agrees. Absent figures mean that one map lacks it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct EvaluatedStructure {
    /// In the truth; in the prediction where the truth lacks it.
    pub label: Label,
    /// Machine name; `label_N` where nobody named it.
    pub name: String,
    /// Twice the common voxels over the sum of both.
    pub dice: Option<f64>,
    /// 95 % of the surfaces are nearer to each other than this.
    pub hd95_mm: Option<f64>,
    /// Share of both surfaces within the tolerance of the other.
    pub surface_dice: Option<f64>,
    /// Of its voxels in the truth.
    pub truth_mm3: f64,
    /// Of its voxels in the prediction.
    pub prediction_mm3: f64,
}

/// Compares two label maps on one grid.
///
/// Where both name their structures, names say which is which; else numbers do.
///
/// # Errors
/// [`PipelineError`], [`metrics::MetricsError::Grids`] among them.
pub fn evaluate(request: &EvaluateRequest) -> Result<Evaluation, PipelineError> {
    let mut notes = Vec::new();
    let mut truth = read(&request.truth, "truth", &mut notes)?;
    let mut prediction = read(&request.prediction, "prediction", &mut notes)?;
    join_namesakes(&mut truth, "truth", &mut notes);
    join_namesakes(&mut prediction, "prediction", &mut notes);
    let both_named = !truth.segments.is_empty() && !prediction.segments.is_empty();
    let by_name = both_named && share_a_name(&truth, &prediction);
    if by_name {
        rename(&mut prediction, &truth, &mut notes);
    } else if both_named {
        notes.push("no name is in both, so numbers say which structure is which".to_owned());
    }
    let own = |map: &LabelMap| -> BTreeSet<Label> {
        present_labels(map).into_iter().chain(map.segments.keys().copied()).collect()
    };
    let labels: Vec<Label> = own(&truth).union(&own(&prediction)).copied().collect();
    let structures = labels
        .into_iter()
        .map(|label| structure(&truth, &prediction, label, request.tolerance_mm))
        .collect::<Result<Vec<_>, metrics::MetricsError>>()?;
    let structures: Vec<_> = structures.into_iter().filter(|s| s.truth_mm3 > 0.0 || s.prediction_mm3 > 0.0).collect();
    let held = || structures.iter().filter(|s| s.truth_mm3 > 0.0);
    let extra = structures.iter().filter(|s| s.truth_mm3 <= 0.0).map(|s| s.name.as_str()).collect::<Vec<_>>();
    if !extra.is_empty() {
        notes.push(format!("only in the prediction, so not in the means: {}", extra.join(", ")));
    }
    let missed = held().filter(|s| s.prediction_mm3 <= 0.0).map(|s| s.name.as_str()).collect::<Vec<_>>();
    if !missed.is_empty() {
        notes.push(format!(
            "not in the prediction, so without a distance, which the mean HD95 leaves out: {}",
            missed.join(", ")
        ));
    }
    let confidence = match &request.confidence {
        Some(path) => Some(confidence::evaluate(truth, &prediction, path, &mut notes)?),
        None => None,
    };
    Ok(Evaluation {
        matched_by: if by_name { "names" } else { "numbers" },
        tolerance_mm: request.tolerance_mm,
        mean_dice: mean(held().map(|s| s.dice.unwrap_or(0.0))),
        mean_hd95_mm: mean(held().filter_map(|s| s.hd95_mm)),
        mean_surface_dice: mean(held().map(|s| s.surface_dice.unwrap_or(0.0))),
        structures,
        confidence,
        notes,
    })
}

fn read(path: &Path, which: &str, notes: &mut Vec<String>) -> Result<LabelMap, PipelineError> {
    let map = match Source::open(path)? {
        Source::File { path, .. } => {
            let (map, said) = labels::read(&path)?;
            notes.extend(said.into_iter().map(|n| format!("{which}: {n}")));
            map
        }
        Source::Dicom(inventory) if inventory.segmentations.is_empty() => {
            return Err(PipelineError::NoLabels { path: path.to_owned() });
        }
        Source::Dicom(inventory) => dicom::read_segmentation(&inventory, 0, None)?,
    };
    if present_labels(&map).is_empty() {
        notes.push(format!("{which}: it holds no labelled voxel"));
    }
    Ok(map)
}

/// Makes one structure of labels that have the same name.
fn join_namesakes(map: &mut LabelMap, which: &str, notes: &mut Vec<String>) {
    let mut first: BTreeMap<String, Label> = BTreeMap::new();
    let mut to: BTreeMap<Label, Label> = BTreeMap::new();
    for (&label, segment) in &map.segments {
        let own = *first.entry(segment.name.clone()).or_insert(label);
        if own != label && segment.parts.is_empty() {
            to.insert(label, own);
        }
    }
    if to.is_empty() {
        return;
    }
    map.voxels.data_mut().par_iter_mut().for_each(|l| *l = to.get(l).copied().unwrap_or(*l));
    let names: BTreeSet<&str> = to.keys().filter_map(|l| map.segments.get(l)).map(|s| s.name.as_str()).collect();
    let names = names.into_iter().collect::<Vec<_>>().join(", ");
    notes.push(format!("{which}: several labels have one name and count as one structure: {names}"));
    map.segments.retain(|label, _| !to.contains_key(label));
    for segment in map.segments.values_mut() {
        segment.parts.iter_mut().for_each(|part| *part = to.get(part).copied().unwrap_or(*part));
    }
}

fn share_a_name(a: &LabelMap, b: &LabelMap) -> bool {
    let names: BTreeSet<&str> = a.segments.values().map(|s| s.name.as_str()).collect();
    b.segments.values().any(|s| names.contains(s.name.as_str()))
}

/// Gives the prediction's structures the labels that the truth has for their names, or keeps their numbers where one of both maps has
/// no name for them; others get labels that nobody has.
fn rename(prediction: &mut LabelMap, truth: &LabelMap, notes: &mut Vec<String>) {
    let of_name: BTreeMap<&str, Label> = truth.segments.iter().map(|(&l, s)| (s.name.as_str(), l)).collect();
    let claimed: BTreeSet<Label> =
        prediction.segments.values().filter_map(|s| of_name.get(s.name.as_str()).copied()).collect();
    let in_truth: BTreeSet<Label> = present_labels(truth).into_iter().collect();
    let present = present_labels(prediction);
    let taken: BTreeSet<Label> = truth
        .segments
        .keys()
        .copied()
        .chain(present_labels(truth))
        .chain(truth.segments.values().flat_map(|s| s.parts.iter().copied()))
        .collect();
    let mut free = (1..=Label::MAX).rev().filter(|l| !taken.contains(l));
    let (mut to, mut unnamed_here): (BTreeMap<Label, Label>, Vec<_>) = Default::default();
    let all: BTreeSet<Label> = prediction.segments.keys().copied().chain(present).collect();
    for label in all {
        let name = prediction.segments.get(&label).map(|s| s.name.as_str());
        let unnamed = name.is_none() || !truth.segments.contains_key(&label);
        let same_number = unnamed && in_truth.contains(&label) && !claimed.contains(&label);
        let target = match name.and_then(|n| of_name.get(n)) {
            Some(&target) => Some(target),
            None if same_number => {
                notes.push(format!("label {label} has no name in one of both, so its number says what it is"));
                Some(label)
            }
            None => free.next(),
        };
        let target = target.unwrap_or(BACKGROUND);
        if name.is_none() && target != label {
            // What is shown is the number it has in its file.
            unnamed_here.push(terminology::segment(target, &format!("label_{label}")));
        }
        to.insert(label, target);
    }
    let mut table = vec![BACKGROUND; usize::from(Label::MAX) + 1];
    to.iter().for_each(|(&from, &to)| table[usize::from(from)] = to);
    prediction.voxels.data_mut().par_iter_mut().for_each(|l| *l = table[usize::from(*l)]);
    let segments = std::mem::take(&mut prediction.segments);
    for (label, mut segment) in segments {
        segment.label = table[usize::from(label)];
        segment.parts = segment.parts.iter().map(|&p| table[usize::from(p)]).filter(|&p| p != BACKGROUND).collect();
        prediction.segments.insert(segment.label, segment);
    }
    prediction.segments.extend(unnamed_here.into_iter().map(|s| (s.label, s)));
}

fn structure(
    truth: &LabelMap,
    prediction: &LabelMap,
    label: Label,
    tolerance_mm: f64,
) -> Result<EvaluatedStructure, metrics::MetricsError> {
    let overlap = metrics::overlap(truth, prediction, label)?;
    let distances = metrics::surface_distances(truth, prediction, label)?;
    let voxel = truth.geometry().voxel_volume_mm3();
    let segment = truth.segments.get(&label).or_else(|| prediction.segments.get(&label));
    let both = overlap.truth > 0 && overlap.prediction > 0;
    Ok(EvaluatedStructure {
        label,
        name: segment.map_or_else(|| terminology::segment(label, "").name, |s| s.name.clone()),
        dice: overlap.dice(),
        hd95_mm: distances.hausdorff_mm(95.0)?.filter(|_| both),
        surface_dice: distances.surface_dice(tolerance_mm)?,
        truth_mm3: overlap.truth as f64 * voxel,
        prediction_mm3: overlap.prediction as f64 * voxel,
    })
}

fn mean(values: impl Iterator<Item = f64>) -> Option<f64> {
    let (count, sum) = values.fold((0usize, 0.0), |(n, sum), v| (n + 1, sum + v));
    (count > 0).then(|| sum / count as f64)
}

impl fmt::Display for Evaluation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for note in &self.notes {
            writeln!(f, "note: {note}")?;
        }
        let widest = self.structures.iter().map(|s| s.name.len()).max().unwrap_or(0).max(9);
        let tolerance = format!("within {} mm", self.tolerance_mm);
        writeln!(
            f,
            "{:widest$}  {:>6}  {:>8}  {tolerance:>12}  {:>12}  {:>14}",
            "structure", "Dice", "HD95 mm", "truth mm³", "prediction mm³"
        )?;
        let figure = |value: Option<f64>, digits: usize| value.map_or("–".to_owned(), |v| format!("{v:.digits$}"));
        for s in &self.structures {
            writeln!(
                f,
                "{:widest$}  {:>6}  {:>8}  {:>12}  {:>12.0}  {:>14.0}",
                s.name,
                figure(s.dice, 3),
                figure(s.hd95_mm, 2),
                figure(s.surface_dice, 3),
                s.truth_mm3,
                s.prediction_mm3
            )?;
        }
        write!(
            f,
            "{:widest$}  {:>6}  {:>8}  {:>12}",
            "mean",
            figure(self.mean_dice, 3),
            figure(self.mean_hd95_mm, 2),
            figure(self.mean_surface_dice, 3)
        )?;
        self.confidence.iter().try_for_each(|confidence| write!(f, "\n\n{confidence}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use glam::DMat3;
    use space::Point;
    use volume::{ImageGeometry, Volume};

    fn write(path: &Path, labels: [Label; 2], shift: usize, names: Option<&str>) {
        let grid = ImageGeometry::new([20; 3], [2.0; 3], Point::ZERO, DMat3::IDENTITY).unwrap();
        let inside = |p: [usize; 3], low: usize| p.iter().all(|v| (low..low + 5).contains(v));
        let voxels = Volume::from_fn(grid, |[i, j, k]| match [i, j, k] {
            p if inside(p, 2) => labels[0],
            _ if i >= shift && inside([i - shift, j, k], 12) => labels[1],
            _ => 0,
        });
        let map = LabelMap { voxels, segments: BTreeMap::new() };
        volume::formats::write_labels(&map, path).unwrap();
        if let Some(names) = names {
            std::fs::write(path.with_extension("json"), names).unwrap();
        }
    }

    fn compare(truth: Option<&str>, prediction: Option<&str>, labels: [Label; 2]) -> Evaluation {
        let dir = tempfile::tempdir().unwrap();
        let [a, b] = ["a.nii", "b.nii"].map(|n| dir.path().join(n));
        write(&a, [1, 2], 0, truth);
        write(&b, labels, 1, prediction);
        evaluate(&EvaluateRequest { truth: a, prediction: b, tolerance_mm: 1.0, confidence: None }).unwrap()
    }

    #[test]
    fn structures_are_compared_by_number_where_nothing_has_a_name() {
        let found = compare(None, None, [1, 2]);
        assert_eq!(found.matched_by, "numbers");
        let [same, shifted] = found.structures.as_slice() else { panic!("{found:?}") };
        assert_eq!((same.dice, same.hd95_mm, same.surface_dice), (Some(1.0), Some(0.0), Some(1.0)));
        // Five slices, of which four overlap; each 2 mm thick.
        assert!((shifted.dice.unwrap() - 0.8).abs() < 1e-9, "{shifted:?}");
        assert_eq!((shifted.hd95_mm, shifted.truth_mm3), (Some(2.0), 1000.0));
        assert!((found.mean_dice.unwrap() - 0.9).abs() < 1e-9);
    }

    #[test]
    fn labels_of_one_name_are_one_structure() {
        let found = compare(Some(r#"{"1": "liver", "2": "liver"}"#), Some(r#"{"4": "liver"}"#), [4, 9]);
        let [liver, other] = found.structures.as_slice() else { panic!("{found:?}") };
        assert_eq!((liver.name.as_str(), liver.truth_mm3, liver.prediction_mm3), ("liver", 2000.0, 1000.0));
        assert_eq!((other.name.as_str(), other.truth_mm3), ("label_9", 0.0), "by the number it has in its file");
        assert!(found.notes.iter().any(|n| n.contains("truth: several labels have one name")), "{:?}", found.notes);
    }

    #[test]
    fn numbers_say_which_is_which_where_names_do_not() {
        let found = compare(Some(r#"{"1": "liver", "2": "spleen"}"#), Some(r#"{"1": "x", "2": "y"}"#), [1, 2]);
        assert_eq!((found.matched_by, found.structures[0].dice), ("numbers", Some(1.0)), "{found:?}");
        assert!(found.notes.iter().any(|n| n.contains("no name is in both")), "{:?}", found.notes);
        // One of two has a name.
        let found = compare(Some(r#"{"1": "liver"}"#), Some(r#"{"1": "liver", "2": "spleen"}"#), [1, 2]);
        assert_eq!(found.structures.len(), 2, "{found:?}");
        assert!(found.structures[1].dice.unwrap() > 0.7, "{found:?}");
        assert!(found.notes.iter().any(|n| n.contains("label 2 has no name in one")), "{:?}", found.notes);
    }

    #[test]
    fn names_say_which_is_which_and_what_is_missing_counts() {
        let truth = r#"{"1": "liver", "2": "spleen"}"#;
        let found = compare(Some(truth), Some(r#"{"7": "spleen", "1": "liver"}"#), [1, 7]);
        assert_eq!((found.matched_by, found.structures.len()), ("names", 2));
        assert!((found.structures[1].dice.unwrap() - 0.8).abs() < 1e-9, "{found:?}");
        // Number 2 is another structure there: its name decides.
        let found = compare(Some(truth), Some(r#"{"1": "liver", "2": "aorta"}"#), [1, 2]);
        let spleen = found.structures.iter().find(|s| s.name == "spleen").unwrap();
        assert_eq!((spleen.dice, spleen.hd95_mm, spleen.prediction_mm3), (Some(0.0), None, 0.0));
        assert_eq!(found.mean_dice, Some(0.5));
        assert!(found.notes.iter().any(|n| n.contains("aorta")), "{:?}", found.notes);
        assert!(found.notes.iter().any(|n| n.ends_with("leaves out: spleen")), "{:?}", found.notes);
        let table = found.to_string();
        assert!(table.contains("spleen") && table.contains("0.000"), "{table}");
    }
}
