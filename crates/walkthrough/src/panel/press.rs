//! What presses, drags and keys ask for.

use bevy_ecs::prelude::*;
use space::Magnification;

use crate::clip::{ClipPlane, ClipRequested};
use crate::frame::Pose;
use crate::input::{FollowUp, Request};
use crate::locomotion::{LocomotionRequested, MAGNIFICATION_RANGE, Viewer};
use crate::measure::MeasureRequested;
use crate::panel::space::in_front_of;
use crate::panel::{
    Control, Panel, PanelHome, PanelHovered, PanelId, PanelKey, PanelPlacement, PanelPointer, PanelPress, PanelPressed,
    PanelRequested, PanelState, Part, Row, RowContent, SliderSets,
};
use crate::planes::PlanesRequested;
use crate::stage::{CaseStaged, SegmentInfo};
use crate::visibility::{Target, VisibilityRequested};
use crate::window_level::{WindowLevel, WindowRequested};

/// With more segments than this the list begins folded, in number; about two screens of rows.
const LARGE_CASE: usize = 30;

/// A slider this near to its left end means nothing at all.
const NOTHING: f32 = 0.02;

impl SliderSets {
    /// What a slider at a fraction of its way asks for.
    pub fn request(&self, fraction: f32) -> Request {
        let f = f64::from(fraction.clamp(0.0, 1.0));
        let between = |[low, high]: [f64; 2]| low + (high - low) * f;
        let between_f32 = |[low, high]: [f32; 2]| low + (high - low) * f as f32;
        match *self {
            Self::Plane { kind, range_mm } => PlanesRequested::Place { kind, position_mm: between(range_mm) }.into(),
            Self::Clip { plane, range_mm } => {
                let point = plane.point + plane.normal * between(range_mm);
                ClipRequested::Place(ClipPlane { point, ..plane }).into()
            }
            Self::Magnification => {
                let [low, high] = MAGNIFICATION_RANGE;
                let to = Magnification(low * (high / low).powf(f));
                LocomotionRequested::Magnify { to, pivot: None }.into()
            }
            Self::WindowCenter { range, width } => {
                WindowRequested::Set(WindowLevel { center: between_f32(range), width }).into()
            }
            Self::WindowWidth { range, center } => {
                WindowRequested::Set(WindowLevel { center, width: between_f32(range) }).into()
            }
            Self::Opacity(label) => {
                let opacity = if fraction < NOTHING { 0.0 } else { fraction };
                VisibilityRequested::Fade { target: Target::Segment(label), opacity }.into()
            }
        }
    }
}

/// What pressing a part of a row asks for; `fraction` is how far from left to right of the control.
pub(super) fn request_of(panel: &Panel, control: &Control, fraction: f32) -> Option<Request> {
    if control.part == Part::Close {
        return Some(PanelRequested::Toggle(panel.id).into());
    }
    let row = panel.rows.get(control.row)?;
    let segment = |label: u16| Target::Segment(label);
    match (&row.content, control.part) {
        (RowContent::Buttons(buttons), Part::Button(n)) => {
            buttons.get(n).filter(|b| b.enabled).map(|b| b.request.clone())
        }
        (RowContent::Toggle { request, .. }, Part::Toggle) => Some(request.clone()),
        (RowContent::Slider { sets, .. }, Part::Slider) => Some(sets.request(fraction)),
        (RowContent::Search { .. }, Part::Field) => Some(PanelRequested::FocusSearch(true).into()),
        (RowContent::Group { group, .. }, Part::Eye) => {
            Some(VisibilityRequested::Toggle(Target::Group(group.clone())).into())
        }
        (RowContent::Group { group, .. }, Part::Solo) => {
            Some(VisibilityRequested::Solo(Target::Group(group.clone())).into())
        }
        (RowContent::Group { group, .. }, Part::Fold) => Some(PanelRequested::Fold(group.clone()).into()),
        (RowContent::Segment { label, .. }, Part::Eye) => Some(VisibilityRequested::Toggle(segment(*label)).into()),
        (RowContent::Segment { label, .. }, Part::Solo) => Some(VisibilityRequested::Solo(segment(*label)).into()),
        (RowContent::Segment { label, .. }, Part::Opacity) => Some(SliderSets::Opacity(*label).request(fraction)),
        (RowContent::Segment { label, .. }, Part::Name) => {
            Some(crate::pointer::PointerRequested::Choose(*label).into())
        }
        (RowContent::Measurement { id, .. }, Part::Delete) => Some(MeasureRequested::Delete { id: *id }.into()),
        _ => None,
    }
}

fn is_slider(part: Part) -> bool {
    matches!(part, Part::Slider | Part::Opacity)
}

/// How far from left to right of a control a point of the panel is.
fn fraction_of(panel: &Panel, control: &Control, uv: [f32; 2]) -> f32 {
    ((uv[0] * panel.size_px[0] - control.rect.x) / control.rect.width.max(1.0)).clamp(0.0, 1.0)
}

fn row_id(panel: &Panel, control: &Control) -> String {
    panel.rows.get(control.row).map_or_else(String::new, |row: &Row| row.id.clone())
}

