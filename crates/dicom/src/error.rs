//! Why DICOM could not be read or written.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

/// Why DICOM could not be read or written; says what, where and what to do.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum DicomError {
    /// A file or folder cannot be read.
    #[error("cannot read {}: {source}; check that it exists and that you may read it", path.display())]
    Read {
        /// What the system says.
        source: io::Error,
        /// Where.
        path: PathBuf,
    },
    /// A file or folder cannot be written.
    #[error("cannot write {}: {source}; check the free space and that you may write there", path.display())]
    Write {
        /// What the system says.
        source: io::Error,
        /// Where.
        path: PathBuf,
    },
    /// A data set cannot be put into bytes.
    #[error("cannot encode {} as DICOM: {reason}", path.display())]
    Encode {
        /// What the encoder says.
        reason: String,
        /// Where.
        path: PathBuf,
    },
    /// More than DICOM can hold.
    #[error("{what} of {size:?} is larger than DICOM allows: {}", path.display())]
    TooLarge {
        /// What is too large.
        what: &'static str,
        /// Columns, rows, slices.
        size: [usize; 3],
        /// Where.
        path: PathBuf,
    },
    /// A label map that does not lie on the grid of the series it is to refer to.
    #[error(
        "the label map of {found:?} does not lie on the series' grid of {expected:?}; resample it first: {}",
        path.display()
    )]
    GridMismatch {
        /// Columns, rows, slices of the series.
        expected: [usize; 3],
        /// Columns, rows, slices of the label map.
        found: [usize; 3],
        /// Where it was to be written.
        path: PathBuf,
    },
    /// A segmentation without a voxel.
    #[error("the label map has no labelled voxel, so there is nothing to write: {}", path.display())]
    EmptySegmentation {
        /// Where it was to be written.
        path: PathBuf,
    },
}
