//! `vestibule evaluate`.

use anyhow::Result;

use crate::{cli, output};

pub(crate) fn run(arguments: &cli::Evaluate) -> Result<()> {
    let request = pipeline::EvaluateRequest {
        truth: arguments.truth.clone(),
        prediction: arguments.prediction.clone(),
        tolerance_mm: arguments.tolerance,
        confidence: arguments.confidence.clone(),
    };
    let evaluation = pipeline::evaluate(&request)?;
    if arguments.json {
        output::json(&evaluation)
    } else {
        output::say(&evaluation.to_string());
        Ok(())
    }
}
