//! What is in a scan, and what could be made of it.

use std::fmt;
use std::path::Path;

use dicom::Modality;
use neural::card::{ScanFacts, Task};
use serde::Serialize;
use volume::ImageGeometry;
use volume::formats::{self, Format};

use crate::error::PipelineError;
use crate::models::{ModelEntry, Models};
use crate::recipe::{self, CT_BASIC, CT_FINE, CT_ORGANS, LABELS, MR_BRAIN, MR_HEAD, Recipe, by_model, ct_fine};
use crate::source::{Kind, Source, guess};

/// What lies at a path. Holds the UIDs that `--series` takes; not for keeping.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Inspection {
    /// `DICOM`, `NIfTI` or `NRRD`.
    pub format: &'static str,
    /// In the order of their numbers.
    pub series: Vec<InspectedSeries>,
    /// DICOM SEG objects.
    pub segmentations: Vec<InspectedSegmentation>,
    /// Files that would be left out.
    pub skipped: Vec<Skipped>,
    /// Number of the series that `build` takes unless told otherwise.
    pub default_series: Option<usize>,
}

/// A stack of slices, or a volume in one file.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct InspectedSeries {
    /// For `--series`, from 1.
    pub number: usize,
    /// For `--series` too: the UID, with the number of the stack where the series holds several. DICOM with a UID only.
    pub selector: Option<String>,
    /// `CT`, `MR`, …; with a question mark if it is a guess from the values.
    pub modality: String,
    /// As the scanner names it.
    pub body_part: Option<String>,
    /// What the scanner calls it, free of identity.
    pub description: Option<String>,
    /// Absent if this is no volume.
    pub geometry: Option<InspectedGeometry>,
    /// Number of files.
    pub files: usize,
    /// True if contrast agent is noted.
    pub contrast: bool,
    /// What was found, and what would be dropped or repaired.
    pub findings: Vec<String>,
    /// Why this is no volume.
    pub obstacle: Option<String>,
    /// What `build` could do; the first is its default.
    pub recipes: Vec<FittingRecipe>,
}

/// Where the voxels lie.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct InspectedGeometry {
    /// Columns, rows, slices.
    pub size: [usize; 3],
    /// Between voxel centres.
    pub spacing_mm: [f64; 3],
    /// Centre of the first voxel, LPS.
    pub origin_mm: [f64; 3],
    /// Row by row, as ITK prints it.
    pub direction: [f64; 9],
    /// Where columns, rows and slices point to.
    pub axes: String,
}

/// A recipe that fits.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FittingRecipe {
    /// For `--recipe`.
    pub name: &'static str,
    /// Of the recipe.
    pub version: &'static str,
    /// What it finds.
    pub what: &'static str,
    /// The model it would use.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// From scan to case, on this machine.
    pub expected_s: f64,
    /// True for the one that runs unless told otherwise.
    pub default: bool,
}

/// A DICOM SEG object.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct InspectedSegmentation {
    /// From 1.
    pub number: usize,
    /// Number of the series it refers to, if that is here.
    pub series: Option<usize>,
    /// Names of its segments.
    pub segments: Vec<String>,
}

/// A file that would be left out.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Skipped {
    /// Relative to what was inspected.
    pub file: String,
    /// Why.
    pub reason: String,
}

/// Looks at a folder or zip of DICOM files, one of them, NIfTI or NRRD.
///
/// `models` are those that recipes may use. DICOM voxels are not read. NIfTI and NRRD say nothing of the modality, so their voxels are, to guess it.
///
/// # Errors
/// [`PipelineError`] if there is nothing that could be a scan.
pub fn inspect(path: &Path, models: &Models) -> Result<Inspection, PipelineError> {
    match Source::open(path)? {
        Source::Dicom(inventory) => Ok(inspect_dicom(&inventory, models)),
        Source::File { format, path } => inspect_file(format, &path, models),
    }
}

