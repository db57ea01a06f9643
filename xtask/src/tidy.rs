//! What no compiler checks: file length, bare TODOs, switched-off tests, paths of one machine.

use std::process::Command;

use anyhow::{Result, bail};

use crate::process;

const MAX_LINES: usize = 900;

/// Reads every Rust file that git knows.
///
/// # Errors
/// Lists each finding with file and line.
pub(crate) fn run() -> Result<()> {
    let files = process::output(Command::new("git").args(["ls-files", "*.rs", "*.wgsl", "*.ron", "*.md", "*.toml"]))?;
    let home_paths = [["/ho", "me/"].concat(), ["/ro", "ot/"].concat(), ["/wo", "rk/"].concat()];
    let switched_off = ["#[ig", "nore"].concat();
    let bare_todo = ["TO", "DO:"].concat();
    let mut findings = Vec::new();
    for file in files.lines() {
        let Ok(text) = std::fs::read_to_string(file) else { continue };
        let is_rust = file.ends_with(".rs");
        if is_rust && text.lines().count() > MAX_LINES && !text.contains("@generated") {
            findings.push(format!("{file}: over {MAX_LINES} lines; ask what it is two of"));
        }
        for (number, line) in text.lines().enumerate() {
            let mut add = |what: &str| findings.push(format!("{file}:{}: {what}", number + 1));
            if is_rust && (line.contains(&bare_todo)) {
                add("a TODO names its owner or issue: TODO(name): what and when it hurts");
            }
            if is_rust && line.contains(&switched_off) {
                add("a test is switched off");
            }
            if home_paths.iter().any(|path| line.contains(path)) {
                add("an absolute path of one machine");
            }
        }
    }
    if !findings.is_empty() {
        bail!("{} findings\n{}", findings.len(), findings.join("\n"));
    }
    Ok(())
}
