//! A scan along other axes, without moving a voxel.

use space::{AnatomicalDirection, AxisCode};
use volume::{ImageGeometry, ScanVolume};

/// A part of a grid along axes of its own: where voxel `[0, 0, 0]` lies in the data, and what a step along each axis adds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct View {
    pub(super) size: [usize; 3],
    pub(super) start: usize,
    pub(super) step: [isize; 3],
}

impl View {
    /// As nnU-Net reads files through SimpleITK: slice, row, column; and the spacing along these.
    pub(super) fn stored(geometry: &ImageGeometry) -> (Self, [f64; 3]) {
        let [i, j, k] = geometry.size();
        let [x, y, z] = geometry.spacing();
        (Self { size: [k, j, i], start: 0, step: [(i * j) as isize, i as isize, 1] }, [z, y, x])
    }

    /// As nnU-Net reads files through nibabel's canonical orientation: axes that run to superior, anterior and right.
    pub(super) fn canonical(geometry: &ImageGeometry) -> (Self, [f64; 3]) {
        let (stored, spacing) = Self::stored(geometry);
        let AxisCode(code) = AxisCode::of(geometry.direction());
        let wanted = [AnatomicalDirection::Superior, AnatomicalDirection::Anterior, AnatomicalDirection::Right];
        let mut view = stored;
        let mut order = [0, 1, 2];
        for (axis, wanted) in wanted.into_iter().enumerate() {
            // The code is column, row, slice; the stored view is the other way round.
            let from = code.iter().position(|&c| c == wanted || c == wanted.opposite()).map_or(axis, |c| 2 - c);
            order[axis] = from;
            if code[2 - from] != wanted {
                view = view.flipped(from);
            }
        }
        (view.permuted(order), order.map(|a| spacing[a]))
    }

    /// Axis `a` of the result is axis `order[a]` of this one.
    pub(super) fn permuted(self, order: [usize; 3]) -> Self {
        Self { size: order.map(|a| self.size[a]), start: self.start, step: order.map(|a| self.step[a]) }
    }

    fn flipped(mut self, axis: usize) -> Self {
        self.start = self.offset_of(axis, self.size[axis] - 1);
        self.step[axis] = -self.step[axis];
        self
    }

    fn offset_of(&self, axis: usize, at: usize) -> usize {
        self.start.wrapping_add_signed(at as isize * self.step[axis])
    }

    /// The voxels `start[a] .. end[a]`.
    pub(super) fn cropped(self, start: [usize; 3], end: [usize; 3]) -> Self {
        let first = self.offset(start);
        Self { size: [0, 1, 2].map(|a| end[a] - start[a]), start: first, step: self.step }
    }

    /// Where a voxel lies in the data.
    pub(super) fn offset(&self, at: [usize; 3]) -> usize {
        let moved = (0..3).map(|a| at[a] as isize * self.step[a]).sum();
        self.start.wrapping_add_signed(moved)
    }

    /// Number of voxels.
    pub(super) fn len(&self) -> usize {
        self.size.iter().product()
    }
}

/// The values of a row along the last axis.
pub(super) fn read_row(scan: &ScanVolume, view: &View, at: [usize; 2], out: &mut [f32]) {
    let (first, step) = (view.offset([at[0], at[1], 0]), view.step[2]);
    let place = |n: usize| first.wrapping_add_signed(n as isize * step);
    match scan {
        ScanVolume::I16(volume) => {
            out.iter_mut().enumerate().for_each(|(n, out)| *out = volume.data()[place(n)].into());
        }
        ScanVolume::F32(volume) => out.iter_mut().enumerate().for_each(|(n, out)| *out = volume.data()[place(n)]),
    }
}

/// The least box around all voxels that are not zero; everything if all are.
pub(super) fn nonzero_box(scans: &[&ScanVolume], view: &View) -> ([usize; 3], [usize; 3]) {
    let (mut start, mut end) = (view.size, [0; 3]);
    let mut row = vec![0.0f32; view.size[2]];
    for a in 0..view.size[0] {
        for b in 0..view.size[1] {
            for scan in scans {
                read_row(scan, view, [a, b], &mut row);
                let Some(first) = row.iter().position(|&v| v != 0.0) else { continue };
                let last = row.iter().rposition(|&v| v != 0.0).unwrap_or(first);
                for (axis, (low, high)) in [(a, a), (b, b), (first, last)].into_iter().enumerate() {
                    start[axis] = start[axis].min(low);
                    end[axis] = end[axis].max(high + 1);
                }
            }
        }
    }
    if end == [0; 3] { ([0; 3], view.size) } else { (start, end) }
}

