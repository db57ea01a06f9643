//! Trachea and bronchi, by region growing that stops before it leaks into the lungs.

use super::upright::Upright;
use crate::mask::{Ball, BitMask, slice_components};

/// Gas in the trachea is below this even in thick slices.
pub(crate) const GAS_MAX_HU: i16 = -850;

/// Cross-sections of a trachea, child to adult with room to spare.
const AREA_MM2: std::ops::RangeInclusive<f64> = 30.0..=700.0;

/// A trachea is at least this long in the scan.
const MIN_LENGTH_MM: f64 = 25.0;

/// The first threshold of the growth, and by how much it rises.
const START_HU: i16 = -960;
const STEP_HU: i16 = 8;

/// The last threshold: half-way between gas and the airway's wall.
const LAST_HU: i16 = -550;

/// Growth of one step that is a leak, in millilitres, or as a share of what was there. In a chest CT with slices of 5 mm no step but
/// the first adds 1 ml; into the lung of a phantom it was 2.5 ml at once.
const LEAK_ML: f64 = 2.0;
const LEAK_SHARE: f64 = 0.03;

/// More than this is no airway tree.
const MOST_ML: f64 = 250.0;

/// One cross-section that could be the trachea's.
struct Section {
    centre: [f64; 2],
    area_mm2: f64,
    /// The best chain of sections from above that ends here: its number of slices and the section before.
    length: usize,
    above: Option<usize>,
    region: crate::mask::SliceRegion,
}

/// Finds the trachea among the gas inside the body and grows the airways from it; `None` if there is none.
///
/// `lungs` is the rough air of both lungs: the lower end of the trachea must lie between lung on both sides.
pub(crate) fn airways(ct: &Upright<'_>, body: &BitMask, gas: &BitMask, lungs: &BitMask) -> Option<BitMask> {
    let seeds = trachea(ct, body, gas, lungs)?;
    let grown = grow(ct, body, &seeds)?;
    // The last voxel towards the wall is a mixture: give it to the lumen if it is nearer to gas than to wall.
    let rim = ct.spacing[0].max(ct.spacing[1]);
    let [lumen] = BitMask::in_ranges(&ct.values, ct.size, [(i16::MIN, LAST_HU)]);
    let widened = grown.dilate(&Ball::in_plane(rim, ct.spacing)).and(&lumen).and(body);
    Some(grown.or(&widened))
}

/// The longest chain of round gas sections near the middle of the body.
fn trachea(ct: &Upright<'_>, body: &BitMask, gas: &BitMask, lungs: &BitMask) -> Option<BitMask> {
    let [_, nj, nk] = ct.size;
    let mm2 = ct.spacing[0] * ct.spacing[1];
    let words_per_row = gas.row(0).len();
    let middle = body.bounds()?;
    let width_mm = middle[0].len() as f64 * ct.spacing[0];
    let middle_mm = (middle[0].start + middle[0].end) as f64 / 2.0 * ct.spacing[0];
    let mut sections: Vec<Vec<Section>> = Vec::with_capacity(nk);
    let mut gas = gas.clone();
    for k in (0..nk).rev() {
        let mut found = Vec::new();
        for region in slice_components(gas.slice_mut(k), words_per_row) {
            let area_mm2 = region.area as f64 * mm2;
            if !AREA_MM2.contains(&area_mm2) || region.rows[1] == nj || region.rows[0] == 0 {
                continue;
            }
            let [w, h] = [
                (region.columns[1] - region.columns[0]) as f64 * ct.spacing[0],
                (region.rows[1] - region.rows[0]) as f64 * ct.spacing[1],
            ];
            // A disc fills 0.79 of its box; flat or ragged gas is bowel or lung.
            if w.max(h) / w.min(h) > 2.6 || area_mm2 / (w * h) < 0.45 {
                continue;
            }
            let centre = centre(&region, ct.spacing);
            if (centre[0] - middle_mm).abs() > 0.2 * width_mm {
                continue;
            }
            let mut section = Section { centre, area_mm2, length: 1, above: None, region };
            if let Some(above) = sections.last() {
                link(&mut section, above, ct.spacing[2]);
            }
            found.push(section);
        }
        sections.push(found);
    }
    let (mut slice, mut number) = best_end(ct, &sections, lungs)?;
    let mut seeds = BitMask::empty(ct.size);
    loop {
        let section = &sections[slice][number];
        for (j, run) in &section.region.runs {
            seeds.set_run((nk - 1 - slice) * nj + j, run.start as usize, run.end as usize);
        }
        match section.above {
            Some(above) => (slice, number) = (slice - 1, above),
            None => return Some(seeds),
        }
    }
}

