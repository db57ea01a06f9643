//! Telling how far a build is, and how long its stages took.

use std::time::Instant;

use serde::Serialize;

/// Hears of progress; called from any thread.
pub trait Progress: Sync {
    /// `name` is at work and done to `fraction`, 0 to 1.
    fn stage(&self, name: &str, fraction: f32);
}

/// Hears nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

impl Progress for Silent {
    fn stage(&self, _name: &str, _fraction: f32) {}
}

/// How long a stage took.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct StageTime {
    /// `read`, `segment`, `surfaces`, `write`.
    pub stage: String,
    /// Wall time.
    pub seconds: f64,
}

/// Runs stages, tells of them and times them.
pub(crate) struct Stages<'a> {
    progress: &'a dyn Progress,
    pub(crate) times: Vec<StageTime>,
}

impl<'a> Stages<'a> {
    pub(crate) fn new(progress: &'a dyn Progress) -> Self {
        Self { progress, times: Vec::new() }
    }

    /// Runs `work` as the stage `name`; its closure tells the fraction done.
    pub(crate) fn run<T>(&mut self, name: &str, work: impl FnOnce(&(dyn Fn(f32) + Sync)) -> T) -> T {
        let start = Instant::now();
        self.progress.stage(name, 0.0);
        let result = work(&|fraction| self.progress.stage(name, fraction));
        self.progress.stage(name, 1.0);
        self.times.push(StageTime { stage: name.to_owned(), seconds: start.elapsed().as_secs_f64() });
        result
    }
}
