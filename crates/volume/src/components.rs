//! Connected components of a mask, by runs and union-find: linear in the runs of its rows.

use std::ops::Range;

use rayon::prelude::*;

use crate::geometry::ImageGeometry;
use crate::grid::Volume;

/// Which voxels touch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Connectivity {
    /// The 6 that share a face.
    Faces,
    /// The 26 that share a face, an edge or a corner.
    Corners,
}

/// One connected component.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Component {
    /// Voxels in it.
    pub voxels: usize,
    /// Lowest column, row and slice.
    pub min: [usize; 3],
    /// Highest column, row and slice, inclusive.
    pub max: [usize; 3],
}

impl Component {
    /// True if a voxel lies on the first or last column or row: in a CT, if it leaves the picture sideways.
    pub fn touches_sides(&self, size: [usize; 3]) -> bool {
        (0..2).any(|a| self.min[a] == 0 || self.max[a] + 1 == size[a])
    }

    /// True if a voxel lies on any of the six faces of the grid.
    pub fn touches_border(&self, size: [usize; 3]) -> bool {
        (0..3).any(|a| self.min[a] == 0 || self.max[a] + 1 == size[a])
    }
}

/// All components of a mask, largest first; of equal ones the one that begins first.
#[derive(Clone, Debug, PartialEq)]
pub struct Components {
    /// 0 outside the mask, else 1 + position in `sizes`.
    pub labels: Volume<u32>,
    /// Voxels of each component.
    pub sizes: Vec<usize>,
}

/// Numbers the components of a mask.
pub fn label_components(mask: &Volume<bool>, connectivity: Connectivity) -> Components {
    let runs = Runs::of(mask, |inside| *inside, connectivity);
    let (components, of_run) = runs.components();
    let mut order: Vec<usize> = (0..components.len()).collect();
    order.sort_by_key(|&c| std::cmp::Reverse(components[c].voxels));
    let mut number = vec![0u32; components.len()];
    for (rank, &component) in order.iter().enumerate() {
        number[component] = rank as u32 + 1;
    }
    let labels = runs.paint(|run| number[of_run[run] as usize]);
    Components { labels, sizes: order.iter().map(|&c| components[c].voxels).collect() }
}

/// The largest face-connected component; of equal ones the one that begins first; empty if the mask is.
pub fn largest(mask: &Volume<bool>) -> Volume<bool> {
    largest_by(mask, Connectivity::Faces)
}

/// The largest component; of equal ones the one that begins first; empty if the mask is.
pub fn largest_by(mask: &Volume<bool>, connectivity: Connectivity) -> Volume<bool> {
    let runs = Runs::of(mask, |inside| *inside, connectivity);
    let (components, of_run) = runs.components();
    let most = components.iter().map(|c| c.voxels).max();
    let best = components.iter().position(|c| Some(c.voxels) == most);
    runs.paint(|run| Some(of_run[run] as usize) == best)
}

/// The components that `keep` accepts; it is asked in the order in which they begin.
pub fn retain(mask: &Volume<bool>, connectivity: Connectivity, keep: impl FnMut(&Component) -> bool) -> Volume<bool> {
    let runs = Runs::of(mask, |inside| *inside, connectivity);
    let (components, of_run) = runs.components();
    let kept: Vec<bool> = components.iter().map(keep).collect();
    runs.paint(|run| kept[of_run[run] as usize])
}

/// The components that hold a seed: all that can be reached from the seeds inside the mask. Seeds outside it count nothing.
pub fn reachable(mask: &Volume<bool>, connectivity: Connectivity, seeds: &[[usize; 3]]) -> Volume<bool> {
    let runs = Runs::of(mask, |inside| *inside, connectivity);
    let (components, of_run) = runs.components();
    let mut kept = vec![false; components.len()];
    for &seed in seeds {
        if let Some(run) = runs.find(seed) {
            kept[of_run[run] as usize] = true;
        }
    }
    runs.paint(|run| kept[of_run[run] as usize])
}

/// Fills what the mask encloses: background that reaches no face of the grid, going through faces of voxels.
pub(crate) fn fill_enclosed(mask: &Volume<bool>) -> Volume<bool> {
    let size = mask.geometry().size();
    let runs = Runs::of(mask, |inside| !*inside, Connectivity::Faces);
    let (components, of_run) = runs.components();
    let open: Vec<bool> = components.iter().map(|c| c.touches_border(size)).collect();
    let mut filled = runs.paint(|run| open[of_run[run] as usize]);
    filled.data_mut().par_iter_mut().for_each(|v| *v = !*v);
    filled
}

