//! Thick slices over thin voxels: averaging down, and interpolation up by a cubic B-spline.

use super::banded::Banded;

/// The pole of the cubic B-spline's inverse filter, √3 − 2 (Unser, Aldroubi & Eden, IEEE TSP 1993).
const POLE: f64 = -0.267_949_192_431_122_7;

/// Rounds of back-projection in what the network is shown.
pub(super) const BASE_ROUNDS: usize = 3;

/// Divides distances in voxels before the network sees them.
pub(super) const FACTOR_SCALE: f64 = 8.0;

/// How thick slices lie over voxels of the same axis. Voxel `v` reaches from `v` to `v + 1`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SliceLayout {
    /// Thick slices.
    pub slices: usize,
    /// Thin voxels.
    pub voxels: usize,
    /// Voxels from one slice to the next; need not be whole.
    pub factor: f64,
    /// Thickness of a slice over its distance to the next: 1 if they touch.
    pub thickness: f64,
    /// Where the first slice's share of the axis begins, in voxels.
    pub start: f64,
}

impl SliceLayout {
    /// Touching slices whose outer edges are those of the voxels.
    pub fn edge_to_edge(slices: usize, voxels: usize) -> Self {
        Self { slices, voxels, factor: voxels as f64 / slices as f64, thickness: 1.0, start: 0.0 }
    }

    /// Touching slices of `factor` voxels, as many as fit into so many, and the voxels they reach.
    pub(super) fn touching(voxels: usize, factor: f64) -> Self {
        let slices = (voxels as f64 / factor).floor();
        let voxels = ((slices * factor + 1e-6).floor() as usize).min(voxels);
        Self { slices: slices as usize, voxels, factor, thickness: 1.0, start: 0.0 }
    }

    /// Where the centre of voxel `v` lies, in slices from the first one's centre.
    pub(super) fn position(&self, v: usize) -> f64 {
        (v as f64 + 0.5 - self.start) / self.factor - 0.5
    }

    /// Lower and upper edge of slice `k`, in voxels; never less than one voxel apart.
    fn edges(&self, k: usize) -> [f64; 2] {
        let center = self.start + (k as f64 + 0.5) * self.factor;
        let half = (self.thickness * self.factor).max(1.0) / 2.0;
        [center - half, center + half]
    }

    /// Slices as averages of the voxels they cover, in part where they cover a voxel in part.
    pub(super) fn average(&self) -> Banded {
        let row = |k: usize| {
            let mut row = vec![0.0; self.voxels];
            self.covered(k, |v, w| row[v] = w);
            row
        };
        Banded::new(self.voxels, (0..self.slices).map(row))
    }

    /// Voxels by a cubic B-spline through the slices at their centres, mirrored about the outermost ones. Then `rounds` of
    /// back-projection (Irani & Peleg, CVGIP 1991): what averages lack is interpolated and added, which sharpens.
    pub(super) fn interpolate(&self, rounds: usize) -> Banded {
        let n = self.slices;
        // Column c: the B-spline's coefficients for a one in slice c.
        let columns: Vec<Vec<f64>> = (0..n)
            .map(|c| {
                let mut values: Vec<f64> = (0..n).map(|k| if k == c { 1.0 } else { 0.0 }).collect();
                prefilter(&mut values);
                values
            })
            .collect();
        let row = |v: usize| -> Vec<f64> {
            let (base, w) = weights(self.position(v));
            let at = [0, 1, 2, 3].map(|i| mirror(base + i - 1, n));
            columns.iter().map(|c| (0..4).map(|i| w[i] * c[at[i]]).sum()).collect()
        };
        let rows: Vec<Vec<f64>> = (0..self.voxels).map(row).collect();
        if rounds == 0 {
            return Banded::new(n, rows);
        }
        // With E = 1 − average · spline, the rounds together are spline · (1 + E + E² + …).
        let short = Banded::new(n, rows.iter().cloned());
        let mut lacking = vec![vec![0.0; n]; n];
        for (k, row) in lacking.iter_mut().enumerate() {
            self.covered(k, |v, w| rows[v].iter().zip(&mut *row).for_each(|(r, e)| *e -= w * r));
            row[k] += 1.0;
        }
        let mut sum = identity(n);
        for _ in 0..rounds {
            // 1 + E · what there is so far.
            sum = lacking.iter().map(|e| combined(e.iter().copied().enumerate(), &sum, n)).collect();
            sum.iter_mut().enumerate().for_each(|(k, row)| row[k] += 1.0);
        }
        Banded::new(n, (0..self.voxels).map(|v| combined(short.row(v), &sum, n)))
    }

    /// Tells the voxels that slice `k` covers, each with its share of the average.
    fn covered(&self, k: usize, mut tell: impl FnMut(usize, f64)) {
        let [low, high] = self.edges(k);
        let share = |v: usize| ((v as f64 + 1.0).min(high) - (v as f64).max(low)).max(0.0);
        let reached =
            (low.floor().max(0.0) as usize).min(self.voxels)..(high.ceil().max(0.0) as usize).min(self.voxels);
        let sum: f64 = reached.clone().map(share).sum();
        if sum > 0.0 {
            reached.for_each(|v| tell(v, share(v) / sum));
        }
    }

