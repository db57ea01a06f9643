//! Gives labels back what smoothing takes of their volume: a lesion of a few voxels must not lose half of itself.

use std::collections::{BTreeMap, BTreeSet};

use rayon::prelude::*;
use volume::{BACKGROUND, Label};

use crate::axes::{each, per_axis};
use crate::nets::Net;

/// Share of its volume that a label may lose or gain by smoothing before it is given back.
const TOLERANCE: f64 = 0.03;

/// Giving one label back what it lost takes from its neighbours; so often it is looked again.
const ROUNDS: usize = 3;

/// Steps along the normals, and steps of the search for what is left of the moves.
const STEPS: usize = 5;

/// Farthest one step moves a vertex along its normal, in voxels.
const STRIDE: f64 = 0.25;

/// Brings the volume of each label within [`TOLERANCE`] of its voxels', where it lies beyond.
///
/// Vertices first move along their normals, which keeps the surface smooth, up to `radius` voxels from the voxel corners they
/// stand for. Where that is not enough they go back towards those corners: with all of them there, the volume is exact.
pub(crate) fn keep_volumes(net: &Net, positions: &mut [[f32; 3]], counts: &BTreeMap<Label, usize>, radius: f32) {
    for _ in 0..ROUNDS {
        let volumes = volumes(net, positions);
        let off: BTreeMap<Label, f64> = counts
            .iter()
            .map(|(&label, &n)| (label, n as f64))
            .filter(|&(label, n)| label != BACKGROUND && is_off(volumes[usize::from(label)], n))
            .collect();
        if off.is_empty() {
            return;
        }
        for (label, quads) in quads_of(net, &off) {
            Body::new(net, label, quads).restore(positions, off[&label], radius);
        }
        net.place_inserts(positions);
    }
}

fn is_off(found: f64, wanted: f64) -> bool {
    (found / wanted - 1.0).abs() > TOLERANCE
}

/// The volume inside the surface of each label, in voxels.
fn volumes(net: &Net, positions: &[[f32; 3]]) -> Vec<f64> {
    let labels = usize::from(net.sides.iter().map(|s| s[1]).max().unwrap_or(0)) + 1;
    let parts: Vec<Vec<f64>> = (0..net.quads.len().div_ceil(CHUNK))
        .into_par_iter()
        .map(|chunk| {
            let mut sums = vec![0.0; labels];
            for quad in chunk * CHUNK..((chunk + 1) * CHUNK).min(net.quads.len()) {
                let [low, high] = net.sides[quad].map(usize::from);
                let part = below(net, positions, quad as u32);
                // Corners run counterclockwise seen from the lower label: the quad faces away from the higher one.
                sums[high] += part;
                sums[low] -= part;
            }
            sums
        })
        .collect();
    let mut sums = vec![0.0; labels];
    for part in parts {
        for (sum, more) in sums.iter_mut().zip(part) {
            *sum += more;
        }
    }
    sums
}

/// Quads that one task adds up; fixed, so that sums do not depend on the number of threads.
const CHUNK: usize = 1 << 16;

/// The signed volume between a quad and the origin, in voxels.
fn below(net: &Net, positions: &[[f32; 3]], quad: u32) -> f64 {
    let mut sum = 0.0;
    net.triangles_of(positions, quad, |t| {
        let [a, b, c] = each(t, |v| each(positions[v as usize], f64::from));
        sum += a[0] * (b[1] * c[2] - b[2] * c[1])
            + a[1] * (b[2] * c[0] - b[0] * c[2])
            + a[2] * (b[0] * c[1] - b[1] * c[0]);
    });
    sum / 6.0
}