/// As [`fill_enclosed`], in each slice by itself.
pub(crate) fn fill_enclosed_in_slices(mask: &Volume<bool>) -> Volume<bool> {
    let mut runs = Runs::of(mask, |inside| !*inside, Connectivity::Faces);
    runs.slices_apart = true;
    let size = mask.geometry().size();
    let (components, of_run) = runs.components();
    let open: Vec<bool> = components.iter().map(|c| c.touches_sides(size)).collect();
    let mut filled = runs.paint(|run| open[of_run[run] as usize]);
    filled.data_mut().par_iter_mut().for_each(|v| *v = !*v);
    filled
}

/// Voxels `start..end` of one row.
#[derive(Clone, Copy, Debug)]
struct Run {
    start: u32,
    end: u32,
}

/// The runs of all rows.
struct Runs {
    geometry: ImageGeometry,
    connectivity: Connectivity,
    /// Slices are not joined with each other.
    slices_apart: bool,
    runs: Vec<Run>,
    /// The first run of each row, and one past the last of all.
    rows: Vec<u32>,
}

impl Runs {
    fn of<T: Sync>(volume: &Volume<T>, inside: impl Fn(&T) -> bool + Sync, connectivity: Connectivity) -> Self {
        let [ni, nj, nk] = volume.geometry().size();
        let slices: Vec<(Vec<Run>, Vec<u32>)> = volume
            .data()
            .par_chunks(ni * nj)
            .map(|slice| {
                let (mut runs, mut counts) = (Vec::new(), Vec::with_capacity(nj));
                for row in slice.chunks_exact(ni) {
                    let before = runs.len();
                    push_runs(row, &inside, &mut runs);
                    counts.push((runs.len() - before) as u32);
                }
                (runs, counts)
            })
            .collect();
        let mut rows = Vec::with_capacity(nj * nk + 1);
        let mut total = 0;
        rows.push(total);
        for (_, counts) in &slices {
            for count in counts {
                total += count;
                rows.push(total);
            }
        }
        let runs = slices.into_iter().flat_map(|(runs, _)| runs).collect();
        Self { geometry: *volume.geometry(), connectivity, slices_apart: false, runs, rows }
    }

    fn row(&self, j: usize, k: usize) -> Range<usize> {
        let row = j + self.geometry.size()[1] * k;
        self.rows[row] as usize..self.rows[row + 1] as usize
    }

    fn find(&self, [i, j, k]: [usize; 3]) -> Option<usize> {
        let size = self.geometry.size();
        if i >= size[0] || j >= size[1] || k >= size[2] {
            return None;
        }
        self.row(j, k).find(|&r| (self.runs[r].start as usize..self.runs[r].end as usize).contains(&i))
    }

    /// The components in the order in which they begin, and the component of each run.
    fn components(&self) -> (Vec<Component>, Vec<u32>) {
        let mut roots = self.joined();
        let mut components = Vec::new();
        let [_, nj, nk] = self.geometry.size();
        for k in 0..nk {
            for j in 0..nj {
                for run in self.row(j, k) {
                    let Run { start, end } = self.runs[run];
                    let (start, end) = (start as usize, end as usize);
                    // A root comes before the runs below it, so its entry already holds a component's number.
                    let root = roots[run] as usize;
                    let component = if root == run { components.len() as u32 } else { roots[root] };
                    roots[run] = component;
                    if root == run {
                        components.push(Component { voxels: 0, min: [start, j, k], max: [end - 1, j, k] });
                    }
                    let c = &mut components[component as usize];
                    c.voxels += end - start;
                    c.min = [c.min[0].min(start), c.min[1].min(j), c.min[2]];
                    c.max = [c.max[0].max(end - 1), c.max[1].max(j), k];
                }
            }
        }
        (components, roots)
    }

