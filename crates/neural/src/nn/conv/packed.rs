//! Weights in the order in which the kernel reads them.

use rayon::prelude::*;

use super::kernel::Isa;

/// Input channels that are summed before a run of outputs is put back into memory: their voxels and the weights of a block
/// stay in the first two levels of the cache. Our own trial, 32→32 and 64→64 channels.
const CHUNK: usize = 32;

/// A block of neighbouring output channels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Block {
    pub(super) first: usize,
    pub(super) channels: usize,
}

/// The weights of one lattice, for one instruction set.
#[derive(Debug)]
pub(super) struct PackedWeights {
    pub(super) isa: Isa,
    pub(super) groups: usize,
    /// Blocks of a group's output channels, of even size.
    pub(super) blocks: Vec<Block>,
    /// Chunks of a group's input channels: the first, and how many.
    pub(super) chunks: Vec<(usize, usize)>,
    taps: usize,
    /// Input and output channels of a group.
    pub(super) channels: [usize; 2],
    data: Vec<f32>,
}

/// Where a tensor of weights keeps what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    /// `[output, input / groups, positions]`, of a convolution.
    OutputFirst,
    /// `[input, output / groups, positions]`, of a transposed convolution.
    InputFirst,
}

impl PackedWeights {
    /// Packs `weights` of `positions` kernel positions, of which the lattice takes `taps`; `channels` are those of a group.
    pub(super) fn new(
        isa: Isa,
        weights: &[f32],
        order: Order,
        groups: usize,
        channels: [usize; 2],
        positions: usize,
        taps: &[usize],
    ) -> Self {
        let [inputs, outputs] = channels;
        let blocks: Vec<Block> =
            even(outputs, isa.max_channels()).into_iter().map(|(first, channels)| Block { first, channels }).collect();
        let chunks = even(inputs, CHUNK);
        // Where an output channel's and an input channel's weights lie.
        let [by_output, by_input, by_group] = match order {
            Order::OutputFirst => [inputs * positions, positions, outputs * inputs * positions],
            Order::InputFirst => [positions, outputs * positions, outputs * inputs * positions],
        };
        let mut data = vec![0.0; groups * inputs * outputs * taps.len()];
        let mut rest = data.as_mut_slice();
        let mut parts = Vec::with_capacity(groups * blocks.len());
        for group in 0..groups {
            for &block in &blocks {
                let (part, after) = rest.split_at_mut(block.channels * inputs * taps.len());
                parts.push((group, block, part));
                rest = after;
            }
        }
        parts.into_par_iter().for_each(|(group, block, part)| {
            let mut to = part.chunks_exact_mut(block.channels);
            for &(first, count) in &chunks {
                for &tap in taps {
                    for input in first..first + count {
                        let from = group * by_group + block.first * by_output + input * by_input + tap;
                        let picked = weights[from..].iter().step_by(by_output);
                        to.next().into_iter().flatten().zip(picked).for_each(|(to, &from)| *to = from);
                    }
                }
            }
        });
        Self { isa, groups, blocks, chunks, taps: taps.len(), channels, data }
    }

    /// The weights of one block and chunk, `[tap][input channel][output channel]`.
    pub(super) fn of(&self, group: usize, block: Block, chunk: (usize, usize)) -> &[f32] {
        let [inputs, outputs] = self.channels;
        let start = (group * outputs + block.first) * inputs * self.taps + chunk.0 * self.taps * block.channels;
        &self.data[start..start + chunk.1 * self.taps * block.channels]
    }
}

/// Splits `count` into parts of at most `most`, as even as can be: first and length.
pub(super) fn even(count: usize, most: usize) -> Vec<(usize, usize)> {
    let parts = count.div_ceil(most.max(1));
    (0..parts)
        .map(|p| {
            let (from, to) = (p * count / parts, (p + 1) * count / parts);
            (from, to - from)
        })
        .collect()
}
