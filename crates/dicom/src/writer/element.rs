//! Data sets put together element by element.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use dicom_core::value::DataSetSequence;
use dicom_core::{DataElement, PrimitiveValue, Tag, VR};
use dicom_dictionary_std::{tags, uids};
use dicom_object::{FileMetaTableBuilder, InMemDicomObject};
use dicom_parser::dataset::{DataSetWriter, IntoTokens};
use dicom_transfer_syntax_registry::entries::EXPLICIT_VR_LITTLE_ENDIAN;

use crate::error::DicomError;
use crate::writer::{IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME};

/// A data set under construction.
pub(crate) struct Builder(pub(crate) InMemDicomObject);

impl Builder {
    pub(crate) fn new() -> Self {
        Self(InMemDicomObject::new_empty())
    }

    /// Text of any textual VR; several values are parted by `\`.
    pub(crate) fn text(mut self, tag: Tag, vr: VR, value: impl Into<String>) -> Self {
        self.0.put(DataElement::new(tag, vr, PrimitiveValue::Str(value.into())));
        self
    }

    /// Elements of type 2 whose value nobody knows.
    pub(crate) fn empty(mut self, elements: &[(Tag, VR)]) -> Self {
        for &(tag, vr) in elements {
            self.0.put(DataElement::new(tag, vr, PrimitiveValue::Empty));
        }
        self
    }

    /// Binary numbers, or bytes.
    pub(crate) fn value(mut self, tag: Tag, vr: VR, value: impl Into<PrimitiveValue>) -> Self {
        self.0.put(DataElement::new(tag, vr, value.into()));
        self
    }

    /// Takes an element out.
    pub(crate) fn without(mut self, tag: Tag) -> Self {
        self.0.remove_element(tag);
        self
    }

    /// Decimal strings.
    pub(crate) fn decimals(self, tag: Tag, values: &[f64]) -> Self {
        self.text(tag, VR::DS, decimal_strings(values))
    }

    /// A sequence.
    pub(crate) fn items(mut self, tag: Tag, items: Vec<InMemDicomObject>) -> Self {
        self.0.put(DataElement::new(tag, VR::SQ, DataSetSequence::from(items)));
        self
    }

    /// A sequence of one item.
    pub(crate) fn item(self, tag: Tag, item: Self) -> Self {
        self.items(tag, vec![item.0])
    }
}

/// A coded concept (PS3.3 8.8).
pub(crate) fn code_item(scheme: &str, value: &str, meaning: &str) -> Builder {
    // SH holds 16 characters; longer values go to Long Code Value.
    let value_tag =
        if value.chars().count() <= 16 { (tags::CODE_VALUE, VR::SH) } else { (tags::LONG_CODE_VALUE, VR::UC) };
    Builder::new().text(value_tag.0, value_tag.1, value).text(tags::CODING_SCHEME_DESIGNATOR, VR::SH, scheme).text(
        tags::CODE_MEANING,
        VR::LO,
        shortened(meaning, 64),
    )
}

/// The first `limit` characters, without what would end a value.
pub(crate) fn shortened(text: &str, limit: usize) -> String {
    text.chars().filter(|c| *c != '\\' && !c.is_control()).take(limit).collect::<String>().trim().to_owned()
}

/// Several of [`decimal_string`], parted as values are.
pub(crate) fn decimal_strings(values: &[f64]) -> String {
    let text: Vec<String> = values.iter().map(|&v| decimal_string(v)).collect();
    text.join("\\")
}

/// The nearest number that fits the 16 characters of a DS (PS3.5 6.2).
pub(crate) fn decimal_string(value: f64) -> String {
    let plain = format!("{value}");
    if plain.len() <= 16 {
        return plain;
    }
    let scientific = |digits: usize| format!("{value:.digits$e}");
    let fixed = |digits: usize| format!("{value:.digits$}");
    let candidates = (0..=16usize).rev().flat_map(|digits| [fixed(digits), scientific(digits)]);
    candidates
        .filter(|text| text.len() <= 16)
        .min_by(|a, b| {
            let error = |text: &str| text.parse().map_or(f64::INFINITY, |v: f64| (v - value).abs());
            error(a).total_cmp(&error(b)).then(a.len().cmp(&b.len()))
        })
        .unwrap_or_else(|| "0".to_owned())
}

/// Writes a data set as a DICOM file, explicit VR little endian.
///
/// `FileDicomObject::write_all` copies every element first, pixels and items alike; here they are used up.
pub(crate) fn write_file(path: &Path, data_set: Builder) -> Result<(), DicomError> {
    let meta = FileMetaTableBuilder::new()
        .transfer_syntax(uids::EXPLICIT_VR_LITTLE_ENDIAN)
        .implementation_class_uid(IMPLEMENTATION_CLASS_UID)
        .implementation_version_name(IMPLEMENTATION_VERSION_NAME);
    let encode = |e: &dyn std::fmt::Display| DicomError::Encode { path: path.to_owned(), reason: e.to_string() };
    let object = data_set.0.with_meta(meta).map_err(|e| encode(&e))?;
    let io = |source| DicomError::Write { path: path.to_owned(), source };
    let mut file = BufWriter::with_capacity(1 << 18, File::create(path).map_err(io)?);
    // PS3.10 7.1: the preamble and the prefix.
    file.write_all(&[0; 128]).and_then(|()| file.write_all(b"DICM")).map_err(io)?;
    object.write_meta(&mut file).map_err(|e| encode(&e))?;
    let mut writer = DataSetWriter::with_ts(&mut file, &EXPLICIT_VR_LITTLE_ENDIAN.erased()).map_err(|e| encode(&e))?;
    writer.write_sequence(object.into_inner().into_tokens()).map_err(|e| encode(&e))?;
    writer.flush().map_err(|e| encode(&e))?;
    drop(writer);
    file.flush().map_err(io)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn decimal_strings_fit_and_stay_near(value in -1e6..1e6f64) {
            let text = decimal_string(value);
            prop_assert!(text.len() <= 16, "{text}");
            prop_assert!((text.parse::<f64>().unwrap() - value).abs() <= 1e-8 * value.abs().max(1.0), "{text} for {value}");
        }
    }

    #[test]
    fn decimal_strings_of_the_usual_are_exact() {
        for (value, text) in [(0.841796875, "0.841796875"), (-124.0, "-124"), (0.0, "0"), (1e-20, "1e-20")] {
            assert_eq!(decimal_string(value), text);
        }
    }
}
