//! From a label map to the surfaces of its segments, in four levels of detail.

use std::collections::{BTreeMap, BTreeSet};

use rayon::prelude::*;
use volume::{BACKGROUND, Label, LabelMap};

use crate::assemble::{Facing, assemble, facings};
use crate::axes::each;
use crate::distance::Faces;
use crate::error::SurfaceError;
use crate::fidelity::{Density, Reference};
use crate::lod::{LevelOptions, Scene, combine, reduce};
use crate::mesh::Mesh;
use crate::nets::{Bound, Net, Smoothing};
use crate::normals::Normals;
use crate::patches::{patch_sides, retile, tiles_of_net};
use crate::volumes::keep_volumes;

/// How surfaces are made.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SurfaceOptions {
    /// How voxel steps are relaxed.
    pub smoothing: Smoothing,
    /// Farthest each level may lie from the label boundary, and the boundary from it, in voxels: lengths along each grid axis are
    /// divided by that axis' spacing. The boundary is the voxel faces between different labels.
    pub lod_error_voxels: [f64; 4],
}

impl Default for SurfaceOptions {
    fn default() -> Self {
        Self { smoothing: Smoothing::default(), lod_error_voxels: [0.5, 1.0, 2.0, 4.0] }
    }
}

/// How far a surface lies from the label boundary it stands for.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Fidelity {
    /// Largest distance from the surface to the voxel faces of the boundary or back, in mm.
    pub hausdorff_mm: f64,
    /// 95 % of the area lies nearer than this, in mm; the larger of both directions. From one in sixteen samples.
    pub p95_mm: f64,
    /// Difference of the enclosed volume to that of the voxels, in percent of the latter.
    pub volume_error_percent: f64,
    /// Distance between the samples that were measured, in mm.
    pub sample_spacing_mm: f64,
}

/// One level of detail.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SurfaceLod {
    /// The surface.
    pub mesh: Mesh,
    /// Its distance from the label boundary.
    pub fidelity: Fidelity,
}

/// The surface of one segment.
#[derive(Clone, Debug, PartialEq)]
pub struct SegmentSurface {
    /// The segment's label.
    pub label: Label,
    /// True if every edge of every level is run along equally often in both directions.
    pub closed: bool,
    /// Finest first; four.
    pub lods: Vec<SurfaceLod>,
    /// Volume of the segment's voxels in ml, parts included.
    pub volume_ml: f64,
}

/// Kept free of the finest level's bound for rounding, in voxels.
const MARGIN: f32 = 0.01;

/// Errors handed to meshopt at first, in parts of the bound; the finest level keeps all triangles, since within half a voxel both ways
/// no more than a quarter of them could go. Chosen on the torso labels: larger ones cost more repairs than they save triangles.
const TARGETS: [Option<f64>; 4] = [None, Some(0.3), Some(0.33), Some(0.33)];

/// How densely each level is sampled. The edges of the finest are all shorter than two voxels.
const DENSITIES: [Density; 4] = [
    Density { surface: 2.0, every: 1 },
    Density { surface: 1.5, every: 2 },
    Density { surface: 2.0, every: 3 },
    Density { surface: 3.0, every: 5 },
];

/// Part of the finest bound beyond which a vertex is not given up: it stands for a corner that has no room left.
const STRAIN: f64 = 0.8;

