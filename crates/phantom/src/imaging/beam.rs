//! What a polychromatic beam does to a slice: cupping, dark bands between dense bones, streaks from metal.
//!
//! A slice is projected in parallel beams through water, bone and metal at four energies. What the scanner's water
//! correction leaves over is reconstructed by filtered back-projection on a coarse grid and added to the slice.
//!
//! Mass attenuation coefficients at 50, 60, 80 and 100 keV from Hubbell and Seltzer, NISTIR 5632 (1995): liquid water, cortical bone
//! (ICRU-44), and iron for metal. Weights of the energies stand for what a detector gets of a filtered beam of 120 kV; they are ours.

use crate::noise::white;

/// Energies of the beam.
const ENERGIES: usize = 4;
const WEIGHT: [f32; ENERGIES] = [0.25, 0.3, 0.3, 0.15];
/// In cm²/g.
const WATER: [f32; ENERGIES] = [0.2269, 0.2059, 0.1837, 0.1707];
const BONE: [f32; ENERGIES] = [0.4242, 0.3148, 0.2229, 0.1855];
const METAL: [f32; ENERGIES] = [1.958, 1.205, 0.5952, 0.3717];
/// Where HU are given: between 60 and 80 keV.
const EFFECTIVE: [f32; 3] = [0.1945, 0.2649, 0.847];

/// HU from which tissue counts as bone, and bone as metal.
const BONE_HU: f32 = 200.0;
const METAL_HU: f32 = 3071.0;

/// How much of the correction for water is done right; the rest leaves cupping.
const CORRECTED: f32 = 0.4;
/// Water in cm for which even the rest is right.
const CALIBRATED_CM: f32 = 20.0;
/// The most that a detector can tell from nothing, as the logarithm of the attenuation.
const DARKEST: f32 = 8.5;
/// Photons in a ray that nothing weakens, at the reference dose, on the coarse grid.
const PHOTONS: f32 = 3e5;

/// Pixels of the coarse grid, in mm, and angles over half a turn: without and with metal in the slice.
const PIXEL_MM: [f32; 2] = [4.0, 2.5];
const ANGLES: [usize; 2] = [160, 320];

/// What the beam does.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Beam {
    /// Whether it hardens in bone too; metal always hardens it.
    pub(crate) hardens: bool,
    /// Tube current and time over the reference.
    pub(crate) dose: f32,
}

impl Beam {
    /// Adds what it does to one slice; `pixel_mm` are column and row spacing.
    pub(crate) fn spoil(&self, slice: &mut [i16], width: usize, pixel_mm: [f32; 2], key: u64) {
        let metal = slice.iter().any(|&v| f32::from(v) > METAL_HU);
        if !(metal || self.hardens) {
            return;
        }
        let grid = Coarse::of(slice, width, pixel_mm, metal);
        let error = self.error(&grid, metal, key);
        let image = grid.back_projected(&error);
        for (n, value) in slice.iter_mut().enumerate() {
            if f32::from(*value) > METAL_HU {
                continue;
            }
            let at = [(n % width) as f32 * pixel_mm[0] / grid.pixel, (n / width) as f32 * pixel_mm[1] / grid.pixel];
            let change = bilinear(&image, grid.size, at[0], at[1]) * 1000.0 / EFFECTIVE[0];
            *value = (f32::from(*value) + change).clamp(-1024.0, METAL_HU) as i16;
        }
    }

    /// What is measured too much, for each angle and ray, as a logarithm.
    fn error(&self, grid: &Coarse, metal: bool, key: u64) -> Vec<f32> {
        let correction = WaterCorrection::new();
        let mut error = vec![0f32; grid.angles * grid.rays];
        let mut noise = white(key, error.len());
        for (n, value) in error.iter_mut().enumerate() {
            let ray = grid.ray(n);
            let [water, bone, dense] = ray;
            let ideal = (water + bone + dense) * EFFECTIVE[0];
            let bone = if self.hardens { bone } else { 0.0 };
            let expected = if self.hardens { ideal } else { (water + dense) * EFFECTIVE[0] };
            let measured = attenuation([water, bone, dense]).min(DARKEST);
            let corrected = if self.hardens { correction.imperfect(measured) } else { correction.exact(measured) };
            *value = corrected - expected;
            if metal {
                // Photons that metal lets through are few; the slice's own noise is added elsewhere.
                let starved = (measured.exp() / (PHOTONS * self.dose)).sqrt();
                let random = noise.next().unwrap_or(0.0);
                if dense > 0.5 {
                    *value += starved * random;
                }
            }
        }
        error
    }
}

/// Logarithm of the attenuation by water, bone and metal, given as cm of water that weaken as much at the effective energy.
fn attenuation(paths: [f32; 3]) -> f32 {
    let left: f32 = (0..ENERGIES)
        .map(|e| {
            let each = [WATER[e], BONE[e], METAL[e]];
            let total: f32 = (0..3).map(|m| paths[m] * EFFECTIVE[0] * each[m] / EFFECTIVE[m]).sum();
            WEIGHT[e] * (-total).exp()
        })
        .sum();
    -left.max(f32::MIN_POSITIVE).ln()
}

