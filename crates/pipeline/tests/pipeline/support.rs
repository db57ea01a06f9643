//! Scans to build from, and looking at what was built.

use std::fs;
use std::path::{Path, PathBuf};

use case::Case;
use pipeline::{BuildRequest, BuildSummary, PipelineError, Silent};
use volume::{ImageGeometry, LabelMap, ScanVolume, Volume};

/// Builds without the cache, which is the user's.
pub(crate) fn build(
    scan: &Path,
    out: &Path,
    change: impl FnOnce(&mut BuildRequest),
) -> Result<BuildSummary, PipelineError> {
    let mut request =
        BuildRequest { scan: scan.to_owned(), out: out.to_owned(), no_cache: true, ..BuildRequest::default() };
    change(&mut request);
    pipeline::build(&request, &Silent)
}

/// Opens a case and checks its files against its checksums.
#[track_caller]
pub(crate) fn open(path: &Path) -> Case {
    let case = Case::open(path).unwrap();
    case.verify().unwrap();
    case
}

/// A folder of real scans, or `None` with a word on it.
pub(crate) fn data(name: &str) -> Option<PathBuf> {
    let root = std::env::var_os("VESTIBULE_DATA").map_or_else(|| "../../../shared/data".into(), PathBuf::from);
    let path = root.join(name);
    if path.exists() {
        return Some(path);
    }
    println!("skipped: no {name} in {}; set VESTIBULE_DATA", root.display());
    None
}

/// The phantom on a coarse grid.
pub(crate) fn coarse_phantom() -> phantom::Body {
    let options = phantom::PhantomOptions { seed: 3, spacing_mm: [4.0, 4.0, 5.0], ..Default::default() };
    phantom::body(&options, &|_| ()).unwrap()
}

/// Every file below a folder, sorted.
pub(crate) fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found.sort();
    found
}

/// The voxels whose label has one of these names; `true` inside.
pub(crate) fn inside(map: &LabelMap, wanted: impl Fn(&str) -> bool) -> Vec<bool> {
    let labels: Vec<u16> = map.segments.values().filter(|s| wanted(&s.name)).map(|s| s.label).collect();
    assert!(
        !labels.is_empty(),
        "no such segment among {:?}",
        map.segments.values().map(|s| &s.name).collect::<Vec<_>>()
    );
    map.voxels.data().iter().map(|l| labels.contains(l)).collect()
}

/// Mean position of a set of voxels, LPS mm.
pub(crate) fn centre(geometry: &ImageGeometry, inside: &[bool]) -> [f64; 3] {
    let [ni, nj, _] = geometry.size();
    let (mut sum, mut count) = ([0.0; 3], 0.0);
    for (at, _) in inside.iter().enumerate().filter(|(_, i)| **i) {
        let index = space::Point::new((at % ni) as f64, (at / ni % nj) as f64, (at / ni / nj) as f64);
        let p = geometry.lps_from_index() * index;
        sum = [sum[0] + p.x, sum[1] + p.y, sum[2] + p.z];
        count += 1.0;
    }
    sum.map(|s| s / count)
}

/// Writes a volume as NIfTI.
pub(crate) fn write_nifti(volume: &Volume<i16>, path: &Path) {
    volume::nifti::write_scan(&ScanVolume::I16(volume.clone()), path).unwrap();
}
