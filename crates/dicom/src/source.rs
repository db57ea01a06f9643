//! Where files come from: a folder, one file, a zip, or memory.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Cursor, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use flate2::read::DeflateDecoder;
use zip::ZipArchive;

use crate::error::DicomError;

/// The most that deflate can make of one byte (RFC 1951: 258 bytes from two bits, less block headers).
const MAX_DEFLATE_RATIO: u64 = 1032;

/// Folders nested deeper are not searched.
const MAX_FOLDER_DEPTH: usize = 64;

/// A file to be read.
#[derive(Clone, Debug)]
pub(crate) struct Source {
    /// Below the folder or zip that was given; the file's own path otherwise.
    pub(crate) path: PathBuf,
    place: Place,
}

#[derive(Clone, Debug)]
enum Place {
    File(PathBuf),
    Memory(Arc<[u8]>),
    Entry { archive: ZipArchive<Window>, index: usize },
}

/// All files below a path.
#[derive(Debug)]
pub(crate) struct Listing {
    pub(crate) sources: Vec<Source>,
    /// What is there and cannot be listed, with the reason.
    pub(crate) unreadable: Vec<(PathBuf, String)>,
}

/// Lists a folder with all folders in it, the entries of a zip, or the one file; in the order of their paths.
pub(crate) fn list(path: &Path) -> Result<Listing, DicomError> {
    let read = |source| DicomError::Read { source, path: path.to_owned() };
    if fs::metadata(path).map_err(read)?.is_dir() {
        let mut listing = Listing { sources: Vec::new(), unreadable: Vec::new() };
        let mut visited = BTreeSet::new();
        walk(path, path, 0, &mut visited, &mut listing).map_err(read)?;
        listing.sources.sort_by(|a, b| a.path.cmp(&b.path));
        return Ok(listing);
    }
    let mut magic = [0; 4];
    let mut file = File::open(path).map_err(read)?;
    let has_magic = file.read_exact(&mut magic).is_ok();
    if has_magic && is_zip(magic) {
        return list_zip(path, Window::of_file(file).map_err(read)?);
    }
    let source = Source { path: path.to_owned(), place: Place::File(path.to_owned()) };
    Ok(Listing { sources: vec![source], unreadable: Vec::new() })
}

/// Lists files held in memory; a lone zip among them is opened.
pub(crate) fn list_memory(files: Vec<(PathBuf, Vec<u8>)>) -> Result<Listing, DicomError> {
    let mut files: Vec<(PathBuf, Arc<[u8]>)> = files.into_iter().map(|(path, bytes)| (path, bytes.into())).collect();
    if let [(path, bytes)] = files.as_slice()
        && bytes.first_chunk().is_some_and(|magic| is_zip(*magic))
    {
        return list_zip(
            path,
            Window { content: Content::Memory(Arc::clone(bytes)), length: bytes.len() as u64, at: 0 },
        );
    }
    files.sort_by(|a, b| a.0.cmp(&b.0));
    let sources = files.into_iter().map(|(path, bytes)| Source { path, place: Place::Memory(bytes) }).collect();
    Ok(Listing { sources, unreadable: Vec::new() })
}

fn is_zip(magic: [u8; 4]) -> bool {
    magic == *b"PK\x03\x04" || magic == *b"PK\x05\x06"
}

fn walk(
    root: &Path,
    folder: &Path,
    depth: usize,
    visited: &mut BTreeSet<PathBuf>,
    listing: &mut Listing,
) -> io::Result<()> {
    // A link back to a folder above would go round for ever.
    if depth > MAX_FOLDER_DEPTH || !visited.insert(fs::canonicalize(folder)?) {
        return Ok(());
    }
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let relative = path.strip_prefix(root).unwrap_or(&path).to_owned();
        match fs::metadata(&path) {
            Ok(kind) if kind.is_dir() => {
                if let Err(e) = walk(root, &path, depth + 1, visited, listing) {
                    listing.unreadable.push((relative, e.to_string()));
                }
            }
            Ok(kind) if kind.is_file() => {
                listing.sources.push(Source { path: relative, place: Place::File(path) });
            }
            Ok(_) => listing.unreadable.push((relative, "not a regular file".to_owned())),
            Err(e) => listing.unreadable.push((relative, e.to_string())),
        }
    }
    Ok(())
}

fn list_zip(path: &Path, window: Window) -> Result<Listing, DicomError> {
    let damaged = |reason: String| DicomError::Zip { reason, path: path.to_owned() };
    let mut archive = ZipArchive::new(window).map_err(|e| damaged(e.to_string()))?;
    // Entries that share their bytes are how zip bombs multiply.
    if archive.has_overlapping_files().map_err(|e| damaged(e.to_string()))? {
        return Err(damaged("its entries overlap".to_owned()));
    }
    let mut listing = Listing { sources: Vec::new(), unreadable: Vec::new() };
    for index in 0..archive.len() {
        let entry = match archive.by_index_raw(index) {
            Ok(entry) => entry,
            Err(e) => {
                listing.unreadable.push((PathBuf::from(format!("entry {index}")), e.to_string()));
                continue;
            }
        };
        if !entry.is_file() {
            continue;
        }
        let path = PathBuf::from(entry.name());
        if entry.encrypted() {
            listing.unreadable.push((path, "encrypted; unpack the zip first".to_owned()));
            continue;
        }
        drop(entry);
        listing.sources.push(Source { path, place: Place::Entry { archive: archive.clone(), index } });
    }
    listing.sources.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(listing)
}

