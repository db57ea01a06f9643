//! Recipes: ways to find structures in a scan.

mod airways;
mod average;
mod body;
pub(crate) mod by_model;
pub(crate) mod ct_basic;
pub(crate) mod ct_fine;
mod evenness;
mod histogram;
pub(crate) mod labels;
mod lungs;
pub(crate) mod mr_head;
mod skeleton;
mod tissue;
mod upright;
mod vessels;

use std::collections::BTreeMap;

use neural::card::{ModelCard, Task};
use rayon::prelude::*;
use serde::Serialize;
use volume::{ImageGeometry, Label, LabelMap, ScanVolume, Volume, VolumeError, terminology};

use crate::mask::BitMask;

/// A way to find structures in a scan.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Recipe {
    /// What `--recipe` calls it.
    pub name: &'static str,
    /// Changes when its labels may; part of the cache's key and of the case.
    pub version: &'static str,
    /// What it finds, in one sentence.
    pub what: &'static str,
    /// What its time is made of.
    #[serde(skip)]
    cost: Cost,
}

/// Time on two cores, in a release build: linear in the number of voxels.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Cost {
    /// Microseconds a voxel for finding structures.
    segment_us: f64,
    /// Microseconds a voxel for their surfaces and for writing the case.
    surfaces_us: f64,
}

/// Seconds that any case takes: looking at files, small scans, the report.
const ANY_CASE_S: f64 = 0.5;

/// Measured: 0.016 on a chest without contrast (512 × 512 × 64), 0.022 on phantoms with contrast (32 and 100 million voxels).
const CT_SEGMENT_US: f64 = 0.03;

/// Measured: seven structures that fill the body, on the same chest.
const CT_SURFACES_US: f64 = 0.42;

/// Measured: 0.035 on a head of 384 × 274 × 384, beside other work.
const MR_SEGMENT_US: f64 = 0.035;

/// Measured: one structure, on the same head.
const MR_SURFACES_US: f64 = 0.05;

/// Measured: 0.002 on a torso of 16 million voxels on the scan's own grid; another grid has to be resampled.
const LABELS_SEGMENT_US: f64 = 0.01;

/// Measured: 108 structures, on the same torso.
const LABELS_SURFACES_US: f64 = 0.27;

/// Hounsfield units alone, quick.
pub const CT_BASIC: Recipe = Recipe {
    name: "ct-basic",
    version: "4",
    what: "body, skeleton, lungs, airways, fat, soft tissue (muscle and organs as one), vessels where contrast \
           fills them; by density, without AI",
    cost: Cost { segment_us: CT_SEGMENT_US, surfaces_us: CT_SURFACES_US },
};

/// As [`CT_BASIC`], in a scan whose slices a model made thinner.
pub const CT_FINE: Recipe = Recipe {
    name: "ct-fine",
    version: "4",
    what: "as ct-basic, after a trained model made the slices thinner, so that surfaces show no stairs; what lies between \
           the scan's own slices is inferred and marked",
    cost: Cost { segment_us: CT_SEGMENT_US, surfaces_us: CT_SURFACES_US },
};

/// The surface of a head.
pub const MR_HEAD: Recipe = Recipe {
    name: "mr-head",
    version: "1",
    what: "the surface of the head, by intensity, without AI",
    cost: Cost { segment_us: MR_SEGMENT_US, surfaces_us: MR_SURFACES_US },
};

/// Measured: 17 structures of the brain and the head, on the same head.
const MR_BRAIN_SURFACES_US: f64 = 0.25;

/// Structures of the brain.
pub const MR_BRAIN: Recipe = Recipe {
    name: "mr-brain",
    version: "1",
    what: "structures of the brain by a trained model, and the surface of the head",
    cost: Cost { segment_us: MR_SEGMENT_US, surfaces_us: MR_BRAIN_SURFACES_US },
};

/// Organs of the trunk.
pub const CT_ORGANS: Recipe = Recipe {
    name: "ct-organs",
    version: "1",
    what: "organs by a trained model, and the surface of the body",
    cost: Cost { segment_us: CT_SEGMENT_US, surfaces_us: CT_SURFACES_US },
};

/// Labels that somebody made before.
pub const LABELS: Recipe = Recipe {
    name: "labels",
    version: "1",
    what: "the structures of a label map or DICOM SEG, with their names and codes",
    cost: Cost { segment_us: LABELS_SEGMENT_US, surfaces_us: LABELS_SURFACES_US },
};

/// All recipes.
pub const RECIPES: [Recipe; 6] = [CT_BASIC, CT_FINE, MR_HEAD, LABELS, CT_ORGANS, MR_BRAIN];

impl Recipe {
    /// The recipe of a name.
    pub fn find(name: &str) -> Option<Self> {
        RECIPES.into_iter().find(|r| r.name == name)
    }