    /// The root of each run: the first run of its component.
    fn joined(&self) -> Vec<u32> {
        let [_, nj, nk] = self.geometry.size();
        let mut parents: Vec<u32> = (0..self.runs.len() as u32).collect();
        // Slices are joined inside on all cores, then with each other.
        let mut pieces = Vec::with_capacity(nk);
        let mut rest = &mut parents[..];
        for k in 0..nk {
            let (piece, tail) = rest.split_at_mut(self.row(nj - 1, k).end - self.row(0, k).start);
            pieces.push(piece);
            rest = tail;
        }
        pieces.into_par_iter().enumerate().for_each(|(k, piece)| {
            let first = self.row(0, k).start;
            let mut forest = Forest { parents: piece, first };
            (1..nj).for_each(|j| self.join(&mut forest, self.row(j, k), self.row(j - 1, k)));
        });
        let mut forest = Forest { parents: &mut parents, first: 0 };
        for k in if self.slices_apart { nk..nk } else { 1..nk } {
            for j in 0..nj {
                self.join(&mut forest, self.row(j, k), self.row(j, k - 1));
                if self.connectivity == Connectivity::Corners {
                    if j > 0 {
                        self.join(&mut forest, self.row(j, k), self.row(j - 1, k - 1));
                    }
                    if j + 1 < nj {
                        self.join(&mut forest, self.row(j, k), self.row(j + 1, k - 1));
                    }
                }
            }
        }
        for run in 0..parents.len() {
            // Parents come first, so each is already a root.
            parents[run] = parents[parents[run] as usize];
        }
        parents
    }

    /// Joins the runs of two neighbouring rows that touch.
    fn join(&self, forest: &mut Forest<'_>, row: Range<usize>, other: Range<usize>) {
        let reach = u32::from(self.connectivity == Connectivity::Corners);
        let (mut a, mut b) = (row.start, other.start);
        while a < row.end && b < other.end {
            let (x, y) = (self.runs[a], self.runs[b]);
            if x.start < y.end + reach && y.start < x.end + reach {
                forest.union(a, b);
            }
            if x.end < y.end { a += 1 } else { b += 1 }
        }
    }

    /// A value for the voxels of each run, the default for all others.
    fn paint<V: Default + Clone + Copy + Send + Sync>(&self, value: impl Fn(usize) -> V + Sync) -> Volume<V> {
        let [ni, nj, _] = self.geometry.size();
        let mut out = Volume::filled(self.geometry, V::default());
        out.data_mut().par_chunks_mut(ni * nj).enumerate().for_each(|(k, slice)| {
            for (j, row) in slice.chunks_exact_mut(ni).enumerate() {
                for run in self.row(j, k) {
                    let Run { start, end } = self.runs[run];
                    row[start as usize..end as usize].fill(value(run));
                }
            }
        });
        out
    }
}

fn push_runs<T>(row: &[T], inside: &impl Fn(&T) -> bool, runs: &mut Vec<Run>) {
    let mut at = 0;
    while let Some(start) = row[at..].iter().position(inside).map(|n| at + n) {
        let end = row[start..].iter().position(|v| !inside(v)).map_or(row.len(), |n| start + n);
        runs.push(Run { start: start as u32, end: end as u32 });
        at = end;
    }
}

/// Union-find over the runs from `first` on; a root is the lowest of its tree, whatever the order of unions.
struct Forest<'a> {
    parents: &'a mut [u32],
    first: usize,
}

impl Forest<'_> {
    fn root(&mut self, run: usize) -> usize {
        let mut at = run;
        loop {
            let parent = self.parents[at - self.first] as usize;
            if parent == at {
                return at;
            }
            // Halve the path for those who come after.
            let above = self.parents[parent - self.first];
            self.parents[at - self.first] = above;
            at = above as usize;
        }
    }

    fn union(&mut self, a: usize, b: usize) {
        let (a, b) = (self.root(a), self.root(b));
        let (low, high) = (a.min(b), a.max(b));
        self.parents[high - self.first] = low as u32;
    }
}

#[cfg(test)]
mod tests {
    use glam::DMat3;
    use proptest::prelude::*;
    use space::Point;

    use super::*;

    fn mask(size: [usize; 3], inside: impl Fn([usize; 3]) -> bool) -> Volume<bool> {
        let geometry = ImageGeometry::new(size, [1.0; 3], Point::ZERO, DMat3::IDENTITY).unwrap();
        Volume::from_fn(geometry, inside)
    }

