//! What spares a headset's user dizziness: the edge of the view darkens in smooth motion, all of it for a moment in a jump.

use bevy::asset::RenderAssetUsages;
use bevy::camera::visibility::NoFrustumCulling;
use bevy::mesh::{Indices, PrimitiveTopology};
use bevy::prelude::*;
use bevy::reflect::TypePath;
use bevy::render::render_resource::AsBindGroup;
use walkthrough::comfort::Comfort;
use walkthrough::locomotion::{SmoothMotion, Teleported, Turned};
use walkthrough::walk::WalkRun;

use crate::meshes::TriangleCount;
use crate::pipeline::{OVER_GLASS_BIAS, one_shader_of_positions};
use crate::plugin::DisplayKind;
use crate::span::{systems_clock, timed};

/// Darkness over the whole picture.
#[derive(Asset, AsBindGroup, TypePath, Clone, Debug)]
pub(crate) struct ShadeMaterial {
    /// How far the vignette closes and how dark everything is, 0 to 1.
    #[uniform(0)]
    strength: Vec4,
}

impl Material for ShadeMaterial {
    one_shader_of_positions!(SHADE);

    fn alpha_mode(&self) -> AlphaMode {
        AlphaMode::Blend
    }

    fn depth_bias(&self) -> f32 {
        2.0 * OVER_GLASS_BIAS
    }
}

/// Darkens a headset's view.
pub(crate) struct ShadePlugin;

impl Plugin for ShadePlugin {
    fn build(&self, app: &mut App) {
        let clock = systems_clock(app);
        let in_headset = |kind: Res<DisplayKind>| *kind == DisplayKind::Headset;
        app.init_resource::<Shade>()
            .add_systems(Startup, spawn_shade.run_if(in_headset))
            .add_systems(Update, timed(&clock, darken).run_if(in_headset).after(WalkRun));
    }
}

/// How dark it is.
#[derive(Resource, Clone, Copy, Debug, Default, PartialEq)]
struct Shade {
    /// 0 to the preset's vignette.
    vignette: f32,
    /// 1 all dark, 0 clear.
    blink: f32,
}

/// The vignette closes and opens in this many seconds; our choice.
const CLOSING_S: f32 = 0.15;

impl Shade {
    /// Some seconds later.
    fn next(self, moves: bool, jumped: bool, comfort: &Comfort, seconds: f32) -> Self {
        let (goal, step) = (if moves { comfort.vignette as f32 } else { 0.0 }, seconds / CLOSING_S);
        let vignette = self.vignette + (goal - self.vignette).clamp(-step, step);
        let blink_s = comfort.blink_s as f32;
        // The view is dark in the frame that jumps, and clears from there.
        let blink = if blink_s <= 0.0 {
            0.0
        } else if jumped {
            1.0
        } else {
            (self.blink - seconds / blink_s).max(0.0)
        };
        Self { vignette, blink }
    }
}

fn spawn_shade(mut commands: Commands, mut meshes: ResMut<Assets<Mesh>>, mut materials: ResMut<Assets<ShadeMaterial>>) {
    // One triangle that covers the picture; the shader takes it as it is.
    let mesh = Mesh::new(PrimitiveTopology::TriangleList, RenderAssetUsages::default())
        .with_inserted_attribute(Mesh::ATTRIBUTE_POSITION, vec![[-1.0, -1.0, 0.0], [3.0, -1.0, 0.0], [-1.0, 3.0, 0.0]])
        .with_inserted_indices(Indices::U32(vec![0, 1, 2]));
    commands.spawn((
        Name::new("shade"),
        Mesh3d(meshes.add(mesh)),
        MeshMaterial3d(materials.add(ShadeMaterial { strength: Vec4::ZERO })),
        TriangleCount(1),
        NoFrustumCulling,
        Visibility::Hidden,
    ));
}

/// Takes the shade away.
pub(crate) fn remove_shade(world: &mut World) {
    crate::view::despawn_all::<With<MeshMaterial3d<ShadeMaterial>>>(world);
}

fn darken(
    mut shade: ResMut<Shade>,
    (motion, comfort, time): (Res<SmoothMotion>, Res<Comfort>, Res<Time>),
    (mut teleported, mut turned): (MessageReader<Teleported>, MessageReader<Turned>),
    mut shown: Query<(&MeshMaterial3d<ShadeMaterial>, &mut Visibility)>,
    mut materials: ResMut<Assets<ShadeMaterial>>,
) {
    let jumped = teleported.read().count() + turned.read().count() > 0;
    let next = shade.next(motion.0, jumped, &comfort, time.delta_secs());
    if !shade.set_if_neq(next) {
        return;
    }
    for (material, mut visibility) in &mut shown {
        let is_clear = next == Shade::default();
        visibility.set_if_neq(if is_clear { Visibility::Hidden } else { Visibility::Inherited });
        if let Some(mut material) = materials.get_mut(&material.0) {
            material.strength = Vec4::new(next.vignette, next.blink, 0.0, 0.0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_darkens_while_moving_and_blinks_at_a_jump() {
        let comfort = Comfort::default();
        let mut shade = Shade::default();
        for _ in 0..30 {
            shade = shade.next(true, false, &comfort, 1.0 / 90.0);
        }
        assert_eq!(shade, Shade { vignette: comfort.vignette as f32, blink: 0.0 });
        shade = shade.next(false, true, &comfort, 1.0 / 90.0);
        assert_eq!(shade.blink, 1.0);
        for _ in 0..30 {
            shade = shade.next(false, false, &comfort, 1.0 / 90.0);
        }
        assert_eq!(shade, Shade::default(), "and is clear again");
        let none = Comfort { vignette: 0.0, blink_s: 0.0, ..comfort };
        assert_eq!(Shade::default().next(true, true, &none, 0.01), Shade::default(), "who wants neither gets neither");
    }
}
