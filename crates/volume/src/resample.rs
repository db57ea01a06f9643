//! Values of one grid at the voxels of another.
//!
//! As in ITK, a grid reaches half a voxel beyond its outermost centres; there the nearest values are continued.

use glam::DVec3;
use rayon::prelude::*;
use space::{Affine, Index, Point};

use crate::geometry::ImageGeometry;
use crate::grid::{Volume, Voxel};

/// Rounding of positions that are meant to be exact, in voxels.
const TOLERANCE: f64 = 1e-6;

/// The nearest value at each voxel of `target`, `outside` where the source has none.
pub fn nearest<T: Copy + Send + Sync>(source: &Volume<T>, target: &ImageGeometry, outside: T) -> Volume<T> {
    let map = Map::new(source.geometry(), target);
    let [si, sj, _] = source.geometry().size();
    let mut out = Volume::filled(*target, outside);
    let [ni, nj, _] = target.size();
    match map.axes() {
        Some([x, y, z]) => {
            let (x, y, z) = (x.nearest(), y.nearest(), z.nearest());
            out.data_mut().par_chunks_mut(ni).enumerate().for_each(|(row, out)| {
                let (Some(j), Some(k)) = (y[row % nj], z[row / nj]) else { return };
                let from = &source.data()[si * (j + sj * k)..][..si];
                for (out, i) in out.iter_mut().zip(&x) {
                    if let Some(i) = *i {
                        *out = from[i];
                    }
                }
            });
        }
        None => out.data_mut().par_chunks_mut(ni).enumerate().for_each(|(row, out)| {
            for (i, out) in out.iter_mut().enumerate() {
                if let Some([i, j, k]) = map.source_voxel([i, row % nj, row / nj]) {
                    *out = source.data()[i + si * (j + sj * k)];
                }
            }
        }),
    }
    out
}

/// The linearly interpolated value at each voxel of `target`, `outside` where the source has none.
pub fn linear<T: Voxel>(source: &Volume<T>, target: &ImageGeometry, outside: T) -> Volume<T> {
    let map = Map::new(source.geometry(), target);
    let mut out = Volume::filled(*target, outside);
    let [ni, nj, _] = target.size();
    let [si, sj, _] = source.geometry().size();
    match map.axes() {
        Some([x, y, z]) => {
            let (x, y, z) = (x.linear(), y.linear(), z.linear());
            out.data_mut().par_chunks_mut(ni).enumerate().for_each_init(
                || vec![0f32; si],
                |mixed, (row, out)| {
                    let (Some(j), Some(k)) = (y[row % nj], z[row / nj]) else { return };
                    let from = |j: usize, k: usize| &source.data()[si * (j + sj * k)..][..si];
                    mix(
                        mixed,
                        [from(j.low, k.low), from(j.high, k.low), from(j.low, k.high), from(j.high, k.high)],
                        j,
                        k,
                    );
                    for (out, i) in out.iter_mut().zip(&x) {
                        if let Some(i) = i {
                            *out = T::from_f32(between(mixed[i.low], mixed[i.high], i.weight));
                        }
                    }
                },
            );
        }
        None => out.data_mut().par_chunks_mut(ni).enumerate().for_each(|(row, out)| {
            for (i, out) in out.iter_mut().enumerate() {
                let Some([i, j, k]) = map.source_cell([i, row % nj, row / nj]) else { continue };
                let at = |i: usize, j: usize, k: usize| source.data()[i + si * (j + sj * k)].to_f32();
                let along = |j, k| between(at(i.low, j, k), at(i.high, j, k), i.weight);
                let across = |k| between(along(j.low, k), along(j.high, k), j.weight);
                *out = T::from_f32(between(across(k.low), across(k.high), k.weight));
            }
        }),
    }
    out
}

/// Exact where both ends are equal and at either end.
fn between(low: f32, high: f32, weight: f32) -> f32 {
    low + (high - low) * weight
}

fn mix<T: Voxel>(mixed: &mut [f32], [ll, hl, lh, hh]: [&[T]; 4], j: Cell, k: Cell) {
    let exact = |c: Cell| c.low == c.high;
    if exact(j) && exact(k) {
        mixed.iter_mut().zip(ll).for_each(|(m, a)| *m = a.to_f32());
    } else if exact(k) {
        mixed.iter_mut().zip(ll.iter().zip(hl)).for_each(|(m, (a, b))| *m = between(a.to_f32(), b.to_f32(), j.weight));
    } else if exact(j) {
        mixed.iter_mut().zip(ll.iter().zip(lh)).for_each(|(m, (a, c))| *m = between(a.to_f32(), c.to_f32(), k.weight));
    } else {
        for (n, m) in mixed.iter_mut().enumerate() {
            let low = between(ll[n].to_f32(), hl[n].to_f32(), j.weight);
            let high = between(lh[n].to_f32(), hh[n].to_f32(), j.weight);
            *m = between(low, high, k.weight);
        }
    }
}