    /// True if a trained model takes part.
    pub(crate) fn uses_model(&self) -> bool {
        self.task().is_some()
    }

    /// What its model does, if it has one.
    pub(crate) fn task(&self) -> Option<Task> {
        match *self {
            MR_BRAIN | CT_ORGANS => Some(Task::Segmentation),
            CT_FINE => Some(Task::SuperResolution),
            _ => None,
        }
    }

    /// The recipe that a model named without one stands for.
    pub(crate) fn of_model(card: &ModelCard) -> Self {
        match (card.network.task(), card.input.modality.as_str()) {
            (Task::SuperResolution, _) => CT_FINE,
            (Task::Segmentation, "CT") => CT_ORGANS,
            (Task::Segmentation, _) => MR_BRAIN,
        }
    }

    /// As [`Recipe::expected_s`], for a scan of this grid and with the time of a model.
    pub(crate) fn expected_with(&self, grid: &ImageGeometry, model: Option<&ModelCard>) -> f64 {
        let voxels = if *self == CT_FINE { ct_fine::voxels(grid) } else { grid.voxel_count() };
        let cores = rayon::current_num_threads();
        let of_model = |m: &ModelCard| m.expected_s(grid, cores).or_else(|| m.expected_upsample_s(voxels, cores));
        self.expected_s(voxels) + model.and_then(of_model).unwrap_or(0.0)
    }

    /// Seconds from scan to case to be expected on this machine, from the number of voxels and of cores.
    pub fn expected_s(&self, voxels: usize) -> f64 {
        // Measured on two cores; about a fifth does not run in parallel.
        let cores = rayon::current_num_threads() as f64;
        let share = 0.2 + 0.8 * 2.0 / cores;
        (ANY_CASE_S + (self.cost.segment_us + self.cost.surfaces_us) * voxels as f64 / 1e6) * share
    }
}

/// Finds structures by a recipe that needs nothing but the scan for it; `None` for one that needs labels or a model.
///
/// # Errors
/// [`VolumeError`] if voxels and grid disagree.
pub(crate) fn segment(
    recipe: &Recipe,
    scan: &ScanVolume,
    progress: &(dyn Fn(f32) + Sync),
) -> Result<Option<LabelMap>, VolumeError> {
    let voxels = match recipe.name {
        "ct-basic" | "ct-fine" => ct_basic::segment(scan, progress)?,
        "mr-head" => mr_head::segment(scan, progress)?,
        _ => return Ok(None),
    };
    Ok(Some(with_segments(recipe, voxels)))
}

/// Names the labels that a recipe writes, those without voxels left out.
pub(crate) fn with_segments(recipe: &Recipe, voxels: Volume<Label>) -> LabelMap {
    let names = match recipe.name {
        "ct-basic" | "ct-fine" => &ct_basic::STRUCTURES[..],
        "mr-head" => &mr_head::STRUCTURES[..],
        _ => &[],
    };
    let mut map = LabelMap { voxels, segments: BTreeMap::new() };
    let present = present_labels(&map);
    let named = (1..).zip(names).filter(|(label, _)| present.contains(label));
    map.segments = named.map(|(label, name)| (label, terminology::segment(label, name))).collect();
    // The body is everything in it, so its surface is the skin.
    if let Some(body) = map.segments.get_mut(&1).filter(|s| s.name == "body") {
        body.parts = present.iter().copied().filter(|&label| label != 1).collect();
    }
    map
}

/// The labels that occur, in order, background left out.
pub(crate) fn present_labels(map: &LabelMap) -> Vec<Label> {
    let found = map
        .voxels
        .data()
        .par_chunks(1 << 18)
        .fold(
            || vec![false; usize::from(Label::MAX) + 1],
            |mut found, chunk| {
                chunk.iter().for_each(|&label| found[usize::from(label)] = true);
                found
            },
        )
        .reduce(|| vec![false; usize::from(Label::MAX) + 1], |a, b| a.iter().zip(b).map(|(x, y)| *x | y).collect());
    (1..=Label::MAX).filter(|&label| found[usize::from(label)]).collect()
}

/// Writes masks over each other, the last on top.
fn paint(size: [usize; 3], layers: &[(Label, &BitMask)]) -> Vec<Label> {
    let mut labels = vec![0; size.iter().product()];
    labels.par_chunks_exact_mut(size[0] * size[1]).enumerate().for_each(|(k, slice)| {
        for &(label, mask) in layers {
            mask.for_runs(k..k + 1, |row, a, b| {
                let base = (row - k * size[1]) * size[0];
                slice[base + a..base + b].fill(label);
            });
        }
    });
    labels
}

#[cfg(test)]
mod tests;
