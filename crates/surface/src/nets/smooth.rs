//! A low-pass filter over the links of the net.
//!
//! A plain Laplacian needs many passes to level the terraces of a gentle slope, and shrinks what it smooths. The filter here is a
//! windowed sinc after Taubin, Zhang & Golub (1996), "Optimal surface smoothing as filter design": a polynomial
//! f = Σ cₙ Tₙ(W) in the operator W that takes each vertex to the mean of its neighbours, by Tₙ₊₁ = 2 W Tₙ − Tₙ₋₁. Two such filters
//! are mixed so that f is flat to third order at zero frequency: spheres keep their radius.

use rayon::prelude::*;

use super::Bound;
use super::cell::FACE_NORMALS;
use super::sweep::SEAM;

/// Vertices that one task handles; results do not depend on it.
const CHUNK: usize = 8192;

/// Ends of the pass bands of the two filters as angles: λ = 1 − cos θ, λ the eigenvalue of 1 − W.
///
/// A wave of n voxels has θ ≈ 2π / (n √2), a sphere of radius R voxels 1 / R. The first was chosen on the torso labels.
const CUTOFFS: [f64; 2] = [0.15, 0.02];

/// The filtered displacement of each vertex from the middle of its cell, without bound.
///
/// Junctions have only their neighbours along the junction as links.
pub(super) fn filter(mut moves: Vec<[f32; 4]>, links: &[[u32; 6]], kinds: &[u8], passes: usize) -> Vec<[f32; 4]> {
    let pulls: Vec<[f32; 4]> = (0..64).map(pull).collect();
    let coefficients = coefficients(passes);
    let mut before = moves.clone();
    let mut now = vec![[0.0f32; 4]; moves.len()];
    // T₀ and T₁.
    let (c0, c1) = (coefficients[0], coefficients.get(1).copied().unwrap_or(0.0));
    let work = now.par_chunks_mut(CHUNK).zip(moves.par_chunks_mut(CHUNK)).enumerate();
    work.for_each(|(chunk, (now, sums))| {
        let range = chunk * CHUNK..chunk * CHUNK + now.len();
        let rows = now.iter_mut().zip(sums).zip(links[range.clone()].iter().zip(&kinds[range]));
        for ((now, sum), (links, kind)) in rows {
            *now = mean(&before, sum, links, pulls[usize::from(*kind & !SEAM)]);
            *sum = add(scale(*sum, c0), scale(*now, c1));
        }
    });
    for &c in coefficients.iter().skip(2) {
        let work = before.par_chunks_mut(CHUNK).zip(moves.par_chunks_mut(CHUNK)).enumerate();
        work.for_each(|(chunk, (before, sums))| {
            let range = chunk * CHUNK..chunk * CHUNK + before.len();
            let rows = before.iter_mut().zip(sums).zip(&now[range.clone()]);
            for (((before, sum), own), (links, kind)) in rows.zip(links[range.clone()].iter().zip(&kinds[range])) {
                let mean = mean(&now, own, links, pulls[usize::from(*kind & !SEAM)]);
                let next = add(scale(mean, 2.0), scale(*before, -1.0));
                *before = next;
                *sum = add(*sum, scale(next, c));
            }
        });
        std::mem::swap(&mut before, &mut now);
    }
    moves
}

/// Moves the net back by the mean of what the filter moved it along its normals nearby: steps keep away, shrinkage is undone.
///
/// After Vollmer, Mencl & Müller (1999), "Improved Laplacian smoothing of noisy surface meshes", with the lower of the two filters
/// for a mean, which is as wide as the widest terraces.
pub(super) fn restore(moves: &mut [[f32; 4]], normals: &[[f32; 4]], links: &[[u32; 6]], kinds: &[u8], passes: usize) {
    let coefficients: Vec<f32> = windowed_sinc(passes.max(1), CUTOFFS[1]).into_iter().map(|c| c as f32).collect();
    let along = |(m, n): (&[f32; 4], &[f32; 4])| {
        let square = n[0] * n[0] + n[1] * n[1] + n[2] * n[2];
        if square > 0.0 { (m[0] * n[0] + m[1] * n[1] + m[2] * n[2]) / square.sqrt() } else { 0.0 }
    };
    let mut before: Vec<f32> = moves.par_iter().zip(normals).with_min_len(CHUNK).map(along).collect();
    let mut now = before.clone();
    let mut sums = vec![0.0f32; now.len()];
    for (n, &c) in coefficients.iter().enumerate() {
        let work = before.par_chunks_mut(CHUNK).zip(sums.par_chunks_mut(CHUNK)).enumerate();
        work.for_each(|(chunk, (before, sums))| {
            let range = chunk * CHUNK..chunk * CHUNK + before.len();
            let rows = before.iter_mut().zip(sums).zip(&now[range.clone()]);
            for (((before, sum), own), (links, kind)) in rows.zip(links[range.clone()].iter().zip(&kinds[range])) {
                let [a, b, c0, d, e, f] = *links;
                let [a, b, c0, d, e, f] = [
                    now[a as usize],
                    now[b as usize],
                    now[c0 as usize],
                    now[d as usize],
                    now[e as usize],
                    now[f as usize],
                ];
                let off = (a + b) + (c0 + d) + (e + f) - 6.0 * own;
                let mean = own + off / (kind & !SEAM).count_ones().max(1) as f32;
                *before = match n {
                    0 => *own,
                    1 => mean,
                    _ => 2.0 * mean - *before,
                };
                *sum += c * *before;
            }
        });
        std::mem::swap(&mut before, &mut now);
    }
    moves.par_iter_mut().zip(normals).zip(&sums).with_min_len(CHUNK).for_each(|((m, n), back)| {
        let square = n[0] * n[0] + n[1] * n[1] + n[2] * n[2];
        if square > 0.0 {
            *m = add(*m, scale(*n, -back / square.sqrt()));
        }
    });
}

