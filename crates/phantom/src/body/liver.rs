//! The liver: eight segments, what runs between them and what runs within.
//!
//! Segments after Couinaud (Le foie, 1957) as drawn on CT: upright planes through the right, middle and left hepatic veins
//! part the sectors, the level of the portal bifurcation parts the upper from the lower. Their shares of the volume follow
//! Mise et al. (HPB 2014; 16: 439: VIII 26 %, then VII, IV, V, III, VI, II, I, with II and III below 10 %) and Abdalla et
//! al. (Surgery 2004; 135: 404: right liver 65 %, IV 17 %, II and III 16 %, I 2 %).
//!
//! Radii at the root: portal vein 6 mm, hepatic veins 4–5 mm, proper hepatic artery 2 mm; from there Murray's law. Arteries
//! and bile ducts follow the portal branches on either side. The common bile duct is 6 mm wide (normal up to 6–7 mm,
//! Horrow, Ultrasound Q 2010; 26: 67).

use std::sync::Arc;

use glam::{Mat3, Vec3, vec3};

use super::arbor::{Branch, Growth, Joint, grow};
use super::thorax::Cavities;
use super::{Model, place, vessels};
use crate::options::Person;
use crate::sdf::{
    Form, SLACK, Shape, Tube, axes_along, ball, ellipsoid, ellipsoid_along, half_space, intersection, offset, rod,
    union, without,
};
use crate::spline::curve;
use crate::tissue::Tissue;
use crate::variants::Variant;

/// A point on the vena cava's axis, where the planes of the hepatic veins meet.
const CAVA: Vec3 = vec3(-27.0, -13.0, 245.0);
/// Normals of the planes of the right, middle and left hepatic veins, each towards the patient's right or back. The right
/// one leans, so that it lies further forward below than above.
const RIGHT: Vec3 = vec3(0.342, 0.940, -0.200);
const MIDDLE: Vec3 = vec3(-0.848, 0.530, 0.0);
const LEFT: Vec3 = vec3(-0.866, -0.500, 0.0);
/// Height of the right portal vein.
const PORTAL_LEVEL: f32 = 207.0;
/// A point of the left vein and the normal of its plane between segments II (above, behind) and III.
const LATERAL: [Vec3; 2] = [vec3(20.0, -50.0, 250.0), vec3(0.0, 0.6, 0.8)];

/// A radius in mm that no stem of a hepatic vein exceeds.
const STEM_MM: f32 = 5.0;
/// Least distance in mm between the walls of portal branches and hepatic veins.
const GAP_MM: f32 = 3.0;

/// The part of the liver round the left of the vena cava.
fn caudate() -> Form {
    ellipsoid(vec3(-11.0, -5.0, 232.0), vec3(21.0, 18.0, 30.0))
}

/// The segment whose land a point lies in, 1–8.
fn segment_at(p: Vec3) -> u8 {
    let (q, upper) = (p - CAVA, p.z > PORTAL_LEVEL);
    if caudate().distance(p) < 0.0 {
        1
    } else if MIDDLE.dot(q) > 0.0 {
        match (RIGHT.dot(q) > 0.0, upper) {
            (false, false) => 5,
            (true, false) => 6,
            (true, true) => 7,
            (false, true) => 8,
        }
    } else if LEFT.dot(q) > 0.0 {
        4
    } else if LATERAL[1].dot(p - LATERAL[0]) > 0.0 {
        2
    } else {
        3
    }
}