    /// Components by flooding from voxel to voxel, numbered as they begin.
    fn flood(mask: &Volume<bool>, connectivity: Connectivity) -> Vec<u32> {
        let size = mask.geometry().size();
        let mut labels = vec![0; mask.data().len()];
        let mut next = 0;
        for start in 0..labels.len() {
            if !mask.data()[start] || labels[start] != 0 {
                continue;
            }
            next += 1;
            let mut open = vec![start];
            labels[start] = next;
            while let Some(at) = open.pop() {
                let [i, j, k] = [at % size[0], at / size[0] % size[1], at / size[0] / size[1]].map(|x| x as isize);
                for (di, dj, dk) in (-1..=1).flat_map(|a| (-1..=1).flat_map(move |b| (-1..=1).map(move |c| (a, b, c))))
                {
                    if connectivity == Connectivity::Faces && isize::abs(di) + isize::abs(dj) + isize::abs(dk) != 1 {
                        continue;
                    }
                    let [x, y, z] = [i + di, j + dj, k + dk].map(|x| x.cast_unsigned());
                    let Some(true) = mask.get(x, y, z) else { continue };
                    let to = mask.geometry().offset(x, y, z);
                    if labels[to] == 0 {
                        labels[to] = next;
                        open.push(to);
                    }
                }
            }
        }
        labels
    }

    #[track_caller]
    fn check_same_partition(found: &[u32], expected: &[u32]) {
        let mut pairs: Vec<(u32, u32)> = found.iter().copied().zip(expected.iter().copied()).collect();
        pairs.sort();
        pairs.dedup();
        let (mut a, mut b): (Vec<u32>, Vec<u32>) = pairs.iter().copied().unzip();
        a.dedup();
        b.sort();
        b.dedup();
        assert_eq!((a.len(), b.len()), (pairs.len(), pairs.len()), "components differ");
    }

    proptest! {
        #[test]
        fn equals_flooding(
            size in prop::array::uniform3(1usize..9),
            bits in prop::collection::vec(prop::bool::weighted(0.45), 9 * 9 * 9),
            corners: bool,
        ) {
            let connectivity = if corners { Connectivity::Corners } else { Connectivity::Faces };
            let mask = mask(size, |[i, j, k]| bits[i + 9 * (j + 9 * k)]);
            let found = label_components(&mask, connectivity);
            check_same_partition(found.labels.data(), &flood(&mask, connectivity));
            for (n, size) in found.sizes.iter().enumerate() {
                let counted = found.labels.data().iter().filter(|&&l| l as usize == n + 1).count();
                prop_assert_eq!(counted, *size);
            }
            prop_assert!(found.sizes.is_sorted_by(|a, b| a >= b));
        }

        #[test]
        fn enclosed_is_what_flooding_cannot_reach(bits in prop::collection::vec(prop::bool::weighted(0.6), 7 * 7 * 7)) {
            let mask = mask([7, 7, 7], |[i, j, k]| bits[i + 7 * (j + 7 * k)]);
            let outside = flood(&mask.map(|m| !m), Connectivity::Faces);
            let mut open: Vec<u32> = Vec::new();
            for (at, label) in outside.iter().enumerate() {
                if [at % 7, at / 7 % 7, at / 49].iter().any(|x| [0, 6].contains(x)) {
                    open.push(*label);
                }
            }
            let expected: Vec<bool> = outside.iter().map(|l| *l == 0 || !open.contains(l)).collect();
            prop_assert_eq!(fill_enclosed(&mask).into_data(), expected);
        }
    }

    #[test]
    fn diagonal_neighbours_touch_by_corners_only() {
        let mask = mask([2, 2, 2], |[i, j, k]| i == j && j == k);
        assert_eq!(label_components(&mask, Connectivity::Faces).sizes, [1, 1]);
        assert_eq!(label_components(&mask, Connectivity::Corners).sizes, [2]);
    }

    #[test]
    fn largest_retained_and_reached() {
        let mask = mask([9, 3, 2], |[i, j, k]| match k {
            0 => j == 0 && i < 3,
            _ => j == 2 && i > 3,
        });
        let count = |v: &Volume<bool>| v.data().iter().filter(|m| **m).count();
        assert_eq!(count(&largest(&mask)), 5);
        assert!(largest(&mask).get(4, 2, 1).copied().unwrap());
        let small = retain(&mask, Connectivity::Faces, |c| c.voxels < 4);
        assert_eq!(count(&small), 3);
        assert_eq!(reachable(&mask, Connectivity::Faces, &[[1, 0, 0], [8, 0, 0], [99, 0, 0]]), small);
        let mut seen = Vec::new();
        retain(&mask, Connectivity::Faces, |c| {
            seen.push(*c);
            true
        });
        assert_eq!(seen[0], Component { voxels: 3, min: [0, 0, 0], max: [2, 0, 0] });
        assert!(seen[1].touches_border([9, 3, 2]));
        assert_eq!(count(&largest(&mask.map(|_| false))), 0);
    }
}
