//! 3D convolutions beside ONNX Runtime and OpenVINO, forward; and our backward beside our forward.

use std::time::Instant;

use anyhow::{Context, Result};
use neural::nn::{Conv3d, Conv3dOptions, Module};
use neural::{Device, Tensor, Var};

use crate::peer;
use crate::record::{BenchArgs, Record};

const NAME: &str = "conv3d";

/// Runs of which the best counts; fewer of what takes long.
const RUNS: usize = 7;
const ENOUGH_S: f64 = 2.0;

/// Input and output channels, size, stride, dilation; the kernel is 3 × 3 × 3.
type Shape = (usize, usize, [usize; 3], usize, usize);

/// Few and many channels, and what MeshNet and U-Nets do most.
const SHAPES: &[Shape] = &[
    (5, 5, [64; 3], 1, 1),
    (30, 30, [64; 3], 1, 1),
    (30, 30, [96; 3], 1, 1),
    (32, 32, [96; 3], 1, 1),
    (64, 64, [64; 3], 1, 1),
    (128, 128, [32; 3], 1, 1),
    (320, 320, [8; 3], 1, 1),
    (30, 30, [96; 3], 1, 2),
    (30, 30, [96; 3], 1, 4),
    (30, 30, [96; 3], 1, 8),
    (30, 30, [96; 3], 1, 16),
    (32, 64, [64; 3], 2, 1),
    (128, 256, [32; 3], 2, 1),
    (21, 21, [128; 3], 1, 1),
];

/// One line a shape and peer, then the geometric mean over the better peers, then backward.
pub(crate) fn run(arguments: &BenchArgs) -> Result<Vec<Record>> {
    let mut records = Vec::new();
    let mut ratios = Vec::new();
    let mut total = 0.0;
    for &(inputs, outputs, size, stride, dilation) in SHAPES {
        let probe = Probe::new([inputs, outputs], size, stride, dilation)?;
        let ours = best(|| probe.forward())?;
        total += ours;
        let [d, h, w] = size;
        let numbers = [inputs, outputs, d, h, w, 3, stride, dilation].map(|n| n.to_string());
        let answer = peer::run(arguments.python.as_deref(), "conv3d.py", numbers)?;
        let what = format!("{inputs}→{outputs} {d}×{h}×{w}, kernel 3, stride {stride}, dilation {dilation}");
        let gflops = probe.operations / 1e9;
        let mut better = f64::INFINITY;
        for (name, key) in [("ONNX Runtime", "onnxruntime"), ("OpenVINO", "openvino")] {
            let seconds = peer::seconds(answer.as_ref(), &format!("{key}_s"));
            better = better.min(seconds.unwrap_or(f64::INFINITY));
            let version = answer.as_ref().and_then(|a| a[key].as_str()).unwrap_or("?");
            let threads = answer.as_ref().map_or(0, |a| a["threads"].as_u64().unwrap_or(0));
            let record = Record::new(NAME, format!("{what}; forward"), ours, "GFLOP/s", gflops / ours);
            records.push(record.beside(&format!("{name} {version}, {threads} threads"), seconds));
            if answer.is_none() {
                break;
            }
        }
        if better.is_finite() {
            ratios.push(better / ours);
        }
        let [forward, backward] = probe.training()?;
        let rate = 2.0 * gflops / backward;
        let against = format!("{what}; backward, {:.2} of the forward rate", rate / (gflops / forward));
        records.push(Record::new(NAME, against, backward, "GFLOP/s", rate));
    }
    if !ratios.is_empty() {
        let mean = (ratios.iter().map(|r| r.ln()).sum::<f64>() / ratios.len() as f64).exp();
        let least = ratios.iter().copied().fold(f64::INFINITY, f64::min);
        let what = format!("geometric mean of {} shapes; the least is {least:.2}", ratios.len());
        records.push(
            Record::new(NAME, what, total, "times the better peer", mean)
                .beside("the better of ONNX Runtime and OpenVINO, shape by shape", Some(total * mean)),
        );
    }
    Ok(records)
}

/// A layer and its input, filled with noise.
struct Probe {
    layer: Conv3d,
    x: Tensor,
    /// Multiplications and additions of a forward pass.
    operations: f64,
}

impl Probe {
    fn new([inputs, outputs]: [usize; 2], size: [usize; 3], stride: usize, dilation: usize) -> Result<Self> {
        let device = Device::Cpu;
        let [d, h, w] = size;
        let weight = Tensor::randn(0_f32, 0.05, (outputs, inputs, 3, 3, 3), &device)?;
        let bias = Tensor::zeros(outputs, weight.dtype(), &device)?;
        let options = Conv3dOptions { stride: [stride; 3], ..Conv3dOptions::same([3; 3], dilation) };
        let out: usize = size.iter().map(|n| n.div_ceil(stride)).product();
        Ok(Self {
            layer: Conv3d::new(weight, Some(bias), options),
            x: Tensor::randn(0_f32, 1.0, (1, inputs, d, h, w), &device)?,
            operations: 2.0 * 27.0 * (inputs * outputs * out) as f64,
        })
    }

    fn forward(&self) -> Result<()> {
        self.layer.forward(&self.x)?;
        Ok(())
    }

    /// Seconds of one forward and of one backward pass, with gradients of input, weights and bias.
    fn training(&self) -> Result<[f64; 2]> {
        let x = Var::from_tensor(&self.x)?;
        let layer = Conv3d::new(
            Var::from_tensor(self.layer.weight())?.as_tensor().clone(),
            self.layer.bias().map(|b| Var::from_tensor(b).map(|v| v.as_tensor().clone())).transpose()?,
            self.layer.options(),
        );
        let mut shortest = [f64::INFINITY; 2];
        let start = Instant::now();
        for _ in 0..RUNS {
            let before = Instant::now();
            let y = layer.forward(&x)?;
            let between = Instant::now();
            y.backward()?;
            let seconds = [(between - before).as_secs_f64(), between.elapsed().as_secs_f64()];
            shortest = [0, 1].map(|i| shortest[i].min(seconds[i]));
            if start.elapsed().as_secs_f64() > ENOUGH_S {
                break;
            }
        }
        Ok(shortest)
    }
}

/// The shortest of some runs, in seconds, after one that is not counted.
fn best(mut run: impl FnMut() -> Result<()>) -> Result<f64> {
    run().context("the first run")?;
    let start = Instant::now();
    let mut shortest = f64::INFINITY;
    for _ in 0..RUNS {
        let before = Instant::now();
        run()?;
        shortest = shortest.min(before.elapsed().as_secs_f64());
        if start.elapsed().as_secs_f64() > ENOUGH_S {
            break;
        }
    }
    Ok(shortest)
}
