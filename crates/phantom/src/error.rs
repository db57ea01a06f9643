//! Why a phantom could not be made.

use std::path::PathBuf;

use thiserror::Error;
use volume::{GeometryError, VolumeError};

/// Why a phantom could not be made.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum PhantomError {
    /// The spacing asked for makes no grid.
    #[error("no grid for this spacing: {0}")]
    Grid(#[from] GeometryError),
    /// Voxels and grid disagree.
    #[error("voxels do not fit the grid: {0}")]
    Voxels(#[from] VolumeError),
    /// Series or segmentation cannot be written.
    #[error(transparent)]
    Dicom(#[from] dicom::DicomError),
    /// The folder already holds something else, which DICOM files would be mixed into.
    #[error("--out must be empty or absent, so that the series stays alone: {}", path.display())]
    NotEmpty {
        /// The folder.
        path: PathBuf,
    },
}
