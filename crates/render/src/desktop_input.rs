//! Mouse, keyboard and gamepad of a window, as inputs of the walk by its table of bindings.

use bevy::input::ButtonState;
use bevy::input::keyboard::{Key, KeyboardInput};
use bevy::input::mouse::{AccumulatedMouseMotion, AccumulatedMouseScroll, MouseScrollUnit};
use bevy::prelude::*;
use bevy::window::{CursorGrabMode, CursorOptions, PrimaryWindow};
use walkthrough::bindings::{Action, ActionFrame, Binding, Bindings, Source, requests};
use walkthrough::comfort::Comfort;
use walkthrough::frame::Ray;
use walkthrough::input::Input;
use walkthrough::locomotion::{LocomotionRequested, Viewer};
use walkthrough::panel::{Panel, PanelId, PanelKey, PanelPlacement, PanelPointer, PanelRequested, PanelState};
use walkthrough::pointer::{PointerId, PointerRequested};

use crate::panel::PanelOverlay;
use crate::plugin::DisplayKind;
use crate::span::{systems_clock, timed};
use crate::view::DesktopCamera;

/// Reads the devices of a window.
pub(crate) struct DesktopInputPlugin;

impl Plugin for DesktopInputPlugin {
    fn build(&self, app: &mut App) {
        let clock = systems_clock(app);
        app.init_resource::<Looking>().init_resource::<Bindings>().init_resource::<Comfort>().add_systems(
            PreUpdate,
            (
                timed(&clock, look_or_point),
                timed(&clock, point_at_panels),
                timed(&clock, type_words),
                timed(&clock, act),
            )
                .chain()
                .after(bevy::input::InputSystems)
                .run_if(|kind: Res<DisplayKind>| *kind == DisplayKind::Window),
        );
    }
}

/// Who has the mouse.
#[derive(Resource, Clone, Copy, Debug, Default, PartialEq)]
struct Looking {
    /// The view, until told otherwise: the pointer is hidden and the crosshair points.
    captured: bool,
    /// The view, while the right button is down.
    held: bool,
    /// How far the mouse went since the right button went down, in counts.
    travelled: f32,
    /// Over a panel on the screen.
    over_panel: Option<PanelId>,
}

impl Looking {
    fn turns_view(self) -> bool {
        self.captured || self.held
    }
}

/// A right click that moves the mouse less than this, in counts, captures it or lets it go.
const CLICK_COUNTS: f32 = 6.0;

/// Panel pixels of a notch of the wheel.
const SCROLL_PX: f32 = 60.0;

/// Bevy's name of a button, key or axis: what the table of bindings calls it.
fn name(control: impl std::fmt::Debug) -> String {
    format!("{control:?}")
}

fn is_bound(bindings: &Bindings, does: Action, on: &Source) -> bool {
    bindings.0.iter().any(|binding| binding.does == does && binding.on == *on)
}

/// Right button held or clicked: the mouse turns the view; else it points.
fn look_or_point(
    mut looking: ResMut<Looking>,
    buttons: Res<ButtonInput<MouseButton>>,
    keys: Res<ButtonInput<KeyCode>>,
    motion: Res<AccumulatedMouseMotion>,
    bindings: Res<Bindings>,
    panels: Query<&Panel>,
    state: Option<Res<PanelState>>,
    mut windows: Query<(&Window, &mut CursorOptions), With<PrimaryWindow>>,
    cameras: Query<(&Camera, &GlobalTransform), With<DesktopCamera>>,
    mut inputs: MessageWriter<Input>,
    mut was_aimed: Local<bool>,
) {
    let Ok((window, mut cursor)) = windows.single_mut() else { return };
    let before = *looking;
    if buttons.just_pressed(MouseButton::Right) {
        looking.held = true;
        looking.travelled = 0.0;
    }
    looking.travelled += motion.delta.length();
    if buttons.just_released(MouseButton::Right) {
        if looking.travelled < CLICK_COUNTS {
            looking.captured = !before.captured;
        }
        looking.held = false;
    }
    let is_typing = state.is_some_and(|state| state.search_focused);
    let lets_go = keys.get_just_pressed().any(|key| is_bound(&bindings, Action::Back, &Source::Key(name(key))));
    if !window.focused || (lets_go && !is_typing && panels.iter().all(|panel| !panel.open)) {
        (looking.captured, looking.held) = (false, false);
    }
    if looking.turns_view() != before.turns_view() || cursor.is_added() {
        let is_turning = looking.turns_view();
        cursor.visible = !is_turning;
        cursor.grab_mode = if is_turning { CursorGrabMode::Locked } else { CursorGrabMode::None };
    }
    // A free mouse carries the crosshair; a captured one leaves it in the middle.
    let free = window.cursor_position().filter(|_| !looking.turns_view() && looking.over_panel.is_none());
    let ray = free.zip(cameras.iter().next()).and_then(|(at, (camera, transform))| {
        let ray = camera.viewport_to_world(transform, at).ok()?;
        Some(Ray { origin: point(ray.origin), direction: point(*ray.direction).get().normalize_or_zero().into() })
    });
    if ray.is_some() || *was_aimed {
        *was_aimed = ray.is_some();
        inputs.write(PointerRequested::AimCrosshair(ray).into());
    }
}

