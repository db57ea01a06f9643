//! Data sets read in place: every value is a slice of the file's own bytes, so a header cannot ask for memory.
//!
//! dicom-rs allocates what an element's length field declares and recurses as deep as sequences nest; this reader checks
//! both against the bytes that are there. It stops at the pixel data, whose place it reports.

use std::borrow::Cow;

use dicom_core::dictionary::{DataDictionary, DataDictionaryEntry};
use dicom_core::{Tag, VR};
use dicom_dictionary_std::{StandardDataDictionary, tags};
use dicom_encoding::text::{SpecificCharacterSet, TextCodec};
use thiserror::Error;

/// Sequences in real files nest seven deep at most; hostile ones would exhaust the stack.
const MAX_DEPTH: usize = 24;

/// Marks a length that is found by looking for a delimiter.
const UNDEFINED: u32 = u32::MAX;

const ITEM: Tag = Tag(0xFFFE, 0xE000);
const ITEM_END: Tag = Tag(0xFFFE, 0xE00D);
const SEQUENCE_END: Tag = Tag(0xFFFE, 0xE0DD);

/// How elements are put into bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Encoding {
    pub(crate) explicit_vr: bool,
    pub(crate) big_endian: bool,
}

impl Encoding {
    pub(crate) const IMPLICIT_LE: Self = Self { explicit_vr: false, big_endian: false };
    pub(crate) const EXPLICIT_LE: Self = Self { explicit_vr: true, big_endian: false };
    pub(crate) const EXPLICIT_BE: Self = Self { explicit_vr: true, big_endian: true };
}

/// A header that is not what it should be.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub(crate) enum DataSetError {
    /// Nothing wrong yet: reading needs the file's first `bytes` bytes.
    #[error("the header goes on for {bytes} bytes")]
    NeedMore { bytes: u64 },
    #[error(
        "element {tag} at byte {offset} declares {declared} bytes, but {available} are left; the file is cut short or damaged"
    )]
    Truncated { tag: Tag, offset: u64, declared: u64, available: u64 },
    #[error("sequences nest deeper than {MAX_DEPTH} at byte {offset}; the file is damaged")]
    TooDeep { offset: u64 },
    #[error("byte {offset} holds {found} where a sequence item belongs; the file is damaged")]
    NotAnItem { found: Tag, offset: u64 },
}

/// Where the pixels are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PixelLocation {
    /// [`tags::PIXEL_DATA`] or one of its floating-point kin.
    pub(crate) tag: Tag,
    /// First byte of the value, from the start of the (inflated) file.
    pub(crate) offset: u64,
    /// `None`: encapsulated fragments.
    pub(crate) length: Option<u64>,
}

/// One element.
#[derive(Clone, Debug)]
struct Element<'a> {
    tag: Tag,
    vr: VR,
    value: Value<'a>,
}

#[derive(Clone, Debug)]
enum Value<'a> {
    Bytes(&'a [u8]),
    Items(Vec<DataSet<'a>>),
}

/// Elements in the order of the file.
#[derive(Clone, Debug)]
pub(crate) struct DataSet<'a> {
    elements: Vec<Element<'a>>,
    big_endian: bool,
}

/// Reads a data set that begins at `start` of the file's first `bytes`; the whole file has `total` bytes.
pub(crate) fn read_data_set(
    bytes: &[u8],
    start: usize,
    total: u64,
    encoding: Encoding,
) -> Result<(DataSet<'_>, Option<PixelLocation>), DataSetError> {
    let mut cursor = Cursor { bytes, at: start, total, encoding };
    let mut pixels = None;
    let data_set = read_elements(&mut cursor, total, 0, &mut pixels)?;
    Ok((data_set, pixels))
}

/// Reads the file meta elements (group 2, explicit little endian), and where the data set begins.
pub(crate) fn read_meta(bytes: &[u8], start: usize, total: u64) -> Result<(DataSet<'_>, usize), DataSetError> {
    let mut cursor = Cursor { bytes, at: start, total, encoding: Encoding::EXPLICIT_LE };
    let mut elements = Vec::new();
    while cursor.left() >= 8 && cursor.peek_tag()?.group() == 2 {
        let header = cursor.element_header()?;
        let value = cursor.take(header.tag, u64::from(header.length))?;
        elements.push(Element { tag: header.tag, vr: header.vr, value: Value::Bytes(value) });
    }
    Ok((DataSet { elements, big_endian: false }, cursor.at))
}

