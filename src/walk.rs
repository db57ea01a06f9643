//! `vestibule walk`: chooses a display, wires the plugins, runs to the end and reports.

mod display;
mod ending;
mod loading;
mod sounds;

use std::fs::{self, File};
use std::io::BufWriter;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use anyhow::{Context, Result, anyhow, bail};
use bevy::prelude::*;
use case::Case;
use render::{PictureFolder, ProgramStart, RenderPlugins, RenderTier};
use walkthrough::WalkthroughPlugins;
use walkthrough::bindings::Bindings;
use walkthrough::comfort::Comfort;
use walkthrough::session::{SessionRecorder, SessionReplay};
use walkthrough::tour::{Tour, TourRun};

use crate::walk::display::Shown;
use crate::walk::ending::{Outcome, OutcomeSlot};
use crate::{cli, data, output};

pub(crate) use display::screen;

static HAS_BEGUN: AtomicBool = AtomicBool::new(false);

/// Whether a walk runs or has run.
pub(crate) fn has_begun() -> bool {
    HAS_BEGUN.load(Ordering::Relaxed)
}

/// Runs a walk to its end; prints the report with `--json`.
pub(crate) fn run(arguments: &cli::Walk) -> Result<()> {
    let start = Instant::now();
    let case = Case::open(&arguments.case)?;
    case.verify()?;
    let replay = arguments.replay.as_deref().map(|file| read_replay(file, &case)).transpose()?;
    let recorder = arguments.record.as_deref().map(open_record).transpose()?;
    if let Some(folder) = &arguments.shots {
        fs::create_dir_all(folder).with_context(|| format!("--shots cannot be made: {}", folder.display()))?;
    }
    let mut shown = display::choose(arguments.view.display)?;
    let tour = tour(arguments, &shown)?;

    let mut app = App::new();
    app.insert_resource(ProgramStart(start));
    let (device, headset) = match shown.take_headset() {
        Some(headset) => (Some(headset.render_creation), Some(headset.plugin)),
        None => (None, None),
    };
    app.add_plugins(shown.base_plugins(device));
    app.insert_resource(comfort()?).insert_resource(bindings(&shown)?);
    app.add_plugins(WalkthroughPlugins);
    app.add_plugins(RenderPlugins { display: shown.display(), tier: tier(&shown)? });
    app.add_plugins((loading::LoadingPlugin { case: Arc::new(case) }, sounds::SoundsPlugin));
    if let Some(headset) = headset {
        app.add_plugins((headset, display::EyesPlugin));
    }
    if let Some(folder) = &arguments.shots {
        app.insert_resource(PictureFolder(folder.clone()));
    }
    if let Some(tour) = tour {
        app.insert_resource(TourRun::new(tour));
    }
    if let Some(replay) = replay {
        app.insert_resource(replay);
    }
    if let Some(recorder) = recorder {
        app.insert_resource(recorder);
    }
    let slot: OutcomeSlot = Arc::new(Mutex::new(None));
    app.add_plugins(ending::EndingPlugin {
        display: shown.used(),
        frames: arguments.frames,
        // The tour takes a headset's user nowhere; its pictures are spread over the walk.
        pictures_on_the_way: arguments.shots.is_some() && shown.is_headset(),
        screen: screen().is_some(),
        slot: Arc::clone(&slot),
    });
    HAS_BEGUN.store(true, Ordering::Relaxed);
    let exit = app.run();
    let outcome = slot.lock().unwrap_or_else(PoisonError::into_inner).take();
    report(arguments, outcome, exit)
}

fn report(arguments: &cli::Walk, outcome: Option<Outcome>, exit: AppExit) -> Result<()> {
    let Some(outcome) = outcome else {
        bail!("the walk ended before it began ({exit:?})");
    };
    for warning in &outcome.report.warnings {
        output::note(&format!("warning: {warning}"));
    }
    if arguments.json {
        output::json(&outcome.report)?;
    } else {
        let r = &outcome.report;
        output::say(&format!(
            "{} frames; {} triangles and {} draw calls an eye; our systems {:.2} ms a frame (99 %: {:.2} ms)",
            r.frames, r.triangles, r.draw_calls, r.systems_ms.median, r.systems_ms.p99
        ));
        if let (Some(folder), false) = (&arguments.shots, r.shots.is_empty()) {
            output::say(&format!("{} pictures in {}", r.shots.len(), folder.display()));
        }
    }
    match outcome.failure {
        None => Ok(()),
        Some(message) => Err(anyhow!(message)),
    }
}

fn read_replay(file: &std::path::Path, case: &Case) -> Result<SessionReplay> {
    let text = fs::read_to_string(file).with_context(|| format!("--replay cannot be read: {}", file.display()))?;
    let replay = SessionReplay::parse(&text).with_context(|| format!("--replay {}", file.display()))?;
    replay.check_case(case.checksum())?;
    Ok(replay)
}

fn open_record(file: &std::path::Path) -> Result<SessionRecorder> {
    let sink = File::create(file).with_context(|| format!("--record cannot be written: {}", file.display()))?;
    Ok(SessionRecorder::new(Box::new(BufWriter::new(sink)), 0))
}

/// Scenes that are tours of pictures.
const TOURS: [&str; 2] = ["tour", "body"];

/// The scene asked for; offscreen, and wherever pictures are wanted, the tour.
fn tour(arguments: &cli::Walk, shown: &Shown) -> Result<Option<Tour>> {
    let default = if arguments.replay.is_some() || shown.is_headset() {
        "free"
    } else if shown.is_offscreen() || arguments.shots.is_some() {
        "tour"
    } else {
        "free"
    };
    match arguments.view.scene.as_deref().unwrap_or(default) {
        "free" => Ok(None),
        name if !TOURS.contains(&name) => {
            bail!("there is no scene `{name}`; choose `free`, `{}`", TOURS.join("` or `"))
        }
        name if shown.is_headset() => {
            bail!("the scene `{name}` moves the camera and is not for headsets; use --scene free, or another display")
        }
        name => {
            let file = format!("scenes/{name}.ron");
            Ok(Some(Tour::parse(&data::text(&file)?, &file)?))
        }
    }
}

fn comfort() -> Result<Comfort> {
    Ok(Comfort::parse(&data::text("xr-config/comfort.ron")?, "xr-config/comfort.ron")?)
}

/// The desktop's table, and in a headset what its hands do: help tells both.
fn bindings(shown: &Shown) -> Result<Bindings> {
    let mut table = Bindings::parse(&data::text("xr-config/desktop.ron")?, "xr-config/desktop.ron")?;
    if shown.is_headset() {
        table.0.extend(headset::controls());
    }
    Ok(table)
}

/// Standalone headsets draw themselves; here a PC does, unless the processor has to.
fn tier(shown: &Shown) -> Result<RenderTier> {
    let wanted = if shown.is_software() { "standalone" } else { "pc" };
    let tiers = RenderTier::parse_all(&data::text("xr-config/tiers.ron")?, "xr-config/tiers.ron")?;
    tiers.into_iter().find(|t| t.name == wanted).with_context(|| format!("xr-config/tiers.ron has no tier `{wanted}`"))
}
