//! Compressed frames. What a codestream says about its size is checked against the file's header before a decoder sees
//! it, and a decoder that panics is an error of that frame.

mod codestream;
mod jpeg_12_bit;
mod rle;

use std::borrow::Cow;
use std::panic::{AssertUnwindSafe, catch_unwind};

use dicom_dictionary_std::uids;
use dicom_encoding::TransferSyntaxIndex;
use dicom_encoding::adapters::{PixelDataObject, RawPixelData};
use dicom_transfer_syntax_registry::TransferSyntaxRegistry;

use crate::part10::Codec;
use crate::pixels::PixelFormat;

/// Decoded bytes that even a small codestream may stand for: an empty slice of 1024² compresses to nearly nothing.
const SLACK: u64 = 4 << 20;

/// Decoded bytes for each encoded one that JPEG-LS and JPEG 2000 may reach on near-empty images.
const MAX_RATIO: u64 = 1000;

/// True if so many compressed bytes can stand for `decoded` bytes of `frames` frames.
pub(crate) fn is_plausible(codec: Codec, decoded: u64, encoded: u64, columns: usize, frames: usize) -> bool {
    // Every frame has a fragment of its own, with an item header.
    if encoded / 8 < frames as u64 {
        return false;
    }
    let most = match codec {
        Codec::Native => encoded,
        // PS3.5 G.3.1: two bytes make 128 at most.
        Codec::Rle => encoded.saturating_mul(64),
        // One bit for the difference of each 8 × 8 block at the least (ISO 10918-1, progressive).
        Codec::Jpeg => encoded.saturating_mul(1024),
        // At least a bit a line, however long the run (ISO 14495-1 A.7).
        Codec::JpegLs => {
            encoded.saturating_mul(16 * columns as u64).min(64 * SLACK + encoded.saturating_mul(MAX_RATIO))
        }
        Codec::Jpeg2000 | Codec::Unsupported(_) => {
            SLACK.saturating_mul((frames as u64).min(16)).saturating_add(encoded.saturating_mul(MAX_RATIO))
        }
    };
    decoded <= most
}

/// The same for all compressed frames of a series, `decoded` bytes out of `encoded` ones: images may be near-empty, but
/// not all of them.
pub(crate) fn is_plausible_series(decoded: u64, encoded: u64) -> bool {
    const SERIES_SLACK: u64 = 64 << 20;
    const MAX_SERIES_RATIO: u64 = 200;
    decoded <= SERIES_SLACK.saturating_add(encoded.saturating_mul(MAX_SERIES_RATIO))
}

/// Decodes one frame into little-endian bytes.
pub(crate) fn decode(codec: Codec, encoded: &[u8], format: &PixelFormat, into: &mut [u8]) -> Result<(), String> {
    if !is_plausible(codec, into.len() as u64, encoded.len() as u64 + 8, format.columns, 1) {
        return Err(format!("{} bytes cannot come out of {} compressed ones", into.len(), encoded.len()));
    }
    let uid = match codec {
        Codec::Native => {
            into.copy_from_slice(encoded.get(..into.len()).ok_or("the fragment is too short")?);
            return Ok(());
        }
        Codec::Rle => return rle::decode(encoded, format.bits_allocated as usize / 8, into),
        Codec::Jpeg => uids::JPEG_LOSSLESS,
        Codec::JpegLs => uids::JPEGLS_LOSSLESS,
        Codec::Jpeg2000 => uids::JPEG2000_LOSSLESS,
        Codec::Unsupported(name) => return Err(format!("{name} compression is not supported")),
    };
    let shape = match codec {
        Codec::Jpeg2000 => codestream::jpeg_2000_shape(encoded)?,
        _ => codestream::jpeg_shape(encoded)?,
    };
    if (shape.rows, shape.columns) != (format.rows, format.columns) || shape.components != 1 {
        return Err(format!(
            "the compressed image is {} × {} × {}, the header says {} × {} × 1",
            shape.rows, shape.columns, shape.components, format.rows, format.columns
        ));
    }
    if codec == Codec::Jpeg && shape.lossy && shape.precision == 12 {
        if format.bits_allocated != 16 {
            return Err(format!("samples of 12 bits do not fit {} bits", format.bits_allocated));
        }
        return jpeg_12_bit::decode(encoded, format.columns, format.rows, into);
    }
    // Decoders give whole bytes: 8-bit samples may come in a file that reserves 16 bits.
    let width = if shape.precision <= 8 { 1 } else { 2 };
    let allocated = format.bits_allocated as usize / 8;
    if width > allocated || allocated > 2 {
        return Err(format!("samples of {} bits do not fit {} bits", shape.precision, format.bits_allocated));
    }
    let frame = EncodedFrame { uid, encoded, format, width };
    let mut decoded = Vec::new();
    let registered = TransferSyntaxRegistry.get(uid).and_then(|syntax| syntax.pixel_data_reader());
    let reader = registered.ok_or("no decoder was built in")?;
    match catch_unwind(AssertUnwindSafe(|| reader.decode_frame(&frame, 0, &mut decoded))) {
        Ok(Ok(())) => {}
        Ok(Err(e)) => return Err(e.to_string()),
        Err(_) => return Err("the decoder gave up on damaged data".to_owned()),
    }
    let samples = format.frame_pixels();
    if decoded.len() != samples * width {
        return Err(format!("{} bytes came out where {} belong", decoded.len(), samples * width));
    }
    if width == allocated {
        into.copy_from_slice(&decoded);
    } else {
        for (pixel, sample) in into.chunks_exact_mut(allocated).zip(decoded) {
            // Signed samples keep their sign in the wider pixel.
            let fill = if format.signed && shape.precision == 8 && sample & 0x80 != 0 { 0xFF } else { 0 };
            pixel.copy_from_slice(&[sample, fill]);
        }
    }
    Ok(())
}

/// One frame, as dicom-rs wants to see it.
struct EncodedFrame<'a> {
    uid: &'static str,
    encoded: &'a [u8],
    format: &'a PixelFormat,
    width: usize,
}

impl PixelDataObject for EncodedFrame<'_> {
    fn transfer_syntax_uid(&self) -> &str {
        self.uid
    }
    fn rows(&self) -> Option<u16> {
        u16::try_from(self.format.rows).ok()
    }
    fn cols(&self) -> Option<u16> {
        u16::try_from(self.format.columns).ok()
    }
    fn samples_per_pixel(&self) -> Option<u16> {
        Some(1)
    }
    fn bits_allocated(&self) -> Option<u16> {
        Some(8 * self.width as u16)
    }
    fn bits_stored(&self) -> Option<u16> {
        Some((self.format.bits_stored as u16).min(8 * self.width as u16))
    }
    fn photometric_interpretation(&self) -> Option<&str> {
        Some("MONOCHROME2")
    }
    fn number_of_frames(&self) -> Option<u32> {
        Some(1)
    }
    fn number_of_fragments(&self) -> Option<u32> {
        Some(1)
    }
    fn fragment(&self, fragment: usize) -> Option<Cow<'_, [u8]>> {
        (fragment == 0).then_some(Cow::Borrowed(self.encoded))
    }
    fn offset_table(&self) -> Option<Cow<'_, [u32]>> {
        Some(Cow::Borrowed(&[]))
    }
    fn raw_pixel_data(&self) -> Option<RawPixelData> {
        Some(RawPixelData {
            fragments: [self.encoded.to_vec()].into_iter().collect(),
            offset_table: Default::default(),
        })
    }
}
