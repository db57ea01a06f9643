use glam::DMat3;
use space::Point;
use volume::ImageGeometry;

use super::*;
use crate::nn::Activation;

fn card() -> ModelCard {
    ModelCard {
        schema: SCHEMA.to_owned(),
        name: "small-1".to_owned(),
        version: "1".to_owned(),
        what: "two structures".to_owned(),
        network: Network::MeshNet(MeshNetConfig {
            channels: 5,
            classes: 3,
            dilations: vec![1, 2],
            activation: Activation::Elu(1.0),
        }),
        input: ExpectedInput::t1_head(),
        classes: vec![
            ModelClass::named(1, Some("Left-Hippocampus".to_owned()), "small-1"),
            ModelClass::named(2, None, "small-1"),
        ],
        training: Training::default(),
        licence: None,
        accuracy: Vec::new(),
        temperature: Some(1.2),
        experimental: true,
        weights: vec![WeightFile { file: "weights.safetensors".to_owned(), bytes: 3, sha256: "0".repeat(64) }],
    }
}

#[test]
fn a_card_is_what_it_was() {
    let json = serde_json::to_vec_pretty(&card()).unwrap();
    assert_eq!(ModelCard::parse(&json).unwrap(), card());
    let segments = card().segments();
    assert_eq!((segments[&1].name.as_str(), segments[&2].name.as_str()), ("hippocampus_left", "small_1_2"));
    assert_eq!(segments[&1].code.as_ref().unwrap().value, "5366008");
}

#[test]
fn classes_have_partners_on_the_other_side() {
    let mirrored = |names: &[&str]| {
        let class = |(at, name): (usize, &&str)| ModelClass {
            value: at as Label + 1,
            name: (*name).to_owned(),
            source_name: None,
        };
        let classes = names.iter().enumerate().map(class).collect();
        ModelCard { classes, ..card() }.mirrored(names.len() + 1)
    };
    assert_eq!(
        mirrored(&["brainstem", "hippocampus_left", "putamen_right", "hippocampus_right", "putamen_left"]),
        Some(vec![0, 1, 4, 5, 2, 3])
    );
    assert_eq!(mirrored(&["left_kidney", "right_kidney"]), Some(vec![0, 2, 1]));
    assert_eq!(mirrored(&["cleft", "bright"]), Some(vec![0, 1, 2]), "words, not parts of words");
    assert_eq!(mirrored(&["kidney_left", "liver"]), None);
}

#[track_caller]
fn check_refused(change: impl FnOnce(&mut serde_json::Value), words: &str) {
    let mut value = serde_json::to_value(card()).unwrap();
    change(&mut value);
    let error = ModelCard::parse(&serde_json::to_vec(&value).unwrap()).unwrap_err().to_string();
    assert!(error.contains(words), "{error}");
}

