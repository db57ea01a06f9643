//! How fast and how far the walker moves, as presets in `xr-config/comfort*.ron`.

use bevy_ecs::prelude::*;
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// A comfort preset.
#[derive(Resource, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Comfort {
    /// A snap turn, in degrees; 15 to 90.
    pub snap_turn_degrees: f64,
    /// Walking speed in m/s; at most 3.
    pub walk_m_per_s: f64,
    /// Running is this many times faster; 1 to 5.
    pub run_factor: f64,
    /// How far a teleport reaches, in metres; 1 to 50.
    pub teleport_reach_m: f64,
    /// How much of the view's edge goes dark in smooth motion, 0 none to 1 much.
    pub vignette: f64,
    /// Seconds the view is dark in a teleport or snap turn; 0 to 0.5.
    pub blink_s: f64,
}

impl Default for Comfort {
    fn default() -> Self {
        Self {
            snap_turn_degrees: 30.0,
            walk_m_per_s: 1.4,
            run_factor: 2.5,
            teleport_reach_m: 10.0,
            vignette: 0.6,
            blink_s: 0.12,
        }
    }
}

/// A comfort preset cannot be used.
#[derive(Clone, Debug, Error, PartialEq)]
#[non_exhaustive]
pub enum ComfortError {
    /// Not the text of a preset.
    #[error("comfort preset cannot be read: {reason}; compare xr-config/comfort.ron; file {file}")]
    Syntax {
        /// Line, column and what was expected.
        reason: String,
        /// Its name.
        file: String,
    },
    /// A number nobody would be comfortable with.
    #[error("comfort setting {setting} must be {low} to {high}; found {found}; file {file}")]
    Range {
        /// Field name.
        setting: &'static str,
        /// Smallest allowed.
        low: f64,
        /// Largest allowed.
        high: f64,
        /// As written.
        found: f64,
        /// Its name.
        file: String,
    },
}

impl Comfort {
    /// Reads and checks a preset; `file` is named in errors.
    ///
    /// # Errors
    /// [`ComfortError`] for text that is no preset and for numbers out of range.
    pub fn parse(text: &str, file: &str) -> Result<Self, ComfortError> {
        let preset: Self = ron::from_str(text)
            .map_err(|error| ComfortError::Syntax { reason: error.to_string(), file: file.to_owned() })?;
        let ranges = [
            ("snap_turn_degrees", preset.snap_turn_degrees, 15.0, 90.0),
            ("walk_m_per_s", preset.walk_m_per_s, 0.1, 3.0),
            ("run_factor", preset.run_factor, 1.0, 5.0),
            ("teleport_reach_m", preset.teleport_reach_m, 1.0, 50.0),
            ("vignette", preset.vignette, 0.0, 1.0),
            ("blink_s", preset.blink_s, 0.0, 0.5),
        ];
        for (setting, found, low, high) in ranges {
            if !(low..=high).contains(&found) {
                return Err(ComfortError::Range { setting, low, high, found, file: file.to_owned() });
            }
        }
        Ok(preset)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_presets_we_ship_are_sound_and_the_first_is_the_default() {
        let shipped = [
            ("comfort.ron", include_str!("../../../xr-config/comfort.ron")),
            ("comfort-gentle.ron", include_str!("../../../xr-config/comfort-gentle.ron")),
            ("comfort-brisk.ron", include_str!("../../../xr-config/comfort-brisk.ron")),
        ];
        let presets = shipped.map(|(file, text)| Comfort::parse(text, file).unwrap());
        assert_eq!(presets[0], Comfort::default());
        assert!(presets[1].walk_m_per_s < presets[0].walk_m_per_s && presets[0].walk_m_per_s < presets[2].walk_m_per_s);
    }

    #[test]
    fn faulty_presets_are_refused_with_the_reason() {
        let check = |text: &str, part: &str| {
            let error = Comfort::parse(text, "my.ron").unwrap_err().to_string();
            assert!(error.contains(part) && error.ends_with("my.ron"), "{error}");
        };
        let fast = include_str!("../../../xr-config/comfort.ron").replace("1.4", "14.0");
        check(&fast, "walk_m_per_s must be 0.1 to 3; found 14");
        check(&fast.replace("14.0", "NaN"), "walk_m_per_s must be");
        check("(walk: 1)", "walk");
    }
}
