//! The session record: every input and what came of it, as JSON lines; and its replay.

use bevy_app::{App, Plugin};
use bevy_ecs::prelude::*;
use serde::{Deserialize, Serialize};

use crate::walk::ensure_walk;

/// Writes the record and plays one back.
#[derive(Default)]
pub struct SessionPlugin;

impl Plugin for SessionPlugin {
    fn build(&self, app: &mut App) {
        ensure_walk(app);
        app.add_message::<WalkEndRequested>().add_message::<WalkEnded>().add_message::<SessionLost>();
    }
}

/// Why a walk ends.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum EndReason {
    /// The user closed it.
    Closed,
    /// The tour is over.
    TourOver,
    /// The number of frames asked for is drawn.
    FramesDrawn,
    /// The replayed record is over.
    ReplayOver,
    /// The headset went away and there is no other display.
    SessionLost,
    /// Something failed.
    Failed {
        /// One sentence for the user.
        message: String,
    },
}

/// A wish to end the walk.
#[derive(Message, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WalkEndRequested {
    /// Why.
    pub reason: EndReason,
}

/// The walk is over; the app leaves its loop.
#[derive(Message, Clone, Debug, PartialEq, Eq)]
pub struct WalkEnded {
    /// Why.
    pub reason: EndReason,
}

/// The headset's runtime went away; `headset` writes it.
#[derive(Message, Clone, Debug, PartialEq, Eq)]
pub struct SessionLost {
    /// One sentence for the user.
    pub message: String,
}
