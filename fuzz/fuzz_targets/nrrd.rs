//! An NRRD file with its data attached, as scan and as labels.
#![no_main]

use libfuzzer_sys::fuzz_target;
use volume::nrrd::{labels_from_bytes, scan_from_bytes};

fuzz_target!(|bytes: &[u8]| {
    drop(scan_from_bytes(bytes));
    drop(labels_from_bytes(bytes));
});
