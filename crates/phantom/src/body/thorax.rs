//! The cavities and what fills the chest beside the heart: lungs, diaphragm, oesophagus, thyroid.
//!
//! The lungs hold the functional residual capacity of the reference adult male, 3.3 l of air, besides 1.2 kg of tissue and
//! blood (ICRP Publication 89, tables 2.8 and 6.2), the right 54 % of it.

use std::sync::{Arc, LazyLock};

use glam::{Mat3, Vec3, vec3};

use super::bronchi::{Lobe, Piece};
use super::lung_vessels::LungVessels;
use super::{Model, Side, Spine, bronchi, vessels};
use crate::options::Person;
use crate::sdf::{
    Form, Loft, Node, Section, Shape, Tube, ellipsoid, ellipsoid_along, half_space, intersection, offset, rod, union,
    without,
};
use crate::spline::curve;
use crate::tissue::{Tissue, smooth_step};
use crate::variants::Variant;

/// Spaces that several systems refer to.
#[derive(Debug)]
pub(super) struct Cavities {
    /// The surface through the middle of the ribs.
    pub cage: Arc<Loft>,
    /// Within the parietal pleura and, lower, within the transversalis fascia.
    pub trunk: Form,
    /// Below the diaphragm's upper surface.
    pub below_diaphragm: Form,
    /// Between the lungs.
    mediastinum: Form,
}

/// z; half width, front, back, widest line: the middle of the ribs.
#[rustfmt::skip]
const CAGE: [(f32, [f32; 4]); 14] = [
    ( 90.0, [115.0, -84.0,  64.0, -4.0]),
    (140.0, [123.0, -86.0,  72.0, -3.0]),
    (175.0, [129.0, -88.0,  79.0, -2.0]),
    (210.0, [134.0, -92.0,  86.0,  0.0]),
    (245.0, [138.0, -96.0,  94.0,  2.0]),
    (280.0, [140.0, -99.0, 100.0,  5.0]),
    (315.0, [138.0, -96.0, 104.0,  8.0]),
    (350.0, [132.0, -89.0, 105.0, 11.0]),
    (380.0, [121.0, -81.0, 102.0, 15.0]),
    (405.0, [108.0, -69.0,  97.0, 19.0]),
    (430.0, [ 89.0, -53.0,  88.0, 22.0]),
    (450.0, [ 68.0, -38.0,  75.0, 22.0]),
    (465.0, [ 50.0, -26.0,  60.0, 20.0]),
    (482.0, [ 36.0, -12.0,  45.0, 20.0]),
];

/// The same for the abdomen and pelvis within the wall's muscles.
#[rustfmt::skip]
const ABDOMEN: [(f32, [f32; 4]); 11] = [
    (-150.0, [ 30.0, -22.0, 44.0, 14.0]),
    (-120.0, [ 47.0, -42.0, 60.0, 14.0]),
    ( -85.0, [ 57.0, -62.0, 72.0, 12.0]),
    ( -50.0, [ 72.0, -76.0, 76.0,  8.0]),
    ( -15.0, [ 98.0, -82.0, 70.0,  4.0]),
    (  30.0, [112.0, -84.0, 62.0,  0.0]),
    (  80.0, [115.0, -84.0, 62.0, -2.0]),
    ( 120.0, [117.0, -85.0, 66.0, -2.0]),
    ( 160.0, [121.0, -87.0, 71.0, -2.0]),
    ( 200.0, [126.0, -89.0, 78.0,  0.0]),
    ( 240.0, [131.0, -91.0, 87.0,  2.0]),
];

fn loft(rows: &[(f32, [f32; 4])], power: [f32; 2], inset: f32, furrow: [f32; 2]) -> Arc<Loft> {
    let section = |&(z, [half_width, front, back, widest]): &(f32, [f32; 4])| Section {
        z,
        half_width: half_width - inset,
        front: front + inset,
        back: back - inset,
        widest,
        power,
        // Beside the spine the ribs turn forward to meet the vertebral bodies; the pelvis is open to the sacrum.
        furrow: [furrow[0] * smooth_step((z + 40.0) / 130.0), furrow[1]],
    };
    Arc::new(Loft::new(&rows.iter().map(section).collect::<Vec<_>>()))
}