    /// What the network is told of every voxel: how far apart the measured slices around it lie and how thick they are, both
    /// over 8 voxels; cosine and sine of the place within a slice, angle 0 at its centre.
    pub(super) fn hints(&self, missing: &[usize]) -> Vec<[f32; 4]> {
        let measured: Vec<usize> = (0..self.slices).filter(|k| !missing.contains(k)).collect();
        let apart = |position: f64| {
            let own = position.round().clamp(0.0, (self.slices - 1) as f64) as usize;
            let above = measured.partition_point(|&k| k < own);
            match (above.checked_sub(1).map(|b| measured[b]), measured.get(above)) {
                (Some(low), Some(&high)) if high > own => (high - low) as f64,
                _ => 1.0,
            }
        };
        (0..self.voxels)
            .map(|v| {
                let position = self.position(v);
                let angle = std::f64::consts::TAU * position;
                let lengths = [apart(position), self.thickness].map(|l| l * self.factor / FACTOR_SCALE);
                [lengths[0] as f32, lengths[1] as f32, angle.cos() as f32, angle.sin() as f32]
            })
            .collect()
    }
}

fn identity(n: usize) -> Vec<Vec<f64>> {
    (0..n).map(|k| (0..n).map(|c| if c == k { 1.0 } else { 0.0 }).collect()).collect()
}

/// A sum of rows.
fn combined(weights: impl Iterator<Item = (usize, f64)>, rows: &[Vec<f64>], n: usize) -> Vec<f64> {
    let mut out = vec![0.0; n];
    for (k, w) in weights.filter(|(_, w)| *w != 0.0) {
        out.iter_mut().zip(&rows[k]).for_each(|(o, r)| *o += w * r);
    }
    out
}

/// Fills missing slices between measured ones, of `plane` voxels each, by a cubic that stays between its ends (Fritsch &
/// Butland, SIAM J. Sci. Stat. Comput. 1984): at the gap's edges a spline would swing beyond what there is. Beyond the outermost measured slice its
/// values are repeated.
pub(super) fn fill_gaps(slices: &mut [f32], plane: usize, missing: &[usize]) {
    let n = slices.len() / plane;
    let known: Vec<usize> = (0..n).filter(|k| !missing.contains(k)).collect();
    for &k in missing {
        let above = known.partition_point(|&x| x < k);
        let (low, high) = (above.checked_sub(1).map(|b| known[b]), known.get(above).copied());
        let [Some(low), Some(high)] = [low, high] else {
            if let Some(nearest) = low.or(high) {
                slices.copy_within(nearest * plane..(nearest + 1) * plane, k * plane);
            }
            continue;
        };
        let beyond = [low.checked_sub(1), Some(high + 1)].map(|b| b.filter(|b| known.binary_search(b).is_ok()));
        let width = (high - low) as f32;
        let t = (k - low) as f32 / width;
        for at in 0..plane {
            let value = |k: usize| slices[k * plane + at];
            let [a, b] = [low, high].map(value);
            let across = (b - a) / width;
            let slope = |outer: Option<f32>| match outer {
                // A weighted harmonic mean, or level at a peak.
                Some(outer) if outer * across > 0.0 => {
                    3.0 * (width + 1.0) / ((2.0 * width + 1.0) / outer + (width + 2.0) / across)
                }
                Some(_) => 0.0,
                None => across,
            };
            let from = slope(beyond[0].map(|k| a - value(k)));
            let to = slope(beyond[1].map(|k| value(k) - b));
            let (u, rest) = (1.0 - t, t * (1.0 - t) * width);
            let filled = a * u * u * (1.0 + 2.0 * t) + b * t * t * (3.0 - 2.0 * t) + rest * (u * from - t * to);
            slices[k * plane + at] = filled;
        }
    }
}

/// Index of a sample in a signal that is mirrored about its outermost ones.
fn mirror(at: isize, n: usize) -> usize {
    if n == 1 {
        return 0;
    }
    let period = 2 * (n as isize - 1);
    let within = at.rem_euclid(period);
    within.min(period - within) as usize
}

/// The index below a position and the four weights of the cubic B-spline around it.
fn weights(position: f64) -> (isize, [f64; 4]) {
    let base = position.floor();
    let t = position - base;
    let w = [
        (1.0 - t).powi(3) / 6.0,
        2.0 / 3.0 - t * t * (2.0 - t) / 2.0,
        2.0 / 3.0 - (1.0 - t).powi(2) * (1.0 + t) / 2.0,
        t.powi(3) / 6.0,
    ];
    (base as isize, w)
}

/// From samples to coefficients of the cubic B-spline, mirrored about the outermost samples.
fn prefilter(values: &mut [f64]) {
    let n = values.len();
    if n < 2 {
        return;
    }
    let z = POLE;
    values.iter_mut().for_each(|v| *v *= (1.0 - z) * (1.0 - 1.0 / z));
    // The causal sum over the mirrored, periodic signal.
    let period = 2 * (n - 1);
    let mut sum = 0.0;
    for k in 0..period.min(64) {
        sum += values[mirror(k as isize, n)] * z.powi(k as i32);
    }
    values[0] = if period <= 64 { sum / (1.0 - z.powi(period as i32)) } else { sum };
    for k in 1..n {
        values[k] += z * values[k - 1];
    }
    values[n - 1] = z / (z * z - 1.0) * (values[n - 1] + z * values[n - 2]);
    for k in (0..n - 1).rev() {
        values[k] = z * (values[k + 1] - values[k]);
    }
}

#[cfg(test)]
mod tests;
