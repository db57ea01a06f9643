//! Axial, coronal and sagittal planes with the scan on them.

use bevy_app::{App, Plugin};
use bevy_ecs::prelude::*;
use serde::{Deserialize, Serialize};
use space::{AnatomicalDirection, Lps, Point};

use crate::walk::{Walk, WalkSystems, ensure_walk};

/// Keeps [`ScanPlanes`].
#[derive(Default)]
pub struct PlanesPlugin;

impl Plugin for PlanesPlugin {
    fn build(&self, app: &mut App) {
        ensure_walk(app);
        app.add_message::<PlanesRequested>()
            .init_resource::<ScanPlanes>()
            .configure_sets(Walk, PlanesSystems::Apply.in_set(WalkSystems::Apply));
    }
}

/// The steps of the scan planes.
#[derive(SystemSet, Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PlanesSystems {
    /// Changes [`ScanPlanes`] as requested. Runs in [`Walk`].
    Apply,
}

/// Which way a plane lies in the body.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum PlaneKind {
    /// Across the body; its position is the S coordinate.
    Axial,
    /// Along the shoulders; its position is the P coordinate.
    Coronal,
    /// From front to back; its position is the L coordinate.
    Sagittal,
}

/// A wish about the scan planes.
#[derive(Message, Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub enum PlanesRequested {
    /// Show or hide one.
    Show {
        /// Which.
        kind: PlaneKind,
        /// Shown afterwards.
        visible: bool,
    },
    /// Show what is hidden and the other way round.
    Toggle(PlaneKind),
    /// Step by slices of the scan along the plane's normal.
    Step {
        /// Which.
        kind: PlaneKind,
        /// Positive goes to head, back or left.
        slices: i32,
    },
    /// Put at a coordinate.
    Place {
        /// Which.
        kind: PlaneKind,
        /// LPS coordinate along the normal; clamped to the scan.
        position_mm: f64,
    },
    /// All three through a point.
    Through(Point<Lps>),
    /// All hidden, through the middle of the scan.
    Reset,
}

/// One scan plane.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ScanPlane {
    /// Is it drawn.
    pub visible: bool,
    /// LPS coordinate along its normal.
    pub position_mm: f64,
}

/// The three scan planes; undoable.
#[derive(Resource, Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ScanPlanes {
    /// Position along S.
    pub axial: ScanPlane,
    /// Position along P.
    pub coronal: ScanPlane,
    /// Position along L.
    pub sagittal: ScanPlane,
}

/// A plane as a rectangle in the patient, with the letters of its edges.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PlaneRectangle {
    /// Seen as radiologists look at it: top left, top right, bottom right, bottom left.
    pub corners: [Point<Lps>; 4],
    /// The direction of the body at the top, right, bottom and left edge; show [`AnatomicalDirection::display_letter`].
    pub edges: [AnatomicalDirection; 4],
}
