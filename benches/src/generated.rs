//! Volumes that no one had to be scanned for, the same every time.

use anyhow::Result;
use glam::DMat3;
use rayon::prelude::*;
use space::Point;
use volume::{ImageGeometry, Label, LabelMap, Volume};

/// Labels in [`dense_labels`].
pub(crate) const ORGANS: usize = 24;
/// Voxels in [`dense_labels`] and [`hounsfield`].
pub(crate) const SIZE: [usize; 3] = [512, 512, 300];

fn geometry() -> Result<ImageGeometry> {
    Ok(ImageGeometry::new(SIZE, [0.8, 0.8, 1.0], Point::new(-204.4, -204.4, -150.0), DMat3::IDENTITY)?)
}

/// An elliptic body filled without gaps by warped cells, one a label, as organs fill a trunk: most faces lie between two labels.
pub(crate) fn dense_labels() -> Result<LabelMap> {
    let [ni, nj, nk] = SIZE.map(|s| s as f32);
    let seeds: Vec<[f32; 3]> = (0..ORGANS)
        .map(|n| {
            // Along a spiral through the body, by the golden angle.
            let share = (n as f32 + 0.5) / ORGANS as f32;
            let (angle, radius) = (n as f32 * 2.399_963, 0.4 * (n as f32 * 0.618_034).fract().sqrt());
            [ni * (0.5 + radius * angle.cos()), nj * (0.5 + 0.8 * radius * angle.sin()), nk * share]
        })
        .collect();
    let mut labels: Vec<Label> = vec![0; SIZE.iter().product()];
    labels.par_chunks_mut(SIZE[0]).enumerate().for_each(|(row, labels)| {
        let (j, k) = ((row % SIZE[1]) as f32, (row / SIZE[1]) as f32);
        let x_warp = 11.0 * (0.05 * j + 0.03 * k).sin();
        for (i, label) in labels.iter_mut().enumerate() {
            let i = i as f32;
            let from_middle = [(i - 0.5 * ni) / (0.47 * ni), (j - 0.5 * nj) / (0.38 * nj)];
            if from_middle[0] * from_middle[0] + from_middle[1] * from_middle[1] < 1.0 {
                let wave = 9.0 * (0.04 * i + 0.06 * k).sin();
                let p = [i + x_warp, j + wave, k + 0.7 * wave - 0.5 * x_warp];
                let square = |s: &[f32; 3]| (0..3).map(|a| (p[a] - s[a]) * (p[a] - s[a])).sum::<f32>();
                let mut best = f32::INFINITY;
                for (n, seed) in seeds.iter().enumerate() {
                    let found = square(seed);
                    if found < best {
                        (best, *label) = (found, 1 + n as Label);
                    }
                }
            }
        }
    });
    Ok(LabelMap { voxels: Volume::new(geometry()?, labels)?, segments: Default::default() })
}

/// Hounsfield units with noise, so that values are as hard to store as a scanner's.
pub(crate) fn hounsfield(labels: &LabelMap) -> Result<Volume<i16>> {
    let [ni, nj, _] = SIZE;
    let at = |n: usize| {
        // The finalizer of SplitMix64.
        let mut x = (n as u64).wrapping_add(0x9e37_79b9_7f4a_7c15);
        x = (x ^ x >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ x >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        let noise = (x >> 58) as i16 - 32;
        let label = labels.voxels.data()[n] as i16;
        noise + if label == 0 { -990 } else { 7 * label - 60 }
    };
    let mut values = vec![0i16; labels.voxels.data().len()];
    values.par_chunks_mut(ni * nj).enumerate().for_each(|(k, slice)| {
        slice.iter_mut().enumerate().for_each(|(n, v)| *v = at(n + k * ni * nj));
    });
    Ok(Volume::new(*labels.geometry(), values)?)
}
