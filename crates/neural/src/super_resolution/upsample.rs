//! From thick slices to thin ones.

use rayon::prelude::*;
use volume::{ImageGeometry, ScanVolume, Volume, Voxel};

use super::banded::Banded;
use super::fusion::{CHUNK_VOXELS as FUSION_CHUNK_VOXELS, Directions};
use super::network::{Buffers, Folding, INPUTS, ThroughPlane};
use super::scan::{Scale, axis_last, floats, inverse, permuted, slice_axis};
use super::slices::{BASE_ROUNDS, SliceLayout, fill_gaps};
use crate::error::NeuralError;

/// Voxels of all planes that go through the network at a time: about 65 MB for each of three buffers with 40 channels and a fold of 4.
const CHUNK_VOXELS: usize = (1 << 18) * 3;

/// A plane with less than this between its lowest and highest value stays as interpolated, in parts of the scan's span.
const FLAT: f32 = 0.01;

/// Voxels of the largest scan that is made: about 10 GiB while it is.
const MOST_VOXELS: usize = 1 << 29;

/// Of slices, over their distance.
const THICKNESSES: std::ops::RangeInclusive<f64> = 0.05..=4.0;

/// The first hint of slices as far apart as any that networks are taught with: eight voxels.
pub(super) const MOST_APART: f32 = 1.0;

/// The hint that changes its sign upside down.
pub(super) const SINE: usize = 3;

/// New slices no more than this part closer together than the old ones are the old ones.
const SAME: f64 = 0.01;

/// How thin slices are made.
#[derive(Clone, Debug, PartialEq)]
pub struct UpsampleOptions {
    /// Distance of the new slices in mm; taken to the nearest that divides the stack into whole slices.
    pub spacing_mm: f64,
    /// Thickness of the scan's slices over their distance: 1 if they touch, less if they leave gaps.
    pub thickness: f64,
    /// Slices of the scan's grid that were not measured; what the scan holds there is not looked at.
    pub missing: Vec<usize>,
    /// Rounds of back-projection (Irani & Peleg, 1991), after which averages over the old slices are what was measured.
    pub rounds: usize,
    /// Take the mean over planes and their mirror images, upside down and left to right: four times the work.
    pub flips: bool,
}

impl Default for UpsampleOptions {
    fn default() -> Self {
        Self { spacing_mm: 1.0, thickness: 1.0, missing: Vec::new(), rounds: 3, flips: false }
    }
}

/// A scan with thin slices.
#[derive(Clone, Debug)]
pub struct Upsampled {
    /// Whole numbers if the scan had them and they fit 16 bits.
    pub scan: ScanVolume,
    /// The axis of its slices.
    pub axis: usize,
    /// For each slice along the axis, false if it is one that was measured.
    pub inferred: Vec<bool>,
    /// How the old slices lie over the new.
    pub layout: SliceLayout,
    /// Mean absolute difference between the old slices and the new ones averaged, in the scan's unit.
    pub mismatch: f64,
}

impl Upsampled {
    /// What [`upsample`] made of a scan on `geometry` before, by its voxels and its mismatch.
    ///
    /// # Errors
    /// As [`layout_of`].
    pub fn kept(
        (scan, mismatch): (ScanVolume, f64),
        geometry: &ImageGeometry,
        options: &UpsampleOptions,
    ) -> Result<Self, NeuralError> {
        let layout = layout_of(geometry, options)?;
        let inferred = inferred(&layout, &options.missing);
        Ok(Self { scan, axis: slice_axis(geometry), inferred, layout, mismatch })
    }

    /// One for every voxel that was not measured, on the new grid.
    pub fn inferred_mask(&self) -> Volume<u8> {
        Volume::from_fn(*self.scan.geometry(), |voxel| u8::from(self.inferred[voxel[self.axis]]))
    }
}

/// Makes the slices of a scan thinner. Without a network, by a cubic B-spline and back-projection alone.
///
/// Memory: the new volume five times in single precision, and half a gigabyte, more with a fusion.
///
/// # Errors
/// [`NeuralError::Input`] if there is nothing to do or the options contradict the scan; Candle's.
pub fn upsample(
    scan: &ScanVolume,
    network: Option<&ThroughPlane>,
    options: &UpsampleOptions,
    tell: &(dyn Fn(f32) + Sync),
) -> Result<Upsampled, NeuralError> {
    let layout = layout_of(scan.geometry(), options)?;
    upsample_onto(scan, slice_axis(scan.geometry()), &layout, network, options, tell)
}

