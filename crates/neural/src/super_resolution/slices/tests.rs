use super::*;

const SLICES: [f32; 6] = [3.0, -1.0, 4.0, 1.0, -5.0, 9.0];

/// tests/oracle/through_plane_spline.py, SciPy 1.17.1.
const AT_15: [f32; 15] = [
    2.152_278, 2.890_325, 1.032_297, -0.867_072, -0.212_091, 2.310_799, 4.331_593, 4.238_636, 1.920_225, -2.281_254,
    -5.571_091, -3.922_019, 3.058_612, 8.684_22, 6.509_541,
];

#[test]
fn interpolates_as_scipy() {
    let found = SliceLayout::edge_to_edge(6, 15).interpolate(0).apply(&SLICES, 1);
    for (v, (found, expected)) in found.iter().zip(AT_15).enumerate() {
        assert!((found - expected).abs() < 2e-5, "voxel {v}: {found} {expected}");
    }
}

#[test]
fn long_stacks_keep_their_slices() {
    let layout = SliceLayout::edge_to_edge(150, 450);
    let slices: Vec<f32> = (0..150).map(|k| ((k * k) % 17) as f32).collect();
    let found = layout.interpolate(0).apply(&slices, 1);
    for (k, &slice) in slices.iter().enumerate() {
        // The middle of three voxels is the slice's centre.
        assert!((found[3 * k + 1] - slice).abs() < 1e-4, "slice {k}: {} {slice}", found[3 * k + 1]);
    }
}

#[test]
fn averages_share_voxels_at_edges() {
    let voxels = [1.0, 2.0, 3.0, 4.0, 5.0];
    assert_eq!(SliceLayout::edge_to_edge(2, 4).average().apply(&voxels[..4], 1), [1.5, 3.5]);
    let thin = SliceLayout { thickness: 0.4, ..SliceLayout::edge_to_edge(1, 5) };
    assert_eq!(thin.average().apply(&voxels, 1), [3.0]);
    let late = SliceLayout { slices: 2, voxels: 5, factor: 2.0, thickness: 1.0, start: 1.0 };
    assert_eq!(late.average().apply(&voxels, 1), [2.5, 4.5]);
}

#[test]
fn edges_within_a_voxel_share_it() {
    let found = SliceLayout::edge_to_edge(2, 5).average().apply(&[1.0, 2.0, 3.0, 4.0, 5.0], 1);
    assert!((found[0] - 1.8).abs() < 1e-6 && (found[1] - 4.2).abs() < 1e-6, "{found:?}");
}

#[test]
fn rounds_bring_averages_back() {
    for thickness in [1.0, 0.5] {
        let layout = SliceLayout { thickness, ..SliceLayout::edge_to_edge(6, 40) };
        let off = |rounds| {
            let back = layout.average().apply(&layout.interpolate(rounds).apply(&SLICES, 1), 1);
            back.iter().zip(&SLICES).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
        };
        // Each round takes the same part away.
        let offs = [0, 1, 2, 12].map(off);
        assert!(offs[1] < 0.6 * offs[0] && offs[2] < 0.6 * offs[1] && offs[3] < 1e-2, "{thickness} {offs:?}");
        // All at once are the same as one after the other.
        let spline = layout.interpolate(0);
        let mut values = spline.apply(&SLICES, 1);
        for _ in 0..2 {
            let back = layout.average().apply(&values, 1);
            let lacking: Vec<f32> = SLICES.iter().zip(back).map(|(m, b)| m - b).collect();
            spline.apply_add(&lacking, 1, &mut values);
        }
        let at_once = layout.interpolate(2).apply(&SLICES, 1);
        let worst = values.iter().zip(&at_once).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(worst < 1e-4, "{thickness} {worst}");
    }
}

#[test]
fn gaps_are_told_to_the_network() {
    let layout = SliceLayout { thickness: 0.8, ..SliceLayout::edge_to_edge(5, 10) };
    let told = layout.hints(&[2, 3]);
    let apart: Vec<f32> = told.iter().map(|t| t[0] * 8.0).collect();
    assert_eq!(apart, [2.0, 2.0, 2.0, 2.0, 6.0, 6.0, 6.0, 6.0, 2.0, 2.0]);
    assert!(told.iter().all(|t| (t[1] * 8.0 - 1.6).abs() < 1e-6), "{told:?}");
    // Two voxels a slice: a quarter of it before and behind its centre.
    for (v, hint) in told.iter().enumerate() {
        let sine = if v % 2 == 0 { -1.0 } else { 1.0 };
        assert!(hint[2].abs() < 1e-5 && (hint[3] - sine).abs() < 1e-5, "voxel {v}: {hint:?}");
    }
}

#[test]
fn gaps_are_filled_without_swinging_beyond_what_there_is() {
    // What lies in the gap is not looked at: a slope goes on, an edge stays between its ends, what lacks a neighbour repeats the last.
    let mut slices: Vec<f32> = [9.0, 9.0, 1.0, 2.0, 0.0, 0.0, 5.0, 6.0, 90.0, 90.0, 7.0].to_vec();
    fill_gaps(&mut slices, 1, &[0, 4, 5, 10]);
    assert_eq!((slices[0], slices[10]), (9.0, 90.0));
    assert!((slices[4] - 3.0).abs() < 1e-5 && (slices[5] - 4.0).abs() < 1e-5, "{slices:?}");
    let mut edge: Vec<f32> = vec![0.0, 0.0, 7.0, 7.0, 100.0, 80.0];
    fill_gaps(&mut edge, 1, &[2, 3]);
    assert!(edge[1] <= edge[2] && edge[2] < edge[3] && edge[3] <= 100.0, "{edge:?}");
    // Voxels of a plane do not see each other.
    let mut planes: Vec<f32> = vec![0.0, 10.0, -1.0, -1.0, 2.0, 30.0];
    fill_gaps(&mut planes, 2, &[1]);
    assert_eq!(planes[2..4], [1.0, 20.0]);
}
