//! Surfaces from labels and fields, smoothed within bounds, decimated, with measured error.

mod error;
mod mesh;
mod nets;

pub use error::SurfaceError;
pub use mesh::{Mesh, Topology};
pub use nets::{LabelSurface, LabelVoxel, Smoothing, label_surface};
