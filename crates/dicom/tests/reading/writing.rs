//! What this crate writes, it reads back as it was.

use std::collections::BTreeMap;

use dicom::{
    CtOptions, Finding, InventedPatient, inspect, read_segmentation, read_series, write_ct_series, write_segmentation,
};
use glam::DMat3;
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
