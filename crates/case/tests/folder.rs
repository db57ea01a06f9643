//! Whole cases of small phantoms: written, read, replaced, damaged.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "tests may fail loudly and say what they measured")]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use case::{
    Case, CaseContents, CaseError, FindingEntry, FindingKind, Manifest, Provenance, RecipeRef, SCHEMA, Trust,
    write_case,
};
use glam::DMat3;
use space::{Point, scene_from_lps};
use surface::{SegmentSurface, SurfaceOptions, surfaces_of_labels};
use volume::terminology;
use volume::{ImageGeometry, LabelMap, ScanVolume, Volume};

const FILES: [&str; 7] =
    ["anatomy.glb", "case.json", "confidence.nii.gz", "inferred.nii.gz", "labels.nii.gz", "report.html", "scan.nii.gz"];

struct Phantom {
    scan: ScanVolume,
    labels: LabelMap,
    surfaces: Vec<SegmentSurface>,
    confidence: Volume<u8>,
    inferred: Volume<u8>,
}

/// An oblique grid with a liver, a lesion in it, and a segment without voxels.
fn phantom() -> Phantom {
    let direction = DMat3::from_rotation_z(0.2) * DMat3::from_rotation_x(0.1);
    let geometry =
        ImageGeometry::new([40, 36, 20], [1.0, 1.1, 2.5], Point::new(-20.0, -30.0, 900.0), direction).unwrap();
    let distance = |[i, j, k]: [usize; 3], c: [f64; 3]| {
        let d = [(i as f64 - c[0]), (j as f64 - c[1]) * 1.1, (k as f64 - c[2]) * 2.5];
        d.iter().map(|x| x * x).sum::<f64>().sqrt()
    };
    let voxels = Volume::from_fn(geometry, |at| match () {
        () if distance(at, [22.0, 18.0, 10.0]) < 5.0 => 2,
        () if distance(at, [18.0, 18.0, 10.0]) < 14.0 => 1,
        () => 0,
    });
    let mut segments: BTreeMap<_, _> = [(1, "liver"), (2, "liver_lesion"), (3, "spleen")]
        .map(|(label, name)| (label, terminology::segment(label, name)))
        .into();
    segments.get_mut(&1).unwrap().parts = vec![2];
    let scan = ScanVolume::I16(voxels.map(|&l| if l == 0 { -900 } else { 40 + 20 * l as i16 }));
    let labels = LabelMap { voxels, segments };
    let surfaces = surfaces_of_labels(&labels, &SurfaceOptions::default(), &|_| {}).unwrap();
    // Sure of the lesion at 93 %, of the rest wholly; the upper half of the slices is made up.
    let confidence = labels.voxels.map(|&l| if l == 2 { 93 } else { 100 });
    let inferred = Volume::from_fn(geometry, |[_, _, k]| u8::from(k >= 10));
    Phantom { scan, labels, surfaces, confidence, inferred }
}

fn contents(phantom: &Phantom) -> CaseContents<'_> {
    let mut provenance = Provenance::new("Phantom of two balls");
    let finding = |kind, text: &str| FindingEntry { kind, text: text.to_owned() };
    provenance.findings = vec![
        finding(FindingKind::Dropped, "1 localizer, from /mnt/doe/JOHN_DOE/1.dcm"),
        finding(FindingKind::Warning, "<script>alert('x')</script>"),
    ];
    CaseContents {
        scan: &phantom.scan,
        labels: &phantom.labels,
        surfaces: &phantom.surfaces,
        modality: "CT".to_owned(),
        recipe: RecipeRef::new("labels", "1"),
        alias: Some("Tonight <b>".to_owned()),
        provenance,
        windows: Vec::new(),
        trust: Trust { confidence: Some(&phantom.confidence), inferred: Some(&phantom.inferred) },
    }
}

