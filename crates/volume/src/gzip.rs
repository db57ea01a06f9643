//! Gzip written on all cores, and read without trusting what a header claims.

use std::io::{self, Read, Write};

use flate2::read::MultiGzDecoder;
use flate2::{Compress, Compression, FlushCompress, Status};
use rayon::prelude::*;

/// Bytes each core compresses at a time: large against deflate's window of 32 KiB, small against a scan.
const CHUNK: usize = 1 << 19;
/// Chunks in memory at once.
const BATCH: usize = 64;
/// Deflate level; on CT, 1 costs a few per cent of size and a third of the time of 6.
const LEVEL: u32 = 1;
/// Deflate expands at most 1032 : 1 (zlib technical notes, "Maximum Expansion Factor").
const MAX_EXPANSION: u64 = 1032;

/// What scans unpack to at most, as a rule; labels may unpack to more.
const LIKELY_EXPANSION: usize = 16;

/// True if the bytes begin like a gzip member (RFC 1952 2.3.1).
pub fn is_gzip(bytes: &[u8]) -> bool {
    bytes.starts_with(&[0x1f, 0x8b])
}

/// Writes the parts, one after the other, as one gzip member, compressing on all cores of the rayon pool.
///
/// Chunks are compressed apart and joined at byte boundaries by sync flushes (RFC 1951 3.2.4), so any reader sees one
/// ordinary member. No time stamp and no name is written; equal input gives equal output.
///
/// # Errors
/// What `out` returns.
pub fn write(out: &mut impl Write, parts: &[&[u8]]) -> io::Result<()> {
    // RFC 1952 2.3: deflate, no flags, no time, fastest algorithm, unknown system.
    out.write_all(&[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 4, 255])?;
    let chunks: Vec<&[u8]> = parts.iter().flat_map(|p| p.chunks(CHUNK)).collect();
    let mut checksum = crc32fast::Hasher::new();
    for batch in chunks.chunks(BATCH) {
        let compressed: Vec<_> = batch.par_iter().map(|c| compress_chunk(c)).collect();
        for piece in compressed {
            let (bytes, crc) = piece?;
            out.write_all(&bytes)?;
            checksum.combine(&crc);
        }
    }
    // A last, empty block with fixed codes (RFC 1951 3.2.6) ends the stream.
    out.write_all(&[3, 0])?;
    let length: usize = parts.iter().map(|p| p.len()).sum();
    out.write_all(&checksum.finalize().to_le_bytes())?;
    // RFC 1952 2.3.1: the length modulo 2³².
    out.write_all(&(length as u32).to_le_bytes())
}

fn compress_chunk(chunk: &[u8]) -> io::Result<(Vec<u8>, crc32fast::Hasher)> {
    let mut checksum = crc32fast::Hasher::new();
    checksum.update(chunk);
    let mut deflate = Compress::new(Compression::new(LEVEL), false);
    // Stored blocks need 5 bytes each 64 KiB at most; what does not fit grows below.
    let mut bytes = Vec::with_capacity(chunk.len() / 2 + 1024);
    let mut rest = chunk;
    loop {
        let before = deflate.total_in();
        let status = deflate.compress_vec(rest, &mut bytes, FlushCompress::Sync).map_err(io::Error::other)?;
        rest = &rest[(deflate.total_in() - before) as usize..];
        // A flush is complete once there is room left behind it.
        if rest.is_empty() && bytes.len() < bytes.capacity() {
            return Ok((bytes, checksum));
        }
        if status == Status::StreamEnd {
            return Err(io::Error::other("deflate ended before its input"));
        }
        bytes.reserve(chunk.len() / 2 + 1024);
    }
}

