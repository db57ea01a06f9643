//! Axial, coronal and sagittal planes with the scan on them, and the material they share with the clip cap.

use bevy::prelude::*;
use bevy::reflect::TypePath;
use bevy::render::render_resource::AsBindGroup;
use bevy::render::storage::ShaderBuffer;
use glam::DMat4;
use space::{Lps, Point};
use volume::{ImageGeometry, Label};
use walkthrough::honesty::Overlay;
use walkthrough::planes::{PlaneKind, PlaneRectangle, ScanPlane, ScanPlanes};
use walkthrough::pointer::{PointedAt, Selection};
use walkthrough::stage::{BodyPose, BodyRoot, SegmentInfo};
use walkthrough::visibility::Drawn;
use walkthrough::window_level::WindowLevel;

use crate::anatomy_material::MarkMaterial;
use crate::letters::MarkMesh;
use crate::meshes::{TriangleCount, body_from_lps_mm, hovered_labels, linear};
use crate::pipeline::one_shader_of_positions;
use crate::plugin::DisplayKind;
use crate::scan_texture::ScanTextures;
use crate::span::{systems_clock, timed};
use crate::stage::{LABEL_BUFFER, LABEL_CAPACITY, LabelLook, LabelLooks, RenderWalkSystems, STAGE_BUFFER, Stage};

/// The scan on a plane.
#[derive(Asset, AsBindGroup, TypePath, Clone, Debug)]
pub(crate) struct SliceMaterial {
    #[storage(0, read_only)]
    stage: Handle<ShaderBuffer>,
    #[storage(1, read_only)]
    labels_look: Handle<ShaderBuffer>,
    #[uniform(2)]
    options: Vec4,
    #[texture(3, dimension = "3d")]
    #[sampler(4)]
    scan: Handle<Image>,
    #[texture(5, dimension = "3d", sample_type = "u_int")]
    labels: Handle<Image>,
    #[texture(6, dimension = "3d", sample_type = "u_int")]
    trust: Handle<Image>,
}

impl SliceMaterial {
    /// The cut face of a clip plane: filled inside visible structures only, exact grey with thin outlines.
    pub(crate) fn cap(scan: &ScanOnStage, plane: usize) -> Self {
        Self::new(scan, Vec4::new(1.0, 0.0, 0.55, plane as f32))
    }

    /// A whole slice: exact grey with the outlines of visible structures.
    fn slice(scan: &ScanOnStage) -> Self {
        Self::new(scan, Vec4::new(0.0, 0.0, 0.75, -1.0))
    }

    fn new(scan: &ScanOnStage, options: Vec4) -> Self {
        Self {
            stage: STAGE_BUFFER,
            labels_look: LABEL_BUFFER,
            options,
            scan: scan.scan.clone(),
            labels: scan.labels.clone(),
            trust: scan.trust.clone(),
        }
    }
}

impl Material for SliceMaterial {
    one_shader_of_positions!(SLICE);
}

/// The scan's textures on the device, and where they lie.
#[derive(Resource, Clone, Debug)]
pub(crate) struct ScanOnStage {
    scan: Handle<Image>,
    labels: Handle<Image>,
    trust: Handle<Image>,
    pub(crate) geometry: ImageGeometry,
    texel_voxels: [usize; 3],
    value_offset: f32,
    value_gain: f32,
    dense_labels: Vec<Label>,
}

impl ScanOnStage {
    /// Moves textures to the device.
    pub(crate) fn insert(textures: ScanTextures) -> impl Command {
        move |world: &mut World| {
            let mut images = world.resource_mut::<Assets<Image>>();
            let scan = Self {
                scan: images.add(textures.scan),
                labels: images.add(textures.labels),
                trust: images.add(textures.trust),
                geometry: textures.geometry,
                texel_voxels: textures.texel_voxels,
                value_offset: textures.value_offset,
                value_gain: textures.value_gain,
                dense_labels: textures.dense_labels,
            };
            world.insert_resource(scan);
        }
    }
}

/// One of the three planes.
#[derive(Component, Clone, Copy, Debug, PartialEq, Eq)]
struct SliceQuad(PlaneKind);

/// Frame and letters of a plane, child of its quad's parent.
#[derive(Component, Clone, Copy, Debug, PartialEq)]
struct SliceFrame {
    kind: PlaneKind,
    drawn_for: Option<(ImageGeometry, bool)>,
}

/// Draws the planes.
pub(crate) struct SlicePlanesPlugin;

