//! Voxels as files hold them: any number type, either byte order, with slope and intercept.

use rayon::prelude::*;
use thiserror::Error;

use crate::geometry::ImageGeometry;
use crate::grid::{ScanVolume, Volume, VolumeError};
use crate::label_map::Label;

/// Voxels decoded by one task.
const CHUNK: usize = 1 << 16;

/// A number type of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Element {
    U8,
    I8,
    U16,
    I16,
    U32,
    I32,
    U64,
    I64,
    F32,
    F64,
}

impl Element {
    pub(crate) const fn bytes(self) -> usize {
        match self {
            Self::U8 | Self::I8 => 1,
            Self::U16 | Self::I16 => 2,
            Self::U32 | Self::I32 | Self::F32 => 4,
            Self::U64 | Self::I64 | Self::F64 => 8,
        }
    }
}

/// Bytes of voxels and how to read them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Samples<'a> {
    pub(crate) bytes: &'a [u8],
    pub(crate) element: Element,
    pub(crate) big_endian: bool,
    pub(crate) slope: f64,
    pub(crate) intercept: f64,
}

/// A voxel of a label map is no label.
#[derive(Clone, Copy, Debug, Error, PartialEq)]
#[error("labels must be whole numbers from 0 to 65535; found {value}: is this a scan?")]
pub struct LabelValueError {
    /// The first value that is no label.
    pub value: f64,
}

/// Runs `$body` with `$read: fn([u8; N]) -> f64` for the samples' type and byte order.
macro_rules! with_reader {
    ($samples:expr, $read:ident => $body:expr) => {
        match ($samples.element, $samples.big_endian) {
            (Element::U8, _) => {
                let $read = |b: [u8; 1]| f64::from(b[0]);
                $body
            }
            (Element::I8, _) => {
                let $read = |b: [u8; 1]| f64::from(b[0].cast_signed());
                $body
            }
            (Element::U16, false) => {
                let $read = |b: [u8; 2]| f64::from(u16::from_le_bytes(b));
                $body
            }
            (Element::U16, true) => {
                let $read = |b: [u8; 2]| f64::from(u16::from_be_bytes(b));
                $body
            }
            (Element::I16, false) => {
                let $read = |b: [u8; 2]| f64::from(i16::from_le_bytes(b));
                $body
            }
            (Element::I16, true) => {
                let $read = |b: [u8; 2]| f64::from(i16::from_be_bytes(b));
                $body
            }
            (Element::U32, false) => {
                let $read = |b: [u8; 4]| f64::from(u32::from_le_bytes(b));
                $body
            }
            (Element::U32, true) => {
                let $read = |b: [u8; 4]| f64::from(u32::from_be_bytes(b));
                $body
            }
            (Element::I32, false) => {
                let $read = |b: [u8; 4]| f64::from(i32::from_le_bytes(b));
                $body
            }
            (Element::I32, true) => {
                let $read = |b: [u8; 4]| f64::from(i32::from_be_bytes(b));
                $body
            }
            (Element::U64, false) => {
                let $read = |b: [u8; 8]| u64::from_le_bytes(b) as f64;
                $body
            }
            (Element::U64, true) => {
                let $read = |b: [u8; 8]| u64::from_be_bytes(b) as f64;
                $body
            }
            (Element::I64, false) => {
                let $read = |b: [u8; 8]| i64::from_le_bytes(b) as f64;
                $body
            }
            (Element::I64, true) => {
                let $read = |b: [u8; 8]| i64::from_be_bytes(b) as f64;
                $body
            }
            (Element::F32, false) => {
                let $read = |b: [u8; 4]| f64::from(f32::from_le_bytes(b));
                $body
            }
            (Element::F32, true) => {
                let $read = |b: [u8; 4]| f64::from(f32::from_be_bytes(b));
                $body
            }
            (Element::F64, false) => {
                let $read = |b: [u8; 8]| f64::from_le_bytes(b);
                $body
            }
            (Element::F64, true) => {
                let $read = |b: [u8; 8]| f64::from_be_bytes(b);
                $body
            }
        }
    };
}

