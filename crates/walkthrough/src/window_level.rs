//! How the scan's values become grey: center and width, and presets by modality.

use bevy_app::{App, Plugin};
use bevy_ecs::prelude::*;
use serde::{Deserialize, Serialize};

use crate::stage::ActiveCase;
use crate::walk::{Walk, WalkSystems, ensure_walk};

/// Keeps [`WindowLevel`].
#[derive(Default)]
pub struct WindowLevelPlugin;

impl Plugin for WindowLevelPlugin {
    fn build(&self, app: &mut App) {
        ensure_walk(app);
        app.add_message::<WindowRequested>()
            .init_resource::<WindowLevel>()
            .configure_sets(Walk, WindowSystems::Apply.in_set(WalkSystems::Apply))
            .add_systems(Walk, change_window.in_set(WindowSystems::Apply).run_if(on_message::<WindowRequested>));
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
    /// The preset with this name, however it is capitalised; unknown names change nothing.
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

impl From<&WindowPreset> for WindowLevel {
    fn from(preset: &WindowPreset) -> Self {
        Self { center: preset.center, width: preset.width.max(1.0) }
    }
}

/// Windows for a case that brings none. For CT as Radiopaedia's article on CT windowing gives them; other modalities have
/// no common scale, so one window that holds the whole of 12 bits.
pub fn default_presets(modality: &str) -> Vec<WindowPreset> {
    let preset = |name: &str, center, width| WindowPreset { name: name.to_owned(), center, width };
    if modality == "CT" {
        vec![
            preset("Soft tissue", 40.0, 400.0),
            preset("Lung", -600.0, 1500.0),
            preset("Bone", 400.0, 1800.0),
            preset("Brain", 40.0, 80.0),
        ]
    } else {
        vec![preset("Full range", 2048.0, 4096.0)]
    }
}

/// The index of the preset that is in use, if one is.
pub fn preset_in_use(window: WindowLevel, presets: &[WindowPreset]) -> Option<usize> {
    presets.iter().position(|p| WindowLevel::from(p) == window)
}

/// Does what is asked.
pub fn apply(request: &WindowRequested, window: &mut WindowLevel, presets: &[WindowPreset]) {
    let finite = |w: WindowLevel| w.center.is_finite() && w.width.is_finite();
    let wanted = match request {
        WindowRequested::Preset(name) => {
            presets.iter().find(|p| p.name.eq_ignore_ascii_case(name)).map(WindowLevel::from)
        }
        WindowRequested::NextPreset => {
            let next = preset_in_use(*window, presets).map_or(0, |i| i + 1);
            presets.get(next).or_else(|| presets.first()).map(WindowLevel::from)
        }
        WindowRequested::Adjust { center, width } => {
            Some(WindowLevel { center: window.center + center, width: window.width + width })
        }
        WindowRequested::Set(to) => Some(*to),
        WindowRequested::Reset => Some(presets.first().map(WindowLevel::from).unwrap_or_default()),
    };
    if let Some(wanted) = wanted.filter(|w| finite(*w)) {
        *window = WindowLevel { width: wanted.width.max(1.0), ..wanted };
    }
}

fn change_window(
    mut requests: MessageReader<WindowRequested>,
    mut window: ResMut<WindowLevel>,
    case: Option<Res<ActiveCase>>,
) {
    let presets = case.map_or_else(|| default_presets("CT"), |c| c.windows.clone());
    let mut after = *window;
    for request in requests.read() {
        apply(request, &mut after, &presets);
    }
    window.set_if_neq(after);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alone_it_takes_a_preset() {
        let mut app = App::new();
        app.add_plugins(WindowLevelPlugin);
        app.world_mut().write_message(WindowRequested::Preset("lung".to_owned()));
        app.update();
        assert_eq!(*app.world().resource::<WindowLevel>(), WindowLevel { center: -600.0, width: 1500.0 });
    }

    #[test]
    fn presets_go_round_and_widths_stay_positive() {
        let presets = default_presets("CT");
        let mut window = WindowLevel::from(&presets[0]);
        for n in 1..=presets.len() {
            apply(&WindowRequested::NextPreset, &mut window, &presets);
            assert_eq!(window, WindowLevel::from(&presets[n % presets.len()]));
        }
        apply(&WindowRequested::Adjust { center: 0.0, width: -1e9 }, &mut window, &presets);
        assert_eq!(window.width, 1.0);
        apply(&WindowRequested::Adjust { center: f32::NAN, width: 0.0 }, &mut window, &presets);
        assert_eq!(window.center, 40.0);
        apply(&WindowRequested::Preset("unknown".to_owned()), &mut window, &presets);
        assert_eq!(window.width, 1.0);
    }

    #[test]
    fn grey_runs_over_the_width() {
        let window = WindowLevel { center: 40.0, width: 400.0 };
        assert_eq!([-160.0, 40.0, 240.0, 3000.0].map(|v| window.grey(v)), [0.0, 0.5, 1.0, 1.0]);
    }
}