fn quads_of(net: &Net, labels: &BTreeMap<Label, f64>) -> BTreeMap<Label, Vec<u32>> {
    let chunks: Vec<Vec<(Label, u32)>> = net
        .sides
        .par_chunks(CHUNK)
        .enumerate()
        .map(|(chunk, sides)| {
            let all = sides.iter().zip((chunk * CHUNK) as u32..);
            all.flat_map(|(side, quad)| side.map(|label| (label, quad)))
                .filter(|(label, _)| labels.contains_key(label))
                .collect()
        })
        .collect();
    let mut quads: BTreeMap<Label, Vec<u32>> = BTreeMap::new();
    for (label, quad) in chunks.into_iter().flatten() {
        quads.entry(label).or_default().push(quad);
    }
    quads
}

/// The surface of one label.
struct Body<'a> {
    net: &'a Net,
    label: Label,
    quads: Vec<u32>,
    /// Corners of the quads, each once.
    vertices: Vec<u32>,
}

impl<'a> Body<'a> {
    fn new(net: &'a Net, label: Label, quads: Vec<u32>) -> Self {
        let vertices: BTreeSet<u32> = quads.iter().flat_map(|&q| net.quads[q as usize]).collect();
        Self { net, label, quads, vertices: vertices.into_iter().collect() }
    }

    /// 1 for quads that face away from the label, −1 for the others.
    fn sign(&self, quad: u32) -> f64 {
        if self.net.sides[quad as usize][1] == self.label { 1.0 } else { -1.0 }
    }

    fn volume(&self, positions: &[[f32; 3]]) -> f64 {
        self.quads.iter().map(|&q| self.sign(q) * below(self.net, positions, q)).sum()
    }

    fn restore(&self, positions: &mut [[f32; 3]], wanted: f64, radius: f32) {
        let outward = self.outward();
        for _ in 0..STEPS {
            let lacking = wanted - self.volume(positions);
            if lacking.abs() <= TOLERANCE * wanted {
                return;
            }
            let step = (lacking / self.quads.len() as f64).clamp(-STRIDE, STRIDE) as f32;
            for (&v, n) in self.vertices.iter().zip(&outward) {
                let corner = self.net.corner(v);
                let p = &mut positions[v as usize];
                let moved = per_axis(|a| p[a] - corner[a] + step * n[a]);
                let length = moved.iter().map(|m| m * m).sum::<f32>().sqrt();
                let share = if length > radius { radius / length } else { 1.0 };
                *p = per_axis(|a| corner[a] + share * moved[a]);
            }
        }
        self.go_back(positions, wanted);
    }

    /// Unit normals of the vertices, away from the label; zero where three labels meet.
    fn outward(&self) -> Vec<[f32; 3]> {
        let mut signs: BTreeMap<u32, f32> = BTreeMap::new();
        for &quad in &self.quads {
            for v in self.net.quads[quad as usize] {
                signs.insert(v, self.sign(quad) as f32);
            }
        }
        self.vertices
            .iter()
            .map(|v| {
                let (normal, sign) = (self.net.normal(*v), signs.get(v));
                normal.zip(sign).map_or([0.0; 3], |(normal, sign)| (normal * *sign).to_array())
            })
            .collect()
    }

    /// Takes back as little of all moves as is needed.
    fn go_back(&self, positions: &mut [[f32; 3]], wanted: f64) {
        let before: Vec<[f32; 3]> = self.vertices.iter().map(|&v| positions[v as usize]).collect();
        let put = |positions: &mut [[f32; 3]], share: f32| {
            for (&v, p) in self.vertices.iter().zip(&before) {
                let corner = self.net.corner(v);
                positions[v as usize] = per_axis(|a| corner[a] + share * (p[a] - corner[a]));
            }
        };
        let (mut good, mut bad) = (0.0, 1.0);
        if !is_off(self.volume(positions), wanted) {
            return;
        }
        for _ in 0..STEPS {
            let middle = 0.5 * (good + bad);
            put(positions, middle);
            if is_off(self.volume(positions), wanted) {
                bad = middle;
            } else {
                good = middle;
            }
        }
        put(positions, good);
    }
}
