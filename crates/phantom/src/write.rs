//! The phantom as DICOM files.

use std::fmt;
use std::path::{Path, PathBuf};

use dicom::{
    CtOptions, InventedPatient, MrOptions, PetOptions, SeriesOptions, SeriesReference, write_ct_series,
    write_mr_series, write_pet_series, write_segmentation,
};
use glam::{DAffine3, DMat4};
use serde::Serialize;
use volume::{ScanVolume, Volume};

use crate::body::Motion;
use crate::error::PhantomError;
use crate::findings::Finding;
use crate::imaging::{CtSettings, Modality, Weighting};
use crate::noise::scatter;
use crate::options::{PhantomOptions, Physique, Sex};
use crate::phase::Phase;
use crate::scan::{Image, Subject};
use crate::variants::Variant;

/// What was written.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PhantomSummary {
    /// The person's seed.
    pub seed: u64,
    /// Sex, age and size.
    pub physique: Physique,
    /// What runs otherwise than in most.
    pub variants: Vec<Variant>,
    /// As given on the command line.
    pub findings: Vec<String>,
    /// Days since the first examination.
    pub day: f32,
    /// When in breath and heartbeat.
    pub motion: Motion,
    /// As given on the command line.
    pub phase: &'static str,
    /// Columns, rows, slices of the first series.
    pub size: [usize; 3],
    /// Millimetres between its voxel centres.
    pub spacing_mm: [f64; 3],
    /// Structures that have voxels of their own in it.
    pub structures: usize,
    /// Where it is.
    pub series: PathBuf,
    /// Its truth.
    pub segmentation: PathBuf,
    /// All series, the first included.
    pub images: Vec<ImageSummary>,
    /// What tells how series are misregistered, if they are.
    pub truth: Option<PathBuf>,
}

/// One series that was written.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ImageSummary {
    /// What made it.
    pub modality: Modality,
    /// Columns, rows, slices.
    pub size: [usize; 3],
    /// Millimetres between voxel centres.
    pub spacing_mm: [f64; 3],
    /// Where it is.
    pub series: PathBuf,
    /// Its truth.
    pub segmentation: PathBuf,
    /// Where a point of the first series' anatomy lies in this one, LPS mm to LPS mm: a 4 × 4 matrix by rows.
    pub moved_from_reference: [[f64; 4]; 4],
}

impl fmt::Display for PhantomSummary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ([i, j, k], [x, y, z]) = (self.size, self.spacing_mm);
        let Physique { sex, age_years, height_cm, weight_kg } = self.physique;
        let sex = if sex == Sex::Female { "woman" } else { "man" };
        write!(
            f,
            "phantom {}, a {sex} of {age_years} years, {height_cm} cm and {weight_kg} kg: {i}×{j}×{k} voxels of {x}×{y}×{z} mm, \
             {} structures, in {}",
            self.seed,
            self.structures,
            self.series.display()
        )?;
        for other in self.images.iter().skip(1) {
            write!(f, "; {} in {}", other.modality.name(), other.series.display())?;
        }
        match &self.truth {
            Some(truth) => write!(f, "; all but the first are misregistered as {} tells", truth.display()),
            None => Ok(()),
        }
    }
}

/// The year of `dicom`'s invented examination, on 29 February.
const SCAN_YEAR: i32 = 2020;

/// File name of the truth, beside the slices.
const SEGMENTATION: &str = "SEG0001.dcm";

/// File name of the transforms, beside the series' folders.
const TRUTH: &str = "truth.json";

/// Tube current and time of a reference dose, in mAs.
const REFERENCE_MAS: f64 = 150.0;

