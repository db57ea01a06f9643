//! Numbers that carry their unit.

use serde::{Deserialize, Serialize};

/// A length in millimetres.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Millimetres(pub f64);

/// A length in metres.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Metres(pub f64);

impl From<Millimetres> for Metres {
    fn from(mm: Millimetres) -> Self {
        Self(mm.0 * 1e-3)
    }
}

/// X-ray attenuation on the Hounsfield scale.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Hounsfield(pub f32);

impl Hounsfield {
    /// Water, by definition of the scale.
    pub const WATER: Self = Self(0.0);
    /// Air, by definition of the scale.
    pub const AIR: Self = Self(-1000.0);
}

/// How many times its own size the patient appears; 1 is life size.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Magnification(pub f64);

impl Magnification {
    /// As large as in life.
    pub const LIFE_SIZE: Self = Self(1.0);
}
