//! The sounds themselves: sines and noise with envelopes, in mono at [`SAMPLE_RATE`].

use std::f32::consts::TAU;

use crate::Cue;

/// Samples a second.
pub const SAMPLE_RATE: u32 = 48_000;

/// No cue is louder than this amplitude, −14 dBFS: three at once and a heart still fit under full scale.
pub const CUE_PEAK: f32 = 0.2;

/// The heart is no louder than this amplitude, −10 dBFS, and only close by.
pub const HEART_PEAK: f32 = 0.32;

/// Beats a minute of an adult at rest; our choice within the usual 60 to 100.
pub const HEART_RATE_PER_MINUTE: f32 = 65.0;

/// From the first heart sound to the second, in seconds: about a third of a beat at rest.
const SYSTOLE_S: f32 = 0.31;

/// One tone of a cue.
#[derive(Clone, Copy, Debug)]
struct Tone {
    /// When it begins, in seconds.
    start_s: f32,
    /// How long it sounds, in seconds.
    length_s: f32,
    /// Frequency at its beginning and end, in Hz.
    hertz: [f32; 2],
    /// 0 to 1, before the whole is brought to its peak.
    loudness: f32,
}

/// The samples of a cue.
pub fn cue(cue: Cue) -> Vec<f32> {
    let tone = |start_s, length_s, hertz, loudness| Tone { start_s, length_s, hertz, loudness };
    let (tones, noise, peak): (Vec<Tone>, f32, f32) = match cue {
        Cue::Hover => (vec![tone(0.0, 0.035, [1250.0, 1250.0], 1.0)], 0.0, 0.05),
        Cue::Select => (vec![tone(0.0, 0.06, [660.0, 660.0], 1.0), tone(0.045, 0.09, [990.0, 990.0], 0.8)], 0.0, 0.15),
        Cue::Teleport => (vec![tone(0.0, 0.22, [220.0, 520.0], 1.0)], 0.25, CUE_PEAK),
        Cue::Snap => (vec![tone(0.0, 0.05, [420.0, 330.0], 1.0)], 0.1, 0.12),
        Cue::Shutter => {
            (vec![tone(0.0, 0.02, [1800.0, 900.0], 0.5), tone(0.07, 0.03, [1400.0, 700.0], 0.5)], 1.0, 0.15)
        }
        Cue::Error => (vec![tone(0.0, 0.14, [280.0, 260.0], 1.0), tone(0.16, 0.2, [210.0, 195.0], 1.0)], 0.0, CUE_PEAK),
        Cue::Measure => {
            (vec![tone(0.0, 0.05, [880.0, 880.0], 1.0), tone(0.06, 0.12, [1320.0, 1320.0], 0.7)], 0.0, 0.15)
        }
        Cue::Show => (vec![tone(0.0, 0.09, [520.0, 700.0], 1.0)], 0.0, 0.1),
        Cue::Hide => (vec![tone(0.0, 0.09, [700.0, 520.0], 1.0)], 0.0, 0.1),
        Cue::Undo => (vec![tone(0.0, 0.06, [780.0, 780.0], 1.0), tone(0.05, 0.1, [585.0, 585.0], 0.9)], 0.0, 0.12),
        Cue::Reset => (
            vec![
                tone(0.0, 0.08, [784.0, 784.0], 1.0),
                tone(0.07, 0.08, [659.0, 659.0], 0.9),
                tone(0.14, 0.16, [523.0, 523.0], 0.9),
            ],
            0.0,
            0.15,
        ),
    };
    let length_s = tones.iter().map(|t| t.start_s + t.length_s).fold(0.0, f32::max);
    let mut samples = vec![0.0; samples_in(length_s)];
    for tone in &tones {
        add_tone(&mut samples, tone, noise);
    }
    brought_to(samples, peak)
}

