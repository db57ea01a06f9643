//! What a convolution does, in the one form that the engine knows: a sum over taps on a lattice of outputs.
//!
//! A convolution is one lattice. A transposed convolution with stride `s` is `s³` of them, each a dense convolution with the
//! taps that reach its phase (Dumoulin & Visin, "A guide to convolution arithmetic for deep learning", arXiv:1603.07285,
//! section 4).

use super::Conv3dOptions;

/// One axis of a lattice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Axis {
    /// Voxels of the input.
    pub(super) input: usize,
    /// Voxels of the output tensor.
    pub(super) output: usize,
    /// Outputs of this lattice.
    pub(super) count: usize,
    /// Output voxel of the lattice's first, and from one to the next.
    pub(super) first: usize,
    pub(super) out_step: usize,
    /// Input voxels from one output of the lattice to the next.
    pub(super) in_step: usize,
    /// Input offset of each tap, ascending in the order of `kernel`.
    pub(super) offsets: Vec<isize>,
    /// Which of the kernel's positions each tap is.
    pub(super) kernel: Vec<usize>,
}

/// Outputs that are all made the same way: `out[first + i·out_step] = Σ w[k] · in[i·in_step + offset]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Lattice {
    /// Depth, height, width.
    pub(super) axes: [Axis; 3],
}

impl Axis {
    /// Of a convolution.
    pub(super) fn direct(input: usize, kernel: usize, stride: usize, padding: usize, dilation: usize) -> Option<Self> {
        let output = out_size(input, kernel, stride, padding, dilation)?;
        Some(Self {
            input,
            output,
            count: output,
            first: 0,
            out_step: 1,
            in_step: stride,
            offsets: (0..kernel).map(|k| (k * dilation) as isize - padding as isize).collect(),
            kernel: (0..kernel).collect(),
        })
    }

    /// Of a transposed convolution, one for each phase of the stride.
    pub(super) fn transposed(
        input: usize,
        output: usize,
        kernel: usize,
        stride: usize,
        padding: usize,
        dilation: usize,
    ) -> Vec<Self> {
        let phase = |phase: usize| {
            let reach = |k: &usize| (phase + padding) as isize - (k * dilation) as isize;
            // Descending in the kernel is ascending in the input.
            let taps: Vec<usize> = (0..kernel).rev().filter(|k| reach(k).rem_euclid(stride as isize) == 0).collect();
            Self {
                input,
                output,
                count: output.saturating_sub(phase).div_ceil(stride),
                first: phase,
                out_step: stride,
                in_step: 1,
                offsets: taps.iter().map(|k| reach(k).div_euclid(stride as isize)).collect(),
                kernel: taps,
            }
        };
        // All of them, also those that a small output has not: packed weights are kept from call to call.
        (0..stride).map(phase).collect()
    }

    /// Outputs that share input rows when taken together lie this far apart.
    ///
    /// The rows of a dilated kernel fall into interleaved sets, and each set by itself is dense.
    pub(super) fn interleave(&self) -> usize {
        if self.in_step != 1 {
            return 1;
        }
        let gaps = self.offsets.windows(2).map(|w| w[1].abs_diff(w[0]));
        gaps.reduce(gcd).filter(|&g| g > 1).unwrap_or(1)
    }
}

impl Lattice {
    /// A convolution, or `None` if the kernel does not fit into the padded input.
    pub(super) fn direct(input: [usize; 3], kernel: [usize; 3], options: &Conv3dOptions) -> Option<Self> {
        let Conv3dOptions { stride, padding, dilation, .. } = options;
        let axis = |a: usize| Axis::direct(input[a], kernel[a], stride[a], padding[a], dilation[a]);
        Some(Self { axes: [axis(0)?, axis(1)?, axis(2)?] })
    }

    /// A transposed convolution.
    pub(super) fn transposed(
        input: [usize; 3],
        output: [usize; 3],
        kernel: [usize; 3],
        options: &Conv3dOptions,
    ) -> Vec<Self> {
        let Conv3dOptions { stride, padding, dilation, .. } = options;
        let [d, h, w] =
            [0, 1, 2].map(|a| Axis::transposed(input[a], output[a], kernel[a], stride[a], padding[a], dilation[a]));
        let mut all = Vec::with_capacity(d.len() * h.len() * w.len());
        for d in &d {
            for h in &h {
                for w in &w {
                    all.push(Self { axes: [d.clone(), h.clone(), w.clone()] });
                }
            }
        }
        all
    }

    /// Numbers of the kernel's positions that this lattice takes, depth slowest, in the order of its taps.
    pub(super) fn taps(&self, kernel: [usize; 3]) -> Vec<usize> {
        let [d, h, w] = &self.axes;
        let mut taps = Vec::with_capacity(d.kernel.len() * h.kernel.len() * w.kernel.len());
        for kd in &d.kernel {
            for kh in &h.kernel {
                taps.extend(w.kernel.iter().map(|kw| (kd * kernel[1] + kh) * kernel[2] + kw));
            }
        }
        taps
    }
}

/// Outputs of a convolution along one axis, as PyTorch counts them.
pub(in crate::nn) fn out_size(
    input: usize,
    kernel: usize,
    stride: usize,
    padding: usize,
    dilation: usize,
) -> Option<usize> {
    let reach = dilation.checked_mul(kernel.checked_sub(1)?)?.checked_add(1)?;
    let padded = input.checked_add(padding.checked_mul(2)?)?;
    (stride > 0).then_some(())?;
    Some(padded.checked_sub(reach)? / stride + 1)
}

fn gcd(a: usize, b: usize) -> usize {
    if b == 0 { a } else { gcd(b, a % b) }
}