#[test]
fn cards_that_cannot_be_are_refused() {
    check_refused(|c| c["schema"] = "vestibule.model/9".into(), "vestibule.model/9");
    check_refused(|c| drop(c.as_object_mut().unwrap().remove("schema")), "names no schema");
    check_refused(|c| c["name"] = "../up".into(), "is no name");
    check_refused(|c| c["weights"] = serde_json::json!([]), "no weights");
    check_refused(|c| c["weights"][0]["file"] = "../../etc/passwd".into(), "inside the model's folder");
    check_refused(|c| c["weights"][0]["sha256"] = "abc".into(), "64 hexadecimal");
    check_refused(|c| c["classes"][1]["value"] = 1.into(), "there twice");
    check_refused(|c| c["classes"][1]["name"] = "hippocampus_left".into(), "there twice");
    check_refused(|c| c["network"]["kind"] = "transformer".into(), "transformer");
    check_refused(|c| c["temperature"] = 0.into(), "temperature");
    check_refused(|c| c["network"]["parameters"]["dilations"] = serde_json::json!([]), "dilations");
    let through_plane = |blocks: u64| {
        move |c: &mut serde_json::Value| {
            c["classes"] = serde_json::json!([]);
            let parameters = serde_json::json!({"channels": 1, "blocks": blocks, "fold": 1});
            c["network"] = serde_json::json!({"kind": "through_plane", "parameters": parameters});
        }
    };
    check_refused(through_plane(1_000_000_000_000), "no through-plane network");
    let unet = |field: &'static str, value: serde_json::Value| {
        move |c: &mut serde_json::Value| {
            let network =
                serde_json::json!({"inputs": 1, "classes": 3, "channels": [4, 8], "convolutions": 1, "slope": 0.1});
            let mut parameters = serde_json::json!({
                "network": network, "axes": "RAS", "spacing_mm": [1.0, 1.0, 1.0], "normalization": "z_score",
                "flips": [false, false, false], "windows": [32, 32, 32]
            });
            *parameters.pointer_mut(field).unwrap() = value;
            c["network"] = serde_json::json!({"kind": "unet", "parameters": parameters});
        }
    };
    check_refused(unet("/windows", serde_json::json!([0, 88, 72])), "windows");
    check_refused(unet("/windows", serde_json::json!([100_000, 100_000, 100_000])), "windows");
    check_refused(unet("/network/channels", serde_json::json!(vec![1; 17])), "17 levels");
    check_refused(unet("/network/channels", serde_json::json!([])), "0 levels");
    check_refused(|c| c["input"]["spacing_mm"] = serde_json::json!([2.0, 1.0]), "range");
    assert!(ModelCard::parse(b"no card").unwrap_err().to_string().contains("no JSON"));
}

#[track_caller]
fn check_scan(modality: &str, guess: bool, contrast: Option<&str>, mm: f64, spacing: f64, expected: &[(bool, &str)]) {
    let size = [(mm / spacing).round() as usize; 3];
    let geometry = ImageGeometry::new(size, [spacing; 3], Point::ZERO, DMat3::IDENTITY).unwrap();
    let facts = ScanFacts { modality, modality_is_guess: guess, contrast, body_part: None, geometry: &geometry };
    let found = ExpectedInput::t1_head().objections(&facts);
    assert_eq!(found.len(), expected.len(), "{found:?}");
    for (objection, (refuses, words)) in found.iter().zip(expected) {
        assert!(objection.refuses == *refuses && objection.reason.contains(words), "{objection:?}");
    }
}

#[test]
fn scans_outside_the_card_are_refused_or_warned_of() {
    check_scan("MR", false, Some("T1"), 200.0, 1.0, &[]);
    check_scan("CT", false, None, 200.0, 1.0, &[(true, "trained on MR")]);
    check_scan("CT", true, None, 200.0, 1.0, &[(false, "looks like CT")]);
    check_scan("MR", false, Some("T2"), 200.0, 1.0, &[(true, "says T2")]);
    check_scan("MR", true, None, 200.0, 1.0, &[(false, "does not say")]);
    check_scan("MR", false, Some("T1"), 60.0, 1.0, &[(true, "60 mm")]);
    check_scan("MR", false, Some("T1"), 400.0, 1.0, &[(false, "400 mm")]);
    check_scan("MR", false, Some("T1"), 600.0, 2.0, &[(true, "600 mm")]);
    check_scan("MR", false, Some("T1"), 200.0, 5.0, &[(true, "5.0 mm apart")]);
    check_scan("MR", false, Some("T1"), 140.0, 0.25, &[(false, "finer")]);
}

