//! Relaxation of the net within bounds.

use rayon::prelude::*;

use super::Smoothing;
use super::cell::FACE_NORMALS;

/// Vertices that one task handles; results do not depend on it.
const CHUNK: usize = 8192;

/// Weight of a forward pass.
const FORWARD: f32 = 0.6;

/// Weight of a backward pass: Taubin's pass band, k = 1/λ + 1/μ with k = 0.05 (Taubin 1995), so that shapes do not shrink.
const BACKWARD: f32 = -0.618_6;

/// Moves each vertex towards the mean of its neighbours, never farther than the bound from the middle of its cell.
///
/// The passes alternate between drawing in and pushing out. Junctions have only their neighbours along the junction as links.
pub(super) fn relax(moves: &mut Vec<[f32; 4]>, links: &[[u32; 6]], kinds: &[u8], smoothing: &Smoothing) {
    let pulls: Vec<[f32; 4]> = (0..64).map(pull).collect();
    let bound = smoothing.max_move_voxels;
    let mut next = vec![[0.0f32; 4]; moves.len()];
    for pass in 0..smoothing.passes {
        let weight = if pass % 2 == 0 { FORWARD } else { BACKWARD };
        let from = &moves[..];
        next.par_chunks_mut(CHUNK).enumerate().for_each(|(chunk, out)| {
            let start = chunk * CHUNK;
            let end = start + out.len();
            let rows = out.iter_mut().zip(&from[start..end]).zip(&links[start..end]).zip(&kinds[start..end]);
            for (((out, here), links), kind) in rows {
                let pull = pulls[usize::from(*kind & 63)];
                let mut sum = [0.0f32; 4];
                for &link in links {
                    let there = from[link as usize];
                    for a in 0..4 {
                        sum[a] += there[a];
                    }
                }
                let factor = weight * pull[3];
                let mut moved = [0.0f32; 4];
                for a in 0..4 {
                    moved[a] = here[a] + factor * (sum[a] - 6.0 * here[a] + pull[a]);
                }
                moved[3] = 0.0;
                *out = if *kind == 0 { *here } else { within(moved, bound) };
            }
        });
        std::mem::swap(moves, &mut next);
    }
}

/// Sum of the directions to the neighbours, and one over their number.
fn pull(kind: u8) -> [f32; 4] {
    let mut sum = [0.0; 4];
    for (_, normal) in FACE_NORMALS.iter().enumerate().filter(|(f, _)| kind >> f & 1 == 1) {
        for a in 0..3 {
            sum[a] += normal[a];
        }
    }
    sum[3] = 1.0 / f32::from(kind.count_ones().max(1) as u8);
    sum
}

fn within(v: [f32; 4], bound: f32) -> [f32; 4] {
    let square = v[0] * v[0] + v[1] * v[1] + v[2] * v[2];
    let scale = if square > bound * bound { bound / square.sqrt() } else { 1.0 };
    v.map(|x| x * scale)
}
