//! A folder of files, parted in the input by a mark: grouping, layout and resampling.
#![no_main]

use std::path::PathBuf;

use dicom::{inspect_memory, read_series};
use libfuzzer_sys::fuzz_target;

/// Where one file ends and the next begins: the end of a preamble.
const MAGIC: &[u8] = b"DICM";

fuzz_target!(
    // A decoder that panics is an error of its frame; libfuzzer-sys's hook would abort before that is caught.
    init: drop(std::panic::take_hook()),
    |bytes: &[u8]| {
        let starts: Vec<usize> = bytes.windows(4).enumerate().filter(|(_, w)| *w == MAGIC).map(|(n, _)| n).collect();
        let ends = starts.iter().skip(1).copied().chain([bytes.len()]);
        let files = starts.iter().zip(ends).take(64).enumerate().map(|(n, (from, to))| {
            let mut file = vec![0; 128];
            file.extend_from_slice(&bytes[*from..to]);
            (PathBuf::from(format!("{n:02}")), file)
        });
        let Ok(inventory) = inspect_memory(files.collect()) else { return };
        for (n, summary) in inventory.series.iter().enumerate() {
            let read = read_series(&inventory, n);
            // What is announced is what is read.
            if let (Some(geometry), Ok(scan)) = (summary.geometry, read) {
                assert_eq!(geometry, *scan.volume.geometry());
            }
        }
    }
);