impl Source {
    /// The first `count` bytes, or all there are, and the length of the whole.
    pub(crate) fn prefix(&self, count: u64) -> io::Result<(Vec<u8>, u64)> {
        let mut bytes = Vec::new();
        let length = match &self.place {
            Place::File(path) => {
                let mut file = File::open(path)?;
                let length = file.metadata()?.len();
                bytes.reserve_exact(count.min(length) as usize);
                (&mut file).take(count).read_to_end(&mut bytes)?;
                length
            }
            Place::Memory(content) => {
                bytes.extend_from_slice(&content[..content.len().min(usize::try_from(count).unwrap_or(usize::MAX))]);
                content.len() as u64
            }
            Place::Entry { archive, index } => {
                let mut archive = archive.clone();
                let mut entry = archive.by_index(*index).map_err(io::Error::other)?;
                // The declared size may be anything.
                let possible = entry.compressed_size().saturating_mul(MAX_DEFLATE_RATIO);
                let length = entry.size().min(possible);
                (&mut entry).take(count.min(length)).read_to_end(&mut bytes)?;
                length
            }
        };
        // A stream that ends early is as long as what came out of it.
        let length = if (bytes.len() as u64) < count { bytes.len() as u64 } else { length };
        Ok((bytes, length))
    }

    /// The whole file.
    pub(crate) fn whole(&self) -> io::Result<Vec<u8>> {
        Ok(self.prefix(u64::MAX)?.0)
    }

    /// Fills a buffer with the bytes from `offset` on.
    pub(crate) fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        match &self.place {
            Place::File(path) => read_exact_at(&File::open(path)?, offset, buffer),
            Place::Memory(content) => {
                let content = usize::try_from(offset).ok().and_then(|at| content.get(at..)?.get(..buffer.len()));
                buffer.copy_from_slice(content.ok_or(io::ErrorKind::UnexpectedEof)?);
                Ok(())
            }
            Place::Entry { archive, index } => {
                let mut archive = archive.clone();
                let mut entry = archive.by_index(*index).map_err(io::Error::other)?;
                let skipped = io::copy(&mut (&mut entry).take(offset), &mut io::sink())?;
                if skipped < offset {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
                entry.read_exact(buffer)?;
                // What follows the pixels is little; reading it lets the archive check its sum.
                io::copy(&mut (&mut entry).take(1 << 20), &mut io::sink())?;
                Ok(())
            }
        }
    }

    /// True if bytes can be fetched from the middle without reading what comes before.
    pub(crate) fn is_random_access(&self) -> bool {
        !matches!(self.place, Place::Entry { .. })
    }
}

/// Up to `count` bytes of a deflated stream, and whether it ended with them.
pub(crate) fn inflate(deflated: &[u8], count: u64) -> io::Result<(Vec<u8>, bool)> {
    let possible = (deflated.len() as u64).saturating_mul(MAX_DEFLATE_RATIO);
    let mut bytes = Vec::new();
    let limit = count.min(possible);
    DeflateDecoder::new(deflated).take(limit).read_to_end(&mut bytes)?;
    let ended = (bytes.len() as u64) < limit || limit == possible;
    Ok((bytes, ended))
}

/// A place in an archive's bytes, cheap to copy for each thread.
#[derive(Clone, Debug)]
struct Window {
    content: Content,
    length: u64,
    at: u64,
}

#[derive(Clone, Debug)]
enum Content {
    File(Arc<File>),
    Memory(Arc<[u8]>),
}

impl Window {
    fn of_file(file: File) -> io::Result<Self> {
        let length = file.metadata()?.len();
        Ok(Self { content: Content::File(Arc::new(file)), length, at: 0 })
    }
}

impl Read for Window {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = match &self.content {
            Content::File(file) => read_at(file, self.at, buffer)?,
            Content::Memory(bytes) => {
                let mut cursor = Cursor::new(&bytes[..]);
                cursor.set_position(self.at);
                cursor.read(buffer)?
            }
        };
        self.at += count as u64;
        Ok(count)
    }
}

impl Seek for Window {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let at = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::End(by) => self.length.checked_add_signed(by),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
        };
        self.at = at.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.at)
    }
}

fn read_exact_at(file: &File, mut offset: u64, mut buffer: &mut [u8]) -> io::Result<()> {
    while !buffer.is_empty() {
        match read_at(file, offset, buffer) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(count) => {
                offset += count as u64;
                buffer = &mut buffer[count..];
            }
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(())
}

#[cfg(unix)]
fn read_at(file: &File, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
    std::os::unix::fs::FileExt::read_at(file, buffer, offset)
}

#[cfg(windows)]
fn read_at(file: &File, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
    std::os::windows::fs::FileExt::seek_read(file, buffer, offset)
}
