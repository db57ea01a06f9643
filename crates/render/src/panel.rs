//! Panels of the walk, drawn by bevy_ui into textures: laid over the picture on a screen, hung up in the scene otherwise.
//!
//! Where everything lies stands in `walkthrough::panel`; here it only gets its look. A panel is drawn again only when it
//! changed.

mod rows;

use bevy::camera::RenderTarget;
use bevy::camera::visibility::RenderLayers;
use bevy::prelude::*;
use bevy::reflect::TypePath;
use bevy::render::render_resource::{AsBindGroup, Extent3d, TextureFormat};
use bevy::shader::ShaderRef;
use walkthrough::panel::{Panel, PanelId, PanelPlacement};
use walkthrough::walk::WalkRun;

use crate::hud::ScreenRoot;
use crate::meshes::TriangleCount;
use crate::shaders;
use crate::span::{systems_clock, timed};

/// Pixels of the texture for each pixel of a panel, where it hangs in the scene.
const SCENE_SCALE: f32 = 2.0;

/// Frames a panel's camera stays on after a change: layout and glyphs may arrive one frame after the words.
const DRAWN_FRAMES: u8 = 3;

/// The quad of a panel that hangs in the scene.
#[derive(Component, Clone, Copy, Debug, PartialEq, Eq)]
pub struct PanelQuad(pub PanelId);

/// A panel's texture on the screen.
#[derive(Component, Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PanelOverlay(pub(crate) PanelId);

/// What draws a panel; on the entity of its [`Panel`].
#[derive(Component, Clone, Debug)]
struct PanelCanvas {
    image: Handle<Image>,
    scale: f32,
    camera: Entity,
    root: Entity,
    overlay: Option<Entity>,
    quad: Entity,
    material: Handle<PanelMaterial>,
    frames_left: u8,
}

/// Shows a texture as it is, over everything beyond arm's length.
#[derive(Asset, AsBindGroup, TypePath, Clone, Debug)]
pub(crate) struct PanelMaterial {
    #[texture(0)]
    #[sampler(1)]
    image: Handle<Image>,
}

impl Material for PanelMaterial {
    fn vertex_shader() -> ShaderRef {
        shaders::PANEL.into()
    }

    fn fragment_shader() -> ShaderRef {
        shaders::PANEL.into()
    }

    fn alpha_mode(&self) -> AlphaMode {
        AlphaMode::Blend
    }

    fn enable_prepass() -> bool {
        false
    }

    fn enable_shadows() -> bool {
        false
    }
}

/// Draws the panels.
pub(crate) struct PanelsPlugin;

impl Plugin for PanelsPlugin {
    fn build(&self, app: &mut App) {
        let clock = systems_clock(app);
        app.add_systems(
            Update,
            (timed(&clock, make_canvases), timed(&clock, draw_panels), timed(&clock, place_panels))
                .chain()
                .after(WalkRun)
                .after(crate::hud::HudSystems::Spawn),
        );
    }
}

fn make_canvases(
    mut commands: Commands,
    panels: Query<(Entity, &Panel), (Added<Panel>, Without<PanelCanvas>)>,
    mut images: ResMut<Assets<Image>>,
    mut meshes: ResMut<Assets<Mesh>>,
    mut materials: ResMut<Assets<PanelMaterial>>,
) {
    for (order, (entity, panel)) in panels.iter().enumerate() {
        let [width, height] = panel.size_px;
        let image = images.add(canvas_image(panel.size_px, 1.0));
        let camera = commands
            .spawn((
                Camera2d,
                Camera {
                    order: -10 - order as isize,
                    clear_color: ClearColorConfig::Custom(Color::NONE),
                    is_active: false,
                    ..default()
                },
                Msaa::Off,
                target(&image, 1.0),
                // It sees nothing but its own panel.
                RenderLayers::none(),
                Name::new("panel camera"),
            ))
            .id();
        let root = commands
            .spawn((
                Node { width: px(width), height: px(height), overflow: Overflow::clip(), ..default() },
                UiTargetCamera(camera),
            ))
            .id();
        let material = materials.add(PanelMaterial { image: image.clone() });
        let quad = commands
            .spawn((
                PanelQuad(panel.id),
                Mesh3d(meshes.add(Rectangle::new(1.0, height / width))),
                MeshMaterial3d(material.clone()),
                TriangleCount(2),
                Transform::IDENTITY,
                Visibility::Hidden,
            ))
            .id();
        commands.entity(entity).insert(PanelCanvas {
            image,
            scale: 1.0,
            camera,
            root,
            overlay: None,
            quad,
            material,
            frames_left: 0,
        });
    }
}

