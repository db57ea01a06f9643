//! The vertices by layer of cells along the last axis, so that work can go from layer to layer.

use std::ops::Range;

use super::masks::Masks;
use super::sweep::Sweep;

/// Where the vertices of each layer stand among all.
pub(super) struct Layers {
    /// First vertex of each layer, and the end, of those that every cell has.
    cells: Vec<usize>,
    /// The same of those that knots added.
    added: Vec<usize>,
    /// Those that every cell has whose links are kept apart, in order.
    far: Vec<u32>,
}

/// The values of the vertices of some layers.
pub(super) struct Part<'a, V> {
    pub(super) cells: &'a mut [V],
    /// The vertex of the first of `cells`.
    pub(super) first_cell: usize,
    pub(super) added: &'a mut [V],
    /// The vertex of the first of `added`.
    pub(super) first_added: usize,
}

impl Layers {
    /// Of a net whose knots are untied. Vertices on an edge of the net, which have no links, count to the last layer.
    pub(super) fn of(masks: &Masks, sweep: &Sweep) -> Self {
        let [_, nj, nk] = masks.size;
        let cells: Vec<usize> = (0..=nk + 1).map(|layer| masks.first_vertex[layer * (nj + 1)]).collect();
        let (plain, end) = (masks.vertex_count(), sweep.cells.len());
        let knotted = &sweep.cells[plain..end - sweep.between.len()];
        let first = |layer: usize| plain + knotted.partition_point(|cell| usize::from(cell[2]) < layer);
        let added = (0..=nk).map(first).chain([end]).collect();
        let mut far: Vec<u32> = sweep.far.iter().copied().filter(|vertex| (*vertex as usize) < plain).collect();
        far.sort_unstable();
        Self { cells, added, far }
    }

    /// Number of layers.
    pub(super) fn len(&self) -> usize {
        self.cells.len() - 1
    }

    /// Where to cut so that as many vertices lie between each two cuts, and half as many before the first and after the last; with so
    /// many layers or more on either side of each.
    pub(super) fn cuts(&self, count: usize, beside: usize) -> Vec<usize> {
        let (total, mut least) = (self.added[0], 0);
        let cut = |n: usize| {
            let even = self.cells.partition_point(|first| first * 2 * count < total * (2 * n + 1));
            let cut = even.clamp(least + beside, self.len() - (2 * (count - n) - 1) * beside);
            least = cut + beside;
            cut
        };
        (0..count).map(cut).collect()
    }

    /// The vertices of a layer that every cell has.
    pub(super) fn cells(&self, layer: usize) -> Range<usize> {
        self.cells[layer]..self.cells[layer + 1]
    }

    /// The vertices of a layer that knots added.
    pub(super) fn added(&self, layer: usize) -> Range<usize> {
        self.added[layer]..self.added[layer + 1]
    }

    /// Those of `cells` whose links are kept apart, in order.
    pub(super) fn far(&self, layer: usize) -> &[u32] {
        let [start, end] =
            [layer, layer + 1].map(|layer| self.far.partition_point(|v| (*v as usize) < self.cells[layer]));
        &self.far[start..end]
    }

    /// The values of blocks of layers, which must be in order and apart.
    pub(super) fn split<'a, V>(&self, values: &'a mut [V], blocks: &[Range<usize>]) -> Vec<Part<'a, V>> {
        let (mut cells, mut added) = values.split_at_mut(self.added[0]);
        let (mut cells_done, mut added_done) = (0, self.added[0]);
        let mut part = |block: &Range<usize>| {
            let [[first_cell, last_cell], [first_added, last_added]] =
                [&self.cells, &self.added].map(|first| [first[block.start], first[block.end]]);
            let _between =
                (cells.split_off_mut(..first_cell - cells_done), added.split_off_mut(..first_added - added_done));
            (cells_done, added_done) = (last_cell, last_added);
            Part {
                cells: cells.split_off_mut(..last_cell - first_cell).unwrap_or_default(),
                first_cell,
                added: added.split_off_mut(..last_added - first_added).unwrap_or_default(),
                first_added,
            }
        };
        blocks.iter().map(&mut part).collect()
    }
}
