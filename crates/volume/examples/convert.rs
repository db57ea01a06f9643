//! Reads a scan or a label map and writes it again: `convert IN OUT` or `convert --labels IN OUT`.

use std::path::Path;
use std::process::ExitCode;

use volume::formats::{self, FormatError};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let result = match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["--labels", from, to] => labels(Path::new(from), Path::new(to)),
        [from, to] => scan(Path::new(from), Path::new(to)),
        _ => {
            eprintln!("usage: convert [--labels] IN OUT");
            return ExitCode::from(2);
        }
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn scan(from: &Path, to: &Path) -> Result<(), FormatError> {
    formats::write_scan(&formats::read_scan(from)?, to)
}

fn labels(from: &Path, to: &Path) -> Result<(), FormatError> {
    formats::write_labels(&formats::read_labels(from)?, to)
}
