//! What is drawn: show, hide, fade, solo and peel, for one segment, a group or all; and search among them.

use bevy_app::{App, Plugin};
use bevy_ecs::prelude::*;
use serde::{Deserialize, Serialize};
use volume::Label;

use crate::pointer::{PointedAt, Pointer, Selection};
use crate::stage::SegmentInfo;
use crate::walk::{Walk, WalkSystems, ensure_walk};

/// Keeps [`SegmentLook`], [`Peeled`] and what follows from them, [`Drawn`].
#[derive(Default)]
pub struct VisibilityPlugin;

impl Plugin for VisibilityPlugin {
    fn build(&self, app: &mut App) {
        ensure_walk(app);
        app.add_message::<VisibilityRequested>()
            .add_message::<StructureChanged>()
            .init_resource::<Peeled>()
            .init_resource::<Selection>()
            .configure_sets(
                Walk,
                (
                    VisibilitySystems::Apply.in_set(WalkSystems::Apply),
                    VisibilitySystems::Derive.in_set(WalkSystems::Present),
                ),
            )
            .add_systems(
                Walk,
                (
                    change_looks.in_set(VisibilitySystems::Apply).run_if(on_message::<VisibilityRequested>),
                    derive_drawn.in_set(VisibilitySystems::Derive),
                ),
            );
    }
}

/// The steps of visibility.
#[derive(SystemSet, Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum VisibilitySystems {
    /// Changes [`SegmentLook`] and [`Peeled`] as requested. Runs in [`Walk`].
    Apply,
    /// Derives [`Drawn`], only when something changed. Runs in [`Walk`].
    Derive,
}

/// What a request is about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Target {
    /// One segment by label.
    Segment(Label),
    /// One segment by machine name.
    Named(String),
    /// All segments of a group.
    Group(String),
    /// All segments.
    All,
    /// What the crosshair, else a hand, meets; nothing if it meets nothing.
    Pointed,
    /// The selected segment.
    Selected,
}

/// A wish to see more or less.
#[derive(Message, Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum VisibilityRequested {
    /// Show, also out of a peeled layer.
    Show(Target),
    /// Hide.
    Hide(Target),
    /// Show what is hidden, hide what is shown; a group is hidden if any of it is shown.
    Toggle(Target),
    /// Make glassy.
    Fade {
        /// What.
        target: Target,
        /// 0 is invisible, 1 solid; clamped.
        opacity: f32,
    },
    /// Make glassy what is solid, and solid what is glassy.
    ToggleGlass(Target),
    /// Show only this; asked again for the same, show the rest again.
    Solo(Target),
    /// Show everything but what a whole stands for, solid and unpeeled.
    ShowAll,
    /// Take off the outermost layer that is still shown.
    Peel,
    /// Put back the layer taken off last.
    Unpeel,
}

/// A segment was shown, hidden or faded; for the record and for cues.
#[derive(Message, Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StructureChanged {
    /// Machine name.
    pub name: String,
    /// What happened.
    pub change: LookChange,
}

/// What happened to how a segment looks.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub enum LookChange {
    /// It is drawn now.
    Shown,
    /// It is not drawn now.
    Hidden,
    /// It is drawn with this opacity now.
    Faded(f32),
}

/// How the user set a segment; undoable.
#[derive(Component, Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct SegmentLook {
    /// Taken out of sight by itself.
    pub hidden: bool,
    /// Taken off with its layer.
    pub peeled: bool,
    /// One of those shown alone.
    pub solo: bool,
    /// 0 to 1.
    pub opacity: f32,
}

impl Default for SegmentLook {
    fn default() -> Self {
        Self { hidden: false, peeled: false, solo: false, opacity: 1.0 }
    }
}

impl SegmentLook {
    /// How a segment looks when a walk begins.
    pub fn at_first(info: &SegmentInfo) -> Self {
        Self { hidden: info.is_inner, ..Self::default() }
    }
}

/// What follows for drawing and picking; the only thing `render` needs to read.
#[derive(Component, Clone, Copy, Debug, PartialEq)]
pub struct Drawn {
    /// False if hidden, peeled, not among those soloed, or of opacity zero.
    pub visible: bool,
    /// 0 to 1; below 1 it is glassy.
    pub opacity: f32,
}

/// The groups taken off, in the order they were; undoable.
#[derive(Resource, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Peeled(pub Vec<String>);

/// Opacity of what was made glassy by one key; our choice.
pub const GLASS_OPACITY: f32 = 0.25;

/// Below this opacity nothing is drawn, and nothing is met by a ray.
pub const LEAST_OPACITY: f32 = 0.01;

