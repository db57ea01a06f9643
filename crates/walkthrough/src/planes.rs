//! Axial, coronal and sagittal planes with the scan on them.

use bevy_app::{App, Plugin};
use bevy_ecs::prelude::*;
use serde::{Deserialize, Serialize};
use space::{AnatomicalDirection, Lps, Point};
use volume::ImageGeometry;

use crate::stage::{ActiveCase, StartingState};
use crate::walk::{Walk, WalkSystems, ensure_walk};

/// Keeps [`ScanPlanes`].
#[derive(Default)]
pub struct PlanesPlugin;

impl Plugin for PlanesPlugin {
    fn build(&self, app: &mut App) {
        ensure_walk(app);
        app.add_message::<PlanesRequested>()
            .init_resource::<ScanPlanes>()
            .configure_sets(Walk, PlanesSystems::Apply.in_set(WalkSystems::Apply))
            .add_systems(Walk, move_planes.in_set(PlanesSystems::Apply).run_if(on_message::<PlanesRequested>));
    }
}

/// The steps of the scan planes.
#[derive(SystemSet, Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PlanesSystems {
    /// Changes [`ScanPlanes`] as requested. Runs in [`Walk`].
    Apply,
}

/// Which way a plane lies in the body.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum PlaneKind {
    /// Across the body; its position is the S coordinate.
    Axial,
    /// Along the shoulders; its position is the P coordinate.
    Coronal,
    /// From front to back; its position is the L coordinate.
    Sagittal,
}

impl PlaneKind {
    /// All three.
    pub const ALL: [Self; 3] = [Self::Axial, Self::Coronal, Self::Sagittal];

    /// The axis of [`Lps`] along which the plane moves: 0 L, 1 P, 2 S.
    pub fn axis(self) -> usize {
        match self {
            Self::Axial => 2,
            Self::Coronal => 1,
            Self::Sagittal => 0,
        }
    }
}

/// A wish about the scan planes.
#[derive(Message, Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub enum PlanesRequested {
    /// Show or hide one.
    Show {
        /// Which.
        kind: PlaneKind,
        /// Shown afterwards.
        visible: bool,
    },
    /// Show what is hidden and the other way round.
    Toggle(PlaneKind),
    /// Step by slices of the scan along the plane's normal.
    Step {
        /// Which.
        kind: PlaneKind,
        /// Positive goes to head, back or left.
        slices: i32,
    },
    /// Put at a coordinate.
    Place {
        /// Which.
        kind: PlaneKind,
        /// LPS coordinate along the normal; clamped to the scan.
        position_mm: f64,
    },
    /// Step all planes that are shown.
    StepShown {
        /// As for [`PlanesRequested::Step`].
        slices: i32,
    },
    /// All three through a point.
    Through(Point<Lps>),
    /// All hidden, through the middle of the scan.
    Reset,
}

/// One scan plane.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ScanPlane {
    /// Is it drawn.
    pub visible: bool,
    /// LPS coordinate along its normal.
    pub position_mm: f64,
}

/// The three scan planes; undoable.
#[derive(Resource, Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ScanPlanes {
    /// Position along S.
    pub axial: ScanPlane,
    /// Position along P.
    pub coronal: ScanPlane,
    /// Position along L.
    pub sagittal: ScanPlane,
}

impl ScanPlanes {
    /// Hidden, through a point.
    pub fn through(point: Point<Lps>) -> Self {
        let at = |kind: PlaneKind| ScanPlane { visible: false, position_mm: point[kind.axis()] };
        Self { axial: at(PlaneKind::Axial), coronal: at(PlaneKind::Coronal), sagittal: at(PlaneKind::Sagittal) }
    }

    /// One of them.
    pub fn get(&self, kind: PlaneKind) -> ScanPlane {
        match kind {
            PlaneKind::Axial => self.axial,
            PlaneKind::Coronal => self.coronal,
            PlaneKind::Sagittal => self.sagittal,
        }
    }

    fn get_mut(&mut self, kind: PlaneKind) -> &mut ScanPlane {
        match kind {
            PlaneKind::Axial => &mut self.axial,
            PlaneKind::Coronal => &mut self.coronal,
            PlaneKind::Sagittal => &mut self.sagittal,
        }
    }
}

