use super::*;
use crate::bindings::Bindings;
use crate::clip::ClipPlanes;
use crate::command::{History, HistoryRequested};
use crate::input::Input;
use crate::locomotion::{LocomotionRequested, Viewer};
use crate::measure::MeasureRequested;
use crate::planes::ScanPlanes;
use crate::pointer::Selection;
use crate::stage::{BodyPose, SegmentInfo};
use crate::test_support::{fake_case, head_case, large_case, send, staged_app};
use crate::visibility::{Drawn, SegmentLook, VisibilityRequested};
use ::space::Point;

fn panel(app: &mut App, id: PanelId) -> Panel {
    app.world_mut().query::<&Panel>().iter(app.world()).find(|p| p.id == id).unwrap().clone()
}

fn opened(id: PanelId) -> App {
    let mut app = staged_app(fake_case());
    send(&mut app, PanelRequested::Open(id));
    app
}

/// The middle of a control, as a pointer gives it; scrolls it into view first.
fn uv_of(app: &mut App, id: PanelId, row: &str, part: Part, fraction: f32) -> [f32; 2] {
    let find = |app: &mut App| {
        let panel = panel(app, id);
        let at = panel.rows.iter().position(|r| r.id == row).unwrap_or_else(|| panic!("no row {row}"));
        let control = panel.controls.iter().find(|c| c.row == at && c.part == part).expect("part").clone();
        (panel, control)
    };
    let (before, control) = find(app);
    let pixels = control.rect.y - before.scroll_px - before.size_px[1] * 0.5;
    send(app, PanelRequested::Scroll { panel: id, pixels });
    let (panel, RectPx { x, y, width, height }) = (panel(app, id), control.rect);
    [(x + width * fraction) / panel.size_px[0], (y + height * 0.5 - panel.scroll_px) / panel.size_px[1]]
}

fn pointer(panel: PanelId, uv: [f32; 2], pressed: bool) -> PanelPointer {
    PanelPointer { panel, uv: Some(uv), pressed }
}

fn click(app: &mut App, id: PanelId, row: &str, part: Part) {
    let uv = uv_of(app, id, row, part, 0.5);
    send(app, pointer(id, uv, false));
    send(app, pointer(id, uv, true));
    send(app, pointer(id, uv, false));
    app.update();
}

fn look(app: &mut App, name: &str) -> (SegmentLook, bool) {
    let mut segments = app.world_mut().query::<(&SegmentInfo, &SegmentLook, &Drawn)>();
    segments.iter(app.world()).find(|(i, ..)| i.name == name).map(|(_, l, d)| (*l, d.visible)).unwrap()
}

fn label(name: &str) -> Label {
    fake_case().segments.iter().find(|s| s.info.name == name).unwrap().info.label
}

#[test]
fn alone_it_opens_help() {
    let mut app = App::new();
    app.add_plugins(PanelPlugin);
    app.world_mut().write_message(PanelRequested::Toggle(PanelId::Help));
    app.update();
    let help = panel(&mut app, PanelId::Help);
    assert!(help.open && !help.rows.is_empty());
}

#[test]
fn controls_lie_inside_and_never_over_each_other() {
    let mut app = opened(PanelId::Structures);
    send(&mut app, MeasureRequested::Point { at: Point::ZERO, on: "heart".to_owned() });
    send(&mut app, MeasureRequested::Point { at: Point::new(1.0, 0.0, 0.0), on: "liver".to_owned() });
    for id in PanelId::ALL {
        send(&mut app, PanelRequested::Open(id));
        let panel = panel(&mut app, id);
        for (n, a) in panel.controls.iter().enumerate() {
            assert!(a.rect.x >= 0.0 && a.rect.x + a.rect.width <= panel.size_px[0], "{id:?} {a:?}");
            assert!(a.rect.width >= 20.0 && a.rect.height >= 20.0, "big enough to hit: {a:?}");
            for b in &panel.controls[n + 1..] {
                let apart = a.rect.x + a.rect.width <= b.rect.x
                    || b.rect.x + b.rect.width <= a.rect.x
                    || a.rect.y + a.rect.height <= b.rect.y
                    || b.rect.y + b.rect.height <= a.rect.y;
                assert!(apart, "{id:?}: {a:?} over {b:?}");
            }
        }
    }
}

#[test]
fn a_screen_shows_one_panel_at_a_time() {
    let mut app = opened(PanelId::Structures);
    send(&mut app, PanelRequested::Toggle(PanelId::View));
    assert!(panel(&mut app, PanelId::View).open && !panel(&mut app, PanelId::Structures).open);
    click_close(&mut app, PanelId::View);
    assert!(!panel(&mut app, PanelId::View).open);
}

