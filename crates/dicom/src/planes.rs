//! Where the slices of a stack lie, and the grid that becomes of them.

use glam::{DMat3, DVec2, DVec3};
use space::Point;
use volume::ImageGeometry;

use crate::report::Finding;

/// What all slices of a stack have in common.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Frame {
    /// Direction of increasing column.
    pub(crate) row: DVec3,
    /// Direction of increasing row.
    pub(crate) column: DVec3,
    pub(crate) columns: usize,
    pub(crate) rows: usize,
    /// Between columns and between rows, in mm.
    pub(crate) pixel_spacing: DVec2,
}

impl Frame {
    /// From the directions of rows and columns as they are in a file.
    pub(crate) fn new([row, column]: [DVec3; 2], [row_spacing, column_spacing]: [f64; 2], size: [usize; 2]) -> Self {
        let column = (column - row * row.dot(column)).normalize();
        let [columns, rows] = size;
        Self { row, column, columns, rows, pixel_spacing: DVec2::new(column_spacing, row_spacing) }
    }

    pub(crate) fn normal(&self) -> DVec3 {
        self.row.cross(self.column)
    }

    /// Distance along the normal, in mm.
    pub(crate) fn along(&self, position: DVec3) -> f64 {
        position.dot(self.normal())
    }

    fn in_plane(&self, offset: DVec3) -> DVec2 {
        DVec2::new(offset.dot(self.row), offset.dot(self.column))
    }
}

/// How a stack of measured slices becomes a volume.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Layout {
    pub(crate) geometry: ImageGeometry,
    /// Where each slice of the volume comes from.
    pub(crate) blends: Vec<Blend>,
    /// Shift of each measured slice in the volume's plane, in pixels; all zero unless sheared.
    pub(crate) shifts: Vec<DVec2>,
    /// False if every slice is a measured one, as it is.
    pub(crate) resampled: bool,
    pub(crate) findings: Vec<Finding>,
}

/// A slice made of two measured ones, `below · (1 − weight) + above · weight`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Blend {
    pub(crate) below: usize,
    pub(crate) above: usize,
    pub(crate) weight: f64,
    /// True if it lies where slices are missing, rather than a little off a measured one.
    pub(crate) in_gap: bool,
}

/// Slices closer along the normal than this lie at the same place; positions are given to 10 µm or better.
const SAME_PLACE_MM: f64 = 1e-3;

/// In pixels; a shear that stays below moves nothing by more than interpolation would blur.
const SHEAR_TOLERANCE: f64 = 0.25;

/// Slices shifted beyond this part of their width are no stack.
const MAX_SHEAR: f64 = 0.5;

/// Slices of the volume for each measured one, when uneven distances are evened out.
const MAX_REFINEMENT: usize = 4;

/// Measured slices farther apart than this many distances have a gap between them.
const GAP_SLICES: f64 = 1.5;

/// A gap up to this wide is bridged by interpolation, if it is not more than [`MAX_GAP_SLICES`] distances: 12 mm, the
/// size of a lesion that must not be made up.
const MAX_GAP_MM: f64 = 12.0;
const MAX_GAP_SLICES: f64 = 4.0;

/// True if two distances along the normal are the same place.
pub(crate) fn same_place(a: f64, b: f64) -> bool {
    (a - b).abs() <= SAME_PLACE_MM
}

/// The usual distance of sorted slices: the lower median of the distances between neighbours.
pub(crate) fn usual_distance(along: &[f64]) -> Option<f64> {
    let mut distances: Vec<f64> = along.windows(2).map(|w| w[1] - w[0]).filter(|d| *d > SAME_PLACE_MM).collect();
    distances.sort_by(f64::total_cmp);
    distances.get(distances.len().checked_sub(1)? / 2).copied()
}

/// The widest distance between neighbours that still makes one stack.
pub(crate) fn widest_bridge_mm(usual_mm: f64) -> f64 {
    (MAX_GAP_SLICES * usual_mm).max(MAX_GAP_MM) * 1.001
}

