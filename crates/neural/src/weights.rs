//! Weights from bytes: safetensors, and PyTorch's checkpoints read as data.
//!
//! A checkpoint (`torch.save` since PyTorch 1.6) is a zip archive of one pickle and the numbers of its tensors. A pickle is a
//! program that may call anything; here it is only *read*: a fixed list of constructors makes data, harmless names become
//! opaque nodes, and a file that asks for any other call is refused. Nothing is ever called.
//!
//! Every size is checked before memory is taken, so a hostile file gives an error and no more.

mod archive;
mod numpy;
mod pickle;
mod tensor;
mod tree;

use std::collections::HashMap;

use candle_core::{DType, Device, Tensor};
use candle_nn::VarBuilder;

use self::archive::Archive;
use self::tree::Tree;
pub use self::tree::{Kind, Node};
use crate::NeuralError;

/// Tensors of `f32` by their names in PyTorch.
pub type Tensors = HashMap<String, Tensor>;

/// A PyTorch checkpoint that has been read, but whose tensors have not been made yet.
#[derive(Debug)]
pub struct Checkpoint<'a> {
    archive: Archive<'a>,
    tree: Tree,
}

impl<'a> Checkpoint<'a> {
    /// Reads the pickle of a checkpoint.
    ///
    /// # Errors
    /// [`NeuralError::NotWeights`] if the bytes are no such archive, are damaged, or ask for more than data.
    pub fn read(bytes: &'a [u8]) -> Result<Self, NeuralError> {
        let archive = Archive::read(bytes)?;
        let tree = pickle::read(archive.pickle())?;
        Ok(Self { archive, tree })
    }

    /// What was saved: most often a dictionary.
    pub fn root(&self) -> Node<'_> {
        self.tree.root()
    }

    /// The tensors of a state dictionary, such as `root().get("network_weights")`, as `f32`.
    ///
    /// The prefixes `module.` and `_orig_mod.`, which `DistributedDataParallel` and `torch.compile` put before names, are taken
    /// off. Names that share their numbers share one tensor.
    ///
    /// # Errors
    /// [`NeuralError::NotWeights`] if the node is no dictionary of tensors, or one reaches beyond its storage.
    pub fn tensors(&self, state: Node<'_>) -> Result<Tensors, NeuralError> {
        tensor::of_state(&self.archive, state)
    }
}

/// Tensors of a safetensors file, as `f32`, and its metadata.
///
/// # Errors
/// [`NeuralError::NotWeights`] if the bytes are not such a file.
pub fn read_safetensors(bytes: &[u8]) -> Result<(Tensors, serde_json::Map<String, serde_json::Value>), NeuralError> {
    let not = |reason: String| NeuralError::NotWeights { format: "safetensors", reason };
    let tensors = candle_core::safetensors::load_buffer(bytes, &Device::Cpu).map_err(|e| not(e.to_string()))?;
    let mut single = Tensors::with_capacity(tensors.len());
    #[expect(clippy::iter_over_hash_type, reason = "it goes from one map into another")]
    for (name, tensor) in tensors {
        single.insert(name, tensor.to_dtype(DType::F32)?);
    }
    // The header: its length as eight bytes, then JSON.
    let header = bytes.split_first_chunk::<8>().and_then(|(length, rest)| {
        let length = usize::try_from(u64::from_le_bytes(*length)).ok()?;
        serde_json::from_slice::<serde_json::Map<_, _>>(rest.get(..length)?).ok()
    });
    let mut header = header.ok_or_else(|| not("the header is no JSON".into()))?;
    let metadata = match header.remove("__metadata__") {
        Some(serde_json::Value::Object(metadata)) => metadata,
        _ => serde_json::Map::new(),
    };
    Ok((single, metadata))
}

/// A builder that hands out these tensors.
pub fn var_builder(tensors: Tensors) -> VarBuilder<'static> {
    VarBuilder::from_tensors(tensors, DType::F32, &Device::Cpu)
}

/// Why bytes are no checkpoint.
fn not_a_checkpoint(reason: impl Into<String>) -> NeuralError {
    NeuralError::NotWeights { format: "PyTorch checkpoint", reason: reason.into() }
}

#[cfg(test)]
mod tests;
