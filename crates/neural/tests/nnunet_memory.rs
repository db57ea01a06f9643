//! Memory and time of a network of the size of TotalSegmentator's at 3 mm, with random weights.
//!
//! Five stages of 32 to 320 channels, 118 classes, windows of 112×112×128 without mirroring, a volume of 240×240×200. Runs where
//! `VESTIBULE_NNUNET_MEMORY` is set, since it takes minutes; `patch` measures one window only, `apart` takes windows side by side,
//! which needs the same memory in a third of the time.

#![allow(clippy::unwrap_used, reason = "a helper of a test that fails has failed")]

use std::time::Instant;

use candle_core::{Device, Tensor};
use glam::DMat3;
use neural::nnunet::{Dataset, Mirroring, NnUnet, Plans, SegmentOptions};
use neural::weights::Tensors;
use serde_json::json;
use space::Point;
use volume::{ImageGeometry, ScanVolume, Volume};

const FEATURES: [usize; 5] = [32, 64, 128, 256, 320];
const CLASSES: usize = 118;
const PATCH: [usize; 3] = [112, 112, 128];

/// Mebibytes, by the kernel's account.
fn memory(key: &str) -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(key)).unwrap_or("");
    line.trim_start_matches(':').trim().trim_end_matches(" kB").parse::<f64>().unwrap_or(f64::NAN) / 1024.0
}

fn random_weights() -> Tensors {
    let mut tensors = Tensors::new();
    let mut state = 7u32;
    let mut add = |name: String, size: &[usize], scale: f32, shift: f32| {
        let values = (0..size.iter().product::<usize>()).map(|_| {
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            (state as f32 / u32::MAX as f32 - 0.5) * scale + shift
        });
        let tensor = Tensor::from_vec(values.collect::<Vec<_>>(), size, &Device::Cpu).unwrap();
        tensors.insert(name, tensor);
    };
    let mut block = |name: String, inputs: usize, outputs: usize| {
        let scale = (24.0 / (27 * inputs) as f32).sqrt();
        add(format!("{name}.conv.weight"), &[outputs, inputs, 3, 3, 3], scale, 0.0);
        add(format!("{name}.conv.bias"), &[outputs], 0.1, 0.0);
        add(format!("{name}.norm.weight"), &[outputs], 0.5, 1.0);
        add(format!("{name}.norm.bias"), &[outputs], 0.1, 0.0);
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
        add(format!("decoder.transpconvs.{s}.weight"), &[below, beside, 2, 2, 2], (12.0 / below as f32).sqrt(), 0.0);
        add(format!("decoder.transpconvs.{s}.bias"), &[beside], 0.1, 0.0);
    }
    add("decoder.seg_layers.3.weight".into(), &[CLASSES, FEATURES[0], 1, 1, 1], 1.0, 0.0);
    add("decoder.seg_layers.3.bias".into(), &[CLASSES], 0.1, 0.0);
    tensors
}

fn model() -> NnUnet {
    let ones = [1, 1, 1];
    let twos = [2, 2, 2];
    let plans = json!({
        "transpose_forward": [0, 1, 2],
        "foreground_intensity_properties_per_channel": {"0": {"mean": 0.0, "std": 500.0, "percentile_00_5": -1000.0, "percentile_99_5": 1000.0}},
        "configurations": {"3d_fullres": {
            "spacing": [3.0, 3.0, 3.0], "patch_size": PATCH, "normalization_schemes": ["CTNormalization"], "use_mask_for_norm": [false],
            "UNet_class_name": "PlainConvUNet", "UNet_base_num_features": 32, "unet_max_num_features": 320,
            "n_conv_per_stage_encoder": [2, 2, 2, 2, 2], "n_conv_per_stage_decoder": [2, 2, 2, 2],
            "pool_op_kernel_sizes": [ones, twos, twos, twos, twos], "conv_kernel_sizes": [[3, 3, 3], [3, 3, 3], [3, 3, 3], [3, 3, 3], [3, 3, 3]]
        }}
    });
    let labels: serde_json::Map<_, _> =
        (0..CLASSES).map(|n| (if n == 0 { "background".into() } else { format!("organ_{n}") }, json!(n))).collect();
    let dataset = json!({"channel_names": {"0": "CT"}, "labels": labels});
    let plans = Plans::read(plans.to_string().as_bytes()).unwrap();
    let dataset = Dataset::read(dataset.to_string().as_bytes()).unwrap();
    let mut model = NnUnet::new(plans, dataset, "3d_fullres", vec![]).unwrap();
    model.add(&random_weights()).unwrap();
    model
}

#[test]
fn a_network_of_full_size_stays_within_three_gibibytes() {
    let Some(wanted) = std::env::var_os("VESTIBULE_NNUNET_MEMORY") else {
        eprintln!("skipped: VESTIBULE_NNUNET_MEMORY is not set");
        return;
    };
    let model = model();
    eprintln!("weights: {:.0} MiB", memory("VmRSS"));
    for _ in 0..2 {
        let x = Tensor::zeros((1, 1, PATCH[0], PATCH[1], PATCH[2]), candle_core::DType::F32, &Device::Cpu).unwrap();
        let start = Instant::now();
        let features = model.networks()[0].features(x).unwrap();
        eprintln!("window: {:.2} s, features {:?}", start.elapsed().as_secs_f64(), features.dims());
    }
    eprintln!("after a window: {:.0} MiB, at most {:.0} MiB", memory("VmRSS"), memory("VmHWM"));
    if wanted == "patch" {
        return;
    }
    let grid = ImageGeometry::new([240, 240, 200], [3.0; 3], Point::ZERO, DMat3::IDENTITY).unwrap();
    let scan = ScanVolume::I16(Volume::from_fn(grid, |[i, j, k]| ((i * i + 7 * j + k * k * j) % 1900) as i16 - 900));
    let start = Instant::now();
    let step = if wanted == "apart" { 1.0 } else { 0.5 };
    let options = SegmentOptions { step, mirroring: Mirroring::Off, ..SegmentOptions::default() };
    let labels = model.segment(&scan, &options, &|part| {
        let now = start.elapsed().as_secs_f64();
        eprintln!("{:3.0} %: {now:.0} s, {:.0} MiB, at most {:.0} MiB", 100.0 * part, memory("VmRSS"), memory("VmHWM"));
    });
    let labels = labels.unwrap();
    let found: std::collections::BTreeSet<u16> = labels.data().iter().copied().collect();
    eprintln!(
        "{:.0} s in all, {} labels, at most {:.0} MiB",
        start.elapsed().as_secs_f64(),
        found.len(),
        memory("VmHWM")
    );
    assert!(memory("VmHWM") <= 3072.0, "{} MiB", memory("VmHWM"));
}
