//! Slivers that a neighbour cuts off a structure are given to what surrounds them.
//!
//! Layers decide each voxel alone, so a vessel that grazes a muscle may leave a few voxels of the muscle on its far side.
//! Nature makes most structures one piece; here they become one again.

use std::collections::BTreeMap;

use volume::{BACKGROUND, Label};

/// A crumb is smaller than the whole by this factor.
const CRUMB: usize = 40;

/// Voxels of one label in a row.
#[derive(Clone, Copy, Debug)]
struct Run {
    label: Label,
    start: u32,
    end: u32,
    /// Row number: `j + height · k`.
    row: u32,
}

/// Keeps the largest piece (26-connected) of each label for which `single` holds; its crumbs go to the label that touches
/// them most.
pub(crate) fn sweep(labels: &mut [Label], size: [usize; 3], single: impl Fn(Label) -> bool) {
    let [width, height, _] = size;
    let (runs, first) = runs(labels, width, &single);
    let piece = pieces(&runs, &first, height);
    let mut voxels = vec![0usize; runs.len()];
    for (run, &p) in runs.iter().zip(&piece) {
        voxels[p] += (run.end - run.start) as usize;
    }
    let mut largest: BTreeMap<Label, usize> = BTreeMap::new();
    for (run, &p) in runs.iter().zip(&piece) {
        let best = largest.entry(run.label).or_insert(p);
        if voxels[p] > voxels[*best] {
            *best = p;
        }
    }
    let mut crumbs: BTreeMap<usize, Vec<Run>> = BTreeMap::new();
    for (run, &p) in runs.iter().zip(&piece) {
        let whole = largest.get(&run.label).map_or(0, |&best| voxels[best]);
        // Ties keep the first piece; anything large is no crumb but a mistake, which tests shall see.
        let small = voxels[p] * CRUMB <= whole || voxels[p] < 8;
        if small && largest.get(&run.label) != Some(&p) {
            crumbs.entry(p).or_default().push(*run);
        }
    }
    for crumb in crumbs.values() {
        let heir = heir(labels, size, crumb);
        for run in crumb {
            let row = run.row as usize * width;
            labels[row + run.start as usize..row + run.end as usize].fill(heir);
        }
    }
}

/// All runs in order, and the number of the first run of each row.
fn runs(labels: &[Label], width: usize, single: &impl Fn(Label) -> bool) -> (Vec<Run>, Vec<usize>) {
    let mut runs = Vec::new();
    let mut first = vec![0];
    for (row, voxels) in labels.chunks_exact(width).enumerate() {
        let mut start = 0;
        for group in voxels.chunk_by(|a, b| a == b) {
            let end = start + group.len();
            if group[0] != BACKGROUND && single(group[0]) {
                runs.push(Run { label: group[0], start: start as u32, end: end as u32, row: row as u32 });
            }
            start = end;
        }
        first.push(runs.len());
    }
    (runs, first)
}

/// The number of each run's piece, which is the number of one of its runs.
fn pieces(runs: &[Run], first: &[usize], height: usize) -> Vec<usize> {
    fn root(parent: &mut [usize], mut n: usize) -> usize {
        while parent[n] != n {
            parent[n] = parent[parent[n]];
            n = parent[n];
        }
        n
    }
    let mut parent: Vec<usize> = (0..runs.len()).collect();
    for row in 0..first.len() - 1 {
        let (j, k) = (row % height, row / height);
        let mut earlier = Vec::with_capacity(4);
        if j > 0 {
            earlier.push(row - 1);
        }
        if k > 0 {
            let below = row - height;
            earlier.extend((below - usize::from(j > 0))..=(below + usize::from(j + 1 < height)));
        }
        for other in earlier {
            let mut at = first[other];
            for n in first[row]..first[row + 1] {
                let run = runs[n];
                // Diagonal neighbours count, so runs touch if they overlap when one is grown by a voxel.
                while at < first[other + 1] && runs[at].end < run.start {
                    at += 1;
                }
                let mut m = at;
                while m < first[other + 1] && runs[m].start <= run.end {
                    if runs[m].label == run.label {
                        let (a, b) = (root(&mut parent, n), root(&mut parent, m));
                        parent[a.max(b)] = a.min(b);
                    }
                    m += 1;
                }
            }
        }
    }
    (0..runs.len()).map(|n| root(&mut parent, n)).collect()
}

/// The label that shares most faces with a crumb.
fn heir(labels: &[Label], [width, height, depth]: [usize; 3], crumb: &[Run]) -> Label {
    let mut faces: BTreeMap<Label, usize> = BTreeMap::new();
    for run in crumb {
        let (j, k) = (run.row as usize % height, run.row as usize / height);
        for i in run.start as usize..run.end as usize {
            let n = i + width * run.row as usize;
            let neighbours = [
                (i > 0).then(|| n - 1),
                (i + 1 < width).then(|| n + 1),
                (j > 0).then(|| n - width),
                (j + 1 < height).then(|| n + width),
                (k > 0).then(|| n - width * height),
                (k + 1 < depth).then(|| n + width * height),
            ];
            for m in neighbours.into_iter().flatten() {
                if labels[m] != run.label {
                    *faces.entry(labels[m]).or_default() += 1;
                }
            }
        }
    }
    // The lowest label wins a tie.
    faces.iter().max_by_key(|&(&label, &count)| (count, Label::MAX - label)).map_or(BACKGROUND, |(&label, _)| label)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crumb_goes_to_its_surroundings_and_diagonals_hold() {
        // One slice of 7 × 3: label 2 hangs together over a corner, a crumb of it lies in label 1.
        #[rustfmt::skip]
        let mut labels = vec![
            2, 2, 0, 1, 1, 1, 1,
            0, 0, 2, 1, 1, 2, 1,
            0, 0, 2, 1, 1, 1, 1,
        ];
        sweep(&mut labels, [7, 3, 1], |_| true);
        #[rustfmt::skip]
        assert_eq!(labels, [
            2, 2, 0, 1, 1, 1, 1,
            0, 0, 2, 1, 1, 1, 1,
            0, 0, 2, 1, 1, 1, 1,
        ]);
    }

    #[test]
    fn slices_hold_together_and_others_are_left_alone() {
        let mut labels = vec![3, 0, 0, 3, 0, 0, 5, 0, 5];
        let before = labels.clone();
        sweep(&mut labels, [3, 1, 3], |label| label == 3);
        assert_eq!(labels, before);
        sweep(&mut labels, [3, 1, 3], |_| true);
        assert_eq!(labels.iter().filter(|&&l| l == 5).count(), 1);
    }
}
