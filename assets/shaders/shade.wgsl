// Darkness over the whole picture: from the edge inwards in smooth motion, all of it in a jump.
#import bevy_pbr::mesh_view_bindings::view

struct Shade {
    // x: how far the vignette closes, 0 to 1; y: 1 is all dark; z, w: unused.
    strength: vec4<f32>,
}

@group(#{MATERIAL_BIND_GROUP}) @binding(0) var<uniform> shade: Shade;

struct Surface {
    @builtin(position) position: vec4<f32>,
    @location(0) slope: vec2<f32>,
}

@vertex
fn vertex(@location(0) position: vec3<f32>) -> Surface {
    var out: Surface;
    // Reversed depth: in front of everything.
    out.position = vec4(position.xy, 1.0, 1.0);
    let near = view.view_from_clip * vec4(position.xy, 1.0, 1.0);
    out.slope = near.xy / -near.z;
    return out;
}

@fragment
fn fragment(surface: Surface) -> @location(0) vec4<f32> {
    let strength = shade.strength.x;
    // Tangent of the angle from straight ahead at which it begins to darken: 50 degrees hardly closed, 19 degrees closed.
    let begin = mix(1.2, 0.35, strength);
    let edge = smoothstep(begin, begin + 0.35, length(surface.slope)) * saturate(strength * 4.0);
    return vec4(0.0, 0.0, 0.0, max(edge, shade.strength.y));
}