/// The map from measured to ideal attenuation for water alone.
struct WaterCorrection {
    /// Measured attenuation for each centimetre of water.
    measured: Vec<f32>,
    /// Ideal over measured attenuation at [`CALIBRATED_CM`].
    scale: f32,
}

impl WaterCorrection {
    fn new() -> Self {
        let measured: Vec<f32> = (0..=80).map(|cm| attenuation([cm as f32, 0.0, 0.0])).collect();
        let scale = CALIBRATED_CM * EFFECTIVE[0] / attenuation([CALIBRATED_CM, 0.0, 0.0]);
        Self { measured, scale }
    }

    fn exact(&self, measured: f32) -> f32 {
        let above = self.measured.partition_point(|m| *m < measured).clamp(1, self.measured.len() - 1);
        let (low, high) = (self.measured[above - 1], self.measured[above]);
        ((above - 1) as f32 + (measured - low) / (high - low)) * EFFECTIVE[0]
    }

    fn imperfect(&self, measured: f32) -> f32 {
        CORRECTED * self.exact(measured) + (1.0 - CORRECTED) * self.scale * measured
    }
}

/// A slice on a coarse grid, as cm of water in each pixel.
struct Coarse {
    size: [usize; 2],
    /// In mm.
    pixel: f32,
    water: Vec<f32>,
    bone: Vec<f32>,
    metal: Vec<f32>,
    angles: usize,
    rays: usize,
}

impl Coarse {
    fn of(slice: &[i16], width: usize, pixel_mm: [f32; 2], metal: bool) -> Self {
        let pixel = PIXEL_MM[usize::from(metal)].max(pixel_mm[0]).max(pixel_mm[1]);
        let height = slice.len() / width;
        let size = [(width, pixel_mm[0]), (height, pixel_mm[1])]
            .map(|(count, mm)| ((count as f32 * mm / pixel).ceil() as usize + 1).max(2));
        let count = size[0] * size[1];
        let (mut sums, mut counts) = (vec![[0f32; 3]; count], vec![0f32; count]);
        for (n, &value) in slice.iter().enumerate() {
            let x = ((n % width) as f32 * pixel_mm[0] / pixel).round() as usize;
            let y = ((n / width) as f32 * pixel_mm[1] / pixel).round() as usize;
            let at = x.min(size[0] - 1) + size[0] * y.min(size[1] - 1);
            let hu = f32::from(value);
            counts[at] += 1.0;
            if hu > METAL_HU {
                sums[at][2] += hu / 1000.0 + 1.0;
            } else {
                let bone = (hu - BONE_HU).max(0.0) / 1000.0;
                sums[at][0] += (hu / 1000.0 + 1.0).max(0.0) - bone;
                sums[at][1] += bone;
            }
        }
        let part = |m: usize| sums.iter().zip(&counts).map(|(s, c)| s[m] / c.max(1.0) * pixel / 10.0).collect();
        let diagonal = ((size[0] * size[0] + size[1] * size[1]) as f32).sqrt().ceil() as usize + 2;
        let angles = ANGLES[usize::from(metal)];
        Self { size, pixel, water: part(0), bone: part(1), metal: part(2), angles, rays: diagonal }
    }

    fn center(&self) -> [f32; 2] {
        self.size.map(|s| (s - 1) as f32 / 2.0)
    }

    fn direction(&self, angle: usize) -> (f32, f32) {
        (angle as f32 * std::f32::consts::PI / self.angles as f32).sin_cos()
    }

    /// Centimetres of water, bone and metal along ray `n % rays` of angle `n / rays`.
    fn ray(&self, n: usize) -> [f32; 3] {
        let (sin, cos) = self.direction(n / self.rays);
        let half = (self.rays - 1) as f32 / 2.0;
        let across = (n % self.rays) as f32 - half;
        let [cx, cy] = self.center();
        let mut sums = [0f32; 3];
        for step in 0..self.rays {
            let along = step as f32 - half;
            let (x, y) = (cx + across * cos - along * sin, cy + across * sin + along * cos);
            let Some((at, weights)) = corners(self.size, x, y) else { continue };
            for (corner, weight) in at.into_iter().zip(weights) {
                sums[0] += weight * self.water[corner];
                sums[1] += weight * self.bone[corner];
                sums[2] += weight * self.metal[corner];
            }
        }
        sums
    }

