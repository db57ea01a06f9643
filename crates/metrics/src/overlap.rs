//! Counts of voxels that both maps, or only one, give to a segment.

use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use volume::{Label, LabelMap};

use crate::{Labels, MetricsError, same_grid};

/// Voxels of one segment in two label maps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Overlap {
    /// In the truth.
    pub truth: u64,
    /// In the prediction.
    pub prediction: u64,
    /// In both.
    pub both: u64,
}

impl Overlap {
    /// Twice the common voxels over the sum of both: 1 if equal, 0 if apart; `None` if both are empty.
    pub fn dice(self) -> Option<f64> {
        ratio(2 * self.both, self.truth + self.prediction)
    }

    /// The common voxels over those of either; `None` if both are empty.
    pub fn jaccard(self) -> Option<f64> {
        ratio(self.both, self.truth + self.prediction - self.both)
    }

    /// The part of the truth that was found; `None` if there was nothing to find.
    pub fn sensitivity(self) -> Option<f64> {
        ratio(self.both, self.truth)
    }

    /// The part of what was found that is true; `None` if nothing was found.
    pub fn precision(self) -> Option<f64> {
        ratio(self.both, self.prediction)
    }
}

/// Counts the voxels of a label and of its segment's parts, which each map may have its own of.
///
/// # Errors
/// [`MetricsError::Grids`].
pub fn overlap(truth: &LabelMap, prediction: &LabelMap, label: Label) -> Result<Overlap, MetricsError> {
    same_grid(truth, prediction)?;
    let (in_truth, in_prediction) = (Labels::of(truth, label), Labels::of(prediction, label));
    let pairs = truth.voxels.data().par_iter().zip(prediction.voxels.data());
    let (truth, prediction, both) = pairs
        .map(|(&t, &p)| (in_truth.hold(t), in_prediction.hold(p)))
        .fold(|| (0, 0, 0), |(a, b, c), (t, p)| (a + u64::from(t), b + u64::from(p), c + u64::from(t & p)))
        .reduce(|| (0, 0, 0), |x, y| (x.0 + y.0, x.1 + y.1, x.2 + y.2));
    Ok(Overlap { truth, prediction, both })
}

/// Dice coefficient of a segment; `None` if neither map has it.
///
/// # Errors
/// [`MetricsError::Grids`].
pub fn dice(truth: &LabelMap, prediction: &LabelMap, label: Label) -> Result<Option<f64>, MetricsError> {
    overlap(truth, prediction, label).map(Overlap::dice)
}

/// Jaccard index of a segment; `None` if neither map has it.
///
/// # Errors
/// [`MetricsError::Grids`].
pub fn jaccard(truth: &LabelMap, prediction: &LabelMap, label: Label) -> Result<Option<f64>, MetricsError> {
    overlap(truth, prediction, label).map(Overlap::jaccard)
}

fn ratio(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}
