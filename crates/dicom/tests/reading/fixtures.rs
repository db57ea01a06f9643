//! One image in every transfer syntax, packed by DCMTK and GDCM: `tests/oracle/make_fixtures.py`.

use std::path::{Path, PathBuf};

use dicom::{Finding, inspect, read_series};

use crate::synthetic::whole;

fn fixture(name: &str) -> PathBuf {
    Path::new("tests/fixtures").join(name)
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
fn lossy_jpeg_is_what_gdcm_decodes() {
    for (name, tolerance) in [("jpeg_baseline", 1), ("jpeg_extended_12", 1)] {
        let bytes = std::fs::read(fixture(&format!("{name}.i16"))).unwrap();
        let expected: Vec<i16> = bytes.chunks_exact(2).map(|b| i16::from_le_bytes([b[0], b[1]])).collect();
        check(&format!("{name}.dcm"), &expected, tolerance);
    }
}
