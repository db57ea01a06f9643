//! What is in a folder, a file or a zip.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Path, PathBuf};

use dicom_dictionary_std::{tags, uids};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use volume::ImageGeometry;

use crate::dataset::DataSetError;
use crate::error::DicomError;
use crate::grouping::{Stack, stacks, without_duplicate_files};
use crate::identity::Salt;
use crate::instance::{Instance, instance};
use crate::part10::{Header, HeaderError, read_deflated, read_header};
use crate::report::{Finding, Modality, Obstacle};
use crate::segmentation::{SegmentationFile, SegmentationSummary, segmentation_file};
use crate::source::{Listing, Source, inflate, list, list_memory};

/// What is in a folder, a file or a zip; headers only.
///
/// Holds no identity beyond the UIDs and paths that are needed to read the files, which it does not give out except as
/// documented.
#[derive(Clone, Debug)]
pub struct Inventory {
    /// Stacks of slices, those of one series next to each other; what cannot be read says why in `obstacle`.
    pub series: Vec<SeriesSummary>,
    /// DICOM SEG files.
    pub segmentations: Vec<SegmentationSummary>,
    /// Files that hold neither.
    pub skipped: Vec<SkippedFile>,
    pub(crate) root: PathBuf,
    pub(crate) instances: Vec<Instance>,
    /// What each of `series` is made of.
    pub(crate) stacks: Vec<SeriesStack>,
    pub(crate) segmentation_files: Vec<SegmentationFile>,
}

/// One stack of slices.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SeriesSummary {
    /// Series Instance UID: to choose a series by, never to be written into an output.
    pub uid: String,
    /// This stack's number, from 1, where the series holds several.
    pub stack: Option<usize>,
    /// How the images were made.
    pub modality: Modality,
    /// Body part examined, unless it names the patient.
    pub body_part: Option<String>,
    /// Series description, unless it names the patient.
    pub description: Option<String>,
    /// Series number.
    pub number: Option<i64>,
    /// The volume's grid; `None` if there is an obstacle.
    pub geometry: Option<ImageGeometry>,
    /// Files that make it up.
    pub files: usize,
    /// True if a contrast agent was given.
    pub contrast: bool,
    /// What was found, left out and will be repaired.
    pub findings: Vec<Finding>,
    /// Why it is no volume.
    pub obstacle: Option<Obstacle>,
}

impl SeriesSummary {
    /// What to give to [`Inventory::find`]: the UID, with `#2` for the second stack of a series.
    pub fn selector(&self) -> String {
        match self.stack {
            Some(stack) => format!("{}#{stack}", self.uid),
            None => self.uid.clone(),
        }
    }
}

/// A file that is neither an image nor a segmentation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SkippedFile {
    /// Below the folder or zip; may name the patient, so it is for the user's eyes only.
    pub path: PathBuf,
    /// Why.
    pub reason: SkipReason,
}

/// Why a file was passed over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[non_exhaustive]
pub enum SkipReason {
    /// Something else than DICOM.
    NotDicom,
    /// A DICOMDIR: a table of contents.
    Index,
    /// DICOM without an image: a report, a presentation state, a contour set, …
    NotAnImage {
        /// The standard's name of its class.
        class: String,
    },
    /// DICOM that is damaged before its series is known.
    Damaged {
        /// What is wrong.
        reason: String,
    },
    /// The file cannot be read.
    Unreadable {
        /// What the system says.
        reason: String,
    },
}

impl fmt::Display for SkipReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotDicom => write!(f, "not a DICOM file"),
            Self::Index => write!(f, "a DICOMDIR, which is a table of contents"),
            Self::NotAnImage { class } => write!(f, "{class}: no image in it"),
            Self::Damaged { reason } => write!(f, "damaged: {reason}"),
            Self::Unreadable { reason } => write!(f, "cannot be read: {reason}"),
        }
    }
}

/// The slices behind a summary.
#[derive(Clone, Debug)]
pub(crate) struct SeriesStack {
    /// `None` if there is an obstacle.
    pub(crate) stack: Option<Stack>,
    /// A file of the series, for messages.
    pub(crate) example: PathBuf,
}

/// Looks at a folder with all that is in it, one file, or a zip.
///
/// # Errors
/// [`DicomError`] if the path cannot be read, is an empty folder, or holds no DICOM images.
pub fn inspect(path: &Path) -> Result<Inventory, DicomError> {
    take_stock(list(path)?, path)
}

