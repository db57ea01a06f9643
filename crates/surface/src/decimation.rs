//! Decimation of whole meshes by meshopt, its result measured.

use std::collections::{BTreeMap, BTreeSet};

use glam::Vec3;
use rayon::prelude::*;

use crate::decimate::{lock_extremes, remove_fins, simplify, to_local};
use crate::error::SurfaceError;
use crate::gauge::{Tree, along_curve, check};
use crate::mesh::Mesh;

/// How far a mesh is decimated.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DecimateOptions {
    /// Part of the triangles that is left if the error allows; from 0 to 1.
    pub target_share: f64,
    /// Farthest the result may lie from the mesh and the mesh from it, as measured; infinite for no bound.
    pub max_error_mm: f64,
    /// Whether the result is measured where no bound asks for it; measuring takes longer than decimating.
    pub is_measured: bool,
    /// Widest distance between the samples that are measured; `None` takes the mean edge of the mesh.
    pub sample_spacing_mm: Option<f64>,
}

impl Default for DecimateOptions {
    fn default() -> Self {
        Self { target_share: 0.1, max_error_mm: f64::INFINITY, is_measured: true, sample_spacing_mm: None }
    }
}

/// A decimated mesh and how far it lies from what it was.
#[derive(Clone, Debug, PartialEq)]
pub struct Decimation {
    /// Its vertices are some of the mesh's own, with their normals; and the middles of edges where a sheet touches itself.
    pub mesh: Mesh,
    /// Hausdorff distance to the mesh, both ways, in mm, if it was measured; see [`crate::hausdorff_mm`].
    pub hausdorff_mm: Option<f64>,
    /// Widest distance between the samples that are measured, in mm.
    pub sample_spacing_mm: f64,
}

/// How often the bound given to meshopt is lowered before the mesh is left as it is.
const TRIES: i32 = 8;

/// Reduces a mesh to a share of its triangles within a bound, and measures the result unless told not to.
///
/// A closed mesh stays closed: every edge of the result that had two triangles has two, and sheets that come to touch keep
/// vertices of their own, at the same place. Every closed piece keeps at least its six outermost vertices.
///
/// # Errors
/// [`SurfaceError`] for an option out of range, a position that is not finite or a triangle without its vertices.
pub fn decimate(mesh: &Mesh, options: &DecimateOptions) -> Result<Decimation, SurfaceError> {
    let refuse = |name, expected, found| Err(SurfaceError::Option { name, expected, found });
    if !(0.0..=1.0).contains(&options.target_share) {
        return refuse("target_share", "from 0 to 1", options.target_share);
    }
    if options.max_error_mm.is_nan() || options.max_error_mm < 0.0 {
        return refuse("max_error_mm", "0 or more", options.max_error_mm);
    }
    let spacing = options.sample_spacing_mm.unwrap_or(1.0);
    if !(spacing > 0.0 && spacing.is_finite()) {
        return refuse("sample_spacing_mm", "positive and finite", spacing);
    }
    check(mesh)?;
    if mesh.normals.len() != mesh.positions.len() {
        return refuse("normals", "one a vertex", mesh.normals.len() as f64);
    }
    let sample_spacing_mm = options.sample_spacing_mm.unwrap_or_else(|| mean_edge_mm(mesh));
    let as_it_is = || Decimation { mesh: mesh.clone(), hausdorff_mm: Some(0.0), sample_spacing_mm };
    if mesh.triangles.is_empty() || options.target_share >= 1.0 || options.max_error_mm == 0.0 {
        return Ok(as_it_is());
    }
    if options.max_error_mm == f64::INFINITY && !options.is_measured {
        let mesh = reduce(mesh, options.target_share, f32::INFINITY);
        return Ok(Decimation { mesh, hausdorff_mm: None, sample_spacing_mm });
    }
    let tree = Tree::of(mesh);
    for n in 0..TRIES {
        let bound = options.max_error_mm * 0.7f64.powi(n);
        let reduced = reduce(mesh, options.target_share, bound as f32);
        let back = Tree::of(&reduced);
        let hausdorff_mm = back.farthest(mesh, sample_spacing_mm).max(tree.farthest(&reduced, sample_spacing_mm));
        if hausdorff_mm <= options.max_error_mm {
            return Ok(Decimation { mesh: reduced, hausdorff_mm: Some(hausdorff_mm), sample_spacing_mm });
        }
    }
    Ok(as_it_is())
}

