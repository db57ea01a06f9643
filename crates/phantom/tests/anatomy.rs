//! The body as a whole: what is in it, where, how large, and that nothing floats.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "tests may fail loudly and say what they measured")]

use std::collections::BTreeMap;
use std::sync::LazyLock;

use phantom::body::Model;
use phantom::options::Person;
use phantom::{Body, PhantomOptions, body};
use volume::{Label, LabelMap, terminology};

/// The reference adult, fine enough for every structure to be one piece.
static REFERENCE: LazyLock<Body> = LazyLock::new(|| {
    let options = PhantomOptions {
        seed: PhantomOptions::REFERENCE_SEED,
        spacing_mm: [1.5, 1.5, 2.0],
        noise_hu: 0.0,
        ..Default::default()
    };
    body(&options, &|_| ()).expect("this spacing makes a grid")
});

fn label(labels: &LabelMap, name: &str) -> Label {
    let found = labels.segments.values().find(|s| s.name == name);
    found.unwrap_or_else(|| panic!("no structure is called {name}")).label
}

/// Voxels of a structure, its parts included.
fn voxels(labels: &LabelMap, name: &str) -> Vec<[usize; 3]> {
    let own = label(labels, name);
    let mut all = labels.segments[&own].parts.clone();
    all.push(own);
    let [width, height, _] = labels.geometry().size();
    let data = labels.voxels.data().iter().enumerate();
    data.filter(|(_, l)| all.contains(l)).map(|(n, _)| [n % width, n / width % height, n / width / height]).collect()
}

fn volume_ml(labels: &LabelMap, name: &str) -> f64 {
    voxels(labels, name).len() as f64 * labels.geometry().voxel_volume_mm3() / 1000.0
}

fn centroid_mm(labels: &LabelMap, name: &str) -> [f64; 3] {
    let voxels = voxels(labels, name);
    let mean = [0, 1, 2].map(|a| voxels.iter().map(|v| v[a] as f64).sum::<f64>() / voxels.len() as f64);
    (labels.geometry().lps_from_index() * space::Point::from_array(mean)).to_array()
}

#[test]
fn every_structure_is_there() {
    let labels = &REFERENCE.labels;
    let counts = labels.counts();
    assert!(counts.len() >= 130, "only {} structures", counts.len());
    for segment in labels.segments.values() {
        let all = std::iter::once(segment.label).chain(segment.parts.iter().copied());
        let voxels: usize = all.map(|l| counts.get(&l).copied().unwrap_or(0)).sum();
        assert!(voxels >= 50, "{} has {voxels} voxels", segment.name);
    }
    for n in 1..=12 {
        for side in ["left", "right"] {
            label(labels, &format!("rib_{side}_{n}"));
        }
    }
    let spine = (1..=12).map(|n| format!("T{n}")).chain((1..=5).map(|n| format!("L{n}"))).chain(["C7".to_owned()]);
    spine.for_each(|level| _ = label(labels, &format!("vertebrae_{level}")));
}

#[test]
fn every_structure_has_an_entry_of_its_own_in_the_terminology() {
    for segment in REFERENCE.labels.segments.values() {
        let known = terminology::find(&segment.name).map(|s| s.name);
        assert_eq!(known, Some(segment.name.as_str()), "{} is not in the table", segment.name);
        let code = segment.code.as_ref().map(|c| c.scheme.as_str());
        assert_eq!(code, Some(terminology::SNOMED_CT), "{} has no code", segment.name);
    }
}

