//! The surfaces of a case on stage: meshes of every detail, and what each looks like now.

use std::collections::BTreeMap;

use bevy::asset::RenderAssetUsages;
use bevy::camera::primitives::Aabb;
use bevy::mesh::{Indices, MeshTag, PrimitiveTopology, VertexAttributeValues};
use bevy::prelude::*;
use case::{Case, CaseError};
use space::scene_from_lps;
use volume::{ImageGeometry, Label};
use walkthrough::honesty::{HonestColor, Overlay};
use walkthrough::pointer::{PointedAt, Selection};
use walkthrough::stage::{BodyRoot, SegmentInfo};
use walkthrough::visibility::Drawn;
use walkthrough::walk::WalkRun;

use crate::anatomy_material::{AnatomyMaterial, AnatomyMaterials};
use crate::plugin::DisplayKind;
use crate::scan_texture::{ScanTextures, TextureLimits};
use crate::slice_planes::ScanOnStage;
use crate::span::{systems_clock, timed};
use crate::stage::{RenderWalkSystems, SEGMENT_CAPACITY, SegmentLook, SegmentLooks};
use crate::trust::{ATTRIBUTE_TRUST, TrustField, VertexTrust};

/// One level of detail of a surface, in metres of the body at rest.
#[derive(Clone, Debug, Default)]
pub struct LodGeometry {
    /// Vertices.
    pub positions: Vec<[f32; 3]>,
    /// Outward, one a vertex.
    pub normals: Vec<[f32; 3]>,
    /// Counter-clockwise seen from outside.
    pub triangles: Vec<[u32; 3]>,
    /// What is known about the voxels below each vertex; empty if all was measured and no model drew it.
    pub trust: Vec<VertexTrust>,
    /// How far the surface may lie from the label boundary, in metres.
    pub error_m: f32,
}

/// A structure's surface at all levels of detail, finest first.
#[derive(Clone, Debug)]
pub struct SegmentGeometry {
    /// As in the case.
    pub label: Label,
    /// At least one for a structure with a surface.
    pub lods: Vec<LodGeometry>,
}

/// Everything to draw of a case. Insert it as a resource once its segments are asked onto the stage; it is taken from
/// there.
#[derive(Resource, Debug)]
pub struct Imagery {
    /// Surfaces.
    pub segments: Vec<SegmentGeometry>,
    /// The scan, if planes and cut faces are to show it.
    pub scan: Option<ScanTextures>,
}

impl Imagery {
    /// Reads meshes, scan and labels of a case; takes a while, so do it off the frame.
    ///
    /// # Errors
    /// [`CaseError`] if a file of the case cannot be read.
    pub fn of_case(case: &Case, limits: &TextureLimits) -> Result<Self, CaseError> {
        let voxel_mm = ImageGeometry::try_from(&case.manifest.geometry).map_or(1.0, |g| g.max_spacing_mm());
        let trust = TrustField::of_case(case)?;
        let segments = case
            .meshes()?
            .into_iter()
            .map(|segment| {
                let entry = case.manifest.segment(segment.label);
                let lods = segment.lods.into_iter().enumerate().map(|(level, mesh)| {
                    let measured = entry.and_then(|e| e.surface.lods.get(level)).and_then(|lod| lod.hausdorff_mm);
                    let measured = measured.filter(|error_mm| *error_mm > 0.0);
                    // What the surface stage promises: ½, 1, 2, 4 voxels.
                    let promised = 0.5 * f64::from(1u32 << level.min(8)) * voxel_mm;
                    let error_m = (measured.unwrap_or(promised) * 1e-3) as f32;
                    let trust = trust.of_vertices(&mesh.positions, &mesh.normals);
                    LodGeometry {
                        positions: mesh.positions,
                        normals: mesh.normals,
                        triangles: mesh.triangles,
                        trust,
                        error_m,
                    }
                });
                SegmentGeometry { label: segment.label, lods: lods.collect() }
            })
            .collect();
        let (scan, labels) = (case.scan()?, case.labels()?);
        Ok(Self { segments, scan: Some(ScanTextures::new(&scan, &labels, &trust, limits)) })
    }
}

