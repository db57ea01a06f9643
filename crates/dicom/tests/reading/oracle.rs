//! Real series, compared with what SimpleITK reads: `tests/oracle/simpleitk.py`.

use std::fmt::Write;
use std::path::PathBuf;

use dicom::{inspect, read_series};
use serde_json::Value;
use sha2::{Digest, Sha256};
use volume::ScanVolume;

const TOLERANCE: f64 = 1e-4;

/// `$VESTIBULE_DATA`, or the shared data beside the workspace.
pub(crate) fn data() -> Option<PathBuf> {
    let data = std::env::var_os("VESTIBULE_DATA").map_or_else(|| "../../../shared/data".into(), PathBuf::from);
    if data.is_dir() {
        return Some(data);
    }
    eprintln!("skipped: no data at {}; set VESTIBULE_DATA", data.display());
    None
}

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|n| n.as_f64().unwrap()).collect()
}

fn sha256(volume: &ScanVolume) -> (&'static str, String) {
    let mut hash = Sha256::new();
    let kind = match volume {
        ScanVolume::I16(volume) => {
            volume.data().iter().for_each(|v| hash.update(v.to_le_bytes()));
            "int16"
        }
        ScanVolume::F32(volume) => {
            volume.data().iter().for_each(|v| hash.update(v.to_le_bytes()));
            "float32"
        }
    };
    let mut text = String::new();
    hash.finalize().iter().for_each(|byte| write!(text, "{byte:02x}").unwrap());
    (kind, text)
}

#[test]
fn geometry_and_every_voxel_equal_simpleitk() {
    let Some(data) = data() else { return };
    let oracle: Value = serde_json::from_str(include_str!("../oracle/simpleitk.json")).unwrap();
    for (folder, expected) in oracle["series"].as_object().unwrap() {
        let inventory = inspect(&data.join(folder)).unwrap();
        let series = inventory.series.iter().position(|s| s.obstacle.is_none()).unwrap();
        let scan = read_series(&inventory, series).unwrap();
        let geometry = scan.volume.geometry();
        let near = |found: &[f64], key: &str| {
            let expected = numbers(&expected[key]);
            let equal = found.iter().zip(&expected).all(|(a, b)| (a - b).abs() < TOLERANCE);
            assert!(equal && found.len() == expected.len(), "{folder}: {key} is {found:?}, SimpleITK has {expected:?}");
        };
        near(&geometry.size().map(|n| n as f64), "size");
        near(&geometry.spacing(), "spacing");
        near(&geometry.origin().get().to_array(), "origin");
        near(&geometry.direction().to_cols_array(), "direction_columns");
        let (kind, sha256) = sha256(&scan.volume);
        assert_eq!(kind, expected["type"].as_str().unwrap(), "{folder}");
        assert_eq!(sha256, expected["sha256"].as_str().unwrap(), "{folder}: voxels differ");
        assert!(!scan.report.resampled, "{folder}");
    }
}
