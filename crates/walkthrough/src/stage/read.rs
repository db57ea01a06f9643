//! From a case folder to what a walk needs of it.

use case::{Case, CaseError, SegmentEntry, SegmentMeshes};
use thiserror::Error;
use volume::{GeometryError, ImageGeometry};

use crate::stage::{ActiveCase, PickMesh, SegmentInfo, StageContents};
use crate::window_level::{WindowPreset, default_presets};

/// Rays meet the finest level of detail of a segment that has no more triangles than this: exact enough to measure on, and a
/// hundred such trees are built in a second or two. Our choice.
const PICK_TRIANGLES: usize = 60_000;

/// A case cannot be put on stage.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum StageError {
    /// The case cannot be read.
    #[error(transparent)]
    Case(#[from] CaseError),
    /// Its grid cannot exist.
    #[error("the case's grid cannot be used: {source}; build the case anew")]
    Geometry {
        /// What is wrong with it.
        #[from]
        source: GeometryError,
    },
}

impl StageContents {
    /// Reads surfaces and facts of a case; takes seconds, so call it beside the frame.
    ///
    /// # Errors
    /// [`StageError`] if the case or its surfaces cannot be read.
    pub fn read(case: &Case) -> Result<Self, StageError> {
        let meshes = case.meshes()?;
        Self::from_meshes(case, meshes)
    }

    /// The same from surfaces that were read already.
    ///
    /// # Errors
    /// [`StageError::Geometry`] if the case's grid cannot exist.
    pub fn from_meshes(case: &Case, meshes: Vec<SegmentMeshes>) -> Result<Self, StageError> {
        let manifest = &case.manifest;
        let geometry = ImageGeometry::try_from(&manifest.geometry)?;
        let preset = |w: &case::WindowPreset| WindowPreset { name: w.name.clone(), center: w.center, width: w.width };
        let mut windows: Vec<WindowPreset> = manifest.windows.iter().map(preset).collect();
        if windows.is_empty() {
            windows = default_presets(&manifest.modality);
        }
        let active = ActiveCase {
            alias: manifest.alias.clone(),
            checksum: case.checksum().to_owned(),
            modality: manifest.modality.clone(),
            geometry,
            windows,
        };
        let mut meshes: Vec<Option<SegmentMeshes>> = meshes.into_iter().map(Some).collect();
        let segments = manifest.segments.iter().map(|entry| {
            let mesh = meshes.iter_mut().find(|m| m.as_ref().is_some_and(|m| m.label == entry.label));
            let (mesh, lod) = mesh.and_then(Option::take).map(pick_mesh).unwrap_or_default();
            (segment_info(entry, lod), mesh)
        });
        Ok(Self::new(active, segments.collect()))
    }
}

/// The surface rays shall meet, and which level of detail it is.
fn pick_mesh(meshes: SegmentMeshes) -> (PickMesh, usize) {
    let last = meshes.lods.len().saturating_sub(1);
    let lod = meshes.lods.iter().position(|m| m.triangles.len() <= PICK_TRIANGLES).unwrap_or(last);
    let mesh = meshes.lods.into_iter().nth(lod);
    (mesh.map_or_else(PickMesh::default, |m| PickMesh { positions: m.positions, triangles: m.triangles }), lod)
}

fn segment_info(entry: &SegmentEntry, lod: usize) -> SegmentInfo {
    let group = entry.group;
    SegmentInfo {
        label: entry.label,
        parts: entry.parts.clone(),
        name: entry.name.clone(),
        display: entry.display.clone(),
        code: entry.code.clone(),
        color: entry.color,
        group: format!("{group:?}").to_lowercase(),
        group_display: group.display().to_owned(),
        peel_rank: u8::try_from(group.peel_rank()).unwrap_or(u8::MAX),
        volume_ml: entry.volume_ml,
        surface_error_mm: entry.surface.hausdorff_mm,
        pick_error_mm: entry.surface.lods.get(lod).and_then(|l| l.hausdorff_mm),
        confidence: entry.confidence,
        inferred_percent: entry.inferred_percent,
    }
}