/// Looks at files held in memory, each with the name it goes by; a lone zip among them is opened.
///
/// # Errors
/// As [`inspect`].
pub fn inspect_memory(files: Vec<(PathBuf, Vec<u8>)>) -> Result<Inventory, DicomError> {
    take_stock(list_memory(files)?, Path::new("memory"))
}

impl Inventory {
    /// The series that a selector (`UID` or `UID#stack`) means.
    ///
    /// # Errors
    /// [`DicomError::NoSuchSeries`] if there is none.
    pub fn find(&self, selector: &str) -> Result<usize, DicomError> {
        let (uid, stack) = match selector.split_once('#') {
            Some((uid, stack)) => (uid, stack.parse().ok()),
            None => (selector, Some(1)),
        };
        let found = self.series.iter().position(|s| s.uid == uid && Some(s.stack.unwrap_or(1)) == stack);
        found.ok_or_else(|| DicomError::NoSuchSeries {
            selector: selector.chars().take(80).collect(),
            known: self.series.iter().map(SeriesSummary::selector).collect(),
        })
    }

    /// The segmentations that refer to a series, or, if they refer to none, lie in its frame of reference.
    pub fn segmentations_of(&self, series: usize) -> Vec<usize> {
        let Some(summary) = self.series.get(series) else { return Vec::new() };
        let frames_of_reference: BTreeSet<&str> = self
            .instances
            .iter()
            .filter(|instance| instance.series_uid == summary.uid && !instance.frame_of_reference.is_empty())
            .map(|instance| instance.frame_of_reference.as_str())
            .collect();
        let refers = |file: &SegmentationFile| match file.referenced_series.as_slice() {
            [] => frames_of_reference.contains(file.frame_of_reference.as_str()),
            uids => uids.contains(&summary.uid),
        };
        (0..self.segmentation_files.len()).filter(|&n| refers(&self.segmentation_files[n])).collect()
    }
}

/// What one file is.
enum Found {
    Image(Box<Instance>),
    Segmentation(Box<SegmentationFile>),
    Skipped(SkippedFile),
}

fn take_stock(listing: Listing, root: &Path) -> Result<Inventory, DicomError> {
    if listing.sources.is_empty() && listing.unreadable.is_empty() {
        return Err(DicomError::Empty { path: root.to_owned() });
    }
    let salt = Salt::default();
    let found: Vec<Found> = listing.sources.into_par_iter().map(|source| look_at(source, salt)).collect();
    let mut skipped: Vec<SkippedFile> = listing
        .unreadable
        .into_iter()
        .map(|(path, reason)| SkippedFile { path, reason: SkipReason::Unreadable { reason } })
        .collect();
    let (mut instances, mut segmentation_files) = (Vec::new(), Vec::new());
    for found in found {
        match found {
            Found::Image(image) => instances.push(*image),
            Found::Segmentation(file) => segmentation_files.push(*file),
            Found::Skipped(file) => skipped.push(file),
        }
    }
    skipped.sort_by(|a, b| a.path.cmp(&b.path));
    if instances.is_empty() && segmentation_files.is_empty() {
        return Err(nothing_found(skipped, root));
    }
    let mut inventory = Inventory {
        series: Vec::new(),
        segmentations: segmentation_files.iter().map(|file| file.summary.clone()).collect(),
        skipped,
        root: root.to_owned(),
        instances,
        stacks: Vec::new(),
        segmentation_files,
    };
    let mut by_series: BTreeMap<(Option<i64>, String), Vec<usize>> = BTreeMap::new();
    let mut numbers: BTreeMap<&str, Option<i64>> = BTreeMap::new();
    for (n, instance) in inventory.instances.iter().enumerate() {
        let number = *numbers.entry(&instance.series_uid).or_insert(instance.series_number);
        by_series.entry((number, instance.series_uid.clone())).or_default().push(n);
    }
    for members in by_series.into_values() {
        inventory.add_series(members);
    }
    Ok(inventory)
}

fn nothing_found(skipped: Vec<SkippedFile>, root: &Path) -> DicomError {
    let path = root.to_owned();
    let files = skipped.len();
    // What is wrong with a DICOM file says more than that a text is none.
    let telling = skipped.iter().find(|s| s.reason != SkipReason::NotDicom).or(skipped.first());
    match telling {
        Some(SkippedFile { reason: SkipReason::NotDicom, .. }) | None => DicomError::NotDicom { files, path },
        Some(SkippedFile { reason, path: file }) => {
            DicomError::NoImages { files, example: file.clone(), reason: reason.to_string(), path }
        }
    }
}

