//! The rows of each panel, from the state they show.

use bevy_ecs::prelude::*;
use bevy_ecs::system::SystemParam;

use crate::bindings::{Bindings, Device};
use crate::clip::{AnatomicalAxis, ClipPlane, ClipPlanes, ClipRequested};
use crate::command::{History, HistoryRequested, ResetRequested};
use crate::honesty::{HonestColor, Overlay, OverlayRequested};
use crate::input::Request;
use crate::locomotion::{LocomotionRequested, MAGNIFICATION_RANGE};
use crate::measure::{MeasureRequested, Measurements, Tool};
use crate::panel::{Button, Panel, PanelId, PanelRequested, PanelState, Row, RowContent, SliderSets, TextTone, layout};
use crate::picture::PictureRequested;
use crate::planes::{PlaneKind, PlanesRequested, ScanPlanes, scan_range_mm};
use crate::pointer::Selection;
use crate::stage::{ActiveCase, BodyPose, Extent, SegmentInfo, StartingState};
use crate::text::{Text, text};
use crate::visibility::{Drawn, SegmentLook, VisibilityRequested, matches_search};
use crate::window_level::{WindowLevel, WindowRequested, preset_in_use};

/// Letters that fit in a row; longer texts are broken into several.
const ROW_LETTERS: usize = 54;

/// Everything panels show.
#[derive(SystemParam)]
pub(super) struct Shown<'w, 's> {
    state: Res<'w, PanelState>,
    segments: Query<'w, 's, (&'static SegmentInfo, &'static SegmentLook, &'static Drawn, Option<&'static HonestColor>)>,
    changed: Query<'w, 's, (), Or<(Changed<SegmentLook>, Changed<Drawn>, Changed<HonestColor>)>>,
    case: Option<Res<'w, ActiveCase>>,
    start: Option<Res<'w, StartingState>>,
    planes: Option<Res<'w, ScanPlanes>>,
    clip: Option<Res<'w, ClipPlanes>>,
    window: Option<Res<'w, WindowLevel>>,
    body: Option<Res<'w, BodyPose>>,
    measurements: Option<Res<'w, Measurements>>,
    tool: Option<Res<'w, Tool>>,
    overlay: Option<Res<'w, Overlay>>,
    selection: Option<Res<'w, Selection>>,
    history: Option<Res<'w, History>>,
    bindings: Option<Res<'w, Bindings>>,
}

impl Shown<'_, '_> {
    fn is_changed(&self) -> bool {
        fn changed<T: Resource>(resource: &Option<Res<T>>) -> bool {
            resource.as_ref().is_some_and(|r| r.is_changed())
        }
        self.state.is_changed()
            || !self.changed.is_empty()
            || changed(&self.case)
            || changed(&self.planes)
            || changed(&self.clip)
            || changed(&self.window)
            || changed(&self.body)
            || changed(&self.measurements)
            || changed(&self.tool)
            || changed(&self.overlay)
            || changed(&self.selection)
            || changed(&self.history)
            || changed(&self.bindings)
    }
}

pub(super) fn rebuild(shown: Shown, mut panels: Query<&mut Panel>) {
    let state_changed = shown.is_changed();
    for mut panel in &mut panels {
        if !panel.open || !(state_changed || panel.is_changed()) {
            continue;
        }
        let mut rows = vec![tabs_row(panel.id)];
        rows.extend(match panel.id {
            PanelId::Structures => structures(&shown),
            PanelId::View => view(&shown),
            PanelId::Measurements => measurements(&shown),
            PanelId::Help => help(&shown),
        });
        // Only a real change may wake the renderer.
        if panel.rows != rows {
            panel.controls = layout::controls(&rows);
            panel.rows = rows;
            let scroll = panel.scroll_px.min(panel.longest_scroll_px());
            panel.scroll_px = scroll;
            let controls = panel.controls.len();
            panel.hovered = panel.hovered.filter(|i| *i < controls);
        }
    }
}

fn row(id: impl Into<String>, content: RowContent) -> Row {
    Row { id: id.into(), content }
}

fn heading(key: Text) -> Row {
    row(format!("heading {key:?}"), RowContent::Text { text: text(key).to_owned(), tone: TextTone::Heading })
}

/// One row for every line of a text.
fn lines(id: &str, words: &str, tone: TextTone) -> Vec<Row> {
    let mut broken: Vec<String> = Vec::new();
    for word in words.split_whitespace() {
        match broken.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= ROW_LETTERS => {
                line.push(' ');
                line.push_str(word);
            }
            _ => broken.push(word.to_owned()),
        }
    }
    let line = |(n, text)| row(format!("{id} {n}"), RowContent::Text { text, tone });
    broken.into_iter().enumerate().map(line).collect()
}