/// Continues the longest chain of the slice above that lies over this section.
fn link(section: &mut Section, above: &[Section], slice_mm: f64) {
    for (n, other) in above.iter().enumerate() {
        let apart = (section.centre[0] - other.centre[0]).hypot(section.centre[1] - other.centre[1]);
        let ratio = section.area_mm2 / other.area_mm2;
        // The trachea runs backwards at some 20 degrees.
        if apart <= 4.0 + 0.8 * slice_mm && (0.3..=3.3).contains(&ratio) && other.length + 1 > section.length {
            section.length = other.length + 1;
            section.above = Some(n);
        }
    }
}

/// The lower end of the longest chain, if it is long enough and has lung on both sides.
fn best_end(ct: &Upright<'_>, sections: &[Vec<Section>], lungs: &BitMask) -> Option<(usize, usize)> {
    let nk = ct.size[2];
    let mut best: Option<(usize, usize, usize)> = None;
    for (slice, found) in sections.iter().enumerate() {
        for (number, section) in found.iter().enumerate() {
            let long = section.length as f64 * ct.spacing[2] >= MIN_LENGTH_MM;
            if long
                && best.is_none_or(|(length, ..)| section.length > length)
                && between_lungs(ct, nk - 1 - slice, section.centre[0], lungs)
            {
                best = Some((section.length, slice, number));
            }
        }
    }
    best.map(|(_, slice, number)| (slice, number))
}

/// True if slice `k` has at least 5 cm² of lung on either side of `x_mm`.
fn between_lungs(ct: &Upright<'_>, k: usize, x_mm: f64, lungs: &BitMask) -> bool {
    let at = (x_mm / ct.spacing[0]) as usize;
    let (mut low, mut high) = (0, 0);
    lungs.for_runs(k..k + 1, |_, a, b| {
        low += b.min(at) - a.min(at);
        high += b.max(at) - a.max(at);
    });
    let mm2 = ct.spacing[0] * ct.spacing[1];
    low.min(high) as f64 * mm2 >= 500.0
}

fn centre(region: &crate::mask::SliceRegion, spacing: [f64; 3]) -> [f64; 2] {
    let (mut x, mut y) = (0.0, 0.0);
    for (j, run) in &region.runs {
        let n = f64::from(run.end - run.start);
        x += n * f64::from(run.start + run.end - 1) / 2.0;
        y += n * *j as f64;
    }
    [x / region.area as f64 * spacing[0], y / region.area as f64 * spacing[1]]
}

/// Grows from the seeds while the threshold rises, and returns to the last threshold before the volume explodes.
fn grow(ct: &Upright<'_>, body: &BitMask, seeds: &BitMask) -> Option<BitMask> {
    let [ni, nj, nk] = ct.size;
    let mut reached = seeds.clone();
    let mut order: Vec<u32> = Vec::new();
    seeds.for_runs(0..nk, |row, a, b| order.extend((a..b).map(|i| (row * ni + i) as u32)));
    let mut waiting: std::collections::BTreeMap<i16, Vec<u32>> = std::collections::BTreeMap::new();
    let mut looked = 0;
    let most = ct.voxels(MOST_ML);
    let mut threshold = START_HU;
    loop {
        let before = order.len();
        while let Some(entry) = waiting.first_entry() {
            if *entry.key() > threshold {
                break;
            }
            order.extend(entry.remove());
        }
        let leak = before + ct.voxels(LEAK_ML).max((before as f64 * LEAK_SHARE) as usize);
        let first = threshold == START_HU;
        while looked < order.len() && (first || order.len() <= leak) && order.len() <= most {
            let at = order[looked] as usize;
            looked += 1;
            let (i, row) = (at % ni, at / ni);
            let (j, k) = (row % nj, row / nj);
            let mut visit = |i: usize, j: usize, k: usize| {
                if body.get([i, j, k]) && !reached.get([i, j, k]) {
                    let to = i + ni * (j + nj * k);
                    let value = ct.values[to];
                    if value <= LAST_HU {
                        reached.set([i, j, k]);
                        if value <= threshold {
                            order.push(to as u32);
                        } else {
                            waiting.entry(value).or_default().push(to as u32);
                        }
                    }
                }
            };
            if i > 0 {
                visit(i - 1, j, k);
            }
            if i + 1 < ni {
                visit(i + 1, j, k);
            }
            if j > 0 {
                visit(i, j - 1, k);
            }
            if j + 1 < nj {
                visit(i, j + 1, k);
            }
            if k > 0 {
                visit(i, j, k - 1);
            }
            if k + 1 < nk {
                visit(i, j, k + 1);
            }
        }
        if order.len() > most || (!first && order.len() > leak) {
            order.truncate(before);
            break;
        }
        if threshold >= LAST_HU {
            break;
        }
        threshold += STEP_HU;
    }
    if order.is_empty() {
        return None;
    }
    let mut grown = BitMask::empty(ct.size);
    for at in order {
        let at = at as usize;
        grown.set([at % ni, at / ni % nj, at / ni / nj]);
    }
    Some(grown)
}
