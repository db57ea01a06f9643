//! First sweep: where neighbours differ, as one bit a pair, and how much that will yield.

use glam::Vec3A;
use rayon::prelude::*;

use super::LabelVoxel;
use crate::axes::each;

/// Bits of the pairs of neighbours with different labels, row by row, and the running numbers of what they yield.
///
/// Cells are numbered from 0 to the number of voxels on each axis; cell `c` lies between voxels `c − 1` and `c`, of which the
/// outermost two are background.
pub(super) struct Masks {
    /// Voxels on each axis.
    pub(super) size: [usize; 3],
    /// Words of 64 bits in a row.
    pub(super) words: usize,
    /// Bit `c` of row (j, k): voxels `c − 1` and `c` differ.
    x: Vec<u64>,
    /// Bit `i` of row (c, k), c from 0 to nj: voxels (i, c − 1, k) and (i, c, k) differ.
    y: Vec<u64>,
    /// Bit `i` of row (j, c), c from 0 to nk: voxels (i, j, c − 1) and (i, j, c) differ.
    z: Vec<u64>,
    /// Bit `c` of cell row (cy, cz): the cell has a vertex.
    cells: Vec<u64>,
    /// Number of the first vertex of each cell row, and of the end.
    pub(super) first_vertex: Vec<usize>,
    /// Number of the first quad of each row (j, k) with j from 0 to nj and k from 0 to nk, and of the end. Such a row's quads are
    /// those of `x(j, k)`, then `y(j, k)`, then `z(j, k)`.
    pub(super) first_quad: Vec<usize>,
    zero: Vec<u64>,
}

impl Masks {
    /// Compares all neighbours.
    pub(super) fn of<T: LabelVoxel>(data: &[T], size: [usize; 3]) -> Self {
        let [ni, nj, nk] = size;
        let words = (ni + 1).div_ceil(64);
        let outside = vec![T::default(); ni];
        let row = |j: usize, k: usize| &data[(j + nj * k) * ni..(j + nj * k) * ni + ni];

        let mut x = vec![0u64; words * nj * nk];
        let mut y = vec![0u64; words * (nj + 1) * nk];
        let mut z = vec![0u64; words * nj * (nk + 1)];
        let slices_x = x.par_chunks_mut(words * nj);
        let slices_y = y.par_chunks_mut(words * (nj + 1));
        let (z_inner, z_last) = z.split_at_mut(words * nj * nk);
        slices_x.zip(slices_y).zip(z_inner.par_chunks_mut(words * nj)).enumerate().for_each(|(k, ((x, y), z))| {
            for j in 0..nj {
                let here = row(j, k);
                along_row(here, &mut x[j * words..(j + 1) * words]);
                let before = if j == 0 { &outside[..] } else { row(j - 1, k) };
                differences(before, here, &mut y[j * words..(j + 1) * words]);
                let below = if k == 0 { &outside[..] } else { row(j, k - 1) };
                differences(below, here, &mut z[j * words..(j + 1) * words]);
            }
            differences(row(nj - 1, k), &outside, &mut y[nj * words..]);
        });
        z_last.chunks_exact_mut(words).enumerate().for_each(|(j, z)| differences(row(j, nk - 1), &outside, z));

        let rows = (nj + 1) * (nk + 1);
        let zero = vec![0; words];
        let cells = vec![0u64; words * rows];
        let mut masks = Self { size, words, x, y, z, cells, first_vertex: Vec::new(), first_quad: Vec::new(), zero };
        masks.count();
        masks
    }

    fn count(&mut self) {
        let [_, nj, nk] = self.size;
        let words = self.words;
        let mut cells = std::mem::take(&mut self.cells);
        let counts: Vec<(usize, usize)> = cells
            .par_chunks_mut(words)
            .enumerate()
            .with_min_len(64)
            .map(|(r, out)| {
                let around = self.around(r % (nj + 1), r / (nj + 1));
                around.cells(out);
                let [_, _, _, x] = around.x;
                let [_, y] = around.y;
                let [_, z] = around.z;
                (ones(out), ones(x) + ones(y) + ones(z))
            })
            .collect();
        self.cells = cells;
        debug_assert_eq!(counts.len(), (nj + 1) * (nk + 1));
        let running = |pick: fn(&(usize, usize)) -> usize| {
            let mut sum = 0;
            let mut first = Vec::with_capacity(counts.len() + 1);
            for count in &counts {
                first.push(sum);
                sum += pick(count);
            }
            first.push(sum);
            first
        };
        self.first_vertex = running(|c| c.0);
        self.first_quad = running(|c| c.1);
    }

