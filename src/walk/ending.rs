//! How a walk ends: by itself, after so many frames, or because the headset is gone.

use std::sync::{Arc, Mutex};

use bevy::prelude::*;
use render::PicturesInFlight;
use walkthrough::input::Input;
use walkthrough::picture::PictureRequested;
use walkthrough::session::{EndReason, SessionLost, WalkEndRequested, WalkEnded};
use walkthrough::walk::WalkRun;
use walkthrough::walk_report::{DisplayUsed, SystemsClock, WalkCounters, WalkReport};

/// What a finished walk leaves behind.
pub(crate) struct Outcome {
    pub(crate) report: WalkReport,
    /// One sentence, if it did not end well.
    pub(crate) failure: Option<String>,
}

pub(crate) type OutcomeSlot = Arc<Mutex<Option<Outcome>>>;

/// Ends the walk and fills the slot.
pub(crate) struct EndingPlugin {
    pub(crate) display: DisplayUsed,
    pub(crate) frames: Option<u64>,
    pub(crate) pictures_on_the_way: bool,
    pub(crate) screen: bool,
    pub(crate) slot: OutcomeSlot,
}

#[derive(Resource)]
struct Ending {
    frames: Option<u64>,
    pictures_on_the_way: bool,
    screen: bool,
    slot: OutcomeSlot,
    reason: Option<EndReason>,
    pictures_asked: u64,
}

/// Pictures of a headset's walk that ends after a known number of frames.
const PICTURES_ON_THE_WAY: u64 = 3;

impl Plugin for EndingPlugin {
    fn build(&self, app: &mut App) {
        app.world_mut().get_resource_or_init::<WalkCounters>().display = self.display;
        app.insert_resource(Ending {
            frames: self.frames,
            pictures_on_the_way: self.pictures_on_the_way,
            screen: self.screen,
            slot: Arc::clone(&self.slot),
            reason: None,
            pictures_asked: 0,
        })
        .add_systems(PreUpdate, (count_frames, survive_loss))
        .add_systems(Last, leave.after(WalkRun));
    }
}

fn count_frames(mut ending: ResMut<Ending>, counters: Res<WalkCounters>, mut inputs: MessageWriter<Input>) {
    let Some(frames) = ending.frames else { return };
    let due = counters.frames * (PICTURES_ON_THE_WAY + 1) / frames.max(1);
    if ending.pictures_on_the_way && ending.pictures_asked < due.min(PICTURES_ON_THE_WAY) {
        ending.pictures_asked += 1;
        let stem = Some(format!("walk-{}", ending.pictures_asked));
        inputs.write(PictureRequested { stem }.into());
    }
    if counters.frames >= frames && ending.reason.is_none() {
        inputs.write(WalkEndRequested { reason: EndReason::FramesDrawn }.into());
    }
}

/// A lost headset ends in the window where there is a screen, else the walk ends.
fn survive_loss(
    mut lost: MessageReader<SessionLost>,
    mut ending: ResMut<Ending>,
    mut counters: ResMut<WalkCounters>,
    mut inputs: MessageWriter<Input>,
    mut commands: Commands,
) {
    let Some(SessionLost { message }) = lost.read().last() else { return };
    if ending.screen {
        counters.display = DisplayUsed::Window;
        counters.warnings.push(format!("{message}; the walk goes on in the window"));
        crate::output::note(&format!("{message}; the walk goes on in the window"));
        commands.queue(render::open_window);
    } else {
        ending.reason = Some(EndReason::Failed { message: format!("{message} and there is no screen for a window") });
        inputs.write(WalkEndRequested { reason: EndReason::SessionLost }.into());
    }
}

fn leave(
    mut ending: ResMut<Ending>,
    mut ended: MessageReader<WalkEnded>,
    mut exit: ResMut<Messages<AppExit>>,
    pictures: Res<PicturesInFlight>,
    counters: Res<WalkCounters>,
    clock: Res<SystemsClock>,
) {
    if let Some(WalkEnded { reason }) = ended.read().last()
        && ending.reason.is_none()
    {
        ending.reason = Some(reason.clone());
    }
    let is_closed = !exit.is_empty();
    if is_closed {
        ending.reason.get_or_insert(EndReason::Closed);
    }
    let Some(reason) = ending.reason.clone() else { return };
    // Pictures asked for are still being written.
    if pictures.count() > 0 && !is_closed {
        return;
    }
    let failure = match reason {
        EndReason::Failed { message } => Some(message),
        EndReason::SessionLost => Some("the headset went away".to_owned()),
        EndReason::Closed | EndReason::TourOver | EndReason::FramesDrawn | EndReason::ReplayOver => None,
    };
    let outcome = Outcome { report: WalkReport::new(&counters, &clock), failure };
    if let Ok(mut slot) = ending.slot.lock()
        && slot.is_none()
    {
        *slot = Some(outcome);
        if !is_closed {
            exit.write(AppExit::Success);
        }
    }
}
