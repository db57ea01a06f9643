//! A low-pass filter over the links of the net.
//!
//! A plain Laplacian needs many passes to level the terraces of a gentle slope, and shrinks what it smooths. The filter here is a
//! windowed sinc after Taubin, Zhang & Golub (1996), "Optimal surface smoothing as filter design": a polynomial
//! f = Σ cₙ Tₙ(W) in the operator W that takes each vertex to the mean of its neighbours, by Tₙ₊₁ = 2 W Tₙ − Tₙ₋₁. Two such filters
//! are mixed so that f is flat to third order at zero frequency: spheres keep their radius.

use std::ops::{Add, Mul, Range, Sub};

use bytemuck::Zeroable;
use glam::Vec4;
use rayon::prelude::*;

use super::layers::{Layers, Part};
use super::sweep::{ADDED, FACES, Sweep};

/// Ends of the pass bands of the two filters as angles: λ = 1 − cos θ, λ the eigenvalue of 1 − W.
///
/// A wave of n voxels has θ ≈ 2π / (n √2), a sphere of radius R voxels 1 / R. The first was chosen on the torso labels.
const CUTOFFS: [f64; 2] = [0.15, 0.02];

/// Bytes that the layers between the first and the last of some passes under way may take: they are to stay in a core's cache.
const CACHE: usize = 8 << 20;

