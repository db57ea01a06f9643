//! Patches: the boundary between two labels, which both use; and tiles, the pieces in which patches are worked on.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::atomic::{AtomicU32, Ordering};

use rayon::prelude::*;

use crate::axes::each;
use crate::nets::Net;

/// Edge of a tile of the finest level, in cells, as a power of two; each coarser level doubles it.
///
/// The first that is decimated is twice as wide: large enough that the locked rim of a tile is a few percent of it, small enough that
/// little is done again where one place lies off, and that meshopt works inside the L2 cache.
const TILE_BITS: u32 = 5;

/// A piece of a patch: triangles that are decimated together.
#[derive(Clone, Debug)]
pub(crate) struct Tile {
    /// Which patch it belongs to.
    pub(crate) patch: u32,
    /// The block of cells it covers, by [`block_key`] at the level it was cut for.
    pub(crate) block: u64,
    /// Vertices are those of the net.
    pub(crate) triangles: Vec<[u32; 3]>,
}

/// Things sorted by a key that seldom changes from one to the next.
pub(crate) struct Buckets<K, T> {
    slots: BTreeMap<K, usize>,
    lists: Vec<Vec<T>>,
    last: Option<(K, usize)>,
}

impl<K: Copy + Ord, T> Buckets<K, T> {
    /// Nothing yet.
    pub(crate) const fn new() -> Self {
        Self { slots: BTreeMap::new(), lists: Vec::new(), last: None }
    }

    /// Adds one.
    pub(crate) fn push(&mut self, key: K, item: T) {
        let slot = match self.last {
            Some((k, slot)) if k == key => slot,
            _ => *self.slots.entry(key).or_insert_with(|| {
                self.lists.push(Vec::new());
                self.lists.len() - 1
            }),
        };
        self.last = Some((key, slot));
        self.lists[slot].push(item);
    }

    /// Those of one key, in the order they came.
    pub(crate) fn get(&self, key: K) -> &[T] {
        self.slots.get(&key).map_or(&[], |&slot| &self.lists[slot])
    }

    /// All, by key.
    fn into_sorted(mut self) -> impl Iterator<Item = (K, Vec<T>)> {
        self.slots.into_iter().map(move |(key, slot)| (key, std::mem::take(&mut self.lists[slot])))
    }
}

/// Where the tiles of each patch lie in a list ordered by patch.
pub(crate) fn by_patch(tiles: &[Tile], patches: usize) -> Vec<Range<usize>> {
    (0..patches as u32)
        .map(|patch| tiles.partition_point(|t| t.patch < patch)..tiles.partition_point(|t| t.patch <= patch))
        .collect()
}

/// The labels on the two sides of each patch, the lower first, in order.
pub(crate) fn patch_sides(net: &Net) -> Vec<[u16; 2]> {
    let mut sides: Vec<[u16; 2]> = net
        .sides
        .par_chunks(1 << 16)
        .flat_map_iter(|chunk| {
            let mut seen: Vec<[u16; 2]> = Vec::new();
            let mut last = None;
            for &side in chunk {
                if last != Some(side) {
                    last = Some(side);
                    if let Err(at) = seen.binary_search(&side) {
                        seen.insert(at, side);
                    }
                }
            }
            seen
        })
        .collect();
    sides.sort_unstable();
    sides.dedup();
    sides
}

/// Cuts the net into tiles of the finest level, ordered by patch and place, and triangulates them.
pub(crate) fn tiles_of_net(net: &Net, positions: &[[f32; 3]], patches: &[[u16; 2]]) -> Vec<Tile> {
    let chunks: Vec<Vec<(u128, Vec<u32>)>> = net
        .sides
        .par_chunks(1 << 16)
        .enumerate()
        .map(|(chunk, sides)| {
            let mut quads = Buckets::new();
            let (mut last_side, mut patch) = (None, 0);
            for (n, &side) in sides.iter().enumerate() {
                let quad = (chunk << 16) + n;
                if last_side != Some(side) {
                    last_side = Some(side);
                    patch = patches.partition_point(|p| *p < side) as u32;
                }
                quads.push(tile_key(net, patch, net.quads[quad][0], 0), quad as u32);
            }
            quads.into_sorted().collect()
        })
        .collect();
    let mut tiles: BTreeMap<u128, Vec<&[u32]>> = BTreeMap::new();
    for (key, quads) in chunks.iter().flatten() {
        tiles.entry(*key).or_default().push(quads);
    }
    let tiles: Vec<(u128, Vec<&[u32]>)> = tiles.into_iter().collect();
    tiles
        .into_par_iter()
        .map(|(key, parts)| {
            let count: usize = parts.iter().map(|p| p.len()).sum();
            let mut quads = Vec::with_capacity(count);
            quads.extend(parts.into_iter().flatten().copied());
            quads.sort_by_cached_key(|&quad| brick(net.cells[net.quads[quad as usize][0] as usize]));
            let mut triangles = Vec::with_capacity(2 * count);
            for quad in quads {
                net.triangles_of(positions, quad, |t| triangles.push(t));
            }
            Tile { patch: (key >> 64) as u32, block: key as u64, triangles }
        })
        .collect()
}

