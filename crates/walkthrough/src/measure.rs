//! Distances between points on surfaces, in patient millimetres whatever the magnification.

use bevy_app::{App, Plugin};
use bevy_ecs::prelude::*;
use serde::{Deserialize, Serialize};
use space::{Lps, Millimetres, Point};

use crate::walk::{Walk, WalkSystems, ensure_walk};

/// Keeps [`Measurements`].
#[derive(Default)]
pub struct MeasurePlugin;

impl Plugin for MeasurePlugin {
    fn build(&self, app: &mut App) {
        ensure_walk(app);
        app.add_message::<MeasureRequested>()
            .add_message::<MeasureTaken>()
            .init_resource::<Measurements>()
            .init_resource::<Tool>()
            .configure_sets(Walk, MeasureSystems::Apply.in_set(WalkSystems::Apply));
    }
}

/// The steps of measuring.
#[derive(SystemSet, Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MeasureSystems {
    /// Changes [`Measurements`] as requested. Runs in [`Walk`].
    Apply,
}

/// What a press of a pointer does.
#[derive(Resource, Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Tool {
    /// Selects the structure met.
    #[default]
    Select,
    /// Places a measuring point.
    Measure,
}

/// A wish to measure.
#[derive(Message, Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum MeasureRequested {
    /// Presses do this from now on.
    Use(Tool),
    /// Measuring if not, selecting if so.
    ToggleTool,
    /// A point on a surface; the second of a pair makes a measurement.
    Point {
        /// Where.
        at: Point<Lps>,
        /// Machine name of the structure there.
        on: String,
    },
    /// Forget the first point of an unfinished pair.
    Cancel,
    /// Take one away.
    Delete {
        /// Its [`Measurement::id`].
        id: u32,
    },
    /// Take all away.
    Clear,
}

/// A measurement was made; as the session record writes it.
#[derive(Message, Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MeasureTaken {
    /// `distance`.
    pub kind: String,
    /// In `unit`.
    pub value: f64,
    /// `mm`.
    pub unit: String,
}

/// One end of a measurement.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MeasurePoint {
    /// Where.
    pub at: Point<Lps>,
    /// Machine name of the structure there.
    pub on: String,
}

/// A straight distance.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Measurement {
    /// Unique in a walk.
    pub id: u32,
    /// Its ends.
    pub ends: [MeasurePoint; 2],
}

impl Measurement {
    /// Between the ends.
    pub fn length(&self) -> Millimetres {
        Millimetres(self.ends[0].at.distance(self.ends[1].at))
    }
}

/// All measurements and the beginning of the next; undoable.
#[derive(Resource, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Measurements {
    /// Oldest first.
    pub list: Vec<Measurement>,
    /// The first point of an unfinished pair.
    pub pending: Option<MeasurePoint>,
    /// The next id.
    pub next_id: u32,
}
