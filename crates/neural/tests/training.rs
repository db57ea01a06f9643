//! The loss, the optimisers and the U-Net against PyTorch; `oracle/training.py` made the numbers.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail like tests")]

use std::collections::BTreeMap;
use std::sync::Arc;

use candle_core::{Device, Module, Tensor, Var};
use candle_nn::var_builder::SimpleBackend;
use neural::networks::unet::{UNet, UNetConfig};
use neural::training::{LossConfig, Optimizer, OptimizerConfig, Parameters, dice_cross_entropy};
use serde::Deserialize;

#[derive(Deserialize)]
struct Oracle {
    losses: Vec<LossCase>,
    optimizers: Vec<OptimizerCase>,
    networks: Vec<NetworkCase>,
}

#[derive(Deserialize)]
struct LossCase {
    shape: [usize; 5],
    cross_entropy: f32,
    dice: f32,
    smooth: f32,
    step: usize,
    value: f64,
    gradient: Digest,
}

#[derive(Deserialize)]
struct OptimizerCase {
    name: String,
    norms: Vec<f64>,
    weight: Digest,
    bias: Digest,
}

#[derive(Deserialize)]
struct NetworkCase {
    down: serde_json::Value,
    up: serde_json::Value,
    channels: Vec<usize>,
    convolutions: usize,
    size: [usize; 3],
    slope: f32,
    parameters: BTreeMap<String, Vec<usize>>,
    y: Digest,
    gradients: BTreeMap<String, Digest>,
}

#[derive(Debug, Deserialize)]
struct Digest {
    shape: Vec<usize>,
    sum: f64,
    magnitude: f64,
    values: Vec<f64>,
}

fn oracle() -> Oracle {
    serde_json::from_str(include_str!("oracle/training.json")).unwrap()
}

/// The generator of `oracle/layers_common.py`.
fn values(shape: &[usize], seed: u32) -> Tensor {
    let mut state = seed.wrapping_mul(2_654_435_761).wrapping_add(12345);
    let data: Vec<f32> = (0..shape.iter().product())
        .map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as f32 / (1 << 23) as f32 - 1.0
        })
        .collect();
    Tensor::from_vec(data, shape, &Device::Cpu).unwrap()
}

#[track_caller]
fn check(what: &str, ours: &Tensor, theirs: &Digest, tolerance: f64) {
    assert_eq!(ours.dims(), theirs.shape, "{what}");
    let flat = ours.flatten_all().unwrap().to_vec1::<f32>().unwrap();
    let scale = theirs.values.iter().fold(0.0_f64, |most, v| most.max(v.abs()));
    for (k, &expected) in theirs.values.iter().enumerate() {
        let at = (k as u64 * 2_654_435_761 % flat.len() as u64) as usize;
        let error = (f64::from(flat[at]) - expected).abs();
        let most = tolerance * expected.abs().max(0.1 * scale);
        assert!(error <= most, "{what}: [{at}] is {}, not {expected}", flat[at]);
    }
    let sum: f64 = flat.iter().map(|&v| f64::from(v)).sum();
    let most = tolerance * theirs.magnitude;
    assert!((sum - theirs.sum).abs() <= most, "{what}: sum {sum}, not {}", theirs.sum);
}

#[test]
fn losses_equal_pytorch() {
    for case in oracle().losses {
        let [n, k, d, h, w] = case.shape;
        let logits = Var::from_tensor(&(values(&case.shape, 1) * 4.0).unwrap()).unwrap();
        let mut labels: Vec<u8> = (0..n * d * h * w).map(|i| (i / case.step % k) as u8).collect();
        let last = (n - 1) * d * h * w;
        labels[last..].iter_mut().filter(|l| usize::from(**l) == k - 1).for_each(|l| *l = 0);
        let config = LossConfig { cross_entropy: case.cross_entropy, dice: case.dice, smooth: case.smooth };
        let loss = dice_cross_entropy(logits.as_tensor(), Arc::from(labels), config).unwrap();
        let value = f64::from(loss.to_scalar::<f32>().unwrap());
        assert!((value - case.value).abs() <= 1e-5 * case.value.abs(), "{config:?}: {value}, not {}", case.value);
        let gradient = loss.backward().unwrap();
        check(&format!("{config:?}"), gradient.get(&logits).unwrap(), &case.gradient, 1e-4);
    }
}

#[test]
fn a_label_without_a_class_is_refused() {
    let logits = values(&[1, 3, 2, 2, 2], 1);
    let loss = |labels: Vec<u8>| dice_cross_entropy(&logits, Arc::from(labels), LossConfig::default());
    assert!(loss(vec![2; 8]).is_ok());
    assert!(loss(vec![3; 8]).is_err());
    assert!(loss(vec![0; 7]).is_err());
}

