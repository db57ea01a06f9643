//! Takes a model from a folder, a zip, a single file or a URL into the user's folder.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use neural::NeuralError;
use neural::card::{ModelCard, Network};
use neural::model::{Model, WeightFiles};
use neural::safetensors::Safetensors;
use neural::super_resolution::THROUGH_PLANE;
use serde::Serialize;
use volume::Label;

use super::store::{Staging, copy_hashed, io};
use super::{CARD, MAX_CARD_BYTES, Models, archive, fetch, file_name, nnunet};
use crate::error::PipelineError;
use crate::recipe::labels::names_of;

/// Name of the weights of a model that is one file.
const WEIGHTS: &str = "weights.safetensors";

/// What to add.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AddRequest {
    /// A folder, a zip, a `.safetensors`, or a URL (`https://`, `http://`, `file://`) of a zip or `.safetensors`.
    pub source: String,
    /// SHA-256 of the file, in hexadecimal; a URL needs one.
    pub sha256: Option<String>,
    /// Take the place of a model of the same name.
    pub replace: bool,
}

/// What was added.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct AddedModel {
    /// For `--model`.
    pub name: String,
    /// Where it lies now.
    pub path: PathBuf,
    /// Of all files.
    pub bytes: u64,
    /// One digest for all files.
    pub sha256: String,
    /// Number of classes.
    pub classes: usize,
    /// What its user should know.
    pub notes: Vec<String>,
}

impl Models {
    /// Adds a model; nothing is there until all of it is.
    ///
    /// # Errors
    /// [`PipelineError`] if it is no model, is not whole, is there already, or cannot be fetched or written.
    pub fn add(&self, request: &AddRequest, tell: &(dyn Fn(f32) + Sync)) -> Result<AddedModel, PipelineError> {
        let models = self.user.as_deref().ok_or(PipelineError::NoUserFolder)?;
        if let Some(wanted) = &request.sha256
            && !(wanted.len() == 64 && wanted.bytes().all(|b| b.is_ascii_hexdigit()))
        {
            return Err(PipelineError::NoChecksum { found: wanted.clone() });
        }
        let is_url = ["http://", "https://", "file://"].iter().any(|s| request.source.starts_with(s));
        if is_url && request.sha256.is_none() {
            return Err(PipelineError::UrlWithoutChecksum { url: request.source.clone() });
        }
        let local = Path::new(&request.source);
        if !is_url && !local.exists() {
            return Err(PipelineError::NotFound { path: local.to_owned() });
        }
        let staging = Staging::begin(models)?;
        let source = if is_url { fetch::fetch(&request.source, &staging.scratch()?, tell)? } else { local.to_owned() };
        tell(0.7);
        if let Some(wanted) = &request.sha256 {
            compare(&source, wanted)?;
        }
        let (card, notes) = self.take(&source, &staging)?;
        tell(0.95);
        let path = staging.commit(&card, request.replace)?;
        let added = self.find(&card.name)?;
        Ok(AddedModel {
            name: card.name.clone(),
            path,
            bytes: card.weights.iter().map(|w| w.bytes).sum(),
            sha256: added.digest(),
            classes: card.classes.len(),
            notes,
        })
    }

    fn take(&self, source: &Path, staging: &Staging) -> Result<(ModelCard, Vec<String>), PipelineError> {
        if source.is_dir() {
            return take_folder(source, &stem(source), staging);
        }
        if archive::is_zip(source)? {
            let folder = staging.scratch()?.join("unpacked");
            archive::unpack(source, &folder)?;
            return take_folder(&folder, &stem(source), staging).map_err(|error| match error {
                // Where it was unpacked is nobody's business.
                PipelineError::NoModelHere { reason, .. } => {
                    PipelineError::NoModelHere { reason, path: source.to_owned() }
                }
                other => other,
            });
        }
        take_file(source, staging)
    }
}

fn compare(path: &Path, wanted: &str) -> Result<(), PipelineError> {
    if path.is_dir() {
        return Err(PipelineError::ChecksumOfFolder { path: path.to_owned() });
    }
    let mut file = fs::File::open(path).map_err(|e| io("read", e, path))?;
    let (_, found) =
        copy_hashed(&mut file, &mut std::io::sink(), u64::MAX, &|_| {}).map_err(|e| io("read", e, path))?;
    if found.eq_ignore_ascii_case(wanted) {
        Ok(())
    } else {
        Err(PipelineError::ChecksumDiffers { wanted: wanted.to_ascii_lowercase(), found, path: path.to_owned() })
    }
}

fn take_folder(folder: &Path, name: &str, staging: &Staging) -> Result<(ModelCard, Vec<String>), PipelineError> {
    let folder = &inner(folder);
    if folder.join(CARD).is_file() {
        return Ok((take_carded(folder, staging)?, Vec::new()));
    }
    if let Some(found) = nnunet::take(folder, name, staging)? {
        return Ok(found);
    }
    let mut weights: Vec<PathBuf> = fs::read_dir(folder)
        .map_err(|e| io("list", e, folder))?
        .flatten()
        .map(|e| e.path())
        .filter(|p| p.extension().is_some_and(|e| e == "safetensors"))
        .collect();
    weights.sort();
    match weights.as_slice() {
        [one] => take_file(one, staging),
        [] => Err(PipelineError::NoModelHere {
            reason: "it holds neither a model.json, nor a .safetensors, nor an nnU-Net results folder (plans.json, \
                     dataset.json, fold_0/checkpoint_final.pth)"
                .to_owned(),
            path: folder.to_owned(),
        }),
        [first, ..] => Err(PipelineError::NoModelHere {
            reason: format!("it holds several .safetensors; name one of them, such as {}", file_name(first)),
            path: folder.to_owned(),
        }),
    }
}

