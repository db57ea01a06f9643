//! What can be asked of the phantom, and the person a seed makes.

use glam::{Affine3A, Mat3, Vec3, vec3};

use crate::noise::Stream;

/// What to make.
#[derive(Clone, Debug, PartialEq)]
pub struct PhantomOptions {
    /// Which person: size, organ position, pose and noise follow from it. [`PhantomOptions::REFERENCE_SEED`] is the
    /// reference adult male, undisturbed.
    pub seed: u64,
    /// Millimetres between voxel centres along columns, rows, slices.
    pub spacing_mm: [f64; 3],
    /// Standard deviation of the noise in the middle of the abdomen, in HU; 0 for none.
    pub noise_hu: f32,
    /// Whether the patient lies on a couch.
    pub couch: bool,
}

impl PhantomOptions {
    /// The seed of the reference adult.
    pub const REFERENCE_SEED: u64 = 0;
}

impl Default for PhantomOptions {
    fn default() -> Self {
        Self { seed: 1, spacing_mm: [1.25, 1.25, 2.0], noise_hu: 11.0, couch: true }
    }
}

/// Deviations of one person from the reference adult.
#[derive(Clone, Debug)]
pub struct Person {
    seed: u64,
    lps_from_body: Affine3A,
}

impl Person {
    /// The person of a seed.
    pub fn new(seed: u64) -> Self {
        if seed == PhantomOptions::REFERENCE_SEED {
            return Self { seed, lps_from_body: Affine3A::IDENTITY };
        }
        let mut draw = Stream::new(seed, "body");
        let size = draw.normal() * 0.012;
        let scale = vec3(1.0 + size + draw.normal() * 0.012, 1.0 + size + draw.normal() * 0.012, 1.0 + size);
        let turn = Mat3::from_rotation_z(draw.normal() * 0.012) * Mat3::from_rotation_y(draw.normal() * 0.006);
        let shift = vec3(draw.normal() * 3.0, draw.normal() * 3.0, draw.normal() * 3.0);
        Self { seed, lps_from_body: Affine3A::from_mat3_translation(turn * Mat3::from_diagonal(scale), shift) }
    }

    /// From the reference frame of the shapes (origin: middle of the upper end plate of S1) to LPS mm.
    pub fn lps_from_body(&self) -> Affine3A {
        self.lps_from_body
    }

    /// Linear scale and shift in mm of one organ; `shift_mm` is a typical displacement.
    pub fn organ(&self, name: &str, shift_mm: f32) -> (f32, Vec3) {
        if self.seed == PhantomOptions::REFERENCE_SEED {
            return (1.0, Vec3::ZERO);
        }
        let mut draw = Stream::new(self.seed, name);
        let scale = 1.0 + draw.normal() * 0.012;
        (scale, vec3(draw.normal(), draw.normal(), draw.normal()) * shift_mm)
    }

    /// A stream of numbers of its own for one structure.
    pub fn stream(&self, name: &str) -> Stream {
        Stream::new(self.seed, name)
    }
}
