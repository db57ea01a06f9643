//! Dilation, erosion and majority of bit masks.

use rayon::prelude::*;

use super::BitMask;

/// A ball in millimetres, as the rows of voxels it covers.
#[derive(Clone, Debug)]
pub(crate) struct Ball {
    /// Half the length of a row, and the rows `(dj, dk)` of that length.
    rows: Vec<(usize, Vec<[isize; 2]>)>,
}

impl Ball {
    /// All voxel centres within `radius_mm` of the middle one.
    pub(crate) fn new(radius_mm: f64, spacing: [f64; 3]) -> Self {
        Self::ellipsoid(spacing.map(|s| radius_mm / s))
    }

    /// The same inside the slice only, for scans whose slices are thick.
    pub(crate) fn in_plane(radius_mm: f64, spacing: [f64; 3]) -> Self {
        Self::ellipsoid([radius_mm / spacing[0], radius_mm / spacing[1], 0.0])
    }

    fn ellipsoid(radius: [f64; 3]) -> Self {
        let mut rows: Vec<(usize, Vec<[isize; 2]>)> = Vec::new();
        let reach = |r: f64| (r + 1e-9) as isize;
        let part = |d: isize, r: f64| if d == 0 { 0.0 } else { (d as f64 / r).powi(2) };
        for dk in -reach(radius[2])..=reach(radius[2]) {
            for dj in -reach(radius[1])..=reach(radius[1]) {
                let rest = 1.0 + 1e-9 - part(dj, radius[1]) - part(dk, radius[2]);
                if rest < 0.0 {
                    continue;
                }
                let half = (radius[0] * rest.sqrt() + 1e-9) as usize;
                match rows.iter_mut().find(|(h, _)| *h == half) {
                    Some((_, offsets)) => offsets.push([dj, dk]),
                    None => rows.push((half, vec![[dj, dk]])),
                }
            }
        }
        Self { rows }
    }
}

impl BitMask {
    /// All voxels the ball reaches from a set one. Outside the grid nothing is set.
    pub(crate) fn dilate(&self, ball: &Ball) -> Self {
        self.sweep(ball, 0)
    }

    /// All voxels whose whole ball is set. Outside the grid everything counts as set, so that what the scan cuts off does
    /// not shrink from the cut.
    pub(crate) fn erode(&self, ball: &Ball) -> Self {
        self.sweep(ball, u64::MAX)
    }

    /// Erosion, then dilation: what is thinner than the ball goes.
    pub(crate) fn open(&self, ball: &Ball) -> Self {
        self.erode(ball).dilate(ball)
    }

    /// Dilation, then erosion: gaps narrower than the ball close.
    pub(crate) fn close(&self, ball: &Ball) -> Self {
        self.dilate(ball).erode(ball)
    }

    /// Dilation of the mask (`invert` 0) or of its complement (`invert` all ones), complemented back.
    fn sweep(&self, ball: &Ball, invert: u64) -> Self {
        let [_, nj, nk] = self.size;
        let (n, tail) = (self.words_per_row, self.tail());
        let busy: Vec<bool> = (0..self.rows())
            .into_par_iter()
            .with_min_len(256)
            .map(|row| {
                let words = self.row(row);
                words[..n - 1].iter().any(|w| w ^ invert != 0) || (words[n - 1] ^ invert) & tail != 0
            })
            .collect();
        let mut out = Self::empty(self.size);
        out.words.par_chunks_exact_mut(n * nj).enumerate().for_each(|(k, slice)| {
            let mut group = vec![0u64; n];
            let mut scratch = vec![0u64; n];
            for (j, target) in slice.chunks_exact_mut(n).enumerate() {
                for (half, offsets) in &ball.rows {
                    let mut any = false;
                    group.fill(0);
                    for &[dj, dk] in offsets {
                        let (Some(j), Some(k)) = (j.checked_add_signed(dj), k.checked_add_signed(dk)) else { continue };
                        if j < nj && k < nk && busy[k * nj + j] {
                            any = true;
                            let source = self.row(k * nj + j);
                            group.iter_mut().zip(source).for_each(|(g, s)| *g |= s ^ invert);
                        }
                    }
                    if any {
                        group[n - 1] &= tail;
                        dilate_row(&mut group, &mut scratch, *half);
                        target.iter_mut().zip(&group).for_each(|(t, g)| *t |= g);
                    }
                }
                target.iter_mut().for_each(|t| *t ^= invert);
                target[n - 1] &= tail;
            }
        });
        out
    }

    /// The voxels right above and below set ones.
    pub(crate) fn neighbour_slices(&self) -> Self {
        let n = self.words_per_row * self.size[1];
        let mut out = Self::empty(self.size);
        if self.size[2] > 1 {
            let inner = self.words.len() - n;
            out.words[n..].copy_from_slice(&self.words[..inner]);
            out.words[..inner].iter_mut().zip(&self.words[n..]).for_each(|(a, b)| *a |= b);
        }
        out
    }

