//! Where to stand in something hollow: far from its wall, with a long way to look.

use glam::{DVec3, Vec3};

use crate::stage::TriangleBvh;

/// Places tried along each edge of the box.
const GRID: u32 = 7;

/// A place inside a closed surface.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Viewpoint {
    /// In body metres.
    pub(super) eye: DVec3,
    /// Unit vector.
    pub(super) ahead: DVec3,
    /// Distance to the wall in the narrowest of the directions tried.
    pub(super) room_m: f32,
}

/// The roomiest place found inside the surface, looking the longest way that still goes `wanted`; none if no place is inside.
pub(super) fn viewpoint(shape: &TriangleBvh, wanted: DVec3) -> Option<Viewpoint> {
    let [low, high] = shape.bounds()?;
    let step = (high - low) / GRID as f32;
    let places = (0..GRID.pow(3)).map(|n| {
        let index = [n % GRID, n / GRID % GRID, n / GRID.pow(2)].map(|i| i as f32 + 0.5);
        low + step * Vec3::from_array(index)
    });
    // A ray that slips out through an edge tells nothing of the wall.
    let free = |from: Vec3, way: Vec3| shape.first_hit(from, way, 0.0, f32::INFINITY).map(|hit| hit.t);
    let inside = places.filter(|p| shape.contains(*p));
    let roomiest = inside
        .map(|p| (p, directions().filter_map(|way| free(p, way)).fold(f32::INFINITY, f32::min)))
        .max_by(|a, b| a.1.total_cmp(&b.1));
    let (eye, room_m) = roomiest?;
    // Within 60° of what is wanted.
    let onwards = directions().filter(|way| way.as_dvec3().dot(wanted) > 0.5);
    let ways = onwards.filter_map(|way| Some((way, free(eye, way)?)));
    let (ahead, _) = ways.max_by(|a, b| a.1.total_cmp(&b.1))?;
    Some(Viewpoint { eye: eye.as_dvec3(), ahead: ahead.as_dvec3(), room_m })
}

/// The 26 ways from a cube's middle to its faces, edges and corners, of unit length.
fn directions() -> impl Iterator<Item = Vec3> {
    let axis = |n: i32, divisor: i32| (n / divisor % 3 - 1) as f32;
    (0..27).filter(|n| *n != 13).map(move |n| Vec3::new(axis(n, 1), axis(n, 3), axis(n, 9)).normalize())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_support::{cube_mesh, sphere_mesh};

    #[test]
    fn one_stands_in_the_middle_of_a_sphere() {
        let (positions, triangles) = sphere_mesh(Vec3::new(0.2, 1.0, 0.0), 0.1, 24);
        let found = viewpoint(&TriangleBvh::new(&positions, &triangles), DVec3::Y).unwrap();
        assert!(found.eye.distance(DVec3::new(0.2, 1.0, 0.0)) < 1e-3 && found.room_m > 0.095, "{found:?}");
        assert!(found.ahead.y > 0.5);
    }

    #[test]
    fn one_looks_along_a_tube() {
        let (mut positions, triangles) = cube_mesh(Vec3::ZERO, 0.01);
        positions.iter_mut().for_each(|p| p[1] *= 20.0);
        let found = viewpoint(&TriangleBvh::new(&positions, &triangles), DVec3::new(0.0, -0.8, 0.6)).unwrap();
        assert!(found.ahead.distance(DVec3::NEG_Y) < 1e-6, "{found:?}");
        assert!(found.room_m > 0.009);
    }

    #[test]
    fn an_open_or_empty_surface_has_no_inside() {
        assert_eq!(viewpoint(&TriangleBvh::new(&[], &[]), DVec3::Y), None);
        let sheet = [[0.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0]];
        assert_eq!(viewpoint(&TriangleBvh::new(&sheet, &[[0, 1, 2]]), DVec3::Y), None);
    }
}
