//! Rays from the crosshair and the hands, and what they meet.

use bevy_app::{App, Plugin};
use bevy_ecs::prelude::*;
use serde::{Deserialize, Serialize};
use space::{Lps, Point, Scene, Vector};
use volume::Label;

use crate::clip::ClipPlanes;
use crate::frame::{Ray, lps_from_body};
use crate::hands::{Hand, HandPose};
use crate::locomotion::{Rig, Viewer};
use crate::measure::{MeasureRequested, Tool};
use crate::stage::{BodyPose, PickShape, SegmentInfo, TriangleBvh};
use crate::visibility::Drawn;
use crate::walk::{Walk, WalkSystems, ensure_walk};

/// Casts the rays of [`Pointer`]s at the body.
#[derive(Default)]
pub struct PointerPlugin;

impl Plugin for PointerPlugin {
    fn build(&self, app: &mut App) {
        ensure_walk(app);
        app.add_message::<PointerRequested>()
            .add_message::<Selected>()
            .add_message::<MeasureRequested>()
            .init_resource::<Selection>()
            .init_resource::<CrosshairAim>()
            .init_resource::<Tool>()
            .init_resource::<BodyPose>()
            .init_resource::<ClipPlanes>()
            .init_resource::<Rig>()
            .init_resource::<Viewer>()
            .configure_sets(
                Walk,
                (PointerSystems::Aim, PointerSystems::Hit, PointerSystems::Press).chain().in_set(WalkSystems::Point),
            )
            .add_systems(
                Walk,
                (
                    aim.in_set(PointerSystems::Aim),
                    meet.in_set(PointerSystems::Hit),
                    press.in_set(PointerSystems::Press),
                ),
            );
        let ids = [PointerId::Crosshair, PointerId::Hand(Hand::Left), PointerId::Hand(Hand::Right)];
        for id in ids {
            app.world_mut().spawn((
                Pointer { id, ray: None, over_panel: false },
                PointedAt::default(),
                Name::new(format!("{id:?}")),
            ));
        }
    }
}

/// The steps of pointing.
#[derive(SystemSet, Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PointerSystems {
    /// Takes rays from head and hands. Runs in [`Walk`].
    Aim,
    /// Finds what they meet. Runs in [`Walk`].
    Hit,
    /// Selects or measures. Runs in [`Walk`].
    Press,
}

/// Who points.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum PointerId {
    /// The middle of the view, or the mouse if the app gives its ray.
    Crosshair,
    /// A hand or its controller.
    Hand(Hand),
}

/// A wish to point or to choose.
#[derive(Message, Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub enum PointerRequested {
    /// From now on the crosshair follows this ray; none: the middle of the view.
    AimCrosshair(Option<Ray>),
    /// Choose what the pointer meets: selects, places a measuring point, presses a panel in space.
    Press(PointerId),
    /// Let go.
    Release(PointerId),
    /// Select a segment by label: from a list.
    Choose(Label),
    /// Nothing is selected any more.
    Deselect,
}

/// The user chose a structure, or nothing.
#[derive(Message, Clone, Debug, PartialEq)]
pub struct Selected {
    /// By which pointer.
    pub pointer: PointerId,
    /// What was met; none if the ray went into the void.
    pub hit: Option<Pointed>,
}

/// A ray that may meet things; one entity each.
#[derive(Component, Clone, Copy, Debug, PartialEq)]
pub struct Pointer {
    /// Whose.
    pub id: PointerId,
    /// None while untracked.
    pub ray: Option<Ray>,
    /// It meets a panel in the scene before any structure, so its presses belong to the panel.
    pub over_panel: bool,
}

/// What a pointer meets.
#[derive(Clone, Debug, PartialEq)]
pub struct Pointed {
    /// The segment's entity.
    pub entity: Entity,
    /// Its label.
    pub label: Label,
    /// Its machine name.
    pub name: String,
    /// Its name for people.
    pub display: String,
    /// Where, in the patient.
    pub point: Point<Lps>,
    /// Where, in the scene.
    pub at: Point<Scene>,
    /// The surface's outward normal, of unit length.
    pub normal: Vector<Scene>,
    /// From the ray's start, in scene metres.
    pub distance_m: f64,
    /// True if met on a cut face.
    pub on_cut: bool,
}

