//! `labels`: structures that somebody marked before, on whatever grid.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use rayon::prelude::*;
use serde_json::Value;
use volume::terminology::{self, Group};
use volume::{BACKGROUND, ImageGeometry, Label, LabelMap, ScanVolume, Volume, VolumeError, resample};

use super::present_labels;

/// Grids are the same if their corners are as near as this; then labels are taken voxel for voxel.
const SAME_GRID_MM: f64 = 0.01;

/// The largest file of names that is read.
const MAX_NAMES_BYTES: u64 = 4 << 20;

/// Labels on the scan's grid, and what people should know of how they came there.
#[derive(Debug)]
pub(crate) struct Placed {
    /// Every label that occurs has a segment, and every segment has voxels.
    pub(crate) labels: LabelMap,
    pub(crate) notes: Vec<String>,
}

/// Lays labels over the grid of a scan, each voxel taking the nearest label.
///
/// The result has no segments if no label lies inside the scan.
///
/// # Errors
/// [`VolumeError`] if voxels and grid disagree.
pub(crate) fn place(labels: LabelMap, grid: &ImageGeometry) -> Result<Placed, VolumeError> {
    let mut notes = Vec::new();
    let LabelMap { voxels, segments } = labels;
    let voxels = if voxels.geometry().is_same_grid(grid, SAME_GRID_MM) {
        Volume::new(*grid, voxels.into_data())?
    } else {
        let marked = marked_ml(&voxels);
        let placed = resample::nearest(&voxels, grid, BACKGROUND);
        let [from, to] = [voxels.geometry(), grid].map(|g| {
            let [x, y, z] = g.spacing();
            format!("{x:.2} × {y:.2} × {z:.2} mm")
        });
        notes.push(format!("labels on another grid ({from}) were laid over the scan's ({to}), nearest voxel"));
        let kept = if marked > 0.0 { marked_ml(&placed) / marked } else { 1.0 };
        if kept < 0.98 {
            let lost = (1.0 - kept) * 100.0;
            notes.push(format!("{lost:.0} % of the labelled volume lies outside the scan and was left out"));
        }
        placed
    };
    let mut labels = LabelMap { voxels, segments };
    let gone = name_all(&mut labels);
    if !gone.is_empty() {
        notes.push(format!("named but without a voxel in the scan: {}", gone.join(", ")));
    }
    Ok(Placed { labels, notes })
}

/// Gives every label that occurs a segment and removes segments without voxels, whose names are returned.
fn name_all(labels: &mut LabelMap) -> Vec<String> {
    let present = present_labels(labels);
    let occurs = |label: &Label| present.binary_search(label).is_ok();
    let part_of: Vec<Label> = labels.segments.values().flat_map(|s| s.parts.iter().copied()).collect();
    let mut gone = Vec::new();
    labels.segments.retain(|label, segment| {
        segment.parts.retain(occurs);
        let kept = occurs(label) || !segment.parts.is_empty();
        if !kept {
            gone.push(segment.display.clone());
        }
        kept
    });
    for &label in &present {
        // A label that is only a part of others needs no segment of its own.
        if !labels.segments.contains_key(&label) && !part_of.contains(&label) {
            labels.segments.insert(label, terminology::segment(label, &format!("label_{label}")));
        }
    }
    gone
}

fn marked_ml(voxels: &Volume<Label>) -> f64 {
    let count = voxels.data().par_iter().with_min_len(1 << 16).filter(|&&l| l != BACKGROUND).count();
    count as f64 * voxels.geometry().voxel_volume_mm3() / 1000.0
}

/// Reads a label file; where it names nothing, a JSON file beside it may, and the note says which.
///
/// Tried in order: `NAME.json` of `NAME.nii.gz`; `dataset.json`; the one `*classes*.json` or `*labels*.json` whose name
/// shares most words with the file's.
///
/// # Errors
/// [`volume::formats::FormatError`].
pub(crate) fn read(path: &Path) -> Result<(LabelMap, Vec<String>), volume::formats::FormatError> {
    let mut labels = volume::formats::read_labels(path)?;
    let mut notes = Vec::new();
    if labels.segments.is_empty() {
        match names_beside(path) {
            Beside::Names(file, names) => {
                let shown = file.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
                notes.push(format!("names of labels from {shown} beside the label map"));
                labels.segments =
                    names.into_iter().map(|(label, name)| (label, terminology::segment(label, &name))).collect();
            }
            Beside::Unclear => notes.push(
                "several JSON files beside the label map could name its labels; call the right one like the label map, \
                 ending in .json"
                    .to_owned(),
            ),
            Beside::Unreadable(file) => notes.push(format!(
                "{} beside the label map names nothing that can be read; it should be like {{\"1\": \"liver\", …}}",
                file.file_name().unwrap_or_default().to_string_lossy()
            )),
            Beside::Nothing => notes.push(
                "the label map names nothing; write {\"1\": \"liver\", …} into a JSON file beside it, called like it"
                    .to_owned(),
            ),
        }
    }
    Ok((labels, notes))
}

