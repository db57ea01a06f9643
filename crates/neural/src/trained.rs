//! U-Nets that were trained by this project, with what a scan must become before they see it.

use serde::{Deserialize, Serialize};
use space::AxisCode;
use volume::{Label, ScanVolume, Volume, resample};

use crate::confidence::{most_probable, percent};
use crate::error::NeuralError;
use crate::grid::canonical;
use crate::networks::unet::UNetConfig;
use crate::training::{Predictor, Sample};

/// Voxels of the largest grid that is run as a whole: the first layers of a small network then take some gigabytes.
const MOST_VOXELS: usize = 24 << 20;

/// What is done to the values of an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Normalization {
    /// Mean 0 and deviation 1 over the image.
    ZScore,
}

impl Normalization {
    /// Done in place; none if all values are equal.
    pub fn apply(self, values: &mut [f32]) -> Option<()> {
        let Self::ZScore = self;
        let count = values.len().max(1) as f64;
        let mean = values.iter().map(|&x| f64::from(x)).sum::<f64>() / count;
        let variance = values.iter().map(|&x| (f64::from(x) - mean).powi(2)).sum::<f64>() / count;
        let inverse = 1.0 / variance.sqrt();
        inverse.is_finite().then(|| values.iter_mut().for_each(|x| *x = ((f64::from(*x) - mean) * inverse) as f32))
    }
}

/// A network and its view of a scan.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainedUNet {
    /// Its shape.
    pub network: UNetConfig,
    /// Where columns, rows and slices lead, such as `RAS`.
    pub axes: String,
    /// Between voxels along columns, rows, slices.
    pub spacing_mm: [f64; 3],
    /// What is done to the values.
    pub normalization: Normalization,
    /// Axes (depth, height, width) that are flipped, the results averaged.
    pub flips: [bool; 3],
}

/// What such a network found in a scan.
#[derive(Clone, Debug, PartialEq)]
pub struct TrainedLabels {
    /// Class of each voxel of the scan's own grid.
    pub labels: Volume<Label>,
    /// Class of each voxel of the network's grid.
    pub seen: Volume<Label>,
    /// How probable the class of each voxel of the scan's own grid is by the network, in percent.
    pub confidence: Volume<u8>,
}

impl TrainedUNet {
    /// The network with its weights.
    ///
    /// # Errors
    /// [`NeuralError`] if the bytes are no weights, or those of another network.
    pub fn load(&self, weights: &[u8]) -> Result<Predictor, NeuralError> {
        Predictor::load(&self.network, weights)
    }

