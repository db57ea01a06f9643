// A canvas as it is, in front of everything beyond arm's length.
#import bevy_pbr::{mesh_functions, forward_io::{Vertex, VertexOutput}, view_transformations::position_world_to_clip}

@group(#{MATERIAL_BIND_GROUP}) @binding(0) var panel: texture_2d<f32>;
@group(#{MATERIAL_BIND_GROUP}) @binding(1) var panel_sampler: sampler;

@vertex
fn vertex(vertex: Vertex) -> VertexOutput {
    let world_from_local = mesh_functions::get_world_from_local(vertex.instance_index);
    var out: VertexOutput;
    out.world_position = mesh_functions::mesh_position_local_to_world(world_from_local, vec4(vertex.position, 1.0));
    out.world_normal = mesh_functions::mesh_normal_local_to_world(vertex.normal, vertex.instance_index);
    out.position = position_world_to_clip(out.world_position.xyz);
    out.position.z = 0.5 * out.position.z + 0.5 * out.position.w;
    out.uv = vertex.uv;
    return out;
}

@fragment
fn fragment(surface: VertexOutput) -> @location(0) vec4<f32> {
    let color = textureSample(panel, panel_sampler, surface.uv);
    // The panel was blended onto nothing, so its colour already holds its alpha.
    return vec4(color.rgb / max(color.a, 1e-3), color.a);
}
