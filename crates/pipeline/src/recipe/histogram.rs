//! How often each value occurs.

use super::upright::Upright;
use crate::mask::BitMask;

/// Counts of whole values from −1024 up.
pub(crate) struct Histogram {
    counts: Vec<u32>,
    total: usize,
}

/// Values below this are counted as this.
const LOWEST: i32 = -1024;
const LENGTH: i32 = 4096;

impl Histogram {
    /// Nothing counted.
    pub(crate) fn new() -> Self {
        Self { counts: vec![0; LENGTH as usize], total: 0 }
    }

    /// Of the values under a mask.
    pub(crate) fn of(scan: &Upright<'_>, mask: &BitMask) -> Self {
        let mut histogram = Self::new();
        mask.for_runs(0..scan.size[2], |row, a, b| scan.run(row, a, b).iter().for_each(|&v| histogram.add(v.into())));
        histogram
    }

    /// Counts a value.
    pub(crate) fn add(&mut self, value: i32) {
        self.counts[(value - LOWEST).clamp(0, LENGTH - 1) as usize] += 1;
        self.total += 1;
    }

    /// Each value with its number.
    pub(crate) fn counts(&self) -> impl Iterator<Item = (i32, u32)> + '_ {
        (LOWEST..).zip(self.counts.iter().copied())
    }

    /// Number of values counted.
    pub(crate) const fn total(&self) -> usize {
        self.total
    }

    /// The value below which `share` of the values lie.
    pub(crate) fn quantile(&self, share: f64) -> i32 {
        let wanted = (share * self.total as f64) as usize;
        let mut seen = 0;
        for (value, &count) in (LOWEST..).zip(&self.counts) {
            seen += count as usize;
            if seen > wanted {
                return value;
            }
        }
        LOWEST + LENGTH - 1
    }

    /// Number of values above `value`.
    pub(crate) fn above(&self, value: i32) -> usize {
        let from = (value - LOWEST + 1).clamp(0, LENGTH) as usize;
        self.counts[from..].iter().map(|&c| c as usize).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_of_a_staircase() {
        let mut h = Histogram::new();
        (0..100).for_each(|v| h.add(v));
        assert_eq!((h.quantile(0.5), h.quantile(0.25), h.above(89)), (50, 25, 10));
        h.add(-5000);
        assert_eq!((h.quantile(0.0), h.total()), (LOWEST, 101));
    }
}
