//! Vertebrae with body, arch and processes, discs, spinal canal, cord, and the sacrum.

use std::sync::Arc;

use glam::{Mat3, Vec3, vec3};

use super::{Model, Side, Spine, SpineLevel};
use crate::sdf::{Form, Node, Shape, Tube, half_space, intersection, offset, plate, rod, union, without};
use crate::tissue::Tissue;

/// Which way a vertebra's parts grow.
#[derive(Clone, Copy, PartialEq)]
enum Region {
    Cervical,
    Thoracic(f32),
    Lumbar,
}

fn region(name: &str) -> Region {
    match name.split_at(1) {
        ("T", number) => Region::Thoracic(number.parse().unwrap_or(6.0)),
        ("L", _) => Region::Lumbar,
        _ => Region::Cervical,
    }
}

/// A flat oval rod: `thin` mm along `normal`, `wide` across, at each end.
fn strap(from: Vec3, to: Vec3, normal: Vec3, thin: f32, wide: [f32; 2]) -> Form {
    let node = |at, across| Node { at, normal, along: thin, across };
    Arc::new(Shape::Tube(Tube::oval(&[node(from, wide[0]), node(to, wide[1])])))
}

/// The first lumbar vertebra, which breaks more often than any other.
const BROKEN: &str = "L1";

/// What lies under the upper end plate of a vertebra that has lost a part of its height in front and less behind: a wedge.
fn under_wedge(l: &SpineLevel, lost: f32) -> Form {
    let (half_height, half_depth) = (l.height / 2.0, l.depth / 2.0);
    let front = l.mid(-half_depth, half_height - lost * l.height);
    let back = l.mid(half_depth, half_height - 0.15 * lost * l.height);
    let normal = l.axes.x_axis.cross(back - front).normalize_or(Vec3::Z);
    half_space(front, normal)
}

/// Paints what a broken vertebra loses as disc, which sinks in, and packs the bone below it.
fn paint_fracture(model: &mut Model, l: &SpineLevel, lost: f32) {
    let whole = body(l, 0.2);
    let above: Form = Arc::new(Shape::Complement(under_wedge(l, lost)));
    model.paint("intervertebral_discs", Tissue::DISC, intersection(vec![whole.clone(), above], 1.0));
    let name = format!("vertebrae_{}", l.name);
    let left = intersection(vec![vertebra(l), union(vec![under_wedge(l, lost), behind(l)], 0.0)], 1.0);
    model.paint(&name, Tissue::VERTEBRA, left.clone());
    let (edge, packed) = (under_wedge(l, lost), Tissue::Soft { hu: 430.0, mottle: 60.0 });
    let band = vec![left, body(l, 0.0), without(edge.clone(), vec![offset(&edge, -4.0)], 0.0)];
    model.shade(packed, intersection(band, 1.0));
}

/// The arch's side of a vertebral body.
fn behind(l: &SpineLevel) -> Form {
    half_space(l.mid(l.depth / 2.0 - 1.0, 0.0), -l.axes.y_axis)
}

/// A vertebral body, grown by some mm.
fn body(l: &SpineLevel, by: f32) -> Form {
    let half = vec3(l.width, l.depth, l.height) / 2.0 + by;
    Arc::new(Shape::Drum { center: l.center, axes: l.axes, half, waist: 0.11, rim: 2.2 })
}

