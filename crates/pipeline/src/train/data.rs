//! Cases on disk, and the samples they become.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use neural::grid::canonical;
use neural::training::Sample;
use rayon::prelude::*;
use space::AxisCode;
use volume::formats::{read_labels, read_scan};
use volume::{ImageGeometry, Label, LabelMap, ScanVolume, Volume, resample};

use super::io;
use super::recipe::TrainRecipe;
use crate::PipelineError;

/// An image and its label map.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Case {
    /// File name without what comes after the first dot.
    pub(super) name: String,
    image: PathBuf,
    labels: PathBuf,
}

/// All cases, by what they are for.
pub(super) struct DataSet {
    pub(super) training: Vec<Case>,
    pub(super) validation: Vec<Case>,
    pub(super) test: Vec<Case>,
}

impl DataSet {
    pub(super) fn find(recipe: &TrainRecipe, folder: &Path) -> Result<Self, PipelineError> {
        let images = folder.join(&recipe.data.images);
        let labels = folder.join(&recipe.data.labels);
        let mut paths = Vec::new();
        for entry in std::fs::read_dir(&images).map_err(|e| io(&images, e))? {
            paths.push(entry.map_err(|e| io(&images, e))?.path());
        }
        paths.sort();
        let split = &recipe.data.split;
        let mut all = Self { training: Vec::new(), validation: Vec::new(), test: Vec::new() };
        for image in paths {
            let file = image.file_name().and_then(|n| n.to_str()).unwrap_or_default().to_owned();
            if file.starts_with('.') || !(file.ends_with(".nii") || file.ends_with(".nii.gz")) {
                continue;
            }
            let name = file.split('.').next().unwrap_or_default().to_owned();
            let wrong = |reason: &str| PipelineError::DataSet { reason: reason.to_owned(), path: image.clone() };
            let number = number(&name).ok_or_else(|| wrong("the split goes by a number at the name's end"))?;
            let case = Case { name, labels: labels.join(&file), image: image.clone() };
            if !case.labels.is_file() {
                return Err(wrong("there is no label map of the same name"));
            }
            let part = number % split.modulus;
            if split.test.contains(&part) {
                all.test.push(case);
            } else if split.validation.contains(&part) {
                all.validation.push(case);
            } else {
                all.training.push(case);
            }
        }
        if all.training.is_empty() || all.validation.is_empty() {
            let reason = "it has no cases to train on, or none to validate".to_owned();
            return Err(PipelineError::DataSet { reason, path: images });
        }
        Ok(all)
    }

    pub(super) fn samples(&self, cases: &[Case], recipe: &TrainRecipe) -> Result<Vec<Sample>, PipelineError> {
        cases.par_iter().map(|case| Ok(LoadedCase::read(case, recipe)?.sample)).collect()
    }
}

/// The digits at the end of a name.
fn number(name: &str) -> Option<u64> {
    let digits = name.len() - name.trim_end_matches(|c: char| c.is_ascii_digit()).len();
    name[name.len() - digits..].parse().ok()
}

/// A case as a network sees it, with its own labels beside it.
pub(super) struct LoadedCase {
    pub(super) sample: Sample,
    pub(super) truth: LabelMap,
    grid: ImageGeometry,
    /// The label of each class.
    values: Vec<Label>,
}

impl LoadedCase {
    pub(super) fn read(case: &Case, recipe: &TrainRecipe) -> Result<Self, PipelineError> {
        let wrong = |reason: String| PipelineError::DataSet { reason, path: case.image.clone() };
        let scan = read_scan(&case.image)?;
        let truth = read_labels(&case.labels)?;
        if !scan.geometry().is_same_grid(truth.geometry(), 0.01) {
            return Err(wrong("image and labels lie on different grids".to_owned()));
        }
        let axes: AxisCode = recipe.data.axes.parse().map_err(|e| wrong(format!("the recipe's axes: {e}")))?;
        let grid = canonical(scan.geometry(), axes, recipe.data.spacing_mm).map_err(|e| wrong(e.to_string()))?;
        let image = match &scan {
            ScanVolume::I16(v) => resample::linear(&v.map(|&x| f32::from(x)), &grid, 0.0),
            ScanVolume::F32(v) => resample::linear(v, &grid, 0.0),
        };
        let values: Vec<Label> =
            std::iter::once(volume::BACKGROUND).chain(recipe.classes.iter().map(|c| c.value)).collect();
        let classes: BTreeMap<Label, u8> = values.iter().copied().zip(0..=u8::MAX).collect();
        let labels = resample::nearest(&truth.voxels, &grid, volume::BACKGROUND);
        // What is not to be found is background.
        let labels = labels.data().iter().map(|label| classes.get(label).copied().unwrap_or(0)).collect();
        let [i, j, k] = grid.size();
        let [x, y, z] = grid.spacing().map(|s| s as f32);
        let mut image = image.into_data();
        recipe.data.normalization.apply(&mut image).ok_or_else(|| wrong("all its values are equal".to_owned()))?;
        let sample = Sample { size: [k, j, i], spacing_mm: [z, y, x], image, labels };
        Ok(Self { sample, truth, grid, values })
    }

    /// Confidence on the scan's own grid, from that on the network's.
    pub(super) fn onto_scan(&self, confidence: Vec<f32>) -> Result<Volume<f32>, PipelineError> {
        // What lies outside is nothing, surely.
        Ok(resample::nearest(&Volume::new(self.grid, confidence)?, self.truth.geometry(), 1.0))
    }

    /// The label itself, or background if it is not among those that are to be found.
    pub(super) fn looked_for(&self, label: Label) -> Label {
        if self.values.contains(&label) { label } else { volume::BACKGROUND }
    }

    /// A label map on the scan's own grid, from classes on the network's.
    pub(super) fn prediction(&self, classes: &[u16]) -> Result<LabelMap, PipelineError> {
        let labels: Vec<Label> =
            classes.iter().map(|&c| self.values.get(usize::from(c)).copied().unwrap_or(volume::BACKGROUND)).collect();
        let found = Volume::new(self.grid, labels)?;
        let voxels = resample::nearest(&found, self.truth.geometry(), volume::BACKGROUND);
        Ok(LabelMap { voxels, segments: self.truth.segments.clone() })
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
