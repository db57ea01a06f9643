//! Two hundred drawn adults against what is published of people.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "tests may fail loudly and say what they measured")]

use std::collections::BTreeMap;

use phantom::{PhantomOptions, Sex, body};
use rayon::prelude::*;
use volume::Label;

const ADULTS: u64 = 200;

/// Volume in ml: mean and standard deviation of women, of men.
///
/// Means are the reference adults' of ICRP Publication 89 (2002), table 2.8, at 1.03–1.06 g/ml; deviations are a part of them: liver
/// 22 % (Vauthey et al., Liver Transpl 2002; 8: 233), kidneys 20 % (Emamian et al., AJR 1993; 160: 83), heart 18 % (Kawel-Boehm et
/// al., J Cardiovasc Magn Reson 2020; 22: 87), spleen 35 %, less than the 44 % of Caglar et al. (Folia Morphol 2014; 73, 212 adults
/// by CT: 198 ± 88 ml), pancreas 25 %, an estimate.
const PUBLISHED_ML: [(&str, [[f64; 2]; 2]); 6] = [
    ("liver", [[1333.0, 293.0], [1714.0, 377.0]]),
    ("spleen", [[123.0, 43.0], [142.0, 50.0]]),
    ("kidney_left", [[131.0, 26.0], [148.0, 30.0]]),
    ("kidney_right", [[131.0, 26.0], [148.0, 30.0]]),
    ("pancreas", [[114.0, 29.0], [133.0, 33.0]]),
    ("heart", [[588.0, 106.0], [795.0, 143.0]]),
];

#[test]
fn organs_of_two_hundred_adults_are_as_published() {
    let people: Vec<(Sex, BTreeMap<String, f64>)> = (1..=ADULTS)
        .into_par_iter()
        .map(|seed| {
            let options = PhantomOptions {
                spacing_mm: [6.0, 6.0, 7.0],
                noise_hu: 0.0,
                findings: Vec::new(),
                ..PhantomOptions::drawn(seed)
            };
            let labels = body(&options, &|_| ()).unwrap().labels;
            let (counts, voxel_ml) = (labels.counts(), labels.geometry().voxel_volume_mm3() / 1000.0);
            let volume = |own: Label, parts: &[Label]| {
                let all = std::iter::once(&own).chain(parts);
                all.filter_map(|l| counts.get(l)).sum::<usize>() as f64 * voxel_ml
            };
            let volumes = labels.segments.values().map(|s| (s.name.clone(), volume(s.label, &s.parts))).collect();
            (options.physique.sex, volumes)
        })
        .collect();
    let mut off = Vec::new();
    for (name, published) in PUBLISHED_ML {
        for (sex, [mean, deviation]) in [Sex::Female, Sex::Male].into_iter().zip(published) {
            let volumes: Vec<f64> = people.iter().filter(|p| p.0 == sex).map(|p| p.1[name]).collect();
            let ours = volumes.iter().sum::<f64>() / volumes.len() as f64;
            let spread = volumes.iter().map(|v| (v - ours).powi(2)).sum::<f64>() / (volumes.len() - 1) as f64;
            let spread = spread.sqrt();
            println!("| {name} | {} | {mean:.0} ± {deviation:.0} | {ours:.0} ± {spread:.0} |", sex.code());
            if (ours - mean).abs() > 0.67 * deviation || !(0.5..=1.4).contains(&(spread / deviation)) {
                off.push(format!(
                    "{name} {}: {ours:.0} ± {spread:.0} ml, published {mean:.0} ± {deviation:.0}",
                    sex.code()
                ));
            }
        }
    }
    assert!(off.is_empty(), "{off:#?}");
}
