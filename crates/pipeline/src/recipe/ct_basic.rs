//! `ct-basic`: what Hounsfield units alone can tell apart.

use volume::{Label, ScanVolume, Volume, VolumeError};

use super::airways::{self, GAS_MAX_HU};
use super::body::{self, BODY_MIN_HU};
use super::lungs::{self, AIR_MAX_HU};
use super::skeleton::{self, BONE_MIN_HU, BONE_SEED_HU};
use super::tissue::{self, SOFT_MIN_HU};
use super::upright::Upright;
use super::vessels::{self, BLOOD_MIN_HU};
use crate::mask::BitMask;

/// The structures, in the order of their labels.
pub(crate) const STRUCTURES: [&str; 8] =
    ["body", "soft_tissue", "fat", "skeleton", "lung_left", "lung_right", "airways", "vessels"];

/// Labels of a CT: 1 body (own voxels: what no other label takes), then [`STRUCTURES`] in order; 0 outside.
///
/// A structure that is not in the scan has no voxels.
///
/// # Errors
/// [`VolumeError`] never, as the grid is the scan's own.
pub(crate) fn segment(scan: &ScanVolume, progress: &(dyn Fn(f32) + Sync)) -> Result<Volume<Label>, VolumeError> {
    let ct = Upright::hounsfield(scan);
    let [dense, air, gas, soft, bright, bone, seeds] = BitMask::in_ranges(
        &ct.values,
        ct.size,
        [
            (BODY_MIN_HU, i16::MAX),
            (i16::MIN, AIR_MAX_HU),
            (i16::MIN, GAS_MAX_HU),
            (SOFT_MIN_HU, i16::MAX),
            (BLOOD_MIN_HU, i16::MAX),
            (BONE_MIN_HU, i16::MAX),
            (BONE_SEED_HU, i16::MAX),
        ],
    );
    progress(0.2);
    let body = body::body(&ct, &dense);
    drop(dense);
    progress(0.35);
    let rough = lungs::rough(&ct, &air.clone().and(&body));
    let airways = airways::airways(&ct, &body, &gas.and(&body), &rough);
    progress(0.5);
    let lungs = lungs::lungs(&ct, &rough, airways.as_ref(), &body);
    progress(0.65);
    let (seeds, bone, bright) = (seeds.and(&body), bone.and(&body), bright.and(&body));
    let middle = mean_column(&bone).or_else(|| mean_column(&body)).unwrap_or(ct.size[0] as f64 / 2.0);
    let blood = vessels::blood(&ct, &bright, &soft, middle);
    let (skeleton, vessels) = skeleton::bone_and_vessels(&ct, &seeds, &bone, blood, middle);
    progress(0.8);
    let mut hollow = lungs.left.clone().or(&lungs.right);
    let mut taken = skeleton.clone();
    if let Some(airways) = &airways {
        hollow = hollow.or(airways);
    }
    if let Some(vessels) = &vessels {
        taken = taken.or(vessels);
    }
    let [fat, soft] = tissue::fat_and_soft(&ct, &body, [&air, &hollow], &taken);
    // Later ones win.
    let mut layers = vec![(1, &body), (2, &soft), (3, &fat), (5, &lungs.left), (6, &lungs.right), (4, &skeleton)];
    layers.extend(vessels.as_ref().map(|v| (8, v)));
    layers.extend(airways.as_ref().map(|a| (7, a)));
    let labels = super::paint(ct.size, &layers);
    progress(0.95);
    ct.restore(labels, *scan.geometry())
}

/// Mean column of what is set.
pub(crate) fn mean_column(mask: &BitMask) -> Option<f64> {
    let (mut sum, mut count) = (0.0, 0.0);
    mask.for_runs(0..mask.size()[2], |_, a, b| {
        sum += (b - a) as f64 * (a + b - 1) as f64 / 2.0;
        count += (b - a) as f64;
    });
    (count > 0.0).then(|| sum / count)
}
