//! The mesh of one segment from the patches around it.

use glam::{DMat3, DVec3, Vec3};
use meshopt::VertexDataAdapter;
use rayon::prelude::*;
use volume::ImageGeometry;

use crate::axes::each;
use crate::decimate::to_local;
use crate::mesh::Mesh;
use crate::normals::Normals;
use crate::patches::Tile;

/// Overdraw may cost this much of the vertex cache's gain; meshoptimizer's own recommendation.
const OVERDRAW_THRESHOLD: f32 = 1.05;

/// Vertices that one task handles at least; results do not depend on it.
const TASK: usize = 4096;

/// The part of a patch's orientation that a segment sees: as it is, or turned round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Facing {
    /// The segment holds the higher label; triangles face outward.
    Outward,
    /// The segment holds the lower label.
    Inward,
}

/// How a segment uses each patch; `None` where both sides or neither are inside.
pub(crate) fn facings(patches: &[[u16; 2]], inside: &[u16]) -> Vec<Option<Facing>> {
    let is_inside = |label| inside.binary_search(&label).is_ok();
    patches
        .iter()
        .map(|&[low, high]| match (is_inside(low), is_inside(high)) {
            (false, true) => Some(Facing::Outward),
            (true, false) => Some(Facing::Inward),
            _ => None,
        })
        .collect()
}

/// Joins the tiles of all patches of a segment, and orders them for drawing.
pub(crate) fn assemble(
    positions: &[[f32; 3]],
    tiles: &[Tile],
    normals: &Normals,
    facings: &[Option<Facing>],
    geometry: &ImageGeometry,
) -> Mesh {
    let mirrored = geometry.lps_from_index().mirrors();
    let mut triangles = Vec::new();
    let mut faces = Vec::new();
    for tile in tiles {
        let Some(facing) = facings[tile.patch as usize] else { continue };
        let turned = (facing == Facing::Inward) != mirrored;
        triangles.extend(tile.triangles.iter().map(|&[a, b, c]| if turned { [a, c, b] } else { [a, b, c] }));
        faces.resize(triangles.len(), facing);
    }
    let (local, vertices) = to_local(&triangles);
    let mut facing = vec![Facing::Outward; vertices.len()];
    for (t, face) in local.iter().zip(&faces) {
        for v in t {
            facing[*v as usize] = *face;
        }
    }
    let transform = geometry.lps_from_index();
    // Area vectors go over by the cofactor matrix, which also turns them for mirrored grids.
    let sign = if mirrored { -1.0 } else { 1.0 };
    let cofactor = cofactor(transform.linear) * sign;
    let place = |v: &u32| {
        let p = DVec3::from_array(each(positions[*v as usize], f64::from));
        (transform.linear * p + transform.translation).as_vec3().to_array()
    };
    let normal = |(v, facing): (&u32, &Facing)| {
        let n = cofactor * DVec3::from_array(normals.of(*v, *facing, facings).map(f64::from));
        n.as_vec3().try_normalize().unwrap_or(Vec3::Z).to_array()
    };
    let positions = vertices.par_iter().with_min_len(TASK).map(place).collect();
    let normals = vertices.par_iter().zip(&facing).with_min_len(TASK).map(normal).collect();
    in_drawing_order(Mesh { positions, normals, triangles: local })
}

fn cofactor(m: DMat3) -> DMat3 {
    DMat3::from_cols(m.y_axis.cross(m.z_axis), m.z_axis.cross(m.x_axis), m.x_axis.cross(m.y_axis))
}

/// Reorders triangles, which come in an order good for the vertex cache, against overdraw, then vertices for fetching.
fn in_drawing_order(mesh: Mesh) -> Mesh {
    if mesh.triangles.is_empty() {
        return mesh;
    }
    let mut triangles = mesh.triangles;
    if let Ok(vertices) = VertexDataAdapter::new(bytemuck::cast_slice(&mesh.positions), 12, 0) {
        meshopt::optimize_overdraw_in_place(bytemuck::cast_slice_mut(&mut triangles), &vertices, OVERDRAW_THRESHOLD);
    }
    let (triangles, order) = to_local(&triangles);
    let pick = |of: &[[f32; 3]]| order.iter().map(|&v| of[v as usize]).collect();
    let (positions, normals) = rayon::join(|| pick(&mesh.positions), || pick(&mesh.normals));
    Mesh { positions, normals, triangles }
}
