//! Thin slices from thick ones: through-plane super-resolution that learns from a scan's own sharp planes.
//!
//! A scan with thick slices is sharp within them and blurred across. Following SMORE (Zhao et al., IEEE TMI 2021) and ECLARE
//! (Remedios et al., 2025), a network learns from the sharp planes, blurred along one of their axes as slices blur, to undo
//! that, and is then run on the planes that hold the slice axis, both ways, on top of a cubic B-spline. Back-projection
//! makes the averages over the old slices what was measured. What lies between them is made up by the network, however
//! plausible, and is marked so ([`Upsampled::inferred_mask`]).

mod banded;
mod fusion;
mod network;
mod pairs;
mod scan;
mod slices;
mod trainer;
mod upsample;
mod weights;

pub use fusion::FusionScan;
pub use network::{FusionConfig, PatchCritic, ThroughPlane, ThroughPlaneConfig};
pub use pairs::{Draw, PairOptions, Pairs, SharpScan};
pub use scan::slice_axis;
pub use slices::SliceLayout;
pub use trainer::{SharpenTrainer, SharpenTraining, fine_tune};
pub use upsample::{UpsampleOptions, Upsampled, average_down, grid_of, layout_of, upsample, upsample_onto};

/// Changes when the same weights may make other slices; part of the key of what is kept.
pub const VERSION: &str = "1";
pub use weights::{THROUGH_PLANE, ThroughPlaneWeights};
