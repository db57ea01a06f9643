//! Skin, subcutaneous fat and the muscles' common envelope.
//!
//! Breadths and depths follow the male medians of Pheasant and Haslegrave (Bodyspace, 3rd ed. 2006): shoulder breadth
//! (bideltoid) 465–510 mm, chest depth 230–250 mm, hip breadth 350–360 mm, abdominal depth 220–270 mm. Skin is 2 mm thick.
//! Other people's figures lie a layer of fat further out or in; a woman's has breasts and wider hips.

use std::sync::{Arc, LazyLock};

use glam::vec3;

use super::{Model, Side};
use crate::options::{Person, Sex};
use crate::sdf::{Form, Loft, Section, Shape, ellipsoid, half_space, intersection, offset, plate, rod, union, without};
use crate::tissue::Tissue;

/// Thickness of the skin in mm.
const SKIN_MM: f32 = 2.2;

/// A cross-section of the trunk's skin, and the fat below it in mm: side, front, back.
struct Trunk(f32, [f32; 4], [f32; 2], f32, [f32; 3]);

/// z; half width, front, back, widest line; exponents front and back; furrow; fat.
#[rustfmt::skip]
const TRUNK: [Trunk; 17] = [
    Trunk(-190.0, [120.0, -70.0,  80.0,  5.0], [2.3, 2.3],  0.0, [18.0, 14.0, 20.0]),
    Trunk(-150.0, [160.0, -86.0, 104.0,  8.0], [2.4, 2.4],  6.0, [20.0, 14.0, 24.0]),
    Trunk(-105.0, [176.0, -98.0, 112.0, 10.0], [2.4, 2.4],  9.0, [19.0, 15.0, 24.0]),
    Trunk( -60.0, [172.0, -106.0, 112.0, 10.0], [2.4, 2.4], 8.0, [19.0, 18.0, 22.0]),
    Trunk( -10.0, [163.0, -112.0, 104.0,  8.0], [2.4, 2.5], 6.0, [19.0, 20.0, 16.0]),
    Trunk(  45.0, [154.0, -114.0,  98.0,  5.0], [2.3, 2.6], 7.0, [19.0, 21.0, 14.0]),
    Trunk( 100.0, [148.0, -111.0,  96.0,  4.0], [2.3, 2.6], 8.0, [15.0, 17.0, 12.0]),
    Trunk( 160.0, [149.0, -110.0,  99.0,  5.0], [2.3, 2.6], 8.0, [10.0, 10.0, 10.0]),
    Trunk( 220.0, [155.0, -113.0, 107.0,  7.0], [2.4, 2.6], 8.0, [ 9.0,  7.5,  9.0]),
    Trunk( 280.0, [163.0, -115.0, 116.0, 10.0], [2.6, 2.6], 7.0, [ 9.0,  9.0,  8.0]),
    Trunk( 335.0, [170.0, -114.0, 124.0, 14.0], [2.7, 2.6], 6.0, [ 9.0,  8.0,  8.0]),
    Trunk( 380.0, [168.0, -103.0, 127.0, 18.0], [2.6, 2.6], 5.0, [ 9.0,  8.0,  8.0]),
    Trunk( 415.0, [150.0, -83.0, 124.0, 22.0], [2.4, 2.5],  4.0, [ 8.0,  8.0,  8.0]),
    Trunk( 445.0, [114.0, -66.0, 115.0, 24.0], [2.2, 2.4],  3.0, [ 8.0,  7.0,  8.0]),
    Trunk( 472.0, [ 76.0, -55.0, 100.0, 22.0], [2.1, 2.2],  2.0, [ 7.0,  6.0,  8.0]),
    Trunk( 500.0, [ 62.0, -56.0,  84.0, 18.0], [2.0, 2.0],  2.0, [ 6.0,  5.0,  7.0]),
    Trunk( 540.0, [ 59.0, -60.0,  72.0, 12.0], [2.0, 2.0],  2.0, [ 6.0,  5.0,  7.0]),
];

fn trunk(inset: impl Fn(&Trunk) -> [f32; 3]) -> Form {
    let sections = TRUNK.each_ref().map(|t| {
        let [side, before, behind] = inset(t);
        let Trunk(z, [half_width, front, back, widest], power, furrow, _) = *t;
        Section {
            z,
            half_width: half_width - side,
            front: front + before,
            back: back - behind,
            widest,
            power,
            furrow: [furrow, 16.0],
        }
    });
    Arc::new(Shape::Loft(Arc::new(Loft::new(&sections))))
}

