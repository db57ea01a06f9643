//! A fixed tour: named shots as data, set up through the same requests a user makes.

use bevy_app::{App, Plugin};
use bevy_ecs::prelude::*;

use crate::walk::ensure_walk;

/// Steps through the shots of a [`Tour`] resource, if there is one.
#[derive(Default)]
pub struct TourPlugin;

impl Plugin for TourPlugin {
    fn build(&self, app: &mut App) {
        ensure_walk(app);
    }
}

/// The tour to be taken; insert it to start.
#[derive(Resource, Clone, Debug, PartialEq)]
pub struct Tour {
    /// Its shots in order.
    pub shots: Vec<String>,
}
