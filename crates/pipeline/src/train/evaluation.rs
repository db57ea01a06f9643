//! How well the weights do on cases that were held back, on the scans' own grids.

use std::collections::BTreeMap;
use std::fmt;

use metrics::{Calibration, dice, hausdorff_mm};
use neural::training::Predictor;
use serde::Serialize;
use volume::{BACKGROUND, LabelMap};

use super::data::DataSet;
use super::recipe::TrainRecipe;
use crate::{PipelineError, Progress};

/// One case.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CaseScore {
    /// File name without its ending.
    pub name: String,
    /// Dice of each class; none if the class is in neither map.
    pub dice: Vec<Option<f64>>,
    /// HD95 of each class; infinite if it is in one map only.
    pub hd95_mm: Vec<Option<f64>>,
    /// Expected calibration error of all voxels, at temperature 1 and at the fitted one.
    pub ece: [Option<f64>; 2],
    /// As `ece`, of the voxels that were given to a structure.
    pub foreground_ece: [Option<f64>; 2],
}

/// One class over all cases; no numbers if no case has it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ClassScore {
    /// Of the structure.
    pub name: String,
    /// Mean Dice.
    pub dice_mean: f64,
    /// Standard deviation of the Dice, with n − 1.
    pub dice_sd: f64,
    /// Least Dice.
    pub dice_least: f64,
    /// Mean HD95 over the cases where it is finite.
    pub hd95_mean_mm: f64,
    /// Greatest HD95.
    pub hd95_most_mm: f64,
}

impl fmt::Display for ClassScore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.dice_mean.is_nan() {
            return write!(f, "{}: in no test case", self.name);
        }
        write!(f, "{}: Dice {:.3} ± {:.3}, least {:.3}; ", self.name, self.dice_mean, self.dice_sd, self.dice_least)?;
        if self.hd95_most_mm.is_finite() {
            write!(f, "HD95 {:.2} mm, at most {:.2}", self.hd95_mean_mm, self.hd95_most_mm)
        } else {
            write!(f, "not found in every case that has it")
        }
    }
}

/// Expected calibration error (`metrics::Calibration`, 15 bins) of a temperature on the test part.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CalibrationScore {
    /// Divides the logits.
    pub temperature: f64,
    /// Voxels of the validation part that it was fitted on.
    pub fitted_on: usize,
    /// Over all voxels, at temperature 1 and at this one; none without test cases.
    pub all: [Option<f64>; 2],
    /// As `all`, over the voxels that the network gives to a structure.
    pub foreground: [Option<f64>; 2],
}

impl fmt::Display for CalibrationScore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "temperature {:.3}, fitted on {} voxels held back", self.temperature, self.fitted_on)?;
        for (errors, place) in [(self.all, "over all voxels"), (self.foreground, "where structures were found")] {
            if let [Some(before), Some(after)] = errors {
                write!(f, "; calibration error {before:.4} before, {after:.4} after, {place}")?;
            }
        }
        Ok(())
    }
}

/// Everything that was found out about the test part.
pub(super) struct Tested {
    pub(super) cases: Vec<CaseScore>,
    pub(super) counts: CalibrationCounts,
}

/// Counts at temperature 1 and at the fitted one, each over all voxels and over those of found structures.
#[derive(Default)]
pub(super) struct CalibrationCounts([[Calibration; 2]; 2]);

impl CalibrationCounts {
    fn add(&mut self, fitted: bool, confidence: f32, right: bool, found: bool) {
        let [all, foreground] = &mut self.0[usize::from(fitted)];
        all.add(f64::from(confidence), right);
        if found {
            foreground.add(f64::from(confidence), right);
        }
    }

    fn merge(&mut self, other: &Self) {
        self.0.iter_mut().flatten().zip(other.0.iter().flatten()).for_each(|(own, other)| own.merge(other));
    }

    /// Of all voxels, then of the foreground; each at temperature 1, then at the fitted one.
    fn errors(&self) -> [[Option<f64>; 2]; 2] {
        [0, 1].map(|scope| [0, 1].map(|fitted| self.0[fitted][scope].expected_error()))
    }

    pub(super) fn score(&self, temperature: f64, fitted_on: usize) -> CalibrationScore {
        let [all, foreground] = self.errors();
        CalibrationScore { temperature, fitted_on, all, foreground }
    }

