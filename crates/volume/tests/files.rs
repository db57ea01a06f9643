//! Files of other programs, against what SimpleITK reads from them (`tests/oracle/volumes.py`).
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "tests may fail loudly and say what they measured")]

use std::path::{Path, PathBuf};

use space::Point;
use volume::{ScanVolume, formats, terminology};

const EXPECTED: &str = include_str!("oracle/volumes.tsv");

/// Real scans: `$VESTIBULE_DATA`, else `shared/data` beside the workspace's folder.
fn data() -> Option<PathBuf> {
    let folder = std::env::var_os("VESTIBULE_DATA").map_or_else(|| "../../../shared/data".into(), PathBuf::from);
    let found = folder.is_dir().then_some(folder);
    if found.is_none() {
        eprintln!("skipped: no real data; set VESTIBULE_DATA to its folder");
    }
    found
}

/// CRC-32 of all values as little-endian `f32`.
fn checksum(scan: &ScanVolume) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    for at in 0..scan.geometry().voxel_count() {
        hasher.update(&scan.value(at).to_le_bytes());
    }
    hasher.finalize()
}

#[track_caller]
fn check(path: &Path, line: &str) {
    let columns: Vec<&str> = line.split('\t').collect();
    let numbers = |n: usize| columns[n].split(' ').map(|x| x.parse().expect("a number")).collect::<Vec<f64>>();
    let scan = formats::read_scan(path).unwrap_or_else(|e| panic!("{line}: {e}"));
    let geometry = scan.geometry();
    let d = geometry.direction().transpose().to_cols_array();
    let size = geometry.size().map(|s| s as f64);
    let origin = geometry.origin().get().to_array();
    for (name, found, expected) in [
        ("size", &size[..], numbers(1)),
        ("spacing", &geometry.spacing()[..], numbers(2)),
        ("origin", &origin[..], numbers(3)),
        ("direction", &d[..], numbers(4)),
    ] {
        let equal = found.len() == expected.len() && found.iter().zip(&expected).all(|(a, b)| (a - b).abs() < 1e-4);
        assert!(equal, "{}: {name} is {found:?} instead of {expected:?}", columns[0]);
    }
    assert_eq!(format!("{:08x}", checksum(&scan)), columns[5], "{}: voxels", columns[0]);
    assert_eq!(formats::inspect(path).expect("a header").geometry, *geometry, "{}", columns[0]);
}

#[test]
fn golden_files_read_as_simpleitk_reads_them() {
    let folder = Path::new("tests/golden");
    let lines: Vec<_> = EXPECTED.lines().filter_map(|l| Some((l, l.strip_prefix("golden/")?))).collect();
    assert_eq!(lines.len(), 11);
    for (line, rest) in lines {
        check(&folder.join(rest.split('\t').next().expect("a name")), line);
    }
}

#[test]
fn real_files_read_as_simpleitk_reads_them() {
    let Some(folder) = data() else { return };
    for (line, rest) in EXPECTED.lines().filter_map(|l| Some((l, l.strip_prefix("data/")?))) {
        check(&folder.join(rest.split('\t').next().expect("a name")), line);
    }
}

#[test]
fn torso_labels_have_names_and_lie_where_they_should() {
    let Some(folder) = data() else { return };
    let map = formats::read_labels(&folder.join("torso-labels/s0327_labels.nii.gz")).expect("labels");
    assert_eq!(map.segments.len(), 108);
    assert!(map.counts().keys().all(|l| map.segments.contains_key(l)), "a label without a name");
    let geometry = *map.geometry();
    let centre = |name: &str| {
        let label = map.segments.values().find(|s| s.name == name).unwrap_or_else(|| panic!("{name}")).label;
        let [ni, nj, _] = geometry.size();
        let (mut sum, mut n) = (glam::DVec3::ZERO, 0.0);
        for (at, _) in map.voxels.data().iter().enumerate().filter(|(_, l)| **l == label) {
            sum += glam::DVec3::new((at % ni) as f64, (at / ni % nj) as f64, (at / ni / nj) as f64);
            n += 1.0;
        }
        geometry.lps_from_index() * Point::from(sum / n)
    };
    // LPS: left, posterior, superior are positive.
    assert!(centre("kidney_left").x > centre("kidney_right").x);
    assert!(centre("spleen").x > centre("liver").x);
    assert!(centre("vertebrae_L3").y > centre("stomach").y);
    assert!(centre("heart").z > centre("urinary_bladder").z);
    for side in ["left", "right"] {
        let segment = format!("kidney_{side}");
        assert_eq!(terminology::find(&segment).map(|s| s.display.to_lowercase()), Some(format!("{side} kidney")));
    }
}
