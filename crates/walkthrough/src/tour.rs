//! A fixed tour: named shots as data, set up through the same requests a user makes.
//!
//! A scene file, `scenes/NAME.ron`, is a list of shots in terms of the body, so one tour fits any case: shots whose
//! structures a case does not have are left out, and each names several structures to look at, the first that exists wins.

mod compose;

use bevy_app::{App, Plugin};
use bevy_ecs::prelude::*;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::clip::{AnatomicalAxis, ClipPlane, ClipRequested};
use crate::command::ResetRequested;
use crate::honesty::{Overlay, OverlayRequested};
use crate::input::Input;
use crate::locomotion::LocomotionRequested;
use crate::picture::{PictureRequested, PictureTaken};
use crate::planes::{PlaneKind, PlanesRequested};
use crate::session::{EndReason, WalkEndRequested};
use crate::stage::{BodyPose, PickShape, SegmentInfo, StartingState, TriangleBvh};
use crate::visibility::VisibilityRequested;
use crate::walk::{Walk, WalkSystems, ensure_walk};
use crate::window_level::WindowRequested;

pub use self::compose::{Aim, aim};

/// Steps through the shots of a [`Tour`], once one is there.
#[derive(Default)]
pub struct TourPlugin;

impl Plugin for TourPlugin {
    fn build(&self, app: &mut App) {
        ensure_walk(app);
        app.add_message::<Input>()
            .add_message::<PictureTaken>()
            .add_systems(Walk, take_tour.in_set(TourSystems::Step).run_if(resource_exists::<TourRun>))
            .configure_sets(
                Walk,
                TourSystems::Step.in_set(WalkSystems::Clock).after(crate::stage::StageSystems::Spawn),
            );
    }
}

/// The steps of a tour.
#[derive(SystemSet, Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TourSystems {
    /// Writes the inputs of the next step of the tour. Runs in [`Walk`].
    Step,
}

/// A scene: a tour as it stands in `scenes/NAME.ron`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tour {
    /// For people.
    pub title: String,
    /// Frames drawn before each picture, so that textures and levels of detail have arrived; 1 to 60.
    pub settle_frames: u32,
    /// In order.
    pub shots: Vec<Shot>,
}

/// One picture of a tour.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Shot {
    /// File name without number and ending: lower-case letters, digits and `-`.
    pub name: String,
    /// Left out unless the case has something of every one of these lists.
    #[serde(default)]
    pub needs: Vec<Vec<Pick>>,
    /// Where the camera is.
    pub view: View,
    /// 1 is life size; 1 to 20.
    #[serde(default = "life_size")]
    pub magnification: f64,
    /// What is shown, in order, beginning with everything.
    #[serde(default)]
    pub looks: Vec<Look>,
    /// A cut.
    #[serde(default)]
    pub clip: Option<ShotClip>,
    /// Scan planes shown, through the middle of what is looked at.
    #[serde(default)]
    pub planes: Vec<PlaneKind>,
    /// Name of a window preset; a case without it keeps its first.
    #[serde(default)]
    pub window: Option<String>,
    /// What colours tell.
    #[serde(default)]
    pub overlay: Option<Overlay>,
}

fn life_size() -> f64 {
    1.0
}

/// Something a case may have.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Pick {
    /// The segment with this machine name.
    Segment(String),
    /// Any segment of this group.
    Group(String),
    /// The whole body; every case has it.
    Body,
}

/// Where the camera is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum View {
    /// Outside, looking at the middle of something.
    Around {
        /// The first of these that exists; the whole body if none does.
        of: Vec<Pick>,
        /// From which side.
        from: AnatomicalAxis,
        /// Turned about the vertical, in degrees, to the patient's left; −180 to 180.
        #[serde(default)]
        aside_degrees: f64,
        /// From above (positive) or below, in degrees; −80 to 80.
        #[serde(default)]
        above_degrees: f64,
        /// Share of the picture's height that it fills; 0.05 to 3.
        fill: f64,
    },
    /// In something long and hollow, looking along its course.
    Along {
        /// The first of these that exists; the whole body if none does.
        of: Vec<Pick>,
        /// Which way.
        towards: AnatomicalAxis,
        /// Where the eye is, from the end behind it (0) to that before it (1).
        from: f64,
        /// Where it looks, in the same way.
        to: f64,
    },
    /// In the middle of something hollow, looking along it.
    Inside {
        /// The first of these that exists; the whole body if none does.
        of: Vec<Pick>,
        /// Which way.
        towards: AnatomicalAxis,
    },
}

/// A change of what is shown, in terms of what a case may have.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Look {
    /// Any request; segments and groups a case does not have change nothing.
    Do(VisibilityRequested),
    /// Hide everything but these.
    Only(Vec<Pick>),
}

