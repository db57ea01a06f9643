//! A body of balls whose places are known: the left one is red, the right one green, the front one blue, inside a
//! translucent trunk; the scan's values grow towards the patient's left.

use std::collections::BTreeMap;

use glam::{DMat3, DVec3};
use render::{Imagery, LodGeometry, ScanTextures, SegmentGeometry, TextureLimits, TrustField};
use space::{Lps, Point, scene_from_lps};
use volume::{ImageGeometry, Label, LabelMap, ScanVolume, Volume};
use walkthrough::stage::{ActiveCase, PickMesh, SegmentInfo, StageContents};
use walkthrough::window_level::WindowPreset;

/// A ball: label, name, LPS middle in mm, radius in mm, sRGB, peel rank.
pub(crate) type Ball = (Label, &'static str, [f64; 3], f64, [u8; 3], u8);

/// The structures. The trunk, label 1, holds all others as parts.
pub(crate) const BALLS: [Ball; 4] = [
    (1, "trunk", [0.0, 0.0, 1000.0], 150.0, [214, 172, 148], 0),
    (2, "ball_left", [80.0, 0.0, 1000.0], 40.0, [230, 30, 30], 5),
    (3, "ball_right", [-80.0, 0.0, 1000.0], 40.0, [30, 200, 30], 5),
    (4, "ball_front", [0.0, -80.0, 1000.0], 40.0, [40, 60, 230], 5),
];

/// An oblique grid, so that no axis is the patient's.
pub(crate) fn geometry() -> ImageGeometry {
    let direction = DMat3::from_rotation_z(0.35) * DMat3::from_rotation_x(-0.25);
    let (size, spacing) = ([120usize, 110, 100], [3.0, 3.0, 4.0]);
    let middle = DVec3::new(0.0, 0.0, 1000.0);
    let half = DVec3::new(59.5 * spacing[0], 54.5 * spacing[1], 49.5 * spacing[2]);
    let origin = middle - direction * half;
    ImageGeometry::new(size, spacing, origin.into(), direction).expect("a regular grid")
}

/// Inside the trunk 0 HU in the middle and 1 HU more each millimetre to the left; outside air.
pub(crate) fn value_at(point: Point<Lps>) -> i16 {
    if distance_to(&BALLS[0], point) <= BALLS[0].3 { point.x.round() as i16 } else { -1000 }
}

fn distance_to(ball: &Ball, point: Point<Lps>) -> f64 {
    point.distance(Point::from_array(ball.2))
}

/// A model drew everything, and was half sure behind the middle; it made up the grey values of the lower half.
fn trust() -> TrustField {
    let geometry = geometry();
    let lps_from_index = geometry.lps_from_index();
    let at = |[i, j, k]: [usize; 3]| lps_from_index * Point::new(i as f64, j as f64, k as f64);
    let middle = BALLS[0].2;
    TrustField {
        confidence: Some(Volume::from_fn(geometry, |index| if at(index).y > middle[1] { 50 } else { 100 })),
        inferred: Some(Volume::from_fn(geometry, |index| u8::from(at(index).z < middle[2]))),
    }
}

/// What the walk and the renderer need of it.
pub(crate) fn contents() -> (StageContents, Imagery) {
    let geometry = geometry();
    let lps_from_index = geometry.lps_from_index();
    let at = |[i, j, k]: [usize; 3]| lps_from_index * Point::new(i as f64, j as f64, k as f64);
    let scan = ScanVolume::I16(Volume::from_fn(geometry, |index| value_at(at(index))));
    let label = |point| {
        let small = BALLS.iter().skip(1).find(|ball| distance_to(ball, point) <= ball.3);
        let trunk = Some(&BALLS[0]).filter(|trunk| distance_to(trunk, point) <= trunk.3);
        small.or(trunk).map_or(0, |ball| ball.0)
    };
    let labels = LabelMap { voxels: Volume::from_fn(geometry, |index| label(at(index))), segments: BTreeMap::new() };

    let mut picks = Vec::new();
    let mut segments = Vec::new();
    for ball in BALLS {
        let lods: Vec<LodGeometry> = [64usize, 32, 16, 8].map(|rings| sphere(&ball, rings)).to_vec();
        let finest = &lods[0];
        picks
            .push((info(&ball), PickMesh { positions: finest.positions.clone(), triangles: finest.triangles.clone() }));
        segments.push(SegmentGeometry { label: ball.0, lods });
    }
    let case = ActiveCase {
        alias: Some("Ball body".to_owned()),
        checksum: "0".repeat(64),
        modality: "CT".to_owned(),
        geometry,
        windows: vec![WindowPreset { name: "Soft tissue".to_owned(), center: 0.0, width: 400.0 }],
    };
    let limits = TextureLimits::default();
    let imagery = Imagery { segments, scan: Some(ScanTextures::new(&scan, &labels, &trust(), &limits)) };
    (StageContents::new(case, picks), imagery)
}

fn info(ball: &Ball) -> SegmentInfo {
    let (label, name, _, radius, color, peel_rank) = *ball;
    SegmentInfo {
        label,
        parts: if label == 1 { vec![2, 3, 4] } else { Vec::new() },
        is_inner: false,
        name: name.to_owned(),
        display: name.replace('_', " "),
        code: None,
        color,
        group: if label == 1 { "skin".to_owned() } else { "other".to_owned() },
        group_display: "Group".to_owned(),
        peel_rank,
        volume_ml: 4.0 / 3.0 * std::f64::consts::PI * radius.powi(3) * 1e-3,
        surface_error_mm: Some(1.0),
        pick_error_mm: None,
        confidence: None,
        inferred_percent: 0.0,
    }
}

/// A sphere in body metres with outward normals.
fn sphere(ball: &Ball, rings: usize) -> LodGeometry {
    let (_, _, middle, radius, ..) = *ball;
    let sides = rings * 2;
    let mut lod = LodGeometry { error_m: (radius * 1e-3 * 2.0 / (rings * rings) as f64) as f32, ..Default::default() };
    for ring in 0..=rings {
        let (sin_polar, cos_polar) = (ring as f64 / rings as f64 * std::f64::consts::PI).sin_cos();
        for side in 0..=sides {
            let (sin, cos) = (side as f64 / sides as f64 * std::f64::consts::TAU).sin_cos();
            let outward = DVec3::new(sin_polar * cos, sin_polar * sin, cos_polar);
            let at = scene_from_lps() * Point::<Lps>::from(DVec3::from_array(middle) + outward * radius);
            lod.positions.push(at.get().as_vec3().to_array());
            lod.normals.push((scene_from_lps().linear * outward).normalize().as_vec3().to_array());
        }
    }
    let row = sides as u32 + 1;
    for ring in 0..rings as u32 {
        for side in 0..sides as u32 {
            let a = ring * row + side;
            lod.triangles.push([a, a + row, a + row + 1]);
            lod.triangles.push([a, a + row + 1, a + 1]);
        }
    }
    lod
}
