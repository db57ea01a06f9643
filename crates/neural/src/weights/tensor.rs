//! Tensors from the storages of a checkpoint.

use std::collections::HashMap;

use candle_core::{Device, Tensor};

use super::archive::Archive;
use super::tree::{Kind, Node, TensorRef};
use super::{Tensors, not_a_checkpoint};
use crate::NeuralError;

pub(super) fn of_state(archive: &Archive<'_>, state: Node<'_>) -> Result<Tensors, NeuralError> {
    if state.kind() != Kind::Dict {
        return Err(not_a_checkpoint(format!("the weights are no dictionary but {:?}", state.kind())));
    }
    let mut made = HashMap::<&TensorRef, Tensor>::new();
    // By name: the checksum of each is looked at once.
    let mut storages = HashMap::<&str, &[u8]>::new();
    // Views of one storage could repeat it without end.
    let mut budget = archive.len().saturating_mul(2);
    let mut tensors = Tensors::new();
    for (name, value) in state.entries() {
        let Some(name) = name.as_str() else { continue };
        let Some(reference) = value.tensor() else { continue };
        let tensor = match made.get(reference) {
            Some(tensor) => tensor.clone(),
            None => {
                let bytes = match storages.get(reference.storage.key.as_str()) {
                    Some(bytes) => bytes,
                    None => {
                        let bytes = archive.storage(&reference.storage.key)?;
                        storages.insert(&reference.storage.key, bytes);
                        bytes
                    }
                };
                let tensor = tensor(name, reference, bytes, archive.is_big_endian(), &mut budget)?;
                made.insert(reference, tensor.clone());
                tensor
            }
        };
        let name = name.strip_prefix("module.").unwrap_or(name);
        tensors.insert(name.strip_prefix("_orig_mod.").unwrap_or(name).to_owned(), tensor);
    }
    if tensors.is_empty() {
        return Err(not_a_checkpoint("the weights hold no tensors"));
    }
    Ok(tensors)
}

fn tensor(
    name: &str,
    reference: &TensorRef,
    bytes: &[u8],
    big: bool,
    budget: &mut usize,
) -> Result<Tensor, NeuralError> {
    let kind = &reference.storage.kind;
    let Some((width, read)) = reader(kind) else {
        return Err(not_a_checkpoint(format!("the tensor `{name}` is of the type {kind}, which is not known")));
    };
    let size = reference.size.iter().map(|&s| usize::try_from(s).ok()).collect::<Option<Vec<_>>>();
    let count = size.as_ref().and_then(|size| size.iter().try_fold(1usize, |n, &s| n.checked_mul(s)));
    let (Some(size), Some(count)) = (size, count) else {
        return Err(not_a_checkpoint(format!("the tensor `{name}` is larger than any memory")));
    };
    let held = bytes.len() / width;
    // The storage's own count is in numbers, but in bytes where it is untyped.
    let declared = if reference.storage.kind.ends_with("Storage") { reference.storage.count } else { 0 };
    if declared > held as u64 {
        return Err(not_a_checkpoint(format!("the storage of `{name}` has {held} numbers, not {declared}")));
    }
    let last = reference.size.iter().zip(&reference.stride).try_fold(reference.offset, |last, (&size, &stride)| {
        last.checked_add(size.saturating_sub(1).checked_mul(stride)?)
    });
    // No weight is larger than its storage: one that were would repeat numbers by a stride of 0.
    if count > 0 && (count > held || last.is_none_or(|last| last >= held as u64)) {
        return Err(not_a_checkpoint(format!(
            "the tensor `{name}` of size {size:?} reaches beyond its storage of {held} numbers"
        )));
    }
    *budget = budget
        .checked_sub(count * width)
        .ok_or_else(|| not_a_checkpoint("its tensors repeat its storages many times over"))?;
    let mut values = Vec::with_capacity(count);
    let mut index = vec![0usize; size.len()];
    let mut place = reference.offset as usize;
    let (row, step) = match (size.last(), reference.stride.last()) {
        (Some(&row), Some(&step)) => (row, step as usize),
        _ => (1, 1),
    };
    while values.len() < count {
        values.extend((0..row).map(|n| {
            let from = (place + n * step) * width;
            read(&bytes[from..from + width], big)
        }));
        // On to the next row.
        for axis in (0..size.len().saturating_sub(1)).rev() {
            index[axis] += 1;
            place += reference.stride[axis] as usize;
            if index[axis] < size[axis] {
                break;
            }
            place -= reference.stride[axis] as usize * size[axis];
            index[axis] = 0;
        }
    }
    Ok(Tensor::from_vec(values, size, &Device::Cpu)?)
}

/// Bytes a number, and how it is read.
type Reader = (usize, fn(&[u8], bool) -> f32);

/// By the name of PyTorch's storage or type.
fn reader(kind: &str) -> Option<Reader> {
    fn bytes<const N: usize>(part: &[u8], big: bool) -> [u8; N] {
        let mut out = [0; N];
        out.copy_from_slice(part);
        if big {
            out.reverse();
        }
        out
    }
    Some(match kind {
        "FloatStorage" | "float32" => (4, |p, big| f32::from_le_bytes(bytes(p, big))),
        "DoubleStorage" | "float64" => (8, |p, big| f64::from_le_bytes(bytes(p, big)) as f32),
        "HalfStorage" | "float16" => (2, |p, big| half::f16::from_le_bytes(bytes(p, big)).to_f32()),
        "BFloat16Storage" | "bfloat16" => (2, |p, big| half::bf16::from_le_bytes(bytes(p, big)).to_f32()),
        "LongStorage" | "int64" => (8, |p, big| i64::from_le_bytes(bytes(p, big)) as f32),
        "IntStorage" | "int32" => (4, |p, big| i32::from_le_bytes(bytes(p, big)) as f32),
        "ShortStorage" | "int16" => (2, |p, big| f32::from(i16::from_le_bytes(bytes(p, big)))),
        "CharStorage" | "int8" => (1, |p, _| f32::from(p[0] as i8)),
        "ByteStorage" | "uint8" => (1, |p, _| f32::from(p[0])),
        "BoolStorage" | "bool" => (1, |p, _| f32::from(u8::from(p[0] != 0))),
        _ => return None,
    })
}
