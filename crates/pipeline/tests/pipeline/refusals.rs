//! What is refused, before the long work, with a reason and a remedy.

use std::fs;
use std::path::Path;

use pipeline::{BuildRequest, PipelineError};
use volume::{LabelMap, Volume};

use crate::support::{build, coarse_phantom, write_nifti};

#[track_caller]
fn check(scan: &Path, out: &Path, change: impl FnOnce(&mut BuildRequest), words: &[&str]) -> PipelineError {
    let error = build(scan, out, change).expect_err("must be refused");
    let text = error.to_string();
    for word in words {
        assert!(text.contains(word), "`{word}` is not in: {text}");
    }
    error
}

#[test]
fn requests_that_cannot_work_are_refused_with_a_remedy() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    let (scan, out) = (at("scan.nii.gz"), at("case"));
    write_nifti(&coarse_phantom().hounsfield, &scan);
    check(&at("absent"), &out, |_| (), &["nothing there", "absent"]);
    check(&scan, &out, |r| r.recipe = Some("ct-magic".to_owned()), &["ct-magic", "ct-basic", "mr-head", "labels"]);
    check(&scan, &out, |r| r.recipe = Some("labels".to_owned()), &["labels", "--labels FILE"]);
    check(&scan, &out, |r| r.model = Some("oracle".to_owned()), &["no model `oracle`", "vestibule models add"]);
    check(&scan, &out, |r| r.series = Some("2".to_owned()), &["--series", "leave it out"]);
    check(&scan, &out, |r| r.labels = Some(at("no.nii.gz")), &["nothing there", "no.nii.gz"]);
    let both = |r: &mut BuildRequest| (r.labels, r.recipe) = (Some(scan.clone()), Some("ct-basic".to_owned()));
    check(&scan, &out, both, &["--labels", "ct-basic", "leave one"]);
    fs::write(at("text.txt"), "hello").unwrap();
    check(&at("text.txt"), &out, |_| (), &["text.txt"]);
    fs::create_dir(at("empty")).unwrap();
    check(&at("empty"), &out, |_| (), &["empty"]);
    fs::create_dir(at("volumes")).unwrap();
    fs::copy(&scan, at("volumes/a.nii.gz")).unwrap();
    check(&at("volumes"), &out, |_| (), &["a.nii.gz", "name one"]);
    fs::write(at("cut.nii.gz"), &fs::read(&scan).unwrap()[..200]).unwrap();
    check(&at("cut.nii.gz"), &out, |_| (), &["cut.nii.gz"]);
    assert!(!out.exists(), "nothing was written");
}

#[test]
fn a_folder_with_something_in_it_is_refused_before_the_scan_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("work");
    fs::create_dir(&out).unwrap();
    fs::write(out.join("thesis.txt"), "years").unwrap();
    // A scan that cannot be read would be told of first if it were looked at first.
    let scan = dir.path().join("scan.nii.gz");
    fs::write(&scan, "no image").unwrap();
    let error = check(&scan, &out, |_| (), &["work"]);
    assert!(matches!(error, PipelineError::Case(case::CaseError::Occupied { .. })), "{error:?}");
    assert_eq!(fs::read_to_string(out.join("thesis.txt")).unwrap(), "years");
}

#[test]
fn one_slice_is_refused_for_what_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let (scan, out) = (dir.path().join("slice.nii.gz"), dir.path().join("case"));
    let body = coarse_phantom().hounsfield;
    let [ni, nj, nk] = body.geometry().size();
    let one = body.geometry().cropped([0, 0, nk as isize / 2], [ni, nj, 1]).unwrap();
    write_nifti(&Volume::from_fn(one, |[i, j, _]| body.data()[i + ni * (j + nj * (nk / 2))]), &scan);
    check(&scan, &out, |_| (), &["× 1 voxels", "ct-basic", "slices or more", "--labels FILE"]);
}

#[test]
fn labels_of_another_place_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    let body = coarse_phantom();
    write_nifti(&body.hounsfield, &at("scan.nii.gz"));
    let g = body.hounsfield.geometry();
    let away = g.cropped([0, 0, 3 * g.size()[2] as isize], [8, 8, 8]).unwrap();
    let write = |value, name: &str| {
        let map = LabelMap { voxels: Volume::filled(away, value), segments: Default::default() };
        volume::nifti::write_labels(&map, &at(name)).unwrap();
    };
    write(1, "away.nii.gz");
    write(0, "nothing.nii.gz");
    let labels = |name: &'static str| move |r: &mut BuildRequest| r.labels = Some(at(name));
    check(&at("scan.nii.gz"), &at("case"), labels("away.nii.gz"), &["no label lies inside the scan", "away.nii.gz"]);
    check(&at("scan.nii.gz"), &at("case"), labels("nothing.nii.gz"), &["no labelled voxel", "nothing.nii.gz"]);
    assert!(!at("case").exists());
}
