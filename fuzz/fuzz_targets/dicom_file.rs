//! One file or zip: header, pixels, whatever its transfer syntax.
#![no_main]

use std::path::PathBuf;

use dicom::{inspect_memory, read_series};
use libfuzzer_sys::fuzz_target;

fuzz_target!(
    // A decoder that panics is an error of its frame; libfuzzer-sys's hook would abort before that is caught.
    init: drop(std::panic::take_hook()),
    |bytes: &[u8]| {
        let Ok(inventory) = inspect_memory(vec![(PathBuf::from("file"), bytes.to_vec())]) else { return };
        for series in 0..inventory.series.len() {
            if let Ok(scan) = read_series(&inventory, series) {
                assert!(scan.volume.geometry().voxel_count() > 0);
            }
        }
    }
);
