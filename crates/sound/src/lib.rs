//! Interface cues and sounds placed in the body.
//!
//! All sounds are made by the code of [`synth`]; there are no sound files. Without a sound device everything stays silent and
//! nothing fails. The feature `device` turns the machine's sound card on.
//!
//! ```
//! use sound::{Cue, Sounds};
//! let mut sounds = Sounds::start();
//! sounds.play(Cue::Select);
//! sounds.heartbeat(Some(space::Point::new(0.0, 1.3, 0.0)));
//! ```

mod mixer;
pub mod synth;

use std::fmt;

use glam::Quat;
use kira::DefaultBackend;
use serde::{Deserialize, Serialize};
use space::{Point, Scene};

use crate::mixer::Mixer;

/// A short sound of the interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Cue {
    /// A pointer came over a control.
    Hover,
    /// A structure was chosen or a control pressed.
    Select,
    /// The walker stands elsewhere.
    Teleport,
    /// The view turned by a snap.
    Snap,
    /// A picture was taken.
    Shutter,
    /// Something could not be done.
    Error,
    /// A measuring point was placed.
    Measure,
    /// Something was shown.
    Show,
    /// Something was hidden.
    Hide,
    /// A step was undone or redone.
    Undo,
    /// Everything is as it was at the start.
    Reset,
}

impl Cue {
    /// All cues.
    pub const ALL: [Self; 11] = [
        Self::Hover,
        Self::Select,
        Self::Teleport,
        Self::Snap,
        Self::Shutter,
        Self::Error,
        Self::Measure,
        Self::Show,
        Self::Hide,
        Self::Undo,
        Self::Reset,
    ];
}

/// Whether anything is heard, and why not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum SoundStatus {
    /// On the machine's sound card.
    Playing,
    /// This build cannot use sound cards: the feature `device` is off.
    NotBuiltIn,
    /// The machine has no sound card and no sound server.
    NoDevice,
    /// There is a device, but it cannot be used.
    Failed {
        /// What the system says.
        reason: String,
    },
}

impl fmt::Display for SoundStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Playing => write!(f, "a sound device answers"),
            Self::NotBuiltIn => write!(f, "this build cannot use sound devices"),
            Self::NoDevice => write!(f, "there is no sound device"),
            Self::Failed { reason } => write!(f, "the sound device cannot be used: {reason}"),
        }
    }
}

/// The sounds of a walk; dropping it ends them.
pub struct Sounds {
    status: SoundStatus,
    mixer: Option<Mixer<DefaultBackend>>,
}

impl Sounds {
    /// Starts on the machine's sound card, or silently without one; see [`Sounds::status`].
    pub fn start() -> Self {
        let (status, mixer) = start_device();
        Self { status, mixer }
    }

    /// Without any sound, for walks nobody hears.
    pub fn silent() -> Self {
        Self { status: SoundStatus::NoDevice, mixer: None }
    }

    /// Whether anything is heard.
    pub fn status(&self) -> &SoundStatus {
        &self.status
    }

    /// Plays a cue once; left out while three others still sound.
    pub fn play(&mut self, cue: Cue) {
        if let Some(mixer) = &mut self.mixer {
            mixer.play(cue);
        }
    }

    /// Lets the heart beat at a point of the scene from now on, or no more.
    pub fn heartbeat(&mut self, at: Option<Point<Scene>>) {
        if let Some(mixer) = &mut self.mixer {
            mixer.heartbeat(at);
        }
    }

    /// Where the listener's head is in the scene, and how it is turned; unrotated it looks along −Z with +Y up.
    pub fn listener(&mut self, position: Point<Scene>, orientation: Quat) {
        if let Some(mixer) = &mut self.mixer {
            mixer.listener(position, orientation);
        }
    }
}

fn start_device() -> (SoundStatus, Option<Mixer<DefaultBackend>>) {
    if !cfg!(feature = "device") {
        return (SoundStatus::NotBuiltIn, None);
    }
    if !device_is_likely() {
        return (SoundStatus::NoDevice, None);
    }
    match Mixer::new(Default::default()) {
        Ok(mixer) => (SoundStatus::Playing, Some(mixer)),
        Err(reason) => (SoundStatus::Failed { reason }, None),
    }
}

/// Asked first, because ALSA without a card writes pages of errors to the terminal by itself.
fn device_is_likely() -> bool {
    if !cfg!(target_os = "linux") {
        return true;
    }
    let cards = std::fs::read_to_string("/proc/asound/cards").unwrap_or_default();
    let has_card = !cards.trim().is_empty() && !cards.contains("no soundcards");
    let runtime = std::env::var_os("XDG_RUNTIME_DIR").map(std::path::PathBuf::from).unwrap_or_default();
    let has_server = std::env::var_os("PULSE_SERVER").is_some()
        || runtime.join("pulse/native").exists()
        || runtime.join("pipewire-0").exists();
    has_card || has_server
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_device_nothing_fails() {
        for mut sounds in [Sounds::silent(), Sounds::start()] {
            for cue in Cue::ALL {
                sounds.play(cue);
            }
            sounds.heartbeat(Some(Point::ZERO));
            sounds.listener(Point::new(0.0, 1.6, 2.0), Quat::IDENTITY);
            sounds.heartbeat(None);
        }
    }

    #[test]
    fn sounds_can_be_kept_by_any_thread() {
        fn is_sendable<T: Send>() {}
        is_sendable::<Sounds>();
    }

    #[test]
    #[cfg(not(feature = "device"))]
    fn a_build_without_the_feature_says_so() {
        assert_eq!(*Sounds::start().status(), SoundStatus::NotBuiltIn);
    }
}
