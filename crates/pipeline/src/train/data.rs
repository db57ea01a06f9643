//! Cases, on disk or made here, and the samples they become.

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use neural::model::finite;
use neural::training::Sample;
use phantom::{Motion, PhantomOptions, Phase};
use rayon::prelude::*;
use volume::formats::{read_labels, read_scan};
use volume::{Label, LabelMap, ScanVolume, resample};

use super::recipe::{PhantomRecipe, TrainRecipe};
use super::{drawn, io};
use crate::PipelineError;

/// An image and its label map.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Case {
    /// File name without what comes after the first dot, or what it is made from.
    pub(super) name: String,
    source: Source,
    /// Its remainder by the split; none if it is to learn from in any case.
    part: Option<u64>,
}

#[derive(Clone, Debug, PartialEq)]
enum Source {
    Files {
        image: PathBuf,
        labels: PathBuf,
    },
    /// A person of [`phantom`], at a spacing.
    Phantom(u64, f64),
    /// A CT made from labels alone, each time otherwise.
    Drawn(PathBuf, u64),
}

/// All cases, by what they are for.
#[derive(Default)]
pub(super) struct DataSet {
    /// To learn from, or held back from some or all networks and what those are judged by.
    pub(super) cases: Vec<Case>,
    pub(super) test: Vec<Case>,
}

impl DataSet {
    pub(super) fn find(recipe: &TrainRecipe, folder: &Path) -> Result<Self, PipelineError> {
        let images = folder.join(&recipe.data.images);
        let labels = folder.join(&recipe.data.labels);
        let mut all = Self::default();
        for image in volumes_in(&images)? {
            let file = image.file_name().and_then(|n| n.to_str()).unwrap_or_default().to_owned();
            let name = stem(&image);
            let wrong = |reason: &str| PipelineError::DataSet { reason: reason.to_owned(), path: image.clone() };
            let number = number(&name).ok_or_else(|| wrong("the split goes by a number at the name's end"))?;
            let labels = labels.join(&file);
            if !labels.is_file() {
                return Err(wrong("there is no label map of the same name"));
            }
            all.add(recipe, name, number, Source::Files { image: image.clone(), labels });
        }
        if let Some(PhantomRecipe { seeds: [first, last], spacing_mm }) = recipe.data.phantoms {
            for seed in first..=last {
                all.add(recipe, format!("phantom_{seed}"), seed, Source::Phantom(seed, spacing_mm));
            }
        }
        if let Some(drawn) = &recipe.data.drawn {
            for labels in volumes_in(&folder.join(&drawn.labels))? {
                for copy in 0..drawn.copies {
                    let name = format!("{}_{copy}", stem(&labels));
                    all.cases.push(Case { name, source: Source::Drawn(labels.clone(), copy), part: None });
                }
            }
        }
        for member in 0..recipe.members {
            let held_back = all.cases.iter().filter(|case| case.is_held_back(recipe, member)).count();
            if held_back == 0 || held_back == all.cases.len() {
                let reason = "it has no cases to train on, or none to validate".to_owned();
                return Err(PipelineError::DataSet { reason, path: images });
            }
        }
        Ok(all)
    }

    fn add(&mut self, recipe: &TrainRecipe, name: String, number: u64, source: Source) {
        let split = &recipe.data.split;
        let part = number % split.modulus;
        let cases = if split.test.contains(&part) { &mut self.test } else { &mut self.cases };
        cases.push(Case { name, source, part: Some(part) });
    }

    /// Which cases are held back, each with the networks that do not learn from it.
    pub(super) fn held_back(&self, recipe: &TrainRecipe) -> impl Iterator<Item = (usize, Vec<usize>)> {
        let strangers = |case: &Case| (0..recipe.members).filter(|&n| case.is_held_back(recipe, n)).collect::<Vec<_>>();
        self.cases.iter().map(strangers).enumerate().filter(|(_, strangers)| !strangers.is_empty())
    }

    /// Cases that some network learns from, that are held back from some, and for the test.
    pub(super) fn counts(&self, recipe: &TrainRecipe) -> [usize; 3] {
        let of = |wanted: bool| {
            let is = |case: &&Case| (0..recipe.members).any(|member| case.is_held_back(recipe, member) == wanted);
            self.cases.iter().filter(is).count()
        };
        [of(false), of(true), self.test.len()]
    }
}

pub(super) fn samples<'a>(
    cases: impl IntoIterator<Item = &'a Case>,
    recipe: &TrainRecipe,
) -> Result<Vec<Sample>, PipelineError> {
    cases.into_iter().collect::<Vec<_>>().into_par_iter().map(|case| case.load(recipe)?.sample(recipe)).collect()
}

