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
    pub(super) training: Vec<Case>,
    pub(super) validation: Vec<Case>,
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
            all.part(recipe, number).push(Case { name, source: Source::Files { image: image.clone(), labels } });
        }
        if let Some(PhantomRecipe { seeds: [first, last], spacing_mm }) = recipe.data.phantoms {
            for seed in first..=last {
                let case = Case { name: format!("phantom_{seed}"), source: Source::Phantom(seed, spacing_mm) };
                all.part(recipe, seed).push(case);
            }
        }
        if let Some(drawn) = &recipe.data.drawn {
            for labels in volumes_in(&folder.join(&drawn.labels))? {
                for copy in 0..drawn.copies {
                    let name = format!("{}_{copy}", stem(&labels));
                    all.training.push(Case { name, source: Source::Drawn(labels.clone(), copy) });
                }
            }
        }
        if all.training.is_empty() || all.validation.is_empty() {
            let reason = "it has no cases to train on, or none to validate".to_owned();
            return Err(PipelineError::DataSet { reason, path: images });
        }
        Ok(all)
    }

    /// Where the case of a number belongs.
    fn part(&mut self, recipe: &TrainRecipe, number: u64) -> &mut Vec<Case> {
        let split = &recipe.data.split;
        let part = number % split.modulus;
        if split.test.contains(&part) {
            &mut self.test
        } else if split.validation.contains(&part) {
            &mut self.validation
        } else {
            &mut self.training
        }
    }

    pub(super) fn samples(&self, cases: &[Case], recipe: &TrainRecipe) -> Result<Vec<Sample>, PipelineError> {
        cases.par_iter().map(|case| case.load(recipe)?.sample(recipe)).collect()
    }
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
