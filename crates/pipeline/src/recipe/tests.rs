//! `ct-basic` against the phantom's truth.

use glam::DMat3;
use space::{AxisCode, Index, Point};
use volume::terminology::{self, Group};
use volume::{ImageGeometry, LabelMap, ScanVolume, Volume};

use super::{CT_BASIC, segment};

fn phantom(spacing_mm: [f64; 3]) -> phantom::Body {
    let options = phantom::PhantomOptions { seed: 3, spacing_mm, ..Default::default() };
    phantom::body(&options, &|_| ()).unwrap()
}

/// A grainy scan, in which marrow is as even as blood.
fn noisy_phantom() -> phantom::Body {
    let options =
        phantom::PhantomOptions { seed: 302, spacing_mm: [2.0, 2.0, 3.0], noise_hu: 20.0, ..Default::default() };
    phantom::body(&options, &|_| ()).unwrap()
}

fn found(volume: &Volume<i16>) -> LabelMap {
    segment(&CT_BASIC, &ScanVolume::I16(volume.clone()), &|_| ()).unwrap().unwrap()
}

/// The voxels whose label has a wanted name; `true` inside.
#[track_caller]
fn inside(map: &LabelMap, wanted: impl Fn(&str) -> bool) -> Vec<bool> {
    let labels: Vec<u16> = map.segments.values().filter(|s| wanted(&s.name)).map(|s| s.label).collect();
    let names: Vec<_> = map.segments.values().map(|s| &s.name).collect();
    assert!(!labels.is_empty(), "no such segment among {names:?}");
    map.voxels.data().iter().map(|l| labels.contains(l)).collect()
}

/// Overlap of two sets of voxels: 1 if they are equal.
fn dice(a: &[bool], b: &[bool]) -> f64 {
    let both = a.iter().zip(b).filter(|(x, y)| **x && **y).count();
    let sum = a.iter().chain(b).filter(|x| **x).count();
    2.0 * both as f64 / sum as f64
}

#[track_caller]
fn check(name: &str, found: &[bool], truth: &[bool], least: f64) {
    let agreement = dice(found, truth);
    assert!(agreement >= least, "{name}: Dice {agreement:.3}, expected {least} or more");
}

#[test]
fn structures_agree_with_the_truth() {
    let body = phantom([2.0, 2.0, 3.0]);
    let (found, truth) = (found(&body.hounsfield), &body.labels);
    let of = |name: &str| inside(&found, |n| n == name);
    let bone = |n: &str| terminology::group_of(n) == Group::Bone;
    let lung = |side: &'static str| move |n: &str| n.starts_with("lung_") && n.ends_with(side);
    let airway = |n: &str| terminology::group_of(n) == Group::Airway;
    check("left lung", &of("lung_left"), &inside(truth, lung("left")), 0.93);
    check("right lung", &of("lung_right"), &inside(truth, lung("right")), 0.93);
    check("skeleton", &of("skeleton"), &inside(truth, bone), 0.80);
    check("airways", &of("airways"), &inside(truth, airway), 0.60);
    let all = |map: &LabelMap| map.voxels.data().iter().map(|&l| l != 0).collect::<Vec<_>>();
    check("body without the couch", &all(&found), &all(truth), 0.97);
    check_vessels(&body, [0.85, 0.80], 50);
}

#[test]
fn airways_are_found_where_air_leads_into_them() {
    for (seed, spacing_mm) in [(3, [2.0, 2.0, 3.0]), (11, [1.2, 1.2, 5.0])] {
        let options = phantom::PhantomOptions { seed, spacing_mm, ..Default::default() };
        let body = phantom::body(&options, &|_| ()).unwrap();
        let truth = inside(&body.labels, |n| terminology::group_of(n) == Group::Airway);
        let airways = inside(&found(&body.hounsfield), |n| n == "airways");
        let count = |wanted: &dyn Fn(usize) -> bool| (0..truth.len()).filter(|&at| wanted(at)).count() as f64;
        // The truth counts walls, and bronchi down to the seventh generation and beyond, which are narrower than a voxel and fade
        // into the lung; the airway found is what air fills.
        check("airways", &airways, &truth, 0.58);
        let air = |at: usize| truth[at] && body.hounsfield.data()[at] < -950;
        let share = count(&|at| airways[at] && air(at)) / count(&air);
        assert!(share > 0.93, "seed {seed}: {share:.3} of the air that fills voxels of airways was found");
        let leaked = count(&|at| airways[at] && !truth[at]) / count(&|at| airways[at]);
        assert!(leaked < 0.03, "seed {seed}: {leaked:.3} of the airways found is lung");
    }
}

#[test]
fn vessels_are_told_from_organs_in_the_arterial_phase() {
    // Arteries under the clavicles and before the sacrum are as narrow as two voxels and lie against bone.
    check_vessels(&arterial(phantom([2.0, 2.0, 3.0])), [0.90, 0.80], 28);
    check_vessels(&arterial(noisy_phantom()), [0.90, 0.80], 28);
}