#[test]
fn left_is_left() {
    let labels = &REFERENCE.labels;
    let x = |name: &str| centroid_mm(labels, name)[0];
    for name in ["heart_ventricle_left", "spleen", "stomach", "kidney_left", "lung_left", "bronchus_left"] {
        assert!(x(name) > 10.0, "{name} lies at x = {:.1} mm", x(name));
    }
    for name in ["liver", "gallbladder", "liver_lesion", "kidney_right", "lung_right", "superior_vena_cava"] {
        assert!(x(name) < -10.0, "{name} lies at x = {:.1} mm", x(name));
    }
    assert!(x("aorta") > x("inferior_vena_cava") + 15.0, "the aorta belongs to the left of the vena cava");
    for segment in labels.segments.values() {
        let sign = if segment.name.contains("_left") { 1.0 } else { -1.0 };
        let atrium_or_ventricle = segment.name.starts_with("heart");
        if !atrium_or_ventricle && (segment.name.contains("_left") || segment.name.contains("_right")) {
            assert!(x(&segment.name) * sign > 0.0, "{} lies at x = {:.1} mm", segment.name, x(&segment.name));
        }
    }
}

#[test]
fn up_is_up_and_front_is_front() {
    let labels = &REFERENCE.labels;
    let [y, z] = [1, 2].map(|a| move |name: &str| centroid_mm(labels, name)[a]);
    assert!(y("sternum") < y("heart") && y("heart") < y("vertebrae_T6"), "sternum, heart, spine from front to back");
    assert!(y("urinary_bladder") < y("sacrum"), "the bladder lies before the sacrum");
    let column = ["sacrum", "vertebrae_L3", "vertebrae_T12", "vertebrae_T4", "vertebrae_C7"];
    assert!(column.windows(2).all(|w| z(w[0]) < z(w[1])), "the spine is out of order");
    assert!(z("kidney_right") < z("kidney_left"), "the right kidney is the lower one");
    // Supracristal line at L4; carina at T4 to T5; thoracic kyphosis behind lumbar lordosis.
    assert!((z("trachea") - z("vertebrae_T2")).abs() < 60.0);
    assert!(y("vertebrae_T7") > y("vertebrae_L3") + 20.0, "no kyphosis");
}

/// Published volumes in ml; sources and arithmetic are in `docs/phantom.md`.
const PUBLISHED_ML: [(&str, f64); 20] = [
    ("liver", 1714.0),
    ("spleen", 142.0),
    ("kidney_left", 148.0),
    ("kidney_right", 148.0),
    ("pancreas", 133.0),
    ("adrenal_gland_left", 6.8),
    ("adrenal_gland_right", 6.8),
    ("gallbladder", 66.0),
    ("urinary_bladder", 240.0),
    ("stomach", 385.0),
    ("esophagus", 39.0),
    ("colon", 644.0),
    ("prostate", 16.5),
    ("heart", 795.0),
    ("heart_ventricle_left", 160.0),
    ("heart_ventricle_right", 180.0),
    ("heart_myocardium", 131.0),
    ("lung_left", 2042.0),
    ("lung_right", 2398.0),
    ("liver_lesion", 8.2),
];

#[test]
fn volumes_are_within_a_fifth_of_the_published() {
    let labels = &REFERENCE.labels;
    let mut off = BTreeMap::new();
    for (name, published) in PUBLISHED_ML {
        let ours = volume_ml(labels, name);
        eprintln!("{name}: {ours:.1} ml, published {published} ml, {:+.0} %", (ours / published - 1.0) * 100.0);
        if (ours / published - 1.0).abs() > 0.2 {
            off.insert(name, (ours, published));
        }
    }
    let bowel = volume_ml(labels, "small_bowel") + volume_ml(labels, "duodenum");
    assert!((bowel / 962.0 - 1.0).abs() < 0.2, "small intestine {bowel:.0} ml");
    assert!(off.is_empty(), "ours and published in ml: {off:?}");
    assert!(volume_ml(labels, "lung_right") > volume_ml(labels, "lung_left"), "the right lung is the larger");
}

/// Shares of the liver's volume in per cent, segments I to VIII: Mise et al. 2014 and Abdalla et al. 2004, see
/// `docs/phantom.md`.
const SEGMENT_SHARES: [f64; 8] = [2.0, 7.0, 9.0, 17.0, 12.5, 8.5, 18.0, 26.0];

