//! A low-pass filter over the links of the net.
//!
//! A plain Laplacian needs many passes to level the terraces of a gentle slope, and shrinks what it smooths. The filter here is a
//! windowed sinc after Taubin, Zhang & Golub (1996), "Optimal surface smoothing as filter design": a polynomial
//! f = Σ cₙ Tₙ(W) in the operator W that takes each vertex to the mean of its neighbours, by Tₙ₊₁ = 2 W Tₙ − Tₙ₋₁. Two such filters
//! are mixed so that f is flat to third order at zero frequency: spheres keep their radius.

use std::ops::{Add, Mul, Sub};

use glam::Vec3A;
use rayon::prelude::*;

use super::sweep::SEAM;

/// Ends of the pass bands of the two filters as angles: λ = 1 − cos θ, λ the eigenvalue of 1 − W.
///
/// A wave of n voxels has θ ≈ 2π / (n √2), a sphere of radius R voxels 1 / R. The first was chosen on the torso labels.
const CUTOFFS: [f64; 2] = [0.15, 0.02];

/// Vertices that one task handles; results do not depend on it.
const CHUNK: usize = 8192;

/// What a filter runs over.
trait Value: Copy + Send + Sync + Add<Output = Self> + Sub<Output = Self> + Mul<f32, Output = Self> {}
impl Value for f32 {}
impl Value for Vec3A {}

/// A filter Σ cₙ Tₙ(W) of values at the vertices, summed from the highest degree down after Clenshaw (1955), "A note on the summation
/// of Chebyshev series".
fn filter<V: Value>(values: &[V], links: &[[u32; 6]], kinds: &[u8], coefficients: &[f32]) -> Vec<V> {
    let shares: [f32; 128] = std::array::from_fn(|kind| share(kind as u8));
    let (&highest, lower) = coefficients.split_last().unwrap_or((&1.0, &[]));
    let times = |factor: f32| values.par_iter().with_min_len(CHUNK).map(move |v| *v * factor).collect::<Vec<V>>();
    let (mut last, mut now) = (times(0.0), times(highest));
    for (degree, &c) in lower.iter().enumerate().rev() {
        let weight = if degree == 0 { 1.0 } else { 2.0 };
        last.par_chunks_mut(CHUNK).enumerate().for_each(|(chunk, last)| {
            // Slices of this function, which stay in registers.
            let (now, values) = (&now[..], &values[chunk * CHUNK..]);
            let (links, kinds) = (&links[chunk * CHUNK..], &kinds[chunk * CHUNK..]);
            let rows = last.iter_mut().zip(&now[chunk * CHUNK..]).zip(values).zip(links.iter().zip(kinds));
            for (((last, own), value), ([a, b, c0, d, e, f], kind)) in rows {
                let at = |v: &u32| now[*v as usize];
                let share = weight * shares[usize::from(*kind & 127)];
                let sum = ((at(a) + at(b)) + (at(c0) + at(d))) + (at(e) + at(f));
                *last = (*value * c + (sum * share + *own * (weight - 6.0 * share))) - *last;
            }
        });
        std::mem::swap(&mut last, &mut now);
    }
    now
}

/// The filtered places of the vertices. Junctions have only their neighbours along the junction as links.
pub(super) fn smooth(places: &[Vec3A], links: &[[u32; 6]], kinds: &[u8], passes: usize) -> Vec<Vec3A> {
    filter(places, links, kinds, &coefficients(passes))
}

/// Degree of the mean that [`restore`] takes, as a part of the filter's. A wider one levels more of the widest terraces, but leaves more of
/// what the filter moved beyond the bound, where it is cut off in folds; chosen on the torso labels and on planes of all slopes.
const RESTORE_SHARE: f64 = 0.625;

/// Moves the net back by the mean of what the filter moved it along its normals nearby: steps keep away, shrinkage is undone.
///
/// After Vollmer, Mencl & Müller (1999), "Improved Laplacian smoothing of noisy surface meshes", with the lower of the two filters
/// for a mean.
pub(super) fn restore(moves: &mut [Vec3A], normals: &[Vec3A], links: &[[u32; 6]], kinds: &[u8], passes: usize) {
    let degree = (passes as f64 * RESTORE_SHARE).round() as usize;
    let coefficients: Vec<f32> = windowed_sinc(degree.max(1), CUTOFFS[1]).into_iter().map(|c| c as f32).collect();
    let rows = moves.par_iter().zip(normals).with_min_len(CHUNK);
    let moved: Vec<f32> = rows.map(|(m, n)| m.dot(n.normalize_or_zero())).collect();
    let back = filter(&moved, links, kinds, &coefficients);
    moves.par_iter_mut().zip(normals).zip(&back).with_min_len(CHUNK).for_each(|((m, n), back)| {
        *m -= n.normalize_or_zero() * *back;
    });
}

/// Coefficients of the mixed filter, of sum 1 so that places stay places.
fn coefficients(passes: usize) -> Vec<f32> {
    let [a, b] = CUTOFFS.map(|cutoff| windowed_sinc(passes.max(1), cutoff));
    // f''(0) = −Σ n² cₙ.
    let moment = |c: &[f64]| c.iter().enumerate().map(|(n, c)| (n * n) as f64 * c).sum::<f64>();
    let (ma, mb) = (moment(&a), moment(&b));
    let share = if mb > ma { ma / (mb - ma) } else { 0.0 };
    a.iter().zip(&b).map(|(a, b)| (a + share * (a - b)) as f32).collect()
}

/// A low-pass filter of the given degree and cut-off under a Hamming window, of sum 1.
fn windowed_sinc(degree: usize, cutoff: f64) -> Vec<f64> {
    use std::f64::consts::PI;
    let raw: Vec<f64> = (0..=degree)
        .map(|n| {
            let n = n as f64;
            let window = 0.54 + 0.46 * (PI * n / (degree + 1) as f64).cos();
            window * if n == 0.0 { cutoff / PI } else { 2.0 * (n * cutoff).sin() / (n * PI) }
        })
        .collect();
    let sum: f64 = raw.iter().sum();
    raw.into_iter().map(|c| c / sum).collect()
}

/// One over the number of neighbours.
fn share(kind: u8) -> f32 {
    1.0 / (kind & !SEAM).count_ones().max(1) as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn response(theta: f64) -> f64 {
        coefficients(16).iter().enumerate().map(|(n, &c)| f64::from(c) * (n as f64 * theta).cos()).sum()
    }

    /// What is left of a wave of `n` voxels along one axis of a flat net.
    fn wave(n: f64) -> f64 {
        let lambda = (1.0 - (2.0 * std::f64::consts::PI / n).cos()) / 2.0;
        response((1.0 - lambda).acos())
    }

    #[test]
    fn stairs_go_and_shapes_stay() {
        assert!((response(0.0) - 1.0).abs() < 1e-5, "places stay");
        for n in [2.0, 3.0, 4.0, 6.0, 8.0, 10.0] {
            assert!(wave(n).abs() < 0.06, "a wave of {n} voxels keeps {}", wave(n));
        }
        for radius in [10.0, 20.0, 40.0] {
            let kept = response(1.0 / radius);
            assert!((0.985..1.001).contains(&kept), "a sphere of {radius} voxels keeps {kept}");
        }
    }
}
