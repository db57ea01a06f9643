//! The frame of a walk: one schedule, its sets, and the walk's own clock.
//!
//! All systems of this crate run in the schedule [`Walk`], which a single system runs once a frame in [`Update`]. So
//! their order is fixed, their time is measured in one place, and a record replays exactly.

use std::time::Instant;

use bevy_app::{App, Plugin, Update};
use bevy_ecs::prelude::*;
use bevy_ecs::schedule::{ScheduleLabel, SingleThreadedExecutor};
use bevy_time::Time;
use serde::{Deserialize, Serialize};

use crate::walk_report::SystemsClock;

/// Runs the [`Walk`] schedule once a frame.
#[derive(Default)]
pub struct WalkPlugin;

impl Plugin for WalkPlugin {
    fn build(&self, app: &mut App) {
        let mut schedule = Schedule::new(Walk);
        schedule.set_executor(SingleThreadedExecutor::new());
        schedule.configure_sets(
            (
                WalkSystems::Clock,
                WalkSystems::Input,
                WalkSystems::Move,
                WalkSystems::Point,
                WalkSystems::HandOut,
                WalkSystems::Apply,
                WalkSystems::History,
                WalkSystems::Present,
                WalkSystems::Record,
            )
                .chain(),
        );
        app.add_schedule(schedule)
            .init_resource::<WalkClock>()
            .init_resource::<SystemsClock>()
            .add_systems(Update, run_walk.in_set(WalkRun));
    }
}

/// Adds [`WalkPlugin`] unless it is there already; every plugin of this crate calls it.
pub fn ensure_walk(app: &mut App) {
    if !app.is_plugin_added::<WalkPlugin>() {
        app.add_plugins(WalkPlugin);
    }
}

/// The schedule of all systems of this crate.
#[derive(ScheduleLabel, Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Walk;

/// The set of the one system that runs [`Walk`]; in [`Update`].
///
/// Write inputs before it, read the walk's state after it.
#[derive(SystemSet, Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct WalkRun;

/// What happens in a frame of the walk, in this order.
#[derive(SystemSet, Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum WalkSystems {
    /// Advances [`WalkClock`]; a replay and a tour write their inputs. Runs in [`Walk`].
    Clock,
    /// Hands each [`Input`](crate::input::Input) to the plugin it is meant for. Runs in [`Walk`].
    Input,
    /// Moves the walker, head, hands and body. Runs in [`Walk`].
    Move,
    /// Casts rays at the body and at panels. Runs in [`Walk`].
    Point,
    /// Hands out what presses of panels ask for. Runs in [`Walk`].
    HandOut,
    /// Changes state as requested. Runs in [`Walk`].
    Apply,
    /// Undoes, redoes, and writes down what changed. Runs in [`Walk`].
    History,
    /// Derives what is drawn, shown and heard. Runs in [`Walk`].
    Present,
    /// Writes the session record and counts. Runs in [`Walk`].
    Record,
}

/// How the walk's time goes.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub enum Pace {
    /// As Bevy's clock, in whole microseconds and at most 0.1 s a frame.
    Real,
    /// The same step each frame: offscreen, tests.
    Fixed {
        /// In seconds.
        step_s: f64,
    },
}

/// The walk's own time; never the time of day.
#[derive(Resource, Clone, Copy, Debug, PartialEq)]
pub struct WalkClock {
    /// Frames since the case was staged; the frame that stages it is 0.
    pub frame: u64,
    /// Seconds since the start.
    pub t_s: f64,
    /// Seconds this frame covers.
    pub step_s: f64,
    /// Where the step comes from.
    pub pace: Pace,
}

impl Default for WalkClock {
    fn default() -> Self {
        Self { frame: 0, t_s: 0.0, step_s: 0.0, pace: Pace::Real }
    }
}

impl WalkClock {
    /// The longest step of [`Pace::Real`], in seconds: after a stall nobody leaps across the room.
    pub const MAX_STEP_S: f64 = 0.1;

    /// Begins the next frame, which covers `real_step_s` by the machine's clock.
    pub fn advance(&mut self, real_step_s: f64) {
        self.step_s = match self.pace {
            Pace::Real => (real_step_s.clamp(0.0, Self::MAX_STEP_S) * 1e6).round() / 1e6,
            Pace::Fixed { step_s } => step_s,
        };
        self.frame += 1;
        // Whole microseconds keep the record's text short.
        self.t_s = ((self.t_s + self.step_s) * 1e6).round() / 1e6;
    }
}

fn run_walk(world: &mut World) {
    let start = Instant::now();
    let step_s = world.get_resource::<Time>().map_or(0.0, Time::delta_secs_f64);
    if let Some(mut clock) = world.get_resource_mut::<WalkClock>() {
        clock.advance(step_s);
    }
    world.run_schedule(Walk);
    if let Some(systems) = world.get_resource::<SystemsClock>() {
        systems.add(start.elapsed());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alone_it_counts_frames() {
        let mut app = App::new();
        app.add_plugins(WalkPlugin);
        app.world_mut().resource_mut::<WalkClock>().pace = Pace::Fixed { step_s: 0.25 };
        for _ in 0..4 {
            app.update();
        }
        let clock = app.world().resource::<WalkClock>();
        assert_eq!((clock.frame, clock.t_s), (4, 1.0));
    }

    #[test]
    fn a_stall_is_a_short_step_and_time_is_in_whole_microseconds() {
        let mut clock = WalkClock::default();
        clock.advance(30.0);
        assert_eq!(clock.t_s, 0.1);
        clock.advance(1.0 / 90.0);
        assert_eq!(clock.t_s, 0.111_111);
        clock.advance(-1.0);
        assert_eq!((clock.t_s, clock.frame), (0.111_111, 3));
    }
}
