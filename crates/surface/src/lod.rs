//! Levels of detail: each patch decimated tile by tile, measured, and done again where it lies off too far.

use std::collections::BTreeSet;
use std::ops::Range;

use rayon::prelude::*;

use crate::axes::{each, per_axis};
use crate::decimate::{Decimated, Locks, SPARE_RADIUS, decimate_tile, in_cache_order, keep_tile};
use crate::distance::Faces;
use crate::fidelity::{Bounds, Density, Fault, Gauge, Places, Reference, Spread, reach, surface_to_boundary};
use crate::mend::Mending;
use crate::nets::Net;
use crate::patches::{Buckets, Shared, Tile, block_key, by_patch, finest_block};

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
    blocks: Buckets<u64, u32>,
}

impl Scene<'_> {
    fn gauge(&self, options: LevelOptions) -> Gauge {
        let widest = self.faces.spacing.into_iter().fold(0.0, f32::max);
        Gauge { density: options.density, bound: options.bound * SAFETY, top_mm: 1.5 * options.bound * widest }
    }

    /// Measures a tile towards the boundary.
    fn measure(&self, reduced: Tile, gauge: Gauge) -> Work {
        let sides = self.patches[reduced.patch as usize];
        let (spread, faults) = surface_to_boundary(&self.faces, self.places(), &reduced, sides, gauge);
        let bounds = Bounds::of(reduced.triangles.iter().flatten().map(|&v| self.positions[v as usize]));
        Work { blocks: self.blocks(&reduced, gauge), reduced, spread, faults, bounds }
    }

    /// The triangles of a tile by the blocks of the finest level they come near.
    fn blocks(&self, tile: &Tile, gauge: Gauge) -> Buckets<u64, u32> {
        // A quad may reach one cell beyond the block it belongs to.
        let reach = reach(self.faces.spacing, gauge.bound).map(|r| r + 1.0);
        let mut blocks = Buckets::new();
        for (n, t) in tile.triangles.iter().enumerate() {
            let bounds = Bounds::of(t.iter().map(|&v| self.positions[v as usize]));
            let from = per_axis(|a| finest_block(bounds.low[a] - reach[a]));
            let to = per_axis(|a| finest_block(bounds.high[a] + reach[a]));
            for z in from[2]..=to[2] {
                for y in from[1]..=to[1] {
                    for x in from[0]..=to[0] {
                        blocks.push(block_key([x, y, z]), n as u32);
                    }
                }
            }
        }
        blocks
    }

    const fn places(&self) -> Places<'_> {
        Places { net: self.net, positions: self.positions, spacing: self.faces.spacing }
    }

    /// Measures the boundary towards the tiles of its patch.
    fn measure_back(
        &self,
        reference: &Reference,
        work: &[Work],
        tiles: Range<usize>,
        gauge: Gauge,
    ) -> (Spread, Vec<Fault>) {
        let (mut triangles, mut names) = (Vec::new(), Vec::new());
        for n in tiles {
            for &t in work[n].blocks.get(reference.block) {
                triangles.push(work[n].reduced.triangles[t as usize]);
                names.push((n as u32, t));
            }
        }
        reference.to_surface(self.places(), &triangles, &names, gauge)
    }

    /// Draws triangles through the vertices that were lost.
    fn pull(&self, tile: Tile, mut pulls: Vec<(u32, Fault)>, gauge: Gauge) -> Tile {
        pulls.sort_unstable_by(|a, b| {
            a.0.cmp(&b.0).then(b.1.square.total_cmp(&a.1.square)).then(a.1.vertex.cmp(&b.1.vertex))
        });
        let mut mending = Mending::new(self.positions, &tile.triangles);
        for run in pulls.chunk_by(|a, b| a.0 == b.0) {
            let lost: Vec<(u32, [f32; 3])> = run.iter().map(|(_, fault)| (fault.vertex, fault.at)).collect();
            mending.pull(run[0].0, &lost, gauge.bound);
        }
        Tile { triangles: mending.finish(), ..tile }
    }
}

