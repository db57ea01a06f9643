//! A model alone: its own classes on the scan's grid.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use case::Unfinished;
use neural::card::{Network, Task};
use neural::model::RunOptions;
use serde::Serialize;
use serde_json::json;
use volume::{BACKGROUND, Label, LabelMap, Segment, Volume, formats};

use crate::build::BuildRequest;
use crate::cache::Cache;
use crate::error::PipelineError;
use crate::input::read_input;
use crate::leftovers;
use crate::models::{ModelEntry, Models, UsedModel};
use crate::progress::{Progress, StageTime, Stages};
use crate::recipe::{Recipe, by_model};
use crate::target;

/// Prefix of files that are being written.
const PREFIX: &str = ".writing-";

/// What the schema of names begins with; its version follows.
const NAMES: &str = "vestibule.labels/";

/// What to segment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SegmentRequest {
    /// A folder or zip of DICOM files, one of them, NIfTI or NRRD.
    pub scan: PathBuf,
    /// UID or number of a DICOM series; the default one of `inspect` if absent.
    pub series: Option<String>,
    /// Name of a model.
    pub model: String,
    /// The label map: `.nii.gz`, `.nii` or `.nrrd`; its names go beside it, ending in `.json`.
    pub out: PathBuf,
    /// Where the model's confidence goes, in percent; ends as `out` may. Not written if absent.
    pub confidence: Option<PathBuf>,
    /// Look at the mirror image too, with models that do not of themselves ([`RunOptions::flips`]).
    pub flips: bool,
    /// Neither read nor write the cache.
    pub no_cache: bool,
    /// Where models are looked for.
    pub models: Models,
}

/// What a model found in a scan.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SegmentSummary {
    /// The label map.
    pub labels: PathBuf,
    /// Names and codes of its classes.
    pub names: PathBuf,
    /// How sure the model is of each voxel, in percent, if asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub confidence: Option<PathBuf>,
    /// What drew it.
    pub model: UsedModel,
    /// Columns, rows, slices.
    pub size: [usize; 3],
    /// By class; those without voxels are left out.
    pub structures: Vec<FoundStructure>,
    /// True if the labels came from the cache.
    pub cached: bool,
    /// What the user should know.
    pub notes: Vec<String>,
    /// Wall times, in order.
    pub stages: Vec<StageTime>,
    /// Wall time of all.
    pub total_s: f64,
}

/// A class that occurs.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FoundStructure {
    /// The model's class.
    pub label: Label,
    /// Machine name.
    pub name: String,
    /// Name for people.
    pub display: String,
    /// SNOMED CT concept, where known.
    pub code: Option<volume::Code>,
    /// On the scan's grid.
    pub volume_mm3: f64,
    /// On the grid the network works on; absent where the labels were kept from before.
    pub network_mm3: Option<f64>,
}

