use std::collections::BTreeMap;

use glam::DMat3;
use space::Point;
use volume::{ImageGeometry, Volume};

use super::*;
use crate::super_resolution::{
    FusionConfig, SharpenTrainer, SharpenTraining, ThroughPlaneConfig, ThroughPlaneWeights, UpsampleOptions,
    average_down, fine_tune, upsample_onto,
};

/// Balls in a grid, of three sizes.
fn scan(size: [usize; 3]) -> ScanVolume {
    let grid = ImageGeometry::new(size, [1.0; 3], Point::ZERO, DMat3::IDENTITY).unwrap();
    ScanVolume::F32(Volume::from_fn(grid, |voxel| {
        let r2: i32 = voxel.map(|n| (n as i32 % 13 - 6).pow(2)).into_iter().sum();
        let radius = 3.0 + (voxel[0] / 13 + voxel[1] / 13 + 2 * (voxel[2] / 13)) as f32 % 3.0;
        100.0 * (radius + 0.5 - (r2 as f32).sqrt()).clamp(0.0, 1.0)
    }))
}

fn planes() -> ThroughPlaneWeights {
    let config = ThroughPlaneConfig { channels: 6, blocks: 1, fold: 2, fusion: None };
    SharpenTrainer::new(&config, SharpenTraining::default()).unwrap().weights().unwrap()
}

const FUSION: FusionConfig = FusionConfig { channels: 6, blocks: 1 };

fn training(steps: usize) -> SharpenTraining {
    let pairs = PairOptions { planes: 2, crop: [32, 16], factor: [2.0, 8.0], other_contrasts: false, thickness: None };
    SharpenTraining { steps, pairs, ..SharpenTraining::default() }
}

fn values(weights: &ThroughPlaneWeights) -> BTreeMap<String, Vec<f32>> {
    let values = |t: &Tensor| t.flatten_all().unwrap().to_vec1::<f32>().unwrap();
    weights.tensors.iter().map(|(name, tensor)| (name.clone(), values(tensor))).collect()
}

/// Of the scan that comes back from slices of five voxels, along an axis.
fn error(scan: &ScanVolume, axis: usize, network: &ThroughPlane, flips: bool) -> f64 {
    let (thick, layout) = average_down(scan, axis, 5.0).unwrap();
    let options = UpsampleOptions { flips, ..UpsampleOptions::default() };
    let thick = ScanVolume::F32(thick);
    let made = upsample_onto(&thick, axis, &layout, Some(network), &options, &|_| ()).unwrap();
    let [nx, ny, _] = scan.geometry().size();
    let grid = *made.scan.geometry();
    let [mx, my, _] = grid.size();
    let off = (0..grid.voxel_count()).map(|at| {
        let [i, j, k] = [at % mx, at / mx % my, at / mx / my];
        f64::from(made.scan.value(at) - scan.value((k * ny + j) * nx + i)).powi(2)
    });
    (off.sum::<f64>() / grid.voxel_count() as f64).sqrt()
}

