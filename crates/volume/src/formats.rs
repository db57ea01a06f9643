//! Scans and label maps in whatever format a file has.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::geometry::ImageGeometry;
use crate::grid::ScanVolume;
use crate::label_map::{Label, LabelMap};
use crate::nifti::{self, NiftiError};
use crate::nrrd::{self, NrrdError};
use crate::{gzip, terminology};

/// The formats that hold a volume in one file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// NIfTI-1, packed or not.
    Nifti,
    /// NRRD, attached or detached.
    Nrrd,
}

/// A file that cannot be read or written.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum FormatError {
    /// The file system refuses.
    #[error("cannot access file: {source}: {}", path.display())]
    Io {
        /// Why.
        source: io::Error,
        /// The file.
        path: PathBuf,
    },
    /// Neither its content nor its name says what it is.
    #[error("expected NIfTI (.nii, .nii.gz) or NRRD (.nrrd, .nhdr): {}", path.display())]
    Unknown {
        /// The file.
        path: PathBuf,
    },
    /// NIfTI.
    #[error(transparent)]
    Nifti(#[from] NiftiError),
    /// NRRD.
    #[error(transparent)]
    Nrrd(#[from] NrrdError),
}

/// What a header says, without the voxels.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Summary {
    /// The file's format.
    pub format: Format,
    /// Where the voxels lie.
    pub geometry: ImageGeometry,
    /// False if the file does not say how the patient lies in it: left and right are then a guess, laid along LPS as ITK does.
    pub oriented: bool,
}

/// The format of a file by its content; `None` if it is neither.
///
/// # Errors
/// [`FormatError::Io`].
pub fn detect(path: &Path) -> Result<Option<Format>, FormatError> {
    let io_error = |source| FormatError::Io { source, path: path.to_owned() };
    let mut head = Vec::new();
    File::open(path).and_then(|f| f.take(1 << 16).read_to_end(&mut head)).map_err(io_error)?;
    if gzip::is_gzip(&head) {
        head = gzip::read_some(&head, 348).unwrap_or_default();
    }
    // NIfTI-2 and two-file NIfTI count as NIfTI, so that their own errors say what to do.
    let nifti = matches!(head.get(..4), Some([92, 1, 0, 0] | [0, 0, 1, 92] | [28, 2, 0, 0] | [0, 0, 2, 28]));
    Ok(if head.starts_with(b"NRRD000") {
        Some(Format::Nrrd)
    } else if nifti {
        Some(Format::Nifti)
    } else {
        None
    })
}

/// Reads the header only.
///
/// # Errors
/// [`FormatError`] with the path.
pub fn inspect(path: &Path) -> Result<Summary, FormatError> {
    match content_or_name(path)? {
        Format::Nifti => {
            let nifti::Summary { geometry, oriented } = nifti::inspect(path)?;
            Ok(Summary { format: Format::Nifti, geometry, oriented })
        }
        Format::Nrrd => {
            let nrrd::Summary { geometry, oriented } = nrrd::inspect(path)?;
            Ok(Summary { format: Format::Nrrd, geometry, oriented })
        }
    }
}

/// Reads a scan.
///
/// # Errors
/// [`FormatError`] with the path.
pub fn read_scan(path: &Path) -> Result<ScanVolume, FormatError> {
    Ok(match content_or_name(path)? {
        Format::Nifti => nifti::read_scan(path)?,
        Format::Nrrd => nrrd::read_scan(path)?,
    })
}

/// Reads a label map; where the file names no segments, a JSON file of the same name beside it may: `{"5": "liver", …}`.
///
/// # Errors
/// [`FormatError`] with the path.
pub fn read_labels(path: &Path) -> Result<LabelMap, FormatError> {
    let mut map = match content_or_name(path)? {
        Format::Nifti => nifti::read_labels(path)?,
        Format::Nrrd => nrrd::read_labels(path)?,
    };
    if map.segments.is_empty() {
        let names = names_beside(path).unwrap_or_default();
        map.segments = names.into_iter().map(|(label, name)| (label, terminology::segment(label, &name))).collect();
    }
    Ok(map)
}

