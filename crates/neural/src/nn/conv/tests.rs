//! Against Candle's own operations; against PyTorch in `tests/`.

use candle_core::{DType, Device, Tensor, Var};

use super::super::{Activation, composed};
use super::*;

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
fn close(name: &str, a: &Tensor, b: &Tensor) {
    assert_eq!(a.shape(), b.shape(), "{name}");
    let scale = b.abs().unwrap().max_all().unwrap().to_scalar::<f32>().unwrap().max(1e-6);
    let error = (a - b).unwrap().abs().unwrap().max_all().unwrap().to_scalar::<f32>().unwrap();
    assert!(error <= 2e-5 * scale, "{name}: {error} of {scale}");
}

struct Shape5 {
    x: [usize; 5],
    /// Output channels and kernel.
    w: [usize; 4],
    options: Conv3dOptions,
}

fn shapes() -> Vec<Shape5> {
    let case = |x, w, stride, padding, dilation, groups| Shape5 {
        x,
        w,
        options: Conv3dOptions { stride, padding, dilation, groups },
    };
    vec![
        case([1, 1, 1, 1, 1], [1, 1, 1, 1], [1; 3], [0; 3], [1; 3], 1),
        case([1, 3, 5, 6, 7], [4, 3, 3, 3], [1; 3], [1; 3], [1; 3], 1),
        case([2, 5, 9, 8, 17], [5, 3, 3, 3], [1; 3], [1; 3], [1; 3], 1),
        case([1, 33, 6, 7, 35], [9, 3, 3, 3], [1; 3], [1; 3], [1; 3], 1),
        case([1, 40, 8, 8, 8], [21, 3, 3, 3], [1; 3], [1; 3], [1; 3], 1),
        case([1, 7, 20, 21, 22], [6, 3, 3, 3], [1; 3], [4; 3], [4; 3], 1),
        case([1, 4, 12, 11, 33], [7, 3, 3, 3], [1; 3], [16; 3], [16; 3], 1),
        case([1, 4, 12, 13, 40], [7, 3, 3, 3], [2; 3], [1; 3], [1; 3], 1),
        case([1, 6, 9, 9, 9], [8, 3, 3, 3], [2; 3], [1; 3], [1; 3], 1),
        case([1, 4, 12, 13, 15], [7, 1, 3, 3], [1, 2, 2], [0, 1, 1], [1; 3], 1),
        case([1, 4, 12, 13, 16], [7, 2, 2, 2], [2; 3], [0; 3], [1; 3], 1),
        case([1, 4, 10, 13, 16], [3, 5, 1, 3], [2, 1, 3], [2, 0, 1], [1, 1, 1], 1),
        case([1, 8, 6, 5, 18], [12, 3, 3, 3], [1; 3], [1; 3], [1; 3], 4),
        case([1, 6, 6, 5, 18], [6, 3, 3, 3], [1; 3], [1; 3], [1; 3], 6),
        case([1, 4, 9, 10, 50], [5, 1, 1, 1], [1; 3], [0; 3], [1; 3], 1),
        case([1, 3, 16, 15, 14], [5, 7, 7, 7], [2; 3], [3; 3], [1; 3], 1),
        case([1, 3, 16, 15, 24], [5, 3, 3, 3], [2; 3], [2; 3], [2; 3], 1),
        case([1, 2, 3, 4, 400], [3, 3, 3, 3], [1; 3], [1; 3], [1; 3], 1),
    ]
}

#[test]
fn forward_equals_the_composed_path() {
    for (at, Shape5 { x, w, options }) in shapes().into_iter().enumerate() {
        let x_values = values(&x, 1);
        let weight = values(&[w[0], x[1] / options.groups, w[1], w[2], w[3]], 2);
        let bias = values(&[w[0]], 3);
        let ours = conv3d(&x_values, &weight, Some(&bias), &options, Activation::Identity).unwrap();
        let theirs = composed::conv3d(&x_values, &weight, Some(&bias), &options).unwrap();
        close(&format!("shape {at} {x:?} {w:?} {options:?}"), &ours, &theirs);
    }
}

