//! What is heard, as messages: the app passes them on to `sound`.

use bevy_app::{App, Plugin};
use bevy_ecs::prelude::*;
use bevy_ecs::system::SystemParam;
use serde::{Deserialize, Serialize};
use space::{Point, Scene};

use crate::command::{ResetRequested, Undone};
use crate::locomotion::{Teleported, Turned};
use crate::measure::MeasureRequested;
use crate::panel::{PanelHovered, PanelPressed};
use crate::picture::PictureTaken;
use crate::pointer::Selected;
use crate::session::SessionLost;
use crate::stage::{BodyPose, PickShape, SegmentInfo};
use crate::visibility::{LookChange, StructureChanged};
use crate::walk::{Walk, WalkSystems, ensure_walk};

/// Names the sounds that belong to what happens.
#[derive(Default)]
pub struct CuePlugin;

impl Plugin for CuePlugin {
    fn build(&self, app: &mut App) {
        ensure_walk(app);
        app.add_message::<CueRequested>()
            .add_message::<HeartbeatAt>()
            .add_message::<StructureChanged>()
            .add_message::<Teleported>()
            .add_message::<Turned>()
            .add_message::<MeasureRequested>()
            .add_message::<Selected>()
            .add_message::<Undone>()
            .add_message::<ResetRequested>()
            .add_message::<PanelHovered>()
            .add_message::<PanelPressed>()
            .add_message::<PictureTaken>()
            .add_message::<SessionLost>()
            .init_resource::<BodyPose>()
            .configure_sets(Walk, CueSystems::Name.in_set(WalkSystems::Record))
            .add_systems(Walk, (name_cues, place_heart).in_set(CueSystems::Name));
    }
}

/// The steps of cues.
#[derive(SystemSet, Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CueSystems {
    /// Writes [`CueRequested`] and [`HeartbeatAt`]. Runs in [`Walk`].
    Name,
}

/// A short sound of the interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum CueName {
    /// A pointer came over a control.
    Hover,
    /// A structure was chosen or a control pressed.
    Select,
    /// The walker stands elsewhere.
    Teleport,
    /// The view turned by a snap.
    Snap,
    /// A picture was taken.
    Shutter,
    /// Something could not be done.
    Error,
    /// A measuring point was placed.
    Measure,
    /// Something was shown.
    Show,
    /// Something was hidden.
    Hide,
    /// A step was undone or redone.
    Undo,
    /// Everything is as it was at the start.
    Reset,
}

/// A sound is to be played once.
#[derive(Message, Clone, Copy, Debug, PartialEq, Eq)]
pub struct CueRequested(pub CueName);

/// The heart beats here from now on; none: it is silent.
#[derive(Message, Clone, Copy, Debug, PartialEq)]
pub struct HeartbeatAt {
    /// Middle of the heart.
    pub point: Option<Point<Scene>>,
}

/// Everything that is heard when it happens.
#[derive(SystemParam)]
struct Heard<'w, 's> {
    changed: MessageReader<'w, 's, StructureChanged>,
    teleported: MessageReader<'w, 's, Teleported>,
    turned: MessageReader<'w, 's, Turned>,
    measured: MessageReader<'w, 's, MeasureRequested>,
    selected: MessageReader<'w, 's, Selected>,
    undone: MessageReader<'w, 's, Undone>,
    reset: MessageReader<'w, 's, ResetRequested>,
    hovered: MessageReader<'w, 's, PanelHovered>,
    pressed: MessageReader<'w, 's, PanelPressed>,
    pictures: MessageReader<'w, 's, PictureTaken>,
    lost: MessageReader<'w, 's, SessionLost>,
}

