//! Averages of Hounsfield units over what counts, to look past noise.

use std::ops::Range;

use rayon::prelude::*;

use super::upright::Upright;
use crate::mask::BitMask;

/// Slices averaged together.
const SLAB: usize = 16;

/// The bell is cut off at this many standard deviations.
const REACH: f64 = 2.5;

/// What lies on one side of a border in Hounsfield units, by averages.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Average {
    /// Standard deviation in mm of the bell over which is averaged in a slice; the slices above and below count as much as
    /// the voxel's own.
    pub(crate) sigma_mm: f64,
    /// Values are clamped to these before, so that bone and air weigh no more than what is compared.
    pub(crate) clamp_hu: (i16, i16),
    /// Of all that is within reach, the least share that must count.
    pub(crate) least_share: f32,
}

impl Average {
    /// The voxels of `field` round which the values of `votes` are on average below the middle of the clamped range.
    pub(crate) fn below_middle(&self, ct: &Upright<'_>, votes: &BitMask, field: &BitMask) -> BitMask {
        let mut below = BitMask::empty(ct.size);
        let Some([columns, rows, slices]) = field.bounds() else { return below };
        let middle = i32::from(self.clamp_hu.0) + i32::from(self.clamp_hu.1);
        let kernels = [0, 1].map(|a| bell(self.sigma_mm / ct.spacing[a]));
        let plane = |k: usize| self.plane(ct, votes, k, &columns, &rows, &kernels, middle as f32 / 2.0);
        let starts: Vec<usize> = slices.clone().step_by(SLAB).collect();
        let slabs: Vec<Vec<(usize, Vec<u64>)>> = starts
            .into_par_iter()
            .map(|first| {
                let mut found = Vec::new();
                let last = (first + SLAB).min(slices.end);
                let mut before = (first > 0).then(|| plane(first - 1));
                let mut here = plane(first);
                for k in first..last {
                    let after = (k + 1 < ct.size[2]).then(|| plane(k + 1));
                    let planes = [before.as_ref(), Some(&here), after.as_ref()];
                    self.decide(&planes, field, k, &columns, &rows, &mut found);
                    let Some(after) = after else { break };
                    before = Some(std::mem::replace(&mut here, after));
                }
                found
            })
            .collect();
        for (row, words) in slabs.into_iter().flatten() {
            below.row_mut(row).copy_from_slice(&words);
        }
        below
    }

    /// Sums over three slices, compared row by row.
    fn decide(
        &self,
        planes: &[Option<&Plane>; 3],
        field: &BitMask,
        k: usize,
        columns: &Range<usize>,
        rows: &Range<usize>,
        found: &mut Vec<(usize, Vec<u64>)>,
    ) {
        let n = columns.len();
        let present = planes.iter().flatten().count() as f32;
        let mut sums = vec![[0.0f32; 2]; n];
        for j in rows.clone() {
            let row = k * field.size()[1] + j;
            if field.row(row).iter().all(|&w| w == 0) {
                continue;
            }
            sums.fill([0.0; 2]);
            for plane in planes.iter().flatten() {
                let at = (j - rows.start) * n..(j - rows.start + 1) * n;
                for ((s, v), w) in sums.iter_mut().zip(&plane.values[at.clone()]).zip(&plane.weights[at]) {
                    *s = [s[0] + v, s[1] + w];
                }
            }
            let mut words = vec![0u64; field.row(row).len()];
            for (i, [value, weight]) in sums.iter().enumerate() {
                let i = i + columns.start;
                let is_below = *value < 0.0 && *weight >= self.least_share * present;
                words[i / 64] |= u64::from(is_below) << (i % 64);
            }
            words.iter_mut().zip(field.row(row)).for_each(|(w, f)| *w &= f);
            found.push((row, words));
        }
    }

    /// One slice, averaged within itself.
    fn plane(
        &self,
        ct: &Upright<'_>,
        votes: &BitMask,
        k: usize,
        columns: &Range<usize>,
        rows: &Range<usize>,
        [along, across]: &[Vec<f32>; 2],
        middle: f32,
    ) -> Plane {
        let (low, high) = self.clamp_hu;
        let n = columns.len();
        let mut plane = Plane { values: vec![0.0; n * rows.len()], weights: vec![0.0; n * rows.len()] };
        let margin = along.len() - 1;
        let (mut value, mut weight) = (vec![0.0; n + 2 * margin], vec![0.0; n + 2 * margin]);
        for j in rows.clone() {
            let row = k * ct.size[1] + j;
            if votes.row(row).iter().all(|&w| w == 0) {
                continue;
            }
            value.fill(0.0);
            weight.fill(0.0);
            votes.for_runs_of_row(row, |start, end| {
                let (start, end) = (start.max(columns.start), end.min(columns.end));
                if start < end {
                    let at = start - columns.start + margin..end - columns.start + margin;
                    weight[at.clone()].fill(1.0);
                    for (v, &hu) in value[at].iter_mut().zip(ct.run(row, start, end)) {
                        *v = f32::from(hu.clamp(low, high)) - middle;
                    }
                }
            });
            let at = (j - rows.start) * n..(j - rows.start + 1) * n;
            blur_row(&value, along, &mut plane.values[at.clone()]);
            blur_row(&weight, along, &mut plane.weights[at]);
        }
        plane.values = blur_columns(&plane.values, n, across);
        plane.weights = blur_columns(&plane.weights, n, across);
        plane
    }
}

