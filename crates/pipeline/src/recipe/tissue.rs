//! Fat and soft tissue: what is left when lungs, bone and vessels are known.

use super::average::Average;
use super::upright::Upright;
use crate::mask::{Ball, BitMask, Components, Neighbours};

/// Below lie mixtures with air.
const FAT_MIN_HU: i16 = -190;

/// Muscle, organs, blood and fluid: everything denser than fat.
pub(crate) const SOFT_MIN_HU: i16 = -29;

/// Pure fat, and muscle or an organ without contrast: values beyond count as these.
const PURE_HU: (i16, i16) = (-105, 45);

/// Islands smaller than this join what surrounds them.
const ISLAND_ML: f64 = 5.0;

/// Bubbles smaller than this, and slits of air that a lung leaves open, belong to what they lie in.
const BUBBLE_ML: f64 = 0.3;

/// The bell over which values are averaged spreads by half a slice's thickness, as across slices no scan shows anything
/// finer, and by most of a voxel, within these bounds. The least holds about a hundred voxels of three slices: noise of 60 HU whose grains are nine
/// voxels large spreads its averages by less than a quarter of the way from fat to the middle.
const SIGMA_MM: (f64, f64) = (1.2, 2.5);
const SIGMA_VOXELS: f64 = 0.8;

/// At least this share of what is near must be tissue that can be judged; else it counts as soft.
const LEAST_SHARE: f32 = 0.1;

/// Skin, and voxels in which it mixes with the air outside: they stay with the body itself.
const SKIN_MM: f64 = 2.0;

/// To this depth skin may reach; what lies deeper decides.
const DEEP_SKIN_MM: f64 = 3.4;

/// Voxels as near as this to air inside the body mix with it and look like fat; what lies behind decides.
const MIXED_MM: f64 = 1.8;

/// Splits what is inside the body, below the skin and not `taken`, into fat and soft tissue.
///
/// A voxel is fat if the mean of the values round it, noise averaged out, is nearer to fat than to muscle. `air` is all that
/// is no denser than lung, `hollow` lungs and airways.
pub(crate) fn fat_and_soft(
    ct: &Upright<'_>,
    body: &BitMask,
    [air, hollow]: [&BitMask; 2],
    taken: &BitMask,
) -> [BitMask; 2] {
    let gas = air.clone().and(body).and_not(hollow);
    let bubbles = gas.clone().and_not(&Components::of(&gas, Neighbours::Faces).at_least(ct.voxels(BUBBLE_ML)));
    let inner_air = gas.or(hollow);
    let voxel_mm = ct.spacing[0].max(ct.spacing[1]);
    let mixed = inner_air.dilate(&Ball::in_plane(MIXED_MM.max(voxel_mm), ct.spacing)).or(&inner_air.neighbour_slices());
    let inner_air = inner_air.and_not(&bubbles);
    let mut inside = body.erode(&Ball::in_plane(SKIN_MM, ct.spacing)).and_not(taken).and_not(&inner_air);
    if voxel_mm <= SKIN_MM {
        // Where a slice reaches farther than the next one, skin covers the step.
        inside = inside.and_not(&body.complement().neighbour_slices());
    }
    let [not_gas] = BitMask::in_ranges(&ct.values, ct.size, [(FAT_MIN_HU, i16::MAX)]);
    let deep = body.erode(&Ball::in_plane(DEEP_SKIN_MM, ct.spacing)).and(&inside);
    let votes = deep.and_not(&mixed).and(&not_gas);
    let sigma_mm = (0.5 * ct.spacing[2]).max(SIGMA_VOXELS * voxel_mm).clamp(SIGMA_MM.0, SIGMA_MM.1);
    let average = Average { sigma_mm, clamp_hu: PURE_HU, least_share: LEAST_SHARE };
    let fat = average.below_middle(ct, &votes, &inside).and_not(&bubbles);
    let island = ct.voxels(ISLAND_ML);
    let soft = inside.clone().and_not(&fat);
    // Islands join the other tissue, which is what lies round them.
    let fat = fat.or(&soft.clone().and_not(&Components::of(&soft, Neighbours::Faces).at_least(island)));
    let fat = Components::of(&fat, Neighbours::Faces).at_least(island);
    let soft = inside.and_not(&fat);
    [fat, soft]
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use super::super::super::mask::tests::mask;
    use super::*;

    const SIZE: [usize; 3] = [80, 60, 9];

    /// Fat and soft tissue of a block of tissue, its values `hu` under noise of 40 HU.
    fn split(spacing: [f64; 3], hu: impl Fn([usize; 3]) -> f64, air: &BitMask) -> [BitMask; 2] {
        let mut state = 1u64;
        let mut noise = || {
            let draws = std::iter::repeat_with(|| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                (state >> 33) as f64 / (1u64 << 31) as f64 - 0.5
            });
            // Twelve even draws have a spread of one and are nearly a bell.
            40.0 * draws.take(12).sum::<f64>()
        };
        let mut values = Vec::new();
        for k in 0..SIZE[2] {
            for j in 0..SIZE[1] {
                for i in 0..SIZE[0] {
                    values.push((hu([i, j, k]) + noise()) as i16);
                }
            }
        }
        let ct = Upright::plain(Cow::Borrowed(&values), SIZE, spacing);
        let none = BitMask::empty(SIZE);
        fat_and_soft(&ct, &mask(SIZE, |_| true), [air, &none], &none)
    }

    #[test]
    fn noise_leaves_borders_straight_and_planes_of_fat_whole() {
        for spacing in [[1.0f64, 1.0, 3.0], [0.8, 0.8, 5.0], [3.0, 3.0, 3.0]] {
            // A layer under the skin, and a plane of fat between two muscles.
            let width = (5.0 / spacing[0]).ceil() as usize;
            let is_fat = |[i, j, _]: [usize; 3]| j < 20 || (40..40 + width).contains(&i);
            let [fat, soft] = split(spacing, |p| if is_fat(p) { -100.0 } else { 50.0 }, &BitMask::empty(SIZE));
            let truth = mask(SIZE, is_fat);
            let wrong = fat.clone().and_not(&truth).count() + truth.clone().and_not(&fat).count();
            // Corners are rounded, and where the plane ends it is a coin toss for some of its outermost voxels.
            assert!(wrong * 33 < truth.count(), "{wrong} of {} voxels at {spacing:?}", truth.count());
            assert!(fat.clone().and(&soft).is_empty() && fat.or(&soft) == mask(SIZE, |_| true));
        }
    }

    #[test]
    fn the_border_of_gas_is_no_fat() {
        let inside = |[i, j, _]: [usize; 3]| (30..50).contains(&i) && (20..40).contains(&j);
        let rim = |[i, j, _]: [usize; 3]| (29..51).contains(&i) && (19..41).contains(&j);
        let hu = |p| {
            if inside(p) {
                -990.0
            } else if rim(p) {
                -100.0
            } else {
                40.0
            }
        };
        let [fat, soft] = split([1.0, 1.0, 3.0], hu, &mask(SIZE, inside));
        assert!(fat.is_empty(), "{} voxels of fat", fat.count());
        assert_eq!(soft, mask(SIZE, |p| !inside(p)));
    }
}