/// Two neighbouring indices and how far the position is from the first to the second.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Cell {
    low: usize,
    high: usize,
    weight: f32,
}

impl Cell {
    /// `None` more than half a voxel outside `0 ..= size - 1`.
    fn at(position: f64, size: usize) -> Option<Self> {
        let last = (size - 1) as f64;
        if !(position >= -0.5 - TOLERANCE && position <= last + 0.5 + TOLERANCE) {
            return None;
        }
        let position = position.clamp(0.0, last);
        let nearest = position.round();
        let on_centre = (position - nearest).abs() < TOLERANCE;
        let low = if on_centre { nearest } else { position.floor() };
        let high = if on_centre { low } else { low + 1.0 };
        Some(Self { low: low as usize, high: high as usize, weight: (position - low).max(0.0) as f32 })
    }
}

/// The nearest index; halves go up, as in ITK. `None` more than half a voxel outside.
fn nearest_index(position: f64, size: usize) -> Option<usize> {
    let last = (size - 1) as f64;
    let inside = position >= -0.5 - TOLERANCE && position <= last + 0.5 + TOLERANCE;
    inside.then(|| (position + 0.5 + TOLERANCE).floor().clamp(0.0, last) as usize)
}

/// The way from indices of the target to indices of the source.
struct Map {
    source_from_target: Affine<Index, Index>,
    source: [usize; 3],
    target: [usize; 3],
}

impl Map {
    fn new(source: &ImageGeometry, target: &ImageGeometry) -> Self {
        Self {
            source_from_target: source.index_from_lps() * target.lps_from_index(),
            source: source.size(),
            target: target.size(),
        }
    }

    /// Each axis by itself, if the grids are parallel: no position strays by the tolerance over the whole grid.
    fn axes(&self) -> Option<[Axis; 3]> {
        let columns = self.source_from_target.linear.to_cols_array_2d();
        let parallel = (0..3)
            .all(|from| (0..3).all(|to| from == to || columns[from][to].abs() * self.target[from] as f64 <= TOLERANCE));
        let axis = |a: usize| Axis {
            start: self.source_from_target.translation[a],
            step: columns[a][a],
            source: self.source[a],
            target: self.target[a],
        };
        parallel.then(|| [axis(0), axis(1), axis(2)])
    }

    fn position(&self, voxel: [usize; 3]) -> DVec3 {
        (self.source_from_target * Point::from_array(voxel.map(|v| v as f64))).get()
    }

    fn source_voxel(&self, voxel: [usize; 3]) -> Option<[usize; 3]> {
        let p = self.position(voxel);
        let [si, sj, sk] = self.source;
        Some([nearest_index(p.x, si)?, nearest_index(p.y, sj)?, nearest_index(p.z, sk)?])
    }

    fn source_cell(&self, voxel: [usize; 3]) -> Option<[Cell; 3]> {
        let p = self.position(voxel);
        let [si, sj, sk] = self.source;
        Some([Cell::at(p.x, si)?, Cell::at(p.y, sj)?, Cell::at(p.z, sk)?])
    }
}

/// One axis of two parallel grids.
struct Axis {
    start: f64,
    step: f64,
    source: usize,
    target: usize,
}

impl Axis {
    fn positions(&self) -> impl Iterator<Item = f64> {
        (0..self.target).map(|n| self.start + self.step * n as f64)
    }
    fn nearest(&self) -> Vec<Option<usize>> {
        self.positions().map(|p| nearest_index(p, self.source)).collect()
    }
    fn linear(&self) -> Vec<Option<Cell>> {
        self.positions().map(|p| Cell::at(p, self.source)).collect()
    }
}

#[cfg(test)]
mod tests {
    use glam::DMat3;
    use proptest::prelude::*;

    use super::*;

    fn grid(size: [usize; 3], spacing: [f64; 3], origin: [f64; 3], turn: f64) -> ImageGeometry {
        let direction = DMat3::from_rotation_z(turn) * DMat3::from_rotation_x(0.5 * turn);
        ImageGeometry::new(size, spacing, Point::from_array(origin), direction).unwrap()
    }

