//! What this crate writes, it reads back as it was.

use std::collections::BTreeMap;

use dicom::{
    CtOptions, Finding, InventedPatient, Modality, MrOptions, PetOptions, SeriesOptions, inspect, read_segmentation,
    read_series, write_ct_series, write_mr_series, write_pet_series, write_segmentation,
};
use glam::{DMat3, DVec3};
use space::Point;
use volume::{Code, ImageGeometry, Label, LabelMap, ScanVolume, Segment, Volume};

fn oblique() -> ImageGeometry {
    let direction = DMat3::from_rotation_x(0.2) * DMat3::from_rotation_z(-0.4);
    ImageGeometry::new([21, 17, 9], [0.7, 0.9, 2.5], Point::new(-31.5, 12.25, 640.0), direction).unwrap()
}

fn segment(label: Label, name: &str, parts: &[Label]) -> Segment {
    Segment {
        label,
        parts: parts.to_vec(),
        name: name.to_owned(),
        display: name.replace('_', " "),
        code: (label % 2 == 1).then(|| Code {
            scheme: "SCT".to_owned(),
            value: "10200004".to_owned(),
            meaning: "Liver".to_owned(),
        }),
        color: [label as u8 * 40, 255 - label as u8, 17],
    }
}

/// Labels 1 and 2 nested in 1's union, 3 beside them.
fn labels() -> LabelMap {
    let voxels = Volume::from_fn(oblique(), |[i, j, k]| match (i, j, k) {
        (5..=9, 5..=9, 3..=6) => 2,
        (2..=15, 2..=12, 1..=7) => 1,
        (17..=20, _, _) => 3,
        _ => 0,
    });
    let segments = BTreeMap::from([
        (1, segment(1, "liver", &[2])),
        (2, segment(2, "liver_lesion", &[])),
        (3, segment(3, "vertebrae_L1", &[])),
    ]);
    LabelMap { voxels, segments }
}

#[test]
fn a_series_and_its_segmentation_come_back_exactly() {
    for range in [3000, 20_000] {
        let ct = Volume::from_fn(oblique(), |[i, j, k]| ((i * 731 + j * 57 + k * 11) % range) as i16 - 1000);
        let dir = tempfile::tempdir().unwrap();
        let options = CtOptions { contrast_agent: Some("Iohexol".to_owned()), ..CtOptions::default() };
        let series = write_ct_series(dir.path(), &ct, &InventedPatient::from_seed(3), &options).unwrap();
        write_segmentation(&dir.path().join("truth.dcm"), &labels(), &series).unwrap();

        let inventory = inspect(dir.path()).unwrap();
        assert_eq!((inventory.series.len(), inventory.segmentations.len(), inventory.skipped.len()), (1, 1, 0));
        assert_eq!(inventory.segmentations_of(0), [0]);
        let scan = read_series(&inventory, 0).unwrap();
        let ScanVolume::I16(read) = &scan.volume else { panic!("whole numbers were written") };
        assert!(read.geometry().is_same_grid(ct.geometry(), 1e-6));
        assert_eq!(read.data(), ct.data());
        assert_eq!((scan.contrast, scan.window), (true, Some((40.0, 400.0))));
        let none: [Finding; 0] = [];
        assert_eq!(scan.report.findings, none);

        let found = read_segmentation(&inventory, 0, Some(scan.volume.geometry())).unwrap();
        assert_eq!(found.voxels.data(), labels().voxels.data());
        assert_eq!(found.segments, labels().segments);
    }
}

#[test]
fn the_same_seed_writes_the_same_bytes() {
    let ct = Volume::filled(oblique(), 7i16);
    let write = |seed| {
        let dir = tempfile::tempdir().unwrap();
        let options = CtOptions { seed, ..CtOptions::default() };
        write_ct_series(dir.path(), &ct, &InventedPatient::from_seed(seed), &options).unwrap();
        std::fs::read(dir.path().join("IM0004.dcm")).unwrap()
    };
    assert_eq!(write(1), write(1));
    assert_ne!(write(1), write(2));
}

/// As CT scanners of old did: slices lean about x, the table moves along z.
fn tilted(degrees: f64) -> ImageGeometry {
    let (sin, cos) = degrees.to_radians().sin_cos();
    let direction = DMat3::from_cols(DVec3::X, DVec3::new(0.0, cos, sin), DVec3::Z);
    ImageGeometry::new([40, 50, 24], [2.0, 2.0, 3.0], Point::new(-40.0, -50.0, 100.0), direction).unwrap()
}

