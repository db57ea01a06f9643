//! The coronary arteries in the grooves of the heart's outer surface, a right-dominant pair, and the greatest of their branches.
//!
//! Diameters of the lumen at the origins after Dodge et al. (Circulation 1992; 86: 232): left main 4.5 mm, left anterior
//! descending 3.7 mm, circumflex 3.4 mm, right 3.9 mm; none is drawn thinner than 3 mm, so that it holds on a grid.

use glam::{Vec3, vec3};

use super::heart::{outline, place_together};
use super::{Model, findings, vessels};
use crate::options::Person;
use crate::sdf::{Form, union};
use crate::spline::curve;
use crate::tissue::Tissue;

const fn at(x: f32, y: f32, z: f32, radius: f32) -> (Vec3, f32) {
    (vec3(x, y, z), radius)
}

/// Left main from the aortic root, between pulmonary trunk and left auricle.
const LEFT_MAIN: [(Vec3, f32); 4] = [
    at(17.0, -27.0, 361.0, 2.25),
    at(26.0, -30.0, 364.0, 2.25),
    at(33.0, -34.0, 363.0, 2.2),
    at(39.0, -41.0, 358.0, 2.1),
];
/// In the anterior interventricular groove to the apex.
const LEFT_DESCENDING: [(Vec3, f32); 6] = [
    at(39.0, -41.0, 358.0, 1.85),
    at(42.0, -54.0, 349.0, 1.85),
    at(47.0, -66.0, 334.0, 1.75),
    at(55.0, -75.0, 316.0, 1.65),
    at(64.0, -78.0, 299.0, 1.6),
    at(72.0, -74.0, 286.0, 1.6),
];
/// Round the left in the groove between atrium and ventricle, as far as the left lower bronchus.
const CIRCUMFLEX: [(Vec3, f32); 4] =
    [at(39.0, -41.0, 358.0, 1.7), at(52.0, -34.0, 358.0, 1.7), at(57.0, -18.0, 352.0, 1.65), at(52.0, 2.0, 338.0, 1.6)];
/// Between pulmonary trunk and right auricle, round the right to the crux.
const RIGHT: [(Vec3, f32); 8] = [
    at(-4.0, -38.0, 362.0, 1.95),
    at(-7.0, -56.0, 358.0, 1.95),
    at(-14.0, -66.0, 344.0, 1.95),
    at(-19.0, -66.0, 326.0, 1.9),
    at(-20.0, -58.0, 304.0, 1.85),
    at(-16.0, -42.0, 288.0, 1.75),
    at(-9.0, -22.0, 284.0, 1.7),
    at(0.0, -8.0, 292.0, 1.6),
];
/// The first diagonal branch, from where the proximal left anterior descending artery ends, over the left ventricle's front.
const DIAGONAL: [(Vec3, f32); 5] = [
    at(47.0, -65.0, 346.0, 1.55),
    at(59.0, -66.0, 338.0, 1.55),
    at(69.0, -65.0, 327.0, 1.5),
    at(77.0, -61.0, 314.0, 1.5),
    at(82.0, -57.0, 303.0, 1.5),
];
/// The first obtuse marginal branch of the circumflex artery, along the left ventricle's side.
const MARGINAL: [(Vec3, f32); 5] = [
    at(62.0, -20.0, 360.0, 1.55),
    at(72.0, -24.0, 348.0, 1.55),
    at(82.0, -28.0, 334.0, 1.5),
    at(89.0, -32.0, 318.0, 1.5),
    at(91.0, -38.0, 304.0, 1.5),
];
/// From the crux in the inferior interventricular groove towards the apex.
const POSTERIOR_DESCENDING: [(Vec3, f32); 6] = [
    at(0.0, -12.0, 295.0, 1.6),
    at(12.0, -22.0, 290.0, 1.6),
    at(24.0, -33.0, 284.0, 1.55),
    at(37.0, -45.0, 277.0, 1.5),
    at(50.0, -56.0, 272.0, 1.5),
    at(60.0, -64.0, 272.0, 1.5),
];

/// A course laid on a surface, its first `free` mm left as they are.
fn laid(stations: &[(Vec3, f32)], surface: &Form, free: f32) -> Vec<(Vec3, f32)> {
    let mut course = curve(stations, 3.0);
    let origin = course[0].0;
    for (p, radius) in course.iter_mut().filter(|(p, _)| p.distance(origin) >= free) {
        for _ in 0..8 {
            let slope = Vec3::AXES.map(|axis| surface.distance(*p + axis * 0.5) - surface.distance(*p - axis * 0.5));
            let off = *radius + 0.2 - surface.distance(*p);
            *p += Vec3::from_array(slope).normalize_or(Vec3::Z) * off.clamp(-3.0, 3.0);
        }
    }
    course
}

/// What the arteries lie on.
fn surface() -> Form {
    union(vec![outline(), vessels::pulmonary_trunk()], 2.0)
}

/// A plaque in the proximal left anterior descending artery and the lumen it leaves, `percent` of the diameter lost.
pub(super) fn narrowed(person: &Person, percent: f32) -> [Form; 2] {
    let course = laid(&LEFT_DESCENDING, &surface(), 0.0);
    findings::narrowed(&course, [8.0, 26.0], percent).map(|form| place_together(person, &form))
}

pub(super) fn paint(model: &mut Model, person: &Person) {
    let surface = surface();
    let place = |form: &Form| place_together(person, form);
    let main = laid(&LEFT_MAIN, &surface, 8.0);
    let from = |stem: &[(Vec3, f32)], stations: &[(Vec3, f32)]| {
        let mut course = laid(stations, &surface, 0.0);
        let first = course[0];
        let gap = |p: &(Vec3, f32)| p.0.distance(first.0);
        let root = stem.iter().min_by(|a, b| gap(a).total_cmp(&gap(b)));
        course.insert(0, (root.map_or(first.0, |r| r.0), first.1));
        course
    };
    let descending = from(&main, &LEFT_DESCENDING);
    let circumflex = from(&main, &CIRCUMFLEX);
    let branches = [from(&descending, &DIAGONAL), from(&circumflex, &MARGINAL)];
    let tree = |courses: &[Vec<(Vec3, f32)>]| union(courses.iter().map(|c| vessels::chain(c)).collect(), 1.0);
    let left = [&[main, descending, circumflex], branches.as_slice()].concat();
    model.paint("coronary_artery_left", Tissue::ARTERY, place(&tree(&left)));
    let right = laid(&RIGHT, &surface, 8.0);
    let descending = from(&right, &POSTERIOR_DESCENDING);
    model.paint("coronary_artery_right", Tissue::ARTERY, place(&tree(&[right, descending])));
}
