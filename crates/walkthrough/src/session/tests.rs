use std::io::Write;
use std::sync::{Arc, Mutex};

use super::*;
use crate::WalkthroughPlugins;
use crate::clip::ClipRequested;
use crate::command::{HistoryRequested, ResetRequested};
use crate::frame::Pose;
use crate::hands::{HandTracking, HeadPose, PosesMoved};
use crate::locomotion::{LocomotionRequested, Side, Viewer};
use crate::measure::{MeasureRequested, Measurements};
use crate::panel::{PanelId, PanelPointer, PanelRequested};
use crate::pointer::{PointerId, PointerRequested};
use crate::stage::{BodyPose, StageRequested};
use crate::test_support::fake_case;
use crate::visibility::{Target, VisibilityRequested};
use crate::walk::{Pace, WalkClock};
use space::{Magnification, Point};

#[derive(Clone, Default)]
struct Sink(Arc<Mutex<Vec<u8>>>);

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Sink {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

/// An app that records; the case is staged after `late` frames.
fn recording_app(late: usize) -> (App, Sink) {
    let mut app = App::new();
    app.add_plugins(WalkthroughPlugins);
    app.world_mut().resource_mut::<WalkClock>().pace = Pace::Fixed { step_s: 1.0 / 72.0 };
    let sink = Sink::default();
    app.insert_resource(SessionRecorder::new(Box::new(sink.clone()), 7));
    for _ in 0..late {
        app.update();
    }
    app.world_mut().write_message(StageRequested(Arc::new(fake_case())));
    (app, sink)
}

fn hands(turn: f32) -> PosesMoved {
    let mut pose = Pose::IDENTITY;
    pose.position = Point::new(0.1 + f64::from(turn), 1.2, -0.3);
    pose.rotation = glam::Quat::from_rotation_y(turn);
    let hand = HandTracking { grip: pose, aim: pose, joints: vec![pose; 26] };
    PosesMoved { head: HeadPose::default().0, left: Some(Box::new(hand.clone())), right: Some(Box::new(hand)) }
}

/// A walk that does a bit of everything.
fn inputs() -> Vec<Vec<Input>> {
    let walk = LocomotionRequested::Move { right: 0.3, up: 0.1, forward: 1.0, run: true, seconds: 1.0 / 72.0 };
    let named = |name: &str| Target::Named(name.to_owned());
    let press = |x, y| PanelPointer { panel: PanelId::Structures, uv: Some([x, y]), pressed: true };
    let heart =
        crate::stage::starting_state(&fake_case()).body.scene_from_body() * fake_case().centre_of("heart").unwrap();
    let place = LocomotionRequested::Place { eye: Point::new(heart.x, heart.y, 2.0), look_at: heart };
    let mut frames: Vec<Vec<Input>> = vec![
        vec![walk.into(), LocomotionRequested::Look { yaw_rad: 0.031, pitch_rad: -0.017 }.into()],
        vec![walk.into()],
        vec![],
        vec![LocomotionRequested::SnapTurn(Side::Right).into(), LocomotionRequested::SnapTurn(Side::Left).into()],
        vec![VisibilityRequested::Hide(named("body")).into()],
        vec![VisibilityRequested::Fade { target: named("liver"), opacity: 0.1 + 0.2 }.into()],
        vec![ClipRequested::Toggle.into()],
        vec![MeasureRequested::ToggleTool.into(), place.into()],
        vec![PointerRequested::Press(PointerId::Crosshair).into()],
        vec![LocomotionRequested::Look { yaw_rad: 0.0, pitch_rad: -0.01 }.into()],
        vec![PointerRequested::Press(PointerId::Crosshair).into()],
        vec![],
        vec![LocomotionRequested::Magnify { to: Magnification(3.7), pivot: None }.into()],
        vec![hands(0.4).into()],
        vec![PanelRequested::Open(PanelId::Structures).into()],
        vec![press(0.5, 0.2).into()],
        vec![HistoryRequested::Undo.into()],
        vec![LocomotionRequested::Teleport { target: Point::new(1.0 / 3.0, 0.0, 1.7) }.into()],
        vec![ResetRequested.into()],
        vec![HistoryRequested::Undo.into()],
    ];
    frames.push(vec![WalkEndRequested { reason: EndReason::Closed }.into()]);
    frames
}

fn record() -> (String, App) {
    let (mut app, sink) = recording_app(0);
    app.update();
    for frame in inputs() {
        for input in frame {
            app.world_mut().write_message(input);
        }
        app.update();
    }
    (sink.text(), app)
}

fn replay(text: &str, late: usize) -> (String, App) {
    let (mut app, sink) = recording_app(late);
    app.insert_resource(SessionReplay::parse(text).unwrap());
    for _ in 0..200 {
        app.update();
        if sink.text().contains("\"Ended\"") {
            break;
        }
    }
    (sink.text(), app)
}

#[test]
fn alone_it_ends_the_walk_once() {
    let mut app = App::new();
    app.add_plugins(SessionPlugin);
    for _ in 0..2 {
        app.world_mut().write_message(WalkEndRequested { reason: EndReason::Closed });
        app.update();
    }
    let ended = app.world().resource::<Messages<WalkEnded>>();
    assert_eq!(ended.len(), 1);
}

#[test]
fn lines_are_as_the_contract_says() {
    let (text, _) = record();
    let lines: Vec<serde_json::Value> = text.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    assert_eq!(lines[0]["schema"], "vestibule.session/1");
    assert_eq!((lines[0]["case"].as_str(), lines[0]["seed"].as_u64()), (Some("0123abcd"), Some(7)));
    assert_eq!((lines[1]["event"].as_str(), lines[1]["frame"].as_u64()), (Some("Started"), Some(0)));
    let named = |name: &str| lines.iter().filter(|l| l["event"] == name).collect::<Vec<_>>();
    assert_eq!(named("StructureHidden")[0]["name"], "body");
    assert_eq!(named("StructureFaded")[0]["name"], "liver");
    assert_eq!(named("Scaled")[0]["to"], 3.7);
    assert_eq!(named("Teleported")[0]["to_m"][2], 1.7);
    assert_eq!(named("MeasureTaken")[0]["unit"], "mm");
    assert!(named("MeasureTaken")[0]["value"].as_f64().unwrap() > 1.0);
    assert_eq!(named("Pose")[0]["head"].as_array().unwrap().len(), 7);
    assert!(named("Pose").iter().any(|l| l["left"].is_array()));
    assert_eq!(named("Undone").len(), 2);
    assert_eq!(lines.last().unwrap()["reason"], "Closed");
    let frames: Vec<u64> = lines[1..].iter().map(|l| l["frame"].as_u64().unwrap()).collect();
    assert!(frames.is_sorted());
    assert!(!text.contains("joints"), "finger joints are left out");
}

#[test]
fn a_replay_does_the_same_again_exactly() {
    let (first, app) = record();
    // The replaying machine may take longer to load, and its clock may run otherwise.
    for late in [0, 5] {
        let (second, again) = replay(&first, late);
        assert_eq!(second, first);
        assert_eq!(again.world().resource::<Viewer>(), app.world().resource::<Viewer>());
        assert_eq!(again.world().resource::<BodyPose>(), app.world().resource::<BodyPose>());
        assert_eq!(again.world().resource::<Measurements>(), app.world().resource::<Measurements>());
    }
}

#[test]
fn an_end_that_was_no_input_comes_again_too() {
    let (mut app, sink) = recording_app(0);
    app.update();
    app.update();
    app.world_mut().write_message(WalkEndRequested { reason: EndReason::FramesDrawn });
    app.update();
    let first = sink.text();
    assert!(first.contains("FramesDrawn"));
    let (second, _) = replay(&first, 3);
    assert_eq!(second, first);
}

#[test]
fn a_record_cut_short_plays_as_far_as_it_goes() {
    let (first, _) = record();
    let cut: String = first.lines().take(20).collect::<Vec<_>>().join("\n") + "\n{\"frame\": 99, \"t\"";
    let (second, _) = replay(&cut, 0);
    assert!(second.contains("\"reason\":\"ReplayOver\""), "{second}");
    let damaged = first.replacen("\"event\"", "\"evnt\"", 1);
    assert!(matches!(SessionReplay::parse(&damaged), Err(SessionError::Line { line: 2, .. })));
}

#[test]
fn another_case_or_no_record_is_refused_in_words() {
    let (first, _) = record();
    let (second, _) = replay(&first.replacen("0123abcd", "ffff", 1), 0);
    assert!(second.contains("belongs to case ffff"), "{second}");
    for text in ["", "hello", "{\"schema\":\"vestibule.session/9\",\"case\":\"x\"}"] {
        let error = SessionReplay::parse(text).unwrap_err();
        assert!(matches!(error, SessionError::Schema { .. }), "{error}");
    }
}

#[test]
fn a_sink_that_fails_becomes_a_warning_not_a_crash() {
    struct Full;
    impl Write for Full {
        fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
            Err(std::io::Error::other("no space left"))
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let (mut app, _) = recording_app(0);
    app.insert_resource(SessionRecorder::new(Box::new(Full), 0));
    for _ in 0..3 {
        app.update();
    }
    let warnings = &app.world().resource::<crate::walk_report::WalkCounters>().warnings;
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(warnings[0].contains("no space left"));
}
