//! Where the voxels of a patch come from.

use super::{Augmentation, Elastic};
use crate::training::random::Rng;
use crate::training::sample::Sample;

/// From a voxel of the patch to one of the sample, both depth, height, width.
struct Map {
    /// Where the patch's middle lies in the sample.
    centre: [f32; 3],
    /// The patch's own middle.
    middle: [f32; 3],
    matrix: [[f32; 3]; 3],
    bend: Option<Bend>,
}

impl Map {
    fn at(&self, voxel: [usize; 3]) -> [f32; 3] {
        let offset = [0, 1, 2].map(|a| voxel[a] as f32 - self.middle[a]);
        let bend = self.bend.as_ref().map_or([0.0; 3], |bend| bend.at(voxel));
        [0, 1, 2].map(|a| {
            let row = self.matrix[a];
            self.centre[a] + row[0] * offset[0] + row[1] * offset[1] + row[2] * offset[2] + bend[a]
        })
    }

    /// True if every voxel of the patch falls on one of the sample.
    fn is_crop(&self) -> bool {
        let identity = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]];
        self.matrix == identity && self.bend.is_none()
    }
}

pub(super) fn patch(sample: &Sample, size: [usize; 3], augmentation: &Augmentation, rng: &mut Rng) -> Sample {
    let map = draw(sample, size, augmentation, rng);
    let voxels = size.iter().product();
    let channels = sample.channels();
    let mut image = vec![0.0; channels * voxels];
    let mut labels = vec![0; voxels];
    let crop = map.is_crop();
    let mut out = 0;
    for d in 0..size[0] {
        for h in 0..size[1] {
            for w in 0..size[2] {
                let at = map.at([d, h, w]);
                if crop {
                    if let Some(voxel) = inside(sample.size, at.map(|x| x.round() as isize)) {
                        labels[out] = sample.labels[voxel];
                        for channel in 0..channels {
                            image[channel * voxels + out] = sample.image[channel * sample.voxels() + voxel];
                        }
                    }
                } else {
                    labels[out] = vote(&corners(sample.size, at), &sample.labels);
                    let taps = [0, 1, 2].map(|a| Taps::new(at[a], sample.size[a]));
                    for channel in 0..channels {
                        let source = &sample.image[channel * sample.voxels()..][..sample.voxels()];
                        image[channel * voxels + out] = interpolate(&taps, source, sample.size);
                    }
                }
                out += 1;
            }
        }
    }
    Sample { size, spacing_mm: sample.spacing_mm, image, labels }
}

fn inside(size: [usize; 3], voxel: [isize; 3]) -> Option<usize> {
    let within = (0..3).all(|a| voxel[a] >= 0 && (voxel[a] as usize) < size[a]);
    within.then(|| (voxel[0] as usize * size[1] + voxel[1] as usize) * size[2] + voxel[2] as usize)
}

/// The eight voxels around a place with their trilinear weights; none where the sample ends.
fn corners(size: [usize; 3], at: [f32; 3]) -> [Option<(usize, f32)>; 8] {
    let floor = at.map(|x| x.floor() as isize);
    let part = [0, 1, 2].map(|a| at[a] - floor[a] as f32);
    std::array::from_fn(|corner| {
        let step = [corner >> 2 & 1, corner >> 1 & 1, corner & 1];
        let weight: f32 = (0..3).map(|a| if step[a] == 1 { part[a] } else { 1.0 - part[a] }).product();
        let voxel = inside(size, [0, 1, 2].map(|a| floor[a] + step[a] as isize))?;
        (weight > 0.0).then_some((voxel, weight))
    })
}

/// The voxels along one axis that a place between them is made of.
struct Taps {
    first: usize,
    count: usize,
    weights: [f32; 4],
}

impl Taps {
    /// Cubic convolution (Keys, doi 10.1109/TASSP.1981.1163711, a = −1/2), which blurs less than linear; zeros lie outside.
    fn new(at: f32, size: usize) -> Self {
        let floor = at.floor();
        let t = at - floor;
        let all = [
            ((2.0 - t) * t - 1.0) * t / 2.0,
            ((3.0 * t - 5.0) * t * t + 2.0) / 2.0,
            ((4.0 - 3.0 * t) * t + 1.0) * t / 2.0,
            (t - 1.0) * t * t / 2.0,
        ];
        let start = floor as isize - 1;
        let from = start.max(0);
        let to = (start + 4).min(size as isize).max(from);
        let mut weights = [0.0; 4];
        let count = (to - from) as usize;
        if count > 0 {
            let skipped = (from - start) as usize;
            weights[..count].copy_from_slice(&all[skipped..skipped + count]);
        }
        Self { first: if count > 0 { from as usize } else { 0 }, count, weights }
    }
}

