//! The walker's own movement: walk, fly, look, teleport, snap turn; and the body's magnification.
//!
//! Nothing here moves the camera unless the user asked: there is no head bob, no easing and no following.

use bevy_app::{App, Plugin};
use bevy_ecs::prelude::*;
use bevy_transform::components::Transform;
use serde::{Deserialize, Serialize};
use space::{Magnification, Point, Scene};

use crate::frame::Pose;
use crate::walk::{Walk, WalkSystems, ensure_walk};

/// Keeps [`Rig`] and the magnification of the body.
#[derive(Default)]
pub struct LocomotionPlugin;

impl Plugin for LocomotionPlugin {
    fn build(&self, app: &mut App) {
        ensure_walk(app);
        app.add_message::<LocomotionRequested>()
            .add_message::<Teleported>()
            .add_message::<Turned>()
            .add_message::<Scaled>()
            .init_resource::<Rig>()
            .init_resource::<Viewer>()
            .init_resource::<crate::comfort::Comfort>()
            .configure_sets(
                Walk,
                (LocomotionSystems::Apply, LocomotionSystems::Place).chain().in_set(WalkSystems::Move),
            );
    }
}

/// The steps of locomotion.
#[derive(SystemSet, Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LocomotionSystems {
    /// Moves [`Rig`] and magnifies as requested, after poses were taken over. Runs in [`Walk`].
    Apply,
    /// Writes [`Viewer`] and the transforms of rig, head and hands. Runs in [`Walk`].
    Place,
}

/// Sideways.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Side {
    /// To the left.
    Left,
    /// To the right.
    Right,
}

/// A wish to be elsewhere, or to see the body larger.
#[derive(Message, Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub enum LocomotionRequested {
    /// Walk or fly for a while; speeds stand in [`Comfort`](crate::comfort::Comfort).
    Move {
        /// −1 to 1, to the walker's right.
        right: f32,
        /// −1 to 1, straight up.
        up: f32,
        /// −1 to 1, where the head looks, kept level.
        forward: f32,
        /// Faster.
        run: bool,
        /// How long the wish was held, usually the frame's time.
        seconds: f32,
    },
    /// Turn the view with a mouse or a pad; a headset's own turning arrives as poses.
    Look {
        /// Counter-clockwise seen from above.
        yaw_rad: f32,
        /// Upwards; the sum stays within ±85°.
        pitch_rad: f32,
    },
    /// Stand on this point of the floor, looking the same way.
    Teleport {
        /// Where the feet go.
        target: Point<Scene>,
    },
    /// Turn by the comfort preset's angle about the head.
    SnapTurn(Side),
    /// Magnify the body to this size, 1 to 20 times life.
    Magnify {
        /// Clamped to [`MAGNIFICATION_RANGE`].
        to: Magnification,
        /// The point that stays where it is; none: what the crosshair meets, else the floor under the body.
        pivot: Option<Point<Scene>>,
    },
    /// Magnify by a factor.
    MagnifyBy {
        /// Above 1 is larger.
        factor: f64,
        /// As for [`LocomotionRequested::Magnify`].
        pivot: Option<Point<Scene>>,
    },
    /// Put the eyes here, looking there. For tours and pictures, never in a headset.
    Place {
        /// Where the eyes go.
        eye: Point<Scene>,
        /// What is in the middle of the view.
        look_at: Point<Scene>,
    },
}

/// The smallest and largest size of the body; 1 is life size.
pub const MAGNIFICATION_RANGE: [f64; 2] = [1.0, 20.0];

/// The walker's feet came to stand elsewhere at once.
#[derive(Message, Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Teleported {
    /// Feet, in the scene.
    pub to_m: Point<Scene>,
}

/// The view was turned by a snap.
#[derive(Message, Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Turned {
    /// Which way.
    pub side: Side,
}

/// The body was magnified.
#[derive(Message, Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Scaled {
    /// 1 is life size.
    pub to: Magnification,
}

/// Where the tracking space lies in the scene: its floor point, and its turn about the vertical. Never tilted or scaled.
#[derive(Resource, Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Rig {
    /// The zero of [`Tracking`](crate::frame::Tracking).
    pub position: Point<Scene>,
    /// Radians, counter-clockwise seen from above.
    pub yaw_rad: f64,
}

impl Default for Rig {
    fn default() -> Self {
        Self { position: Point::new(0.0, 0.0, 2.0), yaw_rad: 0.0 }
    }
}

/// The head in the scene: what a camera takes over.
#[derive(Resource, Clone, Copy, Debug, PartialEq)]
pub struct Viewer(pub Pose<Scene>);

impl Default for Viewer {
    fn default() -> Self {
        Self(Pose::IDENTITY)
    }
}

/// The entity whose transform is [`Rig`]; a headset hangs its tracking space on it.
#[derive(Component, Clone, Copy, Debug, Default, PartialEq, Eq)]
#[require(Transform)]
pub struct RigRoot;

/// The entity whose transform is the head's, child of [`RigRoot`]; a desktop hangs its camera on it.
#[derive(Component, Clone, Copy, Debug, Default, PartialEq, Eq)]
#[require(Transform)]
pub struct HeadAnchor;