fn point(at: Vec3) -> space::Point<space::Scene> {
    space::Point::new(at.x.into(), at.y.into(), at.z.into())
}

/// The mouse over a panel on the screen presses and scrolls it.
fn point_at_panels(
    mut looking: ResMut<Looking>,
    buttons: Res<ButtonInput<MouseButton>>,
    scroll: Res<AccumulatedMouseScroll>,
    windows: Query<&Window, With<PrimaryWindow>>,
    panels: Query<(&Panel, &PanelPlacement)>,
    overlays: Query<(&PanelOverlay, &ComputedNode, &UiGlobalTransform)>,
    mut sent: Local<Option<PanelPointer>>,
    mut inputs: MessageWriter<Input>,
) {
    let cursor = windows.iter().next().and_then(Window::physical_cursor_position).filter(|_| !looking.turns_view());
    let is_open =
        |id: PanelId| panels.iter().any(|(p, place)| p.id == id && p.open && *place == PanelPlacement::Screen);
    let met = cursor.and_then(|cursor| {
        overlays.iter().filter(|(overlay, ..)| is_open(overlay.0)).find_map(|(overlay, node, place)| {
            let size = node.size;
            let uv = (cursor - place.translation + size / 2.0) / size;
            let is_inside = uv.cmpge(Vec2::ZERO).all() && uv.cmple(Vec2::ONE).all();
            is_inside.then_some((overlay.0, uv.to_array()))
        })
    });
    let pressed = buttons.pressed(MouseButton::Left) || buttons.just_pressed(MouseButton::Left);
    // A slider may be dragged beyond its panel.
    let dragged = sent.filter(|last| last.pressed && pressed && met.is_none_or(|(id, _)| id != last.panel));
    let now = match (met, dragged) {
        (_, Some(last)) => Some(last),
        (Some((panel, uv)), None) => {
            let began_outside = pressed && !buttons.just_pressed(MouseButton::Left) && sent.is_none_or(|s| !s.pressed);
            Some(PanelPointer { panel, uv: Some(uv), pressed: pressed && !began_outside })
        }
        (None, None) => None,
    };
    looking.over_panel = now.map(|pointer| pointer.panel);
    if now == *sent {
        if let (Some(pointer), true) = (now, scroll.delta.y != 0.0) {
            let notches = match scroll.unit {
                MouseScrollUnit::Line => scroll.delta.y * SCROLL_PX,
                MouseScrollUnit::Pixel => scroll.delta.y,
            };
            inputs.write(PanelRequested::Scroll { panel: pointer.panel, pixels: -notches }.into());
        }
        return;
    }
    if let Some(last) = *sent
        && now.is_none_or(|pointer| pointer.panel != last.panel)
    {
        inputs.write(PanelPointer { uv: None, pressed: false, ..last }.into());
    }
    if let Some(pointer) = now {
        inputs.write(pointer.into());
    }
    *sent = now;
}

