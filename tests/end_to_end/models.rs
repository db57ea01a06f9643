//! Trained models: added, listed, verified, and asked to find structures in real scans.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::support::{data, json, refusal, run, text, vestibule};

/// A user with a data folder and a cache of their own.
struct User {
    dir: tempfile::TempDir,
}

impl User {
    fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn vestibule(&self) -> Command {
        let mut command = vestibule();
        command.env("XDG_DATA_HOME", self.path("data")).env("XDG_CACHE_HOME", self.path("cache"));
        command
    }

    fn add(&self, model: &Path) -> Value {
        json(self.vestibule().args(["models", "add", "--json"]).arg(model))
    }
}

fn real(model: &str) -> Option<PathBuf> {
    data("meshnet").map(|folder| folder.join(format!("{model}.safetensors")))
}

/// A copy of real slices that no SEG lies beside.
fn head() -> Option<PathBuf> {
    data("mr-head-t1")
}

#[test]
fn a_model_is_added_listed_and_verified() {
    let Some(weights) = real("model18cls") else { return };
    let user = User::new();
    let list = || json(user.vestibule().args(["models", "list", "--json"]))["models"].as_array().unwrap().clone();
    assert!(list().iter().all(|m| m["place"] == "embedded"));
    let added = user.add(&weights);
    assert_eq!((added["name"].as_str(), added["classes"].as_u64()), (Some("model18cls"), Some(17)), "{added}");
    let listed = list().into_iter().find(|m| m["name"] == "model18cls").unwrap();
    assert_eq!((&listed["problem"], &listed["licence"]), (&Value::Null, &Value::from("MIT")), "{listed}");
    assert!(run(user.vestibule().args(["models", "verify"])).status.success());
    let said = refusal(user.vestibule().args(["models", "add"]).arg(&weights));
    assert!(said.contains("--replace"), "{said}");

    // A changed byte: verify says so with code 1, and nothing runs on it.
    let file = PathBuf::from(added["path"].as_str().unwrap()).join("weights.safetensors");
    let mut bytes = fs::read(&file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 4;
    fs::write(&file, bytes).unwrap();
    let output = run(user.vestibule().args(["models", "verify", "--json"]));
    assert_eq!(output.status.code(), Some(1));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let verified =
        |name: &str| report["models"].as_array().unwrap().iter().find(|m| m["name"] == name).unwrap()["ok"].clone();
    assert_eq!((verified("model18cls"), verified("hippocampus")), (false.into(), true.into()), "{report}");
    if let Some(scan) = head() {
        let out = user.path("labels.nii.gz");
        let said = refusal(user.vestibule().args(["segment", "--model", "model18cls", "--out"]).arg(&out).arg(scan));
        assert!(said.contains("SHA-256") && said.contains("--replace"), "{said}");
        assert!(!out.exists());
    }
}

#[test]
fn what_is_no_model_is_refused() {
    let user = User::new();
    let text_file = user.path("letter.safetensors");
    fs::write(&text_file, "Dear colleague, please find attached the weights.").unwrap();
    let said = refusal(user.vestibule().args(["models", "add"]).arg(&text_file));
    assert!(said.contains("no safetensors weights"), "{said}");
    let said = refusal(user.vestibule().args(["models", "add", "https://example.org/model.zip"]));
    assert!(said.contains("--sha256"), "{said}");
    let said = refusal(user.vestibule().args(["models", "verify", "absent"]));
    assert!(said.contains("no model `absent`"), "{said}");
    assert_eq!(run(user.vestibule().args(["models", "frobnicate"])).status.code(), Some(2));
    assert_eq!(run(user.vestibule().args(["segment", "scan"])).status.code(), Some(2));
    let models = user.path("data/vestibule/models");
    let left = fs::read_dir(models).into_iter().flatten().count();
    assert_eq!(left, 0, "something was left behind");
}

#[test]
fn a_brain_needs_no_model_but_the_one_inside() {
    let Some(scan) = head() else { return };
    let user = User::new();
    let out = user.path("case");
    let said = refusal(user.vestibule().args(["build", "--model", "absent", "--out"]).arg(&out).arg(&scan));
    assert!(said.contains("no model `absent`"), "{said}");
    assert!(!out.exists());
    let inspection = json(user.vestibule().args(["inspect", "--json"]).arg(&scan));
    let first = &inspection["series"][0]["recipes"][0];
    assert_eq!((&first["name"], &first["model"]), (&"mr-brain".into(), &"brain".into()), "{inspection}");
    let built = json(user.vestibule().args(["build", "--json", "--out"]).arg(&out).arg(&scan));
    let notes = built["notes"].to_string();
    assert!(notes.contains("`brain`") && notes.contains("comes with this program"), "{notes}");
    // Against what a larger network found; no smaller part of the head may pass for brain.
    for (name, expected) in REFERENCE.iter().filter(|(_, mm3)| *mm3 > 15_000.0) {
        let structure = built["segments"].as_array().unwrap().iter().find(|s| s["name"] == *name).unwrap();
        let mm3 = 1000.0 * structure["volume_ml"].as_f64().unwrap();
        assert!((mm3 / expected - 1.0).abs() < 0.25, "{name}: {mm3:.0} mm³, {expected:.0} by the larger network");
    }
}

/// What a straight run of the reference gives, in mm³ at 1 mm.
const REFERENCE: [(&str, f64); 10] = [
    ("cerebral_white_matter", 586_163.0),
    ("cerebral_cortex", 603_897.0),
    ("lateral_ventricle", 29_125.0),
    ("cerebellum_cortex", 126_058.0),
    ("thalamus", 18_418.0),
    ("caudate", 8_579.0),
    ("putamen", 12_245.0),
    ("brainstem", 22_989.0),
    ("hippocampus", 8_189.0),
    ("amygdala", 3_735.0),
];

#[test]
fn a_head_is_segmented_evaluated_and_built() {
    let (Some(scan), Some(weights)) = (head(), real("model18cls")) else { return };
    let user = User::new();
    user.add(&weights);
    let inspection = json(user.vestibule().args(["inspect", "--json"]).arg(&scan));
    let first = &inspection["series"][0]["recipes"][0];
    assert_eq!(
        (&first["name"], &first["model"], &first["default"]),
        (&"mr-brain".into(), &"model18cls".into(), &true.into())
    );
    assert!(first["expected_s"].as_f64().unwrap() > 1.0, "{first}");

    let out = user.path("labels.nii.gz");
    let found =
        json(user.vestibule().args(["segment", "--json", "--model", "model18cls", "--out"]).arg(&out).arg(&scan));
    println!("17 structures of a head in {} s", found["total_s"]);
    for (name, expected) in REFERENCE {
        let structure = found["structures"].as_array().unwrap().iter().find(|s| s["name"] == name).unwrap();
        for (grid, tolerance) in [("network_mm3", 0.03), ("volume_mm3", 0.05)] {
            let mm3 = structure[grid].as_f64().unwrap();
            assert!((mm3 / expected - 1.0).abs() <= tolerance, "{name}: {grid} {mm3:.0}, reference {expected:.0}");
        }
    }
    let names: Value = serde_json::from_slice(&fs::read(user.path("labels.json")).unwrap()).unwrap();
    assert_eq!(names["labels"]["14"]["name"], "hippocampus");
    assert_eq!(names["labels"]["14"]["code"]["value"], "5366008");
    assert_eq!(names["model"]["name"], "model18cls");

    let report = json(user.vestibule().args(["evaluate", "--json"]).arg(&out).arg(&out));
    assert_eq!((&report["mean_dice"], &report["matched_by"]), (&1.0.into(), &"names".into()));
    assert_eq!(report["structures"].as_array().unwrap().len(), 17);

    // The labels are there already; the case says who drew them.
    let case = user.path("case");
    let built = json(user.vestibule().args(["build", "--json", "--out"]).arg(&case).arg(&scan));
    assert_eq!((&built["recipe"], &built["cached"]), (&"mr-brain".into(), &true.into()), "{built}");
    let manifest: Value = serde_json::from_slice(&fs::read(case.join("case.json")).unwrap()).unwrap();
    let model = &manifest["provenance"]["models"][0];
    assert_eq!((&model["name"], &model["sha256"]), (&"model18cls".into(), &found["model"]["sha256"]));
    let segments = manifest["segments"].as_array().unwrap();
    let head = segments.iter().find(|s| s["name"] == "head").unwrap();
    assert_eq!((segments.len(), head["parts"].as_array().unwrap().len()), (18, 17));
    let html = fs::read_to_string(case.join("report.html")).unwrap();
    assert!(html.contains("model18cls") && html.contains(found["model"]["sha256"].as_str().unwrap()));
}

#[test]
fn left_is_left() {
    let (Some(scan), Some(weights)) = (head(), real("model21_104class")) else { return };
    let user = User::new();
    user.add(&weights);
    let out = user.path("labels.nii");
    let found =
        json(user.vestibule().args(["segment", "--json", "--model", "model21_104class", "--out"]).arg(&out).arg(&scan));
    let labels = volume::formats::read_labels(&out).unwrap();
    let centre = |name: &str| {
        let label =
            found["structures"].as_array().unwrap().iter().find(|s| s["name"] == name).unwrap()["label"].as_u64();
        let [ni, nj, nk] = labels.geometry().size();
        let (mut sum, mut count) = (0.0, 0.0);
        for (k, j, i) in (0..nk).flat_map(|k| (0..nj).flat_map(move |j| (0..ni).map(move |i| (k, j, i)))) {
            if labels.voxels.get(i, j, k).map(|&l| u64::from(l)) == label {
                let p = labels.geometry().lps_from_index() * space::Point::from_array([i, j, k].map(|v| v as f64));
                (sum, count) = (sum + p.get().x, count + 1.0);
            }
        }
        sum / count
    };
    for structure in ["hippocampus", "caudate", "cerebral_white_matter", "cortex_precentral"] {
        let [left, right] = ["left", "right"].map(|side| centre(&format!("{structure}_{side}")));
        assert!(left > right + 15.0, "{structure}: left at {left:.0} mm, right at {right:.0} mm");
    }
}

#[test]
fn scans_outside_the_card_are_refused_with_the_reason() {
    let (Some(weights), Some(chest)) = (real("model5_gw_ae"), data("ct-chest")) else { return };
    let user = User::new();
    user.add(&weights);
    let out = user.path("labels.nii.gz");
    let segment = |scan: &Path| {
        refusal(user.vestibule().args(["segment", "--model", "model5_gw_ae", "--out"]).arg(&out).arg(scan))
    };
    let said = segment(&chest);
    assert!(said.contains("trained on MR") && said.contains("CT"), "{said}");
    if let Some(crops) = data("hippocampus") {
        let first = walk(&crops).into_iter().find(|p| p.to_string_lossy().ends_with(".nii.gz")).unwrap();
        let said = segment(&first);
        assert!(said.contains("field of view"), "{said}");
    }
    let said = refusal(
        user.vestibule().args(["build", "--model", "model5_gw_ae", "--out"]).arg(user.path("case")).arg(&chest),
    );
    assert!(said.contains("needs an MR"), "{said}");
    assert!(!out.exists() && !user.path("case").exists());
}

#[test]
fn results_take_nobodys_place() {
    let Some(crops) = data("hippocampus") else { return };
    let user = User::new();
    let crop = walk(&crops.join("images")).into_iter().next().unwrap();
    let scan = user.path("sub-01_T1w.nii.gz");
    fs::copy(crop, &scan).unwrap();
    let before = fs::read(&scan).unwrap();
    let segment = |out: &str, more: &[&str]| {
        let mut command = user.vestibule();
        command.args(["segment", "--model", "hippocampus", "--out"]).arg(user.path(out)).arg(&scan).args(more);
        command
    };
    for mut command in [segment("sub-01_T1w.nii.gz", &[]), segment("./sub-01_T1w.nii.gz", &[])] {
        let said = refusal(&mut command);
        assert!(said.contains("name another"), "{said}");
    }
    let both = user.path("labels.nii.gz");
    refusal(&mut segment("labels.nii.gz", &["--confidence", both.to_str().unwrap()]));
    fs::write(user.path("sub-01_T1w.json"), r#"{"RepetitionTime": 2.3}"#).unwrap();
    let said = refusal(&mut segment("sub-01_T1w.nrrd", &[]));
    assert!(said.contains("sub-01_T1w.json"), "{said}");
    let said = refusal(user.vestibule().args(["upsample", "--spacing", "0.5", "--out"]).arg(&scan).arg(&scan));
    assert!(said.contains("name another"), "{said}");
    assert!(fs::read(&scan).unwrap() == before && fs::read_dir(user.path("")).unwrap().count() == 2);
    // Its own names of before are no obstacle.
    for _ in 0..2 {
        assert!(run(&mut segment("labels.nii.gz", &[])).status.success());
    }
    #[cfg(target_os = "linux")]
    {
        let full = fs::File::options().write(true).open("/dev/full").unwrap();
        let output = segment("labels.nii.gz", &["--json"]).stdout(full).output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        assert!(text(&output.stderr).contains("standard output"), "{}", text(&output.stderr));
    }
}

fn walk(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(walk(&path)) } else { found.push(path) }
    }
    found.sort();
    found
}