fn button(key: Text, request: impl Into<Request>) -> Button {
    Button { label: text(key).to_owned(), request: request.into(), on: false, enabled: true }
}

/// The way from each panel to the others, which a hand has no keys for.
fn tabs_row(open: PanelId) -> Row {
    let tab = |id: PanelId| {
        let key = match id {
            PanelId::Structures => Text::Structures,
            PanelId::View => Text::View,
            PanelId::Measurements => Text::Measurements,
            PanelId::Help => Text::HelpTab,
        };
        Button { on: id == open, ..button(key, PanelRequested::Open(id)) }
    };
    row("tabs", RowContent::Buttons(PanelId::ALL.map(tab).into()))
}

fn undo_row(shown: &Shown) -> Row {
    let (done, undone) = shown.history.as_ref().map_or((0, 0), |h| (h.done.len(), h.undone.len()));
    let undo = Button { enabled: done > 0, ..button(Text::Undo, HistoryRequested::Undo) };
    let redo = Button { enabled: undone > 0, ..button(Text::Redo, HistoryRequested::Redo) };
    row("undo", RowContent::Buttons(vec![undo, redo, button(Text::Reset, ResetRequested)]))
}

fn layers_row() -> Row {
    row(
        "layers",
        RowContent::Buttons(vec![
            button(Text::ShowAll, VisibilityRequested::ShowAll),
            button(Text::Peel, VisibilityRequested::Peel),
            button(Text::Unpeel, VisibilityRequested::Unpeel),
        ]),
    )
}

fn structures(shown: &Shown) -> Vec<Row> {
    let state = &shown.state;
    let (typed, focused) = (state.search.as_str(), state.search_focused);
    let words = if typed.is_empty() && !focused { text(Text::SearchHint) } else { typed };
    let mut rows =
        vec![row("search", RowContent::Search { text: words.to_owned(), focused }), layers_row(), undo_row(shown)];
    let mut segments: Vec<_> = shown.segments.iter().collect();
    if segments.is_empty() {
        rows.extend(lines("none", text(Text::NoCase), TextTone::Faint));
        return rows;
    }
    segments.retain(|(info, ..)| matches_search(info, typed));
    if segments.is_empty() {
        rows.extend(lines("nothing", text(Text::NothingFound), TextTone::Faint));
        return rows;
    }
    segments.sort_by(|(a, ..), (b, ..)| (a.peel_rank, &a.group, a.label).cmp(&(b.peel_rank, &b.group, b.label)));
    let selected = shown.selection.as_ref().and_then(|s| s.0);
    for group in segments.chunk_by(|(a, ..), (b, ..)| a.group == b.group) {
        let Some((first, ..)) = group.first() else { continue };
        let drawn = group.iter().filter(|(.., drawn, _)| drawn.visible).count();
        // What was searched for is never hidden in a fold.
        let unfolded = !typed.trim().is_empty() || !state.folded.contains(&first.group);
        rows.push(row(
            format!("group {}", first.group),
            RowContent::Group {
                group: first.group.clone(),
                label: first.group_display.clone(),
                drawn: [drawn, group.len()],
                unfolded,
            },
        ));
        if !unfolded {
            continue;
        }
        rows.extend(group.iter().map(|(info, look, drawn, honest)| {
            row(
                format!("segment {}", info.label),
                RowContent::Segment {
                    label: info.label,
                    display: info.display.clone(),
                    color: honest.map_or(info.color, |h| h.color),
                    visible: drawn.visible,
                    opacity: look.opacity,
                    solo: look.solo,
                    selected: selected == Some(info.label),
                    volume: volume_words(info.volume_ml),
                },
            )
        }));
    }
    rows
}

/// Three figures are what a segmentation is good for.
fn volume_words(ml: f64) -> String {
    if ml >= 1000.0 {
        format!("{:.2} l", ml * 1e-3)
    } else if ml >= 100.0 {
        format!("{ml:.0} ml")
    } else if ml >= 10.0 {
        format!("{ml:.1} ml")
    } else {
        format!("{ml:.2} ml")
    }
}

fn slider(id: &str, label: &str, fraction: f64, value: String, sets: SliderSets) -> Row {
    let fraction = if fraction.is_finite() { fraction.clamp(0.0, 1.0) as f32 } else { 0.0 };
    row(id, RowContent::Slider { label: label.to_owned(), fraction, value, sets })
}

