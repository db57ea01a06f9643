//! Masks of one bit a voxel, dilated by balls row by row.

use rayon::prelude::*;

use crate::geometry::ImageGeometry;
use crate::grid::Volume;

const WORD: usize = u64::BITS as usize;

/// A ball as rows of voxels: for each offset across rows, how far it reaches along them.
pub(super) enum Ball {
    /// Nothing but its centre.
    Point,
    /// Widest rows first.
    Rows(Vec<Row>),
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Row {
    /// Voxels to either side.
    reach: usize,
    dj: isize,
    dk: isize,
}

impl Ball {
    pub(super) fn new(geometry: &ImageGeometry, radius_mm: f64) -> Self {
        if radius_mm.is_nan() || radius_mm <= 0.0 {
            return Self::Point;
        }
        let ([ni, nj, nk], spacing) = (geometry.size(), geometry.spacing());
        // Centres at exactly the radius belong to the ball, whatever rounding says.
        let limit = radius_mm * radius_mm * (1.0 + 1e-6);
        let steps = |squared_mm: f64, axis: usize, most: usize| {
            let steps = (squared_mm.max(0.0).sqrt() / spacing[axis]) as usize;
            steps.min(most.saturating_sub(1))
        };
        let (rj, rk) = (steps(limit, 1, nj) as isize, steps(limit, 2, nk) as isize);
        let mut rows = Vec::new();
        for dk in -rk..=rk {
            for dj in -rj..=rj {
                let across = (dj as f64 * spacing[1]).powi(2) + (dk as f64 * spacing[2]).powi(2);
                if across <= limit {
                    rows.push(Row { reach: steps(limit - across, 0, ni), dj, dk });
                }
            }
        }
        if rows.iter().all(|r| r.reach == 0 && r.dj == 0 && r.dk == 0) {
            return Self::Point;
        }
        rows.sort_by_key(|r| std::cmp::Reverse(r.reach));
        Self::Rows(rows)
    }

    pub(super) fn rows(&self) -> usize {
        match self {
            Self::Point => 1,
            Self::Rows(rows) => rows.len(),
        }
    }
}

pub(super) struct BitMask {
    geometry: ImageGeometry,
    /// Words of one row; the last one's spare bits are zero.
    width: usize,
    words: Vec<u64>,
    /// Rows with any bit.
    busy: Vec<bool>,
}

impl BitMask {
    pub(super) fn of(mask: &Volume<bool>) -> Self {
        let geometry = *mask.geometry();
        let [ni, nj, nk] = geometry.size();
        let width = ni.div_ceil(WORD);
        let mut words = vec![0u64; width * nj * nk];
        words.par_chunks_mut(width * nj).zip(mask.data().par_chunks(ni * nj)).for_each(|(words, mask)| {
            for (words, row) in words.chunks_exact_mut(width).zip(mask.chunks_exact(ni)) {
                let row: &[u8] = bytemuck::cast_slice(row);
                for (word, bytes) in words.iter_mut().zip(row.chunks(WORD)) {
                    *word = pack(bytes);
                }
            }
        });
        Self::with_busy(geometry, width, words)
    }

    fn with_busy(geometry: ImageGeometry, width: usize, words: Vec<u64>) -> Self {
        let busy = words.par_chunks(width).map(|row| row.iter().any(|w| *w != 0)).collect();
        Self { geometry, width, words, busy }
    }

    pub(super) fn into_mask(self) -> Volume<bool> {
        let [ni, nj, _] = self.geometry.size();
        let mut mask = Volume::filled(self.geometry, false);
        mask.data_mut().par_chunks_mut(ni * nj).zip(self.words.par_chunks(self.width * nj)).for_each(
            |(mask, words)| {
                for (row, words) in mask.chunks_exact_mut(ni).zip(words.chunks_exact(self.width)) {
                    for (bits, word) in row.chunks_mut(WORD).zip(words) {
                        for (bits, byte) in bits.chunks_mut(8).zip(word.to_le_bytes()) {
                            bits.iter_mut().zip(BIT).for_each(|(out, bit)| *out = byte & bit != 0);
                        }
                    }
                }
            },
        );
        mask
    }

    pub(super) fn complement(mut self) -> Self {
        let last = last_word(self.geometry.size()[0]);
        for row in self.words.chunks_exact_mut(self.width) {
            row.iter_mut().for_each(|w| *w = !*w);
            if let Some(word) = row.last_mut() {
                *word &= last;
            }
        }
        Self::with_busy(self.geometry, self.width, self.words)
    }

    pub(super) fn dilated(&self, ball: &Ball) -> Self {
        let Ball::Rows(rows) = ball else {
            return Self::with_busy(self.geometry, self.width, self.words.clone());
        };
        let [ni, nj, nk] = self.geometry.size();
        let (width, last) = (self.width, last_word(ni));
        let mut words = vec![0u64; self.words.len()];
        words.par_chunks_mut(width).enumerate().for_each(|(at, out)| {
            let (j, k) = (at % nj, at / nj);
            // Widest first: each widening serves all rows gathered before it, so a row is widened as often as it reaches.
            let (mut reach, mut any) = (rows.first().map_or(0, |r| r.reach), false);
            for row in rows {
                while reach > row.reach {
                    if any {
                        widen(out, last);
                    }
                    reach -= 1;
                }
                let (Some(j), Some(k)) = (j.checked_add_signed(row.dj), k.checked_add_signed(row.dk)) else { continue };
                if j < nj && k < nk && self.busy[j + nj * k] {
                    any = true;
                    let from = &self.words[(j + nj * k) * width..][..width];
                    out.iter_mut().zip(from).for_each(|(out, from)| *out |= from);
                }
            }
            if any {
                (0..reach).for_each(|_| widen(out, last));
            }
        });
        Self::with_busy(self.geometry, width, words)
    }
}

/// The bits of a byte, lowest first.
const BIT: [u8; 8] = [1, 2, 4, 8, 16, 32, 64, 128];

/// Up to 64 bytes of zero or one as bits, first lowest.
fn pack(bytes: &[u8]) -> u64 {
    let (eights, rest) = bytes.as_chunks::<8>();
    // The factor moves bit 8n of a little-endian word to bit 56 + n; no two meet on their way.
    let byte = |eight: &[u8; 8]| u64::from_le_bytes(*eight).wrapping_mul(0x0102_0408_1020_4080) >> 56;
    let word = eights.iter().enumerate().fold(0, |word, (n, eight)| word | byte(eight) << (8 * n));
    let done = 8 * eights.len();
    rest.iter().enumerate().fold(word, |word, (n, &bit)| word | u64::from(bit) << (done + n))
}

/// Bits of the last word of a row that are voxels.
fn last_word(ni: usize) -> u64 {
    match ni % WORD {
        0 => u64::MAX,
        bits => (1 << bits) - 1,
    }
}

/// Each voxel takes the value of its two neighbours in the row too.
fn widen(row: &mut [u64], last: u64) {
    let mut below = 0;
    for n in 0..row.len() {
        let word = row[n];
        let above = row.get(n + 1).copied().unwrap_or(0);
        row[n] = word | word << 1 | below >> (WORD - 1) | word >> 1 | above << (WORD - 1);
        below = word;
    }
    if let Some(word) = row.last_mut() {
        *word &= last;
    }
}
