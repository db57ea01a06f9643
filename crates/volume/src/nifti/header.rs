//! The 348 bytes of a NIfTI-1 header (nifti1.h, 2007-11-14).

use glam::{DMat3, DQuat, DVec3};
use space::Point;

use super::NiftiError;
use crate::geometry::ImageGeometry;
use crate::raw::Element;

pub(super) const HEADER_BYTES: usize = 348;
/// The header and four bytes that say that no extension follows.
pub(super) const SINGLE_FILE_OFFSET: usize = 352;
/// The largest size a 16-bit dimension can hold.
const MAX_SIZE: usize = i16::MAX as usize;

/// `xform` code of coordinates in the scanner's own frame.
const XFORM_SCANNER: i16 = 1;
/// `xyzt_units` for millimetres and seconds.
const UNITS_MM_S: u8 = 2 | 8;

/// What a header says, checked.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Header {
    pub(super) geometry: ImageGeometry,
    pub(super) element: Element,
    pub(super) big_endian: bool,
    pub(super) offset: usize,
    pub(super) slope: f64,
    pub(super) intercept: f64,
    pub(super) oriented: bool,
}

/// Fields by byte offset, in the file's byte order.
struct Fields<'a> {
    bytes: &'a [u8; HEADER_BYTES],
    big_endian: bool,
}

impl Fields<'_> {
    fn array<const N: usize>(&self, at: usize) -> [u8; N] {
        std::array::from_fn(|i| self.bytes[at + i])
    }
    fn i16(&self, at: usize) -> i16 {
        let b = self.array(at);
        if self.big_endian { i16::from_be_bytes(b) } else { i16::from_le_bytes(b) }
    }
    fn f32(&self, at: usize) -> f64 {
        let b = self.array(at);
        f64::from(if self.big_endian { f32::from_be_bytes(b) } else { f32::from_le_bytes(b) })
    }
}

impl Header {
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, NiftiError> {
        let Some(bytes) = bytes.first_chunk::<HEADER_BYTES>() else {
            return Err(NiftiError::Truncated { needed: HEADER_BYTES as u64, found: bytes.len() as u64 });
        };
        let size = [bytes[0], bytes[1], bytes[2], bytes[3]];
        let big_endian = match (i32::from_le_bytes(size), i32::from_be_bytes(size)) {
            (348, _) => false,
            (_, 348) => true,
            (540, _) | (_, 540) => return Err(NiftiError::Version2),
            _ => return Err(NiftiError::NotNifti),
        };
        let fields = Fields { bytes, big_endian };
        match &fields.array::<4>(344) {
            b"n+1\0" => {}
            b"ni1\0" => return Err(NiftiError::TwoFiles),
            _ => return Err(NiftiError::NotNifti),
        }
        let element = element(fields.i16(70))?;
        let bits = fields.i16(72);
        if bits != 0 && usize::try_from(bits).ok() != Some(element.bytes() * 8) {
            return Err(NiftiError::Field { field: "bitpix", value: f64::from(bits) });
        }
        let (geometry, oriented) = geometry(&fields, sizes(&fields)?)?;
        let (slope, intercept) = scaling(&fields)?;
        Ok(Self { geometry, element, big_endian, offset: offset(&fields)?, slope, intercept, oriented })
    }

    /// Bytes of the voxels; none if they cannot be counted.
    pub(super) fn voxel_bytes(&self) -> Option<usize> {
        self.geometry.voxel_count().checked_mul(self.element.bytes())
    }
}

fn element(code: i16) -> Result<Element, NiftiError> {
    Ok(match code {
        2 => Element::U8,
        4 => Element::I16,
        8 => Element::I32,
        16 => Element::F32,
        64 => Element::F64,
        256 => Element::I8,
        512 => Element::U16,
        768 => Element::U32,
        1024 => Element::I64,
        1280 => Element::U64,
        code => return Err(NiftiError::DataType { code }),
    })
}

