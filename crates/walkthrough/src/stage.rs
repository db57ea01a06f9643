//! The patient on stage: one entity a segment, the case's facts, and where the body stands.

pub mod bvh;
mod contents;
mod read;

use std::sync::Arc;

use bevy_app::{App, Plugin};
use bevy_ecs::prelude::*;
use bevy_transform::components::Transform;
use glam::{DMat3, DQuat, DVec3};
use serde::{Deserialize, Serialize};
use space::{Affine, Lps, Magnification, Point, Scene};
use volume::{Code, ImageGeometry, Label};

pub use self::bvh::TriangleBvh;
pub use self::contents::{Extent, PickMesh, StageContents, StagedSegment, group_of_name, standing_height_m};
pub use self::read::StageError;
use crate::clip::ClipPlanes;
use crate::frame::{Body, body_from_lps, lps_from_body};
use crate::honesty::HonestColor;
use crate::locomotion::{Rig, STARTING_DISTANCE_M};
use crate::planes::ScanPlanes;
use crate::visibility::{SegmentLook, drawn};
use crate::walk::{Walk, WalkClock, WalkSystems, ensure_walk};
use crate::window_level::WindowLevel;

/// Spawns the segments of a case and places the body in the room.
#[derive(Default)]
pub struct StagePlugin;

