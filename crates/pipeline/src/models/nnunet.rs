//! Takes results folders of nnU-Net v2, as TotalSegmentator ships them, into the user's folder.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::fs;
use std::path::{Path, PathBuf};

use neural::card::{
    ExpectedInput, ModelCard, ModelClass, Network, NnUnetPart, NnUnetParts, SCHEMA, Training, WeightFile,
};
use neural::nnunet::{Dataset, NnUnetWork, Plans};
use neural::weights::Checkpoint;
use serde_json::Value;
use volume::Label;
use volume::terminology::{self, ClassTable};

use super::file_name;
use super::store::{Staging, io};
use crate::error::PipelineError;

/// How deep results folders may lie: `Dataset…/nnUNetTrainer__nnUNetPlans__3d_fullres`, once more in a folder.
const DEPTH: usize = 4;

/// Larger files are neither plans nor data sets.
const MAX_JSON_BYTES: u64 = 64 << 20;

/// A network that knows so many of TotalSegmentator's classes and no others is one of its own.
const MANY_CLASSES: usize = 20;

const PLANS: &str = "plans.json";
const DATASET: &str = "dataset.json";
const CHECKPOINT: &str = "checkpoint_final.pth";

/// A results folder that was found.
struct Results {
    path: PathBuf,
    configuration: String,
    dataset: Dataset,
    plans: Value,
    folds: Vec<String>,
}

/// `None` if the folder holds no results.
///
/// # Errors
/// [`PipelineError::Model`] if they contradict themselves, [`PipelineError::Io`].
pub(super) fn take(
    folder: &Path,
    name: &str,
    staging: &Staging,
) -> Result<Option<(ModelCard, Vec<String>)>, PipelineError> {
    let mut found = Vec::new();
    search(folder, DEPTH, &mut found)?;
    prefer_full_resolution(&mut found);
    if found.is_empty() {
        return Ok(None);
    }
    let name = model_name(&found, name);
    let total: BTreeMap<&str, Label> =
        ClassTable::TotalSegmentatorV2.classes().map(|(value, structure)| (structure.name, value)).collect();
    let several = found.len() > 1;
    let (mut parts, mut classes, mut weights) = (Vec::new(), BTreeMap::<Label, String>::new(), Vec::new());
    if let Some(results) = found.iter().find(|r| r.dataset.channels.len() != 1) {
        let count = results.dataset.channels.len();
        return Err(PipelineError::NoModelHere {
            reason: format!("its network takes {count} images at once, and a scan is one"),
            path: results.path.clone(),
        });
    }
    let mut finder = BTreeMap::<Label, usize>::new();
    for (at, results) in found.iter().enumerate() {
        let place = if several { format!("part_{}", at + 1) } else { ".".to_owned() };
        let mut of_part = BTreeMap::new();
        for (&own, class) in &results.dataset.names {
            let value = if several {
                let structure = terminology::find(class).and_then(|s| total.get(s.name).copied());
                structure.ok_or_else(|| PipelineError::NoModelHere {
                    reason: format!("`{class}` is no class of TotalSegmentator, so parts cannot be joined"),
                    path: results.path.join(DATASET),
                })?
            } else {
                own
            };
            of_part.insert(own, value);
            let other = finder.insert(value, at).filter(|other| *other != at);
            if let Some(other) = other.map(|other| &found[other]) {
                let [first, second] =
                    [other, results].map(|r| r.path.strip_prefix(folder).unwrap_or(&r.path).display().to_string());
                let reason = format!(
                    "both {first} and {second} find `{class}`, so they are no parts of one model; give one of them, or a folder of those that belong together"
                );
                return Err(PipelineError::NoModelHere { reason, path: folder.to_owned() });
            }
            classes.insert(value, class.clone());
        }
        weights.extend(copy(results, &place, staging)?);
        read_checkpoints(results, &name)?;
        let configuration = results.configuration.clone();
        let work = work(results);
        parts.push(NnUnetPart { folder: place, configuration, classes: of_part, work });
    }
    // TotalSegmentator turns its scans; a network of others that knows some of its classes does not.
    let of_total = |class: &String| terminology::find(class).is_some_and(|s| total.contains_key(s.name));
    let is_total = several || classes.len() >= MANY_CLASSES || is_named_total(&found[0]);
    let canonical = is_total && classes.values().all(of_total);
    let classes: Vec<ModelClass> =
        classes.into_iter().map(|(value, class)| ModelClass::named(value, Some(class), &name)).collect();
    let card = ModelCard {
        schema: SCHEMA.to_owned(),
        name: name.clone(),
        version: "1".to_owned(),
        what: format!("{} structures, by nnU-Net", classes.len()),
        input: expected(&found[0]),
        network: Network::NnUnet(NnUnetParts { parts, canonical }),
        classes,
        training: Training { source: Some("nnU-Net results folder".to_owned()), ..Training::default() },
        licence: None,
        accuracy: Vec::new(),
        temperature: None,
        experimental: false,
        weights,
    };
    card.check().map_err(|source| PipelineError::Model { name, cause: Box::new(source) })?;
    let turned = if canonical {
        "it is taken for a network of TotalSegmentator, so scans are turned to right, anterior and superior before it sees them"
    } else {
        "it sees scans as they are stored, as nnU-Net's reader does"
    };
    let notes = vec![
        turned.to_owned(),
        "its folder does not tell under which licence the weights may be used; look where they come from".to_owned(),
    ];
    Ok(Some((card, notes)))
}

