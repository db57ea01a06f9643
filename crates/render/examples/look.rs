//! Renders a tour of a case, or of a body of balls, to PNG files: `look [--case DIR] [--out DIR] [--tour FILE] [--size WxH] [--show interface]`.

#[path = "../tests/common/ball_body.rs"]
mod ball_body;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use bevy::prelude::*;
use render::{
    Display, Gpu, Imagery, PictureFolder, PicturesInFlight, ProgramStart, RenderPlugins, RenderTier, TextureLimits,
    base_plugins,
};
use walkthrough::WalkthroughPlugins;
use walkthrough::clip::ClipRequested;
use walkthrough::honesty::{Overlay, OverlayRequested};
use walkthrough::input::Input;
use walkthrough::locomotion::LocomotionRequested;
use walkthrough::measure::MeasureRequested;
use walkthrough::panel::{PanelId, PanelRequested};
use walkthrough::picture::PictureRequested;
use walkthrough::pointer::{PointerId, PointerRequested};
use walkthrough::session::{EndReason, WalkEndRequested, WalkEnded};
use walkthrough::stage::{BodyPose, StageContents, StageRequested, StartingState};
use walkthrough::tour::{Tour, TourRun};
use walkthrough::walk::WalkClock;
use walkthrough::walk_report::{SystemsClock, WalkCounters, WalkReport};

type AnyError = Box<dyn std::error::Error>;

struct Arguments {
    case: Option<PathBuf>,
    out: PathBuf,
    tour: PathBuf,
    size: (u32, u32),
    tier: RenderTier,
    shows_interface: bool,
}

fn main() -> Result<(), AnyError> {
    let start = Instant::now();
    let arguments = arguments()?;
    let gpu = Gpu::open()?;
    let (width, height) = arguments.size;
    let display = Display::Offscreen { width, height };
    let mut app = App::new();
    app.insert_resource(ProgramStart(start));
    app.add_plugins(base_plugins(display, gpu.render_creation()));
    app.add_plugins(WalkthroughPlugins);
    app.add_plugins(RenderPlugins { display, tier: arguments.tier.clone() });
    app.insert_resource(PictureFolder(arguments.out.clone()));

    let limits = TextureLimits::of_gpu(&gpu, &arguments.tier);
    let (contents, imagery) = match &arguments.case {
        Some(path) => {
            let case = case::Case::open(path)?;
            (StageContents::read(&case)?, Imagery::of_case(&case, &limits)?)
        }
        None => ball_body::contents(),
    };
    eprintln!("{}: loaded after {:.2} s", gpu.name, start.elapsed().as_secs_f32());
    app.world_mut().write_message(StageRequested(Arc::new(contents)));
    app.insert_resource(imagery);
    let file = arguments.tour.display().to_string();
    app.insert_resource(TourRun::new(Tour::parse(&std::fs::read_to_string(&arguments.tour)?, &file)?));
    app.add_systems(Last, leave);
    if arguments.shows_interface {
        app.world_mut().remove_resource::<TourRun>();
        app.add_systems(PreUpdate, show_interface);
    }
    app.run();
    Ok(())
}

fn arguments() -> Result<Arguments, AnyError> {
    let mut found = Arguments {
        case: None,
        out: PathBuf::from("look-out"),
        tour: "scenes/tour.ron".into(),
        size: (960, 540),
        tier: RenderTier::pc(),
        shows_interface: false,
    };
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let value = words.next().ok_or_else(|| format!("{word} needs a value"))?;
        match word.as_str() {
            "--case" => found.case = Some(value.into()),
            "--show" => found.shows_interface = value == "interface",
            "--out" => found.out = value.into(),
            "--tour" => found.tour = value.into(),
            "--tier" if value == "standalone" => found.tier = RenderTier::standalone(),
            "--size" => {
                let (width, height) = value.split_once('x').ok_or("--size is WIDTHxHEIGHT")?;
                found.size = (width.parse()?, height.parse()?);
            }
            other => return Err(format!("unknown argument {other}").into()),
        }
    }
    Ok(found)
}

/// Pointing, panels, measuring, overlays: what no tour shows.
fn show_interface(
    frame: Res<WalkClock>,
    start: Option<Res<StartingState>>,
    body: Res<BodyPose>,
    in_flight: Res<PicturesInFlight>,
    mut step: Local<usize>,
    mut waited: Local<u32>,
    mut inputs: MessageWriter<Input>,
) {
    let Some(start) = start.filter(|_| frame.frame > 3) else { return };
    let middle = body.scene_from_body() * start.extent.centre();
    let eye = middle + space::Vector::new(0.25, 0.15, 1.1);
    let picture = |name: &str| Input::from(PictureRequested { stem: Some(name.to_owned()) });
    *waited += 1;
    if *waited < 4 || in_flight.count() > 0 {
        return;
    }
    *waited = 0;
    let lps = body.lps_from_scene() * middle;
    let sent: Vec<Input> = match *step {
        0 => vec![LocomotionRequested::Place { eye, look_at: middle }.into()],
        1 => vec![picture("pointed")],
        2 => {
            vec![PointerRequested::Press(PointerId::Crosshair).into(), PanelRequested::Open(PanelId::Structures).into()]
        }
        3 => vec![picture("structures")],
        4 => vec![PanelRequested::Open(PanelId::View).into(), ClipRequested::Toggle.into()],
        5 => vec![picture("view")],
        6 => vec![PanelRequested::Open(PanelId::Help).into()],
        7 => vec![picture("help")],
        8 => vec![
            ClipRequested::Toggle.into(),
            PanelRequested::Open(PanelId::Measurements).into(),
            point(lps, [60.0, -90.0, 40.0]),
            point(lps, [-50.0, -80.0, -60.0]),
            point(lps, [10.0, -60.0, 20.0]),
        ],
        9 => vec![picture("measured")],
        10 => vec![PanelRequested::CloseAll.into(), OverlayRequested::Show(Overlay::SurfaceError).into()],
        11 => vec![picture("surface-error")],
        12 => vec![WalkEndRequested { reason: EndReason::TourOver }.into()],
        _ => Vec::new(),
    };
    inputs.write_batch(sent);
    *step += 1;
}

fn point(middle: space::Point<space::Lps>, away_mm: [f64; 3]) -> Input {
    let at = middle + space::Vector::from_array(away_mm);
    MeasureRequested::Point { at, on: "skin".to_owned() }.into()
}

fn leave(
    mut ended: MessageReader<WalkEnded>,
    mut is_over: Local<bool>,
    pictures: Res<PicturesInFlight>,
    counters: Res<WalkCounters>,
    clock: Res<SystemsClock>,
    mut exit: MessageWriter<AppExit>,
) {
    *is_over |= ended.read().count() > 0;
    if *is_over && pictures.count() == 0 {
        eprintln!("{:#?}", WalkReport::new(&counters, &clock));
        exit.write(AppExit::Success);
    }
}