/// What the pointer on this entity meets now.
#[derive(Component, Clone, Debug, Default, PartialEq)]
pub struct PointedAt(pub Option<Pointed>);

/// The ray the crosshair follows instead of the middle of the view.
#[derive(Resource, Clone, Copy, Debug, Default, PartialEq)]
pub struct CrosshairAim(pub Option<Ray>);

/// The structure the user chose.
#[derive(Resource, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Selection(pub Option<Label>);

/// From this opacity on a surface stops a ray; through fainter ones a ray goes on to what they hide. Our choice.
pub const SOLID_OPACITY: f32 = 0.5;

/// Surfaces nearer to each other than this, in body metres, count as met together, and the smaller structure is named:
/// a chamber rather than the heart it is part of. Below any voxel.
const TOGETHER_M: f64 = 2e-4;

/// Something a ray may meet.
#[derive(Clone, Copy, Debug)]
pub struct PickTarget<'a> {
    /// Of the segment.
    pub entity: Entity,
    /// Its facts.
    pub info: &'a SegmentInfo,
    /// Its surface.
    pub shape: &'a TriangleBvh,
    /// 0 to 1.
    pub opacity: f32,
}

/// What a ray through the scene meets first, cut faces included.
pub fn cast<'a>(
    ray: &Ray,
    body: &BodyPose,
    clip: &ClipPlanes,
    targets: impl Iterator<Item = PickTarget<'a>>,
) -> Option<Pointed> {
    let map = body.body_from_scene();
    // The direction is not brought to unit length, so distances stay scene metres.
    let (origin, direction) = (map * ray.origin, map * ray.direction);
    let (mut near, mut far) = (0.0f64, f64::INFINITY);
    let mut cut_normal = None;
    for plane in clip.enabled() {
        let (normal, offset) = plane.in_body();
        let (height, slope) = (normal.dot(*origin) + offset, normal.dot(*direction));
        if slope > 0.0 {
            far = far.min(-height / slope);
        } else if slope < 0.0 {
            if -height / slope > near {
                near = -height / slope;
                cut_normal = Some(normal);
            }
        } else if height > 0.0 {
            return None;
        }
    }
    if near >= far {
        return None;
    }
    let (start, along) = (origin.as_vec3(), direction.as_vec3());
    let mut met: Vec<Met> = targets
        .filter_map(|target| {
            let hit = target.shape.first_hit(start, along, near as f32, far as f32)?;
            // The first surface behind the cut is seen from inside: the cut goes through this structure.
            let inside = cut_normal.is_some() && hit.normal.dot(along) > 0.0;
            let (distance_m, normal) = match cut_normal {
                Some(normal) if inside => (near, normal.get()),
                _ => (f64::from(hit.t), hit.normal.as_dvec3()),
            };
            Some(Met { target, distance_m, normal, on_cut: inside })
        })
        .collect();
    if met.iter().any(|m| m.target.opacity >= SOLID_OPACITY) {
        met.retain(|m| m.target.opacity >= SOLID_OPACITY);
    }
    let nearest = met.iter().map(|m| m.distance_m).min_by(f64::total_cmp)?;
    let together = nearest + TOGETHER_M * body.magnification.0;
    let size = |m: &Met| (m.target.info.volume_ml, m.target.info.label);
    let Met { target, distance_m, normal, on_cut } = met
        .into_iter()
        .filter(|m| m.distance_m <= together)
        .min_by(|a, b| size(a).0.total_cmp(&size(b).0).then(size(a).1.cmp(&size(b).1)))?;
    let point = lps_from_body() * (origin + direction * distance_m);
    let normal = (body.rotation * normal).normalize_or_zero();
    Some(Pointed {
        entity: target.entity,
        label: target.info.label,
        name: target.info.name.clone(),
        display: target.info.display.clone(),
        point,
        at: ray.at(distance_m),
        normal: normal.into(),
        distance_m,
        on_cut,
    })
}

struct Met<'a> {
    target: PickTarget<'a>,
    distance_m: f64,
    normal: glam::DVec3,
    on_cut: bool,
}

