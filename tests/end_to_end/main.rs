//! The whole program from the command line, as its users run it.
//!
//! Real scans are looked for in `$VESTIBULE_DATA` or `../shared/data`; what needs them says so when it skips.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "tests may fail loudly and say what they measured")]

mod build;
mod demo;
mod headset;
mod models;
mod monado;
mod refusals;
mod screen;
mod support;
mod window;
