//! Finding the runtime and opening a session, before the app is built.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bevy::math::UVec2;
use bevy::render::renderer::{RenderAdapter, RenderAdapterInfo, RenderInstance, RenderQueue, WgpuWrapper};
use bevy::render::settings::RenderCreation;
use bevy_mod_openxr::graphics::{GraphicsBackend, GraphicsWrap};
use bevy_mod_openxr::resources::{OxrEntry, OxrFrameStream, OxrFrameWaiter, OxrInstance, OxrSwapchain};
use bevy_mod_openxr::session::OxrSessionCreateNextChain;
use bevy_mod_openxr::types::{AppInfo, OxrExtensions, SwapchainCreateInfo, Version, WgpuGraphics};
use openxr::{
    EnvironmentBlendMode, FormFactor, ReferenceSpaceType, SwapchainCreateFlags, SwapchainUsageFlags,
    ViewConfigurationType,
};
use serde::Serialize;

use crate::actions::Actions;
use crate::bindings::Bindings;
use crate::error::HeadsetError;
use crate::frame_loop::{HeadsetPlugin, Output, Session};

/// The only swapchain format the eyes are drawn in; every runtime on Vulkan offers it.
const FORMAT: bevy::render::render_resource::TextureFormat =
    bevy::render::render_resource::TextureFormat::Rgba8UnormSrgb;

/// A reference space's height above the floor is unknown in LOCAL space; a standing adult's eyes are taken instead.
const LOCAL_EYE_HEIGHT_M: f32 = 1.6;

/// What answers when asked for a headset.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RuntimeInfo {
    /// The runtime's own name.
    pub runtime: String,
    /// Its version.
    pub version: String,
    /// The headset's name.
    pub system: String,
    /// Whether bare hands are tracked.
    pub hand_tracking: bool,
}

/// An open session, to be given to the app.
pub struct Headset {
    /// What answered.
    pub info: RuntimeInfo,
    /// The graphics device that the runtime chose; Bevy's `RenderPlugin` must use it.
    pub render_creation: RenderCreation,
    /// Width and height of one eye's picture.
    pub resolution: UVec2,
    /// Draws the eyes and feeds the walk.
    pub plugin: HeadsetPlugin,
}

/// Asks whether a headset answers, without opening a session.
///
/// # Errors
/// [`HeadsetError`] says what is missing.
pub fn probe() -> Result<RuntimeInfo, HeadsetError> {
    connect().map(|connection| connection.info)
}

struct Connection {
    instance: OxrInstance,
    system: openxr::SystemId,
    info: RuntimeInfo,
}

fn connect() -> Result<Connection, HeadsetError> {
    find_manifest()?;
    // SAFETY: the library is the OpenXR loader by its well-known name; its initialisers have no preconditions.
    #[expect(unsafe_code, reason = "loading a shared library runs its initialisers")]
    let entry = unsafe { openxr::Entry::load() }.map_err(|e| HeadsetError::NoLoader { reason: e.to_string() })?;
    let entry = OxrEntry(entry);
    let available = entry.enumerate_extensions().map_err(HeadsetError::at("enumerating extensions"))?;
    let mut wanted = OxrExtensions::default();
    wanted.enable_hand_tracking();
    let extensions = wanted & available;
    let app = AppInfo { name: "Vestibule".into(), version: Version(0, 1, 0) };
    let instance = entry
        .create_instance(app, extensions, &[], GraphicsBackend::Vulkan(()))
        .map_err(HeadsetError::at("creating an instance"))?;
    let properties = instance.properties().map_err(HeadsetError::at("reading its name"))?;
    let system = instance.system(FormFactor::HEAD_MOUNTED_DISPLAY).map_err(HeadsetError::at("finding a headset"))?;
    let system_properties = instance.system_properties(system).map_err(HeadsetError::at("reading the headset"))?;
    let has_extension = instance.exts().ext_hand_tracking.is_some();
    let info = RuntimeInfo {
        runtime: properties.runtime_name,
        version: properties.runtime_version.to_string(),
        system: system_properties.system_name,
        hand_tracking: has_extension && instance.supports_hand_tracking(system).unwrap_or(false),
    };
    Ok(Connection { instance, system, info })
}