fn mean_edge_mm(mesh: &Mesh) -> f64 {
    let length = |a: u32, b: u32| {
        let (p, q) = (mesh.positions[a as usize], mesh.positions[b as usize]);
        f64::from((0..3).map(|x| (p[x] - q[x]) * (p[x] - q[x])).sum::<f32>().sqrt())
    };
    // Sums of fixed chunks, so that threads do not change the rounding.
    let sums: Vec<f64> = mesh
        .triangles
        .par_chunks(8192)
        .map(|chunk| chunk.iter().map(|&[a, b, c]| length(a, b) + length(b, c) + length(c, a)).sum())
        .collect();
    let mean = sums.iter().sum::<f64>() / (3 * mesh.triangles.len()).max(1) as f64;
    if mean > 0.0 { mean } else { 1.0 }
}

/// Triangles in a tile, which decimation has in its cache.
const TILE: usize = 1 << 16;
/// Part of its triangles that a tile keeps at least, so that what it loses is what the whole mesh would lose first.
const LEAST_TILE_SHARE: f64 = 0.35;

fn reduce(mesh: &Mesh, share: f64, max_error_mm: f32) -> Mesh {
    let target = (mesh.triangles.len() as f64 * share) as usize;
    let max_error = max_error_mm.min(f32::MAX);
    // Coarse by tiles, the rest over the whole: tiles have many threads and their borders do not stay.
    let tiled = if share < LEAST_TILE_SHARE && mesh.triangles.len() > 2 * TILE {
        Some(reduce_tiles(mesh, max_error))
    } else {
        None
    };
    let left = tiled.as_deref().unwrap_or(&mesh.triangles);
    let mut triangles = simplify_part(mesh, left, &[], target, max_error);
    remove_fins(&mut triangles);
    let Parted { triangles, origins, middles } = part_sheets(&triangles);
    let mut positions: Vec<[f32; 3]> = origins.iter().map(|v| mesh.positions[*v as usize]).collect();
    let mut normals: Vec<[f32; 3]> = origins.iter().map(|v| mesh.normals[*v as usize]).collect();
    for ends in middles {
        let between = |of: &[[f32; 3]]| {
            let [a, b] = ends.map(|v| Vec3::from_array(of[v as usize]));
            (a + b) * 0.5
        };
        let (position, normal) = (between(&positions), between(&normals));
        // Opposite normals have no middle.
        let normal = normal.try_normalize().map_or(normals[ends[0] as usize], |n| n.to_array());
        positions.push(position.to_array());
        normals.push(normal);
    }
    Mesh { positions, normals, triangles }
}

fn reduce_tiles(mesh: &Mesh, max_error: f32) -> Vec<[u32; 3]> {
    let order = along_curve(mesh);
    // Tile + 1 of each vertex, or `SHARED`.
    const SHARED: u32 = u32::MAX;
    let mut tile_of = vec![0u32; mesh.positions.len()];
    for (tile, part) in order.chunks(TILE).enumerate() {
        for v in part.iter().flat_map(|n| mesh.triangles[*n as usize]) {
            let of = &mut tile_of[v as usize];
            *of = if *of == 0 || *of == tile as u32 + 1 { tile as u32 + 1 } else { SHARED };
        }
    }
    let is_shared: Vec<bool> = tile_of.into_iter().map(|of| of == SHARED).collect();
    let reduced: Vec<Vec<[u32; 3]>> = order
        .par_chunks(TILE)
        .map(|part| {
            let triangles: Vec<[u32; 3]> = part.iter().map(|n| mesh.triangles[*n as usize]).collect();
            let target = (triangles.len() as f64 * LEAST_TILE_SHARE) as usize;
            simplify_part(mesh, &triangles, &is_shared, target, max_error)
        })
        .collect();
    reduced.concat()
}