/// How far rounding may put slices off an even spacing: 50 µm each if positions are given to 0.1 mm, and half of that for
/// the ends that the spacing comes from; no more than a seventh of the spacing; or a hundredth of it.
fn tolerance_mm(spacing: f64) -> f64 {
    (0.15 * spacing).min(0.075).max(0.01 * spacing)
}

/// The farthest that any of the sorted slices lies off the best even grid with their mean spacing, in mm.
fn deviation_mm(along: &[f64]) -> f64 {
    let (Some(first), Some(last)) = (along.first(), along.last()) else { return 0.0 };
    let spacing = (last - first) / (along.len().max(2) - 1) as f64;
    let residuals = || along.iter().enumerate().map(|(k, t)| t - first - k as f64 * spacing);
    (residuals().fold(f64::MIN, f64::max) - residuals().fold(f64::MAX, f64::min)) / 2.0
}

/// True if sorted slices, none at the place of another, are equally far apart.
pub(crate) fn is_even(along: &[f64]) -> bool {
    usual_distance(along).is_none_or(|spacing| deviation_mm(along) <= tolerance_mm(spacing))
}

/// Lays a grid through slices sorted along the normal, none at the place of another.
///
/// # Errors
/// What is wrong with their places.
pub(crate) fn layout(frame: &Frame, positions: &[DVec3], thickness_mm: Option<f64>) -> Result<Layout, String> {
    let Some(&first) = positions.first() else { return Err("there are no slices".to_owned()) };
    let along: Vec<f64> = positions.iter().map(|&p| frame.along(p - first)).collect();
    let mut findings = Vec::new();
    let (spacing, blends) = slices_of(&along, thickness_mm, &mut findings)?;
    let offsets: Vec<DVec2> = positions.iter().map(|&p| frame.in_plane(p - first)).collect();
    let (margin, shifts) = shear(frame, &along, &offsets, &mut findings)?;
    let sheared = shifts.iter().any(|s| *s != DVec2::ZERO);
    let resampled = sheared || blends.iter().enumerate().any(|(k, b)| b.weight != 0.0 || b.below != k);

    let size = [frame.columns + margin.size[0], frame.rows + margin.size[1], blends.len()];
    let origin = first + frame.row * margin.start.x + frame.column * margin.start.y;
    let spacing = [frame.pixel_spacing.x, frame.pixel_spacing.y, spacing];
    let direction = DMat3::from_cols(frame.row, frame.column, frame.normal());
    let geometry = ImageGeometry::new(size, spacing, Point::from(origin), direction).map_err(|e| e.to_string())?;
    Ok(Layout { geometry, blends, shifts, resampled, findings })
}

/// The even spacing, and what each slice of the volume is made of.
fn slices_of(
    along: &[f64],
    thickness_mm: Option<f64>,
    findings: &mut Vec<Finding>,
) -> Result<(f64, Vec<Blend>), String> {
    let measured = |k: usize| Blend { below: k, above: k, weight: 0.0, in_gap: false };
    let Some(usual) = usual_distance(along) else {
        findings.push(Finding::SingleSlice);
        return Ok((thickness_mm.unwrap_or(1.0), vec![measured(0)]));
    };
    let extent = along.last().copied().unwrap_or(0.0);
    let deviation = deviation_mm(along);
    if deviation <= tolerance_mm(usual) {
        let spacing = extent / (along.len() - 1) as f64;
        if deviation > (2e-3 * spacing).max(1e-3) {
            findings.push(Finding::SpacingJitter { max_deviation_mm: deviation });
        }
        compare_thickness(spacing, thickness_mm, findings);
        return Ok((spacing, (0..along.len()).map(measured).collect()));
    }
    let distances = || along.windows(2).map(|w| w[1] - w[0]);
    // Missing slices leave whole multiples of the usual distance.
    let steps: Vec<f64> = distances().map(|d| (d / usual).round().max(1.0)).collect();
    let whole = distances().zip(&steps).all(|(d, n)| (d - n * usual).abs() <= tolerance_mm(usual) * n);
    let gaps = steps.iter().filter(|n| **n > 1.0).count();
    let count =
        if whole { 1 + steps.iter().sum::<f64>() as usize } else { 1 + (extent / usual).round().max(1.0) as usize };
    if count > MAX_REFINEMENT * along.len() + 16 {
        return Err(format!("slices {usual:.3} mm apart over {extent:.1} mm, but only {} of them", along.len()));
    }
    let spacing = extent / (count - 1) as f64;
    if whole && gaps * 4 <= steps.len() {
        let mut slice = 0;
        for (distance_mm, n) in distances().zip(&steps) {
            let missing = *n as usize - 1;
            if missing > 0 {
                findings.push(Finding::Gap { after_slice: slice, missing, distance_mm });
            }
            slice += missing + 1;
        }
        compare_thickness(spacing, thickness_mm, findings);
    } else {
        let (min_mm, max_mm) = distances().fold((f64::MAX, 0f64), |(lo, hi), d| (lo.min(d), hi.max(d)));
        findings.push(Finding::UnevenSpacing { min_mm, max_mm, resampled_mm: spacing });
    }
    Ok((spacing, (0..count).map(|k| blend(along, k as f64 * spacing, spacing)).collect()))
}

