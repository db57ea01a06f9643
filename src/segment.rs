//! `vestibule segment`.

use anyhow::Result;

use crate::progress::Progress;
use crate::{cli, models, output};

pub(crate) fn run(arguments: &cli::Segment) -> Result<()> {
    let progress = Progress::new();
    let request = pipeline::SegmentRequest {
        scan: arguments.scan.clone(),
        series: arguments.series.clone(),
        model: arguments.model.clone(),
        out: arguments.out.clone(),
        confidence: arguments.confidence.clone(),
        flips: arguments.flips,
        no_cache: arguments.no_cache,
        models: models::all(),
    };
    let found = pipeline::segment(&request, &progress);
    progress.finish();
    let summary = found?;
    if arguments.json {
        output::json(&summary)
    } else {
        output::say(&summary.to_string());
        Ok(())
    }
}
