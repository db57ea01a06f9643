//! DICOM to volume and label map, and back; patient identity stops here.

mod error;
mod segmentation;
mod writer;

pub use error::DicomError;
pub use segmentation::write_segmentation;
pub use writer::{CtOptions, InventedPatient, SeriesReference, write_ct_series};
