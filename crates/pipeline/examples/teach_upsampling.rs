//! Teaches the network of through-plane super-resolution on scans that are sharp within their slices.
//!
//! ```text
//! teach_upsampling WEIGHTS.safetensors SCAN… [--steps N] [--from WEIGHTS] [--check SCAN] [--seed N] [--contrasts own]
//!     [--channels N] [--blocks N] [--adversarial WEIGHT] [--minutes M] [--rate R] [--patience LINES]
//! teach_upsampling WEIGHTS.safetensors SCAN… --from WEIGHTS --fuse CHANNELS [--blocks N] [--steps N] [--minutes M] …
//! ```
//!
//! The second form leaves planes as they are and teaches what joins both directions of them, on scans whose voxels are about as
//! long as wide.
//!
//! Contrast is changed at random, for scans of other kinds, unless it is to stay the scans' own. Prints a table: step, mean loss, gain
//! in dB over spline and back-projection on fixed crops of the scans (and of `--check`), seconds. After every line it is put away as
//! `WEIGHTS.safetensors.csv` and as a picture, `.png`; then weights and `.checkpoint` are written. The same command goes on from
//! there, to the same bits. With `--patience` the best weights are kept, by the last gain of a line, and teaching stops after so many
//! lines without a better one. `vestibule models add` takes the result.

use std::collections::BTreeMap;
use std::error::Error;
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

use neural::super_resolution::{
    Draw, FusionConfig, FusionScan, PairOptions, SharpScan, SharpenTrainer, SharpenTraining, ThroughPlane,
    ThroughPlaneConfig, ThroughPlaneWeights,
};
use pipeline::Curve;
use volume::ScanVolume;

type Outcome<T> = Result<T, Box<dyn Error>>;

/// Voxels a slice in a half of the volumes from which joining is learnt: slices of 5 mm in a head of 0.67 mm.
const MOST_FACTOR: f64 = 7.5;

/// In the other half, by turns.
const OTHER_FACTORS: [f64; 3] = [3.0, 4.5, 6.0];

/// Blocks of 64 × 32 × 32 voxels, four a step.
const BLOCKS: PairOptions =
    PairOptions { planes: 4, crop: [64, 32], factor: [2.0, 8.0], other_contrasts: false, thickness: None };

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
    let scans = scans.iter().map(|path| read(Path::new(path))).collect::<Outcome<Vec<_>>>()?;
    let check = options.get("check").map(|path| read(Path::new(path))).transpose()?;
    let defaults = SharpenTraining::default();
    let training = SharpenTraining {
        steps: options.get("steps").map_or(Ok(defaults.steps), |n| n.parse())?,
        seed: options.get("seed").map_or(Ok(defaults.seed), |n| n.parse())?,
        learning_rate: options.get("rate").map_or(Ok(defaults.learning_rate), |n| n.parse())?,
        adversarial: options.get("adversarial").map(|w| w.parse()).transpose()?,
        pairs: PairOptions { other_contrasts: options.get("contrasts").is_none_or(|c| c != "own"), ..defaults.pairs },
    };
    let minutes: f64 = options.get("minutes").map_or(Ok(f64::INFINITY), |n| n.parse())?;
    let from = options.get("from").map(std::fs::read).transpose()?;
    let from = from.map(|bytes| ThroughPlaneWeights::from_bytes(&bytes)).transpose()?;
    let usual = ThroughPlaneConfig::default();
    let channels = options.get("channels").map_or(Ok(usual.channels), |n| n.parse())?;
    let blocks = options.get("blocks").map_or(Ok(usual.blocks), |n| n.parse())?;
    let patience = options.get("patience").map(|n| n.parse()).transpose()?;
    let leg = Leg { weights, minutes, patience };
    if let Some(channels) = options.get("fuse") {
        let from = from.ok_or("name the planes' weights with --from")?;
        let network = from.network()?;
        let all = scans.iter().enumerate().map(|(n, scan)| volumes(scan, n, &network));
        let all: Vec<FusionScan> = all.collect::<Outcome<Vec<_>>>()?.into_iter().flatten().collect();
        let training = SharpenTraining { pairs: BLOCKS, ..training };
        let trainer = SharpenTrainer::fusing(&from, FusionConfig { channels: channels.parse()?, blocks }, training)?;
        let check = check.map(|scan| volumes(&scan, 0, &network)).transpose()?;
        return leg.run(trainer, all.as_slice(), check.as_deref(), 8);
    }
    let planes = scans.iter().map(SharpScan::every_way).collect::<Result<Vec<_>, _>>()?.concat();
    let trainer = match from {
        Some(from) => SharpenTrainer::from_weights(&from, training)?,
        None => SharpenTrainer::new(&ThroughPlaneConfig { channels, blocks, ..usual }, training)?,
    };
    let check = check.map(|scan| SharpScan::every_way(&scan)).transpose()?;
    leg.run(trainer, planes.as_slice(), check.as_deref(), 32)
}

/// A line of the table.
struct Line {
    step: usize,
    loss: f64,
    /// Of the scans, and of what is checked.
    gains_db: Vec<f64>,
}

impl Line {
    fn parse(text: &str) -> Option<Self> {
        let mut cells = text.split(',');
        let (step, loss) = (cells.next()?.parse().ok()?, cells.next()?.parse().ok()?);
        Some(Self { step, loss, gains_db: cells.map(str::parse).collect::<Result<_, _>>().ok()? })
    }