impl Plugin for SlicePlanesPlugin {
    fn build(&self, app: &mut App) {
        let clock = systems_clock(app);
        app.init_resource::<ScanPlanes>()
            .init_resource::<WindowLevel>()
            .init_resource::<Selection>()
            .add_systems(Update, spawn_planes.after(walkthrough::walk::WalkRun))
            .add_systems(
                PostUpdate,
                (timed(&clock, update_label_looks), timed(&clock, update_stage)).in_set(RenderWalkSystems::Prepare),
            )
            .add_systems(PostUpdate, timed(&clock, place_planes).before(TransformSystems::Propagate));
    }
}

/// A square from −½ to ½ in XY; shaders need its positions only.
pub(crate) fn unit_quad() -> Mesh {
    use bevy::asset::RenderAssetUsages;
    use bevy::mesh::{Indices, PrimitiveTopology};
    let positions = vec![[-0.5, -0.5, 0.0], [0.5, -0.5, 0.0], [0.5, 0.5, 0.0], [-0.5, 0.5, 0.0]];
    Mesh::new(PrimitiveTopology::TriangleList, RenderAssetUsages::default())
        .with_inserted_attribute(Mesh::ATTRIBUTE_POSITION, positions)
        .with_inserted_indices(Indices::U32(vec![0, 1, 2, 0, 2, 3]))
}

const KINDS: [PlaneKind; 3] = [PlaneKind::Axial, PlaneKind::Coronal, PlaneKind::Sagittal];

fn spawn_planes(
    mut commands: Commands,
    scan: Option<Res<ScanOnStage>>,
    mut meshes: ResMut<Assets<Mesh>>,
    mut slices: ResMut<Assets<SliceMaterial>>,
    mut marks: ResMut<Assets<MarkMaterial>>,
    roots: Query<Entity, With<BodyRoot>>,
    old: Query<Entity, Or<(With<SliceQuad>, With<SliceFrame>)>>,
) {
    let Some(scan) = scan.filter(DetectChanges::is_changed) else { return };
    for entity in &old {
        commands.entity(entity).despawn();
    }
    let Some(root) = roots.iter().next() else { return };
    let quad = meshes.add(unit_quad());
    let slice = slices.add(SliceMaterial::slice(&scan));
    let mark = marks.add(MarkMaterial::letters());
    for kind in KINDS {
        commands.spawn((
            SliceQuad(kind),
            Mesh3d(quad.clone()),
            MeshMaterial3d(slice.clone()),
            TriangleCount(2),
            Visibility::Hidden,
            ChildOf(root),
        ));
        commands.spawn((
            SliceFrame { kind, drawn_for: None },
            Transform::IDENTITY,
            MeshMaterial3d(mark.clone()),
            TriangleCount::default(),
            Visibility::Hidden,
            ChildOf(root),
        ));
    }
}

fn plane_of(planes: &ScanPlanes, kind: PlaneKind) -> ScanPlane {
    match kind {
        PlaneKind::Axial => planes.axial,
        PlaneKind::Coronal => planes.coronal,
        PlaneKind::Sagittal => planes.sagittal,
    }
}

fn place_planes(
    planes: Res<ScanPlanes>,
    scan: Option<Res<ScanOnStage>>,
    mut meshes: ResMut<Assets<Mesh>>,
    mut commands: Commands,
    mut quads: Query<(&SliceQuad, &mut Transform, &mut Visibility), Without<SliceFrame>>,
    mut frames: Query<
        (Entity, &mut SliceFrame, &mut Transform, &mut TriangleCount, &mut Visibility),
        Without<SliceQuad>,
    >,
    added: Query<(), Added<SliceQuad>>,
) {
    let Some(scan) = scan else { return };
    if !planes.is_changed() && !scan.is_changed() && added.is_empty() {
        return;
    }
    let geometry = scan.geometry;
    for (SliceQuad(kind), mut transform, mut visibility) in &mut quads {
        let plane = plane_of(&planes, *kind);
        *transform = quad_transform(&rectangle(&geometry, *kind, plane.position_mm));
        visibility.set_if_neq(shown(plane.visible));
    }
    for (entity, mut frame, mut transform, mut count, mut visibility) in &mut frames {
        let plane = plane_of(&planes, frame.kind);
        visibility.set_if_neq(shown(plane.visible));
        let at_zero = rectangle(&geometry, frame.kind, 0.0);
        let here = rectangle(&geometry, frame.kind, plane.position_mm);
        transform.translation = body_from_lps_mm(here.corners[0]) - body_from_lps_mm(at_zero.corners[0]);
        if plane.visible && frame.drawn_for != Some((geometry, true)) {
            frame.drawn_for = Some((geometry, true));
            let mesh = frame_mesh(&at_zero, frame.kind);
            count.0 = mesh.indices().map_or(0, |i| i.len() as u32 / 3);
            commands.entity(entity).insert(Mesh3d(meshes.add(mesh)));
        }
    }
}