fn click_close(app: &mut App, id: PanelId) {
    let panel = panel(app, id);
    let close = panel.controls.iter().find(|c| c.part == Part::Close).unwrap().rect;
    let uv = [(close.x + 5.0) / panel.size_px[0], (close.y + 5.0) / panel.size_px[1]];
    send(app, pointer(id, uv, true));
    app.update();
}

#[test]
fn eye_solo_and_name_of_a_segment_do_what_they_show() {
    let mut app = opened(PanelId::Structures);
    let row = format!("segment {}", label("kidney_left"));
    click(&mut app, PanelId::Structures, &row, Part::Eye);
    assert!(!look(&mut app, "kidney_left").1);
    click(&mut app, PanelId::Structures, &row, Part::Eye);
    assert!(look(&mut app, "kidney_left").1);
    click(&mut app, PanelId::Structures, &row, Part::Solo);
    assert!(look(&mut app, "kidney_left").1 && !look(&mut app, "kidney_right").1);
    click(&mut app, PanelId::Structures, &row, Part::Solo);
    assert!(look(&mut app, "kidney_right").1);
    click(&mut app, PanelId::Structures, &row, Part::Name);
    assert_eq!(app.world().resource::<Selection>().0, Some(label("kidney_left")));
    let shown = panel(&mut app, PanelId::Structures);
    let selected = shown.rows.iter().find(|r| r.id == row).map(|r| &r.content);
    assert!(matches!(selected, Some(RowContent::Segment { selected: true, .. })), "{selected:?}");
}

#[test]
fn dragging_a_slider_is_one_step_of_undo() {
    let mut app = opened(PanelId::Structures);
    let row = format!("segment {}", label("liver"));
    let at = |app: &mut App, fraction| uv_of(app, PanelId::Structures, &row, Part::Opacity, fraction);
    let (start, end) = (at(&mut app, 0.9), at(&mut app, 0.3));
    let steps = app.world().resource::<History>().done.len();
    for n in 0..10 {
        let f = n as f32 / 9.0;
        let uv = [start[0] + (end[0] - start[0]) * f, start[1]];
        send(&mut app, pointer(PanelId::Structures, uv, true));
    }
    // Beyond the slider's end it is still held.
    send(&mut app, pointer(PanelId::Structures, [0.99, start[1]], true));
    assert_eq!(look(&mut app, "liver").0.opacity, 1.0);
    send(&mut app, pointer(PanelId::Structures, [end[0], start[1]], true));
    send(&mut app, pointer(PanelId::Structures, [end[0], start[1]], false));
    assert!((look(&mut app, "liver").0.opacity - 0.3).abs() < 0.02, "{:?}", look(&mut app, "liver"));
    assert_eq!(app.world().resource::<History>().done.len(), steps + 1);
    send(&mut app, HistoryRequested::Undo);
    assert_eq!(look(&mut app, "liver").0.opacity, 1.0);
}

#[test]
fn groups_hide_and_fold() {
    let mut app = opened(PanelId::Structures);
    click(&mut app, PanelId::Structures, "group lung", Part::Eye);
    assert!(!look(&mut app, "lung_left").1 && !look(&mut app, "lung_right").1);
    let before = panel(&mut app, PanelId::Structures).rows.len();
    click(&mut app, PanelId::Structures, "group lung", Part::Fold);
    let folded = panel(&mut app, PanelId::Structures);
    assert_eq!(folded.rows.len(), before - 2);
    let group = folded.rows.iter().find(|r| r.id == "group lung").map(|r| r.content.clone());
    assert!(matches!(group, Some(RowContent::Group { drawn: [0, 2], unfolded: false, .. })), "{group:?}");
}

#[test]
fn a_large_case_begins_folded_and_search_unfolds_what_it_finds() {
    let mut app = staged_app(large_case(108, 4));
    send(&mut app, PanelRequested::Open(PanelId::Structures));
    let segments = |app: &mut App| {
        let rows = panel(app, PanelId::Structures).rows;
        rows.into_iter().filter(|r| matches!(r.content, RowContent::Segment { .. })).count()
    };
    assert_eq!(segments(&mut app), 0);
    send(&mut app, PanelKey::Text("x".to_owned()));
    app.update();
    assert_eq!(app.world().resource::<PanelState>().search, "", "not focused yet");
    click(&mut app, PanelId::Structures, "search", Part::Field);
    for letter in ["S", "T", "R", "_", "1", "0", "7"] {
        send(&mut app, PanelKey::Text(letter.to_owned()));
    }
    send(&mut app, PanelKey::Backspace);
    send(&mut app, PanelKey::Backspace);
    send(&mut app, PanelKey::Backspace);
    send(&mut app, PanelKey::Backspace);
    assert_eq!(app.world().resource::<PanelState>().search, "STR");
    assert_eq!(segments(&mut app), 108);
    send(&mut app, PanelRequested::Search("structure_107".to_owned()));
    assert_eq!(segments(&mut app), 1);
    send(&mut app, PanelRequested::Search("no such thing".to_owned()));
    assert_eq!(segments(&mut app), 0);
    send(&mut app, PanelKey::Escape);
    let state = app.world().resource::<PanelState>();
    assert_eq!((state.search.as_str(), state.search_focused), ("", false));
}