impl Plugin for StagePlugin {
    fn build(&self, app: &mut App) {
        ensure_walk(app);
        app.add_message::<StageRequested>()
            .add_message::<CaseStaged>()
            .init_resource::<BodyPose>()
            .configure_sets(
                Walk,
                (StageSystems::Spawn.in_set(WalkSystems::Clock), StageSystems::Place.in_set(WalkSystems::Present)),
            )
            .add_systems(Walk, (put_on_stage.in_set(StageSystems::Spawn), place_body.in_set(StageSystems::Place)));
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

/// Everything as it is when a case has just been staged; what a reset goes back to.
#[derive(Resource, Clone, Debug, PartialEq)]
pub struct StartingState {
    /// Standing upright, facing +Z, life-size.
    pub body: BodyPose,
    /// In front of the body.
    pub rig: Rig,
    /// Off, through the middle.
    pub clip: ClipPlanes,
    /// Off, through the middle.
    pub planes: ScanPlanes,
    /// The first preset.
    pub window: WindowLevel,
    /// Around the body's surfaces.
    pub extent: Extent,
}

/// The surface rays meet, in body metres; beside every [`SegmentInfo`].
#[derive(Component, Clone, Debug)]
pub struct PickShape(pub Arc<TriangleBvh>);

/// A segment on stage; every entity with this is a child of [`BodyRoot`].
#[derive(Component, Clone, Debug, PartialEq)]
pub struct SegmentInfo {
    /// Its label in the case.
    pub label: Label,
    /// Labels it contains beside its own.
    pub parts: Vec<Label>,
    /// Part of a structure of its own group, which stands for it: not drawn until it is asked for by itself, as their surfaces coincide.
    pub is_inner: bool,
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
    /// The same for people.
    pub group_display: String,
    /// Where the group lies, outermost first; [`Peel`](crate::visibility::VisibilityRequested::Peel) goes by it.
    pub peel_rank: u8,
    /// Of its voxels.
    pub volume_ml: f64,
    /// Largest distance of the finest surface from the label boundary, in mm, where the case says.
    pub surface_error_mm: Option<f64>,
    /// The same of the surface that rays meet, which may be coarser: how far a measuring point may be off.
    pub pick_error_mm: Option<f64>,
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

/// The starting state of a case: upright, at natural height, the walker in front, everything else off.
pub fn starting_state(contents: &StageContents) -> StartingState {
    let extent = contents.extent;
    let middle = extent.centre();
    let position = Point::new(-middle.x, standing_height_m(contents), -middle.z);
    let body = BodyPose { position, ..BodyPose::default() };
    let front = extent.size().z * 0.5;
    let rig = Rig { position: Point::new(0.0, 0.0, front + STARTING_DISTANCE_M), yaw_rad: 0.0 };
    let centre = lps_from_body() * middle;
    StartingState {
        body,
        rig,
        clip: ClipPlanes::through(centre),
        planes: ScanPlanes::through(lps_from_body() * Extent::of_scan(&contents.case.geometry).centre()),
        window: contents.case.windows.first().map(WindowLevel::from).unwrap_or_default(),
        extent,
    }
}

fn put_on_stage(
    mut commands: Commands,
    mut requests: MessageReader<StageRequested>,
    mut staged: MessageWriter<CaseStaged>,
    old: Query<Entity, With<BodyRoot>>,
    mut clock: ResMut<WalkClock>,
) {
    // Only the last counts: a case that nobody saw need not be spawned.
    let Some(StageRequested(contents)) = requests.read().last() else { return };
    for root in &old {
        commands.entity(root).despawn();
    }
    // A walk begins with its patient.
    (clock.frame, clock.t_s) = (0, 0.0);
    let start = starting_state(contents);
    let root = commands.spawn((BodyRoot, Name::new("Body"), start.body.transform())).id();
    for StagedSegment { info, shape } in &contents.segments {
        commands.spawn((
            Name::new(info.name.clone()),
            PickShape(Arc::clone(shape)),
            SegmentLook::at_first(info),
            drawn(&SegmentLook::at_first(info), false),
            HonestColor { color: info.color, words: String::new() },
            info.clone(),
            Transform::IDENTITY,
            ChildOf(root),
        ));
    }
    commands.insert_resource(contents.case.clone());
    commands.insert_resource(start.body);
    commands.insert_resource(start.rig);
    commands.insert_resource(start.clip.clone());
    commands.insert_resource(start.planes);
    commands.insert_resource(start.window);
    commands.insert_resource(crate::visibility::Peeled::default());
    commands.insert_resource(crate::measure::Measurements::default());
    commands.insert_resource(crate::pointer::Selection::default());
    commands.insert_resource(crate::command::History::default());
    commands.insert_resource(start);
    staged.write(CaseStaged);
}

fn place_body(pose: Res<BodyPose>, mut roots: Query<&mut Transform, With<BodyRoot>>) {
    if pose.is_changed() {
        for mut transform in &mut roots {
            *transform = pose.transform();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_support::{fake_case, head_case, staged_app};
    use crate::walk::WalkPlugin;

    #[test]
    fn alone_it_puts_segments_under_a_body() {
        let mut app = App::new();
        app.add_plugins(StagePlugin);
        app.world_mut().write_message(StageRequested(Arc::new(fake_case())));
        app.update();
        assert!(app.is_plugin_added::<WalkPlugin>());
        let count = app.world_mut().query::<(&SegmentInfo, &PickShape, &ChildOf)>().iter(app.world()).count();
        assert_eq!(count, fake_case().segments.len());
        assert_eq!(app.world().resource::<ActiveCase>().alias.as_deref(), Some("Fake torso"));
    }

    #[test]
    fn a_second_case_takes_the_place_of_the_first() {
        let mut app = staged_app(fake_case());
        app.world_mut().write_message(StageRequested(Arc::new(head_case())));
        app.update();
        let names: Vec<String> =
            app.world_mut().query::<&SegmentInfo>().iter(app.world()).map(|s| s.name.clone()).collect();
        assert_eq!(names, ["head"]);
    }

    #[test]
    fn the_patient_stands_upright_at_natural_height_facing_z() {
        for (contents, structure, low, high) in [
            (fake_case(), "heart", 1.15, 1.35),
            (fake_case(), "urinary_bladder", 0.8, 1.0),
            (head_case(), "head", 1.5, 1.7),
        ] {
            let start = starting_state(&contents);
            let centre = start.body.scene_from_body() * contents.centre_of(structure).unwrap();
            assert!((low..high).contains(&centre.y), "{structure} is {} m above the floor", centre.y);
            let lowest = start.body.scene_from_body() * start.extent.low;
            assert!(lowest.y >= 0.0, "feet side above the floor");
            let ahead = start.body.scene_from_lps() * space::AnatomicalDirection::Anterior.lps();
            assert!(ahead.z > 0.0 && ahead.x.abs() < 1e-12, "faces +Z");
            assert!(start.rig.position.z >= STARTING_DISTANCE_M, "walker in front");
        }
    }

    #[test]
    fn magnifying_keeps_the_pivot() {
        let pose = BodyPose { position: Point::new(0.3, 1.0, -0.2), ..BodyPose::default() };
        let pivot = Point::new(0.1, 1.3, 0.05);
        let before = pose.lps_from_scene() * pivot;
        let large = pose.magnified(Magnification(20.0), pivot);
        assert!((large.lps_from_scene() * pivot).distance(before) < 1e-9);
        let back = large.magnified(Magnification::LIFE_SIZE, pivot);
        assert!(back.position.distance(pose.position) < 1e-12);
    }
}
