//! Files and folders in the making, for a program that is told to stop at once.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// A thread may write into a folder while that is being removed, hence more than once.
const ATTEMPTS: usize = 20;

static ALL: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());

/// Says that something at a path is in the making for as long as it lives.
#[derive(Debug)]
pub struct Unfinished(PathBuf);

impl Unfinished {
    /// Of a file or folder that nothing else is at.
    pub fn at(path: &Path) -> Self {
        ALL.lock().unwrap_or_else(PoisonError::into_inner).insert(path.to_owned());
        Self(path.to_owned())
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        ALL.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.0);
    }
}

/// Removes all that is in the making in this process, which must end then. What cannot be removed, a later run removes.
pub fn remove_unfinished() {
    // Kept locked, so that nothing new begins.
    let all = ALL.lock().unwrap_or_else(PoisonError::into_inner);
    for path in all.iter() {
        let remove = || if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
        let _is_gone = (0..ATTEMPTS).any(|_| remove().is_ok());
    }
    std::mem::forget(all);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_finished_is_no_longer_known() {
        let path = Path::new("somewhere/.in-the-making");
        let is_known = || ALL.lock().unwrap().contains(path);
        let unfinished = Unfinished::at(path);
        assert!(is_known());
        drop(unfinished);
        assert!(!is_known());
    }
}
