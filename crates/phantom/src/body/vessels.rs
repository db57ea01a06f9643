//! Great arteries and veins.
//!
//! Diameters: aortic root to arch 30–33 mm, descending 24 mm, suprarenal 21 mm, above the bifurcation 18 mm (Erbel et al.,
//! Eur Heart J 2014; 35: 2873, normal men); pulmonary trunk 27 mm (Truong et al., Circ Cardiovasc Imaging 2012; 5: 147);
//! inferior vena cava 20–24 mm, portal vein 12 mm. Iliac arteries: common 10–12 mm, internal
//! 5–6 mm, external and common femoral 9 mm (Johnston et al., J Vasc Surg 1991; 13: 452, men). Coeliac trunk 7 mm, common
//! hepatic 5 mm, splenic 5–6 mm, left gastric 4 mm (Silveira et al., Acta Cir Bras 2009; 24: 43); gastroduodenal and inferior
//! mesenteric arteries 4 mm; arch of the azygos vein under
//! 10 mm (Keats et al., Radiology 1968; 90: 990).

use std::sync::Arc;

use glam::{Vec3, vec3};

use super::heart::{beside_auricle, chambers, place_together};
use super::{Model, Side, findings};
use crate::options::Person;
use crate::sdf::{Form, Shape, Tube, offset, plate, union, without};
use crate::spline::curve;
use crate::tissue::Tissue;
use crate::variants::Variant;

/// A round vessel through stations of position and radius in mm.
pub(super) fn vessel(stations: &[(Vec3, f32)]) -> Form {
    Arc::new(Shape::Tube(Tube::round(&curve(stations, 6.0))))
}

/// A round vessel straight from point to point.
pub(super) fn chain(points: &[(Vec3, f32)]) -> Form {
    Arc::new(Shape::Tube(Tube::round(points)))
}

const fn at(x: f32, y: f32, z: f32, radius: f32) -> (Vec3, f32) {
    (vec3(x, y, z), radius)
}

const AORTA: [(Vec3, f32); 21] = [
    at(14.0, -20.0, 348.0, 14.0),
    at(6.0, -26.0, 357.0, 16.5),
    at(-6.0, -36.0, 370.0, 15.5),
    at(-14.0, -42.0, 386.0, 15.5),
    at(-10.0, -39.0, 403.0, 15.0),
    at(3.0, -29.0, 413.0, 14.5),
    at(17.0, -11.0, 414.0, 13.8),
    at(25.0, 10.0, 408.0, 13.2),
    at(28.0, 27.0, 394.0, 12.8),
    at(28.0, 33.0, 372.0, 12.5),
    at(26.0, 34.0, 340.0, 12.3),
    at(23.0, 31.0, 305.0, 12.0),
    at(17.0, 22.0, 268.0, 11.5),
    at(11.0, 10.0, 235.0, 11.0),
    at(8.0, 1.0, 205.0, 10.6),
    at(6.0, -6.0, 175.0, 10.2),
    at(5.0, -12.0, 145.0, 9.6),
    at(4.0, -14.0, 115.0, 9.3),
    at(3.0, -14.0, 90.0, 9.1),
    at(2.0, -12.0, 70.0, 9.0),
    at(1.0, -10.0, 60.0, 9.5),
];

const INFERIOR_CAVA: [(Vec3, f32); 11] = [
    at(-15.0, -7.0, 36.0, 10.5),
    at(-17.0, -9.0, 55.0, 10.5),
    at(-18.5, -11.0, 90.0, 10.5),
    at(-19.0, -11.0, 125.0, 11.0),
    at(-20.0, -9.0, 160.0, 11.5),
    at(-22.0, -8.0, 195.0, 11.5),
    at(-25.0, -9.0, 230.0, 12.0),
    at(-27.0, -12.0, 258.0, 12.5),
    at(-28.0, -16.0, 275.0, 12.5),
    at(-28.0, -20.0, 292.0, 12.5),
    at(-28.0, -23.0, 300.0, 12.5),
];

