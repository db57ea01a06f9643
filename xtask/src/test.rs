//! `cargo xtask test`: every check as a named step, cheapest first.

use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::{deps, process, system, tidy, xr_runtime};

/// Packages that need all of Bevy; release is the only profile they are built in, and always together: another selection
/// could switch a feature of a shared dependency and build Bevy a second time.
const TIER_C: &[&str] = &["vestibule-render", "vestibule-headset", "vestibule"];
/// Packages that need Bevy's ECS or nothing of it, beyond the default members.
const NO_GPU_EXTRA: &[&str] = &["vestibule-walkthrough", "vestibule-benches"];

/// Their newest tests have not been seen green on every machine yet; `cargo xtask test unit-all` runs them.
const ON_REQUEST: &[&str] = &["vestibule-benches", "vestibule-render"];

/// The Khronos glTF validator, as npm names it.
const VALIDATOR: &str = "gltf-validator@2.0.0-dev.3.10";

struct Step {
    name: &'static str,
    about: &'static str,
    run: fn() -> Result<()>,
    /// Runs only when named.
    on_request: bool,
}

const fn step(name: &'static str, about: &'static str, run: fn() -> Result<()>) -> Step {
    Step { name, about, run, on_request: false }
}

const fn on_request(name: &'static str, about: &'static str, run: fn() -> Result<()>) -> Step {
    Step { name, about, run, on_request: true }
}

const STEPS: &[Step] = &[
    step("fmt", "rustfmt", fmt),
    step("tidy", "file length, TODOs, switched-off tests, absolute paths", tidy::run),
    step("deps", "dependency rules and licences", || deps::run(&[])),
    step("lint", "clippy, tiers A and B", lint),
    step("unit", "unit, property and golden tests, tiers A and B", unit),
    step("lint-bevy", "clippy, tier C", lint_bevy),
    step("docs", "rustdoc without warnings", docs),
    step("end-to-end", "the program from the command line, offscreen", end_to_end),
    on_request("unit-all", "also the tests of render, and of case with the glTF validator", unit_all),
    on_request("end-to-end-all", "also real scans, and the headset walk in Monado", end_to_end_all),
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
    for step in STEPS
        .iter()
        .filter(|s| if arguments.is_empty() { !s.on_request } else { arguments.iter().any(|a| a == s.name) })
    {
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

/// The packages that cargo takes by default, and those of tier B.
fn without_gpu(command: &mut Command) -> Result<&mut Command> {
    for package in test_packages()? {
        command.args(["--package", &package]);
    }
    Ok(command)
}

fn test_packages() -> Result<Vec<String>> {
    let text = process::output(process::cargo().args(["metadata", "--format-version=1", "--no-deps", "--locked"]))?;
    let json: serde_json::Value = serde_json::from_str(&text)?;
    let names = json["packages"].as_array().context("cargo metadata lists no packages")?;
    let packages: Vec<String> = names
        .iter()
        .filter_map(|p| p["name"].as_str())
        .filter(|name| !TIER_C.contains(name))
        .map(str::to_owned)
        .collect();
    if !NO_GPU_EXTRA.iter().all(|name| packages.iter().any(|p| p == name)) {
        bail!("the workspace lacks one of {NO_GPU_EXTRA:?}");
    }
    Ok(packages)
}

fn fmt() -> Result<()> {
    process::run(process::cargo().args(["fmt", "--all", "--check"]))
}

fn lint() -> Result<()> {
    let mut clippy = process::cargo();
    process::run(without_gpu(clippy.args(["clippy", "--locked", "--all-targets"]))?.args(["--", "--deny", "warnings"]))
}

fn unit() -> Result<()> {
    println!("not run: {}; see `cargo xtask test --list`", ON_REQUEST.join(", "));
    let mut test = process::cargo();
    let mut packages = test_packages()?;
    packages.retain(|name| !ON_REQUEST.contains(&name.as_str()));
    test.args(["test", "--locked"]);
    for package in packages {
        test.args(["--package", &package]);
    }
    process::run(&mut test)
}

fn unit_all() -> Result<()> {
    let mut test = process::cargo();
    if let Some(dir) = gltf_validator()? {
        test.env("VESTIBULE_GLTF_VALIDATOR", dir);
    }
    process::run(without_gpu(test.args(["test", "--locked"]))?)?;
    process::run(with_packages(process::cargo().args(["test", "--locked", "--release"]), TIER_C).arg("--lib"))
}

fn lint_bevy() -> Result<()> {
    let mut clippy = process::cargo();
    process::run(
        with_packages(clippy.args(["clippy", "--locked", "--release", "--all-targets"]), TIER_C)
            .args(["--", "--deny", "warnings"]),
    )
}

fn end_to_end() -> Result<()> {
    println!("not run: real scans and the headset walk; see `cargo xtask test --list`");
    run_end_to_end(&mut process::cargo())
}

fn end_to_end_all() -> Result<()> {
    let mut test = process::cargo();
    test.env("VESTIBULE_LONG_TESTS", "1");
    if let Some(dir) = gltf_validator()? {
        test.env("VESTIBULE_GLTF_VALIDATOR", dir);
    }
    if let Some(runtime) = xr_runtime::provide()? {
        test.env("VESTIBULE_XR_RUNTIME", runtime.root);
    }
    run_end_to_end(&mut test)
}

/// One at a time: each test uses both cores, and the headset tests need a runtime of their own.
fn run_end_to_end(test: &mut Command) -> Result<()> {
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
