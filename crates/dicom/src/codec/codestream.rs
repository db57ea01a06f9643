//! What compressed images say about themselves, read before a decoder may act on it.

/// The shape a codestream declares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Shape {
    pub(super) rows: usize,
    pub(super) columns: usize,
    pub(super) components: usize,
    /// Bits a sample.
    pub(super) precision: u32,
    /// True for JPEG with a cosine transform.
    pub(super) lossy: bool,
}

/// Tiles a real encoder makes of a slice, generously; a decoder keeps a kilobyte and more for each.
const MAX_TILES: u64 = 4096;

/// Precincts a real encoder makes of a slice, generously; a decoder keeps kilobytes for each, even an empty one.
const MAX_PRECINCTS: u64 = 1 << 16;

/// Packets, one for each precinct and layer; a decoder keeps account of each.
const MAX_PACKETS: u64 = 1 << 20;

/// Resolutions below the whole one that the standard allows (ISO 15444-1 A.6.1).
const MAX_LEVELS: u8 = 32;

/// Of JPEG (ISO 10918-1 B.2.2) and JPEG-LS (ISO 14495-1 C.2.2): the frame header.
pub(super) fn jpeg_shape(bytes: &[u8]) -> Result<Shape, String> {
    if bytes.get(..2) != Some(&[0xFF, 0xD8]) {
        return Err("it does not begin as a JPEG image".to_owned());
    }
    let mut at = 2;
    loop {
        let Some(&[fill, marker, high, low]) = bytes.get(at..at + 4) else {
            return Err("the JPEG image has no frame header".to_owned());
        };
        if fill != 0xFF {
            return Err("the JPEG image is damaged".to_owned());
        }
        if marker == 0xFF {
            at += 1;
            continue;
        }
        let length = usize::from(u16::from_be_bytes([high, low]));
        match marker {
            0xC0..=0xC3 | 0xF7 => {
                let Some(&[precision, r1, r0, c1, c0, components]) = bytes.get(at + 4..at + 10) else {
                    return Err("the JPEG frame header is cut short".to_owned());
                };
                let lossy = marker != 0xC3 && marker != 0xF7;
                let sequential_12 = marker == 0xC1 && precision == 12;
                if lossy && precision != 8 && !sequential_12 {
                    return Err(format!("JPEG with {precision}-bit samples and loss is not supported"));
                }
                return Ok(Shape {
                    rows: usize::from(u16::from_be_bytes([r1, r0])),
                    columns: usize::from(u16::from_be_bytes([c1, c0])),
                    components: usize::from(components),
                    precision: u32::from(precision),
                    lossy,
                });
            }
            0xC5..=0xC7 | 0xC9..=0xCB | 0xCD..=0xCF => {
                return Err("hierarchical or arithmetic JPEG is not supported".to_owned());
            }
            // Without a segment: a decoder would read a frame header where we skip.
            0x00..=0xBF | 0xD0..=0xD9 => return Err("the JPEG image is damaged".to_owned()),
            _ if length < 2 => return Err("the JPEG image is damaged".to_owned()),
            _ => at += 2 + length,
        }
    }
}

/// Of JPEG 2000 (ISO 15444-1 A.5.1): the SIZ segment.
pub(super) fn jpeg_2000_shape(bytes: &[u8]) -> Result<Shape, String> {
    let codestream = jpeg_2000_codestream(bytes).ok_or("it does not begin as a JPEG 2000 image")?;
    let siz = codestream.strip_prefix(&SOC_SIZ).unwrap_or_default();
    let word = |at: usize| siz.get(at..at + 4).map(|b| u64::from(u32::from_be_bytes([b[0], b[1], b[2], b[3]])));
    let short = "the JPEG 2000 size segment is cut short";
    let mut fields = [0u64; 8];
    for (n, field) in fields.iter_mut().enumerate() {
        *field = word(4 + 4 * n).ok_or(short)?;
    }
    let [x, y, x_offset, y_offset, tile_x, tile_y, tile_x_offset, tile_y_offset] = fields;
    let Some(&[c1, c0, depth, dx, dy]) = siz.get(36..41) else { return Err(short.to_owned()) };
    if x <= x_offset
        || y <= y_offset
        || tile_x == 0
        || tile_y == 0
        || tile_x_offset > x_offset
        || tile_y_offset > y_offset
    {
        return Err("the JPEG 2000 size segment is damaged".to_owned());
    }
    let tiles = (x - tile_x_offset).div_ceil(tile_x).saturating_mul((y - tile_y_offset).div_ceil(tile_y));
    if tiles > MAX_TILES {
        return Err(format!("{tiles} JPEG 2000 tiles are too many; the file is damaged"));
    }
    if (dx, dy) != (1, 1) {
        return Err("subsampled JPEG 2000 is not supported".to_owned());
    }
    let tile = [tile_x.min(x - tile_x_offset), tile_y.min(y - tile_y_offset)];
    let Packets { precincts, layers } = packets_of_a_tile(codestream, tile).ok_or("the JPEG 2000 header is damaged")?;
    let precincts = precincts.saturating_mul(tiles);
    if precincts > MAX_PRECINCTS || precincts * layers > MAX_PACKETS {
        return Err(format!("{precincts} JPEG 2000 precincts in {layers} layers are too many; the file is damaged"));
    }
    Ok(Shape {
        rows: usize::try_from(y - y_offset).unwrap_or(usize::MAX),
        columns: usize::try_from(x - x_offset).unwrap_or(usize::MAX),
        components: usize::from(u16::from_be_bytes([c1, c0])),
        precision: u32::from(depth & 0x7F) + 1,
        lossy: false,
    })
}

