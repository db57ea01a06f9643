//! How much there is to do for a scan, known from plans alone.

use serde::{Deserialize, Serialize};
use volume::ImageGeometry;

use super::plans::{Architecture, NetworkKind, Plans};
use super::window::steps;
use super::{Dataset, SegmentOptions};
use crate::NeuralError;

/// What a results folder's networks do to each voxel, and to how many.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct NnUnetWork {
    /// Between voxels, the slowest axis first.
    pub spacing_mm: [f64; 3],
    /// Voxels of a window, in the same order.
    pub patch: [usize; 3],
    /// Floating-point operations for a voxel of a window, mirror images and folds included.
    pub flops_per_voxel: f64,
}

impl NnUnetWork {
    /// `often` is how many times each window is seen.
    ///
    /// # Errors
    /// As [`Plans::configuration`].
    pub fn of(plans: &Plans, dataset: &Dataset, configuration: &str, often: usize) -> Result<Self, NeuralError> {
        let found = plans.configuration(configuration, dataset.channels.len(), dataset.heads.len())?;
        let flops_per_voxel = found.architecture.flops_per_voxel() * often as f64;
        Ok(Self { spacing_mm: found.spacing, patch: found.patch_size, flops_per_voxel })
    }

    /// Floating-point operations for a scan on this grid, about: its slices are taken for the slowest axis.
    pub fn flops(&self, grid: &ImageGeometry) -> f64 {
        let along = |a: usize| {
            let extent = grid.size()[2 - a] as f64 * grid.spacing()[2 - a];
            let voxels = (extent / self.spacing_mm[a]).round().max(1.0) as usize;
            let window = self.patch[a].max(1);
            (steps(voxels, window, SegmentOptions::default().step).len() * window) as f64
        };
        self.flops_per_voxel * along(0) * along(1) * along(2)
    }
}

impl Architecture {
    /// Floating-point operations of its convolutions for a voxel of a window.
    fn flops_per_voxel(&self) -> f64 {
        let product = |n: [usize; 3]| n.into_iter().product::<usize>() as f64;
        let of = |taps: f64, inputs: usize, outputs: usize| 2.0 * taps * (inputs * outputs) as f64;
        let (mut share, mut inputs, mut sum) = (1.0, self.inputs, 0.0);
        let mut per_block = 1.0;
        if let NetworkKind::Residual { stem } = self.kind {
            sum += of(self.stages.first().map_or(0.0, |s| product(s.kernel)), inputs, stem);
            (inputs, per_block) = (stem, 2.0);
        }
        let mut shares = Vec::new();
        for stage in &self.stages {
            share /= product(stage.stride);
            let (taps, width) = (product(stage.kernel), stage.features);
            let more = per_block * stage.blocks as f64 - 1.0;
            sum += share * (of(taps, inputs, width) + more * of(taps, width, width));
            inputs = width;
            shares.push(share);
        }
        // From coarse to fine: what comes up has one tap for each voxel, then lies beside what went down.
        let pairs = self.stages.windows(2).zip(&shares).rev().zip(&self.decoder_convs);
        for ((pair, share), &convolutions) in pairs {
            let (width, below, taps) = (pair[0].features, pair[1].features, product(pair[0].kernel));
            let more = convolutions.saturating_sub(1) as f64;
            sum += share * (of(1.0, below, width) + of(taps, 2 * width, width) + more * of(taps, width, width));
        }
        sum + self.stages.first().map_or(0.0, |s| of(1.0, s.features, self.heads))
    }
}

#[cfg(test)]
mod tests {
    use glam::DMat3;
    use serde_json::json;
    use space::Point;

    use super::*;

    #[test]
    fn work_is_counted_from_plans() {
        let stages = json!({
            "n_stages": 2, "features_per_stage": [4, 8], "n_conv_per_stage": [2, 1], "n_conv_per_stage_decoder": [2],
            "kernel_sizes": [[3, 3, 3], [1, 3, 3]], "strides": [[1, 1, 1], [2, 2, 2]], "conv_bias": true,
            "conv_op": "torch.nn.modules.conv.Conv3d", "norm_op": "torch.nn.modules.instancenorm.InstanceNorm3d",
            "norm_op_kwargs": {"eps": 1e-5, "affine": true}, "nonlin": "torch.nn.LeakyReLU", "nonlin_kwargs": {}
        });
        let resampling = "resample_data_or_seg_to_shape";
        let plans = json!({
            "transpose_forward": [0, 1, 2], "transpose_backward": [0, 1, 2], "image_reader_writer": "SimpleITKIO",
            "configurations": {"3d_fullres": {
                "spacing": [3.0, 2.0, 1.0], "patch_size": [8, 16, 16], "normalization_schemes": ["ZScoreNormalization"],
                "use_mask_for_norm": [false], "resampling_fn_data": resampling, "resampling_fn_seg": resampling,
                "resampling_fn_probabilities": resampling,
                "resampling_fn_data_kwargs": {"is_seg": false, "order": 3, "order_z": 0, "force_separate_z": null},
                "resampling_fn_probabilities_kwargs": {"is_seg": false, "order": 1, "order_z": 0, "force_separate_z": null},
                "architecture": {
                    "network_class_name": "dynamic_network_architectures.architectures.unet.PlainConvUNet",
                    "arch_kwargs": stages
                }
            }}
        });
        let dataset = json!({"channel_names": {"0": "MRI"}, "labels": {"background": 0, "liver": 1, "spleen": 2}});
        let plans = Plans::read(plans.to_string().as_bytes()).unwrap();
        let dataset = Dataset::read(dataset.to_string().as_bytes()).unwrap();
        let work = NnUnetWork::of(&plans, &dataset, "3d_fullres", 8).unwrap();
        let down = 27 * 4 + 27 * 16 + 9 * 32 / 8;
        let up = 32 + 27 * 32 + 27 * 16;
        let by_hand = 2.0 * f64::from(down + up + 12) * 8.0;
        assert!((work.flops_per_voxel - by_hand).abs() < 1e-6, "{work:?} {by_hand}");
        // 16, 24 and 16 voxels: three windows, two and one.
        let grid = ImageGeometry::new([16, 24, 16], [1.0, 2.0, 3.0], Point::ZERO, DMat3::IDENTITY).unwrap();
        assert_eq!(work.flops(&grid), work.flops_per_voxel * (24 * 32 * 16) as f64);
    }
}
