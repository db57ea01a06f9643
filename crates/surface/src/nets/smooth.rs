//! A low-pass filter over the links of the net.
//!
//! A plain Laplacian needs many passes to level the terraces of a gentle slope, and shrinks what it smooths. The filter here is a
//! windowed sinc after Taubin, Zhang & Golub (1996), "Optimal surface smoothing as filter design": a polynomial
//! f = Σ cₙ Tₙ(W) in the operator W that takes each vertex to the mean of its neighbours, by Tₙ₊₁ = 2 W Tₙ − Tₙ₋₁. Two such filters
//! are mixed so that f is flat to third order at zero frequency: spheres keep their radius.
//! It runs as the product of its zeros, which takes two values a vertex where a recurrence takes three.

use std::ops::{Add, Mul, Range};

use bytemuck::Pod;
use glam::{DVec2, Vec4};
use rayon::prelude::*;

use super::fit::Moves;
use super::layers::{Layers, Part};
use super::sweep::{FACES, Places, Sweep};
use super::twins::Twins;

/// Ends of the pass bands of the two filters as angles: λ = 1 − cos θ, λ the eigenvalue of 1 − W.
///
/// A wave of n voxels has θ ≈ 2π / (n √2), a sphere of radius R voxels 1 / R. The first was chosen on the torso labels.
const CUTOFFS: [f64; 2] = [0.15, 0.02];

/// Bytes that the layers between the first and the last of some passes under way may take: they are to stay in a core's cache.
const CACHE: usize = 8 << 20;

/// Layers that a pass takes at a time: while some of them are near, more of the next pass' work is.
const STRIDE: usize = 2;

/// What a filter runs over.
trait Value: Pod + Send + Sync + Add<Output = Self> + Mul<Output = Self> {
    /// A factor for all components.
    fn splat(factor: f32) -> Self;
}

impl Value for f32 {
    fn splat(factor: f32) -> Self {
        factor
    }
}

impl Value for Vec4 {
    fn splat(factor: f32) -> Self {
        Self::splat(factor)
    }
}

/// The vertices as a filter sees them.
pub(super) struct Graph<'a> {
    pub(super) sweep: &'a Sweep,
    pub(super) layers: &'a Layers,
}

/// A filter of values at the vertices, one [`Step`] after the other. The values stand in the first of `values`, the second is of any
/// finite content; the result comes to stand in the second after an odd number of steps, else in the first.
///
/// A pass over one layer needs the pass before to have done the next layer, no more. So passes follow each other in a wave, while the
/// values are in the cache: first within blocks of layers, each pass a layer less at the ends, then across the cuts between blocks,
/// each pass a layer more (time skewing after Wonnacott, 2002, "Achieving scalable locality with time skewing"). Neither the number of
/// blocks nor of passes in a wave changes a result.
fn filter<V: Value>(mut values: [&mut [V]; 2], graph: &Graph, steps: &[Step]) {
    let layers = graph.layers.len();
    let bytes = (17 + 2 * size_of::<V>()) * values[0].len() / layers.max(1);
    let threads = rayon::current_num_threads();
    let depth = (CACHE / bytes.max(1)).min(layers / (4 * threads)).saturating_sub(2).clamp(1, steps.len().max(1));
    // As many cuts for each thread, so that none waits for another.
    let most = (layers / (2 * depth + 2)).min(4 * threads);
    let cuts = graph.layers.cuts(if most > threads { most / threads * threads } else { most }, depth + 1);
    let edges: Vec<usize> = [0].into_iter().chain(cuts.iter().copied()).chain([layers]).collect();
    let within: Vec<Range<usize>> = edges.windows(2).map(|w| w[0]..w[1]).collect();
    let across: Vec<Range<usize>> = cuts.iter().map(|cut| cut - depth - 1..cut + depth + 1).collect();
    let less = |end: usize, n: usize| if end == 0 || end == layers { 0 } else { n + 1 };

    let passes: Vec<Pass<V>> = steps.iter().enumerate().map(|(number, step)| Pass::of(number, step)).collect();
    for passes in passes.chunks(depth) {
        wave(graph, passes, &mut values, &within, |block, n| {
            block.start + less(block.start, n)..block.end - less(block.end, n)
        });
        wave(graph, passes, &mut values, &across, |block, n| block.start + depth - n..block.end - depth + n);
    }
}

/// What a pass makes of each vertex: mean · (mean of the neighbours) + own · value + last · (value before the last pass), of sum 1.
#[derive(Clone, Copy)]
struct Step {
    mean: f64,
    own: f64,
    last: f64,
}

