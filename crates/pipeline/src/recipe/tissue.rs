//! Fat and soft tissue: what is left when lungs, bone and vessels are known.

use super::upright::Upright;
use crate::mask::{Ball, BitMask, Components, Neighbours};

/// Fat; below lie mixtures with air, above lies water.
pub(crate) const FAT_HU: (i16, i16) = (-190, -30);

/// Muscle, organs, blood and fluid: everything denser than fat.
pub(crate) const SOFT_MIN_HU: i16 = -29;

/// Islands smaller than this join what surrounds them.
const ISLAND_ML: f64 = 2.0;

/// Strands of fat between muscles, and of soft tissue in fat, that are narrower than twice this join what surrounds them:
/// noise and partial volume draw them more than anatomy does.
const STRAND_MM: f64 = 1.6;

/// Skin, and voxels in which it mixes with the air outside: they stay with the body itself.
const SKIN_MM: f64 = 2.0;

/// Voxels as near as this to air inside the body mix with it and look like fat.
const MIXED_MM: f64 = 1.8;

/// A layer of fat is believed beside air if it is wider than twice this.
const LAYER_MM: f64 = 1.8;

/// Splits what is inside the body, below the skin and not `taken`, into fat and soft tissue, by density.
///
/// `inner_air` is lungs, airways and bowel gas.
pub(crate) fn fat_and_soft(
    ct: &Upright<'_>,
    [fat, soft]: [BitMask; 2],
    body: &BitMask,
    inner_air: &BitMask,
    taken: &BitMask,
) -> [BitMask; 2] {
    let inside = body.erode(&Ball::in_plane(SKIN_MM, ct.spacing)).and_not(taken).and_not(inner_air);
    let mixed = inner_air.dilate(&Ball::in_plane(MIXED_MM, ct.spacing)).or(&inner_air.neighbour_slices()).and(&inside);
    let strand = Ball::in_plane(STRAND_MM.max(0.8 * ct.spacing[0]), ct.spacing);
    let fat = fat.and(&inside).majority_in_plane().open(&strand).close(&strand).majority_across().and(&inside);
    // Beside air, only a layer of some thickness is fat; the rest is the border of something denser.
    let layer = fat.open(&Ball::in_plane(LAYER_MM, ct.spacing));
    let thin = fat.clone().and(&mixed).and_not(&layer);
    let fat = fat.and_not(&thin);
    let soft = soft.and(&inside).or(&mixed).and_not(&fat).majority_in_plane().and(&inside);
    // Islands join the other tissue, which is what lies round them.
    let island = ct.voxels(ISLAND_ML);
    let (fat_parts, soft_parts) =
        rayon::join(|| Components::of(&fat, Neighbours::Faces), || Components::of(&soft, Neighbours::Faces));
    let (fat_kept, soft_kept) = rayon::join(|| fat_parts.at_least(island), || soft_parts.at_least(island));
    let fat_islands = fat.and_not(&fat_kept);
    let soft_islands = soft.and_not(&soft_kept);
    let fat = fat_kept.or(&soft_islands).majority_in_plane().and(&inside);
    let [not_gas] = BitMask::in_ranges(&ct.values, ct.size, [(FAT_HU.0, i16::MAX)]);
    let soft = soft_kept.or(&fat_islands).or(&not_gas.and(&inside)).and_not(&fat);
    [fat, soft]
}
