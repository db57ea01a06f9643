//! The PET scanner: uptake of fluorodeoxyglucose an hour after the injection.
//!
//! Standardised uptake values by body weight of a patient at rest, rounded after Wang et al. (Mol Imaging Biol 2007; 9: 83) where they have
//! the organ; urine, content of the bowel, fluids and tumours are ours.

use glam::Affine3A;
use rayon::prelude::*;
use space::Point;
use volume::{ImageGeometry, LabelMap, Volume};

use super::substance::Substance;
use super::within;
use crate::error::PhantomError;
use crate::noise::{Stream, scatter, white};
use crate::options::PhantomOptions;
use crate::scan::Subject;

/// How the PET scanner is set.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PetSettings {
    /// Edge of a voxel in mm.
    pub spacing_mm: f64,
    /// Full width at half maximum of the point spread in mm.
    pub resolution_mm: f32,
    /// Standard deviation of the noise in the liver, as a part of its value; elsewhere it goes with the root of the value.
    pub noise: f32,
    /// Activity injected for each kg of weight, in Bq.
    pub bq_per_kg: f64,
}

impl Default for PetSettings {
    fn default() -> Self {
        Self { spacing_mm: 4.0, resolution_mm: 6.0, noise: 0.1, bq_per_kg: 4e6 }
    }
}

impl PetSettings {
    pub(super) fn check(&self) -> Result<(), PhantomError> {
        within("the voxels of PET", "mm", self.spacing_mm, [1.0, 20.0])?;
        within("the resolution of PET", "mm", f64::from(self.resolution_mm), [1.0, 20.0])?;
        within("the noise of PET", "of the liver's value", f64::from(self.noise), [0.0, 2.0])?;
        within("the activity of PET", "Bq/kg", self.bq_per_kg, [1e4, 1e8])
    }
}

/// The liver's, to which noise refers.
const LIVER: f32 = 2.1;

/// Least and greatest uptake of the myocardium, which lives on fat or sugar as the day will have it.
const MYOCARDIUM: [f32; 2] = [1.8, 8.0];

/// Standardised uptake value.
fn uptake(substance: Substance, myocardium: f32) -> f32 {
    use Substance as S;
    match substance {
        S::Gas | S::Metal | S::Plastic => 0.0,
        S::Lung => 0.5,
        S::Fat => 0.3,
        S::Muscle => 0.7,
        S::Cortex => 0.4,
        S::Marrow => 1.3,
        S::Cartilage | S::Disc => 0.6,
        S::Fluid => 0.4,
        S::Urine => 14.0,
        S::Bile => 0.8,
        S::Cord => 1.7,
        S::Blood | S::VenousBlood => 1.5,
        S::Myocardium => myocardium,
        S::Liver => LIVER,
        S::Spleen => 1.8,
        S::KidneyCortex => 2.8,
        S::KidneyMedulla => 3.6,
        S::Pancreas => 1.6,
        S::Gland => 1.4,
        S::Prostate => 1.6,
        S::Uterus => 1.8,
        S::Wall => 1.2,
        S::Content => 0.8,
        S::Tumor => 9.0,
        S::Necrosis => 5.0,
        S::GroundGlass => 1.2,
        S::Thrombus => 0.8,
    }
}

/// Scans the subject; values are standardised uptake values.
pub(crate) fn acquire(
    subject: &Subject,
    options: &PhantomOptions,
    lps_from_body: Affine3A,
    progress: &(dyn Fn(f32) + Sync),
) -> Result<(LabelMap, Volume<f32>), PhantomError> {
    let settings = options.imaging.pet;
    let geometry = subject.grid([settings.spacing_mm; 3])?;
    let mut draw = Stream::new(options.seed, "myocardial uptake");
    let myocardium = draw.between(MYOCARDIUM[0], MYOCARDIUM[1]);
    // Resolution comes after, over all that is in its reach.
    let scanner = subject.values(0.0, 0.06, |substance| uptake(substance, myocardium));
    let (mut labels, _) = subject.paint(&geometry, lps_from_body, &scanner, &|done| progress(done * 0.2));
    subject.sweep(&mut labels, geometry.size());
    let fine = halved(&geometry)?;
    let (_, mut uptake) = subject.paint(&fine, lps_from_body, &scanner, &|done| progress(0.2 + done * 0.6));
    blur(&mut uptake, fine.size(), sigma_of(settings.resolution_mm) / (settings.spacing_mm as f32 / 2.0));
    let mut voxels = means_of_eight(&uptake, geometry.size());
    add_noise(&mut voxels, &geometry, &settings, options.seed);
    progress(1.0);
    Ok((subject.label_map(geometry, labels)?, Volume::new(geometry, voxels)?))
}

