//! Thin slices from thick ones, as a file.

use std::fmt;
use std::path::{Path, PathBuf};

use case::Unfinished;
use neural::NeuralError;
use neural::card::{ANY, ScanFacts, Task};
use neural::model::through_plane;
use neural::super_resolution::{self, UpsampleOptions, Upsampled, fine_tune, grid_of, layout_of, slice_axis};
use serde::Serialize;
use volume::{ImageGeometry, LabelMap, ScanVolume, Volume};

use crate::build::BuildRequest;
use crate::cache::{self, Cache};
use crate::error::PipelineError;
use crate::input::{Input, read_input};
use crate::leftovers;
use crate::models::{ModelEntry, Models, UsedModel};
use crate::progress::{Progress, StageTime, Stages};
use crate::target;

/// Steps by which a model is taught on the scan itself where scans differ too much for one that was trained before.
const OWN_STEPS: usize = 4300;

/// The modality whose grey values depend on the sequence, so that no scan looks like another.
const VARIED: &str = "MR";

/// Planes with fewer voxels along a side have nothing to teach.
const LEAST_PLANE: usize = 64;

/// What a finer scan is called in the key of the cache.
const KEPT: &str = "upsample";

/// Prefix of the folder that both files are made in.
const PREFIX: &str = ".upsample-";

/// What to make finer.
#[derive(Clone, Debug, Default, PartialEq)]
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
    /// Name of a model; the one that fits the scan best if absent.
    pub model: Option<String>,
    /// Where models are looked for.
    pub models: Models,
    /// Steps by which the model is first taught on the scan's own sharp planes; if absent, some for MR and for scans of another kind
    /// than the model was trained on, else none.
    pub fine_tune_steps: Option<usize>,
    /// Take the mean over mirror images of the planes ([`UpsampleOptions::flips`]); if absent, where the model is taught on the scan.
    pub flips: Option<bool>,
    /// Neither read nor write the cache.
    pub no_cache: bool,
}

