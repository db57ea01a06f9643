//! JPEG extended sequential with 12-bit samples (ISO 10918-1, process 4), one component: dicom-rs decodes 8 bits only.

use std::f32::consts::{FRAC_1_SQRT_2, PI};

/// Where a frame's coefficients go, in the order of the codestream (figure A.6).
const ZIGZAG: [u8; 64] = [
    0, 1, 8, 16, 9, 2, 3, 10, 17, 24, 32, 25, 18, 11, 4, 5, 12, 19, 26, 33, 40, 48, 41, 34, 27, 20, 13, 6, 7, 14, 21,
    28, 35, 42, 49, 56, 57, 50, 43, 36, 29, 22, 15, 23, 30, 37, 44, 51, 58, 59, 52, 45, 38, 31, 39, 46, 53, 60, 61, 54,
    47, 55, 62, 63,
];

/// Samples lie this far above the transform's zero (A.3.1).
const LEVEL_SHIFT: f32 = 2048.0;
const MAX_SAMPLE: f32 = 4095.0;

/// A table is missing, or the data is not what tables and headers say.
struct Damaged;

/// Decodes a frame of `columns` × `rows` samples into 16-bit little-endian pixels.
pub(super) fn decode(encoded: &[u8], columns: usize, rows: usize, into: &mut [u8]) -> Result<(), String> {
    decode_image(encoded, columns, rows, into).map_err(|Damaged| "the 12-bit JPEG data is damaged".to_owned())
}

#[derive(Default)]
struct Tables {
    quantization: [Option<[f32; 64]>; 4],
    dc: [Option<Huffman>; 4],
    ac: [Option<Huffman>; 4],
    restart_interval: usize,
    quantization_of_component: usize,
}

fn decode_image(encoded: &[u8], columns: usize, rows: usize, into: &mut [u8]) -> Result<(), Damaged> {
    let mut tables = Tables::default();
    let mut at = 2;
    loop {
        let Some(&[0xFF, marker, high, low]) = encoded.get(at..at + 4) else { return Err(Damaged) };
        if marker == 0xFF {
            at += 1;
            continue;
        }
        let length = usize::from(u16::from_be_bytes([high, low]));
        let segment = encoded.get(at + 4..at + 2 + length).ok_or(Damaged)?;
        at += 2 + length;
        match marker {
            0xDB => read_quantization(segment, &mut tables)?,
            0xC4 => read_huffman(segment, &mut tables)?,
            0xDD => tables.restart_interval = usize::from(word(segment, 0)?),
            0xC0..=0xC1 => tables.quantization_of_component = usize::from(*segment.get(8).ok_or(Damaged)? & 3),
            0xDA => {
                let selectors = usize::from(*segment.get(2).ok_or(Damaged)?);
                let dc = tables.dc[selectors >> 4 & 3].as_ref().ok_or(Damaged)?;
                let ac = tables.ac[selectors & 3].as_ref().ok_or(Damaged)?;
                let quantization = tables.quantization[tables.quantization_of_component].as_ref().ok_or(Damaged)?;
                let scan = Scan { dc, ac, quantization, restart_interval: tables.restart_interval };
                return scan.decode(encoded.get(at..).ok_or(Damaged)?, columns, rows, into);
            }
            _ => {}
        }
    }
}

fn word(bytes: &[u8], at: usize) -> Result<u16, Damaged> {
    let pair = bytes.get(at..at + 2).ok_or(Damaged)?;
    Ok(u16::from_be_bytes([pair[0], pair[1]]))
}

fn read_quantization(mut segment: &[u8], tables: &mut Tables) -> Result<(), Damaged> {
    while let Some((&head, rest)) = segment.split_first() {
        let width = if head >> 4 == 0 { 1 } else { 2 };
        let values = rest.get(..64 * width).ok_or(Damaged)?;
        let mut table = [0.0; 64];
        for (n, value) in values.chunks_exact(width).enumerate() {
            table[usize::from(ZIGZAG[n])] = f32::from(value.iter().fold(0u16, |v, byte| v << 8 | u16::from(*byte)));
        }
        tables.quantization[usize::from(head & 3)] = Some(table);
        segment = &rest[64 * width..];
    }
    Ok(())
}

fn read_huffman(mut segment: &[u8], tables: &mut Tables) -> Result<(), Damaged> {
    while let Some((&head, rest)) = segment.split_first() {
        let counts = rest.get(..16).ok_or(Damaged)?;
        let total: usize = counts.iter().map(|n| usize::from(*n)).sum();
        let symbols = rest.get(16..16 + total).ok_or(Damaged)?;
        let table = Some(Huffman::new(counts, symbols));
        let kind = if head >> 4 == 0 { &mut tables.dc } else { &mut tables.ac };
        kind[usize::from(head & 3)] = table;
        segment = &rest[16 + total..];
    }
    Ok(())
}

/// Codes in order of length (annex C).
struct Huffman {
    symbols: Vec<u8>,
    /// For each length: the first code, the codes there are, and where their symbols begin.
    lengths: [(u32, u32, usize); 16],
}

impl Huffman {
    fn new(counts: &[u8], symbols: &[u8]) -> Self {
        let (mut code, mut start) = (0, 0);
        let mut lengths = [(0, 0, 0); 16];
        for (slot, count) in lengths.iter_mut().zip(counts) {
            *slot = (code, u32::from(*count), start);
            code = (code + u32::from(*count)) << 1;
            start += usize::from(*count);
        }
        Self { symbols: symbols.to_vec(), lengths }
    }

