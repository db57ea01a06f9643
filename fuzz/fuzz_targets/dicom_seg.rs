//! A DICOM SEG, on its own grid.
#![no_main]

use std::path::PathBuf;

use dicom::{inspect_memory, read_segmentation};
use libfuzzer_sys::fuzz_target;

fuzz_target!(
    // A decoder that panics is an error of its frame; libfuzzer-sys's hook would abort before that is caught.
    init: drop(std::panic::take_hook()),
    |bytes: &[u8]| {
        let Ok(inventory) = inspect_memory(vec![(PathBuf::from("seg"), bytes.to_vec())]) else { return };
        for index in 0..inventory.segmentations.len() {
            if let Ok(labels) = read_segmentation(&inventory, index, None) {
                for label in labels.counts().keys() {
                    let owned = |s: &volume::Segment| s.label == *label || s.parts.contains(label);
                    assert!(labels.segments.values().any(owned), "label {label} belongs to nothing");
                }
            }
        }
    }
);
