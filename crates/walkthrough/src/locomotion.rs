//! The walker's own movement: walk, fly, look, teleport, snap turn; and the body's magnification.
//!
//! Nothing here moves the camera unless the user asked: there is no head bob, no easing and no following.

use bevy_app::{App, Plugin};
use bevy_ecs::prelude::*;
use bevy_transform::components::Transform;
use glam::{DQuat, DVec3};
use serde::{Deserialize, Serialize};
use space::{Magnification, Point, Scene, Vector};

use crate::comfort::Comfort;
use crate::frame::{Pose, Tracking, yaw_rotation};
use crate::hands::{HandPose, HandsSystems, HeadPose};
use crate::pointer::{PointedAt, Pointer, PointerId};
use crate::stage::{BodyPose, StartingState};
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
            .init_resource::<SmoothMotion>()
            .init_resource::<Comfort>()
            .init_resource::<HeadPose>()
            .init_resource::<BodyPose>()
            .configure_sets(
                Walk,
                (HandsSystems::Track, LocomotionSystems::Apply, LocomotionSystems::Place)
                    .chain()
                    .in_set(WalkSystems::Move),
            )
            .configure_sets(Walk, LocomotionSystems::Follow.in_set(WalkSystems::Present))
            .add_systems(
                Walk,
                (
                    move_walker.in_set(LocomotionSystems::Apply),
                    see_from_head.in_set(LocomotionSystems::Place),
                    // Again after a reset or an undo, so that drawing and record see this frame's place.
                    (see_from_head, place_rig).chain().in_set(LocomotionSystems::Follow),
                ),
            );
        app.world_mut().spawn((RigRoot, Name::new("Rig")));
        app.world_mut().spawn((HeadAnchor, Name::new("Head")));
    }
}

/// The steps of locomotion.
#[derive(SystemSet, Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LocomotionSystems {
    /// Moves [`Rig`] and magnifies as requested, after poses were taken over. Runs in [`Walk`].
    Apply,
    /// Writes [`Viewer`]. Runs in [`Walk`].
    Place,
    /// Writes [`Viewer`] again and the transforms of rig, head and hands. Runs in [`Walk`].
    Follow,
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
    /// Walk or fly for a while; speeds stand in [`Comfort`].
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

/// How far in front of the body's foremost point a walk begins, in metres; our choice.
pub const STARTING_DISTANCE_M: f64 = 2.0;

/// Vertical field of view of desktop and offscreen cameras, in degrees; tours compose their pictures for it.
pub const VERTICAL_FOV_DEGREES: f64 = 55.0;

/// How far the mouse tilts the head up and down, in degrees.
pub const PITCH_LIMIT_DEGREES: f64 = 85.0;

/// True in a frame in which the user moves smoothly; a headset darkens the edge of the view then.
#[derive(Resource, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SmoothMotion(pub bool);

/// Where the tracking space lies in the scene: its floor point, and its turn about the vertical. Never tilted or scaled.
#[derive(Resource, Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Rig {
    /// The zero of [`Tracking`].
    pub position: Point<Scene>,
    /// Radians, counter-clockwise seen from above.
    pub yaw_rad: f64,
}

impl Default for Rig {
    fn default() -> Self {
        Self { position: Point::new(0.0, 0.0, 2.0), yaw_rad: 0.0 }
    }
}

impl Rig {
    /// A pose of tracking space in the scene.
    pub fn scene_pose(&self, pose: &Pose<Tracking>) -> Pose<Scene> {
        let yaw = yaw_rotation(self.yaw_rad);
        Pose {
            position: self.position + Vector::from(yaw * pose.position.get()),
            rotation: (yaw * pose.rotation.as_dquat()).as_quat(),
        }
    }

    /// Turned about the head, which stays where it is.
    fn turned(&self, by_rad: f64, head: &Pose<Tracking>) -> Self {
        let turned = Self { yaw_rad: (self.yaw_rad + by_rad).rem_euclid(std::f64::consts::TAU), ..*self };
        let (before, after) = (self.scene_pose(head).position, turned.scene_pose(head).position);
        Self { position: turned.position + (before - after), ..turned }
    }