/// What a filter runs over.
trait Value: Copy + Send + Sync + Zeroable + Add<Output = Self> + Sub<Output = Self> + Mul<Output = Self> {
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

/// A filter Σ cₙ Tₙ(W) of values at the vertices, summed from the highest degree down after Clenshaw (1955), "A note on the summation
/// of Chebyshev series".
///
/// A pass over one layer needs the pass before to have done the next layer, no more. So passes follow each other in a wave, while the
/// values are in the cache: first within blocks of layers, each pass a layer less at the ends, then across the cuts between blocks,
/// each pass a layer more (time skewing after Wonnacott, 2002, "Achieving scalable locality with time skewing"). Neither the number of
/// blocks nor of passes in a wave changes a result.
///
/// The degree is 1 at least. Of `sums`, which are of any content, the first becomes the result.
fn filter<V: Value>(values: &[V], graph: &Graph, coefficients: &[f32], mut sums: [&mut [V]; 2]) {
    let (&highest, lower) = coefficients.split_last().unwrap_or((&1.0, &[]));
    let layers = graph.layers.len();
    let bytes = (17 + 3 * size_of::<V>()) * values.len() / layers.max(1);
    let threads = rayon::current_num_threads();
    let depth = (CACHE / bytes.max(1)).min(layers / (4 * threads)).saturating_sub(2).clamp(1, lower.len());
    // As many cuts for each thread, so that none waits for another.
    let most = (layers / (2 * depth + 2)).saturating_sub(1).min(4 * threads);
    let blocks = 1 + if most > threads { most / threads * threads } else { most };
    let cuts: Vec<usize> = (0..=blocks).map(|n| n * layers / blocks).collect();
    let within: Vec<Range<usize>> = cuts.windows(2).map(|w| w[0]..w[1]).collect();
    let across: Vec<Range<usize>> = cuts[1..blocks].iter().map(|cut| cut - depth - 1..cut + depth + 1).collect();
    let less = |end: usize, n: usize| if end == 0 || end == layers { 0 } else { n + 1 };

    let passes: Vec<Pass<V>> = (lower.iter().enumerate().rev().enumerate())
        .map(|(number, (degree, &factor))| {
            let weight = if degree == 0 { 1.0 } else { 2.0 } * if number == 0 { highest } else { 1.0 };
            let shares = SHARES.map(|shares| shares.map(|share| V::splat(share * weight)));
            Pass { number, degree, factor: V::splat(factor), shares, highest: V::splat(highest) }
        })
        .collect();
    for passes in passes.chunks(depth) {
        wave(values, graph, passes, &mut sums, &within, |block, n| {
            block.start + less(block.start, n)..block.end - less(block.end, n)
        });
        wave(values, graph, passes, &mut sums, &across, |block, n| block.start + depth - n..block.end - depth + n);
    }
}

/// What a pass does to each vertex: factor · value + weight · (mean of the neighbours) − last but one; the weight is 2, at last 1.
struct Pass<V> {
    number: usize,
    /// Of the terms it adds, which go to the first sums if it is even.
    degree: usize,
    factor: V,
    /// [`SHARES`] times the weight.
    shares: [[V; 4]; 64],
    /// The coefficient of the highest degree. Before the first pass the sum is the values times this; before that it is zero.
    highest: V,
}

/// Some passes over blocks of layers; `reach` says which layers of a block the n-th takes.
fn wave<V: Value>(
    values: &[V],
    graph: &Graph,
    passes: &[Pass<V>],
    [even, odd]: &mut [&mut [V]; 2],
    blocks: &[Range<usize>],
    reach: impl Fn(&Range<usize>, usize) -> Range<usize> + Sync,
) {
    let (even, odd) = (graph.layers.split(even, blocks), graph.layers.split(odd, blocks));
    let blocks: Vec<_> = blocks.iter().zip(even).zip(odd).collect();
    blocks.into_par_iter().with_max_len(1).for_each(|((block, mut even), mut odd)| {
        for front in block.start..block.end + passes.len() {
            for (n, pass) in passes.iter().enumerate() {
                if let Some(layer) = front.checked_sub(n).filter(|layer| reach(block, n).contains(layer)) {
                    let (last, now) = if pass.degree % 2 == 0 { (&mut even, &odd) } else { (&mut odd, &even) };
                    pass.run(values, graph, layer, last, now);
                }
            }
        }
    });
}

impl<V: Value> Pass<V> {
    /// Over one layer; the new sum takes the place of the last but one.
    fn run<'a>(&self, values: &'a [V], graph: &Graph, layer: usize, last: &mut Part<V>, now: &'a Part<V>) {
        let highest = self.highest;
        let Part { first_cell, first_added, .. } = *now;
        let (cells, added) = (&*now.cells, &*now.added);
        let near = move |vertex: u32| cells[(vertex as usize).wrapping_sub(first_cell)];
        let far = move |vertex: u32| match added.get((vertex as usize).wrapping_sub(first_added)) {
            Some(value) => *value,
            None => near(vertex),
        };
        let Range { start, end } = graph.layers.cells(layer);
        let around = |all: &'a [V], first: usize| &all[start - first..(end - first + 1).min(all.len())];
        let layer = Layer { values, graph, layer, pass: self };
        match self.number {
            0 => {
                let at = |vertex: u32| values[vertex as usize];
                layer.run(last, around(values, 0), at, at, |_, _| V::zeroed());
            }
            1 => layer.run(last, around(cells, first_cell), near, far, |value, _| value * highest),
            _ => layer.run(last, around(cells, first_cell), near, far, |_, last| last),
        }
    }
}

struct Layer<'a, V> {
    values: &'a [V],
    graph: &'a Graph<'a>,
    layer: usize,
    pass: &'a Pass<V>,
}

