//! The session record: every input and what came of it, as JSON lines; and its replay.
//!
//! The walk's clock starts when a case is staged, and so does its record. A line is an [`Input`] (`"event":"Input"`), which a
//! replay sends again in the same frame, or an event that followed, which a replay brings about again.

mod record;
mod replay;

use bevy_app::{App, Plugin};
use bevy_ecs::prelude::*;
use serde::{Deserialize, Serialize};

use crate::command::Undone;
use crate::input::Input;
use crate::locomotion::{Scaled, Teleported};
use crate::measure::MeasureTaken;
use crate::pointer::Selected;
use crate::stage::StageSystems;
use crate::visibility::StructureChanged;
use crate::walk::{Walk, WalkSystems, ensure_walk};

pub use self::record::{SCHEMA, SessionRecorder};
pub use self::replay::{SessionError, SessionReplay};

/// Writes the record of a [`SessionRecorder`], plays back a [`SessionReplay`], and ends the walk.
#[derive(Default)]
pub struct SessionPlugin;

impl Plugin for SessionPlugin {
    fn build(&self, app: &mut App) {
        ensure_walk(app);
        app.add_message::<WalkEndRequested>()
            .add_message::<WalkEnded>()
            .add_message::<SessionLost>()
            .add_message::<Input>()
            .add_message::<StructureChanged>()
            .add_message::<Teleported>()
            .add_message::<Scaled>()
            .add_message::<MeasureTaken>()
            .add_message::<Undone>()
            .add_message::<Selected>()
            .configure_sets(
                Walk,
                (
                    SessionSystems::Replay.in_set(WalkSystems::Clock).after(StageSystems::Spawn),
                    (SessionSystems::End, SessionSystems::Record).chain().in_set(WalkSystems::Record),
                ),
            )
            .add_systems(
                Walk,
                (
                    replay::play.in_set(SessionSystems::Replay).run_if(resource_exists::<SessionReplay>),
                    end_walk.in_set(SessionSystems::End),
                    record::write_record.in_set(SessionSystems::Record).run_if(resource_exists::<SessionRecorder>),
                ),
            );
    }
}

/// The steps of a session.
#[derive(SystemSet, Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SessionSystems {
    /// Writes this frame's recorded inputs. Runs in [`Walk`].
    Replay,
    /// Answers [`WalkEndRequested`]. Runs in [`Walk`].
    End,
    /// Writes this frame's lines. Runs in [`Walk`].
    Record,
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

/// The walk is over; the app leaves its loop. Sent once.
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

fn end_walk(mut requests: MessageReader<WalkEndRequested>, mut ended: MessageWriter<WalkEnded>, mut over: Local<bool>) {
    if let Some(request) = requests.read().next()
        && !*over
    {
        *over = true;
        ended.write(WalkEnded { reason: request.reason.clone() });
    }
    requests.clear();
}

#[cfg(test)]
mod tests;
