use serde_json::json;

use super::*;

fn new_format() -> Value {
    json!({
        "transpose_forward": [0, 1, 2],
        "image_reader_writer": "NibabelIOWithReorient",
        "foreground_intensity_properties_per_channel": {"0": {
            "max": 3000.0, "mean": 10.5, "median": 20.0, "min": -1024.0, "percentile_00_5": -1000.0, "percentile_99_5": 1000.0, "std": 400.0
        }},
        "configurations": {
            "3d_fullres": {
                "spacing": [1.5, 1.5, 1.5],
                "patch_size": [128, 128, 128],
                "normalization_schemes": ["CTNormalization"],
                "use_mask_for_norm": [false],
                "resampling_fn_data": "resample_data_or_seg_to_shape",
                "resampling_fn_data_kwargs": {"is_seg": false, "order": 3, "order_z": 0, "force_separate_z": null},
                "resampling_fn_probabilities": "resample_data_or_seg_to_shape",
                "resampling_fn_probabilities_kwargs": {"is_seg": false, "order": 1, "order_z": 0, "force_separate_z": null},
                "architecture": {
                    "network_class_name": "dynamic_network_architectures.architectures.unet.ResidualEncoderUNet",
                    "arch_kwargs": {
                        "n_stages": 3, "features_per_stage": [32, 64, 128], "conv_op": "torch.nn.modules.conv.Conv3d",
                        "kernel_sizes": [[1, 3, 3], [3, 3, 3], 3], "strides": [1, [1, 2, 2], [2, 2, 2]], "n_blocks_per_stage": [1, 3, 4],
                        "n_conv_per_stage_decoder": 1, "conv_bias": true, "norm_op": "torch.nn.modules.instancenorm.InstanceNorm3d",
                        "norm_op_kwargs": {"eps": 1e-4, "affine": true}, "dropout_op": null, "nonlin": "torch.nn.LeakyReLU",
                        "nonlin_kwargs": {"inplace": true}
                    },
                    "_kw_requires_import": ["conv_op", "norm_op", "dropout_op", "nonlin"]
                }
            },
            "3d_small": {"inherits_from": "3d_fullres", "patch_size": [64, 64, 32]},
            "a": {"inherits_from": "b"},
            "b": {"inherits_from": "a"}
        }
    })
}

fn read(plans: &Value) -> Result<Plans, NeuralError> {
    Plans::read(plans.to_string().as_bytes())
}

#[track_caller]
fn fails(change: impl FnOnce(&mut Value), word: &str) {
    let mut plans = new_format();
    change(&mut plans);
    let error = read(&plans).and_then(|plans| plans.configuration("3d_fullres", 1, 2).map(|_| ()));
    let error = error.unwrap_err().to_string();
    assert!(error.contains(word), "{error}");
}

#[test]
fn the_new_format_is_read() {
    let plans = read(&new_format()).unwrap();
    assert_eq!(plans.image_reader_writer, "NibabelIOWithReorient");
    assert_eq!(plans.intensities[&0].percentile_00_5, -1000.0);
    let c = plans.configuration("3d_small", 1, 118).unwrap();
    assert_eq!((c.spacing, c.patch_size), ([1.5; 3], [64, 64, 32]));
    assert_eq!(c.normalization, [(Normalization::Ct, NormMask::Everything)]);
    assert_eq!(c.resampling_data, Resampling { order: 3, order_z: 0, force_separate_z: None });
    let a = &c.architecture;
    assert_eq!(a.kind, NetworkKind::Residual { stem: 32 });
    assert_eq!(a.stages[0], Stage { features: 32, blocks: 1, kernel: [1, 3, 3], stride: [1; 3] });
    assert_eq!(a.stages[2], Stage { features: 128, blocks: 4, kernel: [3; 3], stride: [2; 3] });
    assert_eq!((a.decoder_convs.as_slice(), a.reduction(), a.heads), ([1, 1].as_slice(), [2, 4, 4], 118));
    assert_eq!(a.norm, Some(InstanceNormConfig { eps: 1e-4, affine: true }));
    assert_eq!(a.negative_slope, Some(0.01));
}

