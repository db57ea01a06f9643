//! `cargo xtask bench [NAME…] [--peers] [--json]`: one JSON object a line on stdout, nothing else there.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Result, bail};

use crate::process;

/// The libraries measured against, as PyPI names them.
const PEERS: &[&str] = &["SimpleITK", "vtk", "numpy", "nibabel", "pydicom"];

/// Builds and runs the benchmarks; with `--peers` sets up the other side first.
///
/// # Errors
/// If a benchmark fails or a peer cannot be set up.
pub(crate) fn run(arguments: &[String]) -> Result<()> {
    let mut benchmarks = process::cargo();
    benchmarks.args(["run", "--quiet", "--release", "--package", "vestibule-benches", "--"]);
    benchmarks.args(arguments);
    if arguments.iter().any(|a| a == "--peers") {
        benchmarks.env("VESTIBULE_PEERS_PYTHON", python("peers", PEERS)?);
    }
    let frame = arguments.iter().all(|a| a.starts_with("--")) || arguments.iter().any(|a| a == "frame");
    if frame {
        benchmarks.env("VESTIBULE_PROGRAM", process::vestibule()?.get_program());
    }
    process::run(&mut benchmarks)
}

/// The interpreter of a virtual environment with these packages.
fn python(name: &str, packages: &[&str]) -> Result<PathBuf> {
    let dir = process::cache_dir()?.join(name);
    let python = dir.join("bin/python3");
    if !dir.join("complete").exists() {
        if !process::on_path("python3") {
            bail!("--peers needs python3 with venv; on Debian: apt-get install python3-venv");
        }
        // pip speaks on stdout, which belongs to the benchmarks' JSON.
        process::output(Command::new("python3").args(["-m", "venv"]).arg(&dir))?;
        process::output(Command::new(&python).args(["-m", "pip", "install", "--quiet"]).args(packages))?;
        fs::write(dir.join("complete"), "")?;
    }
    Ok(python)
}
