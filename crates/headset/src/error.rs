//! Why there is no headset.

use std::path::PathBuf;

use thiserror::Error;

/// Why a headset cannot be used.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum HeadsetError {
    /// No runtime is registered on this machine.
    #[error("no OpenXR runtime is active; install one (Monado, SteamVR) or point XR_RUNTIME_JSON at its manifest")]
    NoRuntime,
    /// The named manifest does not exist.
    #[error("XR_RUNTIME_JSON names a manifest that does not exist; correct or unset it: {path}")]
    NoManifest {
        /// What the variable names.
        path: PathBuf,
    },
    /// The OpenXR loader library is missing.
    #[error("the OpenXR loader cannot be loaded ({reason}); on Debian: apt-get install libopenxr-dev")]
    NoLoader {
        /// The dynamic linker's words.
        reason: String,
    },
    /// The runtime answered with an error.
    #[error("the OpenXR runtime failed at {step}: {reason}; is its service running and the headset connected?")]
    Runtime {
        /// What was asked of it.
        step: &'static str,
        /// Its answer.
        reason: String,
    },
    /// The runtime lacks something that is needed.
    #[error("the OpenXR runtime offers no {what}")]
    Unsupported {
        /// What is missing.
        what: &'static str,
    },
}

impl HeadsetError {
    /// Names the step that failed.
    pub(crate) fn at<E: std::fmt::Display>(step: &'static str) -> impl FnOnce(E) -> Self {
        move |error| Self::Runtime { step, reason: error.to_string() }
    }
}
