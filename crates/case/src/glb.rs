//! `anatomy.glb`: one node a segment, LOD 0 in the scene, coarser surfaces by `MSFT_lod`.
//!
//! Every primitive has its own buffer views, so that a viewer fetches only the levels it draws. Node extras are
//! `{"vestibule": {"label", "code"}}`, with `lod` added on the coarser nodes.

mod read;
mod write;

use serde::{Deserialize, Serialize};
use volume::{Code, Label};

pub(crate) use read::read_meshes;
pub(crate) use write::{GlbMesh, GlbSegment, write_glb};

/// The extension that lists coarser levels of a node; never required.
const MSFT_LOD: &str = "MSFT_lod";

const MAGIC: &[u8; 4] = b"glTF";
const VERSION: u32 = 2;
const JSON_CHUNK: &[u8; 4] = b"JSON";
const BIN_CHUNK: &[u8; 4] = b"BIN\0";

/// A mesh as the scene shows it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SceneMesh {
    /// Scene metres.
    pub positions: Vec<[f32; 3]>,
    /// Of unit length, one a position.
    pub normals: Vec<[f32; 3]>,
    /// Counter-clockwise seen from outside.
    pub triangles: Vec<[u32; 3]>,
}

/// The surfaces of one segment.
#[derive(Clone, Debug, PartialEq)]
pub struct SegmentMeshes {
    /// In the label map.
    pub label: Label,
    /// As in the manifest.
    pub name: String,
    /// Finest first; empty if the segment has no surface.
    pub lods: Vec<SceneMesh>,
}

/// Node extras of ours.
#[derive(Serialize, Deserialize)]
struct NodeExtras {
    vestibule: SegmentExtras,
    #[serde(rename = "MSFT_screencoverage", default, skip_serializing_if = "Option::is_none")]
    screen_coverage: Option<Vec<f32>>,
}

#[derive(Serialize, Deserialize)]
struct SegmentExtras {
    label: Label,
    code: Option<Code>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    lod: Option<usize>,
}

/// The value of `MSFT_lod` on a node.
#[derive(Serialize, Deserialize)]
struct LodExtension {
    ids: Vec<u32>,
}

#[cfg(test)]
mod tests;
