//! Thin slices from thick ones, as a file.

use std::fmt;
use std::path::{Path, PathBuf};

use neural::NeuralError;
use neural::super_resolution::{
    PairOptions, SharpScan, SharpenTrainer, SharpenTraining, ThroughPlane, ThroughPlaneWeights, UpsampleOptions,
    Upsampled,
};
use serde::Serialize;
use volume::{LabelMap, ScanVolume};

use crate::build::BuildRequest;
use crate::error::PipelineError;
use crate::input::{Input, read_input};
use crate::progress::{Progress, StageTime, Stages};

/// Learning rate when weights are taught on the scan itself. Chosen below that of new weights; not tried
/// against others.
const FINE_TUNE_RATE: f64 = 3e-4;

/// What to make finer.
#[derive(Clone, Debug, PartialEq)]
pub struct UpsampleRequest {
    /// A folder or zip of DICOM files, one of them, NIfTI or NRRD.
    pub scan: PathBuf,
    /// `.nii.gz` or `.nii`; the mask of what was inferred comes beside it, as `.inferred.nii.gz`.
    pub out: PathBuf,
    /// UID or number of a DICOM series; the default one of `inspect` if absent.
    pub series: Option<String>,
    /// Distance of the new slices in mm; the nearest that divides the stack into whole slices is taken.
    pub spacing_mm: f64,
    /// Thickness of the scan's slices in mm; as thick as they lie apart if absent.
    pub thickness_mm: Option<f64>,
    /// Name of the model, for messages.
    pub model: String,
    /// Its weights: a file of [`ThroughPlaneWeights`].
    pub weights: Vec<u8>,
    /// Steps by which the weights are first taught on the scan's own sharp planes; 0 for none.
    pub fine_tune_steps: usize,
}

/// What was made.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct UpsampleSummary {
    /// The finer scan.
    pub scan: PathBuf,
    /// The mask, 1 where a voxel was not measured.
    pub inferred: PathBuf,
    /// The model.
    pub model: String,
    /// Voxels of the finer scan.
    pub size: [usize; 3],
    /// Their distances.
    pub spacing_mm: [f64; 3],
    /// New slices for one old.
    pub factor: f64,
    /// Slices of the old grid that were missing and are filled, from 0.
    pub filled_slices: Vec<usize>,
    /// Voxels that were not measured.
    pub inferred_percent: f64,
    /// Mean difference between what was measured and the new slices averaged, in the scan's unit.
    pub mismatch: f64,
    /// Steps of teaching on the scan itself.
    pub fine_tune_steps: usize,
    /// Wall times.
    pub stages: Vec<StageTime>,
    /// Of all.
    pub total_s: f64,
    /// What a reader should know.
    pub notes: Vec<String>,
}

impl fmt::Display for UpsampleSummary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ([i, j, k], [x, y, z]) = (self.size, self.spacing_mm);
        writeln!(f, "{} in {:.1} s", self.scan.display(), self.total_s)?;
        writeln!(f, "  {i} × {j} × {k} voxels of {x:.3} × {y:.3} × {z:.3} mm, model {}", self.model)?;
        write!(f, "  {:.1} % of voxels are inferred, marked in {}", self.inferred_percent, self.inferred.display())?;
        self.notes.iter().try_for_each(|note| write!(f, "\n  note: {note}"))
    }
}

/// Reads a scan, makes its slices thinner, fills its gaps, and writes the result and the mask of what was inferred.
///
/// Both files are written beside their places and renamed when whole.
///
/// # Errors
/// [`PipelineError`]; older files at `out` are then as they were.
pub fn upsample(request: &UpsampleRequest, progress: &dyn Progress) -> Result<UpsampleSummary, PipelineError> {
    let stem = stem(&request.out)?;
    let weights = ThroughPlaneWeights::from_bytes(&request.weights)?;
    if !request.scan.exists() {
        return Err(PipelineError::NotFound { path: request.scan.clone() });
    }
    let start = std::time::Instant::now();
    let mut stages = Stages::new(progress);
    let reading =
        BuildRequest { scan: request.scan.clone(), series: request.series.clone(), ..BuildRequest::default() };
    let input = stages.run("read", |tell| read_input(&reading, tell))?;
    if input.made_up {
        return Err(PipelineError::LabelsAreNoScan { path: request.scan.clone() });
    }
    let network = if request.fine_tune_steps > 0 {
        stages.run("fine-tune", |tell| fine_tune(&weights, &input.scan, request.fine_tune_steps, tell))
    } else {
        weights.network()
    };
    let network = network?;
    let made = stages.run("upsample", |tell| make(request, &network, &input, tell))?;
    let mask_path = request.out.with_file_name(format!("{stem}.inferred.nii.gz"));
    stages.run("write", |tell| write(&request.out, &mask_path, &made, tell))?;
    let inferred = made.inferred.iter().filter(|&&slice| slice).count();
    let geometry = *made.scan.geometry();
    Ok(UpsampleSummary {
        scan: request.out.clone(),
        inferred: mask_path,
        model: request.model.clone(),
        size: geometry.size(),
        spacing_mm: geometry.spacing(),
        factor: made.layout.factor,
        inferred_percent: 100.0 * inferred as f64 / made.inferred.len() as f64,
        mismatch: made.mismatch,
        fine_tune_steps: request.fine_tune_steps,
        stages: stages.times,
        total_s: start.elapsed().as_secs_f64(),
        notes: notes(&input, geometry.spacing(), made.axis),
        filled_slices: input.missing,
    })
}

