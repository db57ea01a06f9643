//! Reads the case beside the frame, and puts it on stage when it is whole.

use std::sync::Arc;

use bevy::prelude::*;
use bevy::render::renderer::RenderDevice;
use bevy::tasks::{AsyncComputeTaskPool, Task, futures::check_ready};
use case::Case;
use render::{Imagery, RenderTier, TextureLimits};
use walkthrough::input::Input;
use walkthrough::session::{EndReason, WalkEndRequested};
use walkthrough::stage::{StageContents, StageError, StageRequested};

/// Loads one case.
pub(crate) struct LoadingPlugin {
    pub(crate) case: Arc<Case>,
}

#[derive(Resource)]
struct Loading(Task<Result<(StageContents, Imagery), StageError>>);

#[derive(Resource)]
struct CaseToLoad(Arc<Case>);

impl Plugin for LoadingPlugin {
    fn build(&self, app: &mut App) {
        app.insert_resource(CaseToLoad(Arc::clone(&self.case)))
            .add_systems(Startup, start)
            .add_systems(PreUpdate, finish.run_if(resource_exists::<Loading>));
    }
}

fn start(mut commands: Commands, case: Res<CaseToLoad>, tier: Res<RenderTier>, device: Res<RenderDevice>) {
    let limits = TextureLimits::of_device(&device, &tier);
    let case = Arc::clone(&case.0);
    let task = AsyncComputeTaskPool::get().spawn(async move {
        let contents = StageContents::read(&case)?;
        let imagery = Imagery::of_case(&case, &limits)?;
        Ok((contents, imagery))
    });
    commands.insert_resource(Loading(task));
}

fn finish(
    mut commands: Commands,
    mut loading: ResMut<Loading>,
    mut stage: MessageWriter<StageRequested>,
    mut inputs: MessageWriter<Input>,
) {
    let Some(loaded) = check_ready(&mut loading.0) else { return };
    commands.remove_resource::<Loading>();
    match loaded {
        Ok((contents, imagery)) => {
            stage.write(StageRequested(Arc::new(contents)));
            commands.insert_resource(imagery);
        }
        Err(error) => {
            inputs.write(WalkEndRequested { reason: EndReason::Failed { message: error.to_string() } }.into());
        }
    }
}
