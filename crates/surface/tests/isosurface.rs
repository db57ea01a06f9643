//! Isosurfaces: where they should be, closed, outward, whatever the field and the scan's orientation.
#![allow(clippy::unwrap_used, reason = "a test stops at the first thing that is not as it should be")]

use glam::{DMat3, DVec3};
use proptest::prelude::*;
use space::Point;
use surface::{IsosurfaceOptions, Mesh, SurfaceError, isosurface};
use volume::{ImageGeometry, Volume, Voxel};

const CLOSED: IsosurfaceOptions = IsosurfaceOptions { closed_at_border: true };
const OPEN: IsosurfaceOptions = IsosurfaceOptions { closed_at_border: false };

fn unit_grid(size: [usize; 3]) -> ImageGeometry {
    ImageGeometry::new(size, [1.0; 3], Point::ZERO, DMat3::IDENTITY).unwrap()
}

/// Millimetres inside a ball about a point.
fn ball(geometry: ImageGeometry, centre: DVec3, radius_mm: f64) -> Volume<f32> {
    let lps_from_index = geometry.lps_from_index();
    Volume::from_fn(geometry, |v| {
        let p = (lps_from_index * Point::from_array(v.map(|x| x as f64))).get();
        (radius_mm - p.distance(centre)) as f32
    })
}

fn positions(mesh: &Mesh) -> impl Iterator<Item = DVec3> {
    mesh.positions.iter().map(|p| DVec3::from_array(p.map(f64::from)))
}

/// Closed, manifold and facing outward.
#[track_caller]
fn check_closed(mesh: &Mesh) {
    let topology = mesh.topology();
    assert_eq!((topology.open_edges, topology.crowded_edges), (0, 0));
    assert_eq!(topology.edges * 2, mesh.triangles.len() * 3);
    assert!(mesh.triangles.is_empty() || mesh.volume_mm3() > 0.0, "inside out: {} mm³", mesh.volume_mm3());
    assert!(positions(mesh).all(DVec3::is_finite));
    assert_eq!(mesh.positions.len(), mesh.normals.len());
    for n in &mesh.normals {
        let length = n.iter().map(|x| x * x).sum::<f32>().sqrt();
        assert!((length - 1.0).abs() < 1e-4, "a normal of length {length}");
    }
}

#[test]
fn a_sphere_is_within_a_twentieth_of_a_voxel() {
    for radius in [10.0, 14.3, 23.0] {
        let centre = DVec3::new(25.2, 24.9, 25.4);
        let mesh = isosurface(&ball(unit_grid([52; 3]), centre, radius), 0.0, &CLOSED).unwrap();
        check_closed(&mesh);
        assert_eq!(mesh.topology().euler, 2);
        for (p, n) in positions(&mesh).zip(&mesh.normals) {
            let off = p.distance(centre) - radius;
            assert!(off.abs() < 0.05, "{off} off at radius {radius}");
            let outward = (p - centre).normalize().dot(DVec3::from_array(n.map(f64::from)));
            assert!(outward > 0.995, "cosine {outward} to the true normal");
        }
        let volume = 4.0 / 3.0 * std::f64::consts::PI * radius.powi(3);
        assert!((mesh.volume_mm3() / volume - 1.0).abs() < 0.01, "{} of {volume}", mesh.volume_mm3());
    }
}

/// Hounsfield units, voxels longer than wide, an oblique grid far from the origin.
#[test]
fn whole_numbers_and_oblique_grids_keep_sub_voxel_position() {
    let direction = DMat3::from_rotation_x(0.3) * DMat3::from_rotation_z(-1.1);
    let geometry =
        ImageGeometry::new([60, 50, 24], [0.7, 0.8, 2.0], Point::new(-150.0, 80.0, 900.0), direction).unwrap();
    let centre = (geometry.lps_from_index() * Point::new(30.0, 25.0, 12.0)).get();
    let field = ball(geometry, centre, 16.0).map(|mm| (mm * 50.0 + 300.0).round() as i16);
    let mesh = isosurface(&field, 300.0, &CLOSED).unwrap();
    check_closed(&mesh);
    assert_eq!(mesh.topology().euler, 2);
    for p in positions(&mesh) {
        let off = p.distance(centre) - 16.0;
        assert!(off.abs() < 0.05, "{off} mm off");
    }
}

#[test]
fn no_orientation_mirrors_or_moves_the_body() {
    let size = [20, 17, 14];
    for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
        for signs in 0..8 {
            let mut columns = [[0.0; 3]; 3];
            for (column, axis) in order.into_iter().enumerate() {
                columns[column][axis] = if signs >> column & 1 == 1 { -1.0 } else { 1.0 };
            }
            let direction = DMat3::from_cols_array_2d(&columns);
            let geometry = ImageGeometry::new(size, [1.0, 1.2, 1.5], Point::new(5.0, -7.0, 20.0), direction).unwrap();
            let centre = (geometry.lps_from_index() * Point::new(9.0, 8.0, 7.0)).get();
            let left = centre + DVec3::new(3.0, 0.0, 0.0);
            // A ball with a smaller one on the patient's left.
            let mut field = ball(geometry, centre, 6.0);
            for (big, small) in field.data_mut().iter_mut().zip(ball(geometry, left, 4.0).data()) {
                *big = big.max(*small);
            }
            let mesh = isosurface(&field, 0.0, &CLOSED).unwrap();
            check_closed(&mesh);
            let reach = |sign: f64| positions(&mesh).map(|p| sign * (p.x - centre.x)).fold(0.0, f64::max);
            assert!((reach(1.0) - 7.0).abs() < 0.3 && (reach(-1.0) - 6.0).abs() < 0.3, "{order:?} {signs}");
            for (p, n) in positions(&mesh).zip(&mesh.normals) {
                let n = DVec3::from_array(n.map(f64::from));
                assert!(n.dot(p - centre) > 0.0, "{order:?} {signs}: a normal that points inward");
            }
        }
    }
}

