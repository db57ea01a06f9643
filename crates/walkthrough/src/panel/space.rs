//! Panels that hang in the scene, and the pointers that meet them.

use bevy_ecs::prelude::*;
use glam::{DQuat, DVec3};
use space::{Point, Scene};

use crate::frame::{Pose, Ray, yaw_rotation};
use crate::panel::{Panel, PanelId, PanelPlacement, PanelPointer};
use crate::pointer::{PointedAt, Pointer, PointerId, PointerRequested};

/// How far in front of the eyes a panel opens, in metres; our choice, an arm and a half.
const DISTANCE_M: f64 = 0.9;
/// How far below the eyes its middle hangs, in metres; our choice, so that one looks slightly down.
const BELOW_EYES_M: f64 = 0.12;
/// Width of a panel in the scene, in metres; our choice: a row is 3 cm high, easy to hit.
const WIDTH_M: f64 = 0.42;

/// In front of where a head looks, upright, facing it.
pub(super) fn in_front_of(head: Pose<Scene>) -> PanelPlacement {
    let ahead = head.forward();
    let level = DVec3 { y: 0.0, ..ahead.get() }.try_normalize().unwrap_or(DVec3::NEG_Z);
    // The panel's +Z looks back at the head.
    let yaw = (-level.x).atan2(-level.z);
    let position: Point<Scene> = (head.position.get() + level * DISTANCE_M - DVec3::Y * BELOW_EYES_M).into();
    PanelPlacement::Scene { pose: Pose { position, rotation: yaw_rotation(yaw).as_quat() }, width_m: WIDTH_M }
}

/// Where a ray meets a panel: distance in metres, and the place as in [`PanelPointer::uv`].
pub(super) fn meet_panel(ray: &Ray, placement: &PanelPlacement, size_px: [f32; 2]) -> Option<(f64, [f32; 2])> {
    let PanelPlacement::Scene { pose, width_m } = placement else { return None };
    let back: DQuat = pose.rotation.as_dquat().conjugate();
    let (from, along) = (back * (ray.origin - pose.position).get(), back * ray.direction.get());
    // Only its face: a ray from behind goes through.
    if along.z >= 0.0 || from.z <= 0.0 {
        return None;
    }
    let distance_m = -from.z / along.z;
    let at = from + along * distance_m;
    let height_m = width_m * f64::from(size_px[1] / size_px[0]);
    let uv = [(at.x / width_m + 0.5) as f32, (0.5 - at.y / height_m) as f32];
    uv.iter().all(|c| (0.0..=1.0).contains(c)).then_some((distance_m, uv))
}

/// What a pointer did to panels last.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Pressing {
    right: bool,
    left: bool,
    over: Option<PanelId>,
}

/// Hands that point at a panel press it instead of the body behind it.
pub(super) fn point_at_panels(
    mut requests: MessageReader<PointerRequested>,
    mut panel_pointers: MessageWriter<PanelPointer>,
    panels: Query<(&Panel, &PanelPlacement)>,
    mut pointers: Query<(&mut Pointer, &mut PointedAt)>,
    mut pressing: Local<Pressing>,
) {
    use crate::hands::Hand::{Left, Right};
    for request in requests.read() {
        match request {
            PointerRequested::Press(PointerId::Hand(Right)) => pressing.right = true,
            PointerRequested::Release(PointerId::Hand(Right)) => pressing.right = false,
            PointerRequested::Press(PointerId::Hand(Left)) => pressing.left = true,
            PointerRequested::Release(PointerId::Hand(Left)) => pressing.left = false,
            _ => {}
        }
    }
    let mut nearest: Option<(f64, PanelPointer)> = None;
    for (mut pointer, mut at) in &mut pointers {
        let PointerId::Hand(hand) = pointer.id else { continue };
        let mut over_panel = false;
        let Some(ray) = pointer.ray else { continue };
        let pressed = if hand == Right { pressing.right } else { pressing.left };
        let body_m = at.0.as_ref().map_or(f64::INFINITY, |p| p.distance_m);
        for (panel, placement) in panels.iter().filter(|(p, _)| p.open) {
            let Some((distance_m, uv)) = meet_panel(&ray, placement, panel.size_px) else { continue };
            if distance_m > body_m {
                continue;
            }
            over_panel = true;
            if nearest.is_none_or(|(d, _)| distance_m < d) {
                nearest = Some((distance_m, PanelPointer { panel: panel.id, uv: Some(uv), pressed }));
            }
        }
        if over_panel {
            at.set_if_neq(PointedAt(None));
        }
        // A pointer that leaves a panel looks at the body again.
        if pointer.over_panel != over_panel {
            pointer.over_panel = over_panel;
        }
    }
    let over = nearest.map(|(_, p)| p.panel);
    if let Some(left) = pressing.over.filter(|p| Some(*p) != over) {
        panel_pointers.write(PanelPointer { panel: left, uv: None, pressed: false });
    }
    pressing.over = over;
    if let Some((_, pointer)) = nearest {
        panel_pointers.write(pointer);
    }
}