    /// The rows of all four reliability diagrams.
    pub(super) fn csv(&self, temperature: f64) -> String {
        let mut text = "voxels_of,temperature,above,up_to,voxels,confidence,accuracy\n".to_owned();
        let number = |value: Option<f64>| value.map_or(String::new(), |v| format!("{v:.5}"));
        for (scope, name) in [(0, "all"), (1, "foreground")] {
            for (fitted, temperature) in [(0, 1.0), (1, temperature)] {
                for row in self.0[fitted][scope].reliability() {
                    let (confidence, accuracy) = (number(row.confidence), number(row.accuracy));
                    text += &format!(
                        "{name},{temperature:.4},{:.5},{:.5},{},{confidence},{accuracy}\n",
                        row.above, row.up_to, row.voxels
                    );
                }
            }
        }
        text
    }
}

/// Measures overlap, distances and calibration of every test case on its own grid.
pub(super) fn evaluate(
    predictor: &Predictor,
    recipe: &TrainRecipe,
    data: &DataSet,
    temperature: f64,
    progress: &dyn Progress,
) -> Result<Tested, PipelineError> {
    let mut tested = Tested { cases: Vec::with_capacity(data.test.len()), counts: CalibrationCounts::default() };
    let view = recipe.view();
    for (at, case) in data.test.iter().enumerate() {
        let loaded = case.load(recipe)?;
        let model = |cause| PipelineError::Model { name: recipe.name.clone(), cause: Box::new(cause) };
        let answer = view.answer(predictor, &loaded.scan, &|_| ()).map_err(model)?;
        let (labels, plain) = answer.probable(1.0).map_err(model)?;
        let (_, tempered) = answer.probable(temperature as f32).map_err(model)?;
        let mut counts = CalibrationCounts::default();
        for (fitted, confidence) in [(false, &plain), (true, &tempered)] {
            let voxels = confidence.data().iter().zip(loaded.truth.voxels.data()).zip(labels.data());
            for ((&confidence, &truth), &found) in voxels {
                counts.add(fitted, confidence, truth == found, found != BACKGROUND);
            }
        }
        tested.counts.merge(&counts);
        let [ece, foreground_ece] = counts.errors();
        let found = LabelMap { voxels: labels, segments: BTreeMap::new() };
        let mut score =
            CaseScore { name: case.name.clone(), dice: Vec::new(), hd95_mm: Vec::new(), ece, foreground_ece };
        for (_, class) in recipe.classes.iter().zip(1..) {
            score.dice.push(dice(&loaded.truth, &found, class)?);
            score.hd95_mm.push(hausdorff_mm(&loaded.truth, &found, class, 95.0)?);
        }
        tested.cases.push(score);
        progress.stage("test", (at + 1) as f32 / data.test.len() as f32);
    }
    Ok(tested)
}

pub(super) fn summarize(scores: &[CaseScore], recipe: &TrainRecipe) -> Vec<ClassScore> {
    let of_class = |(at, class): (usize, &super::TrainedClass)| {
        let dice: Vec<f64> = scores.iter().filter_map(|s| s.dice[at]).collect();
        let hd95: Vec<f64> = scores.iter().filter_map(|s| s.hd95_mm[at]).collect();
        let finite: Vec<f64> = hd95.iter().copied().filter(|d| d.is_finite()).collect();
        let mean = |v: &[f64]| v.iter().sum::<f64>() / v.len() as f64;
        let dice_mean = mean(&dice);
        let squares: f64 = dice.iter().map(|d| (d - dice_mean).powi(2)).sum();
        ClassScore {
            name: class.name.clone(),
            dice_mean,
            dice_sd: (squares / (dice.len().max(2) - 1) as f64).sqrt(),
            dice_least: dice.iter().copied().fold(f64::NAN, f64::min),
            hd95_mean_mm: mean(&finite),
            hd95_most_mm: hd95.iter().copied().fold(f64::NAN, f64::max),
        }
    };
    recipe.classes.iter().enumerate().map(of_class).collect()
}

pub(super) fn csv(scores: &[CaseScore], recipe: &TrainRecipe) -> String {
    let names: Vec<String> = recipe.classes.iter().map(|c| format!("dice_{0},hd95_mm_{0}", c.name)).collect();
    let errors = "ece_uncalibrated,ece,ece_foreground_uncalibrated,ece_foreground";
    let mut text = format!("case,{},{errors}\n", names.join(","));
    for score in scores {
        let number = |value: Option<f64>| value.map_or(String::new(), |v| format!("{v:.4}"));
        let pairs = score.dice.iter().zip(&score.hd95_mm);
        let figures = pairs.flat_map(|(d, h)| [*d, *h]).chain(score.ece).chain(score.foreground_ece);
        let cells: Vec<String> = figures.map(number).collect();
        text += &format!("{},{}\n", score.name, cells.join(","));
    }
    text
}