fn shown(visible: bool) -> Visibility {
    if visible { Visibility::Inherited } else { Visibility::Hidden }
}

fn rectangle(geometry: &ImageGeometry, kind: PlaneKind, position_mm: f64) -> PlaneRectangle {
    walkthrough::planes::rectangle(geometry, kind, position_mm)
}

/// Lays the unit square over a rectangle: +X to its right edge, +Y to its top, as radiologists look at it.
fn quad_transform(rectangle: &PlaneRectangle) -> Transform {
    let [top_left, top_right, bottom_right, bottom_left] = rectangle.corners.map(body_from_lps_mm);
    let (right, up) = (top_right - top_left, top_left - bottom_left);
    let rotation =
        Mat3::from_cols(right.normalize_or_zero(), up.normalize_or_zero(), right.cross(up).normalize_or_zero());
    Transform {
        translation: (top_left + bottom_right) / 2.0,
        rotation: Quat::from_mat3(&rotation),
        scale: Vec3::new(right.length(), up.length(), 1.0),
    }
}

/// Colour of the frame of a plane, the same on every display: its kind also stands in the letters.
pub(crate) fn kind_color(kind: PlaneKind) -> LinearRgba {
    match kind {
        PlaneKind::Axial => LinearRgba::rgb(0.85, 0.16, 0.12),
        PlaneKind::Coronal => LinearRgba::rgb(0.10, 0.62, 0.16),
        PlaneKind::Sagittal => LinearRgba::rgb(0.88, 0.62, 0.06),
    }
}

/// How far beside the middle of its edge a letter stands, in parts of the edge: in the middle two planes' would cross.
const BESIDE: f32 = 0.3;

/// A thin frame, and a letter outside of each edge that reads from both sides.
fn frame_mesh(rectangle: &PlaneRectangle, kind: PlaneKind) -> Mesh {
    let place = quad_transform(rectangle);
    let (width, height) = (place.scale.x, place.scale.y);
    let frame = Mat4::from_rotation_translation(place.rotation, place.translation);
    let color = kind_color(kind);
    let mut mesh = MarkMesh::default();
    let size = (width.min(height) * 0.075).clamp(0.012, 0.05);
    let radius = size * 0.035;
    let corners = [[-0.5, 0.5], [0.5, 0.5], [0.5, -0.5], [-0.5, -0.5]]
        .map(|[x, y]| frame.transform_point3(Vec3::new(x * width, y * height, 0.0)));
    for i in 0..4 {
        mesh.rod(corners[i], corners[(i + 1) % 4], radius, color);
    }
    let away = size * 0.95;
    let middles = [
        Vec2::new(width * BESIDE, height / 2.0 + away),
        Vec2::new(width / 2.0 + away, height * BESIDE),
        Vec2::new(width * BESIDE, -height / 2.0 - away),
        Vec2::new(-width / 2.0 - away, height * BESIDE),
    ];
    for (middle, direction) in middles.into_iter().zip(rectangle.edges) {
        let letter = direction.display_letter().to_string();
        let place = frame * Mat4::from_translation(middle.extend(0.0)) * Mat4::from_scale(Vec3::splat(size));
        mesh.text_both_sides(&letter, place, LinearRgba::rgb(0.9, 0.9, 0.9));
    }
    mesh.into_mesh()
}

/// What each label of the scan looks like on planes and caps.
fn update_label_looks(
    scan: Option<Res<ScanOnStage>>,
    mut looks: ResMut<LabelLooks>,
    kind: Res<DisplayKind>,
    selection: Res<Selection>,
    pointers: Query<&PointedAt>,
    changed: Query<(), (With<SegmentInfo>, Or<(Changed<Drawn>, Added<SegmentInfo>)>)>,
    segments: Query<(&SegmentInfo, &Drawn)>,
    mut was_hovered: Local<Vec<Label>>,
) {
    let Some(scan) = scan else { return };
    let hovered = if *kind == DisplayKind::Offscreen { Vec::new() } else { hovered_labels(&pointers) };
    if changed.is_empty() && !selection.is_changed() && !scan.is_changed() && hovered == *was_hovered {
        return;
    }
    let shown: Vec<(&SegmentInfo, Drawn)> =
        segments.iter().map(|(info, drawn)| (info, *drawn)).filter(|(_, drawn)| drawn.visible).collect();
    let emphasised = |label: Label| hovered.contains(&label) || selection.0 == Some(label);
    looks.0 =
        scan.dense_labels.iter().take(LABEL_CAPACITY).map(|&label| label_look(label, &shown, &emphasised)).collect();
    *was_hovered = hovered;
}

