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

fn synthetic(onto_image: bool) -> Augmentation {
    Augmentation {
        synthesis: Some(Synthesis {
            probability: 1.0,
            onto_image,
            mean: [0.0, 10.0],
            deviation: [0.1, 0.2],
            parts: [1, 1],
            bias: [0.0, 0.0],
            bias_knots_mm: 20.0,
        }),
        ..Augmentation::default()
    }
}

/// Mean and deviation of the values of one label.
fn look(patch: &Sample, label: u8) -> (f64, f64) {
    let own = || patch.image.iter().zip(&patch.labels).filter(|(_, l)| **l == label).map(|(v, _)| f64::from(*v));
    let count = own().count() as f64;
    let mean = own().sum::<f64>() / count;
    (mean, (own().map(|v| (v - mean).powi(2)).sum::<f64>() / count).sqrt())
}

#[test]
fn structures_get_values_of_their_own() {
    let sample = marked([30, 44, 31]);
    let (mut brighter, mut means) = (0, Vec::new());
    for seed in 0..40 {
        let patch = augment(&sample, sample.size, &synthetic(false), &mut Rng::of(&[seed]));
        assert_eq!(patch.labels, sample.labels, "only values are made");
        let all: f64 = patch.image.iter().map(|&v| f64::from(v)).sum::<f64>() / patch.voxels() as f64;
        let squares: f64 = patch.image.iter().map(|&v| (f64::from(v) - all).powi(2)).sum();
        assert!(all.abs() < 1e-4 && (squares / patch.voxels() as f64 - 1.0).abs() < 1e-3, "mean {all}, {squares}");
        let looks = [0, 1, 2].map(|label| look(&patch, label));
        // Deviations are from 0.1 to 0.2 of what the patch's own was before it became 1.
        let ratio = looks[1].1 / looks[2].1;
        assert!((0.4..2.5).contains(&ratio), "seed {seed}: {looks:?}");
        brighter += usize::from(looks[1].0 > looks[2].0);
        means.push(looks[1].0 - looks[0].0);
    }
    // In the sample itself, 2 is always brighter than 1, and 1 than background.
    assert!((8..=32).contains(&brighter), "1 is brighter than 2 in {brighter} of 40");
    assert!(means.iter().any(|m| *m > 0.0) && means.iter().any(|m| *m < 0.0), "{means:?}");
}

#[test]
fn values_may_be_added_to_the_image() {
    let sample = marked([30, 44, 31]);
    let mut augmentation = synthetic(true);
    let patch = augment(&sample, sample.size, &augmentation, &mut Rng::of(&[1]));
    for label in [0, 1, 2] {
        let (mean, deviation) = look(&patch, label);
        let added = mean - 10.0 * f64::from(label);
        assert!((0.0..=10.0).contains(&added) && (0.09..0.21).contains(&deviation), "{label}: {mean} ± {deviation}");
    }
    augmentation.synthesis.as_mut().unwrap().probability = 0.0;
    assert_eq!(augment(&sample, sample.size, &augmentation, &mut Rng::of(&[1])), sample, "nothing is made");
}

#[test]
fn unlabelled_tissue_is_parted_by_its_own_values() {
    let mut sample = marked([30, 44, 31]);
    // Half of the background is bright.
    for (at, value) in sample.image.iter_mut().enumerate() {
        if sample.labels[at] == 0 && at / 31 % 44 < 22 {
            *value = 5.0;
        }
    }
    let mut augmentation = synthetic(false);
    augmentation.synthesis.as_mut().unwrap().parts = [2, 1];
    let mut apart = 0;
    for seed in 0..20 {
        let patch = augment(&sample, sample.size, &augmentation, &mut Rng::of(&[seed]));
        let mean = |bright: bool| {
            let own = (0..patch.voxels()).filter(|&at| sample.labels[at] == 0 && (sample.image[at] > 1.0) == bright);
            let values: Vec<f64> = own.map(|at| f64::from(patch.image[at])).collect();
            values.iter().sum::<f64>() / values.len() as f64
        };
        apart += usize::from((mean(true) - mean(false)).abs() > 0.3);
    }
    assert!(apart >= 15, "the halves differ in {apart} of 20");
}

#[test]
fn gains_are_smooth() {
    let lattice = spatial::Lattice { size: [24, 30, 40], spacing_mm: [2.0, 1.5, 1.0] };
    let field = spatial::smooth_field::<1>(lattice, 20.0, [0.5], &mut Rng::of(&[4]));
    assert_eq!(field.len(), 24 * 30 * 40);
    let (mut least, mut most, mut step) = (f32::INFINITY, f32::NEG_INFINITY, 0.0_f32);
    for (at, [value]) in field.iter().enumerate() {
        (least, most) = (least.min(*value), most.max(*value));
        if at % 40 > 0 {
            step = step.max((value - field[at - 1][0]).abs());
        }
    }
    // Knots that differ by two deviations are 20 voxels apart.
    assert!(most - least > 0.3 && step < 0.1, "from {least} to {most}, at most {step} from voxel to voxel");
}