fn vertebra(l: &SpineLevel) -> Form {
    let region = region(l.name);
    let [half_width, half_depth, half_height] = [l.width / 2.0, l.depth / 2.0, l.height / 2.0];
    let (cw, cd) = (l.canal[0] / 2.0, l.canal[1]);
    let lumbar = region == Region::Lumbar;
    let mut arch: Vec<Form> = Vec::new();
    let wall = half_depth;
    let spine_base = wall + cd + 2.5;
    let thick = if lumbar { 3.6 } else { 2.9 };
    for side in Side::BOTH {
        let at = |x: f32, y: f32, z: f32| l.at(side, x, y, z);
        let (pedicle_thin, pedicle_tall) = if lumbar { (4.6, 7.2) } else { (3.1, 5.6) };
        let pillar = at(cw + 3.0, wall + cd * 0.55, half_height * 0.25);
        arch.push(strap(
            at(half_width * 0.62, wall - 5.0, half_height * 0.32),
            pillar,
            l.axes.x_axis,
            pedicle_thin,
            [pedicle_tall, pedicle_tall],
        ));
        // Facets: the upper ones face back (thorax) or inwards (loin), the lower ones lie behind their neighbour's.
        let (upper_x, lower_x) = if lumbar { (cw + 6.5, cw + 0.5) } else { (cw + 3.0, cw + 1.0) };
        let (upper_y, lower_y) =
            if lumbar { (wall + cd * 0.70, wall + cd * 0.98) } else { (wall + cd * 0.50, wall + cd * 0.92) };
        let r = if lumbar { 4.8 } else { 3.3 };
        let reach = half_height + l.disc * 0.5;
        arch.push(rod(pillar, r + 0.6, at(upper_x, upper_y, reach + 2.0), r));
        let lower = at(lower_x, lower_y + 1.0, -reach - 2.5);
        arch.push(rod(at(cw + 2.0, wall + cd * 0.75, 0.0), r + 0.4, lower, r));
        let (top, bottom) = (l.mid(spine_base, half_height * 0.25), l.mid(spine_base, -half_height * 0.75));
        let (high, deep) =
            (at(cw + 2.0, wall + cd * 0.62, half_height * 0.35), at(cw + 1.5, wall + cd * 0.85, -half_height * 0.85));
        arch.push(plate(high, top, bottom, thick));
        arch.push(plate(high, bottom, deep, thick));
        let tip = transverse_tip(l, side);
        match region {
            Region::Lumbar => arch.push(strap(pillar, tip, l.axes.y_axis, 3.0, [6.5, 5.0])),
            _ => arch.push(rod(pillar, 4.6, tip, 5.0)),
        }
    }
    arch.push(spinous(l, region, spine_base, half_height, thick));
    if region == Region::Cervical {
        for side in Side::BOTH {
            arch.push(rod(
                l.at(side, half_width - 3.0, -1.0, 1.0),
                3.5,
                l.at(side, l.transverse * 0.72, 3.0, 0.0),
                3.2,
            ));
        }
    }
    let bone = union(vec![body(l, 0.0), union(arch, 3.0)], 3.5);
    let canal = Node { at: Vec3::ZERO, normal: l.axes.y_axis, along: cd / 2.0, across: cw };
    let ends = [-1.0, 1.0].map(|way| Node { at: l.mid(wall + cd / 2.0 - 0.3, way * (half_height + 12.0)), ..canal });
    without(bone, vec![Arc::new(Shape::Tube(Tube::oval(&ends)))], 1.5)
}

/// The end of a transverse process.
pub(super) fn transverse_tip(l: &SpineLevel, side: Side) -> Vec3 {
    let (wall, half_height) = (l.depth / 2.0, l.height / 2.0);
    match region(l.name) {
        Region::Lumbar => l.at(side, l.transverse, wall + 9.0, half_height * 0.2),
        Region::Thoracic(_) => l.at(side, l.transverse, wall + l.canal[1] * 0.7 + 9.0, half_height * 0.35),
        Region::Cervical => l.at(side, l.transverse, wall + 6.0, half_height * 0.1),
    }
}

