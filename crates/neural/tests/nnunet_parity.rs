//! nnU-Net's own predictor and ours, on the same networks and scans.
//!
//! `tests/oracle/nnunet.py` makes both. The smallest case is committed; the others run where `VESTIBULE_NNUNET_ORACLE` names
//! the script's output folder, and print their numbers.

#![allow(clippy::unwrap_used, reason = "a helper of a test that fails has failed")]

use std::path::{Path, PathBuf};

use candle_core::{Device, Tensor};
use neural::nnunet::{Mirroring, NnUnet, ReadOptions, SegmentOptions, Sums};
use neural::weights::{Checkpoint, Kind};
use volume::{ScanVolume, Volume, nifti};

/// Files of a case, with `/` between folders.
fn files(folder: &Path) -> Vec<String> {
    let mut open = vec![folder.to_owned()];
    let mut found = Vec::new();
    while let Some(next) = open.pop() {
        for entry in std::fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else {
                found.push(path.strip_prefix(folder).unwrap().to_str().unwrap().to_owned());
            }
        }
    }
    found.sort();
    found
}

fn model(folder: &Path) -> NnUnet {
    let files = files(folder);
    let paths: Vec<&str> = files.iter().map(String::as_str).collect();
    NnUnet::read(&paths, &|path| std::fs::read(folder.join(path)).ok(), &ReadOptions::default()).unwrap()
}

fn scan(path: &Path) -> ScanVolume {
    nifti::read_scan(path).unwrap()
}

fn floats(path: &Path) -> Vec<f32> {
    let bytes = std::fs::read(path).unwrap();
    bytes.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect()
}

fn labels(path: &Path) -> Volume<f32> {
    match scan(path) {
        ScanVolume::I16(v) => v.map(|&x| f32::from(x)),
        ScanVolume::F32(v) => v,
    }
}

/// The greatest difference relative to the greatest value.
fn relative(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    let greatest = b.iter().fold(0f32, |m, x| m.max(x.abs()));
    a.iter().zip(b).fold(0f32, |m, (a, b)| m.max((a - b).abs())) / greatest
}

#[track_caller]
fn check(folder: &Path) {
    let name = folder.file_name().unwrap().to_str().unwrap();
    let report: serde_json::Value =
        serde_json::from_slice(&std::fs::read(folder.join("report.json")).unwrap()).unwrap();
    let sizes =
        |key: &str| report[key].as_array().unwrap().iter().map(|n| n.as_u64().unwrap() as usize).collect::<Vec<_>>();
    let model = model(folder);

    let patch = sizes("patch");
    let x =
        Tensor::from_vec(floats(&folder.join("patch.f32")), (1, patch[0], patch[1], patch[2], patch[3]), &Device::Cpu);
    let logits = model.networks()[0].logits(x.unwrap()).unwrap();
    assert_eq!(logits.dims()[1..], sizes("logits"), "{name}");
    let logits = logits.flatten_all().unwrap().to_vec1().unwrap();
    let off = relative(&logits, &floats(&folder.join("logits.f32")));
    eprintln!("{name}: logits differ by {off:.1e} of the greatest");
    assert!(off < 1e-4, "{name}: logits differ by {off}");

    let scan = scan(&folder.join("scan.nii.gz"));
    let seen = model.preprocessed(&[&scan], &SegmentOptions::default()).unwrap();
    assert_eq!(seen.dims()[1..], sizes("preprocessed"), "{name}");
    let off = relative(&seen.flatten_all().unwrap().to_vec1().unwrap(), &floats(&folder.join("preprocessed.f32")));
    eprintln!("{name}: the preprocessed scan differs by {off:.1e} of its greatest value");
    assert!(off < 1e-5, "{name}: the preprocessed scan differs by {off}");

    let check = |sums, file: &str, least: f64| {
        let found = model.segment(&scan, &SegmentOptions { sums, ..SegmentOptions::default() }, &|_| {}).unwrap();
        let expected = labels(&folder.join(file));
        let same = found.data().iter().zip(expected.data()).filter(|&(&a, &b)| f32::from(a) == b).count();
        let share = same as f64 / found.data().len() as f64;
        eprintln!("{name}: {:.4} % of {} voxels as in {file} with sums {sums:?}", 100.0 * share, found.data().len());
        assert!(share >= least, "{name}: only {share} of the voxels are as in {file}");
    };
    check(Sums::AsReference, "labels_half.nii.gz", 0.999);
    check(Sums::Single, "labels_single.nii.gz", 0.9999);
    // What the reference's rounding changes.
    check(Sums::Single, "labels_half.nii.gz", 0.99);
}

