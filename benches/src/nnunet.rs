//! A network of the size of TotalSegmentator's at 3 mm beside ONNX Runtime running the same one: speed and memory.
//!
//! Five stages of 32 to 320 channels, 118 classes, windows of 112×112×128 that overlap by half, no mirroring, a volume of
//! 240×240×200 at 3 mm. Weights are random, and the same on both sides; that is checked on a window's logits.

use std::fs;
use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use glam::DMat3;
use neural::nnunet::{Dataset, Mirroring, NnUnet, Plans, SegmentOptions};
use neural::weights::Tensors;
use neural::{Device, NeuralError, Tensor};
use serde_json::{Value, json};
use space::Point;
use volume::{ImageGeometry, ScanVolume, Volume};

use crate::peer;
use crate::record::{BenchArgs, Record, best};
use crate::scratch::Scratch;

const NAME: &str = "nnunet";
const FEATURES: [usize; 5] = [32, 64, 128, 256, 320];
const CLASSES: usize = 118;
const WINDOW: [usize; 3] = [112, 112, 128];
const SIZE: [usize; 3] = [240, 240, 200];
/// Of 240×240×200 at half a window's step.
const WINDOWS: usize = 48;
const RUNS: usize = 3;
/// Logits that are compared, at most apart by `TOLERANCE` of the greatest.
const COMPARED: usize = 64;
const TOLERANCE: f32 = 1e-4;

/// A window, then a whole scan; the peer's windows only, so everything around them is a gift to it.
pub(crate) fn run(arguments: &BenchArgs) -> Result<Vec<Record>> {
    let scratch = Scratch::new()?;
    let weights = random_weights()?;
    write_weights(&weights, &scratch.path("weights"))?;
    let model = model(weights)?;
    let network = &model.networks()[0];
    let input = || window_input().context("a window");
    let logits = Logits::of(&network.logits(input()?)?)?;
    let window = best(RUNS, || Ok(network.logits(input()?)?))?;
    let features = best(RUNS, || Ok(network.features(input()?)?))?;

    let answer = peer::run(arguments.python.as_deref(), "nnunet.py", [scratch.path("weights")])?;
    if let Some(answer) = &answer {
        logits.compare(answer)?;
    }
    let name = answer.as_ref().and_then(|a| a["onnxruntime"].as_str()).unwrap_or("?");
    let peer_name = format!("ONNX Runtime {name}, the same network");
    let theirs = peer::seconds(answer.as_ref(), "window_s");

    let whole = seconds_of(SIZE, 3.0, |scan, options, tell| model.segment(scan, options, tell).map(drop))?;
    let gigabytes = peak_gib()?;
    let windows = features * WINDOWS as f64;
    let finer = SIZE.map(|n| 2 * n);
    let as_used = seconds_of(finer, 1.5, |scan, options, tell| {
        model.segment_with_confidence(&[scan], options, 1.0, tell).map(drop)
    })?;
    let size = SIZE.map(|n| n.to_string()).join("×");
    Ok(vec![
        Record::new(NAME, "a window of 112×112×128 to its 118 logits", window, "s without the last layer", features)
            .beside(&peer_name, theirs),
        Record::new(
            NAME,
            format!("{size}, {WINDOWS} windows; so many alone would take {windows:.0} s"),
            whole,
            "GiB at most",
            gigabytes,
        )
        .beside(&format!("{peer_name}, {WINDOWS} times a window and nothing else"), theirs.map(|s| s * WINDOWS as f64)),
        Record::new(
            NAME,
            format!(
                "a scan of {} at 1.5 mm, as the program does: to 3 mm, {WINDOWS} windows, labels and confidence on its own grid",
                finer.map(|n| n.to_string()).join("×")
            ),
            as_used,
            "parts of that more than at 3 mm",
            1.0 - whole / as_used,
        ),
    ])
}

/// Seconds of what is done with a whole scan.
fn seconds_of(
    size: [usize; 3],
    spacing_mm: f64,
    segment: impl FnOnce(&ScanVolume, &SegmentOptions, &(dyn Fn(f32) + Sync)) -> Result<(), NeuralError>,
) -> Result<f64> {
    let grid = ImageGeometry::new(size, [spacing_mm; 3], Point::ZERO, DMat3::IDENTITY)?;
    let scan = ScanVolume::I16(Volume::from_fn(grid, |[i, j, k]| ((i * i + 7 * j + k * k * j) % 1900) as i16 - 900));
    let options = SegmentOptions { step: 0.5, mirroring: Mirroring::Off, ..SegmentOptions::default() };
    let start = Instant::now();
    segment(&scan, &options, &|part| eprint!("\rbench: {NAME}: {:.0} %", 100.0 * part))?;
    eprintln!();
    Ok(start.elapsed().as_secs_f64())
}

/// Names and shapes in the order in which the values are written.
fn shapes() -> Vec<(String, Vec<usize>)> {
    let mut all = Vec::new();
    let mut block = |name: String, inputs: usize, outputs: usize| {
        all.push((format!("{name}.conv.weight"), vec![outputs, inputs, 3, 3, 3]));
        for part in ["conv.bias", "norm.weight", "norm.bias"] {
            all.push((format!("{name}.{part}"), vec![outputs]));
        }
    };
    let mut inputs = 1;
    for (s, &outputs) in FEATURES.iter().enumerate() {
        for b in 0..2 {
            block(format!("encoder.stages.{s}.0.convs.{b}"), inputs, outputs);
            inputs = outputs;
        }
    }
    for s in 0..4 {
        let beside = FEATURES[3 - s];
        block(format!("decoder.stages.{s}.convs.0"), 2 * beside, beside);
        block(format!("decoder.stages.{s}.convs.1"), beside, beside);
    }
    for s in 0..4 {
        let (below, beside) = (FEATURES[4 - s], FEATURES[3 - s]);
        all.push((format!("decoder.transpconvs.{s}.weight"), vec![below, beside, 2, 2, 2]));
        all.push((format!("decoder.transpconvs.{s}.bias"), vec![beside]));
    }
    all.push(("decoder.seg_layers.3.weight".into(), vec![CLASSES, FEATURES[0], 1, 1, 1]));
    all.push(("decoder.seg_layers.3.bias".into(), vec![CLASSES]));
    all
}

