//! What is always written in a headset: whose case it is on a plate ahead, and at the end of each ray what it meets.

use bevy::prelude::*;
use bevy::text::LineBreak;
use space::Scene;
use walkthrough::frame::{Pose, yaw_rotation};
use walkthrough::hands::Hand;
use walkthrough::locomotion::Viewer;
use walkthrough::pointer::{PointedAt, Pointer, PointerId};
use walkthrough::stage::{ActiveCase, BodyPose};
use walkthrough::walk::WalkRun;
use walkthrough::window_level::WindowLevel;

use crate::canvas::{Canvas, CanvasMaker};
use crate::font::{heavy, plain};
use crate::hud::CaseWords;
use crate::palette;
use crate::plugin::DisplayKind;
use crate::span::{systems_clock, timed};

/// A plate; on the entity of its [`Canvas`].
#[derive(Component, Clone, Debug, PartialEq)]
enum Plate {
    /// Whose case, what kind of scan, which size.
    Case { words: CaseWords, hung: Option<Hung> },
    /// The structure a hand points at.
    Pointed { hand: Hand, words: String },
}

/// When plates are written.
#[derive(SystemSet, Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum PlateSystems {
    /// Writes and places plates. Runs in [`Update`].
    Write,
}

/// Writes plates while a headset is on.
pub(crate) struct PlatesPlugin;

impl Plugin for PlatesPlugin {
    fn build(&self, app: &mut App) {
        let clock = systems_clock(app);
        let in_headset = |kind: Res<DisplayKind>| *kind == DisplayKind::Headset;
        app.add_systems(Startup, make_plates.run_if(in_headset)).add_systems(
            Update,
            (timed(&clock, write_case), timed(&clock, write_pointed))
                .run_if(in_headset)
                .in_set(PlateSystems::Write)
                .after(WalkRun),
        );
    }
}

/// Pixels of the texture for each pixel of a plate.
const SCALE: f32 = 2.0;
/// Width and height of the case's plate, in its own pixels, and its width in the scene, in metres: its name is 1.4° high.
const CASE_PX: [f32; 2] = [420.0, 92.0];
const CASE_M: f32 = 0.40;
/// Width and height of a name's plate, in its own pixels.
const NAME_PX: [f32; 2] = [420.0, 40.0];
/// Width of a name's plate in metres for each metre from the eye: letters are 1.1° high however far they are.
const NAME_M_PER_M: f32 = 0.42;
/// A name stands so far above what it names, in metres for each metre from the eye.
const NAME_ABOVE: f32 = 0.045;

/// Where the case's plate hangs: straight ahead of the head, above the line of sight, where panels leave room; our choice.
const AHEAD_M: f32 = 0.95;
const ABOVE_EYES_M: f32 = 0.34;
/// It is hung up anew once the head turned or went further than this from where it was; in between it stays in the room.
const FOLLOW_DEGREES: f32 = 32.0;
const FOLLOW_M: f32 = 0.35;

fn make_plates(mut maker: CanvasMaker) {
    let case = maker.make(CASE_PX, SCALE);
    maker.commands.spawn((case, Plate::Case { words: CaseWords::default(), hung: None }));
    for hand in Hand::BOTH {
        let name = maker.make(NAME_PX, SCALE);
        maker.commands.spawn((name, Plate::Pointed { hand, words: String::new() }));
    }
}

/// Takes all plates away.
pub(crate) fn remove_plates(world: &mut World) {
    let mut plates = world.query_filtered::<(Entity, &Canvas), With<Plate>>();
    let plates: Vec<(Entity, Canvas)> = plates.iter(world).map(|(entity, canvas)| (entity, canvas.clone())).collect();
    for (entity, canvas) in plates {
        canvas.despawn(world);
        world.despawn(entity);
    }
}

/// The head a plate was hung up for: its place, and the way it looked seen from above.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Hung {
    eye: Vec3,
    yaw: f32,
}

impl Hung {
    fn before(head: &Pose<Scene>) -> Self {
        let ahead = head.rotation * Vec3::NEG_Z;
        // Who looks straight up or down keeps the way the top of the head points.
        let level = if ahead.y.abs() > 0.95 { head.rotation * Vec3::Y * -ahead.y.signum() } else { ahead };
        Self { eye: head.position.as_vec3(), yaw: (-level.x).atan2(-level.z) }
    }

    /// This one while the head is near enough, else one for the head as it is.
    fn following(self, head: &Pose<Scene>) -> Self {
        let now = Self::before(head);
        let turned =
            (now.yaw - self.yaw + std::f32::consts::PI).rem_euclid(std::f32::consts::TAU) - std::f32::consts::PI;
        let is_near = turned.abs() <= FOLLOW_DEGREES.to_radians() && now.eye.distance(self.eye) <= FOLLOW_M;
        if is_near { self } else { now }
    }

    /// Of the plate's middle, facing the eye.
    fn transform(self) -> Transform {
        let level = yaw_rotation(self.yaw.into()).as_quat();
        let translation = self.eye + level * Vec3::new(0.0, ABOVE_EYES_M, -AHEAD_M);
        let rotation = level * Quat::from_rotation_x(ABOVE_EYES_M.atan2(AHEAD_M));
        Transform { translation, rotation, scale: Vec3::splat(CASE_M) }
    }
}

