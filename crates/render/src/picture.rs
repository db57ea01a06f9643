//! Takes pictures of the next frame drawn and writes them as PNG, beside the frame.

use std::fs::File;
use std::io::BufWriter;
use std::path::{Path, PathBuf};

use bevy::camera::RenderTarget;
use bevy::prelude::*;
use bevy::render::render_resource::TextureFormat;
use bevy::render::view::screenshot::{Screenshot, ScreenshotCaptured};
use bevy::tasks::{IoTaskPool, Task, futures::check_ready};
use thiserror::Error;
use walkthrough::picture::{PictureRequested, PictureTaken};
use walkthrough::walk::WalkRun;
use walkthrough::walk_report::WalkCounters;

use crate::view::{PictureFolder, ViewCamera};

/// Why a picture was not written.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum PictureError {
    /// The file cannot be made or written.
    #[error("picture cannot be written: {source}; check the folder's rights and space; file {file}")]
    Write {
        /// What the system said.
        source: std::io::Error,
        /// Name of the file.
        file: String,
    },
    /// The encoder refused.
    #[error("picture cannot be encoded: {source}; file {file}")]
    Encode {
        /// What the encoder said.
        source: png::EncodingError,
        /// Name of the file.
        file: String,
    },
    /// The display's pixels are of an unexpected kind.
    #[error("pictures need 8-bit RGBA or BGRA pixels; found {found}")]
    Format {
        /// Name of the format.
        found: String,
    },
}

/// Pictures asked for and not yet on disk. Wait until none is left before leaving the app.
#[derive(Resource, Debug, Default)]
pub struct PicturesInFlight {
    /// File names of the frames that are being captured, and the entities that capture them.
    captures: Vec<(Entity, Vec<PathBuf>)>,
    writing: Vec<(String, Task<Result<(), PictureError>>)>,
    numbered: u32,
}

impl PicturesInFlight {
    /// How many are not on disk yet.
    pub fn count(&self) -> usize {
        self.captures.iter().map(|(_, paths)| paths.len()).sum::<usize>() + self.writing.len()
    }
}

/// Takes pictures.
pub(crate) struct PicturesPlugin;

impl Plugin for PicturesPlugin {
    fn build(&self, app: &mut App) {
        app.init_resource::<PicturesInFlight>()
            .init_resource::<WalkCounters>()
            .add_message::<PictureRequested>()
            .add_message::<PictureTaken>()
            .add_observer(write_picture)
            .add_systems(First, report_written)
            .add_systems(Update, request_pictures.after(WalkRun));
    }
}

fn request_pictures(
    mut commands: Commands,
    mut requests: MessageReader<PictureRequested>,
    mut in_flight: ResMut<PicturesInFlight>,
    mut taken: MessageWriter<PictureTaken>,
    folder: Option<Res<PictureFolder>>,
    cameras: Query<(&RenderTarget, &Camera), With<ViewCamera>>,
) {
    let mut paths = Vec::new();
    for request in requests.read() {
        let stem = request.stem.clone().unwrap_or_else(|| {
            in_flight.numbered += 1;
            format!("picture-{:03}", in_flight.numbered)
        });
        let file = format!("{}.png", safe(&stem));
        match &folder {
            Some(folder) => paths.push(free_path(&folder.0, &file, request.stem.is_none())),
            None => {
                let problem = Some("there is no folder for pictures; start with --shots DIR".to_owned());
                taken.write(PictureTaken { file, problem });
            }
        }
    }
    if paths.is_empty() {
        return;
    }
    // The first eye stands for both.
    let target = cameras.iter().filter(|(_, camera)| camera.is_active).map(|(target, _)| target).next();
    match target {
        Some(target) => {
            let entity = commands.spawn(Screenshot(target.clone())).id();
            in_flight.captures.push((entity, paths));
        }
        None => {
            for path in paths {
                let problem = Some("no camera looks into the room yet".to_owned());
                taken.write(PictureTaken { file: file_name(&path), problem });
            }
        }
    }
}