/// A dome under the diaphragm, cut by its sloping lower border and its visceral face.
fn whole(person: &Person, cavities: &Cavities) -> Form {
    let right = intersection(
        vec![
            ellipsoid_along(vec3(-66.0, 0.0, 212.0), Mat3::from_rotation_y(0.12), vec3(77.0, 93.0, 104.0)),
            half_space(vec3(-8.0, -10.0, 205.0), vec3(0.86, 0.22, -0.18)),
            half_space(vec3(-60.0, 48.0, 160.0), vec3(0.35, 0.62, -0.66)),
        ],
        26.0,
    );
    let left =
        ellipsoid_along(vec3(0.0, -46.0, 246.0), axes_along(vec3(0.12, 0.30, 1.0), Vec3::Y), vec3(84.0, 48.0, 40.0));
    let lobe = ellipsoid(vec3(-10.0, -6.0, 232.0), vec3(16.0, 15.0, 26.0));
    let whole = union(vec![right, left, lobe], 16.0);
    let border = half_space(vec3(-40.0, 0.0, 158.0), vec3(0.60, 0.10, -0.79));
    let cut = intersection(vec![whole, border], 18.0);
    let liver = intersection(vec![cut, offset(&cavities.below_diaphragm, -1.5), offset(&cavities.trunk, -3.5)], 4.0);
    intersection(vec![place(person, "liver", 0.6, &liver), offset(&cavities.below_diaphragm, -1.2)], 0.0)
}

/// The liver's solid, and the number of layers when it was painted.
pub(super) struct Liver {
    form: Form,
    layers: usize,
}

impl Liver {
    /// The whole liver.
    pub(super) fn form(&self) -> &Form {
        &self.form
    }
}

/// Paints the segments.
pub(super) fn paint(model: &mut Model, person: &Person, cavities: &Cavities) -> Liver {
    let form = whole(person, cavities);
    model.paint("liver_segment_4", Tissue::LIVER, form.clone());
    let b = form.bounds();
    let near = ball((b.min + b.max) * 0.5, (b.max - b.min).length() * 0.5);
    let mut divide = |of: u8, n: u8, point: Vec3, inward: Vec3| {
        let part = intersection(vec![near.clone(), half_space(point, -inward)], 0.0);
        model.divide(&format!("liver_segment_{of}"), &format!("liver_segment_{n}"), part);
    };
    let level = Vec3::Z * PORTAL_LEVEL;
    divide(4, 5, CAVA, MIDDLE);
    divide(5, 6, CAVA, RIGHT);
    divide(6, 7, level, Vec3::Z);
    divide(5, 8, level, Vec3::Z);
    divide(4, 3, CAVA, -LEFT);
    divide(3, 2, LATERAL[0], LATERAL[1]);
    for n in 2..=8 {
        model.divide(&format!("liver_segment_{n}"), "liver_segment_1", caudate());
    }
    Liver { form, layers: model.layers.len() }
}

/// Stems of the right, middle and left hepatic veins from the vena cava.
const STEMS: [[Vec3; 5]; 3] = [
    [
        vec3(-31.0, -11.0, 268.0),
        vec3(-49.0, -2.0, 262.0),
        vec3(-72.0, 4.0, 250.0),
        vec3(-87.0, 5.0, 234.0),
        vec3(-100.0, -8.0, 206.0),
    ],
    [
        vec3(-29.0, -16.0, 267.0),
        vec3(-38.0, -30.0, 260.0),
        vec3(-47.0, -45.0, 245.0),
        vec3(-54.0, -57.0, 226.0),
        vec3(-57.0, -61.0, 211.0),
    ],
    [
        vec3(-26.0, -16.0, 268.0),
        vec3(-17.0, -30.0, 264.0),
        vec3(0.0, -46.0, 259.0),
        vec3(20.0, -50.0, 250.0),
        vec3(40.0, -54.0, 252.0),
    ],
];

/// The portal vein's branches down to the segments: position, number of the joint before, segment.
const PORTAL: [(Vec3, usize, u8); 17] = [
    (vec3(-27.0, -26.0, 206.0), 0, 0),
    (vec3(-32.0, -26.0, 212.0), 0, 0),
    (vec3(-50.0, -20.0, 209.0), 1, 0),
    (vec3(-64.0, -32.0, 211.0), 2, 0),
    (vec3(-76.0, -48.0, 190.0), 3, 5),
    (vec3(-72.0, -40.0, 236.0), 3, 8),
    (vec3(-68.0, -4.0, 207.0), 2, 0),
    (vec3(-96.0, 6.0, 184.0), 6, 6),
    (vec3(-72.0, 22.0, 240.0), 6, 7),
    (vec3(-21.0, -36.0, 222.0), 1, 0),
    (vec3(-9.0, -17.0, 230.0), 9, 1),
    (vec3(-6.0, -46.0, 228.0), 9, 0),
    (vec3(26.0, -36.0, 256.0), 11, 2),
    (vec3(3.0, -60.0, 230.0), 11, 0),
    (vec3(24.0, -66.0, 232.0), 13, 3),
    (vec3(-16.0, -72.0, 236.0), 13, 4),
    (vec3(-22.0, -60.0, 208.0), 11, 4),
];

