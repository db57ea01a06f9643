//! What structures are called: names, plain English, SNOMED CT codes, colours and groups.
//!
//! One table (`data/structures.tsv`) covers the classes of TotalSegmentator v1 and v2, the MeshNet models, the hippocampus
//! labels of the Medical Segmentation Decathlon, and what the recipes and the phantom add.
//!
//! ```
//! use volume::terminology::{self, Group, Side};
//! let kidney = terminology::find("kidney_left").ok_or("in the table")?;
//! assert_eq!((kidney.display, kidney.group, kidney.side), ("Left kidney", Group::Urinary, Some(Side::Left)));
//! assert_eq!(terminology::find("Right-Hippocampus").map(|s| s.name), Some("hippocampus_right"));
//! # Ok::<(), &str>(())
//! ```

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde::{Deserialize, Serialize};

use crate::label_map::{Code, Label, Segment};

/// Coding scheme designator of SNOMED CT (DICOM PS3.16 8).
pub const SNOMED_CT: &str = "SCT";

const TABLE: &str = include_str!("../data/structures.tsv");
const CLASSES: &str = include_str!("../data/classes.tsv");

/// A structure of the table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Structure {
    /// Stable machine name: TotalSegmentator v2's where it has one.
    pub name: &'static str,
    /// Name for people, British spelling.
    pub display: &'static str,
    /// What a patient is told; equals `display` where that is plain enough.
    pub plain: &'static str,
    /// What it belongs to.
    pub group: Group,
    /// The side of the body a paired structure lies on; none for structures whose code or name says it all.
    pub side: Option<Side>,
    /// SNOMED CT concept; the side is not part of it, DICOM adds a modifier ([`Side::code`]).
    pub code: Option<StructureCode>,
    /// sRGB.
    pub color: [u8; 3],
}

/// A SNOMED CT concept of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StructureCode {
    /// Coding scheme designator, always [`SNOMED_CT`].
    pub scheme: &'static str,
    /// Code value.
    pub value: &'static str,
    /// Code meaning, as DICOM writes it.
    pub meaning: &'static str,
}

impl From<StructureCode> for Code {
    fn from(code: StructureCode) -> Self {
        Self { scheme: code.scheme.to_owned(), value: code.value.to_owned(), meaning: code.meaning.to_owned() }
    }
}

/// The patient's left or right.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Side {
    /// The patient's left.
    Left,
    /// The patient's right.
    Right,
}

impl Side {
    /// The modifier DICOM writes beside a structure's code (PS3.16 CID 244).
    pub const fn code(self) -> StructureCode {
        match self {
            Self::Left => StructureCode { scheme: SNOMED_CT, value: "7771000", meaning: "Left" },
            Self::Right => StructureCode { scheme: SNOMED_CT, value: "24028007", meaning: "Right" },
        }
    }

    /// The side a modifier code stands for, also in the older SNOMED-RT form.
    pub fn from_code(value: &str) -> Option<Self> {
        match value {
            "7771000" | "G-A101" => Some(Self::Left),
            "24028007" | "G-A100" => Some(Self::Right),
            _ => None,
        }
    }
}

/// What structures are shown and hidden together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Group {
    /// The outer surface of the body.
    Skin,
    /// Fat, under the skin and deep.
    Fat,
    /// Muscles and unspecific soft tissue.
    Muscle,
    /// Bones.
    Bone,
    /// Cartilage and discs.
    Joint,
    /// Lungs and their lobes.
    Lung,
    /// Trachea and bronchi.
    Airway,
    /// The heart and its chambers.
    Heart,
    /// Arteries, and vessels of either kind.
    Artery,
    /// Veins.
    Vein,
    /// The gut and the pancreas.
    Digestive,
    /// Liver, gallbladder and bile ducts.
    Liver,
    /// Spleen, thymus and lymph nodes.
    Lymphoid,
    /// Kidneys, ureters, bladder and genital organs.
    Urinary,
    /// Glands.
    Endocrine,
    /// The brain and its parts.
    Brain,
    /// Nerves, spinal cord and eyes.
    Nerve,
    /// What a disease has put there.
    Lesion,
    /// What people have put there.
    Device,
    /// Everything else.
    Other,
}

impl Group {
    /// All groups, outermost first.
    pub const PEEL_ORDER: [Self; 20] = [
        Self::Skin,
        Self::Fat,
        Self::Other,
        Self::Muscle,
        Self::Bone,
        Self::Joint,
        Self::Lung,
        Self::Digestive,
        Self::Liver,
        Self::Lymphoid,
        Self::Urinary,
        Self::Endocrine,
        Self::Heart,
        Self::Airway,
        Self::Vein,
        Self::Artery,
        Self::Brain,
        Self::Nerve,
        Self::Device,
        Self::Lesion,
    ];

