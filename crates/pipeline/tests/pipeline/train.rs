//! Training by a recipe, on a data set made here.

use std::path::Path;

use glam::DMat3;
use pipeline::{CalibrationSummary, PipelineError, Silent, TrainRequest, TrainSummary, calibrate, train};
use serde_json::{Value, json};
use space::{AxisCode, Point};
use volume::{ImageGeometry, LabelMap, ScanVolume, Volume, formats};

fn recipe() -> Value {
    json!({
        "schema": "vestibule.training/1",
        "name": "balls",
        "data": {
            "images": "images", "labels": "labels", "axes": "RAS", "spacing_mm": [1.0, 1.0, 1.0],
            "normalization": "z_score", "split": { "modulus": 5, "test": [0], "validation": [1] }
        },
        "classes": [{ "value": 3, "name": "front_ball" }, { "value": 7, "name": "back_ball" }],
        "network": { "kind": "unet", "parameters": {
            "inputs": 1, "classes": 3, "channels": [6, 8], "convolutions": 1, "slope": 0.01 } },
        "training": {
            "seed": 5, "patch": [12, 16, 12], "batch": 2, "epochs": 40, "learning_rate": 0.02,
            "schedule": { "poly": { "power": 0.9 } }, "clip_norm": 5.0,
            "augmentation": {
                "rotation_deg": { "probability": 0.5, "range": [-10.0, 10.0] },
                "noise": { "probability": 0.5, "range": [0.0, 0.1] }, "mirror": [false, false, true]
            }
        },
        "precision": "half",
        "test_time_flips": [false, false, true],
        "division": { "axis": 1, "before": 2, "after": 1 },
        "card": { "what": "Two balls", "licence": "CC0-1.0", "training": { "command": "train" },
            "input": { "modality": "MR", "body_part": "box", "field_of_view_mm": [8.0, 40.0], "spacing_mm": [0.5, 2.0] } }
    })
}

/// Case `number`: a bright ball in front, a dark one behind it, on axes of its own.
fn write_case(folder: &Path, number: usize) {
    let axes = ["RAS", "LPS", "PSR", "AIL"][number % 4].parse::<AxisCode>().unwrap();
    let geometry = ImageGeometry::new([16; 3], [1.0; 3], Point::new(4.0, -3.0, 60.0), axes.direction()).unwrap();
    let middle = geometry.lps_from_index() * Point::from_array([7.5 + (number % 3) as f64 * 0.5; 3]);
    let label = |voxel: [usize; 3]| {
        let offset = (geometry.lps_from_index() * Point::from_array(voxel.map(|v| v as f64))).get() - middle.get();
        // Patient's front is −y in LPS.
        let near = |y: f64| (offset - glam::DVec3::new(0.0, y, 0.0)).length() < 3.4;
        if near(-4.0) {
            3
        } else if near(4.0) {
            7
        } else {
            // To be ignored.
            u16::from(voxel == [0, 0, 0])
        }
    };
    let labels = Volume::from_fn(geometry, label);
    let texture = |at: usize| ((at * 7919 + number * 104_729) % 1009) as f32 / 1009.0;
    let values: Vec<f32> = (labels.data().iter().enumerate())
        .map(|(at, &l)| {
            (1000.0 + 100.0 * number as f32) * (2.0 + texture(at) + [0.0, 1.0, 0.0][usize::from(l / 3)] * 2.0)
        })
        .collect();
    let values = values.iter().zip(labels.data()).map(|(v, &l)| if l == 7 { v * 0.3 } else { *v }).collect();
    let name = format!("case_{number:03}.nii.gz");
    let scan = ScanVolume::F32(Volume::new(geometry, values).unwrap());
    formats::write_scan(&scan, &folder.join("images").join(&name)).unwrap();
    let map = LabelMap { voxels: labels, segments: Default::default() };
    formats::write_labels(&map, &folder.join("labels").join(&name)).unwrap();
}

struct Set {
    folder: tempfile::TempDir,
}