/// The embedded patient in slices of 10 mm.
fn thick_slices(user: &User) -> PathBuf {
    let scan = user.path("scan");
    json(vestibule().args(["phantom", "--json", "--spacing", "5", "10", "--out"]).arg(&scan));
    scan
}

#[test]
fn slices_become_thin_and_say_so() {
    let user = User::new();
    let scan = thick_slices(&user);
    let (folder, out) = (user.path("out"), user.path("out/fine.nii.gz"));
    fs::create_dir(&folder).unwrap();
    let made = json(user.vestibule().args(["upsample", "--json", "--spacing", "5", "--out"]).arg(&out).arg(&scan));
    assert_eq!((&made["model"]["name"], &made["fine_tune_steps"]), (&"through-plane".into(), &0.into()), "{made}");
    let mask_path = folder.join("fine.inferred.nii.gz");
    let (fine, mask) = (volume::formats::read_scan(&out).unwrap(), volume::formats::read_labels(&mask_path).unwrap());
    assert!(fine.geometry().is_same_grid(mask.geometry(), 1e-3));
    assert!(mask.voxels.data().iter().all(|&m| m == 1));
    assert!((fine.geometry().max_spacing_mm() - 5.0).abs() < 1e-3);
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 2, "the scan and its mask, nothing else");

    // Words for people; what was made before is the same, and is not made again.
    let upsample = |more: &[&str]| {
        let mut command = user.vestibule();
        command.args(["upsample", "--out"]).arg(&out).arg(&scan).args(more);
        command
    };
    let files = || [&out, &mask_path].map(|path| fs::read(path).unwrap());
    let (before, again) = (files(), run(&mut upsample(&["--spacing", "5"])));
    let said = text(&again.stdout);
    assert!(said.contains("100.0 % of voxels are inferred") && said.contains("from the cache"), "{said}");
    assert!(!text(&again.stderr).contains("upsample: "), "{}", text(&again.stderr));
    assert!(files() == before);
    let anew = run(&mut upsample(&["--spacing", "5", "--no-cache"]));
    assert!(text(&anew.stderr).contains("upsample: "), "{}", text(&anew.stderr));
    assert!(files() == before);
    let other = json(&mut upsample(&["--spacing", "5", "--flips", "--json"]));
    assert_eq!(other["cached"], false, "{other}");

    // Refusals.
    let said = refusal(&mut upsample(&["--spacing", "5", "--model", "hippocampus"]));
    assert!(said.contains("finds structures"), "{said}");
    let said = refusal(&mut upsample(&["--spacing", "10"]));
    assert!(said.contains("10.00 mm apart"), "{said}");
    for wrong in [&[][..], &["--spacing", "0"], &["--spacing", "thin"]] {
        assert_eq!(run(&mut upsample(wrong)).status.code(), Some(2), "{wrong:?}");
    }
    let said = refusal(
        user.vestibule().args(["segment", "--model", "through-plane", "--out"]).arg(user.path("l.nii")).arg(&scan),
    );
    assert!(said.contains("makes slices thinner"), "{said}");

    let case = user.path("case");
    let build = |out: &Path| {
        json(user.vestibule().args(["build", "--json", "--recipe", "ct-fine", "--out"]).arg(out).arg(&scan))
    };
    let (built, again) = (build(&case), build(&user.path("again")));
    // Neither the slices nor the structures in them are made a second time.
    assert_eq!((&built["cached"], &again["cached"]), (&false.into(), &true.into()));
    let has_upsampled = |built: &Value| built["stages"].to_string().contains("upsample");
    assert!(has_upsampled(&built) && !has_upsampled(&again), "{again}");
    let file = |case: &Path, name: &str| fs::read(case.join(name)).unwrap();
    for name in ["labels.nii.gz", "inferred.nii.gz"] {
        assert!(file(&case, name) == file(&user.path("again"), name), "{name}");
    }
    assert_eq!(
        (&built["recipe"], &built["models"][0]["name"]),
        (&"ct-fine".into(), &"through-plane".into()),
        "{built}"
    );
    assert!(case.join("inferred.nii.gz").is_file());
}

