//! Pictures of a body whose every place is known: left is left, cut faces show the scan's own values, hidden is hidden.
//!
//! They need a Vulkan device; Mesa's lavapipe will do. Without one they say that they are skipped.

#[path = "common/ball_body.rs"]
mod ball_body;
#[path = "common/offscreen.rs"]
mod offscreen;

use offscreen::{Eye, Picture, Stage};
use space::{AnatomicalDirection, Point};
use walkthrough::clip::{ClipPlane, ClipRequested};
use walkthrough::honesty::{Overlay, OverlayRequested};
use walkthrough::planes::{PlaneKind, PlanesRequested};
use walkthrough::visibility::{Target, VisibilityRequested};
use walkthrough::walk_report::{SystemsClock, WalkCounters};

const FRONT: [f64; 3] = [0.0, -900.0, 1000.0];
const BACK: [f64; 3] = [0.0, 900.0, 1000.0];
const MIDDLE: [f64; 3] = [0.0, 0.0, 1000.0];
const LEFT_BALL: [f64; 3] = [80.0, 0.0, 1000.0];
const RIGHT_BALL: [f64; 3] = [-80.0, 0.0, 1000.0];
const FRONT_BALL: [f64; 3] = [0.0, -80.0, 1000.0];

fn hide(name: &str) -> VisibilityRequested {
    VisibilityRequested::Hide(Target::Named(name.to_owned()))
}

#[track_caller]
fn check_hue(picture: &Picture, pixel: [u32; 2], strongest: usize, what: &str) {
    let color = picture.at(pixel);
    let others = (0..3).filter(|&i| i != strongest).map(|i| color[i]).max().unwrap_or(255);
    assert!(
        color[strongest] > 60 && f32::from(color[strongest]) > 1.5 * f32::from(others),
        "{what} at {pixel:?} is {color:?}"
    );
}

#[track_caller]
fn check_grey(picture: &Picture, pixel: [u32; 2], value_hu: f64, what: &str) {
    let color = picture.at(pixel);
    let expected = ((value_hu / 400.0 + 0.5).clamp(0.0, 1.0) * 255.0).round();
    let is_close = color.iter().all(|&c| (f64::from(c) - expected).abs() <= 3.0);
    assert!(is_close, "{what} at {pixel:?} is {color:?}, not grey {expected}");
}

#[test]
fn left_is_left_from_every_side() {
    let Some(mut stage) = Stage::open() else { return };
    stage.send(hide("trunk"));
    let eye = stage.look(FRONT, MIDDLE);
    let picture = stage.picture();
    assert!(picture.mean() > 20.0, "the picture is black");
    let [left, right] = [LEFT_BALL, RIGHT_BALL].map(|ball| eye.pixel(ball));
    assert!(left[0] > right[0], "from the front the patient's left is on the right");
    check_hue(&picture, left, 0, "left ball from the front");
    check_hue(&picture, right, 1, "right ball from the front");
    check_hue(&picture, eye.pixel(FRONT_BALL), 2, "front ball from the front");

    let eye = stage.look(BACK, MIDDLE);
    let picture = stage.picture();
    let [left, right] = [LEFT_BALL, RIGHT_BALL].map(|ball| eye.pixel(ball));
    assert!(left[0] < right[0], "from behind the patient's left is on the left");
    check_hue(&picture, left, 0, "left ball from behind");
    check_hue(&picture, right, 1, "right ball from behind");
}

#[test]
fn hidden_is_hidden_and_comes_back() {
    let Some(mut stage) = Stage::open() else { return };
    for ball in ["trunk", "ball_left", "ball_front"] {
        stage.send(hide(ball));
    }
    let eye = stage.look(FRONT, MIDDLE);
    let without = stage.picture();
    let color = without.at(eye.pixel(LEFT_BALL));
    assert!(color[0] <= color[2] + 12, "the hidden ball is drawn: {color:?}");
    stage.send(VisibilityRequested::Show(Target::Named("ball_left".to_owned())));
    check_hue(&stage.picture(), eye.pixel(LEFT_BALL), 0, "the ball shown again");
}

