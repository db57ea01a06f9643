//! Prints what is in a folder, file or zip, reads it, and says how long it took (best of several). usage: read PATH [RUNS]
use std::error::Error;
use std::io::{Write, stdout};
use std::path::PathBuf;
use std::time::Instant;

use dicom::{inspect, read_segmentation, read_series};
use volume::ScanVolume;

fn main() -> Result<(), Box<dyn Error>> {
    let path = PathBuf::from(std::env::args().nth(1).ok_or("usage: read PATH [RUNS]")?);
    let runs = std::env::args().nth(2).map_or(Ok(3), |text| text.parse::<usize>())?;
    let mut out = stdout().lock();
    let inventory = inspect(&path)?;
    for file in &inventory.skipped {
        writeln!(out, "skipped {}: {}", file.path.display(), file.reason)?;
    }
    for (n, series) in inventory.series.iter().enumerate() {
        writeln!(
            out,
            "{} {} {:?} {:?} {} files, contrast {}",
            series.selector(),
            series.modality,
            series.description,
            series.body_part,
            series.files,
            series.contrast
        )?;
        if let Some(g) = series.geometry {
            writeln!(out, "  {:?} {:?} {:?} {:?}", g.size(), g.spacing(), g.origin(), g.direction().to_cols_array())?;
        }
        series.findings.iter().try_for_each(|finding| writeln!(out, "  {finding}"))?;
        if let Some(obstacle) = &series.obstacle {
            writeln!(out, "  no volume: {obstacle}")?;
            continue;
        }
        let scan = read_series(&inventory, n)?;
        let mut best = f64::INFINITY;
        for _ in 0..runs {
            let start = Instant::now();
            let scan = read_series(&inspect(&path)?, n)?;
            best = best.min(start.elapsed().as_secs_f64());
            drop(scan);
        }
        let kind = if matches!(scan.volume, ScanVolume::I16(_)) { "i16" } else { "f32" };
        writeln!(out, "  {kind}, window {:?}, padding {:?}, {:?}", scan.window, scan.padding, scan.identity)?;
        writeln!(out, "  inspected and read in {best:.4} s; segmentations {:?}", inventory.segmentations_of(n))?;
    }
    for (n, summary) in inventory.segmentations.iter().enumerate() {
        writeln!(out, "segmentation {n}: {} frames of {:?}", summary.frames, summary.size)?;
        let target = inventory.series.first().and_then(|series| series.geometry);
        for target in [None, target.as_ref()] {
            let labels = read_segmentation(&inventory, n, target)?;
            writeln!(out, "  on {:?}: {:?}", labels.geometry().size(), labels.counts())?;
            if target.is_none() {
                labels.segments.values().try_for_each(|segment| writeln!(out, "  {segment:?}"))?;
            }
        }
    }
    Ok(())
}
