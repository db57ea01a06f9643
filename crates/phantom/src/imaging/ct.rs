//! The CT scanner.

use std::str::FromStr;

use glam::{Affine3A, DMat3, DVec3, Vec3};
use rayon::prelude::*;
use space::Point;
use volume::{ImageGeometry, Volume};

use super::beam::Beam;
use super::stack::Stack;
use super::within;
use crate::body::{Layer, Pose};
use crate::error::PhantomError;
use crate::noise::{Grain, add_scan_noise, scatter};
use crate::options::PhantomOptions;
use crate::raster::Appearance;
use crate::scan::{Body, Subject};
use crate::tissue::{AIR, Tissue, smooth_step};

/// The filter of the reconstruction: how sharp, and how noisy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Kernel {
    /// For soft tissue: point spread of half width 0.95 mm, 0.6 of the standard kernel's noise, coarse.
    Soft,
    /// Half width 0.55 mm.
    #[default]
    Standard,
    /// For bone and lung: half width 0.2 mm, 2.2 times the noise, fine.
    Sharp,
}

impl Kernel {
    /// From smooth to sharp.
    pub const ALL: [Self; 3] = [Self::Soft, Self::Standard, Self::Sharp];

    /// As it is written on the command line, and in Convolution Kernel.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Soft => "soft",
            Self::Standard => "standard",
            Self::Sharp => "sharp",
        }
    }

    const fn point_spread_mm(self) -> f32 {
        match self {
            Self::Soft => 0.95,
            Self::Standard => 0.55,
            Self::Sharp => 0.2,
        }
    }

    /// Noise over that of the standard kernel.
    const fn noise(self) -> f32 {
        match self {
            Self::Soft => 0.6,
            Self::Standard => 1.0,
            Self::Sharp => 2.2,
        }
    }

    const fn grain(self) -> Grain {
        match self {
            Self::Soft => Grain::COARSE,
            Self::Standard => Grain::USUAL,
            Self::Sharp => Grain::FINE,
        }
    }
}

impl FromStr for Kernel {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|k| k.name() == text);
        found.ok_or_else(|| format!("no kernel is called `{text}`; there are {}", Self::ALL.map(Self::name).join(", ")))
    }
}

/// How the CT scanner is set.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CtSettings {
    /// Tube current and time over the reference, at which noise is [`PhantomOptions::noise_hu`]; noise goes with 1/√dose.
    pub dose: f32,
    /// Sharpness and noise.
    pub kernel: Kernel,
    /// Thickness of slices in mm: less than their distance leaves gaps, more makes them overlap. `None`: as thick as far apart, and
    /// not averaged.
    pub slice_thickness_mm: Option<f64>,
    /// Tilt of the gantry about the patient's left-right axis; negative when its top leans towards the head (PS3.3 C.8.2.1).
    pub tilt_deg: f64,
    /// Depth of the breaths that the patient takes during the scan, in quiet breaths; 0 for a held breath.
    pub breathing: f32,
    /// Whether the beam hardens in tissue and bone.
    pub beam_hardening: bool,
}

impl Default for CtSettings {
    fn default() -> Self {
        Self {
            dose: 1.0,
            kernel: Kernel::Standard,
            slice_thickness_mm: None,
            tilt_deg: 0.0,
            breathing: 0.0,
            beam_hardening: false,
        }
    }
}

impl CtSettings {
    pub(super) fn check(&self) -> Result<(), PhantomError> {
        within("--dose", "times the reference", f64::from(self.dose), [0.02, 20.0])?;
        within("--tilt", "degrees", self.tilt_deg, [-30.0, 30.0])?;
        within("--breathing", "quiet breaths", f64::from(self.breathing), [0.0, 2.0])?;
        within("--slice-thickness", "mm", self.slice_thickness_mm.unwrap_or(1.0), [0.2, 20.0])
    }
}

/// Poses between the ends of a breath.
const POSES: usize = 30;

