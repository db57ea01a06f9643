//! What needs no other library; against PyTorch in `tests/layers.rs`.

use candle_core::{Device, Module, Tensor};

use super::*;

#[test]
fn in_place_gives_the_same_bits() {
    let data: Vec<f32> = (0..2 * 3 * 7 * 40 * 41).map(|i| ((i * 7919 % 1000) as f32 - 200.0) * 3.0 + 1e4).collect();
    let x = Tensor::from_vec(data, (2, 3, 7, 40, 41), &Device::Cpu).unwrap();
    let norm = InstanceNorm::plain(3, 1e-5).unwrap().with_activation(Activation::LeakyRelu(0.01));
    let y = norm.forward(&x).unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap();
    let in_place = norm.forward_in_place(x.copy().unwrap()).unwrap();
    assert_eq!(in_place.flatten_all().unwrap().to_vec1::<f32>().unwrap(), y);
}

#[test]
fn in_place_refuses_a_variable() {
    let x = Var::ones((1, 2, 2, 2, 2), DType::F32, &Device::Cpu).unwrap();
    let norm = InstanceNorm::plain(2, 1e-5).unwrap();
    assert!(norm.forward_in_place(x.as_tensor().clone()).is_err());
    assert!(norm.forward_in_place(Tensor::ones((1, 3, 2, 2, 2), DType::F32, &Device::Cpu).unwrap()).is_err());
}

#[test]
fn a_far_mean_does_not_spoil_the_variance() {
    // Deviation 1 around 10 000: the naive sum of squares in `f32` would lose it.
    let data: Vec<f32> = (0..40_000).map(|i| if i % 2 == 0 { 10_001.0 } else { 9_999.0 }).collect();
    let moments = moments::of_channel(&data);
    assert!((moments.mean - 10_000.0).abs() < 1e-6, "{moments:?}");
    assert!((moments.variance - 1.0).abs() < 1e-6, "{moments:?}");
}

#[test]
fn results_do_not_depend_on_the_threads() {
    let data: Vec<f32> = (0..3 * 100_003_u64).map(|i| ((i * 7919 % 10_007) as f32).sin()).collect();
    let on = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| moments::of_channels(&data, 100_003))
    };
    assert_eq!(on(1), on(4));
}

#[test]
fn the_composed_path_gives_the_same() {
    let numbers = |count: usize, seed: usize| (0..count).map(|i| ((i * 7919 + seed) % 1009) as f32 / 500.0).collect();
    let tensor = |dims: &[usize], seed: usize| {
        Tensor::from_vec::<_, f32>(numbers(dims.iter().product(), seed), dims, &Device::Cpu).unwrap()
    };
    let x = tensor(&[2, 6, 3, 4, 5], 1);
    let affine = Affine { weight: tensor(&[6], 2), bias: tensor(&[6], 3) };
    let (mean, variance) = (tensor(&[6], 4), (tensor(&[6], 5) + 0.5).unwrap());
    let close = |a: &Tensor, b: &Tensor| {
        let error = (a - b).unwrap().abs().unwrap().max_all().unwrap().to_scalar::<f32>().unwrap();
        assert!(error < 1e-5, "{error}");
    };
    for sharing in [Sharing::Channels(1), Sharing::Channels(3), Sharing::Items] {
        let moments = moments::of_tensor(&x, sharing).unwrap();
        for (a, b) in moments.iter().zip(&composed::moments(&x, sharing).unwrap()) {
            assert!((a.mean - b.mean).abs() < 1e-5 && (a.variance - b.variance).abs() < 1e-5, "{a:?} {b:?}");
        }
        let ours = op::apply(&x, &affine, sharing, &moments, 1e-5, Activation::Identity, false).unwrap();
        close(&ours, &composed::normalize(&x, &affine, sharing, None, 1e-5).unwrap());
    }
    let pairs = mean.to_vec1::<f32>().unwrap().into_iter().zip(variance.to_vec1::<f32>().unwrap());
    let fixed: Vec<Moments> = pairs.map(|(m, v)| Moments { mean: f64::from(m), variance: f64::from(v) }).collect();
    let ours = op::apply(&x, &affine, Sharing::Items, &fixed, 1e-5, Activation::Identity, true).unwrap();
    close(&ours, &composed::normalize(&x, &affine, Sharing::Items, Some([&mean, &variance]), 1e-5).unwrap());
}