/// How the slices of a grid lie over those that [`upsample`] makes.
///
/// # Errors
/// [`NeuralError::Input`] if there is nothing to do, or too much.
pub fn layout_of(geometry: &ImageGeometry, options: &UpsampleOptions) -> Result<SliceLayout, NeuralError> {
    let input = |reason: String, remedy: &str| Err(NeuralError::Input { reason, remedy: remedy.to_owned() });
    let axis = slice_axis(geometry);
    let (slices, spacing) = (geometry.size()[axis], geometry.spacing()[axis]);
    if slices < 2 {
        return input(
            "it has one slice, which tells nothing of what lies beside it".to_owned(),
            "give a scan of several",
        );
    }
    if !(options.spacing_mm.is_finite() && options.spacing_mm > 0.0) {
        return input(format!("slices cannot lie {} mm apart", options.spacing_mm), "ask for a distance above 0");
    }
    let voxels = (slices as f64 * spacing / options.spacing_mm).round().max(slices as f64);
    if voxels > 64.0 * slices as f64 {
        let reason = format!("{:.3} mm are less than a 64th of its {spacing:.2} mm", options.spacing_mm);
        return input(reason, "ask for a larger distance");
    }
    let voxels = voxels as usize;
    let all = (geometry.voxel_count() / slices).saturating_mul(voxels);
    if all > MOST_VOXELS {
        let reason =
            format!("at {:.3} mm it would have {:.1} thousand million voxels", options.spacing_mm, all as f64 / 1e9);
        return input(reason, "ask for a larger distance, or crop it");
    }
    if !THICKNESSES.contains(&options.thickness) {
        return input(
            format!("slices {} times as thick as apart cannot be", options.thickness),
            "look at their thickness",
        );
    }
    if voxels == slices && options.missing.is_empty() {
        let reason = format!("its slices lie {spacing:.2} mm apart, and {:.2} mm were asked for", options.spacing_mm);
        return input(reason, "use it as it is, or ask for thinner slices");
    }
    Ok(SliceLayout { thickness: options.thickness, ..SliceLayout::edge_to_edge(slices, voxels) })
}

/// The grid of what [`upsample`] makes.
///
/// # Errors
/// As [`layout_of`].
pub fn grid_of(geometry: &ImageGeometry, options: &UpsampleOptions) -> Result<ImageGeometry, NeuralError> {
    new_grid(geometry, slice_axis(geometry), &layout_of(geometry, options)?)
}

/// As [`upsample`], along `axis` onto the voxels of a layout of one's own; its thickness counts, not the options', and
/// their spacing is not used.
///
/// # Errors
/// [`NeuralError::Input`] if the options contradict the scan; Candle's.
pub fn upsample_onto(
    scan: &ScanVolume,
    axis: usize,
    layout: &SliceLayout,
    network: Option<&ThroughPlane>,
    options: &UpsampleOptions,
    tell: &(dyn Fn(f32) + Sync),
) -> Result<Upsampled, NeuralError> {
    check(scan, axis, layout, &options.missing)?;
    let order = axis_last(axis);
    let old = scan.geometry();
    let size = order.map(|a| old.size()[a]);
    let plane = size[0] * size[1];
    let missing = &options.missing;

    let mut slices = permuted(&floats(scan), old.size(), order);
    fill_gaps(&mut slices, plane, missing);
    let scale = Scale::of(&slices)?;
    scale.to_unit(&mut slices);

    let same = is_same(layout);
    let rounds = if same { 0 } else { options.rounds };
    let base_rounds = if network.is_some() && !same { BASE_ROUNDS } else { rounds };
    let average = layout.average();
    let inferred = inferred(layout, missing);
    let mut values = layout.interpolate(base_rounds).apply(&slices, plane);
    if let Some(network) = network {
        let mut hints = layout.hints(missing);
        // Networks were not taught across wider gaps, and make up edges there.
        let own = layout.hints(&[]);
        let is_wide: Vec<bool> = hints.iter().zip(&own).map(|(h, own)| h[0] > own[0] && h[0] > MOST_APART).collect();
        hints.iter_mut().for_each(|h| h[0] = h[0].min(MOST_APART));
        let wanted = inferred.iter().zip(&is_wide).map(|(inferred, is_wide)| *inferred && !is_wide).collect();
        let look = Look { size: [size[0], size[1]], hints, wanted, flips: options.flips };
        let bring_back = |values: &mut [f32]| bring_back(layout, rounds, &slices, missing, plane, values);
        values = look.sharpened(network, values, &bring_back, tell)?;
        bring_back(&mut values);
    }
    let last = difference(&average, &values, &slices, plane, missing);
    let measured = ((size[2] - missing.len()) * plane) as f64;
    let mismatch = last.par_iter().with_min_len(1 << 14).map(|v| f64::from(v.abs())).sum::<f64>() / measured;
    drop(last);
    scale.restore(&mut values);
    tell(1.0);

    let new = new_grid(old, axis, layout)?;
    let values = permuted(&values, order.map(|a| new.size()[a]), inverse(order));
    let whole = f32::from(i16::MIN)..=f32::from(i16::MAX);
    let scan = match scan {
        // Edges may swing beyond what was measured, and beyond what fits.
        ScanVolume::I16(_) if values.par_iter().all(|v| whole.contains(&v.round())) => {
            ScanVolume::I16(Volume::new(new, values.par_iter().map(|&v| i16::from_f32(v)).collect())?)
        }
        _ => ScanVolume::F32(Volume::new(new, values)?),
    };
    Ok(Upsampled { scan, axis, inferred, layout: *layout, mismatch: mismatch * f64::from(scale.unit) })
}

