//! Seeds that grow inside a mask and compete for it.

use rayon::prelude::*;

use super::BitMask;

/// Grows `a` and `b` in step through the voxels of `within` until neither can go on or after `steps` steps along a row.
///
/// A step moves by one voxel across the slice; across slices it waits until as many millimetres are covered. Where both
/// arrive in the same step, `a` wins.
pub(crate) fn compete(a: BitMask, b: BitMask, within: &BitMask, spacing: [f64; 3], steps: usize) -> (BitMask, BitMask) {
    let every = ((spacing[2] / spacing[0].min(spacing[1])).round() as usize).max(1);
    let mut fronts = [Front::new(a), Front::new(b)];
    for step in 1..=steps {
        let across = step % every == 0;
        let [first, second] = &mut fronts;
        let moved = first.grow(within, &second.mask, across) | second.grow(within, &first.mask, across);
        // Nothing moved inside the slices, and the slices were tried too.
        if !moved && across {
            break;
        }
    }
    let [first, second] = fronts;
    (first.mask, second.mask)
}

struct Front {
    mask: BitMask,
    /// Rows that changed since each was last looked at, inside the slice and across slices.
    fresh: Vec<bool>,
    fresh_across: Vec<bool>,
}

impl Front {
    fn new(mask: BitMask) -> Self {
        let fresh: Vec<bool> = (0..mask.rows()).map(|r| mask.row(r).iter().any(|&w| w != 0)).collect();
        Self { mask, fresh_across: fresh.clone(), fresh }
    }

    /// One step; true if a voxel was won.
    fn grow(&mut self, within: &BitMask, taken: &BitMask, across: bool) -> bool {
        let [_, nj, nk] = self.mask.size();
        let n = self.mask.row(0).len();
        let (fresh, fresh_across, mask) = (&self.fresh, &self.fresh_across, &self.mask);
        let won: Vec<(usize, Vec<u64>)> = (0..mask.rows())
            .into_par_iter()
            .with_min_len(512)
            .filter_map(|row| {
                let (j, k) = (row % nj, row / nj);
                let flat = fresh[row] || (j > 0 && fresh[row - 1]) || (j + 1 < nj && fresh[row + 1]);
                let below = across && k > 0 && fresh_across[row - nj];
                let above = across && k + 1 < nk && fresh_across[row + nj];
                if !(flat || below || above) {
                    return None;
                }
                let here = mask.row(row);
                let mut next = vec![0; n];
                for w in 0..n {
                    let lower = if w > 0 { here[w - 1] >> 63 } else { 0 };
                    let upper = here.get(w + 1).map_or(0, |x| x << 63);
                    next[w] = here[w] << 1 | here[w] >> 1 | lower | upper;
                }
                let mut add = |other: usize| next.iter_mut().zip(mask.row(other)).for_each(|(x, y)| *x |= y);
                if j > 0 {
                    add(row - 1);
                }
                if j + 1 < nj {
                    add(row + 1);
                }
                if below {
                    add(row - nj);
                }
                if above {
                    add(row + nj);
                }
                let mut any = 0;
                for w in 0..n {
                    next[w] &= within.row(row)[w] & !taken.row(row)[w] & !here[w];
                    any |= next[w];
                }
                (any != 0).then_some((row, next))
            })
            .collect();
        self.fresh.fill(false);
        if across {
            self.fresh_across.fill(false);
        }
        for (row, bits) in &won {
            self.mask.row_mut(*row).iter_mut().zip(bits).for_each(|(a, b)| *a |= b);
            self.fresh[*row] = true;
            self.fresh_across[*row] = true;
        }
        !won.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::mask;
    use super::*;

    #[test]
    fn seeds_meet_half_way_and_stay_inside() {
        let size = [100, 5, 3];
        let within = mask(size, |[_, j, _]| (1..4).contains(&j));
        let seed = |at: usize| mask(size, |p| p == [at, 2, 1]);
        let (a, b) = compete(seed(10), seed(90), &within, [1.0; 3], 1000);
        assert_eq!(a.clone().or(&b), within, "all of it is shared out");
        assert!(a.clone().and(&b).is_empty(), "nothing is shared");
        assert!(a.get([49, 2, 1]) && b.get([51, 2, 1]));
    }
}