/// A cut through what is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ShotClip {
    /// The side that is cut away.
    pub away: AnatomicalAxis,
    /// Where, from the middle (0) to the end (1) on that side or the other end (−1).
    #[serde(default)]
    pub at: f64,
}

/// A scene cannot be used.
#[derive(Clone, Debug, Error, PartialEq)]
#[non_exhaustive]
pub enum TourError {
    /// Not the text of a scene.
    #[error("scene cannot be read: {reason}; compare scenes/tour.ron; file {file}")]
    Syntax {
        /// Line, column and what was expected.
        reason: String,
        /// Its name.
        file: String,
    },
    /// There is nothing to take a picture of.
    #[error("a scene needs at least one shot; file {file}")]
    Empty {
        /// Its name.
        file: String,
    },
    /// A shot's name is used twice or cannot be a file name.
    #[error("shot name must be unique, of a-z, 0-9 and -; found `{name}`; file {file}")]
    Name {
        /// As written.
        name: String,
        /// Its name.
        file: String,
    },
    /// A number out of its range.
    #[error("{setting} of shot `{shot}` must be {low} to {high}; found {found}; file {file}")]
    Range {
        /// Which shot; empty for the scene itself.
        shot: String,
        /// Which number.
        setting: &'static str,
        /// Smallest allowed.
        low: f64,
        /// Largest allowed.
        high: f64,
        /// As written.
        found: f64,
        /// Its name.
        file: String,
    },
}

impl Tour {
    /// Reads and checks a scene; `file` is named in errors.
    ///
    /// # Errors
    /// [`TourError`] for text that is no scene, names that cannot be file names, and numbers out of range.
    pub fn parse(text: &str, file: &str) -> Result<Self, TourError> {
        let tour: Self = ron::Options::default()
            .with_default_extension(ron::extensions::Extensions::IMPLICIT_SOME)
            .from_str(text)
            .map_err(|error| TourError::Syntax { reason: error.to_string(), file: file.to_owned() })?;
        if tour.shots.is_empty() {
            return Err(TourError::Empty { file: file.to_owned() });
        }
        let range = |shot: &str, setting, found: f64, [low, high]: [f64; 2]| {
            if (low..=high).contains(&found) {
                Ok(())
            } else {
                let (shot, file) = (shot.to_owned(), file.to_owned());
                Err(TourError::Range { shot, setting, low, high, found, file })
            }
        };
        range("", "settle_frames", f64::from(tour.settle_frames), [1.0, 60.0])?;
        for (at, shot) in tour.shots.iter().enumerate() {
            let is_file_name = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
            let twice = tour.shots[..at].iter().any(|s| s.name == shot.name);
            if twice || shot.name.is_empty() || !shot.name.chars().all(is_file_name) {
                return Err(TourError::Name { name: shot.name.clone(), file: file.to_owned() });
            }
            range(&shot.name, "magnification", shot.magnification, crate::locomotion::MAGNIFICATION_RANGE)?;
            if let Some(clip) = shot.clip {
                range(&shot.name, "clip.at", clip.at, [-1.0, 1.0])?;
            }
            if let View::Around { aside_degrees, above_degrees, fill, .. } = shot.view {
                range(&shot.name, "aside_degrees", aside_degrees, [-180.0, 180.0])?;
                range(&shot.name, "above_degrees", above_degrees, [-80.0, 80.0])?;
                range(&shot.name, "fill", fill, [0.05, 3.0])?;
            }
            if let View::Along { from, to, .. } = shot.view {
                range(&shot.name, "from", from, [0.0, 1.0])?;
                range(&shot.name, "to", to, [0.0, 1.0])?;
            }
        }
        Ok(tour)
    }
}

/// A tour that is being taken; insert [`TourRun::new`] to start, after the case is staged or before.
#[derive(Resource, Clone, Debug, PartialEq)]
pub struct TourRun {
    /// What is taken.
    pub tour: Tour,
    /// Names of the shots that fit the case, with their numbers: `01-front`, …; empty until the tour begins.
    pub stems: Vec<String>,
    plan: Vec<usize>,
    shot: usize,
    step: Step,
    /// Of the shot that is being set up.
    aim: Option<Aim>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    WaitForCase,
    Reset,
    Arrange,
    Place,
    Settle(u32),
    WaitForPicture(u32),
    Over,
}

/// Frames a tour waits for a picture before it goes on without.
const LONGEST_WAIT_FRAMES: u32 = 600;

impl TourRun {
    /// Before its first shot.
    pub fn new(tour: Tour) -> Self {
        Self { tour, stems: Vec::new(), plan: Vec::new(), shot: 0, step: Step::WaitForCase, aim: None }
    }

