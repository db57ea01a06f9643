//! One's own scans: CT, MR, labels.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::support::{assert_pictures, data, json, refusal, text, vestibule};

fn build(scan: &Path, case: &Path, more: &[&str]) -> Value {
    json(vestibule().args(["build", "--json", "--no-cache", "--out"]).arg(case).arg(scan).args(more));
    serde_json::from_slice(&fs::read(case.join("case.json")).unwrap()).unwrap()
}

fn segments(case: &Value) -> &Vec<Value> {
    case["segments"].as_array().unwrap()
}

/// Every surface is closed, and keeps the bounds that DESIGN sets for its levels of detail.
#[track_caller]
fn assert_fidelity(case: &Value) {
    for segment in segments(case) {
        let (name, surface) = (&segment["name"], &segment["surface"]);
        assert_eq!(surface["closed"], true, "{name} is open");
        let lods = surface["lods"].as_array().unwrap();
        assert_eq!(lods.len(), 4, "{name}");
        let voxel =
            case["geometry"]["spacing_mm"].as_array().unwrap().iter().filter_map(Value::as_f64).fold(0.0, f64::max);
        for (lod, bound) in lods.iter().zip([0.5, 1.0, 2.0, 4.0]) {
            let hausdorff = lod["hausdorff_mm"].as_f64().unwrap();
            assert!(hausdorff <= bound * voxel + 1e-6, "{name}: {hausdorff} mm over {bound} voxels of {voxel} mm");
        }
    }
}

/// The Khronos validator, where it is installed.
fn assert_valid_glb(case: &Path) {
    let Some(validator) = std::env::var_os("VESTIBULE_GLTF_VALIDATOR") else {
        println!("skipped: VESTIBULE_GLTF_VALIDATOR names no folder with the Khronos validator");
        return;
    };
    let script = "const fs = require('fs'), v = require('gltf-validator');\
        v.validateBytes(new Uint8Array(fs.readFileSync(process.argv[1]))).then(r => console.log(JSON.stringify(r.issues)));";
    let output = Command::new("node")
        .current_dir(&validator)
        .args(["-e", script])
        .arg(case.join("anatomy.glb"))
        .output()
        .expect("node starts");
    assert!(output.status.success(), "{}", text(&output.stderr));
    let issues: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&issues["numErrors"], &issues["numWarnings"]), (&0.into(), &0.into()), "{issues}");
}

#[test]
fn ct_chest_becomes_a_walk() {
    let Some(scan) = data("ct-chest") else { return };
    let dir = tempfile::tempdir().unwrap();
    let inspection = json(vestibule().args(["inspect", "--json"]).arg(&scan));
    assert!(inspection.to_string().contains("ct-basic"), "{inspection}");
    let path = dir.path().join("case");
    let case = build(&scan, &path, &["--alias", "Chest 7"]);
    assert_eq!(case["schema"], "vestibule.case/1");
    assert_eq!(case["geometry"]["size"], serde_json::json!([512, 512, 64]));
    let names: Vec<_> = segments(&case).iter().filter_map(|s| s["name"].as_str()).collect();
    for name in ["body", "skeleton", "lung_left", "lung_right"] {
        assert!(names.contains(&name), "{name}: {names:?}");
    }
    assert!(names.len() >= 5, "{names:?}");
    assert_fidelity(&case);
    assert_valid_glb(&path);
    let shots = dir.path().join("shots");
    let report =
        json(vestibule().arg("walk").arg(&path).args(["--json", "--display", "offscreen", "--shots"]).arg(&shots));
    assert!(report["triangles"].as_u64().unwrap() > 1000, "{report}");
    assert_pictures(&shots, 3);
}