#[test]
fn glass_shows_what_lies_in_it() {
    let Some(mut stage) = Stage::open() else { return };
    let eye = stage.look(FRONT, MIDDLE);
    let solid = stage.picture();
    let covered = solid.at(eye.pixel(LEFT_BALL));
    assert!(covered[1] > 70, "the trunk covers the ball: {covered:?}");
    stage.send(VisibilityRequested::Fade { target: Target::Named("trunk".to_owned()), opacity: 0.2 });
    let glass = stage.picture();
    check_hue(&glass, eye.pixel(LEFT_BALL), 0, "the ball in glass");
    // Just inside the rim glass is denser than in the middle of nothing.
    let [rim, beside] = [[146.0, 0.0, 1000.0], [0.0, 0.0, 1100.0]].map(|p| glass.at(eye.pixel(p)));
    assert!(rim[0] > beside[0], "the rim {rim:?} does not stand out against {beside:?}");
}

#[test]
fn the_cut_face_shows_the_scans_own_values() {
    let Some(mut stage) = Stage::open() else { return };
    let normal = AnatomicalDirection::Anterior.lps();
    let plane = ClipPlane { enabled: true, point: Point::from_array(MIDDLE), normal };
    stage.send(ClipRequested::Place(plane));
    let eye = stage.look(FRONT, MIDDLE);
    let picture = stage.picture();
    for left_mm in [-130.0, -60.0, -20.0, 10.0, 60.0, 130.0] {
        let at = [left_mm, 0.0, 1000.0 + 25.0];
        check_grey(&picture, eye.pixel(at), left_mm, "cut face");
    }
    let beyond = picture.at(eye.pixel([165.0, 0.0, 1000.0]));
    let background = picture.at(eye.pixel([190.0, 0.0, 1000.0]));
    assert!(beyond.iter().zip(background).all(|(a, b)| a.abs_diff(b) < 25), "filled outside of the trunk: {beyond:?}");

    // With the trunk hidden only the balls are filled.
    stage.send(hide("trunk"));
    let picture = stage.picture();
    check_grey(&picture, eye.pixel([80.0, 0.0, 1010.0]), 80.0, "cut ball");
    let between = eye.pixel([0.0, 0.0, 1060.0]);
    let with_balls = picture.at(between);
    for ball in ["ball_left", "ball_right", "ball_front"] {
        stage.send(hide(ball));
    }
    let empty = stage.picture().at(between);
    let is_same = with_balls.iter().zip(empty).all(|(a, b)| a.abs_diff(b) <= 3);
    assert!(is_same, "hidden trunk is filled: {with_balls:?}, the room is {empty:?}");
}

#[test]
fn a_cut_from_the_left_takes_the_left_away() {
    let Some(mut stage) = Stage::open() else { return };
    let normal = AnatomicalDirection::Left.lps();
    stage.send(ClipRequested::Place(ClipPlane { enabled: true, point: Point::from_array(MIDDLE), normal }));
    stage.send(hide("trunk"));
    let eye = stage.look(FRONT, MIDDLE);
    let picture = stage.picture();
    check_hue(&picture, eye.pixel(RIGHT_BALL), 1, "right ball");
    let color = picture.at(eye.pixel(LEFT_BALL));
    assert!(color[0] <= color[2] + 12, "the left ball is still there: {color:?}");
}

