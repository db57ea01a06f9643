//! All levels of detail of labels that touch, nest and are tiny: closed, outward, and as near to the boundary as they claim.
#![allow(clippy::unwrap_used, reason = "a test stops at the first thing that is not as it should be")]

use glam::DMat3;
use space::Point;
use surface::{SegmentSurface, SurfaceOptions, surfaces_of_labels};
use volume::{ImageGeometry, Label, LabelMap, Volume};

fn map(spacing: [f64; 3], direction: DMat3, label: impl Fn([f64; 3]) -> Label) -> LabelMap {
    let size = [44, 40, 36];
    let geometry = ImageGeometry::new(size, spacing, Point::new(-20.0, 35.0, 110.0), direction).unwrap();
    let index = |n: usize| [n % 44, n / 44 % 40, n / (44 * 40)].map(|i| i as f64);
    let labels = (0..size.iter().product()).map(|n| label(index(n))).collect();
    LabelMap { voxels: Volume::new(geometry, labels).unwrap(), segments: Default::default() }
}

/// A ball cut in halves, with a core; a sheet one voxel thick; a single voxel; a rod that leaves the scan.
fn organs([x, y, z]: [f64; 3]) -> Label {
    let r = ((x - 20.0).powi(2) + (y - 19.0).powi(2) + (z - 17.0).powi(2)).sqrt();
    match () {
        () if r < 6.0 => 3,
        () if r < 14.0 => 1 + Label::from(x > 21.0),
        () if (x - 40.0).abs() < 0.6 && (10.0..24.0).contains(&y) && (10.0..20.0).contains(&z) => 4,
        () if [x, y, z] == [3.0, 3.0, 3.0] => 5,
        () if (x - 5.0).hypot(y - 34.0) < 3.2 => 6,
        () => 0,
    }
}

fn check(surfaces: &[SegmentSurface]) {
    assert_eq!(surfaces.iter().map(|s| s.label).collect::<Vec<_>>(), [1, 2, 3, 4, 5, 6]);
    for s in surfaces {
        assert!(s.closed, "{}", s.label);
        for (level, lod) in s.lods.iter().enumerate() {
            let topology = lod.mesh.topology();
            assert_eq!((topology.open_edges, topology.crowded_edges), (0, 0), "label {} level {level}", s.label);
            assert!(lod.mesh.volume_mm3() > 0.0, "label {} level {level} is inside out", s.label);
            assert!(lod.mesh.positions.len() == lod.mesh.normals.len());
        }
    }
}

#[test]
fn every_level_is_closed_outward_and_within_its_bound() {
    for spacing in [[1.0; 3], [0.8, 0.8, 5.0]] {
        let map = map(spacing, DMat3::IDENTITY, organs);
        let surfaces = surfaces_of_labels(&map, &SurfaceOptions::default(), &|_| {}).unwrap();
        check(&surfaces);
        for s in &surfaces {
            for (lod, bound) in s.lods.iter().zip([0.5, 1.0, 2.0, 4.0]) {
                let worst = bound * map.geometry().max_spacing_mm();
                assert!(
                    lod.fidelity.hausdorff_mm <= worst,
                    "label {}: {} of {worst}",
                    s.label,
                    lod.fidelity.hausdorff_mm
                );
                assert!(lod.fidelity.p95_mm <= lod.fidelity.hausdorff_mm + 1e-6);
            }
            let off = s.lods[0].fidelity.volume_error_percent;
            assert!(off.abs() <= 3.5, "label {} of {} ml lost or gained {off} % of its volume", s.label, s.volume_ml);
        }
    }
}

#[test]
fn coarser_levels_have_fewer_triangles() {
    let map = map([1.0; 3], DMat3::IDENTITY, organs);
    let surfaces = surfaces_of_labels(&map, &SurfaceOptions::default(), &|_| {}).unwrap();
    let counts: Vec<usize> = (0..4).map(|l| surfaces.iter().map(|s| s.lods[l].mesh.triangles.len()).sum()).collect();
    assert!(counts[1] * 2 < counts[0] && counts[2] < counts[1] && counts[3] <= counts[2], "{counts:?}");
}

/// Whichever way the axes of a scan run, the surface is the same body, outside out.
#[test]
fn all_orientations_give_the_same_body() {
    let reference = surfaces_of_labels(&map([1.0; 3], DMat3::IDENTITY, organs), &SurfaceOptions::default(), &|_| {});
    let volumes: Vec<f64> = reference.unwrap().iter().map(|s| s.lods[0].mesh.volume_mm3()).collect();
    for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
        for signs in 0..8 {
            let mut columns = [[0.0; 3]; 3];
            for (column, axis) in order.into_iter().enumerate() {
                columns[column][axis] = if signs >> column & 1 == 1 { -1.0 } else { 1.0 };
            }
            let map = map([1.0; 3], DMat3::from_cols_array_2d(&columns), organs);
            let surfaces = surfaces_of_labels(&map, &SurfaceOptions::default(), &|_| {}).unwrap();
            check(&surfaces);
            for (s, volume) in surfaces.iter().zip(&volumes) {
                let found = s.lods[0].mesh.volume_mm3();
                assert!(
                    (found - volume).abs() < 1e-3 * volume,
                    "{order:?} {signs}: label {} {found} {volume}",
                    s.label
                );
            }
        }
    }
}