struct ElementHeader {
    tag: Tag,
    vr: VR,
    length: u32,
    /// A sequence in an element of unknown VR is in implicit little endian (PS3.5 6.2.2).
    unknown_vr: bool,
}

struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
    total: u64,
    encoding: Encoding,
}

impl<'a> Cursor<'a> {
    fn left(&self) -> u64 {
        self.total.saturating_sub(self.at as u64)
    }

    /// The next bytes, or how many of the file it would take to have them.
    fn take(&mut self, tag: Tag, length: u64) -> Result<&'a [u8], DataSetError> {
        if length > self.left() {
            let (offset, available) = (self.at as u64, self.left());
            return Err(DataSetError::Truncated { tag, offset, declared: length, available });
        }
        let end = self.at as u64 + length;
        let whole: &'a [u8] = self.bytes;
        let slice = usize::try_from(end).ok().and_then(|end| whole.get(self.at..end));
        let Some(slice) = slice else { return Err(DataSetError::NeedMore { bytes: end }) };
        self.at = end as usize;
        Ok(slice)
    }

    fn array<const N: usize>(&mut self, tag: Tag) -> Result<[u8; N], DataSetError> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(tag, N as u64)?);
        Ok(array)
    }

    fn u16(&mut self, tag: Tag) -> Result<u16, DataSetError> {
        let bytes = self.array(tag)?;
        Ok(if self.encoding.big_endian { u16::from_be_bytes(bytes) } else { u16::from_le_bytes(bytes) })
    }

    fn u32(&mut self, tag: Tag) -> Result<u32, DataSetError> {
        let bytes = self.array(tag)?;
        Ok(if self.encoding.big_endian { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) })
    }

    fn tag(&mut self) -> Result<Tag, DataSetError> {
        const UNKNOWN: Tag = Tag(0, 0);
        Ok(Tag(self.u16(UNKNOWN)?, self.u16(UNKNOWN)?))
    }

    fn peek_tag(&mut self) -> Result<Tag, DataSetError> {
        let at = self.at;
        let tag = self.tag()?;
        self.at = at;
        Ok(tag)
    }

    fn element_header(&mut self) -> Result<ElementHeader, DataSetError> {
        let tag = self.tag()?;
        // PS3.5 7.5: items and delimiters have no VR in any encoding.
        if tag.group() == 0xFFFE || !self.encoding.explicit_vr {
            return Ok(ElementHeader { tag, vr: dictionary_vr(tag), length: self.u32(tag)?, unknown_vr: false });
        }
        let letters: [u8; 2] = self.array(tag)?;
        let Some(vr) = VR::from_binary(letters) else {
            // Some writers slip an implicit element in; then these bytes are half of its length.
            if !letters.iter().all(u8::is_ascii_uppercase) {
                self.at -= 2;
                return Ok(ElementHeader { tag, vr: dictionary_vr(tag), length: self.u32(tag)?, unknown_vr: false });
            }
            // PS3.5 7.1.2: VRs yet to come have the long form.
            self.at += 2;
            return Ok(ElementHeader { tag, vr: dictionary_vr(tag), length: self.u32(tag)?, unknown_vr: true });
        };
        let long =
            [VR::OB, VR::OD, VR::OF, VR::OL, VR::OV, VR::OW, VR::SQ, VR::SV, VR::UC, VR::UN, VR::UR, VR::UT, VR::UV];
        let length = if long.contains(&vr) {
            self.u16(tag)?;
            self.u32(tag)?
        } else {
            u32::from(self.u16(tag)?)
        };
        let unknown_vr = vr == VR::UN;
        Ok(ElementHeader { tag, vr: if unknown_vr { dictionary_vr(tag) } else { vr }, length, unknown_vr })
    }
}

fn dictionary_vr(tag: Tag) -> VR {
    StandardDataDictionary.by_tag(tag).map_or(VR::UN, |entry| entry.vr().relaxed())
}

