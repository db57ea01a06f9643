//! Numbers that look random and depend on nothing but their address: seed, stream and position.

use glam::Vec3;

/// SplitMix64's finalizer (Steele, Lea and Flood 2014): a bijection that scatters every bit.
pub(crate) const fn scatter(mut x: u64) -> u64 {
    x = x.wrapping_add(0x9E37_79B9_7F4A_7C15);
    x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    x ^ (x >> 31)
}

/// A sequence of numbers for one purpose.
#[derive(Clone, Debug)]
pub struct Stream {
    key: u64,
    count: u64,
}

impl Stream {
    /// The stream of a seed and a name.
    pub fn new(seed: u64, name: &str) -> Self {
        let key = name.bytes().fold(scatter(seed), |k, b| scatter(k ^ u64::from(b)));
        Self { key, count: 0 }
    }

    /// The next number, uniform in 0–1.
    pub fn uniform(&mut self) -> f32 {
        self.count += 1;
        (scatter(self.key ^ self.count.wrapping_mul(0xD1B5_4A32_D192_ED03)) >> 40) as f32 / (1u64 << 24) as f32
    }

    /// The next number, uniform between two.
    pub fn between(&mut self, low: f32, high: f32) -> f32 {
        low + (high - low) * self.uniform()
    }

    /// The next point, uniform in a box.
    pub(crate) fn point(&mut self, low: Vec3, high: Vec3) -> Vec3 {
        low + (high - low) * Vec3::new(self.uniform(), self.uniform(), self.uniform())
    }

    /// The next number, normal with mean 0 and standard deviation 1, cut at ±2.5.
    pub fn normal(&mut self) -> f32 {
        let sum: f32 = (0..6).map(|_| self.uniform()).sum();
        ((sum - 3.0) * std::f32::consts::SQRT_2).clamp(-2.5, 2.5)
    }
}

fn lattice(key: u32, i: i32, j: i32, k: i32) -> f32 {
    let mut h = key
        ^ (i as u32).wrapping_mul(0x8DA6_B343)
        ^ (j as u32).wrapping_mul(0xD816_3841)
        ^ (k as u32).wrapping_mul(0xCB1A_B31F);
    h = (h ^ (h >> 15)).wrapping_mul(0x2C1B_3C6D);
    h = (h ^ (h >> 12)).wrapping_mul(0x297A_2D39);
    (h ^ (h >> 15)) as f32 / u32::MAX as f32 * 2.0 - 1.0
}

/// Smooth noise between −1 and 1 whose features are `grain_mm` wide: values on a lattice, joined by smoothstep.
pub(crate) fn texture(p: Vec3, grain_mm: f32, key: u32) -> f32 {
    let q = p / grain_mm;
    let cell = q.floor();
    let f = q - cell;
    let s = f * f * (Vec3::splat(3.0) - 2.0 * f);
    let (i, j, k) = (cell.x as i32, cell.y as i32, cell.z as i32);
    let mix = |a: f32, b: f32, t: f32| a + (b - a) * t;
    let row = |j: i32, k: i32| mix(lattice(key, i, j, k), lattice(key, i + 1, j, k), s.x);
    let plane = |k: i32| mix(row(j, k), row(j + 1, k), s.y);
    mix(plane(k), plane(k + 1), s.z)
}

/// How coarse scan noise is: the band pass of a reconstruction kernel.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Grain {
    /// Blurs white noise.
    fine: &'static [f32],
    /// Blurs that again to what is taken away by half.
    coarse: &'static [f32],
    /// Standard deviation of fine − coarse / 2 of white noise of 1: the root of the squares of both kernels.
    spread: f32,
}

impl Grain {
    /// Soft kernels: wide blobs.
    pub(crate) const COARSE: Self =
        Self { fine: &[0.1, 0.23, 0.34, 0.23, 0.1], coarse: &[0.06, 0.12, 0.2, 0.24, 0.2, 0.12, 0.06], spread: 0.183 };
    /// The hump of a standard kernel.
    pub(crate) const USUAL: Self = Self { fine: &[0.25, 0.5, 0.25], coarse: &[0.1, 0.2, 0.4, 0.2, 0.1], spread: 0.278 };
    /// Sharp kernels: hardly correlated.
    pub(crate) const FINE: Self = Self { fine: &[0.12, 0.76, 0.12], coarse: &[0.25, 0.5, 0.25], spread: 0.488 };
}

