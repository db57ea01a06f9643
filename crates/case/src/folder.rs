//! Replaces a folder as a whole: a crash at any point leaves the old one or the new one, or none if there was none.
//!
//! The new folder grows beside its target as `.NAME.PID-N.building`, held by a file lock, and changes places with the
//! target in one system call where the system has one. What people put into the old case goes along as hard links
//! before that, so at no moment does it lie in one place only.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use crate::error::CaseError;
use crate::unfinished::Unfinished;

/// The files a case consists of.
pub(crate) const CASE_FILES: [&str; 5] = ["case.json", "anatomy.glb", "scan.nii.gz", "labels.nii.gz", "report.html"];

/// `case.json` of a case of any version is smaller.
pub(crate) const MAX_MANIFEST_BYTES: u64 = 64 << 20;

const BUILDING: &str = ".building";
const REPLACED: &str = ".replaced";

/// A folder in the making; dropped before [`Replacement::commit`], it leaves no trace.
pub(crate) struct Replacement {
    target: PathBuf,
    parent: PathBuf,
    staging: PathBuf,
    in_place: bool,
    unfinished: Option<Unfinished>,
    // Tells later runs that the staging folder is in use.
    _lock: File,
}

impl Replacement {
    /// Makes an empty folder beside `target`, which must be absent, an empty folder or a case.
    ///
    /// # Errors
    /// [`CaseError::Occupied`], [`CaseError::NotAFolder`], [`CaseError::NoName`]; [`CaseError::Io`].
    pub(crate) fn begin(target: &Path) -> Result<Self, CaseError> {
        let target = resolve(target)?;
        let (Some(parent), Some(name)) = (target.parent(), target.file_name()) else {
            return Err(CaseError::NoName { path: target });
        };
        let parent = parent.to_owned();
        fs::create_dir_all(&parent).map_err(CaseError::io("create the folder around the case", &parent))?;
        clear_leftovers(&parent, name, &target);
        check_occupant(&target)?;
        let (staging, lock) = make_staging(&parent, name)?;
        let unfinished = Some(Unfinished::at(&staging));
        Ok(Self { target, parent, staging, in_place: false, unfinished, _lock: lock })
    }

    /// Where to write.
    pub(crate) fn path(&self) -> &Path {
        &self.staging
    }

    /// Puts the folder in the target's place, with everything of the old one that was not the case's own.
    pub(crate) fn commit(mut self) -> Result<PathBuf, CaseError> {
        let owned = owned_entries(&self.target);
        carry_over(&self.target, &self.staging, &owned)
            .map_err(CaseError::io("carry marks and sessions over from", &self.target))?;
        sync(&self.staging).map_err(CaseError::io("flush", &self.staging))?;
        // From here on the place holds the new case or the old one.
        self.unfinished = None;
        let old = swap(&self.staging, &self.target).map_err(CaseError::io("put the case in place at", &self.target))?;
        self.in_place = true;
        if let Some(old) = old {
            // A session may have been saved while the folders changed places.
            carry_over(&old, &self.target, &owned)
                .map_err(CaseError::io("carry late marks and sessions over from", &old))?;
            // What cannot be removed now, the next run removes.
            let _ = fs::remove_dir_all(&old);
        }
        sync(&self.parent).map_err(CaseError::io("flush", &self.parent))?;
        Ok(self.target.clone())
    }
}

impl Drop for Replacement {
    fn drop(&mut self) {
        if !self.in_place {
            let _ = fs::remove_dir_all(&self.staging);
        }
    }
}

/// Flushes a file or a folder's list of entries to the disk.
pub(crate) fn sync(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

fn resolve(target: &Path) -> Result<PathBuf, CaseError> {
    let link = fs::symlink_metadata(target).is_ok_and(|m| m.is_symlink());
    if link || target.file_name().is_none() {
        return match fs::canonicalize(target) {
            Ok(path) => Ok(path),
            Err(error) if link && error.kind() == io::ErrorKind::NotFound => {
                Err(CaseError::NotAFolder { path: target.to_owned() })
            }
            Err(error) => Err(CaseError::io("find", target)(error)),
        };
    }
    std::path::absolute(target).map_err(CaseError::io("find", target))
}

fn check_occupant(target: &Path) -> Result<(), CaseError> {
    let metadata = match fs::metadata(target) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(CaseError::io("look at", target)(error)),
    };
    if !metadata.is_dir() {
        return Err(CaseError::NotAFolder { path: target.to_owned() });
    }
    let mut entries = fs::read_dir(target).map_err(CaseError::io("list", target))?;
    if entries.next().is_none() || manifest_value(target).is_some() {
        Ok(())
    } else {
        Err(CaseError::Occupied { path: target.to_owned() })
    }
}

