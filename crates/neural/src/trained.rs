//! U-Nets that were trained by this project, with what a scan must become before they see it.

mod division;
mod windows;

use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use space::AxisCode;
use volume::{ImageGeometry, Label, ScanVolume, Volume, components, resample};

pub use self::division::Division;
use self::windows::{foreground, in_focus, in_windows};
use crate::confidence::percent;
use crate::error::NeuralError;
use crate::grid::{binned, canonical};
use crate::networks::unet::UNetConfig;
use crate::training::{Predictor, Sample};

/// Voxels of the largest grid that is run as a whole: the first layers of a small network then take some gigabytes.
const MOST_VOXELS: usize = 24 << 20;

/// Slices of a scan that probabilities are brought to at a time.
const SLAB: usize = 16;

/// Probabilities below this are none.
const NOTHING: f32 = 1e-5;

/// Voxels of the largest window that is run.
const MOST_WINDOW: usize = 16 << 20;

/// Of a network's voxels, in mm.
const SPACINGS: std::ops::RangeInclusive<f64> = 0.01..=100.0;

/// The part of a scan that a first look leaves, about: a brain of a head.
const FOCUS_SHARE: f64 = 0.4;

/// Networks that answer together, at most.
const MOST_MEMBERS: usize = 64;

/// What is done to the values of an image.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Normalization {
    /// Mean 0 and deviation 1 over the image.
    ZScore,
    /// By straight lines between four points (value, what becomes of it), even beyond the outer ones; values ascend, and the first
    /// becomes 0. For scales that are absolute, such as Hounsfield's: tissues that differ little can be set far apart.
    Curve([[f64; 2]; 4]),
}

impl Normalization {
    /// Done in place; none if all values are equal, or the points of a curve do not ascend from 0.
    pub fn apply(self, values: &mut [f32]) -> Option<()> {
        match self {
            Self::ZScore => {
                let count = values.len().max(1) as f64;
                let mean = values.iter().map(|&x| f64::from(x)).sum::<f64>() / count;
                let variance = values.iter().map(|&x| (f64::from(x) - mean).powi(2)).sum::<f64>() / count;
                let inverse = 1.0 / variance.sqrt();
                if !(varied(values) && inverse.is_finite()) {
                    return None;
                }
                values.iter_mut().for_each(|x| *x = ((f64::from(*x) - mean) * inverse) as f32);
            }
            Self::Curve(points) => {
                if points[0][1] != 0.0 || !points.windows(2).all(|w| w[0][0] < w[1][0]) {
                    return None;
                }
                values.iter_mut().for_each(|x| *x = on_curve(&points, f64::from(*x)) as f32);
                if !varied(values) {
                    return None;
                }
            }
        }
        Some(())
    }

    /// What lies around an image in its own values: 0, or what becomes 0 on a curve.
    fn outside(self) -> f32 {
        match self {
            Self::ZScore => 0.0,
            Self::Curve(points) => points[0][0] as f32,
        }
    }
}

/// The value of a curve of straight lines.
fn on_curve(points: &[[f64; 2]; 4], x: f64) -> f64 {
    let x = x.clamp(points[0][0], points[3][0]);
    let piece = points.windows(2).find(|w| x <= w[1][0]);
    piece.map_or(points[3][1], |w| w[0][1] + (x - w[0][0]) / (w[1][0] - w[0][0]) * (w[1][1] - w[0][1]))
}

fn varied(values: &[f32]) -> bool {
    values.windows(2).any(|pair| pair[0] != pair[1])
}

/// A network and its view of a scan.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainedUNet {
    /// Its shape.
    pub network: UNetConfig,
    /// Networks of that shape that learned from other seeds, from 1; the mean of their probabilities counts.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub members: usize,
    /// Where columns, rows and slices lead, such as `RAS`.
    pub axes: String,
    /// Between voxels along columns, rows, slices.
    pub spacing_mm: [f64; 3],
    /// What is done to the values.
    pub normalization: Normalization,
    /// Axes (depth, height, width) that are flipped, the results averaged.
    pub flips: [bool; 3],
    /// Voxels (depth, height, width) of the windows that go over a scan; none if it is run as a whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub windows: Option<[usize; 3]>,
    /// True if a first look at the whole scan says where the windows go.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub focus: bool,
    /// True if all that is found together is one piece, as a brain is: what is apart from the largest is background.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub one_piece: bool,
    /// Classes each of which is one piece, as an organ is: what is apart from the largest is of the next probable class.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub single: Vec<Label>,
    /// Two classes that meet in a plane.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub division: Option<Division>,
}

