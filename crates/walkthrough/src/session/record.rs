//! Writing the record.

use std::borrow::Cow;
use std::io::Write;

use bevy_ecs::prelude::*;
use bevy_ecs::system::SystemParam;
use serde::Serialize;
use space::Scene;

use crate::comfort::Comfort;
use crate::command::{HistoryRequested, Undone};
use crate::frame::Pose;
use crate::hands::{Hand, HandPose};
use crate::input::{Input, Request};
use crate::locomotion::{Rig, Scaled, Teleported, Viewer};
use crate::measure::MeasureTaken;
use crate::pointer::Selected;
use crate::session::{EndReason, SessionLost, WalkEnded};
use crate::stage::ActiveCase;
use crate::visibility::{LookChange, StructureChanged};
use crate::walk::WalkClock;
use crate::walk_report::WalkCounters;

/// The version of the record this crate writes and reads.
pub const SCHEMA: &str = "vestibule.session/1";

/// Where the record goes; insert it to record.
#[derive(Resource)]
pub struct SessionRecorder {
    sink: Option<Box<dyn Write + Send + Sync>>,
    seed: u64,
    started: bool,
    last_poses: Option<Poses>,
}

/// A pose as the record writes it: x, y, z in scene metres, then the quaternion x, y, z, w.
type PoseLine = [f32; 7];

impl SessionRecorder {
    /// Records into `sink`, which should be buffered; `seed` is what random parts of the walk start from.
    pub fn new(sink: Box<dyn Write + Send + Sync>, seed: u64) -> Self {
        Self { sink: Some(sink), seed, started: false, last_poses: None }
    }
}

/// Everything the record is made of.
#[derive(SystemParam)]
pub(super) struct Events<'w, 's> {
    inputs: MessageReader<'w, 's, Input>,
    changed: MessageReader<'w, 's, StructureChanged>,
    selected: MessageReader<'w, 's, Selected>,
    teleported: MessageReader<'w, 's, Teleported>,
    scaled: MessageReader<'w, 's, Scaled>,
    measured: MessageReader<'w, 's, MeasureTaken>,
    undone: MessageReader<'w, 's, Undone>,
    lost: MessageReader<'w, 's, SessionLost>,
    ended: MessageReader<'w, 's, WalkEnded>,
}

impl Events<'_, '_> {
    fn clear(&mut self) {
        self.inputs.clear();
        self.changed.clear();
        self.selected.clear();
        self.teleported.clear();
        self.scaled.clear();
        self.measured.clear();
        self.undone.clear();
        self.lost.clear();
        self.ended.clear();
    }
}

pub(super) fn write_record(
    mut recorder: ResMut<SessionRecorder>,
    mut events: Events,
    clock: Res<WalkClock>,
    case: Option<Res<ActiveCase>>,
    (viewer, rig, comfort): (Option<Res<Viewer>>, Option<Res<Rig>>, Option<Res<Comfort>>),
    hands: Query<&HandPose>,
    mut counters: Option<ResMut<WalkCounters>>,
) {
    let Some(case) = case else {
        // Nothing that happens before there is a patient belongs to the session.
        events.clear();
        return;
    };
    let mut lines = Vec::new();
    if !recorder.started {
        recorder.started = true;
        let (version, seed) = (env!("CARGO_PKG_VERSION"), recorder.seed);
        lines.push(to_text(&Header { schema: SCHEMA, case: &case.checksum, version, seed }));
        let comfort = comfort.as_deref().cloned().unwrap_or_default();
        lines.push(line(&clock, "Started", &Started { comfort }));
    }
    let has_ended = !events.ended.is_empty();
    lines.extend(event_lines(&mut events, &clock));
    if let (Some(viewer), Some(rig)) = (viewer, rig) {
        let hand = |wanted: Hand| {
            let tracking = hands.iter().find(|h| h.hand == wanted)?.tracking.as_ref()?;
            Some(pose_line(&rig.scene_pose(&tracking.grip)))
        };
        let poses = Poses { head: pose_line(&viewer.0), left: hand(Hand::Left), right: hand(Hand::Right) };
        if recorder.last_poses != Some(poses) {
            recorder.last_poses = Some(poses);
            // Before the end, which is the record's last line.
            let at = lines.len() - usize::from(has_ended);
            lines.insert(at, line(&clock, "Pose", &poses));
        }
    }
    if let Err(error) = write_lines(&mut recorder, &lines, has_ended) {
        // Once: a full disk stays full.
        recorder.sink = None;
        if let Some(counters) = &mut counters {
            counters.warnings.push(format!("the session record stops at {:.1} s: {error}", clock.t_s));
        }
    }
}

