//! The loss curve as a picture.

use std::path::Path;

use neural::training::{EpochRecord, TrainingState};

use super::io;
use crate::PipelineError;

const SIZE: [usize; 2] = [960, 540];
/// Left, top, right, bottom.
const MARGIN: [usize; 4] = [70, 50, 20, 50];
const INK: [u8; 3] = [60, 60, 70];
const PALE: [u8; 3] = [225, 226, 230];
const TRAINING: [u8; 3] = [214, 110, 30];
const VALIDATION: [u8; 3] = [30, 90, 190];
/// For the Dice of each class, again from the first after the last.
const CLASSES: [[u8; 3]; 4] = [[20, 140, 80], [140, 60, 160], [190, 40, 70], [90, 130, 20]];
/// Pixels of a dot of the letters.
const DOT: usize = 2;

/// Losses, and Dice on the same axis from 0 up, over the epochs, as PNG.
pub(super) fn loss_curve(state: &TrainingState, epochs: usize) -> Result<Vec<u8>, PipelineError> {
    let mut canvas = Canvas { pixels: vec![255; SIZE[0] * SIZE[1] * 3] };
    let records = &state.epochs;
    let losses = records.iter().flat_map(|e| [e.training_loss, e.validation_loss]);
    let top = losses.fold(1.0, f64::max) * 1.02;
    let right = epochs.max(records.len()).max(2);
    let plot = Plot { top, right };
    plot.axes(&mut canvas);
    let classes = records.first().map_or(0, |e| e.dice.len());
    for class in 0..classes {
        plot.line(&mut canvas, records, CLASSES[class % CLASSES.len()], |e| e.dice[class]);
    }
    plot.line(&mut canvas, records, TRAINING, |e| e.training_loss);
    plot.line(&mut canvas, records, VALIDATION, |e| e.validation_loss);
    let mut x = MARGIN[0];
    let dice = (0..classes).map(|c| (format!("DICE {}", c + 1), CLASSES[c % CLASSES.len()]));
    let legend = [("LOSS".to_owned(), TRAINING), ("VALIDATION LOSS".to_owned(), VALIDATION)];
    for (text, color) in legend.into_iter().chain(dice) {
        canvas.fill([x, 24], [18, 4], color);
        x = canvas.text(&text, [x + 24, 20], INK) + 24;
    }
    canvas.text("EPOCH", [SIZE[0] / 2 - 20, SIZE[1] - 18], INK);
    canvas.encode()
}

struct Plot {
    top: f64,
    right: usize,
}

impl Plot {
    fn place(&self, epoch: f64, value: f64) -> [f64; 2] {
        let [left, top, right, bottom] = MARGIN.map(|m| m as f64);
        let (w, h) = (SIZE[0] as f64 - left - right, SIZE[1] as f64 - top - bottom);
        [left + w * (epoch - 1.0) / (self.right as f64 - 1.0), top + h * (1.0 - (value / self.top).clamp(0.0, 1.0))]
    }

    fn axes(&self, canvas: &mut Canvas) {
        let width = SIZE[0] - MARGIN[0] - MARGIN[2];
        let step = [0.1, 0.2, 0.5, 1.0].into_iter().find(|s| self.top / s <= 12.0).unwrap_or(2.0);
        for tick in 0..=(self.top / step) as usize {
            let value = tick as f64 * step;
            let y = self.place(1.0, value)[1] as usize;
            canvas.fill([MARGIN[0], y], [width, 1], if tick == 0 { INK } else { PALE });
            canvas.text(&format!("{value:.1}"), [MARGIN[0] - 36, y - 5], INK);
        }
        let step = [1, 2, 5, 10, 20, 50, 100].into_iter().find(|s| self.right / s <= 14).unwrap_or(200);
        for epoch in (step..=self.right).step_by(step) {
            let [x, y] = self.place(epoch as f64, 0.0).map(|v| v as usize);
            canvas.fill([x, y], [1, 5], INK);
            let text = epoch.to_string();
            canvas.text(&text, [x - text.len() * 4, y + 10], INK);
        }
        let [x, y] = self.place(1.0, self.top).map(|v| v as usize);
        canvas.fill([x, y], [1, SIZE[1] - MARGIN[1] - MARGIN[3]], INK);
    }

    fn line(&self, canvas: &mut Canvas, records: &[EpochRecord], color: [u8; 3], value: impl Fn(&EpochRecord) -> f64) {
        let points: Vec<[f64; 2]> = records.iter().map(|e| self.place(e.epoch as f64, value(e))).collect();
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

    /// Returns where the text ends.
    fn text(&mut self, text: &str, [mut x, y]: [usize; 2], color: [u8; 3]) -> usize {
        for letter in text.chars() {
            for (row, bits) in glyph(letter).into_iter().enumerate() {
                for column in (0..3).filter(|column| bits >> (2 - column) & 1 == 1) {
                    self.fill([x + column * DOT, y + row * DOT], [DOT, DOT], color);
                }
            }
            x += 4 * DOT;
        }
        x
    }

    fn encode(&self) -> Result<Vec<u8>, PipelineError> {
        let mut bytes = Vec::new();
        let mut encoder = png::Encoder::new(&mut bytes, SIZE[0] as u32, SIZE[1] as u32);
        encoder.set_color(png::ColorType::Rgb);
        let written = encoder.write_header().and_then(|mut writer| writer.write_image_data(&self.pixels));
        match written {
            Ok(()) => Ok(bytes),
            Err(error) => Err(io(Path::new("loss.png"), std::io::Error::other(error))),
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
        'C' => [7, 4, 4, 4, 7],
        'D' => [6, 5, 5, 5, 6],
        'E' => [7, 4, 6, 4, 7],
        'H' => [5, 5, 7, 5, 5],
        'I' => [7, 2, 2, 2, 7],
        'L' => [4, 4, 4, 4, 7],
        'N' => [6, 5, 5, 5, 5],
        'P' => [7, 5, 7, 4, 4],
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
        let record = |epoch: usize| EpochRecord {
            epoch,
            learning_rate: 0.1,
            training_loss: 1.5 / epoch as f64,
            validation_loss: 1.8 / epoch as f64,
            dice: vec![0.2, 0.4],
        };
        let state = TrainingState { epochs: (1..6).map(record).collect(), ..TrainingState::default() };
        let bytes = loss_curve(&state, 10).unwrap();
        let mut reader = png::Decoder::new(std::io::Cursor::new(bytes)).read_info().unwrap();
        let mut pixels = vec![0; SIZE[0] * SIZE[1] * 3];
        reader.next_frame(&mut pixels).unwrap();
        let count = |color: [u8; 3]| pixels.chunks(3).filter(|p| *p == color).count();
        for color in [TRAINING, VALIDATION, CLASSES[0], CLASSES[1]] {
            // The mark in the legend alone has 72.
            assert!(count(color) > 300, "{color:?}: {}", count(color));
        }
    }
}
