//! Surfaces to GLB bytes.

use std::collections::BTreeMap;

use glam::{DMat3, DVec3, Vec3};
use gltf_json::accessor::{ComponentType, GenericComponentType, Type};
use gltf_json::buffer::{Target, View};
use gltf_json::extras::RawValue;
use gltf_json::material::{PbrBaseColorFactor, PbrMetallicRoughness, StrengthFactor};
use gltf_json::mesh::{Primitive, Semantic};
use gltf_json::validation::{Checked, USize64};
use gltf_json::{Accessor, Asset, Buffer, Index, Material, Mesh, Node, Root, Scene};
use rayon::prelude::*;
use space::scene_from_lps;
use volume::{Code, Label};

use super::{BIN_CHUNK, JSON_CHUNK, LodExtension, MAGIC, MSFT_LOD, NodeExtras, SegmentExtras, VERSION};
use crate::color::linear_from_srgb;
use crate::error::GlbError;
use crate::manifest::NOT_A_MEDICAL_DEVICE;

/// A segment to be written.
pub(crate) struct GlbSegment<'a> {
    pub(crate) label: Label,
    pub(crate) name: &'a str,
    pub(crate) code: Option<&'a Code>,
    pub(crate) color: [u8; 3],
    /// Finest first; those without triangles are left out.
    pub(crate) lods: Vec<GlbMesh<'a>>,
}

/// A mesh to be written, LPS millimetres.
#[derive(Clone, Copy)]
pub(crate) struct GlbMesh<'a> {
    pub(crate) positions: &'a [[f32; 3]],
    pub(crate) normals: &'a [[f32; 3]],
    pub(crate) triangles: &'a [[u32; 3]],
}

/// Wet tissue under soft light; our own choice.
const ROUGHNESS: f32 = 0.55;

/// Share of the screen's height below which the next level is shown; our own choice. The last level stays.
const SCREEN_COVERAGE: [f32; 3] = [0.4, 0.15, 0.05];

/// With 16-bit indices 65535 is the restart value (glTF 2.0, 3.7.2.1).
const MAX_U16_VERTICES: usize = 65_535;

const HEADER_BYTES: usize = 12;
const CHUNK_HEADER_BYTES: usize = 8;

