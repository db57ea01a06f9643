//! What all shaders share, in three buffers that are written only when something in them changed.

use bevy::asset::{AssetEventSystems, RenderAssetUsages, uuid_handle};
use bevy::prelude::*;
use bevy::render::storage::ShaderBuffer;
use bytemuck::{Pod, Zeroable};

use crate::span::{systems_clock, timed};

/// The clip plane, the way to the voxels, the window.
pub(crate) const STAGE_BUFFER: Handle<ShaderBuffer> = uuid_handle!("5a3f7f53-93a5-4f2e-9d12-2c6de7a52001");
/// The look of each segment, by mesh tag.
pub(crate) const SEGMENT_BUFFER: Handle<ShaderBuffer> = uuid_handle!("5a3f7f53-93a5-4f2e-9d12-2c6de7a52002");
/// The look of each label on cut faces, by dense label.
pub(crate) const LABEL_BUFFER: Handle<ShaderBuffer> = uuid_handle!("5a3f7f53-93a5-4f2e-9d12-2c6de7a52003");

/// How many clip planes cut at once.
pub(crate) const MAX_CLIP_PLANES: usize = 4;

/// How many structures have a look of their own; what the shared buffer holds.
pub(crate) const SEGMENT_CAPACITY: usize = 2048;

/// How many labels of a case can be told apart on cut faces.
pub(crate) const LABEL_CAPACITY: usize = 4096;

/// A plane that cuts nothing.
pub(crate) const NO_PLANE: Vec4 = Vec4::new(0.0, 0.0, 0.0, -1.0);

/// As `Stage` in `stage.wgsl`.
#[derive(Resource, Clone, Copy, Debug, PartialEq, Pod, Zeroable)]
#[repr(C)]
pub(crate) struct Stage {
    pub(crate) index_from_world: Mat4,
    pub(crate) patient_from_world: Mat4,
    pub(crate) clip_planes: [Vec4; MAX_CLIP_PLANES],
    pub(crate) scan_size: Vec4,
    pub(crate) texel_voxels: Vec4,
    pub(crate) display: Vec4,
    pub(crate) options: Vec4,
}

impl Default for Stage {
    fn default() -> Self {
        Self {
            index_from_world: Mat4::IDENTITY,
            patient_from_world: Mat4::IDENTITY,
            clip_planes: [NO_PLANE; MAX_CLIP_PLANES],
            scan_size: Vec4::ZERO,
            texel_voxels: Vec4::ONE,
            display: Vec4::new(0.0, 1.0, 0.0, 1.0),
            options: Vec4::ZERO,
        }
    }
}

/// As `SegmentLook` in `stage.wgsl`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Pod, Zeroable)]
#[repr(C)]
pub(crate) struct SegmentLook {
    /// Linear RGB and opacity.
    pub(crate) color: Vec4,
    /// Hovered, selected, confidence (negative if unknown), inferred share.
    pub(crate) state: Vec4,
    /// Lower corner in patient metres, and how much nearer its outside is drawn, in scene metres.
    pub(crate) bounds_min: Vec4,
    /// Upper corner in patient metres, and how much nearer its inside is drawn while the eye is in it, in scene metres.
    pub(crate) bounds_max: Vec4,
}

/// As `LabelLook` in `stage.wgsl`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Pod, Zeroable)]
#[repr(C)]
pub(crate) struct LabelLook {
    /// Linear RGB and strength inside the cut.
    pub(crate) tint: Vec4,
    /// Filled, outline, emphasis.
    pub(crate) state: Vec4,
}

/// The look of every segment; index is the mesh tag.
#[derive(Resource, Default)]
pub(crate) struct SegmentLooks(pub(crate) Vec<SegmentLook>);

/// The look of every label in the label texture; index is the texel's value.
#[derive(Resource, Default)]
pub(crate) struct LabelLooks(pub(crate) Vec<LabelLook>);

/// When this crate's systems of [`PostUpdate`] run.
#[derive(SystemSet, Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RenderWalkSystems {
    /// Turns the walk's state into looks, transforms and meshes. Runs in [`PostUpdate`], after transforms are global.
    Prepare,
    /// Writes changed buffers for the shaders. Runs in [`PostUpdate`], after `Prepare` and before visibility.
    Upload,
}

/// Keeps the shared buffers.
pub(crate) struct StagePlugin;

impl Plugin for StagePlugin {
    fn build(&self, app: &mut App) {
        let clock = systems_clock(app);
        app.init_resource::<Stage>()
            .init_resource::<SegmentLooks>()
            .init_resource::<LabelLooks>()
            .configure_sets(
                PostUpdate,
                (RenderWalkSystems::Prepare, RenderWalkSystems::Upload)
                    .chain()
                    .after(TransformSystems::Propagate)
                    .before(bevy::camera::visibility::VisibilitySystems::CheckVisibility)
                    .before(AssetEventSystems),
            )
            .add_systems(PostUpdate, timed(&clock, upload).in_set(RenderWalkSystems::Upload));
        let mut buffers = app.world_mut().resource_mut::<Assets<ShaderBuffer>>();
        for (handle, bytes) in [
            (STAGE_BUFFER, bytemuck::bytes_of(&Stage::default()).to_vec()),
            (SEGMENT_BUFFER, vec![0; SEGMENT_CAPACITY * size_of::<SegmentLook>()]),
            (LABEL_BUFFER, vec![0; LABEL_CAPACITY * size_of::<LabelLook>()]),
        ] {
            write(&mut buffers, &handle, &bytes);
        }
    }
}

fn upload(
    stage: Res<Stage>,
    segments: Res<SegmentLooks>,
    labels: Res<LabelLooks>,
    mut buffers: ResMut<Assets<ShaderBuffer>>,
) {
    if stage.is_changed() {
        write(&mut buffers, &STAGE_BUFFER, bytemuck::bytes_of(&*stage));
    }
    if segments.is_changed() {
        write(
            &mut buffers,
            &SEGMENT_BUFFER,
            &padded(bytemuck::cast_slice(&segments.0), SEGMENT_CAPACITY * size_of::<SegmentLook>()),
        );
    }
    if labels.is_changed() {
        write(
            &mut buffers,
            &LABEL_BUFFER,
            &padded(bytemuck::cast_slice(&labels.0), LABEL_CAPACITY * size_of::<LabelLook>()),
        );
    }
}

/// Always of the same size, so that the device's buffer, and every binding of it, stays.
fn padded(bytes: &[u8], size: usize) -> Vec<u8> {
    let mut padded = bytes.to_vec();
    padded.resize(size, 0);
    padded
}

fn write(buffers: &mut Assets<ShaderBuffer>, handle: &Handle<ShaderBuffer>, bytes: &[u8]) {
    let inserted = buffers.insert(handle, ShaderBuffer::new(bytes, RenderAssetUsages::RENDER_WORLD));
    if let Err(error) = inserted {
        error!("a shared buffer is not in place: {error}");
    }
}