    /// With the feet below the head on this point.
    fn standing_on(&self, target: Point<Scene>, head: &Pose<Tracking>) -> Self {
        let above_zero = DVec3 { y: 0.0, ..(yaw_rotation(self.yaw_rad) * head.position.get()) };
        Self { position: target - Vector::from(above_zero), ..*self }
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

/// Everything a request may move.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Place {
    /// The tracking space.
    pub rig: Rig,
    /// The head in it.
    pub head: HeadPose,
    /// The patient.
    pub body: BodyPose,
}

/// Does what is asked; `pivot` is what magnifying keeps in place if the request names nothing.
pub fn apply(request: &LocomotionRequested, place: &mut Place, comfort: &Comfort, pivot: Point<Scene>) {
    match *request {
        LocomotionRequested::Move { right, up, forward, run, seconds } => {
            let ahead = place.rig.scene_pose(&place.head.0).forward();
            // Straight up or down there is no ahead; the rig's own stays.
            let level = DVec3 { y: 0.0, ..ahead.get() }.try_normalize();
            let level = level.unwrap_or_else(|| yaw_rotation(place.rig.yaw_rad) * DVec3::NEG_Z);
            let wish = level.cross(DVec3::Y) * f64::from(right) + level * f64::from(forward) + DVec3::Y * f64::from(up);
            let speed = comfort.walk_m_per_s * if run { comfort.run_factor } else { 1.0 };
            let way = wish.clamp_length_max(1.0) * speed * f64::from(seconds.clamp(0.0, LONGEST_MOVE_S));
            if way.is_finite() {
                place.rig.position = place.rig.position + Vector::from(way);
                place.rig.position.y = place.rig.position.y.max(0.0);
            }
        }
        LocomotionRequested::Look { yaw_rad, pitch_rad } if yaw_rad.is_finite() && pitch_rad.is_finite() => {
            place.rig = place.rig.turned(f64::from(yaw_rad), &place.head.0);
            let limit = PITCH_LIMIT_DEGREES.to_radians();
            let ahead = place.head.0.forward();
            let pitch = ahead.y.clamp(-1.0, 1.0).asin() + f64::from(pitch_rad);
            place.head.0.rotation = DQuat::from_rotation_x(pitch.clamp(-limit, limit)).as_quat();
        }
        LocomotionRequested::Teleport { target } if target.is_finite() => {
            place.rig = place.rig.standing_on(target, &place.head.0);
        }
        LocomotionRequested::SnapTurn(side) => {
            let angle = comfort.snap_turn_degrees.to_radians();
            let by = if side == Side::Left { angle } else { -angle };
            place.rig = place.rig.turned(by, &place.head.0);
        }
        LocomotionRequested::Magnify { to, pivot: wanted } if to.0.is_finite() => {
            let [low, high] = MAGNIFICATION_RANGE;
            let to = Magnification(to.0.clamp(low, high));
            place.body = place.body.magnified(to, wanted.unwrap_or(pivot));
        }
        LocomotionRequested::MagnifyBy { factor, pivot: wanted } => {
            let to = Magnification(place.body.magnification.0 * factor);
            apply(&LocomotionRequested::Magnify { to, pivot: wanted }, place, comfort, pivot);
        }
        LocomotionRequested::Place { eye, look_at } => {
            let Some(ahead) = (look_at - eye).try_normalize() else { return };
            place.rig.yaw_rad = (-ahead.x).atan2(-ahead.z).rem_euclid(std::f64::consts::TAU);
            place.head.0.rotation = DQuat::from_rotation_x(ahead.y.clamp(-1.0, 1.0).asin()).as_quat();
            let head = place.rig.scene_pose(&place.head.0).position;
            place.rig.position = place.rig.position + (eye - head);
        }
        // What is not a number moves nothing.
        LocomotionRequested::Look { .. }
        | LocomotionRequested::Teleport { .. }
        | LocomotionRequested::Magnify { .. } => {}
    }
}

/// The longest time one move may cover, in seconds.
const LONGEST_MOVE_S: f32 = 0.25;

fn move_walker(
    mut requests: MessageReader<LocomotionRequested>,
    (mut rig, mut head, mut body): (ResMut<Rig>, ResMut<HeadPose>, ResMut<BodyPose>),
    comfort: Res<Comfort>,
    start: Option<Res<StartingState>>,
    pointers: Query<(&Pointer, &PointedAt)>,
    mut smooth: ResMut<SmoothMotion>,
    mut teleported: MessageWriter<Teleported>,
    mut turned: MessageWriter<Turned>,
    mut scaled: MessageWriter<Scaled>,
) {
    let mut place = Place { rig: *rig, head: *head, body: *body };
    let met = pointers.iter().find(|(p, _)| p.id == PointerId::Crosshair).and_then(|(_, at)| Some(at.0.as_ref()?.at));
    let mut moves = false;
    for request in requests.read() {
        let below = || {
            let centre = start.as_ref().map_or(Point::ZERO, |s| place.body.scene_from_body() * s.extent.centre());
            Point::new(centre.x, 0.0, centre.z)
        };
        let pivot = met.unwrap_or_else(below);
        let before = place.body.magnification;
        apply(request, &mut place, &comfort, pivot);
        match *request {
            LocomotionRequested::Teleport { target } => {
                teleported.write(Teleported { to_m: target });
            }
            LocomotionRequested::SnapTurn(side) => {
                turned.write(Turned { side });
            }
            LocomotionRequested::Move { .. } => moves = true,
            _ => {}
        }
        if place.body.magnification != before {
            scaled.write(Scaled { to: place.body.magnification });
        }
    }
    smooth.set_if_neq(SmoothMotion(moves));
    rig.set_if_neq(place.rig);
    head.set_if_neq(place.head);
    body.set_if_neq(place.body);
}

fn see_from_head(rig: Res<Rig>, head: Res<HeadPose>, mut viewer: ResMut<Viewer>) {
    if rig.is_changed() || head.is_changed() {
        viewer.set_if_neq(Viewer(rig.scene_pose(&head.0)));
    }
}

fn place_rig(
    mut commands: Commands,
    (rig, head): (Res<Rig>, Res<HeadPose>),
    mut roots: Query<(Entity, &mut Transform), (With<RigRoot>, Without<HeadAnchor>, Without<HandPose>)>,
    mut heads: Query<(Entity, &mut Transform, Has<ChildOf>), (With<HeadAnchor>, Without<HandPose>)>,
    mut hands: Query<(Entity, Ref<HandPose>, &mut Transform, Has<ChildOf>)>,
) {
    let Ok((root, mut root_transform)) = roots.single_mut() else { return };
    if rig.is_changed() {
        root_transform.translation = rig.position.as_vec3();
        root_transform.rotation = yaw_rotation(rig.yaw_rad).as_quat();
    }
    for (entity, mut transform, is_child) in &mut heads {
        if !is_child {
            commands.entity(entity).insert(ChildOf(root));
        }
        if head.is_changed() {
            *transform = transform_of(&head.0);
        }
    }
    for (entity, hand, mut transform, is_child) in &mut hands {
        if !is_child {
            commands.entity(entity).insert(ChildOf(root));
        }
        if hand.is_changed()
            && let Some(tracking) = &hand.tracking
        {
            *transform = transform_of(&tracking.grip);
        }
    }
}

fn transform_of(pose: &Pose<Tracking>) -> Transform {
    Transform { translation: pose.position.as_vec3(), rotation: pose.rotation, ..Transform::IDENTITY }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_support::{fake_case, send, staged_app};

    fn place() -> Place {
        Place { rig: Rig::default(), head: HeadPose::default(), body: BodyPose::default() }
    }

    fn after(requests: &[LocomotionRequested]) -> Place {
        let mut place = place();
        for request in requests {
            apply(request, &mut place, &Comfort::default(), Point::ZERO);
        }
        place
    }

    fn eye(place: &Place) -> Pose<Scene> {
        place.rig.scene_pose(&place.head.0)
    }

    const AHEAD: LocomotionRequested =
        LocomotionRequested::Move { right: 0.0, up: 0.0, forward: 1.0, run: false, seconds: 0.1 };

    #[test]
    fn alone_it_walks_where_the_head_looks() {
        let mut app = App::new();
        app.add_plugins(LocomotionPlugin);
        app.world_mut().write_message(AHEAD);
        app.update();
        let viewer = app.world().resource::<Viewer>().0.position;
        assert!((viewer.z - 1.86).abs() < 1e-6 && viewer.x.abs() < 1e-6, "{viewer:?}");
        let root = app.world_mut().query_filtered::<&Transform, With<RigRoot>>().single(app.world()).unwrap();
        assert!((root.translation.z - 1.86).abs() < 1e-6);
        let anchor = app.world_mut().query_filtered::<&ChildOf, With<HeadAnchor>>().single(app.world());
        assert!(anchor.is_ok(), "the head hangs on the rig");
    }

    #[test]
    fn nothing_moves_without_a_request() {
        let mut app = staged_app(fake_case());
        let before = (*app.world().resource::<Viewer>(), *app.world().resource::<BodyPose>());
        for _ in 0..100 {
            app.update();
        }
        assert_eq!((*app.world().resource::<Viewer>(), *app.world().resource::<BodyPose>()), before);
    }

    #[test]
    fn looking_stops_short_of_the_zenith() {
        let look = |yaw_rad, pitch_rad| LocomotionRequested::Look { yaw_rad, pitch_rad };
        let up = eye(&after(&[look(0.0, 9.0)])).forward();
        assert!((up.y.asin().to_degrees() - 85.0).abs() < 1e-3, "{up:?}");
        let left = eye(&after(&[look(std::f32::consts::FRAC_PI_2, 0.0)])).forward();
        assert!(left.x < -0.999, "a quarter turn counter-clockwise looks along −X: {left:?}");
        assert_eq!(after(&[look(f32::NAN, 0.0)]), place());
    }

    #[test]
    fn running_is_faster_and_the_floor_holds() {
        let LocomotionRequested::Move { right, up, forward, seconds, .. } = AHEAD else { return };
        let run = after(&[LocomotionRequested::Move { right, up, forward, run: true, seconds }]);
        assert!((run.rig.position.z - (2.0 - 0.14 * 2.5)).abs() < 1e-6);
        let down = LocomotionRequested::Move { right: 0.0, up: -1.0, forward: 0.0, run: true, seconds: 0.2 };
        assert_eq!(after(&[down]).rig.position.y, 0.0);
    }

    #[test]
    fn a_snap_turn_keeps_the_head_in_place_and_twelve_go_round() {
        let mut start = place();
        start.head.0.position = Point::new(0.4, 1.6, -0.3);
        let mut turned = start;
        for _ in 0..12 {
            apply(&LocomotionRequested::SnapTurn(Side::Right), &mut turned, &Comfort::default(), Point::ZERO);
            assert!(eye(&turned).position.distance(eye(&start).position) < 1e-12);
        }
        assert!(eye(&turned).forward().distance(*eye(&start).forward()) < 1e-6);
    }

    #[test]
    fn a_teleport_puts_the_feet_there_wherever_the_head_is() {
        let mut place = place();
        place.head.0.position = Point::new(0.4, 1.6, -0.3);
        place.rig.yaw_rad = 1.0;
        let target = Point::new(3.0, 0.0, -2.0);
        apply(&LocomotionRequested::Teleport { target }, &mut place, &Comfort::default(), Point::ZERO);
        let eye = eye(&place).position;
        assert!(eye.distance(Point::new(3.0, 1.6, -2.0)) < 1e-12, "{eye:?}");
    }

    #[test]
    fn placing_looks_at_the_target() {
        let (there, target) = (Point::new(1.0, 2.0, 3.0), Point::new(-1.0, 1.0, 0.5));
        let placed = eye(&after(&[LocomotionRequested::Place { eye: there, look_at: target }]));
        assert!(placed.position.distance(there) < 1e-9);
        assert!(placed.forward().distance((target - there).normalize()) < 1e-6);
    }

    #[test]
    fn magnification_stays_in_its_range_and_keeps_what_is_pointed_at() {
        let mut app = staged_app(fake_case());
        send(&mut app, LocomotionRequested::Magnify { to: Magnification(500.0), pivot: None });
        assert_eq!(app.world().resource::<BodyPose>().magnification, Magnification(20.0));
        send(&mut app, LocomotionRequested::MagnifyBy { factor: 1e-9, pivot: Some(Point::ZERO) });
        assert_eq!(app.world().resource::<BodyPose>().magnification, Magnification(1.0));
        send(&mut app, LocomotionRequested::Magnify { to: Magnification(f64::NAN), pivot: None });
        assert_eq!(app.world().resource::<BodyPose>().magnification, Magnification(1.0));
    }
}