/// Edge of a brick in cells, as a power of two: its vertices stay in the cache of a graphics processor.
const BRICK_BITS: u32 = 3;

/// Orders cells brick by brick.
fn brick([x, y, z]: [u16; 3]) -> u64 {
    let [x, y, z] = each([x, y, z], |c| u64::from(c >> BRICK_BITS));
    z << 32 | y << 16 | x
}

/// Cuts patches into tiles of a coarser level, whose borders lie elsewhere than those of the level before.
pub(crate) fn retile(net: &Net, tiles: &[Tile], level: u32) -> Vec<Tile> {
    let runs: Vec<&[Tile]> = tiles.chunk_by(|a, b| a.patch == b.patch).collect();
    runs.into_par_iter()
        .flat_map_iter(|run| {
            let mut pieces = Buckets::new();
            for triangle in run.iter().flat_map(|t| &t.triangles) {
                pieces.push(tile_key(net, run[0].patch, triangle[0], level), *triangle);
            }
            pieces.into_sorted().map(|(key, triangles)| Tile {
                patch: (key >> 64) as u32,
                block: key as u64,
                triangles,
            })
        })
        .collect()
}

/// Patch, then block of cells, in one number that sorts.
fn tile_key(net: &Net, patch: u32, vertex: u32, level: u32) -> u128 {
    let bits = TILE_BITS + level;
    // Shifting the blocks by about half moves their borders off those of the level before.
    let shift = if level == 0 { 0 } else { (1u32 << (bits - 1)) - (1u32 << (bits - 3)) };
    let [x, y, z] = each(net.cells[vertex as usize], |c| u64::from((u32::from(c) + shift) >> bits));
    u128::from(patch) << 64 | u128::from(block_key([x, y, z]))
}

/// The number of a block, from its place along each axis.
pub(crate) fn block_key([x, y, z]: [u64; 3]) -> u64 {
    z << 40 | y << 20 | x
}

/// The block of the finest level that a coordinate in continuous voxel index lies in, along one axis.
pub(crate) fn finest_block(x: f32) -> u64 {
    (x + 0.5).max(0.0) as u64 >> TILE_BITS
}

/// Which vertices more than one tile uses; they stay where they are.
pub(crate) struct Shared {
    owners: Vec<AtomicU32>,
}

const NOBODY: u32 = u32::MAX;
const SEVERAL: u32 = u32::MAX - 1;

impl Shared {
    /// Looks at every triangle of every tile.
    pub(crate) fn of(vertices: usize, tiles: &[Tile]) -> Self {
        let mut owners = Vec::with_capacity(vertices);
        owners.resize_with(vertices, || AtomicU32::new(NOBODY));
        tiles.par_iter().enumerate().for_each(|(n, tile)| {
            let tile_number = n as u32;
            for vertex in tile.triangles.iter().flatten() {
                let owner = &owners[*vertex as usize];
                let seen = owner.load(Ordering::Relaxed);
                if seen == tile_number || seen == SEVERAL {
                    continue;
                }
                // Whoever comes first, a second tile always leaves `SEVERAL` behind.
                if owner.compare_exchange(NOBODY, tile_number, Ordering::Relaxed, Ordering::Relaxed).is_err() {
                    owner.store(SEVERAL, Ordering::Relaxed);
                }
            }
        });
        Self { owners }
    }

    /// True if no other tile uses the vertex.
    pub(crate) fn may_be_used_by(&self, tile: usize, vertex: u32) -> bool {
        let owner = self.owners[vertex as usize].load(Ordering::Relaxed);
        owner == NOBODY || owner as usize == tile
    }

    /// True if several tiles use the vertex.
    pub(crate) fn contains(&self, vertex: u32) -> bool {
        self.owners[vertex as usize].load(Ordering::Relaxed) == SEVERAL
    }
}