fn write_lines(recorder: &mut SessionRecorder, lines: &[String], flush: bool) -> std::io::Result<()> {
    let Some(sink) = &mut recorder.sink else { return Ok(()) };
    for line in lines {
        sink.write_all(line.as_bytes())?;
        sink.write_all(b"\n")?;
    }
    if flush { sink.flush() } else { Ok(()) }
}

#[derive(Serialize)]
struct Header<'a> {
    schema: &'a str,
    case: &'a str,
    version: &'a str,
    seed: u64,
}

#[derive(Serialize)]
struct Line<'a, F> {
    frame: u64,
    t: f64,
    event: &'a str,
    #[serde(flatten)]
    fields: &'a F,
}

#[derive(Serialize)]
struct Started {
    comfort: Comfort,
}

#[derive(Serialize)]
struct Named<'a> {
    name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    opacity: Option<f32>,
}

#[derive(Serialize)]
struct Requested<'a> {
    request: &'a Request,
}

#[derive(Serialize)]
struct Lost<'a> {
    message: &'a str,
}

#[derive(Serialize)]
struct Ended<'a> {
    reason: &'a EndReason,
}

#[derive(Serialize)]
struct Nothing {}

#[derive(Clone, Copy, PartialEq, Serialize)]
struct Poses {
    head: PoseLine,
    left: Option<PoseLine>,
    right: Option<PoseLine>,
}

fn event_lines(events: &mut Events, clock: &WalkClock) -> Vec<String> {
    let named = |event, name: &str, opacity| line(clock, event, &Named { name: Some(name), opacity });
    let mut lines = Vec::new();
    for Input(request) in events.inputs.read() {
        lines.push(line(clock, "Input", &Requested { request: &recorded(request) }));
    }
    for selected in events.selected.read() {
        let name = selected.hit.as_ref().map(|h| h.name.as_str());
        lines.push(line(clock, "StructureSelected", &Named { name, opacity: None }));
    }
    for StructureChanged { name, change } in events.changed.read() {
        lines.push(match *change {
            LookChange::Shown => named("StructureShown", name, None),
            LookChange::Hidden => named("StructureHidden", name, None),
            LookChange::Faded(opacity) => named("StructureFaded", name, Some(opacity)),
        });
    }
    lines.extend(events.teleported.read().map(|teleported| line(clock, "Teleported", teleported)));
    lines.extend(events.scaled.read().map(|scaled| line(clock, "Scaled", scaled)));
    lines.extend(events.measured.read().map(|taken| line(clock, "MeasureTaken", taken)));
    for undone in events.undone.read() {
        let name = if undone.direction == HistoryRequested::Undo { "Undone" } else { "Redone" };
        lines.push(line(clock, name, &Nothing {}));
    }
    lines.extend(events.lost.read().map(|lost| line(clock, "SessionLost", &Lost { message: &lost.message })));
    lines.extend(events.ended.read().map(|ended| line(clock, "Ended", &Ended { reason: &ended.reason })));
    lines
}

/// What is written of an input: finger joints move nothing but their picture, and would be nine tenths of the file.
fn recorded(request: &Request) -> Cow<'_, Request> {
    let Request::Poses(poses) = request else { return Cow::Borrowed(request) };
    let mut poses = poses.clone();
    for hand in [&mut poses.left, &mut poses.right].into_iter().flatten() {
        hand.joints.clear();
    }
    Cow::Owned(Request::Poses(poses))
}

fn line<F: Serialize>(clock: &WalkClock, event: &str, fields: &F) -> String {
    to_text(&Line { frame: clock.frame, t: clock.t_s, event, fields })
}

/// As JSON. Nothing here can fail to be JSON: no map has other keys than text, and no number that is not finite is let in.
fn to_text<T: Serialize>(value: &T) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

fn pose_line(pose: &Pose<Scene>) -> PoseLine {
    let Pose { position, rotation } = pose;
    let [x, y, z] = position.get().as_vec3().to_array();
    [x, y, z, rotation.x, rotation.y, rotation.z, rotation.w]
}
