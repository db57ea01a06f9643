//! The one place for cut planes.
//!
//! A plane lives in patient millimetres, so it stays in the anatomy when the body is moved or magnified. What lies on the
//! side its normal points to is cut away.

use bevy_app::{App, Plugin};
use bevy_ecs::prelude::*;
use glam::DQuat;
use serde::{Deserialize, Serialize};
use space::{AnatomicalDirection, Lps, Point, Scene, Vector};

use crate::frame::{Body, body_from_lps};
use crate::stage::{BodyPose, StartingState};
use crate::walk::{Walk, WalkSystems, ensure_walk};

/// Keeps [`ClipPlanes`].
#[derive(Default)]
pub struct ClipPlugin;

impl Plugin for ClipPlugin {
    fn build(&self, app: &mut App) {
        ensure_walk(app);
        app.add_message::<ClipRequested>()
            .init_resource::<ClipPlanes>()
            .configure_sets(Walk, ClipSystems::Apply.in_set(WalkSystems::Apply))
            .add_systems(Walk, move_planes.in_set(ClipSystems::Apply).run_if(on_message::<ClipRequested>));
    }
}

/// The steps of clipping.
#[derive(SystemSet, Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ClipSystems {
    /// Changes [`ClipPlanes`] as requested. Runs in [`Walk`].
    Apply,
}

/// A wish to cut; about the plane with index [`ClipPlanes::active`].
#[derive(Message, Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub enum ClipRequested {
    /// Cut, or stop cutting.
    Enable(bool),
    /// Cut if not cutting, and the other way round.
    Toggle,
    /// Cut away the other side.
    Flip,
    /// Push along the normal.
    Move {
        /// Positive cuts away less.
        millimetres: f64,
    },
    /// Turn about the plane's point.
    Rotate {
        /// In patient axes; unit quaternion x, y, z, w.
        by: DQuat,
    },
    /// Lay the plane across a direction, through its point; cuts away that side.
    Align(AnatomicalAxis),
    /// Lay the plane across the next of the six directions.
    AlignNext,
    /// Put the plane where it is told.
    Place(ClipPlane),
    /// Off, and back to where it began.
    Reset,
}

/// A direction of the body that can be written to a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum AnatomicalAxis {
    /// The patient's right.
    Right,
    /// The patient's left.
    Left,
    /// Front.
    Anterior,
    /// Back.
    Posterior,
    /// Head.
    Superior,
    /// Feet.
    Inferior,
}

impl AnatomicalAxis {
    /// As `space` calls it.
    pub fn direction(self) -> AnatomicalDirection {
        match self {
            Self::Right => AnatomicalDirection::Right,
            Self::Left => AnatomicalDirection::Left,
            Self::Anterior => AnatomicalDirection::Anterior,
            Self::Posterior => AnatomicalDirection::Posterior,
            Self::Superior => AnatomicalDirection::Superior,
            Self::Inferior => AnatomicalDirection::Inferior,
        }
    }
}

/// One cut plane.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct ClipPlane {
    /// Does it cut.
    pub enabled: bool,
    /// A point on it.
    pub point: Point<Lps>,
    /// Of unit length; its side is cut away.
    pub normal: Vector<Lps>,
}

/// All cut planes; what any enabled one cuts away is gone. Undoable.
#[derive(Resource, Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ClipPlanes {
    /// At least one.
    pub planes: Vec<ClipPlane>,
    /// The plane that requests are about.
    pub active: usize,
}

impl Default for ClipPlanes {
    fn default() -> Self {
        Self::through(Point::ZERO)
    }
}

impl ClipPlanes {
    /// One plane that does not cut yet, through a point; it would cut away the front.
    pub fn through(point: Point<Lps>) -> Self {
        let normal = AnatomicalDirection::Anterior.lps();
        Self { planes: vec![ClipPlane { enabled: false, point, normal }], active: 0 }
    }

    /// The planes that cut.
    pub fn enabled(&self) -> impl Iterator<Item = &ClipPlane> {
        self.planes.iter().filter(|p| p.enabled)
    }

    /// True if the point is cut away.
    pub fn cut_away(&self, point: Point<Lps>) -> bool {
        self.enabled().any(|p| p.signed_distance_mm(point) > 0.0)
    }

    /// The plane requests are about.
    pub fn active_plane(&self) -> Option<&ClipPlane> {
        self.planes.get(self.active)
    }
}

impl ClipPlane {
    /// Distance from the plane in mm; positive is cut away.
    pub fn signed_distance_mm(&self, point: Point<Lps>) -> f64 {
        (point - self.point).dot(*self.normal)
    }

    /// As `(normal, offset)` in the scene, metres: cut away where `normal · x + offset > 0`.
    pub fn in_scene(&self, body: &BodyPose) -> (Vector<Scene>, f64) {
        let normal: Vector<Scene> = (body.scene_from_lps() * self.normal).normalize_or_zero().into();
        let point = body.scene_from_lps() * self.point;
        (normal, -normal.dot(*point))
    }

    /// As `(normal, offset)` in body metres: cut away where `normal · x + offset > 0`.
    pub fn in_body(&self) -> (Vector<Body>, f64) {
        let normal: Vector<Body> = (body_from_lps() * self.normal).normalize_or_zero().into();
        let point = body_from_lps() * self.point;
        (normal, -normal.dot(*point))
    }
}