fn interpolate([d, h, w]: &[Taps; 3], source: &[f32], size: [usize; 3]) -> f32 {
    let mut sum = 0.0;
    for z in 0..d.count {
        for y in 0..h.count {
            let row = ((d.first + z) * size[1] + h.first + y) * size[2] + w.first;
            let line: f32 = source[row..row + w.count].iter().zip(&w.weights).map(|(x, weight)| x * weight).sum();
            sum += d.weights[z] * h.weights[y] * line;
        }
    }
    sum
}

/// The label with most weight; what lies outside votes for background.
fn vote(corners: &[Option<(usize, f32)>; 8], labels: &[u8]) -> u8 {
    let mut votes = [(0_u8, 0.0_f32); 9];
    let mut count = 1;
    votes[0].1 = 1.0 - corners.iter().flatten().map(|c| c.1).sum::<f32>();
    for &(voxel, weight) in corners.iter().flatten() {
        let label = labels[voxel];
        match votes[..count].iter_mut().find(|vote| vote.0 == label) {
            Some(vote) => vote.1 += weight,
            None => {
                votes[count] = (label, weight);
                count += 1;
            }
        }
    }
    let mut best = votes[0];
    for &vote in &votes[1..count] {
        if vote.1 > best.1 {
            best = vote;
        }
    }
    best.0
}

fn draw(sample: &Sample, size: [usize; 3], augmentation: &Augmentation, rng: &mut Rng) -> Map {
    let start = place(sample, size, augmentation.foreground, rng);
    let middle = size.map(|n| (n as f32 - 1.0) / 2.0);
    let centre = [0, 1, 2].map(|a| start[a] as f32 + middle[a]);
    let spacing = sample.spacing_mm.map(f64::from);

    // What is drawn does not depend on what happens, so that a switched-off kind leaves the others as they were.
    let turn = rng.chance(augmentation.rotation_deg.probability);
    let [low, high] = augmentation.rotation_deg.range;
    let angles = [(); 3].map(|()| rng.between(low, high).to_radians());
    let zoom = augmentation.scale.draw(rng);
    let flips = augmentation.mirror.map(|may| rng.chance(0.5) && may);
    let bend =
        augmentation.elastic.map(|elastic| (rng.chance(elastic.probability), Bend::draw(&elastic, size, spacing, rng)));

    let mut matrix = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]];
    if turn {
        for (axis, angle) in angles.into_iter().enumerate() {
            matrix = times(rotation(axis, angle), matrix);
        }
    }
    for (row, values) in matrix.iter_mut().enumerate() {
        for (column, value) in values.iter_mut().enumerate() {
            // Angles and sizes are those of millimetres.
            *value *= spacing[column] / spacing[row] / zoom.unwrap_or(1.0);
            if flips[column] {
                *value = -*value;
            }
        }
    }
    let bend = bend.and_then(|(hit, bend)| hit.then_some(bend));
    Map { centre, middle, matrix: matrix.map(|row| row.map(|x| x as f32)), bend }
}

/// First voxel of a patch: inside, or with the sample inside it, along each axis.
fn place(sample: &Sample, size: [usize; 3], foreground: f64, rng: &mut Rng) -> [isize; 3] {
    let hit = rng.chance(foreground);
    let (class, member) = (rng.uniform(), rng.uniform());
    let free = [(); 3].map(|()| rng.uniform());
    let target = if hit { member_of(sample, class, member) } else { None };
    [0, 1, 2].map(|a| {
        let slack = sample.size[a] as isize - size[a] as isize;
        let (mut low, mut high) = (slack.min(0), slack.max(0));
        if let Some(target) = target {
            // Patches that hold this voxel.
            low = low.max(target[a] as isize - size[a] as isize + 1);
            high = high.min(target[a] as isize).max(low);
        }
        low + (free[a] * (high - low + 1) as f64) as isize
    })
}

