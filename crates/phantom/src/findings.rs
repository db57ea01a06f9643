//! What a disease puts into a body: kinds, sizes, and how people write them.

use std::fmt;
use std::str::FromStr;

/// A finding of some size; where it lies follows from the person's seed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Finding {
    /// What it is.
    pub kind: FindingKind,
    /// Its size, in the unit of [`FindingKind::unit`].
    pub size: f32,
}

impl Default for Finding {
    /// A metastasis of 25 mm in the right lobe of the liver.
    fn default() -> Self {
        Self { kind: FindingKind::LiverMetastasis, size: 25.0 }
    }
}

/// What a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FindingKind {
    /// Dark with an enhancing rim, in the portal venous phase.
    LiverMetastasis,
    /// Water without a rim.
    LiverCyst,
    /// Brighter than the liver.
    LiverHypervascular,
    /// A solid tumour on a kidney's surface.
    RenalMass,
    /// Water on a kidney's surface.
    RenalCyst,
    /// A ball of soft tissue in a lung.
    LungNodule,
    /// A veil, denser than the lung but lighter than tissue.
    GroundGlassNodule,
    /// Stones at the bottom of the gallbladder.
    Gallstones,
    /// A stone in a renal pelvis.
    KidneyStone,
    /// The aorta below the renal arteries, widened, with thrombus round its lumen.
    AorticAneurysm,
    /// Fluid behind the right lung of a patient who lies.
    PleuralEffusion,
    /// Air before the right lung of a patient who lies.
    Pneumothorax,
}

impl FindingKind {
    /// All kinds.
    pub const ALL: [Self; 12] = [
        Self::LiverMetastasis,
        Self::LiverCyst,
        Self::LiverHypervascular,
        Self::RenalMass,
        Self::RenalCyst,
        Self::LungNodule,
        Self::GroundGlassNodule,
        Self::Gallstones,
        Self::KidneyStone,
        Self::AorticAneurysm,
        Self::PleuralEffusion,
        Self::Pneumothorax,
    ];

    /// As it is written on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::LiverMetastasis => "liver-metastasis",
            Self::LiverCyst => "liver-cyst",
            Self::LiverHypervascular => "liver-hypervascular",
            Self::RenalMass => "renal-mass",
            Self::RenalCyst => "renal-cyst",
            Self::LungNodule => "lung-nodule",
            Self::GroundGlassNodule => "ground-glass-nodule",
            Self::Gallstones => "gallstones",
            Self::KidneyStone => "kidney-stone",
            Self::AorticAneurysm => "aortic-aneurysm",
            Self::PleuralEffusion => "pleural-effusion",
            Self::Pneumothorax => "pneumothorax",
        }
    }

    /// What its size means.
    pub const fn unit(self) -> &'static str {
        match self {
            Self::Gallstones => "mm, diameter of each of three",
            Self::AorticAneurysm => "mm, outer diameter",
            Self::PleuralEffusion | Self::Pneumothorax => "mm, depth along the chest",
            _ => "mm, diameter",
        }
    }

    /// Least, usual and greatest size.
    pub const fn sizes(self) -> [f32; 3] {
        match self {
            Self::LiverMetastasis | Self::LiverCyst | Self::LiverHypervascular => [6.0, 25.0, 50.0],
            Self::RenalMass | Self::RenalCyst => [8.0, 30.0, 60.0],
            Self::LungNodule | Self::GroundGlassNodule => [4.0, 14.0, 40.0],
            Self::Gallstones => [3.0, 9.0, 14.0],
            Self::KidneyStone => [3.0, 8.0, 16.0],
            Self::AorticAneurysm => [32.0, 55.0, 75.0],
            Self::PleuralEffusion => [8.0, 40.0, 90.0],
            Self::Pneumothorax => [8.0, 30.0, 70.0],
        }
    }

    /// The structure of the truth that holds it.
    pub const fn structure(self) -> &'static str {
        match self {
            Self::LiverMetastasis | Self::LiverHypervascular => "liver_lesion",
            Self::LiverCyst => "liver_cyst",
            Self::RenalMass => "kidney_tumor",
            Self::RenalCyst => "kidney_cyst",
            Self::LungNodule | Self::GroundGlassNodule => "lung_lesion",
            Self::Gallstones => "gallstones",
            Self::KidneyStone => "kidney_stone",
            Self::AorticAneurysm => "thrombus",
            Self::PleuralEffusion => "pleural_effusion",
            Self::Pneumothorax => "pneumothorax",
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.kind.name(), self.size)
    }
}

impl FromStr for Finding {
    type Err = String;

    /// `NAME` or `NAME=SIZE`.
    fn from_str(text: &str) -> Result<Self, String> {
        let (name, size) = text.split_once('=').map_or((text, None), |(name, size)| (name, Some(size)));
        let Some(kind) = FindingKind::ALL.into_iter().find(|k| k.name() == name) else {
            let known = FindingKind::ALL.map(FindingKind::name).join(", ");
            return Err(format!("no finding is called `{name}`; there are {known}"));
        };
        let [least, usual, greatest] = kind.sizes();
        let size = match size.map(f32::from_str) {
            None => usual,
            Some(Ok(size)) if (least..=greatest).contains(&size) => size,
            Some(_) => return Err(format!("`{name}` takes a size from {least} to {greatest} ({})", kind.unit())),
        };
        Ok(Self { kind, size })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn findings_are_read_as_they_are_written() {
        for kind in FindingKind::ALL {
            let usual: Finding = kind.name().parse().unwrap();
            assert_eq!(usual.to_string().parse(), Ok(usual));
            let [least, size, greatest] = kind.sizes();
            assert!(usual.size == size && least < size && size < greatest);
        }
        let unknown = "liver".parse::<Finding>().unwrap_err();
        assert!(unknown.contains("liver-cyst"), "{unknown}");
        for wrong in ["liver-cyst=", "liver-cyst=x", "liver-cyst=500", "liver-cyst=NaN"] {
            let error = wrong.parse::<Finding>().unwrap_err();
            assert!(error.contains("from 6 to 50 (mm, diameter)"), "{error}");
        }
    }
}
