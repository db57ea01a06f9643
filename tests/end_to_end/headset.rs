//! A walk in a headset, on a real OpenXR runtime.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::monado::{Buttons, Monado, Place, Remote, pause};
use crate::screen::Screen;
use crate::support::{Ended, Picture, Walk, assert_pictures, json, pictures, small_case, vestibule};

const REST: Buttons = Buttons { trigger: 0.0, squeeze: 0.0, stick: [0.0, 0.0], b: false };

/// Where the patient's middle is in the stage, in metres ahead of its zero: two in front of the body, and half of that.
const PATIENT_AHEAD_M: f32 = 2.12;

/// A head that looks at the patient from an angle round it, hands in front of it pointing there too.
fn stand(remote: &mut Remote, degrees: f32, left: Buttons, right: Buttons) {
    let (sin, cos) = degrees.to_radians().sin_cos();
    let at = |away: f32, side: f32, y: f32, inwards: f32| Place {
        at: [sin * away + cos * side, y, cos * away - sin * side - PATIENT_AHEAD_M],
        yaw_degrees: degrees + inwards,
    };
    remote.send(at(1.3, 0.0, 1.6, 0.0), (at(0.9, -0.15, 1.2, -9.5), left), (at(0.9, 0.15, 1.2, 9.5), right));
}

/// What the hands do, by how many pictures of the walk there are, for how many seconds, and how many it took to the one before.
fn buttons(taken: usize, seconds: f32, before: f32) -> (Buttons, Buttons) {
    let rest = |right: Buttons| (REST, right);
    match taken {
        // Choose what the right hand points at.
        0 => rest(Buttons { trigger: if seconds % 2.0 < 1.0 { 1.0 } else { 0.0 }, ..REST }),
        // The panel opens before the second picture, and closes before the third. A button must be let go for some frames, which
        // take longer on slow machines.
        1 => (Buttons { b: true, ..REST }, REST),
        2 => (Buttons { b: seconds > before / 4.0, ..REST }, REST),
        // Teleports and snap turns; each longer than the one before, so that slow machines see one too.
        _ => {
            let step = (seconds * 4.0 + 1.0).log2() * 2.0;
            match step as u32 % 4 {
                0 => rest(Buttons { stick: [0.0, 0.95], ..REST }),
                2 => rest(Buttons { stick: [0.95, 0.0], ..REST }),
                _ => rest(REST),
            }
        }
    }
}

#[test]
fn a_head_walks_round_the_patient() {
    let Some(monado) = Monado::start() else { return };
    let mut remote = monado.remote();
    stand(&mut remote, 0.0, REST, REST);
    let mut walk = Walk::start(&mut monado.vestibule(), &["--json", "--display", "headset", "--frames", "300"]);
    let start = Instant::now();
    let (mut stage, mut before, mut degrees) = ((0, Instant::now()), 0.0, 0.0);
    while walk.program.try_wait().unwrap().is_none() {
        if start.elapsed() > Duration::from_secs(900) {
            walk.program.kill().unwrap();
            panic!("the walk does not end");
        }
        let taken = pictures(&walk.shots).len();
        if taken != stage.0 {
            before = stage.1.elapsed().as_secs_f32();
            stage = (taken, Instant::now());
        }
        let (left, right) = buttons(taken, stage.1.elapsed().as_secs_f32(), before);
        // A panel stays where it was opened: who wants to see it stands still.
        if taken == 0 || taken > 2 {
            degrees += 0.06;
        }
        stand(&mut remote, degrees, left, right);
        pause(40);
    }
    let ended = walk.end();
    keep_if_asked(&ended.shots, "");
    let Ended { status, report, stderr, record, shots, .. } = &ended;
    assert!(status.success(), "{stderr}");
    assert_pictures(shots, 3);
    let [_, panel, closed] = [1, 2, 3].map(|n| Picture::open(&shots.join(format!("walk-{n}.png"))));
    assert!(panel.difference(&closed, [0.3, 0.7]) > 10.0, "the menu button opens no panel in front of the eyes");
    assert_eq!(report["display"], "headset", "{report}\n{stderr}");
    assert!(report["frames"].as_u64().unwrap() >= 300, "{report}");
    assert!(report["triangles"].as_u64().unwrap() > 1000, "{report}");
    println!("headset: {report}");
    assert!(!stderr.contains("B0004") && !stderr.contains("ERROR"), "{stderr}");
    for event in ["Started", "Pose", "StructureSelected", "Teleported", "Ended"] {
        assert!(record.contains(&format!("\"event\":\"{event}\"")), "no {event} in the record");
    }
    assert!(record.contains("SnapTurn"), "no snap turn in the record");
}

