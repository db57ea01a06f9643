//! Exact Euclidean distance on anisotropic grids, in time linear in the voxels.
//!
//! One pass an axis; along rows two sweeps, across them the lower envelope of parabolas (Felzenszwalb and Huttenlocher,
//! "Distance Transforms of Sampled Functions", Theory of Computing 8, 2012). Axes are taken as orthogonal: on a sheared
//! grid distances are those of the grid straightened.

use rayon::prelude::*;

use crate::grid::Volume;
use crate::lines::bands_across_slices;

/// Squared distance in mm² from each voxel's centre to the nearest centre in the mask: zero in the mask, infinite without one.
pub fn squared_distance_mm2(mask: &Volume<bool>) -> Volume<f32> {
    squared_distance_where(mask, |inside| *inside)
}

/// Squared distance in mm² from each voxel's centre to the nearest centre of a voxel that `inside` accepts.
pub fn squared_distance_where<T: Sync>(volume: &Volume<T>, inside: impl Fn(&T) -> bool + Sync) -> Volume<f32> {
    let geometry = *volume.geometry();
    let ([ni, nj, nk], spacing) = (geometry.size(), geometry.spacing());
    // Zeroed memory is touched first by whoever fills it, so the cores share that work too.
    let mut field = Volume::filled(geometry, 0f32);
    let slice = ni * nj;
    field.data_mut().par_chunks_mut(slice).zip(volume.data().par_chunks(slice)).for_each_init(
        || Envelope::new(nj, spacing[1]),
        |envelope, (field, values)| {
            for (field, values) in field.chunks_exact_mut(ni).zip(values.chunks_exact(ni)) {
                along_row(field, values, &inside, spacing[0] as f32);
            }
            if nj > 1 {
                let rows: Vec<&mut [f32]> = field.chunks_exact_mut(ni).collect();
                envelope.lower(rows);
            }
        },
    );
    if nk > 1 {
        bands_across_slices(field.data_mut(), slice, ni)
            .into_par_iter()
            .for_each_init(|| Envelope::new(nk, spacing[2]), |envelope, band| envelope.lower(band));
    }
    field
}

/// Distance in mm to the boundary of the mask, negative inside: to the nearest centre of the other kind.
///
/// Neighbours across the boundary have opposite values, so linear interpolation puts the zero midway between them.
pub fn signed_distance_mm(mask: &Volume<bool>) -> Volume<f32> {
    let mut outside = squared_distance_where(mask, |inside| *inside);
    let inside = squared_distance_where(mask, |inside| !*inside);
    outside.data_mut().par_iter_mut().zip(inside.data()).for_each(|(out, &inside)| {
        *out = if inside > 0.0 { -inside.sqrt() } else { out.sqrt() };
    });
    outside
}

/// Squared distances within one row, from a sweep there and a sweep back.
fn along_row<T>(field: &mut [f32], values: &[T], inside: &impl Fn(&T) -> bool, spacing: f32) {
    let mut steps = f32::INFINITY;
    let mut found = false;
    for (out, value) in field.iter_mut().zip(values) {
        steps = if inside(value) { 0.0 } else { steps + 1.0 };
        found |= steps == 0.0;
        *out = steps;
    }
    if !found {
        return;
    }
    steps = f32::INFINITY;
    for out in field.iter_mut().rev() {
        steps = if *out == 0.0 { 0.0 } else { steps + 1.0 };
        let mm = out.min(steps) * spacing;
        *out = mm * mm;
    }
}

/// Columns handled together: one cache line of `f32`.
const COLUMNS: usize = 16;

/// Work space for the lower envelope of parabolas along one axis.
struct Envelope {
    /// Square of the spacing: an index step of one in mm².
    step: f64,
    /// Values of [`COLUMNS`] columns, one after the other.
    columns: Vec<f32>,
    parabolas: Vec<Parabola>,
}

#[derive(Clone, Copy)]
struct Parabola {
    apex: usize,
    /// Value at the apex, in mm².
    value: f32,
    /// `value + apex²`, in index steps.
    height: f64,
    /// Where it takes over from the one before, as the index `start / width`. Kept apart, since a division costs more
    /// than all the rest.
    start: f64,
    width: f64,
}

impl Envelope {
    fn new(length: usize, spacing: f64) -> Self {
        Self { step: spacing * spacing, columns: vec![0.0; COLUMNS * length], parabolas: Vec::with_capacity(length) }
    }

