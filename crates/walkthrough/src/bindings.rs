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

    /// What a press of its control asks for, if that does not depend on the device.
    pub fn request(self) -> Option<Request> {
        Some(match self {
            Self::SnapLeft => LocomotionRequested::SnapTurn(Side::Left).into(),
            Self::SnapRight => LocomotionRequested::SnapTurn(Side::Right).into(),
            Self::Select => PointerRequested::Press(PointerId::Crosshair).into(),
            Self::HidePointed => VisibilityRequested::Hide(Target::Pointed).into(),
            Self::SoloPointed => VisibilityRequested::Solo(Target::Pointed).into(),
            Self::FadePointed => VisibilityRequested::ToggleGlass(Target::Pointed).into(),
            Self::ShowAll => VisibilityRequested::ShowAll.into(),
            Self::Peel => VisibilityRequested::Peel.into(),
            Self::Unpeel => VisibilityRequested::Unpeel.into(),
            Self::ToggleClip => ClipRequested::Toggle.into(),
            Self::FlipClip => ClipRequested::Flip.into(),
            Self::ClipForward => ClipRequested::Move { millimetres: CLIP_STEP_MM }.into(),
            Self::ClipBack => ClipRequested::Move { millimetres: -CLIP_STEP_MM }.into(),
            Self::AlignClip => ClipRequested::AlignNext.into(),
            Self::ToggleAxial => PlanesRequested::Toggle(PlaneKind::Axial).into(),
            Self::ToggleCoronal => PlanesRequested::Toggle(PlaneKind::Coronal).into(),
            Self::ToggleSagittal => PlanesRequested::Toggle(PlaneKind::Sagittal).into(),
            Self::NextSlice => PlanesRequested::StepShown { slices: 1 }.into(),
            Self::PreviousSlice => PlanesRequested::StepShown { slices: -1 }.into(),
            Self::NextWindow => WindowRequested::NextPreset.into(),
            Self::ToggleMeasure => MeasureRequested::ToggleTool.into(),
            Self::Picture => PictureRequested { stem: None }.into(),
            Self::NextOverlay => OverlayRequested::Next.into(),
            Self::Undo => HistoryRequested::Undo.into(),
            Self::Redo => HistoryRequested::Redo.into(),
            Self::Reset => ResetRequested.into(),
            Self::Structures => PanelRequested::Toggle(PanelId::Structures).into(),
            Self::View => PanelRequested::Toggle(PanelId::View).into(),
            Self::Measurements => PanelRequested::Toggle(PanelId::Measurements).into(),
            Self::Help => PanelRequested::Toggle(PanelId::Help).into(),
            Self::Back => PanelRequested::CloseAll.into(),
            Self::Leave => WalkEndRequested { reason: EndReason::Closed }.into(),
            Self::MoveForward
            | Self::MoveBack
            | Self::MoveLeft
            | Self::MoveRight
            | Self::MoveUp
            | Self::MoveDown
            | Self::Run
            | Self::LookRight
            | Self::LookUp
            | Self::Magnify
            | Self::Shrink
            | Self::Teleport
            | Self::Grab => return None,
        })
    }

    /// What it does, in words for the help panel.
    pub const fn words(self) -> &'static str {
        match self {
            Self::MoveForward => "Walk ahead",
            Self::MoveBack => "Walk back",
            Self::MoveLeft => "Step left",
            Self::MoveRight => "Step right",
            Self::MoveUp => "Rise",
            Self::MoveDown => "Sink",
            Self::Run => "Faster",
            Self::LookRight => "Look left and right",
            Self::LookUp => "Look up and down",
            Self::Teleport => "Jump to where you point",
            Self::SnapLeft => "Turn left a step",
            Self::SnapRight => "Turn right a step",
            Self::Select => "Choose what you point at",
            Self::HidePointed => "Hide what you point at",
            Self::SoloPointed => "Show only what you point at",
            Self::FadePointed => "Make it glassy, or solid again",
            Self::ShowAll => "Show everything",
            Self::Peel => "Take off a layer",
            Self::Unpeel => "Put the layer back",
            Self::ToggleClip => "Cut the body open, or close it",
            Self::FlipClip => "Cut away the other side",
            Self::ClipForward => "Cut away less",
            Self::ClipBack => "Cut away more",
            Self::AlignClip => "Cut from the next direction",
            Self::ToggleAxial => "Axial scan plane",
            Self::ToggleCoronal => "Coronal scan plane",
            Self::ToggleSagittal => "Sagittal scan plane",
            Self::NextSlice => "Scan planes one slice on",
            Self::PreviousSlice => "Scan planes one slice back",
            Self::NextWindow => "Next grey-value window",
            Self::ToggleMeasure => "Measure a distance",
            Self::Magnify => "Make the body larger",
            Self::Shrink => "Make the body smaller",
            Self::Grab => "Hold the world with both hands",
            Self::Picture => "Take a picture",
            Self::NextOverlay => "How sure is this picture?",
            Self::Undo => "Undo",
            Self::Redo => "Redo",
            Self::Reset => "Back to the start",
            Self::Structures => "List of structures, with search",
            Self::View => "Planes, grey values, cut, size",
            Self::Measurements => "List of distances",
            Self::Help => "This list",
            Self::Back => "Close the panel; free the mouse",
            Self::Leave => "Leave",
        }
    }
}

