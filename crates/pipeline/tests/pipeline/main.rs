//! The pipeline from files to case folders: on the phantom always, on real scans where they are.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "helpers of tests fail and speak like tests")]

mod finer;
mod identity;
mod labels;
mod phantom_ct;
mod real;
mod refusals;
mod support;
mod train;
mod upsample;
