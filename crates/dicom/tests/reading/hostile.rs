//! Files that are damaged, or lie, or are something else: an error each, and no memory that the file could not fill.

use std::path::{Path, PathBuf};

use dicom::{DicomError, Obstacle, SkipReason, inspect, inspect_memory, read_segmentation, read_series};
use dicom_core::VR;
use dicom_dictionary_std::{tags, uids};
use proptest::prelude::*;

use crate::synthetic::{Image, axial, files};

fn one(bytes: Vec<u8>) -> Vec<(PathBuf, Vec<u8>)> {
    vec![(PathBuf::from("a.dcm"), bytes)]
}

/// Reads all there is; panics are what this is about.
fn read_all(files: Vec<(PathBuf, Vec<u8>)>) -> Result<(), DicomError> {
    let inventory = inspect_memory(files)?;
    for n in 0..inventory.series.len() {
        read_series(&inventory, n)?;
    }
    for n in 0..inventory.segmentations.len() {
        read_segmentation(&inventory, n, None)?;
    }
    Ok(())
}

#[track_caller]
fn check_refused(files: Vec<(PathBuf, Vec<u8>)>, words: &[&str]) {
    let error = read_all(files).expect_err("must be refused").to_string();
    for word in words {
        assert!(error.contains(word), "`{word}` is missing in: {error}");
    }
}

#[test]
fn an_empty_folder_a_text_and_a_missing_path_say_so() {
    let dir = tempfile::tempdir().unwrap();
    let error = inspect(dir.path()).unwrap_err();
    assert!(matches!(error, DicomError::Empty { .. }), "{error}");
    let text = dir.path().join("notes.txt");
    std::fs::write(&text, "Nothing to see here, only a long enough line of text.\n".repeat(9)).unwrap();
    for path in [dir.path(), &text] {
        let error = inspect(path).unwrap_err();
        assert!(matches!(error, DicomError::NotDicom { files: 1, .. }), "{error}");
    }
    let error = inspect(Path::new("/nowhere/at/all")).unwrap_err();
    assert!(matches!(error, DicomError::Read { .. }), "{error}");
}

#[test]
fn an_x_ray_is_called_one() {
    let mut image = Image { sop_class: uids::COMPUTED_RADIOGRAPHY_IMAGE_STORAGE, modality: "CR", ..Image::default() };
    image.without = vec![tags::IMAGE_POSITION_PATIENT, tags::IMAGE_ORIENTATION_PATIENT];
    check_refused(vec![image.file()], &["X-ray", "CT or MR", "0001.dcm"]);
}

#[test]
fn missing_attributes_are_named() {
    for (tag, name) in [
        (tags::IMAGE_POSITION_PATIENT, "Image Position (Patient)"),
        (tags::IMAGE_ORIENTATION_PATIENT, "Image Orientation (Patient)"),
        (tags::PIXEL_SPACING, "Pixel Spacing"),
        (tags::ROWS, "Rows"),
        (tags::BITS_ALLOCATED, "Bits Allocated"),
        (tags::PIXEL_DATA, "no pixel data"),
    ] {
        check_refused(vec![Image { without: vec![tag], ..Image::default() }.file()], &[name]);
    }
}

#[test]
fn a_file_cut_anywhere_is_an_error() {
    let whole = Image::default().bytes();
    for cut in (0..whole.len()).step_by(7) {
        assert!(read_all(one(whole[..cut].to_vec())).is_err(), "cut at {cut} of {}", whole.len());
    }
    let mut series = files(&axial(&[0.0, 1.0, 2.0], |_| 0.0));
    let length = series[1].1.len();
    series[1].1.truncate(length - 50);
    let inventory = inspect_memory(series.clone()).unwrap();
    assert!(matches!(inventory.series[0].obstacle, Some(Obstacle::Damaged { .. })));
    assert_eq!(inventory.series[0].findings, [], "what keeps it from being a volume was not left out");
    check_refused(series, &["cut short", "0002.dcm", "take it out"]);
}

#[test]
fn sizes_beyond_the_file_are_refused() {
    let large = Image { rows: 65535, columns: 65535, ..Image::default() };
    check_refused(vec![large.file()], &["65535 rows × 65535 columns"]);
    let mut frames = Image::default();
    frames.extra.push((tags::NUMBER_OF_FRAMES, VR::IS, "2000000000".to_owned()));
    check_refused(vec![frames.file()], &["2000000000 frames"]);
}

#[test]
fn lengths_beyond_the_file_are_refused() {
    let bytes = Image::default().bytes();
    // The last 4-byte length before the pixels is theirs.
    let at = bytes.len() - 240 - 4;
    for length in [0xFFFF_FFF0u32, 0x7FFF_FFFF, 1000] {
        let mut bytes = bytes.clone();
        bytes[at..at + 4].copy_from_slice(&length.to_le_bytes());
        assert!(read_all(one(bytes)).is_err(), "{length}");
    }
}

