//! Connected components of bit masks, by runs of voxels.

use std::ops::Range;

use rayon::prelude::*;

use super::{BitMask, runs_of_row};

/// Which voxels touch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Neighbours {
    /// Six, by faces.
    Faces,
    /// Twenty-six, by corners too.
    Corners,
}

/// Voxels `start..end` of one row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Run {
    /// First column.
    pub(crate) start: u32,
    /// One past the last column.
    pub(crate) end: u32,
}

/// The connected components of a mask, numbered in the order their first voxels appear.
#[derive(Clone, Debug)]
pub(crate) struct Components {
    size: [usize; 3],
    runs: Vec<Run>,
    /// Where each row's runs begin.
    row_start: Vec<u32>,
    /// The component of each run.
    of_run: Vec<u32>,
    /// Voxels of each component.
    pub(crate) sizes: Vec<usize>,
}

impl Components {
    /// Finds them.
    pub(crate) fn of(mask: &BitMask, neighbours: Neighbours) -> Self {
        let size = mask.size();
        let (runs, row_start) = runs_of(mask);
        let mut parent: Vec<u32> = (0..runs.len() as u32).collect();
        let gap = u32::from(neighbours == Neighbours::Corners);
        let range = |row: usize| row_start[row] as usize..row_start[row + 1] as usize;
        for row in 0..mask.rows() {
            let here = range(row);
            if here.is_empty() {
                continue;
            }
            let (j, k) = (row % size[1], row / size[1]);
            let mut join = |other: usize| union_rows(&runs, &mut parent, here.clone(), range(other), gap);
            if j > 0 {
                join(row - 1);
            }
            if k > 0 {
                join(row - size[1]);
                if gap == 1 && j > 0 {
                    join(row - size[1] - 1);
                }
                if gap == 1 && j + 1 < size[1] {
                    join(row - size[1] + 1);
                }
            }
        }
        let (of_run, sizes) = number(&runs, &mut parent);
        Self { size, runs, row_start, of_run, sizes }
    }

    /// Number of components.
    pub(crate) fn len(&self) -> usize {
        self.sizes.len()
    }

    /// The largest component, if there is one; of equals the first.
    pub(crate) fn largest(&self) -> Option<usize> {
        (0..self.len()).max_by_key(|&c| (self.sizes[c], std::cmp::Reverse(c)))
    }

    /// Component numbers, largest first.
    pub(crate) fn by_size(&self) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.len()).collect();
        order.sort_by_key(|&c| (std::cmp::Reverse(self.sizes[c]), c));
        order
    }

    /// The voxels of the components that `keep` wants.
    pub(crate) fn mask_of(&self, mut keep: impl FnMut(usize) -> bool) -> BitMask {
        let kept: Vec<bool> = (0..self.len()).map(&mut keep).collect();
        let mut mask = BitMask::empty(self.size);
        self.for_runs(|component, row, run| {
            if kept[component] {
                mask.set_run(row, run.start as usize, run.end as usize);
            }
        });
        mask
    }

    /// The voxels of one component that lie within bounds, on a grid of those bounds.
    pub(crate) fn cropped(&self, component: usize, bounds: &[Range<usize>; 3]) -> BitMask {
        let [columns, rows, slices] = bounds;
        let mut mask = BitMask::empty([columns.len(), rows.len(), slices.len()]);
        let mut to = 0;
        for k in slices.clone() {
            for row in k * self.size[1] + rows.start..k * self.size[1] + rows.end {
                for n in self.row_start[row] as usize..self.row_start[row + 1] as usize {
                    let start = (self.runs[n].start as usize).clamp(columns.start, columns.end);
                    let end = (self.runs[n].end as usize).clamp(columns.start, columns.end);
                    if self.of_run[n] as usize == component && start < end {
                        mask.set_run(to, start - columns.start, end - columns.start);
                    }
                }
                to += 1;
            }
        }
        mask
    }

    /// The voxels of components of at least `voxels`.
    pub(crate) fn at_least(&self, voxels: usize) -> BitMask {
        self.mask_of(|c| self.sizes[c] >= voxels)
    }

    /// Which components share a voxel with `seeds`.
    pub(crate) fn touching(&self, seeds: &BitMask) -> Vec<bool> {
        let mut touched = vec![false; self.len()];
        self.for_runs(|component, row, run| {
            if !touched[component] {
                let words = seeds.row(row);
                let (first, last) = (run.start as usize / 64, (run.end as usize - 1) / 64);
                touched[component] = (first..=last).any(|w| {
                    let mut bits = words[w];
                    if w == first {
                        bits &= u64::MAX << (run.start % 64);
                    }
                    if w == last {
                        bits &= u64::MAX >> (63 - (run.end - 1) % 64);
                    }
                    bits != 0
                });
            }
        });
        touched
    }

    /// Calls `f(component, row, run)` for each run, in order.
    pub(crate) fn for_runs(&self, mut f: impl FnMut(usize, usize, Run)) {
        for row in 0..self.row_start.len() - 1 {
            for n in self.row_start[row] as usize..self.row_start[row + 1] as usize {
                f(self.of_run[n] as usize, row, self.runs[n]);
            }
        }
    }
}

