//! What a benchmark is given and what it reports.

use std::io::Write;
use std::path::PathBuf;
use std::time::Instant;

use anyhow::Result;
use serde::Serialize;

/// What a run was asked for.
pub(crate) struct BenchArgs {
    /// The interpreter with the peers' libraries, if peers run.
    pub(crate) python: Option<PathBuf>,
    /// The one with 3D Slicer's core, which brings a VTK of its own.
    pub(crate) slicer: Option<PathBuf>,
    /// The app's release build.
    pub(crate) program: Option<PathBuf>,
}

impl BenchArgs {
    pub(crate) fn new(peers: bool) -> Self {
        let path = |name: &str| std::env::var_os(name).map(PathBuf::from);
        let peer = |name: &str| path(name).filter(|_| peers);
        Self {
            python: peer("VESTIBULE_PEERS_PYTHON"),
            slicer: peer("VESTIBULE_SLICER_PYTHON"),
            program: path("VESTIBULE_PROGRAM"),
        }
    }
}

/// One comparison.
#[derive(Debug, Serialize)]
pub(crate) struct Record {
    /// Which benchmark.
    pub(crate) name: String,
    /// What was worked on.
    pub(crate) size: String,
    /// Our seconds.
    pub(crate) ours_s: f64,
    /// Who else did it; none if not run.
    pub(crate) peer: Option<String>,
    /// Their seconds.
    pub(crate) peer_s: Option<f64>,
    /// Theirs over ours: more is better.
    pub(crate) ratio: Option<f64>,
    /// Of `figure`.
    pub(crate) unit: String,
    /// Our rate, or what else says most.
    pub(crate) figure: f64,
}

impl Record {
    pub(crate) fn new(name: &str, size: impl Into<String>, ours_s: f64, unit: &str, figure: f64) -> Self {
        Self {
            name: name.to_owned(),
            size: size.into(),
            ours_s,
            peer: None,
            peer_s: None,
            ratio: None,
            unit: unit.to_owned(),
            figure,
        }
    }

    /// Beside a peer's time, if it ran.
    pub(crate) fn beside(mut self, peer: &str, seconds: Option<f64>) -> Self {
        self.peer = seconds.map(|_| peer.to_owned());
        self.peer_s = seconds;
        self.ratio = seconds.map(|s| s / self.ours_s);
        self
    }

    pub(crate) fn print(&self) -> Result<()> {
        writeln!(std::io::stdout(), "{}", serde_json::to_string(self)?)?;
        Ok(())
    }
}

/// The shortest of `runs` times, in seconds.
pub(crate) fn best<T>(runs: usize, mut work: impl FnMut() -> Result<T>) -> Result<f64> {
    let mut best = f64::INFINITY;
    for _ in 0..runs {
        let start = Instant::now();
        let made = work()?;
        best = best.min(start.elapsed().as_secs_f64());
        drop(made);
    }
    Ok(best)
}

/// A folder or file of real scans, in `$VESTIBULE_DATA` or beside the checkout in which we run, or `None` with a word on stderr.
pub(crate) fn data(name: &str) -> Option<PathBuf> {
    let root = std::env::var_os("VESTIBULE_DATA").map_or_else(|| "../shared/data".into(), PathBuf::from);
    let path = root.join(name);
    if path.exists() {
        return Some(path);
    }
    eprintln!("bench: skipped, no {name} in {}; set VESTIBULE_DATA", root.display());
    None
}
