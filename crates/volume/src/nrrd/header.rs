//! The text header of a NRRD file (teem.sourceforge.net/nrrd/format.html).

use std::collections::BTreeMap;

use glam::{DMat3, DVec3};
use space::Point;

use super::NrrdError;
use crate::geometry::ImageGeometry;
use crate::raw::Element;

/// Axes a file may have: three of space, one of layers; more are no volume.
const MAX_DIMENSION: usize = 16;

/// How the voxels are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Encoding {
    Raw,
    Text,
    Gzip,
}

/// Where the voxels are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Data {
    Attached,
    Files(Vec<String>),
}

/// What a header says, checked.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Header {
    pub(super) geometry: ImageGeometry,
    pub(super) oriented: bool,
    pub(super) element: Element,
    pub(super) big_endian: bool,
    pub(super) encoding: Encoding,
    pub(super) data: Data,
    pub(super) line_skip: usize,
    /// None: the voxels are the last bytes of the file.
    pub(super) byte_skip: Option<usize>,
    pub(super) layers: Layers,
    /// `key:=value` pairs.
    pub(super) pairs: BTreeMap<String, String>,
}

/// Several values at each voxel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Layers {
    pub(super) count: usize,
    /// Voxels between two values of one layer: `count` if layers are the fastest axis, 1 if they are the slowest.
    pub(super) interleaved: bool,
}

impl Header {
    /// The header and the number of bytes it takes, the blank line included.
    pub(super) fn parse(bytes: &[u8]) -> Result<(Self, usize), NrrdError> {
        if !bytes.starts_with(b"NRRD000") {
            return Err(NrrdError::NotNrrd);
        }
        let mut fields = BTreeMap::new();
        let mut pairs = BTreeMap::new();
        let mut list = None;
        let mut end = 0;
        for line in bytes.split_inclusive(|&b| b == b'\n') {
            end += line.len();
            let line = String::from_utf8_lossy(line);
            let line = line.trim_end_matches(['\n', '\r']);
            if line.is_empty() {
                break;
            }
            if let Some(files) = &mut list {
                Vec::push(files, line.to_owned());
                continue;
            }
            let split = |mark| line.split_once(mark).filter(|(key, _): &(&str, &str)| !key.contains(':'));
            if line.starts_with('#') || line.starts_with("NRRD000") {
            } else if let Some((key, value)) = split(":=") {
                pairs.insert(key.to_owned(), value.to_owned());
            } else if let Some((key, value)) = split(": ").or_else(|| split(":")) {
                let (key, value) = (key.trim().to_ascii_lowercase(), value.trim().to_owned());
                if matches!(key.as_str(), "data file" | "datafile") && value.starts_with("LIST") {
                    list = Some(Vec::new());
                }
                fields.insert(key, value);
            } else {
                return Err(NrrdError::Line { line: line.chars().take(80).collect() });
            }
        }
        let header = Fields { fields }.header(pairs, list)?;
        Ok((header, end))
    }

    /// Bytes of the voxels of all layers; none if they cannot be counted.
    pub(super) fn voxel_bytes(&self) -> Option<usize> {
        self.geometry.voxel_count().checked_mul(self.layers.count)?.checked_mul(self.element.bytes())
    }
}

struct Fields {
    fields: BTreeMap<String, String>,
}

impl Fields {
    fn get(&self, name: &str) -> Option<&str> {
        self.fields.get(name).map(String::as_str)
    }

    fn require(&self, field: &'static str) -> Result<&str, NrrdError> {
        self.get(field).ok_or(NrrdError::Missing { field })
    }

    fn header(&self, pairs: BTreeMap<String, String>, list: Option<Vec<String>>) -> Result<Header, NrrdError> {
        let element = element(self.require("type")?)?;
        let sizes = self.sizes()?;
        let space = self.space_axes(sizes.len())?;
        let (geometry, oriented) = self.geometry(&sizes, &space)?;
        let data = match (list, self.get("data file").or_else(|| self.get("datafile"))) {
            (Some(files), _) => Data::Files(files),
            (None, Some(file)) => Data::Files(vec![file.to_owned()]),
            (None, None) => Data::Attached,
        };
        let byte_skip = match self.get("byte skip").or_else(|| self.get("byteskip")) {
            Some("-1") => None,
            Some(skip) => Some(number("byte skip", skip)?),
            None => Some(0),
        };
        let line_skip = self.get("line skip").or_else(|| self.get("lineskip"));
        Ok(Header {
            geometry,
            oriented,
            element,
            big_endian: self.big_endian(element)?,
            encoding: self.encoding()?,
            data,
            line_skip: line_skip.map_or(Ok(0), |n| number("line skip", n))?,
            byte_skip,
            layers: layers(&sizes, &space)?,
            pairs,
        })
    }

