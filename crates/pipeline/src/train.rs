//! Trains a network as a recipe says, in legs: files, clocks and pictures of it; the learning itself is in `neural`.
//!
//! The folder `out` holds `checkpoint.safetensors` (where to go on), `best.safetensors` (the weights with the best score
//! on the validation part), `loss.csv`, `loss.png` and the recipe; when training is done also `weights.safetensors`, `model.json`,
//! `evaluation.csv` and `reliability.csv`. Where several networks learn, the first four of each lie in `member-1`, `member-2`, ….
//! Files are written beside their place and renamed, so a stop at any time leaves whole ones.

mod calibrate;
mod data;
mod drawn;
mod evaluation;
mod recipe;

use std::borrow::Cow;
use std::fmt;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Instant;

use case::Unfinished;
use neural::training::{EpochRecord, Predictor, Sample, Trainer, TrainingState};
use serde::Serialize;

use self::calibrate::Finished;
pub use self::calibrate::{CalibrationSummary, calibrate};
pub use self::evaluation::{CalibrationScore, CaseScore, ClassScore};
pub use self::recipe::{
    DataRecipe, DrawnRecipe, HeldBack, NetworkRecipe, PhantomRecipe, Split, TrainRecipe, TrainedClass,
};
use crate::models::CARD;
use crate::plot::{Curve, curves};
use crate::{PipelineError, Progress};

/// Name of the weights that a training ends with.
const WEIGHTS: &str = "weights.safetensors";

/// Name of the file from which a training goes on.
const CHECKPOINT: &str = "checkpoint.safetensors";

/// Name of the weights with the best score on the validation part.
const BEST: &str = "best.safetensors";

/// What the name of a file that is being written ends in.
const PART: &str = ".part";

/// What is asked for.
#[derive(Clone, Debug, Default)]
pub struct TrainRequest {
    /// The recipe, JSON.
    pub recipe: PathBuf,
    /// Folder of the data set; the recipe's folders lie in it.
    pub data: PathBuf,
    /// Folder of what comes out; a training that lies there is taken up again.
    pub out: PathBuf,
    /// Begins no epoch that would go beyond this; a leg has at least one.
    pub minutes: Option<f64>,
    /// Weights of the same network to begin with; random ones without.
    pub from: Option<PathBuf>,
}

/// What came of it.
#[derive(Clone, Debug, Serialize)]
pub struct TrainSummary {
    /// Of the recipe.
    pub name: String,
    /// True if training is over; else another leg goes on.
    pub done: bool,
    /// Cases to train on, to validate, to test. What is held back from one of several networks may teach the others.
    pub cases: [usize; 3],
    /// Numbers in the weights of a network.
    pub parameters: usize,
    /// Which network learned last, from 1, and how many there are to be.
    pub member: [usize; 2],
    /// Every epoch of that network so far.
    pub state: TrainingState,
    /// Wall time of this leg.
    pub seconds: f64,
    /// On the test part, once training is over.
    pub test: Vec<ClassScore>,
    /// How far its confidence can be believed, once training is over.
    pub calibration: Option<CalibrationScore>,
}

impl fmt::Display for TrainSummary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [training, validation, test] = self.cases;
        let epochs = self.state.epochs.len();
        writeln!(
            f,
            "{}: {} numbers learned from {training} cases, {validation} held back",
            self.name, self.parameters
        )?;
        if let Some((epoch, score)) = self.state.best {
            let [member, members] = self.member;
            if members > 1 {
                write!(f, "network {member} of {members}: ")?;
            }
            writeln!(f, "{epochs} epochs; the best is number {epoch}, mean Dice {score:.4} on what was held back")?;
        }
        if !self.done {
            return write!(f, "not over yet; the same command goes on");
        }
        writeln!(f, "on {test} test cases:")?;
        for class in &self.test {
            writeln!(f, "  {class}")?;
        }
        if let Some(calibration) = &self.calibration {
            write!(f, "{calibration}")?;
        }
        Ok(())
    }
}