/// Voxels of `view` that are not zero in some scan, and those that zeros enclose not: the holes are filled.
///
/// A hole is zeros from which no path over faces leads out of the whole view, as in SciPy's `binary_fill_holes`.
pub(super) fn filled_mask(scans: &[&ScanVolume], view: &View) -> Vec<bool> {
    let [na, nb, nc] = view.size;
    let mut inside = vec![false; view.len()];
    let mut row = vec![0.0f32; nc];
    for (n, out) in inside.chunks_exact_mut(nc).enumerate() {
        for scan in scans {
            read_row(scan, view, [n / nb, n % nb], &mut row);
            out.iter_mut().zip(&row).for_each(|(out, &v)| *out |= v != 0.0);
        }
    }
    // What the border reaches through zeros is outside; what is neither is a hole.
    let mut outside = vec![false; inside.len()];
    let mut open = Vec::new();
    for a in 0..na {
        for b in 0..nb {
            let edge = a == 0 || a == na - 1 || b == 0 || b == nb - 1;
            for c in (0..nc).step_by(if edge { 1 } else { (nc - 1).max(1) }) {
                open.push((a * nb + b) * nc + c);
            }
        }
    }
    while let Some(at) = open.pop() {
        if inside[at] || outside[at] {
            continue;
        }
        outside[at] = true;
        let (a, b, c) = (at / (nb * nc), at / nc % nb, at % nc);
        let mut next = |allowed: bool, to: usize| {
            if allowed && !inside[to] && !outside[to] {
                open.push(to);
            }
        };
        next(a > 0, at.wrapping_sub(nb * nc));
        next(a + 1 < na, at + nb * nc);
        next(b > 0, at.wrapping_sub(nc));
        next(b + 1 < nb, at + nc);
        next(c > 0, at.wrapping_sub(1));
        next(c + 1 < nc, at + 1);
    }
    outside.iter_mut().for_each(|o| *o = !*o);
    outside
}

#[cfg(test)]
mod tests {
    use glam::DMat3;
    use space::{Index, Point};
    use volume::Volume;

    use super::*;

    fn scan(size: [usize; 3], direction: DMat3) -> ScanVolume {
        let grid = ImageGeometry::new(size, [1.0, 2.0, 3.0], Point::ZERO, direction).unwrap();
        let mut n = 0;
        ScanVolume::I16(Volume::from_fn(grid, |_| {
            n += 1;
            n
        }))
    }

    #[test]
    fn a_canonical_view_runs_to_superior_anterior_and_right() {
        // All 48 ways to lay a grid along the axes of the body.
        let axes = [glam::DVec3::X, glam::DVec3::Y, glam::DVec3::Z];
        for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
            for signs in 0..8 {
                let column = |n: usize| axes[order[n]] * if signs >> n & 1 == 1 { -1.0 } else { 1.0 };
                let scan = scan([4, 3, 2], DMat3::from_cols(column(0), column(1), column(2)));
                let (view, spacing) = View::canonical(scan.geometry());
                let at = |v: [usize; 3]| {
                    let offset = view.offset(v);
                    let index: Point<Index> =
                        Point::from_array([(offset % 4) as f64, (offset / 4 % 3) as f64, (offset / 12) as f64]);
                    scan.geometry().lps_from_index() * index
                };
                for (axis, towards) in [glam::DVec3::Z, glam::DVec3::NEG_Y, glam::DVec3::NEG_X].into_iter().enumerate()
                {
                    let mut next = [0; 3];
                    next[axis] = 1;
                    let moved = at(next).get() - at([0; 3]).get();
                    assert!((moved - towards * spacing[axis]).length() < 1e-9, "{order:?} {signs}: {moved}");
                }
            }
        }
    }

    #[test]
    fn the_box_around_what_is_not_zero() {
        let grid = ImageGeometry::new([5, 4, 3], [1.0; 3], Point::ZERO, DMat3::IDENTITY).unwrap();
        let one = |i, j, k| ScanVolume::I16(Volume::from_fn(grid, move |v| i16::from(v == [i, j, k])));
        let (a, b) = (one(1, 2, 0), one(3, 1, 1));
        let (view, _) = View::stored(&grid);
        assert_eq!(nonzero_box(&[&a, &b], &view), ([0, 1, 1], [2, 3, 4]));
        let empty = ScanVolume::I16(Volume::filled(grid, 0));
        assert_eq!(nonzero_box(&[&empty], &view), ([0; 3], [3, 4, 5]));
    }

    #[test]
    fn holes_are_filled_but_not_bays() {
        let grid = ImageGeometry::new([5, 5, 5], [1.0; 3], Point::ZERO, DMat3::IDENTITY).unwrap();
        let shell = |v: [usize; 3]| v.iter().all(|n| (1..4).contains(n)) && v != [2, 2, 2];
        let closed = ScanVolume::I16(Volume::from_fn(grid, |v| i16::from(shell(v))));
        let open = ScanVolume::I16(Volume::from_fn(grid, |v| i16::from(shell(v) && v != [2, 2, 1])));
        let (view, _) = View::stored(&grid);
        let count = |scan: &ScanVolume| filled_mask(&[scan], &view).iter().filter(|m| **m).count();
        assert_eq!(count(&closed), 27);
        assert_eq!(count(&open), 25);
    }
}
