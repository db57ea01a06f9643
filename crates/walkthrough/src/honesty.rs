//! Where the picture's knowledge comes from, shown on request: measured or inferred, surface error, confidence.

use bevy_app::{App, Plugin};
use bevy_ecs::prelude::*;
use serde::{Deserialize, Serialize};

use crate::walk::ensure_walk;

/// Keeps [`Overlay`].
#[derive(Default)]
pub struct HonestyPlugin;

impl Plugin for HonestyPlugin {
    fn build(&self, app: &mut App) {
        ensure_walk(app);
        app.add_message::<OverlayRequested>().init_resource::<Overlay>();
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
