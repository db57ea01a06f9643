//! Draws the walk: surfaces, cut faces, planes, the room, panels; and takes pictures of it.
//!
//! `walkthrough` holds all state; this crate only shows it. The app opens a [`Gpu`], adds [`base_plugins`] and
//! [`RenderPlugins`] for its [`Display`], and inserts the [`Imagery`] of a case. Everything works for any camera with a
//! [`ViewCamera`], so a headset's eyes need nothing special.

mod anatomy_material;
mod canvas;
mod clip_cap;
mod counts;
mod desktop_input;
mod font;
mod gpu;
mod hands;
mod hud;
mod letters;
mod lod;
mod marks;
mod meshes;
mod offscreen;
mod orientation;
mod palette;
mod panel;
mod picture;
mod pipeline;
mod plates;
mod plugin;
mod room;
mod scan_texture;
mod shade;
mod shaders;
mod slice_planes;
mod span;
mod stage;
mod tier;
mod trust;
mod view;

pub use anatomy_material::AnatomyMaterial;
pub use gpu::{Gpu, GpuError, check_display};
pub use lod::LodChoice;
pub use meshes::{Imagery, LodGeometry, SegmentGeometry};
pub use panel::PanelQuad;
pub use picture::{PictureError, PicturesInFlight};
pub use plugin::{Display, ProgramStart, RenderPlugins, base_plugins};
pub use scan_texture::{ScanTextures, TextureLimits};
pub use stage::RenderWalkSystems;
pub use tier::{RenderTier, TierError};
pub use trust::{TrustField, VertexTrust};
pub use view::{DesktopCamera, FigureHost, NEAR_M, PictureFolder, ViewCamera, open_window};
