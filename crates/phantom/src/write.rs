//! The phantom as DICOM files.

use std::fmt;
use std::path::{Path, PathBuf};

use dicom::{CtOptions, InventedPatient, write_ct_series, write_segmentation};
use serde::Serialize;

use crate::body::Motion;
use crate::error::PhantomError;
use crate::findings::Finding;
use crate::options::{PhantomOptions, Physique, Sex};
use crate::phase::Phase;
use crate::scan::body;
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
    /// Columns, rows, slices.
    pub size: [usize; 3],
    /// Millimetres between voxel centres.
    pub spacing_mm: [f64; 3],
    /// Structures that have voxels of their own.
    pub structures: usize,
    /// Where the CT series is.
    pub series: PathBuf,
    /// The truth.
    pub segmentation: PathBuf,
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
        )
    }
}

/// The year of `dicom`'s invented examination, on 29 February.
const SCAN_YEAR: i32 = 2020;

/// File name of the truth, beside the slices.
const SEGMENTATION: &str = "SEG0001.dcm";

/// Writes one CT series and its truth as DICOM SEG into `dir`, which is made if absent; `progress` gets the share done.
///
/// The patient is called `Vestibule^Phantom` and has the ID `PHANTOM-<seed>`.
///
/// # Errors
/// As [`body`]; [`PhantomError::NotEmpty`] for a folder in use,
/// [`PhantomError::Dicom`] if a file cannot be written.
pub fn write_phantom(
    dir: &Path,
    options: &PhantomOptions,
    progress: &(dyn Fn(f32) + Sync),
) -> Result<PhantomSummary, PhantomError> {
    if dir.read_dir().is_ok_and(|mut entries| entries.next().is_some()) {
        return Err(PhantomError::NotEmpty { path: dir.to_owned() });
    }
    let body = body(options, &|done| progress(done * 0.7))?;
    let patient = InventedPatient {
        name: "Vestibule^Phantom".to_owned(),
        id: format!("PHANTOM-{}", options.seed),
        birth_date: format!("{}0401", SCAN_YEAR - options.physique.age_years as i32 - 1),
        sex: options.physique.sex.code().to_owned(),
        accession: format!("VP{:08}", options.seed % 100_000_000),
    };
    let ct = CtOptions {
        seed: options.seed,
        study: "Digital phantom".to_owned(),
        series: options.phase.series().to_owned(),
        // PS3.16 Annex L knows no torso; CHESTABDPELVIS is its term for all three.
        body_part: "CHESTABDPELVIS".to_owned(),
        contrast_agent: (options.phase != Phase::Native).then(|| "Simulated".to_owned()),
        slice_thickness_mm: Some(options.spacing_mm[2]),
        ..Default::default()
    };
    let series = write_ct_series(dir, &body.hounsfield, &patient, &ct)?;
    progress(0.85);
    let segmentation = dir.join(SEGMENTATION);
    write_segmentation(&segmentation, &body.labels, &series)?;
    progress(1.0);
    let geometry = body.labels.geometry();
    Ok(PhantomSummary {
        seed: options.seed,
        physique: options.physique,
        variants: options.variants.clone(),
        day: options.day,
        motion: options.motion,
        findings: options.findings.iter().map(Finding::to_string).collect(),
        phase: options.phase.name(),
        size: geometry.size(),
        spacing_mm: geometry.spacing(),
        structures: body.labels.counts().len(),
        series: dir.to_owned(),
        segmentation,
    })
}