#[test]
fn mr_head_becomes_a_case() {
    let Some(scan) = data("mr-head-t1") else { return };
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("case");
    let case = build(&scan, &path, &[]);
    let head = segments(&case).iter().find(|s| s["name"] == "head").expect("a head");
    let millilitres = head["volume_ml"].as_f64().unwrap();
    assert!((2500.0..6500.0).contains(&millilitres), "a head of {millilitres} ml");
    assert_fidelity(&case);
    assert_valid_glb(&path);
}

#[test]
fn labels_on_their_own_keep_names_codes_and_budgets() {
    let Some(labels) = data("torso-labels/s0327_labels.nii.gz") else { return };
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("case");
    let case = build(&labels, &path, &["--labels", labels.to_str().unwrap()]);
    assert_eq!(segments(&case).len(), 108);
    let liver = segments(&case).iter().find(|s| s["name"] == "liver").expect("a liver");
    assert_eq!(liver["code"]["scheme"], "SCT");
    assert_fidelity(&case);
    assert_valid_glb(&path);
    let report = json(vestibule().arg("walk").arg(&path).args(["--json", "--display", "offscreen", "--frames", "12"]));
    let (triangles, draws) = (report["triangles"].as_u64().unwrap(), report["draw_calls"].as_u64().unwrap());
    let median = report["systems_ms"]["median"].as_f64().unwrap();
    println!("108 structures: {triangles} triangles, {draws} draw calls, systems {median} ms");
    assert!(triangles <= 1_000_000 && draws <= 250, "{report}");
}

#[test]
fn labels_beside_a_scan() {
    let Some(abdomen) = data("ct-abdomen") else { return };
    let dir = tempfile::tempdir().unwrap();
    let labels = abdomen.join("example_ct_seg_v1_104.nii.gz");
    let case =
        build(&abdomen.join("example_ct.nii.gz"), &dir.path().join("case"), &["--labels", labels.to_str().unwrap()]);
    assert_eq!(segments(&case).len(), 59);
}

#[test]
fn segmentation_objects_are_read() {
    let Some(folder) = data("dicom-seg") else { return };
    let dir = tempfile::tempdir().unwrap();
    let case = build(&folder, &dir.path().join("case"), &[]);
    let names: Vec<_> = segments(&case).iter().filter_map(|s| s["name"].as_str()).collect();
    assert!(names.iter().any(|n| n.to_lowercase().contains("liver")), "{names:?}");
}

#[test]
fn an_alias_that_is_an_identity_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let scan = dir.path().join("scan");
    json(vestibule().args(["phantom", "--json", "--seed", "5", "--spacing", "6", "8", "--out"]).arg(&scan));
    let out = dir.path().join("case");
    let said = refusal(vestibule().args(["build", "--no-cache", "--alias", "PHANTOM-5", "--out"]).arg(&out).arg(&scan));
    assert!(said.contains("alias"), "{said}");
    assert!(!out.exists());
}

#[test]
fn a_walk_records_and_replays() {
    let dir = tempfile::tempdir().unwrap();
    let (scan, case) = (dir.path().join("scan"), dir.path().join("case"));
    json(vestibule().args(["phantom", "--json", "--spacing", "6", "8", "--out"]).arg(&scan));
    build(&scan, &case, &[]);
    let record = dir.path().join("walk.jsonl");
    json(
        vestibule()
            .arg("walk")
            .arg(&case)
            .args(["--json", "--display", "offscreen", "--shots"])
            .arg(dir.path().join("shots"))
            .arg("--record")
            .arg(&record),
    );
    let lines: Vec<Value> =
        fs::read_to_string(&record).unwrap().lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    assert_eq!(lines[0]["schema"], "vestibule.session/1");
    assert!(lines.iter().any(|l| l["event"] == "Started") && lines.last().unwrap()["event"] == "Ended", "{lines:?}");
    let again = dir.path().join("again");
    json(
        vestibule()
            .arg("walk")
            .arg(&case)
            .args(["--json", "--display", "offscreen", "--replay"])
            .arg(&record)
            .arg("--shots")
            .arg(&again),
    );
}
