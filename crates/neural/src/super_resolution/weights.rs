//! Weights as a safetensors file that says itself which network they are of.

use std::collections::BTreeMap;

use candle_core::Tensor;

use super::network::ThroughPlaneConfig;
use crate::error::NeuralError;

/// The key of the network's shape in the file's metadata, by which such a file is known.
pub const THROUGH_PLANE: &str = "through_plane";

/// Larger headers are refused.
const MAX_HEADER: usize = 1 << 20;

/// Weights and the network they are of.
#[derive(Clone, Debug)]
pub struct ThroughPlaneWeights {
    /// The network.
    pub config: ThroughPlaneConfig,
    /// By name.
    pub tensors: BTreeMap<String, Tensor>,
}

impl ThroughPlaneWeights {
    /// A safetensors file.
    ///
    /// # Errors
    /// [`NeuralError::MissingTensor`]; Candle's.
    pub fn to_bytes(&self) -> Result<Vec<u8>, NeuralError> {
        let mut header = serde_json::Map::new();
        let described = serde_json::to_string(&self.config)
            .map_err(|e| NeuralError::Description { field: THROUGH_PLANE.to_owned(), reason: e.to_string() })?;
        header.insert("__metadata__".to_owned(), serde_json::json!({ THROUGH_PLANE: described }));
        let mut data: Vec<u8> = Vec::new();
        for (name, shape) in self.config.tensors() {
            let Some(tensor) = self.tensors.get(&name) else { return Err(NeuralError::MissingTensor { name }) };
            let start = data.len();
            let values = tensor.flatten_all()?.to_vec1::<f32>()?;
            data.extend(values.iter().flat_map(|v| v.to_le_bytes()));
            let entry = serde_json::json!({ "dtype": "F32", "shape": shape, "data_offsets": [start, data.len()] });
            header.insert(name, entry);
        }
        let mut text = serde_json::Value::Object(header).to_string().into_bytes();
        text.resize(text.len().next_multiple_of(8), b' ');
        let mut file = (text.len() as u64).to_le_bytes().to_vec();
        file.extend(text);
        file.extend(data);
        Ok(file)
    }

    /// From such a file.
    ///
    /// # Errors
    /// [`NeuralError::NotWeights`], [`NeuralError::Description`], [`NeuralError::MissingTensor`],
    /// [`NeuralError::TensorShape`], [`NeuralError::NotFinite`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, NeuralError> {
        let broken = |reason: String| NeuralError::NotWeights { format: "safetensors", reason };
        let length = bytes.first_chunk::<8>().map_or(u64::MAX, |b| u64::from_le_bytes(*b));
        let length = usize::try_from(length).ok().filter(|&n| n <= MAX_HEADER && n + 8 <= bytes.len());
        let Some(length) = length else { return Err(broken("its header is not whole".to_owned())) };
        let header: serde_json::Value =
            serde_json::from_slice(&bytes[8..8 + length]).map_err(|e| broken(format!("its header is no JSON: {e}")))?;
        let described = header.get("__metadata__").and_then(|m| m.get(THROUGH_PLANE)).and_then(|c| c.as_str());
        let Some(described) = described else {
            let reason = "is not in its metadata; it is no through-plane network".to_owned();
            return Err(NeuralError::Description { field: THROUGH_PLANE.to_owned(), reason });
        };
        let wrong = |reason: String| NeuralError::Description { field: THROUGH_PLANE.to_owned(), reason };
        let config: ThroughPlaneConfig = serde_json::from_str(described).map_err(|e| wrong(e.to_string()))?;
        if !(1..=256).contains(&config.channels) || config.blocks > 64 || !(1..=16).contains(&config.fold) {
            return Err(wrong("has a size that no such network has".to_owned()));
        }
        let found = candle_core::safetensors::load_buffer(bytes, &candle_core::Device::Cpu)
            .map_err(|e| broken(e.to_string()))?;
        let mut tensors = BTreeMap::new();
        for (name, expected) in config.tensors() {
            let Some(tensor) = found.get(&name) else { return Err(NeuralError::MissingTensor { name }) };
            if tensor.dims() != expected {
                return Err(NeuralError::TensorShape { name, expected, found: tensor.dims().to_vec() });
            }
            let tensor = tensor.to_dtype(candle_core::DType::F32)?;
            if !tensor.flatten_all()?.to_vec1::<f32>()?.iter().all(|v| v.is_finite()) {
                return Err(NeuralError::NotFinite { name });
            }
            tensors.insert(name, tensor);
        }
        Ok(Self { config, tensors })
    }

    /// The network, for inference.
    ///
    /// # Errors
    /// Candle's, if a weight is missing or has another shape.
    pub fn network(&self) -> Result<super::ThroughPlane, NeuralError> {
        let weights: std::collections::HashMap<String, Tensor> =
            self.tensors.iter().map(|(name, tensor)| (name.clone(), tensor.detach())).collect();
        let vb = candle_nn::VarBuilder::from_tensors(weights, candle_core::DType::F32, &candle_core::Device::Cpu);
        Ok(super::ThroughPlane::load(&self.config, &vb)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn some() -> ThroughPlaneWeights {
        let config = ThroughPlaneConfig { channels: 4, blocks: 2, fold: 2 };
        let tensor = |(name, shape): (String, Vec<usize>)| {
            let count = shape.iter().product::<usize>();
            let values: Vec<f32> = (0..count).map(|n| n as f32 * 0.37 - 1.0).collect();
            (name, Tensor::from_vec(values, shape, &candle_core::Device::Cpu).unwrap())
        };
        ThroughPlaneWeights { tensors: config.tensors().into_iter().map(tensor).collect(), config }
    }

    #[test]
    fn files_hold_all() {
        let weights = some();
        let back = ThroughPlaneWeights::from_bytes(&weights.to_bytes().unwrap()).unwrap();
        assert_eq!(back.config, weights.config);
        let values = |t: &Tensor| t.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        for (name, tensor) in &weights.tensors {
            assert_eq!(values(&back.tensors[name]), values(tensor), "{name}");
        }
    }

    #[test]
    fn broken_files_are_refused() {
        let whole = some().to_bytes().unwrap();
        for length in (0..whole.len()).step_by(97) {
            assert!(ThroughPlaneWeights::from_bytes(&whole[..length]).is_err(), "{length} of {} bytes", whole.len());
        }
        let mut other = some();
        other.config.channels = 5;
        let renamed = String::from_utf8_lossy(&whole).replace("through_plane", "something_new");
        assert!(matches!(
            ThroughPlaneWeights::from_bytes(renamed.as_bytes()),
            Err(NeuralError::Description { .. } | NeuralError::NotWeights { .. })
        ));
        let mut infinite = whole.clone();
        let end = infinite.len();
        infinite[end - 4..].copy_from_slice(&f32::NAN.to_le_bytes());
        assert!(matches!(ThroughPlaneWeights::from_bytes(&infinite), Err(NeuralError::NotFinite { .. })));
    }
}