/// Averages a scan down along its slice axis to touching slices `slice_mm` thick, from the outer edge of its first voxel
/// on; what is left over at the end is not used. For trying how well thin slices come back.
///
/// The layout's voxels are those of the scan that lie within the slices.
///
/// # Errors
/// [`NeuralError::Input`] if slices were thinner than the scan's, or none fits.
pub fn average_down(scan: &ScanVolume, axis: usize, slice_mm: f64) -> Result<(Volume<f32>, SliceLayout), NeuralError> {
    let old = scan.geometry();
    let factor = slice_mm / old.spacing()[axis];
    if !(factor >= 1.0 && factor <= old.size()[axis] as f64) {
        let reason = format!("{slice_mm} mm thick slices cannot be made of it");
        return Err(NeuralError::Input { reason, remedy: "ask for some between its own and its extent".to_owned() });
    }
    let layout = SliceLayout::touching(old.size()[axis], factor);
    let order = axis_last(axis);
    let values = permuted(&floats(scan), old.size(), order);
    let size = order.map(|a| old.size()[a]);
    let whole = SliceLayout { voxels: old.size()[axis], ..layout };
    let averaged = whole.average().apply(&values, size[0] * size[1]);
    let mut new_size = old.size();
    new_size[axis] = layout.slices;
    let mut spacing = old.spacing();
    spacing[axis] = slice_mm;
    let shift = old.direction().col(axis) * ((factor - 1.0) / 2.0 * old.spacing()[axis]);
    let grid = ImageGeometry::new(new_size, spacing, space::Point::from(old.origin().get() + shift), old.direction())?;
    let values = permuted(&averaged, order.map(|a| new_size[a]), inverse(order));
    Ok((Volume::new(grid, values)?, layout))
}

fn check(scan: &ScanVolume, axis: usize, layout: &SliceLayout, missing: &[usize]) -> Result<(), NeuralError> {
    let wrong = |reason: String| {
        let remedy = "look at the scan's slices with `vestibule inspect`".to_owned();
        Err(NeuralError::Input { reason, remedy })
    };
    if axis > 2 || scan.geometry().size()[axis] != layout.slices {
        return wrong(format!("it has other than the {} slices that were told along axis {axis}", layout.slices));
    }
    let positive = layout.factor.is_finite() && layout.factor > 0.0 && layout.start.is_finite();
    if !(positive && THICKNESSES.contains(&layout.thickness) && layout.voxels > 0) {
        return wrong(format!("slices {} times as thick as apart cannot be", layout.thickness));
    }
    if let Some(beyond) = missing.iter().find(|&&k| k >= layout.slices) {
        return wrong(format!("slice {beyond} is told to be missing, and there are {}", layout.slices));
    }
    let unique: std::collections::BTreeSet<_> = missing.iter().collect();
    if unique.len() >= layout.slices || unique.len() != missing.len() {
        return wrong("all of its slices are told to be missing, or one is twice".to_owned());
    }
    Ok(())
}

/// Whether the new slices are the old ones.
fn is_same(layout: &SliceLayout) -> bool {
    (layout.factor - 1.0).abs() <= SAME && layout.start.abs() <= SAME
}

/// For each new slice, whether it was not measured.
fn inferred(layout: &SliceLayout, missing: &[usize]) -> Vec<bool> {
    let same = is_same(layout);
    (0..layout.voxels).map(|v| !same || missing.contains(&v)).collect()
}

