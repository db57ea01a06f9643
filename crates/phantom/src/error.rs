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
    /// No body of ours can be like that.
    #[error("{what} must be from {} to {} {unit}, not {found:.1}", range[0], range[1])]
    Person {
        /// Age, height, …
        what: &'static str,
        /// The unit of `found`.
        unit: &'static str,
        /// What was asked for.
        found: f32,
        /// Least and greatest.
        range: [f32; 2],
    },
    /// No scanner of ours does that.
    #[error("{what} must be from {} to {} {unit}, not {found}; choose a value in that range", range[0], range[1])]
    Setting {
        /// Dose, tilt, …
        what: &'static str,
        /// The unit of `found`.
        unit: &'static str,
        /// What was asked for.
        found: f64,
        /// Least and greatest.
        range: [f64; 2],
    },
    /// Nothing to make.
    #[error("no kind of image was asked for; name at least one of ct, mr-t1, mr-t2, pet")]
    NoModality,
    /// Nothing to move.
    #[error(
        "--misregistered moves all images but the first, and there is only one; add another to --modality, as in ct,mr-t2"
    )]
    NothingToMove,
    /// The body has no room for a finding.
    #[error("no place for {finding} in this body; try a smaller one or another seed")]
    Finding {
        /// What was asked for.
        finding: String,
    },
    /// A file beside the series cannot be written.
    #[error("cannot write {}: {source}; check the free space and that you may write there", path.display())]
    Write {
        /// What the system says.
        source: std::io::Error,
        /// Where.
        path: PathBuf,
    },
    /// The folder already holds something else, which DICOM files would be mixed into.
    #[error("--out must be empty or absent, so that the series stays alone: {}", path.display())]
    NotEmpty {
        /// The folder.
        path: PathBuf,
    },
}
