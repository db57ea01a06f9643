//! Numbers of nnunetv2 2.8.1's `resample_data_or_seg` on a volume of `((7 i² + 13 i) mod 101) / 10 − 3`, `i` counting its
//! voxels: every twelfth part of the result, and its sum.

use super::*;

fn given(size: [usize; 3]) -> Vec<f32> {
    (0..size.iter().product::<usize>()).map(|i| ((i * i * 7 + i * 13) % 101) as f32 / 10.0 - 3.0).collect()
}

#[track_caller]
fn check(old: [usize; 3], new: [usize; 3], order: u8, expected: &[f32], sum: f64) {
    let values = given(old);
    let plane = |a: usize| values[a * old[1] * old[2]..][..old[1] * old[2]].to_vec();
    let found = volume(old, new, [order; 2], Some(range(&values)), &plane);
    compare(&found, expected, sum);
}

#[track_caller]
fn compare(found: &[f32], expected: &[f32], sum: f64) {
    let step = (found.len() / 12).max(1);
    for (n, (found, expected)) in found.iter().step_by(step).zip(expected).enumerate() {
        assert!((found - expected).abs() < 2e-5, "value {n}: {found}, expected {expected}");
    }
    let found: f64 = found.iter().map(|&x| f64::from(x)).sum();
    assert!((found - sum).abs() < 1e-3, "sum {found}, expected {sum}");
}

#[test]
fn cubic_splines_are_those_of_scikit_image() {
    let expected = [
        -3.0, 5.03611, -1.598541, 5.823019, -0.923535, 6.00367, -1.48185, 4.134364, 2.45313, 1.266354, 6.657034,
        -0.547889,
    ];
    check([4, 5, 6], [6, 4, 9], 3, &expected, 377.1589);
    // From a single plane.
    let expected = [
        -3.0, 2.83634, 4.059979, 0.834446, 3.409637, 3.470114, 5.933281, -0.652504, 0.0764, 2.406977, 2.39636,
        -0.244972, 0.036449,
    ];
    check([1, 5, 6], [2, 5, 9], 3, &expected, 94.95137);
}

#[test]
fn lines_are_those_of_scikit_image() {
    let expected =
        [-2.6625, 3.8625, -1.49375, 4.40625, -0.352083, 4.714583, -0.460417, 3.772917, 2.6, 1.58125, 5.6875, -0.375];
    check([4, 5, 6], [6, 4, 9], 1, &expected, 370.26562);
}

#[test]
fn a_coarse_axis_takes_the_nearest_plane() {
    let (old, new) = ([4, 5, 6], [7, 8, 3]);
    let values = given(old);
    let plane = |a: usize| values[a * 30..][..30].to_vec();
    let found = volume(old, new, [0, 3], None, &plane);
    let expected = [
        -2.7059, 2.415092, 1.643449, 1.562302, 0.963367, 1.575782, 4.181254, -1.841344, 1.449685, 0.548891, 3.169462,
        -1.521217,
    ];
    compare(&found, &expected, 275.13844);
}

#[test]
fn halves_go_to_the_even_number() {
    assert_eq!(new_size([122, 5, 7], [3.0, 1.0, 1.0], [4.0, 2.0, 2.0]), [92, 2, 4]);
    assert_eq!(new_size([1, 5, 7], [1.0; 3], [9.0, 1.0, 1.0]), [1, 5, 7]);
}

#[test]
fn one_coarse_axis_is_set_apart() {
    let by = |force_separate_z| Resampling { order: 3, order_z: 0, force_separate_z };
    assert_eq!(separate_axis(&by(None), [5.0, 0.8, 0.8], [1.5; 3]), Some(0));
    assert_eq!(separate_axis(&by(None), [1.5; 3], [0.8, 5.0, 0.8]), Some(1));
    assert_eq!(separate_axis(&by(None), [2.0, 0.8, 0.8], [1.5; 3]), None);
    // Two coarse axes.
    assert_eq!(separate_axis(&by(None), [0.24, 1.25, 1.25], [1.5; 3]), None);
    assert_eq!(separate_axis(&by(Some(false)), [5.0, 0.8, 0.8], [1.5; 3]), None);
    assert_eq!(separate_axis(&by(Some(true)), [1.0, 0.9, 0.8], [1.5; 3]), Some(0));
}

#[test]
fn taps_end_at_the_edges() {
    let taps = taps(3, 5, 1);
    assert_eq!((taps[0].low, taps[0].weight), (0, 0.0));
    assert_eq!((taps[4].low, taps[4].high), (2, 2));
    assert!((taps[1].weight - 0.4).abs() < 1e-6 && taps[1].low == 0 && taps[1].high == 1);
}
