//! NRRD: attached (`.nrrd`) and detached (`.nhdr`), raw, gzip and text; 3D Slicer's segmentations (`.seg.nrrd`).
//!
//! The spaces LPS, RAS and LAS are understood. Layers of overlapping segments become one map with unions.
//! Key and value pairs that are not Slicer's segment descriptions are dropped: identity travels there.

mod header;
mod segments;

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Component, Path, PathBuf};

use thiserror::Error;

use self::header::{Data, Encoding, Header};
use crate::geometry::{GeometryError, ImageGeometry};
use crate::grid::{ScanVolume, Volume, VolumeError};
use crate::gzip;
use crate::label_map::{BACKGROUND, Label, LabelMap, Segment};
use crate::overlap;
use crate::raw::{Element, LabelValueError, Samples, little_endian};

/// Each layer takes memory and time of its own, even where the file has but a voxel for it.
const MAX_LAYERS: usize = 4096;

/// A NRRD file that cannot be read or written.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum NrrdError {
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
    /// The file does not begin like a NRRD.
    #[error("not a NRRD file: it does not begin with NRRD000")]
    NotNrrd,
    /// A header line without a colon.
    #[error("header line `{line}` is no field")]
    Line {
        /// Its beginning.
        line: String,
    },
    /// A field that must be there.
    #[error("header field `{field}` is missing")]
    Missing {
        /// Its name.
        field: &'static str,
    },
    /// A field with a value that cannot be, or is not supported.
    #[error("header field `{field}` cannot be `{value}`")]
    Field {
        /// Its name.
        field: &'static str,
        /// What it says.
        value: String,
    },
    /// bzip2, hex or another encoding.
    #[error("encoding `{encoding}` is not supported; save as raw or gzip")]
    Encoding {
        /// As the header says.
        encoding: String,
    },
    /// Not two or three axes of space and one of layers.
    #[error("expected 2 or 3 axes of space and at most one other; found {axes} axes")]
    NotSpatial {
        /// Axes found.
        axes: usize,
    },
    /// A scan with several values a voxel.
    #[error("expected one value a voxel, found {layers}; split the file and choose one")]
    ManyLayers {
        /// Values a voxel.
        layers: usize,
    },
    /// More layers of segments than any program writes.
    #[error("found {layers} layers of segments, at most {MAX_LAYERS} are read; put segments that do not meet into one")]
    TooManyLayers {
        /// Values a voxel.
        layers: usize,
    },
    /// The position of the voxels makes no sense.
    #[error("no usable position in header: {source}")]
    Geometry {
        /// Why.
        #[from]
        source: GeometryError,
    },
    /// Fewer voxels than the header promises.
    #[error("file is truncated: {needed} bytes of voxels needed, {found} found")]
    Truncated {
        /// By the header.
        needed: u64,
        /// In the file, or unpacked from it.
        found: u64,
    },
    /// Text data with something that is no number.
    #[error("voxel {index} is `{text}`, which is no number")]
    Text {
        /// Position in the data.
        index: usize,
        /// What stands there.
        text: String,
    },
    /// A detached header that points out of its folder, or to several files.
    #[error("data file `{file}` must be one file in the header's folder")]
    DataFile {
        /// As the header says.
        file: String,
    },
    /// More overlaps of segments than labels.
    #[error("segments overlap in more ways than 16-bit labels can tell apart")]
    TooManyOverlaps,
    /// A voxel is no label.
    #[error(transparent)]
    Label(#[from] LabelValueError),
    /// Voxels and grid differ.
    #[error(transparent)]
    Volume(#[from] VolumeError),
    /// Any of the others, and where.
    #[error("{source}: {}", path.display())]
    At {
        /// What went wrong.
        source: Box<NrrdError>,
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
/// [`NrrdError`] with the path.
pub fn inspect(path: &Path) -> Result<Summary, NrrdError> {
    at(path, || {
        let mut head = Vec::new();
        io::Read::read_to_end(&mut io::Read::take(File::open(path)?, 1 << 20), &mut head)?;
        let (header, _) = Header::parse(&head)?;
        Ok(Summary { geometry: header.geometry, oriented: header.oriented })
    })
}

/// Reads a scan.
///
/// # Errors
/// [`NrrdError`] with the path.
pub fn read_scan(path: &Path) -> Result<ScanVolume, NrrdError> {
    at(path, || decode_scan(&fs::read(path)?, path.parent()))
}

/// Reads a label map, with Slicer's names, colours and codes where there are any.
///
/// # Errors
/// [`NrrdError`] with the path; a voxel that is no whole number from 0 to 65535 is one.
pub fn read_labels(path: &Path) -> Result<LabelMap, NrrdError> {
    at(path, || decode_labels(&fs::read(path)?, path.parent()))
}

/// A scan from the bytes of an attached file.
///
/// # Errors
/// [`NrrdError`].
pub fn scan_from_bytes(bytes: &[u8]) -> Result<ScanVolume, NrrdError> {
    decode_scan(bytes, None)
}

/// A label map from the bytes of an attached file.
///
/// # Errors
/// [`NrrdError`].
pub fn labels_from_bytes(bytes: &[u8]) -> Result<LabelMap, NrrdError> {
    decode_labels(bytes, None)
}

/// Writes a scan, packed; a path that ends in `.nhdr` gets its voxels in `NAME.raw.gz` beside it.
///
/// # Errors
/// [`NrrdError`] with the path.
pub fn write_scan(scan: &ScanVolume, path: &Path) -> Result<(), NrrdError> {
    let (kind, voxels) = match scan {
        ScanVolume::I16(v) => ("int16", little_endian(v.data())),
        ScanVolume::F32(v) => ("float", little_endian(v.data())),
    };
    write(path, scan.geometry(), &Body { kind, layers: 1, voxels: &voxels, pairs: "" })
}

/// Writes labels with Slicer's description of segments; unions ([`Segment::parts`]) go into layers of their own.
///
/// # Errors
/// [`NrrdError`] with the path.
pub fn write_labels(map: &LabelMap, path: &Path) -> Result<(), NrrdError> {
    let (unions, plain): (Vec<&Segment>, Vec<&Segment>) = map.segments.values().partition(|s| !s.parts.is_empty());
    let in_layers = plain.into_iter().map(|s| (s, 0)).chain(unions.iter().enumerate().map(|(n, &s)| (s, n + 1)));
    let pairs = segments::write(in_layers);
    let labels = map.voxels.data();
    let layers = unions.len() + 1;
    // What only unions own needs no place in the base layer.
    let only_in_unions: BTreeSet<Label> = unions
        .iter()
        .flat_map(|s| s.parts.iter().copied().filter(|p| !map.segments.contains_key(p)).chain([s.label]))
        .collect();
    let mut voxels = Vec::with_capacity(labels.len() * layers);
    for &label in labels {
        voxels.push(if only_in_unions.contains(&label) { BACKGROUND } else { label });
        voxels.extend(
            unions.iter().map(|s| if label == s.label || s.parts.contains(&label) { s.label } else { BACKGROUND }),
        );
    }
    if voxels.iter().all(|&l| l <= Label::from(u8::MAX)) {
        let voxels: Vec<u8> = voxels.iter().map(|&l| l as u8).collect();
        write(path, map.geometry(), &Body { kind: "uint8", layers, voxels: &voxels, pairs: &pairs })
    } else {
        write(path, map.geometry(), &Body { kind: "uint16", layers, voxels: &little_endian(&voxels), pairs: &pairs })
    }
}

fn at<T>(path: &Path, action: impl FnOnce() -> Result<T, NrrdError>) -> Result<T, NrrdError> {
    action().map_err(|source| NrrdError::At { source: Box::new(source), path: path.to_owned() })
}

fn decode_scan(bytes: &[u8], folder: Option<&Path>) -> Result<ScanVolume, NrrdError> {
    let (header, skip) = Header::parse(bytes)?;
    if header.layers.count != 1 {
        return Err(NrrdError::ManyLayers { layers: header.layers.count });
    }
    let voxels = voxels(&header, &bytes[skip..], folder)?;
    Ok(samples(&header, &voxels).to_scan(header.geometry)?)
}

fn decode_labels(bytes: &[u8], folder: Option<&Path>) -> Result<LabelMap, NrrdError> {
    let (header, skip) = Header::parse(bytes)?;
    let count = header.layers.count;
    if count > MAX_LAYERS {
        return Err(NrrdError::TooManyLayers { layers: count });
    }
    let voxels = voxels(&header, &bytes[skip..], folder)?;
    let all = samples(&header, &voxels).to_labels()?;
    drop(voxels);
    let mut entries = segments::parse(&header.pairs);
    entries.retain(|e| e.layer < count && e.value != BACKGROUND);
    if count == 1 {
        let segments = entries.iter().map(|e| (e.value, e.segment(e.value))).collect();
        return Ok(LabelMap { voxels: Volume::new(header.geometry, all)?, segments });
    }
    let mut layers: Vec<Vec<Label>> = (0..count)
        .map(|layer| match header.layers.interleaved {
            true => all.iter().copied().skip(layer).step_by(count).collect(),
            false => all.iter().copied().skip(layer * (all.len() / count)).take(all.len() / count).collect(),
        })
        .collect();
    drop(all);
    let segments = give_own_labels(&mut layers, &entries).ok_or(NrrdError::TooManyOverlaps)?;
    overlap::from_layers(header.geometry, &layers, segments)?.ok_or(NrrdError::TooManyOverlaps)
}

/// Makes each value of each layer a label of its own; a value keeps its number where nobody has it yet.
fn give_own_labels(layers: &mut [Vec<Label>], entries: &[segments::Entry]) -> Option<BTreeMap<Label, Segment>> {
    let mut taken = BTreeSet::new();
    let mut segments = BTreeMap::new();
    let mut next = layers.iter().flatten().copied().max().unwrap_or(BACKGROUND);
    for (number, layer) in layers.iter_mut().enumerate() {
        let mut renamed = vec![None; usize::from(Label::MAX) + 1];
        renamed[0] = Some(BACKGROUND);
        for voxel in layer.iter_mut() {
            let value = *voxel;
            let label = match renamed[usize::from(value)] {
                Some(label) => label,
                None if taken.insert(value) => value,
                None => {
                    next = next.checked_add(1)?;
                    taken.insert(next);
                    next
                }
            };
            renamed[usize::from(value)] = Some(label);
            *voxel = label;
        }
        for entry in entries.iter().filter(|e| e.layer == number) {
            if let Some(label) = renamed[usize::from(entry.value)] {
                segments.insert(label, entry.segment(label));
            }
        }
    }
    Some(segments)
}

fn samples<'a>(header: &Header, bytes: &'a [u8]) -> Samples<'a> {
    let text = header.encoding == Encoding::Text;
    let element = if text { Element::F64 } else { header.element };
    Samples { bytes, element, big_endian: header.big_endian && !text, slope: 1.0, intercept: 0.0 }
}

/// The bytes of all voxels; text becomes little-endian `f64`.
fn voxels<'a>(header: &Header, attached: &'a [u8], folder: Option<&Path>) -> Result<Cow<'a, [u8]>, NrrdError> {
    let Some(needed) = header.voxel_bytes() else {
        return Err(NrrdError::Truncated { needed: u64::MAX, found: attached.len() as u64 });
    };
    match &header.data {
        Data::Attached => unpack(header, attached, needed),
        Data::Files(files) => {
            let bytes = fs::read(data_file(files, folder)?)?;
            Ok(unpack(header, &bytes, needed)?.into_owned().into())
        }
    }
}

