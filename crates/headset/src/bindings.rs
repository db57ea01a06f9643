//! Which button does what, as data: `xr-config/bindings.ron`.

use serde::Deserialize;
use thiserror::Error;
use walkthrough::bindings::{Action, Binding, Source};

/// What a hand can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize)]
pub enum HandAction {
    /// Chooses what is pointed at.
    Select,
    /// Takes hold of a structure; both hands take hold of the world.
    Grab,
    /// Right: forward teleports, sideways turns. Left: moves.
    Stick,
    /// Opens the menu.
    Menu,
    /// Puts everything back.
    Reset,
    /// Takes the last act back.
    Undo,
    /// Where the hand is.
    GripPose,
    /// Where it points.
    AimPose,
    /// The vibration motor.
    Haptic,
}

/// The suggested bindings of one controller family.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Profile {
    /// The interaction profile's path.
    pub profile: String,
    /// Component paths, with LEFT and RIGHT for the hands, and what they do.
    pub bindings: Vec<(String, HandAction)>,
}

/// The table of all families.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Bindings(pub Vec<Profile>);

/// The table cannot be used.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum BindingsError {
    /// Not RON, or not of this form.
    #[error("headset bindings cannot be read: {0}")]
    Syntax(#[from] ron::error::SpannedError),
    /// A path that names no hand.
    #[error("a headset binding must start with LEFT/ or RIGHT/; found `{path}` in {profile}")]
    Path {
        /// The path as written.
        path: String,
        /// The profile it stands in.
        profile: String,
    },
}

impl Bindings {
    /// Reads the table.
    ///
    /// # Errors
    /// [`BindingsError`] with the line, or the path that names no hand.
    pub fn parse(text: &str) -> Result<Self, BindingsError> {
        let table: Self = ron::from_str(text)?;
        for profile in &table.0 {
            for (path, _) in &profile.bindings {
                if !path.starts_with("LEFT/") && !path.starts_with("RIGHT/") {
                    return Err(BindingsError::Path { path: path.clone(), profile: profile.profile.clone() });
                }
            }
        }
        Ok(table)
    }
}

/// What the hands do, in words that fit every family, for the help panel.
pub fn controls() -> Vec<Binding> {
    let rows = [
        ("Trigger", Action::Select),
        ("Right stick ahead", Action::Teleport),
        ("Right stick left", Action::SnapLeft),
        ("Right stick right", Action::SnapRight),
        ("Left stick", Action::MoveForward),
        ("Both grips", Action::Grab),
        ("Left Y, B or menu", Action::Structures),
        ("Right B or menu", Action::Reset),
        ("Left X or A", Action::Undo),
    ];
    rows.map(|(words, does)| Binding { on: Source::Controller(words.to_owned()), does, scale: 1.0 }).into()
}

/// The OpenXR path of a binding.
pub(crate) fn full_path(path: &str) -> String {
    path.replacen("LEFT", "/user/hand/left", 1).replacen("RIGHT", "/user/hand/right", 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHIPPED: &str = include_str!("../../../xr-config/bindings.ron");

    #[test]
    fn shipped_table_is_whole() {
        let table = Bindings::parse(SHIPPED).unwrap();
        assert!(table.0.len() >= 4);
        for profile in &table.0 {
            for action in
                [HandAction::Select, HandAction::Menu, HandAction::Reset, HandAction::GripPose, HandAction::AimPose]
            {
                let bound = profile.bindings.iter().any(|(_, a)| *a == action);
                assert!(bound, "{} binds no {action:?}", profile.profile);
            }
        }
        assert_eq!(full_path("LEFT/input/b/click"), "/user/hand/left/input/b/click");
    }

    #[test]
    fn wrong_tables_are_refused() {
        assert!(matches!(Bindings::parse("nonsense"), Err(BindingsError::Syntax(_))));
        let headless = r#"[(profile: "p", bindings: [("HEAD/input/x", Select)])]"#;
        assert!(matches!(Bindings::parse(headless), Err(BindingsError::Path { .. })));
    }
}
