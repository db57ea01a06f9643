//! `vestibule phantom`: the embedded patient as DICOM.

use std::path::Path;

use anyhow::Result;

use crate::progress::Progress;
use crate::{cli, output};

pub(crate) fn run(arguments: &cli::Phantom) -> Result<()> {
    let mut options = phantom::PhantomOptions { seed: arguments.seed, ..Default::default() };
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

/// Writes series and truth into `dir`, with progress.
pub(crate) fn write(dir: &Path, options: &phantom::PhantomOptions) -> Result<phantom::PhantomSummary> {
    let progress = Progress::new();
    let written = phantom::write_phantom(dir, options, &|fraction| progress.tell("making the patient", fraction));
    progress.finish();
    Ok(written?)
}