    /// Replaces `rows[n][i]` by the minimum over `m` of `rows[m][i] + (spacing · (n − m))²`.
    fn lower(&mut self, mut rows: Vec<&mut [f32]>) {
        let length = rows.len();
        let width = rows.first().map_or(0, |r| r.len());
        for first in (0..width).step_by(COLUMNS) {
            let columns = COLUMNS.min(width - first);
            let (mut least, mut most) = (f32::INFINITY, 0f32);
            for (n, row) in rows.iter().enumerate() {
                for (c, &value) in row[first..first + columns].iter().enumerate() {
                    self.columns[c * length + n] = value;
                    (least, most) = (least.min(value), most.max(value));
                }
            }
            // Nothing to come from, or nowhere to go.
            if least == f32::INFINITY || most == 0.0 {
                continue;
            }
            for column in self.columns.chunks_exact_mut(length).take(columns) {
                lower_column(column, self.step, &mut self.parabolas);
            }
            for (n, row) in rows.iter_mut().enumerate() {
                for (c, value) in row[first..first + columns].iter_mut().enumerate() {
                    *value = self.columns[c * length + n];
                }
            }
        }
    }
}

fn lower_column(column: &mut [f32], step: f64, envelope: &mut Vec<Parabola>) {
    let per_step = step.recip();
    let last_index = (column.len() - 1) as f64;
    envelope.clear();
    let mut run = false;
    for apex in 0..column.len() {
        let value = column[apex];
        // Of a run of zeros only the ends are nearest to anything else.
        let inside_run = run && column.get(apex + 1) == Some(&0.0);
        run = value == 0.0;
        if value == f32::INFINITY || (run && inside_run) {
            continue;
        }
        let height = f64::from(value) * per_step + (apex * apex) as f64;
        let (mut start, mut width) = (f64::NEG_INFINITY, 1.0);
        while let Some(last) = envelope.last() {
            start = height - last.height;
            width = (2 * (apex - last.apex)) as f64;
            if start * last.width > last.start * width {
                break;
            }
            envelope.pop();
            (start, width) = (f64::NEG_INFINITY, 1.0);
        }
        // What takes over behind the end never does.
        if start <= last_index * width {
            envelope.push(Parabola { apex, value, height, start, width });
        }
    }
    let mut lowest = envelope.iter().peekable();
    let Some(mut here) = lowest.next() else { return };
    for (n, value) in column.iter_mut().enumerate() {
        while let Some(next) = lowest.next_if(|next| next.start <= n as f64 * next.width) {
            here = next;
        }
        if *value != 0.0 {
            let steps = n.abs_diff(here.apex) as f64;
            *value = (f64::from(here.value) + step * steps * steps) as f32;
        }
    }
}

#[cfg(test)]
mod tests {
    use glam::DMat3;
    use proptest::prelude::*;
    use space::Point;

    use super::*;
    use crate::geometry::ImageGeometry;

    fn grid(size: [usize; 3], spacing: [f64; 3]) -> ImageGeometry {
        ImageGeometry::new(size, spacing, Point::ZERO, DMat3::IDENTITY).unwrap()
    }

    fn brute_force(mask: &Volume<bool>) -> Vec<f64> {
        let ([ni, nj, nk], s) = (mask.geometry().size(), mask.geometry().spacing());
        let voxels: Vec<[usize; 3]> =
            (0..nk).flat_map(|k| (0..nj).flat_map(move |j| (0..ni).map(move |i| [i, j, k]))).collect();
        let squared = |a: &[usize; 3], b: &[usize; 3]| -> f64 {
            (0..3).map(|d| ((a[d] as f64 - b[d] as f64) * s[d]).powi(2)).sum()
        };
        let inside: Vec<_> = voxels.iter().zip(mask.data()).filter(|(_, m)| **m).map(|(v, _)| v).collect();
        voxels.iter().map(|v| inside.iter().map(|w| squared(v, w)).fold(f64::INFINITY, f64::min)).collect()
    }

    proptest! {
        #[test]
        fn equals_brute_force(
            size in prop::array::uniform3(1usize..14),
            spacing in prop::array::uniform3(0.3..6.0f64),
            seeds in prop::collection::vec(any::<prop::sample::Index>(), 0..12),
        ) {
            let mut mask = Volume::filled(grid(size, spacing), false);
            let n = mask.data().len();
            seeds.iter().for_each(|s| mask.data_mut()[s.index(n)] = true);
            for (found, expected) in squared_distance_mm2(&mask).data().iter().zip(brute_force(&mask)) {
                let close = (f64::from(*found) - expected).abs() <= 1e-5 * (1.0 + expected);
                prop_assert!(close || f64::from(*found) == expected, "{found} instead of {expected}");
            }
        }
    }

    #[test]
    fn signs_and_midway_zero() {
        let mask = Volume::from_fn(grid([6, 1, 1], [2.0, 1.0, 1.0]), |[i, ..]| i >= 3);
        assert_eq!(signed_distance_mm(&mask).data(), [6.0, 4.0, 2.0, -2.0, -4.0, -6.0]);
        let none = Volume::filled(grid([2, 2, 2], [1.0; 3]), false);
        assert!(signed_distance_mm(&none).data().iter().all(|d| *d == f32::INFINITY));
        let all = none.map(|_| true);
        assert!(signed_distance_mm(&all).data().iter().all(|d| *d == f32::NEG_INFINITY));
    }
}
