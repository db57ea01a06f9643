//! Linear maps along the slice axis, of which each row has few entries beside each other.

use rayon::prelude::*;

/// Entries below this part of a row's largest are left out.
const NEGLIGIBLE: f64 = 1e-6;

/// Values that are worked on at a time, so that rows of the result stay in the cache.
const RUN: usize = 4096;

/// A matrix whose rows are short runs.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Banded {
    columns: usize,
    rows: Vec<(usize, Vec<f32>)>,
}

impl Banded {
    /// From whole rows.
    pub(super) fn new(columns: usize, rows: impl IntoIterator<Item = Vec<f64>>) -> Self {
        let short = |row: Vec<f64>| {
            let most = row.iter().fold(0.0f64, |m, w| m.max(w.abs()));
            let counts = |w: &f64| w.abs() > NEGLIGIBLE * most;
            let start = row.iter().position(counts).unwrap_or(0);
            let end = row.iter().rposition(counts).map_or(start, |last| last + 1);
            (start, row[start..end].iter().map(|&w| w as f32).collect())
        };
        Self { columns, rows: rows.into_iter().map(short).collect() }
    }

    /// Columns and entries of a row.
    pub(super) fn row(&self, row: usize) -> impl Iterator<Item = (usize, f64)> {
        let (start, weights) = &self.rows[row];
        weights.iter().enumerate().map(move |(n, &w)| (start + n, f64::from(w)))
    }

    /// Applied to `columns` planes of `plane` values each, one after the other, on all cores of the pool.
    pub(super) fn apply(&self, input: &[f32], plane: usize) -> Vec<f32> {
        let mut out = vec![0.0; self.rows.len() * plane];
        self.apply_add(input, plane, &mut out);
        out
    }

    /// As [`Banded::apply`], added to what is there.
    pub(super) fn apply_add(&self, input: &[f32], plane: usize, out: &mut [f32]) {
        debug_assert_eq!(input.len(), self.columns * plane, "input of {} planes", self.columns);
        out.par_chunks_mut(plane).zip(&self.rows).for_each(|(out, (start, weights))| {
            for (at, out) in out.chunks_mut(RUN).enumerate() {
                for (k, &weight) in weights.iter().enumerate() {
                    let from = &input[(start + k) * plane + at * RUN..][..out.len()];
                    out.iter_mut().zip(from).for_each(|(o, i)| *o += weight * i);
                }
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_rows_are_the_same_matrix() {
        let dense = [vec![0.0, 1.0, 0.0, 2.0], vec![0.0; 4], vec![-3.0, 0.0, 0.0, 1e-9]];
        let banded = Banded::new(4, dense);
        assert_eq!(banded.rows, [(1, vec![1.0, 0.0, 2.0]), (0, vec![]), (0, vec![-3.0])]);
        let input = [1.0, 10.0, 2.0, 20.0, 3.0, 30.0, 4.0, 40.0];
        assert_eq!(banded.apply(&input, 2), [10.0, 100.0, 0.0, 0.0, -3.0, -30.0]);
    }
}
