//! Who the patient is: known here only as digests, to refuse names that would give it away.

use std::collections::BTreeSet;
use std::collections::hash_map::RandomState;
use std::fmt;
use std::hash::BuildHasher;
use std::sync::Arc;

use dicom_core::{Tag, VR};
use dicom_dictionary_std::tags;
use dicom_encoding::text::{SpecificCharacterSet, TextCodec};
use sha2::{Digest, Sha256};

use crate::dataset::DataSet;

/// Retired from the standard, but not from the archives.
const OTHER_PATIENT_IDS: Tag = Tag(0x0010, 0x1000);

/// Shorter words are too common to tell a person by; only whole values are compared then.
const MIN_WORD: usize = 3;

/// One-way digests of a patient's identity: names and their parts, IDs, birth date, accession numbers and UIDs.
///
/// The salt is drawn anew for each process and never leaves it, and neither do the digests.
#[derive(Clone, Default)]
pub struct IdentityGuard {
    salt: Salt,
    digests: Arc<BTreeSet<[u8; 16]>>,
}

impl IdentityGuard {
    /// True if a text equals a part of the identity, or has one among its words; case, punctuation and
    /// spaces do not matter.
    pub fn matches(&self, text: &str) -> bool {
        let words = words(text);
        let joined = |words: &[String]| words.concat();
        let candidate = |text: &str| !text.is_empty() && self.digests.contains(&self.salt.digest(text));
        if candidate(&joined(&words)) || candidate(&normalised(text)) {
            return true;
        }
        let long_enough = |text: &String| text.chars().count() >= MIN_WORD;
        // Dates and IDs may be written with separators: every run of neighbouring words counts.
        (0..words.len()).any(|from| {
            (from + 1..=words.len()).map(|to| joined(&words[from..to])).filter(long_enough).any(|run| candidate(&run))
        })
    }

    /// True if nothing was there to know the patient by.
    pub fn is_empty(&self) -> bool {
        self.digests.is_empty()
    }

    /// The guard of both, which must be of one inventory or empty: salts differ otherwise.
    pub(crate) fn joined(&self, other: &Self) -> Self {
        if self.is_empty() {
            return other.clone();
        }
        if Arc::ptr_eq(&self.digests, &other.digests) || other.digests.is_subset(&self.digests) {
            return self.clone();
        }
        Self { salt: self.salt, digests: Arc::new(self.digests.union(&other.digests).copied().collect()) }
    }
}

impl fmt::Debug for IdentityGuard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "IdentityGuard({} digests)", self.digests.len())
    }
}

/// Random, the same for all guards of one inventory.
#[derive(Clone, Copy)]
pub(crate) struct Salt([u64; 2]);

impl Default for Salt {
    fn default() -> Self {
        let random = RandomState::new();
        Self([random.hash_one(0u8), random.hash_one(1u8)])
    }
}

impl Salt {
    fn digest(self, text: &str) -> [u8; 16] {
        let mut hash = Sha256::new();
        self.0.iter().for_each(|word| hash.update(word.to_le_bytes()));
        hash.update(text.as_bytes());
        let mut digest = [0; 16];
        digest.copy_from_slice(&hash.finalize()[..16]);
        digest
    }
}

/// Digests what identifies the patient in a data set, nested items included.
pub(crate) fn guard(data_set: &DataSet<'_>, charset: &SpecificCharacterSet, salt: Salt) -> IdentityGuard {
    let mut digests = BTreeSet::new();
    let mut add = |text: String| {
        if !text.is_empty() {
            digests.insert(salt.digest(&text));
        }
    };
    data_set.visit(&mut |tag, vr, bytes| {
        let whole_and_words = tag == tags::PATIENT_ADDRESS || tag == tags::INSTITUTION_NAME || vr == VR::PN;
        let whole = [
            tags::PATIENT_ID,
            OTHER_PATIENT_IDS,
            tags::ACCESSION_NUMBER,
            tags::STUDY_ID,
            tags::ADMISSION_ID,
            tags::PATIENT_TELEPHONE_NUMBERS,
            tags::ISSUER_OF_PATIENT_ID,
        ]
        .contains(&tag);
        let is_birth_date = tag == tags::PATIENT_BIRTH_DATE;
        // UIDs of classes and syntaxes are the standard's, not the patient's.
        let is_uid = vr == VR::UI && !bytes.starts_with(b"1.2.840.10008.");
        if !(whole_and_words || whole || is_birth_date || is_uid) {
            return;
        }
        let text = charset.decode(bytes).unwrap_or_else(|_| String::from_utf8_lossy(bytes).into_owned());
        let text = crate::dataset::trimmed(&text);
        if is_birth_date {
            date_spellings(text).into_iter().for_each(&mut add);
        } else if is_uid {
            text.split('\\').map(normalised).for_each(&mut add);
        } else {
            for value in text.split('\\') {
                add(words(value).concat());
                if whole_and_words {
                    // The alphabetic, ideographic and phonetic forms of a name are each whole, and so are their components.
                    value.split('=').map(|form| words(form).concat()).for_each(&mut add);
                    value.split(['=', '^']).map(|component| words(component).concat()).for_each(&mut add);
                    words(value).into_iter().filter(|word| word.chars().count() >= MIN_WORD).for_each(&mut add);
                }
            }
        }
    });
    IdentityGuard { salt, digests: Arc::new(digests) }
}

