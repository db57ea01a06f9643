//! OpenXR: finds a headset, draws both eyes, and turns poses and buttons into `walkthrough`'s messages.
//!
//! [`open`] does everything that can fail before the app is built: runtime, graphics, session, swapchain, actions. What it
//! returns is the graphics device Bevy must use and a [`HeadsetPlugin`] with the open session. The frame loop and the
//! event pump are our own: a runtime that dies in mid-walk becomes one [`walkthrough::session::SessionLost`] message, never a panic
//! (docs/adr/0001).

mod actions;
mod bindings;
mod error;
mod eyes;
mod frame_loop;
mod input;
mod runtime;

pub use bindings::{Bindings, BindingsError, HandAction, Profile, controls};
pub use error::HeadsetError;
pub use eyes::EyeCamera;
pub use frame_loop::{HeadsetPlugin, HeadsetState, HeadsetSystems};
pub use runtime::{Headset, RuntimeInfo, open, probe};