/// True if its plans or its folders say that it is TotalSegmentator's.
fn is_named_total(results: &Results) -> bool {
    let dataset = results.plans.get("dataset_name").and_then(Value::as_str).unwrap_or_default().to_owned();
    let folders = results.path.ancestors().take(DEPTH).map(file_name);
    folders.chain([dataset]).any(|name| {
        let name = name.to_ascii_lowercase();
        ["totalseg", "_total_"].iter().any(|word| name.contains(word))
    })
}

/// How much its networks do, if its plans tell: in every fold, and in mirror images along all axes unless its trainer left them out.
fn work(results: &Results) -> Option<NnUnetWork> {
    let mirrors = if file_name(&results.path).contains("NoMirroring") { 1 } else { 8 };
    let often = results.folds.len() * mirrors;
    let plans = Plans::read(results.plans.to_string().as_bytes()).ok()?;
    NnUnetWork::of(&plans, &results.dataset, &results.configuration, often).ok()
}

fn search(folder: &Path, depth: usize, found: &mut Vec<Results>) -> Result<(), PipelineError> {
    if folder.join(PLANS).is_file() && folder.join(DATASET).is_file() {
        let folds = folds(folder)?;
        if !folds.is_empty() {
            let plans = read(&folder.join(PLANS), |bytes| serde_json::from_slice::<Value>(bytes))?;
            let dataset = read(&folder.join(DATASET), Dataset::read)?;
            let configuration = file_name(folder).rsplit("__").next().unwrap_or_default().to_owned();
            let known = |c: &str| plans.pointer("/configurations").and_then(|all| all.get(c)).is_some();
            let configuration = if known(&configuration) { configuration } else { "3d_fullres".to_owned() };
            found.push(Results { path: folder.to_owned(), configuration, dataset, plans, folds });
            return Ok(());
        }
    }
    if depth == 0 {
        return Ok(());
    }
    for entry in entries(folder)? {
        if entry.is_dir() && !file_name(&entry).starts_with('.') {
            search(&entry, depth - 1, found)?;
        }
    }
    Ok(())
}

fn entries(folder: &Path) -> Result<Vec<PathBuf>, PipelineError> {
    let entries = fs::read_dir(folder).map_err(|e| io("list", e, folder))?;
    let mut paths: Vec<PathBuf> = entries.flatten().map(|e| e.path()).collect();
    paths.sort();
    Ok(paths)
}

