//! The main job on the embedded patient.

use std::time::{Duration, Instant};

use crate::support::{assert_pictures, json, refusal, vestibule};

#[test]
fn demo_goes_from_dicom_to_pictures_within_three_minutes() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("demo");
    let start = Instant::now();
    let report = json(vestibule().args(["demo", "--json", "--display", "offscreen", "--out"]).arg(&out));
    let took = start.elapsed();
    println!("demo took {:.1} s", took.as_secs_f64());
    assert!(took < Duration::from_secs(180), "took {took:?}");
    assert_eq!(report["display"], "offscreen");
    assert!(report["frames"].as_u64().unwrap() > 0);
    assert!(report["warnings"].as_array().unwrap().is_empty(), "{report}");
    assert_pictures(&out.join("pictures"), 6);
    let case: serde_json::Value = serde_json::from_slice(&std::fs::read(out.join("case/case.json")).unwrap()).unwrap();
    let names: Vec<_> = case["segments"].as_array().unwrap().iter().filter_map(|s| s["name"].as_str()).collect();
    assert!(names.len() >= 25, "{names:?}");
    for name in ["liver", "liver_lesion", "aorta", "kidney_left", "vertebrae_L1", "trachea"] {
        assert!(names.contains(&name), "{name} is missing: {names:?}");
    }
    // The same again into the same folder: a demo replaces a demo.
    let again = vestibule().args(["demo", "--json", "--display", "offscreen", "--out"]).arg(&out).output().unwrap();
    assert!(again.status.success());
}

#[test]
fn demo_leaves_other_peoples_folders_alone() {
    let dir = tempfile::tempdir().unwrap();
    let precious = dir.path().join("thesis.txt");
    std::fs::write(&precious, "years of work").unwrap();
    let said = refusal(vestibule().args(["demo", "--display", "offscreen", "--out"]).arg(dir.path()));
    assert!(said.contains("thesis.txt"), "{said}");
    assert_eq!(std::fs::read_to_string(&precious).unwrap(), "years of work");
}
