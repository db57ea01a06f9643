//! What a disease puts into a body: kinds, sizes, and how people write them.

use std::fmt;
use std::str::FromStr;

/// A finding of some size; where it lies follows from the person's seed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Finding {
    /// What it is.
    pub kind: FindingKind,
    /// Its size on the first day, in the unit of [`FindingKind::unit`].
    pub size: f32,
    /// Days in which its volume doubles, or, negative, halves under therapy; none if it stays.
    pub doubling_days: Option<f32>,
}

impl Finding {
    /// Its size some days after the first: a ball whose volume doubles in the same time again and again (Schwartz, Cancer 1961; 14:
    /// 1272). No larger than twice the greatest size of its kind.
    pub fn size_on(&self, day: f32) -> f32 {
        let Some(days) = self.doubling_days else { return self.size };
        let [.., greatest] = self.kind.sizes();
        (self.size * (day / (3.0 * days)).exp2()).min(2.0 * greatest)
    }
}

impl Default for Finding {
    /// A metastasis of 25 mm in the right lobe of the liver.
    fn default() -> Self {
        Self { kind: FindingKind::LiverMetastasis, size: 25.0, doubling_days: None }
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
    /// Plaque that narrows the left anterior descending artery.
    CoronaryStenosis,
    /// Plaque that narrows the left common carotid artery.
    CarotidStenosis,
    /// The first lumbar vertebra, lower in front.
    VertebralFracture,
    /// The thoracic spine, curved to the right.
    Scoliosis,
}

impl FindingKind {
    /// All kinds.
    pub const ALL: [Self; 16] = [
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
        Self::CoronaryStenosis,
        Self::CarotidStenosis,
        Self::VertebralFracture,
        Self::Scoliosis,
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
            Self::CoronaryStenosis => "coronary-stenosis",
            Self::CarotidStenosis => "carotid-stenosis",
            Self::VertebralFracture => "vertebral-fracture",
            Self::Scoliosis => "scoliosis",
        }
    }

    /// What its size means.
    pub const fn unit(self) -> &'static str {
        match self {
            Self::Gallstones => "mm, diameter of each of three",
            Self::AorticAneurysm => "mm, outer diameter",
            Self::PleuralEffusion | Self::Pneumothorax => "mm, depth along the chest",
            Self::CoronaryStenosis | Self::CarotidStenosis => "%, of the diameter",
            Self::VertebralFracture => "%, of the height in front",
            Self::Scoliosis => "degrees, after Cobb",
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
            Self::CoronaryStenosis | Self::CarotidStenosis => [20.0, 70.0, 95.0],
            Self::VertebralFracture => [15.0, 35.0, 60.0],
            Self::Scoliosis => [10.0, 30.0, 50.0],
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
            Self::CoronaryStenosis => "coronary_plaque",
            Self::CarotidStenosis => "carotid_plaque",
            Self::VertebralFracture => "vertebrae_L1",
            Self::Scoliosis => "vertebrae_T8",
        }
    }

    /// Whether it lives, and so may grow or shrink.
    pub const fn grows(self) -> bool {
        matches!(
            self,
            Self::LiverMetastasis
                | Self::LiverCyst
                | Self::LiverHypervascular
                | Self::RenalMass
                | Self::RenalCyst
                | Self::LungNodule
                | Self::GroundGlassNodule
        )
    }
}

/// Days in which a volume may double.
const DOUBLING_DAYS: std::ops::RangeInclusive<f32> = 5.0..=3650.0;

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.kind.name(), self.size)?;
        self.doubling_days.map_or(Ok(()), |days| write!(f, ":{days}"))
    }
}

impl FromStr for Finding {
    type Err = String;

    /// `NAME`, `NAME=SIZE` or `NAME=SIZE:DAYS`.
    fn from_str(text: &str) -> Result<Self, String> {
        let (name, size) = text.split_once('=').map_or((text, None), |(name, size)| (name, Some(size)));
        let Some(kind) = FindingKind::ALL.into_iter().find(|k| k.name() == name) else {
            let known = FindingKind::ALL.map(FindingKind::name).join(", ");
            return Err(format!("no finding is called `{name}`; there are {known}"));
        };
        let (size, days) = match size.and_then(|s| s.split_once(':')) {
            Some((size, days)) => (Some(size), Some(days)),
            None => (size, None),
        };
        let doubling_days = match days.map(f32::from_str) {
            None => None,
            Some(_) if !kind.grows() => {
                return Err(format!("`{name}` stays as it is; leave out what follows the colon"));
            }
            Some(Ok(days)) if DOUBLING_DAYS.contains(&days.abs()) => Some(days),
            Some(_) => {
                let [least, most] = [DOUBLING_DAYS.start(), DOUBLING_DAYS.end()];
                return Err(format!(
                    "a volume doubles in {least} to {most} days after the colon, or halves in -{least} to -{most}"
                ));
            }
        };
        let [least, usual, greatest] = kind.sizes();
        let size = match size.map(f32::from_str) {
            None => usual,
            Some(Ok(size)) if (least..=greatest).contains(&size) => size,
            Some(_) => return Err(format!("`{name}` takes a size from {least} to {greatest} ({})", kind.unit())),
        };
        Ok(Self { kind, size, doubling_days })
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
        let growing: Finding = "lung-nodule=10:100".parse().unwrap();
        assert_eq!(growing.to_string(), "lung-nodule=10:100");
        assert!((growing.size_on(300.0) - 20.0).abs() < 1e-4 && growing.size_on(0.0) == 10.0);
        let treated: Finding = "liver-metastasis=20:-30".parse().unwrap();
        assert!((treated.size_on(90.0) - 10.0).abs() < 1e-4);
        assert!("gallstones=5:100".parse::<Finding>().unwrap_err().contains("stays as it is"));
        assert!("lung-nodule=10:0".parse::<Finding>().unwrap_err().contains("5 to 3650 days"));
        let unknown = "liver".parse::<Finding>().unwrap_err();
        assert!(unknown.contains("liver-cyst"), "{unknown}");
        for wrong in ["liver-cyst=", "liver-cyst=x", "liver-cyst=500", "liver-cyst=NaN"] {
            let error = wrong.parse::<Finding>().unwrap_err();
            assert!(error.contains("from 6 to 50 (mm, diameter)"), "{error}");
        }
    }
}