enum Beside {
    Names(PathBuf, BTreeMap<Label, String>),
    Unclear,
    /// There is the file that should have names.
    Unreadable(PathBuf),
    Nothing,
}

fn names_beside(path: &Path) -> Beside {
    let Some(name) = path.file_name().and_then(|n| n.to_str()) else { return Beside::Nothing };
    let stem = stem(name);
    for exact in [format!("{stem}.json"), "dataset.json".to_owned()] {
        let file = path.with_file_name(exact);
        if let Some(names) = names_of(&file) {
            return Beside::Names(file, names);
        }
    }
    let words = |text: &str| -> Vec<String> {
        text.split(|c: char| !c.is_ascii_alphanumeric())
            .map(str::to_ascii_lowercase)
            .filter(|w| !w.is_empty())
            .collect()
    };
    let own = words(stem);
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut candidates: Vec<(usize, PathBuf, BTreeMap<Label, String>)> = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let file = entry.path();
        let lower = entry.file_name().to_string_lossy().to_ascii_lowercase();
        if lower.ends_with(".json") && (lower.contains("classes") || lower.contains("labels")) {
            let shared = words(&lower).iter().filter(|w| own.contains(w)).count();
            if let Some(names) = names_of(&file) {
                candidates.push((shared, file, names));
            }
        }
    }
    candidates.sort_by(|a, b| (b.0, &a.1).cmp(&(a.0, &b.1)));
    match &candidates[..] {
        [] => {
            let own = path.with_file_name(format!("{stem}.json"));
            if own.is_file() { Beside::Unreadable(own) } else { Beside::Nothing }
        }
        [first, second, ..] if first.0 == second.0 => Beside::Unclear,
        _ => candidates.into_iter().next().map_or(Beside::Nothing, |(_, file, names)| Beside::Names(file, names)),
    }
}

/// The name of a volume's file without its endings.
fn stem(name: &str) -> &str {
    let endings = [".nii.gz", ".nii", ".seg.nrrd", ".nrrd", ".nhdr"];
    endings.iter().find_map(|e| name.strip_suffix(e)).unwrap_or(name)
}

/// Names by label from `{"1": "liver"}` or `{"liver": 1}`, perhaps under `labels`; `None` if the file says something else.
pub(crate) fn names_of(file: &Path) -> Option<BTreeMap<Label, String>> {
    if fs::metadata(file).ok()?.len() > MAX_NAMES_BYTES {
        return None;
    }
    let document: Value = serde_json::from_slice(&fs::read(file).ok()?).ok()?;
    let table = document.get("labels").unwrap_or(&document).as_object()?;
    let mut names = BTreeMap::new();
    for (key, value) in table {
        let (label, name) = match value {
            Value::String(name) => (key.parse::<Label>().ok()?, name.clone()),
            Value::Number(label) => (Label::try_from(label.as_u64()?).ok()?, key.clone()),
            Value::Object(entry) => (key.parse::<Label>().ok()?, entry.get("name")?.as_str()?.to_owned()),
            _ => return None,
        };
        if label != BACKGROUND && !name.trim().is_empty() {
            names.insert(label, name);
        }
    }
    (!names.is_empty()).then_some(names)
}

/// True if the numbers of a file look like labels: whole, not negative, not many, and mostly equal to their neighbours.
pub(crate) fn looks_like_labels(scan: &ScanVolume) -> bool {
    /// Even the finest atlas has fewer classes in one file.
    const MOST: i16 = 2000;
    /// Noise makes neighbours in a scan differ nearly everywhere; labels differ only at borders.
    const EQUAL_SHARE: f64 = 0.6;
    let ScanVolume::I16(volume) = scan else { return false };
    let data = volume.data();
    if data.par_iter().with_min_len(1 << 16).any(|&v| !(0..=MOST).contains(&v)) {
        return false;
    }
    let (equal, pairs) = data
        .par_chunks(1 << 16)
        .map(|chunk| {
            chunk.windows(2).fold((0usize, 0usize), |(equal, pairs), pair| {
                let marked = pair[0] != 0 || pair[1] != 0;
                (equal + usize::from(marked && pair[0] == pair[1]), pairs + usize::from(marked))
            })
        })
        .reduce(|| (0, 0), |a, b| (a.0 + b.0, a.1 + b.1));
    pairs > 0 && equal as f64 >= EQUAL_SHARE * pairs as f64
}

/// A scan made up from labels: each structure in one Hounsfield value typical of its group, −1000 outside.
///
/// It shows where structures lie on cut faces, and nothing else.
pub(crate) fn made_up_scan(labels: &LabelMap) -> ScanVolume {
    let most = labels.segments.keys().chain(labels.segments.values().flat_map(|s| &s.parts)).copied().max();
    let mut value = vec![40i16; usize::from(most.unwrap_or(0)) + 1];
    value[0] = -1000;
    for (&label, segment) in &labels.segments {
        value[usize::from(label)] = typical_hu(terminology::group_of(&segment.name));
    }
    let data = labels.voxels.data().par_iter().map(|&l| value.get(usize::from(l)).copied().unwrap_or(40)).collect();
    match Volume::new(*labels.geometry(), data) {
        Ok(volume) => ScanVolume::I16(volume),
        // As many values as labels, by construction.
        Err(_) => ScanVolume::I16(Volume::filled(*labels.geometry(), -1000)),
    }
}

