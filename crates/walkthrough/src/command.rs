//! Undo and redo: one history of everything a user changes.
//!
//! The history compares state before and after each frame, so no plugin can forget to record itself. A step is what
//! changed in one frame; steps of one drag are joined. The walker's own movement is not undone, except by undoing a reset.

use std::collections::BTreeMap;

use bevy_app::{App, Plugin};
use bevy_ecs::prelude::*;
use bevy_ecs::system::SystemParam;
use serde::{Deserialize, Serialize};
use volume::Label;

use crate::clip::ClipPlanes;
use crate::hands::HeadPose;
use crate::honesty::Overlay;
use crate::locomotion::Rig;
use crate::measure::{Measurements, Tool};
use crate::planes::ScanPlanes;
use crate::pointer::Selection;
use crate::stage::{BodyPose, CaseStaged, SegmentInfo, StartingState};
use crate::visibility::{Peeled, SegmentLook};
use crate::walk::{Walk, WalkClock, WalkSystems, ensure_walk};
use crate::window_level::WindowLevel;

/// Keeps [`History`] and answers [`HistoryRequested`] and [`ResetRequested`].
#[derive(Default)]
pub struct CommandPlugin;

impl Plugin for CommandPlugin {
    fn build(&self, app: &mut App) {
        ensure_walk(app);
        app.add_message::<HistoryRequested>()
            .add_message::<ResetRequested>()
            .add_message::<Undone>()
            .add_message::<CaseStaged>()
            .init_resource::<History>()
            .init_resource::<Shadow>()
            .configure_sets(
                Walk,
                (CommandSystems::Reset.in_set(WalkSystems::Apply), CommandSystems::Record.in_set(WalkSystems::History)),
            )
            .add_systems(
                Walk,
                (
                    reset.in_set(CommandSystems::Reset).run_if(on_message::<ResetRequested>),
                    keep_history.in_set(CommandSystems::Record),
                ),
            );
    }
}

/// The steps of the history.
#[derive(SystemSet, Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CommandSystems {
    /// Puts everything back to the start. Runs in [`Walk`].
    Reset,
    /// Writes down what this frame changed, then undoes and redoes. Runs in [`Walk`].
    Record,
}

/// A wish to go back or forth in the history.
#[derive(Message, Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum HistoryRequested {
    /// Take back the last step.
    Undo,
    /// Do again what was taken back last.
    Redo,
}

/// Everything as it was at the start: pose, size, all shown, cut and planes off, first window. One undoable step.
#[derive(Message, Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResetRequested;

/// A step was taken back or done again.
#[derive(Message, Clone, Copy, Debug, PartialEq, Eq)]
pub struct Undone {
    /// Which of the two.
    pub direction: HistoryRequested,
}

/// One piece of state before and after.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// How a segment looks.
    Look {
        /// Which.
        label: Label,
        /// What it was.
        before: SegmentLook,
        /// What it became.
        after: SegmentLook,
    },
    /// Layers taken off.
    Peeled {
        /// What it was.
        before: Peeled,
        /// What it became.
        after: Peeled,
    },
    /// Cut planes.
    Clip {
        /// What it was.
        before: ClipPlanes,
        /// What it became.
        after: ClipPlanes,
    },
    /// Scan planes.
    Planes {
        /// What it was.
        before: ScanPlanes,
        /// What it became.
        after: ScanPlanes,
    },
    /// Window.
    Window {
        /// What it was.
        before: WindowLevel,
        /// What it became.
        after: WindowLevel,
    },
    /// Measurements.
    Measurements {
        /// What it was.
        before: Measurements,
        /// What it became.
        after: Measurements,
    },
    /// Size and place of the body.
    Body {
        /// What it was.
        before: BodyPose,
        /// What it became.
        after: BodyPose,
    },
    /// The walker's place; by a reset only.
    Walker {
        /// What it was.
        before: WalkerPlace,
        /// What it became.
        after: WalkerPlace,
    },
}

/// Where the walker is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct WalkerPlace {
    /// The tracking space.
    pub rig: Rig,
    /// The head in it; a headset writes it anew each frame.
    pub head: HeadPose,
}