/// From what the phantom has 70 s after injection to what is usual after 30 s.
fn arterial(mut body: phantom::Body) -> phantom::Body {
    let left_heart = |n: &str| n.starts_with("heart_") && n.ends_with("_left");
    let is_artery = |n: &str| terminology::group_of(n) == Group::Artery || left_heart(n);
    let arteries = inside(&body.labels, is_artery);
    let veins = inside(&body.labels, |n| terminology::group_of(n) == Group::Vein);
    let kidneys = inside(&body.labels, |n| n.starts_with("kidney_"));
    for (at, hu) in body.hounsfield.data_mut().iter_mut().enumerate() {
        *hu += 190 * i16::from(arteries[at]) - 75 * i16::from(veins[at]) + 25 * i16::from(kidneys[at]);
    }
    body
}

#[test]
fn without_contrast_there_are_no_vessels() {
    check_no_vessels(phantom([2.0, 2.0, 3.0]));
    check_no_vessels(noisy_phantom());
}

#[track_caller]
fn check_no_vessels(mut body: phantom::Body) {
    let blood = |n: &str| matches!(terminology::group_of(n), Group::Artery | Group::Vein | Group::Heart);
    let blood = inside(&body.labels, |n| blood(n) && n != "heart");
    let organs = inside(&body.labels, |n| n.starts_with("kidney_") || n.starts_with("thyroid"));
    for (at, hu) in body.hounsfield.data_mut().iter_mut().enumerate() {
        *hu -= 105 * i16::from(blood[at]) + 140 * i16::from(organs[at]);
    }
    let found = found(&body.hounsfield);
    assert!(found.segments.values().all(|s| s.name != "vessels"), "no contrast was given");
}

/// Checks the share of what was found that is blood, the share of bright blood that was found, and that for each voxel of
/// blood called bone more than `fold` were found.
///
/// The wall of the heart and what lies round its cavities is not as bright as blood, so it counts as neither.
#[track_caller]
fn check_vessels(body: &phantom::Body, least: [f64; 2], fold: usize) {
    let found = found(&body.hounsfield);
    let vessels = inside(&found, |n| n == "vessels");
    let blood =
        inside(&body.labels, |n| matches!(terminology::group_of(n), Group::Artery | Group::Vein | Group::Heart));
    let count = |wanted: &dyn Fn(usize) -> bool| (0..blood.len()).filter(|&at| wanted(at)).count();
    let right = count(&|at| vessels[at] && blood[at]);
    let share = right as f64 / count(&|at| vessels[at]) as f64;
    assert!(share >= least[0], "{share:.3} of what was found is vessel or heart, expected {}", least[0]);
    let bright = |at: usize| blood[at] && body.hounsfield.data()[at] >= 125;
    let share = count(&|at| vessels[at] && bright(at)) as f64 / count(&bright) as f64;
    assert!(share >= least[1], "{share:.3} of the bright blood was found, expected {}", least[1]);
    let skeleton = inside(&found, |n| n == "skeleton");
    // Not judged: veins under the clavicles, which the scan shows against bone, and those that lie free in the lungs.
    let aside = inside(&body.labels, |n| n.starts_with("subclavian_vein_") || n.starts_with("lung_vessels_"));
    let wrong = count(&|at| skeleton[at] && blood[at] && !aside[at]);
    assert!(wrong * fold < right, "{wrong} voxels of blood were called bone, {right} were found");
}

#[test]
fn storage_order_does_not_change_what_is_found() {
    let scan = phantom([4.0, 4.0, 5.0]).hounsfield;
    let expected = found(&scan);
    // Coronal, sagittal, and as NIfTI likes it.
    for code in ["RAS", "PSL", "LSA"] {
        let relaid = relaid(&scan, code.parse().unwrap());
        let found = found(&relaid);
        assert_eq!(found.segments, expected.segments, "{code}");
        let from = found.geometry().index_from_lps() * expected.geometry().lps_from_index();
        let [ni, nj, _] = expected.geometry().size();
        for (at, label) in expected.voxels.data().iter().enumerate() {
            let p = from * Point::<Index>::new((at % ni) as f64, (at / ni % nj) as f64, (at / ni / nj) as f64);
            let [i, j, k] = p.to_array().map(|x| x.round() as usize);
            assert_eq!(found.voxels.get(i, j, k), Some(label), "{code}: voxel {at}");
        }
    }
}

/// The same voxels in the same places, stored along other axes than LPS.
fn relaid(volume: &Volume<i16>, code: AxisCode) -> Volume<i16> {
    let g = volume.geometry();
    let direction: DMat3 = code.direction();
    let columns = direction.to_cols_array_2d();
    // The axis of the body that each new axis runs along.
    let along = columns.map(|c| c.iter().position(|x| x.abs() > 0.5).unwrap());
    let mut origin = g.origin().get();
    for (column, &body) in columns.iter().zip(&along) {
        if column[body] < 0.0 {
            origin[body] += (g.size()[body] - 1) as f64 * g.spacing()[body];
        }
    }
    let (size, spacing) = (along.map(|a| g.size()[a]), along.map(|a| g.spacing()[a]));
    let geometry = ImageGeometry::new(size, spacing, origin.into(), direction).unwrap();
    let from = g.index_from_lps() * geometry.lps_from_index();
    Volume::from_fn(geometry, |p| {
        let old = from * Point::new(p[0] as f64, p[1] as f64, p[2] as f64);
        let [i, j, k] = old.to_array().map(|x| x.round() as usize);
        *volume.get(i, j, k).unwrap()
    })
}
