//! The solid organs of the abdomen other than liver and kidneys, and the stomach.
//!
//! Volumes follow the reference adult male of ICRP Publication 89 (table 2.8): liver 1800 g, spleen 150 g, kidneys 310 g,
//! pancreas 140 g, adrenals 14 g, gallbladder with bile 68 g, bladder with urine 250 g; at 1.03–1.06 g/ml.

use std::sync::Arc;

use glam::vec3;

use super::liver::Liver;
use super::thorax::Cavities;
use super::{Model, Side, kidneys, liver, place};
use crate::options::Person;
use crate::sdf::{
    Form, Shape, Tube, axes_along, ball, ellipsoid, ellipsoid_along, intersection, offset, plate, rod, union, without,
};
use crate::spline::curve;
use crate::tissue::Tissue;

pub(super) fn paint(model: &mut Model, person: &Person, cavities: &Cavities) -> Liver {
    let spleen = intersection(
        vec![
            ellipsoid_along(
                vec3(98.0, 40.0, 236.0),
                axes_along(vec3(-0.30, 0.42, 0.86), vec3(0.6, 0.7, 0.0)),
                vec3(47.0, 33.0, 62.0),
            ),
            offset(&cavities.below_diaphragm, -1.5),
            offset(&cavities.trunk, -3.0),
        ],
        5.0,
    );
    let spleen = without(spleen, vec![ball(vec3(48.0, 8.0, 226.0), 40.0)], 8.0);
    let spleen =
        intersection(vec![place(person, "spleen", 0.6, &spleen), offset(&cavities.below_diaphragm, -1.2)], 0.0);
    model.paint("spleen", Tissue::Spleen, spleen);
    stomach(model, person, cavities);
    let liver = liver::paint(model, person, cavities);
    let bile = curve(
        &[
            (vec3(-38.0, -36.0, 199.0), 3.6),
            (vec3(-43.0, -46.0, 191.0), 10.5),
            (vec3(-48.0, -57.0, 178.0), 18.5),
            (vec3(-55.0, -66.0, 158.0), 20.0),
        ],
        4.0,
    );
    model.paint_of(person, "gallbladder", 0.6, Tissue::BILE, &(Arc::new(Shape::Tube(Tube::round(&bile))) as Form));
    liver
}

fn stomach(model: &mut Model, person: &Person, cavities: &Cavities) {
    let way = curve(
        &[
            (vec3(66.0, 6.0, 248.0), 31.0),
            (vec3(68.0, -14.0, 226.0), 31.0),
            (vec3(62.0, -38.0, 198.0), 28.0),
            (vec3(46.0, -56.0, 172.0), 25.0),
            (vec3(18.0, -62.0, 156.0), 20.0),
            (vec3(-8.0, -58.0, 156.0), 15.0),
            (vec3(-22.0, -50.0, 164.0), 10.0),
        ],
        6.0,
    );
    let cardia = rod(vec3(34.0, -6.0, 250.0), 10.0, vec3(58.0, -2.0, 246.0), 16.0);
    let stomach = union(vec![Arc::new(Shape::Tube(Tube::round(&way))), cardia], 8.0);
    let stomach = place(person, "stomach", 1.0, &stomach);
    let stomach =
        intersection(vec![stomach, offset(&cavities.below_diaphragm, -1.5), offset(&cavities.trunk, -4.0)], 4.0);
    model.paint("stomach", Tissue::Hollow { wall_mm: 3.8, content: 24.0, gas_before: -62.0 }, stomach);
}

pub(super) fn paint_retroperitoneal(model: &mut Model, person: &Person, cavities: &Cavities) {
    for side in Side::BOTH {
        kidneys::paint(model, person, cavities, side, |model| adrenal(model, side));
    }
    let pancreas = curve(
        &[
            (vec3(-24.0, -24.0, 134.0), 18.0),
            (vec3(-23.0, -26.0, 154.0), 20.5),
            (vec3(-8.0, -36.0, 168.0), 15.5),
            (vec3(12.0, -35.0, 180.0), 15.5),
            (vec3(34.0, -16.0, 194.0), 15.5),
            (vec3(58.0, 2.0, 207.0), 15.5),
            (vec3(78.0, 18.0, 216.0), 12.0),
        ],
        5.0,
    );
    model.paint_of(person, "pancreas", 0.6, Tissue::PANCREAS, &(Arc::new(Shape::Tube(Tube::round(&pancreas))) as Form));
    let bladder = union(
        vec![
            ellipsoid(vec3(0.0, -24.0, -88.0), vec3(45.5, 36.0, 37.0)),
            rod(vec3(0.0, -22.0, -108.0), 16.0, vec3(0.0, -18.0, -118.0), 10.0),
        ],
        8.0,
    );
    model.paint_of(person, "urinary_bladder", 0.4, Tissue::BLADDER, &bladder);
}

/// Two thin limbs on a ridge, above and before the kidney's upper pole.
fn adrenal(model: &mut Model, side: Side) {
    let (apex, low) = match side {
        Side::Left => (vec3(36.0, 6.0, 224.0), vec3(35.0, 2.0, 196.0)),
        Side::Right => (vec3(-33.0, 12.0, 232.0), vec3(-33.0, 8.0, 204.0)),
    };
    let lateral = low + side.at(15.0, 20.0, 2.0);
    let medial = low + side.at(-3.0, 22.0, 4.0);
    let form = union(vec![plate(apex, low, lateral, 3.9), plate(apex, low, medial, 3.7)], 2.0);
    model.paint(&format!("adrenal_gland_{}", side.name()), Tissue::ADRENAL, form);
}
