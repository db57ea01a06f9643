//! Poses and buttons to `walkthrough` inputs: edges are found here, meaning is given there.

use bevy::prelude::*;
use openxr::Posef;
use space::{Magnification, Point, Scene};
use walkthrough::command::{HistoryRequested, ResetRequested};
use walkthrough::cue::CueRequested;
use walkthrough::frame::{Pose, Tracking};
use walkthrough::grab::GrabRequested;
use walkthrough::hands::{Hand, HandTracking, PosesMoved, TeleportArc};
use walkthrough::input::Input;
use walkthrough::locomotion::{LocomotionRequested, RigRoot, Side};
use walkthrough::panel::{Panel, PanelId, PanelRequested};
use walkthrough::pointer::{Pointer, PointerId, PointerRequested};

use crate::actions::HandState;
use crate::eyes::transform;
use crate::frame_loop::{Frame, Loss, Session};

/// A button or stick counts as pressed beyond this much of its way, and as let go below [`RELEASED`]; our choice.
const PRESSED: f32 = 0.7;
const RELEASED: f32 = 0.4;
/// A stick's rest, in parts of its way; our choice.
const DEAD_ZONE: f32 = 0.15;
/// How fast a full stick scrolls a panel, in panel pixels a second: its height in one; our choice.
const SCROLL_PX_PER_S: f32 = 600.0;
/// How fast a teleport's arc leaves the hand, in m/s: reaches about six metres; our choice.
const ARC_SPEED_M_PER_S: f32 = 6.5;
const GRAVITY_M_PER_S2: f32 = 9.81;
/// One step of the arc, in seconds.
const ARC_STEP_S: f32 = 0.04;

