//! Panels as data: rows, controls and where they lie, for any renderer, on a screen or in space.
//!
//! A panel is rebuilt from the state it shows when that changes. Its layout is plain numbers in panel pixels, so pressing
//! works without a renderer. What a press asks for is a [`Request`](crate::input::Request), as from any key.

pub mod layout;

use bevy_app::{App, Plugin};
use bevy_ecs::prelude::*;
use serde::{Deserialize, Serialize};
use volume::Label;

use crate::frame::Pose;
use crate::input::Request;
use crate::planes::PlaneKind;
use crate::walk::{Walk, WalkSystems, ensure_walk};

/// Keeps the panels and answers presses on them.
#[derive(Default)]
pub struct PanelPlugin;

impl Plugin for PanelPlugin {
    fn build(&self, app: &mut App) {
        ensure_walk(app);
        app.add_message::<PanelRequested>()
            .add_message::<PanelPointer>()
            .add_message::<PanelKey>()
            .add_message::<PanelHovered>()
            .init_resource::<PanelState>()
            .configure_sets(
                Walk,
                (PanelSystems::Press.in_set(WalkSystems::Point), PanelSystems::Rebuild.in_set(WalkSystems::Present)),
            );
    }
}

/// The steps of panels.
#[derive(SystemSet, Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PanelSystems {
    /// Turns presses and keys into requests. Runs in [`Walk`].
    Press,
    /// Rebuilds the rows of open panels whose state changed. Runs in [`Walk`].
    Rebuild,
}

/// Which panel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum PanelId {
    /// Search, groups and segments.
    Structures,
    /// Planes, window, cut, size, peel, reset, picture.
    View,
    /// Distances taken.
    Measurements,
    /// All keys and buttons.
    Help,
}

impl PanelId {
    /// All panels.
    pub const ALL: [Self; 4] = [Self::Structures, Self::View, Self::Measurements, Self::Help];
}

/// A wish about panels.
#[derive(Message, Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum PanelRequested {
    /// Open it; on a screen it takes the place of another.
    Open(PanelId),
    /// Open if closed, close if open.
    Toggle(PanelId),
    /// Close all.
    CloseAll,
    /// Scroll by panel pixels; positive shows what is further down.
    Scroll {
        /// Which.
        panel: PanelId,
        /// How far.
        pixels: f32,
    },
    /// Show only structures that have all these words.
    Search(String),
    /// Let keys go to the search field, or to the walk again.
    FocusSearch(bool),
    /// Fold a group of the list away, or out again.
    Fold(String),
}

/// A pointer over a panel, from a mouse or a hand; one message whenever something about it changed.
#[derive(Message, Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct PanelPointer {
    /// Which.
    pub panel: PanelId,
    /// From the top left corner, 0 to 1 to the right and down; none: the pointer left.
    pub uv: Option<[f32; 2]>,
    /// The trigger or left button is down.
    pub pressed: bool,
}

/// A key typed while the search field has the focus.
#[derive(Message, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum PanelKey {
    /// Text, as the keyboard's layout gives it.
    Text(String),
    /// Take back one letter.
    Backspace,
    /// Done: keys go to the walk again.
    Enter,
    /// Empty the field and leave it.
    Escape,
}

/// A pointer came over another control.
#[derive(Message, Clone, Copy, Debug, PartialEq, Eq)]
pub struct PanelHovered {
    /// Where.
    pub panel: PanelId,
}

/// What panels remember; not undoable.
#[derive(Resource, Clone, Debug, Default, PartialEq, Eq)]
pub struct PanelState {
    /// The words searched for.
    pub search: String,
    /// Keys go to the search field.
    pub search_focused: bool,
    /// Groups folded away, in order of name.
    pub folded: std::collections::BTreeSet<String>,
}

/// A panel; one entity each.
#[derive(Component, Clone, Debug, PartialEq)]
pub struct Panel {
    /// Which.
    pub id: PanelId,
    /// Its heading.
    pub title: String,
    /// Is it to be seen.
    pub open: bool,
    /// Width and height of what is seen, in panel pixels.
    pub size_px: [f32; 2],
    /// How far the rows are scrolled up, in panel pixels.
    pub scroll_px: f32,
    /// From top to bottom.
    pub rows: Vec<Row>,
    /// Every control of `rows`, in their order.
    pub controls: Vec<Control>,
    /// The control under the pointer, as index into `controls`.
    pub hovered: Option<usize>,
    /// The control held down, as index into `controls`.
    pub pressed: Option<usize>,
}

