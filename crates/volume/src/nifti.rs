//! NIfTI-1, `.nii` and `.nii.gz`.
//!
//! Any integer or floating-point type in either byte order is read; the matrix (sform) is preferred to the quaternion
//! (qform), both are written. NIfTI's frame is RAS, ours LPS: the first two axes change sign here and nowhere else.
//! Written headers hold geometry and type only; the free-text fields, where programs leave names, stay empty.

mod header;

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use thiserror::Error;

use self::header::{HEADER_BYTES, Header};
use crate::geometry::{GeometryError, ImageGeometry};
use crate::grid::{ScanVolume, Volume, VolumeError};
use crate::gzip;
use crate::label_map::{Label, LabelMap};
use crate::raw::{Element, LabelValueError, Samples, little_endian};
use crate::terminology;

/// A NIfTI file that cannot be read or written.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum NiftiError {
    /// The file system refuses.
    #[error("cannot access file: {source}")]
    Io {
        /// Why.
        #[from]
        source: io::Error,
    },
    /// Gzip data is damaged.
    #[error("gzip data is damaged, copy the file again: {source}")]
    Gzip {
        /// Why.
        source: io::Error,
    },
    /// Neither a NIfTI-1 header nor anything like it.
    #[error("not a NIfTI-1 file: header size or magic is wrong")]
    NotNifti,
    /// NIfTI-2, with its longer header.
    #[error("NIfTI-2 is not supported; convert to NIfTI-1")]
    Version2,
    /// Header and voxels in two files (`.hdr` and `.img`).
    #[error("header and voxels are in two files; convert to a single .nii")]
    TwoFiles,
    /// Complex, colour or other types.
    #[error("data type {code} is not supported; convert to integers or floating point")]
    DataType {
        /// NIfTI's `datatype`.
        code: i16,
    },
    /// A time series or vectors.
    #[error("expected one volume, found {volumes}; split the file and choose one")]
    ManyVolumes {
        /// Volumes in the file.
        volumes: usize,
    },
    /// A header field has a value that cannot be.
    #[error("header field {field} is {value}, which cannot be")]
    Field {
        /// NIfTI's name.
        field: &'static str,
        /// What it says.
        value: f64,
    },
    /// The position of the voxels makes no sense.
    #[error("no usable position in header: {source}")]
    Geometry {
        /// Why.
        #[from]
        source: GeometryError,
    },
    /// Fewer bytes than the header promises.
    #[error("file is truncated: {needed} bytes needed, {found} found")]
    Truncated {
        /// By the header.
        needed: u64,
        /// In the file, or unpacked from it.
        found: u64,
    },
    /// A voxel is no label.
    #[error(transparent)]
    Label(#[from] LabelValueError),
    /// Voxels and grid differ.
    #[error(transparent)]
    Volume(#[from] VolumeError),
    /// NIfTI-1 counts voxels with 16 bits.
    #[error("NIfTI-1 holds at most 32767 voxels along an axis; found {size:?}")]
    TooLarge {
        /// Columns, rows, slices.
        size: [usize; 3],
    },
    /// Any of the others, and where.
    #[error("{source}: {}", path.display())]
    At {
        /// What went wrong.
        source: Box<NiftiError>,
        /// The file.
        path: PathBuf,
    },
}

/// What a header says, without the voxels.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Summary {
    /// Where the voxels lie.
    pub geometry: ImageGeometry,
    /// False if the file does not say how the patient lies in it: left and right are then a guess, laid along LPS as ITK does.
    pub oriented: bool,
}

/// Reads the header only.
///
/// # Errors
/// [`NiftiError`] with the path.
pub fn inspect(path: &Path) -> Result<Summary, NiftiError> {
    at(path, || {
        let mut head = Vec::new();
        io::Read::read_to_end(&mut io::Read::take(File::open(path)?, 1 << 16), &mut head)?;
        if gzip::is_gzip(&head) {
            head = gzip::read_some(&head, HEADER_BYTES).map_err(|source| NiftiError::Gzip { source })?;
        }
        let header = Header::parse(&head)?;
        Ok(Summary { geometry: header.geometry, oriented: header.oriented })
    })
}