fn canvas_image(size_px: [f32; 2], scale: f32) -> Image {
    let [width, height] = size_px.map(|side| (side * scale).round().max(1.0) as u32);
    let mut image = Image::new_target_texture(width, height, TextureFormat::Rgba8UnormSrgb, None);
    image.texture_descriptor.size = Extent3d { width, height, depth_or_array_layers: 1 };
    image
}

fn target(image: &Handle<Image>, scale: f32) -> RenderTarget {
    RenderTarget::Image(bevy::camera::ImageRenderTarget { handle: image.clone(), scale_factor: scale })
}

/// Rows anew for what changed, and the camera on for as long as it takes.
fn draw_panels(
    mut commands: Commands,
    mut panels: Query<(Ref<Panel>, Ref<PanelPlacement>, &mut PanelCanvas)>,
    mut cameras: Query<(&mut Camera, &mut RenderTarget)>,
    mut images: ResMut<Assets<Image>>,
    mut materials: ResMut<Assets<PanelMaterial>>,
    windows: Query<&Window>,
) {
    let screen_scale = windows.iter().next().map_or(1.0, Window::scale_factor);
    for (panel, placement, mut canvas) in &mut panels {
        let scale = match *placement {
            PanelPlacement::Screen => screen_scale,
            PanelPlacement::Scene { .. } => SCENE_SCALE,
        };
        let is_rescaled = (scale - canvas.scale).abs() > 1e-3;
        if panel.open && (panel.is_changed() || is_rescaled || placement.is_changed()) {
            if is_rescaled {
                canvas.scale = scale;
                canvas.image = images.add(canvas_image(panel.size_px, scale));
                if let Some(mut material) = materials.get_mut(&canvas.material) {
                    material.image = canvas.image.clone();
                }
                if let Ok((_, mut camera_target)) = cameras.get_mut(canvas.camera) {
                    *camera_target = target(&canvas.image, scale);
                }
                if let Some(overlay) = canvas.overlay {
                    commands.entity(overlay).insert(ImageNode::new(canvas.image.clone()));
                }
            }
            commands.entity(canvas.root).despawn_children();
            let root = canvas.root;
            commands.entity(root).with_children(|parent| rows::draw(parent, &panel));
            canvas.frames_left = DRAWN_FRAMES;
        }
        let should_draw = canvas.frames_left > 0;
        if let Ok((mut camera, _)) = cameras.get_mut(canvas.camera)
            && camera.is_active != should_draw
        {
            camera.is_active = should_draw;
        }
        if should_draw {
            canvas.frames_left -= 1;
        }
    }
}

/// On the screen at the left edge, in the scene where the walk says.
fn place_panels(
    mut commands: Commands,
    mut panels: Query<
        (&Panel, &PanelPlacement, &mut PanelCanvas),
        Or<(Changed<Panel>, Changed<PanelPlacement>, Added<PanelCanvas>)>,
    >,
    screens: Query<Entity, With<ScreenRoot>>,
    mut quads: Query<(&mut Transform, &mut Visibility), With<PanelQuad>>,
    mut overlays: Query<&mut Node, With<PanelOverlay>>,
) {
    for (panel, placement, mut canvas) in &mut panels {
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
        match (canvas.overlay, screens.iter().next()) {
            (Some(overlay), _) => {
                if let Ok(mut node) = overlays.get_mut(overlay) {
                    node.display = if on_screen { Display::Flex } else { Display::None };
                }
            }
            (None, Some(screen)) if on_screen => {
                let [width, height] = panel.size_px;
                let overlay = commands
                    .spawn((
                        PanelOverlay(panel.id),
                        ImageNode::new(canvas.image.clone()),
                        Node {
                            position_type: PositionType::Absolute,
                            left: px(16.0),
                            top: px(64.0),
                            width: px(width),
                            height: px(height),
                            ..default()
                        },
                        ChildOf(screen),
                    ))
                    .id();
                canvas.overlay = Some(overlay);
            }
            _ => {}
        }
    }
}
