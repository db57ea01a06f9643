//! Turns the walk's cues into sound.

use bevy::prelude::*;
use sound::{Cue, Sounds};
use walkthrough::cue::{CueName, CueRequested, HeartbeatAt};
use walkthrough::locomotion::Viewer;
use walkthrough::walk::WalkRun;

/// Plays cues and the heartbeat; silent without a device.
pub(crate) struct SoundsPlugin;

struct Playing(Sounds);

impl Plugin for SoundsPlugin {
    fn build(&self, app: &mut App) {
        app.insert_non_send(Playing(Sounds::start())).add_systems(Update, play.after(WalkRun));
    }
}

fn play(
    mut playing: NonSendMut<Playing>,
    mut cues: MessageReader<CueRequested>,
    mut heart: MessageReader<HeartbeatAt>,
    viewer: Res<Viewer>,
) {
    for CueRequested(name) in cues.read() {
        playing.0.play(cue(*name));
    }
    if let Some(HeartbeatAt { point }) = heart.read().last() {
        playing.0.heartbeat(*point);
    }
    if viewer.is_changed() {
        playing.0.listener(viewer.0.position, viewer.0.rotation);
    }
}

fn cue(name: CueName) -> Cue {
    match name {
        CueName::Hover => Cue::Hover,
        CueName::Select => Cue::Select,
        CueName::Teleport => Cue::Teleport,
        CueName::Snap => Cue::Snap,
        CueName::Shutter => Cue::Shutter,
        CueName::Error => Cue::Error,
        CueName::Measure => Cue::Measure,
        CueName::Show => Cue::Show,
        CueName::Hide => Cue::Hide,
        CueName::Undo => Cue::Undo,
        CueName::Reset => Cue::Reset,
    }
}
