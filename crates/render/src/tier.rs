//! What a display may spend on a frame, as data in `xr-config/tiers.ron`.

use bevy::prelude::*;
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// The budget of a class of machines.
#[derive(Resource, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RenderTier {
    /// `standalone`, `pc`, …
    pub name: String,
    /// Triangles per eye.
    pub max_triangles: u64,
    /// Draw commands per eye, over all passes.
    pub max_draw_calls: u64,
    /// Samples a pixel: 1 (off), 2, 4 or 8.
    pub msaa_samples: u32,
    /// Mebibytes for the scan and its labels on the device.
    pub scan_mib: usize,
}

impl RenderTier {
    /// A headset that draws by itself, Quest 3 class (DESIGN.md 6).
    pub fn standalone() -> Self {
        Self {
            name: "standalone".to_owned(),
            max_triangles: 1_000_000,
            max_draw_calls: 250,
            msaa_samples: 1,
            scan_mib: 192,
        }
    }

    /// A workstation (DESIGN.md 6).
    pub fn pc() -> Self {
        Self { name: "pc".to_owned(), max_triangles: 4_000_000, max_draw_calls: 600, msaa_samples: 4, scan_mib: 512 }
    }

    /// Reads a list of tiers; `file` is named in errors.
    ///
    /// # Errors
    /// [`TierError`] for text that is no list of tiers and for numbers out of range.
    pub fn parse_all(text: &str, file: &str) -> Result<Vec<Self>, TierError> {
        let tiers: Vec<Self> = ron::from_str(text)
            .map_err(|error| TierError::Syntax { reason: error.to_string(), file: file.to_owned() })?;
        for tier in &tiers {
            let is_sound = [1, 2, 4, 8].contains(&tier.msaa_samples) && tier.max_triangles > 0 && tier.scan_mib > 0;
            if !is_sound {
                return Err(TierError::Range { tier: tier.name.clone(), file: file.to_owned() });
            }
        }
        Ok(tiers)
    }

    pub(crate) fn msaa(&self) -> Msaa {
        match self.msaa_samples {
            2 => Msaa::Sample2,
            4 => Msaa::Sample4,
            8 => Msaa::Sample8,
            _ => Msaa::Off,
        }
    }
}

/// The tiers cannot be used.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum TierError {
    /// Not the text of a list of tiers.
    #[error("tiers cannot be read: {reason}; compare xr-config/tiers.ron; file {file}")]
    Syntax {
        /// Line, column and what was expected.
        reason: String,
        /// Its name.
        file: String,
    },
    /// A number that no machine could use.
    #[error(
        "tier {tier} needs 1, 2, 4 or 8 samples and budgets above 0; change it in xr-config/tiers.ron; file {file}"
    )]
    Range {
        /// Its name.
        tier: String,
        /// Name of the file.
        file: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tiers_are_read_and_checked() {
        let text = "[(name: \"pc\", max_triangles: 4000000, max_draw_calls: 600, msaa_samples: 4, scan_mib: 512)]";
        assert_eq!(RenderTier::parse_all(text, "tiers.ron"), Ok(vec![RenderTier::pc()]));
        let odd = text.replace("msaa_samples: 4", "msaa_samples: 3");
        assert!(matches!(RenderTier::parse_all(&odd, "tiers.ron"), Err(TierError::Range { .. })));
        assert!(matches!(RenderTier::parse_all("[", "tiers.ron"), Err(TierError::Syntax { .. })));
    }
}
