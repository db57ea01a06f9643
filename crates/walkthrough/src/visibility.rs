//! What is drawn: show, hide, fade, solo and peel, for one segment, a group or all; and search among them.

use bevy_app::{App, Plugin};
use bevy_ecs::prelude::*;
use serde::{Deserialize, Serialize};
use volume::Label;

use crate::walk::{Walk, WalkSystems, ensure_walk};

/// Keeps [`SegmentLook`], [`Peeled`] and what follows from them, [`Drawn`].
#[derive(Default)]
pub struct VisibilityPlugin;

impl Plugin for VisibilityPlugin {
    fn build(&self, app: &mut App) {
        ensure_walk(app);
        app.add_message::<VisibilityRequested>()
            .add_message::<StructureChanged>()
            .init_resource::<Peeled>()
            .configure_sets(
                Walk,
                (
                    VisibilitySystems::Apply.in_set(WalkSystems::Apply),
                    VisibilitySystems::Derive.in_set(WalkSystems::Present),
                ),
            );
    }
}

/// The steps of visibility.
#[derive(SystemSet, Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum VisibilitySystems {
    /// Changes [`SegmentLook`] and [`Peeled`] as requested. Runs in [`Walk`].
    Apply,
    /// Derives [`Drawn`], only when something changed. Runs in [`Walk`].
    Derive,
}

/// What a request is about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Target {
    /// One segment by label.
    Segment(Label),
    /// One segment by machine name.
    Named(String),
    /// All segments of a group.
    Group(String),
    /// All segments.
    All,
}

/// A wish to see more or less.
#[derive(Message, Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum VisibilityRequested {
    /// Show, also out of a peeled layer.
    Show(Target),
    /// Hide.
    Hide(Target),
    /// Show what is hidden, hide what is shown; a group is hidden if any of it is shown.
    Toggle(Target),
    /// Make glassy.
    Fade {
        /// What.
        target: Target,
        /// 0 is invisible, 1 solid; clamped.
        opacity: f32,
    },
    /// Show only this; asked again for the same, show the rest again.
    Solo(Target),
    /// Show everything, solid and unpeeled.
    ShowAll,
    /// Take off the outermost layer that is still shown.
    Peel,
    /// Put back the layer taken off last.
    Unpeel,
}

/// A segment was shown, hidden or faded; for the record and for cues.
#[derive(Message, Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StructureChanged {
    /// Machine name.
    pub name: String,
    /// What happened.
    pub change: LookChange,
}

/// What happened to how a segment looks.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub enum LookChange {
    /// It is drawn now.
    Shown,
    /// It is not drawn now.
    Hidden,
    /// It is drawn with this opacity now.
    Faded(f32),
}

/// How the user set a segment; undoable.
#[derive(Component, Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct SegmentLook {
    /// Taken out of sight by itself.
    pub hidden: bool,
    /// One of those shown alone.
    pub solo: bool,
    /// 0 to 1.
    pub opacity: f32,
}

impl Default for SegmentLook {
    fn default() -> Self {
        Self { hidden: false, solo: false, opacity: 1.0 }
    }
}

/// What follows for drawing and picking; the only thing `render` needs to read.
#[derive(Component, Clone, Copy, Debug, PartialEq)]
pub struct Drawn {
    /// False if hidden, peeled, not among those soloed, or of opacity zero.
    pub visible: bool,
    /// 0 to 1; below 1 it is glassy.
    pub opacity: f32,
}

/// The groups taken off, in the order they were; undoable.
#[derive(Resource, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Peeled(pub Vec<String>);