/// The runs of each row, and where each row's begin.
fn runs_of(mask: &BitMask) -> (Vec<Run>, Vec<u32>) {
    let [_, nj, nk] = mask.size();
    let slices: Vec<(Vec<Run>, Vec<u32>)> = (0..nk)
        .into_par_iter()
        .map(|k| {
            let (mut runs, mut counts) = (Vec::new(), Vec::with_capacity(nj));
            for row in k * nj..(k + 1) * nj {
                let before = runs.len();
                runs_of_row(mask.row(row), |a, b| runs.push(Run { start: a as u32, end: b as u32 }));
                counts.push((runs.len() - before) as u32);
            }
            (runs, counts)
        })
        .collect();
    let mut row_start = Vec::with_capacity(mask.rows() + 1);
    let mut runs = Vec::with_capacity(slices.iter().map(|s| s.0.len()).sum());
    let mut total = 0;
    for (part, counts) in slices {
        for count in counts {
            row_start.push(total);
            total += count;
        }
        runs.extend(part);
    }
    row_start.push(total);
    (runs, row_start)
}

/// Joins the runs of one row with those of another that touch them.
fn union_rows(runs: &[Run], parent: &mut [u32], here: Range<usize>, there: Range<usize>, gap: u32) {
    let (mut a, mut b) = (here.start, there.start);
    while a < here.end && b < there.end {
        let (x, y) = (runs[a], runs[b]);
        if x.start < y.end + gap && y.start < x.end + gap {
            let (p, q) = (root(parent, a as u32), root(parent, b as u32));
            // The lower number leads, so that numbering does not depend on the order of joining.
            parent[p.max(q) as usize] = p.min(q);
        }
        if x.end < y.end {
            a += 1;
        } else {
            b += 1;
        }
    }
}

fn root(parent: &mut [u32], mut n: u32) -> u32 {
    while parent[n as usize] != n {
        parent[n as usize] = parent[parent[n as usize] as usize];
        n = parent[n as usize];
    }
    n
}

/// Component numbers of the runs, and the components' sizes.
fn number(runs: &[Run], parent: &mut [u32]) -> (Vec<u32>, Vec<usize>) {
    let mut numbers = vec![0u32; runs.len()];
    let mut sizes: Vec<usize> = Vec::new();
    for n in 0..runs.len() {
        let r = root(parent, n as u32) as usize;
        if r == n {
            numbers[n] = sizes.len() as u32;
            sizes.push(0);
        } else {
            numbers[n] = numbers[r];
        }
        sizes[numbers[n] as usize] += (runs[n].end - runs[n].start) as usize;
    }
    (numbers, sizes)
}

/// A connected region of one slice.
#[derive(Clone, Debug)]
pub(crate) struct SliceRegion {
    /// Its runs with their rows (within the slice).
    pub(crate) runs: Vec<(usize, Run)>,
    /// Number of voxels.
    pub(crate) area: usize,
    /// First and one past the last column.
    pub(crate) columns: [usize; 2],
    /// First and one past the last row.
    pub(crate) rows: [usize; 2],
}

