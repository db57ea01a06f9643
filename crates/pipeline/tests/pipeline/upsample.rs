//! Thin slices from thick ones, from files to files.

use std::fs;
use std::path::Path;

use neural::super_resolution::{SharpenTrainer, SharpenTraining, ThroughPlaneConfig};
use pipeline::{AddRequest, Models, PipelineError, Silent, UpsampleRequest, UpsampleSummary, inspect, upsample};
use volume::{ImageGeometry, ScanVolume, Volume};

use crate::support::{build, files, open, write_nifti};

/// A user with a small network, which adds nothing yet.
fn models(dir: &Path) -> Models {
    let config = ThroughPlaneConfig { channels: 4, blocks: 1, fold: 4, fusion: None };
    let weights = SharpenTrainer::new(&config, SharpenTraining::default()).unwrap().weights().unwrap();
    let (shelf, file) = (dir.join("shelf"), dir.join("tried.safetensors"));
    fs::write(&file, weights.to_bytes().unwrap()).unwrap();
    let models = Models { user: Some(shelf), ..Models::default() };
    let request = AddRequest { source: file.to_str().unwrap().to_owned(), ..AddRequest::default() };
    if models.list().is_empty() {
        let added = models.add(&request, &|_| ()).unwrap();
        assert_eq!((added.name.as_str(), added.classes), ("tried", 0));
    }
    models
}

fn run(scan: &Path, out: &Path, change: impl FnOnce(&mut UpsampleRequest)) -> Result<UpsampleSummary, PipelineError> {
    let shelf = tempfile::tempdir().unwrap();
    let mut request = UpsampleRequest {
        scan: scan.to_owned(),
        out: out.to_owned(),
        spacing_mm: 2.0,
        models: models(shelf.path()),
        no_cache: true,
        ..UpsampleRequest::default()
    };
    change(&mut request);
    upsample(&request, &Silent)
}

/// A ball in thick slices, grey values as CT.
fn ball(path: &Path) -> ImageGeometry {
    let grid =
        ImageGeometry::new([72, 68, 9], [2.0, 2.0, 8.0], space::Point::new(-72.0, -64.0, 7.0), glam::DMat3::IDENTITY)
            .unwrap();
    let ball = Volume::from_fn(grid, |[i, j, k]| {
        let r2 = (i as f32 - 36.0).powi(2) + (j as f32 - 32.0).powi(2) + (4.0 * (k as f32 - 4.0)).powi(2);
        if r2 < 196.0 { 90 + (i % 5) as i16 } else { -1000 }
    });
    write_nifti(&ball, path);
    grid
}

#[test]
fn both_files_lie_there_and_fit_each_other() {
    let dir = tempfile::tempdir().unwrap();
    let (scan, out) = (dir.path().join("scan.nii.gz"), dir.path().join("fine.nii.gz"));
    let old = ball(&scan);
    let summary = run(&scan, &out, |r| r.fine_tune_steps = Some(2)).unwrap();
    let stages: Vec<&str> = summary.stages.iter().map(|s| s.stage.as_str()).collect();
    assert_eq!(stages, ["read", "fine-tune", "upsample", "write"]);
    assert_eq!((summary.size, summary.inferred_percent, summary.factor), ([72, 68, 36], 100.0, 4.0));
    let fine = volume::formats::read_scan(&out).unwrap();
    let mask = volume::formats::read_labels(&dir.path().join("fine.inferred.nii.gz")).unwrap();
    assert!(fine.geometry().is_same_grid(mask.geometry(), 1e-3));
    assert!(mask.voxels.data().iter().all(|&m| m == 1));
    // The first slice's lower edge is where it was.
    let edge = |g: &ImageGeometry| g.origin().z - g.spacing()[2] / 2.0;
    assert!((edge(fine.geometry()) - edge(&old)).abs() < 1e-3);
    // Whole numbers stay whole; the ball is round now: as wide across slices as within them.
    assert!(matches!(fine, ScanVolume::I16(_)));
    let inside = |i: usize, j: usize, k: usize| fine.value(fine.geometry().offset(i, j, k)) > -455.0;
    let (along, across) =
        ((0..36).filter(|&k| inside(36, 32, k)).count(), (0..72).filter(|&i| inside(i, 32, 18)).count());
    assert!(along.abs_diff(across) <= 2, "{along} along the slices, {across} within");
    // Again over what is there, and nothing else is left behind.
    run(&scan, &out, |r| r.spacing_mm = 4.0).unwrap();
    assert_eq!(volume::formats::read_scan(&out).unwrap().geometry().size(), [72, 68, 18]);
    let names: Vec<_> = files(dir.path()).iter().map(|f| f.file_name().unwrap().to_owned()).collect();
    assert_eq!(names, ["fine.inferred.nii.gz", "fine.nii.gz", "scan.nii.gz"]);
}