/// Reads a scan.
///
/// # Errors
/// [`NiftiError`] with the path.
pub fn read_scan(path: &Path) -> Result<ScanVolume, NiftiError> {
    at(path, || scan_from_bytes(&fs::read(path)?))
}

/// Reads a label map; names come from TotalSegmentator's label table in the header, if there is one.
///
/// # Errors
/// [`NiftiError`] with the path; a voxel that is no whole number from 0 to 65535 is one.
pub fn read_labels(path: &Path) -> Result<LabelMap, NiftiError> {
    at(path, || labels_from_bytes(&fs::read(path)?))
}

/// A scan from the bytes of a file, packed or not.
///
/// # Errors
/// [`NiftiError`].
pub fn scan_from_bytes(bytes: &[u8]) -> Result<ScanVolume, NiftiError> {
    let unpacked = unpack(bytes)?;
    let (header, voxels) = split(unpacked.as_deref().unwrap_or(bytes))?;
    Ok(samples(&header, voxels).to_scan(header.geometry)?)
}

/// A label map from the bytes of a file, packed or not.
///
/// # Errors
/// [`NiftiError`].
pub fn labels_from_bytes(bytes: &[u8]) -> Result<LabelMap, NiftiError> {
    let unpacked = unpack(bytes)?;
    let bytes = unpacked.as_deref().unwrap_or(bytes);
    let (header, voxels) = split(bytes)?;
    let names = label_table(bytes.get(HEADER_BYTES..header.offset).unwrap_or_default());
    let voxels = Volume::new(header.geometry, samples(&header, voxels).to_labels()?)?;
    let segments = names.into_iter().map(|(label, name)| (label, terminology::segment(label, &name))).collect();
    Ok(LabelMap { voxels, segments })
}

/// Writes a scan with its own type; packed if the path ends in `.gz`.
///
/// # Errors
/// [`NiftiError`] with the path.
pub fn write_scan(scan: &ScanVolume, path: &Path) -> Result<(), NiftiError> {
    match scan {
        ScanVolume::I16(v) => write(path, v.geometry(), Element::I16, &little_endian(v.data())),
        ScanVolume::F32(v) => write(path, v.geometry(), Element::F32, &little_endian(v.data())),
    }
}

/// Writes labels with 8 bits if they fit, else 16; packed if the path ends in `.gz`.
///
/// # Errors
/// [`NiftiError`] with the path.
pub fn write_labels(map: &LabelMap, path: &Path) -> Result<(), NiftiError> {
    let labels = map.voxels.data();
    if labels.iter().all(|&l| l <= Label::from(u8::MAX)) {
        let bytes: Vec<u8> = labels.iter().map(|&l| l as u8).collect();
        write(path, map.geometry(), Element::U8, &bytes)
    } else {
        write(path, map.geometry(), Element::U16, &little_endian(labels))
    }
}

/// Writes bytes as they are; packed if the path ends in `.gz`.
///
/// # Errors
/// [`NiftiError`] with the path.
pub fn write_bytes(volume: &Volume<u8>, path: &Path) -> Result<(), NiftiError> {
    write(path, volume.geometry(), Element::U8, volume.data())
}

fn at<T>(path: &Path, action: impl FnOnce() -> Result<T, NiftiError>) -> Result<T, NiftiError> {
    action().map_err(|source| NiftiError::At { source: Box::new(source), path: path.to_owned() })
}

/// The file's bytes up to the last voxel, if it is packed.
fn unpack(bytes: &[u8]) -> Result<Option<Vec<u8>>, NiftiError> {
    if !gzip::is_gzip(bytes) {
        return Ok(None);
    }
    let gzip_error = |source| NiftiError::Gzip { source };
    let header = Header::parse(&gzip::read_some(bytes, HEADER_BYTES).map_err(gzip_error)?)?;
    let most = gzip::most_unpacked(bytes.len());
    let needed = needed(&header)?;
    if needed > most {
        return Err(NiftiError::Truncated { needed, found: most });
    }
    let needed = usize::try_from(needed).unwrap_or(usize::MAX);
    gzip::read_up_to(bytes, needed).map(Some).map_err(gzip_error)
}