/// What X-rays see: HU.
pub(crate) struct CtAppearance {
    kernel: Kernel,
    /// How far the couch lies below that of the reference adult, in mm; `None` without a couch.
    couch: Option<f32>,
}

impl CtAppearance {
    pub(crate) const fn new(kernel: Kernel, couch: Option<f32>) -> Self {
        Self { kernel, couch }
    }
}

impl Appearance for CtAppearance {
    type Voxel = i16;

    fn point_spread_mm(&self) -> f32 {
        self.kernel.point_spread_mm()
    }

    fn air(&self) -> f32 {
        AIR
    }

    fn outside(&self, p: Vec3) -> f32 {
        self.couch.map_or(AIR, |sinks| couch(p - Vec3::Y * sinks))
    }

    fn inside(&self, layer: &Layer, tissue: Tissue, p: Vec3, depth: f32) -> f32 {
        tissue.hounsfield(p, depth) + layer.contrast_hu
    }

    fn stored(value: f32) -> i16 {
        value.round() as i16
    }
}

/// A carbon shell with a foam core, hollowed for the back.
fn couch(p: Vec3) -> f32 {
    let top = 129.0 + 0.00028 * p.x * p.x - 4.0;
    let depth = (p.y - top).min(top + 18.0 - p.y).min(212.0 - p.x.abs());
    let shell = smooth_step(depth / 1.5 + 0.5);
    let core = smooth_step((depth - 2.0) / 1.5 + 0.5);
    AIR + 860.0 * shell - 780.0 * core
}

/// Slices upright or tilted, one for each place of the table.
fn grid(subject: &Subject, options: &PhantomOptions) -> Result<ImageGeometry, PhantomError> {
    let tilt = options.imaging.ct.tilt_deg.to_radians();
    if tilt == 0.0 {
        return subject.grid(options.spacing_mm);
    }
    let [[left, right], [front, back], [bottom, top]] = subject.field();
    let [dx, dy, dz] = options.spacing_mm;
    // Tilted slices end within the field, so the first and last lie farther in.
    let inset = (0.5 * (back - front) * tilt.tan().abs()).min(0.4 * (top - bottom));
    let lengths = [right - left, (back - front) / tilt.cos(), top - bottom - 2.0 * inset];
    let size = [0, 1, 2].map(|a| (lengths[a] / options.spacing_mm[a]).round().max(1.0) as usize);
    let column = DVec3::new(0.0, tilt.cos(), tilt.sin());
    let middle = DVec3::new(left, 0.5 * (front + back), bottom + inset);
    let origin = middle - column * (0.5 * (size[1] - 1) as f64 * dy);
    let direction = DMat3::from_cols(DVec3::X, column, DVec3::Z);
    Ok(ImageGeometry::new(size, [dx, dy, dz], Point::from(origin), direction)?)
}

/// Scans the subject.
pub(crate) fn acquire(
    subject: &Subject,
    options: &PhantomOptions,
    lps_from_body: Affine3A,
    progress: &(dyn Fn(f32) + Sync),
) -> Result<Body, PhantomError> {
    let settings = &options.imaging.ct;
    let geometry = grid(subject, options)?;
    let scanner = CtAppearance::new(settings.kernel, options.couch.then(|| subject.sinks()));
    let stack = Stack {
        // Along the table; what tilt shortens is along the normal.
        thickness_mm: settings.slice_thickness_mm.map(|t| t / settings.tilt_deg.to_radians().cos()),
        breathes: settings.breathing > 0.0,
    };
    let (mut labels, mut hounsfield) = if stack.is_plain() {
        subject.paint(&geometry, lps_from_body, &scanner, &|done| progress(done * 0.9))
    } else {
        let poses: Vec<Pose> =
            (0..=POSES).map(|n| subject.inhaling(settings.breathing * n as f32 / POSES as f32)).collect();
        let thin = |fine: &ImageGeometry, inhaled: f32| {
            let pose = &poses[((inhaled * POSES as f32).round() as usize).min(POSES)];
            subject.paint_in(pose, fine, lps_from_body, &scanner)
        };
        stack.paint(&geometry, thin, &|done| progress(done * 0.9))?
    };
    subject.sweep(&mut labels, geometry.size());
    expose(&mut hounsfield, &geometry, options);
    progress(1.0);
    Ok(Body { labels: subject.label_map(geometry, labels)?, hounsfield: Volume::new(geometry, hounsfield)? })
}

