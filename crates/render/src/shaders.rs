//! The shaders, embedded in the program; `$VESTIBULE_HOME/assets/shaders` overrides them.

use std::path::Path;

use bevy::asset::uuid_handle;
use bevy::prelude::*;
use bevy::shader::Shader;

/// Shared declarations and the light.
pub(crate) const STAGE: Handle<Shader> = uuid_handle!("5a3f7f53-93a5-4f2e-9d12-2c6de7a51001");
/// Surfaces of structures.
pub(crate) const ANATOMY: Handle<Shader> = uuid_handle!("5a3f7f53-93a5-4f2e-9d12-2c6de7a51002");
/// Planes with the scan on them.
pub(crate) const SLICE: Handle<Shader> = uuid_handle!("5a3f7f53-93a5-4f2e-9d12-2c6de7a51003");
/// Letters, lines and figures.
pub(crate) const MARK: Handle<Shader> = uuid_handle!("5a3f7f53-93a5-4f2e-9d12-2c6de7a51004");
/// Floor and backdrop.
pub(crate) const ROOM: Handle<Shader> = uuid_handle!("5a3f7f53-93a5-4f2e-9d12-2c6de7a51005");
/// Panels and plates that hang in the scene.
pub(crate) const PANEL: Handle<Shader> = uuid_handle!("5a3f7f53-93a5-4f2e-9d12-2c6de7a51006");
/// Darkness over the whole picture.
pub(crate) const SHADE: Handle<Shader> = uuid_handle!("5a3f7f53-93a5-4f2e-9d12-2c6de7a51007");

const SOURCES: [(Handle<Shader>, &str, &str); 7] = [
    (STAGE, "stage.wgsl", include_str!("../../../assets/shaders/stage.wgsl")),
    (ANATOMY, "anatomy.wgsl", include_str!("../../../assets/shaders/anatomy.wgsl")),
    (SLICE, "slice.wgsl", include_str!("../../../assets/shaders/slice.wgsl")),
    (MARK, "mark.wgsl", include_str!("../../../assets/shaders/mark.wgsl")),
    (ROOM, "room.wgsl", include_str!("../../../assets/shaders/room.wgsl")),
    (PANEL, "panel.wgsl", include_str!("../../../assets/shaders/panel.wgsl")),
    (SHADE, "shade.wgsl", include_str!("../../../assets/shaders/shade.wgsl")),
];

/// Puts the shaders where the materials look for them.
pub(crate) fn insert_shaders(app: &mut App) {
    let home = std::env::var_os("VESTIBULE_HOME");
    let mut shaders = app.world_mut().resource_mut::<Assets<Shader>>();
    for (handle, name, embedded) in SOURCES {
        let from_home = home.as_deref().and_then(|home| {
            let path = Path::new(home).join("assets/shaders").join(name);
            std::fs::read_to_string(path).ok()
        });
        let source = from_home.unwrap_or_else(|| embedded.to_owned());
        if let Err(error) = shaders.insert(&handle, Shader::from_wgsl(source, format!("vestibule/{name}"))) {
            error!("shader {name} is not in place: {error}");
        }
    }
}