fn aim(
    mut requests: MessageReader<PointerRequested>,
    mut crosshair: ResMut<CrosshairAim>,
    (viewer, rig): (Res<Viewer>, Res<Rig>),
    hands: Query<&HandPose>,
    mut pointers: Query<&mut Pointer>,
) {
    for request in requests.read() {
        if let PointerRequested::AimCrosshair(ray) = request {
            crosshair.set_if_neq(CrosshairAim(*ray));
        }
    }
    for mut pointer in &mut pointers {
        let ray = match pointer.id {
            PointerId::Crosshair => {
                crosshair.0.or(Some(Ray { origin: viewer.0.position, direction: viewer.0.forward() }))
            }
            PointerId::Hand(hand) => {
                let tracking = hands.iter().find(|h| h.hand == hand).and_then(|h| h.tracking.as_ref());
                tracking.map(|t| {
                    let pose = rig.scene_pose(&t.aim);
                    Ray { origin: pose.position, direction: pose.forward() }
                })
            }
        };
        if pointer.ray != ray {
            pointer.ray = ray;
        }
    }
}

fn meet(
    mut pointers: Query<(Ref<Pointer>, &mut PointedAt)>,
    (body, clip): (Res<BodyPose>, Res<ClipPlanes>),
    segments: Query<(Entity, &SegmentInfo, &PickShape, &Drawn)>,
    changed: Query<(), Or<(Changed<Drawn>, Added<PickShape>)>>,
    mut gone: RemovedComponents<PickShape>,
) {
    let world_changed = body.is_changed() || clip.is_changed() || !changed.is_empty() || gone.read().count() > 0;
    for (pointer, mut at) in &mut pointers {
        if !pointer.is_changed() && !world_changed {
            continue;
        }
        let targets = segments
            .iter()
            .filter(|(.., drawn)| drawn.visible)
            .map(|(entity, info, shape, drawn)| PickTarget { entity, info, shape: &shape.0, opacity: drawn.opacity });
        let met = pointer.ray.and_then(|ray| cast(&ray, &body, &clip, targets));
        at.set_if_neq(PointedAt(met));
    }
}

