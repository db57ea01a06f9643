//! Which triangles a cell gets, for each way its eight corners can lie inside or outside.
//!
//! Corner `n` of a cell is the node at (n & 1, n >> 1 & 1, n >> 2). Edges 0–3 run along x at (dy, dz) = (0,0) (1,0) (0,1)
//! (1,1), edges 4–7 along y at (dx, dz), edges 8–11 along z at (dx, dy).
//!
//! On each face of the cell, each run of corners inside is fenced off by one segment, so corners inside that only meet across the
//! diagonal of a face are taken apart. That depends on the face alone, so the cells on both sides agree, and the segments of a cell
//! join to loops, each of which becomes a disc. No triangle has an edge within a face of the cell other than a segment (the
//! test below looks at all cases), so every edge of the surface has two triangles.

use std::sync::LazyLock;

/// The triangles of one cell by the cell's edges, which hold the vertices.
#[derive(Clone, Copy)]
pub(super) struct Case {
    /// How many of `triangles` count.
    pub(super) count: u8,
    /// Three edges each; seen from outside counterclockwise in index space.
    pub(super) triangles: [[u8; 3]; MOST],
}

/// Twelve edges in one loop would make ten triangles; in fact there are never more than five.
const MOST: usize = 10;

/// By the corners inside, one bit each.
pub(super) static CASES: LazyLock<[Case; 256]> = LazyLock::new(|| std::array::from_fn(case));

/// Corners of each face, counterclockwise seen from outside the cell.
const FACES: [[usize; 4]; 6] = [[0, 4, 6, 2], [1, 3, 7, 5], [0, 1, 5, 4], [2, 6, 7, 3], [0, 2, 3, 1], [4, 5, 7, 6]];

fn case(inside: usize) -> Case {
    let is_inside = |corner: usize| inside >> corner & 1 == 1;
    let mut next = [None; 12];
    for face in FACES {
        for n in 0..4 {
            let (before, first) = (face[(n + 3) % 4], face[n]);
            if is_inside(first) && !is_inside(before) {
                let run = (1..4).take_while(|m| is_inside(face[(n + m) % 4])).count();
                let (last, after) = (face[(n + run) % 4], face[(n + run + 1) % 4]);
                next[edge(before, first)] = Some(edge(last, after));
            }
        }
    }
    let mut case = Case { count: 0, triangles: [[0; 3]; MOST] };
    for start in 0..12 {
        let mut rim = Vec::new();
        let mut at = start;
        while let Some(after) = next[at].take() {
            rim.push(at);
            at = after;
        }
        if rim.len() >= 3 {
            fill(&rim, 0, rim.len() - 1, &mut |triangle| {
                case.triangles[usize::from(case.count)] = triangle.map(|e| e as u8);
                case.count += 1;
            });
        }
    }
    case
}

/// The edge between two corners next to each other.
fn edge(a: usize, b: usize) -> usize {
    match a ^ b {
        1 => a >> 1,
        2 => 4 + (a & 1) + (a >> 2 << 1),
        _ => 8 + (a & 3),
    }
}

/// Cuts the outline from corner `first` to corner `last` into triangles at least cost; returns the cost.
fn fill(rim: &[usize], first: usize, last: usize, emit: &mut dyn FnMut([usize; 3])) -> u32 {
    if last < first + 2 {
        return 0;
    }
    let cost_of = |tip: usize| {
        let nothing = &mut |_| {};
        let sides = [(first, tip), (tip, last)].map(|(a, b)| if b - a > 1 { diagonal(rim[a], rim[b]) } else { 0 });
        sides[0] + sides[1] + fill(rim, first, tip, nothing) + fill(rim, tip, last, nothing)
    };
    let Some((cost, tip)) = (first + 1..last).map(|tip| (cost_of(tip), tip)).min() else { return 0 };
    emit([rim[first], rim[tip], rim[last]]);
    fill(rim, first, tip, emit);
    fill(rim, tip, last, emit);
    cost
}

/// Cost of a diagonal: its length squared in half edges; far more if it lies in a face, where the next cell may have the same.
fn diagonal(a: usize, b: usize) -> u32 {
    let (p, q) = (middle(a), middle(b));
    let square = (0..3).map(|n| p[n].abs_diff(q[n]).pow(2)).sum();
    if share_face(a, b) { 1000 + square } else { square }
}

fn share_face(a: usize, b: usize) -> bool {
    let (p, q) = (middle(a), middle(b));
    (0..3).any(|n| p[n] == q[n] && p[n] != 1)
}

/// The middle of an edge, in half edges.
fn middle(edge: usize) -> [u32; 3] {
    let (low, high) = ((edge & 1) as u32 * 2, (edge >> 1 & 1) as u32 * 2);
    match edge / 4 {
        0 => [1, low, high],
        1 => [low, 1, high],
        _ => [low, high, 1],
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn every_case_is_discs_whose_rims_alone_lie_in_faces() {
        for (inside, case) in CASES.iter().enumerate() {
            let triangles = &case.triangles[..usize::from(case.count)];
            let mut edges: BTreeMap<(u8, u8), i32> = BTreeMap::new();
            for t in triangles {
                for n in 0..3 {
                    *edges.entry((t[n], t[(n + 1) % 3])).or_default() += 1;
                }
            }
            for (&(a, b), &count) in &edges {
                assert_eq!(count, 1, "case {inside}: {a} → {b}");
                let is_rim = !edges.contains_key(&(b, a));
                assert_eq!(share_face(usize::from(a), usize::from(b)), is_rim, "case {inside}: {a} → {b}");
            }
            let crossed = (0..12).filter(|&e| {
                let [a, b] = corners(e);
                inside >> a & 1 != inside >> b & 1
            });
            assert_eq!(crossed.count(), edges.keys().filter(|(a, b)| !edges.contains_key(&(*b, *a))).count());
            assert!(triangles.len() <= 5, "case {inside}");
        }
    }

    fn corners(e: usize) -> [usize; 2] {
        let (low, high) = (e & 1, e >> 1 & 1);
        match e / 4 {
            0 => [2 * low + 4 * high, 1 + 2 * low + 4 * high],
            1 => [low + 4 * high, 2 + low + 4 * high],
            _ => [low + 2 * high, 4 + low + 2 * high],
        }
    }

    #[test]
    fn a_corner_is_cut_off_outward() {
        assert_eq!(CASES[1].count, 1);
        let [a, b, c] = CASES[1].triangles[0].map(|e| middle(usize::from(e)).map(|x| x as i32));
        let (u, v) = ([0, 1, 2].map(|n| b[n] - a[n]), [0, 1, 2].map(|n| c[n] - a[n]));
        let normal = [u[1] * v[2] - u[2] * v[1], u[2] * v[0] - u[0] * v[2], u[0] * v[1] - u[1] * v[0]];
        assert_eq!(normal, [1, 1, 1]);
    }
}
