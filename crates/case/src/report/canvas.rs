//! Pixels, and the few letters a medical picture needs.

use png::{BitDepth, ColorType, Compression, Encoder, Filter};

use crate::error::CaseError;

/// An 8-bit sRGB picture, rows from the top.
pub(crate) struct Canvas {
    width: usize,
    height: usize,
    pixels: Vec<[u8; 3]>,
}

/// A point of a picture in pixels, from the top left.
pub(crate) type Pixel = [f32; 2];

/// Letters and marks, and what they stand out against.
const INK: [u8; 3] = [255, 214, 92];
const HALO: [u8; 3] = [10, 12, 16];

impl Canvas {
    pub(crate) fn new(width: usize, height: usize, pixels: Vec<[u8; 3]>) -> Self {
        debug_assert_eq!(width * height, pixels.len());
        Self { width, height, pixels }
    }

    pub(crate) fn width(&self) -> usize {
        self.width
    }

    pub(crate) fn height(&self) -> usize {
        self.height
    }

    #[cfg(test)]
    pub(crate) fn pixel(&self, x: usize, y: usize) -> [u8; 3] {
        self.pixels[y * self.width + x]
    }

    /// Lays `ink` over a pixel.
    pub(crate) fn blend(&mut self, x: usize, y: usize, ink: [u8; 3], opacity: f32) {
        if x >= self.width {
            return;
        }
        if let Some(pixel) = self.pixels.get_mut(y * self.width + x) {
            for (p, i) in pixel.iter_mut().zip(ink) {
                *p = (f32::from(*p) + (f32::from(i) - f32::from(*p)) * opacity).round() as u8;
            }
        }
    }

    /// Writes a text of [`glyph`]s, centred, `height` pixels high.
    pub(crate) fn text(&mut self, text: &str, center: Pixel, height: f32) {
        let unit = height / GLYPH_HEIGHT;
        let advance = (GLYPH_WIDTH + 2.0) * unit;
        let count = text.chars().count() as f32;
        let left = center[0] - (count * advance - 2.0 * unit) / 2.0;
        let top = center[1] - height / 2.0;
        let mut strokes = Vec::new();
        for (n, letter) in text.chars().enumerate() {
            let x = left + n as f32 * advance;
            for line in glyph(letter) {
                let place = |p: &(u8, u8)| [x + f32::from(p.0) * unit, top + f32::from(p.1) * unit];
                strokes.extend(line.windows(2).map(|w| [place(&w[0]), place(&w[1])]));
            }
        }
        let thickness = (height / 8.0).max(1.2);
        self.strokes(&strokes, thickness + 3.0, HALO, 0.75);
        self.strokes(&strokes, thickness, INK, 1.0);
    }

    /// A bar of a length in pixels from the lower left corner, with ticks at its ends.
    pub(crate) fn scale_bar(&mut self, length: f32, label: &str) {
        let (x, y) = (14.0, self.height as f32 - 14.0);
        let strokes =
            [[[x, y], [x + length, y]], [[x, y - 4.0], [x, y + 4.0]], [[x + length, y - 4.0], [x + length, y + 4.0]]];
        self.strokes(&strokes, 4.0, HALO, 0.75);
        self.strokes(&strokes, 1.6, INK, 1.0);
        self.text(label, [x + length / 2.0, y - 13.0], 11.0);
    }

    /// Draws line segments with round ends, smoothed, as one shape: where they cross, nothing is laid on twice.
    fn strokes(&mut self, strokes: &[[Pixel; 2]], thickness: f32, ink: [u8; 3], opacity: f32) {
        let reach = thickness / 2.0 + 1.0;
        let bound = |axis: usize, sign: f32| {
            strokes.iter().flatten().map(|p| p[axis] * sign).fold(f32::NEG_INFINITY, f32::max) * sign
        };
        let from = |axis| (bound(axis, -1.0) - reach).max(0.0) as usize;
        let to = |axis, size: usize| ((bound(axis, 1.0) + reach).max(0.0) as usize).min(size.saturating_sub(1));
        if strokes.is_empty() {
            return;
        }
        for y in from(1)..=to(1, self.height) {
            for x in from(0)..=to(0, self.width) {
                let p = [x as f32 + 0.5, y as f32 + 0.5];
                let distance = strokes.iter().map(|s| distance(p, *s)).fold(f32::INFINITY, f32::min);
                let coverage = (thickness / 2.0 - distance + 0.5).clamp(0.0, 1.0);
                if coverage > 0.0 {
                    self.blend(x, y, ink, coverage * opacity);
                }
            }
        }
    }

