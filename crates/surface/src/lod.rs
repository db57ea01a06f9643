//! Levels of detail: each patch decimated tile by tile, measured, and done again where it lies off too far.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use rayon::prelude::*;

use crate::decimate::{Decimated, Locks, SPARE_RADIUS, decimate_tile, in_cache_order, keep_tile};
use crate::distance::Faces;
use crate::fidelity::{Bounds, Density, Fault, Gauge, Reference, Spread, reach, surface_to_boundary};
use crate::mend::Mending;
use crate::nets::Net;
use crate::patches::{Shared, Tile, block_key, by_patch, finest_block};

/// What a level may cost in accuracy.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LevelOptions {
    /// Farthest the surface may lie from the boundary and back, in voxels.
    pub(crate) bound: f32,
    /// Error handed to meshopt at first, in voxels; its estimate is a mean, the bound a maximum. None keeps the triangles as they are.
    pub(crate) target: Option<f32>,
    pub(crate) density: Density,
    /// Vertices that the filter wanted to move farther than this along their normal stay, in voxels.
    pub(crate) strain: f32,
}

/// Part of the bound that samples may use, since places between them may lie a little farther off.
const SAFETY: f32 = 0.97;

/// A level of all patches, and how far each patch lies off.
pub(crate) struct Level {
    pub(crate) tiles: Vec<Tile>,
    /// From the surface to the boundary, by patch.
    outward: Vec<Spread>,
    /// From the boundary to the surface, by patch.
    inward: Vec<Spread>,
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

/// A tile and how far it lies off.
struct Work {
    reduced: Tile,
    spread: Spread,
    faults: Vec<[f32; 3]>,
    bounds: Bounds,
}

impl Scene<'_> {
    fn gauge(&self, options: LevelOptions) -> Gauge {
        let widest = self.faces.spacing.into_iter().fold(0.0, f32::max);
        Gauge { density: options.density, bound: options.bound * SAFETY, top_mm: 1.5 * options.bound * widest }
    }

    /// Measures a tile towards the boundary.
    fn measure(&self, reduced: Tile, gauge: Gauge) -> Work {
        let sides = self.patches[reduced.patch as usize];
        let (spread, faults) = surface_to_boundary(&self.faces, self.positions, &reduced, sides, gauge);
        let bounds = Bounds::of(reduced.triangles.iter().flatten().map(|&v| self.positions[v as usize]));
        Work { reduced, spread, faults, bounds }
    }

    /// Measures the boundary towards the tiles of its patch.
    fn measure_back(
        &self,
        reference: &Reference,
        work: &[Work],
        blocks: &[Blocks],
        tiles: Range<usize>,
        known: Option<&[[f32; 3]]>,
        gauge: Gauge,
    ) -> (Spread, Vec<Fault>) {
        let (mut triangles, mut owners) = (Vec::new(), Vec::new());
        for n in tiles {
            let own = &work[n].reduced.triangles;
            triangles.extend(
                blocks[n].near(reference.block).iter().map(|&t| own[t as usize].map(|v| self.positions[v as usize])),
            );
            owners.extend(blocks[n].near(reference.block).iter().map(|&t| (n as u32, t)));
        }
        reference.to_surface(self.net, triangles, &owners, self.faces.spacing, known, gauge)
    }
}

impl Scene<'_> {
    /// Draws triangles through the vertices that were lost.
    fn pull(&self, work: Work, blame: &Blame, gauge: Gauge) -> Tile {
        let Tile { patch, block, triangles } = work.reduced;
        let mut pulls = blame.pulls.clone();
        pulls.sort_unstable_by(|a, b| {
            a.0.cmp(&b.0).then(b.1.square.total_cmp(&a.1.square)).then(a.1.vertex.cmp(&b.1.vertex))
        });
        let mut mending = Mending::new(self.positions, triangles, |_, _| true);
        for run in pulls.chunk_by(|a, b| a.0 == b.0) {
            let lost: Vec<(u32, [f32; 3])> = run.iter().map(|(_, fault)| (fault.vertex, fault.at)).collect();
            mending.pull(run[0].0, &lost, gauge.bound);
        }
        Tile { patch, block, triangles: mending.finish() }
    }
}

/// The triangles of a tile by the blocks they come near.
struct Blocks(BTreeMap<u64, Vec<u32>>);

