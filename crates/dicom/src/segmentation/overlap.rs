//! Segments that overlap → disjoint labels whose unions restore them.
//!
//! A voxel's label stands for the set of segments it belongs to. The set in which a segment appears with nothing but
//! segments that contain it altogether is that segment's own label; so a lesion inside a liver keeps its label, and the
//! liver gets it as a part. Sets that are nobody's own, where segments cut into each other, get new labels without a
//! segment. Unlike [`volume::overlap`], no segment needs a volume of its own meanwhile.

use std::collections::{BTreeMap, BTreeSet};

use volume::Label;
use volume::overlap::MAX_MEETING;

/// More distinct overlaps than a label can number, or more segments in one voxel than [`MAX_MEETING`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TooManyOverlaps;

/// The sets of segments met so far. Set 0 is the empty one.
pub(super) struct Overlaps {
    sets: Vec<BTreeSet<Label>>,
    numbers: BTreeMap<BTreeSet<Label>, u16>,
}

/// What became of the sets.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Disjoint {
    /// The label of each set; 0 for those no voxel has.
    pub(super) label_of_set: Vec<Label>,
    /// For each segment, the labels beside its own that make it up.
    pub(super) parts: BTreeMap<Label, Vec<Label>>,
}

impl Overlaps {
    pub(super) fn new() -> Self {
        Self { sets: vec![BTreeSet::new()], numbers: BTreeMap::from([(BTreeSet::new(), 0)]) }
    }

    /// How many sets there are, the empty one included.
    pub(super) fn len(&self) -> usize {
        self.sets.len()
    }

    /// The segments of a set.
    pub(super) fn members(&self, set: usize) -> impl Iterator<Item = Label> {
        self.sets[set].iter().copied()
    }

    /// The set that `set` becomes when a segment is added.
    pub(super) fn with(&mut self, set: u16, segment: Label) -> Result<u16, TooManyOverlaps> {
        let mut grown = self.sets[usize::from(set)].clone();
        grown.insert(segment);
        if let Some(number) = self.numbers.get(&grown) {
            return Ok(*number);
        }
        if grown.len() > MAX_MEETING {
            return Err(TooManyOverlaps);
        }
        let Ok(number) = u16::try_from(self.sets.len()) else { return Err(TooManyOverlaps) };
        self.numbers.insert(grown.clone(), number);
        self.sets.push(grown);
        Ok(number)
    }

    /// Gives each set that has voxels a label; `segments` are all that exist, with or without voxels.
    pub(super) fn disjoint(&self, voxels: &[usize], segments: &BTreeSet<Label>) -> Result<Disjoint, TooManyOverlaps> {
        let used = || (1..self.sets.len()).filter(|&set| voxels.get(set).is_some_and(|n| *n > 0));
        // The segments that contain a segment altogether, itself among them.
        let mut containing: BTreeMap<Label, BTreeSet<Label>> = BTreeMap::new();
        for set in used() {
            let members = &self.sets[set];
            for &segment in members {
                containing
                    .entry(segment)
                    .and_modify(|all| all.retain(|other| members.contains(other)))
                    .or_insert_with(|| members.clone());
            }
        }
        let mut label_of_set = vec![0; self.sets.len()];
        let mut next = segments.iter().next_back().copied().unwrap_or(0);
        for set in used() {
            let members = &self.sets[set];
            // Of segments that are equal, the first owns the voxels.
            let owner = members.iter().find(|segment| containing.get(segment) == Some(members));
            label_of_set[set] = match owner {
                Some(&owner) => owner,
                None => {
                    next = next.checked_add(1).ok_or(TooManyOverlaps)?;
                    next
                }
            };
        }
        let mut parts: BTreeMap<Label, Vec<Label>> = BTreeMap::new();
        for set in used() {
            for &segment in &self.sets[set] {
                if label_of_set[set] != segment {
                    parts.entry(segment).or_default().push(label_of_set[set]);
                }
            }
        }
        parts.values_mut().for_each(|parts| parts.sort_unstable());
        Ok(Disjoint { label_of_set, parts })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Labels of voxels that each belong to some of segments 1, 2, ….
    fn disjoint(memberships: &[&[Label]]) -> (Vec<Label>, Disjoint) {
        let mut overlaps = Overlaps::new();
        let sets: Vec<u16> =
            memberships.iter().map(|m| m.iter().fold(0, |set, s| overlaps.with(set, *s).unwrap())).collect();
        let mut counts = vec![0; overlaps.sets.len()];
        sets.iter().for_each(|set| counts[usize::from(*set)] += 1);
        let segments = memberships.iter().flat_map(|m| m.iter().copied()).collect();
        let disjoint = overlaps.disjoint(&counts, &segments).unwrap();
        (sets.iter().map(|set| disjoint.label_of_set[usize::from(*set)]).collect(), disjoint)
    }

    #[test]
    fn nested_segments_keep_their_labels() {
        // Body 1, liver 2, lesion 3.
        let (labels, disjoint) = disjoint(&[&[], &[1], &[1, 2], &[1, 2, 3]]);
        assert_eq!(labels, [0, 1, 2, 3]);
        assert_eq!(disjoint.parts, BTreeMap::from([(1, vec![2, 3]), (2, vec![3])]));
    }

    #[test]
    fn crossing_segments_share_a_new_label() {
        let (labels, disjoint) = disjoint(&[&[1], &[1, 2], &[2]]);
        assert_eq!(labels, [1, 3, 2]);
        assert_eq!(disjoint.parts, BTreeMap::from([(1, vec![3]), (2, vec![3])]));
    }

    #[test]
    fn equal_segments_share_one_label() {
        let (labels, disjoint) = disjoint(&[&[1, 2], &[1, 2]]);
        assert_eq!(labels, [1, 1]);
        assert_eq!(disjoint.parts, BTreeMap::from([(2, vec![1])]));
    }

    #[test]
    fn too_many_segments_in_one_voxel_are_refused() {
        let mut overlaps = Overlaps::new();
        let all = (1..=MAX_MEETING as Label).try_fold(0, |set, segment| overlaps.with(set, segment)).unwrap();
        assert_eq!(overlaps.with(all, 1), Ok(all));
        assert_eq!(overlaps.with(all, MAX_MEETING as Label + 1), Err(TooManyOverlaps));
    }

    proptest! {
        #[test]
        fn unions_restore_every_segment(masks in proptest::collection::vec(0u8..32, 1..60)) {
            let memberships: Vec<Vec<Label>> =
                masks.iter().map(|m| (1..=5).filter(|s| m >> (s - 1) & 1 == 1).collect()).collect();
            let slices: Vec<&[Label]> = memberships.iter().map(Vec::as_slice).collect();
            let (labels, disjoint) = disjoint(&slices);
            let exists = |segment: &Label| memberships.iter().any(|m| m.contains(segment));
            for segment in (1..=5).filter(exists) {
                let parts = disjoint.parts.get(&segment).cloned().unwrap_or_default();
                for (label, members) in labels.iter().zip(&memberships) {
                    let restored = *label == segment || parts.contains(label);
                    prop_assert_eq!(restored, members.contains(&segment), "segment {} at label {}", segment, label);
                }
            }
        }
    }
}