fn write(target: &Path) -> Case {
    write_case(target, &contents(&phantom()), &|_| {}).unwrap()
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> =
        fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn a_case_comes_back_as_it_was_written() {
    let folder = tempfile::tempdir().unwrap();
    let target = folder.path().join("case");
    let phantom = phantom();
    let written = write_case(&target, &contents(&phantom), &|_| {}).unwrap();
    assert_eq!(names(&target), FILES);

    let case = Case::open(&target).unwrap();
    assert_eq!(case.manifest, written.manifest);
    assert_eq!(case.checksum(), written.checksum());
    case.verify().unwrap();
    assert_eq!(case.scan().unwrap(), phantom.scan);
    let labels = case.labels().unwrap();
    assert_eq!(labels.voxels, phantom.labels.voxels);
    assert_eq!(labels.segments.get(&1), phantom.labels.segments.get(&1));

    let manifest = &case.manifest;
    assert_eq!(manifest.schema, SCHEMA);
    assert_eq!(manifest.segments.len(), 2, "a name without voxels is no structure");
    let [liver, lesion] = [&manifest.segments[0], &manifest.segments[1]];
    assert_eq!((liver.name.as_str(), liver.parts.as_slice()), ("liver", [2].as_slice()));
    assert_eq!(liver.group, terminology::Group::Liver);
    assert!(liver.volume_ml > lesion.volume_ml && lesion.volume_ml > 0.0);
    assert_eq!(lesion.confidence, Some(0.93));
    let inferred = |label: &dyn Fn(u16) -> bool| {
        let voxels = phantom.labels.voxels.data().iter().zip(phantom.inferred.data()).filter(|(l, _)| label(**l));
        let (made_up, all) = voxels.fold((0, 0), |(m, n), (_, &i)| (m + u32::from(i), n + 1));
        f64::from(made_up) * 100.0 / f64::from(all)
    };
    assert!((lesion.inferred_percent - inferred(&|l| l == 2)).abs() < 1e-4, "{}", lesion.inferred_percent);
    assert!((liver.inferred_percent - inferred(&|l| l == 1 || l == 2)).abs() < 1e-4, "with its parts");
    assert!(liver.confidence.is_some_and(|c| c > 0.93 && c < 1.0), "{:?}", liver.confidence);
    assert_eq!(case.confidence().unwrap().unwrap(), phantom.confidence);
    assert_eq!(case.inferred().unwrap().unwrap(), phantom.inferred);
    assert!(liver.surface.closed && liver.surface.hausdorff_mm.is_some());

    let meshes = case.meshes().unwrap();
    assert_eq!(meshes.len(), 2);
    for (segment, mesh) in manifest.segments.iter().zip(&meshes) {
        assert_eq!((segment.label, &segment.name), (mesh.label, &mesh.name));
        let counts: Vec<_> = mesh.lods.iter().map(|m| m.triangles.len()).collect();
        assert_eq!(counts, segment.surface.lods.iter().map(|l| l.triangles).collect::<Vec<_>>());
    }
    // The liver's surface lies where its voxels lie, in the scene.
    let center = scene_from_lps() * (phantom.labels.geometry().lps_from_index() * Point::new(18.0, 18.0, 10.0));
    for position in &meshes[0].lods[0].positions {
        let mm = center.distance(Point::from_array(position.map(f64::from))) * 1000.0;
        assert!((10.0..18.0).contains(&mm), "{mm} mm from the middle of a ball of 14 mm");
    }
}

#[test]
fn the_same_contents_give_the_same_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let (a, b) = (folder.path().join("a"), folder.path().join("b"));
    assert_eq!(write(&a).checksum(), write(&b).checksum());
    for file in FILES {
        assert!(fs::read(a.join(file)).unwrap() == fs::read(b.join(file)).unwrap(), "{file} differs");
    }
}

#[test]
fn a_changed_byte_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let target = folder.path().join("case");
    let case = write(&target);
    for file in FILES {
        let path = target.join(file);
        let good = fs::read(&path).unwrap();
        let mut bad = good.clone();
        // Inside a word, so that case.json stays readable.
        let at =
            if file == "case.json" { good.windows(7).position(|w| w == b"Tonight").unwrap() } else { good.len() / 2 };
        bad[at] ^= 1;
        fs::write(&path, bad).unwrap();
        match case.verify() {
            Err(CaseError::Checksum { file: found, .. }) => assert_eq!(found, file),
            other => panic!("{file}: {other:?}"),
        }
        fs::write(&path, good).unwrap();
        case.verify().unwrap();
    }
    fs::remove_file(target.join("anatomy.glb")).unwrap();
    assert!(matches!(case.verify(), Err(CaseError::MissingFile { file }) if file == "anatomy.glb"));
}

#[test]
fn a_rebuild_keeps_marks_and_sessions_and_a_failure_keeps_the_case() {
    let folder = tempfile::tempdir().unwrap();
    let target = folder.path().join("case");
    let first = write(&target);
    fs::create_dir(target.join("marks")).unwrap();
    fs::write(target.join("marks/target.json"), "{}").unwrap();
    first.verify().unwrap();

    let phantom = phantom();
    let mut other = contents(&phantom);
    other.alias = Some("Tomorrow".to_owned());
    let second = write_case(&target, &other, &|_| {}).unwrap();
    assert_ne!(first.checksum(), second.checksum());
    assert_eq!(fs::read_to_string(target.join("marks/target.json")).unwrap(), "{}");

    let mut broken = phantom.surfaces.clone();
    broken[0].lods[0].mesh.triangles[0] = [u32::MAX; 3];
    let failing = CaseContents { surfaces: &broken, ..other };
    assert!(matches!(write_case(&target, &failing, &|_| {}), Err(CaseError::Glb(_))));
    let kept = Case::open(&target).unwrap();
    assert_eq!(kept.checksum(), second.checksum());
    kept.verify().unwrap();
    assert_eq!(names(folder.path()), ["case"], "nothing is left beside the case");
}