impl<V: Value> Layer<'_, V> {
    /// Writes the new sums to `out`. `around` are the sums so far of the layer's cells and of the vertex after them, if there is one;
    /// `near` and `far` give that of a neighbour, of one that is a cell's and of any; `last` makes the last but one of value and `out`.
    #[inline(always)]
    fn run(
        &self,
        out: &mut Part<V>,
        around: &[V],
        near: impl Fn(u32) -> V,
        far: impl Fn(u32) -> V,
        last: impl Fn(V, V) -> V,
    ) {
        let Self { values, graph, layer, pass: Pass { factor, shares, .. } } = *self;
        let factor = *factor;
        // Called twice and more, so not inlined: the few vertices that need it would only slow the others down.
        let mean_far = |[a, b, c, d, e, f]: [u32; 6], own: V, kind: u8| {
            let across = (far(c) + far(d)) + (far(e) + far(f));
            mean(shares, across, own, [far(a), far(b)], kind)
        };
        let cells = graph.layers.cells(layer);
        let out_cells = &mut out.cells[cells.start - out.first_cell..cells.end - out.first_cell];
        let (links, kinds) = (&graph.sweep.links[cells.clone()], &graph.sweep.kinds[cells.clone()]);
        let rows = links.iter().zip(kinds).zip(&values[cells.clone()]);
        let far_links = &graph.sweep.far_links[..];
        let mut before = V::zeroed();
        for ((pair, out), ((links, kind), value)) in around.windows(2).zip(&mut *out_cells).zip(rows) {
            let [own, after] = [pair[0], pair[1]];
            let mean = if kind & ADDED == 0 {
                let [a, b, c, d] = *links;
                mean(shares, (near(a) + near(b)) + (near(c) + near(d)), own, [before, after], *kind)
            } else {
                mean_far(far_links[links[0] as usize], own, *kind)
            };
            *out = mean + *value * factor - last(*value, *out);
            before = own;
        }
        if let (true, Some(out), Some(own)) = (around.len() == out_cells.len(), out_cells.last_mut(), around.last()) {
            // No vertex after it.
            let (vertex, value) = (cells.end - 1, values[cells.end - 1]);
            let mean = mean_far(graph.sweep.links_of(vertex as u32), *own, kinds[kinds.len() - 1]);
            *out = mean + value * factor - last(value, *out);
        }
        for vertex in graph.layers.added(layer) {
            let (value, out) = (values[vertex], &mut out.added[vertex - out.first_added]);
            let (links, kind) = (graph.sweep.links_of(vertex as u32), graph.sweep.kinds[vertex]);
            *out = mean_far(links, far(vertex as u32), kind) + value * factor - last(value, *out);
        }
    }
}

/// The weighted mean of the neighbours: `across` is the sum of the four across the row, among which the vertex itself counts as none.
#[inline(always)]
fn mean<V: Value>(shares: &[[V; 4]; 64], across: V, own: V, [before, after]: [V; 2], kind: u8) -> V {
    let [share, itself, low, high] = shares[usize::from(kind & FACES)];
    (across * share + own * itself) + (before * low + after * high)
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

/// The filtered places of the vertices, and as much memory to spare. Junctions have only their neighbours along the junction as links.
pub(super) fn smooth(places: &[Vec4], graph: &Graph, passes: usize) -> [Vec<Vec4>; 2] {
    let mut sums = [(); 2].map(|()| bytemuck::zeroed_vec(places.len()));
    filter(places, graph, &coefficients(passes), sums.each_mut().map(|sums| &mut sums[..]));
    sums
}

/// Degree of the mean that [`back`] takes, as a part of the filter's. A wider one levels more of the widest terraces, but leaves more of
/// what the filter moved beyond the bound, where it is cut off in folds; chosen on the torso labels and on planes of all slopes.
const RESTORE_SHARE: f64 = 0.625;

/// Makes of the first of `sums` how far each vertex is to go back along its normal: the mean of what the filter moved it and those
/// nearby. Steps keep away, shrinkage is undone.
///
/// After Vollmer, Mencl & Müller (1999), "Improved Laplacian smoothing of noisy surface meshes", with the lower of the two filters
/// for a mean.
pub(super) fn back(moved: &[f32], graph: &Graph, passes: usize, sums: [&mut [f32]; 2]) {
    let degree = (passes as f64 * RESTORE_SHARE).round() as usize;
    let coefficients: Vec<f32> = windowed_sinc(degree.max(1), CUTOFFS[1]).into_iter().map(|c| c as f32).collect();
    filter(moved, graph, &coefficients, sums);
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