/// The trunk closed at the perineum, with thighs, buttocks, shoulders and upper-arm stumps, all shrunk by some mm.
fn figure(trunk: Form, inset: f32) -> Form {
    let closed = intersection(vec![trunk, half_space(vec3(0.0, 0.0, -158.0 + inset), vec3(0.0, 0.0, -1.0))], 45.0);
    let mut forms = vec![closed];
    for side in Side::BOTH {
        let thigh = rod(side.at(84.0, 8.0, -95.0), 84.0 - inset, side.at(94.0, 4.0, -260.0), 79.0 - inset);
        let buttock = ellipsoid(side.at(66.0, 66.0, -94.0), vec3(68.0, 60.0, 86.0) - inset);
        let before = rod(side.at(40.0, -23.0, 432.0), 44.0 - inset, side.at(142.0, 8.0, 434.0), 40.0 - inset);
        let behind = rod(side.at(36.0, 74.0, 430.0), 48.0 - inset, side.at(126.0, 70.0, 430.0), 47.0 - inset);
        let slope = rod(side.at(34.0, 30.0, 478.0), 32.0 - inset, side.at(140.0, 38.0, 446.0), 34.0 - inset);
        let shoulder = rod(side.at(120.0, 42.0, 432.0), 48.0 - inset, side.at(168.0, 36.0, 427.0), 48.0 - inset);
        let deltoid = rod(side.at(172.0, 33.0, 426.0), 48.0 - inset, side.at(177.0, 28.0, 396.0), 41.0 - inset);
        let axilla = rod(side.at(150.0, 44.0, 396.0), 38.0 - inset, side.at(136.0, 44.0, 320.0), 34.0 - inset);
        let breast = ellipsoid(side.at(72.0, -70.0, 352.0), vec3(66.0, 44.0, 50.0) - inset);
        forms.extend([thigh, buttock, before, behind, slope, shoulder, deltoid, axilla, breast]);
    }
    union(forms, 26.0)
}

/// The skin's outer surface, over `fat_mm` more fat than the reference adult's.
fn skin(sex: Sex, fat_mm: f32) -> Form {
    let navel = ellipsoid(vec3(0.0, -117.0 - fat_mm, 52.0), vec3(5.5, 9.0, 7.0));
    let mut figure = figure(trunk(|_| [0.0; 3]), 0.0);
    if sex == Sex::Female {
        let breasts = Side::BOTH.map(|side| ellipsoid(side.at(76.0, -84.0, 338.0), vec3(58.0, 54.0, 56.0)));
        let hips = Side::BOTH.map(|side| ellipsoid(side.at(104.0, 20.0, -112.0), vec3(80.0, 84.0, 110.0)));
        figure = union([vec![figure], breasts.to_vec(), hips.to_vec()].concat(), 22.0);
    }
    let figure = if fat_mm == 0.0 { figure } else { offset(&figure, fat_mm) };
    without(figure, vec![navel], 6.0)
}

/// What the deep fascia encloses, alike in all people.
pub(super) fn fascia() -> Form {
    static FASCIA: LazyLock<Form> = LazyLock::new(drawn_fascia);
    FASCIA.clone()
}

fn drawn_fascia() -> Form {
    let extra = SKIN_MM;
    let trunk = trunk(|t| t.4.map(|fat| fat + extra));
    let mut forms = vec![intersection(vec![trunk, half_space(vec3(0.0, 0.0, -140.0), vec3(0.0, 0.0, -1.0))], 40.0)];
    for side in Side::BOTH {
        let thigh = rod(side.at(86.0, 6.0, -115.0), 66.0, side.at(95.0, 3.0, -260.0), 65.0);
        let buttock = ellipsoid(side.at(62.0, 62.0, -80.0), vec3(52.0, 42.0, 58.0));
        let before = rod(side.at(40.0, -21.0, 428.0), 36.0, side.at(140.0, 8.0, 430.0), 32.0);
        let behind = rod(side.at(36.0, 72.0, 424.0), 42.0, side.at(124.0, 68.0, 426.0), 40.0);
        let trapezius = rod(side.at(36.0, 34.0, 472.0), 24.0, side.at(140.0, 40.0, 444.0), 26.0);
        let shoulder = rod(side.at(120.0, 42.0, 430.0), 40.0, side.at(164.0, 36.0, 424.0), 40.0);
        let deltoid = rod(side.at(172.0, 33.0, 426.0), 41.0, side.at(177.0, 28.0, 397.0), 35.0);
        let latissimus = rod(side.at(148.0, 44.0, 396.0), 30.0, side.at(136.0, 44.0, 320.0), 24.0);
        let pectoral = ellipsoid(side.at(70.0, -68.0, 362.0), vec3(62.0, 37.0, 44.0));
        forms.extend([thigh, buttock, before, behind, trapezius, shoulder, deltoid, latissimus, pectoral]);
    }
    union(forms, 14.0)
}

