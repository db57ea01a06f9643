//! The pipeline from files to case folders: on the phantom always, on real scans where they are.

mod identity;
mod labels;
mod phantom_ct;
mod real;
mod refusals;
mod support;
