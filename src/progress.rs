//! Progress of long work: bars on a terminal, lines elsewhere; always on stderr.

use std::io::IsTerminal;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use crate::output;

/// Steps of the bar.
const STEPS: u64 = 1000;
/// Lines come at least this far apart within a stage, except its first and last.
const LINE_EVERY: Duration = Duration::from_secs(2);

/// Shows which stage is at work and how far it is.
pub(crate) struct Progress {
    state: Mutex<State>,
}

struct State {
    bar: Option<ProgressBar>,
    stage: String,
    stage_start: Instant,
    last_line: Instant,
}

impl Progress {
    pub(crate) fn new() -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::new(STEPS);
            if let Ok(style) = ProgressStyle::with_template("{msg:24} {bar:40} {percent:>3} %  {elapsed} ({eta} left)")
            {
                bar.set_style(style);
            }
            bar
        });
        let now = Instant::now();
        Self { state: Mutex::new(State { bar, stage: String::new(), stage_start: now, last_line: now }) }
    }

    /// Tells that `stage` is done to `fraction` (0…1).
    pub(crate) fn tell(&self, stage: &str, fraction: f32) {
        let Ok(mut state) = self.state.lock() else { return };
        let is_new = state.stage != stage;
        if is_new {
            state.stage = stage.to_owned();
            state.stage_start = Instant::now();
        }
        if let Some(bar) = &state.bar {
            if is_new {
                bar.reset_eta();
                bar.set_message(stage.to_owned());
            }
            bar.set_position((fraction.clamp(0.0, 1.0) * STEPS as f32) as u64);
        } else if is_new || state.last_line.elapsed() >= LINE_EVERY {
            state.last_line = Instant::now();
            let seconds = state.stage_start.elapsed().as_secs_f32();
            let left = if fraction > 0.05 && seconds > 1.0 {
                format!(", about {:.0} s left", seconds * (1.0 - fraction) / fraction)
            } else {
                String::new()
            };
            output::note(&format!("{stage}: {:.0} %{left}", fraction * 100.0));
        }
    }

    /// Takes the bar away.
    pub(crate) fn finish(&self) {
        if let Ok(state) = self.state.lock()
            && let Some(bar) = &state.bar
        {
            bar.finish_and_clear();
        }
    }
}

impl pipeline::Progress for Progress {
    fn stage(&self, name: &str, fraction: f32) {
        self.tell(name, fraction);
    }
}