/// A [`Step`] on its way.
struct Pass<V> {
    number: usize,
    /// [`SHARES`] times the weight of the mean, with the vertex' own, by kind.
    shares: [[V; 4]; 256],
    last: Option<V>,
}

/// Some passes over blocks of layers; `reach` says which layers of a block the n-th takes.
fn wave<V: Value>(
    graph: &Graph,
    passes: &[Pass<V>],
    [even, odd]: &mut [&mut [V]; 2],
    blocks: &[Range<usize>],
    reach: impl Fn(&Range<usize>, usize) -> Range<usize> + Sync,
) {
    let (even, odd) = (graph.layers.split(even, blocks), graph.layers.split(odd, blocks));
    let blocks: Vec<_> = blocks.iter().zip(even).zip(odd).collect();
    blocks.into_par_iter().with_max_len(1).for_each(|((block, mut even), mut odd)| {
        for front in (block.start..block.end + passes.len()).step_by(STRIDE) {
            for (n, pass) in passes.iter().enumerate() {
                let reach = reach(block, n);
                for layer in front.saturating_sub(n).max(reach.start)..(front + STRIDE).saturating_sub(n).min(reach.end)
                {
                    let (now, out) = if pass.number % 2 == 0 { (&even, &mut odd) } else { (&odd, &mut even) };
                    match pass.last {
                        None => pass.run(graph, layer, now, out, |new, _| new),
                        Some(last) => pass.run(graph, layer, now, out, |new, old| new + old * last),
                    }
                }
            }
        }
    });
}

impl<V: Value> Pass<V> {
    fn of(number: usize, step: &Step) -> Self {
        let shares = std::array::from_fn(|kind| {
            let ([share, itself, low, high], mean) = (SHARES[kind & usize::from(FACES)], step.mean as f32);
            [share * mean, itself * mean + step.own as f32, low * mean, high * mean].map(V::splat)
        });
        Self { number, shares, last: (step.last != 0.0).then(|| V::splat(step.last as f32)) }
    }

    /// Over one layer; `with_last` adds to a new value what it keeps of the last but one, whose place it takes.
    #[inline(always)]
    fn run(&self, graph: &Graph, layer: usize, now: &Part<V>, out: &mut Part<V>, with_last: impl Fn(V, V) -> V) {
        let Range { mut start, end } = graph.layers.cells(layer);
        let far = graph.layers.far(layer);
        // The last of all has none after it.
        let last = (start < end && end == now.first_cell + now.cells.len()).then(|| end as u32 - 1);
        for vertex in far.iter().copied().chain(last.filter(|last| far.last() != Some(last))) {
            let vertex = vertex as usize;
            self.run_near(graph, start..vertex, now, out, &with_last);
            let own = now.cells[vertex - now.first_cell];
            let out = &mut out.cells[vertex - out.first_cell];
            *out = with_last(self.mean_far(graph, vertex, now, own), *out);
            start = vertex + 1;
        }
        self.run_near(graph, start..end, now, out, &with_last);
        for vertex in graph.layers.added(layer) {
            let (own, out) = (now.added[vertex - now.first_added], &mut out.added[vertex - out.first_added]);
            *out = with_last(self.mean_far(graph, vertex, now, own), *out);
        }
    }

    /// Over vertices in a row that have one after them and no neighbours that knots added. Not inlined: it would lack registers.
    #[inline(never)]
    fn run_near(
        &self,
        graph: &Graph,
        vertices: Range<usize>,
        now: &Part<V>,
        out: &mut Part<V>,
        with_last: &impl Fn(V, V) -> V,
    ) {
        let (first, now) = (now.first_cell, &*now.cells);
        let near = move |vertex: u32| now[(vertex as usize).wrapping_sub(first)];
        let Range { start, end } = vertices;
        let Some(around) = now.get(start - first..end - first + 1) else { return };
        let out = &mut out.cells[start - out.first_cell..end - out.first_cell];
        let rows = graph.sweep.links[start..end].iter().zip(&graph.sweep.kinds[start..end]);
        let mut before = if start > first { now[start - first - 1] } else { V::zeroed() };
        for ((pair, out), (links, kind)) in around.windows(2).zip(out).zip(rows) {
            let ([own, after], [a, b, c, d]) = ([pair[0], pair[1]], *links);
            let mean = self.mean((near(a) + near(b)) + (near(c) + near(d)), own, [before, after], *kind);
            *out = with_last(mean, *out);
            before = own;
        }
    }

