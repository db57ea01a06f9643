//! Unpacks a zip of a model, every size and name checked.

use std::fs::{self, File};
use std::io::Read;
use std::path::Path;

use neural::card::is_inside;

use super::store::{copy_hashed, io};
use crate::error::PipelineError;

/// More than any model's.
const MAX_FILES: usize = 10_000;

/// More than any model's, unpacked: five networks of TotalSegmentator have 1.2 GB.
pub(super) const MAX_BYTES: u64 = 8 << 30;

/// # Errors
/// [`PipelineError::Io`].
pub(super) fn is_zip(path: &Path) -> Result<bool, PipelineError> {
    let mut start = [0; 4];
    let mut file = File::open(path).map_err(|e| io("read", e, path))?;
    Ok(file.read_exact(&mut start).is_ok() && start == *b"PK\x03\x04" && !is_checkpoint(path))
}

/// PyTorch's checkpoints are zips too.
fn is_checkpoint(path: &Path) -> bool {
    path.extension().is_some_and(|e| e == "pth" || e == "pt" || e == "ckpt")
}

/// # Errors
/// [`PipelineError::NoModelHere`] for a damaged or hostile archive, [`PipelineError::Io`].
pub(super) fn unpack(path: &Path, folder: &Path) -> Result<(), PipelineError> {
    let wrong = |reason: String| PipelineError::NoModelHere { reason, path: path.to_owned() };
    let file = File::open(path).map_err(|e| io("read", e, path))?;
    let mut archive = zip::ZipArchive::new(file).map_err(|e| wrong(format!("the zip cannot be read: {e}")))?;
    if archive.len() > MAX_FILES {
        return Err(wrong(format!("the zip holds {} files", archive.len())));
    }
    fs::create_dir_all(folder).map_err(|e| io("make", e, folder))?;
    let mut left = MAX_BYTES;
    for at in 0..archive.len() {
        let mut entry = archive.by_index(at).map_err(|e| wrong(format!("the zip cannot be read: {e}")))?;
        if entry.is_dir() {
            continue;
        }
        let name = entry.name().to_owned();
        if !is_inside(&name) || entry.is_symlink() {
            return Err(wrong(format!("the zip holds `{name}`, which is no file inside it")));
        }
        let to = folder.join(&name);
        if let Some(parent) = to.parent() {
            fs::create_dir_all(parent).map_err(|e| io("make", e, parent))?;
        }
        let mut target = File::create(&to).map_err(|e| io("write", e, &to))?;
        let (bytes, _) = copy_hashed(&mut entry, &mut target, left, &|_| {})
            .map_err(|e| wrong(format!("`{name}` cannot be unpacked: {e}")))?;
        left -= bytes;
    }
    Ok(())
}
