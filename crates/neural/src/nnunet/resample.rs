//! From one grid to another as scikit-image's `resize` does it: splines along each axis, edges continued.
//!
//! A voxel `o` of the new grid lies at `(o + ½) · old / new − ½` of the old one. Degree 3 is the interpolating cubic
//! B-spline (Unser et al., IEEE Trans. Signal Processing 41, 1993): a recursive filter gives its coefficients, here after twelve
//! copies of the edge values on each side, as in SciPy.

use rayon::prelude::*;

use super::plans::Resampling;

/// Spacings that differ by more than this factor are resampled apart.
const ANISOTROPY: f64 = 3.0;
/// Copies of the edge on each side of a line.
const PAD: usize = 12;
/// Lines that are filtered together.
const LANES: usize = 8;

/// The old voxels below and above each new one, and how far it is from the first to the second.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Tap {
    pub(super) low: usize,
    pub(super) high: usize,
    pub(super) weight: f32,
}

/// For degree 0 or 1.
pub(super) fn taps(old: usize, new: usize, order: u8) -> Vec<Tap> {
    let last = old - 1;
    (0..new)
        .map(|o| {
            let at = position(o, old, new).clamp(0.0, last as f64);
            let low = if order == 0 { (at + 0.5).floor() } else { at.floor() };
            let weight = if order == 0 { 0.0 } else { (at - low) as f32 };
            let low = (low as usize).min(last);
            Tap { low, high: if weight == 0.0 { low } else { (low + 1).min(last) }, weight }
        })
        .collect()
}

fn position(o: usize, old: usize, new: usize) -> f64 {
    (o as f64 + 0.5) * (old as f64 / new as f64) - 0.5
}

/// Voxels of a grid of another spacing; halves go to the even number, as in Python.
pub(super) fn new_size(size: [usize; 3], old_mm: [f64; 3], new_mm: [f64; 3]) -> [usize; 3] {
    [0, 1, 2].map(|a| ((old_mm[a] / new_mm[a] * size[a] as f64).round_ties_even() as usize).max(1))
}

/// The axis that is resampled by itself, if any.
pub(super) fn separate_axis(resampling: &Resampling, current_mm: [f64; 3], new_mm: [f64; 3]) -> Option<usize> {
    let greatest = |mm: [f64; 3]| mm.into_iter().fold(0.0, f64::max);
    let anisotropic = |mm: [f64; 3]| greatest(mm) / mm.into_iter().fold(f64::INFINITY, f64::min) > ANISOTROPY;
    let mm = match resampling.force_separate_z {
        Some(false) => return None,
        Some(true) => current_mm,
        None if anisotropic(current_mm) => current_mm,
        None if anisotropic(new_mm) => new_mm,
        None => return None,
    };
    // Two coarse axes leave nothing to set apart.
    let coarse: Vec<usize> = (0..3).filter(|&a| greatest(mm) / mm[a] == 1.0).collect();
    if let [axis] = coarse[..] { Some(axis) } else { None }
}

/// Values along the last axis of `[lines, old]` at `new` places: `[lines, new]`.
fn along_last(values: &[f32], old: usize, new: usize, order: u8) -> Vec<f32> {
    let lines = values.len() / old;
    let mut out = vec![0.0f32; lines * new];
    if order < 3 {
        let taps = taps(old, new, order);
        out.chunks_exact_mut(new).zip(values.chunks_exact(old)).for_each(|(out, line)| {
            for (out, tap) in out.iter_mut().zip(&taps) {
                *out = line[tap.low] + (line[tap.high] - line[tap.low]) * tap.weight;
            }
        });
        return out;
    }
    let cubic = Cubic::new(old, new);
    for (out, lines) in out.chunks_mut(new * LANES).zip(values.chunks(old * LANES)) {
        let count = lines.len() / old;
        cubic.run(
            |lane, n| lines[lane.min(count - 1) * old + n],
            |lane, o, value| {
                if lane < count {
                    out[lane * new + o] = value;
                }
            },
        );
    }
    out
}

/// Values along the middle axis of `[old, width]`: `[new, width]`.
fn along_first(values: &[f32], width: usize, old: usize, new: usize, order: u8) -> Vec<f32> {
    let mut out = vec![0.0f32; new * width];
    if order < 3 {
        let taps = taps(old, new, order);
        out.chunks_exact_mut(width).zip(&taps).for_each(|(out, tap)| {
            let (low, high) = (&values[tap.low * width..][..width], &values[tap.high * width..][..width]);
            for (out, (low, high)) in out.iter_mut().zip(low.iter().zip(high)) {
                *out = low + (high - low) * tap.weight;
            }
        });
        return out;
    }
    let cubic = Cubic::new(old, new);
    for first in (0..width).step_by(LANES) {
        let count = LANES.min(width - first);
        cubic.run(
            |lane, n| values[n * width + first + lane.min(count - 1)],
            |lane, o, value| {
                if lane < count {
                    out[o * width + first + lane] = value;
                }
            },
        );
    }
    out
}

/// Cubic splines through lines of one length.
struct Cubic {
    old: usize,
    /// The first of four coefficients, and their weights, for each new place.
    weights: Vec<(usize, [f64; 4])>,
}