/// Writes a series that lacks a slice in the middle; the answer is the scan with it.
fn phantom_with_a_gap(scan: &Path, spacing_mm: [f64; 3]) -> ScanVolume {
    let options = phantom::PhantomOptions { seed: 3, spacing_mm, ..Default::default() };
    phantom::write_phantom(scan, &options, &|_| ()).unwrap();
    let whole = run_plain(scan);
    // One slice, and the segmentation, which would miss it.
    let inventory = dicom::inspect(scan).unwrap();
    assert_eq!(inventory.series.len(), 1);
    let slices: Vec<_> = files(scan).into_iter().filter(|f| f.extension().is_some_and(|e| e == "dcm")).collect();
    let images: Vec<_> = slices.iter().filter(|f| fs::metadata(f).unwrap().len() < 200_000).collect();
    fs::remove_file(images[images.len() / 2]).unwrap();
    whole
}

#[test]
fn a_gap_in_a_series_is_filled_and_marked() {
    let dir = tempfile::tempdir().unwrap();
    let (scan, out) = (dir.path().join("scan"), dir.path().join("fine.nii.gz"));
    let whole = phantom_with_a_gap(&scan, [5.0; 3]);
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

#[test]
fn a_case_marks_the_slices_that_fill_a_gap() {
    let dir = tempfile::tempdir().unwrap();
    let (scan, out) = (dir.path().join("scan"), dir.path().join("case"));
    phantom_with_a_gap(&scan, [5.0; 3]);
    build(&scan, &out, |_| ()).unwrap();
    let case = open(&out);
    let mask = case.inferred().unwrap().unwrap();
    let marked: Vec<usize> =
        (0..mask.geometry().size()[2]).filter(|&k| mask.slice(k).iter().any(|&m| m != 0)).collect();
    assert_eq!(marked.len(), 1);
    assert!(mask.slice(marked[0]).iter().all(|&m| m == case::INTERPOLATED));
    assert!(case.manifest.segments.iter().all(|s| s.inferred_percent == 0.0), "no model took part");
    assert!(case.manifest.provenance.interpolated.contains("1 slice"), "{:?}", case.manifest.provenance);
}

fn run_plain(scan: &Path) -> ScanVolume {
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
    assert!(
        matches!(run(&scan, &scan, |_| ()), Err(PipelineError::WouldReplace { .. })),
        "the scan is not to be overwritten"
    );
    let one = dir.path().join("one.nii.gz");
    let noise = |[i, j, _]: [usize; 3]| (i * 7919 + j * 104_729) as i16 % 1009;
    write_nifti(&Volume::from_fn(grid.cropped([0; 3], [72, 68, 1]).unwrap(), noise), &one);
    refuse("it has one slice", &one, &out, |_| ());
    refuse("no model `absent`", &scan, &out, |r| r.model = Some("absent".to_owned()));
    refuse("no model here makes slices thinner", &scan, &out, |r| r.models = Models::default());
    refuse("its folder does not exist", &scan, &dir.path().join("absent/fine.nii.gz"), |_| ());
    // Before minutes go into teaching.
    refuse("slices lie 8.00 mm apart", &scan, &out, |r| (r.spacing_mm, r.fine_tune_steps) = (8.0, Some(100_000)));
    let damage = |r: &mut UpsampleRequest| {
        let file = r.models.user.as_ref().unwrap().join("tried/weights.safetensors");
        let mut bytes = fs::read(&file).unwrap();
        let last = bytes.len() - 1;
        bytes[last] ^= 1;
        fs::write(file, bytes).unwrap();
    };
    refuse("is not the one its card tells of", &scan, &out, damage);
    let labels = dir.path().join("labels.nii.gz");
    write_nifti(&Volume::from_fn(grid, |[i, j, _]| i16::from(i > 20) + i16::from(j > 20)), &labels);
    refuse("this is a label map", &labels, &out, |_| ());
}

#[test]
fn scans_of_another_kind_teach_the_model_first() {
    let dir = tempfile::tempdir().unwrap();
    let (scan, out) = (dir.path().join("scan.nii.gz"), dir.path().join("fine.nii.gz"));
    // No air of a CT: grey values as of an MR.
    let grid = ball(&scan);
    let head = Volume::from_fn(grid, |[i, j, k]| {
        let r2 = (i as f32 - 36.0).powi(2) + (j as f32 - 32.0).powi(2) + (4.0 * (k as f32 - 4.0)).powi(2);
        if r2 < 600.0 { 700.0 + 7.3 * (i % 9) as f32 } else { (j % 3) as f32 }
    });
    volume::nifti::write_scan(&ScanVolume::F32(head), &scan).unwrap();
    let of_ct = |r: &mut UpsampleRequest, steps| {
        let card = r.models.user.as_ref().unwrap().join("tried/model.json");
        let told = fs::read_to_string(&card).unwrap().replace(r#""modality": "any""#, r#""modality": "CT""#);
        fs::write(card, told).unwrap();
        r.fine_tune_steps = Some(steps);
    };
    let plain = run(&scan, &out, |r| of_ct(r, 0)).unwrap();
    assert_eq!(plain.fine_tune_steps, 0);
    assert!(plain.notes.iter().any(|n| n.contains("trained on CT") && n.contains("--fine-tune")), "{plain}");
    assert!(plain.notes.iter().any(|n| n.contains("experimental")), "{plain}");
    let before = fs::read(&out).unwrap();
    let taught = run(&scan, &out, |r| of_ct(r, 3)).unwrap();
    assert!(taught.notes.iter().any(|n| n.contains("taught on the scan itself in 3 steps")), "{taught}");
    assert_ne!(fs::read(&out).unwrap(), before, "teaching changed nothing");
}

#[test]
fn a_gap_between_slices_that_are_made_thinner_counts_as_inferred() {
    let dir = tempfile::tempdir().unwrap();
    let (scan, out) = (dir.path().join("scan"), dir.path().join("case"));
    phantom_with_a_gap(&scan, [4.0, 4.0, 12.0]);
    build(&scan, &out, |r| (r.recipe, r.models) = (Some("ct-fine".to_owned()), models(dir.path()))).unwrap();
    let case = open(&out);
    let mask = case.inferred().unwrap().unwrap();
    let slices: Vec<u8> = (0..mask.geometry().size()[2]).map(|k| mask.slice(k)[0]).collect();
    let gap = slices.iter().position(|&m| m == 1).unwrap();
    assert!(slices.iter().enumerate().all(|(k, &m)| m == if k == gap { 1 } else { case::REFINED }), "{slices:?}");
    let segments = &case.manifest.segments;
    assert!(segments.iter().all(|s| (s.inferred_percent - 100.0).abs() < 1e-6), "{segments:?}");
    assert!(case.manifest.provenance.interpolated.contains("1 slice"), "{:?}", case.manifest.provenance);
}

#[test]
fn surfaces_of_thin_slices_are_marked_as_inferred_and_the_scan_stays() {
    let dir = tempfile::tempdir().unwrap();
    let (scan, out) = (dir.path().join("scan"), dir.path().join("case"));
    let options = phantom::PhantomOptions { seed: 3, spacing_mm: [4.0, 4.0, 12.0], ..Default::default() };
    phantom::write_phantom(&scan, &options, &|_| ()).unwrap();
    let models = models(dir.path());
    let fitting = |models: &Models| {
        let series = inspect(&scan, models).unwrap().series.remove(0);
        series.recipes.into_iter().map(|r| (r.name, r.model, r.default)).collect::<Vec<_>>()
    };
    assert!(fitting(&Models::default()).iter().all(|r| r.0 != "ct-fine"), "there is no model");
    let fine = ("ct-fine", Some("tried".to_owned()), false);
    assert!(fitting(&models).contains(&fine), "{:?}", fitting(&models));

    let ask = |r: &mut pipeline::BuildRequest| (r.recipe, r.models) = (Some("ct-fine".to_owned()), models.clone());
    let summary = build(&scan, &out, ask).unwrap();
    let old = run_plain(&scan);
    assert_eq!((summary.recipe, summary.size), ("ct-fine", old.geometry().size()));
    assert_eq!(summary.models.iter().map(|m| m.name.as_str()).collect::<Vec<_>>(), ["tried"]);
    let case = open(&out);
    let mask = case.inferred().unwrap().unwrap();
    assert!(mask.data().iter().all(|&m| m == case::REFINED), "every surface is new");
    let kept = case.scan().unwrap();
    let same = (0..old.geometry().voxel_count()).all(|n| (kept.value(n) - old.value(n)).abs() < 1e-3);
    assert!(kept.geometry().is_same_grid(old.geometry(), 1e-3) && same, "the scan is what was measured");
    let labels = case.labels().unwrap();
    assert!(labels.geometry().is_same_grid(old.geometry(), 1e-3));
    let provenance = &case.manifest.provenance;
    assert!(provenance.inferred.contains("12.00 mm apart were made 4.00 mm thin by the model tried"), "{provenance:?}");
    assert_eq!(provenance.models[0].name, "tried");
    let segments = &case.manifest.segments;
    assert!(segments.iter().any(|s| s.name == "lung_left"), "{segments:?}");
    assert!(segments.iter().all(|s| (s.inferred_percent - 100.0).abs() < 1e-6), "{segments:?}");

    // Thin slices have nothing to gain.
    let thin = dir.path().join("thin.nii.gz");
    run(&scan, &thin, |r| r.spacing_mm = 4.0).unwrap();
    let error = build(&thin, &dir.path().join("other"), ask).unwrap_err().to_string();
    assert!(error.contains("thin enough"), "{error}");
    // The recipe need not be named with a model that can do nothing else.
    let named = |r: &mut pipeline::BuildRequest| (r.model, r.models) = (Some("tried".to_owned()), models.clone());
    assert_eq!(build(&scan, &dir.path().join("named"), named).unwrap().recipe, "ct-fine");
}