#[test]
fn liver_segments_have_their_places_and_shares() {
    let labels = &REFERENCE.labels;
    let names: Vec<String> = (1..=8).map(|n| format!("liver_segment_{n}")).collect();
    let [x, y, z] = [0, 1, 2].map(|a| {
        let at: Vec<f64> = names.iter().map(|n| centroid_mm(labels, n)[a]).collect();
        move |n: usize| at[n - 1]
    });
    for (upper, lower) in [(7, 6), (8, 5), (2, 3)] {
        assert!(z(upper) > z(lower) + 10.0, "segment {upper} belongs above {lower}");
    }
    for (behind, before) in [(7, 8), (6, 5), (2, 3), (1, 2), (1, 3), (1, 4), (1, 5), (1, 8)] {
        assert!(y(behind) > y(before) + 5.0, "segment {behind} belongs behind {before}");
    }
    for left in [2, 3] {
        assert!(x(left) > x(4) + 20.0, "segment {left} belongs to the left of IV");
    }
    for right in 5..=8 {
        assert!(x(right) < x(4) - 20.0, "segment {right} belongs to the right of IV");
    }
    let ml: Vec<f64> = names.iter().map(|n| volume_ml(labels, n)).collect();
    for (name, (ours, published)) in names.iter().zip(ml.iter().zip(SEGMENT_SHARES)) {
        let share = ours / ml.iter().sum::<f64>() * 100.0;
        eprintln!("{name}: {share:.1} %, published {published} %");
        assert!((share / published - 1.0).abs() < 0.4, "{name} is {share:.1} % of the liver, published {published} %");
    }
}

/// Names of the structures that a structure's voxels touch, with the number of touching pairs.
fn neighbours(labels: &LabelMap, name: &str) -> BTreeMap<String, usize> {
    let [width, height, _] = labels.geometry().size();
    let own = label(labels, name);
    let mut found = BTreeMap::new();
    for [i, j, k] in voxels(labels, name) {
        for z in k - 1..=k + 1 {
            for y in j - 1..=j + 1 {
                for x in i - 1..=i + 1 {
                    let other = labels.voxels.data()[x + width * (y + height * z)];
                    if other != own {
                        let other = labels.segments[&other].name.clone();
                        *found.entry(other).or_default() += 1;
                    }
                }
            }
        }
    }
    found
}

#[test]
fn vessels_of_the_liver_run_within_it_and_apart() {
    let labels = &REFERENCE.labels;
    let triad = ["portal_vein_branches", "hepatic_artery_branches", "intrahepatic_bile_ducts"];
    for (name, great) in [
        ("portal_vein_branches", vec!["portal_vein_and_splenic_vein"]),
        ("hepatic_vein", vec!["inferior_vena_cava"]),
        ("hepatic_artery_branches", vec!["hepatic_artery", "torso_fat"]),
        ("intrahepatic_bile_ducts", vec!["common_bile_duct"]),
    ] {
        let touched = neighbours(labels, name);
        let inside = |n: &str| n.starts_with("liver_segment_") || great.contains(&n) || triad.contains(&n);
        let outside: BTreeMap<_, _> = touched.iter().filter(|(n, _)| !inside(n)).collect();
        let share = outside.values().copied().sum::<usize>() as f64 / touched.values().sum::<usize>() as f64;
        assert!(share < 0.03, "{name} touches what is not liver: {share:.3} {outside:?}");
        for segment in 2..=8 {
            let segment = format!("liver_segment_{segment}");
            let needed = name == "portal_vein_branches" || name == "hepatic_vein";
            assert!(!needed || touched.contains_key(&segment), "{name} does not reach {segment}");
        }
        let root = touched.get(great[0]).copied().unwrap_or(0);
        assert!(root > 0, "{name} does not come from {}", great[0]);
    }
    let touched = neighbours(labels, "hepatic_vein");
    assert!(triad.iter().all(|n| !touched.contains_key(*n)), "hepatic veins touch a portal triad: {touched:?}");
    assert!(!touched.contains_key("liver_lesion"), "a hepatic vein touches the lesion");
}

