//! Segments that overlap, put into a map where each voxel has one label.

use std::collections::{BTreeMap, BTreeSet};

use rayon::prelude::*;

use crate::geometry::ImageGeometry;
use crate::grid::{Volume, VolumeError};
use crate::label_map::{BACKGROUND, Label, LabelMap, Segment};

/// Segments that may meet in one voxel. Anatomy and dose levels nest by dozens; the work grows with the square.
pub const MAX_MEETING: usize = 128;

/// Lays several label maps over one grid; where segments overlap, unions ([`Segment::parts`]) restore each.
///
/// No label may stand for two segments, in whichever layers. Voxels of a segment that lies wholly inside others get its
/// own label, which becomes a part of those others; any other overlap gets a label of its own without a segment, part of
/// all that meet there. `None` if labels run out, or more than [`MAX_MEETING`] segments meet in a voxel.
///
/// # Errors
/// [`VolumeError`] if a layer does not fit the grid.
pub fn from_layers(
    geometry: ImageGeometry,
    layers: &[Vec<Label>],
    mut segments: BTreeMap<Label, Segment>,
) -> Result<Option<LabelMap>, VolumeError> {
    let Some((first, others)) = layers.split_first() else {
        return Ok(Some(LabelMap { voxels: Volume::filled(geometry, BACKGROUND), segments }));
    };
    let mut voxels = Volume::new(geometry, first.clone())?;
    for layer in others {
        Volume::new(geometry, layer.clone()).map(drop)?;
    }
    let combinations = combinations(layers);
    if combinations.iter().any(|combination| combination.len() > MAX_MEETING) {
        return Ok(None);
    }
    let companions = companions(&combinations);
    let mut next = layers.iter().flatten().copied().chain(segments.keys().copied()).max().unwrap_or(BACKGROUND);
    let mut merged = BTreeMap::new();
    for combination in combinations.iter().filter(|c| c.len() > 1) {
        // A segment that always comes with all of these lies wholly inside the others.
        let always_here = |label: &&Label| companions.get(*label) == Some(combination);
        let inside = combination.iter().rev().find(always_here);
        let label = match inside {
            Some(&label) => label,
            None => match next.checked_add(1) {
                Some(free) => {
                    next = free;
                    free
                }
                None => return Ok(None),
            },
        };
        for owner in combination.iter().filter(|&&l| l != label) {
            if let Some(segment) = segments.get_mut(owner) {
                segment.parts.push(label);
            }
        }
        merged.insert(combination.clone(), label);
    }
    voxels.data_mut().par_iter_mut().enumerate().for_each(|(at, voxel)| {
        if others.iter().any(|l| l[at] != BACKGROUND) {
            let here = combination(layers, at);
            *voxel = if let [single] = here[..] { single } else { merged.get(&here).copied().unwrap_or(BACKGROUND) };
        }
    });
    Ok(Some(LabelMap { voxels, segments }))
}

/// The labels at a voxel, in order.
fn combination(layers: &[Vec<Label>], at: usize) -> Vec<Label> {
    let mut here: Vec<Label> = layers.iter().map(|l| l[at]).filter(|&l| l != BACKGROUND).collect();
    here.sort_unstable();
    here.dedup();
    here
}

/// All sets of labels that meet somewhere.
fn combinations(layers: &[Vec<Label>]) -> BTreeSet<Vec<Label>> {
    let voxels = layers.first().map_or(0, Vec::len);
    // Neighbours mostly agree, so only changes are looked up.
    let changes = (0..voxels).filter(|&at| at == 0 || layers.iter().any(|l| l[at] != l[at - 1]));
    let mut sets: BTreeSet<_> = changes.map(|at| combination(layers, at)).collect();
    sets.remove(&Vec::new());
    sets
}

/// For each label, those that are wherever it is, itself among them.
fn companions(combinations: &BTreeSet<Vec<Label>>) -> BTreeMap<Label, Vec<Label>> {
    let mut companions: BTreeMap<Label, Vec<Label>> = BTreeMap::new();
    for combination in combinations {
        for &label in combination {
            companions
                .entry(label)
                .and_modify(|all| all.retain(|other| combination.binary_search(other).is_ok()))
                .or_insert_with(|| combination.clone());
        }
    }
    companions
}