    /// Pairs along the row (j, k); all equal outside the grid.
    pub(super) fn x(&self, j: usize, k: usize) -> &[u64] {
        let [_, nj, nk] = self.size;
        if j < nj && k < nk { self.row(&self.x, j + nj * k) } else { &self.zero }
    }

    /// Pairs between rows (c − 1, k) and (c, k); all equal outside the grid.
    pub(super) fn y(&self, c: usize, k: usize) -> &[u64] {
        let [_, nj, nk] = self.size;
        if c <= nj && k < nk { self.row(&self.y, c + (nj + 1) * k) } else { &self.zero }
    }

    /// Pairs between rows (j, c − 1) and (j, c); all equal outside the grid.
    pub(super) fn z(&self, j: usize, c: usize) -> &[u64] {
        let [_, nj, nk] = self.size;
        if j < nj && c <= nk { self.row(&self.z, j + nj * c) } else { &self.zero }
    }

    /// Cells with a vertex in the row (cy, cz).
    pub(super) fn cells(&self, cy: usize, cz: usize) -> &[u64] {
        self.row(&self.cells, cy + (self.size[1] + 1) * cz)
    }

    fn row<'a>(&self, of: &'a [u64], r: usize) -> &'a [u64] {
        &of[r * self.words..(r + 1) * self.words]
    }

    /// The rows of pairs around the cell row (cy, cz).
    pub(super) fn around(&self, cy: usize, cz: usize) -> Around<'_> {
        // Index −1 wraps to a row outside the grid, which reads as zero.
        let (y0, z0) = (cy.wrapping_sub(1), cz.wrapping_sub(1));
        Around {
            x: [self.x(y0, z0), self.x(cy, z0), self.x(y0, cz), self.x(cy, cz)],
            y: [self.y(cy, z0), self.y(cy, cz)],
            z: [self.z(y0, cz), self.z(cy, cz)],
        }
    }

    /// Number of the first vertex of a cell that has one.
    pub(super) fn vertex(&self, [cx, cy, cz]: [usize; 3]) -> u32 {
        (self.first_vertex[cy + (self.size[1] + 1) * cz] + rank(self.cells(cy, cz), cx)) as u32
    }

    /// Number of the quad of the pair below (`axis` 0: voxels `c − 1` and `c` on the row; and so on) the given voxel.
    pub(super) fn quad(&self, axis: usize, [i, j, k]: [usize; 3]) -> u32 {
        let first = self.first_quad[j + (self.size[1] + 1) * k];
        let rank = match axis {
            0 => rank(self.x(j, k), i),
            1 => ones(self.x(j, k)) + rank(self.y(j, k), i),
            _ => ones(self.x(j, k)) + ones(self.y(j, k)) + rank(self.z(j, k), i),
        };
        (first + rank) as u32
    }

    /// The middle of a cell, from the middle of the grid, where it takes the fewest digits.
    #[inline]
    pub(super) fn middle(&self, [x, y, z]: [u16; 3]) -> Vec3A {
        let [ni, nj, nk] = self.size.map(|s| s as f32);
        Vec3A::new(f32::from(x), f32::from(y), f32::from(z)) - Vec3A::new(ni, nj, nk) * 0.5
    }

    /// Number of vertices, one a cell.
    pub(super) fn vertex_count(&self) -> usize {
        self.first_vertex.last().copied().unwrap_or(0)
    }

    /// Number of quads.
    pub(super) fn quad_count(&self) -> usize {
        self.first_quad.last().copied().unwrap_or(0)
    }
}

