//! Hands, controllers, pointing rays and the teleport's arc in a headset: drawn plainly, over the body they reach into.

use bevy::asset::RenderAssetUsages;
use bevy::camera::visibility::NoFrustumCulling;
use bevy::mesh::{Indices, PrimitiveTopology};
use bevy::prelude::*;
use walkthrough::frame::{Pose, Tracking};
use walkthrough::hands::{Hand, HandPose, HandTracking, TeleportArc};
use walkthrough::locomotion::RigRoot;
use walkthrough::pointer::{PointedAt, Pointer, PointerId};

use crate::anatomy_material::MarkMaterial;
use crate::letters::MarkMesh;
use crate::meshes::TriangleCount;
use crate::plugin::DisplayKind;
use crate::span::{systems_clock, timed};

/// How far a ray that meets nothing is drawn, in metres.
const RAY_M: f32 = 3.0;
/// Radius of the dot where a ray ends, in metres for each metre of distance.
const DOT: f32 = 0.004;
/// Joints of a hand, as `XR_EXT_hand_tracking` counts them.
const JOINTS: usize = 26;

/// What a drawn thing follows.
#[derive(Component, Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    Controller(Hand),
    Ray(Hand),
    Dot(Hand),
    Joint { hand: Hand, joint: usize },
    Arc,
    Landing,
}

/// Draws hands where a headset tracks them.
pub(crate) struct HandsPlugin;

impl Plugin for HandsPlugin {
    fn build(&self, app: &mut App) {
        let clock = systems_clock(app);
        let in_headset = |kind: Res<DisplayKind>| *kind == DisplayKind::Headset;
        app.init_resource::<TeleportArc>()
            .add_systems(Startup, spawn_parts.run_if(in_headset))
            .add_systems(PostUpdate, timed(&clock, place_parts).run_if(in_headset).before(TransformSystems::Propagate));
    }
}

/// Everything below the rig, hidden until tracked.
fn spawn_parts(
    mut commands: Commands,
    mut meshes: ResMut<Assets<Mesh>>,
    mut materials: ResMut<Assets<MarkMaterial>>,
    rigs: Query<Entity, With<RigRoot>>,
) {
    let Some(rig) = rigs.iter().next() else { return };
    let (skin, light) = (LinearRgba::rgb(0.62, 0.65, 0.72), LinearRgba::rgb(0.10, 0.52, 1.0));
    let material = materials.add(MarkMaterial::lit().over_all());
    let mut add = |build: &dyn Fn(&mut MarkMesh)| {
        let mut mesh = MarkMesh::default();
        build(&mut mesh);
        let mesh = mesh.into_mesh();
        let triangles = mesh.indices().map_or(0, |i| i.len() as u32 / 3);
        (meshes.add(mesh), triangles)
    };
    // A controller lies along the grip's −Z, its head a little up.
    let controller = add(&|mesh| {
        mesh.rod(Vec3::new(0.0, -0.02, 0.05), Vec3::new(0.0, 0.012, -0.045), 0.017, skin);
        mesh.ellipsoid(Vec3::new(0.028, 0.014, 0.028), Mat4::from_translation(Vec3::new(0.0, 0.018, -0.055)), skin);
    });
    let ray = add(&|mesh| mesh.rod(Vec3::ZERO, Vec3::NEG_Z, 0.0012, light));
    let dot = add(&|mesh| mesh.ellipsoid(Vec3::ONE, Mat4::IDENTITY, light));
    let joint = add(&|mesh| mesh.ellipsoid(Vec3::splat(0.007), Mat4::IDENTITY, skin));
    let landing = add(&|mesh| {
        let ring = [[0.20, 0.0], [0.20, 0.008], [0.16, 0.008], [0.16, 0.0]];
        mesh.turned(&ring, Mat4::IDENTITY, light);
    });
    // Never without vertices: the device keeps no place for an empty mesh.
    let arc = (meshes.add(ribbon(&[Vec3::ZERO; 2])), 2);
    let mut spawn = |part: Part, (mesh, triangles): &(Handle<Mesh>, u32)| {
        commands.spawn((
            part,
            Mesh3d(mesh.clone()),
            MeshMaterial3d(material.clone()),
            TriangleCount(*triangles),
            NoFrustumCulling,
            Transform::IDENTITY,
            Visibility::Hidden,
            ChildOf(rig),
        ));
    };
    for hand in Hand::BOTH {
        spawn(Part::Controller(hand), &controller);
        spawn(Part::Ray(hand), &ray);
        spawn(Part::Dot(hand), &dot);
        (0..JOINTS).for_each(|index| spawn(Part::Joint { hand, joint: index }, &joint));
    }
    spawn(Part::Arc, &arc);
    spawn(Part::Landing, &landing);
}

/// Takes all hands away.
pub(crate) fn remove_hands(world: &mut World) {
    crate::view::despawn_all::<With<Part>>(world);
}

fn transform(pose: &Pose<Tracking>) -> Transform {
    Transform::from_translation(pose.position.as_vec3()).with_rotation(pose.rotation)
}

