//! Damaged files never panic, and never make a reader allocate more than the file could hold.
//!
//! Every golden file is broken many thousand times by a seeded generator: bytes and numbers overwritten, pieces cut out,
//! doubled or swapped, digits changed, before and after packing.

#![expect(unsafe_code, reason = "counting allocations takes a global allocator")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::fs;
use std::sync::atomic::{AtomicUsize, Ordering};

use volume::{gzip, nifti, nrrd};

/// Broken copies of each golden file, packed and not.
const ROUNDS: usize = 3000;
/// What readers may take beside the voxels: tables by label, text of the header, threads.
const OVERHEAD: usize = 4 << 20;
/// Most bytes in memory for each byte of voxels in the file: a text voxel of 2 bytes becomes `f64`, then `f32`; layers of
/// labels are taken apart and put together.
const PER_BYTE: usize = 16;

struct Counting;

static LIVE: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

// SAFETY: every call is passed on to the system's allocator unchanged; counting touches no memory of the caller.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let live = LIVE.fetch_add(layout.size(), Ordering::Relaxed) + layout.size();
        PEAK.fetch_max(live, Ordering::Relaxed);
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        LIVE.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: `pointer` came from `alloc` above, with this layout.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// SplitMix64 (Steele, Lea, Flood 2014).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }

    fn below(&mut self, n: usize) -> usize {
        (self.next() % n.max(1) as u64) as usize
    }
}

/// One to four changes, most of them in the header.
fn broken(original: &[u8], random: &mut Random) -> Vec<u8> {
    let mut bytes = original.to_vec();
    for _ in 0..=random.below(4) {
        let reach = if random.below(4) == 0 { bytes.len() } else { bytes.len().min(420) };
        let at = random.below(reach);
        match random.below(9) {
            0 => bytes.truncate(at),
            1 => put(&mut bytes, at, &[random.next() as u8]),
            2 => put(&mut bytes, at, &[1 << random.below(8)]),
            3 => put(&mut bytes, at, &[[0x7f, 0xff], [0xff, 0x7f], [0, 0], [0xff, 0xff], [0, 0x80]][random.below(5)]),
            4 => {
                let value = [f32::NAN, f32::INFINITY, -1.0, 0.0, 1e-30, 3e38, 1e9][random.below(7)];
                put(&mut bytes, at, &value.to_le_bytes());
            }
            5 => {
                let end = (at + random.below(40)).min(bytes.len());
                bytes.drain(at.min(end)..end);
            }
            6 => {
                let end = (at + random.below(40)).min(bytes.len());
                let piece = bytes[at.min(end)..end].to_vec();
                bytes.splice(at..at, piece);
            }
            7 => {
                let digits: Vec<usize> = (0..reach.min(bytes.len())).filter(|&n| bytes[n].is_ascii_digit()).collect();
                if let Some(&n) = digits.get(random.below(digits.len())) {
                    let text: &[u8] =
                        [&b"99999"[..], b"-1", b"0", b"nan", b"1e300", b"18446744073709551615"][random.below(6)];
                    bytes.splice(n..n + 1, text.iter().copied());
                }
            }
            _ => {
                let words: [&[u8]; 8] =
                    [b"none ", b"(", b"\n", b"4 ", b"list ", b":=", b"byte skip: 9\n", b"Segment0_Layer:=1\n"];
                bytes.splice(at..at, words[random.below(8)].iter().copied());
            }
        }
        if bytes.is_empty() {
            break;
        }
    }
    bytes
}

fn put(bytes: &mut [u8], at: usize, value: &[u8]) {
    for (out, &value) in bytes.iter_mut().skip(at).zip(value) {
        *out = value;
    }
}

fn read_all(bytes: &[u8], could_hold: usize, what: &str) -> usize {
    let readers: [fn(&[u8]) -> bool; 4] = [
        |b| nifti::scan_from_bytes(b).is_ok(),
        |b| nifti::labels_from_bytes(b).is_ok(),
        |b| nrrd::scan_from_bytes(b).is_ok(),
        |b| nrrd::labels_from_bytes(b).is_ok(),
    ];
    let mut good = 0;
    for read in readers {
        let before = LIVE.load(Ordering::Relaxed);
        PEAK.store(before, Ordering::Relaxed);
        good += usize::from(read(bytes));
        let taken = PEAK.load(Ordering::Relaxed).saturating_sub(before);
        assert!(taken <= OVERHEAD + PER_BYTE * could_hold, "{what}: {taken} bytes for a file of {}", bytes.len());
    }
    good
}

/// One test alone in its binary, so that nothing else allocates meanwhile.
#[test]
fn broken_files_are_survived() {
    let mut files: Vec<_> =
        fs::read_dir("tests/golden").expect("golden files").map(|e| e.expect("an entry").path()).collect();
    files.sort();
    // A Slicer segmentation in two layers.
    let layers = b"NRRD0004\ntype: uchar\ndimension: 4\nspace: LPS\nsizes: 2 4 1 1\n\
                   space directions: none (1,0,0) (0,1,0) (0,0,1)\nencoding: text\nSegment0_Name:=liver\n\
                   Segment0_LabelValue:=1\nSegment1_Name:=cyst\nSegment1_LabelValue:=1\nSegment1_Layer:=1\n\n\
                   1 0 1 1 1 0 0 0\n";
    let mut originals: Vec<_> = files.iter().map(|f| (f.display().to_string(), fs::read(f).expect("a file"))).collect();
    originals.push(("layers".to_owned(), layers.to_vec()));
    let mut random = Random(0x5eed);
    let (mut good, mut bad) = (0, 0);
    for (name, original) in &originals {
        let inner = match gzip::is_gzip(original) {
            true => gzip::read_up_to(original, 1 << 20).expect("golden files are whole"),
            false => original.clone(),
        };
        for round in 0..ROUNDS {
            let what = format!("{name}, round {round}");
            let plain = broken(&inner, &mut random);
            let mut packed = Vec::new();
            gzip::write(&mut packed, &[&plain]).expect("memory");
            for bytes in [&plain, &packed, &broken(original, &mut random)] {
                let could_hold = if bytes.windows(2).any(gzip::is_gzip) { bytes.len() * 1032 } else { bytes.len() };
                let read = read_all(bytes, could_hold, &what);
                good += read;
                bad += 4 - read;
            }
        }
    }
    assert!(good > 1000 && bad > 1000, "the changes should leave some files readable: {good} read, {bad} refused");
}