fn view(shown: &Shown) -> Vec<Row> {
    let mut rows = Vec::new();
    rows.extend(plane_rows(shown));
    rows.extend(window_rows(shown));
    rows.extend(clip_rows(shown));
    rows.extend(size_rows(shown));
    rows.extend(truth_rows(shown));
    rows.push(layers_row());
    rows.push(undo_row(shown));
    rows.push(row("picture", RowContent::Buttons(vec![button(Text::Picture, PictureRequested { stem: None })])));
    rows
}

fn plane_rows(shown: &Shown) -> Vec<Row> {
    let (Some(planes), Some(case)) = (&shown.planes, &shown.case) else { return Vec::new() };
    let [low, high] = scan_range_mm(&case.geometry);
    let mut rows = vec![heading(Text::ScanPlanes)];
    for kind in PlaneKind::ALL {
        let name = text(match kind {
            PlaneKind::Axial => Text::Axial,
            PlaneKind::Coronal => Text::Coronal,
            PlaneKind::Sagittal => Text::Sagittal,
        });
        let plane = planes.get(kind);
        let request = PlanesRequested::Toggle(kind).into();
        rows.push(row(
            format!("plane {kind:?}"),
            RowContent::Toggle { label: name.to_owned(), on: plane.visible, request },
        ));
        if plane.visible {
            let range_mm = [low[kind.axis()], high[kind.axis()]];
            let fraction = (plane.position_mm - range_mm[0]) / (range_mm[1] - range_mm[0]);
            // DICOM's letter of the side the number counts towards.
            let letter = ["L", "P", "H"][kind.axis()];
            let value = format!("{letter} {:.1} mm", plane.position_mm);
            rows.push(slider(&format!("place {kind:?}"), name, fraction, value, SliderSets::Plane { kind, range_mm }));
        }
    }
    rows
}

fn window_rows(shown: &Shown) -> Vec<Row> {
    let (Some(window), Some(case)) = (&shown.window, &shown.case) else { return Vec::new() };
    let mut rows = vec![heading(Text::GreyValues)];
    let used = preset_in_use(**window, &case.windows);
    let buttons: Vec<Button> = case
        .windows
        .iter()
        .enumerate()
        .map(|(n, preset)| Button {
            label: preset.name.clone(),
            request: WindowRequested::Preset(preset.name.clone()).into(),
            on: used == Some(n),
            enabled: true,
        })
        .collect();
    rows.extend(
        buttons.chunks(3).enumerate().map(|(n, b)| row(format!("windows {n}"), RowContent::Buttons(b.to_vec()))),
    );
    // The sliders reach as far as any preset does, and a half further.
    let ends = case.windows.iter().map(|p| (p.center - p.width, p.center + p.width, p.width * 1.5));
    let start = (window.center - window.width, window.center + window.width, window.width * 1.5);
    let (low, high, widest) = ends.fold(start, |a, b| (a.0.min(b.0), a.1.max(b.1), a.2.max(b.2)));
    let fraction = f64::from((window.center - low) / (high - low));
    let center = SliderSets::WindowCenter { range: [low, high], width: window.width };
    rows.push(slider("center", text(Text::Center), fraction, format!("{:.0}", window.center), center));
    let fraction = f64::from((window.width - 1.0) / (widest - 1.0));
    let width = SliderSets::WindowWidth { range: [1.0, widest], center: window.center };
    rows.push(slider("width", text(Text::Width), fraction, format!("{:.0}", window.width), width));
    rows
}

fn clip_rows(shown: &Shown) -> Vec<Row> {
    let Some(plane) = shown.clip.as_ref().and_then(|c| c.active_plane()).copied() else { return Vec::new() };
    let align = |key, axis| button(key, ClipRequested::Align(axis));
    let toggle = RowContent::Toggle {
        label: text(Text::CutOn).to_owned(),
        on: plane.enabled,
        request: ClipRequested::Toggle.into(),
    };
    let mut rows = vec![
        heading(Text::Cut),
        row("cut", toggle),
        row(
            "cut from",
            RowContent::Buttons(vec![
                align(Text::FromFront, AnatomicalAxis::Anterior),
                align(Text::FromLeft, AnatomicalAxis::Left),
                align(Text::FromAbove, AnatomicalAxis::Superior),
                button(Text::Flip, ClipRequested::Flip),
            ]),
        ),
    ];
    if let Some(start) = &shown.start {
        let (sets, fraction, value) = clip_slider(plane, &start.extent);
        rows.push(slider("depth", text(Text::CutDepth), fraction, value, sets));
    }
    rows
}