const SUPERIOR_CAVA: [(Vec3, f32); 6] = [
    at(-22.0, -38.0, 417.0, 9.5),
    at(-29.0, -36.0, 405.0, 9.8),
    at(-32.0, -32.0, 385.0, 10.0),
    at(-31.0, -29.0, 365.0, 10.0),
    at(-29.0, -28.0, 350.0, 10.5),
    at(-28.0, -28.0, 342.0, 10.5),
];

/// Up the right of the spine and over the right main bronchus.
const AZYGOS: [(Vec3, f32); 11] = [
    at(-9.0, 10.0, 205.0, 2.6),
    at(-9.0, 18.5, 245.0, 2.8),
    at(-9.0, 25.5, 290.0, 3.1),
    at(-10.0, 29.0, 335.0, 3.4),
    at(-11.0, 28.0, 370.0, 3.7),
    at(-14.0, 24.0, 388.0, 4.0),
    at(-20.0, 15.0, 396.0, 4.3),
    at(-26.0, 0.0, 397.0, 4.5),
    at(-30.0, -15.0, 393.0, 4.5),
    at(-32.0, -25.0, 389.0, 4.5),
    at(-32.0, -31.0, 387.0, 4.5),
];

/// The same where it has sunk through the upper lobe: its arch runs out and up, and hangs in a fold of the pleura.
const LATERAL_AZYGOS: [(Vec3, f32); 11] = [
    at(-9.0, 10.0, 205.0, 2.6),
    at(-9.0, 18.5, 245.0, 2.8),
    at(-9.0, 25.5, 290.0, 3.1),
    at(-10.0, 29.0, 335.0, 3.4),
    at(-12.0, 29.0, 385.0, 3.7),
    at(-26.0, 26.0, 404.0, 4.0),
    at(-44.0, 14.0, 412.0, 4.3),
    at(-53.0, -2.0, 410.0, 4.5),
    at(-51.0, -18.0, 404.0, 4.5),
    at(-41.0, -28.0, 399.0, 4.5),
    at(-31.0, -33.0, 396.0, 4.5),
];

/// The fold of pleura over that arch, up to the apex.
pub(super) fn azygos_fissure() -> Form {
    let sheet = [AZYGOS_FOLD[0], AZYGOS_FOLD[1], AZYGOS_FOLD[2]];
    union(vec![plate(sheet[0], sheet[1], sheet[2], 0.5), plate(sheet[1], sheet[2], AZYGOS_FOLD[3], 0.5)], 0.0)
}

const AZYGOS_FOLD: [Vec3; 4] =
    [vec3(-30.0, 30.0, 404.0), vec3(-47.0, -28.0, 404.0), vec3(-16.0, 30.0, 470.0), vec3(-30.0, -20.0, 470.0)];

pub(super) fn paint(model: &mut Model, person: &Person) {
    veins(model, person);
    pulmonary(model, person);
    arteries(model, person);
}

