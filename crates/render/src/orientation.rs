//! The orientation figure: a small mannequin that stands as the patient does, with the six letters, always in view.

use bevy::camera::visibility::NoFrustumCulling;
use bevy::prelude::*;
use space::AnatomicalDirection;
use walkthrough::locomotion::Viewer;
use walkthrough::stage::BodyPose;
use walkthrough::walk::WalkRun;

use crate::anatomy_material::MarkMaterial;
use crate::letters::MarkMesh;
use crate::meshes::TriangleCount;
use crate::span::{systems_clock, timed};
use crate::view::FigureHost;

/// Turns with the patient, child of a [`FigureHost`].
#[derive(Component, Clone, Copy, Debug)]
struct Figure;

/// One letter, upright towards the eye, child of a [`FigureHost`].
#[derive(Component, Clone, Copy, Debug)]
struct FigureLetter(AnatomicalDirection);

/// Draws the figure.
pub(crate) struct OrientationPlugin;

impl Plugin for OrientationPlugin {
    fn build(&self, app: &mut App) {
        let clock = systems_clock(app);
        app.init_resource::<FigureMeshes>()
            .add_systems(Update, (spawn_figures, timed(&clock, turn_figures)).chain().after(WalkRun));
    }
}

/// Height of the figure as a share of half the picture's height.
const HEIGHT: f32 = 0.26;
/// Height of its letters as a share of its own.
const LETTER: f32 = 0.15;

#[derive(Resource)]
struct FigureMeshes {
    mannequin: (Handle<Mesh>, u32),
    letters: Vec<(AnatomicalDirection, Handle<Mesh>, u32)>,
    body: Handle<MarkMaterial>,
    text: Handle<MarkMaterial>,
}

impl FromWorld for FigureMeshes {
    fn from_world(world: &mut World) -> Self {
        let mut materials = world.resource_mut::<Assets<MarkMaterial>>();
        let body = materials.add(MarkMaterial::lit().over_all());
        let text = materials.add(MarkMaterial::letters().over_all());
        let mut meshes = world.resource_mut::<Assets<Mesh>>();
        let mut add = |mesh: Mesh| {
            let triangles = mesh.indices().map_or(0, |i| i.len() as u32 / 3);
            (meshes.add(mesh), triangles)
        };
        let mannequin = add(mannequin());
        let letters = AnatomicalDirection::ALL
            .into_iter()
            .map(|direction| {
                let mut mesh = MarkMesh::default();
                let letter = direction.display_letter().to_string();
                mesh.text(&letter, Mat4::from_scale(Vec3::splat(LETTER)), letter_color(direction));
                let (handle, triangles) = add(mesh.into_mesh());
                (direction, handle, triangles)
            })
            .collect();
        Self { mannequin, letters, body, text }
    }
}

/// Left and right stand out; the letter tells them apart, not the colour.
pub(crate) fn letter_color(direction: AnatomicalDirection) -> LinearRgba {
    match direction {
        AnatomicalDirection::Left | AnatomicalDirection::Right => LinearRgba::rgb(1.0, 0.82, 0.30),
        _ => LinearRgba::rgb(0.86, 0.90, 0.94),
    }
}

/// A figure 1 high around its middle, facing +Z with its left at +X.
fn mannequin() -> Mesh {
    let skin = LinearRgba::rgb(0.62, 0.56, 0.50);
    let face = LinearRgba::rgb(0.80, 0.70, 0.60);
    let mut mesh = MarkMesh::default();
    let at = |x: f32, y: f32, z: f32| Mat4::from_translation(Vec3::new(x, y, z));
    mesh.ellipsoid(Vec3::new(0.062, 0.080, 0.070), at(0.0, 0.420, 0.005), face);
    // A nose, so that front and back are never mistaken.
    mesh.ellipsoid(Vec3::new(0.012, 0.018, 0.020), at(0.0, 0.415, 0.078), face);
    mesh.rod(Vec3::new(0.0, 0.33, 0.0), Vec3::new(0.0, 0.36, 0.0), 0.030, skin);
    mesh.ellipsoid(Vec3::new(0.112, 0.120, 0.064), at(0.0, 0.225, 0.0), skin);
    mesh.ellipsoid(Vec3::new(0.088, 0.110, 0.058), at(0.0, 0.110, 0.0), skin);
    mesh.ellipsoid(Vec3::new(0.096, 0.070, 0.062), at(0.0, 0.030, 0.0), skin);
    for side in [-1.0, 1.0] {
        mesh.rod(Vec3::new(side * 0.115, 0.29, 0.0), Vec3::new(side * 0.165, 0.13, -0.005), 0.029, skin);
        mesh.rod(Vec3::new(side * 0.165, 0.13, -0.005), Vec3::new(side * 0.200, -0.02, 0.02), 0.024, skin);
        mesh.ellipsoid(Vec3::new(0.022, 0.036, 0.026), at(side * 0.208, -0.055, 0.028), skin);
        mesh.rod(Vec3::new(side * 0.052, 0.0, 0.0), Vec3::new(side * 0.066, -0.24, 0.005), 0.042, skin);
        mesh.rod(Vec3::new(side * 0.066, -0.24, 0.005), Vec3::new(side * 0.070, -0.45, -0.012), 0.031, skin);
        mesh.ellipsoid(Vec3::new(0.030, 0.022, 0.062), at(side * 0.072, -0.478, 0.026), skin);
    }
    mesh.into_mesh()
}

