//! The pixels of one file: their form (PS3.3 C.7.6.3), checked against the file's size before anything is allocated, and
//! the way from bytes to values.

use std::ops::Range;
use std::sync::OnceLock;

use dicom_dictionary_std::tags;

use crate::codec;
use crate::dataset::{DataSet, PixelLocation};
use crate::error::DicomError;
use crate::fragments::frames_of_fragments;
use crate::instance::{Instance, Rescale};
use crate::part10::{Codec, Header, HeaderError, Syntax, read_header};
use crate::report::Obstacle;
use crate::source::{Source, inflate};

/// What pixels look like in the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PixelFormat {
    pub(crate) rows: usize,
    pub(crate) columns: usize,
    pub(crate) frames: usize,
    pub(crate) bits_allocated: u32,
    pub(crate) bits_stored: u32,
    pub(crate) high_bit: u32,
    pub(crate) signed: bool,
    pub(crate) big_endian: bool,
    /// MONOCHROME1.
    pub(crate) inverse: bool,
    /// Lowest and highest stored value that mean padding.
    pub(crate) padding: Option<(i64, i64)>,
    pub(crate) location: PixelLocation,
    /// Bytes from the start of the pixels to the end of the file.
    pub(crate) bytes_left: u64,
}

impl PixelFormat {
    /// Reads and checks the form of single-sample pixels of 8, 16 or 32 bits.
    pub(crate) fn of(header: &Header<'_>, total: u64) -> Result<Self, Obstacle> {
        let data_set = &header.data_set;
        let Some(location) = header.pixels else { return Err(Obstacle::NoPixels) };
        if location.tag != tags::PIXEL_DATA {
            return Err(Obstacle::Unsupported { what: "floating-point pixel data".to_owned() });
        }
        let photometric = data_set.ascii(tags::PHOTOMETRIC_INTERPRETATION).unwrap_or_else(|| "MONOCHROME2".into());
        if data_set.whole(tags::SAMPLES_PER_PIXEL).unwrap_or(1) != 1 || !photometric.starts_with("MONOCHROME") {
            return Err(Obstacle::Colour);
        }
        let required = |tag, name: &str| match data_set.whole(tag) {
            Some(value) if (1..=0xFFFF).contains(&value) => Ok(value),
            _ => Err(damaged(format!("{name} is missing, zero or beyond 65535"))),
        };
        let (rows, columns) = (required(tags::ROWS, "Rows")?, required(tags::COLUMNS, "Columns")?);
        let bits_allocated = required(tags::BITS_ALLOCATED, "Bits Allocated")?;
        if ![8, 16, 32].contains(&bits_allocated) {
            return Err(Obstacle::Unsupported { what: format!("pixel data of {bits_allocated} bits") });
        }
        let bits_stored = data_set.whole(tags::BITS_STORED).unwrap_or(bits_allocated);
        let high_bit = data_set.whole(tags::HIGH_BIT).unwrap_or(bits_stored.max(1) - 1);
        if bits_stored == 0 || bits_stored > high_bit + 1 || high_bit >= bits_allocated {
            let bits = format!("Bits Stored {bits_stored} and High Bit {high_bit} do not fit {bits_allocated} bits");
            return Err(damaged(bits));
        }
        let frames = data_set.whole(tags::NUMBER_OF_FRAMES).unwrap_or(1).max(1);
        let described = data_set.items(tags::PER_FRAME_FUNCTIONAL_GROUPS_SEQUENCE).len();
        if described > 0 && described < frames as usize {
            return Err(damaged(format!("{frames} frames are declared, {described} described")));
        }
        let signed = data_set.whole(tags::PIXEL_REPRESENTATION) == Some(1);
        let format = Self {
            rows: rows as usize,
            columns: columns as usize,
            frames: frames as usize,
            bits_allocated,
            bits_stored,
            high_bit,
            signed,
            big_endian: header.syntax.encoding.big_endian,
            inverse: photometric == "MONOCHROME1",
            padding: padding(data_set, signed),
            location,
            bytes_left: total.saturating_sub(location.offset),
        };
        format.fits_the_file(header.syntax.codec)?;
        Ok(format)
    }

    /// Pixels of one frame.
    pub(crate) const fn frame_pixels(&self) -> usize {
        self.rows * self.columns
    }

    /// Bytes of one frame, uncompressed.
    pub(crate) const fn frame_bytes(&self) -> usize {
        self.rows * self.columns * (self.bits_allocated as usize / 8)
    }

