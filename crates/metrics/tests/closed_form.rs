//! Metrics of shapes whose answers can be written down.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "tests may fail loudly and say what they measured")]

use std::collections::BTreeMap;

use glam::DMat3;
use metrics::{dice, hausdorff_mm, jaccard, overlap, surface_dice, surface_distances, volume_ml};
use proptest::prelude::*;
use space::Point;
use volume::{ImageGeometry, Label, LabelMap, Segment, Volume};

const SPACING: [f64; 3] = [0.5, 1.0, 2.0];

fn map(size: [usize; 3], label: impl FnMut([usize; 3]) -> Label) -> LabelMap {
    let geometry = ImageGeometry::new(size, SPACING, Point::ZERO, DMat3::IDENTITY).expect("a grid");
    LabelMap { voxels: Volume::from_fn(geometry, label), segments: BTreeMap::new() }
}

/// A box of 10 × 10 × 10 voxels.
fn cube(at: [usize; 3]) -> LabelMap {
    map([32, 32, 32], |v| Label::from((0..3).all(|a| (at[a]..at[a] + 10).contains(&v[a]))))
}

fn ball(radius_mm: f64) -> LabelMap {
    map([90, 48, 26], |v| {
        let squared: f64 =
            [45.0, 24.0, 13.0].iter().zip(v).zip(SPACING).map(|((c, x), s)| ((x as f64 - c) * s).powi(2)).sum();
        Label::from(squared <= radius_mm * radius_mm)
    })
}

#[track_caller]
fn check_close(found: Option<f64>, expected: f64, tolerance: f64) {
    let found = found.expect("a value");
    assert!((found - expected).abs() <= tolerance, "{found} instead of {expected}");
}

#[test]
fn shifted_boxes() {
    let a = cube([5, 5, 5]);
    for (shift, common, mm) in [([4, 0, 0], 600.0, 2.0), ([0, 3, 0], 700.0, 3.0), ([0, 0, 2], 800.0, 4.0)] {
        let b = cube([5 + shift[0], 5 + shift[1], 5 + shift[2]]);
        check_close(dice(&a, &b, 1).unwrap(), common / 1000.0, 1e-12);
        check_close(jaccard(&a, &b, 1).unwrap(), common / (2000.0 - common), 1e-12);
        check_close(hausdorff_mm(&a, &b, 1, 100.0).unwrap(), mm, 1e-6);
        check_close(surface_dice(&a, &b, 1, mm).unwrap(), 1.0, 1e-12);
    }
    // All three at once: the far corner is as far as the diagonal of the shift.
    let b = cube([7, 6, 6]);
    check_close(hausdorff_mm(&a, &b, 1, 100.0).unwrap(), 6f64.sqrt(), 1e-6);
}

#[test]
fn surface_dice_counts_faces_that_moved() {
    let (a, b) = (cube([5, 5, 5]), cube([5, 5, 6]));
    // Of 488 surface voxels each, those of the face and the rim that moved by 2 mm out of the other have no partner.
    let distances = surface_distances(&a, &b, 1).unwrap();
    assert_eq!((distances.from_truth.len(), distances.from_prediction.len()), (488, 488));
    let apart = |d: &[f32]| d.iter().filter(|d| **d > 1e-3).count();
    let expected = 1.0 - (apart(&distances.from_truth) + apart(&distances.from_prediction)) as f64 / 976.0;
    check_close(surface_dice(&a, &b, 1, 0.0).unwrap(), expected, 1e-12);
    // The old face is 100 voxels; of the new box's surface it touches only the rim of 36.
    assert_eq!(apart(&distances.from_truth), 100 + 64);
    check_close(
        distances.mean_mm(),
        (distances.from_truth.iter().chain(&distances.from_prediction).sum::<f32>() / 976.0).into(),
        1e-6,
    );
}

#[test]
fn concentric_balls() {
    let (small, large) = (ball(15.0), ball(20.0));
    for percentile in [50.0, 95.0, 100.0] {
        check_close(hausdorff_mm(&small, &large, 1, percentile).unwrap(), 5.0, 1.3);
    }
    let exact = |r: f64| 4.0 / 3.0 * std::f64::consts::PI * r.powi(3) / 1000.0;
    check_close(Some(volume_ml(&large, 1)), exact(20.0), 0.01 * exact(20.0));
    let dice_of_balls = 2.0 * 15f64.powi(3) / (15f64.powi(3) + 20f64.powi(3));
    check_close(dice(&small, &large, 1).unwrap(), dice_of_balls, 0.01);
    check_close(surface_dice(&small, &large, 1, 1.0).unwrap(), 0.0, 0.0);
    check_close(surface_dice(&small, &large, 1, 7.0).unwrap(), 1.0, 0.0);
}