impl Blocks {
    /// A quad may reach one cell beyond the block it belongs to.
    fn of(scene: &Scene, tile: &Tile, gauge: Gauge) -> Self {
        let reach = reach(scene.faces.spacing, gauge.bound).map(|r| r + 1.0);
        let mut blocks: BTreeMap<u64, Vec<u32>> = BTreeMap::new();
        for (n, t) in tile.triangles.iter().enumerate() {
            let bounds = Bounds::of(t.iter().map(|&v| scene.positions[v as usize]));
            let from = [0, 1, 2].map(|a| finest_block(bounds.low[a] - reach[a]));
            let to = [0, 1, 2].map(|a| finest_block(bounds.high[a] + reach[a]));
            for z in from[2]..=to[2] {
                for y in from[1]..=to[1] {
                    for x in from[0]..=to[0] {
                        blocks.entry(block_key([x, y, z])).or_default().push(n as u32);
                    }
                }
            }
        }
        Self(blocks)
    }

    fn near(&self, block: u64) -> &[u32] {
        self.0.get(&block).map_or(&[], Vec::as_slice)
    }
}

/// Reduces all tiles as far as the options allow, and measures them.
///
/// A tile that lies off too far is decimated once more, with the vertices near those places locked; if that does not do either, it
/// stays as it came, which is within the bound of the level before.
pub(crate) fn reduce(scene: &Scene, input: &[Tile], options: LevelOptions) -> Level {
    let gauge = scene.gauge(options);
    let ranges = by_patch(input, scene.patches.len());
    let decimator = options.target.map(|target| Decimator::new(scene, input, options.strain, target));
    let mut attempts: Vec<Attempt> = decimator.as_ref().map_or_else(Vec::new, Decimator::first);
    let tile_of = |n: usize, attempt: Option<&mut Attempt>| {
        let triangles = attempt.map_or_else(|| input[n].triangles.clone(), Attempt::take);
        Tile { patch: input[n].patch, block: input[n].block, triangles }
    };
    let mut work: Vec<Work> = if attempts.is_empty() {
        (0..input.len()).into_par_iter().map(|n| scene.measure(tile_of(n, None), gauge)).collect()
    } else {
        attempts.par_iter_mut().enumerate().map(|(n, a)| scene.measure(tile_of(n, Some(a)), gauge)).collect()
    };
    let mut blocks: Vec<Blocks> = work.par_iter().map(|w| Blocks::of(scene, &w.reduced, gauge)).collect();
    let whole = decimator.is_none().then_some(scene.positions);
    let mut inward: Vec<(Spread, Vec<Fault>)> = scene
        .references
        .par_iter()
        .map(|r| scene.measure_back(r, &work, &blocks, ranges[r.patch as usize].clone(), whole, gauge))
        .collect();
    for repair in REPAIRS {
        let Some(decimator) = &decimator else { break };
        let blamed = blame(scene, &work, &inward, &ranges);
        if blamed.iter().all(Blame::is_empty) {
            break;
        }
        let before: Vec<Bounds> = work.iter().map(|w| w.bounds).collect();
        let changed: Vec<bool> = blamed.iter().map(|b| !b.is_empty()).collect();
        match repair {
            Repair::Pull => {
                work = work
                    .into_par_iter()
                    .zip(&blamed)
                    .map(
                        |(w, blame)| {
                            if blame.pulls.is_empty() { w } else { scene.measure(scene.pull(w, blame, gauge), gauge) }
                        },
                    )
                    .collect();
            }
            Repair::Again { radius } => {
                decimator.again(&mut attempts, &blamed, radius * options.bound);
                work = work
                    .into_par_iter()
                    .zip(&mut attempts)
                    .enumerate()
                    .map(|(n, (w, a))| if a.fresh { scene.measure(tile_of(n, Some(a)), gauge) } else { w })
                    .collect();
            }
        }
        blocks = blocks
            .into_par_iter()
            .zip(&work)
            .zip(&changed)
            .map(|((old, w), changed)| if *changed { Blocks::of(scene, &w.reduced, gauge) } else { old })
            .collect();
        let reach = reach(scene.faces.spacing, gauge.bound);
        inward = inward
            .into_par_iter()
            .zip(scene.references)
            .map(|(old, r)| {
                let tiles = ranges[r.patch as usize].clone();
                let near = |n: usize| {
                    let boxes = [&before[n], &work[n].bounds];
                    changed[n] && boxes.iter().any(|b| b.near(&r.bounds, reach))
                };
                let stale = tiles.clone().any(near);
                if stale { scene.measure_back(r, &work, &blocks, tiles, None, gauge) } else { old }
            })
            .collect();
    }
    let nothing = vec![Spread::new(gauge.top_mm); scene.patches.len()];
    let mut level = Level { tiles: Vec::new(), outward: nothing.clone(), inward: nothing, top_mm: gauge.top_mm };
    for w in work {
        level.outward[w.reduced.patch as usize].merge(&w.spread);
        level.tiles.push(w.reduced);
    }
    for (r, (spread, _)) in scene.references.iter().zip(&inward) {
        level.inward[r.patch as usize].merge(spread);
    }
    level
}