impl Inventory {
    /// Summarises the stacks of one series.
    fn add_series(&mut self, members: Vec<usize>) {
        let instances = &self.instances;
        let Some(&first) = members.first() else { return };
        let example = |members: &[usize]| instances[members.first().copied().unwrap_or(first)].source.path.clone();
        let obstacle_of = |member: usize| instances[member].obstacle.clone();
        let damaged = members.iter().find_map(|&m| match &instances[m].obstacle {
            Some(Obstacle::Damaged { reason }) => {
                let path = instances[m].source.path.display();
                Some(Obstacle::Damaged { reason: format!("{reason} ({path}); copy it again or take it out") })
            }
            _ => None,
        });
        let (localizers, slices): (Vec<usize>, Vec<usize>) =
            members.iter().partition(|&&m| instances[m].localizer && instances[m].planes.len() < 8);
        let (left_out, mut usable): (Vec<usize>, Vec<usize>) =
            slices.iter().partition(|&&m| instances[m].obstacle.is_some());
        let duplicates = without_duplicate_files(instances, &mut usable);
        if usable.is_empty() {
            let obstacle = damaged.or_else(|| left_out.first().and_then(|&m| obstacle_of(m)));
            let obstacle = obstacle.or_else(|| localizers.first().and_then(|&m| obstacle_of(m)));
            let summary = SeriesSummary {
                obstacle: Some(obstacle.unwrap_or(Obstacle::Localizer)),
                ..self.summary(&members, None)
            };
            let example = example(&left_out);
            self.series.push(summary);
            self.stacks.push(SeriesStack { stack: None, example });
            return;
        }
        let mut common = Vec::new();
        if !localizers.is_empty() {
            common.push(Finding::LocalizersLeftOut { images: localizers.len() });
        }
        if duplicates > 0 {
            common.push(Finding::DuplicateFiles { files: duplicates });
        }
        // A damaged image is no image left out: without it the series is no volume.
        let others: Vec<usize> = left_out
            .into_iter()
            .filter(|&m| !matches!(instances[m].obstacle, Some(Obstacle::Damaged { .. })))
            .collect();
        if let Some(obstacle) = others.first().and_then(|&m| obstacle_of(m)) {
            common.push(Finding::ImagesLeftOut { images: others.len(), reason: obstacle.to_string() });
        }
        let stacks = stacks(instances, &usable);
        let several = stacks.len() > 1;
        for (n, stack) in stacks.into_iter().enumerate() {
            let mut files: Vec<usize> = stack.slices.iter().map(|slice| slice.instance).collect();
            files.dedup();
            files.sort_unstable();
            files.dedup();
            let mut summary = self.summary(&files, several.then_some(n + 1));
            summary.findings.extend(stack.findings.iter().chain(&common).cloned());
            summary.obstacle = damaged.clone();
            match &stack.layout {
                Ok(layout) => {
                    summary.findings.extend(layout.findings.iter().cloned());
                    summary.geometry = summary.obstacle.is_none().then_some(layout.geometry);
                }
                Err(obstacle) => summary.obstacle = summary.obstacle.or(Some(obstacle.clone())),
            }
            crate::series::value_findings(&self.instances, &stack, &mut summary.findings);
            let example = example(&files);
            let stack = summary.obstacle.is_none().then_some(stack);
            self.series.push(summary);
            self.stacks.push(SeriesStack { stack, example });
        }
    }

    fn summary(&self, files: &[usize], stack: Option<usize>) -> SeriesSummary {
        let all = || files.iter().map(|&n| &self.instances[n]);
        let first = &self.instances[files[0]];
        SeriesSummary {
            uid: first.series_uid.clone(),
            stack,
            modality: first.modality,
            body_part: first.body_part.clone(),
            description: first.description.clone(),
            number: first.series_number,
            geometry: None,
            files: files.len(),
            contrast: all().any(|instance| instance.contrast),
            findings: Vec::new(),
            obstacle: None,
        }
    }
}

/// Bytes read at first; most headers are shorter.
const FIRST_READ: u64 = 16 << 10;

fn look_at(source: Source, salt: Salt) -> Found {
    let skipped = |source: Source, reason| Found::Skipped(SkippedFile { path: source.path, reason });
    let mut count = FIRST_READ;
    loop {
        let (bytes, total) = match source.prefix(count) {
            Ok(prefix) => prefix,
            Err(e) => return skipped(source, SkipReason::Unreadable { reason: e.to_string() }),
        };
        match read_header(&bytes, total) {
            Ok(header) => return sort_out(source, &header, total, salt),
            Err(HeaderError::Deflated { .. }) => return look_at_deflated(source, salt),
            Err(HeaderError::Damaged(DataSetError::NeedMore { bytes })) if count < total => {
                count = (bytes + FIRST_READ).max(4 * count);
            }
            Err(e) => return skipped(source, reason_of(&e)),
        }
    }
}