/// The two measured slices around a place, or the one at it.
fn blend(along: &[f64], place: f64, spacing: f64) -> Blend {
    let above = along.partition_point(|t| *t < place).min(along.len() - 1);
    let below = above.saturating_sub(1);
    let nearest = if (along[above] - place).abs() <= (along[below] - place).abs() { above } else { below };
    if (along[nearest] - place).abs() <= tolerance_mm(spacing) || above == below {
        return Blend { below: nearest, above: nearest, weight: 0.0, in_gap: false };
    }
    let apart = along[above] - along[below];
    Blend {
        below,
        above,
        weight: ((place - along[below]) / apart).clamp(0.0, 1.0),
        in_gap: apart > GAP_SLICES * spacing,
    }
}

fn compare_thickness(spacing_mm: f64, thickness_mm: Option<f64>, findings: &mut Vec<Finding>) {
    match thickness_mm {
        Some(thickness_mm) if thickness_mm > 1.02 * spacing_mm => {
            findings.push(Finding::OverlappingSlices { spacing_mm, thickness_mm });
        }
        Some(thickness_mm) if thickness_mm < 0.98 * spacing_mm => {
            findings.push(Finding::SlicesApart { spacing_mm, thickness_mm });
        }
        _ => {}
    }
}

/// What a right-angled grid needs beyond a slice's own pixels.
struct Margin {
    /// Millimetres from the first slice's corner to the grid's.
    start: DVec2,
    /// Further columns and rows.
    size: [usize; 2],
}

