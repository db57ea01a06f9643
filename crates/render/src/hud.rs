//! What is always written over the picture: whose case it is, what the crosshair meets, window, size, a hint.

use bevy::ecs::hierarchy::ChildSpawnerCommands;
use bevy::prelude::*;
use bevy::text::LineBreak;
use bevy::window::PrimaryWindow;
use walkthrough::measure::{Measurements, Tool};
use walkthrough::pointer::{CrosshairAim, PointedAt, Pointer, PointerId};
use walkthrough::stage::{ActiveCase, BodyPose};
use walkthrough::walk::WalkRun;
use walkthrough::window_level::{WindowLevel, preset_in_use};

use crate::font::{heavy, plain};
use crate::palette;
use crate::plugin::DisplayKind;
use crate::span::{systems_clock, timed};
use crate::view::DesktopCamera;

/// The root of everything over the picture of a screen.
#[derive(Component, Clone, Copy, Debug)]
pub(crate) struct ScreenRoot;

/// A text of the screen.
#[derive(Component, Clone, Copy, Debug, PartialEq, Eq)]
enum HudText {
    Alias,
    Device,
    Window,
    Size,
    Pointed,
    Hint,
}

/// Background of the name under the crosshair.
#[derive(Component, Clone, Copy, Debug)]
struct PointedBox;

/// What the ring and the name below it hang on: the middle of the picture, or the mouse while it points.
#[derive(Component, Clone, Copy, Debug)]
struct AimPoint;

/// When the screen is set up.
#[derive(SystemSet, Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum HudSystems {
    /// Spawns what lies over a new camera's picture. Runs in [`Update`].
    Spawn,
}

/// Writes over the picture.
pub(crate) struct HudPlugin;

impl Plugin for HudPlugin {
    fn build(&self, app: &mut App) {
        let clock = systems_clock(app);
        app.add_systems(
            Update,
            (
                spawn_hud.in_set(HudSystems::Spawn),
                timed(&clock, write_case),
                timed(&clock, write_pointed),
                timed(&clock, place_aim),
            )
                .chain()
                .after(WalkRun),
        );
    }
}

const TEXT_PX: f32 = 15.0;
const EDGE_PX: f32 = 16.0;

fn spawn_hud(mut commands: Commands, cameras: Query<Entity, Added<DesktopCamera>>, kind: Res<DisplayKind>) {
    for camera in &cameras {
        let is_window = *kind == DisplayKind::Window;
        commands
            .spawn((
                ScreenRoot,
                Node {
                    width: percent(100),
                    height: percent(100),
                    justify_content: JustifyContent::Center,
                    align_items: AlignItems::Center,
                    ..default()
                },
                UiTargetCamera(camera),
            ))
            .with_children(|screen| {
                corner(screen, [Some(EDGE_PX), None], [Some(EDGE_PX * 0.75), None], |column| {
                    line(column, HudText::Alias, heavy(20.0), palette::TEXT);
                    line(column, HudText::Device, plain(13.0), palette::FAINT);
                });
                corner(screen, [Some(EDGE_PX), None], [None, Some(EDGE_PX * 0.75)], |column| {
                    line(column, HudText::Size, plain(TEXT_PX), palette::TEXT);
                    line(column, HudText::Window, plain(13.0), palette::FAINT);
                });
                if is_window {
                    corner(screen, [None, Some(EDGE_PX)], [Some(EDGE_PX * 0.75), None], |column| {
                        line(column, HudText::Hint, plain(13.0), palette::FAINT);
                    });
                    crosshair(screen);
                }
            });
    }
}

/// A column of texts in a corner; distances from left or right and from top or bottom.
fn corner(
    screen: &mut ChildSpawnerCommands,
    [left, right]: [Option<f32>; 2],
    [top, bottom]: [Option<f32>; 2],
    texts: impl FnOnce(&mut ChildSpawnerCommands),
) {
    let edge = |distance: Option<f32>| distance.map_or(Val::Auto, Val::Px);
    screen
        .spawn(Node {
            position_type: PositionType::Absolute,
            flex_direction: FlexDirection::Column,
            left: edge(left),
            right: edge(right),
            top: edge(top),
            bottom: edge(bottom),
            ..default()
        })
        .with_children(texts);
}

fn line(parent: &mut ChildSpawnerCommands, text: HudText, font: TextFont, color: Color) {
    parent.spawn((
        text,
        Text::default(),
        font,
        TextColor(color),
        // Readable on bone and on air alike.
        TextShadow { offset: Vec2::splat(1.0), color: Color::BLACK.with_alpha(0.85) },
        TextLayout::linebreak(LineBreak::NoWrap),
    ));
}

