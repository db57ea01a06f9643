//! Weights from PyTorch's checkpoints, read as data; those in safetensors are `safetensors`'s.
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