fn spawn_figures(mut commands: Commands, hosts: Query<Entity, Added<FigureHost>>, meshes: Res<FigureMeshes>) {
    for host in &hosts {
        commands.spawn((
            Figure,
            Mesh3d(meshes.mannequin.0.clone()),
            MeshMaterial3d(meshes.body.clone()),
            TriangleCount(meshes.mannequin.1),
            NoFrustumCulling,
            ChildOf(host),
        ));
        for (direction, mesh, triangles) in &meshes.letters {
            commands.spawn((
                FigureLetter(*direction),
                Mesh3d(mesh.clone()),
                MeshMaterial3d(meshes.text.clone()),
                TriangleCount(*triangles),
                NoFrustumCulling,
                ChildOf(host),
            ));
        }
    }
}

/// Takes all figures away, and their hosts' wish for one.
pub(crate) fn remove_figures(world: &mut World) {
    crate::view::despawn_all::<Or<(With<Figure>, With<FigureLetter>)>>(world);
    let mut hosts = world.query_filtered::<Entity, With<FigureHost>>();
    let hosts: Vec<Entity> = hosts.iter(world).collect();
    for host in hosts {
        world.entity_mut(host).remove::<FigureHost>();
    }
}

/// Where a letter stands, in heights of the figure from its middle.
fn letter_place(direction: AnatomicalDirection) -> Vec3 {
    let lps = direction.lps().get().as_vec3();
    let body = Vec3::new(lps.x, lps.z, -lps.y);
    let reach = match direction {
        AnatomicalDirection::Superior | AnatomicalDirection::Inferior => 0.62,
        AnatomicalDirection::Left | AnatomicalDirection::Right => 0.38,
        AnatomicalDirection::Anterior | AnatomicalDirection::Posterior => 0.34,
    };
    body * reach
}

/// Middle of the figure and its height, in the host's frame.
fn place_in_view(host: &FigureHost, camera: Option<(&Camera, &Projection)>) -> (Vec3, f32) {
    let half_height = match camera {
        Some((_, Projection::Perspective(perspective))) => (perspective.fov / 2.0).tan(),
        _ => 0.6,
    };
    let aspect = camera
        .and_then(|(camera, _)| camera.logical_viewport_size())
        .filter(|size| size.y > 0.0)
        .map_or(1.6, |size| size.x / size.y);
    let height = HEIGHT * half_height * host.distance_m;
    let margin = HEIGHT * 0.92;
    let tangents =
        host.tangents.unwrap_or_else(|| Vec2::new(half_height * (aspect - margin), -half_height * (1.0 - margin)));
    ((tangents * host.distance_m).extend(-host.distance_m), height)
}

/// What turns something ahead into the same seen at `place`: in a corner it looks as it would in the middle.
fn towards(place: Vec3) -> Quat {
    Quat::from_rotation_arc(Vec3::NEG_Z, place.normalize_or(Vec3::NEG_Z))
}

fn turn_figures(
    viewer: Res<Viewer>,
    body: Res<BodyPose>,
    hosts: Query<(&FigureHost, Option<(&Camera, &Projection)>)>,
    mut figures: Query<(&ChildOf, &mut Transform), (With<Figure>, Without<FigureLetter>)>,
    mut letters: Query<(&ChildOf, &FigureLetter, &mut Transform), Without<Figure>>,
) {
    let turn = viewer.0.rotation.inverse() * body.rotation.as_quat();
    for (child_of, mut transform) in &mut figures {
        let Ok((host, camera)) = hosts.get(child_of.parent()) else { continue };
        let (translation, height) = place_in_view(host, camera);
        let rotation = towards(translation) * turn;
        let placed = Transform { translation, rotation, scale: Vec3::splat(height) };
        transform.set_if_neq(placed);
    }
    for (child_of, letter, mut transform) in &mut letters {
        let Ok((host, camera)) = hosts.get(child_of.parent()) else { continue };
        let (middle, height) = place_in_view(host, camera);
        let aside = towards(middle);
        let translation = middle + aside * turn * letter_place(letter.0) * height;
        transform.set_if_neq(Transform { translation, rotation: aside, scale: Vec3::splat(height) });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seen_from_the_front_the_patients_left_is_on_the_viewers_right() {
        // A viewer in front of the patient, at +Z, looks along −Z: no turn at all.
        let left = letter_place(AnatomicalDirection::Left);
        let right = letter_place(AnatomicalDirection::Right);
        assert!(left.x > 0.0 && right.x < 0.0);
        assert!(letter_place(AnatomicalDirection::Anterior).z > 0.0, "the front faces the viewer");
        assert!(letter_place(AnatomicalDirection::Superior).y > 0.0);
        // A viewer behind the patient sees the patient's left on their own left.
        let behind = Quat::from_rotation_y(std::f32::consts::PI).inverse();
        assert!((behind * left).x < 0.0);
    }
}