fn crosshair(screen: &mut ChildSpawnerCommands) {
    const RING_PX: f32 = 14.0;
    /// Room for the longest name.
    const NAME_PX: f32 = 640.0;
    let absolute = Node { position_type: PositionType::Absolute, ..default() };
    let middle = Node { left: percent(50), top: percent(50), ..absolute.clone() };
    screen.spawn((AimPoint, middle)).with_children(|aim| {
        aim.spawn((
            Node {
                left: px(-RING_PX / 2.0),
                top: px(-RING_PX / 2.0),
                width: px(RING_PX),
                height: px(RING_PX),
                border: UiRect::all(px(1.5)),
                border_radius: BorderRadius::all(percent(50)),
                ..absolute.clone()
            },
            BorderColor::all(Color::WHITE.with_alpha(0.85)),
        ));
        let row = Node {
            left: px(-NAME_PX / 2.0),
            top: px(RING_PX * 1.6),
            width: px(NAME_PX),
            justify_content: JustifyContent::Center,
            ..absolute
        };
        aim.spawn(row).with_children(|row| {
            let label = Node {
                padding: UiRect::axes(px(9.0), px(3.0)),
                border_radius: BorderRadius::all(px(6.0)),
                ..default()
            };
            row.spawn((PointedBox, label, BackgroundColor(palette::LABEL), Visibility::Hidden))
                .with_children(|label| line(label, HudText::Pointed, heavy(TEXT_PX), palette::TEXT));
        });
    });
}

/// Ring and name go with a mouse that points, and stay in the middle while it turns the view.
fn place_aim(
    aim: Res<CrosshairAim>,
    windows: Query<&Window, With<PrimaryWindow>>,
    mut points: Query<&mut Node, With<AimPoint>>,
) {
    let cursor = windows.iter().next().and_then(Window::cursor_position).filter(|_| aim.0.is_some());
    let (left, top) = cursor.map_or((percent(50), percent(50)), |at| (px(at.x), px(at.y)));
    for mut node in &mut points {
        if (node.left, node.top) != (left, top) {
            (node.left, node.top) = (left, top);
        }
    }
}

fn set(texts: &mut Query<(&HudText, &mut Text)>, wanted: HudText, words: &str) {
    for (kind, mut text) in texts.iter_mut() {
        if *kind == wanted && text.0 != words {
            words.clone_into(&mut text.0);
        }
    }
}

/// What is always to be read of a case.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct CaseWords {
    /// What its users call it.
    pub(crate) alias: String,
    /// What it was made from, and that this is not a medical device.
    pub(crate) device: String,
    /// The window, by its preset's name and in numbers.
    pub(crate) window: String,
    /// Magnification.
    pub(crate) size: String,
}

impl CaseWords {
    pub(crate) fn new(case: Option<&ActiveCase>, window: WindowLevel, body: &BodyPose) -> Self {
        let alias = case.map_or("Loading…", |c| c.alias.as_deref().unwrap_or("Case without a name"));
        let modality = case.map_or("", |c| c.modality.as_str());
        let dot = if modality.is_empty() { "" } else { " · " };
        let preset = case.and_then(|c| c.windows.get(preset_in_use(window, &c.windows)?));
        let preset = preset.map(|preset| format!("{} · ", preset.name)).unwrap_or_default();
        let size = body.magnification.0;
        let is_life_size = (size - 1.0).abs() < 1e-6;
        Self {
            alias: alias.to_owned(),
            device: format!("{modality}{dot}not a medical device"),
            window: format!("{preset}C {:.0} W {:.0}", window.center, window.width),
            size: if is_life_size { "life size".to_owned() } else { format!("{size:.1} × life size") },
        }
    }
}

/// Whose case, which window, which size.
fn write_case(
    case: Option<Res<ActiveCase>>,
    body: Res<BodyPose>,
    window: Res<WindowLevel>,
    tool: Res<Tool>,
    measurements: Res<Measurements>,
    added: Query<(), Added<HudText>>,
    mut texts: Query<(&HudText, &mut Text)>,
) {
    let is_changed = case.as_ref().is_some_and(|c| c.is_changed())
        || body.is_changed()
        || window.is_changed()
        || tool.is_changed()
        || measurements.is_changed();
    if !is_changed && added.is_empty() {
        return;
    }
    let words = CaseWords::new(case.as_deref(), *window, &body);
    set(&mut texts, HudText::Alias, &words.alias);
    set(&mut texts, HudText::Device, &words.device);
    set(&mut texts, HudText::Window, &words.window);
    set(&mut texts, HudText::Size, &words.size);
    let hint = match (*tool, measurements.pending.is_some()) {
        (Tool::Select, _) => "F1 help · Tab structures · V view",
        (Tool::Measure, false) => "measuring: press at the first place",
        (Tool::Measure, true) => "measuring: press at the second place",
    };
    set(&mut texts, HudText::Hint, hint);
}

/// The structure under the crosshair.
fn write_pointed(
    pointers: Query<(&Pointer, &PointedAt), Changed<PointedAt>>,
    mut texts: Query<(&HudText, &mut Text)>,
    mut boxes: Query<&mut Visibility, With<PointedBox>>,
) {
    for (pointer, at) in &pointers {
        if pointer.id != PointerId::Crosshair {
            continue;
        }
        let shown = at.0.is_some();
        for mut visibility in &mut boxes {
            visibility.set_if_neq(if shown { Visibility::Inherited } else { Visibility::Hidden });
        }
        if let Some(hit) = &at.0 {
            set(&mut texts, HudText::Pointed, &hit.display);
        }
    }
}
