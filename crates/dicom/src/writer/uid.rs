//! UIDs without a registered root.

use sha2::{Digest, Sha256};

/// A UID derived from a seed and what it is for; equal input gives an equal UID.
///
/// PS3.5 B.2: `2.25.` and a UUID as a decimal number. The UUID is of version 8 (RFC 9562, 5.8): 122 bits of a hash.
pub(crate) fn derived_uid(seed: u64, role: &str, index: usize) -> String {
    let mut hash = Sha256::new();
    hash.update(b"vestibule/uid/1\0");
    hash.update(seed.to_le_bytes());
    hash.update((index as u64).to_le_bytes());
    hash.update(role.as_bytes());
    let bits = hash.finalize().iter().take(16).fold(0u128, |bits, &byte| bits << 8 | u128::from(byte));
    let version_8 = (bits & !(0xf << 76)) | 0x8 << 76;
    let variant_1 = (version_8 & !(0x3 << 62)) | 0x2 << 62;
    format!("2.25.{variant_1}")
}

#[cfg(test)]
mod tests {
    use super::derived_uid;

    #[test]
    fn uids_are_short_stable_and_distinct() {
        let uid = derived_uid(7, "series", 0);
        assert!(uid.len() <= 64 && uid.starts_with("2.25."), "{uid}");
        assert_eq!(uid, derived_uid(7, "series", 0));
        assert_ne!(uid, derived_uid(8, "series", 0));
        assert_ne!(uid, derived_uid(7, "study", 0));
        assert_ne!(uid, derived_uid(7, "series", 1));
        let number: u128 = uid.trim_start_matches("2.25.").parse().unwrap();
        assert_eq!(derived_uid(0, "implementation", 0), crate::writer::IMPLEMENTATION_CLASS_UID);
        assert_eq!((number >> 76 & 0xf, number >> 62 & 0x3), (8, 2), "version and variant bits");
    }
}