fn inspect_file(format: Format, path: &Path, models: &Models) -> Result<Inspection, PipelineError> {
    let oriented = formats::inspect(path)?.oriented;
    let scan = formats::read_scan(path)?;
    let kind = guess(&scan);
    let geometry = scan.geometry();
    let contrast = by_model::contrast_of_file(path, kind);
    let look = Look { kind, guess: true, contrast, body_part: None, geometry, labelled: false };
    let series = InspectedSeries {
        number: 1,
        selector: None,
        modality: match kind {
            Kind::Ct => "CT?",
            Kind::Mr => "MR?",
            Kind::Labels => "SEG?",
            Kind::Other => "?",
        }
        .to_owned(),
        body_part: None,
        description: None,
        geometry: Some(scan.geometry().into()),
        files: 1,
        contrast: false,
        findings: if oriented { Vec::new() } else { vec![UNORIENTED.to_owned()] },
        obstacle: None,
        recipes: fitting(&look, models),
    };
    Ok(Inspection {
        format: format_name(format),
        series: vec![series],
        segmentations: Vec::new(),
        skipped: Vec::new(),
        default_series: Some(1),
    })
}

/// What is said of a file that does not tell how the patient lies.
pub(crate) const UNORIENTED: &str = "the file does not say how the patient lies in it; left and right, and front and back, are guesses and may be swapped";

pub(crate) const fn format_name(format: Format) -> &'static str {
    match format {
        Format::Nifti => "NIfTI",
        Format::Nrrd => "NRRD",
    }
}

fn inspect_dicom(inventory: &dicom::Inventory, models: &Models) -> Inspection {
    let labels: Vec<Vec<usize>> = (0..inventory.series.len()).map(|at| inventory.segmentations_of(at)).collect();
    let series = inventory
        .series
        .iter()
        .enumerate()
        .map(|(at, s)| {
            let labelled = !labels[at].is_empty();
            InspectedSeries {
                number: at + 1,
                selector: (!s.uid.is_empty()).then(|| s.selector()),
                modality: s.modality.to_string(),
                body_part: s.body_part.clone(),
                description: s.description.clone(),
                geometry: s.geometry.as_ref().map(InspectedGeometry::from),
                files: s.files,
                contrast: s.contrast,
                findings: s.findings.iter().map(ToString::to_string).collect(),
                obstacle: s.obstacle.as_ref().map(ToString::to_string),
                recipes: s.geometry.as_ref().map_or_else(Vec::new, |g| fitting(&Look::of(s, g, labelled), models)),
            }
        })
        .collect();
    let segmentations = inventory
        .segmentations
        .iter()
        .enumerate()
        .map(|(at, g)| InspectedSegmentation {
            number: at + 1,
            series: labels.iter().position(|of| of.contains(&at)).map(|s| s + 1),
            segments: g.segments.iter().map(|s| s.display.clone()).collect(),
        })
        .collect();
    let skipped = inventory
        .skipped
        .iter()
        .map(|s| Skipped { file: s.path.display().to_string(), reason: s.reason.to_string() })
        .collect();
    Inspection {
        format: "DICOM",
        series,
        segmentations,
        skipped,
        default_series: default_series(inventory).map(|at| at + 1),
    }
}

/// The position of the series that is taken unless told otherwise: of those that are volumes, one that a recipe fits, the
/// one with most voxels; the first among equals.
pub(crate) fn default_series(inventory: &dicom::Inventory) -> Option<usize> {
    let rank = |at: usize| {
        let series = &inventory.series[at];
        let geometry = series.geometry.as_ref()?;
        let fits = !fitting(&Look::of(series, geometry, false), &Models::default()).is_empty();
        Some((fits, geometry.voxel_count(), std::cmp::Reverse(at)))
    };
    (0..inventory.series.len()).filter(|&at| rank(at).is_some()).max_by_key(|&at| rank(at))
}

/// What recipes care about in a modality.
pub(crate) const fn kind_of(modality: Modality) -> Kind {
    match modality {
        Modality::Ct => Kind::Ct,
        Modality::Mr => Kind::Mr,
        _ => Kind::Other,
    }
}

/// What recipes and models care about in a scan.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Look<'a> {
    pub(crate) kind: Kind,
    /// True if the kind is a guess from the values.
    pub(crate) guess: bool,
    /// As a model's card names it, if anything says.
    pub(crate) contrast: Option<&'static str>,
    /// Body Part Examined, if it is there.
    pub(crate) body_part: Option<&'a str>,
    pub(crate) geometry: &'a ImageGeometry,
    /// True if somebody marked structures in it.
    pub(crate) labelled: bool,
}

