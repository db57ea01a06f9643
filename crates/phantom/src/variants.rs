//! Ways in which vessels and lobes may run otherwise, which a surgeon must know of before the first cut.

use std::str::FromStr;

use serde::Serialize;

use crate::noise::Stream;

/// A variant of the anatomy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Variant {
    /// The right hepatic artery comes from the superior mesenteric artery, behind the portal vein.
    ReplacedRightHepaticArtery,
    /// A second artery from the aorta to the lower pole of the left kidney.
    AccessoryRenalArtery,
    /// The azygos vein cuts through the right upper lobe, in a fissure of its own.
    AzygosLobe,
    /// Brachiocephalic trunk and left common carotid artery leave the aortic arch as one: a bovine arch.
    CommonTrunk,
    /// The right subclavian artery comes last from the arch and runs behind the oesophagus: arteria lusoria.
    AberrantRightSubclavian,
}

impl Variant {
    /// All variants.
    pub const ALL: [Self; 5] = [
        Self::ReplacedRightHepaticArtery,
        Self::AccessoryRenalArtery,
        Self::AzygosLobe,
        Self::CommonTrunk,
        Self::AberrantRightSubclavian,
    ];

    /// As it is written on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::ReplacedRightHepaticArtery => "replaced-right-hepatic-artery",
            Self::AccessoryRenalArtery => "accessory-renal-artery",
            Self::AzygosLobe => "azygos-lobe",
            Self::CommonTrunk => "common-trunk",
            Self::AberrantRightSubclavian => "aberrant-right-subclavian",
        }
    }

    /// Part of adults who have it: hepatic arteries after Hiatt et al. (Ann Surg 1994; 220: 50), renal ones on either side after
    /// Satyapal et al. (Surg Radiol Anat 2001; 23: 33), arches after Layton et al. (AJNR 2006; 27: 1541), rounded; azygos lobe and
    /// aberrant subclavian artery about one in a hundred (Standring, Gray's Anatomy, 41st ed., 2016).
    pub const fn frequency(self) -> f32 {
        match self {
            Self::ReplacedRightHepaticArtery => 0.11,
            Self::AccessoryRenalArtery => 0.14,
            Self::AzygosLobe | Self::AberrantRightSubclavian => 0.01,
            Self::CommonTrunk => 0.13,
        }
    }

    /// Those of one person of a population.
    pub fn drawn(seed: u64) -> Vec<Self> {
        let has = |v: &Self| Stream::new(seed, v.name()).uniform() < v.frequency();
        Self::ALL.into_iter().filter(has).collect()
    }
}

impl FromStr for Variant {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|v| v.name() == text);
        found
            .ok_or_else(|| format!("no variant is called `{text}`; there are {}", Self::ALL.map(Self::name).join(", ")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variants_are_as_frequent_as_published() {
        let people: Vec<Vec<Variant>> = (0..2000).map(Variant::drawn).collect();
        for variant in Variant::ALL {
            let share = people.iter().filter(|p| p.contains(&variant)).count() as f32 / people.len() as f32;
            assert!((share - variant.frequency()).abs() < 0.02, "{} in {share}", variant.name());
            assert_eq!(variant.name().parse(), Ok(variant));
        }
        assert!("azygos".parse::<Variant>().unwrap_err().contains("azygos-lobe"));
    }
}
