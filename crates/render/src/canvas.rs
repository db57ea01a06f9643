//! Textures that bevy_ui draws, and the quads in the scene that show them. A texture is drawn again only when it changed.

use bevy::asset::Assets;
use bevy::camera::RenderTarget;
use bevy::camera::visibility::RenderLayers;
use bevy::ecs::system::SystemParam;
use bevy::prelude::*;
use bevy::reflect::TypePath;
use bevy::render::render_resource::{AsBindGroup, Extent3d, TextureFormat};

use crate::meshes::TriangleCount;
use crate::pipeline::{OVER_GLASS_BIAS, one_shader};

/// Frames a canvas' camera stays on after a change: layout and glyphs may arrive one frame after the words.
const DRAWN_FRAMES: u8 = 3;

/// What draws a texture by bevy_ui and shows it in the scene.
#[derive(Component, Clone, Debug)]
pub(crate) struct Canvas {
    pub(crate) image: Handle<Image>,
    /// The node everything on the texture is a child of.
    pub(crate) root: Entity,
    /// Shows the texture in the scene, 1 wide, facing +Z; hidden at first.
    pub(crate) quad: Entity,
    size_px: [f32; 2],
    scale: f32,
    camera: Entity,
    material: Handle<CanvasMaterial>,
    frames_left: u8,
}

/// Shows a texture as it is, over everything beyond arm's length.
#[derive(Asset, AsBindGroup, TypePath, Clone, Debug)]
pub(crate) struct CanvasMaterial {
    #[texture(0)]
    #[sampler(1)]
    image: Handle<Image>,
}

impl Material for CanvasMaterial {
    one_shader!(PANEL);

    fn alpha_mode(&self) -> AlphaMode {
        AlphaMode::Blend
    }

    fn depth_bias(&self) -> f32 {
        OVER_GLASS_BIAS
    }
}

/// What making and changing canvases takes.
#[derive(SystemParam)]
pub(crate) struct CanvasMaker<'w, 's> {
    pub(crate) commands: Commands<'w, 's>,
    images: ResMut<'w, Assets<Image>>,
    meshes: ResMut<'w, Assets<Mesh>>,
    materials: ResMut<'w, Assets<CanvasMaterial>>,
    targets: Query<'w, 's, &'static mut RenderTarget>,
}

impl CanvasMaker<'_, '_> {
    /// A canvas of a size in its own pixels, each so many of the texture's.
    pub(crate) fn make(&mut self, size_px: [f32; 2], scale: f32) -> Canvas {
        let [width, height] = size_px;
        let image = self.images.add(texture(size_px, scale));
        let camera = self
            .commands
            .spawn((
                Camera2d,
                Camera {
                    order: -10,
                    clear_color: ClearColorConfig::Custom(Color::NONE),
                    is_active: false,
                    ..default()
                },
                Msaa::Off,
                target(&image, scale),
                // It sees nothing but its own canvas.
                RenderLayers::none(),
                Name::new("canvas camera"),
            ))
            .id();
        let node = Node { width: px(width), height: px(height), overflow: Overflow::clip(), ..default() };
        let root = self.commands.spawn((node, UiTargetCamera(camera))).id();
        let material = self.materials.add(CanvasMaterial { image: image.clone() });
        let quad = self
            .commands
            .spawn((
                Mesh3d(self.meshes.add(Rectangle::new(1.0, height / width))),
                MeshMaterial3d(material.clone()),
                TriangleCount(2),
                Transform::IDENTITY,
                Visibility::Hidden,
            ))
            .id();
        Canvas { image, root, quad, size_px, scale, camera, material, frames_left: 0 }
    }

    /// Gives a canvas a texture of another fineness; true if it needed one.
    pub(crate) fn rescale(&mut self, canvas: &mut Canvas, scale: f32) -> bool {
        if (scale - canvas.scale).abs() <= 1e-3 {
            return false;
        }
        canvas.scale = scale;
        canvas.image = self.images.add(texture(canvas.size_px, scale));
        if let Some(mut material) = self.materials.get_mut(&canvas.material) {
            material.image = canvas.image.clone();
        }
        if let Ok(mut camera_target) = self.targets.get_mut(canvas.camera) {
            *camera_target = target(&canvas.image, scale);
        }
        true
    }
}

impl Canvas {
    /// Replaces all that is below `root`, and has the texture drawn again.
    pub(crate) fn rewrite(&mut self, commands: &mut Commands, words: impl FnOnce(&mut ChildSpawnerCommands)) {
        let mut root = commands.entity(self.root);
        root.despawn_children();
        root.with_children(words);
        self.frames_left = DRAWN_FRAMES;
    }

    /// Takes everything of it away.
    pub(crate) fn despawn(&self, world: &mut World) {
        for entity in [self.camera, self.root, self.quad] {
            world.despawn(entity);
        }
    }
}

fn texture(size_px: [f32; 2], scale: f32) -> Image {
    let [width, height] = size_px.map(|side| (side * scale).round().max(1.0) as u32);
    let mut image = Image::new_target_texture(width, height, TextureFormat::Rgba8UnormSrgb, None);
    image.texture_descriptor.size = Extent3d { width, height, depth_or_array_layers: 1 };
    image
}

fn target(image: &Handle<Image>, scale: f32) -> RenderTarget {
    RenderTarget::Image(bevy::camera::ImageRenderTarget { handle: image.clone(), scale_factor: scale })
}

/// Cameras on for as long as their canvas is drawn.
pub(crate) fn draw_canvases(mut canvases: Query<&mut Canvas>, mut cameras: Query<&mut Camera>) {
    for mut canvas in &mut canvases {
        let should_draw = canvas.frames_left > 0;
        if let Ok(mut camera) = cameras.get_mut(canvas.camera)
            && camera.is_active != should_draw
        {
            camera.is_active = should_draw;
        }
        if should_draw {
            canvas.bypass_change_detection().frames_left -= 1;
        }
    }
}
