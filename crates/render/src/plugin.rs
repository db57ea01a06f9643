//! The recipe for an app on each of the three displays.

use std::time::{Duration, Instant};

use bevy::app::{PluginGroupBuilder, ScheduleRunnerPlugin};
use bevy::gilrs::GilrsPlugin;
use bevy::log::{Level, LogPlugin};
use bevy::pbr::PbrPlugin;
use bevy::prelude::*;
use bevy::render::RenderPlugin;
use bevy::render::pipelined_rendering::PipelinedRenderingPlugin;
use bevy::render::settings::RenderCreation;
use bevy::window::{ExitCondition, PresentMode, WindowResolution};
use bevy::winit::WinitPlugin;

use crate::tier::RenderTier;

/// Where the walk is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Display {
    /// A window on a screen, with mouse, keyboard and gamepad.
    Window,
    /// Pictures only; needs no display server.
    Offscreen {
        /// In pixels.
        width: u32,
        /// In pixels.
        height: u32,
    },
    /// Cameras come from `headset`, which also drives the frame loop.
    Headset,
}

/// [`Display`] without its numbers, for run conditions.
#[derive(Resource, Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DisplayKind {
    Window,
    Offscreen,
    Headset,
}

impl Display {
    /// The size `walk --display offscreen` uses.
    pub const OFFSCREEN: Self = Self::Offscreen { width: 960, height: 540 };

    pub(crate) fn kind(self) -> DisplayKind {
        match self {
            Self::Window => DisplayKind::Window,
            Self::Offscreen { .. } => DisplayKind::Offscreen,
            Self::Headset => DisplayKind::Headset,
        }
    }
}

/// When the program started, for the time to the first image. Insert it first; else it is when [`RenderPlugins`] are
/// built.
#[derive(Resource, Clone, Copy, Debug)]
pub struct ProgramStart(pub Instant);

/// Bevy's own plugins for a display, with the graphics device that is already open: `Gpu::render_creation` or the
/// headset's.
pub fn base_plugins(display: Display, device: RenderCreation) -> PluginGroupBuilder {
    let windows = WindowPlugin {
        primary_window: (display == Display::Window).then(window),
        // `ViewPlugin` leaves with the window, also with one that took a headset's place.
        exit_condition: ExitCondition::DontExit,
        ..default()
    };
    let log = LogPlugin {
        level: Level::WARN,
        filter: "wgpu=error,naga=error,bevy_render::renderer=error,calloop=error".to_owned(),
        ..default()
    };
    let group = DefaultPlugins
        .set(RenderPlugin { render_creation: device, synchronous_pipeline_compilation: true, ..default() })
        .set(PbrPlugin { prepass_enabled: false, add_default_deferred_lighting_plugin: false, ..default() })
        .set(windows)
        .set(log)
        // Pictures and counts belong to the frame that asked for them.
        .disable::<PipelinedRenderingPlugin>();
    match display {
        Display::Window => group,
        Display::Offscreen { .. } => {
            group.disable::<WinitPlugin>().disable::<GilrsPlugin>().add(ScheduleRunnerPlugin::run_loop(Duration::ZERO))
        }
        Display::Headset => group.disable::<WinitPlugin>(),
    }
}

/// The window of a walk.
pub(crate) fn window() -> Window {
    Window {
        title: "Vestibule – not a medical device".to_owned(),
        name: Some("vestibule".to_owned()),
        resolution: WindowResolution::new(1280, 720),
        present_mode: PresentMode::AutoVsync,
        ..default()
    }
}

/// Everything this crate draws; add it after [`base_plugins`] and the plugins of `walkthrough`.
#[derive(Clone, Debug)]
pub struct RenderPlugins {
    /// Where to.
    pub display: Display,
    /// What a frame may cost.
    pub tier: RenderTier,
}

impl Plugin for RenderPlugins {
    fn build(&self, app: &mut App) {
        app.insert_resource(self.display.kind()).insert_resource(self.tier.clone());
        app.world_mut().get_resource_or_insert_with(|| ProgramStart(Instant::now()));
        if let Display::Offscreen { width, height } = self.display {
            crate::offscreen::insert_target(app, width, height);
        }
        crate::shaders::insert_shaders(app);
        crate::font::insert_font(app);
        app.add_plugins((
            MaterialPlugin::<crate::anatomy_material::AnatomyMaterial>::default(),
            MaterialPlugin::<crate::anatomy_material::MarkMaterial>::default(),
            MaterialPlugin::<crate::slice_planes::SliceMaterial>::default(),
            MaterialPlugin::<crate::room::RoomMaterial>::default(),
            MaterialPlugin::<crate::canvas::CanvasMaterial>::default(),
            MaterialPlugin::<crate::shade::ShadeMaterial>::default(),
        ));
        app.add_plugins((
            crate::stage::StagePlugin,
            crate::view::ViewPlugin,
            crate::meshes::MeshesPlugin,
            crate::lod::LodPlugin,
            crate::slice_planes::SlicePlanesPlugin,
            crate::clip_cap::ClipCapPlugin,
            crate::room::RoomPlugin,
            crate::picture::PicturesPlugin,
            crate::orientation::OrientationPlugin,
            crate::marks::MarksPlugin,
            crate::counts::CountsPlugin,
            crate::hud::HudPlugin,
            crate::panel::PanelsPlugin,
            crate::desktop_input::DesktopInputPlugin,
        ));
        app.add_plugins((crate::hands::HandsPlugin, crate::plates::PlatesPlugin, crate::shade::ShadePlugin));
    }
}