/// The first two markers of a codestream.
const SOC_SIZ: [u8; 4] = [0xFF, 0x4F, 0xFF, 0x51];

/// The codestream, which some writers leave in the boxes of a JP2 file (ISO 15444-1 I.4).
fn jpeg_2000_codestream(bytes: &[u8]) -> Option<&[u8]> {
    let mut rest = bytes;
    while !rest.starts_with(&SOC_SIZ) {
        let &[l3, l2, l1, l0, ref kind @ ..] = rest.first_chunk::<8>()?;
        let (header, length) = match u32::from_be_bytes([l3, l2, l1, l0]) {
            0 => (8, rest.len()),
            1 => (16, usize::try_from(u64::from_be_bytes(*rest.get(8..)?.first_chunk()?)).ok()?),
            length => (8, length as usize),
        };
        if kind == b"jp2c" {
            return rest.get(header..).filter(|content| content.starts_with(&SOC_SIZ));
        }
        rest = rest.get(length..).filter(|_| length >= header)?;
    }
    Some(rest)
}

/// How finely a codestream divides its tiles.
#[derive(Debug, PartialEq, Eq)]
struct Packets {
    precincts: u64,
    layers: u64,
}

/// The most that any coding style (A.6.1, A.6.2) in the main header or a tile's makes of a tile of this size; `None` if
/// a header is damaged.
fn packets_of_a_tile(codestream: &[u8], tile: [u64; 2]) -> Option<Packets> {
    let mut most = Packets { precincts: 1, layers: 1 };
    let mut segments_left = codestream.len() / 4;
    // Nothing but a tile-part begins so: packets hold no such bytes (B.10.1).
    let tile_parts = codestream.windows(2).enumerate().filter(|(_, w)| *w == [0xFF, 0x90]).map(|(at, _)| at);
    for start in std::iter::once(2).chain(tile_parts) {
        let mut at = start;
        while let Some(&[0xFF, marker, high, low]) = codestream.get(at..at + 4) {
            let length = usize::from(u16::from_be_bytes([high, low]));
            let segment = |from: usize| codestream.get(at + 4 + from..at + 2 + length);
            // Headers that overlap would be walked through again and again.
            segments_left = segments_left.checked_sub(1)?;
            match marker {
                0x93 => break,
                0x90 if at > start => break,
                0x52 => {
                    most.layers = most.layers.max(u64::from(u16::from_be_bytes(*segment(2)?.first_chunk()?)));
                    most.precincts = most.precincts.max(precincts(segment(0)?.first()?, segment(5)?, tile)?);
                }
                0x53 => most.precincts = most.precincts.max(precincts(segment(1)?.first()?, segment(2)?, tile)?),
                // Others that decoders step over by their length; what they do with the rest is their own.
                0x50 | 0x51 | 0x55 | 0x57..=0x59 | 0x5C..=0x61 | 0x63 | 0x64 | 0x74 | 0x75 | 0x77 | 0x78 | 0x90 => {}
                _ => return None,
            }
            at += 2 + length;
        }
    }
    Some(most)
}

