//! From a scan to a case.

use std::path::PathBuf;

use case::{CaseContents, FindingEntry, FindingKind, Provenance, RecipeRef};
use neural::card::{ScanFacts, Task};
use neural::model::RunOptions;
use surface::{SegmentSurface, SurfaceOptions, surfaces_of_labels};
use volume::{LabelMap, Volume, resample};

use crate::cache::{self, Cache};
use crate::error::PipelineError;
use crate::input::{Input, LabelSource, read_input};
use crate::inspect::{Look, fitting, misfit, recipe_names};
use crate::models::{ModelEntry, Models};
use crate::progress::{Progress, StageTime, Stages};
use crate::recipe::ct_fine::{self, Refined};
use crate::recipe::{self, CT_BASIC, CT_FINE, LABELS, MR_HEAD, Recipe, by_model};
use crate::source::Kind;
use crate::summary::{BuildSummary, BuiltSegment};
use crate::target;
use crate::upsample::Upsampler;

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
    /// Where models are looked for.
    pub models: Models,
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
    let model = choose_model(request, &recipe, &mut input)?;
    let cache = if request.no_cache { None } else { Cache::of_user() };
    let finer = match model.as_ref().filter(|_| recipe == CT_FINE) {
        Some(model) => {
            // What the file does not say, the recipe does.
            let facts = ScanFacts { modality: "CT", ..input.look().facts() };
            let upsampler = Upsampler::choose(&request.models, Some(&model.card.name), None, &facts)?;
            Some(ct_fine::refine(&mut input, upsampler, cache.as_ref(), &mut stages)?)
        }
        None => None,
    };
    let is_finer = finer.is_some();
    let Structures { mut labels, confidence, cached } =
        stages.run("segment", |tell| find_labels(&recipe, model.as_ref(), &mut input, finer, cache.as_ref(), tell))?;
    let surfaces = stages.run("surfaces", |tell| surfaces_of_labels(&labels, &SurfaceOptions::default(), tell))?;
    if is_finer {
        labels.voxels = resample::nearest(&labels.voxels, input.scan.geometry(), volume::BACKGROUND);
    }
    let written = stages.run("write", |tell| {
        write(request, &recipe, model.as_ref(), &input, (&labels, confidence.as_ref()), &surfaces, tell)
    })?;
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
        models: model.iter().map(ModelEntry::used).collect(),
        cached,
        stages: times,
        total_s: start.elapsed().as_secs_f64(),
        notes: input.notes,
    })
}

