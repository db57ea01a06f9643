//! Playing a record back.

use std::collections::BTreeMap;

use bevy_ecs::prelude::*;
use serde::Deserialize;
use thiserror::Error;

use crate::comfort::Comfort;
use crate::input::{Input, Request};
use crate::session::record::SCHEMA;
use crate::session::{EndReason, WalkEndRequested};
use crate::stage::ActiveCase;
use crate::walk::WalkClock;

/// A record to be played back; insert it before the case is staged.
#[derive(Resource, Clone, Debug, PartialEq)]
pub struct SessionReplay {
    /// Checksum of the case it was recorded in.
    pub case: String,
    /// What random parts of the walk start from.
    pub seed: u64,
    comfort: Option<Comfort>,
    /// Time and inputs of each recorded frame.
    frames: BTreeMap<u64, (f64, Vec<Request>)>,
    /// When and why it ended, if that was not by an input: the app's own doing.
    ended: Option<(u64, EndReason)>,
    checked: bool,
}

/// A record cannot be played back.
#[derive(Clone, Debug, Error, PartialEq)]
#[non_exhaustive]
pub enum SessionError {
    /// The file is empty or its first line is not a record's.
    #[error("not a session record: the first line must name schema `{expected}`; found {found}")]
    Schema {
        /// The version this program reads.
        expected: &'static str,
        /// The line, shortened.
        found: String,
    },
    /// A line is damaged.
    #[error("line {line} of the session record cannot be read: {reason}")]
    Line {
        /// Counted from 1.
        line: usize,
        /// What is wrong.
        reason: String,
    },
    /// It was recorded in another case.
    #[error("the record belongs to case {recorded}, and this is case {found}; open the case it was made in")]
    Case {
        /// Checksum in the record.
        recorded: String,
        /// Checksum of the case on stage.
        found: String,
    },
}

#[derive(Deserialize)]
struct Header {
    schema: String,
    case: String,
    #[serde(default)]
    seed: u64,
}

#[derive(Deserialize)]
struct Line {
    frame: u64,
    t: f64,
    event: String,
    request: Option<Request>,
    comfort: Option<Comfort>,
    reason: Option<EndReason>,
}

impl SessionReplay {
    /// Reads a record; a last line that was cut short by a crash is left out.
    ///
    /// # Errors
    /// [`SessionError::Schema`] for anything but a record, [`SessionError::Line`] for a damaged line.
    pub fn parse(text: &str) -> Result<Self, SessionError> {
        let mut lines = text.lines().enumerate().map(|(n, line)| (n + 1, line)).filter(|(_, l)| !l.trim().is_empty());
        let first = lines.next().map_or("nothing", |(_, line)| line);
        let schema_error =
            || SessionError::Schema { expected: SCHEMA, found: first.chars().take(80).collect::<String>() };
        let header: Header = match serde_json::from_str::<Header>(first) {
            Ok(header) if header.schema == SCHEMA => header,
            _ => return Err(schema_error()),
        };
        let (mut comfort, mut ended) = (None, None);
        let mut frames: BTreeMap<u64, (f64, Vec<Request>)> = BTreeMap::new();
        let whole = text.ends_with('\n');
        let last = text.lines().count();
        for (number, line) in lines {
            let line: Line = match serde_json::from_str(line) {
                Ok(line) => line,
                Err(_) if number == last && !whole => break,
                Err(error) => return Err(SessionError::Line { line: number, reason: error.to_string() }),
            };
            let (t, requests) = frames.entry(line.frame).or_default();
            *t = line.t;
            comfort = comfort.or(line.comfort);
            if line.event == "Ended" && !requests.iter().any(|r| matches!(r, Request::End(_))) {
                ended = line.reason.map(|reason| (line.frame, reason));
            }
            if line.event == "Input" {
                let reason = || "an input without a request".to_owned();
                let request = line.request.ok_or_else(|| SessionError::Line { line: number, reason: reason() })?;
                requests.push(request);
            }
        }
        Ok(Self { case: header.case, seed: header.seed, comfort, frames, ended, checked: false })
    }

    /// That the case on stage is the recorded one.
    ///
    /// # Errors
    /// [`SessionError::Case`] if it is another.
    pub fn check_case(&self, checksum: &str) -> Result<(), SessionError> {
        if self.case == checksum {
            Ok(())
        } else {
            Err(SessionError::Case { recorded: self.case.clone(), found: checksum.to_owned() })
        }
    }

    /// Frames from the first to the last that is recorded.
    pub fn frames(&self) -> u64 {
        self.frames.last_key_value().map_or(0, |(frame, _)| frame + 1)
    }
}

pub(super) fn play(
    mut replay: ResMut<SessionReplay>,
    case: Option<Res<ActiveCase>>,
    mut clock: ResMut<WalkClock>,
    mut comfort: Option<ResMut<Comfort>>,
    mut inputs: MessageWriter<Input>,
    mut ends: MessageWriter<WalkEndRequested>,
) {
    let Some(case) = case else { return };
    if !replay.checked {
        replay.checked = true;
        if let Err(error) = replay.check_case(&case.checksum) {
            let reason = EndReason::Failed { message: error.to_string() };
            ends.write(WalkEndRequested { reason });
            replay.frames.clear();
            return;
        }
        if let (Some(comfort), Some(recorded)) = (&mut comfort, &replay.comfort) {
            comfort.set_if_neq(recorded.clone());
        }
    }
    if let Some((t_s, requests)) = replay.frames.get(&clock.frame) {
        clock.t_s = *t_s;
        inputs.write_batch(requests.iter().cloned().map(Input));
    } else if clock.frame >= replay.frames() && clock.frame > 0 {
        ends.write(WalkEndRequested { reason: EndReason::ReplayOver });
    }
    if let Some((_, reason)) = replay.ended.as_ref().filter(|(frame, _)| *frame == clock.frame) {
        ends.write(WalkEndRequested { reason: reason.clone() });
    }
}