    /// A value that is linear in space: interpolation must give it exactly.
    fn ramp(geometry: ImageGeometry) -> Volume<f32> {
        Volume::from_fn(geometry, |v| plane(&geometry, v))
    }

    fn plane(geometry: &ImageGeometry, voxel: [usize; 3]) -> f32 {
        let p = geometry.lps_from_index() * Point::from_array(voxel.map(|v| v as f64));
        (2.0 * p.x - 3.0 * p.y + 0.5 * p.z + 7.0) as f32
    }

    proptest! {
        #[test]
        fn linear_field_stays_linear(
            turn in prop_oneof![Just(0.0), -1.0..1.0f64],
            spacing in prop::array::uniform3(0.4..2.5f64),
            origin in prop::array::uniform3(-4.0..4.0f64),
        ) {
            let source = ramp(grid([12, 11, 10], [1.0, 1.5, 2.0], [0.0; 3], 0.0));
            let target = grid([7, 6, 5], spacing, origin, turn);
            let map = Map::new(source.geometry(), &target);
            let out = linear(&source, &target, -1e6);
            for k in 0..5 {
                for j in 0..6 {
                    for i in 0..7 {
                        let p = map.position([i, j, k]);
                        let found = *out.get(i, j, k).unwrap();
                        let inside = |e: f64| (0..3).all(|a| p[a] >= -e && p[a] <= source.geometry().size()[a] as f64 - 1.0 + e);
                        if inside(-0.01) {
                            prop_assert!((found - plane(&target, [i, j, k])).abs() < 1e-3, "{found} at {p}");
                        } else if !inside(0.51) {
                            prop_assert_eq!(found, -1e6);
                        }
                    }
                }
            }
        }

        #[test]
        fn parallel_and_general_ways_agree(
            spacing in prop::array::uniform3(0.4..2.5f64),
            origin in prop::array::uniform3(-4.0..4.0f64),
        ) {
            let source = Volume::from_fn(grid([9, 8, 7], [1.0, 1.5, 2.0], [0.0; 3], 0.3), |[i, j, k]| {
                ((i * 7 + j * 13 + k * 29) % 50) as i16
            });
            let target = grid([6, 5, 4], spacing, origin, 0.3);
            let map = Map::new(source.geometry(), &target);
            prop_assert!(map.axes().is_some());
            let (near, line) = (nearest(&source, &target, -9), linear(&source, &target, -9));
            for k in 0..4 {
                for j in 0..5 {
                    for i in 0..6 {
                        let voxel = map.source_voxel([i, j, k]).map(|[i, j, k]| *source.get(i, j, k).unwrap());
                        prop_assert_eq!(*near.get(i, j, k).unwrap(), voxel.unwrap_or(-9));
                        let cell = map.source_cell([i, j, k]).is_some();
                        prop_assert!(cell || *line.get(i, j, k).unwrap() == -9);
                    }
                }
            }
        }
    }

    #[test]
    fn same_grid_gives_the_same_values() {
        let source = ramp(grid([5, 6, 7], [0.7, 0.8, 3.0], [10.0, -3.0, 2.5], 0.4));
        let as_integers = source.map(|v| *v as i16);
        assert_eq!(linear(&as_integers, source.geometry(), 0), as_integers);
        assert_eq!(nearest(&source, source.geometry(), 0.0), source);
    }

    #[test]
    fn half_a_voxel_beyond_is_continued() {
        let source = Volume::new(grid([2, 1, 1], [1.0; 3], [0.0; 3], 0.0), vec![10i16, 20]).unwrap();
        let target = grid([9, 1, 1], [0.25, 1.0, 1.0], [-0.75, 0.0, 0.0], 0.0);
        assert_eq!(linear(&source, &target, -1).data(), [-1, 10, 10, 10, 13, 15, 18, 20, 20]);
        assert_eq!(nearest(&source, &target, -1).data(), [-1, 10, 10, 10, 10, 20, 20, 20, 20]);
    }

    #[test]
    fn mirrored_grids_turn_values_round() {
        let source = Volume::new(grid([3, 1, 1], [2.0; 3], [0.0; 3], 0.0), vec![1u8, 2, 3]).unwrap();
        let mirrored = DMat3::from_diagonal([-1.0, 1.0, 1.0].into());
        let target = ImageGeometry::new([3, 1, 1], [2.0; 3], Point::new(4.0, 0.0, 0.0), mirrored).unwrap();
        assert_eq!(nearest(&source, &target, 0).data(), [3, 2, 1]);
        assert_eq!(linear(&source, &target, 0).data(), [3, 2, 1]);
    }
}