/// Eight voxels for each one.
fn halved(geometry: &ImageGeometry) -> Result<ImageGeometry, PhantomError> {
    let origin = geometry.lps_from_index() * Point::new(-0.25, -0.25, -0.25);
    let (size, spacing) = (geometry.size().map(|s| 2 * s), geometry.spacing().map(|s| s / 2.0));
    Ok(ImageGeometry::new(size, spacing, origin, geometry.direction())?)
}

fn means_of_eight(fine: &[f32], [width, height, depth]: [usize; 3]) -> Vec<f32> {
    let mut means = vec![0f32; width * height * depth];
    means.par_chunks_mut(width * height).enumerate().for_each(|(k, slice)| {
        for (n, mean) in slice.iter_mut().enumerate() {
            let (i, j) = (n % width, n / width);
            let corner =
                |c: usize| fine[2 * i + (c & 1) + 2 * width * (2 * j + (c >> 1 & 1) + 2 * height * (2 * k + (c >> 2)))];
            *mean = (0..8).map(corner).sum::<f32>() / 8.0;
        }
    });
    means
}

/// Noise as coarse as what a scanner's own reconstruction leaves.
fn add_noise(voxels: &mut [f32], geometry: &ImageGeometry, settings: &PetSettings, seed: u64) {
    if settings.noise == 0.0 {
        return;
    }
    let mut noise: Vec<f32> = white(scatter(seed ^ 0x9E7), voxels.len()).collect();
    blur(&mut noise, geometry.size(), sigma_of(0.8 * settings.resolution_mm) / settings.spacing_mm as f32);
    let spread = (noise.iter().map(|v| f64::from(*v).powi(2)).sum::<f64>() / noise.len() as f64).sqrt() as f32;
    for (voxel, noise) in voxels.iter_mut().zip(noise) {
        // Air is not free of counts either.
        let sigma = settings.noise * (LIVER * (*voxel + 0.02)).sqrt();
        *voxel = (*voxel + noise / spread.max(1e-6) * sigma).max(0.0);
    }
}

/// Standard deviation of a Gaussian of some full width at half maximum.
fn sigma_of(full_width: f32) -> f32 {
    full_width / (8.0 * std::f32::consts::LN_2).sqrt()
}

/// Convolves with a Gaussian of `sigma` voxels along all axes; what lies outside is like the edge.
fn blur(voxels: &mut Vec<f32>, [width, height, depth]: [usize; 3], sigma: f32) {
    let reach = (3.0 * sigma).ceil().max(1.0) as i64;
    let raw: Vec<f32> = (-reach..=reach).map(|t| (-0.5 * (t as f32 / sigma).powi(2)).exp()).collect();
    let sum: f32 = raw.iter().sum();
    let kernel: Vec<f32> = raw.into_iter().map(|w| w / sum).collect();
    let taps = |at: usize, count: usize| {
        let place = move |t: i64| (at as i64 + t).clamp(0, count as i64 - 1) as usize;
        (-reach..=reach).map(place).zip(kernel.iter().copied())
    };
    let plane = width * height;
    let mut other = vec![0f32; voxels.len()];
    other.par_chunks_mut(plane).enumerate().for_each(|(k, slice)| {
        let source = |k: usize| &voxels[k * plane..(k + 1) * plane];
        let mut along_z = vec![0f32; plane];
        for (from, weight) in taps(k, depth) {
            along_z.iter_mut().zip(source(from)).for_each(|(a, v)| *a += v * weight);
        }
        let mut along_y = vec![0f32; plane];
        for (j, row) in along_y.chunks_exact_mut(width).enumerate() {
            for (from, weight) in taps(j, height) {
                row.iter_mut().zip(&along_z[from * width..(from + 1) * width]).for_each(|(a, v)| *a += v * weight);
            }
        }
        for (out, row) in slice.chunks_exact_mut(width).zip(along_y.chunks_exact(width)) {
            for (i, value) in out.iter_mut().enumerate() {
                *value = taps(i, width).map(|(from, weight)| row[from] * weight).sum();
            }
        }
    });
    *voxels = other;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_point_gets_as_wide_as_stated_and_keeps_its_sum() {
        let size = [31, 31, 31];
        let mut voxels = vec![0f32; 31 * 31 * 31];
        voxels[15 + 31 * (15 + 31 * 15)] = 1.0;
        blur(&mut voxels, size, sigma_of(6.0) / 1.0);
        assert!((voxels.iter().sum::<f32>() - 1.0).abs() < 1e-3);
        let at = |i: usize| voxels[i + 31 * (15 + 31 * 15)];
        assert!((at(18) / at(15) - 0.5).abs() < 0.02, "half maximum 3 mm off the middle, not {}", at(18) / at(15));
    }
}