fn veins(model: &mut Model, person: &Person) {
    for side in Side::BOTH {
        let name = |vessel: &str| format!("{vessel}_{}", side.name());
        let common = match side {
            Side::Left => side.at(12.0, -2.0, 22.0),
            Side::Right => side.at(24.0, 0.0, 16.0),
        };
        let parting = side.at(42.0, 22.0, -20.0);
        let inguinal = side.at(70.0, -46.0, -108.0);
        let common = [at(-15.0, -6.0, 38.0, 9.0), (common, 8.0), (parting, 7.5)];
        let external =
            [(parting, 6.8), (side.at(58.0, 12.0, -52.0), 6.8), (side.at(66.0, -22.0, -84.0), 6.8), (inguinal, 6.8)];
        // Behind and lateral to its artery.
        let fork = side.at(47.0, 44.0, -46.0);
        let internal = [(parting, 5.0), (side.at(45.0, 33.0, -33.0), 4.6), (fork, 4.2)];
        let anterior = [(fork, 3.4), (side.at(51.0, 42.0, -58.0), 3.2), (side.at(55.0, 33.0, -84.0), 2.6)];
        let posterior = [(fork, 3.0), (side.at(50.0, 57.0, -52.0), 2.7), (side.at(55.0, 62.0, -58.0), 2.4)];
        let internal = union(vec![vessel(&internal), vessel(&anterior), vessel(&posterior)], 1.5);
        let femoral = [(inguinal, 6.8), (side.at(74.0, -50.0, -140.0), 6.5), (side.at(80.0, -42.0, -260.0), 6.0)];
        model.paint(&name("internal_iliac_vein"), Tissue::VEIN, internal);
        model.paint(&name("femoral_vein"), Tissue::VEIN, vessel(&femoral));
        model.paint(&name("external_iliac_vein"), Tissue::VEIN, vessel(&external));
        model.paint(&name("iliac_vena"), Tissue::VEIN, vessel(&common));
        let arm = [
            (side.at(28.0, -33.0, 434.0), 6.0),
            (side.at(62.0, -34.0, 437.0), 5.5),
            (side.at(98.0, -22.0, 428.0), 5.5),
            (side.at(140.0, 2.0, 404.0), 5.0),
            (side.at(162.0, 16.0, 380.0), 4.0),
        ];
        let neck = [
            (side.at(27.0, -33.0, 434.0), 6.0),
            (side.at(32.0, -31.0, 460.0), 6.5),
            (side.at(34.0, -22.0, 530.0), 6.0),
        ];
        model.paint(&name("subclavian_vein"), Tissue::VEIN, vessel(&arm));
        model.paint(&name("jugular_vein"), Tissue::VEIN, vessel(&neck));
        let trunk = match side {
            Side::Left => vec![
                at(26.0, -34.0, 433.0, 6.2),
                at(10.0, -40.0, 427.0, 6.2),
                at(-9.0, -42.0, 421.0, 6.2),
                at(-23.0, -38.0, 415.0, 7.0),
            ],
            Side::Right => {
                vec![at(-26.0, -34.0, 433.0, 6.5), at(-27.0, -37.0, 424.0, 7.5), at(-25.0, -38.0, 415.0, 8.5)]
            }
        };
        model.paint(&name("brachiocephalic_vein"), Tissue::VEIN, vessel(&trunk));
    }
    model.paint("portal_vein_and_splenic_vein", Tissue::PORTAL, portal());
    for side in Side::BOTH {
        let renal = match side {
            Side::Left => vec![
                at(42.0, 20.0, 172.0, 5.0),
                at(20.0, -16.0, 168.0, 5.0),
                at(2.0, -23.0, 164.0, 4.6),
                at(-18.0, -10.0, 160.0, 5.0),
            ],
            Side::Right => vec![at(-42.0, 20.0, 158.0, 5.0), at(-20.0, -9.0, 158.0, 5.2)],
        };
        model.paint(&format!("renal_vein_{}", side.name()), Tissue::VEIN, vessel(&renal));
    }
    model.paint("inferior_vena_cava", Tissue::VEIN, inferior_cava());
    let azygos: &[(Vec3, f32)] = if person.has(Variant::AzygosLobe) { &LATERAL_AZYGOS } else { &AZYGOS };
    model.paint("azygos_vein", Tissue::VEIN, vessel(azygos));
    model.paint("superior_vena_cava", Tissue::VEIN, vessel(&SUPERIOR_CAVA));
}

/// The inferior vena cava.
pub(super) fn inferior_cava() -> Form {
    vessel(&INFERIOR_CAVA)
}

