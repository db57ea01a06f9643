//! Teaches, measures and runs through-plane super-resolution.
//!
//! ```text
//! upsample teach WEIGHTS SCAN… [--steps N] [--channels N] [--from WEIGHTS] [--check SCAN] [--seed N] [--rate R] [--adversarial W] [--own]
//! upsample measure SCAN --slices MM [--weights WEIGHTS] [--fine-tune N] [--cut N] [--out STEM]
//! upsample run SCAN OUT.nii.gz --spacing MM --weights WEIGHTS [--fine-tune N]
//! ```
//!
//! `teach` prints a table: step, loss, gain in dB over the spline on fixed crops (and on those of --check SCAN), seconds; `measure` averages the scan down along its last axis to slices MM
//! thick, brings it back, and prints PSNR and SSIM against the scan in the box around all that is not air.

use std::collections::BTreeMap;
use std::error::Error;
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

use neural::super_resolution::{
    PairOptions, SharpScan, SharpenTrainer, SharpenTraining, ThroughPlaneConfig, ThroughPlaneWeights, UpsampleOptions,
    average_down, slice_axis, upsample_onto,
};
use volume::{ScanVolume, Volume};

type Outcome<T> = Result<T, Box<dyn Error>>;

fn main() -> ExitCode {
    let mut words = std::env::args().skip(1);
    let verb = words.next().unwrap_or_default();
    let (mut free, mut options) = (Vec::new(), BTreeMap::new());
    while let Some(word) = words.next() {
        match word.strip_prefix("--") {
            Some("own") => {
                options.insert("own".to_owned(), String::new());
            }
            Some(name) => {
                options.insert(name.to_owned(), words.next().unwrap_or_default());
            }
            None => free.push(word),
        }
    }
    let arguments = Arguments { free, options };
    let outcome = match verb.as_str() {
        "teach" => teach(&arguments),
        "measure" => measure(&arguments),
        "run" => run(&arguments),
        _ => Err("usage: upsample teach|measure|run …; see the head of its source".into()),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "error: {error}");
            ExitCode::FAILURE
        }
    }
}

struct Arguments {
    free: Vec<String>,
    options: BTreeMap<String, String>,
}

impl Arguments {
    fn number<T: std::str::FromStr>(&self, name: &str, default: T) -> Outcome<T> {
        match self.options.get(name) {
            Some(text) => text.parse().map_err(|_wrong| format!("--{name} {text} is no number").into()),
            None => Ok(default),
        }
    }

    fn path(&self, at: usize) -> Outcome<&Path> {
        Ok(Path::new(self.free.get(at).ok_or("too few arguments")?))
    }
}

fn read(path: &Path) -> Outcome<ScanVolume> {
    if path.is_file() && volume::formats::detect(path)?.is_some() {
        return Ok(volume::formats::read_scan(path)?);
    }
    let inventory = dicom::inspect(path)?;
    let largest = (0..inventory.series.len())
        .filter(|&n| inventory.series[n].geometry.is_some())
        .max_by_key(|&n| inventory.series[n].geometry.as_ref().map(|g| g.voxel_count()));
    Ok(dicom::read_series(&inventory, largest.ok_or("no volume")?)?.volume)
}

fn teach(arguments: &Arguments) -> Outcome<()> {
    let out = arguments.path(0)?;
    let scans: Vec<SharpScan> =
        arguments.free[1..].iter().map(|p| Ok(SharpScan::new(&read(Path::new(p))?)?)).collect::<Outcome<_>>()?;
    let training = SharpenTraining {
        steps: arguments.number("steps", 1500)?,
        learning_rate: arguments.number("rate", 2e-3)?,
        seed: arguments.number("seed", 1)?,
        adversarial: arguments.options.get("adversarial").map(|w| w.parse()).transpose()?,
        pairs: PairOptions { other_contrasts: !arguments.options.contains_key("own"), ..PairOptions::default() },
    };
    let trainer = match arguments.options.get("from") {
        Some(path) => SharpenTrainer::from_weights(&ThroughPlaneWeights::from_bytes(&std::fs::read(path)?)?, training)?,
        None => {
            let channels = arguments.number("channels", ThroughPlaneConfig::default().channels)?;
            SharpenTrainer::new(&ThroughPlaneConfig { channels, ..ThroughPlaneConfig::default() }, training)?
        }
    };
    let check = arguments.options.get("check").map(|p| Ok::<_, Box<dyn Error>>(SharpScan::new(&read(Path::new(p))?)?));
    let check: Vec<SharpScan> = check.transpose()?.into_iter().collect();
    std::fs::write(out, &taught(trainer, &scans, Some(out), &check)?.to_bytes()?)?;
    Ok(())
}

