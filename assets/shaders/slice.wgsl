// The scan's own grey values on a plane: the cap of the clip plane, and the axial, coronal and sagittal slices.
#import bevy_pbr::{mesh_functions, view_transformations::position_world_to_clip}
#import vestibule::stage::{Stage, LabelLook, linear_from_srgb, nearer, confidence_scale, hatching}

struct Slice {
    // x: 1 fills visible structures only and leaves the rest out; y: strength of label tints;
    // z: strength of label outlines; w: the clip plane it is the cap of, below 0 if it is no cap and is not cut.
    options: vec4<f32>,
}

@group(#{MATERIAL_BIND_GROUP}) @binding(0) var<storage, read> stage: Stage;
@group(#{MATERIAL_BIND_GROUP}) @binding(1) var<storage, read> looks: array<LabelLook>;
@group(#{MATERIAL_BIND_GROUP}) @binding(2) var<uniform> slice: Slice;
@group(#{MATERIAL_BIND_GROUP}) @binding(3) var scan: texture_3d<f32>;
@group(#{MATERIAL_BIND_GROUP}) @binding(4) var scan_sampler: sampler;
@group(#{MATERIAL_BIND_GROUP}) @binding(5) var labels: texture_3d<u32>;
// r: how sure a model was of the label, in percent, 255 where none spoke; g: 1 where a model made up the value.
@group(#{MATERIAL_BIND_GROUP}) @binding(6) var trust: texture_3d<u32>;

struct Vertex {
    @builtin(instance_index) instance_index: u32,
    @location(0) position: vec3<f32>,
}

struct Plane {
    @builtin(position) position: vec4<f32>,
    @location(0) world_position: vec3<f32>,
}

@vertex
fn vertex(vertex: Vertex) -> Plane {
    let world_from_local = mesh_functions::get_world_from_local(vertex.instance_index);
    let world = mesh_functions::mesh_position_local_to_world(world_from_local, vec4(vertex.position, 1.0));
    var out: Plane;
    out.position = position_world_to_clip(world.xyz);
    if slice.options.w >= 0.0 {
        // Before a cap all is cut away, so it may come nearer than anything behind it does.
        out.position.z *= nearer(stage.options.w, out.position.w);
    }
    out.world_position = world.xyz;
    return out;
}

// A cap lies on its own plane, so rounding must not let that plane cut it.
fn is_cut_by_others(own: i32, world_position: vec3<f32>) -> bool {
    for (var i = 0; i < 4; i++) {
        if i != own && dot(stage.clip_planes[i], vec4(world_position, 1.0)) > 0.0 {
            return true;
        }
    }
    return false;
}

fn label_at(texel: vec3<i32>) -> u32 {
    let size = vec3<i32>(textureDimensions(labels));
    return textureLoad(labels, clamp(texel, vec3(0), size - 1), 0).r;
}

// What is known of the nearest voxel; a texture of one texel says the same of all.
fn trust_at(index: vec3<f32>) -> vec2<u32> {
    let size = vec3<i32>(textureDimensions(trust));
    let texel = vec3<i32>(floor((index + 0.5) / stage.texel_voxels.xyz));
    return textureLoad(trust, clamp(texel, vec3(0), size - 1), 0).rg;
}

// The honesty view: stripes where a model made up the value, or colour and stripes where it was unsure. What is sure keeps its grey.
fn honest(color: vec3<f32>, index: vec3<f32>, world_position: vec3<f32>) -> vec3<f32> {
    let known = trust_at(index);
    if stage.options.x > 2.5 && known.r <= 100u {
        let doubt = 1.0 - f32(known.r) / 100.0;
        let tinted = mix(color, confidence_scale(doubt) * (0.3 + 0.7 * color), 0.75 * smoothstep(0.02, 0.08, doubt));
        return tinted * hatching(world_position, stage.options.y, smoothstep(0.28, 0.32, doubt));
    }
    if stage.options.x > 0.5 && stage.options.x < 1.5 && known.g > 0u {
        return color * hatching(world_position, stage.options.y, 1.0);
    }
    return color;
}

// The scan's display value, 0 black to 1 white (PS3.3 C.11.2.1.3.2, LINEAR_EXACT).
fn grey_at(index: vec3<f32>) -> f32 {
    let texels = vec3<f32>(textureDimensions(scan));
    let uvw = (index + 0.5) / (stage.texel_voxels.xyz * texels);
    let value = stage.display.x + stage.display.y * textureSampleLevel(scan, scan_sampler, uvw, 0.0).r;
    return saturate((value - stage.display.z) * stage.display.w);
}

struct Inside {
    // Share of the neighbourhood that is filled, and of the nearest voxel's own label.
    filled: f32,
    own: f32,
    tint: vec3<f32>,
    tint_strength: f32,
    outline: f32,
    own_tint: vec3<f32>,
    emphasis: f32,
}

// Trilinear membership: smooth borders from whole-number labels.
fn inside_at(index: vec3<f32>) -> Inside {
    let texel = (index + 0.5) / stage.texel_voxels.xyz - 0.5;
    let base = vec3<i32>(floor(texel));
    let part = fract(texel);
    let own_label = label_at(vec3<i32>(floor(texel + 0.5)));
    var result: Inside;
    for (var corner = 0; corner < 8; corner++) {
        let step = vec3<i32>(corner & 1, (corner >> 1) & 1, corner >> 2);
        let near = vec3<f32>(step);
        let share = mix(vec3(1.0) - part, part, near);
        let weight = share.x * share.y * share.z;
        let label = label_at(base + step);
        let look = looks[label];
        let fill = weight * look.state.x;
        result.filled += fill;
        result.tint += look.tint.rgb * weight * look.tint.a;
        result.tint_strength += weight * look.tint.a;
        result.own += select(0.0, weight, label == own_label);
    }
    let own_look = looks[own_label];
    result.outline = own_look.state.y;
    result.own_tint = own_look.tint.rgb;
    result.emphasis = own_look.state.z;
    return result;
}

@fragment
fn fragment(plane: Plane) -> @location(0) vec4<f32> {
    let index = (stage.index_from_world * vec4(plane.world_position, 1.0)).xyz;
    // Voxels that one pixel spans.
    let reach = max(length(dpdx(index)), length(dpdy(index)));
    if any(index < vec3(-0.5)) || any(index > stage.scan_size.xyz - 0.5) {
        discard;
    }
    if slice.options.w >= 0.0 && is_cut_by_others(i32(slice.options.w), plane.world_position) {
        discard;
    }
    let grey = grey_at(index);
    let inside = inside_at(index);
    if slice.options.x > 0.5 && inside.filled < 0.5 {
        discard;
    }
    var color = linear_from_srgb(vec3(grey));
    let tint_strength = inside.tint_strength * slice.options.y;
    if inside.tint_strength > 0.0 {
        let tint = inside.tint / inside.tint_strength;
        // Keeps the grey's lightness readable under the colour.
        color = mix(color, tint * (0.25 + 0.75 * color), tint_strength);
    }
    color = honest(color, index, plane.world_position);
    // The border lies where the voxel's own share falls to one half; 1.2 pixels on either side, half a voxel at most.
    let width = min(reach * 1.2, 0.5);
    let border = 1.0 - smoothstep(0.5, 0.5 + width, inside.own);
    let fade = saturate(2.0 - reach * 0.5);
    let outline = border * fade * inside.outline * max(slice.options.z, inside.emphasis);
    color = mix(color, inside.own_tint, saturate(outline));
    return vec4(color, 1.0);
}
