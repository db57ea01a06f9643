//! The OpenXR runtime of the headset tests: Monado without a headset, on Mesa's software Vulkan.
//!
//! Debian 12 has no Monado: Debian 13's packages are unpacked into the cache folder and run through their own `ld.so`;
//! nothing of the system changes. Where the system is new enough its own packages are installed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::{process, system};

const PACKAGES: &[&str] = &["monado-service", "libopenxr1-monado", "libopenxr-loader1", "mesa-vulkan-drivers"];

/// What the app and Bevy load at run time besides, from the same tree as the runtime.
const APP_LIBRARIES: &[&str] = &["libasound2t64", "libudev1", "libxkbcommon0", "libxkbcommon-x11-0"];

/// A runtime that can be started.
pub(crate) struct XrRuntime {
    /// `/` for the system's own, else the folder of unpacked packages.
    pub(crate) root: PathBuf,
}

/// Provides the runtime; `None` (said why on stdout) where this machine cannot have it.
///
/// # Errors
/// If a step that should work here fails.
pub(crate) fn provide() -> Result<Option<XrRuntime>> {
    if !cfg!(all(target_os = "linux", target_arch = "x86_64")) {
        println!("xr-runtime: only set up on x86-64 Linux");
        return Ok(None);
    }
    let release = system::release();
    let own = match release.id.as_str() {
        "debian" => release.version >= 13,
        "ubuntu" => release.version >= 25,
        _ => false,
    };
    if own {
        system::install(PACKAGES)?;
        return Ok(Some(XrRuntime { root: PathBuf::from("/") }));
    }
    if release.id != "debian" {
        println!(
            "xr-runtime: set up on Debian and Ubuntu 25 or newer only; install Monado and set VESTIBULE_XR_RUNTIME=/"
        );
        return Ok(None);
    }
    let dir = process::cache_dir()?.join("xr-runtime-1");
    let root = dir.join("root");
    if !dir.join("complete").exists() {
        unpack(&dir, &root)?;
    }
    Ok(Some(XrRuntime { root }))
}

fn unpack(dir: &Path, root: &Path) -> Result<()> {
    println!("xr-runtime: unpacking Debian 13's Monado into {}", dir.display());
    let apt = dir.join("apt");
    for folder in ["lists/partial", "cache/archives/partial"] {
        fs::create_dir_all(apt.join(folder))?;
    }
    fs::create_dir_all(root)?;
    fs::write(apt.join("status"), "")?;
    let keyring = "/usr/share/keyrings/debian-archive-keyring.gpg";
    fs::write(
        apt.join("sources.list"),
        format!("deb [arch=amd64 signed-by={keyring}] {} trixie main\n", debian_mirror()?),
    )?;
    let apt_get = || {
        let mut command = Command::new("apt-get");
        let path = |name: &str| apt.join(name).display().to_string();
        for option in [
            format!("Dir::State={}", path("")),
            format!("Dir::State::lists={}", path("lists")),
            format!("Dir::State::status={}", path("status")),
            format!("Dir::Etc::sourcelist={}", path("sources.list")),
            format!("Dir::Cache={}", path("cache")),
            "Dir::Etc::sourceparts=/dev/null".to_owned(),
            "Dir::Etc::preferencesparts=/dev/null".to_owned(),
            "APT::Install-Recommends=false".to_owned(),
            "APT::Architecture=amd64".to_owned(),
            "APT::Architectures=amd64".to_owned(),
            "APT::Sandbox::User=".to_owned(),
            "Debug::NoLocking=true".to_owned(),
            "DPkg::Post-Invoke::=true".to_owned(),
        ] {
            command.args(["-o", &option]);
        }
        command
    };
    process::run(apt_get().args(["-qq", "update"]))?;
    process::output(apt_get().args(["-qq", "-y", "--download-only", "install"]).args(PACKAGES).args(APP_LIBRARIES))?;
    let mut archives: Vec<_> = fs::read_dir(apt.join("cache/archives"))?
        .filter_map(|entry| entry.ok().map(|e| e.path()))
        .filter(|path| path.extension().is_some_and(|e| e == "deb"))
        .collect();
    archives.sort();
    if archives.is_empty() {
        bail!("apt-get downloaded nothing; look at {}", apt.display());
    }
    for archive in archives {
        process::run(Command::new("dpkg-deb").arg("-x").arg(archive).arg(root))?;
    }
    let libraries = root.join("usr/lib/x86_64-linux-gnu");
    // The openxr crate loads this name.
    let loader = libraries.join("libopenxr_loader.so");
    if !loader.exists() {
        std::os::unix::fs::symlink("libopenxr_loader.so.1", &loader)
            .with_context(|| format!("cannot link {}", loader.display()))?;
    }
    fs::remove_dir_all(&apt)?;
    fs::write(dir.join("complete"), "")?;
    Ok(())
}

/// The mirror that this machine already uses for Debian's main archive.
fn debian_mirror() -> Result<String> {
    let find = || -> Result<Option<String>> {
        let targets =
            process::output(Command::new("apt-get").args(["indextargets", "--format", "$(ORIGIN) $(REPO_URI)"]))?;
        Ok(targets
            .lines()
            .filter_map(|line| line.strip_prefix("Debian "))
            .find(|uri| !uri.contains("security"))
            .map(str::to_owned))
    };
    if let Some(mirror) = find()? {
        return Ok(mirror);
    }
    process::run(Command::new("apt-get").args(["update", "-qq"]))?;
    find()?.context("apt knows no Debian mirror; check /etc/apt/sources.list")
}