/// `case.json` of a case of any version.
fn manifest_value(folder: &Path) -> Option<serde_json::Value> {
    let path = folder.join("case.json");
    if fs::metadata(&path).ok()?.len() > MAX_MANIFEST_BYTES {
        return None;
    }
    let value: serde_json::Value = serde_json::from_slice(&fs::read(&path).ok()?).ok()?;
    value.get("schema")?.as_str()?.starts_with("vestibule.case/").then_some(value)
}

/// What a rebuild replaces; anything else in the folder was put there by people.
fn owned_entries(folder: &Path) -> BTreeSet<OsString> {
    let mut owned: BTreeSet<OsString> = CASE_FILES.map(OsString::from).into();
    if let Some(value) = manifest_value(folder)
        && let Some(files) = value.pointer("/checksums/files").and_then(|f| f.as_object())
    {
        owned.extend(files.keys().map(OsString::from));
    }
    owned
}

/// Removes what crashed runs left beside the target, and moves a case back that was caught between two places.
fn clear_leftovers(parent: &Path, name: &OsStr, target: &Path) {
    let Ok(entries) = fs::read_dir(parent) else { return };
    let mut paths: Vec<PathBuf> = entries.flatten().map(|e| e.path()).collect();
    paths.sort();
    for path in paths {
        match path.file_name().and_then(|n| leftover_ending(n, name)) {
            Some(BUILDING) => {
                let abandoned = File::open(&path).is_ok_and(|folder| folder.try_lock().is_ok());
                if abandoned {
                    let _ = fs::remove_dir_all(&path);
                }
            }
            Some(_) if fs::symlink_metadata(target).is_err() => {
                let _ = fs::rename(&path, target);
            }
            Some(_) => {
                let _ = fs::remove_dir_all(&path);
            }
            None => {}
        }
    }
}

/// `.NAME.PID-N.building` or `.replaced`, for this name and no longer one.
fn leftover_ending(entry: &OsStr, name: &OsStr) -> Option<&'static str> {
    let rest =
        entry.as_encoded_bytes().strip_prefix(b".")?.strip_prefix(name.as_encoded_bytes())?.strip_prefix(b".")?;
    [BUILDING, REPLACED].into_iter().find(|ending| {
        rest.strip_suffix(ending.as_bytes())
            .is_some_and(|id| !id.is_empty() && id.iter().all(|b| b.is_ascii_digit() || *b == b'-'))
    })
}

fn sibling(parent: &Path, name: &OsStr, number: usize, ending: &str) -> PathBuf {
    let mut sibling = OsString::from(".");
    sibling.push(name);
    sibling.push(format!(".{}-{number}{ending}", std::process::id()));
    parent.join(sibling)
}

fn make_staging(parent: &Path, name: &OsStr) -> Result<(PathBuf, File), CaseError> {
    let mut number = 0;
    loop {
        let path = sibling(parent, name, number, BUILDING);
        number += 1;
        match fs::create_dir(&path) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && number < 1000 => continue,
            Err(error) => return Err(CaseError::io("create a folder beside the case", &path)(error)),
        }
        // Another run may take the folder for abandoned until it is locked; then the next number is tried.
        let Ok(folder) = File::open(&path) else { continue };
        let _ = folder.try_lock();
        if path.exists() {
            return Ok((path, folder));
        }
    }
}

/// Hard links, or copies, every entry of `from` that `to` lacks and that is not in `owned`.
fn carry_over(from: &Path, to: &Path, owned: &BTreeSet<OsString>) -> io::Result<()> {
    let entries = match fs::read_dir(from) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    for entry in entries {
        let entry = entry?;
        if !owned.contains(&entry.file_name()) {
            link_tree(&entry.path(), &to.join(entry.file_name()))?;
        }
    }
    Ok(())
}

