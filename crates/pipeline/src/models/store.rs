//! Puts a model into the user's folder: made beside its place and renamed when whole.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use case::Unfinished;
use neural::card::{ModelCard, WeightFile};
use sha2::{Digest, Sha256};
use tempfile::TempDir;

use super::{CARD, hex};
use crate::error::PipelineError;
use crate::leftovers;

/// Prefix of folders that are being made.
const PREFIX: &str = ".adding-";

/// A model that is being put together.
#[derive(Debug)]
pub(super) struct Staging {
    folder: TempDir,
    models: PathBuf,
    _lock: Option<File>,
    unfinished: Unfinished,
}

impl Staging {
    /// # Errors
    /// [`PipelineError::Io`].
    pub(super) fn begin(models: &Path) -> Result<Self, PipelineError> {
        fs::create_dir_all(models).map_err(|e| io("make", e, models))?;
        leftovers::clear(models, PREFIX);
        let folder =
            tempfile::Builder::new().prefix(PREFIX).tempdir_in(models).map_err(|e| io("write into", e, models))?;
        let lock = leftovers::hold(folder.path());
        let unfinished = Unfinished::at(folder.path());
        Ok(Self { folder, models: models.to_owned(), _lock: lock, unfinished })
    }

    /// Where files can be put that are not yet the model's.
    pub(super) fn scratch(&self) -> Result<PathBuf, PipelineError> {
        let path = self.folder.path().join("scratch");
        fs::create_dir_all(&path).map_err(|e| io("make", e, &path))?;
        Ok(path)
    }

    /// Copies a file to `name` in the model's folder.
    ///
    /// # Errors
    /// [`PipelineError::Io`].
    pub(super) fn copy(&self, from: &Path, name: &str) -> Result<WeightFile, PipelineError> {
        let to = self.path_of(name)?;
        let mut source = File::open(from).map_err(|e| io("read", e, from))?;
        let mut target = File::create(&to).map_err(|e| io("write", e, &to))?;
        let (bytes, sha256) =
            copy_hashed(&mut source, &mut target, u64::MAX, &|_| {}).map_err(|e| io("copy", e, from))?;
        target.sync_all().map_err(|e| io("write", e, &to))?;
        Ok(WeightFile { file: name.to_owned(), bytes, sha256 })
    }

    fn path_of(&self, name: &str) -> Result<PathBuf, PipelineError> {
        let path = self.folder.path().join("model").join(name);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).map_err(|e| io("make", e, parent))?;
        }
        Ok(path)
    }

    /// Writes the card and puts the model in its place.
    ///
    /// # Errors
    /// [`PipelineError::ModelExists`] unless it may be replaced, [`PipelineError::Io`]; then nothing is there but what was.
    pub(super) fn commit(self, card: &ModelCard, replace: bool) -> Result<PathBuf, PipelineError> {
        let mut json = serde_json::to_vec_pretty(card).map_err(|e| PipelineError::Io {
            action: "write",
            cause: io::Error::other(e),
            path: self.models.join(&card.name),
        })?;
        json.push(b'\n');
        let path = self.path_of(CARD)?;
        let mut file = File::create(&path).map_err(|e| io("write", e, &path))?;
        file.write_all(&json).and_then(|()| file.sync_all()).map_err(|e| io("write", e, &path))?;
        // From here on the folder may hold the old model.
        drop(self.unfinished);
        let target = self.models.join(&card.name);
        let made = self.folder.path().join("model");
        if fs::symlink_metadata(&target).is_ok() {
            if !replace {
                return Err(PipelineError::ModelExists { name: card.name.clone(), path: target });
            }
            fs::rename(&target, self.folder.path().join("old")).map_err(|e| io("replace", e, &target))?;
            if let Err(error) = fs::rename(&made, &target) {
                // Back to what was; the first error is the one to tell.
                let _ = fs::rename(self.folder.path().join("old"), &target);
                return Err(io("replace", error, &target));
            }
        } else {
            fs::rename(&made, &target).map_err(|e| io("make", e, &target))?;
        }
        Ok(target)
    }
}

/// Copies up to `most` bytes, telling how many, and returns their number and SHA-256.
///
/// # Errors
/// What reading or writing says, or that there are more.
pub(super) fn copy_hashed(
    source: &mut impl Read,
    target: &mut impl Write,
    most: u64,
    tell: &dyn Fn(u64),
) -> io::Result<(u64, String)> {
    let mut hash = Sha256::new();
    let mut block = vec![0; 1 << 18];
    let mut total = 0u64;
    loop {
        let n = match source.read(&mut block) {
            Ok(0) => return Ok((total, hex(&hash.finalize()))),
            Ok(n) => n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
            Err(e) => return Err(e),
        };
        total += n as u64;
        if total > most {
            return Err(io::Error::other(format!("it holds more than the {most} bytes that a model may have")));
        }
        hash.update(&block[..n]);
        target.write_all(&block[..n])?;
        tell(total);
    }
}

pub(super) fn io(action: &'static str, source: io::Error, path: &Path) -> PipelineError {
    PipelineError::Io { action, cause: source, path: path.to_owned() }
}
