use super::*;
use crate::clip::{AnatomicalAxis, ClipRequested};
use crate::input::Input;
use crate::locomotion::{LocomotionRequested, Side, Viewer};
use crate::measure::MeasureRequested;
use crate::planes::{PlaneKind, PlanesRequested};
use crate::test_support::{fake_case, head_case, send, staged_app};
use crate::visibility::{Drawn, Target, VisibilityRequested};
use crate::window_level::WindowRequested;
use proptest::prelude::*;
use space::{Magnification, Point};

/// Everything undo must bring back, and what is drawn because of it.
#[derive(Clone, Debug, PartialEq)]
struct State {
    looks: Vec<(Label, SegmentLook, Drawn)>,
    peeled: Peeled,
    clip: ClipPlanes,
    planes: ScanPlanes,
    window: WindowLevel,
    measurements: Vec<crate::measure::Measurement>,
    body: BodyPose,
}

fn state(app: &mut App) -> State {
    let mut segments = app.world_mut().query::<(&SegmentInfo, &SegmentLook, &Drawn)>();
    let mut looks: Vec<_> = segments.iter(app.world()).map(|(i, l, d)| (i.label, *l, *d)).collect();
    looks.sort_by_key(|(label, ..)| *label);
    let world = app.world();
    State {
        looks,
        peeled: world.resource::<Peeled>().clone(),
        clip: world.resource::<ClipPlanes>().clone(),
        planes: *world.resource::<ScanPlanes>(),
        window: *world.resource::<WindowLevel>(),
        measurements: world.resource::<Measurements>().list.clone(),
        body: *world.resource::<BodyPose>(),
    }
}

fn steps(app: &App) -> [usize; 2] {
    let history = app.world().resource::<History>();
    [history.done.len(), history.undone.len()]
}

#[test]
fn alone_it_tracks_what_is_there() {
    let mut app = App::new();
    app.add_plugins((CommandPlugin, crate::clip::ClipPlugin));
    app.update();
    app.world_mut().write_message(ClipRequested::Toggle);
    app.update();
    assert!(app.world().resource::<ClipPlanes>().planes[0].enabled);
    app.world_mut().write_message(HistoryRequested::Undo);
    app.update();
    assert!(!app.world().resource::<ClipPlanes>().planes[0].enabled);
    app.world_mut().write_message(HistoryRequested::Redo);
    app.update();
    assert!(app.world().resource::<ClipPlanes>().planes[0].enabled);
}

#[test]
fn undo_with_nothing_to_undo_does_nothing() {
    let mut app = staged_app(fake_case());
    let before = state(&mut app);
    send(&mut app, HistoryRequested::Undo);
    send(&mut app, HistoryRequested::Redo);
    assert_eq!(state(&mut app), before);
}

#[test]
fn a_new_act_forgets_what_was_undone() {
    let mut app = staged_app(fake_case());
    send(&mut app, ClipRequested::Toggle);
    send(&mut app, HistoryRequested::Undo);
    assert_eq!(steps(&app), [0, 1]);
    send(&mut app, VisibilityRequested::Peel);
    assert_eq!(steps(&app), [1, 0]);
}

#[test]
fn a_drag_is_one_step_and_a_pause_begins_another() {
    let mut app = staged_app(fake_case());
    for _ in 0..30 {
        send(&mut app, ClipRequested::Move { millimetres: 1.0 });
    }
    assert_eq!(steps(&app), [1, 0]);
    for _ in 0..60 {
        app.update();
    }
    send(&mut app, ClipRequested::Move { millimetres: 1.0 });
    assert_eq!(steps(&app), [2, 0]);
    send(&mut app, HistoryRequested::Undo);
    send(&mut app, HistoryRequested::Undo);
    assert_eq!(*app.world().resource::<ClipPlanes>(), app.world().resource::<StartingState>().clip);
}

#[test]
fn the_walkers_own_steps_are_not_undone() {
    let mut app = staged_app(fake_case());
    send(&mut app, LocomotionRequested::SnapTurn(Side::Left));
    send(&mut app, LocomotionRequested::Teleport { target: Point::new(1.0, 0.0, 3.0) });
    let before = *app.world().resource::<Viewer>();
    assert_eq!(steps(&app), [0, 0]);
    send(&mut app, HistoryRequested::Undo);
    assert_eq!(*app.world().resource::<Viewer>(), before);
}

