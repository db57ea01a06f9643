//! Contrast over time: what an injection adds to blood and organs.
//!
//! HU at 120 kV after 120 ml of iodinated contrast at 3–4 ml/s, rounded from Bae (Radiology 2010; 256: 32) and Heiken et al.
//! (Radiology 1993; 187: 327).

use std::str::FromStr;

/// When the scan is taken after the injection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Phase {
    /// Without contrast.
    Native,
    /// 35 s: arteries.
    Arterial,
    /// 70 s: portal vein and liver.
    #[default]
    Portal,
    /// 180 s: washing out.
    Late,
}

impl Phase {
    /// In order of time.
    pub const ALL: [Self; 4] = [Self::Native, Self::Arterial, Self::Portal, Self::Late];

    /// As it is written on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Native => "native",
            Self::Arterial => "arterial",
            Self::Portal => "portal",
            Self::Late => "late",
        }
    }

    /// As a radiographer calls the series.
    pub const fn series(self) -> &'static str {
        match self {
            Self::Native => "Torso, without contrast",
            Self::Arterial => "Torso, arterial phase",
            Self::Portal => "Torso, portal venous phase",
            Self::Late => "Torso, late phase",
        }
    }

    /// HU of a structure beyond what it has in the portal phase, in which [`crate::Tissue`] is given.
    pub(crate) fn beyond_portal(self, structure: &str) -> f32 {
        let found = ENHANCEMENT.iter().find(|(starts, _)| starts.iter().any(|start| structure.starts_with(start)));
        found.map_or(0.0, |(_, hu)| hu[self as usize] - hu[Self::Portal as usize])
    }
}

impl FromStr for Phase {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|p| p.name() == text);
        found.ok_or_else(|| format!("no phase is called `{text}`; there are {}", Self::ALL.map(Self::name).join(", ")))
    }
}

/// Starts of names, the most special first; HU by phase.
const ENHANCEMENT: [(&[&str], [f32; 4]); 17] = [
    (&["heart_valve", "coronary"], [42.0, 290.0, 150.0, 105.0]),
    (
        &["atrial_appendage_left", "heart_atrium_left", "heart_ventricle_left", "pulmonary_vein"],
        [42.0, 300.0, 148.0, 105.0],
    ),
    (&["heart_atrium_right", "heart_ventricle_right", "pulmonary_artery"], [42.0, 240.0, 148.0, 105.0]),
    (&["lung_vessels"], [42.0, 250.0, 148.0, 105.0]),
    (&["heart"], [42.0, 106.0, 108.0, 92.0]),
    (&["hepatic_artery", "replaced_right_hepatic_artery"], [42.0, 290.0, 152.0, 105.0]),
    (&["hepatic_vein"], [42.0, 48.0, 172.0, 112.0]),
    (&["portal_vein"], [42.0, 62.0, 172.0, 112.0]),
    (&["liver_lesion"], [40.0, 44.0, 48.0, 52.0]),
    (&["liver_cyst"], [6.0; 4]),
    (&["liver"], [58.0, 70.0, 110.0, 90.0]),
    (
        &[
            "inferior_vena_cava",
            "superior_vena_cava",
            "iliac_vena",
            "internal_iliac_vein",
            "external_iliac_vein",
            "femoral_vein",
            "renal_vein",
            "jugular",
            "brachiocephalic_vein",
            "azygos",
            "subclavian_vein",
        ],
        [42.0, 70.0, 138.0, 106.0],
    ),
    (&["spleen"], [48.0, 128.0, 120.0, 94.0]),
    (&["kidney_medulla"], [34.0, 72.0, 168.0, 165.0]),
    (&["kidney_cortex"], [34.0, 165.0, 190.0, 165.0]),
    (&["pancreas", "thyroid", "adrenal", "uterus"], [42.0, 104.0, 92.0, 76.0]),
    (
        &[
            "aorta",
            "brachiocephalic_trunk",
            "splenic_artery",
            "left_gastric_artery",
            "gastroduodenal_artery",
            "femoral_artery",
            "common_carotid",
            "subclavian_artery",
            "celiac",
            "superior_mesenteric_artery",
            "inferior_mesenteric_artery",
            "renal_artery",
            "accessory_renal_artery",
            "iliac_artery",
            "internal_iliac_artery",
            "external_iliac_artery",
        ],
        [42.0, 310.0, 152.0, 106.0],
    ),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::PhantomOptions;
    use crate::body::{Cover, Model};
    use crate::options::Person;
    use crate::tissue::Tissue;
    use crate::variants::Variant;

    #[test]
    fn the_portal_phase_adds_nothing_and_arteries_peak_early() {
        for name in ["aorta", "liver_segment_4", "spleen", "femur_left"] {
            assert_eq!(Phase::Portal.beyond_portal(name), 0.0);
        }
        assert!(Phase::Arterial.beyond_portal("aorta") > 100.0 && Phase::Late.beyond_portal("aorta") < 0.0);
        assert!(Phase::Arterial.beyond_portal("portal_vein_and_splenic_vein") < -80.0);
        assert_eq!(Phase::Native.beyond_portal("femur_left"), 0.0);
        for phase in Phase::ALL {
            assert_eq!(phase.name().parse(), Ok(phase));
        }
    }

    #[test]
    fn arteries_are_bright_and_veins_dim_in_the_arterial_phase() {
        let options = PhantomOptions { variants: Variant::ALL.to_vec(), ..Default::default() };
        let model = Model::new(&Person::new(&options), &[], 0.0).unwrap();
        let name = |label| model.structures().iter().find(|s| s.label == label).map(|s| s.name.as_str());
        for layer in model.layers() {
            let (Cover::Solid(tissue), Some(name)) = (layer.cover, layer.label.and_then(name)) else { continue };
            let gain = Phase::Arterial.beyond_portal(name);
            assert!(tissue != Tissue::ARTERY || gain > 100.0, "{name} gains {gain} HU");
            assert!(tissue != Tissue::VEIN || gain < -50.0, "{name} gains {gain} HU");
        }
    }
}
