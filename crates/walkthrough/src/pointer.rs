//! Rays from the crosshair and the hands, and what they meet.

use bevy_app::{App, Plugin};
use bevy_ecs::prelude::*;
use serde::{Deserialize, Serialize};
use space::{Lps, Point, Scene, Vector};
use volume::Label;

use crate::frame::Ray;
use crate::hands::Hand;
use crate::walk::{Walk, WalkSystems, ensure_walk};

/// Casts the rays of [`Pointer`]s at the body.
#[derive(Default)]
pub struct PointerPlugin;

impl Plugin for PointerPlugin {
    fn build(&self, app: &mut App) {
        ensure_walk(app);
        app.add_message::<PointerRequested>()
            .add_message::<Selected>()
            .init_resource::<Selection>()
            .configure_sets(Walk, (PointerSystems::Aim, PointerSystems::Hit).chain().in_set(WalkSystems::Point));
    }
}

/// The steps of pointing.
#[derive(SystemSet, Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PointerSystems {
    /// Takes rays from head and hands. Runs in [`Walk`].
    Aim,
    /// Finds what they meet. Runs in [`Walk`].
    Hit,
}

/// Who points.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum PointerId {
    /// The middle of the view, or the mouse if the app gives its ray.
    Crosshair,
    /// A hand or its controller.
    Hand(Hand),
}

/// A wish to point or to choose.
#[derive(Message, Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub enum PointerRequested {
    /// From now on the crosshair follows this ray; none: the middle of the view.
    AimCrosshair(Option<Ray>),
    /// Choose what the pointer meets: selects, places a measuring point, presses a panel in space.
    Press(PointerId),
    /// Let go.
    Release(PointerId),
    /// Nothing is selected any more.
    Deselect,
}

/// The user chose a structure, or nothing.
#[derive(Message, Clone, Debug, PartialEq)]
pub struct Selected {
    /// By which pointer.
    pub pointer: PointerId,
    /// What was met; none if the ray went into the void.
    pub hit: Option<Pointed>,
}

/// A ray that may meet things; one entity each.
#[derive(Component, Clone, Copy, Debug, PartialEq)]
pub struct Pointer {
    /// Whose.
    pub id: PointerId,
    /// None while untracked or over a panel.
    pub ray: Option<Ray>,
}

/// What a pointer meets.
#[derive(Clone, Debug, PartialEq)]
pub struct Pointed {
    /// The segment's entity.
    pub entity: Entity,
    /// Its label.
    pub label: Label,
    /// Its machine name.
    pub name: String,
    /// Its name for people.
    pub display: String,
    /// Where, in the patient.
    pub point: Point<Lps>,
    /// Where, in the scene.
    pub at: Point<Scene>,
    /// The surface's outward normal, of unit length.
    pub normal: Vector<Scene>,
    /// From the ray's start, in scene metres.
    pub distance_m: f64,
    /// True if met on a cut face.
    pub on_cut: bool,
}

/// What the pointer on this entity meets now.
#[derive(Component, Clone, Debug, Default, PartialEq)]
pub struct PointedAt(pub Option<Pointed>);

/// The structure the user chose.
#[derive(Resource, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Selection(pub Option<Label>);