#[test]
fn sequences_nested_without_end_are_refused() {
    let mut bytes = vec![0; 128];
    bytes.extend(b"DICM");
    bytes.extend([8, 0, 0x16, 0, b'U', b'I', 2, 0, b'1', 0]);
    for _ in 0..100_000 {
        bytes.extend([8, 0, 0x40, 0x11, b'S', b'Q', 0, 0, 0xFF, 0xFF, 0xFF, 0xFF]);
        bytes.extend([0xFE, 0xFF, 0, 0xE0, 0xFF, 0xFF, 0xFF, 0xFF]);
    }
    check_refused(one(bytes), &["nest deeper"]);
}

#[test]
fn a_compressed_frame_of_another_size_is_refused() {
    let fixtures = Path::new("tests/fixtures");
    for name in ["jpeg_2000_signed", "jpeg_ls_signed", "jpeg_lossless_sv6", "rle_signed", "jpeg_baseline"] {
        let original = std::fs::read(fixtures.join(format!("{name}.dcm"))).unwrap();
        let rows = [0x28, 0, 0x10, 0, b'U', b'S', 2, 0];
        let at = original.windows(8).position(|w| w == rows).unwrap() + 8;
        for size in [31u16, 33, 4000, 65535] {
            let mut bytes = original.clone();
            bytes[at..at + 2].copy_from_slice(&size.to_le_bytes());
            assert!(size < 33 && name == "rle_signed" || read_all(one(bytes)).is_err(), "{name} with {size} rows");
        }
    }
}

#[test]
fn damaged_compressed_frames_are_errors_not_panics() {
    let fixtures = Path::new("tests/fixtures");
    for name in ["jpeg_2000_signed", "jpeg_ls_signed", "jpeg_lossless_sv6", "rle_signed", "jpeg_baseline"] {
        let original = std::fs::read(fixtures.join(format!("{name}.dcm"))).unwrap();
        for cut in (original.len() / 2..original.len()).step_by(61) {
            drop(read_all(one(original[..cut].to_vec())));
            let mut flipped = original.clone();
            flipped[cut] ^= 0x55;
            drop(read_all(one(flipped)));
        }
    }
}

#[test]
fn a_zip_that_is_none_is_refused() {
    check_refused(one(b"PK\x03\x04 and nothing more of it".to_vec()), &["zip", "unpack"]);
}

#[test]
fn a_report_beside_nothing_else_is_no_image() {
    let mut image = Image { sop_class: "1.2.840.10008.5.1.4.1.1.88.11", ..Image::default() };
    image.without = vec![tags::PIXEL_DATA, tags::ROWS];
    let Err(DicomError::NoImages { reason, .. }) = inspect_memory(vec![image.file()]) else { panic!("a report") };
    assert!(reason.contains("structured report"), "{reason}");
    let mut both = files(&axial(&[0.0, 1.0], |_| 0.0));
    both.push(("report".into(), image.bytes()));
    let inventory = inspect_memory(both).unwrap();
    assert!(matches!(inventory.skipped[0].reason, SkipReason::NotAnImage { .. }), "{:?}", inventory.skipped);
}

#[test]
fn absurd_geometry_is_refused() {
    for (field, value) in [("position", f64::MAX), ("spacing", 0.0), ("orientation", 0.5)] {
        let mut image = Image::default();
        match field {
            "position" => image.extra.push((tags::IMAGE_POSITION_PATIENT, VR::DS, "1e300\\0\\0".to_owned())),
            "spacing" => image.spacing = [value, 1.0],
            _ => image.orientation = [value; 6],
        }
        let inventory = inspect_memory(vec![image.file()]).unwrap();
        assert!(matches!(inventory.series[0].obstacle, Some(Obstacle::NoGeometry { .. })), "{field}");
    }
    // Two slices side by side and one a kilometre away.
    let far = axial(&[0.0, 0.01, 900_000.0], |_| 0.0);
    drop(read_all(files(&far)));
}

/// Files that fuzzing found to matter, or that were made by hand to; see `fuzz/README.md`.
#[test]
fn what_fuzzing_found_stays_found() {
    let mut entries: Vec<PathBuf> =
        std::fs::read_dir("tests/hostile").unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    for path in entries {
        let bytes = std::fs::read(&path).unwrap();
        drop(read_all(one(bytes.clone())));
        // The series target parts its input so.
        let magics = bytes.windows(4).enumerate().filter(|(_, w)| *w == b"DICM").map(|(n, _)| n);
        let starts: Vec<usize> = magics.collect();
        let ends = starts.iter().skip(1).copied().chain([bytes.len()]);
        let file = |(from, to): (&usize, usize)| [&[0; 128], &bytes[*from..to]].concat();
        let named = |(n, bytes): (usize, Vec<u8>)| (PathBuf::from(n.to_string()), bytes);
        drop(read_all(starts.iter().zip(ends).map(file).enumerate().map(named).collect()));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]
    #[test]
    fn no_change_of_bytes_makes_it_panic(changes in proptest::collection::vec((0usize..1200, any::<u8>()), 1..12)) {
        let mut bytes = Image::default().bytes();
        for (at, value) in changes {
            let length = bytes.len();
            bytes[at % length] = value;
        }
        drop(read_all(one(bytes)));
    }
}
