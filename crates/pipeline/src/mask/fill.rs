//! Holes of bit masks.

use rayon::prelude::*;

use super::{BitMask, Components, Neighbours, set_bits, slice_components};

/// What counts as a hole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fill {
    /// What no path of voxels joins to the border of the grid.
    Volume,
    /// What no path inside the axial slice joins to the border of the slice.
    Slices,
}

impl BitMask {
    /// The mask with its holes filled.
    pub(crate) fn filled(mut self, fill: Fill) -> Self {
        match fill {
            Fill::Slices => {
                self.fill_slices(|_, _| true);
                self
            }
            Fill::Volume => {
                let outside = self.complement();
                let [ni, nj, nk] = self.size();
                let components = Components::of(&outside, Neighbours::Faces);
                let mut open = vec![false; components.len()];
                components.for_runs(|c, row, run| {
                    let (j, k) = (row % nj, row / nj);
                    let edge = j == 0 || j + 1 == nj || k == 0 || k + 1 == nk;
                    open[c] |= edge || run.start == 0 || run.end as usize == ni;
                });
                self.or(&components.mask_of(|c| !open[c]))
            }
        }
    }

    /// Fills the holes of each slice that `wanted(slice, hole)` accepts.
    pub(crate) fn fill_slices(&mut self, wanted: impl Fn(usize, &super::components::SliceRegion) -> bool + Sync) {
        let [ni, nj, _] = self.size;
        let (n, tail) = (self.words_per_row, self.tail());
        self.words.par_chunks_exact_mut(n * nj).enumerate().for_each(|(k, slice)| {
            if slice.iter().all(|&w| w == 0) {
                return;
            }
            let outside: Vec<u64> = slice
                .iter()
                .enumerate()
                .map(|(w, bits)| !bits & if w % n == n - 1 { tail } else { u64::MAX })
                .collect();
            for region in slice_components(&outside, n) {
                let open =
                    region.columns[0] == 0 || region.columns[1] == ni || region.rows[0] == 0 || region.rows[1] == nj;
                if !open && wanted(k, &region) {
                    for (j, run) in region.runs {
                        set_bits(&mut slice[j * n..(j + 1) * n], run.start as usize, run.end as usize);
                    }
                }
            }
        });
    }

    /// Everything that is not set.
    pub(crate) fn complement(&self) -> Self {
        let (n, tail) = (self.words_per_row, self.tail());
        let mut out = self.clone();
        for (w, bits) in out.words.iter_mut().enumerate() {
            *bits = !*bits & if w % n == n - 1 { tail } else { u64::MAX };
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::mask;
    use super::*;

    fn within([i, j, k]: [usize; 3], low: usize, high: usize) -> bool {
        [i, j, k].iter().all(|x| (low..high).contains(x))
    }

    #[test]
    fn a_box_with_a_hollow_is_filled_and_an_open_one_only_in_its_slices() {
        let size = [70, 20, 20];
        let full = mask(size, |p| within(p, 2, 18));
        let hollow = mask(size, |p| within(p, 2, 18) && !within(p, 5, 15));
        assert_eq!(hollow.clone().filled(Fill::Volume), full);
        // A shaft along k opens the hollow to the border in the volume, but in no slice.
        let open = mask(size, |p| within(p, 2, 18) && !within(p, 5, 15) && !(p[0] == 9 && p[1] == 9));
        assert_eq!(open.clone().filled(Fill::Volume), open);
        assert_eq!(open.filled(Fill::Slices), full);
    }
}