/// Rounds the rims of the lungs, which would be thinner than any voxel where they end in a recess, in mm.
const RIM_MM: f32 = 4.0;

impl Cavities {
    /// Those of the reference spine, alike in all people.
    pub(super) fn reference() -> &'static Self {
        static CAVITIES: LazyLock<Cavities> = LazyLock::new(|| Cavities::new(&Spine::new()));
        &CAVITIES
    }

    fn new(spine: &Spine) -> Self {
        let cage = loft(&CAGE, [2.3, 2.5], 0.0, [54.0, 44.0]);
        let pleura: Form = Arc::new(Shape::Loft(loft(&CAGE, [2.3, 2.5], 4.8, [60.0, 46.0])));
        let chest = intersection(
            vec![
                pleura,
                half_space(vec3(0.0, 0.0, 462.0), vec3(0.0, -0.35, 1.0)),
                half_space(vec3(0.0, 0.0, 185.0), vec3(0.0, 0.0, -1.0)),
            ],
            26.0,
        );
        let belly: Form = Arc::new(Shape::Loft(loft(&ABDOMEN, [2.3, 2.4], 0.0, [46.0, 38.0])));
        let belly = intersection(
            vec![
                belly,
                half_space(vec3(0.0, 0.0, -142.0), vec3(0.0, 0.0, -1.0)),
                half_space(vec3(0.0, 0.0, 215.0), vec3(0.0, 0.0, 1.0)),
            ],
            16.0,
        );
        let domes = union(
            vec![
                ellipsoid(vec3(-66.0, -6.0, 188.0), vec3(76.0, 82.0, 106.0)),
                ellipsoid(vec3(68.0, -4.0, 188.0), vec3(73.0, 80.0, 92.0)),
                ellipsoid(vec3(0.0, -30.0, 192.0), vec3(100.0, 72.0, 84.0)),
            ],
            18.0,
        );
        // The cavities go on below the domes' widest line.
        let below = union(vec![domes, half_space(vec3(0.0, 0.0, 192.0), vec3(0.0, 0.0, 1.0))], 6.0);
        Self { cage, trunk: union(vec![chest, belly], 10.0), below_diaphragm: below, mediastinum: mediastinum(spine) }
    }

    /// One lung with what is in it.
    pub(super) fn lung(&self, side: Side) -> Form {
        intersection(
            vec![
                self.trunk.clone(),
                Arc::new(Shape::Complement(offset(&self.below_diaphragm, 3.2))),
                Arc::new(Shape::Complement(self.mediastinum.clone())),
                half_space(Vec3::ZERO, side.at(-1.0, 0.0, 0.0)),
            ],
            RIM_MM,
        )
    }

    /// One lobe with what is in it.
    pub(super) fn lobe(&self, side: Side, lobe: Lobe) -> Form {
        let not = |form: Form| -> Form { Arc::new(Shape::Complement(form)) };
        let mut parts = vec![self.lung(side)];
        match lobe {
            Lobe::Lower => parts.push(oblique(side)),
            Lobe::Middle => parts.extend([not(oblique(side)), horizontal(side)]),
            Lobe::Upper if side == Side::Right => parts.extend([not(oblique(side)), not(horizontal(side))]),
            Lobe::Upper => parts.push(not(oblique(side))),
        }
        intersection(parts, 0.0)
    }
}

