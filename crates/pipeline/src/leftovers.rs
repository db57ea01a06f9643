//! Files and folders that are being written, and those that a stopped run has left behind.

use std::fs::{self, File};
use std::path::Path;
use std::time::{Duration, SystemTime};

/// Younger ones may belong to a run that has not yet said that it is at work on them.
const YOUNG: Duration = Duration::from_secs(60);

/// Says that this process is at work on a file or folder for as long as what comes back lives; none where locks are not known.
pub(crate) fn hold(path: &Path) -> Option<File> {
    File::open(path).ok().filter(|file| file.try_lock().is_ok())
}

/// Removes files and folders of this prefix that no process is at work on. What cannot be removed stays.
pub(crate) fn clear(folder: &Path, prefix: &str) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        let Ok(about) = entry.metadata() else { continue };
        let age = about.modified().ok().and_then(|at| SystemTime::now().duration_since(at).ok());
        let ours = entry.file_name().to_string_lossy().starts_with(prefix);
        if ours && age.is_some_and(|age| age > YOUNG) && hold(&path).is_some() {
            let _ = if about.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_ours_and_nobody_is_at_work_on_goes() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        let names = [".ours-left", ".ours-new", ".ours-held", "other", ".ours-folder"];
        for name in &names[..4] {
            fs::write(path(name), "").unwrap();
        }
        fs::create_dir(path(".ours-folder")).unwrap();
        fs::write(path(".ours-folder").join("part"), "").unwrap();
        for name in [".ours-left", ".ours-held", "other", ".ours-folder"] {
            File::open(path(name)).unwrap().set_modified(SystemTime::now() - 2 * YOUNG).unwrap();
        }
        let held = hold(&path(".ours-held"));
        assert!(held.is_some());
        clear(dir.path(), ".ours-");
        assert_eq!(names.map(|name| path(name).exists()), [false, true, true, true, false]);
    }
}
