//! Bone, and its border with blood that has contrast in it.

use super::upright::Upright;
use super::vessels::Blood;
use crate::mask::{Ball, BitMask, Components, Neighbours, SliceRegion, compete};

/// Certain bone: no tissue without contrast is as dense.
pub(crate) const BONE_SEED_HU: i16 = 300;

/// Possible bone, if joined to certain bone.
pub(crate) const BONE_MIN_HU: i16 = 160;

/// Pieces of bone smaller than this are calcifications, clips or noise.
const PIECE_ML: f64 = 0.4;

/// How far blood is followed from the inside of a wide vessel, and bone from what is certain.
const REACH_MM: f64 = 150.0;

/// Soft tissue without contrast.
const UNENHANCED_HU: i16 = 60;

/// Closes pores of spongy bone.
const CLOSE_MM: f64 = 1.8;

/// Marrow cut across in a slice. A vertebra's is the largest; the pelvic ring and the skull are left open.
const MARROW_MM2: f64 = 1600.0;

/// Holes with less than this on average are sinuses and air cells.
const MARROW_MIN_HU: i64 = -200;

/// The spinal canal: its section, how far from the middle it may lie, and the least depth of the vertebra before it.
const CANAL_MM2: std::ops::RangeInclusive<f64> = 80.0..=900.0;
const CANAL_ASIDE_MM: f64 = 30.0;
const CANAL_DEPTH_MM: f64 = 14.0;
const VERTEBRA_DEPTH_MM: f64 = 45.0;

/// Bone and vessels, from the masks of values of at least [`BONE_SEED_HU`] and [`BONE_MIN_HU`] inside the body.
///
/// Without contrast, bone is what is possible and joined to something certain. With contrast, bone must be denser than
/// blood to be certain, and both grow against each other.
pub(crate) fn bone_and_vessels(
    ct: &Upright<'_>,
    seeds: &BitMask,
    bone: &BitMask,
    blood: Option<Blood>,
    middle_column: f64,
) -> (BitMask, Option<BitMask>) {
    let least = ct.voxels(PIECE_ML);
    let Some(Blood { cores, median, band, organs }) = blood else {
        let pieces = Components::of(bone, Neighbours::Corners);
        let touched = pieces.touching(seeds);
        let skeleton = pieces.mask_of(|c| touched[c] && pieces.sizes[c] >= least);
        return (fill_marrow(ct, skeleton, middle_column), None);
    };
    let certain = BONE_SEED_HU.max(median.saturating_add(120));
    let [dense] = BitMask::in_ranges(&ct.values, ct.size, [(certain, i16::MAX)]);
    let dense = Components::of(&dense.and(bone), Neighbours::Corners).at_least(least);
    let field = band.or(&dense).or(&cores);
    let steps = (REACH_MM / ct.spacing[0].min(ct.spacing[1])) as usize;
    let (vessels, others) = compete(cores.clone(), dense.clone().or(&organs), &field, ct.spacing, steps);
    let (organs, bony) = compete(organs, dense, &others, ct.spacing, steps);
    let vessels = with_rim(ct, vessels, median).and_not(&bony).and_not(&organs);
    let rest = bone.clone().and_not(&vessels).and_not(&organs).or(&bony);
    let pieces = Components::of(&rest, Neighbours::Corners);
    let touched = pieces.touching(&bony);
    let skeleton = pieces.mask_of(|c| touched[c] && pieces.sizes[c] >= least);
    // What lies in marrow got there through a gap in the crust, unless it is the even inside of a vessel.
    let skeleton = fill_marrow(ct, skeleton, middle_column).and_not(&cores);
    (skeleton.clone(), Some(vessels.and_not(&skeleton).majority_in_plane().and_not(&skeleton)))
}

/// Adds the last voxels towards the walls. They are mixtures: blood if they are nearer to blood than to what lies round it,
/// and if that is right behind them.
fn with_rim(ct: &Upright<'_>, vessels: BitMask, blood_hu: i16) -> BitMask {
    let step = (blood_hu - UNENHANCED_HU) / 4;
    let ranges = [(UNENHANCED_HU + 2 * step, blood_hu.saturating_add(120)), (i16::MIN, UNENHANCED_HU + step)];
    let [mixed, outside] = BitMask::in_ranges(&ct.values, ct.size, ranges);
    let voxel = Ball::in_plane(ct.spacing[0].max(ct.spacing[1]), ct.spacing);
    let rim = vessels.dilate(&voxel).and(&mixed).and(&outside.majority_in_plane().dilate(&voxel));
    vessels.or(&rim)
}

/// Fills pores and marrow, but neither the spinal canal nor air cells.
fn fill_marrow(ct: &Upright<'_>, skeleton: BitMask, middle_column: f64) -> BitMask {
    let mut bone = skeleton.close(&Ball::in_plane(CLOSE_MM, ct.spacing));
    let outline = bone.clone();
    let mm2 = ct.spacing[0] * ct.spacing[1];
    let nj = ct.size[1];
    bone.fill_slices(|k, hole| {
        let area = hole.area as f64 * mm2;
        let sum: i64 = hole
            .runs
            .iter()
            .flat_map(|(j, run)| ct.run(k * nj + j, run.start as usize, run.end as usize))
            .map(|&v| i64::from(v))
            .sum();
        area <= MARROW_MM2
            && sum > MARROW_MIN_HU * hole.area as i64
            && !(CANAL_MM2.contains(&area) && is_canal(ct, &outline, k, hole, middle_column))
    });
    bone.majority_in_plane().or(&skeleton)
}

/// True if the hole lies near the middle, with the depth of a vertebra before it.
fn is_canal(ct: &Upright<'_>, bone: &BitMask, k: usize, hole: &SliceRegion, middle_column: f64) -> bool {
    let centre = (hole.columns[0] + hole.columns[1]) / 2;
    if (centre as f64 - middle_column).abs() * ct.spacing[0] > CANAL_ASIDE_MM {
        return false;
    }
    let reach = (VERTEBRA_DEPTH_MM / ct.spacing[1]) as usize;
    let first = hole.rows[0].saturating_sub(reach);
    let front = (first..hole.rows[0]).find(|&j| bone.get([centre, j, k]));
    front.is_some_and(|j| (hole.rows[0] - j) as f64 * ct.spacing[1] >= CANAL_DEPTH_MM)
}
