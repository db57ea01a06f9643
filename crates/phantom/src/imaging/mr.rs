//! The MR scanner: spin echo images weighted by T1 or T2.
//!
//! Relaxation times at 1.5 and 3 T in ms: kidney, liver, spleen, pancreas, prostate, uterus, marrow and fat from de Bazelaire et al. (Radiology
//! 2004; 230: 652); muscle, heart, cartilage, blood and spinal cord from Stanisz et al. (Magn Reson Med 2005; 54: 507). What they
//! do not give (fluids, walls, content, glands, discs, tumours) and all proton densities are our estimates.

use glam::Affine3A;
use rayon::prelude::*;
use volume::Volume;

use super::substance::Substance;
use super::within;
use crate::error::PhantomError;
use crate::noise::{Stream, scatter, white};
use crate::options::PhantomOptions;
use crate::scan::Subject;

/// What an image shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weighting {
    /// Short repetition and echo: fat bright, fluid dark.
    T1,
    /// Long repetition and echo: fluid bright.
    T2,
}

impl Weighting {
    /// Repetition time in ms.
    pub const fn repetition_ms(self) -> f32 {
        match self {
            Self::T1 => 550.0,
            Self::T2 => 4000.0,
        }
    }

    /// (Effective) echo time in ms.
    pub const fn echo_ms(self) -> f32 {
        match self {
            Self::T1 => 12.0,
            Self::T2 => 90.0,
        }
    }

    /// Echoes for each excitation.
    pub const fn echo_train(self) -> u32 {
        match self {
            Self::T1 => 1,
            Self::T2 => 16,
        }
    }
}

/// How the MR scanner is set.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MrSettings {
    /// 1.5 or 3 T.
    pub field_t: f32,
    /// Standard deviation of the noise in the real and imaginary part each, in the image's units, in which fat has about 1200 in T1; the
    /// image is their magnitude, so noise is Rician.
    pub noise: f32,
    /// How far the receiver's sensitivity departs from its mean at most, about, as a part of it; 0 for an even field.
    pub bias: f32,
}

impl Default for MrSettings {
    fn default() -> Self {
        Self { field_t: 1.5, noise: 18.0, bias: 0.2 }
    }
}

impl MrSettings {
    pub(super) fn check(&self) -> Result<(), PhantomError> {
        within("--field", "T (1.5 or 3)", f64::from(self.field_t), [1.5, 3.0])?;
        if self.field_t != 1.5 && self.field_t != 3.0 {
            let (what, unit, found) = ("--field", "T, with nothing between", f64::from(self.field_t));
            return Err(PhantomError::Setting { what, unit, found, range: [1.5, 3.0] });
        }
        within("the noise of MR", "units", f64::from(self.noise), [0.0, 1000.0])?;
        within("the bias field of MR", "of its mean", f64::from(self.bias), [0.0, 0.6])
    }
}

/// Units of the image for a signal of 1, that of water without relaxation.
const UNITS: f32 = 2000.0;

/// Fast spin echoes keep fat from losing its signal by J-coupling (Henkelman et al., J Magn Reson Imaging 1992; 2: 533); the factor is ours.
const FAT_T2_IN_ECHO_TRAINS: f32 = 2.0;

/// Share of blood's signal left when it flows out of the slice between pulse and echo: fast and slow. Ours.
const FLOW: [f32; 2] = [0.12, 0.35];