/// The rows of pairs that cross the cells of a row, in the order of their edges in [`super::cell`].
pub(super) struct Around<'a> {
    x: [&'a [u64]; 4],
    y: [&'a [u64]; 2],
    z: [&'a [u64]; 2],
}

impl Around<'_> {
    /// Sets the bits of cells that any pair crosses.
    fn cells(&self, out: &mut [u64]) {
        let ([a, b, c, d], [e, f], [g, h]) = (self.x, self.y, self.z);
        let mut carry = 0;
        for (w, out) in out.iter_mut().enumerate() {
            let upper = e[w] | f[w] | g[w] | h[w];
            *out = a[w] | b[w] | c[w] | d[w] | upper | upper << 1 | carry;
            carry = upper >> 63;
        }
    }

    /// The edges of the 64 cells of a word.
    #[inline]
    pub(super) fn edges(&self, w: usize) -> Edges {
        let both = |[p, q]: [&[u64]; 2]| {
            let lower = |row: &[u64]| row[w] << 1 | if w > 0 { row[w - 1] >> 63 } else { 0 };
            by_cell([lower(p), p[w], lower(q), q[w]])
        };
        let [a, b, c, d] = self.x;
        Edges([by_cell([a[w], b[w], c[w], d[w]]), both(self.y), both(self.z)])
    }
}

/// The edges of 64 cells along each axis: four bits a cell, those of cell `c` from bit `c & !3` of word `c & 3`.
pub(super) struct Edges([[u64; 4]; 3]);

impl Edges {
    /// The twelve edges of one of the cells as bits.
    #[inline]
    pub(super) fn of_cell(&self, cell: usize) -> usize {
        let [x, y, z] = each(self.0, |words| (words[cell & 3] >> (cell & !3) & 15) as usize);
        x | y << 4 | z << 8
    }
}

/// Four words, of a bit a cell each, by cell.
#[inline]
fn by_cell([a, b, c, d]: [u64; 4]) -> [u64; 4] {
    const PAIR: u64 = 0x5555_5555_5555_5555;
    const FOUR: u64 = 0x3333_3333_3333_3333;
    let pairs = |p: u64, q: u64| [p & PAIR | (q & PAIR) << 1, p >> 1 & PAIR | q & !PAIR];
    let fours = |p: u64, q: u64| [p & FOUR | (q & FOUR) << 2, p >> 2 & FOUR | q & !FOUR];
    let ([ab_even, ab_odd], [cd_even, cd_odd]) = (pairs(a, b), pairs(c, d));
    let ([first, third], [second, fourth]) = (fours(ab_even, cd_even), fours(ab_odd, cd_odd));
    [first, second, third, fourth]
}

/// Number of bits set.
fn ones(row: &[u64]) -> usize {
    row.iter().map(|w| w.count_ones() as usize).sum()
}

/// Number of bits set before `bit`.
fn rank(row: &[u64], bit: usize) -> usize {
    ones(&row[..bit / 64]) + (row[bit / 64] & ((1u64 << (bit % 64)) - 1)).count_ones() as usize
}

/// Bit `i`: `a[i] != b[i]`.
fn differences<T: LabelVoxel>(a: &[T], b: &[T], out: &mut [u64]) {
    let ((chunks_a, rest_a), (chunks_b, rest_b)) = (a.as_chunks::<64>(), b.as_chunks::<64>());
    for ((a, b), out) in chunks_a.iter().zip(chunks_b).zip(&mut *out) {
        *out = differences_64(a, b);
    }
    let Some(out) = out.get_mut(chunks_a.len()) else { return };
    *out = match (a.last_chunk(), b.last_chunk()) {
        // What goes before the rest is shifted out.
        (Some(a), Some(b)) => differences_64(a, b).checked_shr(64 - rest_a.len() as u32).unwrap_or(0),
        _ => rest_a.iter().zip(rest_b).enumerate().fold(0, |w, (i, (a, b))| w | u64::from(a != b) << i),
    };
}

/// Bit `c`: `row[c − 1] != row[c]`, with background before and after.
fn along_row<T: LabelVoxel>(row: &[T], out: &mut [u64]) {
    let n = row.len();
    differences(&row[..n - 1], &row[1..], out);
    let mut carry = u64::from(row[0] != T::default());
    for word in out.iter_mut() {
        (*word, carry) = (*word << 1 | carry, *word >> 63);
    }
    if row[n - 1] != T::default() {
        out[n / 64] |= 1 << (n % 64);
    }
}

fn differences_64<T: LabelVoxel>(a: &[T; 64], b: &[T; 64]) -> u64 {
    // As most are.
    if a == b {
        return 0;
    }
    let mut bytes = [0u8; 64];
    for ((byte, a), b) in bytes.iter_mut().zip(a).zip(b) {
        *byte = u8::from(a != b);
    }
    let (eights, _) = bytes.as_chunks::<8>();
    // Multiplying moves bit 8i to bit 56 + i without carries, so the top byte gathers eight flags.
    eights.iter().enumerate().fold(0, |word, (n, eight)| {
        word | (u64::from_le_bytes(*eight).wrapping_mul(0x0102_0408_1020_4080) >> 56) << (8 * n)
    })
}