    fn sizes(&self) -> Result<Vec<usize>, NrrdError> {
        let dimension: usize = number("dimension", self.require("dimension")?)?;
        let text = self.require("sizes")?;
        let sizes = text.split_whitespace().map(|n| number("sizes", n)).collect::<Result<Vec<usize>, _>>()?;
        let good = sizes.len() == dimension && (2..=MAX_DIMENSION).contains(&dimension) && !sizes.contains(&0);
        if good { Ok(sizes) } else { Err(field("sizes", text)) }
    }

    fn big_endian(&self, element: Element) -> Result<bool, NrrdError> {
        match self.get("endian") {
            Some(e) if e.eq_ignore_ascii_case("little") => Ok(false),
            Some(e) if e.eq_ignore_ascii_case("big") => Ok(true),
            Some(other) => Err(field("endian", other)),
            None if element.bytes() == 1 || self.encoding()? == Encoding::Text => Ok(false),
            None => Err(NrrdError::Missing { field: "endian" }),
        }
    }

    fn encoding(&self) -> Result<Encoding, NrrdError> {
        match self.require("encoding")?.to_ascii_lowercase().as_str() {
            "raw" => Ok(Encoding::Raw),
            "txt" | "text" | "ascii" => Ok(Encoding::Text),
            "gz" | "gzip" => Ok(Encoding::Gzip),
            other => Err(NrrdError::Encoding { encoding: other.to_owned() }),
        }
    }

    /// Which axes are of space: those with a direction; without directions those whose kind is not a list's.
    fn space_axes(&self, dimension: usize) -> Result<Vec<usize>, NrrdError> {
        let axes: Vec<usize> = if let Some(directions) = self.directions()? {
            if directions.len() != dimension {
                return Err(field("space directions", self.get("space directions").unwrap_or_default()));
            }
            (0..dimension).filter(|&a| directions[a].is_some()).collect()
        } else if let Some(kinds) = self.get("kinds").filter(|k| k.split_whitespace().count() == dimension) {
            let of_space = |kind: &str| matches!(kind, "domain" | "space" | "???" | "none");
            (0..dimension).zip(kinds.split_whitespace()).filter(|(_, k)| of_space(k)).map(|(a, _)| a).collect()
        } else {
            (0..dimension).take(3).collect()
        };
        match axes.len() {
            2 | 3 => Ok(axes),
            n => Err(NrrdError::NotSpatial { axes: n }),
        }
    }

    fn directions(&self) -> Result<Option<Vec<Option<DVec3>>>, NrrdError> {
        self.get("space directions").map(|text| vectors("space directions", text)).transpose()
    }

    fn geometry(&self, sizes: &[usize], axes: &[usize]) -> Result<(ImageGeometry, bool), NrrdError> {
        let size = [0, 1, 2].map(|n| axes.get(n).map_or(1, |&a| sizes[a]));
        let frame = self.get("space").map(str::to_ascii_lowercase);
        let lps_from_space = match frame.as_deref() {
            Some("left-posterior-superior" | "lps") => Some(DVec3::ONE),
            Some("right-anterior-superior" | "ras") => Some(DVec3::new(-1.0, -1.0, 1.0)),
            Some("left-anterior-superior" | "las") => Some(DVec3::new(1.0, -1.0, 1.0)),
            Some("3d-right-handed" | "3d-left-handed" | "scanner-xyz") | None => None,
            Some(other) => return Err(field("space", other)),
        };
        let turn = lps_from_space.unwrap_or(DVec3::ONE);
        let to_mm = self.millimetres()?;
        let Some(directions) = self.directions()? else {
            let spacing = self.spacings(sizes.len(), axes)?.map(|s| s * to_mm);
            let origin = self.origin()?.unwrap_or_default() * turn * to_mm;
            return Ok((ImageGeometry::new(size, spacing, origin.into(), DMat3::IDENTITY)?, false));
        };
        let mut columns: Vec<DVec3> = axes.iter().filter_map(|&a| directions[a]).map(|d| d * turn * to_mm).collect();
        if let [i, j] = columns[..] {
            columns.push(i.cross(j).normalize_or_zero());
        }
        let spacing = [0, 1, 2].map(|n| columns[n].length());
        let [i, j, k] = [0, 1, 2].map(|n| columns[n] / spacing[n]);
        let origin = Point::from(self.origin()?.unwrap_or_default() * turn * to_mm);
        let geometry = ImageGeometry::new(size, spacing, origin, DMat3::from_cols(i, j, k))?;
        Ok((geometry, lps_from_space.is_some()))
    }