    /// Position in [`Group::PEEL_ORDER`]: 0 is taken off first, so that what matters most is left last.
    pub fn peel_rank(self) -> usize {
        Self::PEEL_ORDER.iter().position(|g| *g == self).unwrap_or(Self::PEEL_ORDER.len())
    }

    /// Name for people.
    pub const fn display(self) -> &'static str {
        match self {
            Self::Skin => "Skin",
            Self::Fat => "Fat",
            Self::Muscle => "Muscles",
            Self::Bone => "Bones",
            Self::Joint => "Cartilage and discs",
            Self::Lung => "Lungs",
            Self::Airway => "Airways",
            Self::Heart => "Heart",
            Self::Artery => "Arteries",
            Self::Vein => "Veins",
            Self::Digestive => "Digestive tract",
            Self::Liver => "Liver and bile",
            Self::Lymphoid => "Spleen and lymph",
            Self::Urinary => "Kidneys, bladder, genital organs",
            Self::Endocrine => "Glands",
            Self::Brain => "Brain",
            Self::Nerve => "Nerves",
            Self::Lesion => "Findings",
            Self::Device => "Devices",
            Self::Other => "Other",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        Self::PEEL_ORDER.into_iter().find(|g| format!("{g:?}") == text)
    }
}

/// All structures, in the table's order.
pub fn structures() -> &'static [Structure] {
    &INDEX.structures
}

/// The structure of a name, an alias or a display name; case and separators do not matter, so that `Left-Caudate` and
/// `Left caudate nucleus` both find `caudate_left`.
pub fn find(name: &str) -> Option<&'static Structure> {
    INDEX.by_name.get(normalised(name).as_str()).and_then(|&i| INDEX.structures.get(i))
}

/// The structure of a SNOMED CT code value and side.
///
/// Several structures may share a code; the one of the given side is preferred, else one without a side, else the first.
pub fn by_code(value: &str, side: Option<Side>) -> Option<&'static Structure> {
    let with_code = || INDEX.structures.iter().filter(|s| s.code.is_some_and(|c| c.value == value));
    with_code()
        .find(|s| s.side == side)
        .or_else(|| with_code().find(|s| s.side.is_none()))
        .or_else(|| with_code().next().filter(|_| side.is_none()))
}

/// A segment for a label, with what the table knows of the name.
///
/// An unknown name is kept, made safe for machines; people see it with spaces, and its colour follows from the label.
pub fn segment(label: Label, name: &str) -> Segment {
    let Some(structure) = find(name) else {
        let safe = normalised(name);
        let safe = if safe.is_empty() { format!("label_{label}") } else { safe };
        let mut display = safe.replace('_', " ");
        if let Some(first) = display.get_mut(0..1) {
            first.make_ascii_uppercase();
        }
        return Segment { label, parts: Vec::new(), name: safe, display, code: None, color: palette_color(label) };
    };
    Segment {
        label,
        parts: Vec::new(),
        name: structure.name.to_owned(),
        display: structure.display.to_owned(),
        code: structure.code.map(Code::from),
        color: structure.color,
    }
}

/// The group of a segment's name; [`Group::Other`] for names the table does not know.
pub fn group_of(name: &str) -> Group {
    find(name).map_or(Group::Other, |s| s.group)
}

/// A model whose class numbers are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ClassTable {
    /// TotalSegmentator v1, task `total`: 104 classes.
    TotalSegmentatorV1,
    /// TotalSegmentator v2, task `total`: 117 classes.
    TotalSegmentatorV2,
    /// MeshNet `model18cls`: 17 parts of the brain.
    MeshNet18,
    /// MeshNet `model21_104class`: 103 parts of the brain.
    MeshNet104,
    /// Task 04 of the Medical Segmentation Decathlon: front and back of the hippocampus.
    Hippocampus,
}

impl ClassTable {
    /// All tables.
    pub const ALL: [Self; 5] =
        [Self::TotalSegmentatorV1, Self::TotalSegmentatorV2, Self::MeshNet18, Self::MeshNet104, Self::Hippocampus];

    /// Numbers and structures of all classes, background left out, by number.
    pub fn classes(self) -> impl Iterator<Item = (Label, &'static Structure)> {
        class_lines().filter(move |(table, ..)| *table == self.key()).filter_map(|(_, n, name)| Some((n, find(name)?)))
    }

    /// The structure of a class number.
    pub fn structure(self, class: Label) -> Option<&'static Structure> {
        self.classes().find(|(n, _)| *n == class).map(|(_, s)| s)
    }

    const fn key(self) -> &'static str {
        match self {
            Self::TotalSegmentatorV1 => "total_v1",
            Self::TotalSegmentatorV2 => "total_v2",
            Self::MeshNet18 => "meshnet_18",
            Self::MeshNet104 => "meshnet_104",
            Self::Hippocampus => "hippocampus",
        }
    }
}

