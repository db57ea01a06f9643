//! From solids to voxels: labels decided at voxel centres, values with partial volume.
//!
//! A block of voxels is split until each solid is known to hold it, to miss it, or to cross it; only crossing solids are
//! asked voxel by voxel, and what lies below a solid that holds the block is dropped. Time grows with the surface of the
//! body rather than with its number of structures, and results depend on neither the number of threads nor the blocks.

use glam::{Affine3A, Vec3, Vec3A};
use rayon::prelude::*;
use volume::{ImageGeometry, Label};

use crate::body::{Cover, Layer, Pose};
use crate::sdf::{Bounds, Form, SLACK, Shape};
use crate::tissue::{Tissue, smooth_step};

/// What a scanner measures: one kind of value for each tissue.
pub(crate) trait Appearance: Sync {
    /// As voxels hold it.
    type Voxel: Copy + Default + Send;

    /// Half width of the point spread in mm, on top of half a voxel.
    fn point_spread_mm(&self) -> f32;

    /// Value of air.
    fn air(&self) -> f32;

    /// Value at a point where no layer is.
    fn outside(&self, p: Vec3) -> f32;

    /// Value at a point of a layer's tissue, `depth` mm below the layer's surface.
    fn inside(&self, layer: &Layer, tissue: Tissue, p: Vec3, depth: f32) -> f32;

    /// A value as voxels hold it.
    fn stored(value: f32) -> Self::Voxel;
}

/// Slices painted together.
const SLAB: usize = 16;
/// Edges in voxels of the blocks that are tried whole, coarse to fine.
const BLOCKS: [usize; 4] = [16, 8, 4, 2];

/// A layer that crosses or holds the block at hand.
struct Live<'a> {
    layer: &'a Layer,
    form: Form,
    bounds: Bounds,
    /// Whether it holds the block whole.
    whole: bool,
}

struct Raster<'a> {
    /// To the body as it is scanned, in the frame of the shapes.
    body_from_index: Affine3A,
    pose: &'a Pose,
    /// Half width in mm over which a surface blurs.
    blur: f32,
    /// Millimetres in the body's frame for one step along each axis of the grid.
    step: Vec3,
}

struct Slab<'a, V> {
    labels: &'a mut [Label],
    values: &'a mut [V],
    size: [usize; 3],
    first: usize,
}

/// Label and value of every voxel. `progress` gets the share done.
pub(crate) fn paint<A: Appearance>(
    layers: &[Layer],
    geometry: &ImageGeometry,
    lps_from_body: Affine3A,
    pose: &Pose,
    appearance: &A,
    progress: &(dyn Fn(f32) + Sync),
) -> (Vec<Label>, Vec<A::Voxel>) {
    let lps_from_index = geometry.lps_from_index();
    let linear = lps_from_index.linear.as_mat3();
    let lps_from_index = Affine3A::from_mat3_translation(linear, lps_from_index.translation.as_vec3());
    let spacing = geometry.spacing().map(|s| s as f32);
    let mean = (spacing[0] + spacing[1] + spacing[2]) / 3.0;
    let body_from_index = lps_from_body.inverse() * lps_from_index;
    let axes = body_from_index.matrix3;
    let step = Vec3::new(axes.x_axis.length(), axes.y_axis.length(), axes.z_axis.length());
    let raster = Raster { body_from_index, pose, blur: appearance.point_spread_mm() + 0.5 * mean, step };
    let [width, height, depth] = geometry.size();
    let plane = width * height;
    let mut labels = vec![volume::BACKGROUND; plane * depth];
    let mut values = vec![A::Voxel::default(); plane * depth];
    let done = std::sync::atomic::AtomicUsize::new(0);
    let slabs = labels.par_chunks_mut(plane * SLAB).zip(values.par_chunks_mut(plane * SLAB)).enumerate();
    // One by one, or a thread may be left with several at the end.
    slabs.with_max_len(1).for_each(|(s, (labels, values))| {
        let count = labels.len() / plane;
        let mut slab = Slab { labels, values, size: [width, height, count], first: s * SLAB };
        let all: Vec<Live<'_>> = layers
            .iter()
            .map(|layer| Live { layer, form: layer.form.clone(), bounds: layer.form.bounds(), whole: false })
            .collect();
        for y in (0..height).step_by(BLOCKS[0]) {
            for x in (0..width).step_by(BLOCKS[0]) {
                raster.block(&mut slab, &all, [x, y, 0], 0, appearance);
            }
        }
        let slices = done.fetch_add(count, std::sync::atomic::Ordering::Relaxed) + count;
        progress(slices as f32 / depth as f32);
    });
    (labels, values)
}