/// The precincts of all resolutions of a tile: `parameters` begin with the number of levels, `style` says if sizes follow.
fn precincts(style: &u8, parameters: &[u8], tile: [u64; 2]) -> Option<u64> {
    let levels = *parameters.first().filter(|levels| **levels <= MAX_LEVELS)?;
    let mut all = 0u64;
    for resolution in 0..=levels {
        let size = if style & 1 == 0 { 0xFF } else { *parameters.get(5 + usize::from(resolution))? };
        let along = |length: u64, exponent: u8| length.div_ceil(1 << (levels - resolution)).div_ceil(1 << exponent);
        all = all.saturating_add(along(tile[0], size & 15).saturating_mul(along(tile[1], size >> 4)));
    }
    Some(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_are_read_from_frame_headers() {
        let jpeg = [0xFF, 0xD8, 0xFF, 0xE0, 0, 4, 9, 9, 0xFF, 0xC3, 0, 11, 16, 1, 0, 2, 0, 1, 1, 0x11, 0];
        assert_eq!(
            jpeg_shape(&jpeg),
            Ok(Shape { rows: 256, columns: 512, components: 1, precision: 16, lossy: false })
        );
        for cut in 0..jpeg.len() - 4 {
            assert!(jpeg_shape(&jpeg[..cut]).is_err(), "cut at {cut}");
        }
    }

    #[test]
    fn a_thousand_tiles_a_pixel_are_refused() {
        let mut siz = vec![0xFF, 0x4F, 0xFF, 0x51, 0, 41, 0, 0];
        for word in [512u32, 256, 0, 0, 512, 256, 0, 0] {
            siz.extend(word.to_be_bytes());
        }
        siz.extend([0, 1, 11, 1, 1]);
        assert_eq!(
            jpeg_2000_shape(&siz),
            Ok(Shape { rows: 256, columns: 512, components: 1, precision: 12, lossy: false })
        );
        siz[24..28].copy_from_slice(&1u32.to_be_bytes());
        siz[28..32].copy_from_slice(&1u32.to_be_bytes());
        assert!(jpeg_2000_shape(&siz).is_err());
    }

    /// The headers of 1024² pixels in one tile, with these segments behind the size.
    fn codestream(segments: &[&[u8]]) -> Vec<u8> {
        let mut bytes = [&SOC_SIZ[..], &[0, 41, 0, 0]].concat();
        for word in [1024u32, 1024, 0, 0, 1024, 1024, 0, 0] {
            bytes.extend(word.to_be_bytes());
        }
        bytes.extend([0, 1, 15, 1, 1]);
        segments.iter().for_each(|segment| bytes.extend(*segment));
        bytes.extend([0xFF, 0x93, 0, 0]);
        bytes
    }

    /// A coding style with this many layers and four levels; a resolution's precincts have `2^exponent` pixels a side.
    fn coding_style(layers: u16, exponent: u8) -> Vec<u8> {
        let [high, low] = layers.to_be_bytes();
        let mut segment = vec![0xFF, 0x52, 0, 17, 1, 0, high, low, 0, 4, 4, 4, 0, 1];
        segment.extend([exponent << 4 | exponent; 5]);
        segment
    }

    #[test]
    fn precincts_and_packets_without_number_are_refused() {
        let tile_part = [0xFF, 0x90, 0, 10, 0, 0, 0, 0, 0, 0, 0, 1];
        let of_component = [0xFF, 0x53, 0, 14, 0, 1, 4, 4, 4, 0, 1, 0x11, 0x11, 0x11, 0x11, 0x11];
        let (usual, small) = (coding_style(20, 6), coding_style(1, 1));
        assert!(jpeg_2000_shape(&codestream(&[&usual, &tile_part])).is_ok());
        let most = Packets { precincts: 256 + 64 + 16 + 4 + 1, layers: 20 };
        assert_eq!(packets_of_a_tile(&codestream(&[&usual]), [1024; 2]), Some(most));
        for segments in [
            &[&small[..], &tile_part][..],
            &[&usual, &of_component, &tile_part],
            &[&usual, &tile_part, &small],
            &[&usual, &[0xFF, 0x6F, 0xFF, 0x30], &tile_part],
            &[&coding_style(65535, 6), &tile_part],
        ] {
            assert!(jpeg_2000_shape(&codestream(segments)).is_err(), "{segments:?}");
        }
    }

    #[test]
    fn the_codestream_of_a_jp2_file_is_the_one_in_its_box() {
        let content = codestream(&[]);
        let boxed =
            |kind: &[u8; 4], content: &[u8]| [&(8 + content.len() as u32).to_be_bytes(), &kind[..], content].concat();
        let decoy = boxed(b"xml ", &content);
        assert_eq!(jpeg_2000_codestream(&[&decoy[..], &boxed(b"jp2c", &content)].concat()), Some(&content[..]));
        assert_eq!(jpeg_2000_codestream(&[&decoy[..], &boxed(b"jp2c", b"nothing")].concat()), None);
        for length in [0u32, 1, 7, u32::MAX] {
            assert_eq!(jpeg_2000_codestream(&[&length.to_be_bytes(), &decoy[4..]].concat()), None, "{length}");
        }
    }

    #[test]
    fn a_frame_header_cannot_hide_behind_a_marker_without_segment() {
        let header = [0xFF, 0xC3, 0, 11, 16, 1, 0, 2, 0, 1, 1, 0x11, 0];
        for marker in [0x00, 0x01, 0xBF, 0xD0, 0xD8, 0xD9] {
            let hidden = [&[0xFF, 0xD8, 0xFF, marker, 0, 15], &header[..], &header].concat();
            assert!(jpeg_shape(&hidden).is_err(), "{marker:02x}");
        }
    }
}