fn random_weights() -> Result<Tensors> {
    let mut state = 7_u32;
    let mut uniform = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state as f32 / u32::MAX as f32 - 0.5
    };
    let mut tensors = Tensors::new();
    for (name, shape) in shapes() {
        let (scale, shift) = match shape.as_slice() {
            [_, inputs, 3, 3, 3] => ((24.0 / (27 * inputs) as f32).sqrt(), 0.0),
            [inputs, _, 2, 2, 2] => ((12.0 / *inputs as f32).sqrt(), 0.0),
            [_] if name.ends_with("norm.weight") => (0.5, 1.0),
            [_] => (0.1, 0.0),
            _ => (1.0, 0.0),
        };
        let values = (0..shape.iter().product()).map(|_| uniform() * scale + shift).collect::<Vec<f32>>();
        tensors.insert(name, Tensor::from_vec(values, shape, &Device::Cpu)?);
    }
    Ok(tensors)
}

/// One after the other, for the other side, which knows the shapes from a list.
fn write_weights(weights: &Tensors, path: &Path) -> Result<()> {
    let mut bytes = Vec::new();
    for (name, _) in shapes() {
        let values = weights[&name].flatten_all()?.to_vec1::<f32>()?;
        bytes.extend(values.into_iter().flat_map(f32::to_le_bytes));
    }
    fs::write(path.with_extension("f32"), bytes)?;
    let list = json!({ "window": WINDOW, "features": FEATURES, "classes": CLASSES, "shapes": shapes() });
    fs::write(path.with_extension("json"), list.to_string())?;
    Ok(())
}

/// What both sides compute on.
fn window_input() -> Result<Tensor> {
    let count = WINDOW.iter().product::<usize>();
    let values: Vec<f32> = (0..count).map(|i| (i * 31 % 1009) as f32 / 504.5 - 1.0).collect();
    Ok(Tensor::from_vec(values, (1, 1, WINDOW[0], WINDOW[1], WINDOW[2]), &Device::Cpu)?)
}

/// Some of a window's logits, spread over all of them.
struct Logits {
    picked: Vec<f32>,
    greatest: f32,
}

impl Logits {
    fn of(logits: &Tensor) -> Result<Self> {
        let flat = logits.flatten_all()?;
        let step = flat.elem_count() / COMPARED;
        let picked = (0..COMPARED).map(|at| Ok(flat.get(at * step)?.to_scalar()?)).collect::<Result<_>>()?;
        let greatest = flat.max_all()?.to_scalar::<f32>()?.max(-flat.min_all()?.to_scalar::<f32>()?);
        Ok(Self { picked, greatest })
    }

    fn compare(&self, answer: &Value) -> Result<()> {
        let theirs = answer["logits"].as_array().context("nnunet.py printed no logits")?;
        for (ours, theirs) in self.picked.iter().zip(theirs) {
            let theirs = theirs.as_f64().context("a logit that is no number")? as f32;
            let error = (ours - theirs).abs() / self.greatest;
            if error > TOLERANCE || error.is_nan() {
                bail!("the networks differ: a logit is {ours} here and {theirs} there");
            }
        }
        Ok(())
    }
}

fn model(weights: Tensors) -> Result<NnUnet> {
    let (ones, twos) = ([1, 1, 1], [2, 2, 2]);
    let plans = json!({
        "transpose_forward": [0, 1, 2],
        "foreground_intensity_properties_per_channel": {"0": {"mean": 0.0, "std": 500.0, "percentile_00_5": -1000.0, "percentile_99_5": 1000.0}},
        "configurations": {"3d_fullres": {
            "spacing": [3.0, 3.0, 3.0], "patch_size": WINDOW, "normalization_schemes": ["CTNormalization"], "use_mask_for_norm": [false],
            "UNet_class_name": "PlainConvUNet", "UNet_base_num_features": 32, "unet_max_num_features": 320,
            "n_conv_per_stage_encoder": [2, 2, 2, 2, 2], "n_conv_per_stage_decoder": [2, 2, 2, 2],
            "pool_op_kernel_sizes": [ones, twos, twos, twos, twos], "conv_kernel_sizes": [[3, 3, 3], [3, 3, 3], [3, 3, 3], [3, 3, 3], [3, 3, 3]]
        }}
    });
    let labels: serde_json::Map<_, _> =
        (0..CLASSES).map(|n| (if n == 0 { "background".into() } else { format!("organ_{n}") }, json!(n))).collect();
    let dataset = json!({"channel_names": {"0": "CT"}, "labels": labels});
    let plans = Plans::read(plans.to_string().as_bytes())?;
    let dataset = Dataset::read(dataset.to_string().as_bytes())?;
    let mut model = NnUnet::new(plans, dataset, "3d_fullres", vec![])?;
    model.add(&weights)?;
    Ok(model)
}

/// The most memory this process ever had, by the kernel's account.
fn peak_gib() -> Result<f64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("no VmHWM in /proc/self/status")?;
    Ok(line.trim().trim_end_matches(" kB").parse::<f64>()? / f64::from(1 << 20))
}