#[test]
fn percentile_is_between_voxels() {
    // One surface voxel against eleven in a row: distances back are 0, 0.5, … 5 mm.
    let (a, b) = (map([20, 1, 1], |[i, ..]| Label::from(i == 0)), map([20, 1, 1], |[i, ..]| Label::from(i <= 10)));
    check_close(hausdorff_mm(&a, &b, 1, 95.0).unwrap(), 4.75, 1e-6);
    check_close(hausdorff_mm(&a, &b, 1, 50.0).unwrap(), 2.5, 1e-6);
}

#[test]
fn absent_segments() {
    let (some, none) = (cube([5, 5, 5]), map([32, 32, 32], |_| 0));
    assert_eq!(dice(&none, &none, 1).unwrap(), None);
    assert_eq!(hausdorff_mm(&none, &none, 1, 95.0).unwrap(), None);
    assert_eq!(surface_dice(&none, &none, 1, 1.0).unwrap(), None);
    assert_eq!(dice(&some, &none, 1).unwrap(), Some(0.0));
    assert_eq!(hausdorff_mm(&some, &none, 1, 95.0).unwrap(), Some(f64::INFINITY));
    assert_eq!(surface_dice(&some, &none, 1, 5.0).unwrap(), Some(0.0));
    assert_eq!(overlap(&some, &none, 1).unwrap().sensitivity(), Some(0.0));
    assert_eq!(overlap(&some, &none, 1).unwrap().precision(), None);
}

#[test]
fn parts_belong_to_their_segment() {
    let whole = cube([5, 5, 5]);
    let mut split = map([32, 32, 32], |v| match whole.voxels.get(v[0], v[1], v[2]) {
        Some(1) if v[0] == 9 => 2,
        Some(&l) => l,
        None => 0,
    });
    let liver = Segment { parts: vec![2], ..volume::terminology::segment(1, "liver") };
    split.segments.insert(1, liver);
    check_close(dice(&whole, &split, 1).unwrap(), 1.0, 0.0);
    assert_eq!(volume_ml(&split, 1), volume_ml(&whole, 1));
    assert_eq!(volume_ml(&whole, 1), 1.0);
}

#[test]
fn wrong_questions_are_refused() {
    let (a, b) = (cube([5, 5, 5]), map([31, 32, 32], |_| 0));
    assert!(dice(&a, &b, 1).is_err());
    assert!(hausdorff_mm(&a, &a, 1, 101.0).is_err() && hausdorff_mm(&a, &a, 1, f64::NAN).is_err());
    assert!(surface_dice(&a, &a, 1, -1.0).is_err() && surface_dice(&a, &a, 1, f64::NAN).is_err());
}

proptest! {
    #[test]
    fn metrics_are_symmetric_and_perfect_on_themselves(
        a in prop::collection::vec(0u16..3, 6 * 5 * 4),
        b in prop::collection::vec(0u16..3, 6 * 5 * 4),
        percentile in 0.0..100.0f64,
        tolerance in 0.0..3.0f64,
    ) {
        let of = |labels: &[u16]| map([6, 5, 4], |[i, j, k]| labels[i + 6 * (j + 5 * k)]);
        let (a, b) = (of(&a), of(&b));
        prop_assert_eq!(dice(&a, &b, 1).unwrap(), dice(&b, &a, 1).unwrap());
        prop_assert_eq!(jaccard(&a, &b, 1).unwrap(), jaccard(&b, &a, 1).unwrap());
        let hausdorff = |p| (hausdorff_mm(&a, &b, 1, p).unwrap(), hausdorff_mm(&b, &a, 1, p).unwrap());
        let (forth, back) = hausdorff(percentile);
        prop_assert_eq!(forth, back);
        prop_assert!(hausdorff(100.0).0 >= forth);
        prop_assert_eq!(surface_dice(&a, &b, 1, tolerance).unwrap(), surface_dice(&b, &a, 1, tolerance).unwrap());
        if a.voxels.data().contains(&1) {
            prop_assert_eq!(dice(&a, &a, 1).unwrap(), Some(1.0));
            prop_assert_eq!(hausdorff_mm(&a, &a, 1, percentile).unwrap(), Some(0.0));
            prop_assert_eq!(surface_dice(&a, &a, 1, 0.0).unwrap(), Some(1.0));
        }
    }
}
