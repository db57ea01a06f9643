//! Levels of detail: each patch decimated tile by tile, measured, and done again where it lies off too far.

use rayon::prelude::*;

use crate::decimate::{Locks, decimate_tile, to_local};
use crate::distance::{Faces, Squared};
use crate::fidelity::{Density, Fault, PatchGrids, Spread, surface_to_boundary};
use crate::nets::Net;
use crate::patches::{Shared, Tile};

/// What a level may cost in accuracy.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LevelOptions {
    /// Farthest the surface may lie from the boundary and back, in voxels.
    pub(crate) bound: f32,
    /// Error handed to meshopt at first, in voxels. Its estimate is a mean, the bound a maximum.
    pub(crate) target: f32,
    pub(crate) density: Density,
    /// Vertices that the filter wanted to move farther than this along their normal stay, in voxels.
    pub(crate) strain: f32,
}

/// Part of the bound that samples may use, since places between them may lie a little farther off.
const SAFETY: f32 = 0.985;

/// Rounds of locking what lies off and decimating again, before a tile is left as it came.
const ROUNDS: usize = 1;

/// From this round on the target shrinks too.
const SHRINK_FROM: usize = 1;

/// A tile of the undecimated net, as the place of the voxel corners on the boundary.
pub(crate) struct Reference {
    patch: u32,
    corners: Vec<u32>,
    low: [f32; 3],
    high: [f32; 3],
}

impl Reference {
    /// The voxel corners that a tile's vertices stand for.
    pub(crate) fn of(net: &Net, tile: &Tile) -> Self {
        let (_, corners) = to_local(&tile.triangles);
        let (low, high) = bounds(corners.iter().map(|&v| net.corner(v)));
        Self { patch: tile.patch, corners, low, high }
    }
}

/// A level of all patches, and how far each patch lies off.
pub(crate) struct Level {
    pub(crate) tiles: Vec<Tile>,
    /// From the surface to the boundary, by patch.
    pub(crate) outward: Vec<Spread>,
    /// From the boundary to the surface, by patch.
    pub(crate) inward: Vec<Spread>,
    top_mm: f32,
}

/// What stays the same from level to level.
pub(crate) struct Scene<'a> {
    pub(crate) net: &'a Net,
    pub(crate) positions: &'a [[f32; 3]],
    pub(crate) faces: Faces<'a>,
    pub(crate) patches: &'a [[u16; 2]],
    pub(crate) references: &'a [Reference],
}

/// State of one tile between rounds.
struct Work {
    reduced: Tile,
    spread: Spread,
    faults: Vec<[f32; 3]>,
    locked: Vec<u32>,
    target: f32,
    low: [f32; 3],
    high: [f32; 3],
}

/// Reduces the tiles, which lie within the bound, as far as they stay so.
pub(crate) fn reduce(scene: &Scene, input: &[Tile], options: LevelOptions) -> Level {
    let Scene { net, positions, faces, patches, .. } = scene;
    let shared = Shared::of(net.len(), input);
    let spacing = faces.spacing;
    let widest = spacing.into_iter().fold(0.0, f32::max);
    let top_mm = 1.5 * options.bound * widest;
    let bound = options.bound * SAFETY;
    let attempt = |tile: &Tile, locked: Vec<u32>, target: f32, keep: bool| {
        let triangles = if keep {
            tile.triangles.clone()
        } else {
            let lock = |v: u32| match () {
                () if shared.contains(v) => Locks::Shared,
                () if net.strain(v) > options.strain || locked.binary_search(&v).is_ok() => Locks::Own,
                () => Locks::Free,
            };
            decimate_tile(&tile.triangles, target, |v| positions[v as usize], lock)
        };
        let reduced = Tile { patch: tile.patch, triangles };
        let sides = patches[tile.patch as usize];
        let (spread, faults) = surface_to_boundary(faces, positions, &reduced, sides, options.density, bound, top_mm);
        let corners = reduced.triangles.iter().flatten().map(|&v| positions[v as usize]);
        let (low, high) = bounds(corners);
        Work { reduced, spread, faults, locked, target, low, high }
    };
    let mut work: Vec<Work> = input.par_iter().map(|tile| attempt(tile, Vec::new(), options.target, false)).collect();

    // The grid finds all triangles within the bound, and within as many mm along the finer axes up to three times.
    let reach = spacing.map(|s| options.bound * (widest / s).min(3.0) + 0.01);
    let cell = 2.0 + 2.0 * options.bound;
    let mut inward: Vec<(Spread, Vec<Fault>)> = Vec::new();
    let mut changed = vec![true; work.len()];
    for round in 0..=ROUNDS + 1 {
        let tiles: Vec<Tile> = work.iter_mut().map(|w| std::mem::replace(&mut w.reduced, Tile::empty())).collect();
        let grids = PatchGrids::new(&tiles, positions, cell, reach, &patches_of(&tiles, &changed, patches.len()));
        for (w, tile) in work.iter_mut().zip(tiles) {
            w.reduced = tile;
        }
        let stale = |r: &Reference| {
            let near = |w: &Work| {
                (0..3)
                    .all(|a| w.low[a] - 2.0 * options.bound <= r.high[a] && r.low[a] <= w.high[a] + 2.0 * options.bound)
            };
            round == 0 || work.iter().zip(&changed).any(|(w, c)| *c && w.reduced.patch == r.patch && near(w))
        };
        let fresh: Vec<Option<(Spread, Vec<Fault>)>> = scene
            .references
            .par_iter()
            .map(|r| {
                stale(r).then(|| {
                    grids.boundary_to_surface(net, &r.corners, r.patch, spacing, options.density, bound, top_mm)
                })
            })
            .collect();
        if round == 0 {
            inward = fresh.into_iter().flatten().collect();
        } else {
            for (old, new) in inward.iter_mut().zip(fresh) {
                if let Some(new) = new {
                    *old = new;
                }
            }
        }
        if round > ROUNDS {
            break;
        }
        let blamed = blame(&work, &inward);
        changed = blamed.iter().map(|b| !b.is_empty()).collect();
        if !changed.contains(&true) {
            break;
        }
        work = work
            .into_par_iter()
            .zip(input)
            .zip(blamed)
            .map(|((mut w, tile), blamed)| {
                if blamed.is_empty() {
                    return w;
                }
                lock_nearest(&mut w.locked, tile, positions, &blamed);
                let target = if round >= SHRINK_FROM { w.target * 0.5 } else { w.target };
                attempt(tile, w.locked, target, round == ROUNDS)
            })
            .collect();
    }
    let mut level = Level {
        tiles: Vec::with_capacity(work.len()),
        outward: vec![Spread::new(top_mm); patches.len()],
        inward: vec![Spread::new(top_mm); patches.len()],
        top_mm,
    };
    for w in work {
        level.outward[w.reduced.patch as usize].merge(&w.spread);
        level.tiles.push(w.reduced);
    }
    for (r, (spread, _)) in scene.references.iter().zip(&inward) {
        level.inward[r.patch as usize].merge(spread);
    }
    level
}

