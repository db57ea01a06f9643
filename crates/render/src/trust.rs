//! What is known about the voxels below a surface, as an attribute of its vertices: how sure a model was, what it made up.

use bevy::mesh::MeshVertexAttribute;
use bevy::render::render_resource::VertexFormat;
use bytemuck::{Pod, Zeroable};
use case::{Case, CaseError, NO_MODEL};
use space::{Affine, Index, Point, Scene, lps_from_scene};
use volume::{ImageGeometry, Volume};

/// [`VertexTrust`] of each vertex.
pub(crate) const ATTRIBUTE_TRUST: MeshVertexAttribute =
    MeshVertexAttribute::new("Trust", 0x7ea5_0001, VertexFormat::Unorm8x4);

/// How deep below the surface confidence is looked up, in voxels.
///
/// On the border itself every model is half sure, by the border's definition; it is the width of the doubtful rim that tells
/// how sure its place is.
const DEPTH_VOXELS: f64 = 1.5;

/// What is known about the voxels below a vertex; each byte is a share of 255.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct VertexTrust {
    /// How sure a model was of the label.
    pub confidence: u8,
    /// 255 if a model drew it.
    pub drawn_by_model: u8,
    /// 255 if a model made up the grey value, or it fills a gap.
    pub inferred: u8,
    /// To four bytes, which is what a vertex attribute takes.
    pub unused: u8,
}

impl VertexTrust {
    /// By a scanner, and no model took part.
    pub const MEASURED: Self = Self { confidence: 0, drawn_by_model: 0, inferred: 0, unused: 0 };
}

/// Confidence and inferred voxels of a case, on the grid of its scan.
#[derive(Clone, Debug, Default)]
pub struct TrustField {
    /// How sure a model was of each voxel's label, in percent; [`NO_MODEL`] where none spoke.
    pub confidence: Option<Volume<u8>>,
    /// Not 0 where a model made up the grey value, or it fills a gap.
    pub inferred: Option<Volume<u8>>,
}

impl TrustField {
    pub(crate) fn of_case(case: &Case) -> Result<Self, CaseError> {
        Ok(Self { confidence: case.confidence()?, inferred: case.inferred()? })
    }

    /// Empty if there is nothing to tell.
    pub(crate) fn of_vertices(&self, positions: &[[f32; 3]], normals: &[[f32; 3]]) -> Vec<VertexTrust> {
        let Some(geometry) = self.confidence.as_ref().or(self.inferred.as_ref()).map(Volume::geometry) else {
            return Vec::new();
        };
        let index_from_scene = geometry.index_from_lps() * lps_from_scene();
        let depth_m = DEPTH_VOXELS * geometry.max_spacing_mm() * 1e-3;
        let look_up = |volume: &Volume<u8>, scene: [f64; 3]| value_at(volume, &index_from_scene, scene);
        let vertices = positions.iter().zip(normals);
        vertices
            .map(|(position, normal)| {
                let below = |depth: f64| [0, 1, 2].map(|a| f64::from(position[a]) - depth * f64::from(normal[a]));
                let confidence =
                    self.confidence.as_ref().map(|v| look_up(v, below(depth_m))).filter(|&x| x != NO_MODEL);
                let inferred = self.inferred.as_ref().is_some_and(|v| look_up(v, below(0.0)) > 0);
                VertexTrust {
                    confidence: confidence.map_or(0, |percent| (f32::from(percent.min(100)) * 2.55).round() as u8),
                    drawn_by_model: if confidence.is_some() { 255 } else { 0 },
                    inferred: if inferred { 255 } else { 0 },
                    unused: 0,
                }
            })
            .collect()
    }
}

/// Of the nearest voxel.
fn value_at(volume: &Volume<u8>, index_from_scene: &Affine<Index, Scene>, scene: [f64; 3]) -> u8 {
    let index = (*index_from_scene * Point::from_array(scene)).get().to_array();
    let size = ImageGeometry::size(volume.geometry());
    let [i, j, k] = [0, 1, 2].map(|a| index[a].round().clamp(0.0, (size[a] - 1) as f64) as usize);
    volume.get(i, j, k).copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use bevy::math::DMat3;
    use space::Lps;

    #[test]
    fn the_voxels_below_a_vertex_speak() {
        let origin = Point::<Lps>::new(-10.0, -10.0, 100.0);
        let geometry = ImageGeometry::new([20, 20, 20], [1.0; 3], origin, DMat3::IDENTITY).unwrap();
        // Sure on the patient's left, which is +x in the scene too; the upper half is made up.
        let confidence = Volume::from_fn(geometry, |[i, ..]| if i >= 10 { 100 } else { 40 });
        let inferred = Volume::from_fn(geometry, |[_, _, k]| u8::from(k >= 10));
        let field = TrustField { confidence: Some(confidence), inferred: Some(inferred) };
        // Scene metres: (L, S, -P) / 1000. A vertex at the border facing right looks 1.5 voxels to the left.
        let at = |x: f32, y: f32, normal: [f32; 3]| field.of_vertices(&[[x, y, 0.0]], &[normal])[0];
        assert_eq!(at(0.0, 0.104, [-1.0, 0.0, 0.0]).confidence, 255);
        assert_eq!(at(0.0, 0.104, [1.0, 0.0, 0.0]).confidence, 102);
        assert_eq!(at(0.0, 0.104, [1.0, 0.0, 0.0]).inferred, 0);
        assert_eq!(at(0.0, 0.115, [1.0, 0.0, 0.0]).inferred, 255);
        assert_eq!(at(9.0, 9.0, [1.0, 0.0, 0.0]).drawn_by_model, 255, "far outside is clamped, not a panic");
        let none = TrustField { confidence: None, inferred: None };
        assert!(none.of_vertices(&[[0.0; 3]], &[[1.0, 0.0, 0.0]]).is_empty());
    }
}