impl Set {
    fn new(cases: usize) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for part in ["images", "labels"] {
            std::fs::create_dir(folder.path().join(part)).unwrap();
        }
        (0..cases).for_each(|number| write_case(folder.path(), number));
        let set = Self { folder };
        set.write_recipe(&recipe());
        set
    }

    fn write_recipe(&self, recipe: &Value) {
        std::fs::write(self.folder.path().join("training.json"), recipe.to_string()).unwrap();
    }

    fn train(&self, out: &str, minutes: Option<f64>) -> Result<TrainSummary, PipelineError> {
        self.train_from(out, minutes, None)
    }

    fn train_from(&self, out: &str, minutes: Option<f64>, from: Option<&str>) -> Result<TrainSummary, PipelineError> {
        let folder = self.folder.path();
        let [recipe, out] = ["training.json", out].map(|name| folder.join(name));
        let request = TrainRequest { recipe, data: folder.into(), out, minutes, from: from.map(|f| folder.join(f)) };
        train(&request, &Silent)
    }

    fn calibrate(&self, out: &str) -> Result<CalibrationSummary, PipelineError> {
        let folder = self.folder.path();
        let [recipe, out] = ["training.json", out].map(|name| folder.join(name));
        calibrate(&TrainRequest { recipe, data: folder.into(), out, ..Default::default() }, &Silent)
    }

    fn read(&self, file: &str) -> Vec<u8> {
        std::fs::read(self.folder.path().join(file)).unwrap()
    }
}

#[test]
fn several_networks_learn_one_after_the_other() {
    let set = Set::new(11);
    let mut recipe = recipe();
    recipe["training"]["epochs"] = json!(2);
    set.write_recipe(&recipe);
    let alone = set.train("alone", None).unwrap();
    assert_eq!(alone.member, [1, 1]);
    recipe["members"] = json!(2);
    recipe["precision"] = json!("byte");
    set.write_recipe(&recipe);
    // No time at all: an epoch a leg.
    for (leg, member, epochs) in [(1, 1, 1), (2, 2, 0), (3, 2, 1)] {
        let summary = set.train("both", Some(0.0)).unwrap();
        assert_eq!((summary.member, summary.state.epochs.len(), summary.done), ([member, 2], epochs, false), "{leg}");
    }
    let both = set.train("both", None).unwrap();
    assert_eq!((both.member, both.state.epochs.len(), both.done), ([2, 2], 2, true));
    assert_eq!(
        set.read("alone/best.safetensors"),
        set.read("both/member-1/best.safetensors"),
        "the first has the seed"
    );
    assert_ne!(set.read("both/member-1/best.safetensors"), set.read("both/member-2/best.safetensors"));
    let card: Value = serde_json::from_slice(&set.read("both/model.json")).unwrap();
    assert_eq!(card["network"]["parameters"]["members"], 2);
    let weights = set.read("both/weights.safetensors").len();
    assert_eq!(card["weights"][0]["bytes"], weights);
    let one = set.read("both/member-1/best.safetensors").len();
    assert!((one * 4 / 10..one).contains(&weights), "two of a byte a weight, beside one of four: {weights} of {one}");
    assert_eq!(set.calibrate("both").unwrap().test, both.test);
    recipe["members"] = json!(0);
    set.write_recipe(&recipe);
    let refused = set.train("none", None).unwrap_err().to_string();
    assert!(refused.contains("`members` are 0"), "{refused}");
}

#[test]
fn each_network_may_have_cases_of_its_own_held_back() {
    let set = Set::new(11);
    let mut recipe = recipe();
    recipe["training"]["epochs"] = json!(2);
    let train = |recipe: &Value, out: &str| {
        set.write_recipe(recipe);
        set.train(out, None).unwrap()
    };
    recipe["data"]["split"]["validation"] = json!([2]);
    recipe["training"]["seed"] = json!(6);
    train(&recipe, "alone");
    recipe["training"]["seed"] = json!(5);
    recipe["members"] = json!(2);
    recipe["data"]["split"]["validation"] = json!([[1], [2]]);
    let both = train(&recipe, "both");
    // Of 11 numbers 3 are divided by 5, and 2 have each other remainder.
    assert_eq!(both.cases, [8, 4, 3], "what is held back from one teaches the other");
    assert_eq!(
        set.read("both/member-2/best.safetensors"),
        set.read("alone/best.safetensors"),
        "the second has its part"
    );
    let calibration = both.calibration.unwrap();
    let calibrated = set.calibrate("both").unwrap();
    assert_eq!((calibrated.cases, &calibrated.calibration), ([4, 3], &calibration));

    // The same part from each is that part from all, and one network's word is not that of both.
    recipe["data"]["split"]["validation"] = json!([[1, 2], [1, 2]]);
    let each = train(&recipe, "each").calibration.unwrap();
    recipe["data"]["split"]["validation"] = json!([1, 2]);
    let all = train(&recipe, "all").calibration.unwrap();
    assert_eq!(each, all);
    std::fs::copy(
        set.folder.path().join("both/weights.safetensors"),
        set.folder.path().join("all/weights.safetensors"),
    )
    .unwrap();
    std::fs::copy(set.folder.path().join("both/model.json"), set.folder.path().join("all/model.json")).unwrap();
    let together = set.calibrate("all").unwrap().calibration;
    assert_eq!(together.fitted_on, calibration.fitted_on);
    assert_ne!(together.temperature, calibration.temperature, "a case is judged by those that it is new to");
}