#[test]
fn what_cannot_be_a_case_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let phantom = phantom();
    let target = folder.path().join("case");
    let long = "x".repeat(65);
    for alias in ["", "  ", "a\nb", long.as_str()] {
        let contents = CaseContents { alias: Some(alias.to_owned()), ..contents(&phantom) };
        assert!(matches!(write_case(&target, &contents, &|_| {}), Err(CaseError::Alias { .. })), "`{alias}`");
    }
    let elsewhere = phantom.scan.geometry().cropped([1, 0, 0], [40, 36, 20]).unwrap();
    let moved = ScanVolume::F32(Volume::filled(elsewhere, 0.0));
    let contents = CaseContents { scan: &moved, ..contents(&phantom) };
    assert!(matches!(write_case(&target, &contents, &|_| {}), Err(CaseError::GridsDiffer)));
    assert!(names(folder.path()).is_empty());
}

#[test]
fn hostile_manifests_are_errors() {
    let folder = tempfile::tempdir().unwrap();
    let target = folder.path().join("case");
    write(&target);
    let path = target.join("case.json");
    let good: serde_json::Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    let hostile: &[(&str, serde_json::Value)] = &[
        ("/schema", "vestibule.case/2".into()),
        ("/schema", 1.into()),
        ("/geometry/size/0", 0.into()),
        ("/geometry/size/0", u64::MAX.into()),
        ("/geometry/size/0", (-3).into()),
        ("/geometry/spacing_mm/1", 0.0.into()),
        ("/geometry/direction", serde_json::json!([0, 0, 0, 0, 0, 0, 0, 0, 0])),
        ("/geometry/direction", serde_json::json!([1, 0, 0])),
        ("/segments/0/label", 0.into()),
        ("/segments/0/label", 70_000.into()),
        ("/segments/1/label", 1.into()),
        ("/segments/1/name", "liver".into()),
        ("/segments/0/surface", serde_json::Value::Null),
        ("/checksums/files", serde_json::json!({"../../etc/passwd": "00"})),
        ("/segments", serde_json::json!({})),
    ];
    for (pointer, value) in hostile {
        let mut bad = good.clone();
        *bad.pointer_mut(pointer).unwrap() = value.clone();
        fs::write(&path, bad.to_string()).unwrap();
        assert!(Case::open(&target).is_err(), "{pointer} = {value}");
    }
    for text in ["", "{", "[]", "null", "{\"schema\": \"vestibule.case/1\"}", &"[".repeat(100_000)] {
        fs::write(&path, text).unwrap();
        assert!(Case::open(&target).is_err(), "{}", &text[..text.len().min(40)]);
    }
    fs::write(&path, [0xff, 0xfe]).unwrap();
    assert!(matches!(Case::open(&target), Err(CaseError::Manifest { .. })));
    fs::remove_file(&path).unwrap();
    assert!(matches!(Case::open(&target), Err(CaseError::NotACase { .. })));
    assert!(matches!(Case::open(&folder.path().join("nowhere")), Err(CaseError::NotACase { .. })));
}

#[test]
fn files_of_another_case_are_noticed() {
    let folder = tempfile::tempdir().unwrap();
    let target = folder.path().join("case");
    write(&target);
    let mut manifest: Manifest = serde_json::from_slice(&fs::read(target.join("case.json")).unwrap()).unwrap();
    manifest.geometry.origin_mm[0] += 5.0;
    manifest.segments[0].name = "spleen".to_owned();
    fs::write(target.join("case.json"), serde_json::to_vec(&manifest).unwrap()).unwrap();
    let case = Case::open(&target).unwrap();
    assert!(matches!(case.scan(), Err(CaseError::Grid { file: "scan.nii.gz" })));
    assert!(matches!(case.labels(), Err(CaseError::Grid { file: "labels.nii.gz" })));
    assert!(matches!(case.meshes(), Err(CaseError::Manifest { .. })));
}

#[test]
fn the_report_is_whole_and_safe() {
    let folder = tempfile::tempdir().unwrap();
    let target = folder.path().join("case");
    write(&target);
    let html = fs::read_to_string(target.join("report.html")).unwrap();
    assert!(html.contains("Tonight &lt;b&gt;") && !html.contains("Tonight <b>"));
    assert!(!html.contains("<script"), "a finding became markup");
    assert!(!html.contains("http:") && !html.contains("https:") && !html.contains("url("), "the page asks the network");
    assert!(html.contains("Not a medical device"));
    assert_eq!(html.matches("data:image/png;base64,").count(), 3 + 2 + 1 + 1, "views, axial, coronal, sagittal");
    for text in ["Liver", "SNOMED", "LOD 3", "0.93", "Inferred<br>%", "dropped"] {
        assert!(html.contains(text), "{text}");
    }
    let json = fs::read_to_string(target.join("case.json")).unwrap();
    for private in ["JOHN_DOE", "/home", folder.path().to_str().unwrap()] {
        assert!(!html.contains(private) && !json.contains(private), "{private}");
    }
}

#[test]
fn progress_ends_at_one() {
    let folder = tempfile::tempdir().unwrap();
    let heard = std::sync::Mutex::new(Vec::new());
    write_case(&folder.path().join("case"), &contents(&phantom()), &|share| heard.lock().unwrap().push(share)).unwrap();
    let heard = heard.into_inner().unwrap();
    assert!(heard.is_sorted() && heard.last() == Some(&1.0), "{heard:?}");
}