/// Of a field that a card without it means.
const fn one() -> usize {
    1
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
fn is_one(members: &usize) -> bool {
    *members == 1
}

/// What such a network found in a scan.
#[derive(Clone, Debug, PartialEq)]
pub struct TrainedLabels {
    /// Class of each voxel of the scan's own grid.
    pub labels: Volume<Label>,
    /// Class of each voxel of the network's grid.
    pub seen: Volume<Label>,
    /// How probable the class of each voxel of the scan's own grid is by the network, in percent.
    pub confidence: Volume<u8>,
}

impl TrainedUNet {
    /// Whether there can be such a network.
    ///
    /// # Errors
    /// [`NeuralError::Description`] for networks or windows that cannot be.
    pub fn check(&self) -> Result<(), NeuralError> {
        let wrong = |field: &str, reason: String| Err(NeuralError::Description { field: field.to_owned(), reason });
        self.network.check()?;
        if self.network.inputs != 1 {
            return wrong("inputs", format!("are {} images, and a scan is one", self.network.inputs));
        }
        self.axes()?;
        if !self.spacing_mm.iter().all(|s| SPACINGS.contains(s)) {
            let ([low, high], found) = ([SPACINGS.start(), SPACINGS.end()], self.spacing_mm);
            return wrong("spacing_mm", format!("is {found:?}; {low} to {high} mm can be"));
        }
        if !(1..=MOST_MEMBERS).contains(&self.members) {
            return wrong("members", format!("are {}; 1 to {MOST_MEMBERS} can be", self.members));
        }
        let voxels = self.windows.map_or(1, |w| w.into_iter().fold(1, usize::saturating_mul));
        if !(1..=MOST_WINDOW).contains(&voxels) {
            return wrong(
                "windows",
                format!("are {:?}; at least a voxel and at most {MOST_WINDOW} can be", self.windows),
            );
        }
        if let Some(Division { axis, before, after }) = self.division {
            let is_class = |class: Label| (1..self.network.classes).contains(&usize::from(class));
            if axis > 2 || before == after || !is_class(before) || !is_class(after) {
                return wrong(
                    "division",
                    format!("is between {before} and {after} along axis {axis}; two classes and 0 to 2 can be"),
                );
            }
        }
        Ok(())
    }

    fn axes(&self) -> Result<AxisCode, NeuralError> {
        self.axes.parse().map_err(|error| NeuralError::Description {
            field: "axes".to_owned(),
            reason: format!("are `{}`: {error}", self.axes),
        })
    }

    /// Floating-point operations for a scan on this grid, about; none if it cannot be seen.
    pub fn flops(&self, grid: &ImageGeometry) -> Option<f64> {
        let [i, j, k] = canonical(grid, self.axes().ok()?, self.spacing_mm).ok()?.size();
        let size = [k, j, i];
        let whole = size.into_iter().product::<usize>() as f64;
        let flips = self.flips.iter().filter(|f| **f).count() as i32;
        let often = 2f64.powi(flips) * self.members as f64;
        let seen = match self.windows {
            Some(window) => {
                let along = |a: usize| (windows::count(size[a], window[a]) * window[a]) as f64;
                let all = along(0) * along(1) * along(2);
                // What is looked for fills a part of the scan.
                if self.focus { whole * self.members as f64 + FOCUS_SHARE * all * often } else { all * often }
            }
            None => whole * often,
        };
        Some(self.network.flops_per_voxel() * seen)
    }

    /// The network with its weights.
    ///
    /// # Errors
    /// [`NeuralError`] if the bytes are no weights, or those of another network.
    pub fn load(&self, weights: &[u8]) -> Result<Predictor, NeuralError> {
        Predictor::load(&self.network, weights, self.members)
    }

    /// A scan as the network sees it, without labels, and its grid. Voxels much finer than the network's are averaged first.
    ///
    /// # Errors
    /// [`NeuralError::Input`] if all voxels are the same, [`NeuralError::Description`] if the axes are none.
    pub fn view(&self, scan: &ScanVolume) -> Result<(Sample, ImageGeometry), NeuralError> {
        let grid = canonical(scan.geometry(), self.axes()?, self.spacing_mm)?;
        if grid.voxel_count() > MOST_VOXELS {
            return Err(NeuralError::Input {
                reason: format!(
                    "at the network's spacing it has {:?} voxels, more than are run as a whole",
                    grid.size()
                ),
                remedy: "crop it to what the network was made for".to_owned(),
            });
        }
        let outside = self.normalization.outside();
        let mut image = resample::linear(&binned(scan, &grid)?, &grid, outside).into_data();
        self.normalization.apply(&mut image).ok_or_else(|| NeuralError::Input {
            reason: "all of its voxels are the same".to_owned(),
            remedy: "choose another series".to_owned(),
        })?;
        let [i, j, k] = grid.size();
        let [x, y, z] = grid.spacing().map(|s| s as f32);
        let labels = vec![0; image.len()];
        Ok((Sample { size: [k, j, i], spacing_mm: [z, y, x], image, labels }, grid))
    }

    /// Probabilities `[classes, voxels]` of a scan as the network sees it.
    ///
    /// # Errors
    /// [`NeuralError`] if the sample is of another kind than the network's.
    pub fn probabilities(
        &self,
        predictor: &Predictor,
        sample: &Sample,
        tell: &(dyn Fn(f32) + Sync),
    ) -> Result<Vec<f32>, NeuralError> {
        let mut probabilities = match self.windows {
            Some(window) if self.focus => in_focus(predictor, sample, window, self.flips, tell)?,
            Some(window) => in_windows(predictor, sample, window, self.flips, tell)?,
            None => predictor.probabilities(sample, self.flips)?,
        };
        if let Some(division) = self.division {
            division.apply(&mut probabilities, sample.size);
        }
        Ok(probabilities)
    }

    /// How probable each class is at each voxel of a scan.
    ///
    /// # Errors
    /// [`NeuralError::Input`] if the scan is too large, or all of one value.
    pub fn answer(
        &self,
        predictor: &Predictor,
        scan: &ScanVolume,
        tell: &(dyn Fn(f32) + Sync),
    ) -> Result<TrainedAnswer, NeuralError> {
        let (sample, grid) = self.view(scan)?;
        tell(0.1);
        let mut probabilities = self.probabilities(predictor, &sample, &|share| tell(0.1 + 0.8 * share))?;
        if self.one_piece {
            leave_largest(&mut probabilities, &grid)?;
        }
        leave_largest_each(&mut probabilities, &grid, &self.single)?;
        let planes = probabilities.chunks_exact(sample.voxels());
        let maps = planes.map(|plane| Ok(Volume::new(grid, plane.to_vec())?)).collect::<Result<_, NeuralError>>()?;
        Ok(TrainedAnswer { maps, grid, own: *scan.geometry() })
    }

    /// Finds the classes of a scan. `temperature` makes the confidence flatter above 1, sharper below; it changes no class.
    ///
    /// # Errors
    /// As [`TrainedUNet::answer`].
    pub fn segment(
        &self,
        predictor: &Predictor,
        scan: &ScanVolume,
        temperature: f32,
        tell: &(dyn Fn(f32) + Sync),
    ) -> Result<TrainedLabels, NeuralError> {
        let answer = self.answer(predictor, scan, tell)?;
        tell(0.9);
        let labels = answer.labels(temperature);
        tell(1.0);
        labels
    }
}

/// Makes background of what is apart from the largest piece of all classes but background, the first.
fn leave_largest(probabilities: &mut [f32], grid: &ImageGeometry) -> Result<(), NeuralError> {
    let voxels = grid.voxel_count();
    let found = Volume::new(*grid, foreground(probabilities, voxels))?;
    let largest = components::largest(&found);
    let apart = |at: usize| found.data()[at] && !largest.data()[at];
    probabilities.par_chunks_exact_mut(voxels).enumerate().for_each(|(class, plane)| {
        let value = if class == 0 { 1.0 } else { 0.0 };
        plane.iter_mut().enumerate().filter(|(at, _)| apart(*at)).for_each(|(_, p)| *p = value);
    });
    Ok(())
}

/// Takes from each of some classes what is apart from its largest piece.
fn leave_largest_each(probabilities: &mut [f32], grid: &ImageGeometry, single: &[Label]) -> Result<(), NeuralError> {
    if single.is_empty() {
        return Ok(());
    }
    let voxels = grid.voxel_count();
    let planes: Vec<&[f32]> = probabilities.chunks_exact(voxels).collect();
    // The lower of equals.
    let class =
        |at: usize| (1..planes.len()).fold(0, |best, c| if planes[c][at] > planes[best][at] { c } else { best });
    let classes: Vec<usize> = (0..voxels).into_par_iter().map(class).collect();
    for (class, plane) in probabilities.chunks_exact_mut(voxels).enumerate() {
        if single.iter().all(|&s| usize::from(s) != class) {
            continue;
        }
        let found = Volume::new(*grid, classes.iter().map(|&c| c == class).collect::<Vec<bool>>())?;
        let largest = components::largest(&found);
        let apart = found.data().iter().zip(largest.data()).map(|(found, kept)| *found && !kept);
        plane.iter_mut().zip(apart).filter(|(_, apart)| *apart).for_each(|(p, _)| *p = 0.0);
    }
    Ok(())
}

/// Probabilities of all classes, on the network's grid.
#[derive(Clone, Debug, PartialEq)]
pub struct TrainedAnswer {
    /// By class.
    maps: Vec<Volume<f32>>,
    grid: ImageGeometry,
    /// The scan's.
    own: ImageGeometry,
}

impl TrainedAnswer {
    /// The most probable classes at a temperature, between the network's voxels by trilinear interpolation of the
    /// probabilities.
    ///
    /// # Errors
    /// [`NeuralError`] if a grid cannot be.
    pub fn labels(&self, temperature: f32) -> Result<TrainedLabels, NeuralError> {
        let (classes, _) = self.largest(&self.grid, 1.0);
        let seen = Volume::new(self.grid, classes)?;
        let (labels, confidence) = self.on_scan(temperature, percent)?;
        Ok(TrainedLabels { labels, seen, confidence })
    }

    /// The most probable class of each voxel of the scan's own grid, and how probable it is at a temperature, unrounded.
    ///
    /// # Errors
    /// [`NeuralError`] if a grid cannot be.
    pub fn probable(&self, temperature: f32) -> Result<(Volume<Label>, Volume<f32>), NeuralError> {
        self.on_scan(temperature, |share| share)
    }

    fn on_scan<T>(&self, temperature: f32, kept: impl Fn(f32) -> T) -> Result<(Volume<Label>, Volume<T>), NeuralError> {
        let (mut labels, mut confidence) = (Vec::new(), Vec::new());
        let [ni, nj, nk] = self.own.size();
        for first in (0..nk).step_by(SLAB) {
            let slab = self.own.cropped([0, 0, first as isize], [ni, nj, SLAB.min(nk - first)])?;
            let (classes, sure) = self.largest(&slab, temperature);
            labels.extend(classes);
            confidence.extend(sure.into_iter().map(&kept));
        }
        Ok((Volume::new(self.own, labels)?, Volume::new(self.own, confidence)?))
    }

    /// The most probable class of each voxel of `target`, the lower of equals, and its probability; background beyond
    /// the maps.
    fn largest(&self, target: &ImageGeometry, temperature: f32) -> (Vec<Label>, Vec<f32>) {
        let voxels = target.voxel_count();
        let power = temperature.recip();
        let tempered = |p: f32| match () {
            // Too little to make a percent of difference, and most voxels are so to most classes.
            () if p < NOTHING => 0.0,
            () if power == 1.0 => p,
            () => p.powf(power),
        };
        let (mut classes, mut most, mut sums) = (vec![0; voxels], vec![f32::NEG_INFINITY; voxels], vec![0.0; voxels]);
        for (class, map) in self.maps.iter().enumerate() {
            let outside = if class == 0 { 1.0 } else { 0.0 };
            let at_target = resample::linear(map, target, outside);
            for (((label, most), sum), &p) in classes.iter_mut().zip(&mut most).zip(&mut sums).zip(at_target.data()) {
                *sum += tempered(p);
                if p > *most {
                    (*label, *most) = (class as Label, p);
                }
            }
        }
        let sure = most.into_iter().zip(sums).map(|(p, sum): (f32, f32)| tempered(p) / sum.max(NOTHING));
        (classes, sure.collect())
    }
}

#[cfg(test)]
mod tests;