fn data_file(files: &[String], folder: Option<&Path>) -> Result<PathBuf, NrrdError> {
    let refused = |file: &str| NrrdError::DataFile { file: file.chars().take(200).collect() };
    let ([file], Some(folder)) = (files, folder) else {
        return Err(refused(files.first().map_or("LIST", String::as_str)));
    };
    // A header from outside must not choose what else on this machine is read.
    let inside = Path::new(file).components().all(|c| matches!(c, Component::Normal(_) | Component::CurDir));
    if inside && !file.contains('%') { Ok(folder.join(file)) } else { Err(refused(file)) }
}

fn unpack<'a>(header: &Header, bytes: &'a [u8], needed: usize) -> Result<Cow<'a, [u8]>, NrrdError> {
    let truncated = |found: usize| NrrdError::Truncated { needed: needed as u64, found: found as u64 };
    let mut bytes = bytes;
    for _ in 0..header.line_skip {
        let end = bytes.iter().position(|&b| b == b'\n').ok_or_else(|| truncated(0))?;
        bytes = &bytes[end + 1..];
    }
    match header.encoding {
        Encoding::Raw => {
            let start = header.byte_skip.or_else(|| bytes.len().checked_sub(needed)).unwrap_or(usize::MAX);
            let end = start.checked_add(needed);
            let voxels = end.and_then(|end| bytes.get(start..end));
            voxels.map(Cow::Borrowed).ok_or_else(|| truncated(bytes.len().saturating_sub(start)))
        }
        Encoding::Gzip => {
            let skip = header.byte_skip.unwrap_or(0);
            let total = needed.checked_add(skip).ok_or_else(|| truncated(bytes.len()))?;
            if total as u64 > gzip::most_unpacked(bytes.len()) {
                return Err(truncated(bytes.len()));
            }
            let mut unpacked = gzip::read_up_to(bytes, total).map_err(|source| NrrdError::Gzip { source })?;
            if unpacked.len() < total {
                return Err(truncated(unpacked.len().saturating_sub(skip)));
            }
            unpacked.drain(..skip);
            Ok(unpacked.into())
        }
        Encoding::Text => text_voxels(bytes, header.geometry.voxel_count() * header.layers.count),
    }
}

