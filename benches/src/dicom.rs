//! Reading a series, beside SimpleITK and pydicom.

use std::path::Path;

use ::dicom::{CtOptions, InventedPatient, inspect, read_series, write_ct_series};
use anyhow::{Context, Result};

use crate::generated;
use crate::peer;
use crate::record::{BenchArgs, Record, best, data};
use crate::scratch::Scratch;

/// Real series and a larger one that is made up, warm in the page cache.
pub(crate) fn run(arguments: &BenchArgs) -> Result<Vec<Record>> {
    let mut records = Vec::new();
    for name in ["ct-chest", "mr-head-t1"] {
        if let Some(folder) = data(name) {
            records.extend(series(arguments, name, &folder)?);
        }
    }
    let scratch = Scratch::new()?;
    let folder = scratch.path("series");
    let scan = generated::hounsfield(&generated::dense_labels()?)?;
    let patient = InventedPatient {
        name: "Vestibule^Bench".to_owned(),
        id: "BENCH-1".to_owned(),
        birth_date: "19810401".to_owned(),
        sex: "O".to_owned(),
        accession: "VB1".to_owned(),
    };
    write_ct_series(&folder, &scan, &patient, &CtOptions::default())?;
    drop(scan);
    records.extend(series(arguments, "generated, uncompressed", &folder)?);
    Ok(records)
}

fn series(arguments: &BenchArgs, name: &str, folder: &Path) -> Result<Vec<Record>> {
    let mut size = [0; 3];
    let seconds = best(5, || {
        let scan = read_series(&inspect(folder)?, 0)?;
        size = scan.volume.geometry().size();
        Ok(scan)
    })
    .with_context(|| format!("reading {name}"))?;
    let answer = peer::run(arguments.python.as_deref(), "read_dicom.py", [folder])?;
    let [i, j, slices] = size;
    let record = |library: &str, key: &str| {
        let version = answer.as_ref().and_then(|a| a["versions"][library].as_str()).unwrap_or("?");
        Record::new("dicom", format!("{name}, {slices} × {i}×{j}"), seconds, "slices/s", slices as f64 / seconds)
            .beside(&format!("{library} {version}"), peer::seconds(answer.as_ref(), key))
    };
    Ok(vec![record("SimpleITK", "simpleitk_s"), record("pydicom", "pydicom_s")])
}
