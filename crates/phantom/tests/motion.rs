//! Breath and heartbeat in the voxels.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "tests may fail loudly and say what they measured")]

use phantom::{Body, Motion, PhantomOptions, body};

fn make(motion: Motion) -> Body {
    let seed = PhantomOptions::REFERENCE_SEED;
    let options = PhantomOptions {
        seed,
        spacing_mm: [2.5, 2.5, 2.5],
        noise_hu: 0.0,
        findings: Vec::new(),
        motion,
        ..Default::default()
    };
    body(&options, &|_| ()).unwrap()
}

/// Volume in ml of a structure with its parts.
fn ml(body: &Body, name: &str) -> f64 {
    let (counts, segments) = (body.labels.counts(), &body.labels.segments);
    let segment = segments.values().find(|s| s.name == name).unwrap();
    let all = std::iter::once(&segment.label).chain(&segment.parts);
    all.filter_map(|l| counts.get(l)).sum::<usize>() as f64 * body.labels.geometry().voxel_volume_mm3() / 1000.0
}

#[test]
fn a_breath_fills_the_lungs_and_moves_what_lies_below_them() {
    let [out, inside] = [0.0, 1.0].map(|breath| make(Motion { breath, beat: 0.0 }));
    let lungs = |body: &Body| ml(body, "lung_left") + ml(body, "lung_right");
    let tidal = lungs(&inside) - lungs(&out);
    // 500 ml at rest (ICRP Publication 89, table 6.2: 750 ml sitting, 625 ml asleep; spirometry texts 500 ml).
    println!("tidal volume {tidal:.0} ml");
    assert!((350.0..750.0).contains(&tidal), "a breath of {tidal:.0} ml");
    for (organ, tolerance) in [
        ("liver", 0.04),
        ("spleen", 0.12),
        ("kidney_left", 0.04),
        ("stomach", 0.1),
        ("heart", 0.08),
        ("vertebrae_L1", 0.02),
    ] {
        let ratio = ml(&inside, organ) / ml(&out, organ);
        println!("{organ} × {ratio:.3}");
        assert!((ratio - 1.0).abs() < tolerance, "{organ} is {ratio:.2} of what it was");
    }
    let middle = |body: &Body, name: &str| {
        let own = body.labels.segments.values().find(|s| s.name == name).unwrap().label;
        let [width, height, _] = body.labels.geometry().size();
        let slices = body.labels.voxels.data().chunks(width * height).enumerate();
        let counts = slices.map(|(k, slice)| (k, slice.iter().filter(|l| **l == own).count()));
        let (sum, count) = counts.fold((0.0, 0), |(s, n), (k, c)| (s + (k * c) as f64, n + c));
        sum / count as f64 * body.labels.geometry().spacing()[2]
    };
    for (organ, [low, high]) in [
        ("liver_segment_8", [10.0, 18.5]),
        ("spleen", [7.0, 18.0]),
        ("kidney_cortex_left", [4.0, 16.0]),
        ("vertebrae_L1", [-0.3, 0.3]),
    ] {
        let down = middle(&out, organ) - middle(&inside, organ);
        println!("{organ} goes down by {down:.1} mm");
        assert!((low..=high).contains(&down), "{organ} goes down by {down:.1} mm");
    }
}

#[test]
fn the_heart_empties_its_ventricles_and_fills_its_atria() {
    let [diastole, systole] = [0.0, 0.4].map(|beat| make(Motion { breath: 0.0, beat }));
    let of = |name: &str| (ml(&diastole, name), ml(&systole, name));
    let (before, after) = of("heart_ventricle_left");
    let ejected = 1.0 - after / before;
    println!("left ventricle {before:.0} → {after:.0} ml, {ejected:.2}");
    // Kawel-Boehm et al. (2020): 0.57–0.77 left, 0.52–0.72 right by cine MR.
    assert!((0.55..0.72).contains(&ejected), "ejection fraction {ejected:.2}");
    let (before, after) = of("heart_ventricle_right");
    println!("right ventricle {before:.0} → {after:.0} ml");
    assert!((0.38..0.65).contains(&(1.0 - after / before)), "right ejection fraction {:.2}", 1.0 - after / before);
    for atrium in ["heart_atrium_left", "heart_atrium_right"] {
        let (before, after) = of(atrium);
        println!("{atrium} {before:.0} → {after:.0} ml");
        assert!(after > 1.02 * before, "{atrium} does not fill: {before:.0} to {after:.0} ml");
    }
    let (before, after) = of("heart_myocardium");
    println!("myocardium {before:.0} → {after:.0} ml");
    assert!((after / before - 1.0).abs() < 0.08, "muscle is lost: {before:.0} to {after:.0} ml");
    let (before, after) = of("liver");
    assert!((after / before - 1.0).abs() < 0.02, "the liver beats");
}
