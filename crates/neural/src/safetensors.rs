//! The safetensors format, read with every length checked before it is used.
//!
//! Eight bytes little endian: the length of a JSON header; then the header, of names with type, shape and place; then the
//! values (<https://huggingface.co/docs/safetensors>).

mod content;

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;

use candle_core::{DType, Device, Tensor};
use serde::Deserialize;

pub(crate) use content::Content;
pub use content::Precision;

use crate::error::NeuralError;

/// The format's own limit for headers.
const MAX_HEADER: usize = 100_000_000;

/// More numbers than any tensor here has.
const MAX_ELEMENTS: usize = 1 << 32;

/// The content of a `.safetensors` file.
#[derive(Clone, Debug)]
pub struct Safetensors {
    metadata: BTreeMap<String, String>,
    tensors: BTreeMap<String, Entry>,
    bytes: Vec<u8>,
}

#[derive(Clone, Debug)]
struct Entry {
    dtype: DType,
    shape: Vec<usize>,
    range: Range<usize>,
}

#[derive(Deserialize)]
struct RawEntry {
    dtype: String,
    shape: Vec<usize>,
    data_offsets: [usize; 2],
}

impl Safetensors {
    /// Reads the header; values are converted when a tensor is asked for.
    ///
    /// # Errors
    /// [`NeuralError::NotWeights`].
    pub fn parse(bytes: Vec<u8>) -> Result<Self, NeuralError> {
        let wrong = |reason: String| NeuralError::NotWeights { format: "safetensors", reason };
        let Some(length) = bytes.first_chunk::<8>().map(|b| u64::from_le_bytes(*b)) else {
            return Err(wrong(format!("{} bytes are too few", bytes.len())));
        };
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        let whole = length <= MAX_HEADER && length.saturating_add(8) <= bytes.len();
        if !whole || bytes.get(8) != Some(&b'{') {
            return Err(wrong("there is no header of this format".to_owned()));
        }
        let start = 8 + length;
        let header: BTreeMap<String, serde_json::Value> =
            serde_json::from_slice(&bytes[8..start]).map_err(|e| wrong(format!("the header is no JSON: {e}")))?;
        let (mut metadata, mut tensors) = (BTreeMap::new(), BTreeMap::new());
        // Tensors that share their place could be more than any memory.
        let mut left = bytes.len() - start;
        for (name, value) in header {
            if name == "__metadata__" {
                metadata = serde_json::from_value(value).map_err(|e| wrong(format!("the metadata: {e}")))?;
                continue;
            }
            let raw: RawEntry =
                serde_json::from_value(value).map_err(|e| wrong(format!("the entry of `{name}`: {e}")))?;
            let dtype = match raw.dtype.as_str() {
                "F32" => DType::F32,
                "F16" => DType::F16,
                "BF16" => DType::BF16,
                "F64" => DType::F64,
                "U8" => DType::U8,
                "I64" => DType::I64,
                other => return Err(wrong(format!("`{name}` is of the type {other}, which is not known here"))),
            };
            let elements = raw.shape.iter().try_fold(1usize, |n, &s| n.checked_mul(s)).filter(|&n| n <= MAX_ELEMENTS);
            let [from, to] = raw.data_offsets;
            let size = to.checked_sub(from);
            let fits = to <= bytes.len() - start && elements.map(|n| n * dtype.size_in_bytes()) == size;
            if !fits {
                let reason = format!("`{name}` of shape {:?} does not fit its place in the file", raw.shape);
                return Err(wrong(format!("{reason}, so the file is cut off or was changed")));
            }
            left = left
                .checked_sub(to - from)
                .ok_or_else(|| wrong(format!("`{name}` shares its place with others, so the file was changed")))?;
            tensors.insert(name, Entry { dtype, shape: raw.shape, range: start + from..start + to });
        }
        Ok(Self { metadata, tensors, bytes })
    }

    /// What the file says of itself.
    pub fn metadata(&self) -> &BTreeMap<String, String> {
        &self.metadata
    }

    /// Names and shapes, by name.
    pub fn shapes(&self) -> impl Iterator<Item = (&str, &[usize])> {
        self.tensors.iter().map(|(name, entry)| (name.as_str(), entry.shape.as_slice()))
    }

    /// The shape of a tensor.
    pub fn shape(&self, name: &str) -> Option<&[usize]> {
        self.tensors.get(name).map(|e| e.shape.as_slice())
    }

    /// How a tensor is stored.
    pub fn dtype(&self, name: &str) -> Option<DType> {
        self.tensors.get(name).map(|e| e.dtype)
    }

    /// A tensor as it is stored.
    ///
    /// # Errors
    /// [`NeuralError::MissingTensor`], [`NeuralError::Candle`].
    pub fn tensor(&self, name: &str) -> Result<Tensor, NeuralError> {
        let missing = || NeuralError::MissingTensor { name: name.to_owned() };
        let entry = self.tensors.get(name).ok_or_else(missing)?;
        let bytes = &self.bytes[entry.range.clone()];
        Ok(Tensor::from_raw_buffer(bytes, entry.dtype, &entry.shape, &Device::Cpu)?)
    }

