//! Growing and shrinking of masks by millimetres, and filling of holes.
//!
//! The structuring element is the ball: voxels whose centres lie within the radius, whatever the spacing. What lies
//! outside the grid is unknown and has no say, so a body that leaves the picture is not eroded from its edge.

use rayon::prelude::*;

use crate::components;
use crate::distance::squared_distance_where;
use crate::grid::Volume;

mod bits;

use bits::{Ball, BitMask};

/// Rows in a ball above which the distance transform is faster. Our own trial on a chest CT (`examples/timings.rs`).
const MANY_ROWS: usize = 600;

/// All voxels within `radius_mm` of the mask. A radius of zero or less changes nothing.
pub fn dilate_mm(mask: &Volume<bool>, radius_mm: f64) -> Volume<bool> {
    match Ball::new(mask.geometry(), radius_mm) {
        Ball::Point => mask.clone(),
        ball if ball.rows() > MANY_ROWS => near(mask, radius_mm, |inside| *inside),
        ball => BitMask::of(mask).dilated(&ball).into_mask(),
    }
}

/// All voxels of the mask farther than `radius_mm` from every voxel that is not in it.
pub fn erode_mm(mask: &Volume<bool>, radius_mm: f64) -> Volume<bool> {
    match Ball::new(mask.geometry(), radius_mm) {
        Ball::Point => mask.clone(),
        ball if ball.rows() > MANY_ROWS => near(mask, radius_mm, |inside| !*inside).map(|near| !*near),
        ball => BitMask::of(mask).complement().dilated(&ball).complement().into_mask(),
    }
}

/// Erosion, then dilation: takes away what is thinner than twice the radius.
pub fn open_mm(mask: &Volume<bool>, radius_mm: f64) -> Volume<bool> {
    match Ball::new(mask.geometry(), radius_mm) {
        Ball::Point => mask.clone(),
        ball if ball.rows() > MANY_ROWS => dilate_mm(&erode_mm(mask, radius_mm), radius_mm),
        ball => BitMask::of(mask).complement().dilated(&ball).complement().dilated(&ball).into_mask(),
    }
}

/// Dilation, then erosion: fills gaps narrower than twice the radius.
pub fn close_mm(mask: &Volume<bool>, radius_mm: f64) -> Volume<bool> {
    match Ball::new(mask.geometry(), radius_mm) {
        Ball::Point => mask.clone(),
        ball if ball.rows() > MANY_ROWS => erode_mm(&dilate_mm(mask, radius_mm), radius_mm),
        ball => BitMask::of(mask).dilated(&ball).complement().dilated(&ball).complement().into_mask(),
    }
}

/// The mask with all that it encloses in three dimensions: background that cannot reach the grid's border through faces.
pub fn fill_holes(mask: &Volume<bool>) -> Volume<bool> {
    components::fill_enclosed(mask)
}

/// The mask with all that it encloses within each slice.
pub fn fill_holes_in_slices(mask: &Volume<bool>) -> Volume<bool> {
    components::fill_enclosed_in_slices(mask)
}

fn near(mask: &Volume<bool>, radius_mm: f64, inside: impl Fn(&bool) -> bool + Sync) -> Volume<bool> {
    let limit = (radius_mm * radius_mm * (1.0 + 1e-6)) as f32;
    let squared = squared_distance_where(mask, inside);
    let mut near = Volume::filled(*mask.geometry(), false);
    near.data_mut().par_iter_mut().zip(squared.data()).for_each(|(near, d)| *near = *d <= limit);
    near
}

#[cfg(test)]
mod tests {
    use glam::DMat3;
    use proptest::prelude::*;
    use space::Point;

    use super::*;
    use crate::geometry::ImageGeometry;

    fn mask(size: [usize; 3], spacing: [f64; 3], inside: impl Fn([usize; 3]) -> bool) -> Volume<bool> {
        let geometry = ImageGeometry::new(size, spacing, Point::ZERO, DMat3::IDENTITY).unwrap();
        Volume::from_fn(geometry, inside)
    }