/// Proton density as a part of water's, T1 and T2 in ms.
fn relaxation(substance: Substance, at_3t: bool) -> [f32; 3] {
    use Substance as S;
    let (density, at_15, at_30) = match substance {
        S::Gas | S::Cortex | S::Metal | S::Plastic => return [0.0, 1000.0, 1.0],
        S::Lung => (0.10, [1100.0, 35.0], [1200.0, 30.0]),
        S::Fat => (0.95, [343.0, 58.0], [382.0, 68.0]),
        S::Muscle => (0.80, [1008.0, 44.0], [1412.0, 50.0]),
        S::Marrow => (0.70, [549.0, 49.0], [586.0, 49.0]),
        S::Cartilage => (0.70, [1024.0, 30.0], [1168.0, 27.0]),
        S::Disc => (0.85, [1000.0, 80.0], [1200.0, 75.0]),
        S::Fluid | S::Urine => (1.0, [4000.0, 2000.0], [4000.0, 2000.0]),
        S::Bile => (0.95, [2000.0, 500.0], [2200.0, 450.0]),
        S::Cord => (0.75, [745.0, 74.0], [993.0, 78.0]),
        S::Blood | S::VenousBlood => (0.90, [1441.0, 290.0], [1932.0, 275.0]),
        S::Myocardium => (0.80, [1030.0, 40.0], [1471.0, 47.0]),
        S::Liver => (0.75, [586.0, 46.0], [809.0, 34.0]),
        S::Spleen => (0.80, [1057.0, 79.0], [1328.0, 61.0]),
        S::KidneyCortex => (0.85, [966.0, 87.0], [1142.0, 76.0]),
        S::KidneyMedulla => (0.87, [1412.0, 85.0], [1545.0, 81.0]),
        S::Pancreas => (0.80, [584.0, 46.0], [725.0, 43.0]),
        S::Gland => (0.80, [900.0, 60.0], [1100.0, 55.0]),
        S::Prostate => (0.85, [1317.0, 88.0], [1597.0, 74.0]),
        S::Uterus => (0.85, [1309.0, 117.0], [1514.0, 79.0]),
        S::Wall => (0.75, [1000.0, 50.0], [1300.0, 45.0]),
        S::Content => (0.80, [1200.0, 110.0], [1400.0, 100.0]),
        S::Tumor => (0.85, [1100.0, 80.0], [1300.0, 75.0]),
        S::Necrosis => (0.90, [1600.0, 150.0], [1800.0, 140.0]),
        S::GroundGlass => (0.30, [1100.0, 60.0], [1300.0, 55.0]),
        S::Thrombus => (0.80, [1000.0, 55.0], [1200.0, 50.0]),
    };
    let [t1, t2] = if at_3t { at_30 } else { at_15 };
    [density, t1, t2]
}

/// Signal of a spin echo: ρ (1 − exp(−TR/T1)) exp(−TE/T2).
fn signal(substance: Substance, weighting: Weighting, field_t: f32) -> f32 {
    let [density, t1, t2] = relaxation(substance, field_t > 2.0);
    let trains = weighting.echo_train() > 1;
    let t2 = if substance == Substance::Fat && trains { t2 * FAT_T2_IN_ECHO_TRAINS } else { t2 };
    let flow = match substance {
        Substance::Blood => FLOW[0],
        Substance::VenousBlood => FLOW[1],
        _ => 1.0,
    };
    flow * density * (1.0 - (-weighting.repetition_ms() / t1).exp()) * (-weighting.echo_ms() / t2).exp()
}

/// Half width in mm of the point spread.
const POINT_SPREAD_MM: f32 = 0.3;
/// Unevenness of MR signals within an organ.
const MOTTLE: f32 = 0.05;