fn look_at_deflated(source: Source, salt: Salt) -> Found {
    let skipped = |source: Source, reason| Found::Skipped(SkippedFile { path: source.path, reason });
    let bytes = match source.whole() {
        Ok(bytes) => bytes,
        Err(e) => return skipped(source, SkipReason::Unreadable { reason: e.to_string() }),
    };
    let Err(HeaderError::Deflated { start }) = read_header(&bytes, bytes.len() as u64) else {
        return skipped(source, SkipReason::Unreadable { reason: "the file changed while it was read".to_owned() });
    };
    let mut count = FIRST_READ;
    loop {
        let (inflated, ended) = match inflate(&bytes[start..], count) {
            Ok(inflated) => inflated,
            Err(e) => return skipped(source, SkipReason::Damaged { reason: format!("cannot inflate: {e}") }),
        };
        // How long a deflated stream is shows at its end only; before it, the most it can be.
        let total = if ended { inflated.len() as u64 } else { (bytes.len() as u64).saturating_mul(1032) };
        match read_deflated(&bytes, &inflated, total) {
            Ok(header) => return sort_out(source, &header, total, salt),
            Err(HeaderError::Damaged(DataSetError::NeedMore { bytes })) if !ended => {
                count = (bytes + FIRST_READ).max(4 * count);
            }
            Err(e) => return skipped(source, reason_of(&e)),
        }
    }
}

fn reason_of(error: &HeaderError) -> SkipReason {
    match error {
        HeaderError::NotDicom => SkipReason::NotDicom,
        error => SkipReason::Damaged { reason: error.to_string() },
    }
}

fn sort_out(source: Source, header: &Header<'_>, total: u64, salt: Salt) -> Found {
    let data_set = &header.data_set;
    let skip = |source: Source, reason| Found::Skipped(SkippedFile { path: source.path, reason });
    let class = data_set
        .ascii(tags::SOP_CLASS_UID)
        .or_else(|| header.meta.ascii(tags::MEDIA_STORAGE_SOP_CLASS_UID))
        .map(|class| class.into_owned());
    let has_image = header.pixels.is_some() || data_set.whole(tags::ROWS).is_some();
    match class.as_deref() {
        Some(uids::MEDIA_STORAGE_DIRECTORY_STORAGE) => skip(source, SkipReason::Index),
        Some(uids::SEGMENTATION_STORAGE | uids::LABEL_MAP_SEGMENTATION_STORAGE) => {
            match segmentation_file(source.clone(), header, total, salt) {
                Ok(file) => Found::Segmentation(Box::new(file)),
                Err(reason) => skip(source, SkipReason::Damaged { reason }),
            }
        }
        Some(class) if !has_image => skip(source, SkipReason::NotAnImage { class: class_name(class).to_owned() }),
        // Bytes that only happen to begin like a data set.
        None if !has_image => skip(source, SkipReason::NotDicom),
        _ => Found::Image(Box::new(instance(source, header, total, salt))),
    }
}

/// What people call the classes of DICOM files that hold no image.
fn class_name(class: &str) -> &'static str {
    const NAMES: [(&str, &str); 10] = [
        ("1.2.840.10008.5.1.4.1.1.88.", "structured report"),
        ("1.2.840.10008.5.1.4.1.1.11.", "presentation state"),
        ("1.2.840.10008.5.1.4.1.1.481.3", "contour set (RTSTRUCT)"),
        ("1.2.840.10008.5.1.4.1.1.481.", "radiotherapy plan, dose or record"),
        ("1.2.840.10008.5.1.4.1.1.104.", "document (PDF, CDA or mesh)"),
        ("1.2.840.10008.5.1.4.1.1.9.", "waveform"),
        ("1.2.840.10008.5.1.4.1.1.66.5", "surface segmentation"),
        ("1.2.840.10008.5.1.4.1.1.66", "raw data, registration or fiducials"),
        ("1.2.840.10008.5.1.4.1.1.4.2", "spectroscopy"),
        ("1.2.840.10008.5.1.4.", "object"),
    ];
    NAMES.into_iter().find(|(prefix, _)| class.starts_with(prefix)).map_or("object of unknown class", |(_, name)| name)
}
