//! Findings and physiques in the voxels.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "tests may fail loudly and say what they measured")]

use phantom::body::{Model, Spine};
use phantom::options::Person;
use phantom::{Body, Finding, FindingKind, Motion, PhantomError, PhantomOptions, Phase, Physique, Sex, Variant, body};

fn make(options: &PhantomOptions) -> Body {
    body(options, &|_| ()).unwrap()
}

fn coarse() -> PhantomOptions {
    PhantomOptions { seed: 4, spacing_mm: [4.0, 4.0, 5.0], noise_hu: 0.0, ..Default::default() }
}

/// Voxels of a structure and their HU.
fn voxels(body: &Body, name: &str) -> (f64, Vec<i16>) {
    let segments = &body.labels.segments;
    let Some(own) = segments.values().find(|s| s.name == name).map(|s| s.label) else { return (0.0, Vec::new()) };
    let rows = body.labels.voxels.data().iter().zip(body.hounsfield.data());
    let mut hu: Vec<i16> = rows.filter(|(l, _)| **l == own).map(|(_, hu)| *hu).collect();
    hu.sort_unstable();
    (hu.len() as f64 * body.labels.geometry().voxel_volume_mm3() / 1000.0, hu)
}

#[test]
fn every_finding_is_as_large_and_as_dense_as_asked_for() {
    let findings: Vec<Finding> = FindingKind::ALL.iter().map(|k| k.name().parse().unwrap()).collect();
    // Each on its own, as two may share a structure.
    for finding in findings {
        let options = PhantomOptions { spacing_mm: [2.0, 2.0, 2.5], findings: vec![finding], ..coarse() };
        let (ml, hu) = voxels(&make(&options), finding.kind.structure());
        let ball = |diameter: f64| std::f64::consts::PI / 6.0 * diameter.powi(3) * 0.96 * 1.03 / 1000.0;
        let size = f64::from(finding.size);
        let (expected, tolerance, [low, high]) = match finding.kind {
            FindingKind::LiverMetastasis => (ball(size), 0.1, [40, 80]),
            FindingKind::LiverCyst | FindingKind::RenalCyst => (ball(size), 0.1, [0, 20]),
            FindingKind::LiverHypervascular => (ball(size), 0.1, [140, 165]),
            FindingKind::RenalMass => (ball(size), 0.1, [80, 130]),
            FindingKind::LungNodule => (ball(size), 0.15, [-20, 50]),
            FindingKind::GroundGlassNodule => (ball(size), 0.15, [-680, -520]),
            FindingKind::Gallstones => (3.0 * ball(size) / (0.96 * 1.03), 0.15, [80, 380]),
            FindingKind::KidneyStone => (ball(size), 0.3, [400, 1010]),
            // A spindle of 96 mm less its lumen.
            FindingKind::AorticAneurysm => (110.0, 0.25, [30, 60]),
            FindingKind::PleuralEffusion => (300.0, 0.35, [0, 25]),
            FindingKind::Pneumothorax => (210.0, 0.5, [-1010, -980]),
            FindingKind::CoronaryStenosis => (0.3, 0.6, [60, 400]),
            FindingKind::CarotidStenosis => (0.7, 0.6, [60, 400]),
            // Their structures are bones, which the next tests look at.
            FindingKind::VertebralFracture | FindingKind::Scoliosis => continue,
        };
        let median = hu.get(hu.len() / 2).copied().unwrap_or(i16::MIN);
        println!("{finding}: {ml:.2} ml, expected {expected:.2}, median {median} HU");
        assert!((ml / expected - 1.0).abs() < tolerance, "{finding} has {ml:.2} ml, not {expected:.2}");
        assert!((low..=high).contains(&median), "{finding} has a median of {median} HU");
    }
}

#[test]
fn a_broken_vertebra_is_lower_in_front() {
    let options = PhantomOptions { seed: PhantomOptions::REFERENCE_SEED, ..coarse() };
    let finding: Finding = "vertebral-fracture=40".parse().unwrap();
    let model = Model::new(&Person::new(&options), &[finding], 0.0).unwrap();
    let own = model.label("vertebrae_L1").unwrap();
    let level = Spine::new().levels.into_iter().find(|l| l.name == "L1").unwrap();
    let height = |y: f32| {
        let steps = (-160..160).map(|n| level.mid(y * level.depth / 2.0, n as f32 * 0.125));
        steps.filter(|p| model.label_at(*p) == own).count() as f32 * 0.125
    };
    let (front, back) = (height(-0.8), height(0.7));
    println!("{front} mm in front, {back} mm behind, of {}", level.height);
    assert!((1.0 - front / level.height - 0.37).abs() < 0.06 && back > 0.85 * level.height);
}