#[test]
fn two_thirds_of_a_kidney_are_cortex() {
    let labels = &REFERENCE.labels;
    for side in ["left", "right"] {
        let [cortex, medulla] = ["cortex", "medulla"].map(|p| volume_ml(labels, &format!("kidney_{p}_{side}")));
        let share = cortex / (cortex + medulla);
        assert!((0.63..0.77).contains(&share), "cortex is {share:.2} of the parenchyma on the {side}");
        let middle = |part: &str| centroid_mm(labels, &format!("{part}_{side}"));
        let medial = middle("kidney_medulla")[0].abs() - middle("renal_pelvis")[0].abs();
        assert!(medial > 5.0, "the {side} renal pelvis belongs medial of the pyramids");
    }
}

#[test]
fn what_nature_makes_one_is_one() {
    let labels = &REFERENCE.labels;
    let options = PhantomOptions { seed: PhantomOptions::REFERENCE_SEED, ..Default::default() };
    let model = Model::new(&Person::new(&options), &options.findings, 0.0).unwrap();
    let [width, height, depth] = labels.geometry().size();
    let data = labels.voxels.data();
    let mut seen = vec![false; data.len()];
    let mut pieces: BTreeMap<Label, Vec<usize>> = BTreeMap::new();
    for start in 0..data.len() {
        if seen[start] || data[start] == 0 || !model.is_single(data[start]) {
            continue;
        }
        let (mut stack, mut count) = (vec![start], 0);
        seen[start] = true;
        while let Some(n) = stack.pop() {
            count += 1;
            let (i, j, k) = (n % width, n / width % height, n / width / height);
            for z in k.saturating_sub(1)..(k + 2).min(depth) {
                for y in j.saturating_sub(1)..(j + 2).min(height) {
                    for x in i.saturating_sub(1)..(i + 2).min(width) {
                        let m = x + width * (y + height * z);
                        if !seen[m] && data[m] == data[start] {
                            seen[m] = true;
                            stack.push(m);
                        }
                    }
                }
            }
        }
        pieces.entry(data[start]).or_default().push(count);
    }
    pieces.retain(|_, sizes| sizes.len() > 1);
    let broken: Vec<_> = pieces.iter().map(|(label, sizes)| (labels.segments[label].name.as_str(), sizes)).collect();
    assert!(broken.is_empty(), "in pieces of so many voxels: {broken:?}");
}

#[test]
fn air_flows_from_the_trachea_into_every_lobe() {
    let Body { labels, hounsfield } = &*REFERENCE;
    let [width, height, _] = labels.geometry().size();
    let names = ["trachea", "bronchus_left", "bronchus_right"];
    let own = names.map(|name| label(labels, name));
    let data = labels.voxels.data();
    let is_air = |n: usize| data.get(n).is_some_and(|l| own.contains(l)) && hounsfield.data()[n] < -700;
    let air: Vec<usize> = (0..data.len()).filter(|&n| is_air(n)).collect();
    let mut reached = vec![false; data.len()];
    // The windpipe's upper end is the last of its voxels.
    let mut stack: Vec<usize> = air.iter().rfind(|&&n| data[n] == own[0]).copied().into_iter().collect();
    while let Some(n) = stack.pop() {
        if is_air(n) && !reached[n] {
            reached[n] = true;
            // Diagonals count: a slanting bronchus of generation 7 is hardly wider than a voxel.
            for row in [n.wrapping_sub(width), n, n + width] {
                for m in [row.wrapping_sub(width * height), row, row + width * height] {
                    stack.extend([m.wrapping_sub(1), m, m + 1]);
                }
            }
        }
    }
    for (name, own) in names.into_iter().zip(own) {
        let here = air.iter().filter(|&&n| data[n] == own);
        let share = here.clone().filter(|&&n| reached[n]).count() as f64 / here.count() as f64;
        assert!(share > 0.95, "{share:.3} of the air in {name} was reached");
    }
    // Air lies in a lobe if the lobe is found a little beyond the wall on most sides.
    let sides = [4, 4 * width, 3 * width * height];
    for lobe in ["upper_lobe_left", "lower_lobe_left", "upper_lobe_right", "middle_lobe_right", "lower_lobe_right"] {
        let lobe = format!("lung_{lobe}");
        let own = label(labels, &lobe);
        let is_own = |m: usize| data.get(m) == Some(&own);
        let beyond = |n: usize| sides.iter().flat_map(move |s| [n.wrapping_sub(*s), n + s]);
        let within = |n: usize| beyond(n).filter(|&m| is_own(m)).count() >= 4;
        let count = (0..data.len()).filter(|&n| reached[n] && within(n)).count();
        assert!(count > 100, "{count} voxels of air from the trachea in {lobe}");
    }
}