/// Calls meshopt for some triangles of a mesh, down to so many of them; `is_held` vertices stay, none if it is empty.
fn simplify_part(
    mesh: &Mesh,
    triangles: &[[u32; 3]],
    is_held: &[bool],
    target: usize,
    max_error: f32,
) -> Vec<[u32; 3]> {
    let (local, vertices) = to_local(triangles);
    let positions: Vec<[f32; 3]> = vertices.iter().map(|v| mesh.positions[*v as usize]).collect();
    let mut locks: Vec<bool> = vertices.iter().map(|v| is_held.get(*v as usize) == Some(&true)).collect();
    lock_extremes(&local, &positions, &mut locks);
    let reduced = simplify(&local, &positions, &locks, target, max_error);
    reduced.into_iter().map(|t| t.map(|v| vertices[v as usize])).collect()
}

/// Triangles of which only neighbours share vertices.
struct Parted {
    triangles: Vec<[u32; 3]>,
    /// What each vertex was before.
    origins: Vec<u32>,
    /// Vertices in the middle between two others, numbered after them.
    middles: Vec<[u32; 2]>,
}

/// Numbers vertices anew so that triangles share one only if they hang together by edges there, and edges only two by two.
///
/// Where two sheets through an edge hang together at both its ends, one of them gets a vertex in the middle.
fn part_sheets(triangles: &[[u32; 3]]) -> Parted {
    // The edge with its lower vertex first; the corner it starts from; in order.
    let mut edges: Vec<(u64, u32)> = Vec::with_capacity(3 * triangles.len());
    for (n, t) in triangles.iter().enumerate() {
        for m in 0..3 {
            let (a, b) = (t[m], t[(m + 1) % 3]);
            edges.push((u64::from(a.min(b)) << 32 | u64::from(a.max(b)), (3 * n + m) as u32));
        }
    }
    edges.par_sort_unstable();
    let next = |corner: u32| if corner % 3 == 2 { corner - 2 } else { corner + 1 };
    let vertex = |corner: u32| triangles[corner as usize / 3][corner as usize % 3];
    let mut parent: Vec<u32> = (0..3 * triangles.len() as u32).collect();
    let mut join = |a: u32, b: u32| {
        let (a, b) = (root(&mut parent, a), root(&mut parent, b));
        parent[a.max(b) as usize] = a.min(b);
    };
    let mut crowded = Vec::new();
    for run in edges.chunk_by(|a, b| a.0 == b.0) {
        let is_up = |corner: u32| u64::from(vertex(corner)) == run[0].0 >> 32;
        let ups = run.iter().map(|e| e.1).filter(|c| is_up(*c));
        let downs = run.iter().map(|e| e.1).filter(|c| !is_up(*c));
        let pairs = ups.zip(downs);
        for (up, down) in pairs.clone() {
            join(up, next(down));
            join(next(up), down);
        }
        if run.len() > 2 {
            crowded.push(pairs.collect::<Vec<_>>());
        }
    }
    let mut origins = Vec::with_capacity(triangles.len() / 2 + 8);
    let mut numbers = vec![0u32; parent.len()];
    for corner in 0..parent.len() as u32 {
        // A root is the lowest corner of its vertex, so it comes first.
        let at = root(&mut parent, corner);
        if at == corner {
            numbers[at as usize] = origins.len() as u32;
            origins.push(vertex(corner));
        }
        numbers[corner as usize] = numbers[at as usize];
    }
    let mut parted = Parted { triangles: numbers.as_chunks::<3>().0.to_vec(), origins, middles: Vec::new() };
    let mut pieces = BTreeMap::new();
    for pairs in crowded {
        let mut seen = BTreeSet::new();
        for (up, down) in pairs {
            let ends = [numbers[up as usize], numbers[next(up) as usize]];
            if !seen.insert(ends) {
                let middle = (parted.origins.len() + parted.middles.len()) as u32;
                parted.middles.push(ends);
                split(&mut parted.triangles, &mut pieces, up / 3, ends, middle);
                split(&mut parted.triangles, &mut pieces, down / 3, [ends[1], ends[0]], middle);
            }
        }
    }
    parted
}

