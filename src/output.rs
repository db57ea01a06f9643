//! What the program says: one JSON document on stdout where asked, words otherwise, errors on stderr.

use std::io::{ErrorKind, Write};
use std::panic;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Result, ensure};
use clap::CommandFactory;
use serde::Serialize;

use crate::cli::Arguments;

/// Whether something could not be said on stdout for another reason than a closed pipe.
static LOST: AtomicBool = AtomicBool::new(false);

/// Prints lines for people on stdout; a closed pipe is their choice.
pub(crate) fn say(text: &str) {
    let said = writeln!(std::io::stdout(), "{text}").and_then(|()| std::io::stdout().flush());
    if said.is_err_and(|error| error.kind() != ErrorKind::BrokenPipe) {
        LOST.store(true, Ordering::Relaxed);
    }
}

/// # Errors
/// If something that was to be said was lost, as on a full disk.
pub(crate) fn check() -> Result<()> {
    ensure!(!LOST.load(Ordering::Relaxed), "standard output cannot be written; is its disk full?");
    Ok(())
}

/// Prints the one JSON document.
///
/// # Errors
/// If the value cannot be written as JSON.
pub(crate) fn json(value: &impl Serialize) -> Result<()> {
    say(&serde_json::to_string_pretty(value)?);
    Ok(())
}

/// Prints an error on stderr.
pub(crate) fn error(text: &str) {
    let _closed_pipe = writeln!(std::io::stderr(), "error: {text}");
}

/// Prints a remark on stderr.
pub(crate) fn note(text: &str) {
    let _closed_pipe = writeln!(std::io::stderr(), "{text}");
}

/// Prints the help.
pub(crate) fn help() -> Result<()> {
    Arguments::command().print_help()?;
    Ok(())
}

/// A panic is our mistake: the user gets one sentence, and the place for a report.
pub(crate) fn install_panic_hook() {
    panic::set_hook(Box::new(|info| {
        let place = info.location().map(|l| format!(" at {}:{}", l.file(), l.line())).unwrap_or_default();
        let what = info.payload_as_str().unwrap_or("no message");
        error(&format!("something went wrong inside the program{place}: {what}; please report this"));
    }));
}