fn make(
    request: &UpsampleRequest,
    network: &ThroughPlane,
    input: &Input,
    tell: &(dyn Fn(f32) + Sync),
) -> Result<Upsampled, NeuralError> {
    let apart = input.scan.geometry().max_spacing_mm();
    let options = UpsampleOptions {
        spacing_mm: request.spacing_mm,
        thickness: request.thickness_mm.map_or(1.0, |thick| thick / apart),
        missing: input.missing.clone(),
        ..UpsampleOptions::default()
    };
    neural::super_resolution::upsample(&input.scan, Some(network), &options, tell)
}

fn fine_tune(
    weights: &ThroughPlaneWeights,
    scan: &ScanVolume,
    steps: usize,
    tell: &(dyn Fn(f32) + Sync),
) -> Result<ThroughPlane, NeuralError> {
    let pairs = PairOptions { other_contrasts: false, ..PairOptions::default() };
    let training = SharpenTraining { steps, learning_rate: FINE_TUNE_RATE, pairs, ..SharpenTraining::default() };
    let mut trainer = SharpenTrainer::from_weights(weights, training)?;
    let planes = [SharpScan::new(scan)?];
    while trainer.step_count() < steps {
        trainer.step(&planes)?;
        tell(trainer.step_count() as f32 / steps as f32);
    }
    trainer.weights()?.network()
}

fn notes(input: &Input, spacing: [f64; 3], axis: usize) -> Vec<String> {
    let mut notes = input.notes.clone();
    let across = (0..3).filter(|&a| a != axis).map(|a| spacing[a]).fold(f64::MAX, f64::min);
    if spacing[axis] < 0.8 * across {
        notes.push(format!(
            "slices {:.2} mm apart are finer than the {across:.2} mm the scan has within them, from which the model knows \
             nothing",
            spacing[axis]
        ));
    }
    if !input.missing.is_empty() {
        let n = input.missing.len();
        let slices = if n == 1 { "slice was" } else { "slices were" };
        notes.push(format!("{n} missing {slices} filled; what lies there is made up"));
    }
    notes
}

/// The file's name without its ending.
fn stem(out: &Path) -> Result<String, PipelineError> {
    let name = out.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    let stem = [".nii.gz", ".nii"].iter().find_map(|ending| name.strip_suffix(ending)).filter(|s| !s.is_empty());
    stem.map(str::to_owned).ok_or_else(|| PipelineError::NotNifti { path: out.to_owned() })
}

/// Writes both into a folder beside their places first.
fn write(out: &Path, mask: &Path, made: &Upsampled, tell: &(dyn Fn(f32) + Sync)) -> Result<(), PipelineError> {
    let parent = out.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let folder = tempfile::Builder::new().prefix(".upsample-").tempdir_in(parent).map_err(io(parent))?;
    let places = [out, mask].map(|place| (folder.path().join(place.file_name().unwrap_or_default()), place));
    volume::nifti::write_scan(&made.scan, &places[0].0).map_err(volume::formats::FormatError::from)?;
    tell(0.8);
    let voxels = made.inferred_mask().par_map(|&m| volume::Label::from(m));
    let segments = [(1, volume::terminology::segment(1, "inferred"))].into();
    volume::nifti::write_labels(&LabelMap { voxels, segments }, &places[1].0)
        .map_err(volume::formats::FormatError::from)?;
    // The mask first: a finer scan never lies there without it.
    for (from, to) in places.iter().rev() {
        std::fs::rename(from, to).map_err(io(to))?;
    }
    Ok(())
}

fn io(path: &Path) -> impl FnOnce(std::io::Error) -> PipelineError {
    move |source| PipelineError::Io { action: "write", cause: source, path: path.to_owned() }
}