/// The slider goes from where everything is cut away to where nothing is.
fn clip_slider(plane: ClipPlane, extent: &Extent) -> (SliderSets, f64, String) {
    let map = crate::frame::lps_from_body();
    let centre = map * extent.centre();
    let half: glam::DVec3 = extent.size() * 0.5;
    let (normal, _) = plane.in_body();
    let reach_mm = half.dot(normal.abs()) * 1e3;
    let at_mm = -plane.signed_distance_mm(centre);
    let base = ClipPlane { point: plane.point - plane.normal * at_mm, ..plane };
    let sets = SliderSets::Clip { plane: base, range_mm: [-reach_mm, reach_mm] };
    let depth_mm = reach_mm - at_mm;
    (sets, (at_mm + reach_mm) / (2.0 * reach_mm), format!("{depth_mm:.0} mm"))
}

fn size_rows(shown: &Shown) -> Vec<Row> {
    let Some(body) = &shown.body else { return Vec::new() };
    let [low, high] = MAGNIFICATION_RANGE;
    let size = body.magnification;
    let life_size = (size.0 - 1.0).abs() < 1e-6;
    let value = if life_size { text(Text::Life).to_owned() } else { format!("{:.1} ×", size.0) };
    let fraction = (size.0 / low).ln() / (high / low).ln();
    let back = LocomotionRequested::Magnify { to: space::Magnification::LIFE_SIZE, pivot: None };
    vec![
        heading(Text::Size),
        slider("size", text(Text::Magnification), fraction, value, SliderSets::Magnification),
        row("life size", RowContent::Buttons(vec![Button { on: life_size, ..button(Text::LifeSize, back) }])),
    ]
}

fn truth_rows(shown: &Shown) -> Vec<Row> {
    let Some(overlay) = &shown.overlay else { return Vec::new() };
    let choice =
        |key, wanted: Overlay| Button { on: **overlay == wanted, ..button(key, OverlayRequested::Show(wanted)) };
    let mut rows = vec![
        heading(Text::Truth),
        row(
            "truth 0",
            RowContent::Buttons(vec![
                choice(Text::OverlayOff, Overlay::None),
                choice(Text::OverlayProvenance, Overlay::Provenance),
            ]),
        ),
        row(
            "truth 1",
            RowContent::Buttons(vec![
                choice(Text::OverlaySurfaceError, Overlay::SurfaceError),
                choice(Text::OverlayConfidence, Overlay::Confidence),
            ]),
        ),
    ];
    let selected = shown.selection.as_ref().and_then(|s| s.0);
    let of_selected = shown.segments.iter().find(|(info, ..)| Some(info.label) == selected);
    if let Some((info, .., Some(honest))) = of_selected
        && !honest.words.is_empty()
    {
        rows.extend(lines("truth", &format!("{}: {}", info.display, honest.words), TextTone::Plain));
    }
    rows
}

fn measurements(shown: &Shown) -> Vec<Row> {
    let (Some(measurements), Some(tool)) = (&shown.measurements, &shown.tool) else { return Vec::new() };
    let measuring = **tool == Tool::Measure;
    let request = MeasureRequested::ToggleTool.into();
    let mut rows =
        vec![row("tool", RowContent::Toggle { label: text(Text::Measure).to_owned(), on: measuring, request })];
    if measuring {
        let hint = if measurements.pending.is_none() { Text::MeasureFirst } else { Text::MeasureSecond };
        rows.extend(lines("hint", text(hint), TextTone::Plain));
    }
    if measurements.list.is_empty() {
        rows.extend(lines("none", text(Text::NoMeasurements), TextTone::Faint));
        return rows;
    }
    let display = |name: &str| {
        let found = shown.segments.iter().find(|(info, ..)| info.name == name);
        found.map_or_else(|| name.to_owned(), |(info, ..)| info.display.clone())
    };
    rows.extend(measurements.list.iter().map(|m| {
        let [a, b] = [&m.ends[0].on, &m.ends[1].on].map(|name| display(name));
        let label = if a == b { a } else { format!("{a} – {b}") };
        row(
            format!("measurement {}", m.id),
            RowContent::Measurement { id: m.id, label, value: format!("{:.1} mm", m.length().0) },
        )
    }));
    rows.push(row("all", RowContent::Buttons(vec![button(Text::DeleteAll, MeasureRequested::Clear)])));
    rows
}

fn help(shown: &Shown) -> Vec<Row> {
    let mut rows = lines("device", text(Text::NotADevice), TextTone::Warning);
    for (device, lines) in shown.bindings.as_ref().map(|b| b.help()).unwrap_or_default() {
        rows.push(heading(match device {
            Device::Headset => Text::Headset,
            Device::Desktop => Text::KeyboardAndMouse,
            Device::Gamepad => Text::Gamepad,
        }));
        rows.extend(lines.into_iter().enumerate().map(|(n, (left, right))| {
            row(format!("help {device:?} {n}"), RowContent::Pair { left, right: right.to_owned() })
        }));
    }
    rows
}