/// Puts a vertex on an edge of a triangle; `pieces` are the further triangles it has become by earlier calls.
fn split(
    triangles: &mut Vec<[u32; 3]>,
    pieces: &mut BTreeMap<u32, Vec<u32>>,
    triangle: u32,
    [from, to]: [u32; 2],
    middle: u32,
) {
    let pieces = pieces.entry(triangle).or_default();
    for piece in pieces.iter().copied().chain([triangle]) {
        let t = triangles[piece as usize];
        if let Some(n) = (0..3).find(|n| t[*n] == from && t[(n + 1) % 3] == to) {
            let tip = t[(n + 2) % 3];
            triangles[piece as usize] = [from, middle, tip];
            pieces.push(triangles.len() as u32);
            triangles.push([middle, to, tip]);
            return;
        }
    }
}

fn root(parent: &mut [u32], mut v: u32) -> u32 {
    while parent[v as usize] != v {
        let up = parent[parent[v as usize] as usize];
        parent[v as usize] = up;
        v = up;
    }
    v
}

#[cfg(test)]
mod tests {
    use glam::DMat3;
    use proptest::prelude::*;
    use space::Point;
    use volume::{ImageGeometry, Volume};

    use super::*;
    use crate::gauge::hausdorff_mm;
    use crate::isosurface::{IsosurfaceOptions, isosurface};

    fn iso(size: [usize; 3], value: impl FnMut([usize; 3]) -> f32) -> Mesh {
        let geometry = ImageGeometry::new(size, [1.0; 3], Point::ZERO, DMat3::IDENTITY).unwrap();
        isosurface(&Volume::from_fn(geometry, value), 0.0, &IsosurfaceOptions::default()).unwrap()
    }

    fn ball(radius: f32) -> Mesh {
        iso([40; 3], |v| radius - v.map(|x| (x as f32 - 19.5).powi(2)).iter().sum::<f32>().sqrt())
    }

    #[track_caller]
    fn check_closed(mesh: &Mesh) {
        let topology = mesh.topology();
        assert_eq!((topology.open_edges, topology.crowded_edges), (0, 0));
        assert_eq!(mesh.positions.len(), mesh.normals.len());
    }

    #[test]
    fn a_ball_reaches_its_share_and_stays_a_ball() {
        let mesh = ball(15.0);
        let made = decimate(&mesh, &DecimateOptions::default()).unwrap();
        check_closed(&made.mesh);
        assert_eq!(made.mesh.topology().euler, 2);
        let share = made.mesh.triangles.len() as f64 / mesh.triangles.len() as f64;
        assert!((0.08..=0.1).contains(&share), "{share}");
        let measured = made.hausdorff_mm.unwrap();
        assert!((0.01..0.5).contains(&measured), "{measured}");
        assert_eq!(measured, hausdorff_mm(&mesh, &made.mesh, made.sample_spacing_mm).unwrap());
        let unmeasured =
            decimate(&mesh, &DecimateOptions { is_measured: false, ..DecimateOptions::default() }).unwrap();
        assert_eq!((unmeasured.mesh, unmeasured.hausdorff_mm), (made.mesh.clone(), None));
        let finer = hausdorff_mm(&mesh, &made.mesh, made.sample_spacing_mm / 4.0).unwrap();
        assert!(finer >= measured && finer < measured * 1.05, "{finer} by four times as many samples");
        for (p, n) in made.mesh.positions.iter().zip(&made.mesh.normals) {
            let from = mesh.positions.iter().position(|q| p == q).unwrap();
            assert_eq!(*n, mesh.normals[from]);
        }
    }