/// The samples of one heartbeat, rest included; repeats without a seam.
///
/// The first sound (valves to the chambers) is lower and longer than the second (valves to the arteries). Their fundamental
/// lies below what small speakers give, so each carries overtones.
pub fn heartbeat() -> Vec<f32> {
    let mut samples = vec![0.0; samples_in(60.0 / HEART_RATE_PER_MINUTE)];
    let mut beat = |start_s: f32, length_s: f32, hertz: f32, loudness: f32| {
        for (overtone, share) in [(1.0, 1.0), (2.0, 0.6), (3.1, 0.3), (4.3, 0.12)] {
            let pitch = hertz * overtone;
            let tone = Tone {
                start_s,
                length_s: length_s / (0.7 + 0.3 * overtone),
                hertz: [pitch, pitch * 0.8],
                loudness: loudness * share,
            };
            add_tone(&mut samples, &tone, 0.0);
        }
    };
    beat(0.0, 0.15, 48.0, 1.0);
    beat(SYSTOLE_S, 0.11, 66.0, 0.7);
    brought_to(samples, HEART_PEAK)
}

fn samples_in(length_s: f32) -> usize {
    (length_s * SAMPLE_RATE as f32).round() as usize
}

/// Adds a tone that swells in 4 ms and dies away; `noise` is the share of noise in it.
fn add_tone(samples: &mut [f32], tone: &Tone, noise: f32) {
    /// Short enough to be crisp, long enough not to click.
    const ATTACK_S: f32 = 0.004;
    let (mut phase, mut seed) = (0.0f32, 0x2545_f491u32);
    let first = samples_in(tone.start_s);
    let count = samples_in(tone.length_s);
    for (n, sample) in samples.iter_mut().skip(first).take(count).enumerate() {
        let (t_s, share) = (n as f32 / SAMPLE_RATE as f32, n as f32 / count as f32);
        // Falls to nothing at its end, however long it is.
        let envelope = (t_s / ATTACK_S).min(1.0) * (1.0 - share).powi(2);
        phase = (phase + (tone.hertz[0] + (tone.hertz[1] - tone.hertz[0]) * share) / SAMPLE_RATE as f32).fract();
        // Xorshift: the same noise each time.
        seed ^= seed << 13;
        seed ^= seed >> 17;
        seed ^= seed << 5;
        let hiss = seed as f32 / u32::MAX as f32 * 2.0 - 1.0;
        *sample += tone.loudness * envelope * ((phase * TAU).sin() * (1.0 - noise * 0.5) + hiss * noise * 0.5);
    }
}

fn brought_to(mut samples: Vec<f32>, peak: f32) -> Vec<f32> {
    let loudest = samples.iter().fold(0.0f32, |m, s| m.max(s.abs()));
    if loudest > 0.0 {
        samples.iter_mut().for_each(|s| *s *= peak / loudest);
    }
    samples
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peak(samples: &[f32]) -> f32 {
        samples.iter().fold(0.0f32, |m, s| m.max(s.abs()))
    }

    #[test]
    fn cues_are_short_soft_and_begin_and_end_in_silence() {
        for name in Cue::ALL {
            let samples = cue(name);
            let seconds = samples.len() as f32 / SAMPLE_RATE as f32;
            assert!((0.03..0.5).contains(&seconds), "{name:?} lasts {seconds} s");
            assert!((0.04..=CUE_PEAK + 1e-6).contains(&peak(&samples)), "{name:?}");
            assert!(samples[0].abs() < 1e-3 && samples[samples.len() - 1].abs() < 1e-3, "{name:?} would click");
            assert!(samples.iter().all(|s| s.is_finite()));
        }
    }

    #[test]
    fn cues_differ() {
        for (n, a) in Cue::ALL.iter().enumerate() {
            for b in &Cue::ALL[n + 1..] {
                assert_ne!(cue(*a), cue(*b), "{a:?} sounds like {b:?}");
            }
        }
    }

    #[test]
    fn a_heart_says_lub_dub_sixty_five_times_a_minute() {
        let samples = heartbeat();
        assert_eq!(samples.len(), 44_308);
        let loud = |from_s: f32, to_s: f32| peak(&samples[samples_in(from_s)..samples_in(to_s)]);
        let (lub, pause, dub, rest) = (loud(0.0, 0.15), loud(0.2, 0.3), loud(0.31, 0.42), loud(0.5, 0.92));
        assert!(lub > dub && dub > 0.1, "lub {lub}, dub {dub}");
        assert!(pause < 0.01 && rest == 0.0, "pause {pause}, rest {rest}");
    }
}