#[test]
fn legs_lead_to_the_same_model() {
    let set = Set::new(11);
    let through = set.train("through", None).unwrap();
    assert!(through.done);
    assert_eq!(through.cases, [6, 2, 3]);
    assert_eq!(through.state.epochs.len(), 40);
    // No time at all: an epoch a leg.
    for leg in 1..=3 {
        let summary = set.train("legs", Some(0.0)).unwrap();
        assert_eq!((summary.state.epochs.len(), summary.done), (leg, false));
    }
    assert!(set.train("legs", None).unwrap().done);
    for file in ["checkpoint.safetensors", "best.safetensors", "weights.safetensors", "loss.csv", "model.json"] {
        assert!(set.read(&format!("through/{file}")) == set.read(&format!("legs/{file}")), "{file} differs");
    }

    // What was learned is a start for more.
    let more = set.train_from("more", Some(0.0), Some("through/weights.safetensors")).unwrap();
    let first = |s: &TrainSummary| s.state.epochs[0].validation_loss;
    assert!(first(&more) < 0.5 * first(&through), "{} after {}", first(&more), first(&through));
    let strange = set.train_from("strange", None, Some("images/case_000.nii.gz")).unwrap_err().to_string();
    assert!(strange.contains("weights") || strange.contains("checkpoint"), "{strange}");

    for class in &through.test {
        assert!(class.dice_mean > 0.8, "{class:?}");
        assert!(class.hd95_mean_mm < 2.0, "{class:?}");
    }
    let card: Value = serde_json::from_slice(&set.read("through/model.json")).unwrap();
    let weights = set.read("through/weights.safetensors");
    assert_eq!(card["schema"], "vestibule.model/1");
    assert_eq!(card["weights"][0]["bytes"], weights.len());
    assert_eq!(card["training"], json!({"command": "train", "seed": 5}));
    assert_eq!(card["classes"][1], json!({"value": 2, "name": "back_ball"}));
    assert_eq!(card["network"]["parameters"]["network"]["channels"], json!([6, 8]));
    assert_eq!(card["network"]["kind"], "unet");
    assert_eq!(card["network"]["parameters"]["division"], json!({ "axis": 1, "before": 2, "after": 1 }));
    assert_eq!(card["accuracy"][0]["metric"], "dice");
    assert!(weights.len() < set.read("through/best.safetensors").len());
    let rows = |file: &str| String::from_utf8(set.read(file)).unwrap().lines().count();
    assert_eq!(rows("through/loss.csv"), 41);
    assert_eq!(rows("through/evaluation.csv"), 4);
    assert!(set.read("through/loss.png").starts_with(b"\x89PNG"));

    // Four diagrams of 15 rows.
    assert_eq!(rows("through/reliability.csv"), 61);
    let calibration = through.calibration.unwrap();
    assert_eq!(calibration.fitted_on, 2 * 16 * 16 * 16);
    assert_eq!(card["temperature"], json!(calibration.temperature));
    assert!(calibration.temperature != 1.0, "{calibration:?}");
    let of = |structure: &str, metric: &str| {
        let mut figures = card["accuracy"].as_array().unwrap().iter();
        figures.find(|m| m["structure"] == structure && m["metric"] == metric).unwrap()["value"].as_f64().unwrap()
    };
    for (found, card) in [
        (calibration.all, ["all", "ece_uncalibrated", "ece"]),
        (calibration.foreground, ["foreground", "ece_uncalibrated", "ece"]),
    ] {
        for (found, metric) in found.into_iter().zip(&card[1..]) {
            assert!((found.unwrap() - of(card[0], metric)).abs() < 1e-4, "{found:?}");
        }
    }

    // Once more, on the finished model: the same, and what others wrote into its card stays.
    let mut edited = card.clone();
    edited["training"]["source"] = json!("this test");
    edited["temperature"] = json!(9.0);
    edited["accuracy"] = json!([]);
    let place = set.folder.path().join("through/model.json");
    std::fs::write(&place, edited.to_string()).unwrap();
    let again = set.calibrate("through").unwrap();
    assert_eq!((again.calibration, again.test, again.cases), (calibration, through.test, [2, 3]));
    let mut found: Value = serde_json::from_slice(&set.read("through/model.json")).unwrap();
    assert_eq!(found["training"].as_object_mut().unwrap().remove("source"), Some(json!("this test")));
    assert_eq!(found, card);
    assert!(weights == set.read("through/weights.safetensors"));

    // Neither for other weights nor for another network.
    let mut other = weights.clone();
    other[weights.len() - 1] ^= 1;
    std::fs::write(set.folder.path().join("through/weights.safetensors"), other).unwrap();
    assert!(set.calibrate("through").unwrap_err().to_string().contains("not those it tells of"));
    std::fs::write(set.folder.path().join("through/weights.safetensors"), &weights).unwrap();
    let mut recipe = recipe();
    recipe["test_time_flips"][2] = json!(false);
    set.write_recipe(&recipe);
    assert!(set.calibrate("through").unwrap_err().to_string().contains("another network"));
    assert!(set.calibrate("absent").is_err());
}

