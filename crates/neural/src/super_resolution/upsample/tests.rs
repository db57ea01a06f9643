use candle_core::{Device, Tensor};
use glam::DMat3;
use space::Point;

use super::*;
use crate::super_resolution::{ThroughPlaneConfig, ThroughPlaneWeights};

fn grid(size: [usize; 3], spacing: [f64; 3]) -> ImageGeometry {
    let direction = DMat3::from_rotation_x(0.2) * DMat3::from_rotation_z(0.4);
    ImageGeometry::new(size, spacing, Point::new(10.0, -20.0, 300.0), direction).unwrap()
}

/// Balls of several sizes, soft at the edge by a voxel, on a slope.
fn balls(size: [usize; 3]) -> ScanVolume {
    let balls = [([14.0, 20.0, 18.0], 9.0, 300.0), ([30.0, 12.0, 30.0], 7.0, 500.0), ([25.0, 33.0, 8.0], 5.0, -200.0)];
    ScanVolume::F32(Volume::from_fn(grid(size, [1.0; 3]), |voxel| {
        let mut value = 100.0 + 0.5 * voxel[0] as f32;
        for (center, radius, level) in balls {
            let r2: f32 = (0..3).map(|a| (voxel[a] as f32 - center[a]).powi(2)).sum();
            value += level * (radius + 0.5 - r2.sqrt()).clamp(0.0, 1.0);
        }
        value
    }))
}

fn error(truth: &ScanVolume, made: &ScanVolume) -> f64 {
    let n = made.geometry().voxel_count();
    ((0..n).map(|i| f64::from(truth.value(i) - made.value(i)).powi(2)).sum::<f64>() / n as f64).sqrt()
}

fn plain(spacing_mm: f64) -> UpsampleOptions {
    UpsampleOptions { spacing_mm, ..UpsampleOptions::default() }
}

/// Any weights: a network that does something.
fn busy() -> ThroughPlane {
    let config = ThroughPlaneConfig { channels: 4, blocks: 2, fold: 4, fusion: None };
    let tensor = |(name, shape): (String, Vec<usize>)| {
        let values = (0..shape.iter().product::<usize>()).map(|n| ((n * 37 + 11) % 19) as f32 * 0.02 - 0.18).collect();
        (name, Tensor::from_vec::<_, f32>(values, shape, &Device::Cpu).unwrap())
    };
    let tensors = config.tensors().into_iter().map(tensor).collect();
    ThroughPlaneWeights { config, tensors }.network().unwrap()
}

#[test]
fn edges_of_the_stack_stay_where_they_are() {
    for axis in 0..3 {
        let (mut size, mut spacing) = ([12, 13, 14], [0.9, 0.8, 0.7]);
        (size[axis], spacing[axis]) = (7, 4.0);
        let old = grid(size, spacing);
        let scan = ScanVolume::I16(Volume::from_fn(old, |v| (v[axis] * 100 + v[(axis + 1) % 3]) as i16));
        let made = upsample(&scan, None, &plain(0.75), &|_| ()).unwrap();
        let new = made.scan.geometry();
        size[axis] = 37;
        assert_eq!((new.size(), made.axis), (size, axis));
        assert!((new.spacing()[axis] - 28.0 / 37.0).abs() < 1e-12, "{:?}", new.spacing());
        for (end, back) in [(0.0, -0.5), (1.0, 0.5)] {
            let edge = |g: &ImageGeometry| {
                let mut at = [3.0; 3];
                at[axis] = end * (g.size()[axis] - 1) as f64 + back;
                g.lps_from_index() * Point::from_array(at)
            };
            assert!(edge(&old).distance(edge(new)) < 1e-9, "axis {axis}");
        }
        let mask = made.inferred_mask();
        assert!(mask.data().iter().all(|&m| m == 1) && mask.geometry() == new);
    }
}

#[test]
fn averages_are_what_was_measured_whatever_the_network_says() {
    let scan = balls([40, 44, 42]);
    let (thick, layout) = average_down(&scan, 2, 4.2).unwrap();
    assert_eq!((layout.slices, layout.voxels), (10, 42));
    let thick = ScanVolume::F32(thick);
    let network = busy();
    let run = |network, rounds| {
        let options = UpsampleOptions { rounds, ..plain(1.0) };
        upsample_onto(&thick, 2, &layout, network, &options, &|_| ()).unwrap()
    };
    let (raw, consistent) = (run(Some(&network), 0), run(Some(&network), 6));
    assert!(raw.mismatch > 10.0, "the network changes something: {}", raw.mismatch);
    assert!(consistent.mismatch < 0.01 * raw.mismatch, "{} after {}", consistent.mismatch, raw.mismatch);
    let (again, _) = average_down(&consistent.scan, 2, 4.2).unwrap();
    let worst = again.data().iter().enumerate().map(|(n, v)| (v - thick.value(n)).abs()).fold(0.0, f32::max);
    assert!(worst < 5.0, "{worst}");
    assert!(again.geometry().is_same_grid(thick.geometry(), 1e-9));
    let (cubic, projected) = (error(&scan, &run(None, 0).scan), error(&scan, &run(None, 3).scan));
    assert!(projected < cubic, "{projected} {cubic}");
}

