//! `cargo xtask dist`: a tarball and a .deb that run offline without a checkout.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::{process, system};

/// Shared libraries and drivers that are loaded at run time, by Debian's names.
const DEPENDS: &str = "libc6, libstdc++6, libasound2 | libasound2t64, libudev1, libwayland-client0, libxkbcommon0, libvulkan1, \
    mesa-vulkan-drivers, libxkbcommon-x11-0, libx11-6, libx11-xcb1, libxcursor1, libxi6, libxrandr2";
const RECOMMENDS: &str = "libopenxr-loader1";

/// Builds the packages into `target/dist`.
///
/// # Errors
/// If a tool is missing or a step fails.
pub(crate) fn run() -> Result<()> {
    system::install(system::BUILD_AND_RUN)?;
    if !process::on_path("dpkg-deb") {
        bail!("dist needs dpkg-deb; on Debian it is always there");
    }
    let program = process::vestibule()?;
    let version = env!("CARGO_PKG_VERSION");
    let dist = process::target_dir().join("dist");
    let name = format!("vestibule-{version}-x86_64-linux");
    let (tree, deb) = (dist.join(&name), dist.join("deb"));
    for folder in [&tree, &deb] {
        if folder.exists() {
            fs::remove_dir_all(folder)?;
        }
        fs::create_dir_all(folder)?;
    }
    let binary = tree.join("vestibule");
    process::run(Command::new("strip").arg("-o").arg(&binary).arg(program.get_program()))?;
    for file in ["README.md", "CHANGELOG.md", "LICENSE-MIT", "LICENSE-APACHE"] {
        fs::copy(file, tree.join(file)).with_context(|| format!("cannot copy {file}"))?;
    }
    let tarball = dist.join(format!("{name}.tar.gz"));
    process::run(Command::new("tar").arg("-C").arg(&dist).arg("-czf").arg(&tarball).arg(&name))?;

    let documents = deb.join("usr/share/doc/vestibule");
    fs::create_dir_all(deb.join("DEBIAN"))?;
    fs::create_dir_all(deb.join("usr/bin"))?;
    fs::create_dir_all(&documents)?;
    fs::copy(&binary, deb.join("usr/bin/vestibule"))?;
    for file in ["README.md", "CHANGELOG.md", "LICENSE-MIT", "LICENSE-APACHE"] {
        fs::copy(file, documents.join(file))?;
    }
    let installed_kib = fs::metadata(&binary)?.len().div_ceil(1024);
    fs::write(deb.join("DEBIAN/control"), control(version, installed_kib))?;
    let package = dist.join(format!("vestibule_{version}_amd64.deb"));
    process::run(Command::new("dpkg-deb").args(["--root-owner-group", "--build"]).arg(&deb).arg(&package))?;
    for made in [&tarball, &package] {
        println!("{}  {:.1} MB", made.display(), size_mb(made)?);
    }
    Ok(())
}

fn control(version: &str, installed_kib: u64) -> String {
    format!(
        "Package: vestibule\nVersion: {version}\nArchitecture: amd64\nMaintainer: The Vestibule authors <vestibule@localhost>\n\
         Section: science\nPriority: optional\nInstalled-Size: {installed_kib}\nDepends: {DEPENDS}\nRecommends: {RECOMMENDS}\n\
         Description: walk through a patient's scan in a headset\n \
         Reads DICOM, makes surfaces of the anatomy and opens them in a window or an\n \
         OpenXR headset. Not a medical device.\n"
    )
}

fn size_mb(path: &Path) -> Result<f64> {
    Ok(fs::metadata(path)?.len() as f64 / 1e6)
}
