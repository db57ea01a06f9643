//! One structure, divided into two classes by a plane.

use serde::{Deserialize, Serialize};
use volume::Label;

/// Two classes that are one structure and meet in a plane across an axis of the network's grid, because those who drew the labels
/// divided it there: front and back of a hippocampus part at a coronal slice.
///
/// A network that looks at each voxel leaves a ragged border there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Division {
    /// 0 for depth, 1 for height, 2 for width.
    pub axis: usize,
    /// The class on that side of the plane where voxels are counted from.
    pub before: Label,
    /// The class on the other side.
    pub after: Label,
}

impl Division {
    /// Puts the plane where the expected number of rightly named voxels of the structure is greatest: those where both classes together
    /// are more probable than not. On each side its own class takes the greater of
    /// both probabilities at every voxel, the other one the less; their sum stays. `probabilities` are `[class, depth, height, width]`.
    pub(super) fn apply(self, probabilities: &mut [f32], size: [usize; 3]) {
        let voxels = size.iter().product::<usize>();
        let below: usize = size[self.axis + 1..].iter().product();
        let slice_of = |voxel: usize| voxel / below % size[self.axis];
        let [first, second] = [self.before, self.after].map(usize::from);
        let mut gains = vec![0.0_f64; size[self.axis]];
        for voxel in 0..voxels {
            let [before, after] = [first, second].map(|class| f64::from(probabilities[class * voxels + voxel]));
            if before + after > 0.5 {
                gains[slice_of(voxel)] += before - after;
            }
        }
        let mut plane = 0;
        let (mut sum, mut most) = (0.0, 0.0);
        for (slice, gain) in gains.into_iter().enumerate() {
            sum += gain;
            if sum > most {
                (plane, most) = (slice + 1, sum);
            }
        }
        for voxel in 0..voxels {
            let [before, after] = [first, second].map(|class| class * voxels + voxel);
            let is_before = probabilities[before] > probabilities[after];
            if is_before != (slice_of(voxel) < plane) {
                probabilities.swap(before, after);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ragged_border_becomes_the_likeliest_plane() {
        // Along the height: three slices of two voxels.
        let division = Division { axis: 1, before: 2, after: 1 };
        let background = [0.1, 0.1, 0.1, 0.35, 0.2, 0.9];
        let mut answer = [
            &background[..],
            &[0.2, 0.1, 0.5, 0.3, 0.7, 0.1],  // after
            &[0.7, 0.8, 0.4, 0.35, 0.1, 0.0], // before
        ]
        .concat();
        division.apply(&mut answer, [1, 3, 2]);
        let [after, before] = [[0.2, 0.1, 0.5, 0.35, 0.7, 0.1], [0.7, 0.8, 0.4, 0.3, 0.1, 0.0]];
        assert_eq!(answer, [background, after, before].concat(), "the middle is rather after the plane");
        answer[8] = 0.2;
        division.apply(&mut answer, [1, 3, 2]);
        assert_eq!([answer[8], answer[14], answer[9], answer[15]], [0.2, 0.4, 0.3, 0.35], "now it is rather before");
        // Each voxel of a row is a slice, and the plane lies beyond the last.
        let mut row = vec![0.0, 0.0, 0.6, 0.2, 0.4, 0.8];
        Division { axis: 2, before: 2, after: 1 }.apply(&mut row, [1, 1, 2]);
        assert_eq!(row, [0.0, 0.0, 0.4, 0.2, 0.6, 0.8]);
        // Background that is slightly rather before has no say beside one voxel of the structure.
        let mut answer = [
            [0.0, 1.0, 1.0, 0.1, 0.6, 0.6], // background
            [0.1, 0.0, 0.0, 0.6, 0.0, 0.0], // after
            [0.9, 0.0, 0.0, 0.3, 0.4, 0.4], // before
        ]
        .concat();
        division.apply(&mut answer, [1, 2, 3]);
        assert_eq!((&answer[9..12], &answer[15..]), (&[0.6, 0.4, 0.4][..], &[0.3, 0.0, 0.0][..]));
    }
}
