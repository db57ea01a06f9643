//! Bad input: a clear error, code 1, nothing half-written. Wrong usage: code 2.

use std::fs;
use std::path::Path;

use crate::support::{data, json, refusal, run, text, vestibule};

#[track_caller]
fn build_refuses(scan: &Path, words: &[&str]) {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("case");
    let said = refusal(vestibule().args(["build", "--no-cache", "--out"]).arg(&out).arg(scan));
    for word in words {
        assert!(said.to_lowercase().contains(word), "`{word}` is not in: {said}");
    }
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0, "something was left behind");
}

#[test]
fn scans_that_are_none() {
    let dir = tempfile::tempdir().unwrap();
    build_refuses(&dir.path().join("absent"), &["absent"]);
    build_refuses(dir.path(), &["dicom"]);
    let letter = dir.path().join("letter.txt");
    fs::write(&letter, "Dear colleague, thank you for referring this patient.").unwrap();
    build_refuses(&letter, &["letter.txt"]);
    let zip = dir.path().join("broken.zip");
    fs::write(&zip, b"PK\x03\x04 and then nothing").unwrap();
    build_refuses(&zip, &["zip"]);
    let nifti = dir.path().join("broken.nii.gz");
    fs::write(&nifti, [0x1f, 0x8b, 8, 0, 0, 0]).unwrap();
    build_refuses(&nifti, &["nii"]);
}

#[test]
fn truncated_slices() {
    let Some(series) = data("ct-chest") else { return };
    let dir = tempfile::tempdir().unwrap();
    for (index, entry) in fs::read_dir(series).unwrap().enumerate() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|e| e == "dcm") {
            let bytes = fs::read(&path).unwrap();
            let keep = if index % 2 == 0 { bytes.len() / 3 } else { 600 };
            fs::write(dir.path().join(path.file_name().unwrap()), &bytes[..keep]).unwrap();
        }
    }
    build_refuses(dir.path(), &[]);
}

#[test]
fn a_folder_that_is_no_case_is_kept() {
    let dir = tempfile::tempdir().unwrap();
    let scan = dir.path().join("scan");
    json(vestibule().args(["phantom", "--json", "--spacing", "6", "8", "--out"]).arg(&scan));
    let out = dir.path().join("photos");
    fs::create_dir(&out).unwrap();
    fs::write(out.join("holiday.jpg"), "sun").unwrap();
    let said = refusal(vestibule().args(["build", "--out"]).arg(&out).arg(&scan));
    assert!(said.contains("photos"), "{said}");
    assert_eq!(fs::read_to_string(out.join("holiday.jpg")).unwrap(), "sun");
    refusal(vestibule().arg("walk").arg(&out).args(["--display", "offscreen", "--frames", "1"]));
}

#[test]
fn bodies_and_findings_that_cannot_be() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("scan");
    let phantom = |arguments: &[&str]| {
        let mut command = vestibule();
        command.args(["phantom", "--json", "--spacing", "6", "8", "--out"]).arg(&out).args(arguments);
        command
    };
    for (arguments, word) in [
        (&["--height", "90"][..], "height"),
        (&["--sex", "male", "--weight", "150", "--height", "150"], "body mass index"),
        (&["--age", "5"], "age"),
    ] {
        let said = refusal(&mut phantom(arguments));
        assert!(said.contains(word), "`{word}` is not in: {said}");
        assert!(!out.exists(), "something was left behind");
    }
    for arguments in [["--finding", "nonsense"], ["--finding", "liver-cyst=999"], ["--phase", "early"], ["--sex", "x"]]
    {
        assert_eq!(run(&mut phantom(&arguments)).status.code(), Some(2), "{arguments:?}");
    }
    let made = json(&mut phantom(&["--drawn", "--seed", "12", "--sex", "female", "--finding", "renal-cyst=20"]));
    assert_eq!((&made["physique"]["sex"], &made["findings"][0]), (&"female".into(), &"renal-cyst=20".into()), "{made}");
}

#[test]
fn wrong_usage_ends_with_two() {
    for arguments in [&["fly"][..], &["build"], &["walk"], &["walk", "x", "--display", "hologram"], &["phantom"]] {
        let output = run(vestibule().args(arguments));
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {}", text(&output.stderr));
    }
    assert!(run(vestibule().arg("--help")).status.success());
    assert!(run(&mut vestibule()).status.success(), "no verb is help");
}

#[test]
fn no_graphics_is_one_sentence() {
    let dir = tempfile::tempdir().unwrap();
    let (scan, case) = (dir.path().join("scan"), dir.path().join("case"));
    json(vestibule().args(["phantom", "--json", "--spacing", "6", "8", "--out"]).arg(&scan));
    json(vestibule().args(["build", "--json", "--no-cache", "--out"]).arg(&case).arg(&scan));
    let said = refusal(
        vestibule()
            .env("VK_DRIVER_FILES", "/nonexistent/driver.json")
            .env("LIBGL_ALWAYS_SOFTWARE", "1")
            .arg("walk")
            .arg(&case)
            .args(["--display", "offscreen", "--frames", "1"]),
    );
    assert!(said.contains("Vulkan"), "{said}");
}