    fn origin(&self) -> Result<Option<DVec3>, NrrdError> {
        let Some(text) = self.get("space origin") else { return Ok(None) };
        match vectors("space origin", text)?[..] {
            [Some(origin)] => Ok(Some(origin)),
            _ => Err(field("space origin", text)),
        }
    }

    fn spacings(&self, dimension: usize, axes: &[usize]) -> Result<[f64; 3], NrrdError> {
        let Some(text) = self.get("spacings") else { return Ok([1.0; 3]) };
        let all = text.split_whitespace().map(|n| number("spacings", n)).collect::<Result<Vec<f64>, _>>()?;
        if all.len() != dimension {
            return Err(field("spacings", text));
        }
        // The sign only says which way the axis was scanned; NaN means unknown.
        Ok([0, 1, 2].map(|n| axes.get(n).map(|&a| all[a].abs()).filter(|s| !s.is_nan()).unwrap_or(1.0)))
    }

    fn millimetres(&self) -> Result<f64, NrrdError> {
        let Some(text) = self.get("space units") else { return Ok(1.0) };
        let mut units = text.split('"').map(str::trim).filter(|u| !u.is_empty());
        let first = units.next().unwrap_or("mm");
        if units.any(|u| u != first) {
            return Err(field("space units", text));
        }
        match first {
            "mm" | "millimeter" | "millimetre" | "" | "???" => Ok(1.0),
            "cm" => Ok(10.0),
            "m" => Ok(1e3),
            "um" | "µm" | "micron" => Ok(1e-3),
            _ => Err(field("space units", text)),
        }
    }
}

fn layers(sizes: &[usize], axes: &[usize]) -> Result<Layers, NrrdError> {
    let others: Vec<usize> = (0..sizes.len()).filter(|a| !axes.contains(a) && sizes[*a] > 1).collect();
    match others[..] {
        [] => Ok(Layers { count: 1, interleaved: false }),
        [axis] if axis < axes[0] => Ok(Layers { count: sizes[axis], interleaved: true }),
        [axis] if axis > axes[axes.len() - 1] => Ok(Layers { count: sizes[axis], interleaved: false }),
        _ => Err(NrrdError::NotSpatial { axes: sizes.len() }),
    }
}

fn element(text: &str) -> Result<Element, NrrdError> {
    Ok(match text.to_ascii_lowercase().as_str() {
        "signed char" | "int8" | "int8_t" => Element::I8,
        "uchar" | "unsigned char" | "uint8" | "uint8_t" => Element::U8,
        "short" | "short int" | "signed short" | "signed short int" | "int16" | "int16_t" => Element::I16,
        "ushort" | "unsigned short" | "unsigned short int" | "uint16" | "uint16_t" => Element::U16,
        "int" | "signed int" | "int32" | "int32_t" => Element::I32,
        "uint" | "unsigned int" | "uint32" | "uint32_t" => Element::U32,
        "longlong"
        | "long long"
        | "long long int"
        | "signed long long"
        | "signed long long int"
        | "int64"
        | "int64_t" => Element::I64,
        "ulonglong" | "unsigned long long" | "unsigned long long int" | "uint64" | "uint64_t" => Element::U64,
        "float" => Element::F32,
        "double" => Element::F64,
        _ => return Err(field("type", text)),
    })
}

/// Vectors in brackets, `none` for axes without one: `none (0.5,0,0) (0,0.5,0) (0,0,2)`.
fn vectors(name: &'static str, text: &str) -> Result<Vec<Option<DVec3>>, NrrdError> {
    let mut rest = text.trim();
    let mut out = Vec::new();
    while !rest.is_empty() {
        if let Some(tail) = rest.strip_prefix("none") {
            out.push(None);
            rest = tail.trim_start();
            continue;
        }
        let (inside, tail) = rest.strip_prefix('(').and_then(|r| r.split_once(')')).ok_or_else(|| field(name, text))?;
        let numbers = inside.split(',').map(|n| number(name, n.trim())).collect::<Result<Vec<f64>, _>>()?;
        let [x, y, z] = numbers[..] else { return Err(field(name, text)) };
        // A vector of NaN is another way of saying none.
        out.push((!(x.is_nan() && y.is_nan() && z.is_nan())).then_some(DVec3::new(x, y, z)));
        rest = tail.trim_start();
        if out.len() > MAX_DIMENSION {
            return Err(field(name, text));
        }
    }
    Ok(out)
}

fn number<T: std::str::FromStr>(name: &'static str, text: &str) -> Result<T, NrrdError> {
    text.parse().ok().ok_or_else(|| field(name, text))
}

fn field(field: &'static str, value: &str) -> NrrdError {
    NrrdError::Field { field, value: value.chars().take(80).collect() }
}
