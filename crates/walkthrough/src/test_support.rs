//! Fake cases for tests: cubes and spheres where organs would be.

use std::sync::Arc;

use bevy_app::App;
use glam::{DMat3, Vec3};
use space::Point;
use volume::{ImageGeometry, terminology};

use crate::WalkthroughPlugins;
use crate::frame::body_from_lps;
use crate::input::Input;
use crate::stage::{ActiveCase, PickMesh, SegmentInfo, StageContents, StageRequested};
use crate::walk::{Pace, WalkClock};
use crate::window_level::WindowPreset;

/// A cube with outward triangles.
pub(crate) fn cube_mesh(centre: Vec3, half: f32) -> ([[f32; 3]; 8], [[u32; 3]; 12]) {
    let corner = |n: u32| {
        let sign = |bit: u32| if n & bit == 0 { -half } else { half };
        (centre + Vec3::new(sign(1), sign(2), sign(4))).to_array()
    };
    let positions = [0, 1, 2, 3, 4, 5, 6, 7].map(corner);
    let triangles = [
        [0, 4, 6],
        [0, 6, 2],
        [1, 3, 7],
        [1, 7, 5],
        [0, 1, 5],
        [0, 5, 4],
        [2, 6, 7],
        [2, 7, 3],
        [0, 2, 3],
        [0, 3, 1],
        [4, 5, 7],
        [4, 7, 6],
    ];
    (positions, triangles)
}

/// A sphere of `rings` rings with outward triangles.
pub(crate) fn sphere_mesh(centre: Vec3, radius: f32, rings: u32) -> (Vec<[f32; 3]>, Vec<[u32; 3]>) {
    let around = rings * 2;
    let mut positions = Vec::new();
    for ring in 0..=rings {
        let (sin_polar, cos_polar) = (std::f32::consts::PI * ring as f32 / rings as f32).sin_cos();
        for step in 0..around {
            let (sin, cos) = (std::f32::consts::TAU * step as f32 / around as f32).sin_cos();
            let away = Vec3::new(sin_polar * sin, cos_polar, sin_polar * cos);
            positions.push((centre + away * radius).to_array());
        }
    }
    let mut triangles = Vec::new();
    for ring in 0..rings {
        for step in 0..around {
            let next = (step + 1) % around;
            let (a, b) = (ring * around + step, ring * around + next);
            let (c, d) = (a + around, b + around);
            triangles.extend([[a, c, d], [a, d, b]]);
        }
    }
    (positions, triangles)
}

/// Name, centre in LPS mm, half edge in mm.
type Cube = (&'static str, [f64; 3], f64);

const TORSO: [Cube; 12] = [
    ("body", [0.0, 0.0, 1200.0], 420.0),
    ("skeleton", [0.0, 100.0, 1200.0], 60.0),
    ("sternum", [0.0, -110.0, 1310.0], 20.0),
    ("lung_left", [90.0, 0.0, 1275.0], 60.0),
    ("lung_right", [-90.0, 0.0, 1275.0], 60.0),
    ("heart", [10.0, -40.0, 1255.0], 45.0),
    ("aorta", [0.0, 60.0, 1180.0], 12.0),
    ("liver", [-80.0, -20.0, 1135.0], 60.0),
    ("kidney_left", [60.0, 60.0, 1066.0], 30.0),
    ("kidney_right", [-60.0, 60.0, 1058.0], 30.0),
    ("urinary_bladder", [0.0, -20.0, 894.0], 30.0),
    ("liver_lesion", [-80.0, -20.0, 1135.0], 10.0),
];

fn case(alias: &str, modality: &str) -> ActiveCase {
    let origin = Point::new(-250.0, -250.0, 780.0);
    let geometry = ImageGeometry::new([250, 250, 170], [2.0, 2.0, 5.0], origin, DMat3::IDENTITY).unwrap();
    let preset = |name: &str, center, width| WindowPreset { name: name.to_owned(), center, width };
    let windows =
        vec![preset("Soft tissue", 40.0, 400.0), preset("Lung", -600.0, 1500.0), preset("Bone", 400.0, 1800.0)];
    let (alias, modality) = (Some(alias.to_owned()), modality.to_owned());
    ActiveCase { alias, checksum: "0123abcd".to_owned(), modality, geometry, windows }
}

fn contents(case: ActiveCase, cubes: &[Cube]) -> StageContents {
    let segments = cubes.iter().enumerate().map(|(n, &(name, centre, half))| {
        let centre = (body_from_lps() * Point::from_array(centre)).as_vec3();
        let (positions, triangles) = cube_mesh(centre, half as f32 * 1e-3);
        let mesh = PickMesh { positions: positions.to_vec(), triangles: triangles.to_vec() };
        let label = n as u16 + 1;
        let segment = terminology::segment(label, name);
        let group = terminology::group_of(name);
        let info = SegmentInfo {
            label,
            parts: Vec::new(),
            is_inner: false,
            name: name.to_owned(),
            display: segment.display,
            code: segment.code,
            color: segment.color,
            group: format!("{group:?}").to_lowercase(),
            group_display: group.display().to_owned(),
            peel_rank: group.peel_rank() as u8,
            volume_ml: (2.0 * half).powi(3) * 1e-3,
            surface_error_mm: Some(0.4),
            pick_error_mm: Some(0.8),
            confidence: None,
            inferred_percent: 0.0,
        };
        (info, mesh)
    });
    StageContents::new(case, segments.collect())
}

/// A torso of twelve cubes: body, bones, organs.
pub(crate) fn fake_case() -> StageContents {
    contents(case("Fake torso", "CT"), &TORSO)
}

/// A case with nothing but a head.
pub(crate) fn head_case() -> StageContents {
    contents(case("Fake head", "MR"), &[("head", [0.0, 0.0, 50.0], 110.0)])
}

/// Many small spheres.
pub(crate) fn large_case(count: usize, rings: u32) -> StageContents {
    let mut all = contents(case("Many", "CT"), &TORSO[..1]);
    let info = all.segments[0].info.clone();
    let segments = (0..count).map(|n| {
        let centre = Vec3::new((n % 6) as f32 * 0.06 - 0.15, 0.8 + (n / 12) as f32 * 0.06, (n / 6 % 2) as f32 * 0.08);
        let (positions, triangles) = sphere_mesh(centre, 0.03, rings);
        let name = format!("structure_{n}");
        let info = SegmentInfo { label: n as u16 + 1, display: name.clone(), name, ..info.clone() };
        (info, PickMesh { positions, triangles })
    });
    all = StageContents::new(all.case, segments.collect());
    all
}

/// All plugins, a fixed clock of 1/90 s, and a case on stage.
pub(crate) fn staged_app(contents: StageContents) -> App {
    let mut app = App::new();
    app.add_plugins(WalkthroughPlugins);
    app.world_mut().resource_mut::<WalkClock>().pace = Pace::Fixed { step_s: 1.0 / 90.0 };
    app.world_mut().write_message(StageRequested(Arc::new(contents)));
    app.update();
    app
}

/// Writes an input and runs a frame.
pub(crate) fn send(app: &mut App, input: impl Into<Input>) {
    app.world_mut().write_message(input.into());
    app.update();
}
