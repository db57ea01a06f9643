//! Taking hold with a squeeze: the world with both hands, a structure with one.

use bevy_app::{App, Plugin};
use bevy_ecs::prelude::*;
use serde::{Deserialize, Serialize};

use crate::hands::Hand;
use crate::walk::ensure_walk;

/// Moves what the hands hold.
#[derive(Default)]
pub struct GrabPlugin;

impl Plugin for GrabPlugin {
    fn build(&self, app: &mut App) {
        ensure_walk(app);
        app.add_message::<GrabRequested>().add_message::<StructureGrabbed>();
    }
}

/// A squeeze began or ended.
#[derive(Message, Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum GrabRequested {
    /// The hand closed.
    Start {
        /// Which.
        hand: Hand,
    },
    /// The hand opened.
    End {
        /// Which.
        hand: Hand,
    },
}

/// A hand took or let go of a structure.
#[derive(Message, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StructureGrabbed {
    /// Machine name.
    pub name: String,
    /// True when taken, false when let go.
    pub held: bool,
}
