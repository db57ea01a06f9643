//! Whether a model is right as often as it says.
//!
//! Guo, Pleiss, Sun, Weinberger, "On calibration of modern neural networks", ICML 2017 (arXiv:1706.04599): voxels are sorted
//! into bins by the model's confidence in the class it chose; in each bin the share that is right is held against the mean
//! confidence. Voxels are added one by one, so no probabilities are kept, and in whole numbers, so the order does not matter.

use std::collections::BTreeSet;

use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use volume::{BACKGROUND, Label, LabelMap, Volume};

use crate::{GRID_TOLERANCE_MM, MetricsError, same_grid};

/// Bins of equal width, as in the paper.
pub const RELIABILITY_BINS: usize = 15;

/// Confidence is summed in this many parts of one.
const PARTS: f64 = (1_u64 << 32) as f64;

/// Which voxels count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CalibrationScope {
    /// All. Where most of a scan is background that no model mistakes, that alone makes the error small.
    All,
    /// Those that the prediction gives to a structure. The truth has no part in the choice: among voxels chosen because a
    /// structure was missed there, a model whose confidence is perfect would seem too sure.
    Foreground,
}

/// Counts of voxels by confidence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Calibration {
    bins: Vec<Bin>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Bin {
    voxels: u64,
    right: u64,
    /// Sum of confidence in [`PARTS`].
    confidence: u128,
}

/// One row of a reliability diagram.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct ReliabilityBin {
    /// Confidence above this falls into it; 0 does into the first.
    pub above: f64,
    /// The greatest confidence that falls into it.
    pub up_to: f64,
    /// How many fall into it.
    pub voxels: u64,
    /// Their mean confidence; none without voxels.
    pub confidence: Option<f64>,
    /// Share of them whose class is right; none without voxels.
    pub accuracy: Option<f64>,
}

impl Default for Calibration {
    fn default() -> Self {
        Self::new(RELIABILITY_BINS)
    }
}

impl Calibration {
    /// Without voxels; `bins` of equal width, at least one.
    pub fn new(bins: usize) -> Self {
        Self { bins: vec![Bin::default(); bins.max(1)] }
    }

    /// Adds a voxel. `confidence` is the probability of the class that was chosen; beyond 0 and 1 it is taken as that, and what
    /// is no number as 0.
    pub fn add(&mut self, confidence: f64, right: bool) {
        let confidence = confidence.clamp(0.0, 1.0);
        let count = self.bins.len();
        // Bins hold their upper bound, not their lower. A cast takes what is no number to 0.
        let at = (confidence * count as f64).ceil() as usize;
        let bin = &mut self.bins[at.saturating_sub(1).min(count - 1)];
        bin.voxels += 1;
        bin.right += u64::from(right);
        bin.confidence += (confidence * PARTS).round() as u128;
    }

    /// Adds the voxels of another with as many bins; of one with other bins, none.
    pub fn merge(&mut self, other: &Self) {
        if self.bins.len() != other.bins.len() {
            return;
        }
        for (own, other) in self.bins.iter_mut().zip(&other.bins) {
            own.voxels += other.voxels;
            own.right += other.right;
            own.confidence += other.confidence;
        }
    }

    /// How many voxels were added.
    pub fn voxels(&self) -> u64 {
        self.bins.iter().map(|b| b.voxels).sum()
    }

    /// Expected calibration error: the mean over all voxels of how far accuracy and confidence of their bin lie apart; none
    /// without voxels.
    pub fn expected_error(&self) -> Option<f64> {
        let voxels = self.voxels();
        let sum: f64 = self.bins.iter().map(Bin::gap_times_voxels).sum();
        (voxels > 0).then(|| sum / voxels as f64)
    }

    /// Share of voxels whose class is right; none without voxels.
    pub fn accuracy(&self) -> Option<f64> {
        let right: u64 = self.bins.iter().map(|b| b.right).sum();
        (self.voxels() > 0).then(|| right as f64 / self.voxels() as f64)
    }

    /// Mean confidence; none without voxels.
    pub fn confidence(&self) -> Option<f64> {
        let sum: u128 = self.bins.iter().map(|b| b.confidence).sum();
        (self.voxels() > 0).then(|| sum as f64 / PARTS / self.voxels() as f64)
    }

