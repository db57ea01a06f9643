//! GLB bytes to surfaces, trusting nothing in them.

use std::collections::BTreeSet;

use gltf_json::accessor::{ComponentType, Type};
use gltf_json::mesh::{Mode, Semantic};
use gltf_json::validation::Checked;
use gltf_json::{Accessor, Index, Mesh, Node, Root};
use rayon::prelude::*;

use super::{
    BIN_CHUNK, JSON_CHUNK, LodExtension, MAGIC, MSFT_LOD, NodeExtras, SceneMesh, SegmentExtras, SegmentMeshes, VERSION,
};
use crate::error::GlbError;

/// The segments of a GLB written by [`write_glb`](super::write_glb), in the order of its scene.
///
/// # Errors
/// [`GlbError`] for a broken container, references that lead nowhere, and data outside the file; never a panic, and
/// never more memory than twice the file.
pub(crate) fn read_meshes(glb: &[u8]) -> Result<Vec<SegmentMeshes>, GlbError> {
    let (json, bin) = split(glb)?;
    let root = Root::from_slice(json).map_err(|error| GlbError::Json { reason: error.to_string() })?;
    if let Some(extension) = root.extensions_required.first() {
        return Err(GlbError::Json { reason: format!("requires the extension {extension}") });
    }
    if root.scene.is_none() && root.nodes.is_empty() {
        return Ok(Vec::new());
    }
    let scene = root.scene.unwrap_or(Index::new(0));
    let Some(scene) = root.scenes.get(scene.value()) else {
        return Err(GlbError::Reference { what: "scene", index: scene.value(), reason: "does not exist" });
    };
    let mut segments = Vec::new();
    let mut wanted = Vec::new();
    let mut used = BTreeSet::new();
    for &index in &scene.nodes {
        let node = get_node(&root, index.value())?;
        let Some(SegmentExtras { label, .. }) = segment_extras(node) else { continue };
        let name = node.name.clone().unwrap_or_default();
        let first = wanted.len();
        for level in std::iter::once(index.value() as u32).chain(coarser_levels(node, index.value())?) {
            let Some(mesh) = get_node(&root, level as usize)?.mesh else { continue };
            // Each mesh once, so that a small file cannot ask for much memory.
            if !used.insert(mesh.value()) {
                return Err(GlbError::Reference { what: "mesh", index: mesh.value(), reason: "is used twice" });
            }
            wanted.push(mesh);
        }
        segments.push((label, name, first..wanted.len()));
    }
    let mut budget = bin.len();
    let sources =
        wanted.into_iter().map(|mesh| locate(&root, bin, mesh, &mut budget)).collect::<Result<Vec<_>, _>>()?;
    let meshes = sources.par_iter().map(Source::read).collect::<Result<Vec<_>, _>>()?;
    let mut meshes = meshes.into_iter();
    Ok(segments
        .into_iter()
        .map(|(label, name, range)| SegmentMeshes { label, name, lods: meshes.by_ref().take(range.len()).collect() })
        .collect())
}

/// The JSON and binary chunks.
fn split(glb: &[u8]) -> Result<(&[u8], &[u8]), GlbError> {
    let broken = |reason| GlbError::Container { reason };
    let (magic, rest) = glb.split_first_chunk::<4>().ok_or(broken("the file is shorter than its header"))?;
    if magic != MAGIC {
        return Err(broken("the file does not start with `glTF`"));
    }
    let (version, rest) = take_u32(rest).ok_or(broken("the file is shorter than its header"))?;
    if version != VERSION {
        return Err(broken("the version is not 2"));
    }
    let (length, _) = take_u32(rest).ok_or(broken("the file is shorter than its header"))?;
    if length as usize != glb.len() {
        return Err(broken("the length in the header is not that of the file"));
    }
    let mut rest = &rest[4..];
    let json = take_chunk(&mut rest, JSON_CHUNK)?.ok_or(broken("the first chunk is not JSON"))?;
    let bin = if rest.is_empty() { None } else { take_chunk(&mut rest, BIN_CHUNK)? };
    Ok((json, bin.unwrap_or_default()))
}

fn take_u32(bytes: &[u8]) -> Option<(u32, &[u8])> {
    bytes.split_first_chunk().map(|(head, rest)| (u32::from_le_bytes(*head), rest))
}

/// The contents of the next chunk if it is of this kind.
fn take_chunk<'a>(rest: &mut &'a [u8], kind: &[u8; 4]) -> Result<Option<&'a [u8]>, GlbError> {
    let short = GlbError::Container { reason: "a chunk is longer than the file" };
    let Some((length, after)) = take_u32(rest) else { return Err(short) };
    let Some((found, after)) = after.split_first_chunk::<4>() else { return Err(short) };
    if found != kind {
        return Ok(None);
    }
    let Some((contents, after)) = after.split_at_checked(length as usize) else { return Err(short) };
    *rest = after;
    Ok(Some(contents))
}

fn get_node(root: &Root, index: usize) -> Result<&Node, GlbError> {
    root.nodes.get(index).ok_or(GlbError::Reference { what: "node", index, reason: "does not exist" })
}

fn segment_extras(node: &Node) -> Option<SegmentExtras> {
    let raw = node.extras.as_ref()?;
    serde_json::from_str::<NodeExtras>(raw.get()).ok().map(|extras| extras.vestibule)
}

fn coarser_levels(node: &Node, index: usize) -> Result<Vec<u32>, GlbError> {
    let Some(value) = node.extensions.as_ref().and_then(|e| e.others.get(MSFT_LOD)) else { return Ok(Vec::new()) };
    match serde_json::from_value::<LodExtension>(value.clone()) {
        Ok(levels) => Ok(levels.ids),
        Err(error) => Err(GlbError::Json { reason: format!("MSFT_lod of node {index}: {error}") }),
    }
}