/// Puts all segments into one GLB.
///
/// # Errors
/// [`GlbError::Mesh`] for a mesh that is not one, [`GlbError::TooLarge`] beyond 4 GiB.
pub(crate) fn write_glb(segments: &[GlbSegment<'_>]) -> Result<Vec<u8>, GlbError> {
    let mut primitives = Vec::new();
    let mut end = 0;
    for segment in segments {
        for (lod, mesh) in segment.lods.iter().filter(|m| !m.triangles.is_empty()).enumerate() {
            check(mesh).map_err(|reason| GlbError::Mesh { segment: segment.name.to_owned(), lod, reason })?;
            let placed = Placed::at(end, *mesh);
            end = placed.end();
            primitives.push(placed);
        }
    }
    let bounds = primitives.par_iter().map(Placed::bounds).collect::<Vec<_>>();
    let json = document(segments, &primitives, &bounds, end)?;
    let json_bytes = json.len().next_multiple_of(4);
    let with_bin = if end > 0 { CHUNK_HEADER_BYTES + end } else { 0 };
    let total = HEADER_BYTES + CHUNK_HEADER_BYTES + json_bytes + with_bin;
    let Ok(total_u32) = u32::try_from(total) else { return Err(GlbError::TooLarge { bytes: total as u64 }) };

    let mut glb = Vec::with_capacity(total);
    glb.extend_from_slice(MAGIC);
    glb.extend_from_slice(&VERSION.to_le_bytes());
    glb.extend_from_slice(&total_u32.to_le_bytes());
    glb.extend_from_slice(&(json_bytes as u32).to_le_bytes());
    glb.extend_from_slice(JSON_CHUNK);
    glb.extend_from_slice(json.as_bytes());
    glb.resize(HEADER_BYTES + CHUNK_HEADER_BYTES + json_bytes, b' ');
    if end > 0 {
        glb.extend_from_slice(&(end as u32).to_le_bytes());
        glb.extend_from_slice(BIN_CHUNK);
        let start = glb.len();
        glb.resize(total, 0);
        let mut rest = &mut glb[start..];
        let mut pieces = Vec::with_capacity(primitives.len());
        for placed in &primitives {
            let (piece, after) = rest.split_at_mut(placed.end() - placed.start);
            pieces.push((placed, piece));
            rest = after;
        }
        pieces.into_par_iter().for_each(|(placed, piece)| placed.fill(piece));
    }
    Ok(glb)
}

fn check(mesh: &GlbMesh<'_>) -> Result<(), &'static str> {
    let vertices = mesh.positions.len();
    if mesh.normals.len() != vertices {
        return Err("as many normals as positions are needed");
    }
    if u32::try_from(vertices).is_err() {
        return Err("more vertices than an index can count");
    }
    if !mesh.positions.par_iter().all(|p| p.iter().all(|c| c.is_finite())) {
        return Err("a position is not finite");
    }
    if !mesh.triangles.par_iter().flatten_iter().all(|&i| (i as usize) < vertices) {
        return Err("a triangle names a vertex that is not there");
    }
    Ok(())
}

/// A mesh and its place in the buffer: positions, normals, indices.
struct Placed<'a> {
    mesh: GlbMesh<'a>,
    start: usize,
}

impl<'a> Placed<'a> {
    fn at(start: usize, mesh: GlbMesh<'a>) -> Self {
        Self { mesh, start }
    }

    fn vector_bytes(&self) -> usize {
        size_of_val(self.mesh.positions)
    }

    fn short_indices(&self) -> bool {
        self.mesh.positions.len() <= MAX_U16_VERTICES
    }

    fn index_bytes(&self) -> usize {
        self.mesh.triangles.len() * 3 * if self.short_indices() { 2 } else { 4 }
    }

    fn end(&self) -> usize {
        self.start + 2 * self.vector_bytes() + self.index_bytes().next_multiple_of(4)
    }

    /// Least and greatest coordinates in scene metres, exactly as written.
    fn bounds(&self) -> [Vec3; 2] {
        let [min, max] = [Vec3::splat(f32::INFINITY), Vec3::splat(f32::NEG_INFINITY)];
        let to_scene = ToScene::new();
        self.mesh.positions.iter().fold([min, max], |[min, max], &p| {
            let p = Vec3::from_array(to_scene.position(p));
            [min.min(p), max.max(p)]
        })
    }

    fn fill(&self, out: &mut [u8]) {
        let to_scene = ToScene::new();
        let (positions, rest) = out.split_at_mut(self.vector_bytes());
        let (normals, indices) = rest.split_at_mut(self.vector_bytes());
        for (p, out) in self.mesh.positions.iter().zip(positions.chunks_exact_mut(12)) {
            write_vector(to_scene.position(*p), out);
        }
        for (n, out) in self.mesh.normals.iter().zip(normals.chunks_exact_mut(12)) {
            write_vector(to_scene.direction(*n), out);
        }
        let all = self.mesh.triangles.as_flattened();
        if self.short_indices() {
            for (&i, out) in all.iter().zip(indices.chunks_exact_mut(2)) {
                out.copy_from_slice(&(i as u16).to_le_bytes());
            }
        } else {
            for (&i, out) in all.iter().zip(indices.chunks_exact_mut(4)) {
                out.copy_from_slice(&i.to_le_bytes());
            }
        }
    }
}

fn write_vector(vector: [f32; 3], out: &mut [u8]) {
    for (c, out) in vector.iter().zip(out.chunks_exact_mut(4)) {
        out.copy_from_slice(&c.to_le_bytes());
    }
}

/// [`scene_from_lps`], taken apart once for millions of vertices.
#[derive(Clone, Copy)]
struct ToScene {
    linear: DMat3,
    translation: DVec3,
}

impl ToScene {
    fn new() -> Self {
        let affine = scene_from_lps();
        Self { linear: affine.linear, translation: affine.translation }
    }

    fn position(self, lps_mm: [f32; 3]) -> [f32; 3] {
        (self.linear * Vec3::from_array(lps_mm).as_dvec3() + self.translation).as_vec3().to_array()
    }

    /// Of unit length whatever comes in; a normal of none points up.
    fn direction(self, lps: [f32; 3]) -> [f32; 3] {
        let scene = self.linear * Vec3::from_array(lps).as_dvec3();
        scene.try_normalize().unwrap_or(DVec3::Y).as_vec3().to_array()
    }
}

fn document(
    segments: &[GlbSegment<'_>],
    primitives: &[Placed<'_>],
    bounds: &[[Vec3; 2]],
    buffer_bytes: usize,
) -> Result<String, GlbError> {
    let mut root = Root {
        asset: Asset {
            generator: Some(concat!("vestibule ", env!("CARGO_PKG_VERSION")).to_owned()),
            extras: raw(&serde_json::json!({ "vestibule": { "notice": NOT_A_MEDICAL_DEVICE } }))?,
            ..Asset::default()
        },
        ..Root::default()
    };
    if buffer_bytes > 0 {
        root.buffers.push(Buffer {
            byte_length: USize64::from(buffer_bytes),
            name: None,
            uri: None,
            extensions: None,
            extras: None,
        });
    }
    let mut scene = Scene { name: Some("anatomy".to_owned()), nodes: Vec::new(), extensions: None, extras: None };
    let mut placed = primitives.iter().zip(bounds);
    for segment in segments {
        let levels = segment.lods.iter().filter(|m| !m.triangles.is_empty()).count();
        let material = (levels > 0).then(|| root.push(material(segment.name, segment.color)));
        let base = Index::new(root.nodes.len() as u32);
        scene.nodes.push(base);
        root.nodes.push(node(segment, segment.name.to_owned(), None)?);
        let mut ids = Vec::new();
        for (lod, (placed, bounds)) in placed.by_ref().take(levels).enumerate() {
            let name = if lod == 0 { segment.name.to_owned() } else { format!("{}.lod{lod}", segment.name) };
            let mesh = push_mesh(&mut root, placed, *bounds, name.clone(), material);
            let index = if lod == 0 {
                base
            } else {
                let coarser = node(segment, name, Some(lod))?;
                root.push(coarser)
            };
            root.nodes[index.value()].mesh = Some(mesh);
            if lod > 0 {
                ids.push(index.value() as u32);
            }
        }
        if !ids.is_empty() {
            add_levels(&mut root.nodes[base.value()], segment, ids)?;
        }
    }
    if root.nodes.iter().any(|n| n.extensions.is_some()) {
        root.extensions_used.push(MSFT_LOD.to_owned());
    }
    // gltf-json cannot read a scene without nodes, though glTF 2.0 allows one.
    if !scene.nodes.is_empty() {
        root.scene = Some(root.push(scene));
    }
    root.to_string().map_err(json_error)
}

fn node(segment: &GlbSegment<'_>, name: String, lod: Option<usize>) -> Result<Node, GlbError> {
    Ok(Node { name: Some(name), extras: extras(segment, lod, None)?, ..Node::default() })
}

fn extras(segment: &GlbSegment<'_>, lod: Option<usize>, coverage: Option<Vec<f32>>) -> Result<RawExtras, GlbError> {
    let vestibule = SegmentExtras { label: segment.label, code: segment.code.cloned(), lod };
    raw(&NodeExtras { vestibule, screen_coverage: coverage })
}

type RawExtras = Option<Box<RawValue>>;

fn raw(value: &impl serde::Serialize) -> Result<RawExtras, GlbError> {
    serde_json::value::to_raw_value(value).map(Some).map_err(json_error)
}

fn json_error(error: serde_json::Error) -> GlbError {
    GlbError::Json { reason: error.to_string() }
}

/// Hangs the coarser nodes on the first one, as `MSFT_lod` and its screen coverages say.
fn add_levels(node: &mut Node, segment: &GlbSegment<'_>, ids: Vec<u32>) -> Result<(), GlbError> {
    let mut coverage: Vec<f32> = (0..ids.len()).map(|i| SCREEN_COVERAGE.get(i).copied().unwrap_or(0.0)).collect();
    coverage.push(0.0);
    node.extras = extras(segment, None, Some(coverage))?;
    let levels = serde_json::to_value(LodExtension { ids }).map_err(json_error)?;
    let mut extensions = gltf_json::extensions::scene::Node::default();
    extensions.others.insert(MSFT_LOD.to_owned(), levels);
    node.extensions = Some(extensions);
    Ok(())
}

fn material(name: &str, color: [u8; 3]) -> Material {
    let [r, g, b] = color.map(linear_from_srgb);
    Material {
        name: Some(name.to_owned()),
        pbr_metallic_roughness: PbrMetallicRoughness {
            base_color_factor: PbrBaseColorFactor([r, g, b, 1.0]),
            metallic_factor: StrengthFactor(0.0),
            roughness_factor: StrengthFactor(ROUGHNESS),
            ..PbrMetallicRoughness::default()
        },
        ..Material::default()
    }
}

fn push_mesh(
    root: &mut Root,
    placed: &Placed<'_>,
    [min, max]: [Vec3; 2],
    name: String,
    material: Option<Index<Material>>,
) -> Index<Mesh> {
    let (count, vectors) = (placed.mesh.positions.len(), placed.vector_bytes());
    let vector = (ComponentType::F32, Type::Vec3);
    let positions = push_accessor(root, placed.start, vectors, count, vector, Target::ArrayBuffer);
    let bound = |v: Vec3| Some(serde_json::Value::from(v.to_array().to_vec()));
    (root.accessors[positions.value()].min, root.accessors[positions.value()].max) = (bound(min), bound(max));
    let normals = push_accessor(root, placed.start + vectors, vectors, count, vector, Target::ArrayBuffer);
    let component = if placed.short_indices() { ComponentType::U16 } else { ComponentType::U32 };
    let indices = push_accessor(
        root,
        placed.start + 2 * vectors,
        placed.index_bytes(),
        placed.mesh.triangles.len() * 3,
        (component, Type::Scalar),
        Target::ElementArrayBuffer,
    );
    let attributes = BTreeMap::from([
        (Checked::Valid(Semantic::Positions), positions),
        (Checked::Valid(Semantic::Normals), normals),
    ]);
    let primitive = Primitive {
        attributes,
        extensions: None,
        extras: None,
        indices: Some(indices),
        material,
        mode: Checked::default(),
        targets: None,
    };
    root.push(Mesh { name: Some(name), primitives: vec![primitive], weights: None, extensions: None, extras: None })
}

fn push_accessor(
    root: &mut Root,
    offset: usize,
    bytes: usize,
    count: usize,
    (component, type_): (ComponentType, Type),
    target: Target,
) -> Index<Accessor> {
    let view = root.push(View {
        buffer: Index::new(0),
        byte_length: USize64::from(bytes),
        byte_offset: (offset > 0).then(|| USize64::from(offset)),
        byte_stride: None,
        name: None,
        target: Some(Checked::Valid(target)),
        extensions: None,
        extras: None,
    });
    root.push(Accessor {
        buffer_view: Some(view),
        byte_offset: None,
        count: USize64::from(count),
        component_type: Checked::Valid(GenericComponentType(component)),
        type_: Checked::Valid(type_),
        min: None,
        max: None,
        name: None,
        normalized: false,
        sparse: None,
        extensions: None,
        extras: None,
    })
}