    /// Filtered back-projection with the filter of Shepp and Logan (IEEE Trans Nucl Sci 1974; 21: 21); 1/cm.
    fn back_projected(&self, projections: &[f32]) -> Vec<f32> {
        let cm = self.pixel / 10.0;
        let filter: Vec<f32> = (0..self.rays)
            .map(|n| -2.0 / (std::f32::consts::PI.powi(2) * cm * (4.0 * (n as f32).powi(2) - 1.0)))
            .collect();
        let mut image = vec![0f32; self.size[0] * self.size[1]];
        let [cx, cy] = self.center();
        let half = (self.rays - 1) as f32 / 2.0;
        for (a, row) in projections.chunks_exact(self.rays).enumerate() {
            let filtered: Vec<f32> =
                (0..self.rays).map(|r| row.iter().enumerate().map(|(s, v)| v * filter[r.abs_diff(s)]).sum()).collect();
            let (sin, cos) = self.direction(a);
            for (n, value) in image.iter_mut().enumerate() {
                let (x, y) = ((n % self.size[0]) as f32 - cx, (n / self.size[0]) as f32 - cy);
                let at = x * cos + y * sin + half;
                let first = at as usize;
                if at >= 0.0 && first + 1 < self.rays {
                    let t = at - first as f32;
                    *value += filtered[first] + (filtered[first + 1] - filtered[first]) * t;
                }
            }
        }
        let scale = std::f32::consts::PI / self.angles as f32;
        image.iter_mut().for_each(|v| *v *= scale);
        image
    }
}

/// The four pixels round a place, and their shares.
fn corners([width, height]: [usize; 2], x: f32, y: f32) -> Option<([usize; 4], [f32; 4])> {
    if x < 0.0 || y < 0.0 {
        return None;
    }
    let (i, j) = (x as usize, y as usize);
    if i + 1 >= width || j + 1 >= height {
        return None;
    }
    let (u, v) = (x - i as f32, y - j as f32);
    let n = i + width * j;
    Some(([n, n + 1, n + width, n + width + 1], [(1.0 - u) * (1.0 - v), u * (1.0 - v), (1.0 - u) * v, u * v]))
}

fn bilinear(image: &[f32], size: [usize; 2], x: f32, y: f32) -> f32 {
    let [x, y] = [(x, size[0]), (y, size[1])].map(|(at, count)| at.clamp(0.0, count as f32 - 1.001));
    corners(size, x, y).map_or(0.0, |(at, weights)| at.iter().zip(weights).map(|(&n, w)| image[n] * w).sum())
}

#[cfg(test)]
mod tests {
    use super::*;

    const WIDTH: usize = 150;

    /// A disc of water of 30 cm on pixels of 2.5 mm, with balls of some HU at ±60 mm.
    fn disc(inserts: i16, radius_mm: f32) -> Vec<i16> {
        (0..WIDTH * WIDTH)
            .map(|n| {
                let (x, y) = ((n % WIDTH) as f32 * 2.5 - 186.0, (n / WIDTH) as f32 * 2.5 - 186.0);
                let insert = (x.abs() - 60.0).hypot(y) < radius_mm;
                if insert && inserts != 0 {
                    inserts
                } else if x.hypot(y) < 150.0 {
                    0
                } else {
                    -1000
                }
            })
            .collect()
    }

    fn mean(slice: &[i16], x_mm: f32, y_mm: f32) -> f32 {
        let (i, j) = (((x_mm + 186.0) / 2.5).round() as usize, ((y_mm + 186.0) / 2.5).round() as usize);
        let near = (j - 2..=j + 2).flat_map(|j| (i - 2..=i + 2).map(move |i| slice[i + WIDTH * j]));
        near.map(f32::from).sum::<f32>() / 25.0
    }

    #[test]
    fn water_cups_and_bones_darken_what_lies_between() {
        let beam = Beam { hardens: true, dose: 1.0 };
        let (mut water, mut bones) = (disc(0, 0.0), disc(1000, 22.0));
        beam.spoil(&mut water, WIDTH, [2.5, 2.5], 1);
        beam.spoil(&mut bones, WIDTH, [2.5, 2.5], 1);
        let cup = mean(&water, 0.0, -125.0) - mean(&water, 0.0, 0.0);
        assert!((4.0..40.0).contains(&cup), "cupping of {cup} HU");
        let band = mean(&bones, 0.0, 0.0) - mean(&water, 0.0, 0.0);
        assert!((-80.0..-8.0).contains(&band), "band of {band} HU");
        assert!(mean(&bones, 0.0, 0.0) < mean(&bones, 0.0, 80.0) - 5.0, "a band, not a shift");
    }

    #[test]
    fn metal_streaks_and_other_slices_are_left_alone() {
        let beam = Beam { hardens: false, dose: 1.0 };
        let mut plain = disc(1000, 20.0);
        beam.spoil(&mut plain, WIDTH, [2.5, 2.5], 1);
        assert_eq!(plain, disc(1000, 20.0));
        let mut metal = disc(20_000, 16.0);
        beam.spoil(&mut metal, WIDTH, [2.5, 2.5], 1);
        assert!(mean(&metal, 0.0, 0.0) < -150.0, "between heads: {} HU", mean(&metal, 0.0, 0.0));
        let lowest = metal.iter().copied().min().unwrap_or(0);
        assert!(lowest >= -1024);
        let mut again = disc(20_000, 16.0);
        beam.spoil(&mut again, WIDTH, [2.5, 2.5], 1);
        assert_eq!(metal, again);
    }
}