#[test]
fn a_changed_recipe_does_not_go_on() {
    let set = Set::new(7);
    set.train("out", Some(0.0)).unwrap();
    let kept = set.read("out/recipe.json");
    let mut other = recipe();
    other["training"]["learning_rate"] = json!(0.5);
    set.write_recipe(&other);
    let error = set.train("out", Some(0.0)).unwrap_err().to_string();
    assert!(error.contains("another configuration"), "{error}");
    assert_eq!(set.read("out/recipe.json"), kept, "that of what was learned");
    // Nor with its classes exchanged, or on other cases.
    for change in [
        |r: &mut Value| r["classes"].as_array_mut().unwrap().reverse(),
        |r: &mut Value| r["data"]["axes"] = json!("LAS"),
    ] {
        let mut other = recipe();
        change(&mut other);
        set.write_recipe(&other);
        let error = set.train("out", None).unwrap_err().to_string();
        assert!(error.contains("other data or as other classes"), "{error}");
    }
    set.write_recipe(&recipe());
    assert!(!set.train("out", Some(0.0)).unwrap().done, "the old one goes on");
}

#[track_caller]
fn refused(change: impl Fn(&mut Value), expected: &str) {
    let set = Set::new(7);
    let mut recipe = recipe();
    change(&mut recipe);
    set.write_recipe(&recipe);
    let error = set.train("out", Some(0.0)).unwrap_err().to_string();
    assert!(error.contains(expected), "{error}");
}

