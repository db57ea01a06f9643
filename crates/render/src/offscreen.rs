//! Drawing without a display: the camera's target is an image.

use bevy::camera::RenderTarget;
use bevy::prelude::*;
use bevy::render::render_resource::{TextureFormat, TextureUsages};

use crate::view::PictureTarget;

/// Makes the image that the desktop camera draws to.
pub(crate) fn insert_target(app: &mut App, width: u32, height: u32) {
    let mut image = Image::new_target_texture(width, height, TextureFormat::Rgba8UnormSrgb, None);
    image.texture_descriptor.usage |= TextureUsages::COPY_SRC;
    let handle = app.world_mut().resource_mut::<Assets<Image>>().add(image);
    app.insert_resource(PictureTarget(RenderTarget::Image(handle.into())));
}