fn link_tree(from: &Path, to: &Path) -> io::Result<()> {
    let kind = fs::symlink_metadata(from)?.file_type();
    if kind.is_dir() {
        match fs::create_dir(to) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
        for entry in fs::read_dir(from)? {
            let entry = entry?;
            link_tree(&entry.path(), &to.join(entry.file_name()))?;
        }
        return sync(to);
    }
    if fs::symlink_metadata(to).is_ok() {
        return Ok(());
    }
    if kind.is_symlink() {
        #[cfg(unix)]
        return std::os::unix::fs::symlink(fs::read_link(from)?, to);
        #[cfg(not(unix))]
        return Ok(());
    }
    if kind.is_file() && fs::hard_link(from, to).is_err() {
        fs::copy(from, to)?;
        sync(to)?;
    }
    Ok(())
}

/// Puts `new` at `target` and says where the old folder is now, if there was one.
fn swap(new: &Path, target: &Path) -> io::Result<Option<PathBuf>> {
    let old_exists = fs::symlink_metadata(target).is_ok();
    if !old_exists {
        return fs::rename(new, target).map(|()| None);
    }
    if exchange(new, target).is_ok() {
        return Ok(Some(new.to_owned()));
    }
    let aside = new.with_extension(REPLACED.trim_start_matches('.'));
    fs::rename(target, &aside)?;
    match fs::rename(new, target) {
        Ok(()) => Ok(Some(aside)),
        Err(error) => {
            fs::rename(&aside, target)?;
            Err(error)
        }
    }
}

/// Exchanges two folders in one step.
#[cfg(target_os = "linux")]
fn exchange(a: &Path, b: &Path) -> io::Result<()> {
    use rustix::fs::{CWD, RenameFlags, renameat_with};
    Ok(renameat_with(CWD, a, CWD, b, RenameFlags::EXCHANGE)?)
}