/// What one act of the user changed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Step {
    /// In a fixed order, each piece of state at most once.
    pub changes: Vec<Change>,
    /// Of the last change in it, in seconds of the walk.
    pub t_s: f64,
}

/// All steps that can be undone or redone.
#[derive(Resource, Clone, Debug, Default, PartialEq)]
pub struct History {
    /// Oldest first; the last is undone next.
    pub done: Vec<Step>,
    /// The last is redone next.
    pub undone: Vec<Step>,
}

impl History {
    /// Steps kept; older ones are forgotten. Far beyond what anyone undoes one by one; a step takes some hundred bytes.
    pub const LONGEST: usize = 1000;

    /// Adds what changed at a time of the walk, joined to the step before if both are of one drag.
    pub fn record(&mut self, changes: Vec<Change>, t_s: f64) {
        if changes.is_empty() {
            return;
        }
        self.undone.clear();
        if let Some(last) = self.done.last_mut()
            && last.joins(&changes, t_s)
        {
            for (old, new) in last.changes.iter_mut().zip(changes) {
                old.extend_to(new);
            }
            last.t_s = t_s;
            return;
        }
        self.done.push(Step { changes, t_s });
        if self.done.len() > Self::LONGEST {
            self.done.remove(0);
        }
    }
}

/// Two changes of one drag are no further apart, in seconds; our choice.
const DRAG_GAP_S: f64 = 0.4;

impl Step {
    /// True if the changes carry on this step's drag: the same pieces of state, moved smoothly, soon after.
    fn joins(&self, changes: &[Change], t_s: f64) -> bool {
        t_s - self.t_s <= DRAG_GAP_S
            && self.changes.len() == changes.len()
            && self.changes.iter().zip(changes).all(|(a, b)| a.is_same_drag(b))
    }
}

impl Change {
    fn is_same_drag(&self, next: &Self) -> bool {
        let fades =
            |before: &SegmentLook, after: &SegmentLook| *before == SegmentLook { opacity: before.opacity, ..*after };
        let slides = |before: &ScanPlanes, after: &ScanPlanes| {
            let shown = |p: &ScanPlanes| [p.axial.visible, p.coronal.visible, p.sagittal.visible];
            shown(before) == shown(after)
        };
        let cuts = |before: &ClipPlanes, after: &ClipPlanes| {
            let on = |p: &ClipPlanes| p.planes.iter().map(|p| p.enabled).collect::<Vec<_>>();
            on(before) == on(after)
                && before.planes.iter().zip(&after.planes).all(|(a, b)| a.normal.dot(*b.normal) > 0.0)
        };
        match (self, next) {
            (Self::Look { label: a, before, after, .. }, Self::Look { label: b, before: first, after: then }) => {
                a == b && fades(before, after) && fades(first, then)
            }
            (Self::Clip { before, after }, Self::Clip { before: first, after: then }) => {
                cuts(before, after) && cuts(first, then)
            }
            (Self::Planes { before, after }, Self::Planes { before: first, after: then }) => {
                slides(before, after) && slides(first, then)
            }
            (Self::Window { .. }, Self::Window { .. }) | (Self::Body { .. }, Self::Body { .. }) => true,
            _ => false,
        }
    }

    /// Takes over what a later change of the same piece made of it.
    fn extend_to(&mut self, later: Self) {
        match (self, later) {
            (Self::Look { after, .. }, Self::Look { after: new, .. }) => *after = new,
            (Self::Clip { after, .. }, Self::Clip { after: new, .. }) => *after = new,
            (Self::Planes { after, .. }, Self::Planes { after: new, .. }) => *after = new,
            (Self::Window { after, .. }, Self::Window { after: new, .. }) => *after = new,
            (Self::Body { after, .. }, Self::Body { after: new, .. }) => *after = new,
            _ => {}
        }
    }
}

/// The tracked state as it was at the end of the last frame.
#[derive(Resource, Clone, Debug, Default)]
struct Shadow {
    looks: BTreeMap<Label, SegmentLook>,
    peeled: Option<Peeled>,
    clip: Option<ClipPlanes>,
    planes: Option<ScanPlanes>,
    window: Option<WindowLevel>,
    measurements: Option<Measurements>,
    body: Option<BodyPose>,
    /// The walker's place before a reset of this frame.
    walker_before_reset: Option<WalkerPlace>,
}