/// A level of detail on the graphics device.
#[derive(Clone, Debug)]
pub(crate) struct Lod {
    pub(crate) mesh: Handle<Mesh>,
    pub(crate) triangles: u32,
    pub(crate) error_m: f32,
}

/// All levels of a segment on stage, and the one that is drawn.
#[derive(Component, Clone, Debug)]
pub(crate) struct SegmentLods {
    pub(crate) lods: Vec<Lod>,
    pub(crate) current: usize,
}

/// Triangles an entity's mesh has, for the count of the report.
#[derive(Component, Clone, Copy, Debug, Default)]
pub(crate) struct TriangleCount(pub(crate) u32);

/// Draws the segments of the walk.
pub(crate) struct MeshesPlugin;

impl Plugin for MeshesPlugin {
    fn build(&self, app: &mut App) {
        let clock = systems_clock(app);
        app.init_resource::<AnatomyMaterials>()
            .add_systems(Update, (give_visibility, stage_imagery).chain().after(WalkRun))
            .add_systems(PostUpdate, timed(&clock, update_looks).in_set(RenderWalkSystems::Prepare));
    }
}

/// The walk knows nothing of Bevy's visibility; what is drawn below an entity needs it.
fn give_visibility(mut commands: Commands, roots: Query<Entity, (With<BodyRoot>, Without<Visibility>)>) {
    for root in &roots {
        commands.entity(root).insert(Visibility::default());
    }
}

fn stage_imagery(
    mut commands: Commands,
    imagery: Option<ResMut<Imagery>>,
    mut meshes: ResMut<Assets<Mesh>>,
    mut looks: ResMut<SegmentLooks>,
    materials: Res<AnatomyMaterials>,
    segments: Query<(Entity, &SegmentInfo)>,
) {
    let Some(mut imagery) = imagery else { return };
    if segments.is_empty() {
        return;
    }
    let mut geometry: BTreeMap<Label, Vec<LodGeometry>> =
        imagery.segments.drain(..).map(|segment| (segment.label, segment.lods)).collect();
    if let Some(scan) = imagery.scan.take() {
        commands.queue(ScanOnStage::insert(scan));
    }
    commands.remove_resource::<Imagery>();

    let mut staged: Vec<(Entity, &SegmentInfo)> = segments.iter().collect();
    staged.sort_by_key(|(_, info)| info.label);
    looks.0.clear();
    for (entity, info) in staged {
        let lods = geometry.remove(&info.label).unwrap_or_default();
        let Some(finest) = lods.first().filter(|lod| !lod.triangles.is_empty()) else { continue };
        let (low, high) = bounds(&finest.positions);
        let tag = looks.0.len() as u32;
        if tag >= SEGMENT_CAPACITY as u32 {
            warn!("only the first {SEGMENT_CAPACITY} structures are drawn");
            break;
        }
        looks.0.push(SegmentLook { bounds_min: low.extend(0.0), bounds_max: high.extend(0.0), ..default() });
        let lods: Vec<Lod> = lods
            .into_iter()
            .filter(|lod| !lod.triangles.is_empty())
            .map(|lod| {
                let (triangles, error_m) = (lod.triangles.len() as u32, lod.error_m);
                Lod { mesh: meshes.add(surface_mesh(lod)), triangles, error_m }
            })
            .collect();
        // The first frame is drawn before a view can tell how near it is.
        let current = lods.len() - 1;
        let first = lods[current].clone();
        commands.entity(entity).insert((
            Mesh3d(first.mesh),
            MeshMaterial3d(materials.of(false, info.peel_rank).clone()),
            MeshTag(tag),
            Aabb::from_min_max(low, high),
            TriangleCount(first.triangles),
            SegmentLods { lods, current },
            Visibility::Inherited,
        ));
    }
}

