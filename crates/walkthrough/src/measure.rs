//! Distances between points on surfaces, in patient millimetres whatever the magnification.

use bevy_app::{App, Plugin};
use bevy_ecs::prelude::*;
use serde::{Deserialize, Serialize};
use space::{Lps, Millimetres, Point};

use crate::walk::{Walk, WalkSystems, ensure_walk};

/// Keeps [`Measurements`].
#[derive(Default)]
pub struct MeasurePlugin;

impl Plugin for MeasurePlugin {
    fn build(&self, app: &mut App) {
        ensure_walk(app);
        app.add_message::<MeasureRequested>()
            .add_message::<MeasureTaken>()
            .init_resource::<Measurements>()
            .init_resource::<Tool>()
            .configure_sets(Walk, MeasureSystems::Apply.in_set(WalkSystems::Apply))
            .add_systems(Walk, measure.in_set(MeasureSystems::Apply).run_if(on_message::<MeasureRequested>));
    }
}

/// The steps of measuring.
#[derive(SystemSet, Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MeasureSystems {
    /// Changes [`Measurements`] as requested. Runs in [`Walk`].
    Apply,
}

/// What a press of a pointer does.
#[derive(Resource, Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Tool {
    /// Selects the structure met.
    #[default]
    Select,
    /// Places a measuring point.
    Measure,
}

/// A wish to measure.
#[derive(Message, Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum MeasureRequested {
    /// Presses do this from now on.
    Use(Tool),
    /// Measuring if not, selecting if so.
    ToggleTool,
    /// A point on a surface; the second of a pair makes a measurement.
    Point {
        /// Where.
        at: Point<Lps>,
        /// Machine name of the structure there.
        on: String,
    },
    /// Forget the first point of an unfinished pair.
    Cancel,
    /// Take one away.
    Delete {
        /// Its [`Measurement::id`].
        id: u32,
    },
    /// Take all away.
    Clear,
}

/// A measurement was made; as the session record writes it.
#[derive(Message, Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MeasureTaken {
    /// `distance`.
    pub kind: String,
    /// In `unit`.
    pub value: f64,
    /// `mm`.
    pub unit: String,
}

/// One end of a measurement.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MeasurePoint {
    /// Where.
    pub at: Point<Lps>,
    /// Machine name of the structure there.
    pub on: String,
}

/// A straight distance.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Measurement {
    /// Unique in a walk.
    pub id: u32,
    /// Its ends.
    pub ends: [MeasurePoint; 2],
}

impl Measurement {
    /// Between the ends.
    pub fn length(&self) -> Millimetres {
        Millimetres(self.ends[0].at.distance(self.ends[1].at))
    }
}

/// All measurements and the beginning of the next; undoable.
#[derive(Resource, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Measurements {
    /// Oldest first.
    pub list: Vec<Measurement>,
    /// The first point of an unfinished pair.
    pub pending: Option<MeasurePoint>,
    /// The next id.
    pub next_id: u32,
}

/// Does what is asked; what was measured, if a measurement came of it.
pub fn apply(request: &MeasureRequested, measurements: &mut Measurements, tool: &mut Tool) -> Option<MeasureTaken> {
    match request {
        MeasureRequested::Use(wanted) => *tool = *wanted,
        MeasureRequested::ToggleTool => *tool = if *tool == Tool::Measure { Tool::Select } else { Tool::Measure },
        MeasureRequested::Point { at, on } if at.is_finite() => {
            let point = MeasurePoint { at: *at, on: on.clone() };
            let Some(first) = measurements.pending.take() else {
                measurements.pending = Some(point);
                return None;
            };
            let measurement = Measurement { id: measurements.next_id, ends: [first, point] };
            measurements.next_id += 1;
            let taken =
                MeasureTaken { kind: "distance".to_owned(), value: measurement.length().0, unit: "mm".to_owned() };
            measurements.list.push(measurement);
            return Some(taken);
        }
        // What is not a number measures nothing.
        MeasureRequested::Point { .. } => {}
        MeasureRequested::Cancel => measurements.pending = None,
        MeasureRequested::Delete { id } => measurements.list.retain(|m| m.id != *id),
        MeasureRequested::Clear => {
            measurements.list.clear();
            measurements.pending = None;
        }
    }
    // An unfinished pair does not outlive its tool.
    if *tool != Tool::Measure {
        measurements.pending = None;
    }
    None
}

fn measure(
    mut requests: MessageReader<MeasureRequested>,
    mut measurements: ResMut<Measurements>,
    mut tool: ResMut<Tool>,
    mut taken: MessageWriter<MeasureTaken>,
) {
    let (mut after, mut tool_after) = (measurements.clone(), *tool);
    for request in requests.read() {
        if let Some(measure_taken) = apply(request, &mut after, &mut tool_after) {
            taken.write(measure_taken);
        }
    }
    measurements.set_if_neq(after);
    tool.set_if_neq(tool_after);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(at: [f64; 3]) -> MeasureRequested {
        MeasureRequested::Point { at: Point::from_array(at), on: "liver".to_owned() }
    }

    #[test]
    fn alone_it_measures_between_two_points() {
        let mut app = App::new();
        app.add_plugins(MeasurePlugin);
        for request in [MeasureRequested::ToggleTool, point([0.0, 0.0, 0.0]), point([3.0, 4.0, 12.0])] {
            app.world_mut().write_message(request);
            app.update();
        }
        let list = &app.world().resource::<Measurements>().list;
        assert_eq!(list.iter().map(|m| m.length()).collect::<Vec<_>>(), [Millimetres(13.0)]);
    }

    #[test]
    fn measurements_are_deleted_by_id_and_ids_never_return() {
        let (mut all, mut tool) = (Measurements::default(), Tool::Measure);
        for n in 0..6 {
            apply(&point([f64::from(n), 0.0, 0.0]), &mut all, &mut tool);
        }
        apply(&MeasureRequested::Delete { id: 1 }, &mut all, &mut tool);
        apply(&point([0.0; 3]), &mut all, &mut tool);
        apply(&point([1.0; 3]), &mut all, &mut tool);
        assert_eq!(all.list.iter().map(|m| m.id).collect::<Vec<_>>(), [0, 2, 3]);
        apply(&point([f64::NAN, 0.0, 0.0]), &mut all, &mut tool);
        assert_eq!(all.pending, None);
    }

    #[test]
    fn leaving_the_tool_forgets_the_first_point() {
        let (mut all, mut tool) = (Measurements::default(), Tool::Measure);
        apply(&point([0.0; 3]), &mut all, &mut tool);
        apply(&MeasureRequested::ToggleTool, &mut all, &mut tool);
        assert_eq!((all.pending, tool), (None, Tool::Select));
    }
}