/// Everything the history tracks; what is not there is not tracked.
#[derive(SystemParam)]
struct Tracked<'w, 's> {
    looks: Query<'w, 's, (&'static SegmentInfo, Mut<'static, SegmentLook>)>,
    peeled: Option<ResMut<'w, Peeled>>,
    clip: Option<ResMut<'w, ClipPlanes>>,
    planes: Option<ResMut<'w, ScanPlanes>>,
    window: Option<ResMut<'w, WindowLevel>>,
    measurements: Option<ResMut<'w, Measurements>>,
    body: Option<ResMut<'w, BodyPose>>,
    rig: Option<ResMut<'w, Rig>>,
    head: Option<ResMut<'w, HeadPose>>,
}

macro_rules! diff_resource {
    ($changes:ident, $now:expr, $shadow:expr, $variant:ident) => {
        if let Some(now) = &$now
            && (now.is_changed() || $shadow.is_none())
        {
            let after = (**now).clone();
            if let Some(before) = $shadow.replace(after.clone())
                && before != after
            {
                $changes.push(Change::$variant { before, after });
            }
        }
    };
}

impl Tracked<'_, '_> {
    fn walker(&self) -> Option<WalkerPlace> {
        Some(WalkerPlace { rig: **self.rig.as_ref()?, head: **self.head.as_ref()? })
    }

    /// What changed since the shadow was taken, which then is as things are.
    fn changes_since(&self, shadow: &mut Shadow) -> Vec<Change> {
        let mut changes = Vec::new();
        let changed = self.looks.iter().filter(|(_, look)| look.is_changed());
        let mut looks: Vec<_> = changed.map(|(info, look)| (info.label, *look)).collect();
        looks.sort_by_key(|(label, _)| *label);
        for (label, after) in looks {
            let before = shadow.looks.insert(label, after);
            if let Some(before) = before.filter(|b| *b != after) {
                changes.push(Change::Look { label, before, after });
            }
        }
        diff_resource!(changes, self.peeled, shadow.peeled, Peeled);
        diff_resource!(changes, self.clip, shadow.clip, Clip);
        diff_resource!(changes, self.planes, shadow.planes, Planes);
        diff_resource!(changes, self.window, shadow.window, Window);
        diff_resource!(changes, self.measurements, shadow.measurements, Measurements);
        diff_resource!(changes, self.body, shadow.body, Body);
        if let (Some(before), Some(after)) = (shadow.walker_before_reset.take(), self.walker())
            && before != after
        {
            changes.push(Change::Walker { before, after });
        }
        changes
    }

    /// Puts every piece of a step to its state before (`Undo`) or after (`Redo`).
    fn put(&mut self, step: &Step, direction: HistoryRequested) {
        fn pick<T>(before: &T, after: &T, direction: HistoryRequested) -> T
        where
            T: Clone,
        {
            if direction == HistoryRequested::Undo { before.clone() } else { after.clone() }
        }
        fn set<T: Resource<Mutability = bevy_ecs::component::Mutable> + Clone + PartialEq>(
            to: &mut Option<ResMut<T>>,
            value: T,
        ) {
            if let Some(resource) = to {
                resource.set_if_neq(value);
            }
        }
        for change in &step.changes {
            match change {
                Change::Look { label, before, after } => {
                    if let Some((_, mut look)) = self.looks.iter_mut().find(|(info, _)| info.label == *label) {
                        look.set_if_neq(pick(before, after, direction));
                    }
                }
                Change::Peeled { before, after } => set(&mut self.peeled, pick(before, after, direction)),
                Change::Clip { before, after } => set(&mut self.clip, pick(before, after, direction)),
                Change::Planes { before, after } => set(&mut self.planes, pick(before, after, direction)),
                Change::Window { before, after } => set(&mut self.window, pick(before, after, direction)),
                Change::Measurements { before, after } => set(&mut self.measurements, pick(before, after, direction)),
                Change::Body { before, after } => set(&mut self.body, pick(before, after, direction)),
                Change::Walker { before, after } => {
                    let place = pick(before, after, direction);
                    set(&mut self.rig, place.rig);
                    set(&mut self.head, place.head);
                }
            }
        }
    }
}

