//! SHA-256 of files, and of a case as a whole.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use sha2::{Digest, Sha256};

/// Stands in `case.json` where the case's own checksum will be.
pub(crate) const PLACEHOLDER: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// SHA-256 in hexadecimal.
pub(crate) fn sha256(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// SHA-256 of a file in hexadecimal, read in pieces.
pub(crate) fn sha256_file(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    let mut digest = Sha256::new();
    let mut buffer = vec![0; 1 << 18];
    loop {
        match file.read(&mut buffer) {
            Ok(0) => return Ok(hex(&digest.finalize())),
            Ok(n) => digest.update(&buffer[..n]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// Puts the checksum of `case.json` into its own text, which must hold [`PLACEHOLDER`] there.
pub(crate) fn seal(text: &str) -> (String, String) {
    let checksum = sha256(text.as_bytes());
    (replace_last(text, PLACEHOLDER, &checksum), checksum)
}

/// The checksum a sealed `case.json` should carry.
pub(crate) fn expected_seal(text: &str, carried: &str) -> String {
    sha256(replace_last(text, carried, PLACEHOLDER).as_bytes())
}

fn replace_last(text: &str, from: &str, to: &str) -> String {
    match text.rfind(from) {
        Some(at) if !from.is_empty() => [&text[..at], to, &text[at + from.len()..]].concat(),
        _ => text.to_owned(),
    }
}

fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    bytes.iter().flat_map(|b| [b >> 4, b & 15]).map(|n| char::from(DIGITS[usize::from(n)])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hash_of_nothing_is_the_standards() {
        // FIPS 180-4 test vector.
        assert_eq!(sha256(b""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    }

    #[test]
    fn a_seal_covers_every_byte() {
        let text = format!("{{\"alias\": \"liver\", \"case\": \"{PLACEHOLDER}\"}}");
        let (sealed, checksum) = seal(&text);
        assert_eq!(expected_seal(&sealed, &checksum), checksum);
        assert_ne!(expected_seal(&sealed.replace("liver", "lever"), &checksum), checksum);
    }
}
