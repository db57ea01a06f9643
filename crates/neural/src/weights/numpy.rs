//! NumPy's numbers and arrays in a pickle.

use super::not_a_checkpoint;
use super::tree::Entry;
use crate::NeuralError;

/// A type by its code: `f8`, `i4`, `b1`, `O8`, ….
pub(super) fn dtype(code: &str) -> Result<Entry, NeuralError> {
    let code = code.trim_start_matches(['<', '>', '|', '=']);
    let mut characters = code.chars();
    let kind = characters.next().ok_or_else(|| not_a_checkpoint("a type of NumPy has no name"))?;
    let size = characters.as_str().parse().unwrap_or(0);
    Ok(Entry::Dtype(kind, size, false))
}

/// A number from its bytes.
pub(super) fn number(kind: char, big: bool, bytes: &[u8]) -> Entry {
    match (kind, bytes.len()) {
        ('f', 2 | 4 | 8) => Entry::Float(float(bytes, big)),
        ('i', 1 | 2 | 4 | 8) => Entry::Int(signed(bytes, big)),
        ('u', 1 | 2 | 4 | 8) => {
            i64::try_from(unsigned(bytes, big)).map_or_else(|_| Entry::Opaque("numpy.uint64".into()), Entry::Int)
        }
        ('b', 1) => Entry::Bool(bytes[0] != 0),
        _ => Entry::Opaque(format!("numpy.{kind}{}", bytes.len())),
    }
}

/// An array from its bytes, the last axis fastest.
pub(super) fn array(size: &[u64], kind: char, width: usize, big: bool, bytes: &[u8]) -> Result<Entry, NeuralError> {
    let count = size.iter().try_fold(1u64, |n, &s| n.checked_mul(s)).and_then(|n| usize::try_from(n).ok());
    if width == 0 || count.and_then(|n| n.checked_mul(width)) != Some(bytes.len()) {
        return Err(not_a_checkpoint("an array of NumPy has not as many bytes as its size says"));
    }
    let value = |bytes| match number(kind, big, bytes) {
        Entry::Float(x) => Some(x),
        Entry::Int(i) => Some(i as f64),
        Entry::Bool(b) => Some(f64::from(u8::from(b))),
        _ => None,
    };
    let Some(values) = bytes.chunks_exact(width).map(value).collect::<Option<Vec<_>>>() else {
        return Ok(Entry::Opaque("numpy.ndarray".into()));
    };
    Ok(Entry::Array(size.iter().map(|&s| s as usize).collect(), values))
}

fn unsigned(bytes: &[u8], big: bool) -> u64 {
    let next = |value: u64, &byte: &u8| value << 8 | u64::from(byte);
    if big { bytes.iter().fold(0, next) } else { bytes.iter().rev().fold(0, next) }
}

fn signed(bytes: &[u8], big: bool) -> i64 {
    let unused = 64 - 8 * bytes.len();
    (unsigned(bytes, big) << unused) as i64 >> unused
}

fn float(bytes: &[u8], big: bool) -> f64 {
    let bits = unsigned(bytes, big);
    match bytes.len() {
        2 => half::f16::from_bits(bits as u16).to_f64(),
        4 => f32::from_bits(bits as u32).into(),
        _ => f64::from_bits(bits),
    }
}
