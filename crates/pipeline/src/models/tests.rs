use std::fs;
use std::io::Write;

use neural::card::{ExpectedInput, Network};
use serde_json::{Value, json};
use space::Point;
use volume::ImageGeometry;

use super::*;

/// A network of one layer that says 1 where the scan is bright: 27 + 1 + 2 + 2 numbers.
fn weights(bias: f32) -> Vec<u8> {
    let mut first = vec![0f32; 27];
    first[13] = 1.0;
    let tensors: [(&str, &[usize], Vec<f32>); 4] = [
        ("layers.0.weight", &[1, 1, 3, 3, 3], first),
        ("layers.0.bias", &[1], vec![0.0]),
        ("layers.1.weight", &[2, 1, 1, 1, 1], vec![-1.0, 1.0]),
        ("layers.1.bias", &[2], vec![0.5, bias]),
    ];
    let mut header = serde_json::Map::new();
    let metadata = serde_json::json!({"channels": "1", "classes": "2", "dilations": "1,1", "activation": "relu", "licence": "MIT"});
    header.insert("__metadata__".to_owned(), metadata);
    let mut data: Vec<u8> = Vec::new();
    for (name, shape, values) in tensors {
        let from = data.len();
        data.extend(values.iter().flat_map(|v| v.to_le_bytes()));
        let entry = serde_json::json!({"dtype": "F32", "shape": shape, "data_offsets": [from, data.len()]});
        header.insert(name.to_owned(), entry);
    }
    let header = serde_json::to_vec(&header).unwrap();
    [(header.len() as u64).to_le_bytes().to_vec(), header, data].concat()
}

struct Shelf {
    dir: tempfile::TempDir,
    models: Models,
}

impl Shelf {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let models = Models { user: Some(dir.path().join("data/models")), ..Models::default() };
        Self { dir, models }
    }

    fn file(&self, name: &str, bytes: &[u8]) -> String {
        let path = self.dir.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, bytes).unwrap();
        path.to_str().unwrap().to_owned()
    }

    fn add(&self, source: &str) -> Result<AddedModel, PipelineError> {
        self.models.add(&AddRequest { source: source.to_owned(), ..AddRequest::default() }, &|_| {})
    }

    /// Nothing but whole models lies in the user's folder.
    #[track_caller]
    fn check_names(&self, expected: &[&str]) {
        let entries = fs::read_dir(self.models.user.as_ref().unwrap()).into_iter().flatten().flatten();
        let mut names: Vec<String> = entries.map(|e| e.file_name().into_string().unwrap()).collect();
        names.sort();
        assert_eq!(names, expected);
    }

    #[track_caller]
    fn check_refused(&self, source: &str, words: &str) {
        let error = self.add(source).unwrap_err().to_string();
        assert!(error.contains(words), "{error}");
        self.check_names(&[]);
    }
}