fn needed(header: &Header) -> Result<u64, NiftiError> {
    let bytes = header.voxel_bytes().and_then(|n| n.checked_add(header.offset));
    bytes.map(|n| n as u64).ok_or(NiftiError::TooLarge { size: header.geometry.size() })
}

/// Header and voxels.
fn split(bytes: &[u8]) -> Result<(Header, &[u8]), NiftiError> {
    let header = Header::parse(bytes)?;
    let needed = needed(&header)?;
    let end = usize::try_from(needed).unwrap_or(usize::MAX);
    let voxels = bytes.get(header.offset..end).ok_or(NiftiError::Truncated { needed, found: bytes.len() as u64 })?;
    Ok((header, voxels))
}

fn samples<'a>(header: &Header, bytes: &'a [u8]) -> Samples<'a> {
    let Header { element, big_endian, slope, intercept, .. } = *header;
    Samples { bytes, element, big_endian, slope, intercept }
}

fn write(path: &Path, geometry: &ImageGeometry, element: Element, voxels: &[u8]) -> Result<(), NiftiError> {
    at(path, || {
        let header = header::write(geometry, element)?;
        let mut out = BufWriter::new(File::create(path)?);
        if path.extension().is_some_and(|e| e.eq_ignore_ascii_case("gz")) {
            gzip::write(&mut out, &[&header, voxels])?;
        } else {
            out.write_all(&header)?;
            out.write_all(voxels)?;
        }
        Ok(out.flush()?)
    })
}

/// Label names from the XML that TotalSegmentator puts behind the header: `<Label Key="5" …><![CDATA[liver]]></Label>`.
fn label_table(extension: &[u8]) -> Vec<(Label, String)> {
    let text = String::from_utf8_lossy(extension);
    let entries = text.split("<Label ").skip(1).filter_map(|entry| {
        let (attributes, content) = entry.split_once('>')?;
        let key = attributes.split_once("Key=\"")?.1.split('"').next()?.parse().ok()?;
        let name = content.split("</Label").next()?.trim();
        let name = name.strip_prefix("<![CDATA[").and_then(|n| n.strip_suffix("]]>")).unwrap_or(name);
        (key != 0 && !name.is_empty()).then(|| (key, name.to_owned()))
    });
    entries.collect()
}

#[cfg(test)]
mod tests {
    use glam::DMat3;
    use proptest::prelude::*;
    use space::{AxisCode, Point};

    use super::*;

    fn grid(size: [usize; 3], direction: DMat3) -> ImageGeometry {
        ImageGeometry::new(size, [0.7, 0.9, 2.5], Point::new(-120.5, 33.25, 810.0), direction).unwrap()
    }

    fn ramp(geometry: ImageGeometry) -> Volume<i16> {
        Volume::from_fn(geometry, |[i, j, k]| (i as i16) - 1024 + 10 * (j as i16) + 100 * (k as i16))
    }

