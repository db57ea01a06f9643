//! Panels as data: rows, controls and where they lie, for any renderer, on a screen or in space.
//!
//! A panel is rebuilt from the state it shows when that changes. Its layout is plain numbers in panel pixels, so pressing
//! works without a renderer. What a press asks for is a [`Request`], as from any key.

mod build;
pub mod layout;
mod press;
mod space;

use ::space::Scene;
use bevy_app::{App, Plugin};
use bevy_ecs::prelude::*;
use serde::{Deserialize, Serialize};
use volume::Label;

use crate::clip::ClipPlane;
use crate::frame::Pose;
use crate::input::{Request, ensure_input};
use crate::planes::PlaneKind;
use crate::pointer::PointerSystems;
use crate::stage::CaseStaged;
use crate::text::{Text, text};
use crate::visibility::VisibilitySystems;
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
            .add_message::<PanelPressed>()
            .add_message::<CaseStaged>()
            .init_resource::<PanelState>()
            .init_resource::<PanelHome>()
            .configure_sets(
                Walk,
                (
                    (PanelSystems::Point, PanelSystems::Press).chain().in_set(WalkSystems::Point),
                    PanelSystems::Rebuild.in_set(WalkSystems::Present).after(VisibilitySystems::Derive),
                ),
            )
            .configure_sets(Walk, PanelSystems::Point.after(PointerSystems::Hit).before(PointerSystems::Press))
            .add_systems(
                Walk,
                (
                    space::point_at_panels.in_set(PanelSystems::Point),
                    (press::fold_large_cases, press::answer_panel_requests, press::answer_pointers, press::type_keys)
                        .chain()
                        .in_set(PanelSystems::Press),
                    build::rebuild.in_set(PanelSystems::Rebuild),
                ),
            );
        ensure_input(app);
        for id in PanelId::ALL {
            let name = Name::new(format!("{id:?} panel"));
            app.world_mut().spawn((Panel::closed(id), PanelPlacement::Screen, PanelPress::default(), name));
        }
    }
}

/// The steps of panels.
#[derive(SystemSet, Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PanelSystems {
    /// Lets pointers in the scene meet panels in the scene. Runs in [`Walk`].
    Point,
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
    /// Open it in the place of another.
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

/// A control was pressed.
#[derive(Message, Clone, Copy, Debug, PartialEq, Eq)]
pub struct PanelPressed {
    /// Where.
    pub panel: PanelId,
}

/// Where panels hang when they are opened; a headset sets it.
#[derive(Resource, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PanelHome {
    /// On the screen.
    #[default]
    Screen,
    /// In the scene, in front of where the walker looks, and staying there.
    InFront,
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

impl Panel {
    /// Empty and not to be seen.
    pub fn closed(id: PanelId) -> Self {
        let title = match id {
            PanelId::Structures => Text::Structures,
            PanelId::View => Text::View,
            PanelId::Measurements => Text::Measurements,
            PanelId::Help => Text::Help,
        };
        Self {
            id,
            title: text(title).to_owned(),
            open: false,
            size_px: [layout::WIDTH_PX, layout::HEIGHT_PX],
            scroll_px: 0.0,
            rows: Vec::new(),
            controls: Vec::new(),
            hovered: None,
            pressed: None,
        }
    }

    /// How far the rows can be scrolled, in panel pixels.
    pub fn longest_scroll_px(&self) -> f32 {
        (layout::content_height_px(self.rows.len()) - self.size_px[1]).max(0.0)
    }

    /// The control at a point of the panel, as index into `controls`; `uv` as in [`PanelPointer`].
    pub fn control_at(&self, uv: [f32; 2]) -> Option<usize> {
        let [x, y] = [uv[0] * self.size_px[0], uv[1] * self.size_px[1]];
        let in_title = y < layout::TITLE_PX;
        let y = if in_title { y } else { y + self.scroll_px };
        self.controls.iter().position(|c| (c.part == Part::Close) == in_title && c.rect.contains([x, y]))
    }
}

/// The pointer's button on a panel, and the slider it drags.
#[derive(Component, Clone, Debug, Default, PartialEq)]
pub(crate) struct PanelPress {
    down: bool,
    /// Row id and part: indices may change while a slider is dragged.
    drags: Option<(String, Part)>,
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
        pose: Pose<Scene>,
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
    /// The cut's place along its normal.
    Clip {
        /// The plane where its distance is 0.
        plane: ClipPlane,
        /// Distances of both ends along the normal, in mm.
        range_mm: [f64; 2],
    },
    /// Magnification, logarithmically.
    Magnification,
    /// Window center.
    WindowCenter {
        /// Values at both ends.
        range: [f32; 2],
        /// Stays.
        width: f32,
    },
    /// Window width.
    WindowWidth {
        /// Values at both ends.
        range: [f32; 2],
        /// Stays.
        center: f32,
    },
    /// Opacity of a segment.
    Opacity(Label),
}

/// A part of a row that can be pressed, and where it lies.
#[derive(Clone, Debug, PartialEq)]
pub struct Control {
    /// Index into [`Panel::rows`]; 0 for [`Part::Close`], which belongs to the title.
    pub row: usize,
    /// Which part of the row.
    pub part: Part,
    /// In panel pixels, before scrolling; the title does not scroll.
    pub rect: RectPx,
}

/// A part of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Closes the panel.
    Close,
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

#[cfg(test)]
mod tests;