/// Makes averages over the old slices what was measured, by all rounds of back-projection at once.
pub(super) fn bring_back(
    layout: &SliceLayout,
    rounds: usize,
    slices: &[f32],
    missing: &[usize],
    plane: usize,
    values: &mut [f32],
) {
    if rounds > 0 {
        let difference = difference(&layout.average(), values, slices, plane, missing);
        layout.interpolate(rounds - 1).apply_add(&difference, plane, values);
    }
}

/// What was measured less what is there, per old slice; nothing where none was measured.
fn difference(average: &Banded, values: &[f32], slices: &[f32], plane: usize, missing: &[usize]) -> Vec<f32> {
    let mut found = average.apply(values, plane);
    let pairs = found.par_chunks_mut(plane).zip(slices.par_chunks(plane)).enumerate();
    pairs.for_each(|(k, (found, measured))| {
        if missing.contains(&k) {
            found.fill(0.0);
        } else {
            found.iter_mut().zip(measured).for_each(|(f, m)| *f = m - *f);
        }
    });
    found
}

/// Planes as they are, and mirrored along the slice axis, across it, both.
pub(super) const MIRRORED: [[bool; 2]; 4] = [[false, false], [false, true], [true, false], [true, true]];

/// The planes of one direction: how many, how wide, the steps from plane to plane and from voxel to voxel.
#[derive(Clone, Copy)]
struct Way {
    planes: usize,
    width: usize,
    plane_step: usize,
    step: usize,
}

/// How networks look at a scan.
pub(super) struct Look {
    /// Columns and rows of a slice.
    pub(super) size: [usize; 2],
    /// Of each new slice.
    pub(super) hints: Vec<[f32; 4]>,
    /// False for slices that stay as interpolated.
    pub(super) wanted: Vec<bool>,
    /// As [`UpsampleOptions::flips`].
    pub(super) flips: bool,
}

impl Look {
    /// The interpolated scan with what the networks add; `bring_back` makes averages over the old slices what was measured.
    fn sharpened(
        &self,
        network: &ThroughPlane,
        mut values: Vec<f32>,
        bring_back: &dyn Fn(&mut [f32]),
        tell: &(dyn Fn(f32) + Sync),
    ) -> Result<Vec<f32>, NeuralError> {
        let share = 0.99 * (1.0 - network.fusion_share());
        let Some(fusion) = network.fusion() else {
            let mut sum = vec![0.0; values.len()];
            for (way, before) in self.ways().into_iter().zip([0.0, 0.5]) {
                self.add_residuals(&mut sum, network, &values, way, &|done| tell(share * (before + 0.5 * done)))?;
            }
            self.add(&sum, &mut values);
            return Ok(values);
        };
        let mut directions = self.directions(network, values, &|done| tell(share * done))?;
        bring_back(&mut directions.mean);
        let added = directions
            .fused(fusion, network.fold(), self, FUSION_CHUNK_VOXELS, &|done| tell(share + (0.99 - share) * done))?;
        let mut values = directions.mean;
        self.add(&added, &mut values);
        Ok(values)
    }

    /// What planes of both directions make of the interpolated scan.
    pub(super) fn directions(
        &self,
        network: &ThroughPlane,
        base: Vec<f32>,
        tell: &dyn Fn(f32),
    ) -> Result<Directions, NeuralError> {
        let [rows, columns] = self.ways();
        let [mut of_rows, mut of_columns] = [0; 2].map(|_| vec![0.0; base.len()]);
        self.add_residuals(&mut of_rows, network, &base, rows, &|done| tell(0.5 * done))?;
        self.add_residuals(&mut of_columns, network, &base, columns, &|done| tell(0.5 + 0.5 * done))?;
        Ok(Directions::new(base, of_rows, of_columns, self))
    }

    /// Planes that hold the slice axis: one for each row, one for each column.
    fn ways(&self) -> [Way; 2] {
        let [nx, ny] = self.size;
        [Way { planes: ny, width: nx, plane_step: nx, step: 1 }, Way { planes: nx, width: ny, plane_step: 1, step: nx }]
    }

    /// Adds to the slices that are wanted.
    fn add(&self, more: &[f32], values: &mut [f32]) {
        let plane = self.size[0] * self.size[1];
        let slices = values.par_chunks_mut(plane).zip(more.par_chunks(plane)).zip(&self.wanted);
        slices.filter(|(_, wanted)| **wanted).for_each(|((to, more), _)| {
            to.iter_mut().zip(more).for_each(|(to, more)| *to += more);
        });
    }

