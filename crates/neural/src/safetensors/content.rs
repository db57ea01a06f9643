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
}

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
    /// Candle's.
    pub(crate) fn write(&self, precision: Precision) -> Result<Vec<u8>, NeuralError> {
        let (dtype, width) = match precision {
            Precision::Single => ("F32", 4),
            Precision::Half => ("F16", 2),
        };
        let mut header = serde_json::Map::new();
        header.insert("__metadata__".to_owned(), json(&self.metadata)?);
        let mut offset = 0;
        for (name, (shape, values)) in &self.tensors {
            let end = offset + values.len() * width;
            header.insert(name.clone(), json(&Entry { dtype, shape: shape.clone(), data_offsets: [offset, end] })?);
            offset = end;
        }
        let mut header = json(&header)?.to_string().into_bytes();
        // Values begin at a multiple of eight.
        header.resize(header.len().next_multiple_of(8), b' ');
        let mut bytes = Vec::with_capacity(8 + header.len() + offset);
        bytes.extend((header.len() as u64).to_le_bytes());
        bytes.extend(header);
        for (_, values) in self.tensors.values() {
            match precision {
                Precision::Single => bytes.extend(values.iter().flat_map(|x| x.to_le_bytes())),
                Precision::Half => {
                    let halves = Tensor::new(values.as_slice(), &Device::Cpu)?.to_dtype(DType::F16)?;
                    halves.write_bytes(&mut bytes)?;
                }
            }
        }
        Ok(bytes)
    }

    /// The tensors of a file, all as 32 bits.
    ///
    /// # Errors
    /// [`NeuralError::NotWeights`], [`NeuralError::NotFinite`]; Candle's.
    pub(crate) fn read(bytes: &[u8]) -> Result<Self, NeuralError> {
        let file = Safetensors::parse(bytes.to_vec())?;
        let tensors = file.shapes().map(|(name, shape)| {
            let values = file.tensor(name)?.to_dtype(DType::F32)?.flatten_all()?.to_vec1::<f32>()?;
            if values.iter().any(|v| !v.is_finite()) {
                return Err(NeuralError::NotFinite { name: name.to_owned() });
            }
            Ok((name.to_owned(), (shape.to_vec(), values)))
        });
        Ok(Self { tensors: tensors.collect::<Result<_, NeuralError>>()?, metadata: file.metadata().clone() })
    }
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