/// A segment as requests see it.
#[derive(Clone, Copy, Debug)]
pub struct Layer<'a> {
    /// Its facts.
    pub info: &'a SegmentInfo,
    /// How it looks.
    pub look: SegmentLook,
}

/// What [`Target::Pointed`] and [`Target::Selected`] mean now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TargetContext {
    /// Met by the crosshair, else by a hand.
    pub pointed: Option<Label>,
    /// Chosen.
    pub selected: Option<Label>,
}

impl TargetContext {
    /// True if the target means this segment.
    pub fn is_meant(&self, target: &Target, info: &SegmentInfo) -> bool {
        match target {
            Target::Segment(label) => info.label == *label,
            Target::Named(name) => info.name == *name,
            Target::Group(group) => info.group == *group,
            Target::All => true,
            Target::Pointed => self.pointed == Some(info.label),
            Target::Selected => self.selected == Some(info.label),
        }
    }
}

/// What is drawn of a segment, given whether any segment is shown alone.
pub fn drawn(look: &SegmentLook, any_solo: bool) -> Drawn {
    let shown = !look.hidden && !look.peeled && (look.solo || !any_solo);
    Drawn { visible: shown && look.opacity >= LEAST_OPACITY, opacity: look.opacity }
}

/// Does what is asked to all layers; the same request twice gives the same as a user would expect.
pub fn apply(request: &VisibilityRequested, layers: &mut [Layer], peeled: &mut Peeled, context: TargetContext) {
    let any_solo = layers.iter().any(|l| l.look.solo);
    let is_drawn = |layer: &Layer| drawn(&layer.look, any_solo).visible;
    // A group is shown by its wholes, with those parts that were asked for before.
    let meant = |target: &Target, layer: &Layer| {
        let stands_alone = !matches!(target, Target::Group(_) | Target::All) || !layer.info.is_inner;
        context.is_meant(target, layer.info) && (stands_alone || is_drawn(layer))
    };
    match request {
        VisibilityRequested::Show(target) => {
            for layer in layers.iter_mut().filter(|l| meant(target, l)) {
                show(&mut layer.look, any_solo);
            }
        }
        VisibilityRequested::Hide(target) => {
            for layer in layers.iter_mut().filter(|l| meant(target, l)) {
                layer.look.hidden = true;
                layer.look.solo = false;
            }
        }
        VisibilityRequested::Toggle(target) => {
            let any_drawn = layers.iter().any(|l| meant(target, l) && is_drawn(l));
            let change = if any_drawn { VisibilityRequested::Hide } else { VisibilityRequested::Show };
            apply(&change(target.clone()), layers, peeled, context);
        }
        VisibilityRequested::Fade { target, opacity } => {
            let opacity = if opacity.is_finite() { opacity.clamp(0.0, 1.0) } else { 1.0 };
            for layer in layers.iter_mut().filter(|l| meant(target, l)) {
                if opacity >= LEAST_OPACITY {
                    show(&mut layer.look, any_solo);
                }
                layer.look.opacity = opacity;
            }
        }
        VisibilityRequested::ToggleGlass(target) => {
            let any_solid = layers.iter().any(|l| meant(target, l) && is_drawn(l) && l.look.opacity > 0.99);
            let opacity = if any_solid { GLASS_OPACITY } else { 1.0 };
            apply(&VisibilityRequested::Fade { target: target.clone(), opacity }, layers, peeled, context);
        }
        VisibilityRequested::Solo(target) => {
            // A target that means nothing must not empty the view.
            if !layers.iter().any(|l| meant(target, l)) {
                return;
            }
            let again = layers.iter().all(|l| l.look.solo == meant(target, l));
            for layer in layers.iter_mut() {
                layer.look.solo = !again && meant(target, layer);
                if layer.look.solo {
                    show(&mut layer.look, true);
                }
            }
        }
        VisibilityRequested::ShowAll => {
            layers.iter_mut().for_each(|l| l.look = SegmentLook::at_first(l.info));
            peeled.0.clear();
        }
        VisibilityRequested::Peel => peel(layers, peeled, any_solo),
        VisibilityRequested::Unpeel => {
            if let Some(group) = peeled.0.pop() {
                layers.iter_mut().filter(|l| l.info.group == group).for_each(|l| l.look.peeled = false);
            }
        }
    }
}

/// Takes off the outermost group that is drawn; the last one stays, so that the view is never empty.
fn peel(layers: &mut [Layer], peeled: &mut Peeled, any_solo: bool) {
    let drawn_groups =
        || layers.iter().filter(|l| drawn(&l.look, any_solo).visible).map(|l| (l.info.peel_rank, &l.info.group));
    let Some((rank, outermost)) = drawn_groups().min() else { return };
    if drawn_groups().all(|(r, g)| (r, g) == (rank, outermost)) {
        return;
    }
    let outermost = outermost.clone();
    layers.iter_mut().filter(|l| l.info.group == outermost).for_each(|l| l.look.peeled = true);
    peeled.0.retain(|g| *g != outermost);
    peeled.0.push(outermost);
}