    /// The rows of a reliability diagram, least confidence first.
    pub fn reliability(&self) -> Vec<ReliabilityBin> {
        let bound = |at: usize| at as f64 / self.bins.len() as f64;
        let row = |(at, bin): (usize, &Bin)| ReliabilityBin {
            above: bound(at),
            up_to: bound(at + 1),
            voxels: bin.voxels,
            confidence: (bin.voxels > 0).then(|| bin.confidence as f64 / PARTS / bin.voxels as f64),
            accuracy: (bin.voxels > 0).then(|| bin.right as f64 / bin.voxels as f64),
        };
        self.bins.iter().enumerate().map(row).collect()
    }
}

impl Bin {
    fn gap_times_voxels(&self) -> f64 {
        (self.right as f64 - self.confidence as f64 / PARTS).abs()
    }
}

/// Holds a model's confidence against the truth, voxel by voxel.
///
/// `confidence` is in percent, of the class that the prediction names; voxels with more than 100 are those no model spoke
/// of, and are left out. A part of a structure, in either map, is right for the whole.
///
/// # Errors
/// [`MetricsError::Grids`], [`MetricsError::ConfidenceGrid`].
pub fn calibration(
    truth: &LabelMap,
    prediction: &LabelMap,
    confidence: &Volume<u8>,
    scope: CalibrationScope,
) -> Result<Calibration, MetricsError> {
    same_grid(truth, prediction)?;
    let (labels, own) = (truth.geometry(), confidence.geometry());
    if !labels.is_same_grid(own, GRID_TOLERANCE_MM) {
        return Err(MetricsError::ConfidenceGrid {
            labels: labels.size(),
            labels_mm: labels.spacing(),
            confidence: own.size(),
            confidence_mm: own.spacing(),
        });
    }
    let parts = |map: &LabelMap, swap: bool| -> BTreeSet<(Label, Label)> {
        let pairs = map.segments.iter().flat_map(|(&whole, s)| s.parts.iter().map(move |&part| (part, whole)));
        pairs.map(|(part, whole)| if swap { (whole, part) } else { (part, whole) }).collect()
    };
    // Of truth and prediction.
    let same: BTreeSet<_> = parts(truth, false).union(&parts(prediction, true)).copied().collect();
    let voxels = truth.voxels.data().par_iter().zip(prediction.voxels.data()).zip(confidence.data());
    let all = scope == CalibrationScope::All;
    let found = voxels.fold(Calibration::default, |mut sum, ((&truth, &found), &percent)| {
        if percent <= 100 && (all || found != BACKGROUND) {
            sum.add(f64::from(percent) / 100.0, truth == found || same.contains(&(truth, found)));
        }
        sum
    });
    Ok(found.reduce(Calibration::default, |mut a, b| {
        a.merge(&b);
        a
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use glam::DMat3;
    use space::Point;
    use std::collections::BTreeMap;
    use volume::{ImageGeometry, terminology};

    #[track_caller]
    fn check(found: Option<f64>, expected: f64) {
        assert!((found.unwrap() - expected).abs() < 1e-9, "{found:?} instead of {expected}");
    }

    #[test]
    fn the_error_is_what_a_hand_makes_of_it() {
        let mut counts = Calibration::new(5);
        // Bin (0.8, 1]: ten voxels at 0.9, six of them right. Bin (0.4, 0.6]: five at 0.5, three right. Bin (0.6, 0.8]: one at 0.7.
        (0..10).for_each(|n| counts.add(0.9, n < 6));
        (0..5).for_each(|n| counts.add(0.5, n < 3));
        counts.add(0.7, true);
        check(counts.expected_error(), (10.0 * 0.3 + 5.0 * 0.1 + 0.3) / 16.0);
        check(counts.accuracy(), 10.0 / 16.0);
        check(counts.confidence(), (9.0 + 2.5 + 0.7) / 16.0);
        let rows = counts.reliability();
        assert_eq!(rows.iter().map(|r| r.voxels).collect::<Vec<_>>(), [0, 0, 5, 1, 10]);
        check(rows[4].accuracy, 0.6);
        check(rows[4].confidence, 0.9);
        assert_eq!((rows[0].accuracy, rows[0].confidence), (None, None));
        assert_eq!((rows[0].above, rows[4].up_to), (0.0, 1.0));
    }

    /// Within a bin, those too sure and those not sure enough make up for each other; between bins they do not.
    #[test]
    fn errors_do_not_cancel_between_bins() {
        let mut counts = Calibration::new(2);
        counts.add(0.4, true);
        counts.add(0.4, false);
        check(counts.expected_error(), 0.1);
        (0..2).for_each(|_| counts.add(1.0, false));
        check(counts.expected_error(), (2.0 * 0.1 + 2.0) / 4.0);
    }

    #[test]
    fn bins_hold_their_upper_bound() {
        let at = |confidence: f64| {
            let mut counts = Calibration::default();
            counts.add(confidence, true);
            counts.reliability().iter().position(|b| b.voxels > 0)
        };
        assert_eq!(Calibration::default().reliability().len(), 15);
        assert_eq!((at(0.0), at(1.0), at(2.0), at(f64::NAN)), (Some(0), Some(14), Some(14), Some(0)));
        // Three fifteenths, and a little more.
        assert_eq!((at(0.2), at(0.2001), at(0.5)), (Some(2), Some(3), Some(7)));
    }

    #[test]
    fn sums_do_not_depend_on_their_order() {
        let voxels: Vec<(f64, bool)> = (0..1000_u32).map(|n| (f64::from(n % 97) / 97.0, n % 3 == 0)).collect();
        let [mut forth, mut back, mut halves] = [0; 3].map(|_| Calibration::default());
        voxels.iter().for_each(|&(c, r)| forth.add(c, r));
        voxels.iter().rev().for_each(|&(c, r)| back.add(c, r));
        for part in voxels.chunks(333) {
            let mut own = Calibration::default();
            part.iter().for_each(|&(c, r)| own.add(c, r));
            halves.merge(&own);
        }
        assert_eq!((&forth, &forth), (&back, &halves));
        assert_eq!(forth.voxels(), 1000);
        halves.merge(&Calibration::new(2));
        assert_eq!(forth, halves, "other bins cannot be added");
    }

    #[test]
    fn nothing_has_no_error() {
        assert_eq!(Calibration::default().expected_error(), None);
    }

    #[test]
    fn voxels_without_a_model_and_background_can_be_left_out() {
        let grid = ImageGeometry::new([5, 1, 1], [1.0; 3], Point::ZERO, DMat3::IDENTITY).unwrap();
        let map = |labels: [Label; 5]| LabelMap {
            voxels: Volume::new(grid, labels.to_vec()).unwrap(),
            segments: BTreeMap::new(),
        };
        let (truth, found) = (map([0, 1, 2, 1, 0]), map([0, 1, 1, 0, 3]));
        let sure = Volume::new(grid, vec![100, 80, 60, 90, 255]).unwrap();
        let of = |scope| calibration(&truth, &found, &sure, scope).unwrap();
        // Right at 100 and 80 %, wrong at 60 and 90 %; nobody spoke of the last.
        let all = of(CalibrationScope::All);
        assert_eq!(all.voxels(), 4);
        check(all.expected_error(), (0.0 + 0.2 + 0.6 + 0.9) / 4.0);
        let foreground = of(CalibrationScope::Foreground);
        assert_eq!(foreground.voxels(), 2);
        check(foreground.expected_error(), (0.2 + 0.6) / 2.0);
        // Label 2 is a part of 1.
        let mut whole = terminology::segment(1, "liver");
        whole.parts = vec![2];
        let with_parts = LabelMap { segments: BTreeMap::from([(1, whole)]), ..truth.clone() };
        let all = calibration(&with_parts, &found, &sure, CalibrationScope::All).unwrap();
        check(all.expected_error(), (0.0 + 0.2 + 0.4 + 0.9) / 4.0);
        let other = ImageGeometry::new([5, 1, 1], [2.0; 3], Point::ZERO, DMat3::IDENTITY).unwrap();
        let error = calibration(&truth, &found, &Volume::filled(other, 9), CalibrationScope::All).unwrap_err();
        assert!(matches!(error, MetricsError::ConfidenceGrid { .. }), "{error}");
    }
}
