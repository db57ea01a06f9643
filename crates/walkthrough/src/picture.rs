//! Taking pictures: asked for here, taken by `render`, answered by it.

use bevy_app::{App, Plugin};
use bevy_ecs::prelude::*;
use serde::{Deserialize, Serialize};

use crate::walk::ensure_walk;

/// Registers the messages about pictures.
#[derive(Default)]
pub struct PicturePlugin;

impl Plugin for PicturePlugin {
    fn build(&self, app: &mut App) {
        ensure_walk(app);
        app.add_message::<PictureRequested>().add_message::<PictureTaken>();
    }
}

/// A wish for a picture of the next frame drawn.
#[derive(Message, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PictureRequested {
    /// File name without folder and ending; none: the taker numbers it.
    pub stem: Option<String>,
}

/// A picture lies on the disk, or could not be written.
#[derive(Message, Clone, Debug, PartialEq, Eq)]
pub struct PictureTaken {
    /// File name without folder.
    pub file: String,
    /// Why it failed; none if it did not.
    pub problem: Option<String>,
}
