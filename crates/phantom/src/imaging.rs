//! How the body is imaged: by which scanners, with which settings, and how one lies against the other.

mod beam;
mod ct;
mod implant;
mod mr;
mod pet;
mod stack;
mod substance;

use std::str::FromStr;

use glam::{DAffine3, DMat3, DVec3};
use serde::Serialize;

use crate::error::PhantomError;

pub use ct::{CtSettings, Kernel};
pub use implant::Implant;
pub use mr::{MrSettings, Weighting};
pub use pet::PetSettings;

#[cfg(test)]
pub(crate) use ct::CtAppearance;
pub(crate) use ct::acquire as acquire_ct;
pub(crate) use implant::put_in;
pub(crate) use mr::acquire as acquire_mr;
pub(crate) use pet::acquire as acquire_pet;
pub(crate) use substance::{Substance, Values};

/// A kind of image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Modality {
    /// Computed tomography.
    #[serde(rename = "ct")]
    Ct,
    /// Magnetic resonance, spin echo, weighted by T1.
    #[serde(rename = "mr-t1")]
    MrT1,
    /// Magnetic resonance, fast spin echo, weighted by T2.
    #[serde(rename = "mr-t2")]
    MrT2,
    /// Positron emission tomography with fluorodeoxyglucose.
    #[serde(rename = "pet")]
    Pet,
}

impl Modality {
    /// All kinds.
    pub const ALL: [Self; 4] = [Self::Ct, Self::MrT1, Self::MrT2, Self::Pet];

    /// As it is written on the command line, and the name of its folder where there are several.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ct => "ct",
            Self::MrT1 => "mr-t1",
            Self::MrT2 => "mr-t2",
            Self::Pet => "pet",
        }
    }
}

impl FromStr for Modality {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|m| m.name() == text);
        found.ok_or_else(|| {
            format!("no kind of image is called `{text}`; there are {}", Self::ALL.map(Self::name).join(", "))
        })
    }
}

/// Which images are made of a body, and how.
#[derive(Clone, Debug, PartialEq)]
pub struct Imaging {
    /// In order; the first is the one that others may be misregistered to.
    pub modalities: Vec<Modality>,
    /// The CT scanner.
    pub ct: CtSettings,
    /// The MR scanner.
    pub mr: MrSettings,
    /// The PET scanner.
    pub pet: PetSettings,
    /// Metal in the body.
    pub implants: Vec<Implant>,
    /// How the patient has moved before all images but the first.
    pub misregistered: Option<Misregistration>,
}

impl Default for Imaging {
    fn default() -> Self {
        Self {
            modalities: vec![Modality::Ct],
            ct: CtSettings::default(),
            mr: MrSettings::default(),
            pet: PetSettings::default(),
            implants: Vec::new(),
            misregistered: None,
        }
    }
}

impl Imaging {
    /// # Errors
    /// [`PhantomError::Setting`] for what no scanner does, [`PhantomError::NothingToMove`] for a misregistration of one image.
    pub fn check(&self) -> Result<(), PhantomError> {
        self.ct.check()?;
        self.mr.check()?;
        self.pet.check()?;
        if let Some(moved) = self.misregistered {
            if self.modalities.len() < 2 {
                return Err(PhantomError::NothingToMove);
            }
            for shift in moved.shift_mm {
                within("a shift of --misregistered", "mm", shift, [-200.0, 200.0])?;
            }
            for turn in moved.turn_deg {
                within("a turn of --misregistered", "degrees", turn, [-45.0, 45.0])?;
            }
        }
        Ok(())
    }
}

/// Refuses a value out of its range.
fn within(what: &'static str, unit: &'static str, found: f64, range: [f64; 2]) -> Result<(), PhantomError> {
    if (range[0]..=range[1]).contains(&found) {
        return Ok(());
    }
    Err(PhantomError::Setting { what, unit, found, range })
}

/// A rigid motion of the patient between two scans.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Misregistration {
    /// Along LPS x, y, z.
    pub shift_mm: [f64; 3],
    /// About LPS x, then y, then z, through the middle of the scanned field.
    pub turn_deg: [f64; 3],
}

impl Misregistration {
    /// Where a point of the first image's anatomy lies in the others, both LPS mm: `p ↦ R (p − center) + center + shift`.
    pub fn moved_from_reference(&self, center: DVec3) -> DAffine3 {
        let [x, y, z] = self.turn_deg.map(f64::to_radians);
        let turn = DMat3::from_rotation_z(z) * DMat3::from_rotation_y(y) * DMat3::from_rotation_x(x);
        DAffine3::from_mat3_translation(turn, center + DVec3::from_array(self.shift_mm) - turn * center)
    }
}

impl FromStr for Misregistration {
    type Err = String;

    /// `TX,TY,TZ,RX,RY,RZ` in mm and degrees.
    fn from_str(text: &str) -> Result<Self, String> {
        let numbers: Result<Vec<f64>, _> = text.split(',').map(|part| part.trim().parse()).collect();
        match numbers.as_deref() {
            Ok(&[tx, ty, tz, rx, ry, rz]) if [tx, ty, tz, rx, ry, rz].iter().all(|n| n.is_finite()) => {
                Ok(Self { shift_mm: [tx, ty, tz], turn_deg: [rx, ry, rz] })
            }
            _ => Err(format!("`{text}` is not six numbers TX,TY,TZ,RX,RY,RZ in mm and degrees, as in 5,-3,8,0,0,4")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_motions_are_read_as_they_are_written() {
        for modality in Modality::ALL {
            assert_eq!(modality.name().parse(), Ok(modality));
        }
        assert!("xray".parse::<Modality>().is_err_and(|e| e.contains("ct")));
        let moved: Misregistration = "5,-3,8,0,0,90".parse().unwrap();
        assert_eq!(moved, Misregistration { shift_mm: [5.0, -3.0, 8.0], turn_deg: [0.0, 0.0, 90.0] });
        let to = moved.moved_from_reference(DVec3::new(10.0, 0.0, 0.0)).transform_point3(DVec3::new(11.0, 0.0, 0.0));
        assert!((to - DVec3::new(15.0, -2.0, 8.0)).length() < 1e-9, "{to}");
        assert!("1,2,3".parse::<Misregistration>().is_err() && "1,2,3,4,5,x".parse::<Misregistration>().is_err());
    }

    #[test]
    fn impossible_settings_say_their_range() {
        let imaging = Imaging { ct: CtSettings { tilt_deg: 50.0, ..Default::default() }, ..Default::default() };
        let message = imaging.check().unwrap_err().to_string();
        assert!(message.contains("-30 to 30 degrees") && message.contains("50"), "{message}");
    }
}
