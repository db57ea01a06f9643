//! How well the weights do on cases that were held back, on the scans' own grids.

use std::collections::BTreeMap;
use std::fmt;

use metrics::{dice, hausdorff_mm};
use neural::training::Predictor;
use serde::Serialize;
use volume::LabelMap;

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
}

/// One class over all cases.
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
        write!(
            f,
            "{}: Dice {:.3} ± {:.3}, least {:.3}; HD95 {:.2} mm, at most {:.2}",
            self.name, self.dice_mean, self.dice_sd, self.dice_least, self.hd95_mean_mm, self.hd95_most_mm
        )
    }
}

pub(super) fn evaluate(
    predictor: &Predictor,
    recipe: &TrainRecipe,
    data: &DataSet,
    progress: &dyn Progress,
) -> Result<Vec<CaseScore>, PipelineError> {
    let mut scores = Vec::with_capacity(data.test.len());
    let view = recipe.view();
    for (at, case) in data.test.iter().enumerate() {
        let loaded = case.load(recipe)?;
        let model = |cause| PipelineError::Model { name: recipe.name.clone(), cause: Box::new(cause) };
        let found = view.segment(predictor, &loaded.scan, 1.0, &|_| ()).map_err(model)?;
        let found = LabelMap { voxels: found.labels, segments: BTreeMap::new() };
        let mut score = CaseScore { name: case.name.clone(), dice: Vec::new(), hd95_mm: Vec::new() };
        for (_, class) in recipe.classes.iter().zip(1..) {
            score.dice.push(dice(&loaded.truth, &found, class)?);
            score.hd95_mm.push(hausdorff_mm(&loaded.truth, &found, class, 95.0)?);
        }
        scores.push(score);
        progress.stage("test", (at + 1) as f32 / data.test.len() as f32);
    }
    Ok(scores)
}

pub(super) fn summarize(scores: &[CaseScore], recipe: &TrainRecipe) -> Vec<ClassScore> {
    let of_class = |(at, class): (usize, &super::TrainedClass)| {
        let dice: Vec<f64> = scores.iter().filter_map(|s| s.dice[at]).collect();
        let hd95: Vec<f64> = scores.iter().filter_map(|s| s.hd95_mm[at]).collect();
        let finite: Vec<f64> = hd95.iter().copied().filter(|d| d.is_finite()).collect();
        let mean = |v: &[f64]| v.iter().sum::<f64>() / v.len().max(1) as f64;
        let dice_mean = mean(&dice);
        let squares: f64 = dice.iter().map(|d| (d - dice_mean).powi(2)).sum();
        ClassScore {
            name: class.name.clone(),
            dice_mean,
            dice_sd: (squares / (dice.len().max(2) - 1) as f64).sqrt(),
            dice_least: dice.iter().copied().fold(f64::INFINITY, f64::min),
            hd95_mean_mm: mean(&finite),
            hd95_most_mm: hd95.iter().copied().fold(0.0, f64::max),
        }
    };
    recipe.classes.iter().enumerate().map(of_class).collect()
}

pub(super) fn csv(scores: &[CaseScore], recipe: &TrainRecipe) -> String {
    let names: Vec<String> = recipe.classes.iter().map(|c| format!("dice_{0},hd95_mm_{0}", c.name)).collect();
    let mut text = format!("case,{}\n", names.join(","));
    for score in scores {
        let number = |value: Option<f64>| value.map_or(String::new(), |v| format!("{v:.4}"));
        let pairs = score.dice.iter().zip(&score.hd95_mm);
        let cells: Vec<String> = pairs.map(|(d, h)| format!("{},{}", number(*d), number(*h))).collect();
        text += &format!("{},{}\n", score.name, cells.join(","));
    }
    text
}
