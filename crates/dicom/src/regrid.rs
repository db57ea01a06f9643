//! Measured slices → an even, right-angled grid.

use glam::DVec2;
use rayon::prelude::*;
use volume::{Volume, VolumeError, Voxel};

use crate::planes::{Blend, Layout};

/// Moves and mixes measured slices (`columns` × `rows` each, stack order) as the layout says, bilinear in the plane and
/// linear across; what no slice covers becomes `outside`.
pub(crate) fn regrid<T: Voxel>(
    measured: &[T],
    [columns, rows]: [usize; 2],
    layout: &Layout,
    outside: T,
) -> Result<Volume<T>, VolumeError> {
    let [width, height, slices] = layout.geometry.size();
    let mut data = vec![outside; width * height * slices];
    data.par_chunks_mut(width * height).zip(&layout.blends).for_each(|(slice, blend)| {
        let source = |k: usize| Sheared {
            slice: &measured[k * columns * rows..(k + 1) * columns * rows],
            size: [columns, rows],
            shift: layout.shifts[k],
        };
        fill(slice, width, &source(blend.below), &source(blend.above), *blend);
    });
    Volume::new(layout.geometry, data)
}

fn fill<T: Voxel>(slice: &mut [T], width: usize, below: &Sheared<'_, T>, above: &Sheared<'_, T>, blend: Blend) {
    let weight = blend.weight as f32;
    for (j, line) in slice.chunks_exact_mut(width).enumerate() {
        for (i, value) in line.iter_mut().enumerate() {
            let below = below.at(i, j);
            let above = if weight == 0.0 { below } else { above.at(i, j) };
            // Where only one of the two has been measured, nothing is made up.
            if let (Some(below), Some(above)) = (below, above) {
                *value = if weight == 0.0 { T::from_f32(below) } else { T::from_f32(below + (above - below) * weight) };
            }
        }
    }
}

/// A slice shifted within its plane.
struct Sheared<'a, T> {
    slice: &'a [T],
    size: [usize; 2],
    shift: DVec2,
}

impl<T: Voxel> Sheared<'_, T> {
    /// The value at a place of the grid, unless it lies beyond the slice's own pixels.
    fn at(&self, i: usize, j: usize) -> Option<f32> {
        let [columns, rows] = self.size;
        let (i0, i1, u) = neighbours(i as f64 - self.shift.x, columns)?;
        let (j0, j1, v) = neighbours(j as f64 - self.shift.y, rows)?;
        let value = |i: usize, j: usize| self.slice[i + columns * j].to_f32();
        if u == 0.0 && v == 0.0 {
            return Some(value(i0, j0));
        }
        let line = |j| value(i0, j) + (value(i1, j) - value(i0, j)) * u;
        Some(line(j0) + (line(j1) - line(j0)) * v)
    }
}

/// The two pixels around a place and the weight of the second; up to half a pixel outside counts as the edge.
fn neighbours(place: f64, count: usize) -> Option<(usize, usize, f32)> {
    let last = count as f64 - 1.0;
    if place < -0.5 || place > last + 0.5 {
        return None;
    }
    let place = place.clamp(0.0, last);
    let first = place as usize;
    Some((first, (first + 1).min(count - 1), (place - first as f64) as f32))
}