/// Reduces all tiles as far as the options allow, and measures them.
///
/// A tile that lies off too far is repaired by [`REPAIRS`] in turn.
pub(crate) fn reduce(scene: &Scene, tiles: Vec<Tile>, options: LevelOptions) -> Level {
    let gauge = scene.gauge(options);
    let Some(target) = options.target else {
        return Level::undecimated(scene, tiles, gauge);
    };
    let input = &tiles[..];
    let ranges = by_patch(input, scene.patches.len());
    let tiles_of = |r: &Reference| ranges[r.patch as usize].clone();
    let decimator = Decimator::new(scene, input, options.strain, target);
    let mut attempts = decimator.first();
    let mut work: Vec<Work> =
        attempts.par_iter_mut().zip(input).map(|(a, tile)| scene.measure(a.take(tile), gauge)).collect();
    let mut inward: Vec<(Spread, Vec<Fault>)> =
        scene.references.par_iter().map(|r| scene.measure_back(r, &work, tiles_of(r), gauge)).collect();
    for repair in REPAIRS.into_iter().chain(std::iter::repeat_n(LAST_REPAIR, LAST_ROUNDS)) {
        let mut blamed = decimator.blame(&attempts, &work, &inward, &ranges);
        if blamed.iter().all(Blame::is_empty) {
            break;
        }
        if let Repair::Again { radius } = repair {
            decimator.again(&mut attempts, &blamed, radius * options.bound);
        }
        // The box a tile had before, if it changed.
        let before: Vec<Option<Bounds>> = work
            .par_iter_mut()
            .zip(&mut attempts)
            .zip(&mut blamed)
            .zip(input)
            .map(|(((w, attempt), blame), tile)| {
                let new = match repair {
                    Repair::Pull if !blame.pulls.is_empty() => {
                        let own = Tile { triangles: std::mem::take(&mut w.reduced.triangles), ..*tile };
                        scene.pull(own, std::mem::take(&mut blame.pulls), gauge)
                    }
                    Repair::Again { .. } if attempt.fresh => attempt.take(tile),
                    _ => return None,
                };
                let before = w.bounds;
                *w = scene.measure(new, gauge);
                Some(before)
            })
            .collect();
        let reach = reach(scene.faces.spacing, gauge.bound);
        inward.par_iter_mut().zip(scene.references).for_each(|(inward, r)| {
            let near =
                |n: usize| before[n].is_some_and(|b| [b, work[n].bounds].iter().any(|b| b.near(&r.bounds, reach)));
            if tiles_of(r).any(near) {
                *inward = scene.measure_back(r, &work, tiles_of(r), gauge);
            }
        });
    }
    Level::of(scene, work, &inward, gauge)
}

impl Level {
    /// All tiles as they are, which is how the references were made; no bound is broken, since vertices stay within it.
    fn undecimated(scene: &Scene, tiles: Vec<Tile>, gauge: Gauge) -> Self {
        let measure = |(tile, reference): (&Tile, &Reference)| {
            let sides = scene.patches[tile.patch as usize];
            let outward = reference.own_to_boundary(&scene.faces, scene.places(), tile, sides, gauge);
            (tile.patch as usize, outward, reference.to_own(scene.places(), tile, gauge))
        };
        let spreads: Vec<(usize, Spread, Spread)> = tiles.par_iter().zip(scene.references).map(measure).collect();
        let mut level = Self::empty(scene, gauge);
        for (patch, outward, inward) in &spreads {
            level.outward[*patch].merge(outward);
            level.inward[*patch].merge(inward);
        }
        level.tiles = tiles;
        level
    }

    fn empty(scene: &Scene, gauge: Gauge) -> Self {
        let nothing = vec![Spread::new(gauge.top_mm); scene.patches.len()];
        Self { tiles: Vec::new(), outward: nothing.clone(), inward: nothing, top_mm: gauge.top_mm }
    }

    fn of(scene: &Scene, work: Vec<Work>, inward: &[(Spread, Vec<Fault>)], gauge: Gauge) -> Self {
        let mut level = Self::empty(scene, gauge);
        for w in work {
            level.outward[w.reduced.patch as usize].merge(&w.spread);
            level.tiles.push(w.reduced);
        }
        for (r, (spread, _)) in scene.references.iter().zip(inward) {
            level.inward[r.patch as usize].merge(spread);
        }
        level
    }
}

/// What is done about tiles that lie off too far.
#[derive(Clone, Copy)]
enum Repair {
    /// Draws single triangles through vertices that were lost.
    Pull,
    /// Decimates the tile again and keeps all vertices within this many times the bound of the places that lie off.
    Again { radius: f32 },
}

/// In this order, then the last.
const REPAIRS: [Repair; 3] = [Repair::Pull, Repair::Again { radius: 3.0 }, Repair::Pull];

/// Leaves a tile as it came, which is within the bound of the level before.
const LAST_REPAIR: Repair = Repair::Again { radius: f32::INFINITY };

/// Of two tiles with a fault between them the one may be blamed that did not make it; then the other's turn comes.
const LAST_ROUNDS: usize = 4;

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
    /// True if it is as it came.
    kept: bool,
}

