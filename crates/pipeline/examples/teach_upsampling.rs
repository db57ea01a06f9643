//! Teaches the network of through-plane super-resolution on scans that are sharp within their slices.
//!
//! ```text
//! teach_upsampling WEIGHTS.safetensors SCAN… [--steps N] [--from WEIGHTS] [--check SCAN] [--seed N] [--contrasts own]
//!     [--channels N] [--blocks N] [--adversarial WEIGHT]
//!     [--minutes M]
//! ```
//!
//! Contrast is changed at random, for scans of other kinds, unless it is to stay the scans' own. Prints a table: step, mean loss, gain in dB over spline and back-projection on fixed crops of the scans (and of `--check`), seconds.
//! After every line weights and `WEIGHTS.safetensors.checkpoint` are written; the same command goes on from there, to the same bits.
//! `vestibule models add` takes the result.

use std::collections::BTreeMap;
use std::error::Error;
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

use neural::super_resolution::{
    PairOptions, SharpScan, SharpenTrainer, SharpenTraining, ThroughPlaneConfig, ThroughPlaneWeights,
};
use volume::ScanVolume;

type Outcome<T> = Result<T, Box<dyn Error>>;

/// Steps between lines of the table, and between weights that are put away.
const EVERY: usize = 100;

fn main() -> ExitCode {
    let (mut free, mut options) = (Vec::new(), BTreeMap::new());
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        match word.strip_prefix("--") {
            Some(name) => drop(options.insert(name.to_owned(), words.next().unwrap_or_default())),
            None => free.push(word),
        }
    }
    match teach(&free, &options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _closed_pipe = writeln!(std::io::stderr(), "error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn teach(free: &[String], options: &BTreeMap<String, String>) -> Outcome<()> {
    let [weights, scans @ ..] = free else { return Err("name the weights to write, and scans".into()) };
    let scans = scans.iter().map(|path| sharp(path)).collect::<Outcome<Vec<_>>>()?.concat();
    let check = options.get("check").map(|path| sharp(path)).transpose()?.unwrap_or_default();
    let defaults = SharpenTraining::default();
    let training = SharpenTraining {
        steps: options.get("steps").map_or(Ok(defaults.steps), |n| n.parse())?,
        seed: options.get("seed").map_or(Ok(defaults.seed), |n| n.parse())?,
        adversarial: options.get("adversarial").map(|w| w.parse()).transpose()?,
        pairs: PairOptions { other_contrasts: options.get("contrasts").is_none_or(|c| c != "own"), ..defaults.pairs },
        ..defaults
    };
    let minutes: f64 = options.get("minutes").map_or(Ok(f64::INFINITY), |n| n.parse())?;
    let from = options.get("from").map(std::fs::read).transpose()?;
    let from = from.map(|bytes| ThroughPlaneWeights::from_bytes(&bytes)).transpose()?;
    let usual = ThroughPlaneConfig::default();
    let channels = options.get("channels").map_or(Ok(usual.channels), |n| n.parse())?;
    let blocks = options.get("blocks").map_or(Ok(usual.blocks), |n| n.parse())?;
    let config = from.as_ref().map_or(ThroughPlaneConfig { channels, blocks, ..usual }, |f| f.config.clone());
    let checkpoint = format!("{weights}.checkpoint");
    let mut trainer = match (std::fs::read(&checkpoint), from) {
        (Ok(bytes), _) => SharpenTrainer::resume(&config, training, &bytes)?,
        (Err(_), Some(from)) => SharpenTrainer::from_weights(&from, training)?,
        (Err(_), None) => SharpenTrainer::new(&config, training)?,
    };
    let (start, mut out, mut losses) = (Instant::now(), std::io::stdout(), Vec::new());
    while trainer.step_count() < trainer.steps() {
        losses.push(trainer.step(&scans)?);
        let step = trainer.step_count();
        if step.is_multiple_of(EVERY) || step == trainer.steps() {
            let known = [&scans, &check].into_iter().filter(|s| !s.is_empty());
            let gains = known.map(|s| trainer.gain_db(s, 32)).collect::<Result<Vec<f64>, _>>()?;
            let seconds = start.elapsed().as_secs_f64();
            let loss = losses.drain(..).sum::<f64>() / ((step - 1) % EVERY + 1) as f64;
            writeln!(out, "{step} {loss:.5} {gains:.3?} {seconds:.0}")?;
            out.flush()?;
            for (path, bytes) in [(weights, trainer.weights()?.to_bytes()?), (&checkpoint, trainer.checkpoint()?)] {
                let part = format!("{path}.part");
                std::fs::write(&part, bytes)?;
                std::fs::rename(&part, path)?;
            }
            if seconds > 60.0 * minutes {
                writeln!(out, "not over yet; the same command goes on")?;
                break;
            }
        }
    }
    Ok(())
}

fn sharp(path: &str) -> Outcome<Vec<SharpScan>> {
    Ok(SharpScan::every_way(&read(Path::new(path))?)?)
}

fn read(path: &Path) -> Outcome<ScanVolume> {
    if path.is_file() && volume::formats::detect(path)?.is_some() {
        return Ok(volume::formats::read_scan(path)?);
    }
    let inventory = dicom::inspect(path)?;
    let voxels = |at: usize| inventory.series[at].geometry.as_ref().map(volume::ImageGeometry::voxel_count);
    let volumes = (0..inventory.series.len()).filter(|&at| voxels(at).is_some());
    let largest = volumes.max_by_key(|&at| voxels(at)).ok_or("no series here is a volume")?;
    Ok(dicom::read_series(&inventory, largest)?.volume)
}