/// Numbers between white space or commas.
fn text_voxels(bytes: &[u8], count: usize) -> Result<Cow<'static, [u8]>, NrrdError> {
    // A number and what parts it from the next take two bytes at least.
    if count > bytes.len() / 2 + 1 {
        return Err(NrrdError::Truncated { needed: 2 * count as u64, found: bytes.len() as u64 });
    }
    let mut voxels = Vec::with_capacity(count * size_of::<f64>());
    let words = bytes.split(|b| b.is_ascii_whitespace() || *b == b',').filter(|w| !w.is_empty());
    for (index, word) in words.take(count).enumerate() {
        let text = String::from_utf8_lossy(word);
        let Ok(value) = text.parse::<f64>() else {
            return Err(NrrdError::Text { index, text: text.chars().take(40).collect() });
        };
        voxels.extend_from_slice(&value.to_le_bytes());
    }
    if voxels.len() < count * size_of::<f64>() {
        return Err(NrrdError::Truncated { needed: count as u64, found: voxels.len() as u64 / 8 });
    }
    Ok(voxels.into())
}

struct Body<'a> {
    kind: &'static str,
    layers: usize,
    voxels: &'a [u8],
    pairs: &'a str,
}

fn write(path: &Path, geometry: &ImageGeometry, body: &Body<'_>) -> Result<(), NrrdError> {
    at(path, || {
        let detached = path.extension().is_some_and(|e| e.eq_ignore_ascii_case("nhdr"));
        let file = path.with_extension("raw.gz");
        let name = file.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        let header = header_text(geometry, body, detached.then_some(&name));
        let mut out = BufWriter::new(File::create(path)?);
        out.write_all(header.as_bytes())?;
        if detached {
            let mut data = BufWriter::new(File::create(&file)?);
            gzip::write(&mut data, &[body.voxels])?;
            data.flush()?;
        } else {
            gzip::write(&mut out, &[body.voxels])?;
        }
        Ok(out.flush()?)
    })
}

fn header_text(geometry: &ImageGeometry, body: &Body<'_>, data_file: Option<&String>) -> String {
    let [ni, nj, nk] = geometry.size();
    let linear = geometry.lps_from_index().linear;
    let vector = |v: glam::DVec3| format!("({},{},{})", v.x, v.y, v.z);
    let directions = [linear.x_axis, linear.y_axis, linear.z_axis].map(vector).join(" ");
    let (list, none, count) = match body.layers {
        1 => ("", "", String::new()),
        n => ("list ", "none ", format!("{n} ")),
    };
    let mut text = String::from("NRRD0005\n");
    // Writing to a string cannot fail.
    let _infallible = write!(
        text,
        "type: {}\ndimension: {}\nspace: left-posterior-superior\nsizes: {count}{ni} {nj} {nk}\n\
         space directions: {none}{directions}\nkinds: {list}domain domain domain\nendian: little\nencoding: gzip\n\
         space origin: {}\n{}",
        body.kind,
        if body.layers == 1 { 3 } else { 4 },
        vector(geometry.origin().get()),
        body.pairs,
    );
    match data_file {
        Some(name) => text.push_str(&format!("data file: {name}\n")),
        None => text.push('\n'),
    }
    text
}

#[cfg(test)]
mod tests;