    /// Lowest and highest stored value that the bits can hold.
    pub(crate) fn stored_range(&self) -> (f64, f64) {
        let values = (self.bits_stored as i32).min(32);
        if self.signed {
            (-(2f64.powi(values - 1)), 2f64.powi(values - 1) - 1.0)
        } else {
            (0.0, 2f64.powi(values) - 1.0)
        }
    }

    /// A rescale that complements stored values first: highest becomes lowest.
    pub(crate) fn complemented(&self, rescale: Rescale) -> Rescale {
        let (low, high) = self.stored_range();
        Rescale { slope: -rescale.slope, intercept: rescale.apply(low + high) }
    }

    /// Rows × Columns × frames must be in the file, or be what its bytes can be decoded to.
    fn fits_the_file(&self, codec: Codec) -> Result<(), Obstacle> {
        let needed = (self.frame_bytes() as u64).saturating_mul(self.frames as u64);
        let sizes = format!("{} rows × {} columns × {} frames", self.rows, self.columns, self.frames);
        let left = self.bytes_left;
        match (codec, self.location.length) {
            // A byte that pads to even length may be missing at the very end.
            (_, Some(declared)) if declared > left + 1 => {
                return Err(damaged(format!(
                    "Pixel Data declares {declared} bytes, but {left} are left; the file is cut short"
                )));
            }
            (Codec::Native, Some(declared)) if declared.min(left) < needed => {
                return Err(damaged(format!("{sizes} need {needed} bytes, but Pixel Data declares {declared}")));
            }
            (_, Some(declared)) if declared.min(left) < needed => {
                return Err(Obstacle::Unsupported { what: "compressed pixel data without fragments".to_owned() });
            }
            (codec, None) if !codec::is_plausible(codec, needed, left, self.columns, self.frames) => {
                return Err(damaged(format!("{sizes} cannot come out of {left} compressed bytes")));
            }
            _ => {}
        }
        Ok(())
    }
}

fn damaged(reason: String) -> Obstacle {
    Obstacle::Damaged { reason }
}

/// Pixel Padding Value and Range Limit, whose VR follows Pixel Representation (PS3.3 C.7.5.1.1.2).
fn padding(data_set: &DataSet<'_>, signed: bool) -> Option<(i64, i64)> {
    let number = |tag| {
        data_set.number(tag).map(|value| match value as i64 {
            value if signed && value > i64::from(i16::MAX) => value - 0x1_0000,
            value if !signed && value < 0 => value + 0x1_0000,
            value => value,
        })
    };
    let value = number(tags::PIXEL_PADDING_VALUE)?;
    let limit = number(tags::PIXEL_PADDING_RANGE_LIMIT).unwrap_or(value);
    Some((value.min(limit), value.max(limit)))
}

/// Fetches the frames of a file, each as uncompressed bytes.
pub(crate) struct FrameReader<'a> {
    source: &'a Source,
    format: &'a PixelFormat,
    codec: Codec,
    deflated: bool,
    shared: OnceLock<Result<Content, String>>,
}

/// The pixel data of a whole file.
struct Content {
    bytes: Vec<u8>,
    /// Where each frame's fragments are; empty for native pixels.
    frames: Vec<Vec<Range<usize>>>,
}

impl<'a> FrameReader<'a> {
    pub(crate) fn new(instance: &'a Instance, format: &'a PixelFormat) -> Self {
        Self::of_parts(&instance.source, format, instance.syntax)
    }

    pub(crate) fn of_parts(source: &'a Source, format: &'a PixelFormat, syntax: Syntax) -> Self {
        Self { source, format, codec: syntax.codec, deflated: syntax.deflated, shared: OnceLock::new() }
    }

    /// True if frames lie in the file as they are.
    fn is_direct(&self) -> bool {
        let single = self.format.frames == 1;
        let native = self.codec == Codec::Native && self.format.location.length.is_some() && !self.deflated;
        native && (single || self.source.is_random_access())
    }

    /// Fills `into`, [`PixelFormat::frame_bytes`] long, with a frame.
    pub(crate) fn read(&self, frame: usize, into: &mut [u8]) -> Result<(), DicomError> {
        if self.is_direct() {
            let offset = self.format.location.offset + (frame * self.format.frame_bytes()) as u64;
            let read = |source| DicomError::Read { source, path: self.source.path.clone() };
            return self.source.read_at(offset, into).map_err(read);
        }
        let result = if self.format.frames == 1 {
            self.content().and_then(|content| self.frame_of(&content, frame, into))
        } else {
            match self.shared.get_or_init(|| self.content()) {
                Ok(content) => self.frame_of(content, frame, into),
                Err(reason) => Err(reason.clone()),
            }
        };
        result.map_err(|reason| DicomError::Pixels { frame, reason, path: self.source.path.clone() })
    }

