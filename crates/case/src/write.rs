//! From scan, labels and surfaces to a case folder.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::ops::Range;
use std::path::Path;
use std::sync::Mutex;

use rayon::prelude::*;
use surface::SegmentSurface;
use volume::nifti;
use volume::terminology;
use volume::{Label, LabelMap, ScanVolume, Volume};

use crate::checksum::{PLACEHOLDER, seal, sha256, sha256_file};
use crate::error::CaseError;
use crate::folder::{Replacement, sync};
use crate::glb::{GlbMesh, GlbSegment, write_glb};
use crate::manifest::{
    Checksums, GeometryEntry, LodEntry, Manifest, Provenance, RecipeRef, SCHEMA, SegmentEntry, SurfaceEntry,
};
use crate::open::Case;
use crate::report;
use crate::text::without_paths;
use crate::window::{WindowPreset, default_windows};

/// The longest alias; it must fit on a wall of the room.
const MAX_ALIAS_CHARS: usize = 64;

/// What goes into a case.
#[derive(Clone, Debug)]
pub struct CaseContents<'a> {
    /// The scan on its own grid.
    pub scan: &'a ScanVolume,
    /// Labels on the scan's grid.
    pub labels: &'a LabelMap,
    /// Surfaces of the segments, in any order.
    pub surfaces: &'a [SegmentSurface],
    /// DICOM's letters: `CT`, `MR`, …
    pub modality: String,
    /// What made the labels.
    pub recipe: RecipeRef,
    /// What its users call the case. That it is no stripped identity is the caller's to check.
    pub alias: Option<String>,
    /// Where it came from.
    pub provenance: Provenance,
    /// Windows to look at the scan with; if empty, [`default_windows`].
    pub windows: Vec<WindowPreset>,
    /// Where models took part.
    pub trust: Trust<'a>,
}

/// What is known about each voxel beyond its value, on the scan's grid.
#[derive(Clone, Copy, Debug, Default)]
pub struct Trust<'a> {
    /// How sure the model is of the label, in percent, [`NO_MODEL`] where none drew it; none if no model drew any.
    pub confidence: Option<&'a Volume<u8>>,
    /// 1 where a model made up the grey value, [`INTERPOLATED`] where it fills a gap between slices, [`REFINED`] where it was measured
    /// but structures were found in finer slices, 0 where all was measured; none if everything was.
    pub inferred: Option<&'a Volume<u8>>,
}

/// In [`Trust::confidence`], a voxel whose label no model drew.
pub const NO_MODEL: u8 = 255;

/// In [`Trust::inferred`], a voxel of a slice that was missing and lies between measured ones; no model took part.
pub const INTERPOLATED: u8 = 2;

/// In [`Trust::inferred`], a measured voxel whose label and surfaces come from finer slices that a model made up.
pub const REFINED: u8 = 3;

/// File of [`Trust::confidence`] in a case.
pub(crate) const CONFIDENCE: &str = "confidence.nii.gz";
/// File of [`Trust::inferred`] in a case.
pub(crate) const INFERRED: &str = "inferred.nii.gz";

