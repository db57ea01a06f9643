//! Marks in the room: letters on the floor round the patient, and measured distances with their numbers.

use bevy::camera::visibility::NoFrustumCulling;
use bevy::prelude::*;
use space::AnatomicalDirection;
use walkthrough::locomotion::Viewer;
use walkthrough::measure::Measurements;
use walkthrough::stage::{BodyPose, BodyRoot, StartingState};
use walkthrough::walk::WalkRun;

use crate::anatomy_material::MarkMaterial;
use crate::letters::MarkMesh;
use crate::meshes::{TriangleCount, body_from_lps_mm};
use crate::orientation::letter_color;
use crate::room::RoomRing;
use crate::span::{systems_clock, timed};

/// The letters on the floor.
#[derive(Component, Clone, Copy, Debug)]
struct FloorLetters;

/// Lines and ends of all measurements, child of the body.
#[derive(Component, Clone, Copy, Debug)]
struct MeasureLines;

/// The number of a measurement, upright towards the eye.
#[derive(Component, Clone, Copy, Debug)]
struct MeasureLabel {
    at: Vec3,
}

/// Draws the marks.
pub(crate) struct MarksPlugin;

impl Plugin for MarksPlugin {
    fn build(&self, app: &mut App) {
        let clock = systems_clock(app);
        app.init_resource::<MarkMaterials>().init_resource::<Measurements>().add_systems(
            Update,
            (timed(&clock, draw_floor_letters), timed(&clock, draw_measurements), timed(&clock, face_labels))
                .chain()
                .after(WalkRun),
        );
    }
}

#[derive(Resource)]
struct MarkMaterials {
    letters: Handle<MarkMaterial>,
    over_all: Handle<MarkMaterial>,
    letters_over_all: Handle<MarkMaterial>,
}

impl FromWorld for MarkMaterials {
    fn from_world(world: &mut World) -> Self {
        let mut materials = world.resource_mut::<Assets<MarkMaterial>>();
        Self {
            letters: materials.add(MarkMaterial::letters()),
            over_all: materials.add(MarkMaterial::lit().over_all()),
            letters_over_all: materials.add(MarkMaterial::letters().over_all()),
        }
    }
}

/// The smallest ring round a patient, in metres: an arm's length.
const SMALLEST_RING_M: f32 = 0.75;
/// How far outside of the body the ring lies, as a share of the body's reach.
const RING_ROOM: f32 = 1.25;
/// Height of the letters on the floor as a share of the ring's radius.
const FLOOR_LETTER: f32 = 0.20;

/// Middle on the floor and radius of the ring round the body as it lies now.
fn ring(start: &StartingState, body: &BodyPose) -> (Vec2, f32) {
    let scene_from_body = body.scene_from_body();
    let middle = (scene_from_body * start.extent.centre()).get().as_vec3();
    let (low, high) = (start.extent.low.get(), start.extent.high.get());
    let reach = (0..8)
        .map(|corner| {
            let pick = |axis: usize| if corner >> axis & 1 == 0 { low[axis] } else { high[axis] };
            let at = (scene_from_body * space::Point::new(pick(0), pick(1), pick(2))).get().as_vec3();
            Vec2::new(at.x - middle.x, at.z - middle.z).length()
        })
        .fold(0.0, f32::max);
    (Vec2::new(middle.x, middle.z), (reach * RING_ROOM).max(SMALLEST_RING_M))
}

fn draw_floor_letters(
    mut commands: Commands,
    start: Option<Res<StartingState>>,
    body: Res<BodyPose>,
    mut room: ResMut<RoomRing>,
    mut drawn: Local<Option<[AnatomicalDirection; 5]>>,
    mut meshes: ResMut<Assets<Mesh>>,
    materials: Res<MarkMaterials>,
    mut floor: Query<(Entity, &mut Transform), With<FloorLetters>>,
) {
    let Some(start) = start else { return };
    if !start.is_changed() && !body.is_changed() {
        return;
    }
    let (middle, radius) = ring(&start, &body);
    room.set_if_neq(RoomRing { middle, radius });
    let place = Transform::from_xyz(middle.x, 0.002, middle.y).with_scale(Vec3::splat(radius));
    // Which directions of the body the room's +X, +Z, −X, −Z and the floor are.
    let lps_from_scene = body.lps_from_scene();
    let directions = [Vec3::X, Vec3::Z, Vec3::NEG_X, Vec3::NEG_Z, Vec3::NEG_Y].map(|v| {
        let along = lps_from_scene * space::Vector::new(v.x.into(), v.y.into(), v.z.into());
        AnatomicalDirection::nearest(along)
    });
    for (_, mut transform) in &mut floor {
        transform.set_if_neq(place);
    }
    if *drawn == Some(directions) && !floor.is_empty() {
        return;
    }
    *drawn = Some(directions);
    for (entity, _) in &floor {
        commands.entity(entity).despawn();
    }
    let mesh = floor_mesh(directions);
    commands.spawn((
        FloorLetters,
        TriangleCount(mesh.indices().map_or(0, |i| i.len() as u32 / 3)),
        Mesh3d(meshes.add(mesh)),
        MeshMaterial3d(materials.letters.clone()),
        place,
    ));
}