/// Paints vessels and ducts, clear of all that has been painted over the liver and of the great veins.
pub(super) fn paint_vessels(model: &mut Model, person: &Person, liver: &Liver) {
    let hilum = rod(vec3(-20.0, -34.0, 180.0), 9.0, vec3(-30.0, -34.0, 205.0), 11.0);
    model.paint("torso_fat", Tissue::FAT, intersection(vec![hilum, liver.form.clone()], 3.0));
    let mut taken: Vec<Form> = model.layers[liver.layers..].iter().map(|l| l.form.clone()).collect();
    taken.extend([vessels::inferior_cava(), vessels::portal()]);
    let free = without(liver.form.clone(), touching(&liver.form, taken), 0.0);
    let mut draw = person.stream("liver_vessels");

    let stems = STEMS.map(|stem| curve(&stem.map(|at| (at, STEM_MM)), 9.0));
    let solid = stems.iter().map(|s| Arc::new(Shape::Tube(Tube::round(s))) as Form).collect();
    let trunk = PORTAL.map(|(at, parent, territory)| Joint { at, parent, territory });
    let portal = grow(
        &Growth {
            organ: &without(free.clone(), vec![union(solid, 0.0)], 0.0),
            trunk: &trunk,
            territory: &segment_at,
            leaves: 170,
            leaf_radius_mm: 1.05,
            margin_mm: 6.0,
            gap_mm: GAP_MM,
        },
        &mut draw,
    );
    let replaced = person.has(Variant::ReplacedRightHepaticArtery).then_some(vessels::REPLACED_END);
    let arteries = beside(&portal, [Some(ARTERY_ROOT), replaced], 1.0, 0.36);
    let ducts = beside(&portal, [Some(DUCT_ROOT), None], -1.0, 0.26);
    let triads = union([tube(&portal), arteries.clone(), ducts.clone()].into(), 0.0);

    let mut trunk = vec![Joint { at: vec3(-28.0, -14.0, 269.0), parent: 0, territory: 1 }];
    for stem in &stems {
        for (i, &(at, _)) in stem.iter().enumerate() {
            let parent = if i == 0 { 0 } else { trunk.len() - 1 };
            trunk.push(Joint { at, parent, territory: 1 });
        }
    }
    let hepatic = grow(
        &Growth {
            organ: &without(free, vec![triads], 0.0),
            trunk: &trunk,
            territory: &|_| 1,
            leaves: 150,
            leaf_radius_mm: 1.05,
            margin_mm: 6.0,
            gap_mm: GAP_MM,
        },
        &mut draw,
    );
    let (common, cystic) = outer_ducts();
    model.paint("cystic_duct", Tissue::DUCT, cystic);
    model.paint("intrahepatic_bile_ducts", Tissue::DUCT, ducts);
    model.paint("common_bile_duct", Tissue::DUCT, common);
    model.paint("hepatic_artery_branches", Tissue::ARTERY, arteries);
    model.paint("portal_vein_branches", Tissue::PORTAL, tube(&portal));
    model.paint("hepatic_vein", Tissue::PORTAL, tube(&hepatic));
}

/// Those of some solids that come within a few mm of another.
fn touching(solid: &Form, others: Vec<Form>) -> Vec<Form> {
    /// Distance in mm between the points that are asked.
    const STEP_MM: f32 = 12.0;
    let b = solid.bounds();
    let count = ((b.max - b.min) / STEP_MM).ceil().as_uvec3();
    let points = (0..=count.x).flat_map(|x| (0..=count.y).flat_map(move |y| (0..=count.z).map(move |z| [x, y, z])));
    let points: Vec<Vec3> = points
        .map(|at| b.min + Vec3::from_array(at.map(|a| a as f32)) * STEP_MM)
        .filter(|p| solid.distance(*p) < STEP_MM)
        .collect();
    let near = |form: &Form| points.iter().any(|p| form.distance(*p) < STEP_MM * SLACK);
    others.into_iter().filter(near).collect()
}

