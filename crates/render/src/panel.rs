//! Panels of the walk, drawn by bevy_ui into textures: laid over the picture on a screen, hung up in the scene otherwise.
//!
//! Where everything lies stands in `walkthrough::panel`; here it only gets its look.

mod rows;

use bevy::prelude::*;
use walkthrough::panel::{Panel, PanelHome, PanelId, PanelPlacement};
use walkthrough::walk::WalkRun;

use crate::canvas::{Canvas, CanvasMaker, draw_canvases};
use crate::hud::ScreenRoot;
use crate::span::{systems_clock, timed};

/// Pixels of the texture for each pixel of a panel, where it hangs in the scene.
const SCENE_SCALE: f32 = 2.0;

/// The quad of a panel that hangs in the scene.
#[derive(Component, Clone, Copy, Debug, PartialEq, Eq)]
pub struct PanelQuad(pub PanelId);

/// A panel's texture on the screen.
#[derive(Component, Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PanelOverlay(pub(crate) PanelId);

/// The [`PanelOverlay`] of a panel, once it was on a screen; on the entity of its [`Panel`].
#[derive(Component, Clone, Copy, Debug, Default)]
struct OverlayNode(Option<Entity>);

/// Draws the panels.
pub(crate) struct PanelsPlugin;

impl Plugin for PanelsPlugin {
    fn build(&self, app: &mut App) {
        let clock = systems_clock(app);
        app.add_systems(
            Update,
            (
                timed(&clock, make_canvases),
                timed(&clock, draw_panels),
                timed(&clock, place_panels),
                timed(&clock, draw_canvases),
            )
                .chain()
                .after(WalkRun)
                .after(crate::hud::HudSystems::Spawn)
                .after(crate::plates::PlateSystems::Write),
        );
    }
}

fn make_canvases(
    panels: Query<(Entity, &Panel), (Added<Panel>, Without<Canvas>)>,
    home: Res<PanelHome>,
    mut maker: CanvasMaker,
) {
    for (entity, panel) in &panels {
        let scale = if *home == PanelHome::Screen { 1.0 } else { SCENE_SCALE };
        let canvas = maker.make(panel.size_px, scale);
        maker.commands.entity(canvas.quad).insert(PanelQuad(panel.id));
        maker.commands.entity(entity).insert((canvas, OverlayNode(None)));
    }
}

/// Rows anew for what changed.
fn draw_panels(
    mut panels: Query<(Ref<Panel>, Ref<PanelPlacement>, &mut Canvas, &OverlayNode)>,
    mut maker: CanvasMaker,
    windows: Query<&Window>,
) {
    let screen_scale = windows.iter().next().map_or(1.0, Window::scale_factor);
    for (panel, placement, mut canvas, overlay) in &mut panels {
        let scale = match *placement {
            PanelPlacement::Screen => screen_scale,
            PanelPlacement::Scene { .. } => SCENE_SCALE,
        };
        if !panel.open {
            continue;
        }
        let canvas = canvas.bypass_change_detection();
        let is_rescaled = maker.rescale(canvas, scale);
        if let (Some(overlay), true) = (overlay.0, is_rescaled) {
            maker.commands.entity(overlay).insert(ImageNode::new(canvas.image.clone()));
        }
        if is_rescaled || panel.is_changed() || placement.is_changed() {
            canvas.rewrite(&mut maker.commands, |parent| rows::draw(parent, &panel));
        }
    }
}

/// On the screen at the left edge, in the scene where the walk says.
fn place_panels(
    mut commands: Commands,
    mut panels: Query<
        (&Panel, &PanelPlacement, &Canvas, &mut OverlayNode),
        Or<(Changed<Panel>, Changed<PanelPlacement>, Added<Canvas>)>,
    >,
    screens: Query<Entity, With<ScreenRoot>>,
    mut quads: Query<(&mut Transform, &mut Visibility), With<PanelQuad>>,
    mut overlays: Query<&mut Node, With<PanelOverlay>>,
) {
    for (panel, placement, canvas, mut overlay) in &mut panels {
        let on_screen = panel.open && *placement == PanelPlacement::Screen;
        if let Ok((mut transform, mut visibility)) = quads.get_mut(canvas.quad) {
            match placement {
                PanelPlacement::Scene { pose, width_m } if panel.open => {
                    *transform = Transform {
                        translation: pose.position.as_vec3(),
                        rotation: pose.rotation,
                        scale: Vec3::splat(*width_m as f32),
                    };
                    visibility.set_if_neq(Visibility::Inherited);
                }
                _ => {
                    visibility.set_if_neq(Visibility::Hidden);
                }
            }
        }
        match (overlay.0, screens.iter().next()) {
            (Some(overlay), _) => {
                if let Ok(mut node) = overlays.get_mut(overlay) {
                    node.display = if on_screen { Display::Flex } else { Display::None };
                }
            }
            (None, Some(screen)) if on_screen => {
                let [width, height] = panel.size_px;
                let node = Node {
                    position_type: PositionType::Absolute,
                    left: px(16.0),
                    top: px(64.0),
                    width: px(width),
                    height: px(height),
                    ..default()
                };
                let image = ImageNode::new(canvas.image.clone());
                overlay.0 = Some(commands.spawn((PanelOverlay(panel.id), image, node, ChildOf(screen))).id());
            }
            _ => {}
        }
    }
}
