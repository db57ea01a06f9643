//! Renders a tour of a case, or of a body of balls, to PNG files: `look [--case DIR] [--out DIR] [--tour FILE] [--size WxH]`.

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
use walkthrough::session::WalkEnded;
use walkthrough::stage::{StageContents, StageRequested};
use walkthrough::tour::{Tour, TourRun};
use walkthrough::walk_report::{SystemsClock, WalkCounters, WalkReport};

type AnyError = Box<dyn std::error::Error>;

struct Arguments {
    case: Option<PathBuf>,
    out: PathBuf,
    tour: PathBuf,
    size: (u32, u32),
    tier: RenderTier,
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
    app.run();
    Ok(())
}

fn arguments() -> Result<Arguments, AnyError> {
    let workspace = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut found = Arguments {
        case: None,
        out: PathBuf::from("look-out"),
        tour: workspace.join("scenes/tour.ron"),
        size: (960, 540),
        tier: RenderTier::pc(),
    };
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let value = words.next().ok_or_else(|| format!("{word} needs a value"))?;
        match word.as_str() {
            "--case" => found.case = Some(value.into()),
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
