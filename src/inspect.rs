//! `vestibule inspect`.

use anyhow::Result;

use crate::{cli, models, output};

pub(crate) fn run(arguments: &cli::Inspect) -> Result<()> {
    let inspection = pipeline::inspect(&arguments.path, &models::all())?;
    if arguments.json {
        output::json(&inspection)
    } else {
        output::say(&inspection.to_string());
        Ok(())
    }
}