/// What parts the lungs: heart, great vessels, trachea, oesophagus and spine with the fat round them.
fn mediastinum(spine: &Spine) -> Form {
    let column: Vec<Node> = spine
        .levels
        .iter()
        .map(|l| Node {
            at: l.mid(8.0, 0.0),
            normal: Vec3::Y,
            along: l.depth / 2.0 + 10.0,
            across: l.width / 2.0 + 4.0,
        })
        .collect();
    let flat = |at: Vec3, across: f32, along: f32| Node { at, normal: Vec3::Y, along, across };
    let septum = [
        flat(vec3(0.0, -20.0, 480.0), 40.0, 40.0),
        flat(vec3(0.0, -10.0, 440.0), 31.0, 42.0),
        flat(vec3(2.0, -14.0, 410.0), 31.0, 42.0),
        flat(vec3(2.0, -16.0, 380.0), 29.0, 42.0),
        flat(vec3(4.0, -16.0, 350.0), 24.0, 40.0),
        flat(vec3(4.0, -14.0, 310.0), 21.0, 40.0),
        flat(vec3(4.0, -14.0, 180.0), 22.0, 40.0),
    ];
    let before = [
        flat(vec3(0.0, -44.0, 450.0), 16.0, 36.0),
        flat(vec3(0.0, -56.0, 415.0), 8.0, 34.0),
        flat(vec3(-3.0, -70.0, 385.0), 3.4, 34.0),
        flat(vec3(-4.0, -78.0, 345.0), 3.4, 34.0),
        flat(vec3(6.0, -84.0, 312.0), 9.0, 34.0),
        flat(vec3(10.0, -86.0, 285.0), 18.0, 34.0),
        flat(vec3(10.0, -88.0, 180.0), 20.0, 36.0),
    ];
    let aorta = curve(
        &[
            (vec3(24.0, 18.0, 408.0), 17.0),
            (vec3(27.0, 32.0, 372.0), 16.0),
            (vec3(24.0, 32.0, 320.0), 15.0),
            (vec3(15.0, 20.0, 255.0), 15.0),
            (vec3(8.0, 10.0, 200.0), 15.0),
        ],
        12.0,
    );
    union(
        vec![
            Arc::new(Shape::Tube(Tube::oval(&column))),
            Arc::new(Shape::Tube(Tube::oval(&septum))),
            Arc::new(Shape::Tube(Tube::oval(&before))),
            Arc::new(Shape::Tube(Tube::round(&aorta))),
            offset(&super::heart::outline(), 4.5),
            offset(&super::heart::auricle_course(), 4.0),
            // Between pulmonary trunk and left auricle.
            rod(vec3(22.0, -42.0, 370.0), 15.0, vec3(50.0, -31.0, 374.0), 9.0),
        ],
        8.0,
    )
}

/// What lies behind and below the oblique fissure, which runs from T4 at the back to the sixth costochondral junction.
fn oblique(side: Side) -> Form {
    let tilt = if side == Side::Left { 1.1 } else { 1.2 };
    half_space(side.at(60.0, 0.0, 324.0), side.at(-0.12, -1.0, tilt))
}

/// What lies below the horizontal fissure, which follows the fourth rib.
fn horizontal(side: Side) -> Form {
    half_space(side.at(60.0, -50.0, 338.0), vec3(0.0, 0.12, 1.0))
}

