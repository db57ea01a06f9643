//! The frames of a walk beside [`Lps`] and [`Scene`], and poses in them.

use glam::{DQuat, DVec3, Quat};
use serde::{Deserialize, Serialize};
use space::{Affine, Frame, Lps, Point, Scene, Vector, scene_from_lps};

/// The patient at rest and life-size: metres, axes as in [`Scene`], zero at the zero of [`Lps`].
///
/// Every GLB vertex has these coordinates. [`BodyPose`](crate::stage::BodyPose) lays them into the scene.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Body {}

impl Frame for Body {
    const NAME: &'static str = "Body";
}

/// The tracking space of the device: metres, +Y up, zero on the floor below the walker's starting place.
///
/// [`Rig`](crate::locomotion::Rig) lays it into the scene.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tracking {}

impl Frame for Tracking {
    const NAME: &'static str = "Tracking";
}

/// The map from patient millimetres to the body's own metres.
pub fn body_from_lps() -> Affine<Body, Lps> {
    let map = scene_from_lps();
    Affine::new(map.linear, map.translation)
}

/// The map from the body's own metres to patient millimetres.
pub fn lps_from_body() -> Affine<Lps, Body> {
    let map = space::lps_from_scene();
    Affine::new(map.linear, map.translation)
}

/// A position and an orientation in frame `F`; −Z looks ahead, +Y is up.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(bound = "")]
pub struct Pose<F: Frame> {
    /// In the frame's unit.
    pub position: Point<F>,
    /// A unit quaternion x, y, z, w.
    pub rotation: Quat,
}

impl<F: Frame> Pose<F> {
    /// At the frame's zero, looking along −Z.
    pub const IDENTITY: Self = Self { position: Point::ZERO, rotation: Quat::IDENTITY };

    /// Where −Z of the pose points, of unit length.
    pub fn forward(&self) -> Vector<F> {
        (self.rotation.as_dquat() * DVec3::NEG_Z).into()
    }
}

/// A half-line in the scene.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ray {
    /// Where it starts.
    pub origin: Point<Scene>,
    /// Where it goes; of unit length.
    pub direction: Vector<Scene>,
}

impl Ray {
    /// The point `distance_m` ahead.
    pub fn at(&self, distance_m: f64) -> Point<Scene> {
        self.origin + self.direction * distance_m
    }
}

/// A turn about the vertical, in radians, counter-clockwise seen from above.
pub fn yaw_rotation(yaw_rad: f64) -> DQuat {
    DQuat::from_rotation_y(yaw_rad)
}