/// Lower and upper corner.
fn bounds(positions: &[[f32; 3]]) -> (Vec3, Vec3) {
    positions.iter().fold((Vec3::MAX, Vec3::MIN), |(low, high), &p| {
        let p = Vec3::from_array(p);
        (low.min(p), high.max(p))
    })
}

/// Lies on the device only: pointing has its own copy in `walkthrough`.
fn surface_mesh(mut lod: LodGeometry) -> Mesh {
    lod.trust.resize(lod.positions.len(), VertexTrust::MEASURED);
    Mesh::new(PrimitiveTopology::TriangleList, RenderAssetUsages::RENDER_WORLD)
        .with_inserted_attribute(Mesh::ATTRIBUTE_POSITION, lod.positions)
        .with_inserted_attribute(Mesh::ATTRIBUTE_NORMAL, lod.normals)
        .with_inserted_attribute(ATTRIBUTE_TRUST, VertexAttributeValues::Unorm8x4(bytemuck::cast_vec(lod.trust)))
        .with_inserted_indices(Indices::U32(lod.triangles.into_flattened()))
}

/// Linear light of an sRGB colour.
pub(crate) fn linear(color: [u8; 3]) -> Vec3 {
    let linear = Color::srgb_u8(color[0], color[1], color[2]).to_linear();
    Vec3::new(linear.red, linear.green, linear.blue)
}

/// Labels that pointers rest on, least first.
pub(crate) fn hovered_labels(pointers: &Query<&PointedAt>) -> Vec<Label> {
    let mut hovered: Vec<Label> = pointers.iter().filter_map(|p| p.0.as_ref().map(|hit| hit.label)).collect();
    hovered.sort_unstable();
    hovered.dedup();
    hovered
}

fn update_looks(
    mut looks: ResMut<SegmentLooks>,
    mut was_hovered: Local<Vec<Label>>,
    materials: Res<AnatomyMaterials>,
    kind: Res<DisplayKind>,
    selection: Res<Selection>,
    overlay: Res<Overlay>,
    pointers: Query<&PointedAt>,
    changed: Query<(), (With<SegmentLods>, Or<(Changed<Drawn>, Changed<HonestColor>, Added<SegmentLods>)>)>,
    mut segments: Query<
        (
            &SegmentInfo,
            &MeshTag,
            Option<&Drawn>,
            Option<&HonestColor>,
            &mut Visibility,
            &mut MeshMaterial3d<AnatomyMaterial>,
        ),
        With<SegmentLods>,
    >,
) {
    // Nobody points at a picture: its middle is not what somebody chose.
    let hovered = if *kind == DisplayKind::Offscreen { Vec::new() } else { hovered_labels(&pointers) };
    if hovered == *was_hovered && changed.is_empty() && !selection.is_changed() && !overlay.is_changed() {
        return;
    }
    for (info, tag, drawn, honest, mut visibility, mut material) in &mut segments {
        let Some(look) = looks.0.get_mut(tag.0 as usize) else { continue };
        let drawn = drawn.copied().unwrap_or(Drawn { visible: true, opacity: 1.0 });
        let color = match honest {
            Some(honest) if *overlay != Overlay::None => honest.color,
            _ => info.color,
        };
        let is_glassy = drawn.opacity < 0.995;
        look.color = linear(color).extend(drawn.opacity);
        look.state = Vec4::new(
            f32::from(u8::from(hovered.contains(&info.label))),
            f32::from(u8::from(selection.0 == Some(info.label))),
            info.confidence.map_or(-1.0, |c| c as f32),
            (info.inferred_percent / 100.0) as f32,
        );
        visibility.set_if_neq(if drawn.visible { Visibility::Inherited } else { Visibility::Hidden });
        let wanted = materials.of(is_glassy, info.peel_rank);
        if material.0 != *wanted {
            material.0 = wanted.clone();
        }
    }
    *was_hovered = hovered;
}

/// Scene metres of a point in patient millimetres, the body at rest.
pub(crate) fn body_from_lps_mm(point: space::Point<space::Lps>) -> Vec3 {
    (scene_from_lps() * point).get().as_vec3()
}