impl Raster<'_> {
    fn block<A: Appearance>(
        &self,
        slab: &mut Slab<'_, A::Voxel>,
        above: &[Live<'_>],
        start: [usize; 3],
        level: usize,
        appearance: &A,
    ) {
        let edge = BLOCKS[level];
        let end = [0, 1, 2].map(|a| (start[a] + edge).min(slab.size[a]));
        let extent = [0, 1, 2].map(|a| end[a].saturating_sub(start[a]));
        if extent.contains(&0) {
            return;
        }
        let half = Vec3::from_array(extent.map(|e| (e - 1) as f32 * 0.5));
        let offset = Vec3::new(start[0] as f32, start[1] as f32, (start[2] + slab.first) as f32);
        let center = Vec3::from(self.body_from_index.transform_point3a(Vec3A::from(offset + half)));
        let radius = (half * self.step).length() + 1e-3;
        let (center, radius) = self.pose.ball(center, half * self.step, radius);
        let reach = radius * SLACK + self.blur;
        let mut live: Vec<Live<'_>> = Vec::with_capacity(above.len());
        for l in above {
            if l.whole {
                live.push(Live { layer: l.layer, form: l.form.clone(), bounds: l.bounds, whole: true });
                continue;
            }
            if l.bounds.distance(center) > radius + self.blur {
                continue;
            }
            // What it could take a part of is not here.
            if let Cover::Part(of) = l.layer.cover
                && live.iter().all(|below| below.layer.label != Some(of))
            {
                continue;
            }
            let d = l.form.distance(center);
            if d > reach {
                continue;
            }
            let whole = d < -reach && l.layer.label.is_some();
            if whole && matches!(l.layer.cover, Cover::Solid(_)) {
                live.clear();
            }
            let form = if whole { l.form.clone() } else { Shape::narrow(&l.form, center, radius + self.blur, d) };
            live.push(Live { layer: l.layer, form, bounds: l.bounds, whole });
        }
        let single = live.len() == 1 && live[0].whole;
        if level + 1 < BLOCKS.len() && !live.is_empty() && !single {
            let next = BLOCKS[level + 1];
            for z in (start[2]..end[2]).step_by(next) {
                for y in (start[1]..end[1]).step_by(next) {
                    for x in (start[0]..end[0]).step_by(next) {
                        self.block(slab, &live, [x, y, z], level + 1, appearance);
                    }
                }
            }
            return;
        }
        let mut distances = Vec::with_capacity(live.len());
        for z in start[2]..end[2] {
            for y in start[1]..end[1] {
                for x in start[0]..end[0] {
                    let index = Vec3A::new(x as f32, y as f32, (z + slab.first) as f32);
                    let p = Vec3::from(self.body_from_index.transform_point3a(index));
                    let (label, value) = self.voxel(&live, p, appearance, &mut distances);
                    let n = x + slab.size[0] * (y + slab.size[1] * z);
                    slab.labels[n] = label;
                    slab.values[n] = A::stored(value);
                }
            }
        }
    }

    /// `distances` is scratch space.
    fn voxel<A: Appearance>(
        &self,
        live: &[Live<'_>],
        p: Vec3,
        appearance: &A,
        distances: &mut Vec<f32>,
    ) -> (Label, f32) {
        let scanned = p;
        let p = self.pose.drawn_at(p);
        // From the top down to the first that hides all below it.
        distances.clear();
        for l in live.iter().rev() {
            let d = if l.whole { -self.depth_of_whole(l, p) } else { l.form.distance(p) };
            distances.push(d);
            if d <= -self.blur && l.layer.label.is_some() && matches!(l.layer.cover, Cover::Solid(_)) {
                break;
            }
        }
        let live = &live[live.len() - distances.len()..];
        let covered = distances.last().is_some_and(|d| *d <= -self.blur);
        let mut label = volume::BACKGROUND;
        let mut value = if covered { appearance.air() } else { appearance.outside(scanned) };
        for (l, &d) in live.iter().zip(distances.iter().rev()) {
            if d >= self.blur {
                continue;
            }
            let (tissue, takes) = match l.layer.cover {
                Cover::Solid(tissue) => (Some(tissue), true),
                Cover::Part(of) => (None, label == of),
            };
            if let (true, Some(own)) = (d < 0.0 && takes, l.layer.label) {
                label = own;
            }
            let Some(tissue) = tissue else { continue };
            let inside = appearance.inside(l.layer, tissue, p, -d);
            let cover = smooth_step(0.5 - d / (2.0 * self.blur));
            value += (inside - value) * cover;
        }
        (label, value)
    }

    /// Depth is asked for only where the tissue changes with it.
    fn depth_of_whole(&self, l: &Live<'_>, p: Vec3) -> f32 {
        if matches!(l.layer.cover, Cover::Solid(t) if t.is_layered()) { -l.form.distance(p) } else { 1e3 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::body::{Model, Motion};
    use crate::imaging::{CtAppearance, Kernel};
    use crate::options::{Person, PhantomOptions};
    use glam::DMat3;
    use std::collections::BTreeMap;

    #[test]
    fn blocks_change_nothing() {
        let options = PhantomOptions { seed: PhantomOptions::REFERENCE_SEED, ..Default::default() };
        let person = Person::new(&options);
        let model = Model::new(&person, &options.findings, 0.0).unwrap();
        let origin = space::Point::new(-230.0, -130.0, -200.0);
        let geometry = ImageGeometry::new([115, 65, 138], [4.0, 4.0, 5.0], origin, DMat3::IDENTITY).unwrap();
        let motion = Motion { breath: 0.8, beat: 0.3 };
        for pose in [Pose::new(&person, Motion::default(), 0.0), Pose::new(&person, motion, 30.0)] {
            check(&model, &geometry, &pose);
        }
    }

    #[track_caller]
    fn check(model: &Model, geometry: &ImageGeometry, pose: &Pose) {
        let scanner = CtAppearance::new(Kernel::Standard, None);
        let (labels, _) = paint(model.layers(), geometry, Affine3A::IDENTITY, pose, &scanner, &|_| ());
        let mut different = BTreeMap::new();
        let asked = (0..labels.len()).step_by(29);
        for n in asked.clone() {
            let index = [n % 115, n / 115 % 65, n / 115 / 65].map(|v| v as f64);
            let p = (geometry.lps_from_index() * space::Point::from_array(index)).to_array().map(|v| v as f32);
            let alone = model.label_at(pose.drawn_at(p.into()));
            if alone != labels[n] {
                *different.entry((alone, labels[n])).or_insert(0) += 1;
            }
        }
        let name = |label: Label| model.structures().iter().find(|s| s.label == label).map(|s| s.name.as_str());
        let told: Vec<_> = different.iter().map(|(&(a, b), n)| (name(a), name(b), n)).collect();
        let count: usize = different.values().sum();
        assert!(count * 10_000 <= asked.len(), "{count} of {} points, alone and in a block: {told:?}", asked.len());
    }
}
