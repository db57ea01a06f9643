// Letters, lines, the orientation figure and whatever else marks the room: colours from the vertices.
#import bevy_pbr::{mesh_functions, mesh_view_bindings::view, view_transformations::position_world_to_clip}
#import vestibule::stage::{light, compressed}

struct Mark {
    // x: 1 is lit, 0 keeps its colour; y: 1 is drawn over everything beyond arm's length; z: opacity; w: unused.
    options: vec4<f32>,
}

@group(#{MATERIAL_BIND_GROUP}) @binding(0) var<uniform> mark: Mark;

struct Vertex {
    @builtin(instance_index) instance_index: u32,
    @location(0) position: vec3<f32>,
    @location(1) normal: vec3<f32>,
    @location(5) color: vec4<f32>,
}

struct Surface {
    @builtin(position) position: vec4<f32>,
    @location(0) world_position: vec3<f32>,
    @location(1) world_normal: vec3<f32>,
    @location(2) color: vec4<f32>,
}

@vertex
fn vertex(vertex: Vertex) -> Surface {
    let world_from_local = mesh_functions::get_world_from_local(vertex.instance_index);
    let world = mesh_functions::mesh_position_local_to_world(world_from_local, vec4(vertex.position, 1.0));
    var out: Surface;
    out.position = position_world_to_clip(world.xyz);
    if mark.options.y > 0.5 {
        // Reversed depth: the near half of the range is kept for overlays.
        out.position.z = 0.5 * out.position.z + 0.5 * out.position.w;
    }
    out.world_position = world.xyz;
    out.world_normal = mesh_functions::mesh_normal_local_to_world(vertex.normal, vertex.instance_index);
    out.color = vertex.color;
    return out;
}

@fragment
fn fragment(surface: Surface, @builtin(front_facing) front_facing: bool) -> @location(0) vec4<f32> {
    var color = surface.color.rgb;
    if mark.options.x > 0.5 {
        let view_direction = normalize(view.world_position - surface.world_position);
        let normal = normalize(surface.world_normal) * select(-1.0, 1.0, front_facing);
        let lit = light(color, normal, view_direction);
        color = compressed(lit.diffuse + lit.specular * 0.6);
    }
    return vec4(color, surface.color.a * mark.options.z);
}