/// What the beam and the detector add to perfect slices.
fn expose(hounsfield: &mut [i16], geometry: &ImageGeometry, options: &PhantomOptions) {
    let settings = &options.imaging.ct;
    let [width, height, _] = geometry.size();
    let [dx, dy, dz] = geometry.spacing().map(|s| s as f32);
    let beam = Beam { hardens: settings.beam_hardening, dose: settings.dose };
    // Thick slices catch more photons.
    let caught = settings.slice_thickness_mm.map_or(1.0, |t| t as f32 / dz) * settings.dose;
    let noise_hu = options.noise_hu * settings.kernel.noise() / caught.sqrt();
    let middle = (width as f32 / 2.0, height as f32 * 0.48);
    hounsfield.par_chunks_mut(width * height).enumerate().for_each(|(k, slice)| {
        let key = scatter(options.seed) ^ scatter(k as u64);
        beam.spoil(slice, width, [dx, dy], scatter(key));
        if noise_hu > 0.0 {
            // Photons starve in the middle and where the slice is full of tissue.
            let filled = slice.iter().filter(|&&v| v > -300).count() as f32 / slice.len() as f32;
            let level = noise_hu * (0.55 + 0.75 * filled);
            let sigma = |x: usize, y: usize| {
                let (dx, dy) = (x as f32 / middle.0 - 1.0, y as f32 / middle.1 - 1.0);
                level * (1.12 - 0.35 * (dx * dx + dy * dy).min(1.6))
            };
            add_scan_noise(slice, width, key, settings.kernel.grain(), sigma);
        } else {
            slice.iter_mut().for_each(|v| *v = (*v).clamp(-1024, 3071));
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::body::{Cover, Motion};
    use crate::options::Person;
    use crate::raster::paint;
    use crate::sdf::ball;

    /// Distance in mm over which a ball's edge rises from 10 to 90 %.
    fn edge_mm(kernel: Kernel) -> f32 {
        const STEP: f32 = 0.25;
        let tissue = Tissue::Soft { hu: 0.0, mottle: 0.0 };
        let layer =
            Layer { label: Some(1), cover: Cover::Solid(tissue), contrast_hu: 0.0, form: ball(Vec3::ZERO, 60.0) };
        let origin = Point::new(54.0, 0.0, 0.0);
        let geometry = ImageGeometry::new([48, 1, 1], [f64::from(STEP); 3], origin, DMat3::IDENTITY).unwrap();
        let options = PhantomOptions { seed: PhantomOptions::REFERENCE_SEED, ..Default::default() };
        let pose = Pose::new(&Person::new(&options), Motion::default(), 0.0);
        let scanner = CtAppearance::new(kernel, None);
        let (_, values) = paint(&[layer], &geometry, Affine3A::IDENTITY, &pose, &scanner, &|_| ());
        let crossing = |level: f32| {
            let n = values.iter().position(|&v| f32::from(v) < level).unwrap();
            let (a, b) = (f32::from(values[n - 1]), f32::from(values[n]));
            (n as f32 - 1.0 + (a - level) / (a - b)) * STEP
        };
        crossing(-900.0) - crossing(-100.0)
    }

    #[test]
    fn kernels_are_as_sharp_as_stated() {
        for kernel in Kernel::ALL {
            // A smoothstep of half width b rises from 10 to 90 % over 1.216 b.
            let expected = 1.216 * (kernel.point_spread_mm() + 0.125);
            let found = edge_mm(kernel);
            assert!((found - expected).abs() < 0.06, "{kernel:?}: {found} mm, not {expected}");
        }
    }
}
