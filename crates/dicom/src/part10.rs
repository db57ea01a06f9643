//! DICOM files (PS3.10): the preamble, the file meta information, and files that lack them.

use dicom_core::VR;
use dicom_dictionary_std::{tags, uids};
use thiserror::Error;

use crate::dataset::{DataSet, DataSetError, Encoding, PixelLocation, read_data_set, read_meta};

/// How a file's bytes and pixels are put.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Syntax {
    pub(crate) encoding: Encoding,
    pub(crate) deflated: bool,
    pub(crate) codec: Codec,
}

/// How pixels are compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Codec {
    /// Not at all.
    Native,
    /// JPEG baseline, extended and lossless (ISO 10918-1).
    Jpeg,
    /// JPEG-LS (ISO 14495-1).
    JpegLs,
    /// JPEG 2000 and its high-throughput form (ISO 15444).
    Jpeg2000,
    /// Run lengths (PS3.5 Annex G).
    Rle,
    /// Anything else, known by name only.
    Unsupported(&'static str),
}

/// A file's header.
#[derive(Debug)]
pub(crate) struct Header<'a> {
    pub(crate) syntax: Syntax,
    pub(crate) meta: DataSet<'a>,
    pub(crate) data_set: DataSet<'a>,
    pub(crate) pixels: Option<PixelLocation>,
}

/// Why a file's header cannot be read.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub(crate) enum HeaderError {
    /// Something else altogether: a text, a picture, …
    #[error("not a DICOM file")]
    NotDicom,
    #[error("unknown transfer syntax `{uid}`")]
    UnknownSyntax { uid: String },
    /// The data set is deflated; inflate what follows this many bytes.
    #[error("deflated from byte {start}")]
    Deflated { start: usize },
    #[error(transparent)]
    Damaged(#[from] DataSetError),
}

/// Retired from the standard, but not from the archives.
const EXPLICIT_VR_BIG_ENDIAN: &str = "1.2.840.10008.1.2.2";

/// Bytes before the magic word.
const PREAMBLE: usize = 128;

/// Reads a header from the first `bytes` of a file of `total` bytes.
pub(crate) fn read_header(bytes: &[u8], total: u64) -> Result<Header<'_>, HeaderError> {
    let start = meta_start(bytes)?;
    let (meta, start) = read_meta(bytes, start, total)?;
    let syntax = match meta.ascii(tags::TRANSFER_SYNTAX_UID) {
        Some(uid) => {
            syntax_of(&uid).ok_or_else(|| HeaderError::UnknownSyntax { uid: uid.chars().take(64).collect() })?
        }
        None => native(Encoding::EXPLICIT_LE),
    };
    if syntax.deflated {
        return Err(HeaderError::Deflated { start });
    }
    let syntax = Syntax { encoding: actual_encoding(bytes, start, syntax.encoding), ..syntax };
    let (data_set, pixels) = read_data_set(bytes, start, total, syntax.encoding)?;
    Ok(Header { syntax, meta, data_set, pixels })
}

/// Reads the header of a deflated file: the meta elements as they are, the data set from its inflated bytes.
pub(crate) fn read_deflated<'a>(bytes: &'a [u8], inflated: &'a [u8], total: u64) -> Result<Header<'a>, HeaderError> {
    let (meta, _) = read_meta(bytes, meta_start(bytes)?, bytes.len() as u64)?;
    let (data_set, pixels) = read_data_set(inflated, 0, total, Encoding::EXPLICIT_LE)?;
    let syntax = Syntax { deflated: true, ..native(Encoding::EXPLICIT_LE) };
    Ok(Header { syntax, meta, data_set, pixels })
}

fn meta_start(bytes: &[u8]) -> Result<usize, HeaderError> {
    if bytes.get(PREAMBLE..PREAMBLE + 4) == Some(b"DICM") {
        return Ok(PREAMBLE + 4);
    }
    // Old exports begin with the first element, of group 2 or 8, and no preamble.
    let Some(first) = bytes.first_chunk::<8>() else { return Err(HeaderError::NotDicom) };
    let (group, element) = (u16::from_le_bytes([first[0], first[1]]), u16::from_le_bytes([first[2], first[3]]));
    let big_endian = first[..2] == [0, 8] && VR::from_binary([first[4], first[5]]).is_some();
    let explicit = VR::from_binary([first[4], first[5]]).is_some();
    let implicit = u32::from_le_bytes([first[4], first[5], first[6], first[7]]) <= 256;
    let plausible = match group {
        2 => element <= 2 && explicit,
        8 => element <= 0x18 && (explicit || implicit),
        _ => big_endian,
    };
    if plausible { Ok(0) } else { Err(HeaderError::NotDicom) }
}

/// The encoding that the first element shows, where the transfer syntax says another.
fn actual_encoding(bytes: &[u8], start: usize, declared: Encoding) -> Encoding {
    let Some(first) = bytes.get(start..start + 6) else { return declared };
    let explicit_vr = VR::from_binary([first[4], first[5]]).is_some();
    // Group 8 opens nearly every data set; its bytes tell the order.
    let big_endian = match first[..2] {
        [8, 0] => false,
        [0, 8] => true,
        _ => declared.big_endian,
    };
    Encoding { explicit_vr, big_endian }
}

const fn native(encoding: Encoding) -> Syntax {
    Syntax { encoding, deflated: false, codec: Codec::Native }
}

fn syntax_of(uid: &str) -> Option<Syntax> {
    let compressed = |codec| Syntax { codec, ..native(Encoding::EXPLICIT_LE) };
    Some(match uid {
        uids::IMPLICIT_VR_LITTLE_ENDIAN => native(Encoding::IMPLICIT_LE),
        uids::EXPLICIT_VR_LITTLE_ENDIAN | uids::ENCAPSULATED_UNCOMPRESSED_EXPLICIT_VR_LITTLE_ENDIAN => {
            native(Encoding::EXPLICIT_LE)
        }
        EXPLICIT_VR_BIG_ENDIAN => native(Encoding::EXPLICIT_BE),
        uids::DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN => Syntax { deflated: true, ..native(Encoding::EXPLICIT_LE) },
        uids::RLE_LOSSLESS => compressed(Codec::Rle),
        uids::JPEG_BASELINE8_BIT | uids::JPEG_EXTENDED12_BIT | uids::JPEG_LOSSLESS | uids::JPEG_LOSSLESS_SV1 => {
            compressed(Codec::Jpeg)
        }
        uids::JPEGLS_LOSSLESS | uids::JPEGLS_NEAR_LOSSLESS => compressed(Codec::JpegLs),
        uids::JPEG2000_LOSSLESS | uids::JPEG2000 | uids::HTJ2K_LOSSLESS | uids::HTJ2K_LOSSLESS_RPCL | uids::HTJ2K => {
            compressed(Codec::Jpeg2000)
        }
        _ => {
            let families = [
                ("1.2.840.10008.1.2.4.10", "MPEG video"),
                ("1.2.840.10008.1.2.4.11", "JPEG XL"),
                ("1.2.840.10008.1.2.4.9", "JPIP or multi-component JPEG 2000"),
                ("1.2.840.10008.1.2.4", "a retired JPEG process"),
                ("1.2.840.10008.1.2", "a transfer syntax without pixel decoder"),
            ];
            let (_, name) = families.into_iter().find(|(prefix, _)| uid.starts_with(prefix))?;
            compressed(Codec::Unsupported(name))
        }
    })
}
