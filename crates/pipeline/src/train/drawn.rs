//! A CT from labels alone: Hounsfield units of what each structure is made of, and a body around them.
//!
//! For label maps that were published without their scan. Contrast, thickness of fat and noise are drawn from a seed.

use neural::training::Rng;
use rayon::prelude::*;
use volume::{Label, LabelMap, Volume};

use super::recipe::matches;
use crate::PipelineError;

const AIR_HU: f32 = -1000.0;
const FAT_HU: f32 = -100.0;
const SKIN_HU: f32 = 30.0;

/// Thickness of the skin.
const SKIN_MM: f64 = 2.0;
/// Fat under it: from the outermost labelled muscle or bone outwards, least and most.
const FAT_MM: [f64; 2] = [6.0, 30.0];
/// Edge of the lumps that unlabelled tissue falls into, half of them muscle, half fat.
const LUMP_MM: f64 = 9.0;
/// Unlabelled muscle.
const MUSCLE_HU: f32 = 55.0;

/// Hounsfield units without contrast medium, and what the medium may add at most; the first pattern that fits counts. Rounded from
/// the tables that `docs/phantom.md` names.
const TISSUES: [(&str, [f32; 2]); 26] = [
    ("lung_*", [-850.0, 30.0]),
    ("trachea", [-990.0, 0.0]),
    ("liver", [55.0, 60.0]),
    ("spleen", [48.0, 80.0]),
    ("kidney_*", [32.0, 160.0]),
    ("pancreas", [40.0, 60.0]),
    ("adrenal_gland_*", [30.0, 50.0]),
    ("gallbladder", [8.0, 0.0]),
    ("urinary_bladder", [6.0, 0.0]),
    ("stomach", [20.0, 40.0]),
    ("duodenum", [35.0, 40.0]),
    ("small_bowel", [35.0, 60.0]),
    ("colon", [-20.0, 40.0]),
    ("esophagus", [35.0, 30.0]),
    ("heart*", [42.0, 130.0]),
    ("aorta", [42.0, 220.0]),
    ("*_artery*", [42.0, 220.0]),
    ("*_vein*", [42.0, 120.0]),
    ("*vena*", [42.0, 110.0]),
    ("costal_cartilages", [120.0, 0.0]),
    ("vertebra*", [220.0, 0.0]),
    ("rib_*", [300.0, 0.0]),
    ("sacrum", [200.0, 0.0]),
    ("hip_*", [280.0, 0.0]),
    ("*us_left", [55.0, 10.0]),
    ("*us_right", [55.0, 10.0]),
];

/// Long bones and what else has a thick cortex.
const BONES: [&str; 6] = ["femur_*", "humerus_*", "scapula_*", "clavicula_*", "sternum", "skull"];

/// Hounsfield units of a structure, with this share of the contrast medium.
fn tissue(name: &str, medium: f32) -> f32 {
    if BONES.iter().any(|bone| matches(bone, name)) {
        return 330.0;
    }
    let found = TISSUES.iter().find(|(pattern, _)| matches(pattern, name));
    found.map_or(MUSCLE_HU, |(_, [native, added])| native + added * medium)
}

/// The scan of a body with these structures; its slices are taken to be axial.
///
/// # Errors
/// [`PipelineError::Volume`] never, as the grid is the labels' own.
pub(super) fn hounsfield(labels: &LabelMap, seed: u64) -> Result<Volume<i16>, PipelineError> {
    let mut rng = Rng::named(seed, "drawn");
    let fat_mm = rng.between(FAT_MM[0], FAT_MM[1]);
    let noise = rng.between(8.0, 30.0);
    let lumps = rng.bits();
    let values: Vec<f32> = (0..=labels.segments.keys().copied().max().unwrap_or_default())
        .map(|label| {
            let (medium, own) = (rng.uniform() as f32, (8.0 * rng.normal()) as f32);
            labels.segments.get(&label).map_or(MUSCLE_HU, |segment| tissue(&segment.name, medium) + own)
        })
        .collect();
    let geometry = labels.geometry();
    let [ni, nj, _] = geometry.size();
    let spacing = geometry.spacing();
    let mut data = vec![0_i16; geometry.voxel_count()];
    data.par_chunks_mut(ni * nj).enumerate().for_each(|(k, out)| {
        let mut rng = Rng::of(&[seed, k as u64]);
        let slice = labels.voxels.slice(k);
        let hull = hull(slice, ni, [spacing[0], spacing[1]]);
        for (at, (out, &label)) in out.iter_mut().zip(slice).enumerate() {
            let place = [(at % ni) as f64 * spacing[0], (at / ni) as f64 * spacing[1]];
            let value = if label != volume::BACKGROUND {
                values.get(usize::from(label)).copied().unwrap_or(MUSCLE_HU)
            } else {
                match beyond(&hull, place) {
                    mm if mm > fat_mm + SKIN_MM => AIR_HU,
                    mm if mm > fat_mm => SKIN_HU,
                    mm if mm > 0.0 => FAT_HU,
                    _ => {
                        let lump = [place[0], place[1], k as f64 * spacing[2]].map(|x| (x / LUMP_MM) as u64);
                        let muscle = Rng::of(&[lumps, lump[0], lump[1], lump[2]]).chance(0.5);
                        if muscle { MUSCLE_HU } else { FAT_HU }
                    }
                }
            };
            *out = (value + (noise * rng.normal()) as f32).round() as i16;
        }
    });
    Ok(Volume::new(*geometry, data)?)
}