/// The bytes of a mesh, checked to be there.
struct Source<'a> {
    mesh: usize,
    positions: &'a [u8],
    normals: &'a [u8],
    indices: &'a [u8],
    short_indices: bool,
}

fn locate<'a>(root: &Root, bin: &'a [u8], mesh: Index<Mesh>, budget: &mut usize) -> Result<Source<'a>, GlbError> {
    let index = mesh.value();
    let wrong = |reason| GlbError::Reference { what: "mesh", index, reason };
    let mesh = root.meshes.get(index).ok_or(wrong("does not exist"))?;
    let [primitive] = mesh.primitives.as_slice() else { return Err(wrong("has not exactly one primitive")) };
    if !matches!(primitive.mode, Checked::Valid(Mode::Triangles)) {
        return Err(wrong("is not made of triangles"));
    }
    let attribute = |semantic| primitive.attributes.get(&Checked::Valid(semantic)).copied();
    let positions = attribute(Semantic::Positions).ok_or(wrong("has no positions"))?;
    let normals = attribute(Semantic::Normals).ok_or(wrong("has no normals"))?;
    let indices = primitive.indices.ok_or(wrong("has no indices"))?;
    let vector = |accessor| contents(root, bin, accessor, &[ComponentType::F32], Type::Vec3);
    let (positions, _) = vector(positions)?;
    let (normals, _) = vector(normals)?;
    let (indices, component) = contents(root, bin, indices, &[ComponentType::U16, ComponentType::U32], Type::Scalar)?;
    if positions.len() != normals.len() {
        return Err(wrong("has not as many normals as positions"));
    }
    let bytes = positions.len() + normals.len() + indices.len();
    // The same bytes read again and again would multiply.
    *budget = budget.checked_sub(bytes).ok_or(wrong("shares its data with another"))?;
    Ok(Source { mesh: index, positions, normals, indices, short_indices: component == ComponentType::U16 })
}

/// The bytes of a tightly packed accessor.
fn contents<'a>(
    root: &Root,
    bin: &'a [u8],
    accessor: Index<Accessor>,
    components: &[ComponentType],
    shape: Type,
) -> Result<(&'a [u8], ComponentType), GlbError> {
    let index = accessor.value();
    let wrong = |reason| GlbError::Reference { what: "accessor", index, reason };
    let accessor = root.accessors.get(index).ok_or(wrong("does not exist"))?;
    if accessor.sparse.is_some() || accessor.normalized {
        return Err(wrong("is sparse or normalized"));
    }
    let component = match &accessor.component_type {
        Checked::Valid(kind) if components.contains(&kind.0) => kind.0,
        _ => return Err(wrong("has another component type than its use")),
    };
    let per_element = if shape == Type::Vec3 { 3 } else { 1 };
    if !matches!(accessor.type_, Checked::Valid(found) if found == shape) {
        return Err(wrong("has another shape than its use"));
    }
    let view = accessor.buffer_view.ok_or(wrong("has no buffer view"))?.value();
    let view = root.buffer_views.get(view).ok_or(wrong("names a buffer view that does not exist"))?;
    let element = component.size() * per_element;
    if view.buffer.value() != 0 || root.buffers.first().is_none_or(|b| b.uri.is_some()) {
        return Err(wrong("lies in another buffer than this file's"));
    }
    if view.byte_stride.is_some_and(|stride| stride.0 != element) {
        return Err(wrong("is not tightly packed"));
    }
    let inside = |bytes: &'a [u8], offset: u64, length: u64| -> Option<&'a [u8]> {
        let start = usize::try_from(offset).ok()?;
        bytes.get(start..start.checked_add(usize::try_from(length).ok()?)?)
    };
    let offset = |offset: Option<gltf_json::validation::USize64>| offset.map_or(0, |o| o.0);
    let length = accessor.count.0.checked_mul(element as u64).ok_or(wrong("is larger than any file"))?;
    inside(bin, offset(view.byte_offset), view.byte_length.0)
        .and_then(|view| inside(view, offset(accessor.byte_offset), length))
        .map(|bytes| (bytes, component))
        .ok_or(wrong("lies outside the file"))
}

impl Source<'_> {
    fn read(&self) -> Result<SceneMesh, GlbError> {
        let wrong = |reason| GlbError::Reference { what: "mesh", index: self.mesh, reason };
        let positions = vectors(self.positions);
        let normals = vectors(self.normals);
        if !positions.iter().chain(&normals).flatten().all(|c| c.is_finite()) {
            return Err(wrong("has a vertex that is not finite"));
        }
        let indices: Vec<u32> = if self.short_indices {
            self.indices.as_chunks().0.iter().map(|&b| u32::from(u16::from_le_bytes(b))).collect()
        } else {
            self.indices.as_chunks().0.iter().map(|&b| u32::from_le_bytes(b)).collect()
        };
        let (triangles, rest) = indices.as_chunks::<3>();
        if !rest.is_empty() {
            return Err(wrong("has a triangle without three corners"));
        }
        if indices.iter().any(|&i| i as usize >= positions.len()) {
            return Err(wrong("has a triangle with a vertex that is not there"));
        }
        Ok(SceneMesh { positions, normals, triangles: triangles.to_vec() })
    }
}

fn vectors(bytes: &[u8]) -> Vec<[f32; 3]> {
    let component = |b: &[u8]| b.first_chunk().map_or(0.0, |b| f32::from_le_bytes(*b));
    bytes.as_chunks::<12>().0.iter().map(|v| [&v[..4], &v[4..8], &v[8..]].map(component)).collect()
}
