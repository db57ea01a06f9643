//! Where a scan is even: no edge and no grain coarser than noise.

use rayon::prelude::*;

use super::upright::Upright;
use crate::mask::BitMask;

/// Half the edge of the square in a slice over which values are compared.
const REACH_MM: f64 = 3.5;

/// Even is what spreads at most this many times as much as noise does …
const TIMES_NOISE: f64 = 1.5;

/// … plus this, for the mottle of real tissue, in HU.
const MOTTLE_HU: f64 = 4.0;

/// Of all squares of soft tissue, this share is even; the others hold edges.
const EVEN_SHARE: f64 = 0.25;

/// Standard deviations of noise looked for, in steps of 0.1 HU.
const BINS: usize = 2000;

/// The voxels of `field` whose surroundings in the slice are even, measured by the noise in `soft` tissue.
///
/// A voxel nearer to an edge than half the square is not even, so thin things have no even voxels.
pub(crate) fn even(ct: &Upright<'_>, field: &BitMask, soft: &BitMask) -> BitMask {
    let limit = (TIMES_NOISE * noise_hu(ct, soft) + MOTTLE_HU) as f32;
    let [ni, nj, nk] = ct.size;
    let slices: Vec<Vec<(usize, usize, usize)>> = (0..nk)
        .into_par_iter()
        .map(|k| {
            let mut runs = Vec::new();
            spreads(ct, k, field, |row, start, spreads| {
                let mut open = None;
                for (n, &spread) in spreads.iter().enumerate() {
                    match (open, spread <= limit) {
                        (None, true) => open = Some(start + n),
                        (Some(from), false) => {
                            runs.push((row, from, start + n));
                            open = None;
                        }
                        _ => {}
                    }
                }
                if let Some(from) = open {
                    runs.push((row, from, start + spreads.len()));
                }
            });
            runs
        })
        .collect();
    let mut mask = BitMask::empty([ni, nj, nk]);
    slices.into_iter().flatten().for_each(|(row, a, b)| mask.set_run(row, a, b));
    mask
}

/// Standard deviation of the noise in soft tissue, in HU.
fn noise_hu(ct: &Upright<'_>, soft: &BitMask) -> f64 {
    let nk = ct.size[2];
    let chosen: Vec<usize> = (0..nk).step_by((nk / 16).max(1)).collect();
    let counts = chosen
        .into_par_iter()
        .map(|k| {
            let mut counts = vec![0u32; BINS];
            spreads(ct, k, soft, |_, _, spreads| {
                spreads.iter().for_each(|&s| counts[((s * 10.0) as usize).min(BINS - 1)] += 1);
            });
            counts
        })
        .reduce(|| vec![0; BINS], |a, b| a.iter().zip(&b).map(|(x, y)| x + y).collect());
    let wanted = EVEN_SHARE * counts.iter().map(|&n| f64::from(n)).sum::<f64>();
    let mut seen = 0.0;
    let bin = counts.iter().position(|&n| {
        seen += f64::from(n);
        seen > wanted
    });
    bin.unwrap_or(0) as f64 / 10.0
}

/// Calls `f(row, start, spreads)` for each run of `field` in slice `k`: the standard deviation round each of its voxels.
fn spreads(ct: &Upright<'_>, k: usize, field: &BitMask, mut f: impl FnMut(usize, usize, &[f32])) {
    let [ni, nj, _] = ct.size;
    let reach = [0, 1].map(|a| ((REACH_MM / ct.spacing[a]).round() as usize).max(1));
    // Sums of values and of their squares over the rows within reach, for each column, and those added up along the row.
    let mut sums = vec![[0i64; 2]; ni];
    let mut along = vec![[0i64; 2]; ni + 1];
    let mut window = 0..0;
    let mut found = Vec::new();
    for j in 0..nj {
        while window.end < (j + reach[1] + 1).min(nj) {
            add_row(&mut sums, ct.run(k * nj + window.end, 0, ni), 1);
            window.end += 1;
        }
        while window.start + reach[1] < j {
            add_row(&mut sums, ct.run(k * nj + window.start, 0, ni), -1);
            window.start += 1;
        }
        let row = k * nj + j;
        if field.row(row).iter().all(|&w| w == 0) {
            continue;
        }
        for i in 0..ni {
            along[i + 1] = [along[i][0] + sums[i][0], along[i][1] + sums[i][1]];
        }
        field.for_runs_of_row(row, |start, end| {
            found.clear();
            found.extend((start..end).map(|i| {
                let (low, high) = (i.saturating_sub(reach[0]), (i + reach[0] + 1).min(ni));
                let n = ((high - low) * window.len()) as f64;
                let [sum, squares] = [0, 1].map(|a| (along[high][a] - along[low][a]) as f64);
                ((squares - sum * sum / n) / n).max(0.0).sqrt() as f32
            }));
            f(row, start, &found);
        });
    }
}

fn add_row(sums: &mut [[i64; 2]], row: &[i16], sign: i64) {
    for (sums, &v) in sums.iter_mut().zip(row) {
        let v = i64::from(v);
        *sums = [sums[0] + sign * v, sums[1] + sign * v * v];
    }
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use super::*;

    #[test]
    fn the_spread_is_that_of_the_square_cut_at_the_border() {
        let size = [23, 17, 2];
        let values: Vec<i16> = (0..23 * 17 * 2).map(|n: i32| ((n * 7919) % 400 - 100) as i16).collect();
        let ct = Upright::plain(Cow::Borrowed(&values), size, [1.0, 2.0, 5.0]);
        let field = BitMask::in_ranges(&values, size, [(0, 200)])[0].clone();
        let mut seen = 0;
        spreads(&ct, 1, &field, |row, start, spreads| {
            for (n, &spread) in spreads.iter().enumerate() {
                let (i, j) = ((start + n) as isize, (row - 17) as isize);
                let near = |x: isize, y: isize| (0..23).contains(&x) && (0..17).contains(&y);
                let square =
                    (j - 2..=j + 2).flat_map(|y| (i - 4..=i + 4).map(move |x| (x, y))).filter(|p| near(p.0, p.1));
                let all: Vec<f64> = square.map(|(x, y)| f64::from(values[(x + 23 * (y + 17)) as usize])).collect();
                let mean = all.iter().sum::<f64>() / all.len() as f64;
                let variance = all.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / all.len() as f64;
                assert!((variance.sqrt() - f64::from(spread)).abs() < 0.01, "at {i}, {j}");
                seen += 1;
            }
        });
        assert!(seen > 100, "{seen}");
    }
}