/// Keys go to the search field while it has the focus.
fn type_words(
    mut keys: MessageReader<KeyboardInput>,
    state: Option<Res<PanelState>>,
    mut inputs: MessageWriter<Input>,
) {
    let is_focused = state.is_some_and(|state| state.search_focused);
    for key in keys.read() {
        if !is_focused || key.state != ButtonState::Pressed {
            continue;
        }
        let typed = match &key.logical_key {
            Key::Backspace => Some(PanelKey::Backspace),
            Key::Enter => Some(PanelKey::Enter),
            Key::Escape => Some(PanelKey::Escape),
            _ => key
                .text
                .as_ref()
                .filter(|text| !text.chars().any(char::is_control))
                .map(|text| PanelKey::Text(text.to_string())),
        };
        if let Some(typed) = typed {
            inputs.write(typed.into());
        }
    }
}

/// Everything the table binds.
fn act(
    looking: Res<Looking>,
    bindings: Res<Bindings>,
    comfort: Res<Comfort>,
    state: Option<Res<PanelState>>,
    time: Res<Time>,
    (keys, buttons): (Res<ButtonInput<KeyCode>>, Res<ButtonInput<MouseButton>>),
    (motion, scroll): (Res<AccumulatedMouseMotion>, Res<AccumulatedMouseScroll>),
    gamepads: Query<&Gamepad>,
    viewer: Res<Viewer>,
    pointers: Query<&walkthrough::pointer::Pointer>,
    mut inputs: MessageWriter<Input>,
) {
    let devices = Devices {
        keys: if state.is_some_and(|state| state.search_focused) { Keys::default() } else { Keys::read(&keys) },
        buttons: if looking.over_panel.is_some() { Vec::new() } else { down(&*buttons) },
        motion: if looking.turns_view() { motion.delta } else { Vec2::ZERO },
        notches: if looking.over_panel.is_some() { 0.0 } else { notches(&scroll) },
        gamepads: gamepads.iter().collect(),
    };
    let frame = action_frame(&bindings.0, &devices, time.delta_secs());
    for request in requests(&frame) {
        inputs.write(Input(request));
    }
    if frame.pressed.contains(&Action::Teleport) {
        let aimed = pointers.iter().find(|pointer| pointer.id == PointerId::Crosshair).and_then(|pointer| pointer.ray);
        let ray = aimed.unwrap_or(Ray { origin: viewer.0.position, direction: viewer.0.forward() });
        if let Some(target) = floor_under(&ray, comfort.teleport_reach_m) {
            inputs.write(LocomotionRequested::Teleport { target }.into());
        }
    }
    let lets_go = bindings.0.iter().filter(|binding| binding.does == Action::Select).any(|binding| match &binding.on {
        Source::MouseButton(wanted) => buttons.get_just_released().any(|button| name(button) == *wanted),
        _ => false,
    });
    if lets_go {
        inputs.write(PointerRequested::Release(PointerId::Crosshair).into());
    }
}

/// Where a ray meets the floor, if it does within reach.
fn floor_under(ray: &Ray, reach_m: f64) -> Option<space::Point<space::Scene>> {
    if ray.direction.y >= -1e-3 {
        return None;
    }
    let mut target = ray.at(-ray.origin.y / ray.direction.y);
    let away = (target - ray.origin).get();
    let level = away.x.hypot(away.z);
    target.y = 0.0;
    (level <= reach_m).then_some(target)
}

fn notches(scroll: &AccumulatedMouseScroll) -> f32 {
    match scroll.unit {
        MouseScrollUnit::Line => scroll.delta.y,
        MouseScrollUnit::Pixel => scroll.delta.y / 100.0,
    }
}

/// What is down, and what went down and up again within the frame: a short tap on a slow machine counts too.
fn down<T>(input: &ButtonInput<T>) -> Vec<Pressed>
where
    T: Copy + Eq + std::hash::Hash + std::fmt::Debug + Send + Sync + 'static,
{
    let tapped = input.get_just_pressed().filter(|button| !input.pressed(**button));
    let held = input.get_pressed();
    held.chain(tapped).map(|button| Pressed { name: name(button), just: input.just_pressed(*button) }).collect()
}

