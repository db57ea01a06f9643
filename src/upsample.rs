//! `vestibule upsample`.

use anyhow::Result;

use crate::progress::Progress;
use crate::{cli, models, output};

pub(crate) fn run(arguments: &cli::Upsample) -> Result<()> {
    let progress = Progress::new();
    let request = pipeline::UpsampleRequest {
        scan: arguments.scan.clone(),
        out: arguments.out.clone(),
        series: arguments.series.clone(),
        spacing_mm: arguments.spacing,
        thickness_mm: arguments.thickness,
        model: arguments.model.clone(),
        models: models::all(),
        fine_tune_steps: arguments.fine_tune.map(|steps| steps as usize),
        flips: arguments.flips,
        no_cache: arguments.no_cache,
    };
    let made = pipeline::upsample(&request, &progress);
    progress.finish();
    let summary = made?;
    if arguments.json {
        output::json(&summary)
    } else {
        output::say(&summary.to_string());
        Ok(())
    }
}
