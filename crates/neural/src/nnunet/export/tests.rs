use proptest::prelude::*;

use super::*;
use crate::nnunet::resample;

/// What [`Export`] must give: answers interpolated everywhere, then compared.
fn plainly(heads: &Heads, answers: &[f32], size: [usize; 3], taps: &[Vec<Tap>; 3], half: bool) -> Vec<u16> {
    let count = heads.len();
    let mut out = Vec::new();
    for a in &taps[0] {
        for b in &taps[1] {
            for c in &taps[2] {
                let mixed: Vec<f32> = (0..count)
                    .map(|head| {
                        let at =
                            |a: usize, b: usize, c: usize| answers[((a * size[1] + b) * size[2] + c) * count + head];
                        let row = |a, b| at(a, b, c.low) * (1.0 - c.weight) + at(a, b, c.high) * c.weight;
                        let plane = |a| row(a, b.low) * (1.0 - b.weight) + row(a, b.high) * b.weight;
                        let mixed = plane(a.low) * (1.0 - a.weight) + plane(a.high) * a.weight;
                        if half { half::f16::from_f32(mixed).to_f32() } else { mixed }
                    })
                    .collect();
                out.push(label(heads, winner(heads, &mixed)));
            }
        }
    }
    out
}

fn export(heads: &Heads, answers: &[f32], size: [usize; 3], taps: &[Vec<Tap>; 3], half: bool) -> Vec<u16> {
    let new = [0, 1, 2].map(|a| taps[a].len());
    let view = View { size: new, start: 0, step: [(new[1] * new[2]) as isize, new[2] as isize, 1] };
    let mut labels = vec![9; view.len()];
    let mut export = Export::new(heads, size, taps.clone(), view, &mut labels, half);
    for (plane, answers) in answers.chunks_exact(size[1] * size[2] * heads.len()).enumerate() {
        export.push(plane, answers.to_vec()).unwrap();
        assert!(export.planes.len() <= 2, "{} planes are held", export.planes.len());
    }
    labels
}

proptest! {
    #[test]
    fn labels_are_those_of_interpolating_everything(
        size in prop::array::uniform3(1usize..5),
        new in prop::array::uniform3(1usize..9),
        orders in prop::array::uniform3(0u8..2),
        regions in any::<bool>(),
        seed in 0u32..1000,
    ) {
        let heads = if regions { Heads::Regions(vec![1, 3, 2]) } else { Heads::Classes(vec![0, 1, 2]) };
        let count = size.iter().product::<usize>() * 3;
        // Differences large enough that rounding decides nothing.
        let answers: Vec<f32> = (0..count as u32)
            .map(|i| (i.wrapping_mul(2_654_435_761).wrapping_add(seed.wrapping_mul(40_503)) >> 12) as f32 / 1e5 - 5.0)
            .collect();
        let taps = [0, 1, 2].map(|a| resample::taps(size[a], new[a], orders[a]));
        let expected = plainly(&heads, &answers, size, &taps, false);
        prop_assert_eq!(export(&heads, &answers, size, &taps, false), expected);
        // Answers and weights of few digits, of which interpolation rounds none before the halves do.
        let coarse: Vec<f32> = answers.iter().map(|x| 8.0 + (x * 4.0).round() / 64.0).collect();
        let even = [0, 1, 2].map(|a| resample::taps(size[a], 2 * size[a], orders[a]));
        let expected = plainly(&heads, &coarse, size, &even, true);
        prop_assert_eq!(export(&heads, &coarse, size, &even, true), expected);
    }
}

#[test]
fn the_first_of_equal_classes_wins_and_the_last_positive_region() {
    let classes = Heads::Classes(vec![0, 1, 2]);
    assert_eq!(winner(&classes, &[1.0, 2.0, 2.0]), 1);
    let regions = Heads::Regions(vec![1, 2, 7]);
    let find = |answers: &[f32]| label(&regions, winner(&regions, answers));
    assert_eq!(find(&[1.0, 1.0, -1.0]), 2);
    assert_eq!(find(&[1.0, -1.0, 0.1]), 7);
    assert_eq!(find(&[-1.0, 0.0, -0.1]), 0);
}

/// `[label, percent]` of a row of two voxels, at their places and halfway.
fn row(heads: &Heads, answers: &[f32], temperature: f32) -> Vec<[u16; 2]> {
    let taps = [(1, 1), (1, 1), (2, 4)].map(|(old, new)| resample::taps(old, new, 1));
    let view = View { size: [1, 1, 4], start: 0, step: [4, 4, 1] };
    let (mut labels, mut percent) = (vec![9; 4], vec![0; 4]);
    let mut export = Export::new(heads, [1, 1, 2], taps, view, &mut labels, false)
        .with_confidence(Some(Sure { percent: &mut percent, temperature }));
    export.push(0, answers.to_vec()).unwrap();
    labels.into_iter().zip(percent).map(|(label, percent)| [label, u16::from(percent)]).collect()
}

#[test]
fn labels_are_as_probable_as_softmax_has_it() {
    let classes = Heads::Classes(vec![0, 5]);
    // Nine to one for 0, three to one for 5; a quarter and three quarters of the way between them.
    let logits = [9f32.ln(), 0.0, 0.0, 3f32.ln()];
    let between = |share: f32| {
        let x = (1.0 - share) * 9f32.ln() - share * 3f32.ln();
        (100.0 / (1.0 + (-x.abs()).exp())).round() as u16
    };
    assert_eq!(row(&classes, &logits, 1.0), [[0, 90], [0, between(0.25)], [5, between(0.75)], [5, 75]]);
    // At twice the temperature: three to one, and root three to one.
    let flat = row(&classes, &logits, 2.0);
    assert_eq!((flat[0], flat[3]), ([0, 75], [5, 63]));
    // Where one class leads all around, its percentages are interpolated.
    let logits = [9f32.ln(), 0.0, 3f32.ln(), 0.0];
    assert_eq!(row(&classes, &logits, 1.0), [[0, 90], [0, 86], [0, 79], [0, 75]]);
}

#[test]
fn regions_are_as_probable_as_the_least_sure_of_those_that_decide() {
    let regions = Heads::Regions(vec![1, 2]);
    let of = |answers: [f32; 2], winner| percent(probability(&regions, &answers, winner, 1.0));
    assert_eq!(of([9f32.ln(), 3f32.ln()], 2), 75);
    assert_eq!(of([9f32.ln(), -(3f32.ln())], 1), 75);
    assert_eq!(of([-(3f32.ln()), -(9f32.ln())], 0), 75);
    assert_eq!(of([-(3f32.ln()), 9f32.ln()], 2), 90, "what lies below does not matter");
}

#[test]
fn numbers_that_are_none_are_refused() {
    let heads = Heads::Classes(vec![0, 1]);
    let taps = [1, 1, 1].map(|n| resample::taps(n, n, 1));
    let view = View { size: [1; 3], start: 0, step: [1; 3] };
    let mut labels = vec![0];
    let mut export = Export::new(&heads, [1; 3], taps, view, &mut labels, false);
    assert!(matches!(export.push(0, vec![f32::NAN, 0.0]), Err(NeuralError::NotFinite { .. })));
}