impl<'a> Look<'a> {
    fn of(series: &'a dicom::SeriesSummary, geometry: &'a ImageGeometry, labelled: bool) -> Self {
        Self {
            kind: kind_of(series.modality),
            guess: false,
            contrast: by_model::contrast_of_series(series),
            body_part: series.body_part.as_deref(),
            geometry,
            labelled,
        }
    }

    /// For a model's card.
    pub(crate) fn facts(&self) -> ScanFacts<'a> {
        let modality = match self.kind {
            Kind::Ct => "CT",
            Kind::Mr => "MR",
            Kind::Labels => "SEG",
            Kind::Other => "OT",
        };
        ScanFacts {
            modality,
            modality_is_guess: self.guess,
            contrast: self.contrast,
            body_part: self.body_part,
            geometry: self.geometry,
        }
    }
}

/// The least extent of a scan that could hold a whole head, in mm.
const HEAD_MM: f64 = 130.0;

/// Fewer slices are no body.
const FEW_SLICES: usize = 3;

/// Why a recipe does not fit a scan, and what to do; `None` if it does.
pub(crate) fn misfit(recipe: &Recipe, look: &Look<'_>) -> Option<[String; 2]> {
    let Look { kind, geometry, labelled, .. } = *look;
    let [x, y, z] = [0, 1, 2].map(|a| geometry.size()[a] as f64 * geometry.spacing()[a]);
    let smallest = x.min(y).min(z);
    let (reason, remedy) = match recipe.name {
        "labels" if labelled || kind == Kind::Labels => return None,
        "labels" => ("there are no labels".to_owned(), "name them with --labels FILE"),
        "ct-basic" | "ct-fine" | "ct-organs" if kind != Kind::Ct => {
            ("it needs a CT in Hounsfield units".to_owned(), "choose a CT series")
        }
        "ct-basic" | "ct-fine" if geometry.size().into_iter().any(|n| n < FEW_SLICES) => {
            (format!("it needs {FEW_SLICES} slices or more"), "choose a series with more slices")
        }
        "ct-fine" if ct_fine::spacing_mm(geometry).is_none() => {
            let apart = geometry.max_spacing_mm();
            (format!("slices {apart:.2} mm apart are thin enough, or too many to be made thinner"), "use ct-basic")
        }
        "mr-head" | "mr-brain" if kind != Kind::Mr => ("it needs an MR".to_owned(), "choose an MR series"),
        "mr-head" if smallest < HEAD_MM => {
            (format!("{smallest:.0} mm do not hold a head"), "choose a series of the whole head")
        }
        _ => return None,
    };
    Some([reason, remedy.to_owned()])
}

/// The recipes that fit, the default first.
///
/// Those with a model need one that is here and that nothing forbids; what speaks against it puts them last. `mr-brain` is the
/// default of heads that say they are T1-weighted, others are asked for.
pub(crate) fn fitting(look: &Look<'_>, models: &Models) -> Vec<FittingRecipe> {
    // Labels that are there already are what somebody wanted to see.
    let order = if look.contrast == Some("T1") {
        [LABELS, CT_BASIC, CT_FINE, CT_ORGANS, MR_BRAIN, MR_HEAD]
    } else {
        [LABELS, CT_BASIC, CT_FINE, CT_ORGANS, MR_HEAD, MR_BRAIN]
    };
    let fits = |recipe: Recipe| {
        if misfit(&recipe, look).is_some() {
            return None;
        }
        if !recipe.uses_model() {
            return Some((recipe, None));
        }
        let facts = look.facts();
        let model = match recipe.task()? {
            Task::Segmentation => models.best_for(facts.modality, &facts),
            Task::SuperResolution => models.best_upsampler(facts.modality),
        };
        model.map(|model| (recipe, Some(model)))
    };
    let mut fitting: Vec<(Recipe, Option<ModelEntry>)> = order.into_iter().filter_map(fits).collect();
    let doubted = |model: &ModelEntry| !model.card.input.objections(&look.facts()).is_empty();
    fitting.sort_by_key(|(_, model)| model.as_ref().is_some_and(doubted));
    fitting
        .into_iter()
        .enumerate()
        .map(|(at, (r, model))| FittingRecipe {
            name: r.name,
            version: r.version,
            what: r.what,
            expected_s: (r.expected_with(look.geometry, model.as_ref().map(|m| &m.card)) * 10.0).round() / 10.0,
            model: model.map(|m| m.card.name),
            // These take long, and nobody asked.
            default: at == 0 && r != CT_ORGANS && r != CT_FINE,
        })
        .collect()
}