/// NIfTI files of a folder, by name.
fn volumes_in(folder: &Path) -> Result<Vec<PathBuf>, PipelineError> {
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(|e| io(folder, e))? {
        let path = entry.map_err(|e| io(folder, e))?.path();
        let file = path.file_name().and_then(|n| n.to_str()).unwrap_or_default();
        if !file.starts_with('.') && (file.ends_with(".nii") || file.ends_with(".nii.gz")) {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths)
}

/// File name without what comes after the first dot.
fn stem(path: &Path) -> String {
    let file = path.file_name().and_then(|n| n.to_str()).unwrap_or_default();
    file.split('.').next().unwrap_or_default().to_owned()
}

/// The digits at the end of a name.
fn number(name: &str) -> Option<u64> {
    let digits = name.len() - name.trim_end_matches(|c: char| c.is_ascii_digit()).len();
    name[name.len() - digits..].parse().ok()
}

impl Case {
    /// True if a network, counted from 0, does not learn from it but is judged by it.
    pub(super) fn is_held_back(&self, recipe: &TrainRecipe, member: usize) -> bool {
        self.part.is_some_and(|part| recipe.data.split.validation.of(member).contains(&part))
    }

    /// Reads or makes the case.
    pub(super) fn load(&self, recipe: &TrainRecipe) -> Result<LoadedCase, PipelineError> {
        let wrong = |reason: String| PipelineError::DataSet { reason, path: self.path() };
        let (scan, mut truth) = match &self.source {
            Source::Files { image, labels } => (read_scan(image)?, read_labels(labels)?),
            Source::Phantom(seed, spacing_mm) => {
                let body = phantom::body(&person(*seed, *spacing_mm), &|_| ()).map_err(|e| wrong(e.to_string()))?;
                (ScanVolume::I16(body.hounsfield), body.labels)
            }
            Source::Drawn(path, copy) => {
                let labels = read_labels(path)?;
                (ScanVolume::I16(drawn::hounsfield(&labels, *copy)?), labels)
            }
        };
        if !scan.geometry().is_same_grid(truth.geometry(), 0.01) {
            return Err(wrong("image and labels lie on different grids".to_owned()));
        }
        // As when the network is used.
        let cleaned = match finite(&scan).map_err(|e| wrong(e.to_string()))? {
            Cow::Owned(cleaned) => Some(cleaned),
            Cow::Borrowed(_) => None,
        };
        let scan = cleaned.unwrap_or(scan);
        let classes = recipe.classes_of(&truth);
        for label in truth.voxels.data_mut() {
            // What is not to be found is background.
            *label = classes.get(label).copied().map_or(volume::BACKGROUND, Label::from);
        }
        truth.segments.clear();
        Ok(LoadedCase { scan, truth, path: self.path() })
    }

    /// For errors.
    fn path(&self) -> PathBuf {
        match &self.source {
            Source::Files { image: path, .. } | Source::Drawn(path, _) => path.clone(),
            Source::Phantom(..) => PathBuf::from(&self.name),
        }
    }
}

/// Somebody of a population, somewhere in breath, with contrast or without.
fn person(seed: u64, spacing_mm: f64) -> PhantomOptions {
    let part = |modulus: u64| (seed % modulus) as f32 / (modulus - 1) as f32;
    PhantomOptions {
        phase: Phase::ALL[(seed % 4) as usize],
        motion: Motion { breath: part(5), beat: 0.0 },
        spacing_mm: [spacing_mm; 3],
        noise_hu: 5.0 + 20.0 * part(7),
        couch: !seed.is_multiple_of(3),
        ..PhantomOptions::drawn(seed)
    }
}

/// A case in memory.
pub(super) struct LoadedCase {
    pub(super) scan: ScanVolume,
    /// The recipe's classes from 1 in place of the data's own labels.
    pub(super) truth: LabelMap,
    path: PathBuf,
}

impl LoadedCase {
    /// The case as a network sees it.
    pub(super) fn sample(&self, recipe: &TrainRecipe) -> Result<Sample, PipelineError> {
        let wrong = |reason: String| PipelineError::DataSet { reason, path: self.path.clone() };
        let (mut sample, grid) = recipe.view().view(&self.scan).map_err(|e| wrong(e.to_string()))?;
        let labels = resample::nearest(&self.truth.voxels, &grid, volume::BACKGROUND);
        // There are at most 256 classes.
        sample.labels = labels.data().iter().map(|&label| label as u8).collect();
        Ok(sample)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_stand_at_the_end() {
        assert_eq!(number("hippocampus_001"), Some(1));
        assert_eq!(number("case2_37"), Some(37));
        assert_eq!(number("case"), None);
        assert_eq!(number(""), None);
    }
}