#[cfg(unix)]
#[test]
fn an_interrupt_leaves_nothing_half_written() {
    use std::io::{BufRead, BufReader};
    use std::process::Stdio;
    let user = User::new();
    let scan = thick_slices(&user);
    let (folder, out) = (user.path("out"), user.path("out/fine.nii.gz"));
    fs::create_dir(&folder).unwrap();
    let mut command = user.vestibule();
    command.args(["upsample", "--spacing", "5", "--fine-tune", "100000", "--out"]).arg(&out).arg(&scan);
    let mut program = interruptible(&command).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(program.stderr.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap().contains("fine-tune: ")), "it ended before it was interrupted");
    interrupt(program);
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 0, "something was left behind");
}

/// In the midst of a file that is being fetched.
#[cfg(unix)]
#[test]
fn an_interrupt_removes_what_was_begun() {
    use std::io::{Read, Write};
    use std::process::Stdio;
    let user = User::new();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/model.safetensors", listener.local_addr().unwrap());
    let mut command = user.vestibule();
    command.args(["models", "add", &url, "--sha256", &"0".repeat(64)]);
    let program = interruptible(&command).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let (mut stream, _) = listener.accept().unwrap();
    assert!(stream.read(&mut [0; 4096]).unwrap() > 0);
    stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 9000000\r\n\r\n").unwrap();
    stream.write_all(&vec![0; 2_000_000]).unwrap();
    let models = user.path("data/vestibule/models");
    let begun = || fs::read_dir(&models).into_iter().flatten().count();
    while begun() == 0 {
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    interrupt(program);
    assert_eq!(begun(), 0, "something was left behind");
}

/// In the midst of the patient that a demo begins with.
#[cfg(unix)]
#[test]
fn an_interrupted_demo_leaves_no_part_of_a_patient() {
    use std::process::Stdio;
    let user = User::new();
    let mut command = user.vestibule();
    command.args(["demo", "--display", "offscreen", "--out"]).arg(user.path("demo"));
    let program = interruptible(&command).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let series = user.path("demo/dicom");
    while fs::read_dir(&series).map_or(0, Iterator::count) < 2 {
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
    interrupt(program);
    assert!(!series.exists(), "something was left behind");
}

/// Whoever starts the tests may have had interrupts ignored, as shells do for what runs in the background.
#[cfg(unix)]
fn interruptible(command: &Command) -> Command {
    let mut fresh = Command::new("env");
    fresh.arg("--default-signal=INT").arg(command.get_program()).args(command.get_args());
    fresh.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    fresh
}

#[cfg(unix)]
fn interrupt(mut program: std::process::Child) {
    let killed = Command::new("kill").args(["-INT", &program.id().to_string()]).status().unwrap();
    assert!(killed.success());
    assert_eq!(program.wait().unwrap().code(), Some(130));
}

#[test]
fn label_maps_on_other_grids_are_not_compared() {
    let (Some(truth), Some(other)) =
        (data("ct-abdomen/example_ct_seg_v1_104.nii.gz"), data("torso-labels/s0327_labels.nii.gz"))
    else {
        return;
    };
    let same = run(vestibule().arg("evaluate").arg(&truth).arg(&truth));
    assert!(same.status.success() && text(&same.stdout).contains("liver"), "{}", text(&same.stdout));
    let said = refusal(vestibule().arg("evaluate").arg(&truth).arg(&other));
    assert!(said.contains("one grid"), "{said}");
}