/// Runs all steps; puts weights away now and then.
fn taught(
    mut trainer: SharpenTrainer,
    scans: &[SharpScan],
    keep: Option<&Path>,
    check: &[SharpScan],
) -> Outcome<ThroughPlaneWeights> {
    let (start, mut out, mut sum) = (Instant::now(), std::io::stdout(), 0.0);
    while trainer.step_count() < trainer.steps() {
        sum += trainer.step(scans)?;
        let step = trainer.step_count();
        if step.is_multiple_of(50) {
            let both = [scans, check];
            let gains = both.iter().filter(|s| !s.is_empty()).map(|s| trainer.gain_db(s, 32));
            let gains = gains.collect::<Result<Vec<f64>, _>>()?;
            writeln!(out, "{step} {:.5} {gains:.3?} {:.0}", sum / 50.0, start.elapsed().as_secs_f64())?;
            out.flush()?;
            sum = 0.0;
        }
        if let Some(path) = keep.filter(|_| step.is_multiple_of(100)) {
            std::fs::write(path, trainer.weights()?.to_bytes()?)?;
        }
    }
    Ok(trainer.weights()?)
}

fn weights(arguments: &Arguments, scan: &ScanVolume) -> Outcome<Option<ThroughPlaneWeights>> {
    let Some(path) = arguments.options.get("weights") else { return Ok(None) };
    let weights = ThroughPlaneWeights::from_bytes(&std::fs::read(path)?)?;
    let steps = arguments.number("fine-tune", 0)?;
    if steps == 0 {
        return Ok(Some(weights));
    }
    let pairs = PairOptions { other_contrasts: false, ..PairOptions::default() };
    let training = SharpenTraining { steps, learning_rate: 3e-4, pairs, ..SharpenTraining::default() };
    Ok(Some(taught(SharpenTrainer::from_weights(&weights, training)?, &[SharpScan::new(scan)?], None, &[])?))
}

fn measure(arguments: &Arguments) -> Outcome<()> {
    let mut out = std::io::stdout();
    let scan = read(arguments.path(0)?)?;
    let scan = shortened(scan, arguments.number("cut", 1)?)?;
    let (axis, start) = (2, Instant::now());
    let (thick, layout) = average_down(&scan, axis, arguments.number("slices", 5.0)?)?;
    writeln!(out, "{} slices, {:.3} voxels each", layout.slices, layout.factor)?;
    let thick = ScanVolume::F32(thick);
    let weights = weights(arguments, &thick)?;
    let size = {
        let [x, y, _] = scan.geometry().size();
        [x, y, layout.voxels]
    };
    let truth: Vec<f32> = (0..size.iter().product()).map(|n| scan.value(n)).collect();
    let boxed = Box3::around(&truth, size);
    let truth = boxed.of(&truth, size);
    let mut sorted = truth.clone();
    sorted.sort_by(f32::total_cmp);
    let peak = f64::from(sorted[sorted.len() * 999 / 1000] - sorted[0]);
    writeln!(out, "box {boxed:?}, peak {peak:.1}, ready after {:.0} s", start.elapsed().as_secs_f64())?;
    let mut runs = vec![("cubic", None, 0), ("back-projected", None, 3)];
    let network = weights.as_ref().map(ThroughPlaneWeights::network).transpose()?;
    if network.is_some() {
        runs.extend([("network", network.as_ref(), 0), ("network, back-projected", network.as_ref(), 3)]);
    }
    for (name, network, rounds) in runs {
        let start = Instant::now();
        let options = UpsampleOptions { rounds, ..UpsampleOptions::default() };
        let made = upsample_onto(&thick, axis, &layout, network, &options, &|_| ())?;
        let seconds = start.elapsed().as_secs_f64();
        let ScanVolume::F32(values) = &made.scan else { return Err("not in single precision".into()) };
        let ours = boxed.of(values.data(), size);
        let psnr = metrics::psnr_db(&truth, &ours, boxed.size(), peak)?;
        let ssim = metrics::ssim(&truth, &ours, boxed.size(), peak)?;
        writeln!(out, "{name}: PSNR {psnr:.3} dB, SSIM {ssim:.4}, mismatch {:.3}, {seconds:.1} s", made.mismatch)?;
        if let Some(stem) = arguments.options.get("out") {
            volume::formats::write_scan(&made.scan, Path::new(&format!("{stem}-{}.nii", name.replace(", ", "-"))))?;
        }
    }
    Ok(())
}

