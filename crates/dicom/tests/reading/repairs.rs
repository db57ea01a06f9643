//! Gaps, uneven distances, tilt and shifts, on fields that are linear in space: interpolation must restore them exactly.

use dicom::{Finding, Scan, SplitBy};
use dicom_core::Tag;
use dicom_dictionary_std::tags;
use space::Point;

use crate::synthetic::{Image, axial, files, inspect, read_only_series, whole};

fn field(p: [f64; 3]) -> f64 {
    20.0 * p[0] - 30.0 * p[1] + 10.0 * p[2]
}

/// Every voxel that is not outside equals the field, within rounding.
#[track_caller]
fn check_field(scan: &Scan, tolerance: f64) -> usize {
    let geometry = *scan.volume.geometry();
    let [ni, nj, nk] = geometry.size();
    let mut outside = 0;
    for k in 0..nk {
        for j in 0..nj {
            for i in 0..ni {
                let found = f64::from(whole(scan)[geometry.offset(i, j, k)]);
                let p = geometry.lps_from_index() * Point::new(i as f64, j as f64, k as f64);
                let expected = field(p.get().to_array());
                if found == -1024.0 {
                    outside += 1;
                } else {
                    assert!((found - expected).abs() <= tolerance, "{found} at {i} {j} {k}, where {expected} belongs");
                }
            }
        }
    }
    outside
}

#[test]
fn missing_slices_are_interpolated_and_told() {
    let scan = read_only_series(files(&axial(&[0.0, 3.0, 6.0, 15.0, 18.0, 21.0, 24.0, 27.0, 30.0], field)));
    assert_eq!(scan.report.findings, [Finding::Gap { after_slice: 2, missing: 2, distance_mm: 9.0 }]);
    assert_eq!((&scan.report.interpolated_slices, &scan.report.gap_slices), (&vec![3, 4], &vec![3, 4]));
    assert!(scan.report.resampled);
    assert_eq!(scan.volume.geometry().size(), [12, 10, 11]);
    assert_eq!(check_field(&scan, 1.0), 0);
}

#[test]
fn a_gap_too_wide_to_bridge_parts_the_stack() {
    let inventory = inspect(files(&axial(&[0.0, 3.0, 6.0, 9.0, 60.0, 63.0, 66.0], field)));
    let sizes: Vec<usize> = inventory.series.iter().map(|s| s.geometry.unwrap().size()[2]).collect();
    assert_eq!(sizes, [4, 3]);
    let split = Finding::Split { by: vec![SplitBy::Gap], stack: 1, stacks: 2 };
    assert!(inventory.series[0].findings.contains(&split), "{:?}", inventory.series[0].findings);
}

#[test]
fn uneven_slices_are_evened_out_and_told() {
    let scan = read_only_series(files(&axial(&[0.0, 1.0, 2.2, 3.1, 4.5, 5.6, 6.4, 8.0], field)));
    let [Finding::UnevenSpacing { min_mm, max_mm, resampled_mm }] = scan.report.findings[..] else {
        panic!("{:?}", scan.report.findings)
    };
    assert!((min_mm - 0.8).abs() < 1e-9 && (max_mm - 1.6).abs() < 1e-9);
    assert!((scan.volume.geometry().spacing()[2] - resampled_mm).abs() < 1e-12);
    assert_eq!(check_field(&scan, 1.5), 0);
    // Most lie off the measured ones, but between neighbours as near as usual: nothing is missing.
    assert!(scan.report.interpolated_slices.len() > 3, "{:?}", scan.report);
    assert!(scan.report.gap_slices.is_empty(), "{:?}", scan.report);
}

#[test]
fn a_tilted_gantry_is_straightened() {
    let tilt = 14f64.to_radians();
    let image = |k: usize| Image {
        // The table moves along z; the slices' normal is tilted away from it.
        orientation: [1.0, 0.0, 0.0, 0.0, tilt.cos(), tilt.sin()],
        position: [-40.0, -30.0, 4.0 * k as f64],
        columns: 40,
        rows: 60,
        number: k + 1,
        instance: format!("2.25.{k}7"),
        ..Image::default()
    };
    let images: Vec<Image> = (0..12).map(image).map(|image| image.filled(field)).collect();
    let scan = read_only_series(files(&images));
    let [Finding::GantryTilt { angle_deg }] = scan.report.findings[..] else { panic!("{:?}", scan.report.findings) };
    assert!((angle_deg - 14.0).abs() < 1e-3, "{angle_deg}");
    let geometry = scan.volume.geometry();
    assert!((geometry.direction().determinant() - 1.0).abs() < 1e-9);
    assert!((geometry.spacing()[2] - 4.0 * tilt.cos()).abs() < 1e-6);
    // 44 mm · sin 14° are 10.6 rows, half of them on average without a measurement.
    assert_eq!(geometry.size(), [40, 71, 12]);
    let outside = check_field(&scan, 20.0);
    assert!((40 * 12 * 9..40 * 12 * 12).contains(&outside), "{outside}");
}

#[test]
fn shifted_slices_are_put_in_place() {
    let mut images = axial(&[0.0, 2.0, 4.0, 6.0, 8.0], field);
    for (image, shift) in images.iter_mut().zip([0.0, 2.0, -1.0, 3.0, 0.5]) {
        image.position[0] += shift;
        *image = image.clone().filled(field);
    }
    let scan = read_only_series(files(&images));
    assert!(matches!(scan.report.findings[..], [Finding::ShiftedSlices { .. }]), "{:?}", scan.report.findings);
    assert_eq!(scan.volume.geometry().size(), [16, 10, 5]);
    check_field(&scan, 11.0);
}

#[test]
fn overlap_is_a_matter_of_distance_not_of_thickness() {
    let mut images = axial(&[0.0, 2.0, 4.0, 6.0], field);
    for image in &mut images {
        image.extra.push((tags::SLICE_THICKNESS, dicom_core::VR::DS, "3".to_owned()));
        image.extra.push((Tag(0x0018, 0x0088), dicom_core::VR::DS, "9".to_owned()));
    }
    let scan = read_only_series(files(&images));
    assert_eq!(scan.volume.geometry().spacing()[2], 2.0);
    assert_eq!(scan.report.findings, [Finding::OverlappingSlices { spacing_mm: 2.0, thickness_mm: 3.0 }]);
}
