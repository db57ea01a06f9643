//! Patches of a sample, each time a little different: turned, scaled, bent, mirrored; brighter, duller, blurred, noisier.
//!
//! The kinds and their order are nnU-Net's (Isensee et al., doi 10.1038/s41592-020-01008-z, supplement). Image and labels
//! go through one and the same map, so they stay together.

mod intensity;
mod spatial;
mod synthesis;

use serde::{Deserialize, Serialize};

use super::random::Rng;
use super::sample::Sample;
use crate::NeuralError;
pub use synthesis::Synthesis;

/// A value that is drawn with a probability, and else left out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Chance {
    /// 0 to 1.
    pub probability: f64,
    /// From and to.
    pub range: [f64; 2],
}

impl Chance {
    pub(super) fn draw(self, rng: &mut Rng) -> Option<f64> {
        // Always the same number of draws.
        let (hit, value) = (rng.chance(self.probability), rng.between(self.range[0], self.range[1]));
        hit.then_some(value)
    }
}

/// Smooth random displacements.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Elastic {
    /// 0 to 1.
    pub probability: f64,
    /// Between the knots of the cubic B-spline that the displacements are, in mm.
    pub knots_mm: f64,
    /// Standard deviation of a knot's displacement, from and to, in mm.
    pub deviation_mm: [f64; 2],
}

/// What may happen to a sample.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Augmentation {
    /// Part of the patches that are sure to hold a voxel of a class drawn from those present.
    pub foreground: f64,
    /// Angle about each axis in degrees; the probability is that of turning at all.
    pub rotation_deg: Chance,
    /// Size of what is seen, 1 as it is.
    pub scale: Chance,
    /// Bending.
    pub elastic: Option<Elastic>,
    /// Axes (depth, height, width) that are flipped half of the time. For axes whose sides do not matter.
    pub mirror: [bool; 3],
    /// Values made from the labels, before all that follows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub synthesis: Option<Synthesis>,
    /// Standard deviation of noise, in those of the image.
    pub noise: Chance,
    /// Standard deviation of a Gaussian, in voxels.
    pub blur: Chance,
    /// Factor of all values.
    pub brightness: Chance,
    /// Factor of all distances from the mean.
    pub contrast: Chance,
    /// Factor of the resolution, below 1; the image is made coarse and resized back.
    pub resolution: Chance,
    /// Exponent of the values between least and greatest.
    pub gamma: Chance,
    /// The same upside down.
    pub gamma_inverted: Chance,
}

impl Augmentation {
    /// Whether all of this can be.
    ///
    /// # Errors
    /// [`NeuralError::Description`], with the field.
    pub(super) fn check(&self) -> Result<(), NeuralError> {
        let wrong = |field: &str, reason: String| {
            Err(NeuralError::Description { field: format!("augmentation.{field}"), reason })
        };
        let probable = |p: f64| (0.0..=1.0).contains(&p);
        let ascends = |[from, to]: [f64; 2], least: f64| from >= least && from <= to && to.is_finite();
        if !probable(self.foreground) {
            return wrong("foreground", format!("is {}; 0 to 1 can be", self.foreground));
        }
        /// A size, a resolution or an exponent of nothing.
        const ABOVE_NOTHING: f64 = 0.01;
        for (field, chance, least) in [
            ("rotation_deg", self.rotation_deg, f64::MIN),
            ("scale", self.scale, ABOVE_NOTHING),
            ("noise", self.noise, 0.0),
            ("blur", self.blur, 0.0),
            ("brightness", self.brightness, f64::MIN),
            ("contrast", self.contrast, f64::MIN),
            ("resolution", self.resolution, ABOVE_NOTHING),
            ("gamma", self.gamma, ABOVE_NOTHING),
            ("gamma_inverted", self.gamma_inverted, ABOVE_NOTHING),
        ] {
            let Chance { probability, range } = chance;
            if !probable(probability) {
                return wrong(field, format!("has the probability {probability}; 0 to 1 can be"));
            }
            if probability > 0.0 && !ascends(range, least) {
                let bound = if least > f64::MIN { format!(", from {least} on") } else { String::new() };
                return wrong(field, format!("has the range {range:?}; two numbers that ascend can be{bound}"));
            }
        }
        if let Some(elastic) = self.elastic {
            let knots = elastic.knots_mm.is_finite() && elastic.knots_mm >= ABOVE_NOTHING;
            if !(probable(elastic.probability) && knots && ascends(elastic.deviation_mm, 0.0)) {
                return wrong("elastic", format!("{elastic:?} cannot be"));
            }
        }
        match &self.synthesis {
            Some(synthesis) if !synthesis.is_possible() => wrong("synthesis", format!("{synthesis:?} cannot be")),
            _ => Ok(()),
        }
    }
}

/// A patch of `size` (depth, height, width) of a sample. Zeros and background lie outside of it.
pub fn augment(sample: &Sample, size: [usize; 3], augmentation: &Augmentation, rng: &mut Rng) -> Sample {
    let mut patch = spatial::patch(sample, size, augmentation, rng);
    let voxels = patch.voxels();
    let lattice = spatial::Lattice { size, spacing_mm: patch.spacing_mm.map(f64::from) };
    for channel in patch.image.chunks_mut(voxels) {
        if let Some(synthesis) = &augmentation.synthesis {
            synthesis::synthesize(channel, &patch.labels, lattice, synthesis, rng);
        }
        intensity::vary(channel, size, augmentation, rng);
    }
    patch
}

#[cfg(test)]
mod tests;