/// Where the proper hepatic artery and the ducts of the liver meet what follows the portal branches.
const ARTERY_ROOT: Vec3 = vec3(-25.0, -37.0, 203.0);
const DUCT_ROOT: Vec3 = vec3(-38.0, -32.0, 216.0);

/// The common hepatic and bile duct from the fork of the liver's ducts to the duodenum, and the cystic duct.
fn outer_ducts() -> (Form, Form) {
    let joined = vec3(-26.0, -37.0, 184.0);
    let common = [
        (DUCT_ROOT, 2.2),
        (vec3(-36.0, -38.0, 208.0), 2.4),
        (vec3(-28.0, -40.0, 198.0), 2.6),
        (joined, 2.9),
        (vec3(-25.0, -29.0, 175.0), 3.0),
        (vec3(-27.0, -23.0, 164.0), 3.0),
        (vec3(-31.0, -20.0, 150.0), 2.8),
        (vec3(-37.0, -17.0, 137.0), 2.3),
    ];
    let cystic = [
        (vec3(-38.0, -36.0, 198.0), 2.2),
        (vec3(-33.0, -33.0, 197.0), 1.9),
        (vec3(-31.0, -35.0, 190.0), 1.8),
        (joined, 1.8),
    ];
    (vessels::vessel(&common), vessels::vessel(&cystic))
}

fn tube(branches: &[Branch]) -> Form {
    let ends: Vec<_> = branches.iter().map(|b| [(b.from, b.radius), (b.to, b.radius)]).collect();
    Arc::new(Shape::Tube(Tube::tree(&ends)))
}

/// A vessel on one side of all portal branches of a certain size, thinner by `share`; `roots` says where that of the whole liver begins,
/// and that of its right side if it has one of its own.
fn beside(portal: &[Branch], [root, right_root]: [Option<Vec3>; 2], side: f32, share: f32) -> Form {
    /// Radius in mm of the least branch that has a companion one can see.
    const LEAST_MM: f32 = 1.9;
    /// Radius in mm of the thinnest companion.
    const THINNEST_MM: f32 = 0.75;
    let direction = |b: &Branch| (b.to - b.from).normalize_or(Vec3::Z);
    // Where branches part, the companions run above and below the fork's plane; between forks they keep their side.
    let mut sides: Vec<Vec3> = Vec::with_capacity(portal.len());
    for (i, branch) in portal.iter().enumerate() {
        let before = branch.parent.map_or(vec3(0.0, -0.5, -1.0), |p| sides[p]);
        let children: Vec<Vec3> = portal.iter().filter(|c| c.parent == Some(i)).map(direction).collect();
        let along = direction(branch);
        let kept = (before - along * before.dot(along)).normalize_or(along.any_orthonormal_vector());
        let fork = match children[..] {
            [a, b] if a.cross(b).length() > 0.25 => a.cross(b).normalize(),
            _ => kept,
        };
        sides.push(if fork.dot(kept) < 0.0 { -fork } else { fork });
    }
    let radius = |b: &Branch| (b.radius * share).max(THINNEST_MM);
    let at = |i: usize| portal[i].to + sides[i] * (side * (portal[i].radius + radius(&portal[i]) + 0.6));
    let large = portal.iter().enumerate().filter(|(_, b)| b.radius >= LEAST_MM);
    // The right portal vein begins where the trunk has turned to the right.
    let on_the_right = |b: &Branch| b.to.x < vessels::REPLACED_END.x;
    let start = |b: &Branch| match b.parent.map(|p| &portal[p]) {
        Some(before) if on_the_right(b) && !on_the_right(before) && right_root.is_some() => right_root,
        Some(_) => b.parent.map(at),
        None => root,
    };
    let ends = large.filter_map(|(i, b)| start(b).map(|from| [(from, radius(b)), (at(i), radius(b))]));
    Arc::new(Shape::Tube(Tube::tree(&ends.collect::<Vec<_>>())))
}