impl Samples<'_> {
    /// A scan: 16-bit integers if every value is one, else single precision.
    pub(crate) fn to_scan(self, geometry: ImageGeometry) -> Result<ScanVolume, VolumeError> {
        let (slope, intercept) = (self.slope, self.intercept);
        let plain = is_one(slope) && is_zero(intercept);
        if plain && self.element == Element::I16 {
            let data = match self.big_endian {
                false => convert(self.bytes, i16::from_le_bytes),
                true => convert(self.bytes, i16::from_be_bytes),
            };
            return Volume::new(geometry, data).map(ScanVolume::I16);
        }
        with_reader!(self, read => {
            let value = move |b| read(b) * slope + intercept;
            if all(self.bytes, |b| is_i16(value(b))) {
                Volume::new(geometry, convert(self.bytes, |b| value(b) as i16)).map(ScanVolume::I16)
            } else {
                Volume::new(geometry, convert(self.bytes, |b| value(b) as f32)).map(ScanVolume::F32)
            }
        })
    }

    /// Labels, if every value is a whole number from 0 to 65535.
    pub(crate) fn to_labels(self) -> Result<Vec<Label>, LabelValueError> {
        let (slope, intercept) = (self.slope, self.intercept);
        with_reader!(self, read => {
            let value = move |b| read(b) * slope + intercept;
            match find(self.bytes, |b| !is_label(value(b))) {
                Some(b) => Err(LabelValueError { value: value(b) }),
                None => Ok(convert(self.bytes, |b| value(b) as Label)),
            }
        })
    }
}

/// The bytes of numbers, lowest first.
#[cfg(target_endian = "little")]
pub(crate) fn little_endian<T: bytemuck::Pod>(data: &[T]) -> std::borrow::Cow<'_, [u8]> {
    bytemuck::cast_slice(data).into()
}

/// The bytes of numbers, lowest first.
#[cfg(target_endian = "big")]
pub(crate) fn little_endian<T: bytemuck::Pod>(data: &[T]) -> std::borrow::Cow<'_, [u8]> {
    let mut bytes = bytemuck::cast_slice(data).to_vec();
    bytes.chunks_exact_mut(size_of::<T>()).for_each(<[u8]>::reverse);
    bytes.into()
}

fn is_one(x: f64) -> bool {
    x.to_bits() == 1f64.to_bits()
}

fn is_zero(x: f64) -> bool {
    x.abs().to_bits() == 0
}

fn is_i16(x: f64) -> bool {
    (x as i16) as f64 == x
}

fn is_label(x: f64) -> bool {
    (x as Label) as f64 == x
}

fn convert<const N: usize, T: Default + Copy + Send>(bytes: &[u8], value: impl Fn([u8; N]) -> T + Sync) -> Vec<T> {
    let mut out = vec![T::default(); bytes.len() / N];
    out.par_chunks_mut(CHUNK).zip(bytes.par_chunks(CHUNK * N)).for_each(|(out, bytes)| {
        for (out, &bytes) in out.iter_mut().zip(bytes.as_chunks().0) {
            *out = value(bytes);
        }
    });
    out
}

fn all<const N: usize>(bytes: &[u8], good: impl Fn([u8; N]) -> bool + Sync) -> bool {
    bytes.par_chunks(CHUNK * N).all(|bytes| bytes.as_chunks().0.iter().fold(true, |all, &b| all & good(b)))
}

fn find<const N: usize>(bytes: &[u8], wanted: impl Fn([u8; N]) -> bool + Sync) -> Option<[u8; N]> {
    bytes.par_chunks(CHUNK * N).find_map_first(|bytes| bytes.as_chunks().0.iter().copied().find(|&b| wanted(b)))
}

#[cfg(test)]
mod tests {
    use glam::DMat3;
    use space::Point;

    use super::*;