fn class_lines() -> impl Iterator<Item = (&'static str, Label, &'static str)> {
    CLASSES.lines().filter(|l| !l.starts_with('#')).filter_map(|line| {
        let mut columns = line.split('\t');
        Some((columns.next()?, columns.next()?.parse().ok()?, columns.next()?))
    })
}

/// A colour for a label nobody has named: hues a golden angle apart, so that neighbours differ.
pub fn palette_color(label: Label) -> [u8; 3] {
    /// The golden angle as a fraction of the circle.
    const GOLDEN_FRACTION: f32 = 0.381_966;
    let hue = (f32::from(label) * GOLDEN_FRACTION).fract() * 6.0;
    // A muted wheel: each channel between 0.35 and 0.85, a tent over the hue.
    let channel = |shift: f32| {
        let distance = ((hue + shift).rem_euclid(6.0) - 3.0).abs();
        ((0.35 + 0.5 * (distance - 1.0).clamp(0.0, 1.0)) * 255.0).round() as u8
    };
    [channel(0.0), channel(4.0), channel(2.0)]
}

struct Index {
    structures: Vec<Structure>,
    by_name: BTreeMap<String, usize>,
}

static INDEX: LazyLock<Index> = LazyLock::new(|| {
    let mut structures = Vec::new();
    let mut by_name = BTreeMap::new();
    let mut aliases = Vec::new();
    for line in table_lines() {
        if let Some((structure, names)) = parse_line(line) {
            by_name.insert(normalised(structure.name), structures.len());
            aliases.push(names);
            structures.push(structure);
        }
    }
    // Names win over aliases, aliases over display names; among equals the first line wins.
    for (i, names) in aliases.iter().enumerate() {
        for alias in names.split(',').filter(|a| !a.is_empty()) {
            by_name.entry(normalised(alias)).or_insert(i);
        }
    }
    for (i, structure) in structures.iter().enumerate() {
        for people in [structure.display, structure.plain] {
            by_name.entry(normalised(people)).or_insert(i);
        }
    }
    Index { structures, by_name }
});

fn table_lines() -> impl Iterator<Item = &'static str> {
    TABLE.lines().filter(|l| !l.starts_with('#') && !l.is_empty()).skip(1)
}

fn parse_line(line: &'static str) -> Option<(Structure, &'static str)> {
    let mut columns = line.split('\t');
    let mut next = || columns.next();
    let (name, display, plain, group, side) = (next()?, next()?, next()?, next()?, next()?);
    let (value, meaning, color, aliases) = (next()?, next()?, next()?, next()?);
    let byte = |at: usize| u8::from_str_radix(color.get(at..at + 2)?, 16).ok();
    let side = match side {
        "L" => Some(Side::Left),
        "R" => Some(Side::Right),
        "" => None,
        _ => return None,
    };
    let structure = Structure {
        name,
        display,
        plain: if plain.is_empty() { display } else { plain },
        group: Group::parse(group)?,
        side,
        code: (!value.is_empty()).then_some(StructureCode { scheme: SNOMED_CT, value, meaning }),
        color: [byte(0)?, byte(2)?, byte(4)?],
    };
    Some((structure, aliases))
}

