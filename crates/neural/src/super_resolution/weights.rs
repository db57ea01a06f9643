//! Weights as a safetensors file that says itself which network they are of.

use std::collections::BTreeMap;

use candle_core::Tensor;

use super::network::ThroughPlaneConfig;
use crate::error::NeuralError;
use crate::safetensors::{Content, Precision, Safetensors};

/// The key of the network's shape in the file's metadata, by which such a file is known.
pub const THROUGH_PLANE: &str = "through_plane";

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
        let described = serde_json::to_string(&self.config)
            .map_err(|e| NeuralError::Description { field: THROUGH_PLANE.to_owned(), reason: e.to_string() })?;
        let tensors = self.config.tensors().into_iter().map(|(name, shape)| {
            let Some(tensor) = self.tensors.get(&name) else { return Err(NeuralError::MissingTensor { name }) };
            Ok((name, (shape, tensor.flatten_all()?.to_vec1::<f32>()?)))
        });
        let tensors = tensors.collect::<Result<_, NeuralError>>()?;
        Content { metadata: [(THROUGH_PLANE.to_owned(), described)].into(), tensors }.write(Precision::Single)
    }

    /// From such a file.
    ///
    /// # Errors
    /// [`NeuralError::NotWeights`], [`NeuralError::Description`], [`NeuralError::MissingTensor`],
    /// [`NeuralError::TensorShape`], [`NeuralError::NotFinite`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, NeuralError> {
        let file = Safetensors::parse(bytes.to_vec())?;
        let wrong = |reason: String| NeuralError::Description { field: THROUGH_PLANE.to_owned(), reason };
        let Some(described) = file.metadata().get(THROUGH_PLANE) else {
            return Err(wrong("is not in its metadata; it is no through-plane network".to_owned()));
        };
        let config: ThroughPlaneConfig = serde_json::from_str(described).map_err(|e| wrong(e.to_string()))?;
        if !config.is_possible() {
            return Err(wrong("has a size that no such network has".to_owned()));
        }
        let tensors = file.weights(&config.tensors())?.into_iter().collect();
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
        let config = ThroughPlaneConfig { channels: 4, blocks: 2, fold: 2, fusion: None };
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