fn spinous(l: &SpineLevel, region: Region, base: f32, half_height: f32, thick: f32) -> Form {
    // Length and downward slope in degrees; the slope is steepest in the middle of the thorax.
    let (length, slope, tall) = match region {
        Region::Lumbar => (if l.name == "L5" { 22.0 } else { 29.0f32 }, 6.0f32, 9.0),
        Region::Cervical => (33.0, 18.0, 4.5),
        Region::Thoracic(n) => {
            let steep = 58.0 * (-((n - 6.5) / 3.4).powi(2)).exp();
            (34.0 - 8.0 * (n / 12.0).powi(4), 14.0 + steep * 0.75, 4.5 + 3.0 * (n / 12.0).powi(3))
        }
    };
    let (sin, cos) = slope.to_radians().sin_cos();
    let (top, bottom) = (l.mid(base - 2.0, half_height * 0.05), l.mid(base - 2.0, -half_height * 0.85));
    let tip = |z: f32| l.mid(base + length * cos, -half_height * 0.4 - length * sin + z);
    let blade =
        union(vec![plate(top, bottom, tip(-tall), thick * 0.8), plate(top, tip(-tall), tip(tall), thick * 0.8)], 2.0);
    union(vec![blade, rod(tip(tall * 0.8), thick, tip(-tall), thick + 0.6)], 2.5)
}

fn disc(above: &SpineLevel, below: Option<&SpineLevel>) -> Form {
    let low = below.map_or(vec3(0.0, 31.0, 0.0), |b| b.mid(0.0, b.height / 2.0));
    let high = above.mid(0.0, -above.height / 2.0);
    let up = below.map_or(above.axes.z_axis, |b| (b.axes.z_axis + above.axes.z_axis).normalize());
    let axes = Mat3::from_cols(Vec3::X, vec3(0.0, up.z, -up.y), up);
    let half = vec3(above.width / 2.0 - 0.3, above.depth / 2.0 - 0.3, above.disc / 2.0 + 1.6);
    Arc::new(Shape::Drum { center: (low + high) * 0.5, axes, half, waist: -0.03, rim: 2.4 })
}

/// Middle of the sacrum and coccyx in the midline: position, half width, half thickness.
const SACRUM: [(f32, f32, f32, f32); 8] = [
    (37.0, -8.0, 50.0, 15.0),
    (52.0, -28.0, 46.0, 14.0),
    (66.0, -50.0, 36.0, 11.0),
    (74.0, -72.0, 29.0, 9.0),
    (76.0, -92.0, 20.0, 7.5),
    (72.0, -110.0, 9.0, 5.0),
    (64.0, -124.0, 6.0, 4.2),
    (55.0, -134.0, 4.0, 3.4),
];

fn sacrum() -> Form {
    let node = |i: usize| {
        let (y, z, across, along) = SACRUM[i];
        let (before, after) = (SACRUM[i.saturating_sub(1)], SACRUM[(i + 1).min(SACRUM.len() - 1)]);
        let way = vec3(0.0, after.0 - before.0, after.1 - before.1).normalize();
        Node { at: vec3(0.0, y, z), normal: vec3(0.0, -way.z, way.y), along, across }
    };
    let nodes: Vec<Node> = (0..SACRUM.len()).map(node).collect();
    let plate_up = vec3(0.0, -0.60, 0.80);
    let mut bone: Vec<Form> = vec![Arc::new(Shape::Tube(Tube::oval(&nodes)))];
    // Promontory, wings and crest.
    bone.push(Arc::new(Shape::Drum {
        center: vec3(0.0, 31.0, 0.0) - plate_up * 13.0,
        axes: Mat3::from_cols(Vec3::X, vec3(0.0, plate_up.z, -plate_up.y), plate_up),
        half: vec3(25.5, 17.0, 12.6),
        waist: 0.0,
        rim: 2.5,
    }));
    for side in Side::BOTH {
        bone.push(rod(side.at(22.0, 42.0, -10.0), 14.0, side.at(45.0, 54.0, -18.0), 12.0));
        bone.push(rod(side.at(18.0, 58.0, 6.0), 4.5, side.at(16.0, 66.0, -10.0), 5.0));
    }
    let crest: Vec<Node> = [(66.0, -10.0), (78.0, -32.0), (86.0, -54.0), (87.0, -76.0)]
        .map(|(y, z)| Node { at: vec3(0.0, y, z), normal: Vec3::X, along: 4.0, across: 8.0 })
        .to_vec();
    bone.push(Arc::new(Shape::Tube(Tube::oval(&crest))));
    let mut holes: Vec<Form> = Vec::new();
    for (level, &(y, z, _, _)) in SACRUM.iter().enumerate().take(5).skip(1) {
        for side in Side::BOTH {
            let x = 27.0 - 2.6 * level as f32;
            let (y, z) = (y - 1.0, z + 9.0);
            holes.push(rod(side.at(x, y - 26.0, z - 14.0), 5.4, side.at(x, y + 22.0, z + 12.0), 3.4));
        }
    }
    holes.push(half_space(vec3(0.0, 31.0, 0.5), vec3(0.0, -plate_up.y, -plate_up.z)));
    let bone = union(bone, 8.0);
    let canal: Vec<Node> =
        [(58.0, 10.0, 13.0, 7.5), (65.0, -12.0, 12.0, 6.5), (74.0, -36.0, 9.0, 4.5), (81.0, -60.0, 5.0, 3.0)]
            .map(|(y, z, across, along)| Node { at: vec3(0.0, y, z), normal: Vec3::Y, along, across })
            .to_vec();
    holes.push(Arc::new(Shape::Tube(Tube::oval(&canal))));
    without(bone, holes, 2.0)
}

