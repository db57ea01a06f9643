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

/// The middle of what a plane through a closed surface cuts out of it; none where it cuts nothing.
pub(super) fn middle_of_section(shape: &TriangleBvh, plane: DVec3, normal: DVec3) -> Option<DVec3> {
    let [low, high] = shape.bounds()?;
    let (across, up) = normal.any_orthonormal_pair();
    let reach = f64::from((high - low).length()) * 0.5;
    // The plane's middle is that of the box; a fine lattice over it asks what is inside.
    let steps = f64::from(SECTION);
    let at = |n: u32| (f64::from(n) + 0.5) / steps * 2.0 - 1.0;
    let lattice = (0..SECTION).flat_map(|i| (0..SECTION).map(move |j| (i, j)));
    let points = lattice.map(|(i, j)| plane + across * (at(i) * reach) + up * (at(j) * reach));
    let inside = points.filter(|p| {
        let p = p.as_vec3();
        p.cmpge(low).all() && p.cmple(high).all() && shape.contains(p)
    });
    let (sum, count) = inside.fold((DVec3::ZERO, 0.0), |(sum, count), p| (sum + p, count + 1.0));
    (count > 0.0).then(|| sum / count)
}

/// Points along each edge of a section.
const SECTION: u32 = 96;

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
    fn a_section_has_its_middle_where_the_tube_is() {
        let (mut positions, triangles) = cube_mesh(Vec3::ZERO, 0.01);
        // Leans to the right by as much as it is high.
        positions.iter_mut().for_each(|p| {
            p[1] *= 4.0;
            p[0] += p[1];
        });
        let tube = TriangleBvh::new(&positions, &triangles);
        for y in [-0.02, 0.0, 0.025] {
            let middle = middle_of_section(&tube, DVec3::new(0.0, y, 0.0), DVec3::Y).unwrap();
            assert!(middle.distance(DVec3::new(y, y, 0.0)) < 2e-3, "{middle} at {y}");
        }
        assert_eq!(middle_of_section(&tube, DVec3::Y, DVec3::Y), None);
    }

    #[test]
    fn an_open_or_empty_surface_has_no_inside() {
        assert_eq!(viewpoint(&TriangleBvh::new(&[], &[]), DVec3::Y), None);
        let sheet = [[0.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0]];
        assert_eq!(viewpoint(&TriangleBvh::new(&sheet, &[[0, 1, 2]]), DVec3::Y), None);
    }
}