/// A key or button that is down.
#[derive(Clone, Debug, PartialEq)]
struct Pressed {
    name: String,
    just: bool,
}

/// Keys that are down, and the two that change what others mean.
#[derive(Clone, Debug, Default)]
struct Keys {
    pressed: Vec<Pressed>,
    ctrl: bool,
    shift: bool,
}

impl Keys {
    fn read(keys: &ButtonInput<KeyCode>) -> Self {
        let is_down = |either: [KeyCode; 2]| keys.any_pressed(either) || keys.any_just_pressed(either);
        Self {
            pressed: down(keys),
            ctrl: is_down([KeyCode::ControlLeft, KeyCode::ControlRight]),
            shift: is_down([KeyCode::ShiftLeft, KeyCode::ShiftRight]),
        }
    }

    fn find(&self, wanted: &str) -> Option<&Pressed> {
        self.pressed.iter().find(|key| key.name == wanted)
    }
}

/// What the devices say this frame.
struct Devices<'a> {
    keys: Keys,
    buttons: Vec<Pressed>,
    motion: Vec2,
    notches: f32,
    gamepads: Vec<&'a Gamepad>,
}

/// A stick's rest, in parts of its way: nothing below it moves anybody.
const DEAD_ZONE: f32 = 0.12;

/// How far a control is, 0 to 1 (a mouse: counts), and how often it went down this frame.
fn read(source: &Source, bindings: &[Binding], devices: &Devices) -> (f32, u32) {
    let held = |pressed: Option<&Pressed>| pressed.map_or((0.0, 0), |p| (1.0, u32::from(p.just)));
    let keys = &devices.keys;
    let has = |other: Source| bindings.iter().any(|binding| binding.on == other);
    match source {
        Source::Key(wanted) => {
            // With Ctrl or Shift a key may mean something of its own, and then it does not mean this.
            let is_other = (keys.ctrl && has(Source::CtrlKey(wanted.clone())))
                || (keys.shift && has(Source::ShiftKey(wanted.clone())));
            held(keys.find(wanted).filter(|_| !is_other))
        }
        Source::CtrlKey(wanted) => held(keys.find(wanted).filter(|_| keys.ctrl)),
        Source::ShiftKey(wanted) => held(keys.find(wanted).filter(|_| keys.shift)),
        Source::MouseButton(wanted) => held(devices.buttons.iter().find(|button| button.name == *wanted)),
        Source::MouseMotion(axis) => match axis.as_str() {
            "X" => (devices.motion.x, 0),
            // Bevy's counts go down; the table's go up.
            "Y" => (-devices.motion.y, 0),
            _ => (0.0, 0),
        },
        Source::MouseWheel(way) => {
            let turned = match way.as_str() {
                "Up" => devices.notches,
                "Down" => -devices.notches,
                _ => 0.0,
            };
            let times = if turned > 0.0 { turned.ceil().min(20.0) as u32 } else { 0 };
            (turned.max(0.0), times)
        }
        Source::GamepadButton(wanted) => devices
            .gamepads
            .iter()
            .filter_map(|pad| {
                let button = GamepadButton::all().into_iter().find(|button| name(button) == *wanted)?;
                Some((f32::from(u8::from(pad.pressed(button))), u32::from(pad.just_pressed(button))))
            })
            .fold((0.0, 0), |a, b| (a.0.max(b.0), a.1 + b.1)),
        Source::GamepadAxis(wanted, sign) => {
            let furthest = devices
                .gamepads
                .iter()
                .filter_map(|pad| {
                    let axis = GamepadAxis::all().into_iter().find(|axis| name(axis) == *wanted)?;
                    Some(pad.get(axis)? * f32::from(*sign))
                })
                .fold(0.0, f32::max);
            (((furthest - DEAD_ZONE) / (1.0 - DEAD_ZONE)).max(0.0), 0)
        }
        Source::Controller(_) => (0.0, 0),
    }
}