/// Zips often hold one folder that holds the rest.
fn inner(folder: &Path) -> PathBuf {
    let entries: Vec<PathBuf> = fs::read_dir(folder)
        .into_iter()
        .flatten()
        .flatten()
        .map(|e| e.path())
        .filter(|p| !file_name(p).starts_with('.') && file_name(p) != "__MACOSX")
        .collect();
    match entries.as_slice() {
        [one] if one.is_dir() && one.join(CARD).is_file() => one.clone(),
        _ => folder.to_owned(),
    }
}

/// A folder with a card of this project.
fn take_carded(folder: &Path, staging: &Staging) -> Result<ModelCard, PipelineError> {
    let path = folder.join(CARD);
    let shown = file_name(folder);
    let model = |source| PipelineError::Model { name: shown.clone(), cause: Box::new(source) };
    let size = fs::metadata(&path).map_err(|e| io("look at", e, &path))?.len();
    if size > MAX_CARD_BYTES {
        return Err(model(NeuralError::Card { reason: format!("{size} bytes are too many for a card") }));
    }
    let card = ModelCard::parse(&fs::read(&path).map_err(|e| io("read", e, &path))?).map_err(model)?;
    let mut files = WeightFiles::new();
    for listed in &card.weights {
        let from = folder.join(&listed.file);
        if !from.is_file() {
            let (model, file) = (card.name.clone(), listed.file.clone());
            return Err(PipelineError::ModelChanged { model, file, found: "it is not there".to_owned() });
        }
        let found = staging.copy(&from, &listed.file)?;
        if found.bytes != listed.bytes || !found.sha256.eq_ignore_ascii_case(&listed.sha256) {
            let (model, file) = (card.name.clone(), listed.file.clone());
            let found = format!("it has {} bytes and SHA-256 {}", found.bytes, found.sha256);
            return Err(PipelineError::ModelChanged { model, file, found });
        }
        // Those of nnU-Nets are large, and their own reader looks at them.
        if !matches!(card.network, Network::NnUnet(_)) {
            files.insert(listed.file.clone(), fs::read(&from).map_err(|e| io("read", e, &from))?);
        }
    }
    if !matches!(card.network, Network::NnUnet(_)) {
        Model::load(&card, files).map_err(model)?;
    }
    Ok(card)
}

/// A file of weights whose metadata describe the network.
fn take_file(file: &Path, staging: &Staging) -> Result<(ModelCard, Vec<String>), PipelineError> {
    let name = stem(file);
    let model = |source| PipelineError::Model { name: name.clone(), cause: Box::new(source) };
    if !neural::card::is_name(&name) {
        let reason = format!("`{name}` cannot name a model; call the file with letters, digits, `-`, `_` and `.`");
        return Err(PipelineError::NoModelHere { reason, path: file.to_owned() });
    }
    if file.extension().is_some_and(|e| e == "pth" || e == "pt" || e == "ckpt") {
        let reason = "a checkpoint alone does not say what network it belongs to; give nnU-Net's whole results folder \
                      (plans.json, dataset.json, fold_*), or a zip of it"
            .to_owned();
        return Err(PipelineError::NoModelHere { reason, path: file.to_owned() });
    }
    let bytes = fs::read(file).map_err(|e| io("read", e, file))?;
    let weights = Safetensors::parse(bytes.clone()).map_err(model)?;
    if weights.metadata().contains_key(THROUGH_PLANE) {
        let copied = staging.copy(file, WEIGHTS)?;
        let card = ModelCard::of_through_plane(&name, &bytes, copied).map_err(model)?;
        let note =
            "nothing tells what it was trained on, so it is marked experimental; a model.json beside it would say";
        return Ok((card, vec![note.to_owned()]));
    }
    let (names, mut notes) = class_names(file);
    let copied = staging.copy(file, WEIGHTS)?;
    let card = ModelCard::of_meshnet(&name, &weights, &names, copied).map_err(model)?;
    if names.is_empty() {
        notes.push(format!(
            "its classes have no names; put {{\"1\": \"Cerebral-White-Matter\", …}} into {name}.json beside the file and add \
             it again with --replace"
        ));
    }
    let unknown: Vec<&str> = card
        .classes
        .iter()
        .filter(|c| volume::terminology::find(&c.name).is_none())
        .filter_map(|c| c.source_name.as_deref().or(Some(&c.name)))
        .collect();
    if !names.is_empty() && !unknown.is_empty() {
        notes.push(format!("not in the table of structures, so without code: {}", unknown.join(", ")));
    }
    Ok((card, notes))
}

/// Names of classes from a JSON file of the same stem.
fn class_names(file: &Path) -> (BTreeMap<Label, String>, Vec<String>) {
    let path = file.with_extension("json");
    match names_of(&path) {
        Some(names) => (names, vec![format!("names of its classes from {} beside it", file_name(&path))]),
        None if path.exists() => {
            (BTreeMap::new(), vec![format!("{} beside it does not name classes and was left out", file_name(&path))])
        }
        None => (BTreeMap::new(), Vec::new()),
    }
}

/// The name of a file or folder without its ending.
fn stem(path: &Path) -> String {
    let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let name = file_name(&path);
    let known = [".safetensors", ".zip"].iter().find_map(|e| name.strip_suffix(e));
    known.map_or(name.clone(), str::to_owned)
}