    /// By which weights are judged.
    fn worth(&self) -> f64 {
        self.gains_db.last().copied().unwrap_or_default()
    }
}

/// A stretch of teaching.
struct Leg<'a> {
    weights: &'a str,
    minutes: f64,
    /// Lines.
    patience: Option<usize>,
}

impl Leg<'_> {
    fn run<D: Draw + ?Sized>(
        &self,
        trainer: SharpenTrainer,
        scans: &D,
        check: Option<&D>,
        looked_at: usize,
    ) -> Outcome<()> {
        let beside = |ending: &str| format!("{}.{ending}", self.weights);
        let (mut trainer, mut lines) = match std::fs::read(beside("checkpoint")) {
            Ok(bytes) => {
                let trainer = trainer.resume(&bytes)?;
                let table = std::fs::read_to_string(beside("csv")).unwrap_or_default();
                (trainer, table.lines().filter_map(Line::parse).collect::<Vec<Line>>())
            }
            Err(_) => (trainer, Vec::new()),
        };
        // Of a line that was put away just before the stop.
        lines.retain(|line| line.step <= trainer.step_count());
        let (start, mut out, mut losses) = (Instant::now(), std::io::stdout(), Vec::new());
        while trainer.step_count() < trainer.steps() {
            if self.patience.is_some_and(|patience| lines.len() - best(&lines) >= patience) {
                writeln!(out, "no better for {} steps", (lines.len() - best(&lines)) * EVERY)?;
                break;
            }
            losses.push(trainer.step(scans)?);
            let step = trainer.step_count();
            if step.is_multiple_of(EVERY) || step == trainer.steps() {
                let known = [Some(scans), check].into_iter().flatten();
                let rounded = |gain: f64| (gain * 1e4).round() / 1e4; // As it is put away.
                let gains = known.map(|s| trainer.gain_db(s, looked_at).map(rounded));
                let gains_db = gains.collect::<Result<Vec<f64>, _>>()?;
                let seconds = start.elapsed().as_secs_f64();
                let loss = losses.drain(..).sum::<f64>() / ((step - 1) % EVERY + 1) as f64;
                writeln!(out, "{step} {loss:.5} {gains_db:.3?} {seconds:.0}")?;
                out.flush()?;
                lines.push(Line { step, loss, gains_db });
                write(&beside("csv"), table(&lines).as_bytes())?;
                write(&beside("png"), &picture(&lines, trainer.steps())?)?;
                if self.patience.is_none() || best(&lines) == lines.len() {
                    write(self.weights, &trainer.weights()?.to_bytes()?)?;
                }
                // Last, so that what it does not know of is done again.
                write(&beside("checkpoint"), &trainer.checkpoint()?)?;
                if seconds > 60.0 * self.minutes && step < trainer.steps() {
                    writeln!(out, "not over yet; the same command goes on")?;
                    break;
                }
            }
        }
        Ok(())
    }
}

/// Lines up to the first that is best.
fn best(lines: &[Line]) -> usize {
    let most = lines.iter().map(Line::worth).fold(f64::MIN, f64::max);
    lines.iter().position(|line| line.worth() >= most).map_or(0, |at| at + 1)
}

fn table(lines: &[Line]) -> String {
    let cells = |line: &Line| line.gains_db.iter().map(|gain| format!(",{gain:.4}")).collect::<String>();
    let rows = lines.iter().map(|line| format!("{},{:.6}{}\n", line.step, line.loss, cells(line)));
    let checked = if lines.iter().any(|line| line.gains_db.len() > 1) { ",checked_gain_db" } else { "" };
    std::iter::once(format!("step,loss,gain_db{checked}\n")).chain(rows).collect()
}

fn picture(lines: &[Line], steps: usize) -> Outcome<Vec<u8>> {
    let curve = |name: &str, value: &dyn Fn(&Line) -> Option<f64>| Curve {
        name: name.to_owned(),
        points: lines.iter().filter_map(|line| Some([line.step as f64, value(line)?])).collect(),
    };
    let first = lines.first().map_or(1.0, |line| line.loss);
    let all = [
        curve("LOSS OVER FIRST", &|line| Some(line.loss / first)),
        curve("GAIN DB", &|line| line.gains_db.first().copied()),
        curve("CHECKED GAIN DB", &|line| line.gains_db.get(1).copied()),
    ];
    Ok(pipeline::curves(&all, "STEP", steps)?)
}

fn write(path: &str, bytes: &[u8]) -> Outcome<()> {
    let part = format!("{path}.part");
    std::fs::write(&part, bytes)?;
    Ok(std::fs::rename(&part, path)?)
}

/// Along each axis of the `n`th scan, averaged by the factor that counts most and by one of the others.
fn volumes(scan: &ScanVolume, n: usize, network: &ThroughPlane) -> Outcome<Vec<FusionScan>> {
    let factors =
        (0..3).flat_map(|axis| [(axis, MOST_FACTOR), (axis, OTHER_FACTORS[(axis + n) % OTHER_FACTORS.len()])]);
    Ok(factors.map(|(axis, factor)| FusionScan::new(scan, axis, factor, network)).collect::<Result<_, _>>()?)
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