fn write_case(
    mut commands: Commands,
    (case, window, body): (Option<Res<ActiveCase>>, Res<WindowLevel>, Res<BodyPose>),
    viewer: Res<Viewer>,
    mut plates: Query<(&mut Plate, &mut Canvas)>,
    mut quads: Query<(&mut Transform, &mut Visibility)>,
) {
    for (mut plate, mut canvas) in &mut plates {
        let Plate::Case { words, hung } = plate.bypass_change_detection() else { continue };
        let now = hung.map_or_else(|| Hung::before(&viewer.0), |h| h.following(&viewer.0));
        if *hung != Some(now) {
            *hung = Some(now);
            if let Ok((mut transform, mut visibility)) = quads.get_mut(canvas.quad) {
                *transform = now.transform();
                visibility.set_if_neq(Visibility::Inherited);
            }
        }
        let is_changed = case.as_ref().is_some_and(|c| c.is_changed()) || window.is_changed() || body.is_changed();
        if !is_changed && *words != CaseWords::default() {
            continue;
        }
        let new = CaseWords::new(case.as_deref(), *window, &body);
        if *words == new {
            continue;
        }
        words.clone_from(&new);
        canvas.rewrite(&mut commands, |parent| {
            let column = Node {
                width: percent(100),
                height: percent(100),
                flex_direction: FlexDirection::Column,
                justify_content: JustifyContent::Center,
                align_items: AlignItems::Center,
                border_radius: BorderRadius::all(px(10.0)),
                ..default()
            };
            parent.spawn((column, BackgroundColor(palette::LABEL))).with_children(|column| {
                let mut line = |text: String, font: TextFont, color: Color| {
                    column.spawn((Text::new(text), font, TextColor(color), TextLayout::linebreak(LineBreak::NoWrap)));
                };
                line(new.alias, heavy(24.0), palette::TEXT);
                line(new.device, plain(17.0), palette::WARNING);
                line(format!("{} · {}", new.size, new.window), plain(14.0), palette::FAINT);
            });
        });
    }
}

fn write_pointed(
    mut commands: Commands,
    viewer: Res<Viewer>,
    pointers: Query<(&Pointer, &PointedAt)>,
    mut plates: Query<(&mut Plate, &mut Canvas)>,
    mut quads: Query<(&mut Transform, &mut Visibility)>,
) {
    let eye = viewer.0.position.as_vec3();
    for (mut plate, mut canvas) in &mut plates {
        let Plate::Pointed { hand, words } = plate.bypass_change_detection() else { continue };
        let met = pointers.iter().find(|(pointer, _)| pointer.id == PointerId::Hand(*hand));
        let hit = met.and_then(|(_, at)| at.0.as_ref());
        if let Ok((mut transform, mut visibility)) = quads.get_mut(canvas.quad) {
            visibility.set_if_neq(if hit.is_some() { Visibility::Inherited } else { Visibility::Hidden });
            if let Some(hit) = hit {
                transform.set_if_neq(name_transform(eye, hit.at.as_vec3()));
            }
        }
        let Some(hit) = hit.filter(|hit| hit.display != *words) else { continue };
        words.clone_from(&hit.display);
        canvas.rewrite(&mut commands, |parent| {
            let middle = Node {
                width: percent(100),
                height: percent(100),
                justify_content: JustifyContent::Center,
                align_items: AlignItems::Center,
                ..default()
            };
            let label = Node {
                padding: UiRect::axes(px(12.0), px(3.0)),
                border_radius: BorderRadius::all(px(8.0)),
                ..default()
            };
            parent.spawn(middle).with_children(|middle| {
                middle.spawn((label, BackgroundColor(palette::LABEL))).with_child((
                    Text::new(hit.display.clone()),
                    heavy(20.0),
                    TextColor(palette::TEXT),
                    TextLayout::linebreak(LineBreak::NoWrap),
                ));
            });
        });
    }
}

/// Above what is met, facing the eye, upright, and as large in the picture however far it is.
fn name_transform(eye: Vec3, at: Vec3) -> Transform {
    let distance = eye.distance(at).max(0.1);
    let translation = at + Vec3::Y * (NAME_ABOVE * distance);
    Transform::from_translation(translation)
        .looking_to(translation - eye, Vec3::Y)
        .with_scale(Vec3::splat(NAME_M_PER_M * distance))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(x: f64, yaw_degrees: f32) -> Pose<Scene> {
        let rotation = Quat::from_rotation_y(yaw_degrees.to_radians());
        Pose { position: space::Point::new(x, 1.6, 0.0), rotation }
    }

    #[test]
    fn the_case_stays_in_the_room_until_the_head_has_left_it() {
        let first = Hung::before(&head(0.0, 170.0));
        assert_eq!(first.following(&head(0.1, 180.0)), first);
        assert_eq!(first.following(&head(0.1, -165.0)), first, "25° on, across the half turn");
        let turned = head(0.0, -150.0);
        assert_eq!(first.following(&turned), Hung::before(&turned));
        let gone = head(0.5, 170.0);
        assert_eq!(first.following(&gone), Hung::before(&gone));
    }

    #[test]
    fn plates_face_the_eye_and_are_not_mirrored() {
        let eye = Vec3::new(0.3, 1.6, 0.0);
        let faces = |place: Transform| {
            let to_eye = (eye - place.translation).normalize();
            assert!((place.rotation * Vec3::Z).dot(to_eye) > 0.999, "{place:?}");
            assert!((place.rotation * Vec3::X).dot(Vec3::Y.cross(to_eye)) > 0.9, "{place:?}");
        };
        faces(Hung::before(&head(0.3, 40.0)).transform());
        faces(name_transform(eye, Vec3::new(-0.5, 1.2, -1.5)));
    }
}
