//! The action set: created, bound and attached once a session.

use bevy::prelude::warn;
use openxr::{
    Action, ActionSet, ActiveActionSet, Binding, HandTracker, Haptic, Instance, Path, Posef, Vector2f, Vulkan,
};

use crate::bindings::{Bindings, HandAction, full_path};
use crate::error::HeadsetError;

/// Left, right.
const HANDS: [&str; 2] = ["/user/hand/left", "/user/hand/right"];

/// Everything a hand can be asked.
pub(crate) struct Actions {
    set: ActionSet,
    select: Action<f32>,
    grab: Action<f32>,
    stick: Action<Vector2f>,
    menu: Action<bool>,
    reset: Action<bool>,
    undo: Action<bool>,
    haptic: Action<Haptic>,
    paths: [Path; 2],
    grip: [openxr::Space; 2],
    aim: [openxr::Space; 2],
    trackers: Option<[HandTracker; 2]>,
}

/// One hand as the runtime reports it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct HandState {
    pub(crate) grip: Option<Posef>,
    pub(crate) aim: Option<Posef>,
    pub(crate) select: f32,
    pub(crate) grab: f32,
    pub(crate) stick: [f32; 2],
    pub(crate) menu: bool,
    pub(crate) reset: bool,
    pub(crate) undo: bool,
}

impl Actions {
    pub(crate) fn create(
        instance: &Instance,
        session: &openxr::Session<Vulkan>,
        bindings: &Bindings,
        hand_tracking: bool,
    ) -> Result<Self, HeadsetError> {
        let failed = || HeadsetError::at::<openxr::sys::Result>("setting up controllers");
        let paths = [
            instance.string_to_path(HANDS[0]).map_err(failed())?,
            instance.string_to_path(HANDS[1]).map_err(failed())?,
        ];
        let set = instance.create_action_set("walk", "Walk", 0).map_err(failed())?;
        let select = set.create_action::<f32>("select", "Select", &paths).map_err(failed())?;
        let grab = set.create_action::<f32>("grab", "Grab", &paths).map_err(failed())?;
        let stick = set.create_action::<Vector2f>("stick", "Teleport, turn and move", &paths).map_err(failed())?;
        let menu = set.create_action::<bool>("menu", "Menu", &paths).map_err(failed())?;
        let reset = set.create_action::<bool>("reset", "Put everything back", &paths).map_err(failed())?;
        let undo = set.create_action::<bool>("undo", "Undo", &paths).map_err(failed())?;
        let grip = set.create_action::<Posef>("grip_pose", "Hand", &paths).map_err(failed())?;
        let aim = set.create_action::<Posef>("aim_pose", "Pointer", &paths).map_err(failed())?;
        let haptic = set.create_action::<Haptic>("haptic", "Vibration", &paths).map_err(failed())?;
        let mut accepted = 0;
        for profile in &bindings.0 {
            let mut suggested = Vec::with_capacity(profile.bindings.len());
            for (path, action) in &profile.bindings {
                let path = instance.string_to_path(&full_path(path)).map_err(failed())?;
                suggested.push(match action {
                    HandAction::Select => Binding::new(&select, path),
                    HandAction::Grab => Binding::new(&grab, path),
                    HandAction::Stick => Binding::new(&stick, path),
                    HandAction::Menu => Binding::new(&menu, path),
                    HandAction::Reset => Binding::new(&reset, path),
                    HandAction::Undo => Binding::new(&undo, path),
                    HandAction::GripPose => Binding::new(&grip, path),
                    HandAction::AimPose => Binding::new(&aim, path),
                    HandAction::Haptic => Binding::new(&haptic, path),
                });
            }
            let path = instance.string_to_path(&profile.profile).map_err(failed())?;
            match instance.suggest_interaction_profile_bindings(path, &suggested) {
                Ok(()) => accepted += 1,
                // One family the runtime does not know must not cost the others.
                Err(error) => warn!("the runtime refused the bindings of {}: {error}", profile.profile),
            }
        }
        if accepted == 0 {
            return Err(HeadsetError::Unsupported { what: "controller that the bindings know" });
        }
        session.attach_action_sets(&[&set]).map_err(failed())?;
        let space = |action: &Action<Posef>, hand: usize| {
            action.create_space(session, paths[hand], Posef::IDENTITY).map_err(HeadsetError::at("creating hand spaces"))
        };
        let (grip, aim) = ([space(&grip, 0)?, space(&grip, 1)?], [space(&aim, 0)?, space(&aim, 1)?]);
        let tracker = |hand| session.create_hand_tracker(hand);
        let trackers = if hand_tracking {
            tracker(openxr::Hand::LEFT).and_then(|left| Ok([left, tracker(openxr::Hand::RIGHT)?])).ok()
        } else {
            None
        };
        Ok(Self { set, select, grab, stick, menu, reset, undo, haptic, paths, grip, aim, trackers })
    }

    /// Reads both hands at a time, in the reference space `base`.
    ///
    /// # Errors
    /// The runtime's, which means that it is gone.
    pub(crate) fn read(
        &self,
        session: &openxr::Session<Vulkan>,
        base: &openxr::Space,
        time: openxr::Time,
    ) -> openxr::Result<[HandState; 2]> {
        session.sync_actions(&[ActiveActionSet::new(&self.set)])?;
        Ok([self.hand(session, base, time, 0)?, self.hand(session, base, time, 1)?])
    }

    fn hand(
        &self,
        session: &openxr::Session<Vulkan>,
        base: &openxr::Space,
        time: openxr::Time,
        hand: usize,
    ) -> openxr::Result<HandState> {
        let path = self.paths[hand];
        let pose = |space: &openxr::Space| -> openxr::Result<Option<Posef>> {
            let location = space.locate(base, time)?;
            let needed = openxr::SpaceLocationFlags::POSITION_VALID | openxr::SpaceLocationFlags::ORIENTATION_VALID;
            Ok(location.location_flags.contains(needed).then_some(location.pose))
        };
        let stick = self.stick.state(session, path)?.current_state;
        Ok(HandState {
            grip: pose(&self.grip[hand])?,
            aim: pose(&self.aim[hand])?,
            select: self.select.state(session, path)?.current_state,
            grab: self.grab.state(session, path)?.current_state,
            stick: [stick.x, stick.y],
            menu: self.menu.state(session, path)?.current_state,
            reset: self.reset.state(session, path)?.current_state,
            undo: self.undo.state(session, path)?.current_state,
        })
    }

    /// Positions of the 26 joints of each tracked hand, in the reference space `base`, metres.
    pub(crate) fn joints(&self, base: &openxr::Space, time: openxr::Time) -> [Option<Vec<[f32; 3]>>; 2] {
        let Some(trackers) = &self.trackers else { return [None, None] };
        let joints = |tracker| {
            let located = base.locate_hand_joints(tracker, time).ok().flatten()?;
            Some(located.iter().map(|j| [j.pose.position.x, j.pose.position.y, j.pose.position.z]).collect())
        };
        [joints(&trackers[0]), joints(&trackers[1])]
    }

    /// A short pulse in one hand; a controller without a motor ignores it.
    pub(crate) fn pulse(&self, session: &openxr::Session<Vulkan>, hand: usize, amplitude: f32) -> openxr::Result<()> {
        let event = openxr::HapticVibration::new()
            .amplitude(amplitude)
            .duration(openxr::Duration::MIN_HAPTIC)
            .frequency(openxr::FREQUENCY_UNSPECIFIED);
        self.haptic.apply_feedback(session, self.paths[hand], &event)
    }
}
