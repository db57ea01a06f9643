//! A walk in a headset, on a real OpenXR runtime.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::monado::{Buttons, Monado, Place, Remote, pause};
use crate::support::{assert_pictures, json, text, vestibule};

const REST: Buttons = Buttons { trigger: 0.0, squeeze: 0.0, stick: [0.0, 0.0], b: false };

fn small_case(dir: &Path) -> PathBuf {
    let (scan, case) = (dir.join("scan"), dir.join("case"));
    json(vestibule().args(["phantom", "--json", "--spacing", "5", "5", "--out"]).arg(&scan));
    json(vestibule().args(["build", "--json", "--no-cache", "--out"]).arg(&case).arg(&scan));
    case
}

/// A head that walks half way round the place where the patient stands, hands in front of it.
fn stand(remote: &mut Remote, step: u32, left: Buttons, right: Buttons) {
    let angle = step as f32 * 3.0;
    let (sin, cos) = angle.to_radians().sin_cos();
    let at = |ahead: f32, side: f32, y: f32| Place {
        at: [sin * ahead + cos * side, y, cos * ahead - sin * side],
        yaw_degrees: angle,
    };
    remote.send(at(0.6, 0.0, 1.6), (at(0.2, -0.2, 1.3), left), (at(0.2, 0.2, 1.3), right));
}

#[test]
fn a_head_walks_round_the_patient() {
    let Some(monado) = Monado::start() else { return };
    let dir = tempfile::tempdir().unwrap();
    let case = small_case(dir.path());
    let (record, shots) = (dir.path().join("walk.jsonl"), dir.path().join("shots"));
    let mut remote = monado.remote();
    stand(&mut remote, 0, REST, REST);
    let mut walk = monado
        .vestibule()
        .arg("walk")
        .arg(&case)
        .args(["--json", "--display", "headset", "--frames", "90", "--record"])
        .arg(&record)
        .arg("--shots")
        .arg(&shots)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let start = Instant::now();
    let mut step = 0;
    while walk.try_wait().unwrap().is_none() {
        assert!(start.elapsed() < Duration::from_secs(180), "the walk does not end");
        // Snap turns, a teleport and a selection among plain walking.
        let right = match step % 40 {
            10..14 => Buttons { stick: [0.95, 0.0], ..REST },
            20..26 => Buttons { stick: [0.0, 0.95], ..REST },
            32..36 => Buttons { trigger: 1.0, ..REST },
            _ => REST,
        };
        stand(&mut remote, step, REST, right);
        step += 1;
        pause(60);
    }
    let output = walk.wait_with_output().unwrap();
    let stderr = text(&output.stderr);
    assert!(output.status.success(), "{stderr}");
    let report: Value = serde_json::from_slice(&output.stdout).expect("one JSON document");
    assert_eq!(report["display"], "headset", "{report}\n{stderr}");
    assert!(report["frames"].as_u64().unwrap() >= 90, "{report}");
    assert!(report["triangles"].as_u64().unwrap() > 1000, "{report}");
    println!("headset: {report}");
    assert_pictures(&shots, 1);
    let lines = fs::read_to_string(&record).unwrap();
    for event in ["Started", "Pose", "Teleported", "Ended"] {
        assert!(lines.contains(&format!("\"event\":\"{event}\"")), "no {event} in the record");
    }
}

#[test]
fn a_runtime_that_dies_ends_the_walk_with_a_sentence() {
    let Some(mut monado) = Monado::start() else { return };
    let dir = tempfile::tempdir().unwrap();
    let case = small_case(dir.path());
    let record = dir.path().join("walk.jsonl");
    let mut remote = monado.remote();
    stand(&mut remote, 0, REST, REST);
    let mut walk = monado
        .vestibule()
        .arg("walk")
        .arg(&case)
        .args(["--display", "headset", "--record"])
        .arg(&record)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let start = Instant::now();
    let is_walking = || fs::read_to_string(&record).is_ok_and(|text| text.contains("\"event\":\"Pose\""));
    while !is_walking() {
        assert!(start.elapsed() < Duration::from_secs(90), "the walk does not start");
        assert!(walk.try_wait().unwrap().is_none(), "the walk ended before it began");
        pause(100);
    }
    monado.kill();
    let killed = Instant::now();
    while walk.try_wait().unwrap().is_none() {
        if killed.elapsed() > Duration::from_secs(30) {
            walk.kill().unwrap();
            panic!("the walk does not end without its runtime");
        }
        pause(100);
    }
    let output = walk.wait_with_output().unwrap();
    let stderr = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(
        stderr.contains("headset") && !stderr.contains("panicked") && !stderr.contains("inside the program"),
        "{stderr}"
    );
    assert!(
        fs::read_to_string(&record).unwrap().contains("\"event\":\"SessionLost\""),
        "the record says nothing of it"
    );
}

#[test]
fn no_headset_falls_back_to_pictures() {
    let dir = tempfile::tempdir().unwrap();
    let case = small_case(dir.path());
    let report = json(vestibule().arg("walk").arg(&case).args(["--json", "--display", "auto", "--frames", "3"]));
    assert_eq!(report["display"], "offscreen");
}