/// Portal, splenic and superior mesenteric veins up to the hilum of the liver.
pub(super) fn portal() -> Form {
    let portal = [
        at(92.0, 34.0, 232.0, 4.0),
        at(76.0, 20.0, 222.0, 4.3),
        at(50.0, 2.0, 206.0, 4.5),
        at(24.0, -16.0, 188.0, 5.0),
        at(-2.0, -26.0, 178.0, 6.0),
        at(-16.0, -26.0, 192.0, 6.2),
        at(-30.0, -26.0, 212.0, 6.2),
    ];
    let mesenteric = [
        at(-3.0, -26.0, 178.0, 5.5),
        at(-6.0, -28.0, 155.0, 5.0),
        at(-4.0, -32.0, 110.0, 4.0),
        at(-2.0, -36.0, 80.0, 3.0),
    ];
    union(vec![vessel(&portal), vessel(&mesenteric)], 3.0)
}

/// A straight piece of a vessel: its ends with their radii in mm.
pub(super) type Branch = [(Vec3, f32); 2];

const PULMONARY_TRUNK: [(Vec3, f32); 4] = [
    at(22.0, -52.0, 354.0, 13.0),
    at(22.0, -46.0, 366.0, 13.5),
    at(18.0, -34.0, 377.0, 13.5),
    at(13.0, -22.0, 381.0, 12.0),
];

const RIGHT_PULMONARY_ARTERY: [(Vec3, f32); 5] = [
    at(13.0, -22.0, 381.0, 10.5),
    at(-6.0, -14.0, 379.0, 10.0),
    at(-28.0, -9.0, 374.0, 9.5),
    at(-46.0, -4.0, 362.0, 8.0),
    at(-56.0, 8.0, 340.0, 6.0),
];

const LEFT_PULMONARY_ARTERY: [(Vec3, f32); 5] = [
    at(18.0, -30.0, 378.0, 10.5),
    at(32.0, -10.0, 387.0, 10.0),
    at(46.0, 6.0, 378.0, 9.0),
    at(56.0, 16.0, 362.0, 7.5),
    at(64.0, 22.0, 340.0, 6.0),
];

/// Right upper and lower, left upper and lower, from the left atrium to the lungs.
const PULMONARY_VEINS: [[(Vec3, f32); 3]; 4] = [
    [at(-16.0, -4.0, 352.0, 7.0), at(-35.0, -9.0, 351.0, 6.0), at(-50.0, -19.0, 352.0, 5.0)],
    [at(-16.0, 2.0, 338.0, 7.0), at(-28.0, 10.0, 326.0, 5.8), at(-40.0, 23.0, 314.0, 5.0)],
    [at(26.0, 0.0, 359.0, 6.5), at(44.0, -3.0, 364.0, 5.5), at(58.0, -5.0, 365.0, 5.0)],
    [at(22.0, 9.0, 342.0, 6.5), at(38.0, 23.0, 330.0, 5.8), at(50.0, 29.0, 316.0, 5.0)],
];

/// Where the arteries and veins of a lung enter it.
pub(super) fn hilum(side: Side) -> Vec3 {
    match side {
        Side::Left => vec3(56.0, 10.0, 350.0),
        Side::Right => vec3(-46.0, 4.0, 350.0),
    }
}

/// Ends of the upper and the lower pulmonary vein.
pub(super) fn venous_roots(side: Side) -> [Vec3; 2] {
    let [right_upper, right_lower, left_upper, left_lower] = PULMONARY_VEINS.map(|vein| vein[2].0);
    match side {
        Side::Left => [left_upper, left_lower],
        Side::Right => [right_upper, right_lower],
    }
}

/// The arteries of a lung from which the segments are supplied, the last part of the pulmonary artery among them.
pub(super) fn lobar_arteries(side: Side) -> Vec<Vec<(Vec3, f32)>> {
    match side {
        Side::Left => vec![vec![
            LEFT_PULMONARY_ARTERY[2],
            LEFT_PULMONARY_ARTERY[3],
            LEFT_PULMONARY_ARTERY[4],
            at(69.0, 29.0, 322.0, 4.6),
        ]],
        Side::Right => vec![
            vec![at(-26.0, -9.0, 375.0, 6.5), at(-42.0, -12.0, 383.0, 5.6), at(-53.0, -9.0, 390.0, 4.6)],
            vec![RIGHT_PULMONARY_ARTERY[3], RIGHT_PULMONARY_ARTERY[4], at(-60.0, 17.0, 322.0, 4.6)],
        ],
    }
}

