//! What can go wrong between a scan and a case.

use std::path::PathBuf;

use thiserror::Error;

/// Why a scan could not be inspected or built; says what, where and what to do.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum PipelineError {
    /// There is nothing at this path.
    #[error("nothing there; check the path: {}", path.display())]
    NotFound {
        /// What was asked for.
        path: PathBuf,
    },
    /// DICOM could not be read.
    #[error(transparent)]
    Dicom(#[from] dicom::DicomError),
    /// NIfTI or NRRD could not be read.
    #[error(transparent)]
    Format(#[from] volume::formats::FormatError),
    /// Voxels and grid disagree.
    #[error(transparent)]
    Volume(#[from] volume::VolumeError),
    /// Surfaces could not be made.
    #[error(transparent)]
    Surface(#[from] surface::SurfaceError),
    /// The case could not be written.
    #[error(transparent)]
    Case(#[from] case::CaseError),
    /// The scan is there, but no series of it is a volume.
    #[error("no series here is a volume: {reasons}: {}", path.display())]
    NoVolume {
        /// Why each is not, or that there is none.
        reasons: String,
        /// The scan.
        path: PathBuf,
    },
    /// `--series` for a file that has none.
    #[error("--series chooses among DICOM series, and this file holds one volume; leave it out")]
    SeriesWithoutDicom,
    /// `--recipe` names none.
    #[error("no recipe `{wanted}`; there are {known}")]
    UnknownRecipe {
        /// What was asked for.
        wanted: String,
        /// All names.
        known: String,
    },
    /// The recipe cannot work on this scan.
    #[error("recipe `{recipe}` does not fit: {reason}; {remedy}")]
    RecipeDoesNotFit {
        /// What was asked for.
        recipe: String,
        /// Why not.
        reason: String,
        /// What to do.
        remedy: String,
    },
    /// No recipe fits the scan.
    #[error("no recipe fits {what}; give labels with --labels FILE, or choose a recipe with --recipe NAME: {known}")]
    NoRecipe {
        /// What the scan is.
        what: String,
        /// All names.
        known: String,
    },
    /// `--labels` with a recipe that finds structures itself.
    #[error("--labels gives the structures, and recipe `{recipe}` finds its own; leave one of them out")]
    LabelsAndRecipe {
        /// What was asked for.
        recipe: String,
    },
    /// The labels and the scan lie in different places.
    #[error(
        "no label lies inside the scan, so they are not of the same patient, or one of them says wrongly where it lies; \
         check both with `vestibule inspect`: {}",
        path.display()
    )]
    LabelsElsewhere {
        /// The labels.
        path: PathBuf,
    },
    /// A label file with nothing in it.
    #[error("the label map has no labelled voxel: {}", path.display())]
    NoLabels {
        /// The labels.
        path: PathBuf,
    },
    /// The recipe found nothing.
    #[error("recipe `{recipe}` found nothing in this scan; {remedy}")]
    NothingFound {
        /// What ran.
        recipe: String,
        /// What to do.
        remedy: String,
    },
    /// `--model` names none that is there.
    #[error("no model `{wanted}`; this version has none that `build` could use, so leave --model out")]
    UnknownModel {
        /// What was asked for.
        wanted: String,
    },
    /// Thin slices of a label map would be made-up labels.
    #[error("this is a label map, and only grey values can be made finer; give the scan it belongs to: {}", path.display())]
    LabelsAreNoScan {
        /// What was given.
        path: PathBuf,
    },
    /// A name that would be written as something else.
    #[error("the result is written as NIfTI; let its name end in .nii.gz or .nii: {}", path.display())]
    NotNifti {
        /// What was given.
        path: PathBuf,
    },
    /// The alias would give the patient away.
    #[error("the alias is, or holds, a part of the patient's identity; choose one that nobody can trace")]
    AliasIsIdentity,
    /// A network could not be made, read, run or trained.
    #[error(transparent)]
    Neural(#[from] neural::NeuralError),
    /// Two label maps could not be compared.
    #[error(transparent)]
    Metrics(#[from] metrics::MetricsError),
    /// A recipe of training that cannot be used.
    #[error("the training recipe cannot be used: {reason}: {}", path.display())]
    TrainRecipe {
        /// What is wrong.
        reason: String,
        /// The recipe.
        path: PathBuf,
    },
    /// A data set that nothing can be learned from.
    #[error("the data set cannot be used: {reason}: {}", path.display())]
    DataSet {
        /// What is wrong.
        reason: String,
        /// The file or folder.
        path: PathBuf,
    },
    /// A file or folder could not be read or written.
    #[error("{source}: {}", path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}