#[test]
fn optimisers_equal_pytorch() {
    for case in oracle().optimizers {
        let config = match case.name.as_str() {
            "adam_w" => OptimizerConfig::AdamW { betas: [0.9, 0.99], eps: 1e-8, weight_decay: 0.1 },
            _ => OptimizerConfig::Nesterov { momentum: 0.9, weight_decay: 0.01 },
        };
        let parameters = Parameters::new(1);
        for (name, shape) in [("weight", &[4, 5][..]), ("bias", &[4])] {
            let init = candle_nn::Init::Const(0.0);
            SimpleBackend::get(&parameters, shape.into(), name, init, candle_core::DType::F32, &Device::Cpu).unwrap();
        }
        let vars = parameters.all();
        vars["weight"].set(&values(&[4, 5], 1)).unwrap();
        vars["bias"].set(&values(&[4], 2)).unwrap();
        let (x, target) = (values(&[7, 5], 3), values(&[7, 4], 4));
        let mut optimizer = Optimizer::new(&parameters, config);
        for expected in &case.norms {
            let y = x.matmul(&vars["weight"].t().unwrap()).unwrap().broadcast_add(vars["bias"].as_tensor()).unwrap();
            let loss = ((y - &target).unwrap().sqr().unwrap().mean_all().unwrap() * 10.0).unwrap();
            let norm = optimizer.step(&loss.backward().unwrap(), 0.05, Some(5.0)).unwrap();
            assert!((norm - expected).abs() <= 1e-4 * expected, "{}: norm {norm}, not {expected}", case.name);
        }
        // Clipping took place, and not always.
        assert!(case.norms.iter().any(|&n| n > 5.0) && case.norms.iter().any(|&n| n < 5.0), "{:?}", case.norms);
        check(&case.name, vars["weight"].as_tensor(), &case.weight, 1e-4);
        check(&case.name, vars["bias"].as_tensor(), &case.bias, 1e-4);
    }
}

#[test]
fn u_nets_equal_pytorch() {
    for case in oracle().networks {
        let config = UNetConfig {
            inputs: 2,
            classes: 3,
            channels: case.channels.clone(),
            convolutions: case.convolutions,
            down: serde_json::from_value(case.down.clone()).unwrap(),
            up: serde_json::from_value(case.up.clone()).unwrap(),
            slope: case.slope,
        };
        let parameters = Parameters::new(1);
        let network = UNet::load(&parameters.builder(), &config).unwrap();
        let vars = parameters.all();
        let shapes: BTreeMap<String, Vec<usize>> = vars.iter().map(|(n, v)| (n.clone(), v.dims().to_vec())).collect();
        assert_eq!(shapes, case.parameters, "names and shapes are PyTorch's");
        for (i, var) in vars.values().enumerate() {
            var.set(&values(var.dims(), 20 + i as u32)).unwrap();
        }
        let [d, h, w] = case.size;
        let x = values(&[2, 2, d, h, w], 1);
        let y = network.forward(&x).unwrap();
        check(&format!("{config:?}"), &y, &case.y, 1e-4);
        // Without gradients the normalisation works in place.
        let constants = UNet::load(&parameters.constants(), &config).unwrap();
        check(&format!("{config:?} in place"), &constants.forward(&x).unwrap(), &case.y, 1e-4);
        let store = (&y * values(y.dims(), 9)).unwrap().sum_all().unwrap().backward().unwrap();
        for (name, expected) in &case.gradients {
            check(&format!("{config:?} {name}"), store.get(&vars[name]).unwrap(), expected, 2e-4);
        }
    }
}

#[test]
fn sizes_that_cannot_be_halved_are_refused() {
    let config: UNetConfig =
        serde_json::from_str(r#"{"inputs": 1, "classes": 2, "channels": [2, 3, 4], "convolutions": 1, "slope": 0.01}"#)
            .unwrap();
    assert_eq!(config.divisor(), 4);
    let network = UNet::load(&Parameters::new(1).builder(), &config).unwrap();
    assert!(network.forward(&values(&[1, 1, 8, 4, 12], 1)).is_ok());
    assert!(network.forward(&values(&[1, 1, 8, 6, 12], 1)).is_err());
    assert!(network.forward(&values(&[1, 2, 8, 4, 12], 1)).is_err());
    let none = UNetConfig { channels: Vec::new(), ..config };
    assert!(UNet::load(&Parameters::new(1).builder(), &none).is_err());
}
