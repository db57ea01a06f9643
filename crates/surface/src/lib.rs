//! Surfaces from labels and fields, smoothed within bounds, decimated, with measured error.

mod assemble;
mod axes;
mod decimate;
mod decimation;
mod distance;
mod error;
mod fidelity;
mod gauge;
mod isosurface;
mod lod;
mod mend;
mod mesh;
mod nets;
mod normals;
mod patches;
mod surfaces;
mod volumes;

pub use decimation::{DecimateOptions, Decimation, decimate};
pub use error::SurfaceError;
pub use gauge::hausdorff_mm;
pub use isosurface::{IsosurfaceOptions, isosurface};
pub use mesh::{Mesh, Topology};
pub use nets::{LabelSurface, LabelVoxel, Smoothing, label_surface};
pub use surfaces::{Fidelity, SegmentSurface, SurfaceLod, SurfaceOptions, surfaces_of_labels};
