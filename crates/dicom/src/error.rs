//! Why DICOM could not be read or written.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

use crate::report::Obstacle;

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
    /// A folder without files.
    #[error("there are no files; give a folder with DICOM files, one file, or a zip: {}", path.display())]
    Empty {
        /// Where.
        path: PathBuf,
    },
    /// Files, but none of them DICOM.
    #[error("none of {files} file(s) is DICOM; give the folder that the scanner or archive exported: {}", path.display())]
    NotDicom {
        /// How many were looked at.
        files: usize,
        /// Where.
        path: PathBuf,
    },
    /// DICOM files, but no images.
    #[error(
        "none of {files} file(s) holds an image that can be read; {}: {reason}: {}", example.display(), path.display()
    )]
    NoImages {
        /// How many were looked at.
        files: usize,
        /// One of them.
        example: PathBuf,
        /// What is wrong with it.
        reason: String,
        /// Where.
        path: PathBuf,
    },
    /// A zip that cannot be read.
    #[error("cannot read the zip: {reason}; unpack it and give the folder: {}", path.display())]
    Zip {
        /// What is wrong.
        reason: String,
        /// Where.
        path: PathBuf,
    },
    /// A choice that is not there.
    #[error("there is no series {selector}; there are: {}", known.join(", "))]
    NoSuchSeries {
        /// What was asked for.
        selector: String,
        /// What there is.
        known: Vec<String>,
    },
    /// A series that is no volume.
    #[error("not a volume: {obstacle}: {}", path.display())]
    NotAVolume {
        /// Why.
        obstacle: Obstacle,
        /// A file of the series.
        path: PathBuf,
    },
    /// Pixels that cannot be had.
    #[error("cannot read the pixels of frame {frame}: {reason}; copy or export the file again: {}", path.display())]
    Pixels {
        /// From 0.
        frame: usize,
        /// What is wrong.
        reason: String,
        /// Where.
        path: PathBuf,
    },
    /// A segmentation that cannot be read.
    #[error("cannot read the segmentation: {reason}: {}", path.display())]
    Segmentation {
        /// What is wrong.
        reason: String,
        /// Where.
        path: PathBuf,
    },
}