/// Which patches have a tile that changed.
fn patches_of(tiles: &[Tile], changed: &[bool], patches: usize) -> Vec<bool> {
    let mut wanted = vec![false; patches];
    for (tile, _) in tiles.iter().zip(changed).filter(|(_, c)| **c) {
        wanted[tile.patch as usize] = true;
    }
    wanted
}

/// Places that lie off too far, by the tile that is to be done again.
fn blame(work: &[Work], inward: &[(Spread, Vec<Fault>)]) -> Vec<Vec<[f32; 3]>> {
    let mut blamed: Vec<Vec<[f32; 3]>> = work.iter().map(|w| w.faults.clone()).collect();
    for fault in inward.iter().flat_map(|(_, faults)| faults) {
        if let Some(places) = fault.tile.and_then(|t| blamed.get_mut(t)) {
            places.push(fault.at);
            continue;
        }
        // No triangle is near: the tile whose box is nearest must have lost it.
        let off = |w: &Work| {
            (0..3).map(|a| (w.low[a] - fault.at[a]).max(fault.at[a] - w.high[a]).max(0.0).powi(2)).sum::<f32>()
        };
        let nearest = work
            .iter()
            .enumerate()
            .filter(|(_, w)| w.reduced.patch == fault.patch)
            .min_by(|(_, a), (_, b)| off(a).total_cmp(&off(b)));
        if let Some((tile, _)) = nearest {
            blamed[tile].push(fault.at);
        }
    }
    blamed
}

/// Adds the vertices nearest to the given places, and their neighbours, to the locked ones.
fn lock_nearest(locked: &mut Vec<u32>, tile: &Tile, positions: &[[f32; 3]], places: &[[f32; 3]]) {
    let mut vertices: Vec<u32> = tile.triangles.iter().flatten().copied().collect();
    vertices.sort_unstable();
    vertices.dedup();
    let mut nearest: Vec<u32> = places
        .iter()
        .filter_map(|p| {
            let square = |v: &u32| {
                let q = positions[*v as usize];
                (0..3).map(|a| (p[a] - q[a]) * (p[a] - q[a])).sum::<f32>()
            };
            vertices.iter().copied().min_by(|a, b| square(a).total_cmp(&square(b)))
        })
        .collect();
    nearest.sort_unstable();
    nearest.dedup();
    for t in &tile.triangles {
        if t.iter().any(|v| nearest.binary_search(v).is_ok()) {
            locked.extend(t);
        }
    }
    locked.sort_unstable();
    locked.dedup();
}

fn bounds(points: impl Iterator<Item = [f32; 3]>) -> ([f32; 3], [f32; 3]) {
    points.fold(([f32::INFINITY; 3], [f32::NEG_INFINITY; 3]), |(low, high), p| {
        ([0, 1, 2].map(|a| low[a].min(p[a])), [0, 1, 2].map(|a| high[a].max(p[a])))
    })
}

/// Hausdorff distance and 95th percentile in mm over the patches of a segment, the larger of both directions.
pub(crate) fn combine(level: &Level, uses: impl Fn(usize) -> bool) -> (f64, f64) {
    let empty = Spread::new(level.top_mm);
    let (mut outward, mut inward) = (empty.clone(), empty);
    for patch in (0..level.outward.len()).filter(|p| uses(*p)) {
        outward.merge(&level.outward[patch]);
        inward.merge(&level.inward[patch]);
    }
    let worst = |s: Squared| f64::from(s.mm.sqrt());
    let p95 = outward.quantile_mm(0.95).max(inward.quantile_mm(0.95));
    (worst(outward.max).max(worst(inward.max)), f64::from(p95))
}
