//! The cut face of each clip plane: the scan's own grey values inside what is shown.

use bevy::prelude::*;
use walkthrough::clip::{ClipPlane, ClipPlanes};
use walkthrough::stage::{BodyPose, BodyRoot};

use crate::meshes::{TriangleCount, body_from_lps_mm};
use crate::slice_planes::{ScanOnStage, SliceMaterial, scan_sphere, unit_quad};
use crate::span::{systems_clock, timed};
use crate::stage::{MAX_CLIP_PLANES, NO_PLANE, RenderWalkSystems, Stage};

/// The quad of one clip plane, by its place in [`ClipPlanes`].
#[derive(Component, Clone, Copy, Debug, PartialEq, Eq)]
struct CapQuad(usize);

/// Cuts, and draws what the cut lays open.
pub(crate) struct ClipCapPlugin;

impl Plugin for ClipCapPlugin {
    fn build(&self, app: &mut App) {
        let clock = systems_clock(app);
        app.init_resource::<ClipPlanes>()
            .init_resource::<BodyPose>()
            .add_systems(Update, spawn_caps.after(walkthrough::walk::WalkRun))
            .add_systems(PostUpdate, timed(&clock, place_caps).before(TransformSystems::Propagate))
            .add_systems(PostUpdate, timed(&clock, update_planes).in_set(RenderWalkSystems::Prepare));
    }
}

fn spawn_caps(
    mut commands: Commands,
    scan: Option<Res<ScanOnStage>>,
    mut meshes: ResMut<Assets<Mesh>>,
    mut materials: ResMut<Assets<SliceMaterial>>,
    roots: Query<Entity, With<BodyRoot>>,
    old: Query<Entity, With<CapQuad>>,
) {
    let Some(scan) = scan.filter(DetectChanges::is_changed) else { return };
    for entity in &old {
        commands.entity(entity).despawn();
    }
    let Some(root) = roots.iter().next() else { return };
    let quad = meshes.add(unit_quad());
    for plane in 0..MAX_CLIP_PLANES {
        commands.spawn((
            CapQuad(plane),
            Mesh3d(quad.clone()),
            MeshMaterial3d(materials.add(SliceMaterial::cap(&scan, plane))),
            TriangleCount(2),
            Visibility::Hidden,
            ChildOf(root),
        ));
    }
}

fn place_caps(
    planes: Res<ClipPlanes>,
    scan: Option<Res<ScanOnStage>>,
    added: Query<(), Added<CapQuad>>,
    mut caps: Query<(&CapQuad, &mut Transform, &mut Visibility)>,
) {
    let Some(scan) = scan else { return };
    if !planes.is_changed() && added.is_empty() {
        return;
    }
    for (cap, mut transform, mut visibility) in &mut caps {
        let plane = planes.planes.get(cap.0).filter(|plane| plane.enabled);
        visibility.set_if_neq(if plane.is_some() { Visibility::Inherited } else { Visibility::Hidden });
        if let Some(plane) = plane {
            *transform = cap_transform(plane, &scan);
        }
    }
}

/// A square on the plane that covers whatever of the scan it meets.
fn cap_transform(plane: &ClipPlane, scan: &ScanOnStage) -> Transform {
    let (middle, radius_mm) = scan_sphere(&scan.geometry);
    let normal = plane.normal.get();
    let foot = middle.get() - normal * (middle.get() - plane.point.get()).dot(normal);
    let at = body_from_lps_mm(foot.into());
    // Directions go the way points go, from any zero.
    let facing = body_from_lps_mm((foot + normal).into()) - at;
    Transform {
        translation: at,
        rotation: Quat::from_rotation_arc(Vec3::Z, facing.normalize_or(Vec3::Z)),
        scale: Vec3::splat((radius_mm * 2e-3) as f32),
    }
}

fn update_planes(mut stage: ResMut<Stage>, planes: Res<ClipPlanes>, pose: Res<BodyPose>) {
    if !planes.is_changed() && !pose.is_changed() {
        return;
    }
    let mut next = *stage;
    next.clip_planes = [NO_PLANE; MAX_CLIP_PLANES];
    let scene_from_lps = pose.scene_from_lps();
    for (slot, plane) in next.clip_planes.iter_mut().zip(&planes.planes) {
        if plane.enabled {
            let point = (scene_from_lps * plane.point).get();
            let normal = (scene_from_lps * plane.normal).get().normalize_or_zero();
            *slot = normal.extend(-normal.dot(point)).as_vec4();
        }
    }
    stage.set_if_neq(next);
}
