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
    #[error("no model `{wanted}`; there are: {known}; `vestibule models add` takes a folder, a zip, a file or a URL")]
    UnknownModel {
        /// What was asked for.
        wanted: String,
        /// All names.
        known: String,
    },
    /// A recipe that needs a model, and none fits.
    #[error(
        "recipe `{recipe}` needs a model for this scan and none is here; add one with `vestibule models add \
         FILE.safetensors` (a folder, a zip or a URL with --sha256 will do as well), or name one with --model"
    )]
    NoModel {
        /// What was asked for.
        recipe: String,
    },
    /// `--model` with something that uses none.
    #[error("{what} uses no model; leave --model or that out")]
    ModelUnused {
        /// A recipe, or labels.
        what: String,
    },
    /// A model that cannot be read or run.
    #[error("model `{name}`: {cause}")]
    Model {
        /// Which.
        name: String,
        /// Why.
        cause: Box<neural::NeuralError>,
    },
    /// A model that was made for something else.
    #[error("model `{model}` {does}; {remedy}, or name another; `vestibule models list` says what each does")]
    OtherTask {
        /// Which.
        model: String,
        /// What it does and does not.
        does: &'static str,
        /// What it is for.
        remedy: &'static str,
    },
    /// Nothing here makes slices thinner.
    #[error(
        "no model here makes slices thinner; add one with `vestibule models add FILE.safetensors` (a folder, a zip or a URL \
         with --sha256 will do as well)"
    )]
    NoUpsampler,
    /// A file of a model is not the one that its card tells of.
    #[error(
        "model `{model}`: its file {file} is not the one its card tells of: {found}; it was changed or is damaged, so it is \
         not used; add the model again with `vestibule models add SOURCE --replace`"
    )]
    ModelChanged {
        /// Which.
        model: String,
        /// Within its folder.
        file: String,
        /// What is there instead.
        found: String,
    },
    /// A model that was trained on other scans.
    #[error("model `{model}` does not fit this scan: {reason}; {remedy}")]
    ModelDoesNotFit {
        /// Which.
        model: String,
        /// Why not.
        reason: String,
        /// What to do.
        remedy: String,
    },
    /// A model of this name was added before.
    #[error("there is a model `{name}` already; give --replace to take its place: {}", path.display())]
    ModelExists {
        /// Its name.
        name: String,
        /// Where it lies.
        path: PathBuf,
    },
    /// What was given to `models add` is no model.
    #[error("no model here: {reason}: {}", path.display())]
    NoModelHere {
        /// What is wrong, or missing.
        reason: String,
        /// What was given.
        path: PathBuf,
    },
    /// Nowhere to put models.
    #[error("there is no place for models, as neither XDG_DATA_HOME nor HOME is set; set one of them")]
    NoUserFolder,
    /// `--sha256` that is none.
    #[error("--sha256 takes 64 hexadecimal digits; found `{found}`")]
    NoChecksum {
        /// What was given.
        found: String,
    },
    /// A URL without `--sha256`.
    #[error("a URL needs --sha256, so that what arrives is what you mean; its publisher tells the checksum: {url}")]
    UrlWithoutChecksum {
        /// What was given.
        url: String,
    },
    /// `--sha256` for a folder.
    #[error("--sha256 is the checksum of one file and this is a folder; leave it out: {}", path.display())]
    ChecksumOfFolder {
        /// What was given.
        path: PathBuf,
    },
    /// Not the bytes that were meant.
    #[error(
        "the checksum is {found}, not {wanted}, so it is not the file you mean; it was left out: {}", path.display()
    )]
    ChecksumDiffers {
        /// What was asked for.
        wanted: String,
        /// What the bytes have.
        found: String,
        /// The file.
        path: PathBuf,
    },
    /// A URL that cannot be fetched.
    #[error("it cannot be fetched: {reason}; check the address and the network, or fetch it by other means: {url}")]
    Download {
        /// What was given.
        url: String,
        /// What is wrong.
        reason: String,
    },
    /// Two label maps that cannot be compared.
    #[error(transparent)]
    Metrics(#[from] metrics::MetricsError),
    /// A file or folder could not be used.
    #[error("cannot {action} {}: {cause}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// What the system says.
        cause: std::io::Error,
        /// Where.
        path: PathBuf,
    },
    /// A result in the place of what is read, of another result, or of somebody's work.
    #[error("the result would take the place of what is read, or of another file that is not ours; name another: {}", path.display())]
    WouldReplace {
        /// Where it would go.
        path: PathBuf,
    },
    /// Two programs at work on one folder.
    #[error("another training is at work there; wait for it, or name another folder: {}", path.display())]
    Busy {
        /// The folder.
        path: PathBuf,
    },
    /// A training that cannot be taken up again.
    #[error("it cannot be gone on with: {cause}; put back a copy of the file, or begin anew in another folder: {}", path.display())]
    Checkpoint {
        /// Why.
        cause: Box<neural::NeuralError>,
        /// Where the training was left.
        path: PathBuf,
    },
    /// A folder that is no training's.
    #[error("{what} lies there, and no training that could go on; name another folder: {}", path.display())]
    NoTraining {
        /// What it holds.
        what: &'static str,
        /// The folder.
        path: PathBuf,
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
    /// A recipe of training that cannot be used.
    #[error("the training recipe cannot be used: {reason}: {}", path.display())]
    TrainRecipe {
        /// What is wrong.
        reason: String,
        /// The recipe.
        path: PathBuf,
    },
    /// A model whose temperature cannot be fitted.
    #[error("the model cannot be calibrated: {reason}: {}", path.display())]
    Calibrate {
        /// What is wrong, and what to do.
        reason: String,
        /// Its card.
        path: PathBuf,
    },
    /// A file of confidence that is none.
    #[error("confidence is in whole percent from 0 to 100, and {} where no model spoke; found {found}: {}", case::NO_MODEL, path.display())]
    NoConfidence {
        /// A value in it.
        found: f32,
        /// The file.
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
}
