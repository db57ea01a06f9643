//! Set-up, tests, demo, benchmarks, pictures and packages: `cargo xtask VERB`.
#![expect(clippy::print_stdout, reason = "a command-line tool speaks on stdout")]

mod bench;
mod deps;
mod dist;
mod process;
mod system;
mod test;
mod tidy;
mod xr_runtime;

use std::process::ExitCode;

use anyhow::{Result, bail};

const HELP: &str = "\
cargo xtask VERB

  setup                 install the system packages that building and running need
  demo [ARGS…]          set up, build, and walk through the embedded patient (ARGS go to `vestibule demo`)
  test [STEP…]          set up and run every test, or only the named steps (`test --list` names them)
  deps [--write]        check who uses whom; --write renews the crate table in ARCHITECTURE.md
  bench [NAME…] [--peers] [--json]   measure, with --peers beside the libraries others use
  shots [--out DIR]     render the pictures that README and docs show
  dist                  make a tarball and a .deb that run without a checkout
  xr-runtime            unpack the OpenXR runtime that the headset tests use, and print where it is";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &[String]) -> Result<()> {
    std::env::set_current_dir(process::root())?;
    let (verb, rest) = match arguments.split_first() {
        Some((verb, rest)) => (verb.as_str(), rest),
        None => ("help", &[][..]),
    };
    match verb {
        "setup" => system::install(system::BUILD_AND_RUN),
        "demo" => demo(rest),
        "test" => test::run(rest),
        "deps" => deps::run(rest),
        "bench" => bench::run(rest),
        "shots" => shots(rest),
        "dist" => dist::run(),
        "xr-runtime" => {
            match xr_runtime::provide()? {
                Some(runtime) => println!("{}", runtime.root.display()),
                None => println!("no OpenXR runtime for tests on this machine"),
            }
            Ok(())
        }
        "help" | "--help" | "-h" => {
            println!("{HELP}");
            Ok(())
        }
        other => bail!("no verb `{other}`\n{HELP}"),
    }
}

/// Sets up, builds the app and runs its demo; without `--out` into `out/demo`.
fn demo(arguments: &[String]) -> Result<()> {
    system::install(system::BUILD_AND_RUN)?;
    let mut call = process::vestibule()?;
    call.arg("demo");
    if !arguments.iter().any(|a| a == "--out" || a.starts_with("--out=")) {
        call.args(["--out", "out/demo"]);
    }
    process::run(call.args(arguments))
}

/// Renders the README's pictures from the embedded patient.
fn shots(arguments: &[String]) -> Result<()> {
    system::install(system::BUILD_AND_RUN)?;
    let out = match arguments {
        [flag, dir] if flag == "--out" => dir.as_str(),
        [] => "docs/pictures",
        _ => bail!("usage: cargo xtask shots [--out DIR]"),
    };
    let work = process::root().join("out/shots");
    process::run(process::vestibule()?.args(["demo", "--display", "offscreen", "--out"]).arg(&work))?;
    for scene in ["tour", "body"] {
        let pictures = std::path::Path::new(out).join(if scene == "tour" { "" } else { scene });
        let walk = ["--display", "offscreen", "--scene", scene, "--shots"];
        process::run(process::vestibule()?.arg("walk").arg(work.join("case")).args(walk).arg(pictures))?;
    }
    let slices = ["run", "--locked", "--release", "--package", "vestibule-phantom", "--example", "slices"];
    process::run(process::cargo().args(slices).arg(std::path::Path::new(out).join("body")))
}
