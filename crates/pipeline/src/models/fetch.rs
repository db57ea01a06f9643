//! Fetches a file by its URL.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::archive::MAX_BYTES;
use super::store::{copy_hashed, io};
use crate::error::PipelineError;

/// A server that does not answer for this long is not there.
const CONNECT: Duration = Duration::from_secs(20);

/// The file of a URL: itself where it lies on this machine, else fetched into `folder`.
///
/// # Errors
/// [`PipelineError::Download`], [`PipelineError::NotFound`], [`PipelineError::Io`].
pub(super) fn fetch(url: &str, folder: &Path, tell: &(dyn Fn(f32) + Sync)) -> Result<PathBuf, PipelineError> {
    let failed = |reason: String| PipelineError::Download { url: url.to_owned(), reason };
    if let Some(rest) = url.strip_prefix("file://") {
        let rest = rest.strip_prefix("localhost").unwrap_or(rest);
        let path = PathBuf::from(decoded(rest).ok_or_else(|| failed("it is no path".to_owned()))?);
        return if path.is_file() { Ok(path) } else { Err(PipelineError::NotFound { path }) };
    }
    let path = folder.join(name_of(url));
    let agent: ureq::Agent = ureq::Agent::config_builder().timeout_connect(Some(CONNECT)).build().into();
    let response = agent.get(url).call().map_err(|e| failed(e.to_string()))?;
    let length = response.body().content_length();
    let mut body = response.into_body().into_with_config().limit(MAX_BYTES).reader();
    let mut file = File::create(&path).map_err(|e| io("write", e, &path))?;
    let share = |bytes: u64| {
        if let Some(length) = length.filter(|l| *l > 0) {
            tell(0.7 * (bytes as f32 / length as f32).min(1.0));
        }
    };
    copy_hashed(&mut body, &mut file, MAX_BYTES, &share).map_err(|e| failed(e.to_string()))?;
    Ok(path)
}

/// The last part of a URL's path, made safe; the content decides what it is, the name what the model is called.
fn name_of(url: &str) -> String {
    let path = url.split(['?', '#']).next().unwrap_or(url);
    let last = path.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
    let safe = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.') { c } else { '_' };
    let name: String = decoded(last).unwrap_or_default().chars().map(safe).collect();
    let name = name.trim_start_matches(['.', '-']);
    if name.is_empty() { "model".to_owned() } else { name.to_owned() }
}

/// Percent-decoding (RFC 3986 2.1).
fn decoded(text: &str) -> Option<String> {
    let bytes = text.as_bytes();
    let (mut out, mut at) = (Vec::with_capacity(bytes.len()), 0);
    while let Some(&byte) = bytes.get(at) {
        if byte == b'%' {
            let digits = std::str::from_utf8(bytes.get(at + 1..at + 3)?).ok()?;
            out.push(u8::from_str_radix(digits, 16).ok()?);
            at += 3;
        } else {
            out.push(byte);
            at += 1;
        }
    }
    String::from_utf8(out).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::net::TcpListener;

    #[test]
    fn names_are_safe() {
        assert_eq!(name_of("https://example.org/a/model%20one.zip?x=1#y"), "model_one.zip");
        assert_eq!(name_of("https://example.org/..%2F..%2Fetc"), "_.._etc");
        assert_eq!(name_of("https://example.org/.hidden"), "hidden");
        assert_eq!(decoded("%zz"), None);
    }

    /// Answers one request.
    fn server(answer: &'static str) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = [0; 1024];
            let _ = stream.read(&mut request).unwrap();
            stream.write_all(answer.as_bytes()).unwrap();
        });
        format!("http://{address}/net.safetensors")
    }

    #[test]
    fn a_file_is_fetched_and_a_refusal_told() {
        let dir = tempfile::tempdir().unwrap();
        let url = server("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nbytes");
        let path = fetch(&url, dir.path(), &|_| {}).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"bytes");
        assert!(path.ends_with("net.safetensors"));
        let url = server("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        let error = fetch(&url, dir.path(), &|_| {}).unwrap_err().to_string();
        assert!(error.contains("404"), "{error}");
        // Cut off halfway.
        let url = server("HTTP/1.1 200 OK\r\nContent-Length: 500\r\nConnection: close\r\n\r\nbytes");
        assert!(matches!(fetch(&url, dir.path(), &|_| {}), Err(PipelineError::Download { .. })));
    }
}
