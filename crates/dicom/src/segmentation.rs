//! DICOM SEG (PS3.3 A.51) ↔ label map.

mod color;
mod write;

pub use write::write_segmentation;