#[test]
fn every_instruction_set_computes_the_same() {
    for (at, Shape5 { x, w, options }) in shapes().into_iter().enumerate() {
        let x_values = values(&x, 1);
        let weight = values(&[w[0], x[1] / options.groups, w[1], w[2], w[3]], 2);
        let sizes = Sizes::of(x_values.shape(), weight.shape(), Job::Direct, &options).unwrap();
        let flat = weight.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        let data = x_values.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        let lattice = Lattice::direct(sizes.input, sizes.kernel, &options).unwrap();
        let results: Vec<Tensor> = Isa::available()
            .into_iter()
            .map(|isa| {
                let channels = [x[1] / options.groups, w[0] / options.groups];
                let positions = w[1..].iter().product();
                let taps = lattice.taps(sizes.kernel);
                let pack =
                    PackedWeights::new(isa, &flat, Order::OutputFirst, options.groups, channels, positions, &taps);
                let mut out = vec![f32::NAN; sizes.out_shape().iter().product()];
                let input = Input { data: &data, batch: x[0], channels: x[1] };
                engine::run(input, &lattice, &pack, None, Activation::Identity, &mut out);
                Tensor::from_vec(out, sizes.out_shape().to_vec(), &Device::Cpu).unwrap()
            })
            .collect();
        for other in &results[1..] {
            close(&format!("shape {at}"), other, &results[0]);
        }
    }
}

#[test]
fn gradients_equal_the_composed_path() {
    for (at, Shape5 { x, w, options }) in shapes().into_iter().enumerate() {
        // Candle has no gradient of grouped or dilated strided convolutions.
        if options.groups > 1 || options.stride != [1; 3] {
            continue;
        }
        let x_var = Var::from_tensor(&values(&x, 1)).unwrap();
        let weight = Var::from_tensor(&values(&[w[0], x[1] / options.groups, w[1], w[2], w[3]], 2)).unwrap();
        let bias = Var::from_tensor(&values(&[w[0]], 3)).unwrap();
        let gradients = |y: Tensor| {
            let weigh = values(y.dims(), 5);
            let store = (y * weigh).unwrap().sum_all().unwrap().backward().unwrap();
            [&x_var, &weight, &bias].map(|v| store.get(v).unwrap().clone())
        };
        let ours = gradients(conv3d(&x_var, &weight, Some(&bias), &options, Activation::Identity).unwrap());
        let theirs = gradients(composed::conv3d(&x_var, &weight, Some(&bias), &options).unwrap());
        for (name, (a, b)) in ["x", "weight", "bias"].iter().zip(ours.iter().zip(&theirs)) {
            close(&format!("gradient of {name}, shape {at} {x:?} {w:?}"), a, b);
        }
    }
}

/// A convolution is linear in its input and in its weights, so its gradients follow from it: no second implementation.
#[test]
fn gradients_are_the_adjoint() {
    for (at, Shape5 { x, w, options }) in shapes().into_iter().enumerate() {
        let x_var = Var::from_tensor(&values(&x, 1)).unwrap();
        let weight = Var::from_tensor(&values(&[w[0], x[1] / options.groups, w[1], w[2], w[3]], 2)).unwrap();
        let y = conv3d(&x_var, &weight, None, &options, Activation::Identity).unwrap();
        let weigh = values(y.dims(), 5);
        let loss = (&y * &weigh).unwrap().sum_all().unwrap();
        let store = loss.backward().unwrap();
        let dot = |a: &Tensor, b: &Tensor| {
            let a = a.to_dtype(DType::F64).unwrap();
            (a * b.to_dtype(DType::F64).unwrap()).unwrap().sum_all().unwrap().to_scalar::<f64>().unwrap()
        };
        let loss = dot(&y, &weigh);
        for (name, var) in [("x", &x_var), ("weight", &weight)] {
            let gradient = store.get(var).unwrap();
            let by_gradient = dot(gradient, var);
            let scale = dot(&gradient.abs().unwrap(), &var.abs().unwrap());
            assert!((by_gradient - loss).abs() < 1e-5 * scale, "{name}, shape {at}: {by_gradient} for {loss}");
            // And along another direction.
            let other = values(var.dims(), 9);
            let moved = match name {
                "x" => conv3d(&other, &weight, None, &options, Activation::Identity),
                _ => conv3d(&x_var, &other, None, &options, Activation::Identity),
            };
            let along = dot(&moved.unwrap(), &weigh);
            assert!((dot(gradient, &other) - along).abs() < 1e-5 * scale, "{name} elsewhere, shape {at}");
        }
    }
}