fn show(look: &mut SegmentLook, any_solo: bool) {
    look.hidden = false;
    look.peeled = false;
    look.solo |= any_solo;
    if look.opacity < LEAST_OPACITY {
        look.opacity = 1.0;
    }
}

/// True if every word occurs in the segment's names, group or code; case does not matter, and no words match all.
pub fn matches_search(info: &SegmentInfo, words: &str) -> bool {
    let code = info.code.as_ref().map_or(String::new(), |c| format!("{} {}", c.value, c.meaning));
    let text = format!(
        "{} {} {} {} {} {code}",
        info.display,
        info.name,
        info.name.replace('_', " "),
        info.group,
        info.group_display
    )
    .to_lowercase();
    words.to_lowercase().split_whitespace().all(|word| text.contains(word))
}

/// What pointers meet and the user chose.
pub fn target_context(pointers: &Query<(&Pointer, &PointedAt)>, selection: &Selection) -> TargetContext {
    let met = |(pointer, at): (&Pointer, &PointedAt)| Some((pointer.id, at.0.as_ref()?.label));
    TargetContext { pointed: pointers.iter().filter_map(met).min().map(|(_, label)| label), selected: selection.0 }
}

fn change_looks(
    mut requests: MessageReader<VisibilityRequested>,
    mut segments: Query<(&SegmentInfo, &mut SegmentLook)>,
    mut peeled: ResMut<Peeled>,
    pointers: Query<(&Pointer, &PointedAt)>,
    selection: Res<Selection>,
) {
    let context = target_context(&pointers, &selection);
    let mut states: Vec<_> = segments.iter_mut().collect();
    states.sort_by_key(|(info, _)| info.label);
    let mut layers: Vec<Layer> = states.iter().map(|(info, look)| Layer { info, look: **look }).collect();
    let mut after = peeled.clone();
    for request in requests.read() {
        apply(request, &mut layers, &mut after, context);
    }
    let looks: Vec<SegmentLook> = layers.iter().map(|l| l.look).collect();
    for ((_, state), look) in states.iter_mut().zip(looks) {
        state.set_if_neq(look);
    }
    peeled.set_if_neq(after);
}

