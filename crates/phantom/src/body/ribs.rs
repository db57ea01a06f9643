//! Ribs, costal cartilages and sternum.
//!
//! Each rib leaves its vertebra at the upper rim of the body, crosses the transverse process and then runs on the surface of
//! the cage, falling towards the front; slopes and lengths after Gayzik et al. (J Biomech 2008; 41: 1545) and
//! Holcombe et al. (J Anat 2017; 231: 229).

use std::f32::consts::PI;
use std::sync::Arc;

use glam::{Vec3, vec3};

use super::spine::transverse_tip;
use super::{Model, Side, Spine, SpineLevel};
use crate::sdf::{Form, Loft, Node, Shape, Tube, union};
use crate::spline::curve;
use crate::tissue::Tissue;

/// By rib: degrees from the front at which bone ends, and the fall in mm from the head to there.
const ENDS: [(f32, f32); 12] = [
    (38.0, 46.0),
    (34.0, 58.0),
    (34.0, 70.0),
    (36.0, 82.0),
    (38.0, 92.0),
    (43.0, 102.0),
    (49.0, 112.0),
    (57.0, 118.0),
    (65.0, 122.0),
    (74.0, 122.0),
    (100.0, 88.0),
    (128.0, 52.0),
];

/// Heights at which the first seven cartilages reach the sternum.
const STERNAL: [f32; 7] = [419.0, 386.0, 362.0, 341.0, 322.0, 305.0, 291.0];

fn nodes(points: &[Vec3], cage: &Loft, thin: f32, wide: f32, flat: f32) -> Vec<Node> {
    let turn = |i: usize| {
        let p = points[i];
        let (before, after) = (points[i.saturating_sub(1)], points[(i + 1).min(points.len() - 1)]);
        let way = (after - before).normalize_or(Vec3::X);
        let h = 2.0;
        let out = vec3(
            cage.distance(p + Vec3::X * h) - cage.distance(p - Vec3::X * h),
            cage.distance(p + Vec3::Y * h) - cage.distance(p - Vec3::Y * h),
            cage.distance(p + Vec3::Z * h) - cage.distance(p - Vec3::Z * h),
        )
        .normalize_or(Vec3::Y)
        .lerp(vec3(0.0, -0.35, 1.0).normalize(), flat);
        (out - way * out.dot(way)).normalize_or(Vec3::Y)
    };
    (0..points.len()).map(|i| Node { at: points[i], normal: turn(i), along: thin, across: wide }).collect()
}

/// The way of a rib from its head to its cartilage.
fn way(n: usize, l: &SpineLevel, side: Side, cage: &Loft) -> Vec<Vec3> {
    let (end, fall) = ENDS[n - 1];
    let head = l.at(side, l.width / 2.0 + 1.5, l.depth * 0.34, l.height * 0.40);
    let tip = transverse_tip(l, side);
    let tubercle = tip + l.axes * vec3(side.sign() * 1.5, -7.5, 2.0);
    let mut stations = vec![(head, 0.0)];
    if n <= 10 {
        stations.push((tubercle, 0.0));
    }
    // The rib is on the cage from its angle on, which lies farther out the lower the rib.
    let angle: f32 = if n == 1 { 128.0 } else { 150.0 - 0.9 * n as f32 };
    let steps = 16;
    for s in 0..=steps {
        let degrees = angle + (end - angle) * s as f32 / steps as f32;
        let t = ((180.0 - degrees) / (180.0 - end)).powf(1.12);
        let z = head.z - fall * t;
        stations.push((cage.surface(side.sign() * degrees * PI / 180.0, z), 0.0));
    }
    curve(&stations, 7.0).into_iter().map(|(p, _)| p).collect()
}

