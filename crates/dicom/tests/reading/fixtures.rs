//! One image in every transfer syntax, packed by DCMTK and GDCM: `tests/oracle/make_fixtures.py`.

use std::path::{Path, PathBuf};

use dicom::{Finding, inspect, read_series};

use crate::synthetic::whole;

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

/// The formula of `make_fixtures.py`, rescaled.
fn expected(signed: bool, bits: u32) -> Vec<i16> {
    let value = |i: i32, j: i32| {
        let stored = (37 * i + 101 * j + i * j) % (1 << bits);
        (if signed { stored - (1 << (bits - 1)) } else { stored - 1024 }) as i16
    };
    (0..32).flat_map(|j| (0..40).map(move |i| value(i, j))).collect()
}

#[track_caller]
fn check(name: &str, expected: &[i16], tolerance: i16) {
    let inventory = inspect(&fixture(name)).unwrap();
    let scan = read_series(&inventory, 0).unwrap_or_else(|e| panic!("{name}: {e}"));
    let geometry = scan.volume.geometry();
    assert_eq!((geometry.size(), geometry.spacing()), ([40, 32, 1], [0.75, 0.5, 2.0]), "{name}");
    let worst = whole(&scan).iter().zip(expected).map(|(a, b)| (a - b).abs()).max();
    assert!(worst <= Some(tolerance), "{name}: off by up to {worst:?}");
    let lossy = scan.report.findings.contains(&Finding::LossyCompression);
    assert_eq!(lossy, tolerance > 0, "{name}: {:?}", scan.report.findings);
}

#[test]
fn every_lossless_syntax_gives_the_same_voxels() {
    for syntax in [
        "explicit",
        "implicit",
        "big_endian",
        "deflated",
        "rle",
        "jpeg_ls",
        "jpeg_2000",
        "jpeg_lossless_sv1",
        "high_bit",
    ] {
        check(&format!("{syntax}_signed.dcm"), &expected(true, 12), 0);
        check(&format!("{syntax}_unsigned.dcm"), &expected(false, 12), 0);
    }
    check("jpeg_lossless_sv6.dcm", &expected(false, 12), 0);
    check("no_preamble.dcm", &expected(false, 12), 0);
    check("eight_bits.dcm", &expected(false, 8), 0);
}

#[test]
fn lossy_jpeg_is_near_and_said_to_be_lossy() {
    // The pattern wraps from 255 to 0, which no cosine follows; DCMTK's own decoder is as far off.
    check("jpeg_baseline.dcm", &expected(false, 8), 60);
}

#[test]
fn twelve_bit_lossy_jpeg_is_refused_by_name() {
    let inventory = inspect(&fixture("jpeg_extended_12.dcm")).unwrap();
    let error = read_series(&inventory, 0).unwrap_err().to_string();
    assert!(error.contains("12-bit") && error.contains("jpeg_extended_12.dcm"), "{error}");
}
