//! Recipes from a scan to a case, with progress, cache and report.
//!
//! [`inspect`] says what is in a scan and which recipes fit; [`build`] reads it, finds structures, makes their surfaces
//! and writes the case folder. [`upsample()`] makes thin slices from thick ones. Identity never gets here: `dicom` keeps it.
//!
//! | recipe | finds |
//! |---|---|
//! | `ct-basic` | body, skeleton, lungs, airways, fat, soft tissue, and vessels where contrast fills them, by density |
//! | `ct-fine` | the same in a scan whose slices a trained model made thinner |
//! | `mr-head` | the surface of a head, by intensity |
//! | `mr-brain` | structures of the brain and the surface of the head, by a trained model |
//! | `ct-organs` | organs and the surface of the body, by a trained model |
//! | `labels` | what a label map or DICOM SEG holds |

mod build;
mod cache;
mod error;
mod evaluate;
mod input;
mod inspect;
mod leftovers;
mod mask;
mod memory;
mod models;
mod plot;
mod progress;
mod recipe;
mod segment;
mod source;
mod summary;
mod target;
mod train;
mod upsample;

pub use build::{BuildRequest, build};
pub use error::PipelineError;
pub use evaluate::{CalibratedVoxels, EvaluateRequest, EvaluatedConfidence, EvaluatedStructure, Evaluation, evaluate};
pub use inspect::{
    FittingRecipe, InspectedGeometry, InspectedSegmentation, InspectedSeries, Inspection, Skipped, inspect,
};
pub use memory::keep_freed_memory;
pub use models::{AddRequest, AddedModel, EmbeddedModel, ListedModel, ModelEntry, Models, UsedModel, VerifiedModel};
pub use plot::{Curve, curves};
pub use progress::{Progress, Silent, StageTime};
pub use recipe::{CT_BASIC, CT_FINE, CT_ORGANS, LABELS, MR_BRAIN, MR_HEAD, RECIPES, Recipe};
pub use segment::{FoundStructure, SegmentRequest, SegmentSummary, segment};
pub use summary::{BuildSummary, BuiltSegment};
pub use train::{
    CalibrationScore, CalibrationSummary, CaseScore, ClassScore, DataRecipe, DrawnRecipe, HeldBack, NetworkRecipe,
    PhantomRecipe, Split, TrainRecipe, TrainRequest, TrainSummary, TrainedClass, calibrate, train,
};
pub use upsample::{UpsampleRequest, UpsampleSummary, upsample};
