//! Hip bones and proximal femora.
//!
//! Spans after Tague (Am J Phys Anthropol 1992; 88: 1) and Boulay et al. (J Anat 2006; 208: 21): hip joints 176 mm apart,
//! anterior superior spines 245 mm, femoral head 48 mm, neck-shaft angle 127°.

use std::sync::Arc;

use glam::{Vec3, vec3};

use super::{Model, Side};
use crate::options::{Person, Sex};
use crate::sdf::{Form, Shape, Tube, axes_along, ball, ellipsoid, ellipsoid_along, plate, rod, union, without};
use crate::spline::curve;
use crate::tissue::Tissue;

/// Middle of the left femoral head.
const HIP: Vec3 = vec3(88.0, 6.0, -104.0);
const HEAD_RADIUS_MM: f32 = 24.0;

fn hip(side: Side, sex: Sex) -> Form {
    let at = |x: f32, y: f32, z: f32| side.at(x, y, z);
    let anterior_spine = at(122.0, -46.0, -14.0);
    let tubercle = at(139.0, -16.0, 26.0);
    let crest = at(134.0, 20.0, 44.0);
    let back_crest = at(100.0, 60.0, 34.0);
    let posterior_spine = at(50.0, 94.0, -14.0);
    let lower_spine = at(54.0, 86.0, -42.0);
    let joint = at(62.0, 48.0, -26.0);
    let notch = at(72.0, 56.0, -66.0);
    let line = at(76.0, 22.0, -52.0);
    let lower_anterior = at(106.0, -32.0, -58.0);
    let roof = at(92.0, 4.0, -72.0);
    let fossa = at(114.0, 12.0, -2.0);
    let rim = [anterior_spine, tubercle, crest, back_crest, joint, line, roof, lower_anterior];
    let mut bone: Vec<Form> = (0..rim.len())
        .map(|i| -> Form {
            let corners = [fossa, rim[i], rim[(i + 1) % rim.len()]];
            Arc::new(Shape::Plate { corners, radii: [2.6, 4.4, 4.4] })
        })
        .collect();
    for (a, b, c, r) in [
        (back_crest, joint, posterior_spine, 5.5),
        (joint, posterior_spine, lower_spine, 6.0),
        (joint, lower_spine, notch, 6.0),
        (joint, line, notch, 6.5),
        (line, notch, roof, 7.5),
    ] {
        bone.push(plate(a, b, c, r));
    }
    let edge =
        curve(&[(anterior_spine, 6.5), (tubercle, 7.0), (crest, 5.5), (back_crest, 6.5), (posterior_spine, 7.0)], 8.0);
    bone.push(Arc::new(Shape::Tube(Tube::round(&edge))));
    bone.push(rod(anterior_spine, 6.0, lower_anterior, 7.5));
    bone.push(rod(lower_anterior, 8.0, roof, 13.0));
    let center = at(HIP.x, HIP.y, HIP.z);
    bone.push(ball(center, HEAD_RADIUS_MM + 9.5));
    // Pubis: upper ramus, body, lower ramus; ischium: body, tuberosity, ramus, spine.
    let (pubis, pubis_low) = (at(11.0, -44.0, -108.0), at(11.0, -38.0, -134.0));
    // The lower rami meet at 67° in men and 90° in women.
    let (ramus, tuber) = match sex {
        Sex::Male => (at(27.0, -10.0, -157.0), at(61.0, 32.0, -157.0)),
        Sex::Female => (at(34.0, -8.0, -156.0), at(66.0, 32.0, -155.0)),
    };
    let ischium = at(74.0, 34.0, -122.0);
    bone.push(rod(at(66.0, -18.0, -96.0), 11.0, at(34.0, -40.0, -104.0), 7.0));
    bone.push(rod(at(34.0, -40.0, -104.0), 7.0, pubis, 7.5));
    bone.push(ellipsoid(at(10.5, -42.0, -119.0), vec3(8.5, 8.0, 19.0)));
    bone.push(rod(pubis_low, 6.0, ramus, 6.0));
    bone.push(rod(ramus, 6.0, tuber, 9.0));
    bone.push(rod(ischium, 14.0, tuber, 14.5));
    bone.push(rod(at(74.0, 40.0, -104.0), 9.0, at(60.0, 50.0, -108.0), 4.2));
    bone.push(rod(ischium, 14.0, roof, 15.0));
    let socket = vec![
        ball(center, HEAD_RADIUS_MM + 2.2),
        // The socket opens outwards, forwards and down.
        rod(center, HEAD_RADIUS_MM + 2.2, at(HIP.x + 34.0, HIP.y - 13.0, HIP.z - 24.0), 40.0),
    ];
    without(union(bone, 7.0), socket, 2.5)
}

fn femur(side: Side) -> Form {
    let head = side.at(HIP.x, HIP.y, HIP.z);
    let neck = side.at(126.0, 14.0, -128.0);
    let shaft = curve(
        &[
            (side.at(134.0, 17.0, -134.0), 19.5),
            (side.at(135.0, 16.0, -158.0), 17.5),
            (side.at(133.0, 12.0, -190.0), 15.2),
            (side.at(128.0, 6.0, -270.0), 14.5),
        ],
        8.0,
    );
    union(
        vec![
            ball(head, HEAD_RADIUS_MM),
            rod(head, 15.5, neck, 17.5),
            rod(neck, 17.0, side.at(134.0, 17.0, -134.0), 19.0),
            ellipsoid(side.at(144.0, 26.0, -113.0), vec3(11.5, 17.0, 19.0)),
            ellipsoid(side.at(121.0, 30.0, -158.0), vec3(10.0, 9.0, 13.0)),
            Arc::new(Shape::Tube(Tube::round(&shaft))),
        ],
        7.0,
    )
}

/// Prostate, or uterus with its cervix behind and over the bladder.
///
/// Volumes: prostate 17 g, uterus 80 g of the reference adults of ICRP Publication 89 (2002), table 2.8.
pub(super) fn paint_genital(model: &mut Model, person: &Person) {
    match person.physique().sex {
        Sex::Male => {
            model.paint("prostate", Tissue::PROSTATE, ellipsoid(vec3(0.0, -14.0, -127.0), vec3(21.5, 14.5, 13.5)));
        }
        Sex::Female => {
            let (fundus, isthmus) = (vec3(0.0, 6.0, -50.0), vec3(0.0, 22.0, -88.0));
            let body = ellipsoid_along(
                fundus.lerp(isthmus, 0.4),
                axes_along(fundus - isthmus, Vec3::Y),
                vec3(24.0, 18.0, 30.0),
            );
            let cervix = rod(isthmus, 11.0, vec3(0.0, 20.0, -112.0), 12.5);
            model.paint("uterus", Tissue::UTERUS, union(vec![body, cervix], 8.0));
        }
    }
}

pub(super) fn paint(model: &mut Model, person: &Person) {
    for side in Side::BOTH {
        model.paint(&format!("hip_{}", side.name()), Tissue::PELVIS, hip(side, person.physique().sex));
        model.paint(&format!("femur_{}", side.name()), Tissue::LONG_BONE, femur(side));
    }
    model.paint("pubic_symphysis", Tissue::CARTILAGE, ellipsoid(vec3(0.0, -42.0, -119.0), vec3(3.6, 8.0, 18.0)));
}