#[test]
fn the_view_panel_moves_planes_cut_window_and_size() {
    let mut app = opened(PanelId::View);
    click(&mut app, PanelId::View, "plane Axial", Part::Toggle);
    assert!(app.world().resource::<ScanPlanes>().axial.visible);
    let uv = uv_of(&mut app, PanelId::View, "place Axial", Part::Slider, 0.0);
    send(&mut app, pointer(PanelId::View, uv, true));
    app.update();
    send(&mut app, pointer(PanelId::View, uv, false));
    assert_eq!(app.world().resource::<ScanPlanes>().axial.position_mm, 780.0, "the scan's lowest slice");
    click(&mut app, PanelId::View, "windows 0", Part::Button(1));
    assert_eq!(app.world().resource::<crate::window_level::WindowLevel>().center, -600.0);
    click(&mut app, PanelId::View, "cut", Part::Toggle);
    click(&mut app, PanelId::View, "cut from", Part::Button(2));
    let plane = app.world().resource::<ClipPlanes>().planes[0];
    assert!(plane.enabled && plane.normal.z > 0.999, "from above");
    click(&mut app, PanelId::View, "depth", Part::Slider);
    let middle = app.world().resource::<ClipPlanes>().planes[0].point;
    assert!((middle.z - 1200.0).abs() < 5.0, "half way is the middle of the body: {middle:?}");
    let uv = uv_of(&mut app, PanelId::View, "depth", Part::Slider, 0.999);
    send(&mut app, pointer(PanelId::View, uv, true));
    let top = app.world().resource::<ClipPlanes>().planes[0].point;
    assert!(top.z > 1600.0, "to the right nothing is cut away: {top:?}");
    send(&mut app, pointer(PanelId::View, uv, false));
    click(&mut app, PanelId::View, "size", Part::Slider);
    let size = app.world().resource::<BodyPose>().magnification.0;
    assert!((size - 20f64.sqrt()).abs() < 0.1, "half way is √20: {size}");
    click(&mut app, PanelId::View, "life size", Part::Button(0));
    assert!((app.world().resource::<BodyPose>().magnification.0 - 1.0).abs() < 1e-9);
}

#[test]
fn measurements_are_listed_and_deleted() {
    let mut app = opened(PanelId::Measurements);
    click(&mut app, PanelId::Measurements, "tool", Part::Toggle);
    send(&mut app, MeasureRequested::Point { at: Point::ZERO, on: "heart".to_owned() });
    send(&mut app, MeasureRequested::Point { at: Point::new(34.2, 0.0, 0.0), on: "liver".to_owned() });
    let rows = panel(&mut app, PanelId::Measurements).rows;
    let shown = rows.iter().find(|r| r.id == "measurement 0").map(|r| r.content.clone());
    let expected = RowContent::Measurement { id: 0, label: "Heart – Liver".to_owned(), value: "34.2 mm".to_owned() };
    assert_eq!(shown, Some(expected));
    click(&mut app, PanelId::Measurements, "measurement 0", Part::Delete);
    assert!(panel(&mut app, PanelId::Measurements).rows.iter().all(|r| r.id != "measurement 0"));
}

#[test]
fn help_prints_the_bindings_in_force() {
    let mut app = opened(PanelId::Help);
    let table = Bindings::parse(include_str!("../../../../xr-config/desktop.ron"), "desktop.ron").unwrap();
    let lines = table.help().iter().map(|(_, lines)| lines.len()).sum::<usize>();
    app.insert_resource(table);
    app.update();
    let rows = panel(&mut app, PanelId::Help).rows;
    assert_eq!(rows.iter().filter(|r| matches!(r.content, RowContent::Pair { .. })).count(), lines);
    assert!(rows.iter().any(|r| matches!(&r.content, RowContent::Text { text, .. } if text.contains("Not a medical"))));
}

