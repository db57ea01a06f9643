//! From a scan to a case.

use std::path::PathBuf;

use case::{CaseContents, FindingEntry, FindingKind, Provenance, RecipeRef};
use surface::{SegmentSurface, SurfaceOptions, surfaces_of_labels};
use volume::LabelMap;

use crate::cache::{self, Cache};
use crate::error::PipelineError;
use crate::input::{Input, LabelSource, read_input};
use crate::inspect::{fitting, misfit, recipe_names};
use crate::progress::{Progress, StageTime, Stages};
use crate::recipe::{self, CT_BASIC, LABELS, MR_HEAD, Recipe};
use crate::source::Kind;
use crate::summary::{BuildSummary, BuiltSegment};
use crate::target;

/// What to build.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BuildRequest {
    /// A folder or zip of DICOM files, one of them, NIfTI or NRRD.
    pub scan: PathBuf,
    /// The case folder.
    pub out: PathBuf,
    /// UID or number of a DICOM series; the default one of `inspect` if absent.
    pub series: Option<String>,
    /// Name of a recipe; the default one of `inspect` if absent.
    pub recipe: Option<String>,
    /// A label map: NIfTI, NRRD or DICOM SEG, on any grid.
    pub labels: Option<PathBuf>,
    /// Name of a trained model.
    pub model: Option<String>,
    /// What the case is called.
    pub alias: Option<String>,
    /// Neither read nor write the cache.
    pub no_cache: bool,
}

/// Reads a scan, finds its structures, makes their surfaces and writes the case.
///
/// With labels in the request, or in a DICOM SEG beside the series that refers to it, those are the structures. A scan that
/// is itself a label map becomes a case whose grey values are made up from the labels, and says so.
///
/// # Errors
/// [`PipelineError`]; an older case at `out` is then as it was.
pub fn build(request: &BuildRequest, progress: &dyn Progress) -> Result<BuildSummary, PipelineError> {
    check_request(request)?;
    target::check(&request.out)?;
    let start = std::time::Instant::now();
    let mut stages = Stages::new(progress);
    let mut input = stages.run("read", |tell| read_input(request, tell))?;
    if let Some(alias) = &request.alias
        && input.identity.as_ref().is_some_and(|guard| guard.matches(alias))
    {
        return Err(PipelineError::AliasIsIdentity);
    }
    let recipe = choose_recipe(request, &input)?;
    let (labels, cached) = stages.run("segment", |tell| find_labels(request, &recipe, &mut input, tell))?;
    let surfaces = stages.run("surfaces", |tell| surfaces_of_labels(&labels, &SurfaceOptions::default(), tell))?;
    let written = stages.run("write", |tell| write(request, &recipe, &input, &labels, &surfaces, tell))?;
    let times: Vec<StageTime> = stages.times;
    Ok(BuildSummary {
        case: written.path().to_owned(),
        checksum: written.checksum().to_owned(),
        recipe: recipe.name,
        recipe_version: recipe.version,
        modality: input.modality.clone(),
        alias: request.alias.clone(),
        size: labels.geometry().size(),
        segments: written.manifest.segments.iter().map(BuiltSegment::from).collect(),
        cached,
        stages: times,
        total_s: start.elapsed().as_secs_f64(),
        notes: input.notes,
    })
}

/// What can be refused without looking at the scan.
fn check_request(request: &BuildRequest) -> Result<(), PipelineError> {
    if let Some(wanted) = &request.model {
        return Err(PipelineError::UnknownModel { wanted: wanted.clone() });
    }
    if let Some(wanted) = &request.recipe {
        if Recipe::find(wanted).is_none() {
            return Err(PipelineError::UnknownRecipe { wanted: wanted.clone(), known: recipe_names() });
        }
        if request.labels.is_some() && wanted != LABELS.name {
            return Err(PipelineError::LabelsAndRecipe { recipe: wanted.clone() });
        }
    }
    for path in [Some(&request.scan), request.labels.as_ref()].into_iter().flatten() {
        if !path.exists() {
            return Err(PipelineError::NotFound { path: path.clone() });
        }
    }
    Ok(())
}