/// A voxel of a class that the sample holds, background left out.
fn member_of(sample: &Sample, class: f64, member: f64) -> Option<[usize; 3]> {
    let mut counts = [0_usize; 256];
    sample.labels.iter().for_each(|&label| counts[usize::from(label)] += 1);
    let present: Vec<usize> = (1..256).filter(|&label| counts[label] > 0).collect();
    let label = *present.get((class * present.len() as f64) as usize)?;
    let nth = (member * counts[label] as f64) as usize;
    let members = sample.labels.iter().enumerate().filter(|(_, l)| usize::from(**l) == label);
    let at = members.map(|(at, _)| at).nth(nth)?;
    let [_, h, w] = sample.size;
    Some([at / (h * w), at / w % h, at % w])
}

fn rotation(axis: usize, angle: f64) -> [[f64; 3]; 3] {
    let (sin, cos) = angle.sin_cos();
    let (b, c) = ((axis + 1) % 3, (axis + 2) % 3);
    let mut matrix = [[0.0; 3]; 3];
    matrix[axis][axis] = 1.0;
    (matrix[b][b], matrix[b][c]) = (cos, -sin);
    (matrix[c][b], matrix[c][c]) = (sin, cos);
    matrix
}

fn times(a: [[f64; 3]; 3], b: [[f64; 3]; 3]) -> [[f64; 3]; 3] {
    [0, 1, 2].map(|i| [0, 1, 2].map(|j| (0..3).map(|k| a[i][k] * b[k][j]).sum()))
}

/// Displacements in voxels of the sample, for every voxel of a patch.
struct Bend {
    size: [usize; 3],
    displacements: Vec<[f32; 3]>,
}

impl Bend {
    fn draw(elastic: &Elastic, size: [usize; 3], spacing_mm: [f64; 3], rng: &mut Rng) -> Self {
        let deviation_mm = rng.between(elastic.deviation_mm[0], elastic.deviation_mm[1]);
        let deviations = spacing_mm.map(|mm| deviation_mm / mm);
        let lattice = Lattice { size, spacing_mm };
        Self { size, displacements: smooth_field(lattice, elastic.knots_mm, deviations, rng) }
    }

    fn at(&self, [d, h, w]: [usize; 3]) -> [f32; 3] {
        self.displacements[(d * self.size[1] + h) * self.size[2] + w]
    }
}

/// Voxels of a patch and their distances, both in depth, height, width.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lattice {
    pub(super) size: [usize; 3],
    pub(super) spacing_mm: [f64; 3],
}

/// A cubic B-spline with `N` values at every voxel, whose knots have these standard deviations.
pub(super) fn smooth_field<const N: usize>(
    Lattice { size, spacing_mm: spacing }: Lattice,
    knots_mm: f64,
    deviations: [f64; N],
    rng: &mut Rng,
) -> Vec<[f32; N]> {
    let knots_mm = knots_mm.max(1.0);
    let mut grid = [0, 1, 2].map(|a| (size[a] as f64 * spacing[a] / knots_mm).ceil() as usize + 3);
    let mut values: Vec<[f32; N]> =
        (0..grid.iter().product()).map(|_| deviations.map(|deviation| (deviation * rng.normal()) as f32)).collect();
    // One axis after the other, from knots to voxels.
    for axis in 0..3 {
        let taps: Vec<(usize, [f32; 4])> = (0..size[axis])
            .map(|i| {
                let at = (i as f64 + 0.5) * spacing[axis] / knots_mm;
                let knot = (at.floor() as usize).min(grid[axis] - 4);
                (knot, b_spline((at - knot as f64) as f32))
            })
            .collect();
        let inner: usize = grid[axis + 1..].iter().product();
        let outer: usize = grid[..axis].iter().product();
        let mut next = Vec::with_capacity(outer * size[axis] * inner);
        for o in 0..outer {
            for (knot, weights) in &taps {
                let first = (o * grid[axis] + knot) * inner;
                next.extend((0..inner).map(|i| {
                    let tap = |t: usize| values[first + t * inner + i].map(|x| weights[t] * x);
                    let taps = [tap(0), tap(1), tap(2), tap(3)];
                    std::array::from_fn(|a| taps[0][a] + taps[1][a] + taps[2][a] + taps[3][a])
                }));
            }
        }
        values = next;
        grid[axis] = size[axis];
    }
    values
}

/// Weights of the four knots around a place, `t` from 0 to 1 between the inner two.
fn b_spline(t: f32) -> [f32; 4] {
    let s = 1.0 - t;
    [
        s * s * s / 6.0,
        (3.0 * t * t * t - 6.0 * t * t + 4.0) / 6.0,
        (3.0 * s * s * s - 6.0 * s * s + 4.0) / 6.0,
        t * t * t / 6.0,
    ]
}