/// The ways a birth date is written, digits only.
fn date_spellings(date: &str) -> Vec<String> {
    let digits: String = date.chars().filter(char::is_ascii_digit).collect();
    let (Some(year), Some(month), Some(day)) = (digits.get(..4), digits.get(4..6), digits.get(6..8)) else {
        return vec![normalised(date)];
    };
    let trim = |part: &str| part.trim_start_matches('0').to_owned();
    let short = &year[2..];
    vec![
        format!("{year}{month}{day}"),
        format!("{day}{month}{year}"),
        format!("{month}{day}{year}"),
        format!("{short}{month}{day}"),
        format!("{day}{month}{short}"),
        format!("{month}{day}{short}"),
        format!("{}{}{year}", trim(day), trim(month)),
        format!("{}{}{year}", trim(month), trim(day)),
        format!("{year}{}{}", trim(month), trim(day)),
    ]
}

/// Lower case, with nothing but letters, digits and dots.
fn normalised(text: &str) -> String {
    text.chars().filter(|c| c.is_alphanumeric() || *c == '.').flat_map(char::to_lowercase).collect()
}

/// Lower-case words of letters and digits.
fn words(text: &str) -> Vec<String> {
    text.split(|c: char| !c.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .map(|word| word.chars().flat_map(char::to_lowercase).collect())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::{Encoding, read_data_set};

    fn guard_of(elements: &[(u16, u16, &str, &str)]) -> IdentityGuard {
        let mut bytes = Vec::new();
        for (group, element, vr, value) in elements {
            let padded = if value.len() % 2 == 1 { format!("{value} ") } else { (*value).to_owned() };
            bytes.extend(group.to_le_bytes());
            bytes.extend(element.to_le_bytes());
            bytes.extend(vr.as_bytes());
            bytes.extend((padded.len() as u16).to_le_bytes());
            bytes.extend(padded.as_bytes());
        }
        let (data_set, _) = read_data_set(&bytes, 0, bytes.len() as u64, Encoding::EXPLICIT_LE).unwrap();
        guard(&data_set, &SpecificCharacterSet::ISO_IR_192, Salt::default())
    }

    #[test]
    fn a_guard_knows_all_parts_of_an_identity_and_nothing_else() {
        let guard = guard_of(&[
            (0x0008, 0x0018, "UI", "1.2.3.4.55"),
            (0x0008, 0x0050, "SH", "ACC-0042"),
            (0x0010, 0x0010, "PN", "Müller-Lüdenscheidt^Anna Maria^^Dr.=山田^太郎"),
            (0x0010, 0x0020, "LO", "PAT 12/345"),
            (0x0010, 0x0030, "DA", "19610307"),
        ]);
        for alias in [
            "müller",
            "Anna",
            "the case of Maria",
            "ANNA_MARIA",
            "MüllerLüdenscheidt",
            "山田太郎",
            "PAT12345",
            "pat-12-345",
            "acc 0042",
            "1961-03-07",
            "born 7.3.1961",
            "07031961",
            "1.2.3.4.55",
        ] {
            assert!(guard.matches(alias), "{alias} names the patient");
        }
        for alias in ["", "case 7", "liver lesion", "Annabel", "1962-03-07", "1.2.3.4.56", "12", "demo 345"] {
            assert!(!guard.matches(alias), "{alias} names nobody");
        }
        assert_eq!(format!("{guard:?}").find('ü'), None);
    }

    #[test]
    fn salts_differ() {
        let element = [(0x0010, 0x0020, "LO", "12345")];
        assert_ne!(guard_of(&element).digests, guard_of(&element).digests);
    }
}