#[test]
fn a_curved_spine_has_the_angle_it_is_asked_for() {
    let options = PhantomOptions { findings: vec!["scoliosis=40".parse().unwrap()], ..coarse() };
    let body = make(&options);
    let [width, height, _] = body.labels.geometry().size();
    let middle = |name: &str| {
        let own = body.labels.segments.values().find(|s| s.name == name).unwrap().label;
        let all = body.labels.voxels.data().iter().enumerate().filter(|(_, l)| **l == own);
        let sum = all.fold([0.0; 3], |[x, z, n], (at, _)| {
            [x + (at % width) as f64, z + (at / (width * height)) as f64, n + 1.0]
        });
        [sum[0] / sum[2] * 4.0, sum[1] / sum[2] * 5.0]
    };
    let names =
        (1..=5).rev().map(|n| format!("vertebrae_L{n}")).chain((2..=12).rev().map(|n| format!("vertebrae_T{n}")));
    let middles: Vec<[f64; 2]> = names.map(|name| middle(&name)).collect();
    let tilt = |w: &[[f64; 2]]| ((w[2][0] - w[0][0]) / (w[2][1] - w[0][1])).atan().to_degrees();
    let tilts: Vec<f64> = middles.windows(3).map(tilt).collect();
    let (least, most) = tilts.iter().fold((0.0f64, 0.0f64), |(l, m), t| (l.min(*t), m.max(*t)));
    println!("{least:.1}° to {most:.1}°");
    assert!((most - least - 40.0).abs() < 4.0, "a Cobb angle of {:.1}°", most - least);
    let apex = middles.iter().map(|m| m[0]).fold(f64::INFINITY, f64::min);
    assert!(middles[0][0] - apex > 20.0, "convex to the left");
}

#[test]
fn the_field_holds_whoever_is_in_it() {
    let scoliosis = vec!["scoliosis=50".parse().unwrap()];
    let motion = Motion { breath: 1.0, beat: 0.0 };
    let heavy = Physique { weight_kg: 95.0, ..Physique::REFERENCE_FEMALE };
    for physique in [Physique::REFERENCE, Physique::REFERENCE_FEMALE, heavy] {
        let body = make(&PhantomOptions { physique, motion, findings: scoliosis.clone(), ..coarse() });
        let [width, height, _] = body.labels.geometry().size();
        let outside = |n: usize| [0, width - 1].contains(&(n % width)) || (n / width).is_multiple_of(height);
        let cut = body.labels.voxels.data().iter().enumerate().filter(|(n, l)| **l != 0 && outside(*n)).count();
        assert_eq!(cut, 0, "{physique:?} reaches out of the field");
    }
}

#[test]
fn lesions_grow_and_shrink_where_they_are() {
    let on = |day: f32, findings: &[&str]| {
        let findings = findings.iter().map(|f| f.parse().unwrap()).collect();
        make(&PhantomOptions { spacing_mm: [2.0, 2.0, 2.5], findings, day, ..coarse() })
    };
    let findings = ["liver-metastasis=24:-60", "lung-nodule=12:120"];
    let (first, later) = (on(0.0, &findings), on(180.0, &findings));
    let ratio = |name: &str| voxels(&later, name).0 / voxels(&first, name).0;
    let (treated, growing) = (ratio("liver_lesion"), ratio("lung_lesion"));
    println!("under therapy × {treated:.3}, growing × {growing:.2}");
    assert!((treated - 0.125).abs() < 0.04, "the treated one is {treated:.3} of what it was");
    assert!((growing - 2.83).abs() < 0.5, "the other is {growing:.2} times what it was");
    // Nothing else has changed.
    let pairs = first.labels.voxels.data().iter().zip(later.labels.voxels.data());
    let name = |b: &Body, l: u16| b.labels.segments.get(&l).map_or("", |s| s.name.as_str()).to_owned();
    let lesion = |name: &str| name.ends_with("_lesion");
    let others = pairs.filter(|(a, b)| a != b && !lesion(&name(&first, **a)) && !lesion(&name(&later, **b))).count();
    assert!(others < 30, "{others} voxels of others have changed");
    for day in [1500.0, 36500.0] {
        let gone = on(day, &findings[..1]);
        assert_eq!(voxels(&gone, "liver_lesion").0, 0.0, "therapy leaves nothing");
    }
}