/// What can be refused without looking at the scan.
fn check_request(request: &BuildRequest) -> Result<(), PipelineError> {
    if let Some(wanted) = &request.model {
        request.models.find(wanted)?;
        let recipe = request.recipe.as_deref().and_then(Recipe::find).filter(|r| !r.uses_model());
        let unused = match (recipe, &request.labels) {
            (Some(recipe), _) => Some(format!("recipe `{}`", recipe.name)),
            (None, Some(_)) => Some("a build from --labels".to_owned()),
            (None, None) => None,
        };
        if let Some(what) = unused {
            return Err(PipelineError::ModelUnused { what });
        }
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
    let look = input.look();
    let named = request.model.as_deref().map(|name| request.models.find(name)).transpose()?;
    let asked = request.recipe.as_deref().and_then(Recipe::find);
    if let Some(recipe) = asked.or_else(|| named.map(|model| Recipe::of_model(&model.card))) {
        // The kind of a file that does not say is a guess, so its user knows better.
        let kind = match (input.kind_is_guess, recipe.name) {
            (true, "ct-basic" | "ct-fine" | "ct-organs") => Kind::Ct,
            (true, "mr-head" | "mr-brain") => Kind::Mr,
            _ => input.kind,
        };
        return match misfit(&recipe, &Look { kind, ..look }) {
            None => Ok(recipe),
            Some([reason, remedy]) => {
                Err(PipelineError::RecipeDoesNotFit { recipe: recipe.name.to_owned(), reason, remedy })
            }
        };
    }
    let first = fitting(&look, &request.models).into_iter().find(|r| r.default).and_then(|r| Recipe::find(r.name));
    first.ok_or_else(|| {
        let nearest = match input.kind {
            Kind::Ct => Some(CT_BASIC),
            Kind::Mr => Some(MR_HEAD),
            _ => None,
        };
        let why = nearest.and_then(|r| Some((r, misfit(&r, &look)?)));
        let what = match why {
            Some((r, [reason, remedy])) => format!("{} ({}: {reason}; {remedy})", input.describe(), r.name),
            None => input.describe(),
        };
        PipelineError::NoRecipe { what, known: recipe_names() }
    })
}

/// The model of a recipe that uses one: the one asked for, else the best that fits. What speaks against it becomes a note.
fn choose_model(
    request: &BuildRequest,
    recipe: &Recipe,
    input: &mut Input,
) -> Result<Option<ModelEntry>, PipelineError> {
    if !recipe.uses_model() {
        return Ok(None);
    }
    let facts = input.look().facts();
    if recipe.task() == Some(Task::SuperResolution) {
        return match &request.model {
            Some(name) => request.models.find_for(Task::SuperResolution, name),
            None => request.models.best_upsampler(facts.modality).ok_or(PipelineError::NoUpsampler),
        }
        .map(Some);
    }
    let modality = if *recipe == recipe::CT_ORGANS { "CT" } else { "MR" };
    let model = match &request.model {
        Some(name) => request.models.find_for(Task::Segmentation, name)?,
        None => match (request.models.best_for(modality, &facts), request.models.nearest_for(modality)) {
            (Some(model), _) => model,
            // Its card says why it does not fit.
            (None, Some(model)) => model,
            (None, None) => return Err(PipelineError::NoModel { recipe: recipe.name.to_owned() }),
        },
    };
    let notes = by_model::check(&model.card, &facts)?;
    if request.model.is_none() && model.is_embedded() {
        let card = &model.card;
        input.notes.push(format!(
            "no model was named, so `{}` {} is used, which comes with this program and finds {} structures; `vestibule models \
             add` takes others",
            card.name,
            card.version,
            card.classes.len()
        ));
    }
    input.notes.extend(notes);
    Ok(Some(model))
}

/// What was found in a scan, on its own grid or that of the finer one.
struct Structures {
    labels: LabelMap,
    /// How sure a model is of each voxel, in percent; none if no model tells.
    confidence: Option<Volume<u8>>,
    cached: bool,
}

/// Labels, from the cache if they lie there; by intensity in the finer scan if there is one.
fn find_labels(
    recipe: &Recipe,
    model: Option<&ModelEntry>,
    input: &mut Input,
    finer: Option<Refined>,
    cache: Option<&Cache>,
    tell: &(dyn Fn(f32) + Sync),
) -> Result<Structures, PipelineError> {
    let by_recipe = |labels, cached| Structures { labels, confidence: None, cached };
    if *recipe == LABELS {
        return Ok(by_recipe(placed_labels(input)?, false));
    }
    if let Some(model) = model.filter(|m| m.card.network.task() == Task::Segmentation) {
        let found = by_model::run(model, &input.scan, RunOptions::default(), cache, &by_model::model_part(tell))?;
        if found.labels.data().iter().all(|&l| l == volume::BACKGROUND) {
            let remedy = format!("look whether model `{}` was made for such a scan", model.card.name);
            return Err(PipelineError::NothingFound { recipe: recipe.name.to_owned(), remedy });
        }
        let labels = by_model::with_surroundings(recipe, &model.card, &input.scan, found.labels, tell)?;
        let mut confidence = found.confidence;
        if let Some(confidence) = &mut confidence {
            by_model::leave_out_surroundings(confidence, &labels);
        }
        return Ok(Structures { labels, confidence, cached: found.cached });
    }
    let made;
    let (scan, key) = match finer {
        Some(Refined::Labels(voxels)) => return Ok(by_recipe(recipe::with_segments(recipe, voxels), true)),
        Some(Refined::Scan(scan, key)) => {
            made = scan;
            (&made, key)
        }
        None => (&input.scan, cache.map(|_| cache::key(&input.scan, &[recipe.name, recipe.version]))),
    };
    if let (Some(cache), Some(key)) = (cache, &key)
        && let Some(voxels) = cache.load(key, scan.geometry())
    {
        return Ok(by_recipe(recipe::with_segments(recipe, voxels), true));
    }
    let nothing = || PipelineError::NothingFound {
        recipe: recipe.name.to_owned(),
        remedy: "look at the scan with `vestibule inspect`, or give labels with --labels FILE".to_owned(),
    };
    let labels = recipe::segment(recipe, scan, tell)?.ok_or_else(nothing)?;
    if labels.segments.is_empty() {
        return Err(nothing());
    }
    if let (Some(cache), Some(key)) = (cache, &key) {
        cache.store(key, &labels.voxels);
    }
    Ok(by_recipe(labels, false))
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

/// What was not measured; none if all was. The slices that a series lacks are [`case::INTERPOLATED`]; where a model made the
/// slices finer it had a part in them too.
fn inferred(input: &Input, refined: bool) -> Option<Volume<u8>> {
    let grid = *input.scan.geometry();
    if input.made_up {
        return Some(Volume::filled(grid, 1_u8));
    }
    if !refined && input.between.is_empty() {
        return None;
    }
    let value = |k: usize| match refined {
        true if input.missing.contains(&k) => 1,
        true => case::REFINED,
        false if input.between.contains(&k) => case::INTERPOLATED,
        false => 0,
    };
    Some(Volume::from_fn(grid, |[_, _, k]| value(k)))
}

fn write(
    request: &BuildRequest,
    recipe: &Recipe,
    model: Option<&ModelEntry>,
    input: &Input,
    (labels, confidence): (&LabelMap, Option<&Volume<u8>>),
    surfaces: &[SegmentSurface],
    tell: &(dyn Fn(f32) + Sync),
) -> Result<case::Case, PipelineError> {
    let mut provenance = Provenance::new(input.source.clone());
    provenance.findings.clone_from(&input.findings);
    let notes = input.notes.iter().map(|n| FindingEntry { kind: FindingKind::Read, text: n.clone() });
    provenance.findings.extend(notes);
    if let Some(model) = model {
        let (used, card) = (model.used(), &model.card);
        let licence = card.licence.as_ref().map(|l| format!(", licence {l}")).unwrap_or_default();
        let origin = card.training.source.as_ref().map(|s| format!(", from {s}")).unwrap_or_default();
        let what = match card.network.task() {
            Task::Segmentation => "structures were drawn",
            Task::SuperResolution => "finer slices, in which structures were found, were inferred",
        };
        let mut texts = vec![format!(
            "{what} by the model {} {}{origin}{licence}; no human looked at them",
            used.name, used.version
        )];
        if card.network.task() == Task::Segmentation {
            texts.push(by_model::confidence_in_words(card));
        }
        provenance.findings.extend(texts.into_iter().map(|text| FindingEntry { kind: FindingKind::Read, text }));
        provenance.models = vec![case::ModelRef { name: used.name, version: used.version, sha256: used.sha256 }];
    }
    provenance.measured.clone_from(&input.measured);
    provenance.interpolated.clone_from(&input.interpolated);
    provenance.inferred.clone_from(&input.inferred);
    let inferred = inferred(input, *recipe == CT_FINE);
    let contents = CaseContents {
        scan: &input.scan,
        labels,
        surfaces,
        modality: input.modality.clone(),
        recipe: RecipeRef::new(recipe.name, recipe.version),
        alias: request.alias.clone(),
        provenance,
        windows: input.windows.clone(),
        trust: case::Trust { confidence, inferred: inferred.as_ref() },
    };
    Ok(case::write_case(&request.out, &contents, tell)?)
}
