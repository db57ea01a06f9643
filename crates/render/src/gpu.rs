//! The graphics device, found before Bevy needs it, so that a machine without one gets a sentence.

use bevy::render::renderer::{
    RenderAdapter, RenderAdapterInfo, RenderDevice, RenderInstance, RenderQueue, WgpuWrapper,
};
use bevy::render::settings::{Backends, RenderCreation, RenderResources, WgpuFeatures, WgpuSettings};
use bevy::tasks::block_on;
use std::sync::Arc;
use thiserror::Error;

/// The pictures cannot be drawn on this machine.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum GpuError {
    /// No driver offers an adapter.
    #[error(
        "no Vulkan device answers ({reason}); install a graphics driver, or `mesa-vulkan-drivers` to draw on the processor"
    )]
    NoAdapter {
        /// What the loader said.
        reason: String,
    },
    /// The adapter is there but lacks something, or is out of memory.
    #[error(
        "the graphics device `{adapter}` cannot be opened: {reason}; update its driver or choose another with WGPU_ADAPTER_NAME"
    )]
    NoDevice {
        /// Name of the adapter.
        adapter: String,
        /// What the driver said.
        reason: String,
    },
    /// A window was asked for and there is no display server.
    #[error("no display to open a window on: {reason}; use `--display offscreen`")]
    NoDisplay {
        /// Which server did not answer.
        reason: String,
    },
}

/// An opened graphics device.
#[derive(Clone)]
pub struct Gpu {
    resources: RenderResources,
    /// The adapter's name, such as `llvmpipe (LLVM 15.0.6, 256 bits)`.
    pub name: String,
    /// True if the processor draws in place of a graphics card.
    pub is_software: bool,
}

impl Gpu {
    /// Opens the best adapter; `WGPU_BACKEND` and `WGPU_ADAPTER_NAME` choose another.
    ///
    /// # Errors
    /// [`GpuError`] if there is no adapter or it cannot be opened.
    pub fn open() -> Result<Self, GpuError> {
        block_on(open())
    }

    pub(crate) fn device(&self) -> &RenderDevice {
        &self.resources.0
    }

    /// For Bevy's render plugin.
    pub fn render_creation(&self) -> RenderCreation {
        RenderCreation::Manual(self.resources.clone())
    }
}

async fn open() -> Result<Gpu, GpuError> {
    let settings = WgpuSettings::default();
    // OpenGL lacks the storage buffers that the looks of segments live in.
    let backends = Backends::from_env().unwrap_or(Backends::PRIMARY);
    let mut descriptor = wgpu::InstanceDescriptor::new_without_display_handle();
    descriptor.backends = backends;
    descriptor.flags = settings.instance_flags;
    let instance = wgpu::Instance::new(descriptor);
    let adapter = choose_adapter(&instance, &settings, backends).await?;
    let info = adapter.get_info();
    let mut features = adapter.features() & !WgpuFeatures::all_experimental_mask();
    if info.device_type == wgpu::DeviceType::DiscreteGpu {
        // Mappable buffers would live on the wrong side of the bus.
        features.remove(WgpuFeatures::MAPPABLE_PRIMARY_BUFFERS);
    }
    let (device, queue) = adapter
        .request_device(&wgpu::DeviceDescriptor {
            label: Some("vestibule"),
            required_features: features,
            required_limits: adapter.limits(),
            ..Default::default()
        })
        .await
        .map_err(|error| GpuError::NoDevice { adapter: info.name.clone(), reason: error.to_string() })?;
    let name = info.name.clone();
    let is_software = info.device_type == wgpu::DeviceType::Cpu;
    let resources = RenderResources(
        RenderDevice::from(device),
        RenderQueue(Arc::new(WgpuWrapper::new(queue))),
        RenderAdapterInfo(WgpuWrapper::new(info)),
        RenderAdapter(Arc::new(WgpuWrapper::new(adapter))),
        RenderInstance(Arc::new(WgpuWrapper::new(instance))),
    );
    Ok(Gpu { resources, name, is_software })
}

async fn choose_adapter(
    instance: &wgpu::Instance,
    settings: &WgpuSettings,
    backends: Backends,
) -> Result<wgpu::Adapter, GpuError> {
    if let Ok(wanted) = std::env::var("WGPU_ADAPTER_NAME") {
        let wanted = wanted.to_lowercase();
        let found = instance.enumerate_adapters(backends).await;
        if let Some(adapter) = found.into_iter().find(|a| a.get_info().name.to_lowercase().contains(&wanted)) {
            return Ok(adapter);
        }
    }
    instance
        .request_adapter(&wgpu::RequestAdapterOptions {
            power_preference: settings.power_preference,
            force_fallback_adapter: settings.force_fallback_adapter,
            compatible_surface: None,
        })
        .await
        .map_err(|error| GpuError::NoAdapter { reason: error.to_string() })
}

/// Says whether a display server answers, without opening a window.
///
/// # Errors
/// [`GpuError::NoDisplay`] if neither Wayland nor X11 can be reached.
#[cfg(target_os = "linux")]
pub fn check_display() -> Result<(), GpuError> {
    use std::os::unix::net::UnixStream;
    use std::path::{Path, PathBuf};

    let set = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let mut tried = Vec::new();
    if let Some(wayland) = set("WAYLAND_DISPLAY") {
        let socket = match set("XDG_RUNTIME_DIR") {
            Some(folder) if !Path::new(&wayland).is_absolute() => Path::new(&folder).join(&wayland),
            _ => PathBuf::from(&wayland),
        };
        match UnixStream::connect(&socket) {
            Ok(_) => return Ok(()),
            Err(error) => tried.push(format!("Wayland display `{wayland}`: {error}")),
        }
    }
    if let Some(display) = set("DISPLAY") {
        let (host, number) = display.rsplit_once(':').unwrap_or(("", display.as_str()));
        let number = number.split('.').next().unwrap_or_default();
        if !(host.is_empty() || host == "unix") {
            // A forwarded display answers over the network; winit says what is wrong with it.
            return Ok(());
        }
        match UnixStream::connect(format!("/tmp/.X11-unix/X{number}")) {
            Ok(_) => return Ok(()),
            Err(error) => tried.push(format!("X11 display `{display}`: {error}")),
        }
    }
    let reason =
        if tried.is_empty() { "neither WAYLAND_DISPLAY nor DISPLAY is set".to_owned() } else { tried.join("; ") };
    Err(GpuError::NoDisplay { reason })
}

/// Says whether a display server answers; elsewhere than on Linux there always is one.
///
/// # Errors
/// None here.
#[cfg(not(target_os = "linux"))]
pub fn check_display() -> Result<(), GpuError> {
    Ok(())
}
