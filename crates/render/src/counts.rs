//! Counts what is drawn: frames, triangles and draw commands of the costliest view, time to the first image.

use std::any::TypeId;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use bevy::camera::visibility::VisibleEntities;
use bevy::core_pipeline::core_3d::{AlphaMask3d, Opaque3d, Transparent3d};
use bevy::prelude::*;
use bevy::render::render_phase::{
    BinnedPhaseItem, BinnedRenderPhase, PhaseItem, SortedPhaseItem, SortedRenderPhase, ViewBinnedRenderPhases,
    ViewSortedRenderPhases,
};
use bevy::render::render_resource::PipelineCache;
use bevy::render::sync_world::MainEntity;
use bevy::render::{Render, RenderApp, RenderSystems};
use bevy::ui_render::TransparentUi;
use walkthrough::stage::ActiveCase;
use walkthrough::walk_report::WalkCounters;

use crate::meshes::{Imagery, SegmentLods, TriangleCount};
use crate::plugin::ProgramStart;
use crate::span::{Timed, systems_clock, timed};
use crate::view::ViewCamera;

/// Draw commands that every view records beside its phases: the blit to its target.
const FIXED_DRAWS: u64 = 1;

/// What the render world knows and the report wants.
#[derive(Resource, Clone, Default)]
struct RenderCounts {
    draw_calls: Arc<AtomicU64>,
    is_ready: Arc<AtomicBool>,
}

/// Counts.
pub(crate) struct CountsPlugin;

impl Plugin for CountsPlugin {
    fn build(&self, app: &mut App) {
        let clock = systems_clock(app);
        let counts = RenderCounts::default();
        app.insert_resource(counts.clone())
            .init_resource::<WalkCounters>()
            .add_systems(First, count_frame)
            .add_systems(
                PostUpdate,
                timed(&clock, count_triangles).after(bevy::camera::visibility::VisibilitySystems::CheckVisibility),
            );
        if let Some(render_app) = app.get_sub_app_mut(RenderApp) {
            let count: bevy::ecs::system::IntoAdapterSystem<Timed, _> = timed(&clock, count_draws);
            render_app.insert_resource(counts).add_systems(Render, count.in_set(RenderSystems::Cleanup));
        }
    }
}

/// Runs when the frame before is drawn. Frames of a room that still waits for its patient do not count.
fn count_frame(
    mut counters: ResMut<WalkCounters>,
    counts: Res<RenderCounts>,
    start: Res<ProgramStart>,
    case: Option<Res<ActiveCase>>,
    imagery: Option<Res<Imagery>>,
    views: Query<&Camera, With<ViewCamera>>,
    segments: Query<&ViewVisibility, With<SegmentLods>>,
) {
    if case.is_none() || imagery.is_some() || !views.iter().any(|camera| camera.is_active) {
        return;
    }
    counters.frames += 1;
    counters.draw_calls = counters.draw_calls.max(counts.draw_calls.load(Ordering::Relaxed));
    let is_ready = counts.is_ready.load(Ordering::Relaxed);
    if counters.first_image_s.is_none() && is_ready && segments.iter().any(|seen| seen.get()) {
        counters.first_image_s = Some(start.0.elapsed().as_secs_f64());
    }
}

fn count_triangles(
    mut counters: ResMut<WalkCounters>,
    views: Query<(&VisibleEntities, &Camera), With<ViewCamera>>,
    meshes: Query<&TriangleCount>,
) {
    let of_view = |(visible, _): (&VisibleEntities, &Camera)| -> u64 {
        let entities = visible.get(TypeId::of::<Mesh3d>()).iter();
        entities.filter_map(|&entity| meshes.get(entity).ok()).map(|count| u64::from(count.0)).sum()
    };
    let most = views.iter().filter(|(_, camera)| camera.is_active).map(of_view).max().unwrap_or(0);
    if most > counters.triangles {
        counters.triangles = most;
    }
}

fn binned_draws<I: BinnedPhaseItem>(phase: &BinnedRenderPhase<I>) -> u64 {
    // Each bin is one instanced draw. Multidraw, which our views do not use, would be one command a set.
    let multi = phase.multidrawable_meshes.len();
    let single: usize = phase.unbatchable_meshes.values().map(|unbatchable| unbatchable.entities.len()).sum();
    (multi + phase.batchable_meshes.len() + single + phase.non_mesh_items.len()) as u64
}

fn sorted_draws<I: SortedPhaseItem>(phase: &SortedRenderPhase<I>) -> u64 {
    let items: Vec<&I> = phase.items.values().collect();
    let (mut draws, mut next) = (0, 0);
    while let Some(item) = items.get(next) {
        // As in the phase's own drawing: an empty range was merged into the item before.
        let range = PhaseItem::batch_range(*item);
        if range.is_empty() {
            next += 1;
        } else {
            draws += 1;
            next += range.len();
        }
    }
    draws
}

fn count_draws(
    counts: Res<RenderCounts>,
    pipelines: Res<PipelineCache>,
    views: Query<&MainEntity, With<ViewCamera>>,
    opaque: Res<ViewBinnedRenderPhases<Opaque3d>>,
    masked: Res<ViewBinnedRenderPhases<AlphaMask3d>>,
    transparent: Res<ViewSortedRenderPhases<Transparent3d>>,
    ui: Res<ViewSortedRenderPhases<TransparentUi>>,
) {
    let draws_of = |view: &MainEntity| -> u64 {
        let binned = |key: &bevy::render::view::RetainedViewEntity| key.main_entity == *view;
        let opaque: u64 = opaque.iter().filter(|(key, _)| binned(key)).map(|(_, phase)| binned_draws(phase)).sum();
        let masked: u64 = masked.iter().filter(|(key, _)| binned(key)).map(|(_, phase)| binned_draws(phase)).sum();
        let glass: u64 = transparent.iter().filter(|(key, _)| binned(key)).map(|(_, phase)| sorted_draws(phase)).sum();
        let ui: u64 = ui.iter().filter(|(key, _)| binned(key)).map(|(_, phase)| sorted_draws(phase)).sum();
        opaque + masked + glass + ui + FIXED_DRAWS
    };
    let most = views.iter().map(draws_of).max().unwrap_or(0);
    counts.draw_calls.store(most, Ordering::Relaxed);
    counts.is_ready.store(pipelines.waiting_pipelines().next().is_none(), Ordering::Relaxed);
}
