"""Networks with random weights, run by nnU-Net itself: the reference of tests/nnunet_parity.rs.

    python nnunet.py SCAN.nii.gz OUT [NAME …]

writes, for each case, a results folder as nnU-Net's trainer leaves it (plans.json, dataset.json, fold_*/checkpoint_final.pth)
and beside it what nnunetv2's own predictor made of the scan: the preprocessed image's size, the logits of one patch, the
labels, and the labels with sums in single precision, as the predictor itself sums in half precision. nnunetv2 2.8.1,
dynamic-network-architectures 0.4.4, torch 2.15. Weights are drawn from a seed: nothing is trained, nothing is downloaded.
"""

import json
import os
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch

# The trainer wants folders for its data, though it is given none.
FOLDERS = tempfile.mkdtemp()
for variable in ("nnUNet_raw", "nnUNet_preprocessed", "nnUNet_results"):
    os.environ[variable] = FOLDERS
(Path(FOLDERS) / "Dataset001_Random/nnUNetPlans_3d_fullres").mkdir(parents=True)
(Path(FOLDERS) / "Dataset001_Random/nnUNetPlans_3d_fullres/none.b2nd").touch()

import SimpleITK as sitk
from nnunetv2.inference import predict_from_raw_data as reference
from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer
from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

torch.set_num_threads(1)

UNITS = "dynamic_network_architectures.architectures.unet."


def architecture(name, features, kernels, strides, blocks, bias=True):
    count = "n_conv_per_stage" if name == "PlainConvUNet" else "n_blocks_per_stage"
    return {
        "network_class_name": UNITS + name,
        "arch_kwargs": {
            "n_stages": len(features),
            "features_per_stage": features,
            "conv_op": "torch.nn.modules.conv.Conv3d",
            "kernel_sizes": kernels,
            "strides": strides,
            count: blocks,
            "n_conv_per_stage_decoder": [2] * (len(features) - 1) if name == "PlainConvUNet" else [1] * (len(features) - 1),
            "conv_bias": bias,
            "norm_op": "torch.nn.modules.instancenorm.InstanceNorm3d",
            "norm_op_kwargs": {"eps": 1e-05, "affine": True},
            "dropout_op": None,
            "dropout_op_kwargs": None,
            "nonlin": "torch.nn.LeakyReLU",
            "nonlin_kwargs": {"inplace": True},
        },
        "_kw_requires_import": ["conv_op", "norm_op", "dropout_op", "nonlin"],
    }


def configuration(spacing, patch, scheme="CTNormalization", mask=False, **more):
    kwargs = {"order": 3, "order_z": 0, "force_separate_z": None}
    return {
        "data_identifier": "nnUNetPlans_3d_fullres",
        "preprocessor_name": "DefaultPreprocessor",
        "batch_size": 2,
        "patch_size": patch,
        "median_image_size_in_voxels": [112.0, 101.0, 122.0],
        "spacing": spacing,
        "normalization_schemes": [scheme],
        "use_mask_for_norm": [mask],
        "resampling_fn_data": "resample_data_or_seg_to_shape",
        "resampling_fn_seg": "resample_data_or_seg_to_shape",
        "resampling_fn_data_kwargs": {"is_seg": False, **kwargs},
        "resampling_fn_seg_kwargs": {"is_seg": True, **kwargs, "order": 1},
        "resampling_fn_probabilities": "resample_data_or_seg_to_shape",
        "resampling_fn_probabilities_kwargs": {"is_seg": False, **kwargs, "order": 1},
        "batch_dice": True,
        **more,
    }


K3, K133 = [3, 3, 3], [1, 3, 3]
ORGANS = {"background": 0, **{f"organ_{i}": i for i in range(1, 12)}}
REGIONS = {"background": 0, "whole": [1, 2, 3], "core": [2, 3], "enhancing": 3, "ignore": 4}

