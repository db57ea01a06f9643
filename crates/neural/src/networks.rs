//! Networks of this project's own.

pub mod unet;
