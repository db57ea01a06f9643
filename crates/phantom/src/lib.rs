//! A digital patient: procedural anatomy with exact truth, written as real DICOM.
//!
//! [`body`](fn@body) makes labels and Hounsfield units of a torso from the base of the neck to the upper thigh,
//! [`write_phantom`] a CT series and a segmentation of it. Every shape is a smooth implicit solid made from published
//! measurements (`docs/phantom.md`); no one's data is in it.
//!
//! ```
//! use phantom::PhantomOptions;
//! let coarse = PhantomOptions { spacing_mm: [8.0, 8.0, 10.0], ..Default::default() };
//! let patient = phantom::body(&coarse, &|_| ())?;
//! assert!(patient.labels.segments.values().any(|s| s.name == "liver_lesion"));
//! # Ok::<(), phantom::PhantomError>(())
//! ```

pub mod body;
mod crumbs;
mod error;
pub mod findings;
pub mod imaging;
mod noise;
pub mod options;
mod phase;
mod raster;
mod scan;
pub mod sdf;
mod spline;
mod tissue;
mod variants;
mod write;

pub use body::Motion;
pub use error::PhantomError;
pub use findings::{Finding, FindingKind};
pub use imaging::{CtSettings, Imaging, Implant, Kernel, Misregistration, Modality, MrSettings, PetSettings};
pub use options::{PhantomOptions, Physique, Sex, Variation};
pub use phase::Phase;
pub use scan::{Body, Image, body, image};
pub use tissue::Tissue;
pub use variants::Variant;
pub use write::{ImageSummary, PhantomSummary, write_phantom};
