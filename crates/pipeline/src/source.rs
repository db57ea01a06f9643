//! What lies at a path.

use std::path::{Path, PathBuf};

use dicom::Inventory;
use volume::formats::{self, Format};

use crate::error::PipelineError;

/// A scan that was found, its voxels not yet read.
#[derive(Debug)]
pub(crate) enum Source {
    /// DICOM files in a folder or a zip, or one of them.
    Dicom(Box<Inventory>),
    /// A volume in one file.
    File {
        /// Its format.
        format: Format,
        /// Where it lies.
        path: PathBuf,
    },
}

/// Endings of volumes in one file.
const ENDINGS: [&str; 4] = [".nii", ".nii.gz", ".nrrd", ".nhdr"];

impl Source {
    /// Looks at a path.
    ///
    /// # Errors
    /// [`PipelineError::NotFound`], [`PipelineError::NoVolume`] for a folder of other volumes, or why it cannot be read.
    pub(crate) fn open(path: &Path) -> Result<Self, PipelineError> {
        let Ok(metadata) = std::fs::metadata(path) else {
            return Err(PipelineError::NotFound { path: path.to_owned() });
        };
        if !(metadata.is_file() || metadata.is_dir()) {
            let reasons = "it is neither a file nor a folder".to_owned();
            return Err(PipelineError::NoVolume { reasons, path: path.to_owned() });
        }
        if metadata.is_file() {
            if let Some(format) = formats::detect(path)? {
                return Ok(Self::File { format, path: path.to_owned() });
            }
            if has_ending(path) {
                // By its name a volume, by its content none: the reader knows best what is wrong.
                let format = formats::inspect(path)?.format;
                return Ok(Self::File { format, path: path.to_owned() });
            }
        }
        match dicom::inspect(path) {
            Ok(inventory) => Ok(Self::Dicom(Box::new(inventory))),
            Err(error) => match volumes_in(path).as_slice() {
                [] => Err(error.into()),
                [first, ..] => Err(PipelineError::NoVolume {
                    reasons: format!("it holds no DICOM, but other volumes; name one of them, such as {first}"),
                    path: path.to_owned(),
                }),
            },
        }
    }
}

fn has_ending(path: &Path) -> bool {
    let name = path.file_name().map(|n| n.to_string_lossy().to_ascii_lowercase()).unwrap_or_default();
    ENDINGS.iter().any(|e| name.ends_with(e))
}

/// Names of volumes right in a folder.
fn volumes_in(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(folder)
        .into_iter()
        .flatten()
        .flatten()
        .filter(|e| has_ending(&e.path()))
        .map(|e| e.file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

/// What kind of scan values are, as far as recipes care.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Hounsfield units.
    Ct,
    /// MR intensities.
    Mr,
    /// Numbers of structures.
    Labels,
    /// Something else, or unknown.
    Other,
}

/// A guess from the values alone, for formats that do not say: Hounsfield units have air far below zero.
pub(crate) fn guess(scan: &volume::ScanVolume) -> Kind {
    /// Enough for quantiles of whole scans.
    const SAMPLES: usize = 200_000;
    if crate::recipe::labels::looks_like_labels(scan) {
        return Kind::Labels;
    }
    let count = scan.geometry().voxel_count();
    let mut sample: Vec<f32> = (0..count).step_by((count / SAMPLES).max(1)).map(|n| scan.value(n)).collect();
    sample.retain(|v| v.is_finite());
    sample.sort_by(f32::total_cmp);
    let at = |share: f64| sample.get((share * sample.len() as f64) as usize).copied().unwrap_or(0.0);
    if sample.first() == sample.last() {
        // Of one value, or of none.
        Kind::Other
    } else if at(0.005) <= -700.0 && at(0.999) >= 80.0 && at(0.0) >= -4096.0 {
        Kind::Ct
    } else if at(0.001) >= 0.0 {
        Kind::Mr
    } else {
        Kind::Other
    }
}
