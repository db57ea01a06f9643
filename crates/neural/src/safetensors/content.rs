//! Values of 32 bits with names and metadata: what networks and trainings put away, at a precision of choice.

use std::collections::BTreeMap;

use candle_core::{DType, Device, Tensor};
use serde::{Deserialize, Serialize};

use super::Safetensors;
use crate::NeuralError;

/// How weights are stored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Precision {
    /// 32 bits.
    #[default]
    Single,
    /// 16 bits, 11 of them the mantissa's.
    Half,
    /// 8 bits for each value of a kernel or matrix, around 128, and a scale of 32 bits for each place along its first axis (outputs; inputs
    /// of transposed convolutions), under the tensor's name and `.scale`; vectors have 32 bits. Rounds by 0.4 % of the greatest value
    /// there at most.
    Byte,
}

/// Behind the name of a tensor in bytes.
const SCALE: &str = ".scale";

/// What a byte stands for: 0.
const MIDDLE: f32 = 128.0;

/// From the middle to the least and greatest byte that is written.
const REACH: f32 = 127.0;

/// What a file holds.
pub(crate) struct Content {
    pub(crate) metadata: BTreeMap<String, String>,
    /// Shapes and values.
    pub(crate) tensors: BTreeMap<String, (Vec<usize>, Vec<f32>)>,
}

#[derive(Serialize)]
struct Entry {
    dtype: &'static str,
    shape: Vec<usize>,
    data_offsets: [usize; 2],
}

impl Content {
    /// The bytes of a file with these tensors, in the order of their names.
    ///
    /// # Errors
    /// [`NeuralError::NotFinite`] of what has no place among bytes; Candle's.
    pub(crate) fn write(&self, precision: Precision) -> Result<Vec<u8>, NeuralError> {
        let mut stored = BTreeMap::new();
        for (name, (shape, values)) in &self.tensors {
            let single = |values: &[f32]| values.iter().flat_map(|x| x.to_le_bytes()).collect();
            match precision {
                Precision::Half => {
                    let mut bytes = Vec::with_capacity(2 * values.len());
                    Tensor::new(values.as_slice(), &Device::Cpu)?.to_dtype(DType::F16)?.write_bytes(&mut bytes)?;
                    stored.insert(name.clone(), ("F16", shape.clone(), bytes));
                }
                Precision::Byte if shape.len() > 1 && !values.is_empty() => {
                    if values.iter().any(|v| !v.is_finite()) {
                        return Err(NeuralError::NotFinite { name: name.clone() });
                    }
                    let (bytes, scales) = in_bytes(values, shape[0]);
                    stored.insert(format!("{name}{SCALE}"), ("F32", vec![shape[0]], single(&scales)));
                    stored.insert(name.clone(), ("U8", shape.clone(), bytes));
                }
                _ => drop(stored.insert(name.clone(), ("F32", shape.clone(), single(values)))),
            }
        }
        let mut header = serde_json::Map::new();
        header.insert("__metadata__".to_owned(), json(&self.metadata)?);
        let mut offset = 0;
        for (name, (dtype, shape, bytes)) in &stored {
            let data_offsets = [offset, offset + bytes.len()];
            header.insert(name.clone(), json(&Entry { dtype, shape: shape.clone(), data_offsets })?);
            offset += bytes.len();
        }
        let mut header = json(&header)?.to_string().into_bytes();
        // Values begin at a multiple of eight.
        header.resize(header.len().next_multiple_of(8), b' ');
        let mut bytes = Vec::with_capacity(8 + header.len() + offset);
        bytes.extend((header.len() as u64).to_le_bytes());
        bytes.extend(header);
        stored.values().for_each(|(_, _, values)| bytes.extend(values));
        Ok(bytes)
    }

    /// The tensors of a file, all as 32 bits.
    ///
    /// # Errors
    /// [`NeuralError::NotWeights`], [`NeuralError::NotFinite`]; Candle's.
    pub(crate) fn read(bytes: &[u8]) -> Result<Self, NeuralError> {
        let file = Safetensors::parse(bytes.to_vec())?;
        let mut tensors = BTreeMap::new();
        for (name, shape) in file.shapes() {
            let has_bytes = |name: &str| file.dtype(name) == Some(DType::U8);
            if name.strip_suffix(SCALE).is_some_and(has_bytes) {
                continue;
            }
            let mut values = singles(&file, name)?;
            let scale = format!("{name}{SCALE}");
            if let Some(outputs) = file.shape(&scale).filter(|_| has_bytes(name)) {
                if outputs.len() != 1 || shape.first() != outputs.first() {
                    let (expected, found) = (shape.iter().take(1).copied().collect(), outputs.to_vec());
                    return Err(NeuralError::TensorShape { name: scale, expected, found });
                }
                let scales = singles(&file, &scale)?;
                let each = (values.len() / scales.len().max(1)).max(1);
                for (values, scale) in values.chunks_mut(each).zip(scales) {
                    values.iter_mut().for_each(|v| *v = (*v - MIDDLE) * scale);
                }
            }
            tensors.insert(name.to_owned(), (shape.to_vec(), values));
        }
        Ok(Self { tensors, metadata: file.metadata().clone() })
    }
}