struct Plane {
    /// Differences from the middle, times weights.
    values: Vec<f32>,
    weights: Vec<f32>,
}

/// The middle and one side of a bell whose sum over both sides is 1; `sigma` in voxels.
fn bell(sigma: f64) -> Vec<f32> {
    let reach = (REACH * sigma).ceil() as usize;
    let side: Vec<f64> = (0..=reach).map(|n| (-0.5 * (n as f64 / sigma.max(1e-6)).powi(2)).exp()).collect();
    let sum = 2.0 * side.iter().sum::<f64>() - 1.0;
    side.iter().map(|w| (w / sum) as f32).collect()
}

/// `source` has a margin of the kernel's reach at both ends.
fn blur_row(source: &[f32], kernel: &[f32], target: &mut [f32]) {
    let (margin, n) = (kernel.len() - 1, target.len());
    for (t, s) in target.iter_mut().zip(&source[margin..]) {
        *t = kernel[0] * s;
    }
    for (d, &w) in kernel.iter().enumerate().skip(1) {
        let (before, after) = (&source[margin - d..][..n], &source[margin + d..][..n]);
        for ((t, a), b) in target.iter_mut().zip(before).zip(after) {
            *t += w * (a + b);
        }
    }
}

fn blur_columns(source: &[f32], n: usize, kernel: &[f32]) -> Vec<f32> {
    let rows = source.len() / n;
    let mut blurred = vec![0.0; source.len()];
    for (j, target) in blurred.chunks_exact_mut(n).enumerate() {
        for (d, &w) in kernel.iter().enumerate() {
            let mut add = |other: Option<usize>| {
                if let Some(j) = other.filter(|&j| j < rows) {
                    target.iter_mut().zip(&source[j * n..(j + 1) * n]).for_each(|(t, s)| *t += w * s);
                }
            };
            add(j.checked_sub(d));
            if d > 0 {
                add(Some(j + d));
            }
        }
    }
    blurred
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use super::super::super::mask::tests::{mask, scattered};
    use super::*;

    #[test]
    fn averages_are_those_of_a_plain_sum() {
        let size = [70, 23, 20];
        let values: Vec<i16> = (0..70 * 23 * 20).map(|n: i32| (n * 7919 % 400 - 340 + 3 * (n % 70)) as i16).collect();
        let ct = Upright::plain(Cow::Borrowed(&values), size, [0.8, 1.0, 3.0]);
        let (votes, field) = (scattered(size, 2), mask(size, |[i, j, k]| i > 3 && j < 20 && k > 1));
        let average = Average { sigma_mm: 1.3, clamp_hu: (-105, 45), least_share: 0.3 };
        let found = average.below_middle(&ct, &votes, &field);
        let [along, across] = [1.3 / 0.8, 1.3].map(bell);
        let mut seen = [0, 0];
        for at in (0..values.len()).step_by(37) {
            let p = [at % 70, at / 70 % 23, at / 70 / 23];
            let (mut sum, mut weight, mut slices) = (0.0f32, 0.0f32, 0.0f32);
            for k in p[2].saturating_sub(1)..(p[2] + 2).min(20) {
                slices += 1.0;
                for j in 0..23usize {
                    for i in 0..70usize {
                        let (Some(a), Some(b)) = (along.get(i.abs_diff(p[0])), across.get(j.abs_diff(p[1]))) else {
                            continue;
                        };
                        // What lies outside the field's box is not looked at.
                        if votes.get([i, j, k]) && i > 3 && j < 20 {
                            sum += a * b * (f32::from(values[i + 70 * (j + 23 * k)].clamp(-105, 45)) + 30.0);
                            weight += a * b;
                        }
                    }
                }
            }
            if sum.abs() > 1e-3 {
                let expected = field.get(p) && sum < 0.0 && weight >= 0.3 * slices;
                assert_eq!(found.get(p), expected, "at {p:?}: {sum} of {weight}");
                seen[usize::from(expected)] += 1;
            }
        }
        assert!(seen[0] > 100 && seen[1] > 100, "{seen:?}");
    }
}
