//! Puts a case on stage without a display, takes the tour on it and prints what it cost: `cargo run --example stage_case CASE`.

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

use bevy_app::App;
use bevy_ecs::message::Messages;
use bevy_ecs::query::With;
use case::Case;
use walkthrough::WalkthroughPlugins;
use walkthrough::input::Input;
use walkthrough::locomotion::{LocomotionRequested, Viewer};
use walkthrough::picture::{PictureRequested, PictureTaken};
use walkthrough::pointer::{PointedAt, Pointer};
use walkthrough::session::WalkEnded;
use walkthrough::stage::{StageContents, StageRequested, StartingState};
use walkthrough::tour::{Tour, TourRun};
use walkthrough::visibility::{Drawn, VisibilityRequested};
use walkthrough::walk::{Pace, WalkClock};
use walkthrough::walk_report::SystemsClock;

fn main() -> ExitCode {
    let Some(path) = std::env::args().nth(1) else {
        eprintln!("name a case folder");
        return ExitCode::from(2);
    };
    match run(Path::new(&path)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn run(path: &Path) -> Result<(), Box<dyn std::error::Error>> {
    let start = Instant::now();
    let case = Case::open(path)?;
    let meshes = case.meshes()?;
    let read_s = start.elapsed().as_secs_f64();
    let contents = StageContents::from_meshes(&case, meshes)?;
    let triangles: usize = contents.segments.iter().map(|s| s.shape.triangle_count()).sum();
    eprintln!(
        "{} segments; surfaces read in {read_s:.2} s, trees over {triangles} triangles built in {:.2} s",
        contents.segments.len(),
        start.elapsed().as_secs_f64() - read_s
    );
    let mut app = App::new();
    app.add_plugins(WalkthroughPlugins);
    app.world_mut().resource_mut::<WalkClock>().pace = Pace::Fixed { step_s: 1.0 / 90.0 };
    app.world_mut().write_message(StageRequested(Arc::new(contents)));
    app.update();
    if let Some(start) = app.world().get_resource::<StartingState>() {
        let low = start.body.scene_from_body() * start.extent.low;
        let high = start.body.scene_from_body() * start.extent.high;
        eprintln!("stands from {low:.3?} to {high:.3?}, walker at {:.3?}", start.rig.position);
    }
    walk_round(&mut app);
    take_tour(&mut app)
}

/// Looks at the body from a turning point of view, layer by layer.
fn walk_round(app: &mut App) {
    *app.world_mut().resource_mut::<SystemsClock>() = SystemsClock::default();
    let mut named = std::collections::BTreeSet::new();
    for frame in 0..720 {
        let angle = f64::from(frame).to_radians();
        let eye = space::Point::new(angle.sin() * 2.0, 1.2, angle.cos() * 2.0);
        let look_at = space::Point::new(0.0, 1.2 + 0.2 * (angle * 0.7).sin(), 0.0);
        app.world_mut().write_message(Input::from(LocomotionRequested::Place { eye, look_at }));
        if frame % 90 == 89 {
            app.world_mut().write_message(Input::from(VisibilityRequested::Peel));
        }
        app.update();
        let mut pointers = app.world_mut().query_filtered::<&PointedAt, With<Pointer>>();
        named.extend(pointers.iter(app.world()).filter_map(|at| at.0.as_ref().map(|p| p.display.clone())));
    }
    let ms = app.world().resource::<SystemsClock>().milliseconds();
    eprintln!("walking round: median {:.3} ms, p99 {:.3} ms; met {}", ms.median, ms.p99, named.len());
}

fn take_tour(app: &mut App) -> Result<(), Box<dyn std::error::Error>> {
    app.insert_resource(TourRun::new(Tour::parse(include_str!("../../../scenes/tour.ron"), "tour.ron")?));
    for _ in 0..5000 {
        app.update();
        let asked: Vec<PictureRequested> =
            app.world().resource::<Messages<PictureRequested>>().iter_current_update_messages().cloned().collect();
        for request in asked {
            let stem = request.stem.unwrap_or_default();
            let drawn = app.world_mut().query::<&Drawn>().iter(app.world()).filter(|d| d.visible).count();
            let viewer = app.world().resource::<Viewer>().0;
            eprintln!("{stem}: {drawn} drawn, eye {:.2?}", viewer.position);
            app.world_mut().write_message(PictureTaken { file: format!("{stem}.png"), problem: None });
        }
        if !app.world().resource::<Messages<WalkEnded>>().is_empty() {
            return Ok(());
        }
    }
    Err("the tour did not end".into())
}
