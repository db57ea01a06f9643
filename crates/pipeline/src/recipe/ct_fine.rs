//! `ct-fine`: `ct-basic` in a scan whose slices were made thinner.

use neural::super_resolution::{UpsampleOptions, grid_of, slice_axis};
use volume::{ImageGeometry, Label, ScanVolume, Volume};

use super::CT_FINE;
use crate::cache::Cache;
use crate::error::PipelineError;
use crate::input::Input;
use crate::progress::Stages;
use crate::upsample::{Upsampler, mismatch_of};

/// More new slices for one old would be made up from too little.
const MOST_SLICES: f64 = 8.0;

/// Fewer new slices for one old are not worth the time.
const LEAST_SLICES: f64 = 1.5;

/// A finer scan has no more voxels, 512 × 512 × 512: making it takes five numbers a voxel, so less than 4 GiB.
const MOST_VOXELS: f64 = (1_u64 << 27) as f64;

/// Distance of the new slices in mm: as far apart as voxels within them, or as near as can be; none if slices are thin enough.
pub(crate) fn spacing_mm(geometry: &ImageGeometry) -> Option<f64> {
    let axis = slice_axis(geometry);
    let own = geometry.spacing()[axis];
    let within = (0..3).filter(|&a| a != axis).map(|a| geometry.spacing()[a]).fold(f64::MAX, f64::min);
    let most = MOST_SLICES.min(MOST_VOXELS / geometry.voxel_count() as f64);
    let wanted = within.max(own / most);
    (own / wanted >= LEAST_SLICES).then_some(wanted)
}

/// Voxels of the finer scan, about.
pub(crate) fn voxels(geometry: &ImageGeometry) -> usize {
    let factor = spacing_mm(geometry).map_or(1.0, |new| geometry.max_spacing_mm() / new);
    (geometry.voxel_count() as f64 * factor).round() as usize
}

/// What structures are found in.
#[derive(Debug)]
pub(crate) enum Refined {
    /// A finer scan; where its labels are to be kept.
    Scan(ScanVolume, Option<String>),
    /// Its labels, from before.
    Labels(Volume<Label>),
}

/// Makes a finer scan to find structures in, or takes what was found in it before; the input says that they come from there, and stays
/// what was measured.
///
/// # Errors
/// As [`Upsampler::run`].
pub(crate) fn refine(
    input: &mut Input,
    upsampler: Upsampler,
    cache: Option<&Cache>,
    stages: &mut Stages<'_>,
) -> Result<Refined, PipelineError> {
    let old = *input.scan.geometry();
    let (axis, before) = (slice_axis(&old), old.max_spacing_mm());
    let spacing_mm = spacing_mm(&old).unwrap_or(before);
    let missing = input.missing_along(axis);
    let measured = old.size()[axis] - missing.len();
    let options = UpsampleOptions { spacing_mm, missing, ..UpsampleOptions::default() };
    let grid = grid_of(&old, &options)?;
    let key = cache.map(|_| upsampler.key(&input.scan, &options, &[CT_FINE.name, CT_FINE.version]));
    let kept = cache.zip(key.as_deref()).and_then(|(cache, key)| {
        // A model whose bytes changed is not believed.
        upsampler.entry.files().ok()?;
        Some((cache.load_number(&mismatch_of(key))?, cache.load(key, &grid)?))
    });
    let (mismatch, refined) = match kept {
        Some((mismatch, labels)) => (mismatch, Refined::Labels(labels)),
        None => {
            let made = upsampler.run(input, &options, stages)?;
            if let (Some(cache), Some(key)) = (cache, &key) {
                cache.store_number(&mismatch_of(key), made.mismatch);
            }
            (made.mismatch, Refined::Scan(made.scan, key))
        }
    };
    let after = grid.spacing()[axis];
    let card = &upsampler.entry.card;
    input.inferred = format!(
        "All surfaces and labels: {measured} measured slices {before:.2} mm apart were made {after:.2} mm thin by the model {} {}, and \
         structures were found there. Averaged again over the thickness of the old slices the new ones differ from what was \
         measured by {mismatch:.1} in the mean.",
        card.name, card.version
    );
    if !input.missing.is_empty() {
        let missing = input.missing.len();
        let slices = if missing == 1 { "slice that is" } else { "slices that are" };
        input.inferred.push_str(&format!(" {missing} {slices} missing from the series were filled for that."));
    }
    input.notes.extend(upsampler.notes);
    input.notes.push(format!(
        "surfaces come from slices made thinner, from {before:.2} to {after:.2} mm, and are marked as inferred; the scan in the case \
         is the one that was measured, and its labels are those of the nearest new slices, so volumes and errors of surfaces, \
         which hold against the new slices, differ a little from what its voxels add up to"
    ));
    Ok(refined)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(size: [usize; 3], spacing: [f64; 3], expected: Option<f64>) {
        let grid = ImageGeometry::new(size, spacing, space::Point::ZERO, glam::DMat3::IDENTITY).unwrap();
        let found = spacing_mm(&grid);
        let near = match (found, expected) {
            (Some(a), Some(b)) => (a - b).abs() < 1e-3,
            (a, b) => a == b,
        };
        assert!(near, "{found:?} for {size:?} voxels of {spacing:?} mm, not {expected:?}");
        assert!(voxels(&grid) <= MOST_VOXELS as usize || expected.is_none());
    }

    #[test]
    fn slices_become_as_thin_as_makes_sense() {
        check([512, 512, 64], [0.84, 0.84, 5.0], Some(0.84));
        // Slices may lie along any axis.
        check([40, 256, 256], [4.0, 1.0, 1.0], Some(1.0));
        check([512, 512, 300], [0.7, 0.7, 1.0], None);
        // An eighth, where pixels are finer.
        check([128, 128, 20], [0.3, 0.3, 5.0], Some(0.625));
        // No more voxels than can be built: a factor of 128 / 75.
        check([512, 512, 300], [0.7, 0.7, 2.0], Some(2.0 * 300.0 / 512.0));
        check([512, 512, 600], [0.7, 0.7, 2.0], None);
    }
}
