//! sRGB and light (IEC 61966-2-1).

use std::sync::LazyLock;

/// Amount of light of an sRGB component.
pub(crate) fn linear_from_srgb(byte: u8) -> f32 {
    let v = f32::from(byte) / 255.0;
    if v <= 0.04045 { v / 12.92 } else { ((v + 0.055) / 1.055).powf(2.4) }
}

/// Steps of the table from light to sRGB; enough to tell every byte from its neighbours.
const STEPS: usize = 8192;

/// sRGB component of an amount of light.
pub(crate) fn srgb_from_linear(value: f32) -> u8 {
    static TABLE: LazyLock<Vec<u8>> = LazyLock::new(|| (0..=STEPS).map(|n| encode(n as f32 / STEPS as f32)).collect());
    TABLE[(value.clamp(0.0, 1.0) * STEPS as f32 + 0.5) as usize]
}

fn encode(v: f32) -> u8 {
    let v = if v <= 0.003_130_8 { v * 12.92 } else { 1.055 * v.powf(1.0 / 2.4) - 0.055 };
    (v * 255.0).round() as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_comes_back() {
        for byte in 0..=u8::MAX {
            assert_eq!(srgb_from_linear(linear_from_srgb(byte)), byte, "byte {byte}");
        }
    }
}