/// Writes the series that the options want, each with its truth as DICOM SEG, into `dir`, which is made if absent; `progress` gets
/// the share done.
///
/// One series lies in `dir` itself, several in folders named by [`Modality::name`]; they share patient, study and frame of reference.
/// If some are misregistered, `truth.json` says how. The patient is called `Vestibule^Phantom` and has the ID `PHANTOM-<seed>`.
///
/// # Errors
/// As [`crate::body()`]; [`PhantomError::NotEmpty`] for a folder in use, [`PhantomError::NoModality`] if no image is wanted,
/// [`PhantomError::Dicom`] or [`PhantomError::Write`] if a file cannot be written.
pub fn write_phantom(
    dir: &Path,
    options: &PhantomOptions,
    progress: &(dyn Fn(f32) + Sync),
) -> Result<PhantomSummary, PhantomError> {
    if dir.read_dir().is_ok_and(|mut entries| entries.next().is_some()) {
        return Err(PhantomError::NotEmpty { path: dir.to_owned() });
    }
    let mut modalities = options.imaging.modalities.clone();
    let mut n = 0;
    modalities.retain(|m| {
        n += 1;
        !options.imaging.modalities[..n - 1].contains(m)
    });
    let subject = Subject::new(options)?;
    let mut images = Vec::new();
    let mut first = None;
    for (n, &modality) in modalities.iter().enumerate() {
        let step = |done: f32| progress((n as f32 + done) / modalities.len() as f32);
        let image = subject.image(options, modality, &|done| step(done * 0.7))?;
        let series_dir = if modalities.len() == 1 { dir.to_owned() } else { dir.join(modality.name()) };
        let series = write_series(&series_dir, options, &image)?;
        step(0.85);
        let segmentation = series_dir.join(SEGMENTATION);
        write_segmentation(&segmentation, &image.labels, &series)?;
        step(1.0);
        let (geometry, structures) = (image.labels.geometry(), image.labels.counts().len());
        let summary = ImageSummary {
            modality,
            size: geometry.size(),
            spacing_mm: geometry.spacing(),
            series: series_dir,
            segmentation,
            moved_from_reference: rows_of(image.moved_from_reference),
        };
        first.get_or_insert_with(|| (summary.clone(), structures));
        images.push(summary);
    }
    let Some((first, structures)) = first else { return Err(PhantomError::NoModality) };
    let truth = if options.imaging.misregistered.is_some() { Some(write_truth(dir, options, &images)?) } else { None };
    Ok(PhantomSummary {
        seed: options.seed,
        physique: options.physique,
        variants: options.variants.clone(),
        day: options.day,
        motion: options.motion,
        findings: options.findings.iter().map(Finding::to_string).collect(),
        phase: options.phase.name(),
        size: first.size,
        spacing_mm: first.spacing_mm,
        structures,
        series: first.series,
        segmentation: first.segmentation,
        images,
        truth,
    })
}

/// A 4 × 4 matrix by rows.
fn rows_of(transform: DAffine3) -> [[f64; 4]; 4] {
    DMat4::from(transform).transpose().to_cols_array_2d()
}

/// Tells how series are misregistered.
fn write_truth(dir: &Path, options: &PhantomOptions, images: &[ImageSummary]) -> Result<PathBuf, PhantomError> {
    let path = dir.join(TRUTH);
    let moved: Vec<_> = images
        .iter()
        .map(|i| serde_json::json!({ "modality": i.modality, "moved_from_reference": i.moved_from_reference }))
        .collect();
    let truth = serde_json::json!({
        "schema": "vestibule.phantom-truth/1",
        "reference": images.first().map(|i| i.modality),
        "misregistered": options.imaging.misregistered,
        "frame": "LPS mm; moved_from_reference is a 4 × 4 matrix by rows that takes a point of the reference's anatomy to this series",
        "series": moved,
    });
    std::fs::write(&path, format!("{truth:#}\n"))
        .map_err(|source| PhantomError::Write { source, path: path.clone() })?;
    Ok(path)
}

/// A number for all that may make voxels differ from those of the seed's usual body; 0 for that.
fn variant(options: &PhantomOptions) -> u64 {
    let mut made = options.clone();
    if made.imaging.misregistered.is_none() {
        made.imaging.modalities = vec![Modality::Ct];
    }
    if made == (PhantomOptions { seed: options.seed, ..Default::default() }) {
        return 0;
    }
    format!("{made:?}").bytes().fold(scatter(1), |key, byte| scatter(key ^ u64::from(byte)))
}

