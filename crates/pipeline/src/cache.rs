//! What ran before, by content: the same scan and recipe give the same labels, the same scan and model the same finer scan.
//!
//! An entry is `KEY.labels` or `KEY.scan`: a magic, the SHA-256 of what follows, then runs of equal labels, or a scan's voxels
//! in little-endian order. Anything unexpected in a file is as good as no file.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use case::Unfinished;
use sha2::{Digest, Sha256};
use volume::{ImageGeometry, Label, ScanVolume, Volume};

/// Oldest entries go when all together are larger.
const MAX_BYTES: u64 = 2 << 30;

const LABELS: Kind = Kind { ending: "labels", magic: b"vestibule-label1" };
const I16: Kind = Kind { ending: "scan", magic: b"vestibule-scani1" };
const F32: Kind = Kind { ending: "scan", magic: b"vestibule-scanf1" };
const SUM: usize = 32;

/// What an entry holds.
#[derive(Clone, Copy)]
struct Kind {
    /// Of the file's name.
    ending: &'static str,
    magic: &'static [u8; 16],
}

/// A folder of entries.
#[derive(Clone, Debug)]
pub(crate) struct Cache {
    folder: PathBuf,
    max_bytes: u64,
}

impl Cache {
    /// `$XDG_CACHE_HOME/vestibule`, else `~/.cache/vestibule`; `None` if neither is known.
    pub(crate) fn of_user() -> Option<Self> {
        let absolute = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|p| p.is_absolute());
        let root = absolute("XDG_CACHE_HOME").or_else(|| absolute("HOME").map(|h| h.join(".cache")))?;
        Some(Self::at(root.join("vestibule")))
    }

    /// A cache in a folder that need not exist.
    pub(crate) fn at(folder: PathBuf) -> Self {
        Self { folder, max_bytes: MAX_BYTES }
    }

    /// The labels of an entry, if it is there, whole, and of this grid.
    pub(crate) fn load(&self, key: &str, geometry: &ImageGeometry) -> Option<Volume<Label>> {
        let labels = decode(open(&self.read(key, LABELS)?, LABELS)?, geometry.voxel_count())?;
        Volume::new(*geometry, labels).ok()
    }

    /// The scan of an entry, if it is there, whole, and of this grid.
    pub(crate) fn load_scan(&self, key: &str, geometry: &ImageGeometry) -> Option<ScanVolume> {
        let bytes = self.read(key, I16)?;
        match open(&bytes, I16) {
            Some(voxels) => numbers(voxels, geometry, i16::from_le_bytes).map(ScanVolume::I16),
            None => numbers(open(&bytes, F32)?, geometry, f32::from_le_bytes).map(ScanVolume::F32),
        }
    }

    /// A file's bytes; the entries used last are kept longest.
    fn read(&self, key: &str, kind: Kind) -> Option<Vec<u8>> {
        let path = self.path(key, kind);
        let bytes = fs::read(&path).ok()?;
        // A failure here only makes it look older.
        let _ = File::options().append(true).open(&path).and_then(|f| f.set_modified(now()));
        Some(bytes)
    }

    /// Keeps labels; a cache that cannot be written is no reason to fail.
    pub(crate) fn store(&self, key: &str, labels: &Volume<Label>) {
        self.write(key, LABELS, &encode(labels.data()));
    }

    /// Keeps a scan, unless it would leave hardly any room for others.
    pub(crate) fn store_scan(&self, key: &str, scan: &ScanVolume) {
        let voxels = scan.geometry().voxel_count() as u64;
        match scan {
            ScanVolume::I16(v) if 2 * 2 * voxels <= self.max_bytes => {
                self.write(key, I16, &v.data().iter().flat_map(|x| x.to_le_bytes()).collect::<Vec<u8>>());
            }
            ScanVolume::F32(v) if 2 * 4 * voxels <= self.max_bytes => {
                self.write(key, F32, &v.data().iter().flat_map(|x| x.to_le_bytes()).collect::<Vec<u8>>());
            }
            _ => {}
        }
    }

    fn write(&self, key: &str, kind: Kind, content: &[u8]) {
        let written = fs::create_dir_all(&self.folder)
            .and_then(|()| tempfile::Builder::new().prefix(".writing-").tempfile_in(&self.folder))
            .and_then(|mut file| {
                let _unfinished = Unfinished::at(file.path());
                file.write_all(kind.magic)?;
                file.write_all(&Sha256::digest(content))?;
                file.write_all(content)?;
                file.persist(self.path(key, kind)).map(drop).map_err(|e| e.error)
            });
        if written.is_ok() {
            self.prune();
        }
    }

    /// A number that belongs to labels or a scan, if it is there.
    pub(crate) fn load_number(&self, key: &str) -> Option<f64> {
        let words = decode(open(&self.read(key, LABELS)?, LABELS)?, 4)?;
        Some(f64::from_bits(words.iter().fold(0, |bits, &word| bits << 16 | u64::from(word))))
    }

    /// Keeps a number, in an entry of four labels.
    pub(crate) fn store_number(&self, key: &str, number: f64) {
        let bits = number.to_bits();
        let words = [48, 32, 16, 0].map(|shift| (bits >> shift) as Label);
        self.write(key, LABELS, &encode(&words));
    }

    fn path(&self, key: &str, kind: Kind) -> PathBuf {
        self.folder.join(format!("{key}.{}", kind.ending))
    }

    /// Removes the oldest entries until the rest fit, and what interrupted runs left.
    fn prune(&self) {
        let mut entries: Vec<(SystemTime, u64, PathBuf)> = Vec::new();
        for entry in fs::read_dir(&self.folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if let Ok(metadata) = entry.metadata()
                && metadata.is_file()
                && is_ours(&path)
            {
                entries.push((metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH), metadata.len(), path));
            }
        }
        entries.sort();
        let mut total: u64 = entries.iter().map(|e| e.1).sum();
        for (_, bytes, path) in &entries {
            if total <= self.max_bytes {
                break;
            }
            if fs::remove_file(path).is_ok() {
                total -= bytes;
            }
        }
    }
}