fn folds(folder: &Path) -> Result<Vec<String>, PipelineError> {
    let all = entries(folder)?;
    let folds = all.iter().filter(|p| p.join(CHECKPOINT).is_file()).map(|p| file_name(p));
    Ok(folds.filter(|n| n.starts_with("fold_")).collect())
}

fn read<T, E: Display>(path: &Path, parse: impl Fn(&[u8]) -> Result<T, E>) -> Result<T, PipelineError> {
    let wrong = |reason: String| PipelineError::NoModelHere { reason, path: path.to_owned() };
    let size = fs::metadata(path).map_err(|e| io("look at", e, path))?.len();
    if size > MAX_JSON_BYTES {
        return Err(wrong(format!("{size} bytes are too many for this file")));
    }
    parse(&fs::read(path).map_err(|e| io("read", e, path))?).map_err(|e| wrong(e.to_string()))
}

/// Where a data set was trained in several configurations, the one at full resolution is taken.
fn prefer_full_resolution(found: &mut Vec<Results>) {
    let parent = |r: &Results| r.path.parent().map(Path::to_owned);
    let full: BTreeSet<Option<PathBuf>> =
        found.iter().filter(|r| r.configuration == "3d_fullres").map(parent).collect();
    found.retain(|r| r.configuration == "3d_fullres" || !full.contains(&parent(r)));
}

/// The data set's name if there is one, else that of what was given.
fn model_name(found: &[Results], given: &str) -> String {
    let dataset = found[0].path.ancestors().map(file_name).find(|n| n.starts_with("Dataset"));
    let name = match dataset {
        Some(dataset) if found.len() == 1 => dataset,
        _ => given.to_owned(),
    };
    let safe = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.') { c } else { '_' };
    name.chars().map(safe).collect::<String>().trim_start_matches(['.', '-']).to_owned()
}

fn expected(results: &Results) -> ExpectedInput {
    let upper = results.dataset.channels[0].to_ascii_uppercase();
    let contrast = ["T1", "T2", "FLAIR"].into_iter().find(|c| upper.starts_with(c)).map(str::to_owned);
    let modality = if upper.contains("CT") { "CT" } else { "MR" };
    // It is resampled to the network's own spacing; three times that is where structures are lost.
    let own = format!("/configurations/{}/spacing", results.configuration);
    let coarsest = results
        .plans
        .pointer(&own)
        .and_then(Value::as_array)
        .map(|s| s.iter().filter_map(Value::as_f64).fold(0.0, f64::max));
    let coarsest = coarsest.filter(|c| c.is_finite() && *c > 0.0).map_or(10.0, |c| (3.0 * c).max(5.0));
    ExpectedInput {
        modality: modality.to_owned(),
        contrast,
        body_part: "body".to_owned(),
        field_of_view_mm: [0.0, 3000.0],
        spacing_mm: [0.0, coarsest],
    }
}

/// Refuses files that are no checkpoints, or ask for more than data, before they are a model.
fn read_checkpoints(results: &Results, name: &str) -> Result<(), PipelineError> {
    for fold in &results.folds {
        let path = results.path.join(fold).join(CHECKPOINT);
        let bytes = fs::read(&path).map_err(|e| io("read", e, &path))?;
        Checkpoint::read(&bytes)
            .map_err(|source| PipelineError::Model { name: name.to_owned(), cause: Box::new(source) })?;
    }
    Ok(())
}

fn copy(results: &Results, place: &str, staging: &Staging) -> Result<Vec<WeightFile>, PipelineError> {
    let checkpoints = results.folds.iter().map(|fold| format!("{fold}/{CHECKPOINT}"));
    [PLANS, DATASET]
        .map(str::to_owned)
        .into_iter()
        .chain(checkpoints)
        .map(|file| {
            let name = if place == "." { file.clone() } else { format!("{place}/{file}") };
            staging.copy(&results.path.join(&file), &name)
        })
        .collect()
}
