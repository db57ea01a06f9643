//! The heart: four chambers of blood in their walls.
//!
//! In end-diastole, after the reference ranges of Kawel-Boehm et al. (J Cardiovasc Magn Reson 2020; 22: 87): left ventricle
//! 160 ml and 130 g, right ventricle 180 ml, left atrium 75 ml, right atrium 90 ml at their greatest; the whole with its
//! blood as the 840 g of ICRP Publication 89. The left auricle has 5 ± 3 ml and is 30 mm long (Ernst et al., Anat Rec 1995; 242: 553).

use std::sync::Arc;

use glam::{Vec2, Vec3, vec2, vec3};

use super::{Model, vessels};
use crate::options::Person;
use crate::sdf::{
    Form, Shape, axes_along, ellipsoid, ellipsoid_along, half_space, intersection, offset, rod, union, without,
};
use crate::tissue::Tissue;

/// From the base to the apex.
pub(super) const AXIS: Vec3 = vec3(0.56, -0.54, -0.628);
/// Middle of the left ventricle's ellipsoid.
pub(super) const LEFT_CENTER: Vec3 = vec3(44.0, -28.0, 324.0);
/// Its half width and half length in mm.
pub(super) const LEFT_RADII: Vec2 = vec2(28.0, 48.0);
/// How far before its middle the mitral valve cuts it, in mm.
pub(super) const VALVE_MM: f32 = 36.0;

pub(super) struct Chambers {
    pub left_ventricle: Form,
    pub left_wall: Form,
    right_ventricle: Form,
    left_atrium: Form,
    pub right_atrium: Form,
}

pub(super) fn chambers() -> Chambers {
    let axes = axes_along(AXIS, Vec3::Y);
    // Open towards the mitral valve.
    let valve = half_space(mitral_center(), -AXIS);
    let left = |long: f32, short: f32| ellipsoid_along(LEFT_CENTER, axes, vec3(short, short, long));
    let left_ventricle = intersection(vec![left(LEFT_RADII.y, LEFT_RADII.x), valve.clone()], 4.0);
    let left_wall = intersection(vec![left(57.5, 37.0), offset(&valve, 4.0)], 8.0);
    let body = ellipsoid_along(vec3(14.0, -46.0, 319.0), axes, vec3(38.0, 35.0, 58.0));
    let outflow = rod(vec3(14.0, -54.0, 334.0), 19.0, vec3(22.0, -52.0, 356.0), 14.0);
    let right_ventricle = union(
        vec![intersection(vec![body, half_space(vec3(-16.0, -34.0, 330.0), vec3(-0.85, 0.45, 0.25))], 8.0), outflow],
        8.0,
    );
    let left_atrium = ellipsoid(vec3(6.0, -7.0, 348.0), vec3(39.0, 22.0, 26.0));
    let right_atrium = union(
        vec![
            ellipsoid(vec3(-29.0, -27.0, 325.0), vec3(26.5, 30.0, 37.0)),
            rod(vec3(-22.0, -42.0, 344.0), 9.0, vec3(-2.0, -60.0, 352.0), 6.0),
        ],
        8.0,
    );
    Chambers { left_ventricle, left_wall, right_ventricle, left_atrium, right_atrium }
}

/// Middle of the opening between left atrium and ventricle.
pub(super) fn mitral_center() -> Vec3 {
    LEFT_CENTER - AXIS * VALVE_MM
}

/// From the left atrium's roof, over the groove of the circumflex artery, forward to the left of the pulmonary trunk.
const LEFT_AURICLE: [(Vec3, f32); 6] = [
    (vec3(24.0, -12.0, 362.0), 8.0),
    (vec3(36.0, -15.0, 371.0), 7.5),
    (vec3(47.0, -19.0, 374.0), 7.5),
    (vec3(53.0, -29.0, 375.0), 7.0),
    (vec3(50.0, -40.0, 375.0), 5.5),
    (vec3(45.0, -47.0, 374.0), 4.0),
];
/// Between the left auricle's blood and that of its neighbours, in mm; its own wall is thinner than a voxel and not drawn.
const AURICLE_GAP_MM: f32 = 1.7;

/// Where the left auricle lies, its neighbours not minded.
pub(super) fn auricle_course() -> Form {
    vessels::vessel(&LEFT_AURICLE)
}

/// Radius of what its neighbours always leave of its neck in mm.
const NECK_MM: f32 = 3.2;

/// The narrowest the left auricle's neck gets, on its way from the atrium, as a person has it.
fn auricle_neck(person: &Person) -> Form {
    place_together(person, &rod(vec3(26.0, -12.0, 362.0), NECK_MM, vec3(40.0, -17.0, 371.5), NECK_MM))
}

/// The left auricle as a person has it; it fills what its neighbours leave.
pub(super) fn left_auricle(person: &Person) -> Form {
    let c = chambers();
    let raw = without(auricle_course(), vec![offset(&c.left_wall, 2.5)], 1.5);
    let gap = |form: &Form| offset(form, AURICLE_GAP_MM);
    // The veins open into the atrium beside it.
    let atrium = place_together(person, &c.left_atrium);
    let others =
        vec![gap(&vessels::pulmonary_arteries()), without(gap(&vessels::pulmonary_veins()), vec![atrium], 0.0)];
    union(vec![without(place_together(person, &raw), others, 1.5), auricle_neck(person)], 2.0)
}

/// What the vessels beside it leave to the left auricle.
pub(super) fn beside_auricle(person: &Person, vessels: Form) -> Form {
    without(vessels, vec![offset(&auricle_neck(person), AURICLE_GAP_MM)], 0.5)
}

/// The heart with its walls, but for the left auricle, which lies on it.
pub(super) fn outline() -> Form {
    let c = chambers();
    union(
        vec![c.left_wall, offset(&c.right_ventricle, 4.0), offset(&c.left_atrium, 2.4), offset(&c.right_atrium, 2.6)],
        12.0,
    )
}

pub(super) fn paint(model: &mut Model, person: &Person) {
    let c = chambers();
    let heart = |form: &Form| place_together(person, form);
    model.paint("heart", Tissue::MYOCARDIUM, heart(&outline()));
    model.paint("heart_ventricle_right", Tissue::HEART_BLOOD, heart(&c.right_ventricle));
    model.paint("heart_myocardium", Tissue::MYOCARDIUM, heart(&c.left_wall));
    model.paint("heart_atrium_right", Tissue::HEART_BLOOD, heart(&c.right_atrium));
    model.paint("atrial_appendage_left", Tissue::HEART_BLOOD, left_auricle(person));
    model.paint("heart_atrium_left", Tissue::HEART_BLOOD, heart(&c.left_atrium));
    model.paint("heart_ventricle_left", Tissue::HEART_BLOOD, heart(&c.left_ventricle));
}

/// Every chamber moves as the whole does.
pub(super) fn place_together(person: &Person, form: &Form) -> Form {
    let (scale, shift) = person.organ("heart", 1.0);
    Arc::new(Shape::Placed { form: form.clone(), pivot: LEFT_CENTER, shift, scale })
}
