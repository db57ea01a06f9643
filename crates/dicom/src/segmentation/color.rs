//! Colours as DICOM keeps them: CIELab under D50, 16 bits a component (PS3.3 C.10.7.1.1).

use glam::{DMat3, DVec3};

/// sRGB primaries to XYZ, adapted from D65 to D50 by Bradford's method (IEC 61966-2-1, ICC.1:2022 Annex E), as rows.
const XYZ_FROM_RGB_ROWS: [[f64; 3]; 3] = [
    [0.436_065_742_824_811, 0.385_151_473_144_4, 0.143_078_421_293_8],
    [0.222_493_196_137_9, 0.716_887_013_097_6, 0.060_617_070_868_2],
    [0.013_923_871_605_4, 0.097_081_112_366_6, 0.714_099_286_138_3],
];
/// Where CIE 1976 turns from the cube root to a straight line.
const EPSILON: f64 = 216.0 / 24389.0;
const KAPPA: f64 = 24389.0 / 27.0;

/// L* 0 … 100, a* and b* −128 … 127, each spread over 0 … 65535.
pub(crate) fn cielab_from_srgb(rgb: [u8; 3]) -> [u16; 3] {
    let linear = DVec3::from_array(rgb.map(|c| linear_from_srgb(f64::from(c) / 255.0)));
    let f = ((xyz_from_rgb() * linear) / white())
        .to_array()
        .map(|t| if t > EPSILON { t.cbrt() } else { (KAPPA * t + 16.0) / 116.0 });
    let (l, a, b) = (116.0 * f[1] - 16.0, 500.0 * (f[0] - f[1]), 200.0 * (f[1] - f[2]));
    [l / 100.0, (a + 128.0) / 255.0, (b + 128.0) / 255.0].map(|c| (c * 65535.0).round() as u16)
}

/// The nearest sRGB colour.
pub(crate) fn srgb_from_cielab(lab: [u16; 3]) -> [u8; 3] {
    let [l, a, b] = lab.map(|c| f64::from(c) / 65535.0);
    let (l, a, b) = (l * 100.0, a * 255.0 - 128.0, b * 255.0 - 128.0);
    let fy = (l + 16.0) / 116.0;
    let ratio = DVec3::from_array(
        [fy + a / 500.0, fy, fy - b / 200.0]
            .map(|f| if f.powi(3) > EPSILON { f.powi(3) } else { (116.0 * f - 16.0) / KAPPA }),
    );
    let linear = xyz_from_rgb().inverse() * (ratio * white());
    linear.to_array().map(|c| (srgb_from_linear(c.clamp(0.0, 1.0)) * 255.0).round() as u8)
}

fn xyz_from_rgb() -> DMat3 {
    DMat3::from_cols_array_2d(&XYZ_FROM_RGB_ROWS).transpose()
}

/// What sRGB white becomes, so that it is exactly L* = 100.
fn white() -> DVec3 {
    xyz_from_rgb() * DVec3::ONE
}

fn linear_from_srgb(c: f64) -> f64 {
    if c <= 0.04045 { c / 12.92 } else { ((c + 0.055) / 1.055).powf(2.4) }
}

fn srgb_from_linear(c: f64) -> f64 {
    if c <= 0.003_130_8 { c * 12.92 } else { 1.055 * c.powf(1.0 / 2.4) - 0.055 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn white_grey_and_red_land_where_cie_puts_them() {
        assert_eq!(cielab_from_srgb([255; 3]), [65535, 32896, 32896]);
        assert_eq!(cielab_from_srgb([0; 3]), [0, 32896, 32896]);
        // sRGB red under D50: L* 54.29, a* 80.81, b* 69.89 (Lindbloom).
        let [l, a, b] = cielab_from_srgb([255, 0, 0]).map(|c| f64::from(c) / 65535.0);
        let near = |value: f64, expected: f64| (value - expected).abs() < 0.1;
        assert!(near(l * 100.0, 54.29) && near(a * 255.0 - 128.0, 80.81) && near(b * 255.0 - 128.0, 69.89));
    }

    #[test]
    fn every_eighth_colour_comes_back() {
        for r in (0..=255u8).step_by(15) {
            for g in (0..=255u8).step_by(15) {
                for b in (0..=255u8).step_by(15) {
                    assert_eq!(srgb_from_cielab(cielab_from_srgb([r, g, b])), [r, g, b]);
                }
            }
        }
    }
}
