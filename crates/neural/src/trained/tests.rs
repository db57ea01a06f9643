use super::*;
use crate::networks::unet::{Down, Up};
use crate::training::{Precision, Trainer};
use space::Point;
use std::collections::BTreeMap;
use volume::ImageGeometry;

#[test]
fn scores_have_mean_zero_and_deviation_one() {
    let mut values = vec![1.0e6, 1.0e6 + 2.0, 1.0e6, 1.0e6 + 2.0];
    Normalization::ZScore.apply(&mut values).unwrap();
    assert_eq!(values, [-1.0, 1.0, -1.0, 1.0]);
    assert!(Normalization::ZScore.apply(&mut [3.0, 3.0]).is_none());
}

#[test]
fn curves_are_even_beyond_their_ends() {
    let curve = Normalization::Curve([[-1000.0, 0.0], [-200.0, 0.25], [200.0, 0.75], [1000.0, 1.0]]);
    let mut values = [-2000.0, -1000.0, -600.0, -200.0, 0.0, 200.0, 600.0, 3000.0];
    curve.apply(&mut values).unwrap();
    assert_eq!(values, [0.0, 0.0, 0.125, 0.25, 0.5, 0.75, 0.875, 1.0]);
    assert!(curve.apply(&mut [1000.0, 1900.0]).is_none(), "nothing is left to see");
    let steep = [[0.0, 0.0], [0.0, 0.5], [1.0, 0.7], [2.0, 1.0]];
    assert!(Normalization::Curve(steep).apply(&mut [0.0, 2.0]).is_none(), "a step is no line");
    let json =
        serde_json::to_string(&Normalization::Curve([[-1.0, 0.0], [0.0, 0.5], [1.0, 0.75], [2.0, 1.0]])).unwrap();
    assert_eq!(json, r#"{"curve":[[-1.0,0.0],[0.0,0.5],[1.0,0.75],[2.0,1.0]]}"#);
}

#[test]
fn what_is_apart_from_the_largest_piece_goes() {
    let grid = ImageGeometry::new([6, 1, 1], [1.0; 3], Point::new(0.0, 0.0, 0.0), glam::DMat3::IDENTITY).unwrap();
    let mut answer = vec![
        0.2, 0.3, 0.6, 0.9, 0.1, 0.8, // background
        0.8, 0.1, 0.3, 0.1, 0.9, 0.1, // two classes, which touch
        0.0, 0.6, 0.1, 0.0, 0.0, 0.1,
    ];
    let before = answer.clone();
    leave_largest(&mut answer, &grid).unwrap();
    assert_eq!([answer[4], answer[10], answer[16]], [1.0, 0.0, 0.0]);
    let same = |n: &usize| answer[*n] == before[*n];
    assert_eq!((0..18).filter(same).count(), 16, "the fifth voxel alone, whose third class was 0 before");
}

#[test]
fn islands_of_single_classes_become_what_is_next() {
    let grid = ImageGeometry::new([6, 1, 1], [1.0; 3], Point::new(0.0, 0.0, 0.0), glam::DMat3::IDENTITY).unwrap();
    let mut answer = vec![
        0.2, 0.1, 0.6, 0.1, 0.8, 0.3, // background
        0.7, 0.8, 0.3, 0.7, 0.1, 0.6, // two pieces of two voxels and of one, and another
        0.1, 0.1, 0.1, 0.2, 0.1, 0.1,
    ];
    let before = answer.clone();
    leave_largest_each(&mut answer, &grid, &[]).unwrap();
    leave_largest_each(&mut answer, &grid, &[2]).unwrap();
    assert_eq!(answer, before, "the first class may be in pieces");
    leave_largest_each(&mut answer, &grid, &[1, 2]).unwrap();
    let changed: Vec<usize> = (0..18).filter(|&n| answer[n] != before[n]).collect();
    assert_eq!(changed, [9, 11]);
    assert_eq!([answer[9], answer[11]], [0.0, 0.0]);
}

#[test]
fn the_most_probable_class_wins_between_voxels_too() {
    let line = |count, spacing, first| {
        ImageGeometry::new([count, 1, 1], [spacing, 1.0, 1.0], Point::new(first, 0.0, 0.0), glam::DMat3::IDENTITY)
            .unwrap()
    };
    let largest = |answer: &TrainedAnswer, target: &ImageGeometry, temperature| {
        let (classes, sure) = answer.largest(target, temperature);
        (classes, sure.into_iter().map(percent).collect::<Vec<u8>>())
    };
    let answer = |flat: &[f32]| {
        let grid = line(2, 1.0, 0.0);
        let maps = flat.chunks(2).map(|plane| Volume::new(grid, plane.to_vec()).unwrap()).collect();
        TrainedAnswer { maps, grid, own: grid }
    };
    let both = answer(&[0.2, 0.5, 0.8, 0.5]);
    assert_eq!(largest(&both, &line(2, 1.0, 0.0), 1.0), (vec![1, 0], vec![80, 50]));
    let sloping = answer(&[0.1, 0.8, 0.9, 0.2]);
    assert_eq!(largest(&sloping, &line(5, 0.25, 0.0), 1.0), (vec![1, 1, 1, 0, 0], vec![90, 73, 55, 63, 80]));
    assert_eq!(largest(&sloping, &line(2, 1.0, 2.0), 1.0), (vec![0, 0], vec![100, 100]), "beyond");
    // Square roots of 0.8 and 0.2 are as two to one.
    assert_eq!(largest(&both, &line(2, 1.0, 0.0), 2.0), (vec![1, 0], vec![67, 50]), "a temperature changes no class");
}

fn small() -> UNetConfig {
    UNetConfig {
        inputs: 1,
        classes: 3,
        channels: vec![4, 8],
        convolutions: 1,
        down: Down::Strided,
        up: Up::Transposed,
        slope: 0.01,
    }
}

#[test]
fn of_several_networks_the_mean_counts() {
    let network = small();
    let weights = |seed: u64| {
        let config = format!(
            r#"{{"seed": {seed}, "patch": [8, 8, 8], "batch": 1, "epochs": 1, "learning_rate": 0.01, "schedule": "constant"}}"#
        );
        let trainer = Trainer::new(&network, serde_json::from_str(&config).unwrap()).unwrap();
        trainer.weights(Precision::Single, BTreeMap::from([("seed".to_owned(), seed.to_string())])).unwrap()
    };
    let image: Vec<f32> = (0..8 * 8 * 8).map(|n| (n as f32 * 0.37).sin()).collect();
    let sample = Sample { size: [8; 3], spacing_mm: [1.0; 3], labels: vec![0; image.len()], image };
    let members = [weights(3), weights(4)];
    let flips = [false, false, true];
    let joined = Predictor::join(&members, Precision::Single).unwrap();
    let together = Predictor::load(&network, &joined, 2).unwrap().probabilities(&sample, flips).unwrap();
    let alone = |bytes: &[u8]| Predictor::load(&network, bytes, 1).unwrap().probabilities(&sample, flips).unwrap();
    let [first, second] = [alone(&members[0]), alone(&members[1])];
    let apart = first.iter().zip(&second).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!(apart > 0.01, "two seeds make two networks: {apart}");
    for ((mean, a), b) in together.iter().zip(&first).zip(&second) {
        assert!((mean - (a + b) / 2.0).abs() < 1e-5);
    }
    assert_eq!(Predictor::join(&members[..1], Precision::Single).unwrap(), members[0], "one stays as it is");
    // A file of other networks than are asked for.
    for (bytes, members) in [(&joined, 1), (&joined, 3), (&members[0], 2), (&members[0], 0)] {
        assert!(Predictor::load(&network, bytes, members).is_err(), "{members}");
    }
}

/// However a scan is stored, the network sees it along its own axes, and the answer lies where the scan lies.
#[test]
fn answers_do_not_depend_on_how_a_scan_is_stored() {
    let mut model = TrainedUNet {
        network: small(),
        members: 1,
        axes: "RAS".to_owned(),
        spacing_mm: [1.0; 3],
        normalization: Normalization::ZScore,
        flips: [false, false, true],
        windows: None,
        focus: false,
        one_piece: false,
        single: Vec::new(),
        division: None,
    };
    let config =
        r#"{"seed": 3, "patch": [8, 8, 8], "batch": 1, "epochs": 1, "learning_rate": 0.01, "schedule": "constant"}"#;
    let trainer = Trainer::new(&model.network, serde_json::from_str(config).unwrap()).unwrap();
    let weights = trainer.weights(Precision::Single, BTreeMap::new()).unwrap();
    let predictor = model.load(&weights).unwrap();

    let grid = |axes: &str, size, origin| {
        let direction = axes.parse::<AxisCode>().unwrap().direction();
        ImageGeometry::new(size, [1.0; 3], Point::from_array(origin), direction).unwrap()
    };
    let stored = grid("RAS", [16, 20, 24], [8.0, 10.0, -12.0]);
    let scan = Volume::from_fn(stored, |[i, j, k]| (i as f32 * 0.7).sin() + (j as f32 * 0.5).cos() * k as f32);
    // The same voxels, columns running down, rows to the left, slices to the back.
    let turned = grid("ILP", [24, 16, 20], [-7.0, -9.0, 11.0]);
    let other = resample::nearest(&scan, &turned, f32::NAN);
    assert!(other.data().iter().all(|x| x.is_finite()), "the grids hold the same voxels");
    for (windows, focus) in [(None, false), (Some([16, 16, 8]), false), (Some([16, 16, 8]), true)] {
        (model.windows, model.focus) = (windows, focus);
        let find = |scan| model.segment(&predictor, &ScanVolume::F32(scan), 1.0, &|_| {}).unwrap();
        let (first, second) = (find(scan.clone()), find(other.clone()));
        assert_eq!(*first.labels.geometry(), stored);
        let (least, most) = first.confidence.data().iter().fold((100, 0), |(a, b), &x| (x.min(a), x.max(b)));
        assert!(most - least > 5, "the answer depends on the place, from {least} to {most} %");
        assert_eq!(resample::nearest(&second.labels, &stored, 9), first.labels);
        assert_eq!(resample::nearest(&second.confidence, &stored, 0), first.confidence);
    }
}