#[test]
fn variants_run_where_they_should() {
    let normal = make(&PhantomOptions { spacing_mm: [2.0, 2.0, 2.0], findings: Vec::new(), ..coarse() });
    let varied = make(&PhantomOptions {
        spacing_mm: [2.0, 2.0, 2.0],
        findings: Vec::new(),
        variants: Variant::ALL.to_vec(),
        ..coarse()
    });
    let ml = |b: &Body, name: &str| voxels(b, name).0;
    for name in ["replaced_right_hepatic_artery", "accessory_renal_artery_left"] {
        assert!(ml(&normal, name) == 0.0 && ml(&varied, name) > 0.2, "{name} has {} ml", ml(&varied, name));
    }
    assert!(ml(&normal, "brachiocephalic_trunk") > 1.0 && ml(&varied, "brachiocephalic_trunk") == 0.0);
    for name in ["azygos_vein", "subclavian_artery_right", "common_carotid_artery_left", "esophagus", "trachea"] {
        let ratio = ml(&varied, name) / ml(&normal, name);
        assert!((0.8..1.7).contains(&ratio), "{name} × {ratio:.2}");
    }
}

#[test]
fn a_finding_without_room_is_refused() {
    let fills = |n: usize| vec!["liver-cyst=50".parse::<Finding>().unwrap(); n];
    let result = body(&PhantomOptions { findings: fills(40), ..coarse() }, &|_| ());
    let error = result.map(|_| ()).unwrap_err();
    assert!(matches!(error, PhantomError::Finding { .. }) && error.to_string().contains("liver-cyst=50"), "{error}");
}

#[test]
fn women_differ_from_men_and_the_heavy_from_the_lean() {
    let of = |physique: Physique| make(&PhantomOptions { physique, findings: Vec::new(), ..coarse() });
    let (man, woman) = (of(Physique::REFERENCE), of(Physique::REFERENCE_FEMALE));
    let ml = |body: &Body, name: &str| voxels(body, name).0;
    assert!(ml(&man, "prostate") > 10.0 && ml(&man, "uterus") == 0.0);
    assert!(ml(&woman, "uterus") > 40.0 && ml(&woman, "prostate") == 0.0);
    let bone = ml(&woman, "vertebrae_L3") / ml(&man, "vertebrae_L3");
    assert!((bone - (163.0f64 / 176.0).powi(3)).abs() < 0.09, "L3 of the woman has {bone:.2} of the man's volume");
    let heavy = of(Physique { weight_kg: 110.0, ..Physique::REFERENCE });
    let gained = ml(&heavy, "subcutaneous_fat") - ml(&man, "subcutaneous_fat");
    assert!((5_000.0..25_000.0).contains(&gained), "37 kg more are {gained:.0} ml more of fat under the trunk's skin");
    assert!((ml(&heavy, "vertebrae_L3") / ml(&man, "vertebrae_L3") - 1.0).abs() < 0.08, "bones grow fat");
    let size = |b: &Body| b.labels.geometry().size();
    assert!(size(&heavy)[0] > size(&man)[0], "the heavy do not fit the field of the lean");
    let impossible = Physique { height_cm: 400.0, sex: Sex::Male, ..Physique::REFERENCE };
    let result = body(&PhantomOptions { physique: impossible, ..coarse() }, &|_| ());
    assert!(matches!(result, Err(PhantomError::Person { what: "height", .. })));
}

#[test]
fn contrast_comes_and_goes() {
    let scans = Phase::ALL.map(|phase| make(&PhantomOptions { phase, ..coarse() }));
    let median = |structure: &str| {
        scans.each_ref().map(|b| {
            let (_, hu) = voxels(b, structure);
            hu[hu.len() / 2]
        })
    };
    let [native, arterial, portal, late] = median("aorta");
    assert!((30..60).contains(&native) && arterial > 250 && (130..170).contains(&portal) && late < portal);
    let [native, arterial, portal, late] = median("portal_vein_and_splenic_vein");
    assert!(native < 60 && arterial < 90 && portal > late && late > arterial, "the portal vein fills too early");
    let bone = median("vertebrae_L3");
    assert!(bone.iter().all(|hu| *hu == bone[0]), "contrast in bone: {bone:?}");
}
