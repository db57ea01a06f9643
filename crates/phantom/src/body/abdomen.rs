//! The solid organs of the abdomen.
//!
//! Volumes follow the reference adult male of ICRP Publication 89 (table 2.8): liver 1800 g, spleen 150 g, kidneys 310 g,
//! pancreas 140 g, adrenals 14 g, gallbladder with bile 68 g, bladder with urine 250 g; at 1.03–1.06 g/ml.

use std::sync::Arc;

use glam::{Mat3, Vec3, vec3};

use super::thorax::Cavities;
use super::tree::{Growth, grow};
use super::vessels::vessel;
use super::{Model, Side, place};
use crate::options::Person;
use crate::sdf::{
    Form, Shape, Tube, axes_along, ball, ellipsoid, ellipsoid_along, half_space, intersection, offset, plate, rod,
    union, without,
};
use crate::spline::curve;
use crate::tissue::Tissue;

/// Where there is room for a lesion of 25 mm between the vessels, in segment VI–VII of the right lobe.
pub(super) const LESION: Vec3 = vec3(-92.0, 18.0, 212.0);
const LESION_RADIUS_MM: f32 = 12.5;

/// The liver as a dome under the diaphragm, cut by its sloping lower border and its visceral face.
fn liver(cavities: &Cavities) -> Form {
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
    let caudate = ellipsoid(vec3(-10.0, -6.0, 232.0), vec3(16.0, 15.0, 26.0));
    let whole = union(vec![right, left, caudate], 16.0);
    let border = half_space(vec3(-40.0, 0.0, 158.0), vec3(0.60, 0.10, -0.79));
    let cut = intersection(vec![whole, border], 18.0);
    intersection(vec![cut, offset(&cavities.below_diaphragm, -1.5), offset(&cavities.trunk, -3.5)], 4.0)
}

pub(super) fn paint(model: &mut Model, person: &Person, cavities: &Cavities) {
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
    let liver = place(person, "liver", 0.6, &liver(cavities));
    let liver = intersection(vec![liver, offset(&cavities.below_diaphragm, -1.2)], 0.0);
    model.paint("liver", Tissue::LIVER, liver.clone());
    liver_vessels(model, person, &liver);
    let bile = curve(
        &[
            (vec3(-33.0, -32.0, 200.0), 4.5),
            (vec3(-40.0, -44.0, 191.0), 11.0),
            (vec3(-48.0, -57.0, 178.0), 18.5),
            (vec3(-55.0, -66.0, 158.0), 20.0),
        ],
        4.0,
    );
    model.paint_of(person, "gallbladder", 0.6, Tissue::BILE, &(Arc::new(Shape::Tube(Tube::round(&bile))) as Form));
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

/// Hepatic veins and the branches of the portal vein within the liver.
fn liver_vessels(model: &mut Model, person: &Person, liver: &Form) {
    let lesion = Arc::new(Shape::Complement(ball(LESION, LESION_RADIUS_MM + 3.0)));
    let inside = intersection(vec![liver.clone(), lesion], 0.0);
    let mut draw = person.stream("liver_vessels");
    let portal =
        Growth { root: vec3(-34.0, -22.0, 216.0), leaves: 70, leaf_radius_mm: 1.25, margin_mm: 12.0, step_mm: 6.0 };
    let mut forms: Vec<Form> = vec![Arc::new(Shape::Tube(Tube::tree(&grow(&inside, &portal, &mut draw))))];
    let cava = vec3(-28.0, -14.0, 262.0);
    for (x, y, z) in [(-100.0, 18.0, 228.0), (-64.0, -48.0, 226.0), (34.0, -52.0, 252.0), (-86.0, 38.0, 200.0)] {
        let end = vec3(x, y, z);
        let middle = cava.lerp(end, 0.5) + vec3(0.0, 0.0, 7.0);
        forms.push(vessel(&[(cava, 5.0), (middle, 3.8), (end, 1.4)]));
        let twig = middle.lerp(end, 0.3);
        for turn in [-1.0, 1.0] {
            let aside = (end - cava).normalize().cross(Vec3::Z).normalize_or(Vec3::Y) * (18.0 * turn);
            forms.push(vessel(&[(twig, 2.2), (twig.lerp(end, 0.6) + aside, 1.2)]));
        }
    }
    let vessels = intersection(vec![union(forms, 1.5), offset(liver, -1.5)], 0.0);
    model.paint("liver_vessels", Tissue::PORTAL, vessels);
}

/// A kidney's middle, long axis, and lateral direction.
fn kidney_frame(side: Side) -> (Vec3, Mat3) {
    let center = match side {
        Side::Left => vec3(61.0, 34.0, 176.0),
        Side::Right => vec3(-61.0, 34.0, 160.0),
    };
    // Upper pole medial and posterior; hilum forward and medial.
    (center, axes_along(side.at(-0.24, 0.14, 1.0), side.at(0.45, 0.9, 0.0)))
}

pub(super) fn paint_retroperitoneal(model: &mut Model, person: &Person, cavities: &Cavities) {
    for side in Side::BOTH {
        let (center, axes) = kidney_frame(side);
        let medial = -side.sign();
        let name = format!("kidney_{}", side.name());
        let (scale, shift) = person.organ(&name, 1.2);
        let put = |form: Form| -> Form { Arc::new(Shape::Placed { form, pivot: center, shift, scale }) };
        let local = |x: f32, y: f32, z: f32| center + axes * vec3(medial * x, y, z);
        let bean = ellipsoid_along(center, axes, vec3(30.5, 25.5, 56.0));
        let bean = without(bean, vec![ball(local(43.0, -6.0, 0.0), 24.0)], 16.0);
        let capsule = ellipsoid_along(center, axes, vec3(40.0, 34.0, 66.0));
        let capsule = vec![put(capsule), cavities.below_diaphragm.clone(), offset(&cavities.trunk, -2.2)];
        model.paint("torso_fat", Tissue::FAT, intersection(capsule, 0.0));
        adrenal(model, side);
        model.paint(&name, Tissue::Kidney, put(bean));
        let sinus = ellipsoid_along(local(15.0, -3.0, 0.0), axes, vec3(15.0, 8.5, 24.0));
        model.paint("torso_fat", Tissue::FAT, put(sinus));
        let pelvis = ellipsoid_along(local(17.0, -2.0, -3.0), axes, vec3(11.0, 4.5, 9.0));
        let ureter = vessel(&[
            (local(20.0, -3.0, -5.0) + shift, 4.0),
            (side.at(38.0, 16.0, 134.0), 2.4),
            (side.at(35.0, -6.0, 90.0), 2.2),
            (side.at(36.0, -13.0, 40.0), 2.2),
            (side.at(38.0, -7.0, 2.0), 2.2),
            (side.at(30.0, 8.0, -26.0), 2.2),
            (side.at(34.0, 30.0, -58.0), 2.2),
            (side.at(36.0, 26.0, -95.0), 2.2),
            (side.at(20.0, 4.0, -108.0), 2.2),
        ]);
        model.paint(
            &format!("ureter_{}", side.name()),
            Tissue::Soft { hu: 22.0, mottle: 4.0 },
            union(vec![put(pelvis), ureter], 3.0),
        );
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
