//! RLE Lossless (PS3.5 Annex G): a segment for each byte of a pixel, most significant first, packed run by run.

/// Decodes single-sample pixels of `width` bytes into little-endian bytes.
pub(super) fn decode(encoded: &[u8], width: usize, into: &mut [u8]) -> Result<(), String> {
    let word = |n: usize| encoded.get(4 * n..4 * n + 4).map(|b| u32::from_le_bytes([b[0], b[1], b[2], b[3]]) as usize);
    let segments = word(0).ok_or("the RLE header is cut short")?;
    if segments != width {
        return Err(format!("{segments} RLE segments where {width} belong"));
    }
    for segment in 0..width {
        let start = word(1 + segment).ok_or("the RLE header is cut short")?;
        let end =
            if segment + 1 < width { word(2 + segment).ok_or("the RLE header is cut short")? } else { encoded.len() };
        let packed = encoded.get(start..end).ok_or("an RLE segment lies outside the frame")?;
        let mut pixels = into.iter_mut().skip(width - 1 - segment).step_by(width);
        unpack(packed, &mut pixels).ok_or("the RLE data is damaged")?;
        if pixels.next().is_some() {
            return Err("the RLE data ends before the image does".to_owned());
        }
    }
    Ok(())
}

/// PackBits, until the pixels or the bytes run out; `None` if a run does.
fn unpack<'a>(mut packed: &[u8], pixels: &mut impl Iterator<Item = &'a mut u8>) -> Option<()> {
    while let Some((&control, rest)) = packed.split_first() {
        match control as i8 {
            count @ 0.. => {
                let literal = rest.get(..count as usize + 1);
                // The last literal may be cut by the image's end.
                for (byte, pixel) in literal.unwrap_or(rest).iter().zip(&mut *pixels) {
                    *pixel = *byte;
                }
                packed = rest.get(count as usize + 1..).unwrap_or(&[]);
            }
            -128 => packed = rest,
            count => {
                let (byte, rest) = rest.split_first()?;
                pixels.by_ref().take(1 + usize::from(count.unsigned_abs())).for_each(|pixel| *pixel = *byte);
                packed = rest;
            }
        }
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_and_literals_come_out_in_both_bytes() {
        let mut encoded = vec![0; 64];
        encoded[0] = 2;
        encoded[4] = 64;
        encoded[8] = 66;
        encoded.extend([0xFDu8, 1]); // Four times 1.
        encoded.extend([3, 10, 20, 30, 40]);
        let mut into = [0; 8];
        decode(&encoded, 2, &mut into).unwrap();
        assert_eq!(into, [10, 1, 20, 1, 30, 1, 40, 1]);
        assert!(decode(&encoded, 2, &mut [0; 10]).is_err(), "too few pixels");
        assert!(decode(&encoded, 1, &mut [0; 4]).is_err(), "another number of segments");
        encoded[8] = 200;
        assert!(decode(&encoded, 2, &mut into).is_err(), "segment outside");
    }
}
