//! The four valves of the heart, closed: plates 3 mm thick at their rings, thicker than leaflets so that a grid holds them.
//!
//! Diameters of the rings after the circumferences of Kitzman et al. (Mayo Clin Proc 1988; 63: 137), rounded: aortic 24 mm,
//! pulmonary 25 mm, mitral 34 mm where the aortic root does not flatten it, tricuspid 37 mm.

use glam::{Vec3, vec3};

use super::heart::{AXIS, chambers, mitral_center, place_together};
use super::{Model, vessels};
use crate::options::Person;
use crate::sdf::{Form, half_space, intersection, offset, rod, without};
use crate::tissue::Tissue;

/// Half the thickness of a valve in mm.
const HALF_MM: f32 = 1.5;

/// Wall in mm that is left between the left ventricle and the pulmonary trunk, whose lower end is muscle too.
const WALL_MM: f32 = 4.0;

/// A disc.
fn disc(center: Vec3, normal: Vec3, radius: f32) -> Form {
    let normal = normal.normalize_or(Vec3::Z) * HALF_MM;
    let sides = [center + normal, center - normal];
    let reach = normal * (radius / HALF_MM);
    let column = rod(center - reach, radius, center + reach, radius);
    intersection(vec![column, half_space(sides[0], normal), half_space(sides[1], -normal)], 0.0)
}

/// Paints the outflow of both ventricles up to the valves, then the valves.
pub(super) fn paint(model: &mut Model, person: &Person) {
    let c = chambers();
    let place = |form: &Form| place_together(person, form);
    let (aortic, aortic_up) = (vec3(12.5, -21.0, 350.0), vec3(-0.6, -0.45, 0.66));
    let (pulmonary, pulmonary_up) = (vec3(22.0, -50.5, 358.0), vec3(0.0, 0.42, 0.91));
    let aorta = vessels::aorta();
    let below = |vessel: &Form, at: Vec3, up: Vec3| intersection(vec![vessel.clone(), half_space(at, up)], 0.0);
    // What the vessels' round ends take from the ventricles is outflow tract.
    let near_root = rod(aortic, 16.0, aortic + AXIS * 12.0, 16.0);
    let root = intersection(vec![below(&aorta, aortic, aortic_up), near_root], 0.0);
    model.paint("heart_myocardium", Tissue::MYOCARDIUM, place(&root));
    model.paint("heart_ventricle_left", Tissue::HEART_BLOOD, place(&rod(aortic, 11.5, aortic + AXIS * 22.0, 12.0)));
    let trunk = vessels::pulmonary_trunk();
    model.paint("heart_ventricle_right", Tissue::HEART_BLOOD, place(&below(&trunk, pulmonary, pulmonary_up)));
    // A large heart reaches into the pulmonary trunk, which gives way to the wall of its left ventricle.
    let left = place(&c.left_ventricle);
    let wall = intersection(vec![offset(&left, WALL_MM), trunk.clone()], 0.0);
    model.paint("heart_myocardium", Tissue::MYOCARDIUM, wall);
    model.paint("heart_ventricle_left", Tissue::HEART_BLOOD, intersection(vec![left, trunk], 0.0));
    // The aorta again above its valve, which the outflow has covered.
    let above = intersection(vec![aorta.clone(), half_space(aortic, -aortic_up)], 0.0);
    model.paint("aorta", Tissue::ARTERY, above);
    let flattened = without(disc(mitral_center(), AXIS, 18.0), vec![offset(&aorta, -1.0)], 0.0);
    model.paint("heart_valve_mitral", Tissue::VALVE, place(&flattened));
    model.paint("heart_valve_aortic", Tissue::VALVE, place(&disc(aortic, aortic_up, 12.5)));
    model.paint("heart_valve_pulmonary", Tissue::VALVE, place(&disc(pulmonary, pulmonary_up, 12.5)));
    // The tricuspid valve follows the bulge of the right atrium.
    let shell = without(offset(&c.right_atrium, HALF_MM), vec![offset(&c.right_atrium, -HALF_MM)], 0.0);
    let hinge = vec3(-4.4, -37.8, 321.5);
    let way = vec3(0.91, -0.4, -0.13) * 14.0;
    let valve = intersection(vec![shell, rod(hinge - way, 18.5, hinge + way, 18.5)], 0.0);
    model.paint("heart_valve_tricuspid", Tissue::VALVE, place(&valve));
}
