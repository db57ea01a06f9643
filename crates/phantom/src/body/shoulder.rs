//! Clavicles, scapulae and the proximal humeri.

use std::sync::Arc;

use glam::{Vec3, vec3};

use super::{Model, Side};
use crate::sdf::{Form, Node, Shape, Tube, axes_along, ball, ellipsoid, ellipsoid_along, plate, rod, union, without};
use crate::spline::curve;
use crate::tissue::Tissue;

/// Middle of the humeral head on the left; its diameter is 48 mm.
const HEAD: Vec3 = vec3(169.0, 36.0, 426.0);

fn clavicle(side: Side) -> Form {
    let points = curve(
        &[
            (side.at(22.0, -54.0, 432.0), 9.0),
            (side.at(35.0, -57.0, 436.0), 7.5),
            (side.at(62.0, -52.0, 441.0), 6.3),
            (side.at(96.0, -30.0, 447.0), 5.8),
            (side.at(128.0, -2.0, 455.0), 6.2),
            (side.at(150.0, 16.0, 460.0), 7.5),
        ],
        5.0,
    );
    let nodes: Vec<Node> = points
        .iter()
        .enumerate()
        .map(|(i, &(at, r))| {
            // Round in the middle, flat towards the shoulder.
            let flat = (i as f32 / points.len() as f32 - 0.55).max(0.0) * 0.9;
            Node { at, normal: Vec3::Z, along: r * (1.0 - flat), across: r * (1.0 + 0.4 * flat) }
        })
        .collect();
    Arc::new(Shape::Tube(Tube::oval(&nodes)))
}

fn scapula(side: Side) -> Form {
    let at = |x: f32, y: f32, z: f32| side.at(x, y, z);
    let superior = at(72.0, 88.0, 446.0);
    let root = at(64.0, 101.0, 418.0);
    let medial = at(68.0, 106.0, 380.0);
    let inferior = at(86.0, 103.0, 334.0);
    let lateral = at(112.0, 93.0, 372.0);
    let neck = at(138.0, 56.0, 420.0);
    let notch = at(118.0, 62.0, 440.0);
    let middle = at(96.0, 98.0, 402.0);
    let fan = [superior, notch, neck, lateral, inferior, medial, root];
    let mut bone: Vec<Form> = (0..fan.len()).map(|i| plate(middle, fan[i], fan[(i + 1) % fan.len()], 2.0)).collect();
    // The lateral border and the tip are thick.
    bone.push(rod(neck, 6.0, lateral, 4.0));
    bone.push(rod(lateral, 4.0, inferior, 4.0));
    bone.push(rod(inferior, 4.0, medial, 2.6));
    let glenoid = ellipsoid_along(
        at(144.0, 45.0, 425.0),
        axes_along(at(0.0, 0.0, 1.0), at(0.4, 0.9, 0.0)),
        vec3(6.0, 13.0, 18.0),
    );
    bone.push(glenoid);
    bone.push(rod(neck, 9.0, at(143.0, 46.0, 426.0), 10.0));
    let (ridge, corner, acromion) = (at(102.0, 105.0, 434.0), at(146.0, 80.0, 450.0), at(174.0, 50.0, 460.0));
    bone.push(plate(root, ridge, middle, 2.2));
    bone.push(plate(ridge, middle, at(124.0, 74.0, 432.0), 2.2));
    bone.push(plate(ridge, at(124.0, 74.0, 432.0), corner, 2.4));
    bone.push(rod(root, 2.8, ridge, 4.0));
    bone.push(rod(ridge, 4.0, corner, 5.5));
    bone.push(rod(corner, 6.0, acromion, 6.5));
    bone.push(rod(acromion, 6.5, at(166.0, 26.0, 461.0), 6.0));
    let coracoid =
        curve(&[(at(134.0, 46.0, 438.0), 7.0), (at(132.0, 28.0, 450.0), 6.5), (at(143.0, 6.0, 446.0), 5.5)], 5.0);
    bone.push(Arc::new(Shape::Tube(Tube::round(&coracoid))));
    let socket = ball(at(HEAD.x, HEAD.y, HEAD.z), 26.5);
    without(union(bone, 4.5), vec![socket], 2.0)
}

fn humerus(side: Side) -> Form {
    let head = side.at(HEAD.x, HEAD.y, HEAD.z);
    let neck = side.at(182.0, 32.0, 416.0);
    let shaft = curve(&[(neck, 15.0), (side.at(187.0, 29.0, 398.0), 12.5), (side.at(190.0, 27.0, 378.0), 11.5)], 6.0);
    union(
        vec![
            ball(head, 24.0),
            rod(head, 20.0, neck, 17.0),
            ellipsoid(side.at(190.0, 38.0, 428.0), vec3(9.0, 14.0, 15.0)),
            ellipsoid(side.at(182.0, 14.0, 424.0), vec3(8.0, 8.0, 12.0)),
            Arc::new(Shape::Tube(Tube::round(&shaft))),
        ],
        6.0,
    )
}

pub(super) fn paint(model: &mut Model) {
    for side in Side::BOTH {
        model.paint(&format!("clavicula_{}", side.name()), Tissue::FLAT_BONE, clavicle(side));
        model.paint(&format!("scapula_{}", side.name()), Tissue::FLAT_BONE, scapula(side));
        model.paint(&format!("humerus_{}", side.name()), Tissue::LONG_BONE, humerus(side));
    }
}
