//! Voxels on a grid.

use rayon::prelude::*;
use thiserror::Error;

use crate::geometry::ImageGeometry;

/// A number a voxel may hold.
pub trait Voxel: Copy + PartialOrd + Default + Send + Sync + 'static {
    /// As `f32`; exact for 8- and 16-bit integers.
    fn to_f32(self) -> f32;
    /// From `f32`, rounded half away from zero and clamped to the type's range.
    fn from_f32(value: f32) -> Self;
}

/// The largest single below one half: what is less than a half away is not carried over by the addition's own rounding.
const BELOW_HALF: f32 = 0.5f32.next_down();

macro_rules! voxel {
    ($($t:ty),*) => {$(
        impl Voxel for $t {
            fn to_f32(self) -> f32 {
                f32::from(self)
            }
            fn from_f32(value: f32) -> Self {
                // `f32::round` is a call on the baseline x86-64; this is the same for all that fits 16 bits.
                (value + BELOW_HALF.copysign(value)) as Self
            }
        }
    )*};
}
voxel!(u8, i8, u16, i16);

impl Voxel for f32 {
    fn to_f32(self) -> f32 {
        self
    }
    fn from_f32(value: f32) -> Self {
        value
    }
}

/// Values on a grid; column fastest, then row, then slice.
#[derive(Clone, Debug, PartialEq)]
pub struct Volume<T> {
    geometry: ImageGeometry,
    data: Vec<T>,
}

/// Data and grid do not fit.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("a grid of {size:?} holds {expected} voxels; found {found}")]
pub struct VolumeError {
    size: [usize; 3],
    expected: usize,
    found: usize,
}

impl<T> Volume<T> {
    /// Lays data over a grid.
    ///
    /// # Errors
    /// [`VolumeError`] if the number of values is not the number of voxels.
    pub fn new(geometry: ImageGeometry, data: Vec<T>) -> Result<Self, VolumeError> {
        let expected = geometry.voxel_count();
        if data.len() == expected {
            Ok(Self { geometry, data })
        } else {
            Err(VolumeError { size: geometry.size(), expected, found: data.len() })
        }
    }

    /// A value for each voxel from its column, row and slice.
    pub fn from_fn(geometry: ImageGeometry, mut value: impl FnMut([usize; 3]) -> T) -> Self {
        let [ni, nj, nk] = geometry.size();
        let mut data = Vec::with_capacity(geometry.voxel_count());
        for k in 0..nk {
            for j in 0..nj {
                data.extend((0..ni).map(|i| value([i, j, k])));
            }
        }
        Self { geometry, data }
    }

    /// The same value everywhere.
    pub fn filled(geometry: ImageGeometry, value: T) -> Self
    where
        T: Clone,
    {
        Self { geometry, data: vec![value; geometry.voxel_count()] }
    }

    /// Where the voxels lie.
    pub const fn geometry(&self) -> &ImageGeometry {
        &self.geometry
    }

    /// All values, column fastest.
    pub fn data(&self) -> &[T] {
        &self.data
    }

    /// All values, to be changed in place.
    pub fn data_mut(&mut self) -> &mut [T] {
        &mut self.data
    }

    /// Gives up the grid.
    pub fn into_data(self) -> Vec<T> {
        self.data
    }

    /// One slice of `size_i · size_j` values.
    pub fn slice(&self, k: usize) -> &[T] {
        let [ni, nj, _] = self.geometry.size();
        &self.data[k * ni * nj..(k + 1) * ni * nj]
    }

    /// The value at column `i`, row `j`, slice `k`, if that voxel exists.
    pub fn get(&self, i: usize, j: usize, k: usize) -> Option<&T> {
        let [ni, nj, nk] = self.geometry.size();
        if i < ni && j < nj && k < nk { self.data.get(self.geometry.offset(i, j, k)) } else { None }
    }

    /// The same grid with each value mapped.
    pub fn map<U>(&self, f: impl FnMut(&T) -> U) -> Volume<U> {
        Volume { geometry: self.geometry, data: self.data.iter().map(f).collect() }
    }

    /// As [`Volume::map`], on all cores of the rayon pool.
    pub fn par_map<U: Send>(&self, f: impl Fn(&T) -> U + Sync + Send) -> Volume<U>
    where
        T: Sync,
    {
        Volume { geometry: self.geometry, data: self.data.par_iter().with_min_len(1 << 14).map(f).collect() }
    }
}

/// A scan as it was read: whole numbers where they fit, else single precision.
///
/// CT is in Hounsfield units, other modalities in their own intensity.
#[derive(Clone, Debug, PartialEq)]
pub enum ScanVolume {
    /// Whole numbers of 16 bits, which hold every CT.
    I16(Volume<i16>),
    /// Fractional slopes, and integers beyond 16 bits.
    F32(Volume<f32>),
}

impl ScanVolume {
    /// Where the voxels lie.
    pub const fn geometry(&self) -> &ImageGeometry {
        match self {
            Self::I16(v) => v.geometry(),
            Self::F32(v) => v.geometry(),
        }
    }

    /// The value of one voxel, by its position in the data.
    pub fn value(&self, offset: usize) -> f32 {
        match self {
            Self::I16(v) => f32::from(v.data()[offset]),
            Self::F32(v) => v.data()[offset],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounding_is_half_away_from_zero() {
        let mut values = vec![0.0f32, 0.5, 1.5, 2.5, 0.5f32.next_down(), 32766.5, 32767.5, 65534.5, 1e9, f32::INFINITY];
        values.extend((0..4000).map(|n| n as f32 * 0.37));
        values.extend(values.clone().into_iter().flat_map(|v| [v.next_up(), v.next_down()]));
        for v in values.into_iter().flat_map(|v| [v, -v]) {
            assert_eq!(i16::from_f32(v), v.round() as i16, "{v}");
            assert_eq!(u16::from_f32(v), v.round() as u16, "{v}");
            assert_eq!(u8::from_f32(v), v.round() as u8, "{v}");
        }
        assert_eq!(i16::from_f32(f32::NAN), 0);
    }
}