/// The look of a label: filled if any structure that contains it is shown, coloured as the one with the fewest parts.
fn label_look(label: Label, shown: &[(&SegmentInfo, Drawn)], emphasised: &dyn Fn(Label) -> bool) -> LabelLook {
    let covering = shown.iter().filter(|(info, _)| info.label == label || info.parts.contains(&label));
    let Some((nearest, _)) = covering.clone().min_by_key(|(info, _)| (info.parts.len(), info.label)) else {
        return LabelLook::default();
    };
    let opacity = covering.clone().map(|(_, drawn)| drawn.opacity).fold(0.0, f32::max);
    let is_emphasised = covering.clone().any(|(info, _)| emphasised(info.label));
    LabelLook {
        tint: linear(nearest.color).extend(if is_emphasised { 0.35 } else { 0.0 }),
        state: Vec4::new(f32::from(u8::from(opacity > 0.0)), 1.0, f32::from(u8::from(is_emphasised)), 0.0),
    }
}

/// Where the voxels are now, and which grey they have.
fn update_stage(
    mut stage: ResMut<Stage>,
    scan: Option<Res<ScanOnStage>>,
    pose: Res<BodyPose>,
    window: Res<WindowLevel>,
    overlay: Option<Res<Overlay>>,
) {
    let mut next = *stage;
    next.patient_from_world = pose.body_from_scene().to_mat4().as_mat4();
    next.options.x = match overlay.map_or(Overlay::None, |overlay| *overlay) {
        Overlay::None => 0.0,
        Overlay::Provenance => 1.0,
        Overlay::SurfaceError => 2.0,
        Overlay::Confidence => 3.0,
    };
    if let Some(scan) = &scan {
        let index_from_world: DMat4 = (scan.geometry.index_from_lps() * pose.lps_from_scene()).to_mat4();
        next.index_from_world = index_from_world.as_mat4();
        next.scan_size = Vec3::from_array(scan.geometry.size().map(|n| n as f32)).extend(0.0);
        next.texel_voxels = Vec3::from_array(scan.texel_voxels.map(|n| n as f32)).extend(1.0);
        let black = window.center - window.width / 2.0;
        next.display =
            Vec4::new(scan.value_offset, scan.value_gain, black, window.width.max(f32::MIN_POSITIVE).recip());
        next.options.y = (scan.geometry.max_spacing_mm() * 1e-3 * pose.magnification.0) as f32;
    }
    stage.set_if_neq(next);
}

/// Middle of the scan and half its diagonal, in patient millimetres.
pub(crate) fn scan_sphere(geometry: &ImageGeometry) -> (Point<Lps>, f64) {
    let size = geometry.size().map(|n| n as f64);
    let lps_from_index = geometry.lps_from_index();
    let middle = lps_from_index * Point::from_array(size.map(|n| (n - 1.0) / 2.0));
    let corner = lps_from_index * Point::new(-0.5, -0.5, -0.5);
    let far = lps_from_index * Point::from_array(size.map(|n| n - 0.5));
    let other = lps_from_index * Point::new(size[0] - 0.5, -0.5, -0.5);
    let opposite = lps_from_index * Point::new(-0.5, size[1] - 0.5, size[2] - 0.5);
    (middle, corner.distance(far).max(other.distance(opposite)) / 2.0)
}

/// The body's rest frame is the scene's; here only for the check that no second conversion creeps in.
#[cfg(test)]
mod tests {
    use super::*;
    use glam::DMat3;
    use space::scene_from_lps;

    #[test]
    fn coronal_slice_is_seen_from_the_front_with_the_patients_left_on_the_right() {
        let geometry =
            ImageGeometry::new([10, 20, 30], [1.0, 1.0, 2.0], Point::new(-5.0, -10.0, 0.0), DMat3::IDENTITY).unwrap();
        let place = quad_transform(&rectangle(&geometry, PlaneKind::Coronal, 0.0));
        let to_body = place.to_matrix();
        let right = to_body.transform_point3(Vec3::new(0.5, 0.0, 0.0));
        let top = to_body.transform_point3(Vec3::new(0.0, 0.5, 0.0));
        let lps = |p: Vec3| (space::lps_from_scene() * Point::new(p.x.into(), p.y.into(), p.z.into())).get();
        assert!(lps(right).x > lps(top).x, "left of the patient is on the right");
        assert!(lps(top).z > lps(right).z, "head is up");
        assert!(scene_from_lps().linear.determinant() > 0.0);
    }
}
