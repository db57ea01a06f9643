//! Muscles with a name of their own; the rest of the wall is one envelope, `skeletal_muscle`.

use std::sync::Arc;

use glam::{Vec3, vec3};

use super::thorax::Cavities;
use super::{Model, Side, Spine};
use crate::sdf::{
    Form, Node, Shape, Tube, axes_along, ellipsoid, ellipsoid_along, half_space, intersection, offset, union, without,
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

/// Parts of the wall by where they lie and how deep below the fascia, as on a cross-section (Standring, Gray's Anatomy, 41st ed., 2016):
/// three layers in the flank, two on the chest. What is left keeps the name of all.
pub(super) fn paint_wall(model: &mut Model, cavities: &Cavities) {
    const ALL: &str = "skeletal_muscle";
    let fascia = super::wall::fascia();
    let below = |depth: f32| offset(&fascia, -depth);
    let layer = |from: f32, to: f32| without(below(from), vec![below(to)], 0.0);
    let above = |z: f32| half_space(Vec3::Z * z, Vec3::NEG_Z);
    let under = |z: f32| half_space(Vec3::Z * z, Vec3::Z);
    let before = |y: f32| half_space(Vec3::Y * y, Vec3::Y);
    let behind = |y: f32| half_space(Vec3::Y * y, Vec3::NEG_Y);
    for side in Side::BOTH {
        let lateral = |x: f32| half_space(side.at(x, 0.0, 0.0), side.at(-1.0, 0.0, 0.0));
        let medial = |x: f32| half_space(side.at(x, 0.0, 0.0), side.at(1.0, 0.0, 0.0));
        let deltoid = ellipsoid(side.at(167.0, 36.0, 424.0), vec3(36.0, 36.0, 76.0));
        let breast = ellipsoid(side.at(74.0, -70.0, 364.0), vec3(72.0, 66.0, 62.0));
        let muscles = [
            ("deltoid", vec![deltoid, below(0.0)]),
            ("pectoralis_major", vec![breast, layer(0.0, 12.0), before(-8.0), lateral(6.0)]),
            ("trapezius", vec![layer(0.0, 8.0), behind(44.0), lateral(1.0), medial(104.0), above(300.0), under(486.0)]),
            ("latissimus_dorsi", vec![layer(0.0, 9.0), behind(30.0), lateral(34.0), above(64.0), under(372.0)]),
            (
                "serratus_anterior",
                vec![layer(0.0, 10.0), before(30.0), behind(-62.0), lateral(84.0), above(214.0), under(392.0)],
            ),
            (
                "rectus_abdominis",
                vec![below(0.0), before(-36.0), medial(66.0), lateral(2.5), above(-112.0), under(200.0)],
            ),
            ("external_oblique", vec![layer(0.0, 5.0), lateral(68.0), before(56.0), above(40.0), under(196.0)]),
            ("internal_oblique", vec![layer(5.0, 10.5), lateral(68.0), before(56.0), above(40.0), under(186.0)]),
            ("transversus_abdominis", vec![layer(10.5, 26.0), lateral(60.0), before(56.0), above(40.0), under(186.0)]),
        ];
        for (name, parts) in muscles {
            model.divide(ALL, &format!("{name}_{}", side.name()), intersection(parts, 0.0));
        }
    }
    let cage: Form = Arc::new(Shape::Loft(cavities.cage.clone()));
    let between =
        vec![offset(&cage, 6.0), Arc::new(Shape::Complement(offset(&cage, -6.0))), above(150.0), under(462.0)];
    model.divide(ALL, "intercostal_muscles", intersection(between, 0.0));
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
