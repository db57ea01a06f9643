//! How the scan's values become grey: center and width, and presets by modality.

use bevy_app::{App, Plugin};
use bevy_ecs::prelude::*;
use serde::{Deserialize, Serialize};

use crate::walk::{Walk, WalkSystems, ensure_walk};

/// Keeps [`WindowLevel`].
#[derive(Default)]
pub struct WindowLevelPlugin;

impl Plugin for WindowLevelPlugin {
    fn build(&self, app: &mut App) {
        ensure_walk(app);
        app.add_message::<WindowRequested>()
            .init_resource::<WindowLevel>()
            .configure_sets(Walk, WindowSystems::Apply.in_set(WalkSystems::Apply));
    }
}

/// The steps of the window.
#[derive(SystemSet, Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum WindowSystems {
    /// Changes [`WindowLevel`] as requested. Runs in [`Walk`].
    Apply,
}

/// A wish about the window.
#[derive(Message, Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum WindowRequested {
    /// The preset with this name; unknown names change nothing.
    Preset(String),
    /// The next preset of the case.
    NextPreset,
    /// Add to center and width.
    Adjust {
        /// In the scan's unit.
        center: f32,
        /// In the scan's unit; the width stays at least 1.
        width: f32,
    },
    /// Exactly this.
    Set(WindowLevel),
    /// The case's first preset.
    Reset,
}

/// A named window.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WindowPreset {
    /// Machine name, such as `lung`.
    pub name: String,
    /// Middle of the range, in HU or the scan's own intensity.
    pub center: f32,
    /// Range from black to white.
    pub width: f32,
}

/// The window in use; undoable.
#[derive(Resource, Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct WindowLevel {
    /// Middle of the range, in HU or the scan's own intensity.
    pub center: f32,
    /// Range from black to white; at least 1.
    pub width: f32,
}

impl Default for WindowLevel {
    fn default() -> Self {
        Self { center: 40.0, width: 400.0 }
    }
}

impl WindowLevel {
    /// The grey of a value, 0 black to 1 white.
    pub fn grey(&self, value: f32) -> f32 {
        ((value - self.center) / self.width + 0.5).clamp(0.0, 1.0)
    }
}