/// The face-connected regions of one slice, given as its rows of words.
pub(crate) fn slice_components(words: &[u64], words_per_row: usize) -> Vec<SliceRegion> {
    let mut runs: Vec<(usize, Run)> = Vec::new();
    let mut parent: Vec<u32> = Vec::new();
    let mut plain: Vec<Run> = Vec::new();
    let mut previous = 0..0;
    for (j, row) in words.chunks_exact(words_per_row).enumerate() {
        let begin = plain.len();
        runs_of_row(row, |a, b| {
            let run = Run { start: a as u32, end: b as u32 };
            parent.push(plain.len() as u32);
            plain.push(run);
            runs.push((j, run));
        });
        let here = begin..plain.len();
        union_rows(&plain, &mut parent, here.clone(), previous, 0);
        previous = here;
    }
    let (numbers, sizes) = number(&plain, &mut parent);
    let mut regions: Vec<SliceRegion> = sizes
        .iter()
        .map(|&area| SliceRegion { runs: Vec::new(), area, columns: [usize::MAX, 0], rows: [usize::MAX, 0] })
        .collect();
    for ((j, run), n) in runs.into_iter().zip(numbers) {
        let region = &mut regions[n as usize];
        region.columns = [region.columns[0].min(run.start as usize), region.columns[1].max(run.end as usize)];
        region.rows = [region.rows[0].min(j), region.rows[1].max(j + 1)];
        region.runs.push((j, run));
    }
    regions
}

#[cfg(test)]
mod tests {
    use super::super::tests::{mask, scattered};
    use super::*;

    /// Sizes by flooding voxel after voxel.
    fn flooded(m: &BitMask, corners: bool) -> Vec<usize> {
        let size = m.size();
        let mut seen = BitMask::empty(size);
        let mut sizes = vec![];
        for n in 0..size.iter().product::<usize>() {
            let start = [n % size[0], n / size[0] % size[1], n / size[0] / size[1]];
            if !m.get(start) || seen.get(start) {
                continue;
            }
            let (mut stack, mut count) = (vec![start], 0);
            seen.set(start);
            while let Some(p) = stack.pop() {
                count += 1;
                for d in 0..27usize {
                    let d = [d % 3, d / 3 % 3, d / 9];
                    if !corners && d.iter().filter(|&&x| x != 1).count() != 1 {
                        continue;
                    }
                    let q: Vec<usize> = (0..3).map(|a| (p[a] + d[a]).wrapping_sub(1)).collect();
                    if (0..3).all(|a| q[a] < size[a]) && m.get([q[0], q[1], q[2]]) && !seen.get([q[0], q[1], q[2]]) {
                        seen.set([q[0], q[1], q[2]]);
                        stack.push([q[0], q[1], q[2]]);
                    }
                }
            }
            sizes.push(count);
        }
        sizes
    }

    #[test]
    fn sizes_and_order_match_flooding() {
        for one_in in [2, 3, 5] {
            let m = scattered([100, 11, 7], one_in);
            assert_eq!(Components::of(&m, Neighbours::Faces).sizes, flooded(&m, false), "faces, one in {one_in}");
            assert_eq!(Components::of(&m, Neighbours::Corners).sizes, flooded(&m, true), "corners, one in {one_in}");
        }
    }

    #[test]
    fn masks_of_components_add_up() {
        let m = scattered([100, 11, 7], 3);
        let c = Components::of(&m, Neighbours::Faces);
        assert_eq!(c.mask_of(|_| true), m);
        let largest = c.largest().unwrap();
        assert_eq!(c.mask_of(|n| n == largest).count(), c.sizes[largest]);
        let seed = c.mask_of(|n| n == largest);
        let bounds = [60..97, 2..9, 1..6];
        let part = mask([37, 7, 5], |[i, j, k]| seed.get([i + 60, j + 2, k + 1]));
        assert_eq!(c.cropped(largest, &bounds), part);
        assert_eq!(c.touching(&seed).iter().filter(|&&t| t).count(), 1);
    }

    #[test]
    fn slice_regions_know_their_extent() {
        let m = mask([80, 10, 1], |[i, j, _]| (5..70).contains(&i) && (2..4).contains(&j) || (i == 75 && j == 9));
        let regions = slice_components(&m.words, m.words_per_row);
        let found: Vec<_> = regions.iter().map(|r| (r.area, r.columns, r.rows)).collect();
        assert_eq!(found, [(130, [5, 70], [2, 4]), (1, [75, 76], [9, 10])]);
    }
}
