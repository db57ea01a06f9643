//! From a network's answers, plane by plane, to labels on the scan's grid.
//!
//! nnU-Net resamples the answers and then takes the greatest. Linear interpolation keeps order: where one class has the greatest
//! answer at all corners of a cell, it has it everywhere in the cell. So classes are only compared where corners differ, and two
//! planes of answers are all that is held.

use std::collections::BTreeMap;

use rayon::prelude::*;

use super::dataset::Heads;
use super::resample::Tap;
use super::view::View;
use crate::NeuralError;
use crate::confidence::{of_largest, percent};

/// Writes labels as planes of answers arrive.
pub(super) struct Export<'a> {
    heads: &'a Heads,
    /// From the network's grid to that of the view.
    taps: [Vec<Tap>; 3],
    /// Where the labels go.
    view: View,
    labels: &'a mut [u16],
    sure: Option<Sure<'a>>,
    planes: BTreeMap<usize, Plane>,
    /// The first plane of the view that has not been written.
    next: usize,
    /// Voxels of a row of the network's grid.
    row: usize,
    /// Whether answers were rounded to half precision, and so must be what is made of them.
    half: bool,
}

/// Where it goes how probable each label is.
pub(super) struct Sure<'a> {
    /// As many as labels.
    pub(super) percent: &'a mut [u8],
    /// Divides the answers.
    pub(super) temperature: f32,
}

/// Answers on a plane of the network's grid.
struct Plane {
    /// Voxel by voxel.
    answers: Vec<f32>,
    /// What wins at each voxel, and whether no rounding could change that.
    winners: Vec<(u16, bool)>,
    /// How probable that is, in percent; empty if nobody asks.
    sure: Vec<u8>,
}

impl<'a> Export<'a> {
    /// `size` is the network's grid, `taps` lead from it to the voxels of `view`, which lie in `labels`.
    pub(super) fn new(
        heads: &'a Heads,
        size: [usize; 3],
        taps: [Vec<Tap>; 3],
        view: View,
        labels: &'a mut [u16],
        half: bool,
    ) -> Self {
        Self { heads, taps, view, labels, sure: None, planes: BTreeMap::new(), next: 0, row: size[2], half }
    }

    /// Tells how probable labels are, too.
    pub(super) fn with_confidence(self, sure: Option<Sure<'a>>) -> Self {
        Self { sure, ..self }
    }

    /// The next plane `[size[1], size[2], heads]`.
    pub(super) fn push(&mut self, plane: usize, answers: Vec<f32>) -> Result<(), NeuralError> {
        let count = self.heads.len();
        if answers.par_iter().any(|x| !x.is_finite()) {
            return Err(NeuralError::NotFinite { name: "logits".into() });
        }
        let found = |answers: &[f32]| {
            let winner = winner(self.heads, answers);
            (winner, !self.half || is_sure(self.heads, answers, winner))
        };
        let voxels = || answers.par_chunks_exact(count).with_min_len(1 << 10);
        let winners: Vec<(u16, bool)> = voxels().map(found).collect();
        let sure = match &self.sure {
            Some(Sure { temperature, .. }) => {
                let of = |(answers, winner): (&[f32], &(u16, bool))| {
                    percent(probability(self.heads, answers, winner.0, *temperature))
                };
                voxels().zip(&winners).map(of).collect()
            }
            None => Vec::new(),
        };
        self.planes.insert(plane, Plane { answers, winners, sure });
        while let Some(&tap) = self.taps[0].get(self.next).filter(|tap| tap.high <= plane) {
            self.write(tap);
            self.next += 1;
            let needed = self.taps[0].get(self.next).map_or(usize::MAX, |tap| tap.low);
            self.planes = self.planes.split_off(&needed.min(plane));
        }
        Ok(())
    }