    /// Weights of a network as `f32`, with the shapes that its description asks for.
    ///
    /// # Errors
    /// [`NeuralError::MissingTensor`], [`NeuralError::TensorShape`], [`NeuralError::NotFinite`]; a tensor that the network
    /// has no place for is [`NeuralError::Description`].
    pub fn weights(&self, expected: &[(String, Vec<usize>)]) -> Result<HashMap<String, Tensor>, NeuralError> {
        let mut weights = HashMap::new();
        for (name, shape) in expected {
            let missing = || NeuralError::MissingTensor { name: name.clone() };
            let entry = self.tensors.get(name).ok_or_else(missing)?;
            if entry.shape != *shape {
                let (expected, found) = (shape.clone(), entry.shape.clone());
                return Err(NeuralError::TensorShape { name: name.clone(), expected, found });
            }
            let tensor = self.tensor(name)?.to_dtype(DType::F32)?;
            if tensor.flatten_all()?.to_vec1::<f32>()?.iter().any(|v| !v.is_finite()) {
                return Err(NeuralError::NotFinite { name: name.clone() });
            }
            weights.insert(name.clone(), tensor);
        }
        if let Some(extra) = self.tensors.keys().find(|name| !weights.contains_key(*name)) {
            let reason = "is a tensor that the described network has no place for".to_owned();
            return Err(NeuralError::Description { field: extra.clone(), reason });
        }
        Ok(weights)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A file of tensors of `f32`.
    pub(crate) fn file(metadata: &[(&str, &str)], tensors: &[(&str, &[usize], Vec<f32>)]) -> Vec<u8> {
        let mut header = serde_json::Map::new();
        let metadata: BTreeMap<_, _> = metadata.iter().copied().collect();
        header.insert("__metadata__".to_owned(), serde_json::to_value(metadata).unwrap());
        let mut data: Vec<u8> = Vec::new();
        for (name, shape, values) in tensors {
            let from = data.len();
            data.extend(values.iter().flat_map(|v| v.to_le_bytes()));
            let entry = serde_json::json!({"dtype": "F32", "shape": shape, "data_offsets": [from, data.len()]});
            header.insert((*name).to_owned(), entry);
        }
        let header = serde_json::to_vec(&header).unwrap();
        [(header.len() as u64).to_le_bytes().to_vec(), header, data].concat()
    }

    #[track_caller]
    fn check_refused(bytes: Vec<u8>, words: &str) {
        let error = Safetensors::parse(bytes).unwrap_err().to_string();
        assert!(error.contains(words), "{error}");
    }

    #[test]
    fn what_was_written_is_read() {
        let bytes = file(&[("activation", "elu")], &[("a", &[2, 1], vec![1.5, -2.0]), ("b", &[1], vec![3.0])]);
        let read = Safetensors::parse(bytes).unwrap();
        assert_eq!(read.metadata()["activation"], "elu");
        let weights = read.weights(&[("a".to_owned(), vec![2, 1]), ("b".to_owned(), vec![1])]).unwrap();
        assert_eq!(weights["a"].to_vec2::<f32>().unwrap(), [[1.5], [-2.0]]);
    }

    #[test]
    fn what_is_no_safetensors_is_refused() {
        check_refused(Vec::new(), "too few");
        check_refused(b"Dear colleague, please find attached the weights".to_vec(), "no header");
        let good = file(&[], &[("a", &[4], vec![0.0; 4])]);
        check_refused(good[..good.len() - 1].to_vec(), "cut off");
        let mut huge = good.clone();
        huge[7] = 0xff;
        check_refused(huge, "no header");
        let text = String::from_utf8_lossy(&good).replace("\"shape\":[4]", "\"shape\":[5]");
        check_refused(text.into_bytes(), "does not fit its place");
        // Four tensors in one place: more than the file holds.
        let many = [("a", &[2][..], vec![0.0; 2]), ("b", &[2], vec![0.0; 2])];
        let text = String::from_utf8_lossy(&file(&[], &many)).replace("[8,16]", "[0,8] ");
        assert!(Safetensors::parse(text.clone().into_bytes()).is_ok(), "as large as the file");
        check_refused(text.as_bytes()[..text.len() - 8].to_vec(), "shares its place");
    }

    #[test]
    fn every_cut_and_every_flipped_byte_is_taken_calmly() {
        let good = file(&[("k", "v")], &[("a", &[2, 2], vec![1.0; 4])]);
        for at in 0..good.len() {
            assert!(Safetensors::parse(good[..at].to_vec()).is_err(), "cut at {at}");
            let mut changed = good.clone();
            changed[at] ^= 0x15;
            // Either an error or tensors that can be asked for.
            if let Ok(read) = Safetensors::parse(changed) {
                let names: Vec<String> = read.shapes().map(|(n, _)| n.to_owned()).collect();
                names.iter().for_each(|n| drop(read.tensor(n)));
            }
        }
    }

    #[test]
    fn weights_must_be_those_of_the_network() {
        let of = |values: Vec<f32>| Safetensors::parse(file(&[], &[("a", &[2], values)])).unwrap();
        let ask = |name: &str, size: usize| vec![(name.to_owned(), vec![size])];
        let good = of(vec![1.0, 2.0]);
        assert!(matches!(good.weights(&ask("b", 2)), Err(NeuralError::MissingTensor { .. })));
        assert!(matches!(good.weights(&ask("a", 3)), Err(NeuralError::TensorShape { .. })));
        assert!(matches!(good.weights(&[]), Err(NeuralError::Description { .. })));
        assert!(matches!(of(vec![1.0, f32::NAN]).weights(&ask("a", 2)), Err(NeuralError::NotFinite { .. })));
    }
}
