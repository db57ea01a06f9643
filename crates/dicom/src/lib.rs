//! DICOM to volume and label map, and back; patient identity stops here.
//!
//! [`inspect`] takes stock of a folder, a file or a zip from its headers; [`read_series`] makes a volume of one stack of
//! slices, [`read_segmentation`] a label map of a DICOM SEG. Nothing that is returned holds a name, an ID, a birth date or
//! an accession number; [`SeriesSummary::uid`] is there to choose by. Headers are read in place and checked against the
//! bytes that are there ([`inspect`] allocates nothing that a file only claims to hold).
//!
//! [`write_ct_series`], [`write_mr_series`], [`write_pet_series`] and [`write_segmentation`] write what the phantom makes up.

mod codec;
mod dataset;
mod enhanced;
mod error;
mod fragments;
mod grouping;
mod identity;
mod instance;
mod inventory;
mod part10;
mod pixels;
mod planes;
mod regrid;
mod report;
mod segmentation;
mod series;
mod source;
mod writer;

pub use error::DicomError;
pub use identity::IdentityGuard;
pub use inventory::{Inventory, SeriesSummary, SkipReason, SkippedFile, inspect, inspect_memory};
pub use report::{Finding, Modality, Obstacle, SeriesReport, SplitBy};
pub use segmentation::{SegmentSummary, SegmentationSummary, read_segmentation, write_segmentation};
pub use series::{Scan, read_series};
pub use writer::{
    CtOptions, InventedPatient, MrOptions, PetOptions, RADIONUCLIDE_HALF_LIFE_S, SeriesOptions, SeriesReference,
    write_ct_series, write_mr_series, write_pet_series,
};