    /// Sets a voxel if at least five of the 3×3 around it in its slice are set: smooths borders, removes specks.
    pub(crate) fn majority_in_plane(&self) -> Self {
        let [_, nj, _] = self.size;
        let (n, tail) = (self.words_per_row, self.tail());
        let mut out = Self::empty(self.size);
        let zero = vec![0u64; n];
        out.words.par_chunks_exact_mut(n * nj).enumerate().for_each(|(k, slice)| {
            let row_at = |j: Option<usize>| j.filter(|&j| j < nj).map_or(&zero[..], |j| self.row(k * nj + j));
            for (j, target) in slice.chunks_exact_mut(n).enumerate() {
                let rows = [row_at(j.checked_sub(1)), row_at(Some(j)), row_at(Some(j + 1))];
                if rows.iter().all(|r| r.iter().all(|&w| w == 0)) {
                    continue;
                }
                for w in 0..n {
                    // Column sums of the three rows as two bit planes, for this word and its two shifted neighbours.
                    let plane = |r: &[u64]| [left(r, w), r[w], right(r, w)];
                    let [a, b, c] = [plane(rows[0]), plane(rows[1]), plane(rows[2])];
                    let (mut ones, mut carries) = ([0; 3], [0; 3]);
                    for x in 0..3 {
                        ones[x] = a[x] ^ b[x] ^ c[x];
                        carries[x] = (a[x] & b[x]) | (c[x] & (a[x] ^ b[x]));
                    }
                    let s0 = ones[0] ^ ones[1] ^ ones[2];
                    let c0 = (ones[0] & ones[1]) | (ones[2] & (ones[0] ^ ones[1]));
                    // Sum = s0 + 2·(c0 + three carries); at least 5 means twos ≥ 3, or twos = 2 with s0.
                    let t = carries[0] ^ carries[1] ^ carries[2];
                    let u = (carries[0] & carries[1]) | (carries[2] & (carries[0] ^ carries[1]));
                    let (low, high) = (t ^ c0, u ^ (t & c0));
                    let four = u & t & c0;
                    target[w] = four | (high & low) | (high & !low & s0);
                }
                target[n - 1] &= tail;
            }
        });
        out
    }
}

/// Bit `i` holds the voxel to the lower side of voxel `i`.
fn left(row: &[u64], w: usize) -> u64 {
    row[w] << 1 | if w > 0 { row[w - 1] >> 63 } else { 0 }
}

/// Bit `i` holds the voxel to the upper side of voxel `i`.
fn right(row: &[u64], w: usize) -> u64 {
    row[w] >> 1 | row.get(w + 1).map_or(0, |next| next << 63)
}

/// Widens each run by `half` on both sides, in steps that each double the reach: no more, since what a step pushes past
/// the end of the row must not be missed by the next.
fn dilate_row(row: &mut [u64], scratch: &mut [u64], half: usize) {
    let mut reach = 0;
    while reach < half {
        let step = (reach + 1).min(half - reach).min(63);
        scratch.copy_from_slice(row);
        for w in 0..row.len() {
            let below = if w > 0 { scratch[w - 1] >> (64 - step) } else { 0 };
            let above = scratch.get(w + 1).map_or(0, |next| next << (64 - step));
            row[w] |= scratch[w] << step | below | scratch[w] >> step | above;
        }
        reach += step;
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{mask, scattered};
    use super::*;

    fn plain_dilate(m: &BitMask, radius_mm: f64, s: [f64; 3]) -> BitMask {
        let size = m.size();
        let mut set = vec![];
        m.for_runs(0..size[2], |row, a, b| set.extend((a..b).map(|i| [i, row % size[1], row / size[1]])));
        mask(size, |p| {
            set.iter().any(|q| {
                (0..3).map(|a| ((p[a] as f64 - q[a] as f64) * s[a]).powi(2)).sum::<f64>()
                    <= radius_mm * radius_mm + 1e-9
            })
        })
    }

    #[test]
    fn dilation_is_the_ball_in_millimetres() {
        let m = scattered([150, 14, 9], 300);
        for (radius, spacing) in [(2.0, [1.0; 3]), (3.0, [0.8, 0.8, 2.5]), (7.3, [0.5, 1.0, 5.0])] {
            let expected = plain_dilate(&m, radius, spacing);
            assert!(m.dilate(&Ball::new(radius, spacing)) == expected, "{radius} mm at {spacing:?}");
        }
    }

    #[test]
    fn erosion_is_dilation_of_the_outside_and_spares_the_cut() {
        let m = mask([70, 12, 6], |[i, j, _]| i < 40 && j > 3);
        let eroded = m.erode(&Ball::new(2.0, [1.0; 3]));
        assert_eq!(eroded, mask([70, 12, 6], |[i, j, _]| i < 38 && j > 5));
        let opened =
            mask([70, 12, 6], |[i, j, _]| (10..12).contains(&i) && j < 4 || j > 6).open(&Ball::in_plane(2.0, [1.0; 3]));
        assert_eq!(opened, mask([70, 12, 6], |[_, j, _]| j > 6));
    }

    #[test]
    fn majority_counts_nine() {
        let m = scattered([130, 9, 2], 2);
        let size = m.size();
        let expected = mask(size, |[i, j, k]| {
            let near = |i: usize, j: usize| i < size[0] && j < size[1] && m.get([i, j, k]);
            let neighbours = (0..9).filter(|n| near((i + n % 3).wrapping_sub(1), (j + n / 3).wrapping_sub(1)));
            neighbours.count() >= 5
        });
        assert_eq!(m.majority_in_plane(), expected);
    }
}