    /// True once all pictures are taken.
    pub fn is_over(&self) -> bool {
        self.step == Step::Over
    }
}

/// Every structure a tour can name, with its surface, in order of label.
pub type Structures<'a> = Vec<(&'a SegmentInfo, &'a TriangleBvh)>;

fn take_tour(
    mut run: ResMut<TourRun>,
    segments: Query<(&SegmentInfo, &PickShape)>,
    (body, start): (Res<BodyPose>, Option<Res<StartingState>>),
    mut taken: MessageReader<PictureTaken>,
    mut inputs: MessageWriter<Input>,
) {
    let answered = taken.read().count() > 0;
    let Some(start) = start else { return };
    let structures = || {
        let mut all: Structures = segments.iter().map(|(info, shape)| (info, &*shape.0)).collect();
        all.sort_by_key(|(info, _)| info.label);
        all
    };
    if run.step == Step::WaitForCase {
        begin(&mut run, &structures());
        return;
    }
    let run = run.into_inner();
    let Some(shot) = run.plan.get(run.shot).and_then(|n| run.tour.shots.get(*n)) else {
        if run.step != Step::Over {
            run.step = Step::Over;
            inputs.write(Input::from(WalkEndRequested { reason: EndReason::TourOver }));
        }
        return;
    };
    run.step = match run.step {
        Step::Reset => {
            inputs.write(Input::from(ResetRequested));
            Step::Arrange
        }
        Step::Arrange => {
            let structures = structures();
            let target = aim(&shot.view, &structures, &start.extent);
            inputs.write_batch(arrange(shot, &structures, &target, &body));
            run.aim = Some(target);
            Step::Place
        }
        Step::Place => {
            if let Some([eye, look_at]) = run.aim.map(|aim| aim.camera(&body)) {
                inputs.write(Input::from(LocomotionRequested::Place { eye, look_at }));
            }
            Step::Settle(run.tour.settle_frames)
        }
        Step::Settle(frames) if frames > 1 => Step::Settle(frames - 1),
        Step::Settle(_) => {
            inputs.write(Input::from(PictureRequested { stem: run.stems.get(run.shot).cloned() }));
            Step::WaitForPicture(LONGEST_WAIT_FRAMES)
        }
        Step::WaitForPicture(frames) if !answered && frames > 0 => Step::WaitForPicture(frames - 1),
        Step::WaitForPicture(_) => {
            run.shot += 1;
            Step::Reset
        }
        step @ (Step::WaitForCase | Step::Over) => step,
    };
}

fn begin(run: &mut TourRun, structures: &Structures) {
    let fits = |shot: &Shot| shot.needs.iter().all(|any| any.iter().any(|pick| compose::exists(pick, structures)));
    run.plan = (0..run.tour.shots.len()).filter(|n| run.tour.shots.get(*n).is_some_and(fits)).collect();
    let names = run.plan.iter().filter_map(|n| run.tour.shots.get(*n)).enumerate();
    run.stems = names.map(|(n, shot)| format!("{:02}-{}", n + 1, shot.name)).collect();
    run.step = Step::Reset;
}

/// What sets up a shot, the camera left out.
fn arrange(shot: &Shot, structures: &Structures, target: &Aim, body: &BodyPose) -> Vec<Input> {
    let mut inputs = Vec::new();
    for look in &shot.looks {
        match look {
            Look::Do(request) => inputs.push(Input::from(request.clone())),
            Look::Only(picks) => inputs.extend(compose::only(picks, structures).into_iter().map(Input::from)),
        }
    }
    if let Some(clip) = shot.clip {
        let normal = clip.away.direction().lps();
        let point = target.towards(clip.away, clip.at);
        let plane = ClipPlane { enabled: true, point, normal };
        inputs.push(Input::from(ClipRequested::Place(plane)));
    }
    if !shot.planes.is_empty() {
        inputs.push(Input::from(PlanesRequested::Through(target.centre_lps())));
        inputs.extend(shot.planes.iter().map(|kind| Input::from(PlanesRequested::Show { kind: *kind, visible: true })));
    }
    inputs.extend(shot.window.iter().map(|name| Input::from(WindowRequested::Preset(name.clone()))));
    inputs.extend(shot.overlay.iter().map(|overlay| Input::from(OverlayRequested::Show(*overlay))));
    if (shot.magnification - 1.0).abs() > 1e-9 {
        let to = space::Magnification(shot.magnification);
        let pivot = Some(body.scene_from_body() * target.centre);
        inputs.push(Input::from(LocomotionRequested::Magnify { to, pivot }));
    }
    inputs
}

#[cfg(test)]
mod tests;