fn read_elements<'a>(
    cursor: &mut Cursor<'a>,
    end: u64,
    depth: usize,
    pixels: &mut Option<PixelLocation>,
) -> Result<DataSet<'a>, DataSetError> {
    let mut elements = Vec::new();
    // A few stray bytes after the last element are padding.
    while cursor.at as u64 + 8 <= end {
        let header = cursor.element_header()?;
        let tag = header.tag;
        if tag == ITEM_END || tag == SEQUENCE_END {
            break;
        }
        if depth == 0 && is_pixel_data(tag) {
            let length = (header.length != UNDEFINED).then_some(u64::from(header.length));
            *pixels = Some(PixelLocation { tag, offset: cursor.at as u64, length });
            break;
        }
        let undefined = header.length == UNDEFINED;
        let is_sequence = header.vr == VR::SQ || undefined;
        // Private elements mean nothing to us, but those without a length must be walked through.
        let wanted = tag.group() % 2 == 0 && tag.group() != 0x0004;
        if is_sequence && (wanted || undefined) {
            let encoding = cursor.encoding;
            if header.unknown_vr {
                cursor.encoding = Encoding::IMPLICIT_LE;
            }
            let items = read_items(cursor, tag, header.length, depth + 1)?;
            cursor.encoding = encoding;
            if wanted {
                elements.push(Element { tag, vr: VR::SQ, value: Value::Items(items) });
            }
        } else {
            let value = cursor.take(tag, u64::from(header.length))?;
            if wanted {
                elements.push(Element { tag, vr: header.vr, value: Value::Bytes(value) });
            }
        }
    }
    Ok(DataSet { elements, big_endian: cursor.encoding.big_endian })
}

fn read_items<'a>(
    cursor: &mut Cursor<'a>,
    tag: Tag,
    length: u32,
    depth: usize,
) -> Result<Vec<DataSet<'a>>, DataSetError> {
    if depth > MAX_DEPTH {
        return Err(DataSetError::TooDeep { offset: cursor.at as u64 });
    }
    let end = sequence_end(cursor, tag, length)?;
    let mut items = Vec::new();
    while cursor.at as u64 + 8 <= end {
        let offset = cursor.at as u64;
        let (found, item_length) = (cursor.tag()?, cursor.u32(tag)?);
        match found {
            SEQUENCE_END => return Ok(items),
            ITEM => {
                let item_end = sequence_end(cursor, ITEM, item_length)?.min(end);
                let item = read_elements(cursor, item_end, depth, &mut None)?;
                // Elements that overrun their item leave nothing to trust behind them.
                if item_length != UNDEFINED && cursor.at as u64 > item_end {
                    let available = item_end - offset;
                    let declared = cursor.at as u64 - offset;
                    return Err(DataSetError::Truncated { tag, offset, declared, available });
                }
                if item_length != UNDEFINED {
                    cursor.at = item_end as usize;
                }
                items.push(item);
            }
            _ => return Err(DataSetError::NotAnItem { found, offset }),
        }
    }
    if length != UNDEFINED {
        let rest = end.saturating_sub(cursor.at as u64);
        cursor.take(tag, rest)?;
    }
    Ok(items)
}

/// Where a sequence or item of declared length ends; it must end within the file.
fn sequence_end(cursor: &Cursor<'_>, tag: Tag, length: u32) -> Result<u64, DataSetError> {
    if length == UNDEFINED {
        return Ok(cursor.total);
    }
    let (offset, available) = (cursor.at as u64, cursor.left());
    if u64::from(length) > available {
        return Err(DataSetError::Truncated { tag, offset, declared: u64::from(length), available });
    }
    Ok(offset + u64::from(length))
}

fn is_pixel_data(tag: Tag) -> bool {
    [tags::PIXEL_DATA, tags::FLOAT_PIXEL_DATA, tags::DOUBLE_FLOAT_PIXEL_DATA].contains(&tag)
}