    fn symbol(&self, bits: &mut Bits<'_>) -> Result<u8, Damaged> {
        let mut code = 0;
        for (first, count, start) in self.lengths {
            code = code << 1 | bits.take(1)?;
            if code >= first && code - first < count {
                return self.symbols.get(start + (code - first) as usize).copied().ok_or(Damaged);
            }
        }
        Err(Damaged)
    }
}

/// Entropy-coded bits, most significant first; a zero byte follows each byte of ones (B.1.1.5).
struct Bits<'a> {
    bytes: &'a [u8],
    at: usize,
    buffer: u64,
    count: u32,
}

impl Bits<'_> {
    fn take(&mut self, count: u32) -> Result<u32, Damaged> {
        while self.count < count {
            let byte = *self.bytes.get(self.at).ok_or(Damaged)?;
            self.at += 1;
            if byte == 0xFF {
                if self.bytes.get(self.at) != Some(&0) {
                    return Err(Damaged);
                }
                self.at += 1;
            }
            self.buffer = self.buffer << 8 | u64::from(byte);
            self.count += 8;
        }
        self.count -= count;
        Ok((self.buffer >> self.count) as u32 & ((1u32 << count) - 1))
    }

    /// A signed number of so many bits (F.2.2.1, extend).
    fn signed(&mut self, count: u32) -> Result<i32, Damaged> {
        if count == 0 {
            return Ok(0);
        }
        let value = self.take(count)? as i32;
        Ok(if value < 1 << (count - 1) { value - (1 << count) + 1 } else { value })
    }

    /// Goes on behind a restart marker.
    fn restart(&mut self) -> Result<(), Damaged> {
        (self.buffer, self.count) = (0, 0);
        match self.bytes.get(self.at..self.at + 2) {
            Some([0xFF, 0xD0..=0xD7]) => {
                self.at += 2;
                Ok(())
            }
            _ => Err(Damaged),
        }
    }
}

struct Scan<'t> {
    dc: &'t Huffman,
    ac: &'t Huffman,
    quantization: &'t [f32; 64],
    restart_interval: usize,
}

impl Scan<'_> {
    fn decode(&self, bytes: &[u8], columns: usize, rows: usize, into: &mut [u8]) -> Result<(), Damaged> {
        let mut bits = Bits { bytes, at: 0, buffer: 0, count: 0 };
        let basis = cosines();
        let (mut predictor, blocks_across) = (0i32, columns.div_ceil(8));
        for block in 0..blocks_across * rows.div_ceil(8) {
            if self.restart_interval > 0 && block > 0 && block % self.restart_interval == 0 {
                bits.restart()?;
                predictor = 0;
            }
            let coefficients = self.block(&mut bits, &mut predictor)?;
            let samples = inverse_dct(&coefficients, &basis);
            let (i0, j0) = (block % blocks_across * 8, block / blocks_across * 8);
            for (j, line) in samples.chunks_exact(8).enumerate().take(rows - j0) {
                for (i, sample) in line.iter().enumerate().take(columns - i0) {
                    let value = (sample + LEVEL_SHIFT).round().clamp(0.0, MAX_SAMPLE) as u16;
                    let at = 2 * (i0 + i + columns * (j0 + j));
                    into[at..at + 2].copy_from_slice(&value.to_le_bytes());
                }
            }
        }
        Ok(())
    }

    /// The coefficients of one block, dequantized (F.2.2).
    fn block(&self, bits: &mut Bits<'_>, predictor: &mut i32) -> Result<[f32; 64], Damaged> {
        let mut block = [0.0; 64];
        let category = u32::from(self.dc.symbol(bits)?);
        if category > 16 {
            return Err(Damaged);
        }
        *predictor = predictor.wrapping_add(bits.signed(category)?);
        block[0] = *predictor as f32 * self.quantization[0];
        let mut k = 1;
        while k < 64 {
            let symbol = self.ac.symbol(bits)?;
            let (run, category) = (usize::from(symbol >> 4), u32::from(symbol & 15));
            if category == 0 {
                if run != 15 {
                    break;
                }
                k += 16;
                continue;
            }
            k += run;
            let place = usize::from(*ZIGZAG.get(k).ok_or(Damaged)?);
            block[place] = bits.signed(category)? as f32 * self.quantization[place];
            k += 1;
        }
        Ok(block)
    }
}

/// `basis[u][x]` = C(u) / 2 · cos((2x + 1) u π / 16) (A.3.3).
fn cosines() -> [[f32; 8]; 8] {
    let mut basis = [[0.0; 8]; 8];
    for (u, line) in basis.iter_mut().enumerate() {
        let scale = if u == 0 { FRAC_1_SQRT_2 / 2.0 } else { 0.5 };
        for (x, value) in line.iter_mut().enumerate() {
            *value = scale * ((2 * x + 1) as f32 * u as f32 * PI / 16.0).cos();
        }
    }
    basis
}

fn inverse_dct(coefficients: &[f32; 64], basis: &[[f32; 8]; 8]) -> [f32; 64] {
    let mut rows = [0.0; 64];
    for v in 0..8 {
        for x in 0..8 {
            rows[8 * v + x] = (0..8).map(|u| coefficients[8 * v + u] * basis[u][x]).sum();
        }
    }
    let mut samples = [0.0; 64];
    for y in 0..8 {
        for x in 0..8 {
            samples[8 * y + x] = (0..8).map(|v| rows[8 * v + x] * basis[v][y]).sum();
        }
    }
    samples
}
