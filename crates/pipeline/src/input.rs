//! What a build starts from: a scan, perhaps labels, and where both came from.

use std::path::{Path, PathBuf};

use case::{FindingEntry, FindingKind, WindowPreset};
use dicom::{Finding, IdentityGuard, Inventory, Modality};
use volume::formats::Format;
use volume::{LabelMap, ScanVolume};

use crate::build::BuildRequest;
use crate::error::PipelineError;
use crate::inspect::Look;
use crate::inspect::{UNORIENTED, default_series, format_name, kind_of};
use crate::recipe::labels::{made_up_scan, read as read_label_file};
use crate::recipe::{self, LABELS, by_model};
use crate::source::{Kind, Source, guess};

/// A scan that was read, and all that is known of it.
#[derive(Debug)]
pub(crate) struct Input {
    pub(crate) scan: ScanVolume,
    /// For the case: `CT`, `MR`, …
    pub(crate) modality: String,
    pub(crate) kind: Kind,
    /// True if nothing but the values says what kind it is.
    pub(crate) kind_is_guess: bool,
    /// As a model's card names it, if anything says.
    pub(crate) contrast: Option<&'static str>,
    /// Body Part Examined, if it is there.
    pub(crate) body_part: Option<String>,
    pub(crate) labels: Option<LabelSource>,
    /// Knows the patient by digests; `None` for formats without identity.
    pub(crate) identity: Option<IdentityGuard>,
    pub(crate) findings: Vec<FindingEntry>,
    /// Choices that were made for the user.
    pub(crate) notes: Vec<String>,
    pub(crate) windows: Vec<WindowPreset>,
    pub(crate) source: String,
    pub(crate) measured: String,
    pub(crate) interpolated: String,
    pub(crate) inferred: String,
    /// Slices of the grid that lie between measured ones, in gaps and where uneven distances were evened out.
    pub(crate) between: Vec<usize>,
    /// Those of them that lie in gaps of a series.
    pub(crate) missing: Vec<usize>,
    /// True if the grey values come from the labels.
    pub(crate) made_up: bool,
}

/// Labels, and the file to blame if they do not fit.
#[derive(Debug)]
pub(crate) struct LabelSource {
    pub(crate) labels: LabelMap,
    pub(crate) path: PathBuf,
}

const NOT_INFERRED: &str = "No voxel.";
const NOT_INTERPOLATED: &str = "No voxel.";

impl Input {
    /// The gap's slices as slices along `axis`, for what makes that axis finer: they lie along the last.
    pub(crate) fn missing_along(&self, axis: usize) -> Vec<usize> {
        if axis == 2 { self.missing.clone() } else { Vec::new() }
    }

    /// What recipes and models look at.
    pub(crate) fn look(&self) -> Look<'_> {
        Look {
            kind: self.kind,
            guess: self.kind_is_guess,
            contrast: self.contrast,
            body_part: self.body_part.as_deref(),
            geometry: self.scan.geometry(),
            labelled: self.labels.is_some(),
        }
    }

    /// The scan in a few words.
    pub(crate) fn describe(&self) -> String {
        let [i, j, k] = self.scan.geometry().size();
        let guess = if self.kind_is_guess { " (a guess)" } else { "" };
        format!("a scan of {i} × {j} × {k} voxels, modality {}{guess}", self.modality)
    }
}

/// Reads the scan of a request, and labels if it names some or some lie beside the series.
///
/// # Errors
/// [`PipelineError`].
pub(crate) fn read_input(request: &BuildRequest, tell: &(dyn Fn(f32) + Sync)) -> Result<Input, PipelineError> {
    let mut input = match Source::open(&request.scan)? {
        Source::Dicom(inventory) => {
            tell(0.1);
            read_dicom(request, &inventory)?
        }
        Source::File { format, path } => {
            if request.series.is_some() {
                return Err(PipelineError::SeriesWithoutDicom);
            }
            read_file(request, format, &path)?
        }
    };
    tell(0.8);
    if let Some(path) = &request.labels
        && input.labels.is_none()
    {
        input.labels = Some(read_labels(path, &mut input)?);
    }
    Ok(input)
}