#[test]
fn a_tilted_gantry_is_read_back_in_place_with_its_segmentation() {
    for degrees in [-18.0, 12.0] {
        let geometry = tilted(degrees);
        let center = (geometry.lps_from_index() * Point::new(19.5, 24.5, 11.5)).get();
        let inside = |[i, j, k]: [usize; 3]| {
            let p = geometry.lps_from_index() * Point::new(i as f64, j as f64, k as f64);
            (p.get() - center).length() < 22.0
        };
        let ct = Volume::from_fn(geometry, |at| if inside(at) { 60 } else { -1000i16 });
        let voxels = Volume::from_fn(geometry, |at| Label::from(inside(at)));
        let labels = LabelMap { voxels, segments: BTreeMap::from([(1, segment(1, "liver", &[]))]) };
        let dir = tempfile::tempdir().unwrap();
        let options = CtOptions { gantry_tilt_deg: Some(degrees), ..CtOptions::default() };
        let series = write_ct_series(dir.path(), &ct, &InventedPatient::from_seed(3), &options).unwrap();
        write_segmentation(&dir.path().join("truth.dcm"), &labels, &series).unwrap();

        let inventory = inspect(dir.path()).unwrap();
        let scan = read_series(&inventory, 0).unwrap();
        let found = scan.report.findings.iter().find_map(|f| match f {
            Finding::GantryTilt { angle_deg } => Some(*angle_deg),
            _ => None,
        });
        assert!(found.is_some_and(|a| (a - degrees.abs()).abs() < 1e-6), "{:?}", scan.report.findings);
        let ScanVolume::I16(volume) = &scan.volume else { panic!("whole numbers were written") };
        let truth = read_segmentation(&inventory, 0, Some(volume.geometry())).unwrap();
        let voxels = || truth.voxels.data().iter().zip(volume.data()).map(|(label, hu)| (*label == 1, *hu > -470));
        let both = voxels().filter(|(a, b)| *a && *b).count();
        let sum = voxels().map(|(a, b)| usize::from(a) + usize::from(b)).sum::<usize>();
        assert!(both * 200 > sum * 98, "Dice of {}", 2.0 * both as f64 / sum as f64);

        // Alone it covers the slices that have voxels.
        let alone = read_segmentation(&inventory, 0, None).unwrap();
        let direction = alone.geometry().direction();
        assert!(direction.z_axis.dot(direction.x_axis.cross(direction.y_axis)) > 1.0 - 1e-9, "{direction:?}");
        for labels in [&truth, &alone] {
            let (grid, mut middle, mut count) = (labels.geometry(), DVec3::ZERO, 0.0);
            let [w, h, _] = grid.size();
            for (n, _) in labels.voxels.data().iter().enumerate().filter(|(_, label)| **label == 1) {
                let index = Point::new((n % w) as f64, (n / w % h) as f64, (n / w / h) as f64);
                middle += (grid.lps_from_index() * index).get() - center;
                count += 1.0;
            }
            assert!((middle / count).length() < 0.3, "the ball has moved by {} mm", middle / count);
        }
    }
}

#[test]
fn mr_and_pet_come_back_in_the_same_frame_of_reference() {
    let dir = tempfile::tempdir().unwrap();
    let patient = InventedPatient::from_seed(5);
    let named = |series_number, series: &str| SeriesOptions {
        seed: 5,
        series_number,
        series: series.to_owned(),
        ..SeriesOptions::default()
    };
    let mr = Volume::from_fn(oblique(), |[i, j, k]| ((i * 31 + j * 57 + k * 11) % 4096) as i16);
    let options = MrOptions {
        common: named(3, "T2"),
        sequence: "tse2d16".to_owned(),
        repetition_ms: 4000.0,
        echo_ms: 90.0,
        echo_train: 16,
        field_t: 1.5,
    };
    let series = write_mr_series(&dir.path().join("mr"), &mr, &patient, &options).unwrap();
    write_segmentation(&dir.path().join("mr/truth.dcm"), &labels(), &series).unwrap();
    let pet = Volume::from_fn(oblique(), |[i, j, k]| (i * 310 + j * 57) as f32 + k as f32 * 0.37);
    let options = PetOptions { common: named(5, "FDG"), dose_bq: 3e8, weight_kg: 70.0, height_m: 1.75 };
    let series = write_pet_series(&dir.path().join("pet"), &pet, &patient, &options).unwrap();
    write_segmentation(&dir.path().join("pet/truth.dcm"), &labels(), &series).unwrap();

    let inventory = inspect(dir.path()).unwrap();
    assert_eq!((inventory.series.len(), inventory.segmentations.len(), inventory.skipped.len()), (2, 2, 0));
    for index in 0..2 {
        let scan = read_series(&inventory, index).unwrap();
        assert!(scan.volume.geometry().is_same_grid(&oblique(), 1e-6));
        match &scan.volume {
            ScanVolume::I16(read) => assert_eq!((read.data(), scan.modality), (mr.data(), Modality::Mr)),
            ScanVolume::F32(read) => {
                assert_eq!(scan.modality, Modality::Pt);
                let worst = read.data().iter().zip(pet.data()).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
                assert!(worst < 0.12, "off by {worst} Bq/ml of up to 7000");
            }
        }
        let [own] = inventory.segmentations_of(index)[..] else { panic!("each series has one truth") };
        assert_eq!(read_segmentation(&inventory, own, None).unwrap().segments, labels().segments);
    }
}