#[cfg(test)]
mod tests {
    use glam::DMat3;
    use space::Point;

    use super::*;
    use crate::terminology;

    fn map(layers: &[&[Label]]) -> LabelMap {
        let size = [layers[0].len(), 1, 1];
        let geometry = ImageGeometry::new(size, [1.0; 3], Point::ZERO, DMat3::IDENTITY).unwrap();
        let labels = layers.iter().flat_map(|l| l.iter().copied()).filter(|&l| l != BACKGROUND);
        let segments = labels.map(|l| (l, terminology::segment(l, &format!("s{l}")))).collect();
        let layers: Vec<_> = layers.iter().map(|l| l.to_vec()).collect();
        from_layers(geometry, &layers, segments).unwrap().unwrap()
    }

    #[track_caller]
    fn check_unions_restore(layers: &[&[Label]]) {
        let map = map(layers);
        for segment in map.segments.values() {
            let found: Vec<bool> =
                map.voxels.data().iter().map(|l| *l == segment.label || segment.parts.contains(l)).collect();
            let expected: Vec<bool> =
                (0..found.len()).map(|at| layers.iter().any(|l| l[at] == segment.label)).collect();
            assert_eq!(found, expected, "{segment:?} in {:?}", map.voxels.data());
        }
    }

    #[test]
    fn lesion_in_liver_keeps_its_label() {
        let map = map(&[&[0, 1, 1, 1, 0], &[0, 0, 2, 0, 0]]);
        assert_eq!(map.voxels.data(), [0, 1, 2, 1, 0]);
        assert_eq!(map.segments[&1].parts, [2]);
        assert!(map.segments[&2].parts.is_empty());
    }

    #[test]
    fn nested_segments_need_no_new_labels() {
        let map = map(&[&[1, 1, 1, 1, 0], &[0, 2, 2, 2, 0], &[0, 0, 3, 0, 0]]);
        assert_eq!(map.voxels.data(), [1, 2, 3, 2, 0]);
        assert_eq!((&map.segments[&1].parts, &map.segments[&2].parts), (&vec![2, 3], &vec![3]));
    }

    #[test]
    fn unions_restore_every_segment() {
        check_unions_restore(&[&[0, 1, 1, 1, 0], &[0, 0, 2, 0, 0]]);
        check_unions_restore(&[&[1, 1, 1, 0, 0], &[0, 0, 2, 2, 0]]);
        check_unions_restore(&[&[1, 1, 1, 1, 5], &[2, 2, 2, 0, 5], &[3, 0, 3, 3, 3]]);
        check_unions_restore(&[&[1, 1, 0], &[2, 2, 0]]);
        check_unions_restore(&[&[1, 2, 3]]);
    }

    #[test]
    fn every_pair_of_many_segments_is_told_apart() {
        let pairs = || (1..=250).flat_map(|a| (251..=500).map(move |b| (a, b)));
        let (first, second): (Vec<Label>, Vec<Label>) = pairs().unzip();
        let map = map(&[&first, &second]);
        assert_eq!(map.segments[&1].parts.len(), 250);
        assert_eq!(map.voxels.data().iter().collect::<BTreeSet<_>>().len(), 250 * 250);
    }

    #[test]
    fn too_many_segments_in_one_voxel_are_refused() {
        let geometry = ImageGeometry::new([1, 1, 1], [1.0; 3], Point::ZERO, DMat3::IDENTITY).unwrap();
        let meeting = |count: usize| (1..=count as Label).map(|label| vec![label]).collect::<Vec<_>>();
        assert!(from_layers(geometry, &meeting(MAX_MEETING), BTreeMap::new()).unwrap().is_some());
        assert!(from_layers(geometry, &meeting(MAX_MEETING + 1), BTreeMap::new()).unwrap().is_none());
    }
}
