//! Every 3D layer against PyTorch, forward and backward; `oracle/layers.py` made the numbers.

use candle_core::{Device, Module, ModuleT, Tensor, Var};
use candle_nn::VarBuilder;
use neural::nn::{
    Activation, BatchNorm, Conv3dOptions, GroupNorm, InstanceNorm, Interpolation, Outside, Pool3dOptions, avg_pool3d,
    conv_transpose3d, conv3d, max_pool3d, resize, resize_by,
};
use serde::Deserialize;
use std::collections::{BTreeMap, HashMap};

#[derive(Deserialize)]
struct Oracle {
    cases: Vec<Case>,
}

#[derive(Debug, Deserialize)]
struct Case {
    op: String,
    x: Vec<usize>,
    seed: u32,
    scale: f64,
    shift: f64,
    steps: Option<f64>,
    parameters: BTreeMap<String, Vec<usize>>,
    stride: Option<[usize; 3]>,
    padding: Option<[usize; 3]>,
    dilation: Option<[usize; 3]>,
    kernel: Option<[usize; 3]>,
    groups: Option<usize>,
    include: Option<bool>,
    mode: Option<String>,
    corners: Option<bool>,
    size: Option<[usize; 3]>,
    factor: Option<[f64; 3]>,
    eps: Option<f64>,
    slope: Option<f32>,
    train: Option<bool>,
    name: Option<String>,
    y: Digest,
    gradients: BTreeMap<String, Digest>,
    running: Option<BTreeMap<String, Digest>>,
}

#[derive(Debug, Deserialize)]
struct Digest {
    shape: Vec<usize>,
    sum: f64,
    magnitude: f64,
    values: Vec<f64>,
}

/// The generator of `oracle/layers.py`.
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

/// Within 1e-4 of each value; within 1e-5 of the largest where a value is small beside it.
#[track_caller]
fn check(what: &str, ours: &Tensor, theirs: &Digest) {
    assert_eq!(ours.dims(), theirs.shape, "{what}");
    let flat = ours.flatten_all().unwrap().to_vec1::<f32>().unwrap();
    let scale = theirs.values.iter().fold(0.0_f64, |most, v| most.max(v.abs()));
    for (k, &expected) in theirs.values.iter().enumerate() {
        let at = (k as u64 * 2_654_435_761 % flat.len() as u64) as usize;
        let found = f64::from(flat[at]);
        let error = (found - expected).abs();
        assert!(error <= 1e-4 * expected.abs().max(0.1 * scale) + 1e-9, "{what}: [{at}] is {found}, not {expected}");
    }
    let sum: f64 = flat.iter().map(|&v| f64::from(v)).sum();
    let magnitude: f64 = flat.iter().map(|&v| f64::from(v.abs())).sum();
    let most = 1e-4 * theirs.magnitude + 1e-9;
    assert!((sum - theirs.sum).abs() <= most, "{what}: sum {sum}, not {}", theirs.sum);
    assert!((magnitude - theirs.magnitude).abs() <= most, "{what}: magnitude {magnitude}, not {}", theirs.magnitude);
}

impl Case {
    fn input(&self) -> Tensor {
        let x = values(&self.x, self.seed);
        let x = match self.steps {
            Some(steps) => ((x * steps).unwrap().round().unwrap() / steps).unwrap(),
            None => x,
        };
        ((x * self.scale).unwrap() + self.shift).unwrap()
    }

    fn activation(&self) -> Activation {
        self.slope.map_or(Activation::Identity, Activation::LeakyRelu)
    }

    fn convolution(&self) -> Conv3dOptions {
        Conv3dOptions {
            stride: self.stride.unwrap(),
            padding: self.padding.unwrap(),
            dilation: self.dilation.unwrap(),
            groups: self.groups.unwrap(),
        }
    }

    fn pool(&self) -> Pool3dOptions {
        Pool3dOptions { kernel: self.kernel.unwrap(), stride: self.stride.unwrap(), padding: self.padding.unwrap() }
    }

