// Floor and backdrop of the room: quiet, with a horizon and just enough on the floor to feel its size.
#import bevy_pbr::{mesh_functions, mesh_view_bindings::view, view_transformations::position_world_to_clip}

struct Room {
    // x: 1 is the floor, 0 the backdrop; y: metres between grid lines; z: where the floor has faded into the horizon.
    options: vec4<f32>,
    zenith: vec4<f32>,
    horizon: vec4<f32>,
    ground: vec4<f32>,
    // Middle of the ring round the patient on the floor, and its radius.
    ring: vec4<f32>,
}

@group(#{MATERIAL_BIND_GROUP}) @binding(0) var<uniform> room: Room;

struct Vertex {
    @builtin(instance_index) instance_index: u32,
    @location(0) position: vec3<f32>,
}

struct Surface {
    @builtin(position) position: vec4<f32>,
    @location(0) world_position: vec3<f32>,
}

@vertex
fn vertex(vertex: Vertex) -> Surface {
    let world_from_local = mesh_functions::get_world_from_local(vertex.instance_index);
    var world = mesh_functions::mesh_position_local_to_world(world_from_local, vec4(vertex.position, 1.0)).xyz;
    if room.options.x < 0.5 {
        // The backdrop stays infinitely far.
        world = world + view.world_position;
    }
    var out: Surface;
    out.position = position_world_to_clip(world);
    // Behind everything: what reaches below the floor is seen through it.
    out.position.z = select(0.0, 1e-6 * out.position.w, room.options.x > 0.5);
    out.world_position = world;
    return out;
}

// Breaks up the bands of an 8-bit gradient.
fn noise(pixel: vec2<f32>) -> f32 {
    return fract(52.9829189 * fract(dot(pixel, vec2(0.06711056, 0.00583715)))) - 0.5;
}

fn backdrop(direction: vec3<f32>) -> vec3<f32> {
    let up = direction.y;
    let sky = mix(room.horizon.rgb, room.zenith.rgb, pow(saturate(up), 0.55));
    let below = mix(room.horizon.rgb, room.ground.rgb, saturate(-up * 6.0));
    return select(below, sky, up >= 0.0);
}

fn line(coordinate: vec2<f32>, width: vec2<f32>) -> f32 {
    let spread = fwidth(coordinate);
    let distance = abs(fract(coordinate - 0.5) - 0.5);
    let drawn = max(width, spread);
    let covered = smoothstep(drawn + spread, drawn - spread * 0.5, distance) * saturate(width / drawn);
    return saturate(max(covered.x, covered.y));
}

@fragment
fn fragment(surface: Surface) -> @location(0) vec4<f32> {
    let to_surface = surface.world_position - view.world_position;
    let direction = normalize(to_surface);
    let grain = noise(surface.position.xy) / 255.0;
    if room.options.x < 0.5 {
        return vec4(backdrop(direction) + grain * 0.6, 1.0);
    }
    let radius = length(surface.world_position.xz - room.ring.xy) / room.ring.z * 0.9;
    let distance = length(to_surface);
    let coordinate = surface.world_position.xz / room.options.y;
    let fine = line(coordinate, vec2(0.0035 / room.options.y));
    // A pool of light round the patient.
    let pool = exp(-radius * radius / 7.0);
    // Soft contact shadow under the middle.
    let contact = exp(-radius * radius / 0.10) * 0.30;
    var color = room.ground.rgb * (0.92 + 0.42 * pool) * (1.0 - contact);
    color = mix(color, color * 0.80, fine * (0.25 + 0.75 * exp(-radius / 4.0)));
    let ring = abs(radius - 0.90);
    let ring_width = max(fwidth(radius), 0.004);
    color = mix(color, color * 0.62, smoothstep(ring_width * 1.5, ring_width * 0.5, ring) * 0.75);
    let haze = smoothstep(0.0, 1.0, distance / room.options.z);
    color = mix(color, room.horizon.rgb, haze);
    return vec4(color + grain * 0.6, 1.0);
}
