//! What can go wrong with a network.

use thiserror::Error;

/// Why a network could not be made, read, run or trained. Files are the caller's, so their paths are its to add.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum NeuralError {
    /// The bytes are no weights of a known format.
    #[error("these are no {format} weights: {reason}; fetch the file again and compare its checksum")]
    NotWeights {
        /// `safetensors`, `checkpoint`, …
        format: &'static str,
        /// What is wrong with them.
        reason: String,
    },

    /// The network needs a tensor that the weights lack.
    #[error("the weights lack the tensor `{name}`; they belong to another network or are not whole")]
    MissingTensor {
        /// As in PyTorch.
        name: String,
    },

    /// The weights hold a tensor that the network has not.
    #[error(
        "the weights hold the tensor `{name}`, which the network's description has not; they belong to another network"
    )]
    OtherTensor {
        /// Its name in the file.
        name: String,
    },
    /// A tensor has another shape than the network's description says.
    #[error("the tensor `{name}` is {found:?}, but the network's description asks for {expected:?}")]
    TensorShape {
        /// As in PyTorch.
        name: String,
        /// By the description.
        expected: Vec<usize>,
        /// In the weights.
        found: Vec<usize>,
    },

    /// The weights hold a value that is no number.
    #[error("the tensor `{name}` holds values that are not finite; fetch the weights again")]
    NotFinite {
        /// As in PyTorch.
        name: String,
    },

    /// A description of a network that is incomplete, contradictory, or of a kind that is not known here.
    #[error("the network's description cannot be used: `{field}` {reason}")]
    Description {
        /// Where: a key of metadata, plans or card.
        field: String,
        /// What is wrong, as the rest of a sentence.
        reason: String,
    },

    /// A model card that cannot be used.
    #[error("the model card cannot be used: {reason}")]
    Card {
        /// What is wrong.
        reason: String,
    },

    /// A scan that this network cannot take.
    #[error("the scan does not suit the network: {reason}; {remedy}")]
    Input {
        /// What is wrong.
        reason: String,
        /// What to do.
        remedy: String,
    },

    /// Training went where no number is.
    #[error("the loss is no longer a number at step {step}; lower the learning rate or look at the training data")]
    Diverged {
        /// Of the optimiser.
        step: usize,
    },

    /// The caller asked to stop.
    #[error("stopped")]
    Stopped,

    /// A grid that cannot be.
    #[error(transparent)]
    Geometry(#[from] volume::GeometryError),

    /// Voxels that do not fill their grid.
    #[error(transparent)]
    Volume(#[from] volume::VolumeError),

    /// A tensor operation failed.
    #[error("a network could not be run: {0}")]
    Candle(#[from] candle_core::Error),
}
