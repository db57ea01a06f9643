//! The material of all structures, solid or glassy. What differs between structures stands in a shared buffer.

use bevy::mesh::MeshVertexBufferLayoutRef;
use bevy::pbr::{MaterialPipeline, MaterialPipelineKey};
use bevy::prelude::*;
use bevy::reflect::TypePath;
use bevy::render::render_resource::{AsBindGroup, Face, RenderPipelineDescriptor, SpecializedMeshPipelineError};
use bevy::render::storage::ShaderBuffer;

use crate::pipeline::{self, LAYERS, glass_bias, one_shader};
use crate::stage::{SEGMENT_BUFFER, STAGE_BUFFER};
use crate::trust::ATTRIBUTE_TRUST;

/// The surface of a structure; its colour and state are found by the entity's `MeshTag`.
#[derive(Asset, AsBindGroup, TypePath, Clone, Debug)]
#[bind_group_data(AnatomyKey)]
pub struct AnatomyMaterial {
    #[storage(0, read_only)]
    stage: Handle<ShaderBuffer>,
    #[storage(1, read_only)]
    segments: Handle<ShaderBuffer>,
    is_glassy: bool,
    depth_bias: f32,
}

/// What needs a pipeline of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(C)]
pub struct AnatomyKey {
    is_glassy: bool,
}

impl From<&AnatomyMaterial> for AnatomyKey {
    fn from(material: &AnatomyMaterial) -> Self {
        Self { is_glassy: material.is_glassy }
    }
}

impl AnatomyMaterial {
    fn new(is_glassy: bool, depth_bias: f32) -> Self {
        Self { stage: STAGE_BUFFER, segments: SEGMENT_BUFFER, is_glassy, depth_bias }
    }
}

impl Material for AnatomyMaterial {
    one_shader!(ANATOMY);

    fn alpha_mode(&self) -> AlphaMode {
        if self.is_glassy { AlphaMode::Premultiplied } else { AlphaMode::Opaque }
    }

    fn depth_bias(&self) -> f32 {
        self.depth_bias
    }

    fn specialize(
        _pipeline: &MaterialPipeline,
        descriptor: &mut RenderPipelineDescriptor,
        layout: &MeshVertexBufferLayoutRef,
        key: MaterialPipelineKey<Self>,
    ) -> Result<(), SpecializedMeshPipelineError> {
        let attributes = [
            Mesh::ATTRIBUTE_POSITION.at_shader_location(0),
            Mesh::ATTRIBUTE_NORMAL.at_shader_location(1),
            ATTRIBUTE_TRUST.at_shader_location(2),
        ];
        // Both sides are seen when one walks inside.
        pipeline::set_up(descriptor, layout, &attributes, None)?;
        if key.bind_group_data.is_glassy {
            if let Some(fragment) = descriptor.fragment.as_mut() {
                fragment.shader_defs.push("GLASSY".into());
            }
            if let Some(depth) = descriptor.depth_stencil.as_mut() {
                depth.depth_write_enabled = Some(false);
            }
        }
        Ok(())
    }
}

/// The solid material, and glass for each layer of the body: nested structures are blended from the inside out.
#[derive(Resource, Clone, Debug)]
pub(crate) struct AnatomyMaterials {
    solid: Handle<AnatomyMaterial>,
    glassy: Vec<Handle<AnatomyMaterial>>,
}

impl AnatomyMaterials {
    /// The material of a structure; `peel_rank` 0 is outermost.
    pub(crate) fn of(&self, is_glassy: bool, peel_rank: u8) -> &Handle<AnatomyMaterial> {
        let layer = usize::from(peel_rank).min(self.glassy.len() - 1);
        if is_glassy { &self.glassy[layer] } else { &self.solid }
    }
}

impl FromWorld for AnatomyMaterials {
    fn from_world(world: &mut World) -> Self {
        let mut materials = world.resource_mut::<Assets<AnatomyMaterial>>();
        Self {
            solid: materials.add(AnatomyMaterial::new(false, 0.0)),
            glassy: (0..LAYERS).map(|layer| materials.add(AnatomyMaterial::new(true, glass_bias(layer)))).collect(),
        }
    }
}

/// Letters, lines and figures; colours from the vertices.
#[derive(Asset, AsBindGroup, TypePath, Clone, Debug)]
#[bind_group_data(MarkKey)]
pub(crate) struct MarkMaterial {
    #[uniform(0)]
    options: Vec4,
    is_flat_sided: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(C)]
pub(crate) struct MarkKey {
    is_flat_sided: bool,
}

impl From<&MarkMaterial> for MarkKey {
    fn from(material: &MarkMaterial) -> Self {
        Self { is_flat_sided: material.is_flat_sided }
    }
}

impl MarkMaterial {
    /// Keeps its vertex colours and is seen from the front only, so that letters are never mirrored.
    pub(crate) fn letters() -> Self {
        Self { options: Vec4::new(0.0, 0.0, 1.0, 0.0), is_flat_sided: true }
    }

    /// A lit body.
    pub(crate) fn lit() -> Self {
        Self { options: Vec4::new(1.0, 0.0, 1.0, 0.0), is_flat_sided: false }
    }

    /// The same, drawn over everything beyond arm's length.
    pub(crate) fn over_all(mut self) -> Self {
        self.options.y = 1.0;
        self
    }
}

impl Material for MarkMaterial {
    one_shader!(MARK);

    fn specialize(
        _pipeline: &MaterialPipeline,
        descriptor: &mut RenderPipelineDescriptor,
        layout: &MeshVertexBufferLayoutRef,
        key: MaterialPipelineKey<Self>,
    ) -> Result<(), SpecializedMeshPipelineError> {
        let attributes = [
            Mesh::ATTRIBUTE_POSITION.at_shader_location(0),
            Mesh::ATTRIBUTE_NORMAL.at_shader_location(1),
            Mesh::ATTRIBUTE_COLOR.at_shader_location(5),
        ];
        pipeline::set_up(descriptor, layout, &attributes, key.bind_group_data.is_flat_sided.then_some(Face::Back))
    }
}
