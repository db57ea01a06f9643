//! What the pipelines of all our materials have in common.

use bevy::mesh::{MeshVertexBufferLayoutRef, VertexAttributeDescriptor};
use bevy::prelude::*;
use bevy::render::render_resource::{Face, RenderPipelineDescriptor, SpecializedMeshPipelineError};

/// The methods of `Material` that are the same for all of ours: one shader file, no prepass, no shadows.
macro_rules! one_shader {
    ($shader:ident) => {
        fn vertex_shader() -> bevy::shader::ShaderRef {
            crate::shaders::$shader.into()
        }

        fn fragment_shader() -> bevy::shader::ShaderRef {
            crate::shaders::$shader.into()
        }

        fn enable_prepass() -> bool {
            false
        }

        fn enable_shadows() -> bool {
            false
        }
    };
}

pub(crate) use one_shader;

/// [`one_shader`] for a shader that reads positions only and is seen from both sides.
macro_rules! one_shader_of_positions {
    ($shader:ident) => {
        crate::pipeline::one_shader!($shader);

        fn specialize(
            _pipeline: &bevy::pbr::MaterialPipeline,
            descriptor: &mut bevy::render::render_resource::RenderPipelineDescriptor,
            layout: &bevy::mesh::MeshVertexBufferLayoutRef,
            _key: bevy::pbr::MaterialPipelineKey<Self>,
        ) -> Result<(), bevy::render::render_resource::SpecializedMeshPipelineError> {
            let attributes = [Mesh::ATTRIBUTE_POSITION.at_shader_location(0)];
            crate::pipeline::set_up(descriptor, layout, &attributes, None)
        }
    };
}

pub(crate) use one_shader_of_positions;

/// How many layers of the body glass is told apart by.
pub(crate) const LAYERS: u8 = 20;

/// What glass of one layer is drawn after glass of the next inner one, as a distance in metres no room has.
const LAYER_BIAS: f32 = 1000.0;

/// Draws glass of a layer of the body after all glass within it; layer 0 is outermost.
pub(crate) fn glass_bias(layer: u8) -> f32 {
    LAYER_BIAS * f32::from(LAYERS - layer)
}

/// Draws after all glass.
pub(crate) const OVER_GLASS_BIAS: f32 = LAYER_BIAS * (LAYERS as f32 + 1.0);

/// Which vertex attributes a shader reads, at the place each has in its list and no others; and which side it leaves out.
pub(crate) fn set_up(
    descriptor: &mut RenderPipelineDescriptor,
    layout: &MeshVertexBufferLayoutRef,
    attributes: &[VertexAttributeDescriptor],
    cull_mode: Option<Face>,
) -> Result<(), SpecializedMeshPipelineError> {
    descriptor.vertex.buffers = vec![layout.0.get_layout(attributes)?];
    descriptor.primitive.cull_mode = cull_mode;
    Ok(())
}