fn patient(options: &PhantomOptions) -> InventedPatient {
    InventedPatient {
        name: "Vestibule^Phantom".to_owned(),
        id: format!("PHANTOM-{}", options.seed),
        birth_date: format!("{}0401", SCAN_YEAR - options.physique.age_years as i32 - 1),
        sex: options.physique.sex.code().to_owned(),
        accession: format!("VP{:08}", options.seed % 100_000_000),
    }
}

/// PS3.16 Annex L knows no torso; CHESTABDPELVIS is its term for all three.
const BODY_PART: &str = "CHESTABDPELVIS";
const STUDY: &str = "Digital phantom";

fn write_series(dir: &Path, options: &PhantomOptions, image: &Image) -> Result<SeriesReference, PhantomError> {
    let patient = patient(options);
    let spacing = image.labels.geometry().spacing();
    let named = |series: &str, series_number: u32, window: (f32, f32)| SeriesOptions {
        seed: options.seed,
        variant: variant(options),
        day: options.day as u32,
        study: STUDY.to_owned(),
        series: series.to_owned(),
        series_number,
        body_part: BODY_PART.to_owned(),
        window,
        slice_thickness_mm: Some(spacing[2]),
    };
    let written = match (image.modality, &image.voxels) {
        (Modality::MrT1, ScanVolume::I16(voxels)) => {
            let common = named("Torso, T1 SE", 3, (450.0, 1000.0));
            write_mr_series(dir, voxels, &patient, &mr_options(options, Weighting::T1, common))
        }
        (Modality::MrT2, ScanVolume::I16(voxels)) => {
            let common = named("Torso, T2 TSE", 4, (450.0, 1000.0));
            write_mr_series(dir, voxels, &patient, &mr_options(options, Weighting::T2, common))
        }
        (_, ScanVolume::I16(hounsfield)) => {
            write_ct_series(dir, hounsfield, &patient, &ct_options(options, spacing[2]))
        }
        (_, ScanVolume::F32(suv)) => {
            let weight_kg = f64::from(options.physique.weight_kg);
            let mut pet = PetOptions {
                common: named("Torso, FDG PET", 5, (0.0, 1.0)),
                dose_bq: (options.imaging.pet.bq_per_kg * weight_kg).round(),
                weight_kg,
                height_m: f64::from(options.physique.height_cm) / 100.0,
            };
            let scale = pet.bq_ml_of_suv() as f32;
            // Up to a standardised uptake value of 7, as readers like it.
            pet.common.window = ((3.5 * scale).round(), (7.0 * scale).round());
            let activity: Vec<f32> = suv.data().iter().map(|v| v * scale).collect();
            write_pet_series(dir, &Volume::new(*suv.geometry(), activity)?, &patient, &pet)
        }
    };
    Ok(written?)
}

fn ct_options(options: &PhantomOptions, slice_spacing_mm: f64) -> CtOptions {
    let settings = options.imaging.ct;
    let usual = CtSettings::default();
    CtOptions {
        seed: options.seed,
        variant: variant(options),
        day: options.day as u32,
        study: STUDY.to_owned(),
        series: options.phase.series().to_owned(),
        body_part: BODY_PART.to_owned(),
        contrast_agent: (options.phase != Phase::Native).then(|| "Simulated".to_owned()),
        slice_thickness_mm: settings.slice_thickness_mm.or(Some(slice_spacing_mm)),
        kernel: (settings.kernel != usual.kernel).then(|| settings.kernel.name().to_uppercase()),
        exposure_mas: (settings.dose != usual.dose).then(|| REFERENCE_MAS * f64::from(settings.dose)),
        gantry_tilt_deg: (settings.tilt_deg != 0.0).then_some(settings.tilt_deg),
        ..Default::default()
    }
}

fn mr_options(options: &PhantomOptions, weighting: Weighting, common: SeriesOptions) -> MrOptions {
    let echo_train = weighting.echo_train();
    MrOptions {
        common,
        sequence: if echo_train > 1 { format!("tse2d1_{echo_train}") } else { "se2d1".to_owned() },
        repetition_ms: f64::from(weighting.repetition_ms()),
        echo_ms: f64::from(weighting.echo_ms()),
        echo_train,
        field_t: f64::from(options.imaging.mr.field_t),
    }
}