/// Lower case, every run of other characters than letters and digits one underscore.
fn normalised(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    for c in name.chars() {
        if c.is_alphanumeric() {
            out.extend(c.to_lowercase());
        } else if !out.is_empty() && !out.ends_with('_') {
            out.push('_');
        }
    }
    out.truncate(out.trim_end_matches('_').len());
    out
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_line_of_the_table_is_read() {
        for line in table_lines() {
            assert!(parse_line(line).is_some(), "cannot read `{line}`");
        }
        assert_eq!(structures().len(), table_lines().count());
    }

    #[test]
    fn names_displays_and_aliases_are_unique() {
        let mut owner = BTreeMap::<String, &str>::new();
        for (structure, aliases) in table_lines().filter_map(parse_line) {
            let names = [structure.name].into_iter().chain(aliases.split(',').filter(|a| !a.is_empty()));
            for name in names {
                let before = owner.insert(normalised(name), structure.name);
                assert_eq!(before, None, "`{name}` of {} is taken", structure.name);
            }
        }
        let displays: BTreeSet<_> = structures().iter().map(|s| s.display).collect();
        assert_eq!(displays.len(), structures().len());
    }

    #[test]
    fn every_class_of_every_model_is_covered() {
        for (table, number, name) in class_lines() {
            assert!(find(name).is_some(), "{table} {number}: no structure called `{name}`");
        }
        let counts = ClassTable::ALL.map(|t| t.classes().count());
        assert_eq!(counts, [104, 117, 17, 103, 2]);
        for table in ClassTable::ALL {
            let distinct: BTreeSet<_> = table.classes().map(|(_, s)| s.name).collect();
            assert_eq!(distinct.len(), table.classes().count(), "{table:?}: two classes share a structure");
        }
        let name = |t: ClassTable, n| t.structure(n).map(|s| s.name);
        assert_eq!(name(ClassTable::TotalSegmentatorV1, 104), Some("urinary_bladder"));
        assert_eq!(name(ClassTable::TotalSegmentatorV2, 7), Some("pancreas"));
        assert_eq!(name(ClassTable::MeshNet104, 70), Some("thalamus_right"));
        assert_eq!(name(ClassTable::Hippocampus, 2), Some("hippocampus_posterior"));
        assert_eq!(name(ClassTable::MeshNet18, 18), None);
    }

    #[test]
    fn what_recipes_and_phantom_use_is_covered() {
        let fixed = "body skin subcutaneous_fat fat skeletal_muscle skeleton lung_left lung_right airways trachea \
             bronchus_left bronchus_right vessels head liver_lesion spinal_canal diaphragm sternum sacrum heart aorta \
             superior_vena_cava inferior_vena_cava liver spleen kidney_left kidney_right stomach urinary_bladder";
        let segments = (1..=8).map(|i| format!("liver_segment_{i}"));
        for name in fixed.split_whitespace().map(str::to_owned).chain(segments) {
            assert_eq!(find(&name).map(|s| s.name), Some(name.as_str()));
        }
    }

    #[test]
    fn names_are_fit_for_machines() {
        for s in structures() {
            assert!(s.name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_'), "{}", s.name);
            assert!(s.code.is_none_or(|c| c.value.chars().all(|c| c.is_ascii_digit()) && !c.meaning.is_empty()));
        }
    }

    #[test]
    fn pairs_look_alike_and_agree() {
        for left in structures().iter().filter(|s| s.side == Some(Side::Left)) {
            let twin = left.name.replace("left", "right");
            // The lungs and the main bronchi are not mirror images; the left has no middle lobe.
            let right = find(&twin).filter(|r| r.name == twin);
            let right = right.unwrap_or_else(|| panic!("{} has no twin", left.name));
            assert_eq!((left.color, left.group), (right.color, right.group), "{twin}");
            assert_eq!(right.side, Some(Side::Right), "{twin}");
            assert_ne!(left.display, right.display);
        }
    }

    #[test]
    fn neighbours_can_be_told_apart() {
        let color = |name: &str| find(name).map(|s| s.color.map(i32::from)).unwrap();
        for (a, b) in [
            ("vertebrae_T12", "vertebrae_L1"),
            ("vertebrae_L4", "vertebrae_L5"),
            ("rib_left_4", "rib_left_5"),
            ("aorta", "inferior_vena_cava"),
            ("liver", "gallbladder"),
            ("liver", "kidney_right"),
            ("liver_segment_5", "liver_segment_6"),
            ("lung_upper_lobe_right", "lung_middle_lobe_right"),
            ("lung_middle_lobe_right", "lung_lower_lobe_right"),
            ("heart_atrium_left", "heart_atrium_right"),
            ("hippocampus_anterior", "hippocampus_posterior"),
            ("liver", "liver_lesion"),
        ] {
            let apart: i32 = color(a).iter().zip(color(b)).map(|(x, y)| (x - y).abs()).sum();
            assert!(apart >= 30, "{a} and {b} differ by {apart} only");
        }
    }

    #[test]
    fn sides_are_kept_apart_by_code() {
        let name = |value, side| by_code(value, side).map(|s| s.name);
        assert_eq!(name("64033007", Some(Side::Left)), Some("kidney_left"));
        assert_eq!(name("64033007", Some(Side::Right)), Some("kidney_right"));
        assert_eq!(name("64033007", None), Some("kidney"));
        assert_eq!(name("10200004", None), Some("liver"));
        assert_eq!(name("10200004", Some(Side::Right)), Some("liver"));
        assert_eq!(name("1", None), None);
        assert_eq!(Side::from_code("G-A101"), Some(Side::Left));
    }

    #[test]
    fn unknown_names_stay_usable() {
        let s = segment(7, "Klinik: Läsion/3");
        assert_eq!((s.name.as_str(), s.display.as_str(), s.code), ("klinik_läsion_3", "Klinik läsion 3", None));
        assert_eq!(segment(9, " * ").name, "label_9");
        assert_ne!(palette_color(1), palette_color(2));
    }

    #[test]
    fn peel_order_holds_every_group_once() {
        let all: BTreeSet<_> = Group::PEEL_ORDER.into_iter().collect();
        assert_eq!(all.len(), Group::PEEL_ORDER.len());
        assert!(Group::Skin.peel_rank() < Group::Bone.peel_rank());
        assert!(Group::Bone.peel_rank() < Group::Lesion.peel_rank());
    }
}
