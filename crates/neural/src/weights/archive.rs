//! The zip archive around a checkpoint.

use std::collections::HashMap;
use std::io::Cursor;

use zip::{CompressionMethod, ZipArchive};

use super::not_a_checkpoint;
use crate::NeuralError;

/// The largest pickle that is read; nnU-Net's are a few megabytes.
const MAX_PICKLE: usize = 128 << 20;

/// Where the parts of a checkpoint lie in its bytes.
#[derive(Debug)]
pub(super) struct Archive<'a> {
    bytes: &'a [u8],
    pickle: &'a [u8],
    /// Numbers of tensors, by key; with the checksum that they should have.
    storages: HashMap<String, (&'a [u8], u32)>,
    big_endian: bool,
}

impl<'a> Archive<'a> {
    pub(super) fn read(bytes: &'a [u8]) -> Result<Self, NeuralError> {
        if bytes.starts_with(b"\x80\x02\x8a\x0al\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19") {
            return Err(not_a_checkpoint(
                "it is in the format from before PyTorch 1.6; load and save it again with a newer PyTorch",
            ));
        }
        let mut zip =
            ZipArchive::new(Cursor::new(bytes)).map_err(|e| not_a_checkpoint(format!("no zip archive ({e})")))?;
        let mut archive = Self { bytes, pickle: &[], storages: HashMap::new(), big_endian: false };
        let mut found = false;
        for index in 0..zip.len() {
            let file = zip.by_index_raw(index).map_err(|e| not_a_checkpoint(format!("a damaged zip archive ({e})")))?;
            // All lies in one folder, named after the file that was first written.
            let Some((_, name)) = file.name().split_once('/') else { continue };
            let storage = name.strip_prefix("data/");
            if name != "data.pkl" && name != "byteorder" && storage.is_none() {
                continue;
            }
            // Stored only, as PyTorch writes it: so no archive can unfold to more than its own size.
            if file.compression() != CompressionMethod::Stored || file.encrypted() {
                return Err(not_a_checkpoint(format!("`{name}` is compressed; PyTorch never does that")));
            }
            let part = usize::try_from(file.size()).ok().zip(file.data_start().and_then(|s| usize::try_from(s).ok()));
            let part = part.and_then(|(size, start)| bytes.get(start..start.checked_add(size)?));
            let Some(part) = part else { return Err(not_a_checkpoint(format!("`{name}` ends before it should"))) };
            match (storage, name) {
                (Some(key), _) => drop(archive.storages.insert(key.to_owned(), (part, file.crc32()))),
                (None, "data.pkl") => {
                    check(name, part, file.crc32())?;
                    (archive.pickle, found) = (part, true);
                }
                (None, _) => archive.big_endian = part.trim_ascii() == b"big",
            }
        }
        if !found {
            return Err(not_a_checkpoint("the archive has no `data.pkl`"));
        }
        if archive.pickle.len() > MAX_PICKLE {
            return Err(not_a_checkpoint(format!(
                "its pickle of {} bytes is longer than any network's",
                archive.pickle.len()
            )));
        }
        Ok(archive)
    }

    /// The pickle, whose checksum held.
    pub(super) fn pickle(&self) -> &'a [u8] {
        self.pickle
    }

    /// Bytes of the whole archive.
    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    pub(super) fn is_big_endian(&self) -> bool {
        self.big_endian
    }

    /// The numbers of a storage, whose checksum held.
    pub(super) fn storage(&self, key: &str) -> Result<&'a [u8], NeuralError> {
        let Some(&(part, crc)) = self.storages.get(key) else {
            return Err(not_a_checkpoint(format!("the storage `{key}` is missing")));
        };
        check(key, part, crc)?;
        Ok(part)
    }
}

fn check(name: &str, part: &[u8], crc: u32) -> Result<(), NeuralError> {
    if crc32fast::hash(part) == crc {
        return Ok(());
    }
    Err(not_a_checkpoint(format!("the checksum of `{name}` does not hold")))
}
