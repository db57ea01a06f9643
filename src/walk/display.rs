//! Which display a walk gets: headset, window or pictures.

use anyhow::{Result, bail};
use bevy::app::{PluginGroupBuilder, ScheduleRunnerPlugin};
use bevy::prelude::*;
use bevy::render::settings::RenderCreation;
use bevy::winit::WinitPlugin;
use headset::{EyeCamera, Headset};
use render::{Display, FigureHost, Gpu, ViewCamera, base_plugins};
use walkthrough::locomotion::HeadAnchor;
use walkthrough::walk_report::DisplayUsed;

use crate::{cli, data, output};

/// The display that answered, and the device that draws for it.
pub(crate) enum Shown {
    Headset(Option<Box<Headset>>),
    Window(Gpu),
    Offscreen(Gpu),
}

/// The display server's address, if one answers.
pub(crate) fn screen() -> Option<String> {
    render::check_display().ok()?;
    ["WAYLAND_DISPLAY", "DISPLAY"].iter().find_map(|name| {
        let value = std::env::var(name).ok().filter(|v| !v.is_empty())?;
        Some(format!("{name}={value}"))
    })
}

/// Headset, window, offscreen, in this order for `auto`; exactly the one asked for otherwise.
pub(crate) fn choose(wanted: cli::Display) -> Result<Shown> {
    match wanted {
        cli::Display::Headset => match open_headset() {
            Ok(headset) => Ok(headset),
            Err(error) => bail!("{error:#}; without a headset use --display window or offscreen"),
        },
        cli::Display::Window => {
            render::check_display()?;
            Ok(Shown::Window(Gpu::open()?))
        }
        cli::Display::Offscreen => Ok(Shown::Offscreen(Gpu::open()?)),
        cli::Display::Auto => {
            match open_headset() {
                Ok(headset) => return Ok(headset),
                Err(error) => output::note(&format!("no headset: {error:#}")),
            }
            let gpu = Gpu::open()?;
            match render::check_display() {
                Ok(()) => Ok(Shown::Window(gpu)),
                Err(error) => {
                    output::note(&format!("no window: {error}"));
                    Ok(Shown::Offscreen(gpu))
                }
            }
        }
    }
}

fn open_headset() -> Result<Shown> {
    let bindings = headset::Bindings::parse(&data::text("xr-config/bindings.ron")?)?;
    let headset = headset::open(&bindings)?;
    output::note(&format!("headset: {} on {} {}", headset.info.system, headset.info.runtime, headset.info.version));
    Ok(Shown::Headset(Some(Box::new(headset))))
}

impl Shown {
    pub(crate) fn display(&self) -> Display {
        match self {
            Self::Headset(_) => Display::Headset,
            Self::Window(_) => Display::Window,
            Self::Offscreen(_) => Display::OFFSCREEN,
        }
    }

    pub(crate) fn used(&self) -> DisplayUsed {
        match self {
            Self::Headset(_) => DisplayUsed::Headset,
            Self::Window(_) => DisplayUsed::Window,
            Self::Offscreen(_) => DisplayUsed::Offscreen,
        }
    }

    pub(crate) fn is_headset(&self) -> bool {
        matches!(self, Self::Headset(_))
    }

    pub(crate) fn is_offscreen(&self) -> bool {
        matches!(self, Self::Offscreen(_))
    }

    pub(crate) fn is_software(&self) -> bool {
        match self {
            Self::Headset(_) => false,
            Self::Window(gpu) | Self::Offscreen(gpu) => gpu.is_software,
        }
    }

    pub(crate) fn take_headset(&mut self) -> Option<Headset> {
        match self {
            Self::Headset(headset) => headset.take().map(|h| *h),
            Self::Window(_) | Self::Offscreen(_) => None,
        }
    }

    /// Bevy's plugins on the device that draws: the headset's own, where there is one.
    pub(crate) fn base_plugins(&self, headset_device: Option<RenderCreation>) -> PluginGroupBuilder {
        let device = match self {
            Self::Window(gpu) | Self::Offscreen(gpu) => gpu.render_creation(),
            Self::Headset(_) => headset_device.unwrap_or_default(),
        };
        let group = base_plugins(self.display(), device);
        if !self.is_headset() {
            group
        } else if screen().is_some() {
            // There is a window to end in should the runtime die.
            group.enable::<WinitPlugin>()
        } else {
            group.add(ScheduleRunnerPlugin::run_loop(std::time::Duration::ZERO))
        }
    }
}

/// Makes the headset's eyes views of the room.
pub(crate) struct EyesPlugin;

impl Plugin for EyesPlugin {
    fn build(&self, app: &mut App) {
        app.add_systems(Update, adopt_eyes);
    }
}

fn adopt_eyes(mut commands: Commands, eyes: Query<Entity, Added<EyeCamera>>, heads: Query<Entity, Added<HeadAnchor>>) {
    for eye in &eyes {
        commands.entity(eye).insert(ViewCamera);
    }
    for head in &heads {
        commands.entity(head).insert(FigureHost::HEADSET);
    }
}