/// Names of all recipes, for errors.
pub(crate) fn recipe_names() -> String {
    recipe::RECIPES.iter().map(|r| r.name).collect::<Vec<_>>().join(", ")
}

impl From<&ImageGeometry> for InspectedGeometry {
    fn from(g: &ImageGeometry) -> Self {
        Self {
            size: g.size(),
            spacing_mm: g.spacing(),
            origin_mm: g.origin().get().to_array(),
            direction: g.direction().transpose().to_cols_array(),
            axes: g.axis_code().to_string(),
        }
    }
}

impl fmt::Display for Inspection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plural = |n: usize, one: &str| if n == 1 { format!("1 {one}") } else { format!("{n} {one}s") };
        if self.format == "DICOM" {
            writeln!(f, "DICOM: {} series, {}", self.series.len(), plural(self.segmentations.len(), "segmentation"))?;
        } else {
            writeln!(f, "{}: one volume", self.format)?;
        }
        for series in &self.series {
            let taken =
                if self.series.len() > 1 && self.default_series == Some(series.number) { " (default)" } else { "" };
            writeln!(f, "\n{}. {series}{taken}", series.number)?;
            series.details(f)?;
        }
        if !self.segmentations.is_empty() {
            writeln!(f)?;
        }
        for segmentation in &self.segmentations {
            let of = match segmentation.series {
                Some(series) => format!("of series {series}"),
                None => "of a series that is not here".to_owned(),
            };
            let names = match segmentation.segments.as_slice() {
                [] => "unnamed".to_owned(),
                all if all.len() <= SHOWN => all.join(", "),
                all => format!("{} and {} more; --json names all", all[..SHOWN].join(", "), all.len() - SHOWN),
            };
            writeln!(f, "segmentation {} {of}: {names}", segmentation.number)?;
        }
        self.write_skipped(f)
    }
}

/// More would hide what matters; `--json` has all.
const SHOWN: usize = 8;

impl Inspection {
    fn write_skipped(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.skipped.is_empty() {
            writeln!(f, "\nleft out: {}", self.skipped.len())?;
        }
        for skipped in self.skipped.iter().take(SHOWN) {
            writeln!(f, "  {}: {}", skipped.file, skipped.reason)?;
        }
        if self.skipped.len() > SHOWN {
            writeln!(f, "  … and {} more; --json lists all", self.skipped.len() - SHOWN)?;
        }
        Ok(())
    }
}

impl fmt::Display for InspectedSeries {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.modality)?;
        for text in [&self.body_part, &self.description].into_iter().flatten() {
            write!(f, ", {text}")?;
        }
        if self.contrast {
            f.write_str(", contrast agent noted")?;
        }
        write!(f, ", {} file{}", self.files, if self.files == 1 { "" } else { "s" })
    }
}

impl InspectedSeries {
    fn details(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(selector) = &self.selector {
            writeln!(f, "   --series {selector}")?;
        }
        if let Some(g) = &self.geometry {
            let [i, j, k] = g.size;
            let [x, y, z] = g.spacing_mm;
            writeln!(f, "   {i} × {j} × {k} voxels of {x:.3} × {y:.3} × {z:.3} mm, axes {}", g.axes)?;
        }
        for finding in &self.findings {
            writeln!(f, "   - {finding}")?;
        }
        if let Some(obstacle) = &self.obstacle {
            writeln!(f, "   no volume: {obstacle}")?;
        }
        for recipe in &self.recipes {
            let default = if recipe.default { ", default" } else { "" };
            let model = recipe.model.as_ref().map(|m| format!(", model {m}")).unwrap_or_default();
            writeln!(
                f,
                "   recipe {} (about {:.1} s{model}{default}): {}",
                recipe.name, recipe.expected_s, recipe.what
            )?;
        }
        if self.recipes.is_empty() && self.obstacle.is_none() {
            writeln!(f, "   no recipe fits; `build` needs --labels FILE or --recipe NAME")?;
        }
        Ok(())
    }
}