/// Corners of the convex hull of what is labelled in a slice, in mm, turning left (Andrew's monotone chain, 1979).
fn hull(slice: &[Label], width: usize, spacing: [f64; 2]) -> Vec<[f64; 2]> {
    let mut points: Vec<[f64; 2]> = Vec::new();
    for (j, row) in slice.chunks(width).enumerate() {
        let labelled = |label: &Label| *label != volume::BACKGROUND;
        let ends = [row.iter().position(labelled), row.iter().rposition(labelled)];
        points.extend(ends.into_iter().flatten().map(|i| [i as f64 * spacing[0], j as f64 * spacing[1]]));
    }
    points.sort_by(|a, b| a[0].total_cmp(&b[0]).then(a[1].total_cmp(&b[1])));
    points.dedup();
    let half = |points: &mut dyn Iterator<Item = [f64; 2]>| {
        let mut chain: Vec<[f64; 2]> = Vec::new();
        for p in points {
            while let [.., a, b] = chain[..]
                && cross(a, b, p) <= 0.0
            {
                chain.pop();
            }
            chain.push(p);
        }
        chain.pop();
        chain
    };
    if points.len() < 3 {
        return points;
    }
    let mut corners = half(&mut points.iter().copied());
    corners.extend(half(&mut points.iter().rev().copied()));
    corners
}

/// Twice the area of a triangle, positive if it turns left.
fn cross(a: [f64; 2], b: [f64; 2], p: [f64; 2]) -> f64 {
    (b[0] - a[0]) * (p[1] - a[1]) - (b[1] - a[1]) * (p[0] - a[0])
}

/// Distance in mm from a hull, 0 within it, infinite if there is none.
fn beyond(hull: &[[f64; 2]], p: [f64; 2]) -> f64 {
    let edges = || hull.iter().copied().zip(hull.iter().copied().cycle().skip(1));
    if hull.len() > 2 && edges().all(|(a, b)| cross(a, b, p) >= 0.0) {
        return 0.0;
    }
    let squared_to_edge = |(a, b): ([f64; 2], [f64; 2])| {
        let (along, from) = ([b[0] - a[0], b[1] - a[1]], [p[0] - a[0], p[1] - a[1]]);
        let squared = along[0] * along[0] + along[1] * along[1];
        let t = if squared > 0.0 { ((along[0] * from[0] + along[1] * from[1]) / squared).clamp(0.0, 1.0) } else { 0.0 };
        let away = [from[0] - t * along[0], from[1] - t * along[1]];
        away[0] * away[0] + away[1] * away[1]
    };
    edges().map(squared_to_edge).fold(f64::INFINITY, f64::min).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;
    use volume::{ImageGeometry, terminology};

    #[test]
    fn hulls_hold_what_they_are_made_of() {
        let slice: Vec<Label> = (0..100).map(|at| Label::from(matches!(at, 22 | 27 | 72 | 77 | 45))).collect();
        let hull = hull(&slice, 10, [1.0, 2.0]);
        assert_eq!(hull, [[2.0, 4.0], [7.0, 4.0], [7.0, 14.0], [2.0, 14.0]]);
        assert_eq!(beyond(&hull, [5.0, 8.0]), 0.0);
        assert_eq!(beyond(&hull, [7.0, 14.0]), 0.0);
        assert_eq!(beyond(&hull, [10.0, 18.0]), 5.0);
        assert_eq!(beyond(&[], [1.0, 1.0]), f64::INFINITY);
    }

    #[test]
    fn structures_have_their_density_and_a_body_around_them() {
        let geometry = ImageGeometry::new([60, 50, 2], [3.0, 3.0, 3.0], space::Point::ZERO, glam::DMat3::IDENTITY);
        let label = |[i, j, _]: [usize; 3]| match (i, j) {
            (20..=28, 20..=30) => 1,
            (32..=40, 20..=30) => 2,
            _ => 0,
        };
        let voxels = Volume::from_fn(geometry.unwrap(), label);
        let named = |(label, name): (Label, &str)| (label, terminology::segment(label, name));
        let segments: BTreeMap<_, _> =
            [(1, "lung_upper_lobe_left"), (2, "rib_left_3")].into_iter().map(named).collect();
        let map = LabelMap { voxels, segments };
        let ct = hounsfield(&map, 3).unwrap();
        let mean = |i: std::ops::Range<usize>| {
            let row: Vec<f64> = i
                .clone()
                .flat_map(|i| (22..28).map(move |j| (i, j)))
                .filter_map(|(i, j)| ct.get(i, j, 0).map(|v| f64::from(*v)))
                .collect();
            row.iter().sum::<f64>() / row.len() as f64
        };
        assert!((mean(20..29) + 835.0).abs() < 60.0, "lung: {}", mean(20..29));
        assert!((mean(32..41) - 300.0).abs() < 50.0, "bone: {}", mean(32..41));
        assert!(mean(29..32) > -150.0 && mean(29..32) < 100.0, "between: {}", mean(29..32));
        assert!((mean(41..42) + 100.0).abs() < 30.0, "fat: {}", mean(41..42));
        assert!((mean(57..60) + 1000.0).abs() < 20.0, "air: {}", mean(57..60));
        assert_eq!(hounsfield(&map, 3).unwrap(), ct);
        assert_ne!(hounsfield(&map, 4).unwrap(), ct);
    }
}