#[test]
fn recipes_that_cannot_be_are_refused() {
    refused(|r| r["schema"] = json!("vestibule.training/9"), "vestibule.training/9");
    refused(|r| r["classes"] = json!([{"value": 3, "name": "ball"}]), "3 classes for 1");
    refused(|r| r["classes"][1]["value"] = json!(3), "there twice");
    refused(|r| r["data"]["split"]["modulus"] = json!(0), "modulus");
    refused(|r| r["data"]["axes"] = json!("RRS"), "axes");
    refused(|r| r["data"]["spacing_mm"][0] = json!(0.0), "spacing");
    refused(|r| r["training"]["patch"][0] = json!(13), "multiple of 2");
    refused(|r| r["data"]["images"] = json!("pictures"), "pictures");
    refused(|r| r["surprise"] = json!(1), "surprise");
    refused(|r| r["classes"][0]["name"] = json!("kidney_left"), "kidney_left has a side");
    refused(|r| r["classes"][0]["name"] = json!("rib_left_4"), "rib_left_4 has a side");
    refused(|r| r["data"]["phantoms"] = json!({"seeds": [1, 2], "spacing_mm": 0.0}), "phantoms");
    for division in [[1, 2, 2], [1, 0, 1], [1, 2, 3], [3, 2, 1]] {
        let [axis, before, after] = division;
        let division = json!({ "axis": axis, "before": before, "after": after });
        refused(|r| r["division"] = division.clone(), "`division` is between");
    }
    refused(|r| r["data"]["drawn"] = json!({"labels": "atlases", "copies": 2}), "atlases");
    // What would only show when the model is to be used, or not at all.
    refused(|r| r["name"] = json!("../evil"), "no name");
    refused(|r| r["classes"][1]["name"] = json!("front_ball"), "there twice");
    refused(|r| r["card"] = json!({}), "what");
    refused(|r| r["card"]["input"]["spacing_mm"] = json!([2.0, 1.0]), "range of its input");
    refused(|r| r["data"]["split"]["test"] = json!([5]), "remainder 5");
    refused(|r| r["data"]["split"]["test"] = json!([1]), "for the test and for validation");
    refused(
        |r| r["data"]["split"]["validation"] = json!([[1], [2]]),
        "2 lists for validation and there are 1 networks",
    );
    refused(|r| r["data"]["split"]["validation"] = json!([[1, 5]]), "remainder 5");
    refused(|r| r["data"]["split"]["validation"] = json!([[]]), "none to validate");
    refused(|r| r["data"]["split"]["validation"] = json!("1"), "validation is a list of remainders");
    refused(|r| r["classes"][1]["value"] = json!(8), "no case to train on has a voxel of back_ball");
    refused(|r| r["network"]["parameters"]["channels"] = json!([4, 1_000_000]), "channels");
    refused(|r| r["training"]["batch"] = json!(1_000_000), "batch");
    refused(|r| r["training"]["learning_rate"] = json!(0.0), "learning_rate");
    refused(|r| r["training"]["clip_norm"] = json!(0.0), "clip_norm");
    refused(|r| r["training"]["loss"] = json!({"cross_entropy": 0.0, "dice": 0.0, "smooth": 1.0}), "`loss`");
    refused(|r| r["training"]["schedule"] = json!({"cosine": {"warmup": 2.0}}), "`schedule`");
    refused(
        |r| r["training"]["optimizer"] = json!({"nesterov": {"momentum": 1.0, "weight_decay": 0.0}}),
        "`optimizer`",
    );
    let augmented = |field: &str, value: Value| {
        refused(|r| r["training"]["augmentation"][field] = value.clone(), &format!("`augmentation.{field}`"));
    };
    augmented("scale", json!({"probability": 0.5, "range": [0.0, 0.0]}));
    augmented("noise", json!({"probability": 5.0, "range": [0.0, 1.0]}));
    augmented("gamma", json!({"probability": 0.5, "range": [2.0, 1.0]}));
    augmented("elastic", json!({"probability": 0.5, "knots_mm": 0.0, "deviation_mm": [1.0, 2.0]}));
    augmented(
        "synthesis",
        json!({"probability": 0.5, "mean": [0, 1], "deviation": [0, 1], "parts": [0, 1], "bias": [0, 0], "bias_knots_mm": 9}),
    );
}

#[test]
fn only_folders_of_trainings_are_trained_in() {
    let set = Set::new(7);
    let refuse = |out: &str, expected: &str| {
        let error = set.train(out, Some(0.0)).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    };
    refuse("images", "something else lies there");
    assert!(!set.folder.path().join("images/recipe.json").exists());
    let model = set.folder.path().join("model");
    std::fs::create_dir(&model).unwrap();
    std::fs::write(model.join("weights.safetensors"), "of somebody").unwrap();
    refuse("model", "a model lies there");
    // One at a time.
    set.train("out", Some(0.0)).unwrap();
    let out = std::fs::File::open(set.folder.path().join("out")).unwrap();
    out.lock().unwrap();
    refuse("out", "another training is at work there");
    out.unlock().unwrap();
    // What it was left at is damaged.
    std::fs::write(set.folder.path().join("out/checkpoint.safetensors"), "").unwrap();
    refuse("out", "begin anew in another folder");
}