fn sizes(fields: &Fields<'_>) -> Result<[usize; 3], NiftiError> {
    let rank = fields.i16(40);
    if !(1..=7).contains(&rank) {
        return Err(NiftiError::Field { field: "dim[0]", value: f64::from(rank) });
    }
    let mut sizes = [1usize; 7];
    for (axis, size) in sizes.iter_mut().enumerate().take(rank as usize) {
        let value = fields.i16(42 + 2 * axis);
        let names = ["dim[1]", "dim[2]", "dim[3]", "dim[4]", "dim[5]", "dim[6]", "dim[7]"];
        *size = match usize::try_from(value) {
            Ok(size) if size > 0 => size,
            // Writers leave the unused axes of a time series at zero.
            Ok(_) if axis >= 3 => 1,
            _ => return Err(NiftiError::Field { field: names[axis], value: f64::from(value) }),
        };
    }
    let volumes = sizes[3..].iter().product::<usize>();
    if volumes == 1 { Ok([sizes[0], sizes[1], sizes[2]]) } else { Err(NiftiError::ManyVolumes { volumes }) }
}

fn offset(fields: &Fields<'_>) -> Result<usize, NiftiError> {
    let offset = fields.f32(108);
    let whole = (SINGLE_FILE_OFFSET as f64..=f64::from(i32::MAX)).contains(&offset) && offset.fract() == 0.0;
    if whole {
        Ok(offset as usize)
    } else if offset == 0.0 {
        Ok(SINGLE_FILE_OFFSET)
    } else {
        Err(NiftiError::Field { field: "vox_offset", value: offset })
    }
}

fn scaling(fields: &Fields<'_>) -> Result<(f64, f64), NiftiError> {
    let (slope, intercept) = (fields.f32(112), fields.f32(116));
    // nifti1.h: "if scl_slope is zero, no scaling is done"; NaN is what nibabel writes for the same.
    if slope == 0.0 || !slope.is_finite() {
        Ok((1.0, 0.0))
    } else if intercept.is_finite() {
        Ok((slope, intercept))
    } else {
        Err(NiftiError::Field { field: "scl_inter", value: intercept })
    }
}

/// The geometry, and whether the file says how the patient lies in it.
fn geometry(fields: &Fields<'_>, size: [usize; 3]) -> Result<(ImageGeometry, bool), NiftiError> {
    let (by_quaternion, by_matrix) = (fields.i16(252) > 0, fields.i16(254) > 0);
    let to_mm = match fields.bytes[123] & 7 {
        1 => 1e3,
        3 => 1e-3,
        _ => 1.0,
    };
    if by_matrix {
        let rows = [280, 296, 312].map(|at| [0, 4, 8, 12].map(|i| fields.f32(at + i) * to_mm));
        let ras_from_index = DMat3::from_cols_array_2d(&[0, 1, 2].map(|c| rows.map(|r| r[c])));
        match from_ras(size, ras_from_index, rows.map(|r| r[3]).into()) {
            Ok(geometry) => return Ok((geometry, true)),
            Err(error) if !by_quaternion => return Err(error),
            Err(_unusable_but_there_is_another) => {}
        }
    }
    let spacing = spacing(fields, size)?.map(|s| s * to_mm);
    let scale = DMat3::from_diagonal(spacing.into());
    if by_quaternion {
        let origin = DVec3::from_array([268, 272, 276].map(|at| fields.f32(at) * to_mm));
        // nifti1.h, method 2: pixdim[0] is -1 if the third axis is to be turned round; anything else counts as 1.
        let handed = if fields.f32(76) < 0.0 { -1.0 } else { 1.0 };
        let flip = DMat3::from_diagonal(DVec3::new(1.0, 1.0, handed));
        let geometry = from_ras(size, rotation(fields) * flip * scale, origin)?;
        return Ok((geometry, true));
    }
    // Neither matrix nor quaternion: as ITK does, the grid is laid along LPS.
    Ok((ImageGeometry::new(size, spacing, Point::ZERO, DMat3::IDENTITY)?, false))
}

fn rotation(fields: &Fields<'_>) -> DMat3 {
    let v = DVec3::from_array([256, 260, 264].map(|at| fields.f32(at)));
    let real = 1.0 - v.length_squared();
    // As nifti1_io: half a turn is normalised, so that rounding cannot make the root imaginary.
    let q = if real < 1e-7 {
        let n = v.normalize_or_zero();
        DQuat::from_xyzw(n.x, n.y, n.z, 0.0)
    } else {
        DQuat::from_xyzw(v.x, v.y, v.z, real.sqrt())
    };
    DMat3::from_quat(q)
}

