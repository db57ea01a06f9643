//! The whole program from the command line, as its users run it.
//!
//! Real scans are looked for in `$VESTIBULE_DATA` or `../shared/data`; what needs them says so when it skips.

mod build;
mod demo;
mod headset;
mod monado;
mod refusals;
mod support;