#[test]
fn a_hand_presses_a_panel_in_space_and_not_the_body_behind_it() {
    let mut app = staged_app(head_case());
    app.insert_resource(PanelHome::InFront);
    send(&mut app, PanelRequested::Open(PanelId::View));
    let (viewer, rig) = (app.world().resource::<Viewer>().0, *app.world().resource::<crate::locomotion::Rig>());
    let mut panels = app.world_mut().query::<(&Panel, &PanelPlacement)>();
    let (shown, placement) = panels.iter(app.world()).find(|(p, _)| p.open).map(|(p, at)| (p.clone(), *at)).unwrap();
    let PanelPlacement::Scene { pose, width_m } = placement else { panic!("in the scene") };
    assert!(pose.position.distance(viewer.position) < 1.0);
    let row = shown.rows.iter().position(|r| r.id == "plane Axial").unwrap();
    let rect = shown.controls.iter().find(|c| c.row == row).unwrap().rect;
    let metres = width_m / f64::from(shown.size_px[0]);
    let local = glam::DVec3::new(
        (f64::from(rect.x + rect.width * 0.5) - f64::from(shown.size_px[0]) * 0.5) * metres,
        (f64::from(shown.size_px[1]) * 0.5 - f64::from(rect.y + rect.height * 0.5)) * metres,
        0.0,
    );
    let target = pose.position.get() + pose.rotation.as_dquat() * local;
    let from = target + pose.rotation.as_dquat() * glam::DVec3::new(0.0, 0.0, 0.3);
    let mut aim = Pose::IDENTITY;
    aim.position = (from - rig.position.get()).into();
    let hand = crate::hands::HandTracking { grip: aim, aim, joints: Vec::new() };
    let head = app.world().resource::<crate::hands::HeadPose>().0;
    let poses = crate::hands::PosesMoved { head, left: None, right: Some(Box::new(hand)) };
    let press = crate::pointer::PointerId::Hand(crate::hands::Hand::Right);
    app.world_mut().resource_mut::<Selection>().0 = Some(1);
    send(&mut app, poses);
    send(&mut app, crate::pointer::PointerRequested::Press(press));
    app.update();
    assert!(app.world().resource::<ScanPlanes>().axial.visible);
    assert_eq!(app.world().resource::<Selection>().0, Some(1), "the press belonged to the panel");
    send(&mut app, crate::pointer::PointerRequested::Release(press));
    send(&mut app, PanelRequested::CloseAll);
    app.update();
    let mut pointers = app.world_mut().query::<&crate::pointer::Pointer>();
    assert!(pointers.iter(app.world()).all(|p| !p.over_panel), "no panel, no hold on the pointer");
}

#[test]
fn panels_in_space_take_each_others_place() {
    let mut app = staged_app(fake_case());
    app.insert_resource(PanelHome::InFront);
    send(&mut app, PanelRequested::Open(PanelId::Structures));
    let placement = |app: &mut App| {
        let mut panels = app.world_mut().query::<(&Panel, &PanelPlacement)>();
        let open: Vec<_> = panels.iter(app.world()).filter(|(p, _)| p.open).map(|(p, at)| (p.id, *at)).collect();
        assert_eq!(open.len(), 1, "one at a time");
        open[0]
    };
    let first = placement(&mut app);
    send(&mut app, LocomotionRequested::Look { yaw_rad: 0.5, pitch_rad: 0.0 });
    let rows = panel(&mut app, PanelId::Structures).rows;
    let tabs = rows.iter().find(|r| r.id == "tabs").map(|r| r.content.clone());
    let Some(RowContent::Buttons(tabs)) = tabs else { panic!("no way to the other panels") };
    assert_eq!(tabs.iter().map(|tab| tab.on).collect::<Vec<_>>(), [true, false, false, false]);
    app.world_mut().write_message(Input(tabs[1].request.clone()));
    app.update();
    assert_eq!(placement(&mut app), (PanelId::View, first.1));
    send(&mut app, PanelRequested::CloseAll);
    send(&mut app, PanelRequested::Open(PanelId::View));
    assert_ne!(placement(&mut app).1, first.1, "opened anew it hangs in front of the head as it is now");
}

#[test]
fn an_open_panel_is_left_alone_while_nothing_changes() {
    let mut app = opened(PanelId::Structures);
    app.update();
    let tick = |app: &mut App| {
        let mut panels = app.world_mut().query::<Ref<Panel>>();
        panels.iter(app.world()).map(|p| p.last_changed().get()).max()
    };
    let before = tick(&mut app);
    for _ in 0..10 {
        send(&mut app, Input::from(LocomotionRequested::Look { yaw_rad: 0.01, pitch_rad: 0.0 }));
    }
    assert_eq!(tick(&mut app), before, "looking round must not rebuild panels");
    send(&mut app, VisibilityRequested::Peel);
    assert_ne!(tick(&mut app), before);
}