    /// Finds the classes of a scan. `temperature` makes probabilities flatter above 1, sharper below.
    ///
    /// # Errors
    /// [`NeuralError::Input`] if the scan is too large, or all of one value.
    pub fn segment(
        &self,
        predictor: &Predictor,
        scan: &ScanVolume,
        temperature: f32,
        tell: &(dyn Fn(f32) + Sync),
    ) -> Result<TrainedLabels, NeuralError> {
        let axes: AxisCode = self.axes.parse().map_err(|error| NeuralError::Description {
            field: "axes".to_owned(),
            reason: format!("are `{}`: {error}", self.axes),
        })?;
        let grid = canonical(scan.geometry(), axes, self.spacing_mm)?;
        if grid.voxel_count() > MOST_VOXELS {
            return Err(NeuralError::Input {
                reason: format!(
                    "at the network's spacing it has {:?} voxels, more than are run as a whole",
                    grid.size()
                ),
                remedy: "crop it to what the network was made for".to_owned(),
            });
        }
        let image = match scan {
            ScanVolume::I16(v) => resample::linear(&v.map(|&x| f32::from(x)), &grid, 0.0),
            ScanVolume::F32(v) => resample::linear(v, &grid, 0.0),
        };
        let mut image = image.into_data();
        self.normalization.apply(&mut image).ok_or_else(|| NeuralError::Input {
            reason: "all of its voxels are the same".to_owned(),
            remedy: "choose another series".to_owned(),
        })?;
        tell(0.1);
        let [i, j, k] = grid.size();
        let [x, y, z] = grid.spacing().map(|s| s as f32);
        let labels = vec![0; image.len()];
        let sample = Sample { size: [k, j, i], spacing_mm: [z, y, x], image, labels };
        let probabilities = predictor.probabilities(&sample, self.flips)?; // [class, D, H, W]
        tell(0.9);
        let (classes, sure) = most_probable(&probabilities, sample.voxels(), temperature);
        let percent = sure.into_iter().map(percent).collect();
        let seen = Volume::new(grid, classes)?;
        let labels = resample::nearest(&seen, scan.geometry(), volume::BACKGROUND);
        let confidence = resample::nearest(&Volume::new(grid, percent)?, scan.geometry(), 100);
        tell(1.0);
        Ok(TrainedLabels { labels, seen, confidence })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::networks::unet::{Down, Up};
    use crate::training::{Precision, Trainer};
    use space::Point;
    use std::collections::BTreeMap;
    use volume::ImageGeometry;

    #[test]
    fn scores_have_mean_zero_and_deviation_one() {
        let mut values = vec![1.0e6, 1.0e6 + 2.0, 1.0e6, 1.0e6 + 2.0];
        Normalization::ZScore.apply(&mut values).unwrap();
        assert_eq!(values, [-1.0, 1.0, -1.0, 1.0]);
        assert!(Normalization::ZScore.apply(&mut [3.0, 3.0]).is_none());
    }

    /// However a scan is stored, the network sees it along its own axes, and the answer lies where the scan lies.
    #[test]
    fn answers_do_not_depend_on_how_a_scan_is_stored() {
        let model = TrainedUNet {
            network: UNetConfig {
                inputs: 1,
                classes: 3,
                channels: vec![4, 8],
                convolutions: 1,
                down: Down::Strided,
                up: Up::Transposed,
                slope: 0.01,
            },
            axes: "RAS".to_owned(),
            spacing_mm: [1.0; 3],
            normalization: Normalization::ZScore,
            flips: [false, false, true],
        };
        let config = r#"{"seed": 3, "patch": [8, 8, 8], "batch": 1, "epochs": 1, "learning_rate": 0.01, "schedule": "constant"}"#;
        let trainer = Trainer::new(&model.network, serde_json::from_str(config).unwrap()).unwrap();
        let weights = trainer.weights(Precision::Single, BTreeMap::new()).unwrap();
        let predictor = model.load(&weights).unwrap();

        let grid = |axes: &str, size, origin| {
            let direction = axes.parse::<AxisCode>().unwrap().direction();
            ImageGeometry::new(size, [1.0; 3], Point::from_array(origin), direction).unwrap()
        };
        let stored = grid("RAS", [16, 20, 24], [8.0, 10.0, -12.0]);
        let scan = Volume::from_fn(stored, |[i, j, k]| (i as f32 * 0.7).sin() + (j as f32 * 0.5).cos() * k as f32);
        // The same voxels, columns running down, rows to the left, slices to the back.
        let turned = grid("ILP", [24, 16, 20], [-7.0, -9.0, 11.0]);
        let other = resample::nearest(&scan, &turned, f32::NAN);
        assert!(other.data().iter().all(|x| x.is_finite()), "the grids hold the same voxels");
        let find = |scan| model.segment(&predictor, &ScanVolume::F32(scan), 1.0, &|_| {}).unwrap();
        let (first, second) = (find(scan), find(other));
        assert_eq!(*first.labels.geometry(), stored);
        let (least, most) = first.confidence.data().iter().fold((100, 0), |(a, b), &x| (x.min(a), x.max(b)));
        assert!(most - least > 5, "the answer depends on the place, from {least} to {most} %");
        assert_eq!(resample::nearest(&second.labels, &stored, 9), first.labels);
        assert_eq!(resample::nearest(&second.confidence, &stored, 0), first.confidence);
    }
}