#[test]
fn the_old_format_is_read() {
    let plans = json!({
        "transpose_forward": [2, 0, 1],
        "foreground_intensity_properties_by_modality": {},
        "configurations": {"3d_fullres": {
            "spacing": [3.0, 1.0, 1.0], "patch_size": [32, 96, 96],
            "normalization_schemes": ["ZScoreNormalization", "NoNormalization"], "use_mask_for_norm": [true, false],
            "UNet_class_name": "PlainConvUNet", "UNet_base_num_features": 32, "n_conv_per_stage_encoder": [2, 2, 2, 2, 2],
            "n_conv_per_stage_decoder": [2, 2, 2, 2], "num_pool_per_axis": [3, 4, 4],
            "pool_op_kernel_sizes": [[1, 1, 1], [1, 2, 2], [2, 2, 2], [2, 2, 2], [2, 2, 2]],
            "conv_kernel_sizes": [[1, 3, 3], [3, 3, 3], [3, 3, 3], [3, 3, 3], [3, 3, 3]], "unet_max_num_features": 320,
            "resampling_fn_data_kwargs": {"order": 3, "order_z": 0}
        }}
    });
    let plans = read(&plans).unwrap();
    assert_eq!(plans.transpose_forward, [2, 0, 1]);
    let c = plans.configuration("3d_fullres", 2, 3).unwrap();
    let features: Vec<usize> = c.architecture.stages.iter().map(|s| s.features).collect();
    assert_eq!(features, [32, 64, 128, 256, 320]);
    assert_eq!(c.architecture.reduction(), [8, 16, 16]);
    let expected = [(Normalization::ZScore, NormMask::NonZero), (Normalization::None, NormMask::Everything)];
    assert_eq!(c.normalization, expected);
    assert!(c.architecture.conv_bias && !c.is_cascade);
}

#[test]
fn what_cannot_be_used_is_named() {
    fails(|p| p["transpose_forward"] = json!([1, 1, 1]), "transpose_forward");
    fails(|p| p["configurations"] = json!({"2d": {}}), "2d");
    fails(|p| p["configurations"]["3d_fullres"]["normalization_schemes"] = json!(["MyNorm"]), "MyNorm");
    fails(|p| p["configurations"]["3d_fullres"]["spacing"] = json!([1.0, 1.0]), "3D");
    fails(|p| p["configurations"]["3d_fullres"]["patch_size"] = json!([0, 4, 4]), "patch_size");
    fails(|p| p["configurations"]["3d_fullres"]["patch_size"] = json!([4096, 4096, 4096]), "patch_size");
    fails(|p| p["configurations"]["3d_fullres"]["resampling_fn_data"] = json!("resample_torch_fornnunet"), "torch");
    let kwargs = |p: &mut Value, key: &str, value: Value| {
        p["configurations"]["3d_fullres"]["architecture"]["arch_kwargs"][key] = value;
    };
    fails(|p| kwargs(p, "n_stages", json!(1_000_000)), "n_stages");
    fails(|p| kwargs(p, "features_per_stage", json!([32, 64])), "features_per_stage");
    fails(|p| kwargs(p, "features_per_stage", json!([32, 64, 10_000_000])), "features_per_stage");
    fails(|p| kwargs(p, "kernel_sizes", json!([[2, 2, 2], 3, 3])), "odd");
    fails(|p| kwargs(p, "conv_op", json!("torch.nn.modules.conv.Conv2d")), "Conv3d");
    fails(|p| kwargs(p, "norm_op", json!("torch.nn.BatchNorm3d")), "BatchNorm3d");
    fails(|p| kwargs(p, "nonlin", json!("torch.nn.GELU")), "GELU");
    fails(|p| kwargs(p, "bottleneck_channels", json!(8)), "BasicBlockD");
    fails(|p| p["configurations"]["3d_fullres"]["architecture"]["network_class_name"] = json!("x.Primus"), "Primus");
    let plans = read(&new_format()).unwrap();
    let error = plans.configuration("a", 1, 2).unwrap_err().to_string();
    assert!(error.contains("itself"), "{error}");
}
