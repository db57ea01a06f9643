//! The grid that a network sees, laid over a scan's own.

use glam::DMat3;
use space::{AxisCode, Point};
use volume::{GeometryError, ImageGeometry};

/// Spacings that differ by less than this part are the same.
const TOLERANCE: f64 = 1e-3;

/// The grid over the same voxels whose axes lead where `axes` says, `spacing_mm` apart.
///
/// Oblique grids stay as oblique as they are. If the spacing is the same, every voxel is one of `own`.
///
/// # Errors
/// [`GeometryError`] for a spacing that no grid can have.
pub fn canonical(own: &ImageGeometry, axes: AxisCode, spacing_mm: [f64; 3]) -> Result<ImageGeometry, GeometryError> {
    let code = own.axis_code();
    let (size, spacing) = (own.size(), own.spacing());
    let mut picked = [0; 3];
    let mut start = [0.0; 3];
    let mut columns = [own.direction().x_axis; 3];
    for (axis, wanted) in axes.0.iter().enumerate() {
        let same = |s: &usize| wanted.lps().get().dot(code.0[*s].lps().get()).abs() > 0.5;
        let source = (0..3).find(same).unwrap_or(axis);
        picked[axis] = source;
        columns[axis] = own.direction().col(source);
        if code.0[source] != *wanted {
            columns[axis] = -columns[axis];
            start[source] = (size[source] - 1) as f64;
        }
    }
    let mut origin = (own.lps_from_index() * Point::from_array(start)).get();
    let (mut new_size, mut new_spacing) = ([0; 3], [0.0; 3]);
    for axis in 0..3 {
        let (count, distance) = (size[picked[axis]], spacing[picked[axis]]);
        if (spacing_mm[axis] / distance - 1.0).abs() < TOLERANCE {
            (new_size[axis], new_spacing[axis]) = (count, distance);
            continue;
        }
        let extent = count as f64 * distance;
        new_spacing[axis] = spacing_mm[axis];
        new_size[axis] = ((extent / spacing_mm[axis]).round() as usize).max(1);
        // The middles coincide.
        let reach = new_size[axis] as f64 * spacing_mm[axis];
        origin += columns[axis] * ((extent - reach) / 2.0 + (spacing_mm[axis] - distance) / 2.0);
    }
    let [x, y, z] = columns;
    ImageGeometry::new(new_size, new_spacing, Point::from_array(origin.to_array()), DMat3::from_cols(x, y, z))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own() -> ImageGeometry {
        let direction = DMat3::from_rotation_z(0.1) * "PSR".parse::<AxisCode>().unwrap().direction();
        ImageGeometry::new([10, 20, 30], [1.0, 2.0, 0.5], Point::new(3.0, -4.0, 50.0), direction).unwrap()
    }

    #[test]
    fn every_voxel_is_one_of_the_scan() {
        let axes: AxisCode = "RAS".parse().unwrap();
        let grid = canonical(&own(), axes, [0.5, 1.0, 2.0]).unwrap();
        assert_eq!(grid.size(), [30, 10, 20]);
        assert_eq!(grid.axis_code(), axes);
        let to_own = own().index_from_lps();
        for voxel in [[0, 0, 0], [29, 9, 19], [3, 4, 5]] {
            let at = to_own * (grid.lps_from_index() * Point::from_array(voxel.map(f64::from)));
            let [p, s, r] = at.get().to_array();
            // Posterior runs against anterior.
            let expected = [9.0 - f64::from(voxel[1]), f64::from(voxel[2]), f64::from(voxel[0])];
            for (found, expected) in [p, s, r].iter().zip(expected) {
                assert!((found - expected).abs() < 1e-9, "{voxel:?}: {at:?}");
            }
        }
    }

    #[test]
    fn another_spacing_keeps_the_middle() {
        let axes: AxisCode = "LPS".parse().unwrap();
        let grid = canonical(&own(), axes, [1.0, 1.0, 1.0]).unwrap();
        assert_eq!(grid.size(), [15, 10, 40]);
        let middle =
            |g: &ImageGeometry| g.lps_from_index() * Point::from_array(g.size().map(|n| (n as f64 - 1.0) / 2.0));
        assert!(middle(&grid).distance(middle(&own())) < 1e-9);
    }
}
