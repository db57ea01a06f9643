use super::*;
use crate::networks::unet::{Down, UNetConfig, Up};
use crate::training::{Chance, Elastic};

fn network() -> UNetConfig {
    UNetConfig {
        inputs: 1,
        classes: 3,
        channels: vec![6, 10, 14],
        convolutions: 2,
        down: Down::Strided,
        up: Up::Transposed,
        slope: 0.01,
    }
}

/// A bright ball and a dark one on noise.
fn case(seed: u64) -> Sample {
    let size = [16, 20, 18];
    let mut rng = Rng::of(&[99, seed]);
    let centres = [[5.0, 6.0, 6.0], [10.0, 13.0, 12.0]].map(|c: [f64; 3]| c.map(|x| x + rng.between(-1.0, 1.0)));
    let voxels: usize = size.iter().product();
    let labels: Vec<u8> = (0..voxels)
        .map(|at| {
            let voxel = [at / 360, at / 18 % 20, at % 18];
            let near = |c: &[f64; 3]| (0..3).map(|a| (voxel[a] as f64 - c[a]).powi(2)).sum::<f64>() < 16.0;
            if near(&centres[0]) {
                1
            } else if near(&centres[1]) {
                2
            } else {
                0
            }
        })
        .collect();
    let image = labels.iter().map(|&l| [0.0, 1.5, -1.5][usize::from(l)] + 0.5 * rng.normal() as f32).collect();
    Sample { size, spacing_mm: [1.0; 3], image, labels }
}

fn config() -> TrainingConfig {
    TrainingConfig {
        seed: 11,
        patch: [12, 16, 16],
        batch: 2,
        epochs: 6,
        patches_per_sample: 1,
        patience: 0,
        learning_rate: 5e-3,
        schedule: Schedule::Cosine { warmup: 0.1 },
        optimizer: OptimizerConfig::default(),
        clip_norm: Some(5.0),
        loss: LossConfig::default(),
        augmentation: Augmentation {
            foreground: 0.5,
            rotation_deg: Chance { probability: 0.5, range: [-20.0, 20.0] },
            elastic: Some(Elastic { probability: 0.5, knots_mm: 8.0, deviation_mm: [0.5, 1.0] }),
            noise: Chance { probability: 0.5, range: [0.0, 0.2] },
            ..Augmentation::default()
        },
    }
}

fn run(trainer: &mut Trainer<'_>, epochs: usize) {
    let training: Vec<Sample> = (0..3).map(case).collect();
    let validation = vec![case(7)];
    for _ in 0..epochs {
        trainer.epoch(&training, &validation, &mut |_, _| true).unwrap();
    }
}

#[test]
fn a_stop_changes_no_bit() {
    for optimizer in [OptimizerConfig::default(), OptimizerConfig::Nesterov { momentum: 0.9, weight_decay: 1e-4 }] {
        let config = TrainingConfig { optimizer, ..config() };
        let kind = network();
        let mut through = Trainer::new(&kind, config.clone()).unwrap();
        run(&mut through, 3);
        let mut first = Trainer::new(&kind, config.clone()).unwrap();
        run(&mut first, 1);
        let mut second = Trainer::resume(&kind, config, &first.checkpoint().unwrap()).unwrap();
        run(&mut second, 2);
        assert_eq!(second.state(), through.state());
        assert!(second.checkpoint().unwrap() == through.checkpoint().unwrap(), "the bytes differ: {optimizer:?}");
    }
}

#[test]
fn threads_change_no_bit() {
    let on = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let kind = network();
            let mut trainer = Trainer::new(&kind, config()).unwrap();
            run(&mut trainer, 1);
            trainer.checkpoint().unwrap()
        })
    };
    assert!(on(1) == on(3), "the weights depend on the threads");
}

#[test]
fn seeds_change_the_weights() {
    let kind = network();
    let trainer = |seed: u64| Trainer::new(&kind, TrainingConfig { seed, ..config() }).unwrap();
    let weights = |t: Trainer<'_>| t.weights(Precision::Single, BTreeMap::new()).unwrap();
    assert!(weights(trainer(1)) == weights(trainer(1)));
    assert!(weights(trainer(1)) != weights(trainer(2)));
}

#[test]
fn one_case_can_be_learned_by_heart() {
    let kind = network();
    let augmentation = Augmentation::default();
    let patch = [16, 20, 20];
    let config = TrainingConfig { patch, batch: 1, epochs: 60, augmentation, learning_rate: 1e-2, ..config() };
    let mut trainer = Trainer::new(&kind, config).unwrap();
    let one = [case(1)];
    let before = trainer.score(&one).unwrap().means();
    for _ in 0..60 {
        trainer.epoch(&one, &one, &mut |_, _| true).unwrap();
    }
    let after = trainer.score(&one).unwrap().means();
    assert!(before.iter().all(|&d| d < 0.6), "{before:?}");
    assert!(after.iter().all(|&d| d > 0.95), "{after:?}");
    assert_eq!(
        trainer.state().best.unwrap().1,
        trainer.state().epochs.iter().map(EpochRecord::score).fold(0.0, f64::max)
    );
    assert!(trainer.is_done());
}

#[test]
fn training_stops_early_and_on_request() {
    let kind = network();
    // Nothing is learned at a rate as small as this, so the first score stays the best.
    let config = TrainingConfig { learning_rate: 1e-30, patience: 2, ..config() };
    let mut trainer = Trainer::new(&kind, config).unwrap();
    run(&mut trainer, 2);
    assert!(!trainer.is_done());
    run(&mut trainer, 1);
    assert!(trainer.is_done());
    let stopped = trainer.epoch(&[case(1)], &[case(2)], &mut |_, _| false);
    assert!(matches!(stopped, Err(NeuralError::Stopped)));
}

#[test]
fn what_does_not_fit_is_refused() {
    let kind = network();
    let refused = |config: TrainingConfig| Trainer::new(&kind, config).is_err();
    assert!(refused(TrainingConfig { patch: [12, 16, 18], ..config() }));
    assert!(refused(TrainingConfig { batch: 0, ..config() }));
    let mut trainer = Trainer::new(&kind, config()).unwrap();
    let mut wrong_label = case(1);
    wrong_label.labels[5] = 3;
    assert!(trainer.epoch(&[wrong_label], &[case(2)], &mut |_, _| true).is_err());
    let mut not_a_number = case(1);
    not_a_number.image[5] = f32::NAN;
    assert!(trainer.epoch(&[not_a_number], &[case(2)], &mut |_, _| true).is_err());
    assert!(trainer.epoch::<Sample, _>(&[], &[case(2)], &mut |_, _| true).is_err());
    let bytes = trainer.checkpoint().unwrap();
    let other = TrainingConfig { learning_rate: 1.0, ..config() };
    assert!(Trainer::resume(&kind, other, &bytes).is_err());
    let wider = UNetConfig { channels: vec![6, 10, 16], ..network() };
    assert!(matches!(Trainer::resume(&wider, config(), &bytes), Err(NeuralError::TensorShape { .. })));
}