/// Writes a scan in the format that the path's ending names.
///
/// # Errors
/// [`FormatError`] with the path.
pub fn write_scan(scan: &ScanVolume, path: &Path) -> Result<(), FormatError> {
    match by_name(path)? {
        Format::Nifti => nifti::write_scan(scan, path)?,
        Format::Nrrd => nrrd::write_scan(scan, path)?,
    }
    Ok(())
}

/// Writes a label map in the format that the path's ending names.
///
/// # Errors
/// [`FormatError`] with the path.
pub fn write_labels(map: &LabelMap, path: &Path) -> Result<(), FormatError> {
    match by_name(path)? {
        Format::Nifti => nifti::write_labels(map, path)?,
        Format::Nrrd => nrrd::write_labels(map, path)?,
    }
    Ok(())
}

fn content_or_name(path: &Path) -> Result<Format, FormatError> {
    detect(path)?.map_or_else(|| by_name(path), Ok)
}

fn by_name(path: &Path) -> Result<Format, FormatError> {
    let name = path.file_name().map(|n| n.to_string_lossy().to_ascii_lowercase()).unwrap_or_default();
    if name.ends_with(".nii") || name.ends_with(".nii.gz") {
        Ok(Format::Nifti)
    } else if name.ends_with(".nrrd") || name.ends_with(".nhdr") {
        Ok(Format::Nrrd)
    } else {
        Err(FormatError::Unknown { path: path.to_owned() })
    }
}

/// Names by label from `NAME.json` beside `NAME.nii.gz`; none if there is no such file or it says something else.
fn names_beside(path: &Path) -> Option<BTreeMap<Label, String>> {
    let name = path.file_name()?.to_str()?;
    let stem = [".nii.gz", ".nii", ".seg.nrrd", ".nrrd", ".nhdr"].iter().find_map(|e| name.strip_suffix(e))?;
    let names: BTreeMap<String, String> =
        serde_json::from_slice(&fs::read(path.with_file_name(format!("{stem}.json"))).ok()?).ok()?;
    Some(names.into_iter().filter_map(|(k, v)| Some((k.parse().ok().filter(|&l| l > 0)?, v))).collect())
}

#[cfg(test)]
mod tests {
    use glam::DMat3;
    use space::Point;

    use super::*;
    use crate::Volume;

    fn labels() -> LabelMap {
        let geometry = ImageGeometry::new([2, 2, 2], [1.0; 3], Point::ZERO, DMat3::IDENTITY).unwrap();
        let voxels = Volume::new(geometry, vec![0, 1, 2, 3, 0, 0, 0, 3]).unwrap();
        LabelMap { voxels, segments: BTreeMap::new() }
    }

    #[test]
    fn content_decides_and_ending_helps() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["a.nii", "a.nii.gz", "a.nrrd", "a.nhdr", "a.seg.nrrd"] {
            let path = dir.path().join(name);
            write_labels(&labels(), &path).unwrap();
            assert_eq!(read_labels(&path).unwrap(), labels(), "{name}");
            assert_eq!(inspect(&path).unwrap().geometry, *labels().geometry(), "{name}");
        }
        let renamed = dir.path().join("renamed.bin");
        fs::copy(dir.path().join("a.nrrd"), &renamed).unwrap();
        assert_eq!(detect(&renamed).unwrap(), Some(Format::Nrrd));
        assert_eq!(read_labels(&renamed).unwrap(), labels());
        let text = dir.path().join("notes.txt");
        fs::write(&text, "no image").unwrap();
        assert!(matches!(read_scan(&text), Err(FormatError::Unknown { .. })));
        assert!(matches!(read_scan(&dir.path().join("absent")), Err(FormatError::Io { .. })));
        assert!(matches!(write_labels(&labels(), &dir.path().join("a.png")), Err(FormatError::Unknown { .. })));
    }

    #[test]
    fn names_come_from_the_file_beside() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("case.nii.gz");
        write_labels(&labels(), &path).unwrap();
        fs::write(dir.path().join("case.json"), r#"{"0": "background", "1": "liver", "2": "kidney_left"}"#).unwrap();
        let names: Vec<_> = read_labels(&path).unwrap().segments.into_values().map(|s| s.name).collect();
        assert_eq!(names, ["liver", "kidney_left"]);
        fs::write(dir.path().join("case.json"), "[1, 2]").unwrap();
        assert!(read_labels(&path).unwrap().segments.is_empty());
    }
}