#[test]
fn the_small_case_is_as_in_the_reference() {
    check(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/nnunet/old"));
}

#[test]
fn all_cases_are_as_in_the_reference() {
    let Some(folder) = std::env::var_os("VESTIBULE_NNUNET_ORACLE").map(PathBuf::from) else {
        eprintln!("skipped: VESTIBULE_NNUNET_ORACLE does not name the output of tests/oracle/nnunet.py");
        return;
    };
    for case in ["old", "plain", "anisotropic", "residual", "canonical"] {
        check(&folder.join(case));
    }
}

#[test]
fn a_genuine_checkpoint_is_read_whole() {
    let folder =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/nnunet/old/nnUNetTrainer__nnUNetPlans__3d_fullres");
    let json =
        |name: &str| serde_json::from_slice::<serde_json::Value>(&std::fs::read(folder.join(name)).unwrap()).unwrap();
    let bytes = std::fs::read(folder.join("fold_0/checkpoint_final.pth")).unwrap();
    let checkpoint = Checkpoint::read(&bytes).unwrap();
    let root = checkpoint.root();
    let at = |keys: &[&str]| keys.iter().fold(root, |node, key| node.get(key).unwrap());
    assert_eq!(at(&["init_args", "plans"]).to_json().unwrap(), json("plans.json"));
    assert_eq!(at(&["init_args", "dataset_json"]).to_json().unwrap(), json("dataset.json"));
    assert_eq!(at(&["init_args", "configuration"]).as_str(), Some("3d_fullres"));
    assert_eq!(at(&["init_args", "device"]).kind(), Kind::Opaque("torch.device"));
    assert_eq!(at(&["trainer_name"]).as_str(), Some("nnUNetTrainer"));
    assert_eq!(at(&["grad_scaler_state"]).kind(), Kind::None);
    let axes: Vec<_> = at(&["inference_allowed_mirroring_axes"]).items().map(|a| a.as_i64()).collect();
    assert_eq!(axes, [Some(0), Some(1), Some(2)]);
    // Numbers of NumPy in the log.
    let dice: Vec<_> = at(&["logging", "mean_fg_dice"]).items().map(|x| x.as_f64()).collect();
    assert_eq!(dice, [Some(0.5), Some(0.6)]);
    // The momentum of stochastic gradient descent is a tensor for each parameter.
    let (_, state) = at(&["optimizer_state", "state"]).entries().next().unwrap();
    assert!(matches!(state.get("momentum_buffer").unwrap().kind(), Kind::Tensor([8, 1, 3, 3, 3])));
    let tensors = checkpoint.tensors(at(&["network_weights"])).unwrap();
    assert_eq!(tensors["encoder.stages.0.0.convs.0.conv.weight"].dims(), [8, 1, 3, 3, 3]);
}

#[test]
fn labels_do_not_depend_on_the_number_of_threads() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/nnunet/old");
    let (model, scan) = (model(&folder), scan(&folder.join("scan.nii.gz")));
    let options = SegmentOptions { mirroring: Mirroring::Off, ..SegmentOptions::default() };
    let run = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| model.segment(&scan, &options, &|_| {}).unwrap())
    };
    assert!(run(1) == run(3), "one thread and three give different labels");
}
