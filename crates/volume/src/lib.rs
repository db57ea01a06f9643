//! Grids of voxels in the patient's frame: volumes, label maps, and what is done to them without knowing any modality.
//!
//! Voxels are stored with the column index `i` fastest, then row `j`, then slice `k`; geometry is LPS millimetres.

pub mod components;
pub mod distance;
pub mod formats;
mod geometry;
mod grid;
pub mod gzip;
mod label_map;
mod lines;
pub mod morphology;
pub mod nifti;
pub mod nrrd;
pub mod overlap;
mod raw;
pub mod resample;
pub mod terminology;

pub use geometry::{GeometryError, ImageGeometry};
pub use grid::{ScanVolume, Volume, VolumeError, Voxel};
pub use label_map::{BACKGROUND, Code, Label, LabelMap, Segment};