/// Every `cut`-th part of the rows only, from the middle, for quick looks.
fn shortened(scan: ScanVolume, cut: usize) -> Outcome<ScanVolume> {
    let [x, y, z] = scan.geometry().size();
    let rows = y / cut;
    let first = (y - rows) / 2;
    let grid = scan.geometry().cropped([0, first as isize, 0], [x, rows, z])?;
    Ok(ScanVolume::F32(Volume::from_fn(grid, |[i, j, k]| scan.value(scan.geometry().offset(i, j + first, k)))))
}

/// First and last voxel along each axis.
#[derive(Debug)]
struct Box3([[usize; 2]; 3]);

impl Box3 {
    /// All planes of which one voxel in fifty is above a tenth of the 99.5 % quantile over the lowest value.
    fn around(values: &[f32], size: [usize; 3]) -> Self {
        let mut sorted: Vec<f32> = values.iter().step_by(37).copied().collect();
        sorted.sort_by(f32::total_cmp);
        let (low, high) = (sorted[0], sorted[sorted.len() * 995 / 1000]);
        let mut counts = size.map(|n| vec![0usize; n]);
        for (n, _) in values.iter().enumerate().filter(|(_, v)| **v > low + 0.1 * (high - low)) {
            let voxel = [n % size[0], n / size[0] % size[1], n / size[0] / size[1]];
            (0..3).for_each(|a| counts[a][voxel[a]] += 1);
        }
        Self([0, 1, 2].map(|a| {
            let enough = values.len() / size[a] / 50;
            let first = counts[a].iter().position(|&c| c > enough).unwrap_or(0);
            [first, counts[a].iter().rposition(|&c| c > enough).unwrap_or(size[a] - 1)]
        }))
    }

    fn size(&self) -> [usize; 3] {
        self.0.map(|[a, b]| b + 1 - a)
    }

    fn of(&self, values: &[f32], size: [usize; 3]) -> Vec<f32> {
        let [[i0, i1], [j0, j1], [k0, k1]] = self.0;
        let rows = (k0..=k1).flat_map(|k| (j0..=j1).map(move |j| (k * size[1] + j) * size[0]));
        rows.flat_map(|row| values[row + i0..=row + i1].to_vec()).collect()
    }
}

fn run(arguments: &Arguments) -> Outcome<()> {
    let scan = read(arguments.path(0)?)?;
    let weights = weights(arguments, &scan)?;
    let network = weights.as_ref().map(ThroughPlaneWeights::network).transpose()?;
    let options = UpsampleOptions { spacing_mm: arguments.number("spacing", 1.0)?, ..UpsampleOptions::default() };
    let start = Instant::now();
    let made = neural::super_resolution::upsample(&scan, network.as_ref(), &options, &|part| {
        let _ = write!(std::io::stderr(), "\r{:.0} %, {:.0} s ", 100.0 * part, start.elapsed().as_secs_f64());
    })?;
    let (axis, g) = (slice_axis(scan.geometry()), made.scan.geometry());
    writeln!(
        std::io::stdout(),
        "axis {axis}, {:?} voxels of {:?} mm, mismatch {:.3}, {:.0} s",
        g.size(),
        g.spacing(),
        made.mismatch,
        start.elapsed().as_secs_f64()
    )?;
    volume::formats::write_scan(&made.scan, arguments.path(1)?)?;
    Ok(())
}
