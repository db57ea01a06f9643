//! A case from a label map: `case_of_labels LABELS.nii.gz NAMES.json OUT [SCAN.nii.gz]`, with the time each step takes.
//!
//! NAMES is an object from label to name, as beside the label maps of the TotalSegmentator data.

use std::collections::BTreeMap;
use std::error::Error;
use std::path::Path;
use std::time::Instant;

use case::{CaseContents, Provenance, RecipeRef, write_case};
use surface::{SurfaceOptions, surfaces_of_labels};
use volume::{ScanVolume, Volume, nifti, terminology};

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [labels, names, out, scan @ ..] = args.as_slice() else {
        return Err("usage: case_of_labels LABELS.nii.gz NAMES.json OUT [SCAN.nii.gz]".into());
    };
    let mut labels = nifti::read_labels(Path::new(labels))?;
    let names: BTreeMap<u16, String> = serde_json::from_slice(&std::fs::read(names)?)?;
    for label in labels.counts().into_keys() {
        let name = names.get(&label).cloned().unwrap_or_else(|| format!("label_{label}"));
        labels.segments.insert(label, terminology::segment(label, &name));
    }
    let scan = match scan {
        [path, ..] => nifti::read_scan(Path::new(path))?,
        [] => ScanVolume::I16(Volume::filled(*labels.geometry(), 0)),
    };
    let start = Instant::now();
    let surfaces = surfaces_of_labels(&labels, &SurfaceOptions::default(), &|_| {})?;
    eprintln!("surfaces {:.3} s", start.elapsed().as_secs_f64());
    let contents = CaseContents {
        scan: &scan,
        labels: &labels,
        surfaces: &surfaces,
        modality: "CT".to_owned(),
        recipe: RecipeRef::new("labels", "1"),
        alias: None,
        provenance: Provenance::new("NIfTI label map"),
        windows: Vec::new(),
        trust: case::Trust::default(),
    };
    let start = Instant::now();
    let case = write_case(Path::new(out), &contents, &|_| {})?;
    eprintln!("case {:.3} s, {} segments, {}", start.elapsed().as_secs_f64(), surfaces.len(), case.checksum());
    let start = Instant::now();
    case.verify()?;
    eprintln!("verify {:.3} s", start.elapsed().as_secs_f64());
    let start = Instant::now();
    let meshes = case.meshes()?;
    let triangles: usize = meshes.iter().flat_map(|m| &m.lods).map(|m| m.triangles.len()).sum();
    eprintln!("meshes read {:.3} s, {triangles} triangles", start.elapsed().as_secs_f64());
    Ok(())
}
