//! The phantom on a grid: who is scanned, and what comes of it.

use std::collections::BTreeMap;

use glam::{Affine3A, DAffine3, DMat3, DVec3};
use space::Point;
use volume::terminology;
use volume::{ImageGeometry, Label, LabelMap, ScanVolume, Segment, Volume};

use crate::body::{Layer, Model, Motion, Pose, Structure};
use crate::crumbs;
use crate::error::PhantomError;
use crate::findings::FindingKind;
use crate::imaging::{Modality, Substance, Values, Weighting, acquire_ct, acquire_mr, acquire_pet, put_in};
use crate::options::{Person, PhantomOptions};
use crate::raster::{Appearance, paint};

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
/// [`PhantomError::Finding`] for a finding that has no room, [`PhantomError::Setting`] for an impossible scanner.
pub fn body(options: &PhantomOptions, progress: &(dyn Fn(f32) + Sync)) -> Result<Body, PhantomError> {
    let subject = Subject::new(options)?;
    acquire_ct(&subject, options, subject.lps_from_body(), progress)
}

/// An image of a body, with its truth.
#[derive(Clone, Debug)]
pub struct Image {
    /// What made it.
    pub modality: Modality,
    /// Which structure each voxel belongs to.
    pub labels: LabelMap,
    /// CT in HU, MR in arbitrary units, PET as standardised uptake values by body weight.
    pub voxels: ScanVolume,
    /// Where a point of the first image's anatomy lies in this one, both LPS mm.
    pub moved_from_reference: DAffine3,
}

/// One image of the person that `options` describe; misregistered to the first of the options' modalities if they say so.
///
/// # Errors
/// As [`body`].
pub fn image(
    options: &PhantomOptions,
    modality: Modality,
    progress: &(dyn Fn(f32) + Sync),
) -> Result<Image, PhantomError> {
    Subject::new(options)?.image(options, modality, progress)
}

/// A person ready to be scanned.
pub(crate) struct Subject {
    person: Person,
    model: Model,
    motion: Motion,
    cobb_degrees: f32,
    pose: Pose,
    /// Those of the model and of implants.
    layers: Vec<Layer>,
    pub(crate) structures: Vec<Structure>,
}

impl Subject {
    pub(crate) fn new(options: &PhantomOptions) -> Result<Self, PhantomError> {
        options.physique.check()?;
        options.imaging.check()?;
        let person = Person::new(options);
        let mut model = Model::new(&person, &options.findings, options.day)?;
        model.enhance(options.phase);
        let (mut layers, mut structures) = (model.layers().to_vec(), model.structures().to_vec());
        put_in(&options.imaging.implants, &mut layers, &mut structures);
        let scoliosis = options.findings.iter().find(|f| f.kind == FindingKind::Scoliosis);
        let cobb_degrees = scoliosis.map_or(0.0, |f| f.size);
        let pose = Pose::new(&person, options.motion, cobb_degrees);
        Ok(Self { person, model, motion: options.motion, cobb_degrees, pose, layers, structures })
    }

    pub(crate) fn image(
        &self,
        options: &PhantomOptions,
        modality: Modality,
        progress: &(dyn Fn(f32) + Sync),
    ) -> Result<Image, PhantomError> {
        let moved = options.imaging.misregistered.filter(|_| options.imaging.modalities.first() != Some(&modality));
        let moved_from_reference = moved.map_or(DAffine3::IDENTITY, |m| m.moved_from_reference(self.center()));
        let lps_from_body = Affine3A::from_mat3_translation(
            moved_from_reference.matrix3.as_mat3(),
            moved_from_reference.translation.as_vec3(),
        ) * self.lps_from_body();
        let mr = |weighting| acquire_mr(self, options, weighting, lps_from_body, progress);
        let (labels, voxels) = match modality {
            Modality::Ct => {
                let body = acquire_ct(self, options, lps_from_body, progress)?;
                (body.labels, ScanVolume::I16(body.hounsfield))
            }
            Modality::MrT1 => mr(Weighting::T1).map(|(labels, voxels)| (labels, ScanVolume::I16(voxels)))?,
            Modality::MrT2 => mr(Weighting::T2).map(|(labels, voxels)| (labels, ScanVolume::I16(voxels)))?,
            Modality::Pet => {
                let (labels, voxels) = acquire_pet(self, options, lps_from_body, progress)?;
                (labels, ScanVolume::F32(voxels))
            }
        };
        Ok(Image { modality, labels, voxels, moved_from_reference })
    }