fn derive_drawn(
    changed: Query<(), Changed<SegmentLook>>,
    mut segments: Query<(&SegmentInfo, &SegmentLook, &mut Drawn)>,
    mut changes: MessageWriter<StructureChanged>,
) {
    if changed.is_empty() {
        return;
    }
    let any_solo = segments.iter().any(|(_, look, _)| look.solo);
    let mut states: Vec<_> = segments.iter_mut().collect();
    states.sort_by_key(|(info, ..)| info.label);
    for (info, look, mut state) in states {
        let after = drawn(look, any_solo);
        if *state == after {
            continue;
        }
        let change = match (state.visible, after.visible) {
            (false, true) => Some(LookChange::Shown),
            (true, false) => Some(LookChange::Hidden),
            (true, true) => Some(LookChange::Faded(after.opacity)),
            (false, false) => None,
        };
        if let Some(change) = change {
            changes.write(StructureChanged { name: info.name.clone(), change });
        }
        *state = after;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stage::StageContents;
    use crate::test_support::{fake_case, send, staged_app};

    fn visible(app: &mut App) -> Vec<String> {
        let mut names: Vec<(Label, String)> = app
            .world_mut()
            .query::<(&SegmentInfo, &Drawn)>()
            .iter(app.world())
            .filter(|(_, d)| d.visible)
            .map(|(i, _)| (i.label, i.name.clone()))
            .collect();
        names.sort();
        names.into_iter().map(|(_, name)| name).collect()
    }

    #[track_caller]
    fn check(requests: &[VisibilityRequested], expected: impl Fn(&str) -> bool) {
        let contents: StageContents = fake_case();
        let names: Vec<String> = contents.segments.iter().map(|s| s.info.name.clone()).collect();
        let mut app = staged_app(contents);
        for request in requests {
            send(&mut app, request.clone());
        }
        let expected: Vec<String> = names.into_iter().filter(|n| expected(n)).collect();
        assert_eq!(visible(&mut app), expected, "after {requests:?}");
    }

    fn named(name: &str) -> Target {
        Target::Named(name.to_owned())
    }

    #[test]
    fn alone_it_hides_a_segment() {
        let mut app = App::new();
        app.add_plugins(VisibilityPlugin);
        let info = fake_case().segments[3].info.clone();
        let label = info.label;
        let drawn = Drawn { visible: true, opacity: 1.0 };
        let entity = app.world_mut().spawn((info, SegmentLook::default(), drawn)).id();
        app.world_mut().write_message(VisibilityRequested::Hide(Target::Segment(label)));
        app.update();
        assert!(!app.world().get::<Drawn>(entity).unwrap().visible);
    }

    #[test]
    fn what_a_whole_stands_for_is_shown_by_name_only() {
        use VisibilityRequested::{Fade, Hide, Show, ShowAll, Solo};
        let group = || Target::Group("lung".to_owned());
        let mut contents = fake_case();
        for staged in contents.segments.iter_mut().filter(|s| s.info.name == "lung_left") {
            staged.info.is_inner = true;
        }
        let mut app = staged_app(contents);
        let shown = |app: &mut App| visible(app).contains(&"lung_left".to_owned());
        assert!(!shown(&mut app), "at first");
        for request in [Show(group()), Fade { target: group(), opacity: 0.5 }, Solo(group()), ShowAll] {
            send(&mut app, request.clone());
            assert!(!shown(&mut app), "after {request:?}");
        }
        send(&mut app, Show(named("lung_left")));
        assert!(shown(&mut app), "asked for by name");
        send(&mut app, Hide(group()));
        assert!(!visible(&mut app).iter().any(|n| n.starts_with("lung")), "hidden with its group");
    }

    #[test]
    fn hide_show_and_toggle_by_segment_and_group() {
        use VisibilityRequested::{Hide, Show, Toggle};
        check(&[Hide(named("heart"))], |n| n != "heart");
        check(&[Hide(named("heart")), Show(named("heart"))], |_| true);
        check(&[Toggle(Target::Group("lung".to_owned()))], |n| !n.starts_with("lung"));
        check(&[Hide(named("lung_left")), Toggle(Target::Group("lung".to_owned()))], |n| !n.starts_with("lung"));
        check(&[Hide(Target::All), Toggle(Target::Group("lung".to_owned()))], |n| n.starts_with("lung"));
        check(&[Hide(named("no such thing")), Hide(Target::Selected)], |_| true);
    }

    #[test]
    fn solo_shows_one_alone_and_again_all() {
        use VisibilityRequested::{Hide, Show, Solo};
        check(&[Solo(named("heart"))], |n| n == "heart");
        check(&[Solo(named("heart")), Solo(named("heart"))], |_| true);
        check(&[Solo(named("heart")), Solo(named("aorta"))], |n| n == "aorta");
        check(&[Solo(named("heart")), Show(named("aorta"))], |n| n == "heart" || n == "aorta");
        check(&[Hide(named("heart")), Solo(named("heart"))], |n| n == "heart");
        check(&[Solo(named("nothing"))], |_| true);
    }

    #[test]
    fn peeling_goes_from_outside_in_and_back() {
        use VisibilityRequested::{Peel, ShowAll, Unpeel};
        check(&[Peel], |n| n != "body");
        check(&[Peel, Peel], |n| !["body", "skeleton", "sternum"].contains(&n));
        check(&[Peel, Peel, Unpeel], |n| n != "body");
        check(&[Peel, Peel, Unpeel, Unpeel, Unpeel], |_| true);
        check(&[Peel, Peel, ShowAll], |_| true);
        let all: Vec<_> = std::iter::repeat_n(Peel, 30).collect();
        check(&all, |n| n == "liver_lesion");
    }

    #[test]
    fn fading_keeps_a_structure_until_nothing_is_left() {
        let fade = |opacity| VisibilityRequested::Fade { target: named("body"), opacity };
        check(&[fade(0.3)], |_| true);
        check(&[fade(0.0)], |n| n != "body");
        check(&[fade(0.0), VisibilityRequested::Show(named("body"))], |_| true);
        check(&[fade(f32::NAN)], |_| true);
    }

    #[test]
    fn search_knows_names_groups_and_codes() {
        let contents = fake_case();
        let found = |words: &str| -> Vec<&str> {
            contents.segments.iter().filter(|s| matches_search(&s.info, words)).map(|s| s.info.name.as_str()).collect()
        };
        assert_eq!(found("LEFT kid"), ["kidney_left"]);
        assert_eq!(found("lung"), ["lung_left", "lung_right"]);
        assert_eq!(found("80891009"), ["heart"], "SNOMED CT");
        assert_eq!(found("  ").len(), contents.segments.len());
        assert_eq!(found("unicorn").len(), 0);
    }
}
