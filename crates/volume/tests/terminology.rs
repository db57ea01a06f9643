//! The table of structures against the names that models and data sets use (`tests/golden/names.txt`).
#![allow(clippy::unwrap_used, reason = "tests may fail loudly")]

use std::collections::BTreeMap;

use volume::terminology::{self, Group, SNOMED_CT, Side};

const NAMES: &str = include_str!("golden/names.txt");

/// Names of each list, in its order.
fn lists() -> BTreeMap<&'static str, Vec<&'static str>> {
    let mut lists = BTreeMap::<_, Vec<_>>::new();
    let mut title = "";
    for line in NAMES.lines().skip(1) {
        match line.strip_prefix("# ") {
            Some(heading) => title = heading,
            None => lists.entry(title).or_default().push(line),
        }
    }
    lists
}

#[test]
fn every_name_has_a_structure_of_its_own() {
    let lists = lists();
    assert_eq!(lists.values().map(Vec::len).collect::<Vec<_>>(), [17, 103, 108, 104, 117]);
    for (title, names) in lists {
        let mut owner = BTreeMap::new();
        for name in names {
            let structure = terminology::find(name).unwrap_or_else(|| panic!("{title}: `{name}` is not in the table"));
            let before = owner.insert(structure.name, name);
            assert_eq!(before, None, "{title}: `{name}` and another are both {}", structure.name);
        }
    }
}

/// Of the TotalSegmentator classes, all have a code; of the others, what DICOM has none for goes without.
#[test]
fn classes_of_totalsegmentator_have_codes() {
    for (title, names) in lists().into_iter().filter(|(title, _)| title.starts_with("TotalSegmentator")) {
        for name in names {
            let code = terminology::find(name).and_then(|s| s.code);
            assert!(code.is_some_and(|c| c.scheme == SNOMED_CT), "{title}: `{name}` has no code");
        }
    }
}

#[track_caller]
fn check(name: &str, group: Group, side: Option<Side>, code: Option<&str>) {
    let found = terminology::find(name).unwrap();
    assert_eq!((found.name, found.group, found.side, found.code.map(|c| c.value)), (name, group, side, code));
}

#[test]
fn what_only_the_phantom_has_is_known() {
    check("lung_vessels_left", Group::Artery, Some(Side::Left), Some("59820001"));
    check("ureter_right", Group::Urinary, Some(Side::Right), Some("87953007"));
    check("subclavian_vein_left", Group::Vein, Some(Side::Left), Some("9454009"));
    check("pubic_symphysis", Group::Joint, None, Some("82561000"));
    check("kidney_medulla_left", Group::Urinary, Some(Side::Left), Some("30737000"));
    check("left_gastric_artery", Group::Artery, None, Some("23771002"));
    // The code of its whole, the muscle of the abdominal wall.
    check("quadratus_lumborum_left", Group::Muscle, Some(Side::Left), Some("1142228004"));
}
