//! Texts that are safe to write down: no paths, no control characters.

/// The text with everything that looks like an absolute path blanked: folders may be named after a patient.
pub(crate) fn without_paths(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for token in text.split_inclusive(char::is_whitespace) {
        let trimmed = token.trim_start_matches(['"', '\'', '`', '(', '[', '<']);
        let lead = &token[..token.len() - trimmed.len()];
        let word = trimmed.trim_end();
        if is_absolute_path(word) {
            out.push_str(lead);
            out.push('…');
            out.push_str(&trimmed[word.len()..]);
        } else {
            out.push_str(token);
        }
    }
    out
}

fn is_absolute_path(word: &str) -> bool {
    let bytes = word.as_bytes();
    let unix = word.starts_with("/") && bytes.len() > 1 && bytes[1] != b'/' && word[1..].contains('/');
    let drive =
        bytes.len() > 3 && bytes[0].is_ascii_alphabetic() && bytes[1] == b':' && matches!(bytes[2], b'\\' | b'/');
    unix || drive || word.starts_with("\\\\") || word.starts_with("~/") || word.starts_with("file:")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &str) {
        assert_eq!(without_paths(text), expected);
    }

    #[test]
    fn paths_are_blanked_and_prose_is_not() {
        check("read 64 files from /mnt/ann/Doe^John/CT now", "read 64 files from … now");
        check("(`/data/x.dcm`) dropped", "(`… dropped");
        check("C:\\scans\\Doe\\1.dcm", "…");
        check("head/neck, 1/2 voxel, mm/s, and / or", "head/neck, 1/2 voxel, mm/s, and / or");
    }
}
