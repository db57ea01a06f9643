//! From a DICOM series to a case, beside SimpleITK and VTK on the way to three surfaces.

use std::fs;
use std::time::Instant;

use anyhow::{Context, Result};
use pipeline::{BuildRequest, BuildSummary, Silent};

use crate::peer;
use crate::record::{BenchArgs, Record, data};

/// Runs after the first.
const WARM_RUNS: usize = 3;

/// A chest CT by `ct-basic`, without the cache: first call, then warm; time and peak memory.
pub(crate) fn run(arguments: &BenchArgs) -> Result<Vec<Record>> {
    let Some(scan) = data("ct-chest") else { return Ok(Vec::new()) };
    let folder = std::env::temp_dir().join(format!("vestibule-bench-{}", std::process::id()));
    let out = folder.join("case");
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let measured = measure(&BuildRequest {
        scan: scan.clone(),
        out,
        recipe: Some("ct-basic".to_owned()),
        no_cache: true,
        ..BuildRequest::default()
    });
    fs::remove_dir_all(&folder).with_context(|| format!("cannot remove {}", folder.display()))?;
    let Measured { first_s, warm_s, peak_mib, summary } = measured?;

    let answer = peer::run(arguments.python.as_deref(), "pipeline.py", [&scan])?;
    let theirs = peer::seconds(answer.as_ref(), "seconds");
    let their_mib = peer::seconds(answer.as_ref(), "peak_mib");
    let [i, j, k] = summary.size;
    let megavoxels = (i * j * k) as f64 / 1e6;
    let size = format!("ct-chest {i}×{j}×{k}, {} structures, 4 LODs, fidelity, report", summary.segments.len());
    let peer = "SimpleITK + VTK, 3 structures";
    let mut records = vec![
        Record::new("build", format!("{size}; first call"), first_s, "Mvoxel/s", megavoxels / first_s)
            .beside(peer, theirs),
        Record::new("build", format!("{size}; warm"), warm_s, "Mvoxel/s", megavoxels / warm_s).beside(peer, theirs),
    ];
    for stage in &summary.stages {
        eprintln!("bench: build {} {:.3} s", stage.stage, stage.seconds);
    }
    if let Some(ours_mib) = peak_mib {
        let unit = match their_mib {
            Some(theirs) => format!("MiB at the peak; the peer {theirs:.0}"),
            None => "MiB at the peak".to_owned(),
        };
        records.push(Record::new("build", "ct-chest, memory", first_s, &unit, ours_mib).beside(peer, theirs));
    }
    Ok(records)
}

struct Measured {
    first_s: f64,
    warm_s: f64,
    peak_mib: Option<f64>,
    /// Of the last run.
    summary: BuildSummary,
}

fn measure(request: &BuildRequest) -> Result<Measured> {
    let once = || -> Result<(f64, BuildSummary)> {
        let start = Instant::now();
        let summary = pipeline::build(request, &Silent)?;
        Ok((start.elapsed().as_secs_f64(), summary))
    };
    forget_peak();
    let (first_s, mut summary) = once()?;
    let peak_mib = peak_mib();
    let mut warm_s = f64::INFINITY;
    for _ in 0..WARM_RUNS {
        let (seconds, last) = once()?;
        warm_s = warm_s.min(seconds);
        summary = last;
    }
    Ok(Measured { first_s, warm_s, peak_mib, summary })
}

/// Makes the kernel count this process's peak anew (Linux, proc(5)); elsewhere nothing happens.
fn forget_peak() {
    let _ = fs::write("/proc/self/clear_refs", "5");
}

/// Peak resident memory since then.
fn peak_mib() -> Option<f64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|l| l.starts_with("VmHWM:"))?;
    line.split_whitespace().nth(1)?.parse::<f64>().ok().map(|kib| kib / 1024.0)
}