    fn count(mask: &Volume<bool>) -> usize {
        mask.data().iter().filter(|m| **m).count()
    }

    fn within(a: &Volume<bool>, b: &Volume<bool>) -> bool {
        a.data().iter().zip(b.data()).all(|(a, b)| !a | b)
    }

    proptest! {
        #[test]
        fn bits_and_distances_agree(
            size in (1usize..140, 1usize..9, 1usize..6),
            spacing in prop::array::uniform3(0.4..3.0f64),
            radius in 0.1..7.0f64,
            seeds in prop::collection::vec(any::<prop::sample::Index>(), 1..30),
        ) {
            let mut m = mask([size.0, size.1, size.2], spacing, |_| false);
            let n = m.data().len();
            seeds.iter().for_each(|s| m.data_mut()[s.index(n)] = true);
            let dilated = dilate_mm(&m, radius);
            prop_assert_eq!(&dilated, &near(&m, radius, |inside| *inside));
            let eroded = erode_mm(&dilated, radius);
            prop_assert_eq!(&eroded, &near(&dilated, radius, |inside| !*inside).map(|near| !*near));
            prop_assert_eq!(&eroded, &close_mm(&m, radius));
            prop_assert!(within(&m, &eroded), "closing never takes away");
            let opened = open_mm(&dilated, radius);
            prop_assert!(within(&opened, &dilated), "opening never adds");
            prop_assert_eq!(&opened, &dilate_mm(&erode_mm(&dilated, radius), radius));
        }
    }

    #[test]
    fn ball_has_the_volume_of_a_ball() {
        let m = mask([81, 81, 41], [0.5, 0.5, 1.0], |v| v == [40, 40, 20]);
        let radius: f64 = 15.0;
        let volume = count(&dilate_mm(&m, radius)) as f64 * m.geometry().voxel_volume_mm3();
        let exact = 4.0 / 3.0 * std::f64::consts::PI * radius.powi(3);
        assert!((volume / exact - 1.0).abs() < 0.01, "{volume} mm³ instead of {exact}");
    }

    #[test]
    fn nothing_is_eroded_from_the_edge_of_the_picture() {
        let all = mask([70, 5, 5], [1.0; 3], |_| true);
        assert_eq!(erode_mm(&all, 2.0), all);
        let half = mask([70, 5, 5], [1.0; 3], |[i, ..]| i >= 30);
        assert_eq!(erode_mm(&half, 2.0), mask([70, 5, 5], [1.0; 3], |[i, ..]| i >= 32));
        assert_eq!(dilate_mm(&half, 0.0), half);
        assert_eq!(dilate_mm(&half, f64::NAN), half);
    }

    #[test]
    fn huge_radius_takes_the_other_way() {
        let m = mask([12, 12, 12], [0.01; 3], |v| v == [6, 6, 6]);
        assert_eq!(count(&dilate_mm(&m, 5.0)), 12 * 12 * 12);
        assert_eq!(count(&erode_mm(&dilate_mm(&m, 5.0), 5.0)), 12 * 12 * 12);
        assert_eq!(count(&erode_mm(&m, 5.0)), 0);
    }

    #[test]
    fn shell_is_filled_in_space_and_tube_in_slices_only() {
        let on_border = |x: usize| x == 2 || x == 6;
        let inside = |x: usize| (2..=6).contains(&x);
        let shell = mask([9, 9, 9], [1.0; 3], |v| v.iter().all(|x| inside(*x)) && v.iter().any(|x| on_border(*x)));
        assert_eq!(count(&fill_holes(&shell)), 125);
        let tube = mask([9, 9, 9], [1.0; 3], |[i, j, _]| inside(i) && inside(j) && (on_border(i) || on_border(j)));
        assert_eq!(fill_holes(&tube), tube);
        assert_eq!(count(&fill_holes_in_slices(&tube)), 9 * 25);
    }
}