/// Normal numbers of mean 0 and standard deviation 1, nearly: sums of four uniform ones.
pub(crate) fn white(key: u64, count: usize) -> impl Iterator<Item = f32> {
    (0..count as u64).map(move |n| {
        let h = scatter(key ^ n.wrapping_mul(0xD1B5_4A32_D192_ED03));
        let sum: u32 = (0..4).map(|part| (h >> (16 * part)) as u32 & 0xFFFF).sum();
        // Four uniform numbers: variance 4/12.
        (sum as f32 / 65536.0 - 2.0) * 3f32.sqrt()
    })
}

/// Adds detector noise to one slice of HU, in place.
///
/// White noise is blurred and freed of its coarse part, which leaves the hump-shaped spectrum of filtered back-projection
/// (Riederer, Pelc and Chesler 1978); `sigma` gives the standard deviation for each pixel.
pub(crate) fn add_scan_noise(
    slice: &mut [i16],
    width: usize,
    key: u64,
    grain: Grain,
    sigma: impl Fn(usize, usize) -> f32,
) {
    let height = slice.len() / width;
    let white: Vec<f32> = white(key, slice.len()).collect();
    let fine = blur(&white, width, grain.fine);
    let coarse = blur(&fine, width, grain.coarse);
    for y in 0..height {
        for x in 0..width {
            let n = y * width + x;
            let noise = (fine[n] - 0.5 * coarse[n]) / grain.spread * sigma(x, y);
            slice[n] = (f32::from(slice[n]) + noise).round().clamp(-1024.0, 3071.0) as i16;
        }
    }
}

/// Separable convolution with wrap-around.
fn blur(image: &[f32], width: usize, kernel: &[f32]) -> Vec<f32> {
    let height = image.len() / width;
    let half = kernel.len() / 2;
    let mut rows = vec![0.0; image.len()];
    for (source, target) in image.chunks_exact(width).zip(rows.chunks_exact_mut(width)) {
        for (x, value) in target.iter_mut().enumerate() {
            *value = kernel.iter().enumerate().map(|(t, k)| k * source[(x + width + t - half) % width]).sum();
        }
    }
    let mut out = vec![0.0; image.len()];
    for (y, target) in out.chunks_exact_mut(width).enumerate() {
        for (t, k) in kernel.iter().enumerate() {
            let from = (y + height + t - half) % height * width;
            target.iter_mut().zip(&rows[from..from + width]).for_each(|(o, r)| *o += k * r);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    const GRAINS: [Grain; 3] = [Grain::COARSE, Grain::USUAL, Grain::FINE];

    #[test]
    fn scan_noise_has_the_stated_spread_and_no_offset() {
        for grain in GRAINS {
            let mut slice = vec![0i16; 256 * 256];
            add_scan_noise(&mut slice, 256, 7, grain, |_, _| 100.0);
            let mean = slice.iter().map(|&v| f64::from(v)).sum::<f64>() / slice.len() as f64;
            let spread = (slice.iter().map(|&v| f64::from(v).powi(2)).sum::<f64>() / slice.len() as f64).sqrt();
            assert!(mean.abs() < 2.0, "mean {mean}");
            assert!((spread - 100.0).abs() < 5.0, "spread {spread} with {grain:?}");
        }
    }

    #[test]
    fn neighbours_are_correlated_less_by_sharp_kernels() {
        let correlations = GRAINS.map(|grain| {
            let mut slice = vec![0i16; 256 * 256];
            add_scan_noise(&mut slice, 256, 9, grain, |_, _| 100.0);
            let product: f64 = slice.windows(2).map(|w| f64::from(w[0]) * f64::from(w[1])).sum();
            let square: f64 = slice.iter().map(|&v| f64::from(v).powi(2)).sum();
            product / square
        });
        assert!(correlations[1] > 0.3, "correlations {correlations:?}");
        assert!(
            correlations[0] > correlations[1] + 0.15 && correlations[1] > correlations[2] + 0.15,
            "{correlations:?}"
        );
    }

    #[test]
    fn texture_is_smooth_and_bounded() {
        let at = |x: f32| texture(Vec3::new(x, 3.3, -7.1), 5.0, 11);
        for i in -200..200 {
            let x = i as f32 * 0.37;
            assert!(at(x).abs() <= 1.0);
            assert!((at(x + 0.05) - at(x)).abs() < 0.08, "jump at {x}");
        }
    }

    #[test]
    fn streams_are_normal_enough() {
        let mut stream = Stream::new(3, "liver");
        let values: Vec<f32> = (0..4000).map(|_| stream.normal()).collect();
        let mean = values.iter().sum::<f32>() / 4000.0;
        let spread = (values.iter().map(|v| v * v).sum::<f32>() / 4000.0).sqrt();
        assert!(mean.abs() < 0.06 && (spread - 1.0).abs() < 0.06, "{mean} ± {spread}");
    }
}
