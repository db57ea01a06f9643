//! Brings a scan to the grid and the grey values that MeshNet was trained on.
//!
//! FreeSurfer's conform as brainchop does it: 256³ voxels of 1 mm about the scan's centre, axes to the patient's left, inferior
//! and anterior, 8 bit between the minimum and the 99.9 % quantile; then the 2–98 % quantiles to 0…1.

use glam::{DMat3, DVec3};
use rayon::prelude::*;
use space::Point;
use volume::{ImageGeometry, ScanVolume, Volume, resample};

use crate::error::NeuralError;

/// Voxels of an edge.
const SIZE: usize = 256;

/// The voxel at the scan's centre.
const CENTRE: f64 = 128.0;

/// Share of voxels that 8 bit can tell apart.
const BRIGHTEST: f64 = 0.999;

/// Shares of voxels below 0 and below 1.
const RANGE: [f64; 2] = [0.02, 0.98];

/// Darker voxels are no head.
const HEAD: f32 = 0.2;

/// Voxels around the head that the network sees as well.
const MARGIN: usize = 8;

/// A head as the network wants it.
#[derive(Debug)]
pub(super) struct Conformed {
    /// `[L, I, A]`: to the left, to inferior, to anterior.
    pub(super) values: Vec<f32>,
    /// Their grid: `i` runs to anterior, `j` to inferior, `k` to the left.
    pub(super) geometry: ImageGeometry,
}

/// # Errors
/// [`NeuralError::Input`] if all voxels are the same.
pub(super) fn conform(scan: &ScanVolume) -> Result<Conformed, NeuralError> {
    let grid = grid(scan.geometry())?;
    let floats = finite(scan);
    let low = floats.data().par_iter().copied().reduce(|| f32::MAX, f32::min);
    let values = resample::linear(&floats, &grid, low).into_data();
    drop(floats);
    let bytes = eight_bit(&values, low)?;
    drop(values);
    let unit = unit_range(&bytes);
    let (start, size) = head(&bytes, &unit)?;
    let geometry = grid.cropped(start.map(usize::cast_signed), size)?;
    let mut data = Vec::with_capacity(size.iter().product());
    for k in start[2]..start[2] + size[2] {
        for j in start[1]..start[1] + size[1] {
            let row = &bytes[(k * SIZE + j) * SIZE + start[0]..][..size[0]];
            data.extend(row.iter().map(|&v| unit[usize::from(v)]));
        }
    }
    Ok(Conformed { values: data, geometry })
}

/// The grid about the centre of another.
fn grid(scan: &ImageGeometry) -> Result<ImageGeometry, NeuralError> {
    let centre = scan.lps_from_index() * Point::from_array(scan.size().map(|n| (n as f64 - 1.0) / 2.0));
    // Columns: i to anterior, j to inferior, k to the left.
    let direction = DMat3::from_cols(DVec3::NEG_Y, DVec3::NEG_Z, DVec3::X);
    let origin = centre.get() - direction * DVec3::splat(CENTRE);
    Ok(ImageGeometry::new([SIZE; 3], [1.0; 3], Point::from_array(origin.to_array()), direction)?)
}

/// What is no number becomes the least number.
fn finite(scan: &ScanVolume) -> Volume<f32> {
    match scan {
        ScanVolume::I16(v) => v.par_map(|&x| f32::from(x)),
        ScanVolume::F32(v) => {
            let low = v.data().par_iter().copied().filter(|x| x.is_finite()).reduce(|| f32::MAX, f32::min);
            v.par_map(|&x| if x.is_finite() { x } else { low })
        }
    }
}

fn eight_bit(values: &[f32], low: f32) -> Result<Vec<u8>, NeuralError> {
    let mut sorted = values.to_vec();
    let at = BRIGHTEST * (sorted.len() - 1) as f64;
    let (_, below, above) = sorted.select_nth_unstable_by(at as usize, f32::total_cmp);
    let next = above.iter().copied().reduce(f32::min).unwrap_or(*below);
    let high = *below + (next - *below) * at.fract() as f32;
    if high.partial_cmp(&low) != Some(std::cmp::Ordering::Greater) {
        return Err(NeuralError::Input {
            reason: "all of its voxels are the same".to_owned(),
            remedy: "choose another series".to_owned(),
        });
    }
    let scale = 255.0 / (high - low);
    Ok(values.par_iter().map(|&v| ((v - low) * scale).round().clamp(0.0, 255.0) as u8).collect())
}