/// Where a panel hangs.
#[derive(Component, Clone, Copy, Debug, Default, PartialEq)]
pub enum PanelPlacement {
    /// On the screen.
    #[default]
    Screen,
    /// In the scene, facing +Z of the pose.
    Scene {
        /// Its middle.
        pose: Pose<space::Scene>,
        /// Width in metres; the height follows from the pixels.
        width_m: f64,
    },
}

/// A row of a panel.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// Unique in the panel, and stable while the thing it shows is the same.
    pub id: String,
    /// What it shows.
    pub content: RowContent,
}

/// How text is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TextTone {
    /// A heading.
    Heading,
    /// Plain.
    Plain,
    /// Less important.
    Faint,
    /// To be heeded.
    Warning,
}

/// A button's text and what it asks for.
#[derive(Clone, Debug, PartialEq)]
pub struct Button {
    /// On it.
    pub label: String,
    /// Sent when pressed.
    pub request: Request,
    /// True if what it stands for is on now.
    pub on: bool,
    /// False if it can do nothing now.
    pub enabled: bool,
}

/// What a row shows.
#[derive(Clone, Debug, PartialEq)]
pub enum RowContent {
    /// Words.
    Text {
        /// What.
        text: String,
        /// How.
        tone: TextTone,
    },
    /// Two columns: a key and what it does, a name and a number.
    Pair {
        /// Left.
        left: String,
        /// Right.
        right: String,
    },
    /// One to four buttons side by side.
    Buttons(Vec<Button>),
    /// A switch.
    Toggle {
        /// Beside it.
        label: String,
        /// Its state.
        on: bool,
        /// Sent when pressed.
        request: Request,
    },
    /// A slider.
    Slider {
        /// Beside it.
        label: String,
        /// 0 left to 1 right.
        fraction: f32,
        /// The value in words, with its unit.
        value: String,
        /// What it sets.
        sets: SliderSets,
    },
    /// Where to type words.
    Search {
        /// The words; a hint if empty.
        text: String,
        /// Keys go here.
        focused: bool,
    },
    /// A group of segments.
    Group {
        /// Machine name.
        group: String,
        /// For people.
        label: String,
        /// How many of its segments are drawn, of how many.
        drawn: [usize; 2],
        /// Its segments are listed below.
        unfolded: bool,
    },
    /// A segment.
    Segment {
        /// Its label.
        label: Label,
        /// For people.
        display: String,
        /// sRGB.
        color: [u8; 3],
        /// It is drawn.
        visible: bool,
        /// 0 to 1.
        opacity: f32,
        /// It is shown alone.
        solo: bool,
        /// It is selected.
        selected: bool,
        /// Such as `152 ml`.
        volume: String,
    },
    /// A measurement.
    Measurement {
        /// Its id.
        id: u32,
        /// The structures at its ends.
        label: String,
        /// Such as `34.2 mm`.
        value: String,
    },
}

/// What a slider sets.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum SliderSets {
    /// A scan plane's position.
    Plane {
        /// Which.
        kind: PlaneKind,
        /// Coordinates at both ends, in mm.
        range_mm: [f64; 2],
    },
    /// The cut's distance along its normal from where it lies at fraction 0.
    Clip {
        /// Signed distances of both ends from the plane's present place, in mm.
        range_mm: [f64; 2],
    },
    /// Magnification, logarithmically.
    Magnification,
    /// Window center.
    WindowCenter {
        /// Values at both ends.
        range: [f32; 2],
    },
    /// Window width.
    WindowWidth {
        /// Values at both ends.
        range: [f32; 2],
    },
    /// Opacity of a segment.
    Opacity(Label),
}

/// A part of a row that can be pressed, and where it lies.
#[derive(Clone, Debug, PartialEq)]
pub struct Control {
    /// Index into [`Panel::rows`].
    pub row: usize,
    /// Which part of the row.
    pub part: Part,
    /// In panel pixels, before scrolling.
    pub rect: RectPx,
}

/// A part of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// A button, by its place in the row.
    Button(usize),
    /// The switch.
    Toggle,
    /// The slider's bar.
    Slider,
    /// The search field.
    Field,
    /// Folds a group.
    Fold,
    /// Shows and hides.
    Eye,
    /// The colour chip and name: selects.
    Name,
    /// The small opacity slider.
    Opacity,
    /// Shows alone.
    Solo,
    /// Takes away.
    Delete,
}

/// A rectangle in panel pixels; y goes down.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct RectPx {
    /// Left edge.
    pub x: f32,
    /// Top edge.
    pub y: f32,
    /// To the right.
    pub width: f32,
    /// Down.
    pub height: f32,
}

impl RectPx {
    /// True if the point lies in it.
    pub fn contains(&self, [x, y]: [f32; 2]) -> bool {
        (self.x..self.x + self.width).contains(&x) && (self.y..self.y + self.height).contains(&y)
    }
}
