//! How finely each structure is drawn: as coarse as nobody sees, and coarser where the tier's budget demands it.

use bevy::camera::primitives::{Aabb, Frustum};
use bevy::mesh::MeshTag;
use bevy::prelude::*;
use walkthrough::locomotion::Viewer;
use walkthrough::stage::{BodyPose, PickShape, SegmentInfo};
use walkthrough::visibility::Drawn;

use crate::meshes::{SegmentLods, TriangleCount};
use crate::span::{systems_clock, timed};
use crate::stage::{RenderWalkSystems, SegmentLooks, Stage};
use crate::tier::RenderTier;
use crate::view::ViewCamera;

/// The error of a surface that may be seen, in pixels, while there is budget for it.
const FINE_PIXELS: f32 = 0.7;
/// A coarser level is taken only if its error is this share of what may be seen, so that levels do not flicker.
const HYSTERESIS: f32 = 0.8;
/// Steps by which the error that may be seen grows until the triangles fit.
const STEP: f32 = 1.3;
/// Steps at most; 0.7 · 1.3³⁰ is beyond any picture's size.
const MAX_STEPS: i32 = 30;
/// Share of the budget that must be free before the levels become finer again.
const HEADROOM: f32 = 0.85;

/// What the choice of detail came to; for the report and for tests.
#[derive(Resource, Clone, Copy, Debug, PartialEq)]
pub struct LodChoice {
    /// Error of surfaces that may be seen now, in pixels.
    pub pixels: f32,
    /// Triangles of structures in the costliest view.
    pub triangles: u64,
}

impl Default for LodChoice {
    fn default() -> Self {
        Self { pixels: FINE_PIXELS, triangles: 0 }
    }
}

/// Chooses levels of detail.
pub(crate) struct LodPlugin;

impl Plugin for LodPlugin {
    fn build(&self, app: &mut App) {
        let clock = systems_clock(app);
        app.init_resource::<LodChoice>().add_systems(
            PostUpdate,
            (timed(&clock, choose_levels), timed(&clock, lead_layers)).chain().in_set(RenderWalkSystems::Prepare),
        );
    }
}

/// One structure as the choice sees it.
#[derive(Clone, Debug, Default)]
struct Candidate {
    /// Pixels per metre of error in the view that looks closest.
    pixels_per_m: f32,
    /// One bit for each view that sees it.
    seen_by: u32,
    /// Error in metres and triangles of each level, finest first.
    levels: Vec<(f32, u32)>,
    current: usize,
}

/// The level of each structure for an error that may be seen.
fn level(candidate: &Candidate, pixels: f32) -> usize {
    let fits = |&(error_m, _): &(f32, u32), limit: f32| error_m * candidate.pixels_per_m <= limit;
    let current_fits = candidate.levels.get(candidate.current).is_some_and(|l| fits(l, pixels));
    let coarsest = candidate.levels.iter().rposition(|l| fits(l, pixels * HYSTERESIS)).unwrap_or(0);
    if current_fits { coarsest.max(candidate.current) } else { coarsest }
}

/// Triangles in the costliest view.
fn cost(candidates: &[Candidate], levels: &[usize]) -> u64 {
    let views = candidates.iter().fold(0, |bits, c| bits | c.seen_by);
    (0..32)
        .filter(|view| views >> view & 1 == 1)
        .map(|view| {
            let seen = candidates.iter().zip(levels).filter(|(c, _)| c.seen_by >> view & 1 == 1);
            seen.map(|(c, &level)| u64::from(c.levels[level].1)).sum()
        })
        .max()
        .unwrap_or(0)
}

/// Levels within the budget, and the error that may be seen with them.
fn choose(candidates: &[Candidate], budget: u64, before: f32) -> (Vec<usize>, f32) {
    let at = |pixels: f32| -> Vec<usize> { candidates.iter().map(|c| level(c, pixels)).collect() };
    let mut pixels = FINE_PIXELS;
    for _ in 0..MAX_STEPS {
        // Coarser than before only when over budget, finer only with room to spare.
        let limit = if pixels < before { (budget as f32 * HEADROOM) as u64 } else { budget };
        let levels = at(pixels);
        if cost(candidates, &levels) <= limit {
            return (levels, pixels);
        }
        pixels *= STEP;
    }
    (candidates.iter().map(|c| c.levels.len() - 1).collect(), pixels)
}

fn choose_levels(
    tier: Res<RenderTier>,
    mut choice: ResMut<LodChoice>,
    views: Query<(&Camera, &GlobalTransform, &Frustum), With<ViewCamera>>,
    mut segments: Query<(&GlobalTransform, &Aabb, &Drawn, &mut SegmentLods, &mut Mesh3d, &mut TriangleCount)>,
    others: Query<(&TriangleCount, &InheritedVisibility), Without<SegmentLods>>,
) {
    let views: Vec<_> = views.iter().filter(|(camera, ..)| camera.is_active).take(32).collect();
    if views.is_empty() {
        return;
    }
    let mut candidates = Vec::new();
    for (transform, aabb, drawn, lods, ..) in &segments {
        let mut candidate = Candidate { current: lods.current, ..Candidate::default() };
        candidate.levels.extend(lods.lods.iter().map(|l| (l.error_m, l.triangles)));
        if drawn.visible {
            let world_from_local = transform.affine();
            for (view, (camera, eye, frustum)) in views.iter().enumerate() {
                if frustum.intersects_obb(aabb, &world_from_local, true, true) {
                    candidate.seen_by |= 1 << view;
                    let closeness = pixels_per_local_metre(camera, eye, transform, aabb);
                    candidate.pixels_per_m = candidate.pixels_per_m.max(closeness);
                }
            }
        }
        candidates.push(candidate);
    }
    // The room, letters and hands have few; what they take in any view is taken from the structures.
    let room = others.iter().filter(|(_, seen)| seen.get()).map(|(count, _)| u64::from(count.0)).sum();
    let (levels, pixels) = choose(&candidates, tier.max_triangles.saturating_sub(room), choice.pixels);
    choice.set_if_neq(LodChoice { pixels, triangles: cost(&candidates, &levels) });
    for ((_, _, _, mut lods, mut mesh, mut count), (candidate, level)) in
        segments.iter_mut().zip(candidates.iter().zip(levels))
    {
        // What no view sees keeps its level, so that turning the head changes nothing twice.
        if candidate.seen_by != 0 && level != lods.current {
            let chosen = lods.lods[level].clone();
            lods.current = level;
            mesh.0 = chosen.mesh;
            count.0 = chosen.triangles;
        }
    }
}

