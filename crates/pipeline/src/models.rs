//! Models that are there: embedded ones, those of `$VESTIBULE_HOME/models`, and the user's own.
//!
//! A model is a folder of its name with a card, `model.json` ([`neural::card`]), and the files that the card lists with their
//! checksums. Of one name, the user's comes first, then that of `$VESTIBULE_HOME`, then the embedded one.

mod add;
mod archive;
mod fetch;
mod nnunet;
mod store;
mod verify;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use neural::card::{ANY, ModelCard, ScanFacts, Task};
use neural::model::WeightFiles;
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::error::PipelineError;

pub use self::add::{AddRequest, AddedModel};
pub use self::verify::VerifiedModel;

/// Name of a card in its model's folder.
pub(crate) const CARD: &str = "model.json";

/// Larger files are no cards.
const MAX_CARD_BYTES: u64 = 16 << 20;

/// A model inside the program.
#[derive(Debug, PartialEq, Eq)]
pub struct EmbeddedModel {
    /// Its `model.json`.
    pub card: &'static str,
    /// Names and contents of the files that the card lists.
    pub files: &'static [(&'static str, &'static [u8])],
}

/// Where models are looked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Models {
    /// `NAME/model.json` of the user; new ones go here.
    pub user: Option<PathBuf>,
    /// `NAME/model.json` beside the program's other data.
    pub home: Option<PathBuf>,
    /// Inside the program.
    pub embedded: &'static [EmbeddedModel],
}

/// Where a model lies.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Place {
    Embedded(&'static EmbeddedModel),
    Folder(PathBuf),
}

/// A model whose card was read.
#[derive(Clone, Debug)]
pub struct ModelEntry {
    /// What it is.
    pub card: ModelCard,
    place: Place,
}

/// A model as it appears in a list.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ListedModel {
    /// For `--model`.
    pub name: String,
    /// Of the weights.
    pub version: Option<String>,
    /// What it does.
    pub what: Option<String>,
    /// `user`, `home` or `embedded`.
    pub place: &'static str,
    /// Its folder.
    pub path: Option<PathBuf>,
    /// Of all files.
    pub bytes: u64,
    /// One digest for all files.
    pub sha256: Option<String>,
    /// What it does to a scan.
    pub task: Option<Task>,
    /// Number of classes.
    pub classes: usize,
    /// Under which the weights may be used.
    pub licence: Option<String>,
    /// True if it is not to be relied on.
    pub experimental: bool,
    /// Why it cannot be used, if so.
    pub problem: Option<String>,
}

/// A model that took part in a build or a segmentation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct UsedModel {
    /// Its name.
    pub name: String,
    /// Of the weights.
    pub version: String,
    /// One digest for all files.
    pub sha256: String,
}

/// True of a model for scans of this modality that would find what its recipe is for: in MR a head's.
fn is_meant(entry: &ModelEntry, modality: &str) -> bool {
    entry.card.input.modality == modality && (modality != "MR" || entry.card.input.is_of_head())
}

impl Models {
    /// The embedded ones, `$VESTIBULE_HOME/models`, and `$XDG_DATA_HOME/vestibule/models`, else `~/.local/share/…`.
    pub fn of_user(embedded: &'static [EmbeddedModel]) -> Self {
        let path = |name: &str| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
        let absolute = |name: &str| path(name).filter(|p| p.is_absolute());
        let data = absolute("XDG_DATA_HOME").or_else(|| absolute("HOME").map(|h| h.join(".local/share")));
        Self {
            user: data.map(|d| d.join("vestibule/models")),
            home: path("VESTIBULE_HOME").map(|h| h.join("models")),
            embedded,
        }
    }

    /// Everything that is there, by name; what cannot be used says why. Sizes are compared, contents are not read.
    pub fn list(&self) -> Vec<ListedModel> {
        let mut found: BTreeMap<String, ListedModel> = BTreeMap::new();
        for (name, place) in self.places() {
            if found.contains_key(&name) {
                continue;
            }
            let listed = match ModelEntry::open(&name, place.clone()) {
                Ok(entry) => entry.listed(self),
                Err(error) => ListedModel::broken(name.clone(), self.name_of(&place), &place, &error),
            };
            found.insert(name, listed);
        }
        found.into_values().collect()
    }

    /// The model of a name.
    ///
    /// # Errors
    /// [`PipelineError::UnknownModel`], or why its card cannot be used.
    pub fn find(&self, name: &str) -> Result<ModelEntry, PipelineError> {
        match self.places().into_iter().find(|(known, _)| known == name) {
            Some((name, place)) => ModelEntry::open(&name, place),
            None => {
                let mut known: Vec<String> = self.places().into_iter().map(|(n, _)| n).collect();
                known.sort();
                known.dedup();
                let known = if known.is_empty() { "there is none yet".to_owned() } else { known.join(", ") };
                Err(PipelineError::UnknownModel { wanted: name.to_owned(), known })
            }
        }
    }