/// What was made.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct UpsampleSummary {
    /// The finer scan.
    pub scan: PathBuf,
    /// The mask, 1 where a voxel was not measured.
    pub inferred: PathBuf,
    /// The model.
    pub model: UsedModel,
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
    /// Whether mirror images were looked at as well.
    pub flips: bool,
    /// Whether the same was made before and is taken from the cache.
    pub cached: bool,
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
        let cached = if self.cached { ", from the cache" } else { "" };
        writeln!(f, "{} in {:.1} s{cached}", self.scan.display(), self.total_s)?;
        writeln!(f, "  {i} × {j} × {k} voxels of {x:.3} × {y:.3} × {z:.3} mm")?;
        let UsedModel { name, version, sha256 } = &self.model;
        writeln!(f, "  model {name} {version}, SHA-256 {sha256}")?;
        if self.fine_tune_steps > 0 {
            writeln!(f, "  taught on the scan itself in {} steps", self.fine_tune_steps)?;
        }
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
    let mask_path = request.out.with_file_name(format!("{stem}.inferred.nii.gz"));
    target::check_files(&[&request.out, &mask_path], &[&request.scan])?;
    if let Some(name) = &request.model {
        request.models.find_for(Task::SuperResolution, name)?;
    }
    if !request.scan.exists() {
        return Err(PipelineError::NotFound { path: request.scan.clone() });
    }
    let start = std::time::Instant::now();
    let mut stages = Stages::new(progress);
    let reading = BuildRequest {
        scan: request.scan.clone(),
        series: request.series.clone(),
        // So that labels beside the series are not taken.
        model: Some(request.model.clone().unwrap_or_default()),
        ..BuildRequest::default()
    };
    let input = stages.run("read", |tell| read_input(&reading, tell))?;
    if input.made_up {
        return Err(PipelineError::LabelsAreNoScan { path: request.scan.clone() });
    }
    let facts = input.look().facts();
    let upsampler = Upsampler::choose(&request.models, request.model.as_deref(), request.fine_tune_steps, &facts)?;
    let apart = input.scan.geometry().max_spacing_mm();
    let axis = slice_axis(input.scan.geometry());
    let options = UpsampleOptions {
        spacing_mm: request.spacing_mm,
        thickness: request.thickness_mm.map_or(1.0, |thick| thick / apart),
        missing: input.missing_along(axis),
        flips: request.flips.unwrap_or(upsampler.steps > 0),
        ..UpsampleOptions::default()
    };
    let cache = if request.no_cache { None } else { Cache::of_user() };
    let key = cache.as_ref().map(|_| upsampler.key(&input.scan, &options, &[KEPT]));
    let kept = cache.as_ref().zip(key.as_deref()).and_then(|(cache, key)| {
        // A model whose bytes changed is not believed.
        upsampler.entry.files().ok()?;
        let grid = grid_of(input.scan.geometry(), &options).ok()?;
        let kept = (cache.load_scan(key, &grid)?, cache.load_number(&mismatch_of(key))?);
        Upsampled::kept(kept, input.scan.geometry(), &options).ok()
    });
    let cached = kept.is_some();
    let made = match kept {
        Some(made) => made,
        None => {
            let made = upsampler.run(&input, &options, &mut stages)?;
            if let (Some(cache), Some(key)) = (&cache, &key) {
                cache.store_number(&mismatch_of(key), made.mismatch);
                cache.store_scan(key, &made.scan);
            }
            made
        }
    };
    let mut mask = made.inferred_mask();
    if made.axis != 2 {
        // A gap across the axis that was made finer is no more measured than before.
        let size = mask.geometry().size();
        let slices = mask.data_mut().chunks_exact_mut(size[0] * size[1]).enumerate();
        slices.filter(|(k, _)| input.missing.contains(k)).for_each(|(_, slice)| slice.fill(1));
    }
    stages.run("write", |tell| write((&request.out, &made.scan), (&mask_path, &mask), tell))?;
    let inferred = mask.data().iter().map(|&m| usize::from(m)).sum::<usize>();
    let geometry = *made.scan.geometry();
    Ok(UpsampleSummary {
        scan: request.out.clone(),
        inferred: mask_path,
        model: upsampler.entry.used(),
        size: geometry.size(),
        spacing_mm: geometry.spacing(),
        factor: made.layout.factor,
        inferred_percent: 100.0 * inferred as f64 / mask.data().len() as f64,
        mismatch: made.mismatch,
        fine_tune_steps: upsampler.steps,
        flips: options.flips,
        cached,
        stages: stages.times,
        total_s: start.elapsed().as_secs_f64(),
        notes: upsampler.notes.into_iter().chain(notes(&input, geometry.spacing(), made.axis)).collect(),
        filled_slices: input.missing,
    })
}

/// A model that makes slices thinner, and what is done with it.
#[derive(Debug)]
pub(crate) struct Upsampler {
    pub(crate) entry: ModelEntry,
    /// Of teaching on the scan itself.
    pub(crate) steps: usize,
    /// What its user should know.
    pub(crate) notes: Vec<String>,
}