#[test]
fn data_sets_that_cannot_be_are_refused() {
    let set = Set::new(7);
    let file = |name: &str| set.folder.path().join(name);
    std::fs::rename(file("labels/case_003.nii.gz"), file("labels/case_3.nii.gz")).unwrap();
    let error = set.train("out", Some(0.0)).unwrap_err().to_string();
    assert!(error.contains("no label map of the same name"), "{error}");
    std::fs::rename(file("labels/case_3.nii.gz"), file("labels/case_003.nii.gz")).unwrap();

    let other = ImageGeometry::new([16, 16, 15], [1.0; 3], Point::new(0.0, 0.0, 0.0), DMat3::IDENTITY).unwrap();
    let map = LabelMap { voxels: Volume::filled(other, 3), segments: Default::default() };
    formats::write_labels(&map, &file("labels/case_003.nii.gz")).unwrap();
    let error = set.train("out", Some(0.0)).unwrap_err().to_string();
    assert!(error.contains("different grids"), "{error}");
}

/// Of Hounsfield units.
const CURVE: [[f64; 2]; 4] = [[-1000.0, 0.0], [-150.0, 0.25], [250.0, 0.9], [1000.0, 1.0]];

#[test]
fn bodies_are_made_where_there_are_no_scans() {
    let set = Set::new(0);
    let folder = set.folder.path();
    std::fs::create_dir(folder.join("drawn")).unwrap();
    let geometry = ImageGeometry::new([20; 3], [12.0; 3], Point::new(0.0, 0.0, 0.0), DMat3::IDENTITY).unwrap();
    let label = |[i, j, _]: [usize; 3]| match (i, j) {
        (4..9, 6..14) => 2,
        (11..16, 6..14) => 5,
        _ => 0,
    };
    let map = LabelMap { voxels: Volume::from_fn(geometry, label), segments: Default::default() };
    formats::write_labels(&map, &folder.join("drawn/atlas.nii.gz")).unwrap();
    std::fs::write(folder.join("drawn/atlas.json"), r#"{"2": "lung_upper_lobe_right", "5": "liver"}"#).unwrap();
    let mut recipe = recipe();
    recipe["data"]["spacing_mm"] = json!([16.0, 16.0, 16.0]);
    recipe["data"]["normalization"] = json!({ "curve": CURVE });
    recipe["data"]["phantoms"] = json!({ "seeds": [5, 8], "spacing_mm": 16.0 });
    recipe["data"]["drawn"] = json!({ "labels": "drawn", "copies": 2 });
    recipe["classes"] = json!([
        { "value": 1, "name": "lung", "of": ["lung_*_right", "lung_*_left"] },
        { "value": 2, "name": "liver", "of": ["liver*"] }
    ]);
    recipe["training"]["patch"] = json!([24, 16, 24]);
    recipe["training"]["epochs"] = json!(20);
    recipe["training"]["patches_per_sample"] = json!(4);
    recipe["training"]["augmentation"] = json!({ "synthesis": {
        "probability": 0.5, "onto_image": true, "mean": [-0.02, 0.02], "deviation": [0.0, 0.02], "parts": [2, 1],
        "bias": [0.0, 0.0], "bias_knots_mm": 60.0 } });
    recipe["test_time_flips"] = json!([false, false, false]);
    recipe["windows"] = json!(true);
    set.write_recipe(&recipe);
    let summary = set.train("out", None).unwrap();
    // Seeds 7 and 8 and both copies; 6; 5.
    assert_eq!((summary.cases, summary.done), ([4, 1, 1], true));
    let lung = &summary.test[0];
    assert!(lung.dice_mean > 0.5, "lungs are the only dark tissue in a body: {lung:?}");
    let card: Value = serde_json::from_slice(&set.read("out/model.json")).unwrap();
    let parameters = &card["network"]["parameters"];
    assert_eq!(parameters["windows"], json!([24, 16, 24]));
    assert_eq!(parameters["normalization"], json!({ "curve": CURVE }));
    assert_eq!(card["classes"][0], json!({ "value": 1, "name": "lung" }));
}
