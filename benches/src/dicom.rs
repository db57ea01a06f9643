//! Reading a series, beside SimpleITK.

use anyhow::{Context, Result};

use crate::peer;
use crate::record::{BenchArgs, Record, best, data};

/// Real series, warm in the page cache.
pub(crate) fn run(arguments: &BenchArgs) -> Result<Vec<Record>> {
    let mut records = Vec::new();
    for name in ["ct-chest", "mr-head-t1"] {
        let Some(folder) = data(name) else { continue };
        let mut slices = 0;
        let seconds = best(5, || {
            let inventory = dicom::inspect(&folder)?;
            let scan = dicom::read_series(&inventory, 0)?;
            slices = scan.volume.geometry().size()[2];
            Ok(scan)
        })
        .with_context(|| format!("reading {name}"))?;
        let answer = peer::run(arguments.python.as_deref(), "read_dicom.py", [&folder])?;
        let theirs = peer::seconds(answer.as_ref(), "seconds");
        let size = format!("{name}, {slices} slices");
        records
            .push(Record::new("dicom", size, seconds, "slices/s", slices as f64 / seconds).beside("SimpleITK", theirs));
    }
    Ok(records)
}
