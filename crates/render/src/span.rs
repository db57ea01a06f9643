//! Counts the time of this crate's systems for the report.

use bevy::ecs::system::{Adapt, IntoAdapterSystem, RunSystemError, System, SystemIn};
use bevy::prelude::*;
use walkthrough::walk_report::SystemsClock;

/// Adds the time of each run to the walk's [`SystemsClock`].
#[derive(Clone)]
pub(crate) struct Timed(SystemsClock);

impl<S: System<In = ()>> Adapt<S> for Timed {
    type In = ();
    type Out = S::Out;

    fn adapt(
        &mut self,
        (): (),
        run_system: impl FnOnce(SystemIn<'_, S>) -> Result<S::Out, RunSystemError>,
    ) -> Result<Self::Out, RunSystemError> {
        let _span = self.0.span();
        run_system(())
    }
}

/// The clock that [`timed`] systems of main and render world add to.
pub(crate) fn systems_clock(app: &mut App) -> SystemsClock {
    app.world_mut().get_resource_or_init::<SystemsClock>().clone()
}

/// The system, with its time counted.
pub(crate) fn timed<S>(clock: &SystemsClock, system: S) -> IntoAdapterSystem<Timed, S> {
    IntoAdapterSystem::new(Timed(clock.clone()), system)
}
