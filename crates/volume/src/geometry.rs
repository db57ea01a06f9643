//! Where a grid of voxels lies in the patient.

use glam::{DMat3, DVec3};
use serde::{Deserialize, Serialize};
use space::{Affine, AxisCode, Index, Lps, Point};
use thiserror::Error;

/// ITK's image geometry: the size of a grid and the map from its indices to the patient.
///
/// ```
/// use glam::DMat3;
/// use space::Point;
/// use volume::ImageGeometry;
/// let g = ImageGeometry::new([512, 512, 64], [0.8, 0.8, 5.0], Point::new(-200.0, -180.0, 30.0), DMat3::IDENTITY)?;
/// assert_eq!(g.lps_from_index() * Point::new(1.0, 0.0, 2.0), Point::new(-199.2, -180.0, 40.0));
/// # Ok::<(), volume::GeometryError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct ImageGeometry {
    size: [usize; 3],
    spacing: [f64; 3],
    origin: Point<Lps>,
    direction: DMat3,
}

/// A grid that cannot exist.
#[derive(Clone, Debug, Error, PartialEq)]
#[non_exhaustive]
pub enum GeometryError {
    /// An axis has no voxels, or the voxel count overflows.
    #[error("grid size must be at least 1 on each axis and fit in memory; found {size:?}")]
    Size {
        /// Columns, rows, slices.
        size: [usize; 3],
    },
    /// A spacing is not a positive number.
    #[error("voxel spacing must be positive and finite on each axis; found {spacing_mm:?} mm")]
    Spacing {
        /// Along columns, rows, slices.
        spacing_mm: [f64; 3],
    },
    /// The origin has a coordinate that is not finite.
    #[error("origin must be finite; found {origin_mm:?} mm")]
    Origin {
        /// LPS.
        origin_mm: [f64; 3],
    },
    /// The axes do not span space, or are not of unit length.
    #[error("direction must have unit, independent axes; found determinant {determinant:.6}")]
    Direction {
        /// Of the direction matrix.
        determinant: f64,
    },
}

impl ImageGeometry {
    /// A grid of `size` voxels `spacing` mm apart; `origin` is the centre of voxel (0, 0, 0); the columns of
    /// `direction` are the unit vectors of increasing column, row and slice index in LPS.
    ///
    /// # Errors
    /// [`GeometryError`] for an empty axis, a spacing that is not positive, or a direction that is not regular.
    pub fn new(
        size: [usize; 3],
        spacing: [f64; 3],
        origin: Point<Lps>,
        direction: DMat3,
    ) -> Result<Self, GeometryError> {
        let count = size.iter().try_fold(1usize, |n, &s| n.checked_mul(s));
        if !matches!(count, Some(n) if n > 0 && n <= isize::MAX as usize / 16) {
            return Err(GeometryError::Size { size });
        }
        if !spacing.iter().all(|s| s.is_finite() && *s > 0.0) {
            return Err(GeometryError::Spacing { spacing_mm: spacing });
        }
        if !origin.get().is_finite() {
            return Err(GeometryError::Origin { origin_mm: origin.get().to_array() });
        }
        let determinant = direction.determinant();
        let unit =
            [direction.x_axis, direction.y_axis, direction.z_axis].iter().all(|a| (a.length() - 1.0).abs() < 1e-3);
        if !(determinant.abs() > 0.1 && unit) {
            return Err(GeometryError::Direction { determinant });
        }
        Ok(Self { size, spacing, origin, direction })
    }

    /// Columns, rows, slices.
    pub const fn size(&self) -> [usize; 3] {
        self.size
    }

    /// Millimetres between voxel centres along columns, rows, slices.
    pub const fn spacing(&self) -> [f64; 3] {
        self.spacing
    }

    /// Centre of voxel (0, 0, 0).
    pub const fn origin(&self) -> Point<Lps> {
        self.origin
    }

    /// Unit vectors of increasing column, row and slice index, as matrix columns.
    pub const fn direction(&self) -> DMat3 {
        self.direction
    }

    /// Number of voxels.
    pub const fn voxel_count(&self) -> usize {
        self.size[0] * self.size[1] * self.size[2]
    }

    /// Volume of one voxel in mm³.
    pub fn voxel_volume_mm3(&self) -> f64 {
        self.spacing.iter().product::<f64>() * self.direction.determinant().abs()
    }

