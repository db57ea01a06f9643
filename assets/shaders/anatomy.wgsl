// Surfaces of structures: one material for all, each instance finds its look by its mesh tag.
#import bevy_pbr::{mesh_functions, mesh_view_bindings::view, view_transformations::position_world_to_clip}
#import vestibule::stage::{Stage, SegmentLook, is_clipped, light, compressed, nearer, confidence_scale, hatching}

@group(#{MATERIAL_BIND_GROUP}) @binding(0) var<storage, read> stage: Stage;
@group(#{MATERIAL_BIND_GROUP}) @binding(1) var<storage, read> segments: array<SegmentLook>;

struct Vertex {
    @builtin(instance_index) instance_index: u32,
    @location(0) position: vec3<f32>,
    @location(1) normal: vec3<f32>,
    // x: confidence, y: drawn by a model, z: grey value made up by a model.
    @location(2) trust: vec4<f32>,
}

struct Surface {
    @builtin(position) position: vec4<f32>,
    @location(0) world_position: vec3<f32>,
    @location(1) world_normal: vec3<f32>,
    @location(2) @interpolate(flat) segment: u32,
    @location(3) trust: vec4<f32>,
}

@vertex
fn vertex(vertex: Vertex) -> Surface {
    let world_from_local = mesh_functions::get_world_from_local(vertex.instance_index);
    let world = mesh_functions::mesh_position_local_to_world(world_from_local, vec4(vertex.position, 1.0));
    var out: Surface;
    out.position = position_world_to_clip(world.xyz);
    out.world_position = world.xyz;
    out.world_normal = mesh_functions::mesh_normal_local_to_world(vertex.normal, vertex.instance_index);
    out.segment = mesh_functions::get_tag(vertex.instance_index);
    out.trust = vertex.trust;
    let look = segments[out.segment];
    if dot(out.world_normal, view.world_position - world.xyz) >= 0.0 {
        // Skin and what lies below it are coarse each in its own way: the skin wins.
        out.position.z *= nearer(look.bounds_min.w, out.position.w);
    } else if look.bounds_max.w > 0.0 {
        // From within, the wall wins over neighbours that touch it.
        out.position.z *= nearer(look.bounds_max.w, out.position.w);
    } else {
        // Neighbours share their border exactly. Where the far side of one meets the near side of the other, the near side wins.
        out.position.z *= 0.9996;
    }
    return out;
}

// One looks at the inside of a surface if its winding and its normal both say so. Where a coarse level folds over, the winding of a
// triangle alone points away; the normal, which is that of the undecimated surface, knows better.
@fragment
fn fragment(surface: Surface, @builtin(front_facing) front_facing: bool) -> @location(0) vec4<f32> {
    if is_clipped(stage.clip_planes, surface.world_position) {
        discard;
    }
    let look = segments[surface.segment];
    let view_direction = normalize(view.world_position - surface.world_position);
    var normal = normalize(surface.world_normal);
    var albedo = look.color.rgb;
    let is_inside = !front_facing && dot(normal, view_direction) < 0.0;
    if is_inside {
        normal = -normal;
        // The inside: darker and a little greyer, so that in and out are never mistaken.
        let grey = vec3(dot(albedo, vec3(0.2126, 0.7152, 0.0722)));
        albedo = mix(albedo, grey, 0.25) * 0.62;
    }
#ifdef GLASSY
    if is_inside {
        // From outside only the near side of glass is drawn; from inside there is no other.
        let eye = (stage.patient_from_world * vec4(view.world_position, 1.0)).xyz;
        if any(eye < look.bounds_min.xyz) || any(eye > look.bounds_max.xyz) {
            discard;
        }
    }
#endif
    if stage.options.x > 2.5 && surface.trust.y > 0.5 {
        // Where the model was unsure; stripes as well, so that nothing is told by colour alone.
        let doubt = 1.0 - surface.trust.x / max(surface.trust.y, 1e-3);
        albedo = confidence_scale(doubt) * select(1.0, 0.62, is_inside);
        albedo *= hatching(surface.world_position, stage.options.y, smoothstep(0.28, 0.32, doubt));
    } else if stage.options.x > 0.5 && stage.options.x < 1.5 {
        albedo *= hatching(surface.world_position, stage.options.y, smoothstep(0.4, 0.6, max(surface.trust.z, look.state.w)));
    }
    let hovered = look.state.x;
    let selected = look.state.y;
    albedo = mix(albedo, albedo * 1.12 + vec3(0.06), hovered);

    let lit = light(albedo, normal, view_direction);
    let facing = saturate(dot(normal, view_direction));
    // A bright edge with a soft inner glow stands for an outline and costs no second pass.
    let selected_edge = smoothstep(0.42, 0.30, facing);
    let hovered_edge = smoothstep(0.34, 0.18, facing);
    let edge = vec3(1.0, 0.80, 0.22) * selected_edge * selected + vec3(0.75, 0.88, 1.0) * hovered_edge * hovered * 0.6;
    let edge_strength = max(selected_edge * selected, hovered_edge * hovered * 0.6);

#ifdef GLASSY
    let opacity = look.color.a;
    let fresnel = pow(1.0 - facing, 2.2);
    let body = opacity * 0.85;
    let alpha = saturate(mix(body, min(1.0, body + 0.55), fresnel) + edge_strength * 0.5);
    let color = compressed(lit.diffuse) * alpha + lit.specular * (0.35 + opacity * 0.65) + edge;
    return vec4(color, alpha);
#else
    return vec4(mix(compressed(lit.diffuse + lit.specular), edge, edge_strength * 0.85), 1.0);
#endif
}