pub(super) fn paint(model: &mut Model, spine: &Spine, cage: &Loft) {
    let mut ends = Vec::new();
    let mut bones = Vec::new();
    for (n, level) in spine.thoracic() {
        for side in Side::BOTH {
            let points = way(n, level, side, cage);
            let (wide, flat) = match n {
                1 => (7.5, 0.9),
                2 => (6.5, 0.5),
                11 | 12 => (5.2, 0.0),
                _ => (6.6, 0.0),
            };
            if let Some(&last) = points.last() {
                ends.push((n, side, last));
            }
            let mut nodes = nodes(&points, cage, 3.5, wide, flat);
            // Neck and floating tips are slender.
            let count = nodes.len();
            for (i, node) in nodes.iter_mut().enumerate() {
                let head = (i as f32 / 6.0).min(1.0);
                let tip = if n > 10 { ((count - i) as f32 / 8.0).min(1.0) } else { 1.0 };
                node.across *= 0.72 + 0.28 * head.min(tip);
                node.along *= 0.8 + 0.2 * tip;
            }
            bones.push((format!("rib_{}_{n}", side.name()), Arc::new(Shape::Tube(Tube::oval(&nodes)))));
        }
    }
    model.paint("costal_cartilages", Tissue::CARTILAGE, cartilages(&ends, cage));
    model.paint("sternum", Tissue::FLAT_BONE, sternum());
    for (name, form) in bones {
        model.paint(&name, Tissue::FLAT_BONE, form);
    }
}

/// Half width of the sternum at a height.
fn sternal_edge(z: f32) -> f32 {
    if z > 400.0 {
        24.0
    } else if z > 370.0 {
        17.0
    } else {
        17.0 + (370.0 - z) * 0.02
    }
}

fn cartilages(ends: &[(usize, Side, Vec3)], cage: &Loft) -> Form {
    let on_cage = |p: Vec3| cage.surface(p.x.atan2(-(p.y - 8.0)), p.z);
    let mut forms: Vec<Form> = Vec::new();
    for &(n, side, end) in ends.iter().filter(|e| e.0 <= 10) {
        let target = match STERNAL.get(n - 1) {
            Some(&z) => Some(cage.surface(side.sign() * (sternal_edge(z) - 2.0).atan2(92.0), z)),
            // The false ribs lean on the cartilage above.
            None => ends.iter().find(|e| e.0 == n - 1 && e.1 == side).map(|above| {
                let share = if n == 8 { 0.42 } else { 0.30 };
                on_cage(above.2.lerp(join(above.0, side, cage), share))
            }),
        };
        let Some(target) = target else { continue };
        let points: Vec<Vec3> = (0..=10)
            .map(|s| {
                let t = s as f32 / 10.0;
                // Lower cartilages first follow the rib downwards, then turn up.
                let sag = if n >= 5 { 9.0 * (1.0 - t) * t * 4.0 * ((n as f32 - 4.0) / 4.0).min(1.0) } else { 0.0 };
                let p = end.lerp(target, t) - vec3(0.0, 0.0, sag * 0.5);
                if n == 1 { end.lerp(target, t) } else { on_cage(p) }
            })
            .collect();
        let wide = if n == 1 { 6.5 } else { 5.6 };
        forms.push(Arc::new(Shape::Tube(Tube::oval(&nodes(&points, cage, 3.9, wide, 0.0)))));
    }
    union(forms, 2.0)
}

/// Where the cartilage of a rib goes to, for its lower neighbour.
fn join(n: usize, side: Side, cage: &Loft) -> Vec3 {
    let z = STERNAL[n.min(7) - 1] - 26.0 * (n as f32 - 7.0).max(0.0);
    let x = 16.0 + 26.0 * (n as f32 - 7.0).max(0.0);
    cage.surface(side.sign() * x.atan2(96.0), z)
}

fn sternum() -> Form {
    let flat = |y: f32, z: f32, across: f32, along: f32| Node {
        at: vec3(0.0, y, z),
        normal: vec3(0.0, -0.95, -0.3).normalize(),
        along,
        across,
    };
    let manubrium = [
        flat(-53.0, 424.0, 29.0, 6.5),
        flat(-64.0, 411.0, 27.0, 6.2),
        flat(-73.0, 398.0, 20.0, 6.0),
        flat(-79.0, 387.0, 16.5, 6.0),
    ];
    let body = [
        flat(-80.0, 385.0, 16.5, 6.0),
        flat(-86.0, 366.0, 16.5, 5.8),
        flat(-91.0, 340.0, 18.0, 5.6),
        flat(-96.0, 312.0, 19.0, 5.4),
        flat(-98.5, 292.0, 15.0, 5.0),
    ];
    let xiphoid = [flat(-98.5, 288.0, 9.0, 4.0), flat(-97.0, 270.0, 7.0, 3.4), flat(-93.0, 254.0, 4.0, 2.8)];
    let parts: Vec<Form> =
        [manubrium.as_slice(), &body, &xiphoid].map(|p| -> Form { Arc::new(Shape::Tube(Tube::oval(p))) }).to_vec();
    union(parts, 4.0)
}
