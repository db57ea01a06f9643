//! Writing the record.

use std::io::Write;

use bevy_ecs::prelude::*;
use bevy_ecs::system::SystemParam;
use serde::Serialize;
use serde_json::{Value, json};
use space::Scene;

use crate::comfort::Comfort;
use crate::command::{HistoryRequested, Undone};
use crate::frame::Pose;
use crate::hands::{Hand, HandPose};
use crate::input::{Input, Request};
use crate::locomotion::{Rig, Scaled, Teleported, Viewer};
use crate::measure::MeasureTaken;
use crate::pointer::Selected;
use crate::session::{SessionLost, WalkEnded};
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
    last_poses: Option<[Option<PoseLine>; 3]>,
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
        let version = env!("CARGO_PKG_VERSION");
        lines.push(json!({"schema": SCHEMA, "case": case.checksum, "version": version, "seed": recorder.seed}));
        let comfort = comfort.as_deref().cloned().unwrap_or_default();
        lines.push(line(&clock, "Started", json!({ "comfort": comfort })));
    }
    let has_ended = !events.ended.is_empty();
    lines.extend(event_lines(&mut events, &clock));
    if let (Some(viewer), Some(rig)) = (viewer, rig) {
        let hand = |wanted: Hand| {
            let tracking = hands.iter().find(|h| h.hand == wanted)?.tracking.as_ref()?;
            Some(pose_line(&rig.scene_pose(&tracking.grip)))
        };
        let poses = [Some(pose_line(&viewer.0)), hand(Hand::Left), hand(Hand::Right)];
        if recorder.last_poses != Some(poses) {
            recorder.last_poses = Some(poses);
            let [head, left, right] = poses;
            // Before the end, which is the record's last line.
            let at = lines.len() - usize::from(has_ended);
            lines.insert(at, line(&clock, "Pose", json!({"head": head, "left": left, "right": right})));
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

fn write_lines(recorder: &mut SessionRecorder, lines: &[Value], flush: bool) -> std::io::Result<()> {
    let Some(sink) = &mut recorder.sink else { return Ok(()) };
    for line in lines {
        serde_json::to_writer(&mut *sink, line)?;
        sink.write_all(b"\n")?;
    }
    if flush { sink.flush() } else { Ok(()) }
}

fn event_lines(events: &mut Events, clock: &WalkClock) -> Vec<Value> {
    let mut lines = Vec::new();
    let mut add = |name: &str, fields: Value| lines.push(line(clock, name, fields));
    for Input(request) in events.inputs.read() {
        add("Input", json!({ "request": recorded(request) }));
    }
    for selected in events.selected.read() {
        add("StructureSelected", json!({ "name": selected.hit.as_ref().map(|h| &h.name) }));
    }
    for change in events.changed.read() {
        let name = &change.name;
        match change.change {
            LookChange::Shown => add("StructureShown", json!({ "name": name })),
            LookChange::Hidden => add("StructureHidden", json!({ "name": name })),
            LookChange::Faded(opacity) => add("StructureFaded", json!({"name": name, "opacity": opacity})),
        }
    }
    for teleported in events.teleported.read() {
        add("Teleported", json!({ "to_m": teleported.to_m }));
    }
    for scaled in events.scaled.read() {
        add("Scaled", json!({ "to": scaled.to }));
    }
    for measured in events.measured.read() {
        add("MeasureTaken", to_value(measured));
    }
    for undone in events.undone.read() {
        let name = if undone.direction == HistoryRequested::Undo { "Undone" } else { "Redone" };
        add(name, json!({}));
    }
    for lost in events.lost.read() {
        add("SessionLost", json!({ "message": lost.message }));
    }
    for ended in events.ended.read() {
        add("Ended", json!({ "reason": ended.reason }));
    }
    lines
}

/// What is written of an input: finger joints move nothing but their picture, and would be nine tenths of the file.
fn recorded(request: &Request) -> Value {
    let Request::Poses(poses) = request else { return to_value(request) };
    let mut poses = poses.clone();
    for hand in [&mut poses.left, &mut poses.right].into_iter().flatten() {
        hand.joints.clear();
    }
    to_value(&Request::Poses(poses))
}

/// As JSON. Requests hold nothing that JSON cannot, except numbers that are not finite, which it writes as null.
fn to_value<T: Serialize>(value: &T) -> Value {
    serde_json::to_value(value).unwrap_or(Value::Null)
}

fn line(clock: &WalkClock, event: &str, fields: Value) -> Value {
    let mut line = json!({"frame": clock.frame, "t": clock.t_s, "event": event});
    if let (Value::Object(line), Value::Object(fields)) = (&mut line, fields) {
        line.extend(fields);
    }
    line
}

fn pose_line(pose: &Pose<Scene>) -> PoseLine {
    let Pose { position, rotation } = pose;
    let [x, y, z]: [f32; 3] = position.get().as_vec3().to_array();
    [x, y, z, rotation.x, rotation.y, rotation.z, rotation.w]
}