#[test]
fn parts_of_the_body_must_fit() {
    let geometry = ImageGeometry::new([200; 3], [1.0; 3], Point::ZERO, DMat3::IDENTITY).unwrap();
    let objections = |expected: &ExpectedInput, contrast, found| {
        let modality = expected.modality.as_str();
        let facts = ScanFacts { modality, modality_is_guess: false, contrast, body_part: found, geometry: &geometry };
        let one = |o: Objection| (o.refuses, o.reason);
        expected.objections(&facts).into_iter().map(one).collect::<Vec<_>>()
    };
    let head = ExpectedInput::t1_head();
    let of = |found| objections(&head, Some("T1"), found);
    for fits in [None, Some("HEAD"), Some("BRAIN"), Some("HEADNECK"), Some("WHOLEBODY")] {
        assert_eq!(of(fits), [], "{fits:?}");
    }
    assert_eq!(of(Some("KNEE")), [(true, "it was trained on scans of head and this one says KNEE".to_owned())]);
    assert_eq!(of(Some("NECK")), [(false, "it was trained on scans of head and this one says NECK".to_owned())]);
    match of(Some("SONSTIGES")).as_slice() {
        [(false, unknown)] => assert!(unknown.contains("`SONSTIGES`"), "{unknown}"),
        other => panic!("an unknown part only warns: {other:?}"),
    }
    // A card's own word that nobody knows judges nothing; a contrast agent is a contrast too.
    let ct = ExpectedInput {
        modality: "CT".to_owned(),
        contrast: Some("native".to_owned()),
        body_part: "specimen".to_owned(),
        ..ExpectedInput::t1_head()
    };
    let enhanced = "it was trained on native scans and this one says enhanced".to_owned();
    assert_eq!(objections(&ct, Some("enhanced"), Some("KNEE")), [(true, enhanced)]);
}

#[test]
fn the_only_paths_are_those_inside() {
    for good in ["a", "fold_0/checkpoint_final.pth", "a.b-c_d"] {
        assert!(is_inside(good), "{good}");
    }
    for bad in ["", "/a", "a/", "a//b", "../a", "a/../b", "./a", "a\\b", "C:a"] {
        assert!(!is_inside(bad), "{bad}");
    }
    for bad in ["", ".hidden", "-x", "a/b", "a b", "ä"] {
        assert!(!is_name(bad), "{bad}");
    }
}

#[test]
fn a_through_plane_card_finds_no_structures() {
    let config = ThroughPlaneConfig { channels: 4, blocks: 1, fold: 4, fusion: None };
    let network = Network::ThroughPlane(config.clone());
    let good = ModelCard { network, classes: Vec::new(), input: ExpectedInput::any_scan("CT"), ..card() };
    let json = serde_json::to_vec(&good).unwrap();
    assert!(String::from_utf8_lossy(&json).contains(r#""kind":"through_plane""#));
    let read = ModelCard::parse(&json).unwrap();
    let grid = ImageGeometry::new([100; 3], [2.0; 3], Point::ZERO, DMat3::IDENTITY).unwrap();
    assert_eq!((read.network.task(), read.expected_s(&grid, 2)), (Task::SuperResolution, None));
    // Twice the voxels take twice the time, but for what any run takes.
    let [one, two] = [1, 2].map(|n| read.expected_upsample_s(n * 1_000_000, 2).unwrap());
    assert!(one > 1.0 && ((two - 1.0) / (one - 1.0) - 2.0).abs() < 1e-9, "{one} s, {two} s");
    let classes = serde_json::to_value(card()).unwrap()["classes"].clone();
    let mut value = serde_json::to_value(&good).unwrap();
    value["classes"] = classes;
    let error = ModelCard::parse(&serde_json::to_vec(&value).unwrap()).unwrap_err().to_string();
    assert!(error.contains("no structures"), "{error}");

    // The weights must be of the network that the card tells of.
    let trainer = crate::super_resolution::SharpenTrainer::new(&config, Default::default()).unwrap();
    let bytes = trainer.weights().unwrap().to_bytes().unwrap();
    let files = || [("weights.safetensors".to_owned(), bytes.clone())].into();
    assert!(crate::model::through_plane(&good, files()).is_ok());
    let other = ThroughPlaneConfig { channels: 5, ..config };
    let error = crate::model::through_plane(&ModelCard { network: Network::ThroughPlane(other), ..good }, files());
    assert!(matches!(error, Err(NeuralError::Card { .. })), "{error:?}");
    assert!(crate::model::through_plane(&card(), files()).is_err(), "a MeshNet");
}
