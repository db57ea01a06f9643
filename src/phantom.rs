//! `vestibule phantom`: the embedded patient as DICOM.

use std::fs;
use std::path::Path;

use anyhow::Result;
use case::Unfinished;
use phantom::{CtSettings, Imaging, Motion, MrSettings, PhantomOptions, Physique, Sex};

use crate::progress::Progress;
use crate::{cli, output};

pub(crate) fn run(arguments: &cli::Phantom) -> Result<()> {
    let mut options = options(arguments);
    if let Some([plane, slice]) = arguments.spacing.as_deref() {
        options.spacing_mm = [*plane, *plane, *slice];
    }
    let summary = write(&arguments.out, &options)?;
    if arguments.json {
        output::json(&summary)
    } else {
        output::say(&summary.to_string());
        Ok(())
    }
}

fn options(arguments: &cli::Phantom) -> PhantomOptions {
    let seed = arguments.seed;
    let mut options =
        if arguments.drawn { PhantomOptions::drawn(seed) } else { PhantomOptions { seed, ..Default::default() } };
    if let Some(sex) = arguments.sex {
        let sex = match sex {
            cli::Sex::Female => Sex::Female,
            cli::Sex::Male => Sex::Male,
        };
        if sex != options.physique.sex {
            options.physique = Physique { age_years: options.physique.age_years, ..Physique::reference(sex) };
        }
    }
    let Physique { age_years, height_cm, weight_kg, .. } = &mut options.physique;
    for (own, given) in [(age_years, arguments.age), (height_cm, arguments.height), (weight_kg, arguments.weight)] {
        *own = given.unwrap_or(*own);
    }
    // Somebody taller is not to be thinner for it.
    if let (Some(height), None) = (arguments.height, arguments.weight) {
        let reference = Physique::reference(options.physique.sex);
        options.physique.weight_kg = (reference.weight_kg * (height / reference.height_cm).powi(2)).round();
    }
    options.phase = arguments.phase;
    options.imaging = imaging(&arguments.imaging);
    options.motion = Motion { breath: arguments.breath, beat: arguments.beat };
    options.day = arguments.day;
    if !arguments.variants.is_empty() {
        options.variants.clone_from(&arguments.variants);
    }
    if arguments.healthy {
        options.findings.clear();
    } else if !arguments.findings.is_empty() {
        options.findings.clone_from(&arguments.findings);
    }
    options
}

fn imaging(arguments: &cli::Imaging) -> Imaging {
    Imaging {
        modalities: arguments.modalities.clone(),
        ct: CtSettings {
            dose: arguments.dose,
            kernel: arguments.kernel,
            slice_thickness_mm: arguments.slice_thickness,
            tilt_deg: arguments.tilt,
            breathing: arguments.breathing,
            beam_hardening: arguments.beam_hardening,
        },
        mr: MrSettings { field_t: arguments.field, ..MrSettings::default() },
        implants: arguments.implants.clone(),
        misregistered: arguments.misregistered,
        ..Imaging::default()
    }
}

/// Writes series and truth into `dir`, with progress. A folder that was not there before is gone again if that fails.
pub(crate) fn write(dir: &Path, options: &PhantomOptions) -> Result<phantom::PhantomSummary> {
    let progress = Progress::new();
    let unfinished = (!dir.exists()).then(|| Unfinished::at(dir));
    let written = phantom::write_phantom(dir, options, &|fraction| progress.tell("making the patient", fraction));
    progress.finish();
    if written.is_err() && unfinished.is_some() {
        let _what_cannot_be_removed_stays = fs::remove_dir_all(dir);
    }
    Ok(written?)
}
