//! What is heard, as messages: the app passes them on to `sound`.

use bevy_app::{App, Plugin};
use bevy_ecs::prelude::*;
use serde::{Deserialize, Serialize};
use space::{Point, Scene};

use crate::walk::{Walk, WalkSystems, ensure_walk};

/// Names the sounds that belong to what happens.
#[derive(Default)]
pub struct CuePlugin;

impl Plugin for CuePlugin {
    fn build(&self, app: &mut App) {
        ensure_walk(app);
        app.add_message::<CueRequested>()
            .add_message::<HeartbeatAt>()
            .configure_sets(Walk, CueSystems::Name.in_set(WalkSystems::Present));
    }
}

/// The steps of cues.
#[derive(SystemSet, Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CueSystems {
    /// Writes [`CueRequested`] and [`HeartbeatAt`]. Runs in [`Walk`].
    Name,
}

/// A short sound of the interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum CueName {
    /// A pointer came over a control.
    Hover,
    /// A structure was chosen or a control pressed.
    Select,
    /// The walker stands elsewhere.
    Teleport,
    /// The view turned by a snap.
    Snap,
    /// A picture was taken.
    Shutter,
    /// Something could not be done.
    Error,
    /// A measuring point was placed.
    Measure,
    /// Something was shown.
    Show,
    /// Something was hidden.
    Hide,
    /// A step was undone or redone.
    Undo,
    /// Everything is as it was at the start.
    Reset,
}

/// A sound is to be played once.
#[derive(Message, Clone, Copy, Debug, PartialEq, Eq)]
pub struct CueRequested(pub CueName);

/// The heart beats here from now on; none: it is silent.
#[derive(Message, Clone, Copy, Debug, PartialEq)]
pub struct HeartbeatAt {
    /// Middle of the heart.
    pub point: Option<Point<Scene>>,
}
