//! Wall time a frame of our own systems with 108 structures, and what a frame draws.

use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::record::{BenchArgs, Record, data};

/// Offscreen walk through the torso labels.
pub(crate) fn run(arguments: &BenchArgs) -> Result<Vec<Record>> {
    let (Some(program), Some(labels)) = (&arguments.program, data("torso-labels/s0327_labels.nii.gz")) else {
        eprintln!("bench: frame needs the app and the torso labels");
        return Ok(Vec::new());
    };
    let dir = std::env::temp_dir().join(format!("vestibule-bench-{}", std::process::id()));
    let case = dir.join("case");
    let result = measure(program, &labels, &case);
    if dir.exists() {
        std::fs::remove_dir_all(&dir)?;
    }
    let report = result?;
    let number = |value: &Value| value.as_f64().unwrap_or(f64::NAN);
    let median_ms = number(&report["systems_ms"]["median"]);
    let size = format!("108 structures, {} triangles, {} draw calls", report["triangles"], report["draw_calls"]);
    Ok(vec![Record::new("frame", size, median_ms * 1e-3, "ms p99", number(&report["systems_ms"]["p99"]))])
}

fn measure(program: &std::path::Path, labels: &std::path::Path, case: &std::path::Path) -> Result<Value> {
    run_program(
        Command::new(program)
            .arg("build")
            .arg(labels)
            .arg("--labels")
            .arg(labels)
            .args(["--json", "--no-cache", "--out"])
            .arg(case),
    )?;
    run_program(Command::new(program).arg("walk").arg(case).args([
        "--json",
        "--display",
        "offscreen",
        "--frames",
        "60",
    ]))
}

fn run_program(command: &mut Command) -> Result<Value> {
    let output = command.stdin(Stdio::null()).stderr(Stdio::inherit()).output().context("cannot start the app")?;
    if !output.status.success() {
        bail!("{command:?} ended with {}", output.status);
    }
    Ok(serde_json::from_slice(&output.stdout)?)
}
