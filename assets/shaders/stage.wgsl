// What every shader of the walk shares: the clip plane, the way from the room to the voxels, and the light.
#define_import_path vestibule::stage

struct Stage {
    // Continuous voxel index of the full scan; a voxel's centre lies at the integer.
    index_from_world: mat4x4<f32>,
    // Scene metres of the patient, as in the case's GLB.
    patient_from_world: mat4x4<f32>,
    // World planes; dot(xyz, p) + w > 0 is cut away by any of them. (0, 0, 0, -1) cuts nothing.
    clip_planes: array<vec4<f32>, 4>,
    // Voxels of the full scan along columns, rows, slices.
    scan_size: vec4<f32>,
    // Voxels that a texel stands for along columns, rows, slices.
    texel_voxels: vec4<f32>,
    // x + y * texel is the scan's value; z is the value shown black; w is 1 / (white - black).
    display: vec4<f32>,
    // x: honesty view, 0 none, 1 provenance, 2 surface error, 3 confidence; y: world size of a voxel in metres; z: seconds; w: the most that any structure is drawn nearer than it lies, in scene metres.
    options: vec4<f32>,
}

struct SegmentLook {
    // Linear RGB, and opacity.
    color: vec4<f32>,
    // x: hovered, y: selected, z: confidence (below 0: unknown), w: inferred fraction.
    state: vec4<f32>,
    // Bounds in patient metres; in w how much nearer it is drawn, in scene metres: its outside, and its inside if the eye is in it.
    bounds_min: vec4<f32>,
    bounds_max: vec4<f32>,
}

struct LabelLook {
    // Linear RGB, and strength of the tint inside the cut.
    tint: vec4<f32>,
    // x: filled on the cut face, y: outline strength, z: hovered or selected, w: unused.
    state: vec4<f32>,
}

// What reversed depth is multiplied with so that something `distance` away counts as `lead` nearer.
fn nearer(lead: f32, distance: f32) -> f32 {
    return 1.0 + min(lead / max(distance, 1e-3), 0.25);
}

fn is_clipped(planes: array<vec4<f32>, 4>, world_position: vec3<f32>) -> bool {
    let p = vec4(world_position, 1.0);
    let beyond = vec4(dot(planes[0], p), dot(planes[1], p), dot(planes[2], p), dot(planes[3], p));
    return any(beyond > vec4(0.0));
}

// IEC 61966-2-1, so that a grey lands on the 8-bit value it was computed for.
fn linear_from_srgb(c: vec3<f32>) -> vec3<f32> {
    let low = c / 12.92;
    let high = pow((c + 0.055) / 1.055, vec3(2.4));
    return select(high, low, c <= vec3(0.04045));
}

// Slanted stripes, four times `voxel` wide, for what a model inferred rather than a scanner measured.
fn hatching(world_position: vec3<f32>, voxel: f32, amount: f32) -> f32 {
    let period = max(voxel, 1e-5) * 8.0;
    let phase = fract((world_position.x + world_position.y + world_position.z) / period);
    return mix(1.0, select(0.55, 1.0, phase < 0.5), amount);
}

// The colours and steps of `honesty.rs`, in linear light, run into each other here.
fn confidence_scale(doubt: f32) -> vec3<f32> {
    let sure = vec3(0.0578, 0.0409, 0.2270);
    let fair = vec3(0.0152, 0.2832, 0.2623);
    let low = vec3(0.2789, 0.6795, 0.0561);
    let poor = vec3(0.9823, 0.7991, 0.0185);
    let a = mix(sure, fair, smoothstep(0.03, 0.07, doubt));
    let b = mix(a, low, smoothstep(0.12, 0.18, doubt));
    return mix(b, poor, smoothstep(0.26, 0.34, doubt));
}

const SKY_LIGHT: vec3<f32> = vec3(0.50, 0.53, 0.58);
const FLOOR_LIGHT: vec3<f32> = vec3(0.17, 0.155, 0.145);
const KEY_LIGHT: vec3<f32> = vec3(0.92, 0.88, 0.82);
// From above, to the patient's front and left.
const KEY_DIRECTION: vec3<f32> = vec3(0.40, 0.72, 0.57);
const HEAD_LIGHT: vec3<f32> = vec3(0.34, 0.35, 0.37);

fn compressed(c: vec3<f32>) -> vec3<f32> {
    // Leaves darks alone and bends what would clip.
    return c * (1.0 + c * 0.12) / (1.0 + c * 0.42);
}

struct Lit {
    diffuse: vec3<f32>,
    specular: vec3<f32>,
    fresnel: f32,
}

// `normal` towards the viewer, `view` from the surface to the eye; unit vectors.
fn light(albedo: vec3<f32>, normal: vec3<f32>, view: vec3<f32>) -> Lit {
    let key_direction = normalize(KEY_DIRECTION);
    let facing = saturate(dot(normal, view));
    let key_cosine = dot(normal, key_direction);

    // Wrapped, so that the side in shadow keeps its form.
    let wrap = 0.35;
    let key = saturate((key_cosine + wrap) / (1.0 + wrap));
    let sky = mix(FLOOR_LIGHT, SKY_LIGHT, normal.y * 0.5 + 0.5);
    let head = pow(facing, 1.2);

    // Light that wanders in tissue comes out redder where the key light ends.
    let edge = smoothstep(-0.35, 0.05, key_cosine) * (1.0 - smoothstep(0.05, 0.55, key_cosine));
    let bleed = vec3(0.10, 0.025, 0.015) * edge;

    var lit: Lit;
    lit.diffuse = albedo * (sky + KEY_LIGHT * key * key * 0.80 + HEAD_LIGHT * head + bleed);

    let key_half = normalize(key_direction + view);
    let key_gloss = pow(saturate(dot(normal, key_half)), 34.0) * saturate(key_cosine * 4.0);
    let head_gloss = pow(facing, 40.0);
    lit.fresnel = pow(1.0 - facing, 3.0);
    let rim = lit.fresnel * (0.35 + 0.65 * saturate(normal.y * 0.5 + 0.5));
    lit.specular = KEY_LIGHT * key_gloss * 0.17 + HEAD_LIGHT * head_gloss * 0.12 + SKY_LIGHT * rim * 0.16;
    return lit;
}
