//! Masks of one bit a voxel: 64 voxels a machine word, which is what makes the recipes quick.
//!
//! Rows run along the column index and start at a word; bits past the end of a row are always zero.

mod components;
mod fill;
mod grow;
mod morphology;

pub(crate) use components::{Components, Neighbours, SliceRegion, slice_components};
pub(crate) use fill::Fill;
pub(crate) use grow::compete;
pub(crate) use morphology::Ball;

use rayon::prelude::*;

/// One bit a voxel on a grid of columns, rows and slices.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BitMask {
    size: [usize; 3],
    words_per_row: usize,
    words: Vec<u64>,
}

/// Gathers eight bytes that are 0 or 1 into the eight low bits, by one multiplication.
const GATHER: u64 = 0x0102_0408_1020_4080;

/// The bits of up to 64 values that lie in `low..=high`.
#[inline]
fn bits_in_range(values: &[i16], low: i16, high: i16) -> u64 {
    let width = high.wrapping_sub(low) as u16;
    let mut bytes = [0u8; 64];
    for (byte, &value) in bytes.iter_mut().zip(values) {
        *byte = u8::from(value.wrapping_sub(low) as u16 <= width);
    }
    let mut word = 0;
    for (n, eight) in bytes.chunks_exact(8).enumerate() {
        let mut lanes = [0u8; 8];
        lanes.copy_from_slice(eight);
        word |= (u64::from_le_bytes(lanes).wrapping_mul(GATHER) >> 56) << (8 * n);
    }
    word
}

impl BitMask {
    /// Nothing set.
    pub(crate) fn empty(size: [usize; 3]) -> Self {
        let words_per_row = size[0].div_ceil(64);
        Self { size, words_per_row, words: vec![0; words_per_row * size[1] * size[2]] }
    }

    /// One mask for each range of values, both ends included, in one pass over the data.
    pub(crate) fn in_ranges<const N: usize>(values: &[i16], size: [usize; 3], ranges: [(i16, i16); N]) -> [Self; N] {
        let mut masks = [(); N].map(|()| Self::empty(size));
        let (ni, words_per_row) = (size[0], size[0].div_ceil(64));
        let slice_words = words_per_row * size[1];
        let mut slices: Vec<Vec<&mut [u64]>> = (0..size[2]).map(|_| Vec::with_capacity(N)).collect();
        for mask in &mut masks {
            for (parts, slice) in slices.iter_mut().zip(mask.words.chunks_exact_mut(slice_words)) {
                parts.push(slice);
            }
        }
        slices.par_iter_mut().zip(values.par_chunks_exact(ni * size[1])).for_each(|(parts, values)| {
            for (j, row) in values.chunks_exact(ni).enumerate() {
                for (w, chunk) in row.chunks(64).enumerate() {
                    for (part, &(low, high)) in parts.iter_mut().zip(&ranges) {
                        let word = bits_in_range(chunk, low, high);
                        part[j * words_per_row + w] =
                            if chunk.len() < 64 { word & ((1 << chunk.len()) - 1) } else { word };
                    }
                }
            }
        });
        masks
    }

    /// Columns, rows, slices.
    pub(crate) const fn size(&self) -> [usize; 3] {
        self.size
    }

    /// Number of rows, over all slices.
    pub(crate) const fn rows(&self) -> usize {
        self.size[1] * self.size[2]
    }

    /// The words of row `row`, counted over all slices.
    pub(crate) fn row(&self, row: usize) -> &[u64] {
        &self.words[row * self.words_per_row..(row + 1) * self.words_per_row]
    }

    /// The words of row `row`; bits past the end must stay zero.
    pub(crate) fn row_mut(&mut self, row: usize) -> &mut [u64] {
        &mut self.words[row * self.words_per_row..(row + 1) * self.words_per_row]
    }

    /// The words of one slice.
    pub(crate) fn slice_mut(&mut self, k: usize) -> &mut [u64] {
        let n = self.words_per_row * self.size[1];
        &mut self.words[k * n..(k + 1) * n]
    }

    /// Whether a voxel is set.
    pub(crate) fn get(&self, [i, j, k]: [usize; 3]) -> bool {
        self.words[(k * self.size[1] + j) * self.words_per_row + i / 64] >> (i % 64) & 1 == 1
    }

    /// Sets a voxel.
    pub(crate) fn set(&mut self, [i, j, k]: [usize; 3]) {
        self.words[(k * self.size[1] + j) * self.words_per_row + i / 64] |= 1 << (i % 64);
    }

    /// Sets columns `start..end` of a row.
    pub(crate) fn set_run(&mut self, row: usize, start: usize, end: usize) {
        set_bits(self.row_mut(row), start, end);
    }

    /// Number of voxels set.
    #[cfg(test)]
    pub(crate) fn count(&self) -> usize {
        self.words.iter().map(|w| w.count_ones() as usize).sum()
    }

    /// True if nothing is set.
    #[cfg(test)]
    pub(crate) fn is_empty(&self) -> bool {
        self.count() == 0
    }

    /// Keeps what is in the other too.
    pub(crate) fn and(mut self, other: &Self) -> Self {
        self.words.iter_mut().zip(&other.words).for_each(|(a, b)| *a &= b);
        self
    }

    /// Keeps what is not in the other.
    pub(crate) fn and_not(mut self, other: &Self) -> Self {
        self.words.iter_mut().zip(&other.words).for_each(|(a, b)| *a &= !b);
        self
    }