pub(super) fn answer_pointers(
    mut pointers: MessageReader<PanelPointer>,
    mut panels: Query<(&mut Panel, &mut PanelPress)>,
    mut requests: MessageWriter<FollowUp>,
    mut hovered: MessageWriter<PanelHovered>,
    mut pressed: MessageWriter<PanelPressed>,
) {
    for pointer in pointers.read() {
        let Some((mut panel, mut press)) = panels.iter_mut().find(|(p, _)| p.id == pointer.panel && p.open) else {
            continue;
        };
        let over = pointer.uv.and_then(|uv| panel.control_at(uv));
        if over != panel.hovered {
            panel.hovered = over;
            if over.is_some() {
                hovered.write(PanelHovered { panel: panel.id });
            }
        }
        let goes_down = pointer.pressed && !press.down;
        let mut held = None;
        if goes_down && let Some(control) = over.and_then(|i| panel.controls.get(i)) {
            press.drags = is_slider(control.part).then(|| (row_id(&panel, control), control.part));
            held = over;
            let fraction = pointer.uv.map_or(0.0, |uv| fraction_of(&panel, control, uv));
            if let Some(request) = request_of(&panel, control, fraction) {
                requests.write(FollowUp(request));
                pressed.write(PanelPressed { panel: panel.id });
            }
        } else if pointer.pressed && press.down {
            held = panel.pressed;
            let dragged = press.drags.as_ref().and_then(|(id, part)| {
                let same = |c: &&Control| c.part == *part && row_id(&panel, c) == *id;
                panel.controls.iter().find(same)
            });
            if let (Some(control), Some(uv)) = (dragged, pointer.uv)
                && let Some(request) = request_of(&panel, control, fraction_of(&panel, control, uv))
            {
                requests.write(FollowUp(request));
            }
        }
        if !pointer.pressed {
            press.drags = None;
        }
        press.down = pointer.pressed;
        if panel.pressed != held {
            panel.pressed = held;
        }
    }
}

pub(super) fn answer_panel_requests(
    mut requests: MessageReader<PanelRequested>,
    mut panels: Panels,
    mut state: ResMut<PanelState>,
    home: Res<PanelHome>,
    viewer: Option<Res<Viewer>>,
) {
    for request in requests.read() {
        match request {
            PanelRequested::Open(id) => open(*id, &mut panels, *home, viewer.as_deref(), &mut state),
            PanelRequested::Toggle(id) => {
                if panels.iter().any(|(p, ..)| p.id == *id && p.open) {
                    close(&mut panels, |panel| panel == *id, &mut state);
                } else {
                    open(*id, &mut panels, *home, viewer.as_deref(), &mut state);
                }
            }
            PanelRequested::CloseAll => close(&mut panels, |_| true, &mut state),
            PanelRequested::Scroll { panel: id, pixels } => {
                for (mut panel, ..) in panels.iter_mut().filter(|(p, ..)| p.id == *id && pixels.is_finite()) {
                    let scroll = (panel.scroll_px + pixels).clamp(0.0, panel.longest_scroll_px());
                    if panel.scroll_px != scroll {
                        panel.scroll_px = scroll;
                    }
                }
            }
            PanelRequested::Search(words) => {
                state.search.clone_from(words);
                scroll_to_top(&mut panels);
            }
            PanelRequested::FocusSearch(focused) => state.search_focused = *focused,
            PanelRequested::Fold(group) => {
                if !state.folded.remove(group) {
                    state.folded.insert(group.clone());
                }
            }
        }
    }
}

type Panels<'w, 's> = Query<'w, 's, (&'static mut Panel, &'static mut PanelPlacement, &'static mut PanelPress)>;

fn open(id: PanelId, panels: &mut Panels, home: PanelHome, viewer: Option<&Viewer>, state: &mut PanelState) {
    // One at a time. In the scene it takes the place of the one before, so that a change of panels jumps nowhere.
    let before = panels.iter().find(|(p, ..)| p.open).map(|(_, placement, _)| *placement);
    close(panels, |panel| panel != id, state);
    for (mut panel, mut placement, _) in panels.iter_mut().filter(|(p, ..)| p.id == id) {
        panel.open = true;
        *placement = match (home, before) {
            (PanelHome::Screen, _) => PanelPlacement::Screen,
            (PanelHome::InFront, Some(before @ PanelPlacement::Scene { .. })) => before,
            (PanelHome::InFront, _) => in_front_of(viewer.map_or(Pose::IDENTITY, |v| v.0)),
        };
    }
}

fn close(panels: &mut Panels, which: impl Fn(PanelId) -> bool, state: &mut PanelState) {
    for (mut panel, _, mut press) in panels.iter_mut().filter(|(p, ..)| p.open && which(p.id)) {
        panel.open = false;
        panel.hovered = None;
        panel.pressed = None;
        *press = PanelPress::default();
    }
    if which(PanelId::Structures) && state.search_focused {
        state.search_focused = false;
    }
}

fn scroll_to_top(panels: &mut Panels) {
    for (mut panel, ..) in panels.iter_mut().filter(|(p, ..)| p.id == PanelId::Structures && p.scroll_px != 0.0) {
        panel.scroll_px = 0.0;
    }
}

pub(super) fn type_keys(mut keys: MessageReader<PanelKey>, mut state: ResMut<PanelState>, mut panels: Panels) {
    for key in keys.read() {
        if !state.search_focused {
            continue;
        }
        match key {
            PanelKey::Text(text) => state.search.extend(text.chars().filter(|c| !c.is_control())),
            PanelKey::Backspace => {
                state.search.pop();
            }
            PanelKey::Enter => state.search_focused = false,
            PanelKey::Escape => {
                state.search.clear();
                state.search_focused = false;
            }
        }
        scroll_to_top(&mut panels);
    }
}

pub(super) fn fold_large_cases(
    mut staged: MessageReader<CaseStaged>,
    segments: Query<&SegmentInfo>,
    mut state: ResMut<PanelState>,
) {
    if staged.read().count() == 0 {
        return;
    }
    state.search.clear();
    state.folded.clear();
    if segments.iter().len() > LARGE_CASE {
        state.folded = segments.iter().map(|s| s.group.clone()).collect();
    }
}