/// A plane as a rectangle in the patient, with the letters of its edges.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PlaneRectangle {
    /// Seen as radiologists look at it: top left, top right, bottom right, bottom left.
    pub corners: [Point<Lps>; 4],
    /// The direction of the body at the top, right, bottom and left edge; show [`AnatomicalDirection::display_letter`].
    pub edges: [AnatomicalDirection; 4],
}

/// The box of a scan in patient axes: lowest and highest L, P, S of its voxel centres, in mm.
pub fn scan_range_mm(geometry: &ImageGeometry) -> [Point<Lps>; 2] {
    let map = geometry.lps_from_index();
    let last = geometry.size().map(|s| (s - 1) as f64);
    let corners = (0..8).map(|n| {
        let pick = |axis: usize| if n >> axis & 1 == 0 { 0.0 } else { last[axis] };
        (map * Point::new(pick(0), pick(1), pick(2))).get()
    });
    let start = (glam::DVec3::INFINITY, glam::DVec3::NEG_INFINITY);
    let (low, high) = corners.fold(start, |(l, h), c| (l.min(c), h.max(c)));
    [low.into(), high.into()]
}

/// Millimetres between the scan's slices along a plane's normal: the spacing of the grid axis nearest to it.
pub fn slice_step_mm(geometry: &ImageGeometry, kind: PlaneKind) -> f64 {
    let along = |grid: usize| {
        let column = geometry.direction().col(grid);
        column[kind.axis()].abs()
    };
    let grid = (1..3).fold(0, |best, grid| if along(grid) > along(best) { grid } else { best });
    geometry.spacing()[grid]
}

/// Where a plane lies in the scan, and the letters of its edges.
///
/// Seen as radiologists do: axial from the feet, coronal from the front (the patient's right on the left), sagittal from the
/// patient's left with the front on the left.
pub fn rectangle(geometry: &ImageGeometry, kind: PlaneKind, position_mm: f64) -> PlaneRectangle {
    use AnatomicalDirection::{Anterior, Inferior, Left, Posterior, Right, Superior};
    let [low, high] = scan_range_mm(geometry);
    let at = |l: f64, p: f64, s: f64| {
        let mut corner = Point::new(l, p, s);
        corner[kind.axis()] = position_mm;
        corner
    };
    match kind {
        PlaneKind::Axial => PlaneRectangle {
            corners: [[low.x, low.y], [high.x, low.y], [high.x, high.y], [low.x, high.y]].map(|[l, p]| at(l, p, 0.0)),
            edges: [Anterior, Left, Posterior, Right],
        },
        PlaneKind::Coronal => PlaneRectangle {
            corners: [[low.x, high.z], [high.x, high.z], [high.x, low.z], [low.x, low.z]].map(|[l, s]| at(l, 0.0, s)),
            edges: [Superior, Left, Inferior, Right],
        },
        PlaneKind::Sagittal => PlaneRectangle {
            corners: [[low.y, high.z], [high.y, high.z], [high.y, low.z], [low.y, low.z]].map(|[p, s]| at(0.0, p, s)),
            edges: [Superior, Posterior, Inferior, Anterior],
        },
    }
}

