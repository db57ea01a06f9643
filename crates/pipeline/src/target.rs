//! Whether a case may be written to a place, known before the long work.

use std::fs;
use std::io;
use std::path::Path;

use case::CaseError;

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

#[cfg(test)]
mod tests {
    use super::*;

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
