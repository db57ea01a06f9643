//! Running the other side.

use std::ffi::OsStr;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use serde_json::Value;

/// Runs one of `benches/peers/*.py`, which prints one JSON object, and returns that; `None` without an interpreter.
///
/// # Errors
/// If the script fails or prints something else.
pub(crate) fn run(
    python: Option<&Path>,
    script: &str,
    arguments: impl IntoIterator<Item = impl AsRef<OsStr>>,
) -> Result<Option<Value>> {
    let Some(python) = python else { return Ok(None) };
    let path = Path::new("benches/peers").join(script);
    let output = Command::new(python)
        .arg(&path)
        .args(arguments)
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .with_context(|| format!("cannot start {}", python.display()))?;
    if !output.status.success() {
        bail!("{script} ended with {}", output.status);
    }
    let text = String::from_utf8_lossy(&output.stdout);
    let line = text.lines().last().unwrap_or_default();
    serde_json::from_str(line).map(Some).with_context(|| format!("{script} printed no JSON: {line}"))
}

/// A number in what a peer printed.
pub(crate) fn seconds(answer: Option<&Value>, key: &str) -> Option<f64> {
    answer?.get(key)?.as_f64()
}