    fn content(&self) -> Result<Content, String> {
        let offset = self.format.location.offset;
        let needed = self.format.frame_bytes() as u64 * self.format.frames as u64;
        let mut bytes = self.source.whole().map_err(|e| e.to_string())?;
        if self.deflated {
            let start = deflated_start(&bytes).ok_or("the file changed while it was read")?;
            bytes = inflate(&bytes[start..], offset + needed).map_err(|e| format!("cannot inflate: {e}"))?.0;
        }
        let offset =
            usize::try_from(offset).ok().filter(|at| *at <= bytes.len()).ok_or("the pixel data is not there")?;
        bytes.drain(..offset);
        let frames = if self.format.location.length.is_none() {
            frames_of_fragments(&bytes, self.format.frames)?
        } else {
            Vec::new()
        };
        Ok(Content { bytes, frames })
    }

    fn frame_of(&self, content: &Content, frame: usize, into: &mut [u8]) -> Result<(), String> {
        if self.format.location.length.is_some() {
            let start = frame * into.len();
            let bytes = content.bytes.get(start..start + into.len());
            into.copy_from_slice(
                bytes.ok_or_else(|| format!("only {} bytes of pixels are left", content.bytes.len()))?,
            );
            return Ok(());
        }
        let ranges = content.frames.get(frame).ok_or("its fragments are missing")?;
        let joined: Vec<u8>;
        let encoded = if let [range] = ranges.as_slice() {
            &content.bytes[range.clone()]
        } else {
            joined = ranges.iter().flat_map(|range| &content.bytes[range.clone()]).copied().collect();
            &joined
        };
        codec::decode(self.codec, encoded, self.format, into)
    }
}

fn deflated_start(bytes: &[u8]) -> Option<usize> {
    match read_header(bytes, bytes.len() as u64) {
        Err(HeaderError::Deflated { start }) => Some(start),
        _ => None,
    }
}

/// Turns a frame of 16-bit pixels, read into `values` byte for byte, into whole rescaled values in place.
///
/// False if a value does not fit; then `values` is spoilt.
pub(crate) fn rescale_in_place(values: &mut [i16], format: &PixelFormat, slope: i32, intercept: i32) -> bool {
    let up = 16 - (format.high_bit + 1);
    let down = 16 - format.bits_stored;
    if slope == 1
        && intercept == 0
        && down == 0
        && format.signed
        && !format.big_endian
        && cfg!(target_endian = "little")
    {
        return true;
    }
    let rescale = |stored: i32| stored * slope + intercept;
    match (format.signed, format.big_endian) {
        (true, false) => convert(values, |raw| rescale(i32::from(((u16::from_le(raw) << up) as i16) >> down))),
        (false, false) => convert(values, |raw| rescale(i32::from((u16::from_le(raw) << up) >> down))),
        (true, true) => convert(values, |raw| rescale(i32::from(((u16::from_be(raw) << up) as i16) >> down))),
        (false, true) => convert(values, |raw| rescale(i32::from((u16::from_be(raw) << up) >> down))),
    }
}

/// Maps all values; false if one does not fit.
fn convert(values: &mut [i16], value: impl Fn(u16) -> i32) -> bool {
    let mut overflow = 0;
    for slot in values {
        let wide = value(*slot as u16);
        *slot = wide as i16;
        overflow |= wide ^ i32::from(*slot);
    }
    overflow == 0
}

/// The stored value of each pixel of a frame, sign extended.
pub(crate) fn stored_values<'b>(bytes: &'b [u8], format: &'b PixelFormat) -> impl Iterator<Item = i64> + 'b {
    let width = format.bits_allocated as usize / 8;
    let up = 64 - (format.high_bit + 1);
    let down = 64 - format.bits_stored;
    bytes.chunks_exact(width).map(move |chunk| {
        let fold = |raw: u64, byte: &u8| raw << 8 | u64::from(*byte);
        let raw = if format.big_endian { chunk.iter().fold(0, fold) } else { chunk.iter().rev().fold(0, fold) };
        if format.signed { ((raw << up) as i64) >> down } else { ((raw << up) >> down) as i64 }
    })
}