/// What is done about tiles that lie off too far.
#[derive(Clone, Copy)]
enum Repair {
    /// Draws single triangles through vertices that were lost.
    Pull,
    /// Decimates the tile again and keeps all vertices within this many times the bound of the places that lie off.
    Again { radius: f32 },
}

/// In this order; the last leaves a tile as it came, which is within the bound of the level before.
const REPAIRS: [Repair; 4] =
    [Repair::Pull, Repair::Again { radius: 3.0 }, Repair::Pull, Repair::Again { radius: f32::INFINITY }];

/// Decimates the tiles of one level.
struct Decimator<'a> {
    scene: &'a Scene<'a>,
    input: &'a [Tile],
    shared: Shared,
    strain: f32,
    target: f32,
}

/// What became of a tile.
struct Attempt {
    decimated: Decimated,
    /// Vertices that must stay, in order.
    locked: Vec<u32>,
    /// True until its triangles are taken.
    fresh: bool,
}

impl Attempt {
    fn take(&mut self) -> Vec<[u32; 3]> {
        self.fresh = false;
        in_cache_order(&std::mem::take(&mut self.decimated.triangles))
    }
}

impl<'a> Decimator<'a> {
    fn new(scene: &'a Scene<'a>, input: &'a [Tile], strain: f32, target: f32) -> Self {
        Self { scene, input, shared: Shared::of(scene.net.len(), input), strain, target }
    }

    fn first(&self) -> Vec<Attempt> {
        let all = 0..self.input.len();
        let mut attempts: Vec<Attempt> = all.into_par_iter().map(|n| self.attempt(n, Vec::new())).collect();
        self.untangle(&mut attempts);
        attempts
    }

    /// Does the tiles again that lie off too far at some places; the last time they stay as they came.
    fn again(&self, attempts: &mut [Attempt], blamed: &[Blame], radius: f32) {
        attempts.par_iter_mut().zip(blamed).enumerate().filter(|(_, (_, blame))| !blame.is_empty()).for_each(
            |(n, (attempt, blame))| {
                *attempt = if radius.is_infinite() {
                    self.keep(n)
                } else {
                    let mut locked = vertices_near(&self.input[n], self.scene.positions, &blame.places, radius);
                    locked.extend(&attempt.locked);
                    locked.sort_unstable();
                    self.attempt(n, locked)
                }
            },
        );
        self.untangle(attempts);
    }

    fn attempt(&self, n: usize, locked: Vec<u32>) -> Attempt {
        let Scene { net, positions, .. } = self.scene;
        let lock = |v: u32| match () {
            () if self.shared.contains(v) => Locks::Shared,
            () if net.strain(v) > self.strain || locked.binary_search(&v).is_ok() => Locks::Own,
            () => Locks::Free,
        };
        let decimated = decimate_tile(&self.input[n].triangles, self.target, |v| positions[v as usize], lock);
        Attempt { decimated, locked, fresh: true }
    }

    fn keep(&self, n: usize) -> Attempt {
        let decimated = keep_tile(&self.input[n].triangles, |v| self.shared.contains(v));
        Attempt { decimated, locked: Vec::new(), fresh: true }
    }

    /// Tiles are decimated apart, so two may make the same edge between vertices they share, which would then have four triangles:
    /// all but one go round by a vertex of their own.
    fn untangle(&self, attempts: &mut [Attempt]) {
        let tangled = tangled(attempts);
        let work = attempts.par_iter_mut().zip(tangled).enumerate().filter(|(_, (_, edges))| !edges.is_empty());
        work.for_each(|(n, (attempt, edges))| {
            let used: BTreeSet<u32> = attempt.decimated.triangles.iter().flatten().copied().collect();
            let all: BTreeSet<u32> = self.input[n].triangles.iter().flatten().copied().collect();
            let triangles = std::mem::take(&mut attempt.decimated.triangles);
            let matters = |a: u32, b: u32| edges.binary_search(&(a.min(b), a.max(b))).is_ok();
            let mut mending = Mending::new(self.scene.positions, triangles, matters);
            mending.offer(all.difference(&used).copied(), SPARE_RADIUS * self.target);
            if edges.iter().all(|&(a, b)| mending.divert(a, b)) {
                attempt.decimated.triangles = mending.finish();
                attempt.decimated.shared_edges.retain(|(e, new)| !new || edges.binary_search(&ends(*e)).is_err());
            } else {
                *attempt = self.keep(n);
            }
        });
    }
}