/// Letters on a ring of radius 1, each to be read by who stands beside it and looks at the patient.
fn floor_mesh(directions: [AnatomicalDirection; 5]) -> Mesh {
    let mut mesh = MarkMesh::default();
    let lying = Quat::from_rotation_x(-std::f32::consts::FRAC_PI_2);
    for (quarter, direction) in directions.into_iter().enumerate() {
        let letter = direction.display_letter().to_string();
        let color = letter_color(direction) * 0.75;
        let frame = if quarter == 4 {
            Mat4::from_rotation_translation(lying, Vec3::ZERO) * Mat4::from_scale(Vec3::splat(FLOOR_LETTER * 0.6))
        } else {
            // Quarter 0 is at +X, 1 at +Z, as seen from above clockwise; unturned, a letter reads from +Z.
            let turn = Quat::from_rotation_y(std::f32::consts::FRAC_PI_2 * (1.0 - quarter as f32));
            let at = turn * Vec3::new(0.0, 0.0, 1.0 + FLOOR_LETTER * 0.8);
            Mat4::from_rotation_translation(turn * lying, at) * Mat4::from_scale(Vec3::splat(FLOOR_LETTER))
        };
        mesh.text(&letter, frame, color);
    }
    mesh.into_mesh()
}

/// Radius of a measuring line at life size, in metres.
const LINE_RADIUS_M: f32 = 0.0011;
/// Height of a measurement's number, in metres for each metre of distance.
const LABEL_HEIGHT: f32 = 0.024;

fn draw_measurements(
    mut commands: Commands,
    measurements: Res<Measurements>,
    body: Res<BodyPose>,
    roots: Query<Entity, With<BodyRoot>>,
    mut meshes: ResMut<Assets<Mesh>>,
    materials: Res<MarkMaterials>,
    old: Query<Entity, Or<(With<MeasureLines>, With<MeasureLabel>)>>,
    mut drawn_at: Local<f64>,
) {
    let size = body.magnification.0;
    let is_resized = (size / *drawn_at - 1.0).abs() > 0.1 && !old.is_empty();
    if !measurements.is_changed() && !is_resized {
        return;
    }
    for entity in &old {
        commands.entity(entity).despawn();
    }
    *drawn_at = size;
    let Some(root) = roots.iter().next() else { return };
    // Thicker when magnified, but less than the body is: a line has no size of its own.
    let radius = LINE_RADIUS_M / (size.sqrt() as f32);
    let line_color = LinearRgba::rgb(1.0, 0.80, 0.22);
    let mut lines = MarkMesh::default();
    for measurement in &measurements.list {
        let [from, to] = [0, 1].map(|end| body_from_lps_mm(measurement.ends[end].at));
        lines.rod(from, to, radius, line_color);
        for end in [from, to] {
            lines.ellipsoid(Vec3::splat(radius * 2.6), Mat4::from_translation(end), line_color);
        }
        let text = format!("{:.1} mm", measurement.length().0);
        let mut label = MarkMesh::default();
        label.text(&text, Mat4::IDENTITY, LinearRgba::rgb(1.0, 0.93, 0.70));
        let mesh = label.into_mesh();
        commands.spawn((
            MeasureLabel { at: (from + to) / 2.0 },
            TriangleCount(mesh.indices().map_or(0, |i| i.len() as u32 / 3)),
            Mesh3d(meshes.add(mesh)),
            MeshMaterial3d(materials.letters_over_all.clone()),
            NoFrustumCulling,
            Transform::IDENTITY,
        ));
    }
    if let Some(pending) = &measurements.pending {
        let at = body_from_lps_mm(pending.at);
        lines.ellipsoid(Vec3::splat(radius * 3.2), Mat4::from_translation(at), LinearRgba::rgb(1.0, 0.45, 0.15));
    }
    if lines.is_empty() {
        return;
    }
    let mesh = lines.into_mesh();
    commands.spawn((
        MeasureLines,
        TriangleCount(mesh.indices().map_or(0, |i| i.len() as u32 / 3)),
        Mesh3d(meshes.add(mesh)),
        MeshMaterial3d(materials.over_all.clone()),
        NoFrustumCulling,
        ChildOf(root),
    ));
}

/// Numbers face the eye, keep their size in the picture, and stand a little above their line.
fn face_labels(viewer: Res<Viewer>, body: Res<BodyPose>, mut labels: Query<(&MeasureLabel, &mut Transform)>) {
    if labels.is_empty() {
        return;
    }
    let scene_from_body = body.scene_from_body();
    let eye = viewer.0.position.as_vec3();
    for (label, mut transform) in &mut labels {
        let at =
            (scene_from_body * space::Point::new(label.at.x.into(), label.at.y.into(), label.at.z.into())).as_vec3();
        let height = LABEL_HEIGHT * eye.distance(at).max(0.1);
        let up = viewer.0.rotation * Vec3::Y;
        transform.set_if_neq(Transform {
            translation: at + up * height,
            rotation: viewer.0.rotation,
            scale: Vec3::splat(height),
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bevy::mesh::VertexAttributeValues;

    #[test]
    fn the_left_letter_lies_at_plus_x_and_faces_up() {
        use AnatomicalDirection::{Anterior, Inferior, Left, Posterior, Right};
        let mesh = floor_mesh([Left, Anterior, Right, Posterior, Inferior]);
        let Some(VertexAttributeValues::Float32x3(positions)) = mesh.attribute(Mesh::ATTRIBUTE_POSITION) else {
            panic!("positions")
        };
        let Some(VertexAttributeValues::Float32x3(normals)) = mesh.attribute(Mesh::ATTRIBUTE_NORMAL) else {
            panic!("normals")
        };
        assert!(normals.iter().all(|n| n[1] > 0.99));
        // The first letter is L at +X; who stands there and looks at the patient has the room's −Z to their right, and
        // that is where the foot of the L points, at its outer edge.
        let first: Vec<Vec3> = positions.iter().map(|p| Vec3::from_array(*p)).take_while(|p| p.x > 0.8).collect();
        assert!(!first.is_empty());
        let outer = first.iter().filter(|p| p.x > 1.0 + FLOOR_LETTER * 1.2);
        let reach = outer.map(|p| p.z).fold(f32::MAX, f32::min);
        assert!(reach < -0.03, "{reach}");
    }
}