impl<'a> DataSet<'a> {
    fn find(&self, tag: Tag) -> Option<&Element<'a>> {
        self.elements.iter().find(|element| element.tag == tag)
    }

    /// The bytes of a value that is not a sequence.
    pub(crate) fn bytes(&self, tag: Tag) -> Option<&'a [u8]> {
        match &self.find(tag)?.value {
            Value::Bytes(bytes) => Some(bytes),
            Value::Items(_) => None,
        }
    }

    /// The items of a sequence; none if it is absent.
    pub(crate) fn items(&self, tag: Tag) -> &[Self] {
        match self.find(tag).map(|element| &element.value) {
            Some(Value::Items(items)) => items,
            _ => &[],
        }
    }

    /// The first item of a sequence.
    pub(crate) fn item(&self, tag: Tag) -> Option<&Self> {
        self.items(tag).first()
    }

    /// ASCII text without padding; `None` if absent or empty.
    pub(crate) fn ascii(&self, tag: Tag) -> Option<Cow<'a, str>> {
        let bytes = self.bytes(tag)?;
        let text = match String::from_utf8_lossy(bytes) {
            Cow::Borrowed(text) => Cow::Borrowed(trimmed(text)),
            Cow::Owned(text) => Cow::Owned(trimmed(&text).to_owned()),
        };
        (!text.is_empty()).then_some(text)
    }

    /// Text in the data set's character set, without padding; `None` if absent or empty.
    pub(crate) fn text(&self, tag: Tag, charset: &SpecificCharacterSet) -> Option<String> {
        let bytes = self.bytes(tag)?;
        let decoded = charset.decode(bytes).unwrap_or_else(|_| String::from_utf8_lossy(bytes).into_owned());
        let text = trimmed(&decoded);
        (!text.is_empty()).then(|| text.to_owned())
    }

    /// The character set of the text in this data set (PS3.3 C.12.1.1.2).
    pub(crate) fn charset(&self) -> SpecificCharacterSet {
        let codes = self.ascii(tags::SPECIFIC_CHARACTER_SET).unwrap_or_default();
        // With code extensions the last one is the repertoire that names are written in beside ASCII.
        let code = codes.split('\\').map(str::trim).rfind(|code| !code.is_empty());
        code.and_then(SpecificCharacterSet::from_code).unwrap_or(SpecificCharacterSet::ISO_IR_100)
    }

    /// Numbers of any numeric VR; `None` if absent, empty, or one of them is not a finite number.
    pub(crate) fn numbers(&self, tag: Tag) -> Option<Vec<f64>> {
        let element = self.find(tag)?;
        let Value::Bytes(bytes) = element.value else { return None };
        let numbers: Option<Vec<f64>> = match element.vr {
            VR::US => self.binary(bytes, |b| f64::from(u16::from_le_bytes(b))),
            VR::SS => self.binary(bytes, |b| f64::from(i16::from_le_bytes(b))),
            VR::UL => self.binary(bytes, |b| f64::from(u32::from_le_bytes(b))),
            VR::SL => self.binary(bytes, |b| f64::from(i32::from_le_bytes(b))),
            VR::FL => self.binary(bytes, |b| f64::from(f32::from_le_bytes(b))),
            VR::FD => self.binary(bytes, f64::from_le_bytes),
            _ => {
                let text = String::from_utf8_lossy(bytes);
                trimmed(&text).split('\\').map(|part| trimmed(part).parse().ok()).collect()
            }
        };
        numbers.filter(|numbers| !numbers.is_empty() && numbers.iter().all(|n| n.is_finite()))
    }

    fn binary<const N: usize>(&self, bytes: &[u8], number: impl Fn([u8; N]) -> f64) -> Option<Vec<f64>> {
        let values = bytes.chunks_exact(N).map(|chunk| {
            let mut array = [0; N];
            array.copy_from_slice(chunk);
            if self.big_endian {
                array.reverse();
            }
            number(array)
        });
        Some(values.collect())
    }

    /// The first number of an element.
    pub(crate) fn number(&self, tag: Tag) -> Option<f64> {
        self.numbers(tag)?.first().copied()
    }

    /// A number that is whole and not negative.
    pub(crate) fn whole(&self, tag: Tag) -> Option<u32> {
        let number = self.number(tag)?;
        (number >= 0.0 && number <= f64::from(u32::MAX) && number.fract() == 0.0).then_some(number as u32)
    }

    /// The first `N` numbers of an element that has as many.
    pub(crate) fn vector<const N: usize>(&self, tag: Tag) -> Option<[f64; N]> {
        self.numbers(tag)?.get(..N)?.try_into().ok()
    }

    /// Visits every value that is not a sequence, in nested items too.
    pub(crate) fn visit(&self, visitor: &mut impl FnMut(Tag, VR, &'a [u8])) {
        for element in &self.elements {
            match &element.value {
                Value::Bytes(bytes) => visitor(element.tag, element.vr, bytes),
                Value::Items(items) => items.iter().for_each(|item| item.visit(visitor)),
            }
        }
    }
}

/// Without the spaces and zero bytes that pad values to even length.
pub(crate) fn trimmed(text: &str) -> &str {
    text.trim_matches(|c: char| c.is_whitespace() || c == '\0')
}
