//! Benchmarks: one JSON object a line on stdout, nothing else there (DESIGN: benchmarks, a contract).
//!
//! `cargo xtask bench [NAME…] [--peers]` builds and runs this; the figures we publish come from it.

mod build;
mod conv3d;
mod decimate;
mod dicom;
mod frame;
mod generated;
mod nnunet;
mod peer;
mod record;
mod scratch;
mod surfaces;

use std::process::ExitCode;

use anyhow::{Result, bail};

use crate::record::{BenchArgs, Record};

type Benchmark = fn(&BenchArgs) -> Result<Vec<Record>>;

const BENCHMARKS: &[(&str, Benchmark)] = &[
    ("conv3d", conv3d::run),
    ("nnunet", nnunet::run),
    ("build", build::run),
    ("surfaces", surfaces::run),
    ("dicom", dicom::run),
    ("decimate", decimate::run),
    ("frame", frame::run),
];

fn main() -> ExitCode {
    pipeline::keep_freed_memory();
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<()> {
    let mut names = Vec::new();
    let mut peers = false;
    for argument in std::env::args().skip(1) {
        match argument.as_str() {
            "--peers" => peers = true,
            "--json" => {}
            name if BENCHMARKS.iter().any(|(known, _)| *known == name) => names.push(argument),
            other => {
                let known: Vec<_> = BENCHMARKS.iter().map(|(name, _)| *name).collect();
                bail!("no benchmark `{other}`; there are {}", known.join(", "));
            }
        }
    }
    let arguments = BenchArgs::new(peers);
    for (name, benchmark) in BENCHMARKS {
        if names.is_empty() || names.iter().any(|n| n == name) {
            eprintln!("bench: {name}");
            for record in benchmark(&arguments)? {
                record.print()?;
            }
        }
    }
    Ok(())
}
