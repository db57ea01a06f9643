//! Curves of a training as a picture.

use std::path::Path;

use crate::PipelineError;

const SIZE: [usize; 2] = [960, 540];
/// Left, top but for the legend's lines, right, bottom.
const MARGIN: [usize; 4] = [70, 34, 20, 50];
const INK: [u8; 3] = [60, 60, 70];
const PALE: [u8; 3] = [225, 226, 230];
/// Of the first curves.
const FIRST: [[u8; 3]; 2] = [[214, 110, 30], [30, 90, 190]];
/// Of the others, again from the first after the last.
const OTHERS: [[u8; 3]; 10] = [
    [20, 140, 80],
    [140, 60, 160],
    [190, 40, 70],
    [90, 130, 20],
    [0, 160, 190],
    [120, 80, 40],
    [240, 120, 180],
    [110, 110, 120],
    [170, 150, 0],
    [90, 70, 210],
];
/// Pixels of a dot of the letters.
const DOT: usize = 2;
/// Pixels from one letter to the next.
const LETTER: usize = 4 * DOT;
/// Pixels from one line of the legend to the next.
const LEGEND_LINE: usize = 16;

/// What is drawn as a line.
#[derive(Clone, Debug, PartialEq)]
pub struct Curve {
    /// In the legend: capital letters and digits.
    pub name: String,
    /// Place along the picture, from 1, and height, from 0.
    pub points: Vec<[f64; 2]>,
}

/// Curves over their places up to `right`, on one axis from 0 up, as PNG.
///
/// # Errors
/// [`PipelineError::Io`] if there can be no picture.
pub fn curves(curves: &[Curve], places: &str, right: usize) -> Result<Vec<u8>, PipelineError> {
    let mut canvas = Canvas { pixels: vec![255; SIZE[0] * SIZE[1] * 3] };
    let heights = curves.iter().flat_map(|c| &c.points).map(|p| p[1]).filter(|height| height.is_finite());
    let top = heights.fold(1.0, f64::max) * 1.02;
    let right = curves.iter().flat_map(|c| &c.points).map(|p| p[0] as usize).fold(right.max(2), usize::max);
    let legend = legend(curves);
    let lines = legend.last().map_or(0, |at| at[1] + 1);
    let plot = Plot { top, right, above: MARGIN[1] + LEGEND_LINE * lines };
    plot.axes(&mut canvas);
    let colored = || curves.iter().zip(FIRST.iter().chain(OTHERS.iter().cycle()));
    // The first on top.
    colored().collect::<Vec<_>>().into_iter().rev().for_each(|(curve, &color)| plot.line(&mut canvas, curve, color));
    for ((curve, &color), [x, line]) in colored().zip(legend) {
        let y = 20 + LEGEND_LINE * line;
        canvas.fill([x, y + 4], [18, 4], color);
        canvas.text(&curve.name, [x + 24, y], INK);
    }
    canvas.text(places, [SIZE[0] / 2 - 20, SIZE[1] - 18], INK);
    canvas.encode()
}

/// Where each curve's mark begins, and in which line.
fn legend(curves: &[Curve]) -> Vec<[usize; 2]> {
    let mut next = [MARGIN[0], 0];
    let place = |curve: &Curve| {
        let width = 24 + LETTER * curve.name.chars().count();
        if next[0] + width > SIZE[0] - MARGIN[2] && next[0] > MARGIN[0] {
            next = [MARGIN[0], next[1] + 1];
        }
        let at = next;
        next[0] += width + 24;
        at
    };
    curves.iter().map(place).collect()
}

struct Plot {
    top: f64,
    right: usize,
    /// Pixels over it.
    above: usize,
}

impl Plot {
    fn place(&self, at: f64, value: f64) -> [f64; 2] {
        let [left, _, right, bottom] = MARGIN.map(|m| m as f64);
        let top = self.above as f64;
        let (w, h) = (SIZE[0] as f64 - left - right, SIZE[1] as f64 - top - bottom);
        [left + w * (at - 1.0) / (self.right as f64 - 1.0), top + h * (1.0 - (value / self.top).clamp(0.0, 1.0))]
    }

    fn axes(&self, canvas: &mut Canvas) {
        let width = SIZE[0] - MARGIN[0] - MARGIN[2];
        let steps = (-1..300).flat_map(|power| [1.0, 2.0, 5.0].map(|n| n * 10_f64.powi(power)));
        let step = steps.into_iter().find(|s| self.top / s <= 12.0).unwrap_or(self.top);
        for tick in 0..=(self.top / step) as usize {
            let value = tick as f64 * step;
            let y = self.place(1.0, value)[1] as usize;
            canvas.fill([MARGIN[0], y], [width, 1], if tick == 0 { INK } else { PALE });
            canvas.text(&format!("{value:.1}"), [MARGIN[0] - 36, y - 5], INK);
        }
        let steps = (0..).flat_map(|power| [1, 2, 5].map(|n| n * 10_usize.pow(power)));
        let step = steps.take(30).find(|s| self.right / s <= 14).unwrap_or(self.right);
        for at in (step..=self.right).step_by(step) {
            let [x, y] = self.place(at as f64, 0.0).map(|v| v as usize);
            canvas.fill([x, y], [1, 5], INK);
            let text = at.to_string();
            canvas.text(&text, [x - text.len() * 4, y + 10], INK);
        }
        let [x, y] = self.place(1.0, self.top).map(|v| v as usize);
        canvas.fill([x, y], [1, SIZE[1] - self.above - MARGIN[3]], INK);
    }