/// The value between 0 and 1 of each of the 256.
fn unit_range(bytes: &[u8]) -> [f32; 256] {
    let mut counts = [0usize; 256];
    bytes.iter().for_each(|&v| counts[usize::from(v)] += 1);
    // NumPy's quantile: linear between the two nearest of the sorted values.
    let nth = |n: usize| {
        let mut seen = 0;
        counts.iter().position(|&c| {
            seen += c;
            seen > n
        })
    };
    let quantile = |share: f64| {
        let at = share * (bytes.len() - 1) as f64;
        let [below, above] = [at.floor(), at.ceil()].map(|n| nth(n as usize).unwrap_or(255) as f64);
        (below + (above - below) * at.fract()) as f32
    };
    let [low, high] = RANGE.map(quantile);
    std::array::from_fn(|v| ((v as f32).clamp(low, high) - low) / (high - low + 0.001))
}

/// First voxel and size of the box about what is bright, with a margin.
fn head(bytes: &[u8], unit: &[f32; 256]) -> Result<([usize; 3], [usize; 3]), NeuralError> {
    let (mut min, mut max) = ([SIZE; 3], [0; 3]);
    for (row, values) in bytes.chunks_exact(SIZE).enumerate() {
        let bright = |v: &u8| unit[usize::from(*v)] > HEAD;
        let (Some(first), Some(last)) = (values.iter().position(bright), values.iter().rposition(bright)) else {
            continue;
        };
        let (low, high) = ([first, row % SIZE, row / SIZE], [last, row % SIZE, row / SIZE]);
        min = [0, 1, 2].map(|a| min[a].min(low[a]));
        max = [0, 1, 2].map(|a| max[a].max(high[a]));
    }
    if min[0] == SIZE {
        return Err(NeuralError::Input {
            reason: "nothing in it is bright enough for a head".to_owned(),
            remedy: "choose a series of a whole head".to_owned(),
        });
    }
    let start = min.map(|v| v.saturating_sub(MARGIN));
    Ok((start, [0, 1, 2].map(|a| (max[a] + MARGIN + 1).min(SIZE) - start[a])))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_centre_stays_and_left_is_the_slowest_axis() {
        let turned = DMat3::from_rotation_z(0.2);
        let scan = ImageGeometry::new([100, 80, 60], [2.0, 2.0, 3.0], Point::new(-90.0, 10.0, 5.0), turned).unwrap();
        let grid = grid(&scan).unwrap();
        let centre = scan.lps_from_index() * Point::new(49.5, 39.5, 29.5);
        let at = grid.lps_from_index() * Point::new(CENTRE, CENTRE, CENTRE);
        assert!(centre.distance(at) < 1e-9, "{centre:?} {at:?}");
        assert_eq!(grid.axis_code().to_string(), "AIL");
    }

    #[test]
    fn values_are_scaled_between_the_quantiles() {
        let bytes: Vec<u8> = (0..=100).collect();
        let unit = unit_range(&bytes);
        let expected = |v: f32| (v - 2.0) / (96.0 + 0.001);
        assert_eq!((unit[0], unit[2], unit[98], unit[255]), (0.0, 0.0, expected(98.0), expected(98.0)));
        assert!((unit[50] - expected(50.0)).abs() < 1e-6);
    }

    #[test]
    fn the_head_is_cut_out_with_a_margin() {
        let grid = ImageGeometry::new([128; 3], [2.0; 3], Point::ZERO, DMat3::IDENTITY).unwrap();
        let inside = |p: [usize; 3]| p.iter().all(|v| (40..90).contains(v));
        let scan = ScanVolume::I16(Volume::from_fn(grid, |p| if inside(p) { 400 } else { 10 }));
        let found = conform(&scan).unwrap();
        // 50 voxels of 2 mm, the slope to each side that is bright enough, and the margin.
        let size = found.geometry.size();
        assert!(size.iter().all(|n| (115..=119).contains(n)), "{size:?}");
        assert_eq!(found.values.len(), size.iter().product::<usize>());
        let middle = found.geometry.index_from_lps() * Point::new(129.0, 129.0, 129.0);
        let [i, j, k] = middle.get().to_array().map(|v| v.round() as usize);
        let value = found.values[found.geometry.offset(i, j, k)];
        assert!(value > 0.99, "{value}");
    }

    #[test]
    fn an_empty_scan_is_refused() {
        let grid = ImageGeometry::new([16; 3], [2.0; 3], Point::ZERO, DMat3::IDENTITY).unwrap();
        let flat = ScanVolume::F32(Volume::filled(grid, 3.0));
        assert!(matches!(conform(&flat), Err(NeuralError::Input { .. })));
        let nan = ScanVolume::F32(Volume::filled(grid, f32::NAN));
        assert!(matches!(conform(&nan), Err(NeuralError::Input { .. })));
    }
}