pub(super) fn paint(model: &mut Model, person: &Person, spine: &Spine, cavities: &Cavities) {
    model.paint("torso_fat", Tissue::FAT, cavities.trunk.clone());
    for side in Side::BOTH {
        let lung =
            intersection(vec![cavities.lung(side), half_space(vec3(0.0, 0.0, 190.0), vec3(0.0, 0.0, -1.0))], RIM_MM);
        let name = |lobe: &str| format!("lung_{lobe}_lobe_{}", side.name());
        model.paint(&name("upper"), Tissue::Lung, lung.clone());
        if side == Side::Right {
            let middle = intersection(vec![lung.clone(), horizontal(side)], 1.0);
            model.paint(&name("middle"), Tissue::Lung, middle);
        }
        let lower = intersection(vec![lung.clone(), oblique(side)], 1.0);
        model.paint(&name("lower"), Tissue::Lung, lower);
        let fissure = without(offset(&oblique(side), 0.4), vec![offset(&oblique(side), -0.4)], 0.0);
        model.shade(Tissue::FISSURE, intersection(vec![lung.clone(), fissure], 0.0));
        if side == Side::Right && person.has(Variant::AzygosLobe) {
            model.shade(Tissue::FISSURE, intersection(vec![lung, vessels::azygos_fissure()], 0.0));
        }
    }
    model.paint(
        "torso_fat",
        Tissue::FAT,
        intersection(vec![cavities.mediastinum.clone(), cavities.trunk.clone()], 0.0),
    );
    let diaphragm = intersection(
        vec![
            offset(&cavities.below_diaphragm, 3.2),
            cavities.trunk.clone(),
            half_space(vec3(0.0, 0.0, 172.0), vec3(0.0, 0.0, -1.0)),
        ],
        1.0,
    );
    model.paint("diaphragm", Tissue::Muscle, diaphragm);
    // The muscle lines the wall down to its origin, below which the cavity reaches the wall itself.
    let low = intersection(vec![cavities.trunk.clone(), half_space(vec3(0.0, 0.0, 176.0), vec3(0.0, 0.0, 1.0))], 0.0);
    let lined = union(vec![offset(&cavities.trunk, -2.2), low], 0.0);
    let cavity = intersection(vec![cavities.below_diaphragm.clone(), lined], 1.0);
    model.paint("torso_fat", Tissue::FAT, cavity);
    let crus = |side: Side, low: f32| {
        let mut nodes = Vec::new();
        for l in spine.levels.iter().filter(|l| l.center.z > low && l.center.z < 255.0) {
            let x = 11.0 + 0.05 * (l.center.z - low);
            nodes.push(Node {
                at: l.at(side, x, -l.depth / 2.0 - 4.0, 0.0),
                normal: l.axes.y_axis,
                along: 3.5,
                across: 7.0,
            });
        }
        Arc::new(Shape::Tube(Tube::oval(&nodes)))
    };
    // The right crus reaches L3, the left L2.
    model.paint("diaphragm", Tissue::Muscle, union(vec![crus(Side::Right, 90.0), crus(Side::Left, 120.0)], 2.0));
}

/// The oesophagus from the neck to the stomach.
pub(super) const GULLET: [(Vec3, f32); 8] = [
    (vec3(4.0, 2.0, 530.0), 6.6),
    (vec3(5.0, 8.0, 470.0), 6.6),
    (vec3(5.0, 17.0, 420.0), 6.6),
    (vec3(4.0, 21.0, 385.0), 6.6),
    (vec3(6.0, 20.0, 345.0), 6.6),
    (vec3(12.0, 14.0, 305.0), 8.0),
    (vec3(20.0, 2.0, 270.0), 8.5),
    (vec3(32.0, -6.0, 252.0), 9.0),
];

/// Airways of both lungs with the vessels beside and between them: what takes longest to grow, and needs nothing painted.
pub(super) struct LungTrees([(Side, Vec<Piece>, LungVessels); 2]);

impl LungTrees {
    pub(super) fn grow(person: &Person, cavities: &Cavities) -> Self {
        let tree = |side| {
            let airways = bronchi::tree(side, cavities, &mut bronchi::stream(person, side));
            let vessels = LungVessels::grow(person, cavities, side, &airways);
            (side, airways, vessels)
        };
        let (left, right) = rayon::join(|| tree(Side::Left), || tree(Side::Right));
        Self([left, right])
    }
}

pub(super) fn paint_airways(model: &mut Model, trees: LungTrees) {
    let gullet = curve(&GULLET, 8.0);
    let hollow = Tissue::Hollow { wall_mm: 3.4, content: 20.0, gas_before: f32::NEG_INFINITY };
    model.paint("esophagus", hollow, Arc::new(Shape::Tube(Tube::round(&gullet))));
    for side in Side::BOTH {
        let lobe = ellipsoid_along(
            side.at(19.0, -20.0, 488.0),
            Mat3::from_rotation_y(side.sign() * 0.18),
            vec3(9.5, 10.5, 25.0),
        );
        model.paint("thyroid_gland", Tissue::THYROID, lobe);
    }
    model.paint("thyroid_gland", Tissue::THYROID, rod(vec3(-14.0, -26.0, 482.0), 5.0, vec3(14.0, -26.0, 482.0), 5.0));
    let airways = trees.0.map(|(side, airways, vessels)| {
        vessels.paint(model, side);
        (side, airways)
    });
    bronchi::paint(model, &airways);
}
