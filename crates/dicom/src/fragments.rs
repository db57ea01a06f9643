//! Encapsulated pixel data (PS3.5 A.4): an offset table, then fragments that make up frames.

use std::ops::Range;

const ITEM: [u8; 4] = [0xFE, 0xFF, 0x00, 0xE0];
const SEQUENCE_END: [u8; 4] = [0xFE, 0xFF, 0xDD, 0xE0];

/// Where the fragments of each frame are in `bytes`, which begin with the offset table's item.
pub(crate) fn frames_of_fragments(bytes: &[u8], frames: usize) -> Result<Vec<Vec<Range<usize>>>, String> {
    let mut items = Vec::new();
    let mut at = 0;
    while let Some(header) = bytes.get(at..at + 8) {
        if header[..4] == SEQUENCE_END {
            break;
        }
        if header[..4] != ITEM {
            return Err(format!("byte {at} of the pixel data is no fragment"));
        }
        let length = u32::from_le_bytes([header[4], header[5], header[6], header[7]]) as usize;
        let start = at + 8;
        let end = start.checked_add(length).filter(|end| *end <= bytes.len());
        let end =
            end.ok_or_else(|| format!("a fragment declares {length} bytes, but {} are left", bytes.len() - start))?;
        items.push(start..end);
        at = end;
    }
    let Some((table, fragments)) = items.split_first() else { return Err("there are no fragments".to_owned()) };
    if fragments.len() < frames {
        return Err(format!("{frames} frames are declared, but there are {} fragments", fragments.len()));
    }
    if frames == 1 {
        return Ok(vec![fragments.to_vec()]);
    }
    if fragments.len() == frames {
        return Ok(fragments.iter().map(|range| vec![range.clone()]).collect());
    }
    let starts = frame_starts(bytes, &bytes[table.clone()], fragments);
    if starts.len() != frames || starts.first() != Some(&0) {
        return Err(format!("{} fragments cannot be divided into {frames} frames", fragments.len()));
    }
    let ends = starts.iter().skip(1).copied().chain([fragments.len()]);
    Ok(starts.iter().zip(ends).map(|(&from, to)| fragments[from..to].to_vec()).collect())
}

/// The first fragment of each frame, by the offset table, or else by the codestreams' first marker.
fn frame_starts(bytes: &[u8], table: &[u8], fragments: &[Range<usize>]) -> Vec<usize> {
    if !table.is_empty() {
        // Offsets count from the first byte after the table, item headers included.
        let base = fragments[0].start - 8;
        let offsets = table.chunks_exact(4).map(|c| u32::from_le_bytes([c[0], c[1], c[2], c[3]]) as usize);
        return offsets.filter_map(|o| fragments.binary_search_by_key(&(base + o + 8), |f| f.start).ok()).collect();
    }
    let opens = |range: &Range<usize>| {
        let start = bytes.get(range.start..range.start + 2);
        start == Some(&[0xFF, 0xD8]) || start == Some(&[0xFF, 0x4F])
    };
    (0..fragments.len()).filter(|&n| opens(&fragments[n])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encapsulated(items: &[&[u8]]) -> Vec<u8> {
        let item = |bytes: &&[u8]| [&ITEM, &(bytes.len() as u32).to_le_bytes()[..], bytes].concat();
        let mut all = items.iter().flat_map(item).collect::<Vec<u8>>();
        all.extend([&SEQUENCE_END[..], &[0; 4]].concat());
        all
    }

    fn lengths(frames: Vec<Vec<Range<usize>>>) -> Vec<Vec<usize>> {
        frames.into_iter().map(|f| f.into_iter().map(|r| r.len()).collect()).collect()
    }

    #[test]
    fn fragments_are_divided_by_count_table_or_marker() {
        let one = frames_of_fragments(&encapsulated(&[&[], &[1; 4], &[2; 6]]), 1).unwrap();
        assert_eq!(lengths(one), [vec![4, 6]]);
        let each = frames_of_fragments(&encapsulated(&[&[], &[1; 4], &[2; 6]]), 2).unwrap();
        assert_eq!(lengths(each), [vec![4], vec![6]]);
        let table = [0u32.to_le_bytes(), 26u32.to_le_bytes()].concat();
        let by_table = frames_of_fragments(&encapsulated(&[&table, &[1; 4], &[2; 6], &[3; 2]]), 2).unwrap();
        assert_eq!(lengths(by_table), [vec![4, 6], vec![2]]);
        let soi = [0xFF, 0xD8, 0, 0];
        let by_marker = frames_of_fragments(&encapsulated(&[&[], &soi, &[2; 6], &soi]), 2).unwrap();
        assert_eq!(lengths(by_marker), [vec![4, 6], vec![4]]);
    }

    #[test]
    fn fragments_that_do_not_fit_are_refused() {
        let mut cut = encapsulated(&[&[], &[1; 40]]);
        cut.truncate(40);
        for (bytes, frames) in [(cut, 1), (encapsulated(&[&[], &[1; 4]]), 2), (Vec::new(), 1), (vec![7; 16], 1)] {
            assert!(frames_of_fragments(&bytes, frames).is_err(), "{bytes:?}");
        }
    }
}