fn reset(
    mut requests: MessageReader<ResetRequested>,
    mut state: Tracked,
    mut shadow: ResMut<Shadow>,
    start: Option<Res<StartingState>>,
    mut tool: Option<ResMut<Tool>>,
    mut selection: Option<ResMut<Selection>>,
    mut overlay: Option<ResMut<Overlay>>,
) {
    requests.clear();
    for (info, mut look) in &mut state.looks {
        look.set_if_neq(SegmentLook::at_first(info));
    }
    if let Some(peeled) = &mut state.peeled {
        peeled.set_if_neq(Peeled::default());
    }
    shadow.walker_before_reset = state.walker();
    if let Some(start) = start {
        // Measurements stay: they are the user's work, not a way of looking.
        let set_body = state.body.as_mut().map(|b| b.set_if_neq(start.body));
        let set_rig = state.rig.as_mut().map(|r| r.set_if_neq(start.rig));
        let set_clip = state.clip.as_mut().map(|c| c.set_if_neq(start.clip.clone()));
        let set_planes = state.planes.as_mut().map(|p| p.set_if_neq(start.planes));
        let set_window = state.window.as_mut().map(|w| w.set_if_neq(start.window));
        let _ = (set_body, set_rig, set_clip, set_planes, set_window);
    }
    if let Some(head) = &mut state.head {
        head.set_if_neq(HeadPose::default());
    }
    if let Some(tool) = &mut tool {
        tool.set_if_neq(Tool::default());
    }
    if let Some(selection) = &mut selection {
        selection.set_if_neq(Selection::default());
    }
    if let Some(overlay) = &mut overlay {
        overlay.set_if_neq(Overlay::default());
    }
}

fn keep_history(
    mut requests: MessageReader<HistoryRequested>,
    mut staged: MessageReader<CaseStaged>,
    mut state: Tracked,
    mut shadow: ResMut<Shadow>,
    mut history: ResMut<History>,
    mut undone: MessageWriter<Undone>,
    clock: Res<WalkClock>,
) {
    if staged.read().count() > 0 {
        // Another case: nothing of the last one can be undone.
        *shadow = Shadow::default();
        *history = History::default();
    }
    let changes = state.changes_since(&mut shadow);
    history.record(changes, clock.t_s);
    for direction in requests.read() {
        let step = match direction {
            HistoryRequested::Undo => history.done.pop(),
            HistoryRequested::Redo => history.undone.pop(),
        };
        let Some(mut step) = step else { continue };
        state.put(&step, *direction);
        follow(&step, &mut shadow, *direction);
        undone.write(Undone { direction: *direction });
        // A drag does not go on over an undo.
        step.t_s = f64::NEG_INFINITY;
        match direction {
            HistoryRequested::Undo => history.undone.push(step),
            HistoryRequested::Redo => history.done.push(step),
        }
    }
}

/// Brings the shadow to where [`Tracked::put`] brought the state, so that it is not recorded as a new change.
fn follow(step: &Step, shadow: &mut Shadow, direction: HistoryRequested) {
    let undo = direction == HistoryRequested::Undo;
    for change in &step.changes {
        match change {
            Change::Look { label, before, after } => {
                shadow.looks.insert(*label, if undo { *before } else { *after });
            }
            Change::Peeled { before, after } => shadow.peeled = Some(if undo { before } else { after }.clone()),
            Change::Clip { before, after } => shadow.clip = Some(if undo { before } else { after }.clone()),
            Change::Planes { before, after } => shadow.planes = Some(if undo { *before } else { *after }),
            Change::Window { before, after } => shadow.window = Some(if undo { *before } else { *after }),
            Change::Measurements { before, after } => {
                shadow.measurements = Some(if undo { before } else { after }.clone());
            }
            Change::Body { before, after } => shadow.body = Some(if undo { *before } else { *after }),
            Change::Walker { .. } => {}
        }
    }
}

#[cfg(test)]
mod tests;