/// Letters, digits, `-`, `_` and `.`; everything else could leave the folder.
fn safe(stem: &str) -> String {
    let clean = |c: char| if c.is_alphanumeric() || "-_.".contains(c) { c } else { '-' };
    let name: String = stem.chars().map(clean).collect();
    let name = name.trim_start_matches('.');
    if name.is_empty() { "picture".to_owned() } else { name.to_owned() }
}

/// A name that is not taken yet, if it was ours to choose.
fn free_path(folder: &Path, file: &str, may_rename: bool) -> PathBuf {
    let path = folder.join(file);
    if !may_rename || !path.exists() {
        return path;
    }
    let stem = file.trim_end_matches(".png");
    (2u32..).map(|n| folder.join(format!("{stem}-{n}.png"))).find(|p| !p.exists()).unwrap_or(path)
}

fn file_name(path: &Path) -> String {
    path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

fn write_picture(captured: On<ScreenshotCaptured>, mut in_flight: ResMut<PicturesInFlight>) {
    let Some(at) = in_flight.captures.iter().position(|(entity, _)| *entity == captured.entity) else { return };
    let (_, paths) = in_flight.captures.swap_remove(at);
    for path in paths {
        let image = captured.image.clone();
        let file = file_name(&path);
        let task = IoTaskPool::get().spawn(async move { write_png(&image, &path) });
        in_flight.writing.push((file, task));
    }
}

/// Writes an image of 8-bit pixels as an opaque PNG; the folder is made if it is missing.
fn write_png(image: &Image, path: &Path) -> Result<(), PictureError> {
    let file = file_name(path);
    let is_swapped = match image.texture_descriptor.format {
        TextureFormat::Rgba8UnormSrgb | TextureFormat::Rgba8Unorm => false,
        TextureFormat::Bgra8UnormSrgb | TextureFormat::Bgra8Unorm => true,
        other => return Err(PictureError::Format { found: format!("{other:?}") }),
    };
    let pixels = image.data.as_deref().unwrap_or_default();
    let mut rgb = Vec::with_capacity(pixels.len() / 4 * 3);
    for pixel in pixels.chunks_exact(4) {
        let [a, g, b] = [pixel[0], pixel[1], pixel[2]];
        rgb.extend(if is_swapped { [b, g, a] } else { [a, g, b] });
    }
    let io_error = |source| PictureError::Write { source, file: file.clone() };
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(io_error)?;
    }
    let out = BufWriter::new(File::create(path).map_err(io_error)?);
    let png_error = |source| PictureError::Encode { source, file: file.clone() };
    let mut encoder = png::Encoder::new(out, image.width(), image.height());
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Eight);
    encoder.set_source_srgb(png::SrgbRenderingIntent::Perceptual);
    let mut writer = encoder.write_header().map_err(png_error)?;
    writer.write_image_data(&rgb).map_err(png_error)?;
    writer.finish().map_err(png_error)
}

fn report_written(
    mut in_flight: ResMut<PicturesInFlight>,
    mut taken: MessageWriter<PictureTaken>,
    mut counters: ResMut<WalkCounters>,
) {
    let mut still = Vec::new();
    for (file, mut task) in std::mem::take(&mut in_flight.bypass_change_detection().writing) {
        match check_ready(&mut task) {
            None => still.push((file, task)),
            Some(result) => {
                let problem = result.err().map(|error| error.to_string());
                match &problem {
                    None => counters.shots.push(file.clone()),
                    Some(problem) => counters.warnings.push(problem.clone()),
                }
                taken.write(PictureTaken { file, problem });
            }
        }
    }
    in_flight.bypass_change_detection().writing = still;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_cannot_leave_the_folder() {
        assert_eq!(safe("../../etc/passwd"), "-..-etc-passwd");
        assert_eq!(safe("liver cut 2"), "liver-cut-2");
        assert_eq!(safe("..."), "picture");
    }

    #[test]
    fn chosen_names_are_never_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("picture-001.png"), b"").unwrap();
        assert_eq!(free_path(folder.path(), "picture-001.png", true), folder.path().join("picture-001-2.png"));
        assert_eq!(free_path(folder.path(), "picture-001.png", false), folder.path().join("picture-001.png"));
    }
}