    /// Adds what is in the other.
    pub(crate) fn or(mut self, other: &Self) -> Self {
        self.words.iter_mut().zip(&other.words).for_each(|(a, b)| *a |= b);
        self
    }

    /// Mask of the bits of a row's last word that are voxels.
    pub(crate) const fn tail(&self) -> u64 {
        match self.size[0] % 64 {
            0 => u64::MAX,
            n => (1 << n) - 1,
        }
    }

    /// Calls `f(row, start, end)` for each run of set voxels of slices `slices`, in order.
    pub(crate) fn for_runs(&self, slices: std::ops::Range<usize>, mut f: impl FnMut(usize, usize, usize)) {
        for row in slices.start * self.size[1]..slices.end * self.size[1] {
            runs_of_row(self.row(row), |start, end| f(row, start, end));
        }
    }

    /// Calls `f(start, end)` for each run of set voxels of row `row`, counted over all slices.
    pub(crate) fn for_runs_of_row(&self, row: usize, f: impl FnMut(usize, usize)) {
        runs_of_row(self.row(row), f);
    }

    /// The smallest box `start..end` around what is set; `None` if nothing is.
    pub(crate) fn bounds(&self) -> Option<[std::ops::Range<usize>; 3]> {
        let mut bounds: Option<[[usize; 2]; 3]> = None;
        self.for_runs(0..self.size[2], |row, start, end| {
            let (j, k) = (row % self.size[1], row / self.size[1]);
            let b = bounds.get_or_insert([[start, end], [j, j + 1], [k, k + 1]]);
            b[0] = [b[0][0].min(start), b[0][1].max(end)];
            b[1] = [b[1][0].min(j), b[1][1].max(j + 1)];
            b[2] = [b[2][0].min(k), b[2][1].max(k + 1)];
        });
        bounds.map(|b| b.map(|[start, end]| start..end))
    }
}

/// Sets bits `start..end` of a row of words.
pub(crate) fn set_bits(words: &mut [u64], start: usize, end: usize) {
    if start >= end {
        return;
    }
    let (first, last) = (start / 64, (end - 1) / 64);
    let head = u64::MAX << (start % 64);
    let tail = u64::MAX >> (63 - (end - 1) % 64);
    if first == last {
        words[first] |= head & tail;
    } else {
        words[first] |= head;
        words[first + 1..last].fill(u64::MAX);
        words[last] |= tail;
    }
}

/// Calls `f(start, end)` for each run of ones.
#[inline]
pub(crate) fn runs_of_row(words: &[u64], mut f: impl FnMut(usize, usize)) {
    let mut open: Option<usize> = None;
    for (w, &word) in words.iter().enumerate() {
        let (base, mut at, mut rest) = (w * 64, 0, word);
        if open.is_some() && word == u64::MAX {
            continue;
        }
        loop {
            match open {
                None if rest == 0 => break,
                None => {
                    let skip = rest.trailing_zeros() as usize;
                    at += skip;
                    rest >>= skip;
                    open = Some(base + at);
                }
                Some(start) => {
                    let length = rest.trailing_ones() as usize;
                    at += length;
                    if at >= 64 {
                        break;
                    }
                    rest >>= length;
                    f(start, base + at);
                    open = None;
                }
            }
        }
    }
    if let Some(start) = open {
        f(start, words.len() * 64);
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A mask from a closure.
    pub(crate) fn mask(size: [usize; 3], inside: impl Fn([usize; 3]) -> bool) -> BitMask {
        let mut m = BitMask::empty(size);
        for k in 0..size[2] {
            for j in 0..size[1] {
                for i in 0..size[0] {
                    if inside([i, j, k]) {
                        m.set([i, j, k]);
                    }
                }
            }
        }
        m
    }

    /// Scattered bits, the same each time.
    pub(crate) fn scattered(size: [usize; 3], one_in: u64) -> BitMask {
        mask(size, |[i, j, k]| {
            let n = (i as u64 + 131 * j as u64 + 7919 * k as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            (n >> 33).is_multiple_of(one_in)
        })
    }

    #[test]
    fn ranges_match_a_plain_loop() {
        let size = [131, 3, 2];
        let values: Vec<i16> = (0..131 * 6).map(|n: i32| ((n * 7919) % 4000 - 1500) as i16).collect();
        let ranges = [(i16::MIN, -300), (-190, -30), (150, i16::MAX), (-32768, 32767)];
        let masks = BitMask::in_ranges(&values, size, ranges);
        for (m, (low, high)) in masks.iter().zip(ranges) {
            let expected = mask(size, |[i, j, k]| (low..=high).contains(&values[i + 131 * (j + 3 * k)]));
            assert_eq!(*m, expected, "{low}..={high}");
        }
    }

    #[test]
    fn runs_rebuild_the_mask() {
        for one_in in [2, 3, 50] {
            let m = scattered([200, 5, 3], one_in);
            let mut again = BitMask::empty(m.size());
            m.for_runs(0..3, |row, a, b| again.set_run(row, a, b));
            assert_eq!(m, again, "one in {one_in}");
        }
        let full = mask([128, 2, 1], |_| true);
        let mut runs = vec![];
        full.for_runs(0..1, |row, a, b| runs.push((row, a, b)));
        assert_eq!(runs, [(0, 0, 128), (1, 0, 128)]);
    }
}