/// Passes that round off where a bound cuts in.
const SETTLE_PASSES: usize = 3;

/// Brings the filtered places within a bound, and eases what lies beside those that were cut.
pub(super) fn settle(
    moves: &[[f32; 4]],
    normals: &[[f32; 4]],
    links: &[[u32; 6]],
    kinds: &[u8],
    bound: Bound,
) -> Vec<[f32; 4]> {
    let pulls: Vec<[f32; 4]> = (0..64).map(pull).collect();
    let mut now = vec![[0.0f32; 4]; moves.len()];
    let fit = |m: [f32; 4], n: &[f32; 4]| {
        let [x, y, z] = bound.fit(m, *n);
        [x, y, z, 0.0]
    };
    now.par_iter_mut().zip(moves).zip(normals).with_min_len(CHUNK).for_each(|((out, m), n)| *out = fit(*m, n));
    if bound == Bound::Box(f32::INFINITY) {
        return now;
    }
    let mut next = vec![[0.0f32; 4]; moves.len()];
    for _ in 0..SETTLE_PASSES {
        next.par_chunks_mut(CHUNK).enumerate().for_each(|(chunk, out)| {
            let range = chunk * CHUNK..chunk * CHUNK + out.len();
            let rows = out.iter_mut().zip(&now[range.clone()]).zip(&normals[range.clone()]);
            for (((out, own), normal), (links, kind)) in rows.zip(links[range.clone()].iter().zip(&kinds[range])) {
                let mean = mean(&now, own, links, pulls[usize::from(*kind & !SEAM)]);
                let off = add(mean, scale(*own, -1.0));
                let square = normal[0] * normal[0] + normal[1] * normal[1] + normal[2] * normal[2];
                // Only along the surface: the normal part is the filter's.
                let along = if square > 0.0 {
                    (off[0] * normal[0] + off[1] * normal[1] + off[2] * normal[2]) / square
                } else {
                    0.0
                };
                let off = add(off, scale(*normal, -along));
                *out = fit(add(*own, scale(off, 0.6)), normal);
            }
        });
        std::mem::swap(&mut now, &mut next);
    }
    now
}

/// The mean of the neighbours, relative to the middle of the own cell. Missing neighbours link to the vertex itself, so they cancel.
#[inline(always)]
fn mean(from: &[[f32; 4]], own: &[f32; 4], links: &[u32; 6], pull: [f32; 4]) -> [f32; 4] {
    let [a, b, c, d, e, f] = *links;
    let [a, b, c] = [from[a as usize], from[b as usize], from[c as usize]];
    let [d, e, f] = [from[d as usize], from[e as usize], from[f as usize]];
    let sum = add(add(add(a, b), add(c, d)), add(e, f));
    let off = add(add(sum, scale(*own, -6.0)), pull);
    let mut mean = add(*own, scale(off, pull[3]));
    mean[3] = 0.0;
    mean
}

#[inline(always)]
fn add(a: [f32; 4], b: [f32; 4]) -> [f32; 4] {
    [a[0] + b[0], a[1] + b[1], a[2] + b[2], a[3] + b[3]]
}

#[inline(always)]
fn scale(a: [f32; 4], s: f32) -> [f32; 4] {
    [a[0] * s, a[1] * s, a[2] * s, a[3] * s]
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

/// Sum of the directions to the neighbours, and one over their number.
fn pull(kind: u8) -> [f32; 4] {
    let mut sum = [0.0; 4];
    for (_, normal) in FACE_NORMALS.iter().enumerate().filter(|(f, _)| kind >> f & 1 == 1) {
        for a in 0..3 {
            sum[a] += normal[a];
        }
    }
    sum[3] = 1.0 / f32::from(kind.count_ones().max(1) as u8);
    sum
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
