//! `vestibule build`.

use anyhow::Result;

use crate::progress::Progress;
use crate::{cli, models, output};

pub(crate) fn run(arguments: &cli::Build) -> Result<()> {
    let progress = Progress::new();
    let request = pipeline::BuildRequest {
        scan: arguments.scan.clone(),
        out: arguments.out.clone(),
        series: arguments.series.clone(),
        recipe: arguments.recipe.clone(),
        labels: arguments.labels.clone(),
        model: arguments.model.clone(),
        alias: arguments.alias.clone(),
        no_cache: arguments.no_cache,
        models: models::all(),
    };
    let built = pipeline::build(&request, &progress);
    progress.finish();
    let summary = built?;
    if arguments.json {
        output::json(&summary)
    } else {
        output::say(&summary.to_string());
        Ok(())
    }
}