/// The two vertices of an edge.
fn ends(edge: u64) -> (u32, u32) {
    ((edge >> 32) as u32, edge as u32)
}

/// The edges that a tile made and another has too, in order; by tile.
fn tangled(attempts: &[Attempt]) -> Vec<Vec<(u32, u32)>> {
    let edges = |made: bool| {
        attempts.par_iter().enumerate().flat_map_iter(move |(n, a)| {
            let own = a.decimated.shared_edges.iter().filter(move |(_, new)| *new == made);
            own.map(move |(edge, new)| (*edge, *new, n))
        })
    };
    let mut all: Vec<(u64, bool, usize)> = edges(true).collect();
    all.par_sort_unstable();
    let known: Vec<_> =
        edges(false).filter(|(e, ..)| all.binary_search_by_key(e, |(edge, ..)| *edge).is_ok()).collect();
    all.extend(known);
    all.par_sort_unstable();
    let mut tangled = vec![Vec::new(); attempts.len()];
    for run in all.chunk_by(|a, b| a.0 == b.0) {
        // The first keeps it: one that always had it, or else the first that made it.
        for &(edge, _, tile) in run.iter().skip(1).filter(|(_, new, _)| *new) {
            tangled[tile].push(ends(edge));
        }
    }
    tangled
}

/// Where a tile lies off too far.
#[derive(Clone, Default)]
struct Blame {
    /// Places.
    places: Vec<[f32; 3]>,
    /// Those of them that have a triangle near: its number, and the fault.
    pulls: Vec<(u32, Fault)>,
}

impl Blame {
    fn is_empty(&self) -> bool {
        self.places.is_empty()
    }
}

/// What lies off too far, by the tile that is to be repaired.
fn blame(scene: &Scene, work: &[Work], inward: &[(Spread, Vec<Fault>)], ranges: &[Range<usize>]) -> Vec<Blame> {
    let mut blamed: Vec<Blame> = work.iter().map(|w| Blame { places: w.faults.clone(), pulls: Vec::new() }).collect();
    // A vertex on the rim of a reference belongs to several.
    let mut pulled = BTreeSet::new();
    for (reference, (_, faults)) in scene.references.iter().zip(inward) {
        for fault in faults {
            if let Some((tile, triangle)) = fault.nearest {
                if pulled.insert(fault.vertex) {
                    blamed[tile as usize].places.push(fault.at);
                    blamed[tile as usize].pulls.push((triangle, *fault));
                }
                continue;
            }
            // No triangle is near: the tile whose box is nearest must have lost it.
            let off = |n: &usize| work[*n].bounds.off(fault.at);
            if let Some(tile) = ranges[reference.patch as usize].clone().min_by(|a, b| off(a).total_cmp(&off(b))) {
                blamed[tile].places.push(fault.at);
            }
        }
    }
    blamed
}

/// The vertices within a radius of the given places, and some a little farther off.
fn vertices_near(tile: &Tile, positions: &[[f32; 3]], places: &[[f32; 3]], radius: f32) -> Vec<u32> {
    let cell = |p: [f32; 3]| p.map(|x| (x / radius).floor() as i32);
    let mut cells = BTreeSet::new();
    for place in places {
        let [x, y, z] = cell(*place);
        for (dz, dy, dx) in (0..27).map(|n| (n / 9 - 1, n / 3 % 3 - 1, n % 3 - 1)) {
            cells.insert([x + dx, y + dy, z + dz]);
        }
    }
    let vertices: BTreeSet<u32> = tile.triangles.iter().flatten().copied().collect();
    vertices.into_iter().filter(|&v| cells.contains(&cell(positions[v as usize]))).collect()
}

/// Hausdorff distance and 95th percentile in mm over the patches of a segment, the larger of both directions.
pub(crate) fn combine(level: &Level, uses: impl Fn(usize) -> bool) -> (f64, f64) {
    let empty = Spread::new(level.top_mm);
    let (mut outward, mut inward) = (empty.clone(), empty);
    for patch in (0..level.outward.len()).filter(|p| uses(*p)) {
        outward.merge(&level.outward[patch]);
        inward.merge(&level.inward[patch]);
    }
    let p95 = outward.quantile_mm(0.95).max(inward.quantile_mm(0.95));
    (f64::from(outward.max_mm.max(inward.max_mm).sqrt()), f64::from(p95))
}