/// Writes a case beside `target` and puts it there when it is whole.
///
/// An old case at `target` is replaced; what people added to it, `marks/` and `sessions/` above all, stays. The same
/// contents give the same bytes. `progress` hears a share of 0–1, from any thread.
///
/// # Errors
/// [`CaseError::Occupied`] and its kin if the target is not free, [`CaseError::Alias`], [`CaseError::GridsDiffer`],
/// [`CaseError::Glb`], [`CaseError::Nifti`], [`CaseError::Io`]; the target is then as it was.
pub fn write_case(
    target: &Path,
    contents: &CaseContents<'_>,
    progress: &(dyn Fn(f32) + Sync),
) -> Result<Case, CaseError> {
    let replacement = Replacement::begin(target)?;
    let mut manifest = describe(contents)?;
    let folder = replacement.path();
    let steps = Steps { done: Mutex::new(0), progress };

    let scan = || {
        let file = "scan.nii.gz";
        let path = folder.join(file);
        nifti::write_scan(contents.scan, &path).map_err(|e| CaseError::Nifti { file, source: Box::new(e) })?;
        steps.finish(finish_file(&path))
    };
    let labels = || {
        let file = "labels.nii.gz";
        let path = folder.join(file);
        nifti::write_labels(contents.labels, &path).map_err(|e| CaseError::Nifti { file, source: Box::new(e) })?;
        steps.finish(finish_file(&path))
    };
    let glb = || {
        let bytes = write_glb(&glb_segments(&manifest, contents.surfaces))?;
        steps.finish(write_file(&folder.join("anatomy.glb"), &bytes))
    };
    let pictures = || steps.finish(report::draw(&manifest, contents));
    let trust = || {
        let volumes = [(CONFIDENCE, contents.trust.confidence), (INFERRED, contents.trust.inferred)];
        let written = volumes.into_iter().filter_map(|(file, volume)| Some((file, volume?)));
        let sums = written.map(|(file, volume)| {
            let path = folder.join(file);
            nifti::write_bytes(volume, &path).map_err(|e| CaseError::Nifti { file, source: Box::new(e) })?;
            Ok((file, finish_file(&path)?))
        });
        sums.collect::<Result<Vec<_>, CaseError>>()
    };
    let ((scan, labels), ((glb, pictures), trust)) =
        rayon::join(|| rayon::join(scan, labels), || rayon::join(|| rayon::join(glb, pictures), trust));
    let (glb, pictures) = (glb?, pictures?);
    let mut files =
        BTreeMap::from([("anatomy.glb", glb), ("labels.nii.gz", labels?), ("scan.nii.gz", scan?)].map(named));
    files.extend(trust?.into_iter().map(named));
    manifest.checksums.files.clone_from(&files);

    let html = report::html(&manifest, &pictures);
    files.insert("report.html".to_owned(), write_file(&folder.join("report.html"), html.as_bytes())?);
    manifest.checksums = Checksums { files, case: PLACEHOLDER.to_owned() };
    let mut text = serde_json::to_string_pretty(&manifest)?;
    text.push('\n');
    let (text, checksum) = seal(&text);
    write_file(&folder.join("case.json"), text.as_bytes())?;
    manifest.checksums.case = checksum;
    let path = replacement.commit()?;
    progress(1.0);
    Ok(Case::from_parts(manifest, path))
}

fn named((file, checksum): (&str, String)) -> (String, String) {
    (file.to_owned(), checksum)
}

/// Tells how many of the four large files are done.
struct Steps<'a> {
    done: Mutex<u8>,
    progress: &'a (dyn Fn(f32) + Sync),
}

impl Steps<'_> {
    fn finish<T>(&self, result: Result<T, CaseError>) -> Result<T, CaseError> {
        let mut done = self.done.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        *done += 1;
        (self.progress)(f32::from(*done) * 0.23);
        result
    }
}

fn write_file(path: &Path, bytes: &[u8]) -> Result<String, CaseError> {
    let write = || {
        fs::write(path, bytes).map_err(CaseError::io("write", path))?;
        sync(path).map_err(CaseError::io("flush", path))
    };
    let (written, checksum) = rayon::join(write, || sha256(bytes));
    written.map(|()| checksum)
}

fn finish_file(path: &Path) -> Result<String, CaseError> {
    sync(path).map_err(CaseError::io("flush", path))?;
    sha256_file(path).map_err(CaseError::io("read", path))
}

/// The manifest, checksums left out.
pub(crate) fn describe(contents: &CaseContents<'_>) -> Result<Manifest, CaseError> {
    if !contents.scan.geometry().is_same_grid(contents.labels.geometry(), 1e-3) {
        return Err(CaseError::GridsDiffer);
    }
    let apart = |volume: &Volume<u8>| !contents.scan.geometry().is_same_grid(volume.geometry(), 1e-3);
    if contents.trust.confidence.is_some_and(apart) || contents.trust.inferred.is_some_and(apart) {
        return Err(CaseError::GridsDiffer);
    }
    if let Some(alias) = &contents.alias {
        let found = alias.chars().count();
        if alias.trim().is_empty() || found > MAX_ALIAS_CHARS || alias.chars().any(char::is_control) {
            return Err(CaseError::Alias { max: MAX_ALIAS_CHARS, found });
        }
    }
    let windows = if contents.windows.is_empty() {
        default_windows(&contents.modality, contents.scan)
    } else {
        contents.windows.clone()
    };
    Ok(Manifest {
        schema: SCHEMA.to_owned(),
        alias: contents.alias.clone(),
        modality: contents.modality.clone(),
        geometry: GeometryEntry::from(contents.scan.geometry()),
        recipe: contents.recipe.clone(),
        windows,
        segments: segment_entries(contents),
        provenance: presentable(contents.provenance.clone()),
        checksums: Checksums::default(),
    })
}

