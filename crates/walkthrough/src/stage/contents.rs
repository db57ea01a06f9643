//! What a walk needs of a case, made off the frame.

use std::sync::Arc;

use glam::Vec3;
use rayon::prelude::*;
use space::Point;
use volume::terminology::Group;
use volume::{ImageGeometry, Label};

use crate::frame::{Body, body_from_lps};
use crate::stage::bvh::TriangleBvh;
use crate::stage::{ActiveCase, SegmentInfo};

/// Everything a walk needs of a case: plain data, made off the frame by the app's loader.
#[derive(Clone, Debug)]
pub struct StageContents {
    /// The case's facts.
    pub case: ActiveCase,
    /// In order of label, each with the surface rays meet.
    pub segments: Vec<StagedSegment>,
    /// The box around all surfaces; around the scan if there are none.
    pub extent: Extent,
}

/// A segment and its surface for picking.
#[derive(Clone, Debug)]
pub struct StagedSegment {
    /// Its facts.
    pub info: SegmentInfo,
    /// In body metres; may be empty.
    pub shape: Arc<TriangleBvh>,
}

/// A surface to pick from.
#[derive(Clone, Debug, Default)]
pub struct PickMesh {
    /// Body metres.
    pub positions: Vec<[f32; 3]>,
    /// Indices into `positions`, counter-clockwise from outside.
    pub triangles: Vec<[u32; 3]>,
}

/// A box in body metres.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Extent {
    /// Right, inferior, posterior corner.
    pub low: Point<Body>,
    /// Left, superior, anterior corner.
    pub high: Point<Body>,
}

impl Extent {
    /// Middle of the box.
    pub fn centre(&self) -> Point<Body> {
        ((self.low.get() + self.high.get()) * 0.5).into()
    }

    /// Edges along x, y, z in metres.
    pub fn size(&self) -> glam::DVec3 {
        self.high.get() - self.low.get()
    }

    /// Around a scan, outer halves of its voxels included.
    pub fn of_scan(geometry: &ImageGeometry) -> Self {
        let map = body_from_lps() * geometry.lps_from_index();
        let [i, j, k] = geometry.size().map(|s| s as f64 - 0.5);
        let corners = [0, 1, 2, 3, 4, 5, 6, 7].map(|n: u32| {
            let pick = |bit: u32, high: f64| if n & bit == 0 { -0.5 } else { high };
            map * Point::new(pick(1, i), pick(2, j), pick(4, k))
        });
        Self::around(corners)
    }

    fn around(points: impl IntoIterator<Item = Point<Body>>) -> Self {
        let start = (glam::DVec3::INFINITY, glam::DVec3::NEG_INFINITY);
        let (low, high) = points.into_iter().fold(start, |(l, h), p| (l.min(p.get()), h.max(p.get())));
        Self { low: low.into(), high: high.into() }
    }
}

impl StageContents {
    /// Builds the trees for picking, in parallel.
    pub fn new(case: ActiveCase, segments: Vec<(SegmentInfo, PickMesh)>) -> Self {
        let mut segments: Vec<StagedSegment> = segments
            .into_par_iter()
            .map(|(info, mesh)| {
                let shape = Arc::new(TriangleBvh::new(&mesh.positions, &mesh.triangles));
                StagedSegment { info, shape }
            })
            .collect();
        segments.sort_by_key(|s| s.info.label);
        let corners: Vec<Vec3> = segments.iter().filter_map(|s| s.shape.bounds()).flatten().collect();
        let extent = if corners.is_empty() {
            Extent::of_scan(&case.geometry)
        } else {
            Extent::around(corners.into_iter().map(|c| c.as_dvec3().into()))
        };
        Self { case, segments, extent }
    }

    /// The segment of a label.
    pub fn segment(&self, label: Label) -> Option<&StagedSegment> {
        self.segments.binary_search_by_key(&label, |s| s.info.label).ok().map(|i| &self.segments[i])
    }

    /// Middle of a segment's box, by machine name.
    pub fn centre_of(&self, name: &str) -> Option<Point<Body>> {
        let [low, high] = self.segments.iter().find(|s| s.info.name == name)?.shape.bounds()?;
        Some(((low + high) * 0.5).as_dvec3().into())
    }
}

/// The group of a machine name as `case.json` writes it; [`Group::Other`] for unknown ones.
pub fn group_of_name(name: &str) -> Group {
    let same = |group: &Group| format!("{group:?}").eq_ignore_ascii_case(name);
    Group::PEEL_ORDER.into_iter().find(same).unwrap_or(Group::Other)
}

/// Heights of a standing adult's structures above the floor, in parts of stature. Rough values of our own from standard
/// proportions of eight heads; they only have to put a scan where the eye expects it.
const HEIGHTS: [(&str, f64); 24] = [
    ("brain", 0.95),
    ("head", 0.93),
    ("skull", 0.94),
    ("face", 0.92),
    ("thyroid_gland", 0.84),
    ("clavicula_left", 0.82),
    ("lung_left", 0.74),
    ("lung_right", 0.74),
    ("lung_upper_lobe_left", 0.76),
    ("lung_upper_lobe_right", 0.77),
    ("lung_lower_lobe_left", 0.71),
    ("lung_lower_lobe_right", 0.71),
    ("sternum", 0.76),
    ("heart", 0.73),
    ("liver", 0.66),
    ("spleen", 0.67),
    ("stomach", 0.66),
    ("kidney_left", 0.62),
    ("kidney_right", 0.615),
    ("vertebrae_L3", 0.605),
    ("sacrum", 0.54),
    ("hip_left", 0.545),
    ("hip_right", 0.545),
    ("urinary_bladder", 0.52),
];

/// Stature of a standing adult of middle height, in metres; our choice.
const STATURE_M: f64 = 1.72;

/// Height of the middle of a scan nothing is known of, in metres; our choice.
const UNKNOWN_HEIGHT_M: f64 = 1.2;

/// How far the body's zero must be raised so that what the scan holds is as high as in a standing adult, in metres.
///
/// The lowest point never comes below the floor.
pub fn standing_height_m(contents: &StageContents) -> f64 {
    let known: Vec<f64> =
        HEIGHTS.iter().filter_map(|(name, share)| contents.centre_of(name).map(|c| share * STATURE_M - c.y)).collect();
    let raised = if known.is_empty() {
        UNKNOWN_HEIGHT_M - contents.extent.centre().y
    } else {
        known.iter().sum::<f64>() / known.len() as f64
    };
    raised.max(-contents.extent.low.y)
}