    fn line(&self, canvas: &mut Canvas, curve: &Curve, color: [u8; 3]) {
        let points: Vec<[f64; 2]> = curve.points.iter().map(|[at, value]| self.place(*at, *value)).collect();
        if let [only] = points.as_slice() {
            canvas.fill([only[0] as usize, only[1] as usize], [3, 3], color);
        }
        for pair in points.windows(2) {
            canvas.segment(pair[0], pair[1], color);
        }
    }
}

struct Canvas {
    pixels: Vec<u8>,
}

impl Canvas {
    fn fill(&mut self, [x, y]: [usize; 2], [w, h]: [usize; 2], color: [u8; 3]) {
        for row in y..(y + h).min(SIZE[1]) {
            for column in x..(x + w).min(SIZE[0]) {
                self.pixels[(row * SIZE[0] + column) * 3..][..3].copy_from_slice(&color);
            }
        }
    }

    fn segment(&mut self, a: [f64; 2], b: [f64; 2], color: [u8; 3]) {
        let steps = ((b[0] - a[0]).abs().max((b[1] - a[1]).abs()).ceil() as usize).max(1);
        for step in 0..=steps {
            let t = step as f64 / steps as f64;
            self.fill([0, 1].map(|i| (a[i] + (b[i] - a[i]) * t).round() as usize), [2, 2], color);
        }
    }

    fn text(&mut self, text: &str, [mut x, y]: [usize; 2], color: [u8; 3]) {
        for letter in text.chars() {
            for (row, bits) in glyph(letter).into_iter().enumerate() {
                for column in (0..3).filter(|column| bits >> (2 - column) & 1 == 1) {
                    self.fill([x + column * DOT, y + row * DOT], [DOT, DOT], color);
                }
            }
            x += LETTER;
        }
    }

    fn encode(&self) -> Result<Vec<u8>, PipelineError> {
        let mut bytes = Vec::new();
        let mut encoder = png::Encoder::new(&mut bytes, SIZE[0] as u32, SIZE[1] as u32);
        encoder.set_color(png::ColorType::Rgb);
        let written = encoder.write_header().and_then(|mut writer| writer.write_image_data(&self.pixels));
        match written {
            Ok(()) => Ok(bytes),
            Err(error) => {
                let (cause, path) = (std::io::Error::other(error), Path::new("loss.png").to_owned());
                Err(PipelineError::Io { action: "draw", cause, path })
            }
        }
    }
}

/// Five rows of three dots.
fn glyph(letter: char) -> [u8; 5] {
    match letter {
        '0' | 'O' => [7, 5, 5, 5, 7],
        '1' => [2, 6, 2, 2, 7],
        '2' => [7, 1, 7, 4, 7],
        '3' => [7, 1, 3, 1, 7],
        '4' => [5, 5, 7, 1, 1],
        '5' | 'S' => [7, 4, 7, 1, 7],
        '6' => [7, 4, 7, 5, 7],
        '7' => [7, 1, 2, 2, 2],
        '8' => [7, 5, 7, 5, 7],
        '9' => [7, 5, 7, 1, 7],
        'A' => [2, 5, 7, 5, 5],
        'B' => [6, 5, 6, 5, 6],
        'C' => [7, 4, 4, 4, 7],
        'D' => [6, 5, 5, 5, 6],
        'E' => [7, 4, 6, 4, 7],
        'F' => [7, 4, 6, 4, 4],
        'G' => [7, 4, 5, 5, 7],
        'H' => [5, 5, 7, 5, 5],
        'I' => [7, 2, 2, 2, 7],
        'K' => [5, 5, 6, 5, 5],
        'L' => [4, 4, 4, 4, 7],
        'N' => [6, 5, 5, 5, 5],
        'P' => [7, 5, 7, 4, 4],
        'R' => [6, 5, 6, 5, 5],
        'T' => [7, 2, 2, 2, 2],
        'V' => [5, 5, 5, 5, 2],
        '.' => [0, 0, 0, 0, 2],
        _ => [0; 5],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_drawn_in_their_colours() {
        let curve = |name: &str, height: f64| Curve {
            name: name.to_owned(),
            points: (1..6).map(|at| [f64::from(at), height / f64::from(at)]).collect(),
        };
        let bytes = curves(&[curve("LOSS", 1.5), curve("GAIN", 0.4), curve("DICE 1", 0.2)], "EPOCH", 10).unwrap();
        let mut reader = png::Decoder::new(std::io::Cursor::new(bytes)).read_info().unwrap();
        let mut pixels = vec![0; SIZE[0] * SIZE[1] * 3];
        reader.next_frame(&mut pixels).unwrap();
        let count = |color: [u8; 3]| pixels.chunks(3).filter(|p| *p == color).count();
        for color in [FIRST[0], FIRST[1], OTHERS[0]] {
            // The mark in the legend alone has 72.
            assert!(count(color) > 300, "{color:?}: {}", count(color));
        }
    }

    #[test]
    fn a_long_legend_has_several_lines() {
        let many: Vec<Curve> = (1..25).map(|n| Curve { name: format!("DICE {n}"), points: Vec::new() }).collect();
        let places = legend(&many);
        assert_eq!(places[0], [MARGIN[0], 0]);
        assert_eq!(places[23][1], 2);
        for (curve, [x, _]) in many.iter().zip(&places) {
            assert!(x + 24 + LETTER * curve.name.len() <= SIZE[0] - MARGIN[2], "{}", curve.name);
        }
        for pair in places.windows(2) {
            assert!(pair[1][1] > pair[0][1] || pair[1][0] >= pair[0][0] + 24 + LETTER * 6, "{pair:?}");
        }
    }
}