/// Lets skin hide what touches it from below although each is drawn as coarsely as its own error allows, and lets the wall of
/// what the eye is in hide the neighbours that touch it.
fn lead_layers(
    (mut looks, mut stage): (ResMut<SegmentLooks>, ResMut<Stage>),
    (viewer, body): (Res<Viewer>, Res<BodyPose>),
    segments: Query<(&SegmentInfo, &MeshTag, &SegmentLods, &Drawn, &Aabb, &PickShape)>,
) {
    let error_m = |lods: &SegmentLods| lods.lods.get(lods.current).map_or(0.0, |lod| lod.error_m);
    let below =
        segments.iter().filter(|(info, _, _, drawn, ..)| drawn.visible && ["skin", "fat"].contains(&&*info.group));
    let both_errors_m = 2.0 * below.map(|(_, _, lods, ..)| error_m(lods)).fold(0.0, f32::max);
    let size = body.magnification.0 as f32;
    let eye = (body.body_from_scene() * viewer.0.position).as_vec3();
    let (mut is_changed, mut most) = (false, 0.0f32);
    for (info, tag, lods, drawn, aabb, shape) in &segments {
        let Some(look) = looks.bypass_change_detection().0.get_mut(tag.0 as usize) else { continue };
        let (low, high) = (Vec3::from(aabb.min()), Vec3::from(aabb.max()));
        let is_near = drawn.visible && eye.cmpge(low).all() && eye.cmple(high).all();
        let lead = if info.group == "skin" { both_errors_m * size } else { 0.0 };
        let inside = if is_near && shape.0.contains(eye) { 4.0 * error_m(lods) * size } else { 0.0 };
        most = most.max(lead).max(inside);
        if (look.bounds_min.w, look.bounds_max.w) != (lead, inside) {
            (look.bounds_min.w, look.bounds_max.w) = (lead, inside);
            is_changed = true;
        }
    }
    if is_changed {
        looks.set_changed();
    }
    let options = stage.options.with_w(most);
    stage.set_if_neq(Stage { options, ..*stage });
}

/// How many pixels a metre of the body at rest covers where the structure is nearest to the eye.
fn pixels_per_local_metre(camera: &Camera, eye: &GlobalTransform, body: &GlobalTransform, aabb: &Aabb) -> f32 {
    let height = camera.physical_viewport_size().map_or(1080.0, |size| size.y as f32);
    let local_eye = body.affine().inverse().transform_point3(eye.translation());
    let (low, high) = (Vec3::from(aabb.min()), Vec3::from(aabb.max()));
    let distance_m = local_eye.distance(local_eye.clamp(low, high)).max(crate::view::NEAR_M);
    0.5 * height * camera.clip_from_view().y_axis.y / distance_m
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidate(pixels_per_m: f32, current: usize) -> Candidate {
        let levels = vec![(0.0005, 100_000), (0.001, 40_000), (0.002, 10_000), (0.004, 3_000)];
        Candidate { pixels_per_m, seen_by: 1, levels, current }
    }

    #[test]
    fn near_is_fine_and_far_is_coarse() {
        let (levels, pixels) = choose(&[candidate(5000.0, 0), candidate(450.0, 0), candidate(10.0, 0)], 1_000_000, 0.7);
        assert_eq!(levels, [0, 1, 3]);
        assert!((pixels - FINE_PIXELS).abs() < 1e-6);
    }

    #[test]
    fn a_level_stays_while_its_error_hovers_about_the_limit() {
        // 0.001 m · 630 px/m = 0.63 px: within the limit, but not by enough to be taken anew.
        assert_eq!(level(&candidate(630.0, 0), FINE_PIXELS), 0);
        assert_eq!(level(&candidate(630.0, 1), FINE_PIXELS), 1);
        assert_eq!(level(&candidate(720.0, 1), FINE_PIXELS), 0);
    }

    #[test]
    fn the_budget_holds_in_every_view_and_does_not_flicker() {
        let many: Vec<_> = (0..100).map(|_| candidate(5000.0, 0)).collect();
        let (levels, pixels) = choose(&many, 1_000_000, FINE_PIXELS);
        assert!(cost(&many, &levels) <= 1_000_000 && pixels > FINE_PIXELS);
        let settled: Vec<_> =
            many.iter().zip(&levels).map(|(c, &current)| Candidate { current, ..c.clone() }).collect();
        assert_eq!(choose(&settled, 1_000_000, pixels).0, levels);
    }

    #[test]
    fn the_costliest_view_counts() {
        let mut left = candidate(10.0, 0);
        left.seen_by = 0b01;
        let mut both = candidate(10.0, 0);
        both.seen_by = 0b11;
        assert_eq!(cost(&[left, both], &[0, 1]), 140_000);
    }
}