    fn samples(bytes: &[u8], element: Element, big_endian: bool) -> Samples<'_> {
        Samples { bytes, element, big_endian, slope: 1.0, intercept: 0.0 }
    }

    fn row(n: usize) -> ImageGeometry {
        ImageGeometry::new([n, 1, 1], [1.0; 3], Point::ZERO, DMat3::IDENTITY).unwrap()
    }

    #[track_caller]
    fn check(bytes: &[u8], element: Element, big_endian: bool, expected: &[f32]) {
        let scan = samples(bytes, element, big_endian).to_scan(row(expected.len())).unwrap();
        let found: Vec<f32> = (0..expected.len()).map(|i| scan.value(i)).collect();
        assert_eq!(found, expected, "{element:?}");
    }

    #[test]
    fn every_type_in_both_orders() {
        check(&[0, 255], Element::U8, false, &[0.0, 255.0]);
        check(&[0x80, 0x7f], Element::I8, false, &[-128.0, 127.0]);
        check(&[0x01, 0xff], Element::U16, false, &[65281.0]);
        check(&[0x01, 0xff], Element::U16, true, &[511.0]);
        check(&[0x00, 0xfc], Element::I16, false, &[-1024.0]);
        check(&[0xfc, 0x00], Element::I16, true, &[-1024.0]);
        check(&70_000u32.to_le_bytes(), Element::U32, false, &[70_000.0]);
        check(&70_000u32.to_be_bytes(), Element::U32, true, &[70_000.0]);
        check(&(-70_000i32).to_le_bytes(), Element::I32, false, &[-70_000.0]);
        check(&(-70_000i32).to_be_bytes(), Element::I32, true, &[-70_000.0]);
        check(&(1u64 << 40).to_le_bytes(), Element::U64, false, &[1_099_511_627_776.0]);
        check(&(1u64 << 40).to_be_bytes(), Element::U64, true, &[1_099_511_627_776.0]);
        check(&(-5i64).to_le_bytes(), Element::I64, false, &[-5.0]);
        check(&(-5i64).to_be_bytes(), Element::I64, true, &[-5.0]);
        check(&1.5f32.to_le_bytes(), Element::F32, false, &[1.5]);
        check(&1.5f32.to_be_bytes(), Element::F32, true, &[1.5]);
        check(&(-2.25f64).to_le_bytes(), Element::F64, false, &[-2.25]);
        check(&(-2.25f64).to_be_bytes(), Element::F64, true, &[-2.25]);
    }

    #[test]
    fn whole_numbers_become_integers() {
        let bytes: Vec<u8> = [-1024.0f64, 3071.0].iter().flat_map(|v| v.to_le_bytes()).collect();
        let scan = samples(&bytes, Element::F64, false).to_scan(row(2)).unwrap();
        assert!(matches!(scan, ScanVolume::I16(_)));
        let rescaled = Samples { slope: 2.0, intercept: -1024.0, ..samples(&[0, 10], Element::U8, false) };
        let ScanVolume::I16(v) = rescaled.to_scan(row(2)).unwrap() else { panic!("expected integers") };
        assert_eq!(v.data(), [-1024, -1004]);
        let nan = samples(&f32::NAN.to_le_bytes(), Element::F32, false).to_scan(row(1)).map(|s| s.value(0));
        assert!(nan.unwrap().is_nan());
    }

    #[test]
    fn labels_are_whole_and_in_range() {
        let labels = |values: &[f32]| {
            let bytes: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
            samples(&bytes, Element::F32, false).to_labels()
        };
        assert_eq!(labels(&[0.0, 104.0, 65535.0]), Ok(vec![0, 104, 65535]));
        assert_eq!(labels(&[1.0, 0.5]), Err(LabelValueError { value: 0.5 }));
        assert_eq!(labels(&[-1.0]), Err(LabelValueError { value: -1.0 }));
        assert!(labels(&[65536.0]).is_err() && labels(&[f32::NAN]).is_err());
    }
}