    pub(crate) fn lps_from_body(&self) -> Affine3A {
        self.person.lps_from_body()
    }

    /// Label and value of every voxel, as a scanner sees them.
    pub(crate) fn paint<A: Appearance>(
        &self,
        geometry: &ImageGeometry,
        lps_from_body: Affine3A,
        appearance: &A,
        progress: &(dyn Fn(f32) + Sync),
    ) -> (Vec<Label>, Vec<A::Voxel>) {
        paint(&self.layers, geometry, lps_from_body, &self.pose, appearance, progress)
    }

    /// Values of its tissues for a scanner, from those of what they are made of.
    pub(crate) fn values(&self, point_spread_mm: f32, mottle: f32, value: impl Fn(Substance) -> f32) -> Values {
        Values::new(&self.layers, &self.structures, point_spread_mm, mottle, value)
    }

    /// The pose deeper in breath.
    pub(crate) fn inhaling(&self, breath: f32) -> Pose {
        let motion = Motion { breath: self.motion.breath + breath, ..self.motion };
        Pose::new(&self.person, motion, self.cobb_degrees)
    }

    /// As [`Self::paint`], in another pose.
    pub(crate) fn paint_in<A: Appearance>(
        &self,
        pose: &Pose,
        geometry: &ImageGeometry,
        lps_from_body: Affine3A,
        appearance: &A,
    ) -> (Vec<Label>, Vec<A::Voxel>) {
        paint(&self.layers, geometry, lps_from_body, pose, appearance, &|_| ())
    }

    /// What is scanned, in mm: least and greatest x, y, z in LPS.
    pub(crate) fn field(&self) -> [[f64; 2]; 3] {
        field(&self.person, self.pose.forward_mm())
    }

    /// Middle of the field, in LPS mm.
    pub(crate) fn center(&self) -> DVec3 {
        DVec3::from_array(self.field().map(|[low, high]| 0.5 * (low + high)))
    }

    /// The field in upright slices.
    pub(crate) fn grid(&self, spacing_mm: [f64; 3]) -> Result<ImageGeometry, PhantomError> {
        let field = self.field();
        let size = [0, 1, 2].map(|a| {
            let [low, high] = field[a];
            ((high - low) / spacing_mm[a]).round().max(1.0) as usize
        });
        let origin = Point::new(field[0][0], field[1][0], field[2][0]);
        Ok(ImageGeometry::new(size, spacing_mm, origin, DMat3::IDENTITY)?)
    }

    /// How far the couch lies below that of the reference adult, in mm.
    pub(crate) fn sinks(&self) -> f32 {
        (BACK_MM + self.person.fat_mm()) * self.person.stature() - BACK_MM
    }

    /// Gives slivers to what surrounds them.
    pub(crate) fn sweep(&self, labels: &mut [Label], size: [usize; 3]) {
        crumbs::sweep(labels, size, |label| self.model.is_single(label));
    }

    /// Labels with their names.
    pub(crate) fn label_map(&self, geometry: ImageGeometry, labels: Vec<Label>) -> Result<LabelMap, PhantomError> {
        let segments: BTreeMap<Label, Segment> = self.structures.iter().map(|s| (s.label, segment(s))).collect();
        Ok(LabelMap { voxels: Volume::new(geometry, labels)?, segments })
    }
}

/// Name, code and colour of a structure.
fn segment(structure: &Structure) -> Segment {
    let mut segment = terminology::segment(structure.label, &structure.name);
    segment.parts.clone_from(&structure.parts);
    segment
}

/// [`FIELD`] for a person of another size, who reaches farther forward.
fn field(person: &Person, forward_mm: f32) -> [[f64; 2]; 3] {
    let (stature, fat) = (f64::from(person.stature()), f64::from(person.fat_mm()));
    let [x, [front, back], [bottom, top]] = FIELD;
    let y = [front - f64::from(forward_mm), back];
    let wider = |[low, high]: [f64; 2]| [low - fat, high + fat];
    // Along z the field ends within the body.
    [wider(x), wider(y), [bottom, top]].map(|range| range.map(|at| at * stature))
}

/// The reference adult's back.
const BACK_MM: f32 = 127.0;