fn press(
    mut requests: MessageReader<PointerRequested>,
    pointers: Query<(&Pointer, &PointedAt)>,
    tool: Res<Tool>,
    mut selection: ResMut<Selection>,
    mut selected: MessageWriter<Selected>,
    mut measure: MessageWriter<MeasureRequested>,
) {
    for request in requests.read() {
        match *request {
            PointerRequested::Press(id) => {
                let Some((_, at)) = pointers.iter().find(|(p, _)| p.id == id && !p.over_panel) else { continue };
                let hit = at.0.clone();
                match (*tool, &hit) {
                    (Tool::Measure, Some(hit)) => {
                        measure.write(MeasureRequested::Point { at: hit.point, on: hit.name.clone() });
                    }
                    (Tool::Measure, None) => {}
                    (Tool::Select, _) => {
                        selection.set_if_neq(Selection(hit.as_ref().map(|h| h.label)));
                        selected.write(Selected { pointer: id, hit });
                    }
                }
            }
            PointerRequested::Choose(label) => {
                selection.set_if_neq(Selection(Some(label)));
            }
            PointerRequested::Deselect => {
                selection.set_if_neq(Selection(None));
            }
            PointerRequested::AimCrosshair(_) | PointerRequested::Release(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clip::{AnatomicalAxis, ClipRequested};
    use crate::locomotion::LocomotionRequested;
    use crate::test_support::{fake_case, send, staged_app};
    use crate::visibility::{Target, VisibilityRequested};
    use space::{Magnification, Point};

    fn pointed(app: &mut App) -> Option<Pointed> {
        let mut pointers = app.world_mut().query::<(&Pointer, &PointedAt)>();
        pointers.iter(app.world()).find(|(p, _)| p.id == PointerId::Crosshair).and_then(|(_, at)| at.0.clone())
    }

    /// An app whose crosshair looks at the middle of a structure from in front.
    fn looking_at(name: &str) -> App {
        let mut app = staged_app(fake_case());
        look_at(&mut app, name);
        app
    }

    fn look_at(app: &mut App, name: &str) {
        let body = *app.world().resource::<BodyPose>();
        let target = body.scene_from_body() * fake_case().centre_of(name).unwrap();
        let eye = Point::new(target.x, target.y, 4.0);
        send(app, LocomotionRequested::Place { eye, look_at: target });
    }

    fn hide_body(app: &mut App) {
        send(app, VisibilityRequested::Hide(Target::Named("body".to_owned())));
    }

    #[test]
    fn alone_it_meets_nothing() {
        let mut app = App::new();
        app.add_plugins(PointerPlugin);
        app.update();
        assert_eq!(pointed(&mut app), None);
    }

    #[test]
    fn the_crosshair_names_what_is_under_it() {
        let mut app = looking_at("kidney_left");
        assert_eq!(pointed(&mut app).unwrap().name, "body");
        hide_body(&mut app);
        app.update();
        let hit = pointed(&mut app).unwrap();
        assert_eq!((hit.name.as_str(), hit.display.as_str()), ("kidney_left", "Left kidney"));
        // The front face of a cube of 60 mm about (60, 60, 1066).
        assert!(hit.point.distance(Point::new(60.0, 30.0, 1066.0)) < 0.01, "{:?}", hit.point);
        assert!(hit.normal.z > 0.999 && (hit.at.z + hit.distance_m - 4.0).abs() < 1e-6);
    }

    #[test]
    fn glass_lets_the_ray_through_to_what_it_hides() {
        let mut app = looking_at("kidney_left");
        send(&mut app, VisibilityRequested::Fade { target: Target::Named("body".to_owned()), opacity: 0.2 });
        app.update();
        assert_eq!(pointed(&mut app).unwrap().name, "kidney_left");
        send(&mut app, VisibilityRequested::Hide(Target::Named("kidney_left".to_owned())));
        send(&mut app, VisibilityRequested::Hide(Target::Named("skeleton".to_owned())));
        app.update();
        assert_eq!(pointed(&mut app).unwrap().name, "body", "glass alone is still named");
    }

    #[test]
    fn what_is_cut_away_is_not_met_and_the_cut_face_is() {
        let mut app = looking_at("kidney_left");
        hide_body(&mut app);
        let plane = crate::clip::ClipPlane {
            enabled: true,
            point: Point::new(0.0, 50.0, 0.0),
            normal: AnatomicalAxis::Anterior.direction().lps(),
        };
        send(&mut app, ClipRequested::Place(plane));
        app.update();
        let hit = pointed(&mut app).unwrap();
        assert!(hit.on_cut && hit.name == "kidney_left");
        assert!(hit.point.distance(Point::new(60.0, 50.0, 1066.0)) < 0.01, "{:?}", hit.point);
        send(&mut app, ClipRequested::Place(crate::clip::ClipPlane { point: Point::new(0.0, 95.0, 0.0), ..plane }));
        app.update();
        assert_eq!(pointed(&mut app), None, "the kidney is cut away whole");
        send(&mut app, ClipRequested::Flip);
        app.update();
        assert!(!pointed(&mut app).unwrap().on_cut);
    }

    #[test]
    fn the_point_in_the_patient_does_not_depend_on_magnification() {
        let mut app = looking_at("heart");
        hide_body(&mut app);
        app.update();
        let before = pointed(&mut app).unwrap();
        send(&mut app, LocomotionRequested::Magnify { to: Magnification(6.0), pivot: Some(before.at) });
        app.update();
        let after = pointed(&mut app).unwrap();
        assert_eq!(after.name, before.name);
        assert!(after.point.distance(before.point) < 0.01, "{:?} {:?}", after.point, before.point);
    }

    #[test]
    fn pressing_selects_and_hands_point_too() {
        let mut app = looking_at("heart");
        send(&mut app, PointerRequested::Press(PointerId::Crosshair));
        assert_eq!(app.world().resource::<Selection>().0, Some(1), "the body");
        send(&mut app, PointerRequested::Deselect);
        assert_eq!(app.world().resource::<Selection>().0, None);
        let viewer = *app.world().resource::<Viewer>();
        let rig = *app.world().resource::<Rig>();
        let mut aim = crate::frame::Pose::IDENTITY;
        aim.position = (viewer.0.position - rig.position).get().into();
        let hand = crate::hands::HandTracking { grip: aim, aim, joints: Vec::new() };
        let head = app.world().resource::<crate::hands::HeadPose>().0;
        send(&mut app, crate::hands::PosesMoved { head, left: None, right: Some(Box::new(hand)) });
        send(&mut app, PointerRequested::Press(PointerId::Hand(Hand::Right)));
        assert_eq!(app.world().resource::<Selection>().0, Some(1));
    }
}
