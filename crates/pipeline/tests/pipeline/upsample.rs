//! Thin slices from thick ones, from files to files.

use std::fs;
use std::path::Path;

use neural::super_resolution::{SharpenTrainer, SharpenTraining, ThroughPlaneConfig};
use pipeline::{PipelineError, Silent, UpsampleRequest, UpsampleSummary, upsample};
use volume::{ImageGeometry, Volume};

use crate::support::{files, write_nifti};

/// A small network that adds nothing yet.
fn weights() -> Vec<u8> {
    let config = ThroughPlaneConfig { channels: 4, blocks: 1, fold: 4 };
    SharpenTrainer::new(&config, SharpenTraining::default()).unwrap().weights().unwrap().to_bytes().unwrap()
}

fn run(scan: &Path, out: &Path, change: impl FnOnce(&mut UpsampleRequest)) -> Result<UpsampleSummary, PipelineError> {
    let mut request = UpsampleRequest {
        scan: scan.to_owned(),
        out: out.to_owned(),
        series: None,
        spacing_mm: 2.0,
        thickness_mm: None,
        model: "tried".to_owned(),
        weights: weights(),
        fine_tune_steps: 0,
    };
    change(&mut request);
    upsample(&request, &Silent)
}

/// A ball in thick slices, grey values as CT.
fn ball(path: &Path) -> ImageGeometry {
    let grid =
        ImageGeometry::new([48, 44, 9], [2.0, 2.0, 8.0], space::Point::new(-48.0, -40.0, 7.0), glam::DMat3::IDENTITY)
            .unwrap();
    let ball = Volume::from_fn(grid, |[i, j, k]| {
        let r2 = (i as f32 - 24.0).powi(2) + (j as f32 - 20.0).powi(2) + (4.0 * (k as f32 - 4.0)).powi(2);
        if r2 < 196.0 { 60 + (i % 5) as i16 } else { -1000 }
    });
    write_nifti(&ball, path);
    grid
}

#[test]
fn both_files_lie_there_and_fit_each_other() {
    let dir = tempfile::tempdir().unwrap();
    let (scan, out) = (dir.path().join("scan.nii.gz"), dir.path().join("fine.nii.gz"));
    let old = ball(&scan);
    let summary = run(&scan, &out, |r| r.fine_tune_steps = 2).unwrap();
    let stages: Vec<&str> = summary.stages.iter().map(|s| s.stage.as_str()).collect();
    assert_eq!(stages, ["read", "fine-tune", "upsample", "write"]);
    assert_eq!((summary.size, summary.inferred_percent, summary.factor), ([48, 44, 36], 100.0, 4.0));
    let fine = volume::formats::read_scan(&out).unwrap();
    let mask = volume::formats::read_labels(&dir.path().join("fine.inferred.nii.gz")).unwrap();
    assert!(fine.geometry().is_same_grid(mask.geometry(), 1e-3));
    assert!(mask.voxels.data().iter().all(|&m| m == 1));
    // The first slice's lower edge is where it was.
    let edge = |g: &ImageGeometry| g.origin().z - g.spacing()[2] / 2.0;
    assert!((edge(fine.geometry()) - edge(&old)).abs() < 1e-3);
    // Whole numbers stay whole; the ball is round now: as wide across slices as within them.
    assert!(matches!(fine, volume::ScanVolume::I16(_)));
    let inside = |i: usize, j: usize, k: usize| fine.value(fine.geometry().offset(i, j, k)) > -470.0;
    let (along, across) =
        ((0..36).filter(|&k| inside(24, 20, k)).count(), (0..48).filter(|&i| inside(i, 20, 18)).count());
    assert!(along.abs_diff(across) <= 2, "{along} along the slices, {across} within");
    // Again over what is there, and nothing else is left behind.
    run(&scan, &out, |r| r.spacing_mm = 4.0).unwrap();
    assert_eq!(volume::formats::read_scan(&out).unwrap().geometry().size(), [48, 44, 18]);
    let names: Vec<_> = files(dir.path()).iter().map(|f| f.file_name().unwrap().to_owned()).collect();
    assert_eq!(names, ["fine.inferred.nii.gz", "fine.nii.gz", "scan.nii.gz"]);
}

#[test]
fn a_gap_in_a_series_is_filled_and_marked() {
    let dir = tempfile::tempdir().unwrap();
    let (scan, out) = (dir.path().join("scan"), dir.path().join("fine.nii.gz"));
    let options = phantom::PhantomOptions { seed: 3, spacing_mm: [5.0, 5.0, 5.0], ..Default::default() };
    phantom::write_phantom(&scan, &options, &|_| ()).unwrap();
    let whole = run_plain(&scan);
    // One slice in the middle, and the segmentation, which would miss it.
    let inventory = dicom::inspect(&scan).unwrap();
    assert_eq!(inventory.series.len(), 1);
    let slices: Vec<_> = files(&scan).into_iter().filter(|f| f.extension().is_some_and(|e| e == "dcm")).collect();
    let images: Vec<_> = slices.iter().filter(|f| fs::metadata(f).unwrap().len() < 200_000).collect();
    fs::remove_file(images[images.len() / 2]).unwrap();
    let summary = run(&scan, &out, |r| r.spacing_mm = 5.0).unwrap();
    assert_eq!(summary.filled_slices.len(), 1, "{summary}");
    assert!(summary.notes.iter().any(|n| n.contains("1 missing slice was filled")), "{:?}", summary.notes);
    let gap = summary.filled_slices[0];
    let fine = volume::formats::read_scan(&out).unwrap();
    let mask = volume::formats::read_labels(&dir.path().join("fine.inferred.nii.gz")).unwrap();
    assert_eq!(fine.geometry().size(), whole.geometry().size());
    for k in 0..fine.geometry().size()[2] {
        assert!(mask.voxels.slice(k).iter().all(|&m| m == u16::from(k == gap)), "slice {k}");
        let plane = fine.geometry().offset(0, 0, k)..fine.geometry().offset(0, 0, k) + mask.voxels.slice(k).len();
        let same = plane.clone().all(|n| (fine.value(n) - whole.value(n)).abs() <= 1.0);
        assert_eq!(same, k != gap, "slice {k}");
    }
}

fn run_plain(scan: &Path) -> volume::ScanVolume {
    let inventory = dicom::inspect(scan).unwrap();
    dicom::read_series(&inventory, 0).unwrap().volume
}

#[test]
fn what_cannot_be_made_finer_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let (scan, out) = (dir.path().join("scan.nii.gz"), dir.path().join("fine.nii.gz"));
    let grid = ball(&scan);
    let refuse = |wanted: &str, scan: &Path, out: &Path, change: fn(&mut UpsampleRequest)| {
        let error = run(scan, out, change).unwrap_err().to_string();
        assert!(error.contains(wanted), "{error}");
        assert!(!out.exists(), "{wanted}");
    };
    refuse("slices lie 8.00 mm apart", &scan, &out, |r| r.spacing_mm = 8.0);
    refuse("nothing there", &dir.path().join("absent.nii"), &out, |_| ());
    refuse("let its name end in .nii.gz", &scan, &dir.path().join("fine.nrrd"), |_| ());
    refuse("these are no safetensors weights", &scan, &out, |r| r.weights.truncate(100));
    refuse("No such file", &scan, &dir.path().join("absent/fine.nii.gz"), |_| ());
    let labels = dir.path().join("labels.nii.gz");
    write_nifti(&Volume::from_fn(grid, |[i, j, _]| i16::from(i > 20) + i16::from(j > 20)), &labels);
    refuse("this is a label map", &labels, &out, |_| ());
}