CASES = {
    # As TotalSegmentator's: the target spacing is not the scan's, mirroring over two axes.
    "plain": dict(
        config=configuration([4.0, 3.5, 3.5], [32, 32, 40], architecture=architecture(
            "PlainConvUNet", [8, 12, 16, 20], [K3] * 4, [[1, 1, 1], [2, 2, 2], [2, 2, 2], [1, 2, 2]], [2] * 4)),
        labels=ORGANS, mirror=(0, 2), folds=1),
    # Anisotropic kernels and strides, slices resampled apart, axes transposed, a mask for the norm, two folds.
    "anisotropic": dict(
        config=configuration([9.5, 2.0, 2.0], [12, 48, 48], "ZScoreNormalization", True, architecture=architecture(
            "PlainConvUNet", [8, 16, 24, 32], [K133, K133, K3, K3], [[1, 1, 1], [1, 2, 2], [1, 2, 2], [2, 2, 2]], [2] * 4)),
        labels=ORGANS, mirror=(0, 1, 2), folds=2, transpose=[1, 0, 2], spacing=(2.4, 9.0, 2.2), crop=[40, 24, 56], zero=True),
    # Residual encoder, regions with an ignore label, no mirroring, sizes smaller than the patch.
    "residual": dict(
        config=configuration([3.0, 3.0, 3.0], [40, 40, 48], "RescaleTo01Normalization", False, architecture=architecture(
            "ResidualEncoderUNet", [8, 16, 24, 32], [K3] * 4, [[1, 1, 1], [2, 2, 2], [2, 2, 2], [2, 2, 2]], [1, 2, 2, 3])),
        labels=REGIONS, mirror=None, folds=1, crop=[30, 60, 70], regions=[1, 2, 3]),
    # A scan whose axes run to the left, to the feet and to the front, turned to RAS by the reader; no mirroring, a stride without
    # its like on the other axes, so that any wrong turn shows.
    "canonical": dict(
        config=configuration([3.5, 3.0, 2.5], [24, 32, 40], "ZScoreNormalization", False, architecture=architecture(
            "PlainConvUNet", [8, 12, 16], [K3] * 3, [[1, 1, 1], [1, 2, 2], [2, 2, 2]], [1, 2, 1])),
        labels=ORGANS, mirror=None, folds=1, crop=[40, 44, 36], spacing=(3.0, 2.8, 2.6), reader="NibabelIOWithReorient",
        direction=(1, 0, 0, 0, 0, -1, 0, -1, 0)),
    # Plans from before nnU-Net 2.4, without an architecture.
    "old": dict(
        config=configuration(
            [3.0, 3.0, 3.0], [24, 24, 24], "NoNormalization", False, UNet_class_name="PlainConvUNet", UNet_base_num_features=8,
            n_conv_per_stage_encoder=[1, 1, 1], n_conv_per_stage_decoder=[1, 1], num_pool_per_axis=[2, 2, 2],
            pool_op_kernel_sizes=[[1, 1, 1], [2, 2, 2], [2, 2, 2]], conv_kernel_sizes=[K3] * 3, unet_max_num_features=12),
        labels={"background": 0, "bone": 1, "air": 2}, mirror=(0, 1, 2), folds=1, crop=[28, 30, 32]),
}


def plans_of(case):
    config = json.loads(json.dumps(case["config"]))
    transpose = case.get("transpose", [0, 1, 2])
    return {
        "dataset_name": "Dataset001_Random",
        "plans_name": "nnUNetPlans",
        "original_median_spacing_after_transp": [3.0, 3.0, 3.0],
        "original_median_shape_after_transp": [112, 101, 122],
        "image_reader_writer": case.get("reader", "SimpleITKIO"),
        "transpose_forward": transpose,
        "transpose_backward": [int(i) for i in np.argsort(transpose)],
        "configurations": {"3d_fullres": config, "3d_bigger_batch": {"inherits_from": "3d_fullres", "batch_size": 4}},
        "experiment_planner_used": "ExperimentPlanner",
        "label_manager": "LabelManager",
        "foreground_intensity_properties_per_channel": {"0": {
            "max": 1100.0, "mean": 12.3, "median": 40.0, "min": -1020.0, "percentile_00_5": -900.0, "percentile_99_5": 420.0,
            "std": 231.0}},
    }


def checkpoint(case, plans, dataset, fold, patch):
    """As nnUNetTrainer.save_checkpoint writes it, by that very code, after one step of training."""
    torch.manual_seed(100 + fold)
    trainer = nnUNetTrainer(json.loads(json.dumps({**plans, "continue_training": False})), "3d_fullres", fold, dataset, torch.device("cpu"))
    trainer.initialize()
    with torch.no_grad():
        for name, parameter in trainer.network.named_parameters():
            if name.endswith("norm.weight"):
                parameter.uniform_(0.5, 1.5)
            elif name.endswith("bias"):
                parameter.uniform_(-0.2, 0.2)
            elif "seg_layers" in name:
                parameter.normal_(0, 0.5)
    trainer.network.train()
    x = torch.randn(1, 1, *trainer.configuration_manager.patch_size)
    # So that the optimiser has a state; the rate is zero.
    for group in trainer.optimizer.param_groups:
        group["lr"] = 0.0
        group["weight_decay"] = 0.0
    out = trainer.network(x)
    sum(o.mean() for o in (out if isinstance(out, (list, tuple)) else [out])).backward()
    trainer.optimizer.step()
    # No class wins everywhere, nor are all answers near each other beside what they have in common.
    trainer.set_deep_supervision_enabled(False)
    trainer.network.eval()
    with torch.no_grad():
        trainer.network.decoder.seg_layers[-1].bias -= trainer.network(patch[None]).mean((0, 2, 3, 4))
    trainer.inference_allowed_mirroring_axes = case["mirror"]
    for epoch in range(2):
        trainer.logger.log("mean_fg_dice", np.float64(0.5 + epoch / 10), epoch)
        trainer.logger.log("dice_per_class_or_region", [np.float32(0.25)] * 3, epoch)
        trainer.logger.log("train_losses", np.float32(-0.3), epoch)
    return trainer