/// What the hands held down when they were last read, for edges.
#[derive(Resource, Clone, Debug, Default)]
pub(crate) struct Hands {
    pressed: [Pressed; 2],
    turned: bool,
    /// Distance of the hands and magnification when both took hold of the world.
    scaling: Option<(f32, f64)>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Pressed {
    select: bool,
    grab: bool,
    menu: bool,
    reset: bool,
    undo: bool,
}

/// Reads the controllers and writes what the walk wants to know.
pub(crate) fn read(
    session: Res<Session>,
    loss: Res<Loss>,
    frame: Res<Frame>,
    head: Res<EyesPose>,
    rig: Query<&GlobalTransform, With<RigRoot>>,
    (mut hands, mut arc): (ResMut<Hands>, ResMut<TeleportArc>),
    mut inputs: MessageWriter<Input>,
    time: Res<Time>,
    body: Option<Res<walkthrough::stage::BodyPose>>,
    (pointers, panels): (Query<&Pointer>, Query<&Panel>),
) {
    let Some(display_time) = frame.display_time() else { return };
    let state = match session.actions.read(&session.session, &session.stage, display_time) {
        Ok(state) => state,
        Err(error) => return loss.record("reading the controllers", error),
    };
    let joints = session.actions.joints(&session.stage, display_time);
    let tracked = [0, 1].map(|i| tracking(&state[i], joints[i].as_deref()));
    let [left, right] = tracked;
    if let Some(head) = head.0 {
        inputs.write(PosesMoved { head: pose(head), left: left.map(Box::new), right: right.map(Box::new) }.into());
    }
    let before = hands.pressed;
    for (index, hand) in Hand::BOTH.into_iter().enumerate() {
        let now = press(before[index], &state[index]);
        hands.pressed[index] = now;
        write_edges(hand, before[index], now, &mut inputs);
    }
    let magnification = body.map_or(1.0, |b| b.magnification.0);
    scale_world(&mut hands, &state, magnification, &mut inputs);
    let root = rig.single().copied().unwrap_or_default();
    let is_over_panel = pointers.iter().any(|p| p.id == PointerId::Hand(Hand::Right) && p.over_panel);
    let seconds = time.delta_secs();
    match panels.iter().find(|panel| panel.open && is_over_panel) {
        Some(panel) => scroll(panel.id, state[1].stick[1], seconds, &mut inputs),
        None => steer(&mut hands, &mut arc, &state, &root, seconds, &mut inputs),
    }
}

/// The head between the eyes, in tracking space, as located this frame.
#[derive(Resource, Clone, Copy, Default)]
pub(crate) struct EyesPose(pub(crate) Option<Transform>);

fn pose(transform: Transform) -> Pose<Tracking> {
    Pose { position: transform.translation.as_dvec3().into(), rotation: transform.rotation }
}

fn tracking(state: &HandState, joints: Option<&[[f32; 3]]>) -> Option<HandTracking> {
    let as_pose = |p: Posef| pose(transform(p));
    let (grip, aim) = (as_pose(state.grip?), as_pose(state.aim?));
    let joint = |p: &[f32; 3]| pose(Transform::from_translation(Vec3::from_array(*p)));
    Some(HandTracking { grip, aim, joints: joints.unwrap_or_default().iter().map(joint).collect() })
}

fn beyond(was: bool, value: f32) -> bool {
    value > if was { RELEASED } else { PRESSED }
}

fn press(was: Pressed, state: &HandState) -> Pressed {
    Pressed {
        select: beyond(was.select, state.select),
        grab: beyond(was.grab, state.grab),
        menu: state.menu,
        reset: state.reset,
        undo: state.undo,
    }
}

fn write_edges(hand: Hand, was: Pressed, now: Pressed, inputs: &mut MessageWriter<Input>) {
    let pointer = PointerId::Hand(hand);
    match (was.select, now.select) {
        (false, true) => drop(inputs.write(PointerRequested::Press(pointer).into())),
        (true, false) => drop(inputs.write(PointerRequested::Release(pointer).into())),
        _ => {}
    }
    match (was.grab, now.grab) {
        (false, true) => drop(inputs.write(GrabRequested::Start { hand }.into())),
        (true, false) => drop(inputs.write(GrabRequested::End { hand }.into())),
        _ => {}
    }
    if now.menu && !was.menu {
        inputs.write(PanelRequested::Toggle(PanelId::Structures).into());
    }
    if now.reset && !was.reset {
        inputs.write(ResetRequested.into());
    }
    if now.undo && !was.undo {
        inputs.write(HistoryRequested::Undo.into());
    }
}

/// Both squeezes hold the world: drawing the hands apart magnifies it.
fn scale_world(hands: &mut Hands, state: &[HandState; 2], magnification: f64, inputs: &mut MessageWriter<Input>) {
    let both = hands.pressed[0].grab && hands.pressed[1].grab;
    let (Some(left), Some(right), true) = (state[0].grip, state[1].grip, both) else {
        hands.scaling = None;
        return;
    };
    let apart = transform(left).translation.distance(transform(right).translation).max(0.05);
    let (start, at_start) = *hands.scaling.get_or_insert((apart, magnification));
    let to = at_start * f64::from(apart / start);
    if (to / magnification - 1.0).abs() > 0.01 {
        inputs.write(LocomotionRequested::Magnify { to: Magnification(to), pivot: None }.into());
    }
}

/// A hand that points at a panel scrolls it by its stick.
fn scroll(panel: PanelId, stick: f32, seconds: f32, inputs: &mut MessageWriter<Input>) {
    if stick.abs() > DEAD_ZONE {
        inputs.write(PanelRequested::Scroll { panel, pixels: -stick * SCROLL_PX_PER_S * seconds }.into());
    }
}

/// Right stick: forward and release teleports, sideways turns. Left stick: moves.
fn steer(
    hands: &mut Hands,
    arc: &mut ResMut<TeleportArc>,
    state: &[HandState; 2],
    root: &GlobalTransform,
    seconds: f32,
    inputs: &mut MessageWriter<Input>,
) {
    let [x, y] = state[1].stick;
    let aiming = !arc.0.is_empty();
    if y > if aiming { RELEASED } else { PRESSED } && y > x.abs() {
        if let Some(aim) = state[1].aim {
            let points = thrown(transform(aim)).into_iter().map(|p| p.as_dvec3().into());
            arc.0 = points.collect();
        }
    } else if aiming {
        if let Some(end) = arc.0.last() {
            let target = root.transform_point(end.as_vec3());
            inputs.write(LocomotionRequested::Teleport { target: scene_point(target) }.into());
        }
        arc.0.clear();
    }
    if x.abs() > PRESSED && x.abs() > y.abs() && arc.0.is_empty() {
        if !hands.turned {
            let side = if x > 0.0 { Side::Right } else { Side::Left };
            inputs.write(LocomotionRequested::SnapTurn(side).into());
        }
        hands.turned = true;
    } else if x.abs() < RELEASED {
        hands.turned = false;
    }
    let [right, forward] = state[0].stick;
    if right.hypot(forward) > DEAD_ZONE {
        inputs.write(LocomotionRequested::Move { right, up: 0.0, forward, run: false, seconds }.into());
    }
}

fn scene_point(at: Vec3) -> Point<Scene> {
    at.as_dvec3().into()
}

/// The way of a thrown ball from the hand to the floor; empty if it never lands.
fn thrown(aim: Transform) -> Vec<Vec3> {
    let mut at = aim.translation;
    let mut velocity = aim.forward() * ARC_SPEED_M_PER_S;
    let mut points = vec![at];
    for _ in 0..100 {
        let next = at + velocity * ARC_STEP_S;
        if next.y <= 0.0 {
            let share = at.y / (at.y - next.y).max(1e-6);
            let landing = at.lerp(next, share.clamp(0.0, 1.0));
            points.push(Vec3::new(landing.x, 0.0, landing.z));
            return points;
        }
        velocity.y -= GRAVITY_M_PER_S2 * ARC_STEP_S;
        points.push(next);
        at = next;
    }
    Vec::new()
}

/// Answers some cues with a pulse in the right hand.
pub(crate) fn feel(session: Res<Session>, loss: Res<Loss>, mut cues: MessageReader<CueRequested>) {
    for _cue in cues.read() {
        if let Err(error) = session.actions.pulse(&session.session, 1, 0.4) {
            return loss.record("vibrating", error);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arc_ends_on_the_floor_ahead() {
        let points = thrown(Transform::from_xyz(0.2, 1.2, -0.3));
        let end = points.last().unwrap();
        assert!(end.y == 0.0 && end.z < -1.0 && (end.x - 0.2).abs() < 1e-4, "{end}");
        assert!(points.windows(2).all(|p| p[1].z < p[0].z));
    }

    #[test]
    fn triggers_have_hysteresis() {
        let at = |select| HandState { select, ..HandState::default() };
        let mut pressed = Pressed::default();
        let mut seen = Vec::new();
        for value in [0.5, 0.8, 0.5, 0.3, 0.6] {
            pressed = press(pressed, &at(value));
            seen.push(pressed.select);
        }
        assert_eq!(seen, [false, true, true, false, false]);
    }

    #[test]
    fn untracked_hands_are_none() {
        assert!(tracking(&HandState::default(), None).is_none());
    }
}