#[test]
fn both_ways_through_the_network_count_alike() {
    // A scan that is the same with columns and rows exchanged stays so.
    let scan = ScanVolume::F32(Volume::from_fn(grid([20, 20, 8], [1.0, 1.0, 3.0]), |[i, j, k]| {
        ((i * j + k * k * (i + j)) % 23) as f32
    }));
    let made = upsample(&scan, Some(&busy()), &plain(1.0), &|_| ()).unwrap();
    let g = *made.scan.geometry();
    for n in 0..g.voxel_count() {
        let (i, j, k) = (n % 20, n / 20 % 20, n / 400);
        let mirrored = made.scan.value(g.offset(j, i, k));
        assert!((made.scan.value(n) - mirrored).abs() < 1e-3, "{i} {j} {k}");
    }
}

#[test]
fn missing_slices_are_made_up_and_the_others_kept() {
    let whole = balls([40, 44, 42]);
    let missing = vec![10, 25, 26];
    let ScanVolume::F32(mut holed) = whole.clone() else { unreachable!() };
    for &k in &missing {
        holed.data_mut()[k * 40 * 44..(k + 1) * 40 * 44].fill(-1e4);
    }
    let options = UpsampleOptions { missing: missing.clone(), ..plain(1.0) };
    for network in [None, Some(busy())] {
        let made = upsample(&ScanVolume::F32(holed.clone()), network.as_ref(), &options, &|_| ()).unwrap();
        let mask = made.inferred_mask();
        for k in 0..42 {
            let gap = missing.contains(&k);
            assert!(mask.slice(k).iter().all(|&m| m == u8::from(gap)), "slice {k}");
            let worst =
                (k * 1760..(k + 1) * 1760).map(|n| (made.scan.value(n) - whole.value(n)).abs()).fold(0.0, f32::max);
            assert!(gap || worst < 0.01, "slice {k} is measured and differs by {worst}");
        }
        let kept = Upsampled::kept((made.scan.clone(), made.mismatch), whole.geometry(), &options).unwrap();
        assert_eq!((kept.inferred, kept.axis, kept.layout), (made.inferred.clone(), made.axis, made.layout));
        if network.is_none() {
            assert!(error(&whole, &made.scan) < 12.0, "{}", error(&whole, &made.scan));
        }
    }
}

#[test]
fn what_swings_beyond_16_bits_is_kept() {
    let steep = |[_, _, k]: [usize; 3]| if k < 3 { i16::MIN } else { i16::MAX };
    let scan = ScanVolume::I16(Volume::from_fn(grid([8, 8, 6], [1.0, 1.0, 3.0]), steep));
    let made = upsample(&scan, None, &plain(1.0), &|_| ()).unwrap();
    assert!(matches!(made.scan, ScanVolume::F32(_)));
    let most = (0..made.scan.geometry().voxel_count()).map(|n| made.scan.value(n)).fold(0.0, f32::max);
    assert!(most > 33_000.0, "{most}");
}

#[test]
fn what_cannot_be_is_refused() {
    let scan = ScanVolume::I16(Volume::filled(grid([8, 8, 4], [1.0, 1.0, 3.0]), 0));
    let refused = |options: UpsampleOptions| {
        assert!(matches!(upsample(&scan, None, &options, &|_| ()), Err(NeuralError::Input { .. })), "{options:?}");
    };
    for spacing_mm in [0.0, f64::NAN, -1.0, 0.01, 3.0, 5.0] {
        refused(plain(spacing_mm));
    }
    refused(UpsampleOptions { missing: vec![4], ..plain(1.0) });
    refused(UpsampleOptions { missing: vec![0, 1, 2, 3], ..plain(1.0) });
    refused(UpsampleOptions { missing: vec![1, 1], ..plain(1.0) });
    refused(UpsampleOptions { thickness: 0.0, ..plain(1.0) });
    let large = grid([512, 512, 300], [1.0, 1.0, 1.0]);
    let told = layout_of(&large, &plain(0.05)).unwrap_err().to_string();
    assert!(told.contains("1.6 thousand million voxels"), "{told}");
    let told = layout_of(&large, &UpsampleOptions { thickness: 9.0, ..plain(0.9) }).unwrap_err().to_string();
    assert!(told.contains("9 times as thick"), "{told}");
    let made = upsample(&scan, Some(&busy()), &plain(1.0), &|_| ()).unwrap();
    assert!((0..made.scan.geometry().voxel_count()).all(|n| made.scan.value(n) == 0.0), "a flat scan stays flat");
}

#[test]
fn with_flips_mirrored_scans_give_mirrored_results() {
    let (thick, _) = average_down(&balls([24, 28, 30]), 2, 5.0).unwrap();
    let mirrored = |scan: &ScanVolume| {
        let size = scan.geometry().size();
        Volume::from_fn(*scan.geometry(), |v| {
            let [i, j, k] = [0, 1, 2].map(|a| size[a] - 1 - v[a]);
            scan.value(scan.geometry().offset(i, j, k))
        })
    };
    let thick = ScanVolume::F32(thick);
    let turned = ScanVolume::F32(mirrored(&thick));
    let off = |flips: bool| {
        let options = UpsampleOptions { flips, ..plain(1.0) };
        let [made, from_turned] =
            [&thick, &turned].map(|scan| upsample(scan, Some(&busy()), &options, &|_| ()).unwrap().scan);
        error(&made, &ScanVolume::F32(mirrored(&from_turned)))
    };
    assert!(off(true) < 1e-3, "{}", off(true));
    // The weights see a difference, else this would say nothing.
    assert!(off(false) > 0.1, "{}", off(false));
}
