//! Keys, buttons and sticks, and what they do, as data: `xr-config/desktop.ron`.
//!
//! The app's input system reads devices by the names in the table and calls [`requests`]; the help panel prints the same
//! table. A headset adds its own rows, so that help always tells what holds.

use bevy_ecs::prelude::*;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::clip::ClipRequested;
use crate::command::{HistoryRequested, ResetRequested};
use crate::honesty::OverlayRequested;
use crate::input::Request;
use crate::locomotion::{LocomotionRequested, Side};
use crate::measure::MeasureRequested;
use crate::panel::{PanelId, PanelRequested};
use crate::picture::PictureRequested;
use crate::planes::{PlaneKind, PlanesRequested};
use crate::pointer::{PointerId, PointerRequested};
use crate::session::{EndReason, WalkEndRequested};
use crate::visibility::{Target, VisibilityRequested};
use crate::window_level::WindowRequested;

macro_rules! actions {
    (@request) => { None };
    (@request $request:expr) => { Some(Request::from($request)) };
    ($($(#[$doc:meta])* $variant:ident = $words:literal $(=> $request:expr)?,)*) => {
        /// What a control does, whatever the device.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum Action {
            $($(#[$doc])* $variant,)*
        }

        impl Action {
            /// All actions, in the order of their table.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// What it does, in words for the help panel.
            pub const fn words(self) -> &'static str {
                match self {
                    $(Self::$variant => $words,)*
                }
            }

            /// What a press of its control asks for, if that does not depend on the device.
            pub fn request(self) -> Option<Request> {
                match self {
                    $(Self::$variant => actions!(@request $($request)?),)*
                }
            }
        }
    };
}

// Each with its words in the help panel, and what a press asks for unless it is held or the device knows better.
actions! {
    /// Walk ahead while held.
    MoveForward = "Walk ahead",
    /// Walk back while held.
    MoveBack = "Walk back",
    /// Step left while held.
    MoveLeft = "Step left",
    /// Step right while held.
    MoveRight = "Step right",
    /// Rise while held.
    MoveUp = "Rise",
    /// Sink while held.
    MoveDown = "Sink",
    /// Faster while held.
    Run = "Faster",
    /// Turn with a mouse or stick; positive to the right.
    LookRight = "Look left and right",
    /// Look up or down with a mouse or stick; positive up.
    LookUp = "Look up and down",
    /// Teleport to where the pointer meets the floor.
    Teleport = "Jump to where you point",
    /// Turn left by a step.
    SnapLeft = "Turn left a step" => LocomotionRequested::SnapTurn(Side::Left),
    /// Turn right by a step.
    SnapRight = "Turn right a step" => LocomotionRequested::SnapTurn(Side::Right),
    /// Choose what is pointed at.
    Select = "Choose what you point at" => PointerRequested::Press(PointerId::Crosshair),
    /// Hide what is pointed at.
    HidePointed = "Hide what you point at" => VisibilityRequested::Hide(Target::Pointed),
    /// Show only what is pointed at.
    SoloPointed = "Show only what you point at" => VisibilityRequested::Solo(Target::Pointed),
    /// Make what is pointed at glassy, or solid again.
    FadePointed = "Make it glassy, or solid again" => VisibilityRequested::ToggleGlass(Target::Pointed),
    /// Show everything again.
    ShowAll = "Show everything" => VisibilityRequested::ShowAll,
    /// Take off the outermost layer.
    Peel = "Take off a layer" => VisibilityRequested::Peel,
    /// Put back the last layer.
    Unpeel = "Put the layer back" => VisibilityRequested::Unpeel,
    /// Cut on and off.
    ToggleClip = "Cut the body open, or close it" => ClipRequested::Toggle,
    /// Cut away the other side.
    FlipClip = "Cut away the other side" => ClipRequested::Flip,
    /// Cut 5 mm less.
    ClipForward = "Cut away less" => ClipRequested::Move { millimetres: CLIP_STEP_MM },
    /// Cut 5 mm more.
    ClipBack = "Cut away more" => ClipRequested::Move { millimetres: -CLIP_STEP_MM },
    /// Next of axial, coronal, sagittal for the cut.
    AlignClip = "Cut from the next direction" => ClipRequested::AlignNext,
    /// Axial plane on and off.
    ToggleAxial = "Axial scan plane" => PlanesRequested::Toggle(PlaneKind::Axial),
    /// Coronal plane on and off.
    ToggleCoronal = "Coronal scan plane" => PlanesRequested::Toggle(PlaneKind::Coronal),
    /// Sagittal plane on and off.
    ToggleSagittal = "Sagittal scan plane" => PlanesRequested::Toggle(PlaneKind::Sagittal),
    /// Planes one slice further.
    NextSlice = "Scan planes one slice on" => PlanesRequested::StepShown { slices: 1 },
    /// Planes one slice back.
    PreviousSlice = "Scan planes one slice back" => PlanesRequested::StepShown { slices: -1 },
    /// Next window preset.
    NextWindow = "Next grey-value window" => WindowRequested::NextPreset,
    /// Measure or select.
    ToggleMeasure = "Measure a distance" => MeasureRequested::ToggleTool,
    /// Larger.
    Magnify = "Make the body larger",
    /// Smaller.
    Shrink = "Make the body smaller",
    /// Hold the world, with the other hand too, or a structure.
    Grab = "Hold the world with both hands",
    /// Take a picture.
    Picture = "Take a picture" => PictureRequested { stem: None },
    /// Show where the picture's knowledge comes from.
    NextOverlay = "How sure is this picture?" => OverlayRequested::Next,
    /// Undo.
    Undo = "Undo" => HistoryRequested::Undo,
    /// Redo.
    Redo = "Redo" => HistoryRequested::Redo,
    /// Everything as at the start.
    Reset = "Back to the start" => ResetRequested,
    /// Panel of structures.
    Structures = "List of structures, with search" => PanelRequested::Toggle(PanelId::Structures),
    /// Panel of planes, window, cut and size.
    View = "Planes, grey values, cut, size" => PanelRequested::Toggle(PanelId::View),
    /// Panel of measurements.
    Measurements = "List of distances" => PanelRequested::Toggle(PanelId::Measurements),
    /// Panel of keys and buttons.
    Help = "This list" => PanelRequested::Toggle(PanelId::Help),
    /// Close panels; with none open, let the mouse go.
    Back = "Close the panel; free the mouse" => PanelRequested::CloseAll,
    /// End the walk.
    Leave = "Leave" => WalkEndRequested { reason: EndReason::Closed },
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
///
/// [`Action::Teleport`] and [`Action::Grab`] are left to the device, which knows where it points; so is letting the mouse go
/// on [`Action::Back`] and releasing on [`Action::Select`].
pub fn requests(frame: &ActionFrame) -> Vec<Request> {
    let amount = |action: Action| frame.held.iter().filter(|(a, _)| *a == action).map(|(_, v)| *v).sum::<f32>();
    let axis = |plus, minus| (amount(plus) - amount(minus)).clamp(-1.0, 1.0);
    let mut out = Vec::new();
    let (right, up, forward) = (
        axis(Action::MoveRight, Action::MoveLeft),
        axis(Action::MoveUp, Action::MoveDown),
        axis(Action::MoveForward, Action::MoveBack),
    );
    let still = |v: f32| v.abs() < 1e-4;
    if !(still(right) && still(up) && still(forward)) {
        let run = amount(Action::Run) > 0.5;
        out.push(LocomotionRequested::Move { right, up, forward, run, seconds: frame.seconds }.into());
    }
    let (yaw_rad, pitch_rad) = (-amount(Action::LookRight), amount(Action::LookUp));
    if !(still(yaw_rad) && still(pitch_rad)) {
        out.push(LocomotionRequested::Look { yaw_rad, pitch_rad }.into());
    }
    let growth = axis(Action::Magnify, Action::Shrink);
    if !still(growth) {
        let factor = f64::from(MAGNIFY_PER_S.powf(growth * frame.seconds));
        out.push(LocomotionRequested::MagnifyBy { factor, pivot: None }.into());
    }
    out.extend(frame.pressed.iter().filter_map(|action| action.request()));
    out
}

/// Magnifying goes this many times a second while held; our choice.
const MAGNIFY_PER_S: f32 = 2.0;

/// One press of a cut key moves the plane this far, in mm.
const CLIP_STEP_MM: f64 = 5.0;

impl Action {
    /// Actions that go on while their control is held, rather than happen once when it goes down.
    pub const HELD: [Self; 11] = [
        Self::MoveForward,
        Self::MoveBack,
        Self::MoveLeft,
        Self::MoveRight,
        Self::MoveUp,
        Self::MoveDown,
        Self::Run,
        Self::LookRight,
        Self::LookUp,
        Self::Magnify,
        Self::Shrink,
    ];

    /// Actions without which nobody finds the way; every table must bind them.
    pub const NEEDED: [Self; 6] =
        [Self::MoveForward, Self::MoveBack, Self::LookRight, Self::Select, Self::Reset, Self::Help];
}

/// What controls belong to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Device {
    /// A headset's controllers or hands.
    Headset,
    /// Keyboard and mouse.
    Desktop,
    /// A gamepad.
    Gamepad,
}

impl Device {
    /// All devices, as the help panel lists them.
    pub const ALL: [Self; 3] = [Self::Headset, Self::Desktop, Self::Gamepad];
}

impl Source {
    /// What it belongs to.
    pub fn device(&self) -> Device {
        match self {
            Self::Key(_)
            | Self::CtrlKey(_)
            | Self::ShiftKey(_)
            | Self::MouseButton(_)
            | Self::MouseMotion(_)
            | Self::MouseWheel(_) => Device::Desktop,
            Self::GamepadButton(_) | Self::GamepadAxis(..) => Device::Gamepad,
            Self::Controller(_) => Device::Headset,
        }
    }

    /// The control in words for the help panel.
    pub fn words(&self) -> String {
        let key = |code: &str| {
            let bare = code.strip_prefix("Key").or_else(|| code.strip_prefix("Digit")).unwrap_or(code);
            match bare {
                "ArrowUp" => "Arrow up".to_owned(),
                "ArrowDown" => "Arrow down".to_owned(),
                "ArrowLeft" => "Arrow left".to_owned(),
                "ArrowRight" => "Arrow right".to_owned(),
                "ShiftLeft" => "Shift".to_owned(),
                "BracketLeft" => "[".to_owned(),
                "BracketRight" => "]".to_owned(),
                "PageUp" => "Page up".to_owned(),
                "PageDown" => "Page down".to_owned(),
                "Equal" => "=".to_owned(),
                "Minus" => "-".to_owned(),
                "Comma" => ",".to_owned(),
                "Period" => ".".to_owned(),
                other => other.to_owned(),
            }
        };
        match self {
            Self::Key(code) => key(code),
            Self::CtrlKey(code) => format!("Ctrl + {}", key(code)),
            Self::ShiftKey(code) => format!("Shift + {}", key(code)),
            Self::MouseButton(button) => format!("Mouse {}", button.to_lowercase()),
            Self::MouseMotion(_) => "Mouse, right button held".to_owned(),
            Self::MouseWheel(direction) => format!("Wheel {}", direction.to_lowercase()),
            Self::GamepadButton(button) => sentence(button),
            Self::GamepadAxis(axis, _) => sentence(axis),
            Self::Controller(words) => words.clone(),
        }
    }
}

/// `LeftStickX` as `Left stick x`.
fn sentence(name: &str) -> String {
    let mut out = String::new();
    for (at, letter) in name.char_indices() {
        if at > 0 && letter.is_uppercase() {
            out.push(' ');
            out.extend(letter.to_lowercase());
        } else {
            out.push(letter);
        }
    }
    out
}

impl Bindings {
    /// Reads and checks a table; `file` is named in errors.
    ///
    /// # Errors
    /// [`BindingsError`] for text that is no table, a control bound twice, and a needed action without a control.
    pub fn parse(text: &str, file: &str) -> Result<Self, BindingsError> {
        let table: Self = ron::from_str(text)
            .map_err(|error| BindingsError::Syntax { reason: error.to_string(), file: file.to_owned() })?;
        for (at, binding) in table.0.iter().enumerate() {
            if let Some(first) = table.0[..at].iter().find(|b| b.on == binding.on) {
                return Err(BindingsError::Twice {
                    control: Box::new(binding.on.clone()),
                    first: first.does,
                    second: binding.does,
                    file: file.to_owned(),
                });
            }
        }
        match Action::NEEDED.into_iter().find(|action| table.controls_of(*action).next().is_none()) {
            Some(action) => Err(BindingsError::Missing { action, file: file.to_owned() }),
            None => Ok(table),
        }
    }

    /// The controls bound to an action, in the table's order.
    pub fn controls_of(&self, action: Action) -> impl Iterator<Item = &Source> {
        self.0.iter().filter(move |b| b.does == action).map(|b| &b.on)
    }

    /// For the help panel: each device that has controls, and for it one line an action in the table's order, of its
    /// controls and what it does.
    pub fn help(&self) -> Vec<(Device, Vec<(String, &'static str)>)> {
        let lines = |device: Device| {
            let mut lines: Vec<(Action, Vec<String>)> = Vec::new();
            for binding in self.0.iter().filter(|b| b.on.device() == device) {
                let words = binding.on.words();
                match lines.iter_mut().find(|(does, _)| *does == binding.does) {
                    Some((_, controls)) if controls.contains(&words) => {}
                    Some((_, controls)) => controls.push(words),
                    None => lines.push((binding.does, vec![words])),
                }
            }
            lines.into_iter().map(|(does, controls)| (controls.join(", "), does.words())).collect::<Vec<_>>()
        };
        Device::ALL.into_iter().map(|device| (device, lines(device))).filter(|(_, l)| !l.is_empty()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The table the app embeds.
    const DESKTOP: &str = include_str!("../../../xr-config/desktop.ron");

    #[test]
    fn the_desktop_table_is_sound_and_binds_every_desktop_action() {
        let table = Bindings::parse(DESKTOP, "desktop.ron").unwrap();
        assert_eq!(
            table.controls_of(Action::Help).next(),
            Some(&Source::Key("F1".to_owned())),
            "DESIGN.md: help on F1"
        );
        let unbound: Vec<Action> =
            Action::ALL.iter().copied().filter(|a| table.controls_of(*a).next().is_none()).collect();
        assert_eq!(unbound, [Action::Grab], "which takes a hand");
    }

    #[test]
    fn faulty_tables_are_refused_with_the_reason() {
        let check = |text: &str, part: &str| {
            let error = Bindings::parse(text, "my.ron").unwrap_err().to_string();
            assert!(error.contains(part) && error.ends_with("my.ron"), "{error}");
        };
        check("[(on: Key(\"KeyW\"), does: Fly)]", "Fly");
        check("[(on: Key(\"KeyW\"), does: MoveUp), (on: Key(\"KeyW\"), does: MoveBack)]", "both MoveUp and MoveBack");
        check("[]", "nothing is bound to MoveForward");
    }

    #[test]
    fn held_keys_add_up_to_one_move() {
        let frame = |held: &[(Action, f32)], pressed: &[Action]| ActionFrame {
            held: held.to_vec(),
            pressed: pressed.to_vec(),
            seconds: 0.02,
        };
        let moved = requests(&frame(&[(Action::MoveForward, 1.0), (Action::MoveLeft, 1.0), (Action::Run, 1.0)], &[]));
        let expected = LocomotionRequested::Move { right: -1.0, up: 0.0, forward: 1.0, run: true, seconds: 0.02 };
        assert_eq!(moved, [expected.into()]);
        assert_eq!(requests(&frame(&[(Action::MoveForward, 1.0), (Action::MoveBack, 1.0)], &[])), []);
        assert_eq!(requests(&frame(&[], &[Action::Reset])), [ResetRequested.into()]);
        let look = requests(&frame(&[(Action::LookRight, 0.1)], &[]));
        assert_eq!(look, [LocomotionRequested::Look { yaw_rad: -0.1, pitch_rad: 0.0 }.into()]);
    }

    #[test]
    fn every_press_asks_for_something_or_is_held_or_needs_the_device() {
        for action in Action::ALL.iter().copied() {
            let left_to_device = matches!(action, Action::Teleport | Action::Grab);
            assert!(action.request().is_some() || left_to_device || Action::HELD.contains(&action), "{action:?}");
        }
    }

    #[test]
    fn help_lists_an_action_once_a_device_with_all_its_controls() {
        let mut table = Bindings::parse(DESKTOP, "desktop.ron").unwrap();
        let trigger = Source::Controller("Trigger".to_owned());
        table.0.push(Binding { on: trigger, does: Action::Select, scale: 1.0 });
        let help = table.help();
        assert_eq!(help.iter().map(|(device, _)| *device).collect::<Vec<_>>(), Device::ALL);
        assert_eq!(help[0].1, [("Trigger".to_owned(), "Choose what you point at")]);
        let ahead: Vec<_> = help[1].1.iter().filter(|(_, words)| *words == "Walk ahead").collect();
        assert_eq!(ahead, [&("W, Arrow up".to_owned(), "Walk ahead")]);
        assert!(help[2].1.contains(&("Left stick y".to_owned(), "Walk ahead")));
        // What the left column of the panel holds.
        let longest = help.iter().flat_map(|(_, lines)| lines).max_by_key(|(controls, _)| controls.chars().count());
        assert!(longest.is_some_and(|(controls, _)| controls.chars().count() <= 26), "{longest:?}");
    }
}