/// Paints the column; `lost` is the part of its height that a broken vertebra has lost in front.
pub(super) fn paint(model: &mut Model, spine: &Spine, lost: Option<f32>) {
    let mut canal: Vec<Node> = vec![
        Node { at: vec3(0.0, 74.0, -36.0), normal: Vec3::Y, along: 3.0, across: 6.0 },
        Node { at: vec3(0.0, 65.0, -12.0), normal: Vec3::Y, along: 5.0, across: 10.0 },
        Node { at: vec3(0.0, 58.0, 10.0), normal: Vec3::Y, along: 6.5, across: 11.5 },
    ];
    canal.extend(spine.canal().iter().map(|&(at, [across, along])| Node {
        at,
        normal: Vec3::Y,
        along: along - 0.4,
        across: across - 0.4,
    }));
    canal.extend(canal.last().map(|n| Node { at: n.at + vec3(0.0, -6.0, 30.0), ..*n }));
    model.paint("spinal_canal", Tissue::CANAL, Arc::new(Shape::Tube(Tube::oval(&canal))));
    // The cord ends at the disc L1–L2; its lumbar swelling sits at T11–L1.
    let cord: Vec<Node> = canal
        .iter()
        .filter(|n| n.at.z > 150.0)
        .map(|n| {
            let swell = 1.0
                + 0.18 * (-((n.at.z - 205.0) / 30.0).powi(2)).exp()
                + 0.2 * (-((n.at.z - 500.0) / 40.0).powi(2)).exp();
            let cone = ((n.at.z - 140.0) / 45.0).clamp(0.3, 1.0);
            Node { along: 3.6 * swell * cone, across: 4.6 * swell * cone, ..*n }
        })
        .collect();
    model.paint("spinal_cord", Tissue::CORD, Arc::new(Shape::Tube(Tube::oval(&cord))));
    for (i, level) in spine.levels.iter().enumerate() {
        model.paint("intervertebral_discs", Tissue::DISC, disc(level, i.checked_sub(1).map(|b| &spine.levels[b])));
    }
    // Bones do not cover the canal, which their own shapes leave free.
    for level in &spine.levels {
        match lost {
            Some(lost) if level.name == BROKEN => paint_fracture(model, level, lost),
            _ => model.paint(&format!("vertebrae_{}", level.name), Tissue::VERTEBRA, vertebra(level)),
        }
    }
    model.paint("sacrum", Tissue::PELVIS, sacrum());
}