    fn write(&mut self, tap: Tap) {
        let (Some(low), Some(high)) = (self.planes.get(&tap.low), self.planes.get(&tap.high)) else { return };
        let [_, rows, width] = self.view.size;
        let mut plane = vec![(0u16, 0u8); rows * width];
        let count = self.heads.len();
        let temperature = self.sure.as_ref().map(|sure| sure.temperature);
        plane.par_chunks_exact_mut(width).zip(&self.taps[1]).for_each_init(
            || vec![0.0f32; count],
            |mixed, (out, b)| {
                for (out, c) in out.iter_mut().zip(&self.taps[2]) {
                    let at = [
                        b.low * self.row + c.low,
                        b.low * self.row + c.high,
                        b.high * self.row + c.low,
                        b.high * self.row + c.high,
                    ];
                    // Of the corners, those of the lower plane first.
                    let weights = || -> [f32; 8] {
                        std::array::from_fn(|n| {
                            (if n < 4 { 1.0 - tap.weight } else { tap.weight })
                                * if n % 4 < 2 { 1.0 - b.weight } else { b.weight }
                                * if n % 2 == 0 { 1.0 - c.weight } else { c.weight }
                        })
                    };
                    let corners = || [low, high].into_iter().flat_map(|plane| at.map(|at| (plane, at))).zip(weights());
                    let first = low.winners[at[0]];
                    let same = first.1 && at.iter().all(|&at| low.winners[at] == first && high.winners[at] == first);
                    if same {
                        let sum = || corners().map(|((plane, at), weight)| weight * f32::from(plane.sure[at])).sum();
                        *out = (first.0, temperature.map_or(0, |_| f32::round(sum()) as u8));
                        continue;
                    }
                    mixed.fill(0.0);
                    for ((plane, at), weight) in corners().filter(|(_, weight)| *weight != 0.0) {
                        let answers = &plane.answers[at * count..][..count];
                        mixed.iter_mut().zip(answers).for_each(|(sum, x)| *sum += weight * x);
                    }
                    if self.half {
                        mixed.iter_mut().for_each(|x| *x = half::f16::from_f32(*x).to_f32());
                    }
                    let winner = winner(self.heads, mixed);
                    *out = (winner, temperature.map_or(0, |t| percent(probability(self.heads, mixed, winner, t))));
                }
            },
        );
        for (b, row) in plane.chunks_exact(width).enumerate() {
            let first = self.view.offset([self.next, b, 0]);
            for (c, &(winner, percent)) in row.iter().enumerate() {
                let at = first.wrapping_add_signed(c as isize * self.view.step[2]);
                self.labels[at] = label(self.heads, winner);
                if let Some(sure) = &mut self.sure {
                    sure.percent[at] = percent;
                }
            }
        }
    }
}

/// Which head wins: of classes the first of the greatest, of regions the last that is positive, counted from 1.
fn winner(heads: &Heads, answers: &[f32]) -> u16 {
    match heads {
        Heads::Classes(_) => {
            let first = (0, answers.first().copied().unwrap_or(0.0));
            answers.iter().enumerate().fold(first, |best, (n, &x)| if x > best.1 { (n, x) } else { best }).0 as u16
        }
        Heads::Regions(_) => answers.iter().rposition(|&x| x > 0.0).map_or(0, |n| n as u16 + 1),
    }
}

/// How probable the winner is: of classes by softmax; of regions, which are asked one by one, as the least sure of those that
/// decided.
fn probability(heads: &Heads, answers: &[f32], winner: u16, temperature: f32) -> f32 {
    match heads {
        Heads::Classes(_) => of_largest(answers, temperature),
        Heads::Regions(_) => {
            let first = usize::from(winner).saturating_sub(1);
            let decided = answers.iter().skip(first).map(|x| 1.0 / (1.0 + (-x.abs() / temperature).exp()));
            decided.fold(1.0, f32::min)
        }
    }
}

/// Whether a class wins by more than interpolation and rounding to half precision, 2⁻¹¹ of any answer, can take away.
fn is_sure(heads: &Heads, answers: &[f32], winner: u16) -> bool {
    // Rounding keeps signs.
    let Heads::Classes(_) = heads else { return true };
    let best = answers.get(usize::from(winner)).copied().unwrap_or(0.0);
    let greatest = answers.iter().fold(0.0f32, |greatest, x| greatest.max(x.abs()));
    let margin = greatest / 512.0;
    answers.iter().enumerate().all(|(n, &x)| n == usize::from(winner) || best - x > margin)
}

fn label(heads: &Heads, winner: u16) -> u16 {
    match heads {
        Heads::Classes(labels) => labels.get(usize::from(winner)).copied().unwrap_or(0),
        Heads::Regions(labels) => usize::from(winner).checked_sub(1).and_then(|n| labels.get(n)).copied().unwrap_or(0),
    }
}

#[cfg(test)]
mod tests;
