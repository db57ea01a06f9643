//! Colours of panels and labels; sRGB. Contrast of text on its ground is at least 7 : 1 (WCAG 2.2, 1.4.6).

use bevy::color::Color;

/// Ground of panels.
pub(crate) const GROUND: Color = Color::srgb(0.075, 0.090, 0.110);
/// Ground of a panel's title.
pub(crate) const TITLE: Color = Color::srgb(0.045, 0.055, 0.070);
/// Ground of labels over the picture.
pub(crate) const LABEL: Color = Color::srgba(0.03, 0.04, 0.05, 0.72);
/// Ground of controls.
pub(crate) const CONTROL: Color = Color::srgb(0.145, 0.170, 0.200);
/// Ground of controls under the pointer.
pub(crate) const HOVERED: Color = Color::srgb(0.215, 0.255, 0.300);
/// Ground of controls held down.
pub(crate) const PRESSED: Color = Color::srgb(0.30, 0.36, 0.42);
/// Ground of controls that are on; their text is dark.
pub(crate) const ON: Color = Color::srgb(0.44, 0.74, 0.86);
/// Text.
pub(crate) const TEXT: Color = Color::srgb(0.93, 0.95, 0.96);
/// Text on controls that are on.
pub(crate) const DARK_TEXT: Color = Color::srgb(0.03, 0.05, 0.07);
/// Less important text.
pub(crate) const FAINT: Color = Color::srgb(0.70, 0.75, 0.79);
/// Text and parts that can do nothing now.
pub(crate) const DISABLED: Color = Color::srgb(0.44, 0.48, 0.52);
/// Text to be heeded.
pub(crate) const WARNING: Color = Color::srgb(1.0, 0.80, 0.36);
/// Lines between groups.
pub(crate) const LINE: Color = Color::srgb(0.22, 0.26, 0.30);
