//! Vestibule: walk through a patient's scan in a headset. Not a medical device.
//!
//! This program parses arguments and wires crates together; what it can do lives in `crates/`.

mod build;
mod cli;
mod data;
mod demo;
mod doctor;
mod evaluate;
mod inspect;
mod models;
mod output;
mod phantom;
mod progress;
mod segment;
mod train;
mod upsample;
mod walk;

use std::ffi::OsString;
use std::panic;
use std::process::ExitCode;

use anyhow::bail;
use bevy::app::TerminalCtrlCHandlerPlugin;
use clap::Parser;

use crate::cli::{Arguments, Verb};

/// Exit code of a program that was interrupted: 128 and the signal's number.
const INTERRUPTED: i32 = 130;

fn main() -> ExitCode {
    pipeline::keep_freed_memory();
    without_a_session();
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        // Help and version go to stdout with code 0, wrong usage to stderr with code 2.
        Err(error) => {
            let _closed_pipe = error.print();
            return ExitCode::from(error.exit_code().clamp(0, 2) as u8);
        }
    };
    let done = panic::catch_unwind(|| run(&arguments).and_then(|()| output::check()));
    match done {
        Ok(Ok(())) => ExitCode::SUCCESS,
        Ok(Err(error)) => {
            output::error(&format!("{error:#}"));
            ExitCode::FAILURE
        }
        Err(_reported_by_the_hook) => ExitCode::FAILURE,
    }
}

/// Mesa's device selection asks a Wayland display first, and libwayland complains on stderr where there is no session to have one.
fn without_a_session() {
    if std::env::var_os("XDG_RUNTIME_DIR").is_none() {
        #[expect(unsafe_code, reason = "the environment is shared with C")]
        // SAFETY: the first act of `main`, so no other thread reads the environment meanwhile.
        unsafe {
            std::env::set_var("NODEVICE_SELECT", "1");
        }
    }
}

/// After Ctrl-C nothing half-written stays; a walk ends as if its user had left it.
fn stop_cleanly() {
    // Without it, what is left behind is removed by the next run.
    let _ = ctrlc::set_handler(|| {
        if walk::has_begun() {
            TerminalCtrlCHandlerPlugin::gracefully_exit();
        } else {
            case::remove_unfinished();
            std::process::exit(INTERRUPTED);
        }
    });
}

fn run(arguments: &Arguments) -> anyhow::Result<()> {
    output::install_panic_hook();
    stop_cleanly();
    let words: Vec<OsString> = std::env::args_os().collect();
    if let (Some(word), true) = (words.iter().find(|w| w.to_str().is_none()), words.iter().any(|w| w == "--json")) {
        bail!("JSON cannot hold this path, which is no UTF-8; rename it, or leave out --json: {}", word.display());
    }
    match &arguments.verb {
        None => output::help(),
        Some(Verb::Demo(demo)) => demo::run(demo),
        Some(Verb::Inspect(inspect)) => inspect::run(inspect),
        Some(Verb::Build(build)) => build::run(build),
        Some(Verb::Segment(segment)) => segment::run(segment),
        Some(Verb::Upsample(upsample)) => upsample::run(upsample),
        Some(Verb::Train(train)) => train::run(train),
        Some(Verb::Evaluate(evaluate)) => evaluate::run(evaluate),
        Some(Verb::Models(models)) => models::run(models),
        Some(Verb::Walk(walk)) => walk::run(walk),
        Some(Verb::Phantom(phantom)) => phantom::run(phantom),
        Some(Verb::Doctor(doctor)) => doctor::run(doctor),
    }
}