fn read_dicom(request: &BuildRequest, inventory: &Inventory) -> Result<Input, PipelineError> {
    let at = choose_series(request, inventory)?;
    let dicom::Scan { volume, modality, window, report, identity, .. } = dicom::read_series(inventory, at)?;
    let mut notes = Vec::new();
    let volumes = inventory.series.iter().filter(|s| s.geometry.is_some()).count();
    if volumes > 1 && request.series.is_none() {
        notes.push(format!("series {} of {volumes} that are volumes was taken, the largest; --series chooses", at + 1));
    }
    let mut input = Input {
        modality: modality.to_string(),
        kind: kind_of(modality),
        kind_is_guess: false,
        contrast: by_model::contrast_of_series(&inventory.series[at]),
        body_part: inventory.series[at].body_part.clone(),
        labels: None,
        identity: Some(identity),
        findings: report.findings.iter().map(entry).collect(),
        notes,
        windows: Vec::new(),
        source: format!("DICOM series, {} file{}", report.files, if report.files == 1 { "" } else { "s" }),
        measured: measured(&report),
        interpolated: interpolated(&report),
        inferred: NOT_INFERRED.to_owned(),
        between: report.interpolated_slices.clone(),
        missing: report.gap_slices.clone(),
        made_up: false,
        scan: volume,
    };
    let own_window = window.filter(|_| modality != Modality::Ct);
    if let Some((center, width)) = own_window.filter(|(c, w)| c.is_finite() && *w > 0.0) {
        input.windows = vec![WindowPreset::new("As scanned", center, width)];
        input.windows.extend(case::default_windows(&input.modality, &input.scan));
    }
    let wants_labels = request.labels.is_none()
        && request.model.is_none()
        && request.recipe.as_deref().is_none_or(|r| r == LABELS.name);
    let beside = inventory.segmentations_of(at);
    if let Some(&number) = beside.first().filter(|_| wants_labels) {
        let labels = dicom::read_segmentation(inventory, number, Some(input.scan.geometry()))?;
        if request.recipe.is_none() {
            let which = match beside.len() {
                1 => "a DICOM SEG beside the series refers to it and was taken as its labels".to_owned(),
                n => format!("the first of {n} DICOM SEG files that refer to the series was taken as its labels"),
            };
            input.notes.push(format!("{which}; --recipe or --labels choose otherwise"));
        }
        input.labels = Some(LabelSource { labels, path: request.scan.clone() });
    }
    Ok(input)
}

fn choose_series(request: &BuildRequest, inventory: &Inventory) -> Result<usize, PipelineError> {
    let series = &inventory.series;
    let at = match &request.series {
        Some(wanted) => {
            let number = wanted.parse::<usize>().ok().and_then(|n| n.checked_sub(1));
            match number.filter(|&n| n < series.len()) {
                Some(at) => at,
                None => inventory.find(wanted)?,
            }
        }
        None => match default_series(inventory) {
            Some(at) => at,
            None => {
                let reasons: Vec<String> =
                    series.iter().filter_map(|s| s.obstacle.as_ref()).map(ToString::to_string).collect();
                let reasons = match (reasons.is_empty(), inventory.segmentations.is_empty()) {
                    (false, _) => reasons.join("; "),
                    (true, true) => "there is none".to_owned(),
                    (true, false) => {
                        "there is a segmentation only; give the scan it was made from, and this with --labels"
                            .to_owned()
                    }
                };
                return Err(PipelineError::NoVolume { reasons, path: request.scan.clone() });
            }
        },
    };
    match &series[at].obstacle {
        Some(obstacle) if series[at].geometry.is_none() => {
            Err(PipelineError::NoVolume { reasons: obstacle.to_string(), path: request.scan.clone() })
        }
        _ => Ok(at),
    }
}

fn read_file(request: &BuildRequest, format: Format, path: &Path) -> Result<Input, PipelineError> {
    let oriented = volume::formats::inspect(path)?.oriented;
    let scan = volume::formats::read_scan(path)?;
    let mut kind = guess(&scan);
    // A recipe for scans says that these are grey values, whatever they look like.
    if kind == Kind::Labels && request.recipe.as_deref().is_some_and(|r| r != LABELS.name) {
        kind = Kind::Other;
    }
    let warning = (!oriented).then(|| FindingEntry { kind: FindingKind::Warning, text: UNORIENTED.to_owned() });
    let mut input = Input {
        modality: String::new(),
        kind,
        kind_is_guess: true,
        contrast: by_model::contrast_of_file(path, kind),
        body_part: None,
        labels: None,
        identity: None,
        findings: warning.clone().into_iter().collect(),
        notes: warning.into_iter().map(|w| w.text).collect(),
        windows: Vec::new(),
        source: format_name(format).to_owned(),
        measured: "All voxels of the scan, as its file has them.".to_owned(),
        interpolated: NOT_INTERPOLATED.to_owned(),
        inferred: NOT_INFERRED.to_owned(),
        between: Vec::new(),
        missing: Vec::new(),
        made_up: false,
        scan,
    };
    let asked = request.recipe.as_deref();
    input.modality = match kind {
        _ if [recipe::CT_BASIC.name, recipe::CT_FINE.name, recipe::CT_ORGANS.name].map(Some).contains(&asked) => "CT",
        _ if [recipe::MR_HEAD.name, recipe::MR_BRAIN.name].map(Some).contains(&asked) => "MR",
        Kind::Ct => "CT",
        Kind::Mr => "MR",
        // DICOM's term for what is none of its kinds.
        Kind::Labels | Kind::Other => "OT",
    }
    .to_owned();
    if kind == Kind::Labels {
        take_labels_as_scan(request, path, &mut input)?;
    } else if asked.is_none() && request.labels.is_none() {
        input.notes.push(format!("the file does not say what it is; its values look like {}", input.modality));
    }
    Ok(input)
}

