//! Cues and the heart on a mixer, for any backend of kira.

use std::collections::BTreeMap;
use std::time::Duration;

use glam::Quat;
use kira::backend::Backend;
use kira::listener::ListenerHandle;
use kira::sound::static_sound::{StaticSoundData, StaticSoundHandle, StaticSoundSettings};
use kira::track::{SpatialTrackBuilder, SpatialTrackHandle, TrackBuilder, TrackHandle};
use kira::{AudioManager, AudioManagerSettings, Capacities, Easing, Frame, Tween};
use space::{Point, Scene};

use crate::{Cue, synth};

/// Cues at once; more would only be noise, and louder than [`synth::CUE_PEAK`] allows for.
const CUES_AT_ONCE: usize = 3;

/// The heart is at its loudest nearer than this and silent farther than that, in metres; our choice: one hears it when one
/// bends over the body, not across the room.
const HEART_DISTANCES_M: [f32; 2] = [0.25, 3.5];

/// How much left and right differ, 0 to 1.
const SPATIAL_STRENGTH: f32 = 0.85;

/// Ears and heart move smoothly over this time, so that nothing crackles; shorter than anyone notices.
const GLIDE: Duration = Duration::from_millis(20);

/// How long the heart swells and dies away.
const HEART_FADE: Duration = Duration::from_millis(300);

/// Everything that sounds.
pub(crate) struct Mixer<B: Backend> {
    manager: AudioManager<B>,
    listener: ListenerHandle,
    cue_track: TrackHandle,
    cues: BTreeMap<Cue, StaticSoundData>,
    heart_sound: StaticSoundData,
    heart: Option<(SpatialTrackHandle, StaticSoundHandle)>,
}

impl<B: Backend> Mixer<B> {
    /// On a backend; the error is what it says.
    pub(crate) fn new(settings: B::Settings) -> Result<Self, String>
    where
        B::Error: std::fmt::Debug,
    {
        let capacities = Capacities { sub_track_capacity: 4, listener_capacity: 1, ..Capacities::default() };
        let settings = AudioManagerSettings {
            capacities,
            backend_settings: settings,
            main_track_builder: Default::default(),
            internal_buffer_size: 128,
        };
        let mut manager = AudioManager::new(settings).map_err(|error| format!("{error:?}"))?;
        let full = |error: kira::ResourceLimitReached| error.to_string();
        let listener = manager.add_listener(vector(Point::ZERO), quaternion(Quat::IDENTITY)).map_err(full)?;
        let cue_track = manager.add_sub_track(TrackBuilder::new().sound_capacity(CUES_AT_ONCE)).map_err(full)?;
        let cues = Cue::ALL.into_iter().map(|cue| (cue, sound(&synth::cue(cue)))).collect();
        let heart_sound = sound(&synth::heartbeat()).loop_region(..).fade_in_tween(tween(HEART_FADE));
        Ok(Self { manager, listener, cue_track, cues, heart_sound, heart: None })
    }

    pub(crate) fn play(&mut self, cue: Cue) {
        if let Some(sound) = self.cues.get(&cue) {
            // A full track leaves the cue out.
            let _ = self.cue_track.play(sound.clone());
        }
    }

    pub(crate) fn heartbeat(&mut self, at: Option<Point<Scene>>) {
        match (at, &mut self.heart) {
            (Some(at), Some((track, _))) => track.set_position(vector(at), tween(GLIDE)),
            (Some(at), None) => {
                let builder = SpatialTrackBuilder::new()
                    .distances((HEART_DISTANCES_M[0], HEART_DISTANCES_M[1]))
                    .attenuation_function(Easing::Linear)
                    .spatialization_strength(SPATIAL_STRENGTH)
                    .sound_capacity(1)
                    .persist_until_sounds_finish(true);
                // Hearts that still die away may hold the last place; then the next call finds room.
                let Ok(mut track) = self.manager.add_spatial_sub_track(&self.listener, vector(at), builder) else {
                    return;
                };
                if let Ok(beat) = track.play(self.heart_sound.clone()) {
                    self.heart = Some((track, beat));
                }
            }
            (None, _) => {
                if let Some((_, mut beat)) = self.heart.take() {
                    beat.stop(tween(HEART_FADE));
                }
            }
        }
    }

    pub(crate) fn listener(&mut self, position: Point<Scene>, orientation: Quat) {
        self.listener.set_position(vector(position), tween(GLIDE));
        self.listener.set_orientation(quaternion(orientation), tween(GLIDE));
    }
}

fn sound(samples: &[f32]) -> StaticSoundData {
    StaticSoundData {
        sample_rate: synth::SAMPLE_RATE,
        frames: samples.iter().map(|s| Frame::from_mono(*s)).collect(),
        settings: StaticSoundSettings::default(),
        slice: None,
    }
}

fn tween(duration: Duration) -> Tween {
    Tween { duration, ..Tween::default() }
}

fn vector(point: Point<Scene>) -> mint::Vector3<f32> {
    let [x, y, z] = point.as_vec3().to_array();
    mint::Vector3 { x, y, z }
}

fn quaternion(q: Quat) -> mint::Quaternion<f32> {
    mint::Quaternion { v: mint::Vector3 { x: q.x, y: q.y, z: q.z }, s: q.w }
}

#[cfg(test)]
mod tests;