/// Trains until the recipe's end, no more gain, or the time is up.
///
/// # Errors
/// [`PipelineError`].
pub fn train(request: &TrainRequest, progress: &dyn Progress) -> Result<TrainSummary, PipelineError> {
    let start = Instant::now();
    let recipe = TrainRecipe::read(&request.recipe)?;
    let data = data::DataSet::find(&recipe, &request.data)?;
    check_out(&request.out, &recipe)?;
    std::fs::create_dir_all(&request.out).map_err(|e| io(&request.out, e))?;
    let _lock = hold(&request.out)?;
    recipe.goes_on(&request.out, &request.recipe)?;
    progress.stage("read", 0.0);
    let samples = data::samples(&data.cases, &recipe)?;
    progress.stage("read", 1.0);

    let mut leg = Leg { request, recipe: &recipe, start, longest: 0.0, progress };
    let mut member = 0;
    let trainer = loop {
        let both = samples.iter().zip(&data.cases);
        let (validation, training): (Vec<_>, Vec<_>) = both.partition(|(_, case)| case.is_held_back(&recipe, member));
        let training: Vec<&Sample> = training.into_iter().map(|(sample, _)| sample).collect();
        recipe.check_present(&training, &request.data)?;
        // A network that will look through windows is judged by what it sees in them.
        let judged: Vec<Cow<'_, Sample>> = match recipe.view().windows {
            Some(window) => validation.iter().flat_map(|(sample, _)| sample.tiles(window)).map(Cow::Owned).collect(),
            None => validation.into_iter().map(|(sample, _)| Cow::Borrowed(sample)).collect(),
        };
        let trainer = leg.learn(member, &training, &judged)?;
        if !trainer.is_done() || member + 1 == recipe.members {
            break trainer;
        }
        member += 1;
    };
    let done = trainer.is_done();
    let finished = if done { Some(finish(request, &recipe, &data, &samples, progress)?) } else { None };
    let (test, calibration) = finished.map_or((Vec::new(), None), |f| (f.test, Some(f.calibration)));
    Ok(TrainSummary {
        name: recipe.name.clone(),
        done,
        cases: data.counts(&recipe),
        parameters: trainer.parameter_count(),
        member: [member + 1, recipe.members],
        state: trainer.state().clone(),
        seconds: start.elapsed().as_secs_f64(),
        test,
        calibration,
    })
}

/// Refuses a folder of something else, and that of a model which no training can go on from.
fn check_out(out: &Path, recipe: &TrainRecipe) -> Result<(), PipelineError> {
    let begun = folder_of(out, recipe, 0).join(CHECKPOINT).exists();
    let entries = std::fs::read_dir(out).into_iter().flatten().flatten();
    let names: Vec<_> = entries.map(|e| e.file_name()).filter(|n| !n.to_string_lossy().ends_with(PART)).collect();
    let holds = |name: &str| names.iter().any(|n| n == name);
    let what = if begun || names.is_empty() {
        return Ok(());
    } else if holds(WEIGHTS) || holds(CARD) {
        "a model"
    } else if holds(recipe::KEPT) {
        return Ok(());
    } else {
        "something else"
    };
    Err(PipelineError::NoTraining { what, path: out.to_owned() })
}

/// Says that this process trains in a folder for as long as what comes back lives; where there are no locks, nobody is told.
fn hold(folder: &Path) -> Result<Option<File>, PipelineError> {
    let Ok(file) = File::open(folder) else { return Ok(None) };
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(std::fs::TryLockError::WouldBlock) => Err(PipelineError::Busy { path: folder.to_owned() }),
        Err(std::fs::TryLockError::Error(_)) => Ok(None),
    }
}

/// Where a network's own files lie, counted from 0.
fn folder_of(out: &Path, recipe: &TrainRecipe, member: usize) -> PathBuf {
    if recipe.members == 1 { out.to_owned() } else { out.join(format!("member-{}", member + 1)) }
}

/// A stretch of training.
struct Leg<'a> {
    request: &'a TrainRequest,
    recipe: &'a TrainRecipe,
    start: Instant,
    /// Seconds of the longest epoch.
    longest: f64,
    progress: &'a dyn Progress,
}

impl<'a> Leg<'a> {
    /// Takes a network up, counted from 0, until it is done or the time is up.
    fn learn(
        &mut self,
        member: usize,
        training: &[&Sample],
        judged: &[Cow<'_, Sample>],
    ) -> Result<Trainer<'a>, PipelineError> {
        let Self { request, recipe, progress, .. } = *self;
        let folder = folder_of(&request.out, recipe, member);
        std::fs::create_dir_all(&folder).map_err(|e| io(&folder, e))?;
        let mut trainer = self.begin(member, &folder)?;
        // Not before a checkpoint of other training was refused.
        recipe.keep(&request.out)?;
        let total = recipe.training.epochs;
        let of = if recipe.members == 1 { String::new() } else { format!("network {}, ", member + 1) };
        while !trainer.is_done() {
            let spent = self.start.elapsed().as_secs_f64();
            let next = spent + self.longest;
            if self.longest > 0.0 && request.minutes.is_some_and(|minutes| next > minutes * 60.0) {
                break;
            }
            let epoch = trainer.state().epochs.len() + 1;
            let stage = format!("{of}epoch {epoch} of {total}");
            let better = trainer.epoch(training, judged, &mut |step, steps| {
                progress.stage(&stage, step as f32 / steps as f32);
                true
            })?;
            let seconds = self.start.elapsed().as_secs_f64() - spent;
            self.longest = self.longest.max(seconds);
            if better {
                let weights = trainer.weights(neural::training::Precision::Single, recipe.metadata(member)?)?;
                write(&folder.join(BEST), &weights)?;
            }
            let state = trainer.state();
            write(&folder.join("loss.csv"), csv(state, recipe).as_bytes())?;
            write(&folder.join("loss.png"), &loss_curve(state, total)?)?;
            // Last, so that an epoch whose files are not whole is done again.
            write(&folder.join(CHECKPOINT), &trainer.checkpoint()?)?;
            if let Some(record) = state.epochs.last() {
                let dice: Vec<String> = record.dice.iter().map(|d| format!("{d:.4}")).collect();
                let line = format!(
                    "{stage}: loss {:.4}, validation {:.4}, Dice {}{}, {seconds:.0} s",
                    record.training_loss,
                    record.validation_loss,
                    dice.join(" "),
                    if better { " (best)" } else { "" }
                );
                progress.stage(&line, 1.0);
            }
        }
        Ok(trainer)
    }

