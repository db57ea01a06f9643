//! The two lungs.

use super::ct_basic::mean_column;
use super::histogram::Histogram;
use super::upright::Upright;
use crate::mask::{Ball, BitMask, Components, Fill, Neighbours, compete};

/// Half-way between inflated lung and soft tissue.
pub(crate) const AIR_MAX_HU: i16 = -400;

/// Air whose inside has a median below this is gas in bowel or stomach; lung holds tissue, even with emphysema.
const GAS_MEDIAN_HU: i32 = -945;

/// How deep the inside lies, past voxels that mix with the wall.
const INSIDE_MM: f64 = 2.5;

/// Less air than this in one piece is not looked at.
const PIECE_ML: f64 = 30.0;

/// Pieces of a lung that lie apart count from this size on.
const FRAGMENT_ML: f64 = 5.0;

/// Closes the mouths of vessels at the surface.
const CLOSE_MM: f64 = 4.0;

/// A vessel or nodule cut across in a slice; larger holes are the dome of the diaphragm.
const HOLE_MM2: f64 = 400.0;

/// Left and right lung; either may be empty.
pub(crate) struct Lungs {
    pub(crate) left: BitMask,
    pub(crate) right: BitMask,
}

/// The air of both lungs with the airways still in it: large pieces of air inside the body that are not bowel gas.
pub(crate) fn rough(ct: &Upright<'_>, air: &BitMask) -> BitMask {
    let pieces = Components::of(air, Neighbours::Faces);
    let enough = ct.voxels(PIECE_ML);
    let inside = air.erode(&Ball::in_plane(INSIDE_MM.max(1.01 * ct.spacing[0]), ct.spacing));
    let mut values: Vec<Option<Histogram>> =
        pieces.sizes.iter().map(|&size| (size >= enough).then(Histogram::new)).collect();
    pieces.for_runs(|c, row, run| {
        if let Some(values) = &mut values[c] {
            for i in run.start as usize..run.end as usize {
                if inside.get([i, row % ct.size[1], row / ct.size[1]]) {
                    values.add(ct.values[row * ct.size[0] + i].into());
                }
            }
        }
    });
    pieces.mask_of(|c| values[c].as_ref().is_some_and(|v| v.total() > 0 && v.quantile(0.5) >= GAS_MEDIAN_HU))
}

/// Shares the rough air out between left and right, apart from the airways, and closes it over vessels.
pub(crate) fn lungs(ct: &Upright<'_>, rough: &BitMask, airways: Option<&BitMask>, body: &BitMask) -> Lungs {
    let rim = Ball::in_plane(1.5 * ct.spacing[0].max(ct.spacing[1]), ct.spacing);
    let air = match airways {
        Some(airways) => rough.clone().and_not(&airways.dilate(&rim)),
        None => rough.clone(),
    };
    let pieces = Components::of(&air, Neighbours::Faces);
    let Some(largest) = pieces.largest() else {
        return Lungs { left: BitMask::empty(ct.size), right: BitMask::empty(ct.size) };
    };
    let middle = airways.and_then(mean_column).or_else(|| mean_column(body)).unwrap_or(ct.size[0] as f64 / 2.0);
    let fragments = ct.voxels(FRAGMENT_ML);
    let mut sides = [BitMask::empty(ct.size), BitMask::empty(ct.size)];
    let centres = centre_columns(&pieces);
    let total: usize = pieces.sizes.iter().sum();
    let spans = |c: usize| {
        let (mut low, mut high) = (0.0, 0.0);
        pieces.for_runs(|n, _, run| {
            if n == c {
                let at = middle.clamp(f64::from(run.start), f64::from(run.end));
                low += at - f64::from(run.start);
                high += f64::from(run.end) - at;
            }
        });
        f64::min(low, high) > 0.15 * (low + high)
    };
    let joined = pieces.sizes[largest] * 10 > total * 6 && spans(largest);
    for (side, mask) in sides.iter_mut().enumerate() {
        *mask = pieces.mask_of(|c| {
            pieces.sizes[c] >= fragments && !(joined && c == largest) && usize::from(centres[c] < middle) == side
        });
    }
    if joined {
        let (left, right) = split(ct, &pieces.mask_of(|c| c == largest), middle);
        let [l, r] = sides;
        sides = [l.or(&left), r.or(&right)];
    }
    let [left, right] = sides;
    let (left, right) = rayon::join(|| close(ct, left, body), || close(ct, right, body));
    let right = right.and_not(&left);
    match airways {
        Some(airways) => Lungs { left: left.and_not(airways), right: right.and_not(airways) },
        None => Lungs { left, right },
    }
}

/// Two lungs that touch: shrunk until they part, then grown back in competition.
fn split(ct: &Upright<'_>, both: &BitMask, middle: f64) -> (BitMask, BitMask) {
    let steps = (60.0 / ct.spacing[0].min(ct.spacing[1])) as usize;
    for radius_mm in [1.0, 2.0, 3.5, 5.0, 7.0, 10.0, 14.0] {
        let shrunk = both.erode(&Ball::in_plane(radius_mm, ct.spacing));
        let parts = Components::of(&shrunk, Neighbours::Faces);
        let order = parts.by_size();
        let (Some(&a), Some(&b)) = (order.first(), order.get(1)) else { continue };
        let centres = centre_columns(&parts);
        let (left, right) = if centres[a] > centres[b] { (a, b) } else { (b, a) };
        if parts.sizes[b] * 5 >= parts.sizes[a] && centres[right] < middle && middle < centres[left] {
            return compete(parts.mask_of(|c| c == left), parts.mask_of(|c| c == right), both, ct.spacing, steps);
        }
    }
    // Never parted: cut in the middle.
    let mut left = BitMask::empty(ct.size);
    let cut = middle.round() as usize;
    both.for_runs(0..ct.size[2], |row, a, b| left.set_run(row, a.max(cut), b.max(cut)));
    let right = both.clone().and_not(&left);
    (left, right)
}

/// Closes a lung over its vessels and small nodules.
fn close(ct: &Upright<'_>, lung: BitMask, body: &BitMask) -> BitMask {
    let mut lung = lung.close(&Ball::in_plane(CLOSE_MM, ct.spacing));
    let largest = (HOLE_MM2 / (ct.spacing[0] * ct.spacing[1])) as usize;
    lung.fill_slices(|_, hole| hole.area <= largest);
    lung.filled(Fill::Volume).majority_in_plane().and(body)
}

/// Mean column of each component.
fn centre_columns(parts: &Components) -> Vec<f64> {
    let mut sums = vec![0.0; parts.len()];
    parts.for_runs(|c, _, run| sums[c] += f64::from(run.end - run.start) * f64::from(run.start + run.end - 1) / 2.0);
    sums.iter().zip(&parts.sizes).map(|(s, &n)| s / n as f64).collect()
}
