//! Taking hold of the world with both hands: it is moved, turned about the vertical and magnified as the hands go.
//!
//! The body moves, never the walker. A single squeeze is reported and waits for what structures will do with it.

use bevy_app::{App, Plugin};
use bevy_ecs::prelude::*;
use glam::DQuat;
use serde::{Deserialize, Serialize};
use space::{Magnification, Point, Scene, Vector};

use crate::hands::{Hand, HandPose};
use crate::locomotion::{MAGNIFICATION_RANGE, Rig, Scaled};
use crate::stage::BodyPose;
use crate::walk::{Walk, WalkSystems, ensure_walk};

/// Moves the body while both hands hold it.
#[derive(Default)]
pub struct GrabPlugin;

impl Plugin for GrabPlugin {
    fn build(&self, app: &mut App) {
        ensure_walk(app);
        app.add_message::<GrabRequested>()
            .add_message::<Scaled>()
            .init_resource::<Grip>()
            .init_resource::<BodyPose>()
            .init_resource::<Rig>()
            .configure_sets(Walk, GrabSystems::Follow.in_set(WalkSystems::Apply))
            .add_systems(Walk, follow_hands.in_set(GrabSystems::Follow));
    }
}

/// The steps of grabbing.
#[derive(SystemSet, Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum GrabSystems {
    /// Moves the body with the hands. Runs in [`Walk`].
    Follow,
}

/// A squeeze began or ended.
#[derive(Message, Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum GrabRequested {
    /// The hand closed.
    Start {
        /// Which.
        hand: Hand,
    },
    /// The hand opened.
    End {
        /// Which.
        hand: Hand,
    },
}

/// Which hands are closed, and what they took hold of.
#[derive(Resource, Clone, Copy, Debug, Default, PartialEq)]
pub struct Grip {
    /// The left hand is closed.
    pub left: bool,
    /// The right hand is closed.
    pub right: bool,
    /// Where both hands and the body were when the second hand closed.
    pub hold: Option<Hold>,
}

/// Where hands and body were when the world was taken hold of.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Hold {
    /// Left and right grip.
    pub hands: [Point<Scene>; 2],
    /// The body.
    pub body: BodyPose,
}

/// Hands nearer to each other than this neither turn nor magnify, in metres: their direction would be noise.
const LEAST_SPAN_M: f64 = 0.03;

/// Where the body goes when the hands that took hold of it are here now.
///
/// What was between the hands stays between them; it turns about the vertical only, so up stays up.
pub fn held_body(hold: &Hold, hands: [Point<Scene>; 2]) -> BodyPose {
    let middle = |[a, b]: [Point<Scene>; 2]| -> Point<Scene> { ((a.get() + b.get()) * 0.5).into() };
    let (from, to) = (middle(hold.hands), middle(hands));
    let (before, now) = ((hold.hands[1] - hold.hands[0]).get(), (hands[1] - hands[0]).get());
    let [low, high] = MAGNIFICATION_RANGE;
    let (mut magnification, mut turn) = (hold.body.magnification.0, DQuat::IDENTITY);
    if before.length() > LEAST_SPAN_M && now.length() > LEAST_SPAN_M {
        magnification = (magnification * now.length() / before.length()).clamp(low, high);
        let (a, b) = (before.with_y(0.0), now.with_y(0.0));
        if a.length() > LEAST_SPAN_M && b.length() > LEAST_SPAN_M {
            turn = DQuat::from_rotation_y(b.x.atan2(b.z) - a.x.atan2(a.z));
        }
    }
    let ratio = magnification / hold.body.magnification.0;
    let arm = turn * ((hold.body.position - from).get() * ratio);
    BodyPose {
        position: to + Vector::from(arm),
        rotation: (turn * hold.body.rotation).normalize(),
        magnification: Magnification(magnification),
    }
}

