//! Real scans, where they are.

use volume::terminology;

use crate::support::{build, centre, data, inside, open};

/// Millilitres of each structure, and the bounds a grown-up patient's must lie in.
#[track_caller]
fn check_volumes(case: &case::Case, bounds: &[(&str, std::ops::Range<f64>)]) {
    for (name, range) in bounds {
        let entry = case.manifest.segments.iter().find(|s| s.name == *name);
        let ml = entry.unwrap_or_else(|| panic!("no {name}")).volume_ml;
        assert!(range.contains(&ml), "{name}: {ml} ml, expected {range:?}");
    }
}

#[test]
fn chest_ct() {
    let Some(scan) = data("ct-chest") else { return };
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("case");
    let summary = build(&scan, &out, |_| ()).unwrap();
    println!("{summary}");
    let case = open(&out);
    assert_eq!(summary.recipe, "ct-basic");
    check_volumes(
        &case,
        &[
            ("body", 18_000.0..30_000.0),
            ("skeleton", 900.0..2200.0),
            ("lung_left", 1800.0..2800.0),
            ("lung_right", 2600.0..3800.0),
            ("airways", 30.0..80.0),
            ("fat", 3000.0..6000.0),
            ("soft_tissue", 7000.0..11_000.0),
        ],
    );
    assert!(case.manifest.segments.iter().all(|s| s.name != "vessels"), "no contrast was given");
    let mut labels = case.labels().unwrap();
    for entry in &case.manifest.segments {
        labels.segments.insert(entry.label, terminology::segment(entry.label, &entry.name));
    }
    let x = |name: &str| centre(labels.geometry(), &inside(&labels, |n| n == name))[0];
    assert!(x("lung_left") > x("airways") && x("airways") > x("lung_right"), "left lung on the patient's left");
}

#[test]
fn abdominal_ct_with_contrast() {
    let Some(scan) = data("ct-abdomen/example_ct_dicom") else { return };
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("case");
    build(&scan, &out, |_| ()).unwrap();
    // The aorta over 4 cm, with what of its branches the contrast fills.
    check_volumes(&open(&out), &[("vessels", 8.0..40.0), ("skeleton", 150.0..350.0)]);
}

#[test]
fn abdominal_ct_without_contrast() {
    let Some(scan) = data("ct-abdomen/example_ct.nii.gz") else { return };
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("case");
    build(&scan, &out, |_| ()).unwrap();
    let case = open(&out);
    // Bowel gas is no lung, and only the bases of the lungs are in the scan.
    check_volumes(&case, &[("lung_left", 20.0..60.0), ("lung_right", 40.0..100.0), ("skeleton", 800.0..1700.0)]);
    for absent in ["vessels", "airways"] {
        assert!(case.manifest.segments.iter().all(|s| s.name != absent), "{absent} are not in this scan");
    }
}

#[test]
fn head_mr() {
    let Some(scan) = data("mr-head-t1") else { return };
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("case");
    let summary = build(&scan, &out, |_| ()).unwrap();
    assert_eq!(summary.recipe, "mr-head");
    check_volumes(&open(&out), &[("head", 4200.0..5500.0)]);
}

#[test]
fn names_of_classes_beside_the_labels_are_found() {
    let Some(folder) = data("ct-abdomen") else { return };
    let dir = tempfile::tempdir().unwrap();
    let labels = folder.join("example_ct_seg_v1_104.nii.gz");
    let summary =
        build(&folder.join("example_ct.nii.gz"), &dir.path().join("case"), |r| r.labels = Some(labels)).unwrap();
    assert_eq!(summary.segments.len(), 59);
    assert!(summary.segments.iter().any(|s| s.name == "liver"), "{summary}");
    assert!(summary.notes.iter().any(|n| n.contains("classes_total_v1.json")), "{:?}", summary.notes);
}

#[test]
fn inspection_reads_like_the_snapshot() {
    let Some(scan) = data("ct-chest") else { return };
    let inspection = pipeline::inspect(&scan, &pipeline::Models::default()).unwrap();
    let uid = inspection.series[0].selector.clone().unwrap_or_default();
    // The UID is identity, and times depend on the machine.
    let text = inspection.to_string().replace(&uid, "UID");
    let text: String = text
        .split_inclusive('\n')
        .map(|line| match (line.find("(about "), line.find(" s")) {
            (Some(from), Some(_)) => {
                let to = from + line[from..].find(" s").unwrap_or(0);
                format!("{}(about N{}", &line[..from], &line[to..])
            }
            _ => line.to_owned(),
        })
        .collect();
    assert_eq!(text, include_str!("snapshots/ct_chest.txt"), "a changed text needs a changed snapshot:\n{text}");
}
