//! Muscles with a name of their own; the rest of the wall is one envelope, `skeletal_muscle`.

use std::sync::Arc;

use glam::{Vec3, vec3};

use super::{Model, Side, Spine};
use crate::sdf::{
    Form, Node, Shape, Tube, axes_along, ellipsoid_along, half_space, intersection, offset, union, without,
};
use crate::spline::curve;
use crate::tissue::Tissue;

fn oval(stations: &[(Vec3, f32, f32)], normal: Vec3) -> Form {
    let middle: Vec<(Vec3, f32)> = stations.iter().map(|&(p, along, _)| (p, along)).collect();
    let across: Vec<(Vec3, f32)> = stations.iter().map(|&(p, _, across)| (p, across)).collect();
    let nodes: Vec<Node> = curve(&middle, 10.0)
        .iter()
        .zip(curve(&across, 10.0))
        .map(|(&(at, along), (_, across))| Node { at, normal, along, across })
        .collect();
    Arc::new(Shape::Tube(Tube::oval(&nodes)))
}

/// Paints a muscle with a thin sheath of fat, which parts it from its neighbours in the scan.
fn sheathed(model: &mut Model, name: &str, muscle: Form) {
    model.shade(Tissue::FAT, without(offset(&muscle, 1.4), vec![muscle.clone()], 0.0));
    model.paint(name, Tissue::Muscle, muscle);
}

/// Muscles of the trunk's wall: erector spinae and the glutei.
pub(super) fn paint_trunk(model: &mut Model, spine: &Spine) {
    let fascia = super::wall::fascia();
    let within = |form: Form, depth: f32| intersection(vec![form, offset(&fascia, -depth)], 3.0);
    for side in Side::BOTH {
        let mut stations: Vec<(Vec3, f32, f32)> =
            vec![(side.at(20.0, 92.0, -62.0), 7.0, 12.0), (side.at(24.0, 86.0, -25.0), 13.0, 18.0)];
        for l in spine.levels.iter().filter(|l| l.center.z < 480.0) {
            let lumbar = l.name.starts_with('L');
            let x = if lumbar { 31.0 } else { 25.0 };
            let y = l.depth / 2.0 + l.canal[1] + if lumbar { 18.0 } else { 19.0 };
            let (along, across) =
                if lumbar { (19.0, 28.0) } else { (12.0 + (300.0 - l.center.z).clamp(0.0, 60.0) * 0.08, 22.0) };
            stations.push((l.at(side, x, y, 0.0), along, across));
        }
        let back = within(oval(&stations, Vec3::Y), 3.5);
        sheathed(model, &format!("autochthon_{}", side.name()), back);
    }
    for side in Side::BOTH {
        let name = |which: &str| format!("gluteus_{which}_{}", side.name());
        let minimus = oval(
            &[
                (side.at(126.0, 6.0, -10.0), 5.0, 20.0),
                (side.at(122.0, 12.0, -50.0), 9.0, 24.0),
                (side.at(140.0, 18.0, -100.0), 7.0, 10.0),
            ],
            side.at(0.86, 0.5, 0.0),
        );
        let medius = oval(
            &[
                (side.at(132.0, 26.0, 26.0), 7.0, 30.0),
                (side.at(134.0, 26.0, -30.0), 15.0, 36.0),
                (side.at(146.0, 24.0, -80.0), 12.0, 22.0),
                (side.at(150.0, 26.0, -112.0), 7.0, 12.0),
            ],
            side.at(0.80, 0.6, 0.0),
        );
        let maximus = oval(
            &[
                (side.at(46.0, 98.0, -22.0), 9.0, 26.0),
                (side.at(70.0, 88.0, -64.0), 22.0, 44.0),
                (side.at(104.0, 64.0, -112.0), 21.0, 44.0),
                (side.at(134.0, 36.0, -158.0), 13.0, 26.0),
                (side.at(136.0, 28.0, -190.0), 7.0, 12.0),
            ],
            side.at(0.42, 0.9, 0.0),
        );
        sheathed(model, &name("minimus"), within(minimus, 4.0));
        sheathed(model, &name("medius"), within(medius, 1.0));
        sheathed(model, &name("maximus"), within(maximus, 0.5));
    }
}

/// Muscles within the abdominal cavity's fat: psoas with iliacus, quadratus lumborum.
pub(super) fn paint_deep(model: &mut Model) {
    for side in Side::BOTH {
        let quadratus = oval(
            &[
                (side.at(44.0, 50.0, 190.0), 5.0, 10.0),
                (side.at(58.0, 54.0, 130.0), 7.0, 16.0),
                (side.at(74.0, 56.0, 80.0), 8.0, 21.0),
                (side.at(84.0, 54.0, 46.0), 8.0, 22.0),
            ],
            Vec3::Y,
        );
        model.paint(&format!("quadratus_lumborum_{}", side.name()), Tissue::Muscle, quadratus);
        let psoas = curve(
            &[
                (side.at(27.0, 26.0, 176.0), 7.0),
                (side.at(33.0, 23.0, 135.0), 13.0),
                (side.at(40.0, 22.0, 95.0), 18.5),
                (side.at(45.0, 22.0, 55.0), 21.0),
                (side.at(50.0, 18.0, 15.0), 21.0),
                (side.at(61.0, 4.0, -25.0), 19.0),
                (side.at(77.0, -22.0, -66.0), 17.0),
                (side.at(92.0, -30.0, -100.0), 16.0),
                (side.at(97.0, -25.0, -122.0), 14.0),
                (side.at(106.0, -8.0, -147.0), 11.0),
                (side.at(117.0, 15.0, -161.0), 8.0),
            ],
            8.0,
        );
        let iliacus = ellipsoid_along(
            side.at(96.0, 2.0, -12.0),
            axes_along(side.at(0.45, -0.05, 1.0), side.at(0.35, 1.0, 0.0)),
            vec3(13.0, 42.0, 52.0),
        );
        // It lies in the iliac fossa, before the wing.
        let wing = half_space(side.at(86.0, 28.0, -14.0), side.at(0.57, 0.82, 0.0));
        let iliacus = intersection(vec![iliacus, wing], 5.0);
        let iliopsoas = union(vec![Arc::new(Shape::Tube(Tube::round(&psoas))), iliacus], 10.0);
        sheathed(model, &format!("iliopsoas_{}", side.name()), iliopsoas);
    }
}
