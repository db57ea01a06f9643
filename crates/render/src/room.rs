//! The room: a floor that shows its size, a horizon, a quiet backdrop, and the letters round the patient.

use bevy::asset::RenderAssetUsages;
use bevy::camera::visibility::NoFrustumCulling;
use bevy::mesh::{Indices, PrimitiveTopology};
use bevy::prelude::*;
use bevy::reflect::TypePath;
use bevy::render::render_resource::{AsBindGroup, ShaderType};

use crate::meshes::TriangleCount;
use crate::pipeline::one_shader_of_positions;
use crate::span::{systems_clock, timed};
use crate::stage::RenderWalkSystems;

/// Floor or backdrop.
#[derive(Asset, AsBindGroup, TypePath, Clone, Debug)]
pub(crate) struct RoomMaterial {
    #[uniform(0)]
    look: RoomLook,
}

/// The ring on the floor round the patient.
#[derive(Resource, Clone, Copy, Debug, PartialEq)]
pub(crate) struct RoomRing {
    /// X and Z in metres.
    pub(crate) middle: Vec2,
    /// In metres.
    pub(crate) radius: f32,
}

impl Default for RoomRing {
    fn default() -> Self {
        Self { middle: Vec2::ZERO, radius: 0.9 }
    }
}

/// As `Room` in `room.wgsl`.
#[derive(Clone, Debug, ShaderType)]
struct RoomLook {
    options: Vec4,
    zenith: Vec4,
    horizon: Vec4,
    ground: Vec4,
    ring: Vec4,
}

/// Where the floor has faded into the horizon, in metres.
const HORIZON_M: f32 = 26.0;

impl RoomMaterial {
    fn new(is_floor: bool) -> Self {
        let look = RoomLook {
            options: Vec4::new(f32::from(u8::from(is_floor)), 0.5, HORIZON_M, 0.0),
            zenith: Vec4::new(0.020, 0.028, 0.042, 1.0),
            horizon: Vec4::new(0.155, 0.178, 0.205, 1.0),
            ground: Vec4::new(0.100, 0.108, 0.118, 1.0),
            ring: Vec4::new(0.0, 0.0, 0.9, 0.0),
        };
        Self { look }
    }
}

impl Material for RoomMaterial {
    one_shader_of_positions!(ROOM);
}

/// Builds the room.
pub(crate) struct RoomPlugin;

impl Plugin for RoomPlugin {
    fn build(&self, app: &mut App) {
        let clock = systems_clock(app);
        app.init_resource::<RoomRing>()
            .add_systems(Startup, build_room)
            .add_systems(PostUpdate, timed(&clock, move_ring).in_set(RenderWalkSystems::Prepare));
    }
}

fn build_room(mut commands: Commands, mut meshes: ResMut<Assets<Mesh>>, mut materials: ResMut<Assets<RoomMaterial>>) {
    let floor = disc(HORIZON_M * 1.2, 48);
    commands.spawn((
        Name::new("floor"),
        TriangleCount(triangles(&floor)),
        Mesh3d(meshes.add(floor)),
        MeshMaterial3d(materials.add(RoomMaterial::new(true))),
        NoFrustumCulling,
    ));
    let backdrop = dome();
    commands.spawn((
        Name::new("backdrop"),
        TriangleCount(triangles(&backdrop)),
        Mesh3d(meshes.add(backdrop)),
        MeshMaterial3d(materials.add(RoomMaterial::new(false))),
        NoFrustumCulling,
    ));
}

fn move_ring(
    ring: Res<RoomRing>,
    floors: Query<&MeshMaterial3d<RoomMaterial>>,
    mut materials: ResMut<Assets<RoomMaterial>>,
) {
    if !ring.is_changed() {
        return;
    }
    for handle in &floors {
        let is_floor = materials.get(&handle.0).is_some_and(|material| material.look.options.x > 0.5);
        if is_floor && let Some(mut material) = materials.get_mut(&handle.0) {
            material.look.ring = Vec4::new(ring.middle.x, ring.middle.y, ring.radius, 0.0);
        }
    }
}

fn triangles(mesh: &Mesh) -> u32 {
    mesh.indices().map_or(0, |indices| indices.len() as u32 / 3)
}

fn positions_only(positions: Vec<[f32; 3]>, triangles: Vec<u32>) -> Mesh {
    Mesh::new(PrimitiveTopology::TriangleList, RenderAssetUsages::default())
        .with_inserted_attribute(Mesh::ATTRIBUTE_POSITION, positions)
        .with_inserted_indices(Indices::U32(triangles))
}

/// A disc on the floor.
fn disc(radius: f32, sides: u32) -> Mesh {
    let mut positions = vec![[0.0; 3]];
    let mut triangles = Vec::new();
    for side in 0..sides {
        let (sin, cos) = (side as f32 / sides as f32 * std::f32::consts::TAU).sin_cos();
        positions.push([cos * radius, 0.0, -sin * radius]);
        triangles.extend([0, 1 + side, 1 + (side + 1) % sides]);
    }
    positions_only(positions, triangles)
}

/// A cube seen from inside; the shader moves it infinitely far and looks at directions only.
fn dome() -> Mesh {
    let corner = |i: u32| [0, 1, 2].map(|bit| if i >> bit & 1 == 1 { 1.0 } else { -1.0 });
    let positions = (0..8).map(corner).collect();
    let faces = [[0, 1, 3, 2], [4, 6, 7, 5], [0, 4, 5, 1], [2, 3, 7, 6], [0, 2, 6, 4], [1, 5, 7, 3]];
    positions_only(positions, faces.into_iter().flat_map(|[a, b, c, d]| [a, b, c, a, c, d]).collect())
}