/// How far each slice is shifted against the grid, in pixels.
fn shear(
    frame: &Frame,
    along: &[f64],
    offsets: &[DVec2],
    findings: &mut Vec<Finding>,
) -> Result<(Margin, Vec<DVec2>), String> {
    let none = (Margin { start: DVec2::ZERO, size: [0, 0] }, vec![DVec2::ZERO; offsets.len()]);
    let pixel = frame.pixel_spacing.min_element();
    let farthest = offsets.iter().map(|o| o.length()).fold(0.0, f64::max);
    if farthest <= SHEAR_TOLERANCE * pixel {
        return Ok(none);
    }
    let low = offsets.iter().fold(DVec2::ZERO, |low, o| low.min(*o));
    let high = offsets.iter().fold(DVec2::ZERO, |high, o| high.max(*o));
    let size = (high - low) / frame.pixel_spacing;
    if size.x > MAX_SHEAR * frame.columns as f64 + 1.0 || size.y > MAX_SHEAR * frame.rows as f64 + 1.0 {
        return Err(format!("slices are shifted by {farthest:.1} mm against each other, too far for one stack"));
    }
    // Least squares through the first slice: a tilted gantry shifts in proportion to the distance.
    let weight: f64 = along.iter().map(|t| t * t).sum();
    let slope = offsets.iter().zip(along).map(|(o, t)| *o * *t).sum::<DVec2>() / weight.max(f64::MIN_POSITIVE);
    let residual = offsets.iter().zip(along).map(|(o, t)| (*o - slope * *t).length()).fold(0.0, f64::max);
    findings.push(if residual <= SHEAR_TOLERANCE * pixel {
        Finding::GantryTilt { angle_deg: slope.length().atan().to_degrees() }
    } else {
        Finding::ShiftedSlices { max_mm: farthest }
    });
    let margin = Margin { start: low, size: [(size.x - 1e-6).ceil() as usize, (size.y - 1e-6).ceil() as usize] };
    Ok((margin, offsets.iter().map(|o| (*o - low) / frame.pixel_spacing).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const FRAME: Frame =
        Frame { row: DVec3::X, column: DVec3::Y, columns: 100, rows: 80, pixel_spacing: DVec2::new(0.5, 0.75) };

    fn stack(places: &[f64]) -> Layout {
        let positions: Vec<DVec3> = places.iter().map(|z| DVec3::new(1.0, 2.0, *z)).collect();
        layout(&FRAME, &positions, None).unwrap()
    }

    #[test]
    fn even_slices_stay_as_they_are() {
        let layout = stack(&[-10.0, -7.5, -5.0, -2.5]);
        assert!(!layout.resampled && layout.findings.is_empty());
        assert_eq!(layout.geometry.size(), [100, 80, 4]);
        assert_eq!(layout.geometry.spacing(), [0.5, 0.75, 2.5]);
        assert_eq!(layout.geometry.origin(), Point::new(1.0, 2.0, -10.0));
    }

    #[test]
    fn rounded_positions_are_even() {
        let rounded: Vec<f64> = (0..50).map(|k| (f64::from(k) * 0.625 * 10.0).round() / 10.0).collect();
        let layout = stack(&rounded);
        assert!(!layout.resampled);
        assert!(matches!(layout.findings[..], [Finding::SpacingJitter { .. }]), "{:?}", layout.findings);
    }

    #[test]
    fn missing_slices_are_interpolated_and_the_others_kept() {
        let layout = stack(&[0.0, 2.0, 4.0, 10.0, 12.0, 14.0, 16.0, 18.0]);
        assert_eq!(layout.findings, [Finding::Gap { after_slice: 2, missing: 2, distance_mm: 6.0 }]);
        assert_eq!(layout.geometry.size()[2], 10);
        let blends: Vec<(usize, usize)> = layout.blends.iter().map(|b| (b.below, b.above)).collect();
        assert_eq!(blends[..6], [(0, 0), (1, 1), (2, 2), (2, 3), (2, 3), (3, 3)]);
        assert!((layout.blends[3].weight - 1.0 / 3.0).abs() < 1e-9);
    }

    #[test]
    fn uneven_slices_are_resampled() {
        let layout = stack(&[0.0, 1.0, 2.3, 3.1, 4.0, 5.4, 6.0]);
        assert!(matches!(layout.findings[..], [Finding::UnevenSpacing { .. }]), "{:?}", layout.findings);
        let end = layout.geometry.lps_from_index() * Point::new(0.0, 0.0, (layout.blends.len() - 1) as f64);
        assert!((end.z - 6.0).abs() < 1e-9, "the last slice stays in place");
    }

    #[test]
    fn a_tilted_gantry_is_measured_and_given_room() {
        let tilt = 12f64.to_radians();
        let position = |k: i32| DVec3::new(0.0, f64::from(k) * 3.0 * tilt.tan(), f64::from(k) * 3.0);
        let positions: Vec<DVec3> = (0..20).map(position).collect();
        let layout = layout(&FRAME, &positions, None).unwrap();
        let [Finding::GantryTilt { angle_deg }] = layout.findings[..] else { panic!("{:?}", layout.findings) };
        assert!((angle_deg - 12.0).abs() < 1e-9);
        assert_eq!(layout.geometry.size(), [100, 80 + 17, 20], "57 mm · tan 12° are 16.2 rows");
        assert!((layout.shifts[19].y * 0.75 - 57.0 * tilt.tan()).abs() < 1e-9);
    }

    #[test]
    fn a_few_slices_over_a_mile_are_refused() {
        let positions = [0.0, 0.1, 1e5].map(|z| DVec3::new(0.0, 0.0, z));
        assert!(layout(&FRAME, &positions, None).is_err());
    }
}