#[test]
fn planes_carry_the_slice_in_place() {
    let Some(mut stage) = Stage::open() else { return };
    for ball in ["trunk", "ball_left", "ball_right", "ball_front"] {
        stage.send(hide(ball));
    }
    stage.send(PlanesRequested::Through(Point::from_array(MIDDLE)));
    stage.send(PlanesRequested::Show { kind: PlaneKind::Coronal, visible: true });
    for from in [FRONT, BACK] {
        let eye = stage.look(from, MIDDLE);
        let picture = stage.picture();
        for left_mm in [-130.0, -45.0, 20.0, 130.0] {
            check_grey(&picture, eye.pixel([left_mm, 0.0, 1020.0]), left_mm, "coronal plane");
        }
        check_grey(&picture, eye.pixel([10.0, 0.0, 1152.0]), -1000.0, "air beside the trunk");
    }
    stage.send(PlanesRequested::Show { kind: PlaneKind::Coronal, visible: false });
    stage.send(PlanesRequested::Show { kind: PlaneKind::Axial, visible: true });
    let eye = stage.look([0.0, -600.0, 1500.0], MIDDLE);
    let picture = stage.picture();
    for left_mm in [-120.0, 60.0, 120.0] {
        check_grey(&picture, eye.pixel([left_mm, 30.0, 1000.0]), left_mm, "axial plane");
    }
}

/// Bright and dark along a line up a plane, in 8-bit steps of green.
fn spread(picture: &Picture, eye: &Eye, line: impl Iterator<Item = [f64; 3]>) -> u8 {
    let greens = line.map(|at| picture.at(eye.pixel(at))[1]);
    let (least, most) = greens.fold((u8::MAX, 0), |(least, most), green| (green.min(least), green.max(most)));
    most - least
}

#[test]
fn planes_show_what_a_model_made_up_and_where_it_was_unsure() {
    let Some(mut stage) = Stage::open() else { return };
    for ball in ["trunk", "ball_left", "ball_right", "ball_front"] {
        stage.send(hide(ball));
    }
    stage.send(PlanesRequested::Through(Point::from_array(MIDDLE)));
    stage.send(PlanesRequested::Show { kind: PlaneKind::Coronal, visible: true });
    let eye = stage.look(FRONT, MIDDLE);
    // The lower half is made up; along the line the scan's value is one.
    let up = |from: f64| (0..40).map(move |n| [20.0, 0.0, from + f64::from(n) * 2.0]);
    let plain = stage.picture();
    assert!(spread(&plain, &eye, up(910.0)) < 4, "stripes without the honesty view");
    stage.send(OverlayRequested::Show(Overlay::Provenance));
    let picture = stage.picture();
    assert!(spread(&picture, &eye, up(910.0)) > 20, "no stripes where the value is made up");
    assert!(spread(&picture, &eye, up(1010.0)) < 4, "stripes where it was measured");
    check_grey(&picture, eye.pixel([20.0, 0.0, 1050.0]), 20.0, "measured part");

    // Behind the middle the model was half sure.
    stage.send(PlanesRequested::Show { kind: PlaneKind::Coronal, visible: false });
    stage.send(PlanesRequested::Show { kind: PlaneKind::Axial, visible: true });
    stage.send(OverlayRequested::Show(Overlay::Confidence));
    let eye = stage.look([0.0, -400.0, 1600.0], MIDDLE);
    let picture = stage.picture();
    check_grey(&picture, eye.pixel([20.0, -60.0, 1000.0]), 20.0, "where the model was sure");
    let [red, green, blue] = picture.at(eye.pixel([20.0, 60.0, 1000.0]));
    assert!(red > blue.saturating_add(40) && green > blue.saturating_add(25), "no doubt: {:?}", [red, green, blue]);
}

#[test]
fn what_a_run_used_is_counted() {
    let Some(mut stage) = Stage::open() else { return };
    stage.look(FRONT, MIDDLE);
    stage.update(5);
    let counters = stage.app.world().resource::<WalkCounters>().clone();
    assert!(counters.frames >= 5, "{counters:?}");
    assert!((5..60).contains(&counters.draw_calls), "{counters:?}");
    assert!(counters.triangles > 1000, "{counters:?}");
    assert!(counters.first_image_s.is_some());
    let ms = stage.app.world().resource::<SystemsClock>().milliseconds();
    assert!(ms.median > 0.0 && ms.median < 5.0, "{ms:?}");
}
