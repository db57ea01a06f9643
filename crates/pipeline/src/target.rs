//! Whether a case or files may be written to their places, known before the long work.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use case::CaseError;

use crate::error::PipelineError;

/// Larger files are no `case.json`.
const MAX_MANIFEST_BYTES: u64 = 64 << 20;

/// Refuses a target that is neither absent, nor an empty folder, nor a case; writing checks again.
///
/// # Errors
/// [`CaseError::NotAFolder`], [`CaseError::Occupied`], [`CaseError::Io`].
pub(crate) fn check(out: &Path) -> Result<(), CaseError> {
    let metadata = match fs::metadata(out) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return match fs::symlink_metadata(out) {
                Ok(_) => Err(CaseError::NotAFolder { path: out.to_owned() }),
                Err(_) => Ok(()),
            };
        }
        Err(source) => return Err(CaseError::Io { action: "look at", source, path: out.to_owned() }),
    };
    if !metadata.is_dir() {
        return Err(CaseError::NotAFolder { path: out.to_owned() });
    }
    let mut entries =
        fs::read_dir(out).map_err(|source| CaseError::Io { action: "list", source, path: out.to_owned() })?;
    if entries.next().is_none() || is_case(out) { Ok(()) } else { Err(CaseError::Occupied { path: out.to_owned() }) }
}

fn is_case(folder: &Path) -> bool {
    let path = folder.join("case.json");
    let small = fs::metadata(&path).is_ok_and(|m| m.len() <= MAX_MANIFEST_BYTES);
    let manifest = || serde_json::from_slice::<serde_json::Value>(&fs::read(&path).ok()?).ok();
    let schema = |m: serde_json::Value| m.get("schema").and_then(|s| s.as_str()).map(str::to_owned);
    small && manifest().and_then(schema).is_some_and(|s| s.starts_with("vestibule.case/"))
}

/// Refuses files that cannot be written, that are one another's, or that would take the place of what is read.
///
/// # Errors
/// [`PipelineError::Io`], [`PipelineError::WouldReplace`].
pub(crate) fn check_files(outs: &[&Path], inputs: &[&Path]) -> Result<(), PipelineError> {
    let mut taken: Vec<PathBuf> = inputs.iter().filter_map(|input| fs::canonicalize(input).ok()).collect();
    for out in outs {
        let wrong = |kind, reason: &str| PipelineError::Io {
            action: "write",
            cause: io::Error::new(kind, reason.to_owned()),
            path: out.to_path_buf(),
        };
        if out.is_dir() {
            return Err(wrong(io::ErrorKind::IsADirectory, "it is a folder; name a file"));
        }
        let folder = folder(out);
        if !folder.is_dir() {
            return Err(wrong(io::ErrorKind::NotFound, "its folder does not exist; make it first"));
        }
        // Of what is not there yet, the folder is.
        let there = fs::canonicalize(out)
            .or_else(|_| fs::canonicalize(folder).map(|folder| folder.join(out.file_name().unwrap_or_default())));
        let there = there.unwrap_or_else(|_| out.to_path_buf());
        if taken.contains(&there) {
            return Err(PipelineError::WouldReplace { path: out.to_path_buf() });
        }
        taken.push(there);
    }
    Ok(())
}

/// The folder that a file lies in.
pub(crate) fn folder(file: &Path) -> &Path {
    file.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_take_nobodys_place() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        fs::write(at("scan.nii"), "").unwrap();
        fs::create_dir(at("folder.nii")).unwrap();
        let check = |outs: &[&str], inputs: &[&str]| {
            let [outs, inputs] = [outs, inputs].map(|names| names.iter().map(|n| at(n)).collect::<Vec<_>>());
            let outs: Vec<&Path> = outs.iter().map(PathBuf::as_path).collect();
            let inputs: Vec<&Path> = inputs.iter().map(PathBuf::as_path).collect();
            check_files(&outs, &inputs)
        };
        let replaces = |outs: &[&str]| matches!(check(outs, &["scan.nii"]), Err(PipelineError::WouldReplace { .. }));
        assert!(check(&["a.nii", "b.nii"], &["scan.nii"]).is_ok());
        assert!(replaces(&["scan.nii"]) && replaces(&["folder.nii/../scan.nii"]) && replaces(&["a.nii", "./a.nii"]));
        #[cfg(unix)]
        {
            std::os::unix::fs::symlink(at("scan.nii"), at("link.nii")).unwrap();
            assert!(replaces(&["link.nii"]));
        }
        for wrong in ["folder.nii", "absent/a.nii"] {
            assert!(matches!(check(&[wrong], &[]), Err(PipelineError::Io { .. })), "{wrong}");
        }
    }

    #[test]
    fn only_free_places_and_cases_are_taken() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        assert!(check(&at("absent")).is_ok());
        fs::create_dir(at("folder")).unwrap();
        assert!(check(&at("folder")).is_ok());
        fs::write(at("folder/thesis.txt"), "work").unwrap();
        assert!(matches!(check(&at("folder")), Err(CaseError::Occupied { .. })));
        assert!(matches!(check(&at("folder/thesis.txt")), Err(CaseError::NotAFolder { .. })));
        fs::write(at("folder/case.json"), r#"{"schema": "vestibule.case/1"}"#).unwrap();
        assert!(check(&at("folder")).is_ok());
        fs::write(at("folder/case.json"), r#"{"schema": "something/1"}"#).unwrap();
        assert!(matches!(check(&at("folder")), Err(CaseError::Occupied { .. })));
    }
}
