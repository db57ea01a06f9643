//! Keys, buttons and sticks, and what they do, as data: `xr-config/desktop.ron`.
//!
//! The app's input system reads devices by the names in the table and calls [`requests`]; the help panel prints the same
//! table. A headset adds its own rows, so that help always tells what holds.

use bevy_ecs::prelude::*;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::input::Request;

/// What a control does, whatever the device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Action {
    /// Walk ahead while held.
    MoveForward,
    /// Walk back while held.
    MoveBack,
    /// Step left while held.
    MoveLeft,
    /// Step right while held.
    MoveRight,
    /// Rise while held.
    MoveUp,
    /// Sink while held.
    MoveDown,
    /// Faster while held.
    Run,
    /// Turn with a mouse or stick; positive to the right.
    LookRight,
    /// Look up or down with a mouse or stick; positive up.
    LookUp,
    /// Teleport to where the pointer meets the floor.
    Teleport,
    /// Turn left by a step.
    SnapLeft,
    /// Turn right by a step.
    SnapRight,
    /// Choose what is pointed at.
    Select,
    /// Hide what is pointed at.
    HidePointed,
    /// Show only what is pointed at.
    SoloPointed,
    /// Make what is pointed at glassy, or solid again.
    FadePointed,
    /// Show everything again.
    ShowAll,
    /// Take off the outermost layer.
    Peel,
    /// Put back the last layer.
    Unpeel,
    /// Cut on and off.
    ToggleClip,
    /// Cut away the other side.
    FlipClip,
    /// Cut 5 mm less.
    ClipForward,
    /// Cut 5 mm more.
    ClipBack,
    /// Next of axial, coronal, sagittal for the cut.
    AlignClip,
    /// Axial plane on and off.
    ToggleAxial,
    /// Coronal plane on and off.
    ToggleCoronal,
    /// Sagittal plane on and off.
    ToggleSagittal,
    /// Planes one slice further.
    NextSlice,
    /// Planes one slice back.
    PreviousSlice,
    /// Next window preset.
    NextWindow,
    /// Measure or select.
    ToggleMeasure,
    /// Larger.
    Magnify,
    /// Smaller.
    Shrink,
    /// Hold the world, with the other hand too, or a structure.
    Grab,
    /// Take a picture.
    Picture,
    /// Show where the picture's knowledge comes from.
    NextOverlay,
    /// Undo.
    Undo,
    /// Redo.
    Redo,
    /// Everything as at the start.
    Reset,
    /// Panel of structures.
    Structures,
    /// Panel of planes, window, cut and size.
    View,
    /// Panel of measurements.
    Measurements,
    /// Panel of keys and buttons.
    Help,
    /// Close panels; with none open, let the mouse go.
    Back,
    /// End the walk.
    Leave,
}

/// Where a control is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Source {
    /// A key by the name of its place, as in Bevy's `KeyCode`: `KeyW`, `F1`, `ArrowUp`.
    Key(String),
    /// A key while Ctrl is held.
    CtrlKey(String),
    /// A key while Shift is held.
    ShiftKey(String),
    /// A mouse button, as in Bevy's `MouseButton`: `Left`, `Right`, `Middle`.
    MouseButton(String),
    /// Mouse motion to the right (`X`) or up (`Y`), in counts.
    MouseMotion(String),
    /// A notch of the wheel, away from the user (`Up`) or towards (`Down`).
    MouseWheel(String),
    /// A gamepad button, as in Bevy's `GamepadButton`: `South`, `LeftTrigger`.
    GamepadButton(String),
    /// A gamepad axis and the sign of its half, as in Bevy's `GamepadAxis`: `("LeftStickX", 1)`.
    GamepadAxis(String, i8),
    /// A control of a headset, in words; the headset's own table reads it.
    Controller(String),
}

/// One row of the table.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Binding {
    /// The control.
    pub on: Source,
    /// What it does.
    pub does: Action,
    /// Multiplies axes: radians a mouse count, radians a second of a full stick.
    #[serde(default = "one")]
    pub scale: f32,
}

fn one() -> f32 {
    1.0
}

/// All bindings in force; the help panel prints them.
#[derive(Resource, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Bindings(pub Vec<Binding>);

/// A table of bindings cannot be used.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum BindingsError {
    /// Not the text of a table.
    #[error("bindings cannot be read: {reason}; compare xr-config/desktop.ron; file {file}")]
    Syntax {
        /// Line, column and what was expected.
        reason: String,
        /// Its name.
        file: String,
    },
    /// A control does two things.
    #[error("{control:?} is bound to both {first:?} and {second:?}; remove one; file {file}")]
    Twice {
        /// The control.
        control: Box<Source>,
        /// In the table first.
        first: Action,
        /// In the table later.
        second: Action,
        /// Its name.
        file: String,
    },
    /// Nothing is bound to an action nobody can do without.
    #[error("nothing is bound to {action:?}; add a row; file {file}")]
    Missing {
        /// The action.
        action: Action,
        /// Its name.
        file: String,
    },
}

/// What the devices say this frame, in terms of actions.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ActionFrame {
    /// Actions held, with how far: 1 for a key, 0 to 1 for a stick, times [`Binding::scale`].
    pub held: Vec<(Action, f32)>,
    /// Actions whose control went down this frame.
    pub pressed: Vec<Action>,
    /// Seconds of the frame.
    pub seconds: f32,
}

/// The requests of a frame; the app wraps them in [`Input`](crate::input::Input).
pub fn requests(_frame: &ActionFrame) -> Vec<Request> {
    Vec::new()
}