/// The recipe asked for, if it fits; else labels if there are any; else what `inspect` puts first.
fn choose_recipe(request: &BuildRequest, input: &Input) -> Result<Recipe, PipelineError> {
    let labelled = input.labels.is_some();
    let geometry = input.scan.geometry();
    if let Some(recipe) = request.recipe.as_deref().and_then(Recipe::find) {
        // The kind of a file that does not say is a guess, so its user knows better.
        let kind = match (input.kind_is_guess, recipe.name) {
            (true, "ct-basic") => Kind::Ct,
            (true, "mr-head") => Kind::Mr,
            _ => input.kind,
        };
        return match misfit(&recipe, kind, geometry, labelled) {
            None => Ok(recipe),
            Some([reason, remedy]) => {
                Err(PipelineError::RecipeDoesNotFit { recipe: recipe.name.to_owned(), reason, remedy })
            }
        };
    }
    let first = fitting(input.kind, geometry, labelled).into_iter().next().and_then(|r| Recipe::find(r.name));
    first.ok_or_else(|| {
        let nearest = match input.kind {
            Kind::Ct => Some(CT_BASIC),
            Kind::Mr => Some(MR_HEAD),
            _ => None,
        };
        let why = nearest.and_then(|r| Some((r, misfit(&r, input.kind, geometry, labelled)?)));
        let what = match why {
            Some((r, [reason, remedy])) => format!("{} ({}: {reason}; {remedy})", input.describe(), r.name),
            None => input.describe(),
        };
        PipelineError::NoRecipe { what, known: recipe_names() }
    })
}

/// Labels on the scan's grid, and whether they came from the cache.
fn find_labels(
    request: &BuildRequest,
    recipe: &Recipe,
    input: &mut Input,
    tell: &(dyn Fn(f32) + Sync),
) -> Result<(LabelMap, bool), PipelineError> {
    if *recipe == LABELS {
        return Ok((placed_labels(input)?, false));
    }
    let cache = if request.no_cache { None } else { Cache::of_user() };
    let key = cache.as_ref().map(|_| cache::key(&input.scan, recipe));
    if let (Some(cache), Some(key)) = (&cache, &key)
        && let Some(voxels) = cache.load(key, input.scan.geometry())
    {
        return Ok((recipe::with_segments(recipe, voxels), true));
    }
    let nothing = || PipelineError::NothingFound {
        recipe: recipe.name.to_owned(),
        remedy: "look at the scan with `vestibule inspect`, or give labels with --labels FILE".to_owned(),
    };
    let labels = recipe::segment(recipe, &input.scan, tell)?.ok_or_else(nothing)?;
    if labels.segments.is_empty() {
        return Err(nothing());
    }
    if let (Some(cache), Some(key)) = (&cache, &key) {
        cache.store(key, &labels.voxels);
    }
    Ok((labels, false))
}

fn placed_labels(input: &mut Input) -> Result<LabelMap, PipelineError> {
    let Some(LabelSource { labels, path }) = input.labels.take() else {
        return Err(PipelineError::NothingFound {
            recipe: LABELS.name.to_owned(),
            remedy: "name labels with --labels FILE".to_owned(),
        });
    };
    if recipe::present_labels(&labels).is_empty() {
        return Err(PipelineError::NoLabels { path });
    }
    let placed = recipe::labels::place(labels, input.scan.geometry())?;
    if placed.labels.segments.is_empty() {
        return Err(PipelineError::LabelsElsewhere { path });
    }
    input.notes.extend(placed.notes);
    Ok(placed.labels)
}

fn write(
    request: &BuildRequest,
    recipe: &Recipe,
    input: &Input,
    labels: &LabelMap,
    surfaces: &[SegmentSurface],
    tell: &(dyn Fn(f32) + Sync),
) -> Result<case::Case, PipelineError> {
    let mut provenance = Provenance::new(input.source.clone());
    provenance.findings.clone_from(&input.findings);
    let notes = input.notes.iter().map(|n| FindingEntry { kind: FindingKind::Read, text: n.clone() });
    provenance.findings.extend(notes);
    provenance.measured.clone_from(&input.measured);
    provenance.interpolated.clone_from(&input.interpolated);
    provenance.inferred.clone_from(&input.inferred);
    let made_up = input.made_up.then(|| volume::Volume::filled(*input.scan.geometry(), 1_u8));
    let contents = CaseContents {
        scan: &input.scan,
        labels,
        surfaces,
        modality: input.modality.clone(),
        recipe: RecipeRef::new(recipe.name, recipe.version),
        alias: request.alias.clone(),
        provenance,
        windows: input.windows.clone(),
        trust: case::Trust { confidence: None, inferred: made_up.as_ref() },
    };
    Ok(case::write_case(&request.out, &contents, tell)?)
}