    /// The picture as a PNG file.
    pub(crate) fn png(&self) -> Result<Vec<u8>, CaseError> {
        let mut png = Vec::with_capacity(self.pixels.len());
        let (width, height) = (self.width as u32, self.height as u32);
        let mut encoder = Encoder::new(&mut png, width, height);
        encoder.set_color(ColorType::Rgb);
        encoder.set_depth(BitDepth::Eight);
        encoder.set_compression(Compression::Fast);
        encoder.set_filter(Filter::Up);
        let mut writer = encoder.write_header()?;
        writer.write_image_data(bytemuck::cast_slice(&self.pixels))?;
        writer.finish()?;
        Ok(png)
    }
}

fn distance(p: Pixel, [a, b]: [Pixel; 2]) -> f32 {
    let (ab, ap) = ([b[0] - a[0], b[1] - a[1]], [p[0] - a[0], p[1] - a[1]]);
    let length2 = ab[0] * ab[0] + ab[1] * ab[1];
    let t = if length2 > 0.0 { ((ab[0] * ap[0] + ab[1] * ap[1]) / length2).clamp(0.0, 1.0) } else { 0.0 };
    (ap[0] - t * ab[0]).hypot(ap[1] - t * ab[1])
}

/// Glyphs stand on a grid of this size, y down.
const GLYPH_WIDTH: f32 = 6.0;
const GLYPH_HEIGHT: f32 = 10.0;

/// The strokes of a letter; what is not needed on a picture has none.
fn glyph(letter: char) -> &'static [&'static [(u8, u8)]] {
    match letter {
        'L' => &[&[(0, 0), (0, 10), (6, 10)]],
        'R' => &[&[(0, 10), (0, 0), (4, 0), (6, 1), (6, 4), (4, 5), (0, 5)], &[(3, 5), (6, 10)]],
        'A' => &[&[(0, 10), (3, 0), (6, 10)], &[(1, 7), (5, 7)]],
        'P' => &[&[(0, 10), (0, 0), (4, 0), (6, 1), (6, 4), (4, 5), (0, 5)]],
        'H' => &[&[(0, 0), (0, 10)], &[(6, 0), (6, 10)], &[(0, 5), (6, 5)]],
        'F' => &[&[(6, 0), (0, 0), (0, 10)], &[(0, 5), (5, 5)]],
        '0' => &[&[(2, 0), (4, 0), (6, 2), (6, 8), (4, 10), (2, 10), (0, 8), (0, 2), (2, 0)]],
        '1' => &[&[(1, 2), (3, 0), (3, 10)], &[(1, 10), (5, 10)]],
        '2' => &[&[(0, 2), (2, 0), (4, 0), (6, 2), (6, 4), (0, 10), (6, 10)]],
        '5' => &[&[(6, 0), (0, 0), (0, 4), (4, 4), (6, 6), (6, 8), (4, 10), (0, 10)]],
        'c' => &[&[(6, 5), (4, 4), (2, 4), (0, 6), (0, 8), (2, 10), (4, 10), (6, 9)]],
        'm' => &[&[(0, 10), (0, 4)], &[(0, 5), (2, 4), (3, 5), (3, 10)], &[(3, 5), (5, 4), (6, 5), (6, 10)]],
        _ => &[],
    }
}

/// The longest round length that fits into a third of `width_px`: pixels and text.
pub(crate) fn scale_bar_for(px_per_mm: f32, width_px: usize) -> Option<(f32, &'static str)> {
    const LENGTHS: [(f32, &str); 6] =
        [(200.0, "20 cm"), (100.0, "10 cm"), (50.0, "5 cm"), (20.0, "2 cm"), (10.0, "1 cm"), (1.0, "1 mm")];
    let room = width_px as f32 / 3.0;
    LENGTHS.into_iter().map(|(mm, text)| (mm * px_per_mm, text)).find(|(px, _)| *px <= room)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_leave_ink_inside_their_box_only() {
        let mut canvas = Canvas::new(40, 40, vec![[0; 3]; 1600]);
        canvas.text("R", [20.0, 20.0], 16.0);
        let inked = |x: usize, y: usize| canvas.pixel(x, y)[0] > 128;
        assert!(inked(15, 20), "the stem");
        assert!((0..40).all(|n| !inked(0, n) && !inked(n, 0) && !inked(39, n) && !inked(n, 39)));
        canvas.text("LRAPHF", [0.0, 45.0], 30.0);
    }

    #[test]
    fn pictures_are_png() {
        let png = Canvas::new(3, 2, vec![[1, 2, 3]; 6]).png().unwrap();
        let mut reader = png::Decoder::new(std::io::Cursor::new(png)).read_info().unwrap();
        let mut pixels = vec![0; 18];
        reader.next_frame(&mut pixels).unwrap();
        assert_eq!(pixels[15..], [1, 2, 3]);
    }

    #[test]
    fn scale_bars_fit() {
        assert_eq!(scale_bar_for(1.0, 600), Some((200.0, "20 cm")));
        assert_eq!(scale_bar_for(2.0, 400), Some((100.0, "5 cm")));
        assert_eq!(scale_bar_for(100.0, 200), None);
    }
}