#[cfg(not(target_os = "linux"))]
fn exchange(_: &Path, _: &Path) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    const OLD: &str =
        "{\"schema\": \"vestibule.case/1\", \"n\": 1, \"checksums\": {\"files\": {\"extra.bin\": \"00\"}}}";
    const NEW: &str = "{\"schema\": \"vestibule.case/1\", \"n\": 2}";

    fn write_new(folder: &Path) {
        fs::write(folder.join("case.json"), NEW).unwrap();
    }

    fn old_case(parent: &Path) -> PathBuf {
        let target = parent.join("case");
        fs::create_dir_all(target.join("sessions/deep")).unwrap();
        fs::create_dir_all(target.join("marks")).unwrap();
        fs::write(target.join("case.json"), OLD).unwrap();
        fs::write(target.join("extra.bin"), "of the old version").unwrap();
        fs::write(target.join("notes.txt"), "mine").unwrap();
        fs::write(target.join("sessions/deep/1.jsonl"), "walked").unwrap();
        target
    }

    fn entries(folder: &Path) -> Vec<String> {
        let mut names: Vec<String> =
            fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_new_folder_appears_whole() {
        let parent = tempfile::tempdir().unwrap();
        let target = parent.path().join("not/yet/case");
        let replacement = Replacement::begin(&target).unwrap();
        write_new(replacement.path());
        assert!(!target.exists(), "nothing is seen before the commit");
        replacement.commit().unwrap();
        assert_eq!(entries(&parent.path().join("not/yet")), ["case"]);
    }

    #[test]
    fn what_people_added_survives() {
        let parent = tempfile::tempdir().unwrap();
        let target = old_case(parent.path());
        let replacement = Replacement::begin(&target).unwrap();
        write_new(replacement.path());
        replacement.commit().unwrap();
        assert_eq!(entries(parent.path()), ["case"]);
        assert_eq!(entries(&target), ["case.json", "marks", "notes.txt", "sessions"]);
        assert_eq!(fs::read_to_string(target.join("case.json")).unwrap(), NEW);
        assert_eq!(fs::read_to_string(target.join("sessions/deep/1.jsonl")).unwrap(), "walked");
    }

    #[test]
    fn a_dropped_replacement_leaves_the_old_case() {
        let parent = tempfile::tempdir().unwrap();
        let target = old_case(parent.path());
        let replacement = Replacement::begin(&target).unwrap();
        write_new(replacement.path());
        drop(replacement);
        assert_eq!(entries(parent.path()), ["case"]);
        assert_eq!(fs::read_to_string(target.join("case.json")).unwrap(), OLD);
    }

    #[test]
    fn the_fallback_without_exchange_recovers() {
        let parent = tempfile::tempdir().unwrap();
        let target = old_case(parent.path());
        // As a crash between the two renames leaves it.
        let aside = parent.path().join(".case.77-0.replaced");
        fs::rename(&target, &aside).unwrap();
        drop(Replacement::begin(&target).unwrap());
        assert_eq!(fs::read_to_string(target.join("case.json")).unwrap(), OLD);
        assert_eq!(entries(parent.path()), ["case"]);
    }

    #[test]
    fn others_folders_and_files_are_refused() {
        let parent = tempfile::tempdir().unwrap();
        let full = parent.path().join("thesis");
        fs::create_dir(&full).unwrap();
        fs::write(full.join("chapter.tex"), "years of work").unwrap();
        assert!(matches!(Replacement::begin(&full), Err(CaseError::Occupied { .. })));
        fs::write(full.join("case.json"), "{\"schema\": \"someone.else/1\"}").unwrap();
        assert!(matches!(Replacement::begin(&full), Err(CaseError::Occupied { .. })));
        let file = parent.path().join("file");
        fs::write(&file, "").unwrap();
        assert!(matches!(Replacement::begin(&file), Err(CaseError::NotAFolder { .. })));
        assert!(matches!(Replacement::begin(&file.join("below")), Err(CaseError::Io { .. })));
        assert!(matches!(Replacement::begin(Path::new("/")), Err(CaseError::NoName { .. })));
        assert_eq!(entries(parent.path()), ["file", "thesis"]);
    }

    #[cfg(unix)]
    #[test]
    fn a_link_is_followed_and_stays_one() {
        let parent = tempfile::tempdir().unwrap();
        let target = old_case(parent.path());
        let link = parent.path().join("tonight");
        std::os::unix::fs::symlink(&target, &link).unwrap();
        let replacement = Replacement::begin(&link).unwrap();
        write_new(replacement.path());
        replacement.commit().unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::read_to_string(target.join("case.json")).unwrap(), NEW);
        let dangling = parent.path().join("dangling");
        std::os::unix::fs::symlink(parent.path().join("gone"), &dangling).unwrap();
        assert!(matches!(Replacement::begin(&dangling), Err(CaseError::NotAFolder { .. })));
    }

    /// Run again as a child, this test dies half-way through writing.
    #[test]
    fn a_crash_leaves_the_old_case_and_the_next_run_cleans_up() {
        const CHILD: &str = "VESTIBULE_TEST_CRASH_IN";
        if let Some(target) = std::env::var_os(CHILD) {
            let replacement = Replacement::begin(Path::new(&target)).unwrap();
            write_new(replacement.path());
            std::process::abort();
        }
        let parent = tempfile::tempdir().unwrap();
        let target = old_case(parent.path());
        let name = "folder::tests::a_crash_leaves_the_old_case_and_the_next_run_cleans_up";
        let child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", name, "--nocapture"])
            .env(CHILD, &target)
            .output()
            .unwrap();
        assert!(!child.status.success());
        assert_eq!(entries(parent.path()).len(), 2, "the case and what the crash left");
        assert_eq!(fs::read_to_string(target.join("case.json")).unwrap(), OLD);
        let running = Replacement::begin(&target).unwrap();
        assert_eq!(entries(parent.path()).len(), 2, "the leftover is gone, the new one is there");
        let second = Replacement::begin(&target).unwrap();
        assert!(running.path().exists(), "a folder in use is not a leftover");
        drop((running, second));
        assert_eq!(entries(parent.path()), ["case"]);
    }
}
