use glam::DMat3;
use space::Point;
use volume::{ImageGeometry, ScanVolume, Volume};

use super::*;

fn scan() -> SharpScan {
    let grid = ImageGeometry::new([48, 40, 6], [1.0, 1.0, 5.0], Point::ZERO, DMat3::IDENTITY).unwrap();
    let stripes = |[i, j, k]: [usize; 3]| if (i / 5 + j / 7 + k) % 2 == 0 { 40 } else { 1000 + i as i16 };
    SharpScan::new(&ScanVolume::I16(Volume::from_fn(grid, stripes))).unwrap()
}

fn options(adversarial: Option<f64>) -> SharpenTraining {
    let pairs = PairOptions { planes: 4, crop: [24, 16], ..PairOptions::default() };
    SharpenTraining { steps: 6, pairs, adversarial, ..SharpenTraining::default() }
}

fn config() -> ThroughPlaneConfig {
    ThroughPlaneConfig { channels: 6, blocks: 2, fold: 2, fusion: None }
}

fn values(weights: &ThroughPlaneWeights) -> Vec<f32> {
    weights.tensors.values().flat_map(|t| t.flatten_all().unwrap().to_vec1::<f32>().unwrap()).collect()
}

#[test]
fn the_same_seed_teaches_the_same_on_any_number_of_threads() {
    for adversarial in [None, Some(0.01)] {
        let run = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| {
                let mut trainer = SharpenTrainer::new(&config(), options(adversarial)).unwrap();
                let losses: Vec<f64> = (0..6).map(|_| trainer.step([scan()].as_slice()).unwrap()).collect();
                (losses, values(&trainer.weights().unwrap()))
            })
        };
        let (one, three) = (run(1), run(3));
        assert!(one == three, "{adversarial:?}: {:?} {:?}", one.0, three.0);
    }
}

#[test]
fn a_stop_changes_nothing() {
    for adversarial in [None, Some(0.01)] {
        let through = || {
            let mut trainer = SharpenTrainer::new(&config(), options(adversarial)).unwrap();
            (0..3).try_for_each(|_| trainer.step([scan()].as_slice()).map(drop)).unwrap();
            trainer
        };
        let mut whole = through();
        let kept = through().checkpoint().unwrap();
        let mut resumed = SharpenTrainer::new(&config(), options(adversarial)).unwrap().resume(&kept).unwrap();
        assert_eq!(resumed.step_count(), 3);
        for trainer in [&mut whole, &mut resumed] {
            (0..3).try_for_each(|_| trainer.step([scan()].as_slice()).map(drop)).unwrap();
        }
        assert!(whole.checkpoint().unwrap() == resumed.checkpoint().unwrap(), "{adversarial:?}");
        let other = SharpenTraining { seed: 9, ..options(adversarial) };
        assert!(
            SharpenTrainer::new(&config(), other)
                .unwrap()
                .resume(&kept)
                .unwrap_err()
                .to_string()
                .contains("other options")
        );
        assert!(SharpenTrainer::new(&config(), options(adversarial)).unwrap().resume(b"no checkpoint").is_err());
    }
}

#[test]
fn weights_taken_earlier_do_not_change_later() {
    let mut trainer = SharpenTrainer::new(&config(), options(None)).unwrap();
    trainer.step([scan()].as_slice()).unwrap();
    let early = trainer.weights().unwrap();
    let before = values(&early);
    trainer.step([scan()].as_slice()).unwrap();
    assert_eq!(values(&early), before);
    assert_ne!(values(&trainer.weights().unwrap()), before);
    let on = SharpenTrainer::from_weights(&early, options(None)).unwrap();
    assert_eq!(values(&on.weights().unwrap()), before);
}

#[test]
fn a_new_network_adds_nothing() {
    let trainer = SharpenTrainer::new(&config(), options(None)).unwrap();
    let pairs = [scan()].draw(&trainer.options.pairs, 2, &mut Rng::of(&[3])).unwrap();
    let made = trainer.network.forward(&pairs.input).unwrap();
    assert_eq!(made.dims(), pairs.sharp.dims());
    assert!(made.flatten_all().unwrap().to_vec1::<f32>().unwrap().iter().all(|&v| v == 0.0));
}

#[test]
fn pairs_are_blurred_along_one_axis_only() {
    // Stripes along one axis of the planes: blurred if that is the pretended slice axis, else the same.
    let grid = ImageGeometry::new([64, 64, 3], [1.0, 1.0, 5.0], Point::ZERO, DMat3::IDENTITY).unwrap();
    let stripes = ScanVolume::I16(Volume::from_fn(grid, |[i, _, _]| if i / 4 % 2 == 0 { 0 } else { 1000 }));
    let scans = [SharpScan::new(&stripes).unwrap()];
    let pairs = PairOptions { planes: 24, crop: [32, 32], factor: [4.0, 8.0], other_contrasts: false, thickness: None };
    let pairs = scans.draw(&pairs, 1, &mut Rng::of(&[5])).unwrap();
    let shown = pairs.input.narrow(1, 0, 1).unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap();
    let sharp = pairs.sharp.flatten_all().unwrap().to_vec1::<f32>().unwrap();
    let (mut same, mut blurred) = (0, 0);
    for (plane, (shown, sharp)) in shown.chunks(1024).zip(sharp.chunks(1024)).enumerate() {
        let along = sharp.chunks(32).all(|row| row.iter().all(|v| *v == row[0]));
        let off = shown.iter().zip(sharp).map(|(a, b)| (a - b).abs()).sum::<f32>() / 1024.0;
        match along {
            true => assert!(off > 0.1, "plane {plane} should be blurred: {off}"),
            // But for the noise.
            false => assert!(off < 0.03, "plane {plane} should be as it was: {off}"),
        }
        if along { blurred += 1 } else { same += 1 }
    }
    assert!(same > 4 && blurred > 4, "{same} {blurred}");
}
