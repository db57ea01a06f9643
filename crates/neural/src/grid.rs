//! The grid that a network sees, laid over a scan's own.

use glam::DMat3;
use rayon::prelude::*;
use space::{AxisCode, Point};
use volume::{GeometryError, ImageGeometry, ScanVolume, Volume};

use crate::NeuralError;

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

/// A scan whose voxels are averaged in blocks of as many as fit into one of `target`, so that noise is not picked out point by
/// point; its own values where less than two fit. The last block may be smaller, and counts as a whole one.
///
/// # Errors
/// [`NeuralError::Geometry`] if a grid cannot be that coarse.
pub(crate) fn binned(scan: &ScanVolume, target: &ImageGeometry) -> Result<Volume<f32>, NeuralError> {
    let own = scan.geometry();
    let (size, spacing) = (own.size(), own.spacing());
    let mut blocks = [1; 3];
    for (axis, block) in blocks.iter_mut().enumerate() {
        let along = own.direction().col(axis);
        let same = |t: &usize| target.direction().col(*t).dot(along).abs() > 0.5;
        let ratio = (0..3).find(same).map_or(1.0, |t| target.spacing()[t] / spacing[axis]);
        *block = ((ratio + TOLERANCE).floor() as usize).clamp(1, size[axis]);
    }
    let count = [0, 1, 2].map(|a| size[a].div_ceil(blocks[a]));
    let middle = blocks.map(|n| (n as f64 - 1.0) / 2.0);
    let origin = own.lps_from_index() * Point::from_array(middle);
    let coarse = [0, 1, 2].map(|a| spacing[a] * blocks[a] as f64);
    let grid = ImageGeometry::new(count, coarse, origin, own.direction())?;
    let mut data = vec![0.0; count.iter().product()];
    data.par_chunks_mut(count[0]).enumerate().for_each(|(row, out)| {
        let range = |axis: usize, at: usize| at * blocks[axis]..((at + 1) * blocks[axis]).min(size[axis]);
        let (rows, slices) = (range(1, row % count[1]), range(2, row / count[1]));
        for (at, out) in out.iter_mut().enumerate() {
            let columns = range(0, at);
            let mut sum = 0.0;
            for k in slices.clone() {
                for j in rows.clone() {
                    let first = (k * size[1] + j) * size[0];
                    sum += columns.clone().map(|i| f64::from(scan.value(first + i))).sum::<f64>();
                }
            }
            *out = (sum / (columns.len() * rows.len() * slices.len()) as f64) as f32;
        }
    });
    Ok(Volume::new(grid, data)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_averaged_where_they_lie() {
        // Columns run to the back and rows up, a third and a half of the target's spacing.
        let direction = "PSR".parse::<AxisCode>().unwrap().direction();
        let own = ImageGeometry::new([7, 4, 2], [1.0, 1.5, 3.0], Point::new(1.0, 2.0, 3.0), direction).unwrap();
        let scan = Volume::from_fn(own, |[i, j, k]| i as f32 + 10.0 * j as f32 + 100.0 * k as f32);
        let target = canonical(&own, "RAS".parse().unwrap(), [3.0; 3]).unwrap();
        let coarse = binned(&ScanVolume::F32(scan), &target).unwrap();
        assert_eq!((coarse.geometry().size(), coarse.geometry().spacing()), ([3, 2, 2], [3.0; 3]));
        assert_eq!(coarse.data()[..6], [6.0, 9.0, 11.0, 26.0, 29.0, 31.0]);
        let first = coarse.geometry().origin().get() - own.origin().get();
        let expected = direction.x_axis * 1.0 + direction.y_axis * 0.75;
        assert!(first.abs_diff_eq(expected, 1e-12), "{first}");
    }

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
