//! Builds a case and prints what was made:
//! `build SCAN CASE [--recipe NAME] [--labels FILE] [--models FOLDER] [--add FILE] [--model NAME]`.
//!
//! Models are looked for in `FOLDER` alone; `--add` puts one there first.

use std::io::Write;
use std::process::ExitCode;

use pipeline::{AddRequest, BuildRequest, Silent};

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let (Some(scan), Some(out)) = (arguments.next(), arguments.next()) else {
        let _ = writeln!(std::io::stderr(), "usage: build SCAN CASE [--recipe NAME] [--labels FILE] [--models FOLDER]");
        return ExitCode::from(2);
    };
    let mut request = BuildRequest { scan: scan.into(), out: out.into(), no_cache: true, ..BuildRequest::default() };
    let mut add = None;
    while let (Some(option), Some(value)) = (arguments.next(), arguments.next()) {
        match option.as_str() {
            "--recipe" => request.recipe = Some(value),
            "--labels" => request.labels = Some(value.into()),
            "--models" => request.models.user = Some(value.into()),
            "--model" => request.model = Some(value),
            "--add" => add = Some(AddRequest { source: value, replace: true, sha256: None }),
            _ => return ExitCode::from(2),
        }
    }
    let added = add.map_or(Ok(()), |add| request.models.add(&add, &|_| {}).map(drop));
    match added.and_then(|()| pipeline::build(&request, &Silent)) {
        Ok(summary) => {
            let _ = writeln!(std::io::stdout(), "{summary}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "error: {error}");
            ExitCode::FAILURE
        }
    }
}
