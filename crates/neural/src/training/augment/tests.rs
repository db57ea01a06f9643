use super::*;

/// A sample whose image says which label each voxel has.
fn marked(size: [usize; 3]) -> Sample {
    let voxels: usize = size.iter().product();
    let labels: Vec<u8> = (0..voxels)
        .map(|at| {
            let (d, h, w) = (at / (size[1] * size[2]), at / size[2] % size[1], at % size[2]);
            let from = |a: usize, b: usize| (d as f64 - a as f64).powi(2) + (h as f64 - b as f64).powi(2);
            let round = |centre: (usize, usize, usize), r: f64| {
                from(centre.0, centre.1) + (w as f64 - centre.2 as f64).powi(2) <= r * r
            };
            if round((10, 12, 9), 6.0) {
                1
            } else if round((20, 30, 21), 7.0) {
                2
            } else {
                0
            }
        })
        .collect();
    let image = labels.iter().map(|&label| f32::from(label) * 10.0).collect();
    Sample { size, spacing_mm: [1.0, 1.0, 1.0], image, labels }
}

fn bent() -> Augmentation {
    Augmentation {
        foreground: 0.5,
        rotation_deg: Chance { probability: 1.0, range: [-30.0, 30.0] },
        scale: Chance { probability: 1.0, range: [0.8, 1.25] },
        elastic: Some(Elastic { probability: 1.0, knots_mm: 10.0, deviation_mm: [1.0, 2.0] }),
        mirror: [true; 3],
        ..Augmentation::default()
    }
}

#[test]
fn image_and_labels_stay_together() {
    let sample = marked([30, 44, 31]);
    let mut labelled = 0;
    for seed in 0..20 {
        let patch = augment(&sample, [24, 32, 28], &bent(), &mut Rng::of(&[seed]));
        for (&value, &label) in patch.image.iter().zip(&patch.labels) {
            // Half of the weight at least lies on voxels of the label; cubic interpolation leads a little beyond.
            let range = match label {
                0 => -4.0..=13.0,
                1 => 3.0..=13.0,
                _ => 8.0..=25.0,
            };
            assert!(range.contains(&value), "seed {seed}: {value} for {label}");
            labelled += usize::from(label > 0);
        }
    }
    assert!(labelled > 20_000, "{labelled}");
}

#[test]
fn volumes_follow_the_scale() {
    let sample = marked([40, 44, 40]);
    let scaled = |scale: f64| {
        let scale = Chance { probability: 1.0, range: [scale, scale] };
        let augmentation = Augmentation { scale, ..Augmentation::default() };
        let patch = augment(&sample, [40, 44, 40], &augmentation, &mut Rng::of(&[1]));
        patch.labels.iter().filter(|&&l| l == 2).count() as f64
    };
    let ratio = scaled(1.2) / scaled(1.0);
    assert!((ratio / 1.2_f64.powi(3) - 1.0).abs() < 0.05, "{ratio}");
}

#[test]
fn turning_keeps_millimetres() {
    // The same ball on a grid with thick slices.
    let size = [16, 48, 48];
    let spacing_mm = [3.0_f32, 1.0, 1.0];
    let voxels: usize = size.iter().product();
    let labels: Vec<u8> = (0..voxels)
        .map(|at| {
            let (d, h, w) = (at / (48 * 48), at / 48 % 48, at % 48);
            let mm = [(d as f32 - 7.5) * 3.0, h as f32 - 23.5, w as f32 - 23.5];
            u8::from(mm.iter().map(|x| x * x).sum::<f32>() <= 15.0 * 15.0)
        })
        .collect();
    let image = labels.iter().map(|&l| f32::from(l)).collect();
    let sample = Sample { size, spacing_mm, image, labels };
    let rotation_deg = Chance { probability: 1.0, range: [40.0, 40.0] };
    let augmentation = Augmentation { rotation_deg, ..Augmentation::default() };
    let turned = augment(&sample, size, &augmentation, &mut Rng::of(&[1]));
    let (both, one): (usize, usize) = sample
        .labels
        .iter()
        .zip(&turned.labels)
        .fold((0, 0), |(both, one), (&a, &b)| (both + usize::from(a & b), one + usize::from(a) + usize::from(b)));
    let dice = 2.0 * both as f64 / one as f64;
    assert!(dice > 0.95, "a ball turned about its middle is the same ball: {dice}");
}