    /// The model that is taken for a scan unless told otherwise: of those that can run and that nothing speaks against, one
    /// that somebody added, one that is not experimental, the one that finds most; the first by name among equals. For MR it
    /// must be made for heads.
    pub(crate) fn best_for(&self, modality: &str, scan: &ScanFacts<'_>) -> Option<ModelEntry> {
        let fits = |e: &ModelEntry| is_meant(e, modality) && !e.card.input.objections(scan).iter().any(|o| o.refuses);
        self.best(Task::Segmentation, fits, |e| (!e.is_embedded(), !e.card.experimental, e.card.classes.len()))
    }

    /// As [`Models::best_for`], whatever speaks against it: to say what that is.
    pub(crate) fn nearest_for(&self, modality: &str) -> Option<ModelEntry> {
        self.best(Task::Segmentation, |e| is_meant(e, modality), |e| (!e.is_embedded(), e.card.classes.len()))
    }

    /// The model that makes slices thinner unless told otherwise: one that somebody added for scans of this modality or of any,
    /// then one that was trained on scans of this modality, then one that is not experimental; the first by name among equals.
    pub(crate) fn best_upsampler(&self, modality: &str) -> Option<ModelEntry> {
        let of_kind = |e: &ModelEntry| e.card.input.modality == modality;
        let added = |e: &ModelEntry| !e.is_embedded() && (of_kind(e) || e.card.input.modality == ANY);
        self.best(Task::SuperResolution, |_| true, |e| (added(e), of_kind(e), !e.card.experimental))
    }

    /// The first by name of those of the highest rank that do this and are whole.
    fn best<R: PartialOrd>(
        &self,
        task: Task,
        fits: impl Fn(&ModelEntry) -> bool,
        rank: impl Fn(&ModelEntry) -> R,
    ) -> Option<ModelEntry> {
        let mut names: Vec<String> = self.places().into_iter().map(|(n, _)| n).collect();
        names.sort();
        names.dedup();
        let usable = |e: &ModelEntry| e.card.network.task() == task && e.missing().is_none();
        let fitting = names.iter().filter_map(|n| self.find(n).ok()).filter(|e| usable(e) && fits(e));
        fitting.reduce(|best, next| if rank(&next) > rank(&best) { next } else { best })
    }

    /// The model of a name, which must do this to a scan.
    ///
    /// # Errors
    /// As [`Models::find`]; [`PipelineError::OtherTask`].
    pub(crate) fn find_for(&self, task: Task, name: &str) -> Result<ModelEntry, PipelineError> {
        let entry = self.find(name)?;
        let (does, remedy) = match entry.card.network.task() {
            found if found == task => return Ok(entry),
            Task::Segmentation => ("finds structures and makes no slices thinner", "use it with `vestibule segment`"),
            Task::SuperResolution => {
                ("makes slices thinner and finds no structures", "use it with `vestibule upsample`")
            }
        };
        Err(PipelineError::OtherTask { model: entry.card.name, does, remedy })
    }

    /// All names and places, the ones that come first before those they hide.
    fn places(&self) -> Vec<(String, Place)> {
        let mut places = Vec::new();
        for folder in [&self.user, &self.home].into_iter().flatten() {
            let mut names: Vec<(String, Place)> = std::fs::read_dir(folder)
                .into_iter()
                .flatten()
                .flatten()
                .filter(|e| e.path().is_dir())
                .filter_map(|e| Some((e.file_name().into_string().ok()?, Place::Folder(e.path()))))
                .filter(|(name, _)| neural::card::is_name(name))
                .collect();
            names.sort_by(|a, b| a.0.cmp(&b.0));
            places.extend(names);
        }
        for model in self.embedded {
            if let Ok(card) = ModelCard::parse(model.card.as_bytes()) {
                places.push((card.name, Place::Embedded(model)));
            }
        }
        places
    }

    fn name_of(&self, place: &Place) -> &'static str {
        match place {
            Place::Embedded(_) => "embedded",
            Place::Folder(path) if self.user.as_deref().is_some_and(|u| path.starts_with(u)) => "user",
            Place::Folder(_) => "home",
        }
    }
}