/// Scans the subject.
pub(crate) fn acquire(
    subject: &Subject,
    options: &PhantomOptions,
    weighting: Weighting,
    lps_from_body: Affine3A,
    progress: &(dyn Fn(f32) + Sync),
) -> Result<(volume::LabelMap, Volume<i16>), PhantomError> {
    let settings = options.imaging.mr;
    let geometry = subject.grid(options.spacing_mm)?;
    let value = |substance| UNITS * signal(substance, weighting, settings.field_t);
    let scanner = subject.values(POINT_SPREAD_MM, MOTTLE, value);
    let (mut labels, signals) = subject.paint(&geometry, lps_from_body, &scanner, &|done| progress(done * 0.9));
    subject.sweep(&mut labels, geometry.size());
    let [width, height, depth] = geometry.size();
    let field = BiasField::new(options.seed, settings.bias);
    let key = scatter(options.seed ^ scatter(weighting as u64 + 1));
    let plane = width * height;
    let mut voxels = vec![0i16; signals.len()];
    let slices = voxels.par_chunks_mut(plane).zip(signals.par_chunks(plane)).enumerate();
    slices.for_each(|(k, (voxels, signals))| {
        let [real, imaginary] = [0, 1].map(|part| white(scatter(key ^ scatter((2 * k + part) as u64)), plane));
        for (n, (((voxel, signal), real), imaginary)) in
            voxels.iter_mut().zip(signals).zip(real).zip(imaginary).enumerate()
        {
            let at = [(n % width, width), (n / width, height), (k, depth)];
            let received = signal * field.at(at.map(|(i, count)| 2.0 * (i as f32 + 0.5) / count as f32 - 1.0));
            let magnitude = (received + settings.noise * real).hypot(settings.noise * imaginary);
            *voxel = magnitude.round().clamp(0.0, 4095.0) as i16;
        }
    });
    progress(1.0);
    Ok((subject.label_map(geometry, labels)?, Volume::new(geometry, voxels)?))
}

/// A smooth factor over the field of view: the exponential of a polynomial of second order.
struct BiasField {
    /// Of x, y, z, x², y², z², xy, yz.
    coefficients: [f32; 8],
}

impl BiasField {
    fn new(seed: u64, amplitude: f32) -> Self {
        let mut draw = Stream::new(seed, "bias field");
        let drawn = [(); 8].map(|()| draw.normal());
        let sum: f32 = drawn.iter().map(|c| c.abs()).sum();
        Self { coefficients: drawn.map(|c| 2.0 * amplitude * c / sum.max(1e-3)) }
    }

    /// At a place given from −1 to 1 along each axis.
    fn at(&self, [x, y, z]: [f32; 3]) -> f32 {
        let terms = [x, y, z, x * x - 0.33, y * y - 0.33, z * z - 0.33, x * y, y * z];
        self.coefficients.iter().zip(terms).map(|(c, t)| c * t).sum::<f32>().exp()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tissues_stand_in_the_order_that_radiologists_know() {
        use Substance as S;
        for field in [1.5, 3.0] {
            let t1 = |s| signal(s, Weighting::T1, field);
            let t2 = |s| signal(s, Weighting::T2, field);
            for (bright, dark) in [
                (S::Fat, S::Liver),
                (S::Liver, S::Spleen),
                (S::Fat, S::Muscle),
                (S::Muscle, S::Fluid),
                (S::KidneyCortex, S::KidneyMedulla),
                (S::Liver, S::Necrosis),
                (S::Fluid, S::Cortex),
                (S::Muscle, S::Blood),
            ] {
                assert!(
                    t1(bright) > 1.05 * t1(dark),
                    "T1 at {field} T: {bright:?} {} {dark:?} {}",
                    t1(bright),
                    t1(dark)
                );
            }
            for (bright, dark) in [
                (S::Fluid, S::Fat),
                (S::Fat, S::Muscle),
                (S::Spleen, S::Liver),
                (S::Tumor, S::Liver),
                (S::Fluid, S::Disc),
            ] {
                assert!(
                    t2(bright) > 1.05 * t2(dark),
                    "T2 at {field} T: {bright:?} {} {dark:?} {}",
                    t2(bright),
                    t2(dark)
                );
            }
        }
    }

    #[test]
    fn the_bias_field_is_smooth_and_bounded() {
        let field = BiasField::new(7, 0.2);
        let values: Vec<f32> =
            (0..1000).map(|n| field.at([n % 10, n / 10 % 10, n / 100].map(|i| i as f32 / 4.5 - 1.0))).collect();
        let (low, high) = values.iter().fold((f32::MAX, 0f32), |(l, h), v| (l.min(*v), h.max(*v)));
        assert!(low > 0.6 && high < 1.6 && high / low > 1.05, "{low} to {high}");
        assert_eq!(BiasField::new(7, 0.0).at([0.3, -1.0, 1.0]), 1.0);
    }
}