/// Opens a session: graphics, swapchain, spaces and actions.
///
/// # Errors
/// [`HeadsetError`] with the step that failed; nothing stays open then.
pub fn open(bindings: &Bindings) -> Result<Headset, HeadsetError> {
    let Connection { instance, system, info } = connect()?;
    let (graphics, create_info) =
        instance.init_graphics(system, None).map_err(HeadsetError::at("setting up graphics"))?;
    let WgpuGraphics(device, queue, adapter_info, adapter, wgpu_instance) = graphics;
    let mut chain = OxrSessionCreateNextChain::default();
    // SAFETY: `create_info` holds the handles that `init_graphics` made for this instance.
    #[expect(unsafe_code, reason = "OpenXR takes raw graphics handles")]
    let (session, OxrFrameWaiter(waiter), stream) = unsafe { instance.create_session(system, create_info, &mut chain) }
        .map_err(HeadsetError::at("creating a session"))?;

    let views = instance
        .enumerate_view_configuration_views(system, ViewConfigurationType::PRIMARY_STEREO)
        .map_err(HeadsetError::at("asking for stereo views"))?;
    let [view, _] = views.as_slice() else { return Err(HeadsetError::Unsupported { what: "stereo view" }) };
    let resolution = UVec2::new(view.recommended_image_rect_width, view.recommended_image_rect_height);
    let formats = session.enumerate_swapchain_formats().map_err(HeadsetError::at("listing picture formats"))?;
    if !formats.contains(&FORMAT) {
        return Err(HeadsetError::Unsupported { what: "8-bit sRGB swapchain" });
    }
    let swapchain = session
        .create_swapchain(SwapchainCreateInfo {
            create_flags: SwapchainCreateFlags::EMPTY,
            usage_flags: SwapchainUsageFlags::COLOR_ATTACHMENT | SwapchainUsageFlags::SAMPLED,
            format: FORMAT,
            sample_count: 1,
            width: resolution.x,
            height: resolution.y,
            face_count: 1,
            array_size: 2,
            mip_count: 1,
        })
        .map_err(HeadsetError::at("creating a swapchain"))?;
    let images =
        swapchain.enumerate_images(&device, FORMAT, resolution).map_err(HeadsetError::at("reading the swapchain"))?;
    let blend_modes = instance
        .enumerate_environment_blend_modes(system, ViewConfigurationType::PRIMARY_STEREO)
        .map_err(HeadsetError::at("asking for blend modes"))?;
    let blend_mode = [EnvironmentBlendMode::OPAQUE, EnvironmentBlendMode::ADDITIVE]
        .into_iter()
        .find(|mode| blend_modes.contains(mode))
        .ok_or(HeadsetError::Unsupported { what: "opaque or additive blend mode" })?;

    let GraphicsWrap::Vulkan(typed) = session.typed_session();
    let typed = typed.clone();
    let stage = Arc::new(stage_space(&typed)?);
    let actions = Actions::create(&instance, &typed, bindings, info.hand_tracking)?;
    let OxrFrameStream(GraphicsWrap::Vulkan(stream)) = stream;
    let OxrSwapchain(GraphicsWrap::Vulkan(swapchain)) = swapchain;

    let output = Output::new(typed.clone(), stream, swapchain, images.0, Arc::clone(&stage), blend_mode, resolution);
    let session = Session::new(instance, typed, waiter, stage, actions);
    let render_creation = RenderCreation::manual(
        device.into(),
        RenderQueue(Arc::new(WgpuWrapper::new(queue))),
        RenderAdapterInfo(WgpuWrapper::new(adapter_info)),
        RenderAdapter(Arc::new(WgpuWrapper::new(adapter))),
        RenderInstance(Arc::new(WgpuWrapper::new(wgpu_instance))),
    );
    Ok(Headset { info, render_creation, resolution, plugin: HeadsetPlugin::new(session, output) })
}

/// Floor level and room centre where the runtime knows them, else an eye's height below the start pose.
fn stage_space(session: &openxr::Session<openxr::Vulkan>) -> Result<openxr::Space, HeadsetError> {
    let known = session.enumerate_reference_spaces().map_err(HeadsetError::at("listing reference spaces"))?;
    let (kind, floor_m) = if known.contains(&ReferenceSpaceType::STAGE) {
        (ReferenceSpaceType::STAGE, 0.0)
    } else {
        (ReferenceSpaceType::LOCAL, -LOCAL_EYE_HEIGHT_M)
    };
    let mut pose = openxr::Posef::IDENTITY;
    pose.position.y = floor_m;
    session.create_reference_space(kind, pose).map_err(HeadsetError::at("creating a reference space"))
}

/// Looks for a runtime manifest where the loader does (OpenXR loader specification, "Runtime discovery"), so that a machine
/// without one is told so by us and not by the loader's own noise.
fn find_manifest() -> Result<(), HeadsetError> {
    if let Some(named) = std::env::var_os("XR_RUNTIME_JSON") {
        let path = PathBuf::from(named);
        return if path.exists() { Ok(()) } else { Err(HeadsetError::NoManifest { path }) };
    }
    let variable = |name: &str| std::env::var_os(name).map(PathBuf::from);
    let home_config = variable("XDG_CONFIG_HOME").or_else(|| Some(variable("HOME")?.join(".config")));
    let list = |name: &str, default: &str| {
        let text = std::env::var(name).unwrap_or_else(|_missing| default.to_owned());
        text.split(':').filter(|d| !d.is_empty()).map(PathBuf::from).collect::<Vec<_>>()
    };
    let mut folders: Vec<PathBuf> = home_config.into_iter().collect();
    folders.extend(list("XDG_CONFIG_DIRS", "/etc/xdg"));
    folders.push(Path::new("/etc").to_owned());
    folders.push(Path::new("/usr/local/etc").to_owned());
    folders.extend(list("XDG_DATA_DIRS", "/usr/local/share:/usr/share"));
    let found = folders.iter().any(|f| {
        let folder = f.join("openxr/1");
        folder.join("active_runtime.json").exists() || folder.join("active_runtime.x86_64.json").exists()
    });
    if found { Ok(()) } else { Err(HeadsetError::NoRuntime) }
}
