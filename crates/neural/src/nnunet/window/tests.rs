use super::*;

/// Numbers of nnunetv2 2.8.1's `compute_gaussian((8, 10, 7), 1 / 8, 10)` in half precision.
#[test]
fn weights_are_those_of_the_reference() {
    let weights = gaussian([8, 10, 7]);
    let expected = [
        (0, 5.960_464_5e-8),
        (1, 5.960_464_5e-8),
        (35, 9.417_534e-6),
        (4 * 70 + 5 * 7 + 3, 10.0),
        (559, 1.847_744e-6),
        (200, 0.039_550_78),
    ];
    for (at, expected) in expected {
        assert_eq!(weights[at], expected, "at {at}");
    }
    let sum: f64 = weights.iter().map(|&w| f64::from(w)).sum();
    assert!((sum - 172.22938537597656).abs() < 1e-3, "{sum}");
}

#[test]
fn windows_are_those_of_the_reference() {
    assert_eq!(steps(110, 64, 0.5), [0, 23, 46]);
    assert_eq!(steps(64, 64, 0.5), [0]);
    assert_eq!(steps(200, 128, 0.5), [0, 36, 72]);
    assert_eq!(steps(131, 40, 0.3), [0, 11, 23, 34, 46, 57, 68, 80, 91]);
}

#[test]
fn a_window_outside_is_zero_there() {
    let values: Vec<f32> = (1..=8).map(|n| n as f32).collect();
    let image = Image { values: &values, size: [2, 2, 2] };
    let x = image.window([-1, 0, 1], [3, 2, 2]).unwrap();
    assert_eq!(x.dims(), [1, 1, 3, 2, 2]);
    let x = x.flatten_all().unwrap().to_vec1::<f32>().unwrap();
    assert_eq!(x, [0.0, 0.0, 0.0, 0.0, 2.0, 0.0, 4.0, 0.0, 6.0, 0.0, 8.0, 0.0]);
}