pub(super) fn paint(model: &mut Model, person: &Person) {
    let skin = skin(person.physique().sex, person.fat_mm());
    let below = offset(&skin, -SKIN_MM);
    model.paint("skin", Tissue::SKIN, skin);
    model.paint("subcutaneous_fat", Tissue::FAT, below.clone());
    // Never closer to the skin than a few millimetres of fat.
    let muscle = intersection(vec![fascia(), offset(&below, -3.5)], 3.0);
    model.paint("skeletal_muscle", Tissue::Muscle, muscle);
    planes(model);
}

/// Thin sheets of fat between the layers of the wall, which show in the scan and belong to the muscles.
fn planes(model: &mut Model) {
    let fascia = fascia();
    let sheet = |depth: f32, thick: f32| without(offset(&fascia, -depth), vec![offset(&fascia, -depth - thick)], 0.0);
    let between = |low: f32, high: f32| {
        [half_space(vec3(0.0, 0.0, low), vec3(0.0, 0.0, -1.0)), half_space(vec3(0.0, 0.0, high), vec3(0.0, 0.0, 1.0))]
    };
    let thorax = [vec![sheet(10.0, 1.3)], between(190.0, 425.0).to_vec()].concat();
    model.shade(Tissue::FAT, intersection(thorax, 0.0));
    for side in Side::BOTH {
        let flank = half_space(side.at(68.0, 0.0, 0.0), side.at(-1.0, 0.0, 0.0));
        for depth in [5.0, 10.5] {
            let mut parts = vec![sheet(depth, 1.1), flank.clone()];
            parts.extend(between(18.0, 185.0));
            model.shade(Tissue::FAT, intersection(parts, 0.0));
        }
        let deltoid = ellipsoid(side.at(167.0, 36.0, 424.0), vec3(36.0, 36.0, 76.0));
        let shell = without(deltoid.clone(), vec![offset(&deltoid, -1.3)], 0.0);
        model.shade(Tissue::FAT, intersection(vec![shell, fascia.clone()], 0.0));
        // Septa of the thigh, out from the femur.
        for (x, y) in [(48.0, -20.0), (120.0, -62.0), (166.0, -10.0), (128.0, 66.0), (56.0, 52.0)] {
            let (inner, outer) = (side.at(130.0, 8.0, -175.0), side.at(x, y, -175.0));
            let drop = vec3(0.0, 0.0, -90.0);
            let forms = vec![plate(inner, outer, outer + drop, 0.8), plate(inner, inner + drop, outer + drop, 0.8)];
            model.shade(Tissue::FAT, union(forms, 0.0));
        }
    }
}

/// Fat round the vessels of armpit, groin and neck, and beside the anal canal.
pub(super) fn paint_recesses(model: &mut Model) {
    for side in Side::BOTH {
        let recesses = vec![
            rod(side.at(70.0, -24.0, 440.0), 11.0, side.at(104.0, -10.0, 426.0), 15.0),
            rod(side.at(104.0, -10.0, 426.0), 15.0, side.at(146.0, 14.0, 398.0), 15.0),
            rod(side.at(29.0, -24.0, 450.0), 12.0, side.at(31.0, -14.0, 540.0), 12.0),
            rod(side.at(70.0, -42.0, -96.0), 12.0, side.at(80.0, -54.0, -122.0), 16.0),
            rod(side.at(80.0, -54.0, -122.0), 16.0, side.at(85.0, -48.0, -260.0), 13.0),
            ellipsoid(side.at(32.0, 46.0, -138.0), vec3(16.0, 26.0, 26.0)),
        ];
        model.paint("torso_fat", Tissue::FAT, intersection(vec![union(recesses, 8.0), fascia()], 2.0));
    }
}