    /// A network where it was left, else with the weights that were named, else with new ones by its seed.
    fn begin(&self, member: usize, folder: &Path) -> Result<Trainer<'a>, PipelineError> {
        let (network, checkpoint) = (self.recipe.network.kind(), folder.join(CHECKPOINT));
        let mut config = self.recipe.training.clone();
        config.seed = self.recipe.seed(member);
        Ok(match std::fs::read(&checkpoint) {
            Ok(bytes) => Trainer::resume(network, config, &bytes)
                .map_err(|cause| PipelineError::Checkpoint { cause: Box::new(cause), path: checkpoint })?,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => match &self.request.from {
                Some(weights) => {
                    let bytes = std::fs::read(weights).map_err(|e| io(weights, e))?;
                    Trainer::from_weights(network, config, &bytes)?
                }
                None => Trainer::new(network, config)?,
            },
            Err(e) => return Err(io(&checkpoint, e)),
        })
    }
}

/// Stores the best weights of all networks as the recipe says, fits their temperature, tries them on the test part, and writes
/// their card.
fn finish(
    request: &TrainRequest,
    recipe: &TrainRecipe,
    data: &data::DataSet,
    samples: &[Sample],
    progress: &dyn Progress,
) -> Result<Finished, PipelineError> {
    let best = |member| {
        let path = folder_of(&request.out, recipe, member).join(BEST);
        std::fs::read(&path).map_err(|e| io(&path, e))
    };
    let members = (0..recipe.members).map(best).collect::<Result<Vec<_>, _>>()?;
    let weights = Predictor::join(&members, recipe.precision)?;
    let predictor = recipe.view().load(&weights)?;
    let held_back: Vec<_> = data.held_back(recipe).map(|(case, strangers)| (&samples[case], strangers)).collect();
    let measured = calibrate::measure(&predictor, recipe, data, &held_back, progress)?;
    write(&request.out.join(WEIGHTS), &weights)?;
    measured.write(&request.out, recipe, recipe.card(&weights))
}

/// Losses, and the Dice of each class, over the epochs, as PNG.
fn loss_curve(state: &TrainingState, epochs: usize) -> Result<Vec<u8>, PipelineError> {
    let curve = |name: String, value: &dyn Fn(&EpochRecord) -> f64| Curve {
        name,
        points: state.epochs.iter().map(|e| [e.epoch as f64, value(e)]).collect(),
    };
    let mut all = vec![
        curve("LOSS".to_owned(), &|e| e.training_loss),
        curve("VALIDATION LOSS".to_owned(), &|e| e.validation_loss),
    ];
    let classes = state.epochs.first().map_or(0, |e| e.dice.len());
    all.extend((0..classes).map(|class| curve(format!("DICE {}", class + 1), &move |e| e.dice[class])));
    curves(&all, "EPOCH", epochs)
}

fn csv(state: &TrainingState, recipe: &TrainRecipe) -> String {
    let names: Vec<String> = recipe.classes.iter().map(|c| format!("dice_{}", c.name)).collect();
    let mut text = format!("epoch,learning_rate,training_loss,validation_loss,{}\n", names.join(","));
    for e in &state.epochs {
        let dice: Vec<String> = e.dice.iter().map(|d| format!("{d:.5}")).collect();
        text += &format!(
            "{},{:.3e},{:.5},{:.5},{}\n",
            e.epoch,
            e.learning_rate,
            e.training_loss,
            e.validation_loss,
            dice.join(",")
        );
    }
    text
}

/// Writes beside the place, then renames.
fn write(path: &Path, bytes: &[u8]) -> Result<(), PipelineError> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(PART);
    let _unfinished = Unfinished::at(Path::new(&beside));
    let attempt = || {
        let mut file = File::create(&beside)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        std::fs::rename(&beside, path)
    };
    attempt().map_err(|e| {
        let _what_cannot_be_removed_stays = std::fs::remove_file(&beside);
        io(path, e)
    })
}

fn io(path: &Path, source: std::io::Error) -> PipelineError {
    PipelineError::Io { action: "read or write", cause: source, path: path.to_owned() }
}
