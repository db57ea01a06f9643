//! System packages.

use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::process;

/// What compiling and running the app needs.
pub(crate) const BUILD_AND_RUN: &[&str] = &[
    "g++",
    "cmake",
    "pkg-config",
    "libasound2-dev",
    "libudev-dev",
    "libdbus-1-dev",
    "libwayland-dev",
    "libxkbcommon-dev",
    "libvulkan1",
    "mesa-vulkan-drivers",
    "libxkbcommon-x11-0",
    "libx11-6",
    "libx11-xcb1",
    "libxcursor1",
    "libxi6",
    "libxrandr2",
];

/// What the tests use besides.
pub(crate) const TEST: &[&str] = &["xvfb", "xdotool", "dicom3tools"];

/// The Debian-like release this machine runs, from `/etc/os-release`.
pub(crate) struct Release {
    /// `debian`, `ubuntu`, …
    pub(crate) id: String,
    /// The leading number of its version.
    pub(crate) version: u32,
}

/// This machine's release.
pub(crate) fn release() -> Release {
    let text = std::fs::read_to_string("/etc/os-release").unwrap_or_default();
    let field = |key: &str| {
        text.lines().find_map(|l| l.strip_prefix(key)).map(|v| v.trim_matches('"').to_owned()).unwrap_or_default()
    };
    let version = field("VERSION_ID=");
    Release { id: field("ID="), version: version.split('.').next().and_then(|v| v.parse().ok()).unwrap_or(0) }
}

/// Installs the packages of a list that are missing; does nothing if none is.
///
/// # Errors
/// Names what is missing and how to install it, where that cannot be done here.
pub(crate) fn install(packages: &[&str]) -> Result<()> {
    if !process::on_path("dpkg-query") || !process::on_path("apt-get") {
        println!(
            "setup: not a Debian-like system; make sure these (by their Debian names) are there: {}",
            packages.join(" ")
        );
        return Ok(());
    }
    let missing: Vec<&str> = packages.iter().copied().filter(|p| !is_installed(p)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    println!("setup: installing {}", missing.join(" "));
    apt(&["update", "-qq"], &missing)?;
    let mut arguments = vec!["install", "-y", "-qq", "--no-install-recommends"];
    arguments.extend(&missing);
    apt(&arguments, &missing)
}

fn is_installed(package: &str) -> bool {
    Command::new("dpkg-query")
        .args(["-W", "-f=${db:Status-Status}", package])
        .stderr(Stdio::null())
        .output()
        .is_ok_and(|o| o.status.success() && o.stdout == b"installed")
}

fn apt(arguments: &[&str], missing: &[&str]) -> Result<()> {
    let remedy = || format!("run as root: apt-get update && apt-get install {}", missing.join(" "));
    let mut command = if is_root()? {
        Command::new("apt-get")
    } else if process::on_path("sudo") {
        let mut sudo = Command::new("sudo");
        sudo.arg("apt-get");
        sudo
    } else {
        bail!("packages are missing and this user may not install them; {}", remedy());
    };
    let status =
        command.args(arguments).env("DEBIAN_FRONTEND", "noninteractive").status().context("cannot start apt-get")?;
    if !status.success() {
        bail!("apt-get {} ended with {status}; {}", arguments.join(" "), remedy());
    }
    Ok(())
}

fn is_root() -> Result<bool> {
    Ok(process::output(Command::new("id").arg("-u"))?.trim() == "0")
}