#[test]
fn a_reset_brings_everything_back_but_measurements_and_can_be_undone() {
    let mut app = staged_app(fake_case());
    let (start, start_view) = (state(&mut app), *app.world().resource::<Viewer>());
    let point = |l| MeasureRequested::Point { at: Point::new(l, 0.0, 0.0), on: "liver".to_owned() };
    for input in [
        Input::from(point(0.0)),
        Input::from(point(5.0)),
        Input::from(VisibilityRequested::Peel),
        Input::from(VisibilityRequested::Solo(Target::Named("liver".to_owned()))),
        Input::from(ClipRequested::Enable(true)),
        Input::from(PlanesRequested::Toggle(PlaneKind::Axial)),
        Input::from(WindowRequested::NextPreset),
        Input::from(LocomotionRequested::Magnify { to: Magnification(8.0), pivot: None }),
        Input::from(LocomotionRequested::Look { yaw_rad: 1.0, pitch_rad: 0.5 }),
        Input::from(LocomotionRequested::Teleport { target: Point::new(2.0, 0.0, -1.0) }),
    ] {
        send(&mut app, input);
    }
    let (before, view) = (state(&mut app), *app.world().resource::<Viewer>());
    send(&mut app, ResetRequested);
    let reset = state(&mut app);
    assert_eq!(reset, State { measurements: before.measurements.clone(), ..start });
    assert_eq!(reset.measurements.len(), 1);
    assert_eq!(*app.world().resource::<Viewer>(), start_view);
    send(&mut app, HistoryRequested::Undo);
    assert_eq!(state(&mut app), before);
    assert_eq!(*app.world().resource::<Viewer>(), view);
}

#[test]
fn another_case_begins_with_an_empty_history() {
    let mut app = staged_app(fake_case());
    send(&mut app, ClipRequested::Toggle);
    app.world_mut().write_message(crate::stage::StageRequested(std::sync::Arc::new(head_case())));
    app.update();
    app.update();
    assert_eq!(steps(&app), [0, 0]);
}

fn any_target() -> impl Strategy<Value = Target> {
    prop_oneof![
        (1u16..14).prop_map(Target::Segment),
        Just(Target::Group("lung".to_owned())),
        Just(Target::Group("bone".to_owned())),
        Just(Target::All),
        Just(Target::Pointed),
        Just(Target::Selected),
    ]
}

fn any_visibility() -> impl Strategy<Value = VisibilityRequested> {
    use VisibilityRequested::{Fade, Hide, Peel, Show, ShowAll, Solo, Toggle, ToggleGlass, Unpeel};
    prop_oneof![
        any_target().prop_map(Show),
        any_target().prop_map(Hide),
        any_target().prop_map(Toggle),
        any_target().prop_map(Solo),
        any_target().prop_map(ToggleGlass),
        (any_target(), -0.5f32..1.5).prop_map(|(target, opacity)| Fade { target, opacity }),
        Just(ShowAll),
        Just(Peel),
        Just(Unpeel),
    ]
}

fn any_input() -> impl Strategy<Value = Input> {
    let kind = prop_oneof![Just(PlaneKind::Axial), Just(PlaneKind::Coronal), Just(PlaneKind::Sagittal)];
    let axis = prop_oneof![Just(AnatomicalAxis::Left), Just(AnatomicalAxis::Superior), Just(AnatomicalAxis::Posterior)];
    prop_oneof![
        4 => any_visibility().prop_map(Input::from),
        1 => axis.prop_map(|a| ClipRequested::Align(a).into()),
        1 => (-90.0..90.0f64).prop_map(|millimetres| ClipRequested::Move { millimetres }.into()),
        1 => prop_oneof![Just(ClipRequested::Toggle), Just(ClipRequested::Flip), Just(ClipRequested::Reset)]
            .prop_map(Input::from),
        1 => (kind.clone(), -40i32..40).prop_map(|(kind, slices)| PlanesRequested::Step { kind, slices }.into()),
        1 => kind.prop_map(|kind| PlanesRequested::Toggle(kind).into()),
        1 => (-90.0f32..90.0, -90.0f32..90.0)
            .prop_map(|(center, width)| WindowRequested::Adjust { center, width }.into()),
        1 => Just(WindowRequested::NextPreset.into()),
        1 => (0.5..2.0f64).prop_map(|factor| LocomotionRequested::MagnifyBy { factor, pivot: None }.into()),
        1 => (-9.0..9.0f64).prop_map(|l| {
            MeasureRequested::Point { at: Point::new(l, 0.0, 0.0), on: "liver".to_owned() }.into()
        }),
        1 => (0u32..4).prop_map(|id| MeasureRequested::Delete { id }.into()),
        1 => Just(ResetRequested.into()),
        1 => prop_oneof![Just(HistoryRequested::Undo), Just(HistoryRequested::Redo)].prop_map(Input::from),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn undoing_all_leads_back_and_redoing_all_forth(
        frames in prop::collection::vec(prop::collection::vec(any_input(), 0..3), 1..24),
    ) {
        let mut app = staged_app(fake_case());
        let start = state(&mut app);
        for frame in frames {
            for input in frame {
                app.world_mut().write_message(input);
            }
            app.update();
        }
        while steps(&app)[1] > 0 {
            send(&mut app, HistoryRequested::Redo);
        }
        let end = state(&mut app);
        while steps(&app)[0] > 0 {
            send(&mut app, HistoryRequested::Undo);
        }
        prop_assert_eq!(state(&mut app), start);
        while steps(&app)[1] > 0 {
            send(&mut app, HistoryRequested::Redo);
        }
        prop_assert_eq!(state(&mut app), end);
    }
}