/// Runs a model on a scan and writes its label map, and the names of its classes beside it.
///
/// # Errors
/// [`PipelineError`]; then nothing was written.
pub fn segment(request: &SegmentRequest, progress: &dyn Progress) -> Result<SegmentSummary, PipelineError> {
    let start = std::time::Instant::now();
    let entry = request.models.find_for(Task::Segmentation, &request.model)?;
    if !request.scan.exists() {
        return Err(PipelineError::NotFound { path: request.scan.clone() });
    }
    let names = names_path(&request.out);
    let outs = [Some(request.out.as_path()), Some(names.as_path()), request.confidence.as_deref()];
    let outs: Vec<&Path> = outs.into_iter().flatten().collect();
    outs.iter().filter(|out| **out != names).try_for_each(|out| check_ending(out))?;
    target::check_files(&outs, &[&request.scan])?;
    if names.exists() && !are_names(&names) {
        return Err(PipelineError::WouldReplace { path: names });
    }
    let recipe = Recipe::of_model(&entry.card);
    let mut stages = Stages::new(progress);
    let input = stages.run("read", |tell| {
        let request = BuildRequest {
            scan: request.scan.clone(),
            series: request.series.clone(),
            recipe: Some(recipe.name.to_owned()),
            model: Some(request.model.clone()),
            ..BuildRequest::default()
        };
        read_input(&request, tell)
    })?;
    let mut notes = input.notes.clone();
    notes.extend(by_model::check(&entry.card, &input.look().facts())?);
    if request.flips && !matches!(entry.card.network, Network::MeshNet(_)) {
        notes.push(format!("model {} is flipped as it was trained to be, so --flips changes nothing", entry.card.name));
    }
    let cache = if request.no_cache { None } else { Cache::of_user() };
    let options = RunOptions { flips: request.flips };
    let found = stages.run("segment", |tell| by_model::run(&entry, &input.scan, options, cache.as_ref(), tell))?;
    let volumes = neural::model::volumes_mm3(&found.labels);
    if volumes.is_empty() {
        notes.push(format!("model {} found nothing in this scan", entry.card.name));
    }
    let mut segments = entry.card.segments();
    segments.retain(|label, _| volumes.contains_key(label));
    let structures = structures(&segments, &volumes, found.network_mm3.as_ref());
    let map = LabelMap { voxels: found.labels, segments };
    if request.confidence.is_some() && found.confidence.is_none() {
        notes.push("no confidence is there to be written; --no-cache runs the model again".to_owned());
    }
    let confidence = request.confidence.as_deref().zip(found.confidence.as_ref());
    if confidence.is_some() {
        notes.push(by_model::confidence_in_words(&entry.card));
    }
    stages.run("write", |_| write(request, &names, &map, &entry, &structures, confidence))?;
    Ok(SegmentSummary {
        labels: request.out.clone(),
        names,
        confidence: confidence.map(|(path, _)| path.to_owned()),
        model: entry.used(),
        size: map.geometry().size(),
        structures,
        cached: found.cached,
        notes,
        stages: stages.times,
        total_s: start.elapsed().as_secs_f64(),
    })
}

fn structures(
    segments: &BTreeMap<Label, Segment>,
    volumes: &BTreeMap<Label, f64>,
    network: Option<&BTreeMap<Label, f64>>,
) -> Vec<FoundStructure> {
    let of = |(&label, segment): (&Label, &Segment)| FoundStructure {
        label,
        name: segment.name.clone(),
        display: segment.display.clone(),
        code: segment.code.clone(),
        volume_mm3: volumes.get(&label).copied().unwrap_or(0.0),
        network_mm3: network.map(|n| n.get(&label).copied().unwrap_or(0.0)),
    };
    segments.iter().map(of).collect()
}

/// Endings that label maps are written with.
const ENDINGS: [&str; 3] = [".nii.gz", ".nii", ".nrrd"];

fn check_ending(out: &Path) -> Result<(), PipelineError> {
    if ending(out).is_some() {
        return Ok(());
    }
    let cause =
        io::Error::new(io::ErrorKind::InvalidInput, "a label map ends in .nii.gz, .nii or .nrrd; choose such a name");
    Err(PipelineError::Io { action: "write", cause, path: out.to_owned() })
}

/// True if a file holds names that this module wrote.
fn are_names(path: &Path) -> bool {
    let document = std::fs::read(path).ok().and_then(|bytes| serde_json::from_slice::<serde_json::Value>(&bytes).ok());
    document.is_some_and(|d| d.get("schema").and_then(|s| s.as_str()).is_some_and(|s| s.starts_with(NAMES)))
}

fn ending(out: &Path) -> Option<&'static str> {
    let name = out.file_name()?.to_string_lossy().to_ascii_lowercase();
    ENDINGS.into_iter().find(|e| name.len() > e.len() && name.ends_with(e))
}

fn names_path(out: &Path) -> PathBuf {
    let name = out.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    let stem = &name[..name.len() - ending(out).map_or(0, str::len)];
    out.with_file_name(format!("{stem}.json"))
}

