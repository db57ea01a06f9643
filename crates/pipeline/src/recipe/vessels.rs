//! Blood with contrast in it, where there is any.
//!
//! Density alone does not tell blood from what is as bright and joined to it: on the phantom, in the portal venous phase, a
//! fifth of what is found is kidney and a tenth marrow.

use super::histogram::Histogram;
use super::upright::Upright;
use crate::mask::{Ball, BitMask, Components, Neighbours};

/// Blood counts as enhanced from here on; without contrast it is below 80.
pub(crate) const BLOOD_MIN_HU: i16 = 125;

/// Contrast denser than this is in bowel, bladder or a catheter, or it is bone.
const BLOOD_MAX_HU: i16 = 600;

/// Half the width of the narrowest vessel that may be the first to be believed: aorta, vena cava, heart.
const CORE_MM: f64 = 4.0;

/// And the least of its volume after so much was taken off all round.
const CORE_ML: f64 = 1.5;

/// Blood is even: the middle half of its values spreads no more than this beyond twice what noise alone makes. Spongy bone
/// spreads 60 HU and more.
const EVEN_HU: i32 = 20;

/// Bone has a crust denser than its inside. Of the rim of a core that is not looser than the core, less than this share
/// may be denser by [`CRUST_HU`]; measured: aorta with calcifications, at a vertebra, 0.20; bone 0.38 to 0.79.
const CRUST_SHARE: f64 = 0.3;
const CRUST_HU: i32 = 45;

/// The first core must be as long as this along the body, or half of the scan: an aorta, not a loop of bowel …
const LONG_MM: f64 = 60.0;

/// … and as near to the middle of the body as this; or as large as a heart.
const NEAR_MIDDLE_MM: f64 = 50.0;
const HEART_ML: f64 = 60.0;

/// Enhanced blood: the insides of the wide vessels, and what it measures.
pub(crate) struct Blood {
    /// Cores joined to the first one by values of enhanced blood.
    pub(crate) cores: BitMask,
    /// Median value of the first.
    pub(crate) median: i16,
    /// All voxels with values of this blood.
    pub(crate) band: BitMask,
}

/// Looks for enhanced blood in `bright`, the voxels of the body of at least [`BLOOD_MIN_HU`]; `None` without contrast.
pub(crate) fn blood(ct: &Upright<'_>, bright: &BitMask, soft: &BitMask, middle_column: f64) -> Option<Blood> {
    let [not_too_bright] = BitMask::in_ranges(&ct.values, ct.size, [(BLOOD_MIN_HU, BLOOD_MAX_HU)]);
    let field = not_too_bright.and(bright).majority_in_plane();
    let cores = Components::of(&field.erode(&Ball::in_plane(CORE_MM, ct.spacing)), Neighbours::Faces);
    let least = ct.voxels(CORE_ML);
    let even = EVEN_HU + 2 * noise(ct, soft);
    let mut believed: Vec<(usize, i32)> = Vec::new();
    for c in cores.by_size().into_iter().take_while(|&c| cores.sizes[c] >= least) {
        let core = cores.mask_of(|n| n == c);
        let values = Histogram::of(ct, &core);
        if values.middle_half() > even {
            continue;
        }
        let median = values.quantile(0.5);
        let rim = core.dilate(&Ball::in_plane(CORE_MM + 1.5, ct.spacing)).and_not(&core);
        let rim = Histogram::of(ct, &rim);
        let crust = rim.above(median + CRUST_HU) as f64 / rim.above(median - CRUST_HU).max(1) as f64;
        if crust < CRUST_SHARE {
            believed.push((c, median));
        }
    }
    let &(_, median) = believed.iter().find(|(c, _)| may_be_first(ct, &cores, *c, middle_column))?;
    let low = i32::from(BLOOD_MIN_HU).max((median + 60) / 2);
    let high = median + 110;
    let [band] = BitMask::in_ranges(&ct.values, ct.size, [(low as i16, high as i16)]);
    let band = band.and(bright).majority_in_plane();
    let first = cores.mask_of(|c| believed.iter().any(|b| b.0 == c) && may_be_first(ct, &cores, c, middle_column));
    let all = cores.mask_of(|c| believed.iter().any(|b| b.0 == c && (b.1 - median).abs() <= 80));
    let joined = Components::of(&band.clone().or(&all), Neighbours::Faces);
    let touched = joined.touching(&first);
    let cores = all.and(&joined.mask_of(|c| touched[c]));
    Some(Blood { cores, median: median as i16, band })
}

/// Long and in the middle like the aorta, or as large as the heart.
fn may_be_first(ct: &Upright<'_>, cores: &Components, c: usize, middle_column: f64) -> bool {
    let core = cores.mask_of(|n| n == c);
    let Some(bounds) = core.bounds() else { return false };
    let length_mm = bounds[2].len() as f64 * ct.spacing[2];
    let scan_mm = ct.size[2] as f64 * ct.spacing[2];
    let centre = (bounds[0].start + bounds[0].end) as f64 / 2.0;
    let near = (centre - middle_column).abs() * ct.spacing[0] <= NEAR_MIDDLE_MM;
    near && length_mm >= LONG_MM.min(0.5 * scan_mm) || cores.sizes[c] as f64 * ct.voxel_ml() >= HEART_ML
}

/// How far noise alone spreads the middle half of the values, from differences between neighbours in soft tissue.
fn noise(ct: &Upright<'_>, soft: &BitMask) -> i32 {
    let mut differences = Histogram::new();
    let nk = ct.size[2];
    for k in (0..nk).step_by((nk / 16).max(1)) {
        soft.for_runs(k..k + 1, |row, a, b| {
            for pair in ct.run(row, a, b).chunks_exact(2) {
                differences.add(i32::from(pair[0]) - i32::from(pair[1]));
            }
        });
    }
    // A difference of two independent values spreads √2 as far.
    if differences.total() == 0 { 0 } else { (f64::from(differences.middle_half()) / std::f64::consts::SQRT_2) as i32 }
}