fn spacing(fields: &Fields<'_>, size: [usize; 3]) -> Result<[f64; 3], NiftiError> {
    let names = ["pixdim[1]", "pixdim[2]", "pixdim[3]"];
    let mut spacing = [1.0; 3];
    for axis in 0..3 {
        let value = fields.f32(80 + 4 * axis);
        if value.is_finite() && value > 0.0 {
            spacing[axis] = value;
        } else if size[axis] > 1 {
            return Err(NiftiError::Field { field: names[axis], value });
        }
    }
    Ok(spacing)
}

/// From the map of NIfTI, whose frame is RAS: x and y change sign.
fn from_ras(size: [usize; 3], ras_from_index: DMat3, origin: DVec3) -> Result<ImageGeometry, NiftiError> {
    let lps_from_ras = DVec3::new(-1.0, -1.0, 1.0);
    let matrix = DMat3::from_diagonal(lps_from_ras) * ras_from_index;
    let columns = [matrix.x_axis, matrix.y_axis, matrix.z_axis];
    let spacing = columns.map(DVec3::length);
    let [i, j, k] = columns.map(|c| c / c.length());
    Ok(ImageGeometry::new(size, spacing, (lps_from_ras * origin).into(), DMat3::from_cols(i, j, k))?)
}

/// A little-endian header for voxels of this grid, with nothing in it but what the voxels need.
pub(super) fn write(geometry: &ImageGeometry, element: Element) -> Result<[u8; SINGLE_FILE_OFFSET], NiftiError> {
    let size = geometry.size();
    if size.iter().any(|&s| s > MAX_SIZE) {
        return Err(NiftiError::TooLarge { size });
    }
    let mut bytes = [0u8; SINGLE_FILE_OFFSET];
    let mut put = |at: usize, value: &[u8]| bytes[at..at + value.len()].copy_from_slice(value);
    put(0, &348i32.to_le_bytes());
    put(38, b"r");
    let dims = [3, size[0] as i16, size[1] as i16, size[2] as i16, 1, 1, 1, 1];
    for (n, dim) in dims.into_iter().enumerate() {
        put(40 + 2 * n, &dim.to_le_bytes());
    }
    let code: i16 = match element {
        Element::U8 => 2,
        Element::I16 => 4,
        Element::I32 => 8,
        Element::F32 => 16,
        Element::F64 => 64,
        Element::I8 => 256,
        Element::U16 => 512,
        Element::U32 => 768,
        Element::I64 => 1024,
        Element::U64 => 1280,
    };
    put(70, &code.to_le_bytes());
    put(72, &(element.bytes() as i16 * 8).to_le_bytes());
    put(108, &(SINGLE_FILE_OFFSET as f32).to_le_bytes());
    put(112, &1f32.to_le_bytes());
    put(123, &[UNITS_MM_S]);

    let ras_from_lps = DMat3::from_diagonal(DVec3::new(-1.0, -1.0, 1.0));
    let direction = ras_from_lps * geometry.direction();
    let handed = if direction.determinant() < 0.0 { -1.0 } else { 1.0 };
    let spacing = geometry.spacing();
    for (n, value) in [handed, spacing[0], spacing[1], spacing[2], 1.0, 1.0, 1.0, 1.0].into_iter().enumerate() {
        put(76 + 4 * n, &(value as f32).to_le_bytes());
    }
    let origin = ras_from_lps * geometry.origin().get();
    let rotation = direction * DMat3::from_diagonal(DVec3::new(1.0, 1.0, handed));
    // A sheared grid (gantry tilt) has no quaternion; its matrix says it all.
    let square = rotation * rotation.transpose() - DMat3::IDENTITY;
    if square.to_cols_array().iter().all(|e| e.abs() < 1e-4) {
        let q = DQuat::from_mat3(&rotation).normalize();
        let q = if q.w < 0.0 { -q } else { q };
        put(252, &XFORM_SCANNER.to_le_bytes());
        for (n, value) in [q.x, q.y, q.z, origin.x, origin.y, origin.z].into_iter().enumerate() {
            put(256 + 4 * n, &(value as f32).to_le_bytes());
        }
    }
    put(254, &XFORM_SCANNER.to_le_bytes());
    let matrix = direction * DMat3::from_diagonal(spacing.into());
    for row in 0..3 {
        for (n, value) in [matrix.x_axis, matrix.y_axis, matrix.z_axis, origin].into_iter().enumerate() {
            put(280 + 16 * row + 4 * n, &(value[row] as f32).to_le_bytes());
        }
    }
    put(344, b"n+1\0");
    Ok(bytes)
}