impl Upsampler {
    /// The model named, else the one that fits best. For MR, and if it was trained on another kind of scan, it is first taught on
    /// this one, unless `steps` says otherwise.
    ///
    /// # Errors
    /// [`PipelineError::UnknownModel`], [`PipelineError::OtherTask`], [`PipelineError::NoUpsampler`].
    pub(crate) fn choose(
        models: &Models,
        name: Option<&str>,
        steps: Option<usize>,
        scan: &ScanFacts<'_>,
    ) -> Result<Self, PipelineError> {
        let entry = match name {
            Some(name) => models.find_for(Task::SuperResolution, name)?,
            None => models.best_upsampler(scan.modality).ok_or(PipelineError::NoUpsampler)?,
        };
        let card = &entry.card;
        let mut notes = Vec::new();
        let foreign = ![scan.modality, ANY].contains(&card.input.modality.as_str());
        let small = plane(scan.geometry).into_iter().any(|n| n < LEAST_PLANE);
        let default = if (foreign || scan.modality == VARIED) && !small { OWN_STEPS } else { 0 };
        let taken = steps.unwrap_or(default);
        let what = match (taken, steps) {
            (0, _) if small => "its slices are too small to teach it".to_owned(),
            (0, _) => format!("--fine-tune {OWN_STEPS} would teach it on the scan itself first"),
            (n, None) => format!("it was taught on the scan itself in {n} steps first; --fine-tune 0 leaves that out"),
            (n, Some(_)) => format!("it was taught on the scan itself in {n} steps first"),
        };
        let (name, own, found) = (&card.name, &card.input.modality, scan.modality);
        if foreign {
            let kind = if scan.modality_is_guess { "looks like" } else { "is" };
            notes.push(format!("model {name} was trained on {own} and this scan {kind} {found}; {what}"));
        } else if default > 0 {
            notes.push(format!(
                "{found} differs from sequence to sequence, and model {name} has seen a few only; {what}"
            ));
        }
        if card.experimental {
            notes.push(format!("model {} is marked experimental; look closely at what it made", card.name));
        }
        Ok(Self { entry, steps: taken, notes })
    }

    /// Of the cache: digest of all that [`Upsampler::run`] makes depends on; `more` tells what is made of that.
    pub(crate) fn key(&self, scan: &ScanVolume, options: &UpsampleOptions, more: &[&str]) -> String {
        let (digest, how) = (self.entry.digest(), format!("{options:?} {}", self.steps));
        cache::key(scan, &[more, &[super_resolution::VERSION, &digest, &how]].concat())
    }

    /// Teaches and runs it.
    ///
    /// # Errors
    /// [`PipelineError::ModelChanged`]; [`PipelineError::Model`] if the scan has nothing to make finer or to learn from.
    pub(crate) fn run(
        &self,
        input: &Input,
        options: &UpsampleOptions,
        stages: &mut Stages<'_>,
    ) -> Result<Upsampled, PipelineError> {
        let name = &self.entry.card.name;
        let failed = |source: NeuralError| PipelineError::Model { name: name.clone(), cause: Box::new(source) };
        let mut weights = through_plane(&self.entry.card, self.entry.files()?).map_err(failed)?;
        if self.steps > 0 {
            let layout = layout_of(input.scan.geometry(), options)?;
            let taught = |tell: &(dyn Fn(f32) + Sync)| {
                fine_tune(&weights, &input.scan, &layout, &options.missing, self.steps, tell)
            };
            weights = stages.run("fine-tune", taught).map_err(failed)?;
        }
        let network = weights.network().map_err(failed)?;
        stages
            .run("upsample", |tell| super_resolution::upsample(&input.scan, Some(&network), options, tell))
            .map_err(failed)
    }
}

/// The entry of the cache for the mismatch that belongs to another.
pub(crate) fn mismatch_of(key: &str) -> String {
    format!("{key}-mismatch")
}

/// Voxels of a slice along its sides.
fn plane(geometry: &ImageGeometry) -> [usize; 2] {
    let axis = slice_axis(geometry);
    [(axis + 1) % 3, (axis + 2) % 3].map(|a| geometry.size()[a])
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
fn write(
    (out, scan): (&Path, &ScanVolume),
    (mask, inferred): (&Path, &Volume<u8>),
    tell: &(dyn Fn(f32) + Sync),
) -> Result<(), PipelineError> {
    let parent = target::folder(out);
    leftovers::clear(parent, PREFIX);
    let folder = tempfile::Builder::new().prefix(PREFIX).tempdir_in(parent).map_err(io(parent))?;
    let _lock = leftovers::hold(folder.path());
    let _unfinished = Unfinished::at(folder.path());
    let places = [out, mask].map(|place| (folder.path().join(place.file_name().unwrap_or_default()), place));
    volume::nifti::write_scan(scan, &places[0].0).map_err(volume::formats::FormatError::from)?;
    tell(0.8);
    let voxels = inferred.par_map(|&m| volume::Label::from(m));
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