#[test]
fn valves_lie_between_their_chambers() {
    let labels = &REFERENCE.labels;
    let [width, height, _] = labels.geometry().size();
    let data = labels.voxels.data();
    for (valve, before, behind) in [
        ("heart_valve_mitral", "heart_atrium_left", "heart_ventricle_left"),
        ("heart_valve_aortic", "heart_ventricle_left", "aorta"),
        ("heart_valve_tricuspid", "heart_atrium_right", "heart_ventricle_right"),
        ("heart_valve_pulmonary", "heart_ventricle_right", "pulmonary_artery"),
    ] {
        let steps = [1, width, width * height];
        let around = voxels(labels, valve).into_iter().flat_map(|[i, j, k]| {
            let n = i + width * (j + height * k);
            steps.iter().flat_map(move |s| [n - s, n + s])
        });
        let around: Vec<Label> = around.map(|n| data[n]).collect();
        for side in [before, behind] {
            let own = label(labels, side);
            let faces = around.iter().filter(|&&l| l == own).count();
            assert!(faces > 60, "{valve} shares {faces} faces with {side}");
        }
    }
}

#[test]
fn coronaries_lie_on_the_heart_and_not_in_its_chambers() {
    let labels = &REFERENCE.labels;
    let [width, height, _] = labels.geometry().size();
    let data = labels.voxels.data();
    let heart = &labels.segments[&label(labels, "heart")];
    let is_heart = |n: usize| data[n] == heart.label || heart.parts.contains(&data[n]);
    for side in ["left", "right"] {
        let all = voxels(labels, &format!("coronary_artery_{side}"));
        let (mut near, mut buried) = (0, 0);
        for &[i, j, k] in &all {
            let n = i + width * (j + height * k);
            let reach = |r: usize| [r, r * width, r.div_ceil(2) * width * height].into_iter();
            near += usize::from(reach(4).any(|s| is_heart(n - s) || is_heart(n + s)));
            buried += usize::from(reach(4).all(|s| is_heart(n - s) && is_heart(n + s)));
        }
        let share = |count: usize| count as f64 / all.len() as f64;
        assert!(share(near) > 0.85, "{:.2} of the {side} coronary artery is near the heart", share(near));
        assert!(share(buried) < 0.02, "{:.2} of the {side} coronary artery is within the heart", share(buried));
    }
}

#[test]
fn the_left_auricle_opens_into_the_atrium_only() {
    let labels = &REFERENCE.labels;
    // 5.2 ± 3.0 ml: Ernst et al., Anat Rec 1995; 242: 553.
    let ml = volume_ml(labels, "atrial_appendage_left");
    assert!((2.2..8.2).contains(&ml), "{ml:.1} ml");
    let touched = neighbours(labels, "atrial_appendage_left");
    let touches = |name: &str| touched.get(name).copied().unwrap_or(0);
    assert!(touches("heart_atrium_left") > 200, "{touched:?}");
    // A gap of 1.7 mm may fall between the voxels.
    let few = touched.values().sum::<usize>() / 50;
    for other in ["pulmonary_artery", "pulmonary_vein", "heart_ventricle_left", "coronary_artery_left"] {
        assert!(touches(other) < few, "it touches {other}: {touched:?}");
    }
}