/// Chosen so that groups can be told apart in a soft-tissue window.
const fn typical_hu(group: Group) -> i16 {
    match group {
        Group::Bone => 500,
        Group::Lung => -850,
        Group::Airway => -950,
        Group::Fat => -100,
        Group::Artery => 180,
        Group::Vein => 150,
        Group::Heart => 110,
        Group::Liver => 90,
        Group::Urinary => 70,
        Group::Digestive => 20,
        Group::Muscle => 55,
        Group::Lesion => 130,
        Group::Device => 1500,
        _ => 40,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use glam::DMat3;
    use space::Point;

    fn grid(size: [usize; 3], spacing: f64) -> ImageGeometry {
        ImageGeometry::new(size, [spacing; 3], Point::ZERO, DMat3::IDENTITY).unwrap()
    }

    fn cube() -> LabelMap {
        let inside = |p: [usize; 3]| p.iter().all(|x| (4..12).contains(x));
        let voxels = Volume::from_fn(grid([16; 3], 1.0), |p| if inside(p) { 5 } else { 0 });
        let segments = [(5, "liver"), (6, "spleen")].map(|(l, n)| (l, terminology::segment(l, n))).into();
        LabelMap { voxels, segments }
    }

    #[test]
    fn labels_on_another_grid_keep_their_place_and_volume() {
        let placed = place(cube(), &grid([32; 3], 0.5)).unwrap();
        let ml = marked_ml(&placed.labels.voxels);
        assert!((ml - 0.512).abs() < 0.06, "{ml} ml");
        assert_eq!(placed.labels.segments.keys().copied().collect::<Vec<_>>(), [5]);
        assert!(placed.notes.iter().any(|n| n.contains("another grid")), "{:?}", placed.notes);
        assert!(placed.notes.iter().any(|n| n.contains("Spleen")), "{:?}", placed.notes);
    }

    #[test]
    fn labels_outside_the_scan_are_told() {
        let placed = place(cube(), &grid([8, 16, 16], 1.0)).unwrap();
        assert!(placed.notes.iter().any(|n| n.contains("50 %")), "{:?}", placed.notes);
        let far = ImageGeometry::new([4; 3], [1.0; 3], Point::new(500.0, 0.0, 0.0), DMat3::IDENTITY).unwrap();
        assert!(place(cube(), &far).unwrap().labels.segments.is_empty());
    }

    #[track_caller]
    fn check_names(file: &str, text: &str, expected: &[(Label, &str)]) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("torso_v1.nii.gz");
        let mut unnamed = cube();
        unnamed.segments.clear();
        volume::formats::write_labels(&unnamed, &path).unwrap();
        fs::write(dir.path().join(file), text).unwrap();
        fs::write(dir.path().join("classes_other_v2.json"), r#"{"5": "wrong"}"#).unwrap();
        let (labels, notes) = read(&path).unwrap();
        let found: Vec<_> = labels.segments.iter().map(|(&l, s)| (l, s.name.as_str())).collect();
        assert_eq!(found, expected, "{file}: {notes:?}");
    }

    #[test]
    fn names_are_found_beside_the_file() {
        check_names("torso_v1.json", r#"{"0": "background", "5": "liver"}"#, &[(5, "liver")]);
        check_names("torso_v1.json", r#"{"5": {"name": "liver", "color": [1, 2, 3]}}"#, &[(5, "liver")]);
        check_names("dataset.json", r#"{"labels": {"background": 0, "liver": 5}}"#, &[(5, "liver")]);
        check_names("classes_total_v1.json", r#"{"5": "liver"}"#, &[(5, "liver")]);
        check_names("classes_total_v3.json", r#"{"5": "liver"}"#, &[]);
        check_names("torso_v1.json", r#"["liver"]"#, &[(5, "wrong")]);
    }

    #[test]
    fn labels_and_scans_are_told_apart() {
        let labels = cube();
        let numbers = ScanVolume::I16(labels.voxels.map(|&l| l as i16));
        assert!(looks_like_labels(&numbers));
        let noisy = Volume::from_fn(grid([16; 3], 1.0), |[i, j, k]| ((i * 7919 + j * 131 + k * 17) % 97) as i16);
        assert!(!looks_like_labels(&ScanVolume::I16(noisy)));
        assert!(!looks_like_labels(&made_up_scan(&labels)), "values below zero are no labels");
        let ScanVolume::I16(made_up) = made_up_scan(&labels) else { panic!("whole numbers") };
        assert_eq!((made_up.get(0, 0, 0), made_up.get(5, 5, 5)), (Some(&-1000), Some(&90)));
    }
}