/// A scan that is a label map: its structures are shown, and its grey values are made up from them.
fn take_labels_as_scan(request: &BuildRequest, path: &Path, input: &mut Input) -> Result<(), PipelineError> {
    let same = request.labels.as_ref().is_none_or(|l| same_file(l, path));
    let (labels, notes) = if same { read_label_file(path)? } else { (volume::formats::read_labels(path)?, Vec::new()) };
    input.scan = made_up_scan(&labels);
    input.made_up = true;
    input.modality = "SEG".to_owned();
    input.windows = vec![WindowPreset::new("Made up from labels", 40.0, 400.0)];
    input.measured = "No voxel: the scan given is a label map.".to_owned();
    input.inferred = "All grey values: they were made up from the labels, one value a structure.".to_owned();
    let text = "the scan is a label map; grey values were made up from its labels and are no measurement".to_owned();
    input.findings.push(FindingEntry { kind: FindingKind::Warning, text: text.clone() });
    input.notes.push(text);
    if same {
        input.notes.extend(notes);
        input.labels = Some(LabelSource { labels, path: path.to_owned() });
    }
    Ok(())
}

fn same_file(a: &Path, b: &Path) -> bool {
    a == b || matches!((std::fs::canonicalize(a), std::fs::canonicalize(b)), (Ok(a), Ok(b)) if a == b)
}

fn read_labels(path: &Path, input: &mut Input) -> Result<LabelSource, PipelineError> {
    let labels = match Source::open(path)? {
        Source::File { path, .. } => {
            let (labels, notes) = read_label_file(&path)?;
            input.notes.extend(notes);
            labels
        }
        Source::Dicom(inventory) if inventory.segmentations.is_empty() => {
            return Err(PipelineError::NoLabels { path: path.to_owned() });
        }
        Source::Dicom(inventory) => dicom::read_segmentation(&inventory, 0, Some(input.scan.geometry()))?,
    };
    Ok(LabelSource { labels, path: path.to_owned() })
}

fn measured(report: &dicom::SeriesReport) -> String {
    let slices = report.measured_slices;
    if is_moved(report) {
        format!("{slices} slices, resampled to an even, right-angled grid.")
    } else {
        format!("{slices} slices, voxel for voxel.")
    }
}

fn interpolated(report: &dicom::SeriesReport) -> String {
    let gaps = |n: usize| if n == 1 { "1 slice lies in a gap".to_owned() } else { format!("{n} slices lie in gaps") };
    match (report.gap_slices.len(), is_moved(report)) {
        (0, false) => NOT_INTERPOLATED.to_owned(),
        (0, true) => "All voxels, between the measured ones around them.".to_owned(),
        (n, false) => format!("{n} slice{} where the series has gaps.", if n == 1 { "" } else { "s" }),
        (n, true) => format!("All voxels; {}.", gaps(n)),
    }
}

/// True if measured slices are not where they were; where they only have gaps between them they are.
fn is_moved(report: &dicom::SeriesReport) -> bool {
    let moves = |f: &Finding| {
        matches!(f, Finding::UnevenSpacing { .. } | Finding::GantryTilt { .. } | Finding::ShiftedSlices { .. })
    };
    report.resampled && report.findings.iter().any(moves)
}

/// What was done about a finding.
fn entry(finding: &Finding) -> FindingEntry {
    let kind = match finding {
        Finding::LocalizersLeftOut { .. }
        | Finding::DuplicateFiles { .. }
        | Finding::DuplicateSlices { .. }
        | Finding::ImagesLeftOut { .. } => FindingKind::Dropped,
        Finding::Gap { .. }
        | Finding::UnevenSpacing { .. }
        | Finding::GantryTilt { .. }
        | Finding::ShiftedSlices { .. } => FindingKind::Repaired,
        Finding::SkewedAxes { .. }
        | Finding::SingleSlice
        | Finding::LossyCompression
        | Finding::SlicesApart { .. }
        | Finding::RealWorldValuesUnused => FindingKind::Warning,
        _ => FindingKind::Read,
    };
    FindingEntry { kind, text: finding.to_string() }
}
