//! What can go wrong with a case.

use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;
use volume::{GeometryError, VolumeError};

/// A case could not be written or read.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum CaseError {
    /// The target holds something else.
    #[error("this folder is not empty and not a case; choose another, or empty it yourself: {}", path.display())]
    Occupied {
        /// The target.
        path: PathBuf,
    },
    /// The target is not a folder.
    #[error("a case is a folder, but this is a file or a broken link; choose another name: {}", path.display())]
    NotAFolder {
        /// The target.
        path: PathBuf,
    },
    /// The target names no folder.
    #[error("this path has no last name to write a case under; name a folder: {}", path.display())]
    NoName {
        /// The target.
        path: PathBuf,
    },
    /// There is no case at this path.
    #[error("no case here ({reason}); make one with `vestibule build SCAN --out CASE`: {}", path.display())]
    NotACase {
        /// What is missing.
        reason: String,
        /// Where it was looked for.
        path: PathBuf,
    },
    /// Written by another version.
    #[error("this case is of version `{found}` and this program reads `{expected}`; build it again from its scan")]
    Schema {
        /// What `case.json` says.
        found: String,
        /// [`SCHEMA`](crate::SCHEMA).
        expected: &'static str,
    },
    /// `case.json` is not what its schema says.
    #[error("case.json is damaged: {reason}; build the case again from its scan")]
    Manifest {
        /// Where and what.
        reason: String,
    },
    /// A file of the case is not there.
    #[error("the case lacks {file}; build it again from its scan")]
    MissingFile {
        /// Inside the case.
        file: String,
    },
    /// A file of the case is not the one that was written.
    #[error("{file} has changed since the case was written (SHA-256 {found}, expected {expected}); build it again")]
    Checksum {
        /// Inside the case.
        file: String,
        /// In the manifest.
        expected: String,
        /// Of the file.
        found: String,
    },
    /// A volume lies on another grid than the manifest says.
    #[error("{file} lies on another grid than case.json says; build the case again")]
    Grid {
        /// Inside the case.
        file: &'static str,
    },
    /// An alias nobody could read.
    #[error("an alias has 1 to {max} characters and no control characters; found {found}")]
    Alias {
        /// The longest allowed.
        max: usize,
        /// How many characters it has.
        found: usize,
    },
    /// Scan and labels do not belong together.
    #[error("scan and labels lie on different grids; resample the labels first")]
    GridsDiffer,
    /// `anatomy.glb` could not be made or read.
    #[error("anatomy.glb: {0}")]
    Glb(#[from] GlbError),
    /// A volume could not be written or read.
    #[error("{file}: {source}")]
    Nifti {
        /// Inside the case.
        file: &'static str,
        /// What the reader or writer says.
        source: Box<volume::nifti::NiftiError>,
    },
    /// Numbers that make no grid.
    #[error(transparent)]
    Geometry(#[from] GeometryError),
    /// Voxels that do not fill their grid.
    #[error(transparent)]
    Volume(#[from] VolumeError),
    /// A picture of the report could not be encoded.
    #[error("a picture of the report could not be encoded: {0}")]
    Picture(#[from] png::EncodingError),
    /// The manifest could not be put into words.
    #[error("case.json could not be written: {0}")]
    Json(#[from] serde_json::Error),
    /// The disk.
    #[error("could not {action}: {source}: {}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// Why it failed.
        source: io::Error,
        /// On what.
        path: PathBuf,
    },
}

/// A GLB could not be made or read.
#[derive(Clone, Debug, Error, PartialEq)]
#[non_exhaustive]
pub enum GlbError {
    /// More than the format can hold.
    #[error("the surfaces take {bytes} bytes and a GLB holds 4 GiB; build with coarser surfaces")]
    TooLarge {
        /// That would be needed.
        bytes: u64,
    },
    /// A mesh that is not one.
    #[error("surface `{segment}`, LOD {lod}: {reason}")]
    Mesh {
        /// The segment's name.
        segment: String,
        /// Level of detail.
        lod: usize,
        /// What is wrong.
        reason: &'static str,
    },
    /// The container is broken.
    #[error("not a GLB 2.0: {reason}")]
    Container {
        /// What was expected.
        reason: &'static str,
    },
    /// The JSON chunk is not glTF.
    #[error("not glTF: {reason}")]
    Json {
        /// Where and what.
        reason: String,
    },
    /// A reference leads nowhere, or data lies outside the file.
    #[error("{what} {index} {reason}")]
    Reference {
        /// Kind of object.
        what: &'static str,
        /// Its number.
        index: usize,
        /// What is wrong with it.
        reason: &'static str,
    },
}

impl CaseError {
    /// For `map_err`: what was tried, on what.
    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { action, source, path: path.to_owned() }
    }
}