fn follow_hands(
    mut requests: MessageReader<GrabRequested>,
    hands: Query<&HandPose>,
    rig: Res<Rig>,
    mut grip: ResMut<Grip>,
    mut body: ResMut<BodyPose>,
    mut scaled: MessageWriter<Scaled>,
) {
    let mut after = *grip;
    for request in requests.read() {
        let (hand, closed) = match *request {
            GrabRequested::Start { hand } => (hand, true),
            GrabRequested::End { hand } => (hand, false),
        };
        match hand {
            Hand::Left => after.left = closed,
            Hand::Right => after.right = closed,
        }
    }
    let place = |hand: Hand| {
        let tracking = hands.iter().find(|h| h.hand == hand)?.tracking.as_ref()?;
        Some(rig.scene_pose(&tracking.grip).position)
    };
    let both = (after.left && after.right).then(|| Some([place(Hand::Left)?, place(Hand::Right)?])).flatten();
    match (both, after.hold) {
        (Some(hands), Some(hold)) => {
            let moved = held_body(&hold, hands);
            if moved.magnification != body.magnification {
                scaled.write(Scaled { to: moved.magnification });
            }
            body.set_if_neq(moved);
        }
        (Some(hands), None) => after.hold = Some(Hold { hands, body: *body }),
        (None, _) => after.hold = None,
    }
    grip.set_if_neq(after);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::Pose;
    use crate::hands::{HandTracking, HeadPose, PosesMoved};
    use crate::test_support::{fake_case, send, staged_app};

    fn hands(app: &mut App, left: [f64; 3], right: [f64; 3]) {
        let hand = |at: [f64; 3]| {
            let mut grip = Pose::IDENTITY;
            grip.position = Point::from_array(at);
            Some(Box::new(HandTracking { grip, aim: grip, joints: Vec::new() }))
        };
        let head = app.world().resource::<HeadPose>().0;
        send(app, PosesMoved { head, left: hand(left), right: hand(right) });
    }

    #[test]
    fn alone_it_waits_for_both_hands() {
        let mut app = App::new();
        app.add_plugins(GrabPlugin);
        app.world_mut().write_message(GrabRequested::Start { hand: Hand::Left });
        app.update();
        assert_eq!(*app.world().resource::<Grip>(), Grip { left: true, right: false, hold: None });
    }

    #[test]
    fn what_is_between_the_hands_stays_between_them() {
        let mut app = staged_app(fake_case());
        hands(&mut app, [-0.2, 1.2, -0.5], [0.2, 1.2, -0.5]);
        send(&mut app, GrabRequested::Start { hand: Hand::Left });
        send(&mut app, GrabRequested::Start { hand: Hand::Right });
        let before = *app.world().resource::<BodyPose>();
        let middle = Point::new(0.0, 1.2, app.world().resource::<Rig>().position.z - 0.5);
        let held = before.body_from_scene() * middle;
        hands(&mut app, [-0.4, 1.3, -0.6], [0.4, 1.3, -0.6]);
        let after = *app.world().resource::<BodyPose>();
        assert!((after.magnification.0 - 2.0).abs() < 1e-9);
        let now = after.scene_from_body() * held;
        assert!(now.distance(middle + Vector::new(0.0, 0.1, -0.1)) < 1e-9, "{now:?}");
        send(&mut app, GrabRequested::End { hand: Hand::Left });
        hands(&mut app, [-0.1, 1.0, -0.6], [0.9, 1.3, -0.6]);
        assert_eq!(*app.world().resource::<BodyPose>(), after, "let go");
    }

    #[test]
    fn the_body_turns_with_the_hands_and_stays_upright() {
        let at = |l: [f64; 3], r: [f64; 3]| [Point::from_array(l), Point::from_array(r)];
        let body = BodyPose { position: Point::new(0.0, 0.0, -1.0), ..BodyPose::default() };
        let hold = Hold { hands: at([-0.2, 1.0, 0.0], [0.2, 1.0, 0.0]), body };
        // The right hand goes ahead to −Z, the left back: a quarter turn counter-clockwise from above.
        let turned = held_body(&hold, at([0.0, 1.0, 0.2], [0.0, 1.3, -0.2]));
        assert!((turned.rotation * glam::DVec3::Y).distance(glam::DVec3::Y) < 1e-9, "up stays up");
        assert!((turned.rotation * glam::DVec3::X).distance(glam::DVec3::NEG_Z) < 1e-9, "{:?}", turned.rotation);
    }
}
