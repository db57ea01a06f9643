//! Grey-value windows.

use serde::{Deserialize, Serialize};
use volume::ScanVolume;

/// A range of grey values shown from black to white.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WindowPreset {
    /// For people.
    pub name: String,
    /// Middle of the range: HU for CT, intensity otherwise.
    pub center: f32,
    /// Extent of the range.
    pub width: f32,
}

impl WindowPreset {
    /// Names a range.
    pub fn new(name: impl Into<String>, center: f32, width: f32) -> Self {
        Self { name: name.into(), center, width }
    }

    /// Brightness 0–1 of a value.
    pub(crate) fn apply(&self, value: f32) -> f32 {
        ((value - self.center) / self.width.max(f32::MIN_POSITIVE) + 0.5).clamp(0.0, 1.0)
    }
}

/// The values between which the windows of other modalities than CT lie, in parts of all voxels. Our own choice: the
/// darkest are air, the brightest are few and hide the rest.
const INTENSITY_QUANTILES: [f64; 2] = [0.01, 0.995];

/// How many voxels are looked at to find the quantiles.
const SAMPLES: usize = 1 << 18;

/// The windows radiologists use for CT; for other modalities, one fitted to the scan's own values.
pub fn default_windows(modality: &str, scan: &ScanVolume) -> Vec<WindowPreset> {
    if modality == "CT" {
        return vec![
            WindowPreset::new("Soft tissue", 40.0, 400.0),
            WindowPreset::new("Lung", -600.0, 1500.0),
            WindowPreset::new("Bone", 400.0, 1800.0),
            WindowPreset::new("Vessels", 200.0, 700.0),
            WindowPreset::new("Brain", 40.0, 80.0),
        ];
    }
    let count = scan.geometry().voxel_count();
    let step = count.div_ceil(SAMPLES).max(1);
    let mut values: Vec<f32> = (0..count).step_by(step).map(|at| scan.value(at)).filter(|v| v.is_finite()).collect();
    values.sort_unstable_by(f32::total_cmp);
    let quantile = |q: f64| values.get((values.len().saturating_sub(1) as f64 * q) as usize).copied().unwrap_or(0.0);
    let [low, high] = INTENSITY_QUANTILES.map(quantile);
    let width = if high > low { high - low } else { 1.0 };
    vec![
        WindowPreset::new("Full range", low + width / 2.0, width),
        WindowPreset::new("Dark details", low + width / 4.0, width / 2.0),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use glam::DMat3;
    use space::Point;
    use volume::{ImageGeometry, Volume};

    #[test]
    fn intensities_fill_the_window() {
        let geometry = ImageGeometry::new([10, 10, 10], [1.0; 3], Point::ZERO, DMat3::IDENTITY).unwrap();
        let scan = ScanVolume::F32(Volume::from_fn(geometry, |[i, j, k]| (i + 10 * j + 100 * k) as f32));
        let windows = default_windows("MR", &scan);
        assert!(windows[0].apply(9.0) < 0.001 && windows[0].apply(995.0) > 0.999, "{windows:?}");
        let flat = ScanVolume::F32(Volume::filled(geometry, f32::NAN));
        assert!(default_windows("MR", &flat)[0].width > 0.0);
    }
}
