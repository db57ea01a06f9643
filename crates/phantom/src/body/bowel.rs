//! Duodenum, small bowel and colon as tubes that wind through the abdomen.
//!
//! Small intestine with content 1000 g, large intestine with content 670 g (ICRP Publication 89, tables 2.8 and 6.3).

use std::sync::Arc;

use glam::{Vec3, vec3};

use super::thorax::Cavities;
use super::{Model, place};
use crate::noise::texture;
use crate::options::Person;
use crate::sdf::{Form, Shape, Tube, intersection, offset};
use crate::spline::curve;
use crate::tissue::Tissue;

const COLON: [(Vec3, f32); 24] = [
    (vec3(-70.0, -38.0, -20.0), 18.0),
    (vec3(-78.0, -36.0, 2.0), 23.0),
    (vec3(-86.0, -28.0, 34.0), 22.0),
    (vec3(-92.0, -14.0, 70.0), 20.0),
    (vec3(-93.0, -8.0, 100.0), 19.0),
    (vec3(-88.0, -30.0, 122.0), 18.5),
    (vec3(-66.0, -60.0, 124.0), 17.5),
    (vec3(-34.0, -68.0, 114.0), 17.0),
    (vec3(0.0, -68.0, 112.0), 16.5),
    (vec3(36.0, -68.0, 122.0), 16.5),
    (vec3(72.0, -58.0, 142.0), 16.5),
    (vec3(98.0, -28.0, 168.0), 16.0),
    (vec3(104.0, 4.0, 186.0), 16.0),
    (vec3(106.0, 22.0, 166.0), 14.5),
    (vec3(101.0, 18.0, 120.0), 13.5),
    (vec3(97.0, 6.0, 70.0), 13.0),
    (vec3(88.0, -8.0, 24.0), 13.0),
    (vec3(78.0, -22.0, -8.0), 13.5),
    (vec3(58.0, -30.0, -34.0), 14.0),
    (vec3(24.0, -16.0, -36.0), 14.0),
    (vec3(8.0, 14.0, -42.0), 14.5),
    (vec3(2.0, 40.0, -62.0), 16.0),
    (vec3(0.0, 48.0, -92.0), 18.5),
    (vec3(0.0, 36.0, -128.0), 12.0),
];

/// Distance between two folds of the colon in mm.
const HAUSTRUM_MM: f32 = 27.0;

fn colon() -> Form {
    let mut way = 0.0;
    let points = curve(&COLON, 4.0);
    let rectum = points.len() * 9 / 10;
    let folded: Vec<_> = (0..points.len())
        .map(|i| {
            if i > 0 {
                way += points[i].0.distance(points[i - 1].0);
            }
            let fold = (way * std::f32::consts::PI / HAUSTRUM_MM).sin().abs();
            let depth = if i < rectum { 0.17 } else { 0.04 };
            (points[i].0, points[i].1 * (1.0 + depth * (fold - 0.64)))
        })
        .collect();
    Arc::new(Shape::Tube(Tube::round(&folded)))
}

/// Jejunum and ileum: rows of loops in two depths, each bent out of line.
fn coils(person: &Person) -> Form {
    let mut draw = person.stream("small_bowel");
    let mut stations: Vec<(Vec3, f32)> = vec![(vec3(30.0, -34.0, 132.0), 12.0)];
    for (depth, rows) in [(-34.0f32, 0..6), (-64.0, 0..5)] {
        let front = depth < -50.0;
        for row in rows {
            // Down behind, up again in front.
            let step = if front { 4 - row } else { row };
            let z = if front { -24.0 + 25.0 * (4 - step) as f32 } else { 92.0 - 26.0 * step as f32 };
            let half = if z < -20.0 { 46.0 } else { 68.0 };
            let rightwards = (row % 2 == 0) != front;
            for part in 0..6 {
                let t = part as f32 / 5.0 * 2.0 - 1.0;
                let x = if rightwards { -t * half } else { t * half };
                // Behind, the spine leaves room only at the sides.
                let y = if front { depth } else { depth - 14.0 * (1.0 - (x / 50.0).powi(2)).max(0.0) };
                // By place, not by order, so that neighbouring rows nest.
                let column = if rightwards { 5 - part } else { part };
                let wave = if column % 2 == 0 { 8.0 } else { -8.0 };
                let jitter = vec3(draw.between(-5.0, 5.0), draw.between(-5.0, 5.0), wave + draw.between(-4.0, 4.0));
                stations.push((bend(vec3(x, y, z) + jitter), draw.between(11.0, 13.5)));
            }
        }
    }
    stations.extend([(vec3(-62.0, -50.0, 0.0), 10.0), (vec3(-72.0, -40.0, 6.0), 9.0)]);
    Arc::new(Shape::Tube(Tube::round(&curve(&stations, 5.0))))
}

/// Moves a point so that rows are rows no more.
fn bend(p: Vec3) -> Vec3 {
    p + vec3(texture(p, 60.0, 21) * 9.0, texture(p, 45.0, 22) * 7.0, texture(p, 52.0, 23) * 16.0)
}

pub(super) fn paint(model: &mut Model, person: &Person, cavities: &Cavities) {
    let within = |form: Form| intersection(vec![form, offset(&cavities.trunk, -2.0)], 3.0);
    model.paint("small_bowel", Tissue::Bowel { wall_mm: 2.6, content: 28.0, gas: 0.07 }, within(coils(person)));
    model.paint(
        "colon",
        Tissue::Bowel { wall_mm: 2.4, content: 38.0, gas: 0.42 },
        within(place(person, "colon", 0.8, &colon())),
    );
    let duodenum = curve(
        &[
            (vec3(-22.0, -50.0, 164.0), 12.5),
            (vec3(-38.0, -38.0, 170.0), 13.5),
            (vec3(-46.0, -22.0, 158.0), 13.0),
            (vec3(-46.0, -16.0, 134.0), 12.5),
            (vec3(-42.0, -18.0, 112.0), 12.5),
            (vec3(-22.0, -25.0, 104.0), 12.0),
            (vec3(8.0, -31.0, 106.0), 11.5),
            (vec3(28.0, -28.0, 122.0), 11.5),
            (vec3(30.0, -34.0, 136.0), 11.5),
        ],
        5.0,
    );
    model.paint(
        "duodenum",
        Tissue::Bowel { wall_mm: 2.6, content: 24.0, gas: 0.05 },
        Arc::new(Shape::Tube(Tube::round(&duodenum))),
    );
}
