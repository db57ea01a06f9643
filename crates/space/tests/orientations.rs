//! The truth table of all 48 axis orientations: mirrored anatomy is the worst bug this program can have.

use glam::{DMat3, DVec3};
use space::{AxisCode, Index, Lps, Point, Vector, scene_from_lps};

fn lps_axis(text: &str) -> DVec3 {
    let v: Vec<f64> = text.split(',').map(|x| x.parse().expect("number")).collect();
    DVec3::new(v[0], v[1], v[2])
}

fn scene_axis(text: &str) -> DVec3 {
    let axis = match &text[1..] {
        "X" => DVec3::X,
        "Y" => DVec3::Y,
        "Z" => DVec3::Z,
        other => panic!("axis {other}"),
    };
    if text.starts_with('-') { -axis } else { axis }
}

#[test]
fn all_48_orientations_land_where_the_table_says() {
    let mut rows = 0;
    for line in include_str!("orientations.tsv").lines().filter(|l| !l.starts_with('#')) {
        let cells: Vec<_> = line.split('\t').collect();
        let code: AxisCode = cells[0].parse().expect(cells[0]);
        assert_eq!(code.to_string(), cells[0]);
        let direction = code.direction();
        assert_eq!(AxisCode::of(direction), code, "{}", cells[0]);
        // A tilt of a few degrees must not change the code.
        let tilted = DMat3::from_rotation_x(0.1) * DMat3::from_rotation_z(-0.2) * direction;
        assert_eq!(AxisCode::of(tilted), code, "{} tilted", cells[0]);
        let lps_from_index = space::Affine::<Lps, Index>::new(direction, DVec3::ZERO);
        for axis in 0..3 {
            let mut step = DVec3::ZERO;
            step[axis] = 1.0;
            let lps = lps_from_index * Vector::from(step);
            assert_eq!(lps.get(), lps_axis(cells[1 + axis]), "{} axis {axis} in LPS", cells[0]);
            let scene = scene_from_lps() * lps_from_index * Point::from(step * 1000.0);
            assert!(
                (scene.get() - scene_axis(cells[4 + axis])).length() < 1e-12,
                "{} axis {axis} in the scene",
                cells[0]
            );
        }
        assert_eq!(lps_from_index.mirrors(), cells[7] == "left", "{} hand", cells[0]);
        rows += 1;
    }
    assert_eq!(rows, 48);
}

#[test]
fn wrong_codes_are_refused() {
    for text in ["", "LP", "LPSR", "LRS", "LPX", "lps"] {
        assert!(text.parse::<AxisCode>().is_err(), "{text}");
    }
}