#[test]
fn transposed_equals_the_composed_path() {
    for (stride, padding, dilation, kernel, groups) in [
        ([2; 3], [0; 3], [1; 3], [2; 3], 1),
        ([1, 2, 2], [0; 3], [1; 3], [1, 2, 2], 1),
        ([2; 3], [1; 3], [1; 3], [3; 3], 1),
        ([3, 1, 2], [1, 0, 2], [1; 3], [4, 3, 5], 1),
        ([2; 3], [1; 3], [2; 3], [3; 3], 2),
        ([4; 3], [0; 3], [1; 3], [2; 3], 1),
    ] {
        let options = Conv3dOptions { stride, padding, dilation, groups };
        let x = Var::from_tensor(&values(&[2, 4, 5, 6, 9], 1)).unwrap();
        let weight = values(&[4, 6 / groups, kernel[0], kernel[1], kernel[2]], 2);
        let bias = values(&[6], 3);
        let ours = conv_transpose3d(&x, &weight, Some(&bias), &options).unwrap();
        let theirs = composed::conv_transpose3d(&x, &weight, Some(&bias), &options, [0; 3]).unwrap();
        close(&format!("{options:?}"), &ours, &theirs);
        let weight = Var::from_tensor(&weight).unwrap();
        let y = conv_transpose3d(&x, &weight, None, &options).unwrap();
        let weigh = values(y.dims(), 5);
        let store = (&y * &weigh).unwrap().sum_all().unwrap().backward().unwrap();
        let dot = |a: &Tensor, b: &Tensor| (a * b).unwrap().sum_all().unwrap().to_scalar::<f32>().unwrap();
        for (name, var) in [("x", &x), ("weight", &weight)] {
            let other = values(var.dims(), 9);
            let moved = match name {
                "x" => conv_transpose3d(&other, &weight, None, &options),
                _ => conv_transpose3d(&x, &other, None, &options),
            };
            let (a, b) = (dot(store.get(var).unwrap(), &other), dot(&moved.unwrap(), &weigh));
            assert!((a - b).abs() < 1e-3 * a.abs().max(1.0), "{name}: {a} for {b}, {options:?}");
        }
    }
}

#[test]
fn fused_activations_and_their_gradients() {
    let x = Var::from_tensor(&values(&[1, 3, 4, 5, 6], 1)).unwrap();
    let weight = Var::from_tensor(&values(&[4, 3, 3, 3, 3], 2)).unwrap();
    let bias = values(&[4], 3);
    let options = Conv3dOptions::same([3; 3], 1);
    for activation in [Activation::Relu, Activation::LeakyRelu(0.01), Activation::Elu(1.0), Activation::Gelu] {
        let plain = composed::conv3d(&x, &weight, Some(&bias), &options).unwrap();
        let theirs = match activation {
            Activation::Relu => plain.relu(),
            Activation::LeakyRelu(slope) => candle_nn::ops::leaky_relu(&plain, f64::from(slope)),
            Activation::Elu(alpha) => plain.elu(f64::from(alpha)),
            _ => plain.gelu_erf(),
        }
        .unwrap();
        let ours = conv3d(&x, &weight, Some(&bias), &options, activation).unwrap();
        close(&format!("{activation:?}"), &ours, &theirs);
        let weigh = values(ours.dims(), 7);
        let gradients = |y: &Tensor| {
            let store = (y * &weigh).unwrap().sum_all().unwrap().backward().unwrap();
            [&x, &weight].map(|v| store.get(v).unwrap().clone())
        };
        let (ours, theirs) = (gradients(&ours), gradients(&theirs));
        close(&format!("{activation:?} to x"), &ours[0], &theirs[0]);
        close(&format!("{activation:?} to weight"), &ours[1], &theirs[1]);
    }
}