#[test]
fn a_file_becomes_a_model_with_names_from_beside_it() {
    let shelf = Shelf::new();
    let file = shelf.file("net.safetensors", &weights(-0.5));
    shelf.file("net.json", br#"{"0": "Unknown", "1": "Left-Hippocampus"}"#);
    let added = shelf.add(&file).unwrap();
    assert_eq!((added.name.as_str(), added.classes), ("net", 1));
    shelf.check_names(&["net"]);
    let entry = shelf.models.find("net").unwrap();
    assert_eq!(entry.card.segments()[&1].name, "hippocampus_left");
    assert_eq!(entry.card.licence.as_deref(), Some("MIT"));
    assert_eq!(entry.files().unwrap().len(), 1);
    let [listed] = shelf.models.list().try_into().unwrap();
    assert_eq!((listed.problem, listed.place, listed.sha256), (None, "user", Some(added.sha256)));
    // Not a second time, unless it is meant.
    assert!(matches!(shelf.add(&file), Err(PipelineError::ModelExists { .. })));
    let other = shelf.file("net.safetensors", &weights(-0.4));
    let replaced = AddRequest { source: other, replace: true, sha256: None };
    let again = shelf.models.add(&replaced, &|_| {}).unwrap();
    assert_ne!(again.sha256, entry.digest());
    shelf.check_names(&["net"]);
}

#[test]
fn a_changed_byte_is_refused() {
    let shelf = Shelf::new();
    let added = shelf.add(&shelf.file("net.safetensors", &weights(-0.5))).unwrap();
    assert!(shelf.models.verify(&[]).unwrap()[0].ok);
    let path = added.path.join("weights.safetensors");
    let mut bytes = fs::read(&path).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    fs::write(&path, &bytes).unwrap();
    let entry = shelf.models.find("net").unwrap();
    assert!(matches!(entry.files(), Err(PipelineError::ModelChanged { .. })));
    let [verified] = shelf.models.verify(&["net".to_owned()]).unwrap().try_into().unwrap();
    assert!(!verified.ok && verified.problem.as_ref().unwrap().contains("SHA-256"), "{verified:?}");
    fs::write(&path, &bytes[..last]).unwrap();
    assert!(shelf.models.list()[0].problem.as_ref().unwrap().contains("bytes"));
    fs::remove_file(&path).unwrap();
    assert!(matches!(entry.files(), Err(PipelineError::ModelChanged { .. })));
    fs::write(added.path.join(CARD), "{}").unwrap();
    assert!(shelf.models.list()[0].problem.as_ref().unwrap().contains("schema"));
    assert!(matches!(shelf.models.verify(&["absent".to_owned()]), Err(PipelineError::UnknownModel { .. })));
}

#[test]
fn what_is_no_model_is_refused_and_leaves_nothing() {
    let shelf = Shelf::new();
    let good = weights(-0.5);
    shelf.check_refused(&shelf.file("text.safetensors", b"these are words, not weights"), "no safetensors");
    shelf.check_refused(&shelf.file("cut.safetensors", &good[..good.len() - 4]), "cut off");
    let renamed = good.windows(8).position(|w| w == b"layers.1").unwrap();
    let mut missing = good.clone();
    missing[renamed + 7] = b'7';
    shelf.check_refused(&shelf.file("missing.safetensors", &missing), "lack the tensor `layers.1.");
    let classes = good.windows(13).position(|w| w == b"\"classes\":\"2\"").unwrap();
    let mut wrong = good.clone();
    wrong[classes + 11] = b'3';
    shelf.check_refused(&shelf.file("shape.safetensors", &wrong), "asks for [3");
    shelf.check_refused(&shelf.file("a b.safetensors", &good), "cannot name a model");
    shelf.check_refused(&shelf.file("x.pth", b"PK\x03\x04 pickled"), "results folder");
    shelf.check_refused(shelf.dir.path().join("absent").to_str().unwrap(), "nothing there");
    let empty = shelf.dir.path().join("empty");
    fs::create_dir(&empty).unwrap();
    shelf.check_refused(empty.to_str().unwrap(), "neither a model.json");
    shelf.file("many/a.safetensors", &good);
    shelf.file("many/b.safetensors", &good);
    shelf.check_refused(shelf.dir.path().join("many").to_str().unwrap(), "several");
}

fn zip(entries: &[(&str, &[u8])]) -> Vec<u8> {
    let mut writer = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for (name, bytes) in entries {
        writer.start_file(*name, zip::write::SimpleFileOptions::default()).unwrap();
        writer.write_all(bytes).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

#[test]
fn a_model_can_be_passed_on_as_a_zip() {
    let from = Shelf::new();
    let added = from.add(&from.file("net.safetensors", &weights(-0.5))).unwrap();
    let [card, bytes] = [CARD, "weights.safetensors"].map(|f| fs::read(added.path.join(f)).unwrap());
    let to = Shelf::new();
    let packed = zip(&[("net/model.json", &card), ("net/weights.safetensors", &bytes)]);
    let again = to.add(&to.file("anything.zip", &packed)).unwrap();
    assert_eq!((again.name, again.sha256), (added.name, added.sha256));
    to.check_names(&["net"]);
    let other = Shelf::new();
    let packed = zip(&[("model.json", &card), ("weights.safetensors", &weights(0.0))]);
    other.check_refused(&other.file("changed.zip", &packed), "not the one its card tells of");
    other.check_refused(&other.file("evil.zip", &zip(&[("../evil.safetensors", &bytes)])), "no file inside");
    let whole = zip(&[("net.safetensors", &bytes)]);
    other.check_refused(&other.file("broken.zip", &whole[..whole.len() / 2]), "cannot be read");
}

#[test]
fn a_card_of_another_network_than_its_weights_is_refused() {
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/hippocampus");
    let card: Value = serde_json::from_slice(&fs::read(shipped.join(CARD)).unwrap()).unwrap();
    let weights = fs::read(shipped.join("weights.safetensors")).unwrap();
    let shelf = Shelf::new();
    let with = |change: &dyn Fn(&mut Value)| {
        let mut card = card.clone();
        change(&mut card);
        let packed = zip(&[("model.json", card.to_string().as_bytes()), ("weights.safetensors", &weights)]);
        shelf.file("hippocampus.zip", &packed)
    };
    let channels =
        |all: Value| move |card: &mut Value| card["network"]["parameters"]["network"]["channels"] = all.clone();
    shelf.check_refused(&with(&channels(json!([16, 32, 64]))), "which the network's description has not");
    shelf.check_refused(&with(&channels(json!([16, 32, 64, 128]))), "asks for");
    shelf.check_refused(&with(&channels(json!([16, 32, 64, 96, 96]))), "lack the tensor");
    shelf.check_refused(&with(&channels(json!([16, 1_000_000, 64, 96]))), "weights; ");
    shelf.check_refused(&with(&|c| c["classes"][1]["value"] = json!(300)), "finds 2 classes");
    shelf.check_refused(&with(&|c| drop(c["classes"].as_array_mut().unwrap().pop())), "finds 2 classes");
    shelf.check_refused(&with(&|c| c["network"]["parameters"]["spacing_mm"] = json!([0, 1, 1])), "`spacing_mm`");
    shelf.add(&with(&|_| ())).unwrap();
    // A folder without a card is seen.
    fs::create_dir(shelf.models.user.as_ref().unwrap().join("empty")).unwrap();
    let listed = shelf.models.list().into_iter().find(|m| m.name == "empty").unwrap();
    assert!(listed.problem.as_ref().unwrap().contains("no model.json"), "{listed:?}");
    assert!(!shelf.models.verify(&["empty".to_owned()]).unwrap()[0].ok);
}

#[test]
fn a_url_needs_the_right_checksum() {
    let shelf = Shelf::new();
    let file = shelf.file("net one.safetensors", &weights(-0.5));
    let file = shelf.file("net.safetensors", &fs::read(file).unwrap());
    let url = format!("file://{}", file.replace("net", "%6eet"));
    shelf.check_refused(&url, "needs --sha256");
    let with = |source: &str, sha256: &str| {
        let request = AddRequest { source: source.to_owned(), sha256: Some(sha256.to_owned()), replace: false };
        shelf.models.add(&request, &|_| {})
    };
    let right = hex(&Sha256::digest(fs::read(&file).unwrap()));
    assert!(matches!(with(&url, "abc"), Err(PipelineError::NoChecksum { .. })));
    assert!(matches!(with(&url, &"0".repeat(64)), Err(PipelineError::ChecksumDiffers { .. })));
    shelf.check_names(&[]);
    assert_eq!(with(&url, &right.to_ascii_uppercase()).unwrap().sha256, right);
}

/// A PyTorch checkpoint around a pickle.
fn checkpoint(pickle: &[u8]) -> Vec<u8> {
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    let stored = zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    zip.start_file("checkpoint_final/data.pkl", stored).unwrap();
    zip.write_all(pickle).unwrap();
    zip.finish().unwrap().into_inner()
}

/// An empty dictionary.
const PICKLE: &[u8] = b"\x80\x02}.";

/// An nnU-Net results folder in small, without weights.
fn results(shelf: &Shelf, folder: &str, labels: &str) {
    results_of(shelf, folder, r#"{"0": "CT"}"#, labels);
}

fn results_of(shelf: &Shelf, folder: &str, channels: &str, labels: &str) {
    let base = format!("{folder}/nnUNetTrainer__nnUNetPlans__3d_fullres");
    let dataset = format!(r#"{{"channel_names": {channels}, "labels": {labels}}}"#);
    shelf.file(&format!("{base}/dataset.json"), dataset.as_bytes());
    shelf.file(&format!("{base}/plans.json"), br#"{"configurations": {"3d_fullres": {"spacing": [3.0, 3.0, 3.0]}}}"#);
    shelf.file(&format!("{base}/fold_0/checkpoint_final.pth"), &checkpoint(PICKLE));
}

#[test]
fn results_folders_of_nnunet_are_kept_with_their_classes() {
    let shelf = Shelf::new();
    results(&shelf, "up/Dataset297_total_3mm", r#"{"background": 0, "spleen": 1, "kidney_right": 2}"#);
    let added = shelf.add(shelf.dir.path().join("up").to_str().unwrap()).unwrap();
    assert_eq!((added.name.as_str(), added.classes), ("Dataset297_total_3mm", 2));
    let card = shelf.models.find(&added.name).unwrap().card;
    assert_eq!(card.segments()[&2].code.as_ref().unwrap().value, "64033007");
    assert_eq!((card.input.modality.as_str(), card.input.spacing_mm[1]), ("CT", 9.0));
    let files: Vec<&str> = card.weights.iter().map(|w| w.file.as_str()).collect();
    assert_eq!(files, ["plans.json", "dataset.json", "fold_0/checkpoint_final.pth"]);
}

#[test]
fn networks_of_others_see_scans_as_they_are_stored() {
    let shelf = Shelf::new();
    results(&shelf, "a/Dataset297_TotalSegmentator_total_3mm", r#"{"background": 0, "spleen": 1}"#);
    results(&shelf, "b/Dataset009_Spleen", r#"{"background": 0, "spleen": 1}"#);
    for (folder, turned) in [("a", true), ("b", false)] {
        let added = shelf.add(shelf.dir.path().join(folder).to_str().unwrap()).unwrap();
        let Network::NnUnet(parts) = shelf.models.find(&added.name).unwrap().card.network else { panic!("no nnU-Net") };
        assert_eq!(parts.canonical, turned, "{folder}");
        assert_eq!(added.notes.iter().any(|n| n.contains("as they are stored")), !turned, "{:?}", added.notes);
    }
    results_of(&shelf, "c/Dataset001_Tumour", r#"{"0": "T1", "1": "FLAIR"}"#, r#"{"background": 0, "tumour": 1}"#);
    let refused = shelf.add(shelf.dir.path().join("c").to_str().unwrap()).unwrap_err().to_string();
    assert!(refused.contains("takes 2 images at once"), "{refused}");
}

#[test]
fn regions_are_called_by_what_is_left_of_them() {
    let shelf = Shelf::new();
    let base = "kidneys/Dataset220_KiTS/nnUNetTrainer__nnUNetPlans__3d_fullres";
    results(&shelf, "kidneys/Dataset220_KiTS", r#"{"background": 0}"#);
    let labels = r#"{"background": 0, "kidney": [1, 2, 3], "masses": [2, 3], "tumor": 2, "ignore": 4}"#;
    let dataset =
        format!(r#"{{"channel_names": {{"0": "CT"}}, "labels": {labels}, "regions_class_order": [1, 3, 2]}}"#);
    shelf.file(&format!("{base}/dataset.json"), dataset.as_bytes());
    let added = shelf.add(shelf.dir.path().join("kidneys").to_str().unwrap()).unwrap();
    let classes: Vec<_> = shelf.models.find(&added.name).unwrap().card.classes;
    let classes: Vec<_> = classes.iter().map(|c| (c.value, c.name.as_str())).collect();
    assert_eq!(classes, [(1, "kidney_without_masses"), (2, "tumor"), (3, "masses_without_tumor")]);
}

#[test]
fn heads_get_models_of_heads() {
    let shelf = Shelf::new();
    results_of(&shelf, "a/Dataset002_Heart", r#"{"0": "MRI"}"#, r#"{"background": 0, "heart": 1}"#);
    shelf.add(shelf.dir.path().join("a").to_str().unwrap()).unwrap();
    let geometry = ImageGeometry::new([200; 3], [1.0; 3], Point::ZERO, glam::DMat3::IDENTITY).unwrap();
    let facts = ScanFacts {
        modality: "MR",
        modality_is_guess: false,
        contrast: Some("T1"),
        body_part: Some("HEAD"),
        geometry: &geometry,
    };
    assert!(shelf.models.best_for("MR", &facts).is_none(), "a heart's network is no default of heads");
    assert!(ExpectedInput::t1_head().is_of_head());
}

#[test]
fn parts_are_joined_by_the_names_of_their_classes() {
    let shelf = Shelf::new();
    results(&shelf, "total/Dataset291_organs", r#"{"background": 0, "spleen": 1, "liver": 2}"#);
    results(&shelf, "total/Dataset292_vertebrae", r#"{"background": 0, "vertebrae_L5": 1}"#);
    let added = shelf.add(shelf.dir.path().join("total").to_str().unwrap()).unwrap();
    assert_eq!((added.name.as_str(), added.classes), ("total", 3));
    let card = shelf.models.find("total").unwrap().card;
    let Network::NnUnet(parts) = &card.network else { panic!("{card:?}") };
    // TotalSegmentator v2: liver is 5, the fifth lumbar vertebra 27.
    assert_eq!(parts.parts[0].classes, BTreeMap::from([(1, 1), (2, 5)]));
    assert_eq!(parts.parts[1].classes, BTreeMap::from([(1, 27)]));
    assert_eq!(parts.parts[1].folder, "part_2");
}

#[test]
fn networks_that_find_the_same_are_no_parts_of_one() {
    let shelf = Shelf::new();
    results(&shelf, "all/Dataset291_organs", r#"{"background": 0, "spleen": 1, "liver": 2}"#);
    results(&shelf, "all/Dataset297_total_3mm", r#"{"background": 0, "kidney_left": 1, "liver": 2}"#);
    let refused = shelf.add(shelf.dir.path().join("all").to_str().unwrap()).unwrap_err().to_string();
    for word in ["Dataset291_organs", "Dataset297_total_3mm", "`liver`", "no parts of one model"] {
        assert!(refused.contains(word), "{refused}");
    }
    shelf.check_names(&[]);
}

#[test]
fn a_checkpoint_that_calls_is_refused_when_it_is_added() {
    let shelf = Shelf::new();
    for (bytes, word) in [
        // os.system("true")
        (checkpoint(b"\x80\x02cos\nsystem\n(U\x04truetR."), "system"),
        (b"garbage".to_vec(), "no zip archive"),
    ] {
        results(&shelf, "up/Dataset009_Spleen", r#"{"background": 0, "spleen": 1}"#);
        let place = "up/Dataset009_Spleen/nnUNetTrainer__nnUNetPlans__3d_fullres/fold_0/checkpoint_final.pth";
        shelf.file(place, &bytes);
        let mut refused: &dyn std::error::Error =
            &shelf.add(shelf.dir.path().join("up").to_str().unwrap()).unwrap_err();
        let mut said = refused.to_string();
        while let Some(cause) = refused.source() {
            refused = cause;
            said += &refused.to_string();
        }
        assert!(said.contains(word), "{said}");
        shelf.check_names(&[]);
    }
}

#[test]
fn the_users_model_hides_the_one_beside_the_program() {
    let (user, home) = (Shelf::new(), Shelf::new());
    user.add(&user.file("net.safetensors", &weights(-0.5))).unwrap();
    home.add(&home.file("net.safetensors", &weights(-0.4))).unwrap();
    home.add(&home.file("other.safetensors", &weights(-0.4))).unwrap();
    let both = Models { user: user.models.user.clone(), home: home.models.user.clone(), embedded: &[] };
    let listed: Vec<_> = both.list().into_iter().map(|m| (m.name, m.place)).collect();
    assert_eq!(listed, [("net".to_owned(), "user"), ("other".to_owned(), "home")]);
}
