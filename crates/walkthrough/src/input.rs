//! The one door into a walk: everything a device, the app, a tour or a replay wants is an [`Input`].
//!
//! Inputs are recorded; what follows from them is not, because it follows again.

use bevy_app::{App, Plugin};
use bevy_ecs::prelude::*;
use bevy_ecs::system::SystemParam;
use serde::{Deserialize, Serialize};

use crate::clip::ClipRequested;
use crate::command::{HistoryRequested, ResetRequested};
use crate::grab::GrabRequested;
use crate::hands::PosesMoved;
use crate::honesty::OverlayRequested;
use crate::locomotion::LocomotionRequested;
use crate::measure::MeasureRequested;
use crate::panel::{PanelKey, PanelPointer, PanelRequested};
use crate::picture::PictureRequested;
use crate::planes::PlanesRequested;
use crate::pointer::PointerRequested;
use crate::session::WalkEndRequested;
use crate::visibility::VisibilityRequested;
use crate::walk::{Walk, WalkSystems, ensure_walk};
use crate::window_level::WindowRequested;

/// Hands inputs to the plugins they are meant for.
#[derive(Default)]
pub struct InputPlugin;

impl Plugin for InputPlugin {
    fn build(&self, app: &mut App) {
        ensure_walk(app);
        app.add_message::<Input>().add_message::<FollowUp>();
        add_request_messages(app);
        app.add_systems(
            Walk,
            (hand_out_inputs.in_set(WalkSystems::Input), hand_out_follow_ups.in_set(WalkSystems::HandOut)),
        );
    }
}

macro_rules! requests {
    ($($(#[$doc:meta])* $variant:ident($message:ty) in $writer:ident,)*) => {
        /// Any wish, as it is sent, recorded, bound to a key, or put on a button.
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
        pub enum Request {
            $($(#[$doc])* $variant($message),)*
        }

        $(impl From<$message> for Request {
            fn from(message: $message) -> Self {
                Self::$variant(message)
            }
        })*

        /// Sends requests on to their plugins.
        #[derive(SystemParam)]
        struct RequestWriter<'w> {
            $($writer: MessageWriter<'w, $message>,)*
        }

        impl RequestWriter<'_> {
            /// Sends one on.
            fn write(&mut self, request: Request) {
                match request {
                    $(Request::$variant(message) => { self.$writer.write(message); })*
                }
            }
        }

        /// Registers the messages of all requests.
        fn add_request_messages(app: &mut App) {
            $(app.add_message::<$message>();)*
        }
    };
}

requests! {
    /// See more or less.
    Visibility(VisibilityRequested) in visibility,
    /// Cut.
    Clip(ClipRequested) in clip,
    /// Scan planes.
    Planes(PlanesRequested) in planes,
    /// Grey values.
    Window(WindowRequested) in window,
    /// Point and choose.
    Pointer(PointerRequested) in pointer,
    /// Measure.
    Measure(MeasureRequested) in measure,
    /// Move and magnify.
    Locomotion(LocomotionRequested) in locomotion,
    /// Head and hands moved.
    Poses(PosesMoved) in poses,
    /// Take hold.
    Grab(GrabRequested) in grab,
    /// Undo, redo.
    History(HistoryRequested) in history,
    /// Back to the start.
    Reset(ResetRequested) in reset,
    /// Open, close, scroll and search panels.
    Panel(PanelRequested) in panel,
    /// A pointer over a panel.
    PanelPointer(PanelPointer) in panel_pointer,
    /// A key typed into a panel.
    PanelKey(PanelKey) in panel_key,
    /// Where the picture's knowledge comes from.
    Overlay(OverlayRequested) in overlay,
    /// Take a picture.
    Picture(PictureRequested) in picture,
    /// End the walk.
    End(WalkEndRequested) in end,
}

/// A request from outside; recorded.
#[derive(Message, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Input(pub Request);

/// A request that follows from an input, such as a press on a panel; not recorded, as it follows again in a replay.
#[derive(Message, Clone, Debug, PartialEq)]
pub struct FollowUp(pub Request);

impl<T: Into<Request>> From<T> for Input {
    fn from(message: T) -> Self {
        Self(message.into())
    }
}

fn hand_out_inputs(mut inputs: MessageReader<Input>, mut requests: RequestWriter) {
    for Input(request) in inputs.read() {
        requests.write(request.clone());
    }
}

fn hand_out_follow_ups(mut follow_ups: MessageReader<FollowUp>, mut requests: RequestWriter) {
    for FollowUp(request) in follow_ups.read() {
        requests.write(request.clone());
    }
}

/// Adds [`InputPlugin`] unless it is there already; for plugins that write [`FollowUp`]s.
pub fn ensure_input(app: &mut App) {
    if !app.is_plugin_added::<InputPlugin>() {
        app.add_plugins(InputPlugin);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bevy_ecs::message::Messages;

    #[test]
    fn alone_it_hands_inputs_and_follow_ups_to_their_plugins() {
        let mut app = App::new();
        app.add_plugins(InputPlugin);
        app.world_mut().write_message(Input::from(ResetRequested));
        app.world_mut().write_message(FollowUp(HistoryRequested::Undo.into()));
        app.update();
        assert_eq!(app.world().resource::<Messages<ResetRequested>>().len(), 1);
        assert_eq!(app.world().resource::<Messages<HistoryRequested>>().len(), 1);
        assert_eq!(app.world().resource::<Messages<Input>>().len(), 1, "a follow-up is no input");
    }

    #[test]
    fn every_request_survives_being_written_and_read() {
        let all: Vec<Request> = vec![
            VisibilityRequested::Fade { target: crate::visibility::Target::Named("liver".to_owned()), opacity: 0.3 }
                .into(),
            ClipRequested::Rotate { by: glam::DQuat::from_rotation_x(0.1) }.into(),
            PlanesRequested::Through(space::Point::new(0.1, 0.2, 0.3)).into(),
            WindowRequested::Adjust { center: 0.1, width: -0.7 }.into(),
            LocomotionRequested::Teleport { target: space::Point::new(1.0 / 3.0, 0.0, 2.0) }.into(),
            PanelRequested::Search("left kidney".to_owned()).into(),
            PanelPointer { panel: crate::panel::PanelId::View, uv: Some([0.1, 0.7]), pressed: true }.into(),
            PictureRequested { stem: None }.into(),
        ];
        for request in all {
            let text = serde_json::to_string(&Input(request.clone())).unwrap();
            assert_eq!(serde_json::from_str::<Input>(&text).unwrap().0, request, "{text}");
        }
    }
}