/// All files are made whole beside their places, then renamed.
fn write(
    request: &SegmentRequest,
    names: &Path,
    map: &LabelMap,
    entry: &ModelEntry,
    structures: &[FoundStructure],
    confidence: Option<(&Path, &Volume<u8>)>,
) -> Result<(), PipelineError> {
    let out = &request.out;
    let io = |path: &Path| {
        let path = path.to_owned();
        move |source| PipelineError::Io { action: "write", cause: source, path }
    };
    let begun = RefCell::new(Vec::new());
    let temporary = |beside: &Path, suffix: &str| {
        leftovers::clear(target::folder(beside), PREFIX);
        let mut builder = tempfile::Builder::new();
        let file = builder.prefix(PREFIX).suffix(suffix).tempfile_in(target::folder(beside)).map_err(io(beside))?;
        // Held as long as the file lives; without locks others go by its age.
        let _ = file.as_file().try_lock();
        begun.borrow_mut().push(Unfinished::at(file.path()));
        Ok::<_, PipelineError>(file)
    };
    let voxels = temporary(out, ending(out).unwrap_or_default())?;
    formats::write_labels(map, voxels.path())?;
    let sure = match confidence {
        Some((path, percent)) => {
            let file = temporary(path, ending(path).unwrap_or_default())?;
            let percent = LabelMap { voxels: percent.map(|&p| Label::from(p)), segments: BTreeMap::new() };
            formats::write_labels(&percent, file.path())?;
            Some((file, path))
        }
        None => None,
    };
    let table: serde_json::Map<String, serde_json::Value> = structures
        .iter()
        .map(|s| {
            let color = map.segments.get(&s.label).map(|s| s.color);
            let entry = json!({
                "name": s.name, "display": s.display, "code": s.code, "color": color, "volume_mm3": s.volume_mm3,
                "network_mm3": s.network_mm3,
            });
            (s.label.to_string(), entry)
        })
        .collect();
    let document = json!({
        "schema": format!("{NAMES}1"),
        "model": entry.used(),
        "background": BACKGROUND,
        "labels": table,
        "statement": case::NOT_A_MEDICAL_DEVICE,
    });
    let text = temporary(out, ".json")?;
    let json = serde_json::to_vec_pretty(&document).map_err(|e| io(names)(e.into()))?;
    std::fs::write(text.path(), json).map_err(io(names))?;
    for (file, path) in sure.into_iter().chain([(text, names), (voxels, out.as_path())]) {
        readable(file.as_file()).map_err(io(path))?;
        file.as_file().sync_all().map_err(io(path))?;
        file.persist(path).map_err(|e| io(path)(e.error))?;
    }
    Ok(())
}

/// Temporary files are their owner's alone; results are as readable as any other file.
#[cfg(unix)]
fn readable(file: &std::fs::File) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    file.set_permissions(std::fs::Permissions::from_mode(0o644))
}

#[cfg(not(unix))]
fn readable(_file: &std::fs::File) -> io::Result<()> {
    Ok(())
}

impl fmt::Display for SegmentSummary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for note in &self.notes {
            writeln!(f, "note: {note}")?;
        }
        let plural = if self.structures.len() == 1 { "" } else { "s" };
        let UsedModel { name, version, sha256 } = &self.model;
        writeln!(f, "{} structure{plural} by model {name} {version}, SHA-256 {sha256}", self.structures.len())?;
        for s in &self.structures {
            write!(f, "  {:4} {:44} {:>10.0} mm³", s.label, s.display, s.volume_mm3)?;
            match s.network_mm3 {
                Some(mm3) => writeln!(f, "  ({mm3:.0} mm³ on the network's grid)")?,
                None => writeln!(f)?,
            }
        }
        let stages: Vec<String> = self.stages.iter().map(|s| format!("{} {:.2} s", s.stage, s.seconds)).collect();
        let cached = if self.cached { " (labels from the cache)" } else { "" };
        writeln!(f, "{:.2} s: {}{cached}", self.total_s, stages.join(", "))?;
        writeln!(f, "labels: {}", self.labels.display())?;
        write!(f, "names: {}", self.names.display())?;
        self.confidence.iter().try_for_each(|path| write!(f, "\nconfidence: {}", path.display()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lie_beside_the_labels() {
        assert_eq!(names_path(Path::new("a/labels.nii.gz")), Path::new("a/labels.json"));
        assert_eq!(names_path(Path::new("x.NRRD")), Path::new("x.json"));
    }

    #[test]
    fn only_label_maps_can_be_written() {
        assert!(check_ending(Path::new("labels.nii.gz")).is_ok());
        for bad in ["labels.png", ".nii.gz"] {
            assert!(check_ending(Path::new(bad)).is_err(), "{bad}");
        }
    }

    #[test]
    fn names_of_others_are_no_names_of_ours() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.json");
        for (text, ours) in [
            (r#"{"schema": "vestibule.labels/1", "labels": {}}"#, true),
            (r#"{"1": "liver"}"#, false),
            (r#"{"RepetitionTime": 2.3}"#, false),
            ("not json", false),
        ] {
            std::fs::write(&path, text).unwrap();
            assert_eq!(are_names(&path), ours, "{text}");
        }
    }
}
