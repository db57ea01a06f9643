//! The one place for cut planes.
//!
//! A plane lives in patient millimetres, so it stays in the anatomy when the body is moved or magnified. What lies on the
//! side its normal points to is cut away.

use bevy_app::{App, Plugin};
use bevy_ecs::prelude::*;
use glam::DQuat;
use serde::{Deserialize, Serialize};
use space::{AnatomicalDirection, Lps, Point, Vector};

use crate::walk::{Walk, WalkSystems, ensure_walk};

/// Keeps [`ClipPlanes`].
#[derive(Default)]
pub struct ClipPlugin;

impl Plugin for ClipPlugin {
    fn build(&self, app: &mut App) {
        ensure_walk(app);
        app.add_message::<ClipRequested>()
            .init_resource::<ClipPlanes>()
            .configure_sets(Walk, ClipSystems::Apply.in_set(WalkSystems::Apply));
    }
}

/// The steps of clipping.
#[derive(SystemSet, Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ClipSystems {
    /// Changes [`ClipPlanes`] as requested. Runs in [`Walk`].
    Apply,
}

/// A wish to cut; about the plane with index [`ClipPlanes::active`].
#[derive(Message, Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub enum ClipRequested {
    /// Cut, or stop cutting.
    Enable(bool),
    /// Cut if not cutting, and the other way round.
    Toggle,
    /// Cut away the other side.
    Flip,
    /// Push along the normal.
    Move {
        /// Positive cuts away less.
        millimetres: f64,
    },
    /// Turn about the plane's point.
    Rotate {
        /// In patient axes; unit quaternion x, y, z, w.
        by: DQuat,
    },
    /// Lay the plane across a direction, through its point; cuts away that side.
    Align(AnatomicalAxis),
    /// Put the plane where it is told.
    Place(ClipPlane),
    /// Off, and back to where it began.
    Reset,
}

/// A direction of the body that can be written to a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum AnatomicalAxis {
    /// The patient's right.
    Right,
    /// The patient's left.
    Left,
    /// Front.
    Anterior,
    /// Back.
    Posterior,
    /// Head.
    Superior,
    /// Feet.
    Inferior,
}

impl AnatomicalAxis {
    /// As `space` calls it.
    pub fn direction(self) -> AnatomicalDirection {
        match self {
            Self::Right => AnatomicalDirection::Right,
            Self::Left => AnatomicalDirection::Left,
            Self::Anterior => AnatomicalDirection::Anterior,
            Self::Posterior => AnatomicalDirection::Posterior,
            Self::Superior => AnatomicalDirection::Superior,
            Self::Inferior => AnatomicalDirection::Inferior,
        }
    }
}

/// One cut plane.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct ClipPlane {
    /// Does it cut.
    pub enabled: bool,
    /// A point on it.
    pub point: Point<Lps>,
    /// Of unit length; its side is cut away.
    pub normal: Vector<Lps>,
}

/// All cut planes; what any enabled one cuts away is gone. Undoable.
#[derive(Resource, Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ClipPlanes {
    /// At least one.
    pub planes: Vec<ClipPlane>,
    /// The plane that requests are about.
    pub active: usize,
}

impl Default for ClipPlanes {
    fn default() -> Self {
        let normal = AnatomicalDirection::Anterior.lps();
        Self { planes: vec![ClipPlane { enabled: false, point: Point::ZERO, normal }], active: 0 }
    }
}
