//! Cameras that look into the room, whichever display made them.

use std::path::PathBuf;

use bevy::camera::RenderTarget;
use bevy::core_pipeline::tonemapping::{DebandDither, Tonemapping};
use bevy::prelude::*;
use bevy::render::extract_component::{ExtractComponent, ExtractComponentPlugin};
use bevy::render::view::NoIndirectDrawing;
use bevy::window::{PrimaryWindow, exit_on_primary_closed};
use walkthrough::hands::HandPose;
use walkthrough::input::Input;
use walkthrough::locomotion::{HeadAnchor, RigRoot};
use walkthrough::panel::{PanelHome, PanelRequested};

use crate::plugin::DisplayKind;
use crate::tier::RenderTier;

/// A camera that looks into the room: window, picture, or one eye of a headset.
///
/// Put it on any 3D camera; this crate then sets what its pictures need and counts what it draws.
#[derive(Component, Clone, Copy, Debug, Default, ExtractComponent)]
pub struct ViewCamera;

/// What the orientation figure floats before: a desktop camera, or the tracked head of a headset.
///
/// The figure hangs `distance_m` ahead, and so far sideways and up as the tangents say.
#[derive(Component, Clone, Copy, Debug, PartialEq)]
pub struct FigureHost {
    /// Metres straight ahead.
    pub distance_m: f32,
    /// Tangents of the angles to the right and up; none: the lower right corner of the camera on this entity.
    pub tangents: Option<Vec2>,
}

impl FigureHost {
    /// In the lower right corner of a camera's picture.
    pub const CORNER: Self = Self { distance_m: 0.5, tangents: None };
    /// Low and to the right in a headset, where both eyes see it.
    pub const HEADSET: Self = Self { distance_m: 0.9, tangents: Some(Vec2::new(0.36, -0.36)) };
}

/// The camera of window and offscreen displays.
#[derive(Component, Clone, Copy, Debug, Default)]
pub struct DesktopCamera;

/// Where the desktop camera draws; the window if absent.
#[derive(Resource, Clone, Debug)]
pub(crate) struct PictureTarget(pub(crate) RenderTarget);

/// Where pictures are written; without it, asking for one reports a problem.
#[derive(Resource, Clone, Debug, PartialEq, Eq)]
pub struct PictureFolder(pub PathBuf);

/// Nearest thing a desktop camera draws, in metres: close enough to stand in a vessel.
pub const NEAR_M: f32 = 0.02;
/// Vertical field of view of a desktop camera.
const FIELD_OF_VIEW_DEGREES: f32 = 55.0;

/// Sets up cameras.
pub(crate) struct ViewPlugin;

impl Plugin for ViewPlugin {
    fn build(&self, app: &mut App) {
        app.add_plugins(ExtractComponentPlugin::<ViewCamera>::default())
            .add_systems(PreStartup, show_rig)
            .add_systems(Update, spawn_desktop_camera.run_if(|kind: Res<DisplayKind>| *kind != DisplayKind::Headset))
            .add_systems(PostUpdate, adopt_views.before(bevy::camera::CameraUpdateSystems))
            .add_systems(
                PostUpdate,
                exit_on_primary_closed.run_if(|kind: Res<DisplayKind>| *kind == DisplayKind::Window),
            );
    }
}

/// What hangs on rig, head and hands can be seen; `walkthrough` itself knows nothing of seeing.
fn show_rig(mut commands: Commands, parts: Query<Entity, Or<(With<RigRoot>, With<HeadAnchor>, With<HandPose>)>>) {
    for part in &parts {
        commands.entity(part).insert(Visibility::default());
    }
}

fn spawn_desktop_camera(
    mut commands: Commands,
    heads: Query<Entity, With<HeadAnchor>>,
    cameras: Query<(), With<DesktopCamera>>,
    target: Option<Res<PictureTarget>>,
) {
    let Some(head) = heads.iter().next().filter(|_| cameras.is_empty()) else { return };
    let mut camera = commands.spawn((
        Camera3d::default(),
        Projection::Perspective(PerspectiveProjection {
            fov: FIELD_OF_VIEW_DEGREES.to_radians(),
            near: NEAR_M,
            far: 500.0,
            ..default()
        }),
        Transform::IDENTITY,
        DesktopCamera,
        ViewCamera,
        FigureHost::CORNER,
        IsDefaultUiCamera,
        ChildOf(head),
        Name::new("desktop camera"),
    ));
    if let Some(target) = &target {
        camera.insert(target.0.clone());
    }
}

/// Despawns all entities that a filter lets through, and what hangs on them.
pub(crate) fn despawn_all<F: bevy::ecs::query::QueryFilter>(world: &mut World) {
    let entities: Vec<Entity> = world.query_filtered::<Entity, F>().iter(world).collect();
    for entity in entities {
        world.despawn(entity);
    }
}

/// Opens a window on a walk whose headset is gone, and looks into the room through it. Needs Bevy's `WinitPlugin`.
pub fn open_window(world: &mut World) {
    world.insert_resource(DisplayKind::Window);
    world.insert_resource(PanelHome::Screen);
    let mut eyes = world.query_filtered::<(Entity, &mut Camera), With<ViewCamera>>();
    let mut gone = Vec::new();
    for (eye, mut camera) in eyes.iter_mut(world) {
        camera.is_active = false;
        gone.push(eye);
    }
    for eye in gone {
        world.entity_mut(eye).remove::<ViewCamera>();
    }
    crate::orientation::remove_figures(world);
    crate::hands::remove_hands(world);
    crate::plates::remove_plates(world);
    crate::shade::remove_shade(world);
    // A panel that hung in the room would stay behind when the walker goes on by mouse.
    world.write_message(Input::from(PanelRequested::CloseAll));
    world.spawn((crate::plugin::window(), PrimaryWindow));
}

/// No tone curve but the shaders' own, and draws that are recorded one by one, as headsets need them.
fn adopt_views(
    mut commands: Commands,
    tier: Res<RenderTier>,
    mut added: Query<(Entity, &mut Camera), Added<ViewCamera>>,
) {
    for (entity, mut camera) in &mut added {
        camera.clear_color = ClearColorConfig::Custom(Color::BLACK);
        commands.entity(entity).insert((tier.msaa(), Tonemapping::None, DebandDither::Disabled, NoIndirectDrawing));
    }
}