    #[test]
    fn tiles_leave_no_seams() {
        let bumps = |x: f32, y: f32, z: f32| 0.4 * (x * 1.7).sin() * (y * 1.3).sin() * (z * 1.9).sin();
        let mesh = iso([132; 3], |v| {
            let [x, y, z] = v.map(|x| x as f32 - 65.5);
            62.0 + bumps(x, y, z) - (x * x + y * y + z * z).sqrt()
        });
        assert!(mesh.triangles.len() > 2 * TILE, "{} triangles are no two tiles", mesh.triangles.len());
        let made = decimate(&mesh, &DecimateOptions { target_share: 0.02, ..DecimateOptions::default() }).unwrap();
        check_closed(&made.mesh);
        assert_eq!(made.mesh.topology().euler, 2);
        let share = made.mesh.triangles.len() as f64 / mesh.triangles.len() as f64;
        assert!((0.015..=0.02).contains(&share), "what tiles share may go in the end: {share}");
        assert!(made.hausdorff_mm.unwrap() < 1.0, "{:?}", made.hausdorff_mm);
    }

    #[test]
    fn the_bound_is_kept_as_measured() {
        let mesh = ball(15.0);
        let mut least = 0;
        for max_error_mm in [1.0, 0.2, 0.05, 0.01] {
            let options =
                DecimateOptions { max_error_mm, target_share: 0.0, sample_spacing_mm: Some(0.3), is_measured: false };
            let made = decimate(&mesh, &options).unwrap();
            check_closed(&made.mesh);
            let measured = made.hausdorff_mm.unwrap();
            assert!(measured <= max_error_mm, "{measured} of {max_error_mm}");
            assert!(made.mesh.triangles.len() > least, "{max_error_mm}");
            least = made.mesh.triangles.len();
        }
        let none = DecimateOptions { max_error_mm: 0.0, ..DecimateOptions::default() };
        assert_eq!(decimate(&mesh, &none).unwrap().mesh, mesh);
    }

    #[test]
    fn options_out_of_range_are_refused() {
        let mesh = ball(5.0);
        let base = DecimateOptions::default();
        for options in [
            DecimateOptions { target_share: -0.1, ..base },
            DecimateOptions { target_share: f64::NAN, ..base },
            DecimateOptions { max_error_mm: -1.0, ..base },
            DecimateOptions { max_error_mm: f64::NAN, ..base },
            DecimateOptions { sample_spacing_mm: Some(0.0), ..base },
        ] {
            assert!(matches!(decimate(&mesh, &options), Err(SurfaceError::Option { .. })), "{options:?}");
        }
        let mut broken = mesh.clone();
        broken.triangles[0][0] = u32::MAX;
        assert!(matches!(decimate(&broken, &base), Err(SurfaceError::Index { .. })));
        let empty = decimate(&Mesh::default(), &base).unwrap();
        assert_eq!((empty.mesh, empty.hausdorff_mm), (Mesh::default(), Some(0.0)));
    }

    #[test]
    fn sheets_that_touch_are_parted() {
        // Two tetrahedra with an edge in common.
        let shell = |[a, b, c, d]: [u32; 4]| [[a, c, b], [a, b, d], [a, d, c], [b, c, d]];
        let triangles: Vec<[u32; 3]> = shell([0, 1, 2, 3]).into_iter().chain(shell([1, 0, 4, 5])).collect();
        assert_eq!(crate::mesh::topology(&triangles).crowded_edges, 1);
        let parted = part_sheets(&triangles);
        let topology = crate::mesh::topology(&parted.triangles);
        assert_eq!((topology.open_edges, topology.crowded_edges, topology.euler), (0, 0, 4));
        let back: Vec<[u32; 3]> = parted.triangles.iter().map(|t| t.map(|v| parted.origins[v as usize])).collect();
        assert_eq!(back, triangles);
        assert!(parted.middles.is_empty());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]
        #[test]
        fn closed_stays_closed(
            values in proptest::collection::vec(-4.0f32..3.0, 9 * 8 * 7),
            target_share in 0.02..0.9f64,
        ) {
            let mesh = iso([9, 8, 7], |[i, j, k]| values[i + 9 * (j + 8 * k)]);
            let made = decimate(&mesh, &DecimateOptions { target_share, ..DecimateOptions::default() }).unwrap();
            check_closed(&made.mesh);
            prop_assert!(made.mesh.triangles.len() <= mesh.triangles.len());
            prop_assert!(made.hausdorff_mm.is_some_and(f64::is_finite));
        }
    }
}