impl Cubic {
    fn new(old: usize, new: usize) -> Self {
        let weights = (0..new).map(|o| {
            let at = position(o, old, new).clamp(-1.0, old as f64);
            let low = at.floor();
            let t = at - low;
            let u = 1.0 - t;
            let weights = [
                u * u * u / 6.0,
                (4.0 - 6.0 * t * t + 3.0 * t * t * t) / 6.0,
                (4.0 - 6.0 * u * u + 3.0 * u * u * u) / 6.0,
                t * t * t / 6.0,
            ];
            ((low as isize - 1 + PAD as isize) as usize, weights)
        });
        Self { old, weights: weights.collect() }
    }

    /// `LANES` lines at once.
    fn run(&self, value: impl Fn(usize, usize) -> f32, mut put: impl FnMut(usize, usize, f32)) {
        let pole = 3f64.sqrt() - 2.0;
        let gain = (1.0 - pole) * (1.0 - 1.0 / pole);
        let length = self.old + 2 * PAD;
        let mut line = vec![[0.0f64; LANES]; length];
        for (n, values) in line.iter_mut().enumerate() {
            let from = n.saturating_sub(PAD).min(self.old - 1);
            *values = std::array::from_fn(|lane| f64::from(value(lane, from)) * gain);
        }
        // Forwards, from a line that has always been at its first value; then backwards in the same way.
        let mut before = line[0].map(|x| x / (1.0 - pole));
        for values in &mut line {
            for lane in 0..LANES {
                values[lane] += pole * before[lane];
            }
            before = *values;
        }
        let mut after = line[length - 1].map(|x| x * pole / (pole - 1.0));
        line[length - 1] = after;
        for values in line[..length - 1].iter_mut().rev() {
            for lane in 0..LANES {
                values[lane] = pole * (after[lane] - values[lane]);
            }
            after = *values;
        }
        for (o, (first, weights)) in self.weights.iter().enumerate() {
            let mut sum = [0.0; LANES];
            for (values, weight) in line[*first..first + 4].iter().zip(weights) {
                for lane in 0..LANES {
                    sum[lane] += values[lane] * weight;
                }
            }
            sum.iter().enumerate().for_each(|(lane, &sum)| put(lane, o, sum as f32));
        }
    }
}

/// Least and greatest value.
pub(super) fn range(values: &[f32]) -> [f32; 2] {
    values.iter().fold([f32::INFINITY, f32::NEG_INFINITY], |[low, high], &v| [low.min(v), high.max(v)])
}

/// A volume that is given plane by plane, at another size.
///
/// `plane(a)` gives the values of plane `a` along the first axis, `[size[1], size[2]]`. Splines along the first axis have the
/// degree `orders[0]`, those in the planes `orders[1]`. Values are kept within `limits`, and within those of their plane if
/// `limits` is `None`.
pub(super) fn volume(
    size: [usize; 3],
    new: [usize; 3],
    orders: [u8; 2],
    limits: Option<[f32; 2]>,
    plane: &(dyn Fn(usize) -> Vec<f32> + Sync),
) -> Vec<f32> {
    let in_plane = |a: usize| {
        let values = plane(a);
        let [low, high] = limits.unwrap_or_else(|| range(&values));
        let values = if size[2] == new[2] { values } else { along_last(&values, size[2], new[2], orders[1]) };
        let mut values =
            if size[1] == new[1] { values } else { along_first(&values, new[2], size[1], new[1], orders[1]) };
        if limits.is_none() {
            values.iter_mut().for_each(|v| *v = v.clamp(low, high));
        }
        values
    };
    let area = new[1] * new[2];
    let mut planes = vec![0.0f32; size[0] * area];
    planes.par_chunks_exact_mut(area).enumerate().for_each(|(a, out)| out.copy_from_slice(&in_plane(a)));
    let mut out = if size[0] == new[0] { planes } else { across(&planes, area, size[0], new[0], orders[0]) };
    if let Some([low, high]) = limits {
        out.par_chunks_mut(1 << 14).for_each(|part| part.iter_mut().for_each(|v| *v = v.clamp(low, high)));
    }
    out
}

/// As [`along_first`], on all threads.
fn across(planes: &[f32], area: usize, old: usize, new: usize, order: u8) -> Vec<f32> {
    // Columns of this width are worked on by themselves; fixed, though no sum crosses them.
    const WIDTH: usize = 512;
    let columns: Vec<Vec<f32>> = (0..area.div_ceil(WIDTH))
        .into_par_iter()
        .map(|column| {
            let first = column * WIDTH;
            let width = WIDTH.min(area - first);
            let part: Vec<f32> = (0..old).flat_map(|n| &planes[n * area + first..][..width]).copied().collect();
            along_first(&part, width, old, new, order)
        })
        .collect();
    let mut out = vec![0.0f32; new * area];
    out.par_chunks_exact_mut(area).enumerate().for_each(|(o, out)| {
        for (out, column) in out.chunks_mut(WIDTH).zip(&columns) {
            out.copy_from_slice(&column[o * out.len()..][..out.len()]);
        }
    });
    out
}

#[cfg(test)]
mod tests;
