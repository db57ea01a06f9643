//! Labels that somebody made before.

use std::fs;

use volume::{LabelMap, ScanVolume, Volume, terminology};

use crate::support::{build, coarse_phantom, open};

fn two_organs() -> LabelMap {
    let body = coarse_phantom();
    let wanted = ["liver", "spleen"];
    let mut number = vec![0u16; usize::from(u16::MAX) + 1];
    for (n, name) in wanted.into_iter().enumerate() {
        let organ = body.labels.segments.values().find(|s| s.name == name).unwrap();
        // The liver is the union of its parts.
        for label in organ.parts.iter().chain([&organ.label]) {
            number[usize::from(*label)] = n as u16 + 1;
        }
    }
    let voxels = body.labels.voxels.map(|l| number[usize::from(*l)]);
    LabelMap { voxels, segments: Default::default() }
}

#[test]
fn labels_on_another_grid_come_to_lie_on_the_scan() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    let body = coarse_phantom();
    crate::support::write_nifti(&body.hounsfield, &at("scan.nii.gz"));
    let organs = two_organs();
    // Half the slices, each twice as far apart.
    let g = organs.geometry();
    let [ni, nj, nk] = g.size();
    let [x, y, z] = g.spacing();
    let coarse = volume::ImageGeometry::new([ni, nj, nk / 2], [x, y, 2.0 * z], g.origin(), g.direction()).unwrap();
    let voxels = Volume::from_fn(coarse, |[i, j, k]| *organs.voxels.get(i, j, 2 * k).unwrap());
    volume::nifti::write_labels(&LabelMap { voxels, segments: Default::default() }, &at("organs.nii.gz")).unwrap();
    fs::write(at("organs.json"), r#"{"1": "liver", "2": "spleen"}"#).unwrap();

    let summary = build(&at("scan.nii.gz"), &at("case"), |r| r.labels = Some(at("organs.nii.gz"))).unwrap();
    assert_eq!(summary.recipe, "labels");
    assert!(summary.notes.iter().any(|n| n.contains("another grid")), "{:?}", summary.notes);
    let case = open(&at("case"));
    let truth = organs.counts();
    for (entry, label) in case.manifest.segments.iter().zip([1, 2]) {
        let expected = truth[&label] as f64 * g.voxel_volume_mm3() / 1000.0;
        let error = (entry.volume_ml / expected - 1.0).abs();
        assert!(error < 0.02, "{}: {} ml of {expected} ml", entry.name, entry.volume_ml);
        assert_eq!(entry.code.as_ref().map(|c| c.scheme.as_str()), Some("SCT"));
    }
    let names: Vec<_> = case.manifest.segments.iter().map(|s| s.name.as_str()).collect();
    assert_eq!(names, ["liver", "spleen"]);
}

#[test]
fn a_label_map_alone_becomes_a_case_that_says_its_greys_are_made_up() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("organs.nii.gz");
    let mut organs = two_organs();
    organs.segments = [(1, "liver"), (2, "spleen")].map(|(l, n)| (l, terminology::segment(l, n))).into();
    volume::nifti::write_labels(&organs, &path).unwrap();
    fs::write(dir.path().join("organs.json"), r#"{"1": "liver", "2": "spleen"}"#).unwrap();
    for named in [false, true] {
        let out = dir.path().join(format!("case_{named}"));
        let summary = build(&path, &out, |r| r.labels = named.then(|| path.clone())).unwrap();
        assert!(summary.notes.iter().any(|n| n.contains("made up")), "{:?}", summary.notes);
        let case = open(&out);
        assert_eq!(case.manifest.modality, "SEG");
        assert!(case.manifest.provenance.inferred.contains("made up"), "{:?}", case.manifest.provenance);
        assert!(case.manifest.segments.iter().all(|s| s.inferred_percent == 100.0));
        let ScanVolume::I16(scan) = case.scan().unwrap() else { panic!("whole numbers") };
        let labels = case.labels().unwrap();
        let values = |label| {
            let all = labels.voxels.data().iter().zip(scan.data()).filter(move |(l, _)| **l == label);
            all.map(|(_, v)| *v).collect::<std::collections::BTreeSet<_>>()
        };
        assert_eq!((values(0), values(1).len()), ([-1000].into(), 1), "one value a structure");
    }
}
