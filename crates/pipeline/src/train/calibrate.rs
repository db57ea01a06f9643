//! What a network's confidence is worth: a temperature fitted on the validation part, and what it brings on the test part.

use std::fmt;
use std::path::Path;

use neural::confidence::TemperatureFit;
use neural::training::{Predictor, Sample};
use serde::Serialize;
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::evaluation::{self, CalibrationScore, ClassScore, Tested};
use super::recipe::{Card, measured};
use super::{TrainRecipe, TrainRequest, WEIGHTS, data, io, write};
use crate::models::{CARD, hex};
use crate::{PipelineError, Progress};

/// More voxels than these do not make a single number better; fewer are taken, spread over all cases.
const MOST_VOXELS: usize = 1 << 22;

/// What came of calibrating a trained network.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CalibrationSummary {
    /// Of the recipe.
    pub name: String,
    /// Cases to fit the temperature, and to test.
    pub cases: [usize; 2],
    /// On the test part.
    pub test: Vec<ClassScore>,
    /// On the test part.
    pub calibration: CalibrationScore,
}

impl fmt::Display for CalibrationSummary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [validation, test] = self.cases;
        writeln!(f, "{}: calibrated on {validation} cases held back, tried on {test} others", self.name)?;
        for class in &self.test {
            writeln!(f, "  {class}")?;
        }
        write!(f, "{}", self.calibration)
    }
}

/// A model whose files are written.
pub(super) struct Finished {
    pub(super) test: Vec<ClassScore>,
    pub(super) calibration: CalibrationScore,
}

/// What was measured of a network, not yet written.
pub(super) struct Measured {
    tested: Tested,
    test: Vec<ClassScore>,
    calibration: CalibrationScore,
}

/// Fits the temperature anew of the model in the folder `out`, whose weights stay as they are.
///
/// Its card gets the temperature and what is measured on the test part; everything else in it stays. `evaluation.csv` and
/// `reliability.csv` are written anew.
///
/// # Errors
/// [`PipelineError::Io`] without weights or a card; [`PipelineError::Calibrate`] if the card is not that of weights and recipe.
pub fn calibrate(request: &TrainRequest, progress: &dyn Progress) -> Result<CalibrationSummary, PipelineError> {
    let recipe = TrainRecipe::read(&request.recipe)?;
    let (at, weights) = (request.out.join(CARD), request.out.join(WEIGHTS));
    let bytes = std::fs::read(&at).map_err(|e| io(&at, e))?;
    let card: Card = serde_json::from_slice(&bytes).map_err(|e| io(&at, e.into()))?;
    let weights = std::fs::read(&weights).map_err(|e| io(&weights, e))?;
    let wrong = |reason: &str| PipelineError::Calibrate { reason: reason.to_owned(), path: at.clone() };
    // Compared as the card's own types: a number may be written in more than one way.
    let network = |value: Value| serde_json::from_value::<neural::card::Network>(value).ok();
    if network(card.get("network").cloned().unwrap_or_default()) != network(recipe.network_card()) {
        return Err(wrong("it is the card of another network than the recipe's; give the recipe it was trained by"));
    }
    let digest = card.get("weights").and_then(|w| w.get(0)?.get("sha256")?.as_str());
    if digest != Some(hex(&Sha256::digest(&weights)).as_str()) {
        return Err(wrong("the weights beside it are not those it tells of; put the right ones there"));
    }
    let data = data::DataSet::find(&recipe, &request.data)?;
    progress.stage("read", 0.0);
    let (cases, strangers): (Vec<_>, Vec<_>) = data.held_back(&recipe).unzip();
    let samples = data::samples(cases.into_iter().map(|case| &data.cases[case]), &recipe)?;
    let held_back: Vec<_> = samples.iter().zip(strangers).collect();
    progress.stage("read", 1.0);
    let predictor = recipe.view().load(&weights)?;
    let measured = measure(&predictor, &recipe, &data, &held_back, progress)?;
    let Finished { test, calibration } = measured.write(&request.out, &recipe, card)?;
    let cases = [held_back.len(), data.test.len()];
    Ok(CalibrationSummary { name: recipe.name, cases, test, calibration })
}

/// A case, and the networks that did not learn from it.
pub(super) type HeldBackSample<'a> = (&'a Sample, Vec<usize>);

/// Fits the temperature on what was held back, then looks at the test part.
pub(super) fn measure(
    predictor: &Predictor,
    recipe: &TrainRecipe,
    data: &data::DataSet,
    held_back: &[HeldBackSample<'_>],
    progress: &dyn Progress,
) -> Result<Measured, PipelineError> {
    let fit = fitted(predictor, recipe, held_back, progress)?;
    let temperature = (fit.temperature().unwrap_or(1.0) * 1e4).round() / 1e4;
    let tested = evaluation::evaluate(predictor, recipe, data, temperature, progress)?;
    let test = evaluation::summarize(&tested.cases, recipe);
    let calibration = tested.counts.score(temperature, fit.voxels());
    Ok(Measured { tested, test, calibration })
}

fn fitted(
    predictor: &Predictor,
    recipe: &TrainRecipe,
    held_back: &[HeldBackSample<'_>],
    progress: &dyn Progress,
) -> Result<TemperatureFit, PipelineError> {
    let mut fit = TemperatureFit::new(recipe.classes.len() + 1);
    let voxels: usize = held_back.iter().map(|(sample, _)| sample.voxels()).sum();
    let view = recipe.view();
    for (at, (sample, strangers)) in held_back.iter().enumerate() {
        // As the networks are used, so that what is fitted is what is shown; but each case by those that it is new to.
        let probabilities = view.probabilities(&predictor.only(strangers), sample, &|_| ())?;
        fit.add(&probabilities, &sample.labels, voxels.div_ceil(MOST_VOXELS));
        progress.stage("calibrate", (at + 1) as f32 / held_back.len() as f32);
    }
    Ok(fit)
}

impl Measured {
    /// Writes the tables into a folder, and at last the card.
    pub(super) fn write(self, out: &Path, recipe: &TrainRecipe, mut card: Card) -> Result<Finished, PipelineError> {
        let Self { tested, test, calibration } = self;
        write(&out.join("evaluation.csv"), evaluation::csv(&tested.cases, recipe).as_bytes())?;
        write(&out.join("reliability.csv"), tested.counts.csv(calibration.temperature).as_bytes())?;
        measured(&mut card, recipe, &test, &calibration, tested.cases.len());
        let text = serde_json::to_string_pretty(&card).map_err(|e| io(out, e.into()))?;
        write(&out.join(CARD), format!("{text}\n").as_bytes())?;
        Ok(Finished { test, calibration })
    }
}
