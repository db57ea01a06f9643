//! How well two segmentations agree: overlap, surface distances and volumes; and whether a model is right as often as it says.
//!
//! Surface distances follow the field's usual definition (MONAI, DeepMind's surface-distance): the surface of a segment
//! is its voxels with a face to another, distances run from voxel centre to voxel centre, and both directions count.
//! All are in millimetres of the grid's own spacing.

mod calibration;
mod image;
mod overlap;
mod surface;

use thiserror::Error;
use volume::{ImageGeometry, Label, LabelMap};

pub use calibration::{Calibration, CalibrationScope, RELIABILITY_BINS, ReliabilityBin, calibration};
pub use image::{ImageError, mean_squared_error, psnr_db, ssim};
pub use overlap::{Overlap, dice, jaccard, overlap};
pub use surface::{SurfaceDistances, hausdorff_mm, surface_dice, surface_distances};

/// Millilitres in a cubic millimetre.
const ML_PER_MM3: f64 = 1e-3;

/// How far apart the corners of two grids may be that hold the same voxels, in mm.
const GRID_TOLERANCE_MM: f64 = 1e-3;

/// Two label maps that cannot be compared.
#[derive(Clone, Debug, Error, PartialEq)]
#[non_exhaustive]
pub enum MetricsError {
    /// The grids differ.
    #[error(
        "both label maps must lie on one grid, resample one: truth has {truth:?} voxels of {truth_mm:?} mm, prediction \
         {prediction:?} of {prediction_mm:?} mm, or they lie apart"
    )]
    Grids {
        /// Size of the truth.
        truth: [usize; 3],
        /// Spacing of the truth.
        truth_mm: [f64; 3],
        /// Size of the prediction.
        prediction: [usize; 3],
        /// Spacing of the prediction.
        prediction_mm: [f64; 3],
    },
    /// Confidence that lies on another grid than the labels.
    #[error(
        "confidence must lie on the grid of the labels, give the one that was written with them: labels have {labels:?} voxels \
         of {labels_mm:?} mm, confidence {confidence:?} of {confidence_mm:?} mm, or they lie apart"
    )]
    ConfidenceGrid {
        /// Size of the labels.
        labels: [usize; 3],
        /// Spacing of the labels.
        labels_mm: [f64; 3],
        /// Size of the confidence.
        confidence: [usize; 3],
        /// Spacing of the confidence.
        confidence_mm: [f64; 3],
    },
    /// A percentile outside its range.
    #[error("percentile must lie between 0 and 100; found {percentile}")]
    Percentile {
        /// What was asked for.
        percentile: f64,
    },
    /// A tolerance that is no distance.
    #[error("tolerance must be a distance in mm; found {tolerance_mm}")]
    Tolerance {
        /// What was asked for.
        tolerance_mm: f64,
    },
}

/// Volume in ml of the voxels of a label and of its segment's parts.
pub fn volume_ml(map: &LabelMap, label: Label) -> f64 {
    let labels = Labels::of(map, label);
    let voxels = map.voxels.data().iter().filter(|l| labels.hold(**l)).count();
    voxels as f64 * map.geometry().voxel_volume_mm3() * ML_PER_MM3
}

fn same_grid(truth: &LabelMap, prediction: &LabelMap) -> Result<ImageGeometry, MetricsError> {
    let (a, b) = (truth.geometry(), prediction.geometry());
    if a.is_same_grid(b, GRID_TOLERANCE_MM) {
        Ok(*a)
    } else {
        Err(MetricsError::Grids {
            truth: a.size(),
            truth_mm: a.spacing(),
            prediction: b.size(),
            prediction_mm: b.spacing(),
        })
    }
}

/// A label and its parts, looked up fast.
struct Labels(Vec<bool>);

impl Labels {
    fn of(map: &LabelMap, label: Label) -> Self {
        let mut member = vec![false; usize::from(Label::MAX) + 1];
        member[usize::from(label)] = true;
        for &part in map.segments.get(&label).iter().flat_map(|s| &s.parts) {
            member[usize::from(part)] = true;
        }
        Self(member)
    }

    fn hold(&self, label: Label) -> bool {
        self.0[usize::from(label)]
    }
}
