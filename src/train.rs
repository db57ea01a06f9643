//! `vestibule train`.

use anyhow::Result;

use crate::progress::Progress;
use crate::{cli, output};

pub(crate) fn run(arguments: &cli::Train) -> Result<()> {
    let progress = Progress::new();
    let request = pipeline::TrainRequest {
        recipe: arguments.recipe.clone(),
        data: arguments.data.clone(),
        out: arguments.out.clone(),
        minutes: arguments.minutes,
    };
    let trained = pipeline::train(&request, &progress);
    progress.finish();
    let summary = trained?;
    if arguments.json {
        output::json(&summary)
    } else {
        output::say(&summary.to_string());
        Ok(())
    }
}