#[test]
fn the_end_of_the_scan_is_closed_on_request() {
    let geometry = unit_grid([6, 5, 4]);
    let full = Volume::filled(geometry, 7i16);
    let mesh = isosurface(&full, 0.0, &CLOSED).unwrap();
    check_closed(&mesh);
    assert_eq!(mesh.topology().euler, 2);
    // Its edges and corners are cut off by half a voxel.
    assert!(mesh.volume_mm3() < 120.0 && mesh.volume_mm3() > 105.0, "{}", mesh.volume_mm3());
    for p in &mesh.positions {
        assert!((0..3).any(|a| p[a] == -0.5 || p[a] == geometry.size()[a] as f32 - 0.5), "{p:?}");
    }
    assert_eq!(isosurface(&full, 0.0, &OPEN).unwrap(), Mesh::default());

    let half = Volume::from_fn(unit_grid([8, 9, 7]), |v| 3.25 - v[0] as f32);
    let open = isosurface(&half, 0.0, &OPEN).unwrap();
    assert!(open.positions.iter().all(|p| (p[0] - 3.25).abs() < 1e-6));
    assert_eq!(open.triangles.len(), 2 * 8 * 6);
    assert_eq!(open.topology().euler, 1);
    assert!(open.normals.iter().all(|n| *n == [1.0, 0.0, 0.0]), "toward lower values");
    check_closed(&isosurface(&half, 0.0, &CLOSED).unwrap());
}

#[test]
fn a_voxel_with_exactly_the_iso_value_is_inside() {
    let mut field = Volume::filled(unit_grid([3; 3]), -1i16);
    field.data_mut()[13] = 0;
    let mesh = isosurface(&field, 0.0, &CLOSED).unwrap();
    check_closed(&mesh);
    assert_eq!((mesh.positions.len(), mesh.triangles.len()), (6, 8));
    assert_eq!(isosurface(&field, 0.5, &CLOSED).unwrap(), Mesh::default());
}

#[test]
fn long_rows_cross_words() {
    for n in [62, 63, 64, 65, 126, 127, 128, 129, 200] {
        let field = Volume::from_fn(unit_grid([n, 3, 3]), |v| i16::from(v[0] % 7 != 0 && v[0] % 65 != 3));
        check_closed(&isosurface(&field, 1.0, &CLOSED).unwrap());
    }
}

#[test]
fn values_beyond_a_type_are_all_in_or_all_out() {
    fn check<T: Voxel>(value: T) {
        let field = Volume::filled(unit_grid([3; 3]), value);
        assert!(isosurface(&field, 1e6, &CLOSED).unwrap().triangles.is_empty());
        check_closed(&isosurface(&field, -1e6, &CLOSED).unwrap());
        assert!(!isosurface(&field, -1e6, &CLOSED).unwrap().triangles.is_empty());
    }
    check(i16::MAX);
    check(i16::MIN);
    check(u8::MAX);
    check(0u16);
    check(0.0f32);
    let huge = Volume::from_fn(unit_grid([4; 3]), |v| if v[0] % 2 == 0 { f32::MAX } else { f32::MIN });
    check_closed(&isosurface(&huge, 0.0, &CLOSED).unwrap());
}

#[test]
fn what_is_not_finite_is_refused() {
    let field = Volume::filled(unit_grid([3, 4, 5]), 0.0f32);
    for iso in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let error = isosurface(&field, iso, &CLOSED).unwrap_err();
        assert!(matches!(error, SurfaceError::Option { name: "iso_value", .. }), "{error}");
    }
    for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let mut field = field.clone();
        field.data_mut()[31] = bad;
        field.data_mut()[47] = bad;
        assert_eq!(isosurface(&field, 1.0, &CLOSED), Err(SurfaceError::NotFinite { offset: 31 }));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]
    #[test]
    fn random_fields_are_closed_and_manifold(
        size in (1usize..7, 1usize..7, 1usize..7),
        values in proptest::collection::vec(-3i16..4, 216),
        iso in -2.5f32..3.0,
    ) {
        let size = [size.0, size.1, size.2];
        let values: Vec<i16> = values.into_iter().take(size.iter().product()).collect();
        let field = Volume::new(unit_grid(size), values).unwrap();
        check_closed(&isosurface(&field, iso, &CLOSED).unwrap());
        check_closed(&isosurface(&field, iso.round(), &CLOSED).unwrap());
        let floats = field.map(|v| f32::from(*v));
        prop_assert_eq!(isosurface(&field, iso, &CLOSED), isosurface(&floats, iso, &CLOSED));
        let open = isosurface(&field, iso, &OPEN).unwrap();
        prop_assert_eq!(open.topology().crowded_edges, 0);
        let mut used: Vec<u32> = open.triangles.iter().flatten().copied().collect();
        used.sort_unstable();
        used.dedup();
        prop_assert_eq!(used.len(), open.positions.len(), "vertices without a triangle");
    }

    #[test]
    fn threads_do_not_change_the_surface(values in proptest::collection::vec(-2i16..3, 5 * 6 * 40)) {
        let field = Volume::new(unit_grid([5, 6, 40]), values).unwrap();
        let run = |n| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(n).build().unwrap();
            pool.install(|| isosurface(&field, 0.5, &CLOSED)).unwrap()
        };
        prop_assert_eq!(run(1), run(2));
    }
}
