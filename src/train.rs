//! `vestibule train`.

use anyhow::Result;
use serde::Serialize;

use crate::progress::Progress;
use crate::{cli, output};

pub(crate) fn run(arguments: &cli::Train) -> Result<()> {
    let progress = Progress::new();
    let request = pipeline::TrainRequest {
        recipe: arguments.recipe.clone(),
        data: arguments.data.clone(),
        out: arguments.out.clone(),
        minutes: arguments.minutes,
        from: arguments.from.clone(),
    };
    if arguments.calibrate {
        let calibrated = pipeline::calibrate(&request, &progress);
        progress.finish();
        say(&calibrated?, arguments.json)
    } else {
        let trained = pipeline::train(&request, &progress);
        progress.finish();
        say(&trained?, arguments.json)
    }
}

fn say<T: Serialize + ToString>(summary: &T, json: bool) -> Result<()> {
    if json {
        output::json(summary)
    } else {
        output::say(&summary.to_string());
        Ok(())
    }
}
