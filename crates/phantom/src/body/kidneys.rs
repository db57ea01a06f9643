//! Kidneys and ureters.
//!
//! A kidney of 310 g for both (ICRP Publication 89, table 2.8), about 11 cm long; its cortex makes up about 70 % of the
//! parenchyma (Wang et al., Kidney Int 2014; 85: 677, CT of 1344 donors), the rest are pyramids whose papillae point to the
//! sinus (eight to eighteen, Standring, Gray's Anatomy, 41st ed., 2016).

use std::sync::Arc;

use glam::{Mat3, Vec3, vec3};

use super::thorax::Cavities;
use super::vessels::vessel;
use super::{Model, Side};
use crate::options::Person;
use crate::sdf::{Form, Shape, axes_along, ball, ellipsoid_along, intersection, offset, rod, union, without};
use crate::tissue::Tissue;

/// Depth in mm of the cortex over the base of a pyramid.
const CORTEX_MM: f32 = 4.6;
/// Radius in mm of a pyramid at its base and at its papilla.
const PYRAMID_MM: [f32; 2] = [12.6, 3.6];
/// Directions of the pyramids from the middle of the sinus: medial, posterior, up.
const PYRAMIDS: [Vec3; 11] = [
    vec3(-0.45, 0.1, 2.0),
    vec3(-0.85, 0.0, 1.0),
    vec3(-0.2, 0.85, 0.85),
    vec3(-0.2, -0.85, 0.85),
    vec3(-1.0, 0.0, 0.0),
    vec3(-0.3, 1.0, 0.0),
    vec3(-0.3, -1.0, 0.0),
    vec3(-0.85, 0.0, -1.0),
    vec3(-0.2, 0.85, -0.85),
    vec3(-0.2, -0.85, -0.85),
    vec3(-0.45, -0.1, -2.0),
];

/// A kidney's middle, long axis, and lateral direction.
fn frame(side: Side) -> (Vec3, Mat3) {
    let center = match side {
        Side::Left => vec3(61.0, 34.0, 176.0),
        Side::Right => vec3(-61.0, 34.0, 160.0),
    };
    // Upper pole medial and posterior; hilum forward and medial.
    (center, axes_along(side.at(-0.24, 0.14, 1.0), side.at(0.45, 0.9, 0.0)))
}

/// Paints one kidney in its fat; `neighbour` paints what lies in the fat too.
pub(super) fn paint(
    model: &mut Model,
    person: &Person,
    cavities: &Cavities,
    side: Side,
    neighbour: impl FnOnce(&mut Model),
) {
    let (center, axes) = frame(side);
    let medial = -side.sign();
    let named = |part: &str| format!("{part}_{}", side.name());
    let (scale, shift) = person.organ(&named("kidney"), 1.2);
    let put = |form: Form| -> Form { Arc::new(Shape::Placed { form, pivot: center, shift, scale }) };
    let toward = |x: f32, y: f32, z: f32| axes * vec3(medial * x, y, z);
    let local = |x: f32, y: f32, z: f32| center + toward(x, y, z);
    let bean = ellipsoid_along(center, axes, vec3(30.5, 25.5, 56.0));
    let bean = without(bean, vec![ball(local(43.0, -6.0, 0.0), 24.0)], 16.0);
    let capsule = ellipsoid_along(center, axes, vec3(40.0, 34.0, 66.0));
    let capsule = vec![put(capsule), cavities.below_diaphragm.clone(), offset(&cavities.trunk, -2.2)];
    model.paint("torso_fat", Tissue::FAT, intersection(capsule, 0.0));
    neighbour(model);
    model.paint(&named("kidney_cortex"), Tissue::CORTEX, put(bean.clone()));

    let sinus_middle = local(15.0, -3.0, 0.0);
    let sinus = ellipsoid_along(sinus_middle, axes, vec3(15.0, 8.5, 24.0));
    let mut pyramids = Vec::new();
    let mut calyces = Vec::new();
    for way in PYRAMIDS {
        let way = toward(way.x, way.y, way.z).normalize();
        let last_within = |solid: &Form, depth: f32| {
            let steps = (0..160).map(|s| sinus_middle + way * (s as f32 * 0.5));
            steps.rev().find(|p| solid.distance(*p) < -depth).unwrap_or(sinus_middle)
        };
        let papilla = last_within(&sinus, 1.0);
        let base = last_within(&bean, CORTEX_MM + 3.0);
        pyramids.push(rod(papilla, PYRAMID_MM[1], base, PYRAMID_MM[0]));
        calyces.push(rod(sinus_middle.lerp(papilla, 0.35), 1.6, sinus_middle.lerp(papilla, 0.9), 2.4));
    }
    let pyramids = intersection(vec![union(pyramids, 0.0), offset(&bean, -CORTEX_MM)], 2.0);
    model.paint(&named("kidney_medulla"), Tissue::MEDULLA, put(pyramids));
    model.paint("torso_fat", Tissue::FAT, put(sinus));
    calyces.push(ellipsoid_along(local(17.0, -2.0, -3.0), axes, vec3(11.0, 4.5, 9.0)));
    calyces.push(rod(local(14.0, -3.0, -12.0), 2.6, local(14.0, -3.0, 12.0), 2.6));
    let outlet = local(24.0, -3.0, -6.0);
    let ureter = vessel(&[
        (local(20.0, -3.0, -5.0) + shift, 4.0),
        (side.at(38.0, 16.0, 134.0), 2.4),
        (side.at(35.0, -6.0, 90.0), 2.2),
        (side.at(36.0, -13.0, 40.0), 2.2),
        (side.at(38.0, -11.0, 2.0), 2.2),
        (side.at(30.0, 8.0, -26.0), 2.2),
        (side.at(34.0, 30.0, -58.0), 2.2),
        (side.at(36.0, 26.0, -95.0), 2.2),
        (side.at(20.0, 4.0, -108.0), 2.2),
    ]);
    model.paint(&named("ureter"), Tissue::URINE, ureter);
    calyces.push(ball(outlet, 4.0));
    model.paint(&named("renal_pelvis"), Tissue::URINE, put(union(calyces, 2.0)));
}