#[test]
fn shapes_that_do_not_fit_are_errors() {
    let x = values(&[1, 3, 4, 5, 6], 1);
    let run =
        |weight: &[usize], options: Conv3dOptions| conv3d(&x, &values(weight, 2), None, &options, Activation::Identity);
    assert!(run(&[4, 2, 3, 3, 3], Conv3dOptions::default()).is_err(), "channels");
    assert!(run(&[4, 3, 5, 3, 3], Conv3dOptions::default()).is_err(), "kernel deeper than the input");
    assert!(run(&[4, 3, 3, 3, 3], Conv3dOptions { stride: [0, 1, 1], ..Default::default() }).is_err(), "stride 0");
    assert!(run(&[4, 3, 3, 3, 3], Conv3dOptions { groups: 2, ..Default::default() }).is_err(), "groups");
    assert!(run(&[4, 3, 3, 3], Conv3dOptions::default()).is_err(), "rank");
    let bias = values(&[5], 3);
    let weight = values(&[4, 3, 1, 1, 1], 2);
    assert!(conv3d(&x, &weight, Some(&bias), &Conv3dOptions::default(), Activation::Identity).is_err(), "bias");
}

#[test]
fn buffers_of_the_caller_hold_the_same() {
    let mut out = vec![7.0; 3];
    for activation in [Activation::Elu(1.0), Activation::Gelu] {
        for size in [[1, 5, 6, 7, 20], [2, 5, 4, 4, 5], [1, 5, 6, 7, 20]] {
            let x = values(&size, 1);
            let options = Conv3dOptions::same([3; 3], 2);
            let layer =
                Conv3d::new(values(&[4, 5, 3, 3, 3], 2), Some(values(&[4], 3)), options).with_activation(activation);
            let expected = layer.forward(&x).unwrap();
            let flat = x.flatten_all().unwrap().to_vec1::<f32>().unwrap();
            let shape = layer.forward_into(&flat, size, &mut out).unwrap();
            assert_eq!(shape[..], *expected.dims());
            close("buffer", &Tensor::from_slice(&out, &shape[..], &Device::Cpu).unwrap(), &expected);
        }
    }
    let layer = Conv3d::new(values(&[4, 5, 3, 3, 3], 2), None, Conv3dOptions::default());
    assert!(layer.forward_into(&[0.0; 10], [1, 5, 6, 7, 20], &mut out).is_err(), "too few values");
}

/// Weights are packed at the first call, which may be on a volume smaller than the stride.
#[test]
fn a_layer_serves_small_volumes_first_and_large_ones_after() {
    let options = Conv3dOptions { stride: [4; 3], ..Conv3dOptions::default() };
    let weight = values(&[3, 2, 2, 2, 2], 2);
    let layer = ConvTranspose3d { weight: weight.clone(), bias: None, options, packs: Packs::default() };
    for size in [1, 3] {
        let x = values(&[1, 3, size, size, size], 1);
        let theirs = composed::conv_transpose3d(&x, &weight, None, &options, [0; 3]).unwrap();
        close(&format!("size {size}"), &layer.forward(&x).unwrap(), &theirs);
    }
}
