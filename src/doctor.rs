//! `vestibule doctor`: what this machine lacks, and what to do about it.

use std::path::PathBuf;

use anyhow::{Result, bail};
use serde::Serialize;

use crate::{cli, output};

#[derive(Serialize)]
struct Finding {
    what: &'static str,
    ok: bool,
    /// Without it the program cannot run at all.
    required: bool,
    found: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    remedy: Option<&'static str>,
}

#[derive(Serialize)]
struct Report {
    version: &'static str,
    findings: Vec<Finding>,
}

pub(crate) fn run(arguments: &cli::Doctor) -> Result<()> {
    let report = Report {
        version: env!("CARGO_PKG_VERSION"),
        findings: vec![graphics(), screen(), headset(), sound(), memory(), cache()],
    };
    if arguments.json {
        output::json(&report)?;
    } else {
        output::say(&format!("Vestibule {} (not a medical device)", report.version));
        for finding in &report.findings {
            let mark = match (finding.ok, finding.required) {
                (true, _) => "ok     ",
                (false, true) => "MISSING",
                (false, false) => "absent ",
            };
            output::say(&format!("{mark} {:<9} {}", finding.what, finding.found));
            if let Some(remedy) = finding.remedy {
                output::say(&format!("                  → {remedy}"));
            }
        }
    }
    if report.findings.iter().any(|f| f.required && !f.ok) {
        bail!("this machine cannot show a walk yet; follow the arrows above");
    }
    Ok(())
}

fn finding(what: &'static str, required: bool, found: Result<String, String>, remedy: &'static str) -> Finding {
    match found {
        Ok(found) => Finding { what, ok: true, required, found, remedy: None },
        Err(found) => Finding { what, ok: false, required, found, remedy: Some(remedy) },
    }
}

fn graphics() -> Finding {
    finding(
        "graphics",
        true,
        render::Gpu::open().map(|gpu| gpu.name).map_err(|e| e.to_string()),
        "install a Vulkan driver; on Debian: apt-get install libvulkan1 mesa-vulkan-drivers",
    )
}

fn screen() -> Finding {
    let found = crate::walk::screen().ok_or_else(|| "neither DISPLAY nor WAYLAND_DISPLAY is set".to_owned());
    finding("screen", false, found, "start it from a desktop session; without a screen use --display offscreen")
}

fn headset() -> Finding {
    let found = headset::probe().map(|i| {
        let hands = if i.hand_tracking { "with hand tracking" } else { "without hand tracking" };
        format!("{} on {} {}, {hands}", i.system, i.runtime, i.version)
    });
    finding(
        "headset",
        false,
        found.map_err(|e| e.to_string()),
        "connect the headset, start its runtime's service (SteamVR, Monado, WiVRn), and try again",
    )
}

fn sound() -> Finding {
    let found = match sound::Sounds::start().status() {
        playing @ sound::SoundStatus::Playing => Ok(playing.to_string()),
        other => Err(other.to_string()),
    };
    finding("sound", false, found, "walks are silent; connect a sound device if you want cues")
}

fn memory() -> Finding {
    let text = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let kib = text
        .lines()
        .find_map(|l| l.strip_prefix("MemAvailable:")?.trim().strip_suffix("kB")?.trim().parse::<u64>().ok());
    let found = match kib {
        Some(kib) if kib >= 4 << 20 => Ok(format!("{:.1} GiB free", kib as f64 / f64::from(1 << 20))),
        Some(kib) => Err(format!("only {:.1} GiB free", kib as f64 / f64::from(1 << 20))),
        None => Ok("unknown".to_owned()),
    };
    finding("memory", false, found, "building a large CT takes up to 4 GiB; close other programs")
}

fn cache() -> Finding {
    let home = std::env::var_os("HOME").map(|h| PathBuf::from(h).join(".cache"));
    let found = match std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from).or(home) {
        Some(dir) => Ok(dir.join("vestibule").display().to_string()),
        None => Err("neither XDG_CACHE_HOME nor HOME is set".to_owned()),
    };
    finding("cache", false, found, "builds are not cached; set HOME or XDG_CACHE_HOME")
}
