//! The typeface of panels and labels, in place of Bevy's, which lacks every letter beyond ASCII.

use std::path::Path;

use bevy::prelude::*;
use bevy::text::{FontSize, FontWeight};

/// Noto Sans with Latin, Greek and Cyrillic, weights 400 to 600; licence beside it.
const EMBEDDED: &[u8] = include_bytes!("../../../assets/fonts/NotoSans.ttf");

/// Makes it the default; `$VESTIBULE_HOME/assets/fonts/NotoSans.ttf` overrides it.
pub(crate) fn insert_font(app: &mut App) {
    let from_home = std::env::var_os("VESTIBULE_HOME")
        .and_then(|home| std::fs::read(Path::new(&home).join("assets/fonts/NotoSans.ttf")).ok());
    let data = from_home.unwrap_or_else(|| EMBEDDED.to_vec());
    let mut fonts = app.world_mut().resource_mut::<Assets<Font>>();
    if let Err(error) = fonts.insert(AssetId::default(), Font::from_bytes(data)) {
        error!("the typeface is not in place: {error}");
    }
}

/// Text of a size in pixels; plain.
pub(crate) fn plain(size_px: f32) -> TextFont {
    TextFont { font_size: FontSize::Px(size_px), ..default() }
}

/// Text of a size in pixels; heavier.
pub(crate) fn heavy(size_px: f32) -> TextFont {
    TextFont { font_size: FontSize::Px(size_px), weight: FontWeight(600), ..default() }
}