    /// A little-endian file with both transforms, to be broken.
    fn file() -> Vec<u8> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.nii");
        write_scan(&ScanVolume::I16(ramp(grid([4, 3, 2], DMat3::IDENTITY))), &path).unwrap();
        fs::read(path).unwrap()
    }

    fn with(mut bytes: Vec<u8>, at: usize, value: &[u8]) -> Vec<u8> {
        bytes[at..at + value.len()].copy_from_slice(value);
        bytes
    }

    #[track_caller]
    fn check_round_trip(scan: &ScanVolume, name: &str) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(name);
        write_scan(scan, &path).unwrap();
        let back = read_scan(&path).unwrap();
        assert!(back.geometry().is_same_grid(scan.geometry(), 1e-4), "{:?}", back.geometry());
        assert!((0..scan.geometry().voxel_count()).all(|i| back.value(i).to_bits() == scan.value(i).to_bits()));
    }

    #[test]
    fn all_orientations_come_back() {
        for code in ["LPS", "RAS", "LIA", "PSR", "SAL", "ILP", "RAI"] {
            let direction = code.parse::<AxisCode>().unwrap().direction();
            let geometry = grid([3, 4, 5], direction);
            check_round_trip(&ScanVolume::I16(ramp(geometry)), "a.nii.gz");
            // The quaternion alone must say the same.
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("q.nii");
            write_scan(&ScanVolume::I16(ramp(geometry)), &path).unwrap();
            let bytes = with(fs::read(&path).unwrap(), 254, &0i16.to_le_bytes());
            let back = scan_from_bytes(&bytes).unwrap();
            assert!(back.geometry().is_same_grid(&geometry, 1e-4), "{code}: {:?}", back.geometry());
        }
    }

    proptest! {
        #[test]
        fn any_rotation_comes_back(x in -3.2..3.2f64, y in -3.2..3.2f64, z in -3.2..3.2f64, mirrored: bool) {
            let turn = DMat3::from_euler(glam::EulerRot::XYZ, x, y, z);
            let flip = DMat3::from_diagonal([1.0, 1.0, if mirrored { -1.0 } else { 1.0 }].into());
            let scan = ScanVolume::F32(ramp(grid([3, 4, 5], turn * flip)).map(|&v| f32::from(v) * 0.1));
            check_round_trip(&scan, "r.nii");
            check_round_trip(&scan, "r.nii.gz");
        }

        #[test]
        fn labels_come_back(labels in proptest::collection::vec(any::<u16>(), 24), small: bool) {
            let labels = labels.into_iter().map(|l| if small { l & 255 } else { l }).collect();
            let map = LabelMap {
                voxels: Volume::new(grid([4, 3, 2], DMat3::IDENTITY), labels).unwrap(),
                segments: Default::default(),
            };
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("l.nii.gz");
            write_labels(&map, &path).unwrap();
            let back = read_labels(&path).unwrap();
            prop_assert_eq!(back.voxels.data(), map.voxels.data());
        }
    }

    #[test]
    fn sheared_grid_keeps_its_matrix() {
        let sheared = DMat3::from_cols(glam::DVec3::X, glam::DVec3::Y, glam::DVec3::new(0.0, 0.2, 1.0).normalize());
        let geometry = grid([3, 4, 5], sheared);
        check_round_trip(&ScanVolume::I16(ramp(geometry)), "s.nii");
    }

    #[test]
    fn nothing_but_geometry_in_the_header() {
        let bytes = file();
        // data_type, db_name, descrip, aux_file, intent_name.
        for (name, range) in [("db", 4..38), ("descrip", 148..228), ("aux_file", 228..252), ("intent", 328..344)] {
            assert!(bytes[range].iter().all(|&b| b == 0), "{name}");
        }
    }

    #[test]
    fn scaling_units_and_byte_order_are_honoured() {
        let scaled = with(with(file(), 112, &2f32.to_le_bytes()), 116, &(-3f32).to_le_bytes());
        assert_eq!(scan_from_bytes(&scaled).unwrap().value(1), -1023.0 * 2.0 - 3.0);
        let micrometres = with(file(), 123, &[3]);
        let spacing = scan_from_bytes(&micrometres).unwrap().geometry().spacing();
        assert!((spacing[2] - 2.5e-3).abs() < 1e-9, "{spacing:?}");
        assert_eq!(scan_from_bytes(&big_endian(&file())).unwrap(), scan_from_bytes(&file()).unwrap());
    }

    /// Turns round every field that is not a byte.
    fn big_endian(bytes: &[u8]) -> Vec<u8> {
        let mut out = bytes.to_vec();
        let words = [0, 32].into_iter().chain((56..68).step_by(4)).chain((76..120).step_by(4));
        let words = words.chain((124..148).step_by(4)).chain((256..328).step_by(4));
        words.for_each(|at| out[at..at + 4].reverse());
        let halves = (40..56).step_by(2).chain((68..76).step_by(2)).chain([36, 120, 252, 254]);
        let voxels = (352..bytes.len()).step_by(2);
        halves.chain(voxels).for_each(|at| out[at..at + 2].reverse());
        out
    }

    #[test]
    fn no_transform_is_said_to_be_none() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.nii");
        fs::write(&path, with(with(file(), 252, &[0, 0]), 254, &[0, 0])).unwrap();
        let summary = inspect(&path).unwrap();
        assert!(!summary.oriented);
        assert_eq!(summary.geometry.axis_code().to_string(), "LPS");
        fs::write(&path, file()).unwrap();
        assert!(inspect(&path).unwrap().oriented);
    }

    #[test]
    fn unusable_matrix_gives_way_to_the_quaternion() {
        let no_matrix = (280..328).fold(file(), |b, at| with(b, at, &[0]));
        let good = scan_from_bytes(&file()).unwrap();
        assert!(scan_from_bytes(&no_matrix).unwrap().geometry().is_same_grid(good.geometry(), 1e-4));
    }

    #[test]
    fn totalsegmentator_names_are_found() {
        let xml =
            r#"<LabelTable><Label Key="1" Red="1"><![CDATA[liver]]></Label><Label Key="2">spleen</Label></LabelTable>"#;
        assert_eq!(label_table(xml.as_bytes()), [(1, "liver".to_owned()), (2, "spleen".to_owned())]);
        assert!(label_table(b"<Label Key=\"x\">a</Label><Label ").is_empty());
    }

    #[track_caller]
    fn check_refused(bytes: &[u8], expected: &str) {
        let error = scan_from_bytes(bytes).expect_err(expected).to_string();
        assert!(error.contains(expected), "`{error}` should hold `{expected}`");
        let mut packed = Vec::new();
        gzip::write(&mut packed, &[bytes]).unwrap();
        let error = scan_from_bytes(&packed).expect_err(expected).to_string();
        assert!(error.contains(expected), "packed: `{error}` should hold `{expected}`");
    }

    #[test]
    fn hostile_headers_are_refused() {
        let nan = f32::NAN.to_le_bytes();
        check_refused(&[], "truncated");
        check_refused(b"plain text, not an image", "truncated");
        check_refused(&[b'x'; 400], "not a NIfTI-1");
        check_refused(&file()[..300], "truncated");
        check_refused(&file()[..360], "truncated");
        check_refused(&with(file(), 344, b"ni1\0"), "two files");
        check_refused(&with(file(), 344, b"xxxx"), "not a NIfTI-1");
        check_refused(&with(file(), 0, &540i32.to_le_bytes()), "NIfTI-2");
        check_refused(&with(file(), 70, &128i16.to_le_bytes()), "data type 128");
        check_refused(&with(file(), 72, &8i16.to_le_bytes()), "bitpix");
        check_refused(&with(file(), 40, &0i16.to_le_bytes()), "dim[0]");
        check_refused(&with(file(), 42, &(-4i16).to_le_bytes()), "dim[1]");
        check_refused(&with(file(), 42, &[0xff, 0x7f, 0xff, 0x7f, 0xff, 0x7f]), "truncated");
        check_refused(&with(with(file(), 40, &4i16.to_le_bytes()), 48, &9i16.to_le_bytes()), "found 9");
        check_refused(&with(file(), 108, &(-1f32).to_le_bytes()), "vox_offset");
        check_refused(&with(file(), 108, &nan), "vox_offset");
        check_refused(&with(file(), 108, &2e9f32.to_le_bytes()), "truncated");
        check_refused(&with(with(file(), 252, &[0, 0]), 280, &nan), "position");
        check_refused(&with(with(file(), 254, &[0, 0]), 256, &nan), "position");
        check_refused(&with(with(file(), 254, &[0, 0]), 84, &0f32.to_le_bytes()), "pixdim[2]");
        check_refused(&with(file(), 116, &nan), "scl_inter");
    }

    #[test]
    fn errors_say_where() {
        let error = read_scan(Path::new("/nowhere/scan.nii.gz")).expect_err("no such file").to_string();
        assert!(error.ends_with("/nowhere/scan.nii.gz"), "{error}");
    }
}
