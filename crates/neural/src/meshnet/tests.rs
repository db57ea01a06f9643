use std::path::PathBuf;

use super::*;
use crate::safetensors::tests::file;

/// The real networks, or `None` with a word on it.
#[expect(clippy::print_stdout, reason = "says why it skips")]
fn real(name: &str) -> Option<Safetensors> {
    let root = std::env::var_os("VESTIBULE_DATA").map_or_else(|| "../../../shared/data".into(), PathBuf::from);
    let path = root.join("meshnet").join(name);
    if !path.exists() {
        println!("skipped: no {name} in {}; set VESTIBULE_DATA", path.display());
        return None;
    }
    Some(Safetensors::parse(std::fs::read(path).unwrap()).unwrap())
}

/// Largest difference of logits, over the largest logit.
#[track_caller]
fn check_golden(network: &str) {
    let (Some(weights), Some(golden)) =
        (real(&format!("{network}.safetensors")), real(&format!("golden_{network}.safetensors")))
    else {
        return;
    };
    let config = MeshNetConfig::of(&weights).unwrap();
    let net = MeshNet::load(&weights, &config).unwrap();
    let found = net.forward(&golden.tensor("input").unwrap()).unwrap();
    let expected = golden.tensor("logits").unwrap();
    assert_eq!(found.dims(), expected.dims());
    let values = |t: &Tensor| t.flatten_all().unwrap().to_vec1::<f32>().unwrap();
    let (found, expected) = (values(&found), values(&expected));
    let scale = expected.iter().fold(0f32, |m, v| m.max(v.abs()));
    let most = found.iter().zip(&expected).fold(0f32, |m, (a, b)| m.max((a - b).abs()));
    assert!(most <= 1e-4 * scale, "{network}: {most} of {scale}");
}

#[test]
fn logits_of_18_classes_are_those_of_the_reference() {
    check_golden("model18cls");
}

#[test]
fn logits_of_3_classes_are_those_of_the_reference() {
    check_golden("model5_gw_ae");
}

/// Two layers that pass the input on, and a last one that says 1 where it is above 0.5.
fn threshold() -> Vec<u8> {
    let mut middle = vec![0.0; 27];
    middle[13] = 1.0;
    let metadata = [("channels", "1"), ("classes", "2"), ("dilations", "1,2,1"), ("activation", "relu")];
    file(
        &metadata,
        &[
            ("layers.0.weight", &[1, 1, 3, 3, 3], middle.clone()),
            ("layers.0.bias", &[1], vec![0.0]),
            ("layers.1.weight", &[1, 1, 3, 3, 3], middle),
            ("layers.1.bias", &[1], vec![0.0]),
            ("layers.2.weight", &[2, 1, 1, 1, 1], vec![-1.0, 1.0]),
            ("layers.2.bias", &[2], vec![0.5, -0.5]),
        ],
    )
}

#[test]
fn a_scan_is_segmented_on_its_own_grid() {
    use glam::DMat3;
    use space::Point;
    let weights = Safetensors::parse(threshold()).unwrap();
    let net = MeshNet::load(&weights, &MeshNetConfig::of(&weights).unwrap()).unwrap();
    // A ball left of the middle, so a mirrored way back would miss it.
    let turned = DMat3::from_rotation_x(0.1) * DMat3::from_diagonal([1.0, -1.0, 1.0].into());
    let origin = Point::new(-80.0, 70.0, -70.0);
    let grid = volume::ImageGeometry::new([100, 90, 60], [1.6, 1.6, 2.4], origin, turned).unwrap();
    let inside = |p: [usize; 3]| {
        let p = (grid.lps_from_index() * Point::from_array(p.map(|v| v as f64))).get();
        (p - glam::DVec3::new(15.0, -5.0, 2.0)).length() < 55.0
    };
    let scan = Volume::from_fn(grid, |p| if inside(p) { 900i16 } else { 20 });
    let found = net.segment(&ScanVolume::I16(scan.clone()), 1.0, None, &|_| {}).unwrap();
    let wrong = found.labels.data().iter().zip(scan.data()).filter(|(l, v)| (**l == 1) != (**v > 500)).count();
    let ball = scan.data().iter().filter(|v| **v > 500).count();
    // Voxels at the rim may fall to either side.
    assert!(wrong * 25 < ball, "{wrong} of {ball}");
    let mm3 = found.conformed.data().iter().filter(|l| **l == 1).count() as f64;
    let expected = 4.0 / 3.0 * std::f64::consts::PI * 55f64.powi(3);
    assert!((mm3 / expected - 1.0).abs() < 0.03, "{mm3} mm³ of {expected}");
}