#[test]
fn nothing_switched_on_is_a_crop() {
    let sample = marked([30, 44, 31]);
    for seed in 0..10 {
        let patch = augment(&sample, [24, 48, 31], &Augmentation::default(), &mut Rng::of(&[seed]));
        let whole = |s: &Sample| s.labels.iter().filter(|&&l| l == 1).count();
        assert!(whole(&patch) <= whole(&sample));
        assert!(patch.image.iter().zip(&patch.labels).all(|(&v, &l)| v == f32::from(l) * 10.0), "seed {seed}");
    }
}

#[test]
fn foreground_is_found() {
    let sample = marked([30, 44, 31]);
    let augmentation = Augmentation { foreground: 1.0, ..Augmentation::default() };
    for seed in 0..50 {
        let patch = augment(&sample, [8, 8, 8], &augmentation, &mut Rng::of(&[seed]));
        assert!(patch.labels.iter().any(|&l| l > 0), "seed {seed}");
    }
}

#[test]
fn values_vary_and_labels_do_not() {
    let sample = marked([30, 44, 31]);
    let chance = |low: f64, high: f64| Chance { probability: 1.0, range: [low, high] };
    let augmentations = [
        Augmentation { noise: chance(0.1, 0.1), ..Augmentation::default() },
        Augmentation { blur: chance(1.0, 1.0), ..Augmentation::default() },
        Augmentation { brightness: chance(0.7, 0.7), ..Augmentation::default() },
        Augmentation { contrast: chance(0.7, 0.7), ..Augmentation::default() },
        Augmentation { resolution: chance(0.5, 0.5), ..Augmentation::default() },
        Augmentation { gamma: chance(0.7, 0.7), ..Augmentation::default() },
        Augmentation { gamma_inverted: chance(0.7, 0.7), ..Augmentation::default() },
    ];
    for augmentation in augmentations {
        let patch = augment(&sample, sample.size, &augmentation, &mut Rng::of(&[1]));
        assert_eq!(patch.labels, sample.labels, "{augmentation:?}");
        assert_ne!(patch.image, sample.image, "{augmentation:?}");
        assert!(patch.image.iter().all(|v| v.is_finite()), "{augmentation:?}");
        assert_eq!(patch, augment(&sample, sample.size, &augmentation, &mut Rng::of(&[1])), "{augmentation:?}");
    }
}

#[test]
fn interpolation_is_exact_on_quadratics() {
    // Cubic convolution repeats polynomials of degree two.
    let size = [9, 10, 11];
    let value = |d: f32, h: f32, w: f32| 0.5 * d * d - h * w + 2.0 * w - 3.0;
    let image: Vec<f32> = (0..990).map(|i| value((i / 110) as f32, (i / 11 % 10) as f32, (i % 11) as f32)).collect();
    let sample = Sample { size, spacing_mm: [1.0; 3], image, labels: vec![0; 990] };
    let scale = Chance { probability: 1.0, range: [1.25, 1.25] };
    let augmentation = Augmentation { scale, ..Augmentation::default() };
    let patch = augment(&sample, [5, 6, 7], &augmentation, &mut Rng::of(&[3]));
    // Voxels of the patch are 0.8 apart, wherever it lies, and second differences do not ask where.
    let at = |d: usize| patch.image[d * 42 + 2 * 7 + 3];
    let second = at(3) - 2.0 * at(2) + at(1);
    assert!((second - 0.64).abs() < 1e-4, "{second}");
}

#[test]
fn patches_may_reach_far_out() {
    let sample = marked([30, 44, 31]);
    let scale = Chance { probability: 1.0, range: [0.25, 0.25] };
    let augmentation = Augmentation { scale, ..bent() };
    for seed in 0..5 {
        let patch = augment(&sample, [40, 48, 40], &augmentation, &mut Rng::of(&[seed]));
        assert_eq!((patch.image[0], patch.labels[0]), (0.0, 0), "seed {seed}");
        assert!(patch.labels.contains(&1) && patch.labels.contains(&2), "seed {seed}");
    }
}
