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
        app.add_message::<Input>();
        add_request_messages(app);
        app.add_systems(Walk, hand_out_inputs.in_set(WalkSystems::Input));
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

        /// Sends requests on to their plugins without recording them: for what follows from an input.
        #[derive(SystemParam)]
        pub struct RequestWriter<'w> {
            $($writer: MessageWriter<'w, $message>,)*
        }

        impl RequestWriter<'_> {
            /// Sends one on.
            pub fn write(&mut self, request: impl Into<Request>) {
                match request.into() {
                    $(Request::$variant(message) => { self.$writer.write(message); })*
                }
            }
        }

        /// Registers the messages [`RequestWriter`] needs.
        pub fn add_request_messages(app: &mut App) {
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