fn pulmonary(model: &mut Model, person: &Person) {
    // They end in the left atrium, behind the ventricle.
    let ventricle = place_together(person, &chambers().left_wall);
    let veins = without(pulmonary_veins(), vec![offset(&ventricle, 0.5)], 1.0);
    model.paint("pulmonary_vein", Tissue::HEART_BLOOD, beside_auricle(person, veins));
    model.paint("pulmonary_artery", Tissue::HEART_BLOOD, beside_auricle(person, pulmonary_arteries()));
}

/// The four pulmonary veins.
pub(super) fn pulmonary_veins() -> Form {
    union(PULMONARY_VEINS.iter().map(|v| vessel(v)).collect(), 3.0)
}

/// The pulmonary trunk and its two branches.
pub(super) fn pulmonary_arteries() -> Form {
    union(vec![pulmonary_trunk(), vessel(&RIGHT_PULMONARY_ARTERY), vessel(&LEFT_PULMONARY_ARTERY)], 4.0)
}

/// The pulmonary trunk up to where it forks.
pub(super) fn pulmonary_trunk() -> Form {
    vessel(&PULMONARY_TRUNK)
}

/// The whole aorta.
pub(super) fn aorta() -> Form {
    vessel(&AORTA)
}

fn arteries(model: &mut Model, person: &Person) {
    for side in Side::BOTH {
        let name = |vessel: &str| format!("{vessel}_{}", side.name());
        let fork = side.at(35.0, -2.0, 2.0);
        let inguinal = side.at(80.0, -50.0, -106.0);
        // The right one crosses before the veins' confluence.
        let [near, far] = match side {
            Side::Left => [side.at(14.0, -15.0, 38.0), side.at(26.0, -12.0, 18.0)],
            Side::Right => [side.at(13.0, -23.0, 38.0), side.at(25.0, -14.0, 18.0)],
        };
        let common = [at(1.0, -11.0, 60.0, 6.5), (near, 5.3), (far, 5.1), (fork, 4.9)];
        let external =
            [(fork, 4.6), (side.at(50.0, 4.0, -38.0), 4.5), (side.at(66.0, -24.0, -70.0), 4.5), (inguinal, 4.5)];
        let parting = side.at(37.0, 36.0, -34.0);
        // Before the vein, behind the ureter.
        let internal =
            [(fork, 2.9), (side.at(32.5, 8.0, -14.0), 2.8), (side.at(33.0, 18.0, -23.0), 2.8), (parting, 2.7)];
        let anterior = [(parting, 2.3), (side.at(44.0, 38.0, -58.0), 2.0), (side.at(48.0, 28.0, -84.0), 1.8)];
        let posterior = [(parting, 2.3), (side.at(44.0, 56.0, -50.0), 2.2), (side.at(52.0, 72.0, -64.0), 2.0)];
        let femoral = [(inguinal, 4.5), (side.at(86.0, -54.0, -140.0), 4.4), (side.at(88.0, -44.0, -260.0), 4.0)];
        let internal = union(vec![vessel(&internal), vessel(&anterior), vessel(&posterior)], 1.5);
        model.paint(&name("internal_iliac_artery"), Tissue::ARTERY, internal);
        model.paint(&name("femoral_artery"), Tissue::ARTERY, vessel(&femoral));
        model.paint(&name("external_iliac_artery"), Tissue::ARTERY, vessel(&external));
        model.paint(&name("iliac_artery"), Tissue::ARTERY, vessel(&common));
        let renal = match side {
            Side::Left => vec![at(5.0, -6.0, 174.0, 3.0), at(24.0, 2.0, 172.0, 2.8), at(42.0, 22.0, 176.0, 2.6)],
            Side::Right => vec![at(5.0, -6.0, 170.0, 3.0), at(-18.0, 5.0, 166.0, 2.8), at(-42.0, 22.0, 163.0, 2.6)],
        };
        model.paint(&name("renal_artery"), Tissue::ARTERY, vessel(&renal));
        if side == Side::Left && person.has(Variant::AccessoryRenalArtery) {
            let lower = [
                at(5.0, -8.0, 132.0, 2.0),
                at(26.0, 1.0, 134.0, 1.9),
                at(46.0, 14.0, 138.0, 1.8),
                at(60.0, 22.0, 142.0, 1.7),
            ];
            model.paint("accessory_renal_artery_left", Tissue::ARTERY, vessel(&lower));
        }
    }
    let innominate = [at(-6.0, -35.0, 408.0, 6.2), at(-11.0, -26.0, 424.0, 5.6), at(-21.0, -19.0, 440.0, 5.6)];
    let carotid = |side: Side, from: &[(Vec3, f32)]| {
        let mut stations = from.to_vec();
        stations.extend([
            (side.at(25.0, -16.0, 462.0), 3.6),
            (side.at(25.0, -12.0, 490.0), 3.5),
            (side.at(26.0, -8.0, 530.0), 3.5),
        ]);
        vessel(&stations)
    };
    let subclavian = |side: Side, from: &[(Vec3, f32)]| {
        let mut stations = from.to_vec();
        stations.extend([
            (side.at(40.0, -8.0, 456.0), 4.6),
            (side.at(68.0, -14.0, 448.0), 4.4),
            (side.at(100.0, -6.0, 432.0), 4.2),
            (side.at(142.0, 12.0, 408.0), 4.0),
            (side.at(164.0, 22.0, 380.0), 3.5),
        ]);
        vessel(&stations)
    };
    let aberrant = person.has(Variant::AberrantRightSubclavian);
    // Without the subclavian artery there is no trunk to share.
    if !aberrant {
        model.paint("brachiocephalic_trunk", Tissue::ARTERY, vessel(&innominate));
    }
    let right: &[(Vec3, f32)] = if aberrant {
        &[at(-6.0, -35.0, 408.0, 4.2), at(-12.0, -27.0, 424.0, 3.9), at(-21.0, -20.0, 441.0, 3.8)]
    } else {
        &[at(-20.0, -19.5, 439.0, 4.0)]
    };
    model.paint("common_carotid_artery_right", Tissue::ARTERY, carotid(Side::Right, right));
    let left: &[(Vec3, f32)] = if person.has(Variant::CommonTrunk) && !aberrant {
        &[at(-7.0, -33.5, 412.0, 4.4), at(2.0, -30.0, 427.0, 4.0), at(14.0, -22.0, 443.0, 3.8)]
    } else {
        &[at(8.0, -22.0, 413.0, 4.2), at(15.0, -20.0, 432.0, 3.8)]
    };
    model.paint("common_carotid_artery_left", Tissue::ARTERY, carotid(Side::Left, left));
    let right: &[(Vec3, f32)] = if aberrant {
        &[
            at(24.0, 14.0, 409.0, 6.0),
            at(15.0, 26.5, 416.0, 4.8),
            at(2.0, 28.0, 424.0, 4.4),
            at(-14.0, 16.0, 438.0, 4.4),
        ]
    } else {
        &[at(-21.0, -18.5, 440.0, 5.0)]
    };
    model.paint("subclavian_artery_right", Tissue::ARTERY, subclavian(Side::Right, right));
    model.paint(
        "subclavian_artery_left",
        Tissue::ARTERY,
        subclavian(Side::Left, &[at(20.0, -4.0, 412.0, 5.0), at(26.0, -2.0, 436.0, 4.8)]),
    );
    abdominal(model, person);
    model.paint("aorta", Tissue::ARTERY, offset(&aorta(), person.aorta_gain_mm()));
}