/// Makes closed surfaces of all segments, and of all labels that occur without one; ordered by label.
///
/// Segments without voxels are left out. Neighbours share the vertices of their common boundary at every level.
///
/// # Errors
/// [`SurfaceError`] for a grid too large to number or an option out of range.
pub fn surfaces_of_labels(
    map: &LabelMap,
    options: &SurfaceOptions,
    progress: &(dyn Fn(f32) + Sync),
) -> Result<Vec<SegmentSurface>, SurfaceError> {
    let mut net = Net::extract(&map.voxels, &options.smoothing)?;
    progress(0.1);
    let patches = patch_sides(&net);
    let counts = map.counts();
    let segments = segments_of(map, &counts);
    let geometry = map.geometry();
    let mut surfaces: Vec<SegmentSurface> = segments
        .iter()
        .map(|(&label, inside)| {
            let voxels: usize = inside.iter().filter_map(|l| counts.get(l)).sum();
            let volume_ml = voxels as f64 * geometry.voxel_volume_mm3() * 1e-3;
            SegmentSurface { label, closed: true, lods: Vec::new(), volume_ml }
        })
        .collect();

    // A corner of the voxels must not lie farther from the finest level than its bound.
    let radius = options.smoothing.max_move_voxels.min(options.lod_error_voxels[0] as f32 - MARGIN);
    let mut positions = net.first_positions(Bound::Ball(radius));
    if options.smoothing.passes > 0 {
        keep_volumes(&net, &mut positions, &counts, radius);
    }
    let mut tiles = tiles_of_net(&net, &positions, &patches);
    let normals = Normals::of_tiles(&net, &tiles);
    let references: Vec<Reference> = tiles.par_iter().map(|tile| Reference::of(&net, tile)).collect();
    let spacing = geometry.spacing();
    let faces = Faces { labels: map.voxels.data(), size: geometry.size(), spacing: each(spacing, |s| s as f32) };
    let scene = Scene { net: &net, positions: &positions, faces, patches: &patches, references: &references };
    let facings: Vec<Vec<Option<Facing>>> = segments.values().map(|inside| facings(&patches, inside)).collect();
    progress(0.2);
    for level in 0..options.lod_error_voxels.len() {
        if level > 0 {
            tiles = retile(&net, &tiles, level as u32);
        }
        let bound = options.lod_error_voxels[level];
        let level_options = LevelOptions {
            bound: bound as f32,
            target: TARGETS[level].map(|t| (bound * t) as f32),
            density: DENSITIES[level],
            strain: (bound * STRAIN) as f32,
        };
        let reduced = reduce(&scene, std::mem::take(&mut tiles), level_options);
        let lods: Vec<(SurfaceLod, bool)> = facings
            .par_iter()
            .zip(&surfaces)
            .map(|(facings, surface)| {
                let mesh = assemble(&positions, &reduced.tiles, &normals, facings, geometry);
                let (hausdorff_mm, p95_mm) = combine(&reduced, |patch| facings[patch].is_some());
                let volume_error_percent = 100.0 * (mesh.volume_mm3() / (surface.volume_ml * 1e3) - 1.0);
                let sample_spacing_mm = f64::from(level_options.density.spacing()) * geometry.max_spacing_mm();
                let fidelity = Fidelity { hausdorff_mm, p95_mm, volume_error_percent, sample_spacing_mm };
                let closed = is_closed(&mesh.triangles);
                (SurfaceLod { mesh, fidelity }, closed)
            })
            .collect();
        for (surface, (lod, closed)) in surfaces.iter_mut().zip(lods) {
            surface.closed &= closed;
            surface.lods.push(lod);
        }
        tiles = reduced.tiles;
        progress(0.4 + 0.2 * level as f32);
    }
    Ok(surfaces)
}

/// Each segment with the sorted labels inside it; only those that have voxels.
fn segments_of(map: &LabelMap, counts: &BTreeMap<Label, usize>) -> BTreeMap<Label, Vec<Label>> {
    let labels: BTreeSet<Label> =
        map.segments.keys().chain(counts.keys()).copied().filter(|&l| l != BACKGROUND).collect();
    labels
        .into_iter()
        .map(|label| {
            let parts = map.segments.get(&label).map_or(&[][..], |s| &s.parts);
            let inside: BTreeSet<Label> = parts.iter().copied().chain([label]).filter(|&l| l != BACKGROUND).collect();
            (label, inside.into_iter().collect::<Vec<_>>())
        })
        .filter(|(_, inside)| inside.iter().any(|l| counts.contains_key(l)))
        .collect()
}

/// True if each edge is run along equally often in both directions, judged by a sum of hashes.
fn is_closed(triangles: &[[u32; 3]]) -> bool {
    let hash = |a: u32, b: u32| {
        // The finalizer of SplitMix64.
        let mut x = (u64::from(a) << 32 | u64::from(b)).wrapping_add(0x9e37_79b9_7f4a_7c15);
        x = (x ^ x >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ x >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        x ^ x >> 31
    };
    let turn = |sum: u64, a, b| sum.wrapping_add(hash(a, b)).wrapping_sub(hash(b, a));
    let of = |sum, &[a, b, c]: &[u32; 3]| turn(turn(turn(sum, a, b), b, c), c, a);
    triangles.par_chunks(1 << 15).map(|chunk| chunk.iter().fold(0u64, of)).reduce(|| 0, u64::wrapping_add) == 0
}
