//! What can go wrong between a grid and its surfaces.

use thiserror::Error;

/// A surface that cannot be made.
#[derive(Clone, Debug, Error, PartialEq)]
#[non_exhaustive]
pub enum SurfaceError {
    /// Cells are numbered in 16 bits on each axis.
    #[error("a grid may have at most {limit} voxels on an axis; found {size:?}; crop or resample it")]
    GridTooLarge {
        /// The most voxels an axis may have.
        limit: usize,
        /// Columns, rows, slices.
        size: [usize; 3],
    },
    /// Vertices are numbered in 32 bits.
    #[error("the surfaces need {vertices} vertices, more than {limit}; smooth the labels or crop the grid")]
    TooManyVertices {
        /// The most vertices there may be.
        limit: usize,
        /// What the grid would need.
        vertices: usize,
    },
    /// An option is out of its range.
    #[error("option {name} must be {expected}; found {found}")]
    Option {
        /// The option's name.
        name: &'static str,
        /// Its range.
        expected: &'static str,
        /// The value given.
        found: f64,
    },
    /// The scalar field has a value that is not a number.
    #[error("the field must be finite for an isosurface; voxel {offset} is not; mask or replace such voxels")]
    NotFinite {
        /// Position in the data.
        offset: usize,
    },
    /// A vertex has a coordinate that is not a number.
    #[error("positions of a mesh must be finite; vertex {vertex} is not")]
    Position {
        /// Which vertex.
        vertex: usize,
    },
    /// A triangle refers to a vertex that does not exist.
    #[error("triangle indices must be below the vertex count {vertices}; found {index}")]
    Index {
        /// Number of vertices.
        vertices: usize,
        /// The largest index found.
        index: usize,
    },
}
