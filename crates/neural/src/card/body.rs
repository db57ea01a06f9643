//! Parts of the body, as cards and DICOM's Body Part Examined (0018,0015) name them.

/// Regions in a row from head to leg, and arms, which lie beside the chest; a term may name several.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Regions(u8);

const HEAD: u8 = 1;
const NECK: u8 = 1 << 1;
const CHEST: u8 = 1 << 2;
const ABDOMEN: u8 = 1 << 3;
const PELVIS: u8 = 1 << 4;
const LEG: u8 = 1 << 5;
const ARM: u8 = 1 << 6;
const TRUNK: u8 = CHEST | ABDOMEN | PELVIS;
const ALL: u8 = HEAD | NECK | TRUNK | LEG | ARM;

/// Terms that stand alone; they would be found within others.
const WHOLE: [(&str, u8); 17] = [
    ("ARM", ARM),
    ("BODY", ALL),
    ("CSPINE", NECK),
    ("EAR", HEAD),
    ("EYE", HEAD),
    ("HIP", PELVIS | LEG),
    ("IAC", HEAD),
    ("JAW", HEAD),
    ("LEG", LEG),
    ("LSPINE", ABDOMEN),
    ("LSSPINE", ABDOMEN | PELVIS),
    ("RIB", CHEST),
    ("SPINE", NECK | TRUNK),
    ("SSPINE", PELVIS),
    ("TMJ", HEAD),
    ("TSPINE", CHEST),
    ("TLSPINE", CHEST | ABDOMEN),
];

/// Terms that make up longer ones, such as `CHESTABDPELVIS`; what they name comes together.
const PARTS: [(&str, u8); 58] = [
    ("HEAD", HEAD),
    ("BRAIN", HEAD),
    ("SKULL", HEAD),
    ("FACE", HEAD),
    ("FACIAL", HEAD),
    ("HIPPOCAMP", HEAD),
    ("CEREB", HEAD),
    ("ORBIT", HEAD),
    ("SINUS", HEAD),
    ("SELLA", HEAD),
    ("PITUITARY", HEAD),
    ("MANDIBLE", HEAD),
    ("MAXILLA", HEAD),
    ("TEMPORAL", HEAD),
    ("NECK", NECK),
    ("CERVICAL", NECK),
    ("CAROTID", HEAD | NECK),
    ("THYROID", NECK),
    ("LARYNX", NECK),
    ("PHARYNX", NECK),
    ("CHEST", CHEST),
    ("THORA", CHEST),
    ("LUNG", CHEST),
    ("HEART", CHEST),
    ("CARDIAC", CHEST),
    ("CORONARY", CHEST),
    ("BREAST", CHEST),
    ("MEDIASTIN", CHEST),
    ("STERNUM", CHEST),
    ("CLAVICLE", CHEST),
    ("AORTA", CHEST | ABDOMEN),
    ("ABD", ABDOMEN),
    ("LIVER", ABDOMEN),
    ("KIDNEY", ABDOMEN),
    ("SPLEEN", ABDOMEN),
    ("PANCREAS", ABDOMEN),
    ("STOMACH", ABDOMEN),
    ("ADRENAL", ABDOMEN),
    ("COLON", ABDOMEN | PELVIS),
    ("LUMBAR", ABDOMEN),
    ("PELVI", PELVIS),
    ("PROSTATE", PELVIS),
    ("BLADDER", ABDOMEN | PELVIS),
    ("UTERUS", PELVIS),
    ("RECTUM", PELVIS),
    ("SACRUM", PELVIS),
    ("FEM", LEG),
    ("THIGH", LEG),
    ("KNEE", LEG),
    ("TIBIA", LEG),
    ("ANKLE", LEG),
    ("FOOT", LEG),
    ("SHOULDER", CHEST | ARM),
    ("HUMERUS", ARM),
    ("ELBOW", ARM),
    ("FOREARM", ARM),
    ("WRIST", ARM),
    ("HAND", ARM),
];

/// Terms of the whole or of no certain place.
const WIDE: [(&str, u8); 5] =
    [("WHOLEBODY", ALL), ("WHOLE", ALL), ("TRUNK", TRUNK), ("TORSO", TRUNK), ("EXTREMITY", LEG | ARM)];

impl Regions {
    /// None for a term that is not known.
    pub(super) fn of(term: &str) -> Option<Self> {
        let term: String = term.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_uppercase()).collect();
        if let Some((_, regions)) = WHOLE.iter().find(|(name, _)| *name == term) {
            return Some(Self(*regions));
        }
        let within = PARTS.iter().chain(&WIDE).filter(|(name, _)| term.contains(name));
        let regions = within.fold(0, |all, (_, regions)| all | regions);
        (regions != 0).then_some(Self(regions))
    }

    /// True if it is a head, with or without the neck.
    pub(super) fn is_head(self) -> bool {
        self.0 & HEAD != 0 && self.0 & !(HEAD | NECK) == 0
    }

    /// True if both have a region in common.
    pub(super) fn overlap(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// True if a scan of one may reach into the other.
    pub(super) fn touch(self, other: Self) -> bool {
        let row = self.0 & !ARM;
        let beside = if self.0 & CHEST != 0 { ARM } else { 0 } | if self.0 & ARM != 0 { CHEST } else { 0 };
        (self.0 | ((row << 1 | row >> 1) & !ARM) | beside) & other.0 != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terms_are_where_they_should_be() {
        for (term, regions) in [
            ("HEAD", HEAD),
            ("head", HEAD),
            ("HEADNECK", HEAD | NECK),
            ("hippocampus", HEAD),
            ("HIP", PELVIS | LEG),
            ("CHESTABDPELVIS", TRUNK),
            ("CHEST_TO_PELVIS", CHEST | PELVIS),
            ("HEART", CHEST),
            ("FOREARM", ARM),
            ("LSPINE", ABDOMEN),
            ("WHOLEBODY", ALL),
            ("body", ALL),
        ] {
            assert_eq!(Regions::of(term), Some(Regions(regions)), "{term}");
        }
        assert_eq!((Regions::of("XYZ"), Regions::of(""), Regions::of("–")), (None, None, None));
    }

    #[test]
    fn neighbours_touch_and_others_do_not() {
        let of = |term: &str| Regions::of(term).unwrap();
        for (a, b, touch) in [
            ("HEAD", "NECK", true),
            ("HEAD", "CHEST", false),
            ("CHEST", "ABDOMEN", true),
            ("SHOULDER", "HAND", true),
            ("LEG", "ARM", false),
            ("ARM", "CHEST", true),
            ("PELVIS", "LEG", true),
            ("ABDOMEN", "LEG", false),
            ("ABDOMEN", "LIVER", true),
        ] {
            assert_eq!((of(a).touch(of(b)), of(b).touch(of(a))), (touch, touch), "{a} and {b}");
        }
        assert!(of("CHESTABDPELVIS").overlap(of("LIVER")) && !of("CHEST").overlap(of("LIVER")));
    }
}
