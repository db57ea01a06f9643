//! Hands, controllers, pointing rays and the teleport's arc, drawn plainly.

use bevy::asset::RenderAssetUsages;
use bevy::mesh::{Indices, PrimitiveTopology};
use bevy::prelude::*;
use walkthrough::locomotion::RigRoot;

use crate::eyes::transform;
use crate::input::Hands;

/// Length of the visible pointing ray, in metres.
const RAY_M: f32 = 3.0;
const JOINTS: usize = 26;

/// What a drawn thing follows.
#[derive(Component, Clone, Copy, Debug)]
pub(crate) enum Part {
    Controller(usize),
    Ray(usize),
    Joint { hand: usize, joint: usize },
    Arc,
    Landing,
}

/// Spawns everything below the rig, hidden until tracked.
pub(crate) fn spawn(
    mut commands: Commands,
    mut meshes: ResMut<Assets<Mesh>>,
    mut materials: ResMut<Assets<StandardMaterial>>,
    rig: Query<Entity, With<RigRoot>>,
) {
    let Ok(rig) = rig.single() else {
        error!("the walk has no rig to hang the hands on");
        return;
    };
    let mut unlit = |color: Color| {
        materials.add(StandardMaterial { base_color: color, unlit: true, alpha_mode: AlphaMode::Blend, ..default() })
    };
    let (skin, light) = (unlit(Color::srgb(0.82, 0.84, 0.88)), unlit(Color::srgba(0.35, 0.75, 1.0, 0.65)));
    let controller = meshes.add(Capsule3d::new(0.017, 0.09));
    let ray = meshes.add(Cylinder::new(0.0015, 1.0));
    let joint = meshes.add(Sphere::new(0.007));
    let arc = meshes.add(ribbon(&[]));
    let landing = meshes.add(Torus::new(0.16, 0.2));
    let mut part = |part: Part, mesh: &Handle<Mesh>, material: &Handle<StandardMaterial>| {
        commands.spawn((
            part,
            Mesh3d(mesh.clone()),
            MeshMaterial3d(material.clone()),
            Transform::default(),
            Visibility::Hidden,
            ChildOf(rig),
        ));
    };
    for hand in [0, 1] {
        part(Part::Controller(hand), &controller, &skin);
        part(Part::Ray(hand), &ray, &light);
        for index in 0..JOINTS {
            part(Part::Joint { hand, joint: index }, &joint, &skin);
        }
    }
    part(Part::Arc, &arc, &light);
    part(Part::Landing, &landing, &light);
}

/// Puts every part where the hands are this frame.
pub(crate) fn place(
    hands: Res<Hands>,
    mut meshes: ResMut<Assets<Mesh>>,
    mut parts: Query<(&Part, &Mesh3d, &mut Transform, &mut Visibility)>,
) {
    for (part, mesh, mut place, mut visibility) in &mut parts {
        let to = match *part {
            Part::Controller(hand) if hands.joints[hand].is_none() => {
                // A capsule stands upright; a controller lies along the grip's −Z.
                hands.state[hand].grip.map(|p| transform(p) * Transform::from_rotation(Quat::from_rotation_x(-1.2)))
            }
            Part::Controller(_) => None,
            Part::Ray(hand) => hands.state[hand].aim.filter(|_| hands.arc.is_empty() || hand == 0).map(|p| {
                let turn = Quat::from_rotation_x(-std::f32::consts::FRAC_PI_2);
                let shift = Transform::from_translation(Vec3::NEG_Z * (RAY_M / 2.0));
                transform(p) * shift * Transform::from_rotation(turn).with_scale(Vec3::new(1.0, RAY_M, 1.0))
            }),
            Part::Joint { hand, joint } => {
                let at = hands.joints[hand].as_ref().and_then(|joints| joints.get(joint));
                at.map(|p| Transform::from_translation(Vec3::from_array(*p)))
            }
            Part::Arc => (!hands.arc.is_empty()).then(Transform::default),
            Part::Landing => hands.arc.last().map(|p| Transform::from_translation(*p + Vec3::Y * 0.01)),
        };
        if matches!(part, Part::Arc)
            && to.is_some()
            && let Some(mut mesh) = meshes.get_mut(&mesh.0)
        {
            *mesh = ribbon(&hands.arc);
        }
        visibility.set_if_neq(if to.is_some() { Visibility::Inherited } else { Visibility::Hidden });
        if let Some(to) = to {
            *place = to;
        }
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
    let strips = points.len().saturating_sub(1) as u32;
    let quad = |i: u32| {
        let [a, b, c, d] = [2 * i, 2 * i + 1, 2 * i + 2, 2 * i + 3];
        [a, b, c, c, b, d, a, c, b, c, d, b]
    };
    Mesh::new(PrimitiveTopology::TriangleList, RenderAssetUsages::default())
        .with_inserted_attribute(Mesh::ATTRIBUTE_POSITION, positions)
        .with_inserted_attribute(Mesh::ATTRIBUTE_NORMAL, normals)
        .with_inserted_indices(Indices::U32((0..strips).flat_map(quad).collect()))
}