/// Puts every part where the hands are this frame.
fn place_parts(
    hands: Query<&HandPose>,
    pointers: Query<(&Pointer, &PointedAt)>,
    arc: Res<TeleportArc>,
    mut meshes: ResMut<Assets<Mesh>>,
    mut parts: Query<(&Part, &Mesh3d, &mut Transform, &mut Visibility)>,
) {
    let tracking = |hand: Hand| hands.iter().find(|h| h.hand == hand).and_then(|h| h.tracking.as_deref());
    let met_m = |hand: Hand| {
        let (_, at) = pointers.iter().find(|(pointer, _)| pointer.id == PointerId::Hand(hand))?;
        at.0.as_ref().map(|hit| hit.distance_m as f32)
    };
    let points: Vec<Vec3> = arc.0.iter().map(|p| p.as_vec3()).collect();
    for (part, mesh, mut place, mut visibility) in &mut parts {
        let to = place_of(*part, &points, tracking, met_m);
        if *part == Part::Arc
            && arc.is_changed()
            && to.is_some()
            && let Some(mut mesh) = meshes.get_mut(&mesh.0)
        {
            *mesh = ribbon(&points);
        }
        visibility.set_if_neq(if to.is_some() { Visibility::Inherited } else { Visibility::Hidden });
        if let Some(to) = to {
            place.set_if_neq(to);
        }
    }
}

/// Where a part is below the rig; none: it is not to be seen.
fn place_of<'a>(
    part: Part,
    arc: &[Vec3],
    tracking: impl Fn(Hand) -> Option<&'a HandTracking>,
    met_m: impl Fn(Hand) -> Option<f32>,
) -> Option<Transform> {
    match part {
        Part::Controller(hand) => tracking(hand).filter(|t| t.joints.is_empty()).map(|t| transform(&t.grip)),
        // The right hand aims teleports.
        Part::Ray(Hand::Right) | Part::Dot(Hand::Right) if !arc.is_empty() => None,
        Part::Ray(hand) => {
            let length = met_m(hand).unwrap_or(RAY_M);
            tracking(hand).map(|t| transform(&t.aim).with_scale(Vec3::new(1.0, 1.0, length)))
        }
        Part::Dot(hand) => {
            let length = met_m(hand)?;
            let end = Transform::from_translation(Vec3::NEG_Z * length);
            tracking(hand).map(|t| (transform(&t.aim) * end).with_scale(Vec3::splat(DOT * length.max(0.3))))
        }
        Part::Joint { hand, joint } => tracking(hand)?.joints.get(joint).map(transform),
        Part::Arc => (!arc.is_empty()).then_some(Transform::IDENTITY),
        Part::Landing => arc.last().map(|p| Transform::from_translation(*p)),
    }
}

/// A flat band along a line, seen from both sides.
fn ribbon(points: &[Vec3]) -> Mesh {
    const HALF_WIDTH_M: f32 = 0.01;
    let mut positions = Vec::with_capacity(points.len() * 2);
    for (index, point) in points.iter().enumerate() {
        let ahead = points.get(index + 1).copied().unwrap_or(*point) - points[index.saturating_sub(1)];
        let side = ahead.cross(Vec3::Y).normalize_or(Vec3::X) * HALF_WIDTH_M;
        positions.push((*point - side).to_array());
        positions.push((*point + side).to_array());
    }
    let normals = vec![[0.0, 1.0, 0.0]; positions.len()];
    let colors = vec![[0.10, 0.52, 1.0, 1.0]; positions.len()];
    let strips = points.len().saturating_sub(1) as u32;
    let quad = |i: u32| {
        let [a, b, c, d] = [2 * i, 2 * i + 1, 2 * i + 2, 2 * i + 3];
        [a, b, c, c, b, d]
    };
    Mesh::new(PrimitiveTopology::TriangleList, RenderAssetUsages::default())
        .with_inserted_attribute(Mesh::ATTRIBUTE_POSITION, positions)
        .with_inserted_attribute(Mesh::ATTRIBUTE_NORMAL, normals)
        .with_inserted_attribute(Mesh::ATTRIBUTE_COLOR, colors)
        .with_inserted_indices(Indices::U32((0..strips).flat_map(quad).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ray_ends_where_it_meets_something_and_untracked_hands_are_not_drawn() {
        let mut aim = Pose::IDENTITY;
        aim.position.y = 1.0;
        let tracked = HandTracking { grip: aim, aim, joints: Vec::new() };
        let hand = |which: Hand| (which == Hand::Right).then_some(&tracked);
        let ray = place_of(Part::Ray(Hand::Right), &[], hand, |_| Some(0.7)).unwrap();
        assert!((ray.transform_point(Vec3::NEG_Z) - Vec3::new(0.0, 1.0, -0.7)).length() < 1e-6);
        let dot = place_of(Part::Dot(Hand::Right), &[], hand, |_| Some(0.7)).unwrap();
        assert!((dot.translation - Vec3::new(0.0, 1.0, -0.7)).length() < 1e-6);
        assert!(place_of(Part::Dot(Hand::Right), &[], hand, |_| None).is_none());
        assert!(place_of(Part::Ray(Hand::Right), &[Vec3::ZERO], hand, |_| None).is_none(), "it aims a teleport");
        assert!(place_of(Part::Controller(Hand::Left), &[], hand, |_| None).is_none());
        assert!(place_of(Part::Controller(Hand::Right), &[], hand, |_| None).is_some());
    }
}