#[test]
fn joining_is_learnt_and_planes_stay() {
    let (scan, planes) = (scan([48, 40, 44]), planes());
    let network = planes.network().unwrap();
    let known: Vec<FusionScan> = (0..3).map(|axis| FusionScan::new(&scan, axis, 5.0, &network).unwrap()).collect();
    let mut trainer = SharpenTrainer::fusing(&planes, FUSION, training(60)).unwrap();
    let new = trainer.weights().unwrap().network().unwrap();
    let plain = error(&scan, 2, &network, false);
    // But for averages that are brought back twice.
    assert!((error(&scan, 2, &new, false) / plain - 1.0).abs() < 0.02, "new weights add nothing");
    assert!(trainer.gain_db(known.as_slice(), 4).unwrap().abs() < 1e-6);
    (0..60).try_for_each(|_| trainer.step(known.as_slice()).map(drop)).unwrap();
    let taught = trainer.weights().unwrap();
    assert!(trainer.gain_db(known.as_slice(), 4).unwrap() > 0.3, "{:?}", trainer.gain_db(known.as_slice(), 4));
    let (old, all) = (values(&planes), values(&taught));
    assert!(old.iter().all(|(name, values)| &all[name] == values), "planes stay as they were");
    let taught = ThroughPlaneWeights::from_bytes(&taught.to_bytes().unwrap()).unwrap();
    assert_eq!((taught.config.fusion, values(&taught)), (Some(FUSION), all), "files hold all");
    let network = taught.network().unwrap();
    for axis in 0..3 {
        for flips in [false, true] {
            let joined = error(&scan, axis, &network, flips);
            assert!(joined < 0.97 * plain.min(error(&scan, axis, &new, false)), "axis {axis}: {joined} after {plain}");
        }
    }
    // Teaching planes on a scan leaves what joins them.
    let (thick, layout) = average_down(&scan, 2, 5.0).unwrap();
    let on = fine_tune(&taught, &ScanVolume::F32(thick), &layout, &[], 4, &|_| ()).unwrap();
    let (before, after) = (values(&taught), values(&on));
    let (joining, planes): (Vec<_>, Vec<_>) = before.iter().partition(|(name, _)| name.starts_with("fusion"));
    assert!(joining.iter().all(|(name, values)| &after[*name] == *values));
    assert!(planes.iter().any(|(name, values)| &after[*name] != *values));
}

#[test]
fn a_stop_changes_nothing() {
    let (scan, planes) = (scan([40, 36, 38]), planes());
    let known = [FusionScan::new(&scan, 0, 4.5, &planes.network().unwrap()).unwrap()];
    let begin = || SharpenTrainer::fusing(&planes, FUSION, training(4)).unwrap();
    let mut whole = begin();
    (0..2).try_for_each(|_| whole.step(known.as_slice()).map(drop)).unwrap();
    let mut resumed = begin().resume(&whole.checkpoint().unwrap()).unwrap();
    for trainer in [&mut whole, &mut resumed] {
        (0..2).try_for_each(|_| trainer.step(known.as_slice()).map(drop)).unwrap();
    }
    assert!(whole.checkpoint().unwrap() == resumed.checkpoint().unwrap());
    let critic = SharpenTraining { adversarial: Some(0.01), ..training(4) };
    assert!(SharpenTrainer::fusing(&planes, FUSION, critic).unwrap_err().to_string().contains("critic"));
}

#[test]
fn chunks_do_not_show() {
    // As one chunk and as many.
    let (nx, ny, nz) = (9, 70, 12);
    let values = |seed: usize| (0..nx * ny * nz).map(|n| ((n * 31 + seed) % 17) as f32 * 0.05).collect::<Vec<f32>>();
    let look = Look {
        size: [nx, ny],
        hints: SliceLayout::edge_to_edge(3, nz).hints(&[]),
        wanted: vec![true; nz],
        flips: false,
    };
    let directions = Directions::new(values(1), values(5), values(9), &look);
    let config = ThroughPlaneConfig { channels: 6, blocks: 1, fold: 2, fusion: Some(FUSION) };
    let tensor = |(name, shape): (String, Vec<usize>)| {
        let values = (0..shape.iter().product::<usize>()).map(|n| ((n * 37 + 11) % 19) as f32 * 0.02 - 0.18).collect();
        (name, Tensor::from_vec::<_, f32>(values, shape, &Device::Cpu).unwrap())
    };
    let tensors = config.tensors().into_iter().map(tensor).collect();
    let network = ThroughPlaneWeights { config, tensors }.network().unwrap();
    let fusion = network.fusion().unwrap();
    let whole = directions.fused(fusion, 2, &look, CHUNK_VOXELS, &|_| ()).unwrap();
    let parts = directions.fused(fusion, 2, &look, 1, &|_| ()).unwrap();
    let most = whole.iter().zip(&parts).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!(most < 1e-5 && whole.iter().any(|v| v.abs() > 0.1), "{most}");
}