    /// The mean of neighbours anywhere.
    #[inline(never)]
    fn mean_far(&self, graph: &Graph, vertex: usize, now: &Part<V>, own: V) -> V {
        let far = |vertex: u32| match now.added.get((vertex as usize).wrapping_sub(now.first_added)) {
            Some(value) => *value,
            None => now.cells[vertex as usize - now.first_cell],
        };
        let [a, b, c, d, e, f] = graph.sweep.links_of(vertex as u32).map(far);
        self.mean((c + d) + (e + f), own, [a, b], graph.sweep.kinds[vertex])
    }

    /// The weighted mean of the neighbours: `across` is the sum of the four across the row, among which the vertex itself counts as
    /// none.
    #[inline(always)]
    fn mean(&self, across: V, own: V, [before, after]: [V; 2], kind: u8) -> V {
        let [share, itself, low, high] = self.shares[usize::from(kind)];
        across * share + own * itself + before * low + after * high
    }
}

/// By the faces that have a neighbour, of which there are n: 1 / n for the four links across the row; what the vertex itself counts,
/// as those of them that lead nowhere lead to itself; what the vertices before and after on the row count.
const SHARES: [[f32; 4]; 64] = {
    let mut shares = [[0.0, 1.0, 0.0, 0.0]; 64];
    let mut faces = 1;
    while faces < 64 {
        let share = 1.0 / (faces as u32).count_ones() as f32;
        let nowhere = 4 - (faces as u32 >> 2).count_ones();
        let (low, high) = ((faces & 1) as f32 * share, (faces >> 1 & 1) as f32 * share);
        shares[faces] = [share, -(nowhere as f32) * share, low, high];
        faces += 1;
    }
    shares
};

/// Filters the first places of the vertices. Junctions have only their neighbours along the junction as links.
pub(super) fn smooth(places: &mut Places, graph: &Graph, passes: usize) {
    run(places, graph, &steps(&coefficients(passes)));
}

fn run<U: Pod, V: Value>(values: &mut Twins<U, V>, graph: &Graph, steps: &[Step]) {
    filter(values.both_mut(), graph, steps);
    if steps.len() % 2 == 1 {
        values.turn();
    }
}

/// Degree of the mean that [`back`] takes, as a part of the filter's. A wider one levels more of the widest terraces, but leaves more of
/// what the filter moved beyond the bound, where it is cut off in folds; chosen on the torso labels and on planes of all slopes.
const RESTORE_SHARE: f64 = 0.625;

/// From how far the filter moved each vertex to how far it is to go back along its normal: the mean of it and those nearby. Steps keep
/// away, shrinkage is undone.
///
/// After Vollmer, Mencl & Müller (1999), "Improved Laplacian smoothing of noisy surface meshes", with the lower of the two filters
/// for a mean.
pub(super) fn back(moved: &mut Moves, graph: &Graph, passes: usize) {
    let degree = (passes as f64 * RESTORE_SHARE).round() as usize;
    run(moved, graph, &steps(&windowed_sinc(degree.max(1), CUTOFFS[1])));
}

/// Coefficients below this count as none.
const NEGLIGIBLE: f64 = 1e-9;

/// The steps whose product is Σ cₙ Tₙ(W), which is 1 at W = 1: one a real zero, two a pair of complex ones.
///
/// In the order of Leja (1957): each next zero is as far as can be from those before, so that no frequency grows on the way.
fn steps(coefficients: &[f64]) -> Vec<Step> {
    let degree = coefficients.iter().rposition(|c| c.abs() > NEGLIGIBLE).unwrap_or(0);
    let mut rest = zeros(&coefficients[..=degree]);
    let (mut done, mut steps) = (Vec::<DVec2>::new(), Vec::new());
    let far = |zero: DVec2, done: &[DVec2]| done.iter().map(|d| zero.distance(*d).ln()).sum::<f64>();
    while let Some(next) = (0..rest.len()).max_by(|&a, &b| far(rest[a], &done).total_cmp(&far(rest[b], &done))) {
        let zero = rest.swap_remove(next);
        done.push(zero);
        let (real, square) = (1.0 - zero.x, zero.y * zero.y);
        steps.push(Step { mean: 1.0 / real, own: -zero.x / real, last: 0.0 });
        if square > 0.0 {
            // (W − z)(W − z̄) = (W − Re z)² + (Im z)².
            let apart = |n: &usize| rest[*n].distance(DVec2::new(zero.x, -zero.y));
            let conjugate = (0..rest.len()).min_by(|a, b| apart(a).total_cmp(&apart(b)));
            done.extend(conjugate.map(|n| rest.swap_remove(n)));
            let mean = real / (real * real + square);
            steps.push(Step { mean, own: -zero.x * mean, last: square / (real * real + square) });
        }
    }
    steps
}

