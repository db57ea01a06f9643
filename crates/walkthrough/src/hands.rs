//! Head and hands in tracking space, as the device reports them.

use bevy_app::{App, Plugin};
use bevy_ecs::prelude::*;
use bevy_transform::components::Transform;
use serde::{Deserialize, Serialize};
use space::Point;

use crate::frame::{Pose, Tracking};
use crate::walk::{Walk, WalkSystems, ensure_walk};

/// Keeps [`HeadPose`] and [`HandPose`]s from [`PosesMoved`].
#[derive(Default)]
pub struct HandsPlugin;

impl Plugin for HandsPlugin {
    fn build(&self, app: &mut App) {
        ensure_walk(app);
        app.add_message::<PosesMoved>()
            .init_resource::<HeadPose>()
            .init_resource::<TeleportArc>()
            .configure_sets(Walk, HandsSystems::Track.in_set(WalkSystems::Move))
            .add_systems(Walk, take_poses.in_set(HandsSystems::Track).run_if(on_message::<PosesMoved>));
        for hand in Hand::BOTH {
            app.world_mut().spawn((HandPose { hand, tracking: None }, Name::new(format!("{hand:?} hand"))));
        }
    }
}

/// The steps of tracking.
#[derive(SystemSet, Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum HandsSystems {
    /// Takes over reported poses. Runs in [`Walk`].
    Track,
}

/// A hand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Hand {
    /// The walker's left.
    Left,
    /// The walker's right.
    Right,
}

impl Hand {
    /// Both.
    pub const BOTH: [Self; 2] = [Self::Left, Self::Right];
}

/// Head and hands as tracked this frame; one message a frame from `headset`.
#[derive(Message, Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PosesMoved {
    /// Between the eyes.
    pub head: Pose<Tracking>,
    /// None while untracked.
    pub left: Option<Box<HandTracking>>,
    /// None while untracked.
    pub right: Option<Box<HandTracking>>,
}

/// A tracked hand or controller.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HandTracking {
    /// OpenXR's grip pose.
    pub grip: Pose<Tracking>,
    /// OpenXR's aim pose; −Z points.
    pub aim: Pose<Tracking>,
    /// The 26 joints of `XR_EXT_hand_tracking` in its order, or empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub joints: Vec<Pose<Tracking>>,
}

/// The head in tracking space. A desktop keeps it at eye height and turns only its pitch.
#[derive(Resource, Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct HeadPose(pub Pose<Tracking>);

/// Eye height of a standing adult of middle height, in metres; our choice.
pub const STANDING_EYE_HEIGHT_M: f64 = 1.58;

impl Default for HeadPose {
    fn default() -> Self {
        let mut pose = Pose::IDENTITY;
        pose.position.y = STANDING_EYE_HEIGHT_M;
        Self(pose)
    }
}

/// A hand in tracking space; one entity each, always there, child of [`RigRoot`](crate::locomotion::RigRoot).
#[derive(Component, Clone, Debug, PartialEq)]
#[require(Transform)]
pub struct HandPose {
    /// Which.
    pub hand: Hand,
    /// None while untracked; its transform stays where it was last.
    pub tracking: Option<Box<HandTracking>>,
}

/// The way of a teleport while it is aimed, from the hand to the floor; else empty. Written by the device, only to be drawn.
#[derive(Resource, Clone, Debug, Default, PartialEq)]
pub struct TeleportArc(pub Vec<Point<Tracking>>);

fn take_poses(mut moved: MessageReader<PosesMoved>, mut head: ResMut<HeadPose>, mut hands: Query<&mut HandPose>) {
    // Only the last of a frame counts: the device reports where things are, not how they went.
    let Some(poses) = moved.read().last() else { return };
    head.set_if_neq(HeadPose(poses.head));
    for mut hand in &mut hands {
        let tracking = match hand.hand {
            Hand::Left => &poses.left,
            Hand::Right => &poses.right,
        };
        if hand.tracking != *tracking {
            hand.tracking.clone_from(tracking);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alone_it_follows_the_device() {
        let mut app = App::new();
        app.add_plugins(HandsPlugin);
        let mut head = Pose::IDENTITY;
        head.position.y = 1.2;
        let left = HandTracking { grip: head, aim: head, joints: Vec::new() };
        app.world_mut().write_message(PosesMoved { head, left: Some(Box::new(left.clone())), right: None });
        app.update();
        assert_eq!(app.world().resource::<HeadPose>().0, head);
        let mut hands = app.world_mut().query::<&HandPose>();
        let mut seen: Vec<_> = hands.iter(app.world()).map(|h| (h.hand, h.tracking.is_some())).collect();
        seen.sort();
        assert_eq!(seen, [(Hand::Left, true), (Hand::Right, false)]);
    }
}