fn is_ours(path: &Path) -> bool {
    let name = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    [".labels", ".scan"].iter().any(|ending| name.ends_with(ending)) || name.starts_with(".writing-")
}

/// The age of entries is wall time; it never enters a result.
fn now() -> SystemTime {
    SystemTime::now()
}

/// Digest of everything the labels depend on: voxels, grid, and in `texts` the recipe or model with its version.
pub(crate) fn key(scan: &ScanVolume, texts: &[&str]) -> String {
    let mut hash = Sha256::new();
    for text in texts {
        hash.update((text.len() as u64).to_le_bytes());
        hash.update(text);
    }
    let g = scan.geometry();
    g.size().iter().for_each(|&s| hash.update((s as u64).to_le_bytes()));
    let numbers = g.spacing().into_iter().chain(g.origin().get().to_array()).chain(g.direction().to_cols_array());
    numbers.for_each(|x| hash.update(x.to_le_bytes()));
    let mut block = Vec::with_capacity(1 << 16);
    let mut feed = |bytes: &mut dyn Iterator<Item = [u8; 4]>, width: usize| {
        for value in bytes {
            block.extend_from_slice(&value[..width]);
            if block.len() >= 1 << 16 {
                hash.update(&block);
                block.clear();
            }
        }
        hash.update(&block);
    };
    match scan {
        ScanVolume::I16(v) => feed(&mut v.data().iter().map(|&x| i32::from(x).to_le_bytes()), 2),
        ScanVolume::F32(v) => feed(&mut v.data().iter().map(|&x| x.to_le_bytes()), 4),
    }
    hex(&hash.finalize())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

/// Runs of equal labels, each a label of two bytes and a length of four.
fn encode(labels: &[Label]) -> Vec<u8> {
    let mut runs = Vec::new();
    for run in labels.chunk_by(|a, b| a == b) {
        for part in run.chunks(u32::MAX as usize) {
            runs.extend_from_slice(&part[0].to_le_bytes());
            runs.extend_from_slice(&(part.len() as u32).to_le_bytes());
        }
    }
    runs
}

/// What an entry of this kind holds, if nothing in it changed.
fn open(bytes: &[u8], kind: Kind) -> Option<&[u8]> {
    let (sum, content) = bytes.strip_prefix(kind.magic)?.split_at_checked(SUM)?;
    (Sha256::digest(content).as_slice() == sum).then_some(content)
}

/// A voxel's number for each on the grid, or nothing.
fn numbers<T: Send, const N: usize>(bytes: &[u8], geometry: &ImageGeometry, of: fn([u8; N]) -> T) -> Option<Volume<T>> {
    let (voxels, rest) = bytes.as_chunks();
    (rest.is_empty()).then(|| Volume::new(*geometry, voxels.iter().map(|&v| of(v)).collect()).ok())?
}

/// Exactly `voxels` labels, or nothing.
fn decode(runs: &[u8], voxels: usize) -> Option<Vec<Label>> {
    let mut labels = Vec::with_capacity(voxels);
    for run in runs.chunks(6) {
        let &[a, b, c, d, e, f] = run else { return None };
        let length = u32::from_le_bytes([c, d, e, f]) as usize;
        if labels.len() + length > voxels {
            return None;
        }
        labels.resize(labels.len() + length, Label::from_le_bytes([a, b]));
    }
    (labels.len() == voxels).then_some(labels)
}

#[cfg(test)]
mod tests {
    use super::*;
    use glam::DMat3;
    use space::Point;

    fn grid(size: [usize; 3]) -> ImageGeometry {
        ImageGeometry::new(size, [1.0; 3], Point::ZERO, DMat3::IDENTITY).unwrap()
    }

    fn labels() -> Volume<Label> {
        Volume::from_fn(grid([7, 6, 5]), |[i, j, k]| ((i / 2 + j * k) % 5) as Label)
    }

    #[test]
    fn what_is_stored_is_loaded_and_damage_is_ignored() {
        let dir = tempfile::tempdir().unwrap();
        let cache = Cache::at(dir.path().join("deep/cache"));
        assert!(cache.load("a", &grid([7, 6, 5])).is_none());
        cache.store("a", &labels());
        assert_eq!(cache.load("a", &grid([7, 6, 5])), Some(labels()));
        assert!(cache.load("a", &grid([7, 6, 4])).is_none(), "another grid");
        let path = cache.path("a", LABELS);
        let whole = fs::read(&path).unwrap();
        for at in [0, 20, 60, whole.len() - 1] {
            let mut damaged = whole.clone();
            damaged[at] ^= 1;
            fs::write(&path, &damaged).unwrap();
            assert!(cache.load("a", &grid([7, 6, 5])).is_none(), "byte {at} changed");
        }
        for length in [0, 10, 48, whole.len() - 3, whole.len() - 6] {
            fs::write(&path, &whole[..length]).unwrap();
            assert!(cache.load("a", &grid([7, 6, 5])).is_none(), "cut to {length} bytes");
        }
        cache.store("a", &labels());
        assert_eq!(cache.load("a", &grid([7, 6, 5])), Some(labels()), "a damaged entry is replaced");
        assert!(cache.load_number("a").is_none(), "these are labels");
        cache.store_number("a", -12.375);
        assert_eq!(cache.load_number("a"), Some(-12.375));
        assert_eq!(fs::read_dir(&cache.folder).unwrap().count(), 1, "nothing else is left behind");
    }

    #[test]
    fn scans_are_kept_of_either_kind() {
        let dir = tempfile::tempdir().unwrap();
        let cache = Cache { folder: dir.path().to_owned(), max_bytes: 2 * 4 * 7 * 6 * 5 };
        let grid = grid([7, 6, 5]);
        let whole = ScanVolume::I16(Volume::from_fn(grid, |[i, j, k]| (i * j * k) as i16 - 90));
        let real = ScanVolume::F32(Volume::from_fn(grid, |[i, j, k]| (i * j * k) as f32 * 0.3 - 20.0));
        for scan in [whole, real] {
            cache.store_scan("a", &scan);
            assert_eq!(cache.load_scan("a", &grid), Some(scan), "the last one counts");
        }
        assert!(cache.load_scan("a", &self::grid([7, 6, 4])).is_none(), "another grid");
        assert!(cache.load("a", &grid).is_none(), "these are no labels");
        let path = cache.path("a", F32);
        let mut damaged = fs::read(&path).unwrap();
        damaged[100] ^= 1;
        fs::write(&path, &damaged).unwrap();
        assert!(cache.load_scan("a", &grid).is_none(), "a byte changed");
        fs::write(&path, &damaged[..20]).unwrap();
        assert!(cache.load_scan("a", &grid).is_none(), "cut");
        cache.store_scan("b", &ScanVolume::F32(Volume::filled(self::grid([7, 6, 6]), 1.0)));
        assert!(!cache.path("b", F32).exists(), "larger than half of the cache");
    }

    #[test]
    fn oldest_entries_make_room() {
        let dir = tempfile::tempdir().unwrap();
        let bytes = (LABELS.magic.len() + SUM + encode(labels().data()).len()) as u64;
        let cache = Cache { folder: dir.path().to_owned(), max_bytes: 2 * bytes };
        for (age, key) in [(300, "a"), (200, "b"), (100, "c")] {
            cache.store(key, &labels());
            let file = File::options().append(true).open(cache.path(key, LABELS)).unwrap();
            file.set_modified(now() - std::time::Duration::from_secs(age)).unwrap();
        }
        cache.prune();
        let here = |key| cache.path(key, LABELS).exists();
        assert_eq!([here("a"), here("b"), here("c")], [false, true, true]);
    }

    #[test]
    fn the_key_depends_on_all_there_is() {
        let scan = |value, spacing| {
            let geometry = ImageGeometry::new([3, 3, 3], [spacing, 1.0, 1.0], Point::ZERO, DMat3::IDENTITY).unwrap();
            ScanVolume::I16(Volume::filled(geometry, value))
        };
        let base = key(&scan(1, 1.0), &["ct-basic", "3"]);
        assert_eq!(base, key(&scan(1, 1.0), &["ct-basic", "3"]));
        assert_ne!(base, key(&scan(2, 1.0), &["ct-basic", "3"]));
        assert_ne!(base, key(&scan(1, 1.5), &["ct-basic", "3"]));
        assert_ne!(base, key(&scan(1, 1.0), &["mr-head", "3"]));
    }
}