/// Does what is asked; positions stay inside the scan.
pub fn apply(request: &PlanesRequested, planes: &mut ScanPlanes, start: &ScanPlanes, geometry: Option<&ImageGeometry>) {
    let range = geometry.map(scan_range_mm);
    let clamp = |kind: PlaneKind, position_mm: f64| match range {
        Some([low, high]) => position_mm.clamp(low[kind.axis()], high[kind.axis()]),
        None => position_mm,
    };
    let step = |plane: &mut ScanPlane, kind: PlaneKind, slices: i32| {
        let step_mm = geometry.map_or(1.0, |g| slice_step_mm(g, kind));
        plane.position_mm = clamp(kind, plane.position_mm + f64::from(slices) * step_mm);
    };
    match *request {
        PlanesRequested::Show { kind, visible } => planes.get_mut(kind).visible = visible,
        PlanesRequested::Toggle(kind) => planes.get_mut(kind).visible = !planes.get(kind).visible,
        PlanesRequested::Step { kind, slices } => step(planes.get_mut(kind), kind, slices),
        PlanesRequested::StepShown { slices } => {
            let before = *planes;
            for kind in PlaneKind::ALL.into_iter().filter(|k| before.get(*k).visible) {
                step(planes.get_mut(kind), kind, slices);
            }
        }
        PlanesRequested::Place { kind, position_mm } if position_mm.is_finite() => {
            planes.get_mut(kind).position_mm = clamp(kind, position_mm);
        }
        PlanesRequested::Through(point) if point.is_finite() => {
            for kind in PlaneKind::ALL {
                planes.get_mut(kind).position_mm = clamp(kind, point[kind.axis()]);
            }
        }
        // What is not a number places nothing.
        PlanesRequested::Place { .. } | PlanesRequested::Through(_) => {}
        PlanesRequested::Reset => *planes = *start,
    }
}

fn move_planes(
    mut requests: MessageReader<PlanesRequested>,
    mut planes: ResMut<ScanPlanes>,
    start: Option<Res<StartingState>>,
    case: Option<Res<ActiveCase>>,
) {
    let start = start.map_or_else(ScanPlanes::default, |s| s.planes);
    let mut after = *planes;
    for request in requests.read() {
        apply(request, &mut after, &start, case.as_ref().map(|c| &c.geometry));
    }
    planes.set_if_neq(after);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_support::{fake_case, send, staged_app};
    use glam::DMat3;

    #[test]
    fn alone_it_shows_a_plane() {
        let mut app = App::new();
        app.add_plugins(PlanesPlugin);
        app.world_mut().write_message(PlanesRequested::Toggle(PlaneKind::Coronal));
        app.update();
        assert!(app.world().resource::<ScanPlanes>().coronal.visible);
    }

    #[test]
    fn planes_step_by_slices_and_stay_inside() {
        let mut app = staged_app(fake_case());
        let before = app.world().resource::<ScanPlanes>().axial.position_mm;
        send(&mut app, PlanesRequested::Step { kind: PlaneKind::Axial, slices: 3 });
        let after = *app.world().resource::<ScanPlanes>();
        assert!((after.axial.position_mm - before - 15.0).abs() < 1e-9, "three slices of 5 mm");
        send(&mut app, PlanesRequested::Step { kind: PlaneKind::Axial, slices: 100_000 });
        assert_eq!(app.world().resource::<ScanPlanes>().axial.position_mm, 780.0 + 169.0 * 5.0);
        send(&mut app, PlanesRequested::StepShown { slices: -1 });
        assert_eq!(app.world().resource::<ScanPlanes>().coronal, after.coronal, "hidden planes stay");
    }

    #[test]
    fn letters_stand_at_the_edges_they_name() {
        // Slices along L, stored feet first: the letters must not depend on the grid.
        let direction = DMat3::from_cols(glam::DVec3::Y, glam::DVec3::NEG_Z, glam::DVec3::NEG_X);
        let geometry =
            ImageGeometry::new([100, 80, 60], [1.0, 2.0, 3.0], Point::new(50.0, -40.0, 90.0), direction).unwrap();
        assert_eq!(slice_step_mm(&geometry, PlaneKind::Sagittal), 3.0);
        assert_eq!(slice_step_mm(&geometry, PlaneKind::Axial), 2.0);
        for kind in PlaneKind::ALL {
            let plane = rectangle(&geometry, kind, 7.0);
            let middle = plane.corners.iter().map(|c| c.get()).sum::<glam::DVec3>() * 0.25;
            for (edge, direction) in plane.edges.into_iter().enumerate() {
                let edge_middle = (plane.corners[edge].get() + plane.corners[(edge + 1) % 4].get()) * 0.5;
                let towards = edge_middle - middle;
                assert!(
                    towards.normalize().dot(direction.lps().get()) > 0.999,
                    "{kind:?} edge {edge} is {direction:?}"
                );
                assert_eq!(plane.corners[edge][kind.axis()], 7.0);
            }
        }
    }
}
