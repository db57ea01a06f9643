//! Where a shot's camera goes, in terms of the body.

mod inside;

use glam::{DQuat, DVec3, Vec3};
use space::{Lps, Point, Scene};

use crate::clip::AnatomicalAxis;
use crate::frame::{Body, body_from_lps, lps_from_body};
use crate::locomotion::VERTICAL_FOV_DEGREES;
use crate::stage::{BodyPose, Extent};
use crate::tour::{Pick, Structures, View};
use crate::visibility::{Target, VisibilityRequested};

/// The camera of a shot and what it looks at, in body metres.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Aim {
    /// Middle of what is looked at.
    pub centre: Point<Body>,
    /// Half of its box.
    pub half: DVec3,
    /// Where the eye is.
    pub eye: Point<Body>,
    /// What is in the middle of the picture.
    pub look_at: Point<Body>,
}

impl Aim {
    /// Eye and target in the scene.
    pub fn camera(&self, body: &BodyPose) -> [Point<Scene>; 2] {
        [self.eye, self.look_at].map(|p| body.scene_from_body() * p)
    }

    /// Middle of what is looked at, in the patient.
    pub fn centre_lps(&self) -> Point<Lps> {
        lps_from_body() * self.centre
    }

    /// A point from the middle (0) to the end (1) of what is looked at, on the axis.
    pub fn towards(&self, axis: AnatomicalAxis, share: f64) -> Point<Lps> {
        let direction = body_direction(axis);
        let reach = self.half.dot(direction.abs());
        lps_from_body() * Point::<Body>::from(self.centre.get() + direction * (reach * share))
    }
}

/// A direction of the body as unit vector of [`Body`].
fn body_direction(axis: AnatomicalAxis) -> DVec3 {
    (body_from_lps() * axis.direction().lps()).normalize_or_zero()
}

fn meant(pick: &Pick, name: &str, group: &str) -> bool {
    match pick {
        Pick::Segment(wanted) => wanted == name,
        Pick::Group(wanted) => wanted == group,
        Pick::Body => true,
    }
}

/// True if a case has it.
pub(super) fn exists(pick: &Pick, structures: &Structures) -> bool {
    *pick == Pick::Body || structures.iter().any(|(info, _)| meant(pick, &info.name, &info.group))
}

/// The requests that leave nothing but these.
pub(super) fn only(picks: &[Pick], structures: &Structures) -> Vec<VisibilityRequested> {
    let kept = |name: &str, group: &str| picks.iter().any(|p| meant(p, name, group));
    let hide = structures.iter().filter(|(info, _)| !kept(&info.name, &info.group));
    hide.map(|(info, _)| VisibilityRequested::Hide(Target::Segment(info.label))).collect()
}

/// The box of the first pick that exists, else of the whole body.
fn extent_of(of: &[Pick], structures: &Structures, whole: &Extent) -> (DVec3, DVec3) {
    for pick in of.iter().take_while(|p| **p != Pick::Body) {
        let of_pick = structures.iter().filter(|(info, _)| meant(pick, &info.name, &info.group));
        let boxes = of_pick.filter_map(|(_, shape)| shape.bounds());
        let start = (Vec3::INFINITY, Vec3::NEG_INFINITY);
        let (low, high) = boxes.fold(start, |(l, h), [low, high]| (l.min(low), h.max(high)));
        if low.x <= high.x {
            return (low.as_dvec3(), high.as_dvec3());
        }
    }
    (whole.low.get(), whole.high.get())
}

/// Where the camera of a view is.
pub fn aim(view: &View, structures: &Structures, whole: &Extent) -> Aim {
    match view {
        View::Around { of, from, aside_degrees, above_degrees, fill } => {
            let (low, high) = extent_of(of, structures, whole);
            let (centre, half) = ((low + high) * 0.5, (high - low) * 0.5);
            let mut side = body_direction(*from);
            if side.y.abs() > 0.9 {
                // Straight from above or below the view would have no upright; a hair to the front gives it one.
                side = (side + DVec3::Z * 0.02).normalize();
            }
            let side = DQuat::from_rotation_y(aside_degrees.to_radians()) * side;
            let across = DVec3::Y.cross(side).normalize_or(DVec3::X);
            let side = DQuat::from_axis_angle(across, -above_degrees.to_radians()) * side;
            let up = side.cross(across).normalize_or(DVec3::Y);
            let slope = fill * (VERTICAL_FOV_DEGREES.to_radians() * 0.5).tan();
            let distance = fitting_distance(half, [across, up, side], slope);
            Aim { centre: centre.into(), half, eye: (centre + side * distance).into(), look_at: centre.into() }
        }
        View::Along { of, towards, from, to } => {
            let (low, high) = extent_of(of, structures, whole);
            let (centre, half) = ((low + high) * 0.5, (high - low) * 0.5);
            let way = body_direction(*towards);
            let picked = of.iter().find(|p| exists(p, structures)).unwrap_or(&Pick::Body);
            let shape = structures.iter().find(|(info, _)| meant(picked, &info.name, &info.group));
            let middle_at = |share: f64| {
                let plane = centre + way * (half.dot(way.abs()) * (2.0 * share - 1.0));
                shape.and_then(|(_, shape)| inside::middle_of_section(shape, plane, way)).unwrap_or(plane)
            };
            let (eye, look_at) = (middle_at(*from), middle_at(*to));
            Aim { centre: eye.into(), half, eye: eye.into(), look_at: look_at.into() }
        }
        View::Inside { of, towards } => {
            let (low, high) = extent_of(of, structures, whole);
            let (centre, half) = ((low + high) * 0.5, (high - low) * 0.5);
            let wanted = body_direction(*towards);
            let picked = of.iter().find(|p| exists(p, structures)).unwrap_or(&Pick::Body);
            let shapes = structures.iter().filter(|(info, _)| meant(picked, &info.name, &info.group));
            let best = shapes
                .filter_map(|(_, shape)| inside::viewpoint(shape, wanted))
                .max_by(|a, b| a.room_m.total_cmp(&b.room_m));
            let (eye, ahead) = best.map_or((centre, wanted), |v| (v.eye, v.ahead));
            // Magnified about the eye, what is near stays near.
            Aim { centre: eye.into(), half, eye: eye.into(), look_at: (eye + ahead).into() }
        }
    }
}

/// Pictures are at least this much wider than high.
const LEAST_ASPECT: f64 = 4.0 / 3.0;

/// How far from the middle of a box an eye must be so that the whole box lies within `slope` of the line of sight; `axes` are
/// the picture's right and up, and the way to the eye.
fn fitting_distance(half: DVec3, [across, up, side]: [DVec3; 3], slope: f64) -> f64 {
    let corner = |n: u32| {
        let sign = |bit: u32| if n & bit == 0 { -1.0 } else { 1.0 };
        half * DVec3::new(sign(1), sign(2), sign(4))
    };
    let needed = |c: DVec3| c.dot(side) + (c.dot(up).abs()).max(c.dot(across).abs() / LEAST_ASPECT) / slope;
    (0..8).map(|n| needed(corner(n))).fold(0.0, f64::max)
}
