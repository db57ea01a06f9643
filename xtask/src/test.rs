//! `cargo xtask test`: every check as a named step, cheapest first.

use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::{deps, process, system, tidy, xr_runtime};

/// Packages that need all of Bevy; release is the only profile they are built in, and always together: another selection
/// could switch a feature of a shared dependency and build Bevy a second time.
const TIER_C: &[&str] = &["vestibule-render", "vestibule-headset", "vestibule"];
/// The Khronos glTF validator, as npm names it.
const VALIDATOR: &str = "gltf-validator@2.0.0-dev.3.10";

struct Step {
    name: &'static str,
    about: &'static str,
    run: fn() -> Result<()>,
}

const fn step(name: &'static str, about: &'static str, run: fn() -> Result<()>) -> Step {
    Step { name, about, run }
}

const STEPS: &[Step] = &[
    step("fmt", "rustfmt", fmt),
    step("tidy", "file length, TODOs, switched-off tests, absolute paths", tidy::run),
    step("deps", "dependency rules and licences", || deps::run(&[])),
    step("lint", "clippy, tiers A and B", lint),
    step("unit", "unit, property and golden tests, tiers A and B", unit),
    step("lint-bevy", "clippy, tier C", lint_bevy),
    step("docs", "rustdoc without warnings", docs),
    step("unit-bevy", "unit and picture tests, tier C", unit_bevy),
    step("end-to-end", "the program from the command line: real scans, offscreen, in a window, in Monado", end_to_end),
];

/// Runs all steps, or those named; ends at the first that fails.
///
/// # Errors
/// The failing step, with what it ran.
pub(crate) fn run(arguments: &[String]) -> Result<()> {
    if arguments.iter().any(|a| a == "--list") {
        for step in STEPS {
            println!("{:<12}{}", step.name, step.about);
        }
        return Ok(());
    }
    for name in arguments {
        if !STEPS.iter().any(|s| s.name == name) {
            bail!("no step `{name}`; `cargo xtask test --list` names them");
        }
    }
    system::install(system::BUILD_AND_RUN)?;
    system::install(system::TEST)?;
    let mut times: Vec<(&str, Duration)> = Vec::new();
    for step in STEPS.iter().filter(|s| arguments.is_empty() || arguments.iter().any(|a| a == s.name)) {
        println!("\n=== {}: {}", step.name, step.about);
        let start = Instant::now();
        let result = (step.run)();
        times.push((step.name, start.elapsed()));
        if let Err(error) = result {
            print_times(&times);
            return Err(error.context(format!("step `{}` failed", step.name)));
        }
    }
    print_times(&times);
    println!("{} passed, 0 failed", times.len());
    Ok(())
}

fn print_times(times: &[(&str, Duration)]) {
    println!("\nstep            seconds");
    for (name, time) in times {
        println!("{name:<12}{:>11.1}", time.as_secs_f64());
    }
}

fn with_packages<'a>(command: &'a mut Command, packages: &[&str]) -> &'a mut Command {
    for package in packages {
        command.args(["--package", package]);
    }
    command
}

/// The packages of tiers A and B.
fn without_gpu(command: &mut Command) -> Result<&mut Command> {
    let text = process::output(process::cargo().args(["metadata", "--format-version=1", "--no-deps", "--locked"]))?;
    let json: serde_json::Value = serde_json::from_str(&text)?;
    let packages = json["packages"].as_array().context("cargo metadata lists no packages")?;
    for name in packages.iter().filter_map(|p| p["name"].as_str()).filter(|name| !TIER_C.contains(name)) {
        command.args(["--package", name]);
    }
    Ok(command)
}

fn fmt() -> Result<()> {
    process::run(process::cargo().args(["fmt", "--all", "--check"]))
}

fn lint() -> Result<()> {
    let mut clippy = process::cargo();
    process::run(without_gpu(clippy.args(["clippy", "--locked", "--all-targets"]))?.args(["--", "--deny", "warnings"]))
}

fn unit() -> Result<()> {
    let mut test = process::cargo();
    if let Some(dir) = gltf_validator()? {
        test.env("VESTIBULE_GLTF_VALIDATOR", dir);
    }
    process::run(without_gpu(test.args(["test", "--locked", "--no-fail-fast"]))?)
}

fn unit_bevy() -> Result<()> {
    let mut test = process::cargo();
    process::run(
        with_packages(test.args(["test", "--locked", "--release"]), TIER_C).args(["--lib", "--test", "pictures"]),
    )
}

fn lint_bevy() -> Result<()> {
    let mut clippy = process::cargo();
    process::run(
        with_packages(clippy.args(["clippy", "--locked", "--release", "--all-targets"]), TIER_C)
            .args(["--", "--deny", "warnings"]),
    )
}

/// One at a time: each test uses both cores, and the headset tests need a runtime of their own.
fn end_to_end() -> Result<()> {
    let mut test = process::cargo();
    if let Some(dir) = gltf_validator()? {
        test.env("VESTIBULE_GLTF_VALIDATOR", dir);
    }
    if let Some(runtime) = xr_runtime::provide()? {
        test.env("VESTIBULE_XR_RUNTIME", runtime.root);
    }
    with_packages(test.args(["test", "--locked", "--release"]), TIER_C);
    process::run(test.args(["--bins", "--test", "end_to_end", "--", "--test-threads=1", "--nocapture"]))
}

fn docs() -> Result<()> {
    process::run(
        process::cargo()
            .args(["doc", "--locked", "--release", "--no-deps", "--workspace"])
            .env("RUSTDOCFLAGS", "--deny warnings"),
    )
}

/// A folder with the Khronos validator in its `node_modules`; `None`, said why, without npm.
fn gltf_validator() -> Result<Option<std::path::PathBuf>> {
    if !process::on_path("npm") || !process::on_path("node") {
        println!("skipped: the Khronos glTF validator needs node and npm");
        return Ok(None);
    }
    let dir = process::cache_dir()?.join("gltf-validator");
    if !dir.join("node_modules/gltf-validator").exists() {
        fs::create_dir_all(&dir)?;
        process::run(
            Command::new("npm").args(["install", "--silent", "--no-save", "--prefix"]).arg(&dir).arg(VALIDATOR),
        )?;
    }
    Ok(Some(dir))
}
