//! What a run used: frames, drawing, time of our own systems; the one document `walk --json` ends with.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bevy_app::{App, First, Plugin};
use bevy_ecs::prelude::*;
use serde::Serialize;

use crate::walk::{WalkSystems, ensure_walk};

/// Counts what a run used.
#[derive(Default)]
pub struct WalkReportPlugin;

impl Plugin for WalkReportPlugin {
    fn build(&self, app: &mut App) {
        ensure_walk(app);
        app.init_resource::<WalkCounters>().add_systems(First, close_systems_frame);
        let _ = WalkSystems::Record;
    }
}

/// Where pictures and numbers come from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum DisplayUsed {
    /// An OpenXR headset.
    Headset,
    /// A window on a screen.
    Window,
    /// Pictures only.
    #[default]
    Offscreen,
}

/// What the display side counts; `render`, `headset` and the app write it.
#[derive(Resource, Clone, Debug, Default, PartialEq)]
pub struct WalkCounters {
    /// Which display runs.
    pub display: DisplayUsed,
    /// Frames drawn.
    pub frames: u64,
    /// Seconds from program start to the first frame with the body in it.
    pub first_image_s: Option<f64>,
    /// Triangles drawn in the costliest frame, per eye.
    pub triangles: u64,
    /// Draw commands recorded over all passes of a view in the costliest frame, per eye.
    pub draw_calls: u64,
    /// Frames that missed their time.
    pub dropped: u64,
    /// File names of pictures taken, without folder.
    pub shots: Vec<String>,
    /// Sentences a user should read.
    pub warnings: Vec<String>,
}

/// Milliseconds of our systems per frame.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct SystemsMs {
    /// Half of all frames took less.
    pub median: f64,
    /// 99 of 100 frames took less.
    pub p99: f64,
}

/// The document of `walk --json` (DESIGN.md 5.3).
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct WalkReport {
    /// Display used.
    pub display: DisplayUsed,
    /// Frames drawn.
    pub frames: u64,
    /// Seconds to the first image; null if none was drawn.
    pub first_image_s: Option<f64>,
    /// Wall time a frame of all systems of our crates.
    pub systems_ms: SystemsMs,
    /// Per eye.
    pub triangles: u64,
    /// Per eye.
    pub draw_calls: u64,
    /// Frames that missed their time.
    pub dropped: u64,
    /// Pictures taken.
    pub shots: Vec<String>,
    /// Sentences a user should read.
    pub warnings: Vec<String>,
}

impl WalkReport {
    /// From the counters and the clock of a run.
    pub fn new(counters: &WalkCounters, clock: &SystemsClock) -> Self {
        let WalkCounters { display, frames, first_image_s, triangles, draw_calls, dropped, shots, warnings } =
            counters.clone();
        let systems_ms = clock.milliseconds();
        Self { display, frames, first_image_s, systems_ms, triangles, draw_calls, dropped, shots, warnings }
    }
}

/// Wall time of all systems of our crates, frame by frame.
///
/// Clone it into the render world: clones add to the same frame.
#[derive(Resource, Clone, Debug, Default)]
pub struct SystemsClock {
    open_frame_ns: Arc<AtomicU64>,
    frames_us: Vec<u32>,
}

impl SystemsClock {
    /// Adds time to the open frame.
    pub fn add(&self, duration: Duration) {
        let ns = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        self.open_frame_ns.fetch_add(ns, Ordering::Relaxed);
    }

    /// Counts the time until the returned guard is dropped.
    pub fn span(&self) -> SystemsSpan {
        SystemsSpan { open_frame_ns: Arc::clone(&self.open_frame_ns), start: Instant::now() }
    }

    /// Ends the open frame; a frame without any of our systems is not counted.
    pub fn close_frame(&mut self) {
        let ns = self.open_frame_ns.swap(0, Ordering::Relaxed);
        if ns > 0 {
            self.frames_us.push(u32::try_from(ns / 1000).unwrap_or(u32::MAX));
        }
    }

    /// Median and 99th percentile over all closed frames; zero if there are none.
    pub fn milliseconds(&self) -> SystemsMs {
        let mut sorted = self.frames_us.clone();
        sorted.sort_unstable();
        let rank = |share: f64| {
            let index = (share * sorted.len() as f64).ceil().max(1.0) as usize - 1;
            sorted.get(index).map_or(0.0, |&us| f64::from(us) / 1000.0)
        };
        SystemsMs { median: rank(0.5), p99: rank(0.99) }
    }
}

/// Counts time from its making to its drop; see [`SystemsClock::span`].
#[derive(Debug)]
pub struct SystemsSpan {
    open_frame_ns: Arc<AtomicU64>,
    start: Instant,
}

impl Drop for SystemsSpan {
    fn drop(&mut self) {
        let ns = u64::try_from(self.start.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.open_frame_ns.fetch_add(ns, Ordering::Relaxed);
    }
}

fn close_systems_frame(mut clock: ResMut<SystemsClock>) {
    clock.close_frame();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_of_closed_frames() {
        let mut clock = SystemsClock::default();
        assert_eq!(clock.milliseconds(), SystemsMs::default());
        for ms in 1..=100 {
            clock.add(Duration::from_millis(ms));
            clock.close_frame();
        }
        clock.add(Duration::from_secs(9));
        assert_eq!(clock.milliseconds(), SystemsMs { median: 50.0, p99: 99.0 });
    }

    #[test]
    fn clones_and_spans_add_to_one_frame() {
        let mut clock = SystemsClock::default();
        let in_render_world = clock.clone();
        in_render_world.add(Duration::from_millis(2));
        drop(clock.span());
        clock.add(Duration::from_millis(1));
        clock.close_frame();
        let ms = clock.milliseconds().median;
        assert!((3.0..4.0).contains(&ms), "{ms}");
    }
}
