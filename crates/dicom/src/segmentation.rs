//! DICOM SEG (PS3.3 A.51) ↔ label map.

mod color;
mod overlap;
mod place;
mod read;
mod segments;
mod write;

pub use read::read_segmentation;
pub use segments::{SegmentSummary, SegmentationSummary};
pub use write::write_segmentation;

pub(crate) use read::{SegmentationFile, segmentation_file};
