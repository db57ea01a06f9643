//! The walk as components and messages, without device or GPU.
//!
//! Devices, keys, tours and replays write [`Input`](input::Input); plugins turn them into state; `render` and `headset`
//! read the state. All systems run in one schedule, [`Walk`](walk::Walk). See this crate's README for the table of all types.
//! Not a medical device.

pub mod bindings;
#[cfg(test)]
mod budget;
pub mod clip;
pub mod comfort;
pub mod command;
pub mod cue;
pub mod frame;
pub mod grab;
pub mod hands;
pub mod honesty;
pub mod input;
pub mod locomotion;
pub mod measure;
pub mod panel;
pub mod picture;
pub mod planes;
pub mod pointer;
pub mod session;
pub mod stage;
#[cfg(test)]
mod test_support;
pub mod text;
pub mod tour;
pub mod visibility;
pub mod walk;
pub mod walk_report;
pub mod window_level;

use bevy_app::{PluginGroup, PluginGroupBuilder};

/// All plugins of this crate.
#[derive(Default)]
pub struct WalkthroughPlugins;

impl PluginGroup for WalkthroughPlugins {
    fn build(self) -> PluginGroupBuilder {
        PluginGroupBuilder::start::<Self>()
            .add(walk::WalkPlugin)
            .add(input::InputPlugin)
            .add(stage::StagePlugin)
            .add(visibility::VisibilityPlugin)
            .add(clip::ClipPlugin)
            .add(planes::PlanesPlugin)
            .add(window_level::WindowLevelPlugin)
            .add(hands::HandsPlugin)
            .add(locomotion::LocomotionPlugin)
            .add(grab::GrabPlugin)
            .add(pointer::PointerPlugin)
            .add(measure::MeasurePlugin)
            .add(honesty::HonestyPlugin)
            .add(picture::PicturePlugin)
            .add(command::CommandPlugin)
            .add(panel::PanelPlugin)
            .add(cue::CuePlugin)
            .add(tour::TourPlugin)
            .add(session::SessionPlugin)
            .add(walk_report::WalkReportPlugin)
    }
}