impl ModelEntry {
    fn open(name: &str, place: Place) -> Result<Self, PipelineError> {
        let model = |source| PipelineError::Model { name: name.to_owned(), cause: Box::new(source) };
        let card = match &place {
            Place::Embedded(embedded) => ModelCard::parse(embedded.card.as_bytes()).map_err(model)?,
            Place::Folder(folder) => {
                let path = folder.join(CARD);
                let io = |action, source| PipelineError::Io { action, cause: source, path: path.clone() };
                if !path.is_file() {
                    let reason = format!(
                        "there is no {CARD} in its folder; add the model again, or remove {}",
                        folder.display()
                    );
                    return Err(model(neural::NeuralError::Card { reason }));
                }
                let size = std::fs::metadata(&path).map_err(|e| io("look at", e))?.len();
                if size > MAX_CARD_BYTES {
                    let reason = format!("{size} bytes are too many for a card");
                    return Err(model(neural::NeuralError::Card { reason }));
                }
                ModelCard::parse(&std::fs::read(&path).map_err(|e| io("read", e))?).map_err(model)?
            }
        };
        if card.name != name {
            let reason =
                format!("it is called `{}` but lies in a folder called `{name}`; rename the folder", card.name);
            return Err(model(neural::NeuralError::Card { reason }));
        }
        Ok(Self { card, place })
    }

    /// The weights, each byte of which is the one the card tells of.
    ///
    /// # Errors
    /// [`PipelineError::ModelChanged`], [`PipelineError::Io`].
    pub fn files(&self) -> Result<WeightFiles, PipelineError> {
        let mut files = WeightFiles::new();
        for listed in &self.card.weights {
            let bytes = self.read(&listed.file, listed.bytes)?;
            let found = hex(&Sha256::digest(&bytes));
            if !found.eq_ignore_ascii_case(&listed.sha256) {
                return Err(self.changed(&listed.file, format!("its SHA-256 is {found}")));
            }
            files.insert(listed.file.clone(), bytes);
        }
        Ok(files)
    }

    fn read(&self, file: &str, size: u64) -> Result<Vec<u8>, PipelineError> {
        match &self.place {
            Place::Embedded(embedded) => match embedded.files.iter().find(|(name, _)| *name == file) {
                Some((_, bytes)) => Ok(bytes.to_vec()),
                None => Err(self.changed(file, "it is not there".to_owned())),
            },
            Place::Folder(folder) => {
                let path = folder.join(file);
                match std::fs::metadata(&path) {
                    Ok(m) if m.len() == size => {}
                    Ok(m) => return Err(self.changed(file, format!("it has {} bytes, not {size}", m.len()))),
                    Err(_) => return Err(self.changed(file, "it is not there".to_owned())),
                }
                std::fs::read(&path).map_err(|source| PipelineError::Io { action: "read", cause: source, path })
            }
        }
    }

    fn changed(&self, file: &str, found: String) -> PipelineError {
        PipelineError::ModelChanged { model: self.card.name.clone(), file: file.to_owned(), found }
    }

    /// What is known without reading the weights to be missing.
    fn missing(&self) -> Option<String> {
        let Place::Folder(folder) = &self.place else { return None };
        self.card.weights.iter().find_map(|w| match std::fs::metadata(folder.join(&w.file)) {
            Ok(m) if m.len() == w.bytes => None,
            Ok(m) => Some(format!("{} has {} bytes, not {}; add the model again", w.file, m.len(), w.bytes)),
            Err(_) => Some(format!("{} is not there; add the model again", w.file)),
        })
    }

    /// True if it came with the program.
    pub(crate) fn is_embedded(&self) -> bool {
        matches!(self.place, Place::Embedded(_))
    }

    /// Its name, version and digest.
    pub fn used(&self) -> UsedModel {
        UsedModel { name: self.card.name.clone(), version: self.card.version.clone(), sha256: self.digest() }
    }

    /// One digest for all files: of the only one, else of their list.
    pub(crate) fn digest(&self) -> String {
        match self.card.weights.as_slice() {
            [one] => one.sha256.to_ascii_lowercase(),
            _ => hex(&Sha256::digest(self.card.digest_source())),
        }
    }

    fn listed(&self, models: &Models) -> ListedModel {
        let problem = self.missing();
        ListedModel {
            name: self.card.name.clone(),
            version: Some(self.card.version.clone()),
            what: Some(self.card.what.clone()),
            place: models.name_of(&self.place),
            path: self.place.path(),
            bytes: self.card.weights.iter().map(|w| w.bytes).sum(),
            sha256: Some(self.digest()),
            task: Some(self.card.network.task()),
            classes: self.card.classes.len(),
            licence: self.card.licence.clone(),
            experimental: self.card.experimental,
            problem,
        }
    }
}

impl Place {
    fn path(&self) -> Option<PathBuf> {
        match self {
            Self::Embedded(_) => None,
            Self::Folder(path) => Some(path.clone()),
        }
    }
}

impl ListedModel {
    fn broken(name: String, place: &'static str, at: &Place, error: &PipelineError) -> Self {
        Self {
            name,
            version: None,
            what: None,
            place,
            path: at.path(),
            bytes: 0,
            sha256: None,
            task: None,
            classes: 0,
            licence: None,
            experimental: false,
            problem: Some(error.to_string()),
        }
    }
}

/// Lower-case hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

/// The name of a file without its folder.
fn file_name(path: &Path) -> String {
    path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default()
}

#[cfg(test)]
mod tests;