fn action_frame(bindings: &[Binding], devices: &Devices, seconds: f32) -> ActionFrame {
    let mut frame = ActionFrame { seconds, ..default() };
    for binding in bindings {
        let (mut amount, times) = read(&binding.on, bindings, devices);
        // A stick turns so fast for as long as it is held; a mouse turns as far as it went.
        if matches!(binding.on, Source::GamepadAxis(..)) && matches!(binding.does, Action::LookRight | Action::LookUp) {
            amount *= seconds;
        }
        if amount != 0.0 {
            frame.held.push((binding.does, amount * binding.scale));
        }
        frame.pressed.extend((0..times).map(|_| binding.does));
    }
    frame
}

#[cfg(test)]
mod tests {
    use super::*;

    fn binding(on: Source, does: Action) -> Binding {
        Binding { on, does, scale: 1.0 }
    }

    fn devices(keys: &[(&str, bool)], ctrl: bool) -> Devices<'static> {
        let pressed = keys.iter().map(|(name, just)| Pressed { name: (*name).to_owned(), just: *just }).collect();
        Devices {
            keys: Keys { pressed, ctrl, shift: false },
            buttons: Vec::new(),
            motion: Vec2::new(10.0, 4.0),
            notches: -2.0,
            gamepads: Vec::new(),
        }
    }

    #[test]
    fn keys_and_mouse_become_actions() {
        let table = [
            binding(Source::Key("KeyW".to_owned()), Action::MoveForward),
            binding(Source::Key("KeyZ".to_owned()), Action::SnapLeft),
            binding(Source::CtrlKey("KeyZ".to_owned()), Action::Undo),
            binding(Source::MouseMotion("Y".to_owned()), Action::LookUp),
            binding(Source::MouseWheel("Down".to_owned()), Action::PreviousSlice),
        ];
        let frame = action_frame(&table, &devices(&[("KeyW", false), ("KeyZ", true)], true), 0.1);
        assert_eq!(frame.pressed, [Action::Undo, Action::PreviousSlice, Action::PreviousSlice]);
        assert!(frame.held.contains(&(Action::MoveForward, 1.0)), "{frame:?}");
        assert!(frame.held.contains(&(Action::LookUp, -4.0)), "mouse down looks down: {frame:?}");
        let plain = action_frame(&table, &devices(&[("KeyZ", true)], false), 0.1);
        assert!(plain.pressed.contains(&Action::SnapLeft) && !plain.pressed.contains(&Action::Undo));
    }

    #[test]
    fn a_tap_within_a_frame_is_not_lost() {
        let mut keys = ButtonInput::default();
        keys.press(KeyCode::F1);
        keys.release(KeyCode::F1);
        keys.press(KeyCode::KeyW);
        let mut seen = down(&keys);
        seen.sort_by(|a, b| a.name.cmp(&b.name));
        let expected = ["F1", "KeyW"].map(|name| Pressed { name: name.to_owned(), just: true });
        assert_eq!(seen, expected);
        keys.clear();
        assert_eq!(down(&keys), [Pressed { name: "KeyW".to_owned(), just: false }]);
    }

    #[test]
    fn names_are_those_of_the_table() {
        assert_eq!(name(KeyCode::KeyW), "KeyW");
        assert_eq!(name(KeyCode::F1), "F1");
        assert_eq!(name(MouseButton::Left), "Left");
        assert_eq!(name(GamepadButton::RightTrigger2), "RightTrigger2");
        assert_eq!(name(GamepadAxis::LeftStickX), "LeftStickX");
    }

    #[test]
    fn the_floor_is_met_within_reach_only() {
        let ray = |y: f64, z: f64| Ray {
            origin: space::Point::new(0.0, 1.6, 0.0),
            direction: glam::DVec3::new(0.0, y, z).normalize().into(),
        };
        let near = floor_under(&ray(-1.0, -1.0), 10.0).unwrap();
        assert!((near.z + 1.6).abs() < 1e-9 && near.y == 0.0);
        assert!(floor_under(&ray(-0.1, -1.0), 10.0).is_none(), "16 m away");
        assert!(floor_under(&ray(0.2, -1.0), 10.0).is_none(), "upwards");
    }
}