/// One of each cue a frame, however many structures it shows: a hundred at once would only be loud.
fn name_cues(mut heard: Heard, mut cues: MessageWriter<CueRequested>) {
    let (mut shown, mut hidden) = (false, false);
    for change in heard.changed.read() {
        shown |= change.change == LookChange::Shown;
        hidden |= change.change == LookChange::Hidden;
    }
    let (mut shutter, mut failed) = (false, false);
    for picture in heard.pictures.read() {
        shutter |= picture.problem.is_none();
        failed |= picture.problem.is_some();
    }
    let points = heard.measured.read().filter(|m| matches!(m, MeasureRequested::Point { .. })).count();
    let hits = heard.selected.read().filter(|s| s.hit.is_some()).count();
    let reset = heard.reset.read().count() > 0;
    let all = [
        (CueName::Reset, reset),
        // A reset shows many things at once, and says so by itself.
        (CueName::Show, shown && !reset),
        (CueName::Hide, hidden && !shown && !reset),
        (CueName::Teleport, heard.teleported.read().count() > 0),
        (CueName::Snap, heard.turned.read().count() > 0),
        (CueName::Measure, points > 0),
        (CueName::Select, hits > 0 || heard.pressed.read().count() > 0),
        (CueName::Hover, heard.hovered.read().count() > 0),
        (CueName::Undo, heard.undone.read().count() > 0),
        (CueName::Shutter, shutter),
        (CueName::Error, failed || heard.lost.read().count() > 0),
    ];
    cues.write_batch(all.into_iter().filter(|(_, sounds)| *sounds).map(|(name, _)| CueRequested(name)));
}

/// Group name of the heart and its chambers, as `case.json` writes it.
const HEART_GROUP: &str = "heart";

fn place_heart(
    body: Res<BodyPose>,
    segments: Query<(&SegmentInfo, &PickShape)>,
    staged: Query<(), Added<SegmentInfo>>,
    mut beats: MessageWriter<HeartbeatAt>,
) {
    if staged.is_empty() && !body.is_changed() {
        return;
    }
    let mut low = glam::Vec3::INFINITY;
    let mut high = glam::Vec3::NEG_INFINITY;
    for (_, shape) in segments.iter().filter(|(info, _)| info.group == HEART_GROUP) {
        if let Some([l, h]) = shape.0.bounds() {
            (low, high) = (low.min(l), high.max(h));
        }
    }
    let middle = (low.x <= high.x).then(|| Point::from(((low + high) * 0.5).as_dvec3()));
    beats.write(HeartbeatAt { point: middle.map(|m| body.scene_from_body() * m) });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::locomotion::{LocomotionRequested, Side};
    use crate::test_support::{fake_case, head_case, send, staged_app};
    use crate::visibility::{Target, VisibilityRequested};
    use bevy_ecs::message::Messages;

    fn cues(app: &App) -> Vec<CueName> {
        let messages = app.world().resource::<Messages<CueRequested>>();
        messages.iter_current_update_messages().map(|c| c.0).collect()
    }

    #[test]
    fn alone_it_is_silent() {
        let mut app = App::new();
        app.add_plugins(CuePlugin);
        app.update();
        assert_eq!(cues(&app), []);
    }

    #[test]
    fn what_happens_is_heard_once() {
        let mut app = staged_app(fake_case());
        send(&mut app, LocomotionRequested::SnapTurn(Side::Left));
        assert_eq!(cues(&app), [CueName::Snap]);
        send(&mut app, VisibilityRequested::Hide(Target::Group("lung".to_owned())));
        assert_eq!(cues(&app), [CueName::Hide]);
        send(&mut app, ResetRequested);
        assert_eq!(cues(&app), [CueName::Reset]);
        app.update();
        assert_eq!(cues(&app), []);
    }

    #[test]
    fn the_heart_beats_where_it_is_or_not_at_all() {
        for (contents, expected) in [(fake_case(), true), (head_case(), false)] {
            let centre = contents.centre_of("heart");
            let app = staged_app(contents);
            let messages = app.world().resource::<Messages<HeartbeatAt>>();
            let last = *messages.iter_current_update_messages().last().unwrap();
            let body = app.world().resource::<BodyPose>();
            assert_eq!(last.point.is_some(), expected);
            if let (Some(point), Some(centre)) = (last.point, centre) {
                assert!(point.distance(body.scene_from_body() * centre) < 1e-6);
            }
        }
    }
}
