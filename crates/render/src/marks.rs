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

/// A letter on the floor.
#[derive(Component, Clone, Copy, Debug)]
struct FloorLetter {
    /// Outward from the middle of the ring, or zero.
    place: Vec3,
    direction: AnatomicalDirection,
}

/// Where letters lie on the floor.
const FLOOR_PLACES: [Vec3; 5] = [Vec3::X, Vec3::Z, Vec3::NEG_X, Vec3::NEG_Z, Vec3::ZERO];

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
            (timed(&clock, place_floor_letters), timed(&clock, draw_measurements), timed(&clock, face_labels))
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
    floor: Vec<(AnatomicalDirection, Handle<Mesh>, u32)>,
}

impl MarkMaterials {
    fn floor_letter(&self, direction: AnatomicalDirection) -> (Handle<Mesh>, u32) {
        let found = self.floor.iter().find(|(d, ..)| *d == direction);
        found.map(|(_, mesh, triangles)| (mesh.clone(), *triangles)).unwrap_or_default()
    }
}

impl FromWorld for MarkMaterials {
    fn from_world(world: &mut World) -> Self {
        let mut meshes = world.resource_mut::<Assets<Mesh>>();
        let floor = AnatomicalDirection::ALL
            .into_iter()
            .map(|direction| {
                let mesh = floor_letter_mesh(direction);
                let triangles = mesh.indices().map_or(0, |i| i.len() as u32 / 3);
                (direction, meshes.add(mesh), triangles)
            })
            .collect();
        let mut materials = world.resource_mut::<Assets<MarkMaterial>>();
        Self {
            letters: materials.add(MarkMaterial::letters()),
            over_all: materials.add(MarkMaterial::lit().over_all()),
            letters_over_all: materials.add(MarkMaterial::letters().over_all()),
            floor,
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

fn place_floor_letters(
    mut commands: Commands,
    start: Option<Res<StartingState>>,
    (body, viewer): (Res<BodyPose>, Res<Viewer>),
    mut room: ResMut<RoomRing>,
    materials: Res<MarkMaterials>,
    mut floor: Query<(&mut FloorLetter, &mut Mesh3d, &mut TriangleCount, &mut Transform)>,
) {
    let Some(start) = start else { return };
    if !start.is_changed() && !body.is_changed() && !viewer.is_changed() {
        return;
    }
    let (middle, radius) = ring(&start, &body);
    room.set_if_neq(RoomRing { middle, radius });
    let lps_from_scene = body.lps_from_scene();
    let named = |place: Vec3| {
        let outward = if place == Vec3::ZERO { Vec3::NEG_Y } else { place };
        let along = lps_from_scene * space::Vector::new(outward.x.into(), outward.y.into(), outward.z.into());
        AnatomicalDirection::nearest(along)
    };
    let eye = viewer.0.position.as_vec3();
    if floor.is_empty() {
        for place in FLOOR_PLACES {
            let direction = named(place);
            let (mesh, triangles) = materials.floor_letter(direction);
            commands.spawn((
                FloorLetter { place, direction },
                TriangleCount(triangles),
                Mesh3d(mesh),
                MeshMaterial3d(materials.letters.clone()),
                floor_letter_transform(place, middle, radius, eye),
            ));
        }
        return;
    }
    for (mut letter, mut mesh, mut count, mut transform) in &mut floor {
        transform.set_if_neq(floor_letter_transform(letter.place, middle, radius, eye));
        let direction = named(letter.place);
        if letter.direction != direction {
            letter.direction = direction;
            (mesh.0, count.0) = materials.floor_letter(direction);
        }
    }
}

/// Flat on the floor, upright for whoever looks from `eye`.
fn floor_letter_transform(place: Vec3, middle: Vec2, radius: f32, eye: Vec3) -> Transform {
    let is_middle = place == Vec3::ZERO;
    let out = radius * (1.0 + FLOOR_LETTER * 0.8);
    let at = Vec3::new(middle.x, 0.002, middle.y) + place * out;
    let (x, z) = (eye.x - at.x, eye.z - at.z);
    let lying = Quat::from_rotation_x(-std::f32::consts::FRAC_PI_2);
    let size = radius * FLOOR_LETTER * if is_middle { 0.6 } else { 1.0 };
    // Unturned, a letter on the floor is read from +Z.
    Transform { translation: at, rotation: Quat::from_rotation_y(x.atan2(z)) * lying, scale: Vec3::splat(size) }
}

/// Radius of a measuring line at life size, in metres.
const LINE_RADIUS_M: f32 = 0.002;
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

fn floor_letter_mesh(direction: AnatomicalDirection) -> Mesh {
    let mut mesh = MarkMesh::default();
    mesh.text(&direction.display_letter().to_string(), Mat4::IDENTITY, letter_color(direction) * 0.75);
    mesh.into_mesh()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floor_letters_read_upright_from_wherever_one_stands() {
        for eye in [Vec3::new(0.0, 1.6, 3.0), Vec3::new(3.0, 1.6, -0.4), Vec3::new(-1.0, 1.6, -2.0)] {
            let transform = floor_letter_transform(Vec3::X, Vec2::ZERO, 1.0, eye);
            assert!(transform.translation.x > 1.0, "the place at +X");
            let to_letter = (transform.translation - eye).with_y(0.0).normalize();
            assert!((transform.rotation * Vec3::Y).dot(to_letter) > 0.999, "its top points away from the eye");
            assert!((transform.rotation * Vec3::Z).y > 0.999, "it faces up");
            let right = to_letter.cross(Vec3::Y);
            assert!((transform.rotation * Vec3::X).dot(right) > 0.999, "it is not mirrored");
        }
    }
}
