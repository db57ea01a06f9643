use candle_core::Device;

use super::*;
use crate::nnunet::plans::{InstanceNormConfig, Stage};

fn architecture(kind: NetworkKind) -> Architecture {
    let stage = |features, kernel, stride| Stage { features, blocks: 2, kernel, stride };
    Architecture {
        kind,
        inputs: 2,
        heads: 9,
        stages: vec![stage(4, [1, 3, 3], [1; 3]), stage(6, [3; 3], [1, 2, 2]), stage(8, [3; 3], [2; 3])],
        decoder_convs: vec![1, 2],
        conv_bias: true,
        norm: Some(InstanceNormConfig { eps: 1e-5, affine: true }),
        negative_slope: Some(0.01),
        nonlin_first: false,
    }
}

fn random(size: &[usize], state: &mut u32) -> Tensor {
    let next = || {
        *state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (*state >> 8) as f32 / (1 << 24) as f32 - 0.5
    };
    let values: Vec<f32> = std::iter::repeat_with(next).take(size.iter().product()).collect();
    Tensor::from_vec(values, size, &Device::Cpu).unwrap()
}

/// Weights of whatever names and sizes the network asks for.
fn weights(architecture: &Architecture, mut seed: u32) -> Tensors {
    let mut tensors = Tensors::new();
    loop {
        match Network::load(architecture, &tensors) {
            Ok(_) => return tensors,
            Err(NeuralError::MissingTensor { name }) => {
                tensors.insert(name, Tensor::zeros(1, candle_core::DType::F32, &Device::Cpu).unwrap())
            }
            Err(NeuralError::TensorShape { name, expected, .. }) => tensors.insert(name, random(&expected, &mut seed)),
            Err(error) => panic!("{error}"),
        };
    }
}

fn close(a: &Tensor, b: &Tensor) {
    assert_eq!(a.dims(), b.dims());
    let off = (a - b).unwrap().abs().unwrap().flatten_all().unwrap().max(0).unwrap().to_scalar::<f32>().unwrap();
    assert!(off < 1e-5, "{off}");
}

/// Names as in dynamic-network-architectures 0.4.4.
#[test]
fn parameters_are_named_as_in_pytorch() {
    let has = |kind, names: &[&str]| {
        let tensors = weights(&architecture(kind), 1);
        for name in names {
            assert!(tensors.contains_key(*name), "{name}");
        }
    };
    let decoder = ["decoder.transpconvs.1.weight", "decoder.stages.1.convs.1.norm.bias", "decoder.seg_layers.1.weight"];
    has(NetworkKind::Plain, &["encoder.stages.2.0.convs.1.conv.weight", decoder[0], decoder[1], decoder[2]]);
    let names = [
        "encoder.stem.convs.0.conv.bias",
        "encoder.stages.0.blocks.1.conv2.norm.weight",
        // After pooling, and where nothing is pooled.
        "encoder.stages.1.blocks.0.skip.1.conv.weight",
        "encoder.stages.0.blocks.0.skip.0.conv.weight",
    ];
    has(NetworkKind::Residual { stem: 5 }, &[&names[..], &decoder[..]].concat());
}

#[test]
fn one_layer_gives_the_mean_of_several_networks() {
    for kind in [NetworkKind::Plain, NetworkKind::Residual { stem: 4 }] {
        let architecture = architecture(kind);
        let networks = [1, 2, 3].map(|seed| Network::load(&architecture, &weights(&architecture, seed)).unwrap());
        let x = random(&[1, 2, 4, 8, 12], &mut 9);
        let features: Vec<Tensor> = networks.iter().map(|n| n.features(x.clone()).unwrap()).collect();
        let joined = mean_head(&networks).unwrap().forward(&Tensor::cat(&features, 1).unwrap()).unwrap();
        let mut sum = networks[0].logits(x.clone()).unwrap();
        for network in &networks[1..] {
            sum = (sum + network.logits(x.clone()).unwrap()).unwrap();
        }
        close(&joined, &(sum / 3.0).unwrap());
    }
}

#[test]
fn weights_of_another_network_are_refused() {
    let architecture = architecture(NetworkKind::Plain);
    let good = weights(&architecture, 1);
    let name = "decoder.stages.0.convs.0.conv.weight";
    let fails = |change: &dyn Fn(&mut Tensors)| {
        let mut tensors = good.clone();
        change(&mut tensors);
        Network::load(&architecture, &tensors).map(|_| ()).unwrap_err().to_string()
    };
    let error = fails(&|t| drop(t.remove(name)));
    assert!(error.contains(name), "{error}");
    let error = fails(&|t| drop(t.insert(name.into(), random(&[6, 6, 3, 3, 3], &mut 1))));
    assert!(error.contains("[6, 12, 3, 3, 3]"), "{error}");
    let error = fails(&|t| drop(t.insert(name.into(), (random(&[6, 12, 3, 3, 3], &mut 1) / 0.0).unwrap())));
    assert!(error.contains("not finite"), "{error}");
    let network = Network::load(&architecture, &good).unwrap();
    let error = network.features(random(&[1, 2, 4, 8, 10], &mut 1)).map(|_| ()).unwrap_err().to_string();
    assert!(error.contains("[2, 4, 4]"), "{error}");
}