/// The zeros of Σ cₙ Tₙ in the complex plane, by the method of Weierstrass (1891), which improves all at once.
fn zeros(coefficients: &[f64]) -> Vec<DVec2> {
    let degree = coefficients.len() - 1;
    let times = DVec2::rotate;
    let over = |a: DVec2, b: DVec2| times(DVec2::new(b.x, -b.y), a) / b.length_squared();
    let value = |z: DVec2| {
        let [mut sum, mut last] = [DVec2::ZERO; 2];
        for c in coefficients[1..].iter().rev() {
            (sum, last) = (DVec2::new(*c, 0.0) + 2.0 * times(z, sum) - last, sum);
        }
        DVec2::new(coefficients[0], 0.0) + times(z, sum) - last
    };
    let start = |n: usize| {
        let angle = std::f64::consts::PI * (2 * n + 1) as f64 / degree as f64;
        DVec2::new(angle.cos(), 0.3 * angle.sin())
    };
    let mut zeros: Vec<DVec2> = (0..degree).map(|n| start(n) + DVec2::new(0.0, 0.01)).collect();
    for _ in 0..ROUNDS {
        for n in 0..degree {
            let z = zeros[n];
            // Of the highest power, 2ⁿ⁻¹ cₙ: a factor 2 a difference.
            let mut step = value(z) / coefficients[degree];
            for (_, other) in zeros.iter().enumerate().filter(|(m, _)| *m != n) {
                step = over(step, 2.0 * (z - *other));
            }
            zeros[n] -= step;
        }
    }
    zeros.into_iter().map(|z| if z.y.abs() < 1e-9 { DVec2::new(z.x, 0.0) } else { z }).collect()
}

/// Rounds of [`zeros`].
const ROUNDS: usize = 100;

/// Coefficients of the mixed filter, of sum 1 so that places stay places.
fn coefficients(passes: usize) -> Vec<f64> {
    let [a, b] = CUTOFFS.map(|cutoff| windowed_sinc(passes.max(1), cutoff));
    // f''(0) = −Σ n² cₙ.
    let moment = |c: &[f64]| c.iter().enumerate().map(|(n, c)| (n * n) as f64 * c).sum::<f64>();
    let (ma, mb) = (moment(&a), moment(&b));
    let share = if mb > ma { ma / (mb - ma) } else { 0.0 };
    a.iter().zip(&b).map(|(a, b)| a + share * (a - b)).collect()
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nets::Smoothing;

    fn response(theta: f64) -> f64 {
        let coefficients = coefficients(Smoothing::default().passes);
        coefficients.iter().enumerate().map(|(n, c)| c * (n as f64 * theta).cos()).sum()
    }

    /// What is left of a wave of `n` voxels along one axis of a flat net.
    fn wave(n: f64) -> f64 {
        let lambda = (1.0 - (2.0 * std::f64::consts::PI / n).cos()) / 2.0;
        response((1.0 - lambda).acos())
    }

    #[test]
    fn the_steps_make_the_filter() {
        for degree in 1..=48 {
            let coefficients = coefficients(degree);
            let steps = steps(&coefficients);
            for theta in [0.0f64, 0.02, 0.1, 0.3, 1.0, 2.0, 3.1] {
                let wanted: f64 = coefficients.iter().enumerate().map(|(n, c)| c * (n as f64 * theta).cos()).sum();
                let (found, _) = steps.iter().fold((1.0, 0.0), |(now, before), step| {
                    ((step.mean * theta.cos() + step.own) * now + step.last * before, now)
                });
                assert!((found - wanted).abs() < 1e-6, "degree {degree}, angle {theta}: {found} for {wanted}");
            }
        }
    }

    #[test]
    fn stairs_go_and_shapes_stay() {
        assert!((response(0.0) - 1.0).abs() < 1e-5, "places stay");
        for n in [2.0, 3.0, 4.0, 6.0, 8.0] {
            assert!(wave(n).abs() < 0.06, "a wave of {n} voxels keeps {}", wave(n));
        }
        for n in [10.0, 12.0] {
            let plain = (0.75 + 0.25 * (2.0 * std::f64::consts::PI / n).cos()).powi(16);
            assert!(wave(n) < plain, "of a wave of {n} voxels {} is kept, by a plain Laplacian {plain}", wave(n));
        }
        for radius in [10.0, 20.0, 40.0] {
            let kept = response(1.0 / radius);
            assert!((0.985..1.001).contains(&kept), "a sphere of {radius} voxels keeps {kept}");
        }
    }
}
