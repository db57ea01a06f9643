//! A walk in a window, by its keys.

use crate::monado::pause;
use crate::screen::Screen;
use crate::support::{Ended, Walk, vestibule};

#[test]
fn a_window_is_walked_by_keys() {
    let Some(screen) = Screen::start() else { return };
    let mut walk = Walk::start(screen.show(&mut vestibule()), &["--json", "--display", "window", "--scene", "free"]);
    screen.focus_window(&mut walk.program);
    // Keys before the patient is there are lost; the picture waits for its first frame.
    pause(5000);
    let start = screen.picture(&mut walk);
    screen.tap("F1");
    let help = screen.picture(&mut walk);
    screen.tap("Escape");
    // Longer than a frame of a busy machine.
    screen.hold("w", 2000);
    let nearer = screen.picture(&mut walk);
    screen.tap("r");
    let again = screen.picture(&mut walk);
    screen.tap("Tab");
    let list = screen.picture(&mut walk);
    screen.tap("ctrl+q");
    let Ended { status, report, stderr, record, .. } = walk.end();
    assert!(status.success(), "{stderr}");
    assert_eq!(report["display"], "window", "{report}\n{stderr}");
    assert_eq!(report["shots"].as_array().map(Vec::len), Some(5), "{report}");

    assert!(start.contrast() > 6.0, "the first picture is blank");
    // The panels lie at the left edge; the patient stands in the middle.
    let (left, middle) = ([0.02, 0.3], [0.4, 0.6]);
    assert!(start.difference(&help, left) > 20.0, "F1 shows no help");
    assert!(start.difference(&nearer, left) < 5.0, "Escape does not close help");
    assert!(start.difference(&nearer, middle) > 10.0, "W does not walk");
    assert!(start.difference(&again, middle) < 2.0, "R does not lead back to the start");
    assert!(start.difference(&list, left) > 20.0, "Tab shows no list");
    assert!(help.difference(&list, left) > 5.0, "help and list look the same");
    assert!(record.trim_end().ends_with("\"reason\":\"Closed\"}"), "the record does not say how it ended");
}
