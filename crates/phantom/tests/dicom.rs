//! The phantom as files: what is written can be read back.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "tests may fail loudly and say what they measured")]

use phantom::{PhantomError, PhantomOptions, body, write_phantom};

fn coarse() -> PhantomOptions {
    PhantomOptions { seed: 3, spacing_mm: [5.0, 5.0, 6.0], ..Default::default() }
}

#[test]
fn series_and_truth_come_back() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("phantom");
    let summary = write_phantom(&dir, &coarse(), &|_| ()).unwrap();
    let original = body(&coarse(), &|_| ()).unwrap();
    let inventory = dicom::inspect(&dir).unwrap();
    assert_eq!((inventory.series.len(), inventory.segmentations.len()), (1, 1));
    let scan = dicom::read_series(&inventory, 0).unwrap();
    assert_eq!(scan.volume, volume::ScanVolume::I16(original.hounsfield));
    let truth = dicom::read_segmentation(&inventory, 0, Some(original.labels.geometry())).unwrap();
    let count = |labels: &volume::LabelMap, name: &str| {
        let Some(segment) = labels.segments.values().find(|s| s.name == name) else { return 0 };
        let own = |l: &u16| *l == segment.label || segment.parts.contains(l);
        labels.voxels.data().iter().filter(|l| own(l)).count()
    };
    for name in ["liver", "heart", "lung_right", "vertebrae_L3", "rib_left_5", "aorta", "kidney_left"] {
        assert_eq!(count(&truth, name), count(&original.labels, name), "{name} changed on the way");
    }
    assert!(summary.structures > 100, "only {} structures", summary.structures);
}

#[test]
fn a_folder_in_use_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("notes.txt"), "mine").unwrap();
    let refused = write_phantom(folder.path(), &coarse(), &|_| ());
    assert!(matches!(refused, Err(PhantomError::NotEmpty { .. })));
}
