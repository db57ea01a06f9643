//! Asserts on frames: kira's own mock keeps them to itself, so this backend hands out the renderer.

use super::*;
use kira::backend::Renderer;

struct Frames {
    renderer: Option<Renderer>,
}

impl Backend for Frames {
    type Settings = ();
    type Error = ();

    fn setup((): (), _: usize) -> Result<(Self, u32), ()> {
        Ok((Self { renderer: None }, synth::SAMPLE_RATE))
    }

    fn start(&mut self, renderer: Renderer) -> Result<(), ()> {
        self.renderer = Some(renderer);
        Ok(())
    }
}

fn mixer() -> Mixer<Frames> {
    Mixer::new(()).unwrap()
}

/// What comes out in the next seconds, left and right.
fn render(mixer: &mut Mixer<Frames>, seconds: f32) -> Vec<[f32; 2]> {
    let renderer = mixer.manager.backend_mut().renderer.as_mut().unwrap();
    let mut out = Vec::new();
    for _ in 0..(seconds * synth::SAMPLE_RATE as f32 / 128.0).ceil() as usize {
        let mut buffer = [0.0f32; 256];
        renderer.on_start_processing();
        renderer.process(&mut buffer, 2);
        out.extend(buffer.chunks_exact(2).map(|f| [f[0], f[1]]));
    }
    out
}

fn energy(frames: &[[f32; 2]]) -> [f32; 2] {
    [0, 1].map(|side| frames.iter().map(|f| f[side] * f[side]).sum::<f32>())
}

fn heart_at(position: [f64; 3], orientation: Quat) -> [f32; 2] {
    let mut mixer = mixer();
    mixer.listener(Point::ZERO, orientation);
    mixer.heartbeat(Some(Point::from_array(position)));
    render(&mut mixer, 0.95);
    energy(&render(&mut mixer, 1.0))
}

#[test]
fn nothing_is_heard_until_something_happens() {
    assert_eq!(energy(&render(&mut mixer(), 0.2)), [0.0, 0.0]);
}

#[test]
fn every_cue_is_heard_on_both_sides_and_ends() {
    for cue in Cue::ALL {
        let mut mixer = mixer();
        mixer.play(cue);
        let [left, right] = energy(&render(&mut mixer, 0.6));
        assert!(left > 0.01 && (left - right).abs() < left * 1e-3, "{cue:?}: {left} {right}");
        assert_eq!(energy(&render(&mut mixer, 0.1)), [0.0, 0.0], "{cue:?} goes on");
    }
}

#[test]
fn the_heart_is_heard_from_where_it_is() {
    let from_left = heart_at([-0.6, 0.0, 0.0], Quat::IDENTITY);
    let from_right = heart_at([0.6, 0.0, 0.0], Quat::IDENTITY);
    let ahead = heart_at([0.0, 0.0, -0.6], Quat::IDENTITY);
    assert!(from_left[0] > from_left[1] * 3.0, "{from_left:?}");
    assert!(from_right[1] > from_right[0] * 3.0, "{from_right:?}");
    assert!((ahead[0] / ahead[1] - 1.0).abs() < 0.05, "{ahead:?}");
    // Looking to −X, what lies at −Z is on the right hand.
    let turned = heart_at([0.0, 0.0, -0.6], Quat::from_rotation_y(std::f32::consts::FRAC_PI_2));
    assert!(turned[1] > turned[0] * 3.0, "{turned:?}");
}

#[test]
fn the_heart_fades_with_distance_into_silence() {
    let at = |metres: f64| heart_at([0.0, 0.0, -metres], Quat::IDENTITY).iter().sum::<f32>();
    let (near, far, away) = (at(0.3), at(1.5), at(3.6));
    assert!(near > far * 10.0, "near {near}, far {far}");
    assert!(far > 0.0 && away < 1e-9, "far {far}, away {away}");
}

#[test]
fn the_heart_moves_and_stops() {
    let mut mixer = mixer();
    mixer.heartbeat(Some(Point::new(-0.5, 0.0, 0.0)));
    render(&mut mixer, 1.0);
    mixer.heartbeat(Some(Point::new(0.5, 0.0, 0.0)));
    render(&mut mixer, 0.1);
    let [left, right] = energy(&render(&mut mixer, 1.0));
    assert!(right > left * 3.0, "moved to the right: {left} {right}");
    mixer.heartbeat(None);
    render(&mut mixer, 0.5);
    assert_eq!(energy(&render(&mut mixer, 1.0)), [0.0, 0.0]);
    for _ in 0..20 {
        mixer.heartbeat(Some(Point::ZERO));
        render(&mut mixer, 0.05);
        mixer.heartbeat(None);
        render(&mut mixer, 0.4);
    }
    mixer.heartbeat(Some(Point::ZERO));
    assert!(energy(&render(&mut mixer, 1.0))[0] > 0.01, "it beats again, however often it stopped");
}

#[test]
fn nothing_clips_however_much_is_played() {
    let mut mixer = mixer();
    mixer.heartbeat(Some(Point::ZERO));
    render(&mut mixer, 0.9);
    let mut loudest = 0.0f32;
    for n in 0..60 {
        mixer.play(Cue::ALL[n % Cue::ALL.len()]);
        mixer.play(Cue::Error);
        for frame in render(&mut mixer, 0.02) {
            loudest = loudest.max(frame[0].abs()).max(frame[1].abs());
        }
    }
    assert!((0.2..0.95).contains(&loudest), "{loudest}");
}