    /// The longest of the three spacings, in mm.
    pub fn max_spacing_mm(&self) -> f64 {
        self.spacing.into_iter().fold(0.0, f64::max)
    }

    /// The map from voxel index to patient millimetres.
    pub fn lps_from_index(&self) -> Affine<Lps, Index> {
        Affine::new(self.direction * DMat3::from_diagonal(DVec3::from_array(self.spacing)), self.origin.get())
    }

    /// The map from patient millimetres to voxel index.
    pub fn index_from_lps(&self) -> Affine<Index, Lps> {
        let linear = DMat3::from_diagonal(DVec3::from_array(self.spacing).recip()) * self.direction.inverse();
        Affine::new(linear, -(linear * self.origin.get()))
    }

    /// Where the axes point, to the nearest direction of the body.
    pub fn axis_code(&self) -> AxisCode {
        AxisCode::of(self.direction)
    }

    /// Position of a voxel in the data: `i + size_i · (j + size_j · k)`.
    pub const fn offset(&self, i: usize, j: usize, k: usize) -> usize {
        i + self.size[0] * (j + self.size[1] * k)
    }

    /// True if both grids have the same voxels: equal size, and corners within `tolerance_mm`.
    pub fn is_same_grid(&self, other: &Self, tolerance_mm: f64) -> bool {
        let [i, j, k] = self.size.map(|s| (s - 1) as f64);
        let corners = [[0.0, 0.0, 0.0], [i, 0.0, 0.0], [0.0, j, 0.0], [0.0, 0.0, k]].map(Point::from_array);
        let (a, b) = (self.lps_from_index(), other.lps_from_index());
        self.size == other.size && corners.into_iter().all(|c| (a * c).distance(b * c) <= tolerance_mm)
    }

    /// The grid of the voxels `start[a] .. start[a] + size[a]` of this one; `start` may be negative.
    ///
    /// # Errors
    /// [`GeometryError::Size`] if `size` has a zero.
    pub fn cropped(&self, start: [isize; 3], size: [usize; 3]) -> Result<Self, GeometryError> {
        let origin = self.lps_from_index() * Point::from_array(start.map(|s| s as f64));
        Self::new(size, self.spacing, origin, self.direction)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn oblique() -> ImageGeometry {
        let direction = DMat3::from_rotation_x(0.3) * DMat3::from_rotation_z(-1.1);
        ImageGeometry::new([10, 20, 30], [0.5, 0.7, 2.0], Point::new(-10.0, 5.0, 900.0), direction).unwrap()
    }

    proptest! {
        #[test]
        fn index_to_lps_and_back(i in -50.0..50.0f64, j in -50.0..50.0f64, k in -50.0..50.0f64) {
            let p = Point::new(i, j, k);
            let back = oblique().index_from_lps() * (oblique().lps_from_index() * p);
            prop_assert!(back.distance(p) < 1e-9);
        }
    }

    #[test]
    fn impossible_grids_are_refused() {
        let new = |size, spacing, direction| ImageGeometry::new(size, spacing, Point::ZERO, direction);
        assert!(matches!(new([0, 1, 1], [1.0; 3], DMat3::IDENTITY), Err(GeometryError::Size { .. })));
        assert!(matches!(new([usize::MAX, 2, 1], [1.0; 3], DMat3::IDENTITY), Err(GeometryError::Size { .. })));
        assert!(matches!(new([1; 3], [1.0, 0.0, 1.0], DMat3::IDENTITY), Err(GeometryError::Spacing { .. })));
        assert!(matches!(new([1; 3], [1.0, f64::NAN, 1.0], DMat3::IDENTITY), Err(GeometryError::Spacing { .. })));
        assert!(matches!(new([1; 3], [1.0; 3], DMat3::ZERO), Err(GeometryError::Direction { .. })));
    }

    #[test]
    fn crop_keeps_voxels_in_place() {
        let g = oblique();
        let c = g.cropped([2, -1, 4], [3, 3, 3]).unwrap();
        let same = (c.lps_from_index() * Point::ZERO).distance(g.lps_from_index() * Point::new(2.0, -1.0, 4.0));
        assert!(same < 1e-12);
    }
}