/// A tensor's values, all of them numbers.
fn singles(file: &Safetensors, name: &str) -> Result<Vec<f32>, NeuralError> {
    let values = file.tensor(name)?.to_dtype(DType::F32)?.flatten_all()?.to_vec1::<f32>()?;
    if values.iter().any(|v| !v.is_finite()) {
        return Err(NeuralError::NotFinite { name: name.to_owned() });
    }
    Ok(values)
}

/// Values of so many places along the first axis as bytes, and what one step of a byte means in each.
fn in_bytes(values: &[f32], places: usize) -> (Vec<u8>, Vec<f32>) {
    let (mut bytes, mut scales) = (Vec::with_capacity(values.len()), Vec::with_capacity(places));
    for values in values.chunks(values.len() / places) {
        let most = values.iter().fold(0.0_f32, |most, v| most.max(v.abs()));
        let scale = if most > 0.0 { most / REACH } else { 1.0 };
        bytes.extend(values.iter().map(|v| (v / scale + MIDDLE).round() as u8));
        scales.push(scale);
    }
    (bytes, scales)
}

fn json(value: &impl Serialize) -> Result<serde_json::Value, NeuralError> {
    serde_json::to_value(value).map_err(|e| NeuralError::NotWeights { format: "safetensors", reason: e.to_string() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn content() -> Content {
        let tensors = [("b", vec![2, 2], vec![1.0, -2.5, 3.25, 1e-3]), ("a", vec![1], vec![7.0])];
        Content {
            metadata: [("what".to_owned(), "a \"test\"".to_owned())].into(),
            tensors: tensors.into_iter().map(|(n, s, v)| (n.to_owned(), (s, v))).collect(),
        }
    }

    #[test]
    fn what_is_written_is_read() {
        let read_back = Content::read(&content().write(Precision::Single).unwrap()).unwrap();
        assert_eq!((read_back.metadata, read_back.tensors), (content().metadata, content().tensors));
        let bytes = content().write(Precision::Half).unwrap();
        let halves = Content::read(&bytes).unwrap();
        assert_eq!(halves.tensors["b"].1[..3], [1.0, -2.5, 3.25]);
        assert!((halves.tensors["b"].1[3] - 1e-3).abs() < 1e-6);
        assert!(bytes.len() < content().write(Precision::Single).unwrap().len());
    }

    #[test]
    fn bytes_are_scaled_by_output() {
        let values = vec![1.0, -0.25, 0.5, 100.0, 3.0, -99.0, 0.0, 0.0, 0.0];
        let mut content = content();
        content.tensors.insert("kernel".to_owned(), (vec![3, 1, 3], values.clone()));
        let bytes = content.write(Precision::Byte).unwrap();
        let read = Content::read(&bytes).unwrap();
        assert_eq!(read.tensors.keys().collect::<Vec<_>>(), ["a", "b", "kernel"]);
        assert_eq!(read.tensors["a"], (vec![1], vec![7.0]), "vectors stay as they are");
        let (shape, found) = &read.tensors["kernel"];
        assert_eq!(*shape, [3, 1, 3]);
        let most = [1.0_f32, 100.0, 0.0];
        for (n, (found, value)) in found.iter().zip(&values).enumerate() {
            assert!((found - value).abs() <= most[n / 3] / 127.0 / 2.0 * 1.001, "{found} for {value}");
        }
        assert_eq!(Content::write(&read, Precision::Byte).unwrap(), bytes, "once rounded, it stays");
        content.tensors.insert("kernel".to_owned(), (vec![1, 2], vec![1.0, f32::NAN]));
        assert!(matches!(content.write(Precision::Byte), Err(NeuralError::NotFinite { .. })));
        // A scale for another number of outputs.
        let at = bytes.windows(7).position(|w| w == b"[3,1,3]").unwrap();
        let wrong = [&bytes[..at], b"[1,3,3]", &bytes[at + 7..]].concat();
        assert!(matches!(Content::read(&wrong), Err(NeuralError::TensorShape { .. })));
    }

    #[test]
    fn broken_files_are_refused() {
        let bytes = content().write(Precision::Single).unwrap();
        for cut in [0, 4, 8, 20, bytes.len() - 1] {
            assert!(Content::read(&bytes[..cut]).is_err(), "{cut}");
        }
        let mut huge = bytes.clone();
        huge[..8].fill(0xff);
        assert!(Content::read(&huge).is_err());
        let mut nan = bytes.clone();
        let at = nan.len() - 4;
        nan[at..].copy_from_slice(&f32::NAN.to_le_bytes());
        assert!(matches!(Content::read(&nan), Err(NeuralError::NotFinite { .. })));
    }
}