/// Left for right: what is said of a scan is what is said of its mirror image, on the other side.
#[test]
fn with_flips_both_sides_are_treated_alike() {
    let number = |n: usize| ((n * 2_654_435) % 1009) as f32 / 1009.0 - 0.5;
    let numbers = |from: usize, count: usize| (from..from + count).map(number).collect::<Vec<f32>>();
    let metadata = [("channels", "2"), ("classes", "4"), ("dilations", "1,2,1"), ("activation", "elu")];
    let tensors: [(&str, &[usize], Vec<f32>); 6] = [
        ("layers.0.weight", &[2, 1, 3, 3, 3], numbers(0, 54)),
        ("layers.0.bias", &[2], numbers(60, 2)),
        ("layers.1.weight", &[2, 2, 3, 3, 3], numbers(70, 108)),
        ("layers.1.bias", &[2], numbers(200, 2)),
        ("layers.2.weight", &[4, 2, 1, 1, 1], numbers(210, 8)),
        ("layers.2.bias", &[4], numbers(230, 4)),
    ];
    let weights = Safetensors::parse(file(&metadata, &tensors)).unwrap();
    let net = MeshNet::load(&weights, &MeshNetConfig::of(&weights).unwrap()).unwrap();
    // Classes 1 and 2 are a pair.
    let mirrored = [0, 2, 1, 3];
    let size = [5, 4, 3];
    let logits = |x: Vec<f32>| {
        let features = net.features_of_both(x, size, &|_| {}).unwrap();
        assert_eq!(features.len(), 4 * 60);
        let mut logits = Vec::new();
        let last = net.last_of_both(&mirrored).unwrap();
        last.forward_into(&features, [1, 4, 5, 4, 3], &mut logits).unwrap();
        logits
    };
    let x = numbers(300, 60);
    let turn = |plane: &[f32]| plane.rchunks_exact(12).flatten().copied().collect::<Vec<f32>>();
    let (found, other) = (logits(x.clone()), logits(turn(&x)));
    for class in 0..4 {
        let expected = turn(&found[usize::from(mirrored[class]) * 60..][..60]);
        let most = expected.iter().zip(&other[class * 60..]).fold(0f32, |most, (a, b)| most.max((a - b).abs()));
        assert!(most < 1e-5, "class {class}: {most}");
    }
    assert!(found[..60].iter().zip(&turn(&found[..60])).any(|(a, b)| (a - b).abs() > 1e-3), "all is alike");
}

#[track_caller]
fn check_described(changes: &[(&str, &str)], words: &str) {
    let mut metadata = vec![("channels", "1"), ("classes", "2"), ("dilations", "1,2,1"), ("activation", "relu")];
    for (key, value) in changes {
        metadata.retain(|(k, _)| k != key);
        metadata.extend((!value.is_empty()).then_some((*key, *value)));
    }
    let weights = Safetensors::parse(file(&metadata, &[])).unwrap();
    let error = MeshNetConfig::of(&weights).unwrap_err().to_string();
    assert!(error.contains(words), "{error}");
}

#[test]
fn descriptions_that_cannot_be_are_refused() {
    check_described(&[("dilations", "")], "`dilations` is not in the metadata");
    check_described(&[("dilations", "1")], "`dilations`");
    check_described(&[("dilations", "1,x,1")], "`x`");
    check_described(&[("dilations", "1,900,1")], "`dilations`");
    check_described(&[("channels", "0")], "`channels`");
    check_described(&[("classes", "1")], "`classes`");
    check_described(&[("activation", "swish")], "swish");
}

#[test]
fn weights_of_another_network_are_refused() {
    let weights = Safetensors::parse(threshold()).unwrap();
    let mut config = MeshNetConfig::of(&weights).unwrap();
    config.classes = 3;
    assert!(matches!(MeshNet::load(&weights, &config), Err(NeuralError::TensorShape { .. })));
    config.classes = 2;
    config.dilations.push(4);
    assert!(matches!(
        MeshNet::load(&weights, &config),
        Err(NeuralError::TensorShape { .. } | NeuralError::MissingTensor { .. })
    ));
    config.dilations.truncate(1);
    assert!(MeshNet::load(&weights, &config).is_err());
}
