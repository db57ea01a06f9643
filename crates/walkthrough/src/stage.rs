//! The patient on stage: one entity a segment, the case's facts, and where the body stands.

use std::sync::Arc;

use bevy_app::{App, Plugin};
use bevy_ecs::prelude::*;
use bevy_transform::components::Transform;
use glam::{DMat3, DQuat, DVec3};
use serde::{Deserialize, Serialize};
use space::{Affine, Lps, Magnification, Point, Scene};
use volume::{Code, ImageGeometry, Label};

use crate::frame::{Body, body_from_lps, lps_from_body};
use crate::walk::{Walk, WalkSystems, ensure_walk};

/// Spawns the segments of a case and places the body in the room.
#[derive(Default)]
pub struct StagePlugin;

impl Plugin for StagePlugin {
    fn build(&self, app: &mut App) {
        ensure_walk(app);
        app.add_message::<StageRequested>()
            .add_message::<CaseStaged>()
            .init_resource::<BodyPose>()
            .add_systems(Walk, place_body.in_set(WalkSystems::Present).in_set(StageSystems::Place));
    }
}

/// The steps of the stage.
#[derive(SystemSet, Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StageSystems {
    /// Spawns a case's segments. Runs in [`Walk`].
    Spawn,
    /// Writes [`BodyPose`] to the transform of [`BodyRoot`]. Runs in [`Walk`].
    Place,
}

/// A case is to be put on the stage in place of the one that is there.
#[derive(Message, Clone, Debug)]
pub struct StageRequested(pub Arc<StageContents>);

/// A case stands on the stage; its entities exist.
#[derive(Message, Clone, Copy, Debug, PartialEq, Eq)]
pub struct CaseStaged;

/// Everything a walk needs of a case: plain data, made off the frame by the app's loader.
#[derive(Clone, Debug)]
pub struct StageContents {
    /// The case's facts.
    pub case: ActiveCase,
    /// In order of label.
    pub segments: Vec<SegmentInfo>,
}

/// The case on stage.
#[derive(Resource, Clone, Debug, PartialEq)]
pub struct ActiveCase {
    /// What its users call the case; always to be shown.
    pub alias: Option<String>,
    /// Of the case, as the session record names it.
    pub checksum: String,
    /// `CT`, `MR`, …
    pub modality: String,
    /// The scan's grid.
    pub geometry: ImageGeometry,
    /// Ways to map the scan's values to grey; the first is the default.
    pub windows: Vec<crate::window_level::WindowPreset>,
}

/// A segment on stage; every entity with this is a child of [`BodyRoot`].
#[derive(Component, Clone, Debug, PartialEq)]
pub struct SegmentInfo {
    /// Its label in the case.
    pub label: Label,
    /// Labels it contains beside its own.
    pub parts: Vec<Label>,
    /// Stable machine name, the GLB node's.
    pub name: String,
    /// Name for people.
    pub display: String,
    /// SNOMED CT concept.
    pub code: Option<Code>,
    /// sRGB.
    pub color: [u8; 3],
    /// Which layer it belongs to, such as `bone`.
    pub group: String,
    /// Where the group lies, outermost first; [`PeelRequested`](crate::visibility::VisibilityRequested) goes by it.
    pub peel_rank: u8,
    /// Of its voxels.
    pub volume_ml: f64,
    /// Largest distance of the finest surface from the label boundary, in mm, where the case says.
    pub surface_error_mm: Option<f64>,
    /// The model's confidence, 0 to 1; none if it was not inferred.
    pub confidence: Option<f64>,
    /// Share of its voxels that a model inferred, in percent.
    pub inferred_percent: f64,
}

/// The entity whose transform lays the whole body into the scene.
#[derive(Component, Clone, Copy, Debug, Default, PartialEq, Eq)]
#[require(Transform)]
pub struct BodyRoot;

/// Where the body is and how large; a similarity, so nothing is ever stretched.
#[derive(Resource, Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct BodyPose {
    /// Where the zero of [`Body`] lies.
    pub position: Point<Scene>,
    /// Unit quaternion x, y, z, w.
    pub rotation: DQuat,
    /// 1 is life size.
    pub magnification: Magnification,
}

impl Default for BodyPose {
    fn default() -> Self {
        Self { position: Point::ZERO, rotation: DQuat::IDENTITY, magnification: Magnification::LIFE_SIZE }
    }
}

impl BodyPose {
    /// Lays the body's own metres into the scene.
    pub fn scene_from_body(&self) -> Affine<Scene, Body> {
        Affine::new(DMat3::from_quat(self.rotation) * self.magnification.0, self.position.get())
    }

    /// The way back.
    pub fn body_from_scene(&self) -> Affine<Body, Scene> {
        let linear = DMat3::from_quat(self.rotation.conjugate()) * self.magnification.0.recip();
        Affine::new(linear, -(linear * self.position.get()))
    }

    /// Lays patient millimetres into the scene.
    pub fn scene_from_lps(&self) -> Affine<Scene, Lps> {
        self.scene_from_body() * body_from_lps()
    }

    /// The way back to patient millimetres.
    pub fn lps_from_scene(&self) -> Affine<Lps, Scene> {
        lps_from_body() * self.body_from_scene()
    }

    /// The same pose at another size, with `pivot` staying where it is.
    #[must_use]
    pub fn magnified(&self, to: Magnification, pivot: Point<Scene>) -> Self {
        let ratio = to.0 / self.magnification.0;
        Self { position: pivot + (self.position - pivot) * ratio, magnification: to, ..*self }
    }

    /// As Bevy writes it.
    pub fn transform(&self) -> Transform {
        Transform {
            translation: self.position.as_vec3(),
            rotation: self.rotation.as_quat(),
            scale: DVec3::splat(self.magnification.0).as_vec3(),
        }
    }
}

fn place_body(pose: Res<BodyPose>, mut roots: Query<&mut Transform, With<BodyRoot>>) {
    if pose.is_changed() {
        for mut transform in &mut roots {
            *transform = pose.transform();
        }
    }
}
