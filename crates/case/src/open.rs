//! A case that lies on the disk.

use std::fs;
use std::path::{Path, PathBuf};

use rayon::prelude::*;
use volume::nifti;
use volume::{ImageGeometry, LabelMap, ScanVolume, Segment, Volume};

use crate::checksum::{expected_seal, sha256_file};
use crate::error::CaseError;
use crate::folder::MAX_MANIFEST_BYTES;
use crate::glb::{SegmentMeshes, read_meshes};
use crate::manifest::{Manifest, SCHEMA, SegmentEntry};
use crate::write::{CONFIDENCE, INFERRED};

/// Two grids whose corners are nearer than this, in voxels, are the same; NIfTI stores single precision.
const GRID_TOLERANCE_VOXELS: f64 = 0.02;

/// A case folder.
#[derive(Clone, Debug)]
pub struct Case {
    /// What `case.json` says.
    pub manifest: Manifest,
    path: PathBuf,
}

impl Case {
    /// Reads `case.json`; the large files are read when asked for.
    ///
    /// # Errors
    /// [`CaseError::NotACase`], [`CaseError::Schema`] for another version, [`CaseError::Manifest`] for a damaged one.
    pub fn open(path: &Path) -> Result<Self, CaseError> {
        let text = manifest_text(path)?;
        let damaged = |error: serde_json::Error| CaseError::Manifest { reason: error.to_string() };
        let value: serde_json::Value = serde_json::from_str(&text).map_err(damaged)?;
        match value.get("schema").and_then(|s| s.as_str()) {
            Some(SCHEMA) => {}
            Some(found) => {
                let found = found.chars().take(60).collect();
                return Err(CaseError::Schema { found, expected: SCHEMA });
            }
            None => {
                let reason = "case.json names no schema".to_owned();
                return Err(CaseError::NotACase { reason, path: path.to_owned() });
            }
        }
        let manifest: Manifest = serde_json::from_value(value).map_err(damaged)?;
        match manifest.defect() {
            Some(reason) => Err(CaseError::Manifest { reason }),
            None => Ok(Self { manifest, path: path.to_owned() }),
        }
    }