    fn run(&self, x: &Tensor, parameters: &BTreeMap<String, Var>) -> Tensor {
        let parameter = |name: &str| parameters[name].as_tensor();
        let identity = Activation::Identity;
        match self.op.as_str() {
            "conv3d" => conv3d(x, parameter("weight"), Some(parameter("bias")), &self.convolution(), identity).unwrap(),
            "conv_transpose3d" => {
                conv_transpose3d(x, parameter("weight"), Some(parameter("bias")), &self.convolution()).unwrap()
            }
            "max_pool3d" => max_pool3d(x, &self.pool()).unwrap(),
            "avg_pool3d" => {
                let outside = if self.include.unwrap() { Outside::Counts } else { Outside::Ignored };
                avg_pool3d(x, &self.pool(), outside).unwrap()
            }
            "resize" => {
                let interpolation = match (self.mode.as_deref().unwrap(), self.corners) {
                    ("nearest", None) => Interpolation::Nearest,
                    ("trilinear", Some(false)) => Interpolation::Trilinear,
                    ("trilinear", Some(true)) => Interpolation::TrilinearCorners,
                    other => panic!("{other:?}"),
                };
                match (self.size, self.factor) {
                    (Some(size), None) => resize(x, size, interpolation).unwrap(),
                    (None, Some(factor)) => resize_by(x, factor, interpolation).unwrap(),
                    other => panic!("{other:?}"),
                }
            }
            "activation" => match self.name.as_deref().unwrap() {
                "elu" => Activation::Elu(1.0),
                "leaky_relu" => Activation::LeakyRelu(0.01),
                "gelu" => Activation::Gelu,
                "relu" => Activation::Relu,
                other => panic!("{other}"),
            }
            .forward(x)
            .unwrap(),
            "instance_norm" | "group_norm" | "batch_norm" => self.norm(x, parameters),
            other => panic!("{other}"),
        }
    }

    fn norm(&self, x: &Tensor, parameters: &BTreeMap<String, Var>) -> Tensor {
        let (channels, eps) = (self.x[1], self.eps.unwrap());
        let mut tensors: HashMap<String, Tensor> =
            parameters.iter().map(|(name, var)| (name.clone(), var.as_tensor().clone())).collect();
        let trained = self.train == Some(false);
        let mean = values(&[channels], 7);
        let var = (values(&[channels], 8).sqr().unwrap() + 0.5).unwrap();
        let constant = |value: f32| Tensor::full(value, channels, &Device::Cpu).unwrap();
        tensors.insert("running_mean".into(), if trained { mean } else { constant(0.0) });
        tensors.insert("running_var".into(), if trained { var } else { constant(1.0) });
        let vb = VarBuilder::from_tensors(tensors, candle_core::DType::F32, &Device::Cpu);
        match self.op.as_str() {
            "instance_norm" => {
                let norm = InstanceNorm::load(&vb, channels, eps).unwrap().with_activation(self.activation());
                let y = norm.forward(x).unwrap();
                let in_place = norm.forward_in_place(x.detach().copy().unwrap()).unwrap();
                check(&format!("{self:?} in place"), &in_place, &self.y);
                y
            }
            "group_norm" => GroupNorm::load(&vb, self.groups.unwrap(), channels, eps)
                .unwrap()
                .with_activation(self.activation())
                .forward(x)
                .unwrap(),
            _ => {
                let norm = BatchNorm::load(&vb, channels, eps, 0.1).unwrap().with_activation(self.activation());
                let y = norm.forward_t(x, self.train.unwrap()).unwrap();
                if let Some(running) = &self.running {
                    let [mean, var] = norm.running();
                    check(&format!("{self:?} running mean"), mean, &running["mean"]);
                    check(&format!("{self:?} running variance"), var, &running["var"]);
                }
                y
            }
        }
    }
}

#[test]
fn layers_equal_pytorch() {
    let oracle: Oracle = serde_json::from_str(include_str!("oracle/layers.json")).unwrap();
    let mut count = BTreeMap::<&str, usize>::new();
    for case in &oracle.cases {
        let x = Var::from_tensor(&case.input()).unwrap();
        // Seeds in the order of the script: weight, bias.
        let parameters: BTreeMap<String, Var> = [("weight", 2), ("bias", 3)]
            .iter()
            .filter_map(|(name, seed)| Some((*name, seed, case.parameters.get(*name)?)))
            .map(|(name, seed, shape)| (name.to_owned(), Var::from_tensor(&values(shape, *seed)).unwrap()))
            .collect();
        let y = case.run(x.as_tensor(), &parameters);
        check(&format!("{case:?} forward"), &y, &case.y);
        let loss = (&y * values(y.dims(), 9)).unwrap().sum_all().unwrap();
        let store = loss.backward().unwrap();
        for (name, expected) in &case.gradients {
            let var = if name == "x" { &x } else { &parameters[name] };
            check(&format!("{case:?} gradient of {name}"), store.get(var).unwrap(), expected);
        }
        *count.entry(&case.op).or_default() += 1;
    }
    // Nothing was left out.
    assert_eq!(count["conv3d"], 14);
    assert_eq!(count["conv_transpose3d"], 5);
    assert_eq!(count["max_pool3d"] + count["avg_pool3d"], 28);
    assert_eq!(count["resize"], 27);
    assert_eq!(count["instance_norm"] + count["group_norm"] + count["batch_norm"], 40);
    assert_eq!(count["activation"], 4);
}