/// Texts may quote a path they were read from; nothing of it enters a case.
fn presentable(mut provenance: Provenance) -> Provenance {
    for text in
        [&mut provenance.source, &mut provenance.measured, &mut provenance.interpolated, &mut provenance.inferred]
    {
        *text = without_paths(text);
    }
    for finding in &mut provenance.findings {
        finding.text = without_paths(&finding.text);
    }
    provenance
}

/// Segments that have a surface or voxels, by label, with names made unique.
fn segment_entries(contents: &CaseContents<'_>) -> Vec<SegmentEntry> {
    let surfaces: BTreeMap<Label, &SegmentSurface> = contents.surfaces.iter().map(|s| (s.label, s)).collect();
    let without_surface = contents.labels.segments.keys().any(|l| !surfaces.contains_key(l));
    let counts = if without_surface { contents.labels.counts() } else { BTreeMap::new() };
    let voxel_ml = contents.labels.geometry().voxel_volume_mm3() / 1000.0;
    let labels: BTreeSet<Label> = surfaces
        .keys()
        .copied()
        .chain(contents.labels.segments.keys().copied().filter(|l| counts.contains_key(l)))
        .collect();
    let mut names = BTreeSet::new();
    let certainties = certainties(contents);
    labels
        .into_iter()
        .map(|label| {
            let segment = contents
                .labels
                .segments
                .get(&label)
                .cloned()
                .unwrap_or_else(|| terminology::segment(label, &format!("label_{label}")));
            let surface = surfaces.get(&label);
            let own = certainties.get(&label).copied().unwrap_or_default();
            let parts = segment.parts.iter().filter_map(|part| certainties.get(part));
            let certainty = parts.fold(own, |a, b| a.and(*b));
            let voxels = counts.get(&label).copied().unwrap_or(0) as f64;
            let group = terminology::group_of(&segment.name);
            SegmentEntry {
                label,
                name: unique_name(&segment.name, label, &mut names),
                display: if segment.display.is_empty() { segment.name } else { segment.display },
                parts: segment.parts,
                code: segment.code,
                color: segment.color,
                group,
                volume_ml: surface.and_then(|s| rounded(s.volume_ml)).unwrap_or(voxels * voxel_ml),
                surface: surface.map(|s| surface_entry(s)).unwrap_or_default(),
                // What was not drawn by a model is not made surer by its parts.
                confidence: if own.voxels > 0 && own.drawn == 0 { None } else { rounded(certainty.confidence()) },
                inferred_percent: match certainty.voxels {
                    // A surface without a voxel of the scan's grid comes from a finer one, which a model made.
                    0 if contents.trust.inferred.is_some() => 100.0,
                    _ => rounded(certainty.inferred_percent()).unwrap_or(0.0),
                },
            }
        })
        .collect()
}

/// Sums over the voxels of a label.
#[derive(Clone, Copy, Debug, Default)]
struct Certainty {
    voxels: u64,
    /// By a model.
    drawn: u64,
    percents: u64,
    inferred: u64,
}

impl Certainty {
    fn and(self, other: Self) -> Self {
        Self {
            voxels: self.voxels + other.voxels,
            drawn: self.drawn + other.drawn,
            percents: self.percents + other.percents,
            inferred: self.inferred + other.inferred,
        }
    }

    /// Mean over what a model drew, 0–1; no number if it drew nothing.
    fn confidence(self) -> f64 {
        self.percents as f64 / 100.0 / self.drawn as f64
    }

    fn inferred_percent(self) -> f64 {
        100.0 * self.inferred as f64 / self.voxels.max(1) as f64
    }
}

