//! Undo and redo: one history of everything a user changes.
//!
//! The history compares state before and after each frame, so no plugin can forget to record itself. A step is what
//! changed in one frame; steps of one drag are joined. The walker's own movement is not undone, except by undoing a reset.

use bevy_app::{App, Plugin};
use bevy_ecs::prelude::*;
use serde::{Deserialize, Serialize};
use volume::Label;

use crate::clip::ClipPlanes;
use crate::locomotion::Rig;
use crate::measure::Measurements;
use crate::planes::ScanPlanes;
use crate::stage::BodyPose;
use crate::visibility::{Peeled, SegmentLook};
use crate::walk::{Walk, WalkSystems, ensure_walk};
use crate::window_level::WindowLevel;

/// Keeps [`History`] and answers [`HistoryRequested`] and [`ResetRequested`].
#[derive(Default)]
pub struct CommandPlugin;

impl Plugin for CommandPlugin {
    fn build(&self, app: &mut App) {
        ensure_walk(app);
        app.add_message::<HistoryRequested>()
            .add_message::<ResetRequested>()
            .add_message::<Undone>()
            .init_resource::<History>()
            .configure_sets(Walk, CommandSystems::Record.in_set(WalkSystems::History));
    }
}

/// The steps of the history.
#[derive(SystemSet, Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CommandSystems {
    /// Undoes, redoes, and writes down what this frame changed. Runs in [`Walk`].
    Record,
}

/// A wish to go back or forth in the history.
#[derive(Message, Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum HistoryRequested {
    /// Take back the last step.
    Undo,
    /// Do again what was taken back last.
    Redo,
}

/// Everything as it was at the start: pose, size, all shown, cut and planes off, first window. One undoable step.
#[derive(Message, Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResetRequested;

/// A step was taken back or done again.
#[derive(Message, Clone, Copy, Debug, PartialEq, Eq)]
pub struct Undone {
    /// Which of the two.
    pub direction: HistoryRequested,
}

/// One piece of state before and after.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// How a segment looks.
    Look {
        /// Which.
        label: Label,
        /// What it was.
        before: SegmentLook,
        /// What it became.
        after: SegmentLook,
    },
    /// Layers taken off.
    Peeled {
        /// What it was.
        before: Peeled,
        /// What it became.
        after: Peeled,
    },
    /// Cut planes.
    Clip {
        /// What it was.
        before: ClipPlanes,
        /// What it became.
        after: ClipPlanes,
    },
    /// Scan planes.
    Planes {
        /// What it was.
        before: ScanPlanes,
        /// What it became.
        after: ScanPlanes,
    },
    /// Window.
    Window {
        /// What it was.
        before: WindowLevel,
        /// What it became.
        after: WindowLevel,
    },
    /// Measurements.
    Measurements {
        /// What it was.
        before: Measurements,
        /// What it became.
        after: Measurements,
    },
    /// Size and place of the body.
    Body {
        /// What it was.
        before: BodyPose,
        /// What it became.
        after: BodyPose,
    },
    /// The walker's place; by a reset only.
    Rig {
        /// What it was.
        before: Rig,
        /// What it became.
        after: Rig,
    },
}

/// What one act of the user changed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Step {
    /// In a fixed order, each piece of state at most once.
    pub changes: Vec<Change>,
}

/// All steps that can be undone or redone.
#[derive(Resource, Clone, Debug, Default, PartialEq)]
pub struct History {
    /// Oldest first; the last is undone next.
    pub done: Vec<Step>,
    /// The last is redone next.
    pub undone: Vec<Step>,
}