/// Copies pictures into a folder of this name where `VESTIBULE_KEEP_PICTURES` says.
fn keep_if_asked(shots: &Path, name: &str) {
    let Some(folder) = std::env::var_os("VESTIBULE_KEEP_PICTURES") else { return };
    let folder = Path::new(&folder).join(name);
    fs::create_dir_all(&folder).unwrap();
    for picture in pictures(shots) {
        fs::copy(&picture, folder.join(picture.file_name().unwrap())).unwrap();
    }
}

/// Waits until a record holds poses: the walk is under way.
fn wait_for_walk(walk: &mut Walk) {
    let start = Instant::now();
    let is_walking =
        |walk: &Walk| fs::read_to_string(&walk.record).is_ok_and(|text| text.contains("\"event\":\"Pose\""));
    while !is_walking(walk) {
        assert!(start.elapsed() < Duration::from_secs(150), "the walk does not start");
        assert!(walk.program.try_wait().unwrap().is_none(), "the walk ended before it began");
        pause(100);
    }
}

#[test]
fn a_runtime_that_dies_ends_the_walk_with_a_sentence() {
    let Some(mut monado) = Monado::start() else { return };
    let mut remote = monado.remote();
    stand(&mut remote, 0.0, REST, REST);
    let mut walk = Walk::start(&mut monado.vestibule(), &["--display", "headset"]);
    wait_for_walk(&mut walk);
    monado.kill();
    let killed = Instant::now();
    while walk.program.try_wait().unwrap().is_none() {
        if killed.elapsed() > Duration::from_secs(30) {
            walk.program.kill().unwrap();
            panic!("the walk does not end without its runtime");
        }
        pause(100);
    }
    let Ended { status, stderr, record, .. } = walk.end();
    assert_eq!(status.code(), Some(1), "{stderr}");
    assert!(
        stderr.contains("headset") && !stderr.contains("panicked") && !stderr.contains("inside the program"),
        "{stderr}"
    );
    assert!(record.contains("\"event\":\"SessionLost\""), "the record says nothing of it");
}

#[test]
fn a_runtime_that_dies_leaves_the_walk_in_the_window() {
    let Some(mut monado) = Monado::start() else { return };
    let Some(screen) = Screen::start() else { return };
    let mut remote = monado.remote();
    stand(&mut remote, 0.0, REST, REST);
    let mut walk = Walk::start(screen.show(&mut monado.vestibule()), &["--json", "--display", "headset"]);
    wait_for_walk(&mut walk);
    monado.kill();
    screen.focus_window(&mut walk.program);
    pause(3000);
    let there = screen.picture(&mut walk);
    screen.hold("w", 800);
    let nearer = screen.picture(&mut walk);
    keep_if_asked(&walk.shots, "lost");
    screen.tap("ctrl+q");
    let Ended { status, report, stderr, record, .. } = walk.end();
    assert!(status.success(), "{stderr}");
    assert!(stderr.contains("the walk goes on in the window") && !stderr.contains("panicked"), "{stderr}");
    assert_eq!(report["display"], "window", "{report}");
    assert!(there.contrast() > 6.0, "the window is blank");
    assert!(there.difference(&nearer, [0.4, 0.6]) > 5.0, "W does not walk");
    for part in ["\"event\":\"SessionLost\"", "\"reason\":\"Closed\""] {
        assert!(record.contains(part), "no {part} in the record");
    }
}

#[test]
fn no_headset_falls_back_to_pictures() {
    let dir = tempfile::tempdir().unwrap();
    let case = small_case(dir.path());
    let report = json(vestibule().arg("walk").arg(&case).args(["--json", "--display", "auto", "--frames", "3"]));
    assert_eq!(report["display"], "offscreen");
}
