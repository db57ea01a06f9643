//! How sure a network is of what it says.

use rayon::prelude::*;

/// Voxels that one thread looks at at a time.
const CHUNK: usize = 4096;

/// Probability of the largest of the logits `[classes, voxels]` at each voxel, by softmax, in percent.
///
/// Networks are surer than they are right; a `temperature` above 1, fitted on data held back, sets that straight (Guo et al.,
/// "On calibration of modern neural networks", arXiv:1706.04599).
pub(crate) fn percent_of_largest(logits: &[f32], voxels: usize, temperature: f32) -> Vec<u8> {
    let mut percent = vec![0; voxels];
    percent.par_chunks_mut(CHUNK).enumerate().for_each(|(chunk, percent)| {
        let start = chunk * CHUNK;
        let planes = || logits.chunks_exact(voxels).map(|plane| &plane[start..start + percent.len()]);
        let mut largest = vec![f32::NEG_INFINITY; percent.len()];
        for plane in planes() {
            largest.iter_mut().zip(plane).for_each(|(most, &x)| *most = most.max(x));
        }
        let mut sums = vec![0.0_f32; percent.len()];
        for plane in planes() {
            let pairs = plane.iter().zip(&largest);
            sums.iter_mut().zip(pairs).for_each(|(sum, (x, most))| *sum += ((x - most) / temperature).exp());
        }
        // The largest itself adds exp(0).
        percent.iter_mut().zip(sums).for_each(|(percent, sum)| *percent = (100.0 / sum).round() as u8);
    });
    percent
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probabilities_are_those_of_softmax() {
        // Two voxels, three classes.
        let logits = [2.0, 0.0, 0.0, 0.0, -1.0, 0.0];
        let first = 100.0 * 2f32.exp() / (2f32.exp() + 1.0 + (-1f32).exp());
        assert_eq!(percent_of_largest(&logits, 2, 1.0), [first.round() as u8, 33]);
        let cool = percent_of_largest(&logits, 2, 4.0);
        assert!(cool[0] < first as u8 && cool[0] > 33, "{cool:?}");
        assert_eq!(percent_of_largest(&[1e4, -1e4], 1, 1.0), [100], "no overflow");
    }
}