    /// What has just been written.
    pub(crate) fn from_parts(manifest: Manifest, path: PathBuf) -> Self {
        Self { manifest, path }
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Names the case in session records.
    pub fn checksum(&self) -> &str {
        &self.manifest.checksums.case
    }

    /// Reads every file and compares it with the checksums; `marks/` and `sessions/` are not covered.
    ///
    /// # Errors
    /// [`CaseError::MissingFile`] or [`CaseError::Checksum`], naming the file.
    pub fn verify(&self) -> Result<(), CaseError> {
        let seal = self.checksum();
        let found = expected_seal(&manifest_text(&self.path)?, seal);
        if found != seal {
            let expected = seal.to_owned();
            return Err(CaseError::Checksum { file: "case.json".to_owned(), expected, found });
        }
        let files: Vec<_> = self.manifest.checksums.files.iter().collect();
        let checked: Vec<_> = files.par_iter().map(|(file, expected)| self.verify_file(file, expected)).collect();
        checked.into_iter().collect()
    }

    fn verify_file(&self, file: &str, expected: &str) -> Result<(), CaseError> {
        let path = self.existing(file)?;
        let found = sha256_file(&path).map_err(CaseError::io("read", &path))?;
        if found == expected {
            Ok(())
        } else {
            Err(CaseError::Checksum { file: file.to_owned(), expected: expected.to_owned(), found })
        }
    }

    fn existing(&self, file: &str) -> Result<PathBuf, CaseError> {
        let path = self.path.join(file);
        if path.is_file() { Ok(path) } else { Err(CaseError::MissingFile { file: file.to_owned() }) }
    }

    /// The surfaces of `anatomy.glb` in scene metres, in the manifest's order.
    ///
    /// # Errors
    /// [`CaseError::Glb`] for a damaged file; [`CaseError::Manifest`] if its segments are not those of the manifest.
    pub fn meshes(&self) -> Result<Vec<SegmentMeshes>, CaseError> {
        let path = self.existing("anatomy.glb")?;
        let bytes = fs::read(&path).map_err(CaseError::io("read", &path))?;
        let meshes = read_meshes(&bytes)?;
        let found = meshes.iter().map(|m| (m.label, m.name.as_str()));
        if found.eq(self.manifest.segments.iter().map(|s| (s.label, s.name.as_str()))) {
            Ok(meshes)
        } else {
            Err(CaseError::Manifest { reason: "its segments are not those of anatomy.glb".to_owned() })
        }
    }

    /// The scan.
    ///
    /// # Errors
    /// [`CaseError::Nifti`]; [`CaseError::Grid`] if it does not lie where the manifest says.
    pub fn scan(&self) -> Result<ScanVolume, CaseError> {
        let file = "scan.nii.gz";
        let scan = nifti::read_scan(&self.existing(file)?)
            .map_err(|source| CaseError::Nifti { file, source: Box::new(source) })?;
        let geometry = self.checked_grid(scan.geometry(), file)?;
        Ok(match scan {
            ScanVolume::I16(v) => ScanVolume::I16(Volume::new(geometry, v.into_data())?),
            ScanVolume::F32(v) => ScanVolume::F32(Volume::new(geometry, v.into_data())?),
        })
    }

    /// The labels, with the manifest's segments.
    ///
    /// # Errors
    /// As [`Case::scan`].
    pub fn labels(&self) -> Result<LabelMap, CaseError> {
        let file = "labels.nii.gz";
        let labels = nifti::read_labels(&self.existing(file)?)
            .map_err(|source| CaseError::Nifti { file, source: Box::new(source) })?;
        let geometry = self.checked_grid(labels.geometry(), file)?;
        Ok(LabelMap {
            voxels: Volume::new(geometry, labels.voxels.into_data())?,
            segments: self.manifest.segments.iter().map(|s| (s.label, Segment::from(s))).collect(),
        })
    }

    /// How sure the models were of each voxel's label, in percent; none if no model drew them.
    ///
    /// # Errors
    /// As [`Case::scan`].
    pub fn confidence(&self) -> Result<Option<Volume<u8>>, CaseError> {
        self.bytes(CONFIDENCE)
    }

    /// 1 where a model made up the grey value, [`crate::INTERPOLATED`] in slices that fill a gap, [`crate::REFINED`] where only labels
    /// and surfaces come from what a model made up; none if all was measured.
    ///
    /// # Errors
    /// As [`Case::scan`].
    pub fn inferred(&self) -> Result<Option<Volume<u8>>, CaseError> {
        self.bytes(INFERRED)
    }

    fn bytes(&self, file: &'static str) -> Result<Option<Volume<u8>>, CaseError> {
        if !self.manifest.checksums.files.contains_key(file) {
            return Ok(None);
        }
        let map = nifti::read_labels(&self.existing(file)?)
            .map_err(|source| CaseError::Nifti { file, source: Box::new(source) })?;
        let geometry = self.checked_grid(map.geometry(), file)?;
        let bytes = map.voxels.into_data().into_iter().map(|x| x.min(255) as u8).collect();
        Ok(Some(Volume::new(geometry, bytes)?))
    }

    /// The manifest's grid, which is exact where NIfTI's is rounded.
    fn checked_grid(&self, found: &ImageGeometry, file: &'static str) -> Result<ImageGeometry, CaseError> {
        let expected = ImageGeometry::try_from(&self.manifest.geometry)?;
        let finest = expected.spacing().into_iter().fold(f64::INFINITY, f64::min);
        if found.is_same_grid(&expected, finest * GRID_TOLERANCE_VOXELS) {
            Ok(expected)
        } else {
            Err(CaseError::Grid { file })
        }
    }
}

impl From<&SegmentEntry> for Segment {
    fn from(entry: &SegmentEntry) -> Self {
        Self {
            label: entry.label,
            parts: entry.parts.clone(),
            name: entry.name.clone(),
            display: entry.display.clone(),
            code: entry.code.clone(),
            color: entry.color,
        }
    }
}

fn manifest_text(folder: &Path) -> Result<String, CaseError> {
    let path = folder.join("case.json");
    let not_a_case = |reason: &str| CaseError::NotACase { reason: reason.to_owned(), path: folder.to_owned() };
    let metadata = match fs::metadata(&path) {
        Ok(metadata) => metadata,
        Err(error) if folder.is_file() || error.kind() == std::io::ErrorKind::NotFound => {
            return Err(not_a_case(if folder.is_dir() {
                "the folder has no case.json"
            } else {
                "there is no such folder"
            }));
        }
        Err(error) => return Err(CaseError::io("look at", &path)(error)),
    };
    if !metadata.is_file() {
        return Err(not_a_case("case.json is not a file"));
    }
    if metadata.len() > MAX_MANIFEST_BYTES {
        let reason = format!("it has {} bytes, and no case has more than {MAX_MANIFEST_BYTES}", metadata.len());
        return Err(CaseError::Manifest { reason });
    }
    let bytes = fs::read(&path).map_err(CaseError::io("read", &path))?;
    String::from_utf8(bytes).map_err(|error| CaseError::Manifest { reason: error.utf8_error().to_string() })
}