impl Source {
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
            Self::MouseMotion(_) => "Move the mouse".to_owned(),
            Self::MouseWheel(direction) => format!("Wheel {}", direction.to_lowercase()),
            Self::GamepadButton(button) => format!("Gamepad {}", spaced(button)),
            Self::GamepadAxis(axis, _) => format!("Gamepad {}", spaced(axis)),
            Self::Controller(words) => words.clone(),
        }
    }
}

/// `LeftStickX` as `left stick x`.
fn spaced(name: &str) -> String {
    let mut out = String::new();
    for (at, letter) in name.char_indices() {
        if at > 0 && letter.is_uppercase() {
            out.push(' ');
        }
        out.extend(letter.to_lowercase());
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

    /// One line an action, in the table's order: its controls, and what it does. For the help panel.
    pub fn help(&self) -> Vec<(String, &'static str)> {
        let mut seen = Vec::new();
        for binding in &self.0 {
            if !seen.contains(&binding.does) {
                seen.push(binding.does);
            }
        }
        let controls = |action| {
            let mut words: Vec<String> = self.controls_of(action).map(Source::words).collect();
            words.dedup();
            words.join(", ")
        };
        seen.into_iter().map(|action| (controls(action), action.words())).collect()
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
            ALL_DESKTOP.iter().copied().filter(|a| table.controls_of(*a).next().is_none()).collect();
        assert_eq!(unbound, []);
    }

    const ALL_DESKTOP: [Action; 45] = {
        use Action::*;
        [
            MoveForward,
            MoveBack,
            MoveLeft,
            MoveRight,
            MoveUp,
            MoveDown,
            Run,
            LookRight,
            LookUp,
            SnapLeft,
            SnapRight,
            Teleport,
            Select,
            HidePointed,
            SoloPointed,
            FadePointed,
            ShowAll,
            Peel,
            Unpeel,
            ToggleClip,
            FlipClip,
            ClipForward,
            ClipBack,
            AlignClip,
            ToggleAxial,
            ToggleCoronal,
            ToggleSagittal,
            NextSlice,
            PreviousSlice,
            NextWindow,
            ToggleMeasure,
            Magnify,
            Shrink,
            Picture,
            NextOverlay,
            Undo,
            Redo,
            Reset,
            Structures,
            View,
            Measurements,
            Help,
            Back,
            Leave,
            Select,
        ]
    };

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
        for action in ALL_DESKTOP {
            let left_to_device = matches!(action, Action::Teleport | Action::Grab);
            assert!(action.request().is_some() || left_to_device || Action::HELD.contains(&action), "{action:?}");
        }
    }

    #[test]
    fn help_lists_an_action_once_with_all_its_controls() {
        let table = Bindings::parse(DESKTOP, "desktop.ron").unwrap();
        let help = table.help();
        let ahead: Vec<_> = help.iter().filter(|(_, words)| *words == "Walk ahead").collect();
        assert_eq!(ahead.len(), 1);
        assert!(ahead[0].0.starts_with("W, Arrow up"), "{}", ahead[0].0);
    }
}