/// Where a replaced right hepatic artery enters the liver.
pub(super) const REPLACED_END: Vec3 = vec3(-40.0, -28.0, 201.0);

/// A plaque in the left common carotid artery, near the upper end of what is scanned, and the lumen it leaves.
pub(super) fn narrowed_carotid(percent: f32) -> [Form; 2] {
    let course = [(Side::Left.at(25.0, -16.0, 462.0), 3.6), (Side::Left.at(25.0, -12.0, 490.0), 3.5)];
    findings::narrowed(&curve(&course, 1.5), [3.0, 23.0], percent)
}

/// The unpaired branches of the abdominal aorta.
fn abdominal(model: &mut Model, person: &Person) {
    let celiac = [at(7.0, -2.0, 196.0, 3.6), at(6.0, -22.0, 197.0, 3.4)];
    let hepatic = [
        at(6.0, -22.0, 197.0, 2.8),
        at(-8.0, -34.0, 195.0, 2.6),
        at(-18.0, -37.0, 199.0, 2.3),
        at(-25.0, -37.0, 203.0, 2.2),
    ];
    let splenic = [
        at(6.0, -22.0, 197.0, 2.8),
        at(28.0, -10.0, 208.0, 2.7),
        at(54.0, 8.0, 216.0, 2.6),
        at(88.0, 30.0, 236.0, 2.4),
    ];
    let gastric = [
        at(6.0, -21.0, 198.0, 2.0),
        at(13.0, -11.0, 210.0, 1.9),
        at(24.0, 0.0, 226.0, 1.8),
        at(33.0, -3.0, 241.0, 1.7),
    ];
    let gastroduodenal = [at(-10.0, -35.0, 195.0, 2.0), at(-14.0, -44.0, 180.0, 1.9), at(-16.0, -46.0, 160.0, 1.7)];
    model.paint("left_gastric_artery", Tissue::ARTERY, vessel(&gastric));
    model.paint("gastroduodenal_artery", Tissue::ARTERY, vessel(&gastroduodenal));
    model.paint("splenic_artery", Tissue::ARTERY, vessel(&splenic));
    model.paint("hepatic_artery", Tissue::ARTERY, vessel(&hepatic));
    model.paint("celiac_trunk", Tissue::ARTERY, vessel(&celiac));
    if person.has(Variant::ReplacedRightHepaticArtery) {
        // Between the portal vein and the vena cava to the right of the hilum.
        let replaced = [
            at(5.0, -25.0, 171.0, 2.4),
            at(-4.0, -18.0, 173.0, 2.3),
            at(-10.0, -16.5, 181.0, 2.2),
            at(-22.0, -22.5, 189.0, 2.1),
            at(-33.0, -26.0, 197.0, 2.0),
            (REPLACED_END, 2.0),
        ];
        model.paint("replaced_right_hepatic_artery", Tissue::ARTERY, vessel(&replaced));
    }
    let superior = [
        at(6.0, -6.0, 182.0, 3.6),
        at(5.0, -24.0, 172.0, 3.5),
        at(5.0, -30.0, 150.0, 3.4),
        at(5.0, -34.0, 105.0, 3.0),
        at(4.0, -38.0, 78.0, 2.4),
    ];
    model.paint("superior_mesenteric_artery", Tissue::ARTERY, vessel(&superior));
    let inferior = [
        at(4.0, -20.0, 99.0, 2.1),
        at(12.0, -26.0, 84.0, 2.0),
        at(22.0, -25.0, 58.0, 1.9),
        at(27.0, -18.0, 30.0, 1.7),
        at(26.0, -8.0, 4.0, 1.5),
    ];
    model.paint("inferior_mesenteric_artery", Tissue::ARTERY, vessel(&inferior));
}
