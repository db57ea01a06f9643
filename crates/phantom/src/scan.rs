//! The phantom on a grid: labels, Hounsfield units, noise and couch.

use std::collections::BTreeMap;

use glam::{DMat3, Vec3};
use rayon::prelude::*;
use space::Point;
use volume::terminology;
use volume::{ImageGeometry, Label, LabelMap, Segment, Volume};

use crate::body::{Model, Pose, Structure};
use crate::crumbs;
use crate::error::PhantomError;
use crate::findings::FindingKind;
use crate::noise::{add_scan_noise, scatter};
use crate::options::{Person, PhantomOptions};
use crate::raster;
use crate::tissue::{AIR, smooth_step};

/// A body on a grid.
#[derive(Clone, Debug)]
pub struct Body {
    /// Which structure each voxel belongs to.
    pub labels: LabelMap,
    /// What CT would measure.
    pub hounsfield: Volume<i16>,
}

/// The part of the reference adult's frame that is scanned, in mm: least and greatest x, y, z.
const FIELD: [[f64; 2]; 3] = [[-246.0, 246.0], [-140.0, 152.0], [-206.0, 494.0]];

/// Labels and Hounsfield units of the person that `options` describe.
///
/// # Errors
/// [`PhantomError::Grid`] for a spacing that is not positive and finite, [`PhantomError::Person`] for an impossible physique,
/// [`PhantomError::Finding`] for a finding that has no room.
pub fn body(options: &PhantomOptions, progress: &(dyn Fn(f32) + Sync)) -> Result<Body, PhantomError> {
    options.physique.check()?;
    let person = Person::new(options);
    let field = field(&person);
    let size = [0, 1, 2].map(|a| {
        let [low, high] = field[a];
        ((high - low) / options.spacing_mm[a]).round().max(1.0) as usize
    });
    let origin = Point::new(field[0][0], field[1][0], field[2][0]);
    let geometry = ImageGeometry::new(size, options.spacing_mm, origin, DMat3::IDENTITY)?;
    let mut model = Model::new(&person, &options.findings, options.day)?;
    model.enhance(options.phase);
    let scoliosis = options.findings.iter().find(|f| f.kind == FindingKind::Scoliosis);
    let pose = Pose::new(&person, options.motion, scoliosis.map_or(0.0, |f| f.size));
    let sinks = Vec3::Y * sinks(&person);
    let couch = |p: Vec3| if options.couch { couch(p - sinks) } else { AIR };
    let (mut labels, mut hounsfield) =
        raster::paint(model.layers(), &geometry, person.lps_from_body(), &pose, couch, &|done| progress(done * 0.9));
    crumbs::sweep(&mut labels, size, |label| model.is_single(label));
    if options.noise_hu > 0.0 {
        let [width, height, _] = size;
        let middle = (width as f32 / 2.0, height as f32 * 0.48);
        let slices = hounsfield.par_chunks_mut(width * height).enumerate();
        slices.for_each(|(k, slice)| {
            // Photons starve in the middle and where the slice is full of tissue.
            let filled = slice.iter().filter(|&&v| v > -300).count() as f32 / slice.len() as f32;
            let level = options.noise_hu * (0.55 + 0.75 * filled);
            let sigma = |x: usize, y: usize| {
                let (dx, dy) = (x as f32 / middle.0 - 1.0, y as f32 / middle.1 - 1.0);
                level * (1.12 - 0.35 * (dx * dx + dy * dy).min(1.6))
            };
            add_scan_noise(slice, width, scatter(options.seed) ^ scatter(k as u64), sigma);
        });
    }
    progress(1.0);
    let segments: BTreeMap<Label, Segment> = model.structures().iter().map(|s| (s.label, segment(s))).collect();
    Ok(Body {
        labels: LabelMap { voxels: Volume::new(geometry, labels)?, segments },
        hounsfield: Volume::new(geometry, hounsfield)?,
    })
}

/// Name, code and colour of a structure.
fn segment(structure: &Structure) -> Segment {
    let mut segment = terminology::segment(structure.label, &structure.name);
    segment.parts.clone_from(&structure.parts);
    segment
}

/// [`FIELD`] for a person of another size.
fn field(person: &Person) -> [[f64; 2]; 3] {
    let (stature, fat) = (f64::from(person.stature()), f64::from(person.fat_mm()));
    let [x, y, [bottom, top]] = FIELD;
    let wider = |[low, high]: [f64; 2]| [low - fat, high + fat];
    // Along z the field ends within the body.
    [wider(x), wider(y), [bottom, top]].map(|range| range.map(|at| at * stature))
}

/// How far the couch lies below that of the reference adult, in mm.
fn sinks(person: &Person) -> f32 {
    (BACK_MM + person.fat_mm()) * person.stature() - BACK_MM
}

/// The reference adult's back.
const BACK_MM: f32 = 127.0;

/// A carbon shell with a foam core, hollowed for the back.
fn couch(p: Vec3) -> f32 {
    let top = 129.0 + 0.00028 * p.x * p.x - 4.0;
    let depth = (p.y - top).min(top + 18.0 - p.y).min(212.0 - p.x.abs());
    let shell = smooth_step(depth / 1.5 + 0.5);
    let core = smooth_step((depth - 2.0) / 1.5 + 0.5);
    AIR + 860.0 * shell - 780.0 * core
}