    /// Adds half of what the network of planes says, the mean over mirror images if asked for.
    fn add_residuals(
        &self,
        sum: &mut [f32],
        network: &ThroughPlane,
        values: &[f32],
        Way { planes, width, plane_step, step }: Way,
        tell: &dyn Fn(f32),
    ) -> Result<(), NeuralError> {
        let Self { size: [nx, ny], ref hints, .. } = *self;
        let (mut input, mut buffers) = (Vec::new(), Buffers::default());
        let mirrored = if self.flips { &MIRRORED[..] } else { &MIRRORED[..1] };
        let weight = 0.5 / mirrored.len() as f32;
        let range = |p: usize| {
            let slices = values.chunks(nx * ny);
            let each = slices.flat_map(|slice| (0..width).map(move |n| slice[p * plane_step + n * step]));
            let (low, high) = each.fold((f32::MAX, f32::MIN), |(l, h), v| (l.min(v), h.max(v)));
            high - low
        };
        let rough: Vec<usize> = (0..planes).into_par_iter().filter(|&p| range(p) >= FLAT).collect();
        let chunk = (CHUNK_VOXELS / (hints.len() * width)).max(1);
        let chunks = rough.chunks(chunk).flat_map(|part| mirrored.iter().map(move |mirror| (part, mirror)));
        let count = rough.len().div_ceil(chunk) * mirrored.len();
        for (at, (part, &mirror)) in chunks.enumerate() {
            let depth = hints.len().div_ceil(network.fold());
            let folding = Folding { fold: network.fold(), planes: part.len(), depth, width };
            let planes_of = Planes { values, plane: nx * ny, part, steps: [plane_step, step], hints, mirror };
            planes_of.gather(&folding, &mut input);
            network.planes().run(&input, folding.shape(INPUTS), &mut buffers)?;
            sum.par_chunks_mut(nx * ny).enumerate().for_each(|(z, slice)| {
                let z = if mirror[0] { hints.len() - 1 - z } else { z };
                for (at, &p) in part.iter().enumerate() {
                    let row = &buffers.out[folding.row(0, at, z)..][..width];
                    let mut add = |n: usize, v: f32| slice[p * plane_step + n * step] += weight * v;
                    if mirror[1] {
                        row.iter().rev().enumerate().for_each(|(n, v)| add(n, *v));
                    } else {
                        row.iter().enumerate().for_each(|(n, v)| add(n, *v));
                    }
                }
            });
            tell((at + 1) as f32 / count as f32);
        }
        Ok(())
    }
}

/// Some planes that hold the slice axis.
struct Planes<'a> {
    values: &'a [f32],
    /// Voxels of a slice.
    plane: usize,
    part: &'a [usize],
    /// From plane to plane and from voxel to voxel.
    steps: [usize; 2],
    hints: &'a [[f32; 4]],
    /// Along the slice axis and across it.
    mirror: [bool; 2],
}

impl Planes<'_> {
    /// The planes as the network takes them; what folding adds at the end repeats the last row.
    fn gather(&self, folding: &Folding, input: &mut Vec<f32>) {
        let Folding { fold, planes, depth, width } = *folding;
        let (last, [plane_step, step], [upside_down, turned]) = (self.hints.len() - 1, self.steps, self.mirror);
        input.resize(folding.shape(INPUTS).iter().product(), 0.0);
        input.par_chunks_mut(width).enumerate().for_each(|(row, out)| {
            let (channel, within) = (row / (planes * depth), row % (planes * depth));
            let z = (within % depth * fold + channel % fold).min(last);
            let z = if upside_down { last - z } else { z };
            match (channel / fold).checked_sub(1) {
                // Upside down, a place above a slice's middle lies below it.
                Some(hint) => out.fill(self.hints[z][hint] * if upside_down && hint == SINE { -1.0 } else { 1.0 }),
                None => {
                    let from = z * self.plane + self.part[within / depth] * plane_step;
                    let value = |n: usize| self.values[from + n * step];
                    out.iter_mut().enumerate().for_each(|(n, out)| {
                        *out = value(if turned { width - 1 - n } else { n });
                    });
                }
            }
        });
    }
}

/// The grid of a layout's voxels.
fn new_grid(old: &ImageGeometry, axis: usize, layout: &SliceLayout) -> Result<ImageGeometry, NeuralError> {
    let (mut size, mut spacing) = (old.size(), old.spacing());
    let shift = old.direction().col(axis) * (layout.position(0) * spacing[axis]);
    size[axis] = layout.voxels;
    spacing[axis] /= layout.factor;
    Ok(ImageGeometry::new(size, spacing, space::Point::from(old.origin().get() + shift), old.direction())?)
}

#[cfg(test)]
mod tests;
