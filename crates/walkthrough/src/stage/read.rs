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
            (segment_info(entry, lod, is_inner(entry, &manifest.segments)), mesh)
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

/// Whether another segment of its group holds it; of two that hold each other neither is.
fn is_inner(entry: &SegmentEntry, all: &[SegmentEntry]) -> bool {
    let holds = |whole: &SegmentEntry| whole.parts.contains(&entry.label) && !entry.parts.contains(&whole.label);
    all.iter().any(|whole| whole.label != entry.label && whole.group == entry.group && holds(whole))
}

fn segment_info(entry: &SegmentEntry, lod: usize, is_inner: bool) -> SegmentInfo {
    let group = entry.group;
    SegmentInfo {
        label: entry.label,
        parts: entry.parts.clone(),
        is_inner,
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

#[cfg(test)]
mod tests {
    use super::*;
    use case::{CaseContents, Provenance, RecipeRef, write_case};
    use glam::{DMat3, DVec3};
    use space::Point;
    use std::collections::BTreeMap;
    use volume::{LabelMap, ScanVolume, Volume, terminology};

    /// A heart in a body, both spheres, written and read as a case.
    fn contents() -> StageContents {
        let geometry =
            ImageGeometry::new([40; 3], [2.0; 3], Point::new(-39.0, -39.0, 1161.0), DMat3::IDENTITY).unwrap();
        let map = geometry.lps_from_index();
        let distance = |[i, j, k]: [usize; 3], centre: [f64; 3]| {
            (map * Point::new(i as f64, j as f64, k as f64)).distance(Point::from_array(centre))
        };
        let voxels = Volume::from_fn(geometry, |index| {
            if distance(index, [10.0, 0.0, 1200.0]) < 14.0 {
                2
            } else {
                u16::from(distance(index, [0.0, 0.0, 1200.0]) < 34.0)
            }
        });
        let mut body = terminology::segment(1, "body");
        body.parts = vec![2];
        let heart = terminology::segment(2, "heart");
        let labels = LabelMap { voxels, segments: BTreeMap::from([(1, body), (2, heart)]) };
        let surfaces = surface::surfaces_of_labels(&labels, &Default::default(), &|_| {}).unwrap();
        let scan = ScanVolume::I16(Volume::filled(geometry, 40));
        let folder = tempfile::tempdir().unwrap();
        let contents = CaseContents {
            scan: &scan,
            labels: &labels,
            surfaces: &surfaces,
            modality: "CT".to_owned(),
            recipe: RecipeRef::new("labels", "1"),
            alias: Some("Two spheres".to_owned()),
            provenance: Provenance::new("made up"),
            windows: Vec::new(),
            trust: case::Trust::default(),
        };
        let case = write_case(&folder.path().join("case"), &contents, &|_| {}).unwrap();
        StageContents::read(&case).unwrap()
    }

    #[test]
    fn a_case_comes_on_stage_as_it_was_written() {
        let contents = contents();
        assert_eq!(contents.case.alias.as_deref(), Some("Two spheres"));
        assert!(!contents.case.windows.is_empty() && !contents.case.checksum.is_empty());
        let [body, heart] = contents.segments.as_slice() else { panic!("two segments") };
        assert_eq!((body.info.group.as_str(), heart.info.group_display.as_str()), ("skin", "Heart"));
        assert!(body.info.peel_rank < heart.info.peel_rank);
        // Centre (10, 0, 1200) mm lies at (0.01, 1.2, 0) m; a sphere of 14 mm.
        let centre = contents.centre_of("heart").unwrap();
        assert!(centre.distance(Point::new(0.01, 1.2, 0.0)) < 1e-3, "{centre:?}");
        let from = glam::Vec3::new(0.01, 1.2, 1.0);
        let hit = heart.shape.first_hit(from, glam::Vec3::NEG_Z, 0.0, 9.0).unwrap();
        assert!((hit.t - 0.986).abs() < 2e-3 && hit.normal.z > 0.9, "{hit:?}");
        assert!(body.shape.contains(centre.as_vec3()) && heart.shape.contains(centre.as_vec3()));
        let size = contents.extent.size();
        assert!(size.distance(DVec3::splat(0.068)) < 4e-3, "{size}");
        assert!(heart.info.pick_error_mm.is_some_and(|mm| mm < 4.0));
    }
}
