//! Where the picture's knowledge comes from, shown on request: measured or inferred, surface error, confidence.

use bevy_app::{App, Plugin};
use bevy_ecs::prelude::*;
use serde::{Deserialize, Serialize};

use crate::stage::SegmentInfo;
use crate::text::{Text, text};
use crate::walk::{Walk, WalkSystems, ensure_walk};

/// Keeps [`Overlay`].
#[derive(Default)]
pub struct HonestyPlugin;

impl Plugin for HonestyPlugin {
    fn build(&self, app: &mut App) {
        ensure_walk(app);
        app.add_message::<OverlayRequested>().init_resource::<Overlay>().add_systems(
            Walk,
            (choose_overlay.in_set(WalkSystems::Apply), color_segments.in_set(WalkSystems::Present)),
        );
    }
}

/// A wish to see where the picture comes from.
#[derive(Message, Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum OverlayRequested {
    /// Show this.
    Show(Overlay),
    /// The next in order, then none.
    Next,
}

/// What the segments' colours tell.
#[derive(Resource, Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Overlay {
    /// Which structure it is.
    #[default]
    None,
    /// Measured, interpolated or inferred by a model.
    Provenance,
    /// How far the surface may lie from the label boundary.
    SurfaceError,
    /// How sure the model was.
    Confidence,
}

/// What [`Overlay`] makes of a segment; on every segment, and `render` draws its colour while an overlay is on.
#[derive(Component, Clone, Debug, PartialEq)]
pub struct HonestColor {
    /// sRGB.
    pub color: [u8; 3],
    /// The same in words, for the panel: nothing is told by colour alone.
    pub words: String,
}

impl Overlay {
    /// All, in the order [`OverlayRequested::Next`] goes through them.
    pub const ALL: [Self; 4] = [Self::None, Self::Provenance, Self::SurfaceError, Self::Confidence];
}

/// From good to bad; told apart by the colour-blind too, as they differ in lightness (after viridis).
const SCALE: [[u8; 3]; 4] = [[68, 57, 131], [33, 145, 140], [144, 215, 67], [253, 231, 37]];
/// For what is not known.
const UNKNOWN: [u8; 3] = [150, 150, 150];

/// Surface errors from which on the next colour of the scale is taken, in mm; our choice, about a voxel of a thin-slice CT.
const ERROR_STEPS_MM: [f64; 3] = [0.5, 1.0, 2.0];
/// Doubts, 1 − confidence, from which on the next colour is taken; our choice.
const DOUBT_STEPS: [f64; 3] = [0.05, 0.15, 0.3];
/// Inferred shares in percent from which on the next colour is taken; our choice.
const INFERRED_STEPS: [f64; 3] = [0.01, 10.0, 50.0];

/// What an overlay makes of a segment, as colour and in words.
pub fn honest_color(overlay: Overlay, info: &SegmentInfo) -> HonestColor {
    let on_scale = |value: f64, steps: [f64; 3]| SCALE[steps.iter().filter(|s| value >= **s).count()];
    match overlay {
        Overlay::None => HonestColor { color: info.color, words: String::new() },
        Overlay::Provenance => {
            let share = info.inferred_percent;
            let words = if share >= INFERRED_STEPS[0] {
                format!("{share:.0} % {}", text(Text::MadeUp))
            } else if info.confidence.is_some() {
                text(Text::OutlineByModel).to_owned()
            } else {
                text(Text::NothingMadeUp).to_owned()
            };
            HonestColor { color: on_scale(share, INFERRED_STEPS), words }
        }
        Overlay::SurfaceError => match info.surface_error_mm {
            Some(mm) => HonestColor {
                color: on_scale(mm, ERROR_STEPS_MM),
                words: format!("{} {mm:.2} mm", text(Text::SurfaceWithin)),
            },
            None => HonestColor { color: UNKNOWN, words: text(Text::NotMeasured).to_owned() },
        },
        Overlay::Confidence => match info.confidence {
            Some(confidence) => HonestColor {
                color: on_scale(1.0 - confidence, DOUBT_STEPS),
                words: format!("{} {:.0} %", text(Text::ModelSure), confidence * 100.0),
            },
            None => HonestColor { color: UNKNOWN, words: text(Text::NoModel).to_owned() },
        },
    }
}

fn choose_overlay(mut requests: MessageReader<OverlayRequested>, mut overlay: ResMut<Overlay>) {
    for request in requests.read() {
        let wanted = match request {
            OverlayRequested::Show(wanted) => *wanted,
            OverlayRequested::Next => {
                let at = Overlay::ALL.iter().position(|o| *o == *overlay).unwrap_or(0);
                Overlay::ALL[(at + 1) % Overlay::ALL.len()]
            }
        };
        overlay.set_if_neq(wanted);
    }
}

fn color_segments(
    overlay: Res<Overlay>,
    mut segments: Query<(&SegmentInfo, &mut HonestColor)>,
    added: Query<(), Added<SegmentInfo>>,
) {
    if overlay.is_changed() || !added.is_empty() {
        for (info, mut color) in &mut segments {
            color.set_if_neq(honest_color(*overlay, info));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_support::fake_case;

    #[test]
    fn alone_it_goes_through_the_overlays() {
        let mut app = App::new();
        app.add_plugins(HonestyPlugin);
        for expected in [Overlay::Provenance, Overlay::SurfaceError, Overlay::Confidence, Overlay::None] {
            app.world_mut().write_message(OverlayRequested::Next);
            app.update();
            assert_eq!(*app.world().resource::<Overlay>(), expected);
        }
    }

    #[test]
    fn every_overlay_says_in_words_what_its_colour_says() {
        let info = fake_case().segments[0].info.clone();
        assert_eq!(honest_color(Overlay::None, &info).color, info.color);
        let unsure = SegmentInfo { confidence: Some(0.6), inferred_percent: 40.0, ..info.clone() };
        let sure = SegmentInfo { confidence: Some(0.99), surface_error_mm: Some(3.0), ..info };
        for overlay in [Overlay::Provenance, Overlay::SurfaceError, Overlay::Confidence] {
            let (a, b) = (honest_color(overlay, &unsure), honest_color(overlay, &sure));
            assert!(a.color != b.color && a.words != b.words && !a.words.is_empty(), "{overlay:?}: {a:?} {b:?}");
        }
        assert_eq!(honest_color(Overlay::Provenance, &unsure).words, "40 % made up, not measured");
        // Nobody who sees a network's structure should take its outline for the scanner's.
        let drawn = SegmentInfo { inferred_percent: 0.0, ..unsure };
        assert!(honest_color(Overlay::Provenance, &drawn).words.contains("drawn by a model"));
        let plain = SegmentInfo { confidence: None, ..drawn };
        assert!(honest_color(Overlay::Provenance, &plain).words.contains("no model"));
    }
}