class Single(nnUNetPredictor):
    """The same sums in single precision."""

    def _internal_predict_sliding_window_return_logits(self, data, slicers, do_on_device=True):
        gaussian = reference.compute_gaussian(
            tuple(self.configuration_manager.patch_size), sigma_scale=1.0 / 8, value_scaling_factor=10, device=torch.device("cpu")).float()
        total = torch.zeros((self.label_manager.num_segmentation_heads, *data.shape[1:]))
        weight = torch.zeros(data.shape[1:])
        for sl in slicers:
            total[sl] += self._internal_maybe_mirror_and_predict(data[sl][None].clone())[0] * gaussian
            weight[sl[1:]] += gaussian
        return total / weight


def main():
    scan, out = sys.argv[1], Path(sys.argv[2])
    for name in sys.argv[3:] or CASES:
        case = CASES[name]
        folder = out / name
        folder.mkdir(parents=True, exist_ok=True)
        image = sitk.ReadImage(scan, sitk.sitkInt16)
        z, y, x = case.get("crop", image.GetSize()[::-1])
        start = [(s - c) // 2 for s, c in zip(image.GetSize(), (x, y, z))]
        image = sitk.RegionOfInterest(image, (x, y, z), start)
        if "spacing" in case:
            image.SetSpacing(case["spacing"])
        if "direction" in case:
            image.SetDirection(case["direction"])
        if case.get("zero"):
            # What lies around a body is zero, as in MR.
            array = sitk.GetArrayFromImage(image)
            array = np.where(array < -300, 0, array + 1000).astype(np.int16)
            array[:3] = 0
            array[:, :, -5:] = 0
            new = sitk.GetImageFromArray(array)
            new.CopyInformation(image)
            image = new
        sitk.WriteImage(image, str(folder / "scan.nii.gz"))

        plans = plans_of(case)
        dataset = {"channel_names": {"0": "CT"}, "labels": case["labels"], "numTraining": 1, "file_ending": ".nii.gz"}
        if "regions" in case:
            dataset["regions_class_order"] = case["regions"]
        manager = PlansManager(json.loads(json.dumps(plans)))
        reader = manager.image_reader_writer_class()
        array, properties = reader.read_images([str(folder / "scan.nii.gz")])
        configuration = manager.get_configuration("3d_fullres")
        data, _, _ = configuration.preprocessor_class(verbose=False).run_case_npy(
            array, None, dict(properties), manager, configuration, dataset)
        data = torch.from_numpy(np.ascontiguousarray(data)).float()
        padded = reference.pad_nd_image(data, configuration.patch_size, "constant", {"value": 0})
        starts = [(n - p) // 2 for n, p in zip(padded.shape[1:], configuration.patch_size)]
        patch = padded[(slice(None), *[slice(s, s + p) for s, p in zip(starts, configuration.patch_size)])].contiguous()

        results = folder / "nnUNetTrainer__nnUNetPlans__3d_fullres"
        for fold in range(case["folds"]):
            trainer = checkpoint(case, plans, dataset, fold, patch)
            (results / f"fold_{fold}").mkdir(parents=True, exist_ok=True)
            trainer.save_checkpoint(str(results / f"fold_{fold}" / "checkpoint_final.pth"))
        (results / "plans.json").write_text(json.dumps(plans))
        (results / "dataset.json").write_text(json.dumps(dataset))

        report = {"cases": {}}
        for kind, label in ((nnUNetPredictor, "half"), (Single, "single")):
            predictor = kind(tile_step_size=0.5, use_gaussian=True, use_mirroring=True, device=torch.device("cpu"), allow_tqdm=False)
            predictor.initialize_from_trained_model_folder(str(results), use_folds=tuple(range(case["folds"])))
            labels = predictor.predict_single_npy_array(array, dict(properties))
            reader.write_seg(labels, str(folder / f"labels_{label}.nii.gz"), dict(properties))
            report["cases"][label] = {str(v): int(n) for v, n in zip(*np.unique(labels, return_counts=True))}

        # What the first fold's network says to one patch.
        report["preprocessed"] = list(data.shape)
        predictor.network.load_state_dict(predictor.list_of_parameters[0])
        predictor.network.eval()
        with torch.inference_mode():
            logits = predictor.network(patch[None].contiguous())[0]
        np.ascontiguousarray(data.numpy()).tofile(folder / "preprocessed.f32")
        np.ascontiguousarray(patch.numpy()).tofile(folder / "patch.f32")
        np.ascontiguousarray(logits.numpy()).tofile(folder / "logits.f32")
        report["patch"], report["logits"] = list(patch.shape), list(logits.shape)
        report["nnunetv2"], report["torch"] = "2.8.1", torch.__version__
        (folder / "report.json").write_text(json.dumps(report))
        print(name, report, flush=True)


if __name__ == "__main__":
    main()
