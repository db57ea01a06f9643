//! An app that draws a body of balls into pictures, and looks at their pixels.

use std::sync::Arc;
use std::time::Instant;

use bevy::prelude::*;
use glam::DVec3;
use render::{Display, Gpu, PictureFolder, ProgramStart, RenderPlugins, RenderTier, base_plugins};
use space::{Lps, Point};
use walkthrough::WalkthroughPlugins;
use walkthrough::input::{Input, Request};
use walkthrough::locomotion::LocomotionRequested;
use walkthrough::picture::{PictureRequested, PictureTaken};
use walkthrough::stage::{BodyPose, StageRequested};

use crate::ball_body;

/// Size of the test's pictures.
pub(crate) const SIZE: [u32; 2] = [480, 360];
/// Vertical field of view of the desktop camera.
const FIELD_OF_VIEW_DEGREES: f64 = 55.0;

/// A walk through the ball body, drawn offscreen.
pub(crate) struct Stage {
    pub(crate) app: App,
    folder: tempfile::TempDir,
    taken: usize,
}

impl Stage {
    /// None, with a message, on a machine without a graphics device.
    pub(crate) fn open() -> Option<Self> {
        let gpu = match Gpu::open() {
            Ok(gpu) => gpu,
            Err(error) => {
                eprintln!("skipped: {error}");
                return None;
            }
        };
        let folder = tempfile::tempdir().expect("a folder for pictures");
        let display = Display::Offscreen { width: SIZE[0], height: SIZE[1] };
        let mut app = App::new();
        app.insert_resource(ProgramStart(Instant::now()));
        app.add_plugins(base_plugins(display, gpu.render_creation()).disable::<bevy::log::LogPlugin>());
        app.add_plugins(WalkthroughPlugins);
        app.add_plugins(RenderPlugins { display, tier: RenderTier::pc() });
        app.insert_resource(PictureFolder(folder.path().to_owned()));
        let (contents, imagery) = ball_body::contents();
        app.world_mut().write_message(StageRequested(Arc::new(contents)));
        app.insert_resource(imagery);
        app.finish();
        app.cleanup();
        let mut stage = Self { app, folder, taken: 0 };
        stage.update(3);
        Some(stage)
    }

    pub(crate) fn update(&mut self, frames: usize) {
        for _ in 0..frames {
            self.app.update();
        }
    }

    pub(crate) fn send(&mut self, request: impl Into<Request>) {
        self.app.world_mut().write_message(Input(request.into()));
        self.update(1);
    }

    /// Looks from one point of the patient at another.
    pub(crate) fn look(&mut self, from: [f64; 3], at: [f64; 3]) -> Eye {
        let map = self.app.world().resource::<BodyPose>().scene_from_lps();
        let [eye, look_at] = [from, at].map(|p| map * Point::from_array(p));
        self.send(LocomotionRequested::Place { eye, look_at });
        self.update(2);
        Eye { at: eye.get(), towards: look_at.get(), scene_from_lps: map }
    }

    pub(crate) fn picture(&mut self) -> Picture {
        self.taken += 1;
        let stem = format!("picture-{}", self.taken);
        let mut cursor = self.app.world().resource::<Messages<PictureTaken>>().get_cursor_current();
        self.send(PictureRequested { stem: Some(stem) });
        for _ in 0..200 {
            self.update(1);
            let messages = self.app.world().resource::<Messages<PictureTaken>>();
            let taken = cursor.read(messages).next().cloned();
            if let Some(taken) = taken {
                assert_eq!(taken.problem, None);
                return Picture::read(&self.folder.path().join(taken.file));
            }
        }
        panic!("no picture after 200 frames");
    }
}

/// Where the camera is.
pub(crate) struct Eye {
    at: DVec3,
    towards: DVec3,
    scene_from_lps: space::Affine<space::Scene, Lps>,
}

impl Eye {
    /// The pixel of a point of the patient.
    pub(crate) fn pixel(&self, point: [f64; 3]) -> [u32; 2] {
        let there = (self.scene_from_lps * Point::from_array(point)).get() - self.at;
        let ahead = (self.towards - self.at).normalize();
        let right = ahead.cross(DVec3::Y).normalize();
        let up = right.cross(ahead);
        let focus = f64::from(SIZE[1]) / 2.0 / (FIELD_OF_VIEW_DEGREES.to_radians() / 2.0).tan();
        let x = f64::from(SIZE[0]) / 2.0 + there.dot(right) / there.dot(ahead) * focus;
        let y = f64::from(SIZE[1]) / 2.0 - there.dot(up) / there.dot(ahead) * focus;
        [x.floor() as u32, y.floor() as u32]
    }
}

/// Pixels of a picture.
pub(crate) struct Picture {
    pixels: Vec<u8>,
    width: u32,
}

impl Picture {
    fn read(path: &std::path::Path) -> Self {
        if let Some(keep) = std::env::var_os("VESTIBULE_KEEP_PICTURES") {
            let name = path.file_name().expect("a name");
            let thread = std::thread::current().name().unwrap_or("test").to_owned();
            let to = std::path::Path::new(&keep).join(format!("{thread}-{}", name.to_string_lossy()));
            std::fs::copy(path, to).expect("a copy");
        }
        let file = std::io::BufReader::new(std::fs::File::open(path).expect("the picture"));
        let mut reader = png::Decoder::new(file).read_info().expect("a PNG");
        let mut pixels = vec![0; reader.output_buffer_size().expect("a size")];
        let info = reader.next_frame(&mut pixels).expect("pixels");
        assert_eq!([info.width, info.height], SIZE);
        assert_eq!(info.color_type, png::ColorType::Rgb);
        Self { pixels, width: info.width }
    }

    pub(crate) fn at(&self, [x, y]: [u32; 2]) -> [u8; 3] {
        let start = ((y * self.width + x) * 3) as usize;
        [self.pixels[start], self.pixels[start + 1], self.pixels[start + 2]]
    }

    pub(crate) fn mean(&self) -> f64 {
        self.pixels.iter().map(|&value| f64::from(value)).sum::<f64>() / self.pixels.len() as f64
    }
}