impl Attempt {
    /// The decimated form of `tile`.
    fn take(&mut self, tile: &Tile) -> Tile {
        self.fresh = false;
        let triangles = in_cache_order(&std::mem::take(&mut self.decimated.triangles));
        Tile { triangles, ..*tile }
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

    /// What lies off too far, by the tile that is to be repaired.
    fn blame(
        &self,
        attempts: &[Attempt],
        work: &[Work],
        inward: &[(Spread, Vec<Fault>)],
        ranges: &[Range<usize>],
    ) -> Vec<Blame> {
        let mut blamed: Vec<Blame> =
            work.iter().map(|w| Blame { places: w.faults.clone(), pulls: Vec::new() }).collect();
        // A vertex on the rim of a reference belongs to several.
        let mut pulled = BTreeSet::new();
        for (reference, (_, faults)) in self.scene.references.iter().zip(inward) {
            for fault in faults {
                // If no triangle is near, the tile whose box is nearest must have lost it.
                let off = |n: &usize| work[*n].bounds.off(fault.at);
                let lost_it = || ranges[reference.patch as usize].clone().min_by(|a, b| off(a).total_cmp(&off(b)));
                let Some(tile) = fault.nearest.map(|(tile, _)| tile as usize).or_else(lost_it) else { continue };
                if attempts[tile].kept {
                    // Whatever lost it came near it once.
                    let came_near = |n: &usize| !attempts[*n].kept && self.came_near(*n, fault.at);
                    for other in ranges[reference.patch as usize].clone().filter(came_near) {
                        blamed[other].places.push(fault.at);
                    }
                    continue;
                }
                blamed[tile].places.push(fault.at);
                // A vertex of another tile would come back there too if that is done again.
                if let Some((_, triangle)) = fault.nearest
                    && self.shared.may_be_used_by(tile, fault.vertex)
                    && pulled.insert(fault.vertex)
                {
                    blamed[tile].pulls.push((triangle, *fault));
                }
            }
        }
        blamed
    }

    fn came_near(&self, n: usize, place: [f32; 3]) -> bool {
        let vertices = self.input[n].triangles.iter().flatten().map(|&v| self.scene.positions[v as usize]);
        Bounds::of(vertices).off(place) <= 1.0
    }

    fn attempt(&self, n: usize, locked: Vec<u32>) -> Attempt {
        let Scene { net, positions, .. } = self.scene;
        let lock = |v: u32| match () {
            () if self.shared.contains(v) => Locks::Shared,
            () if net.strain(v) > self.strain || locked.binary_search(&v).is_ok() => Locks::Own,
            () => Locks::Free,
        };
        let decimated = decimate_tile(&self.input[n].triangles, self.target, |v| positions[v as usize], lock);
        Attempt { decimated, locked, fresh: true, kept: false }
    }

    fn keep(&self, n: usize) -> Attempt {
        let decimated = keep_tile(&self.input[n].triangles, |v| self.shared.contains(v));
        Attempt { decimated, locked: Vec::new(), fresh: true, kept: true }
    }

    /// Tiles are decimated apart, so two may make the same edge between vertices they share, which would then have four triangles:
    /// all but one go round by a vertex of their own. Of those made before, whose triangles are taken, no two have the same.
    fn untangle(&self, attempts: &mut [Attempt]) {
        let tangled = tangled(attempts);
        let work = attempts.par_iter_mut().zip(tangled).enumerate().filter(|(_, (_, edges))| !edges.is_empty());
        work.for_each(|(n, (attempt, edges))| {
            let used: BTreeSet<u32> = attempt.decimated.triangles.iter().flatten().copied().collect();
            let all: BTreeSet<u32> = self.input[n].triangles.iter().flatten().copied().collect();
            let mut mending = Mending::new(self.scene.positions, &attempt.decimated.triangles);
            mending.offer(all.difference(&used).copied(), SPARE_RADIUS * self.target);
            if mending.divert(&edges) {
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
            own.map(move |(edge, new)| (*edge, *new, a.fresh, n))
        })
    };
    let mut all: Vec<(u64, bool, bool, usize)> = edges(true).collect();
    all.par_sort_unstable();
    let known: Vec<_> =
        edges(false).filter(|(e, ..)| all.binary_search_by_key(e, |(edge, ..)| *edge).is_ok()).collect();
    all.extend(known);
    all.par_sort_unstable();
    let mut tangled = vec![Vec::new(); attempts.len()];
    for run in all.chunk_by(|a, b| a.0 == b.0) {
        // The first keeps it: one that always had it, or else one that made it before, or else the first that makes it now.
        for &(edge, _, _, tile) in run.iter().skip(1).filter(|(_, new, ..)| *new) {
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

/// The vertices within a radius of the given places, and some a little farther off.
fn vertices_near(tile: &Tile, positions: &[[f32; 3]], places: &[[f32; 3]], radius: f32) -> Vec<u32> {
    let cell = |p: [f32; 3]| each(p, |x| (x / radius).floor() as i32);
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
