//! `cargo xtask bench [NAME…] [--peers] [--json]`: one JSON object a line on stdout, nothing else there.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Result, bail};

use crate::process;

/// The libraries measured against, as PyPI names them.
const PEERS: &[&str] = &["SimpleITK", "vtk", "numpy", "nibabel", "pydicom", "onnx", "onnxruntime", "openvino"];
/// 3D Slicer's core, in an environment of its own, since it brings another VTK.
const SLICER: &[&str] = &["slicer-core", "numpy", "nibabel"];

/// Builds and runs the benchmarks; with `--peers` sets up the other side first.
///
/// # Errors
/// If a benchmark fails or a peer cannot be set up.
pub(crate) fn run(arguments: &[String]) -> Result<()> {
    let asked = |name: &str| arguments.iter().all(|a| a.starts_with("--")) || arguments.iter().any(|a| a == name);
    let mut benchmarks = process::cargo();
    benchmarks.args(["run", "--quiet", "--release", "--package", "vestibule-benches", "--"]);
    benchmarks.args(arguments);
    if arguments.iter().any(|a| a == "--peers") {
        benchmarks.env("VESTIBULE_PEERS_PYTHON", python("peers", PEERS)?);
        if asked("surfaces") {
            benchmarks.env("VESTIBULE_SLICER_PYTHON", python("peers-slicer", SLICER)?);
        }
    }
    if asked("frame") {
        benchmarks.env("VESTIBULE_PROGRAM", process::vestibule()?.get_program());
    }
    process::run(&mut benchmarks)
}

/// The interpreter of a virtual environment with these packages.
fn python(name: &str, packages: &[&str]) -> Result<PathBuf> {
    let dir = process::cache_dir()?.join(name);
    let python = dir.join("bin/python3");
    // An environment of another list is made anew.
    let list = packages.join("\n");
    let complete = dir.join("complete");
    if fs::read_to_string(&complete).ok().as_deref() != Some(&list) {
        // Debian's python3 has the module venv but not ensurepip, without which it fails half way.
        let has_venv = Command::new("python3").args(["-c", "import ensurepip, venv"]).stderr(Stdio::null()).status();
        if !has_venv.is_ok_and(|status| status.success()) {
            bail!("--peers needs python3 with venv; on Debian: apt-get install python3-venv");
        }
        // pip speaks on stdout, which belongs to the benchmarks' JSON.
        process::output(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&dir))?;
        process::output(Command::new(&python).args(["-m", "pip", "install", "--quiet"]).args(packages))?;
        fs::write(complete, list)?;
    }
    Ok(python)
}