fn certainties(contents: &CaseContents<'_>) -> BTreeMap<Label, Certainty> {
    let Trust { confidence, inferred } = contents.trust;
    if confidence.is_none() && inferred.is_none() {
        return BTreeMap::new();
    }
    let labels = contents.labels.voxels.data();
    let slab = 1 << 18;
    let of_slab = |(at, labels): (usize, &[Label])| {
        let mut sums: BTreeMap<Label, Certainty> = BTreeMap::new();
        for (run, label) in runs(labels) {
            let offset = at * slab + run.start..at * slab + run.end;
            let sure = of_run(confidence, &offset).iter().filter(|&&percent| percent != NO_MODEL);
            let (drawn, percents) = sure.fold((0, 0), |(n, sum), &percent| (n + 1, sum + u64::from(percent)));
            let inferred = of_run(inferred, &offset).iter().map(|&x| u64::from(x != 0 && x != INTERPOLATED)).sum();
            let made = Certainty { voxels: run.len() as u64, drawn, percents, inferred };
            let entry = sums.entry(label).or_default();
            *entry = entry.and(made);
        }
        sums
    };
    labels.par_chunks(slab).enumerate().map(of_slab).reduce(BTreeMap::new, |mut a, b| {
        for (label, certainty) in b {
            let entry = a.entry(label).or_default();
            *entry = entry.and(certainty);
        }
        a
    })
}

/// The voxels of a stretch, if there is a volume.
fn of_run<'a>(volume: Option<&'a Volume<u8>>, run: &Range<usize>) -> &'a [u8] {
    volume.map_or(&[], |v| &v.data()[run.clone()])
}

/// Stretches of equal labels.
fn runs(labels: &[Label]) -> impl Iterator<Item = (Range<usize>, Label)> {
    let mut start = 0;
    labels.chunk_by(|a, b| a == b).map(move |run| {
        start += run.len();
        (start - run.len()..start, run[0])
    })
}

fn unique_name(name: &str, label: Label, taken: &mut BTreeSet<String>) -> String {
    let name: String = name.chars().filter(|c| !c.is_control()).collect();
    let mut unique = if name.is_empty() { format!("label_{label}") } else { name };
    while taken.contains(&unique) {
        unique = format!("{unique}_{label}");
    }
    taken.insert(unique.clone());
    unique
}

fn surface_entry(surface: &SegmentSurface) -> SurfaceEntry {
    let lods: Vec<LodEntry> = surface
        .lods
        .iter()
        .filter(|lod| !lod.mesh.triangles.is_empty())
        .map(|lod| LodEntry {
            triangles: lod.mesh.triangles.len(),
            hausdorff_mm: rounded(lod.fidelity.hausdorff_mm),
            p95_mm: rounded(lod.fidelity.p95_mm),
            volume_error_percent: rounded(lod.fidelity.volume_error_percent),
            sample_spacing_mm: rounded(lod.fidelity.sample_spacing_mm),
        })
        .collect();
    let finest = lods.first();
    SurfaceEntry {
        closed: surface.closed && finest.is_some(),
        hausdorff_mm: finest.and_then(|l| l.hausdorff_mm),
        p95_mm: finest.and_then(|l| l.p95_mm),
        volume_error_percent: finest.and_then(|l| l.volume_error_percent),
        lods,
    }
}

/// To four digits after the point, which is more than any of the figures is worth; none if it is no number.
fn rounded(value: f64) -> Option<f64> {
    value.is_finite().then(|| (value * 1e4).round() / 1e4)
}

fn glb_segments<'a>(manifest: &'a Manifest, surfaces: &'a [SegmentSurface]) -> Vec<GlbSegment<'a>> {
    let surfaces: BTreeMap<Label, &SegmentSurface> = surfaces.iter().map(|s| (s.label, s)).collect();
    manifest
        .segments
        .iter()
        .map(|segment| GlbSegment {
            label: segment.label,
            name: &segment.name,
            code: segment.code.as_ref(),
            color: segment.color,
            lods: surfaces
                .get(&segment.label)
                .into_iter()
                .flat_map(|s| &s.lods)
                .map(|lod| GlbMesh {
                    positions: &lod.mesh.positions,
                    normals: &lod.mesh.normals,
                    triangles: &lod.mesh.triangles,
                })
                .collect(),
        })
        .collect()
}