#[test]
fn nothing_lies_outside_the_skin() {
    let labels = &REFERENCE.labels;
    let [width, height, depth] = labels.geometry().size();
    let skin = label(labels, "skin");
    let data = labels.voxels.data();
    for k in 0..depth {
        for j in 0..height {
            let row = &data[width * (j + height * k)..][..width];
            let first = row.iter().find(|&&l| l != 0);
            let last = row.iter().rev().find(|&&l| l != 0);
            for end in [first, last].into_iter().flatten() {
                assert_eq!(*end, skin, "{} is bare in slice {k}", labels.segments[end].name);
            }
        }
    }
}

#[test]
fn tissues_have_their_hounsfield_units() {
    let Body { labels, hounsfield } = &*REFERENCE;
    let median = |name: &str| {
        let [width, height, _] = labels.geometry().size();
        let at = |[i, j, k]: [usize; 3]| hounsfield.data()[i + width * (j + height * k)];
        let mut values: Vec<i16> = voxels(labels, name).into_iter().map(at).collect();
        values.sort_unstable();
        values[values.len() / 2]
    };
    for (name, low, high) in [
        ("liver", 104, 116),
        ("liver_lesion", 35, 80),
        ("spleen", 112, 126),
        ("aorta", 145, 158),
        ("inferior_vena_cava", 128, 148),
        ("kidney_left", 150, 195),
        ("kidney_cortex_right", 188, 202),
        ("kidney_medulla_right", 161, 175),
        ("hepatic_vein", 150, 175),
        ("skeletal_muscle", 45, 70),
        ("subcutaneous_fat", -112, -90),
        ("lung_lower_lobe_right", -900, -780),
        ("urinary_bladder", 0, 20),
        ("vertebrae_L3", 150, 420),
        ("femur_left", 140, 1300),
    ] {
        let found = median(name);
        assert!((low..=high).contains(&found), "{name} has a median of {found} HU");
    }
    let air = hounsfield.data()[0];
    assert_eq!(air, -1000);
}

#[test]
fn the_person_depends_on_the_seed_and_not_on_threads() {
    let make = |seed, threads| {
        let options = PhantomOptions { seed, spacing_mm: [5.0, 5.0, 6.0], ..Default::default() };
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| body(&options, &|_| ()).unwrap())
    };
    let (one, three) = (make(7, 1), make(7, 3));
    assert!(one.labels == three.labels && one.hounsfield == three.hounsfield, "threads change the result");
    let other = make(8, 2);
    assert!(one.labels.voxels != other.labels.voxels, "all people are alike");
    assert!(one.hounsfield != other.hounsfield, "all scans are alike");
}

/// The left ventricle opens into its atrium and the aorta; everywhere else is muscle.
#[test]
fn the_left_ventricle_has_no_hole() {
    const AROUND: [&str; 6] = [
        "heart_ventricle_left",
        "heart_myocardium",
        "heart_valve_mitral",
        "heart_valve_aortic",
        "heart_atrium_left",
        "aorta",
    ];
    for seed in [3, 8, 21, 77, 81] {
        let options = PhantomOptions { spacing_mm: [2.0; 3], noise_hu: 0.0, ..PhantomOptions::drawn(seed) };
        let labels = body(&options, &|_| ()).unwrap().labels;
        let around = AROUND.map(|name| label(&labels, name));
        let [width, height, _] = labels.geometry().size();
        let data = labels.voxels.data();
        let mut holes = BTreeMap::new();
        for [i, j, k] in voxels(&labels, "heart_ventricle_left") {
            let at = i + width * (j + height * k);
            for step in [1, width, width * height] {
                for next in [data[at - step], data[at + step]] {
                    if !around.contains(&next) {
                        *holes.entry(&labels.segments[&next].name).or_insert(0) += 1;
                    }
                }
            }
        }
        assert!(holes.is_empty(), "seed {seed}: {holes:?}");
    }
}