/// Does what is asked to the active plane; `start` is what a reset goes back to.
pub fn apply(request: &ClipRequested, planes: &mut ClipPlanes, start: &ClipPlanes) {
    if *request == ClipRequested::Reset {
        planes.clone_from(start);
        return;
    }
    let Some(plane) = planes.planes.get_mut(planes.active) else { return };
    match *request {
        ClipRequested::Enable(enabled) => plane.enabled = enabled,
        ClipRequested::Toggle => plane.enabled = !plane.enabled,
        ClipRequested::Flip => plane.normal = -plane.normal,
        ClipRequested::Move { millimetres } if millimetres.is_finite() => {
            plane.point = plane.point + plane.normal * millimetres;
        }
        ClipRequested::Rotate { by } if by.is_finite() && by.length_squared() > 0.0 => {
            plane.normal = (by.normalize() * plane.normal.get()).normalize().into();
        }
        ClipRequested::Align(axis) => plane.normal = axis.direction().lps(),
        ClipRequested::AlignNext => {
            let all = AnatomicalDirection::ALL;
            let now = AnatomicalDirection::nearest(plane.normal);
            let at = all.iter().position(|d| *d == now).unwrap_or(0);
            plane.normal = all[(at + 1) % all.len()].lps();
        }
        ClipRequested::Place(to) if to.point.is_finite() && to.normal.length_squared() > 0.0 => {
            *plane = ClipPlane { normal: to.normal.normalize().into(), ..to };
        }
        // What is not a number places nothing.
        ClipRequested::Move { .. } | ClipRequested::Rotate { .. } | ClipRequested::Place(_) | ClipRequested::Reset => {}
    }
}

fn move_planes(
    mut requests: MessageReader<ClipRequested>,
    mut planes: ResMut<ClipPlanes>,
    start: Option<Res<StartingState>>,
) {
    let start = start.map_or_else(ClipPlanes::default, |s| s.clip.clone());
    let mut after = planes.clone();
    for request in requests.read() {
        apply(request, &mut after, &start);
    }
    planes.set_if_neq(after);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_support::{fake_case, send, staged_app};
    use space::Magnification;

    #[test]
    fn alone_it_cuts() {
        let mut app = App::new();
        app.add_plugins(ClipPlugin);
        app.world_mut().write_message(ClipRequested::Enable(true));
        app.update();
        let planes = app.world().resource::<ClipPlanes>();
        assert!(planes.cut_away(Point::new(0.0, -10.0, 0.0)) && !planes.cut_away(Point::new(0.0, 10.0, 0.0)), "front");
    }

    #[test]
    fn requests_move_turn_and_flip() {
        let mut app = staged_app(fake_case());
        let start = app.world().resource::<ClipPlanes>().clone();
        send(&mut app, ClipRequested::Align(AnatomicalAxis::Superior));
        send(&mut app, ClipRequested::Enable(true));
        send(&mut app, ClipRequested::Move { millimetres: 30.0 });
        let planes = app.world().resource::<ClipPlanes>().clone();
        let middle = start.planes[0].point;
        assert!((planes.planes[0].signed_distance_mm(middle) + 30.0).abs() < 1e-9);
        assert!(planes.cut_away(middle + Vector::new(0.0, 0.0, 31.0)));
        assert!(!planes.cut_away(middle + Vector::new(0.0, 0.0, 29.0)));
        send(&mut app, ClipRequested::Flip);
        assert!(app.world().resource::<ClipPlanes>().cut_away(middle));
        send(&mut app, ClipRequested::Rotate { by: DQuat::from_rotation_x(std::f64::consts::FRAC_PI_2) });
        let normal = app.world().resource::<ClipPlanes>().planes[0].normal;
        assert!((normal.length() - 1.0).abs() < 1e-12 && normal.z.abs() < 1e-9, "{normal:?}");
        send(&mut app, ClipRequested::Move { millimetres: f64::NAN });
        send(&mut app, ClipRequested::Reset);
        assert_eq!(*app.world().resource::<ClipPlanes>(), start);
    }

    #[test]
    fn the_scene_plane_agrees_with_the_patients() {
        let mut plane = ClipPlanes::through(Point::new(10.0, 20.0, 1300.0)).planes[0];
        plane.normal = glam::DVec3::new(0.6, 0.0, 0.8).into();
        let body = BodyPose { position: Point::new(0.2, 0.4, -1.0), ..BodyPose::default() }
            .magnified(Magnification(7.0), Point::new(0.0, 1.0, 0.0));
        let ((normal, offset), (body_normal, body_offset)) = (plane.in_scene(&body), plane.in_body());
        for point in [[0.0, 0.0, 1200.0], [100.0, -50.0, 1400.0], [10.0, 20.0, 1300.0]].map(Point::<Lps>::from_array) {
            let mm = plane.signed_distance_mm(point);
            let scene = body.scene_from_lps() * point;
            assert!((normal.dot(*scene) + offset - mm * 7e-3).abs() < 1e-9);
            let body_point = body_from_lps() * point;
            assert!((body_normal.dot(*body_point) + body_offset - mm * 1e-3).abs() < 1e-12);
        }
    }
}
