//! Builds a case and prints what was made: `build SCAN CASE [--recipe NAME] [--labels FILE]`.

use std::io::Write;
use std::process::ExitCode;

use pipeline::{BuildRequest, Silent};

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let (Some(scan), Some(out)) = (arguments.next(), arguments.next()) else {
        let _ = writeln!(std::io::stderr(), "usage: build SCAN CASE [--recipe NAME] [--labels FILE]");
        return ExitCode::from(2);
    };
    let mut request = BuildRequest { scan: scan.into(), out: out.into(), no_cache: true, ..BuildRequest::default() };
    while let (Some(option), Some(value)) = (arguments.next(), arguments.next()) {
        match option.as_str() {
            "--recipe" => request.recipe = Some(value),
            "--labels" => request.labels = Some(value.into()),
            _ => return ExitCode::from(2),
        }
    }
    match pipeline::build(&request, &Silent) {
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