/// Unpacks the first `limit` bytes; fewer if there are no more.
///
/// Memory grows with what really comes out. When the stream ends at `limit`, its checksum is verified.
///
/// # Errors
/// [`io::Error`] of a broken or truncated stream.
pub fn read_up_to(compressed: &[u8], limit: usize) -> io::Result<Vec<u8>> {
    let possible = usize::try_from(most_unpacked(compressed.len())).unwrap_or(usize::MAX);
    let mut decoder = MultiGzDecoder::new(compressed);
    let mut bytes = Vec::new();
    // Most scans unpack to less; what unpacks to more grows as it comes.
    let likely = compressed.len().saturating_mul(LIKELY_EXPANSION).min(possible).min(limit);
    bytes.try_reserve_exact(likely.saturating_add(1)).map_err(io::Error::other)?;
    (&mut decoder).take(limit as u64).read_to_end(&mut bytes)?;
    if bytes.len() == limit {
        // Reaching the end is what makes the decoder compare the checksum; longer streams are left unread.
        let _more = decoder.read(&mut [0u8; 64])?;
    }
    Ok(bytes)
}

/// Unpacks up to `limit` bytes from the beginning of a file that may be cut short.
///
/// # Errors
/// [`io::Error`] if not even one byte comes out of a damaged stream.
pub fn read_some(compressed: &[u8], limit: usize) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    match MultiGzDecoder::new(compressed).take(limit as u64).read_to_end(&mut bytes) {
        Err(error) if bytes.is_empty() => Err(error),
        _ => Ok(bytes),
    }
}

/// The most bytes that `compressed` bytes of gzip can unpack to.
pub fn most_unpacked(compressed: usize) -> u64 {
    (compressed as u64).saturating_mul(MAX_EXPANSION)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn noise(n: usize, mask: u8) -> Vec<u8> {
        let mut state = 1u32;
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8 & mask
        };
        (0..n).map(|_| next()).collect()
    }

    fn packed(parts: &[&[u8]]) -> Vec<u8> {
        let mut out = Vec::new();
        write(&mut out, parts).unwrap();
        out
    }

    #[test]
    fn sizes_around_the_chunk_come_back() {
        for n in [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK + 17] {
            for mask in [0, 7, 255] {
                let data = noise(n, mask);
                let gz = packed(&[&data[..n / 3], &data[n / 3..]]);
                assert!(read_up_to(&gz, n).unwrap() == data, "{n} bytes, mask {mask}");
                assert!(read_up_to(&gz, n + 5).unwrap() == data, "{n} bytes, mask {mask}, larger limit");
            }
        }
    }

    #[test]
    fn output_does_not_depend_on_threads() {
        let data = noise(5 * CHUNK + 3, 31);
        let pool = |n| rayon::ThreadPoolBuilder::new().num_threads(n).build().unwrap();
        assert!(pool(1).install(|| packed(&[&data])) == pool(3).install(|| packed(&[&data])));
    }

    #[test]
    fn limit_is_kept_and_damage_is_seen() {
        let data = noise(100_000, 15);
        let mut gz = packed(&[&data]);
        assert_eq!(read_up_to(&gz, 1000).unwrap(), data[..1000]);
        assert!(read_up_to(&gz[..gz.len() / 2], data.len()).is_err(), "truncated");
        let crc = gz.len() - 8;
        gz[crc] ^= 1;
        assert!(read_up_to(&gz, data.len()).is_err(), "wrong checksum");
        assert!(read_up_to(b"no gzip at all", 10).is_err());
    }

    #[test]
    fn absurd_limit_reserves_only_what_could_come_out() {
        let gz = packed(&[&[0; 4096]]);
        let bytes = read_up_to(&gz, usize::MAX - 1).unwrap();
        assert_eq!(bytes.len(), 4096);
        assert!(bytes.capacity() < 1_000_000);
    }

    proptest! {
        #[test]
        fn anything_comes_back(data in proptest::collection::vec(any::<u8>(), 0..5000)) {
            prop_assert_eq!(read_up_to(&packed(&[&data]), data.len()).unwrap(), data);
        }
    }
}
